/* product.c - whole products: sums of terms, accumulated and written out strip by strip. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#include <stdlib.h>

enum { TRY_RUNS = 8 }; /* an accumulator of so many full-size products seldom leaves 32 bits */
enum { SMALL = 1 << 22 }; /* multiplications below which threads do not pay */

static size_t umin(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Tiles within t < 2^bits runs. */
static size_t tiles_within(const struct pl_mm_spec *s, int bits)
{
    if (bits <= 0)
        return 0;
    return (((size_t)1 << umin((size_t)bits, 40)) - 1) / (s->blen / s->run);
}

struct mm_job mm_job_of(const struct pl_mm_spec *s, const struct pl_mm_term *term, size_t n_terms)
{
    struct mm_job job = {.spec = s, .term = term, .n_terms = n_terms, .skew = term[0].j0 % LANES,
                         .tile_log = pl_log2(s->tile), .run_log = pl_log2(s->run)};
    const int in = (int)(s->ledge.width + s->redge.width + pl_log2(s->run) + s->guard);
    for (size_t i = 0; i < n_terms; i++)
        job.tiles += term[i].n / s->tile;
    job.tiles64 = umin(job.tiles, tiles_within(s, (int)s->acc_bits - in));
    job.tiles32 = umin(job.tiles64, tiles_within(s, 32 - in));
    /* The left integers are never -2^(width-1), so |2p| 2^G < 2^(Pw-1+G). */
    job.try32 = job.tiles32 < job.tiles && in <= 32 && s->acc_bits >= 32 && job.tiles * (s->blen / s->run) <= TRY_RUNS;
    if (job.tiles32 == job.tiles)
        while (job.levels32 < pl_log2(s->tile / s->blen) && job.tiles << (job.levels32 + 1) <= tiles_within(s, 32 - in))
            job.levels32++;
    return job;
}

/* Every strip of every term starts at the same lane of a strip of its panel. */
static bool same_lanes(const struct pl_mm_term *term, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (term[i].j0 % LANES != term[0].j0 % LANES)
            return false;
    return true;
}

static void sum_bytes(const struct mm_job *job, bool threads)
{
    const size_t strips = (job->skew + job->cols + LANES - 1) / LANES, blocks = (job->rows + MM_BLOCK - 1) / MM_BLOCK;
    const size_t pieces = strips * blocks, chunk = pieces / 64 + 1;
#pragma omp parallel for schedule(dynamic, chunk) if (threads)
    for (size_t n = 0; n < pieces; n++) {
        const size_t i = n % blocks * MM_BLOCK;
        mm_vnni_block(job, n / blocks, i, umin(job->rows - i, MM_BLOCK));
    }
}

/* The general way: accumulators in memory. */
static void sum_general(const struct pl_mm_spec *s, const struct pl_mm_term *term, size_t n, size_t i, size_t rows,
                        size_t j, size_t cols, float *out, size_t ldo)
{
    struct pl_acc *acc = pl_acc_new(s, rows, cols);
    for (size_t t = 0; t < n; t++)
        pl_mm_accumulate(s, term[t].left, term[t].i0 + i, term[t].lk0, term[t].right, term[t].j0 + j, term[t].rk0,
                         term[t].n, rows, cols, acc);
    pl_mm_write_out(s, acc, rows, cols, out + i * ldo + j, ldo);
    pl_acc_free(acc);
}

void pl_mm_sum(const struct pl_mm_spec *s, const struct pl_mm_term *term, size_t n, size_t rows, size_t cols, float *out,
               size_t ldo)
{
    size_t lanes = 0;
    for (size_t t = 0; t < n; t++)
        lanes += term[t].n;
    const bool threads = rows * cols * lanes > SMALL;
    if (term[0].left->kind == MM_BYTES && mm_vnni_here() && same_lanes(term, n)) {
        struct mm_job job = mm_job_of(s, term, n);
        job.rows = rows;
        job.cols = cols;
        job.out = out;
        job.ldo = ldo;
        sum_bytes(&job, threads);
        return;
    }
    const size_t strips = (cols + LANES - 1) / LANES, some = 16, blocks = (rows + some - 1) / some;
#pragma omp parallel for schedule(dynamic, 1) if (threads)
    for (size_t b = 0; b < strips * blocks; b++) {
        const size_t j = b / blocks * LANES, i = b % blocks * some;
        sum_general(s, term, n, i, umin(rows - i, some), j, umin(cols - j, LANES), out, ldo);
    }
}

void pl_mm_product(const struct pl_mm_spec *s, const struct pl_panel *left, size_t rows, const struct pl_panel *right,
                   size_t cols, float *out, size_t ldo)
{
    const struct pl_mm_term all = {.left = left, .right = right, .n = left->k};
    pl_mm_sum(s, &all, 1, rows, cols, out, ldo);
}
