/* marks.h - when the rows of Vector SRAM were last touched: one stamp a row, and what whole blocks of BLEN rows share.
 *
 * The stamp of a row is the later of its own and its block's: operations on whole blocks, which most are, cost one step.
 * Internal to sim. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_MARKS_H
#define SIM_MARKS_H
#include <stdbool.h>
#include <stdint.h>

/* When something is ready, and who makes it so: cycle << 3 | unit. Ordered as the cycles are. */
typedef uint64_t stamp;
/* A transfer of the bank-accurate HBM whose end is not known yet is a stamp above all cycles: PENDING | id << 3 | unit. */
#define PENDING ((stamp)1 << 63)

struct marks {
    unsigned shift; /* rows of a block, as a power of two */
    stamp *row;     /* of the row alone */
    struct mark_block {
        stamp all;  /* of all of its rows */
        stamp most; /* the latest of any of its rows */
    } *block;
};

void sim_marks_init(struct marks *m, uint32_t rows, uint32_t per_block);
void sim_marks_fini(struct marks *m);
/* What a block shares becomes its rows' own; the caller may change those, and then calls sim_marks_gathered. */
void sim_marks_split(struct marks *m, uint32_t block);
void sim_marks_gathered(struct marks *m, uint32_t block);

static inline stamp later_stamp(stamp a, stamp b)
{
    return a > b ? a : b;
}

static inline stamp sim_marks_row(const struct marks *m, uint32_t row)
{
    return later_stamp(m->row[row], m->block[row >> m->shift].all);
}

/* Rows of [from, to) that lie in from's block end here. */
static inline uint32_t sim_marks_stop(const struct marks *m, uint32_t from, uint32_t to)
{
    const uint32_t end = ((from >> m->shift) + 1) << m->shift;
    return end < to ? end : to;
}

static inline bool sim_marks_whole(const struct marks *m, uint32_t from, uint32_t stop)
{
    return stop - from == 1u << m->shift;
}

/* Rows [from, to) are touched at s. A pending stamp is above all others and takes their place: what it replaces has been
 * waited for. */
static inline void sim_marks_raise(struct marks *m, uint32_t from, uint32_t to, stamp s)
{
    while (from < to) {
        const uint32_t stop = sim_marks_stop(m, from, to);
        struct mark_block *b = &m->block[from >> m->shift];
        b->most = later_stamp(s, b->most);
        if (sim_marks_whole(m, from, stop))
            b->all = later_stamp(s, b->all);
        else
            for (uint32_t i = from; i < stop; i++)
                m->row[i] = later_stamp(s, m->row[i]);
        from = stop;
    }
}
/* The same where a pending stamp is known to be of a transfer that ended before s. */
void sim_marks_overwrite(struct marks *m, uint32_t from, uint32_t to, stamp s);
#endif
