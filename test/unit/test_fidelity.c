/* test_fidelity.c - the closed form against the timing plane at reduced size, and what design-space exploration needs of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <math.h>

#include "test.h"

#include "fidelity.h"
#include "plena/perf_system.h"

static struct pl_diag d;

/* The bars: mean 3 %, largest 10 %, per operator and total. The quick cases; all of them: plena bench fidelity. */
TEST(test_closed_form_meets_the_simulator)
{
    (void)state;
    double sum = 0;
    unsigned n = 0;
    for (size_t i = 0; i < fidelity_cases(); i++) {
        struct fidelity f;
        if (!fidelity_is_quick(i))
            continue;
        OK(fidelity_case(i, &f, &d));
        print_message("%-60s total %.2f %%, operators mean %.2f %%, largest %.2f %% (%s)\n", f.name, 100 * f.error, 100 * f.op_mean,
                      100 * f.op_max, pl_perf_op_name(f.worst));
        assert_true(f.error <= 0.10);
        if (f.op_max > 0.10)
            fail_msg("%s: %s is off by %.1f %%", f.name, pl_perf_op_name(f.worst), 100 * f.op_max);
        sum += f.error + f.op_mean * f.n_judged;
        n += 1 + f.n_judged;
    }
    assert_true(n > 100);
    assert_true(sum / n <= 0.03);
}

/* The request is the sum of its passes: the lattice sums against one pass after the other. */
TEST(test_sums_are_their_terms)
{
    (void)state;
    static const struct {
        const char *machine;
        uint32_t prompt, output, chunk;
        uint32_t window;
    } at[] = {{"paper", 5000, 3000, 64, 0}, {"small", 777, 100, 16, 0}, {"wide_vector", 130, 70, 32, 0}, {"narrow_vector", 64, 1, 1, 0},
              {"paper", 5000, 3000, 64, 4096}, {"small", 777, 300, 16, 128}, {"small", 40, 200, 16, 100}};
    struct pl_model_config m;
    assert_true(pl_perf_known("llama-3.1-8b", &m));
    m.n_layers = 2;
    for (size_t i = 0; i < PL_COUNT(at); i++) {
        struct pl_arch a;
        struct pl_perf_pass p, step;
        struct pl_perf_time t;
        double ttft = 0, decode = 0;
        m.window = at[i].window;
        m.windowed[0] = at[i].window ? 1 : 0;
        OK(pl_arch_load(at[i].machine, &a, &d));
        OK(pl_arch_set(&a, "vector_rows=1048576", &d));
        OK(pl_perf_pass(&a, &m, at[i].chunk, &p, &d));
        OK(pl_perf_pass(&a, &m, 1, &step, &d));
        OK(pl_perf_eval(&a, &m, &(struct pl_perf_job){at[i].prompt, at[i].output, 1, at[i].chunk}, &t, &d));
        for (uint64_t end = p.rows; end < at[i].prompt + p.rows; end += p.rows)
            ttft += pl_perf_pass_cycles(&p, end - 1);
        for (uint64_t k = 0; k < at[i].output; k++)
            decode += pl_perf_pass_cycles(&step, at[i].prompt + k);
        NEAR(t.ttft_cyc / ttft, 1, 1e-12); /* double sums of at most 10^4 terms */
        NEAR(t.decode_cyc / decode, 1, 1e-12);
    }
}

/* A batch of sequences of one length is the job's decode; of mixed lengths, the sum over their tiles. */
TEST(test_batches)
{
    (void)state;
    struct pl_arch a;
    struct pl_model_config m;
    struct pl_perf_pass p, one;
    struct pl_perf_time t;
    const uint64_t equal[4] = {5000, 5000, 5000, 5000}, mixed[4] = {5000, 100, 9000, 2048};
    OK(pl_arch_load("paper", &a, &d));
    assert_true(pl_perf_known("llama-3.1-8b", &m));
    OK(pl_perf_batch_pass(&a, &m, 4, &p, &d));
    OK(pl_perf_batch_pass(&a, &m, 1, &one, &d));
    OK(pl_perf_eval(&a, &m, &(struct pl_perf_job){5000, 1, 4, 64}, &t, &d));
    NEAR(t.decode_cyc, pl_perf_batch_cycles(&p, equal, 4), 1e-3);
    NEAR(t.tps * t.step_s, 4, 1e-9);
    assert_true(t.array_share > 0.3 && t.array_share < 1 && t.hbm_share > 0.1 && t.hbm_share < 1);
    NEAR(pl_perf_batch_cycles(&p, mixed, 4), p.fixed_cyc + (2 + 0 + 4 + 1) * p.tile_cyc, 1e-3); /* tiles of 2048 tokens */
    /* Weights are read once for all four; each has its own cache. */
    assert_true(p.fixed_cyc < 4 * one.fixed_cyc && p.fixed_cyc > one.fixed_cyc);
    REFUSED(PL_EUNSUPPORTED, "cannot hold 65536 rows", pl_perf_batch_pass(&a, &m, 65536, &p, &d));
}

/* Shards: what tensor-parallel devices leave to each; a model that does not fit, or not divide, is refused. */
TEST(test_schedule_on_devices)
{
    (void)state;
    struct pl_arch a;
    struct pl_model_config m, shard;
    struct pl_system s;
    struct pl_schedule v, w;
    const struct pl_serve_job job = {16, 90000, 8000};
    OK(pl_arch_load("paper", &a, &d));
    OK(pl_system_load("plena", &s, &d));
    assert_true(pl_perf_known("llama-3.3-70b", &m));
    OK(pl_perf_shard(&m, 8, &shard, &d));
    assert_int_equal(shard.n_heads, 8);
    assert_int_equal(shard.n_kv_heads, 1);
    assert_int_equal(shard.ffn, 3584);
    assert_int_equal(shard.hidden, 8192);
    REFUSED(PL_ERANGE, "tp 3", pl_perf_shard(&m, 3, &shard, &d));
    REFUSED(PL_EUNSUPPORTED, "does not fit", pl_serve_schedule(&s, &a, &(struct pl_perf_split){16, 1, 1, 1, 1}, &m, &job, &v, &d));
    REFUSED(PL_EUNSUPPORTED, "only dp and tp", pl_serve_schedule(&s, &a, &(struct pl_perf_split){1, 2, 8, 1, 1}, &m, &job, &v, &d));
    OK(pl_serve_schedule(&s, &a, &(struct pl_perf_split){2, 1, 8, 1, 1}, &m, &job, &v, &d));
    NEAR(v.serve.step_s, v.device_s + v.links_s, 1e-12);
    NEAR(v.serve.tps, 16 / v.serve.step_s, 1e-9);
    assert_true(v.hbm_share > 0 && v.hbm_share <= 1 && v.largest_share > 0 && v.largest_share < 1);
    s.link_us = 0; /* no latency, and links as fast as one likes: the devices' time is left */
    s.link_gbs = 1e6;
    OK(pl_serve_schedule(&s, &a, &(struct pl_perf_split){2, 1, 8, 1, 1}, &m, &job, &w, &d));
    assert_true(w.device_s <= v.device_s && w.links_s < v.links_s / 100);
}

TEST(test_no_allocation)
{
    (void)state;
    struct pl_arch a;
    struct pl_model_config m;
    struct pl_perf_time t;
    const struct pl_perf_job job = {90000, 8000, 1, 64};
    OK(pl_arch_load("paper", &a, &d));
    assert_true(pl_perf_known("llama-3.3-70b", &m));
    const struct mallinfo2 before = mallinfo2();
    for (unsigned i = 0; i < 100; i++)
        OK(pl_perf_eval(&a, &m, &job, &t, &d));
    const struct mallinfo2 after = mallinfo2();
    assert_true(before.uordblks == after.uordblks && before.fordblks == after.fordblks && before.hblkhd == after.hblkhd);
}

/* More work is never faster: context, bandwidth, layers, experts. */
TEST(test_monotone)
{
    (void)state;
    struct pl_arch a;
    struct pl_model_config m;
    struct pl_perf_pass p, q;
    OK(pl_arch_load("paper", &a, &d));
    for (size_t i = 0; pl_perf_known_name(i); i++) {
        assert_true(pl_perf_known(pl_perf_known_name(i), &m));
        for (uint32_t rows = 1; rows <= 16; rows *= 16) {
            OK(pl_perf_pass(&a, &m, rows, &p, &d));
            assert_true(p.fixed_cyc > 0 && p.tile_cyc > 0 && isfinite(p.fixed_cyc));
            assert_true(pl_perf_pass_cycles(&p, 100000) > pl_perf_pass_cycles(&p, 1000));
            struct pl_arch slow = a;
            OK(pl_arch_set(&slow, "hbm_bandwidth=100", &d));
            OK(pl_perf_pass(&slow, &m, rows, &q, &d));
            assert_true(q.fixed_cyc >= p.fixed_cyc && q.tile_cyc >= p.tile_cyc);
            /* All bytes of a step pass the interface. */
            assert_true(q.fixed_cyc >= 0.99 * q.fixed_bytes / 100 && q.tile_cyc >= 0.99 * q.tile_bytes / 100);
        }
    }
    const struct pl_perf_job none = {0, 1, 1, 1};
    struct pl_perf_time t;
    REFUSED(PL_ERANGE, "at least 1", pl_perf_eval(&a, &m, &none, &t, &d));
    OK(pl_arch_set(&a, "vector_rows=64", &d));
    REFUSED(PL_EUNSUPPORTED, "cannot hold", pl_perf_pass(&a, &m, 1, &p, &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_form_meets_the_simulator),
        cmocka_unit_test(test_sums_are_their_terms),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_schedule_on_devices),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_monotone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
