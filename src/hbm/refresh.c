/* refresh.c - the refresh of a channel: of all banks or of one after the other, never postponed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "candidate.h"

/* What the refresh of pseudo-channel pc needs next: its time and command. */
static uint64_t refresh_step(const struct pl_hbm *h, const struct hbm_channel *c, unsigned pc, enum pl_hbm_op *op)
{
    uint64_t t = max64(c->row_bus, c->now);
    const unsigned first = pc * h->per_pc, target = first + c->ref_bank[pc];
    if (h->p.refresh == PL_HBM_REFRESH_PER_BANK) {
        *op = c->open >> target & 1 ? PL_HBM_PRE : PL_HBM_REFPB;
        return max64(t, *op == PL_HBM_PRE ? c->pre_ok[target] : act_time(h, c, target));
    }
    *op = c->open & h->pc_mask[pc] ? PL_HBM_PREA : PL_HBM_REFAB;
    for (unsigned b = first; b < first + h->per_pc; b++)
        if (*op == PL_HBM_REFAB)
            raise_to(&t, c->act_ok[b]);
        else if (c->open >> b & 1)
            raise_to(&t, c->pre_ok[b]);
    return t;
}

uint64_t hbm_refresh_next(const struct pl_hbm *h, const struct hbm_channel *c, unsigned *pc, enum pl_hbm_op *op)
{
    uint64_t best = HBM_NEVER;
    for (unsigned i = 0; i < h->p.pseudo; i++) {
        enum pl_hbm_op o;
        const uint64_t t = c->ref_wait >> i & 1 ? refresh_step(h, c, i, &o) : HBM_NEVER;
        if (t < best) {
            best = t;
            *pc = i;
            *op = o;
        }
    }
    return best;
}

void hbm_refresh_issue(struct pl_hbm *h, struct hbm_channel *c, unsigned pc, enum pl_hbm_op op, uint64_t t)
{
    const unsigned first = pc * h->per_pc, target = first + c->ref_bank[pc];
    EMIT(h, c, op, op == PL_HBM_PREA || op == PL_HBM_REFAB ? first : target, t, 0);
    c->now = t;
    use_row_bus(h, c, t + 1);
    c->dirty = HBM_ALL;
    switch (op) {
    case PL_HBM_PRE:
        precharge(h, c, target, t);
        return;
    case PL_HBM_PREA:
        for (unsigned b = first; b < first + h->per_pc; b++)
            if (c->open >> b & 1)
                precharge(h, c, b, t);
        return;
    case PL_HBM_REFAB:
        for (unsigned b = first; b < first + h->per_pc; b++) {
            c->act_ok[b] = t + h->p.trfc;
            c->after_ref[b] = 1;
        }
        c->blocked &= ~h->pc_mask[pc];
        break;
    default:
        c->act_ok[target] = t + h->p.trfc_pb;
        c->after_ref[target] = 1;
        raise_to(&c->pc_act[pc], t + h->p.trrefd);
        c->ref_bank[pc] = (c->ref_bank[pc] + 1) % h->per_pc;
        c->blocked &= ~bit(target);
    }
    h->stats.refreshes++;
    c->ref_wait &= ~(1u << pc);
    c->ref_due[pc] += h->ref_every;
    c->ref_next = c->ref_due[0] < c->ref_due[1] ? c->ref_due[0] : c->ref_due[1];
}

/* With all rows closed and nothing waiting, refreshes follow each other at their interval and change nothing else, so all but the
 * last round of them up to `limit` only need counting. */
void hbm_refresh_due(struct pl_hbm *h, struct hbm_channel *c, uint64_t limit)
{
    const bool per_bank = h->p.refresh == PL_HBM_REFRESH_PER_BANK;
    const bool quiet = !c->open && !c->ref_wait && !(c->pend[0] | c->pend[1]) && !h->opt.no_closed_form && !h->opt.log;
    const uint64_t keep = per_bank ? h->per_pc + 2 : 2, ahead = limit > c->ref_next ? (limit - c->ref_next) / h->ref_every : 0;
    if (quiet && ahead > keep && c->now < c->ref_next && (h->p.pseudo == 1 || c->ref_due[0] == c->ref_due[1])) {
        for (unsigned pc = 0; pc < h->p.pseudo; pc++) {
            c->ref_due[pc] += (ahead - keep) * h->ref_every;
            c->ref_bank[pc] = (unsigned)((c->ref_bank[pc] + (per_bank ? ahead - keep : 0)) % h->per_pc);
            h->stats.refreshes += ahead - keep;
        }
        c->ref_next = c->ref_due[0];
        return;
    }
    raise_to(&c->now, c->ref_next);
    uint64_t next = HBM_NEVER;
    for (unsigned pc = 0; pc < h->p.pseudo; pc++) {
        if (c->ref_due[pc] <= c->now && !(c->ref_wait >> pc & 1)) {
            c->ref_wait |= 1u << pc;
            c->blocked |= per_bank ? bit(pc * h->per_pc + c->ref_bank[pc]) : h->pc_mask[pc];
        }
        if (!(c->ref_wait >> pc & 1) && c->ref_due[pc] < next)
            next = c->ref_due[pc];
    }
    c->ref_next = next;
    c->dirty = HBM_ALL;
}
