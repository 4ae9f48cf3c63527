/* trace.c - retired instructions to the caller's trace, in program order, each with its end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

static bool give(struct pl_sim *sim, struct pl_sim_retired *r)
{
    if (r->end_cyc & PENDING && !sim_memory_known(sim, r->end_cyc, &r->end_cyc))
        return false;
    sim->opt.trace(sim->opt.trace_ctx, r);
    return true;
}

void sim_trace_flush(struct pl_sim *sim)
{
    struct trace_queue *q = &sim->trace;
    size_t n = 0;
    while (n < q->n && give(sim, &q->r[n]))
        n++;
    if (n)
        memmove(q->r, q->r + n, (q->n - n) * sizeof *q->r);
    q->n -= n;
}

void sim_trace(struct pl_sim *sim, const struct pl_sim_retired *r)
{
    struct trace_queue *q = &sim->trace;
    struct pl_sim_retired now = *r;
    if (!q->n && give(sim, &now))
        return;
    if (q->n == q->cap) {
        q->cap = q->cap ? 2 * q->cap : 256;
        q->r = realloc(q->r, q->cap * sizeof *q->r);
        if (!q->r)
            abort();
    }
    q->r[q->n++] = *r;
    if (q->n % 256 == 0) /* not for every instruction: most wait for the same transfer */
        sim_trace_flush(sim);
}
