/* test_sim_time.c - cycles worked out by hand from the latency table, and the counts of events that will cost energy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

#include "plena/arch_timing.h"

/* Times of the retired instructions, by program order. */
struct times {
    struct pl_sim_retired r[64];
    size_t n;
};

static void note(void *ctx, const struct pl_sim_retired *r)
{
    struct times *t = ctx;
    assert_true(t->n < PL_COUNT(t->r));
    t->r[t->n++] = *r;
}

static void times_of(struct rig *r, struct times *t)
{
    *t = (struct times){0};
    r->opt.trace = note;
    r->opt.trace_ctx = t;
    start(r);
    go(r);
}

/* tiny: BLEN 4, lat_sram 2, lat_quant 3, lat_vadd 3, lat_sfp 4, lat_sdiv 15, tree of 4 leaves: 2 levels of 2, lat_convert 3. */
TEST(test_issue_and_operands)
{
    (void)state;
    struct rig r;
    struct times t;
    rig_open(&r, "tiny", "none");
    say(&r, "S_ADD_FP f1, f0, f0");      /* 0: result at 4 */
    say(&r, "S_ADD_FP f2, f0, f0");      /* 1: another register */
    say(&r, "S_ADD_FP f3, f1, f2");      /* waits for f2: 1 + 4 = 5 */
    say(&r, "S_RECI_FP f4, f0");         /* 6, the unit is taken for 15 */
    say(&r, "S_ADD_FP f5, f0, f0");      /* 21 */
    say(&r, "V_ADD_VV gp0, gp0, gp0");   /* 22: 2 + 3 + 1 = 6, result at 28 */
    say(&r, "V_ADD_VV gp0, gp0, gp0");   /* reads the row: 28 */
    times_of(&r, &t);
    static const uint64_t issue[] = {0, 1, 5, 6, 21, 22, 28}, end[] = {4, 5, 9, 21, 25, 28, 34};
    for (size_t i = 0; i < PL_COUNT(issue); i++) {
        assert_int_equal(t.r[i].issue_cyc, issue[i]);
        assert_int_equal(t.r[i].end_cyc, end[i]);
    }
    const struct pl_sim_stats *s = pl_sim_stats(r.sim);
    assert_int_equal(s->cycles, 34); /* C_HALT issues at 29; the last result is later */
    assert_int_equal(s->stall_cyc[PL_SIM_ISSUE_CAUSE], 8);
    assert_int_equal(s->stall_cyc[PL_SIM_SCALAR_CAUSE], 3);  /* 2..5 */
    assert_int_equal(s->stall_cyc[PL_SIM_UNIT_CAUSE], 14);   /* 7..21 */
    assert_int_equal(s->stall_cyc[PL_SIM_VECTOR_CAUSE], 5);  /* 23..28 */
    assert_int_equal(s->stall_cyc[PL_SIM_DRAIN_CAUSE], 4);   /* 30..34 */
    assert_int_equal(s->busy_cyc[PL_SIM_SCALAR], 4 + 15);
    assert_int_equal(s->idle_cyc[PL_SIM_SCALAR][PL_SIM_SCALAR_CAUSE], 3);
    assert_int_equal(s->idle_cyc[PL_SIM_SCALAR][PL_SIM_UNIT_CAUSE], 0); /* busy with the reciprocal all the while */
    rig_close(&r);
}

/* A fence waits for all transfers, a fence of stores for those alone. */
TEST(test_fences)
{
    (void)state;
    for (unsigned stores = 0; stores < 2; stores++)
        for (unsigned banks = 0; banks < 2; banks++) {
            struct rig r;
            struct times t;
            rig_open(&r, "tiny", "mxint8:16");
            if (banks)
                OK(pl_arch_set(&r.arch, "hbm_model=hbm3", &d));
            say(&r, "li gp1, %u", DESC_OUT8); /* 0 */
            say(&r, "H_SAVE_V gp0, gp0, gp1, gp0");
            say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
            say(&r, stores ? "C_FENCE_ST" : "C_FENCE"); /* 3 */
            times_of(&r, &t);
            assert_true(t.r[1].end_cyc < t.r[2].end_cyc);
            assert_int_equal(t.r[3].issue_cyc, t.r[stores ? 1 : 2].end_cyc);
            rig_close(&r);
        }
}

/* Products: 4 cycles each, sums out of the array after 2 + 3 + 2 * 4 + 3 = 16, out of the tree after 2 * 2 + 3 + 4 = 11. */
TEST(test_write_outs_queue)
{
    (void)state;
    struct rig r;
    struct times t;
    rig_open(&r, "tiny", "mxint8:16");
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0"); /* 0 */
    say(&r, "C_FENCE");
    for (unsigned i = 0; i < 6; i++) {
        say(&r, "M_TMM 0, gp0, gp0");
        say(&r, "M_MM_WO gp0, gp0, %u", 256 + (i % 4) * 4);
    }
    times_of(&r, &t);
    const uint64_t at = t.r[1].issue_cyc + 1;
    assert_int_equal(t.r[2].issue_cyc, at);
    assert_int_equal(t.r[2].end_cyc, at + 16);
    for (unsigned i = 0; i < 4; i++) { /* a product every 4 cycles; its write-out is issued behind it and waits for the sums */
        assert_int_equal(t.r[2 + 2 * i].issue_cyc, at + 4 * i);
        assert_int_equal(t.r[3 + 2 * i].issue_cyc, at + 4 * i + 1);
        assert_int_equal(t.r[3 + 2 * i].start_cyc, at + 4 * i + 16);
        assert_int_equal(t.r[3 + 2 * i].end_cyc, at + 4 * i + 16 + 11);
    }
    /* The fifth product goes on; its write-out finds the queue of four full until the first one has begun. */
    assert_int_equal(t.r[10].issue_cyc, at + 16);
    assert_int_equal(t.r[11].issue_cyc, at + 17);
    assert_int_equal(t.r[11].start_cyc, at + 32);
    const struct pl_sim_stats *s = pl_sim_stats(r.sim);
    assert_int_equal(s->busy_cyc[PL_SIM_MATRIX], 6 * 4);
    assert_int_equal(s->busy_cyc[PL_SIM_WRITE_OUT], 6 * 4);
    rig_close(&r);
}

/* 16 rows of 24 elements of 8 bits, 16 loaded: the bus takes ceil(bytes / 64) cycles, then 100 of latency. */
TEST(test_transfers_overlap)
{
    (void)state;
    struct rig r;
    struct times t;
    rig_open(&r, "tiny", "mxint8:16");
    r.arch.outstanding = 2;
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
    say(&r, "li gp1, 256");
    say(&r, "H_LOAD_M gp1, gp0, gp0, gp0"); /* another tile, the same bytes: right behind on the bus */
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0"); /* the queue of two is full */
    times_of(&r, &t);
    const struct pl_sim_stats *s = pl_sim_stats(r.sim);
    const uint64_t busy = (s->hbm_read_bytes / 3 + 63) / 64;
    assert_int_equal(s->hbm_read_bytes % 3, 0);
    assert_int_equal(t.r[0].end_cyc, busy + 100);
    assert_int_equal(t.r[2].end_cyc, 2 * busy + 100);
    assert_int_equal(t.r[3].issue_cyc, busy + 100);
    assert_int_equal(t.r[3].end_cyc, 2 * (busy + 100));
    assert_int_equal(s->stall_cyc[PL_SIM_QUEUE_CAUSE], busy + 100 - 3);
    assert_int_equal(s->busy_cyc[PL_SIM_LOAD_M], 2 * (busy + 100));
    rig_close(&r);
}

/* An ideal memory: every engine has its own port, a row of at most a burst a cycle, then 100 of latency. A write to rows of a
 * transfer begins behind its end. */
TEST(test_ideal_memory)
{
    (void)state;
    struct rig r;
    struct times t;
    rig_open(&r, "tiny", "mxint8:16");
    OK(pl_arch_set(&r.arch, "hbm_model=ideal", &d));
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0"); /* 16 rows */
    say(&r, "li gp1, 256");
    say(&r, "H_LOAD_M gp1, gp0, gp0, gp0");
    say(&r, "H_LOAD_V gp0, gp0, gp0, gp0, 2"); /* 4 rows */
    say(&r, "li gp2, 200");
    say(&r, "H_LOAD_V gp1, gp2, gp0, gp0"); /* a row outside the tensor takes its cycle, too */
    say(&r, "V_ADD_VV gp0, gp1, gp1");
    times_of(&r, &t);
    assert_int_equal(t.r[0].end_cyc, 16 + 100);
    assert_int_equal(t.r[2].end_cyc, 16 + 16 + 100);
    assert_int_equal(t.r[3].start_cyc, 3);
    assert_int_equal(t.r[3].end_cyc, 3 + 4 + 100);
    assert_int_equal(t.r[5].start_cyc, 5);
    assert_int_equal(t.r[5].end_cyc, 3 + 4 + 1 + 100); /* behind the transfer before it */
    assert_int_equal(t.r[6].issue_cyc, 3 + 4 + 1 + 100);
    rig_close(&r);
}

TEST(test_events)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16"); /* MLEN = VLEN = 16, BLEN 4, bf16 vectors, tile of mxint8:16 */
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
    say(&r, "C_LOOP_START gp1, 5");
    say(&r, "M_TMM 0, gp0, gp0");
    say(&r, "M_MM_WO gp0, gp0, 256");
    say(&r, "C_LOOP_END gp1");
    say(&r, "M_TMV 0, gp0, gp0");
    say(&r, "M_MV_WO gp0, 256");
    say(&r, "V_ADD_VV gp0, gp0, gp0");
    say(&r, "V_MUL_VF gp0, gp0, f1");
    say(&r, "V_EXP_V gp0, gp0, 0");
    say(&r, "V_RED_SUM f1, gp0, 0");
    say(&r, "S_EXP_FP f2, f1");
    say(&r, "S_MUL_FP f2, f2, f2");
    say(&r, "S_ST_FP f2, gp0, 3");
    start(&r);
    go(&r);
    const struct pl_sim_stats *s = pl_sim_stats(r.sim);
    const struct pl_sim_events *e = &s->events;
    enum { ROW = 16 * 16, COLUMNS = 4 * 16 * 8 + 4 * 8 }; /* bits of a vector row; of BLEN tile vectors with one scale each */
    assert_int_equal(e->issued, s->insns);
    assert_int_equal(e->macs, 5 * 4 * 4 * 16 + 4 * 16);
    assert_int_equal(s->macs, 6 * 4 * 4 * 16); /* slots */
    assert_int_equal(e->tree_adds, 5 * 16 * 3 + 4 * 3);
    assert_int_equal(e->quantised_elements, 5 * 4 * 16 + 16);
    assert_int_equal(e->matrix_read_bits, 6 * COLUMNS);
    assert_int_equal(e->vector_add_lanes, 16);
    assert_int_equal(e->vector_mul_lanes, 16);
    assert_int_equal(e->vector_exp_lanes, 16);
    assert_int_equal(e->vector_reduce_lanes, 16);
    assert_int_equal(e->vector_read_bits, (5 * 4 + 1) * ROW + 2 * ROW + ROW + ROW + ROW);
    assert_int_equal(e->vector_write_bits, 5 * 16 * 16 + 4 * 16 + 3 * ROW);
    assert_int_equal(e->scalar_special, 1);
    assert_int_equal(e->scalar_fp, 1);
    assert_int_equal(e->scalar_sram_bits, 32);
    assert_int_equal(e->hbm_read_bits, 8 * s->hbm_read_bytes);
    assert_int_equal(s->n_use, 1);
    assert_int_equal(s->use[0].matrix, 5);
    assert_int_equal(s->use[0].vector, 1);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_issue_and_operands), cmocka_unit_test(test_fences), cmocka_unit_test(test_write_outs_queue),
                                       cmocka_unit_test(test_transfers_overlap), cmocka_unit_test(test_ideal_memory),
                                       cmocka_unit_test(test_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
