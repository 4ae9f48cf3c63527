/* ptq_internal.h - the Hessian's storage, the element grid, memory, single-threaded BLAS. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PTQ_INTERNAL_H
#define PTQ_INTERNAL_H
#include <math.h>
#include <string.h>

#include "plena/ptq.h"

/* One K x K array holds both: strictly below the diagonal H, on and above it U once factored (before: nothing). */
struct pl_hessian {
    size_t k;
    uint64_t rows;
    double *a;
    double *diag; /* of H */
    double added; /* damping, in the factor only */
    bool factored;
};
enum { PTQ_TILE = 256 }; /* edge of the tiles of K x K work */

/* BLAS on one thread while we thread over fixed tiles ourselves: OpenBLAS cuts products differently for another number
 * of threads, and their last bits with it. Returns what to give back to ptq_blas_restore. */
int ptq_blas_serial(void);
void ptq_blas_restore(int threads);
void *ptq_alloc(size_t n, size_t size); /* zeroed; NULL if it cannot be had */
void *ptq_scratch(size_t n, size_t size); /* small; aborts */

/* factor.c: the upper triangle of a (k x k, row-major) from H to U; false if H is not positive definite */
bool ptq_factor(double *a, size_t k);

/* grid.c: what the elements of a format can be */
struct ptq_grid {
    const struct pl_format *f;
    bool is_int;
    int emax;         /* exponent of the largest element */
    int min_exp, man; /* MXFP: exponent of the smallest normal; fraction bits */
    double max, min;  /* largest and least element */
    double lsb;       /* MXINT: distance of elements */
    int candidate[6]; /* scale bytes to try, from ptq_grid_floor's */
    unsigned n_candidates;
};
struct ptq_grid ptq_grid_of(const struct pl_format *f);
/* For a block whose largest magnitude is amax > 0 the scale byte of the floor rule; E6M2: the least that no element
 * saturates at. */
int ptq_grid_floor(const struct ptq_grid *g, double amax);
int ptq_grid_try(int floor, int candidate); /* their sum, inside 0..254 */
double ptq_pow2(int e); /* |e| < 1000 */
/* The nearest element times the scale's value. */
static inline double ptq_grid_round(const struct ptq_grid *g, double x, double scale)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer, to nearest even */
    double v = x / scale;
    v = v > g->max ? g->max : v < g->min ? g->min : v;
    if (g->is_int)
        return (v / g->lsb + magic - magic) * g->lsb * scale;
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    int e = (int)(u >> 52 & 0x7ff) - 1023;
    e = (e < g->min_exp ? g->min_exp : e) - g->man;
    v = (v * ptq_pow2(-e) + magic - magic) * ptq_pow2(e);
    return (v > g->max ? g->max : v < g->min ? g->min : v) * scale;
}
/* Would the format's rule give a block whose largest magnitude is amax again? If not, *scale is the byte it would take:
 * E4M3 lacks the largest fraction in its top binade only. */
bool ptq_grid_stable(const struct ptq_grid *g, double amax, int *scale);

/* ---- shard.c: the files of a quantised checkpoint ---- */
struct ptq_shard {
    struct pl_arena *a;
    json_t *header;
    struct ptq_piece {
        const uint8_t *data;
        size_t bytes;
    } *piece;
    size_t n, cap;
    uint64_t bytes;
};
void ptq_shard_init(struct ptq_shard *s, struct pl_arena *a, size_t most);
void ptq_shard_fini(struct ptq_shard *s);
/* Data must live until the write. */
void ptq_shard_put(struct ptq_shard *s, const char *name, const char *dtype, unsigned rank, const uint64_t *shape,
                   const uint8_t *data, size_t bytes);
/* report: what ptq_shard_report gives back. */
enum pl_status ptq_shard_write(struct ptq_shard *s, const char *path, const json_t *report, struct pl_diag *d);
/* An existing shard: its report, new reference. */
enum pl_status ptq_shard_report(const char *path, json_t **report, struct pl_diag *d);
/* The tensor `name` from a shard's parts. */
enum pl_status ptq_shard_find(const struct pl_safetensors *st, const char *path, const char *name, const struct pl_format *f,
                              uint64_t rows, uint64_t cols, struct pl_tensor *out, struct pl_diag *d);

/* ---- output.c: everything beside the shards ---- */
struct ptq_job {
    const struct pl_checkpoint *ck;
    const struct pl_ptq_options *o;
    const struct pl_ptq_text *text;
    size_t n_texts, tokens;
    const char *dir;
    struct pl_arena *a;
    struct pl_diag *d;
};
char *ptq_shard_path(const struct ptq_job *j, uint32_t l); /* of layer l; of embedding and lm_head for l = n_layers */
enum pl_status ptq_start(const struct ptq_job *j);  /* make the folder, or agree to go on with it */
enum pl_status ptq_finish(const struct ptq_job *j); /* index, report, tokenizer; config.json last */
#endif
