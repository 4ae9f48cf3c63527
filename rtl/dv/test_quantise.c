/* test_quantise.c - the quantiser against pl_quantise on random blocks, with and without exponents to add, and the edge decoder
 * against pl_edge_decode for every code and scale. Built once for each format: FORMAT (its spelling), EXP and MAN of the lanes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plena/mx.h"
#include SHIM
#include "bits.h"

enum { N = 16, BLOCKS = 100000, ADD_BITS = 9 };
static const struct pl_minifloat lane = {EXP, MAN, PL_SPECIAL_IEEE};
static struct quantise *m;
static struct pl_format format;

static void tick(void)
{
    *quantise_clk_i(m) = 0;
    quantise_eval(m);
    *quantise_clk_i(m) = 1;
    quantise_eval(m);
}

static float random_lane(struct pl_rng *r, unsigned middle, unsigned spread)
{
    const uint64_t kind = pl_rng_below(r, 400), man = pl_rng_below(r, 1u << MAN), sign = pl_rng_below(r, 2);
    uint64_t field = (middle + pl_rng_below(r, spread)) % ((1u << EXP) - 1);
    if (kind < 20)
        return pl_minifloat_decode(lane, (uint32_t)(sign << (EXP + MAN))); /* a zero */
    if (kind == 20)
        field = (1u << EXP) - 1; /* Inf or NaN */
    return pl_minifloat_decode(lane, (uint32_t)(sign << (EXP + MAN) | (field ? field : 1) << MAN | (field + 1 < 1u << EXP ? man : 0)));
}

static void test_blocks(void **state)
{
    (void)state;
    struct pl_rng r;
    const unsigned bits = pl_format_bits(&format), wide = 1 + EXP + MAN;
    size_t special = 0;
    pl_rng_init(&r, 5);
    for (size_t n = 0; n < BLOCKS; n++) {
        float x[N];
        int16_t add[N];
        uint32_t code[N];
        uint8_t scale;
        const unsigned spread = (unsigned[]){1, 3, 12, 1u << EXP}[n % 4];
        const unsigned middle = (unsigned)pl_rng_below(&r, 1u << EXP);
        const bool fold = n % 3 == 0;
        for (size_t i = 0; i < N; i++) {
            x[i] = n % 100 == 99 ? 0.0f : random_lane(&r, middle, spread);
            add[i] = fold ? (int16_t)((int)pl_rng_below(&r, 256) - 128) : 0;
            put_bits(quantise_x_i(m), i, wide, pl_minifloat_encode(lane, x[i], false));
            put_bits(quantise_add_i(m), i, ADD_BITS, (uint32_t)add[i]);
        }
        tick();
        tick();
        const bool bad = pl_quantise(&format, x, fold ? add : NULL, N, code, &scale);
        special += bad;
        assert_int_equal(*quantise_nan_o(m), bad);
        assert_int_equal(*quantise_scale_o(m), scale);
        for (size_t i = 0; i < N; i++)
            if (take_bits(quantise_code_o(m), i, bits) != code[i])
                fail_msg("block %zu lane %zu of %a: rtl %x, mx %x (scale %u)", n, i, (double)x[i], take_bits(quantise_code_o(m), i, bits),
                         code[i], scale);
    }
    assert_in_range(special, 1, BLOCKS / 2);
}

static void test_edge(void **state)
{
    (void)state;
    const unsigned bits = pl_format_bits(&format);
    const struct pl_edge edge = pl_edge_of(&format);
    for (uint32_t code = 0; code < 1u << bits; code++)
        for (unsigned scale = 0; scale < 256; scale++) {
            int32_t v;
            int16_t e;
            const uint8_t s = (uint8_t)scale;
            pl_edge_decode(&format, &code, &s, 1, &v, &e);
            *quantise_edge_code_i(m) = (uint8_t)code;
            *quantise_edge_scale_i(m) = s;
            quantise_eval(m);
            assert_int_equal(take_bits(quantise_edge_v_o(m), 0, edge.width), (uint32_t)v & ((1u << edge.width) - 1));
            if (v) /* the exponent of a zero is never looked at */
                assert_int_equal(take_bits(quantise_edge_e_o(m), 0, 11), (uint32_t)e & 0x7ff);
        }
}

int main(void)
{
    struct pl_diag d = {0};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_edge)};
    if (pl_format_parse(FORMAT ":16", &format, &d) != PL_OK)
        return 2;
    m = quantise_new();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    quantise_free(m);
    return failed;
}
