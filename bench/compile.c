/* compile.c - bench compile: from checkpoint to image, and one decode step of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"
#include "plena/comp.h"
#include "plena/host.h"

static enum pl_status decode_step(const struct bench_options *o, const struct pl_arch *arch, const struct pl_image *img,
                                  struct pl_diag *d)
{
    struct pl_host *h;
    const struct pl_sim_options so = {.functional = true, .timing = true};
    PL_TRY(pl_host_new(arch, img, &so, &h, d));
    const struct pl_sim_stats *st = pl_sim_stats(pl_host_sim(h));
    const uint32_t id = 0;
    enum pl_status s = pl_host_forward(h, &id, 1, false, NULL, NULL, d);
    double best = 1e300;
    uint64_t insns = 0, cycles = 0;
    for (uint64_t i = 0; i < o->reps && s == PL_OK; i++) {
        const uint64_t before = st->insns, cyc = st->cycles, t0 = pl_clock_ns();
        s = pl_host_forward(h, &id, 1, false, NULL, NULL, d);
        const double dt = (double)(pl_clock_ns() - t0) * 1e-9;
        best = dt < best ? dt : best;
        insns = st->insns - before;
        cycles = st->cycles - cyc;
    }
    if (s == PL_OK) {
        bench_figure(o, "decode_step_instructions", (double)insns, "instructions");
        bench_figure(o, "decode_step_cycles", (double)cycles, "cycles");
        bench_figure(o, "decode_step_simulation", best, "s");
        bench_figure(o, "simulation_rate", (double)insns / best, "instructions/s");
    }
    pl_host_free(h);
    return s;
}

enum pl_status bench_compile(const struct bench_options *o, struct pl_diag *d)
{
    struct pl_arch arch;
    struct pl_arena a, image;
    struct pl_checkpoint *ck;
    struct pl_image img = {0};
    double whole, code;
    PL_TRY(pl_arch_load(o->machine, &arch, d));
    pl_arena_init(&a);
    pl_arena_init(&image);
    enum pl_status s = pl_checkpoint_open(&a, o->model, &ck, d);
    if (s != PL_OK) {
        pl_arena_fini(&a);
        return s;
    }
    for (int bare = 1; bare >= 0 && s == PL_OK; bare--) {
        const struct pl_comp_options opt = {.context = 128, .no_weights = bare};
        BENCH_BEST(o->reps, *(bare ? &code : &whole), {
            pl_arena_fini(&image);
            pl_arena_init(&image);
            s = pl_comp_model(&image, ck, &arch, &opt, &img, d);
        });
    }
    if (s == PL_OK) {
        bench_figure(o, "compile_code", code, "s");
        bench_figure(o, "compile_with_weights", whole, "s");
        bench_figure(o, "program_words", (double)img.n_code, "words");
        s = decode_step(o, &arch, &img, d);
    }
    pl_checkpoint_close(ck);
    pl_arena_fini(&image);
    pl_arena_fini(&a);
    return s;
}
