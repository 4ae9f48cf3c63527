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

/* Latents and rotated parts below, at and above tiles and vector rows; with and without a low rank of queries. */
TEST(test_latent_attention)
{
    (void)state;
    static const struct {
        uint32_t heads, kv_rank, q_rank, nope, rope, v, prompt, chunk;
        uint32_t first, end; /* machines */
    } shape[] = {{4, 32, 0, 16, 8, 16, 9, 0, 0, 3},     {6, 48, 24, 16, 16, 24, 9, 4, 1, 5}, {16, 128, 40, 32, 16, 32, 9, 8, 2, 5},
                 {5, 64, 0, 24, 8, 16, 9, 1, 0, 2}, {4, 32, 0, 16, 8, 16, 38, 16, 1, 2}};
    for (size_t i = 0; i < PL_COUNT(shape); i++)
        for (size_t k = shape[i].first; k < shape[i].end; k++) {
            struct pl_model_config m = base;
            struct combo c = machines[k];
            m.family = i % 2 ? PL_FAMILY_DEEPSEEK_V3 : PL_FAMILY_DEEPSEEK_V2;
            m.mla = (struct pl_mla){shape[i].kv_rank, shape[i].q_rank, shape[i].nope, shape[i].rope, shape[i].v};
            m.n_heads = shape[i].heads;
            m.n_kv_heads = 1;
            m.head_dim = m.mla.nope + m.mla.rope;
            m.rope.softmax = 1.1;
            c.random = &m;
            c.synthetic = true;
            c.prompt = shape[i].prompt;
            c.decode = 5;
            c.chunk = shape[i].chunk;
            print_message("%s, %u heads, rank %u: ", pl_family_name(m.family), m.n_heads, m.mla.kv_rank);
            check_combo(NULL, &c);
        }
}

/* Words of the whole image of a public model, its experts left out, with this many layers; 0: all. */
static size_t words(const char *file, uint32_t layers)
{
    struct pl_arena a;
    struct pl_checkpoint *ck;
    struct pl_arch arch;
    struct pl_image img;
    pl_arena_init(&a);
    OK(pl_checkpoint_describe(&a, file, &ck, &d));
    ck->config.moe = base.moe;
    memset(ck->config.sparse, 0, sizeof ck->config.sparse);
    ck->config.n_layers = layers ? layers : ck->config.n_layers;
    OK(pl_arch_load("paper", &arch, &d));
    OK(pl_arch_set(&arch, "hbm_bytes=1099511627776", &d));
    const struct pl_comp_options opt = {.context = 4096, .no_weights = true};
    OK(pl_comp_model(&a, ck, &arch, &opt, &img, &d));
    OK(pl_isa_check(img.code, img.n_code, &d));
    if (!layers)
        print_message("%-18s: prefill %llu words, decode %zu\n", strrchr(file, '/') + 1,
                      (unsigned long long)(img.entry[1].value - img.entry[0].value), img.n_code - (size_t)img.entry[1].value);
    const size_t n = img.n_code;
    pl_checkpoint_close(ck);
    pl_arena_fini(&a);
    return n;
}

/* The attention of public models compiles at full size, to code that does not grow with the number of layers: a layer of
 * each kind, here in patterns of one and of two, is written once. */
TEST(test_full_size)
{
    (void)state;
    static const char *const name[] = {"llama-3.1-8b", "llama-3.3-70b", "smollm2-135m",     "qwen2.5-7b",
                                       "qwen3-32b",    "gpt-oss-20b",   "deepseek-v2-lite", "deepseek-v3"};
    for (size_t i = 0; i < PL_COUNT(name); i++) {
        char path[96];
        snprintf(path, sizeof path, "models/configs/%s.json", name[i]);
        const char *file = shared_path(path);
        if (file)
            assert_int_equal(words(file, 0), words(file, 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_biases),
        cmocka_unit_test(test_norms_of_heads),
        cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_sinks),
        cmocka_unit_test(test_latent_attention),
        cmocka_unit_test(test_full_size),
    };
    cmocka_set_test_filter(getenv("FAMILY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
