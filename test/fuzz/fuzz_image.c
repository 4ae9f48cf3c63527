/* fuzz_image.c - any bytes as a program image: refused, or an image that is written and read back
 * to the same bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "plena/obj.h"

/* `bytes` at p lie inside the file. */
static bool lies_in(const void *p, uint64_t bytes, const uint8_t *data, size_t len)
{
    const uint8_t *at = p;
    return at >= data && at <= data + len && bytes <= (uint64_t)(data + len - at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct pl_arena a;
    struct pl_image img, again;
    struct pl_buf one, two;
    struct pl_diag d = {{0}};
    pl_arena_init(&a);
    pl_buf_init(&one);
    pl_buf_init(&two);
    if (pl_image_parse(&a, "fuzz", data, len, &img, &d) == PL_OK) {
        PROPERTY(lies_in(img.code, 4 * img.n_code, data, len) &&
                     lies_in(img.line, 4 * img.n_line, data, len),
                 &d);
        PROPERTY(lies_in(img.fp, 4 * img.n_fp, data, len) &&
                     lies_in(img.intmem, 4 * img.n_int, data, len),
                 &d);
        for (size_t i = 0; i < img.n_segment; i++)
            PROPERTY(lies_in(img.segment[i].data, img.segment[i].len, data, len), &d);
        PROPERTY(pl_image_write(&img, &one, &d) == PL_OK, &d);
        PROPERTY(pl_image_parse(&a, "again", (const uint8_t *)one.data, one.len, &again, &d) ==
                     PL_OK,
                 &d);
        PROPERTY(pl_image_write(&again, &two, &d) == PL_OK, &d);
        PROPERTY(one.len == two.len && !memcmp(one.data, two.data, one.len), &d);
        PROPERTY(img.n_code == again.n_code &&
                     (!img.n_code || !memcmp(img.code, again.code, 4 * img.n_code)),
                 &d);
    } else {
        fuzz_refused(&d);
    }
    pl_buf_fini(&one);
    pl_buf_fini(&two);
    pl_arena_fini(&a);
    return 0;
}

static void seed(fuzz_emit *emit, void *ctx, const struct pl_image *img)
{
    struct pl_buf b;
    struct pl_diag d = {{0}};
    pl_buf_init(&b);
    PROPERTY(pl_image_write(img, &b, &d) == PL_OK, &d);
    emit(ctx, b.data, b.len);
    pl_buf_fini(&b);
}

void fuzz_seeds(fuzz_emit *emit, void *ctx)
{
    static const uint32_t code[] = {0x0000C861, 0x00020046, 0x3d}, line[] = {1, 2, 3},
                          words[] = {7, 8};
    static const float fp[] = {1.0f, -0.5f};
    static const uint8_t bytes[70] = {1, 2, 3};
    static const struct pl_segment segment[] = {{0, 70, bytes}, {128, 3, bytes}};
    static const struct pl_named entry[] = {{"prefill", 0}, {"decode", 2}},
                                 param[] = {{"position", 1}}, constant[] = {{"layers", 5}};
    static const struct pl_op_range op[] = {{0, 1, "norm"}, {1, 3, "mlp"}};
    const struct pl_format bf16 = {.kind = PL_FORMAT_FLOAT, .elem = PL_BF16, .block = 1};
    const struct pl_format mx = {.kind = PL_FORMAT_MXINT, .int_bits = 4, .block = 16};
    const struct pl_desc desc[] = {{"w", 0, 512, 4, 32, 16, 2, mx, false, 0},
                                   {"t", 64, 0, 2, 8, 16, 0, bf16, true, 0},
                                   {"u", 640, 0, 9, 20, 0, 0, mx, false, 16}};
    struct pl_image img = {
        .machine = "", .model = "", .weight = bf16, .act = bf16, .kv = bf16, .hbm_bytes = 1024};
    img.plan = (struct pl_plan){.vec = PL_BF16,
                                .weight = mx,
                                .act = bf16,
                                .kv = mx,
                                .mlen = 16,
                                .blen = 4,
                                .hlen = 8,
                                .vlen = 16};
    seed(emit, ctx, &img);
    img.machine = "name: x\n";
    img.model = "m\xc3\xb6"
                "del";
    img.code = code;
    img.line = line;
    img.fp = fp;
    img.intmem = words;
    img.n_code = img.n_line = 3;
    img.n_fp = img.n_int = 2;
    img.segment = segment;
    img.desc = desc;
    img.n_segment = img.n_entry = img.n_op = 2;
    img.n_desc = 3;
    img.entry = entry;
    img.param = param;
    img.constant = constant;
    img.op = op;
    img.n_param = img.n_const = 1;
    seed(emit, ctx, &img);
}
