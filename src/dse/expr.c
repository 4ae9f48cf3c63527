/* expr.c - rules over machine parameters: a recursive-descent parser into postfix code. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dse_internal.h"
#include "plena/dse_study.h"

enum { MOST_OPS = 64 };
struct op {
    char code; /* 'n' number, 'p' parameter, + - * / % and < L > G = ! */
    double value;
    const char *name;
};
struct pl_dse_expr {
    size_t n;
    struct op op[MOST_OPS];
};
struct parser {
    struct pl_arena *a;
    const char *text, *p;
    struct pl_dse_expr *e;
    struct pl_diag *d;
    int depth;
};

static enum pl_status wrong(struct parser *p, const char *what)
{
    const struct pl_source src = {"rule", p->text, strlen(p->text)};
    return pl_fail_at(p->d, PL_EPARSE, &src, (size_t)(p->p - p->text), "%s", what);
}

static enum pl_status emit(struct parser *p, struct op op)
{
    if (p->e->n == MOST_OPS)
        return wrong(p, "the rule is too long");
    p->e->op[p->e->n++] = op;
    return PL_OK;
}

static char peek(struct parser *p)
{
    while (isspace((unsigned char)*p->p))
        p->p++;
    return *p->p;
}

static enum pl_status sum(struct parser *p);

static enum pl_status parameter(struct parser *p)
{
    size_t n = 0;
    while (isalnum((unsigned char)p->p[n]) || p->p[n] == '_')
        n++;
    const char *name = pl_arena_strndup(p->a, p->p, n);
    const enum pl_arch_kind kind = pl_arch_kind(name);
    if (kind != PL_ARCH_NUMBER && kind != PL_ARCH_FORMAT) {
        const char *near = pl_arch_nearest(name);
        char what[160];
        snprintf(what, sizeof what, "\"%.40s\" is no number or format of the machine%s%.40s%s", name, near ? "; did you mean \"" : "",
                 near ? near : "", near ? "\"?" : "");
        return wrong(p, what);
    }
    p->p += n;
    return emit(p, (struct op){'p', 0, name});
}

static enum pl_status atom(struct parser *p)
{
    char *end;
    if (peek(p) == '(') {
        if (p->depth++ == 8)
            return wrong(p, "too many parentheses");
        p->p++;
        PL_TRY(sum(p));
        if (peek(p) != ')')
            return wrong(p, "expected )");
        p->p++;
        p->depth--;
        return PL_OK;
    }
    if (isalpha((unsigned char)*p->p))
        return parameter(p);
    const double v = strtod(p->p, &end);
    if (end == p->p || !isfinite(v))
        return wrong(p, "expected a number, a parameter or (");
    p->p = end;
    return emit(p, (struct op){'n', v, NULL});
}

static enum pl_status product(struct parser *p)
{
    PL_TRY(atom(p));
    while (peek(p) == '*' || *p->p == '/' || *p->p == '%') {
        const char c = *p->p++;
        PL_TRY(atom(p));
        PL_TRY(emit(p, (struct op){c, 0, NULL}));
    }
    return PL_OK;
}

static enum pl_status sum(struct parser *p)
{
    PL_TRY(product(p));
    while (peek(p) == '+' || *p->p == '-') {
        const char c = *p->p++;
        PL_TRY(product(p));
        PL_TRY(emit(p, (struct op){c, 0, NULL}));
    }
    return PL_OK;
}

enum pl_status pl_dse_expr_parse(struct pl_arena *a, const char *text, struct pl_dse_expr **out, struct pl_diag *d)
{
    static const struct {
        const char *text;
        char code;
    } compare[] = {{"<=", 'L'}, {">=", 'G'}, {"==", '='}, {"!=", '!'}, {"<", '<'}, {">", '>'}};
    struct parser p = {a, text, text, PL_NEW(a, struct pl_dse_expr), d, 0};
    PL_TRY(sum(&p));
    (void)peek(&p);
    char code = 0;
    for (size_t i = 0; i < PL_COUNT(compare) && !code; i++)
        if (!strncmp(p.p, compare[i].text, strlen(compare[i].text))) {
            code = compare[i].code;
            p.p += strlen(compare[i].text);
        }
    if (!code)
        return wrong(&p, "expected one of < <= > >= == !=");
    PL_TRY(sum(&p));
    if (peek(&p))
        return wrong(&p, "expected the end of the rule");
    *out = p.e;
    return emit(&p, (struct op){code, 0, NULL});
}

static double apply(char code, double a, double b)
{
    switch (code) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '/':
        return a / b;
    case '%':
        return fmod(a, b);
    case '<':
        return a < b;
    case 'L':
        return a <= b;
    case '>':
        return a > b;
    case 'G':
        return a >= b;
    case '=':
        return a == b;
    default:
        return a != b;
    }
}

bool pl_dse_expr_holds(const struct pl_dse_expr *e, const struct pl_arch *arch)
{
    double v[MOST_OPS];
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const struct op *o = &e->op[i];
        if (o->code == 'n') {
            v[n++] = o->value;
        } else if (o->code == 'p') {
            v[n] = 0;
            (void)pl_arch_number(arch, o->name, &v[n]);
            n++;
        } else {
            n--;
            v[n - 1] = apply(o->code, v[n - 1], v[n]);
        }
    }
    return v[0] != 0;
}
