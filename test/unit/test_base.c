/* test_base.c - diagnostics, arenas, buffers, files, names, random numbers; the JSON and YAML
 * adapters' errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plena/base_json.h"
#include "plena/base_yaml.h"

static struct pl_diag d;

/* ---- diagnostics ---- */
static enum pl_status fail_at(const char *text, size_t at)
{
    const struct pl_source src = {"f.txt", text, strlen(text)};
    return pl_fail_at(&d, PL_EPARSE, &src, at, "no %s", "good");
}

TEST(test_fail_at_points_with_a_caret)
{
    (void)state;
    assert_int_equal(fail_at("one\ntwo three\nfour", 8), PL_EPARSE);
    assert_string_equal(d.text, "f.txt:2:5: no good\n  two three\n      ^");
    fail_at("a\tb\r\nx", 2); /* tabs stay, a carriage return ends the line */
    assert_string_equal(d.text, "f.txt:1:3: no good\n  a\tb\n   \t^");
    fail_at("", 0);
    assert_string_equal(d.text, "f.txt:1:1: no good\n  \n  ^");
    fail_at("ab", 99); /* behind the end: at the end */
    assert_string_equal(d.text, "f.txt:1:3: no good\n  ab\n    ^");
    fail_at("\x01\x7f!", 2); /* nothing that would upset a terminal */
    assert_string_equal(d.text, "f.txt:1:3: no good\n  ?"
                                "?!\n    ^");
    assert_int_equal(pl_fail_at(NULL, PL_EIO, &(struct pl_source){"f", "", 0}, 0, "x"), PL_EIO);
}

TEST(test_fail_at_long_line_is_cut)
{
    (void)state;
    char text[5000], name[3000], words[3000];
    memset(text, 'x', sizeof text - 1);
    memset(name, 'n', sizeof name - 1);
    memset(words, 'w', sizeof words - 1);
    text[sizeof text - 1] = name[sizeof name - 1] = words[sizeof words - 1] = 0;
    fail_at(text, 4000);
    assert_non_null(strstr(d.text, "f.txt:1:4001: no good\n  xxx"));
    const char *caret = strchr(d.text, '^'), *line = strchr(d.text, '\n');
    assert_non_null(caret);
    assert_true(strchr(line + 1, '\n') - line <= 103);
    const struct pl_source src = {name, text, sizeof text - 1};
    pl_fail_at(&d, PL_EPARSE, &src, 4000, "%s",
               words); /* everything too long: still ended, caret kept */
    assert_int_equal(d.text[strlen(d.text) - 1], '^');
}

TEST(test_fail_in_and_names)
{
    (void)state;
    pl_fail(&d, PL_EIO, "%d", 7);
    assert_int_equal(pl_fail_in(&d, PL_EIO, "a%s", "b"), PL_EIO);
    assert_string_equal(d.text, "ab: 7");
    for (int i = 0; i < 400; i++)
        pl_fail_in(&d, PL_EIO, "again");
    assert_int_equal(strlen(d.text), sizeof d.text - 1);
    assert_int_equal(pl_fail(NULL, PL_EDIFF, "x"), PL_EDIFF);
    assert_int_equal(pl_fail_in(NULL, PL_EDIFF, "x"), PL_EDIFF);
    assert_string_equal(pl_status_name(PL_EUNSUPPORTED), "EUNSUPPORTED");
    assert_int_equal(pl_status_exit_code(PL_OK), 0);
    assert_int_equal(pl_status_exit_code(PL_EDIFF), 1);
    assert_int_equal(pl_status_exit_code(PL_EUSAGE), 2);
    assert_int_equal(pl_status_exit_code(PL_EPARSE), 3);
    assert_int_equal(pl_status_exit_code(PL_EUNSUPPORTED), 4);
}

/* ---- arena, buffer ---- */
static void check_arena(size_t block_bytes)
{
    enum { N = 400 };
    struct pl_arena a;
    unsigned char *p[N];
    size_t n[N];
    pl_arena_init(&a);
    a.block_bytes = block_bytes;
    for (int i = 0; i < N; i++) { /* sizes around the block's, some far larger */
        n[i] = (size_t)(i * 37 % 300) + (i % 50 == 49 ? 100000 : 0);
        p[i] = pl_alloc(&a, n[i]);
        assert_int_equal((uintptr_t)p[i] % 64, 0);
        for (size_t k = 0; k < n[i]; k++)
            assert_int_equal(p[i][k], 0);
        memset(p[i], i, n[i]);
    }
    for (int i = 0; i < N; i++) /* nobody wrote into another's bytes */
        for (size_t k = 0; k < n[i]; k++)
            assert_int_equal(p[i][k], i & 255);
    assert_string_equal(pl_arena_strdup(&a, ""), "");
    assert_string_equal(pl_arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(pl_arena_printf(&a, "%s-%d", "x", 5), "x-5");
    assert_string_equal(pl_path_join(&a, "d", "f"), "d/f");
    assert_string_equal(pl_path_join(&a, "d/", "f"), "d/f");
    assert_string_equal(pl_path_join(&a, "", "f"), "f");
    assert_string_equal(pl_path_join(&a, "d", "/f"), "/f");
    assert_null(pl_alloc_bulk(&a, SIZE_MAX, 2));
    assert_null(pl_alloc_bulk(&a, SIZE_MAX / 2 + 1, 1));
    pl_arena_fini(&a);
    pl_arena_fini(&a); /* empty again: harmless */
}

TEST(test_arena)
{
    (void)state;
    check_arena(0);
    check_arena(64);
    check_arena(1);
}

TEST(test_buf)
{
    (void)state;
    struct pl_buf b;
    pl_buf_init(&b);
    assert_string_equal(b.data, "");
    pl_buf_put(&b, NULL, 0);
    for (int i = 0; i < 1000; i++)
        pl_buf_printf(&b, "%d,", i);
    pl_buf_put(&b, "\0z", 2);
    pl_buf_puts(&b, "end");
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4 + 5);
    assert_memory_equal(b.data, "0,1,2,", 6);
    assert_memory_equal(b.data + b.len - 9, "999,\0zend", 10); /* NUL behind the end */
    pl_buf_fini(&b);
    pl_buf_fini(&b);
}

/* ---- files ---- */
static char dir[] = "/tmp/plena-test-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void assert_file(const char *path, const char *text)
{
    struct pl_map m;
    OK(pl_file_map(path, &m, &d));
    assert_int_equal(m.len, strlen(text));
    assert_memory_equal(m.data, text, m.len);
    pl_file_unmap(&m);
}

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *o = opendir(dir);
    for (const struct dirent *e; (e = readdir(o));)
        n += e->d_name[0] != '.';
    closedir(o);
    return n;
}

TEST(test_file_write_replaces)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    const char *f = in_dir("f");
    assert_false(pl_file_exists(f));
    OK(pl_file_write(f, "one", 3, &d));
    assert_file(f, "one");
    OK(pl_file_write(f, "", 0, &d));
    assert_file(f, "");
    OK(pl_file_write(f, "three", 5, &d));
    assert_file(f, "three");
    assert_int_equal(count_files(), 1);
}

/* A disk that takes only the first bytes: the old file stays, the temporary goes. */
TEST(test_file_write_failure_keeps_the_old_file)
{
    (void)state;
    static char big[100000];
    struct rlimit old, small = {.rlim_cur = 4096};
    const char *f = in_dir("f");
    OK(pl_file_write(f, "old", 3, &d));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum pl_status s = pl_file_write(f, big, sizeof big, &d);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(s, PL_EIO);
    assert_non_null(strstr(d.text, "/f: cannot write: File too large"));
    assert_file(f, "old");
    assert_int_equal(count_files(), 1);
    REFUSED(PL_EIO, "/dev/full: cannot write: No space left",
            pl_file_write("/dev/full", big, 10, &d));
    REFUSED(PL_EIO, "/none/f: cannot create: No such file",
            pl_file_write(in_dir("none/f"), big, 10, &d));
    REFUSED(PL_EIO, "Is a directory", pl_file_write(dir, big, 10, &d));
    assert_int_equal(count_files(), 1);
}

TEST(test_file_map_refuses)
{
    (void)state;
    struct pl_map m;
    REFUSED(PL_EIO, "/missing: No such file", pl_file_map(in_dir("missing"), &m, &d));
    REFUSED(PL_EIO, "is not a regular file", pl_file_map(dir, &m, &d));
    const char *pipe = in_dir("pipe"); /* nobody writes: must not hang */
    assert_int_equal(mkfifo(pipe, 0600), 0);
    REFUSED(PL_EIO, "is not a regular file", pl_file_map(pipe, &m, &d));
    unlink(pipe);
    unlink(in_dir("f"));
    assert_int_equal(rmdir(dir), 0);
}

/* ---- arithmetic, names, random numbers ---- */
TEST(test_arithmetic)
{
    (void)state;
    size_t out;
    assert_false(pl_mul_overflows(SIZE_MAX, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_true(pl_mul_overflows(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(pl_mul_overflows((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_false(pl_mul_overflows(0, SIZE_MAX, &out));
    assert_false(pl_is_pow2(0));
    assert_true(pl_is_pow2(1));
    assert_true(pl_is_pow2((uint64_t)1 << 63));
    assert_false(pl_is_pow2(6));
    assert_int_equal(pl_log2(1), 0);
    assert_int_equal(pl_log2(7), 2);
    assert_int_equal(pl_log2(UINT64_MAX), 63);
    assert_int_equal(pl_round_up(0, 64), 0);
    assert_int_equal(pl_round_up(65, 64), 128);
    assert_int_equal(pl_round_up(7, 3), 9);
    const uint64_t t = pl_clock_ns();
    assert_true(pl_clock_ns() >= t);
}

TEST(test_nearest)
{
    (void)state;
    static const char *const names[] = {
        "mlen", "blen", "hlen", "vector_format",
        "this_name_is_longer_than_sixty_four_bytes_and_so_never_a_suggestion"};
    assert_string_equal(pl_nearest("mlem", names, PL_COUNT(names)), "mlen");
    assert_string_equal(pl_nearest("vectorformat", names, PL_COUNT(names)), "vector_format");
    assert_string_equal(pl_nearest("hlen", names, PL_COUNT(names)), "hlen");
    assert_null(pl_nearest("zzzzzz", names, PL_COUNT(names)));
    assert_null(pl_nearest(names[4], names, PL_COUNT(names)));
    assert_null(pl_nearest("mlen", names, 0));
}

/* The state 1 2 3 4 gives the values published with rand_xoshiro; splitmix64's of seed 1234567 are
 * widely quoted. */
TEST(test_rng_known_values)
{
    (void)state;
    static const uint64_t want[] = {11520,
                                    0,
                                    1509978240,
                                    1215971899390074240,
                                    1216172134540287360,
                                    607988272756665600,
                                    16172922978634559625u,
                                    8476171486693032832,
                                    10595114339597558777u,
                                    2904607092377533576};
    struct pl_rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < PL_COUNT(want); i++)
        assert_true(pl_rng_u64(&r) == want[i]);
    pl_rng_init(&r, 1234567);
    assert_true(r.s[0] == 6457827717110365317u && r.s[1] == 3203168211198807973u &&
                r.s[2] == 9817491932198370423u && r.s[3] == 4593380528125082431u);
    unsigned seen[7] = {0};
    double sum = 0, squares = 0;
    for (int i = 0; i < 70000; i++) {
        const uint64_t k = pl_rng_below(&r, 7);
        assert_true(k < 7);
        seen[k]++;
        const double u = pl_rng_double(&r), z = pl_rng_normal(&r);
        assert_true(u >= 0 && u < 1);
        sum += z;
        squares += z * z;
    }
    for (int i = 0; i < 7; i++) /* 10000 expected, standard deviation 93 */
        assert_in_range(seen[i], 9500, 10500);
    assert_true(sum / 70000 < 0.02 && sum / 70000 > -0.02);
    assert_true(squares / 70000 < 1.03 && squares / 70000 > 0.97);
    assert_int_equal(pl_rng_below(&r, 1), 0);
}

/* ---- JSON ---- */
static enum pl_status json(const char *text, json_t **out)
{
    const struct pl_source src = {"c.json", text, strlen(text)};
    return pl_json_parse(&src, out, &d);
}

TEST(test_json_malformed)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "c.json:1:1: malformed JSON"},
        {"{\"a\": 1,\n \"b\" 2}", "c.json:2:6: malformed JSON: ':' expected"},
        {"{\"a\": 1,\n \"a\": 2}", "c.json:2:4: malformed JSON: duplicate object key"},
        {"{\"a\": 1} x", "c.json:1:10: malformed JSON: end of file expected"},
        {"{\"a\": [1, 2", "malformed JSON: ']' expected"},
        {"{\"a\": NaN}", "malformed JSON: invalid token"},
        {"{\"a\": 1e999}", "real number overflow"},
        {"{\"a\": 99999999999999999999}", "too big integer"},
        {"{\"a\": \"\xff\"}", "unable to decode byte 0xff"},
        {"{\"a\": \"b}", "premature end of input"},
        {"{\"\\u0000\": 1}", "NUL byte in object key not supported"},
        {"[1] // no comments", "end of file expected"},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        json_t *o = NULL;
        REFUSED(PL_EPARSE, bad[i].words, json(bad[i].text, &o));
        assert_non_null(strchr(d.text, '^'));
        assert_null(o);
    }
    char deep[10001];
    json_t *o;
    memset(deep, '[', 10000);
    deep[10000] = 0;
    REFUSED(PL_EPARSE, "maximum parsing depth", json(deep, &o));
    REFUSED(PL_EIO, "none.json: No such file", pl_json_load("none.json", &o, &d));
}

TEST(test_json_members)
{
    (void)state;
    json_t *o, *m = NULL;
    uint64_t u = 42;
    double x = 0.5;
    bool b = true;
    const char *s = "old";
    const struct pl_json_at at = {"c.json", "rope"}, top = {"c.json", ""};
    OK(json("{\"u\": 7, \"neg\": -1, \"big\": 9223372036854775807, \"x\": 1.5, \"t\": true, \"s\": "
            "\"text\", \"nul\": \"a\\u0000b\","
            " \"none\": null, \"list\": [1]}",
            &o));
    OK(pl_json_u64(&at, o, "u", true, 7, 7, &u, &d));
    assert_int_equal(u, 7);
    OK(pl_json_u64(&at, o, "absent", false, 1, 9, &u, &d));
    OK(pl_json_u64(&at, o, "none", false, 1, 9, &u, &d));
    assert_int_equal(u, 7); /* left alone */
    REFUSED(PL_EPARSE, "c.json: rope.absent: is missing",
            pl_json_u64(&at, o, "absent", true, 1, 9, &u, &d));
    REFUSED(PL_EPARSE, "c.json: absent: is missing",
            pl_json_u64(&top, o, "absent", true, 1, 9, &u, &d));
    REFUSED(PL_EPARSE, "c.json: rope.none: is missing",
            pl_json_u64(&at, o, "none", true, 1, 9, &u, &d));
    REFUSED(PL_ERANGE, "rope.u: 7 is outside 8..9", pl_json_u64(&at, o, "u", true, 8, 9, &u, &d));
    REFUSED(PL_ERANGE, "rope.neg: -1 is outside 0..",
            pl_json_u64(&at, o, "neg", true, 0, UINT64_MAX, &u, &d));
    REFUSED(PL_ERANGE, "rope.big: 9223372036854775807 is outside 0..5",
            pl_json_u64(&at, o, "big", true, 0, 5, &u, &d));
    REFUSED(PL_EPARSE, "rope.x: expected an integer, found a real number",
            pl_json_u64(&at, o, "x", true, 0, 9, &u, &d));
    OK(pl_json_double(&at, o, "u", true, &x, &d));
    assert_true(x == 7);
    REFUSED(PL_EPARSE, "rope.s: expected a number, found a string",
            pl_json_double(&at, o, "s", true, &x, &d));
    OK(pl_json_bool(&at, o, "t", true, &b, &d));
    REFUSED(PL_EPARSE, "rope.u: expected true or false, found an integer",
            pl_json_bool(&at, o, "u", true, &b, &d));
    OK(pl_json_string(&at, o, "s", true, &s, &d));
    assert_string_equal(s, "text");
    REFUSED(PL_EPARSE, "rope.nul: holds a NUL", pl_json_string(&at, o, "nul", true, &s, &d));
    REFUSED(PL_EPARSE, "rope.t: expected a string, found true",
            pl_json_string(&at, o, "t", true, &s, &d));
    OK(pl_json_member(&at, o, "list", true, JSON_ARRAY, &m, &d));
    REFUSED(PL_EPARSE, "rope.list: expected an object, found an array",
            pl_json_member(&at, o, "list", true, JSON_OBJECT, &m, &d));
    json_decref(o);
}

/* ---- YAML ---- */
static enum pl_status yaml_n(struct pl_arena *a, const char *text, size_t len, struct pl_yaml **out)
{
    const struct pl_source src = {"m.yaml", text, len};
    return pl_yaml_parse(a, &src, out, &d);
}

TEST(test_yaml_tree)
{
    (void)state;
    struct pl_arena a;
    struct pl_yaml *y = NULL;
    static const char text[] =
        "\xef\xbb\xbf# \xc3\xa4\na: {b: 1, c: [x, 'y z']}\nd: \"\xc3\xbc\"\ne: |\n  line\n";
    pl_arena_init(&a);
    a.block_bytes = 64;
    OK(yaml_n(&a, text, sizeof text - 1, &y));
    assert_int_equal(y->kind, PL_YAML_MAP);
    assert_int_equal(y->n_child, 3);
    const struct pl_yaml *m = pl_yaml_get(y, "a"), *l = pl_yaml_get(m, "c");
    assert_int_equal(l->kind, PL_YAML_LIST);
    assert_string_equal(l->child[1].text, "y z");
    assert_null(pl_yaml_get(y, "b"));
    assert_null(pl_yaml_get(l, "x"));
    const struct pl_yaml *u = pl_yaml_get(y, "d");
    assert_string_equal(u->text, "\xc3\xbc");
    assert_string_equal(pl_yaml_get(y, "e")->text, "line\n");
    /* Places are bytes, whatever stands before them. */
    assert_int_equal(u->key_at, strstr(text, "d: ") - text);
    assert_int_equal(u->at, strchr(text, '"') - text);
    assert_int_equal(l->child[1].at, strchr(text, '\'') - text);
    OK(yaml_n(&a, "", 0, &y)); /* nothing is an empty map */
    assert_int_equal(y->kind, PL_YAML_MAP);
    OK(yaml_n(&a, "# only a comment\n", 17, &y));
    assert_int_equal(y->n_child, 0);
    pl_arena_fini(&a);
}

TEST(test_yaml_malformed)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"a: 1\na: 2\n", "m.yaml:2:1: repeated key \"a\""},
        {"a: &x 1\n", "m.yaml:1:4: anchors are not supported"},
        {"a: *x\n", "m.yaml:1:4: aliases are not supported"},
        {"a: &x [1]\n", "m.yaml:1:4: anchors and tags"},
        {"a: !!int 1\n", "m.yaml:1:4: tags are not supported"},
        {"a: !t {b: 1}\n", "m.yaml:1:4: anchors and tags"},
        {"? [1]\n: 2\n", "a key must be a plain name"},
        {"a: 1\n---\nb: 2\n", "more than one document"},
        {"a: {b: 1\n", "malformed YAML"},
        {"a: [1, 2\n", "malformed YAML"},
        {"a: \"b\n", "malformed YAML"},
        {"a:\n\tb: 1\n", "m.yaml:2:1: malformed YAML: found character that cannot start any token"},
        {"a: 1\n  b: 2\n", "m.yaml:2:4: malformed YAML: mapping values are not allowed"},
        {"a: \xff\n", "m.yaml:1:4: malformed YAML: invalid leading UTF-8 octet"},
        {"a: \xc3", "m.yaml:1:4: malformed YAML: incomplete UTF-8 octet sequence"},
        {"a: \x01\n", "m.yaml:1:4: malformed YAML: control characters are not allowed"},
        {"\xff\xfe"
         "a\0:\0",
         "invalid leading UTF-8"},
        {"\xc3\xa4: \xc3\xb6\nx: *y\n", "m.yaml:2:4: aliases"},
        {"a: \"\\0\"\n", "a NUL character in a value"},
        {"a: \"\\q\"\n", "unknown escape character"},
        {"- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - x\n",
         "nested deeper than 32"},
    };
    struct pl_arena a;
    pl_arena_init(&a);
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_yaml *y;
        REFUSED(PL_EPARSE, bad[i].words, yaml_n(&a, bad[i].text, strlen(bad[i].text), &y));
        assert_non_null(strchr(d.text, '^'));
    }
    /* The billion laughs need aliases; the plain form of depth needs more than 32 levels. */
    static const char laughs[] = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    struct pl_yaml *y;
    REFUSED(PL_EPARSE, "anchors", yaml_n(&a, laughs, strlen(laughs), &y));
    char deep[5001];
    memset(deep, '[', 5000);
    deep[5000] = 0;
    REFUSED(PL_EPARSE, "nested deeper than 32", yaml_n(&a, deep, 5000, &y));
    pl_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_at_points_with_a_caret),
        cmocka_unit_test(test_fail_at_long_line_is_cut),
        cmocka_unit_test(test_fail_in_and_names),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_file_write_replaces),
        cmocka_unit_test(test_file_write_failure_keeps_the_old_file),
        cmocka_unit_test(test_file_map_refuses),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_rng_known_values),
        cmocka_unit_test(test_json_malformed),
        cmocka_unit_test(test_json_members),
        cmocka_unit_test(test_yaml_tree),
        cmocka_unit_test(test_yaml_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
