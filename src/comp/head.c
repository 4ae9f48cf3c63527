/* head.c - final norm, lm_head chunk by chunk, logits to HBM, greedy choice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

/* f7 = best logit so far; INT_TOKEN its index, INT_COL the first column of the chunk at hand. */
struct head_ctx {
    bool all_rows;
};

static void argmax_chunk(struct comp *c, const struct head_ctx *h, uint8_t col)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, segs = c->pitch / vlen;
    const uint8_t row = emit_const(em, c->rows->score.base), tmp = emit_const(em, c->rows->tmp.base);
    const uint8_t lim = emit_const(em, c->cfg->vocab), idx = gp_take(em), step = gp_take(em);
    if (h->all_rows && c->rows->live > 1) {
        INS(em, S_LD_INT, .rd = idx, .imm = INT_LAST);
        emit_li(em, step, c->pitch);
        INS(em, S_MUL_INT, .rd = idx, .rs1 = idx, .rs2 = step);
        INS(em, S_ADD_INT, .rd = row, .rs1 = row, .rs2 = idx);
    }
    INS(em, S_LD_INT, .rd = idx, .imm = INT_TOKEN);
    INS(em, S_SUB_INT, .rd = lim, .rs1 = lim, .rs2 = col);
    emit_li(em, step, vlen);
    for (uint32_t s = 0; s < segs; s++) {
        INS(em, V_LIM_V, .rd = tmp, .rs1 = row, .rs2 = lim);
        INS(em, V_ARGMAX, .rd = 7, .rs1 = tmp, .rs2 = col, .rs3 = idx);
        emit_add(em, row, row, vlen);
        emit_add(em, col, col, vlen);
        INS(em, S_SUB_INT, .rd = lim, .rs1 = lim, .rs2 = step);
    }
    INS(em, S_ST_INT, .rd = idx, .imm = INT_TOKEN);
    const uint8_t used[] = {row, tmp, lim, idx, step};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

static void logits_chunk(struct comp *c, void *ctx)
{
    struct emit *em = &c->em;
    const struct head_ctx *h = ctx;
    if (c->rows->batch) {
        const uint8_t at = gp_take(em);
        emit_batch_choice(c, at);
        INS(em, S_ST_INT, .rd = at, .imm = INT_COL);
        gp_give(em, at);
        return;
    }
    const uint32_t vlen = c->arch->vlen;
    const uint8_t log = h->all_rows ? (uint8_t)pl_log2(c->rows->live) : 0;
    const uint8_t col = gp_take(em), src = emit_const(em, c->rows->score.base);
    const uint8_t desc = emit_const(em, DESC_LOGITS);
    INS(em, S_LD_INT, .rd = col, .imm = INT_COL);
    for (uint32_t s = 0; s < c->pitch / vlen; s++) {
        INS(em, H_SAVE_V, .rd = src, .rs1 = 0, .rs2 = desc, .rs3 = col, .fn = log);
        emit_add(em, src, src, vlen);
        emit_add(em, col, col, vlen);
    }
    gp_give(em, src);
    gp_give(em, desc);
    INS(em, S_LD_INT, .rd = col, .imm = INT_COL);
    argmax_chunk(c, h, col);
    INS(em, S_ST_INT, .rd = col, .imm = INT_COL); /* argmax_chunk moved it on by PITCH */
    gp_give(em, col);
}

void emit_head(struct comp *c, bool all_rows)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    emit_op(em, "final_norm");
    emit_rmsnorm(c, &m->gain[0], all_rows ? m->live : 1); /* the gain of a layer behind the last is the final one */

    emit_op(em, "lm_head");
    struct head_ctx h = {all_rows};
    INS(em, S_LD_FP, .rd = 7, .imm = PL_FP_NEG_INF);
    INS(em, S_ST_INT, .rd = 0, .imm = INT_TOKEN);
    INS(em, S_ST_INT, .rd = 0, .imm = INT_COL);
    if (m->batch)
        emit_batch_choice_start(c);
    const struct gemm g = {.x = &m->y,
                           .rows = all_rows ? m->live : 1,
                           .weight = LAYER_HEAD,
                           .n = c->cfg->vocab,
                           .y = &m->score,
                           .chunk = logits_chunk,
                           .ctx = &h};
    emit_gemm(c, &g);
}
