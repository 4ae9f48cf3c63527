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
/* The caller's hook, if there is one. */
void f_edit(const struct pl_nn *nn, uint32_t layer, enum pl_nn_operand what, double *x, size_t rows, size_t cols);
/* The unnormalised transform of groups of lanes that inputs of a quantised checkpoint's linear layers go through. */
void f_rotate(const struct fmodel *f, double *x, size_t n, size_t group);
/* y[S][E], also in place */
void f_rmsnorm(const struct fmodel *f, const double *x, const float *gain, size_t s, size_t e, double eps, double *y);

/* fattention.c: the weights and the cache of one layer; out[S][E] from h[S][E], which a hook may change. */
struct fattention;
struct fattention *f_attention_new(const struct pl_nn *nn, uint32_t layer);
void f_attention_free(struct fattention *a);
void f_attention(const struct pl_nn *nn, struct fattention *a, double *h, size_t s, double *out);

/* fmlp.c: the MLP of one layer, or its router and experts */
struct fmlp;
struct fmlp *f_mlp_new(const struct pl_nn *nn, const struct fmodel *f, const struct pl_layer_tensors *t);
void f_mlp_free(struct fmlp *y);
void f_mlp(const struct fmlp *y, double *h, size_t s, double *out); /* a hook may change h */
#endif
