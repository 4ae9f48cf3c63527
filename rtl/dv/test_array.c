/* test_array.c - the flattened array against pl_dot_ref: random tiles, exponents near and far, zero runs, gaps between tiles.
 * Built once for each shape: S N RUN WL WT LFRAC RFRAC are macros. */
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

enum { K = S * N, RUNS = N / RUN, EW = 11, MAX_TILES = 6, RESULTS = 400 };

struct result { /* what is expected of one N x N result */
    float y[N][N];
};
static struct bench {
    struct array *m;
    struct pl_rng rng;
    struct result want[RESULTS];
    size_t pushed, row_result[N], row_col[N], compared;
} b;

static float vec_value(uint32_t code)
{
    return pl_minifloat_decode(PL_BF16, code);
}

static void check_outputs(void)
{
    const uint32_t valid = *array_valid_o(b.m);
    uint16_t y[N];
    memcpy(y, array_y_o(b.m), sizeof y);
    for (unsigned i = 0; i < N; i++) {
        if (!(valid >> i & 1))
            continue;
        assert_true(b.row_result[i] < b.pushed);
        const float got = vec_value(y[i]), want = b.want[b.row_result[i]].y[i][b.row_col[i]];
        assert_memory_equal(&got, &want, sizeof got);
        b.compared++;
        if (++b.row_col[i] == N) {
            b.row_col[i] = 0;
            b.row_result[i]++;
        }
    }
}

static void tick(void)
{
    *array_clk_i(b.m) = 0;
    array_eval(b.m);
    *array_clk_i(b.m) = 1;
    array_eval(b.m);
    check_outputs();
}

struct operand { /* N vectors along K of `tiles` tiles, an exponent for each k-run */
    int32_t v[N][MAX_TILES * K];
    int16_t e[N][MAX_TILES * K / RUN];
};

/* Integers of `bits` bits, never the most negative; exponents within `spread` of `middle`. */
static void random_operand(struct operand *o, size_t tiles, unsigned bits, int middle, unsigned spread)
{
    const int64_t top = (1 << (bits - 1)) - 1;
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < tiles * K; k++)
            o->v[i][k] = (int32_t)((int64_t)pl_rng_below(&b.rng, (uint64_t)(2 * top + 1)) - top);
        for (size_t r = 0; r < tiles * K / RUN; r++) {
            o->e[i][r] = (int16_t)(middle + (int)pl_rng_below(&b.rng, 2 * spread + 1) - (int)spread);
            if (pl_rng_below(&b.rng, 16) == 0) /* a run of zeros */
                memset(&o->v[i][r * RUN], 0, RUN * sizeof(int32_t));
        }
    }
}

static void drive(const struct operand *left, const struct operand *right, size_t tiles)
{
    for (size_t t = 0; t < tiles; t++)
        for (unsigned beat = 0; beat < N; beat++) {
            *array_valid_i(b.m) = 1;
            *array_beat_i(b.m) = (uint8_t)beat;
            *array_first_i(b.m) = t == 0;
            *array_last_i(b.m) = t + 1 == tiles;
            for (size_t k = 0; k < K; k++) {
                put_bits(array_left_i(b.m), k, WL, (uint32_t)left->v[beat][t * K + k]);
                put_bits(array_top_i(b.m), k, WT, (uint32_t)right->v[beat][t * K + k]);
            }
            for (size_t r = 0; r < K / RUN; r++) {
                put_bits(array_left_e_i(b.m), r, EW, (uint32_t)left->e[beat][t * (K / RUN) + r]);
                put_bits(array_top_e_i(b.m), r, EW, (uint32_t)right->e[beat][t * (K / RUN) + r]);
            }
            tick();
        }
    *array_valid_i(b.m) = 0;
}

static void one_result(const struct pl_mm_spec *s)
{
    static struct operand left, right;
    static const unsigned spread[] = {0, 2, 6, 20, 60, 110};
    const size_t tiles = 1 + pl_rng_below(&b.rng, MAX_TILES);
    random_operand(&left, tiles, WL, 127, spread[pl_rng_below(&b.rng, 6)]);
    random_operand(&right, tiles, WT, 127, spread[pl_rng_below(&b.rng, 6)]);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            b.want[b.pushed].y[i][j] = pl_dot_ref(s, left.v[i], left.e[i], right.v[j], right.e[j], tiles * K);
    b.pushed++;
    drive(&left, &right, tiles);
    if (pl_rng_below(&b.rng, 4) == 0)
        for (uint64_t n = pl_rng_below(&b.rng, 9); n > 0; n--)
            tick();
}

static void test_array(void **state)
{
    (void)state;
    /* Only widths, fractions, groups and runs matter to pl_dot_ref. */
    const struct pl_mm_spec s = {.ledge = {WL, LFRAC, RUN}, .redge = {WT, RFRAC, RUN}, .vec = PL_BF16, .tile = K, .blen = N,
                                 .run = RUN, .guard = 12, .acc_bits = AW};
    pl_rng_init(&b.rng, 2026);
    b.m = array_new();
    *array_rst_ni(b.m) = 0; /* long enough to flush the flags without a reset of their own, in a netlist ones at first */
    for (unsigned n = 0; n < 4; n++)
        tick();
    *array_rst_ni(b.m) = 1;
    for (unsigned n = 0; n < 8 * N; n++)
        tick();
    for (size_t n = 0; n < RESULTS; n++)
        one_result(&s);
    for (unsigned n = 0; n < 4 * N + 32; n++)
        tick();
    assert_int_equal(b.compared, (size_t)RESULTS * N * N);
    array_free(b.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
