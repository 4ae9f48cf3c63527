/* vector.c - cycles of the operators on the vector side. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "pass.h"

enum { X = P_ROW, Y, TMP, T1, T2 };

double li_cost(double value)
{
    return value < 1 << 18 || !((uint64_t)value & 0xfff) ? 1 : 2;
}

double add_cost(double delta)
{
    return delta >= 0 && delta < 1 << 18 ? 1 : 1 + li_cost(fabs(delta));
}

double segs_of(const struct pass *p, double cols)
{
    return ceil(cols / p->pitch) * p->pitch / p->arch->vlen;
}

/* A walk over the vector rows of a tensor row: pointers move, chunks are a loop. */
struct walk {
    const struct pass *p;
    double pointers, per_chunk;
    bool looped;
    void (*body)(struct board *b, const struct pass *p);
};

static void walk_seg(struct board *b, const void *ctx)
{
    const struct walk *w = ctx;
    w->body(b, w->p);
    board_ints(b, w->pointers);
    board_slots(b, w->looped ? 1 / w->per_chunk : 0);
}

static void walk(struct pass *p, double cols, double pointers, void (*body)(struct board *b, const struct pass *p))
{
    const struct walk w = {p, pointers, p->pitch / p->arch->vlen, ceil(cols / p->pitch) > 1, body};
    board_slots(&p->b, w.looped);
    board_repeat(&p->b, segs_of(p, cols), walk_seg, &w);
}

/* ---- norm ---- */
static void square(struct board *b, const struct pass *p)
{
    (void)p;
    board_op(b, PL_OPC_VMUL, TMP, X, X);
    board_op(b, PL_OPC_VSUM, 1, TMP, 1);
}

static void scale(struct board *b, const struct pass *p)
{
    (void)p;
    board_op(b, PL_OPC_VMUL, Y, X, 1);
    board_op(b, PL_OPC_VMUL, Y, Y, T1);
}

static void norm_row(struct board *b, const void *ctx)
{
    struct pass *p = (struct pass *)(uintptr_t)ctx;
    board_op(b, PL_OPC_SFP, 1, P_NONE, P_NONE);
    board_ints(b, 1);
    walk(p, p->m->hidden, 1, square);
    board_op(b, PL_OPC_SMEM, 2, P_NONE, P_NONE);
    board_op(b, PL_OPC_SFP, 1, 1, 2);
    board_op(b, PL_OPC_SMEM, 2, P_NONE, P_NONE);
    board_op(b, PL_OPC_SFP, 1, 1, 2);
    board_op(b, PL_OPC_SDIV, 1, 1, P_NONE);
    board_op(b, PL_OPC_SDIV, 1, 1, P_NONE);
    board_ints(b, 3);
    walk(p, p->m->hidden, 3, scale);
    board_ints(b, 2);
    board_slots(b, p->rows.live > 1);
}

void pass_gains(struct pass *p)
{
    const double loads = 2 * segs_of(p, p->m->hidden), queue = p->arch->outstanding;
    board_ints(&p->b, 4 * loads + 8);
    /* Beyond the queue, one load enters as another ends. */
    board_slots(&p->b, fmax(0, loads - queue) * fmax(0, p->arch->hbm_latency / queue - 4));
}

void pass_norm(struct pass *p, double rows)
{
    struct board *b = &p->b;
    b->ready[X] = 0;
    board_ints(b, 6);
    board_repeat(b, rows, norm_row, p);
}

/* ---- RoPE ---- */
static void rope_seg(struct board *b, const struct pass *p)
{
    board_op(b, PL_OPC_VMOVE, TMP, X, P_NONE);
    board_op(b, PL_OPC_VMUL, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VMUL, X, X, P_NONE);
    board_op(b, PL_OPC_VADD, X, X, TMP);
    if (p->plan.rotate)
        board_op(b, PL_OPC_VHADAMARD, X, X, P_NONE);
    b->ready[X] = 0; /* the next segment is another row */
}

static void rope_pair(struct board *b, const struct pass *p)
{
    board_ints(b, 8);
    for (unsigned i = 0; i < 4; i++) {
        board_ints(b, 3);
        board_op(b, PL_OPC_VMUL, i < 2 ? TMP + i : X + i - 2, i < 2 ? X + !i : X + i - 2, P_NONE);
    }
    board_op(b, PL_OPC_VADD, X, X, TMP);
    board_op(b, PL_OPC_VADD, Y, Y, T1);
    if (p->plan.rotate) {
        board_ints(b, 1);
        board_op(b, PL_OPC_VHADAMARD, X, X, P_NONE);
        board_op(b, PL_OPC_VHADAMARD, Y, Y, P_NONE);
    }
    b->ready[X] = b->ready[Y] = 0;
}

struct rope_rows {
    struct pass *p;
    double cols;
    bool packed;
};

static void rope_row(struct board *b, const void *ctx)
{
    const struct rope_rows *r = ctx;
    if (r->p->plan.head_slot <= r->p->arch->vlen) {
        board_ints(b, 1);
        walk(r->p, r->cols, 1, rope_seg);
        board_ints(b, r->packed ? 1 : 3);
        board_slots(b, 1);
        return;
    }
    const struct walk w = {r->p, 0, 1, false, rope_pair};
    board_repeat(b, r->cols / 2 / r->p->arch->vlen, walk_seg, &w);
    board_slots(b, 2);
}

void pass_rope(struct pass *p, double rows, double cols, bool packed)
{
    struct board *b = &p->b;
    const struct rope_rows r = {p, cols, packed};
    unsigned group = p->plan.rotate ? pl_log2(p->plan.rotate) : 0;
    b->result[PL_OPC_VHADAMARD] = pl_arch_latency(p->arch, PL_OPC_VHADAMARD, group).result_cyc;
    b->ready[X] = b->ready[Y] = 0; /* v was multiplied last */
    board_ints(b, 8);
    board_repeat(b, rows, rope_row, &r);
}

/* ---- residual, SwiGLU ---- */
/* When the first chunk of the array's last result is there: of several chunks or blocks of rows, long ago. */
static double last_chunk(const struct pass *p, double cols)
{
    return cols > p->pitch || p->rows.live > p->arch->blen ? 0 : p->b.ready[P_MM];
}

static void add_seg(struct board *b, const struct pass *p)
{
    (void)p;
    board_op(b, PL_OPC_VADD, X, X, Y);
    b->ready[X] = 0;
}

static void residual_row(struct board *b, const void *ctx)
{
    struct pass *p = (struct pass *)(uintptr_t)ctx;
    board_ints(b, 2);
    walk(p, p->m->hidden, 2, add_seg);
    board_ints(b, 2);
    board_slots(b, p->rows.live > 1);
}

void pass_residual(struct pass *p)
{
    p->b.ready[X] = 0;
    p->b.ready[Y] = last_chunk(p, p->m->hidden);
    board_ints(&p->b, 3);
    board_repeat(&p->b, p->rows.live, residual_row, p);
}

static void glu_seg(struct board *b, const struct pass *p)
{
    board_op(b, PL_OPC_VADD, TMP, X, P_NONE);
    board_op(b, PL_OPC_VEXP, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VADD, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VRECI, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VMUL, TMP, TMP, X);
    board_op(b, PL_OPC_VMUL, X, TMP, Y);
    if (p->m->glu_limit > 0) { /* limits, and up + 1 */
        board_op(b, PL_OPC_VADD, T1, X, P_NONE);
        board_op(b, PL_OPC_VADD, T2, Y, P_NONE);
        board_op(b, PL_OPC_VADD, T2, T2, P_NONE);
        board_op(b, PL_OPC_VMUL, X, T1, T2);
    }
    b->ready[X] = 0;
}

static void glu_row(struct board *b, const void *ctx)
{
    struct pass *p = (struct pass *)(uintptr_t)ctx;
    board_ints(b, 2);
    walk(p, p->rows.gate.cols, 2, glu_seg);
    board_ints(b, 2);
    board_slots(b, p->rows.live > 1);
}

void pass_glu(struct pass *p)
{
    p->b.ready[X] = 0;
    p->b.ready[Y] = last_chunk(p, p->rows.gate.cols);
    board_ints(&p->b, 5);
    board_repeat(&p->b, p->rows.live, glu_row, p);
}

/* ---- KV store, set-up ---- */
void pass_store(struct pass *p)
{
    struct board *b = &p->b;
    const double lanes = (double)p->m->n_kv_heads * p->plan.head_slot, live = p->rows.live;
    const struct pl_format kv = pl_format_resolve(p->plan.kv, p->plan.vec);
    const double bytes = 2 * live * fmax(64, lanes * pl_perf_bits(&kv, true) / 8);
    board_ints(b, 6 + 2 * segs_of(p, lanes) * 3);
    const double done = board_load(b, fmax(b->now - 4, b->ready[P_MM]), bytes);
    board_wait(b, done);
    board_slots(b, 1);
    p->out->fixed_bytes += bytes;
}

void pass_setup(struct pass *p)
{
    struct board *b = &p->b;
    const struct pl_map_rows *r = &p->rows;
    const double zeros = segs_of(p, r->y.cols) * r->y.rows;
    const double packed = r->pack ? segs_of(p, r->q.cols) * r->q.rows + segs_of(p, r->heads.cols) * r->heads.rows : 0;
    const double spread = r->spread ? segs_of(p, p->pitch) * (r->spread_q.rows + 1) : 0;
    board_slots(b, 3 * (zeros + packed + spread) + 20);
    board_ints(b, r->live * (4 + 3 * segs_of(p, r->x.cols)) + 8 * 4);
}
