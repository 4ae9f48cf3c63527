/* ptq.h - post-training quantisation of weights to MX blocks: Hessians, GPTQ with the block scale chosen inside the
 * loop, the authors' rule for comparison.
 *
 * A linear layer y = W x, W[N][K], MX blocks along K. With H = X^T X / rows of its calibration inputs, the error of the
 * outputs is tr(D H D^T), D = W - Q. Source: shared/reference/quantization.md, 2; doc/quantization.md.
 * Depends on: base.h, mx.h, model.h, nn.h.   Threads: OpenMP inside over fixed tiles, BLAS calls on one thread each, so
 * results do not depend on the thread count. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PTQ_H
#define PLENA_PTQ_H
#include "plena/base.h"
#include "plena/base_json.h"
#include "plena/model.h"
#include "plena/mx_plan.h"
#include "plena/ptq_fold.h"

/* ---- Hessian of the inputs of a linear layer ---- */
struct pl_hessian;
/* PL_ENOMEM when k * k doubles cannot be had. */
enum pl_status pl_hessian_new(size_t k, struct pl_hessian **out, struct pl_diag *d);
void pl_hessian_free(struct pl_hessian *h);
/* Add rows of inputs, x float[rows][ldx]; not after pl_hessian_factor. Products are float32 over at most 4096 rows,
 * their sums float64. */
void pl_hessian_add(struct pl_hessian *h, const float *x, size_t rows, size_t ldx);
/* Divide by the rows, add damp * mean(diag) to the diagonal (of the factor only), and find the upper U of
 * (H + damp)^-1 = U^T U. Damping rises tenfold up to 5 times where the factorisation fails; *used is what was taken.
 * PL_ERANGE when the inputs are not finite, or all of this fails. Inputs that never occurred (zero diagonal) are left to
 * the damping. */
enum pl_status pl_hessian_factor(struct pl_hessian *h, double damp, double *used, struct pl_diag *d);
/* H[i][j] without damping; after pl_hessian_factor. */
double pl_hessian_at(const struct pl_hessian *h, size_t i, size_t j);

/* ---- weights that make up for quantised inputs ---- */
struct pl_cross;
enum pl_status pl_cross_new(size_t k, struct pl_cross **out, struct pl_diag *d); /* k * k doubles; PL_ENOMEM */
void pl_cross_free(struct pl_cross *c);
/* Add rows: x float[rows][k] inputs in the unquantised model, y those of the same tokens as they are. */
void pl_cross_add(struct pl_cross *c, const float *x, const float *y, size_t rows);
/* Once, after the last rows; h of the same y, factored. */
void pl_cross_solve(struct pl_cross *c, const struct pl_hessian *h);
/* Move w float[n][k] by `part` (0..1) of the way to the weights whose outputs on y are nearest to w's on x, as least
 * squares with h's damping has it; after pl_cross_solve. */
void pl_cross_apply(const struct pl_cross *c, double part, float *w, size_t n);

/* ---- rounding a matrix ---- */
enum pl_ptq_search { /* what the scale of a block minimises, over a few near the floor rule's (E6M2: the least that saturates nothing) */
    PL_SEARCH_NONE,   /* nothing: the floor rule */
    PL_SEARCH_WEIGHT, /* |d|^2: the paper's Err_w */
    PL_SEARCH_OUTPUT, /* d H_bb d^T: the paper's Err_y, from the Gram block instead of all tokens */
    PL_SEARCH_SCHUR,  /* |d U_bb^-1|^2: what remains after later columns compensate */
    PL_SEARCH_COMP,   /* the same, of the columns as they are rounded one after another: compensated */
};
enum pl_ptq_propagation { /* how the error of a block reaches the columns behind it */
    PL_PROPAGATE_NONE,   /* not: round to nearest */
    PL_PROPAGATE_PEER,   /* d / diag(U_bb) * U_b,rest, as in the authors' code */
    PL_PROPAGATE_BLOCK,  /* d U_bb^-1 U_b,rest: exact, the block rounded at once */
    PL_PROPAGATE_COLUMN, /* exact, column by column: GPTQ */
};
struct pl_ptq_rule {
    enum pl_ptq_search search;
    enum pl_ptq_propagation propagation;
};
extern const char *const pl_ptq_search_name[5];
extern const char *const pl_ptq_propagation_name[4];

/* Round w[n][k] to `f` (MXINT or MXFP).
 *   h      factored; NULL for PROPAGATE_NONE with SEARCH_NONE or SEARCH_WEIGHT
 *   q      out  float[n][k], exact values; may be w
 *   scale  out  uint8_t[n][pl_format_row_scales(f, k)]
 * The values are such that pl_quantise gives them again under the same format, whatever its scale rule; where
 * pl_ptq_divisible(f), also when blocks are cut in parts.
 * Errors: PL_ENOMEM; PL_ERANGE for a weight that is no number, with row and column. */
enum pl_status pl_ptq_round(const struct pl_hessian *h, struct pl_ptq_rule rule, const struct pl_format *f, const float *w,
                            size_t n, size_t k, float *q, uint8_t *scale, struct pl_diag *d);
/* Coordinate descent on the elements of pl_ptq_round's result, exponents as they are, at most `sweeps` times over each row:
 * tr(D (H + damping) D^T) never rises. Only where pl_ptq_divisible(f); else nothing happens. */
void pl_ptq_refine(const struct pl_hessian *h, const struct pl_format *f, const float *w, size_t n, unsigned sweeps, float *q, uint8_t *scale);
/* Every format but those with the E4M3 special code, whose top binade lacks the largest fraction. */
bool pl_ptq_divisible(const struct pl_format *f);
/* The codes of one row of pl_ptq_round's result, packed: pl_format_row_bytes(f, k) bytes. */
void pl_ptq_pack_row(const struct pl_format *f, const float *q, const uint8_t *scale, size_t k, uint8_t *bytes);
/* tr(D H D^T) of D = w - q, or of w when q is NULL: squared output error summed over outputs, mean over input rows. */
double pl_ptq_error(const struct pl_hessian *h, const float *w, const float *q, size_t n);

/* The slow, obvious twin of PROPAGATE_COLUMN, in LDLQ form: H + damping = R R^T with R upper, residuals against the
 * original weights, elements by trying every code. h double[k][k] with the damping in it. SEARCH_NONE or SEARCH_COMP. */
void pl_ptq_round_ref(const double *h, enum pl_ptq_search search, const struct pl_format *f, const float *w, size_t n,
                      size_t k, float *q, uint8_t *scale);

/* ---- a whole checkpoint ---- */
struct pl_ptq_text {
    const uint32_t *ids;
    size_t n;
};
struct pl_ptq_options {
    struct pl_plan plan; /* weight MX; activations and KV cache as they will be at run time */
    struct pl_ptq_rule rule;
    double damp;
    unsigned sweeps;           /* of coordinate descent behind it; 0: none */
    const struct pl_fold_spec *fold; /* transforms worked into the weights first; or NULL */
    const json_t *transforms;  /* what they are, for the recipe; borrowed; may be NULL */
    double aim;                /* 0..1: part of the way weights move to make up for quantised inputs; 0: not */
    bool center_keys;          /* K less its mean over the calibration tokens: softmax does not see it, the cache does */
    bool compare;              /* report the errors of rounding to nearest and of the peer's rule too */
    const json_t *provenance;  /* put into the recipe as it is; borrowed; may be NULL */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* or NULL */
    void *ctx;
};
/* Quantise the linear layers of `ck` into the folder `dir`, made if need be: config.json with plena_quantization (formats
 * and recipe), one safetensors file for each layer, report.json, tokenizer.json. Layer by layer: the inputs a matrix is
 * calibrated on are those of the model whose earlier matrices are already quantised, in the plan's arithmetic. A folder
 * that a killed run of the same recipe left is continued after its last whole layer. Without texts only rules that need
 * no Hessian.
 * Errors: PL_EUSAGE for a folder of another recipe or of another checkpoint; PL_ERANGE for weights that are no numbers
 * and for fewer calibration tokens than a matrix has inputs; PL_EUNSUPPORTED for blocks that cross heads, or a checkpoint
 * already quantised; PL_EIO. */
enum pl_status pl_ptq_checkpoint(const struct pl_checkpoint *ck, const struct pl_ptq_options *o, const struct pl_ptq_text *text,
                                 size_t n_texts, const char *dir, struct pl_diag *d);
#endif
