/* test_reports.c - what plena sim and plena run report agrees with itself: tables, JSON, CSV. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "run_plena.h"

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
        /* What an operator leaves running (results, loads of gains) counts as its cycles, while the next one's products begin.
         * So the array's peak bounds the time the front end spends in an operator, and its cycles where they are no fewer. */
        const uint64_t own = sum_members(get(op, "stall_cycles"));
        assert_true(number(op, "data_macs") <= 256 * own);
        assert_true(attained <= 256 || own > number(op, "cycles"));
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

/* Every kind of product, batched ones with and without their write-out: as many slots as the array is busy for. */
TEST(test_products_of_every_kind)
{
    (void)state;
    static const char text[] =
        "C_SET_ADDR_REG a0, gp0, gp0\nS_ADDI_INT gp2, gp0, 4096\nC_SET_SCALE_REG gp2\nH_PREFETCH_M gp0, gp0, a0, 0, 0\n"
        "S_ADDI_INT gp1, gp0, 1024\nS_ADDI_INT gp3, gp0, 2048\nM_BMM gp0, gp0, gp1\nM_BMM_WO gp0, 0\nM_BTMM gp3, gp0, gp1\n"
        "M_BMV gp0, gp0, gp1\nM_BMV_WO gp0, 0\nM_MM 0, gp0, gp1\nM_MM_WO gp0, gp0, 0\nM_MV 0, gp0, gp1\nM_MV_WO gp0, 0\nC_HALT\n";
    OK(pl_file_write(in_folder("products.asm"), text, sizeof text - 1, &d));
    assert_int_equal(plena("sim products.asm --machine tiny --timing-only --json"), 0);
    json_t *o = load("out"), *st = get(o, "stats"), *op = json_array_get(get(st, "operators"), 0);
    const uint64_t slots = 2 * 16 * 16 * 16 + 16 * 4 * 16 + 2 * 4 * 4 * 16; /* two M_BMM, M_BMV, M_MM and M_MV */
    assert_int_equal(number(op, "macs"), slots);
    assert_int_equal(number(st, "macs"), slots);
    /* M_BMM and M_BMV, whose work is their write-out's, take a cycle themselves. */
    assert_int_equal((number(get(get(st, "units"), "matrix"), "busy") - 2) * 4 * 16, slots);
    assert_int_equal(number(op, "data_macs"), number(get(st, "events"), "macs"));
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
    assert_int_equal(plena("sim hand.asm --functional-only --explain"), 2);
    assert_true(says("err", "--functional-only counts no cycles to report"));
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
        cmocka_unit_test(test_operators_add_up),
        cmocka_unit_test(test_units_add_up),
        cmocka_unit_test(test_layers_add_up),
        cmocka_unit_test(test_hot_words_add_up),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_roofline_csv),
        cmocka_unit_test(test_hand_written),
        cmocka_unit_test(test_products_of_every_kind),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, simulate, clean);
}
