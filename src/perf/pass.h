/* pass.h - what the operators of a pass share. Internal to perf. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERF_PASS_H
#define PERF_PASS_H
#include "board.h"
#include "plena/perf_time.h"

struct pass {
    struct board b;
    const struct pl_arch *arch;
    const struct pl_model_config *m; /* the model as a plain decoder, as map lays it out */
    const struct pl_model_config *full;
    struct pl_plan plan;
    struct pl_map_rows rows;
    struct pl_map_heads heads;
    struct pl_perf_pass *out;
    double times;       /* sequences of the pass, one after the other in attention */
    double pitch, tile; /* lanes; elements of an array tile */
    double weight_bits;  /* of an element, its scale included */
    bool asked;          /* the next linear layer's first weights are on their way, */
    double first_set;    /* its first set of tiles is there, */
    double transfer_cyc; /* and the last transfers take this long each */
    double began;        /* of the operator at hand */
    double glu_cols;     /* of the MLP at hand */
    double norm_cyc;     /* of a norm of the layer at hand */
};
/* Instructions of rd = value; of rd = rs + delta, where large or negative ones need a register. */
double li_cost(double value);
double add_cost(double delta);
double segs_of(const struct pass *p, double cols); /* vector rows of `cols` lanes, whole chunks */

/* Close the operator: cycles since the last call, `times` over. */
void pass_note(struct pass *p, enum pl_perf_op op, double times);

/* linear.c: rows tokens, K = k lanes in, n out. */
struct linear {
    double rows, k, n;
    double pack;              /* lanes of a packed row; 0: not packed */
    bool head;                /* logits leave chunk by chunk */
    const struct linear *next; /* whose first weights it asks for; NULL: none */
    const struct linear *twin; /* that would find its first weights in the same place; NULL: none */
};
void pass_ask(struct pass *p, const struct linear *l);
/* Cycles of HBM for the weights that a predecessor asks for. */
double pass_ahead_cyc(const struct pass *p, const struct linear *l);
void pass_linear(struct pass *p, const struct linear *l);
/* vector.c */
void pass_gains(struct pass *p); /* asks for those of both norms of the next layer */
void pass_norm(struct pass *p, double rows, double cols); /* `rows` norms over `cols` lanes each */
void pass_rope(struct pass *p, double rows, double cols, bool packed);
void pass_store(struct pass *p);
void pass_add(struct pass *p, double cols); /* live rows of `cols` lanes += others just made by the array */
void pass_glu(struct pass *p, double rows, double cols);
void pass_setup(struct pass *p);
/* heads.c */
void pass_head_norm(struct pass *p, double rows, double cols);
void pass_bias(struct pass *p, double cols, bool packed); /* asked for, and added to what the array just made */
/* attention.c: init, all KV tiles, normalise, unpack; notes its operators itself. */
void pass_attention(struct pass *p, const struct linear *o); /* o: the layer behind it, asked for under the last tile */
#endif
