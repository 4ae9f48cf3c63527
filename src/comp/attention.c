/* attention.c - FlashAttention with online softmax over KV tiles read back from HBM.
 *
 * The rows of the array are tokens, for one query head at a time; in a pass of one token they are the query heads of a
 * kv head (packed, map.h), and "head" below stands for all of them. For each group of kv heads that fills a Matrix SRAM tile: m = -Inf, l = 0, o = 0; then for each KV tile of PITCH
 * tokens, the next one loading behind it: scores of every head, one softmax step per row, P V, o = o a + P V.
 * At the end o /= l. The body appears twice: in the loop over all KV tiles but the last, and for the last.
 *
 * FP SRAM from PL_FP_STATE: m of every (head of the group, row), then l, then a of the rows of the head at hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

struct flash {
    uint32_t group;       /* kv group */
    uint32_t kv_heads;    /* of this group */
    uint32_t per_kv;      /* query heads per kv head that are worked on one after another */
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
    for (unsigned kv = 0; kv < 2; kv++) {
        const uint8_t desc = emit_layer_desc(c, kv ? LAYER_V : LAYER_K);
        for (uint32_t i = 0; i < c->heads.token_tiles; i++) {
            emit_add(em, row, tok, i * c->plan.mlen);
            for (uint32_t s = 0; s < c->heads.spans; s++) {
                emit_li(em, col, ((uint64_t)f->group * c->heads.spans + s) * c->plan.mlen);
                INS(em, H_LOAD_M, .rd = m, .rs1 = row, .rs2 = desc, .rs3 = col);
                emit_add(em, m, m, (int64_t)f->tile);
            }
        }
        gp_give(em, desc);
    }
    gp_give(em, row);
    gp_give(em, col);
    gp_give(em, m);
}

/* score[r][n] = q_h[r] . k[tok + n] for all rows and tokens of the KV tile. */
static void scores(struct comp *c, const struct flash *f, const struct head *h)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen, blen = c->plan.blen, hs = c->plan.head_slot;
    const bool window = hs < mlen;
    const uint8_t hw = window ? (uint8_t)(pl_log2(hs / c->plan.hlen) + 1) : 0;
    const uint8_t a0 = emit_const(em, lane_addr(c, &c->rows->q, h->lane));
    const uint8_t out0 = emit_const(em, c->rows->score.base);
    const uint8_t a = gp_take(em), b = gp_take(em), out = gp_take(em);
    const struct loop rows = loop_begin(em, c->rows->att_alloc / blen);
    for (uint32_t i = 0; i < c->heads.token_tiles; i++) {
        emit_add(em, b, f->cur, (int64_t)(i * c->heads.spans * f->tile) + (window ? (int64_t)h->kv * hs : 0));
        emit_add(em, out, out0, i * mlen);
        const struct loop cols = loop_begin(em, mlen / blen);
        emit_add(em, a, a0, 0);
        for (uint32_t s = 0; s < c->heads.spans; s++) {
            INS(em, M_TMM, .rs1 = a, .rs2 = b, .rs3 = hw);
            if (s + 1 == c->heads.spans)
                break;
            const uint64_t lane = h->lane + (uint64_t)s * mlen;
            emit_add(em, a, a,
                     (int64_t)(lane_addr(c, &c->rows->q, lane + mlen) - lane_addr(c, &c->rows->q, lane)));
            emit_add(em, b, b, (int64_t)f->tile);
        }
        INS(em, M_MM_WO, .rd = out);
        emit_add(em, out, out, blen);
        emit_add(em, b, b, (int64_t)blen * mlen - (int64_t)((c->heads.spans - 1) * f->tile));
        loop_end(em, cols);
    }
    emit_add(em, a0, a0, (int64_t)blen * c->pitch);
    emit_add(em, out0, out0, (int64_t)blen * c->pitch);
    loop_end(em, rows);
    const uint8_t used[] = {a0, out0, a, b, out};
    for (size_t k = 0; k < sizeof used; k++)
        gp_give(em, used[k]);
}

/* ---- online softmax: rows in blocks of up to four, so that one row's latencies pass under the others' work ----
 * f1.. = m, then l, of the block's rows; f5..f7 = a. Each row sees the operations of doc/lowering.md in their order. */
enum { BLOCK = 4, F_ROW = 1, F_A = 5, N_F_A = 3 };

struct block {
    uint32_t n, segs;  /* rows; vector rows of a score row */
    uint8_t row[BLOCK]; /* registers: the segment at hand of each row */
    uint8_t limit, fp; /* registers: tokens the first row may see; row number */
    uint32_t m, l, a;  /* FP SRAM words of row 0 */
    bool mask;         /* rows may not see every token */
};

static void next_seg(struct comp *c, const struct block *b, uint32_t s)
{
    const int64_t vlen = c->arch->vlen;
    for (uint32_t i = 0; i < b->n; i++)
        emit_add(&c->em, b->row[i], b->row[i], s + 1 < b->segs ? vlen : -(int64_t)(b->segs - 1) * vlen);
}

/* f[row] = max(m, scores) */
static void block_max(struct comp *c, const struct block *b)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen;
    const bool same = c->rows->pack || b->n == 1; /* one limit for all rows */
    const uint8_t lim = same ? b->limit : gp_take(em);
    for (uint32_t i = 0; i < b->n; i++)
        INS(em, S_LD_FP, .rd = (uint8_t)(F_ROW + i), .rs1 = b->fp, .imm = b->m + i);
    for (uint32_t s = 0; s < b->segs; s++) {
        for (uint32_t i = 0; b->mask && i < b->n; i++) {
            if (!same)
                emit_add(em, lim, b->limit, i);
            INS(em, V_LIM_V, .rd = b->row[i], .rs1 = b->row[i], .rs2 = lim);
        }
        for (uint32_t i = 0; i < b->n; i++)
            INS(em, V_RED_MAX, .rd = (uint8_t)(F_ROW + i), .rs1 = b->row[i]);
        next_seg(c, b, s);
        if (b->mask && b->segs > 1)
            emit_add(em, b->limit, b->limit, s + 1 < b->segs ? -(int64_t)vlen : (int64_t)(b->segs - 1) * vlen);
    }
    if (!same)
        gp_give(em, lim);
}

/* scores become P */
static void block_exp(struct comp *c, const struct block *b)
{
    struct emit *em = &c->em;
    for (uint32_t s = 0; s < b->segs; s++) {
        for (uint32_t i = 0; i < b->n; i++)
            INS(em, V_SUB_VF, .rd = b->row[i], .rs1 = b->row[i], .rs2 = (uint8_t)(F_ROW + i));
        for (uint32_t i = 0; i < b->n; i++)
            INS(em, V_EXP_V, .rd = b->row[i], .rs1 = b->row[i]);
        next_seg(c, b, s);
    }
}

static uint8_t f_a(uint32_t i)
{
    return (uint8_t)(F_A + i % N_F_A);
}

/* For rows [i, end): a = exp(old m - m), f[row] = l a. Old m of the first rows is in f[a] already. */
static void block_state(struct comp *c, const struct block *b, uint32_t first, uint32_t end)
{
    struct emit *em = &c->em;
    for (uint32_t i = first; i < end; i++)
        INS(em, S_SUB_FP, .rd = f_a(i), .rs1 = f_a(i), .rs2 = (uint8_t)(F_ROW + i));
    for (uint32_t i = first; i < end; i++)
        INS(em, S_ST_FP, .rd = (uint8_t)(F_ROW + i), .rs1 = b->fp, .imm = b->m + i);
    for (uint32_t i = first; i < end; i++)
        INS(em, S_EXP_FP, .rd = f_a(i), .rs1 = f_a(i));
    for (uint32_t i = first; i < end; i++)
        INS(em, S_LD_FP, .rd = (uint8_t)(F_ROW + i), .rs1 = b->fp, .imm = b->l + i);
    for (uint32_t i = first; i < end; i++)
        INS(em, S_MUL_FP, .rd = (uint8_t)(F_ROW + i), .rs1 = (uint8_t)(F_ROW + i), .rs2 = f_a(i));
    for (uint32_t i = first; i < end; i++)
        INS(em, S_ST_FP, .rd = f_a(i), .rs1 = b->fp, .imm = b->a + i);
}

static void load_old_m(struct comp *c, const struct block *b, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        INS(&c->em, S_LD_FP, .rd = f_a(i), .rs1 = b->fp, .imm = b->m + i);
}

static void softmax_block(struct comp *c, const struct block *b)
{
    struct emit *em = &c->em;
    const uint32_t ahead = b->n < N_F_A ? b->n : N_F_A;
    block_max(c, b);
    load_old_m(c, b, 0, ahead);
    block_exp(c, b);
    block_state(c, b, 0, ahead);
    load_old_m(c, b, ahead, b->n);
    block_state(c, b, ahead, b->n);
    for (uint32_t s = 0; s < b->segs; s++) {
        for (uint32_t i = 0; i < b->n; i++)
            INS(em, V_RED_SUM, .rd = (uint8_t)(F_ROW + i), .rs1 = b->row[i]);
        next_seg(c, b, s);
    }
    for (uint32_t i = 0; i < b->n; i++)
        INS(em, S_ST_FP, .rd = (uint8_t)(F_ROW + i), .rs1 = b->fp, .imm = b->l + i);
}

static void softmax(struct comp *c, const struct flash *f, const struct head *h)
{
    struct emit *em = &c->em;
    const uint32_t rows = c->rows->att_live, most = rows < BLOCK ? rows : BLOCK;
    struct block b = {.segs = c->pitch / c->arch->vlen, .m = f->fp_m + h->slot * rows, .l = f->fp_l + h->slot * rows, .a = f->fp_a,
                      .mask = f->last || c->rows->live > 1};
    for (uint32_t i = 0; i < most; i++)
        b.row[i] = emit_const(em, c->rows->score.base + (uint64_t)i * c->pitch);
    b.fp = emit_const(em, 0);
    b.limit = gp_take(em); /* pos + row + 1 - tok; of packed rows pos + 1 - tok */
    INS(em, S_LD_INT, .rd = b.limit, .imm = INT_POS);
    emit_add(em, b.limit, b.limit, 1);
    INS(em, S_SUB_INT, .rd = b.limit, .rs1 = b.limit, .rs2 = f->tok);
    const struct loop l = loop_begin(em, rows / most);
    b.n = most;
    softmax_block(c, &b);
    for (uint32_t i = 0; rows > most && i < most; i++)
        emit_add(em, b.row[i], b.row[i], (int64_t)most * c->pitch);
    if (rows > most) {
        emit_add(em, b.limit, b.limit, c->rows->pack ? 0 : most);
        emit_add(em, b.fp, b.fp, most);
    }
    loop_end(em, l);
    b.n = rows % most;
    if (b.n)
        softmax_block(c, &b);
    for (uint32_t i = 0; i < most; i++)
        gp_give(em, b.row[i]);
    gp_give(em, b.fp);
    gp_give(em, b.limit);
}

/* pv[r][lanes of the head] = P[r] . v. The lanes are the head's own within a chunk, so that the update below can add
 * rows in place. */
static void values(struct comp *c, const struct flash *f, const struct head *h)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen, blen = c->plan.blen, hs = c->plan.head_slot;
    const uint32_t width = hs < mlen ? hs : mlen; /* lanes of the head in one tile */
    const uint64_t v_tiles = (uint64_t)c->heads.token_tiles * c->heads.spans * f->tile;
    const uint64_t first = v_tiles + (hs < mlen ? (uint64_t)h->kv * hs * mlen : 0);
    const uint8_t a0 = emit_const(em, c->rows->score.base), out0 = emit_const(em, 0);
    const uint8_t a = gp_take(em), b = gp_take(em), b0 = gp_take(em), out = gp_take(em);
    const struct loop rows = loop_begin(em, c->rows->att_alloc / blen);
    for (uint32_t s = 0; s < c->heads.spans; s++) {
        const uint64_t lane = (h->lane + (uint64_t)s * mlen) % (hs > c->pitch ? hs : c->pitch);
        emit_add(em, out, out0, (int64_t)lane_addr(c, &c->rows->pv, lane));
        emit_add(em, b0, f->cur, (int64_t)(first + s * f->tile));
        const struct loop cols = loop_begin(em, width / blen);
        emit_add(em, a, a0, 0);
        emit_add(em, b, b0, 0);
        for (uint32_t i = 0; i < c->heads.token_tiles; i++) {
            INS(em, M_MM, .rs1 = b, .rs2 = a);
            if (i + 1 == c->heads.token_tiles)
                break;
            emit_add(em, a, a, mlen);
            emit_add(em, b, b, (int64_t)(c->heads.spans * f->tile));
        }
        INS(em, M_MM_WO, .rd = out);
        emit_add(em, out, out, blen);
        emit_add(em, b0, b0, (int64_t)blen * mlen);
        loop_end(em, cols);
    }
    emit_add(em, a0, a0, (int64_t)blen * c->pitch);
    emit_add(em, out0, out0, (int64_t)blen * c->pitch);
    loop_end(em, rows);
    const uint8_t used[] = {a0, out0, a, b, b0, out};
    for (size_t k = 0; k < sizeof used; k++)
        gp_give(em, used[k]);
}

/* The vector rows that hold a head's lanes in o, and where the same lanes are in pv. */
static uint32_t head_segs(const struct comp *c)
{
    return c->plan.head_slot > c->arch->vlen ? c->plan.head_slot / c->arch->vlen : 1;
}

static uint64_t seg_addr(const struct comp *c, const struct pl_map_tensor *t, const struct head *h, uint32_t s)
{
    const uint32_t vlen = c->arch->vlen, hs = c->plan.head_slot;
    uint64_t lane = (h->lane + (uint64_t)s * vlen) / vlen * vlen;
    if (t == &c->rows->pv)
        lane %= hs > c->pitch ? hs : c->pitch;
    return lane_addr(c, t, lane);
}

/* Vector instructions on a narrow head touch only its lane groups. Returns the mask operand. */
static uint8_t set_head_mask(struct comp *c, const struct head *h)
{
    struct emit *em = &c->em;
    const uint32_t hs = c->plan.head_slot, vlen = c->arch->vlen, hlen = c->plan.hlen;
    if (hs >= vlen)
        return 0;
    const uint64_t lanes = ((uint64_t)1 << (hs / hlen)) - 1;
    const uint8_t r = emit_const(em, lanes << (h->lane % vlen / hlen));
    INS(em, C_SET_V_MASK_REG, .rd = r);
    gp_give(em, r);
    return 1;
}

/* For each row: f1 = fpmem[word + row], optionally inverted; o *= f1; optionally o += pv. */
static void scale_head(struct comp *c, const struct head *h, uint32_t word, bool invert, bool add)
{
    struct emit *em = &c->em;
    const uint8_t mask = set_head_mask(c, h);
    const uint8_t off = emit_const(em, 0), fp = emit_const(em, 0), o = gp_take(em), p = gp_take(em);
    const struct loop l = loop_begin(em, c->rows->att_live);
    INS(em, S_LD_FP, .rd = 1, .rs1 = fp, .imm = word);
    if (invert)
        INS(em, S_RECI_FP, .rd = 1, .rs1 = 1);
    for (uint32_t s = 0; s < head_segs(c); s++) {
        emit_add(em, o, off, (int64_t)seg_addr(c, &c->rows->o, h, s));
        INS(em, V_MUL_VF, .rd = o, .rs1 = o, .rs2 = 1, .rs3 = mask);
        if (!add)
            continue;
        emit_add(em, p, off, (int64_t)seg_addr(c, &c->rows->pv, h, s));
        INS(em, V_ADD_VV, .rd = o, .rs1 = o, .rs2 = p, .rs3 = mask);
    }
    emit_add(em, off, off, c->pitch);
    emit_add(em, fp, fp, 1);
    loop_end(em, l);
    gp_give(em, off);
    gp_give(em, fp);
    gp_give(em, o);
    gp_give(em, p);
}

typedef void head_step(struct comp *c, const struct flash *f, const struct head *h);

static void each_head(struct comp *c, const struct flash *f, head_step *step)
{
    for (uint32_t kv = 0; kv < f->kv_heads; kv++)
        for (uint32_t g = 0; g < f->per_kv; g++) {
            const uint32_t kv_head = f->group * c->heads.per_group + kv;
            const struct head h = {((uint64_t)g * c->cfg->n_kv_heads + kv_head) * c->plan.head_slot, kv * f->per_kv + g, kv};
            step(c, f, &h);
        }
}

static void kv_tile_step(struct comp *c, const struct flash *f, const struct head *h)
{
    emit_op(&c->em, "attention.qk");
    scores(c, f, h);
    emit_op(&c->em, "attention.softmax");
    softmax(c, f, h);
    emit_op(&c->em, "attention.pv");
    values(c, f, h);
    emit_op(&c->em, "attention.update");
    scale_head(c, h, f->fp_a, false, true);
}

static void finish_step(struct comp *c, const struct flash *f, const struct head *h)
{
    scale_head(c, h, f->fp_l + h->slot * c->rows->att_live, true, false);
}

static void init_state(struct comp *c, const struct flash *f)
{
    struct emit *em = &c->em;
    const uint32_t n = f->kv_heads * f->per_kv * c->rows->att_live;
    const uint8_t fp = emit_const(em, 0);
    INS(em, S_LD_FP, .rd = 1, .imm = PL_FP_NEG_INF);
    const struct loop l = loop_begin(em, n);
    INS(em, S_ST_FP, .rd = 1, .rs1 = fp, .imm = f->fp_m);
    INS(em, S_ST_FP, .rd = 0, .rs1 = fp, .imm = f->fp_l);
    emit_add(em, fp, fp, 1);
    loop_end(em, l);
    gp_give(em, fp);
}

static void kv_group(struct comp *c, struct flash *f)
{
    struct emit *em = &c->em;
    emit_op(em, "attention.load");
    init_state(c, f);
    f->cur = emit_const(em, 0);
    f->tok = emit_const(em, 0);
    load_kv(c, f, f->tok, f->cur);
    f->last = false;
    const uint8_t tiles = gp_take(em);
    INS(em, S_LD_INT, .rd = tiles, .imm = INT_TILES);
    const struct loop l = loop_begin_reg(em, tiles);
    gp_give(em, tiles);
    const uint8_t next = gp_take(em), other = emit_const(em, f->set);
    emit_add(em, next, f->tok, c->plan.kv_tile);
    INS(em, S_SUB_INT, .rd = other, .rs1 = other, .rs2 = f->cur);
    load_kv(c, f, next, other);
    gp_give(em, next);
    gp_give(em, other);
    each_head(c, f, kv_tile_step);
    emit_op(em, "attention.load");
    const uint8_t swap = emit_const(em, f->set);
    INS(em, S_SUB_INT, .rd = f->cur, .rs1 = swap, .rs2 = f->cur);
    gp_give(em, swap);
    emit_add(em, f->tok, f->tok, c->plan.kv_tile);
    loop_end(em, l);
    f->last = true;
    each_head(c, f, kv_tile_step);
    emit_op(em, "attention.normalise");
    each_head(c, f, finish_step);
    gp_give(em, f->cur);
    gp_give(em, f->tok);
}

void emit_attention(struct comp *c)
{
    struct flash f = {.per_kv = c->rows->pack ? 1 : c->cfg->n_heads / c->cfg->n_kv_heads,
                      .tile = (uint64_t)c->plan.mlen * c->plan.mlen,
                      .fp_m = PL_FP_STATE};
    const uint32_t most = c->heads.per_group * f.per_kv * c->rows->att_live;
    f.set = 2 * c->heads.token_tiles * c->heads.spans * f.tile;
    f.fp_l = f.fp_m + most;
    f.fp_a = f.fp_l + most;
    emit_op(&c->em, "attention.init");
    emit_zero(c, &c->rows->o);
    for (f.group = 0; f.group < c->heads.groups; f.group++) {
        const uint32_t left = c->cfg->n_kv_heads - f.group * c->heads.per_group;
        f.kv_heads = left < c->heads.per_group ? left : c->heads.per_group;
        kv_group(c, &f);
    }
}

/* One chunk of the row of all heads from the packed rows at register src. Rows that are no wider than a vector row are
 * shifted to their places; the first of a vector row brings zeros for the others. */
static void unpack_chunk(struct comp *c, uint8_t dst, uint8_t src, uint8_t at, uint8_t by)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, pack = c->rows->pack, step = pack < vlen ? pack : vlen;
    const uint8_t tmp = emit_const(em, c->rows->tmp.base);
    for (uint32_t x = 0; x < c->pitch; x += step) {
        const uint32_t shift = x % vlen;
        emit_add(em, at, src, pack < c->pitch ? (int64_t)(x / pack) * c->pitch + x % pack : (int64_t)x);
        emit_li(em, by, shift);
        INS(em, V_SHFT_V, .rd = shift ? tmp : dst, .rs1 = at, .rs2 = by);
        if (shift)
            INS(em, V_ADD_VV, .rd = dst, .rs1 = dst, .rs2 = tmp);
        if ((x + step) % vlen == 0)
            emit_add(em, dst, dst, x + step < c->pitch ? (int64_t)vlen : (int64_t)c->rows->heads.rows * c->pitch - (c->pitch - vlen));
    }
    gp_give(em, tmp);
}

/* The packed rows of o side by side in row 0 of `heads`. */
void emit_unpack(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t wide = m->pack > c->pitch ? m->pack / c->pitch : 1; /* chunks of a packed row */
    const int64_t chunk = (int64_t)m->o.rows * c->pitch, row = (int64_t)m->pack_chunk * c->pitch;
    const uint8_t dst = emit_const(em, m->heads.base), src = emit_const(em, m->o.base), at = gp_take(em), by = gp_take(em);
    const struct loop rows = loop_begin(em, m->o.rows / m->pack_chunk);
    const struct loop chunks = loop_begin(em, wide);
    unpack_chunk(c, dst, src, at, by);
    if (wide > 1)
        emit_add(em, src, src, chunk);
    loop_end(em, chunks);
    emit_add(em, src, src, wide > 1 ? row - wide * chunk : row);
    loop_end(em, rows);
    const uint8_t used[] = {dst, src, at, by};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}
