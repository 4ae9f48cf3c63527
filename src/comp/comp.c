/* comp.c - the pipeline of a compilation on one page: plan, layout, HBM image, the two programs, the image. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

#include <string.h>

/* ---- the operators of a layer: a function for each kind ---- */
static const struct pl_map_tensor *value(const struct comp *c, enum pl_value v)
{
    const struct pl_map_rows *m = c->rows;
    const struct pl_map_tensor *const t[PL_VALUES] = {
        [PL_VAL_X] = &m->x,         [PL_VAL_Y] = &m->y,       [PL_VAL_Q] = &m->q,   [PL_VAL_K] = &m->k,        [PL_VAL_V] = &m->v,
        [PL_VAL_HEADS] = &m->heads, [PL_VAL_GATE] = &m->gate, [PL_VAL_UP] = &m->up, [PL_VAL_DELTA] = &m->delta};
    return t[v];
}

/* Gains load long before their norm: of the current layer, or of the next one. */
static void load_gain(struct comp *c, enum pl_weight gain, bool next_layer)
{
    const uint8_t desc = next_layer ? emit_next_layer_desc(c, gain) : emit_layer_desc(c, gain);
    emit_load_row(c, desc, &c->rows->gain[gain != PL_W_INPUT_NORM]);
    gp_give(&c->em, desc);
}

static void op_norm(struct comp *c, const struct pl_graph_op *op)
{
    const bool first = op->weight == PL_W_INPUT_NORM;
    emit_rmsnorm(c, &c->rows->gain[!first], c->rows->live);
    if (!first)
        return;
    load_gain(c, PL_W_INPUT_NORM, true);
    load_gain(c, PL_W_POST_NORM, false);
    for (unsigned i = 0; c->cfg->qk_norm && i < 2; i++)
        emit_head_gain_load(c, &c->rows->head_gain[i], i ? PL_W_K_NORM : PL_W_Q_NORM);
}

static void op_linear(struct comp *c, const struct pl_graph_op *op)
{
    const struct pl_weight_info *info = pl_weight_info(op->weight);
    if (op->bias) /* long before it is added */
        emit_bias_load(c, value(c, op->dst), op->bias, op->dst == PL_VAL_Q ? c->rows->pack : 0);
    const struct gemm g = {.x = value(c, op->src),
                           .rows = c->rows->live,
                           .weight = op->weight,
                           .hold = c->chain.hold,
                           .n = pl_lanes_count(c->cfg, c->plan.head_slot, info->rows),
                           .y = value(c, op->dst),
                           .pack = op->dst == PL_VAL_Q ? c->rows->pack : 0};
    emit_gemm(c, &g);
    if (op->bias)
        emit_bias(c, g.y, g.pack);
}

static void op_head_norm(struct comp *c, const struct pl_graph_op *op)
{
    const bool query = op->dst == PL_VAL_Q;
    emit_head_norm(c, value(c, op->dst), query ? c->rows->att_live : c->rows->live, &c->rows->head_gain[!query]);
}

static void op_rope(struct comp *c, const struct pl_graph_op *op)
{
    const struct pl_map_rows *m = c->rows;
    const bool query = op->dst == PL_VAL_Q;
    emit_rope(c, value(c, op->dst), query ? m->att_live : m->live, query && m->pack, query ? 0 : 2);
}

static void op_kv_store(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_kv_store(c);
}

static void op_attention(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_attention(c);
    if (c->rows->pack) {
        emit_op(&c->em, "attention.unpack");
        emit_unpack(c);
    }
}

static void op_glu(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_swiglu(c);
}

static void op_residual(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_residual(c);
}

/* Does attention come before the linear layer behind operator i? Its K and V are wanted first. */
static bool attention_next(const struct pl_graph *g, unsigned i)
{
    for (i++; i < g->n && g->op[i].kind != PL_OP_LINEAR; i++)
        if (g->op[i].kind == PL_OP_ATTENTION)
            return true;
    return false;
}

static void layer(struct comp *c, uint32_t l)
{
    typedef void op_fn(struct comp *c, const struct pl_graph_op *op);
    static op_fn *const emit[PL_OP_KINDS] = {
        [PL_OP_NORM] = op_norm,           [PL_OP_LINEAR] = op_linear,       [PL_OP_HEAD_NORM] = op_head_norm, [PL_OP_ROPE] = op_rope,
        [PL_OP_KV_STORE] = op_kv_store,   [PL_OP_ATTENTION] = op_attention, [PL_OP_GLU] = op_glu,
        [PL_OP_RESIDUAL] = op_residual,
    };
    struct pl_graph g;
    pl_graph_layer(c->cfg, l, &g);
    for (unsigned i = 0; i < g.n; i++) {
        emit_op(&c->em, g.op[i].name);
        c->chain.hold = attention_next(&g, i);
        emit[g.op[i].kind](c, &g.op[i]);
    }
}

struct code { /* pcs of one program */
    uint32_t entry, layer_begin, layer_end;
};

/* One program: all layers for rows->live tokens. Rows that only pad to BLEN are kept zero: y's here, the others follow.
 * So are the lanes of packed rows that no head has. */
static struct code write_program(struct comp *c, const struct pl_map_rows *rows, bool all_rows)
{
    struct emit *em = &c->em;
    struct code code = {.entry = emit_pc(em)};
    c->rows = rows;
    emit_op(em, "setup");
    const uint8_t r = emit_const(em, DESC_LAYERS);
    INS(em, S_ST_INT, .rd = r, .imm = INT_LAYER);
    gp_give(em, r);
    load_gain(c, PL_W_INPUT_NORM, false);
    emit_chain_start(c);
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
    const struct loop l = loop_begin(em, c->cfg->n_layers);
    code.layer_begin = emit_pc(em);
    c->chain.in_layer = true;
    layer(c, 0);
    c->chain.in_layer = false;
    const uint8_t next = gp_take(em);
    INS(em, S_LD_INT, .rd = next, .imm = INT_LAYER);
    emit_add(em, next, next, c->per_layer);
    INS(em, S_ST_INT, .rd = next, .imm = INT_LAYER);
    gp_give(em, next);
    loop_end(em, l);
    code.layer_end = emit_pc(em);
    emit_head(c, all_rows);
    INS(em, C_FENCE, .rd = 0);
    INS(em, C_HALT, .rd = 0);
    return code;
}

/* Written twice: see chain.c. */
static struct code program(struct comp *c, const struct pl_map_rows *rows, bool all_rows)
{
    const size_t code = c->em.code.len, ops = c->em.ops.len, steps = c->em.steps.len;
    chain_begin(c, true);
    write_program(c, rows, all_rows);
    c->em.code.len = code;
    c->em.ops.len = ops;
    c->em.steps.len = steps;
    chain_plan(c);
    comp_dump(c, PL_PASS_LAYOUT, rows->live > 1 ? "prefill" : "decode", NULL);
    comp_dump(c, PL_PASS_CHAIN, rows->live > 1 ? "prefill" : "decode", NULL);
    chain_begin(c, false);
    return write_program(c, rows, all_rows);
}

static void constants(struct comp *c, struct pl_image *img, const struct pl_map_rows *chunk, const struct code code[2])
{
    float *fp = PL_NEW_N(c->a, float, PL_FP_STATE);
    fp[PL_FP_NEG_INF] = -1.0f / 0.0f;
    fp[PL_FP_ONE] = 1.0f;
    fp[PL_FP_INV_E] = (float)(1.0 / c->cfg->hidden);
    fp[PL_FP_EPS] = (float)c->cfg->rms_eps;
    fp[PL_FP_INV_D] = (float)(1.0 / c->cfg->head_dim);
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

    comp_dump(&c, PL_PASS_PLAN, "", NULL);
    *out = (struct pl_image){0};
    PL_TRY(comp_hbm(&c, opt->all_logits ? chunk.live : 1, out, d));
    comp_dump(&c, PL_PASS_HBM, "", out);
    emit_init(&c.em);
    c.em.mlen = arch->mlen;
    c.em.blen = arch->blen;
    c.em.without = opt->without;
    pl_buf_init(&c.chain.links);
    struct code code[2];
    code[0] = program(&c, &chunk, opt->all_logits);
    code[1] = program(&c, &one, false);
    constants(&c, out, &chunk, code);
    const enum pl_status s = finish(&c, out, code, d);
    if (s == PL_OK)
        comp_dump(&c, PL_PASS_EMIT, "", out);
    emit_fini(&c.em);
    pl_buf_fini(&c.chain.links);
    return s;
}
