/* report.h - what sim and run say about a simulation beyond the default tables: options, reports, traces. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_REPORT_H
#define PLENA_CLI_REPORT_H
#include "cli.h"
#include "plena/report.h"

enum { HOT_DEFAULT = 10 };
struct report_opts {
    bool units, operators, layers, roofline, explain, energy;
    uint64_t hot; /* 0: not asked for */
    const char *roofline_csv, *roofline_svg;
    const char *trace, *chrome;
    uint64_t from_cyc, to_cyc; /* of the traces; to_cyc 0: no end */
};
#define REPORT_OPTS(r)                                                                                                       \
    {"units", OPT_FLAG, &(r)->units, NULL, "busy and idle cycles of every unit by cause"},                                   \
        {"operators", OPT_FLAG, &(r)->operators, NULL, "what each operator kept busy, and its largest wait"},                \
        {"layers", OPT_FLAG, &(r)->layers, NULL, "cycles and traffic of each decoder layer"},                                \
        {"hot", OPT_U64_OR, &(r)->hot, "[N]", "the N instruction words that cost most cycles (default 10)"},                 \
        {"roofline", OPT_FLAG, &(r)->roofline, NULL, "each operator against the ceilings of array and HBM"},                 \
        {"roofline-csv", OPT_TEXT, &(r)->roofline_csv, "FILE", "the same as CSV"},                                           \
        {"roofline-svg", OPT_TEXT, &(r)->roofline_svg, "FILE", "the same as a picture"},                                     \
        {"explain", OPT_FLAG, &(r)->explain, NULL, "the five largest causes of lost time, and what would remove them"},      \
        {"energy", OPT_FLAG, &(r)->energy, NULL, "joules by part, from the counted events; see doc/cost.md"},                \
        {"trace", OPT_TEXT, &(r)->trace, "FILE", "a line per retired instruction: seq issue start end pc word instruction"}, \
        {"chrome-trace", OPT_TEXT, &(r)->chrome, "FILE", "units, operators, HBM, SRAM over time; opens in Perfetto"},        \
        {"trace-from", OPT_U64, &(r)->from_cyc, "CYCLE", "leave out what ended before (default 0)"},                         \
    {                                                                                                                        \
        "trace-to", OPT_U64, &(r)->to_cyc, "CYCLE", "leave out what began then or later (default no end)"                    \
    }
/* Options that contradict each other: prints why and returns 2, else -1. */
int report_check(const struct verb *v, const struct report_opts *r, bool no_timing);

/* What was simulated. */
struct report_of {
    const char *title;
    const struct pl_sim_stats *s;
    const struct pl_image *img;
    const struct pl_arch *arch;
};
/* The tables asked for, each behind an empty line. */
void report_print(const struct report_opts *r, const struct report_of *o, struct pl_buf *out);
/* --roofline-csv, --roofline-svg. */
enum pl_status report_write(const struct report_opts *r, const struct report_of *o, struct pl_diag *d);

/* ---- shared by the reports ---- */
/* Ranges of one operator (it appears in prefill and decode code) added up, in order of first appearance. */
struct op_sum {
    const char *name;
    struct pl_sim_op_stats st;
};
struct op_sum *sum_ops(const struct pl_sim_stats *s, const struct pl_image *img, size_t *n); /* caller frees */
double ratio(double a, double b);                                                            /* 0 for b = 0 */
double hbm_peak(const struct pl_arch *a);                                                    /* bytes per cycle */
const char *op_name(const struct pl_image *img, size_t op);                                  /* index of stats.op */
unsigned largest_cause(const uint64_t *cyc, unsigned first);                                 /* of causes from `first` on */

/* Where an operator, or a whole run, stands. */
struct roof {
    double intensity, attained, ceiling; /* MAC per byte (INFINITY: no bytes), MAC per cycle */
};
struct roof roof_of(uint64_t macs, uint64_t bytes, uint64_t cycles, const struct pl_arch *arch);
void roofline_table(const struct report_of *o, bool csv, struct pl_buf *out);
void roofline_svg(const struct report_of *o, struct pl_buf *out);
json_t *roof_json(struct roof r);

void hot_table(const struct report_of *o, uint64_t n, struct pl_buf *out);
json_t *hot_json(const struct report_of *o, uint64_t n);
void explain_print(const struct report_of *o, struct pl_buf *out);
json_t *explain_json(const struct report_of *o);

void energy_table(const struct report_of *o, struct pl_buf *out);
json_t *energy_json(const struct pl_sim_stats *s, const struct pl_arch *arch); /* joules, of both corners */

/* ---- traces ---- */
struct tracer;
/* *out stays NULL when no trace is asked for. */
enum pl_status tracer_open(const struct report_opts *r, const struct report_of *o, struct tracer **out, struct pl_diag *d);
void tracer_retired(void *tracer, const struct pl_sim_retired *r);
/* Writes what is left, closes, frees; NULL is fine. PL_EIO names the file that could not be written. */
enum pl_status tracer_close(struct tracer *t, struct pl_diag *d);
#endif
