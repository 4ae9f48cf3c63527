/* gemm.c - bench gemm: an exact quantised linear layer of 512 x 4096 x 4096 against OpenBLAS sgemm of the same shape.
 *
 * "array" runs the program of gemm_image.c on the simulator's functional plane: tensors from and to HBM, tiles, M_TMM,
 * M_MM_WO. "product" is pl_mm_product from x in the vector format, weights laid out before. All three take turns, rep by
 * rep, and the best of each counts. The array's results are compared with the product's, bit for bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "gemm.h"
#include "plena/sim.h"

enum { M = 512, N = 4096, K = 4096 };

struct operands { /* of the product */
    struct pl_mm_spec spec;
    struct pl_panel *left, *right;
};
struct times {
    double array, product, blas;
};

static void quantise_weights(struct gemm *g, struct operands *o)
{
    const size_t bytes = pl_format_row_bytes(&g->weight, K), scales = pl_format_row_scales(&g->weight, K);
    g->packed = pl_alloc(&g->arena, N * bytes);
    g->scale = pl_alloc(&g->arena, N * scales);
#pragma omp parallel for schedule(static)
    for (size_t j = 0; j < N; j++) {
        uint32_t code[K];
        pl_quantise(&g->weight, g->w + j * K, NULL, K, code, g->scale + j * scales);
        pl_pack(pl_format_bits(&g->weight), code, K, g->packed + j * bytes);
        pl_panel_set_right(&o->spec, o->right, j, 0, K, code, g->scale + j * scales);
    }
}

static enum pl_status prepare(struct gemm *g, struct operands *o, uint64_t seed, struct pl_diag *d)
{
    const struct pl_arch *a = g->arch;
    struct pl_rng r;
    PL_TRY(pl_mm_spec_init(&o->spec, &g->act, &g->weight, false, a->vector_format.elem, a->mlen, a->blen, a->guard,
                           a->acc_bits, d));
    o->left = pl_panel_new(&o->spec, false, M, K);
    o->right = pl_panel_new(&o->spec, true, N, K);
    g->x = malloc(sizeof(float) * M * K);
    g->w = malloc(sizeof(float) * N * K);
    g->out = malloc(sizeof(float) * M * N);
    if (!g->x || !g->w || !g->out)
        return pl_fail(d, PL_ENOMEM, "no memory for the matrices");
    pl_rng_init(&r, seed);
    for (size_t i = 0; i < (size_t)M * K; i++)
        g->x[i] = pl_vec_round(PL_BF16, (float)(pl_rng_double(&r) - 0.5));
    for (size_t i = 0; i < (size_t)N * K; i++)
        g->w[i] = (float)(pl_rng_double(&r) - 0.5);
    quantise_weights(g, o);
    return gemm_image(g, d);
}

static void product(const struct gemm *g, const struct operands *o)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < M; i++)
        pl_panel_set_left(&o->spec, o->left, i, 0, K, g->x + i * K, NULL);
    pl_mm_product(&o->spec, o->left, M, o->right, N, g->out, N);
}

static enum pl_status same_bits(const struct gemm *g, const struct pl_sim *sim, struct pl_diag *d)
{
    float got[N], want[N];
    for (uint32_t i = 0; i < M; i++) {
        PL_TRY(pl_sim_read_tensor(sim, GEMM_Y, i, 0, N, got, d));
        pl_vec_round_n(PL_BF16, g->out + (size_t)i * N, N, want);
        if (memcmp(got, want, sizeof got))
            return pl_fail(d, PL_EFAULT, "row %u of the array differs from the product", i);
    }
    return PL_OK;
}

static double since(uint64_t t0)
{
    return (double)(pl_clock_ns() - t0) * 1e-9;
}

/* The first turn is not timed. */
static enum pl_status turns(const struct gemm *g, const struct operands *o, struct pl_sim *sim, uint64_t reps, struct times *best,
                            struct pl_diag *d)
{
    *best = (struct times){1e300, 1e300, 1e300};
    for (uint64_t rep = 0; rep <= reps; rep++) {
        enum pl_sim_stop stop;
        struct times t;
        uint64_t t0 = pl_clock_ns();
        PL_TRY(pl_sim_run(sim, 0, &stop, d));
        t.array = since(t0);
        t0 = pl_clock_ns();
        product(g, o);
        t.product = since(t0);
        if (rep == 0) {
            PL_TRY(same_bits(g, sim, d));
            continue;
        }
        t0 = pl_clock_ns();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1, g->x, K, g->w, K, 0, g->out, N);
        t.blas = since(t0);
        best->array = t.array < best->array ? t.array : best->array;
        best->product = t.product < best->product ? t.product : best->product;
        best->blas = t.blas < best->blas ? t.blas : best->blas;
    }
    return PL_OK;
}

static void print(const struct bench_options *o, const char *machine, const char *name, const struct times *t)
{
    const double macs = (double)M * N * K;
    const struct {
        const char *what;
        double value;
        const char *unit;
    } figure[] = {{"array", t->array, "s"},
                  {"array_rate", macs / t->array * 1e-9, "GMAC/s"},
                  {"product", t->product, "s"},
                  {"product_rate", macs / t->product * 1e-9, "GMAC/s"},
                  {"sgemm", t->blas, "s"},
                  {"sgemm_rate", macs / t->blas * 1e-9, "GMAC/s"},
                  {"product_ratio", t->product / t->blas, "x sgemm"},
                  {"ratio", t->array / t->blas, "x sgemm"}};
    for (size_t i = 0; i < PL_COUNT(figure); i++) {
        char full[128];
        snprintf(full, sizeof full, "gemm_%s_%s_%s", machine, name, figure[i].what);
        bench_figure(o, full, figure[i].value, figure[i].unit);
    }
}

static enum pl_status one(const struct bench_options *o, const struct pl_arch *arch, const char *name, const char *act,
                          const char *weight, struct pl_diag *d)
{
    struct gemm g = {.arch = arch, .m = M, .n = N, .k = K};
    struct operands p = {0};
    struct pl_sim *sim = NULL;
    struct times best;
    pl_arena_init(&g.arena);
    enum pl_status s = pl_format_parse(act, &g.act, d);
    if (s == PL_OK)
        s = pl_format_parse(weight, &g.weight, d);
    if (s == PL_OK)
        s = prepare(&g, &p, o->seed, d);
    const struct pl_sim_options so = {.functional = true};
    if (s == PL_OK)
        s = pl_sim_new(arch, &g.image, &so, &sim, d);
    if (s == PL_OK)
        s = turns(&g, &p, sim, o->reps, &best, d);
    if (s == PL_OK)
        print(o, arch->name, name, &best);
    pl_sim_free(sim);
    pl_panel_free(p.left);
    pl_panel_free(p.right);
    free(g.x);
    free(g.w);
    free(g.out);
    pl_arena_fini(&g.arena);
    return s;
}

/* Both operands of one format; and the formats of the paper's evaluation, 4-bit weights and 8-bit activations. */
enum pl_status bench_gemm(const struct bench_options *o, struct pl_diag *d)
{
    const char *const machines[] = {"paper", "small", o->machine};
    for (size_t i = 0; i < PL_COUNT(machines); i++) {
        struct pl_arch arch;
        if (i == 2 && (!strcmp(machines[2], machines[0]) || !strcmp(machines[2], machines[1])))
            continue;
        PL_TRY(pl_arch_load(machines[i], &arch, d));
        PL_TRY(one(o, &arch, "mxint8", "mxint8:16", "mxint8:16", d));
        PL_TRY(one(o, &arch, "mxint4", "mxint4:16", "mxint4:16", d));
        PL_TRY(one(o, &arch, "mxint4_weights", "mxint8:16", "mxint4:16", d));
    }
    return PL_OK;
}
