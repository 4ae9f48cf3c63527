/* test_arch.c - machine files: every row's bounds, errors with their place, impossible machines;
 * latencies by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "plena/arch_timing.h"

static struct pl_diag d;

static enum pl_status parse_n(const char *text, size_t len, struct pl_arch *out)
{
    const struct pl_source src = {"m.yaml", text, len};
    return pl_arch_parse(&src, out, &d);
}

static enum pl_status parse(const char *text, struct pl_arch *out)
{
    return parse_n(text, strlen(text), out);
}

static void assert_same(const struct pl_arch *x, const struct pl_arch *y)
{
    assert_string_equal(x->name, y->name);
#define PARAM(section, name, type, unit, dflt, least, most, source, doc)                           \
    assert_true(x->name == y->name);
#define FORMAT(section, name, dflt, source, doc) assert_true(pl_format_equal(&x->name, &y->name));
#define CHOICE(section, name, dflt, choices, source, doc) assert_string_equal(x->name, y->name);
#include "plena/arch.def"
#undef PARAM
#undef FORMAT
#undef CHOICE
}

/* Print, parse, and have the same machine. */
static void round_trip(const struct pl_arch *arch)
{
    struct pl_buf text;
    struct pl_arch again;
    pl_buf_init(&text);
    pl_arch_print(arch, &text);
    OK(parse_n(text.data, text.len, &again));
    assert_same(arch, &again);
    pl_buf_fini(&text);
}

TEST(test_shipped_machines)
{
    (void)state;
    size_t n = 0;
    for (; pl_arch_list(n); n++) {
        struct pl_arch shipped, file;
        char path[64];
        OK(pl_arch_load(pl_arch_list(n), &shipped, &d));
        assert_string_equal(shipped.name, pl_arch_list(n));
        snprintf(path, sizeof path, "configs/%s.yaml", pl_arch_list(n));
        OK(pl_arch_load(source_path(path), &file, &d));
        assert_same(&shipped, &file);
        round_trip(&shipped);
    }
    assert_true(n >= 6);
    struct pl_arch a;
    REFUSED(PL_EIO, "did you mean \"small\"; shipped:", pl_arch_load("smal", &a, &d));
    OK(pl_arch_load("paper", &a, &d));
    assert_int_equal(a.mlen, 2048);
    assert_int_equal(a.blen, 32);
    assert_int_equal(a.hlen, 128);
}

TEST(test_defaults)
{
    (void)state;
    struct pl_arch a, b;
    pl_arch_defaults(&a);
    OK(pl_arch_check(&a, &d));
    assert_string_equal(a.name, "default");
    assert_int_equal(a.mlen, 64);
    assert_true(a.hbm_bytes == (uint64_t)1 << 35);
    assert_true(a.clock_hz == 1e9);
    OK(parse("", &b));
    assert_same(&a, &b);
    OK(parse("array: {mlen: 0x80}\n", &b));
    assert_int_equal(b.mlen, 128);
    a.mlen = 128;
    assert_same(&a, &b);
    round_trip(&b);
}

/* ---- every row of arch.def: its bounds hold, what lies beyond is refused by name ---- */
struct row {
    const char *key;
    double least, most;
    bool real;
};
static const struct row rows[] = {
#define IS_REAL_U32 false
#define IS_REAL_U64 false
#define IS_REAL_F64 true
#define PARAM(section, name, type, unit, dflt, least, most, source, doc)                           \
    {#section "." #name, least, most, IS_REAL_##type},
#define FORMAT(section, name, dflt, source, doc)
#define CHOICE(section, name, dflt, choices, source, doc)
#include "plena/arch.def"
#undef PARAM
#undef FORMAT
#undef CHOICE
};

static enum pl_status set(struct pl_arch *a, const char *key, double value)
{
    char text[128];
    snprintf(text, sizeof text, "%s=%.17g", key, value);
    return pl_arch_set(a, text, &d);
}

TEST(test_bounds_of_every_row)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        char words[128], yaml[160];
        struct pl_arch a;
        pl_arch_defaults(&a);
        OK(set(&a, r->key, r->least));
        OK(set(&a, r->key, r->most));
        snprintf(words, sizeof words, "%s: ", r->key);
        if (r->real) {
            REFUSED(PL_ERANGE, words, set(&a, r->key, nextafter(r->most, INFINITY)));
            REFUSED(PL_ERANGE, words, set(&a, r->key, nextafter(r->least, 0)));
        } else {
            REFUSED(PL_ERANGE, words, set(&a, r->key, r->most + 1));
            REFUSED(r->least > 0 ? PL_ERANGE : PL_EPARSE, words, set(&a, r->key, r->least - 1));
        }
        static const char *const wrong[] = {"x",   "",    "1x",    "-1",
                                            "nan", "inf", "1e400", "99999999999999999999999"};
        for (size_t k = 0; k < PL_COUNT(wrong); k++) {
            snprintf(yaml, sizeof yaml, "%.*s: {%s: \"%s\"}\n", (int)(strchr(r->key, '.') - r->key),
                     r->key, strchr(r->key, '.') + 1, wrong[k]);
            d.text[0] = 0;
            if (parse(yaml, &a) == PL_OK || !strstr(d.text, words) || !strstr(d.text, "m.yaml:1:"))
                fail_msg("%s: \"%s\"", yaml, d.text);
        }
    }
}

TEST(test_errors_point_at_the_place)
{
    (void)state;
    static const struct {
        enum pl_status status;
        const char *text, *words;
    } bad[] = {
        {PL_EPARSE, "array: {mlne: 64}\n",
         "m.yaml:1:9: unknown parameter \"mlne\"; did you mean \"mlen\"?"},
        {PL_EPARSE, "array:\n  vlen: 64\n",
         "m.yaml:2:3: unknown parameter \"vlen\""}, /* of another section */
        {PL_EPARSE, "arry: {mlen: 64}\n",
         "m.yaml:1:1: unknown section \"arry\"; did you mean \"array\"?"},
        {PL_EPARSE, "quux: 1\n", "m.yaml:1:1: unknown section \"quux\"\n"},
        {PL_EPARSE, "array: {mlen: 64, mlen: 64}\n", "m.yaml:1:19: repeated key \"mlen\""},
        {PL_EPARSE, "array: {}\narray: {}\n", "m.yaml:2:1: repeated key \"array\""},
        {PL_EPARSE, "array: 64\n", "m.yaml:1:8: section \"array\" must hold"},
        {PL_EPARSE, "array: [mlen, 64]\n", "m.yaml:1:8: section \"array\" must hold"},
        {PL_EPARSE, "array: {mlen: [64]}\n", "m.yaml:1:15: array.mlen: expected one value"},
        {PL_EPARSE, "array: {mlen: {a: 1}}\n", "array.mlen: expected one value"},
        {PL_EPARSE, "array: {mlen: 6.5}\n",
         "m.yaml:1:15: array.mlen: expected an integer, found \"6.5\""},
        {PL_EPARSE, "array: {mlen: \" 64\"}\n", "expected an integer"},
        {PL_EPARSE, "array: {mlen: +64}\n", "expected an integer"},
        {PL_EPARSE, "array: {mlen: \" -18446744073709551552\"}\n",
         "expected an integer"}, /* 64 modulo 2^64 */
        {PL_EPARSE, "array: {mlen: }\n", "array.mlen: expected an integer, found \"\""},
        {PL_ERANGE, "array: {mlen: 8192}\n",
         "m.yaml:1:15: array.mlen: 8192 is outside 8..4096 lanes"},
        {PL_ERANGE, "clock: {clock_hz: 1}\n", "clock.clock_hz: 1 is outside 1e+06..1e+11 Hz"},
        {PL_EPARSE, "formats: {kv_format: mxint9}\n",
         "m.yaml:1:22: formats.kv_format: \"mxint9\" is not a number format; did you mean"},
        {PL_EPARSE, "hbm: {hbm_model: hbm9}\n",
         "m.yaml:1:18: hbm.hbm_model: expected one of simple|ideal|hbm2|"},
        {PL_EPARSE, "hbm: {hbm_model: hbm}\n", "expected one of"},
        {PL_EPARSE, "formats: {kv_format: mxint8:48}\n", "block 4 8 16 32 64"},
        {PL_EPARSE, "formats: {kv_format: \"mxint 8\"}\n", "is not a number format"},
        {PL_EPARSE, "formats: {kv_format: \"mxint8:+16\"}\n", "is not a number format"},
        {PL_EPARSE, "formats: {kv_format: mxfp8_e4m4}\n", "with N = 1+X+Y"},
        {PL_EPARSE, "- array\n", "m.yaml:1:1: a machine file holds sections"},
        {PL_EPARSE, "64\n", "a machine file holds sections"},
        {PL_EPARSE, "name: \"\"\n", "name: expected 1 to 63 printable ASCII"},
        {PL_EPARSE, "name: [x]\n", "name: expected 1 to 63"},
        {PL_EPARSE, "name: \"a\\nb\"\n", "name: expected 1 to 63"},
        {PL_EPARSE, "name: 0123456789012345678901234567890123456789012345678901234567890123\n",
         "name: expected 1 to 63"},
        {PL_EPARSE, "array: {mlen: 64\n", "m.yaml:2:1: malformed YAML"},
        {PL_EPARSE, "array:\n\tmlen: 64\n",
         "m.yaml:2:1: malformed YAML: found character that cannot start"},
        {PL_EPARSE, "array: {mlen: \xff}\n", "m.yaml:1:15: malformed YAML: invalid leading UTF-8"},
        {PL_EPARSE, "a: &a [1]\nb: [*a, *a]\n", "m.yaml:1:4: anchors"},
        {PL_EPARSE, "array: {mlen: &a 64, blen: *a}\n", "m.yaml:1:15: anchors"},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_arch a;
        REFUSED(bad[i].status, bad[i].words, parse(bad[i].text, &a));
        assert_non_null(strchr(d.text, '^'));
    }
}

/* A file cut anywhere is refused with its name, or is a shorter, sound machine; never a crash. */
TEST(test_truncated_anywhere)
{
    (void)state;
    struct pl_map m;
    OK(pl_file_map(source_path("configs/paper.yaml"), &m, &d));
    size_t refused = 0;
    for (size_t len = 0; len < m.len; len++) {
        struct pl_arch a;
        char *copy = malloc(len + 1);
        memcpy(copy, m.data, len);
        d.text[0] = 0;
        if (parse_n(copy, len, &a) == PL_OK) {
            OK(pl_arch_check(&a, &d));
        } else {
            assert_non_null(strstr(d.text, "m.yaml"));
            refused++;
        }
        free(copy);
    }
    assert_true(refused > m.len / 3);
    pl_file_unmap(&m);
}

TEST(test_impossible_machines)
{
    (void)state;
    static const struct {
        enum pl_status status;
        const char *text, *words;
    } bad[] = {
        {PL_ERANGE, "array: {mlen: 48}\n", "must be powers of two (mlen 48,"},
        {PL_ERANGE, "array: {blen: 3}\n", "must be powers of two"},
        {PL_ERANGE, "array: {hlen: 24}\n", "must be powers of two"},
        {PL_ERANGE, "vector: {vlen: 100}\n", "must be powers of two"},
        {PL_ERANGE, "array: {blen: 32, hlen: 16}\n", "blen must divide hlen"},
        {PL_ERANGE, "array: {mlen: 64, hlen: 128}\n", "hlen must divide mlen"},
        {PL_ERANGE, "vector: {vlen: 8}\n", "hlen must divide vlen"},
        {PL_ERANGE, "array: {hlen: 4}\nvector: {vlen: 256}\n", "vlen / hlen must not exceed 32"},
        {PL_ERANGE, "hbm: {hbm_burst: 48}\n", "hbm_burst must be a power of two"},
        {PL_ERANGE, "sram: {matrix_tiles: 1048576}\n", "must fit 32 bits"},
        {PL_ERANGE, "sram: {vector_rows: 16777216}\nvector: {vlen: 512}\n", "must fit 32 bits"},
        {PL_ERANGE, "vector: {vector_format: \"mxint8\"}\n", "vector.vector_format must be"},
        {PL_ERANGE, "vector: {vector_format: none}\n", "vector.vector_format must be"},
        {PL_ERANGE, "vector: {vector_format: e3m4}\n", "vector.vector_format must be"},
        {PL_ERANGE, "vector: {vector_format: e5m1}\n", "vector.vector_format must be"},
        {PL_EUNSUPPORTED,
         "array: {mlen: 16}\nvector: {vlen: 16}\nformats: {weight_format: \"mxint8:32\"}\n",
         "weight format mxint8:32: blocks of 32 are wider than min(mlen, vlen) = 16"},
        {PL_EUNSUPPORTED, "vector: {vlen: 16}\nformats: {act_format: \"mxint8:32\"}\n",
         "activation format mxint8:32: blocks of 32"},
        {PL_EUNSUPPORTED, "vector: {vlen: 16}\nformats: {kv_format: \"mxfp8_e4m3:64\"}\n",
         "KV format mxfp8_e4m3:64: blocks of 64"},
        /* Pw = 8 + 8 + log2(min(16, 16, 4)) = 18; with 12 guard bits at least 32. */
        {PL_EUNSUPPORTED, "array: {acc_bits: 31}\n",
         "array.acc_bits with act_format x weight_format: accumulators of 31 bits: products of 18 "
         "bits with 12 guard bits need 32..64"},
        {PL_EUNSUPPORTED, "array: {acc_bits: 32, guard: 13}\n", "need 33..64"},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_arch a;
        REFUSED(bad[i].status, bad[i].words, parse(bad[i].text, &a));
        assert_memory_equal(d.text, "m.yaml: ", 8);
        assert_non_null(strstr(d.text, "machine default"));
    }
    struct pl_arch a;
    OK(parse("array: {acc_bits: 32}\n", &a));
    OK(parse("vector: {vector_format: e8m10}\nformats: {weight_format: none, act_format: none, "
             "kv_format: bf16}\n",
             &a));
}

TEST(test_names)
{
    (void)state;
    struct pl_arch a;
    char path[] = "/tmp/plena-\"arch-XXXXXX.yaml";
    const int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    close(fd);
    OK(pl_arch_load(path, &a, &d)); /* called as its file, and still printable as YAML */
    assert_int_equal(strlen(a.name), strlen("plena-\"arch-XXXXXX"));
    round_trip(&a);
    unlink(path);
    OK(parse("name: 'a \"b\" \\ c # d'\n", &a));
    assert_string_equal(a.name, "a \"b\" \\ c # d");
    round_trip(&a);
}

TEST(test_set)
{
    (void)state;
    struct pl_arch a;
    pl_arch_defaults(&a);
    OK(pl_arch_set(&a, "mlen=128", &d));
    OK(pl_arch_set(&a, "hbm.hbm_bandwidth=12.5", &d));
    OK(pl_arch_set(&a, "kv_format=mxfp8_e4m3:32:ceil", &d));
    assert_int_equal(a.mlen, 128);
    assert_true(a.hbm_bandwidth == 12.5);
    assert_int_equal(a.kv_format.block, 32);
    const struct pl_arch before = a;
    REFUSED(PL_EUSAGE, "\"mlen\": expected name=value", pl_arch_set(&a, "mlen", &d));
    REFUSED(PL_EUSAGE, "expected name=value", pl_arch_set(&a, "=5", &d));
    REFUSED(PL_EUSAGE, "no machine parameter \"mlem\"; did you mean \"mlen\"?",
            pl_arch_set(&a, "mlem=5", &d));
    REFUSED(PL_EUSAGE, "no machine parameter \"vector.mlen\"",
            pl_arch_set(&a, "vector.mlen=64", &d));
    REFUSED(PL_EUSAGE, "no machine parameter", pl_arch_set(&a, "array.mlen.x=64", &d));
    REFUSED(PL_ERANGE, "array.mlen: 7 is outside 8..4096", pl_arch_set(&a, "mlen=7", &d));
    REFUSED(PL_EPARSE, "array.mlen: expected an integer, found \"\"", pl_arch_set(&a, "mlen=", &d));
    REFUSED(PL_EPARSE, "formats.kv_format: \"bf17\" is not a number format; did you mean \"bf16\"",
            pl_arch_set(&a, "kv_format=bf17", &d));
    assert_same(&a, &before);
}

/* ---- latencies: doc/timing.md's formulas, worked out by hand for one machine ---- */
TEST(test_latencies_by_hand)
{
    (void)state;
    struct pl_arch a;
    /* mlen 64, blen 4, vlen 128; every latency another number, so that none can stand for another.
     */
    OK(parse("array: {mlen: 64, blen: 4, hlen: 16}\nvector: {vlen: 128}\nhbm: {hbm_bandwidth: 48}\n"
             "latency: {lat_quant: 5, lat_convert: 7, lat_sram: 11, lat_vadd: 13, lat_vmul: 17, "
             "lat_vexp: 19, lat_vreci: 23,\n"
             "  lat_tree_level: 3, lat_sfp: 29, lat_sexp: 31, lat_sdiv: 37, lat_int: 41, lat_imul: "
             "43}\n",
             &a));
    /* fill = 11 + 5 + 2*4 + 3 = 27; write-out tree = 3 * log2(64/4) + 7 = 19; vector tree = 3 *
     * log2(128) = 21. */
    static const struct {
        enum pl_op_class c;
        uint32_t blocks, issue, result;
    } want[] = {
        {PL_OPC_MM, 0, 4, 27},        {PL_OPC_MV, 0, 4, 27},
        {PL_OPC_MM_WO, 0, 4, 23},     {PL_OPC_MV_WO, 0, 1, 20},
        {PL_OPC_BMM, 6, 24, 70}, /* 6*4 + 27 + 19 */
        {PL_OPC_VADD, 0, 1, 25},      {PL_OPC_VMOVE, 0, 1, 25},
        {PL_OPC_VMUL, 0, 1, 29},      {PL_OPC_VEXP, 0, 1, 31},
        {PL_OPC_VRECI, 0, 1, 35},     {PL_OPC_VSUM, 0, 1, 35},   /* 11 + (21 + 2) + 1 */
        {PL_OPC_VMAX, 0, 1, 35},      {PL_OPC_VSCAN, 0, 1, 103}, /* 11 + 13*7 + 1 */
        {PL_OPC_VHADAMARD, 4, 1, 20}, {PL_OPC_VTOPK, 9, 9, 41},  /* 11 + 9 + 21 */
        {PL_OPC_SFP, 0, 1, 29},       {PL_OPC_SEXP, 0, 1, 31},
        {PL_OPC_SDIV, 0, 37, 37},     {PL_OPC_SMEM, 0, 1, 11},
        {PL_OPC_SMAP, 0, 8, 19},      {PL_OPC_INT, 0, 1, 41},
        {PL_OPC_IMUL, 0, 1, 43},      {PL_OPC_CTL, 0, 1, 1},
    };
    assert_int_equal(PL_COUNT(want), PL_OPC_COUNT);
    for (size_t i = 0; i < PL_COUNT(want); i++) {
        const struct pl_latency l = pl_arch_latency(&a, want[i].c, want[i].blocks);
        if (l.issue_cyc != want[i].issue || l.result_cyc != want[i].result)
            fail_msg("class %u: %u, %u, not %u, %u", want[i].c, l.issue_cyc, l.result_cyc,
                     want[i].issue, want[i].result);
    }
    assert_int_equal(pl_arch_hbm_cycles(&a, 0), 0);
    assert_int_equal(pl_arch_hbm_cycles(&a, 48), 1);
    assert_int_equal(pl_arch_hbm_cycles(&a, 49), 2);
    assert_int_equal(pl_arch_pitch(&a), 128);
}

static void count(void *ctx, const char *section, const char *name, const char *value, bool number)
{
    (void)number;
    assert_true(section[0] && name[0] && value[0]);
    ++*(size_t *)ctx;
}

TEST(test_help_names_every_row)
{
    (void)state;
    struct pl_arch a;
    struct pl_buf help;
    size_t n = 0;
    pl_arch_defaults(&a);
    pl_arch_each(&a, count, &n);
    assert_true(n >= PL_COUNT(rows) + 4);
    pl_buf_init(&help);
    pl_arch_help(&help);
    for (size_t i = 0; i < PL_COUNT(rows); i++)
        assert_non_null(strstr(help.data, strchr(rows[i].key, '.') + 1));
    pl_buf_fini(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_machines),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bounds_of_every_row),
        cmocka_unit_test(test_errors_point_at_the_place),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_impossible_machines),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_latencies_by_hand),
        cmocka_unit_test(test_help_names_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
