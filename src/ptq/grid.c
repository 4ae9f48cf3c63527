/* grid.c - the elements of an MX format as numbers: rounding at a given exponent, the exponents worth trying, codes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ptq_internal.h"

#include <cblas.h>
#include <stdlib.h>

const char *const pl_ptq_search_name[5] = {"none", "weight", "output", "schur", "compensated"};
const char *const pl_ptq_propagation_name[4] = {"none", "peer", "block", "column"};

int ptq_blas_serial(void)
{
    const int n = openblas_get_num_threads();
    openblas_set_num_threads(1);
    return n;
}

void ptq_blas_restore(int threads)
{
    openblas_set_num_threads(threads);
}

void *ptq_alloc(size_t n, size_t size)
{
    return calloc(n ? n : 1, size);
}

void *ptq_scratch(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

double ptq_pow2(int e)
{
    const uint64_t u = (uint64_t)(e + 1023) << 52;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static int exponent(double x)
{
    int e;
    (void)frexp(x, &e);
    return e - 1;
}

struct ptq_grid ptq_grid_of(const struct pl_format *f)
{
    struct ptq_grid g = {.f = f, .is_int = f->kind == PL_FORMAT_MXINT, .candidate = {0, -1, 1, -2, 2, 3}, .n_candidates = 2};
    if (g.is_int) {
        g.lsb = ptq_pow2(2 - f->int_bits);
        g.max = ((1 << (f->int_bits - 1)) - 1) * g.lsb;
    } else {
        g.max = (double)pl_minifloat_max(f->elem);
        g.emax = exponent(g.max);
        g.man = f->elem.man_bits;
        g.min_exp = 2 - (1 << (f->elem.exp_bits - 1)); /* 1 - bias */
        g.n_candidates = 3;
    }
    g.min = f->range == PL_RANGE_FULL ? -g.max - g.lsb : -g.max;
    g.n_candidates = f->e6m2 ? 6 : g.n_candidates; /* up to 7 / 4 of the least that saturates nothing: MXINT4 comes back to 4 */
    return g;
}

int ptq_grid_try(int floor, int candidate)
{
    const int s = floor + candidate;
    return s < 0 ? 0 : s > 254 ? 254 : s;
}

int ptq_grid_floor(const struct ptq_grid *g, double amax)
{
    if (!g->f->e6m2)
        return ptq_grid_try(exponent(amax) - g->emax, 127);
    int s = ptq_grid_try(4 * exponent(amax / g->max), 4 * 31 - 1);
    while (s < 254 && pl_scale_value(g->f, (uint8_t)s) * g->max < amax)
        s++;
    return s;
}

bool ptq_grid_stable(const struct ptq_grid *g, double amax, int *scale)
{
    if (amax == 0 || !pl_format_on_machine(g->f)) /* the latter's search finds them again */
        return true;
    *scale = ptq_grid_floor(g, amax);
    return amax <= g->max * pl_scale_value(g->f, (uint8_t)*scale);
}

bool pl_ptq_divisible(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT || f->elem.special != PL_SPECIAL_E4M3 || !pl_format_on_machine(f);
}

void pl_ptq_pack_row(const struct pl_format *f, const float *q, const uint8_t *scale, size_t k, uint8_t *bytes)
{
    uint32_t *code = ptq_scratch(k, sizeof *code);
    for (size_t i = 0; i < k; i++) {
        const double v = (double)q[i] / pl_scale_value(f, scale[i / f->block]); /* an element: exact */
        if (f->kind == PL_FORMAT_MXINT)
            code[i] = (uint32_t)(int32_t)ldexp(v, f->int_bits - 2) & ((1u << f->int_bits) - 1);
        else
            code[i] = pl_minifloat_encode(f->elem, (float)v, true);
    }
    pl_pack(pl_format_bits(f), code, k, bytes);
    free(code);
}
