/* panel.c - operands laid out for the kernels. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#include <stdlib.h>

enum { PIECE = 256 }; /* lanes handled at a time; a multiple of every block */

static bool fits_narrow(const struct pl_mm_spec *s)
{
    return s->ledge.width <= 16 && s->redge.width <= 16 && s->ledge.width + s->redge.width + pl_log2(s->run) <= 31;
}

/* The doubled sums of the tree must be exact in double, and renormalisation must stay in 64 bits. */
bool mm_fits_bytes(const struct pl_mm_spec *s)
{
    return s->ledge.width <= 8 && s->redge.width <= 8 && s->run % 4 == 0 &&
           s->acc_bits + pl_log2(s->tile / s->blen) <= 52;
}

enum mm_kind mm_kind_of(const struct pl_mm_spec *s)
{
    if (!fits_narrow(s))
        return MM_WIDE;
    return mm_fits_bytes(s) && mm_vnni_here() ? MM_BYTES : MM_NARROW;
}

/* Whole cache lines, so that strips start on one. */
static void *aligned(size_t n, size_t size)
{
    const size_t bytes = pl_round_up(n * size + 1, 64);
    void *p = aligned_alloc(64, bytes);
    if (!p)
        abort();
    return p;
}

struct pl_panel *mm_panel_new(const struct pl_mm_spec *s, bool is_right, size_t n, size_t k, enum mm_kind kind)
{
    struct pl_panel *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->is_right = is_right;
    p->kind = (uint8_t)kind;
    p->n = n;
    p->k = k;
    p->n_pad = is_right ? pl_round_up(n, LANES) : n;
    p->group = is_right ? s->redge.group : s->ledge.group;
    p->group_log = pl_log2(p->group);
    p->groups = (k + p->group - 1) / p->group;
    p->run = s->run;
    if (kind == MM_BYTES)
        p->v8 = aligned(p->n_pad * k, sizeof *p->v8);
    else if (kind == MM_NARROW)
        p->v16 = aligned(p->n_pad * k, sizeof *p->v16);
    else
        p->v32 = aligned(p->n_pad * k, sizeof *p->v32);
    if (kind == MM_BYTES && !is_right)
        p->runs = aligned(p->n_pad * (k / p->run), sizeof *p->runs);
    else
        p->e = aligned(p->n_pad * p->groups, sizeof *p->e);
    pl_panel_clear(p);
    return p;
}

struct pl_panel *pl_panel_new(const struct pl_mm_spec *s, bool is_right, size_t n, size_t k)
{
    return mm_panel_new(s, is_right, n, k, mm_kind_of(s));
}

void pl_panel_free(struct pl_panel *p)
{
    if (!p)
        return;
    free(p->v8);
    free(p->v16);
    free(p->v32);
    free(p->e);
    free(p->runs);
    free(p);
}

void pl_panel_clear(struct pl_panel *p)
{
    if (p->v8)
        memset(p->v8, p->is_right ? 128 : 0, p->n_pad * p->k);
    if (p->v16)
        memset(p->v16, 0, p->n_pad * p->k * sizeof *p->v16);
    if (p->v32)
        memset(p->v32, 0, p->n_pad * p->k * sizeof *p->v32);
    if (p->e)
        memset(p->e, 0, p->n_pad * p->groups * sizeof *p->e);
    if (p->runs)
        memset(p->runs, 0, p->n_pad * (p->k / p->run) * sizeof *p->runs);
}

/* ---- left ---- */
/* Exponents of lanes [k0, k0 + n), and what the offset of the right elements adds to each run. */
static void set_runs(struct pl_panel *p, size_t i, size_t k0, size_t n, const int16_t *e)
{
    const int8_t *v = (const int8_t *)p->v8 + i * p->k + k0;
    struct mm_run *r = p->runs + (i * p->k + k0) / p->run;
    for (size_t k = 0; k < n; k += p->run, r++) {
        int32_t sum = 0;
        for (size_t c = 0; c < p->run; c++)
            sum += v[k + c];
        *r = (struct mm_run){-128 * sum, e[k >> p->group_log]};
    }
}

static void put_left(struct pl_panel *p, size_t i, size_t k0, size_t n, const int32_t *v, const int16_t *e)
{
    const size_t at = i * p->k + k0;
    for (size_t k = 0; k < n; k++)
        if (p->kind == MM_BYTES)
            p->v8[at + k] = (uint8_t)v[k];
        else if (p->kind == MM_NARROW)
            p->v16[at + k] = (int16_t)v[k];
        else
            p->v32[at + k] = v[k];
    if (p->kind == MM_BYTES)
        set_runs(p, i, k0, n, e);
    else
        for (size_t g = 0; g * p->group < n; g++)
            p->e[i * p->groups + k0 / p->group + g] = e[g];
}

bool pl_panel_set_left(const struct pl_mm_spec *s, struct pl_panel *p, size_t i, size_t k0, size_t n, const float *x,
                       const int16_t *fold)
{
    uint32_t code[PIECE];
    uint8_t scale[PIECE];
    int32_t v[PIECE];
    int16_t e[PIECE];
    bool sticky = false;
    const bool is_float = s->left.kind == PL_FORMAT_FLOAT;
    const bool fast = p->kind == MM_BYTES && mm_vnni_here() && s->left.kind == PL_FORMAT_MXINT &&
                      s->left.rule == PL_SCALE_FLOOR && s->left.block % 16 == 0 && pl_format_on_machine(&s->left) && !fold;
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        if (fast && len % s->left.block == 0 &&
            mm_vnni_quantise(&s->left, x + at, len, (int8_t *)p->v8 + i * p->k + k0 + at, e)) {
            set_runs(p, i, k0 + at, len, e);
            continue;
        }
        sticky |= pl_quantise(&s->left, x + at, fold && !is_float ? fold + at : NULL, len, code, scale);
        pl_edge_decode(&s->left, code, scale, len, v, e);
        if (fold && is_float)
            for (size_t k = 0; k < len; k++)
                e[k] = (int16_t)(e[k] + fold[at + k]);
        put_left(p, i, k0 + at, len, v, e);
    }
    return sticky;
}

/* ---- right ---- */
static void put_right(struct pl_panel *p, size_t j, size_t k0, size_t n, const int32_t *v, const int16_t *e)
{
    for (size_t k = 0; k < n; k++)
        if (p->kind == MM_BYTES)
            p->v8[MM_BYTE_AT(p, j, k0 + k)] = (uint8_t)(v[k] + 128);
        else if (p->kind == MM_NARROW)
            p->v16[(k0 + k) * p->n_pad + j] = (int16_t)v[k];
        else
            p->v32[(k0 + k) * p->n_pad + j] = v[k];
    for (size_t g = 0; g * p->group < n; g++)
        if (p->kind == MM_BYTES)
            p->e[(j / LANES * p->groups + k0 / p->group + g) * LANES + j % LANES] = e[g];
        else
            p->e[(k0 / p->group + g) * p->n_pad + j] = e[g];
}

void pl_panel_set_right(const struct pl_mm_spec *s, struct pl_panel *p, size_t j, size_t k0, size_t n,
                        const uint32_t *code, const uint8_t *scale)
{
    int32_t v[PIECE];
    int16_t e[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        pl_edge_decode(&s->right, code + at, scale + at / s->right.block, len, v, e);
        put_right(p, j, k0 + at, len, v, e);
    }
}

/* Four elements offset by 128, from four bytes or four nibbles of two's complement. */
static inline uint32_t offset8(const uint8_t *at)
{
    uint32_t w;
    memcpy(&w, at, sizeof w);
    return w ^ 0x80808080;
}

static inline uint32_t offset4(const uint8_t *at)
{
    uint32_t w = at[0] | (uint32_t)at[1] << 8;
    w = (w | w << 8) & 0x00ff00ff;
    w = (w | w << 4) & 0x0f0f0f0f;
    return (w ^ 0x08080808) + 0x78787878;
}

/* Blocks with a NaN scale are zero. */
static void zero_nan_blocks(struct pl_panel *p, size_t j, size_t k0, size_t n, size_t block, const uint8_t *scale)
{
    for (size_t k = 0; k < n; k++)
        if (scale[k / block] == 255)
            p->v8[MM_BYTE_AT(p, j, k0 + k)] = 128;
}

static void set_packed_fast(struct pl_panel *p, size_t j, size_t k0, size_t n, unsigned bits, size_t block,
                            const uint8_t *bytes, const uint8_t *scale)
{
    uint8_t *out = p->v8 + MM_BYTE_AT(p, j, k0);
    for (size_t k = 0; k < n; k += 4, out += 4 * LANES) {
        const uint32_t w = bits == 8 ? offset8(bytes + k) : offset4(bytes + k / 2);
        memcpy(out, &w, sizeof w);
    }
    bool nan = false;
    int16_t *e = p->e + (j / LANES * p->groups + k0 / block) * LANES + j % LANES;
    for (size_t g = 0; g < n / block; g++) {
        e[g * LANES] = scale[g];
        nan |= scale[g] == 255;
    }
    if (nan)
        zero_nan_blocks(p, j, k0, n, block, scale);
}

void pl_panel_set_right_packed(const struct pl_mm_spec *s, struct pl_panel *p, size_t j, size_t k0, size_t n,
                               const uint8_t *bytes, const uint8_t *scale)
{
    const unsigned bits = pl_format_bits(&s->right);
    const size_t block = s->right.block;
    if (p->kind == MM_BYTES && s->right.kind == PL_FORMAT_MXINT && (bits == 8 || bits == 4) && n % block == 0 &&
        p->group == block && pl_format_on_machine(&s->right)) {
        set_packed_fast(p, j, k0, n, bits, block, bytes, scale);
        return;
    }
    uint32_t code[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        pl_unpack(bits, bytes, at, len, code);
        pl_panel_set_right(s, p, j, k0 + at, len, code, scale + at / block);
    }
}

void pl_panel_set_right_row(const struct pl_mm_spec *s, struct pl_panel *p, size_t k, size_t j0, size_t n,
                            const uint32_t *code)
{
    int32_t v[PIECE];
    int16_t e[PIECE];
    uint8_t one[PIECE];
    memset(one, 127, sizeof one);
    const bool own = pl_edge_of(&s->right).group == 1;
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t len = n - at < PIECE ? n - at : PIECE;
        pl_edge_decode(&s->right, code + at, one, len, v, e);
        for (size_t c = 0; c < len; c++) {
            const size_t j = j0 + at + c;
            const int16_t ej = own ? e[c] : 127;
            if (p->kind == MM_BYTES) {
                p->v8[MM_BYTE_AT(p, j, k)] = (uint8_t)(v[c] + 128);
                p->e[(j / LANES * p->groups + k / p->group) * LANES + j % LANES] = ej;
                continue;
            }
            if (p->kind == MM_NARROW)
                p->v16[k * p->n_pad + j] = (int16_t)v[c];
            else
                p->v32[k * p->n_pad + j] = v[c];
            p->e[k / p->group * p->n_pad + j] = ej;
        }
    }
}
