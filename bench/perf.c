/* perf.c - bench perf: design points a second in closed form: prefill and decode of LLaMA-3.3-70B, 90k + 8k tokens.
 *
 * The points are machines: every pair of array shapes, vector widths and bandwidths below. CPU time of one thread; then the
 * same points on all threads must give the same bits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "plena/perf_time.h"

enum { POINTS = 40000, PROMPT = 90000, OUTPUT = 8000, CHUNK = 64 };

static void machine(size_t i, struct pl_arch *a)
{
    static const uint32_t mlen[] = {512, 1024, 2048, 4096}, blen[] = {8, 16, 32, 64}, vlen[] = {512, 1024, 2048, 4096};
    a->mlen = mlen[i % 4];
    a->blen = blen[i / 4 % 4];
    a->vlen = vlen[i / 16 % 4];
    a->hbm_bandwidth = 100 + (double)(i / 64);
    a->matrix_tiles = 262144 / a->mlen * (262144 / a->mlen) / 256; /* the same bits in all */
    a->vector_rows = 33554432 / a->vlen * 2;
}

static enum pl_status point(const struct pl_arch *base, const struct pl_model_config *m, size_t i, struct pl_perf_time *out)
{
    struct pl_arch a = *base;
    const struct pl_perf_job job = {PROMPT, OUTPUT, 1, CHUNK};
    machine(i, &a);
    return pl_perf_eval(&a, m, &job, out, NULL);
}

static size_t all_points(const struct pl_arch *base, const struct pl_model_config *m, bool threads, struct pl_perf_time *out)
{
    size_t failed = 0;
#pragma omp parallel for schedule(static) reduction(+ : failed) if (threads)
    for (size_t i = 0; i < POINTS; i++)
        failed += point(base, m, i, &out[i]) != PL_OK;
    return failed;
}

enum pl_status bench_perf(const struct bench_options *o, struct pl_diag *d)
{
    struct pl_arch base;
    struct pl_model_config m;
    PL_TRY(pl_arch_load("paper", &base, d));
    pl_perf_known("llama-3.3-70b", &m);
    struct pl_perf_time *one = calloc(POINTS, sizeof *one), *many = calloc(POINTS, sizeof *many);
    if (!one || !many)
        abort();
    double best = 1e300;
    size_t failed = 0;
    for (uint64_t rep = 0; rep < o->reps; rep++) {
        const double t0 = bench_cpu_seconds();
        failed = all_points(&base, &m, false, one);
        const double dt = bench_cpu_seconds() - t0;
        best = dt < best ? dt : best;
    }
    failed += all_points(&base, &m, true, many);
    const bool same = !memcmp(one, many, POINTS * sizeof *one);
    if (o->json)
        printf("{\"points\": %d, \"points_per_s\": %.6g, \"identical\": %s}\n", POINTS, POINTS / best, same ? "true" : "false");
    else
        printf("%d design points: %.6g a second of one core; on all threads %s\n", POINTS, POINTS / best, same ? "the same bits" : "OTHER BITS");
    free(one);
    free(many);
    if (failed)
        return pl_fail(d, PL_EUNSUPPORTED, "%zu points are no machines for this model", failed);
    return same ? PL_OK : pl_fail(d, PL_EDIFF, "results depend on the number of threads");
}
