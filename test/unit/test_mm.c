/* test_mm.c - the matrix unit: every kernel variant and both ways of calling against the one-result definition. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "../../src/mx/mm_internal.h"
#include "plena/mx.h"

enum { K = 128, N = 20, R = 3, TILE = 64 };
static struct pl_diag d;

struct operands {
    struct pl_panel *left, *right;
    int32_t lv[R][K], rv[N][K];
    int16_t le[R][K], re[N][K];
};

static float wide_normal(struct pl_rng *r)
{
    return (float)(pl_rng_normal(r) * exp2((double)pl_rng_below(r, 20) - 10));
}

static void make_left(const struct pl_mm_spec *s, struct operands *o, struct pl_rng *r, bool fold)
{
    const bool plain = s->left.kind == PL_FORMAT_FLOAT;
    for (int i = 0; i < R; i++) {
        float x[K];
        int16_t add[K];
        uint32_t code[K];
        uint8_t scale[K];
        for (int k = 0; k < K; k++) {
            x[k] = pl_rng_below(r, 6) ? pl_vec_round(s->vec, wide_normal(r)) : 0;
            add[k] = (int16_t)((int)pl_rng_below(r, 21) - 10);
        }
        pl_panel_set_left(s, o->left, (size_t)i, 0, K, x, fold ? add : NULL);
        pl_quantise(&s->left, x, fold && !plain ? add : NULL, K, code, scale);
        pl_edge_decode(&s->left, code, scale, K, o->lv[i], o->le[i]);
        for (int k = 0; fold && plain && k < K; k++)
            o->le[i][k] = (int16_t)(o->le[i][k] + add[k]);
    }
}

static void make_right(const struct pl_mm_spec *s, struct operands *o, struct pl_rng *r)
{
    for (int j = 0; j < N; j++) {
        float x[K];
        uint32_t code[K];
        uint8_t scale[K];
        for (int k = 0; k < K; k++)
            x[k] = wide_normal(r);
        pl_quantise(&s->right, x, NULL, K, code, scale);
        pl_panel_set_right(s, o->right, (size_t)j, 0, K, code, scale);
        pl_edge_decode(&s->right, code, scale, K, o->rv[j], o->re[j]);
    }
}

static void make_right_rows(const struct pl_mm_spec *s, struct operands *o, struct pl_rng *r)
{
    const bool own = pl_edge_of(&s->right).group == 1;
    for (int k = 0; k < K; k++) {
        float x[N];
        uint32_t code[N];
        uint8_t scale[N];
        int32_t v[N];
        int16_t e[N];
        for (int j = 0; j < N; j++)
            x[j] = wide_normal(r);
        pl_quantise(&s->right, x, NULL, N, code, scale);
        pl_panel_set_right_row(s, o->right, (size_t)k, 0, N, code);
        memset(scale, 127, sizeof scale);
        pl_edge_decode(&s->right, code, scale, N, v, e);
        for (int j = 0; j < N; j++) {
            o->rv[j][k] = v[j];
            o->re[j][own ? k : k / TILE] = own ? e[j] : 127;
        }
    }
}

/* Whole product; and tile by tile through accumulators, four columns at a time. */
static size_t compare(const struct pl_mm_spec *s, const struct operands *o, const char *what)
{
    float whole[R][N], steps[R][N];
    struct pl_acc *acc = pl_acc_new(s, R, 4);
    pl_mm_product(s, o->left, R, o->right, N, &whole[0][0], N);
    for (size_t j = 0; j < N; j += 4) {
        pl_acc_clear(acc);
        for (size_t k = 0; k < K; k += TILE)
            pl_mm_accumulate(s, o->left, 0, k, o->right, j, k, TILE, R, 4, acc);
        pl_mm_write_out(s, acc, R, 4, &steps[0][j], N);
    }
    pl_acc_free(acc);
    for (int i = 0; i < R; i++)
        for (int j = 0; j < N; j++) {
            const float want = pl_dot_ref(s, o->lv[i], o->le[i], o->rv[j], o->re[j], K);
            if (memcmp(&want, &whole[i][j], 4) || memcmp(&want, &steps[i][j], 4))
                fail_msg("%s [%d][%d]: %.9g, by steps %.9g, reference %.9g", what, i, j, (double)whole[i][j], (double)steps[i][j], (double)want);
        }
    return R * N;
}

static size_t one_pair(const char *left, const char *right, bool along_n, unsigned blen, struct pl_rng *r)
{
    struct pl_format f, g;
    struct pl_mm_spec s;
    struct operands o;
    char what[128];
    OK(pl_format_parse(left, &f, &d));
    OK(pl_format_parse(right, &g, &d));
    if (pl_mm_spec_init(&s, &f, &g, along_n, PL_BF16, TILE, blen, 12, 0, &d) == PL_EUNSUPPORTED)
        return 0; /* accumulators beyond 64 bits: refused by name */
    snprintf(what, sizeof what, "%s x %s%s, blen %u", left, right, along_n ? " along N" : "", blen);
    memset(&o, 0, sizeof o);
    o.left = pl_panel_new(&s, false, R, K);
    o.right = pl_panel_new(&s, true, N, K);
    make_left(&s, &o, r, along_n && pl_format_has_scale(&g));
    if (along_n)
        make_right_rows(&s, &o, r);
    else
        make_right(&s, &o, r);
    const size_t n = compare(&s, &o, what);
    pl_panel_free(o.left);
    pl_panel_free(o.right);
    return n;
}

static const char *const formats[] = {"mxint8:16", "mxint4:32", "mxint2:4", "mxfp4_e2m1:8", "mxfp8_e4m3:16", "bf16", "e6m9",
                                      "mxfp8_e5m2:16", "mxfp8_e3m4:4", "fp16"};

TEST(test_all_pairs)
{
    (void)state;
    struct pl_rng r;
    size_t n = 0;
    pl_rng_init(&r, 1);
    for (size_t a = 0; a < PL_COUNT(formats); a++)
        for (size_t b = 0; b < PL_COUNT(formats); b++)
            for (unsigned k = 0; k < 6; k++)
                n += one_pair(formats[a], formats[b], k % 2, 4u << (k / 2), &r);
    print_message("%zu results equal the definition\n", n);
    assert_true(n > 25000);
}

/* The portable kernel and each SIMD one of this host: the same accumulators from the same operands. */
static unsigned compare_kernels(const struct pl_mm_spec *s, const struct operands *o, const char *what)
{
    unsigned seen = 0;
    for (unsigned sub = 0; sub < TILE / s->blen; sub++)
        for (size_t j = 0; j < N; j += LANES) {
            const struct mm_strip strip = {o->left, o->right, 1, sub * s->blen, j, sub * s->blen, K / TILE, TILE, s->blen, s->run,
                                           s->guard, s->acc_bits};
            int64_t m[MM_VARIANTS][LANES], e[MM_VARIANTS][LANES];
            for (unsigned v = 0; v < MM_VARIANTS; v++) {
                mm_kernel *k = mm_kernel_variant(v, (enum mm_kind)o->left->kind);
                if (!k)
                    continue; /* this host has no such instructions */
                memset(m[v], 0, sizeof m[v]);
                memset(e[v], 0, sizeof e[v]);
                k(&strip, m[v], e[v]);
                seen |= 1u << v;
                if (memcmp(m[v], m[0], sizeof m[0]) || memcmp(e[v], e[0], sizeof e[0]))
                    fail_msg("%s: variant %u differs from the portable kernel", what, v);
            }
        }
    return seen;
}

TEST(test_variants)
{
    (void)state;
    struct pl_rng r;
    unsigned seen = 0;
    pl_rng_init(&r, 3);
    for (size_t a = 0; a < PL_COUNT(formats); a++)
        for (size_t b = 0; b < PL_COUNT(formats); b++) {
            struct pl_format f, g;
            struct pl_mm_spec s;
            struct operands o;
            char what[96];
            memset(&o, 0, sizeof o);
            snprintf(what, sizeof what, "%s x %s", formats[a], formats[b]);
            OK(pl_format_parse(formats[a], &f, &d));
            OK(pl_format_parse(formats[b], &g, &d));
            if (pl_mm_spec_init(&s, &f, &g, false, PL_BF16, TILE, 8, 12, 0, &d) != PL_OK)
                continue;
            o.left = pl_panel_new(&s, false, R, K);
            o.right = pl_panel_new(&s, true, N, K);
            make_left(&s, &o, &r, false);
            make_right(&s, &o, &r);
            seen |= compare_kernels(&s, &o, what);
            pl_panel_free(o.left);
            pl_panel_free(o.right);
        }
    print_message("variants tried: portable%s%s%s\n", seen & 2 ? " AVX2" : "", seen & 4 ? " AVX-512" : "", seen & 8 ? " VNNI" : "");
    assert_true(seen & 1);
}

/* ---- whole sums against the definition: long K, every way through the kernels ---- */
enum { SR = 6, SN = 37, SK = 1024 };
enum mode { SPREAD, GROWING, SPARSE, MODES };

struct stress {
    struct pl_mm_spec s;
    struct pl_panel *left, *right;
    int32_t lv[SR][SK], rv[SN][SK];
    int16_t le[SR][SK], re[SN][SK];
};

/* GROWING: sums of one sign that the second half of K takes back, so that what the renormalisations rounded away is all
 * that is left. */
static float left_value(struct pl_rng *r, enum mode m, int k)
{
    const uint64_t dice = pl_rng_below(r, m == SPARSE ? 4 : 400);
    const int first = k % (SK / 2);
    if (m == GROWING)
        return ldexpf(1.9375f - 0.0625f * (float)(first % 5), first / 64 % 2 ? -(first / 64 + 6) : 0);
    if (dice == 0)
        return m == SPARSE ? (float)pl_rng_normal(r) : (float)NAN;
    if (m == SPARSE || dice == 1)
        return 0;
    return (float)ldexp(pl_rng_normal(r), (int)pl_rng_below(r, dice < 40 ? 230 : 12) - (dice < 40 ? 125 : 6));
}

static void stress_left(struct stress *t, struct pl_rng *r, enum mode m)
{
    for (int i = 0; i < SR; i++) {
        float x[SK];
        uint32_t code[SK];
        uint8_t scale[SK];
        for (int k = 0; k < SK; k++)
            x[k] = pl_vec_round(t->s.vec, left_value(r, m, k));
        const bool sticky = pl_panel_set_left(&t->s, t->left, (size_t)i, 0, SK, x, NULL);
        assert_int_equal(sticky, pl_quantise(&t->s.left, x, NULL, SK, code, scale));
        pl_edge_decode(&t->s.left, code, scale, SK, t->lv[i], t->le[i]);
    }
}

static uint32_t growing_code(const struct pl_format *f, int j, int k)
{
    const unsigned bits = pl_format_bits(f);
    const uint32_t sign = 1u << (bits - 1), c = sign - 1 - (bits > 4 ? (uint32_t)(k % (SK / 2) % 7) : 0);
    if (j % 7 == 6)
        return sign; /* the most negative integer, all along */
    if ((k < SK / 2) == (j % 2))
        return c;
    return f->kind == PL_FORMAT_MXINT ? -c & (2 * sign - 1) : c | sign;
}

/* Any codes under any scales, the unused -2^(b-1) and NaN scales included. */
static void stress_right(struct stress *t, struct pl_rng *r, enum mode m)
{
    const unsigned bits = pl_format_bits(&t->s.right);
    for (int j = 0; j < SN; j++) {
        uint32_t code[SK];
        uint8_t scale[SK], bytes[SK * 4];
        for (int k = 0; k < SK; k++) {
            code[k] = (uint32_t)pl_rng_u64(r) & ((1u << bits) - 1);
            scale[k] = (uint8_t)(pl_rng_below(r, 12) ? 120 + pl_rng_below(r, 8) : pl_rng_below(r, 256));
            if (m == GROWING)
                scale[k] = 127, code[k] = growing_code(&t->s.right, j, k);
            else if (m == SPARSE && pl_rng_below(r, 3))
                code[k] = 0;
        }
        pl_pack(bits, code, SK, bytes);
        if (j % 3)
            pl_panel_set_right_packed(&t->s, t->right, (size_t)j, 0, SK, bytes, scale);
        else
            pl_panel_set_right(&t->s, t->right, (size_t)j, 0, SK, code, scale);
        pl_edge_decode(&t->s.right, code, scale, SK, t->rv[j], t->re[j]);
    }
}

static size_t stress_compare(const struct stress *t, struct pl_rng *r, const char *what)
{
    float out[SR][SN];
    const size_t i0 = pl_rng_below(r, SR), j0 = pl_rng_below(r, SN), tiles = SK / t->s.tile, cut = pl_rng_below(r, tiles) * t->s.tile;
    const struct pl_mm_term term[2] = {{t->left, t->right, i0, 0, j0, 0, cut}, {t->left, t->right, i0, cut, j0, cut, SK - cut}};
    const bool halves = cut > 0;
    pl_mm_sum(&t->s, halves ? term : term + 1, halves ? 2 : 1, SR - i0, SN - j0, &out[i0][j0], SN);
    for (size_t i = i0; i < SR; i++)
        for (size_t j = j0; j < SN; j++) {
            const float want = pl_dot_ref(&t->s, t->lv[i], t->le[i], t->rv[j], t->re[j], SK);
            if (memcmp(&want, &out[i][j], 4))
                fail_msg("%s [%zu][%zu]: %a, reference %a", what, i, j, (double)out[i][j], (double)want);
        }
    return (SR - i0) * (SN - j0);
}

static size_t stress_one(const struct pl_format *a, const struct pl_format *b, unsigned tile, unsigned blen, bool tight, enum mode m,
                         enum mm_kind kind, struct pl_rng *r)
{
    static struct stress t;
    char what[128];
    const struct pl_minifloat vec[] = {PL_BF16, PL_FP16, {8, 10, PL_SPECIAL_IEEE}};
    const struct pl_minifloat v = vec[pl_rng_below(r, 3)];
    if (pl_mm_spec_init(&t.s, a, b, false, v, tile, blen, 12, 0, &d) != PL_OK)
        return 0;
    const unsigned least = t.s.ledge.width + t.s.redge.width + pl_log2(t.s.run) + 12 + 2;
    if (tight)
        OK(pl_mm_spec_init(&t.s, a, b, false, v, tile, blen, 12, least, &d));
    if (kind != MM_WIDE && kind != mm_kind_of(&t.s))
        return 0;
    snprintf(what, sizeof what, "kinds %u/%u bits %u x %u, tile %u, blen %u, Aw %u, mode %u, layout %u", a->kind, b->kind,
             pl_format_bits(a), pl_format_bits(b), tile, blen, t.s.acc_bits, m, kind);
    t.left = mm_panel_new(&t.s, false, SR, SK, kind);
    t.right = mm_panel_new(&t.s, true, SN, SK, kind);
    stress_left(&t, r, m);
    stress_right(&t, r, m);
    const size_t n = stress_compare(&t, r, what);
    pl_panel_free(t.left);
    pl_panel_free(t.right);
    return n;
}

TEST(test_sums)
{
    (void)state;
    static const char *const pair[][2] = {
        {"mxint8:16", "mxint8:16"}, {"mxint8:16", "mxint4:16"},     {"mxint4:16", "mxint4:16"},      {"mxint8:32", "mxint8:64"},
        {"mxint4:4", "mxint8:8"},   {"mxint8:4", "mxfp4_e2m1:16"},  {"mxfp4_e2m1:32", "mxint4:8"},   {"mxint8:64:ceil", "mxint3:16"},
        {"bf16", "mxint8:16"},      {"mxfp8_e4m3:16", "mxint8:16"}, {"mxint8:16", "mxfp6_e2m3:16"}, {"mxint2:16", "mxint2:32"}};
    static const unsigned shape[][2] = {{16, 4}, {64, 4}, {64, 64}, {256, 8}, {1024, 32}, {512, 16}};
    struct pl_rng r;
    size_t n = 0;
    pl_rng_init(&r, 5);
    for (size_t p = 0; p < PL_COUNT(pair); p++)
        for (size_t k = 0; k < PL_COUNT(shape); k++)
            for (unsigned m = 0; m < 2 * MODES; m++)
                for (unsigned kind = 0; kind < MM_KINDS; kind++) {
                    struct pl_format a, b;
                    OK(pl_format_parse(pair[p][0], &a, &d));
                    OK(pl_format_parse(pair[p][1], &b, &d));
                    n += stress_one(&a, &b, shape[k][0], shape[k][1], m / MODES, (enum mode)(m % MODES), (enum mm_kind)kind, &r);
                }
    print_message("%zu sums equal the definition\n", n);
    assert_true(n > 20000);
}

/* Known sums: exact integers, cancellation, and a term below the guard bits. */
TEST(test_known_sums)
{
    (void)state;
    struct pl_format f;
    struct pl_mm_spec s;
    OK(pl_format_parse("mxint8:16", &f, &d));
    OK(pl_mm_spec_init(&s, &f, &f, false, PL_BF16, 16, 4, 12, 0, &d));
    int32_t lv[16], rv[16];
    int16_t e[1] = {127 + 6 + 0}; /* frac 6: values are the integers themselves */
    for (int k = 0; k < 16; k++) {
        lv[k] = k - 8;
        rv[k] = k % 2 ? 3 : -2;
    }
    /* sum over odd k of 3(k-8) - 2 sum over even k (k-8) = 3*0 - 2*(-8) = 16 */
    assert_true(pl_dot_ref(&s, lv, e, rv, e, 16) == 16.0f);
    for (int k = 0; k < 16; k++)
        rv[k] = 0;
    assert_true(pl_dot_ref(&s, lv, e, rv, e, 16) == 0.0f);
}

TEST(test_refused)
{
    (void)state;
    struct pl_format f, wide;
    struct pl_mm_spec s;
    OK(pl_format_parse("mxint8:16", &f, &d));
    OK(pl_format_parse("mxfp12_e6m5:16", &wide, &d));
    REFUSED(PL_ERANGE, "", pl_mm_spec_init(&s, &f, &f, false, PL_BF16, 48, 4, 12, 0, &d));
    REFUSED(PL_EUNSUPPORTED, "", pl_mm_spec_init(&s, &f, &f, false, PL_BF16, 64, 4, 12, 20, &d));
    OK(pl_mm_spec_init(&s, &wide, &f, false, PL_BF16, 64, 4, 12, 0, &d)); /* significands with own exponents */
    assert_int_equal(s.run, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_pairs), cmocka_unit_test(test_variants), cmocka_unit_test(test_sums), cmocka_unit_test(test_known_sums),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
