/* stats.c - simulation statistics as JSON and as tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plena/report.h"

/* Ranges of one operator (it appears in prefill and decode code) added up, in order of first appearance. */
struct op_sum {
    const char *name;
    uint64_t insns, cycles, hbm_bytes;
};

static size_t sum_ops(const struct pl_sim_stats *s, const struct pl_image *img, struct op_sum *sum)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_op; i++) {
        const char *name = i < img->n_op ? img->op[i].name : "(other)";
        size_t k = 0;
        while (k < n && strcmp(sum[k].name, name) != 0)
            k++;
        if (k == n)
            sum[n++] = (struct op_sum){.name = name};
        sum[k].insns += s->op[i].insns;
        sum[k].cycles += s->op[i].cycles;
        sum[k].hbm_bytes += s->op[i].hbm_bytes;
    }
    return n;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* Multiply-accumulates the array could have made: BLEN x MLEN multipliers for BLEN rows... per cycle blen*mlen. */
static double array_use(const struct pl_sim_stats *s, const struct pl_arch *a)
{
    return ratio((double)s->macs, (double)s->cycles * a->mlen * a->blen);
}

json_t *stats_json(const struct pl_sim_stats *s, const struct pl_image *img, const struct pl_arch *arch)
{
    struct op_sum *sum = calloc(s->n_op, sizeof *sum);
    if (!sum)
        abort();
    const size_t n = sum_ops(s, img, sum);
    json_t *units = json_object(), *ops = json_array(), *insns = json_object();
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        json_object_set_new(units, pl_sim_unit_name(u), json_integer((json_int_t)s->busy_cyc[u]));
    for (size_t i = 0; i < n; i++)
        if (sum[i].insns)
            json_array_append_new(ops, json_pack("{s:s, s:I, s:I, s:I}", "name", sum[i].name, "cycles", (json_int_t)sum[i].cycles,
                                                 "instructions", (json_int_t)sum[i].insns, "hbm_bytes",
                                                 (json_int_t)sum[i].hbm_bytes));
    for (unsigned op = 0; op < PL_OP_COUNT; op++)
        if (s->insns_by_op[op])
            json_object_set_new(insns, pl_isa_info(op)->name, json_integer((json_int_t)s->insns_by_op[op]));
    free(sum);
    const double seconds = (double)s->cycles / arch->clock_hz;
    return json_pack("{s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:{s:I, s:I, s:I, s:I}, s:o, s:o, s:b}", "cycles",
                     (json_int_t)s->cycles, "seconds", seconds, "instructions", (json_int_t)s->insns, "hbm_read_bytes",
                     (json_int_t)s->hbm_read_bytes, "hbm_write_bytes", (json_int_t)s->hbm_write_bytes, "macs", (json_int_t)s->macs,
                     "array_utilisation", array_use(s, arch), "hbm_bandwidth_utilisation",
                     ratio((double)(s->hbm_read_bytes + s->hbm_write_bytes), (double)s->cycles * arch->hbm_bandwidth),
                     "busy_cycles_by_unit", units, "issue_stall_cycles", "operand", (json_int_t)s->stall_operand_cyc, "unit",
                     (json_int_t)s->stall_unit_cyc, "dma", (json_int_t)s->stall_dma_cyc, "fence",
                     (json_int_t)s->stall_fence_cyc, "operators", ops, "instructions_by_name", insns, "sticky_nan", s->sticky_nan);
}

void stats_print(const struct pl_sim_stats *s, const struct pl_image *img, const struct pl_arch *arch, struct pl_buf *out)
{
    struct pl_arena a;
    struct pl_table t;
    char b1[32], b2[32], b3[32];
    struct op_sum *sum = calloc(s->n_op, sizeof *sum);
    if (!sum)
        abort();
    const size_t n = sum_ops(s, img, sum);
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<unit|busy cycles|share");
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        pl_table_row(&t, "%s|%s|%.1f %%", pl_sim_unit_name(u), pl_group_digits(s->busy_cyc[u], b1),
                     100 * ratio((double)s->busy_cyc[u], (double)s->cycles));
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_buf_puts(out, "\n");
    pl_table_init(&t, &a, "<operator|cycles|share|instructions|HBM bytes");
    for (size_t i = 0; i < n; i++)
        if (sum[i].insns)
            pl_table_row(&t, "%s|%s|%.1f %%|%s|%s", sum[i].name, pl_group_digits(sum[i].cycles, b1),
                         100 * ratio((double)sum[i].cycles, (double)s->cycles), pl_group_digits(sum[i].insns, b2),
                         pl_group_digits(sum[i].hbm_bytes, b3));
    pl_table_row(&t, "total|%s|100.0 %%|%s|%s", pl_group_digits(s->cycles, b1), pl_group_digits(s->insns, b2),
                 pl_group_digits(s->hbm_read_bytes + s->hbm_write_bytes, b3));
    pl_table_text(&t, out);
    pl_table_fini(&t);
    const double bytes = (double)(s->hbm_read_bytes + s->hbm_write_bytes);
    pl_buf_printf(out, "\nHBM: %s bytes read, %s written; %.1f bytes a cycle, %.1f %% of the peak\n",
                  pl_group_digits(s->hbm_read_bytes, b1), pl_group_digits(s->hbm_write_bytes, b2), ratio(bytes, (double)s->cycles),
                  100 * ratio(bytes, (double)s->cycles * arch->hbm_bandwidth));
    pl_buf_printf(out, "array: %s multiply-accumulates, %.1f %% of %u x %u every cycle\n", pl_group_digits(s->macs, b1),
                  100 * array_use(s, arch), arch->blen, arch->mlen);
    if (s->sticky_nan)
        pl_buf_puts(out, "warning: a NaN or Inf met the quantiser; its block became zero\n");
    free(sum);
    pl_arena_fini(&a);
}
