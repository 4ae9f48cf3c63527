/* test_hbm_params.c - HBM parameters, what is refused, address mapping. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/hbm.h"

static struct pl_hbm_params preset(const char *name)
{
    struct pl_diag d;
    struct pl_hbm_params p;
    OK(pl_hbm_preset(name, &p, &d));
    return p;
}

TEST(presets_have_their_peak)
{
    (void)state;
    static const struct {
        const char *name;
        double gbs;
        uint64_t bytes;
        uint32_t access;
    } want[] = {{"hbm2", 256, (uint64_t)8 << 30, 32},          {"hbm2e", 460.8, (uint64_t)16 << 30, 32},
                {"hbm3", 819.2, (uint64_t)16 << 30, 32},       {"hbm3e", 1228.8, (uint64_t)32 << 30, 32},
                {"dramsim3-hbm2", 256, (uint64_t)4 << 30, 64}, {"ramulator2.1-hbm2", 256, (uint64_t)16 << 30, 32}};
    for (size_t i = 0; i < PL_COUNT(want); i++) {
        struct pl_diag d;
        struct pl_hbm_params p = preset(want[i].name);
        assert_string_equal(pl_hbm_preset_name(i), want[i].name);
        assert_true(strlen(pl_hbm_preset_doc(i)) > 10);
        assert_true(pl_hbm_peak_gbs(&p) > 0.9999 * want[i].gbs && pl_hbm_peak_gbs(&p) < 1.0001 * want[i].gbs);
        assert_int_equal(pl_hbm_access_bytes(&p), want[i].access);
        assert_int_equal(pl_hbm_capacity(&p), want[i].bytes);
        p.stacks = 4;
        if (i != 4) /* its mapping names st as well */
            OK(pl_hbm_check_params(&p, &d));
        assert_true(pl_hbm_peak_gbs(&p) > 3.99 * want[i].gbs);
    }
    assert_null(pl_hbm_preset_name(6));
    assert_null(pl_hbm_preset_doc(6));
}

TEST(parameters_are_set_by_name_in_clocks_or_ns)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p = preset("hbm3"); /* 625 ps */
    OK(pl_hbm_set(&p, "trp=14ns", &d));
    assert_int_equal(p.trp, 23); /* 22.4 rounded up */
    OK(pl_hbm_set(&p, "timing.trp=15", &d));
    assert_int_equal(p.trp, 15);
    OK(pl_hbm_set(&p, "trefi=3900.5ns", &d));
    assert_int_equal(p.trefi, 6240); /* intervals round down */
    OK(pl_hbm_set(&p, "row_policy=closed", &d));
    assert_int_equal(p.row_policy, PL_HBM_ROW_CLOSED);
    REFUSED(PL_EUSAGE, "did you mean \"trp\"", pl_hbm_set(&p, "trpp=3", &d));
    REFUSED(PL_EUSAGE, "expected name=value", pl_hbm_set(&p, "trp", &d));
    REFUSED(PL_EPARSE, "timing.trp: expected an integer or a time like 14ns, found \"x\"", pl_hbm_set(&p, "trp=x", &d));
    REFUSED(PL_EPARSE, "organisation.rows: expected an integer, found \"3ns\"", pl_hbm_set(&p, "rows=3ns", &d));
    REFUSED(PL_ERANGE, "timing.trp: found 999, allowed 1..400 tCK", pl_hbm_set(&p, "trp=999", &d));
    REFUSED(PL_EPARSE, "refresh.refresh: found \"all\", allowed: none|all_bank|per_bank", pl_hbm_set(&p, "refresh=all", &d));
    REFUSED(PL_EPARSE, "expected a number", pl_hbm_set(&p, "clock_ps=fast", &d));
    REFUSED(PL_ERANGE, "clock_ps: found 1, allowed 50..100000 ps", pl_hbm_set(&p, "clock_ps=1", &d));
    REFUSED(PL_EUSAGE, "did you mean \"hbm2e\"", pl_hbm_preset("hbm2ee", &p, &d));
    char long_text[200];
    memset(long_text, 'x', sizeof long_text);
    memcpy(long_text, "mapping=", 8);
    long_text[199] = 0;
    REFUSED(PL_ERANGE, "allowed at most 127", pl_hbm_set(&p, long_text, &d));
}

TEST(inconsistent_parameters_are_refused)
{
    (void)state;
    static const struct {
        const char *set, *says;
    } bad[] = {
        {"burst=4", "organisation.peak_gbs: found 256 GB/s claimed for a stack, allowed 128"},
        {"width=32", "organisation.peak_gbs: found 256 GB/s claimed for a stack, allowed 128"},
        {"clock_ps=500", "allowed 512"},
        {"tccd_s=4", "timing.tccd_s: found 4, allowed at most burst = 2: it would hold a stack to 128 of 256 GB/s"},
        {"trc=47", "timing.trc: found 47, allowed at least 48 (tras + trp)"},
        {"tras=10", "timing.tras: found 10, allowed at least 14 (trcd_rd)"},
        {"trrd_l=3", "timing.trrd_l: found 3, allowed at least 4 (trrd_s)"},
        {"act_cyc=4|trrd_s=3", "timing.trrd_s: found 3, allowed at least 4 (act_cyc)"},
        {"tccd_l=1|tccd_s=2", "timing.tccd_l: found 1, allowed at least 2 (tccd_s)"},
        {"twtr_l=1", "timing.twtr_l"},
        {"trtp_l=1", "timing.trtp_l"},
        {"trtw=11", "timing.trtw: found 15, allowed at least 16 (with tcwl: tcl + burst"},
        {"tcwl=100|trtw=1", "timing.trtw: found 1, allowed at least 2 (burst)"},
        {"tfaw=3", "timing.tfaw"},
        {"trefi=400", "refresh.trefi: found 400, allowed at least 412"},
        {"refresh=per_bank|trefi_pb=10", "refresh.trefi_pb: found 10, allowed at least 16 (2 trrefd)"},
        {"refresh=per_bank|trfc_pb=5000", "refresh.trefi_pb (times the banks): found 1952"},
        {"drain_low=80", "controller.drain_low: found 80 %, allowed below drain_high = 80 %"},
        {"channels=6", "organisation.channels: found 6, allowed: powers of two"},
        {"bank_groups=8|banks=8", "allowed at most 32 banks"},
        {"columns=2", "organisation.columns: found 2, allowed at least 4 (burst_length)"},
        {"width=1024", "makes accesses of 512 bytes, allowed 16..256"},
        {"mapping=ro co[4:2] ba bg pc co[1] ch", "frontend.mapping: bit 0 of co (5 bits) is not found in"},
        {"mapping=ro co ba bg pc ch ba", "frontend.mapping: found bit 1 of ba twice"},
        {"mapping=ro co[9:0] ba bg pc ch", "frontend.mapping: found \"co[9:0]\", allowed bits of co: 4..0"},
        {"mapping=ro co[x] ba", "expected a field like co, co[3] or co[4:2]"},
        {"mapping=row co", "frontend.mapping: found field \"row\", allowed: st ch pc bg ba ro co"},
        {"hash=bg+co1", "frontend.hash: found \"bg+co1\", expected a hash like bg^co1"},
        {"hash=bg^co1x", "expected a hash like bg^co1"},
        {"hash=bg^xx1", "frontend.hash: found field \"xx\""},
        {"hash=bg^ba0 ba^bg0", "allowed: no field on both sides"},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_diag d;
        struct pl_hbm_params p = preset("hbm2");
        char set[128];
        snprintf(set, sizeof set, "%s", bad[i].set);
        for (char *s = strtok(set, "|"); s; s = strtok(NULL, "|"))
            OK(pl_hbm_set(&p, s, &d));
        d.text[0] = 0;
        if (pl_hbm_check_params(&p, &d) == PL_OK || !strstr(d.text, bad[i].says))
            fail_msg("%s: \"%s\", wanted \"%s\"", bad[i].set, d.text, bad[i].says);
    }
    struct pl_diag d;
    struct pl_hbm_params p = preset("hbm2");
    p.refresh = 7;
    REFUSED(PL_ERANGE, "refresh.refresh: found choice 7", pl_hbm_check_params(&p, &d));
    p = preset("hbm2");
    p.trp = 0;
    REFUSED(PL_ERANGE, "timing.trp: found 0, allowed 1..400 tCK", pl_hbm_check_params(&p, &d));
}

TEST(mapping_puts_bits_where_it_says)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_place a;
    struct pl_hbm_params p = preset("dramsim3-hbm2"); /* st ro bg ba ch co, 16 accesses of 64 bytes in a row */
    const uint64_t addr = ((((((uint64_t)77 * 4 + 2) * 4 + 3) * 8 + 5) * 16) + 9) * 64;
    OK(pl_hbm_map(&p, addr + 63, &a, &d));
    assert_int_equal(a.row, 77);
    assert_int_equal(a.group, 2);
    assert_int_equal(a.bank, 3);
    assert_int_equal(a.channel, 5);
    assert_int_equal(a.column, 9);
    assert_int_equal(a.pseudo + a.stack, 0);
    p.stacks = 2;
    OK(pl_hbm_map(&p, addr + ((uint64_t)4 << 30), &a, &d));
    assert_int_equal(a.stack, 1);
    assert_int_equal(a.channel, 5);
    REFUSED(PL_ERANGE, "outside", pl_hbm_map(&p, (uint64_t)8 << 30, &a, &d));
    p = preset("ramulator2.1-hbm2"); /* both halves of line 1: channel 1; pc and group follow the column */
    OK(pl_hbm_map(&p, 64, &a, &d));
    assert_int_equal(a.channel, 1);
    assert_int_equal(a.pseudo, 0);
    OK(pl_hbm_map(&p, 96, &a, &d));
    assert_int_equal(a.channel, 1);
    assert_int_equal(a.pseudo, 1);
    assert_int_equal(a.column, 1);
    OK(pl_hbm_map(&p, 8 * 64, &a, &d));
    assert_int_equal(a.column, 2);
    assert_int_equal(a.group, 1);
}

TEST(mapping_is_one_to_one)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p = preset("hbm2");
    OK(pl_hbm_set(&p, "rows=16", &d));
    OK(pl_hbm_set(&p, "hash=pc^co0 bg^co1 ba^co3 ch^ro0", &d));
    const size_t n = pl_hbm_capacity(&p) / 32;
    unsigned char *seen = calloc(n, 1);
    assert_non_null(seen);
    for (size_t i = 0; i < n; i += 7) { /* 7 and the size have no common factor: every address would come, this is a seventh */
        struct pl_hbm_place a;
        OK(pl_hbm_map(&p, i * 32, &a, &d));
        const size_t k = ((((((size_t)a.row * 32 + a.column) * 8 + a.channel) * 2 + a.pseudo) * 4 + a.group) * 4) + a.bank;
        assert_true(k < n && !seen[k]);
        seen[k] = 1;
    }
    free(seen);
}

static void count(void *ctx, const char *section, const char *name, const char *value, bool number)
{
    (void)number;
    assert_true(section[0] && name[0]);
    assert_true(value[0] || !strcmp(name, "hash"));
    ++*(unsigned *)ctx;
}

TEST(every_parameter_is_explained)
{
    (void)state;
    struct pl_hbm_params p = preset("hbm3e");
    struct pl_buf b;
    unsigned n = 0, lines = 0;
    pl_hbm_each(&p, count, &n);
    pl_buf_init(&b);
    pl_hbm_help(&b);
    for (const char *s = b.data; (s = strstr(s, "\n      ")); s++)
        lines++;
    assert_int_equal(n, lines);
    assert_true(n > 45);
    assert_non_null(strstr(b.data, "all_bank"));
    pl_buf_fini(&b);
}

TEST(names_and_bindings)
{
    (void)state;
    char out[96];
    struct pl_hbm_params p = preset("hbm2");
    struct pl_hbm_stats s = {0};
    assert_string_equal(pl_hbm_op_name(PL_HBM_REFPB), "REFpb");
    assert_string_equal(pl_hbm_loss_name(PL_HBM_LOSS_CCD), "ccd_l");
    assert_string_equal(pl_hbm_op_name((enum pl_hbm_op)99), "?");
    assert_string_equal(pl_hbm_loss_name((enum pl_hbm_loss)99), "?");
    assert_non_null(strstr(pl_hbm_binding(&p, &s, out), "no accesses"));
    s = (struct pl_hbm_stats){.end_cyc = 1000, .busy_cyc = 15000, .span_cyc = 16000, .lost_cyc = {[PL_HBM_LOSS_TURN] = 1000}};
    assert_non_null(strstr(pl_hbm_binding(&p, &s, out), "turnaround"));
    s.blocked_cyc = 900;
    s.busy_cyc = s.span_cyc = 2000;
    assert_non_null(strstr(pl_hbm_binding(&p, &s, out), "mapping"));
    s.blocked_cyc = 0;
    assert_non_null(strstr(pl_hbm_binding(&p, &s, out), "injection"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_have_their_peak),
        cmocka_unit_test(parameters_are_set_by_name_in_clocks_or_ns),
        cmocka_unit_test(inconsistent_parameters_are_refused),
        cmocka_unit_test(mapping_puts_bits_where_it_says),
        cmocka_unit_test(mapping_is_one_to_one),
        cmocka_unit_test(every_parameter_is_explained),
        cmocka_unit_test(names_and_bindings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
