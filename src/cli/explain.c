/* explain.c - where the time of a run went, and what bounds it. Every number is one of the statistics or a ratio of two. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "report.h"

enum { N_CAUSES = 5 };

/* Time is lost while the array is idle; in a program without products, while the busiest of the other units is. */
static unsigned unit_of_interest(const struct pl_sim_stats *s)
{
    unsigned best = PL_SIM_MATRIX;
    for (unsigned u = PL_SIM_MATRIX; u <= PL_SIM_SCALAR && !s->busy_cyc[PL_SIM_MATRIX]; u++)
        best = s->busy_cyc[u] > s->busy_cyc[best] ? u : best;
    return best;
}

struct lost {
    enum pl_sim_cause cause;
    unsigned unit;                 /* of those that work at all, the one idle longest for this cause */
    uint64_t cyc;                  /* idle cycles of the unit of interest */
    const char *op;                /* the operator the front end was in most of them */
    uint64_t unit_cyc, op_cyc;
};

static struct lost lost_to(const struct report_of *o, const struct op_sum *sum, size_t n, unsigned unit, unsigned c)
{
    const struct pl_sim_stats *s = o->s;
    struct lost l = {.cause = (enum pl_sim_cause)c, .cyc = s->idle_cyc[unit][c], .unit = unit, .unit_cyc = s->idle_cyc[unit][c], .op = "-"};
    for (unsigned u = PL_SIM_MATRIX; u <= PL_SIM_SCALAR; u++)
        if (s->busy_cyc[u] && s->idle_cyc[u][c] > l.unit_cyc) {
            l.unit = u;
            l.unit_cyc = s->idle_cyc[u][c];
        }
    for (size_t i = 0; i < n; i++)
        if (sum[i].st.stall_cyc[c] > l.op_cyc) {
            l.op = sum[i].name;
            l.op_cyc = sum[i].st.stall_cyc[c];
        }
    return l;
}

/* The largest causes first; returns how many there are, at most N_CAUSES. */
static size_t rank(const struct report_of *o, unsigned unit, struct lost *out)
{
    size_t n_op, n = 0;
    struct op_sum *sum = sum_ops(o->s, o->img, &n_op);
    bool taken[PL_SIM_CAUSE_COUNT] = {false};
    for (; n < N_CAUSES; n++) {
        unsigned best = PL_SIM_CAUSE_COUNT;
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
            if (!taken[c] && o->s->idle_cyc[unit][c] &&
                (best == PL_SIM_CAUSE_COUNT || o->s->idle_cyc[unit][c] > o->s->idle_cyc[unit][best]))
                best = c;
        if (best == PL_SIM_CAUSE_COUNT)
            break;
        taken[best] = true;
        out[n] = lost_to(o, sum, n_op, unit, best);
    }
    free(sum);
    return n;
}

/* What a run cannot be shorter than: the share of its cycles in which each resource works. The largest is the wall, unless
 * even it works less than half of the time: then the run waits for results, and latency is. */
enum resource { ARRAY, WRITE_OUT, VECTOR, SCALAR, HBM, ISSUE, N_RESOURCE };
static const struct {
    const char *key, *wall, *works;
} resource[N_RESOURCE] = {
    [ARRAY] = {"array", "compute", "the array is busy"},
    [WRITE_OUT] = {"write_out", "the write-out port", "the write-out port is busy"},
    [VECTOR] = {"vector", "the vector unit", "the vector unit is busy"},
    [SCALAR] = {"scalar", "the scalar unit", "the scalar unit is busy"},
    [HBM] = {"hbm", "bandwidth", "HBM moves data at its peak rate"},
    [ISSUE] = {"issue", "issue", "the front end sends an instruction"},
};

static unsigned shares(const struct report_of *o, double share[N_RESOURCE])
{
    const struct pl_sim_stats *s = o->s;
    const double cycles = (double)s->cycles;
    share[ARRAY] = ratio((double)s->busy_cyc[PL_SIM_MATRIX], cycles);
    share[WRITE_OUT] = ratio((double)s->busy_cyc[PL_SIM_WRITE_OUT], cycles);
    share[VECTOR] = ratio((double)s->busy_cyc[PL_SIM_VECTOR], cycles);
    share[SCALAR] = ratio((double)s->busy_cyc[PL_SIM_SCALAR], cycles);
    share[HBM] = ratio((double)(s->hbm_read_bytes + s->hbm_write_bytes), cycles * hbm_peak(o->arch));
    share[ISSUE] = ratio((double)s->stall_cyc[PL_SIM_ISSUE_CAUSE], cycles);
    unsigned best = 0;
    for (unsigned r = 1; r < N_RESOURCE; r++)
        best = share[r] > share[best] ? r : best;
    return share[best] < 0.5 ? N_RESOURCE : best;
}

static void put_wall(const struct report_of *o, struct pl_buf *out)
{
    double share[N_RESOURCE];
    const unsigned wall = shares(o, share);
    bool first = true;
    if (wall == N_RESOURCE) {
        const unsigned c = largest_cause(o->s->stall_cyc, PL_SIM_ISSUE_CAUSE + 1);
        pl_buf_printf(out, "The wall is latency: the front end waits in %.1f %% of all cycles, most for \"%s\" (%.1f %%), while ",
                      100 * (1 - share[ISSUE]), pl_sim_cause_name((enum pl_sim_cause)c),
                      100 * ratio((double)o->s->stall_cyc[c], (double)o->s->cycles));
    } else {
        pl_buf_printf(out, "The wall is %s: %s in %.1f %% of all cycles; ", resource[wall].wall, resource[wall].works, 100 * share[wall]);
    }
    for (unsigned r = 0; r < N_RESOURCE; r++)
        if (r != wall) {
            pl_buf_printf(out, "%s%s in %.1f %%", first ? "" : ", ", resource[r].works, 100 * share[r]);
            first = false;
        }
    pl_buf_puts(out, ".\n");
}

void explain_print(const struct report_of *o, struct pl_buf *out)
{
    struct lost l[N_CAUSES];
    struct pl_arena a;
    struct pl_table t;
    char b1[32], b2[32], b3[32];
    const unsigned unit = unit_of_interest(o->s);
    const double cycles = (double)o->s->cycles;
    const uint64_t idle = o->s->cycles - o->s->busy_cyc[unit];
    const size_t n = rank(o, unit, l);
    uint64_t rest = idle;
    pl_buf_printf(out, "Lost time: the %s unit is idle in %s of %s cycles (%.1f %%).\n\n", pl_sim_unit_name((enum pl_sim_unit)unit),
                  pl_group_digits(idle, b1), pl_group_digits(o->s->cycles, b2), 100 * ratio((double)idle, cycles));
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<cause|cycles lost|share|<unit hit most|idle|<operator hit most|cycles");
    for (size_t i = 0; i < n; i++) {
        pl_table_row(&t, "%s|%s|%.1f %%|%s|%s|%s|%s", pl_sim_cause_name(l[i].cause), pl_group_digits(l[i].cyc, b1),
                     100 * ratio((double)l[i].cyc, cycles), pl_sim_unit_name((enum pl_sim_unit)l[i].unit), pl_group_digits(l[i].unit_cyc, b2),
                     l[i].op, pl_group_digits(l[i].op_cyc, b3));
        rest -= l[i].cyc;
    }
    if (rest)
        pl_table_row(&t, "(all others)|%s|%.1f %%", pl_group_digits(rest, b1), 100 * ratio((double)rest, cycles));
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    pl_buf_puts(out, "\n");
    for (size_t i = 0; i < n; i++)
        pl_buf_printf(out, "%s: %s.\n  What would remove it: %s.\n", pl_sim_cause_name(l[i].cause), pl_sim_cause_meaning(l[i].cause),
                      pl_sim_cause_remedy(l[i].cause));
    pl_buf_puts(out, "\n");
    put_wall(o, out);
}

json_t *explain_json(const struct report_of *o)
{
    struct lost l[N_CAUSES];
    double share[N_RESOURCE];
    const unsigned unit = unit_of_interest(o->s), wall = shares(o, share);
    const size_t n = rank(o, unit, l);
    json_t *causes = json_array(), *all = json_object();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(causes, json_pack("{s:s, s:I, s:s, s:I, s:s, s:I, s:s, s:s}", "cause", pl_sim_cause_name(l[i].cause),
                                                "cycles", (json_int_t)l[i].cyc, "unit", pl_sim_unit_name((enum pl_sim_unit)l[i].unit),
                                                "unit_cycles", (json_int_t)l[i].unit_cyc, "operator", l[i].op, "operator_cycles",
                                                (json_int_t)l[i].op_cyc, "meaning", pl_sim_cause_meaning(l[i].cause), "remedy",
                                                pl_sim_cause_remedy(l[i].cause)));
    for (unsigned r = 0; r < N_RESOURCE; r++)
        json_object_set_new(all, resource[r].key, json_real(share[r]));
    return json_pack("{s:s, s:I, s:o, s:s, s:o}", "unit", pl_sim_unit_name((enum pl_sim_unit)unit), "lost_cycles",
                     (json_int_t)(o->s->cycles - o->s->busy_cyc[unit]), "causes", causes, "wall",
                     wall == N_RESOURCE ? "latency" : resource[wall].key, "shares", all);
}
