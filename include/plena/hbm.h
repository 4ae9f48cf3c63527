/* hbm.h - timing of HBM stacks: channels, banks, refresh, queues and scheduling, cycle by cycle, without data.
 *
 * Give the model requests in the order of their arrival, let it advance, take the completions. Time is counted in clocks of the
 * memory (tCK, clock_ps of the parameters). Everything is an event; idle time costs nothing. Model and figures: doc/hbm.md.
 * Source: JESD235D, JESD238; reference/hbm.md; rows of hbm.def name theirs.
 * Depends on: base.h.   Threads: one model, one thread; models share nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_HBM_H
#define PLENA_HBM_H
#include "plena/base.h"

enum { PL_HBM_TEXT = 128, PL_HBM_LANES = 4 };

/* ---- parameters ---- */
enum pl_hbm_refresh { PL_HBM_REFRESH_NONE, PL_HBM_REFRESH_ALL_BANK, PL_HBM_REFRESH_PER_BANK };
enum pl_hbm_row_policy { PL_HBM_ROW_OPEN, PL_HBM_ROW_CLOSED };
struct pl_hbm_params {
    char name[32]; /* of the preset */
#define PL_HBM_U32 uint32_t
#define PL_HBM_F64 double
#define PARAM(section, name, type, unit, dflt, least, most, source, doc) PL_HBM_##type name;
#define CHOICE(section, name, dflt, choices, source, doc) uint32_t name;
#define TEXT(section, name, dflt, source, doc) char name[PL_HBM_TEXT];
#include "plena/hbm.def"
#undef PARAM
#undef CHOICE
#undef TEXT
};

/* A preset by name; see pl_hbm_preset_name. Checked. */
enum pl_status pl_hbm_preset(const char *name, struct pl_hbm_params *out, struct pl_diag *d);
/* Name and one sentence of preset `index` from 0; NULL at the end. */
const char *pl_hbm_preset_name(size_t index);
const char *pl_hbm_preset_doc(size_t index);
/* "trp=14", "trp=14ns" or "mapping=ro ba co ch"; does not check the whole (call pl_hbm_check_params after the last). */
enum pl_status pl_hbm_set(struct pl_hbm_params *p, const char *assignment, struct pl_diag *d);
/* Ranges, relations between parameters, the claimed peak, the mapping: says which, what was found, what is allowed. */
enum pl_status pl_hbm_check_params(const struct pl_hbm_params *p, struct pl_diag *d);
/* Every parameter in the order of hbm.def, its value as text. */
void pl_hbm_each(const struct pl_hbm_params *p,
                 void (*visit)(void *ctx, const char *section, const char *name, const char *value, bool number), void *ctx);
void pl_hbm_help(struct pl_buf *out); /* one entry per parameter: type, unit, default, range, source, meaning */
uint32_t pl_hbm_access_bytes(const struct pl_hbm_params *p); /* bytes of one column command */
uint64_t pl_hbm_capacity(const struct pl_hbm_params *p);     /* bytes of all stacks */
double pl_hbm_peak_gbs(const struct pl_hbm_params *p);       /* GB/s of all stacks, from width, burst and clock */

/* Where an address lies. */
struct pl_hbm_place {
    uint32_t stack, channel, pseudo, group, bank, row, column; /* column counts accesses */
};
enum pl_status pl_hbm_map(const struct pl_hbm_params *p, uint64_t addr, struct pl_hbm_place *out, struct pl_diag *d);

/* ---- the model ---- */
/* `count` pieces of `bytes` bytes, `stride` apart, read or written; one line is {addr, 64}. Done when the last byte is. */
struct pl_hbm_request {
    uint64_t addr, bytes, stride;
    uint64_t count;   /* 0 means 1 */
    uint64_t arrival; /* tCK; not before pl_hbm_now nor before the request submitted last */
    uint64_t tag;     /* handed back */
    bool write;
    uint8_t lane;     /* below PL_HBM_LANES: requests of one lane begin in order, and it has `ways` of its own */
};
struct pl_hbm_done {
    uint64_t tag;
    uint64_t accepted; /* the front end handed out its first access, tCK */
    uint64_t done;     /* last data at the requester, tCK */
    bool write;
};

enum pl_hbm_op { PL_HBM_ACT, PL_HBM_PRE, PL_HBM_PREA, PL_HBM_RD, PL_HBM_WR, PL_HBM_REFAB, PL_HBM_REFPB, PL_HBM_OPS };
struct pl_hbm_cmd {
    uint64_t time;    /* tCK of its first command clock */
    uint16_t channel; /* stack * channels + channel */
    uint8_t op, pseudo, bank; /* bank: group * banks + bank in group; 0 for PREA and REFab */
    uint32_t row;     /* ACT, RD, WR */
};
const char *pl_hbm_op_name(enum pl_hbm_op op);

struct pl_hbm_options {
    bool no_closed_form; /* step every event: same integers, slower */
    void (*log)(void *ctx, const struct pl_hbm_cmd *c); /* every command, in time order within a channel; may be NULL */
    void *log_ctx;
};
struct pl_hbm;
/* The parameters are checked and copied. `opt` may be NULL. */
enum pl_status pl_hbm_new(const struct pl_hbm_params *p, const struct pl_hbm_options *opt, struct pl_hbm **out, struct pl_diag *d);
void pl_hbm_free(struct pl_hbm *h);
/* Queue a request with the front end.
 * Errors: PL_ERANGE if it is empty, leaves the memory or arrives in the past; PL_ENOMEM if pl_hbm_room is 0. */
enum pl_status pl_hbm_submit(struct pl_hbm *h, const struct pl_hbm_request *r, struct pl_diag *d);
size_t pl_hbm_room(const struct pl_hbm *h);    /* requests that can be submitted now */
size_t pl_hbm_pending(const struct pl_hbm *h); /* submitted and not yet handed back */
/* Advance to `until`, or to the completion that makes the max-th, whichever is first; completions in the order (done, submission).
 * pl_hbm_now is then that completion, or `until`, or, with nothing left to do, the last completion if `until` is UINT64_MAX. With
 * max = 1 requests can be submitted from every completion on. Returns the number of completions. */
size_t pl_hbm_advance(struct pl_hbm *h, uint64_t until, struct pl_hbm_done *done, size_t max);
/* Requests pulled as the front end gets to them: for traces of any length. `next` fills *r and says true, or false at the end;
 * an arrival in the past means now. `done` may be NULL. Runs until all are done. Errors: as pl_hbm_submit, naming the request. */
struct pl_hbm_source {
    bool (*next)(void *ctx, struct pl_hbm_request *r);
    void (*done)(void *ctx, const struct pl_hbm_done *done);
    void *ctx;
};
enum pl_status pl_hbm_run(struct pl_hbm *h, const struct pl_hbm_source *src, struct pl_diag *d);
uint64_t pl_hbm_now(const struct pl_hbm *h);
/* No command or acceptance happens before this time, given no further request; UINT64_MAX if nothing is pending. */
uint64_t pl_hbm_next(struct pl_hbm *h);

/* ---- statistics ---- */
/* Why the data pins of a pseudo-channel were not busy. */
#define PL_HBM_LOSS_LIST(X)                                                                                            \
    X(IDLE, "idle", "no access was waiting")                                                                           \
    X(REFRESH, "refresh", "tRFC, and closing rows for it")                                                             \
    X(ROW, "row", "row misses: tRP, tRCD, tRAS, tRC")                                                                  \
    X(ACT, "activate", "tRRD and tFAW")                                                                                \
    X(CCD, "ccd_l", "tCCD_L: reads or writes of one bank group")                                                       \
    X(TURN, "turnaround", "tWTR and tRTW")                                                                             \
    X(BUS, "command_bus", "the command bus was taken")
enum pl_hbm_loss {
#define X(name, text, doc) PL_HBM_LOSS_##name,
    PL_HBM_LOSS_LIST(X)
#undef X
        PL_HBM_LOSSES
};
const char *pl_hbm_loss_name(enum pl_hbm_loss l);
enum { PL_HBM_HIST = 2048 + 32 * 1024 };
struct pl_hbm_stats {
    uint64_t accesses[2];     /* reads, writes: column commands and forwarded reads */
    uint64_t forwarded;       /* reads served from the write queue */
    uint64_t requests;        /* handed back */
    uint64_t hit, miss, conflict; /* row open; no row open; another row open */
    uint64_t activates, precharges, refreshes;
    uint64_t bytes[2];
    uint64_t end_cyc;         /* last data at a requester */
    uint64_t blocked_cyc;     /* the front end waited for room in a queue */
    uint64_t busy_cyc;        /* data clocks, all pseudo-channels together */
    uint64_t lost_cyc[PL_HBM_LOSSES]; /* between data, all pseudo-channels together, up to each one's last data */
    uint64_t span_cyc;        /* busy_cyc + sum of lost_cyc */
};
void pl_hbm_get_stats(struct pl_hbm *h, struct pl_hbm_stats *out);
/* Data clocks of one channel (stack * channels + channel), its pseudo-channels together. As pl_hbm_get_stats and pl_hbm_next it ends a
 * replay (doc/hbm.md): some thousand accesses are then stepped. */
uint64_t pl_hbm_channel_busy(struct pl_hbm *h, uint32_t channel);
/* Latency (acceptance to done) not exceeded by `share` of the requests, in tCK; exact below 2048, then within 1/1024. */
uint64_t pl_hbm_latency(const struct pl_hbm *h, double share);
double pl_hbm_latency_mean(const struct pl_hbm *h);
/* The largest reason not to run at peak, as a sentence in out: for people. */
const char *pl_hbm_binding(const struct pl_hbm_params *p, const struct pl_hbm_stats *s, char out[96]);

/* ---- the checker: replays commands against a table of rules, knows nothing of the model ---- */
enum pl_hbm_scope { PL_HBM_SAME_BANK, PL_HBM_SAME_GROUP, PL_HBM_SAME_PSEUDO };
struct pl_hbm_rule {
    const char *name;
    enum pl_hbm_op from, to;
    enum pl_hbm_scope scope; /* includes the narrower ones */
    uint32_t distance;       /* tCK, at least */
    uint32_t nth;            /* counted from the nth last `from`: 1, or 4 for tFAW */
};
/* Rules of states, after those of distances. */
#define PL_HBM_STATE_LIST(X)                                                                                           \
    X(ORDER, "commands of a channel in time order")                                                                    \
    X(BUS, "one command a clock on each command bus, ACT for act_cyc")                                                   \
    X(PLACE, "pseudo-channel, bank and row exist")                                                                     \
    X(ACT_OPEN, "ACT of an open bank")                                                                                 \
    X(COLUMN_CLOSED, "RD or WR of a closed bank or another row")                                                       \
    X(PRE_CLOSED, "PRE of a closed bank")                                                                              \
    X(REF_OPEN, "refresh of an open bank")                                                                             \
    X(REF_LATE, "refresh later than nine intervals")
enum pl_hbm_state_rule {
#define X(name, doc) PL_HBM_STATE_##name,
    PL_HBM_STATE_LIST(X)
#undef X
        PL_HBM_STATES
};
enum { PL_HBM_RULES = 48 };
struct pl_hbm_checker;
enum pl_status pl_hbm_checker_new(const struct pl_hbm_params *p, struct pl_hbm_checker **out, struct pl_diag *d);
void pl_hbm_checker_free(struct pl_hbm_checker *c);
size_t pl_hbm_checker_rules(const struct pl_hbm_checker *c, const struct pl_hbm_rule **out);
/* Replay one command. The first command that breaks a rule is an error naming rule, command and times; it is replayed all the same.
 * broken (may be NULL): bit i for rule i, bit (rules + s) for state rule s. */
enum pl_status pl_hbm_checker_cmd(struct pl_hbm_checker *c, const struct pl_hbm_cmd *cmd, uint64_t *broken, struct pl_diag *d);
/* For pl_hbm_options.log, ctx = the checker: remembers the first violation; pl_hbm_checker_result gives it. */
void pl_hbm_checker_log(void *ctx, const struct pl_hbm_cmd *cmd);
enum pl_status pl_hbm_checker_result(const struct pl_hbm_checker *c, uint64_t *n_commands, struct pl_diag *d);
#endif
