/* nn_internal.h - the executor's state: one of a float, a double, or a quantised model. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NN_INTERNAL_H
#define NN_INTERNAL_H
#include "plena/nn.h"

struct qmodel;
struct fmodel;
struct pl_nn {
    const struct pl_checkpoint *ck;
    const struct pl_model_config *cfg;
    enum pl_nn_mode mode;
    uint32_t context, length; /* tokens held */
    struct fmodel *f;         /* F32, F64 */
    struct qmodel *q;         /* QUANT */
};
enum pl_status fmodel_new(const struct pl_nn *nn, struct fmodel **out, struct pl_diag *d);
void fmodel_free(struct fmodel *f);
void fmodel_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits);

enum pl_status qmodel_new(const struct pl_nn *nn, const struct pl_plan *plan, struct qmodel **out, struct pl_diag *d);
void qmodel_free(struct qmodel *q);
void qmodel_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits);

void *nn_alloc(size_t n, size_t size); /* zeroed; aborts */
#endif
