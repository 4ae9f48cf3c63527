/* asm.c - the assembler: two passes over the text, the first for sizes and labels, the second for words.
 *
 *   line    := [label ":"] [instruction | directive] [comment]
 *   comment := "//" ... | ";" ... | "#" ...
 *   directive := ".equ" name [","] expr | ".word" expr
 * Pseudo-instructions: li gpX, expr (S_ADDI_INT below 2^18, else S_LUI_INT and S_ADDI_INT); nop. An li whose expression
 * uses a label that is defined later always takes two words. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "isa_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct assembler {
    const struct pl_source *src;
    struct pl_diag *d;
    struct symbols symbols;
    struct pl_buf code, line;    /* uint32_t each */
    struct pl_buf label;         /* indices of label symbols, uint32_t */
    struct pl_buf li_words;      /* pass 1: size of each li, one byte */
    size_t li_next;              /* pass 2: next of them */
    uint32_t pc, line_no;
    bool emit; /* pass 2 */
};

static const char *const pseudo[] = {"li", "nop"};

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static void skip(const struct assembler *as, size_t *at, size_t end)
{
    while (*at < end && (as->src->text[*at] == ' ' || as->src->text[*at] == '\t' || as->src->text[*at] == '\r'))
        ++*at;
}

static void put_word(struct assembler *as, uint32_t word)
{
    if (as->emit) {
        pl_buf_put(&as->code, &word, sizeof word);
        pl_buf_put(&as->line, &as->line_no, sizeof as->line_no);
    }
    as->pc++;
}

static enum pl_status put_insn(struct assembler *as, size_t at, const struct pl_insn *in)
{
    uint32_t word = 0;
    struct pl_diag why;
    const enum pl_status s = pl_isa_encode(in, &word, &why);
    if (s != PL_OK)
        return pl_fail_at(as->d, s, as->src, at, "%s", why.text);
    put_word(as, word);
    return PL_OK;
}

static enum pl_status expression(struct assembler *as, size_t *at, size_t end, int64_t *out, bool *known)
{
    struct expr_ctx x = {.src = as->src, .symbols = &as->symbols, .d = as->d, .allow_undefined = !as->emit};
    PL_TRY(expr_parse(&x, at, end, out));
    *known = !x.undefined;
    return PL_OK;
}

/* Register "gp3", "f1", "a2" at *at; false when the text is none of the class. */
static bool register_at(const struct assembler *as, size_t *at, size_t end, const char *prefix, uint32_t *index)
{
    const char *s = as->src->text;
    const size_t n = strlen(prefix);
    size_t i = *at;
    if (end - i <= n || strncmp(s + i, prefix, n) != 0 || !isdigit((unsigned char)s[i + n]))
        return false;
    uint32_t v = 0;
    for (i += n; i < end && isdigit((unsigned char)s[i]) && v < 100000; i++)
        v = v * 10 + (uint32_t)(s[i] - '0');
    if (i < end && is_name(s[i]))
        return false;
    *at = i;
    *index = v;
    return true;
}

static enum pl_status operand_register(struct assembler *as, const struct operand *o, size_t *at, size_t end,
                                       uint32_t *v)
{
    static const char *const prefix[] = {[OPD_GP] = "gp", [OPD_FP] = "f", [OPD_ADDR] = "a"};
    static const char *const what[] = {[OPD_GP] = "a register gp0..gp15", [OPD_FP] = "a register f0..f7",
                                       [OPD_ADDR] = "an address register a0..a15"};
    const size_t start = *at;
    if (o->kind == OPD_GP && *at < end && as->src->text[*at] == '0' &&
        (*at + 1 >= end || !is_name(as->src->text[*at + 1]))) {
        ++*at; /* "0" for gp0, as the published syntax writes it in M_BMM and M_MM_WO */
        *v = 0;
        return PL_OK;
    }
    if (!register_at(as, at, end, prefix[o->kind], v))
        return pl_fail_at(as->d, PL_EPARSE, as->src, start, "expected %s", what[o->kind]);
    if (*v > (o->kind == OPD_FP ? 7u : 15u))
        return pl_fail_at(as->d, PL_ERANGE, as->src, start, "there is no register %s%u; expected %s", prefix[o->kind],
                          *v, what[o->kind]);
    return PL_OK;
}

static enum pl_status operand_value(struct assembler *as, const struct operand *o, size_t *at, size_t end, uint32_t *v)
{
    const size_t start = *at;
    if ((o->gp_as_zero || o->kind == OPD_IGNORE) && register_at(as, at, end, "gp", v)) {
        if (*v != 0 && o->kind == OPD_IGNORE)
            return pl_fail_at(as->d, PL_ERANGE, as->src, start, "the only register that may stand here is gp0");
        *v = 0; /* a register as mask is dropped, as the published assembler does */
        return PL_OK;
    }
    int64_t x;
    bool known;
    PL_TRY(expression(as, at, end, &x, &known));
    if (o->kind == OPD_IGNORE || (o->kind == OPD_ZERO && known)) {
        if (x != 0)
            return pl_fail_at(as->d, PL_ERANGE, as->src, start, "this operand must be 0");
        *v = 0;
        return PL_OK;
    }
    const unsigned width = field_bits[o->field].width;
    if (known && (x < 0 || x >> width))
        return pl_fail_at(as->d, PL_ERANGE, as->src, start, "%lld does not fit 0..%u", (long long)x,
                          (1u << width) - 1);
    *v = known ? (uint32_t)x : 0; /* a name defined later: pass 2 has its value */
    return PL_OK;
}

static enum pl_status one_operand(struct assembler *as, const struct operand *o, size_t *at, size_t end,
                                  struct pl_insn *in)
{
    uint32_t v = 0;
    if (o->kind == OPD_GP || o->kind == OPD_FP || o->kind == OPD_ADDR)
        PL_TRY(operand_register(as, o, at, end, &v));
    else
        PL_TRY(operand_value(as, o, at, end, &v));
    if (o->field != FLD_NONE)
        field_set(in, (enum operand_field)o->field, v);
    skip(as, at, end);
    if (*at < end && as->src->text[*at] != ',')
        return pl_fail_at(as->d, PL_EPARSE, as->src, *at, "expected \",\" or the end of the line");
    return PL_OK;
}

static unsigned count_operands(const struct assembler *as, size_t at, size_t end)
{
    skip(as, &at, end);
    if (at >= end)
        return 0;
    unsigned n = 1, depth = 0;
    for (; at < end; at++) {
        const char c = as->src->text[at];
        depth += c == '(';
        depth -= c == ')' && depth;
        n += c == ',' && !depth;
    }
    return n;
}

/* Leave out so many optional operands that the rest matches what is written; the ignored ones go first. */
static unsigned choose(const struct format *f, unsigned given, bool *taken)
{
    unsigned n = f->count;
    for (unsigned k = 0; k < f->count; k++)
        taken[k] = true;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned k = f->count; k-- > 0 && n > given;)
            if (taken[k] && f->operand[k].optional && (pass || f->operand[k].kind == OPD_IGNORE)) {
                taken[k] = false;
                n--;
            }
    return n;
}

static enum pl_status instruction(struct assembler *as, enum pl_op op, size_t start, size_t at, size_t end)
{
    const struct format *f = op_row[op].format;
    const unsigned given = count_operands(as, at, end);
    bool taken[MAX_OPERANDS];
    const unsigned want = choose(f, given, taken);
    if (given != want)
        return pl_fail_at(as->d, PL_EPARSE, as->src, given > want ? start : end, "%s takes %s%u operands, found %u",
                          op_row[op].info.name, given > want ? "at most " : "at least ", want, given);
    struct pl_insn in = {.op = (uint8_t)op};
    bool first = true;
    for (unsigned k = 0; k < f->count; k++) {
        if (!taken[k])
            continue;
        if (!first)
            at++; /* the comma */
        first = false;
        skip(as, &at, end);
        PL_TRY(one_operand(as, &f->operand[k], &at, end, &in));
    }
    return put_insn(as, start, &in);
}

static enum pl_status pseudo_li(struct assembler *as, size_t start, size_t at, size_t end)
{
    uint32_t rd;
    skip(as, &at, end);
    if (!register_at(as, &at, end, "gp", &rd) || rd > 15)
        return pl_fail_at(as->d, PL_EPARSE, as->src, at, "expected a register gp0..gp15");
    skip(as, &at, end);
    if (at >= end || as->src->text[at] != ',')
        return pl_fail_at(as->d, PL_EPARSE, as->src, at, "expected \",\" and a value");
    const size_t value_at = ++at;
    int64_t v;
    bool known;
    PL_TRY(expression(as, &at, end, &v, &known));
    skip(as, &at, end);
    if (at < end)
        return pl_fail_at(as->d, PL_EPARSE, as->src, at, "expected the end of the line");
    if (known && (v < INT32_MIN || v > UINT32_MAX))
        return pl_fail_at(as->d, PL_ERANGE, as->src, value_at, "%lld does not fit 32 bits", (long long)v);
    const uint32_t u = (uint32_t)v;
    uint8_t words = !known ? 2 : u < 1u << 18 || !(u & 0xfff) ? 1 : 2;
    if (!as->emit)
        pl_buf_put(&as->li_words, &words, 1);
    else
        words = (uint8_t)as->li_words.data[as->li_next++];
    if (words == 1 && u < 1u << 18)
        return put_insn(as, start, &(struct pl_insn){.op = PL_S_ADDI_INT, .rd = (uint8_t)rd, .imm = u});
    PL_TRY(put_insn(as, start, &(struct pl_insn){.op = PL_S_LUI_INT, .rd = (uint8_t)rd, .imm = u >> 12}));
    if (words == 1)
        return PL_OK;
    return put_insn(as, start,
                    &(struct pl_insn){.op = PL_S_ADDI_INT, .rd = (uint8_t)rd, .rs1 = (uint8_t)rd, .imm = u & 0xfff});
}

static enum pl_status directive(struct assembler *as, size_t start, size_t n, size_t at, size_t end)
{
    const char *s = as->src->text;
    int64_t v;
    bool known;
    skip(as, &at, end);
    if (n == 5 && !memcmp(s + start, ".word", 5)) {
        PL_TRY(expression(as, &at, end, &v, &known));
        if (known && (v < 0 || v > UINT32_MAX))
            return pl_fail_at(as->d, PL_ERANGE, as->src, start, "%lld is no 32-bit word", (long long)v);
        put_word(as, (uint32_t)v);
    } else if (n == 4 && !memcmp(s + start, ".equ", 4)) {
        const size_t name = at;
        while (at < end && is_name(s[at]))
            at++;
        const size_t len = at - name;
        if (!len || isdigit((unsigned char)s[name]))
            return pl_fail_at(as->d, PL_EPARSE, as->src, name, "expected a name");
        skip(as, &at, end);
        if (at < end && s[at] == ',')
            at++;
        PL_TRY(expression(as, &at, end, &v, &known));
        if (as->emit)
            return PL_OK;
        if (!known)
            return pl_fail_at(as->d, PL_EPARSE, as->src, name, ".equ uses a name that is defined later");
        if (symbol_find(&as->symbols, s + name, len))
            return pl_fail_at(as->d, PL_EPARSE, as->src, name, "\"%.*s\" is defined twice", (int)len, s + name);
        struct symbol *sym = symbol_add(&as->symbols, s + name, len);
        sym->value = v;
        sym->defined = true;
    } else {
        return pl_fail_at(as->d, PL_EPARSE, as->src, start, "unknown directive \"%.*s\"; there are .equ and .word",
                          (int)n, s + start);
    }
    skip(as, &at, end);
    if (at < end)
        return pl_fail_at(as->d, PL_EPARSE, as->src, at, "expected the end of the line");
    return PL_OK;
}

static enum pl_status define_label(struct assembler *as, size_t start, size_t n)
{
    const char *s = as->src->text;
    if (isdigit((unsigned char)s[start]))
        return pl_fail_at(as->d, PL_EPARSE, as->src, start, "a label does not start with a digit");
    if (as->emit)
        return PL_OK;
    if (symbol_find(&as->symbols, s + start, n))
        return pl_fail_at(as->d, PL_EPARSE, as->src, start, "\"%.*s\" is defined twice", (int)n, s + start);
    struct symbol *sym = symbol_add(&as->symbols, s + start, n);
    sym->value = as->pc;
    sym->defined = true;
    const uint32_t index = (uint32_t)as->symbols.n - 1;
    pl_buf_put(&as->label, &index, sizeof index);
    return PL_OK;
}

static int compare_name(const char *text, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        const int a = toupper((unsigned char)text[i]), b = (unsigned char)name[i];
        if (a != b)
            return a - b;
    }
    return name[n] ? -1 : 0;
}

/* Mnemonics hash by their letters; the table is small enough to search by length and first difference. */
static enum pl_op find_op(const char *text, size_t n)
{
    for (unsigned op = 0; op < PL_OP_COUNT; op++) {
        const char *name = op_row[op].info.name;
        if (toupper((unsigned char)text[0]) == name[0] && n > 2 &&
            toupper((unsigned char)text[n - 1]) == name[n - 1 < strlen(name) ? n - 1 : 0] &&
            compare_name(text, n, name) == 0)
            return (enum pl_op)op;
    }
    return PL_OP_COUNT;
}

static enum pl_status unknown_op(struct assembler *as, size_t start, size_t n)
{
    const char *names[PL_OP_COUNT + PL_COUNT(pseudo)];
    for (unsigned op = 0; op < PL_OP_COUNT; op++)
        names[op] = op_row[op].info.name;
    for (size_t i = 0; i < PL_COUNT(pseudo); i++)
        names[PL_OP_COUNT + i] = pseudo[i];
    char text[40] = {0};
    for (size_t i = 0; i < n && i + 1 < sizeof text; i++)
        text[i] = (char)toupper((unsigned char)as->src->text[start + i]);
    const char *near = pl_nearest(text, names, PL_COUNT(names));
    return pl_fail_at(as->d, PL_EPARSE, as->src, start, "unknown instruction \"%.*s\"%s%s%s", (int)(n > 40 ? 40 : n),
                      as->src->text + start, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum pl_status one_line(struct assembler *as, size_t at, size_t end)
{
    const char *s = as->src->text;
    for (;;) {
        skip(as, &at, end);
        const size_t start = at;
        if (at >= end)
            return PL_OK;
        while (at < end && is_name(s[at]))
            at++;
        const size_t n = at - start;
        if (!n)
            return pl_fail_at(as->d, PL_EPARSE, as->src, start, "expected an instruction, a label or a directive");
        size_t next = at;
        skip(as, &next, end);
        if (next < end && s[next] == ':') {
            PL_TRY(define_label(as, start, n));
            at = next + 1;
            continue;
        }
        if (s[start] == '.')
            return directive(as, start, n, at, end);
        if (n == 2 && (s[start] | 32) == 'l' && (s[start + 1] | 32) == 'i')
            return pseudo_li(as, start, at, end);
        if (n == 3 && compare_name(s + start, n, "NOP") == 0)
            return put_insn(as, start, &(struct pl_insn){.op = PL_S_ADD_INT});
        const enum pl_op op = find_op(s + start, n);
        return op == PL_OP_COUNT ? unknown_op(as, start, n) : instruction(as, op, start, at, end);
    }
}

static enum pl_status pass(struct assembler *as)
{
    const char *s = as->src->text;
    const size_t len = as->src->len;
    as->pc = 0;
    as->line_no = 0;
    for (size_t at = 0; at < len;) {
        const char *nl = memchr(s + at, '\n', len - at);
        const size_t eol = nl ? (size_t)(nl - s) : len;
        size_t end = at;
        while (end < eol && s[end] != ';' && s[end] != '#' && !(s[end] == '/' && end + 1 < eol && s[end + 1] == '/'))
            end++;
        as->line_no++;
        PL_TRY(one_line(as, at, end));
        at = eol + 1;
    }
    return PL_OK;
}

static void copy_out(struct pl_arena *a, const struct assembler *as, struct pl_asm *out)
{
    out->n = as->code.len / sizeof(uint32_t);
    out->code = pl_alloc(a, as->code.len);
    out->line = pl_alloc(a, as->line.len);
    memcpy(out->code, as->code.data, as->code.len);
    memcpy(out->line, as->line.data, as->line.len);
    out->n_label = as->label.len / sizeof(uint32_t);
    out->label = PL_NEW_N(a, struct pl_asm_label, out->n_label);
    for (size_t i = 0; i < out->n_label; i++) {
        uint32_t index;
        memcpy(&index, as->label.data + i * sizeof index, sizeof index);
        const struct symbol *sym = &as->symbols.item[index];
        out->label[i] = (struct pl_asm_label){pl_arena_strndup(a, sym->name, sym->len), (uint32_t)sym->value};
    }
}

enum pl_status pl_asm_text(struct pl_arena *a, const struct pl_source *src, struct pl_asm *out, struct pl_diag *d)
{
    struct assembler as = {.src = src, .d = d};
    pl_buf_init(&as.code);
    pl_buf_init(&as.line);
    pl_buf_init(&as.label);
    pl_buf_init(&as.li_words);
    enum pl_status s = pass(&as);
    if (s == PL_OK) {
        as.emit = true;
        s = pass(&as);
    }
    if (s == PL_OK)
        copy_out(a, &as, out);
    pl_buf_fini(&as.code);
    pl_buf_fini(&as.line);
    pl_buf_fini(&as.label);
    pl_buf_fini(&as.li_words);
    free(as.symbols.item);
    free(as.symbols.slot);
    return s;
}
