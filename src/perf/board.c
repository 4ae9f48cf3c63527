/* board.c - the scoreboard in small. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <math.h>

enum { COLUMN_TAIL = 2 /* write-out, next columns */, LOOP_TAIL = 2 /* next results, loop */ };

void board_init(struct board *b, const struct pl_arch *arch)
{
    *b = (struct board){.arch = arch};
    for (unsigned c = 0; c < PL_OPC_COUNT; c++)
        b->lat[c] = pl_arch_latency(arch, (enum pl_op_class)c, 1);
}

static double max(double a, double b)
{
    return a > b ? a : b;
}

static bool is_scalar(enum pl_op_class c)
{
    return c >= PL_OPC_SFP && c <= PL_OPC_IMUL;
}

void board_op(struct board *b, enum pl_op_class c, unsigned dst, unsigned s1, unsigned s2)
{
    const struct pl_latency l = b->lat[c];
    double at = max(b->now, max(b->ready[s1], b->ready[s2]));
    if (is_scalar(c))
        at = max(at, b->scalar_free);
    if (dst)
        at = max(at, dst < P_ROW || dst == P_FPMEM ? b->ready[dst] : b->ready[dst] - l.result_cyc + 1);
    if (is_scalar(c))
        b->scalar_free = at + l.issue_cyc;
    b->now = at + 1;
    b->ready[dst] = dst ? at + l.result_cyc : 0;
}

void board_ints(struct board *b, double n)
{
    if (n > 0) {
        b->now = max(b->now, b->scalar_free) + n;
        b->scalar_free = b->now;
    }
}

void board_slots(struct board *b, double n)
{
    b->now += n;
}

/* What a pass has not touched stays where it is. */
void board_repeat(struct board *b, double count, board_body *body, const void *ctx)
{
    struct board was = *b;
    for (double i = 0; i < fmin(count, 3); i++) {
        was = *b;
        body(b, ctx);
    }
    if (count <= 3)
        return;
    const double by = b->now - was.now;
    for (unsigned i = 1; i < PLACES; i++)
        b->ready[i] += b->ready[i] > was.ready[i] ? by * (count - 3) : 0;
    b->scalar_free += b->scalar_free > was.scalar_free ? by * (count - 3) : 0;
    b->matrix_free += b->matrix_free > was.matrix_free ? by * (count - 3) : 0;
    b->now += by * (count - 3);
}

void board_columns(struct board *b, double columns, double tiles, double insns, bool pairs, unsigned in)
{
    if (columns <= 0)
        return;
    const double blen = b->lat[PL_OPC_MM].issue_cyc, array = tiles * blen;
    const double first = max(max(b->now, b->matrix_free), b->ready[in]);
    const double plain = max(array, insns), tail = max(array, insns + LOOP_TAIL), pace = pairs ? (plain + tail) / 2 : tail;
    const double step = max(blen, (insns - COLUMN_TAIL) / tiles);
    const double last = first + (columns - 1) * pace + (tiles - 1) * step;
    b->now = last + 1 + COLUMN_TAIL + LOOP_TAIL;
    b->matrix_free = last + blen;
    b->ready[P_MM] = last + b->lat[PL_OPC_MM].result_cyc + b->lat[PL_OPC_MM_WO].result_cyc;
}

double board_load(struct board *b, double ask, double bytes)
{
    if (bytes <= 0)
        return ask;
    b->bus_free = max(b->bus_free, ask) + ceil(bytes / b->arch->hbm_bandwidth);
    return b->bus_free + b->arch->hbm_latency;
}

void board_wait(struct board *b, double until)
{
    b->now = max(b->now, until);
}
