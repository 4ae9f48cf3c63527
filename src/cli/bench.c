/* bench.c - plena bench: the programs below bench/. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

static int list(void)
{
    for (size_t i = 0; i < bench_count; i++)
        printf("%-10s %s\n", benches[i].name, benches[i].doc);
    return 0;
}

int cmd_bench(const struct verb *v, int argc, char **argv)
{
    struct job j;
    struct bench_options b = {.reps = 3, .seed = 1, .seeds = 20};
    bool ls = false;
    const char *model = NULL;
    job_init(&j);
    const struct opt o[] = {
        {"list", OPT_FLAG, &ls, NULL, "name the benchmarks"},
        {"model", OPT_TEXT, &model, "DIR", "checkpoint (default the embedded example)"},
        {"reps", OPT_U64, &b.reps, "N", "timed repetitions, the best counts (default 3)"},
        {"seed", OPT_U64, &b.seed, "N", "seed of random operands (default 1)"},
        {"seeds", OPT_U64, &b.seeds, "N", "runs of each sampler (dse; default 20)"},
        {"first-seed", OPT_U64, &b.first_seed, "N", "seed of the first of them, the others follow (dse; default 0)"},
        JOB_MACHINE_OPTS(&j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && ls)
        rc = list();
    if (rc < 0 && (!n_pos || !b.reps || !b.seeds))
        rc = cli_usage(v, n_pos ? "--reps and --seeds must not be 0" : "NAME is missing");
    if (rc < 0) {
        enum pl_status s = job_machine(&j);
        const struct bench *found = NULL;
        for (size_t i = 0; i < bench_count; i++)
            if (!strcmp(benches[i].name, pos[0]))
                found = &benches[i];
        if (s == PL_OK && !found)
            s = pl_fail(&j.d, PL_EUSAGE, "no benchmark \"%s\"; see plena bench --list", pos[0]);
        if (s == PL_OK)
            s = job_model(&j, model);
        if (s == PL_OK) {
            b.json = j.json;
            b.model = j.model;
            b.machine = j.machine;
            s = found->run(&b, &j.d);
        }
        rc = s == PL_OK ? 0 : cli_fail(s, &j.d);
    }
    job_fini(&j);
    return rc;
}
