/* float.c - the model in float64 (plain loops) or float32 (OpenBLAS products, every stored value a float). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "float_internal.h"

struct flayer {
    float *input_norm, *post_norm, *gate, *up, *down;
    struct fattention *attention;
};

float *f_weights(const struct pl_tensor *t)
{
    if (!t)
        return NULL;
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
    f->embed = f_weights(nn->ck->embed);
    f->final_norm = f_weights(nn->ck->final_norm);
    f->lm_head = c->tied ? f->embed : f_weights(nn->ck->lm_head);
    f->inv_freq = nn_alloc(pl_model_rope_dim(c) / 2, sizeof *f->inv_freq);
    pl_rope_inv_freq(c, f->inv_freq);
    f->layer = nn_alloc(c->n_layers, sizeof *f->layer);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        const struct pl_layer_tensors *t = &nn->ck->layer[l];
        struct flayer *y = &f->layer[l];
        y->input_norm = f_weights(t->input_norm);
        y->post_norm = f_weights(t->post_norm);
        y->gate = f_weights(t->gate);
        y->up = f_weights(t->up);
        y->down = f_weights(t->down);
        y->attention = f_attention_new(nn, l);
    }
    *out = f;
    return PL_OK;
}

static void free_layer(struct flayer *y)
{
    float *const w[] = {y->input_norm, y->post_norm, y->gate, y->up, y->down};
    for (size_t i = 0; i < PL_COUNT(w); i++)
        free(w[i]);
    f_attention_free(y->attention);
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

double f_keep(const struct fmodel *f, double x)
{
    return f->f32 ? (double)(float)x : x;
}

void f_linear(const struct fmodel *f, const double *x, const float *w, size_t s, size_t n, size_t k, double *y)
{
    if (f->f32) {
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

void f_rmsnorm(const struct fmodel *f, const double *x, const float *gain, size_t s, size_t e, double eps, double *y)
{
    for (size_t i = 0; i < s; i++) {
        double sum = 0;
        for (size_t j = 0; j < e; j++)
            sum += x[i * e + j] * x[i * e + j];
        const double r = 1.0 / sqrt(sum / (double)e + eps);
        for (size_t j = 0; j < e; j++)
            y[i * e + j] = f_keep(f, x[i * e + j] * r * (double)gain[j]);
    }
}

static void mlp(const struct pl_nn *nn, const struct flayer *y, const double *h, size_t s, double *out)
{
    const struct pl_model_config *c = nn->cfg;
    double *g = nn_alloc(s * c->ffn, sizeof *g), *u = nn_alloc(s * c->ffn, sizeof *u);
    f_linear(nn->f, h, y->gate, s, c->ffn, c->hidden, g);
    f_linear(nn->f, h, y->up, s, c->ffn, c->hidden, u);
    for (size_t i = 0; i < s * c->ffn; i++)
        g[i] = f_keep(nn->f, g[i] / (1.0 + exp(-g[i])) * u[i]);
    f_linear(nn->f, g, y->down, s, c->hidden, c->ffn, out);
    free(g);
    free(u);
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
        f_rmsnorm(f, x, y->input_norm, n, e, c->rms_eps, h);
        f_attention(nn, y->attention, h, n, delta);
        for (size_t i = 0; i < n * e; i++)
            x[i] = f_keep(f, x[i] + delta[i]);
        f_rmsnorm(f, x, y->post_norm, n, e, c->rms_eps, h);
        mlp(nn, y, h, n, delta);
        for (size_t i = 0; i < n * e; i++)
            x[i] = f_keep(f, x[i] + delta[i]);
    }
    const size_t first = last_only ? n - 1 : 0, rows = n - first;
    double *out = nn_alloc(rows * c->vocab, sizeof *out);
    f_rmsnorm(f, x + first * e, f->final_norm, rows, e, c->rms_eps, h);
    f_linear(f, h, f->lm_head, rows, c->vocab, e, out);
    for (size_t i = 0; i < rows * c->vocab; i++)
        logits[i] = (float)out[i];
    free(x);
    free(h);
    free(delta);
    free(out);
}
