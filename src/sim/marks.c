/* marks.c - stamps of rows: the parts that are seldom needed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "marks.h"

#include <stdlib.h>

void sim_marks_init(struct marks *m, uint32_t rows, uint32_t per_block)
{
    m->shift = (unsigned)__builtin_ctz(per_block);
    const size_t blocks = ((size_t)rows >> m->shift) + 1;
    m->row = calloc(blocks << m->shift, sizeof *m->row);
    m->block = calloc(blocks, sizeof *m->block);
    if (!m->row || !m->block)
        abort();
}

void sim_marks_fini(struct marks *m)
{
    free(m->row);
    free(m->block);
}

void sim_marks_split(struct marks *m, uint32_t block)
{
    struct mark_block *b = &m->block[block];
    for (uint32_t i = block << m->shift; b->all && i < (block + 1) << m->shift; i++)
        m->row[i] = later_stamp(b->all, m->row[i]);
    b->all = 0;
}

void sim_marks_gathered(struct marks *m, uint32_t block)
{
    stamp most = 0;
    for (uint32_t i = block << m->shift; i < (block + 1) << m->shift; i++)
        most = later_stamp(m->row[i], most);
    m->block[block].most = most;
}

void sim_marks_overwrite(struct marks *m, uint32_t from, uint32_t to, stamp s)
{
    for (uint32_t stop; from < to; from = stop) {
        const uint32_t block = from >> m->shift;
        stop = sim_marks_stop(m, from, to);
        if (!(m->block[block].most & PENDING)) {
            sim_marks_raise(m, from, stop, s);
            continue;
        }
        sim_marks_split(m, block);
        for (uint32_t i = from; i < stop; i++)
            m->row[i] = m->row[i] & PENDING ? s : later_stamp(s, m->row[i]);
        sim_marks_gathered(m, block);
    }
}
