/* mla.c - multi-head latent attention: what stands around the attention of one latent row for all heads.
 *
 * The queries of head h of token i are row i*H + h of att_q: its rotated part at the end (emit_absorb copies it there), before
 * it the absorbed part. So the rows of one token are rows of the array, and attention runs token by token on them, as it
 * does on packed heads in a pass of one token. Linear layers of single heads stream their tiles through the two KV sets of
 * Matrix SRAM, which are free before and after attention. Pointers that live across them are in INT SRAM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

static void ld(struct comp *c, uint8_t reg, uint32_t word)
{
    INS(&c->em, S_LD_INT, .rd = reg, .imm = word);
}

static void step_word(struct comp *c, uint32_t word, int64_t by)
{
    const uint8_t v = gp_take(&c->em);
    ld(c, v, word);
    emit_add(&c->em, v, v, by);
    INS(&c->em, S_ST_INT, .rd = v, .imm = word);
    gp_give(&c->em, v);
}

static void set_word(struct comp *c, uint32_t word, uint64_t value)
{
    const uint8_t v = emit_const(&c->em, value);
    INS(&c->em, S_ST_INT, .rd = v, .imm = word);
    gp_give(&c->em, v);
}

/* ---- a linear layer of each head ---- */
struct head_gemm {
    unsigned weight;
    const struct pl_map_tensor *x, *y;
    uint32_t x_slot;  /* lanes of a head in x; 0: x holds one head, which `stage` brings there */
    uint32_t k;       /* lanes of the product */
    uint32_t n, slot; /* outputs of a head; rows of the weight, and lanes of y unless y has a row for each head */
    bool rows;        /* y row i*H + h instead of lanes */
    uint32_t unit;    /* heads that are written out: then pointers move on by a constant */
};

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* From the first lane of a unit to `lane` of it. */
static int64_t lane_off(const struct comp *c, const struct pl_map_tensor *t, uint64_t lane)
{
    return (int64_t)(lane_addr(c, t, lane) - t->base);
}

static uint32_t k_tiles(const struct comp *c, const struct head_gemm *g)
{
    return g->k > c->plan.mlen ? g->k / c->plan.mlen : 1;
}

static void load_tiles(struct comp *c, const struct head_gemm *g, bool other)
{
    struct emit *em = &c->em;
    const uint8_t dst = gp_take(em), row = gp_take(em), desc = emit_layer_desc(c, g->weight), col = emit_const(em, 0);
    ld(c, dst, INT_MLA_SET);
    if (other) {
        emit_li(em, row, c->heads.tiles * (uint64_t)c->plan.mlen * c->plan.mlen);
        INS(em, S_SUB_INT, .rd = dst, .rs1 = row, .rs2 = dst);
    }
    ld(c, row, INT_MLA_W);
    emit_load_tiles(c, dst, row, desc, col, k_tiles(c, g));
    const uint8_t used[] = {dst, row, desc, col};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
    step_word(c, INT_MLA_W, c->plan.mlen);
}

static void swap_sets(struct comp *c)
{
    struct emit *em = &c->em;
    const uint8_t cur = gp_take(em), sum = emit_const(em, c->heads.tiles * (uint64_t)c->plan.mlen * c->plan.mlen);
    ld(c, cur, INT_MLA_SET);
    INS(em, S_SUB_INT, .rd = cur, .rs1 = sum, .rs2 = cur);
    INS(em, S_ST_INT, .rd = cur, .imm = INT_MLA_SET);
    gp_give(em, cur);
    gp_give(em, sum);
}

/* `cols` outputs of all rows from row `first` of the present tiles on; x and y from their pointers with these offsets. */
static void multiply(struct comp *c, const struct head_gemm *g, int64_t x_off, int64_t y_off, uint32_t first, uint32_t cols)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen, blen = c->plan.blen, blocks = c->rows->alloc / blen, tiles = k_tiles(c, g);
    const uint32_t col_blocks = (cols + blen - 1) / blen, step = g->rows ? c->cfg->n_heads : 1;
    const uint8_t hw = g->k < mlen ? (uint8_t)(pl_log2(g->k / c->plan.hlen) + 1) : 0;
    const uint8_t a0 = gp_take(em), a = tiles > 1 ? gp_take(em) : a0, b = gp_take(em), out = gp_take(em);
    const uint8_t stride = step > 1 ? emit_const(em, step) : 0;
    ld(c, a0, INT_MLA_X);
    emit_add(em, a0, a0, x_off);
    ld(c, out, INT_MLA_Y);
    emit_add(em, out, out, y_off);
    const struct loop rows = loop_begin(em, blocks);
    ld(c, b, INT_MLA_SET);
    emit_add(em, b, b, (int64_t)first * mlen);
    const struct loop columns = loop_begin(em, col_blocks);
    emit_add(em, a, a0, 0);
    for (uint32_t t = 0; t < tiles; t++) {
        INS(em, M_TMM, .rs1 = a, .rs2 = b, .rs3 = hw);
        if (t + 1 == tiles)
            break;
        emit_add(em, a, a, lane_off(c, g->x, (uint64_t)(t + 1) * mlen) - lane_off(c, g->x, (uint64_t)t * mlen));
        emit_add(em, b, b, (int64_t)mlen * mlen);
    }
    INS(em, M_MM_WO, .rd = out, .rs1 = stride);
    emit_add(em, b, b, (int64_t)blen * mlen - (int64_t)(tiles - 1) * mlen * mlen);
    emit_add(em, out, out, blen);
    loop_end(em, columns);
    if (blocks > 1) {
        emit_add(em, a0, a0, (int64_t)blen * c->pitch);
        emit_add(em, out, out, (int64_t)blen * c->pitch * step - (int64_t)col_blocks * blen);
    }
    loop_end(em, rows);
    gp_give(em, a0);
    if (tiles > 1)
        gp_give(em, a);
    gp_give(em, b);
    gp_give(em, out);
    if (stride)
        gp_give(em, stride);
}

/* The head's rows of `o`, H apart, become the rows of `stage`. */
static void stage(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t vlen = c->arch->vlen, segs = m->stage.cols / vlen;
    const uint8_t src0 = gp_take(em), dst0 = emit_const(em, m->stage.base), src = gp_take(em), dst = gp_take(em);
    ld(c, src0, INT_MLA_SRC);
    const struct loop l = loop_begin(em, m->live);
    emit_add(em, src, src0, 0);
    emit_add(em, dst, dst0, 0);
    for (uint32_t s = 0; s < segs; s++) {
        INS(em, V_SHFT_V, .rd = dst, .rs1 = src, .rs2 = 0);
        if (s + 1 == segs)
            break;
        emit_add(em, src, src, lane_off(c, &m->o, (uint64_t)(s + 1) * vlen) - lane_off(c, &m->o, (uint64_t)s * vlen));
        emit_add(em, dst, dst, lane_off(c, &m->stage, (uint64_t)(s + 1) * vlen) - lane_off(c, &m->stage, (uint64_t)s * vlen));
    }
    emit_add(em, src0, src0, (int64_t)c->cfg->n_heads * c->pitch);
    emit_add(em, dst0, dst0, c->pitch);
    loop_end(em, l);
    const uint8_t used[] = {src0, dst0, src, dst};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
    step_word(c, INT_MLA_SRC, c->pitch);
}

static void unit(struct comp *c, const struct head_gemm *g, uint32_t heads)
{
    const uint32_t mlen = c->plan.mlen, per_tile = g->slot < mlen ? mlen / g->slot : 1, blocks = (g->n + mlen - 1) / mlen;
    for (uint32_t h = 0; h < heads; h++) {
        const int64_t x_off = g->x_slot ? lane_off(c, g->x, (uint64_t)h * g->x_slot) : 0;
        if (!g->x_slot)
            stage(c);
        for (uint32_t b = 0; b < (g->slot + mlen - 1) / mlen; b++) {
            if (h % per_tile == 0)
                load_tiles(c, g, true);
            const uint32_t left = g->n - b * mlen, lane = b * mlen + (g->rows ? 0 : h * g->slot);
            const int64_t y_off = lane_off(c, g->y, lane) + (g->rows ? (int64_t)h * c->pitch : 0);
            if (b < blocks)
                multiply(c, g, x_off, y_off, h % per_tile * g->slot, left < mlen ? left : mlen);
            if ((h + 1) % per_tile == 0 || h + 1 == heads)
                swap_sets(c);
        }
    }
}

static void emit_head_gemm(struct comp *c, struct head_gemm *g)
{
    struct emit *em = &c->em;
    const uint32_t heads = c->cfg->n_heads, mlen = c->plan.mlen, pitch = c->pitch;
    uint64_t u = g->slot < mlen ? mlen / g->slot : 1;
    u = most(u, g->x_slot && g->x_slot < pitch ? pitch / g->x_slot : 1);
    u = most(u, !g->rows && g->slot < pitch ? pitch / g->slot : 1);
    g->unit = u < heads ? (uint32_t)u : heads;
    set_word(c, INT_MLA_W, 0);
    set_word(c, INT_MLA_SET, 0);
    set_word(c, INT_MLA_X, g->x->base);
    set_word(c, INT_MLA_Y, g->y->base);
    set_word(c, INT_MLA_SRC, c->rows->o.base);
    load_tiles(c, g, false);
    const struct loop l = loop_begin(em, heads / g->unit);
    unit(c, g, g->unit);
    step_word(c, INT_MLA_X, g->x_slot ? lane_off(c, g->x, (uint64_t)g->unit * g->x_slot) : 0);
    step_word(c, INT_MLA_Y, g->rows ? (int64_t)g->unit * pitch : lane_off(c, g->y, (uint64_t)g->unit * g->slot));
    loop_end(em, l);
    if (heads % g->unit)
        unit(c, g, heads % g->unit);
}

/* ---- the rotated part of the queries ---- */
/* From a segment of qr, register src, whose head k it is, to the last segments of a row of att_q, register dst. */
static void rope_part(struct comp *c, uint8_t dst, uint8_t src, uint32_t k)
{
    struct emit *em = &c->em;
    const struct pl_map_tensor *q = &c->rows->att_q;
    const uint32_t vlen = c->arch->vlen, rope = c->mla.rope, row = c->mla.row;
    const uint8_t by = emit_const(em, rope < vlen ? vlen - rope - k * rope : 0), to = gp_take(em), from = gp_take(em);
    emit_add(em, from, src, 0);
    for (uint32_t s = 0; s < rope; s += vlen) {
        const uint64_t lane = rope < vlen ? row - vlen : row - rope + s;
        emit_add(em, to, dst, lane_off(c, q, lane));
        INS(em, V_SHFT_V, .rd = to, .rs1 = from, .rs2 = by);
        if (rope < vlen) { /* heads before it have come along */
            const uint8_t mask = set_mask(c, vlen - rope, rope), zero = emit_const(em, c->rows->zero.base);
            INS(em, V_ADD_VV, .rd = to, .rs1 = zero, .rs2 = to, .rs3 = mask);
            gp_give(em, zero);
        } else if (s + vlen < rope) {
            emit_add(em, from, from, lane_off(c, &c->rows->qr, s + vlen) - lane_off(c, &c->rows->qr, s));
        }
    }
    gp_give(em, by);
    gp_give(em, to);
    gp_give(em, from);
}

static void rope_unit(struct comp *c, uint8_t dst, uint8_t src, uint32_t heads)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, rope = c->mla.rope;
    const uint8_t at = gp_take(em);
    for (uint32_t h = 0; h < heads; h++) {
        const uint64_t lane = (uint64_t)h * rope;
        emit_add(em, at, src, lane_off(c, &c->rows->qr, lane / vlen * vlen));
        rope_part(c, dst, at, (uint32_t)(lane % vlen / rope));
        emit_add(em, dst, dst, c->pitch);
    }
    gp_give(em, at);
}

static void rope_parts(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t heads = c->cfg->n_heads, u = c->mla.rope < c->pitch ? c->pitch / c->mla.rope : 1, per = u < heads ? u : heads;
    const uint8_t row = emit_const(em, m->qr.base), src = gp_take(em), dst = emit_const(em, m->att_q.base);
    const struct loop tokens = loop_begin(em, m->live);
    emit_add(em, src, row, 0);
    const struct loop l = loop_begin(em, heads / per);
    rope_unit(c, dst, src, per);
    emit_add(em, src, src, lane_off(c, &m->qr, (uint64_t)per * c->mla.rope));
    loop_end(em, l);
    if (heads % per)
        rope_unit(c, dst, src, heads % per);
    emit_add(em, row, row, c->pitch);
    loop_end(em, tokens);
    const uint8_t used[] = {row, src, dst};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

void emit_absorb(struct comp *c)
{
    const struct pl_map_rows *m = c->rows;
    struct head_gemm g = {.weight = PL_W_K_B, .x = &m->q, .y = &m->att_q, .x_slot = c->mla.nope, .k = c->mla.nope,
                          .n = c->cfg->mla.kv_rank, .slot = c->mla.rank, .rows = true};
    rope_parts(c);
    emit_head_gemm(c, &g);
}

void emit_expand(struct comp *c)
{
    const struct pl_map_rows *m = c->rows;
    struct head_gemm g = {.weight = PL_W_V_B, .x = &m->stage, .y = &m->heads, .k = c->mla.latent, .n = c->cfg->mla.v, .slot = c->mla.v};
    emit_head_gemm(c, &g);
}

/* ---- norms of a low rank ---- */
/* One row from registers x, gain on; `cut` lanes of it. */
struct rank_norm {
    const struct pl_map_tensor *t;
    uint32_t n, cut; /* lanes in the mean; lanes written, of the last vector row maybe a part */
    unsigned inv;    /* FP SRAM word of 1/n */
};

static void norm_pass(struct comp *c, const struct rank_norm *r, uint8_t row, uint8_t gain, bool scale)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen;
    const uint8_t x = gp_take(em), g = gp_take(em), tmp = emit_const(em, c->rows->tmp.base);
    for (uint32_t s = 0; s < r->cut; s += vlen) {
        const uint8_t mask = r->cut - s < vlen ? set_mask(c, 0, r->cut - s) : 0;
        emit_add(em, x, row, lane_off(c, r->t, s));
        if (scale) {
            emit_add(em, g, gain, s);
            INS(em, V_MUL_VF, .rd = x, .rs1 = x, .rs2 = 1, .rs3 = mask);
            INS(em, V_MUL_VV, .rd = x, .rs1 = x, .rs2 = g, .rs3 = mask);
        } else {
            INS(em, V_MUL_VV, .rd = tmp, .rs1 = x, .rs2 = x);
            INS(em, V_RED_SUM, .rd = 1, .rs1 = tmp, .rs3 = mask);
        }
    }
    gp_give(em, x);
    gp_give(em, g);
    gp_give(em, tmp);
}

void emit_rank_norm(struct comp *c, bool latent)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t n = latent ? c->cfg->mla.kv_rank : c->cfg->mla.q_rank, vlen = c->arch->vlen, width = (n + vlen - 1) / vlen * vlen;
    const uint32_t end = c->mla.row - c->mla.rope;
    const struct rank_norm r = {.t = latent ? &m->k : &m->qa, .n = n, .cut = latent && end < width ? end : width,
                                .inv = latent ? PL_FP_INV_KV_RANK : PL_FP_INV_Q_RANK};
    const uint8_t row = emit_const(em, r.t->base), gain = emit_const(em, m->rank_gain[latent].base);
    const struct loop l = loop_begin(em, m->live);
    INS(em, S_ADD_FP, .rd = 1); /* 0 */
    norm_pass(c, &r, row, gain, false);
    INS(em, S_LD_FP, .rd = 2, .imm = r.inv);
    INS(em, S_MUL_FP, .rd = 1, .rs1 = 1, .rs2 = 2);
    INS(em, S_LD_FP, .rd = 2, .imm = PL_FP_EPS);
    INS(em, S_ADD_FP, .rd = 1, .rs1 = 1, .rs2 = 2);
    INS(em, S_SQRT_FP, .rd = 1, .rs1 = 1);
    INS(em, S_RECI_FP, .rd = 1, .rs1 = 1);
    norm_pass(c, &r, row, gain, true);
    emit_add(em, row, row, c->pitch);
    loop_end(em, l);
    gp_give(em, row);
    gp_give(em, gain);
}

/* ---- the rotated key: the last lanes of a row of the cache, at most a vector row ---- */
void emit_rope_tail(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t vlen = c->arch->vlen, rope = c->mla.rope;
    const uint8_t x = emit_const(em, lane_addr(c, &m->k, c->mla.row - vlen)), cos = emit_const(em, m->rope[2].base);
    const uint8_t sin = emit_const(em, m->rope[3].base), tmp = emit_const(em, m->tmp.base), half = emit_const(em, rope / 2);
    const uint8_t mask = set_mask(c, vlen - rope, rope);
    const struct loop l = loop_begin(em, m->live);
    INS(em, V_SWAP_V, .rd = tmp, .rs1 = x, .rs2 = half);
    INS(em, V_MUL_VV, .rd = tmp, .rs1 = tmp, .rs2 = sin, .rs3 = mask);
    INS(em, V_MUL_VV, .rd = x, .rs1 = x, .rs2 = cos, .rs3 = mask);
    INS(em, V_ADD_VV, .rd = x, .rs1 = x, .rs2 = tmp, .rs3 = mask);
    emit_add(em, x, x, c->pitch);
    emit_add(em, cos, cos, c->pitch);
    emit_add(em, sin, sin, c->pitch);
    loop_end(em, l);
    const uint8_t used[] = {x, cos, sin, tmp, half};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

/* ---- attention, token by token ---- */
void emit_latent_attention(struct comp *c)
{
    struct emit *em = &c->em;
    emit_held(c);
    emit_zero(c, &c->rows->o);
    set_word(c, INT_MLA_ROW, 0);
    const uint8_t pos = gp_take(em);
    ld(c, pos, INT_POS);
    INS(em, S_ST_INT, .rd = pos, .imm = INT_MLA_POS);
    gp_give(em, pos);
    const struct loop l = loop_begin(em, c->rows->live);
    emit_attention(c);
    step_word(c, INT_MLA_ROW, (int64_t)c->cfg->n_heads * c->pitch);
    step_word(c, INT_MLA_POS, 1);
    loop_end(em, l);
}
