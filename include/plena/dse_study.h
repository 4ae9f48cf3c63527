/* dse_study.h - what a study is (a YAML file) and where it lives (an SQLite file).
 *
 * Study file: doc/dse.md. The SQLite file holds the YAML, every trial with its state, and a cache of costly figures. It is
 * written in transactions in WAL mode: a process may be killed at any instant, several processes of one host may work on
 * one study. Depends on: dse.h, arch.h, SQLite.   Threads: one object, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_DSE_STUDY_H
#define PLENA_DSE_STUDY_H
#include "plena/arch.h"
#include "plena/dse.h"

/* ---- the study file ---- */
enum { PL_DSE_RULES = 12, PL_DSE_METRICS = 24 };
enum pl_dse_fidelity { PL_DSE_ANALYTIC, PL_DSE_TIMING, PL_DSE_SCREEN };
struct pl_dse_objective {
    const char *metric;
    bool log, maximise; /* modelled as log10; minus the value */
    bool has_ref;
    double ref; /* as a metric */
};
struct pl_dse_cap {
    const char *metric;
    double most;
};
struct pl_dse_expr;
struct pl_dse_spec {
    const char *name, *text; /* text: the whole file */
    struct pl_arch base;
    struct pl_dse_search search;
    struct pl_dse_space space;
    size_t n_rule;
    const char *rule_text[PL_DSE_RULES];
    struct pl_dse_expr *rule[PL_DSE_RULES];
    struct pl_dse_objective objective[PL_DSE_OBJECTIVES];
    struct pl_dse_cap cap[PL_DSE_CAPS];
    uint64_t trials, batch;
    enum pl_dse_fidelity fidelity;
    uint64_t screen;   /* SCREEN: analytic candidates for each simulated trial */
    const char *model; /* for shapes: folder, config.json, or NULL: the example */
    uint64_t prompt, output, sequences;
    const char *accuracy_model, *accuracy_text;
    const char *accuracy_machine; /* whose sizes accuracies are measured on: they hardly matter, and a small one is faster */
    uint64_t accuracy_limit;
    /* Set by who evaluates: NULL, or why this machine cannot be evaluated, a text that stays. A NULL function: all can. */
    const char *(*cannot)(void *ctx, const struct pl_arch *arch);
    void *cannot_ctx;
    char reasons[PL_DSE_REASONS][160]; /* machine rules met so far */
    size_t n_reason;
};
/* Parse; everything lives in `a`, and spec->space points into *out, which must not move. `metrics`: the names objectives and
 * caps may use, NULL at the end. Errors: file:line:col, what is allowed, the nearest spelling. */
enum pl_status pl_dse_spec_parse(struct pl_arena *a, const struct pl_source *src, const char *const *metrics, struct pl_dse_spec *out,
                                 struct pl_diag *d);
/* The machine of a point; not checked. */
void pl_dse_spec_arch(const struct pl_dse_spec *s, const double *x, struct pl_arch *out);
/* Value of parameter k as it is spelt in a machine file. */
void pl_dse_spec_value(const struct pl_dse_space *s, size_t k, const double *x, char out[48]);
double pl_dse_modelled(const struct pl_dse_objective *o, double metric);
double pl_dse_metric(const struct pl_dse_objective *o, double modelled);
/* True or false of an expression over machine parameters: + - * / % ( ) and one of < <= > >= == !=. A format parameter
 * stands for the bits of its element. */
enum pl_status pl_dse_expr_parse(struct pl_arena *a, const char *text, struct pl_dse_expr **out, struct pl_diag *d);
bool pl_dse_expr_holds(const struct pl_dse_expr *e, const struct pl_arch *arch);

/* ---- the SQLite file ---- */
struct pl_study;
struct pl_study_trial {
    struct pl_dse_trial t;
    const char *setting, *metrics, *reason, *rejected; /* JSON, JSON, text or NULL, JSON */
    double seconds;                                    /* of the evaluation */
};
/* Create from the YAML text, or open for writing one that holds the same text. Errors: PL_EIO; PL_EUSAGE when it holds
 * another. */
enum pl_status pl_study_start(const char *path, const char *name, const char *text, struct pl_study **out, struct pl_diag *d);
enum pl_status pl_study_open_read(const char *path, struct pl_study **out, struct pl_diag *d);
void pl_study_close(struct pl_study *s);
const char *pl_study_text(const struct pl_study *s); /* the YAML; lives with the study */

enum pl_study_next { PL_STUDY_TRIAL, PL_STUDY_WAIT, PL_STUDY_DONE };
/* The next trial for this process: one whose process is dead, or a new proposal. Trial n is proposed from the results of
 * trials 0..n-batch alone, the later ones pending whether they are told or not: the study does not depend on who is fast.
 * WAIT: trial n-batch, or at the end any, is still with others. */
enum pl_status pl_study_ask(struct pl_study *s, struct pl_dse_sampler *sampler, const struct pl_dse_spec *spec,
                            enum pl_study_next *next, struct pl_dse_trial *out, struct pl_diag *d);
/* The result of a trial this process was given. A second result of one trial is refused (PL_EUSAGE). */
enum pl_status pl_study_tell(struct pl_study *s, const struct pl_dse_trial *t, const char *metrics, const char *reason, double seconds,
                             struct pl_diag *d);
/* All trials by number; texts live in `a`. */
enum pl_status pl_study_read(struct pl_study *s, struct pl_arena *a, struct pl_study_trial **out, size_t *n,
                             struct pl_diag *d);
/* Costly figures by key, shared by all that work on the study. *found false: not there. */
enum pl_status pl_study_cache_get(struct pl_study *s, const char *key, bool *found, double *value, struct pl_diag *d);
/* Take over the figures another study has. */
enum pl_status pl_study_cache_import(struct pl_study *s, const char *other, struct pl_diag *d);
enum pl_status pl_study_cache_put(struct pl_study *s, const char *key, double value, struct pl_diag *d);
#endif
