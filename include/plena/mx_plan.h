/* mx_plan.h - the numeric plan: everything the bits of a model's results depend on beyond the checkpoint.
 *
 * Filled from arch and map, stored in the program image, printed in reports, taken by nn. The same plan gives the same
 * bits in nn, sim and RTL.   Source: DESIGN.md 5.10; doc/numerics.md.   Depends on: mx.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MX_PLAN_H
#define PLENA_MX_PLAN_H
#include "plena/mx.h"

struct pl_plan {
    struct pl_minifloat vec;               /* vector format */
    struct pl_format weight, act, kv;      /* as asked for; may be NONE */
    uint32_t mlen, blen, hlen, vlen;       /* array tile, sub-array, narrowest head slot, vector lanes */
    uint32_t guard, acc_bits;              /* G; Aw, 0 = automatic */
    uint32_t head_slot;                    /* lanes of one head: power of two >= head_dim and >= hlen */
    uint32_t kv_tile;                      /* tokens per attention step = max(mlen, vlen) */
    uint32_t k_tiles;                      /* most MLEN-wide K tiles summed before a write-out; further groups are added
                                              in the vector unit */
    uint32_t rotate;                       /* lanes of the Hadamard groups of Q and K after RoPE; 0: none */
};
#endif
