/* yaml.c - libyaml events to a small tree. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base_yaml.h"

#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 32 };

struct reader {
    struct pl_arena *a;
    const struct pl_source *src;
    struct pl_diag *d;
    yaml_parser_t parser;
    size_t seen_chars, seen_bytes; /* a place already converted; later ones start there */
};

struct list { /* children being collected: in the arena, doubling */
    struct pl_yaml *item;
    size_t n, cap;
};

/* libyaml counts characters; our places are bytes. */
static size_t byte_at(struct reader *r, yaml_mark_t mark)
{
    if (mark.index < r->seen_chars)
        r->seen_chars = r->seen_bytes = 0;
    for (; r->seen_chars < mark.index && r->seen_bytes < r->src->len; r->seen_chars++)
        do
            r->seen_bytes++;
        while (r->seen_bytes < r->src->len && ((unsigned char)r->src->text[r->seen_bytes] & 0xc0) == 0x80);
    return r->seen_bytes;
}

static enum pl_status next(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return PL_OK;
    const size_t at =
        r->parser.error == YAML_READER_ERROR ? r->parser.problem_offset : byte_at(r, r->parser.problem_mark);
    return pl_fail_at(r->d, PL_EPARSE, r->src, at, "malformed YAML: %s",
                      r->parser.problem ? r->parser.problem : "unreadable");
}

static struct pl_yaml *push(struct reader *r, struct list *l)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 8;
        struct pl_yaml *item = PL_NEW_N(r->a, struct pl_yaml, cap);
        if (l->n)
            memcpy(item, l->item, l->n * sizeof *item);
        l->item = item;
        l->cap = cap;
    }
    return &l->item[l->n++];
}

static enum pl_status node(struct reader *r, const yaml_event_t *e, unsigned depth, struct pl_yaml *out);

static enum pl_status scalar(struct reader *r, const yaml_event_t *e, struct pl_yaml *out)
{
    if (e->data.scalar.anchor)
        return pl_fail_at(r->d, PL_EPARSE, r->src, byte_at(r, e->start_mark), "anchors are not supported here");
    if (e->data.scalar.tag)
        return pl_fail_at(r->d, PL_EPARSE, r->src, byte_at(r, e->start_mark), "tags are not supported here");
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return pl_fail_at(r->d, PL_EPARSE, r->src, byte_at(r, e->start_mark), "a NUL character in a value");
    out->kind = PL_YAML_SCALAR;
    out->text = pl_arena_strndup(r->a, text, e->data.scalar.length);
    return PL_OK;
}

static enum pl_status member(struct reader *r, const yaml_event_t *key, unsigned depth, struct list *l)
{
    if (key->type != YAML_SCALAR_EVENT)
        return pl_fail_at(r->d, PL_EPARSE, r->src, byte_at(r, key->start_mark), "a key must be a plain name");
    struct pl_yaml k = {0};
    PL_TRY(scalar(r, key, &k));
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->item[i].key, k.text))
            return pl_fail_at(r->d, PL_EPARSE, r->src, byte_at(r, key->start_mark), "repeated key \"%s\"", k.text);
    yaml_event_t v;
    PL_TRY(next(r, &v));
    struct pl_yaml child = {.key = k.text, .key_at = byte_at(r, key->start_mark)};
    const enum pl_status s = node(r, &v, depth + 1, &child);
    yaml_event_delete(&v);
    if (s == PL_OK)
        *push(r, l) = child;
    return s;
}

static enum pl_status children(struct reader *r, yaml_event_type_t end, unsigned depth, struct pl_yaml *out)
{
    struct list l = {0};
    for (;;) {
        yaml_event_t e;
        PL_TRY(next(r, &e));
        if (e.type == end) {
            yaml_event_delete(&e);
            break;
        }
        enum pl_status s;
        if (end == YAML_MAPPING_END_EVENT) {
            s = member(r, &e, depth, &l);
        } else {
            struct pl_yaml child = {0};
            s = node(r, &e, depth + 1, &child);
            if (s == PL_OK)
                *push(r, &l) = child;
        }
        yaml_event_delete(&e);
        if (s != PL_OK)
            return s;
    }
    out->n_child = l.n;
    out->child = l.item;
    return PL_OK;
}

static enum pl_status node(struct reader *r, const yaml_event_t *e, unsigned depth, struct pl_yaml *out)
{
    out->at = byte_at(r, e->start_mark);
    if (depth > MAX_DEPTH)
        return pl_fail_at(r->d, PL_EPARSE, r->src, out->at, "nested deeper than %d", MAX_DEPTH);
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return scalar(r, e, out);
    case YAML_MAPPING_START_EVENT:
        if (e->data.mapping_start.anchor || e->data.mapping_start.tag)
            return pl_fail_at(r->d, PL_EPARSE, r->src, out->at, "anchors and tags are not supported here");
        out->kind = PL_YAML_MAP;
        return children(r, YAML_MAPPING_END_EVENT, depth, out);
    case YAML_SEQUENCE_START_EVENT:
        if (e->data.sequence_start.anchor || e->data.sequence_start.tag)
            return pl_fail_at(r->d, PL_EPARSE, r->src, out->at, "anchors and tags are not supported here");
        out->kind = PL_YAML_LIST;
        return children(r, YAML_SEQUENCE_END_EVENT, depth, out);
    case YAML_ALIAS_EVENT:
        return pl_fail_at(r->d, PL_EPARSE, r->src, out->at, "aliases are not supported here");
    default:
        return pl_fail_at(r->d, PL_EPARSE, r->src, out->at, "expected a value");
    }
}

static enum pl_status document(struct reader *r, struct pl_yaml **out)
{
    bool have = false;
    for (;;) {
        yaml_event_t e;
        PL_TRY(next(r, &e));
        const yaml_event_type_t type = e.type;
        enum pl_status s = PL_OK;
        switch (type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
        case YAML_STREAM_END_EVENT:
            break;
        default:
            if (have) {
                s = pl_fail_at(r->d, PL_EPARSE, r->src, byte_at(r, e.start_mark), "more than one document");
                break;
            }
            have = true;
            *out = PL_NEW(r->a, struct pl_yaml);
            s = node(r, &e, 0, *out);
        }
        yaml_event_delete(&e);
        if (s != PL_OK)
            return s;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    if (!have) {
        *out = PL_NEW(r->a, struct pl_yaml);
        (*out)->kind = PL_YAML_MAP;
    }
    return PL_OK;
}

enum pl_status pl_yaml_parse(struct pl_arena *a, const struct pl_source *src, struct pl_yaml **out,
                             struct pl_diag *d)
{
    struct reader r = {.a = a, .src = src, .d = d};
    if (!yaml_parser_initialize(&r.parser))
        return pl_fail(d, PL_ENOMEM, "%s: no memory for a YAML parser", src->name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)src->text, src->len);
    const enum pl_status s = document(&r, out);
    yaml_parser_delete(&r.parser);
    return s;
}

const struct pl_yaml *pl_yaml_get(const struct pl_yaml *map, const char *key)
{
    if (map->kind == PL_YAML_MAP)
        for (size_t i = 0; i < map->n_child; i++)
            if (!strcmp(map->child[i].key, key))
                return &map->child[i];
    return NULL;
}
