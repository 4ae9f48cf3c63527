/* nn.h - the reference executor: a whole transformer in fp32, float64, or the machine's quantised arithmetic.
 *
 * The quantised mode follows doc/lowering.md step by step under a numeric plan and gives the simulator's bits.
 * Depends on: mx.h, mx_plan.h, model.h.   Threads: one executor, one caller; OpenMP inside, results independent of
 * the thread count. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_NN_H
#define PLENA_NN_H
#include "plena/base.h"
#include "plena/model.h"
#include "plena/mx_plan.h"

enum pl_nn_mode {
    PL_NN_F64,   /* float64 throughout: test values */
    PL_NN_F32,   /* float32, OpenBLAS: the fast reference */
    PL_NN_QUANT, /* the arithmetic of a plan */
};
struct pl_nn;
/* `plan` only for PL_NN_QUANT. `context`: most tokens a sequence can hold. Weights are converted once, here. `ck` must
 * outlive the executor. */
enum pl_status pl_nn_new(const struct pl_checkpoint *ck, enum pl_nn_mode mode, const struct pl_plan *plan,
                         uint32_t context, struct pl_nn **out, struct pl_diag *d);
void pl_nn_free(struct pl_nn *nn);
void pl_nn_reset(struct pl_nn *nn); /* forget the sequence */
/* Append n tokens to the sequence (prefill or decode: same bits however a sequence is cut) and give logits.
 *   logits  out  float[n][vocab], or [1][vocab] of the last token when last_only
 * Errors: PL_ERANGE for an id outside the vocabulary or a sequence longer than the context. */
enum pl_status pl_nn_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only,
                             float *logits, struct pl_diag *d);
/* Lowest index of the largest logit: the rule of V_ARGMAX. */
uint32_t pl_nn_argmax(const float *logits, size_t n);

/* Teacher forcing over whole texts. */
struct pl_nn_eval {
    uint64_t tokens;      /* predictions made */
    double nll;           /* sum of -ln p(true) */
    double kl;            /* sum of KL(ref || this), when a reference was given */
    uint64_t top1;        /* agreements of the argmax with the reference */
    bool has_ref;
};
/* Add one sequence of n ids (n - 1 predictions, from ids[0] on) to *e. `ref` may be NULL. */
enum pl_status pl_nn_eval_add(struct pl_nn *nn, struct pl_nn *ref, const uint32_t *ids, size_t n,
                              struct pl_nn_eval *e, struct pl_diag *d);
#endif
