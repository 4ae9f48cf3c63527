/* model.h - a small Llama-architecture model in float32 with its gradient, for training the example checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H
#include <stddef.h>
#include <stdint.h>

struct shape {
    int vocab, hidden, ffn, layers, heads, kv_heads, head_dim; /* V E F L H K D */
    float theta, eps;
};
struct layer_weights { /* every matrix [out][in] */
    float *norm1, *q, *k, *v, *o, *norm2, *gate, *up, *down;
};
struct weights {
    float *all; /* one block, `count` floats, so that the optimiser is one loop */
    size_t count;
    float *embed, *final_norm, *head;
    struct layer_weights *layer;
};
struct activations; /* everything the backward pass needs */

void weights_init(struct weights *w, const struct shape *s); /* zeros */
void weights_free(struct weights *w);
struct activations *activations_new(const struct shape *s, int batch, int tokens);
void activations_free(struct activations *a);
/* Mean -ln p of targets[B*T] (negative: not counted); with grad not NULL adds its gradient (grad is set, not added). */
double model_loss(const struct shape *s, const struct weights *w, struct activations *a, const int32_t *ids,
                  const int32_t *targets, int batch, int tokens, struct weights *grad);
/* Logits of the last forward pass: [B*T][V] probabilities after model_loss. */
const float *model_probabilities(const struct activations *a);
#endif
