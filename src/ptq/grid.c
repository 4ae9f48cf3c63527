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
    struct ptq_grid g = {.f = f, .is_int = f->kind == PL_FORMAT_MXINT, .candidate = {0, -1, 1}, .n_candidates = 2};
    if (g.is_int) {
        g.lsb = ptq_pow2(2 - f->int_bits);
        g.max = ((1 << (f->int_bits - 1)) - 1) * g.lsb;
        return g;
    }
    g.max = (double)pl_minifloat_max(f->elem);
    g.emax = exponent(g.max);
    g.man = f->elem.man_bits;
    g.min_exp = 2 - (1 << (f->elem.exp_bits - 1)); /* 1 - bias */
    g.n_candidates = 3;
    return g;
}

int ptq_grid_floor(const struct ptq_grid *g, double amax)
{
    const int e = exponent(amax) - g->emax;
    return e < -127 ? -127 : e > 127 ? 127 : e;
}

bool ptq_grid_stable(const struct ptq_grid *g, double amax, int *e)
{
    if (amax == 0)
        return true;
    *e = ptq_grid_floor(g, amax);
    return amax * ptq_pow2(-*e) <= g->max;
}

bool pl_ptq_divisible(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT || f->elem.special != PL_SPECIAL_E4M3;
}

void pl_ptq_pack_row(const struct pl_format *f, const float *q, const uint8_t *scale, size_t k, uint8_t *bytes)
{
    uint32_t *code = ptq_scratch(k, sizeof *code);
    for (size_t i = 0; i < k; i++) {
        const int e = scale[i / f->block] - 127;
        if (f->kind == PL_FORMAT_MXINT)
            code[i] = (uint32_t)(int32_t)ldexp((double)q[i], f->int_bits - 2 - e) & ((1u << f->int_bits) - 1);
        else
            code[i] = pl_minifloat_encode(f->elem, (float)ldexp((double)q[i], -e), true);
    }
    pl_pack(pl_format_bits(f), code, k, bytes);
    free(code);
}
