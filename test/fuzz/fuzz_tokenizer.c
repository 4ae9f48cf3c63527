/* fuzz_tokenizer.c - any bytes as tokenizer.json: refused, or it encodes any text to ids it has,
 * and decodes them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "plena/model.h"

static void use(const struct pl_tokenizer *t, const char *text, size_t len)
{
    struct pl_arena a;
    struct pl_buf out;
    uint32_t *ids;
    size_t n;
    struct pl_diag d = {{0}};
    pl_arena_init(&a);
    pl_buf_init(&out);
    if (pl_tokenizer_encode(t, &a, text, len, true, &ids, &n, &d) == PL_OK) {
        for (size_t i = 0; i < n; i++)
            PROPERTY(ids[i] < pl_tokenizer_size(t), &d);
        if (pl_tokenizer_decode(t, ids, n, true, &out, &d) != PL_OK)
            fuzz_refused(&d);
    } else {
        fuzz_refused(&d);
    }
    pl_buf_fini(&out);
    pl_arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char text[] = "Ab c  1\xc3\xa9\n\0\xff<s>d\xe2\x96\x81'll ";
    const struct pl_source src = {"fuzz", (const char *)data, len};
    struct pl_tokenizer *t = NULL;
    struct pl_diag d = {{0}};
    if (pl_tokenizer_parse(&src, &t, &d) != PL_OK) {
        fuzz_refused(&d);
        return 0;
    }
    const size_t tail = len < 32 ? len : 32;
    use(t, text, sizeof text - 1);
    use(t, "", 0);
    use(t, (const char *)data + len - tail, tail);
    const uint32_t beyond = pl_tokenizer_size(t);
    struct pl_buf out;
    pl_buf_init(&out);
    PROPERTY(pl_tokenizer_decode(t, &beyond, 1, true, &out, &d) != PL_OK, &d);
    pl_buf_fini(&out);
    pl_tokenizer_free(t);
    return 0;
}

void fuzz_seeds(fuzz_emit *emit, void *ctx)
{
    static const char fallback[] =
        "{\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true,\"lstrip\":true},{"
        "\"id\":9,\"content\":\"Q\",\"normalized\":true,"
        "\"rstrip\":true}],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
        "\"Prepend\",\"prepend\":\"\\u2581\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
        "\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1]}}},\"decoder\":{\"type\":"
        "\"Sequence\",\"decoders\":["
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" "
        "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" "
        "\",\"start\":1,\"stop\":0}]},\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"fuse_unk\":"
        "true,"
        "\"byte_fallback\":true,\"vocab\":{\"?\":0,\"<s>\":1,\"A\":2,\"b\":3,\"Ab\":4,\"<0x31>\":5,"
        "\"\\u2581\":6,\"c\":7,\"\\u0000\":8,\"\\u2581c\":10},"
        "\"merges\":[\"A b\",[\"\\u2581\",\"c\"]]}}";
    static const char bytes[] =
        "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\","
        "\"pretokenizers\":[{\"type\":\"Split\","
        "\"pattern\":{\"Regex\":\"(?i:'s|'ll)|\\\\p{L}+|\\\\s+(?!\\\\S)\"},\"behavior\":"
        "\"Isolated\",\"invert\":false},"
        "{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\",\"add_prefix_"
        "space\":true,\"use_regex\":true}]},"
        "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"A\":0,\"b\":1,\"\\u0120\":2,"
        "\"c\":3,\"\\u0120c\":4,\"Ab\":5},"
        "\"unk_token\":\"A\",\"ignore_merges\":true,\"merges\":[\"\\u0120 c\",\"A b\"]}}";
    static const char metaspace[] =
        "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":"
        "\"first\",\"split\":true},"
        "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"},\"normalizer\":{\"type\":"
        "\"Replace\",\"pattern\":{\"Regex\":\"b+\"},"
        "\"content\":\"bb\"},\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"\\u2581\":2},\"unk_token\":"
        "\"a\",\"merges\":[]}}";
    emit(ctx, fallback, sizeof fallback - 1);
    emit(ctx, bytes, sizeof bytes - 1);
    emit(ctx, metaspace, sizeof metaspace - 1);
    fuzz_seed_file(emit, ctx, PL_SOURCE_ROOT "/examples/agent-0.8m/tokenizer.json", 4096);
}
