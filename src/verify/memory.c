/* memory.c - the abstract SRAMs and HBM: ranges, alignment, definition before use, lost loads, missing fences. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify_internal.h"

void ver_event(struct ver *v, struct ev e)
{
    if (!v->depth)
        return;
    if (v->n_ev == v->cap_ev) {
        v->cap_ev = v->cap_ev ? 2 * v->cap_ev : 1024;
        v->ev = realloc(v->ev, v->cap_ev * sizeof *v->ev);
        if (!v->ev)
            abort();
    }
    e.pc = v->pc;
    v->ev[v->n_ev++] = e;
}

/* "5", or "0..320 by 64" */
static const char *text_of(struct val v, char out[64])
{
    if (val_one(v))
        snprintf(out, 64, "%lld", (long long)v.lo);
    else
        snprintf(out, 64, "%lld..%lld by %lld", (long long)v.lo, (long long)v.hi, (long long)v.step);
    return out;
}

bool ver_words(struct ver *v, const char *memory, struct val at, uint64_t n, uint64_t size)
{
    char t[64];
    if ((uint64_t)at.hi + n <= size)
        return true;
    ver_fail(v, "%s SRAM word %s + %llu of %llu", memory, text_of(at, t), (unsigned long long)n, (unsigned long long)size);
    return false;
}

void ver_vrow(struct ver *v, struct val at, const char *what)
{
    char t[64];
    if (!val_multiple(at, v->arch->vlen))
        ver_fail(v, "%s address %s is not a multiple of VLEN = %u", what, text_of(at, t), v->arch->vlen);
    else if ((uint64_t)at.hi / v->arch->vlen >= v->arch->vector_rows)
        ver_fail(v, "%s address %s is outside the %u rows of Vector SRAM", what, text_of(at, t), v->arch->vector_rows);
}

void ver_operand_rows(struct ver *v, struct val at, uint32_t n, struct val step)
{
    char t[64];
    if (!val_multiple(at, v->arch->mlen))
        ver_fail(v, "Vector SRAM address %s is not a multiple of MLEN = %u", text_of(at, t), v->arch->mlen);
    else if ((uint64_t)step.hi > v->vsram_size ||
             (uint64_t)at.hi + (uint64_t)(n - 1) * (uint64_t)step.hi * v->pitch + v->arch->mlen > v->vsram_size)
        ver_fail(v, "operand rows from %s reach outside the %llu elements of Vector SRAM", text_of(at, t),
                 (unsigned long long)v->vsram_size);
}

/* ---- Matrix SRAM ---- */
static void tile_read(struct ver *v, uint64_t k)
{
    struct tile *t = &v->tile[k];
    if (!t->loaded)
        ver_fail(v, "Matrix SRAM tile %llu is read before it is loaded", (unsigned long long)k);
    t->read = true;
}

static void tile_set(struct ver *v, uint64_t k, const struct pl_format *f, bool empty)
{
    struct tile *t = &v->tile[k];
    if (t->loaded && !t->read && !t->empty)
        ver_fail(v, "overwrites Matrix SRAM tile %llu, loaded at pc %u and not read since", (unsigned long long)k, t->pc);
    *t = (struct tile){.loaded = true, .empty = empty, .pc = v->pc, .format = *f};
}

bool ver_tile(struct ver *v, struct val at, struct val *offset, struct pl_format *format)
{
    char text[64];
    const uint64_t first = (uint64_t)at.lo / v->tile_size, last = (uint64_t)at.hi / v->tile_size;
    if (last >= v->arch->matrix_tiles) {
        ver_fail(v, "Matrix SRAM address %s is outside its %u tiles", text_of(at, text), v->arch->matrix_tiles);
        return false;
    }
    const uint64_t base = first * v->tile_size;
    const int64_t off = at.lo - (int64_t)base;
    const int64_t size = (int64_t)v->tile_size;
    if (first == last)
        *offset = val_plus(at, -(int64_t)base);
    else if (at.step % size == 0)
        *offset = VAL(off);
    else
        *offset = size % at.step ? (struct val){0, size - 1, 1} : (struct val){off % at.step, size - at.step + off % at.step, at.step};
    const uint64_t skip = at.step % size ? 1 : (uint64_t)(at.step / size);
    *format = v->tile[first].format;
    for (uint64_t k = first; k <= last; k += skip ? skip : 1) {
        if (v->tile[k].loaded && memcmp(&v->tile[k].format, format, sizeof *format) != 0)
            ver_fail(v, "the tiles it may read, %llu and %llu, have different formats", (unsigned long long)first, (unsigned long long)k);
        tile_read(v, k);
    }
    if (first == last)
        ver_event(v, (struct ev){.kind = EV_TILE_GET, .at = at.lo});
    return v->tile[first].loaded;
}

void ver_tile_load(struct ver *v, struct val at, uint32_t n, const struct pl_format *f, bool empty)
{
    char text[64];
    if (!val_multiple(at, (int64_t)v->tile_size)) {
        ver_fail(v, "Matrix SRAM address %s does not start a tile", text_of(at, text));
        return;
    }
    if ((uint64_t)at.hi / v->tile_size + n > v->arch->matrix_tiles) {
        ver_fail(v, "Matrix SRAM address %s: %u tiles from there are not inside its %u", text_of(at, text), n, v->arch->matrix_tiles);
        return;
    }
    if (!val_one(at)) { /* which one is unknown: none of them is known to be loaded by this */
        ver_fail(v, "cannot tell which tile it loads: %s", text_of(at, text));
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        tile_set(v, (uint64_t)at.lo / v->tile_size + i, f, empty);
        ver_event(v, (struct ev){.kind = EV_TILE_SET, .at = at.lo + (int64_t)(i * v->tile_size), .empty = empty, .format = f});
    }
}

/* ---- HBM ---- */
const struct pl_desc *ver_desc(struct ver *v, struct val index)
{
    char text[64];
    if ((uint64_t)index.hi >= v->img->n_desc) {
        ver_fail(v, "there is no tensor %s of %zu", text_of(index, text), v->img->n_desc);
        return NULL;
    }
    const struct pl_desc *t = &v->img->desc[index.lo];
    for (int64_t k = index.lo; k <= index.hi; k += index.step ? index.step : 1) {
        const struct pl_desc *o = &v->img->desc[k];
        if (o->rows != t->rows || o->cols != t->cols || o->repeat != t->repeat || memcmp(&o->format, &t->format, sizeof o->format) != 0)
            ver_fail(v, "tensors %s and %s differ", t->name, o->name);
        if (!index.step)
            break;
    }
    ver_event(v, (struct ev){.kind = EV_DESC, .at = index.lo});
    return t;
}

void ver_stored(struct ver *v, int64_t tensor, uint64_t lo, uint64_t hi)
{
    struct regs *r = &v->r;
    if (lo >= hi)
        return;
    unsigned i = 0;
    while (i < r->n_unfenced && (tensor < 0 || r->unfenced[i].tensor != tensor))
        i++;
    if (i == MOST_UNFENCED)
        i--; /* the last one holds whatever there is no place for */
    struct bytes *b = &r->unfenced[i];
    if (i == r->n_unfenced) {
        *b = (struct bytes){tensor, lo, hi};
        r->n_unfenced++;
        return;
    }
    b->lo = lo < b->lo ? lo : b->lo;
    b->hi = hi > b->hi ? hi : b->hi;
}

void ver_loaded(struct ver *v, uint64_t lo, uint64_t hi)
{
    for (unsigned i = 0; i < v->r.n_unfenced; i++)
        if (lo < v->r.unfenced[i].hi && v->r.unfenced[i].lo < hi)
            ver_fail(v, "loads HBM bytes %llu..%llu, some of which a store before may not have written: missing C_FENCE",
                     (unsigned long long)lo, (unsigned long long)hi);
}

/* ---- passes of a loop that are not walked ---- */
/* Places of the memory an event is about, in its units. */
static uint64_t places(const struct ver *v, enum ev_kind kind)
{
    switch (kind) {
    case EV_FP_SET: case EV_FP_GET:
        return v->arch->fp_words;
    case EV_INT_SET: case EV_INT_GET:
        return v->arch->int_words;
    case EV_TILE_SET: case EV_TILE_GET:
        return v->arch->matrix_tiles * v->tile_size;
    case EV_DESC:
        return v->img->n_desc;
    default:
        return UINT64_MAX;
    }
}

static void apply_one(struct ver *v, const struct ev *e, int64_t at)
{
    const struct pl_desc *desc = v->img->desc;
    const uint64_t n = places(v, (enum ev_kind)e->kind);
    if (at < 0 || (uint64_t)at >= n || e->width > n - (uint64_t)at) {
        ver_fail(v, "a pass of its loops reaches place %lld of %llu", (long long)at, (unsigned long long)n);
        return;
    }
    switch ((enum ev_kind)e->kind) {
    case EV_FP_SET:
        memset(v->fp_word + at, 1, e->width);
        break;
    case EV_FP_GET:
        for (uint32_t i = 0; i < e->width; i++)
            if (!v->fp_word[at + i])
                ver_fail(v, "FP SRAM word %lld is read before it is written", (long long)at + i);
        break;
    case EV_INT_SET:
        v->word[at] = (struct word){e->v, true};
        break;
    case EV_INT_GET:
        if (!v->word[at].def)
            ver_fail(v, "INT SRAM word %lld is read before it is written", (long long)at);
        break;
    case EV_TILE_SET:
        tile_set(v, (uint64_t)at / v->tile_size, e->format, e->empty);
        break;
    case EV_TILE_GET:
        tile_read(v, (uint64_t)at / v->tile_size);
        break;
    case EV_DESC:
        if (desc[at].rows != desc[e->at].rows || desc[at].cols != desc[e->at].cols ||
            memcmp(&desc[at].format, &desc[e->at].format, sizeof desc->format) != 0)
            ver_fail(v, "tensors %s and %s, of different passes, differ", desc[e->at].name, desc[at].name);
        break;
    case EV_MUL:
        break;
    }
}

void ver_apply(struct ver *v, const struct ev *e, int64_t shift)
{
    uint32_t k[MAX_DIMS] = {0};
    v->pc = e->pc;
    for (;;) {
        int64_t at = e->at + shift;
        for (unsigned i = 0; i < e->n_dim; i++)
            at += k[i] * e->dim[i].stride;
        apply_one(v, e, at);
        if (++v->steps > v->budget)
            return;
        unsigned i = 0;
        while (i < e->n_dim && ++k[i] == e->dim[i].n)
            k[i++] = 0;
        if (i == e->n_dim)
            return;
    }
}
