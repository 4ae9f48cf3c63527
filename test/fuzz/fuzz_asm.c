/* fuzz_asm.c - any bytes as assembly: refused, or words that disassemble and assemble to the same
 * words. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "plena/isa.h"

static void check_words(struct pl_arena *a, const uint32_t *code, size_t n)
{
    struct pl_buf text;
    struct pl_asm again;
    struct pl_diag d = {{0}};
    pl_buf_init(&text);
    pl_dis_text(code, n, n & 1, &text);
    const struct pl_source src = {"again", text.data, text.len};
    PROPERTY(pl_asm_text(a, &src, &again, &d) == PL_OK, &d);
    PROPERTY(again.n == n && (!n || !memcmp(again.code, code, n * sizeof *code)), &d);
    if (pl_isa_check(code, n, &d) != PL_OK)
        fuzz_refused(&d);
    pl_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct pl_source src = {"fuzz", (const char *)data, len};
    struct pl_arena a;
    struct pl_asm out;
    uint32_t *code;
    size_t n;
    struct pl_diag d = {{0}};
    pl_arena_init(&a);
    if (pl_asm_text(&a, &src, &out, &d) == PL_OK) {
        check_words(&a, out.code, out.n);
        for (size_t i = 0; i < out.n_label; i++)
            PROPERTY(out.label[i].pc <= out.n, &d);
    } else {
        fuzz_refused(&d);
    }
    d.text[0] = 0;
    if (pl_asm_read_mem(&a, &src, &code, &n, &d) == PL_OK)
        check_words(&a, code, n);
    else
        fuzz_refused(&d);
    pl_arena_fini(&a);
    return 0;
}

void fuzz_seeds(fuzz_emit *emit, void *ctx)
{
    static const char program[] =
        "# seed\n.equ N, 4 * (3 + 1)\nstart: li gp1, 0x12345678\nli gp2, end - start\nnop\n"
        "C_LOOP_START gp4, N >> 2\nS_ADDI_INT gp3, gp3, ~0xF & 0xFF ; c\nC_LOOP_END gp4\n"
        "M_BTMM 0, gp1, gp2\nM_BMM_WO gp3, 64\nV_EXP_V gp1, gp2\n.word 0xffffffff // w\nend: "
        "C_HALT\n";
    static const char words[] = "0x0000C861 00020046\nFFFFFFFF 1\n";
    emit(ctx, program, sizeof program - 1);
    emit(ctx, words, sizeof words - 1);
    struct pl_buf all; /* every instruction once */
    pl_buf_init(&all);
    for (unsigned op = 0; op < PL_OP_COUNT; op++) {
        const struct pl_insn in = {
            .op = (uint8_t)op, .rd = 1, .rs1 = 2, .rs2 = 3, .rs3 = 1, .imm = 5};
        char text[128];
        pl_isa_format(&in, text, sizeof text);
        pl_buf_printf(&all, "%s\n", text);
    }
    emit(ctx, all.data, all.len);
    pl_buf_fini(&all);
}
