/* quant_internal.h - the quantised model: panels, caches, scratch. Follows doc/lowering.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QUANT_INTERNAL_H
#define QUANT_INTERNAL_H
#include "nn_internal.h"

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
    float *gain1, *gain2;
    struct qweight q, k, v, o, gate, up, down;
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
};

size_t q_width(const struct qmodel *q, size_t cols); /* rounded up to PITCH */
/* y[rows][ldy] = Linear(x[rows][ldx], w), plan.k_tiles at a time */
void q_linear(const struct qmodel *q, const float *x, size_t ldx, size_t rows, const struct qweight *w, float *y,
              size_t ldy);
/* qattention.c: append k, v of the tokens at pos.. and attend; x is q (rotated) on entry, the heads' output on return. */
void q_attention(const struct qmodel *q, struct qlayer *y, uint32_t pos, size_t rows, float *x, const float *k,
                 const float *v);
#endif
