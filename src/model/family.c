/* family.c - what each model family adds to the common configuration: a table, and the readers of its features. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model_internal.h"

/* Features of a family, each read by one function below. */
enum {
    BIAS_KEY = 1,      /* attention_bias: q, k, v and o have biases */
    BIAS_QKV = 2,      /* q, k and v always have */
    QK_NORM = 4,
    WINDOW = 8,        /* sliding_window, in every layer or as layer_types says */
    WINDOW_SWITCH = 16, /* ... only with use_sliding_window, and from layer max_window_layers on */
    MOE_LOCAL = 32,    /* num_local_experts, the experts' FFN is intermediate_size */
    MOE_QWEN = 64,     /* num_experts, moe_intermediate_size, decoder_sparse_step, mlp_only_layers */
    MOE_DEEPSEEK = 128, /* n_routed_experts, shared experts, groups, first_k_dense_replace */
    SINKS_CLAMPED = 256, /* GPT-OSS: sinks, clamped GLU, biases of router and experts */
    MLA = 512
};
static const struct {
    const char *name;
    unsigned features;
} families[PL_FAMILIES] = {
    [PL_FAMILY_LLAMA] = {"llama", BIAS_KEY},
    [PL_FAMILY_MISTRAL] = {"mistral", WINDOW},
    [PL_FAMILY_QWEN2] = {"qwen2", BIAS_QKV | WINDOW_SWITCH},
    [PL_FAMILY_QWEN3] = {"qwen3", BIAS_KEY | QK_NORM | WINDOW_SWITCH},
    [PL_FAMILY_MIXTRAL] = {"mixtral", WINDOW | MOE_LOCAL},
    [PL_FAMILY_QWEN3_MOE] = {"qwen3_moe", BIAS_KEY | QK_NORM | WINDOW_SWITCH | MOE_QWEN},
    [PL_FAMILY_GPT_OSS] = {"gpt_oss", BIAS_KEY | WINDOW | MOE_LOCAL | SINKS_CLAMPED},
    [PL_FAMILY_DEEPSEEK_V2] = {"deepseek_v2", MLA | MOE_DEEPSEEK},
    [PL_FAMILY_DEEPSEEK_V3] = {"deepseek_v3", MLA | MOE_DEEPSEEK},
};

const char *pl_family_name(enum pl_family f)
{
    return families[f].name;
}

enum pl_status model_family(const struct pl_json_at *at, const json_t *o, enum pl_family *out, struct pl_diag *d)
{
    const char *type = NULL;
    PL_TRY(pl_json_string(at, o, "model_type", true, &type, d));
    for (unsigned i = 0; i < PL_FAMILIES; i++)
        if (!strcmp(type, families[i].name)) {
            *out = (enum pl_family)i;
            return PL_OK;
        }
    return pl_fail(d, PL_EUNSUPPORTED,
                   "%s: model_type \"%s\" is not supported; supported: llama, mistral, qwen2, qwen3, mixtral, qwen3_moe, gpt_oss, "
                   "deepseek_v2, deepseek_v3",
                   at->file, type);
}

static void set_bit(uint64_t *bits, uint32_t l)
{
    bits[l / 64] |= UINT64_C(1) << l % 64;
}

/* layer_types says which layers are windowed; without it all from `first` on are. */
static enum pl_status layer_types(const struct pl_json_at *at, const json_t *o, uint32_t first, struct pl_model_config *c,
                                  struct pl_diag *d)
{
    const json_t *list = json_object_get(o, "layer_types");
    if (!list || json_is_null(list)) {
        for (uint32_t l = first; l < c->n_layers; l++)
            set_bit(c->windowed, l);
        return PL_OK;
    }
    if (!json_is_array(list) || json_array_size(list) != c->n_layers)
        return pl_fail(d, PL_EPARSE, "%s: layer_types: expected a list of %u names, one for each layer", at->file, c->n_layers);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        const char *s = json_string_value(json_array_get(list, l));
        if (s && !strcmp(s, "sliding_attention"))
            set_bit(c->windowed, l);
        else if (!s || strcmp(s, "full_attention") != 0)
            return pl_fail(d, PL_EUNSUPPORTED, "%s: layer_types[%u]: %s is not supported; supported: full_attention, sliding_attention",
                           at->file, l, s ? s : "a value that is no name");
    }
    return PL_OK;
}

static enum pl_status window(const struct pl_json_at *at, const json_t *o, unsigned features, struct pl_model_config *c,
                             struct pl_diag *d)
{
    uint32_t w = 0;
    uint64_t first = 0;
    bool on = true;
    if (!(features & (WINDOW | WINDOW_SWITCH)))
        return PL_OK;
    if (features & WINDOW_SWITCH) {
        on = false;
        PL_TRY(pl_json_bool(at, o, "use_sliding_window", false, &on, d));
        PL_TRY(pl_json_u64(at, o, "max_window_layers", false, 0, UINT32_MAX, &first, d));
    }
    PL_TRY(model_u32(at, o, "sliding_window", on && features & WINDOW_SWITCH, MODEL_MAX_POSITION, &w, d));
    if (!on || !w)
        return PL_OK;
    c->window = w;
    return layer_types(at, o, (uint32_t)first, c, d);
}

static enum pl_status experts_fit(const struct pl_json_at *at, const struct pl_model_config *c, struct pl_diag *d)
{
    const struct pl_moe *m = &c->moe;
    if (m->top_k > m->experts)
        return pl_fail(d, PL_ERANGE, "%s: num_experts_per_tok %u exceeds the %u experts", at->file, m->top_k, m->experts);
    if (m->experts % m->groups || m->top_groups > m->groups)
        return pl_fail(d, PL_ERANGE, "%s: n_group %u must divide the %u experts, and topk_group %u not exceed it", at->file, m->groups,
                       m->experts, m->top_groups);
    if (m->experts / m->groups * m->top_groups < m->top_k)
        return pl_fail(d, PL_ERANGE, "%s: topk_group %u groups hold %u experts, num_experts_per_tok is %u", at->file, m->top_groups,
                       m->experts / m->groups * m->top_groups, m->top_k);
    return PL_OK;
}

static enum pl_status moe_local(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_moe *m = &c->moe;
    m->top_k = 2;
    PL_TRY(model_u32(at, o, "num_local_experts", true, MODEL_MAX_EXPERTS, &m->experts, d));
    PL_TRY(model_u32(at, o, "num_experts_per_tok", false, MODEL_MAX_EXPERTS, &m->top_k, d));
    m->ffn = c->ffn;
    for (uint32_t l = 0; l < c->n_layers; l++)
        set_bit(c->sparse, l);
    return PL_OK;
}

static enum pl_status moe_qwen(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_moe *m = &c->moe;
    uint32_t step = 1;
    bool norm = false;
    json_t *dense = NULL;
    PL_TRY(model_u32(at, o, "num_experts", true, MODEL_MAX_EXPERTS, &m->experts, d));
    PL_TRY(model_u32(at, o, "num_experts_per_tok", true, MODEL_MAX_EXPERTS, &m->top_k, d));
    PL_TRY(model_u32(at, o, "moe_intermediate_size", true, MODEL_MAX_DIM, &m->ffn, d));
    PL_TRY(model_u32(at, o, "decoder_sparse_step", false, PL_MAX_LAYERS, &step, d));
    PL_TRY(pl_json_bool(at, o, "norm_topk_prob", false, &norm, d));
    PL_TRY(pl_json_member(at, o, "mlp_only_layers", false, JSON_ARRAY, &dense, d));
    m->score = norm ? PL_MOE_SOFTMAX_CHOSEN : PL_MOE_SOFTMAX;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        bool listed = false;
        for (size_t i = 0; i < json_array_size(dense); i++)
            listed |= json_integer_value(json_array_get(dense, i)) == (json_int_t)l;
        if (!listed && (l + 1) % step == 0)
            set_bit(c->sparse, l);
    }
    return PL_OK;
}

/* How experts are chosen: topk_method, scoring_func, norm_topk_prob. */
static enum pl_status deepseek_routing(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_moe *m = &c->moe;
    const bool v3 = c->family == PL_FAMILY_DEEPSEEK_V3;
    const char *method = v3 ? "noaux_tc" : "greedy", *score = v3 ? "sigmoid" : "softmax";
    bool norm = v3;
    PL_TRY(pl_json_string(at, o, "topk_method", false, &method, d));
    PL_TRY(pl_json_string(at, o, "scoring_func", false, &score, d));
    PL_TRY(pl_json_bool(at, o, "norm_topk_prob", false, &norm, d));
    if (strcmp(score, "softmax") != 0 && strcmp(score, "sigmoid") != 0)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: scoring_func \"%s\" is not supported; supported: softmax, sigmoid", at->file, score);
    const bool sigmoid = !strcmp(score, "sigmoid");
    if (sigmoid && !norm)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: norm_topk_prob false with scoring_func \"sigmoid\" is not supported", at->file);
    m->score = sigmoid ? PL_MOE_SIGMOID : norm ? PL_MOE_SOFTMAX_CHOSEN : PL_MOE_SOFTMAX;
    m->group_top = 1;
    if (!strcmp(method, "greedy")) {
        m->groups = m->top_groups = 1;
    } else if (!strcmp(method, "noaux_tc")) {
        m->select_bias = true;
        m->group_top = 2;
    } else if (strcmp(method, "group_limited_greedy") != 0) {
        return pl_fail(d, PL_EUNSUPPORTED, "%s: topk_method \"%s\" is not supported; supported: greedy, group_limited_greedy, noaux_tc",
                       at->file, method);
    }
    if (m->group_top > m->experts / m->groups)
        return pl_fail(d, PL_ERANGE, "%s: n_group %u leaves groups of fewer than 2 experts", at->file, m->groups);
    return PL_OK;
}

static enum pl_status moe_deepseek(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_moe *m = &c->moe;
    uint64_t dense = 0, shared = 0;
    uint32_t every = 1;
    PL_TRY(model_u32(at, o, "n_routed_experts", true, MODEL_MAX_EXPERTS, &m->experts, d));
    PL_TRY(model_u32(at, o, "num_experts_per_tok", true, MODEL_MAX_EXPERTS, &m->top_k, d));
    PL_TRY(model_u32(at, o, "moe_intermediate_size", true, MODEL_MAX_DIM, &m->ffn, d));
    PL_TRY(pl_json_u64(at, o, "n_shared_experts", false, 0, 64, &shared, d));
    PL_TRY(model_u32(at, o, "n_group", false, MODEL_MAX_EXPERTS, &m->groups, d));
    PL_TRY(model_u32(at, o, "topk_group", false, MODEL_MAX_EXPERTS, &m->top_groups, d));
    PL_TRY(pl_json_double(at, o, "routed_scaling_factor", false, &m->scale, d));
    PL_TRY(pl_json_u64(at, o, "first_k_dense_replace", false, 0, PL_MAX_LAYERS, &dense, d));
    PL_TRY(model_u32(at, o, "moe_layer_freq", false, PL_MAX_LAYERS, &every, d));
    m->shared = (uint32_t)shared;
    if (!(m->scale > 0 && m->scale < 1e6))
        return pl_fail(d, PL_ERANGE, "%s: routed_scaling_factor: %g is outside (0, 1e6)", at->file, m->scale);
    for (uint32_t l = (uint32_t)dense; l < c->n_layers; l++)
        if (l % every == 0)
            set_bit(c->sparse, l);
    return deepseek_routing(at, o, c, d);
}

static enum pl_status moe(const struct pl_json_at *at, const json_t *o, unsigned features, struct pl_model_config *c, struct pl_diag *d)
{
    c->moe = (struct pl_moe){.groups = 1, .top_groups = 1, .group_top = 1, .scale = 1};
    if (features & MOE_LOCAL)
        PL_TRY(moe_local(at, o, c, d));
    else if (features & MOE_QWEN)
        PL_TRY(moe_qwen(at, o, c, d));
    else if (features & MOE_DEEPSEEK)
        PL_TRY(moe_deepseek(at, o, c, d));
    else
        return PL_OK;
    return experts_fit(at, c, d);
}

static enum pl_status mla(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_mla *m = &c->mla;
    PL_TRY(model_u32(at, o, "kv_lora_rank", true, MODEL_MAX_DIM, &m->kv_rank, d));
    PL_TRY(model_u32(at, o, "q_lora_rank", false, MODEL_MAX_DIM, &m->q_rank, d));
    PL_TRY(model_u32(at, o, "qk_nope_head_dim", true, 4096, &m->nope, d));
    PL_TRY(model_u32(at, o, "qk_rope_head_dim", true, 4096, &m->rope, d));
    PL_TRY(model_u32(at, o, "v_head_dim", true, 4096, &m->v, d));
    if (m->rope % 2)
        return pl_fail(d, PL_ERANGE, "%s: qk_rope_head_dim %u must be even", at->file, m->rope);
    c->head_dim = m->nope + m->rope;
    if ((uint64_t)c->n_heads * (c->head_dim + m->v) > MODEL_MAX_DIM)
        return pl_fail(d, PL_ERANGE, "%s: %u heads of %u + %u lanes", at->file, c->n_heads, c->head_dim, m->v);
    return PL_OK;
}

enum pl_status model_features(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    const unsigned features = families[c->family].features;
    bool bias = false;
    PL_TRY(pl_json_bool(at, o, "attention_bias", false, &bias, d));
    if (bias && !(features & BIAS_KEY))
        return pl_fail(d, PL_EUNSUPPORTED, "%s: attention_bias is not supported for model_type \"%s\"", at->file, families[c->family].name);
    c->qkv_bias = bias || features & BIAS_QKV;
    c->o_bias = bias;
    c->qk_norm = features & QK_NORM;
    PL_TRY(window(at, o, features, c, d));
    PL_TRY(moe(at, o, features, c, d));
    if (features & MLA)
        PL_TRY(mla(at, o, c, d));
    if (features & SINKS_CLAMPED) {
        c->sinks = c->moe.router_bias = c->moe.expert_bias = true;
        c->glu_limit = 7;
        PL_TRY(pl_json_double(at, o, "swiglu_limit", false, &c->glu_limit, d));
        if (!(c->glu_limit > 0 && c->glu_limit < 1e6))
            return pl_fail(d, PL_ERANGE, "%s: swiglu_limit: %g is outside (0, 1e6)", at->file, c->glu_limit);
    }
    return PL_OK;
}

enum pl_status pl_model_runnable(const struct pl_model_config *c, struct pl_diag *d)
{
    const struct {
        bool has;
        const char *what;
    } f[] = {{c->mla.kv_rank != 0, "latent attention (MLA)"},
             {c->moe.experts != 0, "mixture of experts"}};
    for (size_t i = 0; i < PL_COUNT(f); i++)
        if (f[i].has)
            return pl_fail(d, PL_EUNSUPPORTED, "model_type %s: %s are described, but neither executed nor compiled yet",
                           families[c->family].name, f[i].what);
    return PL_OK;
}
