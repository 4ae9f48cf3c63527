/* heads.c - cycles of what some families do to q and k: biases, and a norm of every head. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "pass.h"

enum { HEADS_AT_ONCE = 6, X = P_ROW, TMP, GAIN };

/* 1 / sqrt(f / D + eps) of f1.. */
static void factors(struct board *b, unsigned n)
{
    board_op(b, PL_OPC_SMEM, 7, P_FPMEM, P_NONE);
    for (unsigned i = 1; i <= n; i++)
        board_op(b, PL_OPC_SFP, i, i, 7);
    board_op(b, PL_OPC_SMEM, 7, P_FPMEM, P_NONE);
    for (unsigned i = 1; i <= n; i++)
        board_op(b, PL_OPC_SFP, i, i, 7);
    for (unsigned i = 1; i <= n; i++)
        board_op(b, PL_OPC_SDIV, i, i, P_NONE);
    for (unsigned i = 1; i <= n; i++)
        board_op(b, PL_OPC_SDIV, i, i, P_NONE);
}

/* The heads of one vector row; `masked`: there is more than one. */
static void narrow(struct board *b, const void *ctx)
{
    const struct pass *p = ctx;
    const unsigned heads = p->arch->vlen / p->plan.head_slot;
    const double mask = heads > 1 ? 2 : 0;
    board_op(b, PL_OPC_VMUL, TMP, X, X);
    for (unsigned h = 0; h < heads; h += HEADS_AT_ONCE) {
        const unsigned n = heads - h < HEADS_AT_ONCE ? heads - h : HEADS_AT_ONCE;
        for (unsigned i = 1; i <= n; i++) {
            board_ints(b, mask);
            board_op(b, PL_OPC_SFP, i, P_NONE, P_NONE);
            board_op(b, PL_OPC_VSUM, i, TMP, i);
        }
        factors(b, n);
        for (unsigned i = 1; i <= n; i++) {
            board_ints(b, mask);
            board_op(b, PL_OPC_VMUL, X, X, i);
        }
    }
    board_op(b, PL_OPC_VMUL, X, X, GAIN);
    b->ready[X] = 0; /* the next one is another row */
    board_ints(b, 1);
    board_slots(b, 1);
}

/* A head of several vector rows. */
static void wide(struct board *b, const void *ctx)
{
    const struct pass *p = ctx;
    const double segs = p->plan.head_slot / (double)p->arch->vlen;
    board_op(b, PL_OPC_SFP, 1, P_NONE, P_NONE);
    for (double s = 0; s < segs; s++) {
        board_op(b, PL_OPC_VMUL, TMP, X, X);
        board_op(b, PL_OPC_VSUM, 1, TMP, 1);
        board_ints(b, 1);
    }
    factors(b, 1);
    board_ints(b, 1);
    for (double s = 0; s < segs; s++) {
        board_op(b, PL_OPC_VMUL, X, X, 1);
        board_op(b, PL_OPC_VMUL, X, X, GAIN);
        b->ready[X] = 0;
        board_ints(b, 2);
    }
    board_ints(b, 3);
}

struct rows {
    const struct pass *p;
    double units; /* vector rows of heads, or heads */
};

static void row(struct board *b, const void *ctx)
{
    const struct rows *r = ctx;
    board_ints(b, 1);
    board_repeat(b, r->units, r->p->plan.head_slot <= r->p->arch->vlen ? narrow : wide, r->p);
    board_ints(b, 1);
    board_slots(b, 2);
}

void pass_head_norm(struct pass *p, double rows, double cols)
{
    const struct rows r = {p, p->plan.head_slot <= p->arch->vlen ? segs_of(p, cols) : cols / p->plan.head_slot};
    p->b.ready[X] = p->b.ready[GAIN] = 0;
    board_ints(&p->b, 4);
    board_repeat(&p->b, rows, row, &r);
}

void pass_bias(struct pass *p, double cols, bool packed)
{
    const double vlen = p->arch->vlen, segs = packed ? p->rows.att_live * fmax(1, p->rows.pack / vlen) : segs_of(p, cols);
    board_ints(&p->b, 5 + 4 * segs);
    if (!packed) {
        pass_add(p, cols);
        return;
    }
    board_wait(&p->b, p->b.ready[P_MM]);
    board_ints(&p->b, 4 + 2 * (p->rows.pack < vlen));
    board_slots(&p->b, segs * 3 + p->rows.att_live * 2);
}
