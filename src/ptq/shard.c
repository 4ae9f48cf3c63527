/* shard.c - one safetensors file of a quantised checkpoint: written as a whole, with its part of the report inside. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "ptq_internal.h"

static const char report_key[] = "plena_report";

void ptq_shard_init(struct ptq_shard *s, struct pl_arena *a, size_t most)
{
    *s = (struct ptq_shard){.a = a, .header = json_object(), .cap = most};
    s->piece = PL_NEW_N(a, struct ptq_piece, most);
}

void ptq_shard_fini(struct ptq_shard *s)
{
    json_decref(s->header);
}

void ptq_shard_put(struct ptq_shard *s, const char *name, const char *dtype, unsigned rank, const uint64_t *shape,
                   const uint8_t *data, size_t bytes)
{
    json_t *dims = json_array();
    for (unsigned i = 0; i < rank; i++)
        json_array_append_new(dims, json_integer((json_int_t)shape[i]));
    json_object_set_new(s->header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", dims, "data_offsets", (json_int_t)s->bytes,
                                  (json_int_t)(s->bytes + bytes)));
    s->piece[s->n++] = (struct ptq_piece){data, bytes};
    s->bytes += bytes;
}

enum pl_status ptq_shard_write(struct ptq_shard *s, const char *path, const json_t *report, struct pl_diag *d)
{
    char *text = json_dumps(report, JSON_COMPACT);
    json_object_set_new(s->header, "__metadata__", json_pack("{s:s, s:s, s:s}", "format", "pt", "quantised_by", "plena " PL_VERSION,
                                                             report_key, text ? text : "{}"));
    free(text);
    char *header = json_dumps(s->header, JSON_COMPACT);
    if (!header)
        return pl_fail(d, PL_ENOMEM, "%s: no memory", path);
    struct pl_buf b;
    pl_buf_init(&b);
    const uint64_t padded = pl_round_up(strlen(header), 8);
    uint8_t len[8];
    for (int i = 0; i < 8; i++)
        len[i] = (uint8_t)(padded >> 8 * i);
    pl_buf_put(&b, len, 8);
    pl_buf_puts(&b, header);
    while (b.len < 8 + padded)
        pl_buf_puts(&b, " ");
    for (size_t i = 0; i < s->n; i++)
        pl_buf_put(&b, s->piece[i].data, s->piece[i].bytes);
    const enum pl_status st = pl_file_write(path, b.data, b.len, d);
    pl_buf_fini(&b);
    free(header);
    return st;
}

enum pl_status ptq_shard_report(const char *path, json_t **report, struct pl_diag *d)
{
    struct pl_map m;
    json_t *header = NULL;
    PL_TRY(pl_file_map(path, &m, d));
    uint64_t n = 0;
    for (int i = 7; i >= 0 && m.len >= 8; i--)
        n = n << 8 | m.data[i];
    const struct pl_source src = {path, (const char *)m.data + 8, (size_t)n};
    enum pl_status s = m.len >= 8 && n <= m.len - 8 ? pl_json_parse(&src, &header, d) : pl_fail(d, PL_EPARSE, "%s: truncated", path);
    if (s == PL_OK) {
        const char *text = json_string_value(json_object_get(json_object_get(header, "__metadata__"), report_key));
        *report = text ? json_loads(text, 0, NULL) : NULL;
        if (!*report)
            s = pl_fail(d, PL_EPARSE, "%s: was not written by plena quantize", path);
        json_decref(header);
    }
    pl_file_unmap(&m);
    return s;
}

enum pl_status ptq_shard_find(const struct pl_safetensors *st, const char *path, const char *name, const struct pl_format *f,
                              uint64_t rows, uint64_t cols, struct pl_tensor *out, struct pl_diag *d)
{
    const struct {
        const char *part;
        uint64_t width;
    } part[] = {{"mx_elements", pl_format_row_bytes(f, cols)}, {"mx_scales", pl_format_row_scales(f, cols)}};
    const struct pl_tensor *t[2];
    for (int i = 0; i < 2; i++) {
        char full[160];
        snprintf(full, sizeof full, "%s.%s", name, part[i].part);
        t[i] = pl_safetensors_find(st, full);
        if (!t[i] || t[i]->rank != 2 || t[i]->bytes != rows * part[i].width || t[i]->shape[0] != rows)
            return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\" is missing or of another shape", path, full);
    }
    *out = (struct pl_tensor){.name = name, .dtype_name = "MX", .dtype = PL_DTYPE_MX, .rank = 2, .shape = {rows, cols},
                              .data = t[0]->data, .bytes = t[0]->bytes + t[1]->bytes, .count = rows * cols, .format = f,
                              .scale = t[1]->data};
    return PL_OK;
}
