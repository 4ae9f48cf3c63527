/* codegen.c - bench codegen: instructions of our programs beside the best legal ones of the authors' generators.
 *
 * The rows and the authors' dynamic counts are those of shared/reference/compiler.md 6.2 (measured there at MLEN 64,
 * BLEN 4, HLEN 16, VLEN 64). Of the layer none of their programs is legal; the smaller count is taken. Ours are counted
 * on the simulator, after the verifier has proved them, once with our extensions of the instruction set and once without
 * the one that shortens them most, addresses that step on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "plena/comp.h"
#include "plena/sim.h"
#include "plena/verify.h"

struct row {
    const char *name;
    uint32_t hidden, ffn, heads, kv_heads, head_dim; /* of a model with one layer that holds the operators */
    uint32_t rows;    /* tokens of a pass; 0: one token by the decode program */
    uint32_t pos;     /* its position */
    uint32_t passes;  /* that follow each other */
    const char *ops[10];
    uint64_t theirs;  /* dynamic instructions */
};

#define ATTENTION "attention.init", "attention.load", "attention.qk", "attention.softmax", "attention.pv", "attention.update", "attention.normalise"
static const struct row rows[] = {
    {"linear_4x4096x4096", 4096, 64, 64, 64, 64, 4, 0, 1, {"attention.q_proj"}, 219672},
    {"linear_256x256x256", 256, 64, 4, 4, 64, 256, 0, 1, {"attention.q_proj"}, 58686},
    {"rmsnorm_4x4096", 4096, 64, 64, 64, 64, 4, 0, 1, {"attention.norm"}, 1328},
    {"ffn_llama_3.2_1b_4", 2048, 8192, 32, 8, 64, 4, 0, 1, {"mlp.gate_proj", "mlp.up_proj", "mlp.swiglu", "mlp.down_proj"}, 872852},
    {"ffn_llama_3.2_1b_64", 2048, 8192, 32, 8, 64, 64, 0, 1, {"mlp.gate_proj", "mlp.up_proj", "mlp.swiglu", "mlp.down_proj"}, 13140000},
    {"attention_prefill_256_d64", 64, 64, 1, 1, 64, 64, 0, 4, {ATTENTION}, 69886},
    {"attention_decode_kv1024", 64, 64, 4, 1, 16, 0, 1023, 1, {ATTENTION, "attention.spread", "attention.unpack"}, 9412},
    {"layer_llama_3.2_1b_64", 2048, 8192, 32, 8, 64, 64, 0, 1, {NULL}, 16500000},
};

static enum pl_status machine(struct pl_arch *a, struct pl_diag *d)
{
    static const char *const set[] = {"mlen=64", "blen=4", "hlen=16", "vlen=64", "vector_rows=65536", "fp_words=65536"};
    PL_TRY(pl_arch_load("small", a, d));
    for (size_t i = 0; i < PL_COUNT(set); i++)
        PL_TRY(pl_arch_set(a, set[i], d));
    return pl_arch_check(a, d);
}

static enum pl_status model_of(const struct row *r, uint32_t layers, struct pl_checkpoint *ck, struct pl_diag *d)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"model_type\": \"llama\", \"hidden_size\": %u, \"intermediate_size\": %u, \"num_hidden_layers\": %u, "
             "\"num_attention_heads\": %u, \"num_key_value_heads\": %u, \"head_dim\": %u, \"vocab_size\": 64, "
             "\"max_position_embeddings\": 2048, \"rms_norm_eps\": 1e-5, \"rope_theta\": 500000.0, \"hidden_act\": \"silu\", "
             "\"tie_word_embeddings\": true}",
             r->hidden, r->ffn, layers, r->heads, r->kv_heads, r->head_dim);
    const struct pl_source src = {r->name, text, strlen(text)};
    *ck = (struct pl_checkpoint){0};
    return pl_model_config_parse(&src, &ck->config, d);
}

struct count {
    uint64_t insns, mm, cycles;
    uint64_t words; /* of the operators; of a layer: from its begin to its end */
};

static bool belongs(const struct row *r, const struct pl_image *img, size_t op, uint32_t begin, uint32_t end)
{
    if (img->op[op].begin < begin || img->op[op].begin >= end)
        return false;
    if (!r->ops[0])
        return true;
    for (size_t k = 0; k < PL_COUNT(r->ops) && r->ops[k]; k++)
        if (!strcmp(r->ops[k], img->op[op].name))
            return true;
    return false;
}

static enum pl_status bounds(const struct pl_image *img, bool decode, uint32_t pc[3], struct pl_diag *d)
{
    uint64_t entry, begin, end;
    PL_TRY(pl_image_find(img->entry, img->n_entry, decode ? "decode" : "prefill", &entry, d));
    PL_TRY(pl_image_find(img->constant, img->n_const, decode ? "decode.layer_begin" : "prefill.layer_begin", &begin, d));
    PL_TRY(pl_image_find(img->constant, img->n_const, decode ? "decode.layer_end" : "prefill.layer_end", &end, d));
    pc[0] = (uint32_t)entry;
    pc[1] = (uint32_t)begin;
    pc[2] = (uint32_t)end;
    return PL_OK;
}

/* Run the program and count what the row's operators did. */
static enum pl_status run(const struct row *r, const struct pl_arch *arch, const struct pl_image *img, struct count *out, struct pl_diag *d)
{
    struct pl_sim *sim;
    enum pl_sim_stop stop;
    uint32_t pc[3];
    const struct pl_sim_options so = {.timing = true};
    const bool decode = r->rows == 0;
    PL_TRY(bounds(img, decode, pc, d));
    PL_TRY(pl_sim_new(arch, img, &so, &sim, d));
    const uint32_t n = decode ? 1 : r->rows;
    enum pl_status s = PL_OK;
    for (uint32_t pass = 0; pass < r->passes && s == PL_OK; pass++) {
        const uint32_t pos = r->pos + pass * n;
        s = pl_sim_set_int(sim, 0, pos, d);
        if (s == PL_OK)
            s = pl_sim_set_int(sim, 1, (pos + n - 1) / img->plan.kv_tile, d);
        if (s == PL_OK)
            s = pl_sim_set_int(sim, 2, n - 1, d);
        if (s == PL_OK)
            s = pl_sim_run(sim, pc[0], &stop, d);
    }
    *out = (struct count){0};
    const struct pl_sim_stats *st = pl_sim_stats(sim);
    for (size_t i = 0; s == PL_OK && i < img->n_op; i++) {
        if (!belongs(r, img, i, pc[1], pc[2]))
            continue;
        out->cycles += st->op[i].cycles;
        out->words += img->op[i].end - img->op[i].begin;
        for (uint32_t k = img->op[i].begin; k < img->op[i].end; k++) {
            struct pl_insn in;
            out->insns += st->pc[k].count;
            if (pl_isa_decode(img->code[k], &in, NULL) == PL_OK && (in.op == PL_M_MM || in.op == PL_M_TMM))
                out->mm += st->pc[k].count;
        }
    }
    pl_sim_free(sim);
    return s;
}

static enum pl_status count_row(const struct row *r, const struct pl_arch *arch, uint32_t layers, uint32_t context, uint32_t without,
                                struct count *out, struct pl_diag *d)
{
    struct pl_checkpoint ck;
    struct pl_arena a;
    struct pl_image img;
    const struct pl_comp_options opt = {.context = context, .chunk = r->rows ? r->rows : 4, .no_weights = true, .without = without};
    PL_TRY(model_of(r, layers, &ck, d));
    pl_arena_init(&a);
    enum pl_status s = pl_comp_model(&a, &ck, arch, &opt, &img, d);
    if (s == PL_OK)
        s = pl_verify_image(arch, &img, d);
    if (s == PL_OK)
        s = run(r, arch, &img, out, d);
    pl_arena_fini(&a);
    return s;
}

static void figure(const struct bench_options *o, const char *row, const char *what, double v, const char *unit)
{
    char name[96];
    snprintf(name, sizeof name, "codegen_%s_%s", row, what);
    bench_figure(o, name, v, unit);
}

static void print_row(const struct bench_options *o, const struct row *r, const struct count *ours, const struct count *base)
{
    figure(o, r->name, "instructions", (double)ours->insns, "instructions");
    figure(o, r->name, "instructions_no_step", (double)base->insns, "instructions");
    figure(o, r->name, "instructions_theirs", (double)r->theirs, "instructions");
    figure(o, r->name, "ratio", (double)ours->insns / (double)r->theirs, "ratio");
    figure(o, r->name, "ratio_no_step", (double)base->insns / (double)r->theirs, "ratio");
    figure(o, r->name, "words", (double)ours->words, "words");
    figure(o, r->name, "cycles", (double)ours->cycles, "cycles");
    figure(o, r->name, "words_no_step", (double)base->words, "words");
    figure(o, r->name, "cycles_no_step", (double)base->cycles, "cycles");
    if (!ours->mm)
        return;
    figure(o, r->name, "instructions_per_mm", (double)ours->insns / (double)ours->mm, "instructions");
    figure(o, r->name, "instructions_per_mm_no_step", (double)base->insns / (double)base->mm, "instructions");
}

enum pl_status bench_codegen(const struct bench_options *o, struct pl_diag *d)
{
    struct pl_arch arch;
    struct count ours, base, more, other;
    double worst = 0;
    PL_TRY(machine(&arch, d));
    for (size_t i = 0; i < PL_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        PL_TRY(count_row(r, &arch, 1, 1024, 0, &ours, d));
        PL_TRY(count_row(r, &arch, 1, 1024, 1u << PL_EXT_STEP, &base, d));
        print_row(o, r, &ours, &base);
        worst = (double)ours.insns / (double)r->theirs > worst ? (double)ours.insns / (double)r->theirs : worst;
    }
    const struct row *layer = &rows[PL_COUNT(rows) - 1];
    PL_TRY(count_row(layer, &arch, 2, 1024, 0, &more, d));
    PL_TRY(count_row(layer, &arch, 5, 1900, 0, &other, d));
    bench_figure(o, "codegen_layer_words_independent", more.words == other.words, "bool"); /* of layer count and context */
    bench_figure(o, "codegen_worst_ratio", worst, "ratio");
    /* ours and base are still those of the layer, the last row */
    bench_figure(o, "instructions_per_mm", (double)ours.insns / (double)ours.mm, "instructions");
    bench_figure(o, "instructions_per_mm_no_step", (double)base.insns / (double)base.mm, "instructions");
    return PL_OK;
}
