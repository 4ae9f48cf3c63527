/* mm.c - products on the flattened array: specification, panels, accumulators, kernels' dispatch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#include <stdlib.h>

static unsigned umin(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

enum pl_status pl_mm_spec_init(struct pl_mm_spec *s, const struct pl_format *left, const struct pl_format *right,
                               bool right_along_n, struct pl_minifloat vec, unsigned tile, unsigned blen, unsigned guard,
                               unsigned acc_bits, struct pl_diag *d)
{
    if (!pl_is_pow2(blen) || !pl_is_pow2(tile) || tile < blen)
        return pl_fail(d, PL_ERANGE, "a tile of %u lanes is not a power-of-two multiple of blen = %u", tile, blen);
    *s = (struct pl_mm_spec){.left = *left, .right = *right, .right_along_n = right_along_n, .vec = vec, .tile = tile,
                             .blen = blen, .guard = guard};
    if (s->left.block > tile)
        s->left.block = (uint16_t)tile;
    s->ledge = pl_edge_of(&s->left);
    s->redge = pl_edge_of(&s->right);
    if (right_along_n && s->redge.group > 1)
        s->redge.group = tile; /* the scales went into the left operand */
    s->run = umin(umin(s->ledge.group, s->redge.group), blen);
    const unsigned width = s->ledge.width + s->redge.width + pl_log2(s->run);
    s->acc_bits = acc_bits ? acc_bits : width + guard + 6 > 32 ? width + guard + 6 : 32;
    if (s->acc_bits > 64 || s->acc_bits < width + guard + 2)
        return pl_fail(d, PL_EUNSUPPORTED, "accumulators of %u bits: products of %u bits with %u guard bits need %u..64",
                       s->acc_bits, width, guard, width + guard + 2);
    return PL_OK;
}

bool mm_is_narrow(const struct pl_mm_spec *s)
{
    return s->ledge.width <= 16 && s->redge.width <= 16 && s->ledge.width + s->redge.width + pl_log2(s->run) <= 31;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

struct pl_panel *pl_panel_new(const struct pl_mm_spec *s, bool is_right, size_t n, size_t k)
{
    struct pl_panel *p = zeroed(1, sizeof *p);
    p->is_right = is_right;
    p->narrow = mm_is_narrow(s);
    p->n = n;
    p->k = k;
    p->n_pad = is_right ? pl_round_up(n, LANES) : n;
    p->group = is_right ? s->redge.group : s->ledge.group;
    p->groups = (k + p->group - 1) / p->group;
    if (p->narrow)
        p->v16 = zeroed(p->n_pad * k, sizeof *p->v16);
    else
        p->v32 = zeroed(p->n_pad * k, sizeof *p->v32);
    p->e = zeroed(p->n_pad * p->groups, sizeof *p->e);
    return p;
}

void pl_panel_free(struct pl_panel *p)
{
    if (!p)
        return;
    free(p->v16);
    free(p->v32);
    free(p->e);
    free(p);
}

void pl_panel_clear(struct pl_panel *p)
{
    if (p->narrow)
        memset(p->v16, 0, p->n_pad * p->k * sizeof *p->v16);
    else
        memset(p->v32, 0, p->n_pad * p->k * sizeof *p->v32);
    memset(p->e, 0, p->n_pad * p->groups * sizeof *p->e);
}

enum { PIECE = 256 }; /* lanes handled at a time; a multiple of every block */

bool pl_panel_set_left(const struct pl_mm_spec *s, struct pl_panel *p, size_t i, size_t k0, size_t n, const float *x,
                       const int16_t *fold)
{
    uint32_t code[PIECE];
    uint8_t scale[PIECE];
    int32_t v[PIECE];
    int16_t e[PIECE];
    bool sticky = false;
    const bool is_float = s->left.kind == PL_FORMAT_FLOAT;
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        sticky |= pl_quantise(&s->left, x + at, fold && !is_float ? fold + at : NULL, len, code, scale);
        pl_edge_decode(&s->left, code, scale, len, v, e);
        if (fold && is_float)
            for (size_t k = 0; k < len; k++)
                e[k] = (int16_t)(e[k] + fold[at + k]);
        for (size_t k = 0; k < len; k++)
            if (p->narrow)
                p->v16[i * p->k + k0 + at + k] = (int16_t)v[k];
            else
                p->v32[i * p->k + k0 + at + k] = v[k];
        for (size_t g = 0; g * p->group < len; g++)
            p->e[i * p->groups + (k0 + at) / p->group + g] = e[g];
    }
    return sticky;
}

void pl_panel_set_right(const struct pl_mm_spec *s, struct pl_panel *p, size_t j, size_t k0, size_t n,
                        const uint32_t *code, const uint8_t *scale)
{
    int32_t v[PIECE];
    int16_t e[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        pl_edge_decode(&s->right, code + at, scale + at / s->right.block, len, v, e);
        for (size_t k = 0; k < len; k++)
            if (p->narrow)
                p->v16[(k0 + at + k) * p->n_pad + j] = (int16_t)v[k];
            else
                p->v32[(k0 + at + k) * p->n_pad + j] = v[k];
        for (size_t g = 0; g * p->group < len; g++)
            p->e[((k0 + at) / p->group + g) * p->n_pad + j] = e[g];
    }
}

void pl_panel_set_right_row(const struct pl_mm_spec *s, struct pl_panel *p, size_t k, size_t j0, size_t n,
                            const uint32_t *code)
{
    int32_t v[PIECE];
    int16_t e[PIECE];
    uint8_t one[PIECE];
    memset(one, 127, sizeof one);
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        pl_edge_decode(&s->right, code + at, one, len, v, e);
        const bool own = pl_edge_of(&s->right).group == 1;
        for (size_t j = 0; j < len; j++) {
            if (p->narrow)
                p->v16[k * p->n_pad + j0 + at + j] = (int16_t)v[j];
            else
                p->v32[k * p->n_pad + j0 + at + j] = v[j];
            p->e[k / p->group * p->n_pad + j0 + at + j] = own ? e[j] : 127;
        }
    }
}

struct pl_acc *pl_acc_new(const struct pl_mm_spec *s, size_t rows, size_t cols)
{
    struct pl_acc *a = zeroed(1, sizeof *a);
    a->rows = rows;
    a->cols_pad = pl_round_up(cols, LANES);
    a->subs = s->tile / s->blen;
    a->m = zeroed(rows * a->subs * a->cols_pad, sizeof *a->m);
    a->e = zeroed(rows * a->subs * a->cols_pad, sizeof *a->e);
    return a;
}

void pl_acc_free(struct pl_acc *a)
{
    if (!a)
        return;
    free(a->m);
    free(a->e);
    free(a);
}

void pl_acc_clear(struct pl_acc *a)
{
    memset(a->m, 0, a->rows * a->subs * a->cols_pad * sizeof *a->m);
    memset(a->e, 0, a->rows * a->subs * a->cols_pad * sizeof *a->e);
}

mm_kernel *mm_kernel_variant(unsigned variant, bool narrow)
{
    if (variant == 0)
        return narrow ? mm_narrow_portable : mm_wide_portable;
#if defined(__x86_64__)
    if (variant == 1 && __builtin_cpu_supports("avx2"))
        return narrow ? mm_narrow_avx2 : mm_wide_avx2;
    if (variant == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return narrow ? mm_narrow_avx512 : mm_wide_avx512;
#endif
    return NULL;
}

mm_kernel *mm_kernel_best(bool narrow)
{
    for (unsigned v = 3; v-- > 0;) {
        mm_kernel *k = mm_kernel_variant(v, narrow);
        if (k)
            return k;
    }
    return NULL;
}

/* Kernel results of LANES columns from right column t->j, of which `want` from `skip` on belong to m, e. */
static void run_strip(mm_kernel *kernel, const struct mm_strip *t, size_t skip, size_t want, int64_t *m, int64_t *e)
{
    int64_t tm[LANES] = {0}, te[LANES] = {0};
    memcpy(tm + skip, m, want * sizeof *m);
    memcpy(te + skip, e, want * sizeof *e);
    kernel(t, tm, te);
    memcpy(m, tm + skip, want * sizeof *m);
    memcpy(e, te + skip, want * sizeof *e);
}

void pl_mm_accumulate_at(const struct pl_mm_spec *s, const struct pl_panel *left, size_t i0, size_t lk0,
                         const struct pl_panel *right, size_t j0, size_t rk0, size_t n, size_t rows, size_t cols,
                         struct pl_acc *acc, size_t acc_col)
{
    mm_kernel *kernel = mm_kernel_best(left->narrow);
    struct mm_strip t = {.left = left, .right = right, .tiles = n / s->tile, .tile = s->tile, .blen = s->blen,
                         .run = s->run, .guard = s->guard, .acc_bits = s->acc_bits};
    for (size_t i = 0; i < rows; i++)
        for (size_t sub = 0; sub < acc->subs; sub++)
            for (size_t j = 0; j < cols; j += LANES) {
                const size_t at = (i * acc->subs + sub) * acc->cols_pad + acc_col + j;
                const size_t want = cols - j < LANES ? cols - j : LANES;
                /* A strip that would run over the panel's edge starts earlier. */
                const size_t over = j0 + j + LANES > right->n_pad ? j0 + j + LANES - right->n_pad : 0;
                t.i = i0 + i;
                t.j = j0 + j - over;
                t.lk = lk0 + sub * s->blen;
                t.rk = rk0 + sub * s->blen;
                run_strip(kernel, &t, over, want, acc->m + at, acc->e + at);
            }
}

void pl_mm_accumulate(const struct pl_mm_spec *s, const struct pl_panel *left, size_t i0, size_t lk0,
                      const struct pl_panel *right, size_t j0, size_t rk0, size_t n, size_t rows, size_t cols,
                      struct pl_acc *acc)
{
    pl_mm_accumulate_at(s, left, i0, lk0, right, j0, rk0, n, rows, cols, acc, 0);
}
