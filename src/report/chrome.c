/* chrome.c - Chrome trace-event JSON, written as it comes: nothing is kept but the stream. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/report.h"

enum { WRITE_BYTES = 1 << 16 };
struct pl_chrome {
    FILE *f;
    char *path;
    struct pl_buf b;   /* what is not written yet */
    double ps_per_cyc; /* the format counts microseconds; a picosecond is its sixth digit behind the point */
    int error;         /* errno of the first write that failed */
    bool any;          /* an event was written */
};

/* Bytes of the UTF-8 character at s, 0 if it is none. */
static size_t utf8_length(const unsigned char *s)
{
    const size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* overlong, surrogate, beyond U+10FFFF */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void put_string(struct pl_buf *b, const char *text)
{
    pl_buf_puts(b, "\"");
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const size_t n = utf8_length(s);
        if (!n)
            pl_buf_puts(b, "\xef\xbf\xbd");
        else if (*s == '"' || *s == '\\')
            pl_buf_printf(b, "\\%c", *s);
        else if (*s < 0x20)
            pl_buf_printf(b, "\\u%04x", *s);
        else
            pl_buf_put(b, s, n);
        s += n ? n : 1;
    }
    pl_buf_puts(b, "\"");
}

static void put_args(struct pl_buf *b, const struct pl_chrome_arg *arg, size_t n)
{
    pl_buf_puts(b, "{");
    for (size_t i = 0; i < n; i++) {
        pl_buf_puts(b, i ? "," : "");
        put_string(b, arg[i].key);
        pl_buf_puts(b, ":");
        if (arg[i].text)
            put_string(b, arg[i].text);
        else
            pl_buf_printf(b, "%llu", (unsigned long long)arg[i].number);
    }
    pl_buf_puts(b, "}");
}

static uint64_t picoseconds(const struct pl_chrome *c, uint64_t cyc)
{
    return (uint64_t)llround((double)cyc * c->ps_per_cyc);
}

/* ,"key":microseconds */
static void put_time(struct pl_buf *b, const char *key, uint64_t ps)
{
    char digits[8];
    snprintf(digits, sizeof digits, ".%06u", (unsigned)(ps % 1000000));
    size_t n = strlen(digits);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    pl_buf_printf(b, ",\"%s\":%llu%.*s", key, (unsigned long long)(ps / 1000000), n > 1 ? (int)n : 0, digits);
}

/* The part that every event has. */
static void begin(struct pl_chrome *c, char phase, unsigned pid, unsigned tid, const char *name)
{
    pl_buf_printf(&c->b, "%s\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"name\":", c->any ? "," : "", phase, pid, tid);
    put_string(&c->b, name);
    c->any = true;
}

static void write_out(struct pl_chrome *c)
{
    if (!c->error && fwrite(c->b.data, 1, c->b.len, c->f) < c->b.len)
        c->error = errno ? errno : EIO;
    c->b.len = 0;
}

static void end(struct pl_chrome *c, const struct pl_chrome_arg *arg, size_t n_arg)
{
    pl_buf_puts(&c->b, ",\"args\":");
    put_args(&c->b, arg, n_arg);
    pl_buf_puts(&c->b, "}");
    if (c->b.len >= WRITE_BYTES)
        write_out(c);
}

enum pl_status pl_chrome_open(const char *path, double clock_hz, const struct pl_chrome_arg *other, size_t n_other,
                              struct pl_chrome **out, struct pl_diag *d)
{
    *out = NULL;
    struct pl_chrome *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path)))
        abort();
    c->ps_per_cyc = 1e12 / clock_hz;
    c->f = fopen(path, "w");
    if (!c->f) {
        const enum pl_status s = pl_fail(d, PL_EIO, "%s: %s", path, strerror(errno));
        free(c->path);
        free(c);
        return s;
    }
    pl_buf_init(&c->b);
    pl_buf_printf(&c->b, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"clock_hz\":\"%.17g\"%s", clock_hz, n_other ? "," : "}");
    for (size_t i = 0; i < n_other; i++) {
        char number[32];
        snprintf(number, sizeof number, "%llu", (unsigned long long)other[i].number);
        put_string(&c->b, other[i].key);
        pl_buf_puts(&c->b, ":");
        put_string(&c->b, other[i].text ? other[i].text : number);
        pl_buf_puts(&c->b, i + 1 < n_other ? "," : "}");
    }
    pl_buf_puts(&c->b, ",\"traceEvents\":[");
    *out = c;
    return PL_OK;
}

void pl_chrome_process(struct pl_chrome *c, unsigned pid, const char *name)
{
    begin(c, 'M', pid, 0, "process_name");
    end(c, &(struct pl_chrome_arg){"name", name, 0}, 1);
}

void pl_chrome_track(struct pl_chrome *c, unsigned pid, unsigned tid, const char *name)
{
    begin(c, 'M', pid, tid, "thread_name");
    end(c, &(struct pl_chrome_arg){"name", name, 0}, 1);
    begin(c, 'M', pid, tid, "thread_sort_index");
    end(c, &(struct pl_chrome_arg){"sort_index", NULL, tid}, 1);
}

void pl_chrome_put_span(struct pl_chrome *c, const struct pl_chrome_span *s, const struct pl_chrome_arg *arg, size_t n_arg)
{
    const uint64_t from = picoseconds(c, s->from_cyc);
    begin(c, 'X', s->pid, s->tid, s->name);
    put_time(&c->b, "ts", from);
    put_time(&c->b, "dur", picoseconds(c, s->to_cyc) - from);
    end(c, arg, n_arg);
}

void pl_chrome_put_counter(struct pl_chrome *c, unsigned pid, const char *name, uint64_t at_cyc, const struct pl_chrome_arg *arg,
                           size_t n_arg)
{
    begin(c, 'C', pid, 0, name);
    put_time(&c->b, "ts", picoseconds(c, at_cyc));
    end(c, arg, n_arg);
}

enum pl_status pl_chrome_close(struct pl_chrome *c, struct pl_diag *d)
{
    enum pl_status s = PL_OK;
    if (!c)
        return s;
    pl_buf_puts(&c->b, "\n]}\n");
    write_out(c);
    if (fclose(c->f) && !c->error)
        c->error = errno;
    if (c->error)
        s = pl_fail(d, PL_EIO, "%s: cannot be written: %s", c->path, strerror(c->error));
    pl_buf_fini(&c->b);
    free(c->path);
    free(c);
    return s;
}
