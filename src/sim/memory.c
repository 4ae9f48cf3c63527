/* memory.c - the DMA engines: transfers between HBM and the SRAMs, in the background.
 *
 * hbm_model "simple": a bus of a given bandwidth with a latency behind it; a transfer's end is known when it is issued.
 * "ideal": each engine moves a burst of elements, one of scales and one row a cycle, with the latency behind it.
 * Otherwise the name of a preset of module hbm. Then the end of a transfer depends on what is asked for later, so it is
 * found when somebody waits for it: the front end issues in order and stands still until then, so that nothing more can be
 * asked for before that end. Until then its stamp is pending. Requests wait here until HBM time reaches their start. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plena/hbm.h"
#include "sim_internal.h"

enum { ENGINES = 3, TURN_BYTES = 4096, MAX_FLIGHT = 4096 /* more than all engines' outstanding transfers */ };
__extension__ typedef unsigned __int128 u128;

struct transfer {
    uint64_t id;
    uint64_t done;      /* cycle; valid when parts is 0 */
    unsigned parts;     /* requests still under way, or held back */
};
struct held { /* a request whose start lies ahead */
    struct pl_hbm_request r;
    uint64_t order;
};
struct memory {
    struct pl_hbm *hbm;
    uint64_t clock_fs, core_fs;
    struct transfer *flight; /* by id modulo MAX_FLIGHT */
    uint64_t next_id, unresolved;
    struct held *held; /* ascending by arrival, then order */
    size_t n_held, cap_held;
    uint64_t order, last_arrival;
    enum pl_sim_cause cause; /* of the last wait */
};

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        abort();
    return p;
}

enum pl_status sim_memory_init(struct pl_sim *sim, struct pl_diag *d)
{
    const struct pl_arch *a = sim->arch;
    for (unsigned i = 0; i < ENGINES; i++) {
        struct engine *e = &sim->t.engine[i];
        e->n = a->outstanding;
        e->done = zeroed(e->n, sizeof *e->done);
        e->at = zeroed(e->n, sizeof *e->at);
    }
    sim->t.ideal = !strcmp(a->hbm_model, "ideal");
    if (sim->t.ideal || !strcmp(a->hbm_model, "simple"))
        return PL_OK;
    struct pl_hbm_params p;
    PL_TRY(pl_hbm_preset(a->hbm_model, &p, d));
    p.stacks = a->hbm_stacks;
    p.inject = 0; /* the engines hand over as fast as the queues take */
    p.ways = 2; /* of each engine: elements and scales of a transfer, row by row; tiles side by side go together */
    p.join = 1;
    p.turn = TURN_BYTES / pl_hbm_access_bytes(&p);
    if (sim->img->hbm_bytes > pl_hbm_capacity(&p))
        return pl_fail(d, PL_ERANGE, "the image uses %llu bytes of HBM; %u stacks of %s hold %llu", (unsigned long long)sim->img->hbm_bytes,
                       p.stacks, a->hbm_model, (unsigned long long)pl_hbm_capacity(&p));
    struct memory *m = sim->t.memory = zeroed(1, sizeof *m);
    m->flight = zeroed(MAX_FLIGHT, sizeof *m->flight);
    m->clock_fs = (uint64_t)(p.clock_ps * 1000 + 0.5);
    m->core_fs = (uint64_t)(1e15 / a->clock_hz + 0.5);
    return pl_hbm_new(&p, NULL, &m->hbm, d);
}

void sim_memory_fini(struct pl_sim *sim)
{
    for (unsigned i = 0; i < ENGINES; i++) {
        free(sim->t.engine[i].done);
        free(sim->t.engine[i].at);
    }
    struct memory *m = sim->t.memory;
    if (!m)
        return;
    pl_hbm_free(m->hbm);
    free(m->flight);
    free(m->held);
    free(m);
}

/* ---- the two clocks ---- */
static uint64_t to_hbm(const struct memory *m, uint64_t cyc)
{
    return (uint64_t)((u128)cyc * m->core_fs / m->clock_fs);
}

static uint64_t to_core(const struct memory *m, uint64_t tck) /* the first core cycle not before it */
{
    return (uint64_t)(((u128)tck * m->clock_fs + m->core_fs - 1) / m->core_fs);
}

/* ---- the bank-accurate HBM ---- */
static void hold(struct memory *m, const struct pl_hbm_request *r)
{
    if (m->n_held == m->cap_held) {
        m->cap_held = m->cap_held ? 2 * m->cap_held : 64;
        m->held = realloc(m->held, m->cap_held * sizeof *m->held);
        if (!m->held)
            abort();
    }
    size_t at = m->n_held++;
    for (; at > 0 && m->held[at - 1].r.arrival > r->arrival; at--)
        m->held[at] = m->held[at - 1];
    m->held[at] = (struct held){*r, m->order++};
}

static void completed(struct pl_sim *sim, const struct pl_hbm_done *d)
{
    struct memory *m = sim->t.memory;
    struct transfer *f = &m->flight[d->tag % MAX_FLIGHT];
    const uint64_t cyc = to_core(m, d->done);
    f->done = cyc > f->done ? cyc : f->done;
    if (--f->parts == 0) {
        m->unresolved--;
        sim->t.all_dma_done = f->done > sim->t.all_dma_done ? f->done : sim->t.all_dma_done;
    }
}

/* Hand over what has begun by `until`, as far as there is room. Returns false when a request had to stay back for room. */
static bool hand_over(struct memory *m, uint64_t until)
{
    size_t n = 0;
    while (n < m->n_held && m->held[n].r.arrival <= until && pl_hbm_room(m->hbm)) {
        struct pl_hbm_request *r = &m->held[n++].r;
        const uint64_t now = pl_hbm_now(m->hbm);
        r->arrival = r->arrival > now ? r->arrival : now;
        r->arrival = r->arrival > m->last_arrival ? r->arrival : m->last_arrival;
        m->last_arrival = r->arrival;
        const enum pl_status s = pl_hbm_submit(m->hbm, r, NULL);
        assert(s == PL_OK); /* addresses lie in the image, which fits */
        (void)s;
    }
    memmove(m->held, m->held + n, (m->n_held - n) * sizeof *m->held);
    m->n_held -= n;
    return !(m->n_held && m->held[0].r.arrival <= until);
}

/* Let HBM run until transfer `f` is done, or, with f NULL, up to `until`. */
static void run_hbm(struct pl_sim *sim, const struct transfer *f, uint64_t until)
{
    struct memory *m = sim->t.memory;
    struct pl_hbm_done done;
    for (;;) {
        const uint64_t now = pl_hbm_now(m->hbm);
        hand_over(m, now);
        if (f && !f->parts)
            return;
        /* The next request may be handed over at its arrival, at the earliest. */
        uint64_t stop = m->n_held && pl_hbm_room(m->hbm) ? m->held[0].r.arrival : UINT64_MAX;
        stop = stop < until ? stop : until;
        if (stop == UINT64_MAX && !pl_hbm_pending(m->hbm))
            return;
        if (pl_hbm_advance(m->hbm, stop, &done, 1))
            completed(sim, &done);
        else if (stop == until)
            return;
    }
}

/* The transfer of a pending stamp; NULL when it ended so long ago that another took its place. */
static const struct transfer *transfer_of(const struct memory *m, stamp s)
{
    const uint64_t id = (s & ~PENDING) >> 3;
    const struct transfer *f = &m->flight[id % MAX_FLIGHT];
    return f->id == id ? f : NULL;
}

bool sim_memory_known(const struct pl_sim *sim, stamp s, uint64_t *cyc)
{
    const struct transfer *f = s & PENDING ? transfer_of(sim->t.memory, s) : NULL;
    *cyc = f ? f->done : s & PENDING ? 0 : stamp_cyc(s);
    return !f || !f->parts;
}

/* What the data pins mostly did between two readings of the statistics. */
static enum pl_sim_cause pins(const struct pl_hbm_stats *a, const struct pl_hbm_stats *b)
{
    const uint64_t bus = b->busy_cyc - a->busy_cyc, idle = b->lost_cyc[PL_HBM_LOSS_IDLE] - a->lost_cyc[PL_HBM_LOSS_IDLE];
    const uint64_t refresh = b->lost_cyc[PL_HBM_LOSS_REFRESH] - a->lost_cyc[PL_HBM_LOSS_REFRESH];
    uint64_t bank = 0;
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        if (l != PL_HBM_LOSS_IDLE && l != PL_HBM_LOSS_REFRESH)
            bank += b->lost_cyc[l] - a->lost_cyc[l];
    if (bus >= idle && bus >= refresh && bus >= bank)
        return PL_SIM_HBM_BUS_CAUSE;
    if (bank >= idle && bank >= refresh)
        return PL_SIM_HBM_BANK_CAUSE;
    return refresh >= idle ? PL_SIM_HBM_REFRESH_CAUSE : PL_SIM_HBM_LATENCY_CAUSE;
}

uint64_t sim_memory_resolve(struct pl_sim *sim, stamp s, uint64_t now)
{
    struct memory *m = sim->t.memory;
    uint64_t cyc;
    if (!sim_memory_known(sim, s, &cyc)) {
        const struct transfer *f = transfer_of(m, s);
        struct pl_hbm_stats a, b;
        run_hbm(sim, NULL, to_hbm(m, now));
        pl_hbm_get_stats(m->hbm, &a);
        run_hbm(sim, f, UINT64_MAX);
        pl_hbm_get_stats(m->hbm, &b);
        m->cause = pins(&a, &b);
        cyc = f->done;
    }
    return cyc;
}

static stamp begin(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, uint64_t start)
{
    struct memory *m = sim->t.memory;
    const uint64_t id = m->next_id++;
    struct transfer *f = &m->flight[id % MAX_FLIGHT];
    *f = (struct transfer){.id = id, .done = start + 1};
    for (unsigned k = 0; k < 2; k++) {
        const struct stream *s = &x->stream[k];
        if (!s->count)
            continue;
        hold(m, &(struct pl_hbm_request){.addr = s->addr, .bytes = s->bytes, .stride = s->stride, .count = s->count,
                                         .arrival = to_hbm(m, start), .tag = id, .write = unit == PL_SIM_STORE,
                                         .lane = (uint8_t)(unit - PL_SIM_LOAD_M)});
        f->parts++;
    }
    if (!f->parts)
        return stamp_of(start + 1, unit);
    m->unresolved++;
    return PENDING | id << 3 | (stamp)unit;
}

/* ---- engines ---- */
/* The busy time of an engine is the union of its transfers; they are counted in order, when their ends are known. */
static void count_busy(struct pl_sim *sim, enum pl_sim_unit unit, uint64_t at, uint64_t end)
{
    struct engine *e = &sim->t.engine[unit - PL_SIM_LOAD_M];
    const uint64_t from = at > e->busy_to ? at : e->busy_to;
    sim->t.dma_busy[unit] += end > from ? end - from : 0;
    e->busy_to = end > e->busy_to ? end : e->busy_to;
}

stamp sim_memory_transfer(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, uint64_t at, uint64_t start,
                          stamp *read_done)
{
    struct timing *t = &sim->t;
    struct engine *e = &t->engine[unit - PL_SIM_LOAD_M];
    stamp end;
    e->start = start = start > e->start ? start : e->start;
    if (t->memory) {
        end = *read_done = begin(sim, unit, x, start);
    } else if (t->ideal) {
        const uint64_t first = e->free > start ? e->free : start;
        e->free = first + x->hbm_steps;
        *read_done = stamp_of(e->free, unit);
        end = stamp_of(e->free + sim->arch->hbm_latency, unit);
    } else {
        const uint64_t busy = pl_arch_hbm_cycles(sim->arch, x->hbm_read + x->hbm_write);
        const uint64_t first = t->bus_free > start ? t->bus_free : start;
        end = stamp_of(busy ? first + busy + sim->arch->hbm_latency : start + 1, unit);
        if (busy)
            t->bus_free = first + busy;
        *read_done = stamp_of(first + busy, unit);
    }
    if (!(end & PENDING))
        t->all_dma_done = stamp_cyc(end) > t->all_dma_done ? stamp_cyc(end) : t->all_dma_done;
    e->done[e->head] = end;
    e->at[e->head] = at;
    e->head = e->head + 1 == e->n ? 0 : e->head + 1;
    return end;
}

uint64_t sim_memory_slot(struct pl_sim *sim, enum pl_sim_unit unit, uint64_t now)
{
    struct engine *e = &sim->t.engine[unit - PL_SIM_LOAD_M];
    const uint64_t end = sim_memory_resolve(sim, e->done[e->head], now);
    count_busy(sim, unit, e->at[e->head], end);
    e->done[e->head] = stamp_of(end, unit);
    e->at[e->head] = end; /* counted */
    return end;
}

uint64_t sim_memory_engine(struct pl_sim *sim, enum pl_sim_unit unit, uint64_t now)
{
    const struct engine *e = &sim->t.engine[unit - PL_SIM_LOAD_M];
    uint64_t last = 0;
    for (unsigned k = 0; k < e->n; k++) {
        const uint64_t end = sim_memory_resolve(sim, e->done[(e->head + k) % e->n], now);
        last = end > last ? end : last;
    }
    return last;
}

uint64_t sim_memory_all(struct pl_sim *sim, uint64_t now)
{
    for (unsigned u = PL_SIM_LOAD_M; u <= PL_SIM_STORE; u++)
        sim_memory_engine(sim, (enum pl_sim_unit)u, now);
    return sim->t.all_dma_done;
}

bool sim_memory_pending(const struct pl_sim *sim)
{
    return sim->t.memory && sim->t.memory->unresolved;
}

void sim_memory_events(const struct pl_sim *sim, struct pl_sim_events *e)
{
    if (!sim->t.memory)
        return;
    struct pl_hbm_stats s;
    pl_hbm_get_stats(sim->t.memory->hbm, &s);
    e->hbm_activates = s.activates;
    e->hbm_refreshes = s.refreshes;
    e->hbm_read_bits = 8 * s.bytes[0];
    e->hbm_write_bits = 8 * s.bytes[1];
}

/* Behind a drain: every end is known. */
void sim_memory_statistics(struct pl_sim *sim)
{
    for (unsigned u = PL_SIM_LOAD_M; u <= PL_SIM_STORE; u++) {
        struct engine *e = &sim->t.engine[u - PL_SIM_LOAD_M];
        for (unsigned k = 0; k < e->n; k++) {
            const unsigned i = (e->head + k) % e->n;
            const uint64_t end = sim_memory_resolve(sim, e->done[i], sim->t.issue);
            count_busy(sim, (enum pl_sim_unit)u, e->at[i], end);
            e->done[i] = stamp_of(end, (enum pl_sim_unit)u);
            e->at[i] = end;
        }
    }
}

enum pl_sim_cause sim_memory_cause(const struct pl_sim *sim, uint64_t from, uint64_t to)
{
    if (sim->t.memory)
        return sim->t.memory->cause;
    return to - from > sim->arch->hbm_latency ? PL_SIM_HBM_BUS_CAUSE : PL_SIM_HBM_LATENCY_CAUSE;
}
