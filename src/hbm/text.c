/* text.c - names of commands and losses; what binds a run, for people. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "plena/hbm.h"

const char *pl_hbm_op_name(enum pl_hbm_op op)
{
    static const char *const name[] = {"ACT", "PRE", "PREA", "RD", "WR", "REFab", "REFpb"};
    return (unsigned)op < PL_COUNT(name) ? name[op] : "?";
}

const char *pl_hbm_loss_name(enum pl_hbm_loss l)
{
    static const char *const name[] = {
#define X(id, text, doc) text,
        PL_HBM_LOSS_LIST(X)
#undef X
    };
    return (unsigned)l < PL_COUNT(name) ? name[l] : "?";
}

const char *pl_hbm_binding(const struct pl_hbm_params *p, const struct pl_hbm_stats *s, char out[96])
{
    static const char *const doc[] = {
#define X(id, text, d) text ": " d,
        PL_HBM_LOSS_LIST(X)
#undef X
    };
    const uint64_t pins = s->end_cyc * p->stacks * p->channels * p->pseudo;
    if (!s->span_cyc || !pins) {
        snprintf(out, 96, "nothing: no accesses");
        return out;
    }
    /* what is missing from the span at its ends counts as idle */
    const uint64_t idle = s->lost_cyc[PL_HBM_LOSS_IDLE] + (pins > s->span_cyc ? pins - s->span_cyc : 0);
    unsigned worst = PL_HBM_LOSS_REFRESH;
    for (unsigned l = worst; l < PL_HBM_LOSSES; l++)
        worst = s->lost_cyc[l] > s->lost_cyc[worst] ? l : worst;
    if (idle > s->lost_cyc[worst] && idle > pins / 20)
        snprintf(out, 96, "%s", s->blocked_cyc > s->end_cyc / 2 ? "mapping: accesses wait for few channels while others idle"
                                                                : "injection: fewer accesses arrive than the pins can carry");
    else if (s->lost_cyc[worst])
        snprintf(out, 96, "%s", doc[worst]);
    else
        snprintf(out, 96, "pins: the data bus never rests");
    return out;
}
