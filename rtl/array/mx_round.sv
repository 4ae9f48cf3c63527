// mx_round - the one rounding of a result, whose scale depends on the right operand's format. D registers.
// SPDX-License-Identifier: Apache-2.0
module mx_round #(
    parameter int W = 33,
    parameter int Ew = 11,
    parameter int Bias = 266,
    parameter int Bias1 = Bias, // with format 1
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int D = 1
) (
    input  logic                 clk_i,
    input  logic                 fmt_i,
    input  logic signed [W-1:0]  m_i,
    input  logic signed [Ew-1:0] e_i,
    output logic [Exp+Man:0]     f_o
);
    logic signed [Ew-1:0] e;
    if (Bias1 == Bias) begin : gen_same
        assign e = e_i;
    end else begin : gen_two
        assign e = fmt_i ? e_i + Ew'(Bias - Bias1) : e_i;
    end
    mx_to_fp #(.W(W), .Ew(Ew), .Bias(Bias), .Exp(Exp), .Man(Man), .D(D)) u_fp (.clk_i(clk_i), .m_i(m_i), .e_i(e), .f_o(f_o));
endmodule
