/* block.c - the vector-side operators of a decoder layer: embedding, RMSNorm, RoPE, KV store, residual, SwiGLU. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

/* ---- embedding: one table row per token ---- */
void emit_embed(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_tensor *x = &c->rows->x;
    const uint32_t vlen = c->arch->vlen, per_chunk = c->pitch / vlen;
    emit_op(em, "embedding");
    const uint8_t row = emit_const(em, x->base), desc = emit_const(em, DESC_EMBED);
    const uint8_t word = emit_const(em, INT_IDS), id = gp_take(em), dst = gp_take(em), col = gp_take(em);
    const struct loop l = loop_begin(em, c->rows->live);
    INS(em, S_LD_INT, .rd = id, .rs1 = word);
    emit_add(em, dst, row, 0);
    emit_li(em, col, 0);
    const struct loop chunks = loop_begin(em, (x->cols + c->pitch - 1) / c->pitch);
    for (uint32_t s = 0; s < per_chunk; s++) {
        INS(em, H_LOAD_V, .rd = dst, .rs1 = id, .rs2 = desc, .rs3 = col);
        emit_add(em, col, col, vlen);
        emit_add(em, dst, dst,
                 s + 1 < per_chunk ? (int64_t)vlen : (int64_t)x->rows * c->pitch - (int64_t)(per_chunk - 1) * vlen);
    }
    loop_end(em, chunks);
    emit_add(em, row, row, c->pitch);
    emit_add(em, word, word, 1);
    loop_end(em, l);
    const uint8_t used[] = {row, desc, word, id, dst, col};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

/* ---- RMSNorm: y = x * rsqrt(mean(x^2) + eps) * gain ---- */
struct norm {
    uint8_t x, y, gain, tmp;
};

static void norm_square(struct comp *c, void *ctx)
{
    const struct norm *r = ctx;
    INS(&c->em, V_MUL_VV, .rd = r->tmp, .rs1 = r->x, .rs2 = r->x);
    INS(&c->em, V_RED_SUM, .rd = 1, .rs1 = r->tmp);
}

static void norm_scale(struct comp *c, void *ctx)
{
    const struct norm *r = ctx;
    INS(&c->em, V_MUL_VF, .rd = r->y, .rs1 = r->x, .rs2 = 1);
    INS(&c->em, V_MUL_VV, .rd = r->y, .rs1 = r->y, .rs2 = r->gain);
}

/* f1 = 1 / sqrt(f1 / E + eps) */
static void norm_rsqrt(struct emit *em)
{
    INS(em, S_LD_FP, .rd = 2, .imm = PL_FP_INV_E);
    INS(em, S_MUL_FP, .rd = 1, .rs1 = 1, .rs2 = 2);
    INS(em, S_LD_FP, .rd = 2, .imm = PL_FP_EPS);
    INS(em, S_ADD_FP, .rd = 1, .rs1 = 1, .rs2 = 2);
    INS(em, S_SQRT_FP, .rd = 1, .rs1 = 1);
    INS(em, S_RECI_FP, .rd = 1, .rs1 = 1);
}

void emit_rmsnorm(struct comp *c, const struct pl_map_tensor *gain, uint32_t live)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    struct norm r = {gp_take(em), gp_take(em), gp_take(em), emit_const(em, m->tmp.base)};
    const uint8_t x_row = emit_const(em, m->x.base), y_row = emit_const(em, m->y.base);
    if (live == 1 && m->live > 1) { /* only the last valid row, to row 0 */
        const uint8_t last = gp_take(em);
        INS(em, S_LD_INT, .rd = last, .imm = INT_LAST);
        emit_li(em, r.x, c->pitch);
        INS(em, S_MUL_INT, .rd = last, .rs1 = last, .rs2 = r.x);
        INS(em, S_ADD_INT, .rd = x_row, .rs1 = x_row, .rs2 = last);
        gp_give(em, last);
    }
    const struct loop l = loop_begin(em, live);
    INS(em, S_ADD_FP, .rd = 1); /* f1 = 0 */
    emit_add(em, r.x, x_row, 0);
    struct seg_ptr p[3] = {{r.x, m->x.rows}, {r.y, m->y.rows}, {r.gain, 1}};
    emit_segs(c, m->x.cols, p, 1, norm_square, &r);
    norm_rsqrt(em);
    emit_add(em, r.x, x_row, 0);
    emit_add(em, r.y, y_row, 0);
    emit_li(em, r.gain, gain->base);
    emit_segs(c, m->x.cols, p, 3, norm_scale, &r);
    emit_add(em, x_row, x_row, c->pitch);
    emit_add(em, y_row, y_row, c->pitch);
    loop_end(em, l);
    const uint8_t used[] = {r.x, r.y, r.gain, r.tmp, x_row, y_row};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

/* ---- RoPE: t = t * cos + swap(t) * sin ---- */
void emit_rope_load(struct comp *c)
{
    struct emit *em = &c->em;
    emit_op(em, "rope.tables");
    if (c->rows->batch) {
        emit_batch_rope_load(c);
        return;
    }
    const uint8_t pos = gp_take(em), desc = gp_take(em), dst = gp_take(em), col = gp_take(em);
    INS(em, S_LD_INT, .rd = pos, .imm = INT_POS);
    for (unsigned i = 0; i < 4; i++) {
        const struct pl_map_tensor *t = &c->rows->rope[i];
        emit_li(em, desc, DESC_ROPE + i);
        for (uint32_t x = 0; x < t->cols; x += c->arch->vlen) {
            emit_li(em, col, x);
            emit_li(em, dst, lane_addr(c, t, x));
            INS(em, H_LOAD_V, .rd = dst, .rs1 = pos, .rs2 = desc, .rs3 = col,
                .fn = (uint8_t)pl_log2(c->rows->live));
        }
    }
    const uint8_t used[] = {pos, desc, dst, col};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

struct rope {
    uint8_t t, cos, sin, tmp, half, group;
};

/* Head slots of at most VLEN lanes: the halves are swapped inside the row. */
static void rope_seg(struct comp *c, void *ctx)
{
    struct emit *em = &c->em;
    const struct rope *r = ctx;
    INS(em, V_SWAP_V, .rd = r->tmp, .rs1 = r->t, .rs2 = r->half);
    INS(em, V_MUL_VV, .rd = r->tmp, .rs1 = r->tmp, .rs2 = r->sin);
    INS(em, V_MUL_VV, .rd = r->t, .rs1 = r->t, .rs2 = r->cos);
    INS(em, V_ADD_VV, .rd = r->t, .rs1 = r->t, .rs2 = r->tmp);
    if (c->plan.rotate)
        INS(em, C_HADAMARD_TRANSFORM, .rd = r->t, .rs1 = r->t, .rs2 = r->group);
}

static void rope_rows_narrow(struct comp *c, const struct pl_map_tensor *t, uint32_t rows, bool packed, unsigned table)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    struct rope r = {gp_take(em), emit_const(em, m->rope[table].base), emit_const(em, m->rope[table + 1].base),
                     emit_const(em, m->tmp.base), emit_const(em, c->plan.head_slot / 2),
                     emit_const(em, c->plan.rotate)};
    const uint8_t row = emit_const(em, t->base);
    const struct loop l = loop_begin(em, rows);
    emit_add(em, r.t, row, 0);
    struct seg_ptr p = {r.t, t->rows};
    emit_segs(c, t->cols, &p, 1, rope_seg, &r);
    emit_add(em, row, row, c->pitch);
    emit_add(em, r.cos, r.cos, packed ? 0 : c->pitch);
    emit_add(em, r.sin, r.sin, packed ? 0 : c->pitch);
    loop_end(em, l);
    const uint8_t used[] = {r.t, r.cos, r.sin, r.tmp, r.half, r.group, row};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

/* A lane segment of the lower half and its partner in the upper half, in the row that register `off` selects; that of
 * the tables is selected by `tab_off`. */
static void rope_pair(struct comp *c, const struct pl_map_tensor *t, unsigned table, uint64_t lo, uint64_t lane,
                      uint8_t off, uint8_t tab_off)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t half = c->plan.head_slot / 2;
    const uint8_t a = gp_take(em), b = gp_take(em), k = gp_take(em), ta = gp_take(em), tb = gp_take(em);
    const uint64_t at[2] = {lane_addr(c, t, lo), lane_addr(c, t, lo + half)};
    const uint64_t cs[2] = {lane_addr(c, &m->rope[table], lane), lane_addr(c, &m->rope[table], lane + half)};
    const uint64_t sn[2] = {lane_addr(c, &m->rope[table + 1], lane),
                            lane_addr(c, &m->rope[table + 1], lane + half)};
    emit_li(em, a, at[0]);
    INS(em, S_ADD_INT, .rd = a, .rs1 = a, .rs2 = off);
    emit_li(em, b, at[1]);
    INS(em, S_ADD_INT, .rd = b, .rs1 = b, .rs2 = off);
    emit_li(em, ta, m->score.base);
    emit_li(em, tb, m->score.base + c->arch->vlen);
    const uint64_t tab[4] = {sn[0], sn[1], cs[0], cs[1]};
    const uint8_t dst[4] = {ta, tb, a, b}, src[4] = {b, a, a, b};
    for (unsigned i = 0; i < 4; i++) {
        emit_li(em, k, tab[i]);
        INS(em, S_ADD_INT, .rd = k, .rs1 = k, .rs2 = tab_off);
        INS(em, V_MUL_VV, .rd = dst[i], .rs1 = src[i], .rs2 = k);
    }
    INS(em, V_ADD_VV, .rd = a, .rs1 = a, .rs2 = ta);
    INS(em, V_ADD_VV, .rd = b, .rs1 = b, .rs2 = tb);
    if (c->plan.rotate) {
        emit_li(em, k, c->plan.rotate);
        INS(em, C_HADAMARD_TRANSFORM, .rd = a, .rs1 = a, .rs2 = k);
        INS(em, C_HADAMARD_TRANSFORM, .rd = b, .rs1 = b, .rs2 = k);
    }
    const uint8_t used[] = {a, b, k, ta, tb};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

/* Wider head slots: the partner of a segment is another vector row. */
static void rope_rows_wide(struct comp *c, const struct pl_map_tensor *t, uint32_t rows, bool packed, unsigned table)
{
    struct emit *em = &c->em;
    const uint8_t off = emit_const(em, 0);
    const struct loop l = loop_begin(em, rows);
    for (uint32_t head = 0; head < t->cols; head += c->plan.head_slot)
        for (uint32_t lane = 0; lane < c->plan.head_slot / 2; lane += c->arch->vlen)
            rope_pair(c, t, table, head + lane, lane, off, packed ? 0 : off);
    emit_add(em, off, off, c->pitch);
    loop_end(em, l);
    gp_give(em, off);
}

void emit_rope(struct comp *c, const struct pl_map_tensor *t, uint32_t rows, bool packed, unsigned table)
{
    if (c->plan.head_slot <= c->arch->vlen)
        rope_rows_narrow(c, t, rows, packed, table);
    else
        rope_rows_wide(c, t, rows, packed, table);
}

/* ---- KV append: all live rows of k and v, quantised on the way ---- */
uint8_t emit_kv_row(struct comp *c, uint32_t pos)
{
    struct emit *em = &c->em;
    const uint8_t row = gp_take(em);
    INS(em, S_LD_INT, .rd = row, .imm = pos);
    if (c->batch > 1) {
        const uint8_t first = gp_take(em);
        INS(em, S_LD_INT, .rd = first, .imm = INT_KV_ROW);
        INS(em, S_ADD_INT, .rd = row, .rs1 = row, .rs2 = first);
        gp_give(em, first);
    }
    return row;
}

void emit_kv_store(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_tensor *t[2] = {&c->rows->k, &c->rows->v};
    if (c->rows->batch) {
        emit_batch_kv_store(c);
        return;
    }
    const uint8_t pos = emit_kv_row(c, INT_POS), col = gp_take(em), src = gp_take(em);
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t desc = emit_layer_desc(c, i ? LAYER_V : LAYER_K);
        for (uint32_t x = 0; x < t[i]->cols; x += c->arch->vlen) {
            emit_li(em, col, x);
            emit_li(em, src, lane_addr(c, t[i], x));
            INS(em, H_SAVE_V, .rd = src, .rs1 = pos, .rs2 = desc, .rs3 = col,
                .fn = (uint8_t)pl_log2(c->rows->live));
        }
        gp_give(em, desc);
    }
    INS(em, C_FENCE_ST, .rd = 0);
    gp_give(em, pos);
    gp_give(em, col);
    gp_give(em, src);
}

/* ---- x += delta ---- */
static void add_seg(struct comp *c, void *ctx)
{
    const uint8_t *r = ctx;
    INS(&c->em, V_ADD_VV, .rd = r[0], .rs1 = r[0], .rs2 = r[1]);
}

void emit_residual(struct comp *c)
{
    const struct pl_map_tensor *const t[] = {&c->rows->x, &c->rows->delta};
    uint8_t r[2];
    emit_rows(c, c->rows->live, c->rows->x.cols, t, r, 2, add_seg, r);
}

/* ---- gate = gate / (1 + exp(-gate)) * up ---- */
struct swiglu {
    uint8_t r[2]; /* gate, up */
    uint8_t tmp;
};

static void swiglu_seg(struct comp *c, void *ctx)
{
    struct emit *em = &c->em;
    const struct swiglu *s = ctx;
    INS(em, V_SUB_VF, .rd = s->tmp, .rs1 = s->r[0], .rs2 = 0, .fn = 1);
    INS(em, V_EXP_V, .rd = s->tmp, .rs1 = s->tmp);
    INS(em, V_ADD_VF, .rd = s->tmp, .rs1 = s->tmp, .rs2 = 1);
    INS(em, V_RECI_V, .rd = s->tmp, .rs1 = s->tmp);
    INS(em, V_MUL_VV, .rd = s->tmp, .rs1 = s->tmp, .rs2 = s->r[0]);
    INS(em, V_MUL_VV, .rd = s->r[0], .rs1 = s->tmp, .rs2 = s->r[1]);
}

void emit_swiglu(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_tensor *const t[] = {&c->rows->gate, &c->rows->up};
    struct swiglu s = {.tmp = emit_const(em, c->rows->tmp.base)};
    INS(em, S_LD_FP, .rd = 1, .imm = PL_FP_ONE);
    emit_rows(c, c->rows->live, c->rows->gate.cols, t, s.r, 2, swiglu_seg, &s);
    gp_give(em, s.tmp);
}
