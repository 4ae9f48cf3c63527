/* spec.c - reads a study file: space, rules, objectives, caps, settings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dse_internal.h"
#include "plena/base_yaml.h"
#include "plena/dse_study.h"

struct reader {
    struct pl_arena *a;
    const struct pl_source *src;
    const char *const *metrics;
    struct pl_dse_spec *s;
    struct pl_diag *d;
};

static enum pl_status wrong(struct reader *r, const struct pl_yaml *y, const char *expected)
{
    return pl_fail_at(r->d, PL_EPARSE, r->src, y->at, "%s%sexpected %s", y->key ? y->key : "", y->key ? ": " : "", expected);
}

static enum pl_status number(struct reader *r, const struct pl_yaml *y, double *out)
{
    char *end = NULL;
    const double v = y->kind == PL_YAML_SCALAR ? strtod(y->text, &end) : 0;
    if (y->kind != PL_YAML_SCALAR || end == y->text || *end || !isfinite(v))
        return wrong(r, y, "a number");
    *out = v;
    return PL_OK;
}

static enum pl_status whole(struct reader *r, const struct pl_yaml *y, uint64_t least, uint64_t *out)
{
    double v;
    PL_TRY(number(r, y, &v));
    if (v != floor(v) || v < (double)least || v > 1e15)
        return wrong(r, y, least ? "a whole number of at least 1" : "a whole number");
    *out = (uint64_t)v;
    return PL_OK;
}

static enum pl_status text(struct reader *r, const struct pl_yaml *y, const char **out)
{
    if (y->kind != PL_YAML_SCALAR || !y->text[0])
        return wrong(r, y, "a text");
    *out = pl_arena_strdup(r->a, y->text);
    return PL_OK;
}

static enum pl_status boolean(struct reader *r, const struct pl_yaml *y, bool *out)
{
    if (y->kind != PL_YAML_SCALAR || (strcmp(y->text, "true") != 0 && strcmp(y->text, "false") != 0))
        return wrong(r, y, "true or false");
    *out = y->text[0] == 't';
    return PL_OK;
}

static enum pl_status unknown(struct reader *r, const struct pl_yaml *y, const char *const *names, size_t n, const char *what)
{
    const char *near = pl_nearest(y->key, names, n);
    return pl_fail_at(r->d, PL_EPARSE, r->src, y->key_at, "unknown %s \"%s\"%s%s%s", what, y->key, near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

/* ---- space ---- */

/* Quality of a format: its bits, integer or float, fraction bits, and the signal-to-noise ratio it leaves of normal data. */
static void format_features(const struct pl_format *f, double *out)
{
    enum { N = 4096 };
    static const double full_db = 60;
    float x[N], y[N];
    uint32_t code[N];
    uint8_t scale[N];
    struct pl_rng r;
    double signal = 0, noise = 0;
    if (f->kind == PL_FORMAT_NONE) {
        out[0] = out[2] = out[3] = 1;
        out[1] = 0.5;
        return;
    }
    pl_rng_init(&r, 1);
    for (int i = 0; i < N; i++)
        x[i] = (float)pl_rng_normal(&r);
    (void)pl_quantise(f, x, NULL, N, code, scale);
    pl_dequantise(f, code, scale, N, y);
    for (int i = 0; i < N; i++) {
        signal += (double)x[i] * x[i];
        noise += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    }
    out[0] = pl_format_bits(f) / 16.0;
    out[1] = f->int_bits ? 0 : 1;
    out[2] = (f->int_bits ? f->int_bits - 1.0 : f->elem.man_bits + 1.0) / 11;
    out[3] = fmin(10 * log10(signal / noise) / full_db, 1);
}

static enum pl_status check_value(struct reader *r, const struct pl_yaml *y, const char *name, const char *value)
{
    struct pl_arch scratch = r->s->base;
    struct pl_diag why;
    const enum pl_status s = pl_arch_set(&scratch, pl_arena_printf(r->a, "%s=%s", name, value), &why);
    return s == PL_OK ? s : pl_fail_at(r->d, s, r->src, y->at, "%s", why.text);
}

static enum pl_status set_values(struct reader *r, const struct pl_yaml *y, struct pl_dse_param *p, const char **value, size_t n)
{
    const enum pl_arch_kind kind = pl_arch_kind(p->name);
    double *place = NULL;
    for (size_t i = 0; i < n; i++)
        PL_TRY(check_value(r, y, p->name, value[i]));
    p->n_value = n;
    p->value = value;
    p->kind = kind == PL_ARCH_NUMBER ? PL_DSE_ORDERED : PL_DSE_CATEGORY;
    if (kind == PL_ARCH_NUMBER) {
        place = PL_NEW_N(r->a, double, n);
        for (size_t i = 0; i < n; i++)
            place[i] = n > 1 ? (double)i / (double)(n - 1) : 0;
    } else if (kind == PL_ARCH_FORMAT) {
        p->n_feature = 4;
        place = PL_NEW_N(r->a, double, 4 * n);
        for (size_t i = 0; i < n; i++) {
            struct pl_format f;
            PL_TRY(pl_format_parse(value[i], &f, r->d));
            format_features(&f, place + 4 * i);
        }
    }
    p->place = place;
    return PL_OK;
}

static enum pl_status read_list(struct reader *r, const struct pl_yaml *y, struct pl_dse_param *p)
{
    const char **value = PL_NEW_N(r->a, const char *, y->n_child + 1);
    double last = 0, v;
    if (!y->n_child || y->n_child > 64)
        return wrong(r, y, "1 to 64 values");
    for (size_t i = 0; i < y->n_child; i++) {
        PL_TRY(text(r, &y->child[i], &value[i]));
        if (pl_arch_kind(p->name) == PL_ARCH_NUMBER) {
            PL_TRY(number(r, &y->child[i], &v));
            if (i && v <= last)
                return wrong(r, &y->child[i], "values in ascending order");
            last = v;
        }
        for (size_t j = 0; j < i; j++)
            if (!strcmp(value[i], value[j]))
                return wrong(r, &y->child[i], "different values");
    }
    return set_values(r, y, p, value, y->n_child);
}

static enum pl_status two_numbers(struct reader *r, const struct pl_yaml *y, double *lo, double *hi)
{
    if (y->kind != PL_YAML_LIST || y->n_child != 2)
        return wrong(r, y, "[least, most]");
    PL_TRY(number(r, &y->child[0], lo));
    PL_TRY(number(r, &y->child[1], hi));
    return *lo < *hi ? PL_OK : wrong(r, y, "[least, most] with least < most");
}

static enum pl_status read_map(struct reader *r, const struct pl_yaml *y, struct pl_dse_param *p)
{
    const struct pl_yaml *pow2 = pl_yaml_get(y, "pow2"), *range = pl_yaml_get(y, "range"), *log = pl_yaml_get(y, "log");
    if (pl_arch_kind(p->name) != PL_ARCH_NUMBER || (!pow2 && !range) || y->n_child != 1u + (log != NULL) || (pow2 && log))
        return wrong(r, y, "a list of values, {pow2: [least, most]} or {range: [least, most], log: true}");
    PL_TRY(two_numbers(r, pow2 ? pow2 : range, &p->lo, &p->hi));
    if (pow2) {
        const char **value = PL_NEW_N(r->a, const char *, 64);
        size_t n = 0;
        if (p->lo < 1 || p->hi > 1e15 || log2(p->lo) != floor(log2(p->lo)) || log2(p->hi) != floor(log2(p->hi)))
            return wrong(r, pow2, "two powers of two");
        for (double v = p->lo; v <= p->hi; v *= 2)
            value[n++] = pl_arena_printf(r->a, "%.0f", v);
        return set_values(r, y, p, value, n);
    }
    p->kind = PL_DSE_REAL;
    if (log)
        PL_TRY(boolean(r, log, &p->log));
    if (p->log && p->lo <= 0)
        return wrong(r, range, "positive bounds for log");
    PL_TRY(check_value(r, range, p->name, pl_arena_printf(r->a, "%.17g", p->lo)));
    return check_value(r, range, p->name, pl_arena_printf(r->a, "%.17g", p->hi));
}

static enum pl_status read_space(struct reader *r, const struct pl_yaml *y)
{
    struct pl_dse_space *sp = &r->s->space;
    if (y->kind != PL_YAML_MAP || !y->n_child || y->n_child > PL_DSE_PARAMS)
        return wrong(r, y, "1 to 24 machine parameters");
    for (size_t i = 0; i < y->n_child; i++) {
        const struct pl_yaml *c = &y->child[i];
        struct pl_dse_param *p = &sp->p[sp->n++];
        if (pl_arch_kind(c->key) == PL_ARCH_NONE) {
            const char *near = pl_arch_nearest(c->key);
            return pl_fail_at(r->d, PL_EPARSE, r->src, c->key_at, "no machine parameter \"%s\"%s%s%s; see plena help machine", c->key,
                              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
        p->name = pl_arena_strdup(r->a, c->key);
        PL_TRY(c->kind == PL_YAML_LIST ? read_list(r, c, p) : read_map(r, c, p));
    }
    return PL_OK;
}

/* ---- objectives, caps, rules ---- */
static enum pl_status metric(struct reader *r, const struct pl_yaml *y, const char *name, const char **out)
{
    size_t n = 0;
    for (; r->metrics[n]; n++)
        if (!strcmp(r->metrics[n], name)) {
            *out = r->metrics[n];
            return PL_OK;
        }
    const char *near = pl_nearest(name, r->metrics, n);
    struct pl_buf b;
    pl_buf_init(&b);
    for (size_t i = 0; i < n; i++)
        pl_buf_printf(&b, " %s", r->metrics[i]);
    const enum pl_status s = pl_fail_at(r->d, PL_EPARSE, r->src, y->at, "no metric \"%s\"%s%s%s; there are%s", name,
                                        near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "", b.data);
    pl_buf_fini(&b);
    return s;
}

static enum pl_status read_objective(struct reader *r, const struct pl_yaml *y, struct pl_dse_objective *o)
{
    static const char *const keys[] = {"metric", "log", "maximise", "ref"};
    const char *name = NULL;
    if (y->kind == PL_YAML_SCALAR)
        return metric(r, y, y->text, &o->metric);
    for (size_t i = 0; y->kind == PL_YAML_MAP && i < y->n_child; i++) {
        const struct pl_yaml *c = &y->child[i];
        if (!strcmp(c->key, "metric"))
            PL_TRY(text(r, c, &name));
        else if (!strcmp(c->key, "log"))
            PL_TRY(boolean(r, c, &o->log));
        else if (!strcmp(c->key, "maximise"))
            PL_TRY(boolean(r, c, &o->maximise));
        else if (!strcmp(c->key, "ref"))
            PL_TRY(number(r, c, &o->ref));
        else
            return unknown(r, c, keys, PL_COUNT(keys), "key of an objective");
        o->has_ref |= !strcmp(c->key, "ref");
    }
    return name ? metric(r, y, name, &o->metric) : wrong(r, y, "a metric, or {metric: NAME, log: true, maximise: true, ref: V}");
}

static enum pl_status read_objectives(struct reader *r, const struct pl_yaml *y)
{
    struct pl_dse_spec *s = r->s;
    if (y->kind != PL_YAML_LIST || !y->n_child || y->n_child > PL_DSE_OBJECTIVES)
        return wrong(r, y, "a list of 1 to 6 objectives");
    s->search.has_ref = true;
    for (size_t i = 0; i < y->n_child; i++) {
        struct pl_dse_objective *o = &s->objective[s->search.m++];
        PL_TRY(read_objective(r, &y->child[i], o));
        s->search.has_ref &= o->has_ref;
        if (o->has_ref)
            s->search.ref[i] = pl_dse_modelled(o, o->ref);
    }
    return PL_OK;
}

static enum pl_status read_caps(struct reader *r, const struct pl_yaml *y)
{
    if (y->kind != PL_YAML_MAP || y->n_child > PL_DSE_CAPS)
        return wrong(r, y, "at most 4 lines \"metric: most\"");
    for (size_t i = 0; i < y->n_child; i++) {
        struct pl_dse_cap *c = &r->s->cap[r->s->search.n_cap++];
        PL_TRY(metric(r, &y->child[i], y->child[i].key, &c->metric));
        PL_TRY(number(r, &y->child[i], &c->most));
        if (c->most <= 0)
            return wrong(r, &y->child[i], "a positive number");
    }
    return PL_OK;
}

static enum pl_status read_rules(struct reader *r, const struct pl_yaml *y)
{
    struct pl_dse_spec *s = r->s;
    if (y->kind != PL_YAML_LIST || y->n_child > PL_DSE_RULES)
        return wrong(r, y, "a list of at most 12 rules");
    for (size_t i = 0; i < y->n_child; i++) {
        struct pl_diag why;
        PL_TRY(text(r, &y->child[i], &s->rule_text[i]));
        const enum pl_status st = pl_dse_expr_parse(r->a, s->rule_text[i], &s->rule[i], &why);
        if (st != PL_OK)
            return pl_fail_at(r->d, st, r->src, y->child[i].at, "%s", why.text);
        s->n_rule++;
    }
    return PL_OK;
}

/* ---- the rest ---- */
static enum pl_status read_sampler(struct reader *r, const struct pl_yaml *y)
{
    const char *name = "";
    struct pl_diag why;
    PL_TRY(text(r, y, &name));
    const enum pl_status s = pl_dse_sampler_find(name, &r->s->search.sampler, &why);
    return s == PL_OK ? s : pl_fail_at(r->d, PL_EPARSE, r->src, y->at, "%s", why.text);
}

static enum pl_status read_fidelity(struct reader *r, const struct pl_yaml *y)
{
    static const char *const names[] = {"analytic", "timing", "screen"};
    for (size_t i = 0; i < PL_COUNT(names) && y->kind == PL_YAML_SCALAR; i++)
        if (!strcmp(y->text, names[i])) {
            r->s->fidelity = (enum pl_dse_fidelity)i;
            return PL_OK;
        }
    return wrong(r, y, "analytic, timing or screen");
}

static enum pl_status read_machine(struct reader *r, const struct pl_yaml *y)
{
    const char *name = "";
    struct pl_diag why;
    PL_TRY(text(r, y, &name));
    const enum pl_status s = pl_arch_load(name, &r->s->base, &why);
    return s == PL_OK ? s : pl_fail_at(r->d, s, r->src, y->at, "%s", why.text);
}

static enum pl_status read_settings(struct reader *r, const struct pl_yaml *y, bool *known)
{
    struct pl_dse_spec *s = r->s;
    const struct {
        const char *key;
        uint64_t *out, least;
    } numbers[] = {{"seed", &s->search.seed, 0},      {"trials", &s->trials, 1},         {"batch", &s->batch, 1},
                   {"screen", &s->screen, 1},         {"prompt", &s->prompt, 1},         {"output", &s->output, 1},
                   {"sequences", &s->sequences, 1},   {"initial", NULL, 1},              {"population", NULL, 2},
                   {"accuracy_limit", &s->accuracy_limit, 1}};
    const struct {
        const char *key, **out;
    } texts[] = {{"study", &s->name}, {"model", &s->model}, {"accuracy_model", &s->accuracy_model}, {"accuracy_text", &s->accuracy_text},
                 {"accuracy_machine", &s->accuracy_machine}};
    *known = true;
    for (size_t i = 0; i < PL_COUNT(numbers); i++)
        if (!strcmp(y->key, numbers[i].key)) {
            uint64_t v = 0;
            PL_TRY(whole(r, y, numbers[i].least, &v));
            if (numbers[i].out)
                *numbers[i].out = v;
            else
                *(y->key[0] == 'i' ? &s->search.initial : &s->search.population) = (size_t)v;
            return PL_OK;
        }
    for (size_t i = 0; i < PL_COUNT(texts); i++)
        if (!strcmp(y->key, texts[i].key))
            return text(r, y, texts[i].out);
    *known = false;
    return PL_OK;
}

static enum pl_status read_key(struct reader *r, const struct pl_yaml *y)
{
    static const char *const keys[] = {"study", "machine", "model", "space", "rules", "objectives", "caps", "sampler", "initial",
                                       "population", "seed", "trials", "batch", "fidelity", "screen", "prompt", "output", "sequences",
                                       "accuracy_model", "accuracy_text", "accuracy_machine", "accuracy_limit"};
    bool known;
    if (!strcmp(y->key, "machine"))
        return PL_OK; /* read before the rest */
    if (!strcmp(y->key, "space"))
        return read_space(r, y);
    if (!strcmp(y->key, "rules"))
        return read_rules(r, y);
    if (!strcmp(y->key, "objectives"))
        return read_objectives(r, y);
    if (!strcmp(y->key, "caps"))
        return read_caps(r, y);
    if (!strcmp(y->key, "sampler"))
        return read_sampler(r, y);
    if (!strcmp(y->key, "fidelity"))
        return read_fidelity(r, y);
    PL_TRY(read_settings(r, y, &known));
    return known ? PL_OK : unknown(r, y, keys, PL_COUNT(keys), "key");
}

enum pl_status pl_dse_spec_parse(struct pl_arena *a, const struct pl_source *src, const char *const *metrics, struct pl_dse_spec *out,
                                 struct pl_diag *d)
{
    struct reader r = {a, src, metrics, out, d};
    struct pl_yaml *doc;
    *out = (struct pl_dse_spec){.name = "study", .trials = 50, .batch = 1, .screen = 64, .prompt = 1024, .output = 256, .sequences = 1,
                                .accuracy_limit = 4, .accuracy_machine = "small"};
    out->text = pl_arena_strndup(a, src->text, src->len);
    PL_TRY(pl_yaml_parse(a, src, &doc, d));
    if (doc->kind != PL_YAML_MAP)
        return pl_fail_at(d, PL_EPARSE, src, doc->at, "expected lines \"key: value\"");
    PL_TRY(pl_arch_load("small", &out->base, d));
    const struct pl_yaml *machine = pl_yaml_get(doc, "machine");
    if (machine)
        PL_TRY(read_machine(&r, machine));
    for (size_t i = 0; i < doc->n_child; i++)
        PL_TRY(read_key(&r, &doc->child[i]));
    if (!out->space.n || !out->search.m)
        return pl_fail_at(d, PL_EPARSE, src, doc->at, "a study needs \"space\" and \"objectives\"");
    out->search.space = &out->space;
    out->space.why_not = dse_spec_why_not;
    out->space.ctx = out;
    return PL_OK;
}
