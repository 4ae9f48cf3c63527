/* stats.c - simulation statistics as JSON and as tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "plena/hbm.h"
#include "report.h"

static void add_op(struct pl_sim_op_stats *to, const struct pl_sim_op_stats *from)
{
    to->insns += from->insns;
    to->cycles += from->cycles;
    to->hbm_bytes += from->hbm_bytes;
    to->macs += from->macs;
    to->data_macs += from->data_macs;
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        to->busy_cyc[u] += from->busy_cyc[u];
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
        to->stall_cyc[c] += from->stall_cyc[c];
}

struct op_sum *sum_ops(const struct pl_sim_stats *s, const struct pl_image *img, size_t *n_out)
{
    struct op_sum *sum = calloc(s->n_op, sizeof *sum);
    if (!sum)
        abort();
    size_t n = 0;
    for (size_t i = 0; i < s->n_op; i++) {
        const char *name = op_name(img, i);
        size_t k = 0;
        while (k < n && strcmp(sum[k].name, name) != 0)
            k++;
        if (k == n)
            sum[n++] = (struct op_sum){.name = name};
        add_op(&sum[k].st, &s->op[i]);
    }
    *n_out = n;
    return sum;
}

double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

double hbm_peak(const struct pl_arch *a)
{
    struct pl_hbm_params p;
    if (!strcmp(a->hbm_model, "simple") || pl_hbm_preset(a->hbm_model, &p, NULL) != PL_OK)
        return a->hbm_bandwidth;
    p.stacks = a->hbm_stacks;
    return pl_hbm_peak_gbs(&p) * 1e9 / a->clock_hz;
}

/* Multiply-accumulates the array could have made: BLEN x MLEN multipliers for BLEN rows... per cycle blen*mlen. */
static double array_use(const struct pl_sim_stats *s, const struct pl_arch *a)
{
    return ratio((double)s->macs, (double)s->cycles * a->mlen * a->blen);
}

/* {"issue": n, ...} of the causes that occur. */
static json_t *causes_json(const uint64_t *cyc)
{
    json_t *o = json_object();
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
        if (cyc[c])
            json_object_set_new(o, pl_sim_cause_name(c), json_integer((json_int_t)cyc[c]));
    return o;
}

static json_t *units_json(const struct pl_sim_stats *s)
{
    json_t *units = json_object();
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        json_object_set_new(units, pl_sim_unit_name(u), json_pack("{s:I, s:o}", "busy", (json_int_t)s->busy_cyc[u], "idle",
                                                                  causes_json(s->idle_cyc[u])));
    return units;
}

static json_t *events_json(const struct pl_sim_stats *s)
{
    const struct pl_sim_events *e = &s->events;
    json_t *o = json_object(), *formats = json_array();
#define EVENT(name) json_object_set_new(o, #name, json_integer((json_int_t)e->name))
    EVENT(macs), EVENT(tree_adds), EVENT(quantised_elements), EVENT(matrix_read_bits), EVENT(matrix_write_bits);
    EVENT(vector_read_bits), EVENT(vector_write_bits), EVENT(scalar_sram_bits), EVENT(vector_add_lanes), EVENT(vector_mul_lanes);
    EVENT(vector_exp_lanes), EVENT(vector_reci_lanes), EVENT(vector_move_lanes), EVENT(vector_reduce_lanes), EVENT(scalar_fp);
    EVENT(scalar_special), EVENT(scalar_int), EVENT(issued), EVENT(hbm_read_bits), EVENT(hbm_write_bits);
    EVENT(hbm_activates), EVENT(hbm_refreshes);
#undef EVENT
    for (size_t k = 0; k < s->n_use; k++) {
        char name[48];
        pl_format_name(&s->use[k].format, name);
        json_array_append_new(formats, json_pack("{s:s, s:I, s:I, s:I, s:I}", "right_format", name, "matrix", (json_int_t)s->use[k].matrix,
                                                 "vector", (json_int_t)s->use[k].vector, "batched", (json_int_t)s->use[k].batched,
                                                 "batched_vector", (json_int_t)s->use[k].batched_vector));
    }
    json_object_set_new(o, "products_by_format", formats);
    return o;
}

static json_t *operators_json(const struct op_sum *sum, size_t n, const struct pl_arch *arch)
{
    json_t *ops = json_array();
    for (size_t i = 0; i < n; i++) {
        if (!sum[i].st.insns && !sum[i].st.cycles)
            continue;
        json_t *busy = json_object();
        for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
            if (sum[i].st.busy_cyc[u])
                json_object_set_new(busy, pl_sim_unit_name(u), json_integer((json_int_t)sum[i].st.busy_cyc[u]));
        json_array_append_new(ops, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "name", sum[i].name, "cycles",
                                             (json_int_t)sum[i].st.cycles, "instructions", (json_int_t)sum[i].st.insns, "hbm_bytes",
                                             (json_int_t)sum[i].st.hbm_bytes, "macs", (json_int_t)sum[i].st.macs, "data_macs",
                                             (json_int_t)sum[i].st.data_macs, "busy_cycles", busy, "stall_cycles",
                                             causes_json(sum[i].st.stall_cyc), "roofline",
                                             roof_json(roof_of(sum[i].st.data_macs, sum[i].st.hbm_bytes, sum[i].st.cycles, arch))));
    }
    return ops;
}

json_t *stats_json(const struct pl_sim_stats *s, const struct pl_image *img, const struct pl_arch *arch, uint64_t n_hot)
{
    const struct report_of of = {"", s, img, arch};
    size_t n;
    struct op_sum *sum = sum_ops(s, img, &n);
    json_t *insns = json_object(), *layers = json_array();
    for (unsigned op = 0; op < PL_OP_COUNT; op++)
        if (s->insns_by_op[op])
            json_object_set_new(insns, pl_isa_info(op)->name, json_integer((json_int_t)s->insns_by_op[op]));
    for (size_t l = 0; l < s->n_layer; l++)
        json_array_append_new(layers, json_pack("{s:I, s:I, s:I}", "cycles", (json_int_t)s->layer[l].cycles, "instructions",
                                                (json_int_t)s->layer[l].insns, "hbm_bytes", (json_int_t)s->layer[l].hbm_bytes));
    json_t *o = json_pack("{s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "cycles", (json_int_t)s->cycles, "seconds",
                          (double)s->cycles / arch->clock_hz, "instructions", (json_int_t)s->insns, "fast_forwarded",
                          (json_int_t)s->fast_forwarded, "hbm_read_bytes", (json_int_t)s->hbm_read_bytes, "hbm_write_bytes",
                          (json_int_t)s->hbm_write_bytes, "macs", (json_int_t)s->macs, "array_utilisation", array_use(s, arch),
                          "hbm_bandwidth_utilisation",
                          ratio((double)(s->hbm_read_bytes + s->hbm_write_bytes), (double)s->cycles * hbm_peak(arch)));
    json_object_set_new(o, "front_end", causes_json(s->stall_cyc));
    json_object_set_new(o, "units", units_json(s));
    json_object_set_new(o, "operators", operators_json(sum, n, arch));
    json_object_set_new(o, "layers", layers);
    json_object_set_new(o, "hot", hot_json(&of, n_hot ? n_hot : HOT_DEFAULT));
    json_object_set_new(o, "explain", explain_json(&of));
    json_object_set_new(o, "events", events_json(s));
    json_object_set_new(o, "energy_j", energy_json(s, arch));
    json_object_set_new(o, "instructions_by_name", insns);
    json_object_set_new(o, "sticky_nan", json_boolean(s->sticky_nan));
    free(sum);
    return o;
}

void stats_print(const struct pl_sim_stats *s, const struct pl_image *img, const struct pl_arch *arch, struct pl_buf *out)
{
    struct pl_arena a;
    struct pl_table t;
    char b1[32], b2[32], b3[32];
    size_t n;
    struct op_sum *sum = sum_ops(s, img, &n);
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<unit|busy cycles|share|<mostly idle for|share");
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        const unsigned c = largest_cause(s->idle_cyc[u], 0);
        pl_table_row(&t, "%s|%s|%.1f %%|%s|%.1f %%", pl_sim_unit_name(u), pl_group_digits(s->busy_cyc[u], b1),
                     100 * ratio((double)s->busy_cyc[u], (double)s->cycles), pl_sim_cause_name(c),
                     100 * ratio((double)s->idle_cyc[u][c], (double)s->cycles));
    }
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_buf_puts(out, "\n");
    pl_table_init(&t, &a, "<operator|cycles|share|instructions|HBM bytes");
    for (size_t i = 0; i < n; i++)
        if (sum[i].st.insns || sum[i].st.cycles)
            pl_table_row(&t, "%s|%s|%.1f %%|%s|%s", sum[i].name, pl_group_digits(sum[i].st.cycles, b1),
                         100 * ratio((double)sum[i].st.cycles, (double)s->cycles), pl_group_digits(sum[i].st.insns, b2),
                         pl_group_digits(sum[i].st.hbm_bytes, b3));
    pl_table_row(&t, "total|%s|100.0 %%|%s|%s", pl_group_digits(s->cycles, b1), pl_group_digits(s->insns, b2),
                 pl_group_digits(s->hbm_read_bytes + s->hbm_write_bytes, b3));
    pl_table_text(&t, out);
    pl_table_fini(&t);
    const double bytes = (double)(s->hbm_read_bytes + s->hbm_write_bytes);
    pl_buf_printf(out, "\nHBM: %s bytes read, %s written; %.1f bytes a cycle, %.1f %% of the peak\n",
                  pl_group_digits(s->hbm_read_bytes, b1), pl_group_digits(s->hbm_write_bytes, b2), ratio(bytes, (double)s->cycles),
                  100 * ratio(bytes, (double)s->cycles * hbm_peak(arch)));
    pl_buf_printf(out, "array: %s multiply-accumulates, %.1f %% of %u x %u every cycle\n", pl_group_digits(s->macs, b1),
                  100 * array_use(s, arch), arch->blen, arch->mlen);
    if (s->sticky_nan)
        pl_buf_puts(out, "warning: a NaN or Inf met the quantiser; its block became zero\n");
    free(sum);
    pl_arena_fini(&a);
}
