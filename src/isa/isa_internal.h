/* isa_internal.h - operand formats: which fields an instruction has, in assembly order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ISA_INTERNAL_H
#define ISA_INTERNAL_H
#include "plena/isa.h"

enum operand_kind {
    OPD_ZERO,  /* the literal 0 */
    OPD_GP,    /* gp0..gp15 */
    OPD_FP,    /* f0..f7 */
    OPD_ADDR,  /* a0..a15 */
    OPD_LIT,   /* a small literal in a 4-bit field */
    OPD_IMM,   /* imm18 or imm22 */
    OPD_IGNORE /* accepted and dropped: gp0 or 0 */
};
enum operand_field { FLD_RD, FLD_RS1, FLD_RS2, FLD_RS3, FLD_FN, FLD_IMM18, FLD_IMM22, FLD_NONE };
struct operand {
    uint8_t kind, field;
    bool optional;   /* may be left out; then 0 */
    bool gp_as_zero; /* a gp register is accepted and means 0 (masks, as the published assembler) */
};
enum { MAX_OPERANDS = 7 };
struct format {
    const char *name;
    unsigned count;
    struct operand operand[MAX_OPERANDS];
};
enum { FN_ANY = -1 };
struct op_row {
    struct pl_op_info info;
    uint8_t opcode;
    int8_t fn; /* FN_ANY or the value that selects the row */
    const struct format *format;
};
extern const struct op_row op_row[PL_OP_COUNT];

struct field_bits {
    uint8_t lsb, width;
};
extern const struct field_bits field_bits[FLD_NONE];
uint32_t field_get(const struct pl_insn *in, enum operand_field f);
void field_set(struct pl_insn *in, enum operand_field f, uint32_t v);

/* expr.c: a constant expression over labels and names. */
struct symbol {
    const char *name;
    size_t len;
    int64_t value;
    bool defined; /* labels are known by name in pass 1, by value in pass 2 */
};
struct symbols {
    struct symbol *item;
    size_t n, cap;
    uint32_t *slot; /* open addressing: index + 1 */
    size_t n_slot;
};
struct expr_ctx {
    const struct pl_source *src;
    struct symbols *symbols;
    struct pl_diag *d;
    bool undefined; /* out: met a label whose value is not known yet */
    bool allow_undefined;
    unsigned depth;
};
/* Parse at *at (stops before , or the end of the operand); the value must fit 64 bits. */
enum pl_status expr_parse(struct expr_ctx *x, size_t *at, size_t end, int64_t *out);
struct symbol *symbol_find(struct symbols *t, const char *name, size_t len);
struct symbol *symbol_add(struct symbols *t, const char *name, size_t len);
#endif
