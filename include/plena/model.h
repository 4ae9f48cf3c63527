/* model.h - Hugging Face checkpoints: configuration, safetensors, the tensors of a decoder, the tokenizer.
 *
 * Source: Hugging Face config.json of the Llama family; safetensors format; tokenizers' tokenizer.json (BPE).
 * Depends on: base.h, mx.h.   Threads: opened objects are read-only and may be shared. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MODEL_H
#define PLENA_MODEL_H
#include "plena/base.h"
#include "plena/mx.h"

/* Places whose values linear layers take as inputs. */
enum pl_site { PL_SITE_QKV, PL_SITE_O, PL_SITE_GATE_UP, PL_SITE_DOWN, PL_SITE_HEAD, PL_SITES };

/* ---- config.json ---- */
enum pl_rope_kind { PL_ROPE_DEFAULT, PL_ROPE_LINEAR, PL_ROPE_LLAMA3 };
struct pl_model_config {
    uint32_t vocab, hidden, ffn, n_layers, n_heads, n_kv_heads, head_dim; /* V E F L H K D */
    uint32_t max_position;
    double rms_eps, rope_theta;
    enum pl_rope_kind rope;
    double rope_factor, rope_low_freq, rope_high_freq; /* LINEAR: factor; LLAMA3: all */
    uint32_t rope_original_max;                        /* LLAMA3 */
    bool tied;                                         /* lm_head is the embedding */
    int64_t bos;                                       /* -1: none */
    uint32_t eos[8];
    unsigned n_eos;
    bool quantised;                   /* the file has plena_quantization: what plena quantize wrote */
    struct pl_format weight, act, kv; /* then: the formats of that object; weight is MX */
    uint32_t rotate[PL_SITES];        /* lanes of the groups in which a site's inputs go through pl_vec_hadamard; 0: none */
    bool k_offset;                    /* every layer has a vector that is added to K after RoPE (rotated when K is) */
};
/* Errors: PL_EPARSE, PL_ERANGE naming the key; PL_EUNSUPPORTED for other families and options. */
enum pl_status pl_model_config_load(const char *path, struct pl_model_config *out, struct pl_diag *d);
enum pl_status pl_model_config_parse(const struct pl_source *src, struct pl_model_config *out, struct pl_diag *d);
/* Rotation frequency of each pair of lanes: angle = position * inv_freq[i]; out double[D/2]. */
void pl_rope_inv_freq(const struct pl_model_config *c, double *inv_freq);
/* Place of query head h in a row of all heads: the heads of one place in their groups of H/K stand together, in the
 * order of their kv heads, so that the K lanes-of-a-head of every such part line up with those of a K or V row. */
static inline uint32_t pl_model_head_place(const struct pl_model_config *c, uint32_t h)
{
    const uint32_t group = c->n_heads / c->n_kv_heads;
    return h % group * c->n_kv_heads + h / group;
}

/* ---- safetensors ---- */
enum pl_dtype { PL_DTYPE_F32, PL_DTYPE_F16, PL_DTYPE_BF16, PL_DTYPE_OTHER, PL_DTYPE_MX };
struct pl_tensor {
    const char *name;
    const char *dtype_name;
    enum pl_dtype dtype;
    unsigned rank;
    uint64_t shape[8];
    const uint8_t *data;
    uint64_t bytes, count;
    /* PL_DTYPE_MX: rows of packed elements in `data`, and their scales */
    const struct pl_format *format;
    const uint8_t *scale;
};
struct pl_safetensors {
    struct pl_tensor *tensor; /* sorted by name */
    size_t n;
};
/* Parse one file's bytes; tensors point into `data`. Every offset and shape is checked; overlaps
 * and bytes that belong to no tensor are refused. */
enum pl_status pl_safetensors_parse(struct pl_arena *a, const char *name, const uint8_t *data, size_t len,
                                    struct pl_safetensors *out, struct pl_diag *d);
const struct pl_tensor *pl_safetensors_find(const struct pl_safetensors *st, const char *name);
/* Elements [first, first + n) as binary32, exact. Not PL_DTYPE_OTHER. */
void pl_tensor_to_f32(const struct pl_tensor *t, uint64_t first, size_t n, float *out);

/* ---- a whole checkpoint ---- */
struct pl_layer_tensors {
    const struct pl_tensor *input_norm, *q, *k, *v, *o, *post_norm, *gate, *up, *down;
    const struct pl_tensor *k_offset; /* [kv heads * head_dim], config.k_offset; else NULL */
};
struct pl_checkpoint {
    const char *dir;
    struct pl_model_config config;
    struct pl_safetensors tensors;
    const struct pl_tensor *embed, *final_norm, *lm_head; /* lm_head = embed when tied */
    struct pl_layer_tensors *layer;
    struct pl_map *map; /* the mapped shards */
    size_t n_map;
};
/* config.json, model.safetensors or the sharded index, all tensors of a Llama decoder with their exact shapes. Nothing
 * is copied. Of a quantised checkpoint the linear layers are PL_DTYPE_MX, made of NAME.mx_elements and NAME.mx_scales.
 * Close with pl_checkpoint_close before the arena goes. */
enum pl_status pl_checkpoint_open(struct pl_arena *a, const char *dir, struct pl_checkpoint **out, struct pl_diag *d);
/* Only the configuration, from a config.json: no tensors, for compiling without weights. `layer` is NULL. */
enum pl_status pl_checkpoint_describe(struct pl_arena *a, const char *config, struct pl_checkpoint **out, struct pl_diag *d);
void pl_checkpoint_close(struct pl_checkpoint *ck);

/* ---- tokenizer.json ---- */
struct pl_tokenizer;
enum pl_status pl_tokenizer_load(const char *path, struct pl_tokenizer **out, struct pl_diag *d);
enum pl_status pl_tokenizer_parse(const struct pl_source *src, struct pl_tokenizer **out, struct pl_diag *d);
void pl_tokenizer_free(struct pl_tokenizer *t);
uint32_t pl_tokenizer_size(const struct pl_tokenizer *t); /* largest id + 1 */
/* Text (any bytes) to ids. add_special: what the post-processor puts around a single sequence (BOS). The ids are in the
 * arena. Errors: PL_ERANGE for a byte no token covers when there is no unknown token. */
enum pl_status pl_tokenizer_encode(const struct pl_tokenizer *t, struct pl_arena *a, const char *text, size_t len,
                                   bool add_special, uint32_t **ids, size_t *n, struct pl_diag *d);
/* Append the text of ids to `out`; special tokens are skipped. Whole-sequence rules (stripping the leading space) apply
 * to the first id when at_start. PL_ERANGE for an id outside the vocabulary. */
enum pl_status pl_tokenizer_decode(const struct pl_tokenizer *t, const uint32_t *ids, size_t n, bool at_start,
                                   struct pl_buf *out, struct pl_diag *d);
#endif
