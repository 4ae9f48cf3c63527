/* size.c - parameters by class, the KV cache, bits of a stored element, operations. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "plena/perf.h"

const char *pl_perf_class_name(enum pl_perf_class c)
{
    static const char *const name[] = {
#define X(id, name, doc) name,
        PL_PERF_CLASS_LIST(X)
#undef X
    };
    return name[c];
}

static double attention_params(const struct pl_model_config *m)
{
    const double E = m->hidden, H = m->n_heads, K = m->n_kv_heads, D = m->head_dim;
    const struct pl_mla *a = &m->mla;
    if (!a->kv_rank)
        return 2 * E * H * D + 2 * E * K * D;
    const double q = a->q_rank ? E * a->q_rank + a->q_rank * H * D : E * H * D;
    return q + E * (a->kv_rank + a->rope) + (double)a->kv_rank * H * (a->nope + a->v) + H * a->v * E;
}

/* Gains of a layer, and whatever else is one row long. */
static double norm_params(const struct pl_model_config *m, bool sparse)
{
    const double E = m->hidden, q = (double)m->n_heads * m->head_dim, kv = 2.0 * m->n_kv_heads * m->head_dim;
    double n = 2 * E;
    n += m->qkv_bias ? q + kv : 0;
    n += m->o_bias ? E : 0;
    n += m->qk_norm ? 2.0 * m->head_dim : 0;
    n += m->sinks ? m->n_heads : 0;
    n += m->mla.kv_rank ? m->mla.kv_rank + m->mla.q_rank : 0;
    if (sparse) {
        n += m->moe.router_bias || m->moe.select_bias ? m->moe.experts : 0;
        n += m->moe.expert_bias ? (double)m->moe.experts * (2.0 * m->moe.ffn + E) : 0;
    }
    return n;
}

void pl_perf_params(const struct pl_model_config *m, uint32_t first, uint32_t end, double *count)
{
    const double E = m->hidden;
    for (unsigned c = 0; c < PL_PERF_CLASSES; c++)
        count[c] = 0;
    count[PL_PERF_EMBED] = (double)m->vocab * E;
    count[PL_PERF_HEAD] = (double)m->vocab * E;
    for (uint32_t l = first; l < end; l++) {
        const bool sparse = pl_model_sparse(m, l);
        count[PL_PERF_ATTENTION] += attention_params(m);
        count[PL_PERF_NORMS] += norm_params(m, sparse);
        if (!sparse) {
            count[PL_PERF_FFN] += 3 * E * m->ffn;
            continue;
        }
        count[PL_PERF_EXPERTS] += 3 * E * m->moe.ffn * m->moe.experts;
        count[PL_PERF_SHARED] += 3 * E * m->moe.ffn * m->moe.shared;
        count[PL_PERF_ROUTER] += E * m->moe.experts;
    }
    count[PL_PERF_NORMS] += end == m->n_layers ? E : 0;
}

double pl_perf_active_params(const struct pl_model_config *m)
{
    double n[PL_PERF_CLASSES];
    pl_perf_params(m, 0, m->n_layers, n);
    const double chosen = m->moe.experts ? n[PL_PERF_EXPERTS] * m->moe.top_k / m->moe.experts : 0;
    return n[PL_PERF_HEAD] + n[PL_PERF_ATTENTION] + n[PL_PERF_FFN] + n[PL_PERF_SHARED] + n[PL_PERF_ROUTER] + chosen;
}

double pl_perf_bits(const struct pl_format *f, bool scales)
{
    return pl_format_bits(f) + (scales && pl_format_has_scale(f) ? 8.0 / f->block : 0.0);
}

struct pl_perf_store pl_perf_store_of(const struct pl_arch *arch, bool scales)
{
    const struct pl_minifloat vec = arch->vector_format.elem;
    const struct pl_format w = pl_format_resolve(arch->weight_format, vec), kv = pl_format_resolve(arch->kv_format, vec);
    const double weight = pl_perf_bits(&w, scales), vector = pl_perf_bits(&arch->vector_format, scales);
    return (struct pl_perf_store){.weight = weight, .kv = pl_perf_bits(&kv, scales), .expert = weight, .table = vector, .vector = vector};
}

double pl_perf_kv_lanes(const struct pl_model_config *m)
{
    if (m->mla.kv_rank)
        return (double)m->mla.kv_rank + m->mla.rope;
    return 2.0 * m->n_kv_heads * m->head_dim;
}

double pl_perf_kv_elements(const struct pl_model_config *m, uint32_t first, uint32_t end, double tokens)
{
    double seen = 0;
    for (uint32_t l = first; l < end; l++) {
        const uint32_t w = pl_model_window(m, l);
        seen += w && w < tokens ? w : tokens;
    }
    return seen * pl_perf_kv_lanes(m);
}

/* Lanes of a query against a key, and of a value. */
static double attention_lanes(const struct pl_model_config *m)
{
    if (m->mla.kv_rank)
        return 2.0 * m->mla.kv_rank + m->mla.rope;
    return 2.0 * m->head_dim;
}

double pl_perf_attention_macs(const struct pl_model_config *m, double context)
{
    return pl_perf_kv_elements(m, 0, m->n_layers, context) / pl_perf_kv_lanes(m) * m->n_heads * attention_lanes(m);
}

double pl_perf_prefill_macs(const struct pl_model_config *m, double prompt)
{
    const double head = (double)m->vocab * m->hidden, linear = pl_perf_active_params(m) - head;
    /* Keys and values of a prompt are made in full; a head then has its own lanes. */
    const double lanes = m->mla.kv_rank ? (double)m->head_dim + m->mla.v : 2.0 * m->head_dim;
    double pairs = 0;
    for (uint32_t l = 0; l < m->n_layers; l++) {
        const uint32_t w = pl_model_window(m, l);
        pairs += w && w < prompt ? w * prompt : prompt * prompt / 2;
    }
    return linear * prompt + head + pairs * m->n_heads * lanes;
}
