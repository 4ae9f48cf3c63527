/* sim_internal.h - the state of a simulation and what an executed instruction touched. Internal to sim. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_INTERNAL_H
#define SIM_INTERNAL_H
#include "plena/arch_timing.h"
#include "plena/mx.h"
#include "plena/sim.h"

enum { N_GP = 16, N_FP = 8, MAX_SPECS = 32, LEFT_CACHE = 256, NO_TILE = -1 };

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
    uint64_t macs;
};

struct decoded { /* one instruction word, ready to run */
    struct pl_insn in;
    uint16_t gp_src, gp_dst; /* bit masks */
    uint8_t fp_src, fp_dst;
    uint16_t op_range;       /* index into image->op; n_op = none */
    uint32_t match;          /* C_LOOP_START, C_LOOP_REG: pc of the C_LOOP_END */
    bool valid;
};

struct tile { /* one Matrix SRAM tile: codes and scales as loaded */
    struct pl_format format;
    uint32_t *code;  /* [mlen][mlen] */
    uint8_t *scale;  /* [mlen][mlen / block] */
    uint32_t generation;
    struct pl_panel *panel[2];         /* [0] rows as vectors, [1] columns as vectors */
    const struct pl_mm_spec *spec[2];
    uint32_t panel_generation[2];
    bool loaded;
};

struct left_entry { /* a quantised left operand */
    uint64_t addr, version;
    uint32_t rows;
    const struct pl_mm_spec *spec;
    struct pl_panel *panel;
};

struct accumulator { /* ACC_M or ACC_V */
    struct pl_acc *acc;
    const struct pl_mm_spec *spec, *made_for;
    bool in_use;
};

struct loop_frame {
    uint32_t start;
    uint8_t reg;
};

struct range {
    uint64_t begin, end;
};

struct dma { /* completion times of transfers in flight, a ring */
    uint64_t *done;
    unsigned n, head;
};

struct timing {
    uint64_t gp[N_GP], fp[N_FP];
    uint64_t *row_write, *row_read; /* per Vector SRAM row: last write done, last read done */
    uint64_t *tile_write, *tile_read;
    uint64_t fpmem, intmem, areg, csr; /* last write done */
    uint64_t array_free, write_port_free, vector_free, scalar_free, acc_ready;
    uint64_t issue, last_done, bus_free;
    struct dma dma[3]; /* load M, load V, store */
    uint64_t all_dma_done;
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
    struct { /* a batched product that waits for its write-out */
        bool valid, transposed, vector;
        uint64_t mat, vec, version; /* version: of its operands when it was issued */
        uint32_t pc;
    } pending;
    struct range *unfenced; /* stored since the last fence */
    size_t n_unfenced, cap_unfenced;

    struct timing t;
    struct pl_sim_stats stats;
    struct pl_sim_op_stats *op_stats;
    uint64_t seq;
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

/* matrix side */
enum pl_status sim_tile_at(struct pl_sim *sim, uint64_t addr, struct tile **out, int64_t *index, uint64_t *offset);
void sim_matrix_fini(struct pl_sim *sim);

/* timing.c */
void sim_timing_init(struct pl_sim *sim);
void sim_timing_fini(struct pl_sim *sim);
void sim_timing_step(struct pl_sim *sim, const struct decoded *dec, const struct touch *t, uint64_t *issued,
                     uint64_t *ended);
enum pl_status sim_decode(struct pl_sim *sim, struct pl_diag *d);
#endif
