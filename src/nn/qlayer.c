/* qlayer.c - the operators of a layer in the machine's arithmetic, and the run through its graph. doc/lowering.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void q_linear(const struct qmodel *q, const float *x, size_t ldx, size_t rows, const struct qweight *w, float *y,
              size_t ldy)
{
    const size_t step = (size_t)q->p.k_tiles * q->p.mlen, lanes = q_width(q, w->k);
    float *part = w->groups > 1 ? nn_alloc(rows * w->n, sizeof *part) : NULL;
    for (unsigned g = 0; g < w->groups; g++) {
        const size_t k0 = g * step, len = lanes - k0 < step ? lanes - k0 : step;
        struct pl_panel *left = pl_panel_new(&q->linear, false, rows, len);
        for (size_t i = 0; i < rows; i++)
            pl_panel_set_left(&q->linear, left, i, 0, len, x + i * ldx + k0, NULL);
        pl_mm_product(&q->linear, left, rows, w->panel[g], w->n, g ? part : y, g ? w->n : ldy);
        pl_panel_free(left);
        for (size_t i = 0; g && i < rows; i++)
            pl_vec_add(q->p.vec, y + i * ldy, part + i * w->n, w->n, y + i * ldy);
    }
    free(part);
}

/* f32 1 / sqrt(acc / n + eps) */
static float norm_factor(const struct qmodel *q, float acc, uint32_t n)
{
    acc = pl_f32_mul(acc, (float)(1.0 / n));
    acc = pl_f32_add(acc, (float)q->cfg->rms_eps);
    return pl_f32_reci(pl_f32_sqrt(acc));
}

void q_rmsnorm(const struct qmodel *q, const float *x, const float *gain, float *y)
{
    const struct pl_minifloat v = q->p.vec;
    const size_t vlen = q->p.vlen, width = q_width(q, q->cfg->hidden);
    float square[4096], acc = 0;
    for (size_t s = 0; s < width; s += vlen) {
        pl_vec_mul(v, x + s, x + s, vlen, square);
        acc = pl_f32_add(acc, pl_vec_sum(v, square, vlen));
    }
    pl_vec_muls(v, x, norm_factor(q, acc, q->cfg->hidden), width, y);
    pl_vec_mul(v, y, gain, width, y);
}

/* Every head of a row normed over its own lanes. */
static void head_norm(const struct qmodel *q, float *x, uint32_t n_heads, const float *gain)
{
    const struct pl_minifloat v = q->p.vec;
    const size_t hs = q->hs, seg = hs < q->p.vlen ? hs : q->p.vlen;
    float square[4096];
    for (uint32_t h = 0; h < n_heads; h++) {
        float *p = x + h * hs, acc = 0;
        for (size_t s = 0; s < hs; s += seg) {
            pl_vec_mul(v, p + s, p + s, seg, square);
            acc = pl_f32_add(acc, pl_vec_sum(v, square, seg));
        }
        pl_vec_muls(v, p, norm_factor(q, acc, q->cfg->head_dim), hs, p);
        pl_vec_mul(v, p, gain, hs, p);
    }
}

/* Rotate the heads of one token row; scale is folded into the tables of q. */
static void rope(const struct qmodel *q, float *x, uint32_t n_heads, uint32_t pos, double scale)
{
    const struct pl_minifloat v = q->p.vec;
    const size_t hs = q->hs, half = hs / 2;
    float *co = nn_alloc(hs, sizeof *co), *si = nn_alloc(hs, sizeof *si), *t = nn_alloc(hs, sizeof *t);
    for (uint32_t i = 0; i < q->cfg->head_dim / 2; i++) {
        const double angle = pos * q->inv_freq[i];
        co[i] = co[half + i] = pl_vec_round(v, (float)(cos(angle) * scale));
        si[half + i] = pl_vec_round(v, (float)(sin(angle) * scale));
        si[i] = -si[half + i];
    }
    for (uint32_t h = 0; h < n_heads; h++) {
        float *p = x + h * hs;
        for (size_t i = 0; i < hs; i++)
            t[i] = p[i ^ half];
        pl_vec_mul(v, t, si, hs, t);
        pl_vec_mul(v, p, co, hs, p);
        pl_vec_add(v, p, t, hs, p);
        for (size_t i = 0; q->p.rotate && i < hs; i += q->p.rotate)
            pl_vec_hadamard(v, p + i, q->p.rotate, p + i);
    }
    free(co);
    free(si);
    free(t);
}

static void swiglu(const struct qmodel *q, float *g, const float *u, size_t n)
{
    const struct pl_minifloat v = q->p.vec;
    float *t = nn_alloc(n, sizeof *t);
    pl_vec_subs(v, g, 0.0f, true, n, t);
    pl_vec_exp(v, t, n, t);
    pl_vec_adds(v, t, 1.0f, n, t);
    pl_vec_reci(v, t, n, t);
    pl_vec_mul(v, t, g, n, t);
    pl_vec_mul(v, t, u, n, g);
    free(t);
}

/* ---- the graph: a function for each kind of operator ---- */
/* Lanes of a row of each value, before the padding to whole chunks. */
static size_t value_cols(const struct qmodel *q, enum pl_value v)
{
    switch (v) {
    case PL_VAL_Q:
    case PL_VAL_HEADS:
        return q->cfg->n_heads * q->hs;
    case PL_VAL_K:
    case PL_VAL_V:
        return q->kv_width;
    case PL_VAL_GATE:
    case PL_VAL_UP:
        return q->cfg->ffn;
    default:
        return q->cfg->hidden;
    }
}

struct qrun {
    const struct qpass *p;
    float *val[PL_VALUES]; /* [n][ld] */
    size_t ld[PL_VALUES];
};

static void op_norm(const struct qrun *r, const struct pl_graph_op *op)
{
    const size_t w = r->ld[op->src];
#pragma omp parallel for
    for (size_t i = 0; i < r->p->n; i++)
        q_rmsnorm(r->p->q, r->val[op->src] + i * w, r->p->y->vec[op->weight], r->val[op->dst] + i * w);
}

static void op_linear(const struct qrun *r, const struct pl_graph_op *op)
{
    const size_t ld = r->ld[op->dst];
    float *y = r->val[op->dst];
    q_linear(r->p->q, r->val[op->src], r->ld[op->src], r->p->n, &r->p->y->w[op->weight], y, ld);
    for (size_t i = 0; op->bias && i < r->p->n; i++)
        pl_vec_add(r->p->q->p.vec, y + i * ld, r->p->y->vec[op->bias], ld, y + i * ld);
}

static uint32_t heads_of(const struct qrun *r, enum pl_value v)
{
    return v == PL_VAL_Q ? r->p->q->cfg->n_heads : r->p->q->cfg->n_kv_heads;
}

static void op_head_norm(const struct qrun *r, const struct pl_graph_op *op)
{
#pragma omp parallel for
    for (size_t i = 0; i < r->p->n; i++)
        head_norm(r->p->q, r->val[op->dst] + i * r->ld[op->dst], heads_of(r, op->dst), r->p->y->vec[op->weight]);
}

static void op_rope(const struct qrun *r, const struct pl_graph_op *op)
{
    const struct qmodel *q = r->p->q;
    const bool query = op->dst == PL_VAL_Q;
    const double scale = pl_rope_scale(q->cfg, query) / (query && q->p.rotate ? q->p.rotate : 1);
#pragma omp parallel for
    for (size_t i = 0; i < r->p->n; i++)
        rope(q, r->val[op->dst] + i * r->ld[op->dst], heads_of(r, op->dst), r->p->pos + (uint32_t)i, scale);
}

static void op_kv_store(const struct qrun *r, const struct pl_graph_op *op)
{
    (void)op;
    q_kv_store(r->p, r->val[PL_VAL_K], r->val[PL_VAL_V], r->ld[PL_VAL_K]);
}

static void op_attention(const struct qrun *r, const struct pl_graph_op *op)
{
    q_attention(r->p, r->val[op->src], r->val[op->dst], r->ld[op->src]);
}

static void op_glu(const struct qrun *r, const struct pl_graph_op *op)
{
    const size_t w = r->ld[op->dst];
#pragma omp parallel for
    for (size_t i = 0; i < r->p->n; i++)
        swiglu(r->p->q, r->val[op->dst] + i * w, r->val[op->src] + i * w, w);
}

static void op_residual(const struct qrun *r, const struct pl_graph_op *op)
{
    pl_vec_add(r->p->q->p.vec, r->val[op->dst], r->val[op->src], r->p->n * r->ld[op->dst], r->val[op->dst]);
}

typedef void op_fn(const struct qrun *r, const struct pl_graph_op *op);
static op_fn *const ops[PL_OP_KINDS] = {
    [PL_OP_NORM] = op_norm,           [PL_OP_LINEAR] = op_linear,       [PL_OP_HEAD_NORM] = op_head_norm, [PL_OP_ROPE] = op_rope,
    [PL_OP_KV_STORE] = op_kv_store,   [PL_OP_ATTENTION] = op_attention, [PL_OP_GLU] = op_glu,
    [PL_OP_RESIDUAL] = op_residual,
};

/* The first linear layer that takes a site's inputs. */
static enum pl_weight site_weight(enum pl_nn_site s)
{
    static const enum pl_weight w[] = {
        [PL_NN_QKV] = PL_W_Q, [PL_NN_O] = PL_W_O, [PL_NN_GATE_UP] = PL_W_GATE, [PL_NN_DOWN] = PL_W_DOWN};
    return s == PL_NN_HEAD ? PL_W_NONE : w[s];
}

static void run(const struct qpass *p, unsigned first, unsigned end)
{
    const struct pl_graph *g = &p->y->graph;
    struct qrun r = {.p = p};
    for (unsigned v = 0; v < PL_VALUES; v++)
        r.ld[v] = q_width(p->q, value_cols(p->q, (enum pl_value)v));
    r.val[PL_VAL_X] = p->x;
    r.val[PL_VAL_Y] = p->h;
    for (unsigned i = first; i < end; i++) {
        const struct pl_graph_op *op = &g->op[i];
        if (p->tap && op->kind == PL_OP_LINEAR && op->weight == site_weight(p->tap->site)) {
            q_tap(p->q, p->tap->site, r.val[op->src], r.ld[op->src], p->n, p->tap->out);
            break;
        }
        if (!r.val[op->dst])
            r.val[op->dst] = nn_alloc(p->n * r.ld[op->dst], sizeof(float));
        ops[op->kind](&r, op);
    }
    for (unsigned v = 0; v < PL_VALUES; v++)
        if (v != PL_VAL_X && v != PL_VAL_Y)
            free(r.val[v]);
}

void q_attention_half(const struct qpass *p)
{
    run(p, 0, p->y->graph.mlp);
}

void q_mlp_half(const struct qpass *p)
{
    run(p, p->y->graph.mlp, p->y->graph.n);
}
