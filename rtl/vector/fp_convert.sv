// fp_convert - a float of Exp and Man bits (IEEE kind) rounded once, to nearest even, to one of Oexp and Oman bits. Combinational.
//
// doc/numerics.md, 8: below the smallest normal after rounding a zero of its sign, beyond the largest finite an infinity, one NaN.
// Subnormals may come in where Oexp <= Exp (binary32 from FP SRAM): they are zeros, but for those that round to the smallest normal.
// SPDX-License-Identifier: Apache-2.0
module fp_convert #(
    parameter int Exp = 8,
    parameter int Man = 23,
    parameter int Oexp = 8,
    parameter int Oman = 7
) (
    input  logic [Exp+Man:0]   x_i,
    output logic [Oexp+Oman:0] y_o
);
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam int Obias = (1 << (Oexp - 1)) - 1;
    localparam int Xw = 12;
    localparam logic [Exp-1:0]  Top = {Exp{1'b1}};
    localparam logic [Oexp-1:0] Otop = {Oexp{1'b1}};
    logic                 sign, up, to_normal;
    logic [Exp-1:0]       field;
    logic [Man-1:0]       man;
    logic [Oman+1:0]      sig; // carry, hidden bit, fraction
    logic signed [Xw-1:0] ex;
    assign {sign, field, man} = x_i;
    if (Man > Oman) begin : gen_narrow
        localparam int Drop = Man - Oman;
        logic [Drop:0] rest; // and a zero below, so that there always is a sticky part
        assign rest = {man[Drop-1:0], 1'b0};
        assign up   = rest[Drop] && ((rest[Drop-1:0] != '0) || man[Drop]);
        assign sig  = {2'b01, man[Man-1 -: Oman]} + (Oman+2)'(up);
    end else begin : gen_wide
        assign up  = 1'b0;
        assign sig = {2'b01, man, {(Oman-Man){1'b0}}};
    end
    if ((Exp == Oexp) && (Man >= Oman + 2)) begin : gen_subnormal
        assign to_normal = &man[Man-1 -: Oman+2];
    end else begin : gen_flush
        assign to_normal = 1'b0;
    end
    assign ex = Xw'(field) + Xw'(Obias) - Xw'(Bias) + Xw'(sig[Oman+1]);
    always_comb begin
        if (field == Top)        y_o = (man != '0) ? {1'b0, Otop, 1'b1, {(Oman-1){1'b0}}} : {sign, Otop, {Oman{1'b0}}};
        else if (field == '0)    y_o = {sign, (Oexp)'(to_normal), {Oman{1'b0}}};
        else if ($signed(ex) <= 0) y_o = {sign, {(Oexp+Oman){1'b0}}};
        else if (ex >= $signed(Xw'(Otop))) y_o = {sign, Otop, {Oman{1'b0}}};
        else                     y_o = {sign, ex[Oexp-1:0], sig[Oman+1] ? {Oman{1'b0}} : sig[Oman-1:0]};
    end
endmodule
