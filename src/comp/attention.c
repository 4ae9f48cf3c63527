/* attention.c - FlashAttention with online softmax over KV tiles read back from HBM.
 *
 * The rows of the array are tokens, for one query head after another; in a pass of one token they are the query heads of
 * a kv head (packed, map.h), and "head" below stands for all of them. For each group of kv heads that fills a Matrix SRAM
 * tile: m = -Inf, l = 0, o = 0; then for each KV tile of PITCH tokens, the next one loading behind it, head after head:
 * scores, one softmax step per row, P V, o = o a + P V. With spread queries (map.h) each of these steps is done for all
 * heads of the group before the next. At the end o /= l. The body appears twice: in the loop over all KV tiles but the
 * last, and for the last. Where the heads of a pass of many tokens lie evenly in q and o, groups and query heads pass in
 * loops (rolled); else the code is written for each.
 *
 * FP SRAM from PL_FP_STATE: m of every (head of the group, row), then l, then a of the rows at hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

struct flash {
    uint32_t group;       /* kv group */
    uint32_t kv_heads;    /* of this group */
    uint32_t per_kv;      /* query heads per kv head that are worked on one after another */
    uint32_t group_rows;  /* G: rows of a kv head in spread queries and their scores */
    uint64_t tile, set;   /* elements of a tile; between the two tile sets */
    uint8_t cur;          /* register: Matrix SRAM address of the present set: K tiles, then V tiles */
    uint8_t tok;          /* register: first token of the present KV tile */
    uint32_t fp_m, fp_l, fp_a;
    bool last;            /* the KV tile that holds the position of the last row */
};

struct head {
    uint64_t lane; /* its first one in q and o */
    uint32_t slot; /* its place in the group's state */
    uint32_t kv;   /* kv head within the group */
};

/* K and V tiles of the tokens from register tok into the set at register dst. */
static void load_kv(struct comp *c, const struct flash *f, uint8_t tok, uint8_t dst)
{
    struct emit *em = &c->em;
    const uint8_t row = gp_take(em), col = gp_take(em), m = gp_take(em);
    emit_add(em, m, dst, 0);
    if (c->batch > 1) {
        INS(em, S_LD_INT, .rd = row, .imm = INT_KV_ROW);
        INS(em, S_ADD_INT, .rd = row, .rs1 = row, .rs2 = tok);
        tok = row;
    }
    for (unsigned kv = 0; kv < (c->cfg->mla.kv_rank ? 1u : 2u); kv++) {
        const uint8_t desc = emit_layer_desc(c, kv ? LAYER_V : LAYER_K);
        for (uint32_t i = 0; i < c->heads.token_tiles; i++) {
            if (tok != row)
                emit_add(em, row, tok, i * c->plan.mlen);
            for (uint32_t s = 0; s < c->heads.spans; s++) {
                emit_li(em, col, ((uint64_t)f->group * c->heads.spans + s) * c->plan.mlen);
                emit_at(c, col, INT_GROUP_COL);
                INS(em, H_LOAD_M, .rd = m, .rs1 = row, .rs2 = desc, .rs3 = col);
                emit_add(em, m, m, (int64_t)f->tile);
            }
            if (tok == row) /* on to the next tile of tokens, behind the last one back to the first */
                emit_add(em, row, row, i + 1 < c->heads.token_tiles ? c->plan.mlen : -(int64_t)i * c->plan.mlen);
        }
        gp_give(em, desc);
    }
    gp_give(em, row);
    gp_give(em, col);
    gp_give(em, m);
}

/* Address of a row of att_q or o: with MLA of the token at hand. */
static uint8_t row_addr(struct comp *c, uint64_t base)
{
    const uint8_t r = emit_const(&c->em, base);
    if (c->cfg->mla.kv_rank) {
        const uint8_t off = gp_take(&c->em);
        INS(&c->em, S_LD_INT, .rd = off, .imm = INT_MLA_ROW);
        INS(&c->em, S_ADD_INT, .rd = r, .rs1 = r, .rs2 = off);
        gp_give(&c->em, off);
    }
    return r;
}

/* The left rows of scores, and the lanes of K that they meet. */
struct queries {
    const struct pl_map_tensor *t;
    uint64_t lane;   /* first one in t */
    uint32_t rows;
    uint32_t k_lane; /* first lane of K in its tile */
    uint8_t hw;      /* window of M_TMM */
};

/* score[r][n] = q[r] . k[tok + n] for all rows and tokens of the KV tile. */
static void scores(struct comp *c, const struct flash *f, const struct queries *q)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen, blen = c->plan.blen, spans = c->heads.spans;
    const uint32_t unroll = mlen / blen < PL_MAP_HEAD_COLUMNS ? mlen / blen : PL_MAP_HEAD_COLUMNS;
    const uint8_t a0 = row_addr(c, lane_addr(c, q->t, q->lane));
    emit_at(c, a0, INT_HEAD_AT);
    const uint8_t out0 = emit_const(em, c->rows->score.base);
    const uint8_t a = spans > 1 ? gp_take(em) : a0, b = gp_take(em), out = gp_take(em);
    const struct row_loop rows = rows_begin(c, q->rows, blen);
    for (uint32_t i = 0; i < c->heads.token_tiles; i++) {
        emit_add(em, b, f->cur, (int64_t)(i * spans * f->tile) + q->k_lane);
        emit_add(em, out, out0, i * mlen);
        const struct loop cols = loop_begin(em, mlen / blen / unroll);
        for (uint32_t u = 0; u < unroll; u++) {
            emit_add(em, a, a0, 0);
            for (uint32_t s = 0; s < spans; s++) {
                const uint64_t lane = q->lane + (uint64_t)s * mlen;
                const bool more = s + 1 < spans;
                emit_product(em, true, a, b, q->hw, more ? (int64_t)(lane_addr(c, q->t, lane + mlen) - lane_addr(c, q->t, lane)) : 0,
                             more ? (int64_t)f->tile : (int64_t)blen * mlen - (int64_t)((spans - 1) * f->tile));
            }
            INS(em, M_MM_WO, .rd = out, .imm = u * blen);
        }
        emit_add(em, out, out, unroll * blen);
        loop_end(em, cols);
    }
    if (q->rows > blen) {
        emit_add(em, a0, a0, (int64_t)blen * c->pitch);
        emit_add(em, out0, out0, (int64_t)blen * c->pitch);
    }
    rows_end(c, rows);
    if (spans > 1)
        gp_give(em, a);
    const uint8_t used[] = {a0, out0, b, out};
    for (size_t k = 0; k < sizeof used; k++)
        gp_give(em, used[k]);
}

static void head_scores(struct comp *c, const struct flash *f, const struct head *h)
{
    const uint32_t hs = c->plan.head_slot;
    const bool window = hs < c->plan.mlen;
    const struct queries q = {.t = &c->rows->att_q,
                              .lane = h->lane,
                              .rows = c->rows->att_live,
                              .k_lane = window ? h->kv * hs : 0,
                              .hw = window ? (uint8_t)(pl_log2(hs / c->plan.hlen) + 1) : 0};
    scores(c, f, &q);
}

/* The scores of all heads of the group at once. Lanes of other heads add zero runs, which change no bit. */
static void spread_scores(struct comp *c, const struct flash *f)
{
    const struct queries q = {.t = &c->rows->spread_q,
                              .lane = (uint64_t)f->group * c->plan.mlen % c->pitch,
                              .rows = f->kv_heads * f->group_rows};
    scores(c, f, &q);
}

/* pv[r][lanes of the head] = P[r] . v, for n heads that follow each other, their rows group_rows apart. The lanes are a
 * head's own within a chunk, so that the update below can add rows in place. */
static void values(struct comp *c, const struct flash *f, const struct head *h, uint32_t n)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen, blen = c->plan.blen, hs = c->v_slot, tiles = c->heads.token_tiles;
    const uint32_t width = hs < mlen ? hs : mlen; /* lanes of the head in one tile */
    const uint32_t unroll = width / blen < PL_MAP_HEAD_COLUMNS ? width / blen : PL_MAP_HEAD_COLUMNS, blocks = c->rows->att_alloc / blen;
    const uint64_t v_tiles = c->cfg->mla.kv_rank ? 0 : (uint64_t)tiles * c->heads.spans * f->tile;
    const uint64_t first = v_tiles + (hs < mlen ? (uint64_t)h->kv * hs * mlen : 0);
    const uint8_t a0 = emit_const(em, c->rows->score.base), out0 = emit_const(em, 0), v0 = n > 1 ? gp_take(em) : f->cur;
    const uint8_t b0 = gp_take(em), out = gp_take(em);
    const uint8_t a = tiles > 1 ? gp_take(em) : a0, b = tiles > 1 ? gp_take(em) : b0;
    if (n > 1)
        emit_add(em, v0, f->cur, 0);
    const struct loop heads = loop_begin(em, n);
    const struct row_loop rows = rows_begin(c, c->rows->att_live, blen);
    for (uint32_t s = 0; s * mlen < hs; s++) {
        const uint64_t lane = (h->lane + (uint64_t)s * mlen) % (hs > c->pitch ? hs : c->pitch);
        emit_add(em, out, out0, (int64_t)lane_addr(c, &c->rows->pv, lane));
        emit_add(em, b0, v0, (int64_t)(first + s * f->tile));
        const struct loop cols = loop_begin(em, width / blen / unroll);
        for (uint32_t u = 0; u < unroll; u++) {
            if (tiles > 1) {
                emit_add(em, a, a0, 0);
                emit_add(em, b, b0, 0);
            }
            for (uint32_t i = 0; i < tiles; i++) {
                const bool more = i + 1 < tiles;
                emit_product(em, false, a, b, 0, more ? mlen : 0,
                             more ? (int64_t)(c->heads.spans * f->tile) : tiles > 1 ? 0 : (int64_t)blen * mlen);
            }
            INS(em, M_MM_WO, .rd = out, .imm = u * blen);
            if (tiles > 1)
                emit_add(em, b0, b0, (int64_t)blen * mlen);
        }
        emit_add(em, out, out, unroll * blen);
        loop_end(em, cols);
    }
    const int64_t done = blocks > 1 ? (int64_t)blocks * blen * c->pitch : 0;
    if (blocks > 1) {
        emit_add(em, a0, a0, (int64_t)blen * c->pitch);
        emit_add(em, out0, out0, (int64_t)blen * c->pitch);
    }
    rows_end(c, rows);
    if (n > 1) {
        emit_add(em, a0, a0, (int64_t)f->group_rows * c->pitch - done);
        emit_add(em, out0, out0, (int64_t)hs - done);
        emit_add(em, v0, v0, (int64_t)hs * mlen);
    }
    loop_end(em, heads);
    if (n > 1)
        gp_give(em, v0);
    if (tiles > 1) {
        gp_give(em, a);
        gp_give(em, b);
    }
    const uint8_t used[] = {a0, out0, b0, out};
    for (size_t k = 0; k < sizeof used; k++)
        gp_give(em, used[k]);
}

/* The vector rows that hold a head's lanes in o, and where the same lanes are in pv. */
static uint32_t head_segs(const struct comp *c)
{
    return c->v_slot > c->arch->vlen ? c->v_slot / c->arch->vlen : 1;
}

static uint64_t seg_addr(const struct comp *c, const struct pl_map_tensor *t, const struct head *h, uint32_t s)
{
    const uint32_t vlen = c->arch->vlen, hs = c->v_slot;
    uint64_t lane = (h->lane + (uint64_t)s * vlen) / vlen * vlen;
    if (t == &c->rows->pv)
        lane %= hs > c->pitch ? hs : c->pitch;
    return lane_addr(c, t, lane);
}

/* Row r of the spread queries: the lanes of its head from q; the others stay zero. */
static void spread_head(struct comp *c, const struct flash *f, const struct head *h)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint8_t mask = set_mask(c, h->lane, c->plan.head_slot), zero = emit_const(em, m->zero.base);
    const uint64_t at = h->lane / c->arch->vlen * c->arch->vlen % c->pitch; /* its vector row in a chunk */
    const uint8_t src = emit_const(em, seg_addr(c, &m->att_q, h, 0));
    const uint8_t dst = emit_const(em, m->spread_q.base + (uint64_t)h->kv * f->group_rows * c->pitch + at);
    const struct loop l = loop_begin(em, f->group_rows);
    for (uint32_t s = 0; s < head_segs(c); s++) {
        INS(em, V_ADD_VV, .rd = dst, .rs1 = zero, .rs2 = src, .rs3 = mask);
        const int64_t next = s + 1 < head_segs(c) ? c->arch->vlen : (int64_t)c->pitch - (int64_t)(s * c->arch->vlen);
        emit_add(em, src, src, next);
        emit_add(em, dst, dst, next);
    }
    loop_end(em, l);
    gp_give(em, zero);
    gp_give(em, src);
    gp_give(em, dst);
}

/* Move register p on from segment s of a head's row; behind the last one to the next row. */
static void next_seg(struct comp *c, const struct pl_map_tensor *t, const struct head *h, uint8_t p, uint32_t s, uint32_t segs)
{
    const uint64_t here = seg_addr(c, t, h, s);
    const uint64_t next = s + 1 < segs ? seg_addr(c, t, h, s + 1) : seg_addr(c, t, h, 0) + c->pitch;
    emit_add(&c->em, p, p, (int64_t)(next - here));
}

/* For n rows from registers o (and p): f = fpmem[word + row], optionally inverted; o *= f. */
static void scale_rows(struct comp *c, const struct head *h, uint32_t n, uint8_t o, uint8_t fp, uint32_t word, bool invert,
                       uint8_t mask)
{
    struct emit *em = &c->em;
    for (uint32_t i = 0; i < n; i++)
        INS(em, S_LD_FP, .rd = (uint8_t)(1 + i), .rs1 = fp, .imm = word + i);
    for (uint32_t i = 0; i < n && invert; i++)
        INS(em, S_RECI_FP, .rd = (uint8_t)(1 + i), .rs1 = (uint8_t)(1 + i));
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t s = 0; s < head_segs(c); s++) {
            INS(em, V_MUL_VF, .rd = o, .rs1 = o, .rs2 = (uint8_t)(1 + i), .rs3 = mask);
            next_seg(c, &c->rows->o, h, o, s, head_segs(c));
        }
}

enum { SCALE_BLOCK = 4 };

/* o[r] *= fpmem[word + r], optionally inverted, for the rows of a head. */
static void scale_head(struct comp *c, const struct head *h, uint32_t word, bool invert)
{
    struct emit *em = &c->em;
    const uint32_t rows = c->rows->att_live, block = rows < SCALE_BLOCK ? rows : SCALE_BLOCK;
    const uint8_t mask = set_mask(c, h->lane, c->v_slot);
    const uint8_t o = row_addr(c, seg_addr(c, &c->rows->o, h, 0)), fp = emit_const(em, 0);
    emit_at(c, o, INT_HEAD_AT);
    if (invert) /* l, which every head has */
        emit_at(c, fp, INT_HEAD_FP);
    const struct row_loop l = rows_begin(c, rows - rows % block, block);
    scale_rows(c, h, block, o, fp, word, invert, mask);
    if (rows > block)
        emit_add(em, fp, fp, block);
    rows_end(c, l);
    if (rows % block)
        scale_rows(c, h, rows % block, o, fp, word, invert, mask);
    gp_give(em, o);
    gp_give(em, fp);
}

/* o[r] += pv[r], for the rows of a head, or of all heads of the group in one go. */
static void add_values(struct comp *c, const struct head *h, uint32_t lanes)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, segs = lanes > vlen ? lanes / vlen : 1;
    const uint8_t mask = set_mask(c, h->lane, lanes);
    const uint8_t o = row_addr(c, seg_addr(c, &c->rows->o, h, 0)), p = emit_const(em, seg_addr(c, &c->rows->pv, h, 0));
    emit_at(c, o, INT_HEAD_AT);
    const struct row_loop l = rows_begin(c, c->rows->att_live, 1);
    for (uint32_t s = 0; s < segs; s++) {
        INS(em, V_ADD_VV, .rd = o, .rs1 = o, .rs2 = p, .rs3 = mask);
        next_seg(c, &c->rows->o, h, o, s, segs);
        next_seg(c, &c->rows->pv, h, p, s, segs);
    }
    rows_end(c, l);
    gp_give(em, o);
    gp_give(em, p);
}

/* ---- a KV tile ---- */
typedef void head_step(struct comp *c, const struct flash *f, const struct head *h);

static struct head head_at(const struct comp *c, const struct flash *f, uint32_t kv, uint32_t g)
{
    const uint64_t kv_head = (uint64_t)f->group * c->heads.per_group + kv;
    return (struct head){(g * c->cfg->n_kv_heads + kv_head) * c->plan.head_slot, kv * f->per_kv + g, kv};
}

static void each_head(struct comp *c, const struct flash *f, head_step *step)
{
    const int64_t next = (int64_t)c->cfg->n_kv_heads * c->plan.head_slot * c->rows->o.rows, live = c->rows->att_live;
    const uint32_t turns = c->roll ? f->per_kv : 1;
    for (uint32_t kv = 0; kv < f->kv_heads; kv++)
        for (uint32_t g = 0; g < f->per_kv; g += turns) {
            const struct head h = head_at(c, f, kv, g);
            const struct loop l = loop_begin(&c->em, turns);
            step(c, f, &h);
            if (turns > 1) {
                emit_move_word(c, INT_HEAD_AT, next);
                emit_move_word(c, INT_HEAD_FP, live);
            }
            loop_end(&c->em, l);
            if (turns > 1) {
                emit_move_word(c, INT_HEAD_AT, -next * turns);
                emit_move_word(c, INT_HEAD_FP, -live * turns);
            }
        }
}

static void softmax(struct comp *c, const struct flash *f, uint32_t slot, uint32_t rows)
{
    const uint32_t first = slot * c->rows->att_live;
    const struct softmax x = {.rows = rows, .m = f->fp_m + first, .l = f->fp_l + first, .a = f->fp_a, .tok = f->tok,
                              .mask = f->last || c->rows->att_tokens > 1 || (c->cfg->mla.kv_rank && c->rows->live > 1), .window = c->window};
    emit_op(&c->em, "attention.softmax");
    emit_softmax(c, &x);
}

static void one_head(struct comp *c, const struct flash *f, const struct head *h)
{
    emit_op(&c->em, "attention.qk");
    head_scores(c, f, h);
    softmax(c, f, h->slot, c->rows->att_live);
    emit_op(&c->em, "attention.pv");
    values(c, f, h, 1);
    emit_op(&c->em, "attention.update");
    scale_head(c, h, f->fp_a, false);
    add_values(c, h, c->v_slot);
}

static void scale_step(struct comp *c, const struct flash *f, const struct head *h)
{
    scale_head(c, h, f->fp_a + h->slot * c->rows->att_live, false);
}

static void add_step(struct comp *c, const struct flash *f, const struct head *h)
{
    (void)f;
    add_values(c, h, c->v_slot);
}

static void kv_tile(struct comp *c, const struct flash *f)
{
    if (!c->rows->spread) {
        each_head(c, f, one_head);
        return;
    }
    const struct head h = head_at(c, f, 0, 0);
    emit_op(&c->em, "attention.qk");
    spread_scores(c, f);
    softmax(c, f, 0, f->kv_heads * f->group_rows);
    emit_op(&c->em, "attention.pv");
    values(c, f, &h, f->kv_heads);
    emit_op(&c->em, "attention.update");
    each_head(c, f, scale_step);
    const uint32_t lanes = f->kv_heads * c->v_slot;
    if (lanes <= c->arch->vlen || lanes % c->arch->vlen == 0)
        add_values(c, &h, lanes);
    else
        each_head(c, f, add_step);
}

static void finish_step(struct comp *c, const struct flash *f, const struct head *h)
{
    scale_head(c, h, f->fp_l + h->slot * c->rows->att_live, true);
}

/* n words from `word` on: m = f1, l = f[l_reg]. */
static void store_state(struct comp *c, const struct flash *f, uint8_t l_reg, uint32_t word, uint32_t n)
{
    struct emit *em = &c->em;
    const uint8_t fp = emit_const(em, word);
    const struct loop l = loop_begin(em, n);
    INS(em, S_ST_FP, .rd = 1, .rs1 = fp, .imm = f->fp_m);
    INS(em, S_ST_FP, .rd = l_reg, .rs1 = fp, .imm = f->fp_l);
    emit_add(em, fp, fp, 1);
    loop_end(em, l);
    gp_give(em, fp);
}

/* f1 = the sink in the lanes of a head, from register at. */
static void load_sink(struct comp *c, uint8_t at, uint8_t mask)
{
    INS(&c->em, S_LD_FP, .rd = 1, .imm = PL_FP_NEG_INF);
    INS(&c->em, V_RED_MAX, .rd = 1, .rs1 = at, .rs3 = mask);
}

/* The first m is the head's sink, and its share of the denominator 1. */
static void sink_step(struct comp *c, const struct flash *f, const struct head *h)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, hs = c->plan.head_slot, pack = c->rows->pack, rows = c->rows->att_live;
    const uint32_t turns = pack ? rows : 1; /* packed: a row for each head */
    const bool aligned = pack % vlen == 0;
    const uint8_t at = gp_take(em), fp = emit_const(em, h->slot * rows);
    for (uint32_t g = 0; g < turns; g += aligned ? turns : 1) {
        const uint64_t lane = h->lane + (uint64_t)g * pack;
        const uint8_t mask = set_mask(c, lane, hs);
        emit_li(em, at, c->rows->sinks.base + lane / vlen * vlen);
        const struct loop l = loop_begin(em, aligned ? turns : 1);
        load_sink(c, at, mask);
        if (pack) {
            INS(em, S_ST_FP, .rd = 1, .rs1 = fp, .imm = f->fp_m);
            INS(em, S_ST_FP, .rd = 2, .rs1 = fp, .imm = f->fp_l);
            emit_add(em, fp, fp, 1);
            emit_add(em, at, at, pack);
        }
        loop_end(em, l);
    }
    gp_give(em, at);
    gp_give(em, fp);
    if (!pack)
        store_state(c, f, 2, h->slot * rows, rows);
}

static void init_state(struct comp *c, const struct flash *f)
{
    if (c->cfg->sinks) {
        INS(&c->em, S_LD_FP, .rd = 2, .imm = PL_FP_ONE);
        each_head(c, f, sink_step);
        return;
    }
    INS(&c->em, S_LD_FP, .rd = 1, .imm = PL_FP_LOWEST);
    store_state(c, f, 0, 0, f->kv_heads * f->per_kv * c->rows->att_live);
}

/* Registers: the first KV tile's first token, and how many tiles follow it. */
static void first_tile(struct comp *c, uint8_t tok, uint8_t follow)
{
    struct emit *em = &c->em;
    INS(em, S_LD_INT, .rd = follow, .imm = INT_TILES);
    if (!c->window) {
        emit_li(em, tok, 0);
        return;
    }
    const uint8_t tile = emit_const(em, c->plan.kv_tile);
    INS(em, S_LD_INT, .rd = tok, .imm = INT_FIRST);
    INS(em, S_SUB_INT, .rd = follow, .rs1 = follow, .rs2 = tok);
    INS(em, S_MUL_INT, .rd = tok, .rs1 = tok, .rs2 = tile);
    gp_give(em, tile);
}

static void kv_group(struct comp *c, struct flash *f)
{
    struct emit *em = &c->em;
    emit_op(em, "attention.init");
    init_state(c, f);
    if (c->rows->spread)
        each_head(c, f, spread_head);
    emit_op(em, "attention.load");
    f->cur = emit_const(em, 0);
    f->tok = gp_take(em);
    const uint8_t tiles = gp_take(em);
    first_tile(c, f->tok, tiles);
    load_kv(c, f, f->tok, f->cur);
    f->last = false;
    const struct loop l = loop_begin_reg(em, tiles);
    gp_give(em, tiles);
    const uint8_t next = gp_take(em), other = emit_const(em, f->set);
    emit_add(em, next, f->tok, c->plan.kv_tile);
    INS(em, S_SUB_INT, .rd = other, .rs1 = other, .rs2 = f->cur);
    load_kv(c, f, next, other);
    gp_give(em, next);
    gp_give(em, other);
    kv_tile(c, f);
    emit_op(em, "attention.load");
    const uint8_t swap = emit_const(em, f->set);
    INS(em, S_SUB_INT, .rd = f->cur, .rs1 = swap, .rs2 = f->cur);
    gp_give(em, swap);
    emit_add(em, f->tok, f->tok, c->plan.kv_tile);
    loop_end(em, l);
    if (f->group + 1 == c->heads.groups && !c->rows->batch && !c->roll)
        emit_held(c); /* o_proj's weights, now that all of K and V is asked for */
    f->last = true;
    kv_tile(c, f);
    emit_op(em, "attention.normalise");
    each_head(c, f, finish_step);
    gp_give(em, f->cur);
    gp_give(em, f->tok);
}

/* Groups and heads that are whole chunks apart, in q and o alike, a kv head to a group: of several, o_proj's weights would be
 * asked for too late. The registers do for plain causal attention on rows that are one vector row. */
static bool can_roll(const struct comp *c)
{
    const struct pl_map_rows *m = c->rows;
    if (c->heads.groups == 1 && c->cfg->n_heads == c->cfg->n_kv_heads)
        return false; /* nothing follows */
    return m->att_tokens > 1 && !m->pack && !m->batch && !m->spread && !c->cfg->mla.kv_rank && !c->cfg->sinks && !c->window &&
           c->heads.per_group == 1 && c->pitch == c->plan.mlen && c->arch->vlen == c->plan.mlen &&
           (uint64_t)c->cfg->n_kv_heads * c->plan.head_slot % c->pitch == 0 && m->att_q.rows == m->o.rows;
}

static void rolled_groups(struct comp *c, struct flash *f)
{
    struct emit *em = &c->em;
    const uint32_t lanes = c->heads.spans * c->plan.mlen;
    c->roll = true;
    f->kv_heads = c->heads.per_group;
    for (uint32_t word = INT_HEAD_AT; word <= INT_GROUP_COL; word++)
        INS(em, S_ST_INT, .rd = 0, .imm = word);
    const struct loop l = loop_begin(em, c->heads.groups);
    kv_group(c, f);
    emit_move_word(c, INT_HEAD_AT, (int64_t)lanes * c->rows->o.rows);
    emit_move_word(c, INT_GROUP_COL, lanes);
    loop_end(em, l);
    c->roll = false;
    emit_held(c); /* o_proj's weights */
}

void emit_attention(struct comp *c)
{
    const uint32_t group = c->cfg->n_heads / c->cfg->n_kv_heads;
    const bool mla = c->cfg->mla.kv_rank;
    struct flash f = {.per_kv = c->rows->pack || mla ? 1 : group,
                      .group_rows = group,
                      .tile = (uint64_t)c->plan.mlen * c->plan.mlen,
                      .fp_m = PL_FP_STATE};
    const uint32_t kv_heads = c->heads.per_group < c->cfg->n_kv_heads ? c->heads.per_group : c->cfg->n_kv_heads;
    const uint32_t most = kv_heads * f.per_kv * c->rows->att_live;
    f.set = c->heads.tiles * f.tile;
    f.fp_l = f.fp_m + most;
    f.fp_a = f.fp_l + most;
    emit_op(&c->em, "attention.init");
    if (!mla)
        emit_zero(c, &c->rows->o);
    if (can_roll(c)) {
        rolled_groups(c, &f);
        return;
    }
    for (f.group = 0; f.group < c->heads.groups; f.group++) {
        const uint32_t left = c->cfg->n_kv_heads - f.group * c->heads.per_group;
        f.kv_heads = left < c->heads.per_group ? left : c->heads.per_group;
        kv_group(c, &f);
    }
}
