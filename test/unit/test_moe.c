/* test_moe.c - experts: the float modes against the published definitions written out plainly, the quantised mode against
 * itself cut differently and against float64. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "plena/map.h"
#include "plena/nn.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#include "moe_models.h"
#pragma GCC diagnostic pop

static struct pl_diag d;
enum { TOKENS = 21 };

/* ---- a decoder in float64, token by token ---- */
static double at(const struct pl_tensor *t, uint64_t i)
{
    float x;
    pl_tensor_to_f32(t, i, 1, &x);
    return (double)x;
}

/* y = W x + b */
static void matvec(const struct pl_tensor *w, const struct pl_tensor *b, const double *x, double *y)
{
    for (uint64_t i = 0; i < w->shape[0]; i++) {
        y[i] = b ? at(b, i) : 0;
        for (uint64_t k = 0; k < w->shape[1]; k++)
            y[i] += at(w, i * w->shape[1] + k) * x[k];
    }
}

static void norm(const struct pl_model_config *c, const struct pl_tensor *gain, const double *x, double *y)
{
    double sum = 0;
    for (uint32_t i = 0; i < c->hidden; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < c->hidden; i++)
        y[i] = x[i] / sqrt(sum / c->hidden + c->rms_eps) * at(gain, i);
}

static void rotate(const struct pl_model_config *c, double *x, uint32_t pos)
{
    for (uint32_t i = 0; i < c->head_dim / 2; i++) {
        const double angle = pos * pow(c->rope_theta, -2.0 * i / c->head_dim), a = x[i], b = x[i + c->head_dim / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + c->head_dim / 2] = b * cos(angle) + a * sin(angle);
    }
}

struct cache {
    double k[TOKENS][64], v[TOKENS][64];
};

static void attend(const struct pl_model_config *c, const struct pl_layer_tensors *t, struct cache *kv, const double *y, uint32_t pos, double *out)
{
    const uint32_t dim = c->head_dim, group = c->n_heads / c->n_kv_heads;
    double q[256], o[256], p[TOKENS];
    matvec(t->q, NULL, y, q);
    matvec(t->k, NULL, y, kv->k[pos]);
    matvec(t->v, NULL, y, kv->v[pos]);
    for (uint32_t h = 0; h < c->n_kv_heads; h++)
        rotate(c, kv->k[pos] + h * dim, pos);
    for (uint32_t h = 0; h < c->n_heads; h++) {
        const uint32_t at_kv = h / group * dim;
        double sum = 0;
        rotate(c, q + h * dim, pos);
        for (uint32_t n = 0; n <= pos; n++) {
            p[n] = 0;
            for (uint32_t i = 0; i < dim; i++)
                p[n] += q[h * dim + i] * kv->k[n][at_kv + i];
            sum += p[n] = exp(p[n] / sqrt((double)dim));
        }
        for (uint32_t i = 0; i < dim; i++) {
            o[h * dim + i] = 0;
            for (uint32_t n = 0; n <= pos; n++)
                o[h * dim + i] += p[n] / sum * kv->v[n][at_kv + i];
        }
    }
    matvec(t->o, NULL, o, out);
}

static void feed(const struct pl_model_config *c, const struct pl_mlp_tensors *m, const double *y, double by, double *out)
{
    double g[256], u[256], z[128];
    matvec(m->gate, m->gate_bias, y, g);
    matvec(m->up, m->up_bias, y, u);
    for (uint64_t i = 0; i < m->gate->shape[0]; i++)
        if (c->glu_limit > 0) { /* GPT-OSS: limits, alpha = 1.702, (up + 1) */
            const double gate = g[i] > c->glu_limit ? c->glu_limit : g[i];
            const double up = u[i] > c->glu_limit ? c->glu_limit : u[i] < -c->glu_limit ? -c->glu_limit : u[i];
            g[i] = gate / (1 + exp(-1.702 * gate)) * (up + 1);
        } else {
            g[i] = g[i] / (1 + exp(-g[i])) * u[i];
        }
    matvec(m->down, m->down_bias, g, z);
    for (uint32_t i = 0; i < c->hidden; i++)
        out[i] += by * z[i];
}

static void experts(const struct pl_model_config *c, const struct pl_layer_tensors *t, const double *y, double *out)
{
    const struct pl_moe *m = &c->moe;
    const uint32_t n = m->experts, size = n / m->groups;
    double logit[256], score[256], choice[256], group[64] = {0}, all = 0, chosen = 0;
    bool out_of_it[256] = {false}, in[256] = {false};
    matvec(t->router, t->router_bias, y, logit);
    for (uint32_t i = 0; i < n; i++)
        all += exp(logit[i]);
    for (uint32_t i = 0; i < n; i++) {
        score[i] = m->score == PL_MOE_SIGMOID ? 1 / (1 + exp(-logit[i])) : exp(logit[i]) / all;
        choice[i] = score[i] + (t->select_bias ? at(t->select_bias, i) : 0);
    }
    for (uint32_t g = 0; g < m->groups; g++) { /* the sum of a group's best: of every member with few enough better ones */
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            uint32_t better = 0;
            for (uint32_t j = g * size; j < (g + 1) * size; j++)
                better += choice[j] > choice[i];
            group[g] += better < m->group_top ? choice[i] : 0;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t better = 0;
        for (uint32_t g = 0; g < m->groups; g++)
            better += group[g] > group[i / size];
        out_of_it[i] = better >= m->top_groups;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t better = 0;
        for (uint32_t j = 0; j < n; j++)
            better += !out_of_it[j] && choice[j] > choice[i];
        in[i] = !out_of_it[i] && better < m->top_k;
        chosen += in[i] ? score[i] : 0;
    }
    for (uint32_t i = 0; i < n; i++)
        if (in[i])
            feed(c, &t->expert[i], y, m->scale * (m->score == PL_MOE_SOFTMAX ? score[i] : score[i] / chosen), out);
    if (m->shared)
        feed(c, &t->shared, y, 1, out);
}

static void decoder(const struct pl_checkpoint *ck, const uint32_t *ids, double *logits)
{
    const struct pl_model_config *c = &ck->config;
    struct cache *kv = calloc(c->n_layers, sizeof *kv);
    for (uint32_t pos = 0; pos < TOKENS; pos++) {
        double x[128], y[128], o[128];
        for (uint32_t i = 0; i < c->hidden; i++)
            x[i] = at(ck->embed, (uint64_t)ids[pos] * c->hidden + i);
        for (uint32_t l = 0; l < c->n_layers; l++) {
            const struct pl_layer_tensors *t = &ck->layer[l];
            norm(c, t->input_norm, x, y);
            attend(c, t, &kv[l], y, pos, o);
            for (uint32_t i = 0; i < c->hidden; i++)
                x[i] += o[i];
            norm(c, t->post_norm, x, y);
            if (t->router)
                experts(c, t, y, x);
            else
                feed(c, &(struct pl_mlp_tensors){.gate = t->gate, .up = t->up, .down = t->down}, y, 1, x);
        }
        norm(c, ck->final_norm, x, y);
        matvec(ck->lm_head, NULL, y, logits + (size_t)pos * c->vocab);
    }
    free(kv);
}

/* ---- tests ---- */
struct model {
    struct pl_arena a;
    struct pl_checkpoint *ck;
    uint32_t ids[TOKENS];
    size_t n; /* logits of all tokens */
    double *want;
};

static void open_model(struct model *m, size_t i)
{
    struct pl_rng r;
    pl_arena_init(&m->a);
    OK(pl_checkpoint_synthetic(&m->a, &moe_models[i].c, 7 + i, &m->ck, &d));
    pl_rng_init(&r, 5);
    for (uint32_t k = 0; k < TOKENS; k++)
        m->ids[k] = (uint32_t)pl_rng_below(&r, m->ck->config.vocab);
    m->n = (size_t)TOKENS * m->ck->config.vocab;
    m->want = pl_alloc(&m->a, m->n * sizeof *m->want);
    decoder(m->ck, m->ids, m->want);
}

/* Largest difference, in units of the largest logit. */
static double distance(const struct model *m, const float *got)
{
    double most = 0, off = 0;
    for (size_t i = 0; i < m->n; i++) {
        most = fmax(most, fabs(m->want[i]));
        off = fmax(off, fabs((double)got[i] - m->want[i]));
    }
    return off / most;
}

/* Float64 ends in one rounding of logits to float: 2^-24, half again for sums in another order. Float32 keeps 24 bits of every
 * stored value: sums of 72 products and two layers of a few roundings each stay within 64 of them. */
TEST(test_float_modes)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(moe_models); i++) {
        struct model m;
        open_model(&m, i);
        float *got = pl_alloc(&m.a, m.n * sizeof *got);
        for (unsigned mode = PL_NN_F64; mode <= PL_NN_F32; mode++) {
            struct pl_nn *nn;
            OK(pl_nn_new(m.ck, (enum pl_nn_mode)mode, NULL, TOKENS, &nn, &d));
            OK(pl_nn_forward(nn, m.ids, TOKENS, false, got, &d));
            const double off = distance(&m, got), bound = mode == PL_NN_F64 ? 1.5 * 0x1p-24 : 64 * 0x1p-24;
            print_message("%s, %s: off by %.2g of the largest logit\n", moe_models[i].name, mode == PL_NN_F64 ? "float64" : "float32", off);
            if (!(off <= bound))
                fail_msg("bound %.2g", bound);
            pl_nn_free(nn);
        }
        pl_arena_fini(&m.a);
    }
}

static struct pl_nn *quantised(const struct model *m, const char *machine, const char *const format[3])
{
    struct pl_arch arch;
    struct pl_format f[3];
    struct pl_plan plan;
    struct pl_nn *nn;
    OK(pl_arch_load(machine, &arch, &d));
    for (unsigned i = 0; i < 3; i++)
        OK(pl_format_parse(format[i], &f[i], &d));
    OK(pl_map_plan(&arch, &m->ck->config, &f[0], &f[1], &f[2], &plan, &d));
    OK(pl_nn_new(m->ck, PL_NN_QUANT, &plan, TOKENS, &nn, &d));
    return nn;
}

/* The same bits however the sequence is cut: accumulation goes by expert, whoever else is in the pass. */
TEST(test_cuts_change_nothing)
{
    (void)state;
    static const char *const format[3] = {"mxint8:16", "mxint8:16", "mxint8:16"};
    static const uint32_t cut[][4] = {{1, 1, 1, 18}, {20, 1, 0, 0}, {7, 8, 6, 0}};
    for (size_t i = 0; i < PL_COUNT(moe_models); i++) {
        struct model m;
        open_model(&m, i);
        float *want = pl_alloc(&m.a, m.n * sizeof *want), *got = pl_alloc(&m.a, m.n * sizeof *got);
        struct pl_nn *nn = quantised(&m, "tiny", format);
        OK(pl_nn_forward(nn, m.ids, TOKENS, false, want, &d));
        for (size_t k = 0; k < PL_COUNT(cut); k++) {
            pl_nn_reset(nn);
            for (uint32_t p = 0, at_cut = 0; p < TOKENS; p += cut[k][at_cut++])
                OK(pl_nn_forward(nn, m.ids + p, cut[k][at_cut], false, got + (size_t)p * m.ck->config.vocab, &d));
            assert_memory_equal(got, want, m.n * sizeof *got);
        }
        pl_nn_free(nn);
        pl_arena_fini(&m.a);
    }
}

/* Without MX formats the machine's arithmetic is that of 8 or 11 bits. A close race of two experts may end otherwise, so most
 * tokens, not all, must be near float64. */
TEST(test_quantised_is_near)
{
    (void)state;
    static const char *const format[3] = {"none", "none", "none"};
    for (size_t i = 0; i < PL_COUNT(moe_models); i++) {
        struct model m;
        open_model(&m, i);
        float *got = pl_alloc(&m.a, m.n * sizeof *got);
        struct pl_nn *nn = quantised(&m, "small", format);
        OK(pl_nn_forward(nn, m.ids, TOKENS, false, got, &d));
        const uint32_t v = m.ck->config.vocab;
        double most = 0;
        unsigned near = 0;
        for (size_t k = 0; k < m.n; k++)
            most = fmax(most, fabs(m.want[k]));
        for (unsigned t = 0; t < TOKENS; t++) {
            double off = 0;
            for (uint32_t k = 0; k < v; k++)
                off = fmax(off, fabs((double)got[t * v + k] - m.want[t * v + k]));
            near += off < 0.05 * most;
        }
        print_message("%s: %u of %u tokens within 5 %%\n", moe_models[i].name, near, TOKENS);
        assert_true(near >= TOKENS * 2 / 3);
        pl_nn_free(nn);
        pl_arena_fini(&m.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_float_modes), cmocka_unit_test(test_cuts_change_nothing),
                                       cmocka_unit_test(test_quantised_is_near)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
