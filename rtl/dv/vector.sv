// vector - the vector unit, the mapper and their Vector SRAM, for test_vector.c: commands by their fields, all other ports of the SRAM.
// SPDX-License-Identifier: Apache-2.0
module vector #(
    parameter int Vlen = plena_pkg::VLEN,
    parameter int Pitch = plena_pkg::PITCH,
    parameter int W = plena_pkg::VW,
    parameter int RowW = plena_pkg::ROW_W,
    parameter int WordW = plena_pkg::WORD_W,
    parameter int FpW = plena_pkg::FP_W,
    parameter int Results = 6 + $clog2(Vlen)
) (
    input  logic                         clk_i,
    input  logic                         rst_ni,
    input  logic                         cmd_valid_i,
    input  logic [6:0]                   op_i,
    input  logic                         order_i,
    input  logic [plena_pkg::GROUPS-1:0] mask_i,
    input  logic [RowW-1:0]              row_d_i,
    input  logic [RowW-1:0]              row_a_i,
    input  logic [RowW-1:0]              row_b_i,
    input  logic [31:0]                  scalar_i,
    input  logic [31:0]                  number_i,
    input  logic [2:0]                   fp_i,
    input  logic [3:0]                   gp_i,
    output logic [Results-1:0]           wr_o,
    output logic [Results*RowW-1:0]      wr_row_o,
    output logic [Results*Vlen*W-1:0]    wr_data_o,
    output logic                         fp_wr_o,
    output logic [2:0]                   fp_o,
    output logic [31:0]                  fp_data_o,
    output logic                         gp_wr_o,
    output logic [3:0]                   gp_o,
    output logic [31:0]                  gp_data_o,
    input  logic                         map_valid_i,
    input  logic [RowW-1:0]              map_row_i,
    input  logic [FpW-1:0]               map_addr_i,
    output logic                         map_rd_o,
    output logic [FpW-1:0]               map_addr_o,
    input  logic [511:0]                 map_words_i,
    output logic                         map_wr_o,
    output logic [RowW-1:0]              map_wr_row_o,
    output logic [Vlen*W-1:0]            map_wr_data_o,
    input  logic                         array_rd_i,
    input  logic [WordW-1:0]             array_word_i,
    output logic [Pitch*W-1:0]           array_data_o,
    input  logic                         store_rd_i,
    input  logic [RowW-1:0]              store_row_i,
    output logic [Vlen*W-1:0]            store_data_o,
    input  logic                         load_wr_i,
    input  logic [RowW-1:0]              load_row_i,
    input  logic [Vlen*W-1:0]            load_data_i,
    input  logic                         out_wr_i,
    input  logic [WordW-1:0]             out_word_i,
    input  logic [Pitch-1:0]             out_mask_i,
    input  logic [Pitch*W-1:0]           out_data_i
);
    plena_pkg::vector_t cmd;
    logic               a_rd, b_rd;
    logic [RowW-1:0]    a_row, b_row;
    logic [Vlen*W-1:0]  a_data, b_data;
    assign cmd = {op_i, order_i, mask_i, row_d_i, row_a_i, row_b_i, scalar_i, number_i, fp_i, gp_i, {FpW{1'b0}}};
    vector_unit u_unit (
        .clk_i(clk_i), .rst_ni(rst_ni), .cmd_valid_i(cmd_valid_i), .cmd_i(cmd), .a_rd_o(a_rd), .a_row_o(a_row), .a_data_i(a_data),
        .b_rd_o(b_rd), .b_row_o(b_row), .b_data_i(b_data), .wr_o(wr_o), .wr_row_o(wr_row_o), .wr_data_o(wr_data_o), .fp_wr_o(fp_wr_o),
        .fp_o(fp_o), .fp_data_o(fp_data_o), .gp_wr_o(gp_wr_o), .gp_o(gp_o), .gp_data_o(gp_data_o));
    vec_map u_map (
        .clk_i(clk_i), .rst_ni(rst_ni), .cmd_valid_i(map_valid_i), .row_i(map_row_i), .fp_addr_i(map_addr_i), .fp_rd_o(map_rd_o),
        .fp_addr_o(map_addr_o), .fp_words_i(map_words_i), .wr_o(map_wr_o), .wr_row_o(map_wr_row_o), .wr_data_o(map_wr_data_o));
    vector_sram #(
        .Rows(plena_pkg::VECTOR_ROWS), .Vlen(Vlen), .Pitch(Pitch), .W(W), .LatSram(plena_pkg::LAT_SRAM), .Results(Results)) u_sram (
        .clk_i(clk_i), .rst_ni(rst_ni), .array_rd_i(array_rd_i), .array_word_i(array_word_i), .array_data_o(array_data_o), .a_rd_i(a_rd),
        .a_row_i(a_row), .a_data_o(a_data), .b_rd_i(b_rd), .b_row_i(b_row), .b_data_o(b_data), .store_rd_i(store_rd_i),
        .store_row_i(store_row_i), .store_data_o(store_data_o), .result_wr_i(wr_o), .result_row_i(wr_row_o), .result_data_i(wr_data_o),
        .map_wr_i(map_wr_o), .map_row_i(map_wr_row_o), .map_data_i(map_wr_data_o), .load_wr_i(load_wr_i), .load_row_i(load_row_i),
        .load_data_i(load_data_i), .out_wr_i(out_wr_i), .out_word_i(out_word_i), .out_mask_i(out_mask_i), .out_data_i(out_data_i));
endmodule
