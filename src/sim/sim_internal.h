/* sim_internal.h - the state of a simulation and what an executed instruction touched. Internal to sim. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_INTERNAL_H
#define SIM_INTERNAL_H
#include "marks.h"
#include "plena/arch_timing.h"
#include "plena/mx.h"
#include "plena/sim.h"

enum { N_GP = 16, N_FP = 8, MAX_SPECS = 32, LEFT_CACHE = 4096, NO_TILE = -1 };

/* A set of Vector SRAM rows: `count` groups of `width` rows, `stride` rows apart. */
struct rows {
    uint32_t first, count, stride, width;
};

/* What one instruction did, for the timing plane. */
struct touch {
    enum pl_op_class class;
    uint32_t blocks;
    struct rows read[3], write;
    unsigned n_read;
    int64_t tile_read, tile_write;     /* first Matrix SRAM tile, or NO_TILE */
    uint32_t tiles;                    /* how many */
    uint64_t hbm_read, hbm_write;      /* bytes in bursts */
    uint64_t hbm_steps;                /* cycles of its engine with an ideal memory */
    struct stream {
        uint64_t addr, bytes, stride, count; /* pieces of bytes, stride apart; count 0: none */
    } stream[2];                       /* elements, scales */
};
/* Nothing yet: what an instruction does not do costs no more than this. */
static inline void touch_nothing(struct touch *t)
{
    t->class = PL_OPC_CTL;
    t->blocks = t->n_read = t->tiles = 0;
    t->write = (struct rows){0};
    t->tile_read = t->tile_write = NO_TILE;
    t->hbm_read = t->hbm_write = t->hbm_steps = t->stream[0].count = t->stream[1].count = 0;
}

/* State shared by units beside registers, rows and tiles: FP and INT SRAM, address registers, control registers. */
enum shared_state { SHARED_FPMEM, SHARED_INTMEM, SHARED_AREG, SHARED_CSR, SHARED_COUNT };

enum layer_mark { MARK_NONE, MARK_BEGIN, MARK_END };

struct decoded { /* one instruction word, ready to run */
    struct pl_insn in;
    uint16_t gp_src, gp_dst; /* bit masks */
    uint8_t fp_src, fp_dst;
    uint8_t shared_src, shared_dst; /* bits of enum shared_state */
    uint8_t unit;            /* enum pl_sim_unit */
    uint8_t mark;            /* enum layer_mark */
    uint16_t op_range;       /* index into image->op; n_op = none */
    uint32_t match;          /* C_LOOP_START, C_LOOP_REG: pc of the C_LOOP_END */
    bool valid;
};

struct tile { /* one Matrix SRAM tile: codes and scales as loaded */
    struct pl_format format;
    uint8_t *packed; /* [mlen][row_bytes]: elements as HBM holds them */
    uint8_t *scale;  /* [mlen][mlen / block] */
    size_t row_bytes, capacity;
    uint32_t generation;
    struct pl_panel *panel[2];         /* [0] rows as vectors, [1] columns as vectors */
    const struct pl_mm_spec *spec[2];
    uint32_t panel_generation[2];
    uint8_t use; /* index into stats.use */
    bool loaded;
};

struct left_entry { /* a quantised left operand */
    uint64_t addr, version;
    uint32_t rows;
    const struct pl_mm_spec *spec;
    struct pl_panel *panel;
};

struct accumulator { /* ACC_M or ACC_V: its value is what `acc` holds, if `stored`, and then the terms */
    struct pl_acc *acc;
    const struct pl_mm_spec *spec, *made_for;
    struct pl_mm_term *term;
    unsigned n_terms, cap_terms;
    uint32_t rows;
    bool in_use, stored;
};

/* Results of one write-out and of the columns to the right of it, summed in one go before they are asked for: programs
 * walk along the columns of a tile. They are valid for a write-out whose terms differ from `term` in nothing but the column. */
struct lookahead {
    const struct pl_mm_spec *spec;
    struct pl_mm_term *term;
    unsigned n_terms, cap_terms;
    uint64_t epoch;
    uint32_t rows, cols;
    uint32_t want, used; /* columns it was meant for, columns taken: the next one is as wide as this one was useful */
    float *out;          /* [BLEN][MLEN], the first `cols` of a row */
};

struct loop_frame {
    uint32_t start;
    uint8_t reg;
};

struct range {
    uint64_t begin, end;
};

static inline stamp stamp_of(uint64_t cyc, enum pl_sim_unit unit)
{
    return cyc << 3 | (uint64_t)unit;
}
static inline uint64_t stamp_cyc(stamp s)
{
    return s >> 3;
}

/* Stretches of work of one unit that are to be laid over the states of the front end: in order, apart from each other. */
enum { MAX_SPANS = 16 };
struct spans {
    struct {
        uint64_t from, to;
    } s[MAX_SPANS]; /* a ring */
    unsigned head, n;
    bool open;                            /* the front end has passed the head's `from` */
    uint64_t at_from[PL_SIM_CAUSE_COUNT]; /* open: states of the front end up to there */
};

struct engine { /* a DMA engine: completion stamps of its transfers, a ring, and when each was issued */
    stamp *done;
    uint64_t *at;
    unsigned n, head;
    uint64_t start;   /* of the transfer issued last: transfers of an engine begin in order */
    uint64_t busy_to; /* its busy time is the union of its transfers */
    uint64_t free;    /* an ideal memory takes its next transfer */
};
struct memory;

struct timing {
    stamp gp[N_GP], fp[N_FP], shared[SHARED_COUNT];
    struct marks row_write, row_read; /* of Vector SRAM: last write done, last read by an instruction done */
    struct marks row_store;           /* last read by a store; apart, because it may be pending */
    stamp *tile_write, *tile_read;
    uint64_t free[PL_SIM_UNIT_COUNT]; /* the unit takes the next operation; DMA engines have their ring */
    uint64_t acc_ready;
    uint64_t issue, last_done, bus_free;
    struct engine engine[3]; /* load M, load V, store */
    struct memory *memory;   /* the bank-accurate HBM; NULL: a bus of hbm_bandwidth with hbm_latency behind it, or the ideal one */
    bool ideal;
    uint64_t all_dma_done;
    struct pl_latency latency[PL_OPC_COUNT]; /* of the classes whose latency depends on the machine alone */
    uint64_t write_out[MAX_SPANS]; /* start times of the write-outs in the queue, a ring of arch->write_out_queue */
    unsigned write_out_head;
    struct spans spans[PL_SIM_UNIT_COUNT];
    uint64_t next_edge;  /* the first edge of a span ahead of the front end */
    uint64_t overlap[PL_SIM_UNIT_COUNT][PL_SIM_CAUSE_COUNT]; /* busy cycles by state of the front end */
    uint64_t dma_busy[PL_SIM_UNIT_COUNT];
    struct { /* of the last instruction */
        uint64_t stall, cycles, busy, read_done;
        enum pl_sim_cause why;
    } step;
};

/* ---- fast-forward: the passes being recorded ---- */
struct ff_record { /* one instruction; times relative to the start of its phase */
    uint32_t pc;
    uint32_t gp[4]; /* rd, rs1, rs2, rs3 before it */
    int32_t tile;   /* read, or NO_TILE */
    uint8_t n_read, why;
    struct rows read[3], write;
    uint64_t issue, read_done, end, stall, cycles, busy;
};
struct ff_state { /* at a back edge */
    uint64_t rel[N_GP + N_FP + SHARED_COUNT + 2 * PL_SIM_UNIT_COUNT + 2 + MAX_SPANS + 2 * MAX_SPANS * PL_SIM_UNIT_COUNT];
    size_t n;
    uint32_t gp[N_GP];
    uint64_t stall[PL_SIM_CAUSE_COUNT], overlap[PL_SIM_UNIT_COUNT][PL_SIM_CAUSE_COUNT];
    struct pl_sim_format_use use[PL_SIM_FORMATS];
    uint64_t span_from[PL_SIM_UNIT_COUNT]; /* begin of the open span, or UINT64_MAX */
    uint64_t issue, last_done, insns;
    size_t records;
};
struct ff {
    bool enabled, recording;
    uint32_t loop_pc;
    uint8_t reg;
    unsigned depth, passes, left, phase; /* passes per phase; left of this one; 0 = P, 1 = Q */
    struct ff_record *record;
    size_t n, cap;
    struct ff_state state[3];
    struct ff_hint {
        uint8_t passes, tries, failures;
        uint32_t wait, most; /* back edges to let go by; the most passes seen ahead */
    } *hint; /* per pc of a loop's begin */
};

/* Retired instructions on their way to the trace: those behind one whose end is not known yet wait. */
struct trace_queue {
    struct trace_entry {
        struct pl_sim_retired r;
        struct pl_sim_access access;
    } *e;
    size_t n, cap;
};

struct pl_sim {
    const struct pl_arch *arch;
    const struct pl_image *img;
    struct pl_sim_options opt;
    struct decoded *code;
    uint32_t pitch;

    uint32_t gp[N_GP];
    float fp[N_FP];
    uint64_t areg[16];
    uint32_t scale_reg, stride_reg, v_mask;
    float *fpmem;
    uint32_t *intmem;
    float *vsram;         /* [vector_rows][vlen] */
    uint32_t *row_version; /* per row, counts writes */
    struct tile *tile;
    uint8_t *hbm;
    struct loop_frame *loop;
    unsigned n_loop;
    uint32_t pc;

    struct pl_mm_spec spec[MAX_SPECS];
    unsigned n_spec;
    struct left_entry *left;
    struct accumulator acc_m, acc_v;
    struct lookahead ahead;
    uint64_t panel_epoch; /* counts operands laid out anew */
    struct { /* a batched product that waits for its write-out */
        bool valid, transposed, vector;
        uint64_t mat, vec, version; /* version: of its operands when it was issued */
        uint32_t pc;
    } pending;
    struct range *unfenced; /* stored since the last fence */
    struct range unfenced_hull; /* holds them all */
    size_t n_unfenced, cap_unfenced;

    struct timing t;
    struct trace_queue trace;
    struct ff ff;
    struct pl_sim_stats stats;
    struct pl_sim_op_stats *op_stats;
    struct pl_sim_pc_stats *pc_stats;
    struct pl_sim_layer *layer;
    size_t cap_layer, at_layer; /* the layer being run */
    bool in_layer;
    struct pl_sim_layer layer_start;
    uint64_t loaded_m_bytes, loaded_v_bytes, stored_lanes;
    struct pl_diag *d; /* of the run at hand */
};

/* Break off with the rule that the instruction at sim->pc broke. */
enum pl_status sim_fault(struct pl_sim *sim, const char *fmt, ...) PL_PRINTF(2, 3);

typedef enum pl_status sim_exec(struct pl_sim *sim, const struct pl_insn *in, struct touch *t);
#define INSN(name, opcode, fn, unit, format, effects, doc) sim_exec sim_##name;
#include "plena/isa.def"
#undef INSN

/* vector rows */
enum pl_status sim_vrow(struct pl_sim *sim, uint64_t addr, const char *what, uint32_t *row);
static inline float *vrow_data(struct pl_sim *sim, uint32_t row)
{
    return sim->vsram + (size_t)row * sim->arch->vlen;
}
void sim_row_written(struct pl_sim *sim, uint32_t row);
/* Operand rows of the matrix unit: n rows of MLEN elements, PITCH * step apart. */
enum pl_status sim_operand_rows(struct pl_sim *sim, uint64_t addr, uint32_t n, uint64_t step, struct rows *out);

/* After M_MM or M_TMM with its addresses in gp[vec] and gp[mat]: they move on for the next product. */
enum pl_status sim_step_on(struct pl_sim *sim, const struct pl_insn *in, uint8_t vec, uint8_t mat);

/* matrix side */
enum pl_status sim_tile_at(struct pl_sim *sim, uint64_t addr, struct tile **out, int64_t *index, uint64_t *offset);
void sim_matrix_fini(struct pl_sim *sim);

/* timing.c */
enum pl_status sim_timing_init(struct pl_sim *sim, struct pl_diag *d);
void sim_timing_fini(struct pl_sim *sim);
/* Fills the cycles of *r. */
void sim_timing_step(struct pl_sim *sim, const struct decoded *dec, const struct touch *t, struct pl_sim_retired *r);
/* Wait until everything is done: the end of a run, C_HALT, C_BREAK. */
void sim_timing_drain(struct pl_sim *sim);
/* stats.cycles after the times have moved; returns what it grew by. */
uint64_t sim_timing_cycles(struct pl_sim *sim);

/* trace.c */
void sim_trace(struct pl_sim *sim, const struct decoded *dec, const struct touch *t, const struct pl_sim_retired *r);
void sim_trace_flush(struct pl_sim *sim);

/* account.c: which unit was busy in which state of the front end */
void sim_account_edges(struct timing *t, const uint64_t *stall_cyc, uint64_t at, enum pl_sim_cause why);
void sim_account_busy(struct timing *t, enum pl_sim_unit unit, uint64_t now, uint64_t from, uint64_t to);
void sim_account_finish(struct pl_sim *sim);

/* memory.c: transfers between HBM and the SRAMs */
enum pl_status sim_memory_init(struct pl_sim *sim, struct pl_diag *d);
void sim_memory_fini(struct pl_sim *sim);
/* A transfer issued at `at` whose source and destination are ready at `start`; returns when its last byte has arrived, and
 * when its source has been read. */
stamp sim_memory_transfer(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, uint64_t at, uint64_t start,
                          stamp *read_done);
/* The cycle of a stamp. The front end stands at `now` and cannot go on before a pending one is done. */
uint64_t sim_memory_resolve(struct pl_sim *sim, stamp s, uint64_t now);
/* The cycle of a stamp if it is known. */
bool sim_memory_known(const struct pl_sim *sim, stamp s, uint64_t *cyc);
/* Why data of an engine was not there between `from` and `to`. */
enum pl_sim_cause sim_memory_cause(const struct pl_sim *sim, uint64_t from, uint64_t to);
/* When the engine's oldest transfer in flight ends: its place in the queue is free then. */
uint64_t sim_memory_slot(struct pl_sim *sim, enum pl_sim_unit unit, uint64_t now);
/* When all transfers of an engine have ended. */
uint64_t sim_memory_engine(struct pl_sim *sim, enum pl_sim_unit unit, uint64_t now);
/* When all transfers have ended. */
uint64_t sim_memory_all(struct pl_sim *sim, uint64_t now);
bool sim_memory_pending(const struct pl_sim *sim);
void sim_memory_statistics(struct pl_sim *sim);
void sim_memory_events(const struct pl_sim *sim, struct pl_sim_events *e); /* what the banks did */

/* events.c: what will cost energy, from the counts per instruction word */
void sim_count_events(struct pl_sim *sim);
/* Multiply-accumulates of n executions of an instruction, added to its operator. */
void sim_count_products(const struct pl_arch *a, const struct pl_insn *in, uint64_t n, struct pl_sim_op_stats *op);
/* Products against tiles, by the tiles' format. */
static inline void sim_count_tile_use(struct pl_sim *sim, const struct touch *x)
{
    struct pl_sim_format_use *u = &sim->stats.use[sim->tile[x->tile_read].use];
    if (x->class == PL_OPC_BMM)
        *(x->read[0].count == 1 ? &u->batched_vector : &u->batched) += 1;
    else if (x->class == PL_OPC_MV)
        u->vector++;
    else
        u->matrix++;
}
/* Index of a format in stats.use; formats beyond the last share its place. */
uint8_t sim_format_use(struct pl_sim *sim, const struct pl_format *f);
enum pl_status sim_decode(struct pl_sim *sim, struct pl_diag *d);
#endif
