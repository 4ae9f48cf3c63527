/* qattention.c - the quantised attention of doc/lowering.md, 5: KV rows in the KV format, online softmax over KV tiles. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Quantise one token's K or V row into the cache. */
static void store_row(const struct qmodel *q, struct qcache *c, uint32_t pos, const float *x)
{
    pl_quantise(&q->kv, x, NULL, q->kv_width, c->code + pos * q->kv_width, c->scale + pos * q->kv_scales);
}

static void extend_k(const struct qmodel *q, struct qcache *c, uint32_t pos)
{
    const size_t tile = pos / q->p.kv_tile, slot = pos % q->p.kv_tile, n = q->cfg->n_kv_heads;
    for (size_t g = 0; g < n; g++) {
        struct pl_panel **p = &c->panel[tile * n + g];
        if (!*p)
            *p = pl_panel_new(&q->qk, true, q->p.kv_tile, q->hs);
        pl_panel_set_right(&q->qk, *p, slot, 0, q->hs, c->code + pos * q->kv_width + g * q->hs,
                           c->scale + pos * q->kv_scales + g * q->hs / q->kv.block);
    }
}

static void extend_v(const struct qmodel *q, struct qcache *c, uint32_t pos)
{
    const size_t tile = pos / q->p.kv_tile, slot = pos % q->p.kv_tile, n = q->cfg->n_kv_heads;
    for (size_t g = 0; g < n * q->groups; g++) {
        struct pl_panel **p = &c->panel[tile * n * q->groups + g];
        if (!*p)
            *p = pl_panel_new(&q->pv, true, q->group, q->p.kv_tile);
        pl_panel_set_right_row(&q->pv, *p, slot, 0, q->group, c->code + pos * q->kv_width + g * q->group);
    }
}

struct head_state {
    float *m, *l;  /* [rows] */
    float *o, *pv; /* [rows][hs] */
    float *s;      /* [rows][kv_tile] */
};

/* One row of the online softmax over tokens [hidden, visible) of the tile: s becomes P; returns a. */
static float softmax_row(const struct qmodel *q, float *s, size_t hidden, size_t visible, float *m, float *l)
{
    const struct pl_minifloat v = q->p.vec;
    const size_t tk = q->p.kv_tile, vlen = q->p.vlen;
    for (size_t i = 0; i < tk; i++)
        if (i < hidden || i >= visible)
            s[i] = -INFINITY;
    float top = *m;
    for (size_t i = 0; i < tk; i += vlen)
        top = pl_f32_max(top, pl_vec_max(v, s + i, vlen));
    const float a = pl_f32_exp(pl_f32_sub(*m, top));
    pl_vec_subs(v, s, top, false, tk, s);
    pl_vec_exp(v, s, tk, s);
    float sum = pl_f32_mul(*l, a);
    for (size_t i = 0; i < tk; i += vlen)
        sum = pl_f32_add(sum, pl_vec_sum(v, s + i, vlen));
    *m = top;
    *l = sum;
    return a;
}

/* pv[rows][hs] = P v, column group by column group with its folded scales. */
static void values(const struct qmodel *q, const struct qlayer *y, size_t tile, size_t g, const float *p, size_t rows,
                   float *pv)
{
    const size_t tk = q->p.kv_tile;
    const bool fold = pl_format_has_scale(&q->kv);
    int16_t exp_add[4096];
    struct pl_panel *left = pl_panel_new(&q->pv, false, rows, tk);
    for (size_t c = 0; c < q->groups; c++) {
        for (size_t t = 0; fold && t < tk; t++) {
            const size_t pos = tile * tk + t, lane = g * q->hs + c * q->group;
            const uint8_t s = y->vc.scale[pos * q->kv_scales + lane / q->kv.block];
            exp_add[t] = s == 255 ? 0 : (int16_t)(s - 127);
        }
        for (size_t i = 0; i < rows && (fold || c == 0); i++)
            pl_panel_set_left(&q->pv, left, i, 0, tk, p + i * tk, fold ? exp_add : NULL);
        pl_mm_product(&q->pv, left, rows, y->vc.panel[(tile * q->cfg->n_kv_heads + g) * q->groups + c], q->group,
                      pv + c * q->group, q->hs);
    }
    pl_panel_free(left);
}

/* Of tokens first.. those of this tile. */
static size_t in_tile(size_t first, size_t tile, size_t tk)
{
    const size_t n = first > tile * tk ? first - tile * tk : 0;
    return n < tk ? n : tk;
}

static size_t first_seen(const struct qlayer *y, size_t pos)
{
    return y->window && pos + 1 > y->window ? pos + 1 - y->window : 0;
}

static void kv_step(const struct qmodel *q, const struct qlayer *y, size_t tile, size_t g, const struct pl_panel *queries,
                    uint32_t pos, size_t rows, const struct head_state *st)
{
    const size_t tk = q->p.kv_tile, hs = q->hs;
    /* Rows that only see masked tokens here, which change nothing, are computed with the rest. */
    pl_mm_product(&q->qk, queries, rows, y->kc.panel[tile * q->cfg->n_kv_heads + g], tk, st->s, tk);
    float *a = nn_alloc(rows, sizeof *a);
    for (size_t i = 0; i < rows; i++)
        a[i] = softmax_row(q, st->s + i * tk, in_tile(first_seen(y, pos + i), tile, tk), in_tile(pos + i + 1, tile, tk), &st->m[i], &st->l[i]);
    values(q, y, tile, g, st->s, rows, st->pv);
    for (size_t i = 0; i < rows; i++) {
        pl_vec_muls(q->p.vec, st->o + i * hs, a[i], hs, st->o + i * hs);
        pl_vec_add(q->p.vec, st->o + i * hs, st->pv + i * hs, hs, st->o + i * hs);
    }
    free(a);
}

static void one_head(const struct qpass *p, const float *x, float *out, size_t ldx, uint32_t h)
{
    const struct qmodel *q = p->q;
    const size_t hs = q->hs, tk = q->p.kv_tile, g = h / (q->cfg->n_heads / q->cfg->n_kv_heads), rows = p->n;
    const size_t lane = pl_model_head_place(q->cfg, h) * hs;
    const struct head_state st = {nn_alloc(rows, sizeof(float)), nn_alloc(rows, sizeof(float)),
                                  nn_alloc(rows * hs, sizeof(float)), nn_alloc(rows * hs, sizeof(float)),
                                  nn_alloc(rows * tk, sizeof(float))};
    struct pl_panel *queries = pl_panel_new(&q->qk, false, rows, hs);
    const float *sinks = p->y->vec[PL_W_SINKS];
    for (size_t i = 0; i < rows; i++) {
        st.m[i] = sinks ? sinks[lane] : q->lowest;
        st.l[i] = sinks ? 1.0f : 0.0f;
        pl_panel_set_left(&q->qk, queries, i, 0, hs, x + i * ldx + lane, NULL);
    }
    for (size_t tile = first_seen(p->y, p->pos) / tk; tile * tk < p->pos + rows; tile++)
        kv_step(q, p->y, tile, g, queries, p->pos, rows, &st);
    for (size_t i = 0; i < rows; i++)
        pl_vec_muls(q->p.vec, st.o + i * hs, pl_f32_reci(st.l[i]), hs, out + i * ldx + lane);
    pl_panel_free(queries);
    free(st.m);
    free(st.l);
    free(st.o);
    free(st.pv);
    free(st.s);
}

void q_kv_store(const struct qpass *p, const float *k, const float *v, size_t ld)
{
    for (size_t i = 0; i < p->n; i++) {
        const uint32_t pos = p->pos + (uint32_t)i;
        store_row(p->q, &p->y->kc, pos, k + i * ld);
        store_row(p->q, &p->y->vc, pos, v + i * ld);
        extend_k(p->q, &p->y->kc, pos);
        extend_v(p->q, &p->y->vc, pos);
    }
}

void q_attention(const struct qpass *p, const float *x, float *out, size_t ld)
{
#pragma omp parallel for schedule(dynamic, 1)
    for (uint32_t h = 0; h < p->q->cfg->n_heads; h++)
        one_head(p, x, out, ld, h);
}
