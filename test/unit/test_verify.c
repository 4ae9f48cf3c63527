/* test_verify.c - the verifier: bad programs by hand with their exact reasons, compiled programs without a false alarm, and
 * random changes of good programs: whatever the simulator stops at, the verifier must have seen. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/comp.h"
#include "plena/isa.h"
#include "plena/sim.h"
#include "plena/verify.h"

static struct pl_diag d;
static struct pl_arena arena;
static struct pl_arch small;

/* Two tensors: 0 of weights, 256 x 128 mxint8:16; 1 of vectors, 8 x 64 bf16, repeating none. */
static void image_of(const char *text, struct pl_image *img)
{
    const struct pl_source src = {"text", text, strlen(text)};
    struct pl_asm as;
    struct pl_format w = pl_format_resolve(small.weight_format, small.vector_format.elem), vec = {.kind = PL_FORMAT_FLOAT, .elem = small.vector_format.elem, .block = 1};
    OK(pl_asm_text(&arena, &src, &as, &d));
    struct pl_desc *t = PL_NEW_N(&arena, struct pl_desc, 2);
    t[0] = (struct pl_desc){"w", 0, 1 << 16, 256, 128, 128, 8, w, false, 0};
    t[1] = (struct pl_desc){"v", 1 << 17, 0, 8, 64, (uint32_t)pl_format_row_bytes(&vec, 64), 0, vec, false, 0};
    *img = (struct pl_image){.machine = "", .model = "by hand", .hbm_bytes = 1 << 18, .n_code = as.n, .code = as.code, .n_desc = 2, .desc = t,
                             .plan = {.vec = small.vector_format.elem, .weight = w, .act = w, .kv = w, .mlen = small.mlen,
                                      .blen = small.blen, .hlen = small.hlen, .vlen = small.vlen, .guard = small.guard,
                                      .head_slot = small.hlen, .kv_tile = small.mlen, .k_tiles = 1},
                             .weight = w, .act = w, .kv = w};
}

#define LOAD "H_LOAD_M gp1, gp0, gp0, gp0\n"
static const struct {
    const char *text;
    uint32_t pc; /* in words */
    const char *reason;
} bad[] = {
    {"S_ADDI_INT gp1, gp2, 3\n", 0, "gp2 is read before it is written"},
    {"S_ADD_FP f1, f2, f0\n", 0, "f2 is read before it is written"},
    {"V_RED_SUM f3, gp0\n", 0, "f3 is read before it is written"},
    {"S_LD_INT gp1, gp0, 5\n", 0, "INT SRAM word 5 is read before it is written"},
    {"S_ST_INT gp0, gp0, 5\nS_LD_INT gp1, gp0, 6\n", 1, "INT SRAM word 6 is read before it is written"},
    {"S_LD_FP f1, gp0, 9\n", 0, "FP SRAM word 9 is read before it is written"},
    {"S_ST_FP f0, gp0, 200000\n", 0, "FP SRAM word 200000 + 1 of 4096"},
    {"li gp1, 5\nV_EXP_V gp0, gp1\n", 1, "source address 5 is not a multiple of VLEN = 64"},
    {"li gp1, 0x7fffffc0\nV_EXP_V gp0, gp1\n", 2, "source address 2147483584 is outside the 16384 rows of Vector SRAM"},
    /* The last of 1000 passes, and no other, leaves Vector SRAM. */
    {"li gp1, 983040\nC_LOOP_START gp2, 1024\nV_EXP_V gp1, gp1\nS_ADDI_INT gp1, gp1, 64\nC_LOOP_END gp2\nC_LOOP_START gp2, 2\nV_EXP_V gp1, gp0\n"
     "S_ADDI_INT gp1, gp1, 0\nC_LOOP_END gp2\n", 6, "destination address 1048576 is outside the 16384 rows of Vector SRAM"},
    {"li gp1, 0\nC_LOOP_START gp2, 300\nV_EXP_V gp1, gp0\nS_ADDI_INT gp1, gp1, 4096\nC_LOOP_END gp2\n", 2,
     "destination address 1224704 is outside the 16384 rows of Vector SRAM"},
    {"V_EXP_V gp0, gp0, 1\n", 0, "V_MASK is used before it is set"},
    {"M_TMM 0, gp0, gp0\nM_MM_WO gp0, gp0, 0\n", 0, "Matrix SRAM tile 0 is read before it is loaded"},
    {LOAD "M_TMM 0, gp0, gp0\nM_MM_WO gp0, gp0, 0\n", 0, "gp1 is read before it is written"},
    {"li gp1, 4096\n" LOAD "M_TMM 0, gp0, gp1\nM_MM_WO gp0, gp0, 2\n", 3, "destination lane 2 (step 0) is not a multiple of BLEN = 4"},
    {"li gp1, 4096\n" LOAD "S_ADDI_INT gp1, gp1, 64\nM_TMM 0, gp0, gp1\nM_MM_WO gp0, gp0, 0\n", 3,
     "tile offset 64 (step 0) is not a multiple of BLEN rows"},
    {"li gp1, 4096\n" LOAD "M_TMM 0, gp0, gp1\nM_MM 0, gp1, gp0\nM_MM_WO gp0, gp0, 0\n", 3,
     "accumulates onto a product of other formats or another width"},
    {"li gp1, 4096\n" LOAD "M_TMM 0, gp0, gp1\nM_TMM 0, gp0, gp1, 1\nM_MM_WO gp0, gp0, 0\n", 3,
     "accumulates onto a product of other formats or another width"},
    {"li gp1, 4096\n" LOAD "M_TMM 0, gp0, gp1\nC_HALT\n", 3, "ends with products that were never written out"},
    {"li gp1, 4096\n" LOAD LOAD "M_TMM 0, gp0, gp1\nM_MM_WO gp0, gp0, 0\n", 2,
     "overwrites Matrix SRAM tile 1, loaded at pc 1 and not read since"},
    {"li gp1, 64\n" LOAD, 1, "Matrix SRAM address 64 does not start a tile"},
    {"li gp1, 0x1000000\n" LOAD, 1, "Matrix SRAM address 16777216: 1 tiles from there are not inside its 256"},
    {"li gp1, 0\nli gp2, 3\nH_LOAD_M gp1, gp0, gp2, gp0\n", 2, "there is no tensor 3 of 2"},
    {"li gp1, 0\nli gp2, 8\nH_LOAD_M gp1, gp0, gp0, gp2\n", 2, "tensor w: column 8 (step 0) does not start a block and a byte"},
    {"li gp1, 5\nli gp2, 1\nH_SAVE_V gp0, gp1, gp2, gp0, 2\n", 2, "tensor v: rows 5 + 4 of 8"},
    {"li gp2, 1\nH_SAVE_V gp0, gp0, gp2, gp0\nH_LOAD_V gp0, gp0, gp2, gp0\n", 2,
     "loads HBM bytes 131072..131224, some of which a store before may not have written: missing C_FENCE"},
    {"li gp1, 3\nV_SWAP_V gp0, gp0, gp1\n", 1, "halves of 3 lanes: expected a power of two below VLEN = 64"},
    {"li gp1, 128\nC_HADAMARD_TRANSFORM gp0, gp0, gp1\n", 1, "groups of 128 lanes: expected a power of two up to VLEN = 64"},
    {"H_PREFETCH_V gp0, gp0, a1, 0, 0\n", 0, "a1 is used before it is set"},
    {"C_SET_ADDR_REG a1, gp0, gp0\nH_PREFETCH_V gp0, gp0, a1, 0, 0\n", 1, "SCALE is not set"},
    {"C_SET_ADDR_REG a1, gp0, gp0\nli gp1, 262144\nC_SET_SCALE_REG gp1\nH_PREFETCH_V gp0, gp0, a1, 0, 0\n", 3,
     "HBM bytes 262144..262160 lie outside the image's 262144"},
    {"C_LOOP_START gp1, 3\nC_HALT\nC_LOOP_END gp1\n", 0, "the program ends inside this loop"},
    {"C_LOOP_START gp1, 3\nS_ADDI_INT gp1, gp0, 2\nC_LOOP_END gp1\n", 1, "writes the counter of a loop it is in"},
    {"C_LOOP_START gp1, 0\nC_LOOP_END gp1\n", 0, "a loop of 0 passes"},
    {"C_HALT\nC_HALT\n", 1, "can never be reached"},
    {"C_LOOP_START gp1, 3\nC_EXIT\nnop\nC_LOOP_END gp1\nC_HALT\n", 2, "can never be reached"},
    {"V_ARGMAX f0, gp0, gp0, gp1\nC_LOOP_REG gp2, gp1\nnop\nC_LOOP_END gp2\n", 1, "its number of passes has no bound that can be found"},
    {"M_BMM gp0, gp0, gp0\nM_BMM_WO gp0, 0\n", 1, "Matrix SRAM tile 0 is read before it is loaded"},
    {"li gp1, 4096\n" LOAD "M_BMM gp0, gp1, gp0\nM_BMM_WO gp0, 0\n", 3, "the result overlaps the left operand"},
    {"li gp1, 4096\n" LOAD "M_BMM gp0, gp1, gp0\nV_EXP_V gp0, gp0\nli gp2, 65536\nM_BMM_WO gp2, 0\n", 3,
     "changes operands of the batched product at pc 2 before its write-out"},
    {"li gp2, 1000000\nV_TOPK gp2, gp0, gp0, 0\n", 2, "FP SRAM word 1000000 + 4 of 4096"},
};

TEST(bad_programs_are_refused)
{
    (void)state;
    for (size_t i = 0; i < PL_COUNT(bad); i++) {
        struct pl_image img;
        struct pl_verify_report r;
        image_of(bad[i].text, &img);
        OK(pl_verify(&arena, &small, &img, NULL, 0, &r, &d));
        if (!r.n_error)
            fail_msg("accepted:\n%s", bad[i].text);
        if (r.error[0].pc != bad[i].pc || strcmp(r.error[0].reason, bad[i].reason) != 0)
            fail_msg("%s\npc %u: %s\nwanted pc %u: %s", bad[i].text, r.error[0].pc, r.error[0].reason, bad[i].pc, bad[i].reason);
    }
}

TEST(every_error_names_its_place)
{
    (void)state;
    struct pl_image img;
    struct pl_verify_report r;
    struct pl_buf b;
    image_of("nop\nS_ADDI_INT gp1, gp2, 3\nli gp3, 5\nV_EXP_V gp0, gp3\n", &img);
    const struct pl_op_range op[] = {{0, 1, "setup"}, {1, 4, "mlp.norm"}};
    img.op = op;
    img.n_op = 2;
    OK(pl_verify(&arena, &small, &img, NULL, 0, &r, &d));
    assert_int_equal(r.n_error, 2);
    pl_buf_init(&b);
    pl_verify_text(&r.error[0], &b);
    assert_string_equal(b.data, "pc 1 (mlp.norm): S_ADDI_INT gp1, gp2, 3: gp2 is read before it is written");
    pl_buf_fini(&b);
    REFUSED(PL_EFAULT, "pc 1 (mlp.norm): S_ADDI_INT gp1, gp2, 3: gp2 is read before it is written", pl_verify_image(&small, &img, &d));
}

/* What a word may hold is asked for: rows of a tensor that a parameter selects. */
TEST(parameters_are_ranges)
{
    (void)state;
    struct pl_image img;
    struct pl_verify_report r;
    image_of("S_LD_INT gp1, gp0, 7\nli gp2, 1\nH_SAVE_V gp0, gp1, gp2, gp0\nli gp3, 64\nS_MUL_INT gp3, gp3, gp1\nV_EXP_V gp3, gp3\n"
             "C_LOOP_REG gp4, gp1\nV_EXP_V gp3, gp3\nS_ADDI_INT gp3, gp3, 64\nC_LOOP_END gp4\nV_EXP_V gp3, gp3\n", &img);
    OK(pl_verify(&arena, &small, &img, &(struct pl_verify_word){7, 0, 7, 1}, 1, &r, &d));
    assert_int_equal(r.n_error, 0);
    OK(pl_verify(&arena, &small, &img, &(struct pl_verify_word){7, 0, 8, 1}, 1, &r, &d));
    assert_string_equal(r.error[0].reason, "tensor v: rows 8 + 1 of 8");
    OK(pl_verify(&arena, &small, &img, &(struct pl_verify_word){7, 0, 20000, 1}, 1, &r, &d));
    assert_int_equal(r.n_error, 4);
}

/* ---- compiled programs ---- */
static const char *const example = "examples/agent-0.8m";

static void compile(const char *machine, const char *model, const struct pl_comp_options *opt, struct pl_arch *arch, struct pl_image *img)
{
    struct pl_checkpoint *ck;
    OK(pl_arch_load(machine, arch, &d));
    OK(pl_checkpoint_describe(&arena, model, &ck, &d));
    OK(pl_comp_model(&arena, ck, arch, opt, img, &d));
}

static void no_false_alarm(const char *what, const struct pl_arch *arch, const struct pl_image *img)
{
    struct pl_verify_report r;
    OK(pl_verify(&arena, arch, img, NULL, 0, &r, &d));
    if (r.n_error)
        fail_msg("%s on %s: pc %u (%s): %s: %s", what, arch->name, r.error[0].pc, r.error[0].op, r.error[0].insn, r.error[0].reason);
    assert_int_equal(r.reached, r.words);
}

TEST(compiled_programs_are_proved)
{
    (void)state;
    char path[1024];
    struct pl_arch arch;
    struct pl_image img;
    snprintf(path, sizeof path, "%s/config.json", source_path(example));
    for (size_t i = 0; pl_arch_list(i); i++)
        for (unsigned k = 0; k < 4; k++) {
            const struct pl_comp_options opt = {.no_weights = true, .all_logits = k & 1, .chunk = k & 2 ? 5 : 0, .context = k & 2 ? 300 : 0};
            compile(pl_arch_list(i), path, &opt, &arch, &img);
            no_false_alarm(example, &arch, &img);
        }
}

TEST(models_of_full_size_are_proved)
{
    (void)state;
    static const char *const config[] = {"llama-3.2-1b", "llama-2-7b", "llama-3.1-8b", "llama-3.3-70b", "llama-3.1-405b"};
    static const char *const machine[] = {"small", "paper"};
    for (size_t i = 0; i < PL_COUNT(config); i++)
        for (size_t m = 0; m < PL_COUNT(machine); m++) {
            char name[128];
            snprintf(name, sizeof name, "models/configs/%s.json", config[i]);
            const char *path = shared_path(name);
            struct pl_arch arch;
            struct pl_image img;
            struct pl_checkpoint *ck;
            const struct pl_comp_options opt = {.no_weights = true};
            if (!path)
                return;
            OK(pl_arch_load(machine[m], &arch, &d));
            OK(pl_arch_set(&arch, "hbm_bytes=281474976710656", &d));
            OK(pl_arch_set(&arch, "vector_rows=1048576", &d));
            OK(pl_checkpoint_describe(&arena, path, &ck, &d));
            OK(pl_comp_model(&arena, ck, &arch, &opt, &img, &d));
            no_false_alarm(config[i], &arch, &img);
        }
}

/* ---- mutations ---- */
static bool sim_stops(const struct pl_arch *arch, const struct pl_image *img, bool *too_long)
{
    const struct pl_sim_options so = {.max_insns = 2 * 1000 * 1000};
    const uint32_t tiles[] = {0, 1, 2};
    uint64_t chunk, tile, context;
    OK(pl_image_find(img->constant, img->n_const, "chunk", &chunk, &d));
    OK(pl_image_find(img->constant, img->n_const, "kv_tile", &tile, &d));
    OK(pl_image_find(img->constant, img->n_const, "context", &context, &d));
    bool stops = false;
    for (size_t e = 0; e < img->n_entry && !stops; e++)
        for (size_t i = 0; i < PL_COUNT(tiles) && !stops; i++) {
            struct pl_sim *sim;
            enum pl_sim_stop stop;
            const uint64_t pos = tiles[i] * tile;
            if (pos >= context)
                continue;
            OK(pl_sim_new(arch, img, &so, &sim, &d));
            OK(pl_sim_set_int(sim, 0, (uint32_t)pos, &d));
            OK(pl_sim_set_int(sim, 1, tiles[i], &d));
            OK(pl_sim_set_int(sim, 2, (uint32_t)chunk - 1, &d));
            stops = pl_sim_run(sim, (uint32_t)img->entry[e].value, &stop, &d) != PL_OK;
            if (stops && strstr(d.text, "more than 2000000 instructions")) {
                stops = false;
                *too_long = true;
            }
            pl_sim_free(sim);
        }
    return stops;
}

/* One word: another register, another immediate, another instruction of the same program, or any bit. */
static void mutate(struct pl_rng *rng, const struct pl_image *img, uint32_t *code)
{
    const size_t pc = pl_rng_below(rng, img->n_code);
    const uint32_t old = code[pc];
    do {
        switch (pl_rng_below(rng, 4)) {
        case 0:
            code[pc] = old ^ 1u << pl_rng_below(rng, 32);
            break;
        case 1: { /* a register field */
            const unsigned at = 6 + 4 * (unsigned)pl_rng_below(rng, 4);
            code[pc] = (old & ~(15u << at)) | (uint32_t)pl_rng_below(rng, 16) << at;
            break;
        }
        case 2:
            code[pc] = (old & 0x3fff) | (uint32_t)pl_rng_below(rng, 1 << 18) << 14;
            break;
        default:
            code[pc] = code[pl_rng_below(rng, img->n_code)];
        }
    } while (code[pc] == old);
}

TEST(what_the_simulator_stops_at_was_seen)
{
    (void)state;
    char path[1024];
    struct pl_arch arch;
    struct pl_image img;
    const struct pl_comp_options opt = {.no_weights = true, .context = 200, .chunk = 8};
    snprintf(path, sizeof path, "%s/config.json", source_path(example));
    compile("small", path, &opt, &arch, &img);
    const uint32_t *good = img.code;
    uint32_t *code = malloc(img.n_code * sizeof *code);
    struct pl_rng rng;
    pl_rng_init(&rng, 5);
    enum { TRIALS = 200 };
    unsigned both = 0, only_verifier = 0, neither = 0, unbounded = 0;
    for (unsigned t = 0; t < TRIALS; t++) {
        struct pl_verify_report r;
        struct pl_arena a;
        pl_arena_init(&a);
        memcpy(code, good, img.n_code * sizeof *code);
        mutate(&rng, &img, code);
        img.code = code;
        bool too_long = false;
        const bool stops = sim_stops(&arch, &img, &too_long);
        const enum pl_status s = pl_verify(&a, &arch, &img, NULL, 0, &r, &d);
        const bool seen = s != PL_OK || r.n_error;
        if (stops && !seen) {
            (void)sim_stops(&arch, &img, &too_long);
            fail_msg("trial %u: the simulator stops, \"%s\", and the verifier saw nothing", t, d.text);
        }
        both += stops && seen;
        only_verifier += !stops && seen;
        neither += !stops && !seen;
        unbounded += too_long;
        pl_arena_fini(&a);
    }
    print_message("%u changed programs: verifier and simulator refuse %u, the verifier alone %u, neither %u (%u ran for too long)\n", TRIALS, both,
                  only_verifier, neither, unbounded);
    assert_true(both > 40 && only_verifier > 8); /* what the simulator cannot see: undefined registers, lost loads */
    free(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_programs_are_refused),        cmocka_unit_test(every_error_names_its_place),
        cmocka_unit_test(parameters_are_ranges),           cmocka_unit_test(compiled_programs_are_proved),
        cmocka_unit_test(models_of_full_size_are_proved),  cmocka_unit_test(what_the_simulator_stops_at_was_seen),
    };
    pl_arena_init(&arena);
    if (pl_arch_load("small", &small, &d) != PL_OK)
        return 1;
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pl_arena_fini(&arena);
    return rc;
}
