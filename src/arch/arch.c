/* arch.c - machine descriptions: the schema from arch.def, YAML in and out, checks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/arch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/base_yaml.h"

enum param_type { TYPE_U32, TYPE_U64, TYPE_F64, TYPE_FORMAT, TYPE_CHOICE };
struct param {
    const char *section, *name, *unit, *dflt, *source, *doc; /* CHOICE: unit = the choices, "a|b|c" */
    enum param_type type;
    size_t offset;
    double least, most;
};
static const struct param params[] = {
#define PARAM(section, name, type, unit, dflt, least, most, source, doc)                                               \
    {#section, #name, unit, #dflt, source, doc, TYPE_##type, offsetof(struct pl_arch, name), (double)(least),          \
     (double)(most)},
#define FORMAT(section, name, dflt, source, doc)                                                                       \
    {#section, #name, "", dflt, source, doc, TYPE_FORMAT, offsetof(struct pl_arch, name), 0, 0},
#define CHOICE(section, name, dflt, choices, source, doc)                                                              \
    {#section, #name, choices, dflt, source, doc, TYPE_CHOICE, offsetof(struct pl_arch, name), 0, 0},
#include "plena/arch.def"
#undef PARAM
#undef FORMAT
#undef CHOICE
};

static const struct pl_shipped shipped[] = {
#include "machines.inc"
    {NULL, NULL}};

const char *pl_arch_list(size_t index)
{
    return index < PL_COUNT(shipped) ? shipped[index].name : NULL;
}

/* One of "a|b|c". */
static enum pl_status store_choice(char *field, const char *choices, const char *text, struct pl_diag *d)
{
    const size_t n = strlen(text);
    for (const char *p = choices;;) {
        const size_t len = strcspn(p, "|");
        if (len == n && !memcmp(p, text, n)) {
            memcpy(field, text, n + 1);
            return PL_OK;
        }
        if (!p[len])
            return pl_fail(d, PL_EPARSE, "expected one of %s, found \"%s\"", choices, text);
        p += len + 1;
    }
}

/* Store a value given as text. Says what is allowed, without the key. */
static enum pl_status store(struct pl_arch *arch, const struct param *p, const char *text, struct pl_diag *d)
{
    char *field = (char *)arch + p->offset, *end;
    if (p->type == TYPE_FORMAT)
        return pl_format_parse(text, (struct pl_format *)(void *)field, d);
    if (p->type == TYPE_CHOICE)
        return store_choice(field, p->unit, text, d);
    errno = 0;
    if (p->type != TYPE_F64 && (text[0] < '0' || text[0] > '9')) /* strtoull takes blanks and signs */
        return pl_fail(d, PL_EPARSE, "expected an integer, found \"%s\"", text);
    if (p->type == TYPE_F64) {
        const double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v))
            return pl_fail(d, PL_EPARSE, "expected a number, found \"%s\"", text);
        if (v < p->least || v > p->most)
            return pl_fail(d, PL_ERANGE, "%s is outside %g..%g %s", text, p->least, p->most, p->unit);
        *(double *)(void *)field = v;
        return PL_OK;
    }
    const unsigned long long v = strtoull(text, &end, 0);
    if (*end || errno)
        return pl_fail(d, PL_EPARSE, "expected an integer, found \"%s\"", text);
    if ((double)v < p->least || (double)v > p->most)
        return pl_fail(d, PL_ERANGE, "%s is outside %.0f..%.0f %s", text, p->least, p->most, p->unit);
    if (p->type == TYPE_U32)
        *(uint32_t *)(void *)field = (uint32_t)v;
    else
        *(uint64_t *)(void *)field = v;
    return PL_OK;
}

void pl_arch_defaults(struct pl_arch *out)
{
    *out = (struct pl_arch){.name = "default"};
    for (size_t i = 0; i < PL_COUNT(params); i++)
        (void)store(out, &params[i], params[i].dflt, NULL);
}

static const struct param *find_param(const char *section, const char *name)
{
    for (size_t i = 0; i < PL_COUNT(params); i++)
        if (!strcmp(params[i].name, name) && (!section || !strcmp(params[i].section, section)))
            return &params[i];
    return NULL;
}

/* The name nearest to `s` among the sections (section NULL) or the parameters of a section. */
static const char *nearest(const char *s, const char *section)
{
    const char *names[PL_COUNT(params)];
    size_t n = 0;
    for (size_t i = 0; i < PL_COUNT(params); i++)
        if (!section || !strcmp(params[i].section, section))
            names[n++] = section ? params[i].name : params[i].section;
    return pl_nearest(s, names, n);
}

static enum pl_status unknown_key(const struct pl_source *src, const struct pl_yaml *node, const char *section,
                                  struct pl_diag *d)
{
    const char *near = nearest(node->key, section);
    return pl_fail_at(d, PL_EPARSE, src, node->key_at, "unknown %s \"%s\"%s%s%s", section ? "parameter" : "section",
                      node->key, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum pl_status read_section(const struct pl_source *src, const struct pl_yaml *sec, struct pl_arch *out,
                                   struct pl_diag *d)
{
    bool known = false;
    for (size_t i = 0; i < PL_COUNT(params); i++)
        known |= !strcmp(params[i].section, sec->key);
    if (!known)
        return unknown_key(src, sec, NULL, d);
    if (sec->kind != PL_YAML_MAP)
        return pl_fail_at(d, PL_EPARSE, src, sec->at, "section \"%s\" must hold \"name: value\" lines", sec->key);
    for (size_t i = 0; i < sec->n_child; i++) {
        const struct pl_yaml *v = &sec->child[i];
        const struct param *p = find_param(sec->key, v->key);
        if (!p)
            return unknown_key(src, v, sec->key, d);
        struct pl_diag why;
        if (v->kind != PL_YAML_SCALAR)
            return pl_fail_at(d, PL_EPARSE, src, v->at, "%s.%s: expected one value", sec->key, v->key);
        const enum pl_status s = store(out, p, v->text, &why);
        if (s != PL_OK)
            return pl_fail_at(d, s, src, v->at, "%s.%s: %s", sec->key, v->key, why.text);
    }
    return PL_OK;
}

/* Names go into reports and back into YAML: printable ASCII. */
static bool is_printable(const char *s)
{
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

enum pl_status pl_arch_overlay(const struct pl_source *src, struct pl_arch *out, struct pl_diag *d)
{
    struct pl_arena a;
    struct pl_yaml *doc;
    pl_arena_init(&a);
    enum pl_status s = pl_yaml_parse(&a, src, &doc, d);
    if (s == PL_OK && doc->kind != PL_YAML_MAP)
        s = pl_fail_at(d, PL_EPARSE, src, doc->at, "a machine file holds sections");
    for (size_t i = 0; s == PL_OK && i < doc->n_child; i++) {
        const struct pl_yaml *c = &doc->child[i];
        if (strcmp(c->key, "name") != 0)
            s = read_section(src, c, out, d);
        else if (c->kind != PL_YAML_SCALAR || !c->text[0] || strlen(c->text) >= sizeof out->name || !is_printable(c->text))
            s = pl_fail_at(d, PL_EPARSE, src, c->at, "name: expected 1 to %zu printable ASCII characters",
                           sizeof out->name - 1);
        else
            snprintf(out->name, sizeof out->name, "%s", c->text);
    }
    pl_arena_fini(&a);
    return s;
}

enum pl_status pl_arch_parse(const struct pl_source *src, struct pl_arch *out, struct pl_diag *d)
{
    pl_arch_defaults(out);
    PL_TRY(pl_arch_overlay(src, out, d));
    const enum pl_status s = pl_arch_check(out, d);
    return s == PL_OK ? s : pl_fail_in(d, s, "%s", src->name);
}

/* A machine file without a name is called as its file, without folder and ending. */
static void name_after_file(struct pl_arch *out, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, base);
    char *dot = strrchr(out->name, '.');
    if (dot && dot != out->name)
        *dot = 0;
    for (char *p = out->name; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
}

enum pl_status pl_arch_load(const char *name_or_path, struct pl_arch *out, struct pl_diag *d)
{
    struct pl_source src;
    struct pl_map file;
    PL_TRY(pl_shipped_open(shipped, "machine", name_or_path, &src, &file, d));
    const enum pl_status s = pl_arch_parse(&src, out, d);
    if (s == PL_OK && file.data && !strcmp(out->name, "default"))
        name_after_file(out, name_or_path);
    pl_file_unmap(&file);
    return s;
}

enum pl_status pl_arch_set(struct pl_arch *arch, const char *assignment, struct pl_diag *d)
{
    char key[96];
    const char *eq = strchr(assignment, '=');
    if (!eq || eq == assignment || (size_t)(eq - assignment) >= sizeof key)
        return pl_fail(d, PL_EUSAGE, "\"%s\": expected name=value", assignment);
    snprintf(key, sizeof key, "%.*s", (int)(eq - assignment), assignment);
    char *dot = strchr(key, '.');
    if (dot)
        *dot = 0;
    const char *name = dot ? dot + 1 : key;
    const struct param *p = find_param(dot ? key : NULL, name);
    if (!p) {
        const char *names[PL_COUNT(params)];
        for (size_t i = 0; i < PL_COUNT(params); i++)
            names[i] = params[i].name;
        const char *near = pl_nearest(name, names, PL_COUNT(params));
        return pl_fail(d, PL_EUSAGE, "no machine parameter \"%.*s\"%s%s%s; see plena help machine", (int)(eq - assignment),
                       assignment, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    const enum pl_status s = store(arch, p, eq + 1, d);
    return s == PL_OK ? s : pl_fail_in(d, s, "%s.%s", p->section, p->name);
}

enum pl_arch_kind pl_arch_kind(const char *name)
{
    const struct param *p = find_param(NULL, name);
    return !p ? PL_ARCH_NONE : p->type == TYPE_FORMAT ? PL_ARCH_FORMAT : p->type == TYPE_CHOICE ? PL_ARCH_CHOICE : PL_ARCH_NUMBER;
}

const char *pl_arch_nearest(const char *name)
{
    const char *names[PL_COUNT(params)];
    for (size_t i = 0; i < PL_COUNT(params); i++)
        names[i] = params[i].name;
    return pl_nearest(name, names, PL_COUNT(params));
}

const struct pl_format *pl_arch_format(const struct pl_arch *arch, const char *name)
{
    const struct param *p = find_param(NULL, name);
    return p && p->type == TYPE_FORMAT ? (const struct pl_format *)(const void *)((const char *)arch + p->offset) : NULL;
}

bool pl_arch_number(const struct pl_arch *arch, const char *name, double *out)
{
    const struct param *p = find_param(NULL, name);
    const char *field = p ? (const char *)arch + p->offset : NULL;
    if (!p || p->type == TYPE_CHOICE)
        return false;
    if (p->type == TYPE_FORMAT) {
        const struct pl_format *f = pl_arch_format(arch, name);
        *out = f->kind == PL_FORMAT_NONE ? 0 : pl_format_bits(f);
    } else {
        *out = p->type == TYPE_U32   ? *(const uint32_t *)(const void *)field
               : p->type == TYPE_U64 ? (double)*(const uint64_t *)(const void *)field
                                     : *(const double *)(const void *)field;
    }
    return true;
}

static enum pl_status broken(const struct pl_arch *a, struct pl_diag *d, const char *rule)
{
    return pl_fail(d, PL_ERANGE, "machine %s: %s (mlen %u, blen %u, hlen %u, vlen %u)", a->name, rule, a->mlen, a->blen,
                   a->hlen, a->vlen);
}

enum pl_status pl_arch_check_format(const struct pl_arch *a, const char *what, const struct pl_format *f, struct pl_diag *d)
{
    const uint32_t widest = a->mlen < a->vlen ? a->mlen : a->vlen;
    char name[48];
    if (f->block <= widest)
        return PL_OK;
    pl_format_name(f, name);
    return pl_fail(d, PL_EUNSUPPORTED, "%s format %s: blocks of %u are wider than min(mlen, vlen) = %u of machine %s", what,
                   name, f->block, widest, a->name);
}

/* The machine's own formats and its accumulators hold the products they are there for. */
static enum pl_status check_formats(const struct pl_arch *a, struct pl_diag *d)
{
    const struct pl_minifloat vec = a->vector_format.elem;
    const struct pl_format act = pl_format_resolve(a->act_format, vec), weight = pl_format_resolve(a->weight_format, vec),
                           kv = pl_format_resolve(a->kv_format, vec);
    struct pl_mm_spec spec;
    PL_TRY(pl_arch_check_format(a, "weight", &weight, d));
    PL_TRY(pl_arch_check_format(a, "activation", &act, d));
    PL_TRY(pl_arch_check_format(a, "KV", &kv, d));
    const struct {
        const char *what;
        const struct pl_format *right;
        bool along_n;
        uint32_t tile;
    } use[] = {{"act_format x weight_format", &weight, false, a->mlen},
               {"act_format x kv_format", &kv, false, a->hlen},
               {"act_format x kv_format", &kv, true, a->mlen}};
    for (size_t i = 0; i < PL_COUNT(use); i++) {
        const enum pl_status s = pl_mm_spec_init(&spec, &act, use[i].right, use[i].along_n, vec, use[i].tile, a->blen,
                                                 a->guard, a->acc_bits, d);
        if (s != PL_OK)
            return pl_fail_in(d, s, "machine %s: array.acc_bits with %s", a->name, use[i].what);
    }
    return PL_OK;
}

enum pl_status pl_arch_check(const struct pl_arch *a, struct pl_diag *d)
{
    if (!pl_is_pow2(a->mlen) || !pl_is_pow2(a->blen) || !pl_is_pow2(a->hlen) || !pl_is_pow2(a->vlen))
        return broken(a, d, "mlen, blen, hlen and vlen must be powers of two");
    if (a->hlen % a->blen || a->mlen % a->hlen)
        return broken(a, d, "blen must divide hlen, and hlen must divide mlen");
    if (a->vlen % a->hlen)
        return broken(a, d, "hlen must divide vlen");
    if (a->vlen / a->hlen > 32)
        return broken(a, d, "V_MASK has 32 bits: vlen / hlen must not exceed 32");
    if (!pl_is_pow2(a->hbm_stacks))
        return broken(a, d, "hbm.hbm_stacks must be a power of two");
    if (!pl_is_pow2(a->hbm_burst))
        return broken(a, d, "hbm.hbm_burst must be a power of two");
    if ((uint64_t)a->matrix_tiles * a->mlen * a->mlen > UINT32_MAX)
        return broken(a, d, "Matrix SRAM addresses (matrix_tiles * mlen * mlen) must fit 32 bits");
    if ((uint64_t)a->vector_rows * a->vlen > UINT32_MAX)
        return broken(a, d, "Vector SRAM addresses (vector_rows * vlen) must fit 32 bits");
    const struct pl_format *v = &a->vector_format;
    if (v->kind != PL_FORMAT_FLOAT || v->elem.special != PL_SPECIAL_IEEE || v->elem.exp_bits < 4 || v->elem.man_bits < 4)
        return broken(a, d, "vector.vector_format must be bf16, fp16 or eXmY with X >= 4, Y >= 4");
    return check_formats(a, d);
}

static void print_value(const struct pl_arch *arch, const struct param *p, char out[64])
{
    const char *field = (const char *)arch + p->offset;
    switch (p->type) {
    case TYPE_U32:
        snprintf(out, 64, "%u", *(const uint32_t *)(const void *)field);
        break;
    case TYPE_U64:
        snprintf(out, 64, "%llu", (unsigned long long)*(const uint64_t *)(const void *)field);
        break;
    case TYPE_F64:
        snprintf(out, 64, "%.17g", *(const double *)(const void *)field);
        break;
    case TYPE_CHOICE:
        snprintf(out, 64, "%s", field);
        break;
    default:
        pl_format_name((const struct pl_format *)(const void *)field, out);
    }
}

void pl_arch_print(const struct pl_arch *arch, struct pl_buf *out)
{
    pl_buf_puts(out, "name: \"");
    for (const char *p = arch->name; *p; p++) {
        if (*p == '"' || *p == '\\')
            pl_buf_puts(out, "\\");
        pl_buf_put(out, p, 1);
    }
    pl_buf_puts(out, "\"\n");
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        const struct param *p = &params[i];
        char value[64];
        if (!i || strcmp(p->section, params[i - 1].section) != 0)
            pl_buf_printf(out, "%s:\n", p->section);
        print_value(arch, p, value);
        pl_buf_printf(out, "  %s: %s # %s%s%s\n", p->name, value, p->unit, p->unit[0] ? "; " : "", p->doc);
    }
}

void pl_arch_each(const struct pl_arch *arch,
                  void (*visit)(void *ctx, const char *section, const char *name, const char *value, bool number), void *ctx)
{
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        char value[64];
        print_value(arch, &params[i], value);
        visit(ctx, params[i].section, params[i].name, value, params[i].type < TYPE_FORMAT);
    }
}

void pl_arch_help(struct pl_buf *out)
{
    static const char *const type[] = {"integer", "integer", "number", "format", "choice"};
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        const struct param *p = &params[i];
        if (!i || strcmp(p->section, params[i - 1].section) != 0)
            pl_buf_printf(out, "%s%s:\n", i ? "\n" : "", p->section);
        pl_buf_printf(out, "  %-18s %-8s", p->name, type[p->type]);
        if (p->type == TYPE_FORMAT)
            pl_buf_printf(out, " default %s", p->dflt);
        else if (p->type == TYPE_CHOICE)
            pl_buf_printf(out, " %s, default %s", p->unit, p->dflt);
        else
            pl_buf_printf(out, " %.15g..%.15g %s, default %s", p->least, p->most, p->unit, p->dflt);
        pl_buf_printf(out, "\n      %s [%s]\n", p->doc, p->source);
    }
}
