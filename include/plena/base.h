/* base.h - status codes, diagnostics, arenas, buffers, files and random numbers for every module.
 *
 * Depends on: nothing of ours.   Threads: no global state; one object, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_BASE_H
#define PLENA_BASE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one list of outcomes: name, process exit code, meaning. */
#define PL_STATUS_LIST(X)                                                                          \
    X(OK, 0, "success")                                                                            \
    X(EDIFF, 1, "a comparison failed")                                                             \
    X(EUSAGE, 2, "the command line makes no sense")                                                \
    X(ERANGE, 3, "a value lies outside what its field, format or memory holds")                    \
    X(EPARSE, 3, "text or file is not well formed")                                                \
    X(EIO, 3, "the operating system refused a read or a write")                                    \
    X(ENOMEM, 3, "a bulk buffer could not be had")                                                 \
    X(EFAULT, 3, "a simulated program broke a rule of the machine")                                \
    X(EUNSUPPORTED, 4, "well formed, but outside what this version supports")

enum pl_status {
#define X(name, exitcode, doc) PL_##name,
    PL_STATUS_LIST(X)
#undef X
};

#define PL_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Why a call failed, ready to print; filled by whoever returns a non-zero status. May be NULL. */
struct pl_diag {
    char text[1024];
};

enum pl_status pl_fail(struct pl_diag *d, enum pl_status s, const char *fmt, ...) PL_PRINTF(3, 4);
/* Put "prefix: " in front of what `d` already says; returns `s`. */
enum pl_status pl_fail_in(struct pl_diag *d, enum pl_status s, const char *fmt, ...)
    PL_PRINTF(3, 4);

/* A text being read: for messages with file:line:col, the line, and a caret. */
struct pl_source {
    const char *name; /* shown as the file name */
    const char *text; /* `len` bytes, not necessarily terminated */
    size_t len;
};
/* Fail at byte offset `at` of `src`: "name:line:col: message\n  line\n  ^". Columns count bytes. */
enum pl_status pl_fail_at(struct pl_diag *d, enum pl_status s, const struct pl_source *src,
                          size_t at, const char *fmt, ...) PL_PRINTF(5, 6);

const char *pl_status_name(enum pl_status s);
int pl_status_exit_code(enum pl_status s);

/* Hand a failure straight to the caller. Only for functions with nothing to undo. */
#define PL_TRY(call)                                                                               \
    do {                                                                                           \
        enum pl_status try_status_ = (call);                                                       \
        if (try_status_ != PL_OK)                                                                  \
            return try_status_;                                                                    \
    } while (0)

#define PL_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- arena: everything made in a phase is freed with the phase ---- */
struct pl_arena {
    struct pl_arena_block *head;
    size_t block_bytes; /* 0 = default; tests use 64 */
};
void pl_arena_init(struct pl_arena *a);
void pl_arena_fini(struct pl_arena *a);
/* Zeroed memory, 64-byte aligned. Out of memory aborts: for metadata. */
void *pl_alloc(struct pl_arena *a, size_t bytes);
/* As pl_alloc for count objects of `size`; NULL when it cannot be had or overflows: for bulk data. */
void *pl_alloc_bulk(struct pl_arena *a, size_t count, size_t size);
#define PL_NEW(a, type) ((type *)pl_alloc(a, sizeof(type)))
#define PL_NEW_N(a, type, n) ((type *)pl_alloc_n(a, n, sizeof(type)))
void *pl_alloc_n(struct pl_arena *a, size_t count, size_t size); /* overflow or no memory aborts */
char *pl_arena_strdup(struct pl_arena *a, const char *s);
char *pl_arena_strndup(struct pl_arena *a, const char *s, size_t n);
char *pl_arena_printf(struct pl_arena *a, const char *fmt, ...) PL_PRINTF(2, 3);

/* ---- growing byte buffer (heap); always NUL-terminated one past `len` ---- */
struct pl_buf {
    char *data;
    size_t len, cap;
};
void pl_buf_init(struct pl_buf *b);
void pl_buf_fini(struct pl_buf *b);
void pl_buf_put(struct pl_buf *b, const void *p, size_t n);
void pl_buf_puts(struct pl_buf *b, const char *s);
void pl_buf_printf(struct pl_buf *b, const char *fmt, ...) PL_PRINTF(2, 3);

/* ---- files ---- */
struct pl_map { /* a whole file, mapped read-only; an empty file has data = "", len = 0 */
    const uint8_t *data;
    size_t len;
};
enum pl_status pl_file_map(const char *path, struct pl_map *out, struct pl_diag *d);
void pl_file_unmap(struct pl_map *m);
/* Write a file as a whole: temporary beside it, fsync, rename. On failure `path` is as it was. */
enum pl_status pl_file_write(const char *path, const void *data, size_t len, struct pl_diag *d);
bool pl_file_exists(const char *path);
/* A text compiled in; a list ends with a NULL name. */
struct pl_shipped {
    const char *name, *text;
};
/* The shipped text of that name, or the file: *file must be unmapped when *out is done with (data NULL: a shipped text). `what`
 * they are, for the error: PL_EIO with the nearest name and all of them. */
enum pl_status pl_shipped_open(const struct pl_shipped *list, const char *what, const char *name_or_path, struct pl_source *out,
                               struct pl_map *file, struct pl_diag *d);
/* dir/name in the arena; `name` alone when dir is "" or name is absolute. */
char *pl_path_join(struct pl_arena *a, const char *dir, const char *name);

/* ---- misc ---- */
bool pl_mul_overflows(size_t a, size_t b, size_t *out);
bool pl_is_pow2(uint64_t x);
unsigned pl_log2(uint64_t x); /* floor; x > 0 */
size_t pl_round_up(size_t x, size_t multiple);
uint64_t pl_clock_ns(void); /* monotonic wall clock */
/* Of `n` names the one nearest to `s` by edit distance, or NULL if none is near: "did you mean". */
const char *pl_nearest(const char *s, const char *const *names, size_t n);

/* xoshiro256**: same seed, same sequence on every host. */
struct pl_rng {
    uint64_t s[4];
};
void pl_rng_init(struct pl_rng *r, uint64_t seed);
uint64_t pl_rng_u64(struct pl_rng *r);
uint64_t pl_rng_below(struct pl_rng *r, uint64_t n); /* uniform in [0, n) */
double pl_rng_double(struct pl_rng *r);              /* uniform in [0, 1) */
double pl_rng_normal(struct pl_rng *r);              /* mean 0, variance 1; libm-dependent */
#endif
