/* flip.c - a reference executor with one wrong bit, linked under `plena` by --wrap to see that --check sees it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "plena/nn.h"

enum pl_status __real_pl_nn_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits,
                                    struct pl_diag *d);
enum pl_status __wrap_pl_nn_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits,
                                    struct pl_diag *d);

/* The least bit of logit 7, in the third pass. */
enum pl_status __wrap_pl_nn_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits,
                                    struct pl_diag *d)
{
    static unsigned passes;
    const enum pl_status s = __real_pl_nn_forward(nn, ids, n, last_only, logits, d);
    if (++passes == 3) {
        uint32_t u;
        memcpy(&u, &logits[7], sizeof u);
        u ^= 1;
        memcpy(&logits[7], &u, sizeof u);
    }
    return s;
}
