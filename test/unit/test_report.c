/* test_report.c - tables, CSV, the roofline plot, the Chrome trace writer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <unistd.h>

#include "test.h"

#include "plena/base_json.h"
#include "plena/report.h"

static struct pl_diag d;

TEST(test_table_text)
{
    (void)state;
    struct pl_arena a;
    struct pl_table t;
    struct pl_buf b;
    pl_arena_init(&a);
    pl_buf_init(&b);
    pl_table_init(&t, &a, "<name|n|<note");
    pl_table_row(&t, "a|%d|x", 1);
    pl_table_row(&t, "l\xc3\xa4nge|12345");
    pl_table_text(&t, &b);
    /* Columns as wide as their widest cell, counted in characters; a missing cell is empty. */
    assert_string_equal(b.data, "name       n  note\n"
                                "a          1  x\n"
                                "l\xc3\xa4nge  12345  \n");
    pl_table_fini(&t);
    pl_buf_fini(&b);
    pl_arena_fini(&a);
}

TEST(test_table_csv)
{
    (void)state;
    struct pl_arena a;
    struct pl_table t;
    struct pl_buf b;
    pl_arena_init(&a);
    pl_buf_init(&b);
    pl_table_init(&t, &a, "<name|n");
    pl_table_row(&t, "plain|1");
    pl_table_row(&t, "a,b|2");
    pl_table_row(&t, "say \"x\"|3");
    pl_table_row(&t, "two\nlines|");
    pl_table_csv(&t, &b);
    assert_string_equal(b.data, "name,n\r\nplain,1\r\n\"a,b\",2\r\n\"say \"\"x\"\"\",3\r\n\"two\nlines\",\r\n");
    pl_table_fini(&t);
    pl_buf_fini(&b);
    pl_arena_fini(&a);
}

TEST(test_group_digits)
{
    (void)state;
    char b[32];
    assert_string_equal(pl_group_digits(0, b), "0");
    assert_string_equal(pl_group_digits(999, b), "999");
    assert_string_equal(pl_group_digits(1000, b), "1,000");
    assert_string_equal(pl_group_digits(UINT64_MAX, b), "18,446,744,073,709,551,615");
}

/* ---- SVG ---- */

/* Elements nest, attributes are quoted, and & begins only the entities we write: well formed, for the XML we use. */
static bool is_well_formed(const char *s)
{
    char open[16][16];
    unsigned depth = 0;
    bool any = false;
    while (*s) {
        if (*s == '&') {
            static const char *const entity[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
            size_t k = 0;
            while (k < PL_COUNT(entity) && strncmp(s, entity[k], strlen(entity[k])) != 0)
                k++;
            if (k == PL_COUNT(entity))
                return false;
        }
        if ((any && !depth && !isspace((unsigned char)*s)) || *s == '>' || ((unsigned char)*s < 0x20 && *s != '\n'))
            return false;
        if (*s++ != '<')
            continue;
        const bool closes = *s == '/';
        char name[16] = "";
        size_t n = 0;
        for (s += closes; isalpha((unsigned char)*s) && n < sizeof name - 1; s++)
            name[n++] = *s;
        bool quoted = false;
        for (; *s && (quoted || *s != '>'); s++) {
            quoted ^= *s == '"';
            if (*s == '<')
                return false;
        }
        if (!n || *s != '>')
            return false;
        const bool empty = s[-1] == '/';
        s++;
        if (closes && (!depth || strcmp(open[--depth], name) != 0))
            return false;
        if (!closes && !empty) {
            if (depth == PL_COUNT(open))
                return false;
            memcpy(open[depth++], name, sizeof name);
        }
        any = true;
    }
    return any && !depth;
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;
    for (; (s = strstr(s, what)); s++)
        n++;
    return n;
}

/* Attribute of the first element at or behind `s`. */
static double attribute(const char *s, const char *name)
{
    const char *at = strstr(s, name);
    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

TEST(test_well_formed_can_fail)
{
    (void)state;
    assert_true(is_well_formed("<svg a=\"1\"><g/>x &amp; y</svg>\n"));
    assert_false(is_well_formed("<svg><g></svg>"));
    assert_false(is_well_formed("<svg>a & b</svg>"));
    assert_false(is_well_formed("<svg>a > b</svg>"));
    assert_false(is_well_formed("<svg a=\"1></svg>"));
    assert_false(is_well_formed("<svg/><svg>"));
}

TEST(test_roofline_ceiling)
{
    (void)state;
    assert_true(pl_roofline_ceiling(256, 128, 0.5) == 64);
    assert_true(pl_roofline_ceiling(256, 128, 2) == 256);
    assert_true(pl_roofline_ceiling(256, 128, INFINITY) == 256);
    assert_true(pl_roofline_ceiling(256, 128, 0) == 0);
}

TEST(test_roofline_svg)
{
    (void)state;
    enum { N = 40 };
    struct pl_roofline_point p[N + 2];
    char name[N][32];
    for (size_t i = 0; i < N; i++) { /* close together: labels must keep apart */
        snprintf(name[i], sizeof name[i], "a<b&c>\"%zu\"", i);
        p[i] = (struct pl_roofline_point){name[i], 3 + 0.001 * (double)i, 100};
    }
    p[0].intensity = INFINITY;
    p[1].intensity = 2; /* at the ridge of 256 / 128, on the ceiling */
    p[1].attained = 256;
    p[N] = (struct pl_roofline_point){"idle", 1, 0};
    p[N + 1] = (struct pl_roofline_point){"empty", 0, 0};
    const struct pl_roofline r = {.title = "t & u", .x_label = "x", .y_label = "y", .peak = 256, .bandwidth = 128, .n = N + 2, .point = p};
    struct pl_buf b;
    pl_buf_init(&b);
    pl_roofline_svg(&r, &b);
    assert_true(is_well_formed(b.data));
    assert_int_equal(count(b.data, "<circle"), N); /* those that did nothing are left out */
    assert_int_equal(count(b.data, "class=\"label\""), N);
    assert_int_equal(count(b.data, "class=\"peak\""), 1);
    assert_int_equal(count(b.data, "class=\"bandwidth\""), 1);
    assert_non_null(strstr(b.data, ">a&lt;b&amp;c&gt;&quot;7&quot;</text>"));
    assert_null(strstr(b.data, "idle"));
    assert_null(strstr(b.data, "nan"));
    assert_null(strstr(b.data, "inf"));

    double last = -1;
    for (const char *s = b.data; (s = strstr(s, "<text")); s++)
        if (strstr(s, "class=\"label\"") && strstr(s, "class=\"label\"") < strchr(s, '>')) {
            const double y = attribute(s, " y=\"");
            assert_true(last < 0 || y - last > 14.5);
            last = y;
        }
    assert_true(last < attribute(b.data, "height=\""));

    /* The point on the ridge stands where the two ceilings meet; the ring at the right edge. */
    const char *roof = strstr(b.data, "class=\"peak\"");
    while (*roof != '<')
        roof--;
    const char *first = strstr(b.data, "<circle");
    assert_true(fabs(attribute(roof, "x1=\"") - attribute(first, "cx=\"")) < 0.11);
    assert_true(fabs(attribute(roof, "y1=\"") - attribute(first, "cy=\"")) < 0.11);
    const char *ring = strstr(b.data, "fill=\"#fff\" stroke=\"#164\"");
    while (*ring != '<')
        ring--;
    assert_true(fabs(attribute(roof, "x2=\"") - attribute(ring, "cx=\"")) < 0.11);
    pl_buf_fini(&b);
}

TEST(test_roofline_svg_without_points)
{
    (void)state;
    const struct pl_roofline r = {.title = "none", .x_label = "x", .y_label = "y", .peak = 65536, .bandwidth = 0.5};
    struct pl_buf b;
    pl_buf_init(&b);
    pl_roofline_svg(&r, &b);
    assert_true(is_well_formed(b.data));
    assert_null(strstr(b.data, "nan"));
    assert_int_equal(count(b.data, "<circle"), 0);
    pl_buf_fini(&b);
}

/* ---- Chrome trace ---- */
static char path[] = "/tmp/plena-test-XXXXXX";

static int make_path(void **state)
{
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    return fd < 0 || close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return remove(path);
}

static json_t *event(const json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "traceEvents"), i);
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

TEST(test_chrome)
{
    (void)state;
    struct pl_chrome *c;
    json_t *root;
    const struct pl_chrome_arg other[] = {{"title", "a \"b\"\n\\", 0}, {"n", NULL, 7}};
    const struct pl_chrome_arg arg[] = {{"pc", NULL, UINT64_MAX >> 1}, {"operator", "m\xc3\xbc\xffller\x01", 0}};
    OK(pl_chrome_open(path, 1e9, other, 2, &c, &d));
    pl_chrome_process(c, 3, "run");
    pl_chrome_track(c, 3, 12, "matrix");
    pl_chrome_put_span(c, &(struct pl_chrome_span){3, 12, "M_MM", 1234567, 1234571}, arg, 2);
    pl_chrome_put_counter(c, 3, "HBM", 100, &(struct pl_chrome_arg){"read", NULL, 64}, 1);
    OK(pl_chrome_close(c, &d));
    OK(pl_json_load(path, &root, &d));
    assert_string_equal(text_of(json_object_get(root, "otherData"), "clock_hz"), "1000000000");
    assert_string_equal(text_of(json_object_get(root, "otherData"), "title"), "a \"b\"\n\\");
    assert_string_equal(text_of(json_object_get(root, "otherData"), "n"), "7");
    assert_int_equal(json_array_size(json_object_get(root, "traceEvents")), 5);
    assert_string_equal(text_of(event(root, 0), "name"), "process_name");
    assert_string_equal(text_of(json_object_get(event(root, 1), "args"), "name"), "matrix");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(event(root, 2), "args"), "sort_index")), 12);
    const json_t *x = event(root, 3);
    assert_string_equal(text_of(x, "ph"), "X");
    assert_int_equal(json_integer_value(json_object_get(x, "pid")), 3);
    assert_int_equal(json_integer_value(json_object_get(x, "tid")), 12);
    assert_true(fabs(json_number_value(json_object_get(x, "ts")) - 1234.567) < 1e-9);
    assert_true(fabs(json_number_value(json_object_get(x, "dur")) - 0.004) < 1e-9);
    assert_string_equal(text_of(json_object_get(x, "args"), "operator"), "m\xc3\xbc\xef\xbf\xbdller\x01");
    assert_true((uint64_t)json_integer_value(json_object_get(json_object_get(x, "args"), "pc")) == UINT64_MAX >> 1);
    assert_string_equal(text_of(event(root, 4), "ph"), "C");
    json_decref(root);
}

/* From the text back to cycles, for clocks whose period is no whole number of picoseconds. */
TEST(test_chrome_keeps_cycles)
{
    (void)state;
    static const double clock_hz[] = {1e9, 1.3e9, 7e8, 2.999e9};
    for (size_t k = 0; k < PL_COUNT(clock_hz); k++) {
        struct pl_chrome *c;
        json_t *root;
        uint64_t from[64], to[64];
        struct pl_rng r;
        pl_rng_init(&r, 5 + k);
        OK(pl_chrome_open(path, clock_hz[k], NULL, 0, &c, &d));
        for (size_t i = 0; i < PL_COUNT(from); i++) {
            from[i] = pl_rng_below(&r, UINT64_C(1) << (i % 38));
            to[i] = from[i] + 1 + pl_rng_below(&r, 5);
            pl_chrome_put_span(c, &(struct pl_chrome_span){1, 1, "x", from[i], to[i]}, NULL, 0);
        }
        OK(pl_chrome_close(c, &d));
        OK(pl_json_load(path, &root, &d));
        for (size_t i = 0; i < PL_COUNT(from); i++) {
            const double ts = json_number_value(json_object_get(event(root, i), "ts"));
            const double dur = json_number_value(json_object_get(event(root, i), "dur"));
            assert_true((uint64_t)llround(ts * clock_hz[k] * 1e-6) == from[i]);
            assert_true((uint64_t)llround(dur * clock_hz[k] * 1e-6) == to[i] - from[i]);
        }
        json_decref(root);
    }
}

TEST(test_chrome_errors)
{
    (void)state;
    struct pl_chrome *c;
    REFUSED(PL_EIO, "/no/such/folder/t.json: No such file", pl_chrome_open("/no/such/folder/t.json", 1e9, NULL, 0, &c, &d));
    assert_null(c);
    OK(pl_chrome_close(NULL, &d));
    if (access("/dev/full", W_OK) != 0)
        return;
    for (size_t n = 0; n <= 10000; n += 10000) { /* it fails in the last flush, or long before */
        OK(pl_chrome_open("/dev/full", 1e9, NULL, 0, &c, &d));
        for (size_t i = 0; i < n; i++)
            pl_chrome_put_span(c, &(struct pl_chrome_span){1, 1, "x", i, i + 1}, NULL, 0);
        REFUSED(PL_EIO, "/dev/full: cannot be written: No space left", pl_chrome_close(c, &d));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_text),
        cmocka_unit_test(test_table_csv),
        cmocka_unit_test(test_group_digits),
        cmocka_unit_test(test_well_formed_can_fail),
        cmocka_unit_test(test_roofline_ceiling),
        cmocka_unit_test(test_roofline_svg),
        cmocka_unit_test(test_roofline_svg_without_points),
        cmocka_unit_test_setup_teardown(test_chrome, make_path, remove_path),
        cmocka_unit_test_setup_teardown(test_chrome_keeps_cycles, make_path, remove_path),
        cmocka_unit_test(test_chrome_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
