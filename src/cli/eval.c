/* eval.c - plena eval: perplexity, and KL and top-1 agreement against fp32.
 *
 * Protocol: sequences as texts.c reads them. Teacher forcing over every token but a sequence's first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plena/map.h"
#include "plena/ptq_eval.h"
#include "plena/report.h"

struct eval {
    struct job j;
    struct texts t;
    const char *against;
    struct pl_checkpoint *original; /* of --against, or NULL */
    bool reference, float64;
    struct pl_plan plan;
    bool quantised, compared; /* in quantised arithmetic; with KL: that, or fp32 against another model */
};

static enum pl_status evaluate(struct eval *e, enum pl_nn_mode mode, const struct pl_plan *plan, bool against_fp32, struct pl_scores *out)
{
    struct pl_nn *nn = NULL, *ref = NULL;
    struct progress p;
    struct pl_diag *d = &e->j.d;
    const struct pl_checkpoint *original = e->original ? e->original : e->j.ck;
    enum pl_status s = pl_nn_new(against_fp32 ? e->j.ck : original, mode, plan, (uint32_t)e->t.longest, &nn, d);
    if (s == PL_OK && against_fp32)
        s = pl_nn_new(original, PL_NN_F32, NULL, (uint32_t)e->t.longest, &ref, d);
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < e->t.n_seq; i++)
        total += e->t.seq[i].n;
    progress_start(&p, "tokens", total);
    pl_scores_init(&e->j.arena, e->t.n_seq, out);
    for (size_t i = 0; i < e->t.n_seq && s == PL_OK; i++) {
        s = pl_scores_add(nn, ref, &(struct pl_ptq_text){e->t.seq[i].ids, e->t.seq[i].n}, out, d);
        progress_at(&p, done += e->t.seq[i].n);
    }
    progress_end(&p);
    pl_nn_free(nn);
    pl_nn_free(ref);
    return s;
}

/* The model to compare with: what a quantised checkpoint was made from. */
static enum pl_status open_original(struct eval *e)
{
    PL_TRY(pl_checkpoint_open(&e->j.arena, job_find_model(&e->j, e->against), &e->original, &e->j.d));
    if (e->original->config.vocab != e->j.ck->config.vocab)
        return pl_fail(&e->j.d, PL_EUSAGE, "--against %s: has a vocabulary of %u, %s of %u", e->against, e->original->config.vocab,
                       e->j.model, e->j.ck->config.vocab);
    return PL_OK;
}

static double perplexity(const struct pl_scores *s)
{
    return exp(pl_scores_mean(s, s->nll, NULL).mean);
}

static json_int_t predictions(const struct pl_scores *s)
{
    double n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->predictions[i];
    return (json_int_t)n;
}

/* The no-context baseline: ln p from the counts of the very text, so the best any unigram model could do. */
static double unigram_perplexity(const struct eval *e)
{
    const uint32_t vocab = e->j.ck->config.vocab;
    uint64_t *count = calloc(vocab, sizeof *count), n = 0;
    double nll = 0;
    if (!count)
        abort();
    for (size_t i = 0; i < e->t.n_seq; i++)
        for (size_t k = 1; k < e->t.seq[i].n; k++, n++)
            count[e->t.seq[i].ids[k]]++;
    for (uint32_t v = 0; v < vocab; v++)
        if (count[v])
            nll -= (double)count[v] * log((double)count[v] / (double)n);
    free(count);
    return exp(nll / (double)n);
}

static void print_text(const struct eval *e, const struct pl_scores *ref, const struct pl_scores *q)
{
    struct pl_table t;
    struct pl_buf out;
    struct pl_arena a;
    char w[48], ac[48], kv[48];
    pl_arena_init(&a);
    pl_buf_init(&out);
    printf("%s: %zu sequences, %llu predictions; unigram perplexity of the text %.4f\n", e->t.file, e->t.n_seq,
           (unsigned long long)predictions(ref), unigram_perplexity(e));
    pl_table_init(&t, &a, "<weights|<activations|<KV|perplexity|+-|against fp32|+-|KL (nats)|+-|top-1 agreement|+-");
    pl_table_row(&t, "%s|||%.6f|%.6f", e->float64 ? "float64" : "fp32", perplexity(ref), perplexity(ref) * pl_scores_mean(ref, ref->nll, NULL).se);
    if (e->compared) {
        const struct pl_format none = {0};
        const bool mx = e->j.ck->config.quantised;
        pl_format_name(e->quantised ? &e->plan.weight : mx ? &e->j.ck->config.weight : &none, w);
        pl_format_name(e->quantised ? &e->plan.act : &none, ac);
        pl_format_name(e->quantised ? &e->plan.kv : &none, kv);
        const struct pl_ratio nll = pl_scores_mean(q, q->nll, NULL), diff = pl_scores_mean(q, q->nll, ref->nll), kl = pl_scores_mean(q, q->kl, NULL),
                              top = pl_scores_mean(q, q->top1, NULL);
        pl_table_row(&t, "%s|%s|%s|%.6f|%.6f|%+.3f %%|%.3f %%|%.6f|%.6f|%.3f %%|%.3f %%", w, ac, kv, exp(nll.mean), exp(nll.mean) * nll.se,
                     100 * (exp(diff.mean) - 1), 100 * exp(diff.mean) * diff.se, kl.mean, kl.se, 100 * top.mean, 100 * top.se);
    }
    pl_table_text(&t, &out);
    fputs(out.data, stdout);
    pl_table_fini(&t);
    pl_buf_fini(&out);
    pl_arena_fini(&a);
}

static void put_se(json_t *o, const char *key, double se)
{
    if (!isnan(se))
        json_object_set_new(o, key, json_real(se));
}

static void print_json(const struct eval *e, const struct pl_scores *ref, const struct pl_scores *q)
{
    const struct pl_scores *main = e->compared ? q : ref;
    json_t *o = cli_result("plena.eval/1", e->quantised ? &e->j.arch : NULL);
    json_object_set_new(o, "model", json_string(e->j.model));
    if (e->against)
        json_object_set_new(o, "against", json_string(e->original->dir));
    json_object_set_new(o, "text", json_string(e->t.file));
    json_object_set_new(o, "sequences", json_integer((json_int_t)e->t.n_seq));
    json_object_set_new(o, "predictions", json_integer(predictions(main)));
    json_object_set_new(o, "arithmetic", json_string(e->quantised ? "quantised" : e->float64 ? "float64" : "fp32"));
    json_object_set_new(o, "perplexity", json_real(perplexity(main)));
    put_se(o, "perplexity_se", perplexity(main) * pl_scores_mean(main, main->nll, NULL).se);
    json_object_set_new(o, "reference_perplexity", json_real(perplexity(ref)));
    json_object_set_new(o, "unigram_perplexity", json_real(unigram_perplexity(e)));
    if (e->quantised)
        json_object_set_new(o, "plan", cli_plan_json(&e->plan));
    if (e->compared) {
        const struct pl_ratio kl = pl_scores_mean(q, q->kl, NULL), top = pl_scores_mean(q, q->top1, NULL), diff = pl_scores_mean(q, q->nll, ref->nll);
        json_object_set_new(o, "kl", json_real(kl.mean));
        put_se(o, "kl_se", kl.se);
        json_object_set_new(o, "top1_agreement", json_real(top.mean));
        put_se(o, "top1_agreement_se", top.se);
        json_object_set_new(o, "nll_difference", json_real(diff.mean));
        put_se(o, "nll_difference_se", diff.se);
    }
    cli_print_json(o);
}

static enum pl_status run(struct eval *e, const char *model)
{
    struct job *j = &e->j;
    struct pl_scores ref, q = {0};
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(job_model(j, model));
    PL_TRY(texts_read(j, &e->t));
    if (e->against)
        PL_TRY(open_original(e));
    e->compared = e->original != NULL;
    e->quantised = (j->weights || j->act || j->kv || j->ck->config.quantised) && !(e->reference || e->float64);
    if (e->quantised)
        PL_TRY(pl_map_plan(&j->arch, &j->ck->config, &j->format[0], &j->format[1], &j->format[2], &e->plan, &j->d));
    PL_TRY(evaluate(e, e->float64 ? PL_NN_F64 : PL_NN_F32, NULL, false, &ref)); /* of the original, where there is one */
    e->compared |= e->quantised;
    if (e->compared)
        PL_TRY(evaluate(e, e->quantised ? PL_NN_QUANT : PL_NN_F32, &e->plan, true, &q));
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
        {"text", OPT_TEXT, &e.t.file, "FILE", ".jsonl (fields ids or text) or plain text"},
        JOB_FORMAT_OPTS(&e.j),
        {"reference", OPT_FLAG, &e.reference, NULL, "fp32 activations (the default when no format is given, by options or by the checkpoint)"},
        {"float64", OPT_FLAG, &e.float64, NULL, "float64 only: the slow executor for test values"},
        {"context", OPT_U64, &e.t.context, "N", "window of a plain text in tokens (default 512, or the model's)"},
        {"limit", OPT_U64, &e.t.limit, "N", "only N sequences"},
        {"skip", OPT_U64, &e.t.skip, "N", "leave out the first N sequences"},
        {"against", OPT_TEXT, &e.against, "MODEL", "fp32 reference (default MODEL itself): what a quantised checkpoint was made from"},
        JOB_MACHINE_OPTS(&e.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !e.t.file && !e.j.print_config)
        rc = cli_usage(v, "--text FILE is missing");
    if (rc < 0) {
        const enum pl_status s = run(&e, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &e.j.d);
    }
    pl_checkpoint_close(e.original);
    job_fini(&e.j);
    return rc;
}
