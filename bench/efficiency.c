/* efficiency.c - bench efficiency: what is left of the array's peak and of the achievable HBM bandwidth. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "bench.h"
#include "overlap.h"

static void figure(const struct bench_options *o, const char *of, const char *what, double v, const char *unit)
{
    char name[96];
    snprintf(name, sizeof name, "efficiency_%s_%s", of, what);
    bench_figure(o, name, v, unit);
}

static void print(const struct bench_options *o, const char *of, const struct overlap *v)
{
    figure(o, of, "cycles", (double)v->cycles, "cycles");
    figure(o, of, "array_busy_ratio", v->array_share, "ratio");
    figure(o, of, "hbm_bytes_per_cycle", v->bytes_per_cycle, "bytes/cycle");
    figure(o, of, "hbm_achievable", v->achievable, "bytes/cycle");
    figure(o, of, "hbm_ratio", v->hbm_share, "ratio");
    figure(o, of, "unnamed_cycles", (double)v->unnamed_cyc, "cycles");
}

static void print_step(const struct bench_options *o, const struct overlap_step *s)
{
    if (!o->json)
        printf("%-22s %10s %10s %10s %10s  %-6s %7s\n", "decode step", "cycles", "array", "vector", "HBM", "bound", "share");
    for (size_t i = 0; i <= s->operators; i++) {
        const struct overlap_op *op = i < s->operators ? &s->op[i] : &s->step;
        if (o->json)
            printf("{\"name\": \"efficiency_decode_operator\", \"operator\": \"%s\", \"cycles\": %llu, \"bound\": \"%s\", \"value\": %.6g, "
                   "\"unit\": \"ratio\"}\n",
                   op->name, (unsigned long long)op->cycles, op->by, op->share);
        else
            printf("%-22s %10llu %10llu %10llu %10.0f  %-6s %5.1f %%\n", op->name, (unsigned long long)op->cycles,
                   (unsigned long long)op->array_cyc, (unsigned long long)op->vector_cyc, op->hbm_cyc, op->by, 100 * op->share);
    }
}

/* Linear layers on machine paper, then one decode step of the model on the machine asked for. */
enum pl_status bench_efficiency(const struct bench_options *o, struct pl_diag *d)
{
    static const struct {
        const char *name;
        uint32_t m, n;
        const char *weight;
    } gemm[] = {{"gemm_1024x4096x4096_mxint4", 1024, 4096, "mxint4:16"}, {"gemm_32x4096x4096_mxint4", 32, 4096, "mxint4:16"},
                {"gemm_32x4096x4096_mxint8", 32, 4096, "mxint8:16"},     {"gemm_32x65536x4096_mxint4", 32, 65536, "mxint4:16"},
                {"gemm_32x65536x4096_mxint8", 32, 65536, "mxint8:16"}};
    struct pl_arch arch;
    struct overlap v;
    struct overlap_step step;
    PL_TRY(pl_arch_load("paper", &arch, d));
    for (size_t i = 0; i < PL_COUNT(gemm); i++) {
        PL_TRY(overlap_gemm(&arch, gemm[i].m, gemm[i].n, 4096, "mxint8:16", gemm[i].weight, &v, d));
        print(o, gemm[i].name, &v);
    }
    PL_TRY(pl_arch_load(o->machine, &arch, d));
    PL_TRY(overlap_decode(&arch, o->model, 63, &step, d));
    print(o, "decode", &step.all);
    print_step(o, &step);
    figure(o, "decode", "hbm_bound_operators", (double)step.hbm_bound, "operators");
    figure(o, "decode", "hbm_bound_least_ratio", step.least_share, "ratio");
    return PL_OK;
}
