/* system.c - baseline files: the schema of perf_system.def, YAML in, the shipped ones embedded. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/base_yaml.h"
#include "plena/perf_system.h"

static const struct param {
    const char *name, *unit;
    double dflt, least, most;
    size_t offset;
} params[] = {
#define SYS(name, unit, dflt, least, most, doc) {#name, unit, dflt, least, most, offsetof(struct pl_system, name)},
#include "plena/perf_system.def"
#undef SYS
};
static const struct pl_shipped shipped[] = {
#include "baselines.inc"
    {NULL, NULL}};

const char *pl_system_list(size_t index)
{
    return index < PL_COUNT(shipped) ? shipped[index].name : NULL;
}

static enum pl_status store_text(const struct pl_source *src, const struct pl_yaml *v, char *out, size_t size, struct pl_diag *d)
{
    if (v->kind != PL_YAML_SCALAR || !v->text[0] || strlen(v->text) >= size)
        return pl_fail_at(d, PL_EPARSE, src, v->at, "%s: expected 1 to %zu characters", v->key, size - 1);
    snprintf(out, size, "%s", v->text);
    return PL_OK;
}

static enum pl_status store_number(const struct pl_source *src, const struct pl_yaml *v, struct pl_system *out, struct pl_diag *d)
{
    const char *names[PL_COUNT(params)];
    const struct param *p = NULL;
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        names[i] = params[i].name;
        if (!strcmp(params[i].name, v->key))
            p = &params[i];
    }
    if (!p) {
        const char *near = pl_nearest(v->key, names, PL_COUNT(names));
        return pl_fail_at(d, PL_EPARSE, src, v->key_at, "unknown key \"%s\"%s%s%s", v->key, near ? "; did you mean \"" : "",
                          near ? near : "", near ? "\"?" : "");
    }
    char *end;
    const double x = v->kind == PL_YAML_SCALAR ? strtod(v->text, &end) : NAN;
    if (v->kind != PL_YAML_SCALAR || end == v->text || *end || !isfinite(x))
        return pl_fail_at(d, PL_EPARSE, src, v->at, "%s: expected a number", v->key);
    if (x < p->least || x > p->most)
        return pl_fail_at(d, PL_ERANGE, src, v->at, "%s: %g is outside %g..%g %s", v->key, x, p->least, p->most, p->unit);
    *(double *)(void *)((char *)out + p->offset) = x;
    return PL_OK;
}

enum pl_status pl_system_parse(const struct pl_source *src, struct pl_system *out, struct pl_diag *d)
{
    struct pl_arena a;
    struct pl_yaml *doc;
    *out = (struct pl_system){0};
    for (size_t i = 0; i < PL_COUNT(params); i++)
        *(double *)(void *)((char *)out + params[i].offset) = params[i].dflt;
    pl_arena_init(&a);
    enum pl_status s = pl_yaml_parse(&a, src, &doc, d);
    if (s == PL_OK && doc->kind != PL_YAML_MAP)
        s = pl_fail_at(d, PL_EPARSE, src, doc->at, "a baseline file holds \"name: value\" lines");
    for (size_t i = 0; s == PL_OK && i < doc->n_child; i++) {
        const struct pl_yaml *v = &doc->child[i];
        if (!strcmp(v->key, "name"))
            s = store_text(src, v, out->name, sizeof out->name, d);
        else if (!strcmp(v->key, "title"))
            s = store_text(src, v, out->title, sizeof out->title, d);
        else if (!strcmp(v->key, "source"))
            s = store_text(src, v, out->source, sizeof out->source, d);
        else
            s = store_number(src, v, out, d);
    }
    if (s == PL_OK && (!out->name[0] || !out->source[0]))
        s = pl_fail(d, PL_EPARSE, "%s: %s is missing", src->name, out->name[0] ? "source" : "name");
    if (s == PL_OK && !out->title[0])
        memcpy(out->title, out->name, sizeof out->title);
    pl_arena_fini(&a);
    return s;
}

enum pl_status pl_system_load(const char *name_or_path, struct pl_system *out, struct pl_diag *d)
{
    struct pl_source src;
    struct pl_map file;
    PL_TRY(pl_shipped_open(shipped, "baseline", name_or_path, &src, &file, d));
    const enum pl_status s = pl_system_parse(&src, out, d);
    pl_file_unmap(&file);
    return s;
}
