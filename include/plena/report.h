/* report.h - results for people and their tools: aligned tables, CSV, roofline plots and bars in SVG, Chrome traces.
 *
 * Source of the trace format: "Trace Event Format", the JSON that Perfetto and chrome://tracing read.
 * Depends on: base.h.   Threads: one object, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_REPORT_H
#define PLENA_REPORT_H
#include "plena/base.h"

/* ---- tables ---- */
enum { PL_TABLE_COLUMNS = 12 };
struct pl_table {
    const char *head[PL_TABLE_COLUMNS]; /* a head that begins with '<' is flush left, without the sign */
    unsigned n_col;
    size_t n_row, cap;
    char **cell; /* [n_row][n_col] */
};
/* Heads separated by '|': "<operator|cycles|share". Caller's memory; fini frees the cells. */
void pl_table_init(struct pl_table *t, struct pl_arena *a, const char *heads);
void pl_table_fini(struct pl_table *t);
/* Append a row: cells separated by '|'. Missing cells are empty. */
void pl_table_row(struct pl_table *t, const char *fmt, ...) PL_PRINTF(2, 3);
void pl_table_text(const struct pl_table *t, struct pl_buf *out); /* two spaces between columns */
void pl_table_csv(const struct pl_table *t, struct pl_buf *out);  /* RFC 4180 */
/* 12345678 -> "12,345,678" in out. */
const char *pl_group_digits(uint64_t v, char out[32]);

/* ---- roofline ---- */
struct pl_roofline_point {
    const char *name;
    double intensity; /* work per byte; INFINITY: no bytes moved */
    double attained;  /* work per unit of time; points with none are left out */
};
struct pl_roofline {
    const char *title, *x_label, *y_label;
    double peak;      /* work per unit of time, > 0 */
    double bandwidth; /* bytes per unit of time, > 0 */
    size_t n;
    const struct pl_roofline_point *point;
};
/* min(peak, intensity * bandwidth) */
double pl_roofline_ceiling(double peak, double bandwidth, double intensity);
/* A standalone SVG: both axes logarithmic, the two ceilings, a labelled point for each operator. */
void pl_roofline_svg(const struct pl_roofline *r, struct pl_buf *out);

/* ---- bars with errors ---- */
struct pl_error_bar {
    const char *name;
    double value, se; /* > 0; se NaN: no error bar */
};
/* A standalone SVG: a bar for each value from the left on a logarithmic axis, its standard error over it. */
void pl_error_bars_svg(const char *title, const char *unit, const struct pl_error_bar *bar, size_t n, struct pl_buf *out);

/* ---- Chrome trace: streamed to a file, times in cycles of one clock ---- */
struct pl_chrome;
struct pl_chrome_arg {
    const char *key;
    const char *text; /* NULL: the number */
    uint64_t number;
};
/* Creates the file. `other`: key and value pairs of "otherData", which also gets "clock_hz".
 * Errors: PL_EIO; *out is then NULL. Later writes cannot fail by themselves: close tells. */
enum pl_status pl_chrome_open(const char *path, double clock_hz, const struct pl_chrome_arg *other, size_t n_other,
                              struct pl_chrome **out, struct pl_diag *d);
/* Name a process, or a track of it; tracks are shown in the order of tid. */
void pl_chrome_process(struct pl_chrome *c, unsigned pid, const char *name);
void pl_chrome_track(struct pl_chrome *c, unsigned pid, unsigned tid, const char *name);
/* A complete event of [from, to). Events of one track must not overlap unless one holds the other. */
struct pl_chrome_span {
    unsigned pid, tid;
    const char *name;
    uint64_t from_cyc, to_cyc;
};
void pl_chrome_put_span(struct pl_chrome *c, const struct pl_chrome_span *s, const struct pl_chrome_arg *arg, size_t n_arg);
/* From this cycle on the series of counter `name` have these values. */
void pl_chrome_put_counter(struct pl_chrome *c, unsigned pid, const char *name, uint64_t at_cyc, const struct pl_chrome_arg *arg,
                           size_t n_arg);
/* Ends the text, closes and frees. Errors: PL_EIO when anything could not be written. NULL is fine. */
enum pl_status pl_chrome_close(struct pl_chrome *c, struct pl_diag *d);
#endif
