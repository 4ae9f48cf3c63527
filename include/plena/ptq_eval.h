/* ptq_eval.h - what quantisation does to a model: scores of whole texts with standard errors, quantisation of single
 * operands emulated around fp32 products, and the search for where to rotate.
 *
 * A score is a ratio, sum over texts / predictions. Texts are the independent units: its standard error is that of a ratio
 * estimator, sqrt(n / (n - 1) sum (x_i - mean t_i)^2) / sum t_i. Of a difference, x_i is the difference of the same text.
 * Source: shared/reference/quantization.md, 3.5, 4, 7.3.   Depends on: nn.h, ptq.h.   Threads: one caller. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PTQ_EVAL_H
#define PLENA_PTQ_EVAL_H
#include "plena/nn.h"
#include "plena/ptq.h"

struct pl_scores { /* of each text */
    size_t n;
    double *predictions, *nll, *kl, *top1; /* kl, top1: zero without a reference */
};
/* Room for n texts; then one after another: teacher forcing of nn, and of ref (may be NULL). */
void pl_scores_init(struct pl_arena *a, size_t n, struct pl_scores *out);
enum pl_status pl_scores_add(struct pl_nn *nn, struct pl_nn *ref, const struct pl_ptq_text *text, struct pl_scores *s, struct pl_diag *d);
/* Teacher forcing of nn, and of ref (may be NULL), over every text. */
enum pl_status pl_scores_of(struct pl_arena *a, struct pl_nn *nn, struct pl_nn *ref, const struct pl_ptq_text *text, size_t n,
                            struct pl_scores *out, struct pl_diag *d);
struct pl_ratio {
    double mean, se; /* se: NaN for fewer than two texts */
};
/* Mean of x, or of x - minus (NULL: nothing), for each prediction of s. */
struct pl_ratio pl_scores_mean(const struct pl_scores *s, const double *x, const double *minus);
/* Is the mean more than two standard errors from 0? Its sign then, else 0: tied. */
int pl_ratio_sign(struct pl_ratio r);

/* ---- operands quantised around fp32 products ---- */
struct pl_emulation {
    struct pl_format format[PL_NN_OPERANDS]; /* NONE: left as it is */
    uint32_t rotate[PL_NN_OPERANDS];         /* lanes of groups rotated before, and back after: one-sided; 0: not */
    const double *k_mean;                    /* [n_layers][kv heads * head_dim] taken off K before, added after; or NULL */
    uint32_t n_kv_heads;
};
/* For pl_nn_set_hook, ctx = a const struct pl_emulation. */
void pl_emulate(void *ctx, uint32_t layer, enum pl_nn_operand what, double *x, size_t rows, size_t cols);
/* Means of K after RoPE in fp32: double[n_layers][kv heads * head_dim] in the arena. */
enum pl_status pl_key_means(struct pl_arena *a, const struct pl_checkpoint *ck, const struct pl_ptq_text *text, size_t n,
                            const double **out, struct pl_diag *d);

/* Choose where to rotate (bits 1 << enum pl_rotation of PL_ROTATE_ALL), from nothing upwards: in each round the place whose
 * rotation lowers the KL to fp32 most, as long as it does by more than two standard errors of the paired difference.
 * Weights rounded to nearest, operands emulated in the plan's formats. */
enum pl_status pl_rotations_choose(const struct pl_checkpoint *ck, const struct pl_plan *plan, const struct pl_ptq_text *text, size_t n,
                                   unsigned *out, struct pl_diag *d);
#endif
