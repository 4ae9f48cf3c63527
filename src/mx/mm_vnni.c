/* mm_vnni.c - products of byte panels on AVX-512 VNNI: accumulators of 16 columns and up to four rows stay in registers
 * over all runs of a sub-array, then enter the write-out tree without a round trip through memory.
 *
 * An accumulator is kept doubled, x = 2m. Then rsh of DESIGN 5.3 is 2 rsh(m, n) = ((x >> n) + 1) & ~1, also for n = 0, and of
 * two terms of which at most one is shifted, ((a >> n1) + (b >> n2) + 1) & ~1 is twice their aligned sum. A vector
 * shift by more than the width fills with the sign, which rounds to 0 as it must.
 * |m| <= t 2^(Pw-2+G) after t runs: while this stays below the renormalisation bound nothing is compared, and while the
 * doubled bound stays below 2^31 the accumulators are 32 bits wide. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni" MM_WIDTH_512)))
#define INLINE TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 4")
enum { NEVER = -(1 << 30) }; /* the exponent of a zero: it never wins */
enum { MAX_LEVELS = 12 };

bool mm_vnni_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

struct acc32 { /* 16 columns of one row */
    __m512i x, e;
    __m512i bad; /* watched: the sign is set in lanes whose sum has once left 32 bits */
};
struct acc64 { /* even columns in lo, odd columns in hi: the halves of the 64-bit lanes of 16 columns */
    __m512i lo, hi, e;
};
struct stage { /* what the step of a run needs besides its data */
    __m128i up, odd_down;       /* G + 1; 31 - G */
    __m512i factor, whole;      /* 2^(G+1); all bits of its multiples */
    __m512i never, one, even;   /* even: all bits but the lowest; 32-bit or 64-bit lanes as the accumulator */
    __m512i top, span;          /* 2^(Aw-1), the doubled bound; and twice that */
};

/* Even (0) or odd (1) 32-bit lanes, with their sign or without. */
INLINE __m512i half(__m512i v, int i)
{
    return _mm512_srai_epi64(i ? v : _mm512_slli_epi64(v, 32), 32);
}

INLINE __m512i count(__m512i v, int i)
{
    return i ? _mm512_srli_epi64(v, 32) : _mm512_and_si512(v, _mm512_set1_epi64(0xffffffff));
}

/* Lanes of a where the bit of their half is set, else of b. */
INLINE __m512i by_halves(__mmask8 even, __mmask8 odd, __m512i a, __m512i b)
{
    return _mm512_mask_mov_epi32(_mm512_mask_mov_epi64(b, even, a), 0xaaaa, _mm512_mask_mov_epi64(b, odd, a));
}

INLINE struct stage stage_of(const struct pl_mm_spec *s, bool wide)
{
    struct stage c = {.up = _mm_cvtsi32_si128((int)s->guard + 1), .never = _mm512_set1_epi32(NEVER)};
    c.odd_down = _mm_cvtsi32_si128(31 - (int)s->guard);
    c.factor = _mm512_set1_epi64((int64_t)2 << s->guard);
    c.whole = _mm512_set1_epi64(-((int64_t)2 << s->guard));
    c.one = wide ? _mm512_set1_epi64(1) : _mm512_set1_epi32(1);
    c.even = wide ? _mm512_set1_epi64(-2) : _mm512_set1_epi32(-2);
    c.top = _mm512_set1_epi64((int64_t)1 << (s->acc_bits - 1));
    c.span = _mm512_set1_epi64((int64_t)1 << s->acc_bits);
    return c;
}

INLINE __m512i sum64(const struct stage *c, __m512i a, __m512i na, __m512i b, __m512i nb)
{
    const __m512i s = _mm512_add_epi64(_mm512_srav_epi64(a, na), _mm512_srav_epi64(b, nb));
    return _mm512_and_si512(_mm512_add_epi64(s, c->one), c->even);
}

INLINE __m512i sum32(const struct stage *c, __m512i a, __m512i na, __m512i b, __m512i nb)
{
    const __m512i s = _mm512_add_epi32(_mm512_srav_epi32(a, na), _mm512_srav_epi32(b, nb));
    return _mm512_and_si512(_mm512_add_epi32(s, c->one), c->even);
}

/* ---- one run ---- */
/* A zero product enters with exponent NEVER: no lane of the accumulator moves. */
INLINE __m512i entering(const struct stage *c, __m512i p, __m512i er, int32_t el)
{
    return _mm512_mask_add_epi32(c->never, _mm512_test_epi32_mask(p, p), er, _mm512_set1_epi32(el));
}

INLINE void step32(const struct stage *c, struct acc32 *a, __m512i p, __m512i er, int32_t el, bool watched)
{
    const __m512i d = _mm512_sub_epi32(entering(c, p, er, el), a->e);
    const __m512i mine = _mm512_max_epi32(d, _mm512_setzero_si512()), its = _mm512_sub_epi32(mine, d);
    a->e = _mm512_add_epi32(a->e, mine);
    if (!watched) {
        a->x = sum32(c, a->x, mine, _mm512_sll_epi32(p, c->up), its);
        return;
    }
    const __m512i x = _mm512_srav_epi32(a->x, mine), y = _mm512_srav_epi32(_mm512_sll_epi32(p, c->up), its);
    const __m512i s = _mm512_add_epi32(_mm512_add_epi32(x, y), c->one);
    a->bad = _mm512_or_si512(a->bad, _mm512_ternarylogic_epi32(s, x, y, 0x18)); /* s differs from both signs */
    a->x = _mm512_and_si512(s, c->even);
}

INLINE __mmask8 grown(const struct stage *c, __m512i x)
{
    return _mm512_cmp_epu64_mask(_mm512_add_epi64(x, c->top), c->span, _MM_CMPINT_NLT);
}

INLINE __m512i renormalise(const struct stage *c, __m512i x, __mmask8 over)
{
    const __m512i h = _mm512_and_si512(_mm512_add_epi64(_mm512_srai_epi64(x, 1), c->one), c->even);
    return _mm512_mask_mov_epi64(x, over, h);
}

INLINE void step64(const struct stage *c, struct acc64 *a, __m512i p, __m512i er, int32_t el, bool checked)
{
    const __m512i d = _mm512_sub_epi32(entering(c, p, er, el), a->e);
    const __m512i mine = _mm512_max_epi32(d, _mm512_setzero_si512()), its = _mm512_sub_epi32(mine, d);
    a->e = _mm512_add_epi32(a->e, mine);
    const __m512i odd = _mm512_and_si512(_mm512_sra_epi64(p, c->odd_down), c->whole);
    a->lo = sum64(c, a->lo, count(mine, 0), _mm512_mul_epi32(p, c->factor), count(its, 0));
    a->hi = sum64(c, a->hi, count(mine, 1), odd, count(its, 1));
    if (!checked)
        return;
    const __mmask8 lo = grown(c, a->lo), hi = grown(c, a->hi);
    if (__builtin_expect(lo | hi, 0)) {
        a->lo = renormalise(c, a->lo, lo);
        a->hi = renormalise(c, a->hi, hi);
        const __m512i one = _mm512_set1_epi32(1);
        a->e = _mm512_add_epi32(a->e, by_halves(lo, hi, one, _mm512_setzero_si512()));
    }
}

/* ---- the runs of one sub-array in one tile ---- */
struct place { /* of the first run */
    const uint8_t *right;    /* [k / 4][LANES][4] */
    const int16_t *right_e;  /* of the strip: [groups][LANES] */
    const int8_t *left[MM_BLOCK];
    const struct mm_run *runs[MM_BLOCK];
    size_t rk;
    unsigned group_log, blen, run;
};

INLINE __m512i four(const int8_t *l)
{
    int32_t w;
    memcpy(&w, l, sizeof w);
    return _mm512_set1_epi32(w);
}

INLINE void products(const struct place *t, unsigned k0, unsigned run, unsigned rows, __m512i p[MM_BLOCK])
{
    UNROLL for (unsigned i = 0; i < rows; i++)
        p[i] = _mm512_set1_epi32(t->runs[i][k0 / run].correction);
    for (unsigned k = k0; k < k0 + run; k += 4) {
        const __m512i r = _mm512_load_si512(t->right + (size_t)k * LANES);
        UNROLL for (unsigned i = 0; i < rows; i++)
            p[i] = _mm512_dpbusd_epi32(p[i], r, four(t->left[i] + k));
    }
}

enum mode { IN32, IN32_WATCHED, IN64, IN64_CHECKED };

INLINE void runs(const struct stage *c, const struct place *t, unsigned run, unsigned rows, enum mode mode,
                 struct acc32 *a32, struct acc64 *a64)
{
    for (unsigned k0 = 0; k0 < t->blen; k0 += run) {
        __m512i p[MM_BLOCK];
        products(t, k0, run, rows, p);
        const int16_t *at = t->right_e + ((t->rk + k0) >> t->group_log) * LANES;
        const __m512i er = _mm512_cvtepi16_epi32(_mm256_load_si256((const __m256i *)(const void *)at));
        UNROLL for (unsigned i = 0; i < rows; i++) {
            const int32_t el = t->runs[i][k0 / run].e;
            if (mode == IN32 || mode == IN32_WATCHED)
                step32(c, &a32[i], p[i], er, el, mode == IN32_WATCHED);
            else
                step64(c, &a64[i], p[i], er, el, mode == IN64_CHECKED);
        }
    }
}

/* Runs of 16 and of 4 products are the common ones. */
INLINE void tile_runs(const struct stage *c, const struct place *t, unsigned rows, enum mode mode, struct acc32 *a32,
                      struct acc64 *a64)
{
    if (t->run == 16)
        runs(c, t, 16, rows, mode, a32, a64);
    else if (t->run == 4)
        runs(c, t, 4, rows, mode, a32, a64);
    else
        runs(c, t, t->run, rows, mode, a32, a64);
}

/* Tiles [first, last), counted through all terms, of strip b, sub-array sub, rows from i. */
INLINE void tiles(const struct mm_job *job, const struct stage *c, size_t b, size_t sub, size_t i, unsigned rows,
                  enum mode mode, size_t first, size_t last, struct acc32 *a32, struct acc64 *a64)
{
    const struct pl_mm_spec *s = job->spec;
    size_t base = 0;
    for (size_t n = 0; n < job->n_terms; n++) {
        const struct pl_mm_term *m = &job->term[n];
        const struct pl_panel *l = m->left, *r = m->right;
        const size_t count_here = m->n >> job->tile_log, strip = m->j0 / LANES + b;
        for (size_t t = first > base ? first - base : 0; t < count_here && base + t < last; t++) {
            const size_t rk = m->rk0 + t * s->tile + sub * s->blen, lk = m->lk0 + t * s->tile + sub * s->blen;
            struct place p = {.right = r->v8 + strip * LANES * r->k + rk * LANES,
                              .right_e = r->e + strip * LANES * r->groups, .rk = rk, .group_log = r->group_log,
                              .blen = s->blen, .run = s->run};
            UNROLL for (unsigned y = 0; y < rows; y++) {
                const size_t at = (m->i0 + i + y) * l->k + lk;
                p.left[y] = (const int8_t *)l->v8 + at;
                p.runs[y] = l->runs + (at >> job->run_log);
            }
            tile_runs(c, &p, rows, mode, a32, a64);
        }
        base += count_here;
    }
}

/* ---- write-out ---- */
INLINE struct acc32 settle32(const struct stage *c, struct acc32 a)
{
    a.e = _mm512_mask_mov_epi32(c->never, _mm512_test_epi32_mask(a.x, a.x), a.e);
    return a;
}

INLINE struct acc64 settle64(const struct stage *c, struct acc64 a)
{
    const __mmask8 lo = _mm512_test_epi64_mask(a.lo, a.lo), hi = _mm512_test_epi64_mask(a.hi, a.hi);
    a.e = by_halves(lo, hi, a.e, c->never);
    return a;
}

/* One node of the tree; both operands settled, and so is the result. */
INLINE struct acc32 node32(const struct stage *c, struct acc32 a, struct acc32 b)
{
    const __m512i d = _mm512_sub_epi32(b.e, a.e);
    const __m512i na = _mm512_max_epi32(d, _mm512_setzero_si512()), nb = _mm512_sub_epi32(na, d);
    const struct acc32 r = {sum32(c, a.x, na, b.x, nb), _mm512_add_epi32(a.e, na), a.bad};
    return settle32(c, r);
}

INLINE struct acc64 node64(const struct stage *c, struct acc64 a, struct acc64 b)
{
    const __m512i d = _mm512_sub_epi32(b.e, a.e);
    const __m512i na = _mm512_max_epi32(d, _mm512_setzero_si512()), nb = _mm512_sub_epi32(na, d);
    const struct acc64 r = {sum64(c, a.lo, count(na, 0), b.lo, count(nb, 0)),
                            sum64(c, a.hi, count(na, 1), b.hi, count(nb, 1)), _mm512_add_epi32(a.e, na)};
    return settle64(c, r);
}

INLINE struct acc64 widen(struct acc32 a)
{
    return (struct acc64){half(a.x, 0), half(a.x, 1), a.e};
}

/* Eight sums x * 2^(e + shift), x of at most 53 bits, to the vector format: to nearest even, flushed, Inf; as binary32
 * in the low half of the lanes. */
INLINE __m512i round8(__m512i x, __m512i e, const struct pl_minifloat *f, int shift)
{
    const int drop = 52 - f->man_bits, bias = (1 << (f->exp_bits - 1)) - 1;
    const __m512i bits = _mm512_castpd_si512(_mm512_cvtepi64_pd(x)), sign = _mm512_and_si512(bits, _mm512_set1_epi64(INT64_MIN));
    __m512i a = _mm512_andnot_si512(_mm512_set1_epi64(INT64_MIN), bits);
    const __m512i odd = _mm512_and_si512(_mm512_srl_epi64(a, _mm_cvtsi32_si128(drop)), _mm512_set1_epi64(1));
    a = _mm512_add_epi64(a, _mm512_add_epi64(odd, _mm512_set1_epi64(((int64_t)1 << (drop - 1)) - 1)));
    a = _mm512_and_si512(a, _mm512_set1_epi64(-((int64_t)1 << drop)));
    const __m512i exp = _mm512_add_epi64(_mm512_add_epi64(_mm512_srli_epi64(a, 52), e), _mm512_set1_epi64(shift - 1023));
    const __m512i man = _mm512_and_si512(_mm512_srli_epi64(a, 29), _mm512_set1_epi64(0x7fffff));
    __m512i r = _mm512_or_si512(man, _mm512_slli_epi64(_mm512_add_epi64(exp, _mm512_set1_epi64(127)), 23));
    r = _mm512_mask_mov_epi64(r, _mm512_cmpgt_epi64_mask(exp, _mm512_set1_epi64(bias)), _mm512_set1_epi64(0x7f800000));
    const __mmask8 keep = _mm512_test_epi64_mask(x, x) & _mm512_cmpge_epi64_mask(exp, _mm512_set1_epi64(1 - bias));
    return _mm512_or_si512(_mm512_maskz_mov_epi64(keep, r), _mm512_srli_epi64(sign, 32));
}

INLINE void put(const struct mm_job *job, struct acc64 a, size_t b, size_t i)
{
    const struct pl_mm_spec *s = job->spec;
    const int shift = -254 - s->ledge.frac - s->redge.frac - (int)s->guard - 1;
    const __m512i even = round8(a.lo, half(a.e, 0), &s->vec, shift), odd = round8(a.hi, half(a.e, 1), &s->vec, shift);
    float lane[LANES];
    _mm512_storeu_si512(lane, _mm512_or_si512(even, _mm512_slli_epi64(odd, 32)));
    const size_t from = b ? 0 : job->skew, col = b * LANES + from - job->skew;
    const size_t n = job->cols - col < LANES - from ? job->cols - col : LANES - from;
    memcpy(job->out + i * job->ldo + col, lane + from, n * sizeof *lane);
}

/* All runs in 32 bits, on trial; false, and a32 as it was, when some sum has left them. Few do in few runs of balanced
 * products, while the bound of t runs forbids 32 bits from the start. */
INLINE bool try32(const struct mm_job *job, const struct stage *c, size_t b, size_t sub, size_t i, unsigned rows,
                  struct acc32 *a32)
{
    const __m512i zero = _mm512_setzero_si512();
    struct acc32 trial[MM_BLOCK] = {{zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}};
    __m512i bad = zero;
    tiles(job, c, b, sub, i, rows, IN32_WATCHED, 0, job->tiles, trial, NULL);
    UNROLL for (unsigned y = 0; y < rows; y++)
        bad = _mm512_or_si512(bad, trial[y].bad);
    if (_mm512_movepi32_mask(bad))
        return false;
    UNROLL for (unsigned y = 0; y < rows; y++)
        a32[y] = trial[y];
    return true;
}

/* All sub-arrays of `rows` rows against strip b. Sub-arrays meet like the digits of a counter that is counted up: the
 * tree of adjacent pairs, with one waiting node a level. */
INLINE void block(const struct mm_job *job, size_t b, size_t i, unsigned rows)
{
    const struct stage c32 = stage_of(job->spec, false), c64 = stage_of(job->spec, true);
    const size_t subs = job->spec->tile / job->spec->blen;
    const bool only32 = job->tiles32 == job->tiles;
    struct acc32 wait32[MAX_LEVELS][MM_BLOCK];
    struct acc64 wait64[MAX_LEVELS][MM_BLOCK], a[MM_BLOCK];
    for (size_t sub = 0; sub < subs; sub++) {
        const __m512i zero = _mm512_setzero_si512();
        struct acc32 a32[MM_BLOCK] = {{zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}};
        size_t x = sub;
        unsigned level = 0;
        const bool done = job->try32 && try32(job, &c32, b, sub, i, rows, a32);
        if (!done)
            tiles(job, &c32, b, sub, i, rows, IN32, 0, job->tiles32, a32, NULL);
        if (only32) {
            UNROLL for (unsigned y = 0; y < rows; y++)
                a32[y] = settle32(&c32, a32[y]);
            for (; x & 1 && level < job->levels32; x >>= 1, level++)
                UNROLL for (unsigned y = 0; y < rows; y++)
                    a32[y] = node32(&c32, wait32[level][y], a32[y]);
            if (level < job->levels32) {
                UNROLL for (unsigned y = 0; y < rows; y++)
                    wait32[level][y] = a32[y];
                continue;
            }
        }
        UNROLL for (unsigned y = 0; y < rows; y++)
            a[y] = widen(a32[y]);
        if (!only32 && !done) {
            tiles(job, &c64, b, sub, i, rows, IN64, job->tiles32, job->tiles64, NULL, a);
            if (job->tiles64 < job->tiles)
                tiles(job, &c64, b, sub, i, rows, IN64_CHECKED, job->tiles64, job->tiles, NULL, a);
        }
        UNROLL for (unsigned y = 0; y < rows; y++)
            a[y] = settle64(&c64, a[y]);
        for (; x & 1; x >>= 1, level++)
            UNROLL for (unsigned y = 0; y < rows; y++)
                a[y] = node64(&c64, wait64[level][y], a[y]);
        UNROLL for (unsigned y = 0; y < rows; y++)
            wait64[level][y] = a[y];
    }
    UNROLL for (unsigned y = 0; y < rows; y++)
        put(job, a[y], b, i + y);
}

TARGET void mm_vnni_block(const struct mm_job *job, size_t b, size_t i, size_t rows)
{
    switch (rows) {
    case 1: block(job, b, i, 1); break;
    case 2: block(job, b, i, 2); break;
    case 3: block(job, b, i, 3); break;
    default: block(job, b, i, 4); break;
    }
}

/* ---- accumulators in memory ---- */
TARGET void mm_bytes_vnni(const struct mm_strip *s, int64_t *m, int64_t *e)
{
    const struct pl_mm_spec spec = {.guard = s->guard, .acc_bits = s->acc_bits};
    const struct stage c = stage_of(&spec, true);
    const struct pl_panel *l = s->left, *r = s->right;
    const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
    const __m512i m0 = _mm512_loadu_si512(m), m1 = _mm512_loadu_si512(m + 8);
    const __m512i e0 = _mm512_loadu_si512(e), e1 = _mm512_loadu_si512(e + 8);
    struct acc64 a = {_mm512_slli_epi64(_mm512_permutex2var_epi64(m0, even, m1), 1),
                      _mm512_slli_epi64(_mm512_permutex2var_epi64(m0, odd, m1), 1),
                      _mm512_or_si512(count(_mm512_permutex2var_epi64(e0, even, e1), 0),
                                      _mm512_slli_epi64(_mm512_permutex2var_epi64(e0, odd, e1), 32))};
    for (size_t t = 0; t < s->tiles; t++) {
        const size_t rk = s->rk + t * s->tile, at = s->i * l->k + s->lk + t * s->tile;
        const struct place p = {.right = r->v8 + s->j * r->k + rk * LANES, .right_e = r->e + s->j * r->groups, .rk = rk,
                                .left[0] = (const int8_t *)l->v8 + at, .runs[0] = l->runs + at / s->run,
                                .group_log = r->group_log, .blen = s->blen, .run = s->run};
        tile_runs(&c, &p, 1, IN64_CHECKED, NULL, &a);
    }
    const __m512i lower = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), upper = _mm512_add_epi64(lower, _mm512_set1_epi64(4));
    const __m512i lo = _mm512_srai_epi64(a.lo, 1), hi = _mm512_srai_epi64(a.hi, 1);
    _mm512_storeu_si512(m, _mm512_permutex2var_epi64(lo, lower, hi));
    _mm512_storeu_si512(m + 8, _mm512_permutex2var_epi64(lo, upper, hi));
    _mm512_storeu_si512(e, _mm512_permutex2var_epi64(half(a.e, 0), lower, half(a.e, 1)));
    _mm512_storeu_si512(e + 8, _mm512_permutex2var_epi64(half(a.e, 0), upper, half(a.e, 1)));
}

/* ---- left operand ---- */
TARGET bool mm_vnni_quantise(const struct pl_format *f, const float *x, size_t n, int8_t *v, int16_t *e)
{
    const __m512i max = _mm512_set1_epi32((1 << (f->int_bits - 1)) - 1), min = _mm512_sub_epi32(_mm512_setzero_si512(), max);
    for (size_t b = 0; b * f->block < n; b++, x += f->block, v += f->block) {
        __m512i amax = _mm512_setzero_si512();
        for (unsigned k = 0; k < f->block; k += LANES)
            amax = _mm512_max_epi32(amax, _mm512_and_si512(_mm512_loadu_si512(x + k), _mm512_set1_epi32(0x7fffffff)));
        const int exp = (int)((uint32_t)_mm512_reduce_max_epi32(amax) >> 23) - 127;
        if (exp < -100 || exp > 100)
            return false;
        e[b] = (int16_t)(exp + 127);
        /* A power of two: exact, and what underflows rounds to zero either way. */
        const __m512 up = _mm512_set1_ps(bits_float((uint32_t)(127 + f->int_bits - 2 - exp) << 23));
        for (unsigned k = 0; k < f->block; k += LANES) {
            __m512i q = _mm512_cvt_roundps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + k), up),
                                                 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            q = _mm512_max_epi32(_mm512_min_epi32(q, max), min);
            _mm_storeu_si128((__m128i *)(void *)(v + k), _mm512_cvtepi32_epi8(q));
        }
    }
    return true;
}
#else
bool mm_vnni_here(void)
{
    return false;
}
void mm_vnni_block(const struct mm_job *job, size_t b, size_t i, size_t rows)
{
    (void)job, (void)b, (void)i, (void)rows;
}
bool mm_vnni_quantise(const struct pl_format *f, const float *x, size_t n, int8_t *v, int16_t *e)
{
    (void)f, (void)x, (void)n, (void)v, (void)e;
    return false;
}
#endif
