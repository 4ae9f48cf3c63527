/* test_fold.c - function-preserving transforms: Hadamard matrices of every kind, a model that stays what it is under each
 * of them, what rotation and order do to loud channels; standard errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "plena/mx_hadamard.h"
#include "plena/ptq_eval.h"

static struct pl_diag d;

TEST(test_hadamard_is_orthogonal)
{
    (void)state;
    /* Sylvester; Paley I over primes and 3^3, 7^3; Paley II over primes, 5^2, 7^2; products; FFN widths of public models */
    static const struct {
        size_t n, core;
    } want[] = {{1, 1},     {2, 1},     {64, 1},     {12, 12},     {20, 20},     {28, 28},     {36, 36},   {44, 44},     {52, 52},
                {76, 76},   {100, 100}, {108, 108},  {140, 140},   {344, 344},   {576, 36},    {1536, 12}, {2880, 180},  {5632, 44},
                {960, 60},  {11008, 344}, {14336, 28}, {25600, 100}, {18944, 148}};
    for (size_t k = 0; k < PL_COUNT(want); k++) {
        struct pl_hadamard *h = pl_hadamard_new(want[k].n);
        assert_non_null(h);
        assert_int_equal(pl_hadamard_core(h), want[k].core);
        const size_t n = want[k].n, step = n > 700 ? n / 13 : 1;
        for (size_t i = 0; i < n; i += step)
            for (size_t j = 0; j < n; j += step) {
                int64_t sum = 0;
                for (size_t m = 0; m < n; m++)
                    sum += pl_hadamard_at(h, i, m) * pl_hadamard_at(h, j, m);
                assert_int_equal(sum, i == j ? (int64_t)n : 0);
            }
        pl_hadamard_free(h);
    }
    assert_null(pl_hadamard_new(6));
    assert_null(pl_hadamard_new(172 * 2 + 2));
    assert_null(pl_hadamard_new(0));
}

TEST(test_hadamard_apply)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 16, 12, 24, 28, 112, 36, 72, 200};
    double x[200], y[200];
    struct pl_rng r;
    pl_rng_init(&r, 5);
    for (size_t k = 0; k < PL_COUNT(sizes); k++) {
        const size_t n = sizes[k];
        struct pl_hadamard *h = pl_hadamard_new(n);
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] = pl_rng_normal(&r);
        pl_hadamard_apply(h, false, y);
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += x[i] * pl_hadamard_at(h, i, j);
            assert_true(fabs(y[j] - sum / sqrt((double)n)) < 1e-13); /* 200 terms near 1, roundings of 2^-53 */
        }
        pl_hadamard_apply(h, true, y);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs(y[i] - x[i]) < 1e-13);
        pl_hadamard_free(h);
    }
}

/* ---- the model stays the same ---- */
struct model {
    struct pl_arena a;
    struct pl_checkpoint *ck;
};

static double kl(const struct pl_checkpoint *m, const struct pl_checkpoint *original)
{
    uint32_t ids[60];
    struct pl_rng r;
    struct pl_nn *nn, *ref;
    struct pl_nn_eval e = {0};
    pl_rng_init(&r, 3);
    for (size_t i = 0; i < PL_COUNT(ids); i++)
        ids[i] = (uint32_t)pl_rng_below(&r, original->config.vocab);
    OK(pl_nn_new(m, PL_NN_F32, NULL, 64, &nn, &d));
    OK(pl_nn_new(original, PL_NN_F32, NULL, 64, &ref, &d));
    OK(pl_nn_eval_add(nn, ref, ids, PL_COUNT(ids), &e, &d));
    pl_nn_free(nn);
    pl_nn_free(ref);
    return fabs(e.kl) / (double)e.tokens;
}

static uint32_t *order(struct pl_arena *a, size_t n, size_t inside, uint64_t seed)
{
    struct pl_rng r;
    uint32_t *o = PL_NEW_N(a, uint32_t, n);
    pl_rng_init(&r, seed);
    for (uint32_t i = 0; i < n; i++)
        o[i] = i;
    for (size_t first = 0; first < n; first += inside)
        for (size_t i = inside; i > 1; i--) {
            const size_t j = (size_t)pl_rng_below(&r, i);
            const uint32_t t = o[first + i - 1];
            o[first + i - 1] = o[first + j];
            o[first + j] = t;
        }
    return o;
}

static float *scale(struct pl_arena *a, size_t n, uint64_t seed, size_t pairs)
{
    struct pl_rng r;
    float *s = PL_NEW_N(a, float, n);
    pl_rng_init(&r, seed);
    for (size_t i = 0; i < n; i++)
        s[i] = (float)exp(pl_rng_normal(&r));
    for (size_t i = 0; pairs && i < n; i++)
        s[i] = i % pairs >= pairs / 2 ? s[i - pairs / 2] : s[i];
    return s;
}

/* A part of a transform, or all of it; what stays out is zero. */
enum { RESIDUAL = 1, ORDER = 2, SCALE = 4, VALUES = 8, ONLINE = 16, SIGNS = 32, ALL = 63 };

static void fill(struct model *m, unsigned parts, struct pl_fold_spec *s)
{
    const struct pl_model_config *c = &m->ck->config;
    const size_t kv = (size_t)c->n_kv_heads * c->head_dim;
    struct pl_fold_layer *y = PL_NEW_N(&m->a, struct pl_fold_layer, c->n_layers);
    *s = (struct pl_fold_spec){.layer = y, .residual = parts & RESIDUAL ? c->hidden : 0, .seed = parts & SIGNS ? 7 : 0};
    if (parts & ORDER)
        s->order_hidden = order(&m->a, c->hidden, c->hidden, 1);
    if (parts & SCALE)
        s->scale_head = scale(&m->a, c->hidden, 2, 0);
    for (unsigned i = 0; i < PL_SITES && parts & ONLINE; i++)
        s->rotate[i] = i == PL_SITE_O ? 0 : 4;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        if (parts & SCALE) {
            y[l].scale_qkv = scale(&m->a, c->hidden, 10 + l, 0);
            y[l].scale_gate_up = scale(&m->a, c->hidden, 20 + l, 0);
            y[l].scale_o = scale(&m->a, kv, 30 + l, 0);
            y[l].scale_qk = scale(&m->a, kv, 40 + l, c->head_dim);
            y[l].scale_down = scale(&m->a, c->ffn, 50 + l, 0);
        }
        if (parts & ORDER) {
            y[l].order_value = order(&m->a, kv, c->head_dim, 60 + l);
            y[l].order_ffn = order(&m->a, c->ffn, c->ffn, 70 + l);
        }
        y[l].value = parts & VALUES ? c->head_dim : 0;
    }
}

/* Floats of 24 bits through a few transforms and layers: KL goes with the square of the logits' error, which stays below
 * 1e-4; so 1e-8. A wrong fold gives a KL near 1. */
static void check_folds(const char *dir)
{
    struct model m;
    pl_arena_init(&m.a);
    OK(pl_checkpoint_open(&m.a, dir, &m.ck, &d));
    static const unsigned parts[] = {RESIDUAL, ORDER, SCALE, VALUES, ONLINE, RESIDUAL | SIGNS, ALL};
    for (size_t i = 0; i < PL_COUNT(parts); i++) {
        struct pl_fold_spec s;
        struct pl_fold *f;
        fill(&m, parts[i], &s);
        OK(pl_fold_new(m.ck, &s, &f, &d));
        OK(pl_fold_load_all(f, &d));
        const double off = kl(pl_fold_checkpoint(f), m.ck);
        print_message("%s, parts %u: KL %.2g\n", dir, parts[i], off);
        assert_true(off < 1e-8);
        pl_fold_free(f);
    }
    pl_checkpoint_close(m.ck);
    pl_arena_fini(&m.a);
}

TEST(test_folds_keep_the_function)
{
    (void)state;
    check_folds(source_path("examples/agent-0.8m"));
    const char *dir = shared_path("models/stories260k"); /* grouped heads, an FFN of 172 */
    if (dir)
        check_folds(dir);
}

TEST(test_fold_refuses)
{
    (void)state;
    struct model m;
    struct pl_fold *f;
    pl_arena_init(&m.a);
    OK(pl_checkpoint_open(&m.a, source_path("examples/agent-0.8m"), &m.ck, &d));
    struct pl_fold_spec s = {.residual = 24};
    REFUSED(PL_ERANGE, "groups of 24 lanes do not divide", pl_fold_new(m.ck, &s, &f, &d));
    s = (struct pl_fold_spec){.rotate = {[PL_SITE_O] = 16}};
    REFUSED(PL_ERANGE, "the machine cannot rotate groups of 16 lanes there", pl_fold_new(m.ck, &s, &f, &d));
    s = (struct pl_fold_spec){0};
    struct pl_model_config *c = &m.ck->config, plain = *c;
    c->qkv_bias = true;
    REFUSED(PL_EUNSUPPORTED, "with biases (model_type llama)", pl_fold_new(m.ck, &s, &f, &d));
    *c = plain;
    c->qk_norm = true;
    REFUSED(PL_EUNSUPPORTED, "with norms of q and k", pl_fold_new(m.ck, &s, &f, &d));
    *c = plain;
    c->mla.kv_rank = 64;
    REFUSED(PL_EUNSUPPORTED, "with latent attention", pl_fold_new(m.ck, &s, &f, &d));
    *c = plain;
    c->moe.experts = 4;
    REFUSED(PL_EUNSUPPORTED, "with experts", pl_fold_new(m.ck, &s, &f, &d));
    *c = plain;
    c->window = 8;
    REFUSED(PL_EUNSUPPORTED, "with windows", pl_fold_new(m.ck, &s, &f, &d));
    *c = plain;
    c->sinks = true;
    REFUSED(PL_EUNSUPPORTED, "with attention sinks", pl_fold_new(m.ck, &s, &f, &d));
    *c = plain;
    pl_checkpoint_close(m.ck);
    pl_arena_fini(&m.a);
}

/* ---- scores ---- */
TEST(test_standard_errors)
{
    (void)state;
    double predictions[4] = {10, 10, 10, 10}, kl[4] = {1, 2, 3, 4}, same[4] = {0.5, 1.5, 2.5, 3.5};
    const struct pl_scores s = {.n = 4, .predictions = predictions, .kl = kl};
    const struct pl_ratio r = pl_scores_mean(&s, kl, NULL);
    /* equal lengths: the standard error of the mean of 0.1 .. 0.4, sqrt(0.05 / 3 / 4) */
    assert_true(fabs(r.mean - 0.25) < 1e-15 && fabs(r.se - sqrt(0.05 / 12)) < 1e-15);
    assert_int_equal(pl_ratio_sign(r), 1);
    const struct pl_ratio diff = pl_scores_mean(&s, same, kl); /* the same difference in every text */
    assert_true(fabs(diff.mean + 0.05) < 1e-15 && diff.se < 1e-15);
    assert_int_equal(pl_ratio_sign(diff), -1);
    const double noisy[4] = {2, 1, 4, 3.5};
    assert_int_equal(pl_ratio_sign(pl_scores_mean(&s, noisy, kl)), 0);
    const struct pl_scores one = {.n = 1, .predictions = predictions, .kl = kl};
    assert_true(isnan(pl_scores_mean(&one, kl, NULL).se));
    assert_int_equal(pl_ratio_sign(pl_scores_mean(&one, kl, NULL)), 0);
}

/* (q H)(k H)^T = q k^T, in 64 terms near 1 of double precision. */
TEST(test_rotation_keeps_scores)
{
    (void)state;
    double q[64], k[64], plain = 0, turned = 0;
    struct pl_rng r;
    pl_rng_init(&r, 9);
    for (int i = 0; i < 64; i++) {
        q[i] = pl_rng_normal(&r);
        k[i] = pl_rng_normal(&r);
        plain += q[i] * k[i];
    }
    pl_hadamard_groups(q, 64, 16);
    pl_hadamard_groups(k, 64, 16);
    for (int i = 0; i < 64; i++)
        turned += q[i] * k[i] / 16;
    assert_true(fabs(plain - turned) < 1e-13);
}

/* ---- outliers, injected without changing the function: synthetic ----
 * Channels of X 16 times as loud, their weights 1/16. Rounding inputs to mxint4:16 then costs several times the error;
 * rotating blocks, or putting the loud channels into one block, takes most of that back. */
static double input_error(const float *x, const float *w, size_t rows, size_t n, size_t k, bool rotate, const uint32_t *order)
{
    struct pl_format f;
    OK(pl_format_parse("mxint4:16", &f, &d));
    double sum = 0, *row = calloc(k, sizeof *row);
    float *v = calloc(k, sizeof *v), *u = calloc(k, sizeof *u);
    uint32_t *code = calloc(k, sizeof *code);
    uint8_t *scale = calloc(k, 1);
    for (size_t t = 0; t < rows; t++) {
        for (size_t i = 0; i < k; i++)
            row[i] = (double)x[t * k + (order ? order[i] : i)];
        pl_hadamard_groups(row, k, rotate ? 16 : 0);
        for (size_t i = 0; i < k; i++)
            v[i] = (float)row[i];
        pl_quantise(&f, v, NULL, k, code, scale);
        pl_dequantise(&f, code, scale, k, u);
        for (size_t i = 0; i < k; i++)
            row[i] = (double)u[i] - (double)v[i];
        pl_hadamard_groups(row, k, rotate ? 16 : 0);
        for (size_t o = 0; o < n; o++) {
            double y = 0;
            for (size_t i = 0; i < k; i++)
                y += row[i] / (rotate ? 16 : 1) * (double)w[o * k + (order ? order[i] : i)];
            sum += y * y;
        }
    }
    free(row);
    free(v);
    free(u);
    free(code);
    free(scale);
    return sum;
}

TEST(test_synthetic_outliers)
{
    (void)state;
    enum { N = 24, K = 128, ROWS = 200, LOUD = 6 };
    struct pl_rng r;
    float *x = calloc(ROWS * K, sizeof *x), *w = calloc(N * K, sizeof *w);
    uint32_t order[K];
    size_t at = 0;
    pl_rng_init(&r, 41);
    for (size_t i = 0; i < N * K; i++)
        w[i] = 0.05f * (float)pl_rng_normal(&r);
    for (size_t i = 0; i < ROWS * K; i++)
        x[i] = (float)pl_rng_normal(&r);
    const double before = input_error(x, w, ROWS, N, K, false, NULL);
    for (size_t m = 0; m < LOUD; m++)
        for (size_t t = 0; t < ROWS; t++)
            x[t * K + 16 * m + 5] *= 16;
    for (size_t m = 0; m < LOUD; m++)
        for (size_t o = 0; o < N; o++)
            w[o * K + 16 * m + 5] /= 16;
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < K; i++)
            if ((i % 16 == 5 && i / 16 < LOUD) == (pass == 0))
                order[at++] = i;
    const double loud = input_error(x, w, ROWS, N, K, false, NULL), turned = input_error(x, w, ROWS, N, K, true, NULL),
                 sorted = input_error(x, w, ROWS, N, K, false, order);
    print_message("synthetic outliers: error %.3g, injected %.3g, rotated %.3g, permuted %.3g\n", before, loud, turned, sorted);
    assert_true(loud > 10 * before && turned < loud / 3 && sorted < loud / 3);
    free(x);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hadamard_is_orthogonal), cmocka_unit_test(test_hadamard_apply),
        cmocka_unit_test(test_folds_keep_the_function), cmocka_unit_test(test_fold_refuses),
        cmocka_unit_test(test_standard_errors), cmocka_unit_test(test_rotation_keeps_scores), cmocka_unit_test(test_synthetic_outliers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
