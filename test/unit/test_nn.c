/* test_nn.c - the reference executor: float against float64, perplexities, greedy text, one result however it is cut. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "plena/map.h"
#include "plena/nn.h"

static struct pl_diag d;

struct model {
    struct pl_arena a;
    struct pl_checkpoint *ck;
};

static void open_model(struct model *m, const char *dir)
{
    pl_arena_init(&m->a);
    OK(pl_checkpoint_open(&m->a, dir, &m->ck, &d));
}

static void close_model(struct model *m)
{
    pl_checkpoint_close(m->ck);
    pl_arena_fini(&m->a);
}

/* An executor in quantised arithmetic: formats on a machine. */
struct formats {
    const char *machine, *weight, *act, *kv;
};

static struct pl_plan plan_of(const struct model *m, const struct formats *f)
{
    struct pl_arch arch;
    struct pl_format w, a, kv;
    struct pl_plan p;
    OK(pl_arch_load(f->machine, &arch, &d));
    OK(pl_format_parse(f->weight, &w, &d));
    OK(pl_format_parse(f->act, &a, &d));
    OK(pl_format_parse(f->kv, &kv, &d));
    OK(pl_map_plan(&arch, &m->ck->config, &w, &a, &kv, &p, &d));
    return p;
}

/* f NULL: plain floats. */
static struct pl_nn *executor(const struct model *m, enum pl_nn_mode mode, const struct formats *f, uint32_t context)
{
    struct pl_nn *nn;
    const struct pl_plan p = f ? plan_of(m, f) : (struct pl_plan){0};
    OK(pl_nn_new(m->ck, mode, f ? &p : NULL, context, &nn, &d));
    return nn;
}

static void random_ids(uint32_t *ids, size_t n, uint32_t vocab)
{
    struct pl_rng r;
    pl_rng_init(&r, 17);
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)pl_rng_below(&r, vocab);
}

/* ---- float32 against float64 ----
 * A dot of K terms runs as 16 partial sums, so its roundings add up to about sqrt(K / 16) u of its terms, u = 2^-24
 * (roundings are independent); two bits more are allowed for dots that cancel. A layer has seven such stages, whose errors
 * add up as independent ones; norms and softmax pass them on with factors near 1. */
static double float_tolerance(const struct pl_model_config *c)
{
    const double u = ldexp(1, -24), k = c->ffn > c->hidden ? c->ffn : c->hidden;
    return 4 * u * sqrt(k / 16) * sqrt(7.0 * c->n_layers + 1);
}

static void check_float(const char *dir, size_t n)
{
    struct model m;
    open_model(&m, dir);
    const uint32_t v = m.ck->config.vocab;
    uint32_t *ids = calloc(n, sizeof *ids);
    float *got = calloc(n * v, sizeof *got), *want = calloc(n * v, sizeof *want);
    struct pl_nn *f32 = executor(&m, PL_NN_F32, NULL, (uint32_t)n), *f64 = executor(&m, PL_NN_F64, NULL, (uint32_t)n);
    random_ids(ids, n, v);
    OK(pl_nn_forward(f32, ids, n, false, got, &d));
    OK(pl_nn_forward(f64, ids, n, false, want, &d));
    double worst = 0, top = 0;
    for (size_t i = 0; i < n * v; i++) {
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
        top = fmax(top, fabs((double)want[i]));
    }
    const double bound = float_tolerance(&m.ck->config);
    print_message("%s: fp32 is off by %.2g of the largest logit; bound %.2g\n", dir, worst / top, bound);
    assert_true(worst > 0 && worst / top < bound);
    pl_nn_free(f32);
    pl_nn_free(f64);
    free(ids);
    free(got);
    free(want);
    close_model(&m);
}

TEST(test_float_against_double)
{
    (void)state;
    check_float(source_path("examples/agent-0.8m"), 100);
    if (shared_path("models/stories260k"))
        check_float(shared_path("models/stories260k"), 100);
    if (shared_path("models/bytelm"))
        check_float(shared_path("models/bytelm"), 60);
}

/* ---- one sequence, however cut and by however many threads ---- */
static const struct formats mixed[] = {
    {"small", "mxint8:16", "mxint8:16", "mxint8:16"}, {"tiny", "mxfp4_e2m1:16", "mxfp8_e4m3:8", "mxint4:16"},
    {"narrow_vector", "none", "none", "none"},        {"wide_vector", "mxint4:8", "none", "mxfp8_e5m2:16"},
    {"medium", "mxint8:32:search", "mxint8:32", "none"},
};
static const size_t cuts[][8] = {{70}, {1, 69}, {69, 1}, {13, 1, 1, 30, 25}, {16, 16, 16, 16, 6}, {32, 38}};
enum { CUT_TOKENS = 70 };

/* Feed the pieces; a final 0 means single tokens to the end. */
static void run_cut(struct pl_nn *nn, const uint32_t *ids, const size_t *piece, uint32_t v, float *logits)
{
    pl_nn_reset(nn);
    for (size_t at = 0; at < CUT_TOKENS;) {
        const size_t n = piece && *piece ? *piece++ : 1;
        OK(pl_nn_forward(nn, ids + at, n, false, logits + at * v, &d));
        at += n;
    }
}

static void same_bits(const char *what, size_t k, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], 4) != 0)
            fail_msg("%s, cut %zu: logit %zu is %.9g, was %.9g", what, k, i, (double)got[i], (double)want[i]);
}

static void check_cuts(enum pl_nn_mode mode, const struct formats *f)
{
    struct model m;
    uint32_t ids[CUT_TOKENS];
    open_model(&m, source_path("examples/agent-0.8m"));
    const uint32_t v = m.ck->config.vocab;
    float *want = calloc(CUT_TOKENS * v, sizeof *want), *got = calloc(CUT_TOKENS * v, sizeof *got);
    random_ids(ids, CUT_TOKENS, v);
    struct pl_nn *nn = executor(&m, mode, f, CUT_TOKENS);
    run_cut(nn, ids, cuts[0], v, want);
    for (size_t k = 1; k < PL_COUNT(cuts); k++) {
        run_cut(nn, ids, cuts[k], v, got);
        same_bits(f ? f->weight : "float64", k, got, want, CUT_TOKENS * v);
    }
    run_cut(nn, ids, NULL, v, got); /* decode from the first token on */
    same_bits(f ? f->weight : "float64", 99, got, want, CUT_TOKENS * v);
    pl_nn_reset(nn);
    OK(pl_nn_forward(nn, ids, CUT_TOKENS, true, got, &d)); /* only the last row */
    same_bits("last only", 0, got, want + (CUT_TOKENS - 1) * v, v);
    pl_nn_free(nn);
    free(want);
    free(got);
    close_model(&m);
}

TEST(test_prefill_is_decode)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(mixed); i++)
        check_cuts(PL_NN_QUANT, &mixed[i]);
    check_cuts(PL_NN_F64, NULL);
}

#ifdef _OPENMP
static void check_threads(enum pl_nn_mode mode, const struct formats *f)
{
    struct model m;
    uint32_t ids[CUT_TOKENS];
    float *logits[2];
    open_model(&m, source_path("examples/agent-0.8m"));
    const uint32_t v = m.ck->config.vocab;
    random_ids(ids, CUT_TOKENS, v);
    for (int t = 0; t < 2; t++) {
        omp_set_num_threads(t ? 3 : 1); /* 3: pieces of unequal size */
        struct pl_nn *nn = executor(&m, mode, f, CUT_TOKENS);
        logits[t] = calloc(CUT_TOKENS * v, sizeof(float));
        run_cut(nn, ids, cuts[4], v, logits[t]);
        pl_nn_free(nn);
    }
    omp_set_num_threads(omp_get_num_procs());
    same_bits(f ? f->weight : "floats", 0, logits[1], logits[0], CUT_TOKENS * v);
    free(logits[0]);
    free(logits[1]);
    close_model(&m);
}

TEST(test_threads_change_nothing)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        check_threads(PL_NN_QUANT, &mixed[i]);
    check_threads(PL_NN_F64, NULL);
    check_threads(PL_NN_F32, NULL);
}
#endif

/* ---- perplexities ---- */
/* The first `limit` sequences of a .jsonl, teacher-forced. */
static double perplexity(struct pl_nn *nn, struct pl_nn *ref, const char *path, size_t limit, struct pl_nn_eval *e)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    uint32_t ids[1024];
    *e = (struct pl_nn_eval){0};
    assert_non_null(f);
    for (size_t k = 0; k < limit && getline(&line, &cap, f) > 0; k++) {
        json_t *o = json_loads(line, 0, NULL), *list = json_object_get(o, "ids");
        const size_t n = json_array_size(list);
        assert_true(n > 1 && n <= PL_COUNT(ids));
        for (size_t i = 0; i < n; i++)
            ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
        OK(pl_nn_eval_add(nn, ref, ids, n, e, &d));
        json_decref(o);
    }
    free(line);
    fclose(f);
    return exp(e->nll / (double)e->tokens);
}

/* fp32 over the whole text is the published value; MXINT8 everywhere stays within 0.5 % of fp32 over `few` sequences
 * (all of them with PLENA_LONG set). */
static void check_perplexity(const char *name, double want, uint64_t tokens, size_t few)
{
    static const struct formats int8 = {"small", "mxint8:16", "mxint8:16", "mxint8:16"};
    char text[1100];
    struct model m;
    struct pl_nn_eval e, q;
    const char *dir = shared_path(name);
    if (!dir)
        return;
    snprintf(text, sizeof text, "%s/eval.jsonl", dir);
    open_model(&m, dir);
    struct pl_nn *nn = executor(&m, PL_NN_F32, NULL, 1024), *quant = executor(&m, PL_NN_QUANT, &int8, 1024);
    const double all = perplexity(nn, NULL, text, SIZE_MAX, &e);
    print_message("%s: fp32 %.6f over %llu predictions\n", name, all, (unsigned long long)e.tokens);
    assert_int_equal(e.tokens, tokens);
    assert_true(fabs(all - want) <= 0.0005);
    const size_t limit = getenv("PLENA_LONG") ? SIZE_MAX : few;
    const double base = perplexity(nn, NULL, text, limit, &e), p = perplexity(quant, nn, text, limit, &q);
    print_message("%s: mxint8 %.6f, fp32 %.6f over %llu; KL %.5f, top-1 %.2f %%\n", name, p, base, (unsigned long long)q.tokens,
                  q.kl / (double)q.tokens, 100.0 * (double)q.top1 / (double)q.tokens);
    assert_int_equal(q.tokens, e.tokens);
    assert_true(fabs(p / base - 1) <= 0.005 && p != base);
    assert_true(q.has_ref && q.kl > 0 && q.top1 < q.tokens && q.top1 > q.tokens * 9 / 10);
    pl_nn_free(nn);
    pl_nn_free(quant);
    close_model(&m);
}

TEST(test_perplexity_stories260k)
{
    (void)state;
    check_perplexity("models/stories260k", 2.638383, 12258, 4);
}

TEST(test_perplexity_bytelm)
{
    (void)state;
    check_perplexity("models/bytelm", 3.956813, 16320, 4);
}

/* Float64 is the arithmetic the reference values were made in. */
TEST(test_perplexity_in_double)
{
    (void)state;
    struct model m;
    struct pl_nn_eval e;
    const char *dir = shared_path("models/stories260k");
    char text[1100];
    if (!dir)
        return;
    snprintf(text, sizeof text, "%s/eval.jsonl", dir);
    open_model(&m, dir);
    struct pl_nn *nn = executor(&m, PL_NN_F64, NULL, 512);
    const double p = perplexity(nn, NULL, text, SIZE_MAX, &e);
    assert_true(fabs(p - 2.638383) < 1e-6); /* printed with six decimals; logits are handed over as floats */
    pl_nn_free(nn);
    close_model(&m);
}

/* Teacher forcing by hand: the sums of pl_nn_eval_add from the logits of its own executors. */
TEST(test_eval_by_hand)
{
    (void)state;
    static const struct formats int4 = {"small", "mxint4:16", "mxint8:16", "mxint4:16"};
    enum { N = 40 };
    struct model m;
    struct pl_nn_eval e = {.tokens = 5, .nll = 1, .top1 = 2, .kl = 0.25};
    uint32_t ids[N];
    open_model(&m, source_path("examples/agent-0.8m"));
    const uint32_t v = m.ck->config.vocab;
    float *q = calloc(N * v, sizeof *q), *p = calloc(N * v, sizeof *p);
    struct pl_nn *quant = executor(&m, PL_NN_QUANT, &int4, N), *ref = executor(&m, PL_NN_F32, NULL, N);
    random_ids(ids, N, v);
    OK(pl_nn_eval_add(quant, ref, ids, N, &e, &d)); /* adds to what is there */
    pl_nn_reset(quant);
    pl_nn_reset(ref);
    OK(pl_nn_forward(quant, ids, N - 1, false, q, &d));
    OK(pl_nn_forward(ref, ids, N - 1, false, p, &d));
    double nll = 1, kl = 0.25;
    uint64_t top1 = 2;
    for (size_t i = 0; i + 1 < N; i++) {
        long double zq = 0, zp = 0, one = 0;
        for (uint32_t k = 0; k < v; k++) {
            zq += expl(q[i * v + k]);
            zp += expl(p[i * v + k]);
        }
        for (uint32_t k = 0; k < v; k++)
            one += expl(p[i * v + k]) / zp * (p[i * v + k] - logl(zp) - q[i * v + k] + logl(zq));
        kl += (double)one;
        nll += (double)(logl(zq) - q[i * v + ids[i + 1]]);
        top1 += pl_nn_argmax(q + i * v, v) == pl_nn_argmax(p + i * v, v);
    }
    assert_int_equal(e.tokens, 5 + N - 1);
    assert_int_equal(e.top1, top1);
    assert_true(fabs(e.nll - nll) < 1e-9 * nll && fabs(e.kl - kl) < 1e-9 * (kl + 1));
    pl_nn_free(quant);
    pl_nn_free(ref);
    free(q);
    free(p);
    close_model(&m);
}

/* The checkpoint of our own knows its language: far below what the letter counts alone can give. */
TEST(test_example_beats_unigram)
{
    (void)state;
    struct model m;
    struct pl_nn_eval e;
    uint64_t count[128] = {0}, n = 0;
    double nll = 0;
    open_model(&m, source_path("examples/agent-0.8m"));
    struct pl_nn *nn = executor(&m, PL_NN_F32, NULL, 1024);
    const double p = perplexity(nn, NULL, source_path("examples/agent-0.8m/eval.jsonl"), SIZE_MAX, &e);
    FILE *f = fopen(source_path("examples/agent-0.8m/eval.jsonl"), "r");
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, f) > 0) {
        json_t *o = json_loads(line, 0, NULL);
        const json_t *ids = json_object_get(o, "ids");
        for (size_t i = 1; i < json_array_size(ids); i++, n++)
            count[json_integer_value(json_array_get(ids, i)) & 127]++;
        json_decref(o);
    }
    fclose(f);
    free(line);
    assert_int_equal(n, e.tokens);
    for (int i = 0; i < 128; i++)
        nll -= count[i] ? (double)count[i] * log((double)count[i] / (double)n) : 0;
    print_message("example: perplexity %.4f, unigram %.4f\n", p, exp(nll / (double)n));
    assert_true(p < exp(nll / (double)n) / 10);
    pl_nn_free(nn);
    close_model(&m);
}

/* ---- greedy text: the 60 tokens of shared/models/stories260k/README.md ---- */
static const uint32_t story[] = {403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337,
                                 410, 408, 419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394, 261, 370, 432, 352,
                                 266, 268, 388, 426, 338, 391, 266, 267, 337, 335, 312, 432, 398, 312, 286, 267, 414, 270, 333, 415};

static void check_story(const struct model *m, enum pl_nn_mode mode, const struct formats *f, const char *what)
{
    float logits[512];
    struct pl_nn *nn = executor(m, mode, f, 64);
    uint32_t id = 1; /* BOS */
    for (size_t i = 0; i < PL_COUNT(story); i++) {
        OK(pl_nn_forward(nn, &id, 1, true, logits, &d));
        id = pl_nn_argmax(logits, 512);
        if (id != story[i])
            fail_msg("%s: token %zu is %u, not %u", what, i, id, story[i]);
    }
    pl_nn_free(nn);
}

TEST(test_greedy_story)
{
    (void)state;
    static const struct formats int8 = {"small", "mxint8:16", "mxint8:16", "mxint8:16"}, none = {"small", "none", "none", "none"};
    struct model m;
    const char *dir = shared_path("models/stories260k");
    if (!dir)
        return;
    open_model(&m, dir);
    check_story(&m, PL_NN_F32, NULL, "fp32");
    check_story(&m, PL_NN_F64, NULL, "float64");
    check_story(&m, PL_NN_QUANT, &none, "unquantised");
    check_story(&m, PL_NN_QUANT, &int8, "mxint8");
    close_model(&m);
}

/* ---- small rules, errors ---- */
TEST(test_argmax)
{
    (void)state;
    const float tie[] = {-1, 3, 2, 3, 3}, low[] = {-INFINITY, -INFINITY, -7}, zero[] = {-0.0f, 0.0f};
    assert_int_equal(pl_nn_argmax(tie, 5), 1);
    assert_int_equal(pl_nn_argmax(low, 3), 2);
    assert_int_equal(pl_nn_argmax(low, 2), 0);
    assert_int_equal(pl_nn_argmax(zero, 2), 0);
    assert_int_equal(pl_nn_argmax(tie, 1), 0);
}

TEST(test_errors)
{
    (void)state;
    struct model m;
    uint32_t ids[9] = {0};
    float logits[2][9 * 128];
    struct pl_nn_eval e = {0};
    open_model(&m, source_path("examples/agent-0.8m"));
    for (int mode = PL_NN_F64; mode <= PL_NN_QUANT; mode++) {
        struct pl_nn *nn = executor(&m, (enum pl_nn_mode)mode, mode == PL_NN_QUANT ? &mixed[0] : NULL, 8);
        REFUSED(PL_ERANGE, "0 + 9 tokens exceed the context of 8", pl_nn_forward(nn, ids, 9, true, logits[0], &d));
        REFUSED(PL_ERANGE, "0 + 0 tokens", pl_nn_forward(nn, ids, 0, true, logits[0], &d));
        OK(pl_nn_forward(nn, ids, 4, false, logits[0], &d));
        ids[2] = 128;
        REFUSED(PL_ERANGE, "token id 128 is outside the vocabulary of 128", pl_nn_forward(nn, ids, 4, true, logits[0], &d));
        REFUSED(PL_ERANGE, "4 + 5 tokens exceed", pl_nn_forward(nn, ids, 5, true, logits[0], &d));
        ids[2] = 0;
        OK(pl_nn_forward(nn, ids, 4, false, logits[0], &d)); /* a refusal leaves the sequence as it was */
        REFUSED(PL_ERANGE, "8 + 1 tokens exceed", pl_nn_forward(nn, ids, 1, true, logits[1], &d));
        pl_nn_reset(nn);
        OK(pl_nn_forward(nn, ids, 4, false, logits[1], &d));
        OK(pl_nn_forward(nn, ids, 4, false, logits[1], &d));
        assert_memory_equal(logits[0], logits[1], 4 * 128 * sizeof(float));
        ids[3] = 999;
        REFUSED(PL_ERANGE, "token id 999 is outside", pl_nn_eval_add(nn, NULL, ids, 4, &e, &d)); /* the last is only predicted */
        REFUSED(PL_ERANGE, "tokens exceed the context", pl_nn_eval_add(nn, NULL, ids, 10, &e, &d));
        ids[3] = 0;
        OK(pl_nn_eval_add(nn, NULL, ids, 1, &e, &d)); /* nothing to predict */
        assert_int_equal(e.tokens, 0);
        pl_nn_free(nn);
    }
    struct pl_nn *none = NULL;
    struct pl_plan p = plan_of(&m, &mixed[0]);
    p.acc_bits = 20;
    REFUSED(PL_EUNSUPPORTED, "acc", pl_nn_new(m.ck, PL_NN_QUANT, &p, 8, &none, &d));
    assert_null(none);
    pl_nn_free(NULL);
    close_model(&m);
}

/* ---- one layer at a time: the states end where pl_nn_forward's do ---- */
static void check_stream(const char *dir, const struct formats *f)
{
    enum { N = 70 };
    struct model m;
    open_model(&m, dir);
    const struct pl_model_config *c = &m.ck->config;
    const struct pl_plan p = plan_of(&m, f);
    const uint32_t vocab = c->vocab;
    uint32_t ids[N];
    float *want = calloc(N * vocab, sizeof *want), *got = calloc(N * vocab, sizeof *got), *in = calloc(N * c->hidden, sizeof *in);
    random_ids(ids, N, vocab);
    struct pl_nn *nn = executor(&m, PL_NN_QUANT, f, N);
    OK(pl_nn_forward(nn, ids, N, false, want, &d));
    pl_nn_free(nn);

    struct pl_nn_stream *s;
    OK(pl_nn_stream_new(m.ck, &p, N, &s, &d));
    float *x = calloc(N * pl_nn_stream_width(s), sizeof *x), *seen = calloc(N * (size_t)c->ffn, sizeof *seen);
    pl_nn_stream_embed(s, ids, N, x);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        const struct pl_layer_tensors *t = &m.ck->layer[l];
        const struct pl_tensor *const w[] = {t->q, t->k, t->v, t->o, t->gate, t->up, t->down};
        pl_nn_stream_layer(s, l);
        for (unsigned i = 0; i < PL_COUNT(w); i++)
            pl_nn_stream_set(s, (enum pl_nn_weight)i, w[i]);
        pl_nn_stream_inputs(s, x, N, PL_NN_O, seen); /* looking changes nothing */
        pl_nn_stream_attend(s, x, N);
        pl_nn_stream_inputs(s, x, N, PL_NN_DOWN, seen);
        pl_nn_stream_mlp(s, x, N);
    }
    pl_nn_stream_inputs(s, x, N, PL_NN_HEAD, in);

    struct pl_mm_spec spec;
    const struct pl_format act = pl_format_resolve(p.act, p.vec), weight = pl_format_resolve(p.weight, p.vec);
    OK(pl_mm_spec_init(&spec, &act, &weight, false, p.vec, p.mlen, p.blen, p.guard, p.acc_bits, &d));
    const size_t lanes = pl_round_up(c->hidden, p.mlen);
    struct pl_panel *left = pl_panel_new(&spec, false, N, lanes), *right = pl_panel_new(&spec, true, vocab, lanes);
    float *row = calloc(lanes, sizeof *row);
    uint32_t *code = calloc(lanes, sizeof *code);
    uint8_t *scale = calloc(lanes, 1);
    for (size_t i = 0; i < N; i++) {
        memcpy(row, in + i * c->hidden, c->hidden * sizeof *row);
        pl_panel_set_left(&spec, left, i, 0, lanes, row, NULL);
    }
    for (size_t j = 0; j < vocab; j++) {
        pl_tensor_to_f32(m.ck->lm_head, j * c->hidden, c->hidden, row);
        pl_quantise(&weight, row, NULL, c->hidden, code, scale);
        pl_panel_set_right(&spec, right, j, 0, c->hidden, code, scale);
    }
    pl_mm_product(&spec, left, N, right, vocab, got, vocab);
    assert_memory_equal(got, want, N * vocab * sizeof *want);
    pl_panel_free(left);
    pl_panel_free(right);
    pl_nn_stream_free(s);
    float *const all[] = {want, got, in, x, seen, row};
    for (size_t i = 0; i < PL_COUNT(all); i++)
        free(all[i]);
    free(code);
    free(scale);
    close_model(&m);
}

TEST(test_stream)
{
    (void)state;
    check_stream(source_path("examples/agent-0.8m"), &(struct formats){"small", "mxint4:16", "mxint4:16", "mxint4:16"});
    check_stream(source_path("examples/agent-0.8m"), &(struct formats){"medium", "mxfp4_e2m1:32", "none", "none"});
    if (shared_path("models/stories260k"))
        check_stream(shared_path("models/stories260k"), &(struct formats){"small", "mxint4:32", "mxint8:16", "mxint4:16"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float_against_double), cmocka_unit_test(test_stream), cmocka_unit_test(test_prefill_is_decode),
#ifdef _OPENMP
        cmocka_unit_test(test_threads_change_nothing),
#endif
        cmocka_unit_test(test_perplexity_stories260k), cmocka_unit_test(test_perplexity_bytelm),
        cmocka_unit_test(test_perplexity_in_double), cmocka_unit_test(test_eval_by_hand), cmocka_unit_test(test_example_beats_unigram),
        cmocka_unit_test(test_greedy_story), cmocka_unit_test(test_argmax), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
