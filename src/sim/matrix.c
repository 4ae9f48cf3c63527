/* matrix.c - the matrix unit: operands from Vector and Matrix SRAM, accumulators, write-outs, batched products. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

enum { STRIP = 16, MAX_TERMS = 1024 };

/* ---- operands ---- */
enum pl_status sim_operand_rows(struct pl_sim *sim, uint64_t addr, uint32_t n, uint64_t step, struct rows *out)
{
    const uint32_t mlen = sim->arch->mlen, vlen = sim->arch->vlen;
    const uint64_t size = (uint64_t)sim->arch->vector_rows * vlen;
    if (addr % mlen)
        return sim_fault(sim, "Vector SRAM address %llu is not a multiple of MLEN = %u", (unsigned long long)addr, mlen);
    if (step > size || addr + (n - 1) * step * sim->pitch + mlen > size)
        return sim_fault(sim, "operand rows from %llu reach outside the %llu elements of Vector SRAM",
                         (unsigned long long)addr, (unsigned long long)size);
    *out = (struct rows){(uint32_t)(addr / vlen), n, (uint32_t)(step * sim->pitch / vlen), mlen > vlen ? mlen / vlen : 1};
    return PL_OK;
}

enum pl_status sim_tile_at(struct pl_sim *sim, uint64_t addr, struct tile **out, int64_t *index, uint64_t *offset)
{
    const uint64_t size = (uint64_t)sim->arch->mlen * sim->arch->mlen;
    if (addr / size >= sim->arch->matrix_tiles)
        return sim_fault(sim, "Matrix SRAM address %llu is outside its %u tiles", (unsigned long long)addr,
                         sim->arch->matrix_tiles);
    *index = (int64_t)(addr / size);
    *out = &sim->tile[addr / size];
    *offset = addr % size;
    if (!(*out)->loaded)
        return sim_fault(sim, "Matrix SRAM tile %lld was never loaded", (long long)*index);
    return PL_OK;
}

/* The arithmetic of the activation format against `right`; found or made. */
static enum pl_status spec_for(struct pl_sim *sim, const struct pl_format *right, bool along_n, uint32_t width,
                               const struct pl_mm_spec **out)
{
    for (unsigned i = 0; i < sim->n_spec; i++) {
        const struct pl_mm_spec *s = &sim->spec[i];
        if (s->right_along_n == along_n && s->tile == width && !memcmp(&s->right, right, sizeof *right)) {
            *out = s;
            return PL_OK;
        }
    }
    if (sim->n_spec == MAX_SPECS)
        return sim_fault(sim, "more than %d operand formats", MAX_SPECS);
    struct pl_diag why;
    const struct pl_plan *p = &sim->img->plan;
    const enum pl_status st = pl_mm_spec_init(&sim->spec[sim->n_spec], &sim->img->act, right, along_n, p->vec, width,
                                              p->blen, p->guard, p->acc_bits, &why);
    if (st != PL_OK)
        return sim_fault(sim, "%s", why.text);
    *out = &sim->spec[sim->n_spec++];
    return PL_OK;
}

static uint64_t rows_version(const struct pl_sim *sim, const struct rows *r)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t w = 0; w < r->width; w++)
            sum += sim->row_version[r->first + i * r->stride + w];
    return sum;
}

static void fill_left(struct pl_sim *sim, const struct pl_mm_spec *spec, struct pl_panel *p, uint64_t addr, uint32_t n,
                      uint64_t step, const int16_t *fold)
{
    for (uint32_t i = 0; i < n; i++)
        sim->stats.sticky_nan |= pl_panel_set_left(spec, p, i, 0, sim->arch->mlen,
                                                   sim->vsram + addr + i * step * sim->pitch, fold);
}

/* Bring the terms of an accumulator into storage. */
static void store_terms(struct pl_sim *sim, struct accumulator *a)
{
    if (!a->stored) {
        if (a->made_for != a->spec) {
            pl_acc_free(a->acc);
            a->acc = pl_acc_new(a->spec, a->rows, sim->arch->blen);
            a->made_for = a->spec;
        }
        pl_acc_clear(a->acc);
        a->stored = true;
    }
    for (unsigned i = 0; i < a->n_terms; i++) {
        const struct pl_mm_term *t = &a->term[i];
        pl_mm_accumulate(a->spec, t->left, t->i0, t->lk0, t->right, t->j0, t->rk0, t->n, a->rows, sim->arch->blen, a->acc);
    }
    a->n_terms = 0;
}

/* A panel is about to change: whatever waits for its present contents takes them now. */
static void release_panel(struct pl_sim *sim, const struct pl_panel *p)
{
    struct accumulator *const all[] = {&sim->acc_m, &sim->acc_v};
    sim->panel_epoch++;
    for (unsigned k = 0; k < PL_COUNT(all); k++)
        for (unsigned i = 0; i < all[k]->n_terms; i++)
            if (all[k]->term[i].left == p || all[k]->term[i].right == p) {
                store_terms(sim, all[k]);
                break;
            }
}

/* BLEN left rows, quantised; kept while the rows stay as they are. */
static const struct pl_panel *left_rows(struct pl_sim *sim, const struct pl_mm_spec *spec, uint64_t addr,
                                        const struct rows *r)
{
    struct left_entry *e = &sim->left[addr / sim->arch->mlen / sim->arch->blen % LEFT_CACHE];
    const uint64_t version = rows_version(sim, r);
    if (e->panel && e->addr == addr && e->spec == spec && e->version == version && e->rows == r->count)
        return e->panel;
    release_panel(sim, e->panel);
    if (!e->panel || e->spec != spec) {
        pl_panel_free(e->panel);
        e->panel = pl_panel_new(spec, false, sim->arch->blen, sim->arch->mlen);
    }
    fill_left(sim, spec, e->panel, addr, r->count, 1, NULL);
    *e = (struct left_entry){addr, version, r->count, spec, e->panel};
    return e->panel;
}

static void fill_columns(const struct pl_sim *sim, const struct tile *t, const struct pl_mm_spec *spec, struct pl_panel *p)
{
    const uint32_t mlen = sim->arch->mlen;
    uint32_t code[4096];
    for (uint32_t r = 0; r < mlen; r++) {
        pl_unpack(pl_format_bits(&t->format), t->packed + r * t->row_bytes, 0, mlen, code);
        pl_panel_set_right_row(spec, p, r, 0, mlen, code);
    }
}

static void fill_rows(const struct pl_sim *sim, const struct tile *t, const struct pl_mm_spec *spec, struct pl_panel *p)
{
    const uint32_t mlen = sim->arch->mlen, scales = mlen / t->format.block;
#pragma omp parallel for schedule(static) if (mlen >= 512)
    for (uint32_t r = 0; r < mlen; r++)
        pl_panel_set_right_packed(spec, p, r, 0, mlen, t->packed + r * t->row_bytes, t->scale + (size_t)r * scales);
}

/* The tile as right operand: its rows as vectors (transposed use) or its columns. */
static const struct pl_panel *right_panel(struct pl_sim *sim, struct tile *t, const struct pl_mm_spec *spec, bool columns)
{
    const uint32_t mlen = sim->arch->mlen;
    if (t->panel[columns] && t->spec[columns] == spec && t->panel_generation[columns] == t->generation)
        return t->panel[columns];
    release_panel(sim, t->panel[columns]);
    if (!t->panel[columns] || t->spec[columns] != spec) {
        pl_panel_free(t->panel[columns]);
        t->panel[columns] = pl_panel_new(spec, true, mlen, mlen);
        t->spec[columns] = spec;
    }
    if (columns)
        fill_columns(sim, t, spec, t->panel[1]);
    else
        fill_rows(sim, t, spec, t->panel[0]);
    t->panel_generation[columns] = t->generation;
    return t->panel[columns];
}

void sim_matrix_fini(struct pl_sim *sim)
{
    for (uint32_t i = 0; i < sim->arch->matrix_tiles; i++) {
        struct tile *t = &sim->tile[i];
        free(t->packed);
        free(t->scale);
        pl_panel_free(t->panel[0]);
        pl_panel_free(t->panel[1]);
    }
    for (unsigned i = 0; i < LEFT_CACHE; i++)
        pl_panel_free(sim->left[i].panel);
    pl_acc_free(sim->acc_m.acc);
    pl_acc_free(sim->acc_v.acc);
    free(sim->acc_m.term);
    free(sim->acc_v.term);
    free(sim->ahead.term);
    free(sim->ahead.out);
}

/* ---- accumulation ---- */
static enum pl_status open_acc(struct pl_sim *sim, struct accumulator *a, const struct pl_mm_spec *spec, uint32_t rows)
{
    if (a->in_use && a->spec != spec)
        return sim_fault(sim, "accumulates onto a product of other formats or another width");
    if (!a->in_use) {
        a->spec = spec;
        a->rows = rows;
        a->n_terms = 0;
        a->stored = false;
        a->in_use = true;
    }
    return PL_OK;
}

static void reserve_terms(struct pl_mm_term **term, unsigned *cap, unsigned n)
{
    if (n <= *cap)
        return;
    *cap = n < 32 ? 64 : 2 * n;
    *term = realloc(*term, *cap * sizeof **term);
    if (!*term)
        abort();
}

/* The sum is taken at the write-out, when all of its terms are known. */
static void add_term(struct pl_sim *sim, struct accumulator *a, struct pl_mm_term t)
{
    if (a->n_terms == MAX_TERMS)
        store_terms(sim, a);
    reserve_terms(&a->term, &a->cap_terms, a->n_terms + 1);
    a->term[a->n_terms++] = t;
}

/* Scale exponents of the block that holds column `col`, one for each row of the tile: the fold of DESIGN 5.5. */
static void fold_of(const struct pl_sim *sim, const struct tile *t, uint32_t col, int16_t *fold)
{
    const uint32_t mlen = sim->arch->mlen, scales = mlen / t->format.block;
    for (uint32_t r = 0; r < mlen; r++) {
        const uint8_t s = t->scale[(size_t)r * scales + col / t->format.block];
        fold[r] = s == 255 ? 0 : (int16_t)(s - 127);
    }
}

struct product {
    uint64_t vec;       /* first left row */
    uint32_t rows;      /* 1 or BLEN */
    struct tile *tile;
    uint32_t col;       /* first result: row of the tile (transposed) or column */
    uint32_t q0, k0;    /* lane windows of left and right */
    uint32_t width;     /* lanes multiplied */
    bool transposed;
};

/* acc += rows x BLEN results. Straight use of an MX tile folds its scales, block of columns by block of columns. */
static enum pl_status accumulate(struct pl_sim *sim, struct accumulator *a, const struct product *p, const struct rows *r)
{
    const uint32_t blen = sim->arch->blen, mlen = sim->arch->mlen;
    const struct pl_mm_spec *spec;
    PL_TRY(spec_for(sim, &p->tile->format, !p->transposed, p->width, &spec));
    PL_TRY(open_acc(sim, a, spec, p->rows));
    const struct pl_panel *right = right_panel(sim, p->tile, spec, !p->transposed);
    if (p->transposed || !pl_format_has_scale(&p->tile->format)) {
        const struct pl_panel *left = left_rows(sim, spec, p->vec, r);
        add_term(sim, a, (struct pl_mm_term){left, right, 0, p->q0, p->col, p->k0, p->width});
        return PL_OK;
    }
    store_terms(sim, a);
    const uint32_t block = p->tile->format.block, group = block < blen ? block : blen;
    int16_t fold[4096];
    struct pl_panel *left = pl_panel_new(spec, false, p->rows, mlen);
    for (uint32_t c = 0; c < blen; c += group) {
        fold_of(sim, p->tile, p->col + c, fold);
        fill_left(sim, spec, left, p->vec, p->rows, 1, fold);
        pl_mm_accumulate_at(spec, left, 0, 0, right, p->col + c, 0, mlen, p->rows, group, a->acc, c);
    }
    pl_panel_free(left);
    return PL_OK;
}

static enum pl_status check_offset(struct pl_sim *sim, uint64_t offset, uint32_t *line)
{
    const uint32_t mlen = sim->arch->mlen;
    if (offset % mlen || offset / mlen % sim->arch->blen)
        return sim_fault(sim, "tile offset %llu is not a multiple of BLEN rows (%u * MLEN)", (unsigned long long)offset,
                         sim->arch->blen);
    *line = (uint32_t)(offset / mlen);
    return PL_OK;
}

static enum pl_status run_product(struct pl_sim *sim, struct accumulator *a, struct product *p, struct touch *t)
{
    t->class = p->rows == 1 ? PL_OPC_MV : PL_OPC_MM;
    t->tiles = 1;
    PL_TRY(sim_operand_rows(sim, p->vec, p->rows, 1, &t->read[0]));
    t->n_read = 1;
    return sim->opt.functional ? accumulate(sim, a, p, &t->read[0]) : PL_OK;
}

enum pl_status sim_M_MM(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    struct product p = {.vec = sim->gp[in->rs2], .rows = sim->arch->blen, .width = sim->arch->mlen};
    uint64_t offset;
    PL_TRY(sim_tile_at(sim, sim->gp[in->rs1], &p.tile, &t->tile_read, &offset));
    PL_TRY(check_offset(sim, offset, &p.col));
    PL_TRY(run_product(sim, &sim->acc_m, &p, t));
    return sim_step_on(sim, in, in->rs2, in->rs1);
}

enum pl_status sim_M_TMM(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    const struct pl_arch *arch = sim->arch;
    struct product p = {.rows = arch->blen, .width = arch->mlen, .transposed = true};
    uint64_t vec = sim->gp[in->rs1], offset;
    PL_TRY(sim_tile_at(sim, sim->gp[in->rs2], &p.tile, &t->tile_read, &offset));
    if (in->rs3) {
        p.width = arch->hlen << (in->rs3 - 1);
        if (p.width > arch->mlen)
            return sim_fault(sim, "a window of %u lanes exceeds MLEN = %u", p.width, arch->mlen);
        p.q0 = (uint32_t)(vec % arch->mlen);
        p.k0 = (uint32_t)(offset % arch->mlen);
        if (p.q0 % p.width || p.k0 % p.width)
            return sim_fault(sim, "lanes %u and %u are not multiples of the window's %u", p.q0, p.k0, p.width);
        vec -= p.q0;
        offset -= p.k0;
    }
    p.vec = vec;
    PL_TRY(check_offset(sim, offset, &p.col));
    PL_TRY(run_product(sim, &sim->acc_m, &p, t));
    return sim_step_on(sim, in, in->rs1, in->rs2);
}

static enum pl_status vector_product(struct pl_sim *sim, const struct pl_insn *in, bool transposed, struct touch *t)
{
    struct product p = {.vec = sim->gp[in->rs2], .rows = 1, .width = sim->arch->mlen, .transposed = transposed};
    uint64_t offset;
    PL_TRY(sim_tile_at(sim, sim->gp[in->rs1], &p.tile, &t->tile_read, &offset));
    PL_TRY(check_offset(sim, offset, &p.col));
    return run_product(sim, &sim->acc_v, &p, t);
}

enum pl_status sim_M_MV(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return vector_product(sim, in, false, t);
}

enum pl_status sim_M_TMV(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return vector_product(sim, in, true, t);
}

/* ---- write-out ---- */
/* Are the sums of `a` in the lookahead, and from which column of it? */
static bool looked_ahead(const struct pl_sim *sim, const struct accumulator *a, uint32_t *col)
{
    const struct lookahead *h = &sim->ahead;
    if (h->spec != a->spec || h->epoch != sim->panel_epoch || h->rows != a->rows || h->n_terms != a->n_terms ||
        a->term[0].j0 < h->term[0].j0 || a->term[0].j0 - h->term[0].j0 + sim->arch->blen > h->cols)
        return false;
    const size_t off = a->term[0].j0 - h->term[0].j0;
    for (unsigned i = 0; i < h->n_terms; i++) {
        struct pl_mm_term t = a->term[i];
        t.j0 -= off;
        if (memcmp(&t, &h->term[i], sizeof t))
            return false;
    }
    *col = (uint32_t)off;
    return true;
}

static void look_ahead(struct pl_sim *sim, const struct accumulator *a)
{
    struct lookahead *h = &sim->ahead;
    const uint32_t blen = sim->arch->blen, mlen = sim->arch->mlen;
    if (!h->out)
        h->out = malloc((size_t)blen * mlen * sizeof *h->out);
    if (!h->out)
        abort();
    size_t most = mlen;
    reserve_terms(&h->term, &h->cap_terms, a->n_terms);
    for (unsigned i = 0; i < a->n_terms; i++) {
        h->term[i] = a->term[i];
        most = mlen - a->term[i].j0 < most ? mlen - a->term[i].j0 : most;
    }
    h->want = h->used < h->want ? h->used : 2 * h->want;
    h->want = h->want < blen ? blen : h->want > most ? (uint32_t)most : h->want;
    const size_t cols = pl_round_up(h->want, STRIP); /* the kernels' own width comes for free */
    h->cols = (uint32_t)(cols < most ? cols : most);
    h->spec = a->spec;
    h->epoch = sim->panel_epoch;
    h->rows = a->rows;
    h->n_terms = a->n_terms;
    h->used = 0;
    pl_mm_sum(a->spec, h->term, h->n_terms, a->rows, h->cols, h->out, mlen);
}

/* rows x BLEN results to out. */
static void take_sum(struct pl_sim *sim, struct accumulator *a, float *out, size_t ldo)
{
    const uint32_t blen = sim->arch->blen;
    uint32_t col = 0;
    if (a->stored) {
        store_terms(sim, a);
        pl_mm_write_out(a->spec, a->acc, a->rows, blen, out, ldo);
        return;
    }
    if (!looked_ahead(sim, a, &col))
        look_ahead(sim, a);
    struct lookahead *h = &sim->ahead;
    h->used = col + blen > h->used ? col + blen : h->used;
    for (uint32_t i = 0; i < a->rows; i++)
        memcpy(out + i * ldo, h->out + (size_t)i * sim->arch->mlen + col, blen * sizeof *out);
}

static enum pl_status write_out(struct pl_sim *sim, struct accumulator *a, uint64_t addr, uint32_t rows, uint64_t step,
                                struct touch *t)
{
    const uint32_t mlen = sim->arch->mlen, blen = sim->arch->blen, vlen = sim->arch->vlen;
    const uint64_t c0 = addr % mlen, base = addr - c0;
    if (c0 % blen)
        return sim_fault(sim, "destination lane %llu is not a multiple of BLEN = %u", (unsigned long long)c0, blen);
    struct rows all;
    PL_TRY(sim_operand_rows(sim, base, rows, step, &all));
    /* Only the vector rows that hold the BLEN lanes. */
    t->write = (struct rows){(uint32_t)(addr / vlen), rows, all.stride, vlen < blen ? blen / vlen : 1};
    if (!sim->opt.functional)
        return PL_OK;
    float same[64 * 64] = {0}; /* all rows in one place, or nothing accumulated */
    const bool apart = step && a->in_use;
    if (a->in_use)
        take_sum(sim, a, apart ? sim->vsram + addr : same, apart ? step * sim->pitch : blen);
    for (uint32_t i = 0; i < rows; i++) {
        const uint64_t at = addr + i * step * sim->pitch;
        if (!apart)
            memcpy(sim->vsram + at, same + (size_t)i * blen, blen * sizeof *same);
        for (uint64_t r = at / vlen; r <= (at + blen - 1) / vlen; r++)
            sim_row_written(sim, (uint32_t)r);
    }
    a->in_use = false;
    a->n_terms = 0;
    return PL_OK;
}

enum pl_status sim_M_MM_WO(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    t->class = PL_OPC_MM_WO;
    return write_out(sim, &sim->acc_m, (uint64_t)sim->gp[in->rd] + in->imm, sim->arch->blen,
                     in->rs1 ? sim->gp[in->rs1] : 1, t);
}

enum pl_status sim_M_MV_WO(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    t->class = PL_OPC_MV_WO;
    return write_out(sim, &sim->acc_v, (uint64_t)sim->gp[in->rd] + in->imm, 1, 1, t);
}

/* ---- batched products over heads of HLEN lanes ---- */
struct batched {
    uint64_t mat, vec, dst;
    bool transposed;
    uint32_t rows; /* MLEN, or 1 for the matrix-vector forms */
};

/* One head: rows x MLEN results against the slice of HLEN lanes of the tile. */
static enum pl_status batched_head(struct pl_sim *sim, const struct batched *b, struct tile *tile, uint32_t h0,
                                   uint32_t head)
{
    const uint32_t mlen = sim->arch->mlen, hlen = sim->arch->hlen;
    const struct pl_mm_spec *spec;
    const bool fold = !b->transposed && pl_format_has_scale(&tile->format);
    PL_TRY(spec_for(sim, &tile->format, !b->transposed, hlen, &spec));
    const struct pl_panel *right = right_panel(sim, tile, spec, !b->transposed);
    struct pl_panel *left = pl_panel_new(spec, false, b->rows, mlen);
    struct pl_acc *acc = pl_acc_new(spec, b->rows, mlen);
    int16_t all[4096], shifted[4096] = {0};
    const uint32_t group = fold ? tile->format.block : mlen;
    for (uint32_t c = 0; c < mlen; c += group) {
        if (fold) { /* tile row h0 + d meets left lane head * HLEN + d */
            fold_of(sim, tile, c, all);
            memcpy(shifted + head * hlen, all + h0, hlen * sizeof *all);
        }
        fill_left(sim, spec, left, b->vec, b->rows, 1, fold ? shifted : NULL);
        pl_mm_accumulate_at(spec, left, 0, head * hlen, right, c, h0, hlen, b->rows, group, acc, c);
    }
    float *out = malloc((size_t)b->rows * mlen * sizeof *out);
    if (!out)
        abort();
    pl_mm_write_out(spec, acc, b->rows, mlen, out, mlen);
    for (uint32_t i = 0; i < b->rows; i++) {
        const uint64_t at = b->dst + ((uint64_t)head * b->rows + i) * sim->pitch;
        memcpy(sim->vsram + at, out + (size_t)i * mlen, mlen * sizeof *out);
        for (uint64_t r = at / sim->arch->vlen; r <= (at + mlen - 1) / sim->arch->vlen; r++)
            sim_row_written(sim, (uint32_t)r);
    }
    free(out);
    pl_acc_free(acc);
    pl_panel_free(left);
    return PL_OK;
}

/* The operands of a batched product: tile, first lane or row of its head, left rows. */
static enum pl_status batched_operands(struct pl_sim *sim, const struct batched *b, struct tile **tile, int64_t *index,
                                       uint32_t *h0, struct rows *left)
{
    const struct pl_arch *a = sim->arch;
    uint64_t offset;
    PL_TRY(sim_tile_at(sim, b->mat, tile, index, &offset));
    const uint64_t at = b->transposed ? offset : offset / a->mlen;
    if (at >= a->mlen || at % a->hlen || (!b->transposed && offset % a->mlen))
        return sim_fault(sim, "head offset %llu in the tile is not a multiple of HLEN = %u", (unsigned long long)offset,
                         a->hlen);
    *h0 = (uint32_t)at;
    return sim_operand_rows(sim, b->vec, b->rows, 1, left);
}

/* Rows are written head by head while the left rows are still being read. */
static enum pl_status check_overlap(struct pl_sim *sim, const struct batched *b, uint32_t n_out)
{
    const uint64_t read_end = b->vec + (uint64_t)b->rows * sim->pitch, write_end = b->dst + (uint64_t)n_out * sim->pitch;
    if (b->vec % sim->pitch == b->dst % sim->pitch && b->vec < write_end && b->dst < read_end)
        return sim_fault(sim, "the result overlaps the left operand");
    return PL_OK;
}

static enum pl_status run_batched(struct pl_sim *sim, const struct batched *b, struct touch *t)
{
    const struct pl_arch *a = sim->arch;
    struct tile *tile = NULL;
    uint32_t h0 = 0;
    const uint32_t heads = a->mlen / a->hlen;
    PL_TRY(batched_operands(sim, b, &tile, &t->tile_read, &h0, &t->read[0]));
    PL_TRY(sim_operand_rows(sim, b->dst, heads * b->rows, 1, &t->write));
    PL_TRY(check_overlap(sim, b, heads * b->rows));
    t->n_read = 1;
    t->tiles = 1;
    t->class = PL_OPC_BMM;
    t->blocks = (b->rows + a->blen - 1) / a->blen * (a->mlen / a->blen);
    for (uint32_t h = 0; sim->opt.functional && h < heads; h++)
        PL_TRY(batched_head(sim, b, tile, h0, h));
    return PL_OK;
}

/* Counts every write to the operands. */
static enum pl_status operands_version(struct pl_sim *sim, const struct batched *b, uint64_t *out)
{
    struct tile *tile = NULL;
    int64_t index;
    uint32_t h0;
    struct rows left;
    PL_TRY(batched_operands(sim, b, &tile, &index, &h0, &left));
    *out = rows_version(sim, &left) + tile->generation;
    return PL_OK;
}

static enum pl_status start_batched(struct pl_sim *sim, const struct pl_insn *in, bool transposed, bool vector,
                                    struct touch *t)
{
    const uint64_t mat = (uint64_t)sim->gp[in->rs1] + (vector ? sim->gp[in->rd] : 0), vec = sim->gp[in->rs2];
    const struct batched b = {mat, vec, sim->gp[in->rd], transposed, vector ? 1 : sim->arch->mlen};
    if (!vector && in->rd)
        return run_batched(sim, &b, t);
    PL_TRY(operands_version(sim, &b, &sim->pending.version));
    sim->pending.valid = true;
    sim->pending.transposed = transposed;
    sim->pending.vector = vector;
    sim->pending.mat = mat;
    sim->pending.vec = vec;
    sim->pending.pc = sim->pc;
    return PL_OK;
}

enum pl_status sim_M_BMM(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return start_batched(sim, in, false, false, t);
}

enum pl_status sim_M_BTMM(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return start_batched(sim, in, true, false, t);
}

enum pl_status sim_M_BMV(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return start_batched(sim, in, false, true, t);
}

enum pl_status sim_M_BTMV(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return start_batched(sim, in, true, true, t);
}

static enum pl_status finish_batched(struct pl_sim *sim, const struct pl_insn *in, bool vector, struct touch *t)
{
    if (!sim->pending.valid || sim->pending.vector != vector)
        return sim_fault(sim, "no batched product of this kind waits for its write-out");
    sim->pending.valid = false;
    const struct batched b = {sim->pending.mat, sim->pending.vec, (uint64_t)sim->gp[in->rd] + in->imm,
                              sim->pending.transposed, vector ? 1 : sim->arch->mlen};
    uint64_t version = 0;
    PL_TRY(operands_version(sim, &b, &version));
    if (version != sim->pending.version)
        return sim_fault(sim, "its operands changed before the write-out");
    return run_batched(sim, &b, t);
}

enum pl_status sim_M_BMM_WO(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return finish_batched(sim, in, false, t);
}

enum pl_status sim_M_BMV_WO(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return finish_batched(sim, in, true, t);
}
