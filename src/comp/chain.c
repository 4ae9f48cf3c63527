/* chain.c - the linear layers of a program in their order, so that each one's first weights load under the one before.
 *
 * A program is written twice. The first time only notes its linear layers; the second time each of them knows the next.
 * Matrix SRAM is [KV tiles][half][half]: a layer works in one half, where the one before it has put its first `ahead` sets
 * of tiles, and has its successor's loaded into the other half as soon as all its own loads are asked for. INT_HALF holds
 * the address of the half that waits. The head stands where the first linear layer of one more decoder layer would: the
 * last linear layer loads for it what it loads for the next decoder layer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

static struct link *links(struct comp *c, size_t *n)
{
    *n = c->chain.links.len / sizeof(struct link);
    return (struct link *)(void *)c->chain.links.data;
}

void chain_begin(struct comp *c, bool noting)
{
    c->chain.noting = noting;
    c->chain.at = 0;
    if (noting)
        c->chain.links.len = 0;
}

const struct link *chain_link(struct comp *c, const struct link *noted)
{
    size_t n;
    if (!c->chain.noting)
        return &links(c, &n)[c->chain.at++];
    pl_buf_put(&c->chain.links, noted, sizeof *noted);
    return NULL;
}

/* b: another layer that finds the same in its half, or NULL. */
static uint32_t choose_ahead(const struct comp *c, const struct link *a, const struct link *b)
{
    const struct pl_map_sets sa = {a->sets, a->tiles, a->simple}, sb = b ? (struct pl_map_sets){b->sets, b->tiles, b->simple} : sa;
    return pl_map_ahead(c->arch, c->chain.half, &sa, b ? &sb : NULL);
}

/* The next layer of [i, end) that finds its weights loaded; end: the walk got there; SIZE_MAX: one needs all of Matrix SRAM. */
static size_t next_link(const struct link *l, size_t i, size_t end)
{
    for (; i < end; i++) {
        if (l[i].whole)
            return SIZE_MAX;
        if (!l[i].alone)
            return i;
    }
    return end;
}

static void plan_link(const struct comp *c, struct link *l)
{
    l->whole = 2 * l->tiles > c->chain.half;
    l->ahead = l->whole || l->alone ? 1 : choose_ahead(c, l, NULL);
    l->waits = l->next_layer = false;
    l->next = -1;
}

/* Behind the last link of i's layer. */
static size_t layer_end(const struct link *l, size_t i, size_t n)
{
    size_t end = i + 1;
    while (end < n && l[end].layer == l[i].layer)
        end++;
    return end;
}

/* Can a layer begin with either, whatever it is? */
static bool alike(const struct link *start, const struct link *head)
{
    return !start->whole && !start->alone && !head->whole && start->weight == head->weight && start->k == head->k;
}

/* Does one of the layer's linear layers load for the layer behind it? */
static bool reaches(const struct link *l, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (!l[i].whole && !l[i].alone && next_link(l, i + 1, end) == end)
            return true;
    return false;
}

void chain_plan(struct comp *c)
{
    size_t n;
    struct link *l = links(c, &n);
    c->chain.base = pl_map_kv_tiles(c->arch, &c->heads);
    c->chain.half = pl_map_half(c->arch, &c->heads);
    size_t layers = 0; /* links of decoder layers; the head's is behind them */
    for (size_t i = 0; i < n; i++) {
        plan_link(c, &l[i]);
        layers += l[i].layer >= 0;
    }
    struct link *const head = &l[n - 1];
    c->chain.around = layers && layers + 1 == n;
    for (size_t i = 0; c->chain.around && i < layers; i = layer_end(l, i, layers))
        c->chain.around = alike(&l[i], head) && reaches(l, i, layer_end(l, i, layers));
    for (size_t i = 0; i < layers; i++) {
        const size_t end = layer_end(l, i, layers), next = next_link(l, i + 1, end);
        const bool start = i == 0 || l[i - 1].layer != l[i].layer;
        if (start && c->chain.around) {
            l[i].ahead = choose_ahead(c, &l[i], head);
            l[i].waits = true;
        }
        if (l[i].whole || l[i].alone || next == SIZE_MAX || (next == end && !c->chain.around))
            continue;
        l[i].next = next == end ? 0 : (int)next; /* all first ones are alike */
        l[i].next_layer = next == end;
        l[l[i].next].waits = true;
    }
    if (c->chain.around) {
        head->ahead = l[0].ahead;
        head->waits = true;
    }
}

/* ---- code ---- */
/* The sum of the two halves' addresses. */
static uint64_t halves(const struct comp *c)
{
    return (2 * (uint64_t)c->chain.base + c->chain.half) * c->plan.mlen * c->plan.mlen;
}

uint8_t emit_other_half(struct comp *c)
{
    const uint8_t half = gp_take(&c->em), other = emit_const(&c->em, halves(c));
    INS(&c->em, S_LD_INT, .rd = half, .imm = INT_HALF);
    INS(&c->em, S_SUB_INT, .rd = other, .rs1 = other, .rs2 = half);
    gp_give(&c->em, half);
    return other;
}

void emit_load_tiles(struct comp *c, uint8_t dst, uint8_t row, uint8_t desc, uint8_t col, uint32_t n)
{
    struct emit *em = &c->em;
    for (int log = 15; log >= 0; log--) {
        if (!(n >> log & 1))
            continue;
        INS(em, H_LOAD_M, .rd = dst, .rs1 = row, .rs2 = desc, .rs3 = col, .fn = (uint8_t)log);
        emit_add(em, dst, dst, (int64_t)c->plan.mlen * c->plan.mlen << log);
        if (n & ((1u << log) - 1))
            emit_add(em, col, col, (int64_t)c->plan.mlen << log);
    }
}

void emit_ahead(struct comp *c, const struct link *l, uint8_t desc, uint8_t dst)
{
    struct emit *em = &c->em;
    const uint32_t mlen = c->plan.mlen;
    const uint8_t row = emit_const(em, 0), col = gp_take(em), to = gp_take(em);
    emit_step(em, "load ahead");
    emit_add(em, to, dst, 0);
    const struct loop sets = loop_begin(em, l->ahead);
    emit_li(em, col, 0);
    emit_load_tiles(c, to, row, desc, col, l->tiles);
    emit_add(em, row, row, mlen);
    loop_end(em, sets);
    emit_step(em, "");
    const uint8_t used[] = {row, col, to};
    for (size_t i = 0; i < sizeof used; i++)
        gp_give(em, used[i]);
}

/* What the first linear layer finds: asked for before the program's own work begins. */
void emit_chain_start(struct comp *c)
{
    struct emit *em = &c->em;
    size_t n;
    const struct link *const l = links(c, &n);
    const uint8_t half = emit_const(em, (uint64_t)c->chain.base * c->plan.mlen * c->plan.mlen);
    INS(em, S_ST_INT, .rd = half, .imm = INT_HALF);
    if (n && l->waits) {
        const uint8_t desc = emit_layer_desc(c, l->weight);
        emit_ahead(c, l, desc, half);
        gp_give(em, desc);
    }
    gp_give(em, half);
    for (size_t i = 0; i < n; i++) { /* lanes that nobody writes are zero */
        bool done = l[i].tail.rows == 0;
        for (size_t k = 0; k < i; k++)
            done |= l[k].tail.base == l[i].tail.base;
        if (!done)
            emit_zero(c, &l[i].tail);
    }
}

/* To Matrix SRAM from register `half` on. */
static void load_next(struct comp *c, const struct link *l, uint8_t half)
{
    size_t n;
    const struct link *const all = links(c, &n), *next = &all[l->next];
    const uint8_t desc = l->next_layer ? emit_next_layer_desc(c, next->weight) : emit_layer_desc(c, next->weight);
    emit_ahead(c, next, desc, half);
    gp_give(&c->em, desc);
    gp_give(&c->em, half);
}

void emit_next_ahead(struct comp *c, const struct link *l, bool hold)
{
    if (l->next >= 0 && hold)
        c->chain.held = l;
    else if (l->next >= 0)
        load_next(c, l, emit_other_half(c));
}

void emit_held(struct comp *c)
{
    if (!c->chain.held)
        return;
    const uint8_t half = gp_take(&c->em); /* the turn has passed */
    INS(&c->em, S_LD_INT, .rd = half, .imm = INT_HALF);
    load_next(c, c->chain.held, half);
    c->chain.held = NULL;
}

/* The other half's turn. */
void emit_turn(struct comp *c)
{
    const uint8_t other = emit_other_half(c);
    INS(&c->em, S_ST_INT, .rd = other, .imm = INT_HALF);
    gp_give(&c->em, other);
}
