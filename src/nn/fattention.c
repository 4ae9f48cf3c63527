/* fattention.c - attention of every family in float64 or float32: GQA, and MLA with the keys and values of all heads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "float_internal.h"

enum { WEIGHTS = 17 };
struct fattention {
    union {
        float *all[WEIGHTS]; /* what the layer does not have is NULL */
        struct {
            float *q, *k, *v, *o, *q_bias, *k_bias, *v_bias, *o_bias, *q_norm, *k_norm, *sinks;
            float *q_a, *q_a_norm, *q_b, *kv_a, *kv_a_norm, *kv_b; /* MLA */
        };
    };
    uint32_t window;
    double *k_cache, *v_cache; /* [context][K*D], [context][K*Dv]; of MLA K is the number of heads */
};

static uint32_t kv_heads(const struct pl_model_config *c)
{
    return c->mla.kv_rank ? c->n_heads : c->n_kv_heads;
}

struct fattention *f_attention_new(const struct pl_nn *nn, uint32_t layer)
{
    const struct pl_model_config *c = nn->cfg;
    const struct pl_layer_tensors *t = &nn->ck->layer[layer];
    struct fattention *a = nn_alloc(1, sizeof *a);
    const struct pl_tensor *const w[WEIGHTS] = {t->q,      t->k,      t->v,     t->o,   t->q_bias,   t->k_bias, t->v_bias, t->o_bias,   t->q_norm,
                                                t->k_norm, t->sinks,  t->q_a,   t->q_a_norm, t->q_b, t->kv_a,   t->kv_a_norm, t->kv_b};
    for (unsigned i = 0; i < WEIGHTS; i++)
        a->all[i] = f_weights(w[i]);
    a->window = pl_model_window(c, layer);
    a->k_cache = nn_alloc((size_t)nn->context * kv_heads(c) * c->head_dim, sizeof *a->k_cache);
    a->v_cache = nn_alloc((size_t)nn->context * kv_heads(c) * pl_model_v_dim(c), sizeof *a->v_cache);
    return a;
}

void f_attention_free(struct fattention *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < WEIGHTS; i++)
        free(a->all[i]);
    free(a->k_cache);
    free(a->v_cache);
    free(a);
}

static void add_bias(const struct fmodel *f, double *x, const float *bias, size_t s, size_t n)
{
    for (size_t i = 0; bias && i < s * n; i++)
        x[i] = f_keep(f, x[i] + (double)bias[i % n]);
}

/* Rotate the last R of every head's `dim` lanes by the token's position: pairs (i, i + R/2), or of MLA (2i, 2i + 1). */
static void rope(const struct pl_nn *nn, double *x, size_t s, size_t heads, size_t dim)
{
    const struct fmodel *f = nn->f;
    const size_t r = pl_model_rope_dim(nn->cfg), step = nn->cfg->mla.kv_rank ? 2 : 1, apart = nn->cfg->mla.kv_rank ? 1 : r / 2;
    const double factor = nn->cfg->rope.attention;
    for (size_t t = 0; t < s; t++)
        for (size_t i = 0; i < r / 2; i++) {
            const double angle = (double)(nn->length + t) * f->inv_freq[i], co = factor * cos(angle), si = factor * sin(angle);
            for (size_t h = 0; h < heads; h++) {
                double *p = x + (t * heads + h + 1) * dim - r + i * step;
                const double a = p[0], b = p[apart];
                p[0] = f_keep(f, a * co - b * si);
                p[apart] = f_keep(f, b * co + a * si);
            }
        }
}

static void grouped(const struct pl_nn *nn, struct fattention *a, const double *h, size_t s, double *q)
{
    const struct pl_model_config *c = nn->cfg;
    const struct fmodel *f = nn->f;
    const size_t kv = (size_t)c->n_kv_heads * c->head_dim, qn = (size_t)c->n_heads * c->head_dim;
    double *k = a->k_cache + nn->length * kv, *v = a->v_cache + nn->length * kv;
    f_linear(f, h, a->q, s, qn, c->hidden, q);
    f_linear(f, h, a->k, s, kv, c->hidden, k);
    f_linear(f, h, a->v, s, kv, c->hidden, v);
    add_bias(f, q, a->q_bias, s, qn);
    add_bias(f, k, a->k_bias, s, kv);
    add_bias(f, v, a->v_bias, s, kv);
    if (c->qk_norm) {
        f_rmsnorm(f, q, a->q_norm, s * c->n_heads, c->head_dim, c->rms_eps, q);
        f_rmsnorm(f, k, a->k_norm, s * c->n_kv_heads, c->head_dim, c->rms_eps, k);
    }
    rope(nn, q, s, c->n_heads, c->head_dim);
    rope(nn, k, s, c->n_kv_heads, c->head_dim);
}

static void latent_queries(const struct pl_nn *nn, const struct fattention *a, const double *h, size_t s, double *q)
{
    const struct pl_model_config *c = nn->cfg;
    const size_t qn = (size_t)c->n_heads * c->head_dim, rank = c->mla.q_rank;
    if (!rank) {
        f_linear(nn->f, h, a->q, s, qn, c->hidden, q);
        return;
    }
    double *low = nn_alloc(s * rank, sizeof *low);
    f_linear(nn->f, h, a->q_a, s, rank, c->hidden, low);
    f_rmsnorm(nn->f, low, a->q_a_norm, s, rank, c->rms_eps, low);
    f_linear(nn->f, low, a->q_b, s, qn, rank, q);
    free(low);
}

/* Keys and values of all heads from the latent; the rotated part of a key is the same for all. */
static void latent(const struct pl_nn *nn, struct fattention *a, const double *h, size_t s, double *q)
{
    const struct pl_model_config *c = nn->cfg;
    const struct fmodel *f = nn->f;
    const struct pl_mla *m = &c->mla;
    const size_t wide = m->kv_rank + m->rope, out = m->nope + m->v, heads = c->n_heads, dim = c->head_dim;
    double *x = nn_alloc(s * wide, sizeof *x), *low = nn_alloc(s * m->kv_rank, sizeof *low), *kv = nn_alloc(s * heads * out, sizeof *kv);
    latent_queries(nn, a, h, s, q);
    rope(nn, q, s, heads, dim);
    f_linear(f, h, a->kv_a, s, wide, c->hidden, x);
    rope(nn, x, s, 1, wide);
    for (size_t i = 0; i < s; i++)
        memcpy(low + i * m->kv_rank, x + i * wide, m->kv_rank * sizeof *low);
    f_rmsnorm(f, low, a->kv_a_norm, s, m->kv_rank, c->rms_eps, low);
    f_linear(f, low, a->kv_b, s, heads * out, m->kv_rank, kv);
    for (size_t i = 0; i < s * heads; i++) {
        const size_t t = i / heads;
        double *k = a->k_cache + (nn->length * heads + i) * dim;
        memcpy(k, kv + i * out, m->nope * sizeof *k);
        memcpy(k + m->nope, x + t * wide + m->kv_rank, m->rope * sizeof *k);
        memcpy(a->v_cache + (nn->length * heads + i) * m->v, kv + i * out + m->nope, m->v * sizeof *k);
    }
    free(x);
    free(low);
    free(kv);
}

/* One head of one token: its query q, the cache of its kv head, tokens [first, end). */
struct attend {
    const double *q, *k, *v;
    size_t first, end, k_stride, v_stride, dim, v_dim;
    double scale;
    const float *sink; /* NULL: none */
};

static void attend(const struct fmodel *f, const struct attend *a, double *p, double *o)
{
    double max = a->sink ? (double)*a->sink : -INFINITY;
    for (size_t t = a->first; t < a->end; t++) {
        double dot = 0;
        for (size_t i = 0; i < a->dim; i++)
            dot += a->q[i] * a->k[t * a->k_stride + i];
        p[t] = dot * a->scale;
        max = p[t] > max ? p[t] : max;
    }
    double sum = a->sink ? exp((double)*a->sink - max) : 0;
    for (size_t t = a->first; t < a->end; t++)
        sum += p[t] = exp(p[t] - max);
    memset(o, 0, a->v_dim * sizeof *o);
    for (size_t t = a->first; t < a->end; t++)
        for (size_t i = 0; i < a->v_dim; i++)
            o[i] += p[t] * a->v[t * a->v_stride + i];
    for (size_t i = 0; i < a->v_dim; i++)
        o[i] = f_keep(f, o[i] / sum);
}

void f_attention(const struct pl_nn *nn, struct fattention *a, const double *h, size_t s, double *out)
{
    const struct pl_model_config *c = nn->cfg;
    const size_t heads = c->n_heads, group = heads / kv_heads(c), dim = c->head_dim, v_dim = pl_model_v_dim(c);
    const uint32_t pos = nn->length;
    double *q = nn_alloc(s * heads * dim, sizeof *q), *o = nn_alloc(s * heads * v_dim, sizeof *o);
    (c->mla.kv_rank ? latent : grouped)(nn, a, h, s, q);
#pragma omp parallel
    {
        double *p = nn_alloc(pos + s, sizeof *p);
#pragma omp for schedule(dynamic, 4)
        for (size_t i = 0; i < s * heads; i++) {
            const size_t end = pos + i / heads + 1, head = i % heads;
            const struct attend x = {.q = q + i * dim,
                                     .k = a->k_cache + head / group * dim,
                                     .v = a->v_cache + head / group * v_dim,
                                     .first = a->window && end > a->window ? end - a->window : 0,
                                     .end = end,
                                     .k_stride = kv_heads(c) * dim,
                                     .v_stride = kv_heads(c) * v_dim,
                                     .dim = dim,
                                     .v_dim = v_dim,
                                     .scale = c->rope.softmax / sqrt((double)dim),
                                     .sink = a->sinks ? &a->sinks[head] : NULL};
            attend(nn->f, &x, p, o + i * v_dim);
        }
        free(p);
    }
    f_linear(nn->f, o, a->o, s, c->hidden, heads * v_dim, out);
    add_bias(nn->f, out, a->o_bias, s, c->hidden);
    free(q);
    free(o);
}
