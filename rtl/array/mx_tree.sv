// mx_tree - block-floating adder tree, low half and high half, D registers a level (doc/numerics.md, 6).
//
// A node takes the larger exponent of its non-zero terms, shifts the other term right, rounded half up, and adds; it is one
// bit wider than its terms, so it never overflows.
// SPDX-License-Identifier: Apache-2.0
module mx_tree #(
    parameter int N = 2,
    parameter int W = 32,
    parameter int Ew = 11,
    parameter int D = 1,      // from 2 on the first is between shift and sum
    parameter int Ow = W + ((N <= 1) ? 0 : $clog2(N))
) (
    input  logic            clk_i,
    input  logic [N*W-1:0]  m_i,
    input  logic [N*Ew-1:0] e_i,
    output logic [Ow-1:0]   m_o,
    output logic [Ew-1:0]   e_o
);
    if (N == 1) begin : gen_leaf
        assign m_o = m_i;
        assign e_o = e_i;
    end else begin : gen_node
        localparam int Iw = Ow - 1;
        localparam int Shw = $clog2(Iw + 1);
        logic signed [Iw-1:0] ma, mb, keep, move;
        logic signed [Ew-1:0] ra, rb, ea, eb;
        mx_tree #(.N(N/2), .W(W), .Ew(Ew), .D(D)) u_low (
            .clk_i(clk_i), .m_i(m_i[(N/2)*W-1:0]), .e_i(e_i[(N/2)*Ew-1:0]), .m_o(ma), .e_o(ra));
        mx_tree #(.N(N/2), .W(W), .Ew(Ew), .D(D)) u_high (
            .clk_i(clk_i), .m_i(m_i[N*W-1:(N/2)*W]), .e_i(e_i[N*Ew-1:(N/2)*Ew]), .m_o(mb), .e_o(rb));
        logic signed [Ew:0]   diff, adiff;
        logic [Shw-1:0]       sh;
        logic signed [Iw:0]   down;
        assign ea    = (ma == '0) ? rb : ra;
        assign eb    = (mb == '0) ? ea : rb;
        assign diff  = (Ew+1)'(ea) - (Ew+1)'(eb);
        assign adiff = diff[Ew] ? -diff : diff;
        assign sh    = (adiff > (Ew+1)'(Iw)) ? Shw'(Iw) : adiff[Shw-1:0];
        assign keep  = diff[Ew] ? mb : ma;
        assign move  = diff[Ew] ? ma : mb;
        assign down  = $signed({move, 1'b0}) >>> sh;
        logic signed [Iw-1:0] keep_s;
        logic signed [Iw:0]   down_s;
        logic [Ew-1:0]        e_s;
        mx_delay #(.W(2*Iw+1+Ew), .D((D > 1) ? D - 1 : 0)) u_shifted (
            .clk_i(clk_i), .rst_ni(1'b1), .d_i({keep, down, diff[Ew] ? eb : ea}), .q_o({keep_s, down_s, e_s}));
        always_ff @(posedge clk_i) begin
            m_o <= Ow'(keep_s) + Ow'($signed(down_s[Iw:1])) + Ow'(down_s[0]);
            e_o <= e_s;
        end
    end
endmodule
