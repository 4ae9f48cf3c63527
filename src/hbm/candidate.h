/* candidate.h - which command of each class could go next in a channel: the earliest, of equals that of the oldest access.
 *
 * Row and column commands are chosen apart: each class keeps its best candidate, found again only when something changed for that class. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HBM_CANDIDATE_H
#define HBM_CANDIDATE_H
#include "bank.h"

/* A candidate is a time and an age; the earlier wins, of equals the older. Both in one word: clocks after `floor`, then age. No
 * constraint reaches 2^24 clocks ahead, and a channel does not live for 2^40 accesses. */
static inline uint64_t key_of(uint64_t t, uint64_t floor, uint64_t seq)
{
    return (t - floor) << 40 | seq;
}

static inline void keep(struct hbm_best *best, uint64_t floor, uint64_t key, unsigned bank)
{
    *best = (struct hbm_best){
        .t = key == HBM_NEVER ? HBM_NEVER : floor + (key >> 40), .seq = key & (((uint64_t)1 << 40) - 1), .bank = bank};
}

/* Without branches: which it is cannot be foreseen. */
static inline bool sooner(uint64_t t, uint64_t seq, const struct hbm_best *than)
{
    return (t < than->t) | ((t == than->t) & (seq < than->seq));
}

/* Bank b became a candidate, ready at t. */
static inline void offer(struct hbm_best *best, uint64_t t, uint64_t seq, unsigned b)
{
    if (sooner(t, seq, best))
        *best = (struct hbm_best){.t = t, .seq = seq, .bank = b};
}

static inline uint64_t col_time(const struct pl_hbm *h, const struct hbm_channel *c, unsigned dir, unsigned b)
{
    return max64(max64(c->col_ok[dir][b], c->grp_col[dir][b >> h->group_shift]), c->pc_col[dir][b >= h->per_pc]);
}

static inline uint64_t act_time(const struct pl_hbm *h, const struct hbm_channel *c, unsigned b)
{
    return max64(max64(c->act_ok[b], c->grp_act[b >> h->group_shift]), c->pc_act[b >= h->per_pc]);
}

static inline void scan_col(const struct pl_hbm *h, struct hbm_channel *c, unsigned pc)
{
    const unsigned dir = c->mode;
    const uint64_t floor = max64(max64(c->col_bus, c->now), c->pc_col[dir][pc]);
    uint64_t best = HBM_NEVER;
    unsigned bank = 0;
    for (uint64_t m = c->hit[dir] & h->pc_mask[pc] & ~c->blocked; m; m &= m - 1) {
        const unsigned b = (unsigned)__builtin_ctzll(m);
        const uint64_t key =
            key_of(max64(max64(c->col_ok[dir][b], c->grp_col[dir][b >> h->group_shift]), floor), floor, c->hit_seq[dir][b]);
        bank = key < best ? b : bank;
        best = key < best ? key : best;
    }
    keep(&c->col[pc], floor, best, bank);
}

static inline void scan_act(const struct pl_hbm *h, struct hbm_channel *c)
{
    const unsigned dir = c->mode;
    const uint64_t floor = max64(c->row_bus, c->now);
    uint64_t best = HBM_NEVER;
    unsigned bank = 0;
    for (uint64_t m = c->pend[dir] & ~c->open & ~c->blocked; m; m &= m - 1) {
        const unsigned b = (unsigned)__builtin_ctzll(m);
        const uint64_t key = key_of(max64(act_time(h, c, b), floor), floor, c->head_seq[dir][b]);
        bank = key < best ? b : bank;
        best = key < best ? key : best;
    }
    keep(&c->act, floor, best, bank);
}

/* The open banks whose row no access of the mode wants while one wants another; under the closed policy also those nobody
 * wants. */
static inline uint64_t pre_mask(const struct pl_hbm *h, const struct hbm_channel *c)
{
    const uint64_t unused = h->p.row_policy == PL_HBM_ROW_CLOSED ? ~(c->hit[0] | c->hit[1]) : 0;
    return c->open & ((c->pend[c->mode] & ~c->hit[c->mode]) | unused) & ~c->blocked;
}

static inline uint64_t pre_age(const struct hbm_channel *c, unsigned b)
{
    return c->pend[c->mode] >> b & 1 ? c->head_seq[c->mode][b] : ((uint64_t)1 << 40) - 1;
}

static inline void scan_pre(const struct pl_hbm *h, struct hbm_channel *c)
{
    const uint64_t floor = max64(c->row_bus, c->now);
    uint64_t best = HBM_NEVER;
    unsigned bank = 0;
    for (uint64_t m = pre_mask(h, c); m; m &= m - 1) {
        const unsigned b = (unsigned)__builtin_ctzll(m);
        const uint64_t key = key_of(max64(c->pre_ok[b], floor), floor, pre_age(c, b));
        bank = key < best ? b : bank;
        best = key < best ? key : best;
    }
    keep(&c->pre, floor, best, bank);
}

/* Bank b changed: what is it a candidate for now? A best candidate that b no longer is must be found anew. */
static inline void review(const struct pl_hbm *h, struct hbm_channel *c, unsigned b)
{
    const unsigned dir = c->mode;
    c->dirty |= (c->act.bank == b ? HBM_ACT : 0) | (c->pre.bank == b ? HBM_PRE : 0);
    if (c->blocked >> b & 1)
        return;
    if (!(c->open >> b & 1)) {
        if (c->pend[dir] >> b & 1)
            offer(&c->act, max64(max64(act_time(h, c, b), c->row_bus), c->now), c->head_seq[dir][b], b);
        return;
    }
    if (c->hit[dir] >> b & 1)
        offer(&c->col[b >= h->per_pc], max64(max64(col_time(h, c, dir, b), c->col_bus), c->now), c->hit_seq[dir][b], b);
    else if (pre_mask(h, c) >> b & 1)
        offer(&c->pre, max64(max64(c->pre_ok[b], c->row_bus), c->now), pre_age(c, b), b);
}

static inline void find_candidates(const struct pl_hbm *h, struct hbm_channel *c)
{
    if (c->dirty & HBM_COL)
        scan_col(h, c, 0);
    if (c->dirty & HBM_COL << 1)
        scan_col(h, c, 1);
    if (c->dirty & HBM_ACT)
        scan_act(h, c);
    if (c->dirty & HBM_PRE)
        scan_pre(h, c);
    c->dirty = 0;
}

/* A bus is taken up to `free`: candidates that would have gone before must be weighed anew. */
static inline void use_row_bus(const struct pl_hbm *h, struct hbm_channel *c, uint64_t free)
{
    c->row_bus = free;
    c->dirty |= (c->act.t < free ? HBM_ACT : 0) | (c->pre.t < free ? HBM_PRE : 0);
    if (h->p.cmd_buses == 1 && c->col_bus < free) {
        c->col_bus = free;
        c->dirty |= HBM_COLS;
    }
}
#endif
