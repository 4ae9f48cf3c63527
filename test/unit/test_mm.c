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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_pairs), cmocka_unit_test(test_variants), cmocka_unit_test(test_known_sums),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
