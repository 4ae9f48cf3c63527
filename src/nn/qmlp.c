/* qmlp.c - the MLP half of a quantised layer: dense, or a router with experts. Follows doc/lowering.md, 6. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- weights ---- */
static void load(const struct qmodel *q, struct qmlp *m, const struct pl_mlp_tensors *t, uint32_t ffn)
{
    const uint32_t e = q->cfg->hidden;
    q_load_weight(q, &m->gate, t->gate, ffn, e);
    q_load_weight(q, &m->up, t->up, ffn, e);
    q_load_weight(q, &m->down, t->down, e, ffn);
    m->gate_bias = t->gate_bias ? q_vector_weights(q, t->gate_bias, 1, ffn) : NULL;
    m->up_bias = t->up_bias ? q_vector_weights(q, t->up_bias, 1, ffn) : NULL;
    m->down_bias = t->down_bias ? q_vector_weights(q, t->down_bias, 1, e) : NULL;
}

struct qmoe *q_moe_new(const struct qmodel *q, const struct pl_layer_tensors *t)
{
    const struct pl_moe *c = &q->cfg->moe;
    struct qmoe *m = nn_alloc(1, sizeof *m);
    m->router.plain = true;
    q_load_weight(q, &m->router, t->router, c->experts, q->cfg->hidden);
    m->router_bias = t->router_bias ? q_vector_weights(q, t->router_bias, 1, c->experts) : NULL;
    m->select_bias = t->select_bias ? q_vector_weights(q, t->select_bias, 1, c->experts) : NULL;
    m->n = c->experts;
    m->expert = nn_alloc(m->n, sizeof *m->expert);
    for (uint32_t e = 0; e < m->n; e++)
        load(q, &m->expert[e], &t->expert[e], c->ffn);
    if (c->shared)
        load(q, &m->shared, &t->shared, c->shared * c->ffn);
    return m;
}

static void free_mlp(struct qmlp *m)
{
    q_free_weight(&m->gate);
    q_free_weight(&m->up);
    q_free_weight(&m->down);
    free(m->gate_bias);
    free(m->up_bias);
    free(m->down_bias);
}

void q_moe_free(struct qmoe *m)
{
    if (!m)
        return;
    for (uint32_t e = 0; e < m->n; e++)
        free_mlp(&m->expert[e]);
    free_mlp(&m->shared);
    q_free_weight(&m->router);
    free(m->expert);
    free(m->router_bias);
    free(m->select_bias);
    free(m);
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

static void add_bias(const struct qmodel *q, float *x, size_t w, size_t rows, const float *bias)
{
    for (size_t i = 0; bias && i < rows; i++)
        pl_vec_add(q->p.vec, x + i * w, bias, w, x + i * w);
}

/* g[rows][width of ffn] = what goes into the down projection of h[rows][w] */
static void inner(const struct qmodel *q, const struct qmlp *m, const float *h, size_t w, size_t rows, float *g)
{
    const size_t wf = q_width(q, m->gate.n);
    float *u = nn_alloc(rows * wf, sizeof *u);
    q_linear(q, h, w, rows, &m->gate, g, wf);
    q_linear(q, h, w, rows, &m->up, u, wf);
    add_bias(q, g, wf, rows, m->gate_bias);
    add_bias(q, u, wf, rows, m->up_bias);
#pragma omp parallel for
    for (size_t i = 0; i < rows; i++)
        if (q->cfg->glu_limit > 0)
            clamped_glu(q, g + i * wf, u + i * wf, wf);
        else
            swiglu(q, g + i * wf, u + i * wf, wf);
    free(u);
}

static void mlp(const struct qmodel *q, const struct qmlp *m, const float *h, size_t w, size_t rows, float *out)
{
    const size_t wf = q_width(q, m->gate.n);
    float *g = nn_alloc(rows * wf, sizeof *g);
    inner(q, m, h, w, rows, g);
    q_linear(q, g, wf, rows, &m->down, out, w);
    add_bias(q, out, w, rows, m->down_bias);
    free(g);
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
    if (c->score == PL_MOE_SOFTMAX || nn_by_score(c))
        pl_vec_muls(v, s, pl_f32_reci(row_sum(q, s, width)), width, s);
}

static void route(const struct qmodel *q, const struct qmoe *m, float *l, uint32_t *index, float *weight)
{
    const struct pl_moe *c = &q->cfg->moe;
    const size_t width = q_width(q, c->experts);
    const struct pl_route r = {c->experts, c->top_k, c->groups, c->top_groups, c->group_top};
    float *s = nn_alloc(width, sizeof *s), *choice = nn_alloc(width, sizeof *choice), sum = 0, by = (float)c->scale;
    scores(q, l, width, s);
    memcpy(choice, nn_by_score(c) ? s : l, width * sizeof *choice);
    add_bias(q, choice, width, 1, m->select_bias);
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
static void expert(const struct qmodel *q, const struct qmlp *m, uint32_t e, const float *h, size_t w, size_t n, const uint32_t *index,
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

static void moe(const struct qmodel *q, const struct qmoe *m, const float *h, size_t w, size_t n, float *x)
{
    const struct pl_moe *c = &q->cfg->moe;
    const size_t wr = q_width(q, c->experts);
    float *l = nn_alloc(n * wr, sizeof *l), *weight = nn_alloc(n * c->top_k, sizeof *weight), *acc = nn_alloc(n * w, sizeof *acc);
    uint32_t *index = nn_alloc(n * c->top_k, sizeof *index);
    q_linear(q, h, w, n, &m->router, l, wr);
    add_bias(q, l, wr, n, m->router_bias);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        route(q, m, l + i * wr, index + i * c->top_k, weight + i * c->top_k);
    for (uint32_t e = 0; e < m->n; e++)
        expert(q, &m->expert[e], e, h, w, n, index, weight, acc);
    if (c->shared) {
        float *y = nn_alloc(n * w, sizeof *y);
        mlp(q, &m->shared, h, w, n, y);
        pl_vec_add(q->p.vec, acc, y, n * w, acc);
        free(y);
    }
    pl_vec_add(q->p.vec, x, acc, n * w, x);
    free(l);
    free(weight);
    free(acc);
    free(index);
}

void q_mlp_half(const struct qmodel *q, struct qlayer *y, float *x, float *h, size_t n, const struct qtap *tap)
{
    const size_t w = q_width(q, q->cfg->hidden), wf = q_width(q, q->cfg->ffn);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        q_rmsnorm(q, x + i * w, y->gain2, h + i * w);
    if (y->moe) {
        moe(q, y->moe, h, w, n, x);
        return;
    }
    if (q_tapped(q, tap, PL_NN_GATE_UP, h, w, n))
        return;
    float *g = nn_alloc(n * wf, sizeof *g);
    const struct qmlp dense = {.gate = y->gate, .up = y->up, .down = y->down};
    inner(q, &dense, h, w, n, g);
    if (!q_tapped(q, tap, PL_NN_DOWN, g, wf, n))
        q_add_linear(q, g, wf, n, &y->down, x, w);
    free(g);
}
