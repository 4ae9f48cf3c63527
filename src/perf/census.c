/* census.c - what a block is made of: PEs, feed, tree, output cells, lanes, in amounts that the constants of cost.def price. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "census.h"

#include <math.h>
#include <string.h>

static const struct pl_perf_constant constants[] = {
#define COST(name, unit, synthesis, paper, source, doc) {#name, unit, source, doc, {synthesis, paper}},
#include "cost.def"
#undef COST
};

double cost_of(enum cost k, enum pl_perf_corner c)
{
    return constants[k].value[c];
}

bool pl_perf_constant(size_t index, struct pl_perf_constant *out)
{
    if (index >= COST_COUNT)
        return false;
    *out = constants[index];
    return true;
}

enum pl_status pl_perf_corner_parse(const char *name, enum pl_perf_corner *out, struct pl_diag *d)
{
    if (strcmp(name, "synthesis") != 0 && strcmp(name, "paper") != 0)
        return pl_fail(d, PL_EUSAGE, "no corner \"%s\"; there are synthesis and paper", name);
    *out = *name == 's' ? PL_PERF_SYNTHESIS : PL_PERF_PAPER;
    return PL_OK;
}

const struct group_info groups[GROUP_COUNT] = {
    [GROUP_PE_INT] = {"PE, integer", 4, {COST_PE_INT_BASE, COST_PE_INT_BIT, COST_PE_INT_PRODUCT, COST_PE_INT_DEPTH}},
    [GROUP_PE_FP] = {"PE, floating", 4, {COST_PE_FP_BASE, COST_PE_FP_EXP, COST_PE_FP_MAN, COST_PE_FP_PRODUCT}},
    [GROUP_MATRIX_INT] = {"matrix machine, integer", 4, {COST_INT_FEED, COST_INT_TREE, COST_INT_OUT, COST_INT_EDGE}},
    [GROUP_MATRIX_FP] = {"matrix machine, floating", 3, {COST_FP_TREE, COST_FP_OUT, COST_FP_EDGE}},
    [GROUP_VECTOR] = {"vector machine", 3, {COST_VECTOR_BASE, COST_VECTOR_MUL, COST_VECTOR_ADD}},
    [GROUP_SCALAR] = {"scalar machine", 3, {COST_SCALAR_BASE, COST_SCALAR_INT, COST_SCALAR_LANE}},
    [GROUP_HBM] = {"HBM interface", 2, {COST_HBM_BASE, COST_HBM_LANE}},
    [GROUP_CHIP] = {"full chip", 1, {COST_CHIP_TOP}},
};

/* Bits of an accumulator of the synthesised machine: product, depth of a sub-array, 16 more, sub-arrays. */
static double acc_bits(double mlen, double blen, double t, double l)
{
    const double subs = mlen / blen;
    return t + l + fmax(1, ceil(log2(blen))) + 16 + fmax(1, ceil(log2(subs + 1)));
}

enum { ANCHOR_VECTOR_BITS = 12, ANCHOR_VECTOR_EXP = 5, ANCHOR_VECTOR_MAN = 6, ANCHOR_INT_BITS = 32, FP_ACC_BITS = 16 };

static double matrix_int_terms(const double *a, double *x)
{
    const double mlen = a[0], blen = a[1], cells = blen * blen, acc = acc_bits(mlen, blen, a[2], a[3]);
    const struct sizes pe = {{a[2], a[3], blen}};
    x[0] = mlen * blen * (a[2] + a[3]);
    x[1] = cells * (mlen / blen - 1) * acc;
    x[2] = cells * acc;
    x[3] = mlen * (a[6] > 0 ? a[6] : ANCHOR_VECTOR_BITS);
    return mlen * blen * census_area(GROUP_PE_INT, &pe);
}

static double matrix_fp_terms(const double *a, double *x)
{
    const double mlen = a[0], blen = a[1], cells = blen * blen;
    const struct sizes pe = {{a[2], a[3], a[4], a[5]}};
    x[0] = cells * (mlen / blen - 1) * FP_ACC_BITS;
    x[1] = cells;
    x[2] = mlen * (a[6] > 0 ? a[6] : ANCHOR_VECTOR_BITS);
    return mlen * blen * census_area(GROUP_PE_FP, &pe);
}

/* The units of a whole chip, each by its own census. */
static double chip_units(const double *a)
{
    const struct sizes mi = {{a[0], a[2], a[4], a[4]}}, mf = {{a[0], a[2], a[3], a[4], a[3], a[4]}};
    const struct sizes vector = {{a[1], ANCHOR_VECTOR_EXP, ANCHOR_VECTOR_MAN}}, scalar = {{a[0], a[1], ANCHOR_INT_BITS}}, hbm = {{a[0]}};
    return (a[3] > 0 ? census_area(GROUP_MATRIX_FP, &mf) : census_area(GROUP_MATRIX_INT, &mi)) + census_area(GROUP_VECTOR, &vector) +
           census_area(GROUP_SCALAR, &scalar) + census_area(GROUP_HBM, &hbm);
}

double census_terms(enum group g, const struct sizes *s, double x[COST_TERMS])
{
    const double *a = s->a;
    for (unsigned k = 0; k < COST_TERMS; k++)
        x[k] = 1;
    switch (g) {
    case GROUP_PE_INT: /* x[0]: the base */
        x[1] = a[0] + a[1];
        x[2] = a[0] * a[1];
        x[3] = log2(a[2] / 16);
        return 0;
    case GROUP_PE_FP:
        x[1] = a[0] + a[2];
        x[2] = a[1] + a[3];
        x[3] = (a[1] + 1) * (a[3] + 1);
        return 0;
    case GROUP_MATRIX_INT:
        return matrix_int_terms(a, x);
    case GROUP_MATRIX_FP:
        return matrix_fp_terms(a, x);
    case GROUP_VECTOR:
        x[1] = a[0] * a[2];
        x[2] = a[0] * (1 + a[1] + a[2]) * (1 + a[1] + a[2]);
        return 0;
    case GROUP_SCALAR:
        x[1] = a[2];
        x[2] = fmin(a[0], a[1]) * a[2];
        return 0;
    case GROUP_HBM:
        x[1] = a[0];
        return 0;
    default:
        x[0] = chip_units(a);
        return 0;
    }
}

double census_area(enum group g, const struct sizes *s)
{
    double x[COST_TERMS], area = census_terms(g, s, x);
    for (unsigned k = 0; k < groups[g].n_term; k++)
        area += x[k] * constants[groups[g].term[k]].value[PL_PERF_SYNTHESIS];
    return area;
}
