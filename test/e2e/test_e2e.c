/* test_e2e.c - the accelerator's logits equal the reference executor's, bit for bit: prompt and decode, machines x formats. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "e2e_rig.h"

#include "plena/isa.h"

/* BLEN 4, 8, 16; MLEN 16, 64, 128; VLEN equal to MLEN, a quarter, four times; every family of formats on every side. */
static const struct combo combos[] = {
    {"small", NULL, "mxint8:16", "mxint8:16", "mxint8:16", 64, 32, 0, NULL, false},
    {"tiny", NULL, "mxint8:16", "mxint8:16", "mxint8:16", 64, 32, 0, NULL, false},
    {"medium", NULL, "mxint4:16", "mxint8:16", "mxint4:16", 64, 32, 0, NULL, false},
    {"narrow_vector", NULL, "mxfp4_e2m1:16", "mxfp8_e4m3:16", "mxint8:8", 64, 32, 0, NULL, false},
    {"wide_vector", NULL, "mxfp8_e4m3:16", "mxint8:16", "mxfp4_e2m1:16", 64, 32, 0, NULL, false},
    {"medium", "vlen=32", "none", "none", "none", 64, 32, 0, NULL, false},
    {"small", "vector_format=bf16", "mxint8:32", "mxfp8_e5m2:32", "mxfp8_e4m3:16", 64, 32, 13, NULL, false},
    {"tiny", "rotate_k=0", "mxint4:8", "none", "mxint4:16", 64, 32, 0, NULL, false},
    {"narrow_vector", "blen=16", "none", "mxint4:16", "mxfp6_e3m2:4", 64, 32, 0, NULL, false},
    {"small", "blen=8", "mxfp6_e2m3:16:ceil", "mxint8:64", "none", 64, 32, 5, NULL, false},
    {"medium", "vector_format=fp16", "mxint8:16:search", "mxfp4_e2m1:16", "mxint8:16", 64, 32, 0, NULL, false},
};

static void check_all(const char *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < PL_COUNT(combos); i++)
        check_combo(model, &combos[i]);
}

TEST(test_stories260k)
{
    (void)state;
    check_all(shared_path("models/stories260k"));
}

TEST(test_example)
{
    (void)state;
    struct combo c = combos[0];
    c.prompt = 70;
    c.decode = 10;
    check_combo(source_path("examples/agent-0.8m"), &c);
    c = combos[4];
    c.prompt = 21;
    c.decode = 4;
    check_combo(source_path("examples/agent-0.8m"), &c);
}

TEST(test_bytelm)
{
    (void)state;
    const char *model = shared_path("models/bytelm");
    for (size_t i = 0; model && i < 5; i++) {
        struct combo c = combos[i];
        c.prompt = 20;
        c.decode = 4;
        check_combo(model, &c);
    }
}

static const struct pl_model_config random_shape = {.vocab = 96, .ffn = 80, .n_layers = 2, .max_position = 512, .rms_eps = 1e-5,
                                                    .rope_theta = 10000, .rope = {.attention = 1, .softmax = 1}, .bos = -1};

/* Query heads as rows of the array: none to pack, fewer and more than BLEN, one kv head, K*hs below, at and above PITCH
 * and no part of it, heads wider than a tile and than a vector row, lanes of a tile's heads that end inside a vector row,
 * K of q_proj in several groups. */
TEST(test_shapes_of_heads)
{
    (void)state;
    static const struct {
        uint32_t hidden, heads, kv_heads, dim;
        const char *set;
        uint32_t first, end; /* machines */
    } shape[] = {{64, 8, 2, 16, NULL, 0, 5}, {64, 4, 4, 16, NULL, 0, 5}, {48, 12, 1, 8, NULL, 0, 5}, {64, 12, 2, 32, NULL, 0, 5},
                 {72, 6, 3, 24, NULL, 0, 5}, {96, 9, 3, 16, NULL, 0, 5}, {64, 20, 4, 64, NULL, 0, 5}, {64, 8, 1, 256, NULL, 0, 5},
                 {64, 5, 5, 16, NULL, 0, 5}, {64, 5, 5, 16, "vlen=32", 2, 3}, {64, 20, 10, 16, NULL, 0, 5},
                 {256, 8, 2, 16, "matrix_tiles=4", 0, 4}, {256, 8, 2, 16, "matrix_tiles=16", 4, 5}};
    for (size_t i = 0; i < PL_COUNT(shape); i++)
        for (size_t k = shape[i].first; k < shape[i].end; k++) {
            struct pl_model_config m = random_shape;
            m.hidden = shape[i].hidden;
            m.n_heads = shape[i].heads;
            m.n_kv_heads = shape[i].kv_heads;
            m.head_dim = shape[i].dim;
            struct combo c = combos[k];
            c.random = &m;
            c.set = shape[i].set;
            c.prompt = 9;
            c.decode = 60;
            print_message("heads %u/%u x %u: ", m.n_heads, m.n_kv_heads, m.head_dim);
            check_combo(NULL, &c);
        }
}

/* The same model in less and less Vector SRAM: heads spread and packed, only packed, one after another. */
TEST(test_little_vector_sram)
{
    (void)state;
    struct pl_model_config m = random_shape;
    m.hidden = 64;
    m.n_heads = 4;
    m.n_kv_heads = 2;
    m.head_dim = 16;
    struct combo c = combos[2];
    struct pl_arch arch;
    struct pl_plan plan;
    struct pl_map_rows r;
    char set[64];
    OK(pl_arch_load(c.machine, &arch, &d));
    OK(pl_map_plan(&arch, &m, NULL, NULL, NULL, &plan, &d));
    for (uint32_t i = 0; i < 3; i++) {
        OK(pl_map_fit_rows(&arch, &m, &plan, 1, &r, &d));
        assert_int_equal(r.spread != 0, i < 1);
        assert_int_equal(r.pack != 0, i < 2);
        arch.vector_rows = (uint32_t)(r.elements / arch.vlen);
        snprintf(set, sizeof set, "vector_rows=%u", arch.vector_rows--);
        c.set = set;
        c.random = &m;
        c.prompt = 9;
        c.decode = 20;
        check_combo(NULL, &c);
    }
}

TEST(test_batches_decode_as_alone)
{
    (void)state;
    static const uint32_t batch[] = {1, 2, 4, 5};
    static const struct {
        uint32_t heads, kv_heads, dim;
    } shape[] = {{8, 2, 16}, {4, 4, 16}, {12, 1, 8}, {12, 2, 32}, {6, 3, 24}, {8, 1, 256}};
    for (size_t i = 0; i < PL_COUNT(batch); i++)
        for (size_t k = 0; k < PL_COUNT(shape); k++) {
            struct pl_model_config m = random_shape;
            m.hidden = 64;
            m.n_heads = shape[k].heads;
            m.n_kv_heads = shape[k].kv_heads;
            m.head_dim = shape[k].dim;
            struct combo c = combos[(i + k) % 5];
            c.random = &m;
            c.prompt = 70;
            check_batch(&c, NULL, batch[i], 4);
        }
    struct combo c = combos[0];
    c.prompt = 70;
    c.set = "blen=2"; /* two blocks of rows and one row more */
    check_batch(&c, source_path("examples/agent-0.8m"), 5, 4);
}

/* Every sequence has its own window; biases, norms and sinks are those of all. */
TEST(test_batches_of_families)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pl_model_config m = random_shape;
        m.hidden = 64;
        m.n_heads = i % 2 ? 14 : 8;
        m.n_kv_heads = 2;
        m.head_dim = 16;
        m.qkv_bias = m.o_bias = i != 1;
        m.qk_norm = i < 2;
        m.sinks = i > 1;
        m.window = 20;
        m.windowed[0] = 1;
        struct combo c = combos[i];
        c.random = &m;
        c.synthetic = true;
        c.prompt = 70;
        check_batch(&c, NULL, i == 0 ? 2 : 5, 4);
    }
}

/* A prompt gives the same logits however it is cut. */
TEST(test_chunks_change_nothing)
{
    (void)state;
    float want[128];
    static const uint32_t chunk[] = {1, 4, 16, 64};
    for (size_t i = 0; i < PL_COUNT(chunk); i++) {
        const struct combo c = {"small", NULL, "mxint8:16", "mxint8:16", "mxint8:16", 40, 0, chunk[i], NULL, false};
        struct setup s;
        uint32_t ids[40];
        float got[128];
        open_setup(&s, source_path("examples/agent-0.8m"), &c);
        for (uint32_t k = 0; k < 40; k++)
            ids[k] = 32 + k * 7 % 90;
        OK(pl_host_forward(s.host, ids, 40, false, got, NULL, &d));
        if (!i)
            memcpy(want, got, sizeof want);
        assert_memory_equal(got, want, sizeof want);
        close_setup(&s);
    }
}

/* Save, load, run: the same text, cycles and traffic. */
TEST(test_saved_image)
{
    (void)state;
    struct setup s;
    const struct combo c = {"tiny", NULL, "mxint8:16", "mxint8:16", "mxint8:16", 8, 4, 0, NULL, false};
    open_setup(&s, source_path("examples/agent-0.8m"), &c);
    char path[] = "/tmp/plena-test-XXXXXX";
    assert_true(mkstemp(path) >= 0);
    OK(pl_image_save(&s.img, path, &d));
    struct pl_image img;
    struct pl_map map;
    OK(pl_image_load(&s.a, path, &img, &map, &d));
    struct pl_host *h;
    const struct pl_sim_options so = {.functional = true, .timing = true};
    OK(pl_host_new(&s.arch, &img, &so, &h, &d));
    const uint32_t ids[] = {85, 115, 101, 114, 58};
    float a[5 * 128], b[5 * 128];
    OK(pl_host_forward(s.host, ids, 5, true, a, NULL, &d));
    OK(pl_host_forward(h, ids, 5, true, b, NULL, &d));
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(pl_sim_stats(pl_host_sim(h))->cycles, pl_sim_stats(pl_host_sim(s.host))->cycles);
    assert_int_equal(pl_sim_stats(pl_host_sim(h))->hbm_read_bytes, pl_sim_stats(pl_host_sim(s.host))->hbm_read_bytes);
    pl_host_free(h);
    pl_file_unmap(&map);
    remove(path);
    close_setup(&s);
}

/* Without an extension: none of it in the code, and the same bits. */
TEST(test_without_extensions)
{
    (void)state;
    struct setup s;
    const struct combo c = {"small", NULL, "mxint8:16", "mxint8:16", "mxint8:16", 8, 4, 0, NULL, false};
    open_setup(&s, source_path("examples/agent-0.8m"), &c);
    const struct pl_comp_options opt = {.context = 12, .all_logits = true, .without = 1u << PL_EXT_STEP};
    struct pl_image img;
    struct pl_host *h;
    const struct pl_sim_options so = {.functional = true};
    OK(pl_comp_model(&s.a, s.ck, &s.arch, &opt, &img, &d));
    OK(pl_verify_image(&s.arch, &img, &d));
    assert_true(img.n_code > s.img.n_code);
    for (size_t pc = 0; pc < img.n_code; pc++) {
        struct pl_insn in;
        OK(pl_isa_decode(img.code[pc], &in, &d));
        assert_true((in.op != PL_M_MM && in.op != PL_M_TMM) || (in.rd == 0 && in.fn == 0));
    }
    OK(pl_host_new(&s.arch, &img, &so, &h, &d));
    const uint32_t ids[] = {85, 115, 101, 114, 58, 32};
    float a[5 * 128], b[5 * 128];
    for (unsigned i = 0; i < 2; i++) { /* a prompt, then one more token */
        OK(pl_host_forward(s.host, ids + 5 * i, i ? 1 : 5, true, a, NULL, &d));
        OK(pl_host_forward(h, ids + 5 * i, i ? 1 : 5, true, b, NULL, &d));
        assert_memory_equal(a, b, sizeof a / (i ? 5 : 1));
    }
    pl_host_free(h);
    close_setup(&s);
}

TEST(test_host_refuses)
{
    (void)state;
    struct setup s;
    const struct combo c = {"tiny", NULL, "mxint8:16", "mxint8:16", "mxint8:16", 6, 2, 0, NULL, false};
    open_setup(&s, source_path("examples/agent-0.8m"), &c);
    const uint32_t bad = 128, good[9] = {0};
    REFUSED(PL_ERANGE, "outside the vocabulary", pl_host_forward(s.host, &bad, 1, false, NULL, NULL, &d));
    REFUSED(PL_ERANGE, "do not fit the context", pl_host_forward(s.host, good, 9, false, NULL, NULL, &d));
    close_setup(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),       cmocka_unit_test(test_stories260k), cmocka_unit_test(test_bytelm),
        cmocka_unit_test(test_batches_decode_as_alone), cmocka_unit_test(test_batches_of_families), cmocka_unit_test(test_shapes_of_heads), cmocka_unit_test(test_little_vector_sram),
        cmocka_unit_test(test_chunks_change_nothing), cmocka_unit_test(test_saved_image), cmocka_unit_test(test_host_refuses), cmocka_unit_test(test_without_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
