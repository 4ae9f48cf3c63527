/* perf_time.h - the analytic model, time: cycles of each operator of a pass in closed form, and of a whole request.
 *
 * Row counts, tilings and layouts are map's, latencies are arch_timing's. An operator takes as long as the slowest of front
 * end, array, dependences between its vector and scalar operations, and HBM; a pass has a part that does not depend on the
 * context and one for every KV tile before the last, so that a request of any length is two sums. Error against the
 * simulator: plena bench fidelity; how it works: doc/cost.md.   Depends on: map.h, perf.h.   Threads: pure functions that
 * allocate nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PERF_TIME_H
#define PLENA_PERF_TIME_H
#include "plena/map.h"
#include "plena/perf.h"

/* Operators as the simulator's statistics name them; norms and residuals of a layer are one. */
#define PL_PERF_OP_LIST(X)                                                                                     \
    X(SETUP, "setup") X(NORM, "norm") X(Q, "q_proj") X(K, "k_proj") X(V, "v_proj") X(HEAD_NORM, "head_norm") X(ROPE, "rope")              \
    X(STORE, "kv_store") X(INIT, "init") X(GATHER, "gather") X(LOAD, "load") X(QK, "qk") X(SOFTMAX, "softmax") X(PV, "pv")          \
    X(UPDATE, "update") X(NORMALISE, "normalise") X(UNPACK, "unpack") X(O, "o_proj") X(RESIDUAL, "residual")    \
    X(GATE, "gate_proj") X(UP, "up_proj") X(GLU, "swiglu") X(DOWN, "down_proj") X(ROUTE, "router") X(LM_HEAD, "lm_head")
enum pl_perf_op {
#define X(id, name) PL_PERF_OP_##id,
    PL_PERF_OP_LIST(X)
#undef X
    PL_PERF_OPS
};
const char *pl_perf_op_name(enum pl_perf_op op);

struct pl_perf_op_cost { /* cycles of the front end in this operator, issuing or waiting, over all layers */
    double fixed_cyc;    /* with one KV tile */
    double tile_cyc;     /* for each further one in layers without a window */
    double window_cyc;   /* and in windowed ones */
};
struct pl_perf_pass {
    struct pl_perf_op_cost op[PL_PERF_OPS];
    double fixed_cyc, tile_cyc, window_cyc; /* sums; the drain at the end included */
    double fixed_bytes, tile_bytes, window_bytes; /* HBM traffic */
    double fixed_array, tile_array, window_array; /* cycles in which the array takes a product */
    uint32_t rows, kv_tile, window; /* rows: of one sequence's attention; window 0: none */
};
/* One pass of `rows` live tokens (a power of two; 1: decode) as the compiler lays it out. head: the logits of one row
 * follow. Errors: those of pl_map_plan and pl_map_fit_rows. */
enum pl_status pl_perf_pass(const struct pl_arch *arch, const struct pl_model_config *m, uint32_t rows, struct pl_perf_pass *out,
                            struct pl_diag *d);
/* KV tiles behind the first of a sequence whose last token has `position` others before it: all, and in windowed layers. */
struct pl_perf_tiles {
    double all, window;
};
struct pl_perf_tiles pl_perf_tiles(const struct pl_perf_pass *p, uint64_t position);
/* Cycles of a pass, and of an operator of it, whose last token has `position` others before it. */
double pl_perf_pass_cycles(const struct pl_perf_pass *p, uint64_t position);
double pl_perf_op_cycles(const struct pl_perf_pass *p, enum pl_perf_op op, struct pl_perf_tiles tiles);

/* A decode pass of `batch` sequences, one token each: as pl_perf_pass with one KV tile for every sequence; tile_cyc is that
 * of one further KV tile of one of them, and `rows` is 1. Errors: as pl_map_batch_rows. */
enum pl_status pl_perf_batch_pass(const struct pl_arch *arch, const struct pl_model_config *m, uint32_t batch, struct pl_perf_pass *out,
                                  struct pl_diag *d);
/* Its cycles with sequences of mixed lengths: position[n], tokens before the one at hand. */
double pl_perf_batch_cycles(const struct pl_perf_pass *p, const uint64_t *position, size_t n);

struct pl_perf_job {
    uint64_t prompt, output; /* tokens of a sequence */
    uint64_t batch;          /* sequences, one after the other in prefill, decoded together */
    uint32_t chunk;          /* most tokens of a prefill pass */
};
struct pl_perf_time {
    double ttft_cyc;   /* prefill of one sequence */
    double decode_cyc; /* all decode steps */
    double ttft_s, step_s, tps; /* mean step; tokens/s of decode, all sequences */
    double hbm_bytes;  /* prefill of one sequence and all decode steps */
    double hbm_share, array_share; /* of the peaks, in decode: bytes; cycles in which the array takes a product */
};
/* One design point: prefill and decode of the job on one device. No allocation, no table kept between calls.
 * Errors: as pl_perf_pass; PL_ERANGE for a job without tokens. */
enum pl_status pl_perf_eval(const struct pl_arch *arch, const struct pl_model_config *m, const struct pl_perf_job *job,
                            struct pl_perf_time *out, struct pl_diag *d);
#endif
