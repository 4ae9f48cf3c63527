/* overlap.h - how well a program hides its transfers: array and HBM against what they can do. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_OVERLAP_H
#define BENCH_OVERLAP_H
#include "plena/sim.h"

struct overlap {
    uint64_t cycles, array_cyc, hbm_bytes;
    double array_share;     /* busy cycles of the array in all cycles */
    double bytes_per_cycle; /* moved */
    double achievable;      /* bytes a cycle of one sequential read of as many bytes */
    double hbm_share;       /* bytes_per_cycle of achievable */
    uint64_t unnamed_cyc;   /* of all units: neither busy nor idle for a named cause; 0 */
};
/* y[m][n] = x[m][k] w[n][k]^T by the program of gemm_image.c, timing only. act, weight: formats. */
enum pl_status overlap_gemm(const struct pl_arch *arch, uint32_t m, uint32_t n, uint32_t k, const char *act, const char *weight,
                            struct overlap *out, struct pl_diag *d);
/* Core cycles that HBM of this machine takes for one sequential read. */
enum pl_status overlap_sequential(const struct pl_arch *arch, uint64_t bytes, double *cycles, struct pl_diag *d);

/* A decode step behind `position` tokens, operator by operator. What bounds an operator, or the step, is the largest of the
 * busy cycles of the array and of the vector unit, and of the cycles that HBM takes for its bytes at the achievable rate;
 * bytes count where loads are issued, and weights are asked for by the operator before the one that uses them. */
enum { OVERLAP_OPS = 64 };
struct overlap_op {
    char name[48];
    uint64_t cycles, array_cyc, vector_cyc;
    double hbm_cyc, bound, share; /* share: bound of cycles */
    const char *by;               /* "array", "vector", "HBM" */
};
struct overlap_step {
    struct overlap all;
    struct overlap_op op[OVERLAP_OPS], step;
    size_t operators, hbm_bound;
    double least_share; /* of the HBM-bound operators; 1 if there is none */
    char least[48];     /* its name, or "none" */
};
enum pl_status overlap_decode(const struct pl_arch *arch, const char *model, uint32_t position, struct overlap_step *out,
                              struct pl_diag *d);
#endif
