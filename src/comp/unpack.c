/* unpack.c - heads of one token from packed rows (map.h) to one row. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

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
    if (m->batch)
        emit_seq_offset(c, dst);
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
