/* report.c - tables by unit, operator, layer and instruction word. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

int report_check(const struct verb *v, const struct report_opts *r, bool no_timing)
{
    if (no_timing && (r->units || r->operators || r->layers || r->roofline || r->explain || r->energy || r->hot || r->roofline_csv || r->roofline_svg ||
                      r->chrome))
        return cli_usage(v, "--functional-only counts no cycles to report");
    if ((r->from_cyc || r->to_cyc) && !r->trace && !r->chrome)
        return cli_usage(v, "--trace-from and --trace-to need --trace or --chrome-trace");
    if (r->to_cyc && r->to_cyc <= r->from_cyc)
        return cli_usage(v, "--trace-to %llu is not after --trace-from %llu", (unsigned long long)r->to_cyc,
                         (unsigned long long)r->from_cyc);
    return -1;
}

const char *op_name(const struct pl_image *img, size_t op)
{
    return op < img->n_op ? img->op[op].name : "(other)";
}

static const char *op_at(const struct pl_image *img, uint32_t pc)
{
    size_t i = 0;
    while (i < img->n_op && !(img->op[i].begin <= pc && pc < img->op[i].end))
        i++;
    return op_name(img, i);
}

unsigned largest_cause(const uint64_t *cyc, unsigned first)
{
    unsigned best = first;
    for (unsigned c = first + 1; c < PL_SIM_CAUSE_COUNT; c++)
        best = cyc[c] > cyc[best] ? c : best;
    return best;
}


/* A row for each cause, a column for each unit and for the front end; every column adds up to the cycles of the run. */
static void units_table(const struct report_of *o, struct pl_arena *a, struct pl_buf *out)
{
    const struct pl_sim_stats *s = o->s;
    struct pl_table t;
    struct pl_buf row;
    char b[32];
    pl_buf_init(&row);
    pl_buf_puts(&row, "<idle for");
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        pl_buf_printf(&row, "|%s", pl_sim_unit_name((enum pl_sim_unit)u));
    pl_buf_puts(&row, "|front end");
    pl_table_init(&t, a, row.data);
    row.len = 0;
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        pl_buf_printf(&row, "|%s", pl_group_digits(s->busy_cyc[u], b));
    pl_table_row(&t, "(busy)%s", row.data);
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++) {
        row.len = 0;
        for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
            pl_buf_printf(&row, "|%s", pl_group_digits(s->idle_cyc[u][c], b));
        pl_table_row(&t, "%s%s|%s", pl_sim_cause_name((enum pl_sim_cause)c), row.data, pl_group_digits(s->stall_cyc[c], b));
    }
    row.len = 0;
    for (unsigned u = 0; u <= PL_SIM_UNIT_COUNT; u++)
        pl_buf_printf(&row, "|%s", pl_group_digits(s->cycles, b));
    pl_table_row(&t, "total%s", row.data);
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_buf_fini(&row);
}

static void operators_table(const struct report_of *o, struct pl_arena *a, struct pl_buf *out)
{
    struct pl_table t;
    size_t n;
    char b1[32], b2[32];
    struct op_sum *sum = sum_ops(o->s, o->img, &n);
    pl_table_init(&t, a, "<operator|cycles|array|vector|scalar|HBM|<largest wait|cycles|of them");
    for (size_t i = 0; i < n; i++) {
        const struct pl_sim_op_stats *st = &sum[i].st;
        if (!st->insns && !st->cycles)
            continue;
        const double cycles = (double)st->cycles;
        const unsigned c = largest_cause(st->stall_cyc, PL_SIM_ISSUE_CAUSE + 1);
        const double hbm = (double)st->hbm_bytes / hbm_peak(o->arch);
        pl_table_row(&t, "%s|%s|%.1f %%|%.1f %%|%.1f %%|%.1f %%|%s|%s|%.1f %%", sum[i].name, pl_group_digits(st->cycles, b1),
                     100 * ratio((double)st->busy_cyc[PL_SIM_MATRIX], cycles), 100 * ratio((double)st->busy_cyc[PL_SIM_VECTOR], cycles),
                     100 * ratio((double)st->busy_cyc[PL_SIM_SCALAR], cycles), 100 * ratio(hbm, cycles),
                     st->stall_cyc[c] ? pl_sim_cause_name((enum pl_sim_cause)c) : "-", pl_group_digits(st->stall_cyc[c], b2),
                     100 * ratio((double)st->stall_cyc[c], cycles));
    }
    pl_table_text(&t, out);
    pl_table_fini(&t);
    free(sum);
}

static void layer_row(struct pl_table *t, const char *name, const struct pl_sim_layer *l, uint64_t cycles)
{
    char b1[32], b2[32], b3[32];
    pl_table_row(t, "%s|%s|%.1f %%|%s|%s|%.1f", name, pl_group_digits(l->cycles, b1), 100 * ratio((double)l->cycles, (double)cycles),
                 pl_group_digits(l->insns, b2), pl_group_digits(l->hbm_bytes, b3), ratio((double)l->hbm_bytes, (double)l->cycles));
}

static void layers_table(const struct report_of *o, struct pl_arena *a, struct pl_buf *out)
{
    const struct pl_sim_stats *s = o->s;
    const struct pl_sim_layer total = {s->cycles, s->insns, s->hbm_read_bytes + s->hbm_write_bytes};
    struct pl_sim_layer rest = total;
    struct pl_table t;
    if (!s->n_layer) {
        pl_buf_puts(out, "The image marks no layers.\n");
        return;
    }
    pl_table_init(&t, a, "<layer|cycles|share|instructions|HBM bytes|bytes a cycle");
    for (size_t i = 0; i < s->n_layer; i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", i);
        layer_row(&t, name, &s->layer[i], s->cycles);
        rest.cycles -= s->layer[i].cycles;
        rest.insns -= s->layer[i].insns;
        rest.hbm_bytes -= s->layer[i].hbm_bytes;
    }
    layer_row(&t, "(outside)", &rest, s->cycles);
    layer_row(&t, "total", &total, s->cycles);
    pl_table_text(&t, out);
    pl_table_fini(&t);
}

/* ---- instruction words by cost ---- */
struct hot {
    uint32_t pc;
    uint64_t cyc; /* an issue cycle for each time it ran, and the waits in front of it */
};

static int by_cost(const void *a, const void *b)
{
    const struct hot *x = a, *y = b;
    return x->cyc != y->cyc ? (x->cyc < y->cyc) - (x->cyc > y->cyc) : (x->pc > y->pc) - (x->pc < y->pc);
}

/* The n dearest, dearest first; fewer when fewer ran. */
static struct hot *hottest(const struct pl_sim_stats *s, uint64_t n, size_t *n_out)
{
    struct hot *h = calloc(s->n_pc + 1, sizeof *h);
    if (!h)
        abort();
    size_t k = 0;
    for (size_t pc = 0; pc < s->n_pc; pc++)
        if (s->pc[pc].count)
            h[k++] = (struct hot){(uint32_t)pc, s->pc[pc].count + s->pc[pc].stall_cyc};
    qsort(h, k, sizeof *h, by_cost);
    *n_out = n < k ? (size_t)n : k;
    return h;
}

static void format_at(const struct pl_image *img, uint32_t pc, char *text, size_t size)
{
    struct pl_insn in;
    if (pl_isa_decode(img->code[pc], &in, NULL) == PL_OK)
        pl_isa_format(&in, text, size);
    else
        snprintf(text, size, "?");
}

void hot_table(const struct report_of *o, uint64_t n, struct pl_buf *out)
{
    struct pl_arena a;
    struct pl_table t;
    size_t k;
    char text[128], line[16], b1[32], b2[32], b3[32];
    struct hot *h = hottest(o->s, n, &k);
    pl_arena_init(&a);
    pl_table_init(&t, &a, "pc|line|<operator|<instruction|count|waits|cycles|share");
    for (size_t i = 0; i < k; i++) {
        const struct pl_sim_pc_stats *st = &o->s->pc[h[i].pc];
        snprintf(line, sizeof line, o->img->n_line ? "%u" : "-", o->img->n_line ? o->img->line[h[i].pc] : 0);
        format_at(o->img, h[i].pc, text, sizeof text);
        pl_table_row(&t, "%u|%s|%s|%s|%s|%s|%s|%.1f %%", h[i].pc, line, op_at(o->img, h[i].pc), text, pl_group_digits(st->count, b1),
                     pl_group_digits(st->stall_cyc, b2), pl_group_digits(h[i].cyc, b3),
                     100 * ratio((double)h[i].cyc, (double)o->s->cycles));
    }
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    free(h);
}

json_t *hot_json(const struct report_of *o, uint64_t n)
{
    size_t k;
    char text[128];
    json_t *list = json_array();
    struct hot *h = hottest(o->s, n, &k);
    for (size_t i = 0; i < k; i++) {
        const struct pl_sim_pc_stats *st = &o->s->pc[h[i].pc];
        format_at(o->img, h[i].pc, text, sizeof text);
        json_t *one = json_pack("{s:I, s:s, s:s, s:I, s:I}", "pc", (json_int_t)h[i].pc, "operator", op_at(o->img, h[i].pc), "instruction",
                                text, "count", (json_int_t)st->count, "stall_cycles", (json_int_t)st->stall_cyc);
        if (o->img->n_line)
            json_object_set_new(one, "line", json_integer(o->img->line[h[i].pc]));
        json_array_append_new(list, one);
    }
    free(h);
    return list;
}

/* ---- what was asked for ---- */
static void heading(struct pl_buf *out, const char *text)
{
    pl_buf_printf(out, "\n%s\n", text);
}

void report_print(const struct report_opts *r, const struct report_of *o, struct pl_buf *out)
{
    struct pl_arena a;
    pl_arena_init(&a);
    if (r->units) {
        heading(out, "Cycles of every unit: busy, or idle while the front end was in this state");
        units_table(o, &a, out);
    }
    if (r->operators) {
        heading(out, "What each operator kept busy, in parts of its cycles");
        operators_table(o, &a, out);
    }
    if (r->layers) {
        heading(out, "Layers");
        layers_table(o, &a, out);
    }
    if (r->hot) {
        heading(out, "Instruction words by cycles: one for each time it ran, and the waits in front of it");
        hot_table(o, r->hot, out);
    }
    if (r->roofline) {
        heading(out, "Roofline: multiply-accumulates against HBM bytes and cycles");
        roofline_table(o, false, out);
    }
    if (r->energy) {
        heading(out, "Energy: counted events at the constants of plena perf --constants");
        energy_table(o, out);
    }
    if (r->explain) {
        pl_buf_puts(out, "\n");
        explain_print(o, out);
    }
    pl_arena_fini(&a);
}

static enum pl_status write_buf(const char *path, struct pl_buf *b, struct pl_diag *d)
{
    const enum pl_status s = pl_file_write(path, b->data, b->len, d);
    pl_buf_fini(b);
    return s;
}

enum pl_status report_write(const struct report_opts *r, const struct report_of *o, struct pl_diag *d)
{
    struct pl_buf b;
    if (r->roofline_csv) {
        pl_buf_init(&b);
        roofline_table(o, true, &b);
        PL_TRY(write_buf(r->roofline_csv, &b, d));
    }
    if (r->roofline_svg) {
        pl_buf_init(&b);
        roofline_svg(o, &b);
        PL_TRY(write_buf(r->roofline_svg, &b, d));
    }
    return PL_OK;
}
