/* reproduce.c - plena reproduce: tables and figures of the paper beside ours, as text, CSV or bars. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reproduce.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *title;
    enum pl_status (*run)(struct repro *r);
} known[] = {
    {"fig1b", "Fig. 1b: the bandwidth wall: share of the peak that a decode step can use", repro_fig_1b},
    {"fig1c", "Fig. 1c: the capacity wall: KV cache of one LLaMA-3.3-70B sequence", repro_fig_1c},
    {"fig2", "Fig. 2: square 64 x 64 against flattened 8 x 512 at 144 GB, 512 GB/s", repro_fig_2},
    {"fig12", "Fig. 12: decode throughput over 4x A100 by context, LLaMA-3.3-70B, batch 4", repro_fig_12},
    {"fig14", "Fig. 14: area and power of square and flattened arrays with 4096 multipliers", repro_fig_14},
    {"table2", "Table II: errors of the evaluators", repro_table_ii},
    {"table10", "Table X: memory of LLaMA-3.3-70B, 90k + 8k tokens, batch 8", repro_table_x},
    {"table11", "Table XI: density of the arrays, 4096 multipliers at 1 GHz", repro_table_xi},
    {"table12", "Table XII: systems, plain rooflines", repro_table_xii},
};

void repro_add(struct repro *r, const char *group, const char *what, const char *unit, int digits, double ours, double published,
               const char *why)
{
    if (r->n == r->cap) {
        struct repro_item *more = PL_NEW_N(r->a, struct repro_item, r->cap ? 2 * r->cap : 64);
        if (r->n)
            memcpy(more, r->item, r->n * sizeof *more);
        r->item = more;
        r->cap = r->cap ? 2 * r->cap : 64;
    }
    r->item[r->n++] = (struct repro_item){pl_arena_strdup(r->a, group), pl_arena_strdup(r->a, what), unit, pl_arena_strdup(r->a, why), ours,
                                          published, digits};
}

static const char *number(struct pl_arena *a, double v, int digits)
{
    return isfinite(v) ? pl_arena_printf(a, "%.*f", digits, v) : "-";
}

static void table(const struct repro *r, bool csv, struct pl_buf *out)
{
    struct pl_table t;
    pl_table_init(&t, r->a, csv ? "group|item|unit|ours|published|ratio|why" : "<of|<item|<unit|ours|published|ratio|<why they differ");
    for (const struct repro_item *i = r->item; i < r->item + r->n; i++) {
        const double ratio = i->published != 0 ? i->ours / i->published : (double)NAN;
        pl_table_row(&t, "%s|%s|%s|%s|%s|%s|%s", i->group, i->what, i->unit, number(r->a, i->ours, i->digits),
                     number(r->a, i->published, i->digits), number(r->a, ratio, 3), i->why);
    }
    if (csv)
        pl_table_csv(&t, out);
    else
        pl_table_text(&t, out);
    pl_table_fini(&t);
}

static enum pl_status write_files(const struct repro *r, const char *title, const char *csv, const char *svg)
{
    struct pl_buf b;
    enum pl_status s = PL_OK;
    pl_buf_init(&b);
    if (csv) {
        table(r, true, &b);
        s = pl_file_write(csv, b.data, b.len, r->d);
    }
    b.len = 0;
    if (svg && s == PL_OK) {
        struct pl_bar *bar = PL_NEW_N(r->a, struct pl_bar, r->n);
        for (size_t i = 0; i < r->n; i++)
            bar[i] = (struct pl_bar){pl_arena_printf(r->a, "%s, %s (%s)", r->item[i].group, r->item[i].what, r->item[i].unit),
                                     r->item[i].ours, r->item[i].published};
        pl_bars_svg(title, "ours", "published", bar, r->n, &b);
        s = pl_file_write(svg, b.data, b.len, r->d);
    }
    pl_buf_fini(&b);
    return s;
}

static json_t *items_json(const struct repro *r)
{
    json_t *items = json_array();
    for (const struct repro_item *i = r->item; i < r->item + r->n; i++)
        json_array_append_new(items, json_pack("{s:s, s:s, s:s, s:f, s:o, s:s}", "group", i->group, "item", i->what, "unit", i->unit, "ours",
                                               i->ours, "published", isfinite(i->published) ? json_real(i->published) : json_null(), "why",
                                               i->why));
    return items;
}

static int list(void)
{
    for (size_t i = 0; i < PL_COUNT(known); i++)
        printf("%-8s %s\n", known[i].name, known[i].title);
    return 0;
}

static enum pl_status reproduce(struct repro *r, const char *what, bool json, const char *csv, const char *svg)
{
    const char *names[PL_COUNT(known)];
    size_t k = PL_COUNT(known);
    for (size_t i = 0; i < PL_COUNT(known); i++) {
        names[i] = known[i].name;
        k = !strcmp(what, known[i].name) ? i : k;
    }
    if (k == PL_COUNT(known)) {
        const char *near = pl_nearest(what, names, PL_COUNT(names));
        return pl_fail(r->d, PL_EUSAGE, "nothing called \"%s\"%s%s%s; see plena reproduce --list", what, near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    PL_TRY(known[k].run(r));
    PL_TRY(write_files(r, known[k].title, csv, svg));
    if (json) {
        json_t *o = cli_result("plena.reproduce/1", NULL);
        json_object_set_new(o, "title", json_string(known[k].title));
        json_object_set_new(o, "items", items_json(r));
        cli_print_json(o);
        return PL_OK;
    }
    struct pl_buf b;
    pl_buf_init(&b);
    pl_buf_printf(&b, "%s\n\n", known[k].title);
    table(r, false, &b);
    pl_buf_puts(&b, r->note.data);
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    return PL_OK;
}

int cmd_reproduce(const struct verb *v, int argc, char **argv)
{
    struct pl_arena a;
    struct pl_diag d;
    struct repro r = {.a = &a, .d = &d};
    bool json = false, ls = false;
    const char *csv = NULL, *svg = NULL, *pos[1] = {NULL};
    size_t n_pos;
    pl_arena_init(&a);
    pl_buf_init(&r.note);
    const struct opt o[] = {{"list", OPT_FLAG, &ls, NULL, "name what there is"},
                            {"csv", OPT_TEXT, &csv, "FILE", "the table as CSV"},
                            {"svg", OPT_TEXT, &svg, "FILE", "the table as bars"},
                            {"json", OPT_FLAG, &json, NULL, "result as one JSON object on stdout"}};
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && ls)
        rc = list();
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "TABLE or FIGURE is missing");
    if (rc < 0) {
        const enum pl_status s = reproduce(&r, pos[0], json, csv, svg);
        rc = s == PL_OK ? 0 : cli_fail(s, &d);
    }
    pl_buf_fini(&r.note);
    pl_arena_fini(&a);
    return rc;
}
