/* cli.h - what the subcommands share: options, set-up of a job, progress, results. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_H
#define PLENA_CLI_H
#include "plena/arch.h"
#include "plena/base.h"
#include "plena/base_json.h"
#include "plena/model.h"
#include "plena/mx_plan.h"
#include "plena/obj.h"
#include "plena/sim.h"

/* ---- options ---- */
enum opt_type { OPT_FLAG, OPT_TEXT, OPT_U64, OPT_U64_OR, OPT_LIST }; /* U64_OR: 10 unless a number follows */
enum { LIST_MAX = 64 };
struct opt_list {
    const char *v[LIST_MAX];
    size_t n;
};
struct opt {
    const char *name; /* without dashes; one letter: short option */
    enum opt_type type;
    void *out;        /* bool, const char *, uint64_t, struct opt_list */
    const char *arg, *doc;
};
struct verb {
    const char *name, *args, *doc; /* args: "MODEL [options]" */
    int (*run)(const struct verb *v, int argc, char **argv);
};
/* The whole command line, for provenance. */
extern char **cli_argv;

/* Parse argv[1..] (argv[0] is the verb). Positional arguments go to pos, at most max_pos. Returns -1 to go on, or the
 * exit code: --help printed (0), or a message (2). */
int cli_options(const struct verb *v, int argc, char **argv, const struct opt *o, size_t n_opt, const char **pos,
                size_t max_pos, size_t *n_pos);
int cli_fail(enum pl_status s, const struct pl_diag *d); /* prints "plena: ..." and gives the exit code */
int cli_usage(const struct verb *v, const char *fmt, ...) PL_PRINTF(2, 3);

/* ---- a job: machine, formats, checkpoint ---- */
struct job {
    struct pl_arena arena;
    struct pl_diag d;
    /* from the command line */
    const char *machine, *config, *weights, *act, *kv;
    struct opt_list set;
    bool json, print_config;
    uint64_t threads;
    /* resolved */
    const char *model;
    struct pl_arch arch;
    struct pl_format format[3]; /* weight, act, kv */
    struct pl_checkpoint *ck;
    struct pl_tokenizer *tok; /* NULL: the folder has none */
};
#define JOB_MACHINE_OPTS(j)                                                                                            \
    {"machine", OPT_TEXT, &(j)->machine, "NAME|FILE", "shipped machine or YAML file (default small)"},                 \
        {"config", OPT_TEXT, &(j)->config, "FILE", "YAML laid over the machine"},                                      \
        {"set", OPT_LIST, &(j)->set, "KEY=VALUE", "one machine parameter; repeatable; see plena help machine"},        \
        {"print-config", OPT_FLAG, &(j)->print_config, NULL, "print the resolved machine and stop"},                   \
        {"json", OPT_FLAG, &(j)->json, NULL, "result as one JSON object on stdout"},                                   \
    {                                                                                                                  \
        "j", OPT_U64, &(j)->threads, "N", "host threads (default all); results do not depend on it"                    \
    }
#define JOB_FORMAT_OPTS(j)                                                                                             \
    {"weights", OPT_TEXT, &(j)->weights, "FORMAT", "weight format, e.g. mxint8:16, mxfp4_e2m1, none"},                 \
        {"act", OPT_TEXT, &(j)->act, "FORMAT", "activation format"},                                                   \
    {                                                                                                                  \
        "kv", OPT_TEXT, &(j)->kv, "FORMAT", "KV cache format"                                                          \
    }
void job_init(struct job *j);
void job_fini(struct job *j);
/* Machine, overlay, settings, formats; a failure leaves its message in j->d. */
enum pl_status job_machine(struct job *j);
/* Checkpoint and tokenizer; NULL or a bare name means one of the examples. */
enum pl_status job_model(struct job *j, const char *model);
/* Only the configuration of a checkpoint, or of a config.json alone: for programs without weights. */
enum pl_status job_config(struct job *j, const char *model);
/* After job_machine: --print-config asked for? Then print and return true. */
bool job_printed_config(const struct job *j);

const char *job_find_model(struct job *j, const char *model); /* a folder, or one of the examples */

/* ---- texts as token ids ---- */
struct sequence {
    uint32_t *ids;
    size_t n;
};
struct texts {
    const char *file;              /* .jsonl (fields ids or text) or plain text */
    uint64_t context, limit, skip; /* context 0: 512 or the model's; limit 0: all */
    struct sequence *seq;
    size_t n_seq, longest;
    struct job *j;
    uint64_t skipped;
};
/* After job_model. Errors when no sequence has two tokens. */
enum pl_status texts_read(struct job *j, struct texts *t);

/* ---- results ---- */
/* {"schema", "version", "command", "machine"}: the head of every result. */
json_t *cli_result(const char *schema, const struct pl_arch *arch); /* arch NULL: without the machine */
/* For pl_arch_each and pl_hbm_each, ctx = a JSON object: root[section][name] = value. */
void cli_put_param(void *ctx, const char *section, const char *name, const char *value, bool number);
void cli_print_json(json_t *v); /* and release it */
enum pl_status cli_write_json(const char *path, json_t *v, struct pl_diag *d); /* and release it */
json_t *cli_plan_json(const struct pl_plan *p);
/* Text as JSON: bytes that are no UTF-8 become U+FFFD. */
json_t *cli_text_json(const char *s, size_t len);

/* ---- simulation statistics ---- */
/* n_hot: how many of the dearest instruction words to list; 0 = the default. */
json_t *stats_json(const struct pl_sim_stats *s, const struct pl_image *img, const struct pl_arch *arch, uint64_t n_hot);
void stats_print(const struct pl_sim_stats *s, const struct pl_image *img, const struct pl_arch *arch, struct pl_buf *out);

/* ---- progress on stderr: a bar on a terminal, a line a minute elsewhere ---- */
struct progress {
    const char *what;
    uint64_t total, start_ns, last_ns;
    bool tty, shown;
};
void progress_start(struct progress *p, const char *what, uint64_t total);
void progress_at(struct progress *p, uint64_t done);
void progress_end(struct progress *p);

/* ---- the subcommands ---- */
int cmd_quantize(const struct verb *v, int argc, char **argv);
int cmd_run(const struct verb *v, int argc, char **argv);
int cmd_eval(const struct verb *v, int argc, char **argv);
int cmd_compile(const struct verb *v, int argc, char **argv);
int cmd_sim(const struct verb *v, int argc, char **argv);
int cmd_asm(const struct verb *v, int argc, char **argv);
int cmd_dis(const struct verb *v, int argc, char **argv);
int cmd_verify(const struct verb *v, int argc, char **argv);
int cmd_hbm(const struct verb *v, int argc, char **argv);
int cmd_info(const struct verb *v, int argc, char **argv);
int cmd_machine(const struct verb *v, int argc, char **argv);
int cmd_bench(const struct verb *v, int argc, char **argv);
#endif
