/* linear.c - cycles of a linear layer: weight tiles stream in under the products of those before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "pass.h"

enum { MOST_UNROLLED = 8, SET_INSNS = 13 /* asking for a set, moving on to it */ };

/* Instructions of a column of BLEN results over `tiles` K tiles, without the end of the loop over columns. */
static double column_insns(const struct pass *p, double tiles, double slices)
{
    const double b = add_cost(p->tile);
    if (tiles <= MOST_UNROLLED)
        return tiles + (tiles - 1) * (b + 1) + 2;
    return 2 + 1 + tiles * (1 + b + 1) + tiles / slices + 2;
}

/* Results leave for HBM and the greedy choice is made: behind every chunk of the head. */
static void logits(struct pass *p)
{
    struct board *b = &p->b;
    const double segs = p->pitch / p->arch->vlen;
    board_ints(b, 14 + 3 * segs); /* the stores wait in their queue */
    for (double s = 0; s < fmin(segs, 8); s++) {
        board_op(b, PL_OPC_VMOVE, P_ROW, P_MM, P_NONE);
        board_op(b, PL_OPC_VMAX, 7, P_ROW, 7);
        board_ints(b, 3);
    }
    board_wait(b, b->ready[7]); /* the index */
    board_ints(b, 3);
}

void pass_linear(struct pass *p, const struct linear *l)
{
    struct board *b = &p->b;
    const double mlen = p->arch->mlen, blen = p->arch->blen, slices = p->heads.token_tiles;
    const double k_tiles = ceil(l->k / p->pitch) * slices, most = fmin(k_tiles, p->plan.k_tiles), groups = ceil(k_tiles / most);
    const double chunks = ceil(l->n / p->pitch), blocks = ceil(l->rows / blen);
    const double start = b->now, bytes = l->weights * l->k * p->weight_bits / 8;
    const double data = board_load(b, p->asked, bytes), set_cyc = bytes / p->arch->hbm_bandwidth / (chunks * slices * groups);
    p->asked = start;
    const double columns = (slices == 1 && groups == 1 ? ceil(l->n / blen) : chunks * slices * mlen / blen) * blocks;
    board_ints(b, 8);
    for (double g = 0; g < groups; g++) {
        const double tiles = g + 1 < groups ? most : k_tiles - g * most, sets = chunks * slices;
        const double insns = column_insns(p, tiles, slices), each = SET_INSNS + 3 * __builtin_popcount((unsigned)tiles);
        board_columns(b, columns, tiles, insns, tiles <= 1, P_NONE);
        if (l->head) { /* each chunk drains the array, so that nothing passes under it */
            const double busy = b->matrix_free;
            logits(p);
            board_slots(b, (chunks - 1) * (b->now - busy + each));
            continue;
        }
        /* The front end moves on to the next set, or block of rows, under the last product alone. */
        const double rest = fmax(0, blen - 5);
        board_slots(b, sets * fmax(0, each - rest) + sets * (blocks - 1) * fmax(0, 4 - rest));
        if (g > 0)
            board_slots(b, chunks * l->rows * p->pitch / p->arch->vlen * 4 + chunks * (b->result[PL_OPC_MM] + b->result[PL_OPC_MM_WO]));
    }
    /* The last set is there, then it is worked through. */
    const double tail = fmin(b->now - start, (b->now - start) / (chunks * slices * groups));
    board_wait(b, data - set_cyc * 0 + tail);
    p->out->fixed_bytes += bytes;
}
