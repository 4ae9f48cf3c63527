/* attention.c - cycles of attention: of the KV tile with the last token, and of one before it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "pass.h"

enum { ROWS_AT_ONCE = 4, F_ROW = 1, F_A = 5, N_F_A = 3, ASK_INSNS = 10 /* before the first transfer of a KV tile */, S_ROW = P_ROW, O_ROW = P_ROW + 4 };

struct flash {
    struct pass *p;
    double kv_heads, heads; /* of this group: kv heads; what is worked on one after another */
    double group_rows;      /* G */
    double cyc[PL_PERF_OPS]; /* of the tile at hand */
    bool mask;
    unsigned n; /* rows of a softmax block */
};

static double take(struct pass *p)
{
    const double cyc = p->b.now - p->began;
    p->began = p->b.now;
    return cyc;
}

/* ---- softmax ---- */
static void state(struct board *b, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SFP, F_A + i % N_F_A, F_A + i % N_F_A, F_ROW + i);
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SMEM, P_FPMEM, F_ROW + i, P_NONE);
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SEXP, F_A + i % N_F_A, F_A + i % N_F_A, P_NONE);
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SMEM, F_ROW + i, P_FPMEM, P_NONE);
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SFP, F_ROW + i, F_ROW + i, F_A + i % N_F_A);
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SMEM, P_FPMEM, F_A + i % N_F_A, P_NONE);
}

static void old_maxima(struct board *b, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        board_op(b, PL_OPC_SMEM, F_A + i % N_F_A, P_FPMEM, P_NONE);
}

struct segs {
    const struct flash *f;
    enum { SEG_MAX, SEG_EXP, SEG_SUM } step;
};

static void softmax_seg(struct board *b, const void *ctx)
{
    const struct segs *s = ctx;
    const unsigned n = s->f->n;
    const bool each = s->f->p->rows.att_tokens > 1;
    for (unsigned i = 0; s->step == SEG_MAX && s->f->mask && i < n; i++) {
        board_ints(b, each);
        board_op(b, PL_OPC_VMOVE, S_ROW + i, S_ROW + i, P_NONE);
    }
    for (unsigned i = 0; i < n; i++) {
        if (s->step == SEG_MAX)
            board_op(b, PL_OPC_VMAX, F_ROW + i, S_ROW + i, F_ROW + i);
        else if (s->step == SEG_EXP)
            board_op(b, PL_OPC_VADD, S_ROW + i, S_ROW + i, F_ROW + i);
        else
            board_op(b, PL_OPC_VSUM, F_ROW + i, S_ROW + i, F_ROW + i);
    }
    for (unsigned i = 0; s->step == SEG_EXP && i < n; i++)
        board_op(b, PL_OPC_VEXP, S_ROW + i, S_ROW + i, P_NONE);
    if (s->f->p->pitch <= s->f->p->arch->vlen)
        return;
    for (unsigned i = 0; i < n; i++)
        b->ready[S_ROW + i] = 0; /* another vector row */
    board_ints(b, n + (s->step == SEG_MAX && s->f->mask));
}

static void softmax_block(struct board *b, const void *ctx)
{
    const struct flash *f = ctx;
    const unsigned n = f->n, ahead = n < N_F_A ? n : N_F_A;
    const double segs = f->p->pitch / f->p->arch->vlen;
    struct segs s = {f, SEG_MAX};
    for (unsigned i = 0; i < n; i++)
        board_op(b, PL_OPC_SMEM, F_ROW + i, P_FPMEM, P_NONE);
    board_repeat(b, segs, softmax_seg, &s);
    old_maxima(b, 0, ahead);
    s.step = SEG_EXP;
    board_repeat(b, segs, softmax_seg, &s);
    state(b, 0, ahead);
    old_maxima(b, ahead, n);
    state(b, ahead, n);
    s.step = SEG_SUM;
    board_repeat(b, segs, softmax_seg, &s);
    for (unsigned i = 0; i < n; i++)
        board_op(b, PL_OPC_SMEM, P_FPMEM, F_ROW + i, P_NONE);
    for (unsigned i = 0; i < n; i++)
        b->ready[S_ROW + i] = 0; /* the next rows are others */
}

static void softmax_loop(struct board *b, const void *ctx)
{
    const struct flash *f = ctx;
    softmax_block(b, f);
    board_ints(b, f->n + 1 + (f->p->rows.att_tokens > 1));
    board_slots(b, 1);
}

static void softmax(struct flash *f, double rows)
{
    struct board *b = &f->p->b;
    /* Of several blocks of rows, or vector rows, the first is there long ago. */
    const bool early = rows > f->p->arch->blen || f->p->pitch > f->p->arch->vlen;
    for (unsigned i = 0; i < ROWS_AT_ONCE; i++)
        b->ready[S_ROW + i] = early ? 0 : b->ready[P_MM];
    board_ints(b, 8);
    f->n = rows < ROWS_AT_ONCE ? (unsigned)rows : ROWS_AT_ONCE;
    if (rows > ROWS_AT_ONCE)
        board_repeat(b, floor(rows / f->n), softmax_loop, f);
    else
        softmax_block(b, f);
    const unsigned rest = (unsigned)fmod(rows, f->n);
    if (rest) {
        f->n = rest;
        softmax_block(b, f);
    }
}

/* ---- products ---- */
static double head_columns(const struct pass *p, double lanes)
{
    return fmin(lanes / p->arch->blen, PL_MAP_HEAD_COLUMNS);
}

static void scores(struct flash *f, double blocks)
{
    struct pass *p = f->p;
    const double spans = p->heads.spans, columns = p->arch->mlen / p->arch->blen, tiles = p->heads.token_tiles;
    const double turn = head_columns(p, p->arch->mlen), loop = columns > turn;
    const struct column c = {spans, 1, {{1, 2 + (spans > 1 ? 1 + add_cost(p->arch->blen * p->arch->mlen - (spans - 1) * p->tile) : 0)},
                                        {turn, 1 + loop}, {columns, 2 + loop}, {columns * tiles, blocks > 1 ? 3 : 0}}};
    board_ints(&p->b, li_cost((double)p->rows.q.base) + li_cost((double)p->rows.score.base) + 3);
    board_columns(&p->b, blocks * tiles * columns, &c, P_NONE);
}

static void values(struct flash *f, double heads)
{
    struct pass *p = f->p;
    const double hs = p->plan.head_slot, width = fmin(hs, p->arch->mlen), columns = width / p->arch->blen, turn = head_columns(p, width);
    const double tiles = p->heads.token_tiles, spans = p->heads.spans, blocks = ceil(p->rows.att_alloc / (double)p->arch->blen);
    const double next = spans > 1 ? add_cost(spans * p->tile) : 0, loop = columns > turn;
    const struct column c = {tiles, 1 + next, {{1, 2 + (tiles > 1 ? 3 : 0)}, {turn, 1 + loop}, {columns, 2 + loop},
                                               {columns * spans, blocks > 1 ? 3 : 0}, {columns * spans * blocks, heads > 1 ? 4 : 0}}};
    board_ints(&p->b, li_cost((double)p->rows.score.base) + add_cost((double)p->rows.pv.base) + 3 + (heads > 1) * 2);
    board_columns(&p->b, heads * blocks * spans * columns, &c, S_ROW);
    board_slots(&p->b, heads > 1 ? 4 : 0);
}

/* ---- o = o a + P V ---- */
struct scaling {
    const struct flash *f;
    double segs, rows;
    bool invert;
};

static void scale_rows(struct board *b, const struct scaling *s, double rows)
{
    const unsigned n = (unsigned)rows;
    for (unsigned i = 0; i < n; i++)
        board_op(b, PL_OPC_SMEM, 1 + i, P_FPMEM, P_NONE);
    for (unsigned i = 0; s->invert && i < n; i++)
        board_op(b, PL_OPC_SDIV, 1 + i, 1 + i, P_NONE);
    for (unsigned i = 0; i < n; i++)
        for (double k = 0; k < s->segs; k++) {
            board_op(b, PL_OPC_VMUL, P_NONE, 1 + i, P_NONE);
            board_ints(b, 1);
        }
}

static void scale_block(struct board *b, const void *ctx)
{
    const struct scaling *s = ctx;
    scale_rows(b, s, fmin(s->rows, ROWS_AT_ONCE));
    if (s->rows > ROWS_AT_ONCE) {
        board_ints(b, 1);
        board_slots(b, 1);
    }
}

static double head_segs(const struct pass *p)
{
    return fmax(1, p->plan.head_slot / (double)p->arch->vlen);
}

static void scale_head(struct board *b, const void *ctx)
{
    const struct scaling *s = ctx;
    const struct pass *p = s->f->p;
    board_ints(b, 3 + (p->plan.head_slot < p->arch->vlen ? 2 : 0));
    board_repeat(b, fmax(1, floor(s->rows / ROWS_AT_ONCE)), scale_block, s);
    if (s->rows > ROWS_AT_ONCE && fmod(s->rows, ROWS_AT_ONCE) > 0)
        scale_rows(b, s, fmod(s->rows, ROWS_AT_ONCE));
}

static void add_values(struct flash *f, double lanes)
{
    struct pass *p = f->p;
    struct board *b = &p->b;
    const double segs = fmax(1, lanes / p->arch->vlen);
    board_ints(b, 3 + (lanes < p->arch->vlen ? 2 : 0));
    board_wait(b, b->ready[P_MM]);
    board_slots(b, p->rows.att_live * (segs * 3 + (p->rows.att_live > 1)));
}

static void update_spread(struct flash *f)
{
    struct pass *p = f->p;
    const double lanes = f->kv_heads * p->plan.head_slot;
    const struct scaling s = {f, head_segs(p), p->rows.att_live, false};
    board_repeat(&p->b, f->heads, scale_head, &s);
    if (lanes <= p->arch->vlen || fmod(lanes, p->arch->vlen) <= 0)
        add_values(f, lanes);
    else
        for (double h = 0; h < f->heads; h++)
            add_values(f, p->plan.head_slot);
}

/* ---- a KV tile ---- */
static void one_head(struct flash *f, double times)
{
    struct pass *p = f->p;
    const struct scaling s = {f, head_segs(p), p->rows.att_live, false};
    scores(f, p->rows.att_alloc / (double)p->arch->blen);
    f->cyc[PL_PERF_OP_QK] += times * take(p);
    softmax(f, p->rows.att_live);
    f->cyc[PL_PERF_OP_SOFTMAX] += times * take(p);
    values(f, 1);
    f->cyc[PL_PERF_OP_PV] += times * take(p);
    scale_head(&p->b, &s);
    add_values(f, p->plan.head_slot);
    f->cyc[PL_PERF_OP_UPDATE] += times * take(p);
}

static void kv_tile(struct flash *f)
{
    struct pass *p = f->p;
    if (!p->rows.spread) {
        one_head(f, f->heads);
        return;
    }
    const double rows = f->kv_heads * f->group_rows;
    scores(f, ceil(rows / p->arch->blen));
    f->cyc[PL_PERF_OP_QK] += take(p);
    softmax(f, rows);
    f->cyc[PL_PERF_OP_SOFTMAX] += take(p);
    values(f, f->kv_heads);
    f->cyc[PL_PERF_OP_PV] += take(p);
    update_spread(f);
    f->cyc[PL_PERF_OP_UPDATE] += take(p);
}

/* Bytes of the K or V tiles of a group, as bursts. */
static double kv_bytes(const struct pass *p, double kv_heads)
{
    const struct pl_format kv = pl_format_resolve(p->plan.kv, p->plan.vec);
    const double spans = p->heads.spans, lanes = kv_heads * p->plan.head_slot / spans; /* of a tile */
    const double burst = p->arch->hbm_burst, tokens = p->plan.kv_tile * spans;
    const double row = lanes * pl_format_bits(&kv) / 8, scale = pl_format_has_scale(&kv) ? lanes / kv.block : 0;
    if (p->heads.groups == 1)
        return tokens * (row + scale);
    const double stride = (double)p->m->n_kv_heads * p->plan.head_slot / kv.block;
    /* Rows of scales side by side share bursts, but for the one more at the end of a tile. */
    const double scales = scale > 0 ? fmin(fmax(scale, burst), fmax(stride, scale) + burst / p->arch->mlen) : 0;
    return tokens * (ceil(row / burst) * burst + scales);
}

/* The first maximum of a head's rows is its sink: the largest of its slot. */
static void sinks(struct flash *f)
{
    struct pass *p = f->p;
    struct board *b = &p->b;
    const double rows = p->rows.att_live, turns = p->rows.pack ? f->heads * rows : f->heads;
    const double one = 6 + b->result[PL_OPC_SMEM] + b->result[PL_OPC_VMAX] + b->result[PL_OPC_SMEM];
    board_slots(b, turns * one + (p->rows.pack ? 0 : f->heads * (2 + (3 + p->arch->lat_sram) * rows)));
}

static void init(struct flash *f)
{
    struct pass *p = f->p;
    struct board *b = &p->b;
    if (p->full->sinks)
        sinks(f);
    else
        board_slots(b, 4 + (3 + p->arch->lat_sram) * f->heads * p->rows.att_live); /* two stores in a row */
    if (p->rows.spread)
        board_slots(b, f->heads * (6 + f->group_rows * (3 * head_segs(p) + 1)));
}

static void add_op(struct pass *p, enum pl_perf_op op, double fixed, double tile)
{
    p->out->op[op].fixed_cyc += p->times * fixed;
    p->out->op[op].tile_cyc += tile;
}

/* `times` groups of this many kv heads. */
static void kv_group(struct pass *p, double kv_heads, double times, const struct linear *o)
{
    const double per_kv = p->rows.pack ? 1 : p->m->n_heads / p->m->n_kv_heads, live = p->rows.att_tokens;
    struct flash f = {.p = p, .kv_heads = kv_heads, .heads = kv_heads * per_kv, .group_rows = p->m->n_heads / p->m->n_kv_heads};
    struct board *b = &p->b;
    const double bytes = kv_bytes(p, kv_heads), load_insns = 4 + 2 * (3 + p->heads.token_tiles * (1 + 3 * p->heads.spans));
    init(&f);
    add_op(p, PL_PERF_OP_INIT, times * take(p), 0);
    board_ints(b, load_insns);
    /* The first tile's K keeps the array waiting; V comes while scores are taken. */
    const double data = board_load(b, b->now - load_insns / 2, bytes), end = board_load(b, b->now, bytes);
    /* Of more transfers than the queue takes, the front end waits for the first to end. */
    const double transfers = 2.0 * p->heads.token_tiles * p->heads.spans, both = 2 * bytes / p->arch->hbm_bandwidth;
    const double queued = p->arch->outstanding / transfers * both;
    const double stall = queued < both ? fmax(0, both - queued + p->arch->hbm_latency - load_insns + ASK_INSNS) : 0;
    if (queued < both)
        board_wait(b, end - queued);
    board_ints(b, 8);
    add_op(p, PL_PERF_OP_LOAD, times * take(p), times * (load_insns + 5 + stall));
    /* Sequences of a batch but the first find the bus free. */
    const double wait_one = fmax(0, data - b->now), fresh = ceil(bytes / p->arch->hbm_bandwidth) + p->arch->hbm_latency - load_insns;
    const double wait = p->times > 1 && wait_one > fresh ? fresh + (wait_one - fresh) / p->times : wait_one;
    board_wait(b, data);
    p->began = b->now;
    f.mask = live > 1;
    const double array = b->array;
    kv_tile(&f);
    const double products = times * (b->array - array) * (p->rows.spread ? 1 : f.heads);
    p->out->fixed_array += p->times * products;
    p->out->tile_array += products;
    double sum = load_insns + 5 + stall;
    for (unsigned op = 0; op < PL_PERF_OPS; op++)
        sum += f.cyc[op];
    const double late = fmax(0, both - sum);
    for (unsigned op = 0; op < PL_PERF_OPS; op++)
        add_op(p, (enum pl_perf_op)op, 0, times * (f.cyc[op] + (op == PL_PERF_OP_QK ? late : 0)));
    if (o) {
        if (queued < both) /* those of the tile at hand are still in the queue */
            p->transfer_cyc = both / transfers;
        pass_ask(p, o);
        if (queued < both)
            add_op(p, PL_PERF_OP_LOAD, take(p), 0);
        p->began = b->now;
    }
    if (!f.mask) { /* of one token, the last tile alone has tokens that it must not see */
        for (unsigned op = 0; op < PL_PERF_OPS; op++)
            f.cyc[op] = 0;
        f.mask = true;
        kv_tile(&f);
    }
    for (unsigned op = 0; op < PL_PERF_OPS; op++)
        add_op(p, (enum pl_perf_op)op, times * (f.cyc[op] + (op == PL_PERF_OP_QK ? wait : 0)), 0);
    const struct scaling s = {&f, head_segs(p), p->rows.att_live, true};
    board_repeat(b, f.heads, scale_head, &s);
    add_op(p, PL_PERF_OP_NORMALISE, times * take(p), 0);
    p->out->fixed_bytes += p->times * times * 2 * bytes;
    p->out->tile_bytes += times * 2 * bytes;
}

static void unpack(struct pass *p)
{
    const struct pl_map_rows *r = &p->rows;
    const double vlen = p->arch->vlen, step = fmin(r->pack, vlen), chunks = r->o.rows / (double)r->pack_chunk * fmax(1, r->pack / p->pitch);
    const double pieces = p->pitch / step, shifted = pieces - p->pitch / vlen, wait = p->b.result[PL_OPC_VMOVE] - 1;
    board_ints(&p->b, 4);
    board_slots(&p->b, chunks * (1 + pieces * 3 + shifted * (1 + wait) + p->pitch / vlen + 3));
}

/* The queries of one sequence of a batch, in the shape that a pass of one token has them. */
static void gather(struct pass *p)
{
    const struct pl_map_rows *r = &p->rows;
    const double vlen = p->arch->vlen, addr = 4 + p->arch->lat_sram;
    if (r->pack && r->pack < p->pitch) {
        const double step = fmin(r->pack, vlen), pieces = r->att_live * r->pack / step;
        const double swaps = r->pack < vlen ? log2(vlen / r->pack) / 2 : 0; /* on average */
        board_slots(&p->b, pieces * (addr + 2 + 1 + swaps * (1 + p->b.result[PL_OPC_VMOVE])));
        return;
    }
    const double parts = r->pack ? r->att_live : 1, lanes = r->pack ? r->pack : r->q.cols;
    board_slots(&p->b, addr + 1 + parts * (3 + segs_of(p, lanes) * 3 + ceil(lanes / p->pitch)));
}

void pass_attention(struct pass *p, const struct linear *o)
{
    const struct pl_map_rows *r = &p->rows;
    const double K = p->m->n_kv_heads, per_group = fmin(K, p->heads.per_group), whole = floor(K / per_group), rest = K - whole * per_group;
    if (r->batch) {
        if (o)
            pass_ask(p, o); /* before all sequences */
        add_op(p, PL_PERF_OP_STORE, take(p) / p->times, 0);
        board_slots(&p->b, 20); /* this one's position, tiles and place in the cache */
        gather(p);
        add_op(p, PL_PERF_OP_GATHER, take(p), 0);
    }
    board_slots(&p->b, 3 + 3 * segs_of(p, r->o.cols) * r->o.rows + (r->batch ? 14 : 0));
    add_op(p, PL_PERF_OP_INIT, take(p), 0);
    kv_group(p, per_group, whole, rest > 0 || r->batch ? NULL : o);
    if (rest > 0)
        kv_group(p, rest, 1, r->batch ? NULL : o);
    if (r->pack)
        unpack(p);
    else if (r->batch)
        board_slots(&p->b, 6 + segs_of(p, r->o.cols) * 3 + ceil(r->o.cols / p->pitch));
    add_op(p, PL_PERF_OP_UNPACK, take(p), 0);
}
