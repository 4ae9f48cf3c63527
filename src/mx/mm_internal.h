/* mm_internal.h - layouts shared by the matrix unit's files. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MM_INTERNAL_H
#define MM_INTERNAL_H
#include "mx_internal.h"

enum { LANES = 16 }; /* results a kernel works on at a time: columns */

/* Left: v[i * k + kk], e[i * groups + kk / group]. Right: v[kk * n_pad + j], e[kk / group * n_pad + j].
 * Narrow panels keep v as int16, wide ones as int32; both sides of a product are of one kind. */
struct pl_panel {
    bool is_right, narrow;
    size_t n, n_pad, k, group, groups;
    int16_t *v16;
    int32_t *v32;
    int16_t *e;
};

struct pl_acc {
    size_t rows, cols_pad, subs; /* m[(i * subs + s) * cols_pad + j] */
    int64_t *m, *e;
};

/* One row against LANES columns over `n` lanes of one sub-array of one tile after the other. */
struct mm_strip {
    const struct pl_panel *left, *right;
    size_t i, lk, j, rk; /* first row, left lane, column, right lane */
    size_t tiles, tile;  /* number of tiles, lanes between them */
    unsigned blen, run, guard, acc_bits;
};
typedef void mm_kernel(const struct mm_strip *s, int64_t *m, int64_t *e); /* m, e [LANES], updated */
/* Kernel of a variant (0 portable, 1 AVX2, 2 AVX-512), or NULL when this host has not got it. */
mm_kernel *mm_kernel_variant(unsigned variant, bool narrow);
mm_kernel *mm_kernel_best(bool narrow);
#define MM_DECLARE(suffix)                                                                                             \
    void mm_narrow_##suffix(const struct mm_strip *s, int64_t *m, int64_t *e);                                         \
    void mm_wide_##suffix(const struct mm_strip *s, int64_t *m, int64_t *e);
MM_DECLARE(portable)
MM_DECLARE(avx2)
MM_DECLARE(avx512)

/* m1, e1 [LANES] become the aligned sum with m2, e2: one node of the write-out tree. */
void mm_tree_node(int64_t *m1, int64_t *e1, const int64_t *m2, const int64_t *e2);
/* value = m * 2^(e + bias) in the result format */
float mm_round(const struct pl_mm_spec *s, i128 m, int e);
bool mm_is_narrow(const struct pl_mm_spec *s);
#endif
