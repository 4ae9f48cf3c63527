// fp_add - a + b or a - b of two floats of Exp and Man bits (IEEE kind), rounded once, to nearest even. One register.
//
// doc/numerics.md, 8 and 10: a result below the smallest normal after rounding is a zero of its sign, operands have no
// subnormals, NaN is the canonical one, x - x = +0.
// SPDX-License-Identifier: Apache-2.0
module fp_add #(
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int W = 1 + Exp + Man
) (
    input  logic         clk_i,
    input  logic         sub_i,
    input  logic [W-1:0] a_i,
    input  logic [W-1:0] b_i,
    output logic [W-1:0] y_o
);
    localparam int Sw = Man + 4; // significand, guard, round, sticky
    localparam int Zw = $clog2(Sw + 2);
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    localparam logic [W-1:0]   Nan = {1'b0, Top, 1'b1, {(Man-1){1'b0}}};
    logic [W-1:0]   b, high, low;
    logic           swap, nan, inf_a, inf_b, same;
    logic [Exp-1:0] d;
    logic [Sw-1:0]  mb, ms;
    logic [2*Sw-1:0] ms_wide;
    assign b     = {b_i[W-1] ^ sub_i, b_i[W-2:0]};
    assign swap  = b[W-2:0] > a_i[W-2:0];
    assign high   = swap ? b : a_i;
    assign low = swap ? a_i : b;
    assign inf_a = a_i[W-2:0] == {Top, {Man{1'b0}}};
    assign inf_b = b[W-2:0] == {Top, {Man{1'b0}}};
    assign nan   = (a_i[W-2:0] > {Top, {Man{1'b0}}}) || (b[W-2:0] > {Top, {Man{1'b0}}}) ||
                   (inf_a && inf_b && (a_i[W-1] != b[W-1]));
    assign same  = a_i[W-1] == b[W-1];
    // a zero has exponent field 0 and no hidden bit
    assign d       = high[W-2 -: Exp] - low[W-2 -: Exp];
    assign mb      = {high[W-2 -: Exp] != '0, high[Man-1:0], 3'b0};
    assign ms_wide = {low[W-2 -: Exp] != '0, low[Man-1:0], 3'b0, {Sw{1'b0}}} >> ((32'(d) > Sw) ? Exp'(Sw) : d);
    assign ms      = {ms_wide[2*Sw-1:Sw+1], ms_wide[Sw] || (ms_wide[Sw-1:0] != '0)};
    logic [Sw:0]          sum, norm;
    logic [Zw-1:0]        zeros;
    logic [Man+1:0]       sig;
    logic                 up;
    logic signed [Exp+2:0] ex;
    assign sum = same ? {1'b0, mb} + {1'b0, ms} : {1'b0, mb} - {1'b0, ms};
    always_comb begin
        zeros = Zw'(Sw + 1);
        for (int i = 0; i <= Sw; i++) if (sum[i]) zeros = Zw'(Sw - i);
    end
    assign norm = sum << zeros; // leading one at bit Sw
    assign up   = norm[3] && ((norm[2:0] != '0) || norm[4]);
    assign sig  = {1'b0, norm[Sw:4]} + (Man+2)'(up);
    assign ex   = $signed({3'b0, high[W-2 -: Exp]}) + (Exp+3)'(1) - $signed((Exp+3)'(zeros)) +
                  $signed({{(Exp+2){1'b0}}, sig[Man+1]});
    always_ff @(posedge clk_i) begin
        if (nan)                 y_o <= Nan;
        else if (inf_a || inf_b) y_o <= {inf_a ? a_i[W-1] : b[W-1], Top, {Man{1'b0}}};
        else if (sum == '0)      y_o <= {same && a_i[W-1], {(W-1){1'b0}}};
        else if (ex <= 0)        y_o <= {high[W-1], {(W-1){1'b0}}};
        else if (ex >= $signed({3'b0, Top})) y_o <= {high[W-1], Top, {Man{1'b0}}};
        else                     y_o <= {high[W-1], ex[Exp-1:0], sig[Man+1] ? {Man{1'b0}} : sig[Man-1:0]};
    end
endmodule
