/* dse_eval.c - metrics of a design point: closed form or timing plane, area, energy, accuracy through nn. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dse.h"
#include "plena/comp.h"
#include "plena/host.h"
#include "plena/map.h"
#include "plena/nn.h"
#include "plena/perf_cost.h"
#include "plena/perf_time.h"

const char *const dse_metric_names[] = {
#define X(name, unit, doc) #name,
    DSE_METRIC_LIST(X)
#undef X
        NULL};

static bool wants_accuracy(const struct dse_eval *e)
{
    return e->want[DSE_perplexity] || e->want[DSE_kl];
}

static void note_wanted(struct dse_eval *e)
{
    for (size_t k = 0; k < DSE_METRICS; k++) {
        for (size_t i = 0; i < e->spec->search.m; i++)
            e->want[k] |= !strcmp(e->spec->objective[i].metric, dse_metric_names[k]);
        for (size_t i = 0; i < e->spec->search.n_cap; i++)
            e->want[k] |= !strcmp(e->spec->cap[i].metric, dse_metric_names[k]);
    }
}

/* A model by name, a config.json, a folder, or an example. Names have no checkpoint: closed form only. */
static enum pl_status load_shapes(struct dse_eval *e, struct pl_diag *d)
{
    const struct pl_dse_spec *spec = e->spec;
    if (spec->model && pl_perf_known(spec->model, &e->config)) {
        if (spec->fidelity == PL_DSE_ANALYTIC)
            return PL_OK;
        return pl_fail(d, PL_EUSAGE, "study %s: the timing plane needs the config.json of %s", spec->name, spec->model);
    }
    const enum pl_status s = job_config(&e->shapes, spec->model);
    if (s != PL_OK) {
        *d = e->shapes.d;
        return s;
    }
    e->config = e->shapes.ck->config;
    return PL_OK;
}

/* Why a machine that keeps to its own rules cannot run the study's model. */
static const char *cannot(void *ctx, const struct pl_arch *arch)
{
    const struct dse_eval *e = ctx;
    const struct pl_perf_store store = pl_perf_store_of(arch, true);
    const struct pl_perf_split one = {1, 1, 1, 1, 1};
    const uint64_t tokens = e->spec->prompt + e->spec->output;
    struct pl_plan plan;
    struct pl_map_rows rows;
    if (pl_perf_check_fit(&e->config, &store, &one, (double)arch->hbm_bytes, (double)e->spec->sequences, (double)tokens, NULL) != PL_OK)
        return "the model fits the HBM";
    if (pl_map_plan(arch, &e->config, NULL, NULL, NULL, &plan, NULL) != PL_OK)
        return "Matrix SRAM holds two sets of operands";
    return pl_map_fit_rows(arch, &e->config, &plan, 64, &rows, NULL) != PL_OK ? "a token's rows fit Vector SRAM" : NULL;
}

enum pl_status dse_eval_init(struct dse_eval *e, struct pl_dse_spec *spec, struct pl_study *study, struct pl_diag *d)
{
    *e = (struct dse_eval){.spec = spec, .study = study};
    note_wanted(e);
    job_init(&e->shapes);
    job_init(&e->accuracy);
    e->shapes.arch = spec->base;
    if (wants_accuracy(e) && !spec->accuracy_text)
        return pl_fail(d, PL_EUSAGE, "study %s: perplexity and kl need accuracy_text", spec->name);
    PL_TRY(load_shapes(e, d));
    spec->cannot = cannot;
    spec->cannot_ctx = e;
    if (!wants_accuracy(e))
        return PL_OK;
    e->texts = (struct texts){.file = spec->accuracy_text, .limit = spec->accuracy_limit, .j = &e->accuracy};
    e->accuracy.machine = spec->accuracy_machine;
    enum pl_status s = job_machine(&e->accuracy);
    if (s == PL_OK)
        s = job_model(&e->accuracy, spec->accuracy_model);
    if (s == PL_OK)
        s = texts_read(&e->accuracy, &e->texts);
    if (s != PL_OK)
        *d = e->accuracy.d;
    return s;
}

void dse_eval_fini(struct dse_eval *e)
{
    if (!e->spec)
        return;
    job_fini(&e->shapes);
    job_fini(&e->accuracy);
}

/* ---- accuracy ---- */
static enum pl_status measure_accuracy(struct dse_eval *e, const struct pl_arch *formats, double *perplexity, double *kl, struct pl_diag *d)
{
    struct pl_arch arch = e->accuracy.arch; /* its sizes, not the point's: the figure is kept by formats */
    struct pl_nn *nn = NULL, *ref = NULL;
    struct pl_plan plan;
    struct pl_nn_eval sum = {0};
    arch.weight_format = formats->weight_format;
    arch.act_format = formats->act_format;
    arch.kv_format = formats->kv_format;
    arch.vector_format = formats->vector_format;
    PL_TRY(pl_arch_check(&arch, d));
    PL_TRY(pl_map_plan(&arch, &e->accuracy.ck->config, NULL, NULL, NULL, &plan, d));
    enum pl_status s = pl_nn_new(e->accuracy.ck, PL_NN_QUANT, &plan, (uint32_t)e->texts.longest, &nn, d);
    if (s == PL_OK)
        s = pl_nn_new(e->accuracy.ck, PL_NN_F32, NULL, (uint32_t)e->texts.longest, &ref, d);
    for (size_t i = 0; i < e->texts.n_seq && s == PL_OK; i++)
        if (e->texts.seq[i].n > 1)
            s = pl_nn_eval_add(nn, ref, e->texts.seq[i].ids, e->texts.seq[i].n, &sum, d);
    pl_nn_free(nn);
    pl_nn_free(ref);
    if (s == PL_OK) {
        *perplexity = exp(sum.nll / (double)sum.tokens);
        *kl = sum.kl / (double)sum.tokens;
    }
    return s;
}

static void accuracy_key(const struct dse_eval *e, const struct pl_arch *a, char out[384])
{
    char w[48], ac[48], kv[48], v[48];
    pl_format_name(&a->weight_format, w);
    pl_format_name(&a->act_format, ac);
    pl_format_name(&a->kv_format, kv);
    pl_format_name(&a->vector_format, v);
    const char *model = strrchr(e->accuracy.model, '/'), *text = strrchr(e->texts.file, '/');
    snprintf(out, 384, "%.40s %.40s %llu mlen %u blen %u: %s %s %s %s", model ? model + 1 : e->accuracy.model,
             text ? text + 1 : e->texts.file, (unsigned long long)e->spec->accuracy_limit, e->accuracy.arch.mlen, e->accuracy.arch.blen, w, ac, kv,
             v);
}

static enum pl_status cached(struct dse_eval *e, const char *key, const char *what, bool *found, double *v, struct pl_diag *d)
{
    char full[420];
    snprintf(full, sizeof full, "%s %s", what, key);
    *found = false;
    return e->study ? pl_study_cache_get(e->study, full, found, v, d) : PL_OK;
}

static enum pl_status keep(struct dse_eval *e, const char *key, const char *what, double v, struct pl_diag *d)
{
    char full[420];
    snprintf(full, sizeof full, "%s %s", what, key);
    return e->study && !e->keeps_nothing ? pl_study_cache_put(e->study, full, v, d) : PL_OK;
}

static enum pl_status accuracy(struct dse_eval *e, const struct pl_arch *arch, double *value, struct pl_diag *d)
{
    char key[384];
    bool found = false, both = false;
    double p = 0, kl = 0;
    accuracy_key(e, arch, key);
    for (size_t i = 0; i < e->n_known; i++)
        if (!strcmp(e->known[i].key, key)) {
            value[DSE_perplexity] = e->known[i].perplexity;
            value[DSE_kl] = e->known[i].kl;
            return PL_OK;
        }
    PL_TRY(cached(e, key, "perplexity", &found, &p, d));
    PL_TRY(cached(e, key, "kl", &both, &kl, d));
    if (!found || !both) {
        PL_TRY(measure_accuracy(e, arch, &p, &kl, d));
        PL_TRY(keep(e, key, "perplexity", p, d));
        PL_TRY(keep(e, key, "kl", kl, d));
    }
    if (e->n_known < PL_COUNT(e->known)) {
        memcpy(e->known[e->n_known].key, key, sizeof key);
        e->known[e->n_known].perplexity = p;
        e->known[e->n_known++].kl = kl;
    }
    value[DSE_perplexity] = p;
    value[DSE_kl] = kl;
    return PL_OK;
}

/* ---- time and energy ---- */
static void put_times(const struct dse_eval *e, double *value, double ttft_s, double step_s)
{
    value[DSE_ttft_s] = ttft_s;
    value[DSE_step_s] = step_s;
    value[DSE_latency_s] = ttft_s + step_s * (double)e->spec->output;
    value[DSE_tps] = 1 / step_s; /* one sequence after the other: the device's rate */
}

static enum pl_status closed_form(struct dse_eval *e, const struct pl_arch *arch, double *value, struct pl_diag *d)
{
    const struct pl_dse_spec *s = e->spec;
    const struct pl_perf_job job = {s->prompt, s->output, (uint32_t)s->sequences, 64};
    struct pl_perf_time t;
    struct pl_perf_events ev;
    struct pl_perf_energy en;
    PL_TRY(pl_perf_eval(arch, &e->config, &job, &t, d));
    put_times(e, value, t.ttft_s, t.step_s);
    value[DSE_tps] = t.tps;
    value[DSE_hbm_gb] = t.hbm_bytes / 1e9;
    if (!e->want[DSE_energy_j] && !e->want[DSE_power_w])
        return PL_OK;
    /* a second in which array and bus are busy as in decode: the step's products against what the array can do */
    const double context = (double)s->prompt + (double)s->output / 2;
    const double macs = pl_perf_active_params(&e->config) + pl_perf_attention_macs(&e->config, context);
    const double array_share = macs * t.tps / ((double)arch->clock_hz * arch->mlen * arch->blen);
    pl_perf_full_activity(arch, &ev);
    ev.macs *= array_share;
    ev.matrix_read_bits *= array_share;
    ev.vector_read_bits *= array_share;
    ev.quantised_elements *= array_share;
    ev.hbm_read_bits *= t.hbm_share;
    pl_perf_energy(arch, PL_PERF_SYNTHESIS, &ev, arch->clock_hz, &en);
    value[DSE_power_w] = en.watts;
    value[DSE_energy_j] = en.watts * t.step_s;
    return PL_OK;
}

/* Prefill of the prompt, then one decode step at its end, on the timing plane. */
static enum pl_status simulate(struct dse_eval *e, const struct pl_arch *arch, double *value, struct pl_diag *d)
{
    const struct pl_dse_spec *s = e->spec;
    const struct pl_comp_options opt = {.context = (uint32_t)(s->prompt + 1), .no_weights = true};
    const struct pl_sim_options so = {.timing = true};
    struct pl_arena a;
    struct pl_image img;
    struct pl_host *host = NULL;
    pl_arena_init(&a);
    uint32_t *ids = PL_NEW_N(&a, uint32_t, s->prompt);
    enum pl_status st = pl_comp_model(&a, e->shapes.ck, arch, &opt, &img, d);
    if (st == PL_OK)
        st = pl_host_new(arch, &img, &so, &host, d);
    if (st == PL_OK)
        st = pl_host_forward(host, ids, s->prompt, false, NULL, NULL, d);
    if (st == PL_OK) {
        const struct pl_sim_stats *stats = pl_sim_stats(pl_host_sim(host));
        const struct pl_sim_stats before = *stats;
        st = pl_host_forward(host, ids, 1, false, NULL, NULL, d);
        if (st == PL_OK) {
            struct pl_perf_events ev;
            struct pl_perf_energy en;
            const double cyc = (double)(stats->cycles - before.cycles);
#define X(name) ev.name = (double)stats->events.name - (double)before.events.name;
            PL_PERF_EVENT_LIST(X)
#undef X
            pl_perf_energy(arch, PL_PERF_SYNTHESIS, &ev, cyc, &en);
            put_times(e, value, (double)before.cycles / arch->clock_hz, cyc / arch->clock_hz);
            value[DSE_energy_j] = en.total;
            value[DSE_power_w] = en.watts;
            value[DSE_hbm_gb] = ((double)before.events.hbm_read_bits + (double)before.events.hbm_write_bits +
                                 (double)s->output * (ev.hbm_read_bits + ev.hbm_write_bits)) / 8e9;
        }
    }
    pl_host_free(host);
    pl_arena_fini(&a);
    return st;
}

static void memory(const struct dse_eval *e, const struct pl_arch *arch, double *value)
{
    const struct pl_perf_store store = pl_perf_store_of(arch, true);
    const struct pl_perf_split one = {1, 1, 1, 1, 1};
    struct pl_perf_footprint f;
    const double tokens = (double)(e->spec->prompt + e->spec->output);
    pl_perf_footprint(&e->config, &store, &one, (double)e->spec->sequences, tokens, &f);
    value[DSE_memory_gb] = f.total / 1e9;
}

enum pl_status dse_eval_point(struct dse_eval *e, enum pl_dse_fidelity fidelity, const double *x, double *value, struct pl_diag *d)
{
    struct pl_arch arch;
    struct pl_perf_area area;
    for (size_t k = 0; k < DSE_METRICS; k++)
        value[k] = NAN;
    pl_dse_spec_arch(e->spec, x, &arch);
    memory(e, &arch, value);
    PL_TRY(fidelity == PL_DSE_ANALYTIC ? closed_form(e, &arch, value, d) : simulate(e, &arch, value, d));
    pl_perf_area(&arch, PL_PERF_SYNTHESIS, &area);
    value[DSE_area_mm2] = area.total / 1e6;
    enum pl_status s = PL_OK;
#pragma omp critical(dse_accuracy)
    if (wants_accuracy(e)) /* a sweep evaluates on many threads */
        s = accuracy(e, &arch, value, d);
    return s;
}

static size_t metric_of(const char *name)
{
    size_t k = 0;
    while (strcmp(dse_metric_names[k], name) != 0)
        k++;
    return k;
}

bool dse_model_values(const struct pl_dse_spec *s, const double *value, struct pl_dse_trial *t)
{
    bool finite = true;
    t->state = PL_DSE_COMPLETE;
    for (size_t i = 0; i < s->search.m; i++) {
        t->y[i] = pl_dse_modelled(&s->objective[i], value[metric_of(s->objective[i].metric)]);
        finite = finite && isfinite(t->y[i]);
    }
    for (size_t i = 0; i < s->search.n_cap; i++) {
        t->slack[i] = log(value[metric_of(s->cap[i].metric)] / s->cap[i].most); /* the same scale for every cap */
        finite = finite && isfinite(t->slack[i]);
        if (t->slack[i] > 0)
            t->state = PL_DSE_CAPPED;
    }
    return finite;
}

void dse_eval_trial(struct dse_eval *e, struct pl_dse_trial *t, char **metrics, char reason[256], double *seconds)
{
    double value[DSE_METRICS];
    struct pl_diag d = {""};
    const uint64_t start = pl_clock_ns();
    const enum pl_dse_fidelity f = e->spec->fidelity == PL_DSE_ANALYTIC ? PL_DSE_ANALYTIC : PL_DSE_TIMING;
    const enum pl_status s = dse_eval_point(e, f, t->x, value, &d);
    json_t *o = json_object();
    reason[0] = 0;
    for (size_t k = 0; k < DSE_METRICS; k++)
        if (isfinite(value[k]))
            json_object_set_new(o, dse_metric_names[k], json_real(value[k]));
    *metrics = json_dumps(o, 0);
    json_decref(o);
    if (s != PL_OK || !dse_model_values(e->spec, value, t)) {
        t->state = PL_DSE_FAILED;
        memset(t->y, 0, sizeof t->y);
        memset(t->slack, 0, sizeof t->slack);
        snprintf(reason, 256, "%.255s", s != PL_OK ? d.text : "an objective is not a number");
    }
    for (size_t i = 0; i < e->spec->search.n_cap && t->state == PL_DSE_CAPPED; i++)
        if (t->slack[i] > 0 && !reason[0])
            snprintf(reason, 256, "%s exceeds %g", e->spec->cap[i].metric, e->spec->cap[i].most);
    *seconds = (double)(pl_clock_ns() - start) * 1e-9;
}

/* ---- screen ---- */
struct screened {
    uint32_t rank;
    double sum; /* of the objectives, each scaled to its range: near 0 is good in all */
    size_t at;
};

static int by_rank(const void *pa, const void *pb)
{
    const struct screened *a = pa, *b = pb;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->sum != b->sum ? (a->sum < b->sum ? -1 : 1) : a->at < b->at ? -1 : a->at > b->at;
}

static void sort_screened(const double *y, size_t n, size_t m, struct screened *order)
{
    uint32_t *rank = calloc(n ? n : 1, sizeof *rank);
    if (!rank)
        abort();
    pl_pareto_ranks(y, n, m, rank);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct screened){rank[i], 0, i};
    for (size_t k = 0; k < m; k++) {
        double lo = INFINITY, hi = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            lo = fmin(lo, y[i * m + k]);
            hi = fmax(hi, y[i * m + k]);
        }
        for (size_t i = 0; i < n && hi > lo; i++)
            order[i].sum += (y[i * m + k] - lo) / (hi - lo);
    }
    qsort(order, n, sizeof *order, by_rank);
    free(rank);
}

enum pl_status dse_screen(struct dse_eval *e, struct pl_arena *a, struct pl_diag *d)
{
    struct pl_dse_search *s = &e->spec->search;
    const size_t want = (size_t)(e->spec->screen * e->spec->trials);
    double (*x)[PL_DSE_PARAMS] = pl_alloc_n(a, want, sizeof *x), *y = PL_NEW_N(a, double, want * s->m);
    struct screened *order = PL_NEW_N(a, struct screened, want);
    struct pl_dse_search pool = *s;
    struct pl_dse_sampler *sampler;
    struct pl_dse_trial *t = PL_NEW_N(a, struct pl_dse_trial, want);
    size_t n = 0;
    bool exhausted = false;
    enum pl_status st = PL_OK;
    pool.sampler = PL_DSE_RANDOM;
    pl_dse_sampler_new(&pool, &sampler);
    for (size_t i = 0; i < want && !exhausted && st == PL_OK; i++) {
        double value[DSE_METRICS];
        struct pl_diag why;
        st = pl_dse_propose(sampler, t, n, i, t[n].x, NULL, &exhausted, d);
        if (st != PL_OK || exhausted || dse_eval_point(e, PL_DSE_ANALYTIC, t[n].x, value, &why) != PL_OK ||
            !dse_model_values(e->spec, value, &t[n]) || t[n].state != PL_DSE_COMPLETE)
            continue;
        memcpy(y + n * s->m, t[n].y, s->m * sizeof *y);
        t[n].number = i;
        n++;
    }
    pl_dse_sampler_free(sampler);
    PL_TRY(st);
    sort_screened(y, n, s->m, order);
    for (size_t i = 0; i < n; i++)
        memcpy(x[i], t[order[i].at].x, sizeof x[i]);
    s->fixed = (const double(*)[PL_DSE_PARAMS])x;
    s->n_fixed = n < e->spec->trials ? n : e->spec->trials;
    return n ? PL_OK : pl_fail(d, PL_ERANGE, "study %s: the closed form can evaluate none of %zu points", e->spec->name, want);
}
