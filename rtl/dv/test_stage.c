/* test_stage.c - rows between HBM and Vector SRAM: dequantised, zero-filled and repeated on the way in, quantised on the way out,
 * against mx.h. Built once for each format: FORMAT, VLEN, EXP and MAN are macros; STORES is 0 where blocks do not divide VLEN. */
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

enum { BITS = 1 + EXP + MAN, ROWS = 100000 / SHARE, IN_LATENCY = 1, OUT_LATENCY = 2 };
static const struct pl_minifloat vec = {EXP, MAN, PL_SPECIAL_IEEE};
static struct pl_format format;
static struct stage *m;
static struct pl_rng rng;

static void tick(void)
{
    *stage_clk_i(m) = 0;
    stage_eval(m);
    *stage_clk_i(m) = 1;
    stage_eval(m);
}

static unsigned row_scales(void)
{
    return pl_format_has_scale(&format) ? (VLEN + format.block - 1u) / format.block : 0;
}

struct in_row {
    uint32_t code[VLEN];
    uint8_t scale[VLEN];
    unsigned n, period;
};

static void give_in(const struct in_row *r)
{
    for (unsigned l = 0; l < VLEN; l++)
        put_bits(stage_in_code_i(m), l, pl_format_bits(&format), r->code[l]);
    for (unsigned b = 0; b < row_scales(); b++)
        put_bits(stage_in_scale_i(m), b, 8, r->scale[b]);
    *stage_n_i(m) = (uint8_t)r->n;
    *stage_period_i(m) = (uint8_t)r->period;
}

/* What the simulator's to_vsram makes of the row. */
static bool want_in(const struct in_row *r, float *out)
{
    bool sticky = false;
    memset(out, 0, VLEN * sizeof *out);
    pl_dequantise(&format, r->code, r->scale, r->n, out);
    for (unsigned b = 0; b < row_scales() && b * format.block < r->n; b++)
        if (r->scale[b] == 255) {
            sticky = true;
            for (unsigned l = b * format.block; l < r->n && l < (b + 1u) * format.block; l++)
                out[l] = 0;
        }
    pl_vec_round_n(vec, out, r->n, out);
    for (unsigned l = r->period; r->period && l < VLEN; l++)
        out[l] = out[l - r->period];
    return sticky;
}

static void random_in(struct in_row *r)
{
    const unsigned bits = pl_format_bits(&format), kind = (unsigned)pl_rng_below(&rng, 4);
    for (unsigned l = 0; l < VLEN; l++)
        r->code[l] = pl_rng_below(&rng, 16) == 0 ? 0 : (uint32_t)pl_rng_below(&rng, 1u << bits);
    for (unsigned b = 0; b < VLEN; b++) /* anywhere, near the ends, near one */
        r->scale[b] = (uint8_t)(kind == 0 ? pl_rng_below(&rng, 256) : kind == 1 ? 240 + pl_rng_below(&rng, 16)
                                : kind == 2 ? pl_rng_below(&rng, 16) : 120 + pl_rng_below(&rng, 16));
    r->n = pl_rng_below(&rng, 3) == 0 ? (unsigned)pl_rng_below(&rng, VLEN + 1) : VLEN;
    r->period = 0;
    if (pl_rng_below(&rng, 8) == 0) {
        for (r->period = 1; r->period < VLEN && pl_rng_below(&rng, 4); r->period *= 2)
            ;
        r->n = r->period; /* whole rows of a narrow table */
        r->period = r->period == VLEN ? 0 : r->period;
    }
}

static void test_in(void **state)
{
    (void)state;
    static struct in_row row[IN_LATENCY + 1];
    pl_rng_init(&rng, 10);
    for (unsigned k = 0; k < ROWS; k++) {
        struct in_row *r = &row[k % (IN_LATENCY + 1)];
        random_in(r);
        give_in(r);
        tick();
        if (k + 1 < IN_LATENCY)
            continue;
        r = &row[(k + 1 - IN_LATENCY) % (IN_LATENCY + 1)];
        float want[VLEN];
        const bool sticky = want_in(r, want);
        assert_int_equal(*stage_in_nan_o(m), sticky);
        for (unsigned l = 0; l < VLEN; l++) {
            const uint32_t got = take_bits(stage_in_row_o(m), l, BITS), code = pl_minifloat_encode(vec, want[l], false);
            if (got != code)
                fail_msg("row %u lane %u of code %x, scale %u (%u lanes, period %u): rtl %x, mx %x", k, l, r->code[l],
                         r->scale[l / format.block], r->n, r->period, got, code);
        }
    }
}

struct out_row {
    float x[VLEN];
    unsigned n;
};

/* Lanes near each other in magnitude, zeros, and at times a NaN or an infinity. */
static void random_out(struct out_row *r)
{
    const uint32_t fields = (1u << EXP) - 1;
    const uint32_t middle = (uint32_t)pl_rng_below(&rng, fields);
    r->n = pl_rng_below(&rng, 3) == 0 ? (unsigned)pl_rng_below(&rng, VLEN + 1) : VLEN;
    for (unsigned l = 0; l < VLEN; l++) {
        uint32_t field = middle + (uint32_t)pl_rng_below(&rng, 12) - 6;
        field = field >= fields ? 0 : field;
        uint32_t code = field << MAN | (field ? (uint32_t)pl_rng_below(&rng, 1u << MAN) : 0);
        if (pl_rng_below(&rng, 40 * VLEN) == 0)
            code = fields << MAN | (pl_rng_below(&rng, 2) ? 1u << (MAN - 1) : 0);
        r->x[l] = pl_minifloat_decode(vec, code | (code == (fields << MAN | 1u << (MAN - 1)) ? 0 : (uint32_t)pl_rng_below(&rng, 2) << (BITS - 1)));
    }
}

static void check_out(const struct out_row *r)
{
    uint32_t code[VLEN] = {0};
    uint8_t scale[VLEN] = {0};
    const bool sticky = pl_quantise(&format, r->x, NULL, r->n, code, scale);
    const unsigned block = format.block;
    assert_int_equal(*stage_out_nan_o(m), sticky);
    for (unsigned l = 0; l < r->n; l++) {
        const uint32_t got = take_bits(stage_out_code_o(m), l, pl_format_bits(&format));
        if (got != code[l])
            fail_msg("lane %u of %u, %a: rtl %x, mx %x", l, r->n, (double)r->x[l], got, code[l]);
    }
    for (unsigned b = 0; pl_format_has_scale(&format) && b * block < r->n; b++)
        assert_int_equal(take_bits(stage_out_scale_o(m), b, 8), scale[b]);
}

static void test_out(void **state)
{
    (void)state;
    static struct out_row row[OUT_LATENCY + 1];
    pl_rng_init(&rng, 11);
    for (unsigned k = 0; k < ROWS && STORES; k++) {
        struct out_row *r = &row[k % (OUT_LATENCY + 1)];
        random_out(r);
        for (unsigned l = 0; l < VLEN; l++)
            put_bits(stage_out_row_i(m), l, BITS, pl_minifloat_encode(vec, r->x[l], false));
        *stage_n_i(m) = (uint8_t)r->n;
        tick();
        if (k + 1 >= OUT_LATENCY)
            check_out(&row[(k + 1 - OUT_LATENCY) % (OUT_LATENCY + 1)]);
    }
}

int main(void)
{
    struct pl_diag d = {0};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_in), cmocka_unit_test(test_out)};
    if (pl_format_parse(FORMAT, &format, &d) != PL_OK)
        return 2;
    m = stage_new();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_free(m);
    return failed;
}
