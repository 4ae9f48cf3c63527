/* save.c - writing a program image: "PLENAIMG", u32 version, u32 header bytes, JSON header, aligned blobs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "obj_internal.h"

#include <string.h>

struct writer {
    json_t *header;
    struct pl_buf body;  /* blobs, each on a 64-byte boundary */
    const char *refused; /* key of the first text that JSON does not take */
    const char *twice;   /* list in which a name appears twice */
};

static void put(struct writer *w, json_t *o, const char *key, json_t *value)
{
    if (json_object_set_new(o, key, value) != 0 && !w->refused)
        w->refused = key;
}

static json_t *format_json(const struct pl_format *f)
{
    char name[48];
    pl_format_name(f, name);
    return json_string(name);
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* [offset, bytes] of a blob in the body. */
static json_t *blob(struct writer *w, const void *p, size_t bytes)
{
    static const char zero[64];
    const size_t pad = pl_round_up(w->body.len, 64) - w->body.len;
    pl_buf_put(&w->body, zero, pad);
    json_t *j = json_pack("[I, I]", (json_int_t)w->body.len, (json_int_t)bytes);
    pl_buf_put(&w->body, p, bytes);
    return j;
}

static void named(struct writer *w, const char *key, const struct pl_named *list, size_t n)
{
    json_t *o = json_object();
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new(o, list[i].name, number(list[i].value)) != 0)
            w->refused = key;
    if (json_object_size(o) < n && !w->refused)
        w->twice = key;
    put(w, w->header, key, o);
}

static json_t *plan_json(const struct pl_plan *p)
{
    json_t *o = json_object();
    const struct pl_format vec = {.kind = PL_FORMAT_FLOAT, .elem = p->vec, .block = 1};
    json_object_set_new(o, "vec", format_json(&vec));
    json_object_set_new(o, "weight", format_json(&p->weight));
    json_object_set_new(o, "act", format_json(&p->act));
    json_object_set_new(o, "kv", format_json(&p->kv));
#define X(name) json_object_set_new(o, #name, number(p->name));
    PLAN_NUMBERS(X)
#undef X
    return o;
}

static void tensors(struct writer *w, const struct pl_image *img)
{
    json_t *list = json_array();
    for (size_t i = 0; i < img->n_desc; i++) {
        const struct pl_desc *t = &img->desc[i];
        json_t *o = json_object();
        put(w, o, "name", json_string(t->name));
        json_object_set_new(o, "format", format_json(&t->format));
#define X(name) json_object_set_new(o, #name, number(t->name));
        DESC_NUMBERS(X)
#undef X
        if (t->tile)
            json_object_set_new(o, "tile", number(t->tile));
        if (t->repeat)
            json_object_set_new(o, "repeat", json_true());
        json_array_append_new(list, o);
    }
    json_object_set_new(w->header, "tensors", list);
}

static void tables(struct writer *w, const struct pl_image *img)
{
    json_t *h = w->header, *ops = json_array(), *segs = json_array();
    json_object_set_new(h, "code", blob(w, img->code, img->n_code * sizeof *img->code));
    json_object_set_new(h, "fp", blob(w, img->fp, img->n_fp * sizeof *img->fp));
    json_object_set_new(h, "int", blob(w, img->intmem, img->n_int * sizeof *img->intmem));
    json_object_set_new(h, "line", blob(w, img->line, img->n_line * sizeof *img->line));
    named(w, "entry", img->entry, img->n_entry);
    named(w, "param", img->param, img->n_param);
    named(w, "constant", img->constant, img->n_const);
    for (size_t i = 0; i < img->n_op; i++)
        if (json_array_append_new(ops, json_pack("[I, I, s]", (json_int_t)img->op[i].begin, (json_int_t)img->op[i].end,
                                                 img->op[i].name)) != 0)
            w->refused = "op";
    json_object_set_new(h, "op", ops);
    for (size_t i = 0; i < img->n_segment; i++)
        json_array_append_new(segs, json_pack("[I, o]", (json_int_t)img->segment[i].base,
                                              blob(w, img->segment[i].data, img->segment[i].len)));
    json_object_set_new(h, "segment", segs);
}

/* Magic, version, header, padding, body. */
static void write_file(const char *text, const struct pl_buf *body, struct pl_buf *out)
{
    static const char zero[64];
    const uint32_t head[2] = {PL_IMAGE_VERSION, (uint32_t)strlen(text)};
    const size_t start = out->len;
    pl_buf_put(out, "PLENAIMG", 8);
    pl_buf_put(out, head, sizeof head);
    pl_buf_puts(out, text);
    pl_buf_put(out, zero, pl_round_up(out->len - start, 64) - (out->len - start));
    pl_buf_put(out, body->data, body->len);
}

enum pl_status pl_image_write(const struct pl_image *img, struct pl_buf *out, struct pl_diag *d)
{
    PL_TRY(pl_image_check(img, d));
    struct writer w = {.header = json_object()};
    pl_buf_init(&w.body);
    json_object_set_new(w.header, "schema", json_integer(PL_IMAGE_VERSION));
    json_object_set_new(w.header, "program", json_string("plena " PL_VERSION));
    put(&w, w.header, "machine", json_string(img->machine ? img->machine : ""));
    put(&w, w.header, "model", json_string(img->model ? img->model : ""));
    json_object_set_new(w.header, "plan", plan_json(&img->plan));
    json_object_set_new(w.header, "weight", format_json(&img->weight));
    json_object_set_new(w.header, "act", format_json(&img->act));
    json_object_set_new(w.header, "kv", format_json(&img->kv));
    json_object_set_new(w.header, "hbm_bytes", number(img->hbm_bytes));
    tensors(&w, img);
    tables(&w, img);

    char *text = w.refused || w.twice ? NULL : json_dumps(w.header, JSON_COMPACT);
    enum pl_status s = PL_OK;
    if (text)
        write_file(text, &w.body, out);
    else if (w.refused)
        s = pl_fail(d, PL_EPARSE, "%s: a name is not UTF-8", w.refused);
    else if (w.twice)
        s = pl_fail(d, PL_EPARSE, "%s: a name is there twice", w.twice);
    else
        s = pl_fail(d, PL_ENOMEM, "cannot write the header");
    free(text);
    json_decref(w.header);
    pl_buf_fini(&w.body);
    return s;
}

enum pl_status pl_image_save(const struct pl_image *img, const char *path, struct pl_diag *d)
{
    struct pl_buf file;
    pl_buf_init(&file);
    enum pl_status s = pl_image_write(img, &file, d);
    s = s == PL_OK ? pl_file_write(path, file.data, file.len, d) : pl_fail_in(d, s, "%s", path);
    pl_buf_fini(&file);
    return s;
}
