/* test_sim_vector.c - vector instructions against slow computations written from isa.def's meanings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

enum { MAX = 64 }; /* widest VLEN of the machines here */

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
/* An instruction from row 1 to row 3 with a number in gp2. */
static void moved_by(struct rig *r, const char *insn, uint32_t number, const float *x, float *got)
{
    say(r, "li gp1, %u", r->vlen);
    say(r, "li gp2, %u", number);
    say(r, "li gp3, %u", 3 * r->vlen);
    say(r, "%s", insn);
    start(r);
    poke(r, r->vlen, x, r->vlen);
    go(r);
    peek(r, 3 * r->vlen, got, r->vlen);
}

static void moved(struct rig *r, const char *op, uint32_t number, const float *x, float *got)
{
    char insn[64];
    snprintf(insn, sizeof insn, "%s gp3, gp1, gp2", op);
    moved_by(r, insn, number, x, got);
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
            for (uint32_t l = 0; l < n; l++)
                want[l] = (int64_t)l >= (int64_t)(int32_t)by[k] ? x[l] : -INFINITY;
            moved_by(&r, "V_LIM_V gp3, gp1, gp2, 1", by[k], x, got);
            same_floats(&r, "V_LIM_V from", got, want, n);
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
    all_proven(1u << PL_UNIT_VEC);
    assert_true(proven[PL_C_SET_V_MASK_REG]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes), cmocka_unit_test(test_reductions), cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_lane_movement), cmocka_unit_test(test_prefix_sums), cmocka_unit_test(test_hadamard),
        cmocka_unit_test(test_topk), cmocka_unit_test(test_every_instruction_was_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
