// fp_order - max or min of a lane and a scalar by order-preserving bits (doc/numerics.md, 8): -0 is below +0; a NaN lane or, in
// place of it, a NaN scalar gives NaN. Combinational.
// SPDX-License-Identifier: Apache-2.0
module fp_order #(
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int W = 1 + Exp + Man
) (
    input  logic         min_i,
    input  logic [W-1:0] a_i, // lane
    input  logic [W-1:0] b_i, // scalar, in the vector format
    output logic [W-1:0] y_o
);
    localparam logic [W-2:0] Inf = {{Exp{1'b1}}, {Man{1'b0}}};
    logic         nan_a, nan_b;
    logic [W-1:0] ka, kb; // unsigned, in the order of the values
    assign nan_a = a_i[W-2:0] > Inf;
    assign nan_b = b_i[W-2:0] > Inf;
    assign ka    = a_i[W-1] ? ~a_i : {1'b1, a_i[W-2:0]};
    assign kb    = b_i[W-1] ? ~b_i : {1'b1, b_i[W-2:0]};
    assign y_o   = nan_a ? a_i : nan_b ? b_i : ((ka >= kb) ^ min_i) || (ka == kb) ? a_i : b_i;
endmodule
