/* device.c - what one of several devices holds, the largest batch that fits, the traffic of its HBM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "plena/perf.h"

uint32_t pl_perf_devices(const struct pl_perf_split *s)
{
    return s->dp * s->pp * s->tp * s->sp * s->ep;
}

enum pl_status pl_perf_split_check(const struct pl_model_config *m, const struct pl_perf_split *s, struct pl_diag *d)
{
    if (!s->dp || !s->pp || !s->tp || !s->sp || !s->ep)
        return pl_fail(d, PL_ERANGE, "split: every degree must be at least 1");
    if ((uint64_t)s->dp * s->pp * s->tp * s->sp * s->ep > 1u << 20)
        return pl_fail(d, PL_ERANGE, "split: more than %u devices", 1u << 20);
    if (s->pp > m->n_layers)
        return pl_fail(d, PL_ERANGE, "split: pp %u stages for %u layers", s->pp, m->n_layers);
    if (m->n_heads % s->tp)
        return pl_fail(d, PL_ERANGE, "split: tp %u does not divide the %u query heads", s->tp, m->n_heads);
    if (m->n_kv_heads % s->tp && s->tp % m->n_kv_heads)
        return pl_fail(d, PL_ERANGE, "split: tp %u and the %u kv heads: one must divide the other", s->tp, m->n_kv_heads);
    if (s->ep > 1 && (!m->moe.experts || m->moe.experts % s->ep))
        return pl_fail(d, PL_ERANGE, "split: ep %u does not divide the %u experts", s->ep, m->moe.experts);
    return PL_OK;
}

static uint32_t stage_begin(const struct pl_model_config *m, uint32_t pp, uint32_t stage)
{
    return (uint32_t)((uint64_t)m->n_layers * stage / pp);
}

/* K and V of a kv head go to every device that has one of its query heads; the latent of MLA to all. */
static double kv_share(const struct pl_model_config *m, const struct pl_perf_split *s)
{
    const uint32_t parts = m->mla.kv_rank ? 1 : s->tp < m->n_kv_heads ? s->tp : m->n_kv_heads;
    return 1.0 / parts / s->sp;
}

static double class_bits(const struct pl_perf_store *b, unsigned c)
{
    switch (c) {
    case PL_PERF_EMBED:
        return b->table;
    case PL_PERF_HEAD:
        return b->weight;
    case PL_PERF_EXPERTS:
        return b->expert;
    case PL_PERF_NORMS:
    case PL_PERF_ROUTER:
        return b->vector;
    default:
        return b->weight;
    }
}

/* Bytes by class of one device of a stage. */
static void stage_weights(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, uint32_t stage,
                          double *bytes)
{
    const uint32_t first = stage_begin(m, s->pp, stage), end = stage_begin(m, s->pp, stage + 1);
    pl_perf_params(m, first, end, bytes);
    if (stage != 0)
        bytes[PL_PERF_EMBED] = 0;
    /* A tied head reads the same table where embedding and head stand on one device. */
    if (stage + 1 != s->pp || (m->tied && s->pp == 1))
        bytes[PL_PERF_HEAD] = 0;
    for (unsigned c = 0; c < PL_PERF_CLASSES; c++) {
        const bool whole = c == PL_PERF_NORMS || c == PL_PERF_ROUTER;
        bytes[c] *= class_bits(b, c) / 8 / (whole ? 1 : s->tp) / (c == PL_PERF_EXPERTS ? s->ep : 1);
    }
}

void pl_perf_footprint(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double batch,
                       double tokens, struct pl_perf_footprint *out)
{
    *out = (struct pl_perf_footprint){.total = -1};
    const double here = ceil(batch / ((double)s->dp * s->ep));
    for (uint32_t stage = 0; stage < s->pp; stage++) {
        struct pl_perf_footprint f = {.stage = stage};
        stage_weights(m, b, s, stage, f.weight);
        for (unsigned c = 0; c < PL_PERF_CLASSES; c++)
            f.weights += f.weight[c];
        f.kv = here * kv_share(m, s) * b->kv / 8 *
               pl_perf_kv_elements(m, stage_begin(m, s->pp, stage), stage_begin(m, s->pp, stage + 1), tokens);
        f.total = f.weights + f.kv;
        if (f.total > out->total)
            *out = f;
    }
}

enum pl_status pl_perf_check_fit(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s,
                                 double capacity_bytes, double batch, double tokens, struct pl_diag *d)
{
    struct pl_perf_footprint f;
    pl_perf_footprint(m, b, s, batch, tokens, &f);
    if (f.total <= capacity_bytes)
        return PL_OK;
    return pl_fail(d, PL_EUNSUPPORTED,
                   "does not fit: a device of stage %u needs %.2f GB of weights and %.2f GB of KV cache (batch %.0f, %.0f tokens each), "
                   "but has %.2f GB",
                   f.stage, f.weights / 1e9, f.kv / 1e9, batch, tokens, capacity_bytes / 1e9);
}

enum pl_status pl_perf_largest_batch(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s,
                                     double capacity_bytes, double tokens, uint64_t *batch, struct pl_diag *d)
{
    const double copies = (double)s->dp * s->ep;
    double most = INFINITY;
    PL_TRY(pl_perf_split_check(m, s, d));
    PL_TRY(pl_perf_check_fit(m, b, s, capacity_bytes, copies, tokens, d));
    for (uint32_t stage = 0; stage < s->pp; stage++) {
        double w[PL_PERF_CLASSES], sum = 0;
        stage_weights(m, b, s, stage, w);
        for (unsigned c = 0; c < PL_PERF_CLASSES; c++)
            sum += w[c];
        const double one = kv_share(m, s) * b->kv / 8 *
                           pl_perf_kv_elements(m, stage_begin(m, s->pp, stage), stage_begin(m, s->pp, stage + 1), tokens);
        most = fmin(most, floor((capacity_bytes - sum) / one));
    }
    *batch = (uint64_t)(most * copies);
    return PL_OK;
}

double pl_perf_distinct_experts(const struct pl_model_config *m, double tokens)
{
    const double E = m->moe.experts;
    return E > 0 ? E * (1 - pow(1 - m->moe.top_k / E, tokens)) : 0;
}

/* Bytes of weights that a pass of `rows` tokens reads, of the stage that reads most; the head only when asked. A token's
 * row of the embedding is all that is read of it. */
static double pass_weights(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double rows,
                           bool head)
{
    double most = 0;
    const double touched = m->moe.experts ? pl_perf_distinct_experts(m, rows * s->ep) / m->moe.experts : 0;
    for (uint32_t stage = 0; stage < s->pp; stage++) {
        double w[PL_PERF_CLASSES], sum = 0;
        stage_weights(m, b, s, stage, w);
        if (m->tied && s->pp == 1)
            w[PL_PERF_HEAD] = (double)m->vocab * m->hidden * b->weight / 8 / s->tp;
        w[PL_PERF_EMBED] = stage == 0 ? rows * m->hidden * b->table / 8 : 0;
        w[PL_PERF_EXPERTS] *= touched;
        w[PL_PERF_HEAD] *= head;
        for (unsigned c = 0; c < PL_PERF_CLASSES; c++)
            sum += w[c];
        most = fmax(most, sum);
    }
    return most;
}

static void finish(struct pl_perf_traffic *t)
{
    t->total = t->weights + t->kv_read + t->kv_write;
}

/* Of a pipeline, each stage works on a part of the batch after the other: weights are read once a part. */
static double parts_of(const struct pl_perf_split *s, double here)
{
    return fmax(1, fmin(s->pp, here));
}

void pl_perf_decode_traffic(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double batch,
                            double context, struct pl_perf_traffic *out)
{
    const double here = ceil(batch / ((double)s->dp * s->ep)), parts = parts_of(s, here);
    const double kv = kv_share(m, s) * b->kv / 8 / s->pp;
    *out = (struct pl_perf_traffic){.weights = parts * pass_weights(m, b, s, here / parts, true),
                                    .kv_read = here * kv * pl_perf_kv_elements(m, 0, m->n_layers, context),
                                    .kv_write = here * kv * pl_perf_kv_lanes(m) * m->n_layers};
    finish(out);
}

void pl_perf_prefill_traffic(const struct pl_model_config *m, const struct pl_perf_store *b, const struct pl_perf_split *s, double batch,
                             double prompt, double chunk, struct pl_perf_traffic *out)
{
    const double here = ceil(batch / ((double)s->dp * s->ep)), n = ceil(prompt / chunk), rows = fmin(chunk, prompt);
    const double kv = kv_share(m, s) * b->kv / 8 / s->pp;
    double seen = 0; /* KV elements that the chunks of one prompt read */
    for (uint32_t l = 0; l < m->n_layers; l++) {
        const uint32_t window = pl_model_window(m, l);
        const double w = window ? window : (double)INFINITY;
        const double grow = fmin(n, ceil(w / chunk)); /* chunks until the window is full */
        seen += grow * (grow + 1) / 2 * chunk + (n - grow) * fmin(w + chunk, prompt);
    }
    *out = (struct pl_perf_traffic){.weights = here * n * pass_weights(m, b, s, rows, false),
                                    .kv_read = here * kv * seen * pl_perf_kv_lanes(m),
                                    .kv_write = here * kv * pl_perf_kv_lanes(m) * prompt * m->n_layers};
    finish(out);
}
