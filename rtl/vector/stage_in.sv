// stage_in - staging buffer to Vector SRAM: a row of codes and scales of one tensor format becomes a row of the vector format.
// One row a cycle, one register: row_o and nan_o belong to the row given a cycle earlier.
//
// code_i: lane l in bits [l Qw, (l+1) Qw), in the order of the bit stream of HBM. scale_i: a byte for each block of Block lanes,
// the row starts a block (kinds 0 and 1; ignored for plain floats). n_i: the row has lanes [0, n_i); the others become zeros.
// period_i: 0, or columns count modulo this power of two (tensor descriptors that repeat): lane l is lane l mod period_i.
// Values are exact and then rounded once (doc/numerics.md, 1); a block of scale 255 is zeros and raises nan_o.
// SPDX-License-Identifier: Apache-2.0
module stage_in #(
    parameter int Vlen = 16,
    parameter int Exp = 8,     // vector format
    parameter int Man = 7,
    parameter int Kind = 0,    // 0: MXINT of Qman bits, 1: MXFP of Qexp, Qman bits, 2: plain float
    parameter int Qexp = 0,
    parameter int Qman = 8,
    parameter int Special = 2, // 0: IEEE kind, 1: OCP E4M3, 2: every code a number
    parameter int Block = 16,
    parameter int W = 1 + Exp + Man,
    parameter int Qw = (Kind == 0) ? Qman : 1 + Qexp + Qman,
    parameter int Scales = (Vlen + Block - 1) / Block,
    parameter int Nw = $clog2(Vlen) + 1
) (
    input  logic                clk_i,
    input  logic [Vlen*Qw-1:0]  code_i,
    input  logic [Scales*8-1:0] scale_i,
    input  logic [Nw-1:0]       n_i,
    input  logic [Nw-1:0]       period_i,
    output logic [Vlen*W-1:0]   row_o,
    output logic                nan_o
);
    localparam int Vw = (Kind == 0) ? Qman : Qman + 2;
    localparam int Frac = (Kind == 0) ? Qman - 2 : Qman;
    localparam int Ew = 11;
    logic [Vlen*Qw-1:0] code;
    logic [Vlen*8-1:0]  scale;
    logic [Scales-1:0]  bad;
    always_comb begin
        for (int l = 0; l < Vlen; l++) begin
            code[l*Qw +: Qw] = (Nw'(l) < n_i) ? code_i[l*Qw +: Qw] : '0;
            scale[l*8 +: 8]  = scale_i[(l/Block)*8 +: 8];
        end
        for (int b = 0; b < Scales; b++) bad[b] = (scale_i[b*8 +: 8] == 8'hff) && (Nw'(b*Block) < n_i);
    end
    always_ff @(posedge clk_i) nan_o <= (Kind != 2) && (bad != '0);
    for (genvar l = 0; l < Vlen; l++) begin : gen_lane
        logic [Qw-1:0]        c;
        logic [7:0]           s;
        logic signed [Vw-1:0] v;
        logic signed [Ew-1:0] e;
        logic                 nan, inf, zero;
        logic                 nan_q, inf_q, zero_q, sign_q;
        logic [W-1:0]         y;
        always_comb begin // the lane itself, or that of the first period
            c = code[l*Qw +: Qw];
            s = scale[l*8 +: 8];
            for (int p = 1; p < Vlen; p *= 2)
                if ((l >= p) && (period_i == Nw'(p))) begin
                    c = code[(l%p)*Qw +: Qw];
                    s = scale[(l%p)*8 +: 8];
                end
        end
        mx_edge #(.Kind(Kind), .Exp(Qexp), .Man(Qman), .Special(Special), .Own(1), .W(Vw), .Ew(Ew)) u_edge (
            .code_i(c), .scale_i(s), .v_o(v), .e_o(e));
        // value = v 2^(e - 127 - Frac)
        mx_to_fp #(.W(Vw), .Ew(Ew), .Bias(127 + Frac), .Exp(Exp), .Man(Man)) u_round (
            .clk_i(clk_i), .m_i(v), .e_i(e), .f_o(y));
        if (Kind == 0) begin : gen_int
            assign nan  = 1'b0;
            assign inf  = 1'b0;
            assign zero = 1'b0;
        end else begin : gen_float
            logic out; // the block is zeros
            assign out  = (Kind == 1) && (s == 8'hff);
            assign inf  = !out && (Special == 0) && (Qman > 0) && (c[Qw-2:0] == {{Qexp{1'b1}}, {Qman{1'b0}}});
            assign nan  = !out && !inf && (((Special == 0) && (c[Qw-2 -: Qexp] == {Qexp{1'b1}})) || ((Special == 1) && (c[Qw-2:0] == {(Qw-1){1'b1}})));
            assign zero = !out && (c[Qw-2:0] == '0);
        end
        always_ff @(posedge clk_i) {nan_q, inf_q, zero_q, sign_q} <= {nan, inf, zero, c[Qw-1]};
        assign row_o[l*W +: W] = nan_q ? {1'b0, {Exp{1'b1}}, 1'b1, {(Man-1){1'b0}}}
                               : inf_q ? {sign_q, {Exp{1'b1}}, {Man{1'b0}}}
                               : zero_q ? {sign_q, {(W-1){1'b0}}} : y;
    end
endmodule
