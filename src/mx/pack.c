/* pack.c - element codes as a little-endian bit stream. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

void pl_pack(unsigned bits, const uint32_t *code, size_t n, uint8_t *bytes)
{
    if (bits == 8) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)code[i];
        return;
    }
    if (bits == 16) {
        for (size_t i = 0; i < n; i++) {
            bytes[2 * i] = (uint8_t)code[i];
            bytes[2 * i + 1] = (uint8_t)(code[i] >> 8);
        }
        return;
    }
    uint32_t acc = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        acc |= (code[i] & ((1u << bits) - 1)) << have;
        have += bits;
        while (have >= 8) {
            *bytes++ = (uint8_t)acc;
            acc >>= 8;
            have -= 8;
        }
    }
    if (have)
        *bytes = (uint8_t)acc;
}

void pl_unpack(unsigned bits, const uint8_t *bytes, size_t first, size_t n, uint32_t *code)
{
    if (bits == 8) {
        for (size_t i = 0; i < n; i++)
            code[i] = bytes[first + i];
        return;
    }
    if (bits == 16) {
        bytes += 2 * first;
        for (size_t i = 0; i < n; i++)
            code[i] = bytes[2 * i] | (uint32_t)bytes[2 * i + 1] << 8;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t at = (first + i) * bits;
        uint32_t v = bytes[at / 8];
        if (at % 8 + bits > 8)
            v |= (uint32_t)bytes[at / 8 + 1] << 8;
        if (at % 8 + bits > 16)
            v |= (uint32_t)bytes[at / 8 + 2] << 16;
        if (at % 8 + bits > 24)
            v |= (uint32_t)bytes[at / 8 + 3] << 24;
        code[i] = v >> at % 8 & ((1u << bits) - 1);
    }
}
