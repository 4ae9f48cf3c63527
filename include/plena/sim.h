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

/* Units that can be busy at the same time. */
enum pl_sim_unit {
    PL_SIM_MATRIX, PL_SIM_WRITE_OUT, PL_SIM_VECTOR, PL_SIM_SCALAR, PL_SIM_LOAD_M, PL_SIM_LOAD_V, PL_SIM_STORE, PL_SIM_CONTROL,
    PL_SIM_UNIT_COUNT
};
const char *pl_sim_unit_name(enum pl_sim_unit u);
enum pl_sim_unit pl_sim_unit_of(enum pl_op op); /* where it works */

struct pl_sim_rows { /* of Vector SRAM: `count` groups of `width` rows, `stride` rows apart */
    uint32_t first, count, stride, width;
};
/* Where an instruction worked and what it touched. */
struct pl_sim_access {
    enum pl_sim_unit unit;
    uint32_t op;     /* index into image->op; n_op = none */
    unsigned n_read;
    struct pl_sim_rows read[3], write; /* write.count 0: none */
    int64_t tile_read, tile_write;     /* Matrix SRAM tiles, the first written; -1 = none */
    uint32_t tiles_written;
    uint64_t hbm_read_bytes, hbm_write_bytes;
};
/* One retired instruction, in program order. */
struct pl_sim_retired {
    uint64_t seq;
    uint32_t pc, word;
    struct pl_insn insn;
    uint64_t issue_cyc, start_cyc, end_cyc; /* left the front end; began in its unit; last write done */
    uint64_t free_cyc;                      /* its unit (of a transfer: the HBM bus) takes the next operation */
    const struct pl_sim_access *access;     /* lives during the call of the trace function */
};
struct pl_sim_options {
    bool functional, timing; /* at least one */
    bool no_fast_forward;    /* step every instruction; the statistics are the same */
    uint64_t max_insns;      /* stop with PL_EFAULT after so many; 0 = no limit */
    void (*trace)(void *ctx, const struct pl_sim_retired *r); /* may be NULL */
    void *trace_ctx;
};

/* What the front end did in a cycle: it sent an instruction, or it waited for the cause that held it longest. A unit that
 * is not busy is idle for the reason the front end was in that cycle. Name, meaning, what would remove it. */
#define PL_SIM_CAUSE_LIST(X)                                                                                           \
    X(ISSUE, "issue", "the front end sent another instruction, one a cycle",                                           \
      "fewer instructions: post-increment, hardware loops, longer vector rows")                                        \
    X(MATRIX, "matrix result", "an operand is still in the array or its write-out",                                    \
      "independent work between product and use, a shorter array pipeline")                                           \
    X(VECTOR, "vector result", "an operand is still in the vector pipeline",                                           \
      "interleaving of independent rows, a shorter vector pipeline")                                                   \
    X(SCALAR, "scalar result", "an operand is still in the scalar unit",                                               \
      "interleaving of independent rows, a shorter scalar pipeline")                                                   \
    X(UNIT, "unit busy", "the unit itself is still busy with an older operation", "more of that unit, or less work for it") \
    X(PORT, "write port", "the queue in front of the write-out port is full", "longer sums along K before a write-out")  \
    X(REUSE, "buffer reuse", "the destination is still read or written by an older operation", "one more buffer")      \
    X(QUEUE, "DMA queue", "the engine has all its outstanding transfers in flight", "a larger `outstanding`, or less to transfer") \
    X(HBM_LATENCY, "HBM latency", "data on its way, the bus not to blame", "earlier prefetch")                        \
    X(HBM_BUS, "HBM bus", "data behind other data on the HBM bus", "more HBM bandwidth, or fewer bits")                \
    X(HBM_BANK, "HBM bank", "data behind row activations and bank timing", "another address map, longer bursts in a row") \
    X(HBM_REFRESH, "HBM refresh", "data behind a refresh", "per-bank refresh, more banks")                             \
    X(FENCE, "fence", "a fence waits for transfers", "later fences, earlier stores")                                   \
    X(DRAIN, "drain", "the last instructions of a pass finish", "longer passes")
enum pl_sim_cause {
#define X(id, name, meaning, remedy) PL_SIM_##id##_CAUSE,
    PL_SIM_CAUSE_LIST(X)
#undef X
    PL_SIM_CAUSE_COUNT
};
const char *pl_sim_cause_name(enum pl_sim_cause c);
const char *pl_sim_cause_meaning(enum pl_sim_cause c);
const char *pl_sim_cause_remedy(enum pl_sim_cause c);

struct pl_sim_op_stats { /* per operator range of the image; the last one is "(other)" */
    uint64_t insns;
    uint64_t cycles;                        /* end-to-end cycles attributed to it: they sum to the total */
    uint64_t hbm_bytes;
    uint64_t macs, data_macs;               /* sums over operators: stats.macs, stats.events.macs */
    uint64_t busy_cyc[PL_SIM_UNIT_COUNT];   /* sum over operators: stats.busy_cyc, DMA engines apart (transfers overlap) */
    uint64_t stall_cyc[PL_SIM_CAUSE_COUNT]; /* of the front end; sum over operators: stats.stall_cyc */
};
struct pl_sim_pc_stats { /* per instruction word */
    uint64_t count, stall_cyc;
};
/* Everything that will cost energy, counted: bits and operations, never joules. */
struct pl_sim_events {
    uint64_t macs;                                   /* multiply-accumulates of rows that hold data, all formats */
    uint64_t tree_adds;                              /* nodes of the write-out tree */
    uint64_t quantised_elements;                     /* at the left edge and in stores */
    uint64_t matrix_read_bits, matrix_write_bits;    /* Matrix SRAM: elements and scales */
    uint64_t vector_read_bits, vector_write_bits;    /* Vector SRAM */
    uint64_t scalar_sram_bits;                       /* FP and INT SRAM, both ways */
    uint64_t vector_add_lanes, vector_mul_lanes, vector_exp_lanes, vector_reci_lanes, vector_move_lanes, vector_reduce_lanes;
    uint64_t scalar_fp, scalar_special, scalar_int;  /* operations */
    uint64_t issued;                                 /* instructions fetched and decoded */
    uint64_t hbm_read_bits, hbm_write_bits, hbm_activates, hbm_refreshes;
};
enum { PL_SIM_FORMATS = 16 };
struct pl_sim_format_use { /* products against right operands of one format, in instructions */
    struct pl_format format;
    uint64_t matrix, vector;          /* BLEN rows, or one, against BLEN columns over MLEN or a head's lanes */
    uint64_t batched, batched_vector; /* MLEN rows, or one, of every head against a whole tile */
};
struct pl_sim_layer { /* passes through the code between the image's constants "<entry>.layer_begin" and ".layer_end"; n-th of a run */
    uint64_t cycles, insns, hbm_bytes;
};
struct pl_sim_stats {
    uint64_t cycles;      /* from the first issue to the last completion, all runs so far */
    uint64_t insns;
    uint64_t insns_by_op[PL_OP_COUNT];
    uint64_t busy_cyc[PL_SIM_UNIT_COUNT];
    /* idle_cyc[u][c]: cycles unit u was not busy while the front end was in state c. For every u:
     * busy_cyc[u] + sum over c of idle_cyc[u][c] = cycles. */
    uint64_t idle_cyc[PL_SIM_UNIT_COUNT][PL_SIM_CAUSE_COUNT];
    uint64_t stall_cyc[PL_SIM_CAUSE_COUNT]; /* of the front end; they sum to cycles */
    uint64_t hbm_read_bytes, hbm_write_bytes; /* bursts, as transferred */
    uint64_t macs;        /* multiply-accumulates the array spent slots on; useful ones included */
    struct pl_sim_events events;
    size_t n_use;
    struct pl_sim_format_use use[PL_SIM_FORMATS]; /* right operands by format */
    size_t n_op;          /* image->n_op + 1 */
    const struct pl_sim_op_stats *op;
    size_t n_pc;          /* image->n_code */
    const struct pl_sim_pc_stats *pc;
    size_t n_layer;
    const struct pl_sim_layer *layer;
    uint64_t fast_forwarded; /* instructions of `insns` that were counted, not stepped */
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
