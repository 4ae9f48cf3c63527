/* fuzz_safetensors.c - any bytes as a safetensors file: refused, or every tensor lies inside them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "plena/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct pl_arena a;
    struct pl_safetensors st = {0};
    struct pl_diag d = {{0}};
    pl_arena_init(&a);
    if (pl_safetensors_parse(&a, "fuzz", data, len, &st, &d) != PL_OK)
        fuzz_refused(&d);
    for (size_t i = 0; i < st.n && !d.text[0]; i++) {
        const struct pl_tensor *t = &st.tensor[i];
        float first, last;
        PROPERTY(t->data >= data + 8 && t->data + t->bytes <= data + len, &d);
        PROPERTY(pl_safetensors_find(&st, t->name) == t, &d);
        if (t->dtype != PL_DTYPE_OTHER)
            PROPERTY(t->bytes / (t->dtype == PL_DTYPE_F32 ? 4 : 2) == t->count, &d);
        if (t->dtype != PL_DTYPE_OTHER && t->count) {
            pl_tensor_to_f32(t, 0, 1, &first);
            pl_tensor_to_f32(t, t->count - 1, 1, &last);
        }
    }
    pl_arena_fini(&a);
    return 0;
}

static void seed(fuzz_emit *emit, void *ctx, const char *header, size_t bytes)
{
    struct pl_buf b;
    const uint64_t n = strlen(header);
    pl_buf_init(&b);
    for (unsigned i = 0; i < 8; i++)
        pl_buf_put(&b, &(char){(char)(n >> 8 * i)}, 1);
    pl_buf_puts(&b, header);
    for (size_t i = 0; i < bytes; i++)
        pl_buf_put(&b, &(char){(char)(i * 37)}, 1);
    emit(ctx, b.data, b.len);
    pl_buf_fini(&b);
}

void fuzz_seeds(fuzz_emit *emit, void *ctx)
{
    seed(emit, ctx, "{}", 0);
    seed(emit, ctx, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24);
    seed(emit, ctx,
         "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_"
         "offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[4,6]},"
         "\"c\":{\"dtype\":\"U8\",\"shape\":[0,5],\"data_offsets\":[6,6]}}  ",
         6);
    seed(emit, ctx,
         "{\"a\":{\"dtype\":\"I64\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,8]}}", 8);
}
