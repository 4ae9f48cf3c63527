/* softmax.c - a step of the online softmax on rows of scores.
 *
 * Rows go in blocks of up to four, so that one row's latencies pass under the others' work; each row sees the operations
 * of doc/lowering.md, 5, in their order. f1.. = m, then l, of the block's rows; f5..f7 = a. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

enum { BLOCK = 4, F_ROW = 1, F_A = 5, N_F_A = 3 };

struct block {
    uint32_t n, segs;  /* rows; vector rows of a score row */
    uint8_t row[BLOCK]; /* registers: the segment at hand of each row */
    uint8_t limit, fp; /* registers: tokens the first row may see; row number */
    uint32_t m, l, a;  /* FP SRAM words of row 0 */
    bool mask;         /* rows may not see every token */
    uint32_t window;
};

static void next_seg(struct comp *c, const struct block *b, uint32_t s)
{
    const int64_t vlen = c->arch->vlen;
    for (uint32_t i = 0; i < b->n; i++)
        emit_add(&c->em, b->row[i], b->row[i], s + 1 < b->segs ? vlen : -(int64_t)(b->segs - 1) * vlen);
}

/* The segment at hand of row i without the tokens that it does not see. lim: a register, or 0 when `limit` is all rows'. */
static void mask_row(struct comp *c, const struct block *b, uint32_t i, uint8_t lim)
{
    struct emit *em = &c->em;
    if (b->mask) {
        if (lim)
            emit_add(em, lim, b->limit, i);
        INS(em, V_LIM_V, .rd = b->row[i], .rs1 = b->row[i], .rs2 = lim ? lim : b->limit);
    }
    if (b->window) {
        const uint8_t low = gp_take(em);
        emit_add(em, low, b->limit, (int64_t)(lim ? i : 0) - b->window);
        INS(em, V_LIM_V, .rd = b->row[i], .rs1 = b->row[i], .rs2 = low, .fn = 1);
        gp_give(em, low);
    }
}

/* f[row] = max(m, scores) */
static void block_max(struct comp *c, const struct block *b)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen;
    const bool masked = b->mask || b->window;
    const uint8_t lim = c->rows->att_tokens > 1 ? gp_take(em) : 0; /* 0: one limit for all rows */
    for (uint32_t i = 0; i < b->n; i++)
        INS(em, S_LD_FP, .rd = (uint8_t)(F_ROW + i), .rs1 = b->fp, .imm = b->m + i);
    for (uint32_t s = 0; s < b->segs; s++) {
        for (uint32_t i = 0; masked && i < b->n; i++)
            mask_row(c, b, i, lim);
        for (uint32_t i = 0; i < b->n; i++)
            INS(em, V_RED_MAX, .rd = (uint8_t)(F_ROW + i), .rs1 = b->row[i]);
        next_seg(c, b, s);
        if (masked && b->segs > 1)
            emit_add(em, b->limit, b->limit, s + 1 < b->segs ? -(int64_t)vlen : (int64_t)(b->segs - 1) * vlen);
    }
    if (lim)
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
    uint8_t fa = b->fp; /* row number in a, which rolled heads share */
    if (c->roll) {
        fa = gp_take(em);
        INS(em, S_LD_INT, .rd = fa, .imm = INT_HEAD_FP);
        INS(em, S_SUB_INT, .rd = fa, .rs1 = b->fp, .rs2 = fa);
    }
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
        INS(em, S_ST_FP, .rd = f_a(i), .rs1 = fa, .imm = b->a + i);
    if (c->roll)
        gp_give(em, fa);
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

void emit_softmax(struct comp *c, const struct softmax *x)
{
    struct emit *em = &c->em;
    const uint32_t most = x->rows < BLOCK ? x->rows : BLOCK;
    struct block b = {.segs = c->pitch / c->arch->vlen, .m = x->m, .l = x->l, .a = x->a, .mask = x->mask, .window = x->window};
    for (uint32_t i = 0; i < most; i++)
        b.row[i] = emit_const(em, c->rows->score.base + (uint64_t)i * c->pitch);
    b.fp = emit_const(em, 0);
    emit_at(c, b.fp, INT_HEAD_FP);
    b.limit = gp_take(em); /* pos + row + 1 - tok; of rows of one token pos + 1 - tok */
    INS(em, S_LD_INT, .rd = b.limit, .imm = c->cfg->mla.kv_rank ? INT_MLA_POS : INT_POS);
    emit_add(em, b.limit, b.limit, 1);
    INS(em, S_SUB_INT, .rd = b.limit, .rs1 = b.limit, .rs2 = x->tok);
    const struct row_loop l = rows_begin(c, x->rows - x->rows % most, most);
    b.n = most;
    softmax_block(c, &b);
    for (uint32_t i = 0; x->rows > most && i < most; i++)
        emit_add(em, b.row[i], b.row[i], (int64_t)most * c->pitch);
    if (x->rows > most) {
        emit_add(em, b.limit, b.limit, c->rows->att_tokens > 1 ? most : 0);
        emit_add(em, b.fp, b.fp, most);
    }
    rows_end(c, l);
    b.n = x->rows % most;
    if (b.n)
        softmax_block(c, &b);
    for (uint32_t i = 0; i < most; i++)
        gp_give(em, b.row[i]);
    gp_give(em, b.fp);
    gp_give(em, b.limit);
}
