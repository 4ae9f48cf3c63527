/* scores.c - scores of texts and their standard errors; emulated operands; the search for where to rotate. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/ptq_eval.h"

#include <stdlib.h>

#include "plena/mx_hadamard.h"
#include "ptq_internal.h"

/* ---- scores ---- */
void pl_scores_init(struct pl_arena *a, size_t n, struct pl_scores *out)
{
    *out = (struct pl_scores){0, PL_NEW_N(a, double, n + 1), PL_NEW_N(a, double, n + 1), PL_NEW_N(a, double, n + 1), PL_NEW_N(a, double, n + 1)};
}

enum pl_status pl_scores_add(struct pl_nn *nn, struct pl_nn *ref, const struct pl_ptq_text *text, struct pl_scores *s, struct pl_diag *d)
{
    struct pl_nn_eval e = {0};
    PL_TRY(pl_nn_eval_add(nn, ref, text->ids, text->n, &e, d));
    s->predictions[s->n] = (double)e.tokens;
    s->nll[s->n] = e.nll;
    s->kl[s->n] = e.kl;
    s->top1[s->n++] = (double)e.top1;
    return PL_OK;
}

enum pl_status pl_scores_of(struct pl_arena *a, struct pl_nn *nn, struct pl_nn *ref, const struct pl_ptq_text *text, size_t n,
                            struct pl_scores *out, struct pl_diag *d)
{
    pl_scores_init(a, n, out);
    for (size_t i = 0; i < n; i++)
        PL_TRY(pl_scores_add(nn, ref, &text[i], out, d));
    return PL_OK;
}

struct pl_ratio pl_scores_mean(const struct pl_scores *s, const double *x, const double *minus)
{
    double sum = 0, total = 0, square = 0, texts = 0;
    for (size_t i = 0; i < s->n; i++) {
        sum += x[i] - (minus ? minus[i] : 0);
        total += s->predictions[i];
        texts += s->predictions[i] > 0;
    }
    const double mean = sum / total;
    for (size_t i = 0; i < s->n; i++) {
        const double off = x[i] - (minus ? minus[i] : 0) - mean * s->predictions[i];
        square += off * off;
    }
    return (struct pl_ratio){mean, texts > 1 ? sqrt(texts / (texts - 1) * square) / total : NAN};
}

int pl_ratio_sign(struct pl_ratio r)
{
    return fabs(r.mean) > 2 * r.se ? (r.mean > 0) - (r.mean < 0) : 0;
}

/* ---- emulation ---- */
static void quantise_row(const struct pl_format *f, double *x, size_t n, float *v, uint32_t *code, uint8_t *scale)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)x[i];
    pl_quantise(f, v, NULL, n, code, scale);
    pl_dequantise(f, code, scale, n, v);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)v[i];
}

/* The mean of K, off (sign -1) or back on. */
static void add_mean(const struct pl_emulation *e, uint32_t layer, double sign, double *x, size_t rows, size_t cols)
{
    const double *mean = e->k_mean + (size_t)layer * e->n_kv_heads * cols;
    for (size_t i = 0; i < rows * cols; i++)
        x[i] += sign * mean[i % (e->n_kv_heads * cols)];
}

void pl_emulate(void *ctx, uint32_t layer, enum pl_nn_operand what, double *x, size_t rows, size_t cols)
{
    const struct pl_emulation *e = ctx;
    const struct pl_format *f = &e->format[what];
    const uint32_t group = e->rotate[what];
    const bool center = what == PL_NN_OP_K && e->k_mean;
    if (f->kind == PL_FORMAT_NONE)
        return;
    struct pl_hadamard *h = group ? pl_hadamard_new(group) : NULL;
    float *v = ptq_scratch(cols, sizeof *v);
    uint32_t *code = ptq_scratch(cols, sizeof *code);
    uint8_t *scale = ptq_scratch(cols, 1);
    if (center)
        add_mean(e, layer, -1, x, rows, cols);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; h && i < cols; i += group)
            pl_hadamard_apply(h, false, x + r * cols + i);
        quantise_row(f, x + r * cols, cols, v, code, scale);
        for (size_t i = 0; h && i < cols; i += group)
            pl_hadamard_apply(h, true, x + r * cols + i);
    }
    if (center)
        add_mean(e, layer, 1, x, rows, cols);
    pl_hadamard_free(h);
    free(v);
    free(code);
    free(scale);
}

static uint32_t longest(const struct pl_ptq_text *text, size_t n)
{
    size_t most = 1;
    for (size_t i = 0; i < n; i++)
        most = text[i].n > most ? text[i].n : most;
    return (uint32_t)most;
}

struct key_sums {
    double *sum;
    size_t width;
};

static void add_keys(void *ctx, uint32_t layer, enum pl_nn_operand what, double *x, size_t rows, size_t cols)
{
    const struct key_sums *k = ctx;
    for (size_t i = 0; what == PL_NN_OP_K && i < rows * cols; i++)
        k->sum[layer * k->width + i % k->width] += x[i];
}

enum pl_status pl_key_means(struct pl_arena *a, const struct pl_checkpoint *ck, const struct pl_ptq_text *text, size_t n,
                            const double **out, struct pl_diag *d)
{
    const size_t width = (size_t)ck->config.n_kv_heads * ck->config.head_dim, all = width * ck->config.n_layers;
    struct key_sums k = {PL_NEW_N(a, double, all), width};
    struct pl_nn *nn;
    struct pl_scores s;
    PL_TRY(pl_nn_new(ck, PL_NN_F32, NULL, longest(text, n), &nn, d));
    pl_nn_set_hook(nn, (struct pl_nn_hook){add_keys, &k});
    const enum pl_status st = pl_scores_of(a, nn, NULL, text, n, &s, d);
    pl_nn_free(nn);
    double tokens = 0;
    for (size_t i = 0; st == PL_OK && i < n; i++)
        tokens += s.predictions[i];
    for (size_t i = 0; i < all; i++)
        k.sum[i] /= tokens;
    *out = k.sum;
    return st;
}

/* ---- search ---- */
struct search {
    const struct pl_checkpoint *ck;
    const struct pl_plan *plan;
    const struct pl_ptq_text *text;
    size_t n;
    struct pl_arena *a;
    struct pl_nn *ref;
    struct pl_diag *d;
};

static enum pl_status try_rotations(const struct search *s, unsigned which, struct pl_scores *out)
{
    const struct pl_model_config *c = &s->ck->config;
    struct pl_fold_spec spec;
    struct pl_fold *f;
    struct pl_nn *nn = NULL;
    struct pl_emulation e = {.n_kv_heads = c->n_kv_heads};
    const bool scaled = pl_format_has_scale(&s->plan->act);
    pl_rotations_spec(s->a, c, which, scaled ? s->plan->act.block : s->plan->weight.block, &spec);
    spec.round = &s->plan->weight;
    for (unsigned i = 0; i < PL_NN_OPERANDS; i++)
        e.format[i] = i == PL_NN_OP_K || i == PL_NN_OP_V ? s->plan->kv : s->plan->act;
    if (s->plan->rotate && pl_is_pow2(c->head_dim))
        e.rotate[PL_NN_OP_Q] = e.rotate[PL_NN_OP_K] = c->head_dim;
    PL_TRY(pl_fold_new(s->ck, &spec, &f, s->d));
    enum pl_status st = pl_fold_load_all(f, s->d);
    if (st == PL_OK)
        st = pl_nn_new(pl_fold_checkpoint(f), PL_NN_F32, NULL, longest(s->text, s->n), &nn, s->d);
    if (st == PL_OK) {
        pl_nn_set_hook(nn, (struct pl_nn_hook){pl_emulate, &e});
        st = pl_scores_of(s->a, nn, s->ref, s->text, s->n, out, s->d);
    }
    pl_nn_free(nn);
    pl_fold_free(f);
    return st;
}

/* One round: the best further place, or 0. */
static enum pl_status best_addition(const struct search *s, unsigned have, struct pl_scores *at, unsigned *bit)
{
    struct pl_scores best = *at;
    double drop = 0;
    *bit = 0;
    for (unsigned i = 0; i < PL_ROTATIONS; i++) {
        struct pl_scores t;
        if (!(PL_ROTATE_ALL >> i & 1) || have >> i & 1)
            continue;
        PL_TRY(try_rotations(s, have | 1u << i, &t));
        const struct pl_ratio r = pl_scores_mean(&t, t.kl, at->kl);
        if (pl_ratio_sign(r) < 0 && r.mean < drop) {
            drop = r.mean;
            best = t;
            *bit = 1u << i;
        }
    }
    *at = best;
    return PL_OK;
}

enum pl_status pl_rotations_choose(const struct pl_checkpoint *ck, const struct pl_plan *plan, const struct pl_ptq_text *text, size_t n,
                                   unsigned *out, struct pl_diag *d)
{
    struct pl_arena a;
    struct search s = {ck, plan, text, n, &a, NULL, d};
    struct pl_scores at;
    *out = 0;
    PL_TRY(pl_nn_new(ck, PL_NN_F32, NULL, longest(text, n), &s.ref, d));
    pl_arena_init(&a);
    enum pl_status st = try_rotations(&s, 0, &at);
    for (unsigned bit = 1; st == PL_OK && bit;) {
        st = best_addition(&s, *out, &at, &bit);
        *out |= bit;
    }
    pl_nn_free(s.ref);
    pl_arena_fini(&a);
    return st;
}
