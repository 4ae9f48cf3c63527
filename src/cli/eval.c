/* eval.c - plena eval: perplexity, and KL and top-1 agreement against fp32.
 *
 * Protocol: a .jsonl gives one sequence per line (its "ids", or its "text" through the tokenizer); any other file is
 * one text, cut into windows of --context tokens, each beginning with what the tokenizer puts before a text. Teacher
 * forcing over every token but a sequence's first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plena/map.h"
#include "plena/nn.h"
#include "plena/report.h"

struct sequence {
    uint32_t *ids;
    size_t n;
};
struct eval {
    struct job j;
    const char *text;
    uint64_t context, limit;
    bool reference, float64;
    struct sequence *seq;
    size_t n_seq, longest;
    struct pl_plan plan;
    bool quantised;
};

static enum pl_status add_sequence(struct eval *e, const uint32_t *ids, size_t n)
{
    struct pl_diag *d = &e->j.d;
    const uint32_t vocab = e->j.ck->config.vocab;
    if (e->limit && e->n_seq == e->limit)
        return PL_OK;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= vocab)
            return pl_fail(d, PL_ERANGE, "%s: sequence %zu: id %u is outside the vocabulary of %u", e->text, e->n_seq + 1, ids[i], vocab);
    if (n > e->j.ck->config.max_position)
        return pl_fail(d, PL_ERANGE, "%s: sequence %zu has %zu tokens, the model %u positions", e->text, e->n_seq + 1, n,
                       e->j.ck->config.max_position);
    struct sequence *s = &e->seq[e->n_seq++];
    s->ids = PL_NEW_N(&e->j.arena, uint32_t, n + 1);
    if (n)
        memcpy(s->ids, ids, n * sizeof *ids);
    s->n = n;
    e->longest = n > e->longest ? n : e->longest;
    return PL_OK;
}

static enum pl_status need_tokenizer(struct eval *e)
{
    return e->j.tok ? PL_OK : pl_fail(&e->j.d, PL_EUNSUPPORTED, "%s: has no tokenizer.json; %s must hold ids", e->j.model, e->text);
}

static enum pl_status add_line(struct eval *e, const char *line, size_t len, size_t number)
{
    struct pl_diag *d = &e->j.d;
    char name[512];
    snprintf(name, sizeof name, "%.400s line %zu", e->text, number);
    const struct pl_source src = {name, line, len};
    const struct pl_json_at at = {name, ""};
    json_t *o, *list = NULL;
    PL_TRY(pl_json_parse(&src, &o, d));
    enum pl_status s = json_is_object(o) ? PL_OK : pl_fail(d, PL_EPARSE, "%s: expected an object", name);
    if (s == PL_OK)
        s = pl_json_member(&at, o, "ids", false, JSON_ARRAY, &list, d);
    uint32_t *ids = NULL;
    size_t n = 0;
    if (s == PL_OK && list) {
        n = json_array_size(list);
        ids = PL_NEW_N(&e->j.arena, uint32_t, n + 1);
        for (size_t i = 0; i < n && s == PL_OK; i++) {
            const json_t *v = json_array_get(list, i);
            if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
                s = pl_fail(d, PL_EPARSE, "%s: ids[%zu]: expected a token id", name, i);
            ids[i] = (uint32_t)json_integer_value(v);
        }
    } else if (s == PL_OK) {
        json_t *text = NULL;
        s = pl_json_member(&at, o, "text", true, JSON_STRING, &text, d);
        if (s == PL_OK)
            s = need_tokenizer(e);
        if (s == PL_OK)
            s = pl_tokenizer_encode(e->j.tok, &e->j.arena, json_string_value(text), json_string_length(text), true, &ids, &n, d);
    }
    if (s == PL_OK)
        s = add_sequence(e, ids, n);
    json_decref(o);
    return s;
}

static enum pl_status add_jsonl(struct eval *e, const struct pl_map *m)
{
    const char *p = (const char *)m->data, *end = p + m->len;
    size_t lines = 1, number = 0;
    for (const char *q = p; q < end; q++)
        lines += *q == '\n';
    e->seq = PL_NEW_N(&e->j.arena, struct sequence, lines);
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        number++;
        if (stop > p && strspn(p, " \t\r") < (size_t)(stop - p))
            PL_TRY(add_line(e, p, (size_t)(stop - p), number));
        p = stop + 1;
    }
    return PL_OK;
}

static enum pl_status add_plain(struct eval *e, const struct pl_map *m)
{
    struct pl_diag *d = &e->j.d;
    uint32_t *all, *start;
    size_t n, before;
    PL_TRY(need_tokenizer(e));
    PL_TRY(pl_tokenizer_encode(e->j.tok, &e->j.arena, "", 0, true, &start, &before, d));
    PL_TRY(pl_tokenizer_encode(e->j.tok, &e->j.arena, (const char *)m->data, m->len, false, &all, &n, d));
    if (e->context <= before + 1)
        return pl_fail(d, PL_EUSAGE, "--context %llu is too short", (unsigned long long)e->context);
    const size_t step = e->context - before;
    uint32_t *window = PL_NEW_N(&e->j.arena, uint32_t, e->context);
    e->seq = PL_NEW_N(&e->j.arena, struct sequence, n / step + 1);
    memcpy(window, start, before * sizeof *start);
    for (size_t i = 0; i < n; i += step) {
        const size_t len = n - i < step ? n - i : step;
        memcpy(window + before, all + i, len * sizeof *all);
        PL_TRY(add_sequence(e, window, before + len));
    }
    return PL_OK;
}

static enum pl_status read_text(struct eval *e)
{
    struct pl_map m;
    PL_TRY(pl_file_map(e->text, &m, &e->j.d));
    const size_t len = strlen(e->text);
    const bool jsonl = len > 6 && !strcmp(e->text + len - 6, ".jsonl");
    const enum pl_status s = jsonl ? add_jsonl(e, &m) : add_plain(e, &m);
    pl_file_unmap(&m);
    PL_TRY(s);
    for (size_t i = 0; i < e->n_seq; i++)
        if (e->seq[i].n > 1)
            return PL_OK;
    return pl_fail(&e->j.d, PL_EPARSE, "%s: holds no sequence of two tokens or more", e->text);
}

static enum pl_status evaluate(struct eval *e, enum pl_nn_mode mode, const struct pl_plan *plan, bool against_fp32,
                               struct pl_nn_eval *sum)
{
    struct pl_nn *nn = NULL, *ref = NULL;
    struct progress p;
    struct pl_diag *d = &e->j.d;
    enum pl_status s = pl_nn_new(e->j.ck, mode, plan, (uint32_t)e->longest, &nn, d);
    if (s == PL_OK && against_fp32)
        s = pl_nn_new(e->j.ck, PL_NN_F32, NULL, (uint32_t)e->longest, &ref, d);
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < e->n_seq; i++)
        total += e->seq[i].n;
    progress_start(&p, "tokens", total);
    *sum = (struct pl_nn_eval){0};
    for (size_t i = 0; i < e->n_seq && s == PL_OK; i++) {
        if (e->seq[i].n > 1)
            s = pl_nn_eval_add(nn, ref, e->seq[i].ids, e->seq[i].n, sum, d);
        progress_at(&p, done += e->seq[i].n);
    }
    progress_end(&p);
    pl_nn_free(nn);
    pl_nn_free(ref);
    return s;
}

static double perplexity(const struct pl_nn_eval *s)
{
    return exp(s->nll / (double)s->tokens);
}

/* The no-context baseline: ln p from the counts of the very text, so the best any unigram model could do. */
static double unigram_perplexity(const struct eval *e)
{
    const uint32_t vocab = e->j.ck->config.vocab;
    uint64_t *count = calloc(vocab, sizeof *count), n = 0;
    double nll = 0;
    if (!count)
        abort();
    for (size_t i = 0; i < e->n_seq; i++)
        for (size_t k = 1; k < e->seq[i].n; k++, n++)
            count[e->seq[i].ids[k]]++;
    for (uint32_t v = 0; v < vocab; v++)
        if (count[v])
            nll -= (double)count[v] * log((double)count[v] / (double)n);
    free(count);
    return exp(nll / (double)n);
}

static void print_text(const struct eval *e, const struct pl_nn_eval *ref, const struct pl_nn_eval *q)
{
    struct pl_table t;
    struct pl_buf out;
    struct pl_arena a;
    char w[48], ac[48], kv[48];
    pl_arena_init(&a);
    pl_buf_init(&out);
    printf("%s: %zu sequences, %llu predictions; unigram perplexity of the text %.4f\n", e->text, e->n_seq,
           (unsigned long long)ref->tokens, unigram_perplexity(e));
    pl_table_init(&t, &a, "<weights|<activations|<KV|perplexity|against fp32|KL (nats)|top-1 agreement");
    pl_table_row(&t, "%s|||%.6f", e->float64 ? "float64" : "fp32", perplexity(ref));
    if (e->quantised) {
        pl_format_name(&e->plan.weight, w);
        pl_format_name(&e->plan.act, ac);
        pl_format_name(&e->plan.kv, kv);
        pl_table_row(&t, "%s|%s|%s|%.6f|%+.3f %%|%.6f|%.3f %%", w, ac, kv, perplexity(q), 100 * (perplexity(q) / perplexity(ref) - 1),
                     q->kl / (double)q->tokens, 100 * (double)q->top1 / (double)q->tokens);
    }
    pl_table_text(&t, &out);
    fputs(out.data, stdout);
    pl_table_fini(&t);
    pl_buf_fini(&out);
    pl_arena_fini(&a);
}

static void print_json(const struct eval *e, const struct pl_nn_eval *ref, const struct pl_nn_eval *q)
{
    const struct pl_nn_eval *main = e->quantised ? q : ref;
    json_t *o = cli_result("plena.eval/1", e->quantised ? &e->j.arch : NULL);
    json_object_set_new(o, "model", json_string(e->j.model));
    json_object_set_new(o, "text", json_string(e->text));
    json_object_set_new(o, "sequences", json_integer((json_int_t)e->n_seq));
    json_object_set_new(o, "predictions", json_integer((json_int_t)main->tokens));
    json_object_set_new(o, "arithmetic", json_string(e->quantised ? "quantised" : e->float64 ? "float64" : "fp32"));
    json_object_set_new(o, "perplexity", json_real(perplexity(main)));
    json_object_set_new(o, "reference_perplexity", json_real(perplexity(ref)));
    json_object_set_new(o, "unigram_perplexity", json_real(unigram_perplexity(e)));
    if (e->quantised) {
        json_object_set_new(o, "plan", cli_plan_json(&e->plan));
        json_object_set_new(o, "kl", json_real(q->kl / (double)q->tokens));
        json_object_set_new(o, "top1_agreement", json_real((double)q->top1 / (double)q->tokens));
    }
    cli_print_json(o);
}

static enum pl_status run(struct eval *e, const char *model)
{
    struct job *j = &e->j;
    struct pl_nn_eval ref, q = {0};
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(job_model(j, model));
    if (!e->context)
        e->context = j->ck->config.max_position < 512 ? j->ck->config.max_position : 512;
    PL_TRY(read_text(e));
    e->quantised = (j->weights || j->act || j->kv) && !(e->reference || e->float64);
    if (e->quantised)
        PL_TRY(pl_map_plan(&j->arch, &j->ck->config, &j->format[0], &j->format[1], &j->format[2], &e->plan, &j->d));
    PL_TRY(evaluate(e, e->float64 ? PL_NN_F64 : PL_NN_F32, NULL, false, &ref));
    if (e->quantised)
        PL_TRY(evaluate(e, PL_NN_QUANT, &e->plan, true, &q));
    if (j->json)
        print_json(e, &ref, &q);
    else
        print_text(e, &ref, &q);
    return PL_OK;
}

int cmd_eval(const struct verb *v, int argc, char **argv)
{
    struct eval e = {0};
    job_init(&e.j);
    const struct opt o[] = {
        {"text", OPT_TEXT, &e.text, "FILE", ".jsonl (fields ids or text) or plain text"},
        JOB_FORMAT_OPTS(&e.j),
        {"reference", OPT_FLAG, &e.reference, NULL, "fp32 only (the default when no format is given)"},
        {"float64", OPT_FLAG, &e.float64, NULL, "float64 only: the slow executor for test values"},
        {"context", OPT_U64, &e.context, "N", "window of a plain text in tokens (default 512, or the model's)"},
        {"limit", OPT_U64, &e.limit, "N", "only the first N sequences"},
        JOB_MACHINE_OPTS(&e.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !e.text && !e.j.print_config)
        rc = cli_usage(v, "--text FILE is missing");
    if (rc < 0) {
        const enum pl_status s = run(&e, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &e.j.d);
    }
    job_fini(&e.j);
    return rc;
}
