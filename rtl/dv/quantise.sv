// quantise - the quantiser of a block, and the edge decoder of its elements, for test_quantise.c.
// SPDX-License-Identifier: Apache-2.0
module quantise #(
    parameter int N = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int Kind = 0,
    parameter int Qexp = 0,
    parameter int Qman = 4,
    parameter int Special = 2,
    parameter int MaxCode = 7,
    parameter int Emax = 0,
    parameter int Own = 0,
    parameter int Ev = 8, // bits of a decoded integer
    parameter int W = 1 + Exp + Man,
    parameter int Qw = (Kind == 0) ? Qman : 1 + Qexp + Qman
) (
    input  logic            clk_i,
    input  logic [N*W-1:0]  x_i,
    input  logic [N*9-1:0]  add_i,
    output logic [N*Qw-1:0] code_o,
    output logic [7:0]      scale_o,
    output logic            nan_o,
    input  logic [Qw-1:0]   edge_code_i,
    input  logic [7:0]      edge_scale_i,
    output logic [Ev-1:0]   edge_v_o,
    output logic [10:0]     edge_e_o
);
    mx_quantise #(.N(N), .Exp(Exp), .Man(Man), .Kind(Kind), .Qexp(Qexp), .Qman(Qman), .MaxCode(MaxCode), .Emax(Emax)) u_q (
        .clk_i(clk_i), .x_i(x_i), .add_i(add_i), .join_i(4'd0), .code_o(code_o), .scale_o(scale_o), .nan_o(nan_o));
    mx_edge #(.Kind(Kind), .Exp(Qexp), .Man(Qman), .Special(Special), .Own(Own), .W(Ev)) u_e (
        .code_i(edge_code_i), .scale_i(edge_scale_i), .v_o(edge_v_o), .e_o(edge_e_o));
endmodule
