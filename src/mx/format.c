/* format.c - spellings and sizes of tensor formats. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_BLOCK = 16 };

static const char *const rule_name[] = {"floor", "ceil", "search"};
static const char *const range_name[] = {"", "full", "unsigned"};

static enum pl_status refuse(const char *text, struct pl_diag *d)
{
    static const char *const common[] = {"none", "bf16", "fp16", "mxint2", "mxint3", "mxint4", "mxint5", "mxint6",
                                         "mxint7", "mxint8", "mxfp4_e2m1", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3",
                                         "mxfp8_e5m2", "mxfp8_e3m4"};
    char head[64];
    snprintf(head, sizeof head, "%.*s", (int)strcspn(text, ":"), text);
    const char *near = pl_nearest(head, common, PL_COUNT(common));
    return pl_fail(d, PL_EPARSE,
                   "\"%s\" is not a number format%s%s%s; allowed: none, bf16, fp16, eXmY, mxintB[:block[:rule]] (B 2..8), "
                   "mxfpN_eXmY[:block[:rule]] with N = 1+X+Y, block 4 8 16 32 64, rule floor ceil search; behind the block "
                   "also e6m2, and of mxintB full, unsigned",
                   text, near ? "; did you mean \"" : "", near ? near : "", near ? "\"" : "");
}

/* "eXmY" at s; NULL unless X is 1..8 and Y 0..10. */
static const char *parse_exmy(const char *s, struct pl_minifloat *out)
{
    unsigned e, m;
    int used = 0;
    if (sscanf(s, "e%1um%2u%n", &e, &m, &used) != 2 || !used || e < 1 || e > 8 || m > 10)
        return NULL;
    *out = pl_minifloat_make(e, m);
    return s + used;
}

static const char *parse_head(const char *s, struct pl_format *f)
{
    unsigned bits;
    int used = 0;
    if (!strncmp(s, "none", 4)) {
        f->kind = PL_FORMAT_NONE;
        return s + 4;
    }
    if (!strncmp(s, "bf16", 4) || !strncmp(s, "fp16", 4)) {
        f->kind = PL_FORMAT_FLOAT;
        f->elem = s[0] == 'b' ? PL_BF16 : PL_FP16;
        return s + 4;
    }
    if (s[0] == 'e') {
        f->kind = PL_FORMAT_FLOAT;
        s = parse_exmy(s, &f->elem);
        if (!s || f->elem.exp_bits < 2 || f->elem.man_bits < 1)
            return NULL;
        f->elem.special = PL_SPECIAL_IEEE;
        return s;
    }
    if (sscanf(s, "mxint%1u%n", &bits, &used) == 1 && used && bits >= 2 && bits <= 8) {
        f->kind = PL_FORMAT_MXINT;
        f->int_bits = (uint8_t)bits;
        return s + used;
    }
    if (sscanf(s, "mxfp%2u_%n", &bits, &used) == 1 && used) {
        f->kind = PL_FORMAT_MXFP;
        s = parse_exmy(s + used, &f->elem);
        return s && pl_minifloat_bits(f->elem) == bits ? s : NULL;
    }
    return NULL;
}

/* One word behind the block; false: not known, or not with what stands before. */
static bool parse_word(const char *s, size_t n, struct pl_format *f, bool *ruled)
{
    for (unsigned i = 0; i < PL_COUNT(rule_name); i++)
        if (n == strlen(rule_name[i]) && !memcmp(s, rule_name[i], n)) {
            if (*ruled)
                return false;
            *ruled = true;
            f->rule = (uint8_t)i;
            return true;
        }
    for (unsigned i = 1; i < PL_COUNT(range_name); i++)
        if (n == strlen(range_name[i]) && !memcmp(s, range_name[i], n)) {
            const bool first = !f->range && f->kind == PL_FORMAT_MXINT;
            f->range = (uint8_t)i;
            return first;
        }
    if (n != 4 || memcmp(s, "e6m2", 4) != 0 || f->e6m2)
        return false;
    return f->e6m2 = true;
}

/* ":block[:word]..." */
static bool parse_tail(const char *s, struct pl_format *f)
{
    char *end;
    bool ruled = false;
    const long block = strtol(s, &end, 10);
    if (end == s || block < 4 || block > 64 || !pl_is_pow2((uint64_t)block))
        return false;
    f->block = (uint16_t)block;
    for (s = end; *s == ':';) {
        const size_t n = strcspn(s + 1, ":");
        if (!parse_word(s + 1, n, f, &ruled))
            return false;
        s += 1 + n;
    }
    const bool fixed = f->e6m2 || f->range == PL_RANGE_FULL; /* their rule is the one that finds its own scales again */
    if ((fixed && ruled && f->rule != PL_SCALE_SEARCH) || (f->range && f->rule == PL_SCALE_CEIL))
        return false;
    f->rule = fixed ? PL_SCALE_SEARCH : f->rule;
    return !*s;
}

enum pl_status pl_format_parse(const char *text, struct pl_format *out, struct pl_diag *d)
{
    struct pl_format f = {0};
    const char *s = strpbrk(text, " \t\n\v\f\r+-") ? NULL : parse_head(text, &f); /* scanf and strtol take these */
    if (!s)
        return refuse(text, d);
    const bool is_mx = f.kind == PL_FORMAT_MXINT || f.kind == PL_FORMAT_MXFP;
    f.block = is_mx ? DEFAULT_BLOCK : f.kind == PL_FORMAT_FLOAT;
    if (*s == ':' && is_mx ? !parse_tail(s + 1, &f) : *s != 0)
        return refuse(text, d);
    *out = f;
    return PL_OK;
}

void pl_format_name(const struct pl_format *f, char out[48])
{
    const struct pl_minifloat m = f->elem;
    int n = 0;
    switch (f->kind) {
    case PL_FORMAT_NONE:
        snprintf(out, 48, "none");
        return;
    case PL_FORMAT_FLOAT:
        if (m.exp_bits == 8 && m.man_bits == 7)
            snprintf(out, 48, "bf16");
        else if (m.exp_bits == 5 && m.man_bits == 10)
            snprintf(out, 48, "fp16");
        else
            snprintf(out, 48, "e%um%u", m.exp_bits, m.man_bits);
        return;
    case PL_FORMAT_MXINT:
        n = snprintf(out, 48, "mxint%u:%u", f->int_bits, f->block);
        break;
    default:
        n = snprintf(out, 48, "mxfp%u_e%um%u:%u", pl_minifloat_bits(m), m.exp_bits, m.man_bits, f->block);
    }
    if (f->range)
        n += snprintf(out + n, 48 - (size_t)n, ":%s", range_name[f->range]);
    if (f->e6m2)
        n += snprintf(out + n, 48 - (size_t)n, ":e6m2");
    if (f->rule && !f->e6m2 && f->range != PL_RANGE_FULL)
        snprintf(out + n, 48 - (size_t)n, ":%s", rule_name[f->rule]);
}

bool pl_format_equal(const struct pl_format *a, const struct pl_format *b)
{
    char x[48], y[48];
    pl_format_name(a, x);
    pl_format_name(b, y);
    return !strcmp(x, y);
}

struct pl_format pl_format_resolve(struct pl_format f, struct pl_minifloat vec)
{
    if (f.kind == PL_FORMAT_NONE)
        f = (struct pl_format){.kind = PL_FORMAT_FLOAT, .elem = vec, .block = 1};
    return f;
}

unsigned pl_format_bits(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT ? f->int_bits : pl_minifloat_bits(f->elem);
}

bool pl_format_has_scale(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT || f->kind == PL_FORMAT_MXFP;
}

bool pl_format_on_machine(const struct pl_format *f)
{
    return !f->e6m2 && f->range == PL_RANGE_SYMMETRIC;
}

size_t pl_format_row_bytes(const struct pl_format *f, size_t n)
{
    return (n * pl_format_bits(f) + 7) / 8;
}

size_t pl_format_row_scales(const struct pl_format *f, size_t n)
{
    return pl_format_has_scale(f) ? (n + f->block - 1) / f->block : 0;
}
