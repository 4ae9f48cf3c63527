// vec_scan - inclusive prefix sums of a row by log2(Vlen) steps of additions (doc/numerics.md, 8): in the step of distance s every
// lane l >= s becomes x[l] + x[l-s], rounded. A row a cycle; Lat registers a step.
// SPDX-License-Identifier: Apache-2.0
module vec_scan #(
    parameter int Vlen = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int Lat = 3,
    parameter int W = 1 + Exp + Man,
    parameter int Levels = $clog2(Vlen)
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic [Vlen*W-1:0] x_i,
    output logic [Vlen*W-1:0] y_o
);
    logic [(Levels+1)*Vlen*W-1:0] x; // before each step, and the result
    assign x[Vlen*W-1:0] = x_i;
    assign y_o = x[Levels*Vlen*W +: Vlen*W];
    for (genvar k = 0; k < Levels; k++) begin : gen_step
        localparam int S = 1 << k;
        logic [Vlen*W-1:0] a, sum;
        assign a = x[k*Vlen*W +: Vlen*W];
        for (genvar l = 0; l < Vlen; l++) begin : gen_lane
            if (l >= S) begin : gen_add
                fp_add #(.Exp(Exp), .Man(Man)) u_add (
                    .clk_i(clk_i), .sub_i(1'b0), .a_i(a[l*W +: W]), .b_i(a[(l-S)*W +: W]), .y_o(sum[l*W +: W]));
            end else begin : gen_keep
                logic [W-1:0] q;
                always_ff @(posedge clk_i) q <= a[l*W +: W];
                assign sum[l*W +: W] = q;
            end
        end
        mx_delay #(.W(Vlen*W), .D(Lat - 1)) u_rest (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(sum), .q_o(x[(k+1)*Vlen*W +: Vlen*W]));
    end
endmodule
