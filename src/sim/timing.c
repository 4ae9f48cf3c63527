/* timing.c - cycles: in-order issue against a scoreboard of units, ports, registers, SRAM rows and tiles.
 *
 * One instruction issues per cycle. It waits until its operands are there, its unit takes it, and its result cannot
 * overtake an older access to the same place; the condition met last is the cause of the wait. doc/timing.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sim_internal.h"

static stamp *stamps(size_t n)
{
    stamp *p = calloc(n, sizeof *p);
    if (!p)
        abort();
    return p;
}

enum pl_status sim_timing_init(struct pl_sim *sim, struct pl_diag *d)
{
    struct timing *t = &sim->t;
    sim_marks_init(&t->row_write, sim->arch->vector_rows, sim->arch->blen);
    sim_marks_init(&t->row_read, sim->arch->vector_rows, sim->arch->blen);
    sim_marks_init(&t->row_store, sim->arch->vector_rows, sim->arch->blen);
    t->tile_write = stamps(sim->arch->matrix_tiles);
    t->tile_read = stamps(sim->arch->matrix_tiles);
    t->next_edge = UINT64_MAX;
    for (unsigned c = 0; c < PL_OPC_COUNT; c++)
        t->latency[c] = pl_arch_latency(sim->arch, (enum pl_op_class)c, 1);
    return sim_memory_init(sim, d);
}

void sim_timing_fini(struct pl_sim *sim)
{
    sim_marks_fini(&sim->t.row_write);
    sim_marks_fini(&sim->t.row_read);
    sim_marks_fini(&sim->t.row_store);
    free(sim->t.tile_write);
    free(sim->t.tile_read);
    sim_memory_fini(sim);
}

/* ---- when it may issue ---- */
struct issue {
    uint64_t at;
    enum pl_sim_cause why;
    bool on_load; /* why: data of an engine; memory.c knows more */
};

static void wait_until(struct issue *w, uint64_t cyc, enum pl_sim_cause why)
{
    if (cyc > w->at) {
        w->at = cyc;
        w->why = why;
        w->on_load = false;
    }
}

/* Until the producer has written. */
static void wait_for(struct pl_sim *sim, struct issue *w, stamp s)
{
    static const enum pl_sim_cause by_unit[PL_SIM_UNIT_COUNT] = {
        [PL_SIM_MATRIX] = PL_SIM_MATRIX_CAUSE, [PL_SIM_WRITE_OUT] = PL_SIM_MATRIX_CAUSE, [PL_SIM_VECTOR] = PL_SIM_VECTOR_CAUSE,
        [PL_SIM_SCALAR] = PL_SIM_SCALAR_CAUSE, [PL_SIM_CONTROL] = PL_SIM_SCALAR_CAUSE};
    const uint64_t cyc = s & PENDING ? sim_memory_resolve(sim, s, w->at) : stamp_cyc(s);
    if (cyc <= w->at)
        return;
    const unsigned unit = s & 7;
    w->at = cyc;
    w->why = by_unit[unit];
    w->on_load = unit >= PL_SIM_LOAD_M && unit <= PL_SIM_STORE;
}

static inline stamp known(struct pl_sim *sim, stamp *s, uint64_t now)
{
    if (*s & PENDING)
        *s = stamp_of(sim_memory_resolve(sim, *s, now), (enum pl_sim_unit)(*s & 7));
    return *s;
}

/* Find the ends of the transfers that rows [from, stop) of one block are pending for, row by row. */
static void find_ends(struct pl_sim *sim, struct marks *m, uint32_t from, uint32_t stop, uint64_t now)
{
    sim_marks_split(m, from >> m->shift);
    for (uint32_t i = from; i < stop; i++)
        known(sim, &m->row[i], now);
    sim_marks_gathered(m, from >> m->shift);
}

static stamp latest_of(struct pl_sim *sim, struct marks *m, uint32_t from, uint32_t to, uint64_t now)
{
    stamp latest = 0;
    for (uint32_t stop; from < to; from = stop) {
        const struct mark_block *b = &m->block[from >> m->shift];
        stop = sim_marks_stop(m, from, to);
        if (b->most & PENDING)
            find_ends(sim, m, from, stop, now);
        if (sim_marks_whole(m, from, stop))
            latest = later_stamp(b->most, latest);
        else
            for (uint32_t i = from; i < stop; i++)
                latest = later_stamp(sim_marks_row(m, i), latest);
    }
    return latest;
}

/* The latest stamp of the rows, once none of them is pending. */
static stamp latest(struct pl_sim *sim, struct marks *m, const struct rows *r, uint64_t now)
{
    if (r->stride == r->width)
        return latest_of(sim, m, r->first, r->first + r->count * r->width, now);
    stamp s = 0;
    for (uint32_t i = 0, first = r->first; i < r->count; i++, first += r->stride)
        s = later_stamp(latest_of(sim, m, first, first + r->width, now), s);
    return s;
}

static void mark(struct marks *m, const struct rows *r, stamp s)
{
    if (r->stride == r->width)
        sim_marks_raise(m, r->first, r->first + r->count * r->width, s);
    else
        for (uint32_t i = 0, first = r->first; i < r->count; i++, first += r->stride)
            sim_marks_raise(m, first, first + r->width, s);
}

static void wait_registers(struct pl_sim *sim, const struct decoded *dec, struct issue *w)
{
    const struct timing *t = &sim->t;
    for (unsigned m = dec->gp_src | dec->gp_dst; m; m &= m - 1)
        wait_for(sim, w, t->gp[__builtin_ctz(m)]);
    for (unsigned m = dec->fp_src | dec->fp_dst; m; m &= m - 1)
        wait_for(sim, w, t->fp[__builtin_ctz(m)]);
    for (unsigned m = dec->shared_src | dec->shared_dst; m; m &= m - 1)
        wait_for(sim, w, t->shared[__builtin_ctz(m)]);
}

static bool is_dma(unsigned unit)
{
    return unit >= PL_SIM_LOAD_M && unit <= PL_SIM_STORE;
}

/* Nobody knows when a transfer will end: the bank-accurate HBM, and hardware behind the ideal one. */
static bool ends_unknown(const struct timing *t)
{
    return t->memory || t->ideal;
}

/* A new write must end after older writes and reads of the same place; where the end of a transfer is unknown, it begins
 * after it, so that HBM time never runs ahead of the front end. */
static void wait_overtake(const struct timing *t, struct issue *w, stamp older, uint64_t result_cyc)
{
    if (ends_unknown(t) && is_dma(older & 7))
        result_cyc = 0;
    if (stamp_cyc(older) >= result_cyc)
        wait_until(w, stamp_cyc(older) - result_cyc + 1, PL_SIM_REUSE_CAUSE);
}

static void wait_memories(struct pl_sim *sim, const struct touch *x, uint64_t result_cyc, struct issue *w)
{
    struct timing *t = &sim->t;
    for (unsigned i = 0; i < x->n_read; i++)
        wait_for(sim, w, latest(sim, &t->row_write, &x->read[i], w->at));
    if (x->write.count) {
        wait_overtake(t, w, latest(sim, &t->row_write, &x->write, w->at), result_cyc);
        wait_overtake(t, w, latest(sim, &t->row_read, &x->write, w->at), result_cyc);
        wait_overtake(t, w, latest(sim, &t->row_store, &x->write, w->at), result_cyc);
    }
    if (x->tile_read != NO_TILE)
        wait_for(sim, w, known(sim, &t->tile_write[x->tile_read], w->at));
    for (uint32_t i = 0; x->tile_write != NO_TILE && i < x->tiles; i++) {
        wait_until(w, stamp_cyc(t->tile_read[x->tile_write + i]), PL_SIM_REUSE_CAUSE);
        wait_until(w, stamp_cyc(known(sim, &t->tile_write[x->tile_write + i], w->at)), PL_SIM_REUSE_CAUSE);
    }
}

/* Transfers and write-outs wait for their places in a queue of their unit, while the front end goes on. */
static bool is_queued(unsigned unit)
{
    return is_dma(unit) || unit == PL_SIM_WRITE_OUT;
}

static void wait_unit(struct pl_sim *sim, unsigned unit, struct issue *w)
{
    const struct timing *t = &sim->t;
    if (is_dma(unit)) {
        wait_until(w, sim_memory_slot(sim, (enum pl_sim_unit)unit, w->at), PL_SIM_QUEUE_CAUSE);
    } else if (unit == PL_SIM_WRITE_OUT) { /* a place in the queue */
        wait_until(w, t->write_out[t->write_out_head], PL_SIM_PORT_CAUSE);
    } else if (unit != PL_SIM_CONTROL) {
        wait_until(w, t->free[unit], PL_SIM_UNIT_CAUSE);
    }
}

/* A queued operation on places of a transfer whose end is unknown cannot be given its time before that transfer has
 * ended: the front end waits for it, whether or not the end has been found already. */
static void wait_transfers_of(struct pl_sim *sim, struct marks *m, const struct rows *r, struct issue *w)
{
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->width; k++) {
            const uint32_t row = r->first + i * r->stride + k;
            if (m->block[row >> m->shift].most <= stamp_of(w->at, PL_SIM_MATRIX))
                continue;
            const stamp s = sim_marks_row(m, row);
            if (is_dma(s & 7) && s > stamp_of(w->at, PL_SIM_MATRIX)) {
                find_ends(sim, m, row, row + 1, w->at);
                wait_for(sim, w, m->row[row]);
            }
        }
}

static void wait_transfers(struct pl_sim *sim, const struct touch *x, struct issue *w)
{
    struct timing *t = &sim->t;
    for (unsigned i = 0; i < x->n_read; i++)
        wait_transfers_of(sim, &t->row_write, &x->read[i], w);
    wait_transfers_of(sim, &t->row_write, &x->write, w);
    wait_transfers_of(sim, &t->row_store, &x->write, w);
    for (uint32_t i = 0; x->tile_write != NO_TILE && i < x->tiles; i++)
        wait_for(sim, w, known(sim, &t->tile_write[x->tile_write + i], w->at));
}

/* ---- what it occupies ---- */
static void mark_registers(struct timing *t, const struct decoded *dec, stamp s, stamp stepped)
{
    const stamp gp = dec->unit == PL_SIM_MATRIX ? stepped : s; /* addresses of a product are not results of the array */
    for (unsigned m = dec->gp_dst; m; m &= m - 1)
        t->gp[__builtin_ctz(m)] = gp;
    for (unsigned m = dec->fp_dst; m; m &= m - 1)
        t->fp[__builtin_ctz(m)] = s;
    for (unsigned m = dec->shared_dst; m; m &= m - 1)
        t->shared[__builtin_ctz(m)] = s;
}

static void mark_memories(struct timing *t, const struct touch *x, stamp read_done, stamp end)
{
    for (unsigned i = 0; i < x->n_read; i++)
        mark((read_done & 7) == PL_SIM_STORE ? &t->row_store : &t->row_read, &x->read[i], read_done);
    if (x->write.count)
        mark(&t->row_write, &x->write, end);
    if (x->tile_read != NO_TILE && t->tile_read[x->tile_read] < read_done)
        t->tile_read[x->tile_read] = read_done;
    for (uint32_t i = 0; x->tile_write != NO_TILE && i < x->tiles; i++)
        t->tile_write[x->tile_write + i] = end;
}

/* When a write-out, or transfer, issued at `at` begins. */
static uint64_t leave_queue(struct pl_sim *sim, unsigned unit, const struct touch *x, uint64_t result_cyc, uint64_t at)
{
    struct timing *t = &sim->t;
    struct issue places = {.at = at};
    if (unit == PL_SIM_WRITE_OUT) {
        wait_until(&places, t->acc_ready, PL_SIM_MATRIX_CAUSE);
        wait_until(&places, t->free[unit], PL_SIM_PORT_CAUSE);
    }
    wait_memories(sim, x, result_cyc, &places);
    if (unit == PL_SIM_WRITE_OUT) {
        t->write_out[t->write_out_head] = places.at;
        t->write_out_head = t->write_out_head + 1 == sim->arch->write_out_queue ? 0 : t->write_out_head + 1;
    }
    return places.at;
}

/* Occupy the unit from the issue cycle `at`; returns the end. */
static stamp run_unit(struct pl_sim *sim, const struct decoded *dec, const struct touch *x, struct pl_latency lat,
                         uint64_t at, uint64_t *started, stamp *read_done)
{
    struct timing *t = &sim->t;
    const unsigned unit = dec->unit;
    const uint64_t start = is_queued(unit) ? leave_queue(sim, unit, x, is_dma(unit) ? 0 : lat.result_cyc, at) : at;
    *started = start;
    if (is_dma(unit))
        return sim_memory_transfer(sim, (enum pl_sim_unit)unit, x, at, start, read_done);
    const uint64_t end = start + lat.result_cyc;
    *read_done = stamp_of(start + lat.issue_cyc, (enum pl_sim_unit)unit);
    t->free[unit] = start + lat.issue_cyc;
    if (unit == PL_SIM_MATRIX)
        t->acc_ready = end;
    if (x->class == PL_OPC_BMM) /* fused with its write-out */
        t->free[PL_SIM_WRITE_OUT] = end;
    sim_account_busy(t, (enum pl_sim_unit)unit, at, start, start + lat.issue_cyc);
    sim->op_stats[dec->op_range].busy_cyc[unit] += lat.issue_cyc;
    t->step.busy = lat.issue_cyc;
    return stamp_of(end, (enum pl_sim_unit)unit);
}

/* The front end moves from t->issue to `at`, waiting for `why`. */
static void pass_time(struct pl_sim *sim, uint64_t at, enum pl_sim_cause why, uint16_t op_range)
{
    struct timing *t = &sim->t;
    const uint64_t n = at - t->issue;
    if (t->next_edge < at)
        sim_account_edges(t, sim->stats.stall_cyc, at, why);
    sim->stats.stall_cyc[why] += n;
    sim->op_stats[op_range].stall_cyc[why] += n;
    t->issue = at;
}

uint64_t sim_timing_cycles(struct pl_sim *sim)
{
    const struct timing *t = &sim->t;
    const uint64_t before = sim->stats.cycles, done = t->last_done > t->all_dma_done ? t->last_done : t->all_dma_done;
    sim->stats.cycles = done > t->issue ? done : t->issue;
    return sim->stats.cycles - before;
}

/* Cycles up to the next issue slot, and what runs on behind the last issue, belong to the operator. */
static uint64_t count_cycles(struct pl_sim *sim, uint16_t op_range)
{
    const uint64_t n = sim_timing_cycles(sim);
    sim->op_stats[op_range].cycles += n;
    return n;
}

void sim_timing_step(struct pl_sim *sim, const struct decoded *dec, const struct touch *x, struct pl_sim_retired *r)
{
    struct timing *t = &sim->t;
    const bool by_shape = x->blocks && x->class != PL_OPC_CTL;
    const struct pl_latency lat = by_shape ? pl_arch_latency(sim->arch, x->class, x->blocks) : t->latency[x->class];
    struct issue w = {.at = t->issue, .why = PL_SIM_ISSUE_CAUSE};
    wait_registers(sim, dec, &w);
    wait_unit(sim, dec->unit, &w);
    if (!is_queued(dec->unit))
        wait_memories(sim, x, lat.result_cyc, &w);
    else if (ends_unknown(t))
        wait_transfers(sim, x, &w);
    if (dec->in.op == PL_C_FENCE)
        wait_until(&w, sim_memory_all(sim, w.at), PL_SIM_FENCE_CAUSE);
    if (dec->in.op == PL_C_FENCE_ST)
        wait_until(&w, sim_memory_engine(sim, PL_SIM_STORE, w.at), PL_SIM_FENCE_CAUSE);
    if (dec->unit == PL_SIM_VECTOR && x->write.count) {
        static uint64_t used[4096];
        while (used[(w.at + lat.result_cyc) % 4096] == w.at + lat.result_cyc)
            wait_until(&w, w.at + 1, PL_SIM_PORT_CAUSE);
        used[(w.at + lat.result_cyc) % 4096] = w.at + lat.result_cyc;
    }
    t->step.stall = w.at - t->issue;
    t->step.why = PL_SIM_ISSUE_CAUSE;
    t->step.busy = 0;
    if (w.at > t->issue) {
        if (w.on_load)
            w.why = sim_memory_cause(sim, t->issue, w.at);
        t->step.why = w.why;
        sim->pc_stats[dec - sim->code].stall_cyc += t->step.stall;
        pass_time(sim, w.at, w.why, dec->op_range);
    }
    stamp read_done;
    const stamp end = run_unit(sim, dec, x, lat, w.at, &r->start_cyc, &read_done);
    mark_memories(t, x, read_done, end);
    mark_registers(t, dec, end, stamp_of(w.at + sim->arch->lat_int, PL_SIM_SCALAR));
    pass_time(sim, w.at + 1, PL_SIM_ISSUE_CAUSE, dec->op_range);
    if (!is_dma(dec->unit))
        t->last_done = stamp_cyc(end) > t->last_done ? stamp_cyc(end) : t->last_done;
    t->step.cycles = count_cycles(sim, dec->op_range);
    t->step.read_done = stamp_cyc(read_done);
    r->issue_cyc = w.at;
    r->end_cyc = end & PENDING ? end : stamp_cyc(end); /* pending: the trace holds it back */
    r->free_cyc = read_done & PENDING ? read_done : stamp_cyc(read_done);
}

void sim_timing_drain(struct pl_sim *sim)
{
    struct timing *t = &sim->t;
    sim_memory_all(sim, t->issue);
    sim_timing_cycles(sim);
    if (sim->stats.cycles > t->issue)
        pass_time(sim, sim->stats.cycles, PL_SIM_DRAIN_CAUSE, (uint16_t)sim->img->n_op);
    sim_account_edges(t, sim->stats.stall_cyc, t->issue + 1, PL_SIM_DRAIN_CAUSE);
    sim_memory_statistics(sim);
}
