/* tok_encode.c - text to ids: added tokens, normalizers, pre-tokenizers, then BPE of every piece. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "tok_internal.h"

struct piece {
    struct tok_str text;
    bool first; /* begins where the whole text begins */
};
struct pieces {
    struct piece *v;
    size_t n, cap;
};
struct encoder {
    const struct pl_tokenizer *t;
    struct pl_arena scratch;
    pcre2_match_context *limits;
    struct tok_ids ids;
    size_t most; /* bytes a text may grow to: replacements of replacements multiply */
    struct pl_diag *d;
};

static void add(struct pieces *p, struct tok_str s, bool first)
{
    if (!s.len)
        return;
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->v = realloc(p->v, p->cap * sizeof *p->v);
        if (!p->v)
            abort();
    }
    p->v[p->n++] = (struct piece){s, first};
}

static struct tok_str join(struct encoder *e, struct tok_str a, struct tok_str b)
{
    char *s = pl_alloc(&e->scratch, a.len + b.len + 1);
    memcpy(s, a.s, a.len);
    memcpy(s + a.len, b.s, b.len);
    return (struct tok_str){s, a.len + b.len};
}

static struct tok_str keep(struct encoder *e, const struct pl_buf *b)
{
    char *p = pl_alloc(&e->scratch, b->len + 1);
    memcpy(p, b->data, b->len);
    return (struct tok_str){p, b->len};
}

/* The next match at or after `from`: 1 with [*at, *end), 0 for none. Empty matches are stepped over. */
static int next_match(const struct tok_step *s, struct tok_str in, size_t from, pcre2_match_context *limits, size_t *at,
                      size_t *end)
{
    if (!s->re) {
        const char *hit = s->from.len <= in.len - from ? memmem(in.s + from, in.len - from, s->from.s, s->from.len) : NULL;
        *at = hit ? (size_t)(hit - in.s) : 0;
        *end = *at + s->from.len;
        return hit != NULL;
    }
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    if (!m)
        abort();
    int rc;
    for (;; from++) {
        rc = pcre2_match(s->re, (PCRE2_SPTR)in.s, in.len, from, 0, m, limits);
        *at = rc >= 0 ? pcre2_get_ovector_pointer(m)[0] : 0;
        *end = rc >= 0 ? pcre2_get_ovector_pointer(m)[1] : 0;
        if (rc < 0 || *end > *at || from >= in.len)
            break;
    }
    pcre2_match_data_free(m);
    if (rc >= 0)
        return *end > *at;
    return rc == PCRE2_ERROR_NOMATCH ? 0 : rc;
}

static enum pl_status regex_failed(struct encoder *e, int rc)
{
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(rc, text, sizeof text);
    return pl_fail(e->d, PL_EPARSE, "text: a pattern of the tokenizer fails: %s", (char *)text);
}

static enum pl_status replace(struct encoder *e, const struct tok_step *s, struct tok_str *text)
{
    struct pl_buf b;
    pl_buf_init(&b);
    size_t from = 0, at, end;
    int rc = 0;
    while (b.len <= e->most && (rc = next_match(s, *text, from, e->limits, &at, &end)) == 1) {
        pl_buf_put(&b, text->s + from, at - from);
        pl_buf_put(&b, s->to.s, s->to.len);
        from = end;
    }
    if (b.len > e->most) {
        pl_buf_fini(&b);
        return pl_fail(e->d, PL_ERANGE, "text: replacements of the tokenizer grow it beyond %zu bytes", e->most);
    }
    pl_buf_put(&b, text->s + from, text->len - from);
    *text = keep(e, &b);
    pl_buf_fini(&b);
    return rc < 0 ? regex_failed(e, rc) : PL_OK;
}

static enum pl_status unicode(struct encoder *e, const struct tok_step *s, struct tok_str *text)
{
    utf8proc_uint8_t *out = NULL;
    const utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text->s, (utf8proc_ssize_t)text->len, &out, (utf8proc_option_t)s->form);
    if (n < 0)
        return pl_fail(e->d, PL_EPARSE, "text: cannot be normalised: %s", utf8proc_errmsg(n));
    char *p = pl_alloc(&e->scratch, (size_t)n + 1);
    memcpy(p, out, (size_t)n);
    free(out);
    *text = (struct tok_str){p, (size_t)n};
    return PL_OK;
}

static enum pl_status normalise(struct encoder *e, struct tok_str *text)
{
    for (unsigned i = 0; i < e->t->n_normal; i++) {
        const struct tok_step *s = &e->t->normal[i];
        if (!text->len)
            return PL_OK;
        if (s->kind == TOK_PREPEND)
            *text = join(e, s->to, *text);
        else if (s->kind == TOK_REPLACE)
            PL_TRY(replace(e, s, text));
        else
            PL_TRY(unicode(e, s, text));
    }
    return PL_OK;
}

static struct tok_str slice(struct tok_str s, size_t from, size_t to)
{
    return (struct tok_str){s.s + from, to - from};
}

static enum pl_status split(struct encoder *e, const struct tok_step *s, struct piece in, struct pieces *out)
{
    size_t from = 0, at, end;
    int rc;
    while ((rc = next_match(s, in.text, from, e->limits, &at, &end)) == 1) {
        if (!(s->remove && s->invert))
            add(out, slice(in.text, from, at), in.first && !from);
        if (!s->remove || s->invert)
            add(out, slice(in.text, at, end), in.first && !at);
        from = end;
    }
    if (!(s->remove && s->invert))
        add(out, slice(in.text, from, in.text.len), in.first && !from);
    return rc < 0 ? regex_failed(e, rc) : PL_OK;
}

static void to_bytes(struct encoder *e, struct piece in, struct pieces *out)
{
    char *s = pl_alloc(&e->scratch, 2 * in.text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.text.len; i++)
        n += tok_byte_char((unsigned char)in.text.s[i], s + n);
    add(out, (struct tok_str){s, n}, in.first);
}

static enum pl_status metaspace(struct encoder *e, const struct tok_step *s, struct piece in, struct pieces *out)
{
    const struct tok_step space = {.kind = TOK_REPLACE, .from = {" ", 1}, .to = s->to};
    PL_TRY(replace(e, &space, &in.text));
    const bool has = in.text.len >= s->to.len && !memcmp(in.text.s, s->to.s, s->to.len);
    if (!has && (s->prepend == TOK_ALWAYS || (s->prepend == TOK_FIRST && in.first)))
        in.text = join(e, s->to, in.text);
    size_t from = 0;
    for (size_t i = 1; s->split && i + s->to.len <= in.text.len; i++)
        if (!memcmp(in.text.s + i, s->to.s, s->to.len)) {
            add(out, slice(in.text, from, i), in.first && !from);
            from = i;
        }
    add(out, slice(in.text, from, in.text.len), in.first && !from);
    return PL_OK;
}

/* One step over all pieces. */
static enum pl_status pre_step(struct encoder *e, const struct tok_step *s, const struct pieces *in, struct pieces *out)
{
    for (size_t i = 0; i < in->n; i++) {
        struct piece p = in->v[i];
        switch (s->kind) {
        case TOK_SPLIT:
            PL_TRY(split(e, s, p, out));
            break;
        case TOK_METASPACE:
            PL_TRY(metaspace(e, s, p, out));
            break;
        case TOK_PREPEND: /* add_prefix_space: unless there is one */
            if (p.text.s[0] != s->to.s[0])
                p.text = join(e, s->to, p.text);
            add(out, p.text, p.first);
            break;
        default:
            to_bytes(e, p, out);
        }
    }
    return PL_OK;
}

/* A segment without added tokens. */
static enum pl_status encode_plain(struct encoder *e, struct tok_str text, bool first)
{
    struct pieces a = {0}, b = {0};
    enum pl_status s = PL_OK;
    add(&a, text, first);
    for (unsigned i = 0; i < e->t->n_pre && s == PL_OK; i++) {
        b.n = 0;
        s = pre_step(e, &e->t->pre[i], &a, &b);
        const struct pieces swap = a;
        a = b;
        b = swap;
    }
    for (size_t i = 0; i < a.n && s == PL_OK; i++)
        s = tok_bpe(e->t, a.v[i].text.s, a.v[i].text.len, &e->ids, e->d);
    free(a.v);
    free(b.v);
    return s;
}

/* The longest added token (normalized or not, as asked) that starts at s. */
static const struct tok_added *added_at(const struct pl_tokenizer *t, const char *s, size_t len, bool normalized)
{
    const struct tok_added *best = NULL;
    for (size_t i = 0; i < t->n_added; i++) {
        const struct tok_added *a = &t->added[i];
        if (a->normalized == normalized && a->text.len <= len && a->text.s[0] == s[0] &&
            !memcmp(a->text.s, s, a->text.len) && (!best || a->text.len > best->text.len))
            best = a;
    }
    return best;
}

static bool space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

typedef enum pl_status segment_fn(struct encoder *e, struct tok_str text, bool first);

/* Cut `text` at added tokens; what lies between goes to `rest`. */
static enum pl_status cut(struct encoder *e, struct tok_str text, bool first, bool normalized, segment_fn *rest)
{
    size_t from = 0;
    bool any = false;
    for (size_t i = 0; i < e->t->n_added; i++)
        any = any || e->t->added[i].normalized == normalized;
    for (size_t i = 0; any && i < text.len;) {
        const struct tok_added *a = added_at(e->t, text.s + i, text.len - i, normalized);
        if (!a) {
            i++;
            continue;
        }
        size_t end = i;
        while (a->lstrip && end > from && space(text.s[end - 1]))
            end--;
        if (end > from)
            PL_TRY(rest(e, slice(text, from, end), first && !from));
        tok_push(&e->ids, a->id);
        i += a->text.len;
        while (a->rstrip && i < text.len && space(text.s[i]))
            i++;
        from = i;
    }
    return from < text.len ? rest(e, slice(text, from, text.len), first && !from) : PL_OK;
}

static enum pl_status raw_segment(struct encoder *e, struct tok_str text, bool first)
{
    PL_TRY(normalise(e, &text));
    return cut(e, text, first, true, encode_plain);
}

enum pl_status pl_tokenizer_encode(const struct pl_tokenizer *t, struct pl_arena *a, const char *text, size_t len,
                                   bool add_special, uint32_t **ids, size_t *n, struct pl_diag *d)
{
    struct encoder e = {.t = t, .limits = pcre2_match_context_create(NULL), .d = d};
    if (!e.limits)
        abort();
    pcre2_set_match_limit(e.limits, 10000000);
    pcre2_set_depth_limit(e.limits, 100000);
    pl_arena_init(&e.scratch);
    e.most = 64 * len + (1 << 20);
    for (unsigned i = 0; add_special && i < t->n_before; i++)
        tok_push(&e.ids, t->before[i]);
    const enum pl_status s = cut(&e, (struct tok_str){text, len}, true, false, raw_segment);
    for (unsigned i = 0; add_special && i < t->n_after; i++)
        tok_push(&e.ids, t->after[i]);
    if (s == PL_OK) {
        *ids = PL_NEW_N(a, uint32_t, e.ids.n + 1);
        *n = e.ids.n;
        if (e.ids.n)
            memcpy(*ids, e.ids.v, e.ids.n * sizeof **ids);
    }
    free(e.ids.v);
    pl_arena_fini(&e.scratch);
    pcre2_match_context_free(e.limits);
    return s;
}
