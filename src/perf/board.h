/* board.h - a scoreboard in small: when the operations of a loop body can issue, given their dependences. Internal to perf.
 *
 * The rules are the simulator's: one operation a cycle, in order; it waits for its operands, its unit, and for older writes
 * of the same place to end before its own. Only floating registers and whole operands are told apart; FP SRAM is one place. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERF_BOARD_H
#define PERF_BOARD_H
#include "plena/arch_timing.h"

enum { PLACES = 24, P_NONE = 0, P_ROW = 8 /* first vector operand; 1..7 are f1..f7 */, P_MM = 22 /* results of the array */, P_FPMEM = 23 };
struct board {
    const struct pl_arch *arch;
    double issue[PL_OPC_COUNT], result[PL_OPC_COUNT]; /* latencies of arch_timing */
    double now;           /* the front end's next issue slot */
    double ready[PLACES]; /* end of the last write */
    double scalar_free, matrix_free, bus_free;
    double array; /* cycles of products so far */
};
typedef void board_body(struct board *b, const void *ctx);

void board_init(struct board *b, const struct pl_arch *arch);
static inline double board_later(double a, double b)
{
    return a > b ? a : b;
}
/* dst = f(s1, s2); P_NONE where there is none. */
static inline void board_op(struct board *b, enum pl_op_class c, unsigned dst, unsigned s1, unsigned s2)
{
    const bool scalar = c >= PL_OPC_SFP && c <= PL_OPC_IMUL;
    double at = board_later(b->now, board_later(b->ready[s1], b->ready[s2]));
    if (scalar)
        at = board_later(at, b->scalar_free);
    if (dst)
        at = board_later(at, dst < P_ROW || dst == P_FPMEM ? b->ready[dst] : b->ready[dst] - b->result[c] + 1);
    if (scalar)
        b->scalar_free = at + b->issue[c];
    b->now = at + 1;
    if (dst)
        b->ready[dst] = at + b->result[c];
}
/* n integer operations; n instructions of no unit that could be busy. */
static inline void board_ints(struct board *b, double n)
{
    if (n > 0)
        b->scalar_free = b->now = board_later(b->now, b->scalar_free) + n;
}
static inline void board_slots(struct board *b, double n)
{
    b->now += n;
}
static inline void board_wait(struct board *b, double until)
{
    b->now = board_later(b->now, until);
}
/* The body `count` times: as it is the first two times, then at the pace of the second. */
void board_repeat(struct board *b, double count, board_body *body, const void *ctx);
/* Columns of BLEN results, one after another: `tiles` products each, `step` instructions from one to the next. Behind every
 * gap[k].every columns, rising, gap[k].insns more stand in the code before the next product than where gap[k - 1] alone has
 * passed; gap[0].every is 1. Nothing waits between front end and array. */
enum { GAPS = 5 };
struct column {
    double tiles, step;
    struct {
        double every, insns;
    } gap[GAPS];
};
/* Cycles from a product to the next where gaps up to k pass. */
double column_gap(const struct board *b, const struct column *c, unsigned k);
/* `columns` of them, reading place `in`. */
void board_columns(struct board *b, double columns, const struct column *c, unsigned in);
/* A transfer asked for at `ask`: the end of its data. */
double board_load(struct board *b, double ask, double bytes);
#endif
