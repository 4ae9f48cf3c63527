/* tok_decode.c - ids to text. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "tok_internal.h"

enum { MAX_TOKEN = 1 << 20 }; /* bytes of text of one token: replacements of replacements multiply */

/* The text of one token after the decoder's replacements; regexes of decoders are refused at load. False: it grows
 * beyond MAX_TOKEN. */
static bool token_text(const struct pl_tokenizer *t, struct tok_str s, struct pl_buf *tmp, struct pl_buf *out)
{
    const struct tok_decoder *o = &t->decoder;
    struct pl_buf *text = tmp;
    text->len = 0;
    pl_buf_put(text, s.s, s.len);
    for (unsigned i = 0; i < o->n_replace; i++) {
        const struct tok_step *r = &o->replace[i];
        struct pl_buf b;
        pl_buf_init(&b);
        const char *p = text->data, *end = text->data + text->len, *hit;
        while (p < end && b.len <= MAX_TOKEN && (hit = memmem(p, (size_t)(end - p), r->from.s, r->from.len))) {
            pl_buf_put(&b, p, (size_t)(hit - p));
            pl_buf_put(&b, r->to.s, r->to.len);
            p = hit + r->from.len;
        }
        pl_buf_put(&b, p, (size_t)(end - p));
        text->len = 0;
        pl_buf_put(text, b.data, b.len);
        pl_buf_fini(&b);
        if (text->len > MAX_TOKEN)
            return false;
    }
    if (!o->bytes) {
        pl_buf_put(out, text->data, text->len);
        return true;
    }
    for (size_t i = 0; i < text->len;) {
        const unsigned n = tok_char_len(text->data + i, text->len - i);
        const int byte = tok_char_byte(text->data + i, n);
        const char c = (char)byte;
        if (byte >= 0)
            pl_buf_put(out, &c, 1);
        else
            pl_buf_put(out, text->data + i, n);
        i += n;
    }
    return true;
}

enum pl_status pl_tokenizer_decode(const struct pl_tokenizer *t, const uint32_t *ids, size_t n, bool at_start,
                                   struct pl_buf *out, struct pl_diag *d)
{
    const struct tok_decoder *o = &t->decoder;
    const size_t start = out->len;
    struct pl_buf tmp;
    pl_buf_init(&tmp);
    enum pl_status s = PL_OK;
    bool shown = !at_start;
    for (size_t i = 0; i < n && s == PL_OK; i++) {
        if (ids[i] >= t->n || !t->token[ids[i]].used) {
            s = pl_fail(d, PL_ERANGE, "id %u is not in the vocabulary of %u tokens", ids[i], t->n);
            break;
        }
        const struct tok_token *k = &t->token[ids[i]];
        if (k->special)
            continue;
        if (!o->present && shown) /* without a decoder tokens are words */
            pl_buf_put(out, " ", 1);
        shown = true;
        const char byte = (char)k->byte;
        if (o->byte_fallback && k->byte >= 0)
            pl_buf_put(out, &byte, 1);
        else if (!token_text(t, k->text, &tmp, out))
            s = pl_fail(d, PL_ERANGE, "id %u: the decoder's replacements grow its text beyond %d bytes", ids[i], MAX_TOKEN);
    }
    pl_buf_fini(&tmp);
    size_t strip = 0;
    for (unsigned i = 0; at_start && i < o->strip_start; i++)
        if (o->strip.len && out->len - start - strip >= o->strip.len &&
            !memcmp(out->data + start + strip, o->strip.s, o->strip.len))
            strip += o->strip.len;
    memmove(out->data + start, out->data + start + strip, out->len - start - strip);
    out->len -= strip;
    out->data[out->len] = 0;
    return s;
}
