/* linear.c - cycles of a linear layer: weight tiles stream in under the products of those before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "pass.h"

enum { END_INSNS = 3 /* of a set: places and results move on, loop */, LOAD_INSNS = 6 /* asking for one, but for its transfers */ };

/* Columns of a set of `tiles` products each, `wide` of them in a row block, and `blocks` of those. */
static struct column column_of(const struct pass *p, double tiles, double slices, double wide, double blocks)
{
    const double turn = pl_map_columns((uint32_t)tiles, (uint32_t)wide), tile_columns = (double)p->arch->blen * p->arch->mlen;
    const bool looped = tiles > PL_MAP_UNROLLED, pointers = tiles <= PL_MAP_POINTERS, loop = wide > turn;
    const double row = p->pitch * p->rows.alloc, cross = slices > 1 ? add_cost(row - (slices - 1) * p->arch->mlen) / slices : 0;
    struct column c = {tiles, 1, {{1, 2}, {turn, 1 + loop}, {wide, 1 + loop}, {wide * blocks, 0}}};
    if (tiles > 1) {
        c.gap[0].insns += !pointers + (looped ? 1 : (add_cost(tile_columns) + add_cost((turn - 1) * tile_columns)) / 2);
        c.gap[1].insns += add_cost(turn * tile_columns);
        c.step += pointers ? 0 : cross;
        c.step += looped ? (tiles / PL_MAP_UNROLLED + 1) / tiles : 0;
    }
    if (blocks > 1)
        c.gap[2].insns += (pointers ? tiles : 1) + 2;
    return c;
}

static void choice(struct board *b, const void *ctx)
{
    const struct pass *p = ctx;
    const double segs = p->pitch / p->arch->vlen;
    board_op(b, PL_OPC_SMEM, 7, P_FPMEM, P_NONE);
    board_ints(b, 2);
    for (double s = 0; s < segs; s++) {
        board_ints(b, 4);
        board_op(b, PL_OPC_VMOVE, P_ROW, P_MM, P_NONE);
        board_op(b, PL_OPC_VMAX, 7, P_ROW, 7);
        board_ints(b, 2);
    }
    board_op(b, PL_OPC_SMEM, P_FPMEM, 7, P_NONE);
    board_ints(b, 3);
}

/* Results leave for HBM and the greedy choice is made, for every sequence: behind every chunk of the head. */
static void logits(struct pass *p)
{
    if (p->rows.batch) {
        board_ints(&p->b, 8);
        board_repeat(&p->b, p->times, choice, p);
        return;
    }
    struct board *b = &p->b;
    const double segs = p->pitch / p->arch->vlen;
    board_ints(b, 14 + 3 * segs); /* the stores wait in their queue */
    for (double s = 0; s < fmin(segs, 8); s++) {
        board_op(b, PL_OPC_VMOVE, P_ROW, P_MM, P_NONE);
        board_op(b, PL_OPC_VMAX, 7, P_ROW, 7);
        board_ints(b, 3);
    }
    board_wait(b, b->ready[7]); /* the index */
    board_ints(b, 3);
}

/* ---- how weights arrive ---- */
struct weights { /* of one layer; a set is what the array works on at a time */
    double tiles, slices, groups, chunks; /* of a set along K; sets of a chunk of outputs; chunks */
    double sets, transfers, set_cyc;      /* transfers of a set; cycles of the HBM bus */
    double ahead;                         /* sets that its predecessor asks for */
    bool simple;                          /* two places alone */
};

static struct weights sets_of(const struct pass *p, const struct linear *l)
{
    struct weights w = {.slices = p->heads.token_tiles, .chunks = ceil(l->n / p->pitch)};
    const double k_tiles = ceil(l->k / p->pitch) * w.slices;
    w.tiles = fmin(k_tiles, p->plan.k_tiles);
    w.groups = ceil(k_tiles / w.tiles);
    w.sets = w.chunks * w.slices * w.groups;
    w.transfers = pl_map_transfers((uint32_t)w.tiles);
    w.set_cyc = l->n * l->k * p->weight_bits / 8 / p->arch->hbm_bandwidth / w.sets;
    w.simple = w.groups * w.slices > 1 || l->pack > p->pitch;
    return w;
}

static struct pl_map_sets map_sets(const struct weights *w)
{
    return (struct pl_map_sets){(uint32_t)w->sets, (uint32_t)w->tiles, w->simple};
}

/* twin: another layer that finds as much in its place (the first of a decoder layer and the head). */
static struct weights weights_of(const struct pass *p, const struct linear *l)
{
    struct weights w = sets_of(p, l);
    const struct weights twin = l->twin ? sets_of(p, l->twin) : w;
    const struct pl_map_sets a = map_sets(&w), b = map_sets(&twin);
    w.ahead = pl_map_ahead(p->arch, pl_map_half(p->arch, &p->heads), &a, l->twin ? &b : NULL);
    return w;
}

double pass_ahead_cyc(const struct pass *p, const struct linear *l)
{
    const struct weights w = weights_of(p, l);
    return w.ahead * w.set_cyc;
}

void pass_ask(struct pass *p, const struct linear *l)
{
    struct board *b = &p->b;
    const struct weights w = weights_of(p, l);
    const double ask = w.ahead * w.transfers, room = fmax(0, p->arch->outstanding - ask);
    /* The front end stands still until the queue has room for all of it. */
    board_wait(b, b->bus_free + p->arch->hbm_latency - room * p->transfer_cyc);
    b->bus_free = board_later(b->bus_free, b->now + 6);
    board_ints(b, 6 + w.ahead * (2 + 2 * w.transfers));
    p->first_set = b->bus_free + w.set_cyc + p->arch->hbm_latency;
    b->bus_free += w.ahead * w.set_cyc;
    p->transfer_cyc = w.set_cyc / w.transfers;
    p->asked = true;
}

/* Cycles of all columns on the array, sets following each other without a wait for HBM. */
static void columns_of(struct pass *p, const struct linear *l, const struct weights *w)
{
    struct board *b = &p->b;
    const double mlen = p->arch->mlen, blen = p->arch->blen, blocks = ceil(l->rows / blen), k_tiles = ceil(l->k / p->pitch) * w->slices;
    const double sets = w->chunks * w->slices, per_set = (w->simple ? sets * mlen / blen : ceil(l->n / blen)) / sets;
    for (double g = 0; g < w->groups; g++) {
        const double tiles = g + 1 < w->groups ? w->tiles : k_tiles - g * w->tiles;
        const double load = LOAD_INSNS + 3.0 * pl_map_transfers((uint32_t)tiles), far = w->simple ? sets : sets - w->ahead;
        struct column c = column_of(p, tiles, w->slices, per_set, blocks);
        c.gap[3].insns = END_INSNS + 2 + (w->simple ? 3 : 0) + (blocks > 1 ? 2 : 0);
        board_columns(b, sets * per_set * blocks, &c, P_NONE);
        if (l->head) { /* each chunk drains the array, so that nothing passes under it */
            const double busy = b->matrix_free;
            logits(p);
            const double behind = b->now - b->ready[P_MM];
            board_slots(b, (w->chunks - 1) * (b->now - busy + END_INSNS) + far * load);
            b->ready[P_MM] = b->now - behind;
            continue;
        }
        const double begin = column_gap(b, &c, 3);
        c.gap[3].insns += load;
        board_slots(b, far * (column_gap(b, &c, 3) - begin));
        if (g > 0)
            board_slots(b, w->chunks * (l->rows * p->pitch / p->arch->vlen * 4 + b->result[PL_OPC_MM] + b->result[PL_OPC_MM_WO]));
    }
}

void pass_linear(struct pass *p, const struct linear *l)
{
    struct board *b = &p->b;
    const struct weights w = weights_of(p, l);
    if (!p->asked)
        pass_ask(p, l);
    p->asked = false;
    board_ints(b, 8);
    board_wait(b, p->first_set);
    const double start = b->now, array = b->array;
    columns_of(p, l, &w);
    p->out->fixed_array += b->array - array;
    const double products = b->now;
    const double pace = (b->now - start) / w.sets, far = w.simple ? w.sets : w.sets - w.ahead, own = w.sets - w.ahead;
    if (own > 0) /* one more set is asked for with each that is begun */
        b->bus_free = board_later(b->bus_free + own * w.set_cyc, start + (own - 1) * pace + w.set_cyc);
    /* Behind the last set to arrive, its products. */
    board_wait(b, b->bus_free + p->arch->hbm_latency + pace);
    if (l->next) {
        const double end = b->now;
        b->now = start + (end - start) * far / w.sets;
        pass_ask(p, l->next);
        b->now += (end - start) * (1 - far / w.sets);
        b->now = board_later(b->now, end);
    }
    /* Whatever has been waited for, the last product came at the end. */
    b->ready[P_MM] += b->now - products;
    b->matrix_free += b->now - products;
    p->out->fixed_bytes += l->n * l->k * p->weight_bits / 8;
}
