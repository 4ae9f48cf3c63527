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
        [PL_VAL_HEADS] = &m->heads, [PL_VAL_GATE] = &m->gate, [PL_VAL_UP] = &m->up, [PL_VAL_DELTA] = &m->delta,
        [PL_VAL_QA] = &m->qa,       [PL_VAL_QR] = &m->qr,     [PL_VAL_QC] = &m->att_q, [PL_VAL_OL] = &m->o};
    return t[v];
}

/* Vectors load long before their use: of the current layer, or of the next one. */
static void load_vector(struct comp *c, enum pl_weight w, bool next_layer, const struct pl_map_tensor *to)
{
    const uint8_t desc = next_layer ? emit_next_layer_desc(c, w) : emit_layer_desc(c, w);
    emit_load_row(c, desc, to);
    gp_give(&c->em, desc);
}

static void load_gain(struct comp *c, enum pl_weight gain, bool next_layer)
{
    load_vector(c, gain, next_layer, &c->rows->gain[gain != PL_W_INPUT_NORM]);
}

static void op_norm(struct comp *c, const struct pl_graph_op *op)
{
    const bool first = op->weight == PL_W_INPUT_NORM;
    emit_rmsnorm(c, first ? PL_SITE_QKV : PL_SITE_GATE_UP, &c->rows->gain[!first], c->rows->live);
    if (!first)
        return;
    load_gain(c, PL_W_INPUT_NORM, true);
    load_gain(c, PL_W_POST_NORM, false);
    for (unsigned i = 0; c->cfg->qk_norm && i < 2; i++)
        emit_head_gain_load(c, &c->rows->head_gain[i], i ? PL_W_K_NORM : PL_W_Q_NORM);
    for (unsigned i = c->cfg->mla.q_rank ? 0 : 1; c->cfg->mla.kv_rank && i < 2; i++)
        load_vector(c, i ? PL_W_KV_A_NORM : PL_W_Q_A_NORM, false, &c->rows->rank_gain[i]);
    if (c->cfg->sinks)
        load_vector(c, PL_W_SINKS, false, &c->rows->sinks);
    if (c->cfg->k_offset)
        load_vector(c, PL_W_K_OFFSET, false, &c->rows->k_offset);
}

static void op_linear(struct comp *c, const struct pl_graph_op *op)
{
    const struct pl_weight_info *info = pl_weight_info(op->weight);
    if (op->bias) /* long before it is added */
        emit_bias_load(c, value(c, op->dst), op->bias, op->dst == PL_VAL_Q ? c->rows->q_pack : 0);
    const struct gemm g = {.x = value(c, op->src),
                           .rows = c->rows->live,
                           .weight = op->weight,
                           .hold = c->chain.hold,
                           .n = pl_lanes_count(c->cfg, &c->plan, info->rows),
                           .y = value(c, op->dst),
                           .pack = op->dst == PL_VAL_Q ? c->rows->q_pack : 0};
    emit_gemm(c, &g);
    if (op->bias)
        emit_bias(c, g.y, g.pack);
}

static void op_head_norm(struct comp *c, const struct pl_graph_op *op)
{
    const bool query = op->dst == PL_VAL_Q;
    emit_head_norm(c, value(c, op->dst), query ? c->rows->q_live : c->rows->live, &c->rows->head_gain[!query]);
}

static void op_rope(struct comp *c, const struct pl_graph_op *op)
{
    const struct pl_map_rows *m = c->rows;
    if (op->dst == PL_VAL_K && c->cfg->mla.kv_rank) {
        emit_rope_tail(c);
        return;
    }
    const bool query = op->dst != PL_VAL_K;
    emit_rope(c, value(c, op->dst), query ? m->q_live : m->live, query && m->q_pack, query ? 0 : 2);
}

static void op_kv_store(struct comp *c, const struct pl_graph_op *op)
{
    if (op->bias)
        emit_k_offset(c);
    emit_kv_store(c);
}

static void op_attention(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    if (c->cfg->mla.kv_rank) {
        emit_latent_attention(c);
        return;
    }
    if (c->rows->batch) {
        emit_batch_attention(c);
        return;
    }
    emit_attention(c);
    if (c->rows->pack) {
        emit_op(&c->em, "attention.unpack");
        emit_unpack(c);
    }
}

static void op_rank_norm(struct comp *c, const struct pl_graph_op *op)
{
    emit_rank_norm(c, op->dst == PL_VAL_K);
}

static void op_absorb(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_absorb(c);
}

static void op_expand(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_expand(c);
}

static void op_glu(struct comp *c, const struct pl_graph_op *op)
{
    emit_glu(c, value(c, op->dst), value(c, op->src));
}

static void op_experts(struct comp *c, const struct pl_graph_op *op)
{
    (void)op;
    emit_experts(c);
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
        [PL_OP_RESIDUAL] = op_residual,   [PL_OP_RANK_NORM] = op_rank_norm, [PL_OP_ABSORB] = op_absorb,
        [PL_OP_EXPAND] = op_expand,   [PL_OP_EXPERTS] = op_experts,
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
    uint32_t entry, layer_end;
    struct pl_buf layer_begin; /* uint32_t of every layer that is written out */
};

/* A layer of each kind in its loop; the layers of a run take turns. */
static void write_layers(struct comp *c, struct code *code)
{
    struct emit *em = &c->em;
    uint32_t l = 0;
    code->layer_begin.len = 0;
    c->layer = -1;
    while (l < c->cfg->n_layers) {
        const struct pl_graph_run run = pl_graph_run(c->cfg, l);
        const struct loop loop = loop_begin(em, run.repeat);
        for (uint32_t i = 0; i < run.period; i++) {
            const uint32_t pc = emit_pc(em);
            pl_buf_put(&code->layer_begin, &pc, sizeof pc);
            c->layer = (int)(code->layer_begin.len / sizeof pc) - 1;
            c->window = pl_model_window(c->cfg, l + i);
            layer(c, l + i);
            const uint8_t next = gp_take(em);
            INS(em, S_LD_INT, .rd = next, .imm = INT_LAYER);
            emit_add(em, next, next, c->per_layer);
            INS(em, S_ST_INT, .rd = next, .imm = INT_LAYER);
            gp_give(em, next);
        }
        loop_end(em, loop);
        l += run.period * run.repeat;
    }
    c->layer = -1;
}

/* One program: all layers for rows->live tokens. Rows that only pad to BLEN are kept zero: y's here, the others follow.
 * So are the lanes of packed rows that no head has. */
static void write_program(struct comp *c, const struct pl_map_rows *rows, bool all_rows, struct code *code)
{
    struct emit *em = &c->em;
    code->entry = emit_pc(em);
    c->rows = rows;
    emit_op(em, "setup");
    const uint8_t r = emit_const(em, DESC_LAYERS);
    INS(em, S_ST_INT, .rd = r, .imm = INT_LAYER);
    gp_give(em, r);
    load_gain(c, PL_W_INPUT_NORM, false);
    emit_chain_start(c);
    if (c->cfg->moe.experts)
        emit_moe_start(c);
    emit_zero(c, &rows->y);
    const bool mla = c->cfg->mla.kv_rank;
    if (rows->pack || mla)
        emit_zero(c, &rows->att_q);
    if (rows->pack || rows->batch || mla)
        emit_zero(c, &rows->heads);
    if (rows->spread)
        emit_zero(c, &rows->spread_q);
    if (rows->spread || mla)
        emit_zero(c, &rows->zero);
    if (mla)
        emit_zero(c, &rows->stage);
    emit_embed(c);
    emit_rope_load(c);
    write_layers(c, code);
    code->layer_end = emit_pc(em);
    emit_head(c, all_rows);
    INS(em, C_FENCE, .rd = 0);
    INS(em, C_HALT, .rd = 0);
}

/* Written twice: see chain.c. */
static void program(struct comp *c, const struct pl_map_rows *rows, bool all_rows, struct code *out)
{
    const size_t code = c->em.code.len, ops = c->em.ops.len, steps = c->em.steps.len;
    pl_buf_init(&out->layer_begin);
    chain_begin(c, true);
    write_program(c, rows, all_rows, out);
    c->em.code.len = code;
    c->em.ops.len = ops;
    c->em.steps.len = steps;
    chain_plan(c);
    comp_dump(c, PL_PASS_LAYOUT, rows->att_tokens > 1 ? "prefill" : "decode", NULL);
    comp_dump(c, PL_PASS_CHAIN, rows->att_tokens > 1 ? "prefill" : "decode", NULL);
    chain_begin(c, false);
    write_program(c, rows, all_rows, out);
}

/* "prefill.layer_begin", "prefill.1.layer_begin" and so on, then ".layer_end". */
static void layer_marks(struct comp *c, const char *program, const struct code *code, struct pl_buf *out)
{
    for (size_t i = 0; i < code->layer_begin.len / sizeof(uint32_t); i++) {
        const struct pl_named begin = {i ? pl_arena_printf(c->a, "%s.%zu.layer_begin", program, i)
                                         : pl_arena_printf(c->a, "%s.layer_begin", program),
                                       ((const uint32_t *)(const void *)code->layer_begin.data)[i]};
        pl_buf_put(out, &begin, sizeof begin);
    }
    const struct pl_named end = {pl_arena_printf(c->a, "%s.layer_end", program), code->layer_end};
    pl_buf_put(out, &end, sizeof end);
}

static void constants(struct comp *c, struct pl_image *img, const struct pl_map_rows *chunk, const struct code code[2])
{
    float *fp = PL_NEW_N(c->a, float, PL_FP_STATE);
    fp[PL_FP_NEG_INF] = -1.0f / 0.0f;
    fp[PL_FP_ONE] = 1.0f;
    fp[PL_FP_INV_E] = (float)(1.0 / c->cfg->hidden);
    fp[PL_FP_EPS] = (float)c->cfg->rms_eps;
    fp[PL_FP_ROUTE_SCALE] = (float)c->cfg->moe.scale;
    fp[PL_FP_GLU_LIMIT] = (float)c->cfg->glu_limit;
    fp[PL_FP_GLU_FLOOR] = (float)-c->cfg->glu_limit;
    fp[PL_FP_GLU_SLOPE] = -1.702f;
    fp[PL_FP_INV_D] = (float)(1.0 / c->cfg->head_dim);
    img->fp = fp;
    img->n_fp = PL_FP_STATE;

    if (c->cfg->mla.q_rank)
        fp[PL_FP_INV_Q_RANK] = (float)(1.0 / c->cfg->mla.q_rank);
    if (c->cfg->mla.kv_rank)
        fp[PL_FP_INV_KV_RANK] = (float)(1.0 / c->cfg->mla.kv_rank);
    fp[PL_FP_LOWEST] = -pl_minifloat_max(c->plan.vec);
    const struct pl_named param[] = {
        {"pos", INT_POS}, {"tiles", INT_TILES}, {"last", INT_LAST}, {"first", INT_FIRST}, {"blocks", INT_BLOCKS}, {"ids", INT_IDS},
        /* of a batch besides: */
        {"kv_row", INT_KV_ROW}, {"batch_pos", c->int_pos}, {"batch_tiles", c->int_tiles}, {"batch_first", c->int_first}};
    const struct pl_named constant[] = {
        {"chunk", chunk->live},     {"context", c->context},        {"vocab", c->cfg->vocab},
        {"layers", c->cfg->n_layers}, {"kv_tile", c->plan.kv_tile}, {"token", INT_TOKEN},
        {"logits", DESC_LOGITS},    {"logit_rows", c->opt.all_logits ? chunk->live : 1},
        {"batch", c->batch},        {"capacity", c->capacity},      {"tokens", c->batch > 1 ? c->int_tokens : INT_TOKEN},
        {"window", c->cfg->window}};
    struct pl_buf all;
    pl_buf_init(&all);
    pl_buf_put(&all, constant, sizeof constant);
    layer_marks(c, "prefill", &code[0], &all);
    layer_marks(c, "decode", &code[1], &all);
    img->param = memcpy(pl_alloc(c->a, sizeof param), param, sizeof param);
    img->n_param = c->batch > 1 ? PL_COUNT(param) : 6;
    img->constant = memcpy(pl_alloc(c->a, all.len), all.data, all.len);
    img->n_const = all.len / sizeof(struct pl_named);
    pl_buf_fini(&all);
    uint32_t *words = PL_NEW_N(c->a, uint32_t, INT_BLOCKS + 1); /* unless told otherwise, all rows of a chunk hold tokens */
    words[INT_BLOCKS] = chunk->alloc / c->plan.blen;
    img->intmem = words;
    img->n_int = INT_BLOCKS + 1;
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
    img->model = pl_arena_printf(c->a, "%s, %u layers, hidden %u, ffn %u, heads %u/%u x %u, vocab %u", pl_family_name(c->cfg->family),
                                 c->cfg->n_layers, c->cfg->hidden, c->cfg->ffn, c->cfg->n_heads, c->cfg->n_kv_heads, c->cfg->head_dim,
                                 c->cfg->vocab);
    img->plan = c->plan;
    img->weight = pl_format_resolve(c->plan.weight, c->plan.vec);
    img->act = pl_format_resolve(c->plan.act, c->plan.vec);
    img->kv = pl_format_resolve(c->plan.kv, c->plan.vec);
    return pl_image_check(img, d);
}

/* INT SRAM behind the token ids: position, KV tiles and first of them of every sequence of a batch. Its choice takes the place of
 * its id. Then the words of experts. */
static enum pl_status place_words(struct comp *c, struct pl_map_rows *chunk, struct pl_map_rows *decode, struct pl_diag *d)
{
    const uint32_t ids = chunk->live > c->batch ? chunk->live : c->batch, each = c->batch > 1 ? c->batch : 0;
    const uint32_t experts = chunk->int_words > decode->int_words ? chunk->int_words : decode->int_words;
    const uint64_t words = (uint64_t)INT_IDS + ids + 3 * (uint64_t)each;
    if (words + experts > c->arch->int_words)
        return pl_fail(d, PL_EUNSUPPORTED, "sram.int_words = %u, but %u token ids, %u sequences and their experts need %llu", c->arch->int_words,
                       ids, c->batch, (unsigned long long)(words + experts));
    chunk->int_base = decode->int_base = (uint32_t)words;
    c->int_pos = INT_IDS + ids;
    c->int_tiles = c->int_pos + each;
    c->int_first = c->int_tiles + each;
    c->int_tokens = INT_IDS;
    return PL_OK;
}

static enum pl_status check_sizes(const struct comp *c, const struct pl_map_rows *chunk, const struct pl_map_rows *decode,
                                  struct pl_diag *d)
{
    const struct pl_moe *m = &c->cfg->moe;
    const struct pl_route route = {m->experts, m->top_k, m->groups, m->top_groups, m->group_top};
    if (m->experts && pl_route_rule(&route))
        return pl_fail(d, PL_EUNSUPPORTED, "%u of %u experts in %u of %u groups: %s", m->top_k, m->experts, m->top_groups, m->groups,
                       pl_route_rule(&route));
    if ((uint64_t)c->arch->matrix_tiles * c->plan.mlen * c->plan.mlen > UINT32_MAX || chunk->elements > UINT32_MAX ||
        decode->elements > UINT32_MAX)
        return pl_fail(d, PL_EUNSUPPORTED, "on-chip addresses of machine %s exceed 32 bits", c->arch->name);
    if (c->plan.vlen / c->plan.hlen > 32)
        return pl_fail(d, PL_EUNSUPPORTED, "V_MASK has 32 bits, but vlen / hlen = %u", c->plan.vlen / c->plan.hlen);
    return PL_OK;
}

/* The quantiser and the array's edge have E8M0 scales and symmetric integers. */
static enum pl_status check_formats(const struct pl_plan *p, struct pl_diag *d)
{
    const struct pl_format *f[] = {&p->weight, &p->act, &p->kv};
    static const char *const what[] = {"weight", "activation", "KV"};
    char name[48];
    for (size_t i = 0; i < PL_COUNT(f); i++) {
        pl_format_name(f[i], name);
        if (!pl_format_on_machine(f[i]))
            return pl_fail(d, PL_EUNSUPPORTED, "%s format %s: the machine has no E6M2 scales, full or unsigned ranges; they are for plena "
                           "quantize and eval", what[i], name);
    }
    return PL_OK;
}

enum pl_status pl_comp_model(struct pl_arena *a, const struct pl_checkpoint *ck, const struct pl_arch *arch,
                             const struct pl_comp_options *opt, struct pl_image *out, struct pl_diag *d)
{
    struct comp c = {.a = a, .ck = ck, .arch = arch, .cfg = &ck->config, .opt = *opt};
    PL_TRY(pl_map_plan(arch, c.cfg, opt->weight, opt->act, opt->kv, &c.plan, d));
    PL_TRY(check_formats(&c.plan, d));
    c.heads = pl_map_heads(c.cfg, &c.plan);
    c.rope_slot = c.v_slot = c.plan.head_slot;
    if (c.cfg->mla.kv_rank) {
        c.mla = pl_mla_slots(c.cfg, &c.plan);
        c.rope_slot = c.mla.rope;
        c.v_slot = c.mla.latent;
        if (opt->batch > 1 || c.mla.rope > arch->vlen || c.cfg->mla.kv_rank % arch->blen)
            return pl_fail(d, PL_EUNSUPPORTED, "latent attention: batch %u, qk_rope_head_dim %u, kv_lora_rank %u; this machine takes a batch of 1, at "
                           "most %u rotated lanes and a multiple of %u", opt->batch, c.cfg->mla.rope, c.cfg->mla.kv_rank, arch->vlen, arch->blen);
    }
    c.pitch = pl_arch_pitch(arch);
    c.context = opt->context ? opt->context : c.cfg->max_position;
    if (!opt->context && c.context > 4096)
        c.context = 4096;
    const uint32_t most = opt->chunk ? opt->chunk : c.context < 64 ? c.context : 64;
    struct pl_map_rows chunk, one;
    PL_TRY(pl_map_fit_rows(arch, c.cfg, &c.plan, 1u << pl_log2(most), &chunk, d));
    c.batch = opt->batch ? opt->batch : 1;
    PL_TRY(c.batch > 1 ? pl_map_batch_rows(arch, c.cfg, &c.plan, c.batch, &one, d) : pl_map_fit_rows(arch, c.cfg, &c.plan, 1, &one, d));
    PL_TRY(place_words(&c, &chunk, &one, d));
    PL_TRY(check_sizes(&c, &chunk, &one, d));

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
    program(&c, &chunk, opt->all_logits, &code[0]);
    if (opt->map) {
        comp_map_hbm(&c, out, opt->map);
        comp_map_program(&c, &chunk, "prefill", opt->map);
    }
    program(&c, &one, one.batch != 0, &code[1]);
    if (opt->map)
        comp_map_program(&c, &one, "decode", opt->map);
    constants(&c, out, &chunk, code);
    const enum pl_status s = finish(&c, out, code, d);
    if (s == PL_OK)
        comp_dump(&c, PL_PASS_EMIT, "", out);
    for (unsigned i = 0; i < 2; i++)
        pl_buf_fini(&code[i].layer_begin);
    emit_fini(&c.em);
    pl_buf_fini(&c.chain.links);
    return s;
}
