/* test_sim.c - scalar, control and vector instructions against slow computations written from isa.def's meanings. */
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

/* ---- vector unit: one lane at a time ---- */
static float lane_of(unsigned op, struct pl_minifloat v, float a, float b, float f)
{
    float o = 0;
    switch (op) {
    case 0:
        pl_vec_add(v, &a, &b, 1, &o);
        break;
    case 1:
        pl_vec_sub(v, &a, &b, 1, &o);
        break;
    case 2:
        pl_vec_mul(v, &a, &b, 1, &o);
        break;
    case 3:
        pl_vec_adds(v, &a, f, 1, &o);
        break;
    case 4:
        pl_vec_subs(v, &a, f, false, 1, &o);
        break;
    case 5:
        pl_vec_subs(v, &a, f, true, 1, &o);
        break;
    case 6:
        pl_vec_muls(v, &a, f, 1, &o);
        break;
    case 7:
        pl_vec_maxs(v, &a, f, 1, &o);
        break;
    case 8:
        pl_vec_mins(v, &a, f, 1, &o);
        break;
    case 9:
        pl_vec_exp(v, &a, 1, &o);
        break;
    default:
        pl_vec_reci(v, &a, 1, &o);
    }
    return o;
}
static const char *const lane_ops[] = {
    "V_ADD_VV gp3, gp1, gp2, %u",   "V_SUB_VV gp3, gp1, gp2, %u",   "V_MUL_VV gp3, gp1, gp2, %u", "V_ADD_VF gp3, gp1, f3, %u",
    "V_SUB_VF gp3, gp1, f3, %u, 0", "V_SUB_VF gp3, gp1, f3, %u, 1", "V_MUL_VF gp3, gp1, f3, %u",  "V_MAX_VF gp3, gp1, f3, %u",
    "V_MIN_VF gp3, gp1, f3, %u",    "V_EXP_V gp3, gp1, %u",         "V_RECI_V gp3, gp1, %u",
};

static bool active(const struct rig *r, uint32_t mask, uint32_t lane)
{
    return mask >> (lane / r->hlen) & 1;
}

/* One instruction on rows 0 and 1, into row `dst`. */
static void one_lane_op(struct rig *r, unsigned op, bool masked, uint32_t dst)
{
    const uint32_t n = r->vlen, mask = masked ? (uint32_t)pl_rng_u64(&r->rng) : UINT32_MAX;
    float x[2][MAX], want[4][MAX], got[MAX];
    char line[64];
    snprintf(line, sizeof line, lane_ops[op], masked);
    say(r, "li gp1, 0");
    say(r, "li gp2, %u", n);
    say(r, "li gp3, %u", dst * n);
    say(r, "li gp4, %u", mask);
    say(r, "C_SET_V_MASK_REG gp4");
    say(r, "S_LD_FP f3, gp0, 1");
    say(r, "%s", line);
    start(r);
    for (unsigned k = 0; k < 4; k++) {
        random_row(r, want[k], n, true);
        poke(r, k * n, want[k], n);
    }
    memcpy(x, want, sizeof x);
    go(r);
    for (uint32_t l = 0; l < n; l++)
        want[dst][l] = active(r, mask, l) ? lane_of(op, r->vec, x[0][l], x[1][l], r->fp[1]) : x[0][l];
    for (unsigned k = 0; k < 4; k++) {
        peek(r, k * n, got, n);
        same_floats(r, line, got, want[k], n);
    }
}

TEST(test_lanes)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        struct rig r;
        rig_open(&r, machines[m], "mxint8:16");
        r.fp[1] = 0.337f; /* not a value of the vector format: it is rounded first */
        for (unsigned op = 0; op < PL_COUNT(lane_ops); op++)
            for (unsigned k = 0; k < 8; k++)
                one_lane_op(&r, op, k % 2, k / 2);
        rig_close(&r);
    }
}

TEST(test_reductions)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned k = 0; k < 24; k++) {
            struct rig r;
            float x[MAX], lane[MAX], top, got[2];
            double exact = 0;
            rig_open(&r, machines[m], "mxint8:16");
            pl_rng_init(&r.rng, k);
            const uint32_t mask = k % 2 ? (uint32_t)pl_rng_u64(&r.rng) : UINT32_MAX, n = r.vlen;
            say(&r, "li gp1, %u", n);
            say(&r, "li gp2, %u", mask);
            say(&r, "C_SET_V_MASK_REG gp2");
            say(&r, "S_LD_FP f1, gp0, 0");
            say(&r, "S_LD_FP f2, gp0, 1");
            say(&r, "V_RED_SUM f1, gp1, %u", k % 2);
            say(&r, "V_RED_MAX f2, gp1, %u", k % 2);
            r.fp[0] = 3;
            r.fp[1] = k % 3 ? -INFINITY : 0.5f;
            start(&r);
            random_row(&r, x, n, k % 4 >= 2);
            top = r.fp[1];
            for (uint32_t l = 0; l < n; l++) {
                if (k < 8)
                    x[l] = (float)((int)pl_rng_below(&r.rng, 31) - 15); /* small integers: every sum is exact */
                lane[l] = active(&r, mask, l) ? x[l] : 0;
                exact += (double)lane[l];
                if (active(&r, mask, l) && (x[l] > top || (x[l] == top && signbit(top) && !signbit(x[l]))))
                    top = x[l];
            }
            poke(&r, n, x, n);
            go(&r);
            const float want[2] = {k < 8 ? (float)(3 + exact) : pl_f32_add(3, pl_vec_sum(r.vec, lane, n)), top};
            got[0] = pl_sim_fp(r.sim, 1);
            got[1] = pl_sim_fp(r.sim, 2);
            same_floats(&r, "V_RED_SUM, V_RED_MAX", got, want, 2);
            rig_close(&r);
        }
}

TEST(test_argmax)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        struct rig r;
        float x[3][MAX];
        rig_open(&r, machines[m], "mxint8:16");
        const uint32_t n = r.vlen;
        r.fp[0] = -INFINITY;
        say(&r, "S_LD_FP f1, gp0, 0");
        for (unsigned k = 0; k < 3; k++) {
            say(&r, "li gp1, %u", k * n);
            say(&r, "li gp2, %u", 1000 * k);
            say(&r, "V_ARGMAX f1, gp1, gp2, gp%u", 5 + k);
        }
        start(&r);
        for (unsigned k = 0; k < 3; k++) {
            random_row(&r, x[k], n, false);
            poke(&r, k * n, x[k], n);
        }
        x[0][3] = x[0][9] = 700; /* a tie: the lowest lane */
        x[0][1] = NAN;
        x[1][2] = 700; /* not larger: nothing happens */
        x[2][n - 1] = INFINITY;
        for (unsigned k = 0; k < 3; k++)
            poke(&r, k * n, x[k], n);
        go(&r);
        assert_int_equal(pl_sim_gp(r.sim, 5), 3);
        assert_int_equal(pl_sim_gp(r.sim, 6), 0);
        assert_int_equal(pl_sim_gp(r.sim, 7), 2000 + n - 1);
        assert_true(pl_sim_fp(r.sim, 1) == INFINITY);
        rig_close(&r);
    }
}

/* ---- lane movement, scan, Hadamard: line with gp1 source, gp2 number, gp3 destination ---- */
static void moved(struct rig *r, const char *op, uint32_t number, const float *x, float *got)
{
    say(r, "li gp1, %u", r->vlen);
    say(r, "li gp2, %u", number);
    say(r, "li gp3, %u", 3 * r->vlen);
    say(r, "%s gp3, gp1, gp2", op);
    start(r);
    poke(r, r->vlen, x, r->vlen);
    go(r);
    peek(r, 3 * r->vlen, got, r->vlen);
}

TEST(test_lane_movement)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        struct rig r;
        float x[MAX], want[MAX], got[MAX];
        rig_open(&r, machines[m], "mxint8:16");
        const uint32_t n = r.vlen, by[] = {0, 1, 7, n - 1, n, n + 5, 1u << 31, UINT32_MAX};
        random_row(&r, x, n, true);
        for (size_t k = 0; k < PL_COUNT(by); k++) {
            for (uint32_t l = 0; l < n; l++)
                want[l] = l >= by[k] ? x[l - by[k]] : 0;
            moved(&r, "V_SHFT_V", by[k], x, got);
            same_floats(&r, "V_SHFT_V", got, want, n);
            for (uint32_t l = 0; l < n; l++)
                want[l] = (int64_t)l < (int64_t)(int32_t)by[k] ? x[l] : -INFINITY;
            moved(&r, "V_LIM_V", by[k], x, got);
            same_floats(&r, "V_LIM_V", got, want, n);
        }
        for (uint32_t half = 1; half < n; half *= 2) {
            for (uint32_t l = 0; l < n; l++) /* groups of 2 * half lanes, the halves exchanged */
                want[l] = x[l % (2 * half) < half ? l + half : l - half];
            moved(&r, "V_SWAP_V", half, x, got);
            same_floats(&r, "V_SWAP_V", got, want, n);
        }
        rig_close(&r);
    }
}

TEST(test_prefix_sums)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned k = 0; k < 6; k++) {
            struct rig r;
            float x[MAX], want[MAX], old[MAX], got[MAX], sum = 0;
            rig_open(&r, machines[m], "mxint8:16");
            pl_rng_init(&r.rng, k);
            random_row(&r, x, r.vlen, k == 5);
            for (uint32_t l = 0; k < 3 && l < r.vlen; l++)
                x[l] = (float)pl_rng_below(&r.rng, 4);
            memcpy(want, x, sizeof want);
            for (uint32_t s = 1; s < r.vlen; s *= 2) {
                memcpy(old, want, sizeof old);
                for (uint32_t l = s; l < r.vlen; l++)
                    pl_vec_add(r.vec, &old[l], &old[l - s], 1, &want[l]);
            }
            moved(&r, "V_PS_V", 0, x, got);
            same_floats(&r, "V_PS_V", got, want, r.vlen);
            for (uint32_t l = 0; k < 3 && l < r.vlen; l++) /* sums below 256: exact in BF16 */
                assert_true(got[l] == (sum += x[l]));
            rig_close(&r);
        }
}

TEST(test_hadamard)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        struct rig r;
        float x[MAX], want[MAX], got[MAX];
        rig_open(&r, machines[m], "mxint8:16");
        for (uint32_t g = 1; g <= r.vlen; g *= 2)
            for (unsigned k = 0; k < 2; k++) {
                random_row(&r, x, r.vlen, false);
                for (uint32_t l = 0; k && l < r.vlen; l++)
                    x[l] = (float)((int)pl_rng_below(&r.rng, 5) - 2);
                for (uint32_t l = 0; l < r.vlen; l++) {
                    const uint32_t base = l / g * g, i = l % g;
                    want[l] = 0;
                    for (uint32_t j = 0; j < g; j++) /* at most 2 * 64: exact */
                        want[l] += __builtin_popcount(i & j) % 2 ? -x[base + j] : x[base + j];
                }
                for (uint32_t l = 0; !k && l < r.vlen; l += g)
                    pl_vec_hadamard(r.vec, x + l, g, want + l);
                moved(&r, "C_HADAMARD_TRANSFORM", g, x, got);
                for (uint32_t l = 0; l < r.vlen; l++)
                    if (got[l] != want[l])
                        fail_msg("%s: Hadamard %u [%u]: %g, wanted %g", machines[m], g, l, (double)got[l], (double)want[l]);
            }
        rig_close(&r);
    }
}

/* Rank by value, then by index: place p goes to the element with p better ones. */
static void slow_topk(const float *v, uint32_t n, uint32_t k, uint32_t *index, float *weight)
{
    float sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t better = 0;
        for (uint32_t j = 0; j < n; j++)
            better += v[j] > v[i] || (v[j] == v[i] && j < i);
        if (better < k)
            index[better] = i;
    }
    for (uint32_t p = 0; p < k; p++) {
        weight[p] = pl_f32_exp(pl_f32_sub(v[index[p]], v[index[0]]));
        sum = pl_f32_add(sum, weight[p]);
    }
    for (uint32_t p = 0; p < k; p++)
        weight[p] = pl_f32_mul(weight[p], pl_f32_reci(sum));
}

TEST(test_topk)
{
    (void)state;
    static const uint32_t size[2][2] = {{32, 4}, {128, 8}};
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned policy = 0; policy < 2; policy++) {
            struct rig r;
            float v[128], weight[8], got;
            uint32_t index[8];
            enum pl_sim_stop stop;
            const uint32_t n = size[policy][0], k = size[policy][1];
            rig_open(&r, machines[m], "mxint8:16");
            say(&r, "li gp1, %u", 2 * r.vlen);
            say(&r, "li gp2, 40");
            say(&r, "li gp3, 50");
            say(&r, "V_TOPK gp3, gp1, gp2, %u", policy);
            for (uint32_t p = 0; p < k; p++) {
                say(&r, "S_LD_FP f1, gp0, %u", 50 + p);
                say(&r, "C_BREAK");
            }
            start(&r);
            random_row(&r, v, n, false);
            v[n - 1] = v[5] = 6; /* a tie */
            v[7] = -INFINITY;
            poke(&r, 2 * r.vlen, v, n);
            slow_topk(v, n, k, index, weight);
            for (uint32_t p = 0; p < k; p++) {
                OK(pl_sim_run(r.sim, p ? UINT32_MAX : 0, &stop, &d));
                assert_int_equal(word(&r, 40 + p), index[p]);
                got = pl_sim_fp(r.sim, 1);
                same_floats(&r, "V_TOPK weight", &got, &weight[p], 1);
            }
            assert_int_equal(word(&r, 40 + k), r.intmem[40 + k]);
            proven[PL_V_TOPK] = true;
            rig_close(&r);
        }
}

TEST(test_every_instruction_was_looked_at)
{
    (void)state;
    static const uint8_t elsewhere[] = {PL_C_SET_ADDR_REG, PL_C_SET_SCALE_REG, PL_C_SET_STRIDE_REG, PL_C_FENCE}; /* test_sim_matrix.c */
    for (size_t i = 0; i < PL_COUNT(elsewhere); i++)
        proven[elsewhere[i]] = true;
    all_proven(1u << PL_UNIT_VEC | 1u << PL_UNIT_SCA | 1u << PL_UNIT_CTL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers), cmocka_unit_test(test_integer_memory), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_map_fp_to_vector), cmocka_unit_test(test_zero_registers), cmocka_unit_test(test_loops),
        cmocka_unit_test(test_register_loops), cmocka_unit_test(test_exit_leaves_the_innermost_loop),
        cmocka_unit_test(test_break_and_resume), cmocka_unit_test(test_halt_and_the_end_of_the_code), cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_reductions), cmocka_unit_test(test_argmax), cmocka_unit_test(test_lane_movement),
        cmocka_unit_test(test_prefix_sums), cmocka_unit_test(test_hadamard), cmocka_unit_test(test_topk),
        cmocka_unit_test(test_every_instruction_was_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
