// lanes - all lane units of the vector machine side by side, for test_lanes.c.
// SPDX-License-Identifier: Apache-2.0
module lanes #(
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int N = 16, // lanes of the sum
    parameter int W = 1 + Exp + Man
) (
    input  logic           clk_i,
    input  logic [W-1:0]   a_i,
    input  logic [W-1:0]   b_i,
    input  logic [N*W-1:0] x_i,
    output logic [W-1:0]   add_o,
    output logic [W-1:0]   sub_o,
    output logic [W-1:0]   mul_o,
    output logic [W-1:0]   max_o,
    output logic [W-1:0]   min_o,
    output logic [W-1:0]   exp_o,
    output logic [W-1:0]   reci_o,
    output logic [31:0]    sum_o
);
    fp_add #(.Exp(Exp), .Man(Man)) u_add (.clk_i(clk_i), .sub_i(1'b0), .a_i(a_i), .b_i(b_i), .y_o(add_o));
    fp_add #(.Exp(Exp), .Man(Man)) u_sub (.clk_i(clk_i), .sub_i(1'b1), .a_i(a_i), .b_i(b_i), .y_o(sub_o));
    fp_mul #(.Exp(Exp), .Man(Man)) u_mul (.clk_i(clk_i), .a_i(a_i), .b_i(b_i), .y_o(mul_o));
    fp_order #(.Exp(Exp), .Man(Man)) u_max (.min_i(1'b0), .a_i(a_i), .b_i(b_i), .y_o(max_o));
    fp_order #(.Exp(Exp), .Man(Man)) u_min (.min_i(1'b1), .a_i(a_i), .b_i(b_i), .y_o(min_o));
    fp_exp #(.Exp(Exp), .Man(Man)) u_exp (.clk_i(clk_i), .x_i(a_i), .y_o(exp_o));
    fp_reci #(.Exp(Exp), .Man(Man)) u_reci (.clk_i(clk_i), .x_i(a_i), .y_o(reci_o));
    fp_sum #(.N(N), .Exp(Exp), .Man(Man)) u_sum (.clk_i(clk_i), .x_i(x_i), .y_o(sum_o));
endmodule
