// mx_quantise - a block of N floats (Exp, Man) to an MX block by the floor rule (doc/numerics.md, 3): the entry of the array
// and the store engine. An exponent is added to each lane first, exactly (section 7); 0 for none. Two registers.
// Of Parts > 1 each part has a scale; 2^join_i neighbours at a time form a block.
// SPDX-License-Identifier: Apache-2.0
module mx_quantise #(
    parameter int N = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int Kind = 0,    // 0: MXINT of Qman bits, 1: MXFP of Qexp, Qman bits
    parameter int Qexp = 0,
    parameter int Qman = 4,
    parameter int MaxCode = 7, // largest magnitude code: 2^(Qman-1) - 1, or that of the minifloat
    parameter int Emax = 0,    // exponent of the largest element; 0 for MXINT
    parameter int W = 1 + Exp + Man,
    parameter int Qw = (Kind == 0) ? Qman : 1 + Qexp + Qman,
    parameter int Aw = 9,
    parameter int Parts = 1
) (
    input  logic            clk_i,
    input  logic [N*W-1:0]  x_i,
    input  logic [N*Aw-1:0] add_i, // signed
    input  logic [3:0]      join_i,
    output logic [N*Qw-1:0] code_o,
    output logic [Parts*8-1:0] scale_o,
    output logic [Parts-1:0]   nan_o  // the block held a NaN or an infinity: scale 255, codes 0
);
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam int Xw = 12;
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    localparam int Cw = (Kind == 0) ? Qman - 1 : Qexp + Qman; // bits of a magnitude code
    localparam int Qf = (Kind == 0) ? Qman - 2 : Qman;        // fraction bits of an element of exponent 0
    localparam int Emin = (Kind == 0) ? 0 : 2 - (1 << (Qexp - 1));
    localparam int Up = (Qf > Man) ? Qf - Man : 0;            // zero bits below the significand, so that all shifts go right
    localparam int Sw = Man + 1 + Up;

    // exponents of the lanes and the largest of them
    logic [N*Xw-1:0]      ex;
    logic [N-1:0]         live;
    logic [Parts-1:0]     bad, any;
    logic [Parts*Xw-1:0]  top;
    for (genvar l = 0; l < N; l++) begin : gen_exp
        logic signed [Xw-1:0] add; // Yosys 0.23 does not extend the sign of a part in a size cast
        assign add             = {{(Xw-Aw){add_i[l*Aw+Aw-1]}}, add_i[l*Aw +: Aw]};
        assign live[l]         = x_i[l*W+Man +: Exp] != '0;
        assign ex[l*Xw +: Xw]  = Xw'(x_i[l*W+Man +: Exp]) - Xw'(Bias) + add;
    end
    // of each part, then of pairs, of pairs of pairs, as far as join_i says
    localparam int Np = N / Parts;
    localparam int Levels = (Parts <= 1) ? 0 : $clog2(Parts);
    logic [Parts-1:0]    part_bad, part_any;
    logic [Parts*Xw-1:0] part_top;
    for (genvar p = 0; p < Parts; p++) begin : gen_part
        logic                 b, a;
        logic signed [Xw-1:0] t;
        always_comb begin
            b = 1'b0;
            a = 1'b0;
            t = '0;
            for (int l = p * Np; l < (p + 1) * Np; l++) begin
                b = b || (x_i[l*W+Man +: Exp] == Top);
                if (live[l] && (!a || ($signed(ex[l*Xw +: Xw]) > t))) begin
                    a = 1'b1;
                    t = ex[l*Xw +: Xw];
                end
            end
        end
        assign part_bad[p]          = b;
        assign part_any[p]          = a;
        assign part_top[p*Xw +: Xw] = t;
    end
    always_comb begin
        logic [Parts-1:0]    was_bad, was_any;
        logic [Parts*Xw-1:0] was_top;
        was_bad = part_bad;
        was_any = part_any;
        was_top = part_top;
        bad     = part_bad;
        any     = part_any;
        top     = part_top;
        for (int v = 0; v < Levels; v++) begin
            if (join_i > 4'(v)) begin
                for (int p = 0; p < Parts; p++) begin
                    bad[p] = was_bad[p] || was_bad[p^(1<<v)];
                    any[p] = was_any[p] || was_any[p^(1<<v)];
                    if (was_any[p^(1<<v)] &&
                        (!was_any[p] || ($signed(was_top[(p^(1<<v))*Xw +: Xw]) > $signed(was_top[p*Xw +: Xw]))))
                        top[p*Xw +: Xw] = was_top[(p^(1<<v))*Xw +: Xw];
                end
            end
            was_bad = bad;
            was_any = any;
            was_top = top;
        end
    end
    logic [N*W-1:0]       x_q;
    logic [N*Xw-1:0]      ex_q;
    logic [Parts-1:0]     bad_q, any_q;
    logic [Parts*Xw-1:0]  top_q, shareds;
    always_ff @(posedge clk_i) begin
        x_q   <= x_i;
        ex_q  <= ex;
        bad_q <= bad;
        any_q <= any;
        top_q <= top;
    end
    // constants as signed wires: Yosys 0.23 takes a sized constant for unsigned
    logic signed [Xw-1:0] scale_max, scale_min, emax, emin, all_bits, none_below, far;
    assign scale_max  = 127;
    assign scale_min  = -127;
    assign emax       = Xw'(Emax);
    assign emin       = Xw'(Emin);
    assign all_bits   = Xw'(Sw);
    assign none_below = Xw'(Man + Up - Qf);
    assign far        = 200;
    for (genvar p = 0; p < Parts; p++) begin : gen_scale
        logic signed [Xw-1:0] e, shared;
        assign e      = $signed(top_q[p*Xw +: Xw]) - emax;
        assign shared = !any_q[p] ? scale_min : (e < scale_min) ? scale_min : (e > scale_max) ? scale_max : e;
        assign shareds[p*Xw +: Xw] = shared;
        always_ff @(posedge clk_i) begin
            scale_o[p*8 +: 8] <= bad_q[p] ? 8'hff : 8'(shared + scale_max);
            nan_o[p]          <= bad_q[p];
        end
    end

    for (genvar l = 0; l < N; l++) begin : gen_lane
        logic [W-1:0]         x;
        logic signed [Xw-1:0] rel, drop, below;
        logic [Sw-1:0]        sig, kept, rest;
        logic                 up, zero;
        logic [Xw+Sw-1:0]     mag;
        logic [Cw-1:0]        code;
        assign x     = x_q[l*W +: W];
        assign zero  = x[W-2 -: Exp] == '0;
        assign sig   = Sw'({1'b1, x[Man-1:0]}) << Up;
        assign rel   = $signed(ex_q[l*Xw +: Xw]) - $signed(shareds[(l/Np)*Xw +: Xw]); // exponent within the block
        assign below = (Kind == 0) ? -rel : (rel < emin) ? emin - rel : '0;
        assign drop  = none_below + below; // bits that go, at least 0 unless the lane saturates
        assign kept  = (drop > all_bits) ? '0 : sig >> drop;
        // what is dropped, from the top of the word down
        assign rest  = (drop > all_bits) ? Sw'(1) : (drop <= 0) ? '0 : sig << (all_bits - drop);
        assign up    = (drop <= all_bits) && rest[Sw-1] && ((rest[Sw-2:0] != '0) || kept[0]);
        if (Kind == 0) begin : gen_int
            assign mag = (rel > 0) ? (Xw+Sw)'(MaxCode) : (Xw+Sw)'(kept) + (Xw+Sw)'(up);
        end else begin : gen_fp
            logic signed [Xw-1:0] field; // of the exponent, less that of subnormals
            assign field = (rel < emin) ? '0 : rel - emin;
            assign mag = (rel > far) ? (Xw+Sw)'(MaxCode)
                       : (Xw+Sw)'(kept) + (Xw+Sw)'(up) + ((Xw+Sw)'(field) << Qman);
        end
        assign code = zero ? '0 : (mag > (Xw+Sw)'(MaxCode)) ? Cw'(MaxCode) : mag[Cw-1:0];
        always_ff @(posedge clk_i) begin
            if (bad_q[l/Np])    code_o[l*Qw +: Qw] <= '0;
            else if (Kind == 0) code_o[l*Qw +: Qw] <= x[W-1] ? -{1'b0, code} : {1'b0, code};
            else                code_o[l*Qw +: Qw] <= {x[W-1], code};
        end
    end
endmodule
