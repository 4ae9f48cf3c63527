/* sim.h - the simulator: exact values (functional plane) and cycles (timing plane) of one program image.
 *
 * Source: DESIGN.md sections 4-6; isa.def; doc/timing.md.   Depends on: arch.h, obj.h, isa.h, mx.h.
 * Threads: one simulator, one thread. Deterministic: same image, same inputs, same bits and cycles on every host. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_SIM_H
#define PLENA_SIM_H
#include "plena/arch.h"
#include "plena/base.h"
#include "plena/isa.h"
#include "plena/obj.h"

/* One retired instruction, in program order. */
struct pl_sim_retired {
    uint64_t seq;
    uint32_t pc, word;
    struct pl_insn insn;
    uint64_t issue_cyc, start_cyc, end_cyc; /* left the front end; began in its unit; last write done */
};
struct pl_sim_options {
    bool functional, timing; /* at least one */
    uint64_t max_insns;      /* stop with PL_EFAULT after so many; 0 = no limit */
    void (*trace)(void *ctx, const struct pl_sim_retired *r); /* may be NULL */
    void *trace_ctx;
};

/* Units that can be busy at the same time. */
enum pl_sim_unit {
    PL_SIM_MATRIX, PL_SIM_VECTOR, PL_SIM_SCALAR, PL_SIM_LOAD_M, PL_SIM_LOAD_V, PL_SIM_STORE, PL_SIM_CONTROL,
    PL_SIM_UNIT_COUNT
};
const char *pl_sim_unit_name(enum pl_sim_unit u);
struct pl_sim_op_stats { /* per operator range of the image; the last one is "(other)" */
    uint64_t insns;
    uint64_t cycles;      /* end-to-end cycles attributed to it: they sum to the total */
    uint64_t hbm_bytes;
};
struct pl_sim_stats {
    uint64_t cycles;      /* from the first issue to the last completion, all runs so far */
    uint64_t insns;
    uint64_t insns_by_op[PL_OP_COUNT];
    uint64_t busy_cyc[PL_SIM_UNIT_COUNT];
    uint64_t stall_operand_cyc, stall_unit_cyc, stall_dma_cyc, stall_fence_cyc; /* issue waits, by cause */
    uint64_t hbm_read_bytes, hbm_write_bytes; /* bursts, as transferred */
    uint64_t macs;        /* multiply-accumulates the array spent slots on; useful ones included */
    size_t n_op;          /* image->n_op + 1 */
    const struct pl_sim_op_stats *op;
    bool sticky_nan;      /* a NaN or Inf met the quantiser */
};

struct pl_sim;
/* Copies HBM segments; `arch` and `img` must outlive the simulator. Errors: image and machine do not fit together
 * (plan, capacities), PL_ENOMEM. */
enum pl_status pl_sim_new(const struct pl_arch *arch, const struct pl_image *img,
                          const struct pl_sim_options *opt, struct pl_sim **out, struct pl_diag *d);
void pl_sim_free(struct pl_sim *sim);
enum pl_status pl_sim_set_int(struct pl_sim *sim, uint64_t addr, uint32_t value, struct pl_diag *d);
enum pl_status pl_sim_get_int(const struct pl_sim *sim, uint64_t addr, uint32_t *value, struct pl_diag *d);

enum pl_sim_stop { PL_SIM_HALTED, PL_SIM_BREAKPOINT };
/* Run from `pc` until C_HALT, the end of the code, or C_BREAK; registers, memories and time carry over from run to
 * run (gp and f registers start at zero each run unless resuming after a breakpoint: pc = UINT32_MAX). PL_EFAULT: a
 * rule of the machine was broken; the message names pc, instruction, operator and rule. */
enum pl_status pl_sim_run(struct pl_sim *sim, uint32_t pc, enum pl_sim_stop *stop, struct pl_diag *d);
const struct pl_sim_stats *pl_sim_stats(const struct pl_sim *sim);

/* State, for tests and tools (functional plane). Values are copied out; bounds are checked. */
enum pl_status pl_sim_read_tensor(const struct pl_sim *sim, uint32_t desc, uint32_t row, uint32_t col,
                                  size_t n, float *out, struct pl_diag *d);
enum pl_status pl_sim_read_vsram(const struct pl_sim *sim, uint64_t addr, size_t n, float *out, struct pl_diag *d);
enum pl_status pl_sim_write_vsram(struct pl_sim *sim, uint64_t addr, size_t n, const float *in, struct pl_diag *d);
enum pl_status pl_sim_read_hbm(const struct pl_sim *sim, uint64_t addr, size_t n, uint8_t *out, struct pl_diag *d);
uint32_t pl_sim_gp(const struct pl_sim *sim, unsigned r);
float pl_sim_fp(const struct pl_sim *sim, unsigned r);
#endif
