/* test_sim_faults.c - every misuse is a located error; both planes agree with each alone; what does not fit is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

/* On machine tiny: MLEN = VLEN = 16, BLEN 4, HLEN 8; 1024 tiles of 256, 65536 rows, 4096 FP and 1024 INT words; at most
 * 2 nested loops and 50 instructions. */
#define TILE0 "H_LOAD_M gp0, gp0, gp0, gp0\n"
#define SET(word, value) "li gp1, " #value "\n S_ST_INT gp1, gp0, " #word "\n "
#define ROUTE(n, k, groups, top, each) SET(0, n) SET(1, k) SET(2, groups) SET(3, top) SET(4, each)
static const struct fault {
    const char *text, *rule;
    unsigned back; /* the guilty word, counted from the end: C_HALT is 1; 0: the one before it */
} faults[] = {
    /* vector rows */
    {"li gp1, 8\n V_EXP_V gp2, gp1", "source address 8 is not a multiple of VLEN = 16", 0},
    {"li gp1, 8\n V_RECI_V gp1, gp2", "destination address 8 is not a multiple of VLEN = 16", 0},
    {"li gp1, 24\n V_ADD_VV gp0, gp0, gp1", "second source address 24 is not a multiple", 0},
    {"li gp1, 1048576\n V_ADD_VF gp0, gp1, f1", "source row 65536 is outside the 65536 rows", 0},
    {"li gp1, 0xFFFFFFF0\n V_MAX_VF gp1, gp0, f1", "destination row 268435455 is outside", 0},
    {"li gp1, 8\n V_RED_SUM f1, gp1", "source address 8", 0},
    {"li gp1, 1048576\n V_RED_MAX f1, gp1", "source row 65536", 0},
    {"li gp1, 4\n V_ARGMAX f1, gp1, gp0, gp2", "source address 4", 0},
    {"li gp1, 8\n S_MAP_V_FP gp1, gp0, 0", "destination address 8", 0},
    {"V_SWAP_V gp0, gp0, gp0", "halves of 0 lanes: expected a power of two below VLEN = 16", 0},
    {"li gp1, 3\n V_SWAP_V gp0, gp0, gp1", "halves of 3 lanes", 0},
    {"li gp1, 16\n V_SWAP_V gp0, gp0, gp1", "halves of 16 lanes", 0},
    {"C_HADAMARD_TRANSFORM gp0, gp0, gp0", "groups of 0 lanes: expected a power of two up to VLEN = 16", 0},
    {"li gp1, 32\n C_HADAMARD_TRANSFORM gp0, gp0, gp1", "groups of 32 lanes", 0},
    {"V_TOPK gp0, gp0, gp0, 2", "policy 2: expected 0 (4 of 32) or 1 (8 of 128)", 0},
    {"li gp1, 1048560\n V_TOPK gp0, gp1, gp0, 0", "source row 65536", 0},
    {"li gp1, 1021\n V_TOPK gp0, gp0, gp1, 0", "results lie outside INT or FP SRAM", 0},
    {"li gp1, 4089\n V_TOPK gp1, gp0, gp0, 1", "results lie outside INT or FP SRAM", 0},
    {"li gp1, 1020\n V_ROUTE gp0, gp0, gp1", "INT SRAM words 1020 + 5 of 1024", 0},
    {ROUTE(4097, 2, 1, 1, 1) "V_ROUTE gp0, gp0, gp0", "2 of 4097 values, 1 of 1 groups by 1 of each: expected 1 to 4096 values", 0},
    {ROUTE(12, 2, 5, 1, 1) "V_ROUTE gp0, gp0, gp0", "groups must divide the values", 0},
    {ROUTE(12, 2, 4, 5, 1) "V_ROUTE gp0, gp0, gp0", "expected 1 group or more to search, at most all", 0},
    {ROUTE(12, 2, 4, 2, 4) "V_ROUTE gp0, gp0, gp0", "expected a group's score of 1 value or more", 0},
    {ROUTE(12, 7, 4, 2, 1) "V_ROUTE gp0, gp0, gp0", "expected 1 to 64 chosen, no more than the searched groups hold", 0},
    {ROUTE(12, 2, 1, 1, 1) "li gp1, 1023\n V_ROUTE gp1, gp0, gp0", "INT SRAM words 1023 + 2 of 1024", 0},
    {ROUTE(12, 2, 1, 1, 1) "li gp1, 8\n V_ROUTE gp0, gp1, gp0", "source address 8", 0},
    {ROUTE(17, 2, 1, 1, 1) "li gp1, 1048560\n V_ROUTE gp0, gp1, gp0", "source row 65536", 0},
    {"V_PICK gp0, gp0, gp0, gp0", "0 elements: expected 1 to 64", 0},
    {"li gp1, 65\n V_PICK gp0, gp0, gp0, gp1", "65 elements", 0},
    {"li gp1, 1023\n li gp2, 2\n V_PICK gp0, gp0, gp1, gp2", "INT SRAM words 1023 + 2 of 1024", 0},
    {"li gp1, 4095\n li gp2, 2\n V_PICK gp1, gp0, gp0, gp2", "FP SRAM words 4095 + 2 of 4096", 0},
    {"li gp2, 2\n V_PICK gp0, gp2, gp0, gp2", "source address 2", 0},
    {SET(0, 5) SET(1, 1048576) "li gp2, 2\n V_PICK gp0, gp0, gp0, gp2", "source row 65536", 0},
    /* scalar memories; addresses do not wrap */
    {"S_LD_INT gp1, gp0, 1024", "INT SRAM word 1024 of 1024", 0},
    {"li gp1, 0xFFFFFFFF\n S_ST_INT gp1, gp1, 1", "INT SRAM word 4294967296 of 1024", 0},
    {"S_LD_FP f1, gp0, 4096", "FP SRAM words 4096 + 1 of 4096", 0},
    {"li gp1, 0xFFFFFFFF\n S_ST_FP f1, gp1, 1", "FP SRAM words 4294967296 + 1 of 4096", 0},
    {"S_MAP_V_FP gp0, gp0, 4081", "FP SRAM words 4081 + 16 of 4096", 0},
    /* words that the assembler would not make */
    {".word 0", "word 0x00000000 is no instruction", 0},
    {".word 0x01C00039", "word 0x01C00039 is no instruction", 0},
    {".word 0x00000257 // S_ADD_FP f9", "there are only f0..f7", 0},
    {".word 0x0002000E // V_ADD_VF f8", "there are only f0..f7", 0},
    {".word 0x00000215 // V_RED_SUM f8", "there are only f0..f7", 0},
    {".word 0x0000021E // S_LD_FP f8", "there are only f0..f7", 0},
    {".word 0x0000021F // S_ST_FP f8", "there are only f0..f7", 0},
    {".word 0x0000023C // V_ARGMAX f8", "there are only f0..f7", 0},
    /* loops */
    {"C_LOOP_START gp1, 0\n C_LOOP_END gp1", "a loop of 0 passes", 3},
    {"C_LOOP_START gp0, 3\n C_LOOP_END gp0", "gp0 cannot count a loop", 3},
    {"C_LOOP_END gp1", "gp1 does not count the innermost loop", 0},
    {"C_LOOP_START gp1, 2\n C_LOOP_START gp2, 2\n C_LOOP_END gp1", "gp1 does not count the innermost loop", 0},
    {"C_LOOP_START gp1, 2\n C_LOOP_START gp1, 2\n C_LOOP_END gp1\n C_LOOP_END gp1", "gp1 counts an outer loop", 4},
    {"C_LOOP_START gp1, 2\n C_LOOP_START gp2, 2\n C_LOOP_START gp3, 2\n C_LOOP_END gp3\n C_LOOP_END gp2\n C_LOOP_END gp1",
     "more than 2 nested loops", 5},
    {"C_LOOP_REG gp1, gp0", "no matching C_LOOP_END", 0},
    {"C_LOOP_START gp1, 2\n C_EXIT", "no matching C_LOOP_END", 0},
    {"C_EXIT", "outside of any loop", 0},
    {"C_LOOP_START gp1, 2", "the program ended inside this loop", 0},
    {"C_LOOP_START gp1, 100\n C_LOOP_END gp1", "more than 50 instructions", 0},
    /* matrix operands */
    {"M_MM 0, gp0, gp0", "Matrix SRAM tile 0 was never loaded", 0},
    {TILE0 "li gp1, 256\n M_TMV 0, gp1, gp0", "Matrix SRAM tile 1 was never loaded", 0},
    {"li gp1, 262144\n M_MV 0, gp1, gp0", "Matrix SRAM address 262144 is outside its 1024 tiles", 0},
    {TILE0 "li gp1, 1\n M_MM 0, gp1, gp0", "tile offset 1 is not a multiple of BLEN rows (4 * MLEN)", 0},
    {TILE0 "li gp1, 32\n M_TMM 0, gp0, gp1", "tile offset 32 is not a multiple of BLEN rows", 0},
    {TILE0 "li gp1, 32\n M_MV 0, gp1, gp0", "tile offset 32", 0},
    {TILE0 "li gp1, 8\n M_TMV 0, gp1, gp0", "tile offset 8", 0},
    {TILE0 "li gp1, 8\n M_MM 0, gp0, gp1", "Vector SRAM address 8 is not a multiple of MLEN = 16", 0},
    {TILE0 "li gp1, 1048544\n M_MM 0, gp0, gp1", "operand rows from 1048544 reach outside the 1048576 elements", 0},
    {TILE0 "li gp1, 1048576\n M_MV 0, gp0, gp1", "operand rows from 1048576 reach outside", 0},
    {TILE0 "M_TMM 0, gp0, gp0, 0, 3", "the step of the matrix address must be 0, 1 or 2", 0},
    {TILE0 "M_TMM 0, gp0, gp0, 3", "a window of 32 lanes exceeds MLEN = 16", 0},
    {TILE0 "li gp1, 4\n M_TMM 0, gp1, gp0, 1", "lanes 4 and 0 are not multiples of the window's 8", 0},
    {TILE0 "li gp1, 4\n M_TMM 0, gp0, gp1, 1", "lanes 0 and 4 are not multiples of the window's 8", 0},
    {TILE0 "li gp1, 1\n li gp2, 256\n H_LOAD_M gp2, gp0, gp1, gp0\n M_TMM 0, gp0, gp0\n M_TMM 0, gp0, gp2",
     "accumulates onto a product of other formats", 0},
    {TILE0 "M_TMM 0, gp0, gp0\n M_TMM 0, gp0, gp0, 1", "or another width", 0},
    {"M_MM_WO gp0, gp0, 2", "destination lane 2 is not a multiple of BLEN = 4", 0},
    {"M_MV_WO gp0, 6", "destination lane 6", 0},
    {"li gp1, 1048544\n M_MM_WO gp1, gp0, 0", "reach outside", 0},
    {"li gp1, 0xFFFFFFFF\n M_MM_WO gp0, gp1, 0", "reach outside", 0},
    {"li gp1, 30000\n M_MM_WO gp0, gp1, 0", "reach outside", 0},
    /* batched products and their write-outs */
    {TILE0 "li gp1, 4096\n M_BMM gp1, gp0, gp0\n M_BMM 0, gp0, gp0\n M_MM 0, gp0, gp0", "a batched product still waits for its write-out", 0},
    {TILE0 "M_BTMV 0, gp0, gp0\n M_BTMV 0, gp0, gp0", "a batched product still waits", 0},
    {TILE0 "M_BMM 0, gp0, gp0", "a batched product still waits", 1}, /* C_HALT itself */
    {TILE0 "M_BMM 0, gp0, gp0\n M_BMV_WO gp0, 512", "no batched product of this kind waits", 0},
    {TILE0 "M_BTMV 0, gp0, gp0\n M_BMM_WO gp0, 512", "no batched product of this kind waits", 0},
    {"M_BMM_WO gp0, 0", "no batched product of this kind waits", 0},
    {TILE0 "li gp1, 4096\n M_BMM gp1, gp0, gp0\n M_BMM_WO gp0, 512", "no batched product of this kind waits", 0},
    {TILE0 "li gp1, 64\n M_BMM 0, gp1, gp0", "head offset 64 in the tile is not a multiple of HLEN = 8", 0},
    {TILE0 "li gp1, 8\n M_BMV 0, gp1, gp0", "head offset 8 in the tile", 0},
    {TILE0 "li gp1, 4\n M_BTMV 0, gp1, gp0", "head offset 4 in the tile", 0},
    {TILE0 "li gp1, 16\n M_BTMM gp1, gp1, gp0", "head offset 16 in the tile", 0},
    {"M_BTMV 0, gp0, gp0", "tile 0 was never loaded", 0},
    {TILE0 "li gp1, 8\n M_BMV 0, gp0, gp1", "Vector SRAM address 8", 0},
    {TILE0 "li gp1, 1048320\n M_BMM gp1, gp0, gp0", "reach outside", 0},
    {TILE0 "M_BMV 0, gp0, gp0\n li gp1, 8\n M_BMV_WO gp1, 0", "Vector SRAM address 8", 0},
    {TILE0 "li gp1, 240\n M_BMM gp1, gp0, gp0", "the result overlaps the left operand", 0},
    {TILE0 "M_BMV 0, gp0, gp0\n M_BMV_WO gp0, 0", "the result overlaps the left operand", 0},
    {TILE0 "M_BMV 0, gp0, gp0\n V_EXP_V gp0, gp0\n M_BMV_WO gp0, 512", "operands changed before the write-out", 0},
    {TILE0 "M_BTMM 0, gp0, gp0\n " TILE0 " M_BMM_WO gp0, 512", "operands changed before the write-out", 0},
    /* transfers */
    {"li gp1, 8\n H_LOAD_M gp0, gp0, gp1, gp0", "there is no tensor descriptor 8 (of 8)", 0},
    {"li gp1, 0xFFFFFFFF\n H_LOAD_V gp0, gp0, gp1, gp0", "there is no tensor descriptor 4294967295", 0},
    {"li gp1, 5\n H_LOAD_M gp0, gp0, gp0, gp1", "tensor t0: column 5 does not start a block and a byte", 0},
    {"li gp1, 8\n H_LOAD_M gp1, gp0, gp0, gp0", "Matrix SRAM address 8 does not start a tile", 0},
    {"H_LOAD_M gp0, gp0, gp0, gp0, 1", "tensor t0: 2 tiles at once go only from a tensor in tiles", 0},
    {"li gp1, 262144\n H_LOAD_M gp1, gp0, gp0, gp0", "Matrix SRAM tiles 1024 + 1 of 1024", 0},
    {"li gp1, 8\n H_LOAD_V gp1, gp0, gp0, gp0", "Vector SRAM address 8 is not a multiple", 0},
    {"li gp1, 1048560\n H_LOAD_V gp1, gp0, gp0, gp0, 1", "Vector SRAM row 65536 is outside", 0},
    {"li gp1, 7\n li gp2, 8\n H_LOAD_V gp0, gp0, gp1, gp2", "tensor t7 repeats its 8 columns", 0},
    {"li gp1, 23\n li gp2, 5\n H_SAVE_V gp0, gp1, gp2, gp0, 1", "tensor t5: rows 23 + 2 of 24", 0},
    {"li gp1, 5\n li gp2, 8\n H_SAVE_V gp2, gp0, gp1, gp0", "Vector SRAM address 8", 0},
    {"li gp2, 5\n H_SAVE_V gp0, gp0, gp2, gp0\n H_LOAD_V gp0, gp0, gp2, gp0", "missing C_FENCE", 0},
    {"li gp2, 5\n H_SAVE_V gp0, gp0, gp2, gp0\n H_LOAD_M gp0, gp0, gp2, gp0", "missing C_FENCE", 0},
    {"H_STORE_V gp0, gp0, a1, 0, 1", "SCALE is not set", 0},
    {"H_PREFETCH_M gp0, gp0, a1, 0, 0", "SCALE is not set", 0},
    {"li gp1, 4096\n C_SET_SCALE_REG gp1\n li gp2, 8\n H_PREFETCH_M gp0, gp2, a1, 0, 0", "element 8 does not start a block of 16", 0},
    {"li gp1, 4096\n C_SET_SCALE_REG gp1\n li gp2, 17\n C_SET_STRIDE_REG gp2\n H_PREFETCH_V gp0, gp0, a1, 1, 0",
     "element 17 does not start a block of 16", 0},
    {"li gp1, 4096\n C_SET_SCALE_REG gp1\n H_STORE_V gp0, gp0, a1, 0, 0\n C_SET_SCALE_REG gp1\n H_PREFETCH_V gp0, gp0, a1, 0, 0",
     "missing C_FENCE", 0},
    {"li gp1, 4096\n C_SET_SCALE_REG gp1\n li gp2, 262144\n H_PREFETCH_V gp0, gp2, a1, 0, 0", "lie outside the image's 262144", 0},
    {"li gp1, 262143\n C_SET_SCALE_REG gp1\n H_PREFETCH_V gp0, gp0, a1, 0, 0", "lie outside the image's 262144", 0},
    {"li gp1, 4096\n C_SET_SCALE_REG gp1\n C_SET_ADDR_REG a1, gp1, gp0\n H_STORE_V gp0, gp0, a1, 0, 0", "lie outside", 0},
    {"li gp1, 4096\n C_SET_SCALE_REG gp1\n li gp2, 0xFFFFFFF0\n li gp3, 0xFFFFFFFF\n C_SET_ADDR_REG a1, gp3, gp2\n"
     "li gp2, 64\n H_PREFETCH_V gp0, gp2, a1, 0, 0", "lie outside", 0}, /* base + offset goes round 2^64 */
    {"li gp1, 8\n C_SET_SCALE_REG gp1\n H_STORE_V gp1, gp0, a1, 0, 0", "source address 8", 0},
    {"li gp1, 1048528\n C_SET_SCALE_REG gp1\n H_PREFETCH_V gp1, gp0, a1, 0, 0", "destination row 65536", 0},
    {"li gp1, 261952\n C_SET_SCALE_REG gp1\n H_PREFETCH_M gp1, gp0, a1, 0, 0", "does not start a tile", 0},
};

static void check_fault(const struct fault *f, bool functional)
{
    struct rig r;
    enum pl_sim_stop stop;
    char pc[64];
    rig_open(&r, "tiny", "mxint8:16");
    r.arch.loop_depth = 2;
    r.opt = (struct pl_sim_options){.functional = functional, .timing = true, .max_insns = 50};
    pl_buf_puts(&r.text, f->text);
    say(&r, "%s", "");
    start(&r);
    d.text[0] = 0;
    const enum pl_status s = pl_sim_run(r.sim, 0, &stop, &d);
    const size_t guilty = r.as.n - (f->back ? f->back : 2);
    snprintf(pc, sizeof pc, "pc %zu, line %u: ", guilty, r.as.line[guilty]);
    if (s != PL_EFAULT || !strstr(d.text, f->rule) || strncmp(d.text, pc, strlen(pc)) != 0)
        fail_msg("%s\n%s, \"%s\"; wanted \"%s ... %s\"", f->text, pl_status_name(s), d.text, pc, f->rule);
    rig_close(&r);
}

/* In both planes: a timing-only run refuses the same programs. */
TEST(test_every_fault)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(faults); i++) {
        check_fault(&faults[i], true);
        if (!strstr(faults[i].rule, "accumulates") && !strstr(faults[i].rule, "width")) /* about formats, not addresses */
            check_fault(&faults[i], false);
    }
    print_message("%zu misuses\n", PL_COUNT(faults));
}

static void refused_at_run(struct rig *r, const char *text, const char *rule)
{
    enum pl_sim_stop stop;
    pl_buf_puts(&r->text, text);
    say(r, "%s", "");
    start(r);
    REFUSED(PL_EFAULT, rule, pl_sim_run(r->sim, 0, &stop, &d));
}

/* Formats that do not fit the lanes or the bytes of an address. */
TEST(test_blocks_that_do_not_fit)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    r.desc[0].format.block = r.desc[DESC_OUT8].format.block = 32;
    r.img.weight = r.img.act = format_of("mxfp6_e2m3:32");
    refused_at_run(&r, "H_LOAD_M gp0, gp0, gp0, gp0", "tensor t0: blocks of 32 do not fit MLEN = 16");
    refused_at_run(&r, "li gp1, 5\n H_SAVE_V gp0, gp0, gp1, gp0", "tensor t5: blocks of 32 do not fit VLEN = 16");
    const char *published = "li gp1, 4096\n C_SET_SCALE_REG gp1\n li gp1, 24\n C_SET_STRIDE_REG gp1\n";
    char text[256];
    snprintf(text, sizeof text, "%s H_PREFETCH_M gp0, gp0, a0, 1, 0", published);
    refused_at_run(&r, text, "blocks of 32 do not fit MLEN = 16");
    snprintf(text, sizeof text, "%s H_PREFETCH_V gp0, gp0, a0, 1, 0", published);
    refused_at_run(&r, text, "blocks of 32 do not fit VLEN = 16");
    snprintf(text, sizeof text, "%s H_STORE_V gp0, gp0, a0, 1, 0", published);
    refused_at_run(&r, text, "blocks of 32 do not fit VLEN = 16");
    r.img.act = format_of("mxfp6_e2m3:16");
    snprintf(text, sizeof text, "%s li gp1, 1\n H_STORE_V gp0, gp1, a0, 0, 0", published);
    refused_at_run(&r, text, "byte offset 1 does not start an element of 6 bits");
    rig_close(&r);
}

/* Only what a store wrote needs a fence; a format without scales has none that could overlap. */
TEST(test_fences_are_wanted_where_needed)
{
    (void)state;
    struct rig r;
    rig_open(&r, "tiny", "mxint8:16");
    r.desc[DESC_OUT8].elem_base = 0; /* so that a missing scale, "at" byte 0 + column, would lie inside */
    say(&r, "li gp2, %u", DESC_OUT8);
    say(&r, "li gp3, 2");
    say(&r, "li gp4, 4");
    say(&r, "H_SAVE_V gp0, gp0, gp2, gp0");
    say(&r, "H_LOAD_V gp0, gp3, gp2, gp0"); /* another row */
    say(&r, "H_LOAD_V gp0, gp0, gp3, gp4"); /* another tensor, plain floats */
    say(&r, "H_SAVE_V gp0, gp0, gp2, gp0"); /* a store on top */
    say(&r, "C_FENCE");
    say(&r, "H_LOAD_V gp0, gp0, gp2, gp0");
    start(&r);
    go(&r);
    rig_close(&r);
}

/* The code ends with a product pending, without a C_HALT; the next run starts clean. */
TEST(test_pending_at_the_end)
{
    (void)state;
    struct rig r;
    enum pl_sim_stop stop;
    rig_open(&r, "tiny", "mxint8:16");
    say(&r, "C_LOOP_START gp1, 1");
    say(&r, "C_LOOP_END gp1");
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
    say(&r, "M_BMV 0, gp0, gp0");
    start(&r);
    r.img.n_code = r.img.n_line = 4;
    pl_sim_free(r.sim);
    OK(pl_sim_new(&r.arch, &r.img, &r.opt, &r.sim, &d));
    REFUSED(PL_EFAULT, "pc 3, line 4: M_BMV gp0, gp0, gp0: a batched product still waits", pl_sim_run(r.sim, 0, &stop, &d));
    r.img.n_code = 3;
    OK(pl_sim_run(r.sim, 0, &stop, &d));
    rig_close(&r);
}

/* The operator of the image is named. */
TEST(test_operator_in_the_message)
{
    (void)state;
    struct rig r;
    const struct pl_op_range op = {1, 3, "attention.qk"};
    rig_open(&r, "tiny", "mxint8:16");
    r.img.op = &op;
    r.img.n_op = 1;
    refused_at_run(&r, "li gp1, 8\n V_EXP_V gp2, gp1", "pc 1, line 2 (attention.qk): V_EXP_V gp2, gp1, 0: source address 8 is not");
    rig_close(&r);
}

/* ---- an image and a machine that do not belong together; state access ---- */
TEST(test_what_does_not_fit)
{
    (void)state;
    struct rig r;
    struct pl_sim *sim = NULL;
    rig_open(&r, "tiny", "mxint8:16");
    start(&r);
    const struct pl_image good = r.img;
    uint32_t *const plan[] = {&r.img.plan.mlen, &r.img.plan.blen, &r.img.plan.hlen, &r.img.plan.vlen};
    for (size_t i = 0; i < PL_COUNT(plan); i++) {
        *plan[i] *= 2;
        REFUSED(PL_ERANGE, "the image is for mlen", pl_sim_new(&r.arch, &r.img, &r.opt, &sim, &d));
        r.img = good;
    }
    size_t *const count[] = {&r.img.n_code, &r.img.n_fp, &r.img.n_int};
    for (size_t i = 0; i < PL_COUNT(count); i++) {
        *count[i] = 1 << 20;
        REFUSED(PL_ERANGE, "does not fit machine tiny", pl_sim_new(&r.arch, &r.img, &r.opt, &sim, &d));
        r.img = good;
    }
    r.img.hbm_bytes = r.arch.hbm_bytes + 1;
    REFUSED(PL_ERANGE, "the image uses 34359738369 bytes of HBM; machine tiny has 34359738368", pl_sim_new(&r.arch, &r.img, &r.opt, &sim, &d));
    r.img = good;
    rig_close(&r);
}

TEST(test_state_access_is_checked)
{
    (void)state;
    struct rig r;
    float x[2] = {0};
    uint8_t b[2];
    uint32_t v;
    rig_open(&r, "tiny", "mxint8:16");
    start(&r);
    REFUSED(PL_ERANGE, "INT SRAM word 1024 of 1024", pl_sim_set_int(r.sim, 1024, 0, &d));
    REFUSED(PL_ERANGE, "INT SRAM word 18446744073709551615", pl_sim_get_int(r.sim, UINT64_MAX, &v, &d));
    REFUSED(PL_ERANGE, "1048575 + 2 of 1048576", pl_sim_read_vsram(r.sim, 1048575, 2, x, &d));
    REFUSED(PL_ERANGE, "of 1048576", pl_sim_write_vsram(r.sim, UINT64_MAX, 2, x, &d));
    REFUSED(PL_ERANGE, "HBM bytes 262143 + 2 of 262144", pl_sim_read_hbm(r.sim, 262143, 2, b, &d));
    REFUSED(PL_ERANGE, "HBM bytes", pl_sim_read_hbm(r.sim, UINT64_MAX, 2, b, &d));
    OK(pl_sim_read_vsram(r.sim, 1048574, 2, x, &d));
    r.opt.functional = false;
    start(&r);
    REFUSED(PL_ERANGE, "Vector SRAM", pl_sim_read_vsram(r.sim, 0, 2, x, &d));
    REFUSED(PL_ERANGE, "HBM bytes", pl_sim_read_hbm(r.sim, 0, 2, b, &d));
    REFUSED(PL_ERANGE, "no tensor 0", pl_sim_read_tensor(r.sim, 0, 0, 0, 1, x, &d));
    rig_close(&r);
}

/* ---- the two planes ---- */
/* Every unit at work: loads, products, softmax-like vector work, scalars, stores, loops. No exact cycle is expected. */
static const char work[] = "li gp10, 2\n li gp11, 5\n C_LOOP_START gp1, 3\n"
                           "H_LOAD_M gp0, gp0, gp10, gp0\n H_LOAD_V gp0, gp1, gp10, gp0, 2\n li gp3, 8192\n"
                           "C_LOOP_START gp2, 4\n M_TMM 0, gp0, gp0\n M_MM_WO gp3, gp0, 0\n V_EXP_V gp3, gp3\n V_RED_SUM f1, gp3\n"
                           "S_RECI_FP f2, f1\n V_MUL_VF gp3, gp3, f2\n S_ADDI_INT gp4, gp4, 3\n S_MUL_INT gp5, gp4, gp4\n C_LOOP_END gp2\n"
                           "H_SAVE_V gp3, gp1, gp11, gp0\n S_ST_INT gp5, gp1, 20\n C_FENCE\n C_LOOP_END gp1\n";

struct trace {
    uint64_t n, last_issue, sum, last_end;
    const struct pl_image *img;
};

static void look(void *ctx, const struct pl_sim_retired *t)
{
    struct trace *c = ctx;
    assert_int_equal(t->seq, c->n);
    assert_int_equal(t->word, c->img->code[t->pc]);
    struct pl_insn in;
    OK(pl_isa_decode(t->word, &in, &d));
    assert_memory_equal(&in, &t->insn, sizeof in);
    assert_true(t->issue_cyc <= t->start_cyc && t->start_cyc <= t->end_cyc);
    assert_true(t->issue_cyc >= c->last_issue); /* in order */
    c->last_issue = t->issue_cyc;
    c->last_end = t->end_cyc > c->last_end ? t->end_cyc : c->last_end;
    c->sum += t->pc + t->word + t->end_cyc;
    c->n++;
}

struct outcome {
    struct pl_sim_stats s;
    struct trace t;
    uint32_t gp[16], intmem[3];
    float fp[8], v[64];
    uint8_t hbm[4096];
};

static void run_planes(const char *machine, bool functional, bool timing, struct outcome *o)
{
    struct rig r;
    const struct pl_op_range op[] = {{0, 3, "setup"}, {4, 9, "load"}, {9, 12, "product"}};
    memset(o, 0, sizeof *o);
    rig_open(&r, machine, "mxint8:16");
    r.img.op = op;
    r.img.n_op = PL_COUNT(op);
    r.opt = (struct pl_sim_options){.functional = functional, .timing = timing, .trace = look, .trace_ctx = &o->t};
    o->t.img = &r.img;
    pl_buf_puts(&r.text, work);
    start(&r);
    go(&r);
    o->s = *pl_sim_stats(r.sim);
    for (unsigned i = 0; i < 16; i++)
        o->gp[i] = pl_sim_gp(r.sim, i);
    for (unsigned i = 0; i < 3; i++)
        o->intmem[i] = word(&r, 21 + i);
    for (unsigned i = 0; functional && i < 8; i++)
        o->fp[i] = pl_sim_fp(r.sim, i);
    if (functional) {
        peek(&r, 8192, o->v, 64);
        OK(pl_sim_read_hbm(r.sim, r.desc[DESC_OUT8].elem_base, sizeof o->hbm, o->hbm, &d));
    }
    uint64_t cycles = 0, insns = 0, bytes = 0;
    assert_int_equal(o->s.n_op, PL_COUNT(op) + 1);
    for (size_t i = 0; i < o->s.n_op; i++) {
        cycles += o->s.op[i].cycles;
        insns += o->s.op[i].insns;
        bytes += o->s.op[i].hbm_bytes;
        assert_true(o->s.op[i].insns > 0);
    }
    assert_int_equal(cycles, o->s.cycles); /* every cycle, instruction and byte belongs to an operator */
    assert_int_equal(insns, o->s.insns);
    assert_int_equal(bytes, o->s.hbm_read_bytes + o->s.hbm_write_bytes);
    assert_int_equal(o->t.n, o->s.insns);
    assert_true(o->t.last_end <= o->s.cycles);
    o->s.op = NULL;
    o->s.pc = NULL;
    o->s.layer = NULL;
    rig_close(&r);
}

TEST(test_planes_agree)
{
    (void)state;
    static struct outcome both, values, cycles, again;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        run_planes(machines[m], true, true, &both);
        run_planes(machines[m], true, true, &again);
        run_planes(machines[m], true, false, &values);
        run_planes(machines[m], false, true, &cycles);
        assert_memory_equal(&both.s, &again.s, sizeof both.s); /* deterministic */
        assert_int_equal(both.s.sticky_nan, values.s.sticky_nan);
        both.s.sticky_nan = false; /* a value, not a figure of time */
        assert_memory_equal(&both.s, &cycles.s, sizeof both.s); /* every figure, not only the total */
        assert_int_equal(both.t.sum, cycles.t.sum);
        assert_int_equal(values.s.cycles, 0);
        assert_int_equal(values.s.insns, both.s.insns);
        assert_int_equal(values.s.macs, both.s.macs);
        assert_int_equal(values.s.hbm_read_bytes, both.s.hbm_read_bytes);
        assert_memory_equal(both.gp, values.gp, sizeof both.gp);
        assert_memory_equal(both.gp, cycles.gp, sizeof both.gp);
        assert_memory_equal(both.intmem, values.intmem, sizeof both.intmem);
        assert_memory_equal(both.intmem, cycles.intmem, sizeof both.intmem);
        assert_memory_equal(both.fp, values.fp, sizeof both.fp);
        assert_memory_equal(both.v, values.v, sizeof both.v);
        assert_memory_equal(both.hbm, values.hbm, sizeof both.hbm);
        uint64_t busy = 0;
        for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
            assert_true(both.s.busy_cyc[u] <= both.s.cycles); /* no unit is busier than time goes */
            busy += both.s.busy_cyc[u];
        }
        assert_true(busy > 0 && both.s.cycles > both.s.insns / 2);
    }
}

/* More work never takes less time, nor a slower memory. */
TEST(test_time_is_sane)
{
    (void)state;
    uint64_t before = 0;
    for (unsigned n = 1; n < 2000; n *= 3) {
        struct rig r;
        rig_open(&r, "tiny", "mxint8:16");
        say(&r, "C_LOOP_START gp1, %u", n);
        say(&r, "V_EXP_V gp0, gp0"); /* each waits for the one before */
        say(&r, "C_LOOP_END gp1");
        start(&r);
        go(&r);
        const uint64_t cycles = pl_sim_stats(r.sim)->cycles;
        assert_true(cycles > before);
        assert_true(cycles >= (uint64_t)n * r.arch.lat_vexp);
        before = cycles;
        rig_close(&r);
    }
    uint64_t at[3];
    for (unsigned k = 0; k < 3; k++) {
        struct rig r;
        rig_open(&r, "tiny", "mxint8:16");
        r.arch.hbm_latency = k == 1 ? 1000 : 100;
        r.arch.hbm_bandwidth = k == 2 ? 1 : 64;
        pl_buf_puts(&r.text, work);
        start(&r);
        go(&r);
        at[k] = pl_sim_stats(r.sim)->cycles;
        rig_close(&r);
    }
    assert_true(at[1] > at[0] && at[2] > at[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault), cmocka_unit_test(test_blocks_that_do_not_fit),
        cmocka_unit_test(test_fences_are_wanted_where_needed), cmocka_unit_test(test_pending_at_the_end),
        cmocka_unit_test(test_operator_in_the_message), cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_state_access_is_checked), cmocka_unit_test(test_planes_agree), cmocka_unit_test(test_time_is_sane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
