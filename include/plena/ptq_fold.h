/* ptq_fold.h - a checkpoint whose weights hold function-preserving transforms: rotations, orders and scales of channels.
 *
 * Every transform changes what a product sees and, exactly in real arithmetic, undoes it in the weights: nothing is left
 * for the machine to do, but for the rotations it does itself (config.rotate).
 *   residual stream   x R; gains folded into what reads it, R into q k v gate up lm_head, R^T into o, down, embedding
 *   values            every head's V in R, so o_proj's inputs too: v's rows, o's columns
 *   ffn               gate's and up's rows ordered; down's columns in turn
 *   scales            a channel divided by s where it is made (gain; row of v, up or k), its weights (rows of q) times s
 *   online            inputs through H on the machine, the columns of their weights times H / lanes
 * Source: shared/reference/quantization.md, 3.2, 3.4, 8.6, 8.7; doc/quantization.md.   Depends on: base.h, model.h.
 * Threads: OpenMP inside; results do not depend on the thread count. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_PTQ_FOLD_H
#define PLENA_PTQ_FOLD_H
#include "plena/base.h"
#include "plena/model.h"

/* Scales and orders of one layer; NULL: none. Order o: new channel i is old channel o[i]. Scales > 0, of the channels in
 * their new order; of values and online rotations before the rotation, of the residual stream after it. */
struct pl_fold_layer {
    const float *scale_qkv, *scale_gate_up; /* [hidden] */
    const float *scale_o;                   /* [kv heads * head_dim]; query heads of a group share them */
    const float *scale_qk;                  /* the same; lanes i and i + head_dim / 2 alike, as RoPE turns them together */
    const float *scale_down;                /* [ffn] */
    const uint32_t *order_value;            /* [kv heads * head_dim], inside each head */
    const uint32_t *order_ffn;              /* [ffn] */
    uint32_t value;                         /* lanes of the groups a head's values are rotated in; 0: not; divides head_dim */
};
struct pl_fold_spec {
    uint32_t residual;            /* lanes of the groups the residual stream is rotated in: 0 none, hidden: full width */
    uint64_t seed;                /* of random signs before that rotation; 0: none */
    const uint32_t *order_hidden; /* [hidden], before it; or NULL */
    const float *scale_head;      /* [hidden] of lm_head's inputs, or NULL */
    uint32_t rotate[PL_SITES];    /* lanes of the groups the machine rotates a site's inputs in: powers of two; 0 none; not O */
    const struct pl_fold_layer *layer; /* [n_layers], or NULL: nothing */
    const struct pl_format *round;     /* linear layers rounded to the nearest of this MX format; NULL: not */
};
struct pl_fold;
/* Errors: PL_ERANGE for groups that do not divide their width or of no known Hadamard size; PL_EUNSUPPORTED for a quantised
 * checkpoint, and for one with biases, norms of q and k, sinks, windows, latent attention or experts; PL_ENOMEM. `ck` and what spec points to must outlive the fold. */
enum pl_status pl_fold_new(const struct pl_checkpoint *ck, const struct pl_fold_spec *spec, struct pl_fold **out, struct pl_diag *d);
void pl_fold_free(struct pl_fold *f);
/* The transformed checkpoint, float32 tensors: embedding, final norm and lm_head, and the layers loaded. Do not close it. */
const struct pl_checkpoint *pl_fold_checkpoint(const struct pl_fold *f);
/* Make layer l's tensors; those of an earlier layer go unless `keep`. PL_ENOMEM. */
enum pl_status pl_fold_load(struct pl_fold *f, uint32_t l, bool keep, struct pl_diag *d);
enum pl_status pl_fold_load_all(struct pl_fold *f, struct pl_diag *d);

/* ---- places to rotate ---- */
enum pl_rotation {
    PL_ROTATION_RESIDUAL,       /* the residual stream over its full width; folded, gains too */
    PL_ROTATION_RESIDUAL_BLOCK, /* in groups of an MX block */
    PL_ROTATION_QKV,            /* inputs in groups of an MX block, on the machine */
    PL_ROTATION_GATE_UP,
    PL_ROTATION_DOWN,
    PL_ROTATION_HEAD,
    PL_ROTATION_VALUES,         /* of every head, and so the inputs of o; folded */
    PL_ROTATIONS
};
/* Everything in groups of a block. */
#define PL_ROTATE_ALL (0x1fu << PL_ROTATION_QKV) /* QKV to VALUES */
extern const char *const pl_rotation_name[PL_ROTATIONS];
/* "none", "all", or names with commas between; a set of bits 1 << enum pl_rotation. PL_EUSAGE. */
enum pl_status pl_rotations_parse(const char *text, unsigned *out, struct pl_diag *d);
void pl_rotations_name(unsigned which, char out[64]);
/* The transform of a set, in groups of `block` lanes (a power of two), or of its largest part that divides a width. */
void pl_rotations_spec(struct pl_arena *a, const struct pl_model_config *c, unsigned which, uint32_t block, struct pl_fold_spec *out);
#endif
