/* link.c - collectives on a ring or through a switch, and the transfers of a pass over a divided model. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "plena/perf.h"

/* Hops of an algorithm that takes n - 1 steps round a ring, or log2 n exchanges through a switch. */
static double steps(const struct pl_link *l, uint32_t n)
{
    return l->kind == PL_LINK_RING ? n - 1.0 : ceil(log2(n));
}

/* Reduce-scatter, then all-gather: each moves (n - 1) / n of the data past every device, on both kinds. */
double pl_link_all_reduce(const struct pl_link *l, uint32_t n, double bytes)
{
    return n < 2 ? 0 : 2 * ((n - 1.0) / n * bytes / l->bandwidth + steps(l, n) * l->latency_s);
}

double pl_link_all_gather(const struct pl_link *l, uint32_t n, double bytes)
{
    return n < 2 ? 0 : (n - 1.0) / n * bytes / l->bandwidth + steps(l, n) * l->latency_s;
}

/* Every device keeps 1/n and sends the rest. Round a ring a byte passes n/4 devices on average, both ways in use. */
double pl_link_all_to_all(const struct pl_link *l, uint32_t n, double bytes)
{
    if (n < 2)
        return 0;
    const double sent = (n - 1.0) / n * bytes;
    if (l->kind == PL_LINK_SWITCH)
        return sent / l->bandwidth + l->latency_s;
    return sent * fmax(1, n / 4.0) / l->bandwidth + n / 2 * l->latency_s;
}

double pl_link_send(const struct pl_link *l, double bytes)
{
    return bytes / l->bandwidth + l->latency_s;
}

double pl_perf_comm_s(const struct pl_model_config *m, const struct pl_perf_split *s, const struct pl_link *l, double rows, double bits,
                      double new_kv)
{
    const double here = ceil(rows / ((double)s->dp * s->ep)), row = m->hidden * bits / 8;
    const double heads = (double)m->n_heads / s->tp;
    double layer = 2 * pl_link_all_reduce(l, s->tp, here * row), sparse = 0;
    if (s->sp > 1 && new_kv > 0) /* ring attention: every device sees the others' K and V */
        layer += pl_link_all_gather(l, s->sp, new_kv * pl_perf_kv_lanes(m) * bits / 8 / s->tp);
    else if (s->sp > 1) /* o, m and l of every head */
        layer += pl_link_all_reduce(l, s->sp, here * heads * (pl_model_v_dim(m) + 2) * bits / 8);
    for (uint32_t i = 0; i < m->n_layers; i++)
        sparse += pl_model_sparse(m, i);
    const double experts = 2 * pl_link_all_to_all(l, s->ep, here * m->moe.top_k * row);
    return m->n_layers * layer + sparse * experts + (s->pp - 1.0) * pl_link_send(l, here * row);
}
