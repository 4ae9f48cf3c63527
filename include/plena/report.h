/* report.h - tables for people: aligned text and CSV from the same rows.
 *
 * Depends on: base.h.   Threads: one table, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_REPORT_H
#define PLENA_REPORT_H
#include "plena/base.h"

enum { PL_TABLE_COLUMNS = 12 };
struct pl_table {
    const char *head[PL_TABLE_COLUMNS]; /* a head that begins with '<' is flush left, without the sign */
    unsigned n_col;
    size_t n_row, cap;
    char **cell; /* [n_row][n_col] */
};
/* Heads separated by '|': "<operator|cycles|share". Caller's memory; fini frees the cells. */
void pl_table_init(struct pl_table *t, struct pl_arena *a, const char *heads);
void pl_table_fini(struct pl_table *t);
/* Append a row: cells separated by '|'. Missing cells are empty. */
void pl_table_row(struct pl_table *t, const char *fmt, ...) PL_PRINTF(2, 3);
void pl_table_text(const struct pl_table *t, struct pl_buf *out); /* two spaces between columns */
void pl_table_csv(const struct pl_table *t, struct pl_buf *out);  /* RFC 4180 */
/* 12345678 -> "12,345,678" in out. */
const char *pl_group_digits(uint64_t v, char out[32]);
#endif
