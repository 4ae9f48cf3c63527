/* dma.c - transfers between HBM and the SRAMs: by descriptor, and the published register protocol. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

enum { MAX_ROW = 4096 };

/* Bytes that the bursts touched by [begin, end) carry; `last` is the end of the burst touched before. */
static uint64_t bursts(const struct pl_sim *sim, uint64_t begin, uint64_t end, uint64_t *last)
{
    const uint64_t b = sim->arch->hbm_burst;
    uint64_t first = begin / b * b;
    const uint64_t stop = (end + b - 1) / b * b;
    if (begin == end)
        return 0;
    if (first < *last && first + b >= *last)
        first = *last; /* shares its first burst with the row before */
    *last = stop;
    return stop > first ? stop - first : 0;
}

/* ---- ordering of loads behind stores ---- */
static void note_store(struct pl_sim *sim, uint64_t begin, uint64_t end)
{
    if (begin == end)
        return;
    struct range *hull = &sim->unfenced_hull;
    if (!sim->n_unfenced)
        *hull = (struct range){begin, end};
    hull->begin = begin < hull->begin ? begin : hull->begin;
    hull->end = end > hull->end ? end : hull->end;
    struct range *last = sim->n_unfenced ? &sim->unfenced[sim->n_unfenced - 1] : NULL;
    if (last && last->end == begin) {
        last->end = end;
        return;
    }
    if (sim->n_unfenced == sim->cap_unfenced) {
        sim->cap_unfenced = sim->cap_unfenced ? 2 * sim->cap_unfenced : 64;
        sim->unfenced = realloc(sim->unfenced, sim->cap_unfenced * sizeof *sim->unfenced);
        if (!sim->unfenced)
            abort();
    }
    sim->unfenced[sim->n_unfenced++] = (struct range){begin, end};
}

static enum pl_status check_fenced(struct pl_sim *sim, uint64_t begin, uint64_t end)
{
    if (begin >= end || begin >= sim->unfenced_hull.end || end <= sim->unfenced_hull.begin)
        return PL_OK;
    for (size_t i = 0; i < sim->n_unfenced; i++)
        if (begin < sim->unfenced[i].end && sim->unfenced[i].begin < end)
            return sim_fault(sim, "loads HBM bytes %llu..%llu that a store before the last C_FENCE did not write: missing C_FENCE",
                             (unsigned long long)begin, (unsigned long long)end);
    return PL_OK;
}

/* ---- one row of a tensor, wherever its addresses come from ---- */
struct hbm_row {
    const struct pl_format *format;
    uint64_t elem, scale; /* byte addresses of its first element and scale */
    uint32_t n;
};
struct traffic {
    uint64_t bytes, last_elem, last_scale;
    uint64_t steps; /* cycles of the engine with an ideal memory: rows, each taking the most bursts it brings of elements or of scales */
    struct stream stream[2];
};

static enum pl_status check_row(struct pl_sim *sim, const struct hbm_row *r)
{
    const uint64_t size = sim->img->hbm_bytes;
    const uint64_t elem = pl_format_row_bytes(r->format, r->n), scale = pl_format_row_scales(r->format, r->n);
    if (r->elem > size || elem > size - r->elem || (scale && (r->scale > size || scale > size - r->scale)))
        return sim_fault(sim, "HBM bytes %llu + %llu (scales %llu + %llu) lie outside the image's %llu",
                         (unsigned long long)r->elem, (unsigned long long)elem, (unsigned long long)r->scale,
                         (unsigned long long)scale, (unsigned long long)size);
    return PL_OK;
}

/* One more piece: the first gives the place, the second the stride. Pieces without a gap are one longer piece. */
static void add_piece(struct stream *s, uint64_t addr, uint64_t bytes)
{
    if (!bytes)
        return;
    if (s->count == 0)
        *s = (struct stream){addr, bytes, 0, 1};
    else if (s->count == 1 && addr == s->addr + s->bytes)
        s->bytes += bytes;
    else if (s->count++ == 1)
        s->stride = addr - s->addr;
}

static void count_row(struct pl_sim *sim, const struct hbm_row *r, struct traffic *t)
{
    const uint64_t elem = bursts(sim, r->elem, r->elem + pl_format_row_bytes(r->format, r->n), &t->last_elem);
    const uint64_t scale = bursts(sim, r->scale, r->scale + pl_format_row_scales(r->format, r->n), &t->last_scale);
    const uint64_t most = (elem > scale ? elem : scale) / sim->arch->hbm_burst;
    t->bytes += elem + scale;
    t->steps += most ? most : 1;
    add_piece(&t->stream[0], r->elem, pl_format_row_bytes(r->format, r->n));
    add_piece(&t->stream[1], r->scale, pl_format_row_scales(r->format, r->n));
}

/* What the timing plane needs of it; bytes: those read, or written. */
static void note_traffic(struct touch *t, const struct traffic *traffic, uint64_t *bytes)
{
    *bytes = traffic->bytes;
    t->hbm_steps = traffic->steps;
    memcpy(t->stream, traffic->stream, sizeof t->stream);
}

/* Everything of a load but the elements: bounds, traffic, order behind stores, scales. */
static enum pl_status begin_load(struct pl_sim *sim, const struct hbm_row *r, uint8_t *scale, struct traffic *t)
{
    const uint64_t scales = pl_format_row_scales(r->format, r->n);
    PL_TRY(check_row(sim, r));
    count_row(sim, r, t);
    if (sim->n_unfenced) {
        PL_TRY(check_fenced(sim, r->elem, r->elem + pl_format_row_bytes(r->format, r->n)));
        PL_TRY(check_fenced(sim, r->scale, r->scale + scales));
    }
    if (sim->opt.functional && scales) {
        memcpy(scale, sim->hbm + r->scale, scales);
        sim->stats.sticky_nan |= memchr(scale, 255, scales) != NULL;
    }
    return PL_OK;
}

static enum pl_status load_row(struct pl_sim *sim, const struct hbm_row *r, uint32_t *code, uint8_t *scale,
                               struct traffic *t)
{
    PL_TRY(begin_load(sim, r, scale, t));
    if (sim->opt.functional)
        pl_unpack(pl_format_bits(r->format), sim->hbm + r->elem, 0, r->n, code);
    return PL_OK;
}

static enum pl_status store_row(struct pl_sim *sim, const struct hbm_row *r, const float *x, struct traffic *t)
{
    uint32_t code[MAX_ROW];
    const uint64_t bytes = pl_format_row_bytes(r->format, r->n), scales = pl_format_row_scales(r->format, r->n);
    PL_TRY(check_row(sim, r));
    count_row(sim, r, t);
    note_store(sim, r->elem, r->elem + bytes);
    note_store(sim, r->scale, r->scale + scales);
    if (!sim->opt.functional)
        return PL_OK;
    sim->stats.sticky_nan |= pl_quantise(r->format, x, NULL, r->n, code, sim->hbm + r->scale);
    pl_pack(pl_format_bits(r->format), code, r->n, sim->hbm + r->elem);
    return PL_OK;
}

/* ---- descriptors ---- */
static enum pl_status desc_of(struct pl_sim *sim, const struct pl_insn *in, const struct pl_desc **out)
{
    const uint32_t k = sim->gp[in->rs2];
    if (k >= sim->img->n_desc)
        return sim_fault(sim, "there is no tensor descriptor %u (of %zu)", k, sim->img->n_desc);
    *out = &sim->img->desc[k];
    const uint32_t col = sim->gp[in->rs3], bits = pl_format_bits(&(*out)->format);
    if (col % (*out)->format.block || (uint64_t)col * bits % 8)
        return sim_fault(sim, "tensor %s: column %u does not start a block and a byte", (*out)->name, col);
    return PL_OK;
}

static enum pl_status row_desc_of(struct pl_sim *sim, const struct pl_insn *in, const struct pl_desc **out)
{
    PL_TRY(desc_of(sim, in, out));
    if ((*out)->tile)
        return sim_fault(sim, "tensor %s is stored in tiles, which only H_LOAD_M takes", (*out)->name);
    return PL_OK;
}

/* Row `row`, columns [col, col + width) as far as they exist; n = 0 when none does. */
static struct hbm_row desc_row(const struct pl_desc *t, uint64_t row, uint32_t col, uint32_t width)
{
    struct hbm_row r = {.format = &t->format};
    if (row >= t->rows || col >= t->cols)
        return r;
    const struct pl_desc_place at = pl_desc_place(t, (uint32_t)row, col);
    r.n = at.n < width ? at.n : width;
    r.elem = at.elem;
    r.scale = at.scale;
    return r;
}

/* ---- rows of a descriptor without their data: what begin_load finds row by row, by arithmetic ---- */
/* Bytes of the bursts of n pieces. */
static uint64_t bursts_of_pieces(const struct pl_sim *sim, const struct stream *s, uint64_t n)
{
    const uint64_t b = sim->arch->hbm_burst;
    uint64_t last = 0;
    if (s->bytes == s->stride)
        return bursts(sim, s->addr, s->addr + n * s->bytes, &last);
    uint64_t sum = bursts(sim, s->addr, s->addr + s->bytes, &last);
    if (s->stride % b == 0 && (s->addr + s->stride) / b * b >= last)
        return n * sum;
    for (uint64_t i = 1; i < n; i++)
        sum += bursts(sim, s->addr + i * s->stride, s->addr + i * s->stride + s->bytes, &last);
    return sum;
}

/* n pieces as one stream; they lie in the image, apart from what waits for a fence. */
static bool pieces_in_order(const struct pl_sim *sim, const struct stream *s, uint64_t n)
{
    const uint64_t size = sim->img->hbm_bytes, reach = (n - 1) * s->stride + s->bytes; /* n <= MLEN, 32-bit strides */
    const struct range *hull = &sim->unfenced_hull;
    if (s->addr > size || reach > size - s->addr)
        return false;
    return !sim->n_unfenced || s->addr >= hull->end || s->addr + reach <= hull->begin;
}

static struct stream joined(struct stream s, uint64_t n)
{
    if (!s.bytes)
        return (struct stream){0};
    if (s.bytes == s.stride || n == 1)
        return (struct stream){s.addr, n * s.bytes, 0, 1};
    s.count = n;
    return s;
}

/* n tiles side by side of a tensor in tiles, as far as it has them: one piece. */
static struct traffic tiles_traffic(const struct pl_sim *sim, const struct pl_desc *t, uint32_t row, uint32_t col, uint32_t n)
{
    struct traffic x = {0};
    if (row >= t->rows || col >= t->cols)
        return x;
    const uint32_t have = (t->cols - col - 1) / t->tile + 1, last = col + ((have < n ? have : n) - 1) * t->tile;
    const uint64_t at = pl_desc_place(t, row, col).elem;
    const uint64_t bytes = pl_desc_place(t, row, last).elem + pl_desc_tile_bytes(t, row, last) - at;
    x.bytes = bursts(sim, at, at + bytes, &x.last_elem);
    x.stream[0] = (struct stream){at, bytes, 0, 1};
    return x;
}

/* Load `width` columns of up to n rows of t. False: the rows have to be looked at one by one. */
static bool load_without_data(const struct pl_sim *sim, const struct pl_desc *t, uint64_t row, uint32_t col, uint32_t n,
                              struct traffic *out)
{
    const struct hbm_row first = desc_row(t, row, col, n);
    if (!first.n)
        return true;
    const uint64_t rows = t->rows - row < n ? t->rows - row : n;
    const struct stream elem = {first.elem, pl_format_row_bytes(&t->format, first.n), t->elem_stride, 1};
    const struct stream scale = {first.scale, pl_format_row_scales(&t->format, first.n), t->scale_stride, 1};
    if (!pieces_in_order(sim, &elem, rows) || (scale.bytes && !pieces_in_order(sim, &scale, rows)))
        return false;
    out->bytes = bursts_of_pieces(sim, &elem, rows) + bursts_of_pieces(sim, &scale, rows);
    out->stream[0] = joined(elem, rows);
    out->stream[1] = joined(scale, rows);
    return true;
}

static enum pl_status tile_for_load(struct pl_sim *sim, uint64_t addr, uint32_t n, struct touch *t, uint64_t *first)
{
    const uint64_t size = (uint64_t)sim->arch->mlen * sim->arch->mlen;
    if (addr % size)
        return sim_fault(sim, "Matrix SRAM address %llu does not start a tile", (unsigned long long)addr);
    if (addr / size + n > sim->arch->matrix_tiles)
        return sim_fault(sim, "Matrix SRAM tiles %llu + %u of %u", (unsigned long long)(addr / size), n,
                         sim->arch->matrix_tiles);
    *first = addr / size;
    t->tile_write = (int64_t)*first;
    t->tiles = n;
    return PL_OK;
}

/* Give the tile memory for a format; old contents are dropped. */
static void prepare_tile(struct pl_sim *sim, struct tile *tile, const struct pl_format *f)
{
    const size_t mlen = sim->arch->mlen;
    tile->loaded = true;
    tile->generation++;
    tile->use = sim_format_use(sim, f);
    tile->format = *f;
    if (!sim->opt.functional)
        return;
    tile->format = *f;
    tile->row_bytes = pl_format_row_bytes(f, mlen);
    if (tile->capacity < mlen * tile->row_bytes) {
        free(tile->packed);
        tile->capacity = mlen * tile->row_bytes;
        tile->packed = malloc(tile->capacity);
    }
    if (!tile->scale)
        tile->scale = malloc(mlen * mlen);
    if (!tile->packed || !tile->scale)
        abort();
}

/* Row i of the tile; lanes behind the row's n: zero elements, and scale 0 for whole blocks that are missing. */
static enum pl_status load_tile_row(struct pl_sim *sim, struct tile *tile, uint32_t i, const struct hbm_row *r,
                                    struct traffic *t)
{
    const uint32_t scales = sim->arch->mlen / r->format->block, bits = pl_format_bits(r->format);
    uint8_t *scale = tile->scale + (size_t)i * scales;
    if (r->n)
        PL_TRY(begin_load(sim, r, scale, t));
    else
        t->steps++;
    if (!sim->opt.functional)
        return PL_OK;
    uint8_t *out = tile->packed + (size_t)i * tile->row_bytes;
    const size_t bytes = pl_format_row_bytes(r->format, r->n), have = (r->n + r->format->block - 1u) / r->format->block;
    memcpy(out, sim->hbm + r->elem, bytes);
    if (r->n * bits % 8)
        out[bytes - 1] &= (uint8_t)((1u << r->n * bits % 8) - 1);
    memset(out + bytes, 0, tile->row_bytes - bytes);
    memset(scale + have, 0, scales - have);
    return PL_OK;
}

static enum pl_status load_tile(struct pl_sim *sim, const struct pl_desc *desc, struct tile *tile, uint32_t row, uint32_t col,
                                struct traffic *traffic)
{
    prepare_tile(sim, tile, &desc->format);
    for (uint32_t i = 0; i < sim->arch->mlen; i++) {
        const struct hbm_row r = desc_row(desc, (uint64_t)row + i, col, sim->arch->mlen);
        PL_TRY(load_tile_row(sim, tile, i, &r, traffic));
    }
    return PL_OK;
}

enum pl_status sim_H_LOAD_M(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t mlen = sim->arch->mlen, n = 1u << in->fn, row = sim->gp[in->rs1], col = sim->gp[in->rs3];
    const struct pl_desc *desc;
    uint64_t first = 0;
    struct traffic traffic = {0};
    PL_TRY(desc_of(sim, in, &desc));
    PL_TRY(tile_for_load(sim, sim->gp[in->rd], n, t, &first));
    if (mlen % desc->format.block)
        return sim_fault(sim, "tensor %s: blocks of %u do not fit MLEN = %u", desc->name, desc->format.block, mlen);
    if (desc->tile && (desc->tile != mlen || row % mlen || col % mlen))
        return sim_fault(sim, "tensor %s: row %u, column %u do not start one of its tiles of %u", desc->name, row, col, desc->tile);
    if (n > 1 && (!desc->tile || col > UINT32_MAX - n * mlen))
        return sim_fault(sim, "tensor %s: %u tiles at once go only from a tensor in tiles", desc->name, n);
    bool rows = sim->opt.functional || sim->t.ideal;
    if (desc->tile) {
        traffic = tiles_traffic(sim, desc, row, col, n);
        rows |= traffic.stream[0].count && !pieces_in_order(sim, &traffic.stream[0], 1);
    } else {
        rows = rows || !load_without_data(sim, desc, row, col, mlen, &traffic);
    }
    struct traffic by_rows = {0};
    for (uint32_t i = 0; i < n; i++)
        if (rows)
            PL_TRY(load_tile(sim, desc, &sim->tile[first + i], row, col + i * mlen, &by_rows));
        else
            prepare_tile(sim, &sim->tile[first + i], &desc->format);
    if (rows && !desc->tile)
        traffic = by_rows;
    traffic.steps = by_rows.steps;
    note_traffic(t, &traffic, &t->hbm_read);
    return PL_OK;
}

static void to_vsram(struct pl_sim *sim, uint32_t row, const struct pl_format *f, const uint32_t *code,
                     const uint8_t *scale, uint32_t n)
{
    float *out = vrow_data(sim, row);
    sim_row_written(sim, row);
    if (!sim->opt.functional)
        return;
    pl_dequantise(f, code, scale, n, out);
    for (uint32_t b = 0; pl_format_has_scale(f) && b * f->block < n; b++)
        if (scale[b] == 255) /* a NaN scale: the block is zero, begin_load has raised the sticky error */
            for (uint32_t l = b * f->block; l < n && l < (b + 1u) * f->block; l++)
                out[l] = 0;
    pl_vec_round_n(sim->img->plan.vec, out, n, out);
    memset(out + n, 0, (sim->arch->vlen - n) * sizeof *out);
}

/* Vector SRAM rows v[addr + j * PITCH], j < n. */
static enum pl_status pitched_rows(struct pl_sim *sim, uint64_t addr, uint32_t n, struct rows *out)
{
    uint32_t first, last;
    PL_TRY(sim_vrow(sim, addr, "Vector SRAM", &first));
    PL_TRY(sim_vrow(sim, addr + (uint64_t)(n - 1) * sim->pitch, "Vector SRAM", &last));
    *out = (struct rows){first, n, sim->pitch / sim->arch->vlen, 1};
    return PL_OK;
}

enum pl_status sim_H_LOAD_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t vlen = sim->arch->vlen, n = 1u << in->fn;
    const struct pl_desc *desc;
    uint32_t code[MAX_ROW];
    uint8_t scale[MAX_ROW];
    struct traffic traffic = {0};
    PL_TRY(row_desc_of(sim, in, &desc));
    PL_TRY(pitched_rows(sim, sim->gp[in->rd], n, &t->write));
    if (desc->repeat && (desc->cols > vlen || sim->gp[in->rs3]))
        return sim_fault(sim, "tensor %s repeats its %u columns: it must be loaded from column 0 into wider rows",
                         desc->name, desc->cols);
    for (uint32_t j = 0; j < n; j++) {
        const struct hbm_row r = desc_row(desc, (uint64_t)sim->gp[in->rs1] + j, sim->gp[in->rs3], vlen);
        if (r.n)
            PL_TRY(load_row(sim, &r, code, scale, &traffic));
        else
            traffic.steps++;
        const uint32_t row = t->write.first + j * t->write.stride;
        to_vsram(sim, row, &desc->format, code, scale, r.n);
        if (desc->repeat && r.n && sim->opt.functional)
            for (uint32_t l = desc->cols; l < vlen; l++)
                vrow_data(sim, row)[l] = vrow_data(sim, row)[l - desc->cols];
    }
    note_traffic(t, &traffic, &t->hbm_read);
    return PL_OK;
}

enum pl_status sim_H_SAVE_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t n = 1u << in->fn;
    const struct pl_desc *desc;
    struct traffic traffic = {0};
    PL_TRY(row_desc_of(sim, in, &desc));
    PL_TRY(pitched_rows(sim, sim->gp[in->rd], n, &t->read[0]));
    t->n_read = 1;
    if (sim->arch->vlen % desc->format.block)
        return sim_fault(sim, "tensor %s: blocks of %u do not fit VLEN = %u", desc->name, desc->format.block,
                         sim->arch->vlen);
    if ((uint64_t)sim->gp[in->rs1] + n > desc->rows)
        return sim_fault(sim, "tensor %s: rows %u + %u of %u", desc->name, sim->gp[in->rs1], n, desc->rows);
    for (uint32_t j = 0; j < n; j++) {
        const struct hbm_row r = desc_row(desc, (uint64_t)sim->gp[in->rs1] + j, sim->gp[in->rs3], sim->arch->vlen);
        if (r.n)
            PL_TRY(store_row(sim, &r, vrow_data(sim, t->read[0].first + j * t->read[0].stride), &traffic));
        else
            traffic.steps++;
    }
    note_traffic(t, &traffic, &t->hbm_write);
    return PL_OK;
}

/* ---- the published protocol: address, SCALE and STRIDE registers, format by direction and precision ---- */
struct published {
    const struct pl_format *format;
    uint32_t dim; /* elements of a row */
};

/* What holds for all rows of a transfer into or from rows of `lanes`. */
static enum pl_status check_published(struct pl_sim *sim, const struct pl_insn *in, const struct published *p,
                                      const char *lanes)
{
    if (p->dim % p->format->block)
        return sim_fault(sim, "blocks of %u do not fit %s = %u", p->format->block, lanes, p->dim);
    if (pl_format_has_scale(p->format) && sim->scale_reg == 0)
        return sim_fault(sim, "SCALE is not set");
    if (sim->areg[in->rs2] > sim->img->hbm_bytes) /* so no sum of addresses goes round */
        return sim_fault(sim, "a%u = %llu: rows lie outside the image's %llu bytes of HBM", in->rs2,
                         (unsigned long long)sim->areg[in->rs2], (unsigned long long)sim->img->hbm_bytes);
    return PL_OK;
}

static enum pl_status published_row(struct pl_sim *sim, const struct pl_insn *in, const struct published *p, uint32_t j,
                                    struct hbm_row *out)
{
    const uint64_t bits = pl_format_bits(p->format), offset = sim->gp[in->rs1], base = sim->areg[in->rs2];
    const uint64_t stride = in->rs3 == 1 ? sim->stride_reg : p->dim * bits / 8;
    const uint64_t byte = offset + j * stride; /* within the element region */
    if (byte * 8 % bits)
        return sim_fault(sim, "byte offset %llu does not start an element of %llu bits", (unsigned long long)byte,
                         (unsigned long long)bits);
    const uint64_t element = byte * 8 / bits;
    if (element % p->format->block)
        return sim_fault(sim, "element %llu does not start a block of %u", (unsigned long long)element, p->format->block);
    *out = (struct hbm_row){.format = p->format, .elem = base + byte,
                            .scale = base + sim->scale_reg + element / p->format->block, .n = p->dim};
    return PL_OK;
}

enum pl_status sim_H_PREFETCH_M(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t mlen = sim->arch->mlen;
    const struct published p = {in->fn ? &sim->img->kv : &sim->img->weight, mlen};
    const uint32_t tiles = (sim->arch->prefetch_m_rows + mlen - 1) / mlen;
    uint64_t first = 0;
    struct traffic traffic = {0};
    PL_TRY(check_published(sim, in, &p, "MLEN"));
    PL_TRY(tile_for_load(sim, sim->gp[in->rd], tiles, t, &first));
    for (uint32_t r = 0; r < tiles * mlen; r++) {
        struct tile *tile = &sim->tile[first + r / mlen];
        struct hbm_row row;
        if (r % mlen == 0)
            prepare_tile(sim, tile, p.format);
        PL_TRY(published_row(sim, in, &p, r, &row));
        PL_TRY(load_tile_row(sim, tile, r % mlen, &row, &traffic));
    }
    note_traffic(t, &traffic, &t->hbm_read);
    return PL_OK;
}

enum pl_status sim_H_PREFETCH_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t vlen = sim->arch->vlen, n = sim->arch->prefetch_v_rows;
    const struct published p = {in->fn ? &sim->img->kv : &sim->img->act, vlen};
    uint32_t code[MAX_ROW];
    uint8_t scale[MAX_ROW];
    uint32_t first, last;
    struct traffic traffic = {0};
    PL_TRY(check_published(sim, in, &p, "VLEN"));
    PL_TRY(sim_vrow(sim, sim->gp[in->rd], "destination", &first));
    PL_TRY(sim_vrow(sim, sim->gp[in->rd] + (uint64_t)(n - 1) * vlen, "destination", &last));
    t->write = (struct rows){first, n, 1, 1};
    for (uint32_t j = 0; j < n; j++) {
        struct hbm_row row;
        PL_TRY(published_row(sim, in, &p, j, &row));
        PL_TRY(load_row(sim, &row, code, scale, &traffic));
        to_vsram(sim, first + j, p.format, code, scale, vlen);
    }
    note_traffic(t, &traffic, &t->hbm_read);
    return PL_OK;
}

enum pl_status sim_H_STORE_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const uint32_t vlen = sim->arch->vlen, n = sim->arch->writeback_v_rows;
    const struct published p = {in->fn ? &sim->img->kv : &sim->img->act, vlen};
    uint32_t first, last;
    struct traffic traffic = {0};
    PL_TRY(check_published(sim, in, &p, "VLEN"));
    PL_TRY(sim_vrow(sim, sim->gp[in->rd], "source", &first));
    PL_TRY(sim_vrow(sim, sim->gp[in->rd] + (uint64_t)(n - 1) * vlen, "source", &last));
    t->read[t->n_read++] = (struct rows){first, n, 1, 1};
    for (uint32_t j = 0; j < n; j++) {
        struct hbm_row row;
        PL_TRY(published_row(sim, in, &p, j, &row));
        PL_TRY(store_row(sim, &row, vrow_data(sim, first + j), &traffic));
    }
    note_traffic(t, &traffic, &t->hbm_write);
    return PL_OK;
}
