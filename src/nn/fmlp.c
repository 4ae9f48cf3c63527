/* fmlp.c - the MLP of a layer in float64 or float32: dense, or a router with experts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "float_internal.h"

struct mlp {
    uint32_t ffn;
    float *gate, *up, *down, *gate_bias, *up_bias, *down_bias; /* biases may be NULL */
};
struct fmlp {
    const struct pl_model_config *cfg;
    const struct fmodel *f;
    const struct pl_nn *nn;
    uint32_t layer;
    struct mlp dense;  /* or the shared experts, when there are experts */
    struct mlp *expert; /* NULL: a dense layer */
    float *router, *router_bias, *select_bias;
};

static struct mlp load(const struct pl_mlp_tensors *t, uint32_t ffn)
{
    return (struct mlp){.ffn = ffn, .gate = f_weights(t->gate), .up = f_weights(t->up), .down = f_weights(t->down), .gate_bias = f_weights(t->gate_bias),
                        .up_bias = f_weights(t->up_bias), .down_bias = f_weights(t->down_bias)};
}

struct fmlp *f_mlp_new(const struct pl_nn *nn, const struct fmodel *f, const struct pl_layer_tensors *t)
{
    const struct pl_model_config *c = nn->cfg;
    struct fmlp *y = nn_alloc(1, sizeof *y);
    y->cfg = c;
    y->f = f;
    y->nn = nn;
    y->layer = (uint32_t)(t - nn->ck->layer);
    if (!t->router) {
        y->dense = load(&(struct pl_mlp_tensors){.gate = t->gate, .up = t->up, .down = t->down}, c->ffn);
        return y;
    }
    y->dense = load(&t->shared, c->moe.shared * c->moe.ffn);
    y->router = f_weights(t->router);
    y->router_bias = f_weights(t->router_bias);
    y->select_bias = f_weights(t->select_bias);
    y->expert = nn_alloc(c->moe.experts, sizeof *y->expert);
    for (uint32_t e = 0; e < c->moe.experts; e++)
        y->expert[e] = load(&t->expert[e], c->moe.ffn);
    return y;
}

static void free_mlp(struct mlp *m)
{
    float *const w[] = {m->gate, m->up, m->down, m->gate_bias, m->up_bias, m->down_bias};
    for (size_t i = 0; i < PL_COUNT(w); i++)
        free(w[i]);
}

void f_mlp_free(struct fmlp *y)
{
    if (!y)
        return;
    free_mlp(&y->dense);
    for (uint32_t e = 0; y->expert && e < y->cfg->moe.experts; e++)
        free_mlp(&y->expert[e]);
    free(y->expert);
    free(y->router);
    free(y->router_bias);
    free(y->select_bias);
    free(y);
}

static double keep(const struct fmlp *y, double x)
{
    return f_keep(y->f, x);
}

static void linear(const struct fmlp *y, const double *x, const float *w, const float *bias, size_t s, size_t n, size_t k, double *out)
{
    f_linear(y->f, x, w, s, n, k, out);
    for (size_t i = 0; bias && i < s * n; i++)
        out[i] = keep(y, out[i] + (double)bias[i % n]);
}

static double glu(const struct pl_model_config *c, double g, double u)
{
    if (c->glu_limit <= 0)
        return g / (1.0 + exp(-g)) * u;
    g = fmin(g, c->glu_limit);
    u = fmax(fmin(u, c->glu_limit), -c->glu_limit);
    return g / (1.0 + exp(-1.702 * g)) * (u + 1);
}

static void mlp(const struct fmlp *y, const struct mlp *m, const double *h, size_t s, double *out)
{
    const size_t e = y->cfg->hidden;
    double *g = nn_alloc(s * m->ffn, sizeof *g), *u = nn_alloc(s * m->ffn, sizeof *u);
    linear(y, h, m->gate, m->gate_bias, s, m->ffn, e, g);
    linear(y, h, m->up, m->up_bias, s, m->ffn, e, u);
    for (size_t i = 0; i < s * m->ffn; i++)
        g[i] = keep(y, glu(y->cfg, g[i], u[i]));
    if (!y->expert) { /* of experts, hooks see no more than what enters their layer */
        f_rotate(y->f, g, s * m->ffn, y->cfg->rotate[PL_SITE_DOWN]);
        f_edit(y->nn, y->layer, PL_NN_IN_DOWN, g, s, m->ffn);
    }
    linear(y, g, m->down, m->down_bias, s, e, m->ffn, out);
    free(g);
    free(u);
}

/* ---- routing ---- */
/* The lowest index of the largest of n values that are not taken. */
static size_t best(const double *a, size_t n, const bool *taken)
{
    size_t b = 0;
    while (taken[b])
        b++;
    for (size_t i = b + 1; i < n; i++)
        if (!taken[i] && a[i] > a[b])
            b = i;
    return b;
}

static void close_groups(const struct pl_moe *m, const double *choice, bool *taken)
{
    const size_t size = m->experts / m->groups;
    double *score = nn_alloc(m->groups, sizeof *score);
    bool *open = nn_alloc(m->groups, sizeof *open);
    for (size_t g = 0; g < m->groups; g++)
        for (unsigned i = 0; i < m->group_top; i++) {
            const size_t b = best(choice + g * size, size, taken + g * size);
            taken[g * size + b] = true;
            score[g] += choice[g * size + b];
        }
    for (size_t i = 0; i < m->top_groups; i++)
        open[best(score, m->groups, open)] = true;
    for (size_t i = 0; i < m->experts; i++)
        taken[i] = !open[i / size];
    free(score);
    free(open);
}

static void scores(const struct fmlp *y, const double *logit, double *s)
{
    const struct pl_moe *m = &y->cfg->moe;
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < m->experts; i++)
        max = fmax(max, logit[i]);
    for (size_t i = 0; i < m->experts; i++)
        sum += s[i] = m->score == PL_MOE_SIGMOID ? 1 / (1 + exp(-logit[i])) : exp(logit[i] - max);
    for (size_t i = 0; i < m->experts && m->score != PL_MOE_SIGMOID; i++)
        s[i] /= sum;
}

/* weight[experts]: of those chosen; 0 of the others, which no chosen one has. */
static void route(const struct fmlp *y, const double *logit, double *weight)
{
    const struct pl_moe *m = &y->cfg->moe;
    double *s = nn_alloc(m->experts, sizeof *s), *choice = nn_alloc(m->experts, sizeof *choice), sum = 0;
    bool *taken = nn_alloc(m->experts, sizeof *taken), *chosen = nn_alloc(m->experts, sizeof *chosen);
    scores(y, logit, s);
    for (size_t i = 0; i < m->experts; i++)
        choice[i] = pl_moe_by_score(m) ? s[i] + (y->select_bias ? (double)y->select_bias[i] : 0) : logit[i];
    if (m->top_groups < m->groups)
        close_groups(m, choice, taken);
    for (size_t k = 0; k < m->top_k; k++) {
        const size_t b = best(choice, m->experts, taken);
        taken[b] = chosen[b] = true;
        sum += s[b];
    }
    for (size_t i = 0; i < m->experts; i++)
        weight[i] = chosen[i] ? keep(y, m->score == PL_MOE_SOFTMAX ? s[i] * m->scale : s[i] / sum * m->scale) : 0;
    free(s);
    free(choice);
    free(taken);
    free(chosen);
}

/* out += what expert e gives the tokens that chose it */
static void expert(const struct fmlp *y, uint32_t e, const double *h, size_t s, const double *weight, double *out)
{
    const size_t n = y->cfg->hidden, experts = y->cfg->moe.experts;
    double *x = nn_alloc(s * n, sizeof *x), *d = nn_alloc(s * n, sizeof *d);
    size_t rows = 0;
    for (size_t t = 0; t < s; t++)
        if (weight[t * experts + e] != 0)
            memcpy(x + rows++ * n, h + t * n, n * sizeof *x);
    if (rows)
        mlp(y, &y->expert[e], x, rows, d);
    for (size_t t = 0, r = 0; t < s; t++)
        if (weight[t * experts + e] != 0) {
            for (size_t i = 0; i < n; i++)
                out[t * n + i] = keep(y, out[t * n + i] + weight[t * experts + e] * d[r * n + i]);
            r++;
        }
    free(x);
    free(d);
}

void f_mlp(const struct fmlp *y, double *h, size_t s, double *out)
{
    f_edit(y->nn, y->layer, PL_NN_IN_GATE_UP, h, s, y->cfg->hidden);
    const struct pl_model_config *c = y->cfg;
    const size_t n = c->hidden, experts = c->moe.experts;
    if (y->dense.gate)
        mlp(y, &y->dense, h, s, out);
    else
        memset(out, 0, s * n * sizeof *out);
    if (!y->expert)
        return;
    double *logit = nn_alloc(s * experts, sizeof *logit), *weight = nn_alloc(s * experts, sizeof *weight);
    linear(y, h, y->router, y->router_bias, s, experts, n, logit);
    for (size_t t = 0; t < s; t++)
        route(y, logit + t * experts, weight + t * experts);
    for (uint32_t e = 0; e < experts; e++)
        expert(y, e, h, s, weight, out);
    free(logit);
    free(weight);
}
