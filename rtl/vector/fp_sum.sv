// fp_sum - sum of N lanes of floats of Exp and Man bits to a binary32, by the tree of the array with 12 guard bits and one
// rounding (doc/numerics.md, 8). D log2(N) + 1 registers.
//
// A NaN, or infinities of both signs, make it NaN; infinities of one sign that infinity.
// SPDX-License-Identifier: Apache-2.0
module fp_sum #(
    parameter int N = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int D = 1, // registers of a level of the tree
    parameter int W = 1 + Exp + Man
) (
    input  logic           clk_i,
    input  logic [N*W-1:0] x_i,
    output logic [31:0]    y_o
);
    localparam int G = 12;
    localparam int Mw = Man + 2 + G; // significand, sign, guard bits
    localparam int Ew = 11;
    localparam int Levels = (N > 1) ? $clog2(N) : 0;
    localparam int Ow = Mw + Levels;
    localparam int Last = D * Levels;
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    logic [N*Mw-1:0] m;
    logic [N*Ew-1:0] e;
    logic            nan, plus, minus;
    for (genvar l = 0; l < N; l++) begin : gen_leaf
        logic [W-1:0]  x;
        logic [Mw-1:0] sig;
        assign x   = x_i[l*W +: W];
        assign sig = (x[W-2 -: Exp] == '0) ? '0 : {2'b01, x[Man-1:0], {G{1'b0}}};
        assign m[l*Mw +: Mw] = x[W-1] ? -sig : sig;
        assign e[l*Ew +: Ew] = Ew'(x[W-2 -: Exp]);
    end
    always_comb begin
        nan   = 1'b0;
        plus  = 1'b0;
        minus = 1'b0;
        for (int l = 0; l < N; l++) begin
            if (x_i[l*W+Man +: Exp] == Top) begin
                nan   = nan || (x_i[l*W +: Man] != '0);
                plus  = plus || !x_i[l*W+W-1];
                minus = minus || x_i[l*W+W-1];
            end
        end
    end
    logic [Ow-1:0]       tm;
    logic [Ew-1:0]       te;
    logic [31:0]         y;
    logic [Last:0]       nan_q, plus_q, minus_q;
    mx_tree #(.N(N), .W(Mw), .Ew(Ew), .D(D), .Ow(Ow)) u_tree (
        .clk_i(clk_i), .m_i(m), .e_i(e), .m_o(tm), .e_o(te));
    // value = m 2^(e - Bias - Man - G)
    mx_to_fp #(.W(Ow), .Ew(Ew), .Bias(Bias + Man + G), .Exp(8), .Man(23)) u_round (
        .clk_i(clk_i), .m_i(tm), .e_i(te), .f_o(y));
    always_ff @(posedge clk_i) begin
        nan_q   <= (Last+1)'({nan_q, nan || (plus && minus)});
        plus_q  <= (Last+1)'({plus_q, plus});
        minus_q <= (Last+1)'({minus_q, minus});
    end
    assign y_o = nan_q[Last] ? 32'h7fc00000 : plus_q[Last] ? 32'h7f800000 : minus_q[Last] ? 32'hff800000 : y;
endmodule
