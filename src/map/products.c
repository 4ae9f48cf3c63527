/* products.c - how many products of the array stand in the code before a loop goes round. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/map.h"

uint32_t pl_map_columns(uint32_t tiles, uint32_t blocks)
{
    uint32_t n = 1;
    while (2 * n * tiles <= PL_MAP_UNROLLED && blocks % (2 * n) == 0)
        n *= 2;
    return n;
}
