// vec_map - S_MAP_V_FP: Vlen consecutive words of FP SRAM, rounded to the vector format, become a row of Vector SRAM.
//
// The command is given in the cycle s in which it starts. FP SRAM is asked for 16 words from fp_addr_o on in cycles s .. s + Parts - 1 and
// answers LatSram cycles later; the row is written in the cycle of the last answer, s + Parts - 1 + LatSram. A command every Parts cycles.
// SPDX-License-Identifier: Apache-2.0
module vec_map #(
    parameter int Vlen = plena_pkg::VLEN,
    parameter int Exp = plena_pkg::VEXP,
    parameter int Man = plena_pkg::VMAN,
    parameter int LatSram = plena_pkg::LAT_SRAM,
    parameter int RowW = plena_pkg::ROW_W,
    parameter int FpW = plena_pkg::FP_W,
    parameter int W = 1 + Exp + Man,
    parameter int Parts = (Vlen + 15) / 16,
    parameter int PartW = (Parts > 1) ? $clog2(Parts) : 1
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              cmd_valid_i,
    input  logic [RowW-1:0]   row_i,
    input  logic [FpW-1:0]    fp_addr_i,
    output logic              fp_rd_o,
    output logic [FpW-1:0]    fp_addr_o,
    input  logic [16*32-1:0]  fp_words_i,
    output logic              wr_o,
    output logic [RowW-1:0]   wr_row_o,
    output logic [Vlen*W-1:0] wr_data_o
);
    // ---- asking: part 0 with the command, the others behind it ----
    logic             busy_q;
    logic [PartW-1:0] part_q, part, last;
    logic [RowW-1:0]  row_q, row;
    logic [FpW-1:0]   next_q;
    assign last      = PartW'(Parts - 1);
    assign part      = cmd_valid_i ? '0 : part_q;
    assign row       = cmd_valid_i ? row_i : row_q;
    assign fp_rd_o   = cmd_valid_i || busy_q;
    assign fp_addr_o = cmd_valid_i ? fp_addr_i : next_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) busy_q <= 1'b0;
        else         busy_q <= fp_rd_o && (part != last);
    end
    always_ff @(posedge clk_i) if (fp_rd_o) begin
        part_q <= part + 1'b1;
        row_q  <= row;
        next_q <= fp_addr_o + FpW'(16);
    end

    // ---- answers ----
    logic                 there;
    logic [PartW-1:0]     part_there;
    logic [16*W-1:0]      rounded;
    logic [Parts*16*W-1:0] kept_q, all;
    mx_delay #(.W(1), .D(LatSram), .Rst(1)) u_there (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(fp_rd_o), .q_o(there));
    mx_delay #(.W(PartW + RowW), .D(LatSram)) u_part (
        .clk_i(clk_i), .rst_ni(rst_ni), .d_i({part, row}), .q_o({part_there, wr_row_o}));
    for (genvar k = 0; k < 16; k++) begin : gen_word
        fp_convert #(.Exp(8), .Man(23), .Oexp(Exp), .Oman(Man)) u_round (.x_i(fp_words_i[k*32 +: 32]), .y_o(rounded[k*W +: W]));
    end
    always_comb begin
        all = kept_q;
        for (int p = 0; p < Parts; p++) if (part_there == PartW'(p)) all[p*16*W +: 16*W] = rounded;
    end
    always_ff @(posedge clk_i) if (there) kept_q <= all;
    assign wr_o      = there && (part_there == last);
    assign wr_data_o = all[Vlen*W-1:0];

`ifndef SYNTHESIS
    always_ff @(posedge clk_i) assert (!cmd_valid_i || !busy_q) else $error("vec_map: a command within %0d cycles of another", Parts);
`endif
endmodule
