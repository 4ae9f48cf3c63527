/* emit.c - writing code: instructions, registers, loops, operator ranges. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "emit.h"

#include "plena/comp.h"

#include <assert.h>
#include <string.h>

void emit_init(struct emit *em)
{
    pl_buf_init(&em->code);
    pl_buf_init(&em->ops);
    pl_buf_init(&em->steps);
    em->gp_free = 0xfffe;
}

void emit_fini(struct emit *em)
{
    pl_buf_fini(&em->code);
    pl_buf_fini(&em->ops);
    pl_buf_fini(&em->steps);
}

uint32_t emit_pc(const struct emit *em)
{
    return (uint32_t)(em->code.len / sizeof(uint32_t));
}

uint8_t gp_take(struct emit *em)
{
    assert(em->gp_free != 0);
    const uint8_t r = (uint8_t)__builtin_ctz(em->gp_free);
    em->gp_free &= ~(1u << r);
    return r;
}

void gp_give(struct emit *em, uint8_t r)
{
    assert(r > 0 && r < 16 && !(em->gp_free >> r & 1));
    em->gp_free |= 1u << r;
}

void emit_insn(struct emit *em, struct pl_insn in)
{
    uint32_t word = 0;
    const enum pl_status s = pl_isa_encode(&in, &word, NULL);
    assert(s == PL_OK);
    (void)s;
    pl_buf_put(&em->code, &word, sizeof word);
}

void emit_li(struct emit *em, uint8_t rd, uint64_t value)
{
    assert(value <= UINT32_MAX);
    if (value < 1u << 18) {
        INS(em, S_ADDI_INT, .rd = rd, .rs1 = 0, .imm = (uint32_t)value);
        return;
    }
    INS(em, S_LUI_INT, .rd = rd, .imm = (uint32_t)value >> 12);
    if (value & 0xfff)
        INS(em, S_ADDI_INT, .rd = rd, .rs1 = rd, .imm = (uint32_t)value & 0xfff);
}

uint8_t emit_const(struct emit *em, uint64_t value)
{
    const uint8_t r = gp_take(em);
    emit_li(em, r, value);
    return r;
}

void emit_add(struct emit *em, uint8_t rd, uint8_t rs, int64_t delta)
{
    if (delta == 0 && rd == rs)
        return;
    if (delta >= 0 && delta < 1 << 18) {
        INS(em, S_ADDI_INT, .rd = rd, .rs1 = rs, .imm = (uint32_t)delta);
        return;
    }
    const uint8_t t = emit_const(em, (uint64_t)(delta < 0 ? -delta : delta));
    if (delta < 0)
        INS(em, S_SUB_INT, .rd = rd, .rs1 = rs, .rs2 = t);
    else
        INS(em, S_ADD_INT, .rd = rd, .rs1 = rs, .rs2 = t);
    gp_give(em, t);
}

void emit_product(struct emit *em, bool transposed, uint8_t vec, uint8_t mat, uint8_t hw, int64_t vstep, int64_t mstep)
{
    const int64_t mlen = em->mlen, most = mlen << 14;
    const bool steps = !(em->without >> PL_EXT_STEP & 1);
    struct pl_insn in = {.op = transposed ? PL_M_TMM : PL_M_MM, .rs1 = transposed ? vec : mat, .rs2 = transposed ? mat : vec, .rs3 = hw};
    if (steps && vstep >= mlen && vstep <= most && pl_is_pow2((uint64_t)(vstep / mlen)) && vstep % mlen == 0) {
        in.rd = (uint8_t)(pl_log2((uint32_t)(vstep / mlen)) + 1);
        vstep = 0;
    }
    if (steps && (mstep == mlen * mlen || mstep == em->blen * mlen)) {
        in.fn = mstep == mlen * mlen ? 1 : 2;
        mstep = 0;
    }
    emit_insn(em, in);
    emit_add(em, vec, vec, vstep);
    emit_add(em, mat, mat, mstep);
}

struct loop loop_begin(struct emit *em, uint64_t count)
{
    assert(count > 0 && count < 1u << 22);
    struct loop l = {0};
    if (count > 1) {
        l.reg = gp_take(em);
        INS(em, C_LOOP_START, .rd = l.reg, .imm = (uint32_t)count);
    }
    return l;
}

struct loop loop_begin_reg(struct emit *em, uint8_t count_reg)
{
    const struct loop l = {gp_take(em)};
    INS(em, C_LOOP_REG, .rd = l.reg, .rs1 = count_reg);
    return l;
}

void loop_end(struct emit *em, struct loop l)
{
    if (!l.reg)
        return;
    INS(em, C_LOOP_END, .rd = l.reg);
    gp_give(em, l.reg);
}

void emit_step(struct emit *em, const char *name)
{
    const struct emit_step s = {emit_pc(em), name};
    pl_buf_put(&em->steps, &s, sizeof s);
}

void emit_op(struct emit *em, const char *name)
{
    emit_step(em, "");
    const uint32_t pc = emit_pc(em);
    const size_t n = em->ops.len / sizeof(struct pl_op_range);
    struct pl_op_range *last = (struct pl_op_range *)(void *)em->ops.data + (n ? n - 1 : 0);
    if (n && last->end == UINT32_MAX) {
        if (name && !strcmp(last->name, name))
            return;
        last->end = pc;
        if (last->begin == pc)
            em->ops.len -= sizeof *last;
    }
    if (name) {
        const struct pl_op_range r = {pc, UINT32_MAX, name};
        pl_buf_put(&em->ops, &r, sizeof r);
    }
}
