/* test_fused.c - GPT-OSS checkpoints: experts in one tensor for each matrix, in BF16 and in MXFP4. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "plena/model.h"

static struct pl_diag d;
enum { HIDDEN = 64, FFN = 96, EXPERTS = 3 };
#define L "model.layers.0."

struct file {
    struct pl_buf head, data;
    struct pl_rng rng;
};

/* A tensor of random bytes: BF16 near 1, or any U8 with scales of 110..140. */
static void add(struct file *f, const char *name, const char *dtype, const char *shape, size_t count, bool scales)
{
    const bool bf16 = !strcmp(dtype, "BF16");
    const size_t at = f->data.len;
    for (size_t i = 0; i < count; i++) {
        const uint16_t h = (uint16_t)(0x3f00 | pl_rng_below(&f->rng, 256) | pl_rng_below(&f->rng, 2) << 15);
        const uint8_t u = (uint8_t)(scales ? 110 + pl_rng_below(&f->rng, 31) : pl_rng_below(&f->rng, 256));
        pl_buf_put(&f->data, bf16 ? (const void *)&h : &u, bf16 ? 2 : 1);
    }
    pl_buf_printf(&f->head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", f->head.len > 1 ? "," : "", name, dtype,
                  shape, at, f->data.len);
}

static void add_experts(struct file *f, bool mx)
{
    if (mx) {
        add(f, L "mlp.experts.gate_up_proj_blocks", "U8", "3,192,2,16", EXPERTS * 192 * 32, false);
        add(f, L "mlp.experts.gate_up_proj_scales", "U8", "3,192,2", EXPERTS * 192 * 2, true);
        add(f, L "mlp.experts.down_proj_blocks", "U8", "3,64,3,16", EXPERTS * 64 * 48, false);
        add(f, L "mlp.experts.down_proj_scales", "U8", "3,64,3", EXPERTS * 64 * 3, true);
    } else {
        add(f, L "mlp.experts.gate_up_proj", "BF16", "3,64,192", EXPERTS * 64 * 192, false);
        add(f, L "mlp.experts.down_proj", "BF16", "3,96,64", EXPERTS * 96 * 64, false);
    }
    add(f, L "mlp.experts.gate_up_proj_bias", "BF16", "3,192", EXPERTS * 192, false);
    add(f, L "mlp.experts.down_proj_bias", "BF16", "3,64", EXPERTS * 64, false);
}

static void write_checkpoint(const char *dir, bool mx)
{
    static const struct {
        const char *name, *shape;
        size_t count;
    } rest[] = {{"model.embed_tokens.weight", "8,64", 512}, {"model.norm.weight", "64", 64}, {"lm_head.weight", "8,64", 512},
                {L "input_layernorm.weight", "64", 64}, {L "post_attention_layernorm.weight", "64", 64},
                {L "self_attn.q_proj.weight", "32,64", 2048}, {L "self_attn.k_proj.weight", "16,64", 1024},
                {L "self_attn.v_proj.weight", "16,64", 1024}, {L "self_attn.o_proj.weight", "64,32", 2048}, {L "self_attn.q_proj.bias", "32", 32},
                {L "self_attn.k_proj.bias", "16", 16}, {L "self_attn.v_proj.bias", "16", 16}, {L "self_attn.o_proj.bias", "64", 64},
                {L "self_attn.sinks", "2", 2}, {L "mlp.router.weight", "3,64", 192}, {L "mlp.router.bias", "3", 3}};
    char path[600];
    struct file f;
    struct pl_buf all;
    pl_buf_init(&f.head);
    pl_buf_init(&f.data);
    pl_buf_init(&all);
    pl_rng_init(&f.rng, 3);
    pl_buf_puts(&f.head, "{");
    for (size_t i = 0; i < PL_COUNT(rest); i++)
        add(&f, rest[i].name, "BF16", rest[i].shape, rest[i].count, false);
    add_experts(&f, mx);
    pl_buf_puts(&f.head, "}");
    const uint64_t n = f.head.len;
    pl_buf_put(&all, &n, 8);
    pl_buf_put(&all, f.head.data, f.head.len);
    pl_buf_put(&all, f.data.data, f.data.len);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    OK(pl_file_write(path, all.data, all.len, &d));
    all.len = 0;
    pl_buf_printf(&all, "{\"model_type\":\"gpt_oss\",\"vocab_size\":8,\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":1,"
                        "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":16,\"max_position_embeddings\":64,"
                        "\"attention_bias\":true,\"num_local_experts\":3,\"num_experts_per_tok\":2,\"sliding_window\":16,"
                        "\"layer_types\":[\"full_attention\"]%s}",
                  mx ? ",\"quantization_config\":{\"quant_method\":\"mxfp4\",\"modules_to_not_convert\":[\"lm_head\"]}" : "");
    snprintf(path, sizeof path, "%s/config.json", dir);
    OK(pl_file_write(path, all.data, all.len, &d));
    pl_buf_fini(&f.head);
    pl_buf_fini(&f.data);
    pl_buf_fini(&all);
}

static const struct pl_tensor *stored(const struct pl_checkpoint *ck, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, L "mlp.experts.%s", name);
    const struct pl_tensor *t = pl_safetensors_find(&ck->tensors, full);
    assert_non_null(t);
    return t;
}

static float bf16(const struct pl_tensor *t, size_t i)
{
    const uint32_t u = (uint32_t)(t->data[2 * i] | t->data[2 * i + 1] << 8) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Output r, input k of expert e, as the published code reads blocks and scales. */
static float mxfp4(const struct pl_tensor *blocks, const struct pl_tensor *scales, size_t e, size_t r, size_t k)
{
    static const float lut[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    const size_t outputs = blocks->shape[1], n = blocks->shape[2], at = (e * outputs + r) * n + k / 32;
    const uint8_t byte = blocks->data[at * 16 + k % 32 / 2];
    return ldexpf(lut[k % 2 ? byte >> 4 : byte & 15], scales->data[at] - 127);
}

/* The same bits, read whole and in a stretch that begins inside a row. */
static void same(const struct pl_tensor *t, const float *want, uint64_t n)
{
    float *got = malloc(sizeof(float) * n);
    assert_int_equal(t->count, n);
    pl_tensor_to_f32(t, 0, n, got);
    assert_memory_equal(got, want, sizeof(float) * n);
    pl_tensor_to_f32(t, 7, n - 9, got);
    assert_memory_equal(got, want + 7, sizeof(float) * (n - 9));
    free(got);
}

static void check_matrix(const struct pl_checkpoint *ck, bool mx, const struct pl_tensor *t, size_t e, bool down, size_t first)
{
    const size_t rows = down ? HIDDEN : FFN, cols = down ? FFN : HIDDEN, step = down ? 1 : 2;
    float want[HIDDEN * FFN];
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < cols; k++)
            want[i * cols + k] = mx ? mxfp4(stored(ck, down ? "down_proj_blocks" : "gate_up_proj_blocks"),
                                            stored(ck, down ? "down_proj_scales" : "gate_up_proj_scales"), e, i * step + first, k)
                                    : bf16(stored(ck, down ? "down_proj" : "gate_up_proj"), (e * cols + k) * rows * step + i * step + first);
    same(t, want, rows * cols);
}

static void check_bias(const struct pl_checkpoint *ck, const struct pl_tensor *t, size_t e, bool down, size_t first)
{
    const size_t n = down ? HIDDEN : FFN, step = down ? 1 : 2;
    float want[FFN];
    for (size_t i = 0; i < n; i++)
        want[i] = bf16(stored(ck, down ? "down_proj_bias" : "gate_up_proj_bias"), e * n * step + i * step + first);
    same(t, want, n);
}

static void remove_checkpoint(const char *dir)
{
    char path[600];
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i ? "config.json" : "model.safetensors");
        unlink(path);
    }
    rmdir(dir);
}

TEST(test_layouts)
{
    (void)state;
    for (unsigned mx = 0; mx < 2; mx++) {
        char dir[] = "/tmp/plena-test-XXXXXX";
        struct pl_arena a;
        struct pl_checkpoint *ck;
        assert_non_null(mkdtemp(dir));
        pl_arena_init(&a);
        write_checkpoint(dir, mx);
        OK(pl_checkpoint_open(&a, dir, &ck, &d));
        for (size_t e = 0; e < EXPERTS; e++) {
            const struct pl_mlp_tensors *t = &ck->layer[0].expert[e];
            check_matrix(ck, mx, t->gate, e, false, 0);
            check_matrix(ck, mx, t->up, e, false, 1);
            check_matrix(ck, mx, t->down, e, true, 0);
            check_bias(ck, t->gate_bias, e, false, 0);
            check_bias(ck, t->up_bias, e, false, 1);
            check_bias(ck, t->down_bias, e, true, 0);
        }
        pl_checkpoint_close(ck);
        pl_arena_fini(&a);
        remove_checkpoint(dir);
    }
}

/* Byte `at` from the end of the data becomes `value`. */
static void damage(const char *dir, const char *find, const char *put, size_t at, uint8_t value)
{
    char path[600];
    struct pl_map m;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    OK(pl_file_map(path, &m, &d));
    uint8_t *copy = malloc(m.len);
    const size_t len = m.len;
    memcpy(copy, m.data, len);
    pl_file_unmap(&m);
    for (size_t i = 8; find && i + strlen(find) < len; i++)
        if (!memcmp(copy + i, find, strlen(find))) {
            memcpy(copy + i, put, strlen(put));
            break;
        }
    if (at)
        copy[len - at] = value;
    OK(pl_file_write(path, copy, len, &d));
    free(copy);
}

TEST(test_misfits)
{
    (void)state;
    char dir[] = "/tmp/plena-test-XXXXXX";
    struct pl_arena a;
    struct pl_checkpoint *ck;
    assert_non_null(mkdtemp(dir));
    pl_arena_init(&a);
    write_checkpoint(dir, true);
    /* behind the scales of down stand the biases: (192 + 64) 3 BF16 */
    damage(dir, NULL, NULL, 2 * EXPERTS * (192 + 64) + 1, 255);
    REFUSED(PL_EPARSE, "row 63 of expert 2 holds the scale 255", pl_checkpoint_open(&a, dir, &ck, &d));
    write_checkpoint(dir, true);
    damage(dir, "3,64,3,16", "3,64,6,08", 0, 0);
    REFUSED(PL_EPARSE, "", pl_checkpoint_open(&a, dir, &ck, &d));
    write_checkpoint(dir, true);
    damage(dir, "gate_up_proj_scales", "gate_up_proj_scalez", 0, 0);
    REFUSED(PL_EPARSE, "gate_up_proj_scales\" is missing", pl_checkpoint_open(&a, dir, &ck, &d));
    write_checkpoint(dir, false);
    damage(dir, "3,96,64", "3,64,96", 0, 0);
    REFUSED(PL_EPARSE, "mlp.experts.down_proj\": expected F32, F16 or BF16 [3, 96, 64]", pl_checkpoint_open(&a, dir, &ck, &d));
    pl_arena_fini(&a);
    remove_checkpoint(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts), cmocka_unit_test(test_misfits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
