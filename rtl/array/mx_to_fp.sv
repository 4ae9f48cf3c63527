// mx_to_fp - M * 2^(E - Bias) rounded once, to nearest even, to a float of Exp and Man bits: a result below the smallest
// normal after rounding is a zero of its sign, one beyond the largest finite is an infinity. One register.
// SPDX-License-Identifier: Apache-2.0
module mx_to_fp #(
    parameter int W = 33,
    parameter int Ew = 11,
    parameter int Bias = 266, // 254 + fraction bits of both operands + guard bits
    parameter int Exp = 8,
    parameter int Man = 7
) (
    input  logic                 clk_i,
    input  logic signed [W-1:0]  m_i,
    input  logic signed [Ew-1:0] e_i,
    output logic [Exp+Man:0]     f_o
);
    localparam int Fbias = (1 << (Exp - 1)) - 1;
    localparam int Zw = $clog2(W + 1);
    localparam int Xw = 14;
    localparam int Nw = (W > Man + 3) ? W : Man + 3; // room for the bits below the rounding bit
    logic          sign;
    logic [W-1:0]  mag;
    logic [Nw-1:0] norm;
    logic [Zw-1:0] zeros;
    assign sign = m_i[W-1];
    assign mag  = sign ? -m_i : m_i;
    always_comb begin
        zeros = Zw'(W);
        for (int i = 0; i < W; i++) if (mag[i]) zeros = Zw'(W - 1 - i);
    end
    assign norm = {mag, {(Nw-W){1'b0}}} << zeros;
    logic                 up;
    logic [Man+1:0]       sig;
    logic signed [Xw-1:0] ex;
    assign up  = norm[Nw-Man-2] && ((norm[Nw-Man-3:0] != '0) || norm[Nw-Man-1]);
    assign sig = {1'b0, norm[Nw-1 -: Man+1]} + (Man+2)'(up);
    assign ex  = Xw'(e_i) + Xw'(Fbias - Bias + W - 1) - $signed(Xw'(zeros)) + $signed(Xw'(sig[Man+1]));
    always_ff @(posedge clk_i) begin
        if (mag == '0)                        f_o <= '0;
        else if (ex <= 0)                     f_o <= {sign, {(Exp+Man){1'b0}}};
        else if (ex >= Xw'((1 << Exp) - 1))   f_o <= {sign, {Exp{1'b1}}, {Man{1'b0}}};
        else                                  f_o <= {sign, ex[Exp-1:0], sig[Man+1] ? {Man{1'b0}} : sig[Man-1:0]};
    end
endmodule
