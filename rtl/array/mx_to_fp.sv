// mx_to_fp - M * 2^(E - Bias) rounded once, to nearest even, to a float of Exp and Man bits: a result below the smallest
// normal after rounding is a zero of its sign, one beyond the largest finite is an infinity. D registers: behind
// the count of zeros (D >= 3), behind the normalisation (D >= 2), at the end.
// SPDX-License-Identifier: Apache-2.0
module mx_to_fp #(
    parameter int W = 33,
    parameter int Ew = 11,
    parameter int Bias = 266, // 254 + fraction bits of both operands + guard bits
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int D = 1
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
    // stage 1 to 2: sign, magnitude, zeros, exponent; stage 2 to 3: the same with the magnitude normalised
    logic                 sign_1, sign_2;
    logic [W-1:0]         mag_1;
    logic [Zw-1:0]        zeros_1, zeros_2;
    logic signed [Ew-1:0] e_1, e_2;
    logic [Nw-1:0]        norm_1;
    mx_delay #(.W(1+W+Zw+Ew), .D((D > 2) ? D - 2 : 0)) u_counted (
        .clk_i(clk_i), .rst_ni(1'b1), .d_i({sign, mag, zeros, e_i}), .q_o({sign_1, mag_1, zeros_1, e_1}));
    assign norm_1 = {mag_1, {(Nw-W){1'b0}}} << zeros_1;
    mx_delay #(.W(1+Nw+Zw+Ew), .D((D > 1) ? 1 : 0)) u_normal (
        .clk_i(clk_i), .rst_ni(1'b1), .d_i({sign_1, norm_1, zeros_1, e_1}), .q_o({sign_2, norm, zeros_2, e_2}));
    logic                 up;
    logic [Man+1:0]       sig;
    logic signed [Xw-1:0] ex;
    assign up  = norm[Nw-Man-2] && ((norm[Nw-Man-3:0] != '0) || norm[Nw-Man-1]);
    assign sig = {1'b0, norm[Nw-1 -: Man+1]} + (Man+2)'(up);
    assign ex  = Xw'(e_2) + Xw'(Fbias - Bias + W - 1) - $signed(Xw'(zeros_2)) + $signed(Xw'(sig[Man+1]));
    always_ff @(posedge clk_i) begin
        if (zeros_2 == Zw'(W))                f_o <= '0;
        else if (ex <= 0)                     f_o <= {sign_2, {(Exp+Man){1'b0}}};
        else if (ex >= Xw'((1 << Exp) - 1))   f_o <= {sign_2, {Exp{1'b1}}, {Man{1'b0}}};
        else                                  f_o <= {sign_2, ex[Exp-1:0], sig[Man+1] ? {Man{1'b0}} : sig[Man-1:0]};
    end
endmodule
