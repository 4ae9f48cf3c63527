/* batch.c - decode of several sequences in one pass: what each of them does alone.
 *
 * Linear layers, norms and the MLP see the tokens of all sequences as rows. Position, cache and attention are a sequence's
 * own: a loop over the sequences puts its position, KV tiles and first row of the cache where a pass of one token has
 * them, brings its queries into the shape of such a pass, and takes the result to its row. INT_SEQ counts the sequences,
 * INT_SEQ_ROW is the distance of their rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

/* ---- the loop over sequences ---- */
static struct loop seq_begin(struct comp *c)
{
    struct emit *em = &c->em;
    INS(em, S_ST_INT, .rd = 0, .imm = INT_SEQ);
    INS(em, S_ST_INT, .rd = 0, .imm = INT_SEQ_ROW);
    INS(em, S_ST_INT, .rd = 0, .imm = INT_KV_ROW);
    const struct loop l = loop_begin(em, c->rows->batch);
    const uint8_t seq = gp_take(em), v = gp_take(em);
    INS(em, S_LD_INT, .rd = seq, .imm = INT_SEQ);
    INS(em, S_LD_INT, .rd = v, .rs1 = seq, .imm = c->int_pos);
    INS(em, S_ST_INT, .rd = v, .imm = INT_POS);
    INS(em, S_LD_INT, .rd = v, .rs1 = seq, .imm = c->int_tiles);
    INS(em, S_ST_INT, .rd = v, .imm = INT_TILES);
    INS(em, S_LD_INT, .rd = v, .rs1 = seq, .imm = c->int_first);
    INS(em, S_ST_INT, .rd = v, .imm = INT_FIRST);
    gp_give(em, seq);
    gp_give(em, v);
    return l;
}

static void step_word(struct comp *c, uint32_t word, uint64_t by)
{
    const uint8_t v = gp_take(&c->em);
    INS(&c->em, S_LD_INT, .rd = v, .imm = word);
    emit_add(&c->em, v, v, (int64_t)by);
    INS(&c->em, S_ST_INT, .rd = v, .imm = word);
    gp_give(&c->em, v);
}

static void seq_end(struct comp *c, struct loop l)
{
    step_word(c, INT_SEQ, 1);
    step_word(c, INT_SEQ_ROW, c->pitch);
    step_word(c, INT_KV_ROW, c->capacity);
    loop_end(&c->em, l);
}

/* base + the distance to the sequence's row. */
static uint8_t seq_addr(struct comp *c, uint64_t base)
{
    const uint8_t r = emit_const(&c->em, base), off = gp_take(&c->em);
    INS(&c->em, S_LD_INT, .rd = off, .imm = INT_SEQ_ROW);
    INS(&c->em, S_ADD_INT, .rd = r, .rs1 = r, .rs2 = off);
    gp_give(&c->em, off);
    return r;
}

void emit_seq_offset(struct comp *c, uint8_t reg)
{
    const uint8_t off = gp_take(&c->em);
    INS(&c->em, S_LD_INT, .rd = off, .imm = INT_SEQ_ROW);
    INS(&c->em, S_ADD_INT, .rd = reg, .rs1 = reg, .rs2 = off);
    gp_give(&c->em, off);
}

/* ---- position and cache ---- */
/* Row b of every table: that of sequence b's position. */
void emit_batch_rope_load(struct comp *c)
{
    struct emit *em = &c->em;
    const struct loop l = seq_begin(c);
    const uint8_t pos = gp_take(em), desc = gp_take(em), col = gp_take(em);
    INS(em, S_LD_INT, .rd = pos, .imm = INT_POS);
    for (unsigned i = 0; i < 4; i++) {
        const struct pl_map_tensor *t = &c->rows->rope[i];
        emit_li(em, desc, DESC_ROPE + i);
        for (uint32_t x = 0; x < t->cols; x += c->arch->vlen) {
            emit_li(em, col, x);
            const uint8_t dst = seq_addr(c, lane_addr(c, t, x));
            INS(em, H_LOAD_V, .rd = dst, .rs1 = pos, .rs2 = desc, .rs3 = col);
            gp_give(em, dst);
        }
    }
    gp_give(em, pos);
    gp_give(em, desc);
    gp_give(em, col);
    seq_end(c, l);
}

/* Row b of k and v to sequence b's place in the cache. */
void emit_batch_kv_store(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_tensor *t[2] = {&c->rows->k, &c->rows->v};
    const struct loop l = seq_begin(c);
    const uint8_t row = emit_kv_row(c, INT_POS), col = gp_take(em);
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t desc = emit_layer_desc(c, i ? LAYER_V : LAYER_K);
        for (uint32_t x = 0; x < t[i]->cols; x += c->arch->vlen) {
            emit_li(em, col, x);
            const uint8_t src = seq_addr(c, lane_addr(c, t[i], x));
            INS(em, H_SAVE_V, .rd = src, .rs1 = row, .rs2 = desc, .rs3 = col);
            gp_give(em, src);
        }
        gp_give(em, desc);
    }
    gp_give(em, row);
    gp_give(em, col);
    seq_end(c, l);
    INS(em, C_FENCE_ST, .rd = 0);
}

/* ---- attention ---- */
/* n chunks of PITCH lanes from register src to register dst, which move on by these steps. */
static void copy_chunks(struct comp *c, uint8_t dst, uint8_t src, uint32_t n, int64_t dst_step, int64_t src_step)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen;
    const struct loop l = loop_begin(em, n);
    for (uint32_t x = 0; x < c->pitch; x += vlen) {
        INS(em, V_SHFT_V, .rd = dst, .rs1 = src, .rs2 = 0);
        const bool last = x + vlen == c->pitch;
        emit_add(em, dst, dst, last ? dst_step - (int64_t)x : (int64_t)vlen);
        emit_add(em, src, src, last ? src_step - (int64_t)x : (int64_t)vlen);
    }
    loop_end(em, l);
}

/* Part g of the sequence's queries, `pack` lanes below PITCH, becomes row g. A part inside a vector row comes to lane 0 by
 * exchanging halves; what else that brings along lies in lanes of no head. */
static void gather_narrow(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const uint32_t vlen = c->arch->vlen, pack = m->pack, step = pack < vlen ? pack : vlen;
    for (uint32_t g = 0; g < m->att_live; g++)
        for (uint32_t x = 0; x < pack; x += step) {
            const uint64_t lane = (uint64_t)g * pack + x, shift = lane % vlen;
            const uint8_t src = seq_addr(c, lane_addr(c, &m->q, lane - shift));
            const uint8_t dst = emit_const(em, m->att_q.base + (uint64_t)g * c->pitch + x), by = gp_take(em);
            if (!shift)
                INS(em, V_SHFT_V, .rd = dst, .rs1 = src, .rs2 = 0);
            uint8_t from = src;
            for (uint32_t bit = pack; bit < vlen; bit *= 2)
                if (shift & bit) {
                    emit_li(em, by, bit);
                    INS(em, V_SWAP_V, .rd = dst, .rs1 = from, .rs2 = by);
                    from = dst;
                }
            gp_give(em, src);
            gp_give(em, dst);
            gp_give(em, by);
        }
}

static void gather(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    const int64_t from = (int64_t)m->q.rows * c->pitch, to = (int64_t)m->att_q.rows * c->pitch;
    if (m->pack && m->pack < c->pitch) {
        gather_narrow(c);
        return;
    }
    const uint32_t parts = m->pack ? m->att_live : 1, lanes = m->pack ? m->pack : m->q.cols, n = (lanes + c->pitch - 1) / c->pitch;
    const uint8_t src = seq_addr(c, m->q.base), dst = emit_const(em, m->att_q.base);
    const struct loop l = loop_begin(em, parts);
    copy_chunks(c, dst, src, n, to, from);
    emit_add(em, dst, dst, (int64_t)c->pitch - n * to);
    loop_end(em, l);
    gp_give(em, src);
    gp_give(em, dst);
}

void emit_batch_attention(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    emit_held(c);
    const struct loop l = seq_begin(c);
    emit_op(em, "attention.gather");
    gather(c);
    emit_attention(c);
    emit_op(em, "attention.unpack");
    if (m->pack) {
        emit_unpack(c);
    } else {
        const uint8_t src = emit_const(em, m->o.base), dst = seq_addr(c, m->heads.base);
        copy_chunks(c, dst, src, (m->o.cols + c->pitch - 1) / c->pitch, (int64_t)m->heads.rows * c->pitch, (int64_t)m->o.rows * c->pitch);
        gp_give(em, src);
        gp_give(em, dst);
    }
    seq_end(c, l);
}

/* ---- logits and choice of every sequence ---- */
static uint32_t best_word(const struct comp *c)
{
    return c->rows->fp_words - c->rows->batch;
}

void emit_batch_choice_start(struct comp *c)
{
    struct emit *em = &c->em;
    const uint8_t seq = emit_const(em, 0);
    const struct loop l = loop_begin(em, c->rows->batch);
    INS(em, S_ST_FP, .rd = 7, .rs1 = seq, .imm = best_word(c));
    INS(em, S_ST_INT, .rd = 0, .rs1 = seq, .imm = c->int_tokens);
    emit_add(em, seq, seq, 1);
    loop_end(em, l);
    gp_give(em, seq);
}

/* f7 = best logit so far of the sequence at hand, register idx its index. */
void emit_batch_choice(struct comp *c, uint8_t col)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen, segs = c->pitch / vlen;
    const uint8_t seq = emit_const(em, 0), row = emit_const(em, c->rows->score.base), tmp = emit_const(em, c->rows->tmp.base);
    const uint8_t lim = gp_take(em), idx = gp_take(em), desc = gp_take(em);
    const struct loop l = loop_begin(em, c->rows->batch);
    INS(em, S_LD_FP, .rd = 7, .rs1 = seq, .imm = best_word(c));
    INS(em, S_LD_INT, .rd = idx, .rs1 = seq, .imm = c->int_tokens);
    INS(em, S_LD_INT, .rd = col, .imm = INT_COL);
    for (uint32_t s = 0; s < segs; s++) {
        emit_li(em, desc, DESC_LOGITS);
        INS(em, H_SAVE_V, .rd = row, .rs1 = seq, .rs2 = desc, .rs3 = col);
        emit_li(em, lim, c->cfg->vocab);
        INS(em, S_SUB_INT, .rd = lim, .rs1 = lim, .rs2 = col);
        INS(em, V_LIM_V, .rd = tmp, .rs1 = row, .rs2 = lim);
        INS(em, V_ARGMAX, .rd = 7, .rs1 = tmp, .rs2 = col, .rs3 = idx);
        emit_add(em, row, row, vlen);
        emit_add(em, col, col, vlen);
    }
    INS(em, S_ST_FP, .rd = 7, .rs1 = seq, .imm = best_word(c));
    INS(em, S_ST_INT, .rd = idx, .rs1 = seq, .imm = c->int_tokens);
    emit_add(em, seq, seq, 1);
    loop_end(em, l);
    const uint8_t used[] = {seq, row, tmp, lim, idx, desc};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}
