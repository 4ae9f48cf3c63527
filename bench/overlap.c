/* overlap.c - array and HBM of one run against what they can do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "overlap.h"

#include <stdio.h>
#include <string.h>

#include "gemm.h"
#include "plena/comp.h"
#include "plena/hbm.h"

enum pl_status overlap_sequential(const struct pl_arch *arch, uint64_t bytes, double *cycles, struct pl_diag *d)
{
    struct pl_hbm_params p;
    struct pl_hbm *h;
    struct pl_hbm_done done;
    if (!strcmp(arch->hbm_model, "simple") || !strcmp(arch->hbm_model, "ideal")) {
        *cycles = (double)bytes / arch->hbm_bandwidth;
        return PL_OK;
    }
    PL_TRY(pl_hbm_preset(arch->hbm_model, &p, d));
    p.stacks = arch->hbm_stacks;
    p.inject = 0;
    PL_TRY(pl_hbm_new(&p, NULL, &h, d));
    const enum pl_status s = pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = bytes}, d);
    if (s == PL_OK)
        pl_hbm_advance(h, UINT64_MAX, &done, 1);
    *cycles = s == PL_OK ? (double)done.done * p.clock_ps * 1e-12 * arch->clock_hz : 0;
    pl_hbm_free(h);
    return s;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static enum pl_status measure(const struct pl_arch *arch, const struct pl_sim_stats *st, struct overlap *out, struct pl_diag *d)
{
    double sequential;
    *out = (struct overlap){.cycles = st->cycles, .array_cyc = st->busy_cyc[PL_SIM_MATRIX],
                            .hbm_bytes = st->hbm_read_bytes + st->hbm_write_bytes};
    PL_TRY(overlap_sequential(arch, out->hbm_bytes, &sequential, d));
    out->array_share = (double)out->array_cyc / (double)out->cycles;
    out->bytes_per_cycle = (double)out->hbm_bytes / (double)out->cycles;
    out->achievable = (double)out->hbm_bytes / sequential;
    out->hbm_share = out->bytes_per_cycle / out->achievable;
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        uint64_t named = st->busy_cyc[u];
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
            named += *pl_sim_cause_name((enum pl_sim_cause)c) ? st->idle_cyc[u][c] : 0;
        out->unnamed_cyc += distance(named, st->cycles);
    }
    return PL_OK;
}

enum pl_status overlap_gemm(const struct pl_arch *arch, uint32_t m, uint32_t n, uint32_t k, const char *act, const char *weight,
                            struct overlap *out, struct pl_diag *d)
{
    struct gemm g = {.arch = arch, .m = m, .n = n, .k = k};
    struct pl_sim *sim = NULL;
    enum pl_sim_stop stop;
    PL_TRY(pl_format_parse(act, &g.act, d));
    PL_TRY(pl_format_parse(weight, &g.weight, d));
    pl_arena_init(&g.arena);
    enum pl_status s = gemm_image(&g, d);
    if (s == PL_OK)
        s = pl_sim_new(arch, &g.image, &(struct pl_sim_options){.timing = true}, &sim, d);
    if (s == PL_OK)
        s = pl_sim_run(sim, 0, &stop, d);
    if (s == PL_OK)
        s = measure(arch, pl_sim_stats(sim), out, d);
    pl_sim_free(sim);
    pl_arena_fini(&g.arena);
    return s;
}

static void set_bound(struct overlap_op *o)
{
    o->bound = (double)o->array_cyc;
    o->by = "array";
    if ((double)o->vector_cyc > o->bound) {
        o->bound = (double)o->vector_cyc;
        o->by = "vector";
    }
    if (o->hbm_cyc > o->bound) {
        o->bound = o->hbm_cyc;
        o->by = "HBM";
    }
    o->share = o->cycles ? o->bound / (double)o->cycles : 0;
}

static struct overlap_op *op_of(struct overlap_step *out, const char *name)
{
    for (size_t i = 0; i < out->operators; i++)
        if (!strcmp(out->op[i].name, name))
            return &out->op[i];
    struct overlap_op *o = &out->op[out->operators < OVERLAP_OPS ? out->operators++ : OVERLAP_OPS - 1];
    snprintf(o->name, sizeof o->name, "%s", name);
    return o;
}

static enum pl_status operators(const struct pl_arch *arch, const struct pl_image *img, const struct pl_sim_stats *st,
                                struct overlap_step *out, struct pl_diag *d)
{
    uint64_t bytes[OVERLAP_OPS] = {0}, all_bytes = 0;
    for (size_t i = 0; i + 1 < st->n_op; i++) {
        const struct pl_sim_op_stats *op = &st->op[i];
        if (!op->insns)
            continue;
        struct overlap_op *o = op_of(out, img->op[i].name);
        o->cycles += op->cycles;
        o->array_cyc += op->busy_cyc[PL_SIM_MATRIX];
        o->vector_cyc += op->busy_cyc[PL_SIM_VECTOR];
        bytes[o - out->op] += op->hbm_bytes;
    }
    out->least_share = 1;
    snprintf(out->least, sizeof out->least, "none");
    out->step = (struct overlap_op){.name = "all", .cycles = st->cycles};
    for (size_t i = 0; i < out->operators; i++) {
        struct overlap_op *o = &out->op[i];
        if (bytes[i])
            PL_TRY(overlap_sequential(arch, bytes[i], &o->hbm_cyc, d));
        set_bound(o);
        out->step.array_cyc += o->array_cyc;
        out->step.vector_cyc += o->vector_cyc;
        all_bytes += bytes[i];
        if (strcmp(o->by, "HBM") != 0)
            continue;
        out->hbm_bound++;
        if (o->share < out->least_share) {
            out->least_share = o->share;
            snprintf(out->least, sizeof out->least, "%s", o->name);
        }
    }
    PL_TRY(overlap_sequential(arch, all_bytes, &out->step.hbm_cyc, d));
    set_bound(&out->step);
    return PL_OK;
}

static enum pl_status set_param(struct pl_sim *sim, const struct pl_image *img, const char *name, uint32_t v, struct pl_diag *d)
{
    uint64_t word;
    PL_TRY(pl_image_find(img->param, img->n_param, name, &word, d));
    return pl_sim_set_int(sim, word, v, d);
}

enum pl_status overlap_decode(const struct pl_arch *arch, const char *model, uint32_t position, struct overlap_step *out,
                              struct pl_diag *d)
{
    struct pl_arena a;
    struct pl_checkpoint *ck;
    struct pl_image img;
    struct pl_sim *sim = NULL;
    enum pl_sim_stop stop;
    uint64_t entry = 0;
    const struct pl_comp_options opt = {.context = position + 1, .no_weights = true};
    *out = (struct overlap_step){0};
    pl_arena_init(&a);
    enum pl_status s = pl_checkpoint_open(&a, model, &ck, d);
    if (s != PL_OK) {
        pl_arena_fini(&a);
        return s;
    }
    s = pl_comp_model(&a, ck, arch, &opt, &img, d);
    if (s == PL_OK)
        s = pl_image_find(img.entry, img.n_entry, "decode", &entry, d);
    if (s == PL_OK)
        s = pl_sim_new(arch, &img, &(struct pl_sim_options){.timing = true}, &sim, d);
    if (s == PL_OK)
        s = set_param(sim, &img, "pos", position, d);
    if (s == PL_OK)
        s = set_param(sim, &img, "tiles", position / img.plan.kv_tile, d);
    if (s == PL_OK)
        s = pl_sim_run(sim, (uint32_t)entry, &stop, d);
    if (s == PL_OK)
        s = measure(arch, pl_sim_stats(sim), &out->all, d);
    if (s == PL_OK)
        s = operators(arch, &img, pl_sim_stats(sim), out, d);
    pl_sim_free(sim);
    pl_checkpoint_close(ck);
    pl_arena_fini(&a);
    return s;
}
