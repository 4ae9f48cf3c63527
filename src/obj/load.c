/* load.c - reading a program image; nothing in it is trusted. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "obj_internal.h"

#include <string.h>

struct reader {
    struct pl_arena *a;
    struct pl_json_at at;
    const json_t *header;
    const uint8_t *body;
    size_t body_len;
    struct pl_diag *d;
};

static enum pl_status bad(const struct reader *r, const char *what)
{
    return pl_fail(r->d, PL_EPARSE, "%s: malformed image header: %s", r->at.file, what);
}

static enum pl_status text_of(const struct reader *r, const char *key, const char **out)
{
    const char *s;
    PL_TRY(pl_json_string(&r->at, r->header, key, true, &s, r->d));
    *out = pl_arena_strdup(r->a, s);
    return PL_OK;
}

static enum pl_status format_of(const struct reader *r, const json_t *obj, const char *key, struct pl_format *out)
{
    const char *s;
    PL_TRY(pl_json_string(&r->at, obj, key, true, &s, r->d));
    const enum pl_status st = pl_format_parse(s, out, r->d);
    return st == PL_OK ? st : pl_fail_in(r->d, st, "%s: %s", r->at.file, key);
}

/* A blob of whole items, aligned as written. */
static enum pl_status blob_of(const struct reader *r, const json_t *j, size_t item, const void **out, size_t *n)
{
    json_int_t off, len;
    if (!j || json_unpack((json_t *)(uintptr_t)j, "[I, I!]", &off, &len) != 0)
        return bad(r, "a blob is not [offset, bytes]");
    if (off < 0 || len < 0 || (uint64_t)off > r->body_len || (uint64_t)len > r->body_len - (uint64_t)off)
        return bad(r, "a blob lies outside the file");
    if (off % 64 || (size_t)len % item)
        return bad(r, "a blob is misaligned");
    *out = r->body + off;
    *n = (size_t)len / item;
    return PL_OK;
}

static enum pl_status named_of(const struct reader *r, const char *key, const struct pl_named **out, size_t *n)
{
    json_t *o;
    PL_TRY(pl_json_member(&r->at, r->header, key, true, JSON_OBJECT, &o, r->d));
    struct pl_named *list = PL_NEW_N(r->a, struct pl_named, json_object_size(o));
    size_t k = 0;
    const char *name;
    json_t *v;
    json_object_foreach(o, name, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return bad(r, "a named value is no non-negative integer");
        list[k++] = (struct pl_named){pl_arena_strdup(r->a, name), (uint64_t)json_integer_value(v)};
    }
    *out = list;
    *n = k;
    return PL_OK;
}

static enum pl_status plan_of(const struct reader *r, struct pl_plan *p)
{
    json_t *o;
    PL_TRY(pl_json_member(&r->at, r->header, "plan", true, JSON_OBJECT, &o, r->d));
    struct pl_format vec;
    PL_TRY(format_of(r, o, "vec", &vec));
    if (vec.kind != PL_FORMAT_FLOAT)
        return bad(r, "the vector format is no plain float");
    p->vec = vec.elem;
    PL_TRY(format_of(r, o, "weight", &p->weight));
    PL_TRY(format_of(r, o, "act", &p->act));
    PL_TRY(format_of(r, o, "kv", &p->kv));
    uint64_t v;
#define X(name)                                                                                                        \
    PL_TRY(pl_json_u64(&r->at, o, #name, true, 0, UINT32_MAX, &v, r->d));                                              \
    p->name = (uint32_t)v;
    PLAN_NUMBERS(X)
#undef X
    return PL_OK;
}

static enum pl_status desc_of(const struct reader *r, const json_t *o, struct pl_desc *t)
{
    const char *s;
    if (!json_is_object(o))
        return bad(r, "a tensor is no object");
    PL_TRY(pl_json_string(&r->at, o, "name", true, &s, r->d));
    t->name = pl_arena_strdup(r->a, s);
    PL_TRY(format_of(r, o, "format", &t->format));
    PL_TRY(pl_json_u64(&r->at, o, "elem_base", true, 0, INT64_MAX, &t->elem_base, r->d));
    PL_TRY(pl_json_u64(&r->at, o, "scale_base", true, 0, INT64_MAX, &t->scale_base, r->d));
    uint32_t *const field[] = {&t->rows, &t->cols, &t->elem_stride, &t->scale_stride};
    static const char *const key[] = {"rows", "cols", "elem_stride", "scale_stride"};
    for (size_t i = 0; i < PL_COUNT(field); i++) {
        uint64_t v;
        PL_TRY(pl_json_u64(&r->at, o, key[i], true, 0, UINT32_MAX, &v, r->d));
        *field[i] = (uint32_t)v;
    }
    uint64_t tile = 0;
    PL_TRY(pl_json_u64(&r->at, o, "tile", false, 0, UINT32_MAX, &tile, r->d));
    t->tile = (uint32_t)tile;
    return pl_json_bool(&r->at, o, "repeat", false, &t->repeat, r->d);
}

static enum pl_status tensors_of(const struct reader *r, struct pl_image *img)
{
    json_t *list;
    PL_TRY(pl_json_member(&r->at, r->header, "tensors", true, JSON_ARRAY, &list, r->d));
    img->n_desc = json_array_size(list);
    struct pl_desc *t = PL_NEW_N(r->a, struct pl_desc, img->n_desc);
    img->desc = t;
    for (size_t i = 0; i < img->n_desc; i++)
        PL_TRY(desc_of(r, json_array_get(list, i), &t[i]));
    return PL_OK;
}

static enum pl_status ops_of(const struct reader *r, struct pl_image *img)
{
    json_t *list;
    PL_TRY(pl_json_member(&r->at, r->header, "op", true, JSON_ARRAY, &list, r->d));
    img->n_op = json_array_size(list);
    struct pl_op_range *op = PL_NEW_N(r->a, struct pl_op_range, img->n_op);
    img->op = op;
    for (size_t i = 0; i < img->n_op; i++) {
        json_int_t begin, end;
        const char *name;
        if (json_unpack(json_array_get(list, i), "[I, I, s!]", &begin, &end, &name) != 0 || begin < 0 || end < begin ||
            end > INT32_MAX)
            return bad(r, "an operator is not [begin, end, name]");
        op[i] = (struct pl_op_range){(uint32_t)begin, (uint32_t)end, pl_arena_strdup(r->a, name)};
    }
    return PL_OK;
}

static enum pl_status segments_of(const struct reader *r, struct pl_image *img)
{
    json_t *list;
    PL_TRY(pl_json_member(&r->at, r->header, "segment", true, JSON_ARRAY, &list, r->d));
    img->n_segment = json_array_size(list);
    struct pl_segment *s = PL_NEW_N(r->a, struct pl_segment, img->n_segment);
    img->segment = s;
    for (size_t i = 0; i < img->n_segment; i++) {
        json_int_t base;
        json_t *where;
        const void *data = NULL;
        size_t len = 0;
        if (json_unpack(json_array_get(list, i), "[I, o!]", &base, &where) != 0 || base < 0)
            return bad(r, "a segment is not [base, blob]");
        PL_TRY(blob_of(r, where, 1, &data, &len));
        s[i] = (struct pl_segment){(uint64_t)base, len, data};
    }
    return PL_OK;
}

static enum pl_status header_of(const struct reader *r, struct pl_image *img)
{
    const void *p;
    PL_TRY(text_of(r, "machine", &img->machine));
    PL_TRY(text_of(r, "model", &img->model));
    PL_TRY(plan_of(r, &img->plan));
    PL_TRY(format_of(r, r->header, "weight", &img->weight));
    PL_TRY(format_of(r, r->header, "act", &img->act));
    PL_TRY(format_of(r, r->header, "kv", &img->kv));
    PL_TRY(pl_json_u64(&r->at, r->header, "hbm_bytes", true, 0, INT64_MAX, &img->hbm_bytes, r->d));
    PL_TRY(tensors_of(r, img));
    PL_TRY(blob_of(r, json_object_get(r->header, "code"), 4, &p, &img->n_code));
    img->code = p;
    PL_TRY(blob_of(r, json_object_get(r->header, "fp"), 4, &p, &img->n_fp));
    img->fp = p;
    PL_TRY(blob_of(r, json_object_get(r->header, "int"), 4, &p, &img->n_int));
    img->intmem = p;
    PL_TRY(blob_of(r, json_object_get(r->header, "line"), 4, &p, &img->n_line));
    img->line = p;
    PL_TRY(named_of(r, "entry", &img->entry, &img->n_entry));
    PL_TRY(named_of(r, "param", &img->param, &img->n_param));
    PL_TRY(named_of(r, "constant", &img->constant, &img->n_const));
    PL_TRY(ops_of(r, img));
    PL_TRY(segments_of(r, img));
    const enum pl_status s = pl_image_check(img, r->d);
    return s == PL_OK ? s : pl_fail_in(r->d, s, "%s", r->at.file);
}

enum pl_status pl_image_parse(struct pl_arena *a, const char *name, const uint8_t *data, size_t len,
                              struct pl_image *out, struct pl_diag *d)
{
    uint32_t head[2];
    if (len < 16 || memcmp(data, "PLENAIMG", 8) != 0)
        return pl_fail(d, PL_EPARSE, "%s: is no program image", name);
    memcpy(head, data + 8, sizeof head);
    if (head[0] != PL_IMAGE_VERSION)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: image version %u; this program reads %d", name, head[0],
                       PL_IMAGE_VERSION);
    if (head[1] > len - 16)
        return pl_fail(d, PL_EPARSE, "%s: truncated: header of %u bytes in a file of %zu", name, head[1], len);
    const struct pl_source src = {name, (const char *)data + 16, head[1]};
    json_t *header;
    PL_TRY(pl_json_parse(&src, &header, d));
    size_t body = pl_round_up(16 + (size_t)head[1], 64);
    body = body > len ? len : body;
    const struct reader r = {a, {name, ""}, header, data + body, len - body, d};
    *out = (struct pl_image){0};
    const enum pl_status s =
        json_is_object(header) ? header_of(&r, out) : pl_fail(d, PL_EPARSE, "%s: malformed image header", name);
    json_decref(header);
    return s;
}

enum pl_status pl_image_load(struct pl_arena *a, const char *path, struct pl_image *out, struct pl_map *mapping,
                             struct pl_diag *d)
{
    PL_TRY(pl_file_map(path, mapping, d));
    const enum pl_status s = pl_image_parse(a, path, mapping->data, mapping->len, out, d);
    if (s != PL_OK)
        pl_file_unmap(mapping);
    return s;
}
