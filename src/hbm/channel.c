/* channel.c - one channel: FR-FCFS over its banks, from event to event.
 *
 * Every constraint is kept as the earliest time of the next command (of a bank, of a group), so the next command is the least
 * of a few maxima (candidate.h) and nothing is polled. At one time arrivals come first, then refresh (refresh.c), then columns, then
 * rows, each oldest first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "candidate.h"

void hbm_channel_init(const struct pl_hbm *h, struct hbm_channel *c, uint16_t index)
{
    memset(c, 0, sizeof *c);
    c->index = index;
    c->col[0].t = c->col[1].t = c->act.t = c->pre.t = HBM_NEVER;
    c->dirty = HBM_ALL;
    c->in_seen = HBM_NEVER;
    for (unsigned i = 0; i < PL_COUNT(c->e); i++)
        c->e[i].next = (uint8_t)(i + 1 < PL_COUNT(c->e) ? i + 1 : HBM_NONE);
    const uint64_t first = h->ref_every + (uint64_t)h->p.refresh_stagger * (index % h->p.channels);
    for (unsigned pc = 0; pc < 2; pc++)
        c->ref_due[pc] = h->p.refresh == PL_HBM_REFRESH_NONE || pc >= h->p.pseudo ? HBM_NEVER : first;
    c->ref_next = c->ref_due[0];
}

void hbm_emit(struct pl_hbm *h, const struct hbm_channel *c, enum pl_hbm_op op, unsigned bank, uint64_t t, uint32_t row)
{
    const bool all = op == PL_HBM_PREA || op == PL_HBM_REFAB;
    const struct pl_hbm_cmd cmd = {.time = t,
                                   .channel = c->index,
                                   .op = (uint8_t)op,
                                   .pseudo = (uint8_t)(bank / h->per_pc),
                                   .bank = (uint8_t)(all ? 0 : bank % h->per_pc),
                                   .row = row};
    if (h->recording)
        hbm_memo_command(h, &cmd);
    h->opt.log(h->opt.log_ctx, &cmd);
}
/* ---- arrivals ---- */
/* Reads are served until the write queue is full enough or nothing else waits; writes until it has run low. */
static inline void choose_mode(const struct pl_hbm *h, struct hbm_channel *c)
{
    const unsigned mode = c->mode ? c->seen[1] && (c->seen[1] > h->drain_low || !c->seen[0])
                                  : c->seen[1] && (c->seen[1] >= h->drain_high || !c->seen[0]);
    if (mode != c->mode) {
        c->mode = mode;
        c->dirty = HBM_ALL;
    }
}

/* A read whose line waits in the write queue takes its data from there: as long as a row hit, but no command. */
static bool forwarded(struct pl_hbm *h, struct hbm_channel *c, unsigned i)
{
    const struct hbm_entry *e = &c->e[i];
    if (!(c->pend[1] >> e->bank & 1))
        return false;
    for (unsigned w = c->head[1][e->bank]; w != HBM_NONE; w = c->e[w].next)
        if (c->e[w].access == e->access) {
            h->stats.accesses[0]++;
            h->stats.forwarded++;
            if (h->recording)
                hbm_record_column(h, e->item, false, e->seen);
            hbm_finish(h, e->slot, e->seen + h->latency[0]);
            return true;
        }
    return false;
}

/* Entry i becomes known to the scheduler. True: it was served at once. */
static inline bool admit(struct pl_hbm *h, struct hbm_channel *c, unsigned i)
{
    struct hbm_entry *e = &c->e[i];
    const unsigned dir = e->write, b = e->bank, pc = b >= h->per_pc;
    raise_to(&c->now, e->seen);
    e->seq = c->seq++;
    if (!dir && forwarded(h, c, i)) {
        release(c, i, dir);
        return true;
    }
    bool changed = !(c->pend[dir] >> b & 1); /* what bank b is a candidate for */
    if (!changed) {
        c->e[c->tail[dir][b]].next = (uint8_t)i;
    } else {
        c->head[dir][b] = (uint8_t)i;
        c->head_seq[dir][b] = e->seq;
        c->pend[dir] |= bit(b);
    }
    c->tail[dir][b] = (uint8_t)i;
    if ((c->open & ~c->hit[dir]) >> b & 1 && c->row[b] == e->row &&
        (!h->p.hit_cap || c->passed[b] < h->p.hit_cap || c->head[dir][b] == i)) {
        c->hit[dir] |= bit(b);
        c->hit_at[dir][b] = (uint8_t)i;
        c->hit_seq[dir][b] = e->seq;
        changed = true;
    }
    if (!c->waiting[pc]++)
        c->since[pc] = e->seen;
    c->seen[dir]++;
    choose_mode(h, c);
    if (changed)
        review(h, c, b);
    return false;
}

/* The oldest arrival. */
static inline bool admit_next(struct pl_hbm *h, struct hbm_channel *c)
{
    const unsigned i = c->in[c->in_head];
    c->in_head = (c->in_head + 1) % PL_COUNT(c->in);
    c->in_seen = --c->in_count ? c->e[c->in[c->in_head]].seen : HBM_NEVER;
    return admit(h, c, i);
}

/* One that need not wait for anything to happen before is admitted at once. */
void hbm_channel_push(struct pl_hbm *h, struct hbm_channel *c, uint64_t loc, uint64_t access, uint32_t slot, bool write,
                      uint64_t seen)
{
    const uint8_t i = c->free_head;
    struct hbm_entry *e = &c->e[i];
    c->free_head = e->next;
    *e = (struct hbm_entry){.seen = seen,
                            .access = access,
                            .row = (uint32_t)loc,
                            .slot = slot,
                            .item = h->next_item++,
                            .bank = (uint8_t)(loc >> 32),
                            .next = HBM_NONE,
                            .write = write};
    c->used[write]++;
    if (h->next_at[c->index] > seen)
        h->next_at[c->index] = seen;
    if (seen <= c->now && !c->in_count) {
        (void)admit(h, c, i);
        return;
    }
    if (!c->in_count)
        c->in_seen = seen;
    c->in[(c->in_head + c->in_count++) % PL_COUNT(c->in)] = i;
}

/* ---- commands ---- */
static void do_pre(struct pl_hbm *h, struct hbm_channel *c, unsigned b, uint64_t t)
{
    EMIT(h, c, PL_HBM_PRE, b, t, 0);
    precharge(h, c, b, t);
    if (c->pend[c->mode] >> b & 1)
        c->kind[b] = KIND_CONFLICT;
    use_row_bus(h, c, t + 1);
    if (c->col[b >= h->per_pc].bank == b)
        c->dirty |= HBM_COL << (b >= h->per_pc);
    review(h, c, b);
}

static void do_act(struct pl_hbm *h, struct hbm_channel *c, unsigned b, uint64_t t)
{
    const unsigned pc = b >= h->per_pc, g = b >> h->group_shift;
    c->row[b] = c->e[c->head[c->mode][b]].row;
    EMIT(h, c, PL_HBM_ACT, b, t, c->row[b]);
    c->why[b] = PL_HBM_LOSS_ROW;
    if (c->after_ref[b])
        c->why[b] = PL_HBM_LOSS_REFRESH;
    else if (t > c->act_ok[b] && (t == c->grp_act[g] || t == c->pc_act[pc]))
        c->why[b] = PL_HBM_LOSS_ACT;
    c->after_ref[b] = 0;
    c->open |= bit(b);
    c->col_ok[0][b] = t + h->p.trcd_rd;
    c->col_ok[1][b] = t + h->p.trcd_wr;
    c->pre_ok[b] = t + h->p.tras;
    c->act_ok[b] = t + h->p.trc;
    c->faw[pc][c->faw_at[pc]] = t + h->p.tfaw;
    c->faw_at[pc] = (c->faw_at[pc] + 1) % 4;
    raise_to(&c->pc_act[pc], max64(t + h->p.trrd_s, c->faw[pc][c->faw_at[pc]]));
    raise_to(&c->grp_act[g], t + h->p.trrd_l);
    c->passed[b] = 0;
    for (unsigned dir = 0; dir < 2; dir++)
        if (c->pend[dir] >> b & 1)
            find_hit(c, dir, b, c->head[dir][b]);
    if (c->kind[b] == KIND_HIT)
        c->kind[b] = KIND_MISS;
    h->stats.activates++;
    use_row_bus(h, c, t + h->p.act_cyc);
    c->dirty |= HBM_ACT;
    review(h, c, b);
}

/* Why the pins of pseudo-channel pc were free before a column command at t. */
static void account(struct pl_hbm *h, struct hbm_channel *c, unsigned b, unsigned pc, unsigned dir, uint64_t t)
{
    uint64_t from = c->pins_free[pc];
    if (c->since[pc] > from) {
        const uint64_t idle_end = c->since[pc] < t ? c->since[pc] : t;
        h->stats.lost_cyc[PL_HBM_LOSS_IDLE] += idle_end - from;
        from = idle_end;
    }
    enum pl_hbm_loss l = c->last_dir[pc] != dir ? PL_HBM_LOSS_TURN : PL_HBM_LOSS_BUS;
    if (t == c->col_ok[dir][b])
        l = (enum pl_hbm_loss)c->why[b];
    else if (t == c->grp_col[dir][b >> h->group_shift] && c->last_dir[pc] == dir)
        l = PL_HBM_LOSS_CCD;
    h->stats.lost_cyc[l] += t - from;
}

static inline void do_col(struct pl_hbm *h, struct hbm_channel *c, unsigned b, uint64_t t)
{
    const unsigned dir = c->mode, pc = b >= h->per_pc, g = b >> h->group_shift, i = c->hit_at[dir][b];
    const uint32_t slot = c->e[i].slot, item = c->e[i].item;
    EMIT(h, c, dir ? PL_HBM_WR : PL_HBM_RD, b, t, c->row[b]);
    if (t > c->pins_free[pc])
        account(h, c, b, pc, dir, t);
    c->pins_free[pc] = t + h->p.burst;
    c->last_dir[pc] = dir;
    c->busy += h->p.burst;
    h->stats.accesses[dir]++;
    *(c->kind[b] == KIND_HIT ? &h->stats.hit : c->kind[b] == KIND_MISS ? &h->stats.miss : &h->stats.conflict) += 1;
    c->kind[b] = KIND_HIT;
    take_hit(h, c, dir, b, i);
    release(c, i, dir);
    c->seen[dir]--;
    c->waiting[pc]--;
    raise_to(&c->pc_col[0][pc], t + h->col_s[dir][0]);
    raise_to(&c->pc_col[1][pc], t + h->col_s[dir][1]);
    raise_to(&c->grp_col[0][g], t + h->col_l[dir][0]);
    raise_to(&c->grp_col[1][g], t + h->col_l[dir][1]);
    raise_to(&c->pre_ok[b], t + h->to_pre[dir]);
    c->col_bus = t + 1;
    c->dirty |= (HBM_COL << pc) | (c->col[pc ^ 1].t <= t ? HBM_COL << (pc ^ 1) : 0);
    if (h->p.cmd_buses == 1)
        use_row_bus(h, c, t + 1);
    choose_mode(h, c);
    if (!(c->hit[dir] >> b & 1))
        review(h, c, b);
    if (h->recording)
        hbm_record_column(h, item, dir, t);
    hbm_finish(h, slot, t + h->latency[dir]);
}

/* An entry was freed at t, which the front end waits for. */
static inline bool stop_at(struct pl_hbm *h, struct hbm_channel *c, uint64_t t)
{
    c->freed = t;
    h->next_at[c->index] = t;
    return true;
}

bool hbm_channel_run(struct pl_hbm *h, struct hbm_channel *c, uint64_t until, int stop)
{
    uint64_t *next_at = &h->next_at[c->index];
    for (;;) {
        if (c->in_seen <= c->now) { /* first at any time */
            if (admit_next(h, c) && stop == 0)
                return stop_at(h, c, c->now);
            continue;
        }
        find_candidates(h, c);
        const bool act_first = sooner(c->act.t, c->act.seq, &c->pre);
        const struct hbm_best *col = &c->col[c->col[1].t < c->col[0].t || (c->col[1].t == c->col[0].t && c->col[1].seq < c->col[0].seq)];
        const uint64_t row_t = c->act.t < c->pre.t ? c->act.t : c->pre.t, te = col->t < row_t ? col->t : row_t;
        const uint64_t ti = c->in_seen;
        unsigned pc = 0;
        enum pl_hbm_op op = PL_HBM_REFAB;
        const uint64_t tr = c->ref_wait ? hbm_refresh_next(h, c, &pc, &op) : HBM_NEVER, first = ti < te ? ti : te;
        if (c->ref_next <= first && c->ref_next <= tr) {
            if (c->ref_next > until) {
                *next_at = c->used[0] + c->used[1] ? c->ref_next : HBM_NEVER;
                return false;
            }
            hbm_refresh_due(h, c, until < ti ? until : ti);
            continue;
        }
        const uint64_t t = tr < first ? tr : first;
        if (t > until) {
            *next_at = c->used[0] + c->used[1] || c->ref_wait ? t : HBM_NEVER;
            return false;
        }
        if (ti == t) {
            if (admit_next(h, c) && stop == 0)
                return stop_at(h, c, t);
            continue;
        }
        if (tr == t) {
            hbm_refresh_issue(h, c, pc, op, t);
            continue;
        }
        c->now = t;
        if (col->t == t) {
            const int dir = (int)c->mode;
            do_col(h, c, col->bank, t);
            if (dir == stop)
                return stop_at(h, c, t);
        } else if (act_first) {
            do_act(h, c, c->act.bank, t);
        } else {
            do_pre(h, c, c->pre.bank, t);
        }
    }
}
