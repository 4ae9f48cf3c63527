// stage_out - Vector SRAM to staging buffer: a row of the vector format becomes codes and scales of one tensor format, by the
// floor rule (doc/numerics.md, 3). One row a cycle, two registers.
//
// row_i: lane l in bits [l W, (l+1) W). n_i: lanes [0, n_i) are stored; the last block counts as if padded with zeros, and the codes
// of the other lanes are zeros. code_o, scale_o: as stage_in takes them (scale_o: 0 bits of use with plain floats). nan_o: a NaN or
// an infinity was among the lanes (or, plain floats, came out of rounding): the sticky error. MX kinds: Block divides Vlen.
// SPDX-License-Identifier: Apache-2.0
module stage_out #(
    parameter int Vlen = 16,
    parameter int Exp = 8,     // vector format
    parameter int Man = 7,
    parameter int Kind = 0,    // 0: MXINT of Qman bits, 1: MXFP of Qexp, Qman bits, 2: plain float
    parameter int Qexp = 0,
    parameter int Qman = 8,
    parameter int MaxCode = 127, // largest magnitude code (MX kinds)
    parameter int Emax = 0,      // exponent of the largest element; 0 for MXINT
    parameter int Block = 16,
    parameter int W = 1 + Exp + Man,
    parameter int Qw = (Kind == 0) ? Qman : 1 + Qexp + Qman,
    parameter int Scales = (Vlen + Block - 1) / Block,
    parameter int Nw = $clog2(Vlen) + 1
) (
    input  logic                clk_i,
    input  logic [Vlen*W-1:0]   row_i,
    input  logic [Nw-1:0]       n_i,
    output logic [Vlen*Qw-1:0]  code_o,
    output logic [Scales*8-1:0] scale_o,
    output logic                nan_o
);
    logic [Vlen*W-1:0] row;
    always_comb for (int l = 0; l < Vlen; l++) row[l*W +: W] = (Nw'(l) < n_i) ? row_i[l*W +: W] : '0;
    if (Kind == 2) begin : gen_plain
        logic [Vlen*Qw-1:0] code, code_q;
        logic [Vlen-1:0]    bad;
        logic               bad_q;
        for (genvar l = 0; l < Vlen; l++) begin : gen_lane
            fp_convert #(.Exp(Exp), .Man(Man), .Oexp(Qexp), .Oman(Qman)) u_c (.x_i(row[l*W +: W]), .y_o(code[l*Qw +: Qw]));
            assign bad[l] = code[l*Qw+Qman +: Qexp] == {Qexp{1'b1}};
        end
        always_ff @(posedge clk_i) begin
            {bad_q, code_q} <= {bad != '0, code};
            {nan_o, code_o} <= {bad_q, code_q};
        end
        assign scale_o = '0;
    end else begin : gen_mx
        logic [Scales-1:0] bad;
        for (genvar b = 0; b < Scales; b++) begin : gen_block
            mx_quantise #(.N(Block), .Exp(Exp), .Man(Man), .Kind(Kind), .Qexp(Qexp), .Qman(Qman), .MaxCode(MaxCode), .Emax(Emax)) u_q (
                .clk_i(clk_i), .x_i(row[b*Block*W +: Block*W]), .add_i('0), .join_i(4'd0), .code_o(code_o[b*Block*Qw +: Block*Qw]),
                .scale_o(scale_o[b*8 +: 8]), .nan_o(bad[b]));
        end
        assign nan_o = bad != '0;
    end
endmodule
