/* buf.c - growing byte buffer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct pl_buf *b, size_t more)
{
    if (more > SIZE_MAX / 4 - b->len)
        abort();
    if (b->len + more + 1 <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < b->len + more + 1)
        cap *= 2;
    char *p = realloc(b->data, cap);
    if (!p)
        abort();
    b->data = p;
    b->cap = cap;
}

void pl_buf_init(struct pl_buf *b)
{
    *b = (struct pl_buf){0};
    reserve(b, 0);
    b->data[0] = 0;
}

void pl_buf_fini(struct pl_buf *b)
{
    free(b->data);
    *b = (struct pl_buf){0};
}

void pl_buf_put(struct pl_buf *b, const void *p, size_t n)
{
    reserve(b, n);
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
}

void pl_buf_puts(struct pl_buf *b, const char *s)
{
    pl_buf_put(b, s, strlen(s));
}

void pl_buf_printf(struct pl_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}
