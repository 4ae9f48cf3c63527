/* test_sram.c - Matrix SRAM against an array of tiles: random slab writes, reads by rows and by columns, one a cycle.
 * Built once for each shape: S, N, W, TILES are macros. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plena/base.h"
#include SHIM
#include "bits.h"

enum { LANES = S * N, CYCLES = 20000 };
static uint32_t tile[TILES][LANES][LANES];

/* Where element (r, c) of a slab of N rows or of N columns is; r and c within the tile. */
static size_t place(size_t r, size_t c, bool cols)
{
    return (cols ? r / N : c / N) * N * N + r % N * N + c % N;
}

static void tick(struct sram *m)
{
    *sram_clk_i(m) = 0;
    sram_eval(m);
    *sram_clk_i(m) = 1;
    sram_eval(m);
}

static void write_slab(struct sram *m, struct pl_rng *r, unsigned t, unsigned block)
{
    for (size_t i = 0; i < N; i++)
        for (size_t c = 0; c < LANES; c++) {
            const uint32_t v = (uint32_t)pl_rng_below(r, 1u << W);
            tile[t][block * N + i][c] = v;
            put_bits(sram_wr_slab_i(m), place(block * N + i, c, false), W, v);
        }
    *sram_rd_i(m) = 0;
    *sram_wr_i(m) = 1;
    *sram_wr_tile_i(m) = (uint8_t)t;
    *sram_wr_block_i(m) = (uint8_t)block;
    sram_eval(m);
    assert_int_equal(*sram_wr_ready_o(m), 1);
    tick(m);
    *sram_wr_i(m) = 0;
}

static void test_slabs(void **state)
{
    (void)state;
    struct sram *m = sram_new();
    struct pl_rng r;
    pl_rng_init(&r, 3);
    for (unsigned t = 0; t < TILES; t++)
        for (unsigned block = 0; block < S; block++)
            write_slab(m, &r, t, block);
    for (unsigned n = 0; n < CYCLES; n++) {
        const unsigned t = (unsigned)pl_rng_below(&r, TILES), block = (unsigned)pl_rng_below(&r, S);
        const bool cols = pl_rng_below(&r, 2);
        if (pl_rng_below(&r, 8) == 0) {
            write_slab(m, &r, t, block);
            continue;
        }
        *sram_rd_i(m) = 1;
        *sram_wr_i(m) = (uint8_t)pl_rng_below(&r, 2); /* not taken */
        *sram_rd_cols_i(m) = cols;
        *sram_rd_tile_i(m) = (uint8_t)t;
        *sram_rd_block_i(m) = (uint8_t)block;
        sram_eval(m);
        assert_int_equal(*sram_wr_ready_o(m), 0);
        tick(m);
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < LANES; k++) {
                const size_t row = cols ? k : block * N + i, col = cols ? block * N + i : k;
                assert_int_equal(take_bits(sram_rd_slab_o(m), place(row, col, cols), W), tile[t][row][col]);
            }
    }
    sram_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slabs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
