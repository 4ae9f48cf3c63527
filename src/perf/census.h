/* census.h - the groups of anchors and the terms their areas are made of. Internal to perf. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERF_CENSUS_H
#define PERF_CENSUS_H
#include "plena/perf_cost.h"

enum { COST_TERMS = 4 };
enum cost {
#define COST(name, unit, synthesis, paper, source, doc) COST_##name,
#include "cost.def"
#undef COST
    COST_COUNT
};
double cost_of(enum cost k, enum pl_perf_corner c);

enum group { GROUP_PE_INT, GROUP_PE_FP, GROUP_MATRIX_INT, GROUP_MATRIX_FP, GROUP_VECTOR, GROUP_SCALAR, GROUP_HBM, GROUP_CHIP, GROUP_COUNT };
struct group_info {
    const char *name;
    unsigned n_term;
    enum cost term[COST_TERMS];
};
extern const struct group_info groups[GROUP_COUNT];
/* Sizes as anchors.def has them; the last one, of matrix machines: bits of the vector format, 0 for the anchors' 12. */
struct sizes {
    double a[7];
};
/* Amounts of the group's terms, and the area that no term of this group stands for. */
double census_terms(enum group g, const struct sizes *s, double x[COST_TERMS]);
/* That area and the terms times their constants. */
double census_area(enum group g, const struct sizes *s);
#endif
