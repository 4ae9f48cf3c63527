/* test_planes.c - the planes of the simulator agree, and fast-forward changes nothing: random programs on several machines. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/sim.h"
#include "random_program.h"

static struct pl_diag d;

static const struct {
    const char *machine, *set;
} machines[] = {{"small", NULL}, {"tiny", NULL}, {"narrow_vector", NULL}, {"wide_vector", "write_out_queue=1"}, {"small", "outstanding=1"},
               {"small", "hbm_model=hbm3"}, {"tiny", "hbm_model=dramsim3-hbm2"}, {"narrow_vector", "hbm_model=hbm2e"}};

static struct pl_sim *run(const struct pl_arch *arch, const struct pl_image *img, const struct pl_sim_options *opt)
{
    struct pl_sim *sim;
    enum pl_sim_stop stop;
    OK(pl_sim_new(arch, img, opt, &sim, &d));
    OK(pl_sim_run(sim, 0, &stop, &d));
    assert_int_equal(stop, PL_SIM_HALTED);
    return sim;
}

static void same_values(const struct pl_arch *arch, const struct pl_image *img, const struct pl_sim *x, const struct pl_sim *y)
{
    const size_t n = (size_t)arch->vlen * 512;
    float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
    uint8_t *p = malloc(img->hbm_bytes), *q = malloc(img->hbm_bytes);
    OK(pl_sim_read_vsram(x, 0, n, a, &d));
    OK(pl_sim_read_vsram(y, 0, n, b, &d));
    assert_memory_equal(a, b, n * sizeof *a);
    OK(pl_sim_read_hbm(x, 0, img->hbm_bytes, p, &d));
    OK(pl_sim_read_hbm(y, 0, img->hbm_bytes, q, &d));
    assert_memory_equal(p, q, img->hbm_bytes);
    for (unsigned r = 0; r < 16; r++)
        assert_int_equal(pl_sim_gp(x, r), pl_sim_gp(y, r));
    free(a);
    free(b);
    free(p);
    free(q);
}

/* Every statistic but how many instructions were counted instead of stepped, and NaN, which only values know. */
static void same_statistics(const struct pl_sim *x, const struct pl_sim *y)
{
    struct pl_sim_stats a = *pl_sim_stats(x), b = *pl_sim_stats(y);
    assert_int_equal(a.cycles, b.cycles);
    assert_int_equal(a.insns, b.insns);
    assert_memory_equal(a.op, b.op, a.n_op * sizeof *a.op);
    assert_memory_equal(a.pc, b.pc, a.n_pc * sizeof *a.pc);
    a.op = b.op = NULL;
    a.pc = b.pc = NULL;
    a.layer = b.layer = NULL;
    a.fast_forwarded = b.fast_forwarded = 0;
    a.sticky_nan = b.sticky_nan = false;
    assert_memory_equal(&a, &b, sizeof a);
    for (unsigned r = 0; r < 16; r++)
        assert_int_equal(pl_sim_gp(x, r), pl_sim_gp(y, r));
}

static void accounts_add_up(const struct pl_sim_stats *st)
{
    uint64_t front = 0;
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
        front += st->stall_cyc[c];
    assert_int_equal(front, st->cycles);
    assert_int_equal(st->stall_cyc[PL_SIM_ISSUE_CAUSE], st->insns);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        uint64_t all = st->busy_cyc[u];
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
            all += st->idle_cyc[u][c];
        assert_int_equal(all, st->cycles);
    }
    uint64_t macs = 0, data_macs = 0;
    for (size_t i = 0; i < st->n_op; i++) {
        macs += st->op[i].macs;
        data_macs += st->op[i].data_macs;
    }
    assert_int_equal(macs, st->macs);
    assert_int_equal(data_macs, st->events.macs);
}

static void with_machines(uint64_t seed, uint64_t budget, uint64_t *insns, uint64_t *forwarded, bool values)
{
    const size_t m = seed % PL_COUNT(machines);
    struct pl_arch arch;
    struct pl_arena a;
    struct pl_image img;
    OK(pl_arch_load(machines[m].machine, &arch, &d));
    if (machines[m].set)
        OK(pl_arch_set(&arch, machines[m].set, &d));
    pl_arena_init(&a);
    random_program(&a, &arch, seed, budget, &img);
    OK(pl_image_check(&img, &d));
    OK(pl_isa_check(img.code, img.n_code, &d));
    struct pl_sim *step = run(&arch, &img, &(struct pl_sim_options){.timing = true, .no_fast_forward = true});
    struct pl_sim *fast = run(&arch, &img, &(struct pl_sim_options){.timing = true});
    same_statistics(step, fast);
    accounts_add_up(pl_sim_stats(step));
    if (values) {
        struct pl_sim *both = run(&arch, &img, &(struct pl_sim_options){.timing = true, .functional = true});
        struct pl_sim *only = run(&arch, &img, &(struct pl_sim_options){.functional = true});
        same_statistics(step, both);
        same_values(&arch, &img, both, only);
        pl_sim_free(both);
        pl_sim_free(only);
    }
    *insns += pl_sim_stats(step)->insns;
    *forwarded += pl_sim_stats(fast)->fast_forwarded;
    pl_sim_free(step);
    pl_sim_free(fast);
    pl_arena_fini(&a);
}

/* 10^6 instructions here, 10^8 with PLENA_LONG. */
TEST(test_planes_agree)
{
    (void)state;
    const uint64_t want = getenv("PLENA_LONG") ? 100000000 : 1000000;
    uint64_t insns = 0, forwarded = 0, seed = 1;
    for (; insns < want; seed++)
        with_machines(seed, 20000, &insns, &forwarded, true);
    print_message("%llu programs, %llu instructions\n", (unsigned long long)seed - 1, (unsigned long long)insns);
}

/* Long loops, where most of the program is counted. */
TEST(test_fast_forward_changes_nothing)
{
    (void)state;
    uint64_t insns = 0, forwarded = 0;
    for (uint64_t seed = 1000; seed < 1100; seed++)
        with_machines(seed, 400000, &insns, &forwarded, false);
    print_message("%llu instructions, %llu of them counted\n", (unsigned long long)insns, (unsigned long long)forwarded);
    assert_true(forwarded > insns / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_planes_agree), cmocka_unit_test(test_fast_forward_changes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
