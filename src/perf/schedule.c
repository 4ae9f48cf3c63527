/* schedule.c - a system of our own machines: every device runs its shard by the schedule that the compiler writes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "plena/perf_system.h"
#include "plena/perf_time.h"

enum pl_status pl_perf_shard(const struct pl_model_config *m, uint32_t tp, struct pl_model_config *out, struct pl_diag *d)
{
    const struct pl_perf_split s = {1, 1, tp, 1, 1};
    PL_TRY(pl_perf_split_check(m, &s, d));
    if (m->ffn % tp || (m->moe.experts && m->moe.ffn % tp))
        return pl_fail(d, PL_ERANGE, "split: tp %u does not divide the ffn of %u lanes", tp, m->moe.experts ? m->moe.ffn : m->ffn);
    *out = *m;
    out->n_heads = m->n_heads / tp;
    out->n_kv_heads = m->n_kv_heads > tp ? m->n_kv_heads / tp : 1;
    out->ffn = m->ffn / tp;
    out->moe.ffn = m->moe.ffn / tp;
    out->vocab = (m->vocab + tp - 1) / tp;
    return PL_OK;
}

/* Sequences that one pass takes: as many of `here` as Vector SRAM has room for. */
static enum pl_status widest_pass(const struct pl_arch *arch, const struct pl_model_config *m, double here, struct pl_perf_pass *out,
                                  double *taken, struct pl_diag *d)
{
    for (double n = here; n > 1; n = ceil(n / 2))
        if (pl_perf_batch_pass(arch, m, (uint32_t)n, out, NULL) == PL_OK) {
            *taken = n;
            return PL_OK;
        }
    *taken = 1;
    return pl_perf_pass(arch, m, 1, out, d);
}

enum pl_status pl_serve_schedule(const struct pl_system *s, const struct pl_arch *arch, const struct pl_perf_split *split,
                                 const struct pl_model_config *m, const struct pl_serve_job *job, struct pl_schedule *out,
                                 struct pl_diag *d)
{
    const struct pl_link link = {s->link_switch > 0 ? PL_LINK_SWITCH : PL_LINK_RING, s->link_gbs * 1e9, s->link_us * 1e-6};
    const struct pl_perf_store store = pl_perf_store_of(arch, true);
    const double here = ceil(job->batch / split->dp), tokens = job->prompt + job->output, capacity = s->hbm_gb * 1e9 * s->usable;
    struct pl_model_config shard;
    struct pl_perf_pass prefill, step;
    uint64_t most = 0;
    if (!(job->batch >= 1 && job->prompt >= 1 && job->output >= 1))
        return pl_fail(d, PL_ERANGE, "batch %g, prompt %g, output %g: each must be at least 1", job->batch, job->prompt, job->output);
    if (split->pp > 1 || split->sp > 1 || split->ep > 1)
        return pl_fail(d, PL_EUNSUPPORTED, "schedule: only dp and tp; pp, sp and ep are sizes and links alone");
    PL_TRY(pl_perf_shard(m, split->tp, &shard, d));
    PL_TRY(pl_perf_largest_batch(m, &store, split, capacity, tokens, &most, d));
    PL_TRY(pl_perf_pass(arch, &shard, 64, &prefill, d));
    *out = (struct pl_schedule){.serve = {.largest_batch = (double)most}};
    PL_TRY(widest_pass(arch, &shard, here, &step, &out->rows, d));
    const double hz = arch->clock_hz, passes = ceil(job->prompt / prefill.rows);
    struct pl_perf_time time;
    PL_TRY(pl_perf_eval(arch, &shard, &(struct pl_perf_job){(uint64_t)job->prompt, 1, 1, 64}, &time, d));
    const struct pl_perf_split one_copy = {1, 1, split->tp, 1, 1};
    const double prefill_links = pl_perf_comm_s(m, &one_copy, &link, prefill.rows, 16, prefill.rows);
    /* The step in the middle of the output, where contexts have their mean; a last tile is half full on average. */
    const double middle = job->prompt + job->output / 2;
    struct pl_perf_tiles t = pl_perf_tiles(&step, (uint64_t)middle);
    t.all = fmax(0, middle / step.kv_tile - 0.5);
    const double turns = ceil(here / out->rows);
    out->links_s = turns * pl_perf_comm_s(m, &one_copy, &link, out->rows, 16, 0);
    out->device_s = (turns * step.fixed_cyc + here * (t.all * step.tile_cyc + t.window * step.window_cyc)) / hz;
    out->hbm_share = (turns * step.fixed_bytes + here * (t.all * step.tile_bytes + t.window * step.window_bytes)) / (out->device_s * hz) /
                     arch->hbm_bandwidth;
    double largest = 0;
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        const struct pl_perf_op_cost *o = &step.op[op];
        const double cyc = turns * o->fixed_cyc + here * (t.all * o->tile_cyc + t.window * o->window_cyc);
        if (cyc > largest) {
            largest = cyc;
            out->largest = (enum pl_perf_op)op;
        }
    }
    out->largest_share = largest / hz / out->device_s;
    struct pl_serve *v = &out->serve;
    v->step_s = out->device_s + out->links_s;
    v->tps = job->batch / v->step_s;
    v->ttft_one_s = time.ttft_s + passes * prefill_links;
    v->ttft_batch_s = here * v->ttft_one_s;
    v->tps_e2e = job->batch * job->output / (v->ttft_batch_s + v->step_s * job->output);
    v->watts = s->devices * s->watt;
    v->tok_per_j = v->watts > 0 ? v->tps / v->watts : 0;
    return PL_OK;
}
