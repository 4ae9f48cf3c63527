/* occupancy.c - live places over time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "occupancy.h"

#include <stdlib.h>
#include <string.h>

void occupancy_init(struct occupancy *o, size_t n, uint64_t from_cyc, uint64_t to_cyc)
{
    *o = (struct occupancy){.from_cyc = from_cyc, .to_cyc = to_cyc, .n = n, .width_cyc = 1};
    o->written = malloc((n + 1) * sizeof *o->written);
    o->read = calloc(n + 1, sizeof *o->read);
    if (!o->written || !o->read)
        abort();
    memset(o->written, 0xff, n * sizeof *o->written);
}

void occupancy_fini(struct occupancy *o)
{
    free(o->written);
    free(o->read);
}

static void double_width(struct occupancy *o)
{
    for (size_t i = 0; i < OCCUPANCY_BINS / 2; i++)
        o->bin[i] = o->bin[2 * i] + o->bin[2 * i + 1];
    memset(o->bin + OCCUPANCY_BINS / 2, 0, sizeof o->bin / 2);
    o->width_cyc *= 2;
}

static void add(struct occupancy *o, uint64_t from, uint64_t to)
{
    from = from > o->from_cyc ? from : o->from_cyc;
    to = to < o->to_cyc ? to : o->to_cyc;
    if (from >= to)
        return;
    from -= o->from_cyc;
    to -= o->from_cyc;
    while ((to - 1) / o->width_cyc >= OCCUPANCY_BINS)
        double_width(o);
    for (uint64_t i = from / o->width_cyc; i * o->width_cyc < to; i++) {
        const uint64_t begin = i * o->width_cyc, end = begin + o->width_cyc;
        o->bin[i] += (end < to ? end : to) - (begin > from ? begin : from);
    }
}

/* Parts of a place may be written one after the other: it is live from the first. */
void occupancy_write(struct occupancy *o, size_t place, uint64_t cyc)
{
    const bool unread = o->written[place] != UINT64_MAX && !o->read[place];
    if (unread)
        return;
    if (o->written[place] != UINT64_MAX)
        add(o, o->written[place], o->read[place]);
    o->written[place] = cyc;
    o->read[place] = 0;
}

void occupancy_read(struct occupancy *o, size_t place, uint64_t cyc)
{
    if (o->written[place] != UINT64_MAX && cyc > o->read[place])
        o->read[place] = cyc;
}

void occupancy_finish(struct occupancy *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->written[i] != UINT64_MAX)
            add(o, o->written[i], o->read[i]);
}
