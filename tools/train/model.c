/* model.c - forward and backward pass. Rows are batch * tokens; B batch, T tokens, R = B*T. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct layer_act {
    float *x, *h1, *r1, *q, *k, *v, *p, *o, *x2, *h2, *r2, *gate, *up, *act;
};
struct activations {
    struct layer_act *layer;
    int layers;
    float *x, *hf, *rf, *prob; /* after the last layer */
    float *dx, *dh, *dq, *dk, *dv, *dov, *dgate, *dup, *dact, *dp, *tmp;
    float *cos, *sin; /* [T][D/2] */
};

static float *floats(size_t n)
{
    float *p = calloc(n, sizeof *p);
    if (!p)
        abort();
    return p;
}

static size_t layout(struct weights *w, const struct shape *s, float *base)
{
    const size_t e = (size_t)s->hidden, q = (size_t)(s->heads * s->head_dim), kv = (size_t)(s->kv_heads * s->head_dim),
                 f = (size_t)s->ffn, v = (size_t)s->vocab;
    size_t at = 0;
#define TAKE(field, n) (field) = base ? base + at : NULL, at += (n)
    TAKE(w->embed, v * e);
    TAKE(w->head, v * e);
    for (int l = 0; l < s->layers; l++) {
        struct layer_weights *y = &w->layer[l];
        TAKE(y->q, q * e);
        TAKE(y->k, kv * e);
        TAKE(y->v, kv * e);
        TAKE(y->o, e * q);
        TAKE(y->gate, f * e);
        TAKE(y->up, f * e);
        TAKE(y->down, e * f);
    }
    TAKE(w->final_norm, e); /* the gains come last: no weight decay */
    for (int l = 0; l < s->layers; l++) {
        TAKE(w->layer[l].norm1, e);
        TAKE(w->layer[l].norm2, e);
    }
#undef TAKE
    return at;
}

void weights_init(struct weights *w, const struct shape *s)
{
    w->layer = calloc((size_t)s->layers, sizeof *w->layer);
    if (!w->layer)
        abort();
    w->count = layout(w, s, NULL);
    w->all = floats(w->count);
    layout(w, s, w->all);
}

void weights_free(struct weights *w)
{
    free(w->all);
    free(w->layer);
}

struct activations *activations_new(const struct shape *s, int batch, int tokens)
{
    struct activations *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    const size_t r = (size_t)(batch * tokens), e = (size_t)s->hidden, q = (size_t)(s->heads * s->head_dim),
                 kv = (size_t)(s->kv_heads * s->head_dim), f = (size_t)s->ffn,
                 pp = (size_t)(batch * s->heads * tokens) * (size_t)tokens;
    a->layers = s->layers;
    a->layer = calloc((size_t)s->layers, sizeof *a->layer);
    for (int l = 0; l < s->layers; l++) {
        struct layer_act *y = &a->layer[l];
        y->x = floats(r * e), y->h1 = floats(r * e), y->r1 = floats(r), y->q = floats(r * q), y->k = floats(r * kv);
        y->v = floats(r * kv), y->p = floats(pp), y->o = floats(r * q), y->x2 = floats(r * e), y->h2 = floats(r * e);
        y->r2 = floats(r), y->gate = floats(r * f), y->up = floats(r * f), y->act = floats(r * f);
    }
    a->x = floats(r * e), a->hf = floats(r * e), a->rf = floats(r), a->prob = floats(r * (size_t)s->vocab);
    a->dx = floats(r * e), a->dh = floats(r * e), a->dq = floats(r * q), a->dk = floats(r * kv), a->dv = floats(r * kv);
    a->dov = floats(r * q), a->dgate = floats(r * f), a->dup = floats(r * f), a->dact = floats(r * f);
    a->dp = floats(pp), a->tmp = floats(r * e);
    const size_t half = (size_t)s->head_dim / 2;
    a->cos = floats((size_t)tokens * half), a->sin = floats((size_t)tokens * half);
    for (size_t t = 0; t < (size_t)tokens; t++)
        for (size_t i = 0; i < half; i++) {
            const double angle = (double)t * pow((double)s->theta, -2.0 * (double)i / s->head_dim);
            a->cos[t * half + i] = (float)cos(angle);
            a->sin[t * half + i] = (float)sin(angle);
        }
    return a;
}

void activations_free(struct activations *a)
{
    for (int l = 0; l < a->layers; l++) {
        struct layer_act *y = &a->layer[l];
        float *const p[] = {y->x, y->h1, y->r1, y->q, y->k, y->v, y->p, y->o, y->x2, y->h2, y->r2, y->gate, y->up, y->act};
        for (size_t i = 0; i < sizeof p / sizeof *p; i++)
            free(p[i]);
    }
    float *const p[] = {a->x,  a->hf,  a->rf,    a->prob, a->dx,   a->dh, a->dq,  a->dk,  a->dv,
                        a->dov, a->dgate, a->dup, a->dact, a->dp, a->tmp, a->cos, a->sin};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        free(p[i]);
    free(a->layer);
    free(a);
}

const float *model_probabilities(const struct activations *a)
{
    return a->prob;
}

/* y[R][N] = x[R][K] w[N][K]^T */
static void linear(const float *x, const float *w, int r, int n, int k, float *y)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, r, n, k, 1, x, k, w, k, 0, y, n);
}

/* dx (+)= dy w; dw += dy^T x */
static void linear_back(const float *x, const float *w, const float *dy, int r, int n, int k, float *dx, int add,
                        float *dw)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, r, k, n, 1, dy, n, w, k, add ? 1.0f : 0.0f, dx, k);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, r, 1, dy, n, x, k, 1, dw, k);
}

static void norm(const float *x, const float *g, int r, int e, float eps, float *y, float *inv)
{
#pragma omp parallel for
    for (int i = 0; i < r; i++) {
        float sum = 0;
        for (int j = 0; j < e; j++)
            sum += x[i * e + j] * x[i * e + j];
        inv[i] = 1.0f / sqrtf(sum / (float)e + eps);
        for (int j = 0; j < e; j++)
            y[i * e + j] = x[i * e + j] * inv[i] * g[j];
    }
}

/* dx += gradient through the norm; dg += */
static void norm_back(const float *x, const float *g, const float *inv, const float *dy, int r, int e, float *dx,
                      float *dg)
{
    for (int i = 0; i < r; i++) {
        float dot = 0;
        for (int j = 0; j < e; j++) {
            dot += dy[i * e + j] * g[j] * x[i * e + j];
            dg[j] += dy[i * e + j] * x[i * e + j] * inv[i];
        }
        const float c = dot * inv[i] * inv[i] * inv[i] / (float)e;
        for (int j = 0; j < e; j++)
            dx[i * e + j] += dy[i * e + j] * g[j] * inv[i] - x[i * e + j] * c;
    }
}

/* Rotate pairs (i, i + D/2); direction -1 is the inverse, which is also the gradient. */
static void rope(const struct shape *s, const struct activations *a, float *x, int heads, int rows, int tokens, float dir)
{
    const int d = s->head_dim, half = d / 2;
#pragma omp parallel for
    for (int i = 0; i < rows; i++)
        for (int h = 0; h < heads; h++) {
            float *p = x + (i * heads + h) * d;
            for (int j = 0; j < half; j++) {
                const float c = a->cos[i % tokens * half + j], n = dir * a->sin[i % tokens * half + j];
                const float u = p[j], v = p[j + half];
                p[j] = u * c - v * n;
                p[j + half] = v * c + u * n;
            }
        }
}

static void softmax_causal(float *p, int tokens, float scale)
{
    for (int t = 0; t < tokens; t++) {
        float *row = p + t * tokens, max = -1e30f, sum = 0;
        for (int i = 0; i <= t; i++)
            max = row[i] * scale > max ? row[i] * scale : max;
        for (int i = 0; i <= t; i++)
            sum += row[i] = expf(row[i] * scale - max);
        for (int i = 0; i < tokens; i++)
            row[i] = i <= t ? row[i] / sum : 0;
    }
}

static void attention(const struct shape *s, struct layer_act *y, int batch, int tokens)
{
    const int d = s->head_dim, lq = s->heads * d, lk = s->kv_heads * d, group = s->heads / s->kv_heads;
    const float scale = 1.0f / sqrtf((float)d);
#pragma omp parallel for
    for (int bh = 0; bh < batch * s->heads; bh++) {
        const int b = bh / s->heads, h = bh % s->heads, g = h / group;
        const float *q = y->q + b * tokens * lq + h * d, *k = y->k + b * tokens * lk + g * d,
                    *v = y->v + b * tokens * lk + g * d;
        float *p = y->p + (size_t)bh * (size_t)(tokens * tokens), *o = y->o + b * tokens * lq + h * d;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, tokens, tokens, d, 1, q, lq, k, lk, 0, p, tokens);
        softmax_causal(p, tokens, scale);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, tokens, d, tokens, 1, p, tokens, v, lk, 0, o, lq);
    }
}

/* From dov to dq, dk, dv. Heads of one kv group add into the same dk, dv: one thread per (batch, kv head). */
static void attention_back(const struct shape *s, struct activations *a, const struct layer_act *y, int batch, int tokens)
{
    const int d = s->head_dim, lq = s->heads * d, lk = s->kv_heads * d, group = s->heads / s->kv_heads;
    const float scale = 1.0f / sqrtf((float)d);
#pragma omp parallel for
    for (int bg = 0; bg < batch * s->kv_heads; bg++)
        for (int i = 0; i < group; i++) {
            const int b = bg / s->kv_heads, g = bg % s->kv_heads, h = g * group + i;
            const size_t at = (size_t)(b * s->heads + h) * (size_t)(tokens * tokens);
            const int oq = b * tokens * lq + h * d, ok = b * tokens * lk + g * d;
            const float *p = y->p + at, *dov = a->dov + oq;
            float *dp = a->dp + at;
            const float add = i ? 1.0f : 0.0f;
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, tokens, d, tokens, 1, p, tokens, dov, lq, add,
                        a->dv + ok, lk);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, tokens, tokens, d, 1, dov, lq, y->v + ok, lk, 0, dp,
                        tokens);
            for (int t = 0; t < tokens; t++) {
                float dot = 0;
                for (int j = 0; j <= t; j++)
                    dot += p[t * tokens + j] * dp[t * tokens + j];
                for (int j = 0; j < tokens; j++)
                    dp[t * tokens + j] = j <= t ? p[t * tokens + j] * (dp[t * tokens + j] - dot) * scale : 0;
            }
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, tokens, d, tokens, 1, dp, tokens, y->k + ok, lk, 0,
                        a->dq + oq, lq);
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, tokens, d, tokens, 1, dp, tokens, y->q + oq, lq, add,
                        a->dk + ok, lk);
        }
}

static void layer_forward(const struct shape *s, const struct layer_weights *w, struct activations *a,
                          struct layer_act *y, int batch, int tokens, float *x)
{
    const int r = batch * tokens, e = s->hidden, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim, f = s->ffn;
    memcpy(y->x, x, (size_t)(r * e) * sizeof *x);
    norm(x, w->norm1, r, e, s->eps, y->h1, y->r1);
    linear(y->h1, w->q, r, q, e, y->q);
    linear(y->h1, w->k, r, kv, e, y->k);
    linear(y->h1, w->v, r, kv, e, y->v);
    rope(s, a, y->q, s->heads, r, tokens, 1);
    rope(s, a, y->k, s->kv_heads, r, tokens, 1);
    attention(s, y, batch, tokens);
    linear(y->o, w->o, r, e, q, a->tmp);
    for (int i = 0; i < r * e; i++)
        y->x2[i] = x[i] + a->tmp[i];
    norm(y->x2, w->norm2, r, e, s->eps, y->h2, y->r2);
    linear(y->h2, w->gate, r, f, e, y->gate);
    linear(y->h2, w->up, r, f, e, y->up);
#pragma omp parallel for
    for (int i = 0; i < r * f; i++)
        y->act[i] = y->gate[i] / (1.0f + expf(-y->gate[i])) * y->up[i];
    linear(y->act, w->down, r, e, f, a->tmp);
    for (int i = 0; i < r * e; i++)
        x[i] = y->x2[i] + a->tmp[i];
}

/* a->dx: gradient of the layer's output on entry, of its input on return. */
static void layer_backward(const struct shape *s, const struct layer_weights *w, struct activations *a,
                           const struct layer_act *y, int batch, int tokens, struct layer_weights *g)
{
    const int r = batch * tokens, e = s->hidden, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim, f = s->ffn;
    linear_back(y->act, w->down, a->dx, r, e, f, a->dact, 0, g->down);
#pragma omp parallel for
    for (int i = 0; i < r * f; i++) {
        const float sig = 1.0f / (1.0f + expf(-y->gate[i]));
        a->dup[i] = a->dact[i] * y->gate[i] * sig;
        a->dgate[i] = a->dact[i] * y->up[i] * sig * (1.0f + y->gate[i] * (1.0f - sig));
    }
    linear_back(y->h2, w->gate, a->dgate, r, f, e, a->dh, 0, g->gate);
    linear_back(y->h2, w->up, a->dup, r, f, e, a->dh, 1, g->up);
    norm_back(y->x2, w->norm2, y->r2, a->dh, r, e, a->dx, g->norm2);
    linear_back(y->o, w->o, a->dx, r, e, q, a->dov, 0, g->o);
    attention_back(s, a, y, batch, tokens);
    rope(s, a, a->dq, s->heads, r, tokens, -1);
    rope(s, a, a->dk, s->kv_heads, r, tokens, -1);
    linear_back(y->h1, w->q, a->dq, r, q, e, a->dh, 0, g->q);
    linear_back(y->h1, w->k, a->dk, r, kv, e, a->dh, 1, g->k);
    linear_back(y->h1, w->v, a->dv, r, kv, e, a->dh, 1, g->v);
    norm_back(y->x, w->norm1, y->r1, a->dh, r, e, a->dx, g->norm1);
}

/* Softmax in place; mean -ln p of the counted targets. */
static double cross_entropy(float *logit, const int32_t *targets, int r, int v, int *counted)
{
    double sum = 0;
    *counted = 0;
    for (int i = 0; i < r; i++) {
        float *row = logit + i * v, max = row[0], z = 0;
        for (int j = 1; j < v; j++)
            max = row[j] > max ? row[j] : max;
        for (int j = 0; j < v; j++)
            z += row[j] = expf(row[j] - max);
        for (int j = 0; j < v; j++)
            row[j] /= z;
        if (targets[i] >= 0) {
            sum -= log((double)row[targets[i]] + 1e-30);
            ++*counted;
        }
    }
    return *counted ? sum / *counted : 0;
}

double model_loss(const struct shape *s, const struct weights *w, struct activations *a, const int32_t *ids,
                  const int32_t *targets, int batch, int tokens, struct weights *grad)
{
    const int r = batch * tokens, e = s->hidden, v = s->vocab;
    for (int i = 0; i < r; i++)
        memcpy(a->x + i * e, w->embed + ids[i] * e, (size_t)e * sizeof *a->x);
    for (int l = 0; l < s->layers; l++)
        layer_forward(s, &w->layer[l], a, &a->layer[l], batch, tokens, a->x);
    norm(a->x, w->final_norm, r, e, s->eps, a->hf, a->rf);
    linear(a->hf, w->head, r, v, e, a->prob);
    int counted;
    const double loss = cross_entropy(a->prob, targets, r, v, &counted);
    if (!grad)
        return loss;

    memset(grad->all, 0, grad->count * sizeof *grad->all);
    for (int i = 0; i < r; i++)
        for (int j = 0; j < v; j++)
            a->prob[i * v + j] =
                targets[i] < 0 ? 0 : (a->prob[i * v + j] - (float)(j == targets[i])) / (float)counted;
    linear_back(a->hf, w->head, a->prob, r, v, e, a->dh, 0, grad->head);
    memset(a->dx, 0, (size_t)(r * e) * sizeof *a->dx);
    norm_back(a->x, w->final_norm, a->rf, a->dh, r, e, a->dx, grad->final_norm);
    for (int l = s->layers; l-- > 0;)
        layer_backward(s, &w->layer[l], a, &a->layer[l], batch, tokens, &grad->layer[l]);
    for (int i = 0; i < r; i++)
        for (int j = 0; j < e; j++)
            grad->embed[ids[i] * e + j] += a->dx[i * e + j];
    return loss;
}
