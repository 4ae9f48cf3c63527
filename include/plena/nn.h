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
/* Left and right operands of the products, in the order a token meets them. */
enum pl_nn_operand {
    PL_NN_IN_QKV, PL_NN_OP_Q, PL_NN_OP_K, PL_NN_OP_V, /* Q, K after RoPE; V: a row for each head */
    PL_NN_OP_P,                                       /* one row of exp(s - max), not yet divided by its sum */
    PL_NN_IN_O, PL_NN_IN_GATE_UP, PL_NN_IN_DOWN, PL_NN_IN_HEAD, PL_NN_OPERANDS,
};
extern const char *const pl_nn_operand_name[PL_NN_OPERANDS];
/* Called on every operand before it is used, in F32 and F64 mode: x double[rows][cols], to read or to change. `layer` is
 * n_layers for the head. May be called from several threads at once. */
struct pl_nn_hook {
    void (*edit)(void *ctx, uint32_t layer, enum pl_nn_operand what, double *x, size_t rows, size_t cols);
    void *ctx;
};
void pl_nn_set_hook(struct pl_nn *nn, struct pl_nn_hook hook);
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

/* ---- one layer at a time: quantised arithmetic with one layer's weights in memory, for calibration ---- */
enum pl_nn_site { /* where values can be looked at: inputs of linear layers, and K after RoPE */
    PL_NN_QKV = PL_SITE_QKV,
    PL_NN_O = PL_SITE_O,
    PL_NN_GATE_UP = PL_SITE_GATE_UP,
    PL_NN_DOWN = PL_SITE_DOWN,
    PL_NN_HEAD = PL_SITE_HEAD,
    PL_NN_KEYS
};
enum pl_nn_weight { PL_NN_W_Q, PL_NN_W_K, PL_NN_W_V, PL_NN_W_O, PL_NN_W_GATE, PL_NN_W_UP, PL_NN_W_DOWN, PL_NN_WEIGHTS };
struct pl_nn_stream;
/* `context`: most tokens of a sequence. `ck` must outlive the stream. */
enum pl_status pl_nn_stream_new(const struct pl_checkpoint *ck, const struct pl_plan *plan, uint32_t context,
                                struct pl_nn_stream **out, struct pl_diag *d);
void pl_nn_stream_free(struct pl_nn_stream *s);
size_t pl_nn_stream_width(const struct pl_nn_stream *s); /* floats of one token's state */
/* x float[n][width]: the state before layer 0. Ids below the vocabulary. */
void pl_nn_stream_embed(const struct pl_nn_stream *s, const uint32_t *ids, size_t n, float *x);
/* Take layer l's norm gains, and its offset of K if it has one; its matrices must be set before what needs them is run. */
void pl_nn_stream_layer(struct pl_nn_stream *s, uint32_t l);
/* A matrix of the current layer, any tensor of its shape; quantised in the plan's weight format. */
void pl_nn_stream_set(struct pl_nn_stream *s, enum pl_nn_weight which, const struct pl_tensor *t);
void pl_nn_stream_set_k_offset(struct pl_nn_stream *s, const struct pl_tensor *t); /* [kv heads * head_dim] */
size_t pl_nn_stream_cols(const struct pl_nn_stream *s, enum pl_nn_site site); /* inputs of a site: K */
/* Inputs of a site for one sequence of n tokens in state x, which stays as it is: out float[n][cols], as the array takes
 * them, after quantisation to the activation format. QKV and O want the state before the layer, GATE_UP and DOWN the one
 * after pl_nn_stream_attend, HEAD the one after the last layer. KEYS: K after RoPE, before offset and rotation, not quantised. */
void pl_nn_stream_inputs(struct pl_nn_stream *s, const float *x, size_t n, enum pl_nn_site site, float *out);
/* One sequence through the two halves of the current layer, their matrices set. */
void pl_nn_stream_attend(struct pl_nn_stream *s, float *x, size_t n);
void pl_nn_stream_mlp(struct pl_nn_stream *s, float *x, size_t n);
#endif
