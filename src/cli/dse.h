/* dse.h - shared by the files of plena dse. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DSE_H
#define CLI_DSE_H
#include "cli.h"
#include "plena/dse_study.h"

/* What objectives and caps may be called: name, unit, meaning. */
#define DSE_METRIC_LIST(X)                                                                              \
    X(ttft_s, "s", "prefill of one sequence")                                                           \
    X(step_s, "s", "mean decode step")                                                                  \
    X(latency_s, "s", "prefill and all decode steps of one sequence")                                   \
    X(tps, "tokens/s", "tokens of all sequences in decode")                                             \
    X(energy_j, "J/token", "energy of a decode step of one sequence")                                   \
    X(power_w, "W", "in decode")                                                                        \
    X(area_mm2, "mm2", "device without HBM PHY, synthesis corner")                                      \
    X(hbm_gb, "GB", "HBM traffic of one sequence")                                                      \
    X(memory_gb, "GB", "weights and KV cache of all sequences")                                         \
    X(perplexity, "", "of accuracy_model on accuracy_text in the point's formats")                      \
    X(kl, "nats", "mean KL divergence from fp32 there")
enum dse_metric {
#define X(name, unit, doc) DSE_##name,
    DSE_METRIC_LIST(X)
#undef X
    DSE_METRICS
};
extern const char *const dse_metric_names[]; /* NULL at the end */

/* Evaluates points: machine, shapes and accuracy texts loaded once. */
struct dse_eval {
    struct pl_dse_spec *spec;
    struct pl_study *study; /* for its cache; NULL: none */
    struct job shapes, accuracy;
    struct pl_model_config config; /* of the model whose time counts */
    struct texts texts;
    bool keeps_nothing, want[DSE_METRICS]; /* keeps_nothing: the study is only read */
    struct { /* accuracies by formats, of this process */
        char key[384];
        double perplexity, kl;
    } known[256];
    size_t n_known;
};
/* `spec` must outlive it. */
enum pl_status dse_eval_init(struct dse_eval *e, struct pl_dse_spec *spec, struct pl_study *study, struct pl_diag *d);
void dse_eval_fini(struct dse_eval *e);
/* The metrics of a point; those not wanted are NAN. Errors: the point cannot be evaluated. */
enum pl_status dse_eval_point(struct dse_eval *e, enum pl_dse_fidelity fidelity, const double *x, double *value, struct pl_diag *d);
/* Objectives, caps and state of metrics as modelled. False: one is not a number. */
bool dse_model_values(const struct pl_dse_spec *s, const double *value, struct pl_dse_trial *t);
/* Fill y, slack and state of a trial. *metrics: JSON on the heap. A point that cannot be evaluated is a failed trial with
 * its reason; *seconds: host time. */
void dse_eval_trial(struct dse_eval *e, struct pl_dse_trial *t, char **metrics, char reason[256], double *seconds);
/* Screened list of a study with fidelity screen, best first: points for the sampler's `fixed`. NULL without. */
enum pl_status dse_screen(struct dse_eval *e, struct pl_arena *a, struct pl_diag *d);

/* One study file or study and everything around it. */
struct dse {
    struct pl_arena arena;
    struct pl_diag d;
    struct pl_dse_spec spec;
    struct pl_study *study;
    struct pl_dse_sampler *sampler;
    struct dse_eval eval;
    const char *path; /* of the SQLite file */
    bool json, quiet;
    uint64_t delay_us; /* added to each evaluation: measurements */
};
void dse_fini(struct dse *s);
/* The study in an SQLite file, read-only, and its trials. */
enum pl_status dse_open(struct dse *s, const char *path, struct pl_study_trial **t, size_t *n);
/* Progress with the hypervolume so far. */
void dse_progress(struct dse *s, struct progress *p);

/* Work on the study until it is done, in this process. */
enum pl_status dse_work(struct dse *s);
/* Rank and size if a launcher such as mpirun started this process; false otherwise. */
bool dse_launched(unsigned *rank, unsigned *size);
/* Rank 0: hand trials to the other ranks, and take part when there are none. */
enum pl_status dse_lead(struct dse *s);
/* The other ranks: evaluate what rank 0 sends until it is done. Exit code. */
int dse_follow(struct dse *s);

int dse_run(const struct verb *v, int argc, char **argv);
int dse_sweep(const struct verb *v, int argc, char **argv);
int dse_ls(const struct verb *v, int argc, char **argv);
int dse_show(const struct verb *v, int argc, char **argv);
int dse_best(const struct verb *v, int argc, char **argv);
int dse_export(const struct verb *v, int argc, char **argv);
#endif
