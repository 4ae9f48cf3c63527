/* moe.c - layers with experts: the router, the choice, and the experts one after another.
 *
 * A token's chosen experts are worked off in rising order, in every pass: what a token gets does not depend on the others.
 * In a pass of one token the loop runs over its experts. In a pass of many, pairs (token, expert) are first sorted by
 * expert, by counting; then the loop runs over the experts that have tokens: their rows are gathered, packed, taken through
 * gate, up and down at once, and added to the tokens' sums, each by its weight. Loops of experts and of their rows have
 * counts found at run time (rows_begin), so the code is the same for any number of experts. Loop state is in INT SRAM,
 * because the linear layer inside needs the registers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

static uint32_t state(const struct comp *c, enum moe_state w)
{
    return moe_word(c, c->rows->moe.state + w);
}

static void ld(struct comp *c, uint8_t rd, uint32_t word)
{
    INS(&c->em, S_LD_INT, .rd = rd, .imm = word);
}

static void st(struct comp *c, uint8_t r, uint32_t word)
{
    INS(&c->em, S_ST_INT, .rd = r, .imm = word);
}

static void give(struct comp *c, const uint8_t *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gp_give(&c->em, r[i]);
}

uint32_t moe_descriptors(const struct pl_model_config *m)
{
    return 3 * m->moe.experts + (m->moe.expert_bias ? 3 : 0);
}

/* ---- once a program ---- */
void emit_moe_start(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    const struct pl_moe *m = &c->cfg->moe;
    const uint32_t param[] = {m->experts, m->top_k, m->groups, m->top_groups, m->group_top};
    const uint8_t r = gp_take(em), at = gp_take(em);
    for (unsigned i = 0; i < PL_COUNT(param); i++) {
        emit_li(em, r, param[i]);
        st(c, r, moe_word(c, x->params) + i);
    }
    emit_li(em, r, c->expert_desc);
    st(c, r, state(c, MOE_DESC));
    if (c->rows->live > 1) {
        st(c, 0, moe_word(c, x->blocks));
        emit_li(em, r, 1);
        emit_li(em, at, moe_word(c, x->blocks) + 1);
        const struct loop blocks = loop_begin(em, c->rows->alloc / c->plan.blen), rows = loop_begin(em, c->plan.blen);
        INS(em, S_ST_INT, .rd = r, .rs1 = at);
        emit_add(em, at, at, 1);
        loop_end(em, rows);
        emit_add(em, r, r, 1);
        loop_end(em, blocks);
    }
    gp_give(em, r);
    gp_give(em, at);
}

/* ---- the router ---- */
struct route {
    uint8_t logit, choice, score, bias; /* registers: the segment at hand */
    uint8_t limit, step;
    bool sum;
};

static void limit_seg(struct comp *c, void *ctx)
{
    const struct route *r = ctx;
    INS(&c->em, V_LIM_V, .rd = r->choice, .rs1 = r->logit, .rs2 = r->limit);
    INS(&c->em, V_RED_MAX, .rd = 1, .rs1 = r->choice);
    INS(&c->em, S_SUB_INT, .rd = r->limit, .rs1 = r->limit, .rs2 = r->step);
}

static void exp_seg(struct comp *c, void *ctx)
{
    const struct route *r = ctx;
    INS(&c->em, V_SUB_VF, .rd = r->score, .rs1 = r->choice, .rs2 = 1);
    INS(&c->em, V_EXP_V, .rd = r->score, .rs1 = r->score);
    if (r->sum)
        INS(&c->em, V_RED_SUM, .rd = 2, .rs1 = r->score);
}

static void share_seg(struct comp *c, void *ctx)
{
    const struct route *r = ctx;
    INS(&c->em, V_MUL_VF, .rd = r->score, .rs1 = r->score, .rs2 = 2);
}

static void sigmoid_seg(struct comp *c, void *ctx)
{
    const struct route *r = ctx;
    INS(&c->em, V_SUB_VF, .rd = r->score, .rs1 = r->logit, .rs2 = 0, .fn = 1);
    INS(&c->em, V_EXP_V, .rd = r->score, .rs1 = r->score);
    INS(&c->em, V_ADD_VF, .rd = r->score, .rs1 = r->score, .rs2 = 1);
    INS(&c->em, V_RECI_V, .rd = r->score, .rs1 = r->score);
}

static void bias_seg(struct comp *c, void *ctx)
{
    const struct route *r = ctx;
    INS(&c->em, V_ADD_VV, .rd = r->choice, .rs1 = r->score, .rs2 = r->bias);
}

/* Scores of the token whose logits are at register `logits`, and what the choice goes by. */
static void scores(struct comp *c, const struct route *r, uint8_t logits)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    const uint32_t n = c->cfg->moe.experts;
    struct seg_ptr choice = {r->choice, 1}, score = {r->score, 1}, logit = {r->logit, x->logits.rows};
    emit_add(em, r->logit, logits, 0);
    emit_li(em, r->score, x->score.base);
    if (c->cfg->moe.score == PL_MOE_SIGMOID) {
        INS(em, S_LD_FP, .rd = 1, .imm = PL_FP_ONE);
        emit_segs(c, n, (struct seg_ptr[]){logit, score}, 2, sigmoid_seg, (void *)(uintptr_t)r);
    } else {
        INS(em, S_LD_FP, .rd = 1, .imm = PL_FP_NEG_INF);
        emit_li(em, r->choice, x->choice.base);
        emit_li(em, r->limit, n);
        emit_segs(c, n, (struct seg_ptr[]){logit, choice}, 2, limit_seg, (void *)(uintptr_t)r);
        emit_li(em, r->choice, x->choice.base);
        INS(em, S_ADD_FP, .rd = 2);
        emit_segs(c, n, (struct seg_ptr[]){choice, score}, 2, exp_seg, (void *)(uintptr_t)r);
    }
    if (r->sum) {
        INS(em, S_RECI_FP, .rd = 2, .rs1 = 2);
        emit_li(em, r->score, x->score.base);
        emit_segs(c, n, &score, 1, share_seg, (void *)(uintptr_t)r);
    }
    if (c->cfg->moe.select_bias) {
        emit_li(em, r->score, x->score.base);
        emit_li(em, r->bias, x->bias.base);
        emit_li(em, r->choice, x->choice.base);
        emit_segs(c, n, (struct seg_ptr[]){score, {r->bias, 1}, choice}, 3, bias_seg, (void *)(uintptr_t)r);
    }
}

/* fpmem[p ...], the scores of the chosen, become their weights. f5 = 1 / their sum, or 1, times the model's scale. */
static void weights(struct comp *c, uint8_t first)
{
    struct emit *em = &c->em;
    const uint32_t k = c->cfg->moe.top_k;
    const uint8_t p = gp_take(em);
    INS(em, S_LD_FP, .rd = 5, .imm = PL_FP_ROUTE_SCALE);
    if (c->cfg->moe.score != PL_MOE_SOFTMAX) {
        INS(em, S_ADD_FP, .rd = 3);
        emit_add(em, p, first, 0);
        const struct loop l = loop_begin(em, k);
        INS(em, S_LD_FP, .rd = 4, .rs1 = p);
        INS(em, S_ADD_FP, .rd = 3, .rs1 = 3, .rs2 = 4);
        emit_add(em, p, p, 1);
        loop_end(em, l);
        INS(em, S_RECI_FP, .rd = 3, .rs1 = 3);
        INS(em, S_MUL_FP, .rd = 5, .rs1 = 3, .rs2 = 5);
    }
    emit_add(em, p, first, 0);
    const struct loop l = loop_begin(em, k);
    INS(em, S_LD_FP, .rd = 4, .rs1 = p);
    INS(em, S_MUL_FP, .rd = 4, .rs1 = 4, .rs2 = 5);
    INS(em, S_ST_FP, .rd = 4, .rs1 = p);
    emit_add(em, p, p, 1);
    loop_end(em, l);
    gp_give(em, p);
}

/* Tokens of the pass that are no padding. */
static struct loop tokens_begin(struct comp *c)
{
    if (c->rows->live == 1 || c->rows->batch)
        return loop_begin(&c->em, c->rows->live);
    const uint8_t n = gp_take(&c->em);
    ld(c, n, INT_LAST);
    emit_add(&c->em, n, n, 1);
    const struct loop l = loop_begin_reg(&c->em, n);
    gp_give(&c->em, n);
    return l;
}

static void choose(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    const struct pl_moe *m = &c->cfg->moe;
    const bool by_score = pl_moe_by_score(m);
    const uint8_t logits = emit_const(em, x->logits.base), chosen = emit_const(em, moe_word(c, x->chosen)), weight = emit_const(em, x->weight);
    struct route r = {gp_take(em), gp_take(em), gp_take(em), gp_take(em), gp_take(em), emit_const(em, c->arch->vlen),
                      m->score == PL_MOE_SOFTMAX || (m->score == PL_MOE_SOFTMAX_CHOSEN && by_score)};
    if (m->select_bias) {
        const uint8_t desc = emit_layer_desc(c, PL_W_SELECT_BIAS);
        emit_load_row(c, desc, &(struct pl_map_tensor){x->bias.base, 1, m->experts});
        gp_give(em, desc);
    }
    const struct loop l = tokens_begin(c);
    scores(c, &r, logits);
    emit_li(em, r.choice, by_score && !m->select_bias ? x->score.base : x->choice.base);
    emit_li(em, r.limit, moe_word(c, x->params));
    INS(em, V_ROUTE, .rd = chosen, .rs1 = r.choice, .rs2 = r.limit);
    emit_li(em, r.score, x->score.base);
    emit_li(em, r.limit, m->top_k);
    INS(em, V_PICK, .rd = weight, .rs1 = r.score, .rs2 = chosen, .rs3 = r.limit);
    weights(c, weight);
    emit_add(em, logits, logits, c->pitch);
    emit_add(em, chosen, chosen, m->top_k);
    emit_add(em, weight, weight, m->top_k);
    loop_end(em, l);
    give(c, (uint8_t[]){logits, chosen, weight, r.logit, r.choice, r.score, r.bias, r.limit, r.step}, 9);
}

static void add_seg(struct comp *c, void *ctx)
{
    const uint8_t *r = ctx;
    INS(&c->em, V_ADD_VV, .rd = r[0], .rs1 = r[0], .rs2 = r[1]);
}

static void add_rows(struct comp *c, const struct pl_map_tensor *to, const struct pl_map_tensor *t)
{
    uint8_t r[2];
    emit_rows(c, c->rows->live, to->cols, (const struct pl_map_tensor *const[]){to, t}, r, 2, add_seg, r);
}

static void router(struct comp *c)
{
    const struct pl_map_experts *x = &c->rows->moe;
    const struct gemm g = {.x = &c->rows->y, .rows = c->rows->live, .weight = PL_W_ROUTER, .n = c->cfg->moe.experts, .y = &x->logits};
    emit_gemm(c, &g);
    if (!c->cfg->moe.router_bias)
        return;
    const struct pl_map_tensor bias = {x->bias.base, 1, c->cfg->moe.experts};
    const uint8_t desc = emit_layer_desc(c, PL_W_ROUTER_BIAS);
    emit_load_row(c, desc, &bias);
    gp_give(&c->em, desc);
    add_rows(c, &x->logits, &bias);
}

/* ---- one expert: MOE_ID, its first descriptor in MOE_EXPERT ---- */
/* From register `expert`, which is given back. */
static void set_expert(struct comp *c, uint8_t expert)
{
    struct emit *em = &c->em;
    const uint8_t d = emit_const(em, 3), first = gp_take(em);
    st(c, expert, state(c, MOE_ID));
    ld(c, first, state(c, MOE_DESC));
    INS(em, S_MUL_INT, .rd = d, .rs1 = d, .rs2 = expert);
    INS(em, S_ADD_INT, .rd = d, .rs1 = d, .rs2 = first);
    st(c, d, state(c, MOE_EXPERT));
    give(c, (uint8_t[]){expert, d, first}, 3);
}

static void expert_bias(struct comp *c, unsigned which, const struct pl_map_tensor *t)
{
    struct emit *em = &c->em;
    if (!c->cfg->moe.expert_bias)
        return;
    const struct pl_map_tensor bias = {c->rows->moe.bias.base, 1, t->cols};
    const uint8_t desc = gp_take(em), row = gp_take(em), dst = emit_const(em, bias.base), col = emit_const(em, 0);
    ld(c, desc, state(c, MOE_DESC));
    emit_add(em, desc, desc, 3 * c->cfg->moe.experts + which);
    ld(c, row, state(c, MOE_ID));
    const struct loop l = loop_begin(em, (t->cols + c->pitch - 1) / c->pitch * (c->pitch / c->arch->vlen));
    INS(em, H_LOAD_V, .rd = dst, .rs1 = row, .rs2 = desc, .rs3 = col);
    emit_add(em, dst, dst, c->arch->vlen);
    emit_add(em, col, col, c->arch->vlen);
    loop_end(em, l);
    give(c, (uint8_t[]){desc, row, dst, col}, 4);
    add_rows(c, t, &bias);
}

static void expert_linear(struct comp *c, const char *op, unsigned which, const struct pl_map_tensor *from, const struct pl_map_tensor *to)
{
    const struct gemm g = {.x = from, .rows = c->rows->live, .weight = LAYER_EXPERT + which, .alone = true, .two_places = true,
                           .n = to->cols, .y = to};
    emit_op(&c->em, op);
    emit_gemm(c, &g);
    expert_bias(c, which, to);
}

static void one_expert(struct comp *c, const struct pl_map_tensor *from)
{
    const struct pl_map_experts *x = &c->rows->moe;
    expert_linear(c, "mlp.experts.gate_proj", 0, from, &x->gate);
    expert_linear(c, "mlp.experts.up_proj", 1, from, &x->up);
    emit_op(&c->em, "mlp.experts.glu");
    emit_glu(c, &x->gate, &x->up);
    expert_linear(c, "mlp.experts.down_proj", 2, &x->gate, &x->rows);
}

/* ---- rows of tokens ---- */
struct move {
    uint8_t row, token; /* registers: the segment at hand */
};

static void gather_seg(struct comp *c, void *ctx)
{
    const struct move *m = ctx;
    INS(&c->em, V_SHFT_V, .rd = m->row, .rs1 = m->token, .rs2 = 0);
}

static void scatter_seg(struct comp *c, void *ctx)
{
    const struct move *m = ctx;
    INS(&c->em, V_MUL_VF, .rd = m->row, .rs1 = m->row, .rs2 = 1);
    INS(&c->em, V_ADD_VV, .rd = m->token, .rs1 = m->token, .rs2 = m->row);
}

/* Between the packed rows of the present expert and its tokens' rows of t, from pair MOE_AT on. */
static void move_rows(struct comp *c, const struct pl_map_tensor *t, bool scatter)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    struct move m = {gp_take(em), gp_take(em)};
    const uint8_t at = gp_take(em), row = emit_const(em, x->rows.base), base = emit_const(em, t->base), place = gp_take(em);
    ld(c, at, state(c, MOE_AT));
    const struct row_loop l = rows_begin(c, 1, 1);
    if (scatter) {
        INS(em, S_LD_INT, .rd = place, .rs1 = at, .imm = moe_word(c, x->place));
        INS(em, S_LD_FP, .rd = 1, .rs1 = place, .imm = x->weight);
    }
    INS(em, S_LD_INT, .rd = place, .rs1 = at, .imm = moe_word(c, x->token));
    INS(em, S_ADD_INT, .rd = m.token, .rs1 = place, .rs2 = base);
    emit_add(em, m.row, row, 0);
    emit_segs(c, t->cols, (struct seg_ptr[]){{m.row, x->rows.rows}, {m.token, t->rows}}, 2, scatter ? scatter_seg : gather_seg, &m);
    emit_add(em, row, row, c->pitch);
    emit_add(em, at, at, 1);
    rows_end(c, l);
    if (scatter)
        st(c, at, state(c, MOE_AT));
    give(c, (uint8_t[]){m.row, m.token, at, row, base, place}, 6);
}

/* ---- a pass of one token ---- */
static void token_experts(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *r = c->rows;
    const uint8_t k = emit_const(em, c->cfg->moe.top_k);
    st(c, 0, state(c, MOE_AT));
    const struct loop l = loop_begin_reg(em, k);
    gp_give(em, k);
    const uint8_t at = gp_take(em), expert = gp_take(em);
    ld(c, at, state(c, MOE_AT));
    INS(em, S_LD_INT, .rd = expert, .rs1 = at, .imm = moe_word(c, r->moe.chosen));
    gp_give(em, at);
    set_expert(c, expert);
    one_expert(c, &r->y);
    emit_op(em, "mlp.experts.scatter");
    const uint8_t slot = gp_take(em);
    struct move m;
    ld(c, slot, state(c, MOE_AT));
    INS(em, S_LD_FP, .rd = 1, .rs1 = slot, .imm = r->moe.weight);
    emit_add(em, slot, slot, 1);
    st(c, slot, state(c, MOE_AT));
    gp_give(em, slot);
    uint8_t p[2];
    m = (struct move){gp_take(em), gp_take(em)};
    emit_li(em, m.row, r->moe.rows.base);
    emit_li(em, m.token, r->delta.base);
    emit_segs(c, r->delta.cols, (struct seg_ptr[]){{m.row, r->moe.rows.rows}, {m.token, r->delta.rows}}, 2, scatter_seg, &m);
    p[0] = m.row;
    p[1] = m.token;
    give(c, p, 2);
    loop_end(em, l);
}

/* ---- a pass of many tokens ---- */
/* count[e] = tokens of expert e */
static void count_tokens(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    const uint8_t p = emit_const(em, moe_word(c, x->count)), e = gp_take(em), n = gp_take(em);
    const struct loop zero = loop_begin(em, c->cfg->moe.experts);
    INS(em, S_ST_INT, .rd = 0, .rs1 = p);
    emit_add(em, p, p, 1);
    loop_end(em, zero);
    emit_li(em, p, moe_word(c, x->chosen));
    const struct loop tokens = tokens_begin(c), l = loop_begin(em, c->cfg->moe.top_k);
    INS(em, S_LD_INT, .rd = e, .rs1 = p);
    emit_add(em, p, p, 1);
    INS(em, S_LD_INT, .rd = n, .rs1 = e, .imm = moe_word(c, x->count));
    emit_add(em, n, n, 1);
    INS(em, S_ST_INT, .rd = n, .rs1 = e, .imm = moe_word(c, x->count));
    loop_end(em, l);
    loop_end(em, tokens);
    give(c, (uint8_t[]){p, e, n}, 3);
}

/* busy = experts with tokens, and how many; count[e] = where the first of them goes. MOE_BUSY = how many are busy. */
static void list_busy(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    const uint8_t e = emit_const(em, 0), busy = emit_const(em, moe_word(c, x->busy)), first = emit_const(em, 0), n = gp_take(em), many = emit_const(em, 0);
    const struct loop l = loop_begin(em, c->cfg->moe.experts);
    INS(em, S_LD_INT, .rd = n, .rs1 = e, .imm = moe_word(c, x->count));
    INS(em, S_ST_INT, .rd = first, .rs1 = e, .imm = moe_word(c, x->count));
    INS(em, S_ADD_INT, .rd = first, .rs1 = first, .rs2 = n);
    const struct loop some = loop_begin_reg(em, n); /* if n > 0 */
    INS(em, S_ST_INT, .rd = e, .rs1 = busy);
    INS(em, S_ST_INT, .rd = n, .rs1 = busy, .imm = 1);
    emit_add(em, busy, busy, 2);
    emit_add(em, many, many, 1);
    INS(em, C_EXIT, .rd = 0);
    loop_end(em, some);
    emit_add(em, e, e, 1);
    loop_end(em, l);
    st(c, many, state(c, MOE_BUSY));
    give(c, (uint8_t[]){e, busy, first, n, many}, 5);
}

/* place and token of every pair, at its expert's next place */
static void place_tokens(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_experts *x = &c->rows->moe;
    const uint8_t pair = emit_const(em, 0), row = emit_const(em, 0), e = gp_take(em), at = gp_take(em);
    const struct loop tokens = tokens_begin(c), l = loop_begin(em, c->cfg->moe.top_k);
    INS(em, S_LD_INT, .rd = e, .rs1 = pair, .imm = moe_word(c, x->chosen));
    INS(em, S_LD_INT, .rd = at, .rs1 = e, .imm = moe_word(c, x->count));
    INS(em, S_ST_INT, .rd = pair, .rs1 = at, .imm = moe_word(c, x->place));
    INS(em, S_ST_INT, .rd = row, .rs1 = at, .imm = moe_word(c, x->token));
    emit_add(em, at, at, 1);
    INS(em, S_ST_INT, .rd = at, .rs1 = e, .imm = moe_word(c, x->count));
    emit_add(em, pair, pair, 1);
    loop_end(em, l);
    emit_add(em, row, row, c->pitch);
    loop_end(em, tokens);
    give(c, (uint8_t[]){pair, row, e, at}, 4);
}

/* The next busy expert, its rows and blocks. */
static void next_busy(struct comp *c)
{
    struct emit *em = &c->em;
    const uint8_t p = gp_take(em), e = gp_take(em), n = gp_take(em);
    ld(c, p, state(c, MOE_NEXT));
    INS(em, S_LD_INT, .rd = e, .rs1 = p);
    INS(em, S_LD_INT, .rd = n, .rs1 = p, .imm = 1);
    emit_add(em, p, p, 2);
    st(c, p, state(c, MOE_NEXT));
    st(c, n, state(c, MOE_ROWS));
    INS(em, S_LD_INT, .rd = n, .rs1 = n, .imm = moe_word(c, c->rows->moe.blocks));
    st(c, n, state(c, MOE_BLOCKS));
    gp_give(em, p);
    gp_give(em, n);
    set_expert(c, e);
}

static void pass_experts(struct comp *c)
{
    struct emit *em = &c->em;
    const struct pl_map_rows *r = c->rows;
    emit_op(em, "mlp.experts.sort");
    count_tokens(c);
    list_busy(c);
    place_tokens(c);
    const uint8_t n = emit_const(em, moe_word(c, r->moe.busy));
    st(c, n, state(c, MOE_NEXT));
    st(c, 0, state(c, MOE_AT));
    ld(c, n, state(c, MOE_BUSY));
    const struct loop l = loop_begin_reg(em, n);
    gp_give(em, n);
    next_busy(c);
    c->run_time_rows = true;
    emit_op(em, "mlp.experts.gather");
    move_rows(c, &r->y, false);
    one_expert(c, &r->moe.rows);
    emit_op(em, "mlp.experts.scatter");
    move_rows(c, &r->delta, true);
    c->run_time_rows = false;
    loop_end(em, l);
}

/* ---- all of it ---- */
static void shared_linear(struct comp *c, const char *op, enum pl_weight weight, const struct pl_map_tensor *from,
                          const struct pl_map_tensor *to)
{
    const struct gemm g = {.x = from, .rows = c->rows->live, .weight = weight, .n = to->cols, .y = to};
    emit_op(&c->em, op);
    emit_gemm(c, &g);
}

static void shared(struct comp *c)
{
    const struct pl_map_rows *r = c->rows;
    const struct pl_map_experts *x = &r->moe;
    shared_linear(c, "mlp.shared.gate_proj", PL_W_SHARED_GATE, &r->y, &x->shared_gate);
    shared_linear(c, "mlp.shared.up_proj", PL_W_SHARED_UP, &r->y, &x->shared_up);
    emit_op(&c->em, "mlp.shared.glu");
    emit_glu(c, &x->shared_gate, &x->shared_up);
    shared_linear(c, "mlp.shared.down_proj", PL_W_SHARED_DOWN, &x->shared_gate, &x->shared_out);
    add_rows(c, &r->delta, &x->shared_out);
}

void emit_experts(struct comp *c)
{
    struct emit *em = &c->em;
    router(c);
    emit_op(em, "mlp.route");
    choose(c);
    emit_zero(c, &c->rows->delta);
    if (c->rows->live == 1)
        token_experts(c);
    else
        pass_experts(c);
    if (c->cfg->moe.shared)
        shared(c);
    const uint8_t d = gp_take(em);
    ld(c, d, state(c, MOE_DESC));
    emit_add(em, d, d, moe_descriptors(c->cfg));
    st(c, d, state(c, MOE_DESC));
    gp_give(em, d);
}
