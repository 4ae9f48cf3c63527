// fp_mul - a * b of two floats of Exp and Man bits (IEEE kind), rounded once, to nearest even. One register.
//
// doc/numerics.md, 8 and 10: the sign of zeros is kept, Inf 0 is NaN, results below the smallest normal after rounding are zeros.
// SPDX-License-Identifier: Apache-2.0
module fp_mul #(
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int W = 1 + Exp + Man
) (
    input  logic         clk_i,
    input  logic [W-1:0] a_i,
    input  logic [W-1:0] b_i,
    output logic [W-1:0] y_o
);
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    localparam logic [W-1:0]   Nan = {1'b0, Top, 1'b1, {(Man-1){1'b0}}};
    logic sign, zero_a, zero_b, inf_a, inf_b, nan;
    assign sign   = a_i[W-1] ^ b_i[W-1];
    assign zero_a = a_i[W-2 -: Exp] == '0;
    assign zero_b = b_i[W-2 -: Exp] == '0;
    assign inf_a  = a_i[W-2:0] == {Top, {Man{1'b0}}};
    assign inf_b  = b_i[W-2:0] == {Top, {Man{1'b0}}};
    assign nan    = (a_i[W-2:0] > {Top, {Man{1'b0}}}) || (b_i[W-2:0] > {Top, {Man{1'b0}}}) ||
                    (inf_a && zero_b) || (inf_b && zero_a);
    logic [2*Man+1:0]      prod, norm;
    logic                  up;
    logic [Man+1:0]        sig;
    logic signed [Exp+2:0] ex;
    assign prod = {{(Man+1){1'b0}}, 1'b1, a_i[Man-1:0]} * {{(Man+1){1'b0}}, 1'b1, b_i[Man-1:0]};
    assign norm = prod[2*Man+1] ? prod : prod << 1;
    assign up   = norm[Man] && ((norm[Man-1:0] != '0) || norm[Man+1]);
    assign sig  = {1'b0, norm[2*Man+1:Man+1]} + (Man+2)'(up);
    assign ex   = $signed({3'b0, a_i[W-2 -: Exp]}) + $signed({3'b0, b_i[W-2 -: Exp]}) - (Exp+3)'(Bias) +
                  $signed({{(Exp+2){1'b0}}, prod[2*Man+1]}) + $signed({{(Exp+2){1'b0}}, sig[Man+1]});
    always_ff @(posedge clk_i) begin
        if (nan)                              y_o <= Nan;
        else if (inf_a || inf_b)              y_o <= {sign, Top, {Man{1'b0}}};
        else if (zero_a || zero_b || ex <= 0) y_o <= {sign, {(W-1){1'b0}}};
        else if (ex >= $signed({3'b0, Top}))  y_o <= {sign, Top, {Man{1'b0}}};
        else                                  y_o <= {sign, ex[Exp-1:0], sig[Man+1] ? {Man{1'b0}} : sig[Man-1:0]};
    end
endmodule
