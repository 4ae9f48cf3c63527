/* gen_isa_md.c - prints the instruction table of doc/isa.md from isa.def and the operand formats.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "isa_internal.h"

static const char *field_name(const struct operand *o)
{
    static const char *const reg[] = {"rd", "rs1", "rs2", "rs3", "funct1", "imm18", "imm22"};
    return o->field == FLD_NONE ? "0" : reg[o->field];
}

/* The k-th word of a format's name in lower case, without digits: "mask" of RD_R1_MASK3. */
static void word_of(const char *format, unsigned k)
{
    for (; k; k--)
        format = strchr(format, '_') + 1;
    for (; isalpha((unsigned char)*format); format++)
        putchar(tolower((unsigned char)*format));
}

/* gp(rd), f(rs2), a(rs2), mask(rs3), imm18; what may be left out stands in brackets. */
static void operand(const struct operand *o, const char *format, unsigned k, const char *sep)
{
    static const char *const prefix[] = {[OPD_GP] = "gp", [OPD_FP] = "f", [OPD_ADDR] = "a"};
    const char *open = o->optional ? "[" : "", *shut = o->optional ? "]" : "";
    if (o->kind == OPD_ZERO)
        printf("%s0", sep);
    else if (o->kind <= OPD_ADDR)
        printf("%s%s%s(%s)%s", open, sep, prefix[o->kind], field_name(o), shut);
    else if (o->kind == OPD_IMM)
        printf("%s%s", sep, field_name(o));
    else {
        printf("%s%s", open, sep);
        word_of(format, k);
        printf("(%s)%s", field_name(o), shut);
    }
}

static void effects(uint32_t e, unsigned bit)
{
    static const char *const what[] = {"gp",  "f",     "a",      "csr", "vsram", "msram",
                                       "acc", "fpmem", "intmem", "hbm", "pc"};
    const char *sep = "";
    for (unsigned k = 0; k < sizeof what / sizeof what[0]; k++)
        if (e >> (2 * k) & bit) {
            printf("%s%s", sep, what[k]);
            sep = " ";
        }
}

static void meaning(const char *s)
{
    for (; *s; s++) {
        static const char plain[] = "|*_";
        if (*s == '<')
            printf("&lt;");
        else
            printf("%s%c", strchr(plain, *s) ? "\\" : "", *s);
    }
}

int main(void)
{
    static const char head[] = "| op | mnemonic | operands | unit | reads | writes | meaning "
                               "|\n|---|---|---|---|---|---|---|\n";
    fputs(head, stdout);
    for (unsigned op = 0; op < PL_OP_COUNT; op++) {
        const struct op_row *row = &op_row[op];
        if (op == PL_C_LOOP_REG)
            printf("\nExtensions, in opcodes that the published set leaves free:\n\n%s", head);
        printf("| %02X", row->opcode);
        if (row->fn != FN_ANY)
            printf(".%d", row->fn);
        printf(" | `%s` | ", row->info.name);
        const char *sep = "`";
        for (unsigned k = 0, word = 0; k < row->format->count; k++)
            if (row->format->operand[k].kind != OPD_IGNORE) {
                operand(&row->format->operand[k], row->format->name, word++, sep);
                sep = ", ";
            }
        printf("%s | %s | ", *sep == '`' ? "" : "`", pl_unit_name(row->info.unit));
        effects(row->info.effects, 1);
        printf(" | ");
        effects(row->info.effects, 2);
        printf(" | ");
        meaning(row->info.doc);
        printf(" |\n");
    }
    return 0;
}
