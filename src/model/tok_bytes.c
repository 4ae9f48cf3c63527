/* tok_bytes.c - UTF-8 stepping and the 256 printable characters that byte-level BPE writes bytes with. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tok_internal.h"

unsigned tok_char_len(const char *s, size_t len)
{
    const unsigned char c = (unsigned char)s[0];
    const unsigned n = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
    if (n > len || c >= 0xf8)
        return 1;
    for (unsigned i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 1;
    return n;
}

/* Bytes that print keep their code point; the others count up from 256 (source: GPT-2's vocabulary files). */
static bool prints(unsigned b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

unsigned tok_byte_char(unsigned byte, char *out)
{
    unsigned code = byte;
    if (!prints(byte)) {
        code = 256;
        for (unsigned b = 0; b < byte; b++)
            code += !prints(b);
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
}

int tok_char_byte(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    if (len == 1)
        return prints(u[0]) && u[0] < 0x80 ? u[0] : -1;
    if (len != 2)
        return -1;
    const unsigned code = (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
    if (code < 256)
        return prints(code) ? (int)code : -1;
    unsigned at = 256;
    for (unsigned b = 0; b < 256; b++)
        if (!prints(b) && at++ == code)
            return (int)b;
    return -1;
}
