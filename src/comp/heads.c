/* heads.c - what some families do to the heads of q and k before RoPE: biases, and a norm of every head. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

/* ---- bias ---- */
static void add_seg(struct comp *c, void *ctx)
{
    const uint8_t *r = ctx;
    INS(&c->em, V_ADD_VV, .rd = r[0], .rs1 = r[0], .rs2 = r[1]);
}

/* The bias of packed row i is loaded to `step` lanes of its own: a vector row may hold lanes of the next one too. */
static void load_packed(struct comp *c, uint8_t desc, uint32_t pack, uint32_t step)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen;
    const uint8_t dst = emit_const(em, c->rows->bias.base), col = emit_const(em, 0);
    const struct loop l = loop_begin(em, (uint64_t)c->rows->att_live * (step / vlen));
    INS(em, H_LOAD_V, .rd = dst, .rs1 = 0, .rs2 = desc, .rs3 = col);
    emit_add(em, dst, dst, vlen);
    emit_add(em, col, col, pack < vlen ? pack : vlen);
    loop_end(em, l);
    gp_give(em, dst);
    gp_give(em, col);
}

static void bias_packed(struct comp *c, const struct pl_map_tensor *t, uint32_t pack)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, step = pack > vlen ? pack : vlen;
    const uint8_t mask = set_mask(c, 0, pack);
    const uint8_t row = emit_const(em, t->base), y = gp_take(em), b = emit_const(em, c->rows->bias.base);
    const struct loop l = loop_begin(em, c->rows->att_live);
    emit_add(em, y, row, 0);
    for (uint32_t s = 0; s < step; s += vlen) {
        INS(em, V_ADD_VV, .rd = y, .rs1 = y, .rs2 = b, .rs3 = mask);
        emit_add(em, b, b, vlen);
        if (s + vlen < step)
            emit_add(em, y, y, (int64_t)(lane_addr(c, t, s + vlen) - lane_addr(c, t, s)));
    }
    emit_add(em, row, row, c->pitch);
    loop_end(em, l);
    const uint8_t used[] = {row, y, b};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

void emit_bias_load(struct comp *c, const struct pl_map_tensor *t, enum pl_weight bias, uint32_t pack)
{
    const uint8_t desc = emit_layer_desc(c, bias);
    if (pack)
        load_packed(c, desc, pack, pack > c->arch->vlen ? pack : c->arch->vlen);
    else
        emit_load_row(c, desc, &(struct pl_map_tensor){c->rows->bias.base, 1, t->cols});
    gp_give(&c->em, desc);
}

void emit_bias(struct comp *c, const struct pl_map_tensor *t, uint32_t pack)
{
    if (pack) {
        bias_packed(c, t, pack);
        return;
    }
    const struct pl_map_tensor row = {c->rows->bias.base, 1, t->cols};
    const struct pl_map_tensor *const both[] = {t, &row};
    uint8_t r[2];
    emit_rows(c, c->rows->live, t->cols, both, r, 2, add_seg, r);
}

/* ---- a norm of every head ---- */
enum { HEADS_AT_ONCE = 6 }; /* f1.. hold their factors, f7 a constant */

/* f[first + i] = 1 / sqrt(f / D + eps) */
static void factors(struct emit *em, uint32_t n)
{
    INS(em, S_LD_FP, .rd = 7, .imm = PL_FP_INV_D);
    for (uint8_t i = 1; i <= n; i++)
        INS(em, S_MUL_FP, .rd = i, .rs1 = i, .rs2 = 7);
    INS(em, S_LD_FP, .rd = 7, .imm = PL_FP_EPS);
    for (uint8_t i = 1; i <= n; i++)
        INS(em, S_ADD_FP, .rd = i, .rs1 = i, .rs2 = 7);
    for (uint8_t i = 1; i <= n; i++)
        INS(em, S_SQRT_FP, .rd = i, .rs1 = i);
    for (uint8_t i = 1; i <= n; i++)
        INS(em, S_RECI_FP, .rd = i, .rs1 = i);
}

struct head_norm {
    uint8_t x, tmp, gain;
};

/* The heads of one vector row. */
static void norm_narrow(struct comp *c, void *ctx)
{
    struct emit *em = &c->em;
    const struct head_norm *r = ctx;
    const uint32_t hs = c->plan.head_slot, heads = c->arch->vlen / hs;
    INS(em, V_MUL_VV, .rd = r->tmp, .rs1 = r->x, .rs2 = r->x);
    for (uint32_t h = 0; h < heads; h += HEADS_AT_ONCE) {
        const uint32_t n = heads - h < HEADS_AT_ONCE ? heads - h : HEADS_AT_ONCE;
        for (uint32_t i = 0; i < n; i++) {
            const uint8_t mask = set_mask(c, (h + i) * hs, hs);
            INS(em, S_ADD_FP, .rd = (uint8_t)(1 + i)); /* 0 */
            INS(em, V_RED_SUM, .rd = (uint8_t)(1 + i), .rs1 = r->tmp, .rs3 = mask);
        }
        factors(em, n);
        for (uint32_t i = 0; i < n; i++) {
            const uint8_t mask = set_mask(c, (h + i) * hs, hs);
            INS(em, V_MUL_VF, .rd = r->x, .rs1 = r->x, .rs2 = (uint8_t)(1 + i), .rs3 = mask);
        }
    }
    INS(em, V_MUL_VV, .rd = r->x, .rs1 = r->x, .rs2 = r->gain);
}

/* One head of several vector rows, from register x on; x then stands at the next. */
static void norm_wide(struct comp *c, const struct pl_map_tensor *t, const struct head_norm *r)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, hs = c->plan.head_slot;
    const uint64_t last = lane_addr(c, t, hs - vlen) - t->base;
    INS(em, S_ADD_FP, .rd = 1); /* 0 */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t s = 0; s < hs; s += vlen) {
            if (pass) {
                INS(em, V_MUL_VF, .rd = r->x, .rs1 = r->x, .rs2 = 1);
                INS(em, V_MUL_VV, .rd = r->x, .rs1 = r->x, .rs2 = r->gain);
                emit_add(em, r->gain, r->gain, vlen);
            } else {
                INS(em, V_MUL_VV, .rd = r->tmp, .rs1 = r->x, .rs2 = r->x);
                INS(em, V_RED_SUM, .rd = 1, .rs1 = r->tmp);
            }
            if (s + vlen < hs)
                emit_add(em, r->x, r->x, (int64_t)(lane_addr(c, t, s + vlen) - lane_addr(c, t, s)));
        }
        if (!pass) {
            factors(em, 1);
            emit_add(em, r->x, r->x, -(int64_t)last);
        }
    }
    emit_add(em, r->gain, r->gain, -(int64_t)hs);
}

/* The heads of one token row. */
static void norm_row_wide(struct comp *c, const struct pl_map_tensor *t, const struct head_norm *r)
{
    struct emit *em = &c->em;
    const uint32_t hs = c->plan.head_slot, unit = hs > c->pitch ? hs : c->pitch, in_unit = unit / hs;
    const uint64_t last = lane_addr(c, t, hs - c->arch->vlen) - t->base;
    const struct loop units = loop_begin(em, (t->cols + unit - 1) / unit);
    for (uint32_t h = 0; h < in_unit; h++) {
        norm_wide(c, t, r);
        const uint64_t next = h + 1 < in_unit ? hs : (uint64_t)(unit / c->pitch) * t->rows * c->pitch - (in_unit - 1) * hs;
        emit_add(em, r->x, r->x, (int64_t)next - (int64_t)last);
    }
    loop_end(em, units);
}

void emit_head_gain_load(struct comp *c, const struct pl_map_tensor *to, enum pl_weight gain)
{
    const uint8_t desc = emit_layer_desc(c, gain);
    if (c->plan.head_slot > c->arch->vlen) {
        emit_load_row(c, desc, to);
    } else { /* a slot repeats to the width of the row */
        const uint8_t dst = emit_const(&c->em, to->base);
        INS(&c->em, H_LOAD_V, .rd = dst, .rs1 = 0, .rs2 = desc, .rs3 = 0);
        gp_give(&c->em, dst);
    }
    gp_give(&c->em, desc);
}

void emit_head_norm(struct comp *c, const struct pl_map_tensor *t, uint32_t rows, const struct pl_map_tensor *gain)
{
    struct emit *em = &c->em;
    struct head_norm r = {gp_take(em), emit_const(em, c->rows->tmp.base), emit_const(em, gain->base)};
    const uint8_t row = emit_const(em, t->base);
    const struct loop l = loop_begin(em, rows);
    emit_add(em, r.x, row, 0);
    if (c->plan.head_slot <= c->arch->vlen) {
        struct seg_ptr p = {r.x, t->rows};
        emit_segs(c, t->cols, &p, 1, norm_narrow, &r);
    } else {
        norm_row_wide(c, t, &r);
    }
    emit_add(em, row, row, c->pitch);
    loop_end(em, l);
    const uint8_t used[] = {row, r.x, r.tmp, r.gain};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}
