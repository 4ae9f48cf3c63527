/* run_plena.h - runs the program in a folder of its own and reads what it writes: for tests of the command line. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUN_PLENA_H
#define RUN_PLENA_H
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/test.h"

#include "plena/base_json.h"

static struct pl_diag d;
static char folder[] = "/tmp/plena-reports-XXXXXX";

/* Run plena in `folder`; standard output to "out", errors to "err". Returns the exit code. */
static int plena(const char *args)
{
    char command[2048];
    snprintf(command, sizeof command, "cd %s && OMP_WAIT_POLICY=passive '%s' %s >out 2>err", folder, PL_PLENA, args);
    const int rc = system(command);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static char *in_folder(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static char *contents(const char *name) /* caller frees */
{
    struct pl_map m;
    OK(pl_file_map(in_folder(name), &m, &d));
    char *s = malloc(m.len + 1);
    assert_non_null(s);
    memcpy(s, m.data, m.len);
    s[m.len] = 0;
    pl_file_unmap(&m);
    return s;
}

static inline bool says(const char *name, const char *words)
{
    char *s = contents(name);
    const bool found = strstr(s, words) != NULL;
    free(s);
    return found;
}

static json_t *load(const char *name)
{
    json_t *o;
    OK(pl_json_load(in_folder(name), &o, &d));
    return o;
}

static inline json_t *get(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    if (!v)
        fail_msg("there is no member %s", key);
    return v;
}

static inline uint64_t number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(get(o, key));
}

static inline uint64_t sum_members(const json_t *o)
{
    uint64_t sum = 0;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
        sum += (uint64_t)json_integer_value(v);
    return sum;
}

/* ---- one run that the tests look at from every side ---- */
static json_t *stats, *trace;

static int simulate(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    if (plena("run agent-0.8m --machine small --prompt user: --max-tokens 2 --hot 1000000 --json --chrome-trace c.json --trace t.txt"
              " --roofline-csv r.csv --roofline-svg r.svg") != 0)
        return -1;
    json_t *out = load("out");
    stats = json_incref(get(out, "stats"));
    json_decref(out);
    trace = load("c.json");
    return 0;
}

static int clean(void **state)
{
    (void)state;
    char command[300];
    json_decref(stats);
    json_decref(trace);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}
#endif
