/* desc.c - where the elements of a tensor are in HBM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/obj.h"

static uint32_t rest(uint32_t all, uint32_t from, uint32_t most)
{
    return all - from < most ? all - from : most;
}

/* Bytes of a tile of nr rows and nc columns. */
static uint64_t bytes_of(const struct pl_desc *t, uint32_t nr, uint32_t nc)
{
    const uint64_t row = pl_format_row_bytes(&t->format, nc) + pl_format_row_scales(&t->format, nc);
    return pl_round_up((uint64_t)nr * row, PL_TILE_ALIGN);
}

/* Bytes of a row of tiles of nr rows, up to column col. */
static uint64_t row_of_tiles(const struct pl_desc *t, uint32_t nr, uint32_t col)
{
    const uint64_t whole = (uint64_t)(col / t->tile) * bytes_of(t, nr, t->tile);
    return whole + (col % t->tile ? bytes_of(t, nr, col % t->tile) : 0);
}

uint64_t pl_desc_tile_bytes(const struct pl_desc *t, uint32_t row, uint32_t col)
{
    return bytes_of(t, rest(t->rows, row / t->tile * t->tile, t->tile), rest(t->cols, col / t->tile * t->tile, t->tile));
}

uint64_t pl_desc_tiled_bytes(const struct pl_desc *t)
{
    const uint32_t last = t->rows % t->tile;
    return (uint64_t)(t->rows / t->tile) * row_of_tiles(t, t->tile, t->cols) + (last ? row_of_tiles(t, last, t->cols) : 0);
}

struct pl_desc_place pl_desc_place(const struct pl_desc *t, uint32_t row, uint32_t col)
{
    const uint32_t bits = pl_format_bits(&t->format), block = t->format.block;
    if (!t->tile)
        return (struct pl_desc_place){t->elem_base + (uint64_t)row * t->elem_stride + (uint64_t)col * bits / 8,
                                      t->scale_base + (uint64_t)row * t->scale_stride + col / block, t->cols - col};
    const uint32_t r = row % t->tile, c = col % t->tile;
    const uint32_t nr = rest(t->rows, row - r, t->tile), nc = rest(t->cols, col - c, t->tile);
    const uint64_t base = t->elem_base + (uint64_t)(row / t->tile) * row_of_tiles(t, t->tile, t->cols) + row_of_tiles(t, nr, col - c);
    const uint64_t scales = base + nr * pl_format_row_bytes(&t->format, nc);
    return (struct pl_desc_place){base + r * pl_format_row_bytes(&t->format, nc) + (uint64_t)c * bits / 8,
                                  scales + r * pl_format_row_scales(&t->format, nc) + c / block, nc - c};
}
