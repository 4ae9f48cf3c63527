/* test_lanes.c - the lane units of the vector machine against mx.h: exp and reciprocal for every value of the format, the rest
 * on random and special pairs. Built once for each format: EXP and MAN are macros, and SHARE, by which the random tests are shortened (a
 * netlist is simulated more slowly). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plena/mx.h"
#include SHIM
#include "bits.h"

enum { BITS = 1 + EXP + MAN, LANES = 16, LATENCY = 5, PAIRS = 1000000 / SHARE, ROWS = 200000 / SHARE };
static const struct pl_minifloat format = {EXP, MAN, PL_SPECIAL_IEEE};
static struct lanes *m;
static struct pl_rng rng;

static void tick(void)
{
    *lanes_clk_i(m) = 0;
    lanes_eval(m);
    *lanes_clk_i(m) = 1;
    lanes_eval(m);
}

/* Is this a value of the vector format? Its subnormals are none, and there is one NaN. */
static bool a_value(uint32_t code)
{
    const uint32_t magnitude = code & ((1u << (BITS - 1)) - 1), inf = ((1u << EXP) - 1) << MAN;
    return magnitude >> MAN ? magnitude <= inf || code == (inf | 1u << (MAN - 1)) : magnitude == 0;
}

static void same(const char *what, uint32_t a, uint32_t b, uint32_t got, float want)
{
    const uint32_t code = pl_minifloat_encode(format, want, false);
    if (got != code)
        fail_msg("%s of %x and %x: rtl %x, mx %x", what, a, b, got, code);
}

static void test_unary(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 1u << BITS; a++) {
        if (!a_value(a))
            continue;
        const float x = pl_minifloat_decode(format, a);
        float y;
        *lanes_a_i(m) = (__typeof__(*lanes_a_i(m)))a;
        tick();
        pl_vec_exp(format, &x, 1, &y);
        same("exp", a, 0, *lanes_exp_o(m), y);
        pl_vec_reci(format, &x, 1, &y);
        same("reciprocal", a, 0, *lanes_reci_o(m), y);
    }
}

/* Zeros, infinities and NaN as often as anything; exponents near each other half of the time. */
static uint32_t random_value(uint32_t other)
{
    static const unsigned special[] = {0, 1, 2, 3};
    for (;;) {
        uint32_t code = (uint32_t)pl_rng_below(&rng, 1u << BITS);
        const uint32_t inf = ((1u << EXP) - 1) << MAN, sign = code & 1u << (BITS - 1);
        const uint64_t kind = pl_rng_below(&rng, 64);
        if (kind < 2)
            code = sign;
        else if (kind == 3)
            code = sign | inf;
        else if (kind == 4)
            code = inf | 1u << (MAN - 1);
        else if (kind < 36)
            code = (code & ~(((1u << EXP) - 1) << MAN)) |
                   (((other >> MAN & ((1u << EXP) - 1)) + (uint32_t)pl_rng_below(&rng, 6) - special[pl_rng_below(&rng, 4)]) &
                    ((1u << EXP) - 1)) << MAN;
        if (a_value(code))
            return code;
    }
}

static void test_binary(void **state)
{
    (void)state;
    pl_rng_init(&rng, 8);
    for (size_t n = 0; n < PAIRS; n++) {
        const uint32_t a = random_value(0x3f << MAN), b = random_value(a);
        const float x = pl_minifloat_decode(format, a), y = pl_minifloat_decode(format, b);
        float z;
        *lanes_a_i(m) = (__typeof__(*lanes_a_i(m)))a;
        *lanes_b_i(m) = (__typeof__(*lanes_b_i(m)))b;
        tick();
        pl_vec_add(format, &x, &y, 1, &z);
        same("a + b", a, b, *lanes_add_o(m), z);
        pl_vec_sub(format, &x, &y, 1, &z);
        same("a - b", a, b, *lanes_sub_o(m), z);
        pl_vec_mul(format, &x, &y, 1, &z);
        same("a * b", a, b, *lanes_mul_o(m), z);
        pl_vec_maxs(format, &x, y, 1, &z);
        same("max", a, b, *lanes_max_o(m), z);
        pl_vec_mins(format, &x, y, 1, &z);
        same("min", a, b, *lanes_min_o(m), z);
    }
}

/* A row a cycle; its sum leaves LATENCY cycles later. */
static void test_sum(void **state)
{
    (void)state;
    float want[LATENCY + 1] = {0};
    pl_rng_init(&rng, 9);
    for (size_t n = 0; n < ROWS; n++) {
        float x[LANES];
        uint32_t last = 0x3f << MAN;
        const bool special = n % 8 == 0;
        for (size_t l = 0; l < LANES; l++) {
            do
                last = random_value(last);
            while (!special && (last >> MAN & ((1u << EXP) - 1)) == (1u << EXP) - 1);
            x[l] = pl_minifloat_decode(format, last);
            put_bits(lanes_x_i(m), l, BITS, last);
        }
        tick();
        want[n % (LATENCY + 1)] = pl_vec_sum(format, x, LANES);
        if (n + 1 < LATENCY)
            continue;
        const float *w = &want[(n + 1 - LATENCY) % (LATENCY + 1)];
        if (memcmp(w, lanes_sum_o(m), sizeof *w) != 0)
            fail_msg("sum of row %zu: rtl %x, mx %a", n + 1 - LATENCY, *lanes_sum_o(m), (double)*w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unary), cmocka_unit_test(test_binary), cmocka_unit_test(test_sum)};
    m = lanes_new();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    lanes_free(m);
    return failed;
}
