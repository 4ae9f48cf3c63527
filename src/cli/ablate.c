/* ablate.c - plena ablate: what each part of quantisation costs and gains, row by row, against fp32.
 *
 * Three groups. Weights alone: in fp32 arithmetic. Activations and cache alone: operands quantised around fp32 products,
 * weights as they are. Everything: a quantised folder in the machine's arithmetic. A row is set against an earlier one of
 * its group on the same texts; it is called better or worse only beyond two standard errors of the paired difference. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "plena/map.h"
#include "plena/ptq_eval.h"
#include "plena/report.h"

enum group { WEIGHTS, OPERANDS, ALL, SITE, GROUPS };
static const char *const group_name[GROUPS] = {"weights", "activations, KV", "everything", "site alone"};

struct spec {
    enum group group;
    const char *name;
    int against; /* rows back; 0: nothing */
    struct pl_ptq_rule rule;
    unsigned rotations; /* OPERANDS: one-sided */
    bool rotate_k, center, fp4;
    double aim;
};
#define RTN {PL_SEARCH_NONE, PL_PROPAGATE_NONE}
#define BEST {PL_SEARCH_COMP, PL_PROPAGATE_COLUMN}
#define PAPER {PL_SEARCH_OUTPUT, PL_PROPAGATE_PEER}
/* The rows of the paper's Table VI, each with what is ours behind it. */
static const struct spec specs[] = {
    {WEIGHTS, "nearest", 0, RTN, 0, false, false, false, 0},
    {WEIGHTS, "nearest, residual stream rotated", 1, RTN, 1u << PL_ROTATION_RESIDUAL, false, false, false, 0},
    {WEIGHTS, "GPTQ as the authors', Err_w", 2, {PL_SEARCH_WEIGHT, PL_PROPAGATE_PEER}, 0, false, false, false, 0},
    {WEIGHTS, "GPTQ as the authors', Err_y", 1, PAPER, 0, false, false, false, 0},
    {WEIGHTS, "GPTQ, compensated search", 1, BEST, 0, false, false, false, 0},
    {OPERANDS, "nearest", 0, RTN, 0, false, false, false, 0},
    {OPERANDS, "nearest, MXFP4 E2M1", 1, RTN, 0, false, false, true, 0},
    {OPERANDS, "rotated K and Q", 2, RTN, 0, true, false, false, 0},
    {OPERANDS, "rotated everywhere, one-sided", 1, RTN, PL_ROTATE_ALL, true, false, false, 0},
    {OPERANDS, "the same, keys centred", 1, RTN, PL_ROTATE_ALL, true, true, false, 0},
    {ALL, "nearest", 0, RTN, 0, false, false, false, 0},
    {ALL, "nearest, rotated K and Q", 1, RTN, 0, true, false, false, 0},
    {ALL, "GPTQ as the authors', Err_y", 1, PAPER, 0, true, false, false, 0},
    {ALL, "GPTQ, compensated search", 1, BEST, 0, true, false, false, 0},
    {ALL, "residual stream rotated, values", 1, BEST, 1u << PL_ROTATION_RESIDUAL_BLOCK | 1u << PL_ROTATION_VALUES, true, false, false, 0},
    {ALL, "rotated everywhere, two-sided", 2, BEST, PL_ROTATE_ALL, true, false, false, 0},
    {ALL, "the same, keys centred: best", 1, BEST, PL_ROTATE_ALL, true, true, false, 0},
};

struct row {
    struct spec spec;
    struct pl_scores s;
    int against; /* index, or -1 */
};
struct ablate {
    struct job j;
    struct texts calibrate, t;
    const char *csv, *svg, *only;
    bool sites;
    struct pl_ptq_text *cal, *text;
    struct row row[PL_COUNT(specs) + PL_NN_OPERANDS];
    size_t n;
    const double *k_mean;
    struct pl_nn *ref;
    struct progress p;
};

static uint32_t longest(const struct ablate *a)
{
    return (uint32_t)(a->t.longest > a->calibrate.longest ? a->t.longest : a->calibrate.longest);
}

static enum pl_status score(struct ablate *a, const struct pl_checkpoint *ck, const struct pl_plan *plan, struct pl_emulation *e, struct row *r)
{
    struct pl_nn *nn;
    PL_TRY(pl_nn_new(ck, plan ? PL_NN_QUANT : PL_NN_F32, plan, longest(a), &nn, &a->j.d));
    if (e)
        pl_nn_set_hook(nn, (struct pl_nn_hook){pl_emulate, e});
    const enum pl_status s = pl_scores_of(&a->j.arena, nn, a->ref, a->text, a->t.n_seq, &r->s, &a->j.d);
    pl_nn_free(nn);
    return s;
}

/* ---- activations and cache ---- */
static uint32_t part_of(uint32_t width, uint32_t block)
{
    while (width % block)
        block /= 2;
    return block > 1 ? block : 0;
}

static enum pl_status operands(struct ablate *a, struct row *r)
{
    const struct pl_model_config *c = &a->j.ck->config;
    const struct pl_format act = a->j.format[1], kv = a->j.format[2];
    const uint32_t block = pl_format_has_scale(&act) ? act.block : 16;
    struct pl_emulation e = {.k_mean = r->spec.center ? a->k_mean : NULL, .n_kv_heads = c->n_kv_heads};
    for (unsigned i = 0; i < PL_NN_OPERANDS; i++) {
        e.format[i] = i == PL_NN_OP_K || i == PL_NN_OP_V ? kv : act;
        if (r->spec.fp4)
            e.format[i] = (struct pl_format){.kind = PL_FORMAT_MXFP, .elem = pl_minifloat_make(2, 1), .block = e.format[i].block};
        if (r->spec.rotations && i != PL_NN_OP_P)
            e.rotate[i] = part_of(i == PL_NN_IN_DOWN ? c->ffn : i == PL_NN_OP_V || i == PL_NN_IN_O ? c->head_dim : c->hidden, block);
    }
    e.rotate[PL_NN_OP_Q] = e.rotate[PL_NN_OP_K] = r->spec.rotate_k ? part_of(c->head_dim, 1u << 12) : 0;
    if (r->spec.group == SITE)
        for (unsigned i = 0; i < PL_NN_OPERANDS; i++)
            if (strcmp(r->spec.name, pl_nn_operand_name[i]) != 0)
                e.format[i] = (struct pl_format){0};
    return score(a, a->j.ck, NULL, &e, r);
}

/* ---- quantised folders ---- */
static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    struct pl_arena a;
    pl_arena_init(&a);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlink(pl_path_join(&a, dir, e->d_name));
    if (d)
        closedir(d);
    rmdir(dir);
    pl_arena_fini(&a);
}

static enum pl_status plan_of(struct ablate *a, const struct pl_model_config *c, bool weights_only, bool rotate_k, struct pl_plan *p)
{
    static const struct pl_format none = {0};
    struct pl_arch arch = a->j.arch;
    arch.rotate_k = rotate_k;
    return pl_map_plan(&arch, c, &a->j.format[0], weights_only ? &none : &a->j.format[1], weights_only ? &none : &a->j.format[2], p, &a->j.d);
}

static enum pl_status folder_in(struct ablate *a, struct row *r, const char *dir)
{
    const bool weights_only = r->spec.group == WEIGHTS, calibrated = r->spec.rule.propagation != PL_PROPAGATE_NONE;
    struct pl_ptq_options o = {.rule = r->spec.rule, .damp = 0.01, .center_keys = r->spec.center, .aim = r->spec.aim};
    struct pl_fold_spec fold;
    struct pl_checkpoint *ck;
    const struct pl_format *f = pl_format_has_scale(&a->j.format[1]) ? &a->j.format[1] : &a->j.format[0];
    PL_TRY(plan_of(a, &a->j.ck->config, weights_only, r->spec.rotate_k, &o.plan));
    if (r->spec.rotations) {
        pl_rotations_spec(&a->j.arena, &a->j.ck->config, r->spec.rotations, f->block, &fold);
        o.fold = &fold;
    }
    PL_TRY(pl_ptq_checkpoint(a->j.ck, &o, a->cal, calibrated ? a->calibrate.n_seq : 0, dir, &a->j.d));
    PL_TRY(pl_checkpoint_open(&a->j.arena, dir, &ck, &a->j.d));
    struct pl_plan p;
    enum pl_status s = plan_of(a, &ck->config, weights_only, r->spec.rotate_k, &p);
    if (s == PL_OK)
        s = score(a, ck, weights_only ? NULL : &p, NULL, r);
    pl_checkpoint_close(ck);
    return s;
}

static enum pl_status folder(struct ablate *a, struct row *r)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = pl_arena_printf(&a->j.arena, "%s/plena-ablate-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return pl_fail(&a->j.d, PL_EIO, "%s: cannot create", dir);
    const enum pl_status s = folder_in(a, r, dir);
    remove_folder(dir);
    return s;
}

/* ---- rows ---- */
static void choose_rows(struct ablate *a)
{
    for (size_t i = 0; i < PL_COUNT(specs); i++) {
        const bool act = pl_format_has_scale(&a->j.format[1]) || pl_format_has_scale(&a->j.format[2]);
        if ((specs[i].group != WEIGHTS && !act) || (a->only && strcmp(a->only, group_name[specs[i].group]) != 0))
            continue;
        a->row[a->n] = (struct row){.spec = specs[i], .against = specs[i].against ? (int)a->n - specs[i].against : -1};
        a->n++;
    }
    for (unsigned i = 0; a->sites && i < PL_NN_OPERANDS; i++)
        a->row[a->n++] = (struct row){.spec = {.group = SITE, .name = pl_nn_operand_name[i]}, .against = -1};
}

static enum pl_status measure(struct ablate *a)
{
    enum pl_status s = PL_OK;
    progress_start(&a->p, "rows", a->n);
    for (size_t i = 0; i < a->n && s == PL_OK; i++) {
        struct row *r = &a->row[i];
        s = r->spec.group == OPERANDS || r->spec.group == SITE ? operands(a, r) : folder(a, r);
        progress_at(&a->p, i + 1);
    }
    progress_end(&a->p);
    return s;
}

static const char *verdict(const struct ablate *a, const struct row *r, struct pl_ratio *diff)
{
    static const char *const word[] = {"better", "tied", "worse"};
    if (r->against < 0)
        return "";
    *diff = pl_scores_mean(&r->s, r->s.kl, a->row[r->against].s.kl);
    return word[1 + pl_ratio_sign(*diff)];
}

static void make_table(const struct ablate *a, struct pl_arena *arena, struct pl_table *t)
{
    pl_table_init(t, arena, "<group|<row|perplexity|+-|KL (nats)|+-|top-1 (%)|+-|<against|difference of KL|+-|<verdict");
    for (size_t i = 0; i < a->n; i++) {
        const struct row *r = &a->row[i];
        struct pl_ratio diff = {0, 0};
        const char *word = verdict(a, r, &diff);
        const struct pl_ratio nll = pl_scores_mean(&r->s, r->s.nll, NULL), kl = pl_scores_mean(&r->s, r->s.kl, NULL), top = pl_scores_mean(&r->s, r->s.top1, NULL);
        char against[128] = "", off[64] = "|";
        if (r->against >= 0) {
            snprintf(against, sizeof against, "%s", a->row[r->against].spec.name);
            snprintf(off, sizeof off, "%+.5f|%.5f", diff.mean, diff.se);
        }
        pl_table_row(t, "%s|%s|%.4f|%.4f|%.5f|%.5f|%.2f|%.2f|%s|%s|%s", group_name[r->spec.group], r->spec.name, exp(nll.mean), exp(nll.mean) * nll.se,
                     kl.mean, kl.se, 100 * top.mean, 100 * top.se, against, off, word);
    }
}

static json_t *rows_json(const struct ablate *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->n; i++) {
        const struct row *r = &a->row[i];
        struct pl_ratio diff = {0, 0};
        const char *word = verdict(a, r, &diff);
        const struct pl_ratio nll = pl_scores_mean(&r->s, r->s.nll, NULL), kl = pl_scores_mean(&r->s, r->s.kl, NULL), top = pl_scores_mean(&r->s, r->s.top1, NULL);
        json_t *o = json_pack("{s:s, s:s, s:f, s:f, s:f}", "group", group_name[r->spec.group], "row", r->spec.name, "perplexity", exp(nll.mean), "kl",
                              kl.mean, "top1_agreement", top.mean);
        if (!isnan(kl.se)) {
            json_object_set_new(o, "perplexity_se", json_real(exp(nll.mean) * nll.se));
            json_object_set_new(o, "kl_se", json_real(kl.se));
            json_object_set_new(o, "top1_agreement_se", json_real(top.se));
        }
        if (r->against >= 0) {
            json_object_set_new(o, "against", json_string(a->row[r->against].spec.name));
            json_object_set_new(o, "kl_difference", json_real(diff.mean));
            json_object_set_new(o, "verdict", json_string(word));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static enum pl_status write_svg(struct ablate *a)
{
    struct pl_error_bar *bar = PL_NEW_N(&a->j.arena, struct pl_error_bar, a->n + 1);
    struct pl_buf b;
    for (size_t i = 0; i < a->n; i++) {
        const struct pl_ratio kl = pl_scores_mean(&a->row[i].s, a->row[i].s.kl, NULL);
        bar[i] = (struct pl_error_bar){pl_arena_printf(&a->j.arena, "%s: %s", group_name[a->row[i].spec.group], a->row[i].spec.name), kl.mean, kl.se};
    }
    pl_buf_init(&b);
    pl_error_bars_svg(pl_arena_printf(&a->j.arena, "%s: KL to fp32", a->j.model), "nats per token", bar, a->n, &b);
    const enum pl_status s = pl_file_write(a->svg, b.data, b.len, &a->j.d);
    pl_buf_fini(&b);
    return s;
}

static enum pl_status print(struct ablate *a, double fp32)
{
    struct pl_table t;
    struct pl_arena arena;
    struct pl_buf out;
    enum pl_status s = PL_OK;
    pl_arena_init(&arena);
    pl_buf_init(&out);
    make_table(a, &arena, &t);
    if (a->csv) {
        pl_table_csv(&t, &out);
        s = pl_file_write(a->csv, out.data, out.len, &a->j.d);
        pl_buf_fini(&out);
        pl_buf_init(&out);
    }
    if (a->j.json) {
        json_t *o = cli_result("plena.ablate/1", &a->j.arch);
        json_object_set_new(o, "model", cli_text_json(a->j.model, strlen(a->j.model)));
        json_object_set_new(o, "perplexity_fp32", json_real(fp32));
        json_object_set_new(o, "rows", rows_json(a));
        cli_print_json(o);
    } else {
        printf("%s: %zu texts, calibrated on %zu; fp32 perplexity %.4f; standard errors over texts\n", a->j.model, a->t.n_seq, a->calibrate.n_seq, fp32);
        pl_table_text(&t, &out);
        fputs(out.data, stdout);
    }
    pl_table_fini(&t);
    pl_buf_fini(&out);
    pl_arena_fini(&arena);
    return s;
}

/* Calibrating on what is then measured flatters; so it is refused. */
static enum pl_status check_disjoint(struct ablate *a)
{
    for (size_t i = 0; i < a->t.n_seq; i++)
        for (size_t k = 0; k < a->calibrate.n_seq; k++)
            if (a->text[i].n == a->cal[k].n && a->text[i].n && !memcmp(a->text[i].ids, a->cal[k].ids, a->text[i].n * sizeof *a->text[i].ids))
                return pl_fail(&a->j.d, PL_EUSAGE, "sequence %zu of the texts is one of the calibration; leave it out with --skip", i + 1);
    return PL_OK;
}

static enum pl_status run(struct ablate *a, const char *model)
{
    struct job *j = &a->j;
    struct pl_scores base;
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(job_model(j, model));
    PL_TRY(texts_read(j, &a->calibrate));
    PL_TRY(texts_read(j, &a->t));
    a->cal = texts_of(&a->calibrate);
    a->text = texts_of(&a->t);
    PL_TRY(check_disjoint(a));
    choose_rows(a);
    if (!a->n)
        return pl_fail(&j->d, PL_EUSAGE, "no rows to measure: --only takes weights, \"activations, KV\" or everything");
    PL_TRY(pl_nn_new(j->ck, PL_NN_F32, NULL, longest(a), &a->ref, &j->d));
    PL_TRY(pl_scores_of(&j->arena, a->ref, NULL, a->text, a->t.n_seq, &base, &j->d));
    PL_TRY(pl_key_means(&j->arena, j->ck, a->cal, a->calibrate.n_seq, &a->k_mean, &j->d));
    PL_TRY(measure(a));
    if (a->svg)
        PL_TRY(write_svg(a));
    return print(a, exp(pl_scores_mean(&base, base.nll, NULL).mean));
}

int cmd_ablate(const struct verb *v, int argc, char **argv)
{
    struct ablate a = {.n = 0};
    job_init(&a.j);
    const struct opt o[] = {
        {"calibrate", OPT_TEXT, &a.calibrate.file, "FILE", "texts to calibrate on"},
        {"calibrate-limit", OPT_U64, &a.calibrate.limit, "N", "only the first N of them"},
        {"text", OPT_TEXT, &a.t.file, "FILE", "texts to evaluate on; .jsonl (fields ids or text) or plain text"},
        JOB_FORMAT_OPTS(&a.j),
        {"only", OPT_TEXT, &a.only, "GROUP", "weights, \"activations, KV\" or everything (default all three)"},
        {"sites", OPT_FLAG, &a.sites, NULL, "further rows: every operand alone"},
        {"context", OPT_U64, &a.t.context, "N", "window of a plain text in tokens (default 512, or the model's)"},
        {"limit", OPT_U64, &a.t.limit, "N", "evaluate on N sequences"},
        {"skip", OPT_U64, &a.t.skip, "N", "leave out the first N sequences of --text"},
        {"csv", OPT_TEXT, &a.csv, "FILE", "the table as CSV"},
        {"svg", OPT_TEXT, &a.svg, "FILE", "KL of every row as a picture"},
        JOB_MACHINE_OPTS(&a.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !(a.calibrate.file && a.t.file) && !a.j.print_config)
        rc = cli_usage(v, "--calibrate FILE and --text FILE are needed");
    if (rc < 0) {
        a.calibrate.context = a.t.context;
        const enum pl_status s = run(&a, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &a.j.d);
    }
    pl_nn_free(a.ref);
    job_fini(&a.j);
    return rc;
}
