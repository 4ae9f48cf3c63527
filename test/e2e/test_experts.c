/* test_experts.c - layers with experts on the accelerator, bit for bit as in the reference executor: every way of routing, machines x
 * formats. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "e2e_rig.h"
#pragma GCC diagnostic ignored "-Woverride-init" /* MOE_BASE and what differs from it */
#include "../unit/moe_models.h"

static const struct combo machines[] = {
    {.machine = "small", .weight = "mxint8:16", .act = "mxint8:16", .kv = "mxint8:16"},
    {.machine = "tiny", .weight = "mxint4:8", .act = "none", .kv = "mxint4:16"},
    {.machine = "medium", .weight = "mxint4:16", .act = "mxint8:16", .kv = "mxfp4_e2m1:16"},
    {.machine = "narrow_vector", .weight = "mxfp4_e2m1:16", .act = "mxfp8_e4m3:16", .kv = "mxint8:8"},
    {.machine = "wide_vector", .weight = "mxfp8_e4m3:16", .act = "mxint8:16", .kv = "none"},
    {.machine = "small", .set = "vector_format=fp16", .weight = "none", .act = "none", .kv = "none"},
};

/* Chunks of 16 with a tail of 5 tokens, then tokens one by one. */
TEST(test_every_routing)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(moe_models); i++)
        for (size_t k = 0; k < 3; k++) { /* half of them for each */
            struct combo c = machines[(i + 2 * k) % PL_COUNT(machines)];
            c.random = &moe_models[i].c;
            c.synthetic = true;
            c.prompt = 21;
            c.decode = 6;
            c.chunk = 16;
            print_message("%s: ", moe_models[i].name);
            check_combo(NULL, &c);
        }
}

/* Everything of GPT-OSS: sinks, every other layer windowed, YaRN, biases, clamped activation. And of Qwen3-MoE: norms of heads. */
static const struct pl_model_config gpt_oss = {
    MOE_BASE, .family = PL_FAMILY_GPT_OSS, .n_layers = 4, .qkv_bias = true, .o_bias = true, .sinks = true, .window = 9, .windowed = {5},
    .rope = {.kind = PL_ROPE_YARN, .factor = 8, .original_max = 32, .beta_fast = 32, .beta_slow = 1, .attention = 1.2, .softmax = 1},
    .glu_limit = 1, .sparse = {15}, .moe = {.experts = 8, .top_k = 4, .ffn = 64, MOE_NO_GROUPS, .scale = 1, .router_bias = true, .expert_bias = true}};
static const struct pl_model_config qwen3 = {
    MOE_BASE, .family = PL_FAMILY_QWEN3_MOE, .n_layers = 5, .qk_norm = true, .sparse = {0x16},
    .moe = {.experts = 16, .top_k = 4, .ffn = 32, MOE_NO_GROUPS, .scale = 1}};

/* DeepSeek-V3: latent attention with a low rank of queries, groups, a dense layer first, a shared expert. And V2-Lite without the rank. */
static const struct pl_model_config deepseek[2] = {
    {MOE_BASE, .family = PL_FAMILY_DEEPSEEK_V3, .n_layers = 3, .n_kv_heads = 1, .head_dim = 24, .sparse = {6}, .mla = {32, 24, 16, 8, 16},
     .moe = {.experts = 16, .top_k = 4, .ffn = 24, .shared = 1, .groups = 4, .top_groups = 2, .group_top = 2, .score = PL_MOE_SIGMOID,
             .select_bias = true, .scale = 2.5}},
    {MOE_BASE, .family = PL_FAMILY_DEEPSEEK_V2, .n_layers = 3, .n_kv_heads = 1, .head_dim = 24, .sparse = {6}, .mla = {32, 0, 16, 8, 16},
     .moe = {.experts = 8, .top_k = 3, .ffn = 24, .shared = 2, MOE_NO_GROUPS, .score = PL_MOE_SOFTMAX, .scale = 1}}};

static void check_whole(const struct pl_model_config *model, struct combo c)
{
    c.random = model;
    c.synthetic = true;
    c.prompt = 19;
    c.decode = 9;
    c.chunk = 8;
    print_message("%s: ", pl_family_name(model->family));
    check_combo(NULL, &c);
}

TEST(test_deepseek)
{
    (void)state;
    for (size_t i = 0; i < 6; i++)
        check_whole(&deepseek[i % 2], machines[i % PL_COUNT(machines)]);
}

TEST(test_whole_families)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 2 * i; k < 2 * i + 3; k++)
            check_whole(i ? &qwen3 : &gpt_oss, machines[k]);
}

/* A batch is a pass of many tokens: sorted by expert, it gives each the bits it has alone. */
TEST(test_batches)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(moe_models); i++) {
        struct combo c = machines[i % PL_COUNT(machines)];
        c.random = &moe_models[i].c;
        c.synthetic = true;
        c.prompt = 11;
        c.chunk = 4;
        print_message("%s: ", moe_models[i].name);
        check_batch(&c, NULL, 2 + i % 4, 4);
    }
}

/* Timing alone has no logits to route by: V_ROUTE takes turns. Stepping every pass of every loop gives the same cycles, and the loads are
 * those of as many experts as the tokens can have. */
TEST(test_timing_alone)
{
    (void)state;
    struct combo c = machines[0];
    struct setup s;
    uint64_t cycles[2], bytes[2];
    c.random = &moe_models[4].c; /* 7 of 150 */
    c.synthetic = true;
    c.prompt = 16;
    c.decode = 1;
    c.chunk = 16;
    open_setup(&s, NULL, &c);
    for (unsigned step = 0; step < 2; step++) {
        const struct pl_sim_options so = {.timing = true, .no_fast_forward = step};
        static const uint32_t ids[16];
        struct pl_host *h;
        OK(pl_host_new(&s.arch, &s.img, &so, &h, &d));
        OK(pl_host_forward(h, ids, 16, false, NULL, NULL, &d));
        const struct pl_sim_stats *st = pl_sim_stats(pl_host_sim(h));
        cycles[step] = st->cycles;
        bytes[step] = 0;
        for (size_t i = 0; i < s.img.n_op; i++)
            bytes[step] += strstr(s.img.op[i].name, "experts.gate_proj") ? st->op[i].hbm_bytes : 0;
        pl_host_free(h);
    }
    assert_int_equal(cycles[0], cycles[1]);
    assert_int_equal(bytes[0], bytes[1]);
    /* 16 tokens of 7 experts each reach 112 of 150 in each of 2 layers; an expert's gate is 16 x 64 mxint8:16 in a tile of its own */
    assert_int_equal(bytes[0], 2 * 112 * (16 * 64 + 16 * 4));
    close_setup(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_routing), cmocka_unit_test(test_whole_families), cmocka_unit_test(test_deepseek), cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_timing_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
