/* tensors.c - the tensors a checkpoint of each family holds: names, shapes, and where they go. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model_internal.h"

struct wants {
    struct model_want *list; /* NULL: count only */
    size_t n;
    const char *prefix; /* of the names that follow */
};

static void want(struct wants *w, const char *name, uint64_t rows, uint64_t cols, bool linear, const struct pl_tensor **out)
{
    if (w->list) {
        struct model_want *t = &w->list[w->n];
        *t = (struct model_want){.rows = rows, .cols = cols, .linear = linear, .out = out};
        snprintf(t->name, sizeof t->name, "%s%s", w->prefix, name);
    }
    w->n++;
}

static void matrix(struct wants *w, const char *name, uint64_t rows, uint64_t cols, const struct pl_tensor **out)
{
    want(w, name, rows, cols, true, out);
}

static void vector(struct wants *w, const char *name, uint64_t n, const struct pl_tensor **out)
{
    want(w, name, 0, n, false, out);
}

static void attention(struct wants *w, const struct pl_model_config *c, struct pl_layer_tensors *t)
{
    const uint64_t q = (uint64_t)c->n_heads * c->head_dim, kv = (uint64_t)c->n_kv_heads * c->head_dim;
    matrix(w, "self_attn.q_proj.weight", q, c->hidden, &t->q);
    matrix(w, "self_attn.k_proj.weight", kv, c->hidden, &t->k);
    matrix(w, "self_attn.v_proj.weight", kv, c->hidden, &t->v);
    matrix(w, "self_attn.o_proj.weight", c->hidden, q, &t->o);
    if (c->qkv_bias) {
        vector(w, "self_attn.q_proj.bias", q, &t->q_bias);
        vector(w, "self_attn.k_proj.bias", kv, &t->k_bias);
        vector(w, "self_attn.v_proj.bias", kv, &t->v_bias);
    }
    if (c->o_bias)
        vector(w, "self_attn.o_proj.bias", c->hidden, &t->o_bias);
    if (c->qk_norm) {
        vector(w, "self_attn.q_norm.weight", c->head_dim, &t->q_norm);
        vector(w, "self_attn.k_norm.weight", c->head_dim, &t->k_norm);
    }
    if (c->sinks)
        vector(w, "self_attn.sinks", c->n_heads, &t->sinks);
    if (c->k_offset)
        vector(w, "self_attn.k_offset", kv, &t->k_offset);
}

static void latent_attention(struct wants *w, const struct pl_model_config *c, struct pl_layer_tensors *t)
{
    const struct pl_mla *m = &c->mla;
    const uint64_t q = (uint64_t)c->n_heads * c->head_dim;
    if (m->q_rank) {
        matrix(w, "self_attn.q_a_proj.weight", m->q_rank, c->hidden, &t->q_a);
        vector(w, "self_attn.q_a_layernorm.weight", m->q_rank, &t->q_a_norm);
        matrix(w, "self_attn.q_b_proj.weight", q, m->q_rank, &t->q_b);
    } else {
        matrix(w, "self_attn.q_proj.weight", q, c->hidden, &t->q);
    }
    matrix(w, "self_attn.kv_a_proj_with_mqa.weight", m->kv_rank + m->rope, c->hidden, &t->kv_a);
    vector(w, "self_attn.kv_a_layernorm.weight", m->kv_rank, &t->kv_a_norm);
    matrix(w, "self_attn.kv_b_proj.weight", (uint64_t)c->n_heads * (m->nope + m->v), m->kv_rank, &t->kv_b);
    matrix(w, "self_attn.o_proj.weight", c->hidden, (uint64_t)c->n_heads * m->v, &t->o);
}

static void mlp(struct wants *w, const char *prefix, const char *const name[3], uint64_t hidden, uint64_t ffn,
                const struct pl_tensor **gate, const struct pl_tensor **up, const struct pl_tensor **down)
{
    char full[64];
    const struct pl_tensor **const out[] = {gate, up, down};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(full, sizeof full, "%s%s.weight", prefix, name[i]);
        matrix(w, full, i == 2 ? hidden : ffn, i == 2 ? ffn : hidden, out[i]);
    }
}

/* One tensor a matrix of an expert. */
static void moe(struct wants *w, const struct pl_model_config *c, struct pl_layer_tensors *t)
{
    static const char *const mixtral[] = {"w1", "w3", "w2"}, *const plain[] = {"gate_proj", "up_proj", "down_proj"};
    const struct pl_moe *m = &c->moe;
    const bool block = c->family == PL_FAMILY_MIXTRAL;
    const char *at = block ? "block_sparse_moe" : "mlp", *const *name = block ? mixtral : plain;
    char prefix[48];
    const char *router = c->family == PL_FAMILY_GPT_OSS ? "router" : "gate";
    snprintf(prefix, sizeof prefix, "%s.%s.weight", at, router);
    want(w, prefix, m->experts, c->hidden, false, &t->router);
    if (m->router_bias)
        vector(w, "mlp.router.bias", m->experts, &t->router_bias);
    if (m->select_bias)
        vector(w, "mlp.gate.e_score_correction_bias", m->experts, &t->select_bias);
    for (uint32_t e = 0; e < m->experts; e++) {
        struct pl_mlp_tensors *x = &t->expert[e];
        snprintf(prefix, sizeof prefix, "%s.experts.%u.", at, e);
        mlp(w, prefix, name, c->hidden, m->ffn, &x->gate, &x->up, &x->down);
        if (m->expert_bias) {
            const char *const bias[] = {"gate_proj.bias", "up_proj.bias", "down_proj.bias"};
            const struct pl_tensor **const out[] = {&x->gate_bias, &x->up_bias, &x->down_bias};
            for (unsigned i = 0; i < 3; i++) {
                char full[80];
                snprintf(full, sizeof full, "%s%s", prefix, bias[i]);
                vector(w, full, i == 2 ? c->hidden : m->ffn, out[i]);
            }
        }
    }
    if (m->shared)
        mlp(w, "mlp.shared_experts.", plain, c->hidden, (uint64_t)m->shared * m->ffn, &t->shared.gate, &t->shared.up, &t->shared.down);
}

static void all(struct wants *w, struct pl_checkpoint *ck)
{
    static const char *const plain[] = {"gate_proj", "up_proj", "down_proj"};
    const struct pl_model_config *c = &ck->config;
    char prefix[32];
    w->n = 0;
    w->prefix = "";
    want(w, "model.embed_tokens.weight", c->vocab, c->hidden, false, &ck->embed);
    vector(w, "model.norm.weight", c->hidden, &ck->final_norm);
    if (!c->tied)
        matrix(w, "lm_head.weight", c->vocab, c->hidden, &ck->lm_head);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        struct pl_layer_tensors *t = &ck->layer[l];
        snprintf(prefix, sizeof prefix, "model.layers.%u.", l);
        w->prefix = prefix;
        vector(w, "input_layernorm.weight", c->hidden, &t->input_norm);
        if (c->mla.kv_rank)
            latent_attention(w, c, t);
        else
            attention(w, c, t);
        vector(w, "post_attention_layernorm.weight", c->hidden, &t->post_norm);
        if (pl_model_sparse(c, l))
            moe(w, c, t);
        else
            mlp(w, "mlp.", plain, c->hidden, c->ffn, &t->gate, &t->up, &t->down);
    }
}

struct model_want *model_wants(struct pl_arena *a, struct pl_checkpoint *ck, size_t *n)
{
    struct wants w = {0};
    ck->layer = PL_NEW_N(a, struct pl_layer_tensors, ck->config.n_layers);
    for (uint32_t l = 0; l < ck->config.n_layers; l++)
        if (pl_model_sparse(&ck->config, l))
            ck->layer[l].expert = PL_NEW_N(a, struct pl_mlp_tensors, ck->config.moe.experts);
    all(&w, ck);
    w.list = PL_NEW_N(a, struct model_want, w.n);
    all(&w, ck);
    *n = w.n;
    return w.list;
}

/* ---- random weights ---- */
/* Uniform: mean + [-spread, spread). */
static void fill(struct pl_rng *r, float *x, uint64_t n, double mean, double spread)
{
    for (uint64_t i = 0; i < n; i++)
        x[i] = (float)(mean + (2 * pl_rng_double(r) - 1) * spread);
}

enum pl_status pl_checkpoint_synthetic(struct pl_arena *a, const struct pl_model_config *c, uint64_t seed, struct pl_checkpoint **out,
                                       struct pl_diag *d)
{
    struct pl_checkpoint *ck = PL_NEW(a, struct pl_checkpoint);
    struct pl_rng rng;
    size_t n;
    ck->dir = "synthetic";
    ck->config = *c;
    pl_rng_init(&rng, seed);
    const struct model_want *w = model_wants(a, ck, &n);
    ck->tensors.tensor = PL_NEW_N(a, struct pl_tensor, n);
    ck->tensors.n = n;
    for (size_t i = 0; i < n; i++) {
        struct pl_tensor *t = &ck->tensors.tensor[i];
        const uint64_t count = (w[i].rows ? w[i].rows : 1) * w[i].cols;
        float *x = pl_alloc_bulk(a, count, sizeof *x);
        if (!x)
            return pl_fail(d, PL_ENOMEM, "no memory for tensor \"%s\" of %llu elements", w[i].name, (unsigned long long)count);
        const bool gain = !w[i].rows && strstr(w[i].name, "norm");
        if (gain)
            fill(&rng, x, count, 1, 0.25);
        else /* of variance 1/K, the embedding of 1, other vectors small */
            fill(&rng, x, count, 0, !w[i].rows ? 0.25 : i == 0 ? sqrt(3.0) : sqrt(3.0 / (double)w[i].cols));
        *t = (struct pl_tensor){.name = pl_arena_strdup(a, w[i].name), .dtype_name = "F32", .dtype = PL_DTYPE_F32,
                                .rank = w[i].rows ? 2 : 1, .data = (const uint8_t *)x, .bytes = count * sizeof *x, .count = count};
        t->shape[0] = w[i].rows ? w[i].rows : w[i].cols;
        t->shape[1] = w[i].rows ? w[i].cols : 0;
        *w[i].out = t;
    }
    if (c->tied)
        ck->lm_head = ck->embed;
    *out = ck;
    return PL_OK;
}
