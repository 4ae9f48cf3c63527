/* fastforward.c - passes of a loop that must repeat the last one are counted, not stepped. Timing plane only; exact.
 *
 * At a back edge K passes (P), then K more (Q), are recorded. What comes after Q repeats Q, shifted in time by T and in
 * addresses by a fixed stride for each operand, if
 *   1. every instruction that makes an integer register is linear in the registers, and the registers moved by the same
 *      vector d from P to Q and from Q to its end: then A d = d, and they move by d forever. Addresses are linear in them;
 *      row and tile numbers too, where the stride is whole rows or no row edge lies ahead;
 *   2. P and Q took the same instructions with the same times relative to their starts, and left the same relative state
 *      of registers and units;
 *   3. what was under way when P began had ended when Q began: Q depends on accesses of P and Q alone;
 *   4. two accesses of one place, one of them a write, have one stride, or their places stay apart over all passes ahead:
 *      then who meets whom never changes;
 *   5. no transfer is under way to or from a place ahead, and none is issued.
 * Then n passes move time by n T, registers by n d, the marks of Q by n strides, and every count by n times Q's. Bodies
 * that do anything else (HBM, batched products, INT SRAM stores, data-dependent registers) are stepped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fastforward.h"

enum { MOST_RECORDS = 1 << 16, MOST_CLASSES = 48, MOST_PASSES = 16 };

void sim_ff_init(struct pl_sim *sim)
{
    struct ff *f = &sim->ff;
    f->enabled = sim->opt.timing && !sim->opt.functional && !sim->opt.no_fast_forward && !sim->opt.trace;
    f->hint = calloc(sim->img->n_code + 1, sizeof *f->hint);
    if (!f->hint)
        abort();
    for (size_t pc = 0; pc < sim->img->n_code; pc++)
        f->hint[pc].passes = 1;
}

void sim_ff_fini(struct pl_sim *sim)
{
    free(sim->ff.record);
    free(sim->ff.hint);
}

/* ---- what a body may do ---- */
enum operand_use { NONE, VROW, VPITCH, TILE, FIXED, FP_WORD, ANY_VALUE };
struct rule {
    bool allowed;
    uint8_t rd, rs1, rs2, rs3; /* enum operand_use of gp operands */
};

static struct rule rule_of(enum pl_op op)
{
    switch (op) {
    case PL_M_MM: case PL_M_MV: case PL_M_TMV:
        return (struct rule){true, NONE, TILE, VPITCH, NONE};
    case PL_M_TMM:
        return (struct rule){true, NONE, VPITCH, TILE, NONE};
    case PL_M_MM_WO:
        return (struct rule){true, VPITCH, FIXED, NONE, NONE};
    case PL_M_MV_WO:
        return (struct rule){true, VPITCH, NONE, NONE, NONE};
    case PL_V_ADD_VV: case PL_V_SUB_VV: case PL_V_MUL_VV:
        return (struct rule){true, VROW, VROW, VROW, NONE};
    case PL_V_ADD_VF: case PL_V_SUB_VF: case PL_V_MUL_VF: case PL_V_MAX_VF: case PL_V_MIN_VF: case PL_V_EXP_V: case PL_V_RECI_V:
        return (struct rule){true, VROW, VROW, NONE, NONE};
    case PL_V_PS_V:
        return (struct rule){true, VROW, VROW, NONE, NONE};
    case PL_V_SHFT_V: case PL_V_LIM_V:
        return (struct rule){true, VROW, VROW, ANY_VALUE, NONE};
    case PL_V_SWAP_V: case PL_C_HADAMARD_TRANSFORM:
        return (struct rule){true, VROW, VROW, FIXED, NONE};
    case PL_V_RED_SUM: case PL_V_RED_MAX:
        return (struct rule){true, NONE, VROW, NONE, NONE};
    case PL_S_ADD_FP: case PL_S_SUB_FP: case PL_S_MAX_FP: case PL_S_MUL_FP: case PL_S_EXP_FP: case PL_S_RECI_FP: case PL_S_SQRT_FP:
        return (struct rule){true, NONE, NONE, NONE, NONE};
    case PL_S_LD_FP: case PL_S_ST_FP:
        return (struct rule){true, NONE, FP_WORD, NONE, NONE};
    case PL_S_MAP_V_FP:
        return (struct rule){true, VROW, FP_WORD, NONE, NONE};
    case PL_S_ADD_INT: case PL_S_SUB_INT: case PL_S_ADDI_INT: case PL_S_LUI_INT:
        return (struct rule){true, NONE, NONE, NONE, NONE};
    case PL_S_MUL_INT:
        return (struct rule){true, NONE, FIXED, FIXED, NONE};
    case PL_S_LD_INT: /* no store in the body: the word stays */
        return (struct rule){true, NONE, FIXED, NONE, NONE};
    case PL_C_SET_V_MASK_REG:
        return (struct rule){true, FIXED, NONE, NONE, NONE};
    case PL_C_LOOP_START: case PL_C_LOOP_END:
        return (struct rule){true, NONE, NONE, NONE, NONE};
    case PL_C_LOOP_REG:
        return (struct rule){true, NONE, FIXED, NONE, NONE};
    default:
        return (struct rule){0};
    }
}

/* ---- recording ---- */
static void give_up(struct pl_sim *sim, bool for_good)
{
    struct ff *f = &sim->ff;
    struct ff_hint *h = &f->hint[f->loop_pc];
    h->failures = for_good ? 7 : h->failures < 7 ? (uint8_t)(h->failures + 1) : 7;
    h->wait = 1u << (2 * h->failures); /* back edges before the next attempt */
    f->recording = false;
}

/* State relative to the issue slot; what lies behind is 0. */
static uint64_t ahead(uint64_t cyc, uint64_t now)
{
    return cyc > now ? cyc - now : 0;
}

static uint64_t stamp_ahead(stamp s, uint64_t now)
{
    return stamp_cyc(s) > now ? s - (now << 3) : 0;
}

static void take_state(const struct pl_sim *sim, struct ff_state *s)
{
    const struct timing *t = &sim->t;
    const uint64_t now = t->issue;
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < N_GP; i++)
        s->rel[s->n++] = stamp_ahead(t->gp[i], now);
    for (unsigned i = 0; i < N_FP; i++)
        s->rel[s->n++] = stamp_ahead(t->fp[i], now);
    for (unsigned i = 0; i < SHARED_COUNT; i++)
        s->rel[s->n++] = stamp_ahead(t->shared[i], now);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        s->rel[s->n++] = ahead(t->free[u], now);
    s->rel[s->n++] = ahead(t->acc_ready, now);
    for (unsigned i = 0; i < sim->arch->write_out_queue; i++)
        s->rel[s->n++] = ahead(t->write_out[(t->write_out_head + i) % sim->arch->write_out_queue], now);
    s->rel[s->n++] = ahead(t->last_done, now);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) { /* an open span may have begun long ago */
        const struct spans *q = &t->spans[u];
        s->rel[s->n++] = q->n << 1 | q->open;
        for (unsigned k = 0; k < q->n; k++) {
            const unsigned at = (q->head + k) % MAX_SPANS;
            s->rel[s->n++] = k || !q->open ? ahead(q->s[at].from, now) : 0;
            s->rel[s->n++] = ahead(q->s[at].to, now);
        }
    }
    memcpy(s->gp, sim->gp, sizeof s->gp);
    memcpy(s->stall, sim->stats.stall_cyc, sizeof s->stall);
    memcpy(s->overlap, t->overlap, sizeof s->overlap);
    memcpy(s->use, sim->stats.use, sizeof s->use);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        s->span_from[u] = t->spans[u].n && t->spans[u].open ? t->spans[u].s[t->spans[u].head].from : UINT64_MAX;
    s->issue = now;
    s->last_done = t->last_done;
    s->insns = sim->stats.insns;
    s->records = sim->ff.n;
}

struct ff_record *sim_ff_record(struct pl_sim *sim, const struct decoded *dec)
{
    struct ff *f = &sim->ff;
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 1024;
        f->record = realloc(f->record, f->cap * sizeof *f->record);
        if (!f->record)
            abort();
    }
    struct ff_record *r = &f->record[f->n++];
    r->pc = (uint32_t)(dec - sim->code);
    r->gp[0] = sim->gp[dec->in.rd];
    r->gp[1] = sim->gp[dec->in.rs1];
    r->gp[2] = sim->gp[dec->in.rs2];
    r->gp[3] = sim->gp[dec->in.rs3];
    return r;
}

void sim_ff_recorded(struct pl_sim *sim, struct ff_record *r, const struct touch *x, const struct pl_sim_retired *done)
{
    struct ff *f = &sim->ff;
    const struct timing *t = &sim->t;
    const uint64_t start = f->state[f->phase].issue;
    r->n_read = (uint8_t)x->n_read;
    memcpy(r->read, x->read, sizeof r->read);
    r->write = x->write;
    r->tile = (int32_t)x->tile_read;
    r->issue = done->issue_cyc - start;
    r->read_done = t->step.read_done - start;
    r->end = done->end_cyc - start;
    r->stall = t->step.stall;
    r->cycles = t->step.cycles;
    r->busy = t->step.busy;
    r->why = (uint8_t)t->step.why;
    if (!rule_of((enum pl_op)done->insn.op).allowed || sim->code[r->pc].mark)
        give_up(sim, true);
    else if (f->n > MOST_RECORDS)
        give_up(sim, true);
}

/* ---- judging ---- */
struct class { /* accesses of one kind of memory with one stride */
    bool is_tile;
    int64_t stride;
    int64_t lo[2], hi[2]; /* places read, written, over all passes ahead; empty: lo > hi */
};
struct judge {
    struct class c[MOST_CLASSES];
    unsigned n;
    int64_t passes; /* super-passes ahead */
};

static bool add_access(struct judge *j, bool is_tile, bool write, int64_t lo, int64_t hi, int64_t stride)
{
    unsigned k = 0;
    while (k < j->n && (j->c[k].is_tile != is_tile || j->c[k].stride != stride))
        k++;
    if (k == MOST_CLASSES)
        return false;
    if (k == j->n)
        j->c[j->n++] = (struct class){is_tile, stride, {INT64_MAX, INT64_MAX}, {INT64_MIN, INT64_MIN}};
    struct class *c = &j->c[k];
    const int64_t move = stride * j->passes, back = stride; /* from P's place to the last */
    const int64_t low = lo + (move < 0 ? move : -(back > 0 ? back : 0)), high = hi + (move > 0 ? move : -(back < 0 ? back : 0));
    c->lo[write] = low < c->lo[write] ? low : c->lo[write];
    c->hi[write] = high > c->hi[write] ? high : c->hi[write];
    return true;
}

static bool same_shape(const struct rows *a, const struct rows *b)
{
    return a->count == b->count && a->stride == b->stride && a->width == b->width;
}

static bool add_rows(struct judge *j, const struct rows *p, const struct rows *q, bool write)
{
    if (!same_shape(p, q))
        return false;
    if (!q->count)
        return true;
    const int64_t last = (int64_t)q->first + (int64_t)(q->count - 1) * q->stride + q->width - 1;
    return add_access(j, false, write, q->first, last, (int64_t)q->first - p->first);
}

/* v, v+d, ... v+nd: a whole number of `g` apart, or never over an edge of g; and within `size`. */
static bool moves_evenly(uint32_t v, uint32_t d, int64_t n, uint64_t g, uint64_t size)
{
    const int64_t step = (int32_t)d, last = (int64_t)v + step * n;
    if (last < 0 || (uint64_t)last >= size)
        return false;
    return step % (int64_t)g == 0 || (uint64_t)last / g == v / g;
}

static bool operands_move_evenly(const struct pl_sim *sim, const struct ff_record *p, const struct ff_record *q, int64_t n)
{
    const struct pl_arch *a = sim->arch;
    const struct pl_insn *in = &sim->code[q->pc].in;
    const struct rule r = rule_of((enum pl_op)in->op);
    const uint8_t use[4] = {r.rd, r.rs1, r.rs2, r.rs3};
    const uint64_t elements = (uint64_t)a->vector_rows * a->vlen, tile = (uint64_t)a->mlen * a->mlen;
    for (unsigned k = 0; k < 4; k++) {
        const uint32_t d = q->gp[k] - p->gp[k];
        const uint32_t v = q->gp[k] + (k == 0 && (in->op == PL_M_MM_WO || in->op == PL_M_MV_WO) ? in->imm : 0);
        bool ok = true;
        if (use[k] == VROW)
            ok = moves_evenly(v, d, n, a->vlen, elements);
        else if (use[k] == VPITCH)
            ok = moves_evenly(v, d, n, sim->pitch, elements);
        else if (use[k] == TILE)
            ok = moves_evenly(v, d, n, tile, tile * a->matrix_tiles);
        else if (use[k] == FIXED)
            ok = d == 0;
        else if (use[k] == FP_WORD)
            ok = moves_evenly(v, d, n, 1, a->fp_words - in->imm);
        if (!ok)
            return false;
    }
    return true;
}

static bool same_times(const struct ff_record *p, const struct ff_record *q)
{
    return p->pc == q->pc && p->issue == q->issue && p->read_done == q->read_done && p->end == q->end && p->stall == q->stall &&
           p->why == q->why && p->busy == q->busy && p->cycles == q->cycles && p->n_read == q->n_read && (p->tile < 0) == (q->tile < 0);
}

static bool same_state(const struct ff_state *a, const struct ff_state *b)
{
    return a->n == b->n && !memcmp(a->rel, b->rel, a->n * sizeof *a->rel);
}

/* A write of one class stays apart from everything of another. */
static bool classes_stay_apart(const struct judge *j)
{
    for (unsigned a = 0; a < j->n; a++)
        for (unsigned b = 0; b < j->n; b++)
            for (unsigned kind = 0; kind < 2 && a != b; kind++)
                if (j->c[a].is_tile == j->c[b].is_tile && j->c[a].lo[1] <= j->c[b].hi[kind] && j->c[b].lo[kind] <= j->c[a].hi[1])
                    return false;
    return true;
}

static bool by_transfer_after(const struct pl_sim *sim, stamp s, uint64_t cyc)
{
    const unsigned unit = s & 7;
    uint64_t end;
    if (unit < PL_SIM_LOAD_M || unit > PL_SIM_STORE)
        return false;
    return !sim_memory_known(sim, s, &end) || end > cyc;
}

static bool no_transfer_ahead(const struct pl_sim *sim, const struct judge *j, uint64_t cyc)
{
    const struct timing *t = &sim->t;
    if (t->all_dma_done <= cyc && !sim_memory_pending(sim))
        return true;
    for (unsigned k = 0; k < j->n; k++)
        for (unsigned kind = 0; kind < 2; kind++)
            for (int64_t i = j->c[k].lo[kind] < 0 ? 0 : j->c[k].lo[kind]; i <= j->c[k].hi[kind]; i++)
                if (j->c[k].is_tile ? by_transfer_after(sim, t->tile_write[i], cyc) || by_transfer_after(sim, t->tile_read[i], cyc)
                                    : by_transfer_after(sim, sim_marks_row(&t->row_write, (uint32_t)i), cyc) ||
                                          by_transfer_after(sim, sim_marks_row(&t->row_store, (uint32_t)i), cyc))
                    return false;
    return true;
}

/* Super-passes that may be counted now: the loop's own count, the instruction limit, and the cycle at which the last
 * transfer ends, when it outlives the passes (its end carries the cycle count). */
static int64_t passes_ahead(const struct pl_sim *sim, const struct ff_state *q, const struct ff_state *r)
{
    const struct ff *f = &sim->ff;
    const uint64_t period = r->issue - q->issue, insns = r->insns - q->insns;
    uint64_t n = (sim->gp[f->reg] - 1) / f->passes;
    if (sim->opt.max_insns) {
        const uint64_t left = (sim->opt.max_insns - sim->stats.insns) / insns;
        n = left < n ? left : n;
    }
    const uint64_t dma = sim->t.all_dma_done, reach = r->last_done > r->issue ? r->last_done : r->issue;
    if (dma > q->issue) {
        const uint64_t left = dma > reach ? (dma - reach) / period : 0;
        n = left < n ? left : n;
    }
    return (int64_t)n;
}

static bool judge(struct pl_sim *sim, struct judge *j)
{
    const struct ff *f = &sim->ff;
    const struct ff_state *p = &f->state[0], *q = &f->state[1], *r = &f->state[2];
    const size_t len = q->records - p->records;
    if (r->records - q->records != len || !same_state(p, q) || !same_state(q, r))
        return false;
    for (unsigned i = 0; i < N_GP; i++)
        if (q->gp[i] - p->gp[i] != r->gp[i] - q->gp[i])
            return false;
    if (p->last_done > q->issue) /* condition 3 */
        return false;
    for (size_t i = 0; i < len; i++) {
        const struct ff_record *a = &f->record[p->records + i], *b = &f->record[q->records + i];
        if (!same_times(a, b) || !operands_move_evenly(sim, a, b, j->passes))
            return false;
        for (unsigned k = 0; k < b->n_read; k++)
            if (!add_rows(j, &a->read[k], &b->read[k], false))
                return false;
        if (!add_rows(j, &a->write, &b->write, true))
            return false;
        if (b->tile >= 0 && !add_access(j, true, false, b->tile, b->tile, b->tile - a->tile))
            return false;
    }
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
            if (q->overlap[u][c] - p->overlap[u][c] != r->overlap[u][c] - q->overlap[u][c])
                return false;
    return classes_stay_apart(j) && no_transfer_ahead(sim, j, q->issue);
}

/* ---- jumping ---- */
static void later(uint64_t *cyc, uint64_t now, uint64_t by)
{
    *cyc += *cyc > now ? by : 0;
}

static void stamps_later(stamp *s, size_t n, uint64_t now, uint64_t by)
{
    for (size_t i = 0; i < n; i++)
        s[i] += stamp_cyc(s[i]) > now ? by << 3 : 0;
}

/* A pending stamp here is of a transfer long done that nobody has looked at: condition 5. */
static void raise(stamp *at, stamp v)
{
    *at = *at & PENDING || v > *at ? v : *at;
}

static void mark_rows(struct marks *m, const struct rows *p, const struct rows *q, int64_t n, stamp v)
{
    uint32_t first = (uint32_t)(q->first + ((int64_t)q->first - p->first) * n);
    for (uint32_t i = 0; i < q->count; i++, first += q->stride)
        sim_marks_overwrite(m, first, first + q->width, v);
}

/* The marks that Q left, n strides on and n T later. */
static void move_marks(struct pl_sim *sim, uint64_t n, uint64_t period)
{
    struct timing *t = &sim->t;
    const struct ff *f = &sim->ff;
    const size_t len = f->state[1].records - f->state[0].records;
    const uint64_t start = f->state[1].issue + n * period;
    for (size_t i = 0; i < len; i++) {
        const struct ff_record *p = &f->record[f->state[0].records + i], *q = &f->record[f->state[1].records + i];
        const enum pl_sim_unit unit = (enum pl_sim_unit)sim->code[q->pc].unit;
        const stamp read = stamp_of(start + q->read_done, unit), end = stamp_of(start + q->end, unit);
        for (unsigned k = 0; k < q->n_read; k++)
            mark_rows(&t->row_read, &p->read[k], &q->read[k], (int64_t)n, read);
        mark_rows(&t->row_write, &p->write, &q->write, (int64_t)n, end);
        if (q->tile >= 0)
            raise(&t->tile_read[q->tile + (int64_t)(q->tile - p->tile) * (int64_t)n], read);
    }
}

static void move_counts(struct pl_sim *sim, uint64_t n)
{
    const struct ff *f = &sim->ff;
    const struct ff_state *q = &f->state[1], *r = &f->state[2];
    for (size_t i = q->records; i < r->records; i++) {
        const struct ff_record *x = &f->record[i];
        const struct decoded *dec = &sim->code[x->pc];
        struct pl_sim_op_stats *op = &sim->op_stats[dec->op_range];
        sim->pc_stats[x->pc].count += n;
        sim->pc_stats[x->pc].stall_cyc += n * x->stall;
        op->stall_cyc[x->why] += n * x->stall;
        op->stall_cyc[PL_SIM_ISSUE_CAUSE] += n;
        op->cycles += n * x->cycles;
        op->busy_cyc[dec->unit] += n * x->busy;
    }
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
        sim->stats.stall_cyc[c] += n * (r->stall[c] - q->stall[c]);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
            sim->t.overlap[u][c] += n * (r->overlap[u][c] - q->overlap[u][c]);
    for (size_t k = 0; k < sim->stats.n_use; k++) {
        sim->stats.use[k].matrix += n * (r->use[k].matrix - q->use[k].matrix);
        sim->stats.use[k].vector += n * (r->use[k].vector - q->use[k].vector);
    }
    sim->stats.insns += n * (r->insns - q->insns);
    sim->stats.fast_forwarded += n * (r->insns - q->insns);
}

static void move_spans(struct pl_sim *sim, uint64_t n, uint64_t period)
{
    struct timing *t = &sim->t;
    const struct ff_state *p = &sim->ff.state[0], *q = &sim->ff.state[1], *r = &sim->ff.state[2];
    t->next_edge = 0; /* found anew */
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        struct spans *s = &t->spans[u];
        for (unsigned k = 0; k < s->n; k++) {
            const unsigned at = (s->head + k) % MAX_SPANS;
            if (k || !s->open || s->s[at].from >= p->issue) /* else it was open before P, and stays so */
                s->s[at].from += n * period;
            s->s[at].to += n * period;
        }
        if (s->n && s->open && r->span_from[u] >= p->issue)
            for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
                s->at_from[c] += n * (r->stall[c] - q->stall[c]);
    }
}

static void jump(struct pl_sim *sim, uint64_t n)
{
    struct timing *t = &sim->t;
    const struct ff_state *q = &sim->ff.state[1], *r = &sim->ff.state[2];
    const uint64_t now = t->issue, period = r->issue - q->issue, by = n * period;
    move_marks(sim, n, period);
    move_counts(sim, n);
    move_spans(sim, n, period);
    stamps_later(t->gp, N_GP, now, by);
    stamps_later(t->fp, N_FP, now, by);
    stamps_later(t->shared, SHARED_COUNT, now, by);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        later(&t->free[u], now, by);
    later(&t->acc_ready, now, by);
    for (unsigned i = 0; i < sim->arch->write_out_queue; i++)
        later(&t->write_out[i], now, by);
    later(&t->last_done, now, by);
    t->issue += by;
    sim_timing_cycles(sim);
    for (unsigned i = 1; i < N_GP; i++)
        sim->gp[i] += (uint32_t)n * (r->gp[i] - q->gp[i]);
}

/* An open span that begins within the recorded passes must begin alike in each. */
static bool spans_repeat(const struct ff *f)
{
    const struct ff_state *p = &f->state[0], *q = &f->state[1], *r = &f->state[2];
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        const uint64_t a = q->span_from[u], b = r->span_from[u];
        if (b == UINT64_MAX || (b < p->issue && a == b))
            continue;
        if (b < q->issue || a == UINT64_MAX || a < p->issue || q->issue - a != r->issue - b)
            return false;
    }
    return true;
}

/* A group of passes did not repeat. The loop may still have been filling its pipelines, so the same length is tried twice;
 * longer groups may repeat where short ones do not; then the loop is left alone for a while. */
static void try_longer(struct pl_sim *sim)
{
    struct ff_hint *h = &sim->ff.hint[sim->ff.loop_pc];
    if (++h->tries < 2)
        return;
    h->tries = 0;
    if (2 * h->passes <= MOST_PASSES && 8u * h->passes < h->most) {
        h->passes *= 2;
    } else {
        h->passes = 1;
        give_up(sim, false);
    }
}

static void begin_recording(struct pl_sim *sim, uint32_t loop_pc, uint8_t reg)
{
    struct ff *f = &sim->ff;
    struct ff_hint *h = &f->hint[loop_pc];
    h->most = sim->gp[reg] > h->most ? sim->gp[reg] : h->most;
    if (h->wait) {
        h->wait--;
        return;
    }
    if (sim->gp[reg] <= 3u * h->passes)
        return;
    f->recording = true;
    f->loop_pc = loop_pc;
    f->reg = reg;
    f->depth = sim->n_loop;
    f->passes = h->passes;
    f->left = h->passes;
    f->phase = 0;
    f->n = 0;
    take_state(sim, &f->state[0]);
}

void sim_ff_back_edge(struct pl_sim *sim, uint32_t loop_pc, uint8_t reg)
{
    struct ff *f = &sim->ff;
    if (!f->recording) {
        begin_recording(sim, loop_pc, reg);
        return;
    }
    if (loop_pc != f->loop_pc || sim->n_loop != f->depth || --f->left)
        return;
    f->left = f->passes;
    take_state(sim, &f->state[++f->phase]);
    if (f->phase < 2)
        return;
    f->recording = false;
    struct judge j = {.passes = passes_ahead(sim, &f->state[1], &f->state[2])};
    if (j.passes <= 0)
        return; /* nothing ahead, or a transfer ends: no verdict on the loop */
    if (spans_repeat(f) && judge(sim, &j)) {
        jump(sim, (uint64_t)j.passes);
        f->hint[loop_pc].failures = f->hint[loop_pc].tries = 0;
    } else {
        try_longer(sim);
        begin_recording(sim, loop_pc, reg);
    }
}
