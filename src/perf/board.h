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
    struct pl_latency lat[PL_OPC_COUNT];
    double now;           /* the front end's next issue slot */
    double ready[PLACES]; /* end of the last write */
    double scalar_free, matrix_free, bus_free;
};
typedef void board_body(struct board *b, const void *ctx);

void board_init(struct board *b, const struct pl_arch *arch);
/* dst = f(s1, s2); P_NONE where there is none. */
void board_op(struct board *b, enum pl_op_class c, unsigned dst, unsigned s1, unsigned s2);
void board_ints(struct board *b, double n);  /* n integer operations */
void board_slots(struct board *b, double n); /* n instructions of no unit that could be busy */
/* The body `count` times: as it is the first three times, then at the pace of the third. */
void board_repeat(struct board *b, double count, board_body *body, const void *ctx);
/* `columns` times: `tiles` products of the array, one write-out, `insns` instructions in all, reading place `in`; two more at
 * the end of each column, or, in pairs, of every other. */
void board_columns(struct board *b, double columns, double tiles, double insns, bool pairs, unsigned in);
/* A transfer asked for at `ask`: the end of its data. */
double board_load(struct board *b, double ask, double bytes);
void board_wait(struct board *b, double until);
#endif
