/* model_graph.h - a decoder layer as a list of typed operators, and the weights they take.
 *
 * A family is data: pl_graph_layer makes the list from the configuration; nn executes it and comp emits it, each through
 * a table with a function for every kind. The order of the list is the order of the arithmetic (doc/lowering.md).
 * Depends on: model.h.   Threads: pure functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MODEL_GRAPH_H
#define PLENA_MODEL_GRAPH_H
#include "plena/model.h"

enum pl_op_kind {
    PL_OP_NORM,      /* dst = RMSNorm(src) with gain `weight` */
    PL_OP_LINEAR,    /* dst = src weight^T, + `bias` unless PL_W_NONE */
    PL_OP_HEAD_NORM, /* every head of dst = its RMSNorm with gain `weight` */
    PL_OP_ROPE,      /* heads of dst rotated */
    PL_OP_KV_STORE,  /* K and V appended to the cache */
    PL_OP_ATTENTION, /* dst = heads' outputs of the queries src over the cache */
    PL_OP_GLU,       /* dst = activation(dst) * src */
    PL_OP_RESIDUAL,  /* dst = dst + src */
    PL_OP_KINDS
};
/* Activations of a pass: a row for each token. */
enum pl_value { PL_VAL_X, PL_VAL_Y, PL_VAL_Q, PL_VAL_K, PL_VAL_V, PL_VAL_HEADS, PL_VAL_GATE, PL_VAL_UP, PL_VAL_DELTA, PL_VALUES };
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
    PL_W_POST_NORM,
    PL_W_GATE,
    PL_W_UP,
    PL_W_DOWN,
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
    PL_LANES_Q,       /* query heads in slots, at pl_model_head_place */
    PL_LANES_Q_ROPE,  /* ... the halves of a head starting the halves of its slot */
    PL_LANES_KV,      /* kv heads in slots, in order */
    PL_LANES_KV_ROPE,
    PL_LANES_SINKS,    /* a number for each query head, in all lanes of its slot */
    PL_LANES_HEAD_ROPE /* one head of these in its slot: of a vector that all heads share */
};
struct pl_weight_info {
    const char *name; /* as the checkpoint has it, within its layer */
    enum pl_lanes rows, cols;
    bool linear; /* weight format; else a vector in the vector format */
};
const struct pl_weight_info *pl_weight_info(enum pl_weight w);
/* NULL: the layer has none. */
const struct pl_tensor *pl_layer_weight(const struct pl_layer_tensors *t, enum pl_weight w);
/* Does any layer of the model have it? */
bool pl_model_has_weight(const struct pl_model_config *c, enum pl_weight w);
/* Lanes that `lanes` takes with head slots of hs lanes. */
uint32_t pl_lanes_count(const struct pl_model_config *c, uint32_t hs, enum pl_lanes lanes);
/* map[lane] = the checkpoint's row or column there, or -1; false: the identity, nothing written. */
bool pl_lanes_map(const struct pl_model_config *c, uint32_t hs, enum pl_lanes lanes, int32_t *map);
#endif
