/* fidelity.h - the closed form against the timing plane, operator by operator. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FIDELITY_H
#define FIDELITY_H
#include "plena/perf_time.h"

enum { FIDELITY_SHARE = 100 }; /* operators of at least 1/100 of a case's cycles are judged */
struct fidelity_op {
    double simulated, closed; /* cycles of the front end, issuing or waiting */
};
struct fidelity {
    char name[160];
    double simulated, closed, error; /* of the whole pass; |closed / simulated - 1| */
    struct fidelity_op op[PL_PERF_OPS];
    double op_mean, op_max; /* errors of the operators judged */
    unsigned n_judged;
    enum pl_perf_op worst;
};
size_t fidelity_cases(void);
/* Whether the case is quick: a fraction of a second. */
bool fidelity_is_quick(size_t index);
enum pl_status fidelity_case(size_t index, struct fidelity *out, struct pl_diag *d);
#endif
