/* main.c - train_example: trains the embedded example checkpoint on generated tool-call transcripts.
 *
 *   train_example DIR [--steps N] [--seed N]   train and write a Hugging Face folder
 *   train_example --check-gradients            compare the backward pass with central differences
 *   train_example --text N [--seed S]          print N transcripts
 * Deterministic for a given seed with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "model.h"
#include "transcripts.h"

enum { BATCH = 12, TOKENS = 256, EVAL_SEED = 987654321, EVAL_LINES = 64 };
static const struct shape example = {.vocab = 128, .hidden = 128, .ffn = 384, .layers = 4, .heads = 8, .kv_heads = 4,
                                     .head_dim = 16, .theta = 10000.0f, .eps = 1e-5f};

static void init_random(struct weights *w, const struct shape *s, struct pl_rng *r)
{
    for (size_t i = 0; i < w->count; i++)
        w->all[i] = (float)(0.05 * pl_rng_normal(r));
    const float out = 1.0f / sqrtf(2.0f * (float)s->layers);
    for (int l = 0; l < s->layers; l++) {
        for (int i = 0; i < s->hidden * s->heads * s->head_dim; i++)
            w->layer[l].o[i] *= out;
        for (int i = 0; i < s->hidden * s->ffn; i++)
            w->layer[l].down[i] *= out;
    }
    const size_t gains = (size_t)s->hidden * (2 * (size_t)s->layers + 1);
    for (size_t i = w->count - gains; i < w->count; i++)
        w->all[i] = 1.0f;
}

/* A window of the endless text: transcripts, each ended by END_OF_TEXT; sequences start at a transcript. */
static void sample_batch(struct pl_rng *r, int32_t *ids, int32_t *targets)
{
    for (int b = 0; b < BATCH; b++) {
        struct pl_buf t;
        pl_buf_init(&t);
        while (t.len < TOKENS + 1) {
            transcript_make(r, &t);
            pl_buf_put(&t, "", 1);
        }
        for (int i = 0; i < TOKENS; i++) {
            ids[b * TOKENS + i] = (unsigned char)t.data[i];
            targets[b * TOKENS + i] = (unsigned char)t.data[i + 1];
        }
        pl_buf_fini(&t);
    }
}

struct adam {
    float *m, *v;
    int step;
};

static double clip(struct weights *g, double most)
{
    double sum = 0;
    for (size_t i = 0; i < g->count; i++)
        sum += (double)g->all[i] * (double)g->all[i];
    const double norm = sqrt(sum);
    if (norm > most)
        for (size_t i = 0; i < g->count; i++)
            g->all[i] *= (float)(most / norm);
    return norm;
}

static void adam_step(struct adam *a, struct weights *w, const struct weights *g, double lr, size_t decayed)
{
    a->step++;
    const double c1 = 1 - pow(0.9, a->step), c2 = 1 - pow(0.98, a->step);
    for (size_t i = 0; i < w->count; i++) {
        a->m[i] = 0.9f * a->m[i] + 0.1f * g->all[i];
        a->v[i] = 0.98f * a->v[i] + 0.02f * g->all[i] * g->all[i];
        const double update = (double)a->m[i] / c1 / (sqrt((double)a->v[i] / c2) + 1e-8);
        w->all[i] -= (float)(lr * (update + (i < decayed ? 0.05 * (double)w->all[i] : 0)));
    }
}

static void train(struct weights *w, const struct shape *s, int steps, uint64_t seed)
{
    struct pl_rng r;
    struct weights g;
    struct adam a = {calloc(w->count, sizeof(float)), calloc(w->count, sizeof(float)), 0};
    int32_t ids[BATCH * TOKENS], targets[BATCH * TOKENS];
    pl_rng_init(&r, seed);
    init_random(w, s, &r);
    weights_init(&g, s);
    struct activations *act = activations_new(s, BATCH, TOKENS);
    const size_t decayed = w->count - (size_t)s->hidden * (2 * (size_t)s->layers + 1);
    const uint64_t start = pl_clock_ns();
    for (int step = 0; step < steps; step++) {
        sample_batch(&r, ids, targets);
        const double loss = model_loss(s, w, act, ids, targets, BATCH, TOKENS, &g);
        const double norm = clip(&g, 1.0);
        const double warm = step < 40 ? (step + 1) / 40.0 : 1.0;
        adam_step(&a, w, &g, 3e-3 * warm * (0.05 + 0.95 * 0.5 * (1 + cos(3.14159265 * step / steps))), decayed);
        if (step % 20 == 0 || step + 1 == steps)
            fprintf(stderr, "step %d of %d: loss %.4f (perplexity %.3f), gradient %.2f, %.0f s\n", step, steps, loss,
                    exp(loss), norm, (double)(pl_clock_ns() - start) * 1e-9);
    }
    activations_free(act);
    weights_free(&g);
    free(a.m);
    free(a.v);
}

/* Analytic against central differences on a tiny model, a few weights of every kind. */
static int check_gradients(void)
{
    const struct shape s = {.vocab = 11, .hidden = 8, .ffn = 12, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 4,
                            .theta = 100, .eps = 1e-5f};
    struct weights w, g;
    struct pl_rng r;
    int32_t ids[12], targets[12];
    pl_rng_init(&r, 7);
    weights_init(&w, &s);
    weights_init(&g, &s);
    struct activations *a = activations_new(&s, 2, 6);
    for (size_t i = 0; i < w.count; i++)
        w.all[i] = (float)(0.5 * pl_rng_normal(&r)) + (i + 40 >= w.count ? 1.0f : 0.0f);
    for (int i = 0; i < 12; i++) {
        ids[i] = (int32_t)pl_rng_below(&r, 11);
        targets[i] = (int32_t)pl_rng_below(&r, 11);
    }
    model_loss(&s, &w, a, ids, targets, 2, 6, &g);
    int bad = 0, checked = 0;
    for (size_t i = 0; i < w.count; i += 7) {
        const float keep = w.all[i], h = 4e-3f;
        double f[4];
        for (int k = 0; k < 4; k++) {
            static const float at[] = {-2, -1, 1, 2};
            w.all[i] = keep + at[k] * h;
            f[k] = model_loss(&s, &w, a, ids, targets, 2, 6, NULL);
        }
        w.all[i] = keep;
        const double numeric = (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * (double)h);
        const double diff = fabs(numeric - (double)g.all[i]);
        checked++;
        /* Fourth-order differences: what is left is float rounding of the loss (1e-6) over h, and h^4 f5 / 30. */
        if (diff > 1e-3 + 0.01 * fabs(numeric)) {
            printf("weight %zu: backward %.6f, difference quotient %.6f\n", i, (double)g.all[i], numeric);
            bad++;
        }
    }
    printf("%d of %d gradients agree\n", checked - bad, checked);
    activations_free(a);
    weights_free(&w);
    weights_free(&g);
    return bad != 0;
}

static int print_text(uint64_t seed, int n)
{
    struct pl_rng r;
    struct pl_buf b;
    pl_rng_init(&r, seed);
    pl_buf_init(&b);
    for (int i = 0; i < n; i++) {
        transcript_make(&r, &b);
        pl_buf_puts(&b, "\n");
    }
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    return 0;
}

int main(int argc, char **argv)
{
    const char *dir = NULL;
    int steps = 900, text = 0;
    uint64_t seed = 1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--check-gradients"))
            return check_gradients();
        if (!strcmp(argv[i], "--steps") && i + 1 < argc)
            steps = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--text") && i + 1 < argc)
            text = atoi(argv[++i]);
        else
            dir = argv[i];
    }
    if (text)
        return print_text(seed, text);
    if (!dir || steps < 1) {
        fprintf(stderr, "usage: train_example DIR [--steps N] [--seed N] | --check-gradients | --text N\n");
        return 2;
    }
    struct weights w;
    struct pl_diag d;
    weights_init(&w, &example);
    train(&w, &example, steps, seed);
    enum pl_status s = checkpoint_write(dir, &example, &w, &d);
    if (s == PL_OK)
        s = eval_write(dir, EVAL_SEED, EVAL_LINES, &d);
    weights_free(&w);
    if (s != PL_OK)
        fprintf(stderr, "train_example: %s\n", d.text);
    return pl_status_exit_code(s);
}
