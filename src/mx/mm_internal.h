/* mm_internal.h - layouts shared by the matrix unit's files. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MM_INTERNAL_H
#define MM_INTERNAL_H
#include "mx_internal.h"

#if defined(__clang__)
#define MM_WIDTH_512 "" /* clang would ignore a target attribute with what it does not know */
#else
#define MM_WIDTH_512 ",prefer-vector-width=512"
#endif

enum { LANES = 16 }; /* results a kernel works on at a time: columns */
enum mm_kind { MM_WIDE, MM_NARROW, MM_BYTES, MM_KINDS };

/* Left element j is l, right element r + 128 unsigned, as vpdpbusd wants them: sum (r + 128) l - 128 sum l = sum r l. */
struct mm_run {
    int32_t correction; /* -128 * sum of the left elements of the run */
    int32_t e;
};

/* Both sides of a product are of one kind.
 *   wide, narrow  left v[i * k + kk], e[i * groups + kk / group]; right v[kk * n_pad + j], e[kk / group * n_pad + j];
 *                 v is v32 or v16
 *   bytes         left v8[i * k + kk] signed, runs[i * (k / run) + kk / run]
 *                 right strips of LANES vectors, four k of one vector side by side: MM_BYTE_AT, elements offset by 128;
 *                 e[(j / LANES * groups + kk / group) * LANES + j % LANES] */
struct pl_panel {
    bool is_right;
    uint8_t kind; /* enum mm_kind */
    unsigned group_log;
    size_t n, n_pad, k, group, groups, run;
    uint8_t *v8;
    int16_t *v16;
    int32_t *v32;
    int16_t *e;
    struct mm_run *runs;
};
#define MM_BYTE_AT(p, j, kk) ((j) / LANES * LANES * (p)->k + (kk) / 4 * 4 * LANES + (j) % LANES * 4 + (kk) % 4)
/* As pl_panel_new, of a kind to be tested; bytes only where mm_fits_bytes. */
struct pl_panel *mm_panel_new(const struct pl_mm_spec *s, bool is_right, size_t n, size_t k, enum mm_kind kind);
bool mm_fits_bytes(const struct pl_mm_spec *s);
enum mm_kind mm_kind_of(const struct pl_mm_spec *s); /* what pl_panel_new takes on this host */

struct pl_acc {
    size_t rows, cols_pad, subs; /* m[(i * subs + s) * cols_pad + j] */
    int64_t *m, *e;
};

/* One row against LANES columns over `n` lanes of one sub-array of one tile after the other. */
struct mm_strip {
    const struct pl_panel *left, *right;
    size_t i, lk, j, rk; /* first row, left lane, column (bytes: a multiple of LANES), right lane */
    size_t tiles, tile;  /* number of tiles, lanes between them */
    unsigned blen, run, guard, acc_bits;
};
typedef void mm_kernel(const struct mm_strip *s, int64_t *m, int64_t *e); /* m, e [LANES], updated */
enum { MM_VARIANTS = 4 };
/* Kernel of a variant (0 portable, 1 AVX2, 2 AVX-512, 3 AVX-512 VNNI), or NULL when this host has not got it. */
mm_kernel *mm_kernel_variant(unsigned variant, enum mm_kind kind);
mm_kernel *mm_kernel_best(enum mm_kind kind);
#define MM_DECLARE(suffix)                                                                                             \
    void mm_bytes_##suffix(const struct mm_strip *s, int64_t *m, int64_t *e);                                          \
    void mm_narrow_##suffix(const struct mm_strip *s, int64_t *m, int64_t *e);                                         \
    void mm_wide_##suffix(const struct mm_strip *s, int64_t *m, int64_t *e);
MM_DECLARE(portable)
MM_DECLARE(avx2)
MM_DECLARE(avx512)

/* mm_vnni.c: whole results of byte panels, accumulators and write-out tree in registers. */
enum { MM_BLOCK = 4 }; /* rows of one call */
struct mm_job {
    const struct pl_mm_spec *spec;
    const struct pl_mm_term *term;
    size_t n_terms, tiles;  /* tiles of all terms together */
    size_t rows, cols, skew; /* the first result is lane `skew` of strip 0 */
    size_t tiles32, tiles64; /* so many accumulate in 32 bits, up to here without a check for growth */
    bool try32; /* tiles32 is less, but each product fits 32 bits and the sums probably do */
    unsigned tile_log, run_log;
    unsigned levels32;       /* levels of the tree that fit 32 bits, if tiles32 == tiles */
    float *out;
    size_t ldo;
};
bool mm_vnni_here(void);
/* rows <= MM_BLOCK results rows from row i, of strip b. */
void mm_vnni_block(const struct mm_job *job, size_t b, size_t i, size_t rows);
/* mm_kernel of byte panels. */
void mm_bytes_vnni(const struct mm_strip *s, int64_t *m, int64_t *e);
/* MXINT by the floor rule, n a multiple of 16 and of the block, into v; false where a block is out of its range (the
 * caller then takes the general way). */
bool mm_vnni_quantise(const struct pl_format *f, const float *x, size_t n, int8_t *v, int16_t *e);

/* m1, e1 [LANES] become the aligned sum with m2, e2: one node of the write-out tree. */
void mm_tree_node(int64_t *m1, int64_t *e1, const int64_t *m2, const int64_t *e2);
/* value = m * 2^(e + bias) in the result format */
float mm_round(const struct pl_mm_spec *s, i128 m, int e);
/* product.c */
struct mm_job mm_job_of(const struct pl_mm_spec *s, const struct pl_mm_term *term, size_t n_terms);
#endif
