/* dse_run.c - plena dse run and sweep: work on a study; the whole space in closed form. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dse.h"
#include "plena/report.h"

void dse_fini(struct dse *s)
{
    dse_eval_fini(&s->eval);
    pl_dse_sampler_free(s->sampler);
    pl_study_close(s->study);
    pl_arena_fini(&s->arena);
}

static enum pl_status load_spec(struct dse *s, const char *path)
{
    struct pl_map m;
    PL_TRY(pl_file_map(path, &m, &s->d));
    const struct pl_source src = {path, (const char *)m.data, m.len};
    const enum pl_status st = pl_dse_spec_parse(&s->arena, &src, dse_metric_names, &s->spec, &s->d);
    pl_file_unmap(&m);
    return st;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

void dse_progress(struct dse *s, struct progress *p)
{
    struct pl_arena a;
    struct pl_study_trial *t;
    size_t n, told = 0;
    double ref[PL_DSE_OBJECTIVES];
    if (s->quiet || pl_clock_ns() - p->last_ns < (p->tty ? 100000000u : 60000000000u))
        return; /* nothing would be shown */
    pl_arena_init(&a);
    if (pl_study_read(s->study, &a, &t, &n, NULL) == PL_OK) {
        struct pl_dse_trial *all = PL_NEW_N(&a, struct pl_dse_trial, n + 1);
        for (size_t i = 0; i < n; i++) {
            all[i] = t[i].t;
            told += t[i].t.state != PL_DSE_RUNNING;
        }
        p->note[0] = 0;
        if (pl_dse_reference(&s->spec.search, all, n, ref))
            snprintf(p->note, sizeof p->note, " hypervolume %.6g", pl_dse_volume(all, n, s->spec.search.m, ref));
        progress_at(p, told);
    }
    pl_arena_fini(&a);
}

/* Evaluate one trial and tell it. */
static enum pl_status do_trial(struct dse *s, struct pl_dse_trial *t)
{
    char *metrics, reason[256];
    double seconds;
    dse_eval_trial(&s->eval, t, &metrics, reason, &seconds);
    if (s->delay_us)
        pause_ms((long)(s->delay_us / 1000));
    const enum pl_status st = pl_study_tell(s->study, t, metrics, reason[0] ? reason : NULL, seconds, &s->d);
    free(metrics);
    return st;
}

enum pl_status dse_work(struct dse *s)
{
    struct progress p;
    enum pl_study_next next = PL_STUDY_TRIAL;
    enum pl_status st = PL_OK;
    progress_start(&p, "trials", s->spec.trials);
    while (st == PL_OK && next != PL_STUDY_DONE) {
        struct pl_dse_trial t;
        st = pl_study_ask(s->study, s->sampler, &s->spec, &next, &t, &s->d);
        if (st == PL_OK && next == PL_STUDY_TRIAL)
            st = do_trial(s, &t);
        else if (st == PL_OK && next == PL_STUDY_WAIT)
            pause_ms(5); /* for another process */
        dse_progress(s, &p);
    }
    progress_end(&p);
    return st;
}

static void summary(struct dse *s)
{
    struct pl_study_trial *t;
    size_t n, by_state[4] = {0};
    double ref[PL_DSE_OBJECTIVES];
    if (pl_study_read(s->study, &s->arena, &t, &n, &s->d) != PL_OK)
        return;
    struct pl_dse_trial *all = PL_NEW_N(&s->arena, struct pl_dse_trial, n + 1);
    for (size_t i = 0; i < n; i++) {
        all[i] = t[i].t;
        by_state[t[i].t.state]++;
    }
    const bool known = pl_dse_reference(&s->spec.search, all, n, ref);
    const double volume = known ? pl_dse_volume(all, n, s->spec.search.m, ref) : 0;
    if (s->json) {
        json_t *o = cli_result("plena.dse.run/1", &s->spec.base);
        json_object_set_new(o, "study", json_string(s->spec.name));
        json_object_set_new(o, "file", json_string(s->path));
        json_object_set_new(o, "complete", json_integer((json_int_t)by_state[PL_DSE_COMPLETE]));
        json_object_set_new(o, "over_cap", json_integer((json_int_t)by_state[PL_DSE_CAPPED]));
        json_object_set_new(o, "failed", json_integer((json_int_t)by_state[PL_DSE_FAILED]));
        json_object_set_new(o, "hypervolume", known ? json_real(volume) : json_null());
        cli_print_json(o);
        return;
    }
    printf("%s: %zu trials complete, %zu over a cap, %zu failed", s->spec.name, by_state[PL_DSE_COMPLETE], by_state[PL_DSE_CAPPED],
           by_state[PL_DSE_FAILED]);
    if (known)
        printf("; hypervolume %.6g", volume);
    printf("\n%s\n", s->path);
}

struct overrides {
    const char *sampler, *output, *cache_from;
    uint64_t seed, trials, batch;
    bool has_seed;
};

/* Options are part of the study: they go into the text that is kept, so that a changed one is another study. */
static enum pl_status apply(struct dse *s, const struct overrides *o)
{
    struct pl_dse_spec *spec = &s->spec;
    if (o->sampler)
        PL_TRY(pl_dse_sampler_find(o->sampler, &spec->search.sampler, &s->d));
    if (o->seed != UINT64_MAX)
        spec->search.seed = o->seed;
    if (o->trials)
        spec->trials = o->trials;
    if (o->batch)
        spec->batch = o->batch;
    spec->text = pl_arena_printf(&s->arena, "%s\n# as run: sampler %s, seed %llu, batch %llu\n", spec->text,
                                 pl_dse_sampler_name(spec->search.sampler), (unsigned long long)spec->search.seed,
                                 (unsigned long long)spec->batch);
    if (!s->path)
        s->path = o->output ? o->output : pl_arena_printf(&s->arena, "%s.db", spec->name);
    return PL_OK;
}

static enum pl_status run(struct dse *s, const char *file, const struct overrides *o)
{
    unsigned rank = 0, size = 1;
    const bool launched = dse_launched(&rank, &size);
    PL_TRY(load_spec(s, file));
    PL_TRY(apply(s, o));
    if (launched && rank)
        return PL_OK;
    PL_TRY(pl_study_start(s->path, s->spec.name, s->spec.text, &s->study, &s->d));
    if (o->cache_from)
        PL_TRY(pl_study_cache_import(s->study, o->cache_from, &s->d));
    PL_TRY(dse_eval_init(&s->eval, &s->spec, s->study, &s->d));
    if (s->spec.fidelity == PL_DSE_SCREEN)
        PL_TRY(dse_screen(&s->eval, &s->arena, &s->d));
    pl_dse_sampler_new(&s->spec.search, &s->sampler);
    PL_TRY(launched && size > 1 ? dse_lead(s) : dse_work(s));
    if (!s->quiet)
        summary(s);
    return PL_OK;
}

int dse_run(const struct verb *v, int argc, char **argv)
{
    struct dse s = {0};
    struct overrides o = {.seed = UINT64_MAX};
    unsigned rank = 0, size = 1;
    pl_arena_init(&s.arena);
    const struct opt opts[] = {
        {"o", OPT_TEXT, &o.output, "FILE.db", "the study (default NAME.db); one that exists is gone on with"},
        {"sampler", OPT_TEXT, &o.sampler, "NAME", "bo, tpe, nsga2, random, halton or exhaustive instead of the file's"},
        {"seed", OPT_U64, &o.seed, "N", "instead of the file's"},
        {"trials", OPT_U64, &o.trials, "N", "instead of the file's; more make a finished study go on"},
        {"batch", OPT_U64, &o.batch, "N", "trials under way at once; instead of the file's"},
        {"cache-from", OPT_TEXT, &o.cache_from, "FILE.db", "take over the accuracies another study has measured"},
        {"delay-us", OPT_U64, &s.delay_us, "N", "wait so long in each evaluation: to measure what the rest costs"},
        {"quiet", OPT_FLAG, &s.quiet, NULL, "no progress, no summary"},
        {"json", OPT_FLAG, &s.json, NULL, "summary as one JSON object on stdout"},
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, opts, PL_COUNT(opts), pos, 1, &n_pos);
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "STUDY.yaml is missing");
    if (rc < 0) {
        const enum pl_status st = run(&s, pos[0], &o);
        rc = st == PL_OK ? 0 : cli_fail(st, &s.d);
        if (st == PL_OK && dse_launched(&rank, &size) && rank)
            rc = dse_follow(&s);
    }
    dse_fini(&s);
    return rc;
}

/* ---- sweep ---- */
struct swept {
    uint64_t asked;
    size_t n, cap;
    double *x, *y; /* [cap][params], [cap][m] */
};

/* Points first, first + stride, ...: as many as keep to all rules and can be evaluated. */
static void sweep_part(struct dse *s, uint64_t first, uint64_t stride, uint64_t size, size_t points, struct swept *out)
{
    const struct pl_dse_space *sp = &s->spec.space;
    struct pl_dse_spec own = s->spec; /* it notes reasons: one for each thread */
    own.space.ctx = &own;
    for (uint64_t i = first; out->asked < points && i < size; i += stride) {
        double x[PL_DSE_PARAMS], value[DSE_METRICS];
        struct pl_dse_trial t = {0};
        struct pl_diag d;
        /* a multiplier coprime to any product of small factors spreads the points over the space */
        pl_dse_space_point(sp, size > points ? i * 1000003 % size : i, x);
        if (own.space.why_not(&own, x))
            continue;
        out->asked++;
        if (dse_eval_point(&s->eval, PL_DSE_ANALYTIC, x, value, &d) != PL_OK || !dse_model_values(&s->spec, value, &t) ||
            t.state != PL_DSE_COMPLETE)
            continue;
        memcpy(out->x + out->n * sp->n, x, sp->n * sizeof *x);
        memcpy(out->y + out->n++ * s->spec.search.m, t.y, s->spec.search.m * sizeof *x);
    }
}

static enum pl_status sweep(struct dse *s, const char *file, const char *cache_from, uint64_t points, uint64_t show)
{
    enum { PARTS = 64 };
    PL_TRY(load_spec(s, file));
    if (cache_from)
        PL_TRY(pl_study_open_read(cache_from, &s->study, &s->d));
    PL_TRY(dse_eval_init(&s->eval, &s->spec, s->study, &s->d));
    s->eval.keeps_nothing = true;
    const uint64_t size = pl_dse_space_size(&s->spec.space), start = pl_clock_ns();
    const size_t m = s->spec.search.m, np = s->spec.space.n, each = (size_t)((points + PARTS - 1) / PARTS);
    struct swept part[PARTS];
    if (!size)
        return pl_fail(&s->d, PL_EUNSUPPORTED, "%s: a sweep needs a space without real parameters", file);
    for (size_t k = 0; k < PARTS; k++) {
        part[k] = (struct swept){.x = PL_NEW_N(&s->arena, double, each * np), .y = PL_NEW_N(&s->arena, double, each * m)};
        if (!k) /* once alone: fills the caches of accuracy */
            sweep_part(s, 0, PARTS, size, each, &part[0]);
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t k = 1; k < PARTS; k++)
        sweep_part(s, k, PARTS, size, each, &part[k]);
    uint64_t asked = 0;
    size_t n = 0;
    for (size_t k = 0; k < PARTS; k++) {
        asked += part[k].asked;
        n += part[k].n;
    }
    double *y = PL_NEW_N(&s->arena, double, n * m), **x = PL_NEW_N(&s->arena, double *, n + 1);
    for (size_t k = 0, at = 0; k < PARTS; k++)
        for (size_t i = 0; i < part[k].n; i++, at++) {
            memcpy(y + at * m, part[k].y + i * m, m * sizeof *y);
            x[at] = part[k].x + i * np;
        }
    const uint64_t evaluated = pl_clock_ns();
    size_t *front = PL_NEW_N(&s->arena, size_t, n + 1), nf = pl_pareto(y, n, m, front);
    printf("%s: %llu feasible points of %llu evaluated in %.2f s, %zu with objectives; Pareto set of %zu in %.2f s\n", s->spec.name,
           (unsigned long long)asked, (unsigned long long)size, (double)(evaluated - start) * 1e-9, n, nf,
           (double)(pl_clock_ns() - evaluated) * 1e-9);
    if (s->spec.search.has_ref)
        printf("hypervolume %.6g\n", pl_hypervolume(y, n, m, s->spec.search.ref));
    for (size_t i = 0; i < nf && i < show; i++) {
        for (size_t k = 0; k < m; k++)
            printf("%s %.6g  ", s->spec.objective[k].metric, pl_dse_metric(&s->spec.objective[k], y[front[i] * m + k]));
        for (size_t k = 0; k < np; k++) {
            char v[48];
            pl_dse_spec_value(&s->spec.space, k, x[front[i]], v);
            printf(" %s=%s", s->spec.space.p[k].name, v);
        }
        printf("\n");
    }
    return PL_OK;
}

int dse_sweep(const struct verb *v, int argc, char **argv)
{
    struct dse s = {0};
    uint64_t points = 1000000, show = 20;
    const char *cache_from = NULL;
    pl_arena_init(&s.arena);
    const struct opt opts[] = {
        {"points", OPT_U64, &points, "N", "most points evaluated, spread over the space (default 1000000)"},
        {"cache-from", OPT_TEXT, &cache_from, "FILE.db", "accuracies a study has measured"},
        {"show", OPT_U64, &show, "N", "Pareto points printed (default 20)"},
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, opts, PL_COUNT(opts), pos, 1, &n_pos);
    if (rc < 0 && (!n_pos || !points))
        rc = cli_usage(v, n_pos ? "--points must not be 0" : "STUDY.yaml is missing");
    if (rc < 0) {
        const enum pl_status st = sweep(&s, pos[0], cache_from, points, show);
        rc = st == PL_OK ? 0 : cli_fail(st, &s.d);
    }
    dse_fini(&s);
    return rc;
}
