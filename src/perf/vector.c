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

/* ---- norm: four rows at once ---- */
enum { NORM_ROWS = 4, F_TMP = NORM_ROWS + 1, N_Y = P_ROW, N_GAIN = P_ROW + NORM_ROWS };

struct rows {
    struct pass *p;
    double cols;
    bool packed;
    unsigned n; /* rows at once */
};

static void square(struct board *b, const void *ctx)
{
    const struct rows *r = ctx;
    for (unsigned i = 0; i < r->n; i++)
        board_op(b, PL_OPC_VMUL, N_Y + i, P_NONE, P_NONE);
    for (unsigned i = 0; i < r->n; i++)
        board_op(b, PL_OPC_VSUM, 1 + i, N_Y + i, 1 + i);
    for (unsigned i = 0; i < r->n; i++)
        b->ready[N_Y + i] = 0; /* the next vector row */
    board_ints(b, 2 * r->n);
    board_slots(b, 1);
}

static void scale(struct board *b, const void *ctx)
{
    const struct rows *r = ctx;
    for (unsigned i = 0; i < r->n; i++)
        board_op(b, PL_OPC_VMUL, N_Y + i, 1 + i, P_NONE);
    for (unsigned i = 0; i < r->n; i++)
        board_op(b, PL_OPC_VMUL, N_Y + i, N_Y + i, N_GAIN);
    for (unsigned i = 0; i < r->n; i++)
        b->ready[N_Y + i] = 0;
    board_ints(b, 2 * r->n + 1);
    board_slots(b, 1);
}

static void norm_rows(struct board *b, const void *ctx)
{
    const struct rows *r = ctx;
    const struct pass *p = r->p;
    const double back = add_cost(-1 - ceil(r->cols / p->pitch) * p->rows.x.rows * p->pitch), segs = segs_of(p, r->cols);
    for (unsigned i = 0; i < r->n; i++) {
        board_ints(b, i ? 2 : 0);
        board_op(b, PL_OPC_SFP, 1 + i, P_NONE, P_NONE);
    }
    board_repeat(b, segs, square, r);
    for (unsigned step = 0; step < 2; step++) { /* / E, + eps */
        board_op(b, PL_OPC_SMEM, F_TMP, P_FPMEM, P_NONE);
        for (unsigned i = 0; i < r->n; i++)
            board_op(b, PL_OPC_SFP, 1 + i, 1 + i, F_TMP);
    }
    for (unsigned i = 0; i < 2 * r->n; i++)
        board_op(b, PL_OPC_SDIV, 1 + i % r->n, 1 + i % r->n, P_NONE);
    board_ints(b, 2 * r->n * back + 1);
    board_repeat(b, segs, scale, r);
    board_ints(b, 2 * back);
    board_slots(b, p->rows.live > 1);
}

void pass_gains(struct pass *p)
{
    const double loads = 2 * segs_of(p, p->m->hidden), queue = p->arch->outstanding;
    board_ints(&p->b, 4 * loads + 8);
    /* Beyond the queue, one load enters as another ends. */
    board_slots(&p->b, fmax(0, loads - queue) * fmax(0, p->arch->hbm_latency / queue - 4));
}

void pass_norm(struct pass *p, double rows, double cols)
{
    struct rows r = {p, cols, false, rows < NORM_ROWS ? (unsigned)rows : NORM_ROWS};
    board_ints(&p->b, 2 * r.n + 3);
    board_repeat(&p->b, floor(rows / r.n), norm_rows, &r);
    r.n = (unsigned)fmod(rows, r.n);
    if (r.n)
        norm_rows(&p->b, &r);
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

static void rope_row(struct board *b, const void *ctx)
{
    const struct rows *r = ctx;
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
    const struct rows r = {p, cols, packed, 1};
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

static void add_row(struct board *b, const void *ctx)
{
    const struct rows *r = ctx;
    board_ints(b, 2);
    walk(r->p, r->cols, 2, add_seg);
    board_ints(b, 2);
    board_slots(b, r->p->rows.live > 1);
}

void pass_add(struct pass *p, double cols)
{
    const struct rows r = {p, cols, false, 1};
    p->b.ready[X] = 0;
    p->b.ready[Y] = last_chunk(p, cols);
    board_ints(&p->b, 3);
    board_repeat(&p->b, p->rows.live, add_row, &r);
}

static void glu_seg(struct board *b, const struct pass *p)
{
    board_op(b, PL_OPC_VADD, TMP, X, P_NONE);
    board_op(b, PL_OPC_VEXP, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VADD, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VRECI, TMP, TMP, P_NONE);
    board_op(b, PL_OPC_VMUL, TMP, TMP, X);
    board_op(b, PL_OPC_VMUL, X, TMP, Y);
    if (p->full->glu_limit > 0) { /* limits, and up + 1 */
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
    walk(p, p->glu_cols, 2, glu_seg);
    board_ints(b, 2);
    board_slots(b, p->rows.live > 1);
}

void pass_glu(struct pass *p, double rows, double cols)
{
    p->glu_cols = cols;
    p->b.ready[X] = 0;
    p->b.ready[Y] = last_chunk(p, p->glu_cols);
    board_ints(&p->b, 5);
    board_repeat(&p->b, rows, glu_row, p);
}

/* ---- KV store, set-up ---- */
void pass_store(struct pass *p)
{
    struct board *b = &p->b;
    const double lanes = (double)p->m->n_kv_heads * p->plan.head_slot, live = p->rows.live;
    const struct pl_format kv = pl_format_resolve(p->plan.kv, p->plan.vec);
    const double bytes = 2 * live * fmax(64, lanes * pl_perf_bits(&kv, true) / 8);
    board_ints(b, 6 + 2 * segs_of(p, lanes) * 3);
    if (p->rows.batch)
        board_ints(b, 16 + (p->times - 1) * (30 + 2 * segs_of(p, lanes) * 6));
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
    /* Lanes of a last chunk that no result goes to. */
    const double tails[] = {r->k.cols, r->v.cols, r->delta.cols, r->gate.cols, r->up.cols, r->pack ? 0 : r->q.cols};
    double rest = 0;
    for (size_t i = 0; i < PL_COUNT(tails); i++)
        rest += fmod(tails[i], p->pitch) > 0 ? segs_of(p, 1) * r->alloc : 0;
    board_slots(b, 3 * (zeros + packed + spread + rest) + 50);
    board_ints(b, r->live * (4 + 3 * segs_of(p, r->x.cols)) + 8 * 4);
}
