/* registers.c - which registers an instruction reads and writes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "isa_internal.h"

static uint16_t bit_of(const struct pl_insn *in, const struct operand *o)
{
    return (uint16_t)(1u << (field_get(in, (enum operand_field)o->field) & 15));
}

void pl_isa_registers(const struct pl_insn *in, struct pl_insn_regs *out)
{
    const struct op_row *row = &op_row[in->op];
    const uint32_t effects = row->info.effects;
    const bool gp_first = (effects & PL_W_GP) && in->op != PL_V_ARGMAX && in->op != PL_C_EXIT;
    *out = (struct pl_insn_regs){0};
    for (unsigned k = 0; k < row->format->count; k++) {
        const struct operand *o = &row->format->operand[k];
        const bool first = o->field == FLD_RD;
        if (o->kind == OPD_GP && first && gp_first)
            out->gp_dst |= bit_of(in, o);
        else if (o->kind == OPD_GP)
            out->gp_src |= bit_of(in, o);
        else if (o->kind == OPD_FP && first && (effects & PL_W_FP))
            out->fp_dst |= (uint8_t)bit_of(in, o);
        else if (o->kind == OPD_FP)
            out->fp_src |= (uint8_t)bit_of(in, o);
    }
    if (in->op == PL_V_RED_SUM || in->op == PL_V_RED_MAX || in->op == PL_V_ARGMAX)
        out->fp_src |= out->fp_dst;
    if (in->op == PL_V_ARGMAX) { /* its index goes to rs3 */
        out->gp_dst |= (uint16_t)(1u << in->rs3);
        out->gp_src |= (uint16_t)(1u << in->rs3);
    }
    if (in->op == PL_M_MM || in->op == PL_M_TMM) { /* addresses step on */
        const uint8_t vec = in->op == PL_M_MM ? in->rs2 : in->rs1, mat = in->op == PL_M_MM ? in->rs1 : in->rs2;
        out->gp_dst |= (uint16_t)((in->rd ? 1u << vec : 0) | (in->fn ? 1u << mat : 0));
    }
    if (in->op == PL_C_LOOP_END)
        out->gp_src |= out->gp_dst;
    out->gp_dst &= (uint16_t)~1u;
    out->fp_dst &= (uint8_t)~1u;
}
