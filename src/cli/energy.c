/* energy.c - the counters of a simulation priced: joules by part, watts, tokens per joule come from the caller. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/perf_cost.h"
#include "report.h"

static struct pl_perf_energy price(const struct pl_sim_stats *s, const struct pl_arch *arch, enum pl_perf_corner c)
{
    struct pl_perf_events e;
    struct pl_perf_energy p;
#define X(name) e.name = (double)s->events.name;
    PL_PERF_EVENT_LIST(X)
#undef X
    pl_perf_energy(arch, c, &e, (double)s->cycles, &p);
    return p;
}

json_t *energy_json(const struct pl_sim_stats *s, const struct pl_arch *arch)
{
    static const char *const name[] = {[PL_PERF_SYNTHESIS] = "synthesis", [PL_PERF_PAPER] = "paper"};
    json_t *o = json_object();
    for (unsigned c = 0; c < PL_COUNT(name); c++) {
        const struct pl_perf_energy p = price(s, arch, (enum pl_perf_corner)c);
        json_object_set_new(o, name[c], json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "array", p.array, "matrix_sram",
                                                  p.matrix_sram, "vector_sram", p.vector_sram, "vector", p.vector, "scalar", p.scalar,
                                                  "front_end", p.front_end, "hbm", p.hbm, "leakage", p.leakage, "total", p.total, "watts",
                                                  p.watts));
    }
    return o;
}

void energy_table(const struct report_of *o, struct pl_buf *out)
{
    const struct pl_perf_energy p[2] = {price(o->s, o->arch, PL_PERF_SYNTHESIS), price(o->s, o->arch, PL_PERF_PAPER)};
    struct pl_arena a;
    struct pl_table t;
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<energy, microjoules|synthesis corner|share|paper corner|share");
    const struct {
        const char *name;
        double j[2];
    } row[] = {{"array", {p[0].array, p[1].array}},
               {"Matrix SRAM", {p[0].matrix_sram, p[1].matrix_sram}},
               {"Vector SRAM", {p[0].vector_sram, p[1].vector_sram}},
               {"vector unit", {p[0].vector, p[1].vector}},
               {"scalar unit", {p[0].scalar, p[1].scalar}},
               {"front end", {p[0].front_end, p[1].front_end}},
               {"HBM", {p[0].hbm, p[1].hbm}},
               {"leakage", {p[0].leakage, p[1].leakage}},
               {"total", {p[0].total, p[1].total}}};
    for (size_t i = 0; i < PL_COUNT(row); i++)
        pl_table_row(&t, "%s|%.3f|%.1f %%|%.3f|%.1f %%", row[i].name, row[i].j[0] * 1e6, 100 * ratio(row[i].j[0], p[0].total),
                     row[i].j[1] * 1e6, 100 * ratio(row[i].j[1], p[1].total));
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    pl_buf_printf(out, "mean power: %.3f W, %.3f W\n", p[0].watts, p[1].watts);
}
