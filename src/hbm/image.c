/* image.c - the state of all channels as words: two states with equal images behave alike from there on.
 *
 * Times are relative to the image's, and all times before it are one: they bind nothing any more. Accesses (and so rows) are relative to
 * the image's row, ages to the age of the next access. What follows from the rest (candidates, free list, counts) is left out.
 * One walk over the fields both saves and loads. Saving numbers the accesses in the queues (item), loading gives each its slot. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "hbm_internal.h"

enum { FIRST_SEQ = 1 << 30, WORD_NEVER = 0x7fffffff };

struct walk {
    struct pl_hbm *h;
    struct hbm_channel *c;
    struct hbm_image *m;
    uint32_t at;
    bool load;
};

static inline uint32_t word(struct walk *k, uint64_t v)
{
    if (k->load)
        return k->m->w[k->at++];
    k->m->bad |= v > UINT32_MAX;
    k->m->w[k->m->n++] = (uint32_t)v;
    return (uint32_t)v;
}

/* A time that binds from the image's on, or not at all. */
static inline void time_of(struct walk *k, uint64_t *t)
{
    const uint64_t base = k->m->time - 1, w = word(k, *t > base ? *t - base : 0);
    if (k->load)
        *t = base + w;
}

/* A time whose exact distance counts, before or after. */
static inline void exact(struct walk *k, uint64_t *t)
{
    const int64_t d = (int64_t)(*t - k->m->time);
    if (!k->load && *t != HBM_NEVER)
        k->m->bad |= d > 1 << 30 || d < -(1 << 30);
    const uint32_t w = word(k, *t == HBM_NEVER ? WORD_NEVER : (uint32_t)d);
    if (k->load)
        *t = w == WORD_NEVER ? HBM_NEVER : k->m->time + (uint64_t)(int64_t)(int32_t)w;
}

static inline void mask_of(struct walk *k, uint64_t *m)
{
    const uint32_t low = word(k, (uint32_t)*m), high = word(k, *m >> 32);
    if (k->load)
        *m = low | (uint64_t)high << 32;
}

#define VALUE(k, field)                                                                                                       \
    do {                                                                                                                       \
        const uint32_t w_ = word(k, field);                                                                                    \
        if ((k)->load)                                                                                                         \
            (field) = (__typeof__(field))w_;                                                                                   \
    } while (0)

/* Access of an entry, and what follows from it; and whose it is. */
static void access_of(struct walk *k, struct hbm_entry *e)
{
    uint64_t d = e->access - k->m->access;
    mask_of(k, &d);
    struct hbm_image *m = k->m;
    if (k->load) {
        e->access = d + m->access;
        const uint64_t loc = hbm_locate(&k->h->map, e->access);
        e->row = (uint32_t)loc;
        e->bank = (uint8_t)(loc >> 32);
        e->slot = m->slot[m->n_flight];
        e->item = m->item[m->n_flight];
    } else {
        m->slot[m->n_flight] = e->slot;
        m->item[m->n_flight] = e->item;
        e->item = m->n_flight;
    }
    m->n_flight++;
}

static unsigned new_entry(struct hbm_channel *c, unsigned dir)
{
    const uint8_t i = c->free_head;
    c->free_head = c->e[i].next;
    c->e[i].next = HBM_NONE;
    c->e[i].write = (uint8_t)dir;
    c->used[dir]++;
    return i;
}

/* The accesses of a bank that the scheduler knows, oldest first; which of them is the oldest hit. */
static void list_of(struct walk *k, unsigned dir, unsigned b)
{
    struct hbm_channel *c = k->c;
    unsigned n = 0, hit = HBM_NONE;
    for (unsigned i = c->head[dir][b]; !k->load && i != HBM_NONE; i = c->e[i].next, n++)
        if (c->hit[dir] >> b & 1 && c->hit_at[dir][b] == i)
            hit = n;
    const uint32_t count = word(k, n);
    hit = word(k, hit);
    for (unsigned j = 0, i = k->load ? HBM_NONE : c->head[dir][b], last = HBM_NONE; j < count; j++) {
        if (k->load)
            i = new_entry(c, dir);
        struct hbm_entry *e = &c->e[i];
        access_of(k, e);
        const uint32_t age = word(k, c->seq - e->seq);
        k->m->bad |= age >= FIRST_SEQ;
        if (k->load) {
            e->seq = c->seq - age;
            if (last == HBM_NONE) {
                c->head[dir][b] = (uint8_t)i;
                c->head_seq[dir][b] = e->seq;
            } else {
                c->e[last].next = (uint8_t)i;
            }
            c->tail[dir][b] = (uint8_t)i;
            if (j == hit) {
                c->hit_at[dir][b] = (uint8_t)i;
                c->hit_seq[dir][b] = e->seq;
                c->hit[dir] |= (uint64_t)1 << b;
            }
            c->pend[dir] |= (uint64_t)1 << b;
            c->seen[dir]++;
            c->waiting[b >= k->h->per_pc]++;
        }
        last = i;
        i = k->load ? HBM_NONE : e->next;
    }
}

static void banks_of(struct walk *k)
{
    struct hbm_channel *c = k->c;
    for (unsigned b = 0; b < k->h->per_pc * k->h->p.pseudo; b++) {
        time_of(k, &c->act_ok[b]);
        VALUE(k, c->kind[b]);
        VALUE(k, c->after_ref[b]);
        if (c->open >> b & 1) {
            time_of(k, &c->pre_ok[b]);
            time_of(k, &c->col_ok[0][b]);
            time_of(k, &c->col_ok[1][b]);
            const uint32_t top = (uint32_t)(k->m->access >> k->h->row_shift), row = word(k, c->row[b] - top);
            if (k->load)
                c->row[b] = row + top;
            VALUE(k, c->why[b]);
            if (k->h->p.hit_cap)
                VALUE(k, c->passed[b]);
        }
    }
    for (unsigned g = 0; g < k->h->per_pc * k->h->p.pseudo >> k->h->group_shift; g++) {
        time_of(k, &c->grp_col[0][g]);
        time_of(k, &c->grp_col[1][g]);
        time_of(k, &c->grp_act[g]);
    }
}

static void pseudo_of(struct walk *k, unsigned pc)
{
    struct hbm_channel *c = k->c;
    time_of(k, &c->pc_col[0][pc]);
    time_of(k, &c->pc_col[1][pc]);
    time_of(k, &c->pc_act[pc]);
    for (unsigned i = 0; i < 4; i++) /* oldest first; loaded, the oldest is the first */
        time_of(k, &c->faw[pc][(c->faw_at[pc] + i) % 4]);
    exact(k, &c->pins_free[pc]);
    uint64_t since = c->waiting[pc] && c->since[pc] > c->pins_free[pc] ? c->since[pc] : c->pins_free[pc];
    exact(k, &since);
    if (k->load)
        c->since[pc] = since;
    VALUE(k, c->last_dir[pc]);
    exact(k, &c->ref_due[pc]);
    VALUE(k, c->ref_bank[pc]);
}

/* Accesses that the scheduler does not know yet. */
static void arrivals_of(struct walk *k)
{
    struct hbm_channel *c = k->c;
    const uint32_t n = word(k, c->in_count);
    for (unsigned j = 0; j < n; j++) {
        const unsigned at = (c->in_head + j) % PL_COUNT(c->in);
        const uint32_t dir = word(k, k->load ? 0 : c->e[c->in[at]].write);
        if (k->load) {
            c->in[at] = (uint8_t)new_entry(c, dir);
            c->in_count++;
        }
        access_of(k, &c->e[c->in[at]]);
        exact(k, &c->e[c->in[at]].seen);
        if (k->load && !j)
            c->in_seen = c->e[c->in[at]].seen;
    }
}

static void channel_of(struct walk *k)
{
    struct hbm_channel *c = k->c;
    if (k->load) {
        const uint64_t busy = c->busy;
        hbm_channel_init(k->h, c, c->index);
        c->busy = busy;
        c->seq = FIRST_SEQ;
    }
    time_of(k, &c->now);
    time_of(k, &c->row_bus);
    time_of(k, &c->col_bus);
    VALUE(k, c->mode);
    VALUE(k, c->ref_wait);
    mask_of(k, &c->open);
    mask_of(k, &c->blocked);
    exact(k, &c->ref_next);
    for (unsigned pc = 0; pc < k->h->p.pseudo; pc++)
        pseudo_of(k, pc);
    banks_of(k);
    for (unsigned dir = 0; dir < 2; dir++) {
        uint64_t pend = c->pend[dir];
        mask_of(k, &pend);
        for (; pend; pend &= pend - 1)
            list_of(k, dir, (unsigned)__builtin_ctzll(pend));
    }
    arrivals_of(k);
}

void hbm_image_save(struct pl_hbm *h, struct hbm_image *m)
{
    struct walk k = {.h = h, .m = m};
    m->n = m->n_flight = 0;
    m->bad = false;
    for (uint32_t i = 0; i < h->n_ch; i++) {
        k.c = &h->ch[i];
        channel_of(&k);
    }
}

void hbm_image_load(struct pl_hbm *h, struct hbm_image *m)
{
    struct walk k = {.h = h, .m = m, .load = true};
    m->n_flight = 0;
    for (uint32_t i = 0; i < h->n_ch; i++) {
        k.c = &h->ch[i];
        channel_of(&k);
        h->next_at[i] = m->time;
    }
}
