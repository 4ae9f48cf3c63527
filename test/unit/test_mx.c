/* test_mx.c - formats, minifloats, quantiser and packing against enumeration, reference vectors and the slow twin. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "plena/base_json.h"
#include "plena/mx.h"

static struct pl_diag d;

/* ---- minifloats, written out from the definition ---- */
static double slow_decode(struct pl_minifloat f, uint32_t code)
{
    const uint32_t man = code & ((1u << f.man_bits) - 1), exp = code >> f.man_bits & ((1u << f.exp_bits) - 1);
    const double sign = code >> (f.man_bits + f.exp_bits) ? -1 : 1;
    const int bias = (1 << (f.exp_bits - 1)) - 1;
    const bool top = exp == (1u << f.exp_bits) - 1;
    if (f.special == PL_SPECIAL_IEEE && top)
        return man || !f.man_bits ? NAN : sign * INFINITY;
    if (f.special == PL_SPECIAL_E4M3 && top && man == 7)
        return NAN;
    if (!exp)
        return sign * ldexp(man, 1 - bias - f.man_bits);
    return sign * ldexp((double)((1u << f.man_bits) + man), (int)exp - bias - f.man_bits);
}

/* Nearest code by trying them all; ties to the even code; beyond the largest: saturated. */
static uint32_t slow_encode(struct pl_minifloat f, double x)
{
    const uint32_t n = 1u << (pl_minifloat_bits(f) - 1);
    uint32_t best = 0;
    double best_err = INFINITY;
    for (uint32_t c = 0; c < n; c++) {
        if (isfinite(slow_decode(f, c)) && fabs(x) >= slow_decode(f, c)) {
            best = c; /* the largest below x, for x beyond all */
            best_err = fabs(x) - slow_decode(f, c);
        }
    }
    for (uint32_t c = best + 1; c < n; c++) {
        const double v = slow_decode(f, c), err = fabs(fabs(x) - v);
        if (!isfinite(v))
            continue;
        const bool even = f.man_bits ? c % 2 == 0 : c > 1; /* see mx.h for formats without fraction bits */
        if (err < best_err || (err == best_err && even)) {
            best = c;
            best_err = err;
        }
    }
    return best | (signbit(x) ? n : 0);
}

TEST(test_minifloat_decode_all)
{
    (void)state;
    for (unsigned e = 1; e <= 8; e++)
        for (unsigned m = 0; m <= 10; m++) {
            const struct pl_minifloat f = pl_minifloat_make(e, m);
            assert_int_equal(pl_minifloat_bits(f), 1 + e + m);
            double max = 0;
            for (uint32_t c = 0; c < 1u << (1 + e + m); c++) {
                const double want = slow_decode(f, c);
                const float got = pl_minifloat_decode(f, c);
                if (isnan(want) ? !isnan(got) : (double)got != want || !signbit(got) != !signbit(want))
                    fail_msg("e%um%u code %x: %g, not %g", e, m, c, (double)got, want);
                if (isfinite(want) && want > max)
                    max = want;
                if (!isnan(want) && isfinite(want))
                    assert_int_equal(pl_minifloat_encode(f, got, true), c);
            }
            assert_true((double)pl_minifloat_max(f) == max);
        }
}

/* Every format of at most 8 bits: the codes' values, the midpoints between them, and one ulp to either side. */
TEST(test_minifloat_encode_all)
{
    (void)state;
    for (unsigned e = 1; e <= 7; e++)
        for (unsigned m = 0; 1 + e + m <= 8; m++) {
            const struct pl_minifloat f = pl_minifloat_make(e, m);
            for (uint32_t c = 0; c + 1 < 1u << (e + m); c++) {
                const double a = slow_decode(f, c), b = slow_decode(f, c + 1);
                const double mid = isfinite(a) && isfinite(b) ? (a + b) / 2 : isfinite(a) ? a * 1.25 : 1e30;
                const float at = (float)mid; /* exact: at most 12 significant bits */
                const float try[] = {at, nextafterf(at, INFINITY), nextafterf(at, 0), -at, -nextafterf(at, 0)};
                for (size_t i = 0; i < PL_COUNT(try); i++)
                    if (pl_minifloat_encode(f, try[i], true) != slow_encode(f, (double)try[i]))
                        fail_msg("e%um%u %.9g: code %x, not %x", e, m, (double)try[i], pl_minifloat_encode(f, try[i], true),
                                 slow_encode(f, (double)try[i]));
            }
        }
}

TEST(test_minifloat_specials)
{
    (void)state;
    const struct pl_minifloat e4m3 = pl_minifloat_make(4, 3), e5m2 = pl_minifloat_make(5, 2), e2m1 = pl_minifloat_make(2, 1);
    assert_int_equal(pl_minifloat_encode(e4m3, NAN, true), 0x7f);
    assert_int_equal(pl_minifloat_encode(e4m3, 449, false), 0x7e); /* no Inf: saturates */
    assert_int_equal(pl_minifloat_encode(e5m2, 1e9f, false), 0x7c);
    assert_int_equal(pl_minifloat_encode(e5m2, 1e9f, true), 0x7b);
    assert_int_equal(pl_minifloat_encode(e5m2, -INFINITY, false), 0xfc);
    assert_int_equal(pl_minifloat_encode(e5m2, NAN, true), 0x7e);
    assert_int_equal(pl_minifloat_encode(e2m1, NAN, true), 0);
    assert_int_equal(pl_minifloat_encode(e2m1, INFINITY, true), 7);
    assert_true(pl_minifloat_max(PL_FP16) == 65504.0f);
}

/* ---- reference vectors ---- */
static uint32_t hex(const json_t *v)
{
    return (uint32_t)strtoul(json_string_value(v), NULL, 16);
}

static void check_block(const char *name, unsigned block, const json_t *v, size_t *checked)
{
    char spell[64];
    struct pl_format f;
    float x[64], back[64];
    uint32_t code[64], slow[64];
    uint8_t scale, slow_scale;
    snprintf(spell, sizeof spell, "%s:%u", name, block);
    OK(pl_format_parse(spell, &f, &d));
    const json_t *in = json_object_get(v, "in"), *want = json_object_get(v, "code"), *out = json_object_get(v, "out");
    for (unsigned i = 0; i < block; i++)
        x[i] = from_bits(hex(json_array_get(in, i)));
    pl_quantise(&f, x, NULL, block, code, &scale);
    pl_quantise_ref(&f, x, NULL, block, slow, &slow_scale);
    pl_dequantise(&f, code, &scale, block, back);
    const char *note = json_string_value(json_object_get(v, "note"));
    if (scale != hex(json_object_get(v, "scale")) || slow_scale != scale)
        fail_msg("%s, %s: scale %02x, twin %02x", spell, note, scale, slow_scale);
    for (unsigned i = 0; i < block; i++)
        if (code[i] != hex(json_array_get(want, i)) || slow[i] != code[i] || bits_of(back[i]) != hex(json_array_get(out, i)))
            fail_msg("%s, %s, element %u: code %x, twin %x, value %08x", spell, note, i, code[i], slow[i], bits_of(back[i]));
    *checked += block;
}

TEST(test_reference_vectors)
{
    (void)state;
    const char *path = shared_path("reference/mx-vectors.json");
    if (!path)
        return;
    json_t *root, *blocks, *list, *v;
    const char *name, *size;
    size_t i, checked = 0;
    OK(pl_json_load(path, &root, &d));
    json_object_foreach (json_object_get(root, "formats"), name, blocks)
        json_object_foreach (blocks, size, list)
            json_array_foreach (list, i, v)
                check_block(name, (unsigned)atoi(size + 1), v, &checked);
    assert_int_equal(checked, 7 * 24 * (16 + 32));
    json_object_foreach (json_object_get(root, "minifloat"), name, list) {
        const unsigned e = (unsigned)json_integer_value(json_object_get(list, "exp_bits"));
        const unsigned m = (unsigned)json_integer_value(json_object_get(list, "man_bits"));
        const struct pl_minifloat f = pl_minifloat_make(e, m);
        json_array_foreach (json_object_get(list, "vectors"), i, v) {
            const uint32_t in = hex(json_object_get(v, "in")), code = hex(json_object_get(v, "code"));
            if (pl_minifloat_encode(f, from_bits(in), m != 7 || e != 8) != code ||
                bits_of(pl_minifloat_decode(f, code)) != hex(json_object_get(v, "out")))
                fail_msg("%s %08x: code %x, not %x", name, in, pl_minifloat_encode(f, from_bits(in), true), code);
            checked++;
        }
    }
    print_message("%zu values of the reference agree\n", checked);
    json_decref(root);
}

/* ---- quantiser: fast against slow ---- */
static float random_value(struct pl_rng *r)
{
    switch (pl_rng_below(r, 12)) {
    case 0:
        return 0.0f;
    case 1:
        return -0.0f;
    case 2:
        return from_bits((uint32_t)pl_rng_u64(r) & 0x807fffff); /* subnormal */
    case 3:
        return pl_rng_below(r, 40) ? ldexpf((float)((int)pl_rng_below(r, 511) - 255), -7) : from_bits(0x7f800000 | (uint32_t)pl_rng_u64(r));
    case 4:
        return ldexpf((float)pl_rng_normal(r), (int)pl_rng_below(r, 280) - 150);
    default:
        return (float)pl_rng_normal(r);
    }
}

TEST(test_quantise_fast_is_slow)
{
    (void)state;
    static const char *const base[] = {"mxint2", "mxint3", "mxint4", "mxint5", "mxint6", "mxint7", "mxint8", "mxfp4_e2m1", "mxfp6_e2m3",
                                       "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxfp8_e3m4", "mxfp12_e6m5", "mxfp12_e4m7",
                                       "mxfp5_e4m0", "mxfp3_e1m1", "mxfp9_e8m0"};
    static const char *const rule[] = {"floor", "ceil", "search", "e6m2", "full", "full:e6m2", "unsigned", "unsigned:search", "unsigned:e6m2"};
    struct pl_rng r;
    size_t n = 0;
    pl_rng_init(&r, 5);
    for (size_t b = 0; b < PL_COUNT(base); b++)
        for (unsigned block = 4; block <= 64; block *= 2)
            for (size_t k = 0; k < (base[b][2] == 'i' ? PL_COUNT(rule) : 4); k++) {
                char spell[64];
                struct pl_format f;
                snprintf(spell, sizeof spell, "%s:%u:%s", base[b], block, rule[k]);
                OK(pl_format_parse(spell, &f, &d));
                for (int rep = 0; rep < 40; rep++) {
                    float x[80];
                    int16_t add[80];
                    uint32_t code[80], slow[80];
                    uint8_t scale[20], slow_scale[20];
                    const size_t len = 1 + pl_rng_below(&r, 80);
                    for (size_t i = 0; i < len; i++) {
                        x[i] = random_value(&r);
                        add[i] = (int16_t)((int)pl_rng_below(&r, 300) - 150);
                    }
                    const int16_t *exp_add = rep % 3 ? NULL : add;
                    const bool a = pl_quantise(&f, x, exp_add, len, code, scale);
                    const bool c = pl_quantise_ref(&f, x, exp_add, len, slow, slow_scale);
                    assert_int_equal(a, c);
                    assert_memory_equal(scale, slow_scale, (len + block - 1) / block);
                    for (size_t i = 0; i < len; i++)
                        if (code[i] != slow[i])
                            fail_msg("%s: element %zu of %zu: %x, twin %x", spell, i, len, code[i], slow[i]);
                    n += len;
                }
            }
    print_message("%zu elements equal\n", n);
}

/* A scale chosen by search is never worse than its neighbours. */
TEST(test_search_is_least_error)
{
    (void)state;
    struct pl_format floor_, search;
    struct pl_rng r;
    double worse = 0, sum[2] = {0, 0};
    OK(pl_format_parse("mxint4:16:floor", &floor_, &d));
    OK(pl_format_parse("mxint4:16:search", &search, &d));
    pl_rng_init(&r, 8);
    for (int rep = 0; rep < 2000; rep++) {
        float x[16], y[16];
        uint32_t code[16];
        uint8_t scale;
        double err[2] = {0, 0};
        for (int i = 0; i < 16; i++)
            x[i] = (float)pl_rng_normal(&r);
        for (int k = 0; k < 2; k++) {
            const struct pl_format *f = k ? &search : &floor_;
            pl_quantise(f, x, NULL, 16, code, &scale);
            pl_dequantise(f, code, &scale, 16, y);
            for (int i = 0; i < 16; i++)
                err[k] += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            sum[k] += err[k];
        }
        worse += err[1] > err[0];
    }
    assert_true(worse == 0);
    assert_true(sum[1] < 0.97 * sum[0]);
}

/* Formats that are not on the machine: values read back quantise to themselves, whole blocks and parts of them, so what a
 * checkpoint stores is what nn computes with; and the array's integers are these values. */
TEST(test_more_formats_again)
{
    (void)state;
    static const char *const name[] = {"mxint4:16:e6m2", "mxint4:16:full", "mxint3:32:full:e6m2", "mxint8:16:e6m2", "mxint4:16:unsigned:e6m2",
                                       "mxfp4_e2m1:16:e6m2", "mxfp6_e3m2:16:e6m2", "mxint2:4:full", "mxint4:16:unsigned:search", "mxfp8_e5m2:16:e6m2"};
    struct pl_rng r;
    pl_rng_init(&r, 17);
    for (size_t k = 0; k < PL_COUNT(name); k++) {
        struct pl_format f;
        OK(pl_format_parse(name[k], &f, &d));
        assert_false(pl_format_on_machine(&f));
        const struct pl_edge edge = pl_edge_of(&f);
        for (int rep = 0; rep < 2000; rep++) {
            float x[32], y[32], z[32];
            uint32_t code[32];
            uint8_t scale[8];
            int32_t v[32];
            int16_t e[32];
            for (int i = 0; i < 32; i++)
                x[i] = ldexpf((float)pl_rng_normal(&r), rep % 9);
            pl_quantise(&f, x, NULL, 32, code, scale);
            pl_dequantise(&f, code, scale, 32, y);
            pl_edge_decode(&f, code, scale, 32, v, e);
            for (unsigned i = 0; i < 32; i++) {
                assert_true(ldexpf((float)v[i], e[i / edge.group] - 127 - edge.frac) == y[i]);
                assert_true(labs(v[i]) < 1L << (edge.width - 1));
            }
            for (unsigned part = 4; part <= 32; part *= 2) /* from 4 lanes of a block to all of it */
                for (unsigned i = 0; i < 32; i += part) {
                    pl_quantise(&f, y + i, NULL, part, code, scale);
                    pl_dequantise(&f, code, scale, part, z + i);
                    assert_memory_equal(z + i, y + i, part * sizeof *z);
                }
        }
    }
}

TEST(test_pack_round_trip)
{
    (void)state;
    struct pl_rng r;
    pl_rng_init(&r, 2);
    for (unsigned bits = 2; bits <= 19; bits++) {
        uint32_t code[77], back[77];
        uint8_t bytes[77 * 19 / 8 + 2];
        memset(bytes, 0xee, sizeof bytes);
        for (int i = 0; i < 77; i++)
            code[i] = (uint32_t)pl_rng_u64(&r) & ((1u << bits) - 1);
        pl_pack(bits, code, 77, bytes);
        const size_t used = (77 * bits + 7) / 8;
        assert_int_equal(bytes[used], 0xee);
        if (77 * bits % 8)
            assert_int_equal(bytes[used - 1] >> (77 * bits % 8), 0);
        for (size_t first = 0; first < 77; first += 8) {
            pl_unpack(bits, bytes, first, 77 - first, back);
            assert_memory_equal(back, code + first, (77 - first) * sizeof *back);
        }
        uint32_t v = 0; /* element 1 by hand */
        for (unsigned k = 0; k < bits; k++)
            v |= (uint32_t)(bytes[(bits + k) / 8] >> (bits + k) % 8 & 1) << k;
        assert_int_equal(v, code[1]);
    }
}

TEST(test_names)
{
    (void)state;
    static const char *const good[][2] = {
        {"none", "none"}, {"bf16", "bf16"}, {"fp16", "fp16"}, {"e5m6", "e5m6"}, {"e8m10", "e8m10"}, {"mxint8", "mxint8:16"}, {"mxint4:64", "mxint4:64"},
        {"mxfp4_e2m1", "mxfp4_e2m1:16"}, {"mxfp8_e4m3:32:ceil", "mxfp8_e4m3:32:ceil"}, {"mxint2:4:search", "mxint2:4:search"},
        {"mxint4:16:e6m2", "mxint4:16:e6m2"}, {"mxint4:16:search:e6m2", "mxint4:16:e6m2"}, {"mxint4:32:e6m2:full", "mxint4:32:full:e6m2"},
        {"mxint4:16:unsigned:search", "mxint4:16:unsigned:search"}, {"mxfp4_e2m1:32:e6m2", "mxfp4_e2m1:32:e6m2"}};
    static const char *const bad[] = {"", "mxint9", "mxint1", "mxint8:3", "mxint8:128", "mxfp8_e4m4", "mxfp4", "mxint8:16:best", "e9m2",
                                      "e4m11", "bf17", "mxint8:16:ceil:x", "mxint", "int8", "mxint8:16:floor:e6m2",
                                      "mxint4:16:ceil:full", "mxfp4_e2m1:16:full", "mxint4:16:full:unsigned", "mxint4:16:e6m2:e6m2", "mxint4:16:floor:search"};
    struct pl_format f, again;
    char name[48];
    for (size_t i = 0; i < PL_COUNT(good); i++) {
        OK(pl_format_parse(good[i][0], &f, &d));
        pl_format_name(&f, name);
        assert_string_equal(name, good[i][1]);
        OK(pl_format_parse(name, &again, &d));
        assert_true(pl_format_equal(&f, &again));
    }
    for (size_t i = 0; i < PL_COUNT(bad); i++)
        REFUSED(PL_EPARSE, "", pl_format_parse(bad[i], &f, &d));
    REFUSED(PL_EPARSE, "mxint4", pl_format_parse("mxin4", &f, &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minifloat_decode_all), cmocka_unit_test(test_minifloat_encode_all), cmocka_unit_test(test_minifloat_specials),
        cmocka_unit_test(test_reference_vectors),    cmocka_unit_test(test_quantise_fast_is_slow), cmocka_unit_test(test_search_is_least_error), cmocka_unit_test(test_more_formats_again),
        cmocka_unit_test(test_pack_round_trip),      cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
