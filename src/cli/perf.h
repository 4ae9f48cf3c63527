/* perf.h - what plena perf, compare and reproduce share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_PERF_H
#define PLENA_CLI_PERF_H
#include "cli.h"
#include "plena/perf.h"
#include "plena/perf_cost.h"
#include "plena/perf_system.h"
#include "plena/report.h"

#define GIB 1073741824.0

struct perf_cmd {
    struct job j;
    uint64_t batch_asked, prompt, output, chunk, degree[5], link_gbs, link_ns;
    const char *link_kind, *corner_name;
    bool no_scales, area, constants, fit;
    /* resolved */
    enum pl_perf_corner corner;
    struct pl_perf_split split;
    struct pl_link link;
    struct pl_perf_store store;
    struct pl_model_config model;
    double batch, tokens;
};
/* A model of the paper's tables by name, a checkpoint folder, an example, or a config.json. */
enum pl_status perf_model(struct job *j, const char *model, struct pl_model_config *out);
#endif
