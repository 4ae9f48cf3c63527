/* serve.c - rooflines of serving a batch: prefill, decode, what fits, tokens per joule. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "plena/perf_system.h"

enum { MIDPOINTS = 16 }; /* of the output: context grows while it is written */

const char *pl_serve_reading_name(enum pl_serve_reading r)
{
    static const char *const name[] = {"roofline", "roofline, rows occupied", "roofline, rows and links", "derated", "paper-implied"};
    return name[r];
}

struct pl_perf_store pl_system_store(const struct pl_system *s, const struct pl_model_config *m)
{
    /* Of the models with experts only GPT-OSS comes with narrow ones (MXFP4). */
    const double expert = m->family == PL_FAMILY_GPT_OSS ? fmin(s->weight_bits, s->expert_bits) : s->weight_bits;
    return (struct pl_perf_store){s->weight_bits, s->kv_bits, expert, s->weight_bits, s->weight_bits};
}

/* What the readings have in common, of the system as a whole: its devices share everything evenly. */
struct serving {
    const struct pl_system *s;
    const struct pl_model_config *m;
    struct pl_perf_store store;
    struct pl_perf_split one;
    double peak, bandwidth; /* operations/s, bytes/s, derated where the reading says so */
    enum pl_serve_reading reading;
};

/* Of `rows` rows an array of `height` rows fills this share. */
static double occupancy(double rows, double height)
{
    return height > 0 && rows > 0 ? rows / (ceil(rows / height) * height) : 1;
}

static double links_s(const struct serving *v, double batch)
{
    const struct pl_link l = {v->s->link_switch > 0 ? PL_LINK_SWITCH : PL_LINK_RING, v->s->link_gbs * 1e9, v->s->link_us * 1e-6};
    return 2 * v->m->n_layers * pl_link_all_reduce(&l, (uint32_t)v->s->devices, batch * v->m->hidden * 2);
}

/* Seconds of a decode step; bytes and operations of it, for the power. */
static double step_s(const struct serving *v, double batch, double context, double *bytes, double *flops)
{
    const struct pl_model_config *m = v->m;
    struct pl_perf_traffic t;
    pl_perf_decode_traffic(m, &v->store, &v->one, batch, context, &t);
    const double weights = t.weights - batch * m->hidden * v->store.table / 8; /* rows of the embedding: negligible, left out */
    const double linear = 2 * batch * pl_perf_active_params(m), attention = 2 * batch * pl_perf_attention_macs(m, context);
    *bytes = weights + t.kv_read;
    *flops = linear + attention;
    if (v->reading != PL_SERVE_OCCUPIED && v->reading != PL_SERVE_LINKED)
        return fmax(*bytes / v->bandwidth, *flops / v->peak);
    const double expert_rows = m->moe.experts ? fmax(1, batch * m->moe.top_k / m->moe.experts) : batch;
    const double of_linear = occupancy(expert_rows, v->s->array_rows);
    const double of_attention = occupancy((double)m->n_heads / m->n_kv_heads, v->s->array_rows);
    const double s = fmax(weights / v->bandwidth, linear / (v->peak * of_linear)) +
                     fmax(t.kv_read / v->bandwidth, attention / (v->peak * of_attention));
    return s + (v->reading == PL_SERVE_LINKED ? links_s(v, batch) : 0);
}

static void fits(const struct serving *v, const struct pl_serve_job *job, struct pl_serve *out)
{
    struct pl_perf_footprint f;
    uint64_t most = 0;
    const double capacity = v->s->devices * v->s->hbm_gb * 1e9 * v->s->usable;
    pl_perf_footprint(v->m, &v->store, &v->one, job->batch, job->prompt + job->output, &f);
    out->weights_gb = f.weights / 1e9;
    out->kv_gb = f.kv / 1e9;
    if (pl_perf_largest_batch(v->m, &v->store, &v->one, capacity, job->prompt + job->output, &most, NULL) == PL_OK)
        out->largest_batch = (double)most;
}

static void power(const struct serving *v, double bytes_s, double flops_s, struct pl_serve *out)
{
    const struct pl_system *s = v->s;
    if (!(s->watt > 0))
        return;
    const double peak = s->peak_tflops * 1e12, hbm = s->hbm_pj_bit * 8e-12;
    const double flop = s->flop_pj > 0 ? s->flop_pj * 1e-12 : fmax(0, (s->watt - s->idle_watt - hbm * s->hbm_gbs * 1e9) / peak);
    out->watts = s->devices * s->watt;
    out->watts_active = s->devices * s->idle_watt + hbm * bytes_s + flop * flops_s;
    out->tok_per_j = out->tps / out->watts;
    out->tok_per_j_active = out->tps / out->watts_active;
}

enum pl_status pl_serve(const struct pl_system *s, const struct pl_model_config *m, const struct pl_serve_job *job,
                        enum pl_serve_reading reading, struct pl_serve *out, struct pl_diag *d)
{
    struct serving v = {s, m, pl_system_store(s, m), {1, 1, 1, 1, 1}, s->devices * s->peak_tflops * 1e12, s->devices * s->hbm_gbs * 1e9,
                        reading};
    if (!(job->batch >= 1 && job->prompt >= 1 && job->output >= 1))
        return pl_fail(d, PL_ERANGE, "batch %g, prompt %g, output %g: each must be at least 1", job->batch, job->prompt, job->output);
    double prefill_peak = v.peak, sum = 0, bytes = 0, flops = 0;
    if (reading == PL_SERVE_DERATED) {
        v.bandwidth *= s->eta_bandwidth;
        prefill_peak *= s->eta_compute;
    }
    *out = (struct pl_serve){0};
    fits(&v, job, out);
    for (unsigned i = 0; i < MIDPOINTS; i++) {
        double b, f;
        sum += step_s(&v, job->batch, job->prompt + (i + 0.5) * job->output / MIDPOINTS, &b, &f) / MIDPOINTS;
        bytes += b / MIDPOINTS;
        flops += f / MIDPOINTS;
    }
    if (reading == PL_SERVE_IMPLIED && s->implied_tps > 0)
        sum /= s->implied_tps;
    out->step_s = sum;
    out->ttft_one_s = 2 * pl_perf_prefill_macs(m, job->prompt) / prefill_peak;
    out->ttft_batch_s = job->batch * out->ttft_one_s;
    out->tps = job->batch / sum;
    out->tps_e2e = job->batch * job->output / (out->ttft_batch_s + sum * job->output);
    power(&v, bytes / sum, flops / sum, out);
    return PL_OK;
}
