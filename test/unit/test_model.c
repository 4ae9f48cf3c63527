/* test_model.c - config.json key by key, rotation frequencies by hand, checkpoint folders good and
 * broken. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "plena/model.h"

static struct pl_diag d;

/* ---- config.json, made of members that a test may replace or drop ---- */
struct member {
    const char *key, *value;
};
static const struct member base[] = {
    {"model_type", "\"llama\""},  {"vocab_size", "5"},        {"hidden_size", "4"},
    {"intermediate_size", "6"},   {"num_hidden_layers", "1"}, {"num_attention_heads", "2"},
    {"num_key_value_heads", "1"}, {"hidden_act", "\"silu\""}, {"max_position_embeddings", "32"},
    {"rms_norm_eps", "1e-5"},     {"rope_theta", "10000.0"},  {"tie_word_embeddings", "false"},
    {"bos_token_id", "1"},        {"eos_token_id", "2"},
};

/* The base with `key` set to `value` (NULL: left out). */
static void put_config(struct pl_buf *b, const char *key, const char *value)
{
    bool placed = false;
    const char *sep = "{";
    for (size_t i = 0; i < PL_COUNT(base); i++) {
        const bool mine = key && !strcmp(base[i].key, key);
        const char *v = mine ? value : base[i].value;
        placed |= mine;
        if (v)
            pl_buf_printf(b, "%s\"%s\": %s", sep, base[i].key, v);
        sep = v ? ",\n " : sep;
    }
    if (key && value && !placed)
        pl_buf_printf(b, "%s\"%s\": %s", sep, key, value);
    pl_buf_puts(b, "}\n");
}

static enum pl_status config(const char *key, const char *value, struct pl_model_config *c)
{
    struct pl_buf b;
    pl_buf_init(&b);
    put_config(&b, key, value);
    const struct pl_source src = {"config.json", b.data, b.len};
    const enum pl_status s = pl_model_config_parse(&src, c, &d);
    pl_buf_fini(&b);
    return s;
}

/* What plena quantize says of rotations and offsets: hidden 4, ffn 6. */
TEST(test_config_transforms)
{
    (void)state;
#define QUANTIZED(rest) "{\"version\": 1, \"weights\": \"mxint4:16\", \"act\": \"mxint4:16\", \"kv\": \"mxint4:16\"" rest "}"
    struct pl_model_config c;
    OK(config("plena_quantization", QUANTIZED(""), &c));
    for (int i = 0; i < PL_SITES; i++)
        assert_int_equal(c.rotate[i], 0);
    assert_false(c.k_offset);
    OK(config("plena_quantization", QUANTIZED(", \"k_offset\": true, \"rotate\": {\"qkv\": 4, \"down\": 2}"), &c));
    assert_true(c.k_offset && c.rotate[PL_SITE_QKV] == 4 && c.rotate[PL_SITE_DOWN] == 2 && c.rotate[PL_SITE_HEAD] == 0);
    REFUSED(PL_ERANGE, "plena_quantization.rotate.down: expected a power of two that divides 6, found 4",
            config("plena_quantization", QUANTIZED(", \"rotate\": {\"down\": 4}"), &c));
    REFUSED(PL_ERANGE, "plena_quantization.rotate.head: expected a power of two that divides 4, found 3",
            config("plena_quantization", QUANTIZED(", \"rotate\": {\"head\": 3}"), &c));
    REFUSED(PL_EPARSE, "rotate", config("plena_quantization", QUANTIZED(", \"rotate\": [16]"), &c));
}

TEST(test_config_values)
{
    (void)state;
    struct pl_model_config c;
    OK(config(NULL, NULL, &c));
    assert_int_equal(c.vocab, 5);
    assert_int_equal(c.hidden, 4);
    assert_int_equal(c.ffn, 6);
    assert_int_equal(c.n_layers, 1);
    assert_int_equal(c.n_heads, 2);
    assert_int_equal(c.n_kv_heads, 1);
    assert_int_equal(c.head_dim, 2); /* hidden / heads */
    assert_int_equal(c.max_position, 32);
    assert_true(c.rms_eps == 1e-5 && c.rope_theta == 10000);
    assert_int_equal(c.rope.kind, PL_ROPE_DEFAULT);
    assert_false(c.tied);
    assert_int_equal(c.bos, 1);
    assert_int_equal(c.n_eos, 1);
    OK(config("head_dim", "8", &c));
    assert_int_equal(c.head_dim, 8);
    OK(config("head_dim", "null", &c));
    assert_int_equal(c.head_dim, 2);
    OK(config("tie_word_embeddings", "true", &c));
    assert_true(c.tied);
    OK(config("tie_word_embeddings", NULL, &c));
    assert_false(c.tied);
    OK(config("num_key_value_heads", NULL, &c));
    assert_int_equal(c.n_kv_heads, 2); /* multi-head attention */
    OK(config("eos_token_id", "[2, 4, 2]", &c));
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.eos[1], 4);
    OK(config("eos_token_id", NULL, &c));
    assert_int_equal(c.n_eos, 0);
    OK(config("bos_token_id", "null", &c));
    assert_int_equal(c.bos, -1);
    OK(config("model_type", "\"mistral\"", &c));
    OK(config("rms_norm_eps", NULL, &c));
    assert_true(c.rms_eps == 1e-6);
    OK(config("unknown_to_us", "[1]", &c)); /* files carry much that is not for us */
}

TEST(test_config_required_keys)
{
    (void)state;
    static const char *const key[] = {"model_type",        "vocab_size",
                                      "hidden_size",       "intermediate_size",
                                      "num_hidden_layers", "num_attention_heads"};
    for (size_t i = 0; i < PL_COUNT(key); i++) {
        struct pl_model_config c;
        char words[96];
        snprintf(words, sizeof words, "config.json: %s: is missing", key[i]);
        REFUSED(PL_EPARSE, words, config(key[i], NULL, &c));
        snprintf(words, sizeof words, "config.json: %s: expected", key[i]);
        REFUSED(PL_EPARSE, words, config(key[i], "[1]", &c));
        REFUSED(PL_EPARSE, words, config(key[i], "true", &c));
        REFUSED(PL_EPARSE, words, config(key[i], "1.5", &c));
    }
}

static const struct {
    enum pl_status status;
    const char *key, *value, *words;
} bad_config[] = {
    {PL_ERANGE, "vocab_size", "0", "vocab_size: 0 is outside 1.."},
    {PL_ERANGE, "vocab_size", "-1", "vocab_size: -1 is outside"},
    {PL_ERANGE, "vocab_size", "9223372036854775807", "vocab_size: 9223372036854775807 is outside"},
    {PL_EPARSE, "vocab_size", "92233720368547758070", "too big integer"},
    {PL_ERANGE, "hidden_size", "1048577", "hidden_size: 1048577 is outside 1..1048576"},
    {PL_ERANGE, "num_hidden_layers", "5000", "num_hidden_layers: 5000 is outside"},
    {PL_ERANGE, "num_attention_heads", "0", "num_attention_heads: 0 is outside"},
    {PL_ERANGE, "num_attention_heads", "3", "num_attention_heads 3 must divide hidden_size 4"},
    {PL_ERANGE, "num_attention_heads", "4", "head_dim 1 must be even and in 2..4096"},
    {PL_ERANGE, "num_key_value_heads", "3",
     "num_key_value_heads 3 does not divide num_attention_heads 2"},
    {PL_ERANGE, "num_key_value_heads", "0", "num_key_value_heads: 0 is outside"},
    {PL_EPARSE, "num_key_value_heads", "\"1\"",
     "num_key_value_heads: expected an integer, found a string"},
    {PL_ERANGE, "head_dim", "3", "head_dim 3 must be even"},
    {PL_ERANGE, "head_dim", "8192", "head_dim: 8192 is outside"},
    {PL_ERANGE, "max_position_embeddings", "0", "max_position_embeddings: 0 is outside"},
    {PL_ERANGE, "rms_norm_eps", "0", "rms_norm_eps: 0 is outside (0, 1)"},
    {PL_ERANGE, "rms_norm_eps", "-1e-5", "rms_norm_eps"},
    {PL_EPARSE, "rms_norm_eps", "NaN", "config.json:10:"},
    {PL_EPARSE, "rms_norm_eps", "\"1e-5\"", "rms_norm_eps: expected a number, found a string"},
    {PL_ERANGE, "rope_theta", "0.5", "rope_theta: 0.5 is outside"},
    {PL_ERANGE, "rope_theta", "1e300", "rope_theta: 1e+300 is outside"},
    {PL_EPARSE, "tie_word_embeddings", "1",
     "tie_word_embeddings: expected true or false, found an integer"},
    {PL_ERANGE, "bos_token_id", "5", "bos_token_id: 5 is outside 0..4"},
    {PL_ERANGE, "eos_token_id", "5", "eos_token_id: expected token ids below 5"},
    {PL_ERANGE, "eos_token_id", "-1", "eos_token_id: expected token ids below 5"},
    {PL_ERANGE, "eos_token_id", "[1, \"2\"]", "eos_token_id: expected token ids below 5"},
    {PL_EUNSUPPORTED, "model_type", "\"gpt2\"",
     "model_type \"gpt2\" is not supported; supported: llama"},
    {PL_EUNSUPPORTED, "hidden_act", "\"gelu\"",
     "hidden_act \"gelu\" is not supported; supported: silu"},
    {PL_EPARSE, "attention_bias", "1", "attention_bias: expected true or false"},
    {PL_EUNSUPPORTED, "mlp_bias", "true", "mlp_bias is not supported"},
    {PL_EPARSE, "mlp_bias", "0", "mlp_bias: expected true or false"},
    {PL_EUNSUPPORTED, "rope_parameters", "{\"rope_theta\": 5e5}",
     "rope_parameters is not supported"},
    {PL_EUNSUPPORTED, "quantization_config", "{\"bits\": 4}",
     "quantization_config is not supported, but for quant_method \"mxfp4\" of gpt_oss"},
    {PL_EUNSUPPORTED, "partial_rotary_factor", "0.5", "partial_rotary_factor 0.5 is not supported"},
    {PL_EPARSE, "rope_scaling", "8", "rope_scaling: expected an object, found an integer"},
    {PL_EUNSUPPORTED, "rope_scaling", "{\"rope_type\": \"longrope\", \"factor\": 2}",
     "rope_scaling type \"longrope\" is not supported; supported: default, linear, llama3, yarn"},
    {PL_ERANGE, "rope_scaling", "{\"rope_type\": \"yarn\", \"factor\": 2, \"beta_fast\": 1}",
     "beta_fast must exceed beta_slow"},
    {PL_EPARSE, "rope_scaling", "{\"type\": \"linear\"}", "rope_scaling.factor: is missing"},
    {PL_EPARSE, "rope_scaling", "{\"type\": \"linear\", \"factor\": \"2\"}",
     "rope_scaling.factor: expected a number"},
    {PL_ERANGE, "rope_scaling", "{\"type\": \"linear\", \"factor\": 0.5}",
     "rope_scaling.factor: 0.5 is outside"},
    {PL_EPARSE, "rope_scaling", "{\"type\": 1}", "rope_scaling.type: expected a string"},
    {PL_EPARSE, "rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8}",
     "rope_scaling.low_freq_factor: is missing"},
    {PL_ERANGE, "rope_scaling",
     "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": "
     "4, \"original_max_position_embeddings\": 8}",
     "high_freq_factor must exceed low_freq_factor"},
    {PL_ERANGE, "rope_scaling",
     "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": "
     "4, \"original_max_position_embeddings\": 0}",
     "rope_scaling.original_max_position_embeddings: 0 is outside"},
};

TEST(test_config_refusals)
{
    (void)state;
    struct pl_model_config c;
    for (size_t i = 0; i < PL_COUNT(bad_config); i++) {
        REFUSED(bad_config[i].status, bad_config[i].words,
                config(bad_config[i].key, bad_config[i].value, &c));
        assert_memory_equal(d.text, "config.json:", 12);
    }
    struct pl_source src = {"config.json", "[1]", 3};
    REFUSED(PL_EPARSE, "config.json: expected a JSON object", pl_model_config_parse(&src, &c, &d));
    src = (struct pl_source){"config.json", "{\"a\": 1", 7};
    REFUSED(PL_EPARSE, "config.json:1:", pl_model_config_parse(&src, &c, &d));
    static const char nine[] =
        "{\"model_type\":\"llama\",\"vocab_size\":99,\"hidden_size\":4,\"intermediate_size\":4,"
        "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"eos_token_id\":[1,2,3,4,5,6,7,8,9]}";
    src = (struct pl_source){"config.json", nine, sizeof nine - 1};
    REFUSED(PL_EUNSUPPORTED, "eos_token_id: more than 8 ids", pl_model_config_parse(&src, &c, &d));
}

/* theta 10000 and D 8: frequencies 1, 0.1, 0.01, 0.001; wavelengths 6.28, 62.8, 628, 6283. */
TEST(test_rope_by_hand)
{
    (void)state;
    struct pl_model_config c;
    double f[4];
    OK(config("head_dim", "8", &c));
    pl_rope_inv_freq(&c, f);
    static const double plain[] = {1, 0.1, 0.01, 0.001};
    for (int i = 0; i < 4; i++)
        assert_true(fabs(f[i] / plain[i] - 1) < 1e-14);
    OK(config("rope_scaling", "{\"type\": \"linear\", \"factor\": 4}", &c));
    assert_int_equal(c.rope.kind, PL_ROPE_LINEAR);
    c.head_dim = 8;
    pl_rope_inv_freq(&c, f);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(f[i] * 4 / plain[i] - 1) < 1e-14);
    OK(config("rope_scaling",
              "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
              "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 2048}",
              &c));
    assert_int_equal(c.rope.kind, PL_ROPE_LLAMA3);
    assert_int_equal(c.rope.original_max, 2048);
    c.head_dim = 8;
    pl_rope_inv_freq(&c, f);
    /* Below 2048/4 kept; above 2048/1 divided by 8; 628 between: smooth = (2048/628.3185 - 1)/3 =
     * 0.753164411507339, so 0.01 * (smooth + (1 - smooth)/8) = 0.00784018860068922. */
    static const double llama3[] = {1, 0.1, 0.00784018860068922, 0.000125};
    for (int i = 0; i < 4; i++)
        assert_true(fabs(f[i] / llama3[i] - 1) < 1e-13);
    OK(config("rope_scaling", "{\"rope_type\": \"default\"}", &c));
    assert_int_equal(c.rope.kind, PL_ROPE_DEFAULT);
}

/* ---- checkpoint folders ---- */
static char dir[] = "/tmp/plena-model-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[2][512];
    static int turn;
    char *p = path[turn ^= 1];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void write_text(const char *name, const char *text)
{
    OK(pl_file_write(in_dir(name), text, strlen(text), &d));
}

static void clear(void)
{
    DIR *o = opendir(dir);
    for (const struct dirent *e; (e = readdir(o));)
        if (e->d_name[0] != '.')
            unlink(in_dir(e->d_name));
    closedir(o);
}

struct shape {
    const char *name, *shape;
    unsigned count;
};
#define L "model.layers.0."
static const struct shape tensors[] = {
    {"model.embed_tokens.weight", "[5,4]", 20},
    {"model.norm.weight", "[4]", 4},
    {"lm_head.weight", "[5,4]", 20},
    {L "input_layernorm.weight", "[4]", 4},
    {L "self_attn.q_proj.weight", "[4,4]", 16},
    {L "self_attn.k_proj.weight", "[2,4]", 8},
    {L "self_attn.v_proj.weight", "[2,4]", 8},
    {L "self_attn.o_proj.weight", "[4,4]", 16},
    {L "post_attention_layernorm.weight", "[4]", 4},
    {L "mlp.gate_proj.weight", "[6,4]", 24},
    {L "mlp.up_proj.weight", "[6,4]", 24},
    {L "mlp.down_proj.weight", "[4,6]", 24},
};

/* Tensors [from, to) as F16 (or U16) zeros, one left out (or -1), one with another shape of as many
 * elements (or -1). */
static void write_shard(const char *name, size_t from, size_t to, int skip, int reshape,
                        const char *shape, const char *dtype)
{
    struct pl_buf h, b;
    static const char zero[256];
    size_t at = 0;
    pl_buf_init(&h);
    pl_buf_init(&b);
    pl_buf_puts(&h, "{\"__metadata__\":{}");
    for (size_t i = from; i < to; i++) {
        if ((int)i == skip)
            continue;
        pl_buf_printf(&h, ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                      tensors[i].name, dtype, (int)i == reshape ? shape : tensors[i].shape, at,
                      at + 2 * tensors[i].count);
        at += 2 * tensors[i].count;
    }
    pl_buf_puts(&h, "}");
    const uint64_t n = h.len; /* the host is little-endian */
    pl_buf_put(&b, &n, 8);
    pl_buf_put(&b, h.data, h.len);
    for (size_t k = 0; k < at; k += 2)
        pl_buf_put(&b, zero, 2);
    OK(pl_file_write(in_dir(name), b.data, b.len, &d));
    pl_buf_fini(&h);
    pl_buf_fini(&b);
}

static void write_config(const char *key, const char *value)
{
    struct pl_buf b;
    pl_buf_init(&b);
    put_config(&b, key, value);
    OK(pl_file_write(in_dir("config.json"), b.data, b.len, &d));
    pl_buf_fini(&b);
}

static enum pl_status open_dir(const char *path)
{
    struct pl_arena a;
    struct pl_checkpoint *ck = NULL;
    pl_arena_init(&a);
    a.block_bytes = 64;
    const enum pl_status s = pl_checkpoint_open(&a, path, &ck, &d);
    if (s == PL_OK) {
        assert_non_null(ck->embed);
        assert_true(ck->config.tied == (ck->lm_head == ck->embed));
        for (uint32_t l = 0; l < ck->config.n_layers; l++)
            assert_true(ck->layer[l].q && ck->layer[l].down);
        pl_checkpoint_close(ck);
    }
    pl_arena_fini(&a);
    return s;
}

TEST(test_checkpoint_in_one_file)
{
    (void)state;
    enum { N = PL_COUNT(tensors) };
    assert_non_null(mkdtemp(dir));
    REFUSED(PL_EIO, "config.json: No such file", open_dir(dir));
    write_config(NULL, NULL);
    REFUSED(PL_EIO, "holds neither model.safetensors nor model.safetensors.index.json",
            open_dir(dir));
    write_shard("model.safetensors", 0, N, -1, -1, NULL, "F16");
    OK(open_dir(dir));
    for (int i = 0; i < N; i++) {
        char words[160];
        write_shard("model.safetensors", 0, N, i, -1, NULL, "F16");
        snprintf(words, sizeof words, "tensor \"%s\" is missing", tensors[i].name);
        REFUSED(PL_EPARSE, words, open_dir(dir));
        assert_memory_equal(d.text, dir, strlen(dir));
        char flat[16];
        snprintf(flat, sizeof flat, "[2,%u]", tensors[i].count / 2);
        write_shard("model.safetensors", 0, N, -1, i, flat, "F16");
        snprintf(words, sizeof words, "tensor \"%s\" has shape [2, %u], expected [",
                 tensors[i].name, tensors[i].count / 2);
        if (strcmp(flat, tensors[i].shape) != 0)
            REFUSED(PL_EPARSE, words, open_dir(dir));
    }
    write_shard("model.safetensors", 0, N, -1, 3, "[1,1,1,1,1,1,2,2]", "F16");
    REFUSED(PL_EPARSE, "has shape [1, 1, 1, 1, 1, 1, 2, 2], expected [4]", open_dir(dir));
    write_shard("model.safetensors", 0, N, -1, 3, "[4,1]", "F16");
    REFUSED(PL_EPARSE, "has shape [4, 1], expected [4]", open_dir(dir));
    write_shard("model.safetensors", 0, N, -1, 4, "[4,4,1]", "F16");
    REFUSED(PL_EPARSE, "has shape [4, 4, 1], expected [4, 4]", open_dir(dir));
    write_shard("model.safetensors", 0, N, -1, -1, NULL, "U16");
    REFUSED(PL_EUNSUPPORTED, "has dtype U16; supported: F32, F16, BF16", open_dir(dir));
    write_config("tie_word_embeddings", "true"); /* then there need be no lm_head */
    write_shard("model.safetensors", 0, N, 2, -1, NULL, "BF16");
    OK(open_dir(dir));
    write_text("generation_config.json", "{\"eos_token_id\": [2, 9]}");
    REFUSED(PL_ERANGE, "generation_config.json: eos_token_id: expected token ids below 5",
            open_dir(dir));
    write_text("generation_config.json", "[]");
    REFUSED(PL_EPARSE, "generation_config.json: expected a JSON object", open_dir(dir));
    write_text("generation_config.json", "{\"eos_token_id\": [2, 4]}");
    OK(open_dir(dir));
    clear();
}

static void write_index(const char *first, const char *second)
{
    struct pl_buf b;
    pl_buf_init(&b);
    for (size_t i = 0; i < PL_COUNT(tensors); i++)
        pl_buf_printf(&b, "%s\"%s\": \"%s\"", i ? ", " : "{\"metadata\": {}, \"weight_map\": {",
                      tensors[i].name, i < 6 ? first : second);
    pl_buf_puts(&b, "}}");
    write_text("model.safetensors.index.json", b.data);
    pl_buf_fini(&b);
}

TEST(test_checkpoint_in_shards)
{
    (void)state;
    enum { N = PL_COUNT(tensors) };
    write_config(NULL, NULL);
    write_index("a.safetensors", "b.safetensors");
    REFUSED(PL_EIO, "a.safetensors: No such file", open_dir(dir));
    write_shard("a.safetensors", 0, 6, -1, -1, NULL, "F16");
    REFUSED(PL_EIO, "b.safetensors: No such file", open_dir(dir));
    write_shard("b.safetensors", 6, N, -1, -1, NULL, "F16");
    OK(open_dir(dir));
    write_shard("b.safetensors", 6, N, 8, -1, NULL,
                "F16"); /* the map names a tensor that its shard lacks */
    REFUSED(PL_EPARSE,
            "model.safetensors.index.json: weight_map." L
            "post_attention_layernorm.weight: no such tensor in b.safetensors",
            open_dir(dir));
    write_shard("b.safetensors", 5, N, -1, -1, NULL, "F16");
    REFUSED(PL_EPARSE, "tensor \"" L "self_attn.k_proj.weight\" is in two shards", open_dir(dir));
    write_shard("b.safetensors", 6, N, -1, 7, "[2,8]", "F16");
    REFUSED(PL_EPARSE, "o_proj.weight\" has shape [2, 8], expected [4, 4]", open_dir(dir));
    static const char *const outside[] = {"../x", "/etc/passwd", "sub/x.safetensors",
                                          "..",   ".hidden",     ""};
    for (size_t i = 0; i < PL_COUNT(outside); i++) {
        write_index("a.safetensors", outside[i]);
        REFUSED(PL_EPARSE, "expected the name of a file in this folder", open_dir(dir));
    }
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"x\": 1}}");
    REFUSED(PL_EPARSE, "weight_map.x: expected the name of a file", open_dir(dir));
    write_text("model.safetensors.index.json", "{\"weight_map\": []}");
    REFUSED(PL_EPARSE, "weight_map: expected an object, found an array", open_dir(dir));
    write_text("model.safetensors.index.json", "{}");
    REFUSED(PL_EPARSE, "weight_map: is missing", open_dir(dir));
    write_text("model.safetensors.index.json", "{\"weight_map\": {}}");
    REFUSED(PL_EPARSE, "tensor \"model.embed_tokens.weight\" is missing", open_dir(dir));
    write_text("model.safetensors.index.json", "{");
    REFUSED(PL_EPARSE, "index.json:1:", open_dir(dir));
    clear();
    assert_int_equal(rmdir(dir), 0);
}

/* ---- checkpoints we have ---- */
TEST(test_real_checkpoints)
{
    (void)state;
    OK(open_dir(source_path("examples/agent-0.8m")));
    static const char *const shared[] = {"models/stories260k", "models/bytelm"};
    for (size_t i = 0; i < PL_COUNT(shared); i++) {
        const char *path = shared_path(shared[i]);
        if (path)
            OK(open_dir(path));
    }
}

/* YaRN as GPT-OSS has it, against values worked out from the paper's formulas in another language (Python, float64). */
TEST(test_yarn)
{
    (void)state;
    struct pl_model_config c = {.head_dim = 64, .rope_theta = 150000,
                                .rope = {PL_ROPE_YARN, .factor = 32, .original_max = 4096, .beta_fast = 32, .beta_slow = 1}};
    double f[32];
    pl_rope_inv_freq(&c, f);
    const struct {
        unsigned i;
        double f;
    } want[] = {{0, 1.0}, {7, 0.07374456821026082}, {8, 0.050813274815461475}, {12, 0.006794959489732219}, {17, 0.0001293187012450632}, {18, 3.8308812373753384e-05}, {31, 3.0235114281192144e-07}};
    for (size_t i = 0; i < PL_COUNT(want); i++)
        assert_true(fabs(f[want[i].i] - want[i].f) <= 1e-14 * want[i].f); /* some ulps: pow and log of two libraries */
    OK(config("rope_scaling", "{\"rope_type\": \"yarn\", \"factor\": 32, \"truncate\": false}", &c));
    assert_true(c.rope.kind == PL_ROPE_YARN && !c.rope.truncate && fabs(c.rope.attention - 1.3465735902799727) < 1e-15);
}

/* Every family's tensors, in the shapes its configuration gives, and the same bytes for the same seed. */
TEST(test_synthetic)
{
    (void)state;
    struct pl_arena a;
    struct pl_checkpoint *x, *y;
    struct pl_model_config c = {.family = PL_FAMILY_QWEN3_MOE, .vocab = 11, .hidden = 16, .ffn = 24, .n_layers = 2, .n_heads = 4,
                                .n_kv_heads = 2, .head_dim = 6, .qkv_bias = true, .qk_norm = true, .sinks = true,
                                .moe = {.experts = 3, .top_k = 2, .ffn = 8}, .sparse = {2}};
    pl_arena_init(&a);
    OK(pl_checkpoint_synthetic(&a, &c, 7, &x, &d));
    OK(pl_checkpoint_synthetic(&a, &c, 7, &y, &d));
    assert_int_equal(x->tensors.n, 3 + 2 * (2 + 4 + 3 + 2 + 1) + 3 + (1 + 3 * 3));
    for (size_t i = 0; i < x->tensors.n; i++)
        assert_memory_equal(x->tensors.tensor[i].data, y->tensors.tensor[i].data, x->tensors.tensor[i].bytes);
    assert_null(x->layer[0].expert);
    assert_string_equal(x->layer[1].expert[2].down->name, "model.layers.1.mlp.experts.2.down_proj.weight");
    assert_int_equal(x->layer[1].expert[2].down->shape[1], 8);
    assert_int_equal(x->layer[1].q_norm->shape[0], 6);
    assert_int_equal(x->layer[0].gate->shape[0], 24);
    c.mla = (struct pl_mla){.kv_rank = 8, .nope = 4, .rope = 2, .v = 4};
    OK(pl_checkpoint_synthetic(&a, &c, 7, &x, &d));
    assert_int_equal(x->layer[0].kv_b->shape[0], 4 * (4 + 4));
    assert_null(x->layer[0].k);
    pl_arena_fini(&a);
}

TEST(test_published_configs)
{
    (void)state;
    static const struct {
        const char *name;
        enum pl_family family;
        uint32_t head_dim, experts, top_k, expert_ffn, sparse_layers, window, kv_rank;
        bool qkv_bias, o_bias, qk_norm;
    } file[] = {
        {"llama-2-7b", PL_FAMILY_LLAMA, .head_dim = 128},
        {"llama-3-8b", PL_FAMILY_LLAMA, .head_dim = 128},
        {"llama-3.1-8b", PL_FAMILY_LLAMA, .head_dim = 128},
        {"llama-3.1-405b", PL_FAMILY_LLAMA, .head_dim = 128},
        {"llama-3.2-1b", PL_FAMILY_LLAMA, .head_dim = 64},
        {"llama-3.3-70b", PL_FAMILY_LLAMA, .head_dim = 128},
        {"smollm2-135m", PL_FAMILY_LLAMA, .head_dim = 64},
        {"qwen2.5-7b", PL_FAMILY_QWEN2, .head_dim = 128, .qkv_bias = true},
        {"qwen3-8b", PL_FAMILY_QWEN3, .head_dim = 128, .qk_norm = true},
        {"qwen3-32b", PL_FAMILY_QWEN3, .head_dim = 128, .qk_norm = true},
        {"mixtral-8x7b", PL_FAMILY_MIXTRAL, 128, 8, 2, 14336, 32, .window = 0},
        {"qwen3-30b-a3b", PL_FAMILY_QWEN3_MOE, 128, 128, 8, 768, 48, .qk_norm = true},
        {"gpt-oss-20b", PL_FAMILY_GPT_OSS, 64, 32, 4, 2880, 24, 128, .qkv_bias = true, .o_bias = true},
        {"deepseek-v2-lite", PL_FAMILY_DEEPSEEK_V2, 192, 64, 6, 1408, 26, .kv_rank = 512},
        {"deepseek-v3", PL_FAMILY_DEEPSEEK_V3, 192, 256, 8, 2048, 58, .kv_rank = 512},
    };
    for (size_t i = 0; i < PL_COUNT(file); i++) {
        char name[64];
        struct pl_model_config c;
        snprintf(name, sizeof name, "models/configs/%s.json", file[i].name);
        const char *path = shared_path(name);
        if (!path)
            return;
        OK(pl_model_config_load(path, &c, &d));
        uint32_t sparse = 0;
        for (uint32_t l = 0; l < c.n_layers; l++)
            sparse += pl_model_sparse(&c, l);
        assert_int_equal(c.family, file[i].family);
        assert_int_equal(c.head_dim, file[i].head_dim);
        assert_int_equal(c.moe.experts, file[i].experts);
        assert_int_equal(c.moe.top_k, file[i].top_k);
        assert_int_equal(c.moe.ffn, file[i].expert_ffn);
        assert_int_equal(sparse, file[i].sparse_layers);
        assert_int_equal(c.window, file[i].window);
        assert_int_equal(c.mla.kv_rank, file[i].kv_rank);
        assert_true(c.qkv_bias == file[i].qkv_bias && c.o_bias == file[i].o_bias && c.qk_norm == file[i].qk_norm);
        if (c.family == PL_FAMILY_GPT_OSS)
            assert_true(c.sinks && c.glu_limit == 7 && pl_model_window(&c, 0) == 128 && pl_model_window(&c, 1) == 0);
        if (c.family == PL_FAMILY_DEEPSEEK_V3)
            assert_true(c.moe.groups == 8 && c.moe.top_groups == 4 && c.moe.score == PL_MOE_SIGMOID && c.moe.select_bias &&
                        c.moe.scale == 2.5 && c.moe.shared == 1 && c.mla.q_rank == 1536);
        if (!strcmp(file[i].name, "llama-3.1-8b"))
            assert_true(c.rope.kind == PL_ROPE_LLAMA3 && c.rope.factor == 8 &&
                        c.rope.original_max == 8192 && c.head_dim == 128);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_transforms), cmocka_unit_test(test_config_values),          cmocka_unit_test(test_config_required_keys),
        cmocka_unit_test(test_config_refusals),        cmocka_unit_test(test_rope_by_hand),
        cmocka_unit_test(test_checkpoint_in_one_file), cmocka_unit_test(test_checkpoint_in_shards),
        cmocka_unit_test(test_real_checkpoints),       cmocka_unit_test(test_published_configs),
        cmocka_unit_test(test_yarn),                   cmocka_unit_test(test_synthetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
