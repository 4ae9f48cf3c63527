/* quantize.c - plena quantize: a checkpoint to MX blocks, calibrated on a text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plena/map.h"
#include "plena/ptq_eval.h"
#include "plena/report.h"

struct quantize {
    struct job j;
    struct texts t;
    const char *out, *recipe, *search, *propagation, *damp_text, *rotate, *aim_text;
    bool compare, center, no_center;
    uint64_t sweeps;
    unsigned rotations;
    struct pl_fold_spec fold;
    struct pl_ptq_options o;
    struct progress p;
};

/* What a recipe stands for; --search and --propagation change it. */
static const struct {
    const char *name;
    struct pl_ptq_rule rule;
} recipes[] = {
    {"best", {PL_SEARCH_COMP, PL_PROPAGATE_COLUMN}},
    {"paper", {PL_SEARCH_OUTPUT, PL_PROPAGATE_PEER}},
    {"rtn", {PL_SEARCH_NONE, PL_PROPAGATE_NONE}},
};

/* Index of `value` in a list of names. */
static enum pl_status choose(const char *option, const char *value, const char *const *names, size_t n, unsigned *out, struct pl_diag *d)
{
    for (*out = 0; *out < n; ++*out)
        if (!strcmp(value, names[*out]))
            return PL_OK;
    char list[128] = "";
    for (size_t i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    return pl_fail(d, PL_EUSAGE, "%s \"%s\": expected one of %s", option, value, list);
}

static enum pl_status read_rule(struct quantize *q)
{
    const char *names[PL_COUNT(recipes)];
    unsigned i;
    struct pl_diag *d = &q->j.d;
    for (i = 0; i < PL_COUNT(recipes); i++)
        names[i] = recipes[i].name;
    PL_TRY(choose("--recipe", q->recipe, names, PL_COUNT(names), &i, d));
    q->o.rule = recipes[i].rule;
    if (q->search) {
        PL_TRY(choose("--search", q->search, pl_ptq_search_name, PL_COUNT(pl_ptq_search_name), &i, d));
        q->o.rule.search = (enum pl_ptq_search)i;
    }
    if (q->propagation) {
        PL_TRY(choose("--propagation", q->propagation, pl_ptq_propagation_name, PL_COUNT(pl_ptq_propagation_name), &i, d));
        q->o.rule.propagation = (enum pl_ptq_propagation)i;
    }
    q->o.damp = 0.01;
    if (q->damp_text) {
        char *end;
        q->o.damp = strtod(q->damp_text, &end);
        if (end == q->damp_text || *end || !(q->o.damp > 0 && q->o.damp <= 1))
            return pl_fail(d, PL_EUSAGE, "--damping \"%s\": expected a number above 0, at most 1", q->damp_text);
    }
    q->o.compare = q->compare;
    return PL_OK;
}

/* A number of [0, 1]. */
static enum pl_status part(const char *option, const char *text, double *out, struct pl_diag *d)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && *out >= 0 && *out <= 1 ? PL_OK
                                                          : pl_fail(d, PL_EUSAGE, "%s \"%s\": expected a number from 0 to 1", option, text);
}

/* What is worked into the weights. The best recipe rotates what activation blocks are cut from, and centres keys that are
 * kept in blocks. */
static enum pl_status read_transforms(struct quantize *q)
{
    struct job *j = &q->j;
    const bool best = !strcmp(q->recipe, "best"), act = pl_format_has_scale(&j->format[1]), kv = pl_format_has_scale(&j->format[2]);
    q->rotations = best && act ? PL_ROTATE_ALL : 0;
    if (q->sweeps > 100)
        return pl_fail(&j->d, PL_EUSAGE, "--refine %llu: expected at most 100", (unsigned long long)q->sweeps);
    q->o.sweeps = (unsigned)q->sweeps;
    if (q->aim_text)
        PL_TRY(part("--aim", q->aim_text, &q->o.aim, &j->d));
    if (q->o.aim > 0 && !q->t.file)
        return pl_fail(&j->d, PL_EUSAGE, "--aim needs --calibrate FILE");
    if (q->rotate && !strcmp(q->rotate, "search")) {
        if (!q->t.file)
            return pl_fail(&j->d, PL_EUSAGE, "--rotate search needs --calibrate FILE");
        struct pl_plan plan;
        PL_TRY(pl_map_plan(&j->arch, &j->ck->config, &j->format[0], &j->format[1], &j->format[2], &plan, &j->d));
        PL_TRY(pl_rotations_choose(j->ck, &plan, texts_of(&q->t), q->t.n_seq, &q->rotations, &j->d));
    } else if (q->rotate) {
        const enum pl_status s = pl_rotations_parse(q->rotate, &q->rotations, &j->d);
        if (s != PL_OK)
            return pl_fail_in(&j->d, s, "--rotate");
    }
    if (q->center && q->no_center)
        return pl_fail(&j->d, PL_EUSAGE, "--center-keys and --no-center-keys exclude each other");
    q->o.center_keys = q->center || (best && kv && !q->no_center);
    if (!q->rotations)
        return PL_OK;
    pl_rotations_spec(&j->arena, &j->ck->config, q->rotations, act ? j->format[1].block : j->format[0].block, &q->fold);
    q->o.fold = &q->fold;
    return PL_OK;
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
    struct quantize *q = ctx;
    q->p.total = total;
    progress_at(&q->p, done);
}

static json_t *load_report(const struct quantize *q, struct pl_diag *d)
{
    json_t *o = NULL;
    struct pl_arena a;
    pl_arena_init(&a);
    if (pl_json_load(pl_path_join(&a, q->out, "report.json"), &o, d) != PL_OK)
        o = NULL;
    pl_arena_fini(&a);
    return o;
}

/* Output error in dB below the outputs. */
static void put_db(char out[32], const json_t *m, const char *key)
{
    const json_t *v = json_object_get(m, key);
    out[0] = 0;
    if (v)
        snprintf(out, 32, "%.2f", -10 * log10(json_real_value(v)));
}

static void print_text(const struct quantize *q, const json_t *report)
{
    struct pl_table t;
    struct pl_buf out;
    struct pl_arena a;
    size_t i;
    json_t *m;
    pl_arena_init(&a);
    pl_buf_init(&out);
    pl_table_init(&t, &a, q->compare ? "<matrix|rows|cols|bits/weight|output SQNR (dB)|nearest|peer" : "<matrix|rows|cols|bits/weight|output SQNR (dB)");
    json_array_foreach(json_object_get(report, "matrices"), i, m)
    {
        char ours[32], nearest[32], peer[32];
        put_db(ours, m, "output_error");
        put_db(nearest, m, "output_error_nearest");
        put_db(peer, m, "output_error_peer");
        const char *name = json_string_value(json_object_get(m, "name"));
        const int rows = (int)json_integer_value(json_object_get(m, "rows")), cols = (int)json_integer_value(json_object_get(m, "cols"));
        const double bits = json_real_value(json_object_get(m, "bits_per_weight"));
        if (q->compare)
            pl_table_row(&t, "%s|%d|%d|%.3f|%s|%s|%s", name, rows, cols, bits, ours, nearest, peer);
        else
            pl_table_row(&t, "%s|%d|%d|%.3f|%s", name, rows, cols, bits, ours);
    }
    pl_table_text(&t, &out);
    fputs(out.data, stdout);
    printf("%s: %.3f bits per quantised weight, %.3f over the whole checkpoint\n", q->out,
           json_real_value(json_object_get(report, "bits_per_quantised_weight")),
           json_real_value(json_object_get(report, "bits_per_weight_of_the_whole")));
    pl_table_fini(&t);
    pl_buf_fini(&out);
    pl_arena_fini(&a);
}

static enum pl_status quantise(struct quantize *q, json_t *provenance)
{
    struct job *j = &q->j;
    q->o.provenance = provenance;
    q->o.progress = progress;
    q->o.ctx = q;
    progress_start(&q->p, "steps", 5 * j->ck->config.n_layers + 1);
    const enum pl_status s = pl_ptq_checkpoint(j->ck, &q->o, q->t.file ? texts_of(&q->t) : NULL, q->t.n_seq, q->out, &j->d);
    progress_end(&q->p);
    return s;
}

static enum pl_status run(struct quantize *q, const char *model)
{
    struct job *j = &q->j;
    PL_TRY(read_rule(q));
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(job_model(j, model));
    if (q->t.file)
        PL_TRY(texts_read(j, &q->t));
    PL_TRY(read_transforms(q));
    PL_TRY(pl_map_plan(&j->arch, &j->ck->config, &j->format[0], &j->format[1], &j->format[2], &q->o.plan, &j->d));
    json_t *provenance = cli_result("plena.quantize.recipe/1", NULL);
    json_object_set_new(provenance, "model", cli_text_json(j->model, strlen(j->model)));
    json_object_set_new(provenance, "recipe", json_string(q->recipe));
    json_object_set_new(provenance, "machine", cli_text_json(j->arch.name, strlen(j->arch.name)));
    if (q->t.file)
        json_object_set_new(provenance, "calibrate", cli_text_json(q->t.file, strlen(q->t.file)));
    char rotations[64];
    pl_rotations_name(q->rotations, rotations);
    json_t *transforms = json_pack("{s:s}", "rotations", rotations);
    q->o.transforms = transforms;
    const enum pl_status s = quantise(q, provenance);
    json_decref(provenance);
    json_decref(transforms);
    PL_TRY(s);
    json_t *report = load_report(q, &j->d);
    if (!report)
        return PL_EIO;
    if (j->json) {
        cli_print_json(report);
    } else {
        print_text(q, report);
        json_decref(report);
    }
    return PL_OK;
}

int cmd_quantize(const struct verb *v, int argc, char **argv)
{
    struct quantize q = {.recipe = "best"};
    job_init(&q.j);
    const struct opt o[] = {
        {"calibrate", OPT_TEXT, &q.t.file, "FILE", ".jsonl (fields ids or text) or plain text; recipe rtn does without"},
        JOB_FORMAT_OPTS(&q.j),
        {"o", OPT_TEXT, &q.out, "DIR", "folder of the quantised checkpoint; an interrupted run goes on there"},
        {"recipe", OPT_TEXT, &q.recipe, "NAME", "best (default), paper, rtn"},
        {"search", OPT_TEXT, &q.search, "NAME", "block exponent by: none, weight, output, schur, compensated"},
        {"propagation", OPT_TEXT, &q.propagation, "NAME", "of rounding errors: none, peer, block, column"},
        {"rotate", OPT_TEXT, &q.rotate, "LIST", "none, all, search (by KL), or some of residual, residual-block, qkv, gate-up, down, head, values (best: all)"},
        {"center-keys", OPT_FLAG, &q.center, NULL, "take the mean of K off K before it is cached (best: yes)"},
        {"no-center-keys", OPT_FLAG, &q.no_center, NULL, "do not"},
        {"aim", OPT_TEXT, &q.aim_text, "X", "0..1: how far weights move to make up for quantised inputs (default 0)"},
        {"refine", OPT_U64, &q.sweeps, "N", "sweeps of coordinate descent over the rounded elements (default 0)"},
        {"damping", OPT_TEXT, &q.damp_text, "X", "added to the Hessian's diagonal, of its mean (default 0.01)"},
        {"compare", OPT_FLAG, &q.compare, NULL, "report the errors of rounding to nearest and of the peer's rule too"},
        {"context", OPT_U64, &q.t.context, "N", "window of a plain text in tokens (default 512, or the model's)"},
        {"limit", OPT_U64, &q.t.limit, "N", "only N sequences"},
        {"skip", OPT_U64, &q.t.skip, "N", "leave out the first N sequences"},
        JOB_MACHINE_OPTS(&q.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !q.out && !q.j.print_config)
        rc = cli_usage(v, "-o DIR is missing");
    if (rc < 0 && !q.t.file && !q.j.print_config && strcmp(q.recipe, "rtn") != 0)
        rc = cli_usage(v, "--calibrate FILE is missing; only the recipe rtn does without");
    if (rc < 0) {
        const enum pl_status s = run(&q, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &q.j.d);
    }
    job_fini(&q.j);
    return rc;
}
