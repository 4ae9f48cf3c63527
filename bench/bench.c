/* bench.c - the list of benchmarks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdio.h>
#include <time.h>

const struct bench benches[] = {
    {"gemm", "exact MXINT8 and MXINT4 linear layers of 512 x 4096 x 4096 on the simulated array, beside OpenBLAS sgemm", bench_gemm},
    {"compile", "time to compile a checkpoint; instructions and simulation speed of one decode step", bench_compile},
    {"gptq", "GPTQ of a 4096 x 4096 layer with 262144 tokens, beside bare syrk, potrf, potri and updates; minutes, one run", bench_gptq},
    {"hbm", "HBM model: lines a second, cycles beside the reference simulators, idle latency", bench_hbm},
    {"timing", "timing plane: instructions a second, seconds for a 70B decode step, a decoder layer, a 32k prefill", bench_timing},
    {"efficiency", "array and HBM of overlapped linear layers and a decode step, against what they can do", bench_efficiency},
    {"codegen", "instructions of linear layers, FFN, attention and a layer beside the authors' generators", bench_codegen},
    {"asm", "assembler and disassembler, lines a second", bench_asm},
};
const size_t bench_count = PL_COUNT(benches);

double bench_cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void bench_figure(const struct bench_options *o, const char *name, double value, const char *unit)
{
    if (o->json)
        printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
    else
        printf("%-44s %12.6g %s\n", name, value, unit);
}
