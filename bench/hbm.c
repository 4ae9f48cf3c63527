/* hbm.c - bench hbm: the sequential and random traces of the reference simulators; speed in CPU time of this one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/hbm.h"

#include <stdio.h>
#include <string.h>

#include "bench.h"

enum { LINES = 1 << 20, LONG_LINES = 1 << 23, LONGEST_LINES = 1 << 26, IDLE_LINES = 20000, LINE = 64 };

/* Lines of 64 bytes, each its own request: one after the other, or uniform over the memory. */
struct trace {
    struct pl_rng rng;
    uint64_t i, n, memory_lines; /* memory_lines 0: sequential */
};

static bool next_line(void *ctx, struct pl_hbm_request *r)
{
    struct trace *t = ctx;
    if (t->i == t->n)
        return false;
    r->addr = (t->memory_lines ? pl_rng_below(&t->rng, t->memory_lines) : t->i) * LINE;
    r->bytes = LINE;
    t->i++;
    return true;
}

enum kind { STREAM, SEQUENTIAL, RANDOM };
static enum pl_status once(const struct pl_hbm_params *p, enum kind kind, uint64_t lines, uint64_t seed, double *seconds,
                           uint64_t *cycles, struct pl_diag *d)
{
    struct pl_hbm *h;
    struct pl_hbm_done done;
    struct trace t = {.n = lines, .memory_lines = kind == RANDOM ? pl_hbm_capacity(p) / LINE : 0};
    const struct pl_hbm_source src = {next_line, NULL, &t};
    const struct pl_hbm_request all = {.bytes = lines * LINE};
    pl_rng_init(&t.rng, seed);
    PL_TRY(pl_hbm_new(p, NULL, &h, d));
    const double from = bench_cpu_seconds();
    enum pl_status s = kind == STREAM ? pl_hbm_submit(h, &all, d) : pl_hbm_run(h, &src, d);
    if (kind == STREAM && s == PL_OK)
        pl_hbm_advance(h, UINT64_MAX, &done, 1);
    const double dt = bench_cpu_seconds() - from;
    *seconds = dt < *seconds ? dt : *seconds;
    struct pl_hbm_stats stats;
    pl_hbm_get_stats(h, &stats);
    *cycles = stats.end_cyc;
    pl_hbm_free(h);
    return s;
}

/* Mean latency of random lines, one outstanding. */
static enum pl_status idle(const struct pl_hbm_params *p, uint64_t seed, double *ns, struct pl_diag *d)
{
    struct pl_hbm *h;
    struct pl_hbm_done done;
    struct pl_rng r;
    enum pl_status s = PL_OK;
    pl_rng_init(&r, seed);
    PL_TRY(pl_hbm_new(p, NULL, &h, d));
    for (int i = 0; i < IDLE_LINES && s == PL_OK; i++) {
        const struct pl_hbm_request one = {
            .addr = pl_rng_below(&r, pl_hbm_capacity(p) / LINE) * LINE, .bytes = LINE, .arrival = pl_hbm_now(h)};
        s = pl_hbm_submit(h, &one, d);
        pl_hbm_advance(h, UINT64_MAX, &done, 1);
    }
    *ns = pl_hbm_latency_mean(h) * p->clock_ps * 1e-3;
    pl_hbm_free(h);
    return s;
}

static void figure(const struct bench_options *o, const char *what, const char *preset, double v, const char *unit)
{
    char name[96];
    snprintf(name, sizeof name, "hbm_%s.%s", what, preset);
    bench_figure(o, name, v, unit);
}

static enum pl_status one_preset(const struct bench_options *o, const char *preset, struct pl_diag *d)
{
    static const struct {
        const char *preset;
        double cycles, idle_ns;
    } reference[] = {{"dramsim3-hbm2", 284533, 39.15}, {"ramulator2.1-hbm2", 301329, 39.58}};
    static const struct {
        const char *what;
        enum kind kind;
        uint64_t lines;
    } speed[] = {{"stream_lines_per_s", STREAM, LINES},
                 {"sequential_lines_per_s", SEQUENTIAL, LINES},
                 {"random_lines_per_s", RANDOM, LINES},
                 {"long_sequential_lines_per_s", SEQUENTIAL, LONG_LINES},
                 {"long_stream_lines_per_s", STREAM, LONGEST_LINES}};
    struct pl_hbm_params p;
    uint64_t cycles[PL_COUNT(speed)] = {0};
    double ns;
    PL_TRY(pl_hbm_preset(preset, &p, d));
    for (unsigned k = 0; k < PL_COUNT(speed); k++) {
        double best = 1e300;
        for (uint64_t rep = 0; rep < o->reps; rep++)
            PL_TRY(once(&p, speed[k].kind, speed[k].lines, o->seed, &best, &cycles[k], d));
        figure(o, speed[k].what, preset, (double)speed[k].lines / best, "lines/s");
    }
    if (cycles[0] != cycles[1])
        return pl_fail(d, PL_EDIFF, "%s: one stream takes %llu cycles, its lines one by one %llu", preset,
                       (unsigned long long)cycles[0], (unsigned long long)cycles[1]);
    PL_TRY(idle(&p, o->seed, &ns, d));
    const double gbs = (double)LINES * LINE / ((double)cycles[1] * p.clock_ps * 1e-3);
    figure(o, "sequential_cycles", preset, (double)cycles[1], "cycles");
    figure(o, "sequential_bandwidth", preset, gbs, "GB/s");
    figure(o, "sequential_over_peak_ratio", preset, gbs / pl_hbm_peak_gbs(&p), "ratio");
    figure(o, "idle_latency", preset, ns, "ns");
    for (size_t i = 0; i < PL_COUNT(reference); i++)
        if (!strcmp(reference[i].preset, preset)) {
            figure(o, "sequential_over_reference_ratio", preset, (double)cycles[1] / reference[i].cycles, "ratio");
            figure(o, "idle_latency_minus_reference", preset, ns - reference[i].idle_ns, "ns");
        }
    return PL_OK;
}

enum pl_status bench_hbm(const struct bench_options *o, struct pl_diag *d)
{
    for (size_t i = 0; pl_hbm_preset_name(i); i++)
        PL_TRY(one_preset(o, pl_hbm_preset_name(i), d));
    return PL_OK;
}
