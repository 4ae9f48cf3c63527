/* float_internal.h - the float model: state and operators that its files share.
 *
 * Activations are double arrays in both modes; F32 mode rounds every stored value to float, so that its results are
 * those of a float implementation while norms, softmax and rotations share one text. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOAT_INTERNAL_H
#define FLOAT_INTERNAL_H
#include "nn_internal.h"

struct flayer;
struct fmodel {
    bool f32;
    uint32_t n_layers;
    float *embed, *final_norm, *lm_head;
    struct flayer *layer;
    double *inv_freq;
};
float *f_weights(const struct pl_tensor *t); /* NULL of NULL */
double f_keep(const struct fmodel *f, double x);
/* y[S][N] = x[S][K] w[N][K]^T */
void f_linear(const struct fmodel *f, const double *x, const float *w, size_t s, size_t n, size_t k, double *y);
/* y[S][E], also in place */
void f_rmsnorm(const struct fmodel *f, const double *x, const float *gain, size_t s, size_t e, double eps, double *y);

/* fattention.c: the weights and the cache of one layer; out[S][E] from h[S][E]. */
struct fattention;
struct fattention *f_attention_new(const struct pl_nn *nn, uint32_t layer);
void f_attention_free(struct fattention *a);
void f_attention(const struct pl_nn *nn, struct fattention *a, const double *h, size_t s, double *out);
#endif
