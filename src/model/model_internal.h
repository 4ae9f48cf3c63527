/* model_internal.h - readers shared by the parts of config.json. Internal to model. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H
#include "plena/base_json.h"
#include "plena/model.h"

enum { MODEL_MAX_DIM = 1 << 20, MODEL_MAX_VOCAB = 1 << 24, MODEL_MAX_POSITION = 1 << 26, MODEL_MAX_EXPERTS = 4096 };

/* A whole number in 1..most; absent and not needed: *out stays. */
enum pl_status model_u32(const struct pl_json_at *at, const json_t *o, const char *key, bool need, uint64_t most, uint32_t *out,
                         struct pl_diag *d);
/* family.c */
enum pl_status model_family(const struct pl_json_at *at, const json_t *o, enum pl_family *out, struct pl_diag *d);
/* All that is not common to every family; the common dimensions are in *c. */
enum pl_status model_features(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d);
/* rope.c */
enum pl_status model_rope(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d);

/* A tensor that a checkpoint of a configuration must hold. */
struct model_want {
    char name[96];
    uint64_t rows, cols; /* rows 0: a vector of `cols` */
    bool linear;         /* MX in a quantised checkpoint */
    const struct pl_tensor **out;
};
/* tensors.c: all of them, pointing into the fields of ck, whose layers are allocated here. */
struct model_want *model_wants(struct pl_arena *a, struct pl_checkpoint *ck, size_t *n);
/* fused.c: a view of *w where the checkpoint keeps all experts in one tensor; *out is NULL where it does not. */
enum pl_status model_fused(struct pl_arena *a, const struct pl_checkpoint *ck, const struct model_want *w, const struct pl_tensor **out,
                           struct pl_diag *d);
#endif
