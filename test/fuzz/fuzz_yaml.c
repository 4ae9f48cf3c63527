/* fuzz_yaml.c - any bytes as a machine file: refused, or a machine that prints and parses back to
 * the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "plena/arch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct pl_source src = {"fuzz", (const char *)data, len};
    struct pl_arch arch, again;
    struct pl_diag d = {{0}};
    if (pl_arch_parse(&src, &arch, &d) != PL_OK) {
        fuzz_refused(&d);
        return 0;
    }
    struct pl_buf one, two;
    pl_buf_init(&one);
    pl_buf_init(&two);
    pl_arch_print(&arch, &one);
    const struct pl_source printed = {"printed", one.data, one.len};
    PROPERTY(pl_arch_parse(&printed, &again, &d) == PL_OK, &d);
    pl_arch_print(&again, &two);
    PROPERTY(one.len == two.len && !memcmp(one.data, two.data, one.len), &d);
    pl_buf_fini(&one);
    pl_buf_fini(&two);
    return 0;
}

void fuzz_seeds(fuzz_emit *emit, void *ctx)
{
    static const char odd[] = "name: \"q\\\"\\\\ \\x41\"\narray:\n  mlen: 0x40\n  ? blen\n  : 4\n"
                              "clock: {clock_hz: .5e9}\nvector: {vector_format: 'e6m9'}\n"
                              "formats:\n  weight_format: mxfp6_e2m3:16:search\n  act_format: "
                              "none\n  kv_format: >-\n    bf16\n";
    static const char *const shipped[] = {"tiny", "small", "paper", "narrow_vector"};
    emit(ctx, odd, sizeof odd - 1);
    for (size_t i = 0; i < PL_COUNT(shipped); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/configs/%s.yaml", PL_SOURCE_ROOT, shipped[i]);
        fuzz_seed_file(emit, ctx, path, 4096);
    }
    struct pl_arch arch;
    struct pl_buf all;
    pl_arch_defaults(&arch);
    pl_buf_init(&all);
    pl_arch_print(&arch, &all); /* every key */
    emit(ctx, all.data, all.len);
    pl_buf_fini(&all);
}
