/* compare.c - plena compare: systems side by side on one model and workload, each reading labelled. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

struct compare {
    struct job j;
    const char *systems, *csv;
    uint64_t batch, prompt, output;
    struct pl_model_config m;
};
enum { MOST_SYSTEMS = 32 };
struct row {
    struct pl_system s;
    struct pl_serve v[PL_SERVE_READINGS];
};

/* Readings that say something about this system. */
static bool has_reading(const struct pl_system *s, unsigned r)
{
    switch (r) {
    case PL_SERVE_OCCUPIED:
        return s->array_rows > 0;
    case PL_SERVE_DERATED:
        return s->eta_bandwidth < 1 || s->eta_compute < 1;
    case PL_SERVE_IMPLIED:
        return s->implied_tps > 0;
    default:
        return true;
    }
}

static enum pl_status evaluate(struct compare *c, const char *name, struct row *row)
{
    const struct pl_serve_job job = {(double)c->batch, (double)c->prompt, (double)c->output};
    PL_TRY(pl_system_load(name, &row->s, &c->j.d));
    for (unsigned r = 0; r < PL_SERVE_READINGS; r++)
        PL_TRY(pl_serve(&row->s, &c->m, &job, (enum pl_serve_reading)r, &row->v[r], &c->j.d));
    return PL_OK;
}

static enum pl_status evaluate_all(struct compare *c, struct row *row, size_t *n)
{
    char *list = pl_arena_strdup(&c->j.arena, c->systems), *save = NULL;
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        if (*n == MOST_SYSTEMS)
            return pl_fail(&c->j.d, PL_EUSAGE, "--systems: more than %d", MOST_SYSTEMS);
        PL_TRY(evaluate(c, name, &row[(*n)++]));
    }
    return *n ? PL_OK : pl_fail(&c->j.d, PL_EUSAGE, "--systems is empty");
}

static void put_row(struct pl_table *t, const struct compare *c, const struct row *row, const struct row *base, unsigned r)
{
    const struct pl_serve *v = &row->v[r], *b = &base->v[r];
    const struct pl_serve *first = has_reading(&base->s, r) ? b : &base->v[PL_SERVE_PLAIN];
    char j[4][24] = {"", "", "", ""};
    if (v->tok_per_j > 0) {
        snprintf(j[0], sizeof j[0], "%.3f", v->tok_per_j);
        snprintf(j[1], sizeof j[1], "%.3f", v->tok_per_j_active);
    }
    if (v->tok_per_j > 0 && first->tok_per_j > 0) {
        snprintf(j[2], sizeof j[2], "%.2f", v->tok_per_j / first->tok_per_j);
        snprintf(j[3], sizeof j[3], "%.2f", v->tok_per_j_active / first->tok_per_j_active);
    }
    pl_table_row(t, "%s|%s|%.0f%s|%.3f|%.3f|%.1f|%.2f|%.1f|%s|%s|%s|%s", row->s.title, pl_serve_reading_name(r), v->largest_batch,
                 v->largest_batch < (double)c->batch ? " !" : "", v->ttft_one_s, v->step_s * 1e3, v->tps, v->tps / first->tps, v->tps_e2e, j[0],
                 j[1], j[2], j[3]);
}

static void print(const struct compare *c, const struct row *row, size_t n, bool csv, struct pl_buf *out)
{
    struct pl_arena a;
    struct pl_table t;
    pl_arena_init(&a);
    pl_table_init(&t, &a, csv ? "system|reading|largest_batch|ttft_one_s|step_ms|tps|tps_ratio|tps_e2e|tok_per_j_constant|tok_per_j_activity|"
                                "tok_per_j_constant_ratio|tok_per_j_activity_ratio"
                              : "<system|<reading|fits|TTFT s|step ms|TPS|x|e2e TPS|Tok/J const.|activity|x const.|x activity");
    for (size_t i = 0; i < n; i++)
        for (unsigned r = 0; r < PL_SERVE_READINGS; r++)
            if (has_reading(&row[i].s, r))
                put_row(&t, c, &row[i], &row[0], r);
    if (csv)
        pl_table_csv(&t, out);
    else
        pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
}

static json_t *rows_json(const struct row *row, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        for (unsigned r = 0; r < PL_SERVE_READINGS; r++) {
            const struct pl_serve *v = &row[i].v[r];
            if (has_reading(&row[i].s, r))
                json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "system",
                                                     row[i].s.name, "source", row[i].s.source, "reading", pl_serve_reading_name(r),
                                                     "weights_gb", v->weights_gb, "kv_gb", v->kv_gb, "largest_batch", v->largest_batch,
                                                     "ttft_one_s", v->ttft_one_s, "ttft_batch_s", v->ttft_batch_s, "step_s", v->step_s, "tps",
                                                     v->tps, "tps_e2e", v->tps_e2e, "watts_constant", v->watts, "watts_activity",
                                                     v->watts_active, "tok_per_j_activity", v->tok_per_j_active));
        }
    return all;
}

static enum pl_status compare(struct compare *c, const char *model)
{
    static struct row row[MOST_SYSTEMS];
    size_t n = 0;
    PL_TRY(perf_model(&c->j, model, &c->m));
    PL_TRY(evaluate_all(c, row, &n));
    struct pl_buf b;
    pl_buf_init(&b);
    enum pl_status s = PL_OK;
    if (c->csv) {
        print(c, row, n, true, &b);
        s = pl_file_write(c->csv, b.data, b.len, &c->j.d);
        b.len = 0;
    }
    if (s == PL_OK && c->j.json) {
        json_t *o = cli_result("plena.compare/1", NULL);
        json_object_set_new(o, "systems", rows_json(row, n));
        cli_print_json(o);
    } else if (s == PL_OK) {
        print(c, row, n, false, &b);
        fputs(b.data, stdout);
        puts("\nfits: largest batch; ! the batch asked for does not fit. x: over the first system, same reading or its plain roofline.\n"
             "Tok/J const.: the paper's convention, TPS over constant power. activity: idle power, HBM bits and operations of decode.");
    }
    pl_buf_fini(&b);
    return s;
}

int cmd_compare(const struct verb *v, int argc, char **argv)
{
    struct compare c = {.systems = "a100,h100,h200,mi300x,tpu-v6e,plena", .batch = 16, .prompt = 90000, .output = 8000};
    job_init(&c.j);
    const struct opt o[] = {
        {"systems", OPT_TEXT, &c.systems, "A,B,..", "shipped baselines or files; the first one is what others are compared with"},
        {"batch", OPT_U64, &c.batch, "N", "sequences (default 16)"},
        {"prompt", OPT_U64, &c.prompt, "N", "tokens of each prompt (default 90000)"},
        {"output", OPT_U64, &c.output, "N", "tokens of each answer (default 8000)"},
        {"csv", OPT_TEXT, &c.csv, "FILE", "the table as CSV"},
        {"json", OPT_FLAG, &c.j.json, NULL, "result as one JSON object on stdout"},
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "MODEL is missing");
    if (rc < 0) {
        const enum pl_status s = compare(&c, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &c.j.d);
    }
    job_fini(&c.j);
    return rc;
}
