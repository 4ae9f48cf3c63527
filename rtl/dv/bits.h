/* bits.h - fields of a port of a Verilator model: field i of `bits` bits, the first in the least significant bits. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RTL_DV_BITS_H
#define RTL_DV_BITS_H
#include <stddef.h>
#include <stdint.h>

static inline void put_bits(void *port, size_t i, unsigned bits, uint32_t v)
{
    uint8_t *p = port;
    for (unsigned k = 0; k < bits; k++) {
        const size_t at = i * bits + k;
        p[at / 8] = (uint8_t)((p[at / 8] & ~(1u << at % 8)) | (v >> k & 1) << at % 8);
    }
}

static inline uint32_t take_bits(const void *port, size_t i, unsigned bits)
{
    const uint8_t *p = port;
    uint32_t v = 0;
    for (unsigned k = 0; k < bits; k++)
        v |= (uint32_t)(p[(i * bits + k) / 8] >> (i * bits + k) % 8 & 1) << k;
    return v;
}
#endif
