/* options.c - long options from a table, which is also their help. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int cli_fail(enum pl_status s, const struct pl_diag *d)
{
    fflush(stdout);
    fprintf(stderr, "plena: %s\n", d->text);
    return pl_status_exit_code(s);
}

int cli_usage(const struct verb *v, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "plena %s: ", v->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "; see plena %s --help\n", v->name);
    return 2;
}

static void help(const struct verb *v, const struct opt *o, size_t n)
{
    printf("usage: plena %s %s [options]\n%s\n\n", v->name, v->args, v->doc);
    for (size_t i = 0; i < n; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", o[i].name[1] ? "--" : "-", o[i].name, o[i].arg ? " " : "", o[i].arg ? o[i].arg : "");
        printf("  %-24s %s\n", left, o[i].doc);
    }
}

static int store(const struct verb *v, const struct opt *o, const char *value)
{
    char *end;
    switch (o->type) {
    case OPT_FLAG:
        *(bool *)o->out = true;
        return -1;
    case OPT_TEXT:
        *(const char **)o->out = value;
        return -1;
    case OPT_LIST: {
        struct opt_list *l = o->out;
        if (l->n == LIST_MAX)
            return cli_usage(v, "--%s is given more than %d times", o->name, LIST_MAX);
        l->v[l->n++] = value;
        return -1;
    }
    default:
        errno = 0;
        *(uint64_t *)o->out = strtoull(value, &end, 0);
        if (end == value || *end || errno || *value == '-')
            return cli_usage(v, "--%s: expected a number, found \"%s\"", o->name, value);
        return -1;
    }
}

static bool is_number(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == 0;
}

static const struct opt *find(const struct opt *o, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(o[i].name) == len && !memcmp(o[i].name, name, len))
            return &o[i];
    return NULL;
}

static int unknown(const struct verb *v, const struct opt *o, size_t n, const char *arg)
{
    const char *names[64];
    for (size_t i = 0; i < n && i < 64; i++)
        names[i] = o[i].name;
    const char *near = pl_nearest(arg + strspn(arg, "-"), names, n < 64 ? n : 64);
    return cli_usage(v, "no option \"%s\"%s%s%s", arg, near ? "; did you mean \"--" : "", near ? near : "", near ? "\"?" : "");
}

int cli_options(const struct verb *v, int argc, char **argv, const struct opt *o, size_t n_opt, const char **pos,
                size_t max_pos, size_t *n_pos)
{
    bool only_pos = false;
    *n_pos = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_pos || arg[0] != '-' || !arg[1]) {
            if (*n_pos == max_pos)
                return cli_usage(v, "unexpected argument \"%s\"", arg);
            pos[(*n_pos)++] = arg;
            continue;
        }
        if (!strcmp(arg, "--")) {
            only_pos = true;
            continue;
        }
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
            help(v, o, n_opt);
            return 0;
        }
        const bool is_long = arg[1] == '-';
        const char *name = arg + 1 + is_long, *value = is_long ? strchr(name, '=') : name[1] ? name + 1 : NULL;
        const size_t len = !is_long ? 1 : value ? (size_t)(value - name) : strlen(name);
        const struct opt *found = find(o, n_opt, name, len);
        if (!found || (is_long && len == 1))
            return unknown(v, o, n_opt, arg);
        value = value && is_long ? value + 1 : value;
        if (found->type == OPT_FLAG && value)
            return cli_usage(v, "%s takes no value", arg);
        if (found->type == OPT_U64_OR && !value)
            value = i + 1 < argc && is_number(argv[i + 1]) ? argv[++i] : "10";
        if (found->type != OPT_FLAG && !value) {
            if (++i == argc)
                return cli_usage(v, "%s wants a value: %s", arg, found->arg);
            value = argv[i];
        }
        const int rc = store(v, found, value);
        if (rc >= 0)
            return rc;
    }
    return -1;
}
