/* mm.c - products on the flattened array: specification, accumulators, kernels' dispatch. */
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
    if (right_along_n)
        s->right.e6m2 = false; /* scales go into the left operand: what is left are elements */
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

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
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

mm_kernel *mm_kernel_variant(unsigned variant, enum mm_kind kind)
{
    static mm_kernel *const portable[MM_KINDS] = {mm_wide_portable, mm_narrow_portable, mm_bytes_portable};
    if (variant == 0)
        return portable[kind];
#if defined(__x86_64__)
    static mm_kernel *const avx2[MM_KINDS] = {mm_wide_avx2, mm_narrow_avx2, mm_bytes_avx2};
    static mm_kernel *const avx512[MM_KINDS] = {mm_wide_avx512, mm_narrow_avx512, mm_bytes_avx512};
    if (variant == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return avx2[kind];
    if (variant == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return avx512[kind];
    if (variant == 3 && kind == MM_BYTES && mm_vnni_here())
        return mm_bytes_vnni;
#endif
    return NULL;
}

mm_kernel *mm_kernel_best(enum mm_kind kind)
{
    for (unsigned v = MM_VARIANTS; v-- > 0;) {
        mm_kernel *k = mm_kernel_variant(v, kind);
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
    mm_kernel *kernel = mm_kernel_best((enum mm_kind)left->kind);
    struct mm_strip t = {.left = left, .right = right, .tiles = n / s->tile, .tile = s->tile, .blen = s->blen,
                         .run = s->run, .guard = s->guard, .acc_bits = s->acc_bits};
    for (size_t j = 0; j < cols;) {
        const size_t skip = (j0 + j) % LANES, most = LANES - skip; /* strips of the panel start at multiples of LANES */
        const size_t want = cols - j < most ? cols - j : most;
        t.j = j0 + j - skip;
        for (size_t i = 0; i < rows; i++)
            for (size_t sub = 0; sub < acc->subs; sub++) {
                const size_t at = (i * acc->subs + sub) * acc->cols_pad + acc_col + j;
                t.i = i0 + i;
                t.lk = lk0 + sub * s->blen;
                t.rk = rk0 + sub * s->blen;
                run_strip(kernel, &t, skip, want, acc->m + at, acc->e + at);
            }
        j += want;
    }
}

void pl_mm_accumulate(const struct pl_mm_spec *s, const struct pl_panel *left, size_t i0, size_t lk0,
                      const struct pl_panel *right, size_t j0, size_t rk0, size_t n, size_t rows, size_t cols,
                      struct pl_acc *acc)
{
    pl_mm_accumulate_at(s, left, i0, lk0, right, j0, rk0, n, rows, cols, acc, 0);
}
