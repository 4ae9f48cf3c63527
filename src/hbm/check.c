/* check.c - replays HBM commands against a table of rules. Shares nothing with the model but the parameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "plena/hbm.h"

enum { HISTORY = 4, MAX_BANKS = 64 };

struct last { /* the last times of each command in a scope, newest first; 0 = never, else time + 1 */
    uint64_t at[PL_HBM_OPS][HISTORY];
};
struct state {
    struct last bank[MAX_BANKS], group[16], pseudo[2];
    uint64_t bus_free[2]; /* row or shared, column */
    uint64_t now, open, ref_at[2], ref_bank_at[MAX_BANKS];
    uint32_t row[MAX_BANKS];
};
struct pl_hbm_checker {
    struct pl_hbm_params p;
    struct pl_hbm_rule rule[PL_HBM_RULES];
    size_t n_rule;
    uint64_t n_cmd;
    enum pl_status first;
    struct pl_diag why;
    struct state *ch;
};

/* The table, with the distances of the parameters filled in. */
static void build(struct pl_hbm_checker *c)
{
    const struct pl_hbm_params *p = &c->p;
    const uint32_t w = p->tcwl + p->burst, ccd_s = p->tccd_s > p->burst ? p->tccd_s : p->burst,
                   ccd_l = p->tccd_l > p->burst ? p->tccd_l : p->burst;
    const uint32_t rtp = p->bank_groups > 1 ? p->trtp_l : p->trtp_s;
    /* clang-format off */
    const struct pl_hbm_rule table[] = {
        {"tRCD read", PL_HBM_ACT, PL_HBM_RD, PL_HBM_SAME_BANK, p->trcd_rd, 1},
        {"tRCD write", PL_HBM_ACT, PL_HBM_WR, PL_HBM_SAME_BANK, p->trcd_wr, 1},
        {"tRAS", PL_HBM_ACT, PL_HBM_PRE, PL_HBM_SAME_BANK, p->tras, 1},
        {"tRAS all", PL_HBM_ACT, PL_HBM_PREA, PL_HBM_SAME_PSEUDO, p->tras, 1},
        {"tRC", PL_HBM_ACT, PL_HBM_ACT, PL_HBM_SAME_BANK, p->trc, 1},
        {"tRC to REFpb", PL_HBM_ACT, PL_HBM_REFPB, PL_HBM_SAME_BANK, p->trc, 1},
        {"tRC to REFab", PL_HBM_ACT, PL_HBM_REFAB, PL_HBM_SAME_PSEUDO, p->trc, 1},
        {"tRP", PL_HBM_PRE, PL_HBM_ACT, PL_HBM_SAME_BANK, p->trp, 1},
        {"tRP all", PL_HBM_PREA, PL_HBM_ACT, PL_HBM_SAME_PSEUDO, p->trp, 1},
        {"tRP to REFpb", PL_HBM_PRE, PL_HBM_REFPB, PL_HBM_SAME_BANK, p->trp, 1},
        {"tRP to REFab", PL_HBM_PRE, PL_HBM_REFAB, PL_HBM_SAME_PSEUDO, p->trp, 1},
        {"tRP all to REFab", PL_HBM_PREA, PL_HBM_REFAB, PL_HBM_SAME_PSEUDO, p->trp, 1},
        {"tRRD_S", PL_HBM_ACT, PL_HBM_ACT, PL_HBM_SAME_PSEUDO, p->trrd_s, 1},
        {"tRRD_L", PL_HBM_ACT, PL_HBM_ACT, PL_HBM_SAME_GROUP, p->trrd_l, 1},
        {"tRRD_S to REFpb", PL_HBM_ACT, PL_HBM_REFPB, PL_HBM_SAME_PSEUDO, p->trrd_s, 1},
        {"tFAW", PL_HBM_ACT, PL_HBM_ACT, PL_HBM_SAME_PSEUDO, p->tfaw, 4},
        {"tCCD_S read", PL_HBM_RD, PL_HBM_RD, PL_HBM_SAME_PSEUDO, ccd_s, 1},
        {"tCCD_L read", PL_HBM_RD, PL_HBM_RD, PL_HBM_SAME_GROUP, ccd_l, 1},
        {"tCCD_S write", PL_HBM_WR, PL_HBM_WR, PL_HBM_SAME_PSEUDO, ccd_s, 1},
        {"tCCD_L write", PL_HBM_WR, PL_HBM_WR, PL_HBM_SAME_GROUP, ccd_l, 1},
        {"tRTW", PL_HBM_RD, PL_HBM_WR, PL_HBM_SAME_PSEUDO, p->trtw, 1},
        {"tWTR_S", PL_HBM_WR, PL_HBM_RD, PL_HBM_SAME_PSEUDO, w + p->twtr_s, 1},
        {"tWTR_L", PL_HBM_WR, PL_HBM_RD, PL_HBM_SAME_GROUP, w + p->twtr_l, 1},
        {"tWR", PL_HBM_WR, PL_HBM_PRE, PL_HBM_SAME_BANK, w + p->twr, 1},
        {"tWR all", PL_HBM_WR, PL_HBM_PREA, PL_HBM_SAME_PSEUDO, w + p->twr, 1},
        {"tRTP", PL_HBM_RD, PL_HBM_PRE, PL_HBM_SAME_BANK, rtp, 1},
        {"tRTP all", PL_HBM_RD, PL_HBM_PREA, PL_HBM_SAME_PSEUDO, rtp, 1},
        {"tRFC to ACT", PL_HBM_REFAB, PL_HBM_ACT, PL_HBM_SAME_PSEUDO, p->trfc, 1},
        {"tRFC to REFab", PL_HBM_REFAB, PL_HBM_REFAB, PL_HBM_SAME_PSEUDO, p->trfc, 1},
        {"tRFCpb to ACT", PL_HBM_REFPB, PL_HBM_ACT, PL_HBM_SAME_BANK, p->trfc_pb, 1},
        {"tRFCpb to REFpb", PL_HBM_REFPB, PL_HBM_REFPB, PL_HBM_SAME_BANK, p->trfc_pb, 1},
        {"tRREFD to ACT", PL_HBM_REFPB, PL_HBM_ACT, PL_HBM_SAME_PSEUDO, p->trrefd, 1},
        {"tRREFD to REFpb", PL_HBM_REFPB, PL_HBM_REFPB, PL_HBM_SAME_PSEUDO, p->trrefd, 1},
    };
    /* clang-format on */
    memcpy(c->rule, table, sizeof table);
    c->n_rule = PL_COUNT(table);
}

enum pl_status pl_hbm_checker_new(const struct pl_hbm_params *p, struct pl_hbm_checker **out, struct pl_diag *d)
{
    PL_TRY(pl_hbm_check_params(p, d));
    struct pl_hbm_checker *c = calloc(1, sizeof *c);
    if (c)
        c->ch = calloc((size_t)p->stacks * p->channels, sizeof *c->ch);
    if (!c || !c->ch) {
        free(c);
        return pl_fail(d, PL_ENOMEM, "no memory for the HBM checker");
    }
    c->p = *p;
    build(c);
    *out = c;
    return PL_OK;
}

void pl_hbm_checker_free(struct pl_hbm_checker *c)
{
    if (c)
        free(c->ch);
    free(c);
}

size_t pl_hbm_checker_rules(const struct pl_hbm_checker *c, const struct pl_hbm_rule **out)
{
    *out = c->rule;
    return c->n_rule;
}

/* Where the history of a rule's `from` lies for a command. */
static const struct last *scope_of(const struct state *s, enum pl_hbm_scope scope, unsigned pseudo, unsigned group,
                                   unsigned bank)
{
    switch (scope) {
    case PL_HBM_SAME_BANK:
        return &s->bank[bank];
    case PL_HBM_SAME_GROUP:
        return &s->group[group];
    default:
        return &s->pseudo[pseudo];
    }
}

static void remember(struct last *l, enum pl_hbm_op op, uint64_t t)
{
    memmove(&l->at[op][1], &l->at[op][0], sizeof l->at[op] - sizeof l->at[op][0]);
    l->at[op][0] = t + 1;
}

/* One command a clock on each bus; ACT takes act_cyc. */
static uint64_t use_bus(const struct pl_hbm_params *p, struct state *s, const struct pl_hbm_cmd *m)
{
    const unsigned bus = p->cmd_buses == 2 && (m->op == PL_HBM_RD || m->op == PL_HBM_WR);
    const bool taken = m->time < s->bus_free[bus];
    s->bus_free[bus] = m->time + (m->op == PL_HBM_ACT ? p->act_cyc : 1);
    return (uint64_t)taken << PL_HBM_STATE_BUS;
}

/* State rules, as bits; then the new state. */
static uint64_t step_state(const struct pl_hbm_checker *c, struct state *s, const struct pl_hbm_cmd *m, unsigned bank,
                           uint64_t pc_banks)
{
    const struct pl_hbm_params *p = &c->p;
    const uint64_t me = (uint64_t)1 << bank;
    uint64_t bad = 0;
    switch ((enum pl_hbm_op)m->op) {
    case PL_HBM_ACT:
        bad = (uint64_t)(s->open & me ? 1 : 0) << PL_HBM_STATE_ACT_OPEN;
        s->open |= me;
        s->row[bank] = m->row;
        break;
    case PL_HBM_RD:
    case PL_HBM_WR:
        bad = (uint64_t)(!(s->open & me) || s->row[bank] != m->row) << PL_HBM_STATE_COLUMN_CLOSED;
        break;
    case PL_HBM_PRE:
        bad = (uint64_t)(s->open & me ? 0 : 1) << PL_HBM_STATE_PRE_CLOSED;
        s->open &= ~me;
        break;
    case PL_HBM_PREA:
        s->open &= ~pc_banks;
        break;
    case PL_HBM_REFAB:
        bad = (uint64_t)(s->open & pc_banks ? 1 : 0) << PL_HBM_STATE_REF_OPEN;
        bad |= (uint64_t)(m->time - s->ref_at[m->pseudo] > 9 * (uint64_t)p->trefi + p->refresh_stagger * (uint64_t)p->channels)
               << PL_HBM_STATE_REF_LATE;
        s->ref_at[m->pseudo] = m->time;
        break;
    default:
        bad = (uint64_t)(s->open & me ? 1 : 0) << PL_HBM_STATE_REF_OPEN;
        bad |= (uint64_t)(m->time - s->ref_bank_at[bank] >
                          9 * (uint64_t)p->trefi_pb * p->bank_groups * p->banks + p->refresh_stagger * (uint64_t)p->channels)
               << PL_HBM_STATE_REF_LATE;
        s->ref_bank_at[bank] = m->time;
    }
    return bad;
}

static enum pl_status tell(const struct pl_hbm_checker *c, const struct pl_hbm_cmd *m, uint64_t bad, struct pl_diag *d)
{
    static const char *const state[] = {
#define X(name, doc) doc,
        PL_HBM_STATE_LIST(X)
#undef X
    };
    const unsigned i = (unsigned)__builtin_ctzll(bad);
    const char *op = pl_hbm_op_name((enum pl_hbm_op)m->op);
    if (i >= c->n_rule)
        return pl_fail(d, PL_EDIFF, "%s of channel %u, pseudo-channel %u, bank %u at %llu breaks a rule: %s", op, m->channel,
                       m->pseudo, m->bank, (unsigned long long)m->time, state[i - c->n_rule]);
    return pl_fail(d, PL_EDIFF, "%s of channel %u, pseudo-channel %u, bank %u at %llu breaks %s: at least %u tCK after %s", op,
                   m->channel, m->pseudo, m->bank, (unsigned long long)m->time, c->rule[i].name, c->rule[i].distance,
                   pl_hbm_op_name(c->rule[i].from));
}

enum pl_status pl_hbm_checker_cmd(struct pl_hbm_checker *c, const struct pl_hbm_cmd *m, uint64_t *broken, struct pl_diag *d)
{
    const struct pl_hbm_params *p = &c->p;
    const unsigned per_pc = p->bank_groups * p->banks;
    uint64_t bad = 0;
    c->n_cmd++;
    if (m->channel >= p->stacks * p->channels || m->pseudo >= p->pseudo || m->bank >= per_pc || m->row >= p->rows ||
        m->op >= PL_HBM_OPS) {
        bad = (uint64_t)1 << (c->n_rule + PL_HBM_STATE_PLACE);
    } else {
        struct state *s = &c->ch[m->channel];
        const unsigned bank = m->pseudo * per_pc + m->bank, group = bank / p->banks;
        const bool all = m->op == PL_HBM_PREA || m->op == PL_HBM_REFAB;
        const uint64_t pc_banks = (((uint64_t)1 << per_pc) - 1) << (m->pseudo * per_pc);
        bad = (uint64_t)(m->time < s->now) << (c->n_rule + PL_HBM_STATE_ORDER);
        for (size_t i = 0; i < c->n_rule; i++) {
            const struct pl_hbm_rule *r = &c->rule[i];
            if (r->to != (enum pl_hbm_op)m->op)
                continue;
            const uint64_t at = scope_of(s, r->scope, m->pseudo, group, bank)->at[r->from][r->nth - 1];
            if (at && m->time < at - 1 + r->distance)
                bad |= (uint64_t)1 << i;
        }
        bad |= (step_state(c, s, m, bank, pc_banks) | use_bus(p, s, m)) << c->n_rule;
        if (!all) {
            remember(&s->bank[bank], (enum pl_hbm_op)m->op, m->time);
            remember(&s->group[group], (enum pl_hbm_op)m->op, m->time);
        }
        remember(&s->pseudo[m->pseudo], (enum pl_hbm_op)m->op, m->time);
        s->now = m->time;
    }
    if (broken)
        *broken = bad;
    return bad ? tell(c, m, bad, d) : PL_OK;
}

void pl_hbm_checker_log(void *ctx, const struct pl_hbm_cmd *cmd)
{
    struct pl_hbm_checker *c = ctx;
    struct pl_diag d;
    const enum pl_status s = pl_hbm_checker_cmd(c, cmd, NULL, &d);
    if (s != PL_OK && c->first == PL_OK) {
        c->first = s;
        c->why = d;
    }
}

enum pl_status pl_hbm_checker_result(const struct pl_hbm_checker *c, uint64_t *n_commands, struct pl_diag *d)
{
    if (n_commands)
        *n_commands = c->n_cmd;
    if (c->first != PL_OK && d)
        *d = c->why;
    return c->first;
}
