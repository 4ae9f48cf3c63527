/* texts.c - sequences of token ids from a file, for eval and quantize.
 *
 * A .jsonl gives one sequence per line (its "ids", or its "text" through the tokenizer); any other file is one text, cut
 * into windows of --context tokens, each beginning with what the tokenizer puts before a text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "plena/ptq.h"

static enum pl_status add_sequence(struct texts *e, const uint32_t *ids, size_t n)
{
    struct pl_diag *d = &e->j->d;
    const uint32_t vocab = e->j->ck->config.vocab;
    if (e->limit && e->n_seq == e->limit)
        return PL_OK;
    if (e->skipped < e->skip) {
        e->skipped++;
        return PL_OK;
    }
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= vocab)
            return pl_fail(d, PL_ERANGE, "%s: sequence %zu: id %u is outside the vocabulary of %u", e->file, e->n_seq + 1, ids[i], vocab);
    if (n > e->j->ck->config.max_position)
        return pl_fail(d, PL_ERANGE, "%s: sequence %zu has %zu tokens, the model %u positions", e->file, e->n_seq + 1, n,
                       e->j->ck->config.max_position);
    struct sequence *s = &e->seq[e->n_seq++];
    s->ids = PL_NEW_N(&e->j->arena, uint32_t, n + 1);
    if (n)
        memcpy(s->ids, ids, n * sizeof *ids);
    s->n = n;
    e->longest = n > e->longest ? n : e->longest;
    return PL_OK;
}

static enum pl_status need_tokenizer(struct texts *e)
{
    return e->j->tok ? PL_OK : pl_fail(&e->j->d, PL_EUNSUPPORTED, "%s: has no tokenizer.json; %s must hold ids", e->j->model, e->file);
}

static enum pl_status add_line(struct texts *e, const char *line, size_t len, size_t number)
{
    struct pl_diag *d = &e->j->d;
    char name[512];
    snprintf(name, sizeof name, "%.400s line %zu", e->file, number);
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
        ids = PL_NEW_N(&e->j->arena, uint32_t, n + 1);
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
            s = pl_tokenizer_encode(e->j->tok, &e->j->arena, json_string_value(text), json_string_length(text), true, &ids, &n, d);
    }
    if (s == PL_OK)
        s = add_sequence(e, ids, n);
    json_decref(o);
    return s;
}

static enum pl_status add_jsonl(struct texts *e, const struct pl_map *m)
{
    const char *p = (const char *)m->data, *end = p + m->len;
    size_t lines = 1, number = 0;
    for (const char *q = p; q < end; q++)
        lines += *q == '\n';
    e->seq = PL_NEW_N(&e->j->arena, struct sequence, lines);
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        number++;
        if (stop > p && strspn(p, " \t\r") < (size_t)(stop - p))
            PL_TRY(add_line(e, p, (size_t)(stop - p), number));
        p = stop + 1;
    }
    return PL_OK;
}

static enum pl_status add_plain(struct texts *e, const struct pl_map *m)
{
    struct pl_diag *d = &e->j->d;
    uint32_t *all, *start;
    size_t n, before;
    PL_TRY(need_tokenizer(e));
    PL_TRY(pl_tokenizer_encode(e->j->tok, &e->j->arena, "", 0, true, &start, &before, d));
    PL_TRY(pl_tokenizer_encode(e->j->tok, &e->j->arena, (const char *)m->data, m->len, false, &all, &n, d));
    if (e->context <= before + 1)
        return pl_fail(d, PL_EUSAGE, "--context %llu is too short", (unsigned long long)e->context);
    const size_t step = e->context - before;
    uint32_t *window = PL_NEW_N(&e->j->arena, uint32_t, e->context);
    e->seq = PL_NEW_N(&e->j->arena, struct sequence, n / step + 1);
    memcpy(window, start, before * sizeof *start);
    for (size_t i = 0; i < n; i += step) {
        const size_t len = n - i < step ? n - i : step;
        memcpy(window + before, all + i, len * sizeof *all);
        PL_TRY(add_sequence(e, window, before + len));
    }
    return PL_OK;
}

enum pl_status texts_read(struct job *j, struct texts *e)
{
    struct pl_map m;
    e->j = j;
    if (!e->context)
        e->context = j->ck->config.max_position < 512 ? j->ck->config.max_position : 512;
    PL_TRY(pl_file_map(e->file, &m, &e->j->d));
    const size_t len = strlen(e->file);
    const bool jsonl = len > 6 && !strcmp(e->file + len - 6, ".jsonl");
    const enum pl_status s = jsonl ? add_jsonl(e, &m) : add_plain(e, &m);
    pl_file_unmap(&m);
    PL_TRY(s);
    for (size_t i = 0; i < e->n_seq; i++)
        if (e->seq[i].n > 1)
            return PL_OK;
    return pl_fail(&e->j->d, PL_EPARSE, "%s: holds no sequence of two tokens or more", e->file);
}

struct pl_ptq_text *texts_of(const struct texts *t)
{
    struct pl_ptq_text *text = PL_NEW_N(&t->j->arena, struct pl_ptq_text, t->n_seq + 1);
    for (size_t i = 0; i < t->n_seq; i++)
        text[i] = (struct pl_ptq_text){t->seq[i].ids, t->seq[i].n};
    return text;
}
