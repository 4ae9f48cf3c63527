/* test_attention.c - the float executor's attention of every family against a plain implementation of its definition. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "plena/arch.h"
#include "plena/map.h"
#include "plena/model.h"
#include "plena/nn.h"

static struct pl_diag d;

/* ---- the slow twin: whole sequences, no cache, one token and one head after another, from the published definitions:
 * Hugging Face transformers' LlamaAttention, Qwen3Attention, GptOssAttention (eager_attention_forward with sinks) and
 * DeepseekV3Attention (keys and values of all heads expanded from the latent) ---- */
static double at(const struct pl_tensor *t, size_t i)
{
    float x;
    pl_tensor_to_f32(t, i, 1, &x);
    return (double)x;
}

static void apply(const struct pl_tensor *w, const struct pl_tensor *bias, const double *x, double *y)
{
    for (size_t r = 0; r < w->shape[0]; r++) {
        y[r] = bias ? at(bias, r) : 0;
        for (size_t k = 0; k < w->shape[1]; k++)
            y[r] += at(w, r * w->shape[1] + k) * x[k];
    }
}

static void norm(const struct pl_tensor *gain, size_t n, double eps, const double *x, double *y)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] * x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / sqrt(mean + eps) * at(gain, i);
}

/* `lanes` lanes; interleaved: pairs (2i, 2i + 1), which DeepSeek's code moves to the halves first. */
static void rotate(const struct pl_model_config *c, double *x, size_t lanes, size_t pos, bool interleaved)
{
    double freq[64], y[128];
    pl_rope_inv_freq(c, freq);
    for (size_t i = 0; i < lanes / 2; i++) {
        const double a = interleaved ? x[2 * i] : x[i], b = interleaved ? x[2 * i + 1] : x[i + lanes / 2];
        const double co = cos((double)pos * freq[i]) * c->rope.attention, si = sin((double)pos * freq[i]) * c->rope.attention;
        y[i] = a * co - b * si;
        y[i + lanes / 2] = b * co + a * si;
    }
    memcpy(x, y, lanes * sizeof *x);
}

enum { TOKENS = 12, MOST = 512 };
static const uint32_t ids[TOKENS] = {0, 7, 14, 21, 28, 35, 2, 9, 16, 23, 30, 37};
struct seq {
    double q[TOKENS][MOST], k[TOKENS][MOST], v[TOKENS][MOST];
};

static void project(const struct pl_model_config *c, const struct pl_layer_tensors *t, const double *h, size_t pos, struct seq *s)
{
    apply(t->q, t->q_bias, h, s->q[pos]);
    apply(t->k, t->k_bias, h, s->k[pos]);
    apply(t->v, t->v_bias, h, s->v[pos]);
    for (size_t i = 0; i < c->n_heads + c->n_kv_heads; i++) {
        double *x = i < c->n_heads ? s->q[pos] + i * c->head_dim : s->k[pos] + (i - c->n_heads) * c->head_dim;
        if (c->qk_norm)
            norm(i < c->n_heads ? t->q_norm : t->k_norm, c->head_dim, c->rms_eps, x, x);
        rotate(c, x, c->head_dim, pos, false);
    }
}

static void project_latent(const struct pl_model_config *c, const struct pl_layer_tensors *t, const double *h, size_t pos, struct seq *s)
{
    const struct pl_mla *m = &c->mla;
    double low[MOST], row[MOST], kv[2 * MOST];
    if (m->q_rank) {
        apply(t->q_a, NULL, h, low);
        norm(t->q_a_norm, m->q_rank, c->rms_eps, low, low);
        apply(t->q_b, NULL, low, s->q[pos]);
    } else {
        apply(t->q, NULL, h, s->q[pos]);
    }
    apply(t->kv_a, NULL, h, row);
    rotate(c, row + m->kv_rank, m->rope, pos, true);
    norm(t->kv_a_norm, m->kv_rank, c->rms_eps, row, low);
    apply(t->kv_b, NULL, low, kv);
    for (size_t i = 0; i < c->n_heads; i++) {
        rotate(c, s->q[pos] + i * c->head_dim + m->nope, m->rope, pos, true);
        double *k = s->k[pos] + i * c->head_dim;
        memcpy(k, kv + i * (m->nope + m->v), m->nope * sizeof *k);
        memcpy(k + m->nope, row + m->kv_rank, m->rope * sizeof *k);
        memcpy(s->v[pos] + i * m->v, kv + i * (m->nope + m->v) + m->nope, m->v * sizeof *k);
    }
}

static void attend(const struct pl_model_config *c, const struct pl_layer_tensors *t, uint32_t l, size_t pos, const struct seq *s, double *out)
{
    const size_t dim = c->head_dim, vd = pl_model_v_dim(c), group = c->mla.kv_rank ? 1 : c->n_heads / c->n_kv_heads;
    const uint32_t window = pl_model_window(c, l);
    for (size_t h = 0; h < c->n_heads; h++) {
        double score[TOKENS], sum = t->sinks ? exp(at(t->sinks, h)) : 0;
        for (size_t j = 0; j <= pos; j++) {
            score[j] = 0;
            for (size_t i = 0; i < dim; i++)
                score[j] += s->q[pos][h * dim + i] * s->k[j][h / group * dim + i];
            score[j] = window && j + window <= pos ? 0 : exp(score[j] * c->rope.softmax / sqrt((double)dim));
            sum += score[j];
        }
        for (size_t i = 0; i < vd; i++) {
            out[h * vd + i] = 0;
            for (size_t j = 0; j <= pos; j++)
                out[h * vd + i] += score[j] / sum * s->v[j][h / group * vd + i];
        }
    }
}

static void swiglu(const struct pl_model_config *c, const struct pl_layer_tensors *t, double *x)
{
    double h[MOST], g[MOST], u[MOST], y[MOST];
    norm(t->post_norm, c->hidden, c->rms_eps, x, h);
    apply(t->gate, NULL, h, g);
    apply(t->up, NULL, h, u);
    for (size_t i = 0; i < c->ffn; i++)
        g[i] *= u[i] / (1 + exp(-g[i]));
    apply(t->down, NULL, g, y);
    for (size_t i = 0; i < c->hidden; i++)
        x[i] += y[i];
}

static void twin(const struct pl_checkpoint *ck, double *logits)
{
    const struct pl_model_config *c = &ck->config;
    static double x[TOKENS][MOST];
    static struct seq s;
    double h[MOST], o[MOST], y[MOST];
    for (size_t p = 0; p < TOKENS; p++)
        for (size_t i = 0; i < c->hidden; i++)
            x[p][i] = at(ck->embed, ids[p] * c->hidden + i);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        const struct pl_layer_tensors *t = &ck->layer[l];
        for (size_t p = 0; p < TOKENS; p++) {
            norm(t->input_norm, c->hidden, c->rms_eps, x[p], h);
            (c->mla.kv_rank ? project_latent : project)(c, t, h, p, &s);
            attend(c, t, l, p, &s, o);
            apply(t->o, t->o_bias, o, y);
            for (size_t i = 0; i < c->hidden; i++)
                x[p][i] += y[i];
            swiglu(c, t, x[p]);
        }
    }
    for (size_t p = 0; p < TOKENS; p++) {
        norm(ck->final_norm, c->hidden, c->rms_eps, x[p], h);
        apply(ck->lm_head, NULL, h, logits + p * c->vocab);
    }
}

/* ---- */
static const struct pl_model_config base = {.vocab = 40, .hidden = 48, .ffn = 56, .n_layers = 3, .n_heads = 6, .n_kv_heads = 2, .head_dim = 16,
                                            .max_position = 64, .rms_eps = 1e-5, .rope_theta = 10000,
                                            .rope = {.attention = 1, .softmax = 1}, .bos = -1, .moe = {.groups = 1, .top_groups = 1}};

/* Logits of prefill of five tokens, then of one after another, against the twin's. */
static void compare_mode(const char *name, const struct pl_checkpoint *ck, enum pl_nn_mode mode, const double *want, double most)
{
    static const char *const label[] = {[PL_NN_F64] = "f64", [PL_NN_F32] = "f32", [PL_NN_QUANT] = "quantised"};
    struct pl_arch arch;
    struct pl_format none;
    struct pl_plan plan;
    struct pl_nn *nn;
    float got[TOKENS * 40];
    double worst = 0;
    OK(pl_arch_load("small", &arch, &d));
    OK(pl_format_parse("none", &none, &d));
    OK(pl_map_plan(&arch, &ck->config, &none, &none, &none, &plan, &d));
    OK(pl_nn_new(ck, mode, &plan, TOKENS, &nn, &d));
    OK(pl_nn_forward(nn, ids, 5, false, got, &d));
    for (uint32_t i = 5; i < TOKENS; i++)
        OK(pl_nn_forward(nn, ids + i, 1, false, got + i * 40, &d));
    for (size_t i = 0; i < TOKENS * 40; i++)
        worst = fmax(worst, fabs((double)got[i] - want[i]));
    print_message("%-12s %-9s: largest difference %.2g\n", name, label[mode], worst);
    assert_true(worst < most);
    pl_nn_free(nn);
}

/* float64: logits are given as floats, 2^-24 of about 5. float32: some hundred roundings of 2^-24. Quantised, without MX
 * formats: as many of 2^-11, in the vector format; a wrong lane or factor gives differences of 1. */
static void compare(const char *name, const struct pl_model_config *c)
{
    struct pl_arena a;
    struct pl_checkpoint *ck;
    double want[TOKENS * 40];
    pl_arena_init(&a);
    OK(pl_checkpoint_synthetic(&a, c, 9, &ck, &d));
    twin(ck, want);
    compare_mode(name, ck, PL_NN_F64, want, 1e-6);
    compare_mode(name, ck, PL_NN_F32, want, 1e-4);
    compare_mode(name, ck, PL_NN_QUANT, want, 0.05);
    pl_checkpoint_close(ck);
    pl_arena_fini(&a);
}

TEST(test_families)
{
    (void)state;
    struct pl_model_config c = base;
    compare("llama", &c);
    c.qkv_bias = true;
    compare("qwen2", &c);
    c.qkv_bias = false;
    c.qk_norm = true;
    compare("qwen3", &c);
    c = base;
    c.window = 4;
    c.windowed[0] = 7;
    compare("mistral", &c);
    c.windowed[0] = 5;
    c.sinks = c.qkv_bias = c.o_bias = true;
    c.rope = (struct pl_rope_scaling){.kind = PL_ROPE_YARN, .factor = 8, .original_max = 32, .beta_fast = 32, .beta_slow = 1, .attention = 1.2,
                                      .softmax = 1};
    compare("gpt_oss", &c);
}

TEST(test_latent)
{
    (void)state;
    struct pl_model_config c = base;
    c.n_kv_heads = 1;
    c.mla = (struct pl_mla){.kv_rank = 24, .nope = 16, .rope = 8, .v = 12};
    c.head_dim = 24;
    compare("deepseek_v2", &c);
    c.mla.q_rank = 20;
    c.rope = (struct pl_rope_scaling){.kind = PL_ROPE_YARN, .factor = 8, .original_max = 32, .beta_fast = 32, .beta_slow = 1, .attention = 1.1,
                                      .softmax = 1.3};
    compare("deepseek_v3", &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families), cmocka_unit_test(test_latent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
