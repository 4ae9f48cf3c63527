/* image.c - what every program image must satisfy, and looking names up. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/obj.h"

#include <string.h>

enum { MAX_GUARD = 24, MAX_ACC_BITS = 64, MAX_TILE = 4096 }; /* as the machines of arch.def; the sums are 64-bit */

static enum pl_status check_tiles(const struct pl_image *img, const struct pl_desc *t, struct pl_diag *d)
{
    const struct pl_format *f = &t->format;
    if (t->repeat || t->elem_stride || t->scale_stride || t->scale_base)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": tiles go without strides, scale_base and repeat", t->name);
    if (t->tile > MAX_TILE || t->tile % f->block || (uint64_t)t->tile * pl_format_bits(f) % 8)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": tiles of %u do not hold whole blocks and bytes, or are wider than %d", t->name,
                       t->tile, MAX_TILE);
    if (t->elem_base % PL_TILE_ALIGN)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": is not 64-byte aligned", t->name);
    if (t->elem_base > img->hbm_bytes || pl_desc_tiled_bytes(t) > img->hbm_bytes - t->elem_base)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": lies outside the %llu bytes of HBM", t->name,
                       (unsigned long long)img->hbm_bytes);
    return PL_OK;
}

static enum pl_status check_desc(const struct pl_image *img, const struct pl_desc *t, struct pl_diag *d)
{
    const struct pl_format *f = &t->format;
    if (f->kind == PL_FORMAT_NONE)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": its format is not resolved", t->name);
    if (!t->rows || !t->cols)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": is empty", t->name);
    const uint64_t elem = pl_format_row_bytes(f, t->cols), scale = pl_format_row_scales(f, t->cols);
    if (t->tile)
        return check_tiles(img, t, d);
    if (t->elem_stride < elem || t->scale_stride < scale)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": rows of %u and %u bytes overlap", t->name, t->elem_stride,
                       t->scale_stride);
    if (t->elem_base % 64 || t->scale_base % 64)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": is not 64-byte aligned", t->name);
    const uint64_t elem_end = (uint64_t)t->elem_stride * (t->rows - 1) + elem;
    const uint64_t scale_end = scale ? (uint64_t)t->scale_stride * (t->rows - 1) + scale : 0;
    if (t->elem_base > img->hbm_bytes || elem_end > img->hbm_bytes - t->elem_base ||
        t->scale_base > img->hbm_bytes || scale_end > img->hbm_bytes - t->scale_base)
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": lies outside the %llu bytes of HBM", t->name,
                       (unsigned long long)img->hbm_bytes);
    if (t->repeat && !pl_is_pow2(t->cols))
        return pl_fail(d, PL_EPARSE, "tensor \"%s\": repeats %u columns, not a power of two", t->name, t->cols);
    return PL_OK;
}

/* Formats of the published H_ instructions, the array and the vector unit: what is there must be usable as it stands. */
static enum pl_status check_formats(const struct pl_image *img, struct pl_diag *d)
{
    const struct {
        const char *name;
        const struct pl_format *f;
    } own[] = {{"weight", &img->weight}, {"act", &img->act}, {"kv", &img->kv}};
    for (size_t i = 0; i < PL_COUNT(own); i++)
        if (own[i].f->kind == PL_FORMAT_NONE)
            return pl_fail(d, PL_EPARSE, "%s: the format is not resolved", own[i].name);
    const struct pl_minifloat v = img->plan.vec;
    if (v.special != PL_SPECIAL_IEEE || v.exp_bits < 4 || v.man_bits < 2)
        return pl_fail(d, PL_EPARSE, "plan: the vector format must be eXmY of the IEEE kind with X >= 4, Y >= 2");
    if (img->plan.guard > MAX_GUARD || img->plan.acc_bits > MAX_ACC_BITS)
        return pl_fail(d, PL_EPARSE, "plan: accumulators of %u bits with %u guard bits; the most are %d and %d",
                       img->plan.acc_bits, img->plan.guard, MAX_ACC_BITS, MAX_GUARD);
    return PL_OK;
}

static enum pl_status check_named(const char *what, const struct pl_named *list, size_t n, struct pl_diag *d)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].value > INT64_MAX)
            return pl_fail(d, PL_EPARSE, "%s \"%s\": does not fit 63 bits", what, list[i].name);
    return PL_OK;
}

enum pl_status pl_image_check(const struct pl_image *img, struct pl_diag *d)
{
    if (img->n_code > UINT32_MAX / 2 || (img->n_line && img->n_line != img->n_code))
        return pl_fail(d, PL_EPARSE, "%zu code words and %zu line numbers", img->n_code, img->n_line);
    if (img->hbm_bytes > (uint64_t)1 << 48)
        return pl_fail(d, PL_EPARSE, "an HBM extent of %llu bytes", (unsigned long long)img->hbm_bytes);
    PL_TRY(check_formats(img, d));
    PL_TRY(check_named("parameter", img->param, img->n_param, d));
    PL_TRY(check_named("constant", img->constant, img->n_const, d));
    for (size_t i = 0; i < img->n_desc; i++)
        PL_TRY(check_desc(img, &img->desc[i], d));
    uint64_t at = 0;
    for (size_t i = 0; i < img->n_segment; i++) {
        const struct pl_segment *s = &img->segment[i];
        if (s->base < at || s->base > img->hbm_bytes || s->len > img->hbm_bytes - s->base)
            return pl_fail(d, PL_EPARSE, "HBM segment %zu overlaps another or lies outside HBM", i);
        at = s->base + s->len;
    }
    uint32_t pc = 0;
    for (size_t i = 0; i < img->n_op; i++) {
        if (img->op[i].begin < pc || img->op[i].end < img->op[i].begin || img->op[i].end > img->n_code)
            return pl_fail(d, PL_EPARSE, "operator \"%s\": its code range is out of order", img->op[i].name);
        pc = img->op[i].end;
    }
    for (size_t i = 0; i < img->n_entry; i++)
        if (img->entry[i].value >= img->n_code)
            return pl_fail(d, PL_EPARSE, "entry \"%s\": lies outside the code", img->entry[i].name);
    return PL_OK;
}

enum pl_status pl_image_find(const struct pl_named *list, size_t n, const char *name, uint64_t *out,
                             struct pl_diag *d)
{
    const char *names[64];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i].name, name)) {
            *out = list[i].value;
            return PL_OK;
        }
        if (k < PL_COUNT(names))
            names[k++] = list[i].name;
    }
    const char *near = pl_nearest(name, names, k);
    return pl_fail(d, PL_EUSAGE, "the image has no \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}
