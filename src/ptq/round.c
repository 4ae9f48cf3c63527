/* round.c - GPTQ for MX blocks.
 *
 * Columns go from left to right in panels of 128. In a panel every row is on its own: for a block, an exponent is chosen
 * from the weights as compensated so far, the elements are rounded, and their errors e move the rest of the panel, w -= e U.
 * What lies behind the panel moves once, by one product E U, cut into fixed tiles. The rules differ in how e comes from
 * the differences d of a block: COLUMN e_c = d_c / U_cc with the columns behind c already moved; BLOCK e U_bb = d; PEER
 * e_c = d_c / U_cc of the unmoved block, which leaves part of the error behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "ptq_internal.h"

enum { PANEL = 128, MAX_BLOCK = 64, ROW_TILE = 256, COL_TILE = 1024 };

struct rounding {
    const struct pl_hessian *h; /* NULL: no propagation, no metric of it */
    struct pl_ptq_rule rule;
    struct ptq_grid grid;
    size_t n, k, block, scales;
    double *w; /* [n][k], moved as columns are rounded */
    double *e; /* [n][PANEL] errors of the panel, ready to multiply U */
    float *q;
    uint8_t *scale;
};

/* One block of one row, tried at one scale. */
struct trial {
    int scale;
    double q[MAX_BLOCK], e[MAX_BLOCK];
    double loss;
};

/* e U_bb = d by forward substitution; returns |e|^2. */
static double solve(const struct rounding *r, size_t at, size_t n, const double *d, double *e)
{
    const double *u = r->h->a + at * r->k + at;
    double x[MAX_BLOCK], sum = 0;
    memcpy(x, d, n * sizeof *x);
    for (size_t c = 0; c < n; c++) {
        const double *row = u + c * r->k;
        e[c] = x[c] / row[c];
        for (size_t j = c + 1; j < n; j++)
            x[j] -= e[c] * row[j];
        sum += e[c] * e[c];
    }
    return sum;
}

/* d H_bb d^T */
static double gram(const struct rounding *r, size_t at, size_t n, const double *d)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double *row = r->h->a + (at + i) * r->k + at;
        double s = 0.5 * r->h->diag[at + i] * d[i];
        for (size_t j = 0; j < i; j++)
            s += row[j] * d[j];
        sum += 2 * s * d[i];
    }
    return sum;
}

/* Round the columns one after another, each error moving those behind it. Gives up once the loss reaches `most`. */
static void try_columns(const struct rounding *r, size_t at, size_t n, const double *w, double most, struct trial *t)
{
    const double *u = r->h->a + at * r->k + at, unit = pl_scale_value(r->grid.f, (uint8_t)t->scale);
    double x[MAX_BLOCK];
    memcpy(x, w, n * sizeof *x);
    t->loss = 0;
    for (size_t c = 0; c < n; c++) {
        const double *row = u + c * r->k;
        t->q[c] = ptq_grid_round(&r->grid, x[c], unit);
        const double e = (x[c] - t->q[c]) / row[c];
        t->e[c] = e;
        t->loss += e * e;
        if (t->loss >= most)
            return;
        for (size_t j = c + 1; j < n; j++)
            x[j] -= e * row[j];
    }
}

/* Round the block at once; the loss is the rule's metric. */
static void try_block(const struct rounding *r, size_t at, size_t n, const double *w, struct trial *t)
{
    const double unit = pl_scale_value(r->grid.f, (uint8_t)t->scale);
    double diff[MAX_BLOCK], e[MAX_BLOCK];
    t->loss = 0;
    for (size_t i = 0; i < n; i++) {
        t->q[i] = ptq_grid_round(&r->grid, w[i], unit);
        diff[i] = w[i] - t->q[i];
        if (r->rule.search == PL_SEARCH_WEIGHT)
            t->loss += diff[i] * diff[i];
    }
    if (r->rule.search == PL_SEARCH_OUTPUT)
        t->loss = gram(r, at, n, diff);
    if (r->rule.search == PL_SEARCH_SCHUR || r->rule.search == PL_SEARCH_COMP)
        t->loss = solve(r, at, n, diff, e);
}

static double largest(const double *x, size_t n)
{
    double a = 0;
    for (size_t i = 0; i < n; i++)
        a = fabs(x[i]) > a ? fabs(x[i]) : a;
    return a;
}

static void try_one(const struct rounding *r, bool columns, size_t at, size_t n, const double *w, double most, struct trial *t)
{
    if (columns)
        try_columns(r, at, n, w, most, t);
    else
        try_block(r, at, n, w, t);
}

/* Choose the scale of a block and round it: *best holds values and errors. */
static void round_block(const struct rounding *r, size_t at, size_t n, const double *w, struct trial *best)
{
    const bool columns = r->rule.propagation == PL_PROPAGATE_COLUMN, comp = columns && r->rule.search == PL_SEARCH_COMP;
    const double amax = largest(w, n);
    const int floor_scale = amax > 0 ? ptq_grid_floor(&r->grid, amax) : 0;
    const unsigned tries = r->rule.search == PL_SEARCH_NONE || amax == 0 ? 1 : r->grid.n_candidates;
    struct trial t;
    best->loss = INFINITY;
    for (unsigned i = 0; i < tries; i++) {
        t.scale = ptq_grid_try(floor_scale, r->grid.candidate[i]);
        try_one(r, comp, at, n, w, best->loss, &t);
        if (t.loss < best->loss)
            *best = t;
    }
    if (columns && !comp)
        try_columns(r, at, n, w, INFINITY, best);
    for (int lower; !ptq_grid_stable(&r->grid, largest(best->q, n), &lower);) { /* it falls, so this ends */
        best->scale = lower;
        try_one(r, columns, at, n, w, INFINITY, best);
    }
    double diff[MAX_BLOCK];
    for (size_t i = 0; i < n; i++)
        diff[i] = w[i] - best->q[i];
    if (r->rule.propagation == PL_PROPAGATE_BLOCK)
        (void)solve(r, at, n, diff, best->e);
    else if (r->rule.propagation == PL_PROPAGATE_PEER)
        for (size_t i = 0; i < n; i++)
            best->e[i] = diff[i] / r->h->a[(at + i) * (r->k + 1)];
}

/* One row of a panel [p0, p1). */
static void round_row(const struct rounding *r, size_t row, size_t p0, size_t p1)
{
    double *w = r->w + row * r->k, *e = r->e + row * PANEL;
    struct trial t;
    for (size_t b = p0; b < p1; b += r->block) {
        const size_t n = p1 - b < r->block ? p1 - b : r->block;
        round_block(r, b, n, w + b, &t);
        const bool zero = largest(t.q, n) == 0;
        r->scale[row * r->scales + b / r->block] = (uint8_t)(zero ? 0 : t.scale);
        for (size_t i = 0; i < n; i++)
            r->q[row * r->k + b + i] = (float)t.q[i];
        if (r->rule.propagation == PL_PROPAGATE_NONE)
            continue;
        memcpy(e + (b - p0), t.e, n * sizeof *e);
        for (size_t i = 0; i < n; i++) {
            const double *u = r->h->a + (b + i) * r->k;
            for (size_t j = b + n; j < p1; j++)
                w[j] -= t.e[i] * u[j];
        }
    }
}

/* Everything behind the panel: w -= e U. */
static void move_rest(const struct rounding *r, size_t p0, size_t p1)
{
    const size_t row_tiles = (r->n + ROW_TILE - 1) / ROW_TILE, col_tiles = (r->k - p1 + COL_TILE - 1) / COL_TILE;
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t t = 0; t < row_tiles * col_tiles; t++) {
        const size_t i = t / col_tiles * ROW_TILE, j = p1 + t % col_tiles * COL_TILE;
        const size_t rows = r->n - i < ROW_TILE ? r->n - i : ROW_TILE, cols = r->k - j < COL_TILE ? r->k - j : COL_TILE;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)cols, (int)(p1 - p0), -1.0, r->e + i * PANEL, PANEL,
                    r->h->a + p0 * r->k + j, (int)r->k, 1.0, r->w + i * r->k + j, (int)r->k);
    }
}

static enum pl_status load(struct rounding *r, const float *w, struct pl_diag *d)
{
    for (size_t i = 0; i < r->n * r->k; i++) {
        if (!isfinite(w[i]))
            return pl_fail(d, PL_ERANGE, "the weight in row %zu, column %zu is %s", i / r->k, i % r->k, isnan(w[i]) ? "NaN" : "infinite");
        r->w[i] = (double)w[i];
    }
    return PL_OK;
}

enum pl_status pl_ptq_round(const struct pl_hessian *h, struct pl_ptq_rule rule, const struct pl_format *f, const float *w,
                            size_t n, size_t k, float *q, uint8_t *scale, struct pl_diag *d)
{
    struct rounding r = {h, rule, ptq_grid_of(f), n, k, f->block, pl_format_row_scales(f, k), NULL, NULL, q, scale};
    r.w = ptq_alloc(n * k, sizeof *r.w);
    r.e = ptq_alloc(n * PANEL, sizeof *r.e);
    enum pl_status s = r.w && r.e ? load(&r, w, d) : pl_fail(d, PL_ENOMEM, "no memory to round a matrix of %zu x %zu", n, k);
    const int threads = ptq_blas_serial();
    for (size_t p = 0; s == PL_OK && p < k; p += PANEL) {
        const size_t end = p + PANEL < k ? p + PANEL : k;
#pragma omp parallel for schedule(static, 8)
        for (size_t i = 0; i < n; i++)
            round_row(&r, i, p, end);
        if (rule.propagation != PL_PROPAGATE_NONE && end < k)
            move_rest(&r, p, end);
    }
    ptq_blas_restore(threads);
    free(r.w);
    free(r.e);
    return s;
}
