/* pass.c - one pass over the model: a layer of each kind is timed once, and counts as often as there are such layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pass.h"

#include <math.h>

static const double LONG_AGO = 1e12; /* cycles */

const char *pl_perf_op_name(enum pl_perf_op op)
{
    static const char *const name[] = {
#define X(id, name) name,
        PL_PERF_OP_LIST(X)
#undef X
    };
    return name[op];
}

void pass_note(struct pass *p, enum pl_perf_op op, double times)
{
    p->out->op[op].fixed_cyc += times * (p->b.now - p->began);
    p->began = p->b.now;
}

static void linear(struct pass *p, enum pl_perf_op op, double rows, double k, double n, double weights, double pack)
{
    pass_linear(p, &(struct linear){.rows = rows, .k = k, .n = n, .weights = weights, .pack = pack});
    pass_note(p, op, 1);
}

static void attention_block(struct pass *p)
{
    const struct pl_model_config *m = p->m;
    const struct pl_map_rows *r = &p->rows;
    const double q = (double)m->n_heads * p->plan.head_slot, kv = (double)m->n_kv_heads * p->plan.head_slot;
    pass_gains(p);
    pass_norm(p, r->live);
    pass_note(p, PL_PERF_OP_NORM, 1);
    linear(p, PL_PERF_OP_Q, r->live, m->hidden, q, q, r->pack);
    linear(p, PL_PERF_OP_K, r->live, m->hidden, kv, kv, 0);
    linear(p, PL_PERF_OP_V, r->live, m->hidden, kv, kv, 0);
    pass_rope(p, r->att_live, r->q.cols, r->pack != 0);
    pass_rope(p, r->live, r->k.cols, false);
    pass_note(p, PL_PERF_OP_ROPE, 1);
    pass_store(p);
    pass_note(p, PL_PERF_OP_STORE, 1);
    pass_attention(p, 1);
    linear(p, PL_PERF_OP_O, r->live, r->heads.cols, m->hidden, m->hidden, 0);
    pass_residual(p);
    pass_note(p, PL_PERF_OP_RESIDUAL, 1);
}

static void mlp(struct pass *p, double rows, double ffn, double times)
{
    const struct pl_model_config *m = p->m;
    const double hidden = m->hidden, before = p->out->fixed_bytes;
    pass_linear(p, &(struct linear){.rows = rows, .k = hidden, .n = ffn, .weights = ffn});
    pass_note(p, PL_PERF_OP_GATE, times);
    pass_linear(p, &(struct linear){.rows = rows, .k = hidden, .n = ffn, .weights = ffn});
    pass_note(p, PL_PERF_OP_UP, times);
    pass_glu(p);
    pass_note(p, PL_PERF_OP_GLU, times);
    pass_linear(p, &(struct linear){.rows = rows, .k = ffn, .n = hidden, .weights = hidden});
    pass_note(p, PL_PERF_OP_DOWN, times);
    p->out->fixed_bytes += (times - 1) * (p->out->fixed_bytes - before);
}

/* Experts that some token of the pass chose, each with its share of the tokens; then those all tokens pass. */
static void experts(struct pass *p)
{
    const struct pl_model_config *m = p->m;
    const double live = p->rows.live, chosen = pl_perf_distinct_experts(m, live), share = ceil(live * m->moe.top_k / fmax(1, chosen));
    linear(p, PL_PERF_OP_ROUTE, live, m->hidden, m->moe.experts, m->moe.experts, 0);
    mlp(p, share, m->moe.ffn, chosen);
    if (m->moe.shared)
        mlp(p, live, (double)m->moe.ffn * m->moe.shared, 1);
}

static void layer(struct pass *p, bool sparse)
{
    attention_block(p);
    pass_norm(p, p->rows.live);
    pass_note(p, PL_PERF_OP_NORM, 1);
    if (sparse)
        experts(p);
    else
        mlp(p, p->rows.live, p->m->ffn, 1);
    pass_residual(p);
    pass_note(p, PL_PERF_OP_RESIDUAL, 1);
}

/* `times` layers of a kind into the pass. */
static void layers(struct pass *p, bool sparse, double times, double windowed)
{
    struct pl_perf_pass *const sum = p->out;
    struct pl_perf_pass l = {.rows = 0};
    if (times <= 0)
        return;
    p->out = &l;
    p->asked = p->b.bus_free = p->b.now - LONG_AGO;
    const double begin = p->b.now;
    layer(p, sparse);
    /* Its first weights came under the layer before. Where HBM is the slower side, they are waited for. */
    l.op[PL_PERF_OP_Q].fixed_cyc += fmax(0, l.fixed_bytes / p->arch->hbm_bandwidth - (p->b.now - begin));
    p->out = sum;
    /* A window covers so many KV tiles at most, wherever it begins. */
    const double in_window = p->m->window ? ceil(p->m->window / (double)p->plan.kv_tile) : 0;
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        sum->op[op].fixed_cyc += times * l.op[op].fixed_cyc + windowed * in_window * l.op[op].tile_cyc;
        sum->op[op].tile_cyc += (times - windowed) * l.op[op].tile_cyc;
    }
    sum->fixed_bytes += times * l.fixed_bytes + windowed * in_window * l.tile_bytes;
    sum->tile_bytes += (times - windowed) * l.tile_bytes;
}

static void finish(struct pass *p)
{
    struct pl_perf_pass *o = p->out;
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        o->fixed_cyc += o->op[op].fixed_cyc;
        o->tile_cyc += o->op[op].tile_cyc;
    }
}

enum pl_status pl_perf_pass(const struct pl_arch *arch, const struct pl_model_config *m, uint32_t rows, struct pl_perf_pass *out,
                            struct pl_diag *d)
{
    struct pass p = {.arch = arch, .m = m, .out = out};
    double kind[2][2] = {{0}}; /* layers: sparse, windowed */
    *out = (struct pl_perf_pass){0};
    PL_TRY(pl_map_plan(arch, m, NULL, NULL, NULL, &p.plan, d));
    PL_TRY(pl_map_fit_rows(arch, m, &p.plan, rows, &p.rows, d));
    p.heads = pl_map_heads(m, &p.plan);
    p.pitch = pl_arch_pitch(arch);
    p.tile = (double)arch->mlen * arch->mlen;
    const struct pl_format w = pl_format_resolve(p.plan.weight, p.plan.vec);
    p.weight_bits = pl_perf_bits(&w, true);
    board_init(&p.b, arch);
    out->rows = p.rows.live;
    out->kv_tile = p.plan.kv_tile;
    pass_setup(&p);
    pass_note(&p, PL_PERF_OP_SETUP, 1);
    for (uint32_t l = 0; l < m->n_layers; l++)
        kind[pl_model_sparse(m, l)][pl_model_window(m, l) > 0]++;
    for (unsigned s = 0; s < 2; s++)
        layers(&p, s, kind[s][0] + kind[s][1], kind[s][1]);
    p.began = p.b.now;
    pass_norm(&p, 1);
    pass_note(&p, PL_PERF_OP_NORM, 1);
    pass_linear(&p, &(struct linear){.rows = 1, .k = m->hidden, .n = m->vocab, .weights = m->vocab, .head = true});
    pass_note(&p, PL_PERF_OP_LM_HEAD, 1);
    finish(&p);
    return PL_OK;
}

double pl_perf_pass_cycles(const struct pl_perf_pass *p, uint64_t position)
{
    return p->fixed_cyc + p->tile_cyc * (double)(position / p->kv_tile);
}

/* Sum of floor((a i + b) / n) for i of [0, count): Euclid's algorithm on the lattice points. */
static double floor_sum(uint64_t count, uint64_t n, uint64_t a, uint64_t b)
{
    double sum = 0;
    for (;;) {
        sum += (double)(a / n) * (double)count * ((double)count - 1) / 2 + (double)(b / n) * (double)count;
        a %= n;
        b %= n;
        const uint64_t top = a * count + b;
        if (top < n)
            return sum;
        const uint64_t next = top / n;
        b = top % n;
        const uint64_t t = n;
        n = a;
        a = t;
        count = next;
    }
}

enum pl_status pl_perf_eval(const struct pl_arch *arch, const struct pl_model_config *m, const struct pl_perf_job *job,
                            struct pl_perf_time *out, struct pl_diag *d)
{
    struct pl_perf_pass prefill, step;
    if (!job->prompt || !job->output || !job->batch || !job->chunk)
        return pl_fail(d, PL_ERANGE, "prompt, output, batch and chunk must be at least 1");
    PL_TRY(pl_perf_pass(arch, m, 1u << pl_log2(job->chunk), &prefill, d));
    PL_TRY(pl_perf_pass(arch, m, 1, &step, d));
    const uint64_t rows = prefill.rows, passes = (job->prompt + rows - 1) / rows;
    /* KV tiles before the last of pass i, whose last token is at (i + 1) rows - 1; of step j at prompt + j. */
    const double before = floor_sum(passes, prefill.kv_tile, rows, rows - 1);
    const double steps = (double)job->output, behind = floor_sum(job->output, step.kv_tile, 1, job->prompt);
    *out = (struct pl_perf_time){.ttft_cyc = (double)passes * prefill.fixed_cyc + before * prefill.tile_cyc,
                                 .decode_cyc = steps * step.fixed_cyc + behind * step.tile_cyc};
    const double decode_bytes = steps * step.fixed_bytes + behind * step.tile_bytes;
    out->hbm_bytes = (double)passes * prefill.fixed_bytes + before * prefill.tile_bytes + decode_bytes;
    out->ttft_s = out->ttft_cyc / arch->clock_hz;
    out->step_s = out->decode_cyc / steps / arch->clock_hz;
    out->tps = 1 / out->step_s;
    out->hbm_share = decode_bytes / out->decode_cyc / arch->hbm_bandwidth;
    return PL_OK;
}
