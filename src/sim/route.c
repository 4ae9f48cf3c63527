/* route.c - instructions that choose among values: V_TOPK, V_ROUTE, V_PICK. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "sim_internal.h"

/* The published policies. */
enum pl_status sim_V_TOPK(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    static const struct {
        uint32_t n, k;
    } policy[] = {{32, 4}, {128, 8}};
    if (in->rs3 >= PL_COUNT(policy))
        return sim_fault(sim, "policy %u: expected 0 (4 of 32) or 1 (8 of 128)", in->rs3);
    const uint32_t n = policy[in->rs3].n, k = policy[in->rs3].k, vlen = sim->arch->vlen;
    uint32_t row, last;
    t->class = PL_OPC_VTOPK;
    t->blocks = n;
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1], "source", &row));
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1] + (uint64_t)((n - 1) / vlen) * vlen, "source", &last));
    t->read[t->n_read++] = (struct rows){row, last - row + 1, 1, 1};
    const uint64_t index_at = sim->gp[in->rs2], weight_at = sim->gp[in->rd];
    if (index_at + k > sim->arch->int_words || weight_at + k > sim->arch->fp_words)
        return sim_fault(sim, "results lie outside INT or FP SRAM");
    if (!sim->opt.functional)
        return PL_OK;
    const float *v = sim->vsram + (size_t)row * vlen;
    float top = 0, sum = 0, w[8];
    bool taken[128] = {false};
    for (uint32_t j = 0; j < k; j++) {
        const uint32_t best = pl_vec_best(v, n, taken);
        const float value = isnan(v[best]) ? -INFINITY : v[best];
        taken[best] = true;
        top = j ? top : value;
        sim->intmem[index_at + j] = best;
        w[j] = pl_f32_exp(pl_f32_sub(value, top));
        sum = pl_f32_add(sum, w[j]);
    }
    const float r = isfinite(sum) && sum > 0 ? pl_f32_reci(sum) : 0.0f;
    for (uint32_t j = 0; j < k; j++)
        sim->fpmem[weight_at + j] = r > 0 ? pl_f32_mul(w[j], r) : 0.0f;
    return PL_OK;
}

static enum pl_status int_words(struct pl_sim *sim, uint64_t at, uint32_t n)
{
    return at + n <= sim->arch->int_words ? PL_OK
                                          : sim_fault(sim, "INT SRAM words %llu + %u of %u", (unsigned long long)at, n, sim->arch->int_words);
}

/* Without values the choice is of the destination alone: tokens whose places follow each other spread over all n. */
static void spread(struct pl_sim *sim, const struct pl_route *r, uint32_t at)
{
    uint32_t j = 0;
    const uint32_t first = at % r->n;
    for (uint32_t i = 0; i < r->n; i++)
        if ((i + r->n - first) % r->n < r->k)
            sim->intmem[at + j++] = i;
}

enum pl_status sim_V_ROUTE(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t at = sim->gp[in->rd], from = sim->gp[in->rs2], vlen = sim->arch->vlen;
    uint32_t row, last;
    PL_TRY(int_words(sim, from, 5));
    const uint32_t *p = sim->intmem + from;
    const struct pl_route r = {p[0], p[1], p[2], p[3], p[4]};
    const char *rule = pl_route_rule(&r);
    if (rule)
        return sim_fault(sim, "%u of %u values, %u of %u groups by %u of each: %s", r.k, r.n, r.top_groups, r.groups, r.group_top, rule);
    PL_TRY(int_words(sim, at, r.k));
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1], "source", &row));
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1] + (uint64_t)((r.n - 1) / vlen) * vlen, "source", &last));
    t->class = PL_OPC_VTOPK;
    t->blocks = r.top_groups < r.groups ? 2 * r.n : r.n;
    t->read[t->n_read++] = (struct rows){row, last - row + 1, 1, 1};
    if (sim->opt.functional)
        pl_route_choose(&r, sim->vsram + (size_t)row * vlen, sim->intmem + at);
    else
        spread(sim, &r, at);
    return PL_OK;
}

enum pl_status sim_V_PICK(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t at = sim->gp[in->rd], from = sim->gp[in->rs2], n = sim->gp[in->rs3], vlen = sim->arch->vlen;
    uint32_t row, last, most = 0;
    if (n == 0 || n > PL_ROUTE_MOST_K)
        return sim_fault(sim, "%u elements: expected 1 to %u", n, PL_ROUTE_MOST_K);
    PL_TRY(int_words(sim, from, n));
    if ((uint64_t)at + n > sim->arch->fp_words)
        return sim_fault(sim, "FP SRAM words %u + %u of %u", at, n, sim->arch->fp_words);
    for (uint32_t j = 0; j < n; j++)
        most = sim->intmem[from + j] > most ? sim->intmem[from + j] : most;
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1], "source", &row));
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1] + (uint64_t)(most / vlen) * vlen, "source", &last));
    t->class = PL_OPC_VTOPK;
    t->blocks = n;
    t->read[t->n_read++] = (struct rows){row, last - row + 1, 1, 1};
    for (uint32_t j = 0; sim->opt.functional && j < n; j++)
        sim->fpmem[at + j] = sim->vsram[(size_t)row * vlen + sim->intmem[from + j]];
    return PL_OK;
}
