/* dse.c - plena dse: which subcommand; studies listed, shown, their best points. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dse.h"
#include "plena/report.h"

static const struct verb subs[] = {
    {"dse run", "STUDY.yaml [-o FILE.db]", "work on a study until its trials are done; several processes may", dse_run},
    {"dse ls", "FILE.db ...", "one line for each study", dse_ls},
    {"dse show", "FILE.db", "trials, rejections, hypervolume, importance of the parameters", dse_show},
    {"dse best", "FILE.db", "the Pareto set", dse_best},
    {"dse export", "FILE.db ...", "CSV, JSON, or one HTML page with all pictures", dse_export},
    {"dse sweep", "STUDY.yaml", "every point of the space in closed form, to its Pareto set", dse_sweep},
};

int cmd_dse(const struct verb *v, int argc, char **argv)
{
    const char *names[PL_COUNT(subs)];
    const bool help = argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
    for (size_t i = 0; i < PL_COUNT(subs); i++) {
        names[i] = subs[i].name + 4;
        if (!help && !strcmp(argv[1], names[i]))
            return subs[i].run(&subs[i], argc - 1, argv + 1);
    }
    if (!help) {
        const char *near = pl_nearest(argv[1], names, PL_COUNT(names));
        return cli_usage(v, "no subcommand \"%s\"%s%s%s", argv[1], near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    printf("usage: plena dse %s\n%s\n\n", v->args, v->doc);
    for (size_t i = 0; i < PL_COUNT(subs); i++)
        printf("  %-11s %-24s %s\n", subs[i].name, subs[i].args, subs[i].doc);
    printf("\nMetrics of objectives and caps:\n");
#define X(name, unit, doc) printf("  %-11s %-9s %s\n", #name, unit, doc);
    DSE_METRIC_LIST(X)
#undef X
    printf("\nSamplers:\n");
#define X(name, text, doc) printf("  %-11s %s\n", text, doc);
    PL_DSE_SAMPLER_LIST(X)
#undef X
    for (size_t i = 0; i < PL_COUNT(subs); i++) {
        char word[] = "dse", flag[] = "--help";
        char *args[] = {word, flag, NULL};
        printf("\n");
        (void)subs[i].run(&subs[i], 2, args);
    }
    return argc < 2 ? 2 : 0;
}

enum pl_status dse_open(struct dse *s, const char *path, struct pl_study_trial **t, size_t *n)
{
    s->path = path;
    PL_TRY(pl_study_open_read(path, &s->study, &s->d));
    const char *text = pl_study_text(s->study);
    const struct pl_source src = {path, text, strlen(text)};
    PL_TRY(pl_dse_spec_parse(&s->arena, &src, dse_metric_names, &s->spec, &s->d));
    return pl_study_read(s->study, &s->arena, t, n, &s->d);
}

static const char *const state_name[] = {"running", "complete", "over a cap", "failed"};

static struct pl_dse_trial *bare(struct dse *s, const struct pl_study_trial *t, size_t n)
{
    struct pl_dse_trial *all = PL_NEW_N(&s->arena, struct pl_dse_trial, n + 1);
    for (size_t i = 0; i < n; i++)
        all[i] = t[i].t;
    return all;
}

/* Line "# as run: ..." that dse run adds to the text. */
static const char *as_run(const struct dse *s)
{
    const char *line = strstr(s->spec.text, "# as run: ");
    return line ? line + 10 : "\n";
}

int dse_ls(const struct verb *v, int argc, char **argv)
{
    const char *pos[256];
    size_t n_pos;
    int rc = cli_options(v, argc, argv, NULL, 0, pos, PL_COUNT(pos), &n_pos);
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "FILE.db is missing");
    if (rc >= 0)
        return rc;
    rc = 0;
    for (size_t i = 0; i < n_pos; i++) {
        struct dse s = {0};
        struct pl_study_trial *t;
        size_t n, complete = 0, running = 0;
        double ref[PL_DSE_OBJECTIVES];
        pl_arena_init(&s.arena);
        const enum pl_status st = dse_open(&s, pos[i], &t, &n);
        for (size_t k = 0; k < n && st == PL_OK; k++) {
            complete += t[k].t.state == PL_DSE_COMPLETE;
            running += t[k].t.state == PL_DSE_RUNNING;
        }
        if (st != PL_OK) {
            rc = cli_fail(st, &s.d);
        } else {
            const struct pl_dse_trial *all = bare(&s, t, n);
            printf("%s: %s, %zu trials (%zu complete, %zu running), %.*s", pos[i], s.spec.name, n, complete, running,
                   (int)strcspn(as_run(&s), "\n"), as_run(&s));
            if (pl_dse_reference(&s.spec.search, all, n, ref))
                printf(", hypervolume %.6g", pl_dse_volume(all, n, s.spec.search.m, ref));
            printf("\n");
        }
        dse_fini(&s);
    }
    return rc;
}

/* ---- tables ---- */
static void heads(const struct dse *s, struct pl_buf *b)
{
    for (size_t k = 0; k < s->spec.search.m; k++)
        pl_buf_printf(b, "|%s", s->spec.objective[k].metric);
    pl_buf_puts(b, "|<setting");
}

static void row(const struct dse *s, struct pl_table *out, const struct pl_study_trial *t, bool with_state)
{
    struct pl_buf b;
    pl_buf_init(&b);
    pl_buf_printf(&b, "%llu", (unsigned long long)t->t.number);
    if (with_state)
        pl_buf_printf(&b, "|%s", state_name[t->t.state]);
    for (size_t k = 0; k < s->spec.search.m; k++) {
        if (t->t.state == PL_DSE_COMPLETE || t->t.state == PL_DSE_CAPPED)
            pl_buf_printf(&b, "|%.5g", pl_dse_metric(&s->spec.objective[k], t->t.y[k]));
        else
            pl_buf_puts(&b, "|");
    }
    pl_buf_puts(&b, "|");
    for (size_t k = 0; k < s->spec.space.n; k++) {
        char v[48];
        pl_dse_spec_value(&s->spec.space, k, t->t.x, v);
        pl_buf_printf(&b, "%s%s=%s", k ? " " : "", s->spec.space.p[k].name, v);
    }
    if (with_state && t->reason)
        pl_buf_printf(&b, "  (%s)", t->reason);
    pl_table_row(out, "%s", b.data);
    pl_buf_fini(&b);
}

static void print_table(struct pl_table *t)
{
    struct pl_buf b;
    pl_buf_init(&b);
    pl_table_text(t, &b);
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    pl_table_fini(t);
}

/* Rejections on the way to all proposals, summed by rule. */
static void print_rejections(const struct pl_study_trial *t, size_t n)
{
    json_t *sum = json_object();
    for (size_t i = 0; i < n; i++) {
        json_t *o = t[i].rejected ? json_loads(t[i].rejected, 0, NULL) : NULL, *v;
        const char *key;
        json_object_foreach(o, key, v)
        {
            const json_int_t was = json_integer_value(json_object_get(sum, key));
            json_object_set_new(sum, key, json_integer(was + json_integer_value(v)));
        }
        json_decref(o);
    }
    const char *key;
    json_t *v;
    if (json_object_size(sum))
        printf("\npoints rejected before evaluation, by rule:\n");
    json_object_foreach(sum, key, v) printf("  %8lld  %s\n", (long long)json_integer_value(v), key);
    json_decref(sum);
}

static void print_importance(struct dse *s, const struct pl_dse_trial *t, size_t n)
{
    struct pl_table out;
    struct pl_buf b;
    double share[PL_DSE_OBJECTIVES][PL_DSE_PARAMS];
    struct pl_diag d;
    for (size_t k = 0; k < s->spec.search.m; k++)
        if (pl_dse_importance(&s->spec.search, t, n, k, share[k], &d) != PL_OK)
            return;
    printf("\nshare of each parameter in the main effects:\n");
    pl_buf_init(&b);
    pl_buf_puts(&b, "<parameter");
    for (size_t k = 0; k < s->spec.search.m; k++)
        pl_buf_printf(&b, "|%s", s->spec.objective[k].metric);
    pl_table_init(&out, &s->arena, pl_arena_strdup(&s->arena, b.data));
    for (size_t p = 0; p < s->spec.space.n; p++) {
        b.len = 0;
        pl_buf_printf(&b, "%s", s->spec.space.p[p].name);
        for (size_t k = 0; k < s->spec.search.m; k++)
            pl_buf_printf(&b, "|%.1f %%", 100 * share[k][p]);
        pl_table_row(&out, "%s", b.data);
    }
    pl_buf_fini(&b);
    print_table(&out);
}

static enum pl_status show(struct dse *s, const char *path, bool best_only)
{
    struct pl_study_trial *t;
    struct pl_table out;
    struct pl_buf b;
    size_t n, n_complete = 0;
    double ref[PL_DSE_OBJECTIVES];
    PL_TRY(dse_open(s, path, &t, &n));
    const size_t m = s->spec.search.m;
    const struct pl_dse_trial *all = bare(s, t, n);
    double *y = PL_NEW_N(&s->arena, double, n * m + 1);
    size_t *at = PL_NEW_N(&s->arena, size_t, n + 1), *front = PL_NEW_N(&s->arena, size_t, n + 1);
    for (size_t i = 0; i < n; i++)
        if (t[i].t.state == PL_DSE_COMPLETE) {
            memcpy(y + n_complete * m, t[i].t.y, m * sizeof *y);
            at[n_complete++] = i;
        }
    const size_t nf = pl_pareto(y, n_complete, m, front);
    pl_buf_init(&b);
    pl_buf_puts(&b, best_only ? "trial" : "trial|<state");
    heads(s, &b);
    pl_table_init(&out, &s->arena, pl_arena_strdup(&s->arena, b.data));
    pl_buf_fini(&b);
    for (size_t i = 0; i < (best_only ? nf : n); i++)
        row(s, &out, best_only ? &t[at[front[i]]] : &t[i], !best_only);
    print_table(&out);
    printf("\n%s: %zu trials, Pareto set of %zu", s->spec.name, n, nf);
    if (pl_dse_reference(&s->spec.search, all, n, ref))
        printf(", hypervolume %.6g", pl_hypervolume(y, n_complete, m, ref));
    printf("\n");
    if (!best_only) {
        print_rejections(t, n);
        print_importance(s, all, n);
    }
    return PL_OK;
}

static int show_one(const struct verb *v, int argc, char **argv, bool best_only)
{
    struct dse s = {0};
    const char *pos[1];
    size_t n_pos;
    pl_arena_init(&s.arena);
    int rc = cli_options(v, argc, argv, NULL, 0, pos, 1, &n_pos);
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "FILE.db is missing");
    if (rc < 0) {
        const enum pl_status st = show(&s, pos[0], best_only);
        rc = st == PL_OK ? 0 : cli_fail(st, &s.d);
    }
    dse_fini(&s);
    return rc;
}

int dse_show(const struct verb *v, int argc, char **argv)
{
    return show_one(v, argc, argv, false);
}

int dse_best(const struct verb *v, int argc, char **argv)
{
    return show_one(v, argc, argv, true);
}
