/* fidelity.c - bench fidelity: cycles in closed form beside those of the simulator's timing plane, per operator and total.
 *
 * Both sides in one run: the model is compiled without weights, one pass is simulated, and the front end's cycles in each
 * operator, issuing or waiting, are compared with what pl_perf_pass says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fidelity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "plena/comp.h"
#include "plena/sim.h"

#define LLAMA(v, e, f, l, h, k, dim)                                                                                     \
    {.vocab = v, .hidden = e, .ffn = f, .n_layers = l, .n_heads = h, .n_kv_heads = k, .head_dim = dim, .max_position = 131072, \
     .rms_eps = 1e-5, .rope_theta = 500000, .rope = {.attention = 1, .softmax = 1}, .bos = -1}
/* Shapes of known models; large ones with fewer layers, for time. */
static const struct {
    const char *name;
    struct pl_model_config config;
} models[] = {
    {"agent-0.8m", LLAMA(384, 128, 384, 4, 8, 4, 16)},
    {"smollm2-135m", LLAMA(49152, 576, 1536, 30, 9, 3, 64)},
    {"llama-3.2-1b", LLAMA(128256, 2048, 8192, 16, 32, 8, 64)},
    {"llama-2-7b, 4 layers", LLAMA(32000, 4096, 11008, 4, 32, 32, 128)},
    {"llama-3.1-8b, 4 layers", LLAMA(128256, 4096, 14336, 4, 32, 8, 128)},
    {"llama-3.3-70b, 2 layers", LLAMA(128256, 8192, 28672, 2, 64, 8, 128)},
    {"llama-3.3-70b", LLAMA(128256, 8192, 28672, 80, 64, 8, 128)},
};
enum { AGENT, SMOLLM, LLAMA_1B, LLAMA_7B, LLAMA_8B, LLAMA_70B_2, LLAMA_70B };
static const struct fidelity_input {
    unsigned model;
    const char *machine;
    uint32_t rows, position; /* rows 1: decode; else prefill of so many */
    const char *set;         /* one more parameter, or NULL */
    bool quick;
} cases[] = {
    {AGENT, "small", 1, 500, NULL, true},          {AGENT, "small", 64, 448, NULL, true},
    {AGENT, "tiny", 1, 200, NULL, true},           {AGENT, "medium", 1, 300, NULL, true},
    {SMOLLM, "small", 1, 1000, NULL, true},        {SMOLLM, "small", 1, 8000, NULL, false},
    {SMOLLM, "small", 64, 0, NULL, false},         {SMOLLM, "medium", 1, 1000, NULL, true},
    {SMOLLM, "medium", 64, 512, NULL, true},       {SMOLLM, "medium", 16, 512, NULL, true},
    {SMOLLM, "tiny", 1, 100, NULL, false},         {SMOLLM, "wide_vector", 1, 100, NULL, false},
    {SMOLLM, "narrow_vector", 1, 500, NULL, true}, {LLAMA_1B, "medium", 1, 2000, NULL, false},
    {LLAMA_1B, "medium", 64, 2048, NULL, false},   {LLAMA_1B, "paper", 1, 100, NULL, true},
    {LLAMA_1B, "paper", 1, 8000, NULL, true},      {LLAMA_1B, "paper", 1, 120000, NULL, false},
    {LLAMA_1B, "paper", 64, 0, NULL, true},        {LLAMA_1B, "paper", 64, 30000, NULL, false},
    {LLAMA_1B, "paper", 1, 8000, "hbm_bandwidth=800", true}, {LLAMA_7B, "paper", 1, 4000, NULL, true},
    {LLAMA_7B, "paper", 64, 4032, NULL, false},    {LLAMA_8B, "paper", 1, 1000, NULL, true},
    {LLAMA_8B, "paper", 1, 30000, NULL, true},     {LLAMA_8B, "paper", 1, 114000, NULL, false},
    {LLAMA_8B, "paper", 64, 4096, NULL, false},    {LLAMA_8B, "paper", 32, 16384, NULL, false},
    {LLAMA_8B, "paper", 1, 90000, "weight_format=mxint8:16", false}, {LLAMA_70B_2, "paper", 1, 1400, NULL, true},
    {LLAMA_70B_2, "paper", 1, 90000, NULL, false}, {LLAMA_70B_2, "paper", 32, 2048, NULL, false},
    {LLAMA_70B_2, "paper", 32, 90048, NULL, false}, {LLAMA_70B, "paper", 1, 90000, NULL, false},
};

size_t fidelity_cases(void)
{
    return PL_COUNT(cases);
}

bool fidelity_is_quick(size_t index)
{
    return cases[index].quick;
}

static enum pl_status machine_of(const struct fidelity_input *c, struct pl_arch *arch, struct pl_diag *d)
{
    PL_TRY(pl_arch_load(c->machine, arch, d));
    PL_TRY(pl_arch_set(arch, "hbm_model=simple", d));
    PL_TRY(pl_arch_set(arch, "hbm_stacks=1", d));
    PL_TRY(pl_arch_set(arch, "hbm_bytes=4000000000000", d));
    return c->set ? pl_arch_set(arch, c->set, d) : PL_OK;
}

/* "attention.norm", "mlp.norm" and "final_norm" are one operator here; what sets a pass up, too. */
static enum pl_perf_op op_of(const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    if (!strcmp(name, "final_norm"))
        return PL_PERF_OP_NORM;
    for (unsigned op = 0; op < PL_PERF_OPS; op++)
        if (!strcmp(pl_perf_op_name((enum pl_perf_op)op), last))
            return (enum pl_perf_op)op;
    return PL_PERF_OP_SETUP;
}

static enum pl_status set_param(struct pl_sim *sim, const struct pl_image *img, const char *name, uint32_t v, struct pl_diag *d)
{
    uint64_t word;
    PL_TRY(pl_image_find(img->param, img->n_param, name, &word, d));
    return pl_sim_set_int(sim, word, v, d);
}

static enum pl_status simulate(struct pl_sim *sim, const struct pl_image *img, const struct fidelity_input *c, struct fidelity *out,
                               struct pl_diag *d)
{
    uint64_t entry;
    enum pl_sim_stop stop;
    const uint32_t last = c->position + c->rows - 1;
    PL_TRY(pl_image_find(img->entry, img->n_entry, c->rows > 1 ? "prefill" : "decode", &entry, d));
    PL_TRY(set_param(sim, img, "pos", c->position, d));
    PL_TRY(set_param(sim, img, "tiles", last / img->plan.kv_tile, d));
    PL_TRY(set_param(sim, img, "last", c->rows - 1, d));
    PL_TRY(pl_sim_run(sim, (uint32_t)entry, &stop, d));
    const struct pl_sim_stats *s = pl_sim_stats(sim);
    for (size_t i = 0; i + 1 < s->n_op; i++)
        for (unsigned w = 0; w < PL_SIM_CAUSE_COUNT; w++)
            out->op[op_of(img->op[i].name)].simulated += (double)s->op[i].stall_cyc[w];
    out->simulated = (double)s->cycles;
    return PL_OK;
}

static void judge(struct fidelity *f)
{
    f->error = fabs(f->closed / f->simulated - 1);
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        if (f->op[op].simulated * FIDELITY_SHARE < f->simulated)
            continue;
        const double e = fabs(f->op[op].closed / f->op[op].simulated - 1);
        f->op_mean += e;
        f->n_judged++;
        if (e > f->op_max) {
            f->op_max = e;
            f->worst = (enum pl_perf_op)op;
        }
    }
    f->op_mean /= f->n_judged ? f->n_judged : 1;
}

static enum pl_status closed_form(const struct pl_arch *arch, const struct pl_model_config *m, const struct fidelity_input *c,
                                  struct fidelity *out, struct pl_diag *d)
{
    struct pl_perf_pass p;
    PL_TRY(pl_perf_pass(arch, m, c->rows, &p, d));
    if (p.rows != c->rows)
        return pl_fail(d, PL_EUNSUPPORTED, "%u rows do not fit", c->rows);
    const double tiles = (double)((c->position + c->rows - 1) / p.kv_tile);
    for (unsigned op = 0; op < PL_PERF_OPS; op++)
        out->op[op].closed = p.op[op].fixed_cyc + tiles * p.op[op].tile_cyc;
    out->closed = pl_perf_pass_cycles(&p, c->position + c->rows - 1);
    return PL_OK;
}

enum pl_status fidelity_case(size_t index, struct fidelity *out, struct pl_diag *d)
{
    const struct fidelity_input *c = &cases[index];
    struct pl_checkpoint ck = {.dir = models[c->model].name, .config = models[c->model].config};
    const struct pl_comp_options opt = {.context = c->position + c->rows, .chunk = c->rows > 1 ? c->rows : 16, .no_weights = true};
    struct pl_arena a;
    struct pl_arch arch;
    struct pl_image img;
    struct pl_sim *sim = NULL;
    *out = (struct fidelity){.op_max = 0};
    snprintf(out->name, sizeof out->name, "%s, %s%s%s, %s of %u at %u", models[c->model].name, c->machine, c->set ? " " : "",
             c->set ? c->set : "", c->rows > 1 ? "prefill" : "decode", c->rows, c->position);
    PL_TRY(machine_of(c, &arch, d));
    pl_arena_init(&a);
    enum pl_status s = pl_comp_model(&a, &ck, &arch, &opt, &img, d);
    if (s == PL_OK)
        s = pl_sim_new(&arch, &img, &(struct pl_sim_options){.timing = true}, &sim, d);
    if (s == PL_OK)
        s = simulate(sim, &img, c, out, d);
    if (s == PL_OK)
        s = closed_form(&arch, &ck.config, c, out, d);
    judge(out);
    pl_sim_free(sim);
    pl_arena_fini(&a);
    return s == PL_OK ? s : pl_fail_in(d, s, "%s", out->name);
}

enum pl_status bench_fidelity(const struct bench_options *o, struct pl_diag *d)
{
    double total = 0, most = 0, op_sum = 0, op_most = 0;
    unsigned n_op = 0;
    for (size_t i = 0; i < PL_COUNT(cases); i++) {
        struct fidelity f;
        PL_TRY(fidelity_case(i, &f, d));
        total += f.error;
        most = fmax(most, f.error);
        op_sum += f.op_mean * f.n_judged;
        op_most = fmax(op_most, f.op_max);
        n_op += f.n_judged;
        if (!o->json)
            printf("%-62s %13.0f cycles, closed %+6.2f %%; %2u operators: mean %5.2f %%, largest %5.2f %% (%s)\n", f.name, f.simulated,
                   100 * (f.closed / f.simulated - 1), f.n_judged, 100 * f.op_mean, 100 * f.op_max, pl_perf_op_name(f.worst));
    }
    const double n = (double)PL_COUNT(cases), mean = (total + op_sum) / (n + n_op), max = fmax(most, op_most);
    if (o->json)
        printf("{\"cases\": %.0f, \"operators\": %u, \"mean_error\": %.6f, \"max_error\": %.6f, \"total_mean_error\": %.6f, "
               "\"total_max_error\": %.6f, \"operator_mean_error\": %.6f, \"operator_max_error\": %.6f}\n",
               n, n_op, mean, max, total / n, most, op_sum / n_op, op_most);
    else
        printf("%.0f cases: totals mean %.2f %%, largest %.2f %%; %u operators mean %.2f %%, largest %.2f %%; all mean %.2f %%\n", n,
               100 * total / n, 100 * most, n_op, 100 * op_sum / n_op, 100 * op_most, 100 * mean);
    return PL_OK;
}
