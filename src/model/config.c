/* config.c - config.json: what all families have in common; family.c reads the rest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model_internal.h"

enum pl_status model_u32(const struct pl_json_at *at, const json_t *o, const char *key, bool need, uint64_t most, uint32_t *out,
                         struct pl_diag *d)
{
    uint64_t v = *out;
    PL_TRY(pl_json_u64(at, o, key, need, 1, most, &v, d));
    *out = (uint32_t)v;
    return PL_OK;
}

/* Options of newer files that change the result and are not computed here: anything but the neutral value is refused. */
static enum pl_status options(const struct pl_json_at *at, const json_t *o, enum pl_family family, struct pl_diag *d)
{
    double rotary = 1;
    const json_t *v = json_object_get(o, "rope_parameters");
    if (v && !json_is_null(v))
        return pl_fail(d, PL_EUNSUPPORTED, "%s: rope_parameters is not supported", at->file);
    v = json_object_get(o, "quantization_config");
    if (v && !json_is_null(v)) { /* GPT-OSS's experts are read as they are stored: fused.c */
        const char *method = json_string_value(json_object_get(v, "quant_method"));
        if (family != PL_FAMILY_GPT_OSS || !method || strcmp(method, "mxfp4") != 0)
            return pl_fail(d, PL_EUNSUPPORTED, "%s: quantization_config is not supported, but for quant_method \"mxfp4\" of gpt_oss", at->file);
    }
    PL_TRY(pl_json_double(at, o, "partial_rotary_factor", false, &rotary, d));
    if (rotary < 1 || rotary > 1)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: partial_rotary_factor %g is not supported; supported: 1", at->file, rotary);
    return PL_OK;
}

static enum pl_status mlp(const struct pl_json_at *at, const json_t *o, struct pl_diag *d)
{
    const char *act = "silu";
    bool bias = false;
    PL_TRY(pl_json_string(at, o, "hidden_act", false, &act, d));
    if (strcmp(act, "silu") != 0)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: hidden_act \"%s\" is not supported; supported: silu", at->file, act);
    PL_TRY(pl_json_bool(at, o, "mlp_bias", false, &bias, d));
    return bias ? pl_fail(d, PL_EUNSUPPORTED, "%s: mlp_bias is not supported", at->file) : PL_OK;
}

static enum pl_status dims(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    PL_TRY(model_u32(at, o, "vocab_size", true, MODEL_MAX_VOCAB, &c->vocab, d));
    PL_TRY(model_u32(at, o, "hidden_size", true, MODEL_MAX_DIM, &c->hidden, d));
    PL_TRY(model_u32(at, o, "intermediate_size", true, MODEL_MAX_DIM, &c->ffn, d));
    PL_TRY(model_u32(at, o, "num_hidden_layers", true, PL_MAX_LAYERS, &c->n_layers, d));
    PL_TRY(model_u32(at, o, "num_attention_heads", true, 4096, &c->n_heads, d));
    c->n_kv_heads = c->n_heads;
    PL_TRY(model_u32(at, o, "num_key_value_heads", false, 4096, &c->n_kv_heads, d));
    c->head_dim = 0;
    PL_TRY(model_u32(at, o, "head_dim", false, 4096, &c->head_dim, d));
    if (!c->head_dim && c->hidden % c->n_heads)
        return pl_fail(d, PL_ERANGE, "%s: without head_dim, num_attention_heads %u must divide hidden_size %u", at->file,
                       c->n_heads, c->hidden);
    if (!c->head_dim)
        c->head_dim = c->hidden / c->n_heads;
    c->max_position = 2048;
    PL_TRY(model_u32(at, o, "max_position_embeddings", false, MODEL_MAX_POSITION, &c->max_position, d));
    if (c->n_heads % c->n_kv_heads)
        return pl_fail(d, PL_ERANGE, "%s: num_key_value_heads %u does not divide num_attention_heads %u", at->file,
                       c->n_kv_heads, c->n_heads);
    if (c->head_dim < 2 || c->head_dim % 2 || c->head_dim > 4096)
        return pl_fail(d, PL_ERANGE, "%s: head_dim %u must be even and in 2..4096", at->file, c->head_dim);
    if ((uint64_t)c->n_heads * c->head_dim > MODEL_MAX_DIM)
        return pl_fail(d, PL_ERANGE, "%s: %u heads of %u lanes", at->file, c->n_heads, c->head_dim);
    return PL_OK;
}

/* A number or a list of numbers, added to the end-of-sequence ids. */
static enum pl_status eos_ids(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    const json_t *v = json_object_get(o, "eos_token_id");
    if (!v || json_is_null(v))
        return PL_OK;
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(x) || json_integer_value(x) < 0 || json_integer_value(x) >= (json_int_t)c->vocab)
            return pl_fail(d, PL_ERANGE, "%s: eos_token_id: expected token ids below %u", at->file, c->vocab);
        bool known = false;
        for (unsigned k = 0; k < c->n_eos; k++)
            known |= c->eos[k] == (uint32_t)json_integer_value(x);
        if (!known && c->n_eos == PL_COUNT(c->eos))
            return pl_fail(d, PL_EUNSUPPORTED, "%s: eos_token_id: more than %zu ids", at->file, PL_COUNT(c->eos));
        if (!known)
            c->eos[c->n_eos++] = (uint32_t)json_integer_value(x);
    }
    return PL_OK;
}

/* Groups in which the machine rotates the inputs of linear layers. */
static enum pl_status rotations(const struct pl_json_at *at, const json_t *q, struct pl_model_config *c, struct pl_diag *d)
{
    const struct pl_json_at in = {at->file, "plena_quantization.rotate"};
    const struct {
        const char *key;
        uint32_t width;
        enum pl_site site;
    } s[] = {{"qkv", c->hidden, PL_SITE_QKV}, {"gate_up", c->hidden, PL_SITE_GATE_UP}, {"down", c->ffn, PL_SITE_DOWN}, {"head", c->hidden, PL_SITE_HEAD}};
    json_t *r = NULL;
    PL_TRY(pl_json_member(at, q, "rotate", false, JSON_OBJECT, &r, d));
    for (size_t i = 0; r && i < PL_COUNT(s); i++) {
        uint32_t *n = &c->rotate[s[i].site];
        PL_TRY(model_u32(&in, r, s[i].key, false, 4096, n, d));
        if (*n && (!pl_is_pow2(*n) || s[i].width % *n))
            return pl_fail(d, PL_ERANGE, "%s: %s.%s: expected a power of two that divides %u, found %u", at->file, in.path, s[i].key,
                           s[i].width, *n);
    }
    return PL_OK;
}

/* What plena quantize wrote: formats, and whatever else its recipe says. */
static enum pl_status quantization(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    json_t *q = NULL;
    PL_TRY(pl_json_member(at, o, "plena_quantization", false, JSON_OBJECT, &q, d));
    if (!q)
        return PL_OK;
    const struct pl_json_at in = {at->file, "plena_quantization"};
    uint64_t version = 0;
    PL_TRY(pl_json_u64(&in, q, "version", true, 0, UINT32_MAX, &version, d));
    if (version != 1)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: plena_quantization.version %llu is not supported; supported: 1", at->file,
                       (unsigned long long)version);
    const struct {
        const char *key;
        struct pl_format *out;
    } f[] = {{"weights", &c->weight}, {"act", &c->act}, {"kv", &c->kv}};
    for (size_t i = 0; i < PL_COUNT(f); i++) {
        const char *name = NULL;
        PL_TRY(pl_json_string(&in, q, f[i].key, true, &name, d));
        const enum pl_status s = pl_format_parse(name, f[i].out, d);
        if (s != PL_OK)
            return pl_fail_in(d, s, "%s: plena_quantization.%s", at->file, f[i].key);
    }
    if (!pl_format_has_scale(&c->weight))
        return pl_fail(d, PL_EPARSE, "%s: plena_quantization.weights: expected an MX format", at->file);
    c->quantised = true;
    PL_TRY(pl_json_bool(&in, q, "k_offset", false, &c->k_offset, d));
    PL_TRY(rotations(at, q, c, d));
    bool rotated = false;
    for (unsigned i = 0; i < PL_SITES; i++)
        rotated |= c->rotate[i] > 0;
    if ((rotated || c->k_offset) && (c->mla.kv_rank || c->moe.experts))
        return pl_fail(d, PL_EUNSUPPORTED, "%s: plena_quantization: rotate and k_offset are not supported with latent attention or experts",
                       at->file);
    if (c->tied)
        return pl_fail(d, PL_EPARSE, "%s: tie_word_embeddings: a quantised checkpoint has an lm_head of its own", at->file);
    return PL_OK;
}

static enum pl_status read_config(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c,
                                  struct pl_diag *d)
{
    if (!json_is_object(o))
        return pl_fail(d, PL_EPARSE, "%s: expected a JSON object", at->file);
    PL_TRY(model_family(at, o, &c->family, d));
    PL_TRY(options(at, o, c->family, d));
    PL_TRY(mlp(at, o, d));
    PL_TRY(dims(at, o, c, d));
    c->rms_eps = 1e-6;
    c->rope_theta = 10000;
    PL_TRY(pl_json_double(at, o, "rms_norm_eps", false, &c->rms_eps, d));
    PL_TRY(pl_json_double(at, o, "rope_theta", false, &c->rope_theta, d));
    if (!(c->rms_eps > 0 && c->rms_eps < 1))
        return pl_fail(d, PL_ERANGE, "%s: rms_norm_eps: %g is outside (0, 1)", at->file, c->rms_eps);
    if (!(c->rope_theta >= 1 && c->rope_theta <= 1e12))
        return pl_fail(d, PL_ERANGE, "%s: rope_theta: %g is outside 1..1e12", at->file, c->rope_theta);
    PL_TRY(model_features(at, o, c, d));
    PL_TRY(model_rope(at, o, c, d));
    PL_TRY(pl_json_bool(at, o, "tie_word_embeddings", false, &c->tied, d));
    PL_TRY(quantization(at, o, c, d));
    uint64_t bos = UINT64_MAX;
    PL_TRY(pl_json_u64(at, o, "bos_token_id", false, 0, c->vocab - 1, &bos, d));
    c->bos = bos == UINT64_MAX ? -1 : (int64_t)bos;
    return eos_ids(at, o, c, d);
}

enum pl_status pl_model_config_parse(const struct pl_source *src, struct pl_model_config *out, struct pl_diag *d)
{
    json_t *o;
    PL_TRY(pl_json_parse(src, &o, d));
    *out = (struct pl_model_config){0};
    const struct pl_json_at at = {src->name, ""};
    const enum pl_status s = read_config(&at, o, out, d);
    json_decref(o);
    return s;
}

/* generation_config.json beside it may name further end-of-sequence ids. */
static enum pl_status generation_config(const char *config_path, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_buf path;
    pl_buf_init(&path);
    const char *slash = strrchr(config_path, '/');
    if (slash)
        pl_buf_put(&path, config_path, (size_t)(slash - config_path) + 1);
    pl_buf_puts(&path, "generation_config.json");
    enum pl_status s = PL_OK;
    json_t *o;
    if (pl_file_exists(path.data) && (s = pl_json_load(path.data, &o, d)) == PL_OK) {
        const struct pl_json_at at = {path.data, ""};
        s = json_is_object(o) ? eos_ids(&at, o, c, d) : pl_fail(d, PL_EPARSE, "%s: expected a JSON object", at.file);
        json_decref(o);
    }
    pl_buf_fini(&path);
    return s;
}

enum pl_status pl_model_config_load(const char *path, struct pl_model_config *out, struct pl_diag *d)
{
    struct pl_map m;
    PL_TRY(pl_file_map(path, &m, d));
    const struct pl_source src = {path, (const char *)m.data, m.len};
    const enum pl_status s = pl_model_config_parse(&src, out, d);
    pl_file_unmap(&m);
    return s == PL_OK ? generation_config(path, out, d) : s;
}
