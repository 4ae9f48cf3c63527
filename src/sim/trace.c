/* trace.c - retired instructions to the caller's trace, in program order, each with its end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

static bool give(struct pl_sim *sim, struct trace_entry *e)
{
    struct pl_sim_retired *r = &e->r;
    uint64_t end_cyc;
    if (r->end_cyc & PENDING) {
        if (!sim_memory_known(sim, r->end_cyc, &end_cyc))
            return false;
        r->end_cyc = r->free_cyc = end_cyc; /* a source has been read when the transfer is done */
    }
    r->access = &e->access;
    sim->opt.trace(sim->opt.trace_ctx, r);
    return true;
}

void sim_trace_flush(struct pl_sim *sim)
{
    struct trace_queue *q = &sim->trace;
    size_t n = 0;
    while (n < q->n && give(sim, &q->e[n]))
        n++;
    if (n)
        memmove(q->e, q->e + n, (q->n - n) * sizeof *q->e);
    q->n -= n;
}

static struct pl_sim_rows rows_of(const struct rows *r)
{
    return (struct pl_sim_rows){r->first, r->count, r->stride, r->width};
}

static struct pl_sim_access access_of(const struct decoded *dec, const struct touch *t)
{
    struct pl_sim_access x = {.unit = (enum pl_sim_unit)dec->unit, .op = dec->op_range, .n_read = t->n_read,
                              .write = rows_of(&t->write), .tile_read = t->tile_read, .tile_write = t->tile_write,
                              .tiles_written = t->tile_write == NO_TILE ? 0 : t->tiles, .hbm_read_bytes = t->hbm_read,
                              .hbm_write_bytes = t->hbm_write};
    for (unsigned i = 0; i < t->n_read; i++)
        x.read[i] = rows_of(&t->read[i]);
    return x;
}

void sim_trace(struct pl_sim *sim, const struct decoded *dec, const struct touch *t, const struct pl_sim_retired *r)
{
    struct trace_queue *q = &sim->trace;
    struct trace_entry now = {*r, access_of(dec, t)};
    if (!q->n && give(sim, &now))
        return;
    if (q->n == q->cap) {
        q->cap = q->cap ? 2 * q->cap : 256;
        q->e = realloc(q->e, q->cap * sizeof *q->e);
        if (!q->e)
            abort();
    }
    q->e[q->n++] = now;
    if (q->n % 256 == 0) /* not for every instruction: most wait for the same transfer */
        sim_trace_flush(sim);
}
