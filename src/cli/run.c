/* run.c - plena run: text from the simulated accelerator, then what it cost. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/comp.h"
#include "plena/host.h"
#include "plena/nn.h"
#include "batch.h"

struct run {
    struct job j;
    struct opt_list prompts;
    const char *prompt, *file;
    uint64_t max_tokens, context, chunk;
    bool check, no_stop, dry_run;
    struct report_opts report;
    struct tracer *tracer;
    struct pl_image img;
    struct pl_host *host;
    struct pl_nn *nn;
    uint32_t *ids;
    size_t n_prompt, n; /* ids: prompt, then generated */
    float *logits[2];   /* accelerator, reference */
    uint64_t prefill_cyc, checked;
    double host_seconds;
};

static enum pl_status prepare(struct run *r)
{
    struct job *j = &r->j;
    const struct pl_model_config *c = &j->ck->config;
    const size_t need = r->n_prompt + r->max_tokens;
    if (!r->context)
        r->context = need < c->max_position ? need : c->max_position;
    if (r->context > c->max_position)
        return pl_fail(&j->d, PL_ERANGE, "--context %llu: the model has %u positions", (unsigned long long)r->context, c->max_position);
    if (r->n_prompt > r->context)
        return pl_fail(&j->d, PL_ERANGE, "the prompt has %zu tokens, the context %llu", r->n_prompt, (unsigned long long)r->context);
    if (!r->chunk) /* no wider than the prompt */
        for (r->chunk = 1; r->chunk < 64 && r->chunk < r->n_prompt;)
            r->chunk *= 2;
    const struct pl_comp_options opt = {.weight = &j->format[0], .act = &j->format[1], .kv = &j->format[2],
                                        .context = (uint32_t)r->context, .chunk = (uint32_t)r->chunk};
    PL_TRY(pl_comp_model(&j->arena, j->ck, &j->arch, &opt, &r->img, &j->d));
    if (r->dry_run)
        return PL_OK;
    PL_TRY(tracer_open(&r->report, &(struct report_of){j->model, NULL, &r->img, &j->arch}, &r->tracer, &j->d));
    const struct pl_sim_options so = {.functional = true, .timing = true, .trace = r->tracer ? tracer_retired : NULL,
                                      .trace_ctx = r->tracer};
    PL_TRY(pl_host_new(&j->arch, &r->img, &so, &r->host, &j->d));
    if (!r->check)
        return PL_OK;
    for (int i = 0; i < 2; i++)
        r->logits[i] = PL_NEW_N(&j->arena, float, c->vocab);
    return pl_nn_new(j->ck, PL_NN_QUANT, &r->img.plan, (uint32_t)r->context, &r->nn, &j->d);
}

/* The logits of the pass that appended ids [from, r->n) against the reference executor's. */
static enum pl_status check_pass(struct run *r, size_t from)
{
    const uint32_t vocab = r->j.ck->config.vocab;
    PL_TRY(pl_nn_forward(r->nn, r->ids + from, r->n - from, true, r->logits[1], &r->j.d));
    for (uint32_t i = 0; i < vocab; i++) {
        uint32_t got, want;
        memcpy(&got, &r->logits[0][i], 4);
        memcpy(&want, &r->logits[1][i], 4);
        if (got != want)
            return pl_fail(&r->j.d, PL_EDIFF, "after token %zu: logit %u is %.9g (0x%08x) on the accelerator, %.9g (0x%08x) by nn",
                           r->n - 1, i, (double)r->logits[0][i], got, (double)r->logits[1][i], want);
    }
    r->checked += vocab;
    return PL_OK;
}

/* Print what the text has grown by. Whole decodes keep split characters and leading spaces right. */
static void stream(const struct run *r, struct pl_buf *text)
{
    struct pl_buf now;
    struct pl_diag d;
    pl_buf_init(&now);
    if (r->j.tok && pl_tokenizer_decode(r->j.tok, r->ids, r->n, true, &now, &d) == PL_OK) {
        if (!r->j.json) {
            fwrite(now.data + text->len, 1, now.len - text->len, stdout);
            fflush(stdout);
        }
        pl_buf_put(text, now.data + text->len, now.len - text->len);
    }
    if (!r->j.tok && !r->j.json) {
        printf("%u ", r->ids[r->n - 1]);
        fflush(stdout);
    }
    pl_buf_fini(&now);
}

static enum pl_status generate(struct run *r, struct pl_buf *text)
{
    const uint64_t start = pl_clock_ns();
    size_t from = 0;
    if (r->n_prompt > 1)
        stream(r, text);
    for (;;) {
        uint32_t next;
        PL_TRY(pl_host_forward(r->host, r->ids + from, r->n - from, false, r->logits[0], &next, &r->j.d));
        if (r->check)
            PL_TRY(check_pass(r, from));
        if (!from)
            r->prefill_cyc = pl_sim_stats(pl_host_sim(r->host))->cycles;
        from = r->n;
        if (r->n - r->n_prompt == r->max_tokens)
            break;
        r->ids[r->n++] = next;
        stream(r, text);
        if ((!r->no_stop && batch_ends(&r->j, next)) || r->n > r->context - 1 || r->n - r->n_prompt == r->max_tokens)
            break;
    }
    r->host_seconds = (double)(pl_clock_ns() - start) * 1e-9;
    return PL_OK;
}

struct figures {
    size_t made;
    double ttft, tps, decode_cyc; /* decode_cyc per token */
};

static struct figures figures(const struct run *r, const struct pl_sim_stats *s)
{
    struct figures f = {.made = r->n - r->n_prompt, .ttft = (double)r->prefill_cyc / r->j.arch.clock_hz};
    if (f.made > 1) {
        f.decode_cyc = (double)(s->cycles - r->prefill_cyc) / (double)(f.made - 1);
        f.tps = r->j.arch.clock_hz / f.decode_cyc;
    }
    return f;
}

static void print_report(const struct run *r)
{
    const struct pl_sim_stats *s = pl_sim_stats(pl_host_sim(r->host));
    const struct figures f = figures(r, s);
    char w[48], a[48], kv[48], b1[32], b2[32];
    struct pl_buf out;
    pl_buf_init(&out);
    pl_format_name(&r->img.plan.weight, w);
    pl_format_name(&r->img.plan.act, a);
    pl_format_name(&r->img.plan.kv, kv);
    pl_buf_printf(&out, "\n\nmodel %s on machine %s at %.3g GHz; weights %s, activations %s, KV %s\n", r->j.model, r->j.arch.name,
                  r->j.arch.clock_hz * 1e-9, w, a, kv);
    pl_buf_printf(&out, "TTFT %.3f us: %zu prompt tokens in %s cycles\n", f.ttft * 1e6, r->n_prompt, pl_group_digits(r->prefill_cyc, b1));
    if (f.made > 1)
        pl_buf_printf(&out, "TPS %.1f: %zu tokens generated, %.0f cycles a decode step\n", f.tps, f.made, f.decode_cyc);
    pl_buf_printf(&out, "cycles %s, instructions %s\n\n", pl_group_digits(s->cycles, b1), pl_group_digits(s->insns, b2));
    stats_print(s, &r->img, &r->j.arch, &out);
    report_print(&r->report, &(struct report_of){r->j.model, s, &r->img, &r->j.arch}, &out);
    if (r->check)
        pl_buf_printf(&out, "check: %s logits equal nn bit for bit\n", pl_group_digits(r->checked, b1));
    fputs(out.data, stdout);
    fflush(stdout);
    pl_buf_fini(&out);
    fprintf(stderr, "simulated in %.2f s on the host\n", r->host_seconds);
}

static void print_json(const struct run *r, const struct pl_buf *text)
{
    const struct pl_sim_stats *s = pl_sim_stats(pl_host_sim(r->host));
    const struct figures f = figures(r, s);
    json_t *o = cli_result("plena.run/1", &r->j.arch), *ids = json_array();
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(ids, json_integer(r->ids[i]));
    json_object_set_new(o, "model", json_string(r->j.model));
    json_object_set_new(o, "plan", cli_plan_json(&r->img.plan));
    json_object_set_new(o, "prompt", cli_text_json(r->prompt, strlen(r->prompt)));
    json_object_set_new(o, "text", cli_text_json(text->data, text->len));
    json_object_set_new(o, "ids", ids);
    json_object_set_new(o, "prompt_tokens", json_integer((json_int_t)r->n_prompt));
    json_object_set_new(o, "generated_tokens", json_integer((json_int_t)f.made));
    json_object_set_new(o, "ttft_cycles", json_integer((json_int_t)r->prefill_cyc));
    json_object_set_new(o, "ttft_seconds", json_real(f.ttft));
    json_object_set_new(o, "tps", f.made > 1 ? json_real(f.tps) : json_null());
    json_object_set_new(o, "check", r->check ? json_pack("{s:b, s:I}", "equal", 1, "logits", (json_int_t)r->checked) : json_null());
    json_object_set_new(o, "stats", stats_json(s, &r->img, &r->j.arch, r->report.hot));
    cli_print_json(o);
}

static void print_dry(const struct run *r)
{
    char b1[32], b2[32];
    printf("would run %zu prompt tokens and up to %llu more: %s instruction words, %s bytes of HBM\n", r->n_prompt,
           (unsigned long long)r->max_tokens, pl_group_digits(r->img.n_code, b1), pl_group_digits(r->img.hbm_bytes, b2));
}

static enum pl_status run(struct run *r, const char *model)
{
    PL_TRY(job_machine(&r->j));
    if (job_printed_config(&r->j))
        return PL_OK;
    PL_TRY(job_model(&r->j, model));
    if (r->prompts.n > 1 || r->file) {
        struct batch_run b = {.j = &r->j, .prompt = r->prompts, .file = r->file, .max_tokens = r->max_tokens, .context = r->context,
                              .chunk = r->chunk, .check = r->check, .no_stop = r->no_stop, .dry_run = r->dry_run, .report = &r->report};
        return batch_run(&b);
    }
    r->prompt = r->prompts.n ? r->prompts.v[0] : "";
    PL_TRY(batch_prompt_ids(&r->j, r->prompt, strlen(r->prompt), r->max_tokens, &r->ids, &r->n_prompt));
    r->n = r->n_prompt;
    PL_TRY(prepare(r));
    if (r->dry_run) {
        print_dry(r);
        return PL_OK;
    }
    struct pl_buf text;
    pl_buf_init(&text);
    const enum pl_status s = generate(r, &text);
    if (s != PL_OK && !r->j.json)
        puts("");
    if (s == PL_OK && r->j.json)
        print_json(r, &text);
    else if (s == PL_OK)
        print_report(r);
    pl_buf_fini(&text);
    PL_TRY(s);
    return report_write(&r->report, &(struct report_of){r->j.model, pl_sim_stats(pl_host_sim(r->host)), &r->img, &r->j.arch}, &r->j.d);
}

int cmd_run(const struct verb *v, int argc, char **argv)
{
    struct run r = {.max_tokens = 64};
    job_init(&r.j);
    const struct opt o[] = {
        {"prompt", OPT_LIST, &r.prompts, "TEXT", "text to continue (default none: from the first token); several are decoded together"},
        {"prompts", OPT_TEXT, &r.file, "FILE", "a prompt a line, decoded together"},
        {"max-tokens", OPT_U64, &r.max_tokens, "N", "most tokens to generate (default 64)"},
        JOB_FORMAT_OPTS(&r.j),
        {"check", OPT_FLAG, &r.check, NULL, "compare every pass with nn; exit 1 at the first differing bit"},
        {"context", OPT_U64, &r.context, "N", "KV cache size in tokens (default what the run needs)"},
        {"chunk", OPT_U64, &r.chunk, "N", "tokens of a prefill pass (default what the prompt needs, at most 64)"},
        {"no-stop", OPT_FLAG, &r.no_stop, NULL, "go on after an end-of-text token"},
        {"dry-run", OPT_FLAG, &r.dry_run, NULL, "compile, say what would run, and stop"},
        REPORT_OPTS(&r.report),
        JOB_MACHINE_OPTS(&r.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && (r.max_tokens < 1 || r.max_tokens > (1u << 24)))
        rc = cli_usage(v, "--max-tokens must be 1..16777216");
    if (rc < 0)
        rc = report_check(v, &r.report, false);
    if (rc < 0) {
        enum pl_status s = run(&r, pos[0]);
        const enum pl_status traced = tracer_close(r.tracer, s == PL_OK ? &r.j.d : NULL);
        s = s == PL_OK ? traced : s;
        rc = s == PL_OK ? 0 : cli_fail(s, &r.j.d);
    }
    pl_nn_free(r.nn);
    pl_host_free(r.host);
    job_fini(&r.j);
    return rc;
}
