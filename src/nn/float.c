/* float.c - the model in float64 (plain loops) or float32 (OpenBLAS products, every stored value a float). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn_internal.h"

/* Activations are double arrays in both modes; F32 mode rounds every stored value to float, so that its results are
 * those of a float implementation while norms, softmax and rotations share one text. */
struct flayer {
    float *input_norm, *post_norm, *q, *k, *v, *o;
    struct fmlp *mlp;
    double *k_cache, *v_cache; /* [context][K*D] */
};
struct fmodel {
    bool f32;
    uint32_t n_layers;
    float *embed, *final_norm, *lm_head;
    struct flayer *layer;
    double *inv_freq;
};

static float *weights(const struct pl_tensor *t)
{
    float *p = nn_alloc(t->count, sizeof *p);
    pl_tensor_to_f32(t, 0, t->count, p);
    return p;
}

enum pl_status fmodel_new(const struct pl_nn *nn, struct fmodel **out, struct pl_diag *d)
{
    (void)d;
    const struct pl_model_config *c = nn->cfg;
    struct fmodel *f = nn_alloc(1, sizeof *f);
    f->f32 = nn->mode == PL_NN_F32;
    f->n_layers = c->n_layers;
    f->embed = weights(nn->ck->embed);
    f->final_norm = weights(nn->ck->final_norm);
    f->lm_head = c->tied ? f->embed : weights(nn->ck->lm_head);
    f->inv_freq = nn_alloc(c->head_dim / 2, sizeof *f->inv_freq);
    pl_rope_inv_freq(c, f->inv_freq);
    f->layer = nn_alloc(c->n_layers, sizeof *f->layer);
    const size_t kv = (size_t)c->n_kv_heads * c->head_dim;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        const struct pl_layer_tensors *t = &nn->ck->layer[l];
        struct flayer *y = &f->layer[l];
        y->input_norm = weights(t->input_norm);
        y->post_norm = weights(t->post_norm);
        y->q = weights(t->q);
        y->k = weights(t->k);
        y->v = weights(t->v);
        y->o = weights(t->o);
        y->mlp = fmlp_new(c, f->f32, t);
        y->k_cache = nn_alloc(nn->context * kv, sizeof *y->k_cache);
        y->v_cache = nn_alloc(nn->context * kv, sizeof *y->v_cache);
    }
    *out = f;
    return PL_OK;
}

static void free_layer(struct flayer *y)
{
    float *const w[] = {y->input_norm, y->post_norm, y->q, y->k, y->v, y->o};
    for (size_t i = 0; i < PL_COUNT(w); i++)
        free(w[i]);
    fmlp_free(y->mlp);
    free(y->k_cache);
    free(y->v_cache);
}

void fmodel_free(struct fmodel *f)
{
    if (!f)
        return;
    for (uint32_t l = 0; l < f->n_layers; l++)
        free_layer(&f->layer[l]);
    if (f->lm_head != f->embed)
        free(f->lm_head);
    free(f->embed);
    free(f->final_norm);
    free(f->layer);
    free(f->inv_freq);
    free(f);
}

static double keep(const struct fmodel *f, double x)
{
    return f->f32 ? (double)(float)x : x;
}

void f_linear(bool f32, const double *x, const float *w, size_t s, size_t n, size_t k, double *y)
{
    if (f32) {
        float *xf = nn_alloc(s * k, sizeof *xf), *yf = nn_alloc(s * n, sizeof *yf);
        for (size_t i = 0; i < s * k; i++)
            xf[i] = (float)x[i];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s, (int)n, (int)k, 1.0f, xf, (int)k, w, (int)k, 0.0f,
                    yf, (int)n);
        for (size_t i = 0; i < s * n; i++)
            y[i] = (double)yf[i];
        free(xf);
        free(yf);
        return;
    }
#pragma omp parallel for
    for (size_t i = 0; i < s; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t m = 0; m < k; m++)
                sum += x[i * k + m] * (double)w[j * k + m];
            y[i * n + j] = sum;
        }
}

static void linear(const struct fmodel *f, const double *x, const float *w, size_t s, size_t n, size_t k, double *y)
{
    f_linear(f->f32, x, w, s, n, k, y);
}

static void rmsnorm(const struct fmodel *f, const double *x, const float *gain, size_t s, size_t e, double eps, double *y)
{
    for (size_t i = 0; i < s; i++) {
        double sum = 0;
        for (size_t j = 0; j < e; j++)
            sum += x[i * e + j] * x[i * e + j];
        const double r = 1.0 / sqrt(sum / (double)e + eps);
        for (size_t j = 0; j < e; j++)
            y[i * e + j] = keep(f, x[i * e + j] * r * (double)gain[j]);
    }
}

/* Rotate pairs (i, i + D/2) of every head by the token's position. */
static void rope(const struct fmodel *f, double *x, size_t s, size_t heads, size_t dim, uint32_t pos)
{
    for (size_t t = 0; t < s; t++)
        for (size_t i = 0; i < dim / 2; i++) {
            const double angle = (double)(pos + t) * f->inv_freq[i], co = cos(angle), si = sin(angle);
            for (size_t h = 0; h < heads; h++) {
                double *p = x + (t * heads + h) * dim;
                const double a = p[i], b = p[i + dim / 2];
                p[i] = keep(f, a * co - b * si);
                p[i + dim / 2] = keep(f, b * co + a * si);
            }
        }
}

/* One head of one token over `n` cached tokens. q, o [D]; k, v with `stride` between tokens. */
static void attend(const struct fmodel *f, const double *q, const double *k, const double *v, size_t n, size_t stride,
                   size_t dim, double *p, double *o)
{
    double max = -INFINITY, sum = 0;
    const double scale = 1.0 / sqrt((double)dim);
    for (size_t t = 0; t < n; t++) {
        double dot = 0;
        for (size_t i = 0; i < dim; i++)
            dot += q[i] * k[t * stride + i];
        p[t] = dot * scale;
        max = p[t] > max ? p[t] : max;
    }
    for (size_t t = 0; t < n; t++)
        sum += p[t] = exp(p[t] - max);
    memset(o, 0, dim * sizeof *o);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < dim; i++)
            o[i] += p[t] * v[t * stride + i];
    for (size_t i = 0; i < dim; i++)
        o[i] = keep(f, o[i] / sum);
}

static void attention(const struct pl_nn *nn, struct flayer *y, const double *h, size_t s, double *out)
{
    const struct pl_model_config *c = nn->cfg;
    const struct fmodel *f = nn->f;
    const size_t dim = c->head_dim, kv = c->n_kv_heads * dim, qn = c->n_heads * dim, group = c->n_heads / c->n_kv_heads;
    const uint32_t pos = nn->length;
    double *q = nn_alloc(s * qn, sizeof *q), *o = nn_alloc(s * qn, sizeof *o);
    double *k = y->k_cache + pos * kv, *v = y->v_cache + pos * kv;
    linear(f, h, y->q, s, qn, c->hidden, q);
    linear(f, h, y->k, s, kv, c->hidden, k);
    linear(f, h, y->v, s, kv, c->hidden, v);
    rope(f, q, s, c->n_heads, dim, pos);
    rope(f, k, s, c->n_kv_heads, dim, pos);
#pragma omp parallel
    {
        double *p = nn_alloc(pos + s, sizeof *p);
#pragma omp for schedule(dynamic, 4)
        for (size_t i = 0; i < s * c->n_heads; i++) {
            const size_t t = i / c->n_heads, head = i % c->n_heads, g = head / group * dim;
            attend(f, q + t * qn + head * dim, y->k_cache + g, y->v_cache + g, pos + t + 1, kv, dim, p,
                   o + t * qn + head * dim);
        }
        free(p);
    }
    linear(f, o, y->o, s, c->hidden, qn, out);
    free(q);
    free(o);
}

void fmodel_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits)
{
    const struct pl_model_config *c = nn->cfg;
    const struct fmodel *f = nn->f;
    const size_t e = c->hidden;
    double *x = nn_alloc(n * e, sizeof *x), *h = nn_alloc(n * e, sizeof *h), *delta = nn_alloc(n * e, sizeof *delta);
    for (size_t i = 0; i < n * e; i++)
        x[i] = (double)f->embed[ids[i / e] * e + i % e];
    for (uint32_t l = 0; l < c->n_layers; l++) {
        struct flayer *y = &f->layer[l];
        rmsnorm(f, x, y->input_norm, n, e, c->rms_eps, h);
        attention(nn, y, h, n, delta);
        for (size_t i = 0; i < n * e; i++)
            x[i] = keep(f, x[i] + delta[i]);
        rmsnorm(f, x, y->post_norm, n, e, c->rms_eps, h);
        fmlp_forward(y->mlp, h, n, delta);
        for (size_t i = 0; i < n * e; i++)
            x[i] = keep(f, x[i] + delta[i]);
    }
    const size_t first = last_only ? n - 1 : 0, rows = n - first;
    double *out = nn_alloc(rows * c->vocab, sizeof *out);
    rmsnorm(f, x + first * e, f->final_norm, rows, e, c->rms_eps, h);
    linear(f, h, f->lm_head, rows, c->vocab, e, out);
    for (size_t i = 0; i < rows * c->vocab; i++)
        logits[i] = (float)out[i];
    free(x);
    free(h);
    free(delta);
    free(out);
}
