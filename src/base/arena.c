/* arena.c - memory that is freed as a whole when a phase ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, DEFAULT_BLOCK = 64 * 1024 };

struct pl_arena_block {
    struct pl_arena_block *next;
    size_t used, size; /* of the bytes behind the header */
    char pad[ALIGN - 3 * sizeof(size_t)];
};

void pl_arena_init(struct pl_arena *a)
{
    *a = (struct pl_arena){0};
}

void pl_arena_fini(struct pl_arena *a)
{
    while (a->head) {
        struct pl_arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
}

static void *from_block(struct pl_arena_block *b, size_t bytes)
{
    void *p = (char *)b + sizeof *b + b->used;
    b->used += bytes;
    return p;
}

/* A block of its own for what does not fit; it goes behind the head so that the head's rest stays in use. */
static void *try_alloc(struct pl_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = pl_round_up(bytes ? bytes : 1, ALIGN);
    if (a->head && a->head->size - a->head->used >= bytes)
        return from_block(a->head, bytes);
    const size_t want = a->block_bytes ? a->block_bytes : DEFAULT_BLOCK;
    const size_t size = bytes > want ? bytes : pl_round_up(want, ALIGN);
    struct pl_arena_block *b = aligned_alloc(ALIGN, sizeof *b + size);
    if (!b)
        return NULL;
    memset(b, 0, sizeof *b);
    b->size = size;
    if (a->head && bytes > want / 2) {
        b->next = a->head->next;
        a->head->next = b;
    } else {
        b->next = a->head;
        a->head = b;
    }
    return from_block(b, bytes);
}

void *pl_alloc_bulk(struct pl_arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (pl_mul_overflows(count, size, &bytes))
        return NULL;
    void *p = try_alloc(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *pl_alloc_n(struct pl_arena *a, size_t count, size_t size)
{
    void *p = pl_alloc_bulk(a, count, size);
    if (!p)
        abort();
    return p;
}

void *pl_alloc(struct pl_arena *a, size_t bytes)
{
    return pl_alloc_n(a, 1, bytes);
}

char *pl_arena_strndup(struct pl_arena *a, const char *s, size_t n)
{
    char *p = pl_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *pl_arena_strdup(struct pl_arena *a, const char *s)
{
    return pl_arena_strndup(a, s, strlen(s));
}

char *pl_arena_printf(struct pl_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = pl_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
