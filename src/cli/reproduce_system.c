/* reproduce_system.c - Table XII: each cell's system as a plain roofline, beside the published figures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "reproduce.h"

static const struct cell {
    const char *model, *workload, *system;
    double ttft, tps, tok_j, batch;
} cells[] = {
#define CELL(model, workload, system, ttft, tps, tok_j, batch) {model, workload, system, ttft, tps, tok_j, batch},
#include "published.def"
#undef CELL
};

static struct pl_serve_job job_of(const struct cell *c)
{
    const bool chat = !strcmp(c->workload, "1.4k/0.2k"), web = !strcmp(c->workload, "114k/5k");
    return (struct pl_serve_job){c->batch, chat ? 1400 : web ? 114000 : 90000, chat ? 200 : web ? 5000 : 8000};
}

static const struct cell *a100_of(const struct cell *c)
{
    for (size_t i = 0; i < PL_COUNT(cells); i++)
        if (!strcmp(cells[i].model, c->model) && !strcmp(cells[i].workload, c->workload) && !strcmp(cells[i].system, "a100"))
            return &cells[i];
    return c;
}

struct evaluated {
    struct pl_system system;
    struct pl_serve plain, derated;
};

static enum pl_status evaluate(const struct cell *c, struct evaluated *out, struct pl_diag *d)
{
    struct pl_model_config m;
    const struct pl_serve_job job = job_of(c);
    pl_perf_known(c->model, &m);
    PL_TRY(pl_system_load(c->system, &out->system, d));
    PL_TRY(pl_serve(&out->system, &m, &job, PL_SERVE_PLAIN, &out->plain, d));
    return pl_serve(&out->system, &m, &job, PL_SERVE_DERATED, &out->derated, d);
}

static const char *why_ttft(const struct cell *c)
{
    if (!strcmp(c->system, "plena"))
        return "theirs: an analytic count at BLEN 128, divided by the 16 devices twice; ours: one prompt on all devices at the peak";
    if (!strcmp(c->workload, "1.4k/0.2k"))
        return "theirs holds the queueing of a full batch; ours: one prompt at the peak";
    return !strcmp(c->system, "tpu-v6e") ? "an untuned software stack: 3 to 5 % of the peak" : "ours at the peak; theirs at 47 to 62 % of it (GPT-OSS: 13 to 27 %)";
}

static const char *why_tps(const struct cell *c)
{
    if (!strcmp(c->system, "plena"))
        return "their attention uses one of 32 rows and no bandwidth limit; ours: HBM traffic and peak alone";
    if (!strcmp(c->system, "tpu-v6e"))
        return "measured with an untuned software stack";
    return "theirs is end to end, prefills included; ours is decode alone";
}

/* 14 of the 16 PLENA cells follow one constant power: TPS / (16 P) over TPS / (4 x 400 W). */
static double by_constant(const struct cell *c, const struct pl_system *s, const struct pl_system *a100)
{
    return c->tps * a100->devices * a100->watt / (s->devices * s->watt);
}

static void add_cell(struct repro *r, const struct cell *c, const struct evaluated *e, const struct evaluated *base, unsigned *follow,
                     unsigned *n_plena)
{
    const char *group = pl_arena_printf(r->a, "%s %s %s", c->model, c->workload, e->system.title);
    const bool is_base = !strcmp(c->system, "a100");
    repro_add(r, group, "TTFT of one request", "s", 2, e->plain.ttft_one_s, c->ttft, why_ttft(c));
    if (!is_base) {
        repro_add(r, group, "decode TPS", "x A100", 2, e->plain.tps / base->plain.tps, c->tps, why_tps(c));
        repro_add(r, group, "end-to-end TPS", "x A100", 2, e->plain.tps_e2e / base->plain.tps_e2e, c->tps, why_tps(c));
    }
    if (!is_base && c->tok_j > 0) {
        const double theirs = by_constant(c, &e->system, &base->system);
        repro_add(r, group, "Tok/J, constant power, published TPS", "x A100", 2, theirs, c->tok_j, "one constant a device: 54.7 W, 700 W, 400 W");
        repro_add(r, group, "Tok/J, constant power, our TPS", "x A100", 2, e->plain.tok_per_j / base->plain.tok_per_j, c->tok_j, why_tps(c));
        repro_add(r, group, "Tok/J, activity-based, our TPS", "x A100", 2, e->plain.tok_per_j_active / base->plain.tok_per_j_active, c->tok_j,
                  "a GPU that waits for HBM draws less than its TDP");
        if (!strcmp(c->system, "plena")) {
            /* Both published figures are rounded to two digits behind the point. */
            const double slack = 0.005 + 0.005 * theirs / c->tps;
            *follow += fabs(theirs - c->tok_j) <= slack;
            ++*n_plena;
        }
    }
    repro_add(r, group, "largest batch that fits", "", 0, e->plain.largest_batch, c->batch,
              e->plain.largest_batch < c->batch ? "the printed batch does not fit" : "the printed batch is not the largest");
}

enum pl_status repro_table_xii(struct repro *r)
{
    unsigned follow = 0, n_plena = 0;
    for (const struct cell *c = cells; c < cells + PL_COUNT(cells); c++) {
        struct evaluated e, base;
        PL_TRY(evaluate(c, &e, r->d));
        PL_TRY(evaluate(a100_of(c), &base, r->d));
        add_cell(r, c, &e, &base, &follow, &n_plena);
    }
    pl_buf_printf(&r->note, "\n%u of %u energy cells follow one constant, 54.7 W a device.\n", follow, n_plena);
    return PL_OK;
}
