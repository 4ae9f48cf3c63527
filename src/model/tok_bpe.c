/* tok_bpe.c - byte-pair merging of one word: lowest rank first, leftmost on a tie, in O(n log n). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tok_internal.h"

struct symbol {
    uint32_t id;
    uint32_t prev, next; /* TOK_NONE at the ends */
};
struct candidate {
    uint32_t rank, at; /* left symbol */
    uint32_t left, right, id;
};
struct heap {
    struct candidate *v;
    size_t n, cap;
};

static void *grown(void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? 2 * *cap : 64;
    p = realloc(p, *cap * size);
    if (!p)
        abort();
    return p;
}

void tok_push(struct tok_ids *ids, uint32_t id)
{
    ids->v = grown(ids->v, ids->n, &ids->cap, sizeof *ids->v);
    ids->v[ids->n++] = id;
}

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct heap *h, struct candidate c)
{
    h->v = grown(h->v, h->n, &h->cap, sizeof *h->v);
    size_t i = h->n++;
    for (; i && before(&c, &h->v[(i - 1) / 2]); i = (i - 1) / 2)
        h->v[i] = h->v[(i - 1) / 2];
    h->v[i] = c;
}

static struct candidate heap_pop(struct heap *h)
{
    const struct candidate top = h->v[0], last = h->v[--h->n];
    size_t i = 0;
    for (size_t kid; (kid = 2 * i + 1) < h->n; i = kid) {
        if (kid + 1 < h->n && before(&h->v[kid + 1], &h->v[kid]))
            kid++;
        if (!before(&h->v[kid], &last))
            break;
        h->v[i] = h->v[kid];
    }
    h->v[i] = last;
    return top;
}

static const struct tok_merge *find_merge(const struct pl_tokenizer *t, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    for (uint32_t i = (uint32_t)(pair * 0x9e3779b97f4a7c15u >> 32);; i++) {
        const struct tok_merge *m = &t->merge[i & t->merge_mask];
        if (m->pair == pair)
            return m;
        if (m->pair == UINT64_MAX)
            return NULL;
    }
}

static void consider(const struct pl_tokenizer *t, const struct symbol *s, uint32_t at, struct heap *h)
{
    if (at == TOK_NONE || s[at].next == TOK_NONE)
        return;
    const uint32_t left = s[at].id, right = s[s[at].next].id;
    const struct tok_merge *m = find_merge(t, left, right);
    if (m)
        heap_push(h, (struct candidate){m->rank, at, left, right, m->id});
}

/* The word's characters as tokens: vocabulary, else bytes, else the unknown token. */
static enum pl_status characters(const struct pl_tokenizer *t, const char *s, size_t len, struct tok_ids *out,
                                 struct pl_diag *d)
{
    bool was_unk = false;
    for (size_t i = 0; i < len;) {
        const unsigned n = tok_char_len(s + i, len - i);
        const uint32_t id = tok_find(t, s + i, n);
        bool bytes = t->byte_fallback;
        for (unsigned k = 0; k < n && bytes; k++)
            bytes = t->byte_id[(unsigned char)s[i + k]] != TOK_NONE;
        if (id != TOK_NONE) {
            tok_push(out, id);
        } else if (bytes) {
            for (unsigned k = 0; k < n; k++)
                tok_push(out, t->byte_id[(unsigned char)s[i + k]]);
        } else if (t->unk == TOK_NONE) {
            return pl_fail(d, PL_ERANGE, "text: no token covers \"%.*s\" (byte 0x%02x) and there is no unknown token",
                           (int)n, s + i, (unsigned char)s[i]);
        } else if (!(was_unk && t->fuse_unk)) {
            tok_push(out, t->unk);
        }
        was_unk = id == TOK_NONE && !bytes;
        i += n;
    }
    return PL_OK;
}

static void merge_all(const struct pl_tokenizer *t, struct symbol *s, size_t n)
{
    struct heap h = {0};
    for (uint32_t i = 0; i + 1 < n; i++)
        consider(t, s, i, &h);
    while (h.n) {
        const struct candidate c = heap_pop(&h);
        if (s[c.at].id != c.left || s[c.at].next == TOK_NONE || s[s[c.at].next].id != c.right)
            continue; /* one of the two was merged meanwhile */
        const uint32_t gone = s[c.at].next;
        s[c.at].id = c.id;
        s[c.at].next = s[gone].next;
        if (s[gone].next != TOK_NONE)
            s[s[gone].next].prev = c.at;
        s[gone].id = TOK_NONE;
        s[gone].next = TOK_NONE;
        consider(t, s, s[c.at].prev, &h);
        consider(t, s, c.at, &h);
    }
    free(h.v);
}

enum pl_status tok_bpe(const struct pl_tokenizer *t, const char *s, size_t len, struct tok_ids *out, struct pl_diag *d)
{
    const uint32_t whole = t->ignore_merges ? tok_find(t, s, len) : TOK_NONE;
    if (whole != TOK_NONE) {
        tok_push(out, whole);
        return PL_OK;
    }
    struct tok_ids raw = {0};
    const enum pl_status st = characters(t, s, len, &raw, d);
    struct symbol *sym = st == PL_OK && raw.n ? calloc(raw.n, sizeof *sym) : NULL;
    if (sym) {
        for (uint32_t i = 0; i < raw.n; i++)
            sym[i] = (struct symbol){raw.v[i], i ? i - 1 : TOK_NONE, i + 1 < raw.n ? i + 1 : TOK_NONE};
        merge_all(t, sym, raw.n);
        for (uint32_t i = 0; i != TOK_NONE; i = sym[i].next)
            tok_push(out, sym[i].id);
    }
    const bool no_memory = st == PL_OK && raw.n && !sym;
    free(sym);
    free(raw.v);
    return no_memory ? pl_fail(d, PL_ENOMEM, "text: no memory for a word of %zu bytes", len) : st;
}
