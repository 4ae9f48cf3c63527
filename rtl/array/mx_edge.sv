// mx_edge - one element code to the integer and exponent that the array sees (doc/numerics.md, 4). Combinational.
//
// value = v * 2^(e - 127 - frac); for formats whose block shares e, e_o is the scale alone.
// SPDX-License-Identifier: Apache-2.0
module mx_edge #(
    parameter int Kind = 0,   // 0: MXINT, 1: MXFP, 2: plain float
    parameter int Exp = 0,    // MXFP, plain: exponent bits
    parameter int Man = 4,    // MXFP, plain: fraction bits; MXINT: Bits = Man
    parameter int Special = 2, // 0: IEEE kind, 1: OCP E4M3, 2: every code a number
    parameter int Bits = (Kind == 0) ? Man : 1 + Exp + Man,
    parameter int Own = 0, // each element has its own exponent
    parameter int W = 8,      // bits of v
    parameter int Ew = 11
) (
    input  logic [Bits-1:0]      code_i,
    input  logic [7:0]           scale_i, // MX kinds
    output logic signed [W-1:0]  v_o,
    output logic signed [Ew-1:0] e_o
);
    logic nan_scale;
    assign nan_scale = (Kind != 2) && (scale_i == 8'hff);
    if (Kind == 0) begin : gen_int
        assign v_o = nan_scale ? '0 : W'($signed(code_i));
        assign e_o = Ew'({1'b0, scale_i});
    end else begin : gen_float
        localparam int Bias = (1 << (Exp - 1)) - 1;
        logic             sign, bad;
        logic [Exp-1:0]   field;
        logic [Exp-1:0]   shift; // exponent field less one, that of subnormals being 1
        logic [Bits-2:0]  mag;
        logic [W-1:0]     sig;
        assign sign  = code_i[Bits-1];
        assign mag   = code_i[Bits-2:0];
        assign field = mag[Bits-2 -: Exp];
        assign shift = (field == '0) ? '0 : field - 1'b1;
        assign bad   = nan_scale || ((Special == 0) && (&field)) || ((Special == 1) && (&mag));
        if (Man > 0) begin : gen_man
            assign sig = bad ? '0 : W'({field != '0, mag[Man-1:0]});
        end else begin : gen_no_man
            assign sig = bad ? '0 : W'(field != '0);
        end
        if (Own != 0) begin : gen_own
            logic signed [Ew-1:0] base;
            assign base = (Kind == 2) ? Ew'(127) : Ew'({1'b0, scale_i});
            assign v_o  = sign ? -$signed(sig) : $signed(sig);
            assign e_o  = (sig == '0) ? '0 : base + Ew'({1'b0, shift}) + Ew'(1) - Ew'(Bias);
        end else begin : gen_shared
            logic [W-1:0] up;
            assign up  = sig << shift;
            assign v_o = sign ? -$signed(up) : $signed(up);
            assign e_o = Ew'({1'b0, scale_i});
        end
    end
endmodule
