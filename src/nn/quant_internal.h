/* quant_internal.h - the quantised model: panels, caches, scratch. Follows doc/lowering.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QUANT_INTERNAL_H
#define QUANT_INTERNAL_H
#include "nn_internal.h"
#include "plena/model_graph.h"

struct qweight { /* a linear layer: one right panel for each group of K tiles */
    size_t n, k;
    unsigned groups;
    struct pl_panel **panel;
};
struct qcache { /* K or V of one layer: codes and scales of whole token rows, and the panels of every KV tile */
    uint32_t *code;        /* [context][K*hs] */
    uint8_t *scale;        /* [context][scales] */
    struct pl_panel **panel; /* K: [tile][kv head]; V: [tile][kv head][column group] */
};
struct qlayer {
    struct pl_graph graph;
    uint32_t window;              /* tokens it sees; 0: all */
    struct qweight w[PL_WEIGHTS]; /* linear layers */
    float *vec[PL_WEIGHTS];       /* gains, biases */
    struct qcache kc, vc;
};
struct qmodel {
    struct pl_plan p;
    const struct pl_model_config *cfg;
    struct pl_format act, weight, kv; /* resolved */
    struct pl_mm_spec linear, qk, pv;
    size_t pitch, hs, kv_width, kv_scales; /* lanes of a head; of a K or V row; its scales */
    size_t group, groups;                  /* V columns that share a fold; how many such groups in a head */
    size_t tiles;                          /* KV tiles of the context */
    float *embed, *final_gain;
    struct qweight lm_head;
    struct qlayer *layer;
    uint32_t n_layers;
    double *inv_freq;
    float lowest; /* of the vector format: m before the first score */
};

enum pl_status qmodel_start(const struct pl_nn *nn, const struct pl_plan *plan, struct qmodel **out, struct pl_diag *d);
float *q_vector_weights(const struct qmodel *q, const struct pl_tensor *t, size_t rows, size_t cols);
void q_layer_start(const struct qmodel *q, struct qlayer *y); /* empty caches */
/* Take a weight, its rows or columns at their heads' lanes, matrices quantised into panels; what was there goes. */
void q_set_weight(const struct qmodel *q, struct qlayer *y, enum pl_weight which, const struct pl_tensor *t);
void q_free_weights(struct qlayer *y);
void q_free_weight(struct qweight *w);
void q_rmsnorm(const struct qmodel *q, const float *x, const float *gain, float *y);

struct qtap { /* stop a layer at the inputs of one site */
    enum pl_nn_site site;
    float *out;
};
/* stream.c: rows of a site's inputs as the array takes them, heads without their pads */
void q_tap(const struct qmodel *q, enum pl_nn_site site, const float *x, size_t ldx, size_t rows, float *out);
/* The halves of a layer for n tokens at pos.. in state x; h is scratch of x's size. Stopped at a tap they leave x alone. */
struct qpass {
    const struct qmodel *q;
    struct qlayer *y;
    uint32_t pos;
    size_t n;
    float *x, *h;
    const struct qtap *tap;
};
void q_attention_half(const struct qpass *p);
void q_mlp_half(const struct qpass *p);

size_t q_width(const struct qmodel *q, size_t cols); /* rounded up to PITCH */
/* y[rows][ldy] = Linear(x[rows][ldx], w), plan.k_tiles at a time */
void q_linear(const struct qmodel *q, const float *x, size_t ldx, size_t rows, const struct qweight *w, float *y,
              size_t ldy);
/* qattention.c: k and v [n][ld] of the pass appended to the cache; the outputs [n][ld] of the heads of queries x. */
void q_kv_store(const struct qpass *p, const float *k, const float *v, size_t ld);
void q_attention(const struct qpass *p, const float *x, float *out, size_t ld);
#endif
