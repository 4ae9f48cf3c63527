/* check.c - static rules on a program. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "isa_internal.h"

enum { MAX_LOOPS = 64 };

static enum pl_status at_pc(struct pl_diag *d, size_t pc, const struct pl_insn *in, const char *rule)
{
    char text[128];
    pl_isa_format(in, text, sizeof text);
    return pl_fail(d, PL_EFAULT, "pc %zu: %s: %s", pc, text, rule);
}

static bool is_batched(enum pl_op op)
{
    return op == PL_M_BMM || op == PL_M_BTMM || op == PL_M_BMV || op == PL_M_BTMV;
}

static bool writes_gp(const struct pl_insn *in, uint8_t reg)
{
    struct pl_insn_regs r;
    pl_isa_registers(in, &r);
    return r.gp_dst >> reg & 1;
}

static enum pl_status check_fp(const struct pl_insn *in, size_t pc, struct pl_diag *d)
{
    const struct format *f = op_row[in->op].format;
    for (unsigned k = 0; k < f->count; k++)
        if (f->operand[k].kind == OPD_FP && field_get(in, (enum operand_field)f->operand[k].field) > 7)
            return at_pc(d, pc, in, "there are only f0..f7");
    return PL_OK;
}

static enum pl_status check_step(const struct pl_insn *in, size_t pc, struct pl_diag *d)
{
    if ((in->op == PL_M_MM || in->op == PL_M_TMM) && in->fn > 2)
        return at_pc(d, pc, in, "the step of the matrix address must be 0, 1 or 2");
    return PL_OK;
}

struct open_loop {
    uint8_t reg;
    size_t pc;
};

static enum pl_status check_loop(struct open_loop *stack, unsigned *depth, const struct pl_insn *in, size_t pc,
                                 struct pl_diag *d)
{
    if (in->op == PL_C_LOOP_START || in->op == PL_C_LOOP_REG) {
        if (in->op == PL_C_LOOP_START && in->imm == 0)
            return at_pc(d, pc, in, "a loop of 0 passes");
        if (in->rd == 0)
            return at_pc(d, pc, in, "gp0 cannot count a loop");
        for (unsigned i = 0; i < *depth; i++)
            if (stack[i].reg == in->rd)
                return at_pc(d, pc, in, "its register counts an outer loop");
        if (*depth == MAX_LOOPS)
            return at_pc(d, pc, in, "loops nested deeper than 64");
        stack[(*depth)++] = (struct open_loop){in->rd, pc};
    } else if (in->op == PL_C_LOOP_END) {
        if (!*depth || stack[*depth - 1].reg != in->rd)
            return at_pc(d, pc, in, "does not end the innermost loop");
        (*depth)--;
    } else {
        if (in->op == PL_C_EXIT && !*depth)
            return at_pc(d, pc, in, "outside of any loop");
        for (unsigned i = 0; i < *depth; i++)
            if (writes_gp(in, stack[i].reg))
                return at_pc(d, pc, in, "writes the counter of a loop it is in");
    }
    return PL_OK;
}

enum pl_status pl_isa_check(const uint32_t *code, size_t n, struct pl_diag *d)
{
    struct open_loop stack[MAX_LOOPS];
    unsigned depth = 0;
    struct pl_insn in, pending = {0};
    size_t pending_pc = 0;
    bool is_pending = false;
    for (size_t pc = 0; pc < n; pc++) {
        const enum pl_status s = pl_isa_decode(code[pc], &in, d);
        if (s != PL_OK)
            return pl_fail_in(d, s, "pc %zu", pc);
        PL_TRY(check_fp(&in, pc, d));
        PL_TRY(check_step(&in, pc, d));
        if (is_pending && op_row[in.op].info.unit == PL_UNIT_MAT) {
            const bool vector = pending.op == PL_M_BMV || pending.op == PL_M_BTMV;
            if (in.op != (vector ? PL_M_BMV_WO : PL_M_BMM_WO))
                return at_pc(d, pending_pc, &pending, "is not followed by its write-out");
            is_pending = false;
        }
        if (is_batched((enum pl_op)in.op)) {
            pending = in;
            pending_pc = pc;
            is_pending = in.op == PL_M_BMV || in.op == PL_M_BTMV || in.rd == 0;
        }
        PL_TRY(check_loop(stack, &depth, &in, pc, d));
    }
    if (is_pending)
        return at_pc(d, pending_pc, &pending, "is not followed by its write-out");
    if (depth)
        return pl_fail(d, PL_EFAULT, "pc %zu: the loop of gp%u has no C_LOOP_END", stack[depth - 1].pc,
                       stack[depth - 1].reg);
    return PL_OK;
}
