/* bank.h - the accesses that wait for the banks of a channel, and the rows of these: lists by bank and direction, oldest first. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HBM_BANK_H
#define HBM_BANK_H
#include "hbm_internal.h"

enum { KIND_HIT, KIND_MISS, KIND_CONFLICT };

/* The oldest entry of the bank's list from `i` on that hits the open row. */
static inline void find_hit(struct hbm_channel *c, unsigned dir, unsigned bank, unsigned i)
{
    while (i != HBM_NONE && c->e[i].row != c->row[bank])
        i = c->e[i].next;
    if (i == HBM_NONE) {
        c->hit[dir] &= ~bit(bank);
        return;
    }
    c->hit[dir] |= bit(bank);
    c->hit_at[dir][bank] = (uint8_t)i;
    c->hit_seq[dir][bank] = c->e[i].seq;
}

static inline void release(struct hbm_channel *c, unsigned i, unsigned dir)
{
    c->e[i].next = c->free_head;
    c->free_head = (uint8_t)i;
    c->used[dir]--;
}

/* Take entry i, the oldest hit of bank b, out of its list; find the next hit. */
static inline void take_hit(struct pl_hbm *h, struct hbm_channel *c, unsigned dir, unsigned b, unsigned i)
{
    const unsigned next = c->e[i].next;
    if (c->head[dir][b] == i) {
        c->head[dir][b] = (uint8_t)next;
        if (next == HBM_NONE) {
            c->pend[dir] &= ~bit(b);
            c->hit[dir] &= ~bit(b);
            return;
        }
        c->head_seq[dir][b] = c->e[next].seq;
    } else {
        unsigned before = c->head[dir][b];
        while (c->e[before].next != i)
            before = c->e[before].next;
        c->e[before].next = (uint8_t)next;
        if (next == HBM_NONE)
            c->tail[dir][b] = (uint8_t)before;
        c->passed[b]++;
    }
    find_hit(c, dir, b, next);
    if (h->p.hit_cap && c->passed[b] >= h->p.hit_cap && c->hit[dir] >> b & 1 && c->hit_at[dir][b] != c->head[dir][b])
        c->hit[dir] &= ~bit(b);
}

static inline void precharge(struct pl_hbm *h, struct hbm_channel *c, unsigned b, uint64_t t)
{
    c->open &= ~bit(b);
    c->hit[0] &= ~bit(b);
    c->hit[1] &= ~bit(b);
    raise_to(&c->act_ok[b], t + h->p.trp);
    h->stats.precharges++;
}
#endif
