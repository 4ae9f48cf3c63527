// mx_array - the flattened array: S sub-arrays of N x N elements side by side along K, a tree over them for each row, one
// rounding. With Heads > 1 the results of that many groups of sub-arrays (head-partitioned mode) leave beside that of all.
//
// Beat i of a tile brings row i of the left operand and column i of the right one, S N elements along K each. Element (i, j)
// of a result, whose last tile's beat 0 is in cycle t, is valid on row i in cycle t + N + 3 + i + j + Dtree log2(S) + Dconv.
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
    parameter int R = N / Run,
    parameter int Heads = 1,
    parameter int Dtree = 1,  // registers of a level of the tree, of the rounding
    parameter int Dconv = 1,
    parameter int Ctx = 1,    // sets of accumulators; 3: that of M_MV, which is the last, is one row
    parameter int Aw0 = Aw,   // accumulators with right format 0 and 1
    parameter int Aw1 = Aw,
    parameter int Bias1 = Bias
) (
    input  logic                     clk_i,
    input  logic                     rst_ni,
    input  logic                     valid_i,
    input  logic [Iw-1:0]            beat_i,
    input  logic                     first_i,
    input  logic                     last_i,
    input  logic [1:0]               ctx_i, // levels for all beats of a tile: set of accumulators, right format
    input  logic                     fmt_i,
    input  logic [S*N*Wl-1:0]        left_i,
    input  logic [S*N*Wt-1:0]        top_i,
    input  logic [S*R*Ew-1:0]        left_e_i,
    input  logic [S*R*Ew-1:0]        top_e_i,
    output logic [N-1:0]             valid_o,
    output logic [N*(1+Exp+Man)-1:0] y_o,
    output logic [N*Heads*(1+Exp+Man)-1:0] head_o // row by row, head by head
);
`ifndef YOSYS // which does not know $fatal
    if (Run * R != N) begin : gen_bad
        initial $fatal(1, "mx_array: Run must divide N");
    end
`endif
    localparam int Levels = (S <= 1) ? 0 : $clog2(S);
    localparam int Hl = (Heads <= 1) ? 0 : $clog2(Heads); // levels above the heads
    localparam int Sh = S / Heads;
    localparam int Ow = Aw + Levels;
    localparam int Hw = Ow - Hl;
    localparam int Fw = 1 + Exp + Man;
    localparam int Tag = N + 3 + Dtree * Levels + N; // age of a tile's format at the last row's rounding, plus one
    logic [S*N-1:0]    v;
    logic [S*N*Aw-1:0] m;
    logic [S*N*Ew-1:0] e;
    for (genvar s = 0; s < S; s++) begin : gen_sub
        mx_subarray #(.N(N), .Run(Run), .Wl(Wl), .Wt(Wt), .Aw(Aw), .G(G), .Ew(Ew), .Ctx(Ctx), .Aw0(Aw0), .Aw1(Aw1)) u_sub (
            .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i), .beat_i(beat_i), .first_i(first_i), .last_i(last_i),
            .ctx_i(ctx_i), .fmt_i(fmt_i), .left_i(left_i[s*N*Wl +: N*Wl]), .top_i(top_i[s*N*Wt +: N*Wt]),
            .left_e_i(left_e_i[s*R*Ew +: R*Ew]), .top_e_i(top_e_i[s*R*Ew +: R*Ew]),
            .valid_o(v[s*N +: N]), .m_o(m[s*N*Aw +: N*Aw]), .e_o(e[s*N*Ew +: N*Ew]));
    end
    logic [Tag-1:0] fmt_q; // bit k: the format k + 1 cycles ago
    always_ff @(posedge clk_i) fmt_q <= {fmt_q[Tag-2:0], fmt_i};

    for (genvar i = 0; i < N; i++) begin : gen_row
        logic [S*Aw-1:0]      rm;
        logic [S*Ew-1:0]      re;
        logic [Heads*Hw-1:0]  hm;
        logic [Heads*Ew-1:0]  he;
        logic [Ow-1:0]        tm;
        logic [Ew-1:0]        te;
        for (genvar s = 0; s < S; s++) begin : gen_gather
            assign rm[s*Aw +: Aw] = m[(s*N+i)*Aw +: Aw];
            assign re[s*Ew +: Ew] = e[(s*N+i)*Ew +: Ew];
        end
        for (genvar h = 0; h < Heads; h++) begin : gen_head
            mx_tree #(.N(Sh), .W(Aw), .Ew(Ew), .D(Dtree)) u_tree (
                .clk_i(clk_i), .m_i(rm[h*Sh*Aw +: Sh*Aw]), .e_i(re[h*Sh*Ew +: Sh*Ew]),
                .m_o(hm[h*Hw +: Hw]), .e_o(he[h*Ew +: Ew]));
        end
        mx_tree #(.N(Heads), .W(Hw), .Ew(Ew), .D(Dtree)) u_top (.clk_i(clk_i), .m_i(hm), .e_i(he), .m_o(tm), .e_o(te));
        mx_round #(.W(Ow), .Ew(Ew), .Bias(Bias), .Bias1(Bias1), .Exp(Exp), .Man(Man), .D(Dconv)) u_round (
            .clk_i(clk_i), .fmt_i(fmt_q[N+2+i+Dtree*Levels]), .m_i(tm), .e_i(te), .f_o(y_o[i*Fw +: Fw]));
        if (Heads > 1) begin : gen_heads
            for (genvar h = 0; h < Heads; h++) begin : gen_out
                logic [Fw-1:0] f;
                mx_round #(.W(Hw), .Ew(Ew), .Bias(Bias), .Bias1(Bias1), .Exp(Exp), .Man(Man), .D(Dconv)) u_round (
                    .clk_i(clk_i), .fmt_i(fmt_q[N+2+i+Dtree*(Levels-Hl)]), .m_i(hm[h*Hw +: Hw]), .e_i(he[h*Ew +: Ew]), .f_o(f));
                mx_delay #(.W(Fw), .D(Dtree*Hl)) u_wait (
                    .clk_i(clk_i), .rst_ni(1'b1), .d_i(f), .q_o(head_o[(i*Heads+h)*Fw +: Fw]));
            end
        end else begin : gen_one
            assign head_o[i*Fw +: Fw] = y_o[i*Fw +: Fw];
        end
        mx_delay #(.W(1), .D(Dtree*Levels+Dconv), .Rst(1)) u_valid (
            .clk_i(clk_i), .rst_ni(rst_ni), .d_i(v[i]), .q_o(valid_o[i]));
    end
endmodule
