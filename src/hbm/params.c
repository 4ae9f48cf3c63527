/* params.c - HBM parameters: the schema from hbm.def, assignments, relations that must hold. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hbm_internal.h"

enum param_type { TYPE_U32, TYPE_F64, TYPE_CHOICE, TYPE_TEXT };
struct param {
    const char *section, *name, *unit, *dflt, *source, *doc;
    enum param_type type;
    const char *choices;
    size_t offset;
    double least, most;
};
static const struct param params[] = {
#define PARAM(section, name, type, unit, dflt, least, most, source, doc)                                                       \
    {#section,        #name,         unit, #dflt, source, doc, TYPE_##type, NULL, offsetof(struct pl_hbm_params, name),        \
     (double)(least), (double)(most)},
#define CHOICE(section, name, dflt, choices, source, doc)                                                                      \
    {#section, #name, "", #dflt, source, doc, TYPE_CHOICE, choices, offsetof(struct pl_hbm_params, name), 0, 0},
#define TEXT(section, name, dflt, source, doc)                                                                                 \
    {#section, #name, "", dflt, source, doc, TYPE_TEXT, NULL, offsetof(struct pl_hbm_params, name), 0, 0},
#include "plena/hbm.def"
#undef PARAM
#undef CHOICE
#undef TEXT
};

/* Copy choice `index` of "a|b|c" to out; false past the end. */
static bool choice_text(const char *choices, uint32_t index, char out[32])
{
    for (uint32_t i = 0; i < index; i++) {
        choices = strchr(choices, '|');
        if (!choices)
            return false;
        choices++;
    }
    snprintf(out, 32, "%.*s", (int)strcspn(choices, "|"), choices);
    return true;
}

static enum pl_status store_choice(uint32_t *field, const struct param *p, const char *text, struct pl_diag *d)
{
    char name[32];
    for (uint32_t i = 0; choice_text(p->choices, i, name); i++)
        if (!strcmp(name, text)) {
            *field = i;
            return PL_OK;
        }
    return pl_fail(d, PL_EPARSE, "found \"%s\", allowed: %s", text, p->choices);
}

/* An integer, or for clocks a time in ns. */
static enum pl_status store_u32(const struct pl_hbm_params *all, uint32_t *field, const struct param *p, const char *text,
                                struct pl_diag *d)
{
    char *end;
    errno = 0;
    double v = (double)strtoull(text, &end, 0);
    bool good = end != text && !*end && !errno;
    if (!good && !strcmp(p->unit, "tCK")) {
        v = strtod(text, &end);
        good = end != text && isfinite(v) && !strcmp(end, "ns");
        v = v * 1000 / all->clock_ps;
        v = strncmp(p->name, "trefi", 5) != 0 ? ceil(v - 1e-6) : floor(v + 1e-6);
    }
    if (!good || text[0] == '-')
        return pl_fail(d, PL_EPARSE, "expected an integer%s, found \"%s\"",
                       !strcmp(p->unit, "tCK") ? " or a time like 14ns" : "", text);
    if (v < p->least || v > p->most)
        return pl_fail(d, PL_ERANGE, "found %s, allowed %.0f..%.0f %s", text, p->least, p->most, p->unit);
    *field = (uint32_t)v;
    return PL_OK;
}

static enum pl_status store(struct pl_hbm_params *all, const struct param *p, const char *text, struct pl_diag *d)
{
    void *field = (char *)all + p->offset;
    char *end;
    switch (p->type) {
    case TYPE_U32:
        return store_u32(all, field, p, text, d);
    case TYPE_CHOICE:
        return store_choice(field, p, text, d);
    case TYPE_TEXT:
        if (strlen(text) >= PL_HBM_TEXT)
            return pl_fail(d, PL_ERANGE, "found %zu characters, allowed at most %d", strlen(text), PL_HBM_TEXT - 1);
        snprintf(field, PL_HBM_TEXT, "%s", text);
        return PL_OK;
    default: {
        const double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v))
            return pl_fail(d, PL_EPARSE, "expected a number, found \"%s\"", text);
        if (v < p->least || v > p->most)
            return pl_fail(d, PL_ERANGE, "found %s, allowed %g..%g %s", text, p->least, p->most, p->unit);
        *(double *)field = v;
        return PL_OK;
    }
    }
}

void hbm_defaults(struct pl_hbm_params *out)
{
    *out = (struct pl_hbm_params){.name = "default"};
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        char text[32];
        if (params[i].type == TYPE_CHOICE && choice_text(params[i].choices, (uint32_t)(params[i].dflt[0] - '0'), text))
            (void)store(out, &params[i], text, NULL);
        else
            (void)store(out, &params[i], params[i].dflt, NULL);
    }
}

enum pl_status pl_hbm_set(struct pl_hbm_params *p, const char *assignment, struct pl_diag *d)
{
    char key[64];
    const char *names[PL_COUNT(params)], *eq = strchr(assignment, '=');
    if (!eq || eq == assignment || (size_t)(eq - assignment) >= sizeof key)
        return pl_fail(d, PL_EUSAGE, "\"%s\": expected name=value", assignment);
    snprintf(key, sizeof key, "%.*s", (int)(eq - assignment), assignment);
    const char *dot = strchr(key, '.'), *name = dot ? dot + 1 : key;
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        names[i] = params[i].name;
        const bool section =
            !dot || (strlen(params[i].section) == (size_t)(dot - key) && !strncmp(params[i].section, key, (size_t)(dot - key)));
        if (strcmp(name, params[i].name) != 0 || !section)
            continue;
        const enum pl_status s = store(p, &params[i], eq + 1, d);
        return s == PL_OK ? s : pl_fail_in(d, s, "%s.%s", params[i].section, name);
    }
    const char *near = pl_nearest(name, names, PL_COUNT(params));
    return pl_fail(d, PL_EUSAGE, "no HBM parameter \"%s\"%s%s%s", key, near ? "; did you mean \"" : "", near ? near : "",
                   near ? "\"?" : "");
}

static void value_text(const struct pl_hbm_params *all, const struct param *p, char out[PL_HBM_TEXT])
{
    const void *field = (const char *)all + p->offset;
    switch (p->type) {
    case TYPE_U32:
        snprintf(out, PL_HBM_TEXT, "%u", *(const uint32_t *)field);
        break;
    case TYPE_F64:
        snprintf(out, PL_HBM_TEXT, "%.10g", *(const double *)field);
        break;
    case TYPE_CHOICE:
        if (!choice_text(p->choices, *(const uint32_t *)field, out))
            snprintf(out, PL_HBM_TEXT, "?");
        break;
    default:
        snprintf(out, PL_HBM_TEXT, "%s", (const char *)field);
    }
}

void pl_hbm_each(const struct pl_hbm_params *p,
                 void (*visit)(void *ctx, const char *section, const char *name, const char *value, bool number), void *ctx)
{
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        char value[PL_HBM_TEXT];
        value_text(p, &params[i], value);
        visit(ctx, params[i].section, params[i].name, value, params[i].type == TYPE_U32 || params[i].type == TYPE_F64);
    }
}

void pl_hbm_help(struct pl_buf *out)
{
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        const struct param *p = &params[i];
        char choice[32] = "";
        if (!i || strcmp(p->section, params[i - 1].section) != 0)
            pl_buf_printf(out, "%s%s:\n", i ? "\n" : "", p->section);
        pl_buf_printf(out, "  %-16s ", p->name);
        if (p->type == TYPE_CHOICE && choice_text(p->choices, (uint32_t)(p->dflt[0] - '0'), choice))
            pl_buf_printf(out, "%s, default %s", p->choices, choice);
        else if (p->type == TYPE_TEXT)
            pl_buf_printf(out, "text, default \"%s\"", p->dflt);
        else
            pl_buf_printf(out, "%.10g..%.10g %s, default %s", p->least, p->most, p->unit, p->dflt);
        pl_buf_printf(out, "\n      %s [%s]\n", p->doc, p->source);
    }
}

uint32_t pl_hbm_access_bytes(const struct pl_hbm_params *p)
{
    return p->width * p->burst_length / 8;
}

uint64_t pl_hbm_capacity(const struct pl_hbm_params *p)
{
    return (uint64_t)p->stacks * p->channels * p->pseudo * p->bank_groups * p->banks * p->rows * p->columns * p->width / 8;
}

/* GB/s of all stacks when an access goes out every `interval` clocks. */
static double rate(const struct pl_hbm_params *p, uint32_t interval)
{
    return pl_hbm_access_bytes(p) * (double)p->pseudo * p->channels * p->stacks * 1000 / (interval * p->clock_ps);
}

double pl_hbm_peak_gbs(const struct pl_hbm_params *p)
{
    return rate(p, p->burst);
}

static enum pl_status in_ranges(const struct pl_hbm_params *all, struct pl_diag *d)
{
    char text[32];
    for (size_t i = 0; i < PL_COUNT(params); i++) {
        const struct param *p = &params[i];
        const void *field = (const char *)all + p->offset;
        if (p->type == TYPE_CHOICE && !choice_text(p->choices, *(const uint32_t *)field, text))
            return pl_fail(d, PL_ERANGE, "%s.%s: found choice %u, allowed: %s", p->section, p->name, *(const uint32_t *)field,
                           p->choices);
        if (p->type == TYPE_TEXT && !memchr(field, 0, PL_HBM_TEXT))
            return pl_fail(d, PL_ERANGE, "%s.%s: has no end", p->section, p->name);
        if (p->type != TYPE_U32 && p->type != TYPE_F64)
            continue;
        const double v = p->type == TYPE_U32 ? *(const uint32_t *)field : *(const double *)field;
        if (!(v >= p->least && v <= p->most))
            return pl_fail(d, PL_ERANGE, "%s.%s: found %.10g, allowed %.10g..%.10g %s", p->section, p->name, v, p->least,
                           p->most, p->unit);
    }
    return PL_OK;
}

/* One relation: `found` of parameter `name` must be at least `least`, which `why` explains. */
static enum pl_status at_least(const char *name, double found, double least, const char *why, struct pl_diag *d)
{
    return found >= least ? PL_OK
                          : pl_fail(d, PL_ERANGE, "%s: found %.10g, allowed at least %.10g (%s)", name, found, least, why);
}

static enum pl_status check_shape(const struct pl_hbm_params *p, struct pl_diag *d)
{
    const struct {
        const char *name;
        uint32_t v;
    } pow2[] = {{"stacks", p->stacks},
                {"channels", p->channels},
                {"bank_groups", p->bank_groups},
                {"banks", p->banks},
                {"rows", p->rows},
                {"columns", p->columns},
                {"width", p->width},
                {"burst_length", p->burst_length}};
    for (size_t i = 0; i < PL_COUNT(pow2); i++)
        if (!pl_is_pow2(pow2[i].v))
            return pl_fail(d, PL_ERANGE, "organisation.%s: found %u, allowed: powers of two", pow2[i].name, pow2[i].v);
    if (p->bank_groups * p->banks > HBM_BANKS)
        return pl_fail(d, PL_ERANGE, "organisation.banks: found %u groups of %u, allowed at most %d banks in a pseudo-channel",
                       p->bank_groups, p->banks, HBM_BANKS);
    PL_TRY(at_least("organisation.columns", p->columns, p->burst_length, "burst_length", d));
    const uint32_t bytes = pl_hbm_access_bytes(p);
    if (bytes < 16 || bytes > 256)
        return pl_fail(d, PL_ERANGE,
                       "organisation.burst_length: width %u x burst_length %u makes accesses of %u bytes, allowed 16..256",
                       p->width, p->burst_length, bytes);
    const double made = rate(p, p->burst) / p->stacks, gap = rate(p, p->tccd_s > p->burst ? p->tccd_s : p->burst) / p->stacks;
    if (fabs(made - p->peak_gbs) > 0.01 * p->peak_gbs)
        return pl_fail(d, PL_ERANGE,
                       "organisation.peak_gbs: found %g GB/s claimed for a stack, allowed %.6g: %u bytes every %u tCK of %g ps "
                       "on %u x %u pseudo-channels",
                       p->peak_gbs, made, bytes, p->burst, p->clock_ps, p->channels, p->pseudo);
    if (gap < 0.99 * p->peak_gbs)
        return pl_fail(d, PL_ERANGE,
                       "timing.tccd_s: found %u, allowed at most burst = %u: it would hold a stack to %.6g of %.6g GB/s",
                       p->tccd_s, p->burst, gap, p->peak_gbs);
    return PL_OK;
}

static enum pl_status check_timing(const struct pl_hbm_params *p, struct pl_diag *d)
{
    PL_TRY(at_least("timing.tras", p->tras, p->trcd_rd, "trcd_rd", d));
    PL_TRY(at_least("timing.trc", p->trc, p->tras + p->trp, "tras + trp", d));
    PL_TRY(at_least("timing.trrd_l", p->trrd_l, p->trrd_s, "trrd_s", d));
    PL_TRY(at_least("timing.trrd_s", p->trrd_s, p->act_cyc, "act_cyc", d));
    PL_TRY(at_least("timing.tccd_l", p->tccd_l, p->tccd_s, "tccd_s", d));
    PL_TRY(at_least("timing.twtr_l", p->twtr_l, p->twtr_s, "twtr_s", d));
    PL_TRY(at_least("timing.trtp_l", p->trtp_l, p->trtp_s, "trtp_s", d));
    PL_TRY(at_least("timing.trtw", (double)p->trtw + p->tcwl, p->tcl + p->burst,
                    "with tcwl: tcl + burst, or read and write data collide", d));
    PL_TRY(at_least("timing.trtw", p->trtw, p->burst, "burst", d));
    PL_TRY(at_least("timing.tfaw", p->tfaw, p->trrd_s, "trrd_s", d));
    if (p->refresh == PL_HBM_REFRESH_ALL_BANK)
        PL_TRY(at_least("refresh.trefi", p->trefi, (double)p->trfc + p->trc + p->trp, "trfc + trc + trp: no time for accesses",
                        d));
    if (p->refresh == PL_HBM_REFRESH_PER_BANK) {
        const double cycle = (double)p->trefi_pb * p->bank_groups * p->banks;
        PL_TRY(at_least("refresh.trefi_pb", p->trefi_pb, 2 * p->trrefd, "2 trrefd", d));
        PL_TRY(at_least("refresh.trefi_pb (times the banks)", cycle, (double)p->trfc_pb + p->trc + p->trp,
                        "trfc_pb + trc + trp: no time for accesses", d));
    }
    if (p->drain_low >= p->drain_high)
        return pl_fail(d, PL_ERANGE, "controller.drain_low: found %u %%, allowed below drain_high = %u %%", p->drain_low,
                       p->drain_high);
    return PL_OK;
}

enum pl_status pl_hbm_check_params(const struct pl_hbm_params *p, struct pl_diag *d)
{
    struct hbm_map m;
    PL_TRY(in_ranges(p, d));
    PL_TRY(check_shape(p, d));
    PL_TRY(check_timing(p, d));
    return hbm_map_init(&m, p, d);
}
