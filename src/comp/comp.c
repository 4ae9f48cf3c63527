/* comp.c - the pipeline of a compilation on one page: plan, layout, HBM image, the two programs, the image. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

#include <string.h>

static void linear(struct comp *c, const char *op, const struct pl_map_tensor *x, unsigned weight,
                   const struct pl_map_tensor *y)
{
    emit_op(&c->em, op);
    const uint8_t desc = emit_layer_desc(c, weight);
    struct gemm g = {.x = x, .rows = c->rows->live, .desc = desc, .n = y->cols, .y = y};
    if (weight == LAYER_WQ) {
        g.n = c->cfg->n_heads * c->plan.head_slot;
        g.pack = c->rows->pack;
    }
    emit_gemm(c, &g);
    gp_give(&c->em, desc);
}

static void norm(struct comp *c, const char *op, unsigned gain)
{
    emit_op(&c->em, op);
    const uint8_t desc = emit_layer_desc(c, gain);
    emit_rmsnorm(c, desc, c->rows->live);
    gp_give(&c->em, desc);
}

static void layer(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *m = c->rows;
    norm(c, "attention.norm", LAYER_GAIN1);
    linear(c, "attention.q_proj", &m->y, LAYER_WQ, &m->q);
    linear(c, "attention.k_proj", &m->y, LAYER_WK, &m->k);
    linear(c, "attention.v_proj", &m->y, LAYER_WV, &m->v);
    emit_op(em, "attention.rope");
    emit_rope(c, &m->q, m->att_live, m->pack != 0, 0);
    emit_rope(c, &m->k, m->live, false, 2);
    emit_op(em, "attention.kv_store");
    emit_kv_store(c);
    emit_attention(c);
    if (m->pack) {
        emit_op(em, "attention.unpack");
        emit_unpack(c);
    }
    linear(c, "attention.o_proj", &m->heads, LAYER_WO, &m->delta);
    emit_op(em, "attention.residual");
    emit_residual(c);

    norm(c, "mlp.norm", LAYER_GAIN2);
    linear(c, "mlp.gate_proj", &m->y, LAYER_GATE, &m->gate);
    linear(c, "mlp.up_proj", &m->y, LAYER_UP, &m->up);
    emit_op(em, "mlp.swiglu");
    emit_swiglu(c);
    linear(c, "mlp.down_proj", &m->gate, LAYER_DOWN, &m->delta);
    emit_op(em, "mlp.residual");
    emit_residual(c);
}

struct code { /* pcs of one program */
    uint32_t entry, layer_begin, layer_end;
};

/* One program: all layers for rows->live tokens. Rows that only pad to BLEN are kept zero: y's here, the others follow.
 * So are the lanes of packed rows that no head has. */
static struct code program(struct comp *c, const struct pl_map_rows *rows, bool all_rows)
{
    struct emit *em = &c->em;
    struct code code = {.entry = emit_pc(em)};
    c->rows = rows;
    emit_op(em, "setup");
    emit_zero(c, &rows->y);
    if (rows->pack) {
        emit_zero(c, &rows->q);
        emit_zero(c, &rows->heads);
    }
    if (rows->spread) {
        emit_zero(c, &rows->spread_q);
        emit_zero(c, &rows->zero);
    }
    emit_embed(c);
    emit_rope_load(c);
    const uint8_t r = emit_const(em, DESC_LAYERS);
    INS(em, S_ST_INT, .rd = r, .imm = INT_LAYER);
    gp_give(em, r);
    const struct loop l = loop_begin(em, c->cfg->n_layers);
    code.layer_begin = emit_pc(em);
    layer(c);
    const uint8_t next = emit_layer_desc(c, DESC_PER_LAYER);
    INS(em, S_ST_INT, .rd = next, .imm = INT_LAYER);
    gp_give(em, next);
    loop_end(em, l);
    code.layer_end = emit_pc(em);
    emit_head(c, all_rows);
    INS(em, C_FENCE, .rd = 0);
    INS(em, C_HALT, .rd = 0);
    return code;
}

static void constants(struct comp *c, struct pl_image *img, const struct pl_map_rows *chunk, const struct code code[2])
{
    float *fp = PL_NEW_N(c->a, float, PL_FP_STATE);
    fp[PL_FP_NEG_INF] = -1.0f / 0.0f;
    fp[PL_FP_ONE] = 1.0f;
    fp[PL_FP_INV_E] = (float)(1.0 / c->cfg->hidden);
    fp[PL_FP_EPS] = (float)c->cfg->rms_eps;
    img->fp = fp;
    img->n_fp = PL_FP_STATE;

    const struct pl_named param[] = {
        {"pos", INT_POS}, {"tiles", INT_TILES}, {"last", INT_LAST}, {"ids", INT_IDS}};
    const struct pl_named constant[] = {
        {"chunk", chunk->live},     {"context", c->context},        {"vocab", c->cfg->vocab},
        {"layers", c->cfg->n_layers}, {"kv_tile", c->plan.kv_tile}, {"token", INT_TOKEN},
        {"logits", DESC_LOGITS},
        {"prefill.layer_begin", code[0].layer_begin}, {"prefill.layer_end", code[0].layer_end},
        {"decode.layer_begin", code[1].layer_begin},  {"decode.layer_end", code[1].layer_end}};
    img->param = memcpy(pl_alloc(c->a, sizeof param), param, sizeof param);
    img->n_param = PL_COUNT(param);
    img->constant = memcpy(pl_alloc(c->a, sizeof constant), constant, sizeof constant);
    img->n_const = PL_COUNT(constant);
}

static enum pl_status finish(struct comp *c, struct pl_image *img, const struct code code[2], struct pl_diag *d)
{
    emit_op(&c->em, NULL);
    img->n_code = c->em.code.len / sizeof(uint32_t);
    if (img->n_code > c->arch->code_words)
        return pl_fail(d, PL_EUNSUPPORTED, "program of %zu words does not fit sram.code_words = %u of machine %s",
                       img->n_code, c->arch->code_words, c->arch->name);
    img->code = memcpy(pl_alloc(c->a, c->em.code.len), c->em.code.data, c->em.code.len);
    img->n_op = c->em.ops.len / sizeof(struct pl_op_range);
    img->op = memcpy(pl_alloc(c->a, c->em.ops.len), c->em.ops.data, c->em.ops.len);
    const struct pl_named named[] = {{"prefill", code[0].entry}, {"decode", code[1].entry}};
    img->entry = memcpy(pl_alloc(c->a, sizeof named), named, sizeof named);
    img->n_entry = PL_COUNT(named);

    struct pl_buf machine;
    pl_buf_init(&machine);
    pl_arch_print(c->arch, &machine);
    img->machine = pl_arena_strdup(c->a, machine.data);
    pl_buf_fini(&machine);
    img->model = pl_arena_printf(c->a, "llama, %u layers, hidden %u, ffn %u, heads %u/%u x %u, vocab %u", c->cfg->n_layers,
                                 c->cfg->hidden, c->cfg->ffn, c->cfg->n_heads, c->cfg->n_kv_heads, c->cfg->head_dim,
                                 c->cfg->vocab);
    img->plan = c->plan;
    img->weight = pl_format_resolve(c->plan.weight, c->plan.vec);
    img->act = pl_format_resolve(c->plan.act, c->plan.vec);
    img->kv = pl_format_resolve(c->plan.kv, c->plan.vec);
    return pl_image_check(img, d);
}

static enum pl_status check_sizes(const struct comp *c, const struct pl_map_rows *chunk, struct pl_diag *d)
{
    if (INT_IDS + chunk->live > c->arch->int_words)
        return pl_fail(d, PL_EUNSUPPORTED, "sram.int_words = %u cannot hold %u token ids", c->arch->int_words,
                       chunk->live);
    if ((uint64_t)c->arch->matrix_tiles * c->plan.mlen * c->plan.mlen > UINT32_MAX || chunk->elements > UINT32_MAX)
        return pl_fail(d, PL_EUNSUPPORTED, "on-chip addresses of machine %s exceed 32 bits", c->arch->name);
    if (c->plan.vlen / c->plan.hlen > 32)
        return pl_fail(d, PL_EUNSUPPORTED, "V_MASK has 32 bits, but vlen / hlen = %u", c->plan.vlen / c->plan.hlen);
    return PL_OK;
}

enum pl_status pl_comp_model(struct pl_arena *a, const struct pl_checkpoint *ck, const struct pl_arch *arch,
                             const struct pl_comp_options *opt, struct pl_image *out, struct pl_diag *d)
{
    struct comp c = {.a = a, .ck = ck, .arch = arch, .cfg = &ck->config, .opt = *opt};
    PL_TRY(pl_map_plan(arch, c.cfg, opt->weight, opt->act, opt->kv, &c.plan, d));
    c.heads = pl_map_heads(c.cfg, &c.plan);
    c.pitch = pl_arch_pitch(arch);
    c.context = opt->context ? opt->context : c.cfg->max_position;
    if (!opt->context && c.context > 4096)
        c.context = 4096;
    const uint32_t most = opt->chunk ? opt->chunk : c.context < 64 ? c.context : 64;
    struct pl_map_rows chunk, one;
    PL_TRY(pl_map_fit_rows(arch, c.cfg, &c.plan, 1u << pl_log2(most), &chunk, d));
    PL_TRY(pl_map_fit_rows(arch, c.cfg, &c.plan, 1, &one, d));
    PL_TRY(check_sizes(&c, &chunk, d));

    *out = (struct pl_image){0};
    PL_TRY(comp_hbm(&c, opt->all_logits ? chunk.live : 1, out, d));
    emit_init(&c.em);
    c.em.mlen = arch->mlen;
    c.em.blen = arch->blen;
    c.em.without = opt->without;
    struct code code[2];
    code[0] = program(&c, &chunk, opt->all_logits);
    code[1] = program(&c, &one, false);
    constants(&c, out, &chunk, code);
    const enum pl_status s = finish(&c, out, code, d);
    emit_fini(&c.em);
    return s;
}
