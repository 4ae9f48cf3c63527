/* account.c - every cycle of every unit: busy, or idle for the reason the front end was in that cycle.
 *
 * The front end is in one state at a time: it sends an instruction, or waits for one cause. stall_cyc[c] counts its cycles
 * so far by state. Work of one cycle lies over the ISSUE cycle of its own instruction. Longer work is a span; when the
 * front end passes an edge of it, the counts at that edge are taken, and their difference is what the span lay over. What a
 * unit's spans do not cover of the front end's states is its idle time. DMA engines have no spans: they are busy while a
 * transfer is in flight, else nothing was asked of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim_internal.h"

/* Front-end states up to cycle `at`, when stall_cyc holds them up to t->issue and state `why` follows. */
static void states_at(const struct timing *t, const uint64_t *stall_cyc, uint64_t at, enum pl_sim_cause why, uint64_t *out)
{
    memcpy(out, stall_cyc, PL_SIM_CAUSE_COUNT * sizeof *out);
    out[why] += at - t->issue;
}

/* The edge of unit u that comes next. */
static uint64_t edge_of(const struct spans *s)
{
    return !s->n ? UINT64_MAX : s->open ? s->s[s->head].to : s->s[s->head].from;
}

static void pass_edge(struct timing *t, unsigned u, const uint64_t *states)
{
    struct spans *s = &t->spans[u];
    if (!s->open) {
        memcpy(s->at_from, states, sizeof s->at_from);
        s->open = true;
        return;
    }
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
        t->overlap[u][c] += states[c] - s->at_from[c];
    s->open = false;
    s->head = (s->head + 1) % MAX_SPANS;
    s->n--;
}

/* The front end is about to stay in state `why` up to cycle `at`: take the edges before it. */
void sim_account_edges(struct timing *t, const uint64_t *stall_cyc, uint64_t at, enum pl_sim_cause why)
{
    uint64_t states[PL_SIM_CAUSE_COUNT];
    t->next_edge = UINT64_MAX;
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        uint64_t edge;
        while ((edge = edge_of(&t->spans[u])) < at) {
            states_at(t, stall_cyc, edge, why, states);
            pass_edge(t, u, states);
        }
        t->next_edge = edge < t->next_edge ? edge : t->next_edge;
    }
}

/* Unit works from `from` to `to`; now = the issue cycle, up to which stall_cyc counts. */
void sim_account_busy(struct timing *t, enum pl_sim_unit unit, uint64_t now, uint64_t from, uint64_t to)
{
    struct spans *s = &t->spans[unit];
    if (!s->n && from == now && to == now + 1) {
        t->overlap[unit][PL_SIM_ISSUE_CAUSE]++;
        return;
    }
    const unsigned last = (s->head + s->n + MAX_SPANS - 1) % MAX_SPANS;
    if (s->n && s->s[last].to == from) {
        s->s[last].to = to; /* back to back; the old edge only comes too early */
        return;
    }
    const unsigned tail = (s->head + s->n++) % MAX_SPANS;
    s->s[tail].from = from;
    s->s[tail].to = to;
    t->next_edge = from < t->next_edge ? from : t->next_edge;
}

/* Behind a drain: no span is open, every count is final. */
void sim_account_finish(struct pl_sim *sim)
{
    struct pl_sim_stats *st = &sim->stats;
    const struct timing *t = &sim->t;
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        const bool dma = u >= PL_SIM_LOAD_M && u <= PL_SIM_STORE;
        st->busy_cyc[u] = dma ? t->dma_busy[u] : 0;
        memset(st->idle_cyc[u], 0, sizeof st->idle_cyc[u]);
        if (dma)
            st->idle_cyc[u][PL_SIM_ISSUE_CAUSE] = st->cycles - t->dma_busy[u];
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT && !dma; c++) {
            st->busy_cyc[u] += t->overlap[u][c];
            st->idle_cyc[u][c] = st->stall_cyc[c] - t->overlap[u][c];
        }
    }
}

#define NAME(id, name, meaning, remedy) name,
#define MEANING(id, name, meaning, remedy) meaning,
#define REMEDY(id, name, meaning, remedy) remedy,
const char *pl_sim_cause_name(enum pl_sim_cause c)
{
    static const char *const text[] = {PL_SIM_CAUSE_LIST(NAME)};
    return text[c];
}

const char *pl_sim_cause_meaning(enum pl_sim_cause c)
{
    static const char *const text[] = {PL_SIM_CAUSE_LIST(MEANING)};
    return text[c];
}

const char *pl_sim_cause_remedy(enum pl_sim_cause c)
{
    static const char *const text[] = {PL_SIM_CAUSE_LIST(REMEDY)};
    return text[c];
}

const char *pl_sim_unit_name(enum pl_sim_unit u)
{
    static const char *const name[] = {"matrix", "write_out", "vector", "scalar", "load_m", "load_v", "store", "control"};
    return name[u];
}
