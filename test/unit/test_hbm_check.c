/* test_hbm_check.c - the HBM model under its checker: random requests, random parameters; and the checker itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/hbm.h"

/* ---- random requests through the checker ---- */
struct source {
    struct pl_rng r;
    uint64_t i, n, lines, arrival, done, hash;
    unsigned write_percent, gap, burst;
    uint64_t left, addr;
};
static bool random_line(void *ctx, struct pl_hbm_request *r)
{
    struct source *s = ctx;
    if (s->i == s->n)
        return false;
    if (!s->left--) { /* runs of lines, so that rows are hit */
        s->left = s->burst ? pl_rng_below(&s->r, s->burst) : 0;
        s->addr = pl_rng_below(&s->r, s->lines - s->left) * 64;
        if (s->gap)
            s->arrival += pl_rng_below(&s->r, s->gap);
    } else {
        s->addr += 64;
    }
    *r = (struct pl_hbm_request){
        .addr = s->addr, .bytes = 64, .arrival = s->arrival, .tag = s->i, .write = pl_rng_below(&s->r, 100) < s->write_percent,
        .lane = (uint8_t)(s->i % PL_HBM_LANES)};
    s->i++;
    return true;
}
static void count_done(void *ctx, const struct pl_hbm_done *done)
{
    struct source *s = ctx;
    s->done++;
    s->hash = (s->hash ^ done->done ^ done->tag << 40) * 0x9e3779b97f4a7c15u;
}

/* Run n random requests; checked by the checker unless `plain`. Everything completes; statistics add up. */
static uint64_t random_run(const struct pl_hbm_params *p, struct source s, bool plain, bool no_closed_form,
                           struct pl_hbm_stats *st)
{
    struct pl_diag d;
    struct pl_hbm *h;
    struct pl_hbm_checker *c;
    uint64_t commands;
    OK(pl_hbm_checker_new(p, &c, &d));
    struct pl_hbm_options opt = {.no_closed_form = no_closed_form, .log = plain ? NULL : pl_hbm_checker_log, .log_ctx = c};
    OK(pl_hbm_new(p, &opt, &h, &d));
    s.lines = pl_hbm_capacity(p) / 64;
    OK(pl_hbm_run(h, &(struct pl_hbm_source){random_line, count_done, &s}, &d));
    pl_hbm_get_stats(h, st);
    OK(pl_hbm_checker_result(c, &commands, &d));
    assert_int_equal(s.done, s.n);
    assert_int_equal(pl_hbm_pending(h), 0);
    assert_int_equal(st->hit + st->miss + st->conflict + st->forwarded, st->accesses[0] + st->accesses[1]);
    assert_int_equal((st->accesses[0] + st->accesses[1]) * pl_hbm_access_bytes(p), st->bytes[0] + st->bytes[1]);
    uint64_t span = st->busy_cyc;
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        span += st->lost_cyc[l];
    assert_int_equal(span, st->span_cyc);
    assert_true(span <= (st->end_cyc + p->burst) * p->stacks * p->channels * p->pseudo);
    assert_true(plain || commands >= st->activates + st->refreshes + st->hit + st->miss + st->conflict);
    pl_hbm_checker_free(c);
    pl_hbm_free(h);
    return s.hash;
}

static size_t long_count(size_t usual, size_t full)
{
    const char *e = getenv("PLENA_LONG");
    return e && !strcmp(e, "1") ? full : usual;
}

TEST(checker_passes_random_requests_of_every_preset)
{
    (void)state;
    for (size_t i = 0; pl_hbm_preset_name(i); i++) {
        struct pl_diag d;
        struct pl_hbm_params p;
        struct pl_hbm_stats st;
        OK(pl_hbm_preset(pl_hbm_preset_name(i), &p, &d));
        struct source s = {.n = long_count(100000, 4000000), .write_percent = 0};
        pl_rng_init(&s.r, 11 + i);
        random_run(&p, s, false, false, &st);
        s.write_percent = 35;
        random_run(&p, s, false, false, &st);
        s.burst = 40;
        s.n = long_count(100000, 2000000);
        random_run(&p, s, false, false, &st);
    }
}

/* Parameters drawn at random, most of them legal; the others are refused. */
static bool random_params(struct pl_rng *r, struct pl_hbm_params *p)
{
    struct pl_diag d;
    OK(pl_hbm_preset(pl_hbm_preset_name(pl_rng_below(r, 6)), p, &d));
    uint32_t *const timing[] = {&p->tcl,    &p->tcwl, &p->trcd_rd, &p->trcd_wr, &p->trp,   &p->tras,
                                &p->trrd_s, &p->tfaw, &p->twtr_s,  &p->twr,     &p->trtp_s};
    for (size_t i = 0; i < PL_COUNT(timing); i++)
        if (pl_rng_below(r, 2))
            *timing[i] = 1 + (uint32_t)pl_rng_below(r, 2 * *timing[i] + 4);
    p->tras = p->tras < p->trcd_rd ? p->trcd_rd : p->tras;
    p->trc = p->tras + p->trp + (uint32_t)pl_rng_below(r, 10);
    p->act_cyc = 1 + (uint32_t)pl_rng_below(r, 2);
    p->trrd_s = p->trrd_s < p->act_cyc ? p->act_cyc : p->trrd_s;
    p->trrd_l = p->trrd_s + (uint32_t)pl_rng_below(r, 5);
    p->tccd_l = p->burst + (uint32_t)pl_rng_below(r, 5);
    p->twtr_l = p->twtr_s + (uint32_t)pl_rng_below(r, 5);
    p->trtp_l = p->trtp_s + (uint32_t)pl_rng_below(r, 5);
    p->tfaw = p->tfaw < p->trrd_s ? p->trrd_s : p->tfaw;
    p->trtw = (p->tcl > p->tcwl ? p->tcl + p->burst - p->tcwl : p->burst) + (uint32_t)pl_rng_below(r, 5);
    p->refresh = (uint32_t)pl_rng_below(r, 3);
    p->refresh_stagger = (uint32_t)pl_rng_below(r, 50);
    p->row_policy = (uint32_t)pl_rng_below(r, 2);
    p->cmd_buses = 1 + (uint32_t)pl_rng_below(r, 2);
    p->read_queue = 1 + (uint32_t)pl_rng_below(r, 64);
    p->write_queue = 1 + (uint32_t)pl_rng_below(r, 64);
    p->drain_high = 1 + (uint32_t)pl_rng_below(r, 100);
    p->drain_low = (uint32_t)pl_rng_below(r, p->drain_high);
    p->hit_cap = (uint32_t)pl_rng_below(r, 6);
    p->lat_in = (uint32_t)pl_rng_below(r, 8);
    p->lat_out = (uint32_t)pl_rng_below(r, 8);
    p->ways = 1 + (uint32_t)pl_rng_below(r, 16);
    p->turn = 1 + (uint32_t)pl_rng_below(r, 40);
    p->join = (uint32_t)pl_rng_below(r, 2);
    p->inject = pl_rng_below(r, 3) ? 0 : 0.01 + pl_rng_double(r) * 10;
    p->stacks = 1u << pl_rng_below(r, 3);
    OK(pl_hbm_set(p, p->pseudo == 1 ? "mapping=ro bg ba st ch co" : "mapping=ro co[4:2] ba bg pc co[1] st ch co[0]", &d));
    return pl_hbm_check_params(p, &d) == PL_OK;
}

TEST(random_parameters_pass_the_checker)
{
    (void)state;
    struct pl_rng r;
    unsigned legal = 0;
    const size_t rounds = long_count(120, 3000);
    pl_rng_init(&r, 99);
    for (size_t k = 0; k < rounds; k++) {
        struct pl_hbm_params p;
        struct pl_hbm_stats st, again;
        if (!random_params(&r, &p))
            continue;
        legal++;
        struct source s = {.n = 1500,
                           .write_percent = (unsigned)pl_rng_below(&r, 101),
                           .gap = (unsigned)pl_rng_below(&r, 3) * 400,
                           .burst = (unsigned)pl_rng_below(&r, 3) * 20};
        pl_rng_init(&s.r, k);
        const uint64_t checked = random_run(&p, s, false, true, &st), plain = random_run(&p, s, true, false, &again);
        assert_int_equal(checked, plain); /* neither log nor closed form changes a completion */
        assert_memory_equal(&st, &again, sizeof st);
    }
    assert_true(legal > rounds / 2);
}

/* ---- the checker can fail ---- */
/* A command of each kind to pseudo-channel 0: the bank is 0 unless the scope of the rule asks for another. */
static struct pl_hbm_cmd cmd(enum pl_hbm_op op, uint64_t t, unsigned bank)
{
    return (struct pl_hbm_cmd){
        .time = t, .op = (uint8_t)op, .bank = (uint8_t)(op == PL_HBM_PREA || op == PL_HBM_REFAB ? 0 : bank)};
}

/* Break rule `i` by one clock, or just keep it; true if the checker says it is broken. All other history lies far back. */
static bool breaks(const struct pl_hbm_params *p, size_t i, const struct pl_hbm_rule *r, unsigned early)
{
    struct pl_diag d;
    struct pl_hbm_checker *c;
    uint64_t broken = 0;
    OK(pl_hbm_checker_new(p, &c, &d));
    const unsigned other = r->scope == PL_HBM_SAME_BANK ? 0 : r->scope == PL_HBM_SAME_GROUP ? 1 : p->banks;
    for (unsigned n = 0; n < r->nth; n++) { /* one bank a group for the last four activates */
        const struct pl_hbm_cmd from = cmd(r->from, 100000 + n, r->nth > 1 ? n * p->banks % 16 : 0);
        (void)pl_hbm_checker_cmd(c, &from, NULL, &d);
    }
    const struct pl_hbm_cmd to = cmd(r->to, 100000 + r->distance - early, other);
    d.text[0] = 0;
    const enum pl_status s = pl_hbm_checker_cmd(c, &to, &broken, &d);
    const bool is = broken >> i & 1;
    assert_true(!is || (s == PL_EDIFF && strstr(d.text, "breaks")));
    pl_hbm_checker_free(c);
    return is;
}

TEST(checker_rejects_a_violation_of_every_rule)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    struct pl_hbm_checker *c;
    const struct pl_hbm_rule *rule;
    for (size_t k = 0; pl_hbm_preset_name(k); k++) {
        OK(pl_hbm_preset(pl_hbm_preset_name(k), &p, &d));
        OK(pl_hbm_checker_new(&p, &c, &d));
        const size_t n = pl_hbm_checker_rules(c, &rule);
        assert_int_equal(n, 33);
        for (size_t i = 0; i < n; i++) {
            if (!breaks(&p, i, &rule[i], 1))
                fail_msg("%s: %s is not noticed", p.name, rule[i].name);
            if (breaks(&p, i, &rule[i], 0))
                fail_msg("%s: %s is noticed too much", p.name, rule[i].name);
        }
        pl_hbm_checker_free(c);
    }
}

/* Feed commands; the state rule the last one breaks, or -1. */
static int state_of(const struct pl_hbm_params *p, const struct pl_hbm_cmd *m, size_t n)
{
    struct pl_diag d;
    struct pl_hbm_checker *c;
    const struct pl_hbm_rule *rule;
    uint64_t broken = 0;
    OK(pl_hbm_checker_new(p, &c, &d));
    for (size_t i = 0; i < n; i++)
        (void)pl_hbm_checker_cmd(c, &m[i], &broken, &d);
    broken >>= pl_hbm_checker_rules(c, &rule);
    pl_hbm_checker_free(c);
    return broken ? __builtin_ctzll(broken) : -1;
}

TEST(checker_rejects_impossible_states)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    OK(pl_hbm_preset("hbm2", &p, &d));
    p.act_cyc = 2;
#define STATE(...)                                                                                                             \
    state_of(&p, (struct pl_hbm_cmd[]){__VA_ARGS__}, sizeof((struct pl_hbm_cmd[]){__VA_ARGS__}) / sizeof(struct pl_hbm_cmd))
    const struct pl_hbm_cmd act = cmd(PL_HBM_ACT, 100, 0);
    struct pl_hbm_cmd other_row = cmd(PL_HBM_RD, 200, 0), far = act;
    other_row.row = 1;
    far.channel = 8;
    assert_int_equal(STATE(act, cmd(PL_HBM_RD, 200, 0)), -1);
    assert_int_equal(STATE(act, cmd(PL_HBM_RD, 99, 0)), PL_HBM_STATE_ORDER);
    assert_int_equal(STATE(act, cmd(PL_HBM_PRE, 101, 0)), PL_HBM_STATE_BUS);
    assert_int_equal(STATE(act, cmd(PL_HBM_RD, 200, 0), cmd(PL_HBM_RD, 200, 0)), PL_HBM_STATE_BUS);
    assert_int_equal(STATE(far), PL_HBM_STATE_PLACE);
    assert_int_equal(STATE(act, cmd(PL_HBM_ACT, 200, 0)), PL_HBM_STATE_ACT_OPEN);
    assert_int_equal(STATE(cmd(PL_HBM_WR, 200, 0)), PL_HBM_STATE_COLUMN_CLOSED);
    assert_int_equal(STATE(act, other_row), PL_HBM_STATE_COLUMN_CLOSED);
    assert_int_equal(STATE(cmd(PL_HBM_PRE, 200, 0)), PL_HBM_STATE_PRE_CLOSED);
    assert_int_equal(STATE(act, cmd(PL_HBM_REFAB, 200, 0)), PL_HBM_STATE_REF_OPEN);
    assert_int_equal(STATE(act, cmd(PL_HBM_REFPB, 200, 0)), PL_HBM_STATE_REF_OPEN);
    assert_int_equal(STATE(cmd(PL_HBM_REFAB, 3900 * 10, 0)), PL_HBM_STATE_REF_LATE);
    assert_int_equal(STATE(cmd(PL_HBM_REFPB, 122 * 16 * 10, 0)), PL_HBM_STATE_REF_LATE);
    p.cmd_buses = 1;
    assert_int_equal(STATE(act, cmd(PL_HBM_WR, 100, 0)), PL_HBM_STATE_BUS);
#undef STATE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checker_passes_random_requests_of_every_preset),
        cmocka_unit_test(random_parameters_pass_the_checker),
        cmocka_unit_test(checker_rejects_a_violation_of_every_rule),
        cmocka_unit_test(checker_rejects_impossible_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
