/* isa.c - the instruction table with its operand formats; encode, decode, print. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "isa_internal.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
#define VS     {OPD_LIT, FLD_RD, false, true}
#define MS     {OPD_LIT, FLD_FN, true, false}
#define Z      {OPD_ZERO, FLD_RD, false, false}
#define RD     {OPD_GP, FLD_RD, false, false}
#define R1     {OPD_GP, FLD_RS1, false, false}
#define R2     {OPD_GP, FLD_RS2, false, false}
#define R3     {OPD_GP, FLD_RS3, false, false}
#define R2OPT  {OPD_GP, FLD_RS2, true, false}
#define FD     {OPD_FP, FLD_RD, false, false}
#define F1     {OPD_FP, FLD_RS1, false, false}
#define F2     {OPD_FP, FLD_RS2, false, false}
#define AD     {OPD_ADDR, FLD_RD, false, false}
#define A2     {OPD_ADDR, FLD_RS2, false, false}
#define HW     {OPD_LIT, FLD_RS3, true, false}
#define MASK   {OPD_LIT, FLD_RS3, true, true}
#define ORDER  {OPD_LIT, FLD_FN, true, false}
#define STRIDE {OPD_LIT, FLD_RS3, false, false}
#define PREC   {OPD_LIT, FLD_FN, false, false}
#define POLICY {OPD_LIT, FLD_RS3, false, false}
#define LOG    {OPD_LIT, FLD_FN, true, false}
#define IMM18  {OPD_IMM, FLD_IMM18, false, false}
#define IMM22  {OPD_IMM, FLD_IMM22, false, false}
#define SKIP   {OPD_IGNORE, FLD_NONE, true, false}

/* FORMAT(name, operands...): the one list of formats. */
#define FORMATS(F)                          \
    F(NONE, SKIP, SKIP, SKIP)               \
    F(Z_R1_R2, Z, R1, R2)                   \
    F(VS_R1_R2_MS, VS, R1, R2, MS)          \
    F(VS_R1_R2_HW_MS, VS, R1, R2, HW, MS)   \
    F(RD_R1_R2, RD, R1, R2)                 \
    F(RD_R1_R2_ORDER, RD, R1, R2, ORDER)    \
    F(RD_IMM18, RD, SKIP, IMM18)            \
    F(RD_R1_IMM18, RD, R1, IMM18)           \
    F(RD_IMM22, RD, IMM22)                  \
    F(RD_R1_R2_MASK, RD, R1, R2, MASK)      \
    F(RD_R1_F2_MASK, RD, R1, F2, MASK)      \
    F(RD_R1_F2_MASK_ORDER, RD, R1, F2, MASK, ORDER) \
    F(RD_R1_MASK3, RD, R1, MASK)            \
    F(FD_R1_MASK3, FD, R1, MASK)            \
    F(FD_F1_F2, FD, F1, F2)                 \
    F(FD_F1, FD, F1)                        \
    F(FD_R1_IMM18, FD, R1, IMM18)           \
    F(RD_R1_A2_STRIDE_PREC, RD, R1, A2, STRIDE, PREC, SKIP) \
    F(AD_R1_R2, AD, R1, R2)                 \
    F(RD_SRC, RD)                           \
    F(RD_LOOP, RD, SKIP)                    \
    F(RD_R1_R2OPT, RD, R1, R2OPT)           \
    F(RD_R1_R2_POLICY, RD, R1, R2, POLICY)  \
    F(RD_R1, RD, R1)                        \
    F(FD_R1_R2_R3, FD, R1, R2, R3)          \
    F(RD_R1_R2_R3, RD, R1, R2, R3)          \
    F(RD_R1_R2_R3_LOG, RD, R1, R2, R3, LOG)

enum format_id {
#define F(name, ...) FMT_##name,
    FORMATS(F)
#undef F
};
static const struct format formats[] = {
#define F(name, ...) [FMT_##name] = {#name, sizeof((struct operand[]){__VA_ARGS__}) / sizeof(struct operand), {__VA_ARGS__}},
    FORMATS(F)
#undef F
};

enum { ANY = FN_ANY };
#define R_GP PL_R_GP
#define W_GP PL_W_GP
#define R_FP PL_R_FP
#define W_FP PL_W_FP
#define R_AREG PL_R_AREG
#define W_AREG PL_W_AREG
#define R_CSR PL_R_CSR
#define W_CSR PL_W_CSR
#define R_VSRAM PL_R_VSRAM
#define W_VSRAM PL_W_VSRAM
#define R_MSRAM PL_R_MSRAM
#define W_MSRAM PL_W_MSRAM
#define R_ACC PL_R_ACC
#define W_ACC PL_W_ACC
#define R_FPMEM PL_R_FPMEM
#define W_FPMEM PL_W_FPMEM
#define R_INTMEM PL_R_INTMEM
#define W_INTMEM PL_W_INTMEM
#define R_HBM PL_R_HBM
#define W_HBM PL_W_HBM
#define W_PC PL_W_PC
const struct op_row op_row[PL_OP_COUNT] = {
#define INSN(name, opcode, fn, unit, fmt, effects, doc) \
    [PL_##name] = {{#name, #fmt, doc, PL_UNIT_##unit, (uint32_t)(effects)}, opcode, fn, &formats[FMT_##fmt]},
#include "plena/isa.def"
#undef INSN
};
/* clang-format on */

/* Never called: two rows with one opcode and function are two equal case labels, which do not compile. */
static inline void rows_are_unique(int key)
{
    switch (key) {
#define INSN(name, opcode, fn, unit, format, effects, doc) case opcode * 32 + fn + 1:
#include "plena/isa.def"
#undef INSN
    default:
        break;
    }
}

const struct field_bits field_bits[FLD_NONE] = {
    [FLD_RD] = {6, 4},  [FLD_RS1] = {10, 4}, [FLD_RS2] = {14, 4},    [FLD_RS3] = {18, 4},
    [FLD_FN] = {22, 4}, [FLD_IMM18] = {14, 18}, [FLD_IMM22] = {10, 22},
};

const struct pl_op_info *pl_isa_info(enum pl_op op)
{
    return &op_row[op].info;
}

const char *pl_unit_name(enum pl_unit u)
{
    static const char *const name[] = {"matrix", "vector", "scalar", "memory", "control"};
    return name[u];
}

uint32_t field_get(const struct pl_insn *in, enum operand_field f)
{
    switch (f) {
    case FLD_RD:
        return in->rd;
    case FLD_RS1:
        return in->rs1;
    case FLD_RS2:
        return in->rs2;
    case FLD_RS3:
        return in->rs3;
    case FLD_FN:
        return in->fn;
    default:
        return in->imm;
    }
}

void field_set(struct pl_insn *in, enum operand_field f, uint32_t v)
{
    switch (f) {
    case FLD_RD:
        in->rd = (uint8_t)v;
        break;
    case FLD_RS1:
        in->rs1 = (uint8_t)v;
        break;
    case FLD_RS2:
        in->rs2 = (uint8_t)v;
        break;
    case FLD_RS3:
        in->rs3 = (uint8_t)v;
        break;
    case FLD_FN:
        in->fn = (uint8_t)v;
        break;
    default:
        in->imm = v;
    }
}

enum pl_status pl_isa_encode(const struct pl_insn *in, uint32_t *word, struct pl_diag *d)
{
    if (in->op >= PL_OP_COUNT)
        return pl_fail(d, PL_ERANGE, "%u is no instruction", in->op);
    const struct op_row *row = &op_row[in->op];
    uint32_t w = row->opcode;
    if (row->fn != FN_ANY)
        w |= (uint32_t)row->fn << field_bits[FLD_FN].lsb;
    for (unsigned k = 0; k < row->format->count; k++) {
        const struct operand *o = &row->format->operand[k];
        if (o->field == FLD_NONE)
            continue;
        const struct field_bits b = field_bits[o->field];
        const uint32_t v = field_get(in, (enum operand_field)o->field);
        if (v >> b.width || (o->kind == OPD_FP && v > 7) || (o->kind == OPD_ZERO && v))
            return pl_fail(d, PL_ERANGE, "%s: operand %u = %u does not fit its field", row->info.name, k + 1, v);
        w |= v << b.lsb;
    }
    *word = w;
    return PL_OK;
}

/* opcode -> first row; rows of one opcode stand together, so a later one naming the same first row overrides nothing. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static enum pl_op row_of(uint32_t word)
{
    static const uint8_t first[64] = {
#define INSN(name, opcode, fn, unit, format, effects, doc) [opcode] = ((fn) <= 0 ? PL_##name : PL_C_FENCE) + 1,
#include "plena/isa.def"
#undef INSN
    };
    const unsigned opcode = word & 63, fn = word >> field_bits[FLD_FN].lsb & 15;
    if (!first[opcode])
        return PL_OP_COUNT;
    for (unsigned op = first[opcode] - 1u; op < PL_OP_COUNT && op_row[op].opcode == opcode; op++)
        if (op_row[op].fn == FN_ANY || op_row[op].fn == (int)fn)
            return (enum pl_op)op;
    return PL_OP_COUNT;
}
#pragma GCC diagnostic pop

enum pl_status pl_isa_decode(uint32_t word, struct pl_insn *out, struct pl_diag *d)
{
    const enum pl_op op = row_of(word);
    if (op == PL_OP_COUNT)
        return pl_fail(d, PL_EPARSE, "word 0x%08X is no instruction", word);
    struct pl_insn in = {.op = (uint8_t)op};
    const struct format *f = op_row[op].format;
    for (unsigned k = 0; k < f->count; k++) {
        const struct operand *o = &f->operand[k];
        if (o->field == FLD_NONE || o->kind == OPD_ZERO)
            continue;
        const struct field_bits b = field_bits[o->field];
        field_set(&in, (enum operand_field)o->field, word >> b.lsb & ((1u << b.width) - 1));
    }
    *out = in;
    return PL_OK;
}

size_t pl_isa_format(const struct pl_insn *in, char *out, size_t size)
{
    const struct op_row *row = &op_row[in->op];
    int n = snprintf(out, size, "%s", row->info.name);
    const char *sep = " ";
    for (unsigned k = 0; k < row->format->count; k++) {
        static const char *const prefix[] = {"", "gp", "f", "a", "", "", ""};
        const struct operand *o = &row->format->operand[k];
        if (o->kind == OPD_IGNORE)
            continue;
        const uint32_t v = o->kind == OPD_ZERO ? 0 : field_get(in, (enum operand_field)o->field);
        n += snprintf(out + n, size - (size_t)n, "%s%s%u", sep, prefix[o->kind], v);
        sep = ", ";
    }
    return (size_t)n;
}
