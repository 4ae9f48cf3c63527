/* test_vector.c - vector and scalar unit: every BF16 input, error bounds, special values, reductions, Hadamard. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "plena/mx.h"

static const struct pl_minifloat vecs[] = {{8, 7, PL_SPECIAL_IEEE}, {5, 10, PL_SPECIAL_IEEE}, {6, 9, PL_SPECIAL_IEEE}, {5, 6, PL_SPECIAL_IEEE},
                                           {4, 7, PL_SPECIAL_IEEE}, {8, 10, PL_SPECIAL_IEEE}};

/* One rounding by the definition, in double. */
static double slow_round(struct pl_minifloat f, double x)
{
    if (isnan(x) || isinf(x) || x == 0)
        return x;
    int exp;
    frexp(x, &exp);
    const double ulp = ldexp(1, exp - 1 - f.man_bits), y = nearbyint(x / ulp) * ulp;
    const int bias = (1 << (f.exp_bits - 1)) - 1;
    const double max = ldexp(2 - ldexp(1, -f.man_bits), bias);
    if (fabs(y) > max)
        return copysign(INFINITY, x);
    return fabs(y) < ldexp(1, 1 - bias) ? copysign(0, x) : y;
}

static void same(const char *what, float got, double want, double a, double b)
{
    if (isnan(want) ? bits_of(got) != 0x7fc00000 : (double)got != want || !signbit(got) != !signbit(want))
        fail_msg("%s(%.9g, %.9g) = %.9g (0x%08x), not %.9g", what, a, b, (double)got, bits_of(got), want);
}

TEST(test_round_and_arithmetic)
{
    (void)state;
    struct pl_rng r;
    pl_rng_init(&r, 1);
    for (size_t k = 0; k < PL_COUNT(vecs); k++)
        for (int i = 0; i < 200000; i++) {
            float x[2], y;
            const float raw = from_bits((uint32_t)pl_rng_u64(&r));
            same("round", pl_vec_round(vecs[k], raw), isnan(raw) ? (double)NAN : slow_round(vecs[k], (double)raw), (double)raw, 0);
            for (int j = 0; j < 2; j++)
                x[j] = pl_vec_round(vecs[k], ldexpf((float)pl_rng_normal(&r), (int)pl_rng_below(&r, 24) - 12));
            pl_vec_add(vecs[k], &x[0], &x[1], 1, &y);
            same("add", y, slow_round(vecs[k], (double)x[0] + (double)x[1]), (double)x[0], (double)x[1]);
            pl_vec_mul(vecs[k], &x[0], &x[1], 1, &y);
            same("mul", y, slow_round(vecs[k], (double)x[0] * (double)x[1]), (double)x[0], (double)x[1]);
            pl_vec_subs(vecs[k], &x[0], x[1], true, 1, &y);
            same("rsub", y, slow_round(vecs[k], (double)x[1] - (double)x[0]), (double)x[0], (double)x[1]);
        }
}

TEST(test_round_special_values)
{
    (void)state;
    const struct pl_minifloat b = PL_BF16;
    assert_int_equal(bits_of(pl_vec_round(b, from_bits(0xffc12345))), 0x7fc00000); /* canonical NaN */
    assert_int_equal(bits_of(pl_vec_round(b, from_bits(0x80000001))), 0x80000000); /* subnormal to signed zero */
    assert_int_equal(bits_of(pl_vec_round(b, from_bits(0x007fffff))), 0x00800000); /* rounds up to the smallest normal */
    assert_int_equal(bits_of(pl_vec_round(b, from_bits(0x7f7fffff))), 0x7f800000);
    assert_int_equal(bits_of(pl_vec_round(b, from_bits(0x3f808000))), 0x3f800000); /* tie to even */
    assert_int_equal(bits_of(pl_vec_round(b, from_bits(0x3f818000))), 0x3f820000);
}

static double ulp_of(double x, int man_bits)
{
    int exp;
    frexp(x, &exp);
    return ldexp(1, exp - 1 - man_bits);
}

/* Every BF16 and every FP16 value: error in units of the last place of the exact result. doc/numerics.md states it. */
TEST(test_exp_and_reci_all)
{
    (void)state;
    const struct {
        struct pl_minifloat f;
        double exp_bound, reci_bound;
    } c[] = {{PL_BF16, 0.56, 0.56}, {PL_FP16, 0.60, 0.60}, {{6, 9, PL_SPECIAL_IEEE}, 0.58, 0.58}};
    for (size_t k = 0; k < PL_COUNT(c); k++) {
        const unsigned bits = pl_minifloat_bits(c[k].f);
        double worst[2] = {0, 0};
        for (uint32_t code = 0; code < 1u << bits; code++) {
            const float x = pl_vec_round(c[k].f, pl_minifloat_decode(c[k].f, code));
            float e, q;
            if (!isfinite(x))
                continue;
            pl_vec_exp(c[k].f, &x, 1, &e);
            pl_vec_reci(c[k].f, &x, 1, &q);
            const double want[2] = {exp((double)x), 1 / (double)x};
            const float got[2] = {e, q};
            for (int i = 0; i < 2; i++) {
                const double r = slow_round(c[k].f, want[i]);
                if (!isfinite(r) || r == 0 || !isfinite(got[i]) || got[i] == 0)
                    continue; /* over- and underflow are looked at below */
                const double err = fabs((double)got[i] - want[i]) / ulp_of(want[i], c[k].f.man_bits);
                worst[i] = err > worst[i] ? err : worst[i];
            }
        }
        print_message("e%um%u: exp %.4f ulp, reci %.4f ulp\n", c[k].f.exp_bits, c[k].f.man_bits, worst[0], worst[1]);
        assert_true(worst[0] <= c[k].exp_bound && worst[1] <= c[k].reci_bound);
    }
}

TEST(test_special_functions_special_values)
{
    (void)state;
    const float in[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, -200.0f, 200.0f};
    const float want_exp[] = {1, 1, INFINITY, 0, NAN, 0, INFINITY}, want_reci[] = {INFINITY, -INFINITY, 0, -0.0f, NAN, -0.005f, 0.005f};
    float e[7], q[7];
    pl_vec_exp(PL_BF16, in, 7, e);
    pl_vec_reci(PL_BF16, in, 7, q);
    for (int i = 0; i < 7; i++) {
        same("exp", e[i], (double)want_exp[i], (double)in[i], 0);
        same("reci", q[i], slow_round(PL_BF16, (double)want_reci[i]), (double)in[i], 0);
    }
    assert_true(pl_f32_reci(0.0f) == INFINITY && pl_f32_reci(-0.0f) == -INFINITY);
    assert_true(isnan(pl_f32_sqrt(-1)) && pl_f32_sqrt(0) == 0.0f);
    assert_true(pl_f32_exp(-INFINITY) == 0 && pl_f32_exp(0) == 1 && pl_f32_exp(INFINITY) == INFINITY);
    assert_true(pl_f32_max(NAN, 3) == 3 && signbit(pl_f32_max(-0.0f, 0.0f)) == 0);
}

TEST(test_scalar_unit)
{
    (void)state;
    struct pl_rng r;
    double worst = 0;
    pl_rng_init(&r, 4);
    for (int i = 0; i < 2000000; i++) {
        const float a = ldexpf((float)pl_rng_normal(&r), (int)pl_rng_below(&r, 60) - 30), b = (float)pl_rng_normal(&r);
        same("f32 add", pl_f32_add(a, b), (double)(a + b), (double)a, (double)b);
        same("f32 mul", pl_f32_mul(a, b), (double)(a * b), (double)a, (double)b);
        same("f32 reci", pl_f32_reci(a), (double)(1.0f / a), (double)a, 0);
        same("f32 sqrt", pl_f32_sqrt(fabsf(a)), (double)sqrtf(fabsf(a)), (double)a, 0);
        const float x = (float)(pl_rng_double(&r) * 170 - 85);
        const double want = exp((double)x), err = fabs((double)pl_f32_exp(x) - want) / ulp_of(want, 23);
        worst = err > worst ? err : worst;
    }
    print_message("f32 exp: %.4f ulp\n", worst);
    assert_true(worst < 0.52); /* table 2^-62, cubic's remainder 2^-29 of an ulp-sized term, one rounding */
    const float tiny = from_bits(0x00000400);
    assert_true(pl_f32_add(tiny, 0) == 0 && pl_f32_mul(tiny, 1e20f) == 0); /* subnormals are zero */
}

TEST(test_sum_and_max)
{
    (void)state;
    struct pl_rng r;
    float x[64];
    pl_rng_init(&r, 6);
    for (int rep = 0; rep < 20000; rep++) {
        double exact = 0, top = -INFINITY, big = 0;
        for (int i = 0; i < 64; i++) {
            x[i] = pl_vec_round(PL_BF16, (float)pl_rng_normal(&r));
            exact += (double)x[i];
            top = fmax(top, (double)x[i]);
            big = fmax(big, fabs((double)x[i]));
        }
        /* Six levels, each rounding by at most half of 2^-(7+12) of the running magnitude (at most 64 * big); then one
         * rounding to binary32, which is smaller still. */
        const double bound = 6 * 64 * big * ldexp(1, -19);
        assert_true(fabs((double)pl_vec_sum(PL_BF16, x, 64) - exact) <= bound);
        assert_true((double)pl_vec_max(PL_BF16, x, 64) == top);
    }
    for (int i = 0; i < 64; i++)
        x[i] = 1;
    assert_true(pl_vec_sum(PL_BF16, x, 64) == 64);
    x[3] = INFINITY;
    assert_true(pl_vec_sum(PL_BF16, x, 64) == INFINITY);
    x[4] = -INFINITY;
    assert_true(isnan(pl_vec_sum(PL_BF16, x, 64)));
    x[5] = NAN;
    assert_true(pl_vec_max(PL_BF16, x, 64) == INFINITY);
    for (int i = 0; i < 64; i++)
        x[i] = NAN;
    assert_true(isnan(pl_vec_max(PL_BF16, x, 64)));
    x[0] = -0.0f;
    x[1] = 0.0f;
    assert_false(signbit(pl_vec_max(PL_BF16, x, 2)));
}

TEST(test_hadamard)
{
    (void)state;
    struct pl_rng r;
    pl_rng_init(&r, 9);
    for (size_t n = 2; n <= 256; n *= 2) {
        float x[256], y[256], z[256];
        for (size_t i = 0; i < n; i++)
            x[i] = (float)((int)pl_rng_below(&r, 17) - 8); /* integers: nothing is lost before the rounding */
        pl_vec_hadamard(PL_FP16, x, n, y);
        for (size_t i = 0; i < n; i++) {
            double want = 0;
            for (size_t k = 0; k < n; k++)
                want += (double)x[k] * (__builtin_popcountll(i & k) % 2 ? -1 : 1);
            same("hadamard", y[i], slow_round(PL_FP16, want), (double)n, (double)i);
        }
        if (n <= 32) { /* 8 * 32 = 256 is exact in FP16: twice gives n times the input */
            pl_vec_hadamard(PL_FP16, y, n, z);
            for (size_t i = 0; i < n; i++)
                assert_true(z[i] == x[i] * (float)n);
        }
    }
    float bad[4] = {1, NAN, 2, 3};
    pl_vec_hadamard(PL_BF16, bad, 4, bad);
    assert_int_equal(bits_of(bad[0]), 0x7fc00000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_and_arithmetic), cmocka_unit_test(test_round_special_values), cmocka_unit_test(test_exp_and_reci_all),
        cmocka_unit_test(test_special_functions_special_values), cmocka_unit_test(test_scalar_unit), cmocka_unit_test(test_sum_and_max),
        cmocka_unit_test(test_hadamard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
