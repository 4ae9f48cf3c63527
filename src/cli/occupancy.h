/* occupancy.h - how many places of a memory hold live data, over time, in bounded memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_OCCUPANCY_H
#define PLENA_CLI_OCCUPANCY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place (tile, row) is live from the first write to the last read before it is written again. That is known only
 * afterwards: places keep their last times, and what is known is added to bins, whose width doubles when they run out. */
enum { OCCUPANCY_BINS = 4096 };
struct occupancy {
    uint64_t from_cyc, to_cyc;          /* what is looked at */
    uint64_t *written, *read;           /* [n]: first write and last read of what a place holds; UINT64_MAX, 0: none */
    size_t n;
    uint64_t width_cyc;                 /* of a bin */
    uint64_t bin[OCCUPANCY_BINS];       /* places times cycles */
};
void occupancy_init(struct occupancy *o, size_t n, uint64_t from_cyc, uint64_t to_cyc);
void occupancy_fini(struct occupancy *o);
void occupancy_write(struct occupancy *o, size_t place, uint64_t cyc);
void occupancy_read(struct occupancy *o, size_t place, uint64_t cyc);
/* Nothing follows: add what is still open. */
void occupancy_finish(struct occupancy *o);
#endif
