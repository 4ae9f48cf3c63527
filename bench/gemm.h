/* gemm.h - a linear layer of any size as a program image: what bench gemm and bench efficiency run. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_GEMM_H
#define BENCH_GEMM_H
#include "plena/arch.h"
#include "plena/obj.h"

enum { GEMM_X, GEMM_W, GEMM_Y }; /* tensor descriptors */

struct gemm {
    const struct pl_arch *arch;
    uint32_t m, n, k; /* tokens (a power of two), outputs, inputs */
    struct pl_format act, weight;
    struct pl_arena arena;
    float *x, *w, *out;  /* [M][K] in the vector format, [N][K], [M][N]; x NULL: an image without data, for timing */
    uint8_t *packed, *scale; /* w quantised: rows of pl_format_row_bytes and pl_format_row_scales */
    struct pl_image image;
};
/* y[M][N] = x[M][K] w[N][K]^T on g->arch: descriptors, HBM segments and code, in g->arena. x and y are BF16 in HBM. */
enum pl_status gemm_image(struct gemm *g, struct pl_diag *d);
#endif
