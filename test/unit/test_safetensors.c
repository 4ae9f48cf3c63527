/* test_safetensors.c - files made here: truncated, overlapping, misaligned, absurd headers; exact
 * conversions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "plena/model.h"

static struct pl_diag d;

/* ---- a little writer ---- */
static void put_header(struct pl_buf *b, uint64_t len, const char *header)
{
    for (unsigned i = 0; i < 8; i++)
        pl_buf_put(b, &(char){(char)(len >> 8 * i)}, 1);
    pl_buf_puts(b, header);
}

static void put_file(struct pl_buf *b, const char *header, size_t data_bytes)
{
    pl_buf_init(b);
    put_header(b, strlen(header), header);
    for (size_t i = 0; i < data_bytes; i++)
        pl_buf_put(b, &(char){(char)i}, 1);
}

/* Parse from a block of exactly `len` bytes, so that a sanitizer sees the first byte too far. */
static enum pl_status parse_n(const char *data, size_t len, struct pl_arena *a,
                              struct pl_safetensors *st)
{
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, data, len);
    const enum pl_status s = pl_safetensors_parse(a, "f.st", exact, len, st, &d);
    for (size_t i = 0; s == PL_OK && i < st->n; i++)
        assert_true(st->tensor[i].data >= exact + 8 &&
                    st->tensor[i].data + st->tensor[i].bytes <= exact + len);
    free(exact);
    return s;
}

static enum pl_status parse(const char *header, size_t data_bytes)
{
    struct pl_arena a;
    struct pl_buf b;
    struct pl_safetensors st;
    pl_arena_init(&a);
    put_file(&b, header, data_bytes);
    const enum pl_status s = parse_n(b.data, b.len, &a, &st);
    pl_buf_fini(&b);
    pl_arena_fini(&a);
    return s;
}

#define GOOD                                                                                       \
    "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_"       \
    "offsets\":[0,24]},"                                                                           \
    "\"c\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[24,26]},"                            \
    "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[26,32]},"                            \
    "\"none\":{\"dtype\":\"I8\",\"shape\":[0,9],\"data_offsets\":[26,26]}}   "

TEST(test_good_file)
{
    (void)state;
    struct pl_arena a;
    struct pl_buf b;
    struct pl_safetensors st;
    pl_arena_init(&a);
    put_file(&b, GOOD, 32);
    OK(pl_safetensors_parse(&a, "f.st", (const uint8_t *)b.data, b.len, &st, &d));
    assert_int_equal(st.n, 4);
    for (size_t i = 1; i < st.n; i++)
        assert_true(strcmp(st.tensor[i - 1].name, st.tensor[i].name) < 0);
    const struct pl_tensor *t = pl_safetensors_find(&st, "b");
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[1], 3);
    assert_int_equal(t->count, 6);
    assert_int_equal(t->bytes, 24);
    assert_int_equal(t->dtype, PL_DTYPE_F32);
    float x[2], want;
    pl_tensor_to_f32(t, 4, 2, x); /* bytes 16..23 are their own numbers */
    memcpy(&want, "\x14\x15\x16\x17", 4);
    assert_memory_equal(&x[1], &want, 4);
    t = pl_safetensors_find(&st, "c");
    assert_int_equal(t->rank, 0);
    assert_int_equal(t->count, 1);
    t = pl_safetensors_find(&st, "none");
    assert_int_equal(t->count, 0);
    assert_string_equal(t->dtype_name, "I8");
    assert_null(pl_safetensors_find(&st, "absent"));
    pl_buf_fini(&b);
    pl_arena_fini(&a);
    OK(parse("{}", 0));
    OK(parse("{\"__metadata__\":{}}", 0));
}

TEST(test_truncated_at_every_length)
{
    (void)state;
    struct pl_buf b;
    struct pl_safetensors st;
    put_file(&b, GOOD, 32);
    for (size_t len = 0; len < b.len; len++) {
        struct pl_arena a;
        pl_arena_init(&a);
        a.block_bytes = 64;
        REFUSED(PL_EPARSE, "truncated", parse_n(b.data, len, &a, &st));
        assert_memory_equal(d.text, "f.st: ", 6);
        pl_arena_fini(&a);
    }
    struct pl_arena a;
    pl_arena_init(&a);
    OK(parse_n(b.data, b.len, &a, &st));
    pl_arena_fini(&a);
    pl_buf_fini(&b);
}

TEST(test_header_length)
{
    (void)state;
    static const struct {
        uint64_t len;
        const char *words;
    } bad[] = {
        {0, "malformed JSON"},
        {1, "malformed JSON"},
        {3, "truncated: header of 3 bytes in a file of 10"},
        {100000000, "truncated"},
        {100000001, "a header of 100000001 bytes is absurd"},
        {(uint64_t)1 << 63, "a header of 9223372036854775808 bytes is absurd"},
        {UINT64_MAX, "absurd"},
        {UINT64_MAX - 7, "absurd"}, /* 8 more is 0 */
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_arena a;
        struct pl_buf b;
        struct pl_safetensors st;
        pl_arena_init(&a);
        pl_buf_init(&b);
        put_header(&b, bad[i].len, "{}");
        REFUSED(PL_EPARSE, bad[i].words, parse_n(b.data, b.len, &a, &st));
        pl_buf_fini(&b);
        pl_arena_fini(&a);
    }
}

#define T(dtype, shape, offsets)                                                                   \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
static const struct {
    const char *header, *words; /* with 24 bytes of data */
} bad_header[] = {
    {"[]", "the header is not a JSON object"},
    {"{\"t\":1}", "tensor \"t\": expected an object"},
    {"{\"t\":{}}", "expected an object with dtype, shape and data_offsets"},
    {"{\"t\" 1}", "f.st:1:6: malformed JSON"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]},\"t\":1}",
     "duplicate object key"},
    {"{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,24]}}", "shape: expected a list"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[6]}}", "data_offsets: expected two integers"},
    {"{\"__metadata__\":1,\"t\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}",
     "__metadata__: expected an object"},
    {"{\"__metadata__\":{\"k\":1},\"t\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,"
     "24]}}",
     "__metadata__.k: expected a string"},
    {T("\"F33\"", "[6]", "[0,24]"), "tensor \"t\": unknown dtype \"F33\""},
    {T("32", "[6]", "[0,24]"), "expected an object with dtype"},
    {T("\"F32\"", "6", "[0,24]"), "shape: expected a list of at most 8 sizes"},
    {T("\"F32\"", "[1,1,1,1,1,1,1,1,6]", "[0,24]"), "at most 8 sizes"},
    {T("\"F32\"", "[-6]", "[0,24]"), "a size is not a non-negative integer"},
    {T("\"F32\"", "[6.0]", "[0,24]"), "a size is not a non-negative integer"},
    {T("\"F32\"", "[\"6\"]", "[0,24]"), "a size is not a non-negative integer"},
    {T("\"F32\"", "[NaN]", "[0,24]"), "malformed JSON: invalid token"},
    {T("\"F32\"", "[Infinity]", "[0,24]"), "malformed JSON: invalid token"},
    {T("\"F32\"", "[null]", "[0,24]"), "a size is not a non-negative integer"},
    {T("\"F32\"", "[99999999999999999999]", "[0,24]"), "too big integer"},
    {T("\"F32\"", "[4294967296,4294967296,16]", "[0,24]"), "the number of elements overflows"},
    {T("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), "the number of elements overflows"},
    {T("\"F64\"", "[2305843009213693955]", "[0,24]"),
     "does not match shape and dtype"}, /* times 8 is 24 modulo 2^64 */
    {T("\"F32\"", "[5]", "[0,24]"), "their length does not match shape and dtype"},
    {T("\"F16\"", "[6]", "[0,24]"), "their length does not match shape and dtype"},
    {T("\"F32\"", "[6]", "[0,28]"), "lie outside the file (truncated?)"},
    {T("\"F32\"", "[6]", "[24,0]"), "lie outside the file"},
    {T("\"F32\"", "[6]", "[-24,0]"), "lie outside the file"},
    {T("\"F32\"", "[6]", "[0,9223372036854775807]"), "lie outside the file"},
    {T("\"F32\"", "[6]", "[9223372036854775783,9223372036854775807]"), "lie outside the file"},
    {T("\"F32\"", "[6]", "[0,9223372036854775808]"), "too big integer"},
    {T("\"F32\"", "[6]", "[0.0,24.0]"), "data_offsets: expected two integers"},
    {T("\"F32\"", "[6]", "[0,1e99]"), "data_offsets: expected two integers"},
    {T("\"F32\"", "[6]", "[0]"), "data_offsets: expected two integers"},
    {T("\"F32\"", "[6]", "[0,24,24]"), "data_offsets: expected two integers"},
    {T("\"F32\"", "[6]", "24"), "data_offsets: expected two integers"},
    {T("\"F32\"", "[5]", "[2,22]"), "data_offsets: misaligned"},
    {T("\"F32\"", "[5]", "[0,20]"), "bytes 20..23 of the data belong to no tensor"},
    {T("\"F32\"", "[5]", "[4,24]"), "bytes 0..3 of the data belong to no tensor"},
    {"{}", "bytes 0..23 of the data belong to no tensor"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"u\":{\"dtype\":"
     "\"F32\",\"shape\":[4],\"data_offsets\":[8,24]}}",
     "tensors \"t\" and \"u\" overlap"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]},\"u\":{\"dtype\":"
     "\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}",
     "overlap"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]},\"u\":{\"dtype\":\"U8\","
     "\"shape\":[1],\"data_offsets\":[9,10]}}",
     "overlap"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"u\":{\"dtype\":\"F32\","
     "\"shape\":[3],\"data_offsets\":[12,24]}}",
     "bytes 8..11 of the data belong to no tensor"},
};

TEST(test_bad_headers)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(bad_header); i++) {
        REFUSED(PL_EPARSE, bad_header[i].words, parse(bad_header[i].header, 24));
        assert_memory_equal(d.text, "f.st:", 5);
    }
    OK(parse(T("\"F32\"", "[6]", "[0,24]"), 24));
    OK(parse(T("\"F64\"", "[3]", "[0,24]"), 24));
#undef T
}

/* A name far longer than a message still gives a message. */
TEST(test_long_names)
{
    (void)state;
    struct pl_buf h;
    pl_buf_init(&h);
    pl_buf_puts(&h, "{\"");
    for (int i = 0; i < 5000; i++)
        pl_buf_puts(&h, "n");
    pl_buf_puts(&h, "\":{\"dtype\":\"F32\",\"shape\":[7],\"data_offsets\":[0,24]}}");
    REFUSED(PL_EPARSE, "does not match shape and dtype", parse(h.data, 24));
    pl_buf_fini(&h);
}

/* ---- every half and bfloat16 ---- */
static float half_value(unsigned h) /* from the definition, in exact arithmetic */
{
    const int exp = h >> 10 & 31, man = h & 1023;
    const float m = exp ? ldexpf((float)(1024 + man), exp - 25) : ldexpf((float)man, -24);
    return h & 0x8000 ? -m : m;
}

TEST(test_all_halves)
{
    (void)state;
    enum { N = 65536 };
    uint8_t *bytes = malloc(2 * N);
    float *f16 = malloc(N * sizeof *f16), *bf16 = malloc(N * sizeof *bf16);
    for (unsigned i = 0; i < N; i++) {
        bytes[2 * i] = (uint8_t)i;
        bytes[2 * i + 1] = (uint8_t)(i >> 8);
    }
    const struct pl_tensor h = {.dtype = PL_DTYPE_F16, .data = bytes, .bytes = 2 * N, .count = N},
                           b = {.dtype = PL_DTYPE_BF16, .data = bytes, .bytes = 2 * N, .count = N};
    pl_tensor_to_f32(&h, 0, N, f16);
    pl_tensor_to_f32(&b, 0, N, bf16);
    for (unsigned i = 0; i < N; i++) {
        uint32_t u, v;
        memcpy(&u, &bf16[i], 4);
        assert_int_equal(u, i << 16);
        memcpy(&u, &f16[i], 4);
        const bool is_special = (i >> 10 & 31) == 31;
        const float want = is_special ? 0 : half_value(i);
        memcpy(&v, &want, 4);
        if (is_special) /* Inf and every NaN keep sign and fraction */
            v = (i & 0x8000) << 16 | 0x7f800000 | (i & 1023) << 13;
        if (u != v)
            fail_msg("half 0x%04x is 0x%08x, not 0x%08x", i, u, v);
    }
    float one;
    pl_tensor_to_f32(&h, 0x3c00, 1, &one);
    assert_true(one == 1);
    free(bytes);
    free(f16);
    free(bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file),     cmocka_unit_test(test_truncated_at_every_length),
        cmocka_unit_test(test_header_length), cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_long_names),    cmocka_unit_test(test_all_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
