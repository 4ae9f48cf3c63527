// mx_sram - Matrix SRAM: tiles of S x C blocks, read a block row or a block column at a time at the same rate.
//
// A word is a block: N x N elements, or, for scales, one byte for each of N rows, when C is the scales of a row. There are S
// banks of one port each. Block (r, c) of a tile is in bank r xor c at address tile C + c: the blocks of a block row and those
// of a block column are each in different banks, so neither kind of access ever waits. The same exclusive or puts the banks'
// words back in order. A slab is S blocks, of a block row the first C; block k of it holds the bits [k Word, (k+1) Word),
// element (i, j) of W bits at (i N + j) W of them. A read wins over a write: wr_ready_o says whether the write is taken.
// SPDX-License-Identifier: Apache-2.0
module mx_sram #(
    parameter int S = 4,
    parameter int Word = 64, // bits of a block
    parameter int Tiles = 8,
    parameter int C = S,     // at most S
    parameter int Sw = (S > 1) ? $clog2(S) : 1,
    parameter int Tw = (Tiles > 1) ? $clog2(Tiles) : 1,
    parameter int Aw = (Tiles * C > 1) ? $clog2(Tiles * C) : 1
) (
    input  logic              clk_i,
    input  logic              rd_i,
    input  logic              rd_cols_i,  // a block column
    input  logic [Tw-1:0]     rd_tile_i,
    input  logic [Sw-1:0]     rd_block_i, // which block row or block column
    output logic [S*Word-1:0] rd_slab_o,  // a cycle later
    input  logic              wr_i,
    input  logic [Tw-1:0]     wr_tile_i,
    input  logic [Sw-1:0]     wr_block_i, // block row
    input  logic [S*Word-1:0] wr_slab_i,
    output logic              wr_ready_o
);
    logic [Sw-1:0]     rd_block_q;
    logic [Tw-1:0]     tile;
    assign tile = rd_i ? rd_tile_i : wr_tile_i;
    logic [S*Word-1:0] bank_q;
    assign wr_ready_o = !rd_i;
    always_ff @(posedge clk_i) if (rd_i) rd_block_q <= rd_block_i;
    for (genvar b = 0; b < S; b++) begin : gen_bank
        logic [Word-1:0] mem [Tiles*C];
        logic [Sw-1:0]   col;     // block column that this bank holds of the slab
        logic [Aw-1:0]   address;
        logic [Word-1:0] wr_word;
        assign col     = !rd_i ? (Sw'(b) ^ wr_block_i) : rd_cols_i ? rd_block_i : (Sw'(b) ^ rd_block_i);
        assign address = Aw'((Tw+Sw)'(tile) * (Tw+Sw)'(C) + (Tw+Sw)'(col));
        always_comb begin
            wr_word = '0;
            for (int k = 0; k < C; k++) if (col == Sw'(k)) wr_word = wr_slab_i[k*Word +: Word];
        end
        if (C == S) begin : gen_full
            always_ff @(posedge clk_i) begin
                if (rd_i)      bank_q[b*Word +: Word] <= mem[address];
                else if (wr_i) mem[address] <= wr_word;
            end
        end else begin : gen_part
            always_ff @(posedge clk_i) begin
                if (col < Sw'(C)) begin
                    if (rd_i)      bank_q[b*Word +: Word] <= mem[address];
                    else if (wr_i) mem[address] <= wr_word;
                end
            end
        end
    end
    for (genvar k = 0; k < S; k++) begin : gen_order
        logic [Sw-1:0] from; // the bank that holds block k of the slab
        assign from = Sw'(k) ^ rd_block_q;
        always_comb begin
            rd_slab_o[k*Word +: Word] = '0;
            for (int b = 0; b < S; b++) if (from == Sw'(b)) rd_slab_o[k*Word +: Word] = bank_q[b*Word +: Word];
        end
    end
endmodule
