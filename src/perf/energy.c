/* energy.c - joules of counted events. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "census.h"

/* A product, its addition, its registers. Integers by the bits of their operands; floating PEs at one price. */
static double mac_pj(const struct pl_perf_shape *s, enum pl_perf_corner c)
{
    const double clock = cost_of(COST_CLOCK_TREE, c);
    if (s->exp_bits[0] || s->exp_bits[1])
        return clock * (cost_of(COST_FLOAT_MAC, c) + cost_of(COST_FLOP_BIT, c) * 3 * s->vector_bits);
    const double t = s->man_bits[0], l = s->man_bits[1], acc = t + l + 12;
    return clock * (cost_of(COST_MUL_BIT2, c) * t * l + cost_of(COST_ADD_BIT, c) * acc + cost_of(COST_FLOP_BIT, c) * (t + l + acc));
}

void pl_perf_energy(const struct pl_arch *arch, enum pl_perf_corner c, const struct pl_perf_events *e, double cycles,
                    struct pl_perf_energy *out)
{
    const struct pl_perf_shape s = pl_perf_shape_of(arch);
    const double clock = cost_of(COST_CLOCK_TREE, c), width = s.vector_bits / 16.0, sram = cost_of(COST_SRAM_BIT, c);
    const double acc = arch->acc_bits ? arch->acc_bits : 32;
    const double tree_pj = clock * acc * (cost_of(COST_ADD_BIT, c) + cost_of(COST_FLOP_BIT, c));
    struct pl_perf_area area;
    pl_perf_area(arch, c, &area);
    out->mac_pj = mac_pj(&s, c);
    out->array = 1e-12 * (e->macs * out->mac_pj + e->tree_adds * tree_pj + e->quantised_elements * cost_of(COST_QUANTISE, c));
    out->matrix_sram = 1e-12 * sram * (e->matrix_read_bits + e->matrix_write_bits);
    out->vector_sram = 1e-12 * sram * (e->vector_read_bits + e->vector_write_bits);
    out->vector = 1e-12 * clock * width *
                  ((e->vector_add_lanes + e->vector_reduce_lanes) * cost_of(COST_LANE_ADD, c) + e->vector_mul_lanes * cost_of(COST_LANE_MUL, c) +
                   e->vector_exp_lanes * cost_of(COST_LANE_EXP, c) + e->vector_reci_lanes * cost_of(COST_LANE_RECI, c) +
                   e->vector_move_lanes * cost_of(COST_LANE_MOVE, c));
    out->scalar = 1e-12 * (clock * (e->scalar_fp * cost_of(COST_SCALAR_FP, c) + e->scalar_special * cost_of(COST_SCALAR_SPECIAL, c) +
                                    e->scalar_int * cost_of(COST_SCALAR_INT_OP, c)) +
                           e->scalar_sram_bits * cost_of(COST_SRAM_SMALL_BIT, c));
    out->front_end = 1e-12 * e->issued * cost_of(COST_ISSUE, c);
    out->hbm = 1e-12 * (e->hbm_read_bits + e->hbm_write_bits) * cost_of(COST_HBM_BIT, c);
    const double seconds = cycles / arch->clock_hz;
    out->leakage = cost_of(COST_LEAKAGE, c) * area.total * 1e-6 * seconds;
    out->total = out->array + out->matrix_sram + out->vector_sram + out->vector + out->scalar + out->front_end + out->hbm + out->leakage;
    out->watts = seconds > 0 ? out->total / seconds : 0;
}

void pl_perf_full_activity(const struct pl_arch *a, struct pl_perf_events *out)
{
    const double hz = a->clock_hz, vector = pl_format_bits(&a->vector_format), right = pl_format_bits(&a->weight_format) + 8.0 / a->blen;
    *out = (struct pl_perf_events){
        .macs = hz * a->mlen * a->blen,
        .matrix_read_bits = hz * a->mlen * right, /* a column of the tile a cycle */
        .vector_read_bits = hz * a->vlen * vector,
        .quantised_elements = hz * a->mlen,
        .issued = hz,
        .hbm_read_bits = hz * a->hbm_bandwidth * 8,
    };
}
