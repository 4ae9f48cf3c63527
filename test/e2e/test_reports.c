/* test_reports.c - what plena sim and plena run report agrees with itself: tables, JSON, CSV, both traces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/test.h"

#include "plena/base_json.h"

static struct pl_diag d;
static char folder[] = "/tmp/plena-reports-XXXXXX";

/* Run plena in `folder`; standard output to "out", errors to "err". Returns the exit code. */
static int plena(const char *args)
{
    char command[2048];
    snprintf(command, sizeof command, "cd %s && OMP_WAIT_POLICY=passive '%s' %s >out 2>err", folder, PL_PLENA, args);
    const int rc = system(command);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static char *in_folder(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static char *contents(const char *name) /* caller frees */
{
    struct pl_map m;
    OK(pl_file_map(in_folder(name), &m, &d));
    char *s = malloc(m.len + 1);
    assert_non_null(s);
    memcpy(s, m.data, m.len);
    s[m.len] = 0;
    pl_file_unmap(&m);
    return s;
}

static bool says(const char *name, const char *words)
{
    char *s = contents(name);
    const bool found = strstr(s, words) != NULL;
    free(s);
    return found;
}

static json_t *load(const char *name)
{
    json_t *o;
    OK(pl_json_load(in_folder(name), &o, &d));
    return o;
}

static json_t *get(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    if (!v)
        fail_msg("there is no member %s", key);
    return v;
}

static uint64_t number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(get(o, key));
}

static uint64_t sum_members(const json_t *o)
{
    uint64_t sum = 0;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
        sum += (uint64_t)json_integer_value(v);
    return sum;
}

/* ---- one run that the tests look at from every side ---- */
static json_t *stats, *trace;

static int simulate(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    if (plena("run agent-0.8m --machine small --prompt user: --max-tokens 2 --hot 1000000 --json --chrome-trace c.json --trace t.txt"
              " --roofline-csv r.csv --roofline-svg r.svg") != 0)
        return -1;
    stats = json_incref(get(load("out"), "stats"));
    trace = load("c.json");
    return 0;
}

static int clean(void **state)
{
    (void)state;
    char command[300];
    json_decref(stats);
    json_decref(trace);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

TEST(test_operators_add_up)
{
    (void)state;
    static const char *const unit[] = {"matrix", "write_out", "vector", "scalar", "control"};
    uint64_t cycles = 0, insns = 0, bytes = 0, macs = 0, data_macs = 0, busy[PL_COUNT(unit)] = {0}, front = 0;
    size_t i;
    json_t *op;
    json_array_foreach(get(stats, "operators"), i, op)
    {
        cycles += number(op, "cycles");
        insns += number(op, "instructions");
        bytes += number(op, "hbm_bytes");
        macs += number(op, "macs");
        data_macs += number(op, "data_macs");
        front += sum_members(get(op, "stall_cycles"));
        for (size_t u = 0; u < PL_COUNT(unit); u++)
            busy[u] += (uint64_t)json_integer_value(json_object_get(get(op, "busy_cycles"), unit[u]));
        const json_t *roof = get(op, "roofline");
        if (!number(op, "data_macs"))
            continue;
        const double attained = (double)number(op, "data_macs") / (double)number(op, "cycles");
        const double ceiling = number(op, "hbm_bytes") ? fmin(256, 128.0 * (double)number(op, "data_macs") / (double)number(op, "hbm_bytes")) : 256;
        assert_true(fabs(json_real_value(get(roof, "macs_per_cycle")) - attained) < 1e-9);
        assert_true(fabs(json_real_value(get(roof, "ceiling")) - ceiling) < 1e-9);
        assert_true(fabs(json_real_value(get(roof, "of_ceiling")) - attained / ceiling) < 1e-9);
        assert_true(attained <= 256);
        assert_true(json_is_null(get(roof, "macs_per_byte")) == !number(op, "hbm_bytes"));
    }
    assert_int_equal(cycles, number(stats, "cycles"));
    assert_int_equal(front, number(stats, "cycles"));
    assert_int_equal(insns, number(stats, "instructions"));
    assert_int_equal(bytes, number(stats, "hbm_read_bytes") + number(stats, "hbm_write_bytes"));
    assert_int_equal(macs, number(stats, "macs"));
    assert_int_equal(data_macs, number(get(stats, "events"), "macs"));
    for (size_t u = 0; u < PL_COUNT(unit); u++)
        assert_int_equal(busy[u], number(get(get(stats, "units"), unit[u]), "busy"));
}

TEST(test_units_add_up)
{
    (void)state;
    const char *name;
    json_t *u;
    json_object_foreach(get(stats, "units"), name, u)
        assert_int_equal(number(u, "busy") + sum_members(get(u, "idle")), number(stats, "cycles"));
    assert_int_equal(json_object_size(get(stats, "units")), 8);
}

/* Layers of one model are alike; together they are the run but for embedding, final norm and head. */
TEST(test_layers_add_up)
{
    (void)state;
    uint64_t cycles = 0, insns = 0, bytes = 0;
    size_t i;
    json_t *l;
    const json_t *list = get(stats, "layers");
    json_array_foreach((json_t *)(uintptr_t)list, i, l)
    {
        cycles += number(l, "cycles");
        insns += number(l, "instructions");
        bytes += number(l, "hbm_bytes");
        assert_int_equal(number(l, "instructions"), number(json_array_get(list, 0), "instructions"));
    }
    assert_int_equal(i, 4);
    uint64_t of_ops = 0, insns_of_ops = 0;
    json_array_foreach(get(stats, "operators"), i, l)
    {
        const char *name = json_string_value(get(l, "name"));
        if (!strncmp(name, "attention.", 10) || !strncmp(name, "mlp.", 4)) {
            of_ops += number(l, "hbm_bytes");
            insns_of_ops += number(l, "instructions");
        }
    }
    assert_true(cycles < number(stats, "cycles") && cycles > number(stats, "cycles") * 9 / 10);
    assert_int_equal(bytes, of_ops);
    assert_true(insns >= insns_of_ops && insns - insns_of_ops < 100); /* and the loop over layers */
}

TEST(test_hot_words_add_up)
{
    (void)state;
    uint64_t count = 0, waits = 0, last = UINT64_MAX, front_waits = 0;
    size_t i;
    json_t *h;
    json_array_foreach(get(stats, "hot"), i, h)
    {
        const uint64_t cyc = number(h, "count") + number(h, "stall_cycles");
        assert_true(cyc <= last);
        last = cyc;
        count += number(h, "count");
        waits += number(h, "stall_cycles");
    }
    const json_t *front = get(stats, "front_end");
    front_waits = sum_members(front) - number(front, "issue") - (uint64_t)json_integer_value(json_object_get(front, "drain"));
    assert_int_equal(count, number(stats, "instructions"));
    assert_int_equal(waits, front_waits);
}

TEST(test_explain)
{
    (void)state;
    const json_t *e = get(stats, "explain"), *units = get(stats, "units");
    const char *unit = json_string_value(get(e, "unit"));
    assert_string_equal(unit, "matrix");
    assert_int_equal(number(e, "lost_cycles"), number(stats, "cycles") - number(get(units, unit), "busy"));
    uint64_t last = UINT64_MAX, sum = 0;
    size_t i;
    json_t *c;
    json_array_foreach(get(e, "causes"), i, c)
    {
        const char *cause = json_string_value(get(c, "cause"));
        assert_int_equal(number(c, "cycles"), number(get(get(units, unit), "idle"), cause));
        assert_int_equal(number(c, "unit_cycles"), number(get(get(units, json_string_value(get(c, "unit"))), "idle"), cause));
        assert_true(number(c, "cycles") <= last);
        last = number(c, "cycles");
        sum += last;
        size_t k, found = 0;
        json_t *op;
        json_array_foreach(get(stats, "operators"), k, op)
        {
            const uint64_t cyc = (uint64_t)json_integer_value(json_object_get(get(op, "stall_cycles"), cause));
            assert_true(cyc <= number(c, "operator_cycles"));
            found += !strcmp(json_string_value(get(op, "name")), json_string_value(get(c, "operator"))) && cyc == number(c, "operator_cycles");
        }
        assert_int_equal(found, 1);
    }
    assert_int_equal(i, 5);
    /* No cause left out is larger than the last shown. */
    const char *key;
    json_t *v;
    size_t larger = 0;
    json_object_foreach(get(get(units, unit), "idle"), key, v)
        larger += (uint64_t)json_integer_value(v) > last;
    assert_true(larger <= 4);
    assert_true(sum <= number(e, "lost_cycles"));
    const json_t *share = get(e, "shares");
    assert_true(fabs(json_real_value(get(share, "array")) * (double)number(stats, "cycles") - (double)number(get(units, "matrix"), "busy")) < 0.5);
    const char *wall = json_string_value(get(e, "wall"));
    json_object_foreach((json_t *)(uintptr_t)share, key, v)
        assert_true(strcmp(wall, "latency") ? json_real_value(v) <= json_real_value(get(share, wall)) : json_real_value(v) < 0.5);
}

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

/* ---- files and tables ---- */
TEST(test_roofline_csv)
{
    (void)state;
    char *text = contents("r.csv");
    assert_int_equal(strncmp(text, "operator,cycles,macs,hbm_bytes,macs_per_byte,macs_per_cycle,ceiling,of_ceiling,bound\r\n", 86), 0);
    unsigned long long sum[3] = {0}, v[3] = {0};
    size_t rows = 0;
    for (char *s = strchr(text, '\n') + 1; *s; s = strchr(s, '\n') + 1) {
        const bool total = !strncmp(s, "total,", 6);
        assert_int_equal(sscanf(strchr(s, ','), ",%llu,%llu,%llu", &v[0], &v[1], &v[2]), 3);
        for (unsigned k = 0; k < 3 && !total; k++)
            sum[k] += v[k];
        rows++;
    }
    assert_memory_equal(sum, v, sizeof v); /* the last row is the total */
    assert_int_equal(v[0], number(stats, "cycles"));
    assert_int_equal(v[2], number(stats, "hbm_read_bytes") + number(stats, "hbm_write_bytes"));
    assert_int_equal(rows, 12);
    assert_true(says("r.svg", "<svg xmlns") && says("r.svg", ">mlp.down_proj</text>") && says("r.svg", "</svg>\n"));
    free(text);
}

/* Numbers of one row of a table, without their commas. */
static size_t row_numbers(const char *text, const char *name, uint64_t *out, size_t cap)
{
    size_t n = 0;
    const char *s = strstr(text, name);
    assert_non_null(s);
    for (s += strlen(name); *s && *s != '\n' && n < cap;) {
        if (*s < '0' || *s > '9') {
            s++;
            continue;
        }
        for (out[n] = 0; (*s >= '0' && *s <= '9') || *s == ','; s++)
            out[n] = *s == ',' ? out[n] : 10 * out[n] + (uint64_t)(*s - '0');
        n++;
    }
    return n;
}

static const char hand[] = "S_ADDI_INT gp1, gp0, 64\n" /* line 1 */
                           "// nothing\n"
                           "C_LOOP_START gp2, 5\n"      /* 3 */
                           "V_ADD_VV gp1, gp1, gp1, 0\n" /* 4: waits for itself */
                           "C_LOOP_END gp2\n"
                           "C_HALT\n";

TEST(test_hand_written)
{
    (void)state;
    OK(pl_file_write(in_folder("hand.asm"), hand, sizeof hand - 1, &d));
    assert_int_equal(plena("sim hand.asm --machine tiny --units --operators --layers --hot 2 --roofline --explain"), 0);
    char *out = contents("out");
    /* On line 4: five times, and four times the rest of the latency of 6. */
    assert_non_null(strstr(out, "pc  line  operator  instruction                count  waits  cycles   share\n"
                                " 2     4  (other)   V_ADD_VV gp1, gp1, gp1, 0      5     16      21  "));
    assert_non_null(strstr(out, "The image marks no layers."));
    assert_non_null(strstr(out, "Lost time: the vector unit is idle")); /* there are no products */
    assert_non_null(strstr(out, "vector result: an operand is still in the vector pipeline.\n  What would remove it: "));
    uint64_t sum[9] = {0}, v[9];
    const char *table = strstr(out, "\nidle for ");
    assert_non_null(table);
    assert_int_equal(row_numbers(table, "\n(busy)", sum, 8), 8);
    for (const char *s = strstr(table, "\nissue"); strncmp(s, "\ntotal", 6) != 0; s = strchr(s + 1, '\n')) {
        assert_int_equal(row_numbers(s, "\n", v, 9), 9);
        for (unsigned k = 0; k < 9; k++)
            sum[k] += v[k];
    }
    assert_int_equal(row_numbers(table, "\ntotal", v, 9), 9);
    assert_memory_equal(sum, v, sizeof v);
    free(out);
    assert_int_equal(plena("sim hand.asm --machine tiny --json --hot"), 0);
    json_t *o = load("out");
    assert_int_equal(number(json_array_get(get(get(o, "stats"), "hot"), 0), "line"), 4);
    json_decref(o);
}

TEST(test_refusals)
{
    (void)state;
    OK(pl_file_write(in_folder("hand.asm"), hand, sizeof hand - 1, &d));
    assert_int_equal(plena("sim hand.asm --trace-from 5"), 2);
    assert_true(says("err", "--trace-from and --trace-to need --trace or --chrome-trace"));
    assert_int_equal(plena("sim hand.asm --trace t --trace-from 5 --trace-to 5"), 2);
    assert_true(says("err", "--trace-to 5 is not after --trace-from 5"));
    assert_int_equal(plena("sim hand.asm --chrome-trace no/such/folder"), 3);
    assert_true(says("err", "no/such/folder: No such file"));
    assert_int_equal(plena("sim hand.asm --roofline-svg no/such/folder"), 3);
    assert_int_equal(plena("sim hand.asm --hot=x"), 2);
    assert_true(says("err", "--hot: expected a number"));
    if (access("/dev/full", W_OK) != 0)
        return;
    assert_int_equal(plena("sim hand.asm --chrome-trace /dev/full"), 3);
    assert_true(says("err", "/dev/full: cannot be written"));
    assert_int_equal(plena("sim hand.asm --trace /dev/full"), 3);
    assert_true(says("err", "/dev/full: cannot be written"));
    assert_int_equal(plena("sim hand.asm --roofline-csv /dev/full"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators_add_up), cmocka_unit_test(test_units_add_up),   cmocka_unit_test(test_layers_add_up),
        cmocka_unit_test(test_hot_words_add_up), cmocka_unit_test(test_explain),        cmocka_unit_test(test_chrome_units),
        cmocka_unit_test(test_chrome_operators), cmocka_unit_test(test_chrome_counters), cmocka_unit_test(test_text_trace),
        cmocka_unit_test(test_trace_window),     cmocka_unit_test(test_roofline_csv),   cmocka_unit_test(test_hand_written),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, simulate, clean);
}
