/* test_experts.c - layers with experts on the accelerator, bit for bit as in the reference executor: every way of routing, machines x
 * formats. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "e2e_rig.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#include "../unit/moe_models.h"
#pragma GCC diagnostic pop

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
        for (size_t k = 0; k < PL_COUNT(machines); k++) {
            struct combo c = machines[k];
            c.random = &moe_models[i].c;
            c.synthetic = true;
            c.prompt = 21;
            c.decode = 6;
            c.chunk = 16;
            print_message("%s: ", moe_models[i].name);
            check_combo(NULL, &c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_routing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
