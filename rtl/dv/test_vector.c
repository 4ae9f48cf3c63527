/* test_vector.c - the vector unit, the mapper and Vector SRAM against the simulator's own functions: random commands, one a cycle where the
 * scoreboard of the timing plane lets them start; every row and register write is compared, value and cycle, while the array, the DMA
 * engines and the write-out use their ports. Built once for each machine: MACHINE and SETTINGS are macros. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_internal.h"
#include SHIM
#include "bits.h"

enum { COMMANDS = 120000, RING = 256, FP_WORDS = 128, MAX_ROWS = 64, MAX_LANES = 64 };

/* What must leave the unit in one cycle. */
struct expected {
    bool row[16], f, g, map, load, out;
    uint32_t at[16], map_row, load_row, out_word, fp, gp, f_bits, g_value;
    uint32_t code[16][MAX_LANES], map_code[MAX_LANES], load_code[MAX_LANES], out_code[MAX_LANES];
    uint64_t out_mask;
    struct { /* reads of the SRAM that answer in this cycle */
        bool array, store, words;
        uint32_t array_code[MAX_LANES], store_code[MAX_LANES], word[16];
    } read;
};
static struct expected ring[RING];
static struct vector *m;
static struct pl_rng rng;
static struct pl_arch arch;
static struct pl_image img;
static struct pl_sim sim;
static uint64_t now, row_done[MAX_ROWS], fp_done[N_FP], gp_done[N_GP], map_free;
static uint32_t mem[MAX_ROWS][MAX_LANES]; /* Vector SRAM as it is in this cycle */
static uint64_t covered[PL_OP_COUNT], met[16];

static uint32_t code_of(float x)
{
    return pl_minifloat_encode(img.plan.vec, x, false);
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static struct expected *in_cycle(uint64_t cyc)
{
    assert_true(cyc - now < RING);
    return &ring[cyc % RING];
}

static unsigned width(void)
{
    return pl_minifloat_bits(img.plan.vec);
}

/* A value of the vector format; exponents near 1 mostly, so that sums and exp have something to do. */
static float random_value(void)
{
    const struct pl_minifloat v = img.plan.vec;
    const uint32_t man = 1u << v.man_bits, fields = 1u << v.exp_bits, sign = (uint32_t)pl_rng_below(&rng, 2) << (width() - 1);
    const unsigned kind = (unsigned)pl_rng_below(&rng, 64);
    uint32_t field = fields / 2 - 6 + (uint32_t)pl_rng_below(&rng, 12);
    if (kind < 8)
        field = 1 + (uint32_t)pl_rng_below(&rng, fields - 2);
    uint32_t code = (field % (fields - 1)) << v.man_bits | (uint32_t)pl_rng_below(&rng, man);
    if (field % (fields - 1) == 0 || kind < 11)
        code = 0;
    else if (kind == 11 && pl_rng_below(&rng, 4) == 0)
        code = (fields - 1) << v.man_bits;
    else if (kind == 12 && pl_rng_below(&rng, 8) == 0)
        return float_of(0x7fc00000);
    return pl_minifloat_decode(v, sign | code);
}

static float random_scalar(void)
{
    static const uint32_t special[] = {0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 1, 0x007fffff, 0x807fc000, 0x007fe000, 0x7f7fffff};
    const unsigned kind = (unsigned)pl_rng_below(&rng, 16);
    if (kind == 0)
        return float_of(special[pl_rng_below(&rng, PL_COUNT(special))]);
    if (kind == 1)
        return float_of((uint32_t)pl_rng_u64(&rng) & 0xbfffffff);
    return float_of((uint32_t)(0x3d000000 + pl_rng_below(&rng, 0x04000000)) | (uint32_t)pl_rng_below(&rng, 2) << 31);
}

/* ---- commands ---- */
static const enum pl_op ops[] = {
    PL_V_ADD_VV, PL_V_ADD_VF, PL_V_SUB_VV, PL_V_SUB_VF, PL_V_MUL_VV, PL_V_MUL_VF, PL_V_MAX_VF, PL_V_MIN_VF, PL_V_EXP_V, PL_V_RECI_V, PL_V_SHFT_V,
    PL_V_SWAP_V, PL_V_LIM_V, PL_V_PS_V, PL_C_HADAMARD_TRANSFORM, PL_V_RED_SUM, PL_V_RED_MAX, PL_V_ARGMAX};

static sim_exec *function_of(enum pl_op op)
{
    switch (op) {
#define INSN(name, opcode, fn, unit, format, effects, doc) case PL_##name: return sim_##name;
#include "plena/isa.def"
#undef INSN
    default: return NULL;
    }
}

static bool is_fp_result(enum pl_op op)
{
    return op == PL_V_RED_SUM || op == PL_V_RED_MAX || op == PL_V_ARGMAX;
}

/* The result port: vector_unit.sv. */
static unsigned port_of(enum pl_op op, uint32_t blocks)
{
    return op == PL_V_MUL_VV || op == PL_V_MUL_VF ? 1 : op == PL_V_EXP_V ? 2 : op == PL_V_RECI_V ? 3 : op == PL_V_PS_V ? 4
         : op == PL_C_HADAMARD_TRANSFORM ? 5 + blocks : 0;
}

static bool mask_counts(enum pl_op op)
{
    return op != PL_V_SHFT_V && op != PL_V_SWAP_V && op != PL_V_LIM_V && op != PL_V_PS_V && op != PL_C_HADAMARD_TRANSFORM && op != PL_V_ARGMAX;
}

static uint32_t random_number(enum pl_op op)
{
    const uint32_t lanes = arch.vlen;
    switch (op) {
    case PL_V_SWAP_V: return 1u << pl_rng_below(&rng, pl_log2(lanes));
    case PL_C_HADAMARD_TRANSFORM: return 1u << pl_rng_below(&rng, pl_log2(lanes) + 1);
    case PL_V_ARGMAX: return (uint32_t)pl_rng_u64(&rng);
    default: return pl_rng_below(&rng, 8) ? (uint32_t)pl_rng_below(&rng, lanes + 3) : (uint32_t)pl_rng_u64(&rng);
    }
}

/* Operand registers: gp1 destination, gp2 and gp3 sources or number, gp4.. of V_ARGMAX; f1..f7. */
static struct pl_insn random_insn(enum pl_op op)
{
    struct pl_insn in = {.op = (uint8_t)op, .rd = 1, .rs1 = 2, .rs2 = 3};
    const bool vv = op == PL_V_ADD_VV || op == PL_V_SUB_VV || op == PL_V_MUL_VV;
    sim.gp[1] = (uint32_t)pl_rng_below(&rng, arch.vector_rows) * arch.vlen;
    sim.gp[2] = (uint32_t)pl_rng_below(&rng, arch.vector_rows) * arch.vlen;
    sim.gp[3] = vv ? (uint32_t)pl_rng_below(&rng, arch.vector_rows) * arch.vlen : random_number(op);
    sim.v_mask = (uint32_t)pl_rng_u64(&rng);
    in.rs3 = mask_counts(op) ? (uint8_t)pl_rng_below(&rng, 2) : 0;
    in.fn = op == PL_V_SUB_VF || op == PL_V_LIM_V ? (uint8_t)pl_rng_below(&rng, 2) : 0;
    if (op == PL_V_ADD_VF || op == PL_V_SUB_VF || op == PL_V_MUL_VF || op == PL_V_MAX_VF || op == PL_V_MIN_VF)
        in.rs2 = (uint8_t)pl_rng_below(&rng, N_FP);
    if (is_fp_result(op))
        in.rd = (uint8_t)(1 + pl_rng_below(&rng, N_FP - 1));
    if (op == PL_V_ARGMAX)
        in.rs3 = (uint8_t)(4 + pl_rng_below(&rng, N_GP - 4));
    return in;
}

/* What the timing plane waits for: registers and rows written, writes of the same row in order. */
static bool may_start(const struct pl_insn *in, const struct touch *t, uint64_t result_cyc)
{
    const enum pl_op op = (enum pl_op)in->op;
    for (unsigned i = 0; i < t->n_read; i++)
        if (row_done[t->read[i].first] > now)
            return false;
    if (t->write.count && row_done[t->write.first] >= now + result_cyc)
        return false;
    if (is_fp_result(op) && fp_done[in->rd] > now)
        return false;
    return !(op == PL_V_ARGMAX && gp_done[in->rs3] > now) && !(pl_isa_info(op)->effects & PL_R_FP && fp_done[in->rs2 % N_FP] > now);
}

static void expect_row(uint64_t cyc, unsigned port, uint32_t row)
{
    struct expected *x = in_cycle(cyc);
    for (unsigned k = 0; k < 16; k++)
        met[port] += x->row[k];
    assert_false(x->row[port]);
    x->row[port] = true;
    x->at[port] = row;
    for (uint32_t l = 0; l < arch.vlen; l++)
        x->code[port][l] = code_of(sim.vsram[row * arch.vlen + l]);
    row_done[row] = cyc + 1;
}

static void expect_registers(const struct pl_insn *in, uint64_t cyc, const uint32_t *gp_before)
{
    struct expected *x = in_cycle(cyc);
    x->f = true;
    x->fp = in->rd;
    x->f_bits = bits_of(sim.fp[in->rd]);
    fp_done[in->rd] = cyc + 1;
    if (in->op != PL_V_ARGMAX)
        return;
    gp_done[in->rs3] = cyc + 1;
    x->g = sim.gp[in->rs3] != gp_before[in->rs3];
    x->gp = in->rs3;
    x->g_value = sim.gp[in->rs3];
}

static void give_command(const struct pl_insn *in, const float *fp_before, uint32_t number)
{
    *vector_cmd_valid_i(m) = 1;
    *vector_op_i(m) = in->op;
    *vector_order_i(m) = in->fn != 0;
    *vector_mask_i(m) = (__typeof__(*vector_mask_i(m)))((in->rs3 && in->op != PL_V_ARGMAX ? sim.v_mask : UINT32_MAX) & ((1u << (arch.vlen / arch.hlen)) - 1));
    *vector_row_d_i(m) = (__typeof__(*vector_row_d_i(m)))(sim.gp[1] / arch.vlen);
    *vector_row_a_i(m) = (__typeof__(*vector_row_a_i(m)))(sim.gp[2] / arch.vlen);
    *vector_row_b_i(m) = (__typeof__(*vector_row_b_i(m)))(number / arch.vlen % arch.vector_rows);
    *vector_scalar_i(m) = bits_of(fp_before[is_fp_result((enum pl_op)in->op) ? in->rd : in->rs2 % N_FP]);
    *vector_number_i(m) = number;
    *vector_fp_i(m) = in->rd & 7;
    *vector_gp_i(m) = in->rs3;
}

/* Is an operation of this kind allowed now? Then the simulator executes it at once, and its writes are expected later. */
static bool try_command(void)
{
    const enum pl_op op = ops[pl_rng_below(&rng, PL_COUNT(ops))];
    struct pl_insn in = random_insn(op);
    struct touch t;
    const uint32_t d = sim.gp[1] / arch.vlen;
    float fp[N_FP], row[MAX_LANES];
    uint32_t gp[N_GP];
    memcpy(fp, sim.fp, sizeof fp);
    memcpy(gp, sim.gp, sizeof gp);
    memcpy(row, sim.vsram + d * arch.vlen, arch.vlen * sizeof *row);
    touch_nothing(&t);
    assert_int_equal(function_of(op)(&sim, &in, &t), PL_OK);
    const struct pl_latency lat = pl_arch_latency(&arch, t.class, t.blocks);
    if (!may_start(&in, &t, lat.result_cyc)) {
        memcpy(sim.fp, fp, sizeof fp);
        memcpy(sim.gp, gp, sizeof gp);
        memcpy(sim.vsram + d * arch.vlen, row, arch.vlen * sizeof *row);
        return false;
    }
    give_command(&in, fp, gp[3]);
    covered[op]++;
    if (is_fp_result(op))
        expect_registers(&in, now + lat.result_cyc - 1, gp);
    else
        expect_row(now + lat.result_cyc - 1, port_of(op, t.blocks), d);
    return true;
}

/* ---- the other ports ---- */
static void try_map(void)
{
    const uint32_t row = (uint32_t)pl_rng_below(&rng, arch.vector_rows), at = (uint32_t)pl_rng_below(&rng, FP_WORDS - MAX_LANES - 16);
    const struct pl_latency lat = pl_arch_latency(&arch, PL_OPC_SMAP, 1);
    struct touch t;
    touch_nothing(&t);
    if (map_free > now || row_done[row] >= now + lat.result_cyc)
        return;
    sim.gp[1] = row * arch.vlen;
    sim.gp[2] = at;
    assert_int_equal(sim_S_MAP_V_FP(&sim, &(struct pl_insn){.op = PL_S_MAP_V_FP, .rd = 1, .rs1 = 2}, &t), PL_OK);
    map_free = now + lat.issue_cyc;
    struct expected *x = in_cycle(now + lat.result_cyc - 1);
    x->map = true;
    x->map_row = row;
    for (uint32_t l = 0; l < arch.vlen; l++)
        x->map_code[l] = code_of(sim.vsram[row * arch.vlen + l]);
    row_done[row] = now + lat.result_cyc;
    *vector_map_valid_i(m) = 1;
    *vector_map_row_i(m) = (__typeof__(*vector_map_row_i(m)))row;
    *vector_map_addr_i(m) = (__typeof__(*vector_map_addr_i(m)))at;
}

/* A load of a row, or a write-out of some lanes of a word, in this cycle. */
static void try_write(bool load)
{
    const uint32_t pitch = load ? arch.vlen : sim.pitch, n = arch.vector_rows * arch.vlen / pitch, at = (uint32_t)pl_rng_below(&rng, n);
    const uint32_t rows = pitch / arch.vlen, first = at * rows;
    struct expected *x = in_cycle(now);
    for (uint32_t r = first; r < first + rows; r++)
        if (row_done[r] >= now + 1)
            return;
    x->out_mask = load ? UINT64_MAX : pl_rng_u64(&rng) & pl_rng_u64(&rng);
    const bool none_above_zero = pl_rng_below(&rng, 8) == 0; /* the largest is a zero of either sign */
    for (uint32_t l = 0; l < pitch; l++) {
        const float v = none_above_zero ? (pl_rng_below(&rng, 4) ? -0.0f : 0.0f) : random_value();
        if (x->out_mask >> l & 1)
            sim.vsram[first * arch.vlen + l] = v;
        put_bits(load ? vector_load_data_i(m) : vector_out_data_i(m), l, width(), code_of(v));
        (load ? x->load_code : x->out_code)[l] = code_of(v);
        if (!load)
            put_bits(vector_out_mask_i(m), l, 1, x->out_mask >> l & 1);
    }
    for (uint32_t r = first; r < first + rows; r++)
        row_done[r] = now + 1;
    *(load ? &x->load : &x->out) = true;
    *(load ? &x->load_row : &x->out_word) = at;
    if (load) {
        *vector_load_wr_i(m) = 1;
        *vector_load_row_i(m) = (__typeof__(*vector_load_row_i(m)))at;
    } else {
        *vector_out_wr_i(m) = 1;
        *vector_out_word_i(m) = (__typeof__(*vector_out_word_i(m)))at;
    }
}

static void try_reads(void)
{
    struct expected *x = in_cycle(now + arch.lat_sram);
    const uint32_t row = (uint32_t)pl_rng_below(&rng, arch.vector_rows), rows = sim.pitch / arch.vlen,
                   word = (uint32_t)pl_rng_below(&rng, arch.vector_rows / rows);
    x->read.array = x->read.store = true;
    memcpy(x->read.store_code, mem[row], sizeof mem[row]);
    for (uint32_t l = 0; l < sim.pitch; l++)
        x->read.array_code[l] = mem[word * rows + l / arch.vlen][l % arch.vlen];
    *vector_array_rd_i(m) = *vector_store_rd_i(m) = 1;
    *vector_array_word_i(m) = (__typeof__(*vector_array_word_i(m)))word;
    *vector_store_row_i(m) = (__typeof__(*vector_store_row_i(m)))row;
}

/* ---- what the RTL did in this cycle ---- */
static void check_codes(const char *what, unsigned k, const void *port, size_t first, const uint32_t *code, uint32_t lanes)
{
    for (uint32_t l = 0; l < lanes; l++) {
        const uint32_t got = take_bits(port, first + l, width());
        if (got != code[l])
            fail_msg("cycle %llu: %s %u lane %u: rtl %x, sim %x", (unsigned long long)now, what, k, l, got, code[l]);
    }
}

static void check_results(const struct expected *x)
{
    const unsigned ports = 6 + pl_log2(arch.vlen), row_bits = pl_log2(arch.vector_rows);
    for (unsigned k = 0; k < ports; k++) {
        if ((*vector_wr_o(m) >> k & 1) != x->row[k])
            fail_msg("cycle %llu: port %u: rtl writes %u, sim %u", (unsigned long long)now, k, *vector_wr_o(m) >> k & 1, x->row[k]);
        if (!x->row[k])
            continue;
        assert_int_equal(take_bits(vector_wr_row_o(m), k, row_bits), x->at[k]);
        check_codes("port", k, vector_wr_data_o(m), k * arch.vlen, x->code[k], arch.vlen);
        memcpy(mem[x->at[k]], x->code[k], sizeof mem[0]);
    }
    assert_int_equal(*vector_fp_wr_o(m), x->f);
    assert_int_equal(*vector_gp_wr_o(m), x->g);
    if (x->f && (*vector_fp_o(m) != x->fp || *vector_fp_data_o(m) != x->f_bits))
        fail_msg("cycle %llu: f%u = %x, sim f%u = %x", (unsigned long long)now, *vector_fp_o(m), *vector_fp_data_o(m), x->fp, x->f_bits);
    if (x->g && (*vector_gp_o(m) != x->gp || *vector_gp_data_o(m) != x->g_value))
        fail_msg("cycle %llu: gp%u = %x, sim gp%u = %x", (unsigned long long)now, *vector_gp_o(m), *vector_gp_data_o(m), x->gp, x->g_value);
}

static void check_rest(const struct expected *x)
{
    assert_int_equal(*vector_map_wr_o(m), x->map);
    if (x->map) {
        assert_int_equal(*vector_map_wr_row_o(m), x->map_row);
        check_codes("mapped row", x->map_row, vector_map_wr_data_o(m), 0, x->map_code, arch.vlen);
        memcpy(mem[x->map_row], x->map_code, sizeof mem[0]);
    }
    if (x->load)
        memcpy(mem[x->load_row], x->load_code, sizeof mem[0]);
    for (uint32_t l = 0; x->out && l < sim.pitch; l++)
        if (x->out_mask >> l & 1)
            mem[x->out_word * (sim.pitch / arch.vlen) + l / arch.vlen][l % arch.vlen] = x->out_code[l];
    if (x->read.array)
        check_codes("word of the array", 0, vector_array_data_o(m), 0, x->read.array_code, sim.pitch);
    if (x->read.store)
        check_codes("row of the store engine", 0, vector_store_data_o(m), 0, x->read.store_code, arch.vlen);
}

static void cycle(bool commands)
{
    struct expected *x = &ring[now % RING];
    *vector_cmd_valid_i(m) = *vector_map_valid_i(m) = *vector_load_wr_i(m) = *vector_out_wr_i(m) = 0;
    if (commands && pl_rng_below(&rng, 16))
        for (unsigned tries = 0; tries < 8 && !try_command(); tries++)
            ;
    if (commands && pl_rng_below(&rng, 8) == 0)
        try_map();
    if (pl_rng_below(&rng, 4) == 0)
        try_write(true);
    if (pl_rng_below(&rng, 8) == 0)
        try_write(false);
    try_reads();
    for (unsigned k = 0; x->read.words && k < 16; k++)
        vector_map_words_i(m)[k] = x->read.word[k];
    *vector_clk_i(m) = 0;
    vector_eval(m);
    if (*vector_map_rd_o(m)) {
        struct expected *y = in_cycle(now + arch.lat_sram);
        y->read.words = true;
        for (unsigned k = 0; k < 16; k++)
            y->read.word[k] = bits_of(sim.fpmem[*vector_map_addr_o(m) + k]);
    }
    check_results(x);
    check_rest(x);
    *x = (struct expected){0};
    *vector_clk_i(m) = 1;
    vector_eval(m);
    now++;
}

static void set_up(void)
{
    struct pl_diag d = {0};
    char *settings = strdup(SETTINGS), *save = NULL;
    if (pl_arch_load(MACHINE, &arch, &d) != PL_OK)
        fail_msg("%s", d.text);
    for (char *s = strtok_r(settings, " ", &save); s; s = strtok_r(NULL, " ", &save))
        if (pl_arch_set(&arch, s, &d) != PL_OK)
            fail_msg("%s", d.text);
    free(settings);
    assert_int_equal(pl_arch_check(&arch, &d), PL_OK);
    assert_true(arch.vector_rows <= MAX_ROWS && arch.vlen <= MAX_LANES);
    img.plan.vec = arch.vector_format.elem;
    sim = (struct pl_sim){.arch = &arch, .img = &img, .opt = {.functional = true}, .pitch = pl_arch_pitch(&arch)};
    sim.vsram = calloc((size_t)arch.vector_rows * arch.vlen, sizeof *sim.vsram);
    sim.row_version = calloc(arch.vector_rows, sizeof *sim.row_version);
    sim.fpmem = calloc(arch.fp_words, sizeof *sim.fpmem);
    pl_rng_init(&rng, 12);
    for (unsigned i = 0; i < FP_WORDS; i++)
        sim.fpmem[i] = random_scalar();
    for (unsigned i = 1; i < N_FP; i++)
        sim.fp[i] = random_scalar();
}

static void load_rows(void)
{
    *vector_rst_ni(m) = 0;
    *vector_clk_i(m) = 0;
    vector_eval(m);
    *vector_rst_ni(m) = 1;
    for (uint32_t r = 0; r < arch.vector_rows; r++) {
        for (uint32_t l = 0; l < arch.vlen; l++) {
            sim.vsram[r * arch.vlen + l] = random_value();
            mem[r][l] = code_of(sim.vsram[r * arch.vlen + l]);
            put_bits(vector_load_data_i(m), l, width(), mem[r][l]);
        }
        *vector_load_wr_i(m) = 1;
        *vector_load_row_i(m) = (__typeof__(*vector_load_row_i(m)))r;
        *vector_clk_i(m) = 0;
        vector_eval(m);
        *vector_clk_i(m) = 1;
        vector_eval(m);
    }
}

static void test_commands(void **state)
{
    (void)state;
    uint64_t n = 0, together = 0;
    set_up();
    load_rows();
    while (n < COMMANDS) {
        for (unsigned k = 0; k < 64; k++)
            cycle(true);
        if (pl_rng_below(&rng, 64) == 0) /* scalars do not all drift to NaN */
            for (unsigned i = 1; i < N_FP; i++)
                if (fp_done[i] <= now)
                    sim.fp[i] = random_scalar();
        n = 0;
        for (unsigned i = 0; i < PL_COUNT(ops); i++)
            n += covered[ops[i]];
    }
    for (unsigned k = 0; k < RING; k++)
        cycle(false);
    for (unsigned i = 0; i < PL_COUNT(ops); i++)
        assert_true(covered[ops[i]] > COMMANDS / 100);
    for (unsigned k = 0; k < 16; k++)
        together += met[k];
    print_message("%llu commands in %llu cycles; %llu results left together with another\n", (unsigned long long)n, (unsigned long long)now,
                  (unsigned long long)together);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_commands)};
    m = vector_new();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vector_free(m);
    return failed;
}
