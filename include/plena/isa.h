/* isa.h - the instruction set: encode, decode, assemble, disassemble, check. isa.def is the only list.
 *
 * Depends on: base.h.   Threads: every function works on its arguments only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_ISA_H
#define PLENA_ISA_H
#include "plena/base.h"

enum pl_unit { PL_UNIT_MAT, PL_UNIT_VEC, PL_UNIT_SCA, PL_UNIT_MEM, PL_UNIT_CTL, PL_UNIT_COUNT };
enum pl_effect {
#define EFFECT(k, name) PL_R_##name = 1 << (2 * (k)), PL_W_##name = 2 << (2 * (k))
    EFFECT(0, GP), EFFECT(1, FP), EFFECT(2, AREG), EFFECT(3, CSR), EFFECT(4, VSRAM),
    EFFECT(5, MSRAM), EFFECT(6, ACC), EFFECT(7, FPMEM), EFFECT(8, INTMEM), EFFECT(9, HBM),
    EFFECT(10, PC),
#undef EFFECT
};
enum pl_op {
#define INSN(name, opcode, fn, unit, format, effects, doc) PL_##name,
#include "plena/isa.def"
#undef INSN
    PL_OP_COUNT
};
/* A decoded instruction; fields a format does not use are 0. */
struct pl_insn {
    uint8_t op; /* enum pl_op */
    uint8_t rd, rs1, rs2, rs3;
    uint8_t fn;   /* funct1 */
    uint32_t imm; /* imm18 or imm22 */
};
struct pl_op_info {
    const char *name, *format, *doc;
    enum pl_unit unit;
    uint32_t effects;
};
const struct pl_op_info *pl_isa_info(enum pl_op op);
const char *pl_unit_name(enum pl_unit u);
/* Registers by number, a bit each; gp0 and f0 are never written. The counter that C_EXIT clears is not among them. */
struct pl_insn_regs {
    uint16_t gp_src, gp_dst;
    uint8_t fp_src, fp_dst;
};
void pl_isa_registers(const struct pl_insn *in, struct pl_insn_regs *out);

/* Field values are range-checked against the op's format. Bits a format does not name are 0. */
enum pl_status pl_isa_encode(const struct pl_insn *in, uint32_t *word, struct pl_diag *d);
/* Bits a format does not name are ignored, as the published emulator does. PL_EPARSE for opcode 0, or 0x39 with an
 * unknown function. */
enum pl_status pl_isa_decode(uint32_t word, struct pl_insn *out, struct pl_diag *d);
/* "M_MM 0, gp2, gp4": text that assembles to the same word. Returns the length. */
size_t pl_isa_format(const struct pl_insn *in, char *out, size_t size);

/* Result of assembling a text: everything in the arena. */
struct pl_asm {
    uint32_t *code;
    uint32_t *line; /* [n] source line of each word */
    size_t n;
    struct pl_asm_label {
        const char *name;
        uint32_t pc;
    } *label;
    size_t n_label;
};
/* Grammar: doc/isa.md. One instruction, directive or label per line; comments // ; and #. Mnemonics upper or lower
 * case; immediates decimal, 0x, 0b, negative where they fit, constant expressions + - * / % << >> & | ^ ~ ( ) over
 * `.equ` names and labels; `li gpX, expr` (one or two words); `nop`. First error wins, with caret. */
enum pl_status pl_asm_text(struct pl_arena *a, const struct pl_source *src, struct pl_asm *out,
                           struct pl_diag *d);
/* ".mem" text: one 0xXXXXXXXX word a line, as the published tools read and write. */
enum pl_status pl_asm_read_mem(struct pl_arena *a, const struct pl_source *src, uint32_t **code,
                               size_t *n, struct pl_diag *d);
/* Disassemble to text that pl_asm_text turns into the same words (words that are no instruction become .word). */
void pl_dis_text(const uint32_t *code, size_t n, bool with_pc, struct pl_buf *out);

/* Static rules on a program: every word decodes, loops nest by register and do not overlap, no loop counter is
 * written in its body, register indices exist (f0-f7), batched products are followed by their write-out. The first
 * violation is reported with its pc. */
enum pl_status pl_isa_check(const uint32_t *code, size_t n, struct pl_diag *d);
#endif
