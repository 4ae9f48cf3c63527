/* board.c - the scoreboard in small. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <math.h>
#include <string.h>

enum { STEADY = 2 };

void board_init(struct board *b, const struct pl_arch *arch)
{
    *b = (struct board){.arch = arch};
    for (unsigned c = 0; c < PL_OPC_COUNT; c++) {
        const struct pl_latency l = pl_arch_latency(arch, (enum pl_op_class)c, 1);
        b->issue[c] = l.issue_cyc;
        b->result[c] = l.result_cyc;
    }
}

/* What a pass has not touched stays where it is. */
void board_repeat(struct board *b, double count, board_body *body, const void *ctx)
{
    double ready[PLACES];
    if (count > 0)
        body(b, ctx);
    if (count <= 1)
        return;
    const double now = b->now, scalar_free = b->scalar_free, matrix_free = b->matrix_free;
    memcpy(ready, b->ready, sizeof ready);
    body(b, ctx);
    const double by = (b->now - now) * (count - STEADY);
    if (count <= STEADY)
        return;
    for (unsigned i = 1; i < PLACES; i++)
        b->ready[i] += b->ready[i] > ready[i] ? by : 0;
    b->scalar_free += b->scalar_free > scalar_free ? by : 0;
    b->matrix_free += b->matrix_free > matrix_free ? by : 0;
    b->now += by;
}

double column_gap(const struct board *b, const struct column *c, unsigned k)
{
    double insns = 0;
    for (unsigned i = 0; i <= k; i++)
        insns += c->gap[i].insns;
    return board_later(b->issue[PL_OPC_MM], insns);
}

void board_columns(struct board *b, double columns, const struct column *c, unsigned in)
{
    if (columns <= 0)
        return;
    const double blen = b->issue[PL_OPC_MM];
    double last = board_later(board_later(b->now, b->matrix_free), b->ready[in]) + columns * (c->tiles - 1) * board_later(blen, c->step);
    for (unsigned k = 0; k < GAPS && c->gap[k].every > 0; k++) {
        const double next = k + 1 < GAPS && c->gap[k + 1].every > 0 ? columns / c->gap[k + 1].every : 1;
        last += board_later(0, columns / c->gap[k].every - next) * column_gap(b, c, k);
    }
    b->array += columns * c->tiles * blen;
    b->now = last + 2 + c->gap[1].insns; /* behind the write-out */
    b->matrix_free = last + blen;
    b->ready[P_MM] = last + b->result[PL_OPC_MM] + b->result[PL_OPC_MM_WO];
}

double board_load(struct board *b, double ask, double bytes)
{
    if (bytes <= 0)
        return ask;
    b->bus_free = board_later(b->bus_free, ask) + ceil(bytes / b->arch->hbm_bandwidth);
    return b->bus_free + b->arch->hbm_latency;
}
