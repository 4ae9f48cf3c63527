/* reproduce.h - a table or figure of the paper: our value, the published one, their ratio, and why they differ. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_REPRODUCE_H
#define PLENA_CLI_REPRODUCE_H
#include "perf.h"

struct repro {
    struct pl_arena *a;
    struct pl_diag *d;
    struct repro_item {
        const char *group, *what, *unit, *why; /* why: "" when they agree */
        double ours, published;                /* published NAN: not readable from the paper */
        int digits;                            /* behind the point */
    } *item;
    size_t n, cap;
    struct pl_buf note; /* lines behind the table */
};
void repro_add(struct repro *r, const char *group, const char *what, const char *unit, int digits, double ours, double published,
               const char *why);
/* reproduce_tables.c, reproduce_system.c, reproduce_figures.c */
enum pl_status repro_table_ii(struct repro *r);
enum pl_status repro_table_x(struct repro *r);
enum pl_status repro_table_xi(struct repro *r);
enum pl_status repro_table_xii(struct repro *r);
enum pl_status repro_fig_1b(struct repro *r);
enum pl_status repro_fig_1c(struct repro *r);
enum pl_status repro_fig_2(struct repro *r);
enum pl_status repro_fig_12(struct repro *r);
enum pl_status repro_fig_14(struct repro *r);
#endif
