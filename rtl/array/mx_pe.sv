// mx_pe - processing element: the exact integer sum of one k-run. It knows no scale and no exponent.
// SPDX-License-Identifier: Apache-2.0
module mx_pe #(
    parameter int Wl = 4,
    parameter int Wt = 4,
    parameter int Pw = 10 // Wl + Wt + log2(run)
) (
    input  logic                 clk_i,
    input  logic                 valid_i,
    input  logic                 start_i, // first element of a run
    input  logic signed [Wl-1:0] left_i,
    input  logic signed [Wt-1:0] top_i,
    output logic signed [Wl-1:0] right_o,
    output logic signed [Wt-1:0] bottom_o,
    output logic signed [Pw-1:0] psum_o
);
    logic signed [Wl+Wt-1:0] prod;
    assign prod = left_i * top_i;
    always_ff @(posedge clk_i) begin
        right_o  <= left_i;
        bottom_o <= top_i;
        if (valid_i) psum_o <= (start_i ? Pw'(0) : psum_o) + Pw'(prod);
    end
endmodule
