// mx_array - the flattened array: S sub-arrays side by side along K, a tree over them for each row, one rounding.
//
// Beat i of a tile brings row i of the left operand and column i of the right one, S N elements along K each. Element (i, j)
// of a result, whose last tile's beat 0 is in cycle t, is valid on row i in cycle t + N + 4 + i + j + log2(S).
// SPDX-License-Identifier: Apache-2.0
module mx_array #(
    parameter int S = 4,
    parameter int N = 4,
    parameter int Run = 4,
    parameter int Wl = 4,
    parameter int Wt = 4,
    parameter int Aw = 32,
    parameter int G = 12,
    parameter int Ew = 11,
    parameter int Bias = 270, // 254 + G + fraction bits of both operands
    parameter int Exp = 8,    // result
    parameter int Man = 7,
    parameter int Iw = (N > 1) ? $clog2(N) : 1,
    parameter int R = N / Run
) (
    input  logic                     clk_i,
    input  logic                     rst_ni,
    input  logic                     valid_i,
    input  logic [Iw-1:0]            beat_i,
    input  logic                     first_i,
    input  logic                     last_i,
    input  logic [S*N*Wl-1:0]        left_i,
    input  logic [S*N*Wt-1:0]        top_i,
    input  logic [S*R*Ew-1:0]        left_e_i,
    input  logic [S*R*Ew-1:0]        top_e_i,
    output logic [N-1:0]             valid_o,
    output logic [N*(1+Exp+Man)-1:0] y_o
);
`ifndef YOSYS // which does not know $fatal
    if (Run * R != N) begin : gen_bad
        initial $fatal(1, "mx_array: Run must divide N");
    end
`endif
    localparam int Levels = (S <= 1) ? 0 : $clog2(S);
    localparam int Ow = Aw + Levels;
    localparam int Fw = 1 + Exp + Man;
    logic [S*N-1:0]    v;
    logic [S*N*Aw-1:0] m;
    logic [S*N*Ew-1:0] e;
    for (genvar s = 0; s < S; s++) begin : gen_sub
        mx_subarray #(.N(N), .Run(Run), .Wl(Wl), .Wt(Wt), .Aw(Aw), .G(G), .Ew(Ew)) u_sub (
            .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i), .beat_i(beat_i), .first_i(first_i), .last_i(last_i),
            .left_i(left_i[s*N*Wl +: N*Wl]), .top_i(top_i[s*N*Wt +: N*Wt]),
            .left_e_i(left_e_i[s*R*Ew +: R*Ew]), .top_e_i(top_e_i[s*R*Ew +: R*Ew]),
            .valid_o(v[s*N +: N]), .m_o(m[s*N*Aw +: N*Aw]), .e_o(e[s*N*Ew +: N*Ew]));
    end
    for (genvar i = 0; i < N; i++) begin : gen_row
        logic [S*Aw-1:0]   rm;
        logic [S*Ew-1:0]   re;
        logic [Ow-1:0]     tm;
        logic [Ew-1:0]     te;
        logic [Levels:0]   valid_q;
        for (genvar s = 0; s < S; s++) begin : gen_gather
            assign rm[s*Aw +: Aw] = m[(s*N+i)*Aw +: Aw];
            assign re[s*Ew +: Ew] = e[(s*N+i)*Ew +: Ew];
        end
        mx_tree #(.N(S), .W(Aw), .Ew(Ew), .Ow(Ow)) u_tree (.clk_i(clk_i), .m_i(rm), .e_i(re), .m_o(tm), .e_o(te));
        mx_to_fp #(.W(Ow), .Ew(Ew), .Bias(Bias), .Exp(Exp), .Man(Man)) u_round (
            .clk_i(clk_i), .m_i(tm), .e_i(te), .f_o(y_o[i*Fw +: Fw]));
        always_ff @(posedge clk_i or negedge rst_ni) begin
            if (!rst_ni) valid_q <= '0;
            else         valid_q <= (Levels+1)'({valid_q, v[i]});
        end
        assign valid_o[i] = valid_q[Levels];
    end
endmodule
