/* test_dse_study.c - rules, study files, and the SQLite file behind a study. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "plena/dse_study.h"
#include "test.h"

static const char *const metrics[] = {"time", "area", NULL};

static const char text[] = "study: t\nmachine: small\nspace:\n  blen: {pow2: [2, 16]}\n  hbm_bandwidth: {range: [64, 1024], log: true}\n"
                           "  kv_format: [\"mxint4:16\", \"mxint8:16\", none]\n  mlen: [32, 64, 128]\nrules: [mlen / blen <= 16]\n"
                           "objectives:\n  - {metric: time, log: true, ref: 100}\n  - {metric: area, maximise: true, ref: 1}\n"
                           "caps: {area: 10}\nsampler: random\ntrials: 6\nbatch: 2\nseed: 7\n";

static void parse(struct pl_arena *a, struct pl_dse_spec *s)
{
    struct pl_diag d;
    const struct pl_source src = {"t.yaml", text, sizeof text - 1};
    OK(pl_dse_spec_parse(a, &src, metrics, s, &d));
}

TEST(rules_compare_what_machines_hold)
{
    (void)state;
    static const struct {
        const char *text;
        bool holds;
    } of[] = {{"mlen == 64", true},           {"mlen * 2 + blen < 132", false}, {"mlen * (2 + blen) == 384", true},
              {"mlen % 48 == 16", true},      {"weight_format >= 8", true},     {"mlen / blen / 2 == 8", true},
              {"10 - 4 - 3 != 3", false},     {"hbm_bandwidth > 1e3", false},   {"blen <= 4", true}};
    struct pl_arena a;
    struct pl_arch arch;
    struct pl_dse_expr *e;
    struct pl_diag d;
    pl_arena_init(&a);
    pl_arch_defaults(&arch); /* mlen 64, blen 4, weights of 8 bits, 512 bytes a cycle */
    for (size_t i = 0; i < PL_COUNT(of); i++) {
        OK(pl_dse_expr_parse(&a, of[i].text, &e, &d));
        assert_int_equal(pl_dse_expr_holds(e, &arch), of[i].holds);
    }
    REFUSED(PL_EPARSE, "did you mean \"mlen\"", pl_dse_expr_parse(&a, "mlem < 3", &e, &d));
    REFUSED(PL_EPARSE, "expected one of", pl_dse_expr_parse(&a, "mlen", &e, &d));
    REFUSED(PL_EPARSE, "rule:1:10: expected the end", pl_dse_expr_parse(&a, "mlen < 3 4", &e, &d));
    REFUSED(PL_EPARSE, "expected )", pl_dse_expr_parse(&a, "(mlen < 3", &e, &d));
    REFUSED(PL_EPARSE, "too many parentheses", pl_dse_expr_parse(&a, "((((((((((1)))))))))) < 2", &e, &d));
    REFUSED(PL_EPARSE, "no number or format", pl_dse_expr_parse(&a, "hbm_model < 3", &e, &d));
    pl_arena_fini(&a);
}

TEST(a_study_file_becomes_a_space)
{
    (void)state;
    struct pl_arena a;
    struct pl_dse_spec s;
    struct pl_arch arch;
    char v[48];
    pl_arena_init(&a);
    parse(&a, &s);
    assert_int_equal(s.space.n, 4);
    assert_int_equal(s.space.p[0].n_value, 4);
    assert_string_equal(s.space.p[0].value[3], "16");
    assert_int_equal(s.space.p[1].kind, PL_DSE_REAL);
    assert_int_equal(s.space.p[2].kind, PL_DSE_CATEGORY);
    assert_int_equal(pl_dse_space_size(&s.space), 0);
    const double x[] = {1, 0.5, 0, 2};
    pl_dse_spec_arch(&s, x, &arch);
    assert_int_equal(arch.blen, 4);
    assert_int_equal(arch.mlen, 128);
    assert_true(fabs(arch.hbm_bandwidth - 256) < 1e-9); /* the geometric middle of 64 and 1024 */
    assert_int_equal(arch.kv_format.int_bits, 4);
    pl_dse_spec_value(&s.space, 2, x, v);
    assert_string_equal(v, "mxint4:16");
    assert_string_equal(s.space.why_not(s.space.ctx, x), "mlen / blen <= 16"); /* 128 / 4 */
    const double fine[] = {1, 0.5, 0, 1};
    assert_null(s.space.why_not(s.space.ctx, fine));
    assert_true(s.search.has_ref && s.search.ref[0] == 2 && s.search.ref[1] == -1);
    assert_true(fabs(pl_dse_metric(&s.objective[0], pl_dse_modelled(&s.objective[0], 42)) - 42) < 1e-12);
    /* What is better has the larger signal-to-noise ratio. */
    assert_true(s.space.p[2].place[3] < s.space.p[2].place[7] && s.space.p[2].place[7] <= s.space.p[2].place[11]);
    pl_arena_fini(&a);
}

TEST(trials_wait_for_the_window_and_are_told_once)
{
    (void)state;
    struct pl_arena a;
    struct pl_dse_spec s;
    struct pl_study *study, *again;
    struct pl_dse_sampler *sampler;
    struct pl_dse_trial t[6], more;
    struct pl_study_trial *read;
    enum pl_study_next next;
    struct pl_diag d;
    bool found;
    double v;
    size_t n;
    char path[] = "/tmp/pl_study_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    pl_arena_init(&a);
    parse(&a, &s);
    OK(pl_study_start(path, "t", s.text, &study, &d));
    pl_dse_sampler_new(&s.search, &sampler);
    for (int i = 0; i < 2; i++) {
        OK(pl_study_ask(study, sampler, &s, &next, &t[i], &d));
        assert_int_equal(next, PL_STUDY_TRIAL);
        assert_int_equal(t[i].number, i);
    }
    OK(pl_study_ask(study, sampler, &s, &next, &more, &d));
    assert_int_equal(next, PL_STUDY_WAIT); /* trial 2 needs the result of trial 0 */
    t[1].state = PL_DSE_COMPLETE;
    OK(pl_study_tell(study, &t[1], "{}", NULL, 0, &d));
    OK(pl_study_ask(study, sampler, &s, &next, &more, &d));
    assert_int_equal(next, PL_STUDY_WAIT);
    t[0].state = PL_DSE_FAILED;
    OK(pl_study_tell(study, &t[0], NULL, "because", 0.5, &d));
    REFUSED(PL_EUSAGE, "does not run", pl_study_tell(study, &t[0], NULL, NULL, 0, &d));
    for (int i = 2; i < 6; i++) {
        OK(pl_study_ask(study, sampler, &s, &next, &t[i], &d));
        assert_int_equal(next, PL_STUDY_TRIAL);
        t[i].state = PL_DSE_COMPLETE;
        t[i].y[0] = 0.1 * i;
        OK(pl_study_tell(study, &t[i], "{\"time\": 1}", NULL, 0, &d));
    }
    OK(pl_study_ask(study, sampler, &s, &next, &more, &d));
    assert_int_equal(next, PL_STUDY_DONE);
    OK(pl_study_cache_get(study, "k", &found, &v, &d));
    assert_false(found);
    OK(pl_study_cache_put(study, "k", 2.5, &d));
    OK(pl_study_cache_get(study, "k", &found, &v, &d));
    assert_true(found && v == 2.5);
    pl_study_close(study);
    REFUSED(PL_EUSAGE, "another study file", pl_study_start(path, "t", "study: u\n", &again, &d));
    OK(pl_study_open_read(path, &again, &d));
    assert_string_equal(pl_study_text(again), s.text);
    OK(pl_study_read(again, &a, &read, &n, &d));
    assert_int_equal(n, 6);
    assert_string_equal(read[0].reason, "because");
    assert_memory_equal(&read[5].t.y[0], &t[5].y[0], sizeof(double)); /* the same bits */
    assert_memory_equal(read[3].t.x, t[3].x, 4 * sizeof(double));
    pl_study_close(again);
    pl_dse_sampler_free(sampler);
    unlink(path);
    REFUSED(PL_EIO, "no such file", pl_study_open_read(path, &again, &d));
    pl_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_compare_what_machines_hold),
        cmocka_unit_test(a_study_file_becomes_a_space),
        cmocka_unit_test(trials_wait_for_the_window_and_are_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
