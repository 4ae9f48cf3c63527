/* dma.c - abstract transfers between HBM and the SRAMs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "verify_internal.h"

static uint64_t umin(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The bytes of rows [first, end) of a tensor, elements and scales. */
static void desc_bytes(struct ver *v, const struct pl_desc *t, struct val index, uint64_t first, uint64_t end, bool store)
{
    if (t->tile) { /* as a whole: it is only read */
        ver_loaded(v, t->elem_base, t->elem_base + pl_desc_tiled_bytes(t));
        return;
    }
    end = umin(end, t->rows);
    for (int64_t k = index.lo; first < end && k <= index.hi; k += index.step) {
        const struct pl_desc *x = &v->img->desc[k];
        const uint64_t elem = x->elem_base + first * x->elem_stride, elem_end = x->elem_base + end * x->elem_stride;
        const uint64_t scale = x->scale_base + first * x->scale_stride, scale_end = x->scale_base + end * x->scale_stride;
        if (store) {
            ver_stored(v, 2 * k, elem, elem_end);
            ver_stored(v, 2 * k + 1, scale, scale_end);
        } else {
            ver_loaded(v, elem, elem_end);
            ver_loaded(v, scale, scale_end);
        }
        if (!index.step)
            break;
    }
}

static void check_column(struct ver *v, const struct pl_desc *t, struct val col)
{
    const uint32_t bits = pl_format_bits(&t->format);
    if (!val_multiple(col, t->format.block) || col.lo * bits % 8 || col.step * bits % 8)
        ver_fail(v, "tensor %s: column %lld (step %lld) does not start a block and a byte", t->name, (long long)col.lo,
                 (long long)col.step);
}

/* Vector SRAM rows at, at + PITCH, ... */
static void pitched_rows(struct ver *v, struct val at, uint32_t n)
{
    ver_vrow(v, at, "Vector SRAM");
    if (n > 1)
        ver_vrow(v, val_plus(at, (int64_t)(n - 1) * v->pitch), "Vector SRAM");
}

/* 1 << log tiles side by side. */
static void load_tiles(struct ver *v, const struct pl_desc *t, const struct pl_insn *in, struct val at)
{
    const struct val row = v->r.gp[in->rs1], col = v->r.gp[in->rs3];
    const uint32_t mlen = v->arch->mlen, n = 1u << in->fn;
    if (t->tile && (t->tile != mlen || !val_multiple(row, mlen) || !val_multiple(col, mlen)))
        ver_fail(v, "tensor %s: row %lld, column %lld do not start one of its tiles of %u", t->name, (long long)row.lo, (long long)col.lo,
                 t->tile);
    if (n > 1 && !t->tile)
        ver_fail(v, "tensor %s: %u tiles at once go only from a tensor in tiles", t->name, n);
    if (col.hi + (int64_t)n * mlen > UINT32_MAX)
        ver_fail(v, "tensor %s: column %lld + %u tiles", t->name, (long long)col.hi, n);
    for (uint32_t i = 0; i < n && i < v->arch->matrix_tiles; i++)
        ver_tile_load(v, val_plus(at, (int64_t)(i * v->tile_size)), 1, &t->format,
                      row.lo >= t->rows || col.lo + (int64_t)i * mlen >= t->cols);
}

static void by_descriptor(struct ver *v, const struct pl_insn *in)
{
    const struct val row = v->r.gp[in->rs1], col = v->r.gp[in->rs3], index = v->r.gp[in->rs2], at = v->r.gp[in->rd];
    const bool matrix = in->op == PL_H_LOAD_M, store = in->op == PL_H_SAVE_V;
    const uint32_t n = matrix ? v->arch->mlen : 1u << in->fn, lanes = matrix ? v->arch->mlen : v->arch->vlen;
    const struct pl_desc *t = ver_desc(v, index);
    if (!t)
        return;
    check_column(v, t, col);
    if (matrix)
        load_tiles(v, t, in, at);
    else
        pitched_rows(v, at, n);
    if (!matrix && t->tile)
        ver_fail(v, "tensor %s is stored in tiles: only H_LOAD_M takes it", t->name);
    if ((matrix || store) && lanes % t->format.block)
        ver_fail(v, "tensor %s: blocks of %u do not fit %u lanes", t->name, t->format.block, lanes);
    if (in->op == PL_H_LOAD_V && t->repeat && (t->cols > lanes || col.hi))
        ver_fail(v, "tensor %s repeats its %u columns: it must be loaded from column 0 into wider rows", t->name, t->cols);
    if (store && (uint64_t)row.hi + n > t->rows)
        ver_fail(v, "tensor %s: rows %lld + %u of %u", t->name, (long long)row.hi, n, t->rows);
    desc_bytes(v, t, index, (uint64_t)row.lo, (uint64_t)row.hi + n, store);
}

/* ---- the published protocol ---- */
struct published {
    const struct pl_format *f;
    uint32_t rows, dim;
};

static struct published published(const struct ver *v, const struct pl_insn *in)
{
    const struct pl_arch *a = v->arch;
    if (in->op == PL_H_PREFETCH_M)
        return (struct published){in->fn ? &v->img->kv : &v->img->weight, (a->prefetch_m_rows + a->mlen - 1) / a->mlen * a->mlen, a->mlen};
    const struct pl_format *f = in->fn ? &v->img->kv : &v->img->act;
    return (struct published){f, in->op == PL_H_PREFETCH_V ? a->prefetch_v_rows : a->writeback_v_rows, a->vlen};
}

static void region(struct ver *v, struct val base, struct val extra, int64_t reach, bool store, unsigned k)
{
    const int64_t lo = base.lo + extra.lo, hi = base.hi + extra.hi + reach;
    if (hi > (int64_t)v->img->hbm_bytes)
        ver_fail(v, "HBM bytes %lld..%lld lie outside the image's %llu", (long long)lo, (long long)hi,
                 (unsigned long long)v->img->hbm_bytes);
    if (store)
        ver_stored(v, -1 - (int64_t)k, (uint64_t)lo, (uint64_t)hi);
    else
        ver_loaded(v, (uint64_t)lo, (uint64_t)hi);
}

static void check_published(struct ver *v, const struct pl_insn *in, const struct published *p, struct val offset)
{
    const uint32_t bits = pl_format_bits(p->f);
    const bool strided = in->rs3 == 1;
    if (!(v->r.areg_def >> in->rs2 & 1))
        ver_fail(v, "a%u is used before it is set", in->rs2);
    if (strided && !(v->r.csr_def >> CSR_STRIDE & 1))
        ver_fail(v, "STRIDE is used before it is set");
    if (pl_format_has_scale(p->f) && (!(v->r.csr_def >> CSR_SCALE & 1) || v->r.csr[CSR_SCALE].lo == 0))
        ver_fail(v, "SCALE is not set");
    if (p->dim % p->f->block)
        ver_fail(v, "blocks of %u do not fit rows of %u", p->f->block, p->dim);
    const struct val stride = strided ? v->r.csr[CSR_STRIDE] : VAL((int64_t)p->dim * bits / 8);
    const int64_t unit = (int64_t)p->f->block * bits; /* of a block, in bits */
    const int64_t part[] = {offset.lo, offset.step, stride.lo, stride.step};
    for (unsigned i = 0; i < PL_COUNT(part); i++)
        if (part[i] * 8 % unit)
            ver_fail(v, "byte %lld of a tensor does not start a block", (long long)part[i]);
    const int64_t last = (int64_t)(p->rows - 1) * stride.hi;
    const bool store = in->op == PL_H_STORE_V;
    region(v, v->r.areg[in->rs2], offset, last + (int64_t)pl_format_row_bytes(p->f, p->dim), store, 0);
    if (!pl_format_has_scale(p->f))
        return;
    const struct val scales = {offset.lo * 8 / unit, (offset.hi + last) * 8 / unit, 1}, skip = v->r.csr[CSR_SCALE];
    region(v, (struct val){v->r.areg[in->rs2].lo + skip.lo, v->r.areg[in->rs2].hi + skip.hi, 1}, scales,
           (int64_t)pl_format_row_scales(p->f, p->dim), store, 1);
}

void ver_transfer(struct ver *v, const struct pl_insn *in)
{
    if (in->op == PL_H_LOAD_M || in->op == PL_H_LOAD_V || in->op == PL_H_SAVE_V) {
        by_descriptor(v, in);
        return;
    }
    const struct published p = published(v, in);
    const struct val at = v->r.gp[in->rd];
    if (in->op == PL_H_PREFETCH_M) {
        ver_tile_load(v, at, p.rows / v->arch->mlen, p.f, false);
    } else {
        ver_vrow(v, at, "Vector SRAM");
        ver_vrow(v, val_plus(at, (int64_t)(p.rows - 1) * p.dim), "Vector SRAM");
    }
    check_published(v, in, &p, v->r.gp[in->rs1]);
}
