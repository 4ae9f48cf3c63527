/* test_families.c - the attention of every model family on the accelerator, bit for bit as in the reference executor, with seeded random
 * weights at reduced size. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "e2e_rig.h"

static const struct pl_model_config base = {.vocab = 96, .hidden = 64, .ffn = 80, .n_layers = 2, .n_heads = 8, .n_kv_heads = 2, .head_dim = 16,
                                            .max_position = 512, .rms_eps = 1e-5, .rope_theta = 10000,
                                            .rope = {.attention = 1, .softmax = 1}, .bos = -1, .moe = {.groups = 1, .top_groups = 1}};

/* Machines and formats: BLEN 4 to 16, VLEN equal to MLEN, less, more. */
static const struct combo machines[] = {
    {.machine = "small", .weight = "mxint8:16", .act = "mxint8:16", .kv = "mxint8:16"},
    {.machine = "tiny", .weight = "mxint4:8", .act = "none", .kv = "mxint4:16"},
    {.machine = "medium", .weight = "mxint4:16", .act = "mxint8:16", .kv = "mxfp4_e2m1:16"},
    {.machine = "narrow_vector", .weight = "mxfp4_e2m1:16", .act = "mxfp8_e4m3:16", .kv = "mxint8:8"},
    {.machine = "wide_vector", .weight = "mxfp8_e4m3:16", .act = "mxint8:16", .kv = "none"},
};

struct shape {
    uint32_t heads, kv_heads, dim;
};

static void check_shapes(const struct pl_model_config *model, const struct shape *shape, size_t n, uint32_t prompt, uint32_t decode,
                         uint32_t chunk)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 2; k++) { /* two machines for each shape */
            struct pl_model_config m = *model;
            struct combo c = machines[(i + 3 * k) % PL_COUNT(machines)];
            m.n_heads = shape[i].heads;
            m.n_kv_heads = shape[i].kv_heads;
            m.head_dim = shape[i].dim;
            c.random = &m;
            c.synthetic = true;
            c.prompt = prompt;
            c.decode = decode;
            c.chunk = chunk;
            print_message("%s, heads %u/%u x %u: ", pl_family_name(m.family), m.n_heads, m.n_kv_heads, m.head_dim);
            check_combo(NULL, &c);
        }
}

/* Packed rows below, at and above a vector row; no packing; heads wider than a vector row and than a tile; seven heads of a kv head. */
static const struct shape shapes[] = {{8, 2, 16}, {9, 3, 16}, {14, 2, 32}, {4, 4, 8}, {8, 1, 24}, {4, 2, 128}, {6, 2, 256}};

TEST(test_biases)
{
    (void)state;
    struct pl_model_config m = base;
    m.family = PL_FAMILY_QWEN2;
    m.qkv_bias = true;
    check_shapes(&m, shapes, PL_COUNT(shapes), 9, 5, 0);
    m.family = PL_FAMILY_LLAMA;
    m.o_bias = true;
    check_shapes(&m, shapes, 2, 9, 5, 0);
}

TEST(test_norms_of_heads)
{
    (void)state;
    struct pl_model_config m = base;
    m.family = PL_FAMILY_QWEN3;
    m.qk_norm = true;
    check_shapes(&m, shapes, PL_COUNT(shapes), 9, 5, 0);
}

/* The factors of the tables of RoPE. */
TEST(test_yarn)
{
    (void)state;
    struct pl_model_config m = base;
    m.rope = (struct pl_rope_scaling){.kind = PL_ROPE_YARN, .factor = 8, .original_max = 64, .beta_fast = 32, .beta_slow = 1, .attention = 1.2,
                                      .softmax = 0.7};
    check_shapes(&m, shapes, 2, 9, 5, 0);
}

/* Windows below, at and above a KV tile, in every layer, in some, and from a layer on; chunks that span the window's edge. */
TEST(test_windows)
{
    (void)state;
    static const struct {
        uint32_t window, layers;
        uint64_t windowed;
        uint32_t chunk;
    } w[] = {{5, 2, 3, 4}, {16, 4, 5, 16}, {33, 3, 4, 8}, {40, 5, 10, 64}, {1, 2, 1, 8}};
    for (size_t i = 0; i < PL_COUNT(w); i++) {
        struct pl_model_config m = base;
        m.family = PL_FAMILY_MISTRAL;
        m.n_layers = w[i].layers;
        m.window = w[i].window;
        m.windowed[0] = w[i].windowed;
        check_shapes(&m, shapes + i % 3, 1, 40, 24, w[i].chunk);
    }
}

/* GPT-OSS: windows in every other layer, sinks, biases, YaRN. */
TEST(test_sinks)
{
    (void)state;
    struct pl_model_config m = base;
    m.family = PL_FAMILY_GPT_OSS;
    m.sinks = true;
    check_shapes(&m, shapes, PL_COUNT(shapes), 9, 5, 0);
    m.n_layers = 4;
    m.window = 12;
    m.windowed[0] = 5;
    m.qkv_bias = m.o_bias = true;
    m.rope = (struct pl_rope_scaling){.kind = PL_ROPE_YARN, .factor = 32, .original_max = 32, .beta_fast = 32, .beta_slow = 1, .attention = 1.3,
                                      .softmax = 1};
    check_shapes(&m, shapes, 3, 30, 6, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_biases),
        cmocka_unit_test(test_norms_of_heads),
        cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_sinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
