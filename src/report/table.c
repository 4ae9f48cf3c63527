/* table.c - rows of text cells, aligned or as CSV. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pl_table_init(struct pl_table *t, struct pl_arena *a, const char *heads)
{
    *t = (struct pl_table){0};
    for (char *s = pl_arena_strdup(a, heads); s && t->n_col < PL_TABLE_COLUMNS;) {
        t->head[t->n_col++] = s;
        s = strchr(s, '|');
        if (s)
            *s++ = 0;
    }
}

void pl_table_fini(struct pl_table *t)
{
    for (size_t i = 0; i < t->n_row * t->n_col; i++)
        free(t->cell[i]);
    free(t->cell);
    *t = (struct pl_table){0};
}

static char *copy(const char *s, size_t n)
{
    char *p = malloc(n + 1);
    if (!p)
        abort();
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

void pl_table_row(struct pl_table *t, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (t->n_row == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->cell = realloc(t->cell, t->cap * t->n_col * sizeof *t->cell);
        if (!t->cell)
            abort();
    }
    const char *s = text;
    for (unsigned c = 0; c < t->n_col; c++) {
        const size_t n = strcspn(s, "|");
        t->cell[t->n_row * t->n_col + c] = copy(s, n);
        s += n + (s[n] == '|');
    }
    t->n_row++;
}

/* Characters, not bytes. */
static size_t width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_line(const struct pl_table *t, const size_t *wide, char *const *cell, struct pl_buf *out)
{
    for (unsigned c = 0; c < t->n_col; c++) {
        const bool left = t->head[c][0] == '<';
        const char *s = cell ? cell[c] : t->head[c] + left;
        const int pad = (int)(wide[c] - width(s));
        if (left)
            pl_buf_printf(out, "%s%s%*s", c ? "  " : "", s, c + 1 < t->n_col ? pad : 0, "");
        else
            pl_buf_printf(out, "%s%*s%s", c ? "  " : "", pad, "", s);
    }
    pl_buf_puts(out, "\n");
}

void pl_table_text(const struct pl_table *t, struct pl_buf *out)
{
    size_t wide[PL_TABLE_COLUMNS];
    for (unsigned c = 0; c < t->n_col; c++) {
        wide[c] = width(t->head[c]) - (t->head[c][0] == '<');
        for (size_t r = 0; r < t->n_row; r++)
            if (width(t->cell[r * t->n_col + c]) > wide[c])
                wide[c] = width(t->cell[r * t->n_col + c]);
    }
    put_line(t, wide, NULL, out);
    for (size_t r = 0; r < t->n_row; r++)
        put_line(t, wide, t->cell + r * t->n_col, out);
}

static void put_csv(const char *s, bool last, struct pl_buf *out)
{
    const bool quote = strpbrk(s, "\",\r\n") != NULL;
    if (quote)
        pl_buf_puts(out, "\"");
    for (; *s; s++) {
        if (*s == '"')
            pl_buf_puts(out, "\"");
        pl_buf_put(out, s, 1);
    }
    pl_buf_puts(out, quote ? "\"" : "");
    pl_buf_puts(out, last ? "\r\n" : ",");
}

void pl_table_csv(const struct pl_table *t, struct pl_buf *out)
{
    for (unsigned c = 0; c < t->n_col; c++)
        put_csv(t->head[c] + (t->head[c][0] == '<'), c + 1 == t->n_col, out);
    for (size_t i = 0; i < t->n_row * t->n_col; i++)
        put_csv(t->cell[i], i % t->n_col + 1 == t->n_col, out);
}

const char *pl_group_digits(uint64_t v, char out[32])
{
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)v);
    char *p = out;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            *p++ = ',';
        *p++ = digits[i];
    }
    *p = 0;
    return out;
}
