/* tokenizer.c - tokenizer.json: the tables of the BPE model. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tok_internal.h"

enum { MAX_ID = 1 << 24 };

static uint32_t hash(const char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

uint32_t tok_find(const struct pl_tokenizer *t, const char *s, size_t len)
{
    for (uint32_t i = hash(s, len);; i++) {
        const uint32_t id = t->slot[i & t->slot_mask];
        if (id == TOK_NONE)
            return TOK_NONE;
        if (t->token[id].text.len == len && !memcmp(t->token[id].text.s, s, len))
            return id;
    }
}

static void insert(struct pl_tokenizer *t, uint32_t id)
{
    uint32_t i = hash(t->token[id].text.s, t->token[id].text.len);
    while (t->slot[i & t->slot_mask] != TOK_NONE)
        i++;
    t->slot[i & t->slot_mask] = id;
}

/* jansson refuses a NUL in an object key, and some vocabularies have one. The escape \u0000 is therefore read as the
 * noncharacter U+FDD0 and put back here. */
#define STAND_IN "\xef\xb7\x90"

static struct tok_str tok_bytes(struct pl_tokenizer *t, const char *in, size_t len)
{
    char *s = pl_alloc(&t->arena, len + 1), *p = s;
    for (size_t i = 0; i < len;) {
        if (t->nul && len - i >= 3 && !memcmp(in + i, STAND_IN, 3)) {
            *p++ = 0;
            i += 3;
        } else {
            *p++ = in[i++];
        }
    }
    return (struct tok_str){s, (size_t)(p - s)};
}

struct tok_str tok_string(struct pl_tokenizer *t, const json_t *v)
{
    return tok_bytes(t, json_string_value(v), json_string_length(v));
}

static bool replace_nul(const struct pl_source *src, struct pl_buf *out)
{
    bool found = false;
    pl_buf_put(out, src->text, src->len);
    for (size_t i = 0; i + 6 <= out->len; i++) {
        if (out->data[i] != '\\')
            continue;
        if (!memcmp(out->data + i, "\\u0000", 6)) {
            memcpy(out->data + i, "\\uFDD0", 6);
            found = true;
        }
        i++; /* the escaped character, whatever it is */
    }
    return found;
}

static int16_t byte_of(struct tok_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    if (s.len != 6 || memcmp(s.s, "<0x", 3) || s.s[5] != '>')
        return -1;
    const char *hi = memchr(hex, s.s[3], 16), *lo = memchr(hex, s.s[4], 16);
    return hi && lo ? (int16_t)(16 * (hi - hex) + (lo - hex)) : -1;
}

static enum pl_status set_token(struct pl_tokenizer *t, const char *file, struct tok_str s, uint32_t id,
                                struct pl_diag *d)
{
    if (!s.len)
        return pl_fail(d, PL_EPARSE, "%s: token %u is empty", file, id);
    if (t->token[id].used) {
        if (t->token[id].text.len == s.len && !memcmp(t->token[id].text.s, s.s, s.len))
            return PL_OK; /* an added token that the vocabulary has too */
        return pl_fail(d, PL_EPARSE, "%s: id %u is given to both \"%s\" and \"%s\"", file, id, t->token[id].text.s, s.s);
    }
    t->token[id] = (struct tok_token){s, true, false, byte_of(s)};
    if (t->token[id].byte >= 0)
        t->byte_id[t->token[id].byte] = id;
    return PL_OK;
}

static enum pl_status id_of(const char *file, const char *what, const json_t *v, uint32_t *id, struct pl_diag *d)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= MAX_ID)
        return pl_fail(d, PL_ERANGE, "%s: %s: id is not an integer in 0..%d", file, what, MAX_ID - 1);
    *id = (uint32_t)json_integer_value(v);
    return PL_OK;
}

static enum pl_status load_vocab(struct pl_tokenizer *t, const char *file, json_t *vocab, const json_t *added,
                                 struct pl_diag *d)
{
    const char *key;
    json_t *v;
    size_t i;
    uint32_t id = 0;
    json_object_foreach (vocab, key, v) {
        PL_TRY(id_of(file, "model.vocab", v, &id, d));
        t->n = id >= t->n ? id + 1 : t->n;
    }
    json_array_foreach (added, i, v) {
        PL_TRY(id_of(file, "added_tokens", json_object_get(v, "id"), &id, d));
        t->n = id >= t->n ? id + 1 : t->n;
    }
    if (!t->n)
        return pl_fail(d, PL_EPARSE, "%s: model.vocab: is empty", file);
    if (t->n > 16 * (json_object_size(vocab) + json_array_size(added)) + 65536)
        return pl_fail(d, PL_ERANGE, "%s: model.vocab: largest id %u for %zu tokens", file, t->n - 1, json_object_size(vocab));
    t->token = PL_NEW_N(&t->arena, struct tok_token, t->n);
    json_object_foreach (vocab, key, v) {
        const struct tok_str s = tok_bytes(t, key, strlen(key));
        PL_TRY(set_token(t, file, s, (uint32_t)json_integer_value(v), d));
    }
    return PL_OK;
}

static enum pl_status load_added(struct pl_tokenizer *t, const char *file, const json_t *list, struct pl_diag *d)
{
    const struct pl_json_at at = {file, "added_tokens"};
    size_t i;
    json_t *v, *text = NULL;
    t->added = PL_NEW_N(&t->arena, struct tok_added, json_array_size(list) + 1);
    json_array_foreach (list, i, v) {
        struct tok_added *a = &t->added[t->n_added++];
        bool special = false, single = false;
        PL_TRY(pl_json_member(&at, v, "content", true, JSON_STRING, &text, d));
        PL_TRY(pl_json_bool(&at, v, "special", false, &special, d));
        PL_TRY(pl_json_bool(&at, v, "single_word", false, &single, d));
        PL_TRY(pl_json_bool(&at, v, "lstrip", false, &a->lstrip, d));
        PL_TRY(pl_json_bool(&at, v, "rstrip", false, &a->rstrip, d));
        PL_TRY(pl_json_bool(&at, v, "normalized", false, &a->normalized, d));
        if (single)
            return pl_fail(d, PL_EUNSUPPORTED, "%s: added_tokens: single_word is not supported", file);
        a->text = tok_string(t, text);
        a->id = (uint32_t)json_integer_value(json_object_get(v, "id"));
        PL_TRY(set_token(t, file, a->text, a->id, d));
        t->token[a->id].special = special;
    }
    return PL_OK;
}

static enum pl_status one_merge(struct pl_tokenizer *t, const char *file, size_t rank, const json_t *v, struct pl_buf *tmp,
                                struct pl_diag *d)
{
    struct tok_str l, r;
    if (json_is_string(v)) {
        const struct tok_str s = tok_string(t, v);
        const char *gap = memchr(s.s, ' ', s.len);
        if (!gap)
            return pl_fail(d, PL_EPARSE, "%s: model.merges[%zu]: no space between the parts", file, rank);
        l = (struct tok_str){s.s, (size_t)(gap - s.s)};
        r = (struct tok_str){gap + 1, s.len - l.len - 1};
    } else if (json_is_array(v) && json_array_size(v) == 2 && json_is_string(json_array_get(v, 0)) &&
               json_is_string(json_array_get(v, 1))) {
        l = tok_string(t, json_array_get(v, 0));
        r = tok_string(t, json_array_get(v, 1));
    } else {
        return pl_fail(d, PL_EPARSE, "%s: model.merges[%zu]: expected \"left right\" or two strings", file, rank);
    }
    tmp->len = 0;
    pl_buf_put(tmp, l.s, l.len);
    pl_buf_put(tmp, r.s, r.len);
    const uint32_t left = tok_find(t, l.s, l.len), right = tok_find(t, r.s, r.len), id = tok_find(t, tmp->data, tmp->len);
    if (left == TOK_NONE || right == TOK_NONE || id == TOK_NONE)
        return pl_fail(d, PL_EPARSE, "%s: model.merges[%zu]: \"%.*s\" + \"%.*s\": not all in the vocabulary", file, rank,
                       (int)l.len, l.s, (int)r.len, r.s);
    const uint64_t pair = (uint64_t)left << 32 | right;
    uint32_t i = (uint32_t)(pair * 0x9e3779b97f4a7c15u >> 32);
    while (t->merge[i & t->merge_mask].pair != UINT64_MAX && t->merge[i & t->merge_mask].pair != pair)
        i++;
    if (t->merge[i & t->merge_mask].pair == UINT64_MAX)
        t->merge[i & t->merge_mask] = (struct tok_merge){pair, (uint32_t)rank, id};
    return PL_OK;
}

static enum pl_status load_merges(struct pl_tokenizer *t, const char *file, const json_t *list, struct pl_diag *d)
{
    const size_t n = json_array_size(list);
    size_t i, slots = 4;
    json_t *v;
    while (slots < 2 * n + 2)
        slots *= 2;
    t->merge = PL_NEW_N(&t->arena, struct tok_merge, slots);
    t->merge_mask = (uint32_t)(slots - 1);
    for (size_t k = 0; k < slots; k++)
        t->merge[k].pair = UINT64_MAX;
    struct pl_buf tmp;
    pl_buf_init(&tmp);
    enum pl_status s = PL_OK;
    json_array_foreach (list, i, v) {
        s = one_merge(t, file, i, v, &tmp, d);
        if (s != PL_OK)
            break;
    }
    pl_buf_fini(&tmp);
    return s;
}

static enum pl_status model_options(struct pl_tokenizer *t, const struct pl_json_at *at, const json_t *m, struct pl_diag *d)
{
    const char *type = "BPE", *unk = NULL, *prefix = "", *suffix = "";
    double dropout = 0;
    PL_TRY(pl_json_string(at, m, "type", false, &type, d));
    if (strcmp(type, "BPE") != 0)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: model.type \"%s\" is not supported; supported: BPE", at->file, type);
    PL_TRY(pl_json_string(at, m, "unk_token", false, &unk, d));
    PL_TRY(pl_json_string(at, m, "continuing_subword_prefix", false, &prefix, d));
    PL_TRY(pl_json_string(at, m, "end_of_word_suffix", false, &suffix, d));
    PL_TRY(pl_json_double(at, m, "dropout", false, &dropout, d));
    if (*prefix || *suffix || dropout > 0)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: model.%s is not supported", at->file,
                       *prefix ? "continuing_subword_prefix" : *suffix ? "end_of_word_suffix" : "dropout");
    PL_TRY(pl_json_bool(at, m, "fuse_unk", false, &t->fuse_unk, d));
    PL_TRY(pl_json_bool(at, m, "byte_fallback", false, &t->byte_fallback, d));
    PL_TRY(pl_json_bool(at, m, "ignore_merges", false, &t->ignore_merges, d));
    t->unk = unk ? tok_find(t, unk, strlen(unk)) : TOK_NONE;
    if (unk && t->unk == TOK_NONE)
        return pl_fail(d, PL_EPARSE, "%s: model.unk_token: \"%s\" is not in the vocabulary", at->file, unk);
    return PL_OK;
}

static enum pl_status parse(struct pl_tokenizer *t, const char *file, const json_t *root, struct pl_diag *d)
{
    const struct pl_json_at top = {file, ""}, at = {file, "model"};
    json_t *model = NULL, *vocab = NULL, *merges = NULL, *added = NULL;
    if (!json_is_object(root))
        return pl_fail(d, PL_EPARSE, "%s: expected an object", file);
    PL_TRY(pl_json_member(&top, root, "model", true, JSON_OBJECT, &model, d));
    PL_TRY(pl_json_member(&top, root, "added_tokens", false, JSON_ARRAY, &added, d));
    PL_TRY(pl_json_member(&at, model, "vocab", true, JSON_OBJECT, &vocab, d));
    PL_TRY(pl_json_member(&at, model, "merges", false, JSON_ARRAY, &merges, d));
    memset(t->byte_id, 0xff, sizeof t->byte_id);
    PL_TRY(load_vocab(t, file, vocab, added, d));
    PL_TRY(load_added(t, file, added, d));
    size_t slots = 4;
    while (slots < 2 * (size_t)t->n)
        slots *= 2;
    t->slot = PL_NEW_N(&t->arena, uint32_t, slots);
    memset(t->slot, 0xff, slots * sizeof *t->slot);
    t->slot_mask = (uint32_t)(slots - 1);
    for (uint32_t id = 0; id < t->n; id++)
        if (t->token[id].used && tok_find(t, t->token[id].text.s, t->token[id].text.len) == TOK_NONE)
            insert(t, id);
    PL_TRY(load_merges(t, file, merges, d));
    PL_TRY(model_options(t, &at, model, d));
    return tok_parse_pipeline(t, file, root, d);
}

enum pl_status pl_tokenizer_parse(const struct pl_source *src, struct pl_tokenizer **out, struct pl_diag *d)
{
    struct pl_buf text;
    json_t *root = NULL;
    struct pl_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return pl_fail(d, PL_ENOMEM, "%s: no memory", src->name);
    pl_arena_init(&t->arena);
    pl_buf_init(&text);
    t->nul = replace_nul(src, &text);
    const struct pl_source clean = {src->name, text.data, text.len};
    enum pl_status s = pl_json_parse(&clean, &root, d);
    if (s == PL_OK)
        s = parse(t, src->name, root, d);
    json_decref(root);
    pl_buf_fini(&text);
    if (s == PL_OK)
        *out = t;
    else
        pl_tokenizer_free(t);
    return s;
}

enum pl_status pl_tokenizer_load(const char *path, struct pl_tokenizer **out, struct pl_diag *d)
{
    struct pl_map m;
    PL_TRY(pl_file_map(path, &m, d));
    const struct pl_source src = {path, (const char *)m.data, m.len};
    const enum pl_status s = pl_tokenizer_parse(&src, out, d);
    pl_file_unmap(&m);
    return s;
}

void pl_tokenizer_free(struct pl_tokenizer *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->n_regex; i++)
        pcre2_code_free(t->regex[i]);
    pl_arena_fini(&t->arena);
    free(t);
}

uint32_t pl_tokenizer_size(const struct pl_tokenizer *t)
{
    return t->n;
}
