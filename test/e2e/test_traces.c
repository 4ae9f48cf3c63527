/* test_traces.c - the Chrome trace and the text trace agree with the statistics of the same run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "run_plena.h"

/* ---- the Chrome trace ---- */
struct interval {
    uint64_t from, to;
};
struct track {
    unsigned tid;
    const char *name;
    struct interval *at;
    size_t n, cap;
};

static uint64_t cycles_of(double us)
{
    return (uint64_t)llround(us * 1e3); /* at 1 GHz */
}

/* Tracks by their thread_name metadata, with their events in the order of the file. */
static size_t read_tracks(const json_t *root, struct track *out, size_t cap)
{
    size_t n = 0, i;
    json_t *e, *list = get(root, "traceEvents");
    json_array_foreach(list, i, e)
    {
        const unsigned tid = (unsigned)number(e, "tid");
        if (!strcmp(json_string_value(get(e, "name")), "thread_name")) {
            assert_true(n < cap);
            out[n++] = (struct track){.tid = tid, .name = json_string_value(get(get(e, "args"), "name"))};
        }
        if (strcmp(json_string_value(get(e, "ph")), "X") != 0)
            continue;
        size_t k = 0;
        while (k < n && out[k].tid != tid)
            k++;
        if (k == n)
            fail_msg("an event on track %u, which has no name", tid);
        const uint64_t from = cycles_of(json_number_value(get(e, "ts")));
        if (out[k].n == out[k].cap) {
            out[k].cap = out[k].cap ? 2 * out[k].cap : 64;
            out[k].at = realloc(out[k].at, out[k].cap * sizeof *out[k].at);
            assert_non_null(out[k].at);
        }
        out[k].at[out[k].n++] = (struct interval){from, from + cycles_of(json_number_value(get(e, "dur")))};
    }
    return n;
}

static int by_start(const void *a, const void *b)
{
    const struct interval *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* Cycles in which some track named "prefix..." has an event. */
static uint64_t covered(const struct track *t, size_t n, const char *prefix)
{
    size_t total = 0, k = 0;
    for (size_t i = 0; i < n; i++)
        total += strncmp(t[i].name, prefix, strlen(prefix)) ? 0 : t[i].n;
    struct interval *all = calloc(total + 1, sizeof *all);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < t[i].n && !strncmp(t[i].name, prefix, strlen(prefix)); j++)
            all[k++] = t[i].at[j];
    qsort(all, total, sizeof *all, by_start);
    uint64_t sum = 0, end = 0;
    for (size_t j = 0; j < total; j++) {
        const uint64_t from = all[j].from > end ? all[j].from : end;
        sum += all[j].to > from ? all[j].to - from : 0;
        end = all[j].to > end ? all[j].to : end;
    }
    free(all);
    return sum;
}

TEST(test_chrome_units)
{
    (void)state;
    static const char *const own[] = {"matrix", "write_out", "vector", "scalar", "control"}, *const dma[] = {"load_m", "load_v", "store"};
    struct track t[80];
    const size_t n = read_tracks(trace, t, PL_COUNT(t));
    size_t events = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (size_t j = 0; j < t[i].n; j++) { /* in order, apart from each other */
            assert_true(!j || t[i].at[j].from >= t[i].at[j - 1].to);
            assert_true(t[i].at[j].to > t[i].at[j].from);
            assert_true(t[i].at[j].to <= number(stats, "cycles"));
            sum += t[i].at[j].to - t[i].at[j].from;
        }
        events += t[i].n;
        for (size_t u = 0; u < PL_COUNT(own); u++)
            if (!strcmp(t[i].name, own[u])) {
                assert_int_equal(sum, number(get(get(stats, "units"), own[u]), "busy"));
                assert_true(sum);
            }
        if (!strcmp(t[i].name, "passes") || !strcmp(t[i].name, "operators"))
            events -= t[i].n;
        if (!strcmp(t[i].name, "passes")) {
            assert_int_equal(sum, number(stats, "cycles"));
            assert_int_equal(t[i].n, 2); /* prefill, a decode step */
        }
    }
    for (size_t u = 0; u < PL_COUNT(dma); u++)
        assert_int_equal(covered(t, n, dma[u]), number(get(get(stats, "units"), dma[u]), "busy"));
    assert_int_equal(events, number(stats, "instructions"));
    for (size_t i = 0; i < n; i++)
        free(t[i].at);
}

/* An operator's spans are the cycles the front end spent in it. */
TEST(test_chrome_operators)
{
    (void)state;
    size_t i, k, named = 0;
    json_t *op, *e, *spans = json_array();
    json_array_foreach(get(trace, "traceEvents"), k, e)
        if (number(e, "tid") == 2 && json_object_get(e, "dur"))
            json_array_append(spans, e);
    json_array_foreach(get(stats, "operators"), i, op)
    {
        uint64_t sum = 0;
        json_array_foreach(spans, k, e)
            sum += json_equal(get(e, "name"), get(op, "name")) ? cycles_of(json_number_value(get(e, "dur"))) : 0;
        const uint64_t drain = (uint64_t)json_integer_value(json_object_get(get(op, "stall_cycles"), "drain"));
        assert_int_equal(sum, sum_members(get(op, "stall_cycles")) - drain);
        named += sum > 0;
    }
    assert_true(named > 20);
    json_decref(spans);
}

TEST(test_chrome_counters)
{
    (void)state;
    uint64_t read = 0, written = 0, most[2] = {0};
    double last[3] = {-1, -1, -1};
    size_t k;
    json_t *e;
    json_array_foreach(get(trace, "traceEvents"), k, e)
    {
        if (strcmp(json_string_value(get(e, "ph")), "C") != 0)
            continue;
        const char *name = json_string_value(get(e, "name"));
        const json_t *args = get(e, "args");
        const unsigned which = !strcmp(name, "Matrix SRAM") ? 0 : !strcmp(name, "Vector SRAM") ? 1 : 2;
        const double ts = json_number_value(get(e, "ts"));
        assert_true(ts > last[which]);
        last[which] = ts;
        if (which < 2) {
            const uint64_t live = number(args, which ? "live rows" : "live tiles");
            most[which] = live > most[which] ? live : most[which];
            continue;
        }
        assert_string_equal(name, "HBM bytes in 100 cycles");
        assert_true(number(args, "read") + number(args, "write") <= 100 * 128); /* the peak */
        read += number(args, "read");
        written += number(args, "write");
    }
    assert_int_equal(read, number(stats, "hbm_read_bytes"));
    assert_int_equal(written, number(stats, "hbm_write_bytes"));
    assert_true(most[0] > 0 && most[0] <= 256 && most[1] > 0 && most[1] <= 16384);
}

/* With the banks of HBM the ends of transfers are found late: tracks and sums hold all the same. */
TEST(test_banks)
{
    (void)state;
    static const char *const dma[] = {"load_m", "load_v", "store"};
    assert_int_equal(plena("run agent-0.8m --machine small --prompt user: --max-tokens 1 --set hbm_model=hbm2e --json --chrome-trace b.json"), 0);
    json_t *out = load("out"), *root = load("b.json"), *st = get(out, "stats"), *e;
    struct track t[80];
    const size_t n = read_tracks(root, t, PL_COUNT(t));
    size_t events = 0, k;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < t[i].n; j++)
            assert_true((!j || t[i].at[j].from >= t[i].at[j - 1].to) && t[i].at[j].to <= number(st, "cycles"));
        events += strcmp(t[i].name, "passes") && strcmp(t[i].name, "operators") ? t[i].n : 0;
    }
    assert_int_equal(events, number(st, "instructions"));
    for (size_t u = 0; u < PL_COUNT(dma); u++)
        assert_int_equal(covered(t, n, dma[u]), number(get(get(st, "units"), dma[u]), "busy"));
    json_array_foreach(get(root, "traceEvents"), k, e)
        if (!strcmp(json_string_value(get(e, "name")), "HBM bytes in 100 cycles"))
            bytes += sum_members(get(e, "args"));
    const uint64_t moved = number(st, "hbm_read_bytes") + number(st, "hbm_write_bytes");
    assert_int_equal(bytes, moved);
    /* The ceiling is the preset's: 460.8 GB/s at 1 GHz. */
    const double share = json_real_value(get(get(get(st, "explain"), "shares"), "hbm"));
    assert_true(fabs(share * 460.8 * (double)number(st, "cycles") - (double)moved) < 1);
    for (size_t i = 0; i < n; i++)
        free(t[i].at);
    json_decref(out);
    json_decref(root);
}

/* ---- the text trace ---- */
struct line {
    uint64_t seq, issue, start, end;
};

static size_t read_lines(const char *name, struct line **out)
{
    char *text = contents(name), *s = strchr(text, '\n');
    assert_non_null(s);
    size_t n = 0;
    *out = calloc(strlen(text) / 8 + 1, sizeof **out);
    for (s++; *s; s = strchr(s, '\n') + 1) {
        uint64_t v[6]; /* the last two: pc, word */
        for (unsigned k = 0; k < 6; k++, s++) {
            char *end;
            v[k] = strtoull(s, &end, k == 5 ? 16 : 10);
            assert_true(end > s && *end == ' ');
            s = end;
        }
        assert_true(*s >= 'A' && *s <= 'Z'); /* the instruction */
        (*out)[n++] = (struct line){v[0], v[1], v[2], v[3]};
    }
    free(text);
    return n;
}

TEST(test_text_trace)
{
    (void)state;
    struct line *l;
    const size_t n = read_lines("t.txt", &l);
    assert_true(says("t.txt", "# seq issue start end pc word instruction\n"));
    assert_int_equal(n, number(stats, "instructions"));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(l[i].seq, i);
        assert_true(l[i].issue <= l[i].start && l[i].start < l[i].end && l[i].end <= number(stats, "cycles"));
        assert_true(!i || l[i].issue > l[i - 1].issue);
    }
    free(l);
}

/* A window holds exactly what touches it. */
TEST(test_trace_window)
{
    (void)state;
    assert_int_equal(plena("run agent-0.8m --machine small --prompt user: --max-tokens 2 --json --chrome-trace w.json --trace w.txt"
                           " --trace-from 20000 --trace-to 21000"), 0);
    struct line *all, *some;
    const size_t n_all = read_lines("t.txt", &all), n_some = read_lines("w.txt", &some);
    size_t k = 0;
    for (size_t i = 0; i < n_all; i++)
        if (all[i].issue < 21000 && all[i].end > 20000) {
            assert_true(k < n_some);
            assert_memory_equal(&some[k], &all[i], sizeof *all);
            k++;
        }
    assert_int_equal(k, n_some);
    assert_true(k > 100 && k < n_all / 10);
    json_t *w = load("w.json"), *e;
    size_t i, spans = 0;
    json_array_foreach(get(w, "traceEvents"), i, e)
    {
        if (!json_object_get(e, "ts"))
            continue;
        const uint64_t from = cycles_of(json_number_value(get(e, "ts")));
        if (json_object_get(e, "dur")) {
            assert_true(from < 21000 && from + cycles_of(json_number_value(get(e, "dur"))) > 20000);
            spans++;
        } else {
            assert_true(from + 100 > 20000 && from < 21000 + 100);
        }
    }
    assert_true(spans > 100);
    json_decref(w);
    free(all);
    free(some);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chrome_units),
        cmocka_unit_test(test_chrome_operators),
        cmocka_unit_test(test_chrome_counters),
        cmocka_unit_test(test_banks),
        cmocka_unit_test(test_text_trace),
        cmocka_unit_test(test_trace_window),
    };
    return cmocka_run_group_tests(tests, simulate, clean);
}
