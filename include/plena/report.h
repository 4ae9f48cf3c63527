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

/* ---- pairs of bars ---- */
struct pl_bar {
    const char *label;
    double first, second; /* not finite or not above 0: no bar */
};
/* A standalone SVG with a common logarithmic axis. */
void pl_bars_svg(const char *title, const char *first, const char *second, const struct pl_bar *item, size_t n, struct pl_buf *out);

/* ---- plots of points, steps and bands ---- */
struct pl_plot_series {
    const char *name, *colour; /* name NULL: not in the legend */
    size_t n;
    const double *x, *y;
    const double *high; /* [n], with y: a band instead of a line; or NULL */
    enum { PL_PLOT_POINTS, PL_PLOT_LINE, PL_PLOT_STEPS, PL_PLOT_BAND } kind; /* steps: y stays until the next x */
};
struct pl_plot {
    const char *title, *x_label, *y_label;
    bool log_x, log_y; /* values below 0 are left out */
    bool bare;         /* no axes: a projection that brings its own */
    size_t n;
    const struct pl_plot_series *series;
};
/* A standalone SVG of 640 x 440. Values that are not finite are left out. */
void pl_plot_svg(const struct pl_plot *p, struct pl_buf *out);

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
