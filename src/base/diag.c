/* diag.c - filling diagnostics; source positions with a caret. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base.h"

#include <stdio.h>
#include <string.h>

enum { WINDOW = 100 }; /* bytes of a source line shown */

enum pl_status pl_fail(struct pl_diag *d, enum pl_status s, const char *fmt, ...)
{
    if (d) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(d->text, sizeof d->text, fmt, ap);
        va_end(ap);
    }
    return s;
}

enum pl_status pl_fail_in(struct pl_diag *d, enum pl_status s, const char *fmt, ...)
{
    if (d) {
        char old[sizeof d->text];
        memcpy(old, d->text, sizeof old);
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(d->text, sizeof d->text, fmt, ap);
        va_end(ap);
        const size_t n = strlen(d->text);
        snprintf(d->text + n, sizeof d->text - n, ": %s", old);
    }
    return s;
}

static size_t put(struct pl_diag *d, size_t n, char c)
{
    if (n + 1 < sizeof d->text)
        d->text[n++] = c;
    return n;
}

/* The line from `from` to `to` and a caret below `at`; tabs are kept so that the caret stands right. */
static void show_line(struct pl_diag *d, const char *text, size_t from, size_t to, size_t at)
{
    size_t n = strlen(d->text);
    n = put(d, n, '\n');
    n = put(d, put(d, n, ' '), ' ');
    for (size_t i = from; i < to; i++) {
        const unsigned char c = (unsigned char)text[i];
        n = put(d, n, c == '\t' || (c >= 0x20 && c != 0x7f) ? (char)c : '?');
    }
    n = put(d, n, '\n');
    n = put(d, put(d, n, ' '), ' ');
    for (size_t i = from; i < at; i++)
        n = put(d, n, text[i] == '\t' ? '\t' : ' ');
    n = put(d, n, '^');
    d->text[n] = 0;
}

enum pl_status pl_fail_at(struct pl_diag *d, enum pl_status s, const struct pl_source *src, size_t at,
                          const char *fmt, ...)
{
    if (!d)
        return s;
    if (at > src->len)
        at = src->len;
    size_t line = 1, begin = 0;
    for (size_t i = 0; i < at; i++)
        if (src->text[i] == '\n') {
            line++;
            begin = i + 1;
        }
    size_t end = at;
    while (end < src->len && src->text[end] != '\n' && src->text[end] != '\r')
        end++;
    const int n = snprintf(d->text, sizeof d->text / 2, "%.200s:%zu:%zu: ", src->name, line, at - begin + 1);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->text + n, sizeof d->text - (size_t)n - 2 * WINDOW - 16, fmt, ap);
    va_end(ap);
    size_t from = begin;
    if (at - begin > WINDOW * 2 / 3)
        from = at - WINDOW * 2 / 3;
    if (end - from > WINDOW)
        end = from + WINDOW;
    show_line(d, src->text, from, end, at);
    return s;
}

const char *pl_status_name(enum pl_status s)
{
    static const char *const name[] = {
#define X(n, exitcode, doc) [PL_##n] = #n,
        PL_STATUS_LIST(X)
#undef X
    };
    return name[s];
}

int pl_status_exit_code(enum pl_status s)
{
    static const unsigned char code[] = {
#define X(n, exitcode, doc) [PL_##n] = exitcode,
        PL_STATUS_LIST(X)
#undef X
    };
    return code[s];
}
