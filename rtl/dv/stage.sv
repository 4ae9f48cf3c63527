// stage - both converters of the staging buffers, for test_stage.c.
// SPDX-License-Identifier: Apache-2.0
module stage #(
    parameter int Vlen = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int Kind = 0,
    parameter int Qexp = 0,
    parameter int Qman = 8,
    parameter int Special = 2,
    parameter int MaxCode = 127,
    parameter int Emax = 0,
    parameter int Block = 16,
    parameter int W = 1 + Exp + Man,
    parameter int Qw = (Kind == 0) ? Qman : 1 + Qexp + Qman,
    parameter int Scales = (Vlen + Block - 1) / Block,
    parameter int Nw = $clog2(Vlen) + 1
) (
    input  logic                clk_i,
    input  logic [Nw-1:0]       n_i,
    input  logic [Nw-1:0]       period_i,
    input  logic [Vlen*Qw-1:0]  in_code_i,
    input  logic [Scales*8-1:0] in_scale_i,
    output logic [Vlen*W-1:0]   in_row_o,
    output logic                in_nan_o,
    input  logic [Vlen*W-1:0]   out_row_i,
    output logic [Vlen*Qw-1:0]  out_code_o,
    output logic [Scales*8-1:0] out_scale_o,
    output logic                out_nan_o
);
    stage_in #(.Vlen(Vlen), .Exp(Exp), .Man(Man), .Kind(Kind), .Qexp(Qexp), .Qman(Qman), .Special(Special), .Block(Block)) u_in (
        .clk_i(clk_i), .code_i(in_code_i), .scale_i(in_scale_i), .n_i(n_i), .period_i(period_i), .row_o(in_row_o), .nan_o(in_nan_o));
    if (Block <= Vlen) begin : gen_out
        stage_out #(.Vlen(Vlen), .Exp(Exp), .Man(Man), .Kind(Kind), .Qexp(Qexp), .Qman(Qman), .MaxCode(MaxCode), .Emax(Emax), .Block(Block)) u_out (
            .clk_i(clk_i), .row_i(out_row_i), .n_i(n_i), .code_o(out_code_o), .scale_o(out_scale_o), .nan_o(out_nan_o));
    end else begin : gen_none
        assign {out_code_o, out_scale_o, out_nan_o} = '0;
    end
endmodule
