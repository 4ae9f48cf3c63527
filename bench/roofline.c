/* roofline.c - bench roofline: operators of one device's shard of LLaMA-3.1-8B and 3.3-70B against what bounds them.
 *
 * The system is 16 devices of machine paper (shared reference published-figures.md): two groups of eight, each with half of
 * the workload's batch, and in a group every matrix is cut into eight (tensor-parallel): heads, kv heads, FFN and vocabulary
 * of a device are an eighth, all layers and the hidden width stay. Communication is not part of it. A batch that does not
 * fit Vector SRAM goes in equal parts. Two of the layers are simulated, on the bank-accurate HBM, and count for all.
 *
 * Bound of an operator: the largest of
 *   array   cycles of its products with all rows of a block of BLEN full where the operator has them (tokens; in attention
 *           the query heads of a K tile), BLEN columns and MLEN lanes of K at a time
 *   HBM     its weights, or the K and V of the tokens it reads, at the rate of one sequential read of as many bytes
 *   vector  its vector-unit operations, a row of VLEN a cycle.
 * The bound of a pass is the largest of the three sums. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "overlap.h"
#include "plena/comp.h"
#include "plena/map.h"

enum { SHARD = 8, GROUPS = 2, LAYERS = 2 };
static const struct {
    const char *name;
    struct pl_model_config c; /* of the whole model */
} model[] = {
    {"llama-3.1-8b", {.vocab = 128256, .hidden = 4096, .ffn = 14336, .n_layers = 32, .n_heads = 32, .n_kv_heads = 8, .head_dim = 128,
                      .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 500000, .bos = -1}},
    {"llama-3.3-70b", {.vocab = 128256, .hidden = 8192, .ffn = 28672, .n_layers = 80, .n_heads = 64, .n_kv_heads = 8, .head_dim = 128,
                       .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 500000, .bos = -1}},
};
/* Workloads of Table XIII with the batches of Table XII, by model; prefill: a chunk of one sequence behind `context`. */
static const struct workload {
    const char *name;
    uint32_t context, batch[PL_COUNT(model)], part, prefill; /* part: most sequences of a pass */
} workload[] = {
    {"decode at 1.4k", 1400, {8192, 1024}, 256, 0},
    {"decode at 90k", 90000, {64, 16}, 256, 0},
    {"decode at 114k", 114000, {64, 16}, 256, 0},
    {"prefill at 1k", 1024, {1, 1}, 1, 256},
    {"prefill at 45k", 45056, {1, 1}, 1, 256},
};

enum group { QKV, ATTENTION, O_PROJ, GATE_UP, DOWN, NORMS, VECTOR, KV_STORE, HEAD, START, GROUPS_OF_OPS };
static const char *const group_name[GROUPS_OF_OPS] = {
    "q, k, v_proj", "attention", "o_proj", "gate, up_proj", "down_proj", "norms", "rope, swiglu, residual", "kv_store", "lm_head", "start"};

static enum group group_of(const char *op)
{
    static const struct {
        const char *part;
        enum group g;
    } by[] = {{"q_proj", QKV}, {"k_proj", QKV}, {"v_proj", QKV}, {"o_proj", O_PROJ}, {"gate_proj", GATE_UP}, {"up_proj", GATE_UP},
              {"down_proj", DOWN}, {"norm", NORMS}, {"rope.tables", START}, {"rope", VECTOR}, {"swiglu", VECTOR}, {"residual", VECTOR},
              {"kv_store", KV_STORE}, {"lm_head", HEAD}, {"attention.", ATTENTION}};
    if (!strcmp(op, "attention.normalise"))
        return ATTENTION;
    for (size_t i = 0; i < PL_COUNT(by); i++)
        if (strstr(op, by[i].part))
            return by[i].g;
    return START;
}

struct work {
    double cycles, array, bytes, vector; /* cycles simulated; bounds: cycles, bytes, cycles */
};
struct pass {
    const struct pl_arch *arch;
    struct pl_model_config c; /* of the shard, LAYERS layers */
    uint32_t layers, batch, part, rows, context, prefill;
    struct work w[GROUPS_OF_OPS];
    uint64_t insns;
};

static double blocks(double n, double of)
{
    const double whole = (double)(uint64_t)(n / of);
    return whole + (whole * of < n);
}

/* A linear layer of n outputs and k inputs: array cycles and bytes of its weights. */
static void linear(const struct pass *p, struct work *w, double n, double k)
{
    const struct pl_arch *a = p->arch;
    w->array += blocks(p->rows, a->blen) * blocks(n, a->blen) * blocks(k, a->mlen) * a->blen;
    w->bytes += n * (double)(pl_format_row_bytes(&a->weight_format, (size_t)k) + pl_format_row_scales(&a->weight_format, (size_t)k));
}

/* The work of a layer. */
static void bounds(struct pass *p)
{
    const struct pl_arch *a = p->arch;
    const double rows = p->rows, hs = p->c.head_dim, q = p->c.n_heads * hs, kv = p->c.n_kv_heads * hs, e = p->c.hidden, f = p->c.ffn;
    const double blen = a->blen, mlen = a->mlen, g = (double)p->c.n_heads / p->c.n_kv_heads, segs_e = blocks(e, a->vlen), segs_f = blocks(f, a->vlen);
    linear(p, &p->w[QKV], q, e);
    linear(p, &p->w[QKV], kv, e);
    linear(p, &p->w[QKV], kv, e);
    linear(p, &p->w[O_PROJ], e, q);
    linear(p, &p->w[GATE_UP], f, e);
    linear(p, &p->w[GATE_UP], f, e);
    linear(p, &p->w[DOWN], e, f);
    p->w[NORMS].vector = 2 * rows * segs_e * 4;
    p->w[VECTOR].vector = rows * (5 * (blocks(q, a->vlen) + blocks(kv, a->vlen)) + 6 * segs_f + 2 * segs_e);
    const double row_kv = (double)(pl_format_row_bytes(&a->kv_format, (size_t)kv) + pl_format_row_scales(&a->kv_format, (size_t)kv));
    p->w[KV_STORE].bytes = 2 * rows * row_kv;
    /* Tokens seen, in tiles of MLEN of them; prefill: by its last row. */
    const double seqs = p->prefill ? 1 : rows, seen = p->context + (p->prefill ? p->prefill : 1), tiles = blocks(seen, mlen);
    const double left = p->prefill ? blocks(rows, blen) * g * p->c.n_kv_heads : blocks(g * p->c.n_kv_heads, blen); /* blocks of rows: scores */
    const double pv = p->prefill ? blocks(rows, blen) * g * p->c.n_kv_heads : blocks(g, blen) * p->c.n_kv_heads;
    p->w[ATTENTION].array = seqs * blen * (left * blocks(seen, blen) + pv * blocks(hs, blen) * tiles);
    p->w[ATTENTION].bytes = seqs * 2 * seen * row_kv;
    p->w[ATTENTION].vector = (p->prefill ? rows : seqs) * g * p->c.n_kv_heads * tiles * (4 + 2);
}

static enum pl_status set(struct pl_sim *sim, const struct pl_image *img, const char *name, uint32_t k, uint32_t v, struct pl_diag *d)
{
    uint64_t word;
    PL_TRY(pl_image_find(img->param, img->n_param, name, &word, d));
    return pl_sim_set_int(sim, word + k, v, d);
}

static enum pl_status run(struct pass *p, const struct pl_image *img, struct pl_sim *sim, struct pl_diag *d)
{
    uint64_t entry;
    enum pl_sim_stop stop;
    const uint32_t tiles = (p->context + p->prefill - (p->prefill != 0)) / img->plan.kv_tile;
    PL_TRY(pl_image_find(img->entry, img->n_entry, p->prefill ? "prefill" : "decode", &entry, d));
    PL_TRY(set(sim, img, "pos", 0, p->context, d));
    PL_TRY(set(sim, img, "tiles", 0, tiles, d));
    PL_TRY(set(sim, img, "last", 0, p->prefill ? p->prefill - 1 : 0, d));
    for (uint32_t s = 0; s < p->part && p->part > 1; s++) {
        PL_TRY(set(sim, img, "batch_pos", s, p->context, d));
        PL_TRY(set(sim, img, "batch_tiles", s, tiles, d));
    }
    PL_TRY(pl_sim_run(sim, (uint32_t)entry, &stop, d));
    const struct pl_sim_stats *st = pl_sim_stats(sim);
    for (size_t i = 0; i + 1 < st->n_op; i++) {
        const enum group g = group_of(img->op[i].name);
        const bool outside = g == HEAD || g == START || !strcmp(img->op[i].name, "final_norm");
        p->w[g].cycles += (double)st->op[i].cycles * (outside ? 1 : (double)p->layers / LAYERS);
    }
    p->insns = st->insns;
    return PL_OK;
}

static enum pl_status simulate(struct pass *p, struct pl_diag *d)
{
    struct pl_arena a;
    struct pl_image img;
    struct pl_sim *sim = NULL;
    const struct pl_checkpoint ck = {.dir = "shard", .config = p->c};
    const struct pl_comp_options opt = {.context = p->context + p->prefill + 1, .chunk = p->prefill ? p->prefill : 1, .batch = p->part,
                                        .no_weights = true};
    pl_arena_init(&a);
    enum pl_status s = pl_comp_model(&a, &ck, p->arch, &opt, &img, d);
    uint64_t chunk = 0;
    if (s == PL_OK)
        s = pl_image_find(img.constant, img.n_const, "chunk", &chunk, d);
    if (p->prefill && chunk < p->prefill)
        p->prefill = (uint32_t)chunk; /* what fits */
    if (s == PL_OK)
        s = pl_sim_new(p->arch, &img, &(struct pl_sim_options){.timing = true}, &sim, d);
    if (s == PL_OK)
        s = run(p, &img, sim, d);
    pl_sim_free(sim);
    pl_arena_fini(&a);
    return s;
}

/* The bound of w in cycles, and which it is. */
static enum pl_status bound(const struct pass *p, const struct work *w, double *cycles, const char **what, struct pl_diag *d)
{
    double hbm = 0;
    if (w->bytes >= 1)
        PL_TRY(overlap_sequential(p->arch, (uint64_t)w->bytes, &hbm, d));
    *cycles = w->array;
    *what = "array";
    if (hbm > *cycles) {
        *cycles = hbm;
        *what = "HBM";
    }
    if (w->vector > *cycles) {
        *cycles = w->vector;
        *what = "vector";
    }
    return PL_OK;
}

enum { LARGE_PERCENT = 2 };

static enum pl_status report(const struct bench_options *o, const char *name, const char *load, struct pass *p, double *worst,
                             struct pl_diag *d)
{
    struct work all = {0};
    const char *what;
    double b, least;
    char id[128];
    for (unsigned g = 0; g < GROUPS_OF_OPS; g++) {
        const double times = g == HEAD || g == START ? 1 : p->layers;
        p->w[g].array *= times;
        p->w[g].bytes *= times;
        p->w[g].vector *= times;
        all.cycles += p->w[g].cycles;
        all.array += p->w[g].array;
        all.bytes += p->w[g].bytes;
        all.vector += p->w[g].vector;
    }
    PL_TRY(bound(p, &all, &least, &what, d));
    if (!o->json)
        printf("\n%s, %s: batch %u of the system, %u rows a pass of this device\n%-24s %14s %7s %14s  %-6s %6s\n", name, load, p->batch, p->rows,
               "operator", "cycles", "share", "bound", "by", "ratio");
    for (unsigned g = 0; g < GROUPS_OF_OPS; g++) {
        const char *by;
        PL_TRY(bound(p, &p->w[g], &b, &by, d));
        const bool large = p->w[g].cycles * 100 >= LARGE_PERCENT * all.cycles && b > 0;
        const double ratio = b > 0 ? p->w[g].cycles / b : 0;
        *worst = large && ratio > *worst ? ratio : *worst;
        if (!o->json && p->w[g].cycles > 0)
            printf("%-24s %14.0f %5.1f %% %14.0f  %-6s %6.3f%s\n", group_name[g], p->w[g].cycles, 100 * p->w[g].cycles / all.cycles, b, by, ratio,
                   large ? "" : " (small)");
    }
    *worst = all.cycles / least > *worst ? all.cycles / least : *worst;
    if (!o->json)
        printf("%-24s %14.0f %5.1f %% %14.0f  %-6s %6.3f\n", "total", all.cycles, 100.0, least, what, all.cycles / least);
    snprintf(id, sizeof id, "roofline_%s_%s_cycles", name, load);
    bench_figure(o, id, all.cycles, "cycles");
    snprintf(id, sizeof id, "roofline_%s_%s_ratio", name, load);
    bench_figure(o, id, all.cycles / least, "ratio");
    return PL_OK;
}

static enum pl_status one_pass(const struct bench_options *o, const struct pl_arch *arch, size_t m, const struct workload *w, double *worst,
                               struct pl_diag *d)
{
    struct pass p = {.arch = arch, .c = model[m].c, .layers = model[m].c.n_layers, .context = w->context, .prefill = w->prefill,
                     .batch = w->batch[m]};
    p.c.n_heads /= SHARD;
    p.c.n_kv_heads /= SHARD;
    p.c.ffn /= SHARD;
    p.c.vocab /= SHARD;
    p.c.n_layers = LAYERS;
    p.part = w->prefill ? 1 : w->batch[m] / GROUPS;
    while (p.part > w->part)
        p.part /= 2;
    PL_TRY(simulate(&p, d));
    const uint32_t rows = w->prefill ? p.prefill : p.part;
    p.rows = w->prefill ? 1 : rows; /* prefill makes the logits of the last token alone */
    linear(&p, &p.w[HEAD], p.c.vocab, p.c.hidden);
    p.rows = rows;
    bounds(&p);
    return report(o, model[m].name, w->name, &p, worst, d);
}

enum pl_status bench_roofline(const struct bench_options *o, struct pl_diag *d)
{
    struct pl_arch arch;
    double worst = 0;
    PL_TRY(pl_arch_load("paper", &arch, d));
    for (size_t m = 0; m < PL_COUNT(model); m++)
        for (size_t w = 0; w < PL_COUNT(workload); w++)
            PL_TRY(one_pass(o, &arch, m, &workload[w], &worst, d));
    if (o->json)
        printf("{\"worst_ratio\": %.6g, \"of\": \"passes, and operators of at least %d %% of one\"}\n", worst, LARGE_PERCENT);
    else
        printf("\nworst ratio of passes, and of operators that take at least %d %% of one: %.3f\n", LARGE_PERCENT, worst);
    return PL_OK;
}
