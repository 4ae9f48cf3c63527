/* model.h - Hugging Face checkpoints: configuration, safetensors, the tensors of a decoder, the tokenizer.
 *
 * Source: Hugging Face config.json of the Llama family; safetensors format; tokenizers' tokenizer.json (BPE).
 * Depends on: base.h, mx.h.   Threads: opened objects are read-only and may be shared. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MODEL_H
#define PLENA_MODEL_H
#include "plena/base.h"
#include "plena/mx.h"

/* ---- config.json ---- */
enum pl_family {
    PL_FAMILY_LLAMA, /* LLaMA 2/3.x, SmolLM2 */
    PL_FAMILY_MISTRAL,
    PL_FAMILY_QWEN2,
    PL_FAMILY_QWEN3,
    PL_FAMILY_MIXTRAL,
    PL_FAMILY_QWEN3_MOE,
    PL_FAMILY_GPT_OSS,
    PL_FAMILY_DEEPSEEK_V2,
    PL_FAMILY_DEEPSEEK_V3,
    PL_FAMILIES
};
enum pl_rope_kind { PL_ROPE_DEFAULT, PL_ROPE_LINEAR, PL_ROPE_LLAMA3, PL_ROPE_YARN };
struct pl_rope_scaling {
    enum pl_rope_kind kind;
    double factor;              /* all but DEFAULT */
    double low_freq, high_freq; /* LLAMA3 */
    uint32_t original_max;      /* LLAMA3, YARN */
    double beta_fast, beta_slow; /* YARN: rotations in original_max at which scaling begins and ends */
    bool truncate;               /* YARN: those bounds rounded to whole lanes */
    double attention;            /* factor of cos and sin, of queries and of keys: 1 but for YARN */
    double softmax;              /* further factor of the scores, 1 but for DeepSeek's YARN */
};
enum pl_moe_score {
    PL_MOE_SOFTMAX_CHOSEN, /* softmax over the logits of the chosen experts (Mixtral, Qwen3, GPT-OSS) */
    PL_MOE_SOFTMAX,        /* softmax over all experts, the chosen ones' as they are (DeepSeek-V2) */
    PL_MOE_SIGMOID         /* sigmoid of each logit; of the chosen, the shares of their sum (DeepSeek-V3) */
};
/* Mixture of experts. Layers from first_dense on, but those of the dense list, have a router and experts for their MLP. */
struct pl_moe {
    uint32_t experts, top_k, ffn;  /* experts 0: a dense model; ffn: of one expert */
    uint32_t shared;               /* experts that every token passes, as one MLP of shared * ffn */
    uint32_t groups, top_groups;   /* experts come in groups, of which the best top_groups are searched; 1, 1: no groups */
    unsigned group_top;            /* a group's score: the sum of its best group_top expert scores */
    enum pl_moe_score score;
    double scale;                  /* of the weights of chosen experts */
    bool router_bias, select_bias; /* added to the logits; added to the scores only while choosing */
    bool expert_bias;              /* gate, up and down of each expert have biases */
};
/* Multi-head latent attention: K and V of all heads are kept as one latent row and one rotated key part. */
struct pl_mla {
    uint32_t kv_rank;  /* 0: no MLA; lanes of the latent */
    uint32_t q_rank;   /* 0: queries straight from the hidden state */
    uint32_t nope, rope, v; /* lanes of a head: not rotated, rotated, of a value; head_dim = nope + rope */
};
enum { PL_MAX_LAYERS = 4096 };
struct pl_model_config {
    enum pl_family family;
    uint32_t vocab, hidden, ffn, n_layers, n_heads, n_kv_heads, head_dim; /* V E F L H K D */
    uint32_t max_position;
    double rms_eps, rope_theta;
    struct pl_rope_scaling rope;
    bool qkv_bias, o_bias; /* of the attention's linear layers */
    bool qk_norm;          /* RMSNorm of every head of q and k, before RoPE */
    bool sinks;            /* a learned logit of each head joins its softmax */
    uint32_t window;       /* tokens a windowed layer sees, itself included; 0: no layer is windowed */
    double glu_limit;      /* 0: SwiGLU; else GPT-OSS's: gate <= limit, |up| <= limit, gate * sigmoid(1.702 gate) * (up + 1) */
    struct pl_moe moe;
    struct pl_mla mla;
    uint64_t windowed[PL_MAX_LAYERS / 64], sparse[PL_MAX_LAYERS / 64]; /* bit l: layer l is windowed; has experts */
    bool tied;                                         /* lm_head is the embedding */
    int64_t bos;                                       /* -1: none */
    uint32_t eos[8];
    unsigned n_eos;
    bool quantised;                   /* the file has plena_quantization: what plena quantize wrote */
    struct pl_format weight, act, kv; /* then: the formats of that object; weight is MX */
};
const char *pl_family_name(enum pl_family f); /* the model_type */
/* Tokens that layer l sees, itself included; 0: all. */
static inline uint32_t pl_model_window(const struct pl_model_config *c, uint32_t l)
{
    return c->windowed[l / 64] >> l % 64 & 1 ? c->window : 0;
}
static inline bool pl_model_sparse(const struct pl_model_config *c, uint32_t l)
{
    return c->sparse[l / 64] >> l % 64 & 1;
}
/* Lanes of a head of K that are rotated, and of a head of V. */
static inline uint32_t pl_model_rope_dim(const struct pl_model_config *c)
{
    return c->mla.kv_rank ? c->mla.rope : c->head_dim;
}
static inline uint32_t pl_model_v_dim(const struct pl_model_config *c)
{
    return c->mla.kv_rank ? c->mla.v : c->head_dim;
}
/* PL_EUNSUPPORTED, naming the family and the feature, unless this is what executor and compiler compute today. */
enum pl_status pl_model_runnable(const struct pl_model_config *c, struct pl_diag *d);
/* Errors: PL_EPARSE, PL_ERANGE naming the key; PL_EUNSUPPORTED for other families and options. */
enum pl_status pl_model_config_load(const char *path, struct pl_model_config *out, struct pl_diag *d);
enum pl_status pl_model_config_parse(const struct pl_source *src, struct pl_model_config *out, struct pl_diag *d);
/* Rotation frequency of each pair of lanes: angle = position * inv_freq[i]; out double[R/2], R = pl_model_rope_dim. */
void pl_rope_inv_freq(const struct pl_model_config *c, double *inv_freq);
/* Factor of cos and sin: YaRN's, and for queries that of the scores, 1 / sqrt(head_dim) * rope.softmax. */
double pl_rope_scale(const struct pl_model_config *c, bool query);
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
struct pl_mlp_tensors {
    const struct pl_tensor *gate, *up, *down;
    const struct pl_tensor *gate_bias, *up_bias, *down_bias;
};
/* What a layer does not have is NULL. Linear layers are [outputs, inputs]; biases, gains and sinks are vectors. */
struct pl_layer_tensors {
    const struct pl_tensor *input_norm, *q, *k, *v, *o, *post_norm, *gate, *up, *down;
    const struct pl_tensor *q_bias, *k_bias, *v_bias, *o_bias;
    const struct pl_tensor *q_norm, *k_norm; /* [D] */
    const struct pl_tensor *sinks;           /* [H] */
    /* MLA: q = q_b norm(q_a x); latent and rotated key = kv_a x; k and v of the heads = kv_b norm(latent) */
    const struct pl_tensor *q_a, *q_a_norm, *q_b, *kv_a, *kv_a_norm, *kv_b;
    const struct pl_tensor *router, *router_bias, *select_bias; /* [experts, E], [experts], [experts] */
    struct pl_mlp_tensors *expert;                              /* [experts] */
    struct pl_mlp_tensors shared;
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
/* A checkpoint of this configuration with seeded random weights, in memory: F32, linear layers N(0, 1/K), gains about 1, biases
 * and sinks small. For families of which no checkpoint is at hand; the same seed gives the same values anywhere. */
enum pl_status pl_checkpoint_synthetic(struct pl_arena *a, const struct pl_model_config *c, uint64_t seed, struct pl_checkpoint **out,
                                       struct pl_diag *d);
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
