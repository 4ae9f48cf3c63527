/* test_isa.c - encodings, assembler, disassembler, static checker. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/isa.h"

static struct pl_diag d;

static enum pl_status assemble(struct pl_arena *a, const char *text, struct pl_asm *out)
{
    const struct pl_source src = {"t.asm", text, strlen(text)};
    return pl_asm_text(a, &src, out, &d);
}

/* The published encodings, as the authors' emulator decodes them. Lines whose word their assembler misplaces or refuses
 * are listed with what is right: isa.md 3.2 and 6. */
struct differs {
    const char *text, *ours; /* ours: a word, or words of our message */
};
static const struct differs differ[] = {
    {"M_BMM_WO gp3, 64", "0x001000C5"},
    {"M_MM_WO gp1, 0, 8", "0x00020046"},
    {"M_MV_WO gp1, 4", "0x0001004B"},
    {"M_MV_WO gp1, gp0, 0", "0x0000004B"},
    {"M_BMV_WO gp1, 64", "0x0010004C"},
    {"V_SUB_VF gp1, gp2, f3, 0", "0x0000C850"},
    {"V_SUB_VF gp1, gp2, f3", "0x0000C850"},
    {"V_EXP_V gp1, gp2, 1", "0x00040853"},
    {"V_EXP_V gp1, gp2", "0x00000853"},
    {"V_RECI_V gp1, gp2, 1", "0x00040854"},
    {"V_RED_SUM f3, gp2, 1", "0x000408D5"},
    {"V_RED_MAX f3, gp2, 1", "0x000408D6"},
    {"V_RED_MAX f3, gp2", "0x000008D6"},
    {"V_PS_V gp1, gp2", "0x00000871"},
    {"S_ADDI_INT gp1, gp0, 262144", "does not fit"},
    {"S_ADDI_INT gp1, gp0, -1", "does not fit"},
    {"S_ADDI_INT gp1, gp0, 0x10", "0x00040062"},
    {"S_ADDI_INT gp16, gp0, 1", "there is no register gp16"},
    {"S_LUI_INT gp1, 4194304", "does not fit"},
    {"H_PREFETCH_V gp1, gp2, a3, 1", "takes at least"},
    {"s_add_int gp1, gp2, gp3", "0x0000C861"},
    {"label:", ""},
    {"S_MV_FP f1, f2", "unknown"},
    {"S_SUB_INT gp1, gp2, 5", "expected"},
};

static const struct differs *known_difference(const char *text, size_t len)
{
    while (len && text[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < PL_COUNT(differ); i++)
        if (strlen(differ[i].text) == len && !memcmp(differ[i].text, text, len))
            return &differ[i];
    return NULL;
}

static void check_line(const char *text, size_t len, const char *want)
{
    struct pl_arena a;
    struct pl_asm out = {0};
    char line[256], got[32] = "";
    snprintf(line, sizeof line, "%.*s", (int)len, text);
    const struct differs *diff = known_difference(text, len);
    pl_arena_init(&a);
    const enum pl_status s = assemble(&a, line, &out);
    if (s == PL_OK && out.n == 1)
        snprintf(got, sizeof got, "0x%08X", out.code[0]);
    const char *expect = diff ? diff->ours : want;
    const bool ok = s == PL_OK ? !strcmp(got, expect) : diff && *expect != '0' && *expect && strstr(d.text, expect);
    if (!ok)
        fail_msg("%s: %s, expected %s", line, s == PL_OK ? got : d.text, expect);
    pl_arena_fini(&a);
}

TEST(test_published_encodings)
{
    (void)state;
    const char *path = shared_path("reference/isa-vectors.txt");
    if (!path)
        return;
    struct pl_map m;
    size_t n = 0;
    OK(pl_file_map(path, &m, &d));
    const char *p = (const char *)m.data, *end = p + m.len;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        char line[256];
        snprintf(line, sizeof line, "%.*s", (int)(stop - p), p);
        char *arrow = strstr(line, "->");
        if (line[0] == 'A' && arrow) {
            check_line(line + 2, (size_t)(arrow - line - 2), arrow + 3);
            n++;
        }
        p = stop + 1;
    }
    assert_int_equal(n, 75);
    pl_file_unmap(&m);
}

/* Random fields of every instruction: encode, decode, format, assemble give back the same. */
TEST(test_round_trip)
{
    (void)state;
    struct pl_rng r;
    size_t n = 0;
    pl_rng_init(&r, 1);
    for (unsigned op = 0; op < PL_OP_COUNT; op++)
        for (int k = 0; k < 300; k++) {
            struct pl_arena a;
            struct pl_asm out = {0};
            struct pl_insn in = {.op = (uint8_t)op, .rd = (uint8_t)pl_rng_below(&r, 16), .rs1 = (uint8_t)pl_rng_below(&r, 16),
                                 .rs2 = (uint8_t)pl_rng_below(&r, 16), .rs3 = (uint8_t)pl_rng_below(&r, 16),
                                 .fn = (uint8_t)pl_rng_below(&r, 16), .imm = (uint32_t)pl_rng_below(&r, 1u << 22)};
            uint32_t word, again;
            struct pl_insn back;
            char text[128];
            if (pl_isa_encode(&in, &word, NULL) != PL_OK)
                continue; /* a field out of its range */
            OK(pl_isa_decode(word, &back, &d));
            assert_int_equal(back.op, op);
            OK(pl_isa_encode(&back, &again, &d));
            assert_int_equal(again, word);
            pl_isa_format(&back, text, sizeof text);
            pl_arena_init(&a);
            if (assemble(&a, text, &out) != PL_OK || out.n != 1 || out.code[0] != word)
                fail_msg("%s: 0x%08X, was 0x%08X; %s", text, out.n ? out.code[0] : 0, word, d.text);
            pl_arena_fini(&a);
            n++;
        }
    print_message("%zu instructions\n", n);
    assert_true(n > 3000);
}

/* Every word, even no instruction, survives dis and asm. */
TEST(test_disassembly_of_anything)
{
    (void)state;
    struct pl_rng r;
    struct pl_arena a;
    struct pl_buf b;
    struct pl_asm out = {0};
    enum { N = 200000 };
    uint32_t *code = malloc(N * sizeof *code);
    pl_rng_init(&r, 2);
    for (int i = 0; i < N; i++)
        code[i] = (uint32_t)pl_rng_u64(&r);
    pl_arena_init(&a);
    pl_buf_init(&b);
    pl_dis_text(code, N, true, &b);
    OK(assemble(&a, b.data, &out));
    assert_int_equal(out.n, N);
    assert_memory_equal(out.code, code, N * sizeof *code);
    pl_buf_fini(&b);
    pl_arena_fini(&a);
    free(code);
}

TEST(test_language)
{
    (void)state;
    static const char text[] = "# a comment\n"
                               ".equ N, 4 * (3 + 1) // 16\n"
                               ".equ MASK, ~0xF & 0xFF\n"
                               "start: s_addi_int gp1, gp0, N - 0b10 ; 14\n"
                               "li gp2, 0x12345\n"
                               "li gp3, 0x12345678\n"
                               "C_LOOP_START gp4, N >> 2\n"
                               "nop\n"
                               "C_LOOP_END gp4\n"
                               "end:\n"
                               "S_ADDI_INT gp5, gp0, end - start\n"
                               ".word MASK\n"
                               "C_HALT\n";
    struct pl_arena a;
    struct pl_asm out = {0};
    pl_arena_init(&a);
    OK(assemble(&a, text, &out));
    assert_int_equal(out.n_label, 2);
    assert_string_equal(out.label[0].name, "start");
    assert_int_equal(out.label[1].pc, 7);
    assert_int_equal(out.n, 10);
    assert_int_equal(out.code[0] >> 14, 14);
    assert_int_equal(out.code[7] >> 14, 7);
    assert_int_equal(out.code[8], 0xF0);
    assert_int_equal(out.line[0], 4);
    assert_int_equal(out.line[9], 13);
    pl_arena_fini(&a);
}

/* A label defined later has no value in the first pass: nothing may be refused for it there. */
TEST(test_labels_defined_later)
{
    (void)state;
    static const char text[] = "S_ADDI_INT gp1, gp0, end - 5\n"
                               ".word end - 5\n"
                               "li gp2, (end - 5) << 30\n"
                               "S_ADDI_INT gp1, gp0, 1 << (end - 5)\n"
                               ".word 16 / end\n"
                               ".word (-1 << 63) / (end - 1) & 0xff\n" /* unknown: INT64_MIN / -1 */
                               "end:\n";
    struct pl_arena a;
    struct pl_asm out = {0};
    pl_arena_init(&a);
    OK(assemble(&a, text, &out));
    assert_int_equal(out.n, 7);
    assert_int_equal(out.code[0] >> 14, 2);
    assert_int_equal(out.code[1], 2);
    assert_int_equal(out.code[2] >> 10, 1 << 19);
    assert_int_equal(out.code[4] >> 14, 4);
    assert_int_equal(out.code[5], 2);
    assert_int_equal(out.code[6], 0xab);
    pl_arena_fini(&a);
    pl_arena_init(&a);
    REFUSED(PL_ERANGE, "t.asm:1:22: -3 does not fit 0..", assemble(&a, "S_ADDI_INT gp1, gp0, end - 4\nend:\n", &out));
    REFUSED(PL_ERANGE, "t.asm:1:1: -3 is no 32-bit word", assemble(&a, ".word end - 4\nend:\n", &out));
    REFUSED(PL_ERANGE, "shift by -1", assemble(&a, ".word 1 << (end - 2)\nend:\n", &out));
    REFUSED(PL_ERANGE, "division by zero", assemble(&a, ".word 1 / (end - 1)\nend:\n", &out));
    pl_arena_fini(&a);
}

TEST(test_errors_point_at_the_place)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"M_MX 0, gp1, gp2", "t.asm:1:1: unknown"},
        {"\n  M_MM 0, gp1", "t.asm:2:14"},
        {"M_MM 0, gp1, gp99", "there is no register gp99"},
        {"S_ADDI_INT gp1, gp0, 1 << 18", "does not fit"},
        {"S_ADDI_INT gp1, gp0, 4 / 0", "division by zero"},
        {"S_ADDI_INT gp1, gp0, nowhere", "nowhere"},
        {"a:\na:\n", "t.asm:2:1"},
        {"S_ADD_INT gp1, gp2, gp3, gp4", "t.asm:1:"},
        {"S_ADDI_INT gp1, gp0, (1 + 2", "t.asm:1:"},
        {".equ x\n", "t.asm:1:"},
        {".equ x, x + 1\n S_ADDI_INT gp1, gp0, x", "t.asm:1:"},
        {"li gp1, 1 << 40", "t.asm:1:"},
        {"@", "t.asm:1:1"},
        {"S_ADDI_INT gp1, gp0, 99999999999999999999", "t.asm:1:"},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_arena a;
        struct pl_asm out = {0};
        pl_arena_init(&a);
        d.text[0] = 0;
        const enum pl_status s = assemble(&a, bad[i].text, &out);
        if (s == PL_OK || !strstr(d.text, bad[i].words) || !strchr(d.text, '^'))
            fail_msg("\"%s\": %s: \"%s\", wanted \"%s\" and a caret", bad[i].text, pl_status_name(s), d.text, bad[i].words);
        pl_arena_fini(&a);
    }
}

TEST(test_static_checker)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"C_LOOP_START gp1, 4\nnop\n", "loop"},
        {"C_LOOP_END gp1\n", "loop"},
        {"C_LOOP_START gp1, 4\nC_LOOP_START gp2, 4\nC_LOOP_END gp1\nC_LOOP_END gp2\n", "loop"},
        {"C_LOOP_START gp1, 4\nS_ADDI_INT gp1, gp1, 1\nC_LOOP_END gp1\n", "gp1"},
        {"M_BTMM 0, gp1, gp2\nM_BTMM 0, gp1, gp2\n", "M_B"},
        {".word 0\n", ""},
    };
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_arena a;
        struct pl_asm out = {0};
        pl_arena_init(&a);
        OK(assemble(&a, bad[i].text, &out));
        d.text[0] = 0;
        if (pl_isa_check(out.code, out.n, &d) == PL_OK || !strstr(d.text, bad[i].words) || !strstr(d.text, "pc "))
            fail_msg("%s: \"%s\"", bad[i].text, d.text);
        pl_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_encodings), cmocka_unit_test(test_round_trip), cmocka_unit_test(test_disassembly_of_anything),
        cmocka_unit_test(test_language),            cmocka_unit_test(test_errors_point_at_the_place), cmocka_unit_test(test_static_checker),
        cmocka_unit_test(test_labels_defined_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
