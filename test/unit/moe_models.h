/* moe_models.h - small models with experts, one for each way of routing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOE_MODELS_H
#define MOE_MODELS_H
#include "plena/model.h"

#define MOE_BASE                                                                                                                    \
    .vocab = 96, .hidden = 64, .ffn = 80, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .max_position = 512,        \
    .rms_eps = 1e-5, .rope_theta = 10000, .rope = {.attention = 1, .softmax = 1}, .bos = -1
#define MOE_NO_GROUPS .groups = 1, .top_groups = 1, .group_top = 1

static const struct {
    const char *name;
    struct pl_model_config c;
} moe_models[] = {
    {"softmax of 2 of 8", {MOE_BASE, .sparse = {3}, .moe = {.experts = 8, .top_k = 2, .ffn = 48, MOE_NO_GROUPS, .scale = 1}}},
    {"softmax of all, 3 of 18, a dense layer last, grouped, 2 shared",
     {MOE_BASE, .sparse = {1}, .moe = {.experts = 18, .top_k = 3, .ffn = 40, .shared = 2, .groups = 6, .top_groups = 2, .group_top = 1,
                                       .score = PL_MOE_SOFTMAX, .scale = 1.5}}},
    {"sigmoid, 4 of 24, biased choice, a dense layer first",
     {MOE_BASE, .sparse = {2}, .moe = {.experts = 24, .top_k = 4, .ffn = 24, .shared = 1, .groups = 4, .top_groups = 2, .group_top = 2,
                                       .score = PL_MOE_SIGMOID, .select_bias = true, .scale = 2.5}}},
    {"clamped, biased, 4 of 6, hidden 72",
     {MOE_BASE, .hidden = 72, .glu_limit = 0.75, .sparse = {3},
      .moe = {.experts = 6, .top_k = 4, .ffn = 72, MOE_NO_GROUPS, .scale = 1, .router_bias = true, .expert_bias = true}}},
    {"7 of 150", {MOE_BASE, .sparse = {3}, .moe = {.experts = 150, .top_k = 7, .ffn = 16, MOE_NO_GROUPS, .scale = 1}}},
    {"biased choice by softmax, 1 of 6",
     {MOE_BASE, .sparse = {3}, .moe = {.experts = 6, .top_k = 1, .ffn = 64, .groups = 2, .top_groups = 1, .group_top = 2, .select_bias = true,
                                       .scale = 1}}},
};
#endif
