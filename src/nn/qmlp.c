/* qmlp.c - activations of an MLP; the router and the experts of a quantised layer. Follows doc/lowering.md, 6. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- weights ---- */
struct qexpert *q_experts_new(const struct qmodel *q, const struct pl_layer_tensors *t)
{
    const uint32_t n = q->cfg->moe.experts, ffn = q->cfg->moe.ffn, hidden = q->cfg->hidden;
    struct qexpert *x = nn_alloc(n, sizeof *x);
    for (uint32_t e = 0; e < n; e++) {
        const struct pl_mlp_tensors *m = &t->expert[e];
        q_load_weight(q, &x[e].gate, m->gate, ffn, hidden);
        q_load_weight(q, &x[e].up, m->up, ffn, hidden);
        q_load_weight(q, &x[e].down, m->down, hidden, ffn);
        if (!q->cfg->moe.expert_bias)
            continue;
        x[e].gate_bias = q_vector_weights(q, m->gate_bias, 1, ffn);
        x[e].up_bias = q_vector_weights(q, m->up_bias, 1, ffn);
        x[e].down_bias = q_vector_weights(q, m->down_bias, 1, hidden);
    }
    return x;
}

void q_experts_free(const struct qmodel *q, struct qexpert *x)
{
    for (uint32_t e = 0; x && e < q->cfg->moe.experts; e++) {
        q_free_weight(&x[e].gate);
        q_free_weight(&x[e].up);
        q_free_weight(&x[e].down);
        free(x[e].gate_bias);
        free(x[e].up_bias);
        free(x[e].down_bias);
    }
    free(x);
}

/* ---- one MLP ---- */
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
    q_rotate(q, PL_SITE_DOWN, g, n);
    free(t);
}

static void clamped_glu(const struct qmodel *q, float *g, float *u, size_t n)
{
    const struct pl_minifloat v = q->p.vec;
    const float limit = (float)q->cfg->glu_limit;
    float *t = nn_alloc(n, sizeof *t);
    pl_vec_mins(v, g, limit, n, g);
    pl_vec_mins(v, u, limit, n, u);
    pl_vec_maxs(v, u, -limit, n, u);
    pl_vec_muls(v, g, -1.702f, n, t);
    pl_vec_exp(v, t, n, t);
    pl_vec_adds(v, t, 1.0f, n, t);
    pl_vec_reci(v, t, n, t);
    pl_vec_mul(v, t, g, n, t);
    pl_vec_adds(v, u, 1.0f, n, u);
    pl_vec_mul(v, t, u, n, g);
    free(t);
}

void q_glu(const struct qmodel *q, float *g, float *u, size_t n)
{
    if (q->cfg->glu_limit > 0)
        clamped_glu(q, g, u, n);
    else
        swiglu(q, g, u, n);
}

static void add_bias(const struct qmodel *q, float *x, size_t w, size_t rows, const float *bias)
{
    for (size_t i = 0; bias && i < rows; i++)
        pl_vec_add(q->p.vec, x + i * w, bias, w, x + i * w);
}

/* An MLP of `rows` rows h[w]. */
static void mlp(const struct qmodel *q, const struct qexpert *m, const float *h, size_t w, size_t rows, float *out)
{
    const size_t wf = q_width(q, m->gate.n);
    float *g = nn_alloc(rows * wf, sizeof *g), *u = nn_alloc(rows * wf, sizeof *u);
    q_linear(q, h, w, rows, &m->gate, g, wf);
    q_linear(q, h, w, rows, &m->up, u, wf);
    add_bias(q, g, wf, rows, m->gate_bias);
    add_bias(q, u, wf, rows, m->up_bias);
#pragma omp parallel for
    for (size_t i = 0; i < rows; i++)
        q_glu(q, g + i * wf, u + i * wf, wf);
    q_linear(q, g, wf, rows, &m->down, out, w);
    add_bias(q, out, w, rows, m->down_bias);
    free(g);
    free(u);
}

/* ---- routing ---- */
/* FP32 sum of a row of whole vector rows. */
static float row_sum(const struct qmodel *q, const float *x, size_t width)
{
    float acc = 0;
    for (size_t s = 0; s < width; s += q->p.vlen)
        acc = pl_f32_add(acc, pl_vec_sum(q->p.vec, x + s, q->p.vlen));
    return acc;
}

/* Scores of all experts from their logits, whose lanes behind the last become -Inf. */
static void scores(const struct qmodel *q, float *l, size_t width, float *s)
{
    const struct pl_moe *c = &q->cfg->moe;
    const struct pl_minifloat v = q->p.vec;
    if (c->score == PL_MOE_SIGMOID) {
        pl_vec_subs(v, l, 0.0f, true, width, s);
        pl_vec_exp(v, s, width, s);
        pl_vec_adds(v, s, 1.0f, width, s);
        pl_vec_reci(v, s, width, s);
        return;
    }
    for (size_t i = c->experts; i < width; i++)
        l[i] = -INFINITY;
    float max = -INFINITY;
    for (size_t i = 0; i < width; i += q->p.vlen)
        max = pl_f32_max(max, pl_vec_max(v, l + i, q->p.vlen));
    pl_vec_subs(v, l, max, false, width, s);
    pl_vec_exp(v, s, width, s);
    if (c->score == PL_MOE_SOFTMAX || pl_moe_by_score(c))
        pl_vec_muls(v, s, pl_f32_reci(row_sum(q, s, width)), width, s);
}

static void route(const struct qmodel *q, const float *select_bias, float *l, uint32_t *index, float *weight)
{
    const struct pl_moe *c = &q->cfg->moe;
    const size_t width = q_width(q, c->experts);
    const struct pl_route r = {c->experts, c->top_k, c->groups, c->top_groups, c->group_top};
    float *s = nn_alloc(width, sizeof *s), *choice = nn_alloc(width, sizeof *choice), sum = 0, by = (float)c->scale;
    scores(q, l, width, s);
    memcpy(choice, pl_moe_by_score(c) ? s : l, width * sizeof *choice);
    add_bias(q, choice, width, 1, select_bias);
    pl_route_choose(&r, choice, index);
    for (uint32_t j = 0; j < c->top_k; j++)
        sum = pl_f32_add(sum, s[index[j]]);
    if (c->score != PL_MOE_SOFTMAX)
        by = pl_f32_mul(pl_f32_reci(sum), by);
    for (uint32_t j = 0; j < c->top_k; j++)
        weight[j] = pl_f32_mul(s[index[j]], by);
    free(s);
    free(choice);
}

/* ---- experts ---- */
/* acc += what expert e gives the tokens that chose it */
static void expert(const struct qmodel *q, const struct qexpert *m, uint32_t e, const float *h, size_t w, size_t n, const uint32_t *index,
                   const float *weight, float *acc)
{
    const uint32_t k = q->cfg->moe.top_k;
    size_t *at = nn_alloc(n * k, sizeof *at), rows = 0;
    for (size_t i = 0; i < n * k; i++)
        if (index[i] == e)
            at[rows++] = i;
    float *x = nn_alloc(rows * w, sizeof *x), *y = nn_alloc(rows * w, sizeof *y);
    for (size_t i = 0; i < rows; i++)
        memcpy(x + i * w, h + at[i] / k * w, w * sizeof *x);
    if (rows)
        mlp(q, m, x, w, rows, y);
    for (size_t i = 0; i < rows; i++) {
        float *to = acc + at[i] / k * w;
        pl_vec_muls(q->p.vec, y + i * w, weight[at[i]], w, y + i * w);
        pl_vec_add(q->p.vec, to, y + i * w, w, to);
    }
    free(at);
    free(x);
    free(y);
}

void q_experts(const struct qpass *p, const float *h, float *out)
{
    const struct qmodel *q = p->q;
    const struct qlayer *y = p->y;
    const struct pl_moe *c = &q->cfg->moe;
    const size_t n = p->n, w = q_width(q, q->cfg->hidden), wr = q_width(q, c->experts);
    float *l = nn_alloc(n * wr, sizeof *l), *weight = nn_alloc(n * c->top_k, sizeof *weight);
    uint32_t *index = nn_alloc(n * c->top_k, sizeof *index);
    q_linear(q, h, w, n, &y->w[PL_W_ROUTER], l, wr);
    add_bias(q, l, wr, n, y->vec[PL_W_ROUTER_BIAS]);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        route(q, y->vec[PL_W_SELECT_BIAS], l + i * wr, index + i * c->top_k, weight + i * c->top_k);
    memset(out, 0, n * w * sizeof *out);
    for (uint32_t e = 0; e < c->experts; e++)
        expert(q, &y->expert[e], e, h, w, n, index, weight, out);
    if (c->shared) {
        const struct qexpert all = {.gate = y->w[PL_W_SHARED_GATE], .up = y->w[PL_W_SHARED_UP], .down = y->w[PL_W_SHARED_DOWN]};
        float *s = nn_alloc(n * w, sizeof *s);
        mlp(q, &all, h, w, n, s);
        pl_vec_add(q->p.vec, out, s, n * w, out);
        free(s);
    }
    free(l);
    free(weight);
    free(index);
}
