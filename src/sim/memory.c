/* memory.c - the DMA engines: transfers between HBM and the SRAMs, in the background.
 *
 * HBM here is a bus of a given bandwidth with a latency behind it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sim_internal.h"

void sim_memory_init(struct pl_sim *sim)
{
    for (unsigned i = 0; i < 3; i++) {
        struct engine *e = &sim->t.engine[i];
        e->n = sim->arch->outstanding;
        e->done = calloc(e->n, sizeof *e->done);
        if (!e->done)
            abort();
    }
}

void sim_memory_fini(struct pl_sim *sim)
{
    for (unsigned i = 0; i < 3; i++)
        free(sim->t.engine[i].done);
}

uint64_t sim_memory_transfer(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, uint64_t at, uint64_t start,
                             uint64_t *read_done)
{
    struct timing *t = &sim->t;
    struct engine *q = &t->engine[unit - PL_SIM_LOAD_M];
    const uint64_t busy = pl_arch_hbm_cycles(sim->arch, x->hbm_read + x->hbm_write);
    const uint64_t begin = t->bus_free > start ? t->bus_free : start;
    const uint64_t end = busy ? begin + busy + sim->arch->hbm_latency : start + 1;
    if (busy)
        t->bus_free = begin + busy;
    *read_done = begin + busy;
    q->done[q->head] = end;
    q->head = q->head + 1 == q->n ? 0 : q->head + 1;
    t->dma_busy[unit] += end > q->busy_to ? end - (at > q->busy_to ? at : q->busy_to) : 0;
    q->busy_to = end > q->busy_to ? end : q->busy_to;
    t->all_dma_done = end > t->all_dma_done ? end : t->all_dma_done;
    return end;
}

enum pl_sim_cause sim_memory_cause(const struct pl_sim *sim, uint64_t from, uint64_t to)
{
    return to - from > sim->arch->hbm_latency ? PL_SIM_HBM_BUS_CAUSE : PL_SIM_HBM_LATENCY_CAUSE;
}
