/* verify_internal.h - the abstract machine. Internal to verify. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VERIFY_INTERNAL_H
#define VERIFY_INTERNAL_H
#include "plena/isa.h"
#include "plena/verify.h"

/* ---- value.c: numbers lo, lo + step, ..., hi; a single one has step 0 ---- */
struct val {
    int64_t lo, hi, step;
};
#define VAL(x) ((struct val){(x), (x), 0})
static inline bool val_one(struct val v)
{
    return v.lo == v.hi;
}
static inline bool val_multiple(struct val v, int64_t of) /* are all of them? */
{
    return v.lo % of == 0 && v.step % of == 0;
}
struct val val_any(void); /* all 32-bit numbers */
struct val val_add(struct val a, struct val b); /* of registers: modulo 2^32 */
struct val val_sub(struct val a, struct val b);
struct val val_mul(struct val a, struct val b);
struct val val_join(struct val a, struct val b);
struct val val_plus(struct val a, int64_t k); /* of addresses: exact */
bool val_same_shape(struct val a, struct val b);

/* ---- the machine ---- */
enum { N_GP = 16, N_CSR = 3, CSR_SCALE = 0, CSR_STRIDE, CSR_MASK, MAX_DIMS = 6, MOST_UNFENCED = 16 };

struct acc { /* ACC_M or ACC_V */
    bool used, straight;
    uint32_t width;
    struct pl_format format;
};
struct pending { /* a batched product that waits for its write-out */
    bool valid, transposed, vector;
    uint32_t pc;
    struct val mat, vec;
};
struct bytes { /* of HBM; tensor: whose rows they are, or -1 */
    int64_t tensor;
    uint64_t lo, hi;
};
struct regs { /* what a loop moves */
    struct val gp[N_GP], csr[N_CSR];
    struct val areg[N_GP];
    uint16_t gp_def, areg_def;
    uint8_t fp_def, csr_def;
    struct acc acc[2];
    struct pending pending;
    struct bytes unfenced[MOST_UNFENCED];
    unsigned n_unfenced;
};
struct word { /* of INT SRAM */
    struct val v;
    bool def;
};
struct tile {
    bool loaded, read, empty; /* read since it was loaded; empty: nothing was there to load */
    uint32_t pc;              /* of the load */
    struct pl_format format;
};

/* What an instruction did to memory, so that passes of a loop can be compared and repeated. */
enum ev_kind { EV_FP_SET, EV_FP_GET, EV_INT_SET, EV_INT_GET, EV_TILE_SET, EV_TILE_GET, EV_DESC, EV_MUL };
struct ev {
    uint32_t pc;
    uint8_t kind, n_dim;
    bool empty;
    uint32_t width; /* words from `at` on */
    int64_t at;     /* word, element address of a tile, tensor */
    struct val v;   /* EV_INT: the word; EV_MUL: the factors as lo and hi */
    const struct pl_format *format; /* EV_TILE_SET */
    struct {
        int64_t stride;
        uint32_t n;
    } dim[MAX_DIMS]; /* more of the same: at + k * stride, k < n */
};

struct ver {
    const struct pl_arch *arch;
    const struct pl_image *img;
    struct pl_arena *a;
    struct pl_diag *d;
    struct pl_insn *code;
    uint32_t *match; /* of a loop begin: pc of its end */
    uint16_t *op_of; /* operator of each word; n_op: none */
    uint8_t *reached, *failed;
    uint32_t pitch;
    uint64_t tile_size, vsram_size;
    struct regs r;
    struct word *word;
    uint8_t *fp_word; /* defined? */
    struct tile *tile;
    struct ev *ev;
    size_t n_ev, cap_ev;
    unsigned depth;          /* open loops */
    struct regs *head[64];   /* by depth: registers before passes */
    bool stopped;            /* some run could not go on */
    uint32_t pc;
    uint64_t steps, skipped, budget;
    struct pl_verify_error error[PL_VERIFY_MOST_ERRORS];
    size_t n_error;
};

enum flow { FLOW_ON, FLOW_EXIT, FLOW_HALT, FLOW_STOP }; /* next, left the innermost loop, ended, cannot go on */

/* The instruction at v->pc breaks a rule; the first at each pc counts. */
void ver_fail(struct ver *v, const char *fmt, ...) PL_PRINTF(2, 3);

/* insn.c: one instruction that is no loop. */
void ver_insn(struct ver *v, const struct pl_insn *in);

/* memory.c: accesses with their checks; each leaves an event. */
void ver_event(struct ver *v, struct ev e);
void ver_apply(struct ver *v, const struct ev *e, int64_t shift); /* a pass of a loop later */
bool ver_words(struct ver *v, const char *memory, struct val at, uint64_t n, uint64_t size);
void ver_vrow(struct ver *v, struct val at, const char *what);
void ver_operand_rows(struct ver *v, struct val at, uint32_t n, struct val step);
/* The tile an address is in, its offset there; marks it read. False: no such tile. */
bool ver_tile(struct ver *v, struct val at, struct val *offset, struct pl_format *format);
void ver_tile_load(struct ver *v, struct val at, uint32_t n, const struct pl_format *f, bool empty);
const struct pl_desc *ver_desc(struct ver *v, struct val index);
void ver_stored(struct ver *v, int64_t tensor, uint64_t lo, uint64_t hi);
void ver_loaded(struct ver *v, uint64_t lo, uint64_t hi);

/* dma.c: transfers. */
void ver_transfer(struct ver *v, const struct pl_insn *in);

/* loops.c: words [pc, end). */
enum flow ver_range(struct ver *v, uint32_t pc, uint32_t end);
#endif
