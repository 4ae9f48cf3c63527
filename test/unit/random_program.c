/* random_program.c - the generator.
 *
 * Registers have roles, so that every address is legal by construction: gp1-gp3 rows of Vector SRAM, gp4 and gp5 columns
 * of loaded tiles, gp6 and gp7 numbers, gp8-gp11 loop counters, gp12-gp15 operands of transfers. Pointers are set when a
 * loop begins, and may move by whole strides at its end. Products of one kind are summed, then written out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "random_program.h"

enum { ROWS = 64, TILES = 4, DEPTH = 4, WEIGHT = 0, VALUES = 1, RESULT = 2 };

struct gen {
    struct pl_rng r;
    const struct pl_arch *arch;
    struct pl_buf code;
    uint64_t passes; /* of the loops around */
    uint64_t budget; /* dynamic instructions left */
    unsigned depth;
    uint32_t pitch;
};

static uint32_t below(struct gen *g, uint32_t n)
{
    return (uint32_t)pl_rng_below(&g->r, n);
}

static void put(struct gen *g, struct pl_insn in)
{
    uint32_t word;
    if (pl_isa_encode(&in, &word, NULL) != PL_OK)
        abort();
    pl_buf_put(&g->code, &word, sizeof word);
    g->budget -= g->budget < g->passes ? g->budget : g->passes;
}
#define PUT(g, opcode, ...) put(g, (struct pl_insn){.op = PL_##opcode, __VA_ARGS__})

static void li(struct gen *g, uint8_t rd, uint32_t v)
{
    if (v < 1u << 18) {
        PUT(g, S_ADDI_INT, .rd = rd, .imm = v);
        return;
    }
    PUT(g, S_LUI_INT, .rd = rd, .imm = v >> 12);
    PUT(g, S_ADDI_INT, .rd = rd, .rs1 = rd, .imm = v & 0xfff);
}

static void set_pointers(struct gen *g)
{
    const uint32_t mlen = g->arch->mlen, blen = g->arch->blen;
    for (uint8_t r = 1; r <= 3; r++)
        li(g, r, below(g, ROWS) * g->pitch);
    for (uint8_t r = 4; r <= 5; r++)
        li(g, r, below(g, TILES) * mlen * mlen + below(g, mlen / blen) * blen * mlen);
    PUT(g, S_ADDI_INT, .rd = (uint8_t)(6 + below(g, 2)), .rs1 = 6, .imm = below(g, 1000));
}

static uint8_t row(struct gen *g)
{
    return (uint8_t)(1 + below(g, 3));
}

static void vector_statement(struct gen *g)
{
    static const enum pl_op two[] = {PL_V_ADD_VV, PL_V_SUB_VV, PL_V_MUL_VV};
    static const enum pl_op scalar[] = {PL_V_ADD_VF, PL_V_SUB_VF, PL_V_MUL_VF, PL_V_MAX_VF, PL_V_MIN_VF};
    static const enum pl_op one[] = {PL_V_EXP_V, PL_V_RECI_V};
    const uint8_t f = (uint8_t)below(g, 8), mask = (uint8_t)below(g, 2);
    switch (below(g, 6)) {
    case 0:
        put(g, (struct pl_insn){.op = (uint8_t)two[below(g, 3)], .rd = row(g), .rs1 = row(g), .rs2 = row(g), .rs3 = mask});
        break;
    case 1:
        put(g, (struct pl_insn){.op = (uint8_t)scalar[below(g, 5)], .rd = row(g), .rs1 = row(g), .rs2 = f, .rs3 = mask});
        break;
    case 2:
        put(g, (struct pl_insn){.op = (uint8_t)one[below(g, 2)], .rd = row(g), .rs1 = row(g), .rs3 = mask});
        break;
    case 3:
        put(g, (struct pl_insn){.op = below(g, 2) ? PL_V_RED_SUM : PL_V_RED_MAX, .rd = f, .rs1 = row(g)});
        break;
    case 4:
        put(g, (struct pl_insn){.op = below(g, 2) ? PL_V_LIM_V : PL_V_SHFT_V, .rd = row(g), .rs1 = row(g), .rs2 = 6});
        break;
    default:
        li(g, 12, 1u << below(g, pl_log2(g->arch->vlen)));
        put(g, (struct pl_insn){.op = below(g, 2) ? PL_V_SWAP_V : PL_C_HADAMARD_TRANSFORM, .rd = row(g), .rs1 = row(g), .rs2 = 12});
    }
}

/* The best of a row's first lanes, into words that nothing else uses. */
static void route_statement(struct gen *g)
{
    const uint32_t group = 1 + below(g, 4), groups = 1 + below(g, g->arch->vlen / group), top = 1 + below(g, groups);
    const uint32_t most = group * top < 8 ? group * top : 8, k = 1 + below(g, most), set[5] = {group * groups, k, groups, top, 1 + below(g, group)};
    const uint8_t from = row(g);
    for (unsigned i = 0; i < 5; i++) {
        li(g, 12, set[i]);
        PUT(g, S_ST_INT, .rd = 12, .imm = 70 + i);
    }
    li(g, 12, 80);
    li(g, 13, 70);
    li(g, 14, k);
    PUT(g, V_ROUTE, .rd = 12, .rs1 = from, .rs2 = 13);
    PUT(g, V_PICK, .rd = 12, .rs1 = from, .rs2 = 12, .rs3 = 14);
}

static void matrix_statement(struct gen *g)
{
    const bool transposed = below(g, 2), single = below(g, 4) == 0;
    const uint8_t tile = (uint8_t)(4 + below(g, 2));
    const enum pl_op op = single ? (transposed ? PL_M_TMV : PL_M_MV) : transposed ? PL_M_TMM : PL_M_MM;
    for (uint32_t k = 1 + below(g, 4); k > 0; k--)
        put(g, (struct pl_insn){.op = (uint8_t)op, .rs1 = op == PL_M_TMM ? row(g) : tile, .rs2 = op == PL_M_TMM ? tile : row(g)});
    put(g, (struct pl_insn){.op = single ? PL_M_MV_WO : PL_M_MM_WO, .rd = row(g), .imm = below(g, g->arch->mlen / g->arch->blen) * g->arch->blen});
}

static void scalar_statement(struct gen *g)
{
    static const enum pl_op two[] = {PL_S_ADD_FP, PL_S_SUB_FP, PL_S_MAX_FP, PL_S_MUL_FP};
    static const enum pl_op one[] = {PL_S_EXP_FP, PL_S_RECI_FP, PL_S_SQRT_FP};
    const uint8_t a = (uint8_t)below(g, 8), b = (uint8_t)below(g, 8), c = (uint8_t)below(g, 8);
    switch (below(g, 6)) {
    case 0:
        put(g, (struct pl_insn){.op = (uint8_t)two[below(g, 4)], .rd = a, .rs1 = b, .rs2 = c});
        break;
    case 1:
        put(g, (struct pl_insn){.op = (uint8_t)one[below(g, 3)], .rd = a, .rs1 = b});
        break;
    case 2:
        put(g, (struct pl_insn){.op = below(g, 2) ? PL_S_LD_FP : PL_S_ST_FP, .rd = a, .imm = below(g, 64)});
        break;
    case 3:
        put(g, (struct pl_insn){.op = below(g, 2) ? PL_S_LD_INT : PL_S_ST_INT, .rd = 7, .imm = below(g, 64)});
        break;
    case 4:
        put(g, (struct pl_insn){.op = below(g, 2) ? PL_S_ADD_INT : PL_S_MUL_INT, .rd = 6, .rs1 = 6, .rs2 = 7});
        break;
    default:
        PUT(g, C_SET_V_MASK_REG, .rd = 6);
    }
}

static void transfer_statement(struct gen *g)
{
    const uint32_t mlen = g->arch->mlen;
    switch (below(g, 3)) {
    case 0:
        li(g, 12, below(g, TILES) * mlen * mlen);
        li(g, 13, below(g, 200));
        li(g, 14, WEIGHT);
        li(g, 15, below(g, 3) * mlen);
        PUT(g, H_LOAD_M, .rd = 12, .rs1 = 13, .rs2 = 14, .rs3 = 15);
        break;
    case 1:
        li(g, 13, below(g, 60));
        li(g, 14, VALUES);
        PUT(g, H_LOAD_V, .rd = row(g), .rs1 = 13, .rs2 = 14, .rs3 = 0, .fn = (uint8_t)below(g, 3));
        break;
    default:
        li(g, 13, below(g, 60));
        li(g, 14, RESULT);
        PUT(g, H_SAVE_V, .rd = row(g), .rs1 = 13, .rs2 = 14, .rs3 = 0, .fn = (uint8_t)below(g, 3));
        if (below(g, 4) == 0)
            PUT(g, C_FENCE, .rd = 0);
    }
}

static void statements(struct gen *g, uint32_t n);

static void loop_statement(struct gen *g)
{
    if (g->depth == DEPTH || g->passes * 64 > g->budget) {
        scalar_statement(g);
        return;
    }
    const uint8_t counter = (uint8_t)(8 + g->depth);
    const uint32_t trips = below(g, 3) == 0 ? 1 + below(g, 4) : 1 + below(g, 60);
    const bool by_register = below(g, 4) == 0;
    set_pointers(g);
    if (by_register) {
        li(g, 12, trips);
        PUT(g, C_LOOP_REG, .rd = counter, .rs1 = 12);
    } else {
        PUT(g, C_LOOP_START, .rd = counter, .imm = trips);
    }
    g->passes *= trips;
    g->depth++;
    statements(g, 1 + below(g, 6));
    for (uint8_t r = 1; r <= 3; r++) /* pointers move on by 0, 1 or 2 rows */
        if (below(g, 2))
            PUT(g, S_ADDI_INT, .rd = r, .rs1 = r, .imm = (1 + below(g, 2)) * g->pitch);
    if (below(g, 4) == 0)
        PUT(g, S_ADDI_INT, .rd = 6, .rs1 = 6, .imm = below(g, 9));
    PUT(g, C_LOOP_END, .rd = counter);
    g->depth--;
    g->passes /= trips;
    set_pointers(g); /* an inner loop has moved them */
}

static void statements(struct gen *g, uint32_t n)
{
    for (; n > 0 && g->budget > g->passes * 8; n--)
        switch (below(g, 10)) {
        case 0: case 1: case 2:
            vector_statement(g);
            break;
        case 3: case 4: case 5:
            matrix_statement(g);
            break;
        case 6: case 7:
            if (below(g, 12) == 0)
                route_statement(g);
            else
                scalar_statement(g);
            break;
        case 8:
            if (below(g, 3) == 0)
                transfer_statement(g);
            break;
        default:
            loop_statement(g);
        }
}

static void tensors(struct pl_arena *a, struct gen *g, struct pl_image *out)
{
    const uint32_t mlen = g->arch->mlen, vlen = g->arch->vlen;
    struct pl_format f[3];
    pl_format_parse("mxint8:8", &f[0], NULL);
    f[1] = pl_format_resolve((struct pl_format){0}, g->arch->vector_format.elem);
    pl_format_parse("mxfp8_e4m3:8", &f[2], NULL);
    struct pl_desc *d = PL_NEW_N(a, struct pl_desc, 3);
    static const char *const name[] = {"weight", "values", "result"};
    uint64_t at = 0;
    for (unsigned i = 0; i < 3; i++) {
        const uint32_t cols = i ? vlen : 3 * mlen - 8, rows = i ? 64 : 200 + mlen;
        const size_t elem = pl_format_row_bytes(&f[i], cols), scale = pl_format_row_scales(&f[i], cols);
        d[i] = (struct pl_desc){.name = name[i], .elem_base = at, .rows = rows, .cols = cols, .elem_stride = (uint32_t)elem,
                                .scale_stride = (uint32_t)scale, .format = f[i]};
        at = pl_round_up(at + rows * elem, 64);
        d[i].scale_base = scale ? at : 0;
        at = pl_round_up(at + rows * scale, 64);
    }
    uint8_t *data = pl_alloc(a, at);
    for (uint64_t i = 0; i < at; i++)
        data[i] = (uint8_t)pl_rng_u64(&g->r);
    for (uint32_t i = 0; i < d[0].rows * d[0].scale_stride; i++) /* scales near one: sums stay numbers for a while */
        data[d[0].scale_base + i] = (uint8_t)(120 + below(g, 8));
    struct pl_segment *s = PL_NEW(a, struct pl_segment);
    *s = (struct pl_segment){0, at, data};
    out->desc = d;
    out->n_desc = 3;
    out->segment = s;
    out->n_segment = 1;
    out->hbm_bytes = at;
    out->weight = f[0];
    out->kv = f[0];
    pl_format_parse("mxint8:8", &out->act, NULL);
}

void random_program(struct pl_arena *a, const struct pl_arch *arch, uint64_t seed, uint64_t budget, struct pl_image *out)
{
    struct gen g = {.arch = arch, .passes = 1, .budget = budget, .pitch = pl_arch_pitch(arch)};
    pl_rng_init(&g.r, seed);
    pl_buf_init(&g.code);
    *out = (struct pl_image){.machine = "", .model = "random program"};
    tensors(a, &g, out);
    out->plan = (struct pl_plan){.vec = arch->vector_format.elem, .weight = out->weight, .act = out->act, .kv = out->kv, .mlen = arch->mlen,
                                 .blen = arch->blen, .hlen = arch->hlen, .vlen = arch->vlen, .guard = arch->guard,
                                 .acc_bits = arch->acc_bits, .head_slot = arch->hlen, .kv_tile = g.pitch, .k_tiles = 1};
    for (uint32_t t = 0; t < TILES; t++) {
        li(&g, 12, t * arch->mlen * arch->mlen);
        li(&g, 13, below(&g, 200));
        PUT(&g, H_LOAD_M, .rd = 12, .rs1 = 13, .rs2 = 0, .rs3 = 0);
    }
    set_pointers(&g);
    while (g.budget > 64)
        statements(&g, 8);
    PUT(&g, C_HALT, .rd = 0);
    out->n_code = g.code.len / sizeof(uint32_t);
    uint32_t *code = PL_NEW_N(a, uint32_t, out->n_code);
    memcpy(code, g.code.data, g.code.len);
    out->code = code;
    struct pl_op_range *op = PL_NEW_N(a, struct pl_op_range, 2);
    op[0] = (struct pl_op_range){0, (uint32_t)(out->n_code / 2), "first half"};
    op[1] = (struct pl_op_range){(uint32_t)(out->n_code / 2), (uint32_t)out->n_code, "second half"};
    out->op = op;
    out->n_op = 2;
    float *fp = PL_NEW_N(a, float, 64);
    for (unsigned i = 0; i < 64; i++)
        fp[i] = (float)(pl_rng_double(&g.r) - 0.5);
    out->fp = fp;
    out->n_fp = 64;
    pl_buf_fini(&g.code);
}
