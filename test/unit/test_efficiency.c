/* test_efficiency.c - transfers are hidden: linear layers reach the array's peak or the achievable HBM bandwidth, and no
 * unit is idle for a cause without a name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "overlap.h"

static struct pl_diag d;

static struct overlap gemm(uint32_t m, uint32_t n, const char *weight)
{
    struct pl_arch paper;
    struct overlap v;
    OK(pl_arch_load("paper", &paper, &d));
    assert_string_equal(paper.hbm_model, "hbm3");
    OK(overlap_gemm(&paper, m, n, 4096, "mxint8:16", weight, &v, &d));
    print_message("%4u x %5u x 4096, %s: %llu cycles, array %.1f %%, HBM %.0f of %.0f bytes a cycle, %.1f %%\n", m, n, weight,
                  (unsigned long long)v.cycles, 100 * v.array_share, v.bytes_per_cycle, v.achievable, 100 * v.hbm_share);
    assert_int_equal(v.unnamed_cyc, 0);
    return v;
}

/* The least work: one tile a BLEN cycles and BLEN rows; every operand once, results once. */
static void same_work(const struct overlap *v, uint64_t m, uint64_t n, uint64_t k, uint64_t weight_bits)
{
    assert_int_equal(v->array_cyc, m / 32 * (n / 32) * (k / 2048) * 32);
    assert_int_equal(v->hbm_bytes, n * k * weight_bits / 8 + n * k / 16 + 2 * m * k + 2 * m * n);
}

TEST(compute_bound_layer_reaches_the_arrays_peak)
{
    (void)state;
    const struct overlap v = gemm(1024, 4096, "mxint4:16");
    same_work(&v, 1024, 4096, 4096, 4);
    assert_true(v.array_share >= 0.95);
    /* one block of rows is bound by the array too when weights have 4 bits */
    const struct overlap one = gemm(32, 65536, "mxint4:16");
    same_work(&one, 32, 65536, 4096, 4);
    assert_true(one.array_share >= 0.95);
}

TEST(hbm_bound_layer_reaches_the_achievable_bandwidth)
{
    (void)state;
    const struct overlap v = gemm(32, 65536, "mxint8:16");
    same_work(&v, 32, 65536, 4096, 8);
    assert_true(v.hbm_share >= 0.90);
    /* 4096 outputs are two sets of tiles: the first load and the last products have nothing to hide behind, and no more */
    const struct overlap two = gemm(32, 4096, "mxint8:16");
    const double load = (double)two.hbm_bytes / two.achievable, products = (double)two.array_cyc / 2;
    assert_true((double)two.cycles <= 1.1 * (load + products));
}

/* The shares of a decode step, for people; every cycle of every unit has a name. */
TEST(decode_step)
{
    (void)state;
    const char *shared = shared_path("models/stories260k"), *model = shared ? shared : source_path("examples/agent-0.8m");
    static const char *const machine[] = {"small", "medium", "paper"};
    for (size_t i = 0; i < PL_COUNT(machine); i++) {
        struct pl_arch arch;
        struct overlap_step s;
        OK(pl_arch_load(machine[i], &arch, &d));
        OK(overlap_decode(&arch, model, 63, &s, &d));
        assert_int_equal(s.all.unnamed_cyc, 0);
        print_message("decode on %s: %llu cycles, array %.1f %%, HBM %.1f %%; %zu of %zu operators bound by HBM, least %.1f %% (%s)\n",
                      machine[i], (unsigned long long)s.all.cycles, 100 * s.all.array_share, 100 * s.all.hbm_share, s.hbm_bound,
                      s.operators, 100 * s.least_share, s.least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compute_bound_layer_reaches_the_arrays_peak),
        cmocka_unit_test(hbm_bound_layer_reaches_the_achievable_bandwidth),
        cmocka_unit_test(decode_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
