/* graph.c - the operators of a layer and the places of its weights, from the configuration. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/model_graph.h"

#include <stddef.h>

unsigned pl_graph_kind(const struct pl_model_config *c, uint32_t l)
{
    return (pl_model_window(c, l) ? 1u : 0u) + (pl_model_sparse(c, l) ? 2u : 0u);
}

enum { MOST_PERIOD = 16 };
struct pl_graph_run pl_graph_run(const struct pl_model_config *c, uint32_t first)
{
    struct pl_graph_run best = {first, 1, 0};
    for (uint32_t period = 1; period <= MOST_PERIOD && first + period <= c->n_layers; period++) {
        uint32_t end = first + period;
        while (end < c->n_layers && pl_graph_kind(c, end) == pl_graph_kind(c, end - period))
            end++;
        const uint32_t repeat = (end - first) / period;
        if ((period == 1 || repeat > 1) && repeat * period > best.repeat * best.period)
            best = (struct pl_graph_run){first, period, repeat};
    }
    return best;
}

static void add(struct pl_graph *g, struct pl_graph_op op)
{
    g->op[g->n++] = op;
}

static void norm(struct pl_graph *g, const char *name, enum pl_weight gain)
{
    add(g, (struct pl_graph_op){.kind = PL_OP_NORM, .name = name, .src = PL_VAL_X, .dst = PL_VAL_Y, .weight = gain});
}

static void biased(struct pl_graph *g, const char *name, enum pl_value src, enum pl_value dst, enum pl_weight weight,
                   enum pl_weight bias)
{
    add(g, (struct pl_graph_op){.kind = PL_OP_LINEAR, .name = name, .src = src, .dst = dst, .weight = weight, .bias = bias});
}

static void linear(struct pl_graph *g, const char *name, enum pl_value src, enum pl_value dst, enum pl_weight weight)
{
    biased(g, name, src, dst, weight, PL_W_NONE);
}

static void head_norm(struct pl_graph *g, enum pl_value heads, enum pl_weight gain)
{
    add(g, (struct pl_graph_op){.kind = PL_OP_HEAD_NORM, .name = "attention.head_norm", .src = heads, .dst = heads, .weight = gain});
}

static void attention(struct pl_graph *g, const struct pl_model_config *c)
{
    const bool bias = c->qkv_bias;
    norm(g, "attention.norm", PL_W_INPUT_NORM);
    biased(g, "attention.q_proj", PL_VAL_Y, PL_VAL_Q, PL_W_Q, bias ? PL_W_Q_BIAS : PL_W_NONE);
    biased(g, "attention.k_proj", PL_VAL_Y, PL_VAL_K, PL_W_K, bias ? PL_W_K_BIAS : PL_W_NONE);
    biased(g, "attention.v_proj", PL_VAL_Y, PL_VAL_V, PL_W_V, bias ? PL_W_V_BIAS : PL_W_NONE);
    if (c->qk_norm) {
        head_norm(g, PL_VAL_Q, PL_W_Q_NORM);
        head_norm(g, PL_VAL_K, PL_W_K_NORM);
    }
    add(g, (struct pl_graph_op){.kind = PL_OP_ROPE, .name = "attention.rope", .src = PL_VAL_Q, .dst = PL_VAL_Q});
    add(g, (struct pl_graph_op){.kind = PL_OP_ROPE, .name = "attention.rope", .src = PL_VAL_K, .dst = PL_VAL_K});
    add(g, (struct pl_graph_op){.kind = PL_OP_KV_STORE, .name = "attention.kv_store", .src = PL_VAL_K, .dst = PL_VAL_K});
    add(g, (struct pl_graph_op){.kind = PL_OP_ATTENTION, .name = "attention.init", .src = PL_VAL_Q, .dst = PL_VAL_HEADS});
    biased(g, "attention.o_proj", PL_VAL_HEADS, PL_VAL_DELTA, PL_W_O, c->o_bias ? PL_W_O_BIAS : PL_W_NONE);
    add(g, (struct pl_graph_op){.kind = PL_OP_RESIDUAL, .name = "attention.residual", .src = PL_VAL_DELTA, .dst = PL_VAL_X});
}

static void mlp(struct pl_graph *g)
{
    norm(g, "mlp.norm", PL_W_POST_NORM);
    linear(g, "mlp.gate_proj", PL_VAL_Y, PL_VAL_GATE, PL_W_GATE);
    linear(g, "mlp.up_proj", PL_VAL_Y, PL_VAL_UP, PL_W_UP);
    add(g, (struct pl_graph_op){.kind = PL_OP_GLU, .name = "mlp.swiglu", .src = PL_VAL_UP, .dst = PL_VAL_GATE});
    linear(g, "mlp.down_proj", PL_VAL_GATE, PL_VAL_DELTA, PL_W_DOWN);
    add(g, (struct pl_graph_op){.kind = PL_OP_RESIDUAL, .name = "mlp.residual", .src = PL_VAL_DELTA, .dst = PL_VAL_X});
}

void pl_graph_layer(const struct pl_model_config *c, uint32_t l, struct pl_graph *out)
{
    (void)l;
    *out = (struct pl_graph){0};
    attention(out, c);
    out->mlp = out->n;
    mlp(out);
}

/* ---- weights ---- */
static const struct {
    struct pl_weight_info info;
    size_t at; /* in struct pl_layer_tensors */
} weights[PL_WEIGHTS] = {
#define AT(member) offsetof(struct pl_layer_tensors, member)
    [PL_W_INPUT_NORM] = {{"input_layernorm", PL_LANES_ONE, PL_LANES_HIDDEN, false}, AT(input_norm)},
    [PL_W_Q] = {{"q_proj", PL_LANES_Q_ROPE, PL_LANES_HIDDEN, true}, AT(q)},
    [PL_W_K] = {{"k_proj", PL_LANES_KV_ROPE, PL_LANES_HIDDEN, true}, AT(k)},
    [PL_W_V] = {{"v_proj", PL_LANES_KV, PL_LANES_HIDDEN, true}, AT(v)},
    [PL_W_O] = {{"o_proj", PL_LANES_HIDDEN, PL_LANES_Q, true}, AT(o)},
    [PL_W_Q_BIAS] = {{"q_proj.bias", PL_LANES_ONE, PL_LANES_Q_ROPE, false}, AT(q_bias)},
    [PL_W_K_BIAS] = {{"k_proj.bias", PL_LANES_ONE, PL_LANES_KV_ROPE, false}, AT(k_bias)},
    [PL_W_V_BIAS] = {{"v_proj.bias", PL_LANES_ONE, PL_LANES_KV, false}, AT(v_bias)},
    [PL_W_O_BIAS] = {{"o_proj.bias", PL_LANES_ONE, PL_LANES_HIDDEN, false}, AT(o_bias)},
    [PL_W_Q_NORM] = {{"q_norm", PL_LANES_ONE, PL_LANES_HEAD_ROPE, false}, AT(q_norm)},
    [PL_W_K_NORM] = {{"k_norm", PL_LANES_ONE, PL_LANES_HEAD_ROPE, false}, AT(k_norm)},
    [PL_W_SINKS] = {{"sinks", PL_LANES_ONE, PL_LANES_SINKS, false}, AT(sinks)},
    [PL_W_POST_NORM] = {{"post_attention_layernorm", PL_LANES_ONE, PL_LANES_HIDDEN, false}, AT(post_norm)},
    [PL_W_GATE] = {{"gate_proj", PL_LANES_FFN, PL_LANES_HIDDEN, true}, AT(gate)},
    [PL_W_UP] = {{"up_proj", PL_LANES_FFN, PL_LANES_HIDDEN, true}, AT(up)},
    [PL_W_DOWN] = {{"down_proj", PL_LANES_HIDDEN, PL_LANES_FFN, true}, AT(down)},
#undef AT
};

const struct pl_weight_info *pl_weight_info(enum pl_weight w)
{
    return &weights[w].info;
}

const struct pl_tensor *pl_layer_weight(const struct pl_layer_tensors *t, enum pl_weight w)
{
    return *(const struct pl_tensor *const *)(const void *)((const char *)t + weights[w].at);
}

bool pl_model_has_weight(const struct pl_model_config *c, enum pl_weight w)
{
    switch (w) {
    case PL_W_Q_BIAS:
    case PL_W_K_BIAS:
    case PL_W_V_BIAS:
        return c->qkv_bias;
    case PL_W_O_BIAS:
        return c->o_bias;
    case PL_W_Q_NORM:
    case PL_W_K_NORM:
        return c->qk_norm;
    case PL_W_SINKS:
        return c->sinks;
    default:
        return w != PL_W_NONE;
    }
}

uint32_t pl_lanes_count(const struct pl_model_config *c, uint32_t hs, enum pl_lanes lanes)
{
    switch (lanes) {
    case PL_LANES_ONE:
        return 1;
    case PL_LANES_HIDDEN:
        return c->hidden;
    case PL_LANES_FFN:
        return c->ffn;
    case PL_LANES_Q:
    case PL_LANES_Q_ROPE:
    case PL_LANES_SINKS:
        return c->n_heads * hs;
    case PL_LANES_KV:
    case PL_LANES_KV_ROPE:
        break;
    case PL_LANES_HEAD_ROPE:
        return hs;
    }
    return c->n_kv_heads * hs;
}

bool pl_lanes_map(const struct pl_model_config *c, uint32_t hs, enum pl_lanes lanes, int32_t *map)
{
    const bool query = lanes == PL_LANES_Q || lanes == PL_LANES_Q_ROPE, split = lanes != PL_LANES_Q && lanes != PL_LANES_KV;
    if (lanes == PL_LANES_SINKS) {
        for (uint32_t i = 0; i < c->n_heads * hs; i++)
            map[pl_model_head_place(c, i / hs) * hs + i % hs] = (int32_t)(i / hs);
        return true;
    }
    const uint32_t n = query ? c->n_heads : lanes == PL_LANES_HEAD_ROPE ? 1 : c->n_kv_heads, dim = c->head_dim;
    if (lanes < PL_LANES_Q)
        return false;
    for (uint32_t i = 0; i < n * hs; i++)
        map[i] = -1;
    for (uint32_t h = 0; h < n; h++) {
        const uint32_t first = (query ? pl_model_head_place(c, h) : h) * hs;
        for (uint32_t i = 0; i < dim; i++)
            map[first + (split && i >= dim / 2 ? hs / 2 + i - dim / 2 : i)] = (int32_t)(h * dim + i);
    }
    return true;
}
