/* gemm.c - bench gemm: the functional plane's product against OpenBLAS on the same shape in the same run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "bench.h"
#include "plena/arch.h"

enum { M = 512, N = 4096, K = 4096 };

struct gemm {
    struct pl_mm_spec spec;
    struct pl_panel *left, *right;
    float *x, *w, *out;
};

static void fill_left(struct gemm *g)
{
#pragma omp parallel for schedule(static)
    for (int i = 0; i < M; i++)
        pl_panel_set_left(&g->spec, g->left, (size_t)i, 0, K, g->x + (size_t)i * K, NULL);
}

static enum pl_status prepare(struct gemm *g, const struct pl_arch *arch, uint64_t seed, struct pl_diag *d)
{
    struct pl_format f;
    struct pl_rng r;
    PL_TRY(pl_format_parse("mxint8:16", &f, d));
    PL_TRY(pl_mm_spec_init(&g->spec, &f, &f, false, arch->vector_format.elem, arch->mlen, arch->blen, arch->guard,
                           arch->acc_bits, d));
    g->left = pl_panel_new(&g->spec, false, M, K);
    g->right = pl_panel_new(&g->spec, true, N, K);
    g->x = malloc(sizeof(float) * M * K);
    g->w = malloc(sizeof(float) * N * K);
    g->out = malloc(sizeof(float) * M * N);
    if (!g->left || !g->right || !g->x || !g->w || !g->out)
        return pl_fail(d, PL_ENOMEM, "no memory for the matrices");
    pl_rng_init(&r, seed);
    for (size_t i = 0; i < (size_t)M * K; i++)
        g->x[i] = pl_vec_round(arch->vector_format.elem, (float)(pl_rng_double(&r) - 0.5));
    for (size_t i = 0; i < (size_t)N * K; i++)
        g->w[i] = (float)(pl_rng_double(&r) - 0.5);
    uint32_t code[K];
    uint8_t scale[K / 16];
    for (size_t j = 0; j < N; j++) {
        pl_quantise(&f, g->w + j * K, NULL, K, code, scale);
        pl_panel_set_right(&g->spec, g->right, j, 0, K, code, scale);
    }
    return PL_OK;
}

enum pl_status bench_gemm(const struct bench_options *o, struct pl_diag *d)
{
    struct gemm g = {0};
    struct pl_arch arch;
    double exact, blas;
    PL_TRY(pl_arch_load(o->machine, &arch, d));
    const enum pl_status s = prepare(&g, &arch, o->seed, d);
    if (s == PL_OK) {
        const double macs = (double)M * N * K;
        BENCH_BEST(o->reps, exact, {
            fill_left(&g);
            pl_mm_product(&g.spec, g.left, M, g.right, N, g.out, N);
        });
        BENCH_BEST(o->reps, blas,
                   cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1, g.x, K, g.w, K, 0, g.out, N));
        bench_figure(o, "gemm_mxint8_512x4096x4096", exact, "s");
        bench_figure(o, "gemm_mxint8_rate", macs / exact * 1e-9, "GMAC/s");
        bench_figure(o, "sgemm_512x4096x4096", blas, "s");
        bench_figure(o, "sgemm_rate", macs / blas * 1e-9, "GMAC/s");
        bench_figure(o, "gemm_mxint8_over_sgemm", exact / blas, "ratio");
    }
    pl_panel_free(g.left);
    pl_panel_free(g.right);
    free(g.x);
    free(g.w);
    free(g.out);
    return s;
}
