/* segs.c - walking the vector rows of tensors in Vector SRAM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

uint64_t lane_addr(const struct comp *c, const struct pl_map_tensor *t, uint64_t col)
{
    return t->base + col / c->pitch * c->pitch * t->rows + col % c->pitch;
}

static struct loop loop_begin_word(struct comp *c, uint32_t word)
{
    const struct loop l = {gp_take(&c->em)}; /* one register: the count goes to its loop's counter */
    INS(&c->em, S_LD_INT, .rd = l.reg, .imm = word);
    INS(&c->em, C_LOOP_REG, .rd = l.reg, .rs1 = l.reg);
    return l;
}

/* Whole chunks, so that lanes behind the last column are always written too, as zeros. */
void emit_segs(struct comp *c, uint32_t cols, struct seg_ptr *p, unsigned n, seg_body *body, void *ctx)
{
    const uint32_t vlen = c->arch->vlen, per_chunk = c->pitch / vlen;
    const struct loop l = loop_begin(&c->em, (cols + c->pitch - 1) / c->pitch);
    for (uint32_t s = 0; s < per_chunk; s++) {
        body(c, ctx);
        for (unsigned i = 0; i < n; i++)
            emit_add(&c->em, p[i].reg, p[i].reg,
                     s + 1 < per_chunk ? (int64_t)vlen
                                       : (int64_t)p[i].rows * c->pitch - (int64_t)(per_chunk - 1) * vlen);
    }
    loop_end(&c->em, l);
}

struct row_loop rows_begin(struct comp *c, uint32_t rows, uint32_t step)
{
    struct emit *em = &c->em;
    const uint32_t blen = c->plan.blen;
    struct row_loop l = {{0}, {0}};
    if (c->run_time_rows) { /* of the expert at hand: rows, or blocks of them */
        l.rows = loop_begin_word(c, moe_word(c, c->rows->moe.state + (step == 1 ? MOE_ROWS : MOE_BLOCKS)));
        return l;
    }
    if (c->rows->att_tokens > 1 && rows == c->rows->live && rows > blen && blen % step == 0) {
        const uint8_t blocks = gp_take(em);
        INS(em, S_LD_INT, .rd = blocks, .imm = INT_BLOCKS);
        l.blocks = loop_begin_reg(em, blocks);
        gp_give(em, blocks);
        rows = blen;
    }
    l.rows = loop_begin(em, (rows + step - 1) / step);
    return l;
}

void rows_end(struct comp *c, struct row_loop l)
{
    loop_end(&c->em, l.rows);
    loop_end(&c->em, l.blocks);
}

void emit_rows(struct comp *c, uint32_t live, uint32_t cols, const struct pl_map_tensor *const *t, uint8_t *r,
               unsigned n, seg_body *body, void *ctx)
{
    struct emit *em = &c->em;
    uint8_t row[3] = {0};
    struct seg_ptr p[3];
    for (unsigned i = 0; i < n; i++) {
        row[i] = emit_const(em, t[i]->base);
        r[i] = gp_take(em);
        p[i] = (struct seg_ptr){r[i], t[i]->rows};
    }
    const struct row_loop l = rows_begin(c, live, 1);
    for (unsigned i = 0; i < n; i++)
        emit_add(em, r[i], row[i], 0);
    emit_segs(c, cols, p, n, body, ctx);
    for (unsigned i = 0; i < n; i++)
        if (t[i]->rows > 1)
            emit_add(em, row[i], row[i], c->pitch);
    rows_end(c, l);
    for (unsigned i = 0; i < n; i++) {
        gp_give(em, row[i]);
        gp_give(em, r[i]);
    }
}

/* A shift by VLEN lanes leaves zeros whatever was there. */
void emit_zero(struct comp *c, const struct pl_map_tensor *t)
{
    struct emit *em = &c->em;
    const uint64_t chunks = (t->cols + c->pitch - 1) / c->pitch;
    const uint8_t p = emit_const(em, t->base), all = emit_const(em, c->arch->vlen);
    const struct loop l = loop_begin(em, chunks * t->rows * (c->pitch / c->arch->vlen));
    INS(em, V_SHFT_V, .rd = p, .rs1 = p, .rs2 = all);
    emit_add(em, p, p, c->arch->vlen);
    loop_end(em, l);
    gp_give(em, p);
    gp_give(em, all);
}

struct load_row {
    uint8_t dst, desc, col;
};

static void load_seg(struct comp *c, void *ctx)
{
    const struct load_row *x = ctx;
    INS(&c->em, H_LOAD_V, .rd = x->dst, .rs1 = 0, .rs2 = x->desc, .rs3 = x->col);
    emit_add(&c->em, x->col, x->col, c->arch->vlen);
}

void emit_load_row(struct comp *c, uint8_t desc, const struct pl_map_tensor *t)
{
    struct load_row x = {emit_const(&c->em, t->base), desc, emit_const(&c->em, 0)};
    struct seg_ptr p = {x.dst, t->rows};
    emit_segs(c, t->cols, &p, 1, load_seg, &x);
    gp_give(&c->em, x.dst);
    gp_give(&c->em, x.col);
}

uint8_t emit_next_layer_desc(struct comp *c, unsigned tensor)
{
    const uint8_t r = emit_layer_desc(c, tensor);
    emit_add(&c->em, r, r, c->per_layer);
    return r;
}

uint8_t emit_layer_desc(struct comp *c, unsigned tensor)
{
    const uint8_t r = gp_take(&c->em);
    if (tensor >= LAYER_EXPERT) {
        INS(&c->em, S_LD_INT, .rd = r, .imm = moe_word(c, c->rows->moe.state + MOE_EXPERT));
        emit_add(&c->em, r, r, tensor - LAYER_EXPERT);
        return r;
    }
    INS(&c->em, S_LD_INT, .rd = r, .rs1 = 0, .imm = INT_LAYER);
    emit_add(&c->em, r, r, c->slot[tensor]);
    return r;
}

uint8_t set_mask(struct comp *c, uint64_t lane, uint32_t lanes)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, hlen = c->plan.hlen;
    if (lanes >= vlen)
        return 0;
    const uint8_t r = emit_const(em, (((uint64_t)1 << (lanes / hlen)) - 1) << (lane % vlen / hlen));
    INS(em, C_SET_V_MASK_REG, .rd = r);
    gp_give(em, r);
    return 1;
}

void emit_at(struct comp *c, uint8_t reg, uint32_t word)
{
    if (!c->roll)
        return;
    const uint8_t at = gp_take(&c->em);
    INS(&c->em, S_LD_INT, .rd = at, .imm = word);
    INS(&c->em, S_ADD_INT, .rd = reg, .rs1 = reg, .rs2 = at);
    gp_give(&c->em, at);
}

void emit_move_word(struct comp *c, uint32_t word, int64_t by)
{
    const uint8_t r = gp_take(&c->em);
    INS(&c->em, S_LD_INT, .rd = r, .imm = word);
    emit_add(&c->em, r, r, by);
    INS(&c->em, S_ST_INT, .rd = r, .imm = word);
    gp_give(&c->em, r);
}
