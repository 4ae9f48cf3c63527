/* known.c - hyperparameters of the models in the paper's tables, from their config.json; enough for every count here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "plena/perf.h"

static const struct {
    const char *name;
    struct pl_model_config config;
} known[] = {
    {"llama-3.1-8b", {.vocab = 128256, .hidden = 4096, .ffn = 14336, .n_layers = 32, .n_heads = 32, .n_kv_heads = 8, .head_dim = 128,
                      .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 500000, .bos = -1}},
    {"llama-3.2-1b", {.vocab = 128256, .hidden = 2048, .ffn = 8192, .n_layers = 16, .n_heads = 32, .n_kv_heads = 8, .head_dim = 64,
                      .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 500000, .tied = true, .bos = -1}},
    {"llama-3.3-70b", {.vocab = 128256, .hidden = 8192, .ffn = 28672, .n_layers = 80, .n_heads = 64, .n_kv_heads = 8, .head_dim = 128,
                       .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 500000, .bos = -1}},
    {"gpt-oss-20b", {.family = PL_FAMILY_GPT_OSS, .vocab = 201088, .hidden = 2880, .ffn = 2880, .n_layers = 24, .n_heads = 64,
                     .n_kv_heads = 8, .head_dim = 64, .max_position = 131072, .rms_eps = 1e-5, .rope_theta = 150000, .qkv_bias = true,
                     .o_bias = true, .sinks = true, .window = 128, .glu_limit = 7, .windowed = {0x555555}, .sparse = {0xffffff},
                     .moe = {.experts = 32, .top_k = 4, .ffn = 2880, .groups = 1, .top_groups = 1, .scale = 1, .router_bias = true,
                             .expert_bias = true}, .bos = -1}},
    {"qwen3-32b", {.family = PL_FAMILY_QWEN3, .vocab = 151936, .hidden = 5120, .ffn = 25600, .n_layers = 64, .n_heads = 64,
                   .n_kv_heads = 8, .head_dim = 128, .max_position = 40960, .rms_eps = 1e-6, .rope_theta = 1000000, .qk_norm = true,
                   .bos = -1}},
};

const char *pl_perf_known_name(size_t index)
{
    return index < PL_COUNT(known) ? known[index].name : NULL;
}

bool pl_perf_known(const char *name, struct pl_model_config *out)
{
    for (size_t i = 0; i < PL_COUNT(known); i++)
        if (!strcmp(known[i].name, name)) {
            *out = known[i].config;
            out->rope.attention = out->rope.softmax = 1;
            return true;
        }
    return false;
}
