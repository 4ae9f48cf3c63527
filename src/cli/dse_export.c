/* dse_export.c - plena dse export: trials as CSV or JSON; Pareto fronts, attainment, history as one HTML page. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dse.h"
#include "plena/report.h"

enum { MOST_STUDIES = 64 };

struct loaded {
    struct dse s;
    struct pl_study_trial *t;
    size_t n, n_done; /* complete */
    double *y;        /* [n_done][m] as modelled */
    size_t *at;       /* [n_done] trial */
};
struct export {
    struct pl_arena arena;
    struct pl_diag d;
    struct loaded *of;
    size_t n, m;
    double ref[PL_DSE_OBJECTIVES];
    bool has_ref;
    size_t group[MOST_STUDIES], n_group; /* studies of one sampler */
    const char *group_name[PL_DSE_SAMPLERS];
};
static const char *const colours[] = {"#1f5fbf", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#555555"};

static enum pl_status load(struct export *e, const char *path, struct loaded *l)
{
    pl_arena_init(&l->s.arena);
    const enum pl_status st = dse_open(&l->s, path, &l->t, &l->n);
    if (st != PL_OK) {
        e->d = l->s.d;
        return st;
    }
    const size_t m = l->s.spec.search.m;
    l->y = PL_NEW_N(&e->arena, double, l->n * m + 1);
    l->at = PL_NEW_N(&e->arena, size_t, l->n + 1);
    for (size_t i = 0; i < l->n; i++)
        if (l->t[i].t.state == PL_DSE_COMPLETE) {
            memcpy(l->y + l->n_done * m, l->t[i].t.y, m * sizeof *l->y);
            l->at[l->n_done++] = i;
        }
    return PL_OK;
}

/* The sampler that ran, from the line dse run adds. */
static const char *sampler_of(struct export *e, const struct loaded *l)
{
    const char *line = strstr(l->s.spec.text, "# as run: sampler ");
    return line ? pl_arena_strndup(&e->arena, line + 18, strcspn(line + 18, ",\n")) : pl_dse_sampler_name(l->s.spec.search.sampler);
}

/* One reference point for all: the file's, or 10 % beyond the worst of all studies' trials. */
static void common_reference(struct export *e)
{
    double lo[PL_DSE_OBJECTIVES], hi[PL_DSE_OBJECTIVES];
    for (size_t k = 0; k < e->m; k++) {
        lo[k] = INFINITY;
        hi[k] = -INFINITY;
        for (size_t i = 0; i < e->n; i++)
            for (size_t j = 0; j < e->of[i].n_done; j++) {
                lo[k] = fmin(lo[k], e->of[i].y[j * e->m + k]);
                hi[k] = fmax(hi[k], e->of[i].y[j * e->m + k]);
            }
        e->ref[k] = e->of[0].s.spec.search.has_ref ? e->of[0].s.spec.search.ref[k] : hi[k] + 0.1 * (hi[k] > lo[k] ? hi[k] - lo[k] : 1);
    }
}

static enum pl_status load_all(struct export *e, const char *const *paths)
{
    e->of = PL_NEW_N(&e->arena, struct loaded, e->n);
    const size_t n = e->n;
    for (e->n = 0; e->n < n;) {
        e->n++; /* counted before it is loaded: to be released either way */
        PL_TRY(load(e, paths[e->n - 1], &e->of[e->n - 1]));
    }
    e->m = e->of[0].s.spec.search.m;
    for (size_t i = 0; i < n; i++) {
        const char *name = sampler_of(e, &e->of[i]);
        if (e->of[i].s.spec.search.m != e->m)
            return pl_fail(&e->d, PL_EUSAGE, "%s and %s have different objectives", paths[0], paths[i]);
        for (size_t k = 0; k < e->m; k++)
            if (strcmp(e->of[i].s.spec.objective[k].metric, e->of[0].s.spec.objective[k].metric) != 0)
                return pl_fail(&e->d, PL_EUSAGE, "%s and %s have different objectives", paths[0], paths[i]);
        size_t g = 0;
        while (g < e->n_group && strcmp(e->group_name[g], name) != 0)
            g++;
        if (g == e->n_group)
            e->group_name[e->n_group++] = name;
        e->group[i] = g;
    }
    common_reference(e);
    return PL_OK;
}

/* ---- CSV, JSON ---- */
static void put_csv(struct export *e, struct pl_buf *b)
{
    const struct pl_dse_spec *s = &e->of[0].s.spec;
    static const char *const state[] = {"running", "complete", "over_cap", "failed"};
    pl_buf_puts(b, "study,trial,state");
    for (size_t k = 0; k < s->space.n; k++)
        pl_buf_printf(b, ",%s", s->space.p[k].name);
    for (size_t k = 0; k < e->m; k++)
        pl_buf_printf(b, ",%s", s->objective[k].metric);
    pl_buf_puts(b, "\n");
    for (size_t i = 0; i < e->n; i++)
        for (size_t j = 0; j < e->of[i].n; j++) {
            const struct pl_study_trial *t = &e->of[i].t[j];
            const bool has = t->t.state == PL_DSE_COMPLETE || t->t.state == PL_DSE_CAPPED;
            pl_buf_printf(b, "%s,%llu,%s", e->of[i].s.path, (unsigned long long)t->t.number, state[t->t.state]);
            for (size_t k = 0; k < s->space.n; k++) {
                char v[48];
                pl_dse_spec_value(&e->of[i].s.spec.space, k, t->t.x, v);
                pl_buf_printf(b, ",%s", v);
            }
            for (size_t k = 0; k < e->m; k++) {
                pl_buf_puts(b, ",");
                if (has)
                    pl_buf_printf(b, "%.17g", pl_dse_metric(&s->objective[k], t->t.y[k]));
            }
            pl_buf_puts(b, "\n");
        }
}

static json_t *as_json(const struct export *e)
{
    json_t *o = cli_result("plena.dse.export/1", NULL), *studies = json_array();
    for (size_t i = 0; i < e->n; i++) {
        const struct loaded *l = &e->of[i];
        json_t *trials = json_array();
        for (size_t j = 0; j < l->n; j++) {
            const struct pl_study_trial *t = &l->t[j];
            json_t *x = json_pack("{s:i, s:i, s:o*, s:o*, s:o*}", "number", (int)t->t.number, "state", (int)t->t.state, "setting",
                                  t->setting ? json_loads(t->setting, 0, NULL) : NULL, "metrics",
                                  t->metrics ? json_loads(t->metrics, 0, NULL) : NULL, "rejected",
                                  t->rejected ? json_loads(t->rejected, 0, NULL) : NULL);
            if (t->reason)
                json_object_set_new(x, "reason", cli_text_json(t->reason, strlen(t->reason)));
            json_array_append_new(trials, x);
        }
        json_array_append_new(studies, json_pack("{s:s, s:s, s:s, s:o}", "file", l->s.path, "name", l->s.spec.name, "text", l->s.spec.text,
                                                 "trials", trials));
    }
    json_object_set_new(o, "studies", studies);
    return o;
}

/* ---- pictures ---- */
static const char *label(struct export *e, size_t k)
{
    const struct pl_dse_objective *o = &e->of[0].s.spec.objective[k];
    return pl_arena_printf(&e->arena, "%s%s%s", o->metric, o->log ? " (log)" : "", o->maximise ? ", more is better" : "");
}

static double metric_at(const struct export *e, const struct loaded *l, size_t done, size_t k)
{
    return pl_dse_metric(&e->of[0].s.spec.objective[k], l->y[done * e->m + k]);
}

/* All complete trials in two objectives, and the Pareto steps of both of each group. */
static void put_pair(struct export *e, size_t a, size_t b, struct pl_buf *out)
{
    struct pl_plot_series *s = PL_NEW_N(&e->arena, struct pl_plot_series, 2 * e->n_group);
    for (size_t g = 0; g < e->n_group; g++) {
        size_t n = 0, most = 0;
        for (size_t i = 0; i < e->n; i++)
            most += e->group[i] == g ? e->of[i].n_done : 0;
        double *x = PL_NEW_N(&e->arena, double, most + 1), *y = PL_NEW_N(&e->arena, double, most + 1);
        double *pair = PL_NEW_N(&e->arena, double, 2 * most + 1), *fx = PL_NEW_N(&e->arena, double, most + 1),
               *fy = PL_NEW_N(&e->arena, double, most + 1);
        for (size_t i = 0; i < e->n; i++)
            for (size_t j = 0; e->group[i] == g && j < e->of[i].n_done; j++, n++) {
                x[n] = metric_at(e, &e->of[i], j, a);
                y[n] = metric_at(e, &e->of[i], j, b);
                pair[2 * n] = e->of[i].y[j * e->m + a];
                pair[2 * n + 1] = e->of[i].y[j * e->m + b];
            }
        const size_t one[2] = {0, n};
        double *front = PL_NEW_N(&e->arena, double, 2 * n + 1);
        const size_t nf = pl_attainment(pair, one, 1, 1, front);
        for (size_t i = 0; i < nf; i++) {
            fx[i] = pl_dse_metric(&e->of[0].s.spec.objective[a], front[2 * i]);
            fy[i] = pl_dse_metric(&e->of[0].s.spec.objective[b], front[2 * i + 1]);
        }
        s[2 * g] = (struct pl_plot_series){e->group_name[g], colours[g % PL_COUNT(colours)], n, x, y, NULL, PL_PLOT_POINTS};
        s[2 * g + 1] = (struct pl_plot_series){NULL, colours[g % PL_COUNT(colours)], nf, fx, fy, NULL, PL_PLOT_STEPS};
    }
    const struct pl_plot p = {.title = "Trials and their Pareto front", .x_label = label(e, a), .y_label = label(e, b),
                              .log_x = e->of[0].s.spec.objective[a].log, .log_y = e->of[0].s.spec.objective[b].log,
                              .n = 2 * e->n_group, .series = s};
    pl_plot_svg(&p, out);
}

/* Surfaces that a quarter, half and three quarters of a group's runs attain. */
static void put_attainment(struct export *e, size_t a, size_t b, struct pl_buf *out)
{
    struct pl_plot_series *s = PL_NEW_N(&e->arena, struct pl_plot_series, 3 * e->n_group);
    size_t n_series = 0;
    for (size_t g = 0; g < e->n_group; g++) {
        size_t runs = 0, n = 0, most = 0, *first = PL_NEW_N(&e->arena, size_t, e->n + 1);
        for (size_t i = 0; i < e->n; i++)
            most += e->of[i].n_done;
        double *pair = PL_NEW_N(&e->arena, double, 2 * most + 1);
        for (size_t i = 0; i < e->n; i++) {
            if (e->group[i] != g)
                continue;
            first[runs++] = n;
            for (size_t j = 0; j < e->of[i].n_done; j++, n++) {
                pair[2 * n] = e->of[i].y[j * e->m + a];
                pair[2 * n + 1] = e->of[i].y[j * e->m + b];
            }
        }
        first[runs] = n;
        for (unsigned q = 1; q <= 3; q++) {
            const size_t need = (q * runs + 3) / 4;
            double *surface = PL_NEW_N(&e->arena, double, 2 * n + 1), *x = PL_NEW_N(&e->arena, double, n + 1),
                   *y = PL_NEW_N(&e->arena, double, n + 1);
            const size_t nf = pl_attainment(pair, first, runs, need ? need : 1, surface);
            for (size_t i = 0; i < nf; i++) {
                x[i] = pl_dse_metric(&e->of[0].s.spec.objective[a], surface[2 * i]);
                y[i] = pl_dse_metric(&e->of[0].s.spec.objective[b], surface[2 * i + 1]);
            }
            s[n_series++] = (struct pl_plot_series){q == 2 ? e->group_name[g] : NULL, colours[g % PL_COUNT(colours)], nf, x, y, NULL,
                                                    PL_PLOT_STEPS};
        }
    }
    const struct pl_plot p = {.title = "Attained by 25, 50 and 75 % of the runs", .x_label = label(e, a), .y_label = label(e, b),
                              .log_x = e->of[0].s.spec.objective[a].log, .log_y = e->of[0].s.spec.objective[b].log, .n = n_series,
                              .series = s};
    pl_plot_svg(&p, out);
}

static int by_value(const void *pa, const void *pb)
{
    const double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

/* Hypervolume after each trial: median and quartiles over the runs of a group. */
static void put_history(struct export *e, struct pl_buf *out, double *final_median)
{
    struct pl_plot_series *s = PL_NEW_N(&e->arena, struct pl_plot_series, 2 * e->n_group);
    for (size_t g = 0; g < e->n_group; g++) {
        size_t longest = 0;
        for (size_t i = 0; i < e->n; i++)
            longest = e->group[i] == g && e->of[i].n_done > longest ? e->of[i].n_done : longest;
        double *x = PL_NEW_N(&e->arena, double, longest + 1), *low = PL_NEW_N(&e->arena, double, longest + 1),
               *mid = PL_NEW_N(&e->arena, double, longest + 1), *high = PL_NEW_N(&e->arena, double, longest + 1);
        for (size_t k = 0; k < longest; k++) {
            double v[MOST_STUDIES];
            size_t runs = 0;
            for (size_t i = 0; i < e->n; i++)
                if (e->group[i] == g)
                    v[runs++] = pl_hypervolume(e->of[i].y, k < e->of[i].n_done ? k + 1 : e->of[i].n_done, e->m, e->ref);
            qsort(v, runs, sizeof *v, by_value);
            x[k] = (double)k + 1;
            low[k] = v[(runs - 1) / 4];
            mid[k] = runs & 1 ? v[runs / 2] : 0.5 * (v[runs / 2 - 1] + v[runs / 2]);
            high[k] = v[runs - 1 - (runs - 1) / 4];
        }
        final_median[g] = longest ? mid[longest - 1] : 0;
        s[2 * g] = (struct pl_plot_series){NULL, colours[g % PL_COUNT(colours)], longest, x, low, high, PL_PLOT_BAND};
        s[2 * g + 1] = (struct pl_plot_series){e->group_name[g], colours[g % PL_COUNT(colours)], longest, x, mid, NULL, PL_PLOT_LINE};
    }
    const struct pl_plot p = {.title = "Hypervolume: median and quartiles of the runs", .x_label = "complete trials",
                              .y_label = "hypervolume", .n = 2 * e->n_group, .series = s};
    pl_plot_svg(&p, out);
}

/* Three objectives as a cube seen along its diagonal. */
static void put_cube(struct export *e, struct pl_buf *out)
{
    static const double edge[] = {0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1,
                                  1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1};
    enum { EDGES = sizeof edge / sizeof *edge / 3 };
    double *ex = PL_NEW_N(&e->arena, double, EDGES), *ey = PL_NEW_N(&e->arena, double, EDGES), lo[3], hi[3];
    struct pl_plot_series *s = PL_NEW_N(&e->arena, struct pl_plot_series, e->n_group + 1);
    for (size_t k = 0; k < EDGES; k++) {
        ex[k] = 0.866 * (edge[3 * k] - edge[3 * k + 1]);
        ey[k] = edge[3 * k + 2] + 0.5 * (edge[3 * k] + edge[3 * k + 1]);
    }
    s[0] = (struct pl_plot_series){NULL, "#bbbbbb", EDGES, ex, ey, NULL, PL_PLOT_LINE};
    for (size_t k = 0; k < 3; k++) {
        lo[k] = INFINITY;
        hi[k] = -INFINITY;
        for (size_t i = 0; i < e->n; i++)
            for (size_t j = 0; j < e->of[i].n_done; j++) {
                lo[k] = fmin(lo[k], e->of[i].y[j * e->m + k]);
                hi[k] = fmax(hi[k], e->of[i].y[j * e->m + k]);
            }
        hi[k] = hi[k] > lo[k] ? hi[k] : lo[k] + 1;
    }
    for (size_t g = 0; g < e->n_group; g++) {
        size_t n = 0, most = 0;
        for (size_t i = 0; i < e->n; i++)
            most += e->of[i].n_done;
        double *x = PL_NEW_N(&e->arena, double, most + 1), *y = PL_NEW_N(&e->arena, double, most + 1);
        size_t *front = PL_NEW_N(&e->arena, size_t, most + 1);
        for (size_t i = 0; i < e->n; i++) {
            const size_t nf = e->group[i] == g ? pl_pareto(e->of[i].y, e->of[i].n_done, e->m, front) : 0;
            for (size_t j = 0; j < nf; j++, n++) {
                double u[3];
                for (size_t k = 0; k < 3; k++)
                    u[k] = (e->of[i].y[front[j] * e->m + k] - lo[k]) / (hi[k] - lo[k]);
                x[n] = 0.866 * (u[0] - u[1]);
                y[n] = u[2] + 0.5 * (u[0] + u[1]);
            }
        }
        s[g + 1] = (struct pl_plot_series){e->group_name[g], colours[g % PL_COUNT(colours)], n, x, y, NULL, PL_PLOT_POINTS};
    }
    const struct pl_plot p = {.title = "Pareto sets in three objectives", .bare = true, .n = e->n_group + 1, .series = s, .y_label = "",
                              .x_label = pl_arena_printf(&e->arena, "right: %s, left: %s, up: %s; best at the bottom corner", label(e, 0),
                                                         label(e, 1), label(e, 2))};
    pl_plot_svg(&p, out);
}

static void put_importance(struct export *e, struct pl_buf *out)
{
    const struct loaded *l = &e->of[0];
    const struct pl_dse_spec *s = &l->s.spec;
    struct pl_dse_trial *t = PL_NEW_N(&e->arena, struct pl_dse_trial, l->n + 1);
    double share[PL_DSE_OBJECTIVES][PL_DSE_PARAMS];
    for (size_t i = 0; i < l->n; i++)
        t[i] = l->t[i].t;
    for (size_t k = 0; k < e->m; k++)
        if (pl_dse_importance(&s->search, t, l->n, k, share[k], NULL) != PL_OK)
            return;
    pl_buf_puts(out, "<h2>Main effects of the parameters (first study)</h2><table><tr><th>parameter</th>");
    for (size_t k = 0; k < e->m; k++)
        pl_buf_printf(out, "<th>%s</th>", s->objective[k].metric);
    for (size_t p = 0; p < s->space.n; p++) {
        pl_buf_printf(out, "</tr>\n<tr><td>%s</td>", s->space.p[p].name);
        for (size_t k = 0; k < e->m; k++)
            pl_buf_printf(out, "<td>%.1f %%</td>", 100 * share[k][p]);
    }
    pl_buf_puts(out, "</tr></table>\n");
}

static void put_best(struct export *e, struct pl_buf *out)
{
    const struct loaded *l = &e->of[0];
    size_t *front = PL_NEW_N(&e->arena, size_t, l->n_done + 1), nf = pl_pareto(l->y, l->n_done, e->m, front);
    pl_buf_puts(out, "<h2>Pareto set (first study)</h2><table><tr><th>trial</th>");
    for (size_t k = 0; k < e->m; k++)
        pl_buf_printf(out, "<th>%s</th>", l->s.spec.objective[k].metric);
    for (size_t k = 0; k < l->s.spec.space.n; k++)
        pl_buf_printf(out, "<th>%s</th>", l->s.spec.space.p[k].name);
    for (size_t i = 0; i < nf; i++) {
        const struct pl_study_trial *t = &l->t[l->at[front[i]]];
        pl_buf_printf(out, "</tr>\n<tr><td>%llu</td>", (unsigned long long)t->t.number);
        for (size_t k = 0; k < e->m; k++)
            pl_buf_printf(out, "<td>%.5g</td>", metric_at(e, l, front[i], k));
        for (size_t k = 0; k < l->s.spec.space.n; k++) {
            char v[48];
            pl_dse_spec_value(&l->s.spec.space, k, t->t.x, v);
            pl_buf_printf(out, "<td>%s</td>", v);
        }
    }
    pl_buf_puts(out, "</tr></table>\n");
}

static void escape(struct pl_buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            pl_buf_puts(b, "&lt;");
        else if (*s == '&')
            pl_buf_puts(b, "&amp;");
        else
            pl_buf_put(b, s, 1);
    }
}

static void put_html(struct export *e, struct pl_buf *b)
{
    double median[PL_DSE_SAMPLERS] = {0};
    pl_buf_puts(b, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>plena dse</title>\n<style>body{font:14px sans-serif;"
                   "max-width:1340px;margin:2em auto}table{border-collapse:collapse}td,th{padding:2px 8px;border-bottom:1px solid #ddd;"
                   "text-align:right}svg{border:1px solid #eee;margin:4px}pre{background:#f6f6f6;padding:1em}</style>\n<h1>");
    escape(b, e->of[0].s.spec.name);
    pl_buf_printf(b, "</h1><p>%zu studies, plena %s</p>\n", e->n, PL_VERSION);
    put_history(e, b, median);
    for (size_t i = 0; i < e->m; i++)
        for (size_t k = i + 1; k < e->m; k++) {
            put_pair(e, i, k, b);
            put_attainment(e, i, k, b);
        }
    if (e->m >= 3)
        put_cube(e, b);
    pl_buf_puts(b, "<h2>Median hypervolume at the end</h2><table>");
    for (size_t g = 0; g < e->n_group; g++)
        pl_buf_printf(b, "<tr><td>%s</td><td>%.6g</td></tr>", e->group_name[g], median[g]);
    pl_buf_puts(b, "</table>\n");
    put_best(e, b);
    put_importance(e, b);
    pl_buf_puts(b, "<h2>Study file</h2><pre>");
    escape(b, e->of[0].s.spec.text);
    pl_buf_puts(b, "</pre></html>\n");
}

static enum pl_status write_buf(struct export *e, const char *path, void (*fill)(struct export *, struct pl_buf *))
{
    struct pl_buf b;
    pl_buf_init(&b);
    fill(e, &b);
    const enum pl_status s = pl_file_write(path, b.data, b.len, &e->d);
    pl_buf_fini(&b);
    return s;
}

/* Final hypervolume of each group, to stdout. */
static void print_medians(struct export *e)
{
    struct pl_buf b;
    double median[PL_DSE_SAMPLERS] = {0};
    pl_buf_init(&b);
    put_history(e, &b, median);
    pl_buf_fini(&b);
    for (size_t g = 0; g < e->n_group; g++) {
        size_t runs = 0;
        for (size_t i = 0; i < e->n; i++)
            runs += e->group[i] == g;
        printf("%-12s %2zu studies, median hypervolume %.6g\n", e->group_name[g], runs, median[g]);
    }
}

int dse_export(const struct verb *v, int argc, char **argv)
{
    struct export e = {0};
    const char *csv = NULL, *json = NULL, *html = NULL, *pos[MOST_STUDIES];
    pl_arena_init(&e.arena);
    const struct opt opts[] = {
        {"csv", OPT_TEXT, &csv, "FILE", "trials, one a line"},
        {"to-json", OPT_TEXT, &json, "FILE", "trials with all metrics and rejections"},
        {"html", OPT_TEXT, &html, "FILE", "one page with all pictures inside"},
    };
    int rc = cli_options(v, argc, argv, opts, PL_COUNT(opts), pos, MOST_STUDIES, &e.n);
    if (rc < 0 && !e.n)
        rc = cli_usage(v, "FILE.db is missing");
    if (rc < 0) {
        const size_t n = e.n;
        enum pl_status s = load_all(&e, pos);
        if (s == PL_OK && csv)
            s = write_buf(&e, csv, put_csv);
        if (s == PL_OK && json)
            s = cli_write_json(json, as_json(&e), &e.d);
        if (s == PL_OK && html)
            s = write_buf(&e, html, put_html);
        if (s == PL_OK)
            print_medians(&e);
        rc = s == PL_OK ? 0 : cli_fail(s, &e.d);
        for (size_t i = 0; i < e.n && i < n && e.of; i++)
            dse_fini(&e.of[i].s);
    }
    pl_arena_fini(&e.arena);
    return rc;
}
