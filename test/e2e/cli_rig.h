/* cli_rig.h - running plena and reading what it prints. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_RIG_H
#define CLI_RIG_H
#include "../unit/test.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plena/arch.h"
#include "plena/isa.h"
#include "plena/obj.h"

static struct pl_diag d;
static const char *plena, *flipped;
static char dir[] = "/tmp/plena-cli-XXXXXX";

struct result {
    int rc;
    char out[1 << 17], err[1 << 12]; /* as far as they fit */
};
static struct result r;

static void slurp(const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    to[fread(to, 1, size - 1, f)] = 0;
    fclose(f);
}

/* "@" stands for the scratch folder. Redirections in the command come behind ours and win. */
static void PL_PRINTF(2, 3) run_as(const char *program, const char *fmt, ...)
{
    char args[2048];
    struct pl_buf b;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    pl_buf_init(&b);
    pl_buf_printf(&b, "'%s' >%s/out 2>%s/err ", program, dir, dir);
    for (const char *p = args; *p; p++)
        if (*p == '@')
            pl_buf_puts(&b, dir);
        else
            pl_buf_put(&b, p, 1);
    const int status = system(b.data);
    pl_buf_fini(&b);
    assert_true(WIFEXITED(status)); /* no signal */
    r.rc = WEXITSTATUS(status);
    slurp("out", r.out, sizeof r.out);
    slurp("err", r.err, sizeof r.err);
}
#define RUN(...) run_as(plena, __VA_ARGS__)
/* It works. */
#define DONE(...)                                                                                                      \
    do {                                                                                                               \
        RUN(__VA_ARGS__);                                                                                              \
        if (r.rc != 0)                                                                                                 \
            fail_msg("exit code %d: %s", r.rc, r.err);                                                                 \
    } while (0)
/* It is refused with this exit code and message, and says nothing on stdout. */
#define FAILS(code, words, ...)                                                                                        \
    do {                                                                                                               \
        RUN(__VA_ARGS__);                                                                                              \
        if (r.rc != (code) || r.out[0] || !strstr(r.err, words) || strncmp(r.err, "plena", 5) != 0)                    \
            fail_msg("%s: exit code %d, stdout \"%.60s\", stderr \"%s\"; wanted %d, \"%s\"", #__VA_ARGS__, r.rc, r.out, \
                     r.err, code, words);                                                                              \
    } while (0)

static json_t *json_out(const char *text)
{
    json_error_t e;
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    if (!o)
        fail_msg("line %d: %s in %.200s", e.line, e.text, text);
    return o;
}

/* The member at a path like "stats.cycles". */
static json_t *at(json_t *o, const char *path)
{
    char key[64];
    for (const char *p = path; *p;) {
        const size_t n = strcspn(p, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, p);
        o = json_object_get(o, key);
        if (!o)
            fail_msg("no %s", path);
        p += n + (p[n] == '.');
    }
    return o;
}
#define INT_AT(o, path) json_integer_value(at(o, path))
#define REAL_AT(o, path) json_number_value(at(o, path))
#define TEXT_AT(o, path) json_string_value(at(o, path))

static void contains(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("no \"%s\" in \"%.400s\"", words, text);
}
#endif
