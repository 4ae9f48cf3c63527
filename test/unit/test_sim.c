/* test_sim.c - scalar and control instructions against slow computations written from isa.def's meanings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

enum { MAX = 64 }; /* widest VLEN of the machines here */

/* ---- scalar unit ---- */
TEST(test_integers)
{
    (void)state;
    static const uint32_t pair[][2] = {{5, 3}, {0, 1}, {UINT32_MAX, 2}, {1u << 31, 1u << 31}, {123456789, 987654321}};
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    for (size_t i = 0; i < PL_COUNT(pair); i++) {
        const uint32_t a = pair[i][0], b = pair[i][1];
        say(&r, "li gp1, %u", a);
        say(&r, "li gp2, %u", b);
        say(&r, "S_ADD_INT gp3, gp1, gp2");
        say(&r, "S_SUB_INT gp4, gp1, gp2");
        say(&r, "S_MUL_INT gp5, gp1, gp2");
        say(&r, "S_ADDI_INT gp6, gp1, 262143");
        say(&r, "S_LUI_INT gp7, 0x3FFFFF");
        say(&r, "S_ADD_INT gp1, gp1, gp1");
        start(&r);
        go(&r);
        const uint32_t want[] = {a + a, b, a + b, a - b, a * b, a + 262143, 0x3FFFFFu << 12};
        for (unsigned k = 0; k < PL_COUNT(want); k++)
            assert_int_equal(pl_sim_gp(r.sim, k + 1), want[k]);
    }
    rig_close(&r);
}

TEST(test_integer_memory)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    const uint32_t last = r.arch.int_words - 1;
    say(&r, "S_LD_INT gp1, gp0, 7");
    say(&r, "li gp2, 3");
    say(&r, "S_LD_INT gp3, gp2, 10");
    say(&r, "li gp4, %u", last - 1);
    say(&r, "S_ST_INT gp1, gp4, 1");
    say(&r, "S_ST_INT gp3, gp0, 0");
    start(&r);
    OK(pl_sim_set_int(r.sim, 13, 4711, &d));
    go(&r);
    assert_int_equal(pl_sim_gp(r.sim, 1), r.intmem[7]);
    assert_int_equal(pl_sim_gp(r.sim, 3), 4711);
    assert_int_equal(word(&r, last), r.intmem[7]);
    assert_int_equal(word(&r, 0), 4711);
    assert_int_equal(word(&r, 1), r.intmem[1]);
    assert_int_equal(word(&r, RIG_INT), 0); /* behind the image's words: zero */
    rig_close(&r);
}

static float fp_binary(unsigned op, float a, float b)
{
    switch (op) {
    case 0:
        return pl_f32_add(a, b);
    case 1:
        return pl_f32_sub(a, b);
    case 2:
        return pl_f32_mul(a, b);
    case 3:
        return pl_f32_max(a, b);
    case 4:
        return pl_f32_exp(a);
    case 5:
        return pl_f32_reci(a);
    default:
        return pl_f32_sqrt(a);
    }
}

TEST(test_floats)
{
    (void)state;
    static const char *const line[] = {"S_ADD_FP f3, f1, f2", "S_SUB_FP f3, f1, f2", "S_MUL_FP f3, f1, f2", "S_MAX_FP f3, f1, f2",
                                       "S_EXP_FP f3, f1", "S_RECI_FP f3, f1", "S_SQRT_FP f3, f1"};
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f, 2.25f};
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    memcpy(r.fp, special, sizeof special);
    for (unsigned op = 0; op < PL_COUNT(line); op++)
        for (unsigned a = 0; a < 12; a++)
            for (unsigned b = 0; b < (op < 4 ? 12 : 1); b++) {
                say(&r, "S_LD_FP f1, gp0, %u", a);
                say(&r, "li gp1, %u", b);
                say(&r, "S_LD_FP f2, gp1, 0");
                say(&r, "%s", line[op]);
                say(&r, "S_ST_FP f3, gp1, %u", r.arch.fp_words - 1 - b);
                say(&r, "S_LD_FP f4, gp0, %u", r.arch.fp_words - 1);
                start(&r);
                go(&r);
                const float got[2] = {pl_sim_fp(r.sim, 3), pl_sim_fp(r.sim, 4)}, want = fp_binary(op, r.fp[a], r.fp[b]);
                same_floats(&r, line[op], &got[0], &want, 1);
                same_floats(&r, "through FP SRAM", &got[1], &want, 1);
            }
    rig_close(&r);
}

TEST(test_map_fp_to_vector)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        struct rig r;
        float got[2 * MAX], want[2 * MAX] = {0};
        rig_open(&r, machines[m], "mxint8:16");
        say(&r, "li gp1, %u", 2 * r.vlen);
        say(&r, "li gp2, 5");
        say(&r, "S_MAP_V_FP gp1, gp2, 8");
        start(&r);
        go(&r);
        for (uint32_t l = 0; l < r.vlen; l++)
            want[l] = pl_vec_round(r.vec, r.fp[5 + 8 + l]);
        peek(&r, 2 * r.vlen, got, 2 * r.vlen);
        same_floats(&r, "S_MAP_V_FP", got, want, 2 * r.vlen); /* and the row behind is still zero */
        rig_close(&r);
    }
}

/* gp0 and f0 read as zero whatever is written to them. */
TEST(test_zero_registers)
{
    (void)state;
    struct rig r;
    float row[MAX];
    rig_open(&r, "tiny", "mxint8:16");
    say(&r, "li gp1, 9");
    say(&r, "S_ADDI_INT gp0, gp0, 77");
    say(&r, "S_LUI_INT gp0, 5");
    say(&r, "S_LD_INT gp0, gp0, 3");
    say(&r, "S_ADD_INT gp0, gp1, gp1");
    say(&r, "S_ADD_INT gp2, gp0, gp1");
    say(&r, "S_LD_FP f0, gp0, 2");
    say(&r, "S_EXP_FP f0, f0");
    say(&r, "V_RED_SUM f0, gp0, 0");
    say(&r, "V_RED_MAX f0, gp0, 0");
    say(&r, "S_LD_FP f1, gp0, 4");
    say(&r, "S_ADD_FP f2, f0, f1");
    say(&r, "V_ARGMAX f3, gp0, gp1, gp0"); /* its index goes to gp0: dropped */
    say(&r, "V_ARGMAX f0, gp0, gp1, gp4"); /* max > f0 = 0: the index counts, the value is dropped */
    start(&r);
    random_row(&r, row, r.vlen, false);
    row[6] = 1000;
    poke(&r, 0, row, r.vlen);
    go(&r);
    assert_int_equal(pl_sim_gp(r.sim, 0), 0);
    assert_int_equal(pl_sim_gp(r.sim, 2), 9);
    assert_true(pl_sim_fp(r.sim, 0) == 0);
    assert_true(pl_sim_fp(r.sim, 2) == r.fp[4]);
    assert_true(pl_sim_fp(r.sim, 3) == 1000);
    assert_int_equal(pl_sim_gp(r.sim, 4), 9 + 6);
    rig_close(&r);
}

/* ---- control ---- */
static void run_text(struct rig *r, const char *text)
{
    pl_buf_puts(&r->text, text);
    start(r);
    go(r);
}

TEST(test_loops)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    run_text(&r, "C_LOOP_START gp2, 3\n S_ST_INT gp2, gp5, 16\n S_ADDI_INT gp5, gp5, 1\n C_LOOP_END gp2\n S_ADDI_INT gp6, gp2, 1\n");
    assert_int_equal(word(&r, 16), 3); /* the counter as the body sees it */
    assert_int_equal(word(&r, 17), 2);
    assert_int_equal(word(&r, 18), 1);
    assert_int_equal(word(&r, 19), r.intmem[19]);
    assert_int_equal(pl_sim_gp(r.sim, 2), 0);
    assert_int_equal(pl_sim_gp(r.sim, 6), 1);
    run_text(&r, "C_LOOP_START gp1, 3\n C_LOOP_START gp2, 4\n S_ADDI_INT gp5, gp5, 1\n C_LOOP_START gp3, 5\n S_ADDI_INT gp6, gp6, 1\n"
                 "C_LOOP_END gp3\n C_LOOP_END gp2\n S_ADDI_INT gp7, gp7, 1\n C_LOOP_END gp1\n");
    assert_int_equal(pl_sim_gp(r.sim, 7), 3);
    assert_int_equal(pl_sim_gp(r.sim, 5), 12);
    assert_int_equal(pl_sim_gp(r.sim, 6), 60);
    run_text(&r, "C_LOOP_START gp1, 1000000\n C_LOOP_END gp1\n"); /* an empty body */
    assert_int_equal(pl_sim_stats(r.sim)->insns, 1000002);
    rig_close(&r);
}

TEST(test_register_loops)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    run_text(&r, "li gp1, 6\n C_LOOP_REG gp2, gp1\n S_ADDI_INT gp3, gp3, 1\n C_LOOP_END gp2\n");
    assert_int_equal(pl_sim_gp(r.sim, 3), 6);
    assert_int_equal(pl_sim_gp(r.sim, 2), 0);
    /* 0 passes: behind the C_LOOP_END that matches, not the first one; the counter reads 0. */
    run_text(&r, "li gp2, 8\n C_LOOP_REG gp2, gp0\n C_LOOP_START gp3, 2\n S_ADDI_INT gp4, gp4, 1\n C_LOOP_END gp3\n"
                 "S_ADDI_INT gp4, gp4, 1\n C_LOOP_END gp2\n S_ADDI_INT gp5, gp2, 1\n");
    assert_int_equal(pl_sim_gp(r.sim, 4), 0);
    assert_int_equal(pl_sim_gp(r.sim, 5), 1);
    /* the triangle: 4 + 3 + 2 + 1 */
    run_text(&r, "C_LOOP_START gp1, 4\n C_LOOP_REG gp2, gp1\n S_ADDI_INT gp3, gp3, 1\n C_LOOP_END gp2\n C_LOOP_END gp1\n");
    assert_int_equal(pl_sim_gp(r.sim, 3), 10);
    rig_close(&r);
}

TEST(test_exit_leaves_the_innermost_loop)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    run_text(&r, "C_LOOP_START gp1, 3\n C_LOOP_START gp2, 9\n S_ADDI_INT gp3, gp3, 1\n C_EXIT\n S_ADDI_INT gp4, gp4, 1\n C_LOOP_END gp2\n"
                 "S_ADD_INT gp5, gp5, gp2\n S_ADDI_INT gp6, gp6, 1\n C_LOOP_END gp1\n");
    assert_int_equal(pl_sim_gp(r.sim, 3), 3); /* one pass of each inner loop */
    assert_int_equal(pl_sim_gp(r.sim, 4), 0);
    assert_int_equal(pl_sim_gp(r.sim, 5), 0); /* its counter is 0 */
    assert_int_equal(pl_sim_gp(r.sim, 6), 3); /* the outer loop goes on */
    rig_close(&r);
}

TEST(test_break_and_resume)
{
    (void)state;
    struct rig r;
    enum pl_sim_stop stop;
    rig_open(&r, "tiny", "mxint8:16");
    pl_buf_puts(&r.text, "C_LOOP_START gp1, 3\n S_ADDI_INT gp2, gp2, 5\n C_BREAK\n S_ADDI_INT gp3, gp3, 1\n C_LOOP_END gp1\n S_ST_INT gp2, gp0, 1\n");
    start(&r);
    for (uint32_t i = 0; i < 3; i++) {
        OK(pl_sim_run(r.sim, i ? UINT32_MAX : 0, &stop, &d));
        assert_int_equal(stop, PL_SIM_BREAKPOINT);
        assert_int_equal(pl_sim_gp(r.sim, 1), 3 - i);
        assert_int_equal(pl_sim_gp(r.sim, 2), 5 * (i + 1));
        assert_int_equal(pl_sim_gp(r.sim, 3), i);
    }
    OK(pl_sim_run(r.sim, UINT32_MAX, &stop, &d));
    assert_int_equal(stop, PL_SIM_HALTED);
    assert_int_equal(pl_sim_gp(r.sim, 3), 3);
    assert_int_equal(word(&r, 1), 15);
    /* A new run starts with clear registers; memory and time go on. */
    const uint64_t cycles = pl_sim_stats(r.sim)->cycles;
    OK(pl_sim_run(r.sim, 5, &stop, &d));
    assert_int_equal(pl_sim_gp(r.sim, 2), 0);
    assert_int_equal(word(&r, 1), 0);
    assert_int_equal(word(&r, 2), r.intmem[2]);
    assert_true(pl_sim_stats(r.sim)->cycles > cycles);
    proven[PL_C_BREAK] = true;
    rig_close(&r);
}

TEST(test_halt_and_the_end_of_the_code)
{
    (void)state;
    struct rig r;
    enum pl_sim_stop stop;
    rig_open(&r, "tiny", "mxint8:16");
    run_text(&r, "S_ADDI_INT gp1, gp0, 1\n C_HALT\n S_ADDI_INT gp1, gp0, 2\n C_FENCE\n");
    assert_int_equal(pl_sim_gp(r.sim, 1), 1);
    OK(pl_sim_run(r.sim, 2, &stop, &d)); /* any pc can be an entry */
    assert_int_equal(pl_sim_gp(r.sim, 1), 2);
    r.img.n_code = r.img.n_line = 3; /* no C_HALT behind the last word */
    pl_sim_free(r.sim);
    OK(pl_sim_new(&r.arch, &r.img, &r.opt, &r.sim, &d));
    OK(pl_sim_run(r.sim, 2, &stop, &d));
    assert_int_equal(stop, PL_SIM_HALTED);
    assert_int_equal(pl_sim_gp(r.sim, 1), 2);
    rig_close(&r);
}

TEST(test_every_instruction_was_looked_at)
{
    (void)state;
    static const uint8_t elsewhere[] = {PL_C_SET_ADDR_REG, PL_C_SET_SCALE_REG, PL_C_SET_STRIDE_REG, PL_C_FENCE, PL_C_FENCE_ST, /* test_sim_memory.c */
                                        PL_C_SET_V_MASK_REG};                                                   /* test_sim_vector.c */
    for (size_t i = 0; i < PL_COUNT(elsewhere); i++)
        proven[elsewhere[i]] = true;
    all_proven(1u << PL_UNIT_SCA | 1u << PL_UNIT_CTL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers), cmocka_unit_test(test_integer_memory), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_map_fp_to_vector), cmocka_unit_test(test_zero_registers), cmocka_unit_test(test_loops),
        cmocka_unit_test(test_register_loops), cmocka_unit_test(test_exit_leaves_the_innermost_loop),
        cmocka_unit_test(test_break_and_resume), cmocka_unit_test(test_halt_and_the_end_of_the_code),
        cmocka_unit_test(test_every_instruction_was_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
