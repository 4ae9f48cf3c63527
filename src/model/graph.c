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
    add(g, (struct pl_graph_op){.kind = PL_OP_KV_STORE, .name = "attention.kv_store", .src = PL_VAL_K, .dst = PL_VAL_K,
                                .bias = c->k_offset ? PL_W_K_OFFSET : PL_W_NONE});
    add(g, (struct pl_graph_op){.kind = PL_OP_ATTENTION, .name = "attention.init", .src = PL_VAL_Q, .dst = PL_VAL_HEADS});
    biased(g, "attention.o_proj", PL_VAL_HEADS, PL_VAL_DELTA, PL_W_O, c->o_bias ? PL_W_O_BIAS : PL_W_NONE);
    add(g, (struct pl_graph_op){.kind = PL_OP_RESIDUAL, .name = "attention.residual", .src = PL_VAL_DELTA, .dst = PL_VAL_X});
}

static void latent_attention(struct pl_graph *g, const struct pl_model_config *c)
{
    enum pl_value x = PL_VAL_Y;
    norm(g, "attention.norm", PL_W_INPUT_NORM);
    if (c->mla.q_rank) {
        linear(g, "attention.q_a_proj", PL_VAL_Y, PL_VAL_QA, PL_W_Q_A);
        add(g, (struct pl_graph_op){.kind = PL_OP_RANK_NORM, .name = "attention.q_norm", .src = PL_VAL_QA, .dst = PL_VAL_QA,
                                    .weight = PL_W_Q_A_NORM});
        x = PL_VAL_QA;
    }
    linear(g, "attention.q_proj", x, PL_VAL_Q, PL_W_Q);
    linear(g, "attention.q_rope_proj", x, PL_VAL_QR, PL_W_Q_ROPE);
    linear(g, "attention.kv_a_proj", PL_VAL_Y, PL_VAL_K, PL_W_KV_A);
    add(g, (struct pl_graph_op){.kind = PL_OP_RANK_NORM, .name = "attention.kv_norm", .src = PL_VAL_K, .dst = PL_VAL_K,
                                .weight = PL_W_KV_A_NORM});
    add(g, (struct pl_graph_op){.kind = PL_OP_ROPE, .name = "attention.rope", .src = PL_VAL_QR, .dst = PL_VAL_QR});
    add(g, (struct pl_graph_op){.kind = PL_OP_ROPE, .name = "attention.rope", .src = PL_VAL_K, .dst = PL_VAL_K});
    add(g, (struct pl_graph_op){.kind = PL_OP_KV_STORE, .name = "attention.kv_store", .src = PL_VAL_K, .dst = PL_VAL_K});
    add(g, (struct pl_graph_op){.kind = PL_OP_ABSORB, .name = "attention.absorb", .src = PL_VAL_Q, .dst = PL_VAL_QC, .weight = PL_W_K_B});
    add(g, (struct pl_graph_op){.kind = PL_OP_ATTENTION, .name = "attention.init", .src = PL_VAL_QC, .dst = PL_VAL_OL});
    add(g, (struct pl_graph_op){.kind = PL_OP_EXPAND, .name = "attention.expand", .src = PL_VAL_OL, .dst = PL_VAL_HEADS,
                                .weight = PL_W_V_B});
    linear(g, "attention.o_proj", PL_VAL_HEADS, PL_VAL_DELTA, PL_W_O);
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

static void experts(struct pl_graph *g)
{
    norm(g, "mlp.norm", PL_W_POST_NORM);
    add(g, (struct pl_graph_op){.kind = PL_OP_EXPERTS, .name = "mlp.router", .src = PL_VAL_Y, .dst = PL_VAL_DELTA, .weight = PL_W_ROUTER});
    add(g, (struct pl_graph_op){.kind = PL_OP_RESIDUAL, .name = "mlp.residual", .src = PL_VAL_DELTA, .dst = PL_VAL_X});
}

void pl_graph_layer(const struct pl_model_config *c, uint32_t l, struct pl_graph *out)
{
    *out = (struct pl_graph){0};
    if (c->mla.kv_rank)
        latent_attention(out, c);
    else
        attention(out, c);
    out->mlp = out->n;
    if (pl_model_sparse(c, l))
        experts(out);
    else
        mlp(out);
}

/* ---- weights ---- */
static const struct {
    struct pl_weight_info info;
    size_t at; /* in struct pl_layer_tensors */
} weights[PL_WEIGHTS] = {
#define AT(member) offsetof(struct pl_layer_tensors, member)
    [PL_W_INPUT_NORM] = {{"input_layernorm", PL_LANES_ONE, PL_LANES_HIDDEN, false, false}, AT(input_norm)},
    [PL_W_Q] = {{"q_proj", PL_LANES_Q_ROPE, PL_LANES_Q_IN, true, false}, AT(q)},
    [PL_W_K] = {{"k_proj", PL_LANES_KV_ROPE, PL_LANES_HIDDEN, true, false}, AT(k)},
    [PL_W_V] = {{"v_proj", PL_LANES_KV, PL_LANES_HIDDEN, true, false}, AT(v)},
    [PL_W_O] = {{"o_proj", PL_LANES_HIDDEN, PL_LANES_Q, true, false}, AT(o)},
    [PL_W_Q_BIAS] = {{"q_proj.bias", PL_LANES_ONE, PL_LANES_Q_ROPE, false, false}, AT(q_bias)},
    [PL_W_K_BIAS] = {{"k_proj.bias", PL_LANES_ONE, PL_LANES_KV_ROPE, false, false}, AT(k_bias)},
    [PL_W_V_BIAS] = {{"v_proj.bias", PL_LANES_ONE, PL_LANES_KV, false, false}, AT(v_bias)},
    [PL_W_O_BIAS] = {{"o_proj.bias", PL_LANES_ONE, PL_LANES_HIDDEN, false, false}, AT(o_bias)},
    [PL_W_Q_NORM] = {{"q_norm", PL_LANES_ONE, PL_LANES_HEAD_ROPE, false, false}, AT(q_norm)},
    [PL_W_K_NORM] = {{"k_norm", PL_LANES_ONE, PL_LANES_HEAD_ROPE, false, false}, AT(k_norm)},
    [PL_W_SINKS] = {{"sinks", PL_LANES_ONE, PL_LANES_SINKS, false, false}, AT(sinks)},
    [PL_W_K_OFFSET] = {{"k_offset", PL_LANES_ONE, PL_LANES_KV_ROPE, false, false}, AT(k_offset)},
    [PL_W_Q_A] = {{"q_a_proj", PL_LANES_Q_RANK, PL_LANES_HIDDEN, true, false}, AT(q_a)},
    [PL_W_Q_A_NORM] = {{"q_a_layernorm", PL_LANES_ONE, PL_LANES_Q_RANK, false, false}, AT(q_a_norm)},
    [PL_W_Q_ROPE] = {{"q_proj.rope", PL_LANES_QR, PL_LANES_Q_IN, true, false}, AT(q)},
    [PL_W_KV_A] = {{"kv_a_proj", PL_LANES_LATENT, PL_LANES_HIDDEN, true, false}, AT(kv_a)},
    [PL_W_KV_A_NORM] = {{"kv_a_layernorm", PL_LANES_ONE, PL_LANES_KV_RANK, false, false}, AT(kv_a_norm)},
    [PL_W_K_B] = {{"kv_b_proj.k", PL_LANES_K_B, PL_LANES_NOPE, true, false}, AT(kv_b)},
    [PL_W_V_B] = {{"kv_b_proj.v", PL_LANES_Q, PL_LANES_KV_RANK, true, false}, AT(kv_b)},
    [PL_W_POST_NORM] = {{"post_attention_layernorm", PL_LANES_ONE, PL_LANES_HIDDEN, false, false}, AT(post_norm)},
    [PL_W_GATE] = {{"gate_proj", PL_LANES_FFN, PL_LANES_HIDDEN, true, false}, AT(gate)},
    [PL_W_UP] = {{"up_proj", PL_LANES_FFN, PL_LANES_HIDDEN, true, false}, AT(up)},
    [PL_W_DOWN] = {{"down_proj", PL_LANES_HIDDEN, PL_LANES_FFN, true, false}, AT(down)},
    [PL_W_ROUTER] = {{"router", PL_LANES_EXPERTS, PL_LANES_HIDDEN, false, true}, AT(router)},
    [PL_W_ROUTER_BIAS] = {{"router_bias", PL_LANES_ONE, PL_LANES_EXPERTS, false, false}, AT(router_bias)},
    [PL_W_SELECT_BIAS] = {{"select_bias", PL_LANES_ONE, PL_LANES_EXPERTS, false, false}, AT(select_bias)},
    [PL_W_SHARED_GATE] = {{"shared.gate_proj", PL_LANES_SHARED, PL_LANES_HIDDEN, true, false}, AT(shared.gate)},
    [PL_W_SHARED_UP] = {{"shared.up_proj", PL_LANES_SHARED, PL_LANES_HIDDEN, true, false}, AT(shared.up)},
    [PL_W_SHARED_DOWN] = {{"shared.down_proj", PL_LANES_HIDDEN, PL_LANES_SHARED, true, false}, AT(shared.down)},
#undef AT
};

const struct pl_weight_info *pl_weight_info(enum pl_weight w)
{
    return &weights[w].info;
}

const struct pl_tensor *pl_layer_weight(const struct pl_layer_tensors *t, enum pl_weight w)
{
    if (t->q_b && (w == PL_W_Q || w == PL_W_Q_ROPE))
        return t->q_b;
    if (!t->kv_a && w == PL_W_Q_ROPE)
        return NULL;
    return *(const struct pl_tensor *const *)(const void *)((const char *)t + weights[w].at);
}

bool pl_layer_has_weight(const struct pl_model_config *c, uint32_t l, enum pl_weight w)
{
    const bool sparse = pl_model_sparse(c, l), mla = c->mla.kv_rank;
    switch (w) {
    case PL_W_NONE:
        return false;
    case PL_W_K:
    case PL_W_V:
        return !mla;
    case PL_W_GATE: case PL_W_UP: case PL_W_DOWN:
        return !sparse;
    case PL_W_ROUTER:
        return sparse;
    case PL_W_ROUTER_BIAS:
        return sparse && c->moe.router_bias;
    case PL_W_SELECT_BIAS:
        return sparse && c->moe.select_bias;
    case PL_W_SHARED_GATE: case PL_W_SHARED_UP: case PL_W_SHARED_DOWN:
        return sparse && c->moe.shared;
    case PL_W_Q_BIAS: case PL_W_K_BIAS: case PL_W_V_BIAS:
        return c->qkv_bias;
    case PL_W_O_BIAS:
        return c->o_bias;
    case PL_W_Q_NORM: case PL_W_K_NORM:
        return c->qk_norm;
    case PL_W_SINKS:
        return c->sinks;
    case PL_W_K_OFFSET:
        return c->k_offset;
    case PL_W_Q_A:
    case PL_W_Q_A_NORM:
        return c->mla.q_rank;
    case PL_W_Q_ROPE:
    case PL_W_KV_A:
    case PL_W_KV_A_NORM:
    case PL_W_K_B:
    case PL_W_V_B:
        return mla;
    default:
        return true;
    }
}

bool pl_model_has_weight(const struct pl_model_config *c, enum pl_weight w)
{
    for (uint32_t l = 0; l < c->n_layers; l++)
        if (pl_layer_has_weight(c, l, w))
            return true;
    return false;
}
