/* test_perf_cost.c - areas against synthesised anchors left out, energy of single events, the corners. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "test.h"

#include "plena/perf_cost.h"

static struct pl_diag d;

/* The bar: 10 % at points left out, of PEs, matrix machines and chips. The scalar machine is 0.3 % of a chip and misses it
 * (18 %): its anchors differ in more than the sizes they are listed with. */
TEST(test_anchors_left_out)
{
    (void)state;
    struct pl_perf_fit f;
    unsigned n = 0;
    for (; pl_perf_fit(n, &f); n++) {
        const bool scalar = !strcmp(f.group, "scalar machine");
        if (f.left_out_max > (scalar ? 0.20 : 0.10))
            fail_msg("%s: %.1f %% at the worst point left out", f.group, 100 * f.left_out_max);
        assert_true(f.left_out_mean < 0.05 && f.n >= 11);
    }
    assert_int_equal(n, 8);
}

/* cost.def holds what the anchors give: seven digits there, solved in double here. */
TEST(test_constants_are_the_fit)
{
    (void)state;
    struct pl_perf_fit f;
    struct pl_perf_constant c;
    for (unsigned n = 0; pl_perf_fit(n, &f); n++)
        for (unsigned k = 0; k < f.n_term; k++)
            for (size_t i = 0; pl_perf_constant(i, &c); i++)
                if (!strcmp(c.name, f.term[k]) && fabs(c.value[0] / f.value[k] - 1) > 2e-6)
                    fail_msg("%s: %.8g, fitted %.8g", c.name, c.value[0], f.value[k]);
}

TEST(test_constants_have_sources)
{
    (void)state;
    struct pl_perf_constant c;
    size_t n = 0;
    for (; pl_perf_constant(n, &c); n++)
        assert_true(c.source[0] && c.doc[0] && isfinite(c.value[0]) && isfinite(c.value[1]));
    assert_true(n > 40);
    enum pl_perf_corner corner;
    OK(pl_perf_corner_parse("paper", &corner, &d));
    assert_int_equal(corner, PL_PERF_PAPER);
    REFUSED(PL_EUSAGE, "synthesis and paper", pl_perf_corner_parse("slow", &corner, &d));
}

/* The paper corner is anchored at 0.237 mm2 of Table XI: 4 x 1024 MXINT4. */
TEST(test_paper_corner)
{
    (void)state;
    const struct pl_perf_shape s = {1024, 4, {0, 0}, {4, 4}, 12};
    struct pl_perf_matrix_area a;
    pl_perf_matrix_area(&s, PL_PERF_PAPER, &a);
    NEAR(a.total / 1e6, 0.237, 1e-5);
    pl_perf_matrix_area(&s, PL_PERF_SYNTHESIS, &a);
    assert_true(a.total / 1e6 > 0.40 && a.total / 1e6 < 0.48); /* the peer's own census: 0.440 */
    NEAR(a.pe + a.feed + a.tree + a.out + a.edge, a.total, 1e-6);
}

/* ASAP7 macros of the LEF: 256 x 4 x 64 bits 2359.86 um2, 64 x 4 x 16 bits 249.14. */
TEST(test_sram_macros)
{
    (void)state;
    NEAR(pl_perf_sram_area(16, 256), 249.14, 0.01);
    assert_true(pl_perf_sram_area(64, 1024) <= 2359.87);
    assert_true(pl_perf_sram_area(2048 * 4.25, 4096) / (2048 * 4.25 * 4096) > 0.0292); /* no denser than the bit cell */
}

TEST(test_area_of_machines)
{
    (void)state;
    struct pl_arch a;
    struct pl_perf_area s, wide;
    OK(pl_arch_load("paper", &a, &d));
    pl_perf_area(&a, PL_PERF_SYNTHESIS, &s);
    NEAR(s.matrix.total + s.vector + s.scalar + s.hbm_interface + s.top, s.logic, 1);
    NEAR(s.logic + s.matrix_sram + s.vector_sram + s.small_sram, s.total, 1);
    OK(pl_arch_set(&a, "act_format=mxfp8_e4m3:16", &d));
    pl_perf_area(&a, PL_PERF_SYNTHESIS, &wide);
    assert_true(wide.matrix.total > 2 * s.matrix.total); /* a floating PE is several integer ones */
}

static double joules(const struct pl_arch *a, enum pl_perf_corner c, const struct pl_perf_events *e, double cycles)
{
    struct pl_perf_energy p;
    pl_perf_energy(a, c, e, cycles, &p);
    return p.total;
}

TEST(test_energy)
{
    (void)state;
    struct pl_arch a;
    struct pl_perf_energy p;
    OK(pl_arch_load("paper", &a, &d));
    OK(pl_arch_set(&a, "act_format=mxint4:16", &d));
    const struct pl_perf_events none = {0}, bits = {.hbm_read_bits = 3e9, .hbm_write_bits = 1e9}, macs = {.macs = 1e9};
    assert_true(joules(&a, PL_PERF_SYNTHESIS, &none, 0) == 0);
    NEAR(joules(&a, PL_PERF_SYNTHESIS, &bits, 0), 4e9 * 3.9e-12, 1e-12);
    NEAR(joules(&a, PL_PERF_PAPER, &bits, 0), 4e9 * 3.43e-12, 1e-12);
    /* 1.3 (0.07 16/64 + 0.007 20/8 + 0.001 28) pJ */
    NEAR(joules(&a, PL_PERF_SYNTHESIS, &macs, 0), 0.0819e-3, 1e-9);
    pl_perf_energy(&a, PL_PERF_SYNTHESIS, &none, 1e9, &p); /* a second of nothing: leakage */
    struct pl_perf_area s;
    pl_perf_area(&a, PL_PERF_SYNTHESIS, &s);
    NEAR(p.watts, 0.03 * s.total / 1e6, 1e-9);
    NEAR(p.total, p.leakage, 1e-12);
}

/* Bottom-up power of the paper's device beside the 54.7 W that its Tok/J imply: within 10 %, with the SRAM that the published
 * estimate of 11.5 W had: two tiles, 260 rows. The HBM part is calibrated on those figures, the rest is not. */
TEST(test_power_of_the_paper_device)
{
    (void)state;
    struct pl_arch a;
    struct pl_perf_events e;
    struct pl_perf_energy p;
    OK(pl_arch_load("paper", &a, &d));
    const char *const set[] = {"act_format=mxint4:16", "matrix_tiles=4", "vector_rows=512", "hbm_bandwidth=1560", "vector_format=e6m5"};
    for (size_t i = 0; i < PL_COUNT(set); i++)
        OK(pl_arch_set(&a, set[i], &d));
    pl_perf_full_activity(&a, &e);
    pl_perf_energy(&a, PL_PERF_PAPER, &e, a.clock_hz, &p);
    print_message("%.2f W: compute %.2f, HBM %.2f; implied 54.7, 11.9, 42.8\n", p.watts, p.watts - p.hbm, p.hbm);
    NEAR(p.watts, 54.7, 5.47);
    NEAR(p.hbm, 42.8, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anchors_left_out), cmocka_unit_test(test_constants_are_the_fit), cmocka_unit_test(test_constants_have_sources),
        cmocka_unit_test(test_paper_corner),     cmocka_unit_test(test_sram_macros),           cmocka_unit_test(test_area_of_machines),
        cmocka_unit_test(test_energy),           cmocka_unit_test(test_power_of_the_paper_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
