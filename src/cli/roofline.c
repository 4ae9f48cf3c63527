/* roofline.c - each operator's multiply-accumulates per HBM byte and per cycle, against what the machine allows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static double peak_of(const struct pl_arch *a)
{
    return (double)a->blen * a->mlen;
}

struct roof roof_of(uint64_t macs, uint64_t bytes, uint64_t cycles, const struct pl_arch *arch)
{
    struct roof r = {bytes ? (double)macs / (double)bytes : INFINITY, ratio((double)macs, (double)cycles), 0};
    r.ceiling = pl_roofline_ceiling(peak_of(arch), hbm_peak(arch), r.intensity);
    return r;
}

json_t *roof_json(struct roof r)
{
    return json_pack("{s:o, s:f, s:f, s:f}", "macs_per_byte", isfinite(r.intensity) ? json_real(r.intensity) : json_null(),
                     "macs_per_cycle", r.attained, "ceiling", r.ceiling, "of_ceiling", ratio(r.attained, r.ceiling));
}

static void put_row(struct pl_table *t, const char *name, const struct pl_sim_op_stats *st, const struct pl_arch *arch, bool csv)
{
    char b1[32], b2[32], b3[32], intensity[32] = "";
    const struct roof r = roof_of(st->data_macs, st->hbm_bytes, st->cycles, arch);
    if (isfinite(r.intensity))
        snprintf(intensity, sizeof intensity, csv ? "%.17g" : "%.2f", r.intensity);
    const char *bound = r.ceiling < peak_of(arch) ? "bandwidth" : "array";
    if (csv)
        pl_table_row(t, "%s|%llu|%llu|%llu|%s|%.17g|%.17g|%.17g|%s", name, (unsigned long long)st->cycles,
                     (unsigned long long)st->data_macs, (unsigned long long)st->hbm_bytes, intensity, r.attained, r.ceiling,
                     ratio(r.attained, r.ceiling), bound);
    else
        pl_table_row(t, "%s|%s|%s|%s|%s|%.2f|%.2f|%.1f %%|%s", name, pl_group_digits(st->cycles, b1),
                     pl_group_digits(st->data_macs, b2), pl_group_digits(st->hbm_bytes, b3), *intensity ? intensity : "no bytes",
                     r.attained, r.ceiling, 100 * ratio(r.attained, r.ceiling), bound);
}

/* Operators with products, the rest in one row, the total. */
void roofline_table(const struct report_of *o, bool csv, struct pl_buf *out)
{
    struct pl_arena a;
    struct pl_table t;
    size_t n;
    char b1[32], b2[32];
    struct op_sum *sum = sum_ops(o->s, o->img, &n);
    struct pl_sim_op_stats rest = {0};
    const struct pl_sim_op_stats total = {.cycles = o->s->cycles, .data_macs = o->s->events.macs,
                                          .hbm_bytes = o->s->hbm_read_bytes + o->s->hbm_write_bytes};
    pl_arena_init(&a);
    pl_table_init(&t, &a, csv ? "operator|cycles|macs|hbm_bytes|macs_per_byte|macs_per_cycle|ceiling|of_ceiling|bound"
                              : "<operator|cycles|MAC|HBM bytes|MAC/byte|MAC/cycle|ceiling|of it|<set by");
    for (size_t i = 0; i < n; i++) {
        if (sum[i].st.data_macs) {
            put_row(&t, sum[i].name, &sum[i].st, o->arch, csv);
        } else {
            rest.cycles += sum[i].st.cycles;
            rest.hbm_bytes += sum[i].st.hbm_bytes;
        }
    }
    if (csv)
        pl_table_row(&t, "(no products)|%llu|0|%llu", (unsigned long long)rest.cycles, (unsigned long long)rest.hbm_bytes);
    else
        pl_table_row(&t, "(no products)|%s|0|%s", pl_group_digits(rest.cycles, b1), pl_group_digits(rest.hbm_bytes, b2));
    put_row(&t, "total", &total, o->arch, csv);
    if (csv)
        pl_table_csv(&t, out);
    else
        pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    free(sum);
}

void roofline_svg(const struct report_of *o, struct pl_buf *out)
{
    size_t n, k = 0;
    struct op_sum *sum = sum_ops(o->s, o->img, &n);
    struct pl_roofline_point *p = calloc(n + 1, sizeof *p);
    char title[256];
    if (!p)
        abort();
    for (size_t i = 0; i < n; i++) {
        if (!sum[i].st.data_macs)
            continue;
        const struct roof r = roof_of(sum[i].st.data_macs, sum[i].st.hbm_bytes, sum[i].st.cycles, o->arch);
        p[k++] = (struct pl_roofline_point){sum[i].name, r.intensity, r.attained};
    }
    const struct roof r = roof_of(o->s->events.macs, o->s->hbm_read_bytes + o->s->hbm_write_bytes, o->s->cycles, o->arch);
    p[k++] = (struct pl_roofline_point){"total", r.intensity, r.attained};
    const char *slash = strrchr(o->title, '/');
    snprintf(title, sizeof title, "%s on machine %s", slash ? slash + 1 : o->title, o->arch->name);
    const struct pl_roofline plot = {.title = title, .x_label = "multiply-accumulates per HBM byte (rings: no bytes)",
                                     .y_label = "multiply-accumulates per cycle", .peak = peak_of(o->arch),
                                     .bandwidth = hbm_peak(o->arch), .n = k, .point = p};
    pl_roofline_svg(&plot, out);
    free(p);
    free(sum);
}
