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

/* The linear layers of a dense layer, each with the one whose first weights it asks for; o's are asked for in attention. */
enum { LIN_Q, LIN_K, LIN_V, LIN_O, LIN_GATE, LIN_UP, LIN_DOWN, LIN_HEAD, LINS };

static void chain(const struct pass *p, bool sparse, struct linear *lin)
{
    const struct pl_model_config *m = p->m;
    const double live = p->rows.live, hidden = m->hidden, kv = (double)m->n_kv_heads * p->plan.head_slot;
    const bool latent = p->full->mla.kv_rank > 0;
    lin[LIN_Q] = (struct linear){.rows = live, .k = hidden, .n = (double)m->n_heads * p->plan.head_slot, .pack = p->rows.q_pack,
                                 .next = latent ? NULL : &lin[LIN_K], .twin = latent ? NULL : &lin[LIN_HEAD]};
    lin[LIN_HEAD] = (struct linear){.rows = p->times, .k = hidden, .n = m->vocab, .head = true, .twin = latent ? NULL : &lin[LIN_Q]};
    lin[LIN_K] = (struct linear){.rows = live, .k = hidden, .n = kv, .next = latent ? NULL : &lin[LIN_V]};
    lin[LIN_V] = (struct linear){.rows = live, .k = hidden, .n = kv};
    lin[LIN_O] = (struct linear){.rows = live, .k = p->rows.heads.cols, .n = hidden, .next = sparse ? NULL : &lin[LIN_GATE]};
    lin[LIN_GATE] = (struct linear){.rows = live, .k = hidden, .n = m->ffn, .next = &lin[LIN_UP]};
    lin[LIN_UP] = (struct linear){.rows = live, .k = hidden, .n = m->ffn, .next = &lin[LIN_DOWN]};
    lin[LIN_DOWN] = (struct linear){.rows = live, .k = m->ffn, .n = hidden, .next = latent ? NULL : &lin[LIN_Q]};
}

static void linear(struct pass *p, enum pl_perf_op op, const struct linear *l)
{
    pass_linear(p, l);
    pass_note(p, op, 1);
}

/* `times` products like this one, each with weights of its own. */
static void each(struct pass *p, enum pl_perf_op op, double times, double rows, double k, double n)
{
    const double before = p->out->fixed_bytes, array = p->out->fixed_array;
    pass_linear(p, &(struct linear){.rows = rows, .k = k, .n = n});
    pass_note(p, op, times);
    p->out->fixed_array += (times - 1) * (p->out->fixed_array - array);
    p->out->fixed_bytes += (times - 1) * (p->out->fixed_bytes - before);
}

/* Queries, keys and values of MLA: through their ranks, then every head's query against the latent. */
static void latent_projections(struct pass *p)
{
    const struct pl_model_config *m = p->full;
    const struct pl_mla *a = &m->mla;
    const double live = p->rows.live, q = (double)m->n_heads * m->head_dim;
    if (a->q_rank)
        each(p, PL_PERF_OP_Q, 1, live, m->hidden, a->q_rank);
    each(p, PL_PERF_OP_Q, 1, live, a->q_rank ? a->q_rank : m->hidden, q);
    each(p, PL_PERF_OP_Q, m->n_heads, live, a->nope, a->kv_rank);
    each(p, PL_PERF_OP_K, 1, live, m->hidden, (double)a->kv_rank + a->rope);
}

static void biased(struct pass *p, enum pl_perf_op op, const struct linear *l, bool bias)
{
    pass_linear(p, l);
    if (bias)
        pass_bias(p, l->n, l->pack > 0);
    pass_note(p, op, 1);
}

static void projections(struct pass *p, const struct linear *lin)
{
    const struct pl_map_rows *r = &p->rows;
    const bool bias = p->full->qkv_bias;
    biased(p, PL_PERF_OP_Q, &lin[LIN_Q], bias);
    biased(p, PL_PERF_OP_K, &lin[LIN_K], bias);
    biased(p, PL_PERF_OP_V, &lin[LIN_V], bias);
    if (p->full->qk_norm) {
        pass_head_norm(p, r->q_live, r->q.cols);
        pass_head_norm(p, r->live, r->k.cols);
        pass_note(p, PL_PERF_OP_HEAD_NORM, 1);
    }
}

static void attention_block(struct pass *p, const struct linear *lin)
{
    const struct pl_model_config *m = p->m;
    const struct pl_map_rows *r = &p->rows;
    const struct pl_mla *a = &p->full->mla;
    pass_gains(p);
    const double start = p->b.now;
    pass_norm(p, r->live, m->hidden);
    p->norm_cyc = p->b.now - start;
    pass_note(p, PL_PERF_OP_NORM, 1);
    if (a->kv_rank)
        latent_projections(p);
    else
        projections(p, lin);
    pass_rope(p, r->q_live, r->q.cols, r->q_pack != 0);
    pass_rope(p, r->live, r->k.cols, false);
    pass_note(p, PL_PERF_OP_ROPE, 1);
    pass_store(p);
    pass_note(p, PL_PERF_OP_STORE, 1);
    pass_attention(p, a->kv_rank ? NULL : &lin[LIN_O]);
    if (a->kv_rank) { /* values come out of the latent */
        each(p, PL_PERF_OP_O, m->n_heads, r->live, a->kv_rank, a->v);
        each(p, PL_PERF_OP_O, 1, r->live, (double)m->n_heads * a->v, m->hidden);
    } else {
        biased(p, PL_PERF_OP_O, &lin[LIN_O], p->full->o_bias);
    }
    pass_add(p, m->hidden);
    pass_note(p, PL_PERF_OP_RESIDUAL, 1);
}

static void mlp(struct pass *p, const struct linear *lin)
{
    linear(p, PL_PERF_OP_GATE, &lin[LIN_GATE]);
    linear(p, PL_PERF_OP_UP, &lin[LIN_UP]);
    pass_glu(p, lin[LIN_UP].rows, lin[LIN_UP].n);
    pass_note(p, PL_PERF_OP_GLU, 1);
    linear(p, PL_PERF_OP_DOWN, &lin[LIN_DOWN]);
}

/* `times` experts of `ffn` lanes, each for `rows` tokens. */
static void some_experts(struct pass *p, double times, double rows, double ffn)
{
    each(p, PL_PERF_OP_GATE, times, rows, p->m->hidden, ffn);
    each(p, PL_PERF_OP_UP, times, rows, p->m->hidden, ffn);
    pass_glu(p, rows, ffn);
    pass_note(p, PL_PERF_OP_GLU, times);
    each(p, PL_PERF_OP_DOWN, times, rows, ffn, p->m->hidden);
}

/* Experts that some token of the pass chose, each with its share of the tokens; then those all tokens pass. */
static void experts(struct pass *p)
{
    const struct pl_moe *e = &p->full->moe;
    const double live = p->rows.live, chosen = pl_perf_distinct_experts(p->full, live);
    each(p, PL_PERF_OP_ROUTE, 1, live, p->m->hidden, e->experts);
    some_experts(p, chosen, ceil(live * e->top_k / fmax(1, chosen)), e->ffn);
    if (e->shared)
        some_experts(p, 1, live, (double)e->ffn * e->shared);
}

static void layer(struct pass *p, bool sparse)
{
    struct linear lin[LINS];
    chain(p, sparse, lin);
    attention_block(p, lin);
    board_slots(&p->b, p->norm_cyc); /* as before attention */
    pass_note(p, PL_PERF_OP_NORM, 1);
    if (sparse)
        experts(p);
    else
        mlp(p, lin);
    pass_add(p, p->m->hidden);
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
    p->first_set = p->b.bus_free = p->b.now - LONG_AGO;
    p->asked = true;
    const double begin = p->b.now;
    layer(p, sparse);
    /* Its first weights came under the layer before. Where HBM is the slower side, they are waited for. */
    l.op[PL_PERF_OP_Q].fixed_cyc += fmax(0, l.fixed_bytes / p->arch->hbm_bandwidth - (p->b.now - begin));
    p->out = sum;
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        sum->op[op].fixed_cyc += times * l.op[op].fixed_cyc;
        sum->op[op].tile_cyc += (times - windowed) * l.op[op].tile_cyc;
        sum->op[op].window_cyc += windowed * l.op[op].tile_cyc;
    }
    sum->fixed_bytes += times * l.fixed_bytes;
    sum->tile_bytes += (times - windowed) * l.tile_bytes;
    sum->window_bytes += windowed * l.tile_bytes;
    sum->fixed_array += times * l.fixed_array;
    sum->tile_array += (times - windowed) * l.tile_array;
    sum->window_array += windowed * l.tile_array;
}

static void finish(struct pass *p)
{
    struct pl_perf_pass *o = p->out;
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        o->fixed_cyc += o->op[op].fixed_cyc;
        o->tile_cyc += o->op[op].tile_cyc;
        o->window_cyc += o->op[op].window_cyc;
    }
}

/* What map lays out today: rows of heads and of a dense MLP. Keys of MLA are one head, its latent; the widest MLP counts. */
static void plain(const struct pl_model_config *m, struct pl_model_config *out)
{
    const uint32_t shared = m->moe.ffn * (m->moe.shared ? m->moe.shared : 1);
    *out = (struct pl_model_config){.vocab = m->vocab, .hidden = m->hidden, .ffn = m->ffn, .n_layers = m->n_layers, .n_heads = m->n_heads,
                                    .n_kv_heads = m->n_kv_heads, .head_dim = m->head_dim, .max_position = m->max_position,
                                    .rms_eps = m->rms_eps, .rope_theta = m->rope_theta, .rope = {.attention = 1, .softmax = 1}};
    if (m->mla.kv_rank) {
        out->n_kv_heads = 1;
        out->head_dim = m->mla.kv_rank + m->mla.rope;
    }
    if (m->moe.experts && shared > out->ffn)
        out->ffn = shared;
}

/* batch 0: tokens of one sequence. */
static enum pl_status any_pass(const struct pl_arch *arch, const struct pl_model_config *m, uint32_t rows, uint32_t batch,
                               struct pl_perf_pass *out, struct pl_diag *d)
{
    struct pl_model_config laid_out;
    struct pass p = {.arch = arch, .m = &laid_out, .full = m, .out = out};
    plain(m, &laid_out);
    double kind[2][2] = {{0}}; /* layers: sparse, windowed */
    *out = (struct pl_perf_pass){0};
    PL_TRY(pl_map_plan(arch, &laid_out, NULL, NULL, NULL, &p.plan, d));
    PL_TRY(batch ? pl_map_batch_rows(arch, &laid_out, &p.plan, batch, &p.rows, d) : pl_map_fit_rows(arch, &laid_out, &p.plan, rows, &p.rows, d));
    p.times = batch ? batch : 1;
    p.heads = pl_map_heads(&laid_out, &p.plan);
    p.pitch = pl_arch_pitch(arch);
    p.tile = (double)arch->mlen * arch->mlen;
    const struct pl_format w = pl_format_resolve(p.plan.weight, p.plan.vec);
    p.weight_bits = pl_perf_bits(&w, true);
    board_init(&p.b, arch);
    out->rows = p.rows.att_tokens;
    out->window = m->window;
    out->kv_tile = p.plan.kv_tile;
    struct linear lin[LINS];
    chain(&p, false, lin);
    pass_setup(&p);
    pass_note(&p, PL_PERF_OP_SETUP, 1);
    /* The first gain comes behind the first weights, and so do rows of the embedding that must wait for room in the queue. */
    const bool many = p.rows.live * segs_of(&p, m->hidden) > arch->outstanding;
    out->op[many ? PL_PERF_OP_SETUP : PL_PERF_OP_NORM].fixed_cyc += fmax(0, pass_ahead_cyc(&p, &lin[LIN_Q]) + arch->hbm_latency - p.b.now);
    for (uint32_t l = 0; l < m->n_layers; l++)
        kind[pl_model_sparse(m, l)][pl_model_window(m, l) > 0]++;
    for (unsigned s = 0; s < 2; s++)
        layers(&p, s, kind[s][0] + kind[s][1], kind[s][1]);
    p.began = p.b.now;
    pass_norm(&p, p.times, m->hidden);
    pass_note(&p, PL_PERF_OP_NORM, 1);
    p.asked = true; /* by the last layer */
    pass_linear(&p, &lin[LIN_HEAD]);
    board_wait(&p.b, p.b.ready[P_MM] + arch->hbm_latency + 2); /* the fence behind the logits */
    pass_note(&p, PL_PERF_OP_LM_HEAD, 1);
    finish(&p);
    return PL_OK;
}

enum pl_status pl_perf_pass(const struct pl_arch *arch, const struct pl_model_config *m, uint32_t rows, struct pl_perf_pass *out,
                            struct pl_diag *d)
{
    return any_pass(arch, m, rows, 0, out, d);
}

enum pl_status pl_perf_batch_pass(const struct pl_arch *arch, const struct pl_model_config *m, uint32_t batch, struct pl_perf_pass *out,
                                  struct pl_diag *d)
{
    return any_pass(arch, m, batch, batch > 1 ? batch : 0, out, d);
}

struct pl_perf_tiles pl_perf_tiles(const struct pl_perf_pass *p, uint64_t position)
{
    const uint64_t first = position + 1 > p->rows ? position + 1 - p->rows : 0, seen = p->window && first + 1 > p->window ? first + 1 - p->window : 0;
    return (struct pl_perf_tiles){(double)(position / p->kv_tile), (double)(position / p->kv_tile - seen / p->kv_tile)};
}

double pl_perf_op_cycles(const struct pl_perf_pass *p, enum pl_perf_op op, struct pl_perf_tiles t)
{
    return p->op[op].fixed_cyc + t.all * p->op[op].tile_cyc + t.window * p->op[op].window_cyc;
}

double pl_perf_pass_cycles(const struct pl_perf_pass *p, uint64_t position)
{
    return pl_perf_batch_cycles(p, &position, 1);
}

double pl_perf_batch_cycles(const struct pl_perf_pass *p, const uint64_t *position, size_t n)
{
    double cyc = p->fixed_cyc;
    for (size_t i = 0; i < n; i++) {
        const struct pl_perf_tiles t = pl_perf_tiles(p, position[i]);
        cyc += t.all * p->tile_cyc + t.window * p->window_cyc;
    }
    return cyc;
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

/* Of `count` passes of `rows` tokens each, the first from token `start` on. */
static struct pl_perf_tiles sum_of_tiles(const struct pl_perf_pass *p, uint64_t count, uint64_t rows, uint64_t start)
{
    const double all = floor_sum(count, p->kv_tile, rows, start + rows - 1);
    if (!p->window)
        return (struct pl_perf_tiles){all, 0};
    /* Pass i from i0 on has its first row's window begin behind token 0. */
    const uint64_t reach = start + 1 >= p->window ? 0 : p->window - 1 - start, i0 = (reach + rows - 1) / rows;
    const double passed = i0 < count ? floor_sum(count - i0, p->kv_tile, rows, start + i0 * rows + 1 - p->window) : 0;
    return (struct pl_perf_tiles){all, all - passed};
}

enum pl_status pl_perf_eval(const struct pl_arch *arch, const struct pl_model_config *m, const struct pl_perf_job *job,
                            struct pl_perf_time *out, struct pl_diag *d)
{
    struct pl_perf_pass prefill, step;
    if (!job->prompt || !job->output || !job->batch || !job->chunk)
        return pl_fail(d, PL_ERANGE, "prompt, output, batch and chunk must be at least 1");
    if (job->batch > UINT32_MAX)
        return pl_fail(d, PL_ERANGE, "a batch of %llu sequences", (unsigned long long)job->batch);
    PL_TRY(pl_perf_pass(arch, m, 1u << pl_log2(job->chunk), &prefill, d));
    PL_TRY(pl_perf_batch_pass(arch, m, (uint32_t)job->batch, &step, d));
    const uint64_t rows = prefill.rows, passes = (job->prompt + rows - 1) / rows;
    const struct pl_perf_tiles before = sum_of_tiles(&prefill, passes, rows, 0), behind = sum_of_tiles(&step, job->output, 1, job->prompt);
    const double n = (double)passes, steps = (double)job->output, batch = (double)job->batch;
    *out = (struct pl_perf_time){
        .ttft_cyc = n * prefill.fixed_cyc + before.all * prefill.tile_cyc + before.window * prefill.window_cyc,
        .decode_cyc = steps * step.fixed_cyc + batch * (behind.all * step.tile_cyc + behind.window * step.window_cyc)};
    const double decode_bytes = steps * step.fixed_bytes + batch * (behind.all * step.tile_bytes + behind.window * step.window_bytes);
    out->hbm_bytes = n * prefill.fixed_bytes + before.all * prefill.tile_bytes + before.window * prefill.window_bytes + decode_bytes;
    out->array_share = (steps * step.fixed_array + batch * (behind.all * step.tile_array + behind.window * step.window_array)) / out->decode_cyc;
    out->ttft_s = out->ttft_cyc / arch->clock_hz;
    out->step_s = out->decode_cyc / steps / arch->clock_hz;
    out->tps = batch / out->step_s;
    out->hbm_share = decode_bytes / out->decode_cyc / arch->hbm_bandwidth;
    return PL_OK;
}
