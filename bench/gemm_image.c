/* gemm_image.c - a linear layer as a program that hides its transfers.
 *
 * For every MLEN outputs, their weight tiles are in one half of Matrix SRAM while those of the next MLEN outputs load into the
 * other; all rows of x go against them; the results are stored in the background. x is loaded piece by piece, so that the
 * first rows can begin. When Vector SRAM does not hold x and y at once, rows are taken in passes, and the x of the next pass
 * loads behind the present one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "gemm.h"

#include <string.h>

#include "plena/isa.h"

/* Registers: gp2 passes left, gp3 the present half of Matrix SRAM, gp4 the present half of Vector SRAM, gp6 sets of tiles
 * left, gp7 first output of the set, gp8 where its results go; INT SRAM words 0 and 1: first row of the pass, of the block. */

/* x rows gp10.. in gp11 pieces of Q rows to gp9. */
#define LOAD_X                                                                                                         \
    "  C_LOOP_REG gp12, gp11\n"                                                                                        \
    "  S_ADDI_INT gp1, gp9, 0\n"                                                                                       \
    "  li gp5, 0\n"                                                                                                    \
    "  C_LOOP_START gp13, K / P\n"                                                                                     \
    "  H_LOAD_V gp1, gp10, gp0, gp5, LQ\n"                                                                             \
    "  S_ADD_INT gp1, gp1, gp14\n"                                                                                     \
    "  S_ADDI_INT gp5, gp5, P\n"                                                                                       \
    "  C_LOOP_END gp13\n"                                                                                              \
    "  S_ADDI_INT gp9, gp9, Q * P\n"                                                                                   \
    "  S_ADDI_INT gp10, gp10, Q\n"                                                                                     \
    "  C_LOOP_END gp12\n"

/* The tiles of outputs gp10.. to gp9. Outputs behind the last load as zeros, without traffic. */
#define LOAD_W                                                                                                         \
    "  li gp5, 1\n"                                                                                                    \
    "  li gp11, 0\n"                                                                                                   \
    "  C_LOOP_START gp12, K / P\n"                                                                                     \
    "  H_LOAD_M gp9, gp10, gp5, gp11\n"                                                                                \
    "  S_ADD_INT gp9, gp9, gp15\n"                                                                                     \
    "  S_ADDI_INT gp11, gp11, P\n"                                                                                     \
    "  C_LOOP_END gp12\n"

#define OTHER_HALF                                                                                                     \
    "  li gp9, HALF\n"                                                                                                 \
    "  S_SUB_INT gp9, gp9, gp3\n"

/* All rows of the pass against the present set, stored block by block, and on to the next set. */
#define MULTIPLY                                                                                                       \
    "  S_ADDI_INT gp10, gp4, 0\n"                                                                                      \
    "  S_LD_INT gp11, gp0, 0\n"                                                                                        \
    "  S_ST_INT gp11, gp0, 1\n"                                                                                        \
    "  C_LOOP_START gp9, R / B\n"                                                                                      \
    "  S_ADDI_INT gp11, gp3, 0\n"                                                                                      \
    "  C_LOOP_START gp12, P / B\n"                                                                                     \
    "  S_ADDI_INT gp1, gp10, 0\n"                                                                                      \
    "  S_ADDI_INT gp5, gp11, 0\n"                                                                                      \
    "  C_LOOP_START gp13, K / P\n"                                                                                     \
    "  M_TMM 0, gp1, gp5\n"                                                                                            \
    "  S_ADD_INT gp1, gp1, gp14\n"                                                                                     \
    "  S_ADD_INT gp5, gp5, gp15\n"                                                                                     \
    "  C_LOOP_END gp13\n"                                                                                              \
    "  M_MM_WO gp8, gp0, 0\n"                                                                                          \
    "  S_ADDI_INT gp8, gp8, B\n"                                                                                       \
    "  S_ADDI_INT gp11, gp11, B * P\n"                                                                                 \
    "  C_LOOP_END gp12\n"                                                                                              \
    "  li gp5, P\n"                                                                                                    \
    "  S_SUB_INT gp1, gp8, gp5\n"                                                                                      \
    "  li gp5, 2\n"                                                                                                    \
    "  S_LD_INT gp11, gp0, 1\n"                                                                                        \
    "  H_SAVE_V gp1, gp11, gp5, gp7, LB\n"                                                                             \
    "  S_ADDI_INT gp11, gp11, B\n"                                                                                     \
    "  S_ST_INT gp11, gp0, 1\n"                                                                                        \
    "  S_ADDI_INT gp10, gp10, B * P\n"                                                                                 \
    "  S_ADDI_INT gp8, gp8, B * P - P\n"                                                                               \
    "  C_LOOP_END gp9\n"                                                                                               \
    "  S_ADDI_INT gp7, gp7, P\n"                                                                                       \
    "  li gp5, HALF\n"                                                                                                 \
    "  S_SUB_INT gp3, gp5, gp3\n"

/* Sizes are defined in front of it: R rows of a pass, Q rows of a piece of x, LQ = log2 Q, B = BLEN, LB = log2 B,
 * P = MLEN = VLEN = PITCH, MORE = 1 if there is more than one pass. */
static const char program[] =
    "  .equ CHUNK, R * P\n" /* one chunk of P columns of x or y in Vector SRAM */
    "  .equ HALF, K * P\n"
    "  .equ SET, R * (K + N)\n"
    "  li gp14, CHUNK\n"
    "  li gp15, P * P\n"
    "  li gp9, 0\n"
    "  li gp10, 0\n"
    "  li gp11, 1\n" LOAD_X
    "  li gp9, 0\n"
    "  li gp10, 0\n" LOAD_W
    "  li gp9, Q * P\n"
    "  li gp10, Q\n"
    "  li gp11, R / Q - 1\n" LOAD_X
    "  li gp3, 0\n"
    "  li gp4, 0\n"
    "  C_LOOP_START gp2, M / R\n"
    "  S_LD_INT gp10, gp0, 0\n" /* x of the next pass; behind the last it is zeros and costs nothing */
    "  S_ADDI_INT gp10, gp10, R\n"
    "  li gp9, SET\n"
    "  S_SUB_INT gp9, gp9, gp4\n"
    "  li gp11, MORE * R / Q\n" LOAD_X
    "  li gp8, R * K\n"
    "  S_ADD_INT gp8, gp8, gp4\n"
    "  li gp7, 0\n"
    "  li gp5, N / P - 1\n"
    "  C_LOOP_REG gp6, gp5\n"
    "  S_ADDI_INT gp10, gp7, P\n" OTHER_HALF LOAD_W MULTIPLY
    "  C_LOOP_END gp6\n"
    "  li gp5, 1\n"
    "  S_SUB_INT gp5, gp2, gp5\n"
    "  C_LOOP_REG gp6, gp5\n"    /* if another pass follows: its first set */
    "  li gp10, 0\n" OTHER_HALF LOAD_W
    "  C_EXIT\n"
    "  C_LOOP_END gp6\n" MULTIPLY
    "  S_LD_INT gp5, gp0, 0\n"
    "  S_ADDI_INT gp5, gp5, R\n"
    "  S_ST_INT gp5, gp0, 0\n"
    "  li gp5, MORE * SET\n"
    "  S_SUB_INT gp4, gp5, gp4\n"
    "  C_LOOP_END gp2\n"
    "  S_ST_INT gp0, gp0, 0\n"
    "  C_FENCE\n"
    "  C_HALT\n";

static enum pl_status code(struct gemm *g, struct pl_diag *d)
{
    const struct pl_arch *a = g->arch;
    const uint64_t room = (uint64_t)a->vector_rows * a->vlen / (g->k + g->n);
    uint32_t rows = g->m;
    while (rows > (rows < g->m ? room / 2 : room)) /* more than one pass: two halves */
        rows /= 2;
    if (a->vlen != a->mlen || g->k % a->mlen || g->n % a->mlen || !pl_is_pow2(g->m) || rows < a->blen ||
        a->matrix_tiles < 2 * (g->k / a->mlen))
        return pl_fail(d, PL_EUNSUPPORTED,
                       "machine %s: this program wants vlen = mlen, a divisor of %u and %u, %u rows of x and y in Vector SRAM and %u tiles",
                       a->name, g->n, g->k, a->blen, 2 * (g->k / a->mlen));
    uint32_t piece = rows < 64 ? rows : 64;
    piece = piece < a->blen ? a->blen : piece;
    static const char sizes[] = ".equ M, %u\n.equ N, %u\n.equ K, %u\n.equ R, %u\n.equ Q, %u\n.equ LQ, %u\n"
                                ".equ B, %u\n.equ LB, %u\n.equ P, %u\n.equ MORE, %d\n%s";
    const char *text = pl_arena_printf(&g->arena, sizes, g->m, g->n, g->k, rows, piece, pl_log2(piece), a->blen,
                                       pl_log2(a->blen), a->mlen, rows < g->m, program);
    const struct pl_source src = {"bench gemm", text, strlen(text)};
    struct pl_asm out;
    PL_TRY(pl_asm_text(&g->arena, &src, &out, d));
    PL_TRY(pl_isa_check(out.code, out.n, d));
    g->image.code = out.code;
    g->image.n_code = out.n;
    return PL_OK;
}

static uint64_t place(struct gemm *g, uint64_t bytes)
{
    const uint64_t at = g->image.hbm_bytes;
    g->image.hbm_bytes = pl_round_up(at + bytes, 64);
    return at;
}

static struct pl_desc tensor(struct gemm *g, const char *name, uint32_t rows, uint32_t cols, struct pl_format f)
{
    struct pl_desc t = {.name = name, .rows = rows, .cols = cols, .format = f};
    t.elem_stride = (uint32_t)pl_format_row_bytes(&f, cols);
    t.scale_stride = (uint32_t)pl_format_row_scales(&f, cols);
    t.elem_base = place(g, (uint64_t)rows * t.elem_stride);
    t.scale_base = t.scale_stride ? place(g, (uint64_t)rows * t.scale_stride) : 0;
    return t;
}

static void segments(struct gemm *g, const struct pl_desc *desc, const struct pl_format *bf16)
{
    uint8_t *x = pl_alloc(&g->arena, (size_t)g->m * desc[GEMM_X].elem_stride);
    uint32_t *row = PL_NEW_N(&g->arena, uint32_t, g->k);
    for (size_t i = 0; i < g->m; i++) {
        pl_quantise(bf16, g->x + i * g->k, NULL, g->k, row, NULL);
        pl_pack(16, row, g->k, x + i * desc[GEMM_X].elem_stride);
    }
    const struct pl_desc *w = &desc[GEMM_W];
    struct pl_segment *s = PL_NEW_N(&g->arena, struct pl_segment, 3);
    s[0] = (struct pl_segment){desc[GEMM_X].elem_base, (uint64_t)g->m * desc[GEMM_X].elem_stride, x};
    s[1] = (struct pl_segment){w->elem_base, (uint64_t)g->n * w->elem_stride, g->packed};
    s[2] = (struct pl_segment){w->scale_base, (uint64_t)g->n * w->scale_stride, g->scale};
    g->image.segment = s;
    g->image.n_segment = 3;
}

enum pl_status gemm_image(struct gemm *g, struct pl_diag *d)
{
    const struct pl_arch *a = g->arch;
    const struct pl_format bf16 = {.kind = PL_FORMAT_FLOAT, .elem = PL_BF16, .block = 1};
    g->image = (struct pl_image){.machine = "", .model = "bench gemm", .weight = g->weight, .act = g->act, .kv = g->weight};
    g->image.plan = (struct pl_plan){.vec = a->vector_format.elem, .weight = g->weight, .act = g->act, .kv = g->weight,
                                     .mlen = a->mlen, .blen = a->blen, .hlen = a->hlen, .vlen = a->vlen, .guard = a->guard,
                                     .acc_bits = a->acc_bits, .head_slot = a->hlen, .kv_tile = a->mlen,
                                     .k_tiles = g->k / a->mlen};
    struct pl_desc *desc = PL_NEW_N(&g->arena, struct pl_desc, 3);
    desc[GEMM_X] = tensor(g, "x", g->m, g->k, bf16);
    desc[GEMM_W] = tensor(g, "w", g->n, g->k, g->weight);
    desc[GEMM_Y] = tensor(g, "y", g->m, g->n, bf16);
    g->image.desc = desc;
    g->image.n_desc = 3;
    if (g->x)
        segments(g, desc, &bf16);
    PL_TRY(code(g, d));
    return pl_image_check(&g->image, d);
}
