/* gptq.c - GPTQ of a 4096 x 4096 layer with 128 x 2048 calibration tokens, beside the bare BLAS and LAPACK calls of the
 * same sizes: syrk of the tokens, potrf, potri, and the updates behind each panel of 128 columns.
 *
 * One run. The tokens are 4096 rows taken 64 times, and ours and theirs take turns at every pass, so that what else the
 * machine does falls on both. Both sum in float32 and factor and update in float64. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "bench.h"
#include "plena/ptq.h"

enum { K = 4096, N = 4096, ROWS = 4096, PASSES = 64, PANEL = 128 };

/* Of the LAPACK in OpenBLAS. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t uplo_len);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t uplo_len);

struct work {
    float *x, *w, *q, *sum;
    double *h, *moved, *errors;
    uint8_t *scale;
    struct pl_hessian *hessian;
};
struct seconds {
    double hessian, factor, rounding, syrk, potrf, potri, updates;
};

#define TIMED(seconds, stmt)                                                                       \
    do {                                                                                           \
        const uint64_t t0_ = pl_clock_ns();                                                        \
        stmt;                                                                                      \
        (seconds) += (double)(pl_clock_ns() - t0_) * 1e-9;                                         \
    } while (0)

static void fill(struct work *b, uint64_t seed)
{
    struct pl_rng r;
    pl_rng_init(&r, seed);
    for (size_t i = 0; i < (size_t)ROWS * K; i++)
        b->x[i] = (float)(pl_rng_double(&r) - 0.5);
    for (size_t i = 0; i < (size_t)N * K; i++)
        b->w[i] = 0.1f * (float)(pl_rng_double(&r) - 0.5);
    for (size_t i = 0; i < (size_t)N * PANEL; i++)
        b->errors[i] = pl_rng_double(&r) - 0.5;
}

static void bare_updates(struct work *b)
{
    for (int p = PANEL; p < K; p += PANEL)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, K - p, PANEL, -1.0, b->errors, PANEL, b->h + (size_t)(p - PANEL) * K + p,
                    K, 1.0, b->moved + p, K);
}

static enum pl_status measure(struct work *b, struct seconds *t, struct pl_diag *d)
{
    const struct pl_ptq_rule best = {PL_SEARCH_COMP, PL_PROPAGATE_COLUMN};
    struct pl_format f;
    enum pl_status s;
    double damp;
    int info[2];
    const int k = K;
    PL_TRY(pl_format_parse("mxint4:16", &f, d));
    PL_TRY(pl_hessian_new(K, &b->hessian, d));
    for (int pass = 0; pass < PASSES; pass++) {
        TIMED(t->hessian, pl_hessian_add(b->hessian, b->x, ROWS, K));
        TIMED(t->syrk, cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, K, ROWS, 1.0f, b->x, K, pass ? 1.0f : 0.0f, b->sum, K));
    }
    for (size_t i = 0; i < (size_t)K * K; i++)
        b->h[i] = (double)b->sum[i] + (i % (K + 1) ? 0 : 1000);
    TIMED(t->factor, s = pl_hessian_factor(b->hessian, 0.01, &damp, d));
    PL_TRY(s);
    TIMED(t->potrf, dpotrf_("U", &k, b->h, &k, &info[0], 1));
    TIMED(t->potri, dpotri_("U", &k, b->h, &k, &info[1], 1));
    if (info[0] || info[1])
        return pl_fail(d, PL_EDIFF, "LAPACK: potrf gives %d, potri %d", info[0], info[1]);
    TIMED(t->rounding, s = pl_ptq_round(b->hessian, best, &f, b->w, N, K, b->q, b->scale, d));
    PL_TRY(s);
    TIMED(t->updates, bare_updates(b));
    return PL_OK;
}

static void figures(const struct bench_options *o, const struct seconds *t)
{
    const double ours = t->hessian + t->factor + t->rounding, bare = t->syrk + t->potrf + t->potri + t->updates;
    bench_figure(o, "gptq.hessian", t->hessian, "s");
    bench_figure(o, "gptq.factor", t->factor, "s");
    bench_figure(o, "gptq.rounding", t->rounding, "s");
    bench_figure(o, "gptq", ours, "s");
    bench_figure(o, "gptq.bare.syrk", t->syrk, "s");
    bench_figure(o, "gptq.bare.potrf", t->potrf, "s");
    bench_figure(o, "gptq.bare.potri", t->potri, "s");
    bench_figure(o, "gptq.bare.updates", t->updates, "s");
    bench_figure(o, "gptq.bare", bare, "s");
    bench_figure(o, "ratio", ours / bare, "x");
}

enum pl_status bench_gptq(const struct bench_options *o, struct pl_diag *d)
{
    struct pl_arena a;
    pl_arena_init(&a);
    struct work b = {.x = pl_alloc_bulk(&a, (size_t)ROWS * K, sizeof(float)), .w = pl_alloc_bulk(&a, (size_t)N * K, sizeof(float)),
                     .q = pl_alloc_bulk(&a, (size_t)N * K, sizeof(float)), .sum = pl_alloc_bulk(&a, (size_t)K * K, sizeof(float)),
                     .h = pl_alloc_bulk(&a, (size_t)K * K, sizeof(double)), .moved = pl_alloc_bulk(&a, (size_t)N * K, sizeof(double)),
                     .errors = pl_alloc_bulk(&a, (size_t)N * PANEL, sizeof(double)), .scale = pl_alloc_bulk(&a, (size_t)N * K / 16, 1)};
    struct seconds t = {0};
    enum pl_status s = PL_OK;
    if (!b.x || !b.w || !b.q || !b.sum || !b.h || !b.moved || !b.errors || !b.scale)
        s = pl_fail(d, PL_ENOMEM, "no memory for a layer of %d x %d", N, K);
    if (s == PL_OK) {
        fill(&b, o->seed);
        s = measure(&b, &t, d);
    }
    if (s == PL_OK)
        figures(o, &t);
    pl_hessian_free(b.hessian);
    pl_arena_fini(&a);
    return s;
}
