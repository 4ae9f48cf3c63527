// vector_sram - Vector SRAM: words of Pitch lanes, which hold Pitch / Vlen rows of Vlen lanes each.
//
// Reads: the array takes a word, the vector unit two rows, the store engine a row; data are there LatSram cycles after the cycle of the
// address, and are those from before that cycle's writes. Writes take effect at the end of their cycle: results of the vector unit
// (Results ports, see vector_unit), a mapped row of FP SRAM, a row of the load engine, and lanes of a word from the write-out.
// The scoreboard sees to it that no two writers meet in a lane; asserted here, as is that every address exists.
// SPDX-License-Identifier: Apache-2.0
module vector_sram #(
    parameter int Rows = 64,
    parameter int Vlen = 16,
    parameter int Pitch = 16,  // max(MLEN, VLEN)
    parameter int W = 16,      // bits of a lane
    parameter int LatSram = 2,
    parameter int Results = 1,
    parameter int RowW = $clog2(Rows),
    parameter int Parts = Pitch / Vlen, // rows of a word
    parameter int Words = Rows / Parts,
    parameter int WordW = (Words > 1) ? $clog2(Words) : 1
) (
    input  logic                      clk_i,
    input  logic                      rst_ni,
    input  logic                      array_rd_i,
    input  logic [WordW-1:0]          array_word_i,
    output logic [Pitch*W-1:0]        array_data_o,
    input  logic                      a_rd_i,
    input  logic [RowW-1:0]           a_row_i,
    output logic [Vlen*W-1:0]         a_data_o,
    input  logic                      b_rd_i,
    input  logic [RowW-1:0]           b_row_i,
    output logic [Vlen*W-1:0]         b_data_o,
    input  logic                      store_rd_i,
    input  logic [RowW-1:0]           store_row_i,
    output logic [Vlen*W-1:0]         store_data_o,
    input  logic [Results-1:0]        result_wr_i,
    input  logic [Results*RowW-1:0]   result_row_i,
    input  logic [Results*Vlen*W-1:0] result_data_i,
    input  logic                      map_wr_i,
    input  logic [RowW-1:0]           map_row_i,
    input  logic [Vlen*W-1:0]         map_data_i,
    input  logic                      load_wr_i,
    input  logic [RowW-1:0]           load_row_i,
    input  logic [Vlen*W-1:0]         load_data_i,
    input  logic                      out_wr_i,  // write-out
    input  logic [WordW-1:0]          out_word_i,
    input  logic [Pitch-1:0]          out_mask_i,
    input  logic [Pitch*W-1:0]        out_data_i
);
    localparam int Writers = Results + 2; // of whole rows
    localparam int PartW = (Parts > 1) ? $clog2(Parts) : 1;
    logic [Pitch*W-1:0] mem [Words];

    // ---- writes ----
    logic [Writers-1:0]        wr;
    logic [Writers*RowW-1:0]   row;
    logic [Writers*Vlen*W-1:0] data;
    assign wr   = {load_wr_i, map_wr_i, result_wr_i};
    assign row  = {load_row_i, map_row_i, result_row_i};
    assign data = {load_data_i, map_data_i, result_data_i};
    for (genvar k = 0; k < Writers; k++) begin : gen_row
        logic [RowW-1:0]  at;
        logic [WordW-1:0] word;
        logic [PartW-1:0] part;
        assign at = row[k*RowW +: RowW];
        if (Parts > 1) begin : gen_part
            assign word = at[RowW-1 -: WordW];
            assign part = at[PartW-1:0];
        end else begin : gen_whole
            assign word = at;
            assign part = '0;
        end
        always_ff @(posedge clk_i)
            for (int p = 0; p < Parts; p++)
                if (wr[k] && (part == PartW'(p))) mem[word][p*Vlen*W +: Vlen*W] <= data[k*Vlen*W +: Vlen*W];
    end
    always_ff @(posedge clk_i)
        if (out_wr_i)
            for (int l = 0; l < Pitch; l++)
                if (out_mask_i[l]) mem[out_word_i][l*W +: W] <= out_data_i[l*W +: W];

    // ---- reads ----
    logic [Pitch*W-1:0] array_q;
    always_ff @(posedge clk_i) if (array_rd_i) array_q <= mem[array_word_i];
    mx_delay #(.W(Pitch*W), .D(LatSram - 1)) u_array (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(array_q), .q_o(array_data_o));
    logic [2:0]          rd;
    logic [3*RowW-1:0]   rd_row;
    logic [3*Vlen*W-1:0] rd_data;
    assign rd     = {store_rd_i, b_rd_i, a_rd_i};
    assign rd_row = {store_row_i, b_row_i, a_row_i};
    assign {store_data_o, b_data_o, a_data_o} = rd_data;
    for (genvar k = 0; k < 3; k++) begin : gen_read
        logic [RowW-1:0]    at;
        logic [Pitch*W-1:0] word_q;
        logic [Vlen*W-1:0]  picked;
        assign at = rd_row[k*RowW +: RowW];
        if (Parts > 1) begin : gen_part
            logic [PartW-1:0] part_q;
            always_ff @(posedge clk_i)
                if (rd[k]) begin
                    word_q <= mem[at[RowW-1 -: WordW]];
                    part_q <= at[PartW-1:0];
                end
            always_comb begin
                picked = '0;
                for (int p = 0; p < Parts; p++) if (part_q == PartW'(p)) picked = word_q[p*Vlen*W +: Vlen*W];
            end
        end else begin : gen_whole
            always_ff @(posedge clk_i) if (rd[k]) word_q <= mem[at];
            assign picked = word_q;
        end
        mx_delay #(.W(Vlen*W), .D(LatSram - 1)) u_row (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(picked), .q_o(rd_data[k*Vlen*W +: Vlen*W]));
    end

`ifndef SYNTHESIS
    logic [Writers-1:0] met; // the write-out writes lanes of the writer's row
    always_comb for (int k = 0; k < Writers; k++)
        met[k] = out_wr_i && (32'(out_word_i) == 32'(row[k*RowW +: RowW]) / Parts) &&
                 (out_mask_i[(32'(row[k*RowW +: RowW]) % Parts)*Vlen +: Vlen] != '0);
    always_ff @(posedge clk_i) begin
        for (int k = 0; k < Writers; k++) if (wr[k]) begin
            assert (32'(row[k*RowW +: RowW]) < Rows) else $error("vector_sram: writer %0d: row %0d of %0d", k, row[k*RowW +: RowW], Rows);
            for (int j = 0; j < k; j++)
                assert (!wr[j] || (row[j*RowW +: RowW] != row[k*RowW +: RowW])) else
                    $error("vector_sram: writers %0d and %0d meet in row %0d", j, k, row[k*RowW +: RowW]);
            assert (!met[k]) else
                $error("vector_sram: writer %0d and the write-out meet in row %0d", k, row[k*RowW +: RowW]);
        end
        for (int k = 0; k < 3; k++)
            assert (!rd[k] || (32'(rd_row[k*RowW +: RowW]) < Rows)) else $error("vector_sram: reader %0d: row %0d of %0d", k, rd_row[k*RowW +: RowW], Rows);
        assert (!out_wr_i || (32'(out_word_i) < Words)) else $error("vector_sram: write-out: word %0d of %0d", out_word_i, Words);
        assert (!array_rd_i || (32'(array_word_i) < Words)) else $error("vector_sram: array: word %0d of %0d", array_word_i, Words);
    end
`endif
endmodule
