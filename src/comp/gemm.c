/* gemm.c - a linear layer: sets of weight tiles stream through places of Matrix SRAM while the array works on another.
 *
 * For each chunk of PITCH output columns, for each group of K tiles, for each MLEN-wide slice of the chunk: ask for a set
 * that comes later, into the place just worked off, and multiply the present one with every block of BLEN rows. A set is
 * the K tiles of one group for MLEN outputs. Where a chunk is one set, there are as many places as are worth it (chain.c);
 * else two. Rows of the weight beyond its end load as zeros and cost no traffic, so asking for too much is free. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

struct shape {
    uint32_t slices;  /* MLEN-wide slices of a chunk, also K tiles of a chunk */
    uint32_t k_tiles; /* K tiles in all, whole chunks */
    uint32_t groups;  /* of at most plan.k_tiles */
    uint32_t chunks, per_row; /* of PITCH outputs; of a packed row */
    uint64_t tile;    /* elements of one tile */
    uint64_t set;     /* elements between two places */
};

struct regs {
    uint8_t row;  /* first weight row of the chunk; where sets are asked for far ahead, of the next one to ask for */
    uint8_t cur;  /* Matrix SRAM address of the present set */
    uint8_t free; /* and of the place that the next set to ask for goes to */
    uint8_t y;    /* where the chunk goes */
};

static uint32_t group_tiles(const struct comp *c, const struct shape *s, uint32_t group)
{
    const uint32_t left = s->k_tiles - group * c->plan.k_tiles;
    return left < c->plan.k_tiles ? left : c->plan.k_tiles;
}

/* Ask for the set of (group, rows from row + row_off), to the free place. */
static void load_set(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r, uint32_t group, uint32_t row_off)
{
    struct emit *em = &c->em;
    emit_step(em, "load");
    const uint8_t row = gp_take(em), dst = gp_take(em), desc = emit_layer_desc(c, g->weight);
    const uint8_t col = emit_const(em, (uint64_t)group * c->plan.k_tiles * c->plan.mlen);
    emit_add(em, row, r->row, row_off);
    emit_add(em, dst, r->free, 0);
    emit_load_tiles(c, dst, row, desc, col, group_tiles(c, s, group));
    const uint8_t used[] = {row, dst, desc, col};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

static uint32_t row_blocks(const struct comp *c, const struct gemm *g)
{
    return (g->rows + c->plan.blen - 1) / c->plan.blen;
}

/* From the first result of a chunk to the one at `lane` of it. */
static uint64_t out_offset(const struct comp *c, const struct gemm *g, uint32_t lane)
{
    if (g->pack && g->pack < c->pitch)
        return (uint64_t)(lane / g->pack) * c->pitch + lane % g->pack;
    return lane;
}

/* Registers of multiply: rows and set, and while K tiles pass, the present ones. Of few K tiles each may have its own
 * pointer to the rows, which then needs no way back. */
struct operands {
    uint8_t b0, b;
    uint8_t left[PL_MAP_POINTERS], a; /* left[0]: the first tile's */
    uint32_t n_left;
};

/* From one K tile to the next in the left rows. */
static int64_t left_step(const struct comp *c, const struct gemm *g, const struct shape *s, uint32_t tile)
{
    const bool in_chunk = (tile + 1) % s->slices != 0;
    return in_chunk ? (int64_t)c->plan.mlen : (int64_t)g->x->rows * c->pitch - (int64_t)(s->slices - 1) * c->plan.mlen;
}

/* others: registers that are needed besides. */
static struct operands take_operands(struct comp *c, const struct gemm *g, const struct shape *s, uint64_t first, uint32_t tiles,
                                     uint32_t others)
{
    struct emit *em = &c->em;
    struct operands o = {.b0 = gp_take(em), .b = gp_take(em), .n_left = 1};
    if (tiles <= PL_MAP_POINTERS && tiles + others <= (uint32_t)__builtin_popcount(em->gp_free))
        o.n_left = tiles;
    uint64_t at = first;
    for (uint32_t i = 0; i < o.n_left; i++) {
        o.left[i] = emit_const(em, at);
        at += (uint64_t)left_step(c, g, s, i);
    }
    o.a = o.n_left == tiles ? o.left[0] : gp_take(em);
    return o;
}

static void give_operands(struct emit *em, const struct operands *o)
{
    if (o->a != o->left[0])
        gp_give(em, o->a);
    for (uint32_t i = 0; i < o->n_left; i++)
        gp_give(em, o->left[i]);
    gp_give(em, o->b0);
    gp_give(em, o->b);
}

/* The sums of BLEN columns, the u-th of those from b0 on, over a few K tiles, without a loop. */
static void column_unrolled(struct comp *c, const struct gemm *g, const struct shape *s, const struct operands *o, uint32_t tiles, uint32_t u)
{
    struct emit *em = &c->em;
    const int64_t columns = (int64_t)c->plan.blen * c->plan.mlen;
    if (tiles == 1) {
        emit_product(em, true, o->left[0], o->b0, 0, 0, columns);
        return;
    }
    const bool pointers = o->n_left == tiles;
    if (!pointers)
        emit_add(em, o->a, o->left[0], 0);
    emit_add(em, o->b, o->b0, u * columns);
    for (uint32_t i = 0; i < tiles; i++) {
        const bool more = i + 1 < tiles;
        emit_product(em, true, pointers ? o->left[i] : o->a, o->b, 0, more && !pointers ? left_step(c, g, s, i) : 0, more ? (int64_t)s->tile : 0);
    }
}

/* The same with a loop over blocks of them. */
static void column_looped(struct comp *c, const struct gemm *g, const struct shape *s, const struct operands *o, uint32_t tiles)
{
    struct emit *em = &c->em;
    uint32_t block = s->slices > PL_MAP_UNROLLED ? s->slices : PL_MAP_UNROLLED / s->slices * s->slices;
    emit_add(em, o->a, o->left[0], 0);
    emit_add(em, o->b, o->b0, 0);
    for (uint32_t done = 0; done < tiles; done += block) {
        if (tiles - done < block)
            block = tiles - done;
        const uint32_t passes = (tiles - done) / block;
        const struct loop k = loop_begin(em, passes);
        for (uint32_t i = 0; i < block; i++)
            emit_product(em, true, o->a, o->b, 0, left_step(c, g, s, i), (int64_t)s->tile);
        loop_end(em, k);
        done += (passes - 1) * block;
    }
}

/* In the loop of experts no register is left for a loop over K tiles whose stride takes another. */
static uint32_t most_unrolled(const struct gemm *g, const struct shape *s)
{
    return g->two_places && s->tile >= 1 << 18 ? UINT32_MAX : PL_MAP_UNROLLED;
}

/* All rows against the present set: `cols` columns of results, rounded up to BLEN, from register out. With BLEN = 4 the
 * array takes a tile every four cycles, and the front end has to keep up. */
static void multiply(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r,
                     uint32_t group, uint32_t cols, uint8_t out)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen, blen = c->plan.blen;
    const uint64_t first_chunk = (uint64_t)group * c->plan.k_tiles / s->slices;
    const bool packed = g->pack && g->pack < mlen; /* a new row after every `pack` columns */
    const uint32_t run = packed ? g->pack : cols, blocks = (run + blen - 1) / blen;
    const uint32_t tiles = group_tiles(c, s, group), unroll = pl_map_columns(tiles, blocks);
    const uint32_t others = 1u + (row_blocks(c, g) > 1) + (cols > run) + (blocks > unroll); /* loops, and a stride */
    const struct operands o = take_operands(c, g, s, g->x->base + first_chunk * g->x->rows * c->pitch, tiles, others);

    emit_step(em, "product");
    const struct row_loop rows = rows_begin(c, g->rows, blen);
    emit_add(em, o.b0, r->cur, 0);
    const struct loop runs = loop_begin(em, cols / run);
    const struct loop columns = loop_begin(em, blocks / unroll);
    for (uint32_t u = 0; u < unroll; u++) {
        if (tiles <= most_unrolled(g, s))
            column_unrolled(c, g, s, &o, tiles, u);
        else
            column_looped(c, g, s, &o, tiles);
        INS(em, M_MM_WO, .rd = out, .imm = u * blen);
    }
    if (tiles > 1)
        emit_add(em, o.b0, o.b0, (int64_t)unroll * blen * mlen);
    emit_add(em, out, out, unroll * blen);
    loop_end(em, columns);
    if (packed)
        emit_add(em, out, out, (int64_t)c->pitch - run);
    loop_end(em, runs);
    if (row_blocks(c, g) > 1) { /* of several blocks at compile time, run time takes at most these */
        for (uint32_t i = 0; i < o.n_left; i++)
            emit_add(em, o.left[i], o.left[i], (int64_t)blen * c->pitch);
        emit_add(em, out, out, (int64_t)blen * c->pitch - (int64_t)blocks * blen);
    }
    rows_end(c, rows);
    emit_step(em, "");
    give_operands(em, &o);
}

/* Chunk at y += partial sums of a further K group. In a packed chunk the lanes behind `pack` are nobody's. */
static void add_part(struct comp *c, const struct gemm *g, const struct regs *r)
{
    struct emit *em = &c->em;
    const uint32_t vlen = c->arch->vlen;
    const bool narrow = g->pack && g->pack < c->pitch;
    const uint32_t lanes = narrow ? g->pack : c->pitch, segs = lanes > vlen ? lanes / vlen : 1;
    const uint8_t y = gp_take(em), p = emit_const(em, c->rows->part.base);
    const uint8_t mask = lanes < vlen;
    if (mask) {
        emit_li(em, y, ((uint64_t)1 << (lanes / c->plan.hlen)) - 1);
        INS(em, C_SET_V_MASK_REG, .rd = y);
    }
    emit_add(em, y, r->y, 0);
    const struct row_loop l = narrow || !c->run_time_rows ? (struct row_loop){.rows = loop_begin(em, narrow ? c->pitch / lanes : g->rows)}
                                                          : rows_begin(c, g->rows, 1);
    for (uint32_t s = 0; s < segs; s++) {
        const int64_t next = s + 1 < segs ? (int64_t)vlen : (int64_t)c->pitch - (int64_t)(segs - 1) * vlen;
        INS(em, V_ADD_VV, .rd = y, .rs1 = y, .rs2 = p, .rs3 = mask);
        emit_add(em, y, y, next);
        emit_add(em, p, p, next);
    }
    rows_end(c, l);
    gp_give(em, y);
    gp_give(em, p);
}

/* The chunk is done: y moves to the next. */
static void end_chunk(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r)
{
    if (g->chunk)
        g->chunk(c, g->ctx);
    else if (!g->pack || s->per_row > 1)
        emit_add(&c->em, r->y, r->y, (int64_t)g->y->rows * c->pitch);
    else
        emit_add(&c->em, r->y, r->y, (int64_t)(c->pitch / g->pack) * c->pitch);
}

/* ---- two places ---- */
static void group_slices(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r, uint32_t group)
{
    struct emit *em = &c->em;
    for (uint32_t i = 0; i < s->slices; i++) {
        if (i + 1 < s->slices)
            load_set(c, g, s, r, group, (i + 1) * c->plan.mlen);
        else if (group + 1 < s->groups)
            load_set(c, g, s, r, group + 1, 0);
        else if (s->chunks > 1)
            load_set(c, g, s, r, 0, c->pitch);
        const uint8_t out = gp_take(em);
        if (group)
            emit_li(em, out, c->rows->part.base + out_offset(c, g, i * c->plan.mlen));
        else
            emit_add(em, out, r->y, (int64_t)out_offset(c, g, i * c->plan.mlen));
        multiply(c, g, s, r, group, c->plan.mlen, out);
        emit_add(em, out, r->cur, 0);
        emit_add(em, r->cur, r->free, 0);
        emit_add(em, r->free, out, 0);
        gp_give(em, out);
    }
    if (group)
        add_part(c, g, r);
}

static void two_places(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r)
{
    struct emit *em = &c->em;
    emit_add(em, r->free, r->cur, (int64_t)s->set);
    const struct loop packed = loop_begin(em, s->chunks / s->per_row);
    const struct loop l = loop_begin(em, s->per_row);
    for (uint32_t group = 0; group < s->groups; group++)
        group_slices(c, g, s, r, group);
    end_chunk(c, g, s, r);
    emit_add(em, r->row, r->row, c->pitch);
    loop_end(em, l);
    if (s->per_row > 1)
        emit_add(em, r->y, r->y, (int64_t)c->pitch - s->per_row * (int64_t)g->y->rows * c->pitch);
    loop_end(em, packed);
}

/* ---- many places, a chunk a set ---- */
static void one_set(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r, bool load, uint32_t cols)
{
    struct emit *em = &c->em;
    if (load) {
        load_set(c, g, s, r, 0, 0);
        emit_add(em, r->row, r->row, c->pitch);
        emit_add(em, r->free, r->cur, 0);
    }
    const uint8_t out = gp_take(em);
    emit_add(em, out, r->y, 0);
    multiply(c, g, s, r, 0, cols, out);
    gp_give(em, out);
    emit_add(em, r->cur, r->cur, (int64_t)s->set);
    end_chunk(c, g, s, r);
}

static void many_places(struct comp *c, const struct gemm *g, const struct shape *s, const struct regs *r, const struct link *l)
{
    struct emit *em = &c->em;
    const uint32_t places = l->ahead + 1, far = s->chunks - l->ahead, last = g->n - (s->chunks - 1) * c->pitch;
    if (far) {
        emit_add(em, r->free, r->cur, (int64_t)(l->ahead * s->set));
        emit_li(em, r->row, (uint64_t)l->ahead * c->pitch);
    }
    if (far >= places) {
        const struct loop turns = loop_begin(em, far / places);
        const struct loop sets = loop_begin(em, places);
        one_set(c, g, s, r, true, c->pitch);
        loop_end(em, sets);
        emit_add(em, r->cur, r->cur, -(int64_t)(places * s->set));
        loop_end(em, turns);
    }
    if (far % places) {
        const struct loop sets = loop_begin(em, far % places);
        one_set(c, g, s, r, true, c->pitch);
        loop_end(em, sets);
    }
    emit_next_ahead(c, l, g->hold);
    const uint32_t whole = last < c->pitch ? l->ahead - 1 : l->ahead;
    if (whole) {
        const struct loop sets = loop_begin(em, whole);
        one_set(c, g, s, r, false, c->pitch);
        loop_end(em, sets);
    }
    if (last < c->pitch)
        one_set(c, g, s, r, false, last);
}

/* Where the layer's weights stream through; its first sets are there or on their way. */
static uint8_t first_place(struct comp *c, const struct gemm *g, const struct link *l)
{
    struct emit *em = &c->em;
    uint8_t cur;
    if (l->alone && !l->whole) {
        cur = emit_other_half(c);
    } else {
        cur = emit_const(em, 0);
        if (!l->whole)
            INS(em, S_LD_INT, .rd = cur, .imm = INT_HALF);
    }
    if (!l->waits) {
        const uint8_t desc = emit_layer_desc(c, g->weight);
        emit_ahead(c, l, desc, cur);
        gp_give(em, desc);
    }
    return cur;
}

/* The lanes of y's last chunk that no result goes to. */
static struct pl_map_tensor tail_of(const struct comp *c, const struct gemm *g, const struct link *l)
{
    if (l->simple || g->chunk || g->pack || g->n % c->pitch == 0)
        return (struct pl_map_tensor){0};
    return (struct pl_map_tensor){lane_addr(c, g->y, g->n / c->pitch * c->pitch), g->y->rows, c->pitch};
}

void emit_gemm(struct comp *c, const struct gemm *g)
{
    struct emit *em = &c->em;
    struct shape s = {.slices = c->heads.token_tiles, .tile = (uint64_t)c->plan.mlen * c->plan.mlen};
    s.k_tiles = (g->x->cols + c->pitch - 1) / c->pitch * s.slices;
    s.groups = (s.k_tiles + c->plan.k_tiles - 1) / c->plan.k_tiles;
    s.chunks = (g->n + c->pitch - 1) / c->pitch;
    s.per_row = g->pack > c->pitch ? g->pack / c->pitch : 1;
    struct link note = {.weight = g->weight, .k = g->x->cols, .sets = s.chunks, .tiles = group_tiles(c, &s, 0), .alone = g->alone,
                        .layer = c->layer, .simple = g->two_places || s.groups * s.slices > 1 || s.per_row > 1};
    note.tail = tail_of(c, g, &note);
    s.set = s.tile * note.tiles;
    const struct link *l = chain_link(c, &note);
    if (!l)
        return;
    const struct regs r = {emit_const(em, 0), first_place(c, g, l), gp_take(em), emit_const(em, g->y->base)};
    if (l->simple) {
        two_places(c, g, &s, &r);
        emit_next_ahead(c, l, g->hold);
    } else {
        many_places(c, g, &s, &r, l);
    }
    if (!l->whole && !l->alone)
        emit_turn(c);
    const uint8_t used[] = {r.row, r.cur, r.free, r.y};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}
