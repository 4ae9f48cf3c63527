/* test_tokenizer.c - encode and decode against the ids of real checkpoints and hand-made tokenizers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/base_json.h"
#include "plena/model.h"

static struct pl_diag d;

static struct pl_tokenizer *parse(const char *text)
{
    struct pl_tokenizer *t = NULL;
    const struct pl_source src = {"tokenizer.json", text, strlen(text)};
    OK(pl_tokenizer_parse(&src, &t, &d));
    return t;
}

static void check_ids(const struct pl_tokenizer *t, const char *text, size_t len, bool special, const uint32_t *want, size_t n)
{
    struct pl_arena a;
    uint32_t *ids;
    size_t got;
    pl_arena_init(&a);
    OK(pl_tokenizer_encode(t, &a, text, len, special, &ids, &got, &d));
    for (size_t i = 0; i < n && i < got; i++)
        if (ids[i] != want[i])
            fail_msg("\"%s\": id %zu is %u, not %u", text, i, ids[i], want[i]);
    assert_int_equal(got, n);
    pl_arena_fini(&a);
}

static void check_text(const struct pl_tokenizer *t, const uint32_t *ids, size_t n, const char *want, size_t len)
{
    struct pl_buf b;
    pl_buf_init(&b);
    OK(pl_tokenizer_decode(t, ids, n, true, &b, &d));
    assert_int_equal(b.len, len);
    assert_memory_equal(b.data, want, len);
    pl_buf_fini(&b);
}

/* Ids of the file, both ways. */
static void check_eval(const char *model)
{
    char name[256];
    snprintf(name, sizeof name, "models/%s/tokenizer.json", model);
    const char *path = shared_path(name);
    if (!path)
        return;
    struct pl_tokenizer *t;
    OK(pl_tokenizer_load(path, &t, &d));
    snprintf(name, sizeof name, "models/%s/eval.jsonl", model);
    FILE *f = fopen(shared_path(name), "r");
    assert_non_null(f);
    char *line = NULL;
    size_t cap = 0, lines = 0, same = 0;
    while (getline(&line, &cap, f) > 0) {
        json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
        const json_t *ids = json_object_get(o, "ids"), *text = json_object_get(o, "text");
        uint32_t want[1024];
        const size_t n = json_array_size(ids);
        for (size_t i = 0; i < n; i++)
            want[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
        check_text(t, want, n, json_string_value(text), json_string_length(text));
        struct pl_arena a;
        uint32_t *got;
        size_t m;
        pl_arena_init(&a);
        OK(pl_tokenizer_encode(t, &a, json_string_value(text), json_string_length(text), true, &got, &m, &d));
        check_text(t, got, m, json_string_value(text), json_string_length(text));
        same += m == n && !memcmp(got, want, n * sizeof *got);
        pl_arena_fini(&a);
        json_decref(o);
        lines++;
    }
    free(line);
    fclose(f);
    print_message("%s: %zu texts, %zu with the same ids\n", model, lines, same);
    assert_true(lines >= 48);

    assert_int_equal(same, lines);
    pl_tokenizer_free(t);
}

TEST(test_stories260k)
{
    (void)state;
    check_eval("stories260k");
    const char *path = shared_path("models/stories260k/tokenizer.json");
    if (!path)
        return;
    struct pl_tokenizer *t;
    OK(pl_tokenizer_load(path, &t, &d));
    /* The README's continuation begins so; merges by rank give the same ids as the model's favourite. */
    static const uint32_t want[] = {1, 403, 407, 261, 378};
    check_ids(t, "Once upon a time", 16, true, want, 5);
    /* No token for this character: its three bytes. <0x00> has id 3. */
    static const uint32_t bytes[] = {410, 3 + 0xe6, 3 + 0x97, 3 + 0xa5};
    check_ids(t, "\xe6\x97\xa5", 3, false, bytes, 4);
    check_text(t, bytes, 4, "\xe6\x97\xa5", 3);
    pl_tokenizer_free(t);
}

TEST(test_bytelm)
{
    (void)state;
    check_eval("bytelm");
    const char *path = shared_path("models/bytelm/tokenizer.json");
    if (!path)
        return;
    struct pl_tokenizer *t;
    OK(pl_tokenizer_load(path, &t, &d));
    static const uint32_t want[] = {'a', 0, 127};
    check_ids(t, "a\0\x7f", 3, true, want, 3);
    check_text(t, want, 3, "a\0\x7f", 3);
    struct pl_arena a;
    uint32_t *ids;
    size_t n;
    pl_arena_init(&a);
    REFUSED(PL_ERANGE, "no token covers", pl_tokenizer_encode(t, &a, "\xc3\xa9", 2, false, &ids, &n, &d));
    pl_arena_fini(&a);
    pl_tokenizer_free(t);
}

/* ---- byte level: every expected piece is a token, so the ids show the cuts ---- */
static void put_byte_level(struct pl_buf *b, const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) { /* written out apart from the library's */
        unsigned c = s[i];
        if (c <= 32)
            c += 256;
        else if (c >= 127 && c <= 160)
            c = c - 127 + 289;
        else if (c == 173)
            c = 323;
        pl_buf_printf(b, "\\u%04x", c);
    }
}

static void check_pieces(const char *pre, const char *const *piece, size_t n)
{
    struct pl_buf b, text;
    pl_buf_init(&b);
    pl_buf_init(&text);
    uint32_t want[64], next = 1000;
    pl_buf_printf(&b, "{\"pre_tokenizer\": %s, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
                      "\"ignore_merges\": true, \"merges\": [], \"vocab\": {", pre);
    for (unsigned c = 0; c < 256; c++) {
        const unsigned char byte = (unsigned char)c;
        pl_buf_puts(&b, c ? ", \"" : "\"");
        put_byte_level(&b, &byte, 1);
        pl_buf_printf(&b, "\": %u", c);
    }
    for (size_t i = 0; i < n; i++) {
        pl_buf_puts(&text, piece[i]);
        want[i] = next;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(piece[k], piece[i]))
                want[i] = want[k];
        if (strlen(piece[i]) == 1)
            want[i] = (unsigned char)piece[i][0];
        if (want[i] != next)
            continue;
        pl_buf_puts(&b, ", \"");
        put_byte_level(&b, (const unsigned char *)piece[i], strlen(piece[i]));
        pl_buf_printf(&b, "\": %u", next++);
    }
    pl_buf_puts(&b, "}}}");
    struct pl_tokenizer *t = parse(b.data);
    check_ids(t, text.data, text.len, false, want, n);
    check_text(t, want, n, text.data, text.len);
    pl_tokenizer_free(t);
    pl_buf_fini(&b);
    pl_buf_fini(&text);
}

TEST(test_llama3_pieces)
{
    (void)state;
    /* Cut by Python's regex module 2022.10.31 with the same pattern. */
    static const char *const want[] = {
        "Hello", ",", " world", "!", " ", " I", "'M", "  ", " ", "123", "45", " na\xc3\xafve", " d\xc3\xad" "as", "\n\n", " ", " x",
        "=\"", "\xc3\xa9t\xc3\xa9", "\"", "\t\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", " ", "42\xc2\xbd", " don", "'t",
        " \xf0\x9f\x99\x82", " \n", " "};
    check_pieces("{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
                 "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
                 "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert\": false}, "
                 "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}",
                 want, PL_COUNT(want));
}

TEST(test_gpt2_pieces)
{
    (void)state;
    static const char *const want[] = {"Hello", ",", " world", "!!", " ", " I", "'", "M", " 12345", "ab", " we", "'ll", "\n", "\n", " x",
                                       "  "};
    check_pieces("{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", want, PL_COUNT(want));
}

TEST(test_digits)
{
    (void)state;
    static const char *const want[] = {"a", "1", "2", " b", " ", "3"};
    check_pieces("{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, "
                 "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}]}", want, PL_COUNT(want));
}

TEST(test_invalid_utf8_survives)
{
    (void)state;
    /* 0xff and a lone 0xc3 are no characters: each stays a byte, and none is lost. */
    struct pl_tokenizer *t = parse("{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": "
                                   "\"ByteLevel\"}, \"model\": {\"vocab\": {\"a\": 0, \"\\u00ff\": 1, \"\\u00c3\": 2, \"b\": 3}}}");
    static const uint32_t ids[] = {0, 1, 2, 3};
    check_ids(t, "a\xff\xc3" "b", 4, false, ids, 4);
    check_text(t, ids, 4, "a\xff\xc3" "b", 4);
    pl_tokenizer_free(t);
}

static const char qwen[] =
    "{\"normalizer\": {\"type\": \"NFC\"}, \"added_tokens\": [{\"id\": 5, \"content\": \"<|end|>\", \"special\": true}, {\"id\": 6, "
    "\"content\": \"<tool>\", \"special\": false, \"normalized\": false, \"lstrip\": true, \"rstrip\": true}], "
    "\"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, {\"type\": \"TemplateProcessing\", "
    "\"single\": [{\"SpecialToken\": {\"id\": \"B\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
    "{\"SpecialToken\": {\"id\": \"E\", \"type_id\": 0}}], \"special_tokens\": {\"B\": {\"id\": \"B\", \"ids\": [4]}, "
    "\"E\": {\"id\": \"E\", \"ids\": [5]}}}]}, \"decoder\": {\"type\": \"Fuse\"}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"?\", "
    "\"fuse_unk\": true, \"merges\": [[\"a\", \"b\"], [\"ab\", \"a\"]], "
    "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"aba\": 3, \"?\": 4, \"\\u00e9\": 7}}}";

TEST(test_added_tokens_and_template)
{
    (void)state;
    struct pl_tokenizer *t = parse(qwen);
    /* leftmost of two equal ranks: (ab)(ab)(a) then ab+a at the end only where it stands */
    static const uint32_t abaab[] = {4, 3, 2, 5}, tool[] = {0, 6, 1}, unk[] = {0, 4, 1}, nfc[] = {7}, text[] = {4, 3, 5, 6, 1};
    check_ids(t, "abaab", 5, true, abaab, 4);
    check_ids(t, "a <tool>\n b", 11, false, tool, 3);
    check_ids(t, "axyzb", 5, false, unk, 3);
    check_ids(t, "e\xcc\x81", 3, false, nfc, 1);
    check_text(t, text, 5, "?aba<tool>b", 11); /* special tokens are skipped */
    assert_int_equal(pl_tokenizer_size(t), 8);
    struct pl_buf b;
    pl_buf_init(&b);
    const uint32_t bad = 8;
    REFUSED(PL_ERANGE, "id 8 is not", pl_tokenizer_decode(t, &bad, 1, true, &b, &d));
    pl_buf_fini(&b);
    pl_tokenizer_free(t);
}

TEST(test_metaspace)
{
    (void)state;
    struct pl_tokenizer *t = parse(
        "{\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"first\"}, \"decoder\": {\"type\": "
        "\"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"first\"}, \"model\": {\"merges\": [\"_ a\", \"a a\"], "
        "\"vocab\": {\"_\": 0, \"a\": 1, \"_a\": 2, \"aa\": 3}}}");
    static const uint32_t want[] = {2, 1, 2};
    check_ids(t, "aa a", 4, false, want, 3);
    check_text(t, want, 3, "aa a", 4);
    pl_tokenizer_free(t);
}

TEST(test_long_word_is_not_quadratic)
{
    (void)state;
    struct pl_tokenizer *t = parse("{\"decoder\": {\"type\": \"Fuse\"}, \"model\": {\"merges\": [\"a a\", \"aa aa\"], \"vocab\": "
                                   "{\"a\": 0, \"aa\": 1, \"aaaa\": 2}}}");
    const size_t n = 1 << 20;
    char *s = malloc(n);
    uint32_t *want = calloc(n / 4, sizeof *want);
    memset(s, 'a', n);
    for (size_t i = 0; i < n / 4; i++)
        want[i] = 2;
    check_ids(t, s, n, false, want, n / 4);
    free(s);
    free(want);
    pl_tokenizer_free(t);
}

TEST(test_refused)
{
    (void)state;
    static const struct {
        enum pl_status s;
        const char *words, *text;
    } bad[] = {
        {PL_EPARSE, "malformed JSON", "{\"model\": "},
        {PL_EPARSE, "expected an object", "[]"},
        {PL_EPARSE, "model: is missing", "{}"},
        {PL_EPARSE, "model.vocab: is missing", "{\"model\": {}}"},
        {PL_EPARSE, "vocab: is empty", "{\"model\": {\"vocab\": {}}}"},
        {PL_ERANGE, "id is not an integer", "{\"model\": {\"vocab\": {\"a\": -1}}}"},
        {PL_ERANGE, "id is not an integer", "{\"model\": {\"vocab\": {\"a\": 99999999999}}}"},
        {PL_ERANGE, "largest id", "{\"model\": {\"vocab\": {\"a\": 16000000}}}"},
        {PL_EPARSE, "given to both", "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 0}}}"},
        {PL_EPARSE, "merges[0]", "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"a a\"]}}"},
        {PL_EPARSE, "no space", "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"aa\"]}}"},
        {PL_EPARSE, "expected \"left right\"", "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [7]}}"},
        {PL_EUNSUPPORTED, "WordPiece", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}}"},
        {PL_EUNSUPPORTED, "Lowercase", "{\"normalizer\": {\"type\": \"Lowercase\"}, \"model\": {\"vocab\": {\"a\": 0}}}"},
        {PL_EUNSUPPORTED, "BertPreTokenizer", "{\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"model\": {\"vocab\": {\"a\": 0}}}"},
        {PL_EPARSE, "pre_tokenizer.pattern", "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}}, \"model\": "
                                             "{\"vocab\": {\"a\": 0}}}"},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_tokenizer *t = NULL;
        const struct pl_source src = {"tokenizer.json", bad[i].text, strlen(bad[i].text)};
        REFUSED(bad[i].s, bad[i].words, pl_tokenizer_parse(&src, &t, &d));
        assert_null(t);
    }
}

/* Sixteen replacements that double a text, and a decoder's likewise: refused, not out of memory. */
TEST(test_growing_replacements)
{
    (void)state;
    struct pl_buf b;
    pl_buf_init(&b);
    for (int part = 0; part < 2; part++) {
        pl_buf_puts(&b, part ? ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" : "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
        for (int i = 0; i < 16; i++)
            pl_buf_printf(&b, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"%c\"},\"content\":\"%s\"}", i ? "," : "", part ? 'b' : 'a',
                          part ? "bbbbbbbb" : "aaaaaaaa");
        pl_buf_puts(&b, "]}");
    }
    pl_buf_puts(&b, ",\"model\":{\"vocab\":{\"a\":0,\"b\":1}}}");
    struct pl_tokenizer *t = parse(b.data);
    struct pl_arena a;
    uint32_t *ids;
    size_t n;
    const uint32_t id = 1;
    struct pl_buf out;
    pl_arena_init(&a);
    pl_buf_init(&out);
    REFUSED(PL_ERANGE, "text: replacements of the tokenizer grow it beyond", pl_tokenizer_encode(t, &a, "a", 1, false, &ids, &n, &d));
    REFUSED(PL_ERANGE, "id 1: the decoder's replacements grow its text beyond", pl_tokenizer_decode(t, &id, 1, true, &out, &d));
    OK(pl_tokenizer_encode(t, &a, "b", 1, false, &ids, &n, &d));
    pl_buf_fini(&out);
    pl_buf_fini(&b);
    pl_arena_fini(&a);
    pl_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories260k),
        cmocka_unit_test(test_bytelm),
        cmocka_unit_test(test_llama3_pieces),
        cmocka_unit_test(test_gpt2_pieces),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_invalid_utf8_survives),
        cmocka_unit_test(test_added_tokens_and_template),
        cmocka_unit_test(test_metaspace),
        cmocka_unit_test(test_long_word_is_not_quadratic),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_growing_replacements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
