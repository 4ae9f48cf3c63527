/* batch.c - plena run with several prompts: one prefill after another, then decode passes with a token of each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/comp.h"
#include "plena/host.h"
#include "plena/nn.h"

struct text {
    const char *prompt;
    size_t len;
    uint32_t *ids;
    size_t n_prompt, n; /* ids: prompt, then generated */
    struct pl_nn *nn;
    bool ended;
};
struct batch {
    struct batch_run *o;
    struct text *t;
    size_t n;
    struct pl_image img;
    struct pl_host *host;
    float *logits, *want;
    uint32_t vocab;
    uint64_t prefill_cyc, checked, steps, made;
};

enum pl_status batch_prompt_ids(struct job *j, const char *prompt, size_t len, size_t room, uint32_t **out, size_t *n)
{
    const struct pl_model_config *c = &j->ck->config;
    uint32_t *ids = NULL;
    *n = 0;
    if (!j->tok && len)
        return pl_fail(&j->d, PL_EUNSUPPORTED, "%s: has no tokenizer.json; only an empty --prompt works", j->model);
    if (j->tok)
        PL_TRY(pl_tokenizer_encode(j->tok, &j->arena, prompt, len, true, &ids, n, &j->d));
    const bool no_start = !*n;
    *n += no_start; /* nothing to continue: start as a text starts */
    uint32_t *all = PL_NEW_N(&j->arena, uint32_t, *n + room);
    if (no_start)
        all[0] = c->bos >= 0 ? (uint32_t)c->bos : c->n_eos ? c->eos[0] : 0;
    else
        memcpy(all, ids, *n * sizeof *ids);
    for (size_t i = 0; i < *n; i++)
        if (all[i] >= c->vocab)
            return pl_fail(&j->d, PL_ERANGE, "%s: the tokenizer gives id %u, the model knows %u", j->model, all[i], c->vocab);
    *out = all;
    return PL_OK;
}

bool batch_ends(const struct job *j, uint32_t id)
{
    const struct pl_model_config *c = &j->ck->config;
    for (unsigned i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id)
            return true;
    return false;
}

/* ---- prompts ---- */
/* The prompts of the command line, then the lines of the file. */
static enum pl_status read_prompts(struct batch *b)
{
    struct batch_run *o = b->o;
    struct pl_map m = {0};
    size_t lines = 0;
    if (o->file)
        PL_TRY(pl_file_map(o->file, &m, &o->j->d));
    const char *data = (const char *)m.data;
    for (size_t i = 0; i < m.len; i++)
        lines += data[i] == '\n' || i + 1 == m.len;
    b->t = PL_NEW_N(&o->j->arena, struct text, o->prompt.n + lines + 1);
    for (size_t i = 0; i < o->prompt.n; i++)
        b->t[b->n++] = (struct text){.prompt = o->prompt.v[i], .len = strlen(o->prompt.v[i])};
    for (size_t i = 0; i < m.len;) {
        const char *end = memchr(data + i, '\n', m.len - i);
        const size_t len = end ? (size_t)(end - data) - i : m.len - i;
        char *copy = PL_NEW_N(&o->j->arena, char, len + 1);
        memcpy(copy, data + i, len);
        b->t[b->n++] = (struct text){.prompt = copy, .len = len};
        i += len + 1;
    }
    pl_file_unmap(&m);
    if (!b->n)
        return pl_fail(&o->j->d, PL_EUSAGE, "%s: has no prompt", o->file);
    for (size_t i = 0; i < b->n; i++) {
        struct text *t = &b->t[i];
        PL_TRY(batch_prompt_ids(o->j, t->prompt, t->len, o->max_tokens, &t->ids, &t->n_prompt));
        t->n = t->n_prompt;
    }
    return PL_OK;
}

static enum pl_status prepare(struct batch *b, struct tracer **tracer)
{
    struct batch_run *o = b->o;
    struct job *j = o->j;
    const struct pl_model_config *c = &j->ck->config;
    size_t longest = 0;
    for (size_t i = 0; i < b->n; i++)
        longest = b->t[i].n > longest ? b->t[i].n : longest;
    if (!o->context)
        o->context = longest + o->max_tokens < c->max_position ? longest + o->max_tokens : c->max_position;
    if (o->context > c->max_position || longest > o->context)
        return pl_fail(&j->d, PL_ERANGE, "the longest prompt has %zu tokens, the context %llu, the model %u positions", longest,
                       (unsigned long long)o->context, c->max_position);
    if (!o->chunk)
        for (o->chunk = 1; o->chunk < 64 && o->chunk < longest;)
            o->chunk *= 2;
    const struct pl_comp_options opt = {.weight = &j->format[0], .act = &j->format[1], .kv = &j->format[2], .context = (uint32_t)o->context,
                                        .chunk = (uint32_t)o->chunk, .batch = (uint32_t)b->n};
    PL_TRY(pl_comp_model(&j->arena, j->ck, &j->arch, &opt, &b->img, &j->d));
    if (o->dry_run)
        return PL_OK;
    PL_TRY(tracer_open(o->report, &(struct report_of){j->model, NULL, &b->img, &j->arch}, tracer, &j->d));
    const struct pl_sim_options so = {.functional = true, .timing = true, .trace = *tracer ? tracer_retired : NULL, .trace_ctx = *tracer};
    PL_TRY(pl_host_new(&j->arch, &b->img, &so, &b->host, &j->d));
    b->vocab = c->vocab;
    b->logits = PL_NEW_N(&j->arena, float, b->n * c->vocab);
    b->want = PL_NEW_N(&j->arena, float, c->vocab);
    for (size_t i = 0; i < b->n && o->check; i++)
        PL_TRY(pl_nn_new(j->ck, PL_NN_QUANT, &b->img.plan, (uint32_t)o->context, &b->t[i].nn, &j->d));
    return PL_OK;
}

/* ---- generation ---- */
/* The last `fresh` ids of sequence i went in: its logits against the reference executor's. */
static enum pl_status check(struct batch *b, size_t i, const float *got, size_t fresh)
{
    struct text *t = &b->t[i];
    if (!t->nn)
        return PL_OK;
    PL_TRY(pl_nn_forward(t->nn, t->ids + t->n - fresh, fresh, true, b->want, &b->o->j->d));
    for (uint32_t k = 0; k < b->vocab; k++)
        if (memcmp(&got[k], &b->want[k], sizeof got[k]) != 0)
            return pl_fail(&b->o->j->d, PL_EDIFF, "sequence %zu, after token %zu: logit %u is %.9g on the accelerator, %.9g by nn", i, t->n - 1, k,
                           (double)got[k], (double)b->want[k]);
    b->checked += b->vocab;
    return PL_OK;
}

static void take(struct batch *b, struct text *t, uint32_t id)
{
    t->ids[t->n++] = id;
    b->made++;
    t->ended = t->n - t->n_prompt == b->o->max_tokens || t->n >= b->o->context || (!b->o->no_stop && batch_ends(b->o->j, id));
}

static enum pl_status generate(struct batch *b)
{
    struct pl_diag *d = &b->o->j->d;
    uint32_t *next = PL_NEW_N(&b->o->j->arena, uint32_t, b->n);
    uint32_t *ids = PL_NEW_N(&b->o->j->arena, uint32_t, b->n);
    bool *rest = PL_NEW_N(&b->o->j->arena, bool, b->n);
    for (size_t i = 0; i < b->n; i++) {
        struct text *t = &b->t[i];
        PL_TRY(pl_host_forward_of(b->host, (uint32_t)i, t->ids, t->n, false, b->logits, &next[i], d));
        PL_TRY(check(b, i, b->logits, t->n));
        take(b, t, next[i]);
    }
    b->prefill_cyc = pl_sim_stats(pl_host_sim(b->host))->cycles;
    for (;;) {
        size_t going = 0;
        for (size_t i = 0; i < b->n; i++) {
            rest[i] = b->t[i].ended;
            ids[i] = b->t[i].ids[b->t[i].n - 1];
            going += !rest[i];
        }
        if (!going)
            return PL_OK;
        PL_TRY(pl_host_decode(b->host, ids, rest, b->logits, next, d));
        b->steps++;
        for (size_t i = 0; i < b->n; i++) {
            if (rest[i])
                continue;
            PL_TRY(check(b, i, b->logits + i * b->vocab, 1));
            take(b, &b->t[i], next[i]);
        }
    }
}

/* ---- report ---- */
static void text_of(const struct batch *b, const struct text *t, struct pl_buf *out)
{
    struct pl_diag d;
    if (b->o->j->tok && pl_tokenizer_decode(b->o->j->tok, t->ids, t->n, true, out, &d) == PL_OK)
        return;
    for (size_t i = t->n_prompt; i < t->n; i++)
        pl_buf_printf(out, "%u ", t->ids[i]);
}

static double tokens_per_second(const struct batch *b, uint64_t cycles)
{
    const double decode = (double)(cycles - b->prefill_cyc);
    return b->steps ? (double)(b->made - b->n) / decode * b->o->j->arch.clock_hz : 0;
}

static void print(const struct batch *b, const struct report_of *r, struct pl_buf *out)
{
    const struct job *j = b->o->j;
    char b1[32], b2[32];
    for (size_t i = 0; i < b->n; i++) {
        pl_buf_printf(out, "[%zu] ", i);
        text_of(b, &b->t[i], out);
        pl_buf_puts(out, "\n");
    }
    pl_buf_printf(out, "\nmodel %s on machine %s at %.3g GHz; %zu sequences\n", j->model, j->arch.name, j->arch.clock_hz * 1e-9, b->n);
    pl_buf_printf(out, "prefill of all %s cycles; %llu decode passes of %.0f cycles, TPS %.1f of all sequences\n",
                  pl_group_digits(b->prefill_cyc, b1), (unsigned long long)b->steps,
                  b->steps ? (double)(r->s->cycles - b->prefill_cyc) / (double)b->steps : 0.0, tokens_per_second(b, r->s->cycles));
    pl_buf_printf(out, "cycles %s, instructions %s\n\n", pl_group_digits(r->s->cycles, b1), pl_group_digits(r->s->insns, b2));
    stats_print(r->s, &b->img, &j->arch, out);
    report_print(b->o->report, r, out);
    if (b->o->check)
        pl_buf_printf(out, "check: %s logits equal nn bit for bit\n", pl_group_digits(b->checked, b1));
}

static void print_json(const struct batch *b, const struct report_of *r)
{
    json_t *o = cli_result("plena.run-batch/1", &b->o->j->arch), *list = json_array();
    for (size_t i = 0; i < b->n; i++) {
        const struct text *t = &b->t[i];
        struct pl_buf text;
        json_t *s = json_object(), *ids = json_array();
        pl_buf_init(&text);
        text_of(b, t, &text);
        for (size_t k = 0; k < t->n; k++)
            json_array_append_new(ids, json_integer(t->ids[k]));
        json_object_set_new(s, "prompt", cli_text_json(t->prompt, t->len));
        json_object_set_new(s, "text", cli_text_json(text.data, text.len));
        json_object_set_new(s, "ids", ids);
        json_object_set_new(s, "prompt_tokens", json_integer((json_int_t)t->n_prompt));
        json_array_append_new(list, s);
        pl_buf_fini(&text);
    }
    json_object_set_new(o, "model", json_string(b->o->j->model));
    json_object_set_new(o, "sequences", list);
    json_object_set_new(o, "prefill_cycles", json_integer((json_int_t)b->prefill_cyc));
    json_object_set_new(o, "decode_passes", json_integer((json_int_t)b->steps));
    json_object_set_new(o, "tps", json_real(tokens_per_second(b, r->s->cycles)));
    json_object_set_new(o, "check", b->o->check ? json_pack("{s:b, s:I}", "equal", 1, "logits", (json_int_t)b->checked) : json_null());
    json_object_set_new(o, "stats", stats_json(r->s, &b->img, &b->o->j->arch, b->o->report->hot));
    cli_print_json(o);
}

static enum pl_status finish(const struct batch *b)
{
    const struct report_of r = {b->o->j->model, pl_sim_stats(pl_host_sim(b->host)), &b->img, &b->o->j->arch};
    struct pl_buf out;
    if (b->o->j->json) {
        print_json(b, &r);
    } else {
        pl_buf_init(&out);
        print(b, &r, &out);
        fputs(out.data, stdout);
        pl_buf_fini(&out);
    }
    return report_write(b->o->report, &r, &b->o->j->d);
}

enum pl_status batch_run(struct batch_run *o)
{
    struct batch b = {.o = o};
    struct tracer *tracer = NULL;
    enum pl_status s = read_prompts(&b);
    if (s == PL_OK)
        s = prepare(&b, &tracer);
    if (s == PL_OK && o->dry_run)
        printf("would run %zu sequences: %zu instruction words, %llu bytes of HBM\n", b.n, b.img.n_code, (unsigned long long)b.img.hbm_bytes);
    if (s == PL_OK && !o->dry_run)
        s = generate(&b);
    if (s == PL_OK && !o->dry_run)
        s = finish(&b);
    const enum pl_status traced = tracer_close(tracer, s == PL_OK ? &o->j->d : NULL);
    for (size_t i = 0; i < b.n; i++)
        pl_nn_free(b.t[i].nn);
    pl_host_free(b.host);
    return s == PL_OK ? traced : s;
}
