/* dump.c - what a pass of the compiler leaves behind, as text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

static const char *const pass_name[PL_PASS_COUNT] = {"plan", "layout", "hbm", "chain", "emit"};

const char *pl_comp_pass_name(enum pl_comp_pass p)
{
    return pass_name[p];
}

static void dump_plan(const struct comp *c, struct pl_buf *b)
{
    char f[3][48];
    const struct pl_plan *p = &c->plan;
    pl_format_name(&p->weight, f[0]);
    pl_format_name(&p->act, f[1]);
    pl_format_name(&p->kv, f[2]);
    pl_buf_printf(b, "# plan: how the model runs on machine %s\n", c->arch->name);
    pl_buf_printf(b, "weights %s, activations %s, KV %s\n", f[0], f[1], f[2]);
    pl_buf_printf(b, "head slot %u lanes; KV tile %u tokens; at most %u K tiles before a write-out; rotation of %u lanes\n", p->head_slot,
                  p->kv_tile, p->k_tiles, p->rotate);
    pl_buf_printf(b, "kv heads: %u groups of %u, %u tiles along a head, %u along the tokens of a KV tile\n", c->heads.groups, c->heads.per_group,
                  c->heads.spans, c->heads.token_tiles);
}

static void dump_rows(const struct comp *c, const char *program, const struct pl_map_rows *m, struct pl_buf *b)
{
    const struct {
        const char *name;
        const struct pl_map_tensor *t;
    } all[] = {{"x", &m->x},         {"y", &m->y},         {"q", &m->q},           {"k", &m->k},         {"v", &m->v},
               {"heads", &m->heads}, {"o", &m->o},         {"gate", &m->gate},     {"up", &m->up},       {"delta", &m->delta},
               {"spread_q", &m->spread_q}, {"zero", &m->zero}, {"score", &m->score}, {"pv", &m->pv},     {"part", &m->part},
               {"tmp", &m->tmp},     {"gain", &m->gain[0]}, {"gain2", &m->gain[1]}, {"cos_q", &m->rope[0]}, {"sin_q", &m->rope[1]},
               {"cos_k", &m->rope[2]}, {"sin_k", &m->rope[3]}};
    pl_buf_printf(b, "# layout of %s: %u tokens a pass, %llu of %llu elements of Vector SRAM, %u of %u words of FP SRAM\n", program, m->live,
                  (unsigned long long)m->elements, (unsigned long long)c->arch->vector_rows * c->arch->vlen, m->fp_words, c->arch->fp_words);
    for (size_t i = 0; i < PL_COUNT(all); i++)
        if (all[i].t->rows)
            pl_buf_printf(b, "%10llu  %-10s %6u rows x %u lanes\n", (unsigned long long)all[i].t->base, all[i].name, all[i].t->rows, all[i].t->cols);
}

static void dump_hbm(const struct pl_image *img, struct pl_buf *b)
{
    pl_buf_printf(b, "# hbm: %zu tensors in %llu bytes\n", img->n_desc, (unsigned long long)img->hbm_bytes);
    for (size_t i = 0; i < img->n_desc; i++) {
        char f[48];
        const struct pl_desc *t = &img->desc[i];
        pl_format_name(&t->format, f);
        pl_buf_printf(b, "%5zu  0x%010llx  %-36s %7u x %-7u %s%s\n", i, (unsigned long long)t->elem_base, t->name, t->rows, t->cols, f,
                      t->tile ? ", in tiles" : "");
    }
}

static void dump_chain(const struct comp *c, const char *program, struct pl_buf *b)
{
    const struct link *l = (const struct link *)(const void *)c->chain.links.data;
    const size_t n = c->chain.links.len / sizeof *l;
    pl_buf_printf(b, "# chain of %s: linear layers in their order; sets of weight tiles that load ahead\n", program);
    for (size_t i = 0; i < n; i++)
        pl_buf_printf(b, "%3zu  weight %-3u %6u inputs, %5u sets of %4u tiles, %3u ahead, then %d%s%s\n", i, l[i].weight, l[i].k, l[i].sets,
                      l[i].tiles, l[i].ahead, l[i].next, l[i].whole ? ", all of Matrix SRAM" : "", l[i].alone ? ", alone" : "");
}

/* ---- every instruction with the operator, the step of it and the loops it is in ---- */
static const char *step_at(const struct comp *c, uint32_t pc, size_t *i)
{
    const struct emit_step *s = (const struct emit_step *)(const void *)c->em.steps.data;
    const size_t n = c->em.steps.len / sizeof *s;
    while (*i + 1 < n && s[*i + 1].pc <= pc)
        (*i)++;
    return n && s[*i].pc <= pc ? s[*i].name : "";
}

static void dump_code(const struct comp *c, const struct pl_image *img, struct pl_buf *b)
{
    uint32_t passes[64], depth = 0;
    size_t op = 0, step = 0;
    pl_buf_printf(b, "# emit: pc, instruction, operator, step of it, passes of the loops around it (?: from a register)\n");
    for (uint32_t pc = 0; pc < img->n_code; pc++) {
        struct pl_insn in;
        char text[128];
        for (size_t e = 0; e < img->n_entry; e++)
            if (img->entry[e].value == pc)
                pl_buf_printf(b, "%s:\n", img->entry[e].name);
        while (op < img->n_op && img->op[op].end <= pc)
            op++;
        if (pl_isa_decode(img->code[pc], &in, NULL) != PL_OK)
            continue;
        pl_isa_format(&in, text, sizeof text);
        if (in.op == PL_C_LOOP_END && depth)
            depth--;
        pl_buf_printf(b, "%6u  %-34s ; %s %s", pc, text, op < img->n_op && img->op[op].begin <= pc ? img->op[op].name : "", step_at(c, pc, &step));
        for (uint32_t i = 0; i < depth; i++)
            pl_buf_printf(b, passes[i] ? " %u" : " ?", passes[i]);
        pl_buf_printf(b, "\n");
        if ((in.op == PL_C_LOOP_START || in.op == PL_C_LOOP_REG) && depth < PL_COUNT(passes))
            passes[depth++] = in.op == PL_C_LOOP_START ? in.imm : 0;
    }
}

void comp_dump(const struct comp *c, enum pl_comp_pass p, const char *program, const struct pl_image *img)
{
    struct pl_buf *b = c->opt.dump;
    if (!b || c->opt.dump_after != p)
        return;
    switch (p) {
    case PL_PASS_PLAN:
        dump_plan(c, b);
        break;
    case PL_PASS_LAYOUT:
        dump_rows(c, program, c->rows, b);
        break;
    case PL_PASS_HBM:
        dump_hbm(img, b);
        break;
    case PL_PASS_CHAIN:
        dump_chain(c, program, b);
        break;
    default:
        dump_code(c, img, b);
    }
}
