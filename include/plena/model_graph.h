/* model_graph.h - a decoder layer as a list of typed operators, and the weights they take.
 *
 * A family is data: pl_graph_layer makes the list from the configuration; nn executes it and comp emits it, each through
 * a table with a function for every kind. The order of the list is the order of the arithmetic (doc/lowering.md).
 * Depends on: model.h, mx_plan.h.   Threads: pure functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MODEL_GRAPH_H
#define PLENA_MODEL_GRAPH_H
#include "plena/model.h"
#include "plena/mx_plan.h"

enum pl_op_kind {
    PL_OP_NORM,      /* dst = RMSNorm(src) with gain `weight` */
    PL_OP_LINEAR,    /* dst = src weight^T, + `bias` unless PL_W_NONE */
    PL_OP_HEAD_NORM, /* every head of dst = its RMSNorm with gain `weight` */
    PL_OP_ROPE,      /* heads of dst rotated */
    PL_OP_KV_STORE,  /* K, + `bias` unless PL_W_NONE, and V appended to the cache */
    PL_OP_ATTENTION, /* dst = heads' outputs of the queries src over the cache */
    PL_OP_RANK_NORM, /* MLA: dst = its RMSNorm with gain `weight`; of K only the latent's lanes */
    PL_OP_ABSORB,    /* MLA: every head of dst = its part of src through PL_W_K_B, and its rotated part of PL_VAL_QR */
    PL_OP_EXPAND,    /* MLA: every head of dst = its part of src through PL_W_V_B */
    PL_OP_GLU,       /* dst = activation(dst) * src */
    PL_OP_EXPERTS,   /* dst = what the experts that each row of src is routed to give it, and the shared ones */
    PL_OP_RESIDUAL,  /* dst = dst + src */
    PL_OP_KINDS
};
/* Activations of a pass: a row for each token. Of MLA, Q and QR are what is not rotated and what is, QA their common low
 * rank, QC the queries of the latent, K the latent and its rotated part, OL the heads' outputs in the latent. */
enum pl_value { PL_VAL_X, PL_VAL_Y, PL_VAL_Q, PL_VAL_K, PL_VAL_V, PL_VAL_HEADS, PL_VAL_GATE, PL_VAL_UP, PL_VAL_DELTA, PL_VAL_QA,
                PL_VAL_QR, PL_VAL_QC, PL_VAL_OL, PL_VALUES };
/* Weights of a layer that are one tensor each. */
enum pl_weight {
    PL_W_NONE,
    PL_W_INPUT_NORM,
    PL_W_Q,
    PL_W_K,
    PL_W_V,
    PL_W_O,
    PL_W_Q_BIAS,
    PL_W_K_BIAS,
    PL_W_V_BIAS,
    PL_W_O_BIAS,
    PL_W_Q_NORM,
    PL_W_K_NORM,
    PL_W_SINKS,
    PL_W_K_OFFSET, /* in the machine it goes through the rotation that K goes through before it */
    PL_W_Q_A, /* MLA */
    PL_W_Q_A_NORM,
    PL_W_Q_ROPE,
    PL_W_KV_A,
    PL_W_KV_A_NORM,
    PL_W_K_B,
    PL_W_V_B,
    PL_W_POST_NORM,
    PL_W_GATE,
    PL_W_UP,
    PL_W_DOWN,
    PL_W_ROUTER,
    PL_W_ROUTER_BIAS,
    PL_W_SELECT_BIAS,
    PL_W_SHARED_GATE,
    PL_W_SHARED_UP,
    PL_W_SHARED_DOWN,
    PL_WEIGHTS
};
struct pl_graph_op {
    enum pl_op_kind kind;
    const char *name; /* of its code and figures: "attention.q_proj" */
    enum pl_value src, dst;
    enum pl_weight weight, bias;
};
enum { PL_GRAPH_MOST = 32 };
struct pl_graph {
    struct pl_graph_op op[PL_GRAPH_MOST];
    unsigned n;
    unsigned mlp; /* first operator of the MLP half; those before are the attention half */
};
/* The operators of layer l. Layers of one kind (pl_graph_kind) have the same. */
void pl_graph_layer(const struct pl_model_config *c, uint32_t l, struct pl_graph *out);
/* What distinguishes the layers of a model: windowed or not, experts or not. */
unsigned pl_graph_kind(const struct pl_model_config *c, uint32_t l);
/* A stretch of layers: `repeat` times the kinds of the `period` layers from `first` on. */
struct pl_graph_run {
    uint32_t first, period, repeat;
};
/* The stretch from layer `first` on: of short patterns the one that covers most layers. */
struct pl_graph_run pl_graph_run(const struct pl_model_config *c, uint32_t first);

/* ---- how rows and columns of weights stand in the machine ---- */
enum pl_lanes {
    PL_LANES_ONE,     /* the single row of a vector */
    PL_LANES_HIDDEN,  /* as in the checkpoint */
    PL_LANES_FFN,
    PL_LANES_EXPERTS,
    PL_LANES_SHARED,  /* FFN lanes of the shared experts */
    PL_LANES_Q_IN,    /* what queries are made of: the hidden state, or MLA's low rank */
    PL_LANES_Q_RANK,
    PL_LANES_KV_RANK,
    PL_LANES_NOPE,    /* MLA: a head's lanes that are not rotated, in their slot */
    PL_LANES_K_B,     /* ... and what the heads see of the latent, a slot for each */
    PL_LANES_Q,       /* query heads in slots, at pl_model_head_place; of MLA the heads' values */
    PL_LANES_Q_ROPE,  /* ... the halves of a head starting the halves of its slot; of MLA what is not rotated */
    PL_LANES_KV,      /* kv heads in slots, in order */
    PL_LANES_KV_ROPE,
    PL_LANES_SINKS,     /* a number for each query head, in all lanes of its slot */
    PL_LANES_HEAD_ROPE, /* one head of these in its slot: of a vector that all heads share */
    PL_LANES_QR,        /* MLA: the rotated parts of query heads; pairs stand side by side in the checkpoint */
    PL_LANES_LATENT     /* MLA: the latent at lane 0, the rotated key at the end of plan.head_slot */
};
/* Lanes of MLA's parts, each a power of two of at least HLEN, or whole chunks of kv_tile lanes. */
struct pl_mla_slots {
    uint32_t nope, rope, v; /* of a head */
    uint32_t rank;          /* rows of a head in PL_W_K_B */
    uint32_t latent;        /* of the latent, in whole chunks: a head's output in OL */
    uint32_t row;           /* of a row of the cache: plan.head_slot */
};
struct pl_mla_slots pl_mla_slots(const struct pl_model_config *c, const struct pl_plan *p);
/* Row i of head h of PL_W_K_B (values: false; nope lanes, with the factor of the scores) or PL_W_V_B (kv_rank lanes). */
void pl_mla_row(const struct pl_model_config *c, const struct pl_tensor *kv_b, bool values, uint32_t h, uint32_t i, float *out);

struct pl_weight_info {
    const char *name; /* as the checkpoint has it, within its layer */
    enum pl_lanes rows, cols;
    bool linear; /* weight format; else in the vector format, */
    bool plain;  /* but for the array too */
};
const struct pl_weight_info *pl_weight_info(enum pl_weight w);
/* NULL: the layer has none. */
const struct pl_tensor *pl_layer_weight(const struct pl_layer_tensors *t, enum pl_weight w);
bool pl_layer_has_weight(const struct pl_model_config *c, uint32_t l, enum pl_weight w);
/* Does any layer of the model have it? */
bool pl_model_has_weight(const struct pl_model_config *c, enum pl_weight w);
/* Lanes that `lanes` takes. */
uint32_t pl_lanes_count(const struct pl_model_config *c, const struct pl_plan *p, enum pl_lanes lanes);
/* map[lane] = the checkpoint's row or column there, or -1; false: the identity, nothing written. */
bool pl_lanes_map(const struct pl_model_config *c, const struct pl_plan *p, enum pl_lanes lanes, int32_t *map);
#endif
