/* random_model.h - a checkpoint of seeded random weights in memory, of any shape. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H
#include "plena/model.h"

/* Uniform in [-scale, scale), the same on every host. */
static inline const struct pl_tensor *random_tensor(struct pl_arena *a, struct pl_rng *r, uint64_t rows, uint64_t cols, double mean,
                                                    double scale)
{
    struct pl_tensor *t = PL_NEW(a, struct pl_tensor);
    float *x = PL_NEW_N(a, float, rows * cols);
    for (uint64_t i = 0; i < rows * cols; i++)
        x[i] = (float)(mean + scale * (2 * pl_rng_double(r) - 1));
    *t = (struct pl_tensor){.name = "random", .dtype_name = "F32", .dtype = PL_DTYPE_F32, .rank = rows > 1 ? 2 : 1,
                            .shape = {rows > 1 ? rows : cols, cols}, .data = (const uint8_t *)x, .bytes = 4 * rows * cols,
                            .count = rows * cols};
    return t;
}

/* Weights of variance about 1 / K and gains about 1: activations stay near 1. */
static inline struct pl_checkpoint *random_checkpoint(struct pl_arena *a, const struct pl_model_config *c, uint64_t seed)
{
    struct pl_checkpoint *ck = PL_NEW(a, struct pl_checkpoint);
    const uint64_t q = (uint64_t)c->n_heads * c->head_dim, kv = (uint64_t)c->n_kv_heads * c->head_dim, e = c->hidden;
    const double in = sqrt(3.0 / (double)e);
    struct pl_rng r;
    pl_rng_init(&r, seed);
    ck->dir = "random";
    ck->config = *c;
    ck->embed = random_tensor(a, &r, c->vocab, e, 0, 1.7);
    ck->lm_head = random_tensor(a, &r, c->vocab, e, 0, in);
    ck->final_norm = random_tensor(a, &r, 1, e, 1, 0.2);
    ck->layer = PL_NEW_N(a, struct pl_layer_tensors, c->n_layers);
    for (uint32_t l = 0; l < c->n_layers; l++)
        ck->layer[l] = (struct pl_layer_tensors){
            .input_norm = random_tensor(a, &r, 1, e, 1, 0.2),
            .q = random_tensor(a, &r, q, e, 0, 2 * in),
            .k = random_tensor(a, &r, kv, e, 0, 2 * in),
            .v = random_tensor(a, &r, kv, e, 0, in),
            .o = random_tensor(a, &r, e, q, 0, sqrt(3.0 / (double)q)),
            .post_norm = random_tensor(a, &r, 1, e, 1, 0.2),
            .gate = random_tensor(a, &r, c->ffn, e, 0, in),
            .up = random_tensor(a, &r, c->ffn, e, 0, in),
            .down = random_tensor(a, &r, e, c->ffn, 0, sqrt(3.0 / c->ffn)),
        };
    return ck;
}
#endif
