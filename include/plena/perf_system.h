/* perf_system.h - systems of the comparison: files of configs/baselines, rooflines of serving, Tok/J.
 *
 * A system is described by published figures, each with its source in the file. Three readings, always labelled: plain
 * roofline, derated (stated efficiencies), paper-implied. Source: reference/perf-model.md 4, 5, 9.
 * Depends on: perf.h.   Threads: pure functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PERF_SYSTEM_H
#define PLENA_PERF_SYSTEM_H
#include "plena/perf.h"

struct pl_system {
    char name[64], title[64], source[512];
#define SYS(name, unit, dflt, least, most, doc) double name;
#include "plena/perf_system.def"
#undef SYS
};
/* A shipped baseline by name ("a100", ...; pl_system_list) or a YAML file. Unknown and repeated keys, wrong types and
 * values out of range are errors with file:line:col; an unknown name is one that lists the shipped. */
enum pl_status pl_system_load(const char *name_or_path, struct pl_system *out, struct pl_diag *d);
enum pl_status pl_system_parse(const struct pl_source *src, struct pl_system *out, struct pl_diag *d);
const char *pl_system_list(size_t index); /* NULL at the end */

/* Bits as the system stores them; scales of MX formats are in its figures. */
struct pl_perf_store pl_system_store(const struct pl_system *s, const struct pl_model_config *m);

struct pl_serve_job {
    double batch, prompt, output; /* sequences; tokens of each */
};
enum pl_serve_reading {
    PL_SERVE_PLAIN,    /* max(bytes / bandwidth, operations / peak) */
    PL_SERVE_OCCUPIED, /* linear layers and attention one after the other, rows of the array filled as they can be */
    PL_SERVE_LINKED,   /* that, and two all-reduces a layer over all devices */
    PL_SERVE_DERATED,  /* plain, with eta_bandwidth and eta_compute */
    PL_SERVE_IMPLIED,  /* plain times implied_tps */
    PL_SERVE_READINGS
};
const char *pl_serve_reading_name(enum pl_serve_reading r);
struct pl_serve {
    double weights_gb, kv_gb;         /* of the system */
    double largest_batch;             /* that fits; 0: none */
    double ttft_one_s, ttft_batch_s;  /* prefill of one request on the whole system; of all, one after the other */
    double step_s;                    /* mean decode step */
    double tps, tps_e2e;              /* decode alone; batch * output / (all prefills + decode) */
    double watts, watts_active;       /* of the system: constant (paper's convention); activity-based in decode */
    double tok_per_j, tok_per_j_active; /* 0 where the power is not known */
};
/* Errors: PL_ERANGE for sizes that are not positive. A batch that does not fit is reported, not refused: published tables
 * hold such cells. */
enum pl_status pl_serve(const struct pl_system *s, const struct pl_model_config *m, const struct pl_serve_job *job,
                        enum pl_serve_reading reading, struct pl_serve *out, struct pl_diag *d);
#endif
