// matrix_right - right operand: one row (or column) of the slab a beat, its lanes chosen, decoded. Combinational.
//
// Group g of Hlen lanes along K comes from group from_i + g, or, broadcast, from_i. Straight use sees scales of 127: they have
// been folded into the left operand. Exponents are per sub-array, or, where a format's elements have their own, per element.
// SPDX-License-Identifier: Apache-2.0
module matrix_right #(
    parameter int Mlen = 16,
    parameter int Blen = 4,
    parameter int Hlen = 8,
    parameter int Ew = 11,
    parameter int Run = 4,
    parameter int W = 8,      // bits of a stored element
    parameter int Wt = 8,     // of a decoded one
    parameter int Kind0 = 0, parameter int Exp0 = 1, parameter int Man0 = 8, parameter int Special0 = 2, parameter int Own0 = 0,
    parameter int Kind1 = 0, parameter int Exp1 = 1, parameter int Man1 = 8, parameter int Special1 = 2, parameter int Own1 = 0,
    parameter int S = Mlen / Blen,
    parameter int Re = Mlen / Run,
    parameter int Word = Blen * Blen * W,
    parameter int G = Mlen / Hlen,
    parameter int Gw = (G > 1) ? $clog2(G) : 1,
    parameter int Iw = $clog2(Blen)
) (
    input  logic [S*Word-1:0] slab_i,
    input  logic [Iw-1:0]     beat_i,
    input  logic              cols_i,  // straight use: the slab is a block column
    input  logic              fmt_i,
    input  logic [Gw-1:0]     from_i,
    input  logic              broadcast_i,
    input  logic [S*8-1:0]    scale_i, // of the row's lanes, by sub-array; not looked at in straight use
    output logic [Mlen*Wt-1:0] v_o,
    output logic [Re*Ew-1:0]  e_o
);
    localparam int Bits0 = (Kind0 == 0) ? Man0 : 1 + Exp0 + Man0;
    localparam int Bits1 = (Kind1 == 0) ? Man1 : 1 + Exp1 + Man1;
    localparam int Gc = Hlen * W, Gs = (Hlen / Blen) * 8;
    logic [Mlen*W-1:0] row, code;
    logic [S*8-1:0]    scale;
    for (genvar l = 0; l < Mlen; l++) begin : gen_beat
        always_comb begin
            row[l*W +: W] = '0;
            for (int i = 0; i < Blen; i++) begin
                if (beat_i == Iw'(i))
                    row[l*W +: W] = cols_i ? slab_i[(l/Blen)*Word + ((l%Blen)*Blen+i)*W +: W]
                                           : slab_i[(l/Blen)*Word + (i*Blen+l%Blen)*W +: W];
            end
        end
    end
    for (genvar g = 0; g < G; g++) begin : gen_group
        logic [Gw-1:0] src;
        assign src = broadcast_i ? from_i : Gw'(g) + from_i;
        always_comb begin
            code[g*Gc +: Gc]  = '0;
            scale[g*Gs +: Gs] = '0;
            for (int k = 0; k < G; k++) begin
                if (src == Gw'(k)) begin
                    code[g*Gc +: Gc]  = row[k*Gc +: Gc];
                    scale[g*Gs +: Gs] = scale_i[k*Gs +: Gs];
                end
            end
        end
    end
    for (genvar l = 0; l < Mlen; l++) begin : gen_lane
        logic [7:0]    s;
        logic [Wt-1:0] v0, v1;
        logic [Ew-1:0] e0, e1;
        assign s = cols_i ? 8'd127 : scale[(l/Blen)*8 +: 8];
        mx_edge #(.Kind(Kind0), .Exp(Exp0), .Man(Man0), .Special(Special0), .Own(Own0), .W(Wt), .Ew(Ew)) u_edge0 (
            .code_i(code[l*W +: Bits0]), .scale_i(s), .v_o(v0), .e_o(e0));
        mx_edge #(.Kind(Kind1), .Exp(Exp1), .Man(Man1), .Special(Special1), .Own(Own1), .W(Wt), .Ew(Ew)) u_edge1 (
            .code_i(code[l*W +: Bits1]), .scale_i(s), .v_o(v1), .e_o(e1));
        assign v_o[l*Wt +: Wt] = fmt_i ? v1 : v0;
        if (l % Run == 0) begin : gen_e
            assign e_o[(l/Run)*Ew +: Ew] = fmt_i ? e1 : e0;
        end
    end
endmodule
