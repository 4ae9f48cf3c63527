/* insn.c - one abstract instruction: operands are defined, addresses are legal, results are intervals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "verify_internal.h"

static void check_registers(struct ver *v, const struct pl_insn *in, const struct pl_insn_regs *r)
{
    const uint32_t gp = r->gp_src & ~(v->r.gp_def | 1u), fp = r->fp_src & ~(v->r.fp_def | 1u);
    if (gp && !(in->op == PL_V_ARGMAX && gp == 1u << in->rs3 && in->rs2 != in->rs3))
        ver_fail(v, "gp%d is read before it is written", __builtin_ctz(gp));
    if (fp)
        ver_fail(v, "f%d is read before it is written", __builtin_ctz(fp));
    const struct pl_op_info *info = pl_isa_info((enum pl_op)in->op);
    if ((info->effects & PL_R_CSR) && info->unit == PL_UNIT_VEC && in->rs3 && !(v->r.csr_def >> CSR_MASK & 1))
        ver_fail(v, "V_MASK is used before it is set");
}

static void define(struct ver *v, unsigned r, struct val x)
{
    if (!r)
        return;
    v->r.gp[r] = x;
    v->r.gp_def |= (uint16_t)(1u << r);
}

/* ---- the array ---- */
static struct acc *acc_of(struct ver *v, bool vector)
{
    return &v->r.acc[vector];
}

static void check_offset(struct ver *v, struct val off)
{
    const int64_t line = v->arch->mlen;
    if (!val_multiple(off, line * v->arch->blen))
        ver_fail(v, "tile offset %lld (step %lld) is not a multiple of BLEN rows", (long long)off.lo, (long long)off.step);
}

/* Lanes within MLEN, where they are known. */
static struct val lanes_of(const struct ver *v, struct val at)
{
    const int64_t mlen = v->arch->mlen;
    if (at.step % mlen == 0)
        return VAL(at.lo % mlen);
    return (struct val){at.lo % at.step, mlen - 1, mlen % at.step ? 1 : at.step};
}

static void product(struct ver *v, struct val mat, struct val vec, bool transposed, bool vector, uint32_t hw)
{
    struct val off;
    struct pl_format f;
    const uint32_t mlen = v->arch->mlen, width = hw ? v->arch->hlen << (hw - 1) : mlen;
    if (width > mlen) {
        ver_fail(v, "a window of %u lanes exceeds MLEN = %u", width, mlen);
        return;
    }
    if (!ver_tile(v, mat, &off, &f))
        return;
    if (hw) {
        const struct val q0 = lanes_of(v, vec), k0 = lanes_of(v, off);
        if (!val_multiple(q0, width) || !val_multiple(k0, width))
            ver_fail(v, "lanes %lld and %lld are not multiples of the window's %u", (long long)q0.lo, (long long)k0.lo, width);
        vec = val_one(q0) ? val_plus(vec, -q0.lo) : (struct val){vec.lo / mlen * mlen, vec.hi / mlen * mlen, mlen};
        off = val_one(k0) ? val_plus(off, -k0.lo) : (struct val){off.lo / mlen * mlen, off.hi / mlen * mlen, mlen};
    }
    ver_operand_rows(v, vec, vector ? 1 : v->arch->blen, VAL(1));
    check_offset(v, off);
    struct acc *a = acc_of(v, vector);
    if (a->used && (a->straight != !transposed || a->width != width || memcmp(&a->format, &f, sizeof f) != 0))
        ver_fail(v, "accumulates onto a product of other formats or another width");
    *a = (struct acc){.used = true, .straight = !transposed, .width = width, .format = f};
}

static void write_out(struct ver *v, struct val at, uint32_t rows, struct val step, bool vector)
{
    const int64_t mlen = v->arch->mlen, blen = v->arch->blen;
    struct acc *a = acc_of(v, vector);
    if (!val_multiple(at, blen)) {
        ver_fail(v, "destination lane %lld (step %lld) is not a multiple of BLEN = %lld", (long long)at.lo, (long long)at.step,
                 (long long)blen);
        return;
    }
    ver_operand_rows(v, (struct val){at.lo / mlen * mlen, at.hi / mlen * mlen, at.lo / mlen == at.hi / mlen ? 0 : mlen}, rows, step);
    *a = (struct acc){0};
}

static void run_batched(struct ver *v, struct val mat, struct val vec, struct val dst, bool transposed, bool vector)
{
    const struct pl_arch *a = v->arch;
    const uint32_t heads = a->mlen / a->hlen, rows = vector ? 1 : a->mlen;
    struct val off;
    struct pl_format f;
    if (!ver_tile(v, mat, &off, &f))
        return;
    const int64_t unit = transposed ? a->hlen : (int64_t)a->hlen * a->mlen;
    if (!val_multiple(off, unit) || off.hi >= (transposed ? a->mlen : (int64_t)v->tile_size))
        ver_fail(v, "head offset %lld in the tile is not a multiple of HLEN = %u", (long long)off.lo, a->hlen);
    ver_operand_rows(v, vec, rows, VAL(1));
    ver_operand_rows(v, dst, heads * rows, VAL(1));
    if (vec.lo % v->pitch == dst.lo % v->pitch && vec.lo < dst.hi + (int64_t)(heads * rows) * v->pitch &&
        dst.lo < vec.hi + (int64_t)rows * v->pitch)
        ver_fail(v, "the result overlaps the left operand");
}

static void batched(struct ver *v, const struct pl_insn *in)
{
    const bool vector = in->op == PL_M_BMV || in->op == PL_M_BTMV, transposed = in->op == PL_M_BTMM || in->op == PL_M_BTMV;
    const struct val mat = vector ? val_add(v->r.gp[in->rs1], v->r.gp[in->rd]) : v->r.gp[in->rs1], vec = v->r.gp[in->rs2];
    if (!vector && in->rd)
        run_batched(v, mat, vec, v->r.gp[in->rd], transposed, vector);
    else
        v->r.pending = (struct pending){true, transposed, vector, v->pc, mat, vec};
}

static void batched_wo(struct ver *v, const struct pl_insn *in)
{
    const struct pending p = v->r.pending;
    const bool vector = in->op == PL_M_BMV_WO;
    v->r.pending.valid = false;
    if (!p.valid || p.vector != vector) {
        ver_fail(v, "no batched product of this kind waits for its write-out");
        return;
    }
    run_batched(v, p.mat, p.vec, val_plus(v->r.gp[in->rd], in->imm), p.transposed, vector);
}

static void step_on(struct ver *v, const struct pl_insn *in, uint8_t vec, uint8_t mat)
{
    const int64_t mlen = v->arch->mlen, step[] = {0, mlen * mlen, v->arch->blen * mlen};
    if (in->rd)
        define(v, vec, val_add(v->r.gp[vec], VAL(mlen << (in->rd - 1))));
    if (in->fn && in->fn < PL_COUNT(step))
        define(v, mat, val_add(v->r.gp[mat], VAL(step[in->fn])));
}

static void matrix(struct ver *v, const struct pl_insn *in)
{
    const struct val *gp = v->r.gp;
    switch (in->op) {
    case PL_M_MM:
        product(v, gp[in->rs1], gp[in->rs2], false, false, 0);
        step_on(v, in, in->rs2, in->rs1);
        break;
    case PL_M_TMM:
        product(v, gp[in->rs2], gp[in->rs1], true, false, in->rs3);
        step_on(v, in, in->rs1, in->rs2);
        break;
    case PL_M_MV:
    case PL_M_TMV:
        product(v, gp[in->rs1], gp[in->rs2], in->op == PL_M_TMV, true, 0);
        break;
    case PL_M_MM_WO:
        write_out(v, val_plus(gp[in->rd], in->imm), v->arch->blen, in->rs1 ? gp[in->rs1] : VAL(1), false);
        break;
    case PL_M_MV_WO:
        write_out(v, val_plus(gp[in->rd], in->imm), 1, VAL(1), true);
        break;
    case PL_M_BMM_WO:
    case PL_M_BMV_WO:
        batched_wo(v, in);
        break;
    default:
        batched(v, in);
    }
}

/* ---- vector unit ---- */
static void define_words(struct ver *v, const char *memory, struct val at, uint32_t n)
{
    const bool fp = memory[0] == 'F';
    if (!ver_words(v, memory, at, n, fp ? v->arch->fp_words : v->arch->int_words) || !val_one(at))
        return;
    if (fp)
        memset(v->fp_word + at.lo, 1, n);
    for (uint32_t i = 0; !fp && i < n; i++) {
        v->word[at.lo + i] = (struct word){val_any(), true};
        ver_event(v, (struct ev){.kind = EV_INT_SET, .at = at.lo + i, .width = 1, .v = val_any()});
    }
    if (fp)
        ver_event(v, (struct ev){.kind = EV_FP_SET, .at = at.lo, .width = n});
}

static void top_k(struct ver *v, const struct pl_insn *in)
{
    const uint32_t n = in->rs3 ? 128 : 32, k = in->rs3 ? 8 : 4, vlen = v->arch->vlen;
    if (in->rs3 > 1) {
        ver_fail(v, "policy %u: expected 0 (4 of 32) or 1 (8 of 128)", in->rs3);
        return;
    }
    ver_vrow(v, v->r.gp[in->rs1], "source");
    ver_vrow(v, val_plus(v->r.gp[in->rs1], (int64_t)((n - 1) / vlen) * vlen), "source");
    define_words(v, "INT", v->r.gp[in->rs2], k);
    define_words(v, "FP", v->r.gp[in->rd], k);
    for (uint32_t i = 0; val_one(v->r.gp[in->rs2]) && v->r.gp[in->rs2].lo + i < v->arch->int_words && i < k; i++)
        v->word[v->r.gp[in->rs2].lo + i].v = (struct val){0, n - 1, 1};
}

static void vector(struct ver *v, const struct pl_insn *in)
{
    const struct val *gp = v->r.gp;
    const char *format = pl_isa_info((enum pl_op)in->op)->format;
    if (in->op == PL_V_TOPK) {
        top_k(v, in);
        return;
    }
    if (format[0] == 'R')
        ver_vrow(v, gp[in->rd], "destination");
    ver_vrow(v, gp[in->rs1], "source");
    if (in->op == PL_V_ADD_VV || in->op == PL_V_SUB_VV || in->op == PL_V_MUL_VV)
        ver_vrow(v, gp[in->rs2], "second source");
    const struct val by = gp[in->rs2];
    const bool pow2 = val_one(by) && pl_is_pow2((uint64_t)by.lo);
    if (in->op == PL_V_SWAP_V && (!pow2 || by.lo >= v->arch->vlen))
        ver_fail(v, "halves of %lld lanes: expected a power of two below VLEN = %u", (long long)by.lo, v->arch->vlen);
    if (in->op == PL_C_HADAMARD_TRANSFORM && (!pow2 || by.lo > v->arch->vlen))
        ver_fail(v, "groups of %lld lanes: expected a power of two up to VLEN = %u", (long long)by.lo, v->arch->vlen);
    if (in->op == PL_V_ARGMAX)
        define(v, in->rs3, val_any());
}

/* ---- scalar unit ---- */
static void load_int(struct ver *v, const struct pl_insn *in)
{
    const struct val at = val_plus(v->r.gp[in->rs1], in->imm);
    struct val x = val_any();
    if (ver_words(v, "INT", at, 1, v->arch->int_words)) {
        x = v->word[at.lo].v;
        for (int64_t k = at.lo; k <= at.hi; k += at.step ? at.step : 1) {
            if (!v->word[k].def)
                ver_fail(v, "INT SRAM word %lld is read before it is written", (long long)k);
            x = val_join(x, v->word[k].v);
        }
        if (val_one(at))
            ver_event(v, (struct ev){.kind = EV_INT_GET, .at = at.lo, .width = 1, .v = x});
    }
    define(v, in->rd, x);
}

static void store_int(struct ver *v, const struct pl_insn *in)
{
    const struct val at = val_plus(v->r.gp[in->rs1], in->imm), x = in->rd ? v->r.gp[in->rd] : VAL(0);
    if (!ver_words(v, "INT", at, 1, v->arch->int_words))
        return;
    for (int64_t k = at.lo; k <= at.hi; k += at.step ? at.step : 1)
        v->word[k] = val_one(at) ? (struct word){x, true} : (struct word){v->word[k].def ? val_join(v->word[k].v, x) : x, v->word[k].def};
    if (val_one(at))
        ver_event(v, (struct ev){.kind = EV_INT_SET, .at = at.lo, .width = 1, .v = x});
}

static void read_fp(struct ver *v, struct val at, uint32_t n)
{
    if (!ver_words(v, "FP", at, n, v->arch->fp_words))
        return;
    for (int64_t k = at.lo; k <= at.hi; k += at.step ? at.step : 1)
        for (uint32_t i = 0; i < n; i++)
            if (!v->fp_word[k + i])
                ver_fail(v, "FP SRAM word %lld is read before it is written", (long long)k + i);
    if (val_one(at))
        ver_event(v, (struct ev){.kind = EV_FP_GET, .at = at.lo, .width = n});
}

static struct val integer(struct ver *v, const struct pl_insn *in)
{
    const struct val a = v->r.gp[in->rs1], b = v->r.gp[in->rs2];
    switch (in->op) {
    case PL_S_ADD_INT:
        return val_add(a, b);
    case PL_S_ADDI_INT:
        return val_add(a, VAL((int64_t)in->imm));
    case PL_S_SUB_INT:
        return val_sub(a, b);
    case PL_S_LUI_INT:
        return VAL((int64_t)(uint32_t)(in->imm << 12));
    default:
        ver_event(v, (struct ev){.kind = EV_MUL, .v = {a.lo, b.lo, 0}});
        return val_mul(a, b);
    }
}

static void scalar(struct ver *v, const struct pl_insn *in)
{
    const struct val at = val_plus(v->r.gp[in->rs1], in->imm);
    switch (in->op) {
    case PL_S_LD_INT:
        load_int(v, in);
        break;
    case PL_S_ST_INT:
        store_int(v, in);
        break;
    case PL_S_LD_FP:
        read_fp(v, at, 1);
        break;
    case PL_S_ST_FP:
        define_words(v, "FP", at, 1);
        break;
    case PL_S_MAP_V_FP:
        read_fp(v, at, v->arch->vlen);
        ver_vrow(v, v->r.gp[in->rd], "destination");
        break;
    case PL_S_ADD_INT: case PL_S_ADDI_INT: case PL_S_SUB_INT: case PL_S_LUI_INT: case PL_S_MUL_INT:
        define(v, in->rd, integer(v, in));
        break;
    default: /* FP32 registers alone */
        break;
    }
}

/* ---- control ---- */
static void set_csr(struct ver *v, unsigned k, struct val x)
{
    v->r.csr[k] = x;
    v->r.csr_def |= (uint8_t)(1u << k);
}

static void control(struct ver *v, const struct pl_insn *in)
{
    const struct val hi = v->r.gp[in->rs1], lo = v->r.gp[in->rs2];
    switch (in->op) {
    case PL_C_SET_ADDR_REG:
        v->r.areg[in->rd] = (struct val){(hi.lo << 32) + lo.lo, (hi.hi << 32) + lo.hi, val_one(hi) ? lo.step : 1};
        v->r.areg_def |= (uint16_t)(1u << in->rd);
        break;
    case PL_C_SET_SCALE_REG:
        set_csr(v, CSR_SCALE, v->r.gp[in->rd]);
        break;
    case PL_C_SET_STRIDE_REG:
        set_csr(v, CSR_STRIDE, v->r.gp[in->rd]);
        break;
    case PL_C_SET_V_MASK_REG:
        set_csr(v, CSR_MASK, v->r.gp[in->rd]);
        break;
    case PL_C_FENCE:
    case PL_C_FENCE_ST:
        v->r.n_unfenced = 0;
        break;
    case PL_C_HALT:
        if (v->r.pending.valid)
            ver_fail(v, "a batched product still waits for its write-out");
        if (v->r.acc[0].used || v->r.acc[1].used)
            ver_fail(v, "ends with products that were never written out");
        break;
    default:
        break;
    }
}

/* Between a batched product and its write-out its operands stay as they are. */
static void check_pending(struct ver *v, const struct pl_insn *in, const struct pl_op_info *info)
{
    const struct pending *p = &v->r.pending;
    const struct val at = v->r.gp[in->rd];
    const uint32_t n = in->op == PL_H_LOAD_V ? 1u << in->fn : in->op == PL_H_PREFETCH_V ? v->arch->prefetch_v_rows : 1;
    const int64_t size = (int64_t)v->tile_size, rows = p->vector ? 1 : v->arch->mlen;
    if (!p->valid)
        return;
    if (info->unit == PL_UNIT_MAT && in->op != PL_M_BMM_WO && in->op != PL_M_BMV_WO)
        ver_fail(v, "a batched product still waits for its write-out");
    else if (info->unit != PL_UNIT_MAT && (info->effects & PL_W_VSRAM) && at.lo < p->vec.hi + rows * v->pitch &&
             p->vec.lo < at.hi + (int64_t)n * v->pitch)
        ver_fail(v, "changes operands of the batched product at pc %u before its write-out", p->pc);
    else if ((info->effects & PL_W_MSRAM) && at.lo / size <= p->mat.hi / size && p->mat.lo / size <= at.hi / size)
        ver_fail(v, "changes the tile of the batched product at pc %u before its write-out", p->pc);
}

void ver_insn(struct ver *v, const struct pl_insn *in)
{
    const struct pl_op_info *info = pl_isa_info((enum pl_op)in->op);
    struct pl_insn_regs r;
    pl_isa_registers(in, &r);
    check_registers(v, in, &r);
    check_pending(v, in, info);
    switch (info->unit) {
    case PL_UNIT_MAT:
        matrix(v, in);
        break;
    case PL_UNIT_VEC:
        vector(v, in);
        break;
    case PL_UNIT_SCA:
        scalar(v, in);
        break;
    case PL_UNIT_MEM:
        ver_transfer(v, in);
        break;
    default:
        control(v, in);
    }
    v->r.fp_def |= r.fp_dst;
}
