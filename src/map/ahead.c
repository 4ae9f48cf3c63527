/* ahead.c - how many sets of weights a linear layer finds asked for before it starts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/map.h"

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t pl_map_kv_tiles(const struct pl_arch *arch, const struct pl_map_heads *heads)
{
    return least(2 * heads->tiles, arch->matrix_tiles);
}

uint32_t pl_map_half(const struct pl_arch *arch, const struct pl_map_heads *heads)
{
    return (arch->matrix_tiles - pl_map_kv_tiles(arch, heads)) / 2;
}

uint32_t pl_map_transfers(uint32_t tiles)
{
    return (uint32_t)__builtin_popcount(tiles);
}

/* ahead + 1 places, one set after another, and the last `ahead` sets end in the last place or the one before it: then a
 * loop over all places, and one over those of the end, are all it takes. */
static bool goes(uint32_t ahead, const struct pl_map_sets *s)
{
    return ahead <= s->sets && (ahead == s->sets || s->sets % (ahead + 1) == 0 || (s->sets + 1) % (ahead + 1) == 0);
}

static uint32_t most(const struct pl_arch *arch, uint32_t half, const struct pl_map_sets *s)
{
    const uint32_t places = half / s->tiles, flight = arch->outstanding / pl_map_transfers(s->tiles);
    if (s->simple || places < 2)
        return 1;
    if (s->sets <= least(places, flight))
        return s->sets;
    return flight > 1 ? least(places - 1, flight) : 1;
}

uint32_t pl_map_ahead(const struct pl_arch *arch, uint32_t half, const struct pl_map_sets *a, const struct pl_map_sets *b)
{
    uint32_t ahead = least(most(arch, half, a), b ? most(arch, half, b) : UINT32_MAX);
    while (ahead > 1 && !(goes(ahead, a) && (!b || goes(ahead, b))))
        ahead--;
    return ahead;
}
