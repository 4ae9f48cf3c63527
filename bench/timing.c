/* timing.c - bench timing: how fast the timing plane walks through a LLaMA-3.3-70B at 90k context on machine paper.
 *
 * Compiled from its hyperparameters, without weights. Decode steps and one decoder layer, stepped and fast-forwarded, on
 * the simple HBM and on banks (lm_head included); prefill of 32k tokens through one layer. CPU time of this one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "plena/comp.h"
#include "plena/host.h"

enum { CONTEXT = 98304, POSITION = 90 * 1024, PREFILL = 32768, MANY_STEPS = 10 /* at least 10^8 instructions */ };

/* config.json of meta-llama/Llama-3.3-70B-Instruct. */
static const struct pl_model_config llama_70b = {
    .vocab = 128256, .hidden = 8192, .ffn = 28672, .n_layers = 80, .n_heads = 64, .n_kv_heads = 8, .head_dim = 128,
    .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 500000,
    .rope = {.kind = PL_ROPE_LLAMA3, .factor = 8, .low_freq = 1, .high_freq = 4, .original_max = 8192, .attention = 1, .softmax = 1},
    .bos = -1};

struct figures { /* of one run */
    double seconds, compile;
    uint64_t insns, forwarded, cycles;
};
struct job {
    struct pl_arch arch;
    struct pl_checkpoint ck;
    uint32_t steps; /* tokens decoded */
    bool no_fast_forward;
};

static enum pl_status job_init(struct job *j, uint32_t layers, bool banks, struct pl_diag *d)
{
    *j = (struct job){.steps = 1, .ck = {.dir = "LLaMA-3.3-70B", .config = llama_70b}};
    j->ck.config.n_layers = layers;
    PL_TRY(pl_arch_load("paper", &j->arch, d));
    PL_TRY(pl_arch_set(&j->arch, "hbm_bytes=68719476736", d));
    if (!banks)
        PL_TRY(pl_arch_set(&j->arch, "hbm_model=simple", d));
    return banks ? PL_OK : pl_arch_set(&j->arch, "hbm_stacks=1", d);
}

static enum pl_status set_param(struct pl_sim *sim, const struct pl_image *img, const char *name, uint32_t v, struct pl_diag *d)
{
    uint64_t word;
    PL_TRY(pl_image_find(img->param, img->n_param, name, &word, d));
    return pl_sim_set_int(sim, word, v, d);
}

/* Tokens behind POSITION others. */
static enum pl_status decode(const struct job *j, const struct pl_image *img, struct figures *f, struct pl_diag *d)
{
    const struct pl_sim_options so = {.timing = true, .no_fast_forward = j->no_fast_forward};
    uint64_t kv_tile, entry;
    struct pl_sim *sim = NULL;
    enum pl_sim_stop stop;
    PL_TRY(pl_image_find(img->constant, img->n_const, "kv_tile", &kv_tile, d));
    PL_TRY(pl_image_find(img->entry, img->n_entry, "decode", &entry, d));
    PL_TRY(pl_sim_new(&j->arch, img, &so, &sim, d));
    enum pl_status s = PL_OK;
    for (uint32_t pos = POSITION; pos < POSITION + j->steps && s == PL_OK; pos++) {
        s = set_param(sim, img, "pos", pos, d);
        if (s == PL_OK)
            s = set_param(sim, img, "tiles", (uint32_t)(pos / kv_tile), d);
        if (s == PL_OK)
            s = pl_sim_run(sim, (uint32_t)entry, &stop, d);
    }
    const struct pl_sim_stats *st = pl_sim_stats(sim);
    f->insns = st->insns;
    f->forwarded = st->fast_forwarded;
    f->cycles = st->cycles;
    pl_sim_free(sim);
    return s;
}

/* PREFILL tokens, chunk by chunk. */
static enum pl_status prefill(const struct job *j, const struct pl_image *img, struct figures *f, struct pl_diag *d)
{
    const struct pl_sim_options so = {.timing = true};
    static const uint32_t ids[PREFILL];
    struct pl_host *h = NULL;
    PL_TRY(pl_host_new(&j->arch, img, &so, &h, d));
    const enum pl_status s = pl_host_forward(h, ids, PREFILL, false, NULL, NULL, d);
    const struct pl_sim_stats *st = pl_sim_stats(pl_host_sim(h));
    f->insns = st->insns;
    f->forwarded = st->fast_forwarded;
    f->cycles = st->cycles;
    pl_host_free(h);
    return s;
}

/* Compile, then run; the best of reps. */
static enum pl_status best_of(uint64_t reps, const struct job *j,
                              enum pl_status (*run)(const struct job *j, const struct pl_image *img, struct figures *f, struct pl_diag *d),
                              struct figures *best, struct pl_diag *d)
{
    const struct pl_comp_options opt = {.context = CONTEXT, .no_weights = true};
    enum pl_status s = PL_OK;
    best->seconds = 1e300;
    for (uint64_t rep = 0; rep < reps && s == PL_OK; rep++) {
        struct pl_arena a;
        struct pl_image img;
        struct figures f = {0};
        pl_arena_init(&a);
        const double t0 = bench_cpu_seconds();
        s = pl_comp_model(&a, &j->ck, &j->arch, &opt, &img, d);
        f.compile = bench_cpu_seconds() - t0;
        if (s == PL_OK)
            s = run(j, &img, &f, d);
        f.seconds = bench_cpu_seconds() - t0;
        if (f.seconds < best->seconds)
            *best = f;
        pl_arena_fini(&a);
    }
    return s;
}

static void print(const struct bench_options *o, const char *what, const struct figures *f)
{
    const struct {
        const char *name;
        double value;
        const char *unit;
    } figure[] = {{"seconds", f->seconds, "s"},
                  {"compile_seconds", f->compile, "s"},
                  {"instructions", (double)f->insns, "instructions"},
                  {"fast_forwarded", (double)f->forwarded, "instructions"},
                  {"cycles", (double)f->cycles, "cycles"},
                  {"instructions_per_s", (double)f->insns / (f->seconds - f->compile), "instructions/s"}};
    for (size_t i = 0; i < PL_COUNT(figure); i++) {
        char full[96];
        snprintf(full, sizeof full, "timing_%s_%s", what, figure[i].name);
        bench_figure(o, full, figure[i].value, figure[i].unit);
    }
}

enum pl_status bench_timing(const struct bench_options *o, struct pl_diag *d)
{
    struct job j;
    struct figures step, fast, f;
    PL_TRY(job_init(&j, llama_70b.n_layers, false, d));
    j.steps = MANY_STEPS; /* 10^8 instructions and more */
    j.no_fast_forward = true;
    PL_TRY(best_of(o->reps, &j, decode, &step, d));
    print(o, "decode_stepped", &step);
    j.no_fast_forward = false;
    PL_TRY(best_of(o->reps, &j, decode, &fast, d));
    print(o, "decode_fast_forwarded", &fast);
    if (step.cycles != fast.cycles || step.insns != fast.insns)
        return pl_fail(d, PL_EDIFF, "stepped %llu cycles, fast-forwarded %llu", (unsigned long long)step.cycles,
                       (unsigned long long)fast.cycles);
    j.steps = 1;
    PL_TRY(best_of(o->reps, &j, decode, &f, d));
    print(o, "decode", &f);
    PL_TRY(job_init(&j, 1, false, d));
    PL_TRY(best_of(o->reps, &j, decode, &f, d));
    print(o, "layer", &f);
    PL_TRY(best_of(1, &j, prefill, &f, d));
    print(o, "layer_prefill_32k", &f);
    PL_TRY(job_init(&j, 1, true, d));
    PL_TRY(best_of(o->reps, &j, decode, &f, d));
    print(o, "layer_banks", &f);
    j.ck.config.vocab = 2048; /* the layer with next to no lm_head, which moves as many bytes as a layer */
    PL_TRY(best_of(o->reps, &j, decode, &f, d));
    print(o, "layer_banks_small_vocabulary", &f);
    return PL_OK;
}
