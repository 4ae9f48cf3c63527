/* io.c - writing the trained model as a Hugging Face folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/base_json.h"
#include "transcripts.h"

static enum pl_status put_file(const char *dir, const char *name, const void *p, size_t n, struct pl_diag *d)
{
    struct pl_arena a;
    pl_arena_init(&a);
    const enum pl_status s = pl_file_write(pl_path_join(&a, dir, name), p, n, d);
    pl_arena_fini(&a);
    return s;
}

static enum pl_status put_json(const char *dir, const char *name, json_t *o, struct pl_diag *d)
{
    char *text = json_dumps(o, JSON_INDENT(1));
    const enum pl_status s = put_file(dir, name, text, strlen(text), d);
    free(text);
    json_decref(o);
    return s;
}

static json_t *config_json(const struct shape *s)
{
    return json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:n, s:s, s:b, s:b, s:b, s:n, s:i, s:s}",
                     "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", s->hidden,
                     "intermediate_size", s->ffn, "num_hidden_layers", s->layers, "num_attention_heads", s->heads,
                     "num_key_value_heads", s->kv_heads, "head_dim", s->head_dim, "vocab_size", s->vocab,
                     "max_position_embeddings", 1024, "rms_norm_eps", 1e-5, "rope_theta", (double)s->theta,
                     "rope_scaling", "hidden_act", "silu", "tie_word_embeddings", 0, "attention_bias", 0, "mlp_bias", 0,
                     "bos_token_id", "eos_token_id", END_OF_TEXT, "torch_dtype", "bfloat16");
}

/* Every ASCII byte is a token; NUL ends a text. Written by hand: a JSON key cannot hold NUL in jansson. */
static enum pl_status put_tokenizer(const char *dir, const struct shape *s, struct pl_diag *d)
{
    struct pl_buf b;
    pl_buf_init(&b);
    pl_buf_puts(&b, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n \"added_tokens\": [{\"id\": 0, "
                    "\"content\": \"<end>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": "
                    "false, \"special\": true}],\n \"normalizer\": null, \"pre_tokenizer\": null, \"post_processor\": null,\n "
                    "\"decoder\": {\"type\": \"Fuse\"},\n \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                    "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false, "
                    "\"byte_fallback\": false, \"ignore_merges\": false,\n  \"vocab\": {\"<end>\": 0");
    for (int c = 1; c < s->vocab; c++)
        if (c < 32 || c == 127 || c == '"' || c == '\\')
            pl_buf_printf(&b, ", \"\\u%04x\": %d", (unsigned)c, c);
        else
            pl_buf_printf(&b, ", \"%c\": %d", c, c);
    pl_buf_puts(&b, "},\n  \"merges\": []}}\n");
    const enum pl_status st = put_file(dir, "tokenizer.json", b.data, b.len, d);
    pl_buf_fini(&b);
    return st;
}

struct st_writer {
    json_t *header;
    struct pl_buf data;
};

static void put_tensor(struct st_writer *w, const char *name, const float *x, int rows, int cols)
{
    const size_t n = (size_t)(rows ? rows : 1) * (size_t)cols, begin = w->data.len;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        const uint16_t h = (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
        pl_buf_put(&w->data, &h, sizeof h);
    }
    json_t *shape = rows ? json_pack("[i, i]", rows, cols) : json_pack("[i]", cols);
    json_object_set_new(w->header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", "BF16", "shape", shape, "data_offsets",
                                  (json_int_t)begin, (json_int_t)w->data.len));
}

static enum pl_status put_safetensors(const char *dir, const struct shape *s, const struct weights *w, struct pl_diag *d)
{
    struct st_writer o = {.header = json_object()};
    const int q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    pl_buf_init(&o.data);
    put_tensor(&o, "model.embed_tokens.weight", w->embed, s->vocab, s->hidden);
    put_tensor(&o, "lm_head.weight", w->head, s->vocab, s->hidden);
    put_tensor(&o, "model.norm.weight", w->final_norm, 0, s->hidden);
    for (int l = 0; l < s->layers; l++) {
        const struct layer_weights *y = &w->layer[l];
        const struct {
            const char *name;
            const float *x;
            int rows, cols;
        } t[] = {{"input_layernorm", y->norm1, 0, s->hidden},      {"self_attn.q_proj", y->q, q, s->hidden},
                 {"self_attn.k_proj", y->k, kv, s->hidden},        {"self_attn.v_proj", y->v, kv, s->hidden},
                 {"self_attn.o_proj", y->o, s->hidden, q},         {"post_attention_layernorm", y->norm2, 0, s->hidden},
                 {"mlp.gate_proj", y->gate, s->ffn, s->hidden},    {"mlp.up_proj", y->up, s->ffn, s->hidden},
                 {"mlp.down_proj", y->down, s->hidden, s->ffn}};
        for (size_t i = 0; i < PL_COUNT(t); i++) {
            char name[96];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, t[i].name);
            put_tensor(&o, name, t[i].x, t[i].rows, t[i].cols);
        }
    }
    char *header = json_dumps(o.header, JSON_COMPACT);
    struct pl_buf file;
    pl_buf_init(&file);
    const uint64_t padded = pl_round_up(strlen(header), 8);
    pl_buf_put(&file, &padded, 8);
    pl_buf_puts(&file, header);
    while (file.len < 8 + padded)
        pl_buf_puts(&file, " ");
    pl_buf_put(&file, o.data.data, o.data.len);
    const enum pl_status st = put_file(dir, "model.safetensors", file.data, file.len, d);
    free(header);
    json_decref(o.header);
    pl_buf_fini(&file);
    pl_buf_fini(&o.data);
    return st;
}

enum pl_status checkpoint_write(const char *dir, const struct shape *s, const struct weights *w, struct pl_diag *d)
{
    PL_TRY(put_json(dir, "config.json", config_json(s), d));
    PL_TRY(put_json(dir, "generation_config.json", json_pack("{s:i}", "eos_token_id", END_OF_TEXT), d));
    PL_TRY(put_tokenizer(dir, s, d));
    return put_safetensors(dir, s, w, d);
}

enum pl_status eval_write(const char *dir, uint64_t seed, unsigned n, struct pl_diag *d)
{
    struct pl_rng r;
    struct pl_buf out, text;
    pl_rng_init(&r, seed);
    pl_buf_init(&out);
    for (unsigned i = 0; i < n; i++) {
        pl_buf_init(&text);
        transcript_make(&r, &text);
        json_t *ids = json_array();
        for (size_t k = 0; k < text.len; k++)
            json_array_append_new(ids, json_integer((unsigned char)text.data[k]));
        json_array_append_new(ids, json_integer(END_OF_TEXT));
        json_t *line = json_pack("{s:s, s:o}", "text", text.data, "ids", ids);
        char *s = json_dumps(line, JSON_COMPACT);
        pl_buf_printf(&out, "%s\n", s);
        free(s);
        json_decref(line);
        pl_buf_fini(&text);
    }
    const enum pl_status st = put_file(dir, "eval.jsonl", out.data, out.len, d);
    pl_buf_fini(&out);
    return st;
}
