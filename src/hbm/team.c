/* team.c - channels in the same state that are asked for the same at the same times are stepped once.
 *
 * At a checkpoint (memo.c) a channel whose image equals that of another becomes its follower. From there on every access given to the leader is noted;
 * as long as a follower is given the same (but for the channel) at the same time, the leader's commands are its own, and only its
 * completions are told. Otherwise it goes alone: from the leader's state as it was kept last it takes once more what it was given. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "hbm_internal.h"

enum { RING = 512, REACH = RING - 2 * HBM_QUEUE /* accesses from one keeping to the next */, CHANNELS = 256, LATER = 4 /* clocks that a follower may be behind */,
       WORTH = 64 /* accesses given to a follower before it leaves */ };

struct push { /* an access given to a leader */
    uint64_t access; /* less its channel */
    uint64_t seen, room;
    uint64_t done; /* when its column command goes; HBM_NEVER: not known */
    unsigned bank;
    bool inert;       /* being there, it changed nothing */
    bool write, told; /* told: the followers that have it know */
};
struct hbm_team {
    uint32_t n, kept; /* accesses given to the leader: now; when `snap` was taken */
    uint32_t oldest;  /* in the queues, then */
    uint32_t writes;  /* of these since it leads */
    uint32_t n_follower;
    uint16_t follower[CHANNELS];
    uint32_t n_fresh, fresh[RING]; /* done, not told */
    struct push push[RING];
    struct hbm_channel snap;
    struct pl_hbm_stats counted; /* of the leader: up to there they are in those of the followers */
};
struct member {
    uint32_t n; /* accesses given to a follower */
    struct owner {
        uint32_t slot, item;
        uint64_t seen;
    } own[RING];
};
struct hbm_teams {
    struct member member[CHANNELS];
    struct hbm_team *team[CHANNELS]; /* by leader */
    uint64_t bits[CHANNELS];         /* of an access: its channel */
    uint64_t mask;                   /* of these */
    uint64_t given, leaves; /* to followers, of followers, since the last look */
    unsigned rests, pause;  /* looks to let pass; how often in a row */
};

/* The channel must be bits of the access as they are, and nothing else may depend on them. */
static bool channel_bits(const struct pl_hbm *h, struct hbm_teams *x)
{
    for (unsigned b = 0; b < pl_log2(h->capacity) - h->access_shift; b++) {
        const struct hbm_loc l = hbm_unpack(hbm_locate(&h->map, (uint64_t)1 << b));
        if (!l.channel)
            continue;
        if (l.row || l.bank || l.channel & (l.channel - 1))
            return false;
        x->mask |= (uint64_t)1 << b;
        for (uint32_t i = 0; i < h->n_ch; i++)
            x->bits[i] |= i & l.channel ? (uint64_t)1 << b : 0;
    }
    return (uint32_t)__builtin_popcountll(x->mask) == pl_log2(h->n_ch);
}

void hbm_teams_new(struct pl_hbm *h)
{
    if (!h->memo || h->opt.log || h->n_ch == 1 || h->n_ch > CHANNELS)
        return;
    struct hbm_teams *x = h->teams = calloc(1, sizeof *x);
    if (x && !channel_bits(h, x))
        hbm_teams_free(h);
    else if (x)
        hbm_teams_forget(h);
}

void hbm_teams_free(struct pl_hbm *h)
{
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++)
        free(h->teams->team[i]);
    free(h->teams);
    h->teams = NULL;
}

uint64_t hbm_team_channel(const struct pl_hbm *h, uint32_t i)
{
    return h->teams ? h->teams->bits[i] : 0;
}

void hbm_teams_forget(struct pl_hbm *h)
{
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++) {
        h->leader[i] = HBM_ALONE;
        h->ch[i].team = NULL;
    }
}

bool hbm_teams_look(struct pl_hbm *h)
{
    struct hbm_teams *x = h->teams;
    if (!x)
        return false;
    if (x->leaves && x->given / x->leaves < WORTH) { /* they do not stay together */
        x->pause = 1u << x->rests;
        x->rests += x->rests < 8;
    } else if (x->given) {
        x->rests = 0;
    }
    x->leaves = 0;
    x->given = 0;
    x->pause -= x->pause > 0;
    return !x->pause;
}

/* s += a - b. */
static void add_difference(struct pl_hbm_stats *s, const struct pl_hbm_stats *a, const struct pl_hbm_stats *b)
{
    hbm_add_stats(s, a);
    hbm_sub_stats(s, b);
    s->busy_cyc += a->busy_cyc - b->busy_cyc;
}

/* ---- forming ---- */
/* Channel `leader` leads from here on. */
static struct hbm_team *lead(struct pl_hbm *h, const struct hbm_image *m, uint32_t leader)
{
    const uint32_t from = m->flight_at[leader], n = m->flight_at[leader + 1] - from;
    struct hbm_channel *c = &h->ch[leader];
    struct hbm_team **t = &h->teams->team[leader];
    if (!*t)
        *t = malloc(sizeof **t);
    if (!*t)
        return NULL;
    for (uint32_t k = 0; k < RING; k++)
        (*t)->push[k] = (struct push){.done = k < n ? HBM_NEVER : 0, .told = k >= n};
    for (uint32_t k = 0; k < n; k++) {
        m->entry[from + k]->push = k;
        (*t)->push[k].write = m->entry[from + k]->write;
    }
    (*t)->n = (*t)->kept = n;
    (*t)->n_follower = (*t)->n_fresh = (*t)->oldest = 0;
    (*t)->writes = c->used[1];
    memset(c->touched, 0, sizeof c->touched);
    c->team = *t;
    (*t)->snap = *c;
    (*t)->counted = c->stats;
    return *t;
}

void hbm_team_join(struct pl_hbm *h, struct hbm_image *m, uint32_t i, uint32_t leader)
{
    const uint32_t to = m->flight_at[i], from = m->flight_at[leader], n = m->flight_at[leader + 1] - from;
    struct hbm_channel *c = &h->ch[leader];
    struct hbm_team *t = c->team ? c->team : lead(h, m, leader);
    if (!t)
        return;
    struct member *x = &h->teams->member[i];
    h->leader[i] = leader;
    x->n = t->n;
    t->follower[t->n_follower++] = (uint16_t)i;
    for (uint32_t k = t->kept; k != t->n; k++)
        x->own[k % RING].seen = t->push[k % RING].seen;
    for (uint32_t k = 0; k < n; k++) {
        x->own[m->entry[from + k]->push % RING] = (struct owner){m->slot[to + k], to + k, x->own[m->entry[from + k]->push % RING].seen};
        m->entry[to + k] = m->entry[from + k];
    }
    h->ch[i].team = NULL;
    h->next_at[i] = HBM_NEVER;
}

void hbm_team_image(struct pl_hbm *h, struct hbm_image *m, uint32_t i)
{
    struct member *x = &h->teams->member[i];
    const uint32_t from = m->flight_at[h->leader[i]], n = m->flight_at[h->leader[i] + 1] - from;
    for (uint32_t k = 0; k < n; k++) {
        struct owner *o = &x->own[m->entry[from + k]->push % RING];
        m->slot[m->n_flight] = o->slot;
        m->item[m->n_flight] = o->item;
        m->entry[m->n_flight] = m->entry[from + k];
        o->item = m->n_flight++;
    }
}

/* ---- leaving ---- */
static void remove_follower(struct hbm_team *t, uint32_t i)
{
    for (uint32_t k = 0; k < t->n_follower; k++)
        if (t->follower[k] == i) {
            t->follower[k] = t->follower[--t->n_follower];
            return;
        }
}

void hbm_team_leave(struct pl_hbm *h, uint32_t i, uint64_t until)
{
    struct hbm_teams *all = h->teams;
    struct member *x = &all->member[i];
    struct hbm_channel *l = &h->ch[h->leader[i]], *c = &h->ch[i];
    struct hbm_team *t = l->team;
    struct pl_hbm_stats stats = c->stats;
    add_difference(&stats, &t->snap.stats, &t->counted); /* counted again below */
    h->recording = false;
    all->leaves++;
    *c = t->snap;
    c->stats = stats;
    c->index = (uint16_t)i;
    c->team = NULL;
    for (uint32_t k = 0; k < PL_COUNT(c->e); k++) { /* those in the queues, and others, which do not matter */
        struct hbm_entry *e = &c->e[k];
        const struct owner *o = &x->own[e->push % RING];
        e->access = (e->access & ~all->mask) | all->bits[i];
        e->slot = t->push[e->push % RING].told ? HBM_FINISHED : o->slot;
        e->item = o->item;
    }
    h->leader[i] = HBM_ALONE;
    h->next_at[i] = 0;
    for (uint32_t k = t->kept; k != x->n; k++) {
        const struct push *p = &t->push[k % RING];
        const uint64_t access = p->access | all->bits[i];
        if (c->used[p->write] == (p->write ? h->p.write_queue : h->p.read_queue))
            (void)hbm_channel_run(h, c, HBM_NEVER, p->write);
        hbm_channel_push(h, c, hbm_locate(&h->map, access), access, p->told ? HBM_FINISHED : x->own[k % RING].slot, p->write,
                         x->own[k % RING].seen);
    }
    (void)hbm_channel_run(h, c, until, -1);
    remove_follower(t, i);
    if (!t->n_follower)
        l->team = NULL;
}

void hbm_team_dissolve(struct pl_hbm *h, struct hbm_channel *c, uint64_t until)
{
    while (c->team)
        hbm_team_leave(h, c->team->follower[0], until);
}

/* ---- going on ---- */
static bool together(const struct pl_hbm *h, const struct hbm_team *t)
{
    for (uint32_t k = 0; k < t->n_follower; k++)
        if (h->teams->member[t->follower[k]].n != t->n)
            return false;
    return true;
}

/* The statistics of the leader are those of each follower. */
static void count(struct pl_hbm *h, struct hbm_channel *c)
{
    struct hbm_team *t = c->team;
    for (uint32_t k = 0; k < t->n_follower; k++)
        add_difference(&h->ch[t->follower[k]].stats, &c->stats, &t->counted);
    t->counted = c->stats;
}

static void keep(struct pl_hbm *h, struct hbm_channel *c)
{
    struct hbm_team *t = c->team;
    count(h, c);
    t->snap = *c;
    t->kept = t->n;
    while (t->oldest != t->n && t->push[t->oldest % RING].done != HBM_NEVER)
        t->oldest++;
}

void hbm_teams_count(struct pl_hbm *h)
{
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++)
        if (h->ch[i].team)
            count(h, &h->ch[i]);
}

bool hbm_teams_together(const struct pl_hbm *h)
{
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++)
        if (h->ch[i].team && !together(h, h->ch[i].team))
            return false;
    return true;
}

void hbm_teams_keep(struct pl_hbm *h, uint32_t least)
{
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++) {
        struct hbm_team *t = h->ch[i].team;
        if (t && t->n - t->kept >= least && together(h, t))
            keep(h, &h->ch[i]);
    }
}

void hbm_teams_settle(struct pl_hbm *h)
{
    hbm_teams_tell(h);
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++) {
        const struct member *x = &h->teams->member[i];
        if (h->leader[i] != HBM_ALONE && x->n != h->ch[h->leader[i]].team->n)
            hbm_team_leave(h, i, h->ran);
    }
    hbm_teams_keep(h, 0);
}

/* Would the leader, had it been given access p only at `seen`, now be in the same state? Yes if nothing was done for its bank in between, and its
 * mere presence changed nothing: only reads wait, and others with it in its pseudo-channel. */
static bool same_if_later(struct pl_hbm *h, struct hbm_channel *c, const struct push *p, uint64_t seen)
{
    struct hbm_team *t = c->team;
    if (h->p.lat_in || seen < p->seen || seen - p->seen > LATER)
        return false;
    (void)hbm_channel_run(h, c, seen - 1, -1); /* nothing is given to it before `seen` any more */
    const unsigned b = p->bank;
    const uint64_t last = c->touched[0][b] <= seen ? c->touched[0][b] : c->touched[1][b];
    return p->inert && last <= p->seen && !t->writes;
}

bool hbm_team_follows(struct pl_hbm *h, uint32_t i, uint64_t access, bool write, uint64_t *t)
{
    const struct member *x = &h->teams->member[i];
    struct hbm_channel *c = &h->ch[h->leader[i]];
    const struct push *p = &c->team->push[x->n % RING];
    const uint64_t at = max64(*t, p->room);
    if (x->n == c->team->n || p->access != (access & ~h->teams->mask) || p->write != write)
        return false;
    if (p->seen != at + h->p.lat_in && !same_if_later(h, c, p, at))
        return false;
    *t = at;
    return true;
}

static inline void tell(struct pl_hbm *h, const struct owner *o, bool write, uint64_t t)
{
    if (h->recording)
        hbm_record_column(h, o->item, write, t);
    hbm_finish(h, o->slot, t + h->latency[write]);
}

void hbm_team_give(struct pl_hbm *h, uint32_t i, uint32_t slot, uint64_t seen)
{
    struct member *x = &h->teams->member[i];
    const struct push *p = &h->ch[h->leader[i]].team->push[x->n % RING];
    h->teams->given++;
    struct owner *o = &x->own[x->n++ % RING];
    *o = (struct owner){slot, h->next_item++, seen};
    if (p->told)
        tell(h, o, p->write, p->done);
}

void hbm_team_push(struct pl_hbm *h, struct hbm_channel *c, struct hbm_entry *e)
{
    struct hbm_team *t = c->team;
    struct push *p = &t->push[t->n % RING];
    if (t->n - t->kept == REACH || t->n - t->oldest == RING) { /* too far from what was kept, or one waited for ages */
        hbm_team_dissolve(h, c, 0);
        return;
    }
    *p = (struct push){.access = e->access & ~h->teams->mask, .seen = e->seen, .room = c->room, .done = HBM_NEVER, .write = e->write};
    e->push = t->n++;
    t->writes += e->write;
}

void hbm_team_admitted(const struct pl_hbm *h, struct hbm_channel *c, const struct hbm_entry *e, bool hits)
{
    struct push *p = &c->team->push[e->push % RING];
    p->bank = e->bank;
    p->inert = !hits && h->p.row_policy == PL_HBM_ROW_OPEN && c->waiting[e->bank >= h->per_pc] > LATER + 1;
}

void hbm_team_done(struct hbm_team *t, uint32_t push, uint64_t at)
{
    t->push[push % RING].done = at;
    t->fresh[t->n_fresh++] = push;
}

static void tell_team(struct pl_hbm *h, struct hbm_team *t)
{
    for (uint32_t k = 0; k < t->n_follower; k++) {
        const struct member *x = &h->teams->member[t->follower[k]];
        for (uint32_t j = 0; j < t->n_fresh; j++) {
            const struct push *p = &t->push[t->fresh[j] % RING];
            if ((int32_t)(x->n - t->fresh[j]) > 0)
                tell(h, &x->own[t->fresh[j] % RING], p->write, p->done);
        }
    }
    for (uint32_t j = 0; j < t->n_fresh; j++)
        t->push[t->fresh[j] % RING].told = true;
    t->n_fresh = 0;
}

void hbm_teams_tell(struct pl_hbm *h)
{
    for (uint32_t i = 0; h->teams && i < h->n_ch; i++)
        if (h->ch[i].team)
            tell_team(h, h->ch[i].team);
}

void hbm_sum_stats(const struct pl_hbm *h, struct pl_hbm_stats *out)
{
    *out = h->stats;
    for (uint32_t i = 0; i < h->n_ch; i++) {
        hbm_add_stats(out, &h->ch[i].stats);
        out->busy_cyc += h->ch[i].stats.busy_cyc;
    }
}
