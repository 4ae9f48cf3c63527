/* emit.h - writing code: instructions, registers, loops, operator ranges. Internal to comp. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMP_EMIT_H
#define COMP_EMIT_H
#include "plena/base.h"
#include "plena/isa.h"
#include "plena/obj.h"

struct emit {
    struct pl_buf code; /* uint32_t words */
    struct pl_buf ops;  /* struct pl_op_range */
    struct pl_buf steps; /* struct emit_step */
    uint32_t gp_free;   /* bit r: gp r is free */
    uint32_t mlen, blen;
    uint32_t without;   /* extensions not to be used: bits of enum pl_comp_ext */
};
void emit_init(struct emit *em);
void emit_fini(struct emit *em);
uint32_t emit_pc(const struct emit *em);

/* Registers are taken and given back by hand; running out is a bug of the compiler. */
uint8_t gp_take(struct emit *em);
void gp_give(struct emit *em, uint8_t r);

void emit_insn(struct emit *em, struct pl_insn in);
#define INS(em, opcode, ...) emit_insn(em, (struct pl_insn){.op = PL_##opcode, __VA_ARGS__})

/* rd = value, in one or two words. */
void emit_li(struct emit *em, uint8_t rd, uint64_t value);
uint8_t emit_const(struct emit *em, uint64_t value); /* the same in a register taken here */
/* rd = rs + delta, any sign; may use a register for a moment. */
void emit_add(struct emit *em, uint8_t rd, uint8_t rs, int64_t delta);

/* A product of the array: left rows at register vec, tile at register mat (transposed: M_TMM with window hw); then vec +=
 * vstep elements and mat += mstep, in the same instruction where it can say so. */
void emit_product(struct emit *em, bool transposed, uint8_t vec, uint8_t mat, uint8_t hw, int64_t vstep, int64_t mstep);

/* A counted hardware loop; a single pass emits no loop. */
struct loop {
    uint8_t reg; /* 0: no loop */
};
struct loop loop_begin(struct emit *em, uint64_t count);
struct loop loop_begin_reg(struct emit *em, uint8_t count_reg);
void loop_end(struct emit *em, struct loop l);

/* From here on, instructions belong to this step of the operator, for dumps. */
struct emit_step {
    uint32_t pc;
    const char *name;
};
void emit_step(struct emit *em, const char *name);
/* From here on, instructions belong to this operator. */
void emit_op(struct emit *em, const char *name);
#endif
