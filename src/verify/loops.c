/* loops.c - loops: a few passes are walked; the rest follows from them.
 *
 * A body without data-dependent integers maps the registers linearly: x' = A x + b. If two steps of P passes move them by
 * the same vector d, then A^P d = d and every further step does. Then m steps are skipped: registers and INT SRAM words
 * move by m d, addresses of the body's accesses by m times their own step, and the last P passes are walked again, so
 * that ranges are checked at both ends. What lies between is applied to the words and tiles one by one. A product of two
 * factors that both move, or loads of different values from different words, is not linear: such a loop is walked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "verify_internal.h"

enum { MOST_PERIOD = 8, MOST_HEADS = 3 * MOST_PERIOD + 1 };

struct passes {
    uint32_t loop_pc;
    uint8_t reg;
    int64_t n, done;          /* passes in all, walked or skipped */
    bool skipped;             /* the rest of them already */
    struct regs *head;        /* [MOST_HEADS] registers before the first passes, and behind the last of these */
    size_t log[MOST_HEADS + 1]; /* first event of each pass */
};

static bool same_step(struct val a, struct val b, struct val c)
{
    return val_same_shape(a, b) && val_same_shape(b, c) && c.lo - b.lo == b.lo - a.lo;
}

static bool steady_registers(const struct regs *a, const struct regs *b, const struct regs *c)
{
    if (a->gp_def != b->gp_def || b->gp_def != c->gp_def || a->fp_def != b->fp_def || b->fp_def != c->fp_def ||
        b->csr_def != c->csr_def || b->areg_def != c->areg_def || memcmp(b->acc, c->acc, sizeof b->acc) != 0 ||
        memcmp(&b->pending, &c->pending, sizeof b->pending) != 0)
        return false;
    for (unsigned i = 0; i < N_GP; i++)
        if (!same_step(a->gp[i], b->gp[i], c->gp[i]) || !same_step(a->areg[i], b->areg[i], c->areg[i]))
            return false;
    for (unsigned i = 0; i < N_CSR; i++)
        if (!same_step(a->csr[i], b->csr[i], c->csr[i]))
            return false;
    return true;
}

/* Are the words that m more steps of `by` reach all like the last one? */
static bool same_words(const struct ver *v, const struct ev *e, int64_t by, int64_t m)
{
    for (int64_t j = 1; j <= m; j++) {
        const int64_t at = e->at + j * by; /* leaves the words after a while, whatever m is */
        if (at < 0 || at >= v->arch->int_words || !v->word[at].def || memcmp(&v->word[at].v, &e->v, sizeof e->v) != 0)
            return false;
    }
    return true;
}

/* Event by event: do passes a, b, c (each one step later) do the same, moved by constant steps? */
static bool steady_events(const struct ver *v, const struct passes *p, int64_t a, int64_t b, int64_t c, int64_t m)
{
    const size_t n = p->log[c + 1] - p->log[c];
    const struct ev *x = v->ev + p->log[a], *y = v->ev + p->log[b], *z = v->ev + p->log[c];
    if (p->log[b + 1] - p->log[b] != n || p->log[a + 1] - p->log[a] != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const int64_t by = z[i].at - y[i].at;
        if (y[i].pc != z[i].pc || y[i].kind != z[i].kind || y[i].width != z[i].width || y[i].n_dim != z[i].n_dim ||
            x[i].kind != z[i].kind || y[i].at - x[i].at != by || memcmp(y[i].dim, z[i].dim, sizeof z[i].dim) != 0)
            return false;
        if (z[i].n_dim == MAX_DIMS && by)
            return false;
        if (z[i].kind == EV_MUL && y[i].v.lo != z[i].v.lo && y[i].v.hi != z[i].v.hi)
            return false;
        if (z[i].kind == EV_INT_SET && (by ? memcmp(&y[i].v, &z[i].v, sizeof z[i].v) != 0 : !same_step(x[i].v, y[i].v, z[i].v)))
            return false;
        if (z[i].kind == EV_INT_GET && by && (z[i].n_dim || !same_words(v, &z[i], by, m)))
            return false;
    }
    return true;
}

/* P passes that repeat, after `done` of them; 0: none. */
static int64_t find_period(const struct ver *v, const struct passes *p)
{
    for (int64_t period = 1; 3 * period <= p->done && period <= MOST_PERIOD; period++) {
        const int64_t m = (p->n - p->done - period) / period;
        if (m < 1)
            return 0;
        const struct regs *h = p->head + p->done;
        bool ok = steady_registers(h - 2 * period, h - period, h);
        for (int64_t k = 1; ok && k <= period; k++)
            ok = steady_events(v, p, p->done - k - 2 * period, p->done - k - period, p->done - k, m);
        if (ok)
            return period;
    }
    return 0;
}

static struct val shifted(struct val now, struct val before, int64_t m)
{
    return val_plus(now, m * (now.lo - before.lo));
}

static void skip_registers(struct ver *v, const struct regs *before, int64_t m)
{
    struct regs *r = &v->r;
    for (unsigned i = 1; i < N_GP; i++) {
        r->gp[i] = shifted(r->gp[i], before->gp[i], m);
        r->areg[i] = shifted(r->areg[i], before->areg[i], m);
        if (r->gp[i].lo < 0 || r->gp[i].hi > UINT32_MAX) /* goes round on the way */
            r->gp[i] = val_any();
    }
    for (unsigned i = 0; i < N_CSR; i++)
        r->csr[i] = shifted(r->csr[i], before->csr[i], m);
}

/* The last `period` passes again, m times, in order: those of their events that move. */
static void repeat_events(struct ver *v, const struct passes *p, int64_t period, int64_t m)
{
    const size_t first = p->log[p->done - period], n = p->log[p->done] - first;
    struct moving {
        size_t i;
        int64_t by;
    } *list = malloc((n + 1) * sizeof *list);
    size_t k = 0;
    if (!list)
        abort();
    for (int64_t c = p->done - period; c < p->done; c++)
        for (size_t i = p->log[c]; i < p->log[c + 1]; i++) {
            const int64_t by = v->ev[i].at - v->ev[p->log[c - period] + (i - p->log[c])].at;
            if (by)
                list[k++] = (struct moving){i, by};
        }
    for (int64_t j = 1; j <= m; j++)
        for (size_t i = 0; i < k && v->steps <= v->budget; i++)
            ver_apply(v, &v->ev[list[i].i], j * list[i].by);
    free(list);
}

/* What the loop around this one sees of them. */
static void note_events(struct ver *v, const struct passes *p, int64_t period, int64_t m)
{
    for (int64_t c = p->done - period; c < p->done; c++)
        for (size_t i = 0; i < p->log[c + 1] - p->log[c]; i++) {
            struct ev e = v->ev[p->log[c] + i];
            const struct ev before = v->ev[p->log[c - period] + i];
            const int64_t by = e.at - before.at;
            if (e.kind == EV_INT_SET && !by)
                v->word[e.at].v = val_plus(e.v, m * (e.v.lo - before.v.lo));
            if (!by)
                continue;
            e.at += by;
            e.dim[e.n_dim].stride = by;
            e.dim[e.n_dim++].n = (uint32_t)m;
            v->pc = e.pc;
            ver_event(v, e);
        }
}

static void skip(struct ver *v, struct passes *p)
{
    const int64_t period = find_period(v, p);
    if (!period)
        return;
    const int64_t m = (p->n - p->done - period) / period;
    const struct regs before = p->head[p->done - period];
    repeat_events(v, p, period, m);
    note_events(v, p, period, m);
    skip_registers(v, &before, m);
    p->done += m * period;
    p->skipped = true;
    v->skipped += (uint64_t)(m * period);
}

/* ---- loops whose number of passes is not known ---- */
struct outcome { /* what holds whatever the number is */
    bool any;
    struct regs r;
    struct word *word;
    uint8_t *fp_word;
    struct tile *tile;
};

static void *copy(struct ver *v, const void *from, size_t n)
{
    return memcpy(pl_alloc(v->a, n), from, n);
}

static void join_registers(struct regs *a, const struct regs *b)
{
    a->gp_def &= b->gp_def;
    a->fp_def &= b->fp_def;
    a->csr_def &= b->csr_def;
    a->areg_def &= b->areg_def;
    for (unsigned i = 0; i < N_GP; i++) {
        a->gp[i] = val_join(a->gp[i], b->gp[i]);
        a->areg[i] = val_join(a->areg[i], b->areg[i]);
    }
    for (unsigned i = 0; i < N_CSR; i++)
        a->csr[i] = val_join(a->csr[i], b->csr[i]);
    if (b->n_unfenced > a->n_unfenced) {
        memcpy(a->unfenced, b->unfenced, sizeof a->unfenced);
        a->n_unfenced = b->n_unfenced;
    }
}

static void join_outcome(struct ver *v, struct outcome *o)
{
    const struct pl_arch *a = v->arch;
    if (!o->any) {
        *o = (struct outcome){true, v->r, copy(v, v->word, a->int_words * sizeof *v->word), copy(v, v->fp_word, a->fp_words),
                              copy(v, v->tile, a->matrix_tiles * sizeof *v->tile)};
        return;
    }
    join_registers(&o->r, &v->r);
    for (uint32_t i = 0; i < a->int_words; i++) {
        o->word[i].v = val_join(o->word[i].v, v->word[i].v);
        o->word[i].def &= v->word[i].def;
    }
    for (uint32_t i = 0; i < a->fp_words; i++)
        o->fp_word[i] &= v->fp_word[i];
    for (uint32_t i = 0; i < a->matrix_tiles; i++) {
        o->tile[i].read |= v->tile[i].read;
        o->tile[i].loaded &= v->tile[i].loaded;
    }
}

static void take_outcome(struct ver *v, const struct outcome *o)
{
    const struct pl_arch *a = v->arch;
    v->r = o->r;
    memcpy(v->word, o->word, a->int_words * sizeof *v->word);
    memcpy(v->fp_word, o->fp_word, a->fp_words);
    memcpy(v->tile, o->tile, a->matrix_tiles * sizeof *v->tile);
}

/* ---- */
static enum flow walk(struct ver *v, struct passes *p, struct val count, struct outcome *o)
{
    const uint32_t end = v->match[p->loop_pc];
    enum flow f = FLOW_ON;
    for (p->done = 0; p->done < p->n && f == FLOW_ON;) {
        v->r.gp[p->reg] = VAL(p->n - p->done);
        if (p->done < MOST_HEADS && !p->skipped) {
            p->head[p->done] = v->r;
            p->log[p->done] = v->n_ev;
        }
        f = ver_range(v, p->loop_pc + 1, end);
        v->reached[end] |= f == FLOW_ON;
        v->steps++;
        p->done++;
        v->r.gp[p->reg] = VAL(p->n - p->done);
        if (f == FLOW_ON && !val_one(count) && p->done >= count.lo)
            join_outcome(v, o);
        if (f == FLOW_ON && !p->skipped && p->done >= 3 && p->done < MOST_HEADS) {
            p->head[p->done] = v->r;
            p->log[p->done] = v->n_ev;
            skip(v, p);
        }
        if (v->steps > v->budget)
            f = FLOW_STOP;
    }
    return f;
}

static enum flow loop(struct ver *v, uint32_t pc, const struct pl_insn *in)
{
    const struct val count = in->op == PL_C_LOOP_START ? VAL((int64_t)in->imm) : v->r.gp[in->rs1];
    struct outcome o = {0};
    if (v->depth == v->arch->loop_depth) {
        ver_fail(v, "more than %u nested loops", v->arch->loop_depth);
        return FLOW_STOP;
    }
    if (in->rs1 && in->op == PL_C_LOOP_REG && !(v->r.gp_def >> in->rs1 & 1))
        ver_fail(v, "gp%u is read before it is written", in->rs1);
    if (count.hi >= 1 << 22) {
        ver_fail(v, "its number of passes has no bound that can be found");
        return FLOW_STOP;
    }
    v->r.gp[in->rd] = VAL(0);
    v->r.gp_def |= (uint16_t)(1u << in->rd);
    if (count.lo == 0)
        join_outcome(v, &o);
    if (!v->head[v->depth])
        v->head[v->depth] = pl_alloc(v->a, MOST_HEADS * sizeof *v->head[0]);
    struct passes p = {.loop_pc = pc, .reg = in->rd, .n = count.hi, .head = v->head[v->depth]};
    if (!count.hi) /* not run with these parameters */
        for (uint32_t i = pc + 1; i <= v->match[pc]; i++)
            v->reached[i] |= 2;
    v->depth++;
    enum flow f = walk(v, &p, count, &o);
    v->depth--;
    if (f == FLOW_HALT) {
        v->pc = pc;
        ver_fail(v, "the program ends inside this loop");
        return f;
    }
    if (f == FLOW_ON && !val_one(count))
        take_outcome(v, &o);
    v->r.gp[in->rd] = VAL(0);
    if (!v->depth)
        v->n_ev = 0;
    return f == FLOW_EXIT ? FLOW_ON : f;
}

enum flow ver_range(struct ver *v, uint32_t pc, uint32_t end)
{
    for (; pc < end; pc++) {
        const struct pl_insn *in = &v->code[pc];
        v->pc = pc;
        v->reached[pc] = 1;
        v->steps++;
        if (in->op == PL_C_LOOP_START || in->op == PL_C_LOOP_REG) {
            const enum flow f = loop(v, pc, in);
            if (f != FLOW_ON)
                return f;
            pc = v->match[pc];
            continue;
        }
        ver_insn(v, in);
        if (v->steps > v->budget)
            return FLOW_STOP;
        if (in->op == PL_C_HALT)
            return FLOW_HALT;
        if (in->op == PL_C_EXIT)
            return FLOW_EXIT;
    }
    return FLOW_ON;
}
