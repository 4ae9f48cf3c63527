/* text.c - .mem files and the disassembler. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/isa.h"

#include <ctype.h>
#include <string.h>

enum pl_status pl_asm_read_mem(struct pl_arena *a, const struct pl_source *src, uint32_t **code, size_t *n,
                               struct pl_diag *d)
{
    struct pl_buf words;
    pl_buf_init(&words);
    enum pl_status s = PL_OK;
    for (size_t at = 0; at < src->len;) {
        if (isspace((unsigned char)src->text[at])) {
            at++;
            continue;
        }
        const size_t start = at;
        if (src->len - at > 2 && src->text[at] == '0' && (src->text[at + 1] | 32) == 'x')
            at += 2;
        uint32_t v = 0;
        size_t digits = 0;
        for (; at < src->len && isxdigit((unsigned char)src->text[at]); at++, digits++) {
            const int c = tolower((unsigned char)src->text[at]);
            v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        if (!digits || digits > 8 || (at < src->len && !isspace((unsigned char)src->text[at]))) {
            s = pl_fail_at(d, PL_EPARSE, src, start, "expected a word of 1 to 8 hex digits");
            break;
        }
        pl_buf_put(&words, &v, sizeof v);
    }
    if (s == PL_OK) {
        *n = words.len / sizeof(uint32_t);
        *code = memcpy(pl_alloc(a, words.len), words.data, words.len);
    }
    pl_buf_fini(&words);
    return s;
}

void pl_dis_text(const uint32_t *code, size_t n, bool with_pc, struct pl_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        struct pl_insn in;
        uint32_t again = 0;
        char text[128];
        const bool exact = pl_isa_decode(code[i], &in, NULL) == PL_OK && pl_isa_encode(&in, &again, NULL) == PL_OK &&
                           again == code[i];
        if (exact) {
            pl_isa_format(&in, text, sizeof text);
            pl_buf_puts(out, text);
        } else {
            pl_buf_printf(out, ".word 0x%08X", code[i]);
        }
        if (with_pc)
            pl_buf_printf(out, " // %zu: 0x%08X", i, code[i]);
        pl_buf_puts(out, "\n");
    }
}
