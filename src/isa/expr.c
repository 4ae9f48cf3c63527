/* expr.c - constant expressions of the assembler, and the table of names.
 *
 *   expr   := term of binary operators, C precedence: * / %  + -  << >>  &  ^  |
 *   unary  := (- | + | ~) unary | number | name | ( expr )
 *   number := decimal | 0x hex | 0b binary */
/* SPDX-License-Identifier: Apache-2.0 */
#include "isa_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

static uint32_t hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

struct symbol *symbol_find(struct symbols *t, const char *name, size_t len)
{
    if (!t->n_slot)
        return NULL;
    for (size_t i = hash(name, len) & (t->n_slot - 1); t->slot[i]; i = (i + 1) & (t->n_slot - 1)) {
        struct symbol *s = &t->item[t->slot[i] - 1];
        if (s->len == len && !memcmp(s->name, name, len))
            return s;
    }
    return NULL;
}

static void insert(struct symbols *t, uint32_t index)
{
    size_t i = hash(t->item[index].name, t->item[index].len) & (t->n_slot - 1);
    while (t->slot[i])
        i = (i + 1) & (t->n_slot - 1);
    t->slot[i] = index + 1;
}

struct symbol *symbol_add(struct symbols *t, const char *name, size_t len)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->item = realloc(t->item, t->cap * sizeof *t->item);
        free(t->slot);
        t->n_slot = 4 * t->cap;
        t->slot = calloc(t->n_slot, sizeof *t->slot);
        if (!t->item || !t->slot)
            abort();
        for (uint32_t i = 0; i < t->n; i++)
            insert(t, i);
    }
    t->item[t->n] = (struct symbol){name, len, 0, false};
    insert(t, (uint32_t)t->n);
    return &t->item[t->n++];
}

static void skip(const struct expr_ctx *x, size_t *at, size_t end)
{
    while (*at < end && (x->src->text[*at] == ' ' || x->src->text[*at] == '\t'))
        ++*at;
}

static enum pl_status number(struct expr_ctx *x, size_t *at, size_t end, int64_t *out)
{
    const char *s = x->src->text;
    const size_t start = *at;
    unsigned base = 10;
    if (s[*at] == '0' && *at + 1 < end && (s[*at + 1] | 32) == 'x')
        base = 16;
    else if (s[*at] == '0' && *at + 1 < end && (s[*at + 1] | 32) == 'b')
        base = 2;
    if (base != 10)
        *at += 2;
    uint64_t v = 0;
    size_t digits = 0;
    for (; *at < end && isalnum((unsigned char)s[*at]); ++*at, digits++) {
        const int c = s[*at] | 32;
        const unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
        if (digit >= base)
            return pl_fail_at(x->d, PL_EPARSE, x->src, *at, "'%c' is no digit of a base-%u number", s[*at], base);
        if (v > ((uint64_t)INT64_MAX - digit) / base)
            return pl_fail_at(x->d, PL_ERANGE, x->src, start, "number does not fit 63 bits");
        v = v * base + digit;
    }
    if (!digits)
        return pl_fail_at(x->d, PL_EPARSE, x->src, start, "number without digits");
    *out = (int64_t)v;
    return PL_OK;
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '.';
}

static enum pl_status name(struct expr_ctx *x, size_t *at, size_t end, int64_t *out)
{
    const char *s = x->src->text;
    const size_t start = *at;
    while (*at < end && (is_name_start(s[*at]) || isdigit((unsigned char)s[*at])))
        ++*at;
    const struct symbol *sym = symbol_find(x->symbols, s + start, *at - start);
    if (sym && sym->defined) {
        *out = sym->value;
        return PL_OK;
    }
    if (!x->allow_undefined)
        return pl_fail_at(x->d, PL_EPARSE, x->src, start, "unknown name \"%.*s\"", (int)(*at - start), s + start);
    x->undefined = true;
    *out = 0;
    return PL_OK;
}

static enum pl_status binary(struct expr_ctx *x, size_t *at, size_t end, unsigned least, int64_t *out);

static enum pl_status unary(struct expr_ctx *x, size_t *at, size_t end, int64_t *out)
{
    skip(x, at, end);
    if (*at >= end)
        return pl_fail_at(x->d, PL_EPARSE, x->src, *at, "expected a value");
    if (x->depth >= MAX_DEPTH)
        return pl_fail_at(x->d, PL_EPARSE, x->src, *at, "expression nested deeper than %d", MAX_DEPTH);
    const char c = x->src->text[*at];
    enum pl_status s;
    if (c == '-' || c == '~' || c == '+') {
        ++*at;
        x->depth++;
        s = unary(x, at, end, out);
        x->depth--;
        *out = c == '-' ? (int64_t)(0 - (uint64_t)*out) : c == '~' ? ~*out : *out;
        return s;
    }
    if (c == '(') {
        const size_t open = (*at)++;
        x->depth++;
        s = binary(x, at, end, 0, out);
        x->depth--;
        if (s != PL_OK)
            return s;
        skip(x, at, end);
        if (*at >= end || x->src->text[*at] != ')')
            return pl_fail_at(x->d, PL_EPARSE, x->src, open, "\"(\" without \")\"");
        ++*at;
        return PL_OK;
    }
    if (isdigit((unsigned char)c))
        return number(x, at, end, out);
    if (is_name_start(c))
        return name(x, at, end, out);
    return pl_fail_at(x->d, PL_EPARSE, x->src, *at, "expected a number, a name or \"(\"");
}

/* Operator at *at: its precedence (0 = none) and length. */
static unsigned operator_at(const struct expr_ctx *x, size_t at, size_t end, char *op, unsigned *len)
{
    const char c = at < end ? x->src->text[at] : 0;
    *op = c;
    *len = 1;
    if ((c == '<' || c == '>') && at + 1 < end && x->src->text[at + 1] == c) {
        *len = 2;
        return 4;
    }
    switch (c) {
    case '*':
    case '/':
    case '%':
        return 6;
    case '+':
    case '-':
        return 5;
    case '&':
        return 3;
    case '^':
        return 2;
    case '|':
        return 1;
    default:
        return 0;
    }
}

static enum pl_status apply(struct expr_ctx *x, size_t at, char op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case '+':
        *out = (int64_t)((uint64_t)a + (uint64_t)b);
        break;
    case '-':
        *out = (int64_t)((uint64_t)a - (uint64_t)b);
        break;
    case '*':
        *out = (int64_t)((uint64_t)a * (uint64_t)b);
        break;
    case '/':
    case '%':
        if (x->undefined && (b == 0 || b == -1))
            b = 1;
        if (b == 0 || (a == INT64_MIN && b == -1))
            return pl_fail_at(x->d, PL_ERANGE, x->src, at, "division by zero");
        *out = op == '/' ? a / b : a % b;
        break;
    case '<':
    case '>':
        if (x->undefined && (b < 0 || b > 63))
            b = 0;
        if (b < 0 || b > 63)
            return pl_fail_at(x->d, PL_ERANGE, x->src, at, "shift by %lld", (long long)b);
        *out = op == '<' ? (int64_t)((uint64_t)a << b) : a >> b;
        break;
    case '&':
        *out = a & b;
        break;
    case '^':
        *out = a ^ b;
        break;
    default:
        *out = a | b;
    }
    return PL_OK;
}

static enum pl_status binary(struct expr_ctx *x, size_t *at, size_t end, unsigned least, int64_t *out)
{
    PL_TRY(unary(x, at, end, out));
    for (;;) {
        skip(x, at, end);
        char op;
        unsigned len;
        const unsigned prec = operator_at(x, *at, end, &op, &len);
        if (!prec || prec <= least)
            return PL_OK;
        const size_t here = *at;
        *at += len;
        int64_t right;
        PL_TRY(binary(x, at, end, prec, &right));
        PL_TRY(apply(x, here, op, *out, right, out));
    }
}

enum pl_status expr_parse(struct expr_ctx *x, size_t *at, size_t end, int64_t *out)
{
    x->undefined = false;
    return binary(x, at, end, 0, out);
}
