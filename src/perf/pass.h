/* pass.h - what the operators of a pass share. Internal to perf. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERF_PASS_H
#define PERF_PASS_H
#include "board.h"
#include "plena/perf_time.h"

struct pass {
    struct board b;
    const struct pl_arch *arch;
    const struct pl_model_config *m;
    struct pl_plan plan;
    struct pl_map_rows rows;
    struct pl_map_heads heads;
    struct pl_perf_pass *out;
    double pitch, tile; /* lanes; elements of an array tile */
    double weight_bits;  /* of an element, its scale included */
    double asked;        /* when the weights of the next linear layer can be asked for */
    double began;        /* of the operator at hand */
};
/* Instructions of rd = value; of rd = rs + delta, where large or negative ones need a register. */
double li_cost(double value);
double add_cost(double delta);
double segs_of(const struct pass *p, double cols); /* vector rows of `cols` lanes, whole chunks */

/* Close the operator: cycles since the last call, `times` over. */
void pass_note(struct pass *p, enum pl_perf_op op, double times);

/* linear.c: rows tokens, K = cols lanes in, n out. */
struct linear {
    double rows, k, n;
    double weights; /* rows of the weight that exist: n, without the lanes nobody has */
    bool head;      /* logits leave chunk by chunk */
    double pack;    /* lanes of a packed row; 0 */
};
void pass_linear(struct pass *p, const struct linear *l);
/* vector.c */
void pass_gains(struct pass *p); /* asks for those of both norms of the next layer */
void pass_norm(struct pass *p, double rows);
void pass_rope(struct pass *p, double rows, double cols, bool packed);
void pass_store(struct pass *p);
void pass_residual(struct pass *p);
void pass_glu(struct pass *p);
void pass_setup(struct pass *p);
/* attention.c: init, all KV tiles, normalise, unpack; notes its operators itself, `layers` over, windowed ones of `window`. */
void pass_attention(struct pass *p, double layers);
#endif
