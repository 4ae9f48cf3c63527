/* area.c - the area of a machine: its units by their census, its memories by ASAP7 macros. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "census.h"

double pl_perf_sram_area(double bits, double depth)
{
    static const double rows[] = {64, 128, 256}, cols[] = {16, 18, 20, 32, 34, 36, 40, 48, 64, 72, 74, 80};
    double best = INFINITY;
    for (size_t i = 0; i < PL_COUNT(rows); i++)
        for (size_t k = 0; k < PL_COUNT(cols); k++) {
            const double n = ceil(bits / cols[k]) * ceil(depth / (4 * rows[i]));
            const double macro = (cost_of(COST_SRAM_ROW_BASE, 0) + cost_of(COST_SRAM_ROW, 0) * rows[i]) *
                                 (cost_of(COST_SRAM_COL_BASE, 0) + cost_of(COST_SRAM_COL, 0) * cols[k]);
            best = fmin(best, n * macro);
        }
    return best;
}

void pl_perf_matrix_area(const struct pl_perf_shape *s, enum pl_perf_corner c, struct pl_perf_matrix_area *out)
{
    const bool fp = s->exp_bits[0] || s->exp_bits[1];
    const struct sizes mi = {{s->mlen, s->blen, s->man_bits[0], s->man_bits[1], 0, 0, s->vector_bits}};
    const struct sizes mf = {{s->mlen, s->blen, s->exp_bits[0], s->man_bits[0], s->exp_bits[1], s->man_bits[1], s->vector_bits}};
    const enum group g = fp ? GROUP_MATRIX_FP : GROUP_MATRIX_INT;
    const double f = cost_of(COST_MATRIX_SCALE, c);
    double x[COST_TERMS];
    out->pe = census_terms(g, fp ? &mf : &mi, x) * f;
    for (unsigned k = 0; k < groups[g].n_term; k++)
        x[k] *= cost_of(groups[g].term[k], c) * f;
    /* An integer machine's feed is a term of its own, a floating one's is in its PE. */
    out->feed = fp ? 0 : x[0];
    out->tree = x[!fp];
    out->out = x[1 + !fp];
    out->edge = x[2 + !fp];
    out->total = out->pe + out->feed + out->tree + out->out + out->edge;
}

static bool is_int(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT;
}

struct pl_perf_shape pl_perf_shape_of(const struct pl_arch *arch)
{
    const struct pl_minifloat vec = arch->vector_format.elem;
    const struct pl_format w = pl_format_resolve(arch->weight_format, vec), kv = pl_format_resolve(arch->kv_format, vec);
    const struct pl_format right = pl_format_bits(&kv) > pl_format_bits(&w) ? kv : w, left = pl_format_resolve(arch->act_format, vec);
    struct pl_perf_shape s = {.mlen = arch->mlen, .blen = arch->blen, .vector_bits = pl_format_bits(&arch->vector_format)};
    const struct pl_format *side[2] = {&right, &left};
    const bool ints = is_int(&right) && is_int(&left) && is_int(&w) && is_int(&kv);
    for (unsigned i = 0; i < 2; i++) {
        const bool whole = is_int(side[i]);
        s.exp_bits[i] = whole ? 0 : side[i]->elem.exp_bits;
        s.man_bits[i] = whole ? pl_format_bits(side[i]) - (ints ? 0 : 1) : side[i]->elem.man_bits;
    }
    return s;
}

void pl_perf_area(const struct pl_arch *a, enum pl_perf_corner c, struct pl_perf_area *out)
{
    const struct pl_perf_shape shape = pl_perf_shape_of(a);
    const struct pl_minifloat v = a->vector_format.elem;
    const struct sizes vector = {{a->vlen, v.exp_bits, v.man_bits}}, scalar = {{a->mlen, a->vlen, 32}}, hbm = {{a->mlen}};
    const struct pl_perf_shape *s = &shape;
    const double element = fmax(pl_format_bits(&a->weight_format), pl_format_bits(&a->kv_format)) + 8.0 / a->blen;
    pl_perf_matrix_area(s, c, &out->matrix);
    out->vector = census_area(GROUP_VECTOR, &vector);
    out->scalar = census_area(GROUP_SCALAR, &scalar);
    out->hbm_interface = census_area(GROUP_HBM, &hbm);
    out->logic = out->matrix.total + out->vector + out->scalar + out->hbm_interface;
    out->top = out->logic * (cost_of(COST_CHIP_TOP, c) - 1);
    out->logic += out->top;
    out->matrix_sram = pl_perf_sram_area(a->mlen * element, (double)a->matrix_tiles * a->mlen);
    out->vector_sram = cost_of(COST_VECTOR_COPIES, c) * pl_perf_sram_area((double)a->vlen * s->vector_bits, a->vector_rows);
    out->small_sram = pl_perf_sram_area(32, a->fp_words) + pl_perf_sram_area(32, a->int_words) + pl_perf_sram_area(32, a->code_words);
    out->total = out->logic + out->matrix_sram + out->vector_sram + out->small_sram;
}
