/* perf_cost.h - the analytic model, costs: area bottom-up from a census of cells, energy from counted events.
 *
 * Every constant is a row of src/perf/cost.def with its source. Two corners: "synthesis" (cells as measured) and "paper" (what
 * the paper's system figures imply). Errors on points left out: pl_perf_fit.   Depends on: arch.h.   Threads: pure functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PERF_COST_H
#define PLENA_PERF_COST_H
#include "plena/arch.h"

enum pl_perf_corner { PL_PERF_SYNTHESIS, PL_PERF_PAPER };
/* "synthesis" or "paper"; else PL_EUSAGE. */
enum pl_status pl_perf_corner_parse(const char *name, enum pl_perf_corner *out, struct pl_diag *d);
/* The rows of cost.def; false behind the last. */
struct pl_perf_constant {
    const char *name, *unit, *source, *doc;
    double value[2]; /* by corner */
};
bool pl_perf_constant(size_t index, struct pl_perf_constant *out);

/* ---- area ---- */
struct pl_perf_shape { /* of a matrix machine; exp_bits 0 on both sides: integers */
    uint32_t mlen, blen;
    uint32_t exp_bits[2], man_bits[2]; /* of weight and activation; integers: exp_bits 0, man_bits the whole width */
    uint32_t vector_bits;
};
struct pl_perf_matrix_area {
    double pe, feed, tree, out, edge, total; /* um2: convert and accumulation in `out` */
};
void pl_perf_matrix_area(const struct pl_perf_shape *s, enum pl_perf_corner c, struct pl_perf_matrix_area *out);
struct pl_perf_area { /* um2 */
    struct pl_perf_matrix_area matrix;
    double vector, scalar, hbm_interface, top; /* top: what the whole chip has beyond its units */
    double logic;                              /* sum so far */
    double matrix_sram, vector_sram, small_sram;
    double total; /* without HBM PHY */
};
/* The shape of the machine's array: weight and KV formats as right operand, the wider one. */
struct pl_perf_shape pl_perf_shape_of(const struct pl_arch *arch);
void pl_perf_area(const struct pl_arch *arch, enum pl_perf_corner c, struct pl_perf_area *out);
/* Macros of 4 banks that hold `depth` words of `bits`: the smallest area over the macro sizes there are. */
double pl_perf_sram_area(double bits, double depth);

/* How well the census meets the anchors: each left out in turn, the constants fitted to the others. */
struct pl_perf_fit {
    const char *group;
    unsigned n, n_term;
    const char *term[4];
    double value[4];                      /* fitted to all */
    double fit_max, left_out_mean, left_out_max; /* relative errors */
};
bool pl_perf_fit(unsigned index, struct pl_perf_fit *out); /* false behind the last group */

/* ---- energy ---- */
/* What costs energy, as the simulator counts it (struct pl_sim_events) or the closed form predicts it. */
#define PL_PERF_EVENT_LIST(X)                                                                                                   \
    X(macs) X(tree_adds) X(quantised_elements) X(matrix_read_bits) X(matrix_write_bits) X(vector_read_bits) X(vector_write_bits) \
    X(scalar_sram_bits) X(vector_add_lanes) X(vector_mul_lanes) X(vector_exp_lanes) X(vector_reci_lanes) X(vector_move_lanes)   \
    X(vector_reduce_lanes) X(scalar_fp) X(scalar_special) X(scalar_int) X(issued) X(hbm_read_bits) X(hbm_write_bits)
struct pl_perf_events {
#define X(name) double name;
    PL_PERF_EVENT_LIST(X)
#undef X
};
struct pl_perf_energy { /* joules */
    double array, matrix_sram, vector_sram, vector, scalar, front_end, hbm, leakage, total;
    double watts;      /* total over the time */
    double mac_pj;     /* of one product with its share of registers and clock */
};
void pl_perf_energy(const struct pl_arch *arch, enum pl_perf_corner c, const struct pl_perf_events *e, double cycles,
                    struct pl_perf_energy *out);
/* Every multiplier and the whole HBM bandwidth busy each cycle for a second, as the paper's constant power assumes. */
void pl_perf_full_activity(const struct pl_arch *arch, struct pl_perf_events *out);
#endif
