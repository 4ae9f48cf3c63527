/* safetensors.c - the header of a safetensors file, checked entry by entry. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "plena/base_json.h"
#include "plena/model.h"

enum { MAX_HEADER = 100 * 1000 * 1000 };

struct dtype_row {
    const char *name;
    unsigned bytes;
    enum pl_dtype dtype;
};
static const struct dtype_row dtypes[] = {
    {"F32", 4, PL_DTYPE_F32},       {"F16", 2, PL_DTYPE_F16},     {"BF16", 2, PL_DTYPE_BF16},
    {"F64", 8, PL_DTYPE_OTHER},     {"I64", 8, PL_DTYPE_OTHER},   {"U64", 8, PL_DTYPE_OTHER},
    {"I32", 4, PL_DTYPE_OTHER},     {"U32", 4, PL_DTYPE_OTHER},   {"I16", 2, PL_DTYPE_OTHER},
    {"U16", 2, PL_DTYPE_OTHER},     {"I8", 1, PL_DTYPE_OTHER},    {"U8", 1, PL_DTYPE_OTHER},
    {"BOOL", 1, PL_DTYPE_OTHER},    {"F8_E4M3", 1, PL_DTYPE_OTHER}, {"F8_E5M2", 1, PL_DTYPE_OTHER}};

struct entry_ctx {
    const char *file;
    struct pl_arena *a;
    const uint8_t *data; /* behind the header */
    uint64_t data_len;
    struct pl_diag *d;
};

static enum pl_status refuse(const struct entry_ctx *x, const char *tensor, const char *why)
{
    return pl_fail(x->d, PL_EPARSE, "%s: tensor \"%.200s\": %s", x->file, tensor, why);
}

static enum pl_status read_shape(const struct entry_ctx *x, const json_t *shape, struct pl_tensor *t)
{
    t->rank = (unsigned)json_array_size(shape);
    t->count = 1;
    if (!json_is_array(shape) || json_array_size(shape) > PL_COUNT(t->shape))
        return refuse(x, t->name, "shape: expected a list of at most 8 sizes");
    for (unsigned i = 0; i < t->rank; i++) {
        const json_t *v = json_array_get(shape, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return refuse(x, t->name, "shape: a size is not a non-negative integer");
        t->shape[i] = (uint64_t)json_integer_value(v);
        if (__builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return refuse(x, t->name, "shape: the number of elements overflows");
    }
    return PL_OK;
}

static enum pl_status read_entry(const struct entry_ctx *x, const char *name, const json_t *o, struct pl_tensor *t)
{
    t->name = pl_arena_strdup(x->a, name);
    const json_t *dtype = json_object_get(o, "dtype"), *off = json_object_get(o, "data_offsets");
    if (!json_is_object(o) || !json_is_string(dtype))
        return refuse(x, name, "expected an object with dtype, shape and data_offsets");
    size_t k = 0;
    while (k < PL_COUNT(dtypes) && strcmp(dtypes[k].name, json_string_value(dtype)) != 0)
        k++;
    if (k == PL_COUNT(dtypes))
        return pl_fail(x->d, PL_EPARSE, "%s: tensor \"%.200s\": unknown dtype \"%.40s\"", x->file, name,
                       json_string_value(dtype));
    t->dtype = dtypes[k].dtype;
    t->dtype_name = dtypes[k].name;
    PL_TRY(read_shape(x, json_object_get(o, "shape"), t));
    const json_t *b = json_array_get(off, 0), *e = json_array_get(off, 1);
    if (json_array_size(off) != 2 || !json_is_integer(b) || !json_is_integer(e))
        return refuse(x, name, "data_offsets: expected two integers");
    const json_int_t begin = json_integer_value(b), end = json_integer_value(e);
    if (begin < 0 || end < begin || (uint64_t)end > x->data_len)
        return refuse(x, name, "data_offsets: lie outside the file (truncated?)");
    if ((uint64_t)begin % dtypes[k].bytes)
        return refuse(x, name, "data_offsets: misaligned for its dtype");
    t->bytes = (uint64_t)(end - begin);
    uint64_t want;
    if (__builtin_mul_overflow(t->count, dtypes[k].bytes, &want) || want != t->bytes)
        return refuse(x, name, "data_offsets: their length does not match shape and dtype");
    t->data = x->data + begin;
    return PL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_tensor *)a)->name, ((const struct pl_tensor *)b)->name);
}

static int by_data(const void *a, const void *b)
{
    const struct pl_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The tensors tile the data: no byte is used twice, none is left over (the format's own rule; a gap is a damaged file). */
static enum pl_status check_tiling(const struct entry_ctx *x, struct pl_safetensors *st)
{
    uint64_t at = 0;
    if (st->n)
        qsort(st->tensor, st->n, sizeof *st->tensor, by_data);
    for (size_t i = 0; i <= st->n; i++) {
        const uint64_t begin = i < st->n ? (uint64_t)(st->tensor[i].data - x->data) : x->data_len;
        if (begin < at)
            return pl_fail(x->d, PL_EPARSE, "%s: tensors \"%.200s\" and \"%.200s\" overlap", x->file,
                           st->tensor[i - 1].name, st->tensor[i].name);
        if (begin > at)
            return pl_fail(x->d, PL_EPARSE, "%s: bytes %llu..%llu of the data belong to no tensor", x->file,
                           (unsigned long long)at, (unsigned long long)begin - 1);
        at = i < st->n ? begin + st->tensor[i].bytes : at;
    }
    if (st->n)
        qsort(st->tensor, st->n, sizeof *st->tensor, by_name);
    return PL_OK;
}

static enum pl_status read_metadata(const struct entry_ctx *x, json_t *o)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return pl_fail(x->d, PL_EPARSE, "%s: __metadata__: expected an object", x->file);
    json_object_foreach(o, key, v)
    {
        if (!json_is_string(v))
            return pl_fail(x->d, PL_EPARSE, "%s: __metadata__.%.200s: expected a string", x->file, key);
    }
    return PL_OK;
}

static enum pl_status read_header(const struct entry_ctx *x, const json_t *header, struct pl_safetensors *out)
{
    if (!json_is_object(header))
        return pl_fail(x->d, PL_EPARSE, "%s: the header is not a JSON object", x->file);
    out->tensor = PL_NEW_N(x->a, struct pl_tensor, json_object_size(header));
    out->n = 0;
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)header, name, v)
    {
        if (!strcmp(name, "__metadata__"))
            PL_TRY(read_metadata(x, v));
        else
            PL_TRY(read_entry(x, name, v, &out->tensor[out->n++]));
    }
    return check_tiling(x, out);
}

enum pl_status pl_safetensors_parse(struct pl_arena *a, const char *name, const uint8_t *data, size_t len,
                                    struct pl_safetensors *out, struct pl_diag *d)
{
    if (len < 8)
        return pl_fail(d, PL_EPARSE, "%s: truncated: %zu bytes cannot hold a safetensors header", name, len);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | data[i];
    if (n > MAX_HEADER)
        return pl_fail(d, PL_EPARSE, "%s: a header of %llu bytes is absurd (limit %d)", name, (unsigned long long)n,
                       MAX_HEADER);
    if (n > len - 8)
        return pl_fail(d, PL_EPARSE, "%s: truncated: header of %llu bytes in a file of %zu", name,
                       (unsigned long long)n, len);
    const struct pl_source src = {name, (const char *)data + 8, (size_t)n};
    json_t *header;
    PL_TRY(pl_json_parse(&src, &header, d));
    const struct entry_ctx x = {name, a, data + 8 + n, len - 8 - n, d};
    const enum pl_status s = read_header(&x, header, out);
    json_decref(header);
    return s;
}

const struct pl_tensor *pl_safetensors_find(const struct pl_safetensors *st, const char *name)
{
    const struct pl_tensor key = {.name = name};
    return st->n ? bsearch(&key, st->tensor, st->n, sizeof key, by_name) : NULL;
}

static float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 0x3ff;
    uint32_t u;
    if (exp == 31)
        u = sign | 0x7f800000 | man << 13;
    else if (exp)
        u = sign | (exp + 112) << 23 | man << 13;
    else if (man) {
        const int up = __builtin_clz(man) - 21;
        u = sign | (uint32_t)(113 - up) << 23 | (man << up & 0x3ff) << 13;
    } else
        u = sign;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Rows of blocks; a stretch may begin and end inside a block. */
static void mx_to_f32(const struct pl_tensor *t, uint64_t first, size_t n, float *out)
{
    const struct pl_format *f = t->format;
    const size_t cols = (size_t)t->shape[t->rank - 1], bytes = pl_format_row_bytes(f, cols), scales = pl_format_row_scales(f, cols);
    uint32_t code[64];
    while (n) {
        const size_t row = (size_t)(first / cols * (t->row_step ? t->row_step : 1)), at = (size_t)(first % cols), left = f->block - at % f->block;
        size_t len = n < cols - at ? n : cols - at;
        len = len < left ? len : left;
        pl_unpack(pl_format_bits(f), t->data + row * bytes, at, len, code);
        pl_dequantise(f, code, t->scale + row * scales + at / f->block, len, out);
        first += len;
        out += len;
        n -= len;
    }
}

static void plain_to_f32(const struct pl_tensor *t, uint64_t first, size_t n, float *out)
{
    if (t->dtype == PL_DTYPE_F32) {
        memcpy(out, t->data + 4 * first, 4 * n);
        return;
    }
    const uint8_t *p = t->data + 2 * first;
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
        if (t->dtype == PL_DTYPE_F16) {
            out[i] = half_to_float(h);
        } else {
            const uint32_t u = (uint32_t)h << 16;
            memcpy(out + i, &u, sizeof u);
        }
    }
}

void pl_tensor_to_f32(const struct pl_tensor *t, uint64_t first, size_t n, float *out)
{
    if (t->dtype == PL_DTYPE_MX) {
        mx_to_f32(t, first, n, out);
        return;
    }
    if (!t->col_step) {
        plain_to_f32(t, first, n, out);
        return;
    }
    const uint64_t cols = t->shape[t->rank - 1];
    for (size_t i = 0; i < n; i++)
        plain_to_f32(t, (first + i) / cols * t->row_step + (first + i) % cols * t->col_step, 1, out + i);
}
