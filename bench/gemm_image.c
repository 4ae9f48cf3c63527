/* gemm_image.c - a linear layer as a program: x to Vector SRAM, then for every MLEN outputs their weight tiles to Matrix
 * SRAM and all rows against them. Rows of x are taken in passes when Vector SRAM does not hold x and y at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "gemm.h"
#include "plena/isa.h"

/* Sizes are defined in front of it: R rows of a pass, L = log2 R, B = BLEN, P = MLEN = VLEN = PITCH. */
static const char program[] =
    "        .equ CHUNK, R * P\n"        /* one chunk of P columns of x or y in Vector SRAM */
    "        .equ TILE, P * P\n"
    "        .equ Y, R * K\n"
    "        li gp14, CHUNK\n"
    "        li gp15, TILE\n"
    "        li gp1, 0\n"                /* first row of the pass */
    "        C_LOOP_START gp2, M / R\n"
    "        li gp3, 0\n"
    "        li gp4, 0\n"
    "        C_LOOP_START gp6, K / P\n"
    "        H_LOAD_V gp3, gp1, gp0, gp4, L\n"
    "        S_ADD_INT gp3, gp3, gp14\n"
    "        S_ADDI_INT gp4, gp4, P\n"
    "        C_LOOP_END gp6\n"
    "        li gp5, 1\n"                /* tensor w */
    "        li gp7, 0\n"                /* first output */
    "        li gp8, Y\n"
    "        C_LOOP_START gp6, N / P\n"
    "        li gp3, 0\n"
    "        li gp4, 0\n"
    "        C_LOOP_START gp9, K / P\n"
    "        H_LOAD_M gp3, gp7, gp5, gp4\n"
    "        S_ADD_INT gp3, gp3, gp15\n"
    "        S_ADDI_INT gp4, gp4, P\n"
    "        C_LOOP_END gp9\n"
    "        li gp10, 0\n"               /* first of BLEN rows of x */
    "        C_LOOP_START gp9, R / B\n"
    "        li gp11, 0\n"               /* first of BLEN rows of the tiles */
    "        C_LOOP_START gp12, P / B\n"
    "        S_ADDI_INT gp3, gp10, 0\n"
    "        S_ADDI_INT gp4, gp11, 0\n"
    "        C_LOOP_START gp13, K / P\n"
    "        M_TMM 0, gp3, gp4\n"
    "        S_ADD_INT gp3, gp3, gp14\n"
    "        S_ADD_INT gp4, gp4, gp15\n"
    "        C_LOOP_END gp13\n"
    "        M_MM_WO gp8, gp0, 0\n"
    "        S_ADDI_INT gp8, gp8, B\n"
    "        S_ADDI_INT gp11, gp11, B * P\n"
    "        C_LOOP_END gp12\n"
    "        S_ADDI_INT gp10, gp10, B * P\n"
    "        S_ADDI_INT gp8, gp8, B * P - P\n"
    "        C_LOOP_END gp9\n"
    "        S_ADDI_INT gp7, gp7, P\n"
    "        C_LOOP_END gp6\n"
    "        li gp3, Y\n"
    "        li gp4, 0\n"
    "        li gp5, 2\n"                /* tensor y */
    "        C_LOOP_START gp6, N / P\n"
    "        H_SAVE_V gp3, gp1, gp5, gp4, L\n"
    "        S_ADD_INT gp3, gp3, gp14\n"
    "        S_ADDI_INT gp4, gp4, P\n"
    "        C_LOOP_END gp6\n"
    "        C_FENCE\n"
    "        S_ADDI_INT gp1, gp1, R\n"
    "        C_LOOP_END gp2\n"
    "        C_HALT\n";

static enum pl_status code(struct gemm *g, struct pl_diag *d)
{
    const struct pl_arch *a = g->arch;
    const uint64_t room = (uint64_t)a->vector_rows * a->vlen / (GEMM_K + GEMM_N);
    uint32_t rows = GEMM_M;
    while (rows > room)
        rows /= 2;
    if (a->vlen != a->mlen || a->mlen > GEMM_K || rows < a->blen || a->matrix_tiles < GEMM_K / a->mlen)
        return pl_fail(d, PL_EUNSUPPORTED,
                       "machine %s: bench gemm wants vlen = mlen <= %d, %u rows of x and y in Vector SRAM and %u tiles",
                       a->name, GEMM_K, a->blen, GEMM_K / a->mlen);
    static const char sizes[] =
        ".equ M, %d\n.equ N, %d\n.equ K, %d\n.equ R, %u\n.equ L, %u\n.equ B, %u\n.equ P, %u\n%s";
    const char *text = pl_arena_printf(&g->arena, sizes, GEMM_M, GEMM_N, GEMM_K, rows, pl_log2(rows), a->blen, a->mlen, program);
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
    uint8_t *x = pl_alloc(&g->arena, (size_t)GEMM_M * desc[GEMM_X].elem_stride);
    uint32_t row[GEMM_K];
    for (size_t i = 0; i < GEMM_M; i++) {
        pl_quantise(bf16, g->x + i * GEMM_K, NULL, GEMM_K, row, NULL);
        pl_pack(16, row, GEMM_K, x + i * desc[GEMM_X].elem_stride);
    }
    const struct pl_desc *w = &desc[GEMM_W];
    struct pl_segment *s = PL_NEW_N(&g->arena, struct pl_segment, 3);
    s[0] = (struct pl_segment){desc[GEMM_X].elem_base, (uint64_t)GEMM_M * desc[GEMM_X].elem_stride, x};
    s[1] = (struct pl_segment){w->elem_base, (uint64_t)GEMM_N * w->elem_stride, g->packed};
    s[2] = (struct pl_segment){w->scale_base, (uint64_t)GEMM_N * w->scale_stride, g->scale};
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
                                     .k_tiles = GEMM_K / a->mlen};
    struct pl_desc *desc = PL_NEW_N(&g->arena, struct pl_desc, 3);
    desc[GEMM_X] = tensor(g, "x", GEMM_M, GEMM_K, bf16);
    desc[GEMM_W] = tensor(g, "w", GEMM_N, GEMM_K, g->weight);
    desc[GEMM_Y] = tensor(g, "y", GEMM_M, GEMM_N, bf16);
    g->image.desc = desc;
    g->image.n_desc = 3;
    segments(g, desc, &bf16);
    PL_TRY(code(g, d));
    return pl_image_check(&g->image, d);
}
