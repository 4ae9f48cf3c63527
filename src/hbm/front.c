/* front.c - the model as a whole: requests cut into accesses, handed to the channels in order, and completions in order.
 *
 * Channels do not depend on each other but through the front end, so each runs by itself: the front end runs ahead to a horizon
 * and lets a channel run only where it must know when a full queue has room; then all channels run to the horizon. What they
 * complete from there on lies at least the shortest latency behind the horizon: up to that point all completions are known and
 * in order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hbm_internal.h"

static void derive(struct pl_hbm *h)
{
    const struct pl_hbm_params *p = &h->p;
    const uint32_t ccd_s = p->tccd_s > p->burst ? p->tccd_s : p->burst, ccd_l = p->tccd_l > p->burst ? p->tccd_l : p->burst;
    const uint32_t after_write = p->tcwl + p->burst;
    h->n_ch = p->stacks * p->channels;
    h->per_pc = p->bank_groups * p->banks;
    h->access_bytes = pl_hbm_access_bytes(p);
    h->access_shift = pl_log2(h->access_bytes);
    h->capacity = pl_hbm_capacity(p);
    h->col_s[0][0] = h->col_s[1][1] = ccd_s;
    h->col_l[0][0] = h->col_l[1][1] = ccd_l;
    h->col_s[0][1] = h->col_l[0][1] = p->trtw;
    h->col_s[1][0] = after_write + p->twtr_s;
    h->col_l[1][0] = after_write + p->twtr_l;
    h->to_pre[0] = p->bank_groups > 1 ? p->trtp_l : p->trtp_s;
    h->to_pre[1] = after_write + p->twr;
    h->latency[0] = p->tcl + p->burst + p->lat_out;
    h->latency[1] = after_write + p->lat_out;
    h->least_latency = h->latency[0] < h->latency[1] ? h->latency[0] : h->latency[1];
    h->ref_every = p->refresh == PL_HBM_REFRESH_PER_BANK ? p->trefi_pb : p->trefi;
    h->drain_high = (p->write_queue * p->drain_high + 99) / 100;
    h->drain_low = p->write_queue * p->drain_low / 100;
    h->group_shift = pl_log2(p->banks);
    h->pc_mask[0] = ((uint64_t)1 << h->per_pc) - 1;
    h->pc_mask[1] = h->pc_mask[0] << h->per_pc;
    /* lines a ns -> clocks an access, in 1/65536 */
    if (p->inject > 0)
        h->step = (uint64_t)llround(65536.0 * h->access_bytes * 1000 / (p->inject * 64 * p->clock_ps));
}

enum pl_status pl_hbm_new(const struct pl_hbm_params *p, const struct pl_hbm_options *opt, struct pl_hbm **out,
                          struct pl_diag *d)
{
    PL_TRY(pl_hbm_check_params(p, d));
    struct pl_hbm *h = calloc(1, sizeof *h);
    if (!h)
        return pl_fail(d, PL_ENOMEM, "no memory for the HBM model");
    h->p = *p;
    if (opt)
        h->opt = *opt;
    derive(h);
    h->ch = calloc(h->n_ch, sizeof *h->ch);
    h->next_at = malloc(h->n_ch * sizeof *h->next_at);
    /* what the queues hold, what is done but not yet handed back, and what waits in front */
    const uint32_t latency = h->latency[0] > h->latency[1] ? h->latency[0] : h->latency[1];
    h->n_slots = HBM_PENDING + h->n_ch * (p->read_queue + p->write_queue + 2 * latency);
    h->slot = malloc(h->n_slots * sizeof *h->slot);
    if (!h->ch || !h->next_at || !h->slot) {
        pl_hbm_free(h);
        return pl_fail(d, PL_ENOMEM, "no memory for %u HBM channels", p->stacks * p->channels);
    }
    (void)hbm_map_init(&h->map, p, NULL); /* checked above */
    for (uint32_t i = 0; i < h->n_ch; i++) {
        hbm_channel_init(h, &h->ch[i], (uint16_t)i);
        h->next_at[i] = HBM_NEVER;
    }
    for (uint32_t i = 0; i < h->n_slots; i++)
        h->slot[i].next = i + 1;
    if (!h->opt.no_closed_form)
        hbm_memo_new(h);
    *out = h;
    return PL_OK;
}

void pl_hbm_free(struct pl_hbm *h)
{
    if (!h)
        return;
    hbm_memo_free(h);
    free(h->ch);
    free(h->next_at);
    free(h->slot);
    free(h);
}

size_t pl_hbm_room(const struct pl_hbm *h)
{
    return h->n_pending < HBM_PENDING ? HBM_PENDING - h->n_pending : 0;
}

size_t pl_hbm_pending(const struct pl_hbm *h)
{
    return h->n_pending;
}

uint64_t pl_hbm_now(const struct pl_hbm *h)
{
    return h->now;
}

/* The piece at s->addr becomes the one being handed out. */
static void start_piece(const struct pl_hbm *h, struct hbm_slot *s)
{
    s->access = s->addr >> h->access_shift;
    s->end = ((s->addr + s->bytes - 1) >> h->access_shift) + 1;
}

/* Accesses of all pieces. */
static uint64_t count_accesses(const struct pl_hbm *h, const struct pl_hbm_request *r, uint64_t count)
{
    uint64_t n = 0, addr = r->addr;
    const uint64_t one = ((addr + r->bytes - 1) >> h->access_shift) - (addr >> h->access_shift) + 1;
    if (r->stride % h->access_bytes == 0)
        return one * count;
    for (uint64_t i = 0; i < count; i++, addr += r->stride)
        n += ((addr + r->bytes - 1) >> h->access_shift) - (addr >> h->access_shift) + 1;
    return n;
}

static enum pl_status enqueue(struct pl_hbm *h, const struct pl_hbm_request *r, uint64_t arrival, struct pl_diag *d)
{
    const uint64_t count = r->count ? r->count : 1;
    uint64_t last;
    if (!r->bytes || __builtin_mul_overflow(count - 1, r->stride, &last) || __builtin_add_overflow(last, r->addr, &last) ||
        __builtin_add_overflow(last, r->bytes, &last) || last > h->capacity)
        return pl_fail(d, PL_ERANGE, "request of %llu x %llu bytes at 0x%llx: allowed at least one byte, up to 0x%llx",
                       (unsigned long long)count, (unsigned long long)r->bytes, (unsigned long long)r->addr,
                       (unsigned long long)h->capacity);
    if (r->lane >= PL_HBM_LANES)
        return pl_fail(d, PL_ERANGE, "request of lane %u: allowed 0..%d", r->lane, PL_HBM_LANES - 1);
    const uint32_t i = h->free_slot;
    struct hbm_slot *s = &h->slot[i];
    h->free_slot = s->next;
    s->addr = r->addr; /* one by one: clearing the whole costs more than all of this */
    s->accepted = HBM_NEVER;
    s->bytes = r->bytes;
    s->last = 0;
    s->stride = r->stride;
    s->left = count == 1 ? ((r->addr + r->bytes - 1) >> h->access_shift) - (r->addr >> h->access_shift) + 1
                         : count_accesses(h, r, count);
    s->tag = r->tag;
    s->pieces = count - 1;
    s->base = r->addr;
    s->arrival = arrival;
    s->seq = h->submitted++;
    s->write = r->write;
    start_piece(h, s);
    h->min_arrival = arrival;
    s->lane = r->lane;
    struct hbm_lane *lane = &h->lane[r->lane];
    lane->fifo[(lane->head + lane->count++) % HBM_PENDING] = i;
    h->n_waiting++;
    h->n_pending++;
    return PL_OK;
}

enum pl_status pl_hbm_submit(struct pl_hbm *h, const struct pl_hbm_request *r, struct pl_diag *d)
{
    const uint64_t from = h->now > h->min_arrival ? h->now : h->min_arrival;
    if (h->n_pending >= HBM_PENDING)
        return pl_fail(d, PL_ENOMEM, "%d requests are pending, allowed no more", HBM_PENDING);
    if (r->arrival < from)
        return pl_fail(d, PL_ERANGE, "request arrives at %llu, allowed from %llu", (unsigned long long)r->arrival,
                       (unsigned long long)from);
    return enqueue(h, r, r->arrival, d);
}

/* The front end has nothing left: the next request of the source, if there is one. */
static void pull(struct pl_hbm *h)
{
    struct pl_hbm_request r = {0};
    if (!h->source->next(h->source->ctx, &r)) {
        h->source = NULL;
        return;
    }
    const uint64_t now = h->front_at, from = now > h->min_arrival ? now : h->min_arrival;
    const enum pl_status s = enqueue(h, &r, r.arrival > from ? r.arrival : from, &h->source_why);
    if (s != PL_OK) {
        h->source_status = pl_fail_in(&h->source_why, s, "request %llu", (unsigned long long)h->submitted);
        h->source = NULL;
    }
}

/* ---- completions ---- */
void hbm_complete(struct pl_hbm *h, uint32_t i)
{
    struct hbm_slot *s = &h->slot[i];
    const uint32_t at = (uint32_t)(s->last % HBM_RING);
    uint64_t *bits = &h->ring_bits[at / 64];
    h->ring_n++;
    if (!(*bits >> at % 64 & 1)) {
        *bits |= (uint64_t)1 << at % 64;
        h->ring_head[at] = h->ring_tail[at] = i;
        s->next = h->n_slots;
    } else if (h->slot[h->ring_tail[at]].seq < s->seq) {
        s->next = h->n_slots;
        h->slot[h->ring_tail[at]].next = i;
        h->ring_tail[at] = i;
    } else {
        uint32_t *link = &h->ring_head[at];
        while (h->slot[*link].seq < s->seq)
            link = &h->slot[*link].next;
        s->next = *link;
        *link = i;
    }
}

static unsigned hist_index(uint64_t v)
{
    if (v < 2048)
        return (unsigned)v;
    const unsigned e = pl_log2(v) - 10; /* v >> e is in 1024..2047 */
    return e > 32 ? PL_HBM_HIST - 1 : 2048 + (e - 1) * 1024 + (unsigned)((v >> e) & 1023);
}

static void hand_back(struct pl_hbm *h, uint32_t i, struct pl_hbm_done *out)
{
    struct hbm_slot *s = &h->slot[i];
    *out = (struct pl_hbm_done){.tag = s->tag, .accepted = s->accepted, .done = s->last, .write = s->write};
    h->stats.requests++;
    h->stats.end_cyc = s->last; /* they come in order */
    h->latency_sum += s->last - s->accepted;
    h->hist[hist_index(s->last - s->accepted)]++;
    s->next = h->free_slot;
    h->free_slot = i;
    h->n_pending--;
    h->ring_n--;
}

/* Hand back completions up to `until`, at most max. */
static size_t deliver(struct pl_hbm *h, uint64_t until, struct pl_hbm_done *done, size_t max)
{
    size_t n = 0;
    while (n < max && h->ring_n && h->ring_from <= until) {
        const uint32_t at = (uint32_t)(h->ring_from % HBM_RING);
        const uint64_t ahead = h->ring_bits[at / 64] >> at % 64;
        const uint64_t to = h->ring_from + (ahead ? (uint64_t)__builtin_ctzll(ahead) : 64 - at % 64);
        if (to > until) { /* what comes after is not known yet */
            h->ring_from = until + 1;
            break;
        }
        h->ring_from = to;
        if (!ahead)
            continue;
        const uint32_t here = (uint32_t)(h->ring_from % HBM_RING), i = h->ring_head[here];
        if (h->slot[i].next == h->n_slots) {
            h->ring_bits[here / 64] &= ~((uint64_t)1 << here % 64);
        } else {
            h->ring_head[here] = h->slot[i].next;
        }
        hand_back(h, i, &done[n++]);
    }
    return n;
}

/* ---- the front end ---- */
/* Pieces of `a` lie in the gaps between those of `b`. */
static bool fits_between(const struct hbm_slot *a, const struct hbm_slot *b)
{
    const uint64_t apart = a->base > b->base ? a->base - b->base : b->base - a->base;
    return a->pieces && b->pieces && a->stride == b->stride && apart < a->stride && a->write == b->write;
}

/* The way of a request about to become active; h->p.ways: its lane has none free. */
static uint32_t find_way(const struct pl_hbm *h, const struct hbm_slot *s)
{
    for (uint32_t k = 0; h->p.join && s->pieces && k < h->n_active; k++) {
        const struct hbm_slot *a = &h->slot[h->active[k]];
        if (a->lane == s->lane && fits_between(s, a))
            return a->way;
    }
    uint32_t way = 0;
    while (way < h->p.ways && h->lane[s->lane].in_way[way])
        way++;
    return way;
}

/* Requests that have arrived by `t` join those that take turns, in the order of their lane, as far as it has ways. */
static void refill(struct pl_hbm *h, uint64_t t)
{
    for (struct hbm_lane *l = h->lane; h->n_waiting && l < h->lane + PL_HBM_LANES; l++)
        while (l->count && h->n_active < HBM_MAX_ACTIVE && h->slot[l->fifo[l->head]].arrival <= t) {
            struct hbm_slot *s = &h->slot[l->fifo[l->head]];
            s->way = find_way(h, s);
            if (s->way == h->p.ways)
                break;
            l->in_way[s->way]++;
            h->active[h->n_active++] = l->fifo[l->head];
            l->head = (l->head + 1) % HBM_PENDING;
            l->count--;
            h->n_waiting--;
        }
}

/* When the front end can hand out its next access, full queues aside. */
static uint64_t front_time(const struct pl_hbm *h)
{
    const uint64_t t = h->front_at;
    if (h->n_active || (h->source && !h->n_waiting))
        return t;
    uint64_t arrival = HBM_NEVER;
    for (const struct hbm_lane *l = h->lane; h->n_waiting && l < h->lane + PL_HBM_LANES; l++)
        if (l->count && h->slot[l->fifo[l->head]].arrival < arrival)
            arrival = h->slot[l->fifo[l->head]].arrival;
    return t > arrival ? t : arrival;
}

/* The access just handed out was of active request `turn`; on to the next piece, the next request. */
static inline void step_turn(struct pl_hbm *h, struct hbm_slot *s)
{
    bool over = ++h->in_turn >= h->p.turn;
    if (++s->access == s->end) {
        over = true;
        if (s->pieces) {
            s->pieces--;
            s->addr += s->stride;
            start_piece(h, s);
        } else {
            h->n_active--;
            h->lane[s->lane].in_way[s->way]--;
            for (uint32_t k = h->turn; k < h->n_active; k++)
                h->active[k] = h->active[k + 1];
            h->turn--; /* wraps; the next line repairs it */
        }
    }
    if (!over)
        return;
    h->in_turn = 0;
    if (++h->turn >= h->n_active)
        h->turn = 0;
}

/* When access s->access can be handed out: *t is when its turn comes, without waiting for room. False: not up to `horizon`. */
static inline bool wait_for_room(struct pl_hbm *h, const struct hbm_slot *s, struct hbm_channel *c, uint64_t horizon, uint64_t *t)
{
    if (c->used[s->write] == (s->write ? h->p.write_queue : h->p.read_queue)) {
        if (!hbm_channel_run(h, c, horizon, s->write))
            return false;
        *t = c->freed > *t ? c->freed : *t;
    }
    return true;
}

static inline void push(struct pl_hbm *h, struct hbm_channel *c, uint64_t loc, const struct hbm_slot *s, uint64_t t)
{
    if (h->recording)
        hbm_record_accepted(h, s->access, s->write, t);
    hbm_channel_push(h, c, loc, s->access, h->active[h->turn], s->write, t + h->p.lat_in);
}

/* Hand accesses to the channels up to `horizon`. */
static void hand_out(struct pl_hbm *h, uint64_t horizon)
{
    h->front_blocked = false;
    for (;;) {
        if (!h->n_active && !h->n_waiting && h->source)
            pull(h);
        uint64_t t = front_time(h);
        if ((h->recording | h->replaying) && t != h->front_at)
            hbm_memo_stop(h); /* what was recorded did not wait for a request */
        if (t > horizon)
            return;
        refill(h, t);
        struct hbm_slot *s = &h->slot[h->active[h->turn]];
        const uint64_t turn_at = t;
        bool known = h->replaying;
        if (known && !hbm_memo_match(h, s->access, s->write, horizon, &t)) {
            hbm_memo_stop(h);
            known = false;
        }
        const uint64_t loc = h->replaying ? 0 : hbm_locate(&h->map, s->access);
        struct hbm_channel *c = &h->ch[loc >> 40];
        if (known ? t > horizon : !wait_for_room(h, s, c, horizon, &t)) {
            h->front_blocked = true;
            return;
        }
        if (!known && h->memo && !(s->access & h->segment_mask))
            hbm_memo_checkpoint(h, s->access, s->write, t);
        if (h->replaying && h->n_active == 1 && !h->ring_n && ((h->p.ways == 1 && !h->p.join) || !h->n_waiting) && s->accepted != HBM_NEVER &&
            hbm_memo_rush(h, h->active[0], h->until))
            continue;
        h->stats.blocked_cyc += t - turn_at;
        if (s->accepted == HBM_NEVER)
            s->accepted = t;
        if (h->replaying)
            hbm_memo_take(h, h->active[h->turn]);
        else
            push(h, c, loc, s, t);
        h->stats.bytes[s->write] += h->access_bytes;
        h->front_fraction = (h->front_at < t ? 0 : h->front_fraction) + h->step;
        h->front_at = t + (h->front_fraction >> 16);
        h->front_fraction &= 65535;
        step_turn(h, s);
    }
}

/* As pl_hbm_next. During a replay: when the next access is handed out, before which nothing becomes known. */
static uint64_t next_event(const struct pl_hbm *h)
{
    if (h->replaying) {
        const struct hbm_slot *s = &h->slot[h->active[h->turn]];
        return h->n_active ? hbm_memo_next(h, s->access, s->write) : h->front_at;
    }
    uint64_t t = h->front_blocked ? HBM_NEVER : front_time(h);
    for (uint32_t i = 0; i < h->n_ch; i++)
        t = t < h->next_at[i] ? t : h->next_at[i];
    return t;
}

uint64_t pl_hbm_next(struct pl_hbm *h)
{
    hbm_memo_stop(h);
    return next_event(h);
}

static void run_to(struct pl_hbm *h, uint64_t horizon)
{
    hand_out(h, horizon);
    for (uint32_t i = 0; i < h->n_ch && !h->replaying; i++)
        if (h->next_at[i] <= horizon)
            (void)hbm_channel_run(h, &h->ch[i], horizon, -1);
    h->ran = horizon;
}

size_t pl_hbm_advance(struct pl_hbm *h, uint64_t until, struct pl_hbm_done *done, size_t max)
{
    size_t n = 0;
    h->until = until;
    for (;;) {
        if (h->replaying && front_time(h) != h->front_at)
            hbm_memo_stop(h);
        const uint64_t next = next_event(h);
        if (h->replaying)
            hbm_memo_tell(h, next);
        const uint64_t known = next > HBM_NEVER - h->least_latency ? HBM_NEVER : next + h->least_latency - 1;
        n += deliver(h, known < until ? known : until, done + n, max - n);
        const bool over = next > until || next == HBM_NEVER;
        if (n == max || over) {
            const uint64_t stop = n < max && until != HBM_NEVER ? until : n ? done[n - 1].done : h->now;
            h->now = stop > h->now ? stop : h->now;
            h->now = h->ran > h->now ? h->ran : h->now;
            h->until = 0;
            return n;
        }
        /* an empty ring may lie far back */
        if (!h->ring_n && h->ring_from < next)
            h->ring_from = next;
        run_to(h, until - next < h->least_latency ? until : next + h->least_latency - 1);
    }
}

enum pl_status pl_hbm_run(struct pl_hbm *h, const struct pl_hbm_source *src, struct pl_diag *d)
{
    struct pl_hbm_done done[64];
    hbm_memo_stop(h);
    h->source = src;
    h->source_status = PL_OK;
    if (h->front_at < h->now) {
        h->front_at = h->now;
        h->front_fraction = 0;
    }
    for (size_t n = 1; n;) {
        n = pl_hbm_advance(h, HBM_NEVER, done, PL_COUNT(done));
        for (size_t i = 0; i < n && src->done; i++)
            src->done(src->ctx, &done[i]);
    }
    h->source = NULL;
    if (h->source_status != PL_OK && d)
        *d = h->source_why;
    return h->source_status;
}

/* ---- statistics ---- */
void pl_hbm_get_stats(struct pl_hbm *h, struct pl_hbm_stats *out)
{
    if (h->replaying)
        hbm_memo_stop(h);
    if (h->ran < h->now) {
        hand_out(h, h->now);
        h->ran = h->now;
    }
    for (uint32_t i = 0; i < h->n_ch; i++) /* those without work lag behind with their refreshes */
        (void)hbm_channel_run(h, &h->ch[i], h->ran, -1);
    *out = h->stats;
    for (uint32_t i = 0; i < h->n_ch; i++)
        out->busy_cyc += h->ch[i].busy;
    out->span_cyc = out->busy_cyc;
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        out->span_cyc += out->lost_cyc[l];
}

uint64_t pl_hbm_channel_busy(struct pl_hbm *h, uint32_t channel)
{
    if (h->replaying)
        hbm_memo_stop(h);
    return channel < h->n_ch ? h->ch[channel].busy : 0;
}

uint64_t pl_hbm_latency(const struct pl_hbm *h, double share)
{
    uint64_t n = 0;
    const uint64_t want = (uint64_t)ceil(share * (double)h->stats.requests);
    for (unsigned i = 0; i < PL_HBM_HIST && h->stats.requests; i++) {
        n += h->hist[i];
        if (n >= want && n) /* the upper end of the bin */
            return i < 2048 ? i : ((uint64_t)(1024 + (i - 2048) % 1024 + 1) << ((i - 2048) / 1024 + 1)) - 1;
    }
    return 0;
}

double pl_hbm_latency_mean(const struct pl_hbm *h)
{
    return h->stats.requests ? (double)h->latency_sum / (double)h->stats.requests : 0;
}
