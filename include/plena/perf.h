/* perf.h - the analytic model, sizes: parameters, bytes, what fits, traffic of a step, links between devices.
 *
 * Counts are exact integers held in double (below 2^53); bytes may be fractions where a scale is shared. Formulas and
 * their reasons: doc/cost.md. Source: reference/perf-model.md 4.   Depends on: arch.h, model.h.   Threads: pure functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PERF_H
#define PLENA_PERF_H
#include "plena/arch.h"
#include "plena/model.h"

/* The models of the paper's tables by name: "llama-3.1-8b", "llama-3.3-70b", "gpt-oss-20b", "qwen3-32b". Sizes and layer
 * kinds alone; no tokenizer ids, no rope scaling. */
const char *pl_perf_known_name(size_t index); /* NULL at the end */
bool pl_perf_known(const char *name, struct pl_model_config *out);

/* ---- parameters by class ---- */
#define PL_PERF_CLASS_LIST(X)                                            \
    X(EMBED, "embedding", "token table")                                 \
    X(HEAD, "lm_head", "output table; none of its own when tied")        \
    X(ATTENTION, "attention", "q, k, v, o, or the ranks of MLA")         \
    X(FFN, "ffn", "gate, up, down of dense layers")                      \
    X(EXPERTS, "experts", "gate, up, down of all experts")               \
    X(SHARED, "shared experts", "experts that every token passes")       \
    X(ROUTER, "router", "one row an expert")                             \
    X(NORMS, "norms", "gains, biases, sinks")
enum pl_perf_class {
#define X(id, name, doc) PL_PERF_##id,
    PL_PERF_CLASS_LIST(X)
#undef X
    PL_PERF_CLASSES
};
const char *pl_perf_class_name(enum pl_perf_class c);
/* Parameters of layers [first, end) into count[PL_PERF_CLASSES]; embed and head: those of the whole model, for callers to use
 * where they stand. */
void pl_perf_params(const struct pl_model_config *m, uint32_t first, uint32_t end, double *count);
/* Parameters that one token passes: all but the table of embeddings and the experts not chosen. */
double pl_perf_active_params(const struct pl_model_config *m);

/* ---- bits in HBM ---- */
struct pl_perf_store {
    double weight, kv;    /* bits of one element of linear layers and experts; of the KV cache; scales shared out */
    double expert;        /* of experts; models whose checkpoint has them narrower */
    double table, vector; /* of embedding and head; of norms and activations */
};
/* Bits of one element: its own and its share of the block's 8-bit scale, or without (the paper's convention). */
double pl_perf_bits(const struct pl_format *f, bool scales);
/* From formats of the machine: tables and the embedding as the compiler keeps them (embedding in the vector format). */
struct pl_perf_store pl_perf_store_of(const struct pl_arch *arch, bool scales);

/* Elements of the KV cache of one token in one layer, and of a sequence of `tokens` in layers [first, end). */
double pl_perf_kv_lanes(const struct pl_model_config *m);
double pl_perf_kv_elements(const struct pl_model_config *m, uint32_t first, uint32_t end, double tokens);

/* ---- devices ---- */
/* dp: whole copies, each with a part of the batch. pp: stages of consecutive layers. tp: heads and ffn columns. sp: the
 * tokens of each sequence's KV cache. ep: the experts; the rest of the model is copied and the batch divided. All >= 1. */
struct pl_perf_split {
    uint32_t dp, pp, tp, sp, ep;
};
uint32_t pl_perf_devices(const struct pl_perf_split *s);
/* PL_ERANGE where the model cannot be divided so, saying why. */
enum pl_status pl_perf_split_check(const struct pl_model_config *m, const struct pl_perf_split *s, struct pl_diag *d);

struct pl_perf_footprint { /* bytes of the fullest device */
    double weight[PL_PERF_CLASSES], weights, kv, total;
    uint32_t stage;
};
/* batch: sequences over all devices, each of `tokens`. */
void pl_perf_footprint(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double batch,
                       double tokens, struct pl_perf_footprint *out);
/* The largest batch over all devices whose shards fit `capacity_bytes` a device.
 * PL_EUNSUPPORTED, with the sizes, when not even one sequence a copy fits. */
enum pl_status pl_perf_largest_batch(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s,
                                     double capacity_bytes, double tokens, uint64_t *batch, struct pl_diag *d);
/* PL_EUNSUPPORTED when a shard of this batch does not fit. */
enum pl_status pl_perf_check_fit(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s,
                                 double capacity_bytes, double batch, double tokens, struct pl_diag *d);

/* ---- traffic ---- */
/* Experts that at least one of `tokens` chooses, when all are equally likely: E (1 - (1 - k/E)^tokens). */
double pl_perf_distinct_experts(const struct pl_model_config *m, double tokens);
struct pl_perf_traffic { /* bytes of one device's HBM */
    double weights, kv_read, kv_write, total;
};
/* A decode step of `batch` sequences at `context` tokens each. */
void pl_perf_decode_traffic(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double batch,
                            double context, struct pl_perf_traffic *out);
/* Prefill of `batch` prompts in chunks of `chunk` tokens: weights once a chunk, KV of the tokens before read by each. */
void pl_perf_prefill_traffic(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double batch,
                             double prompt, double chunk, struct pl_perf_traffic *out);

/* ---- operations: multiply-accumulates ---- */
/* Attention of one token that sees `context` tokens, all layers. Absorbed MLA: scores against the latent. */
double pl_perf_attention_macs(const struct pl_model_config *m, double context);
/* One prompt, causal; the head for its last token. */
double pl_perf_prefill_macs(const struct pl_model_config *m, double prompt);

/* ---- links ---- */
enum pl_link_kind { PL_LINK_RING, PL_LINK_SWITCH };
struct pl_link {
    enum pl_link_kind kind;
    double bandwidth; /* bytes/s of a device, one way */
    double latency_s; /* of a hop, or through the switch */
};
/* Seconds for n devices; `bytes`: what each device holds before (all_reduce, all_to_all) or after (all_gather). */
double pl_link_all_reduce(const struct pl_link *l, uint32_t n, double bytes);
double pl_link_all_gather(const struct pl_link *l, uint32_t n, double bytes);
double pl_link_all_to_all(const struct pl_link *l, uint32_t n, double bytes);
double pl_link_send(const struct pl_link *l, double bytes);
/* All transfers of one pass of `rows` tokens over the model (over all devices), activations of `bits`, one after the
 * other. new_kv: tokens whose K and V the sp devices pass around (prefill); 0: partial sums are joined (decode). */
double pl_perf_comm_s(const struct pl_model_config *m, const struct pl_perf_split *s, const struct pl_link *l, double rows, double bits,
                      double new_kv);
#endif
