// vec_lanes - lane by lane operations and lane movements, a row a cycle, by kind of latency: add (add, subtract, max, min, movements),
// mul, exp and reci, with Lat* registers each. Masked-off lanes take operand a; movements know no mask.
// SPDX-License-Identifier: Apache-2.0
module vec_lanes #(
    parameter int Vlen = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int LatAdd = 3,
    parameter int LatMul = 2,
    parameter int LatExp = 4,
    parameter int LatReci = 3,
    parameter int W = 1 + Exp + Man
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              sub_i,     // a - b
    input  logic              reverse_i, // b - a
    input  logic              order_i,   // max or min
    input  logic              min_i,
    input  logic              shift_i,   // towards higher lanes by number_i
    input  logic              swap_i,    // lane l takes lane l ^ number_i, a power of two below Vlen
    input  logic              limit_i,   // lanes l < number_i (signed) stay, or with above_i the others; the rest is -Inf
    input  logic              above_i,
    input  logic [31:0]       number_i,
    input  logic [Vlen-1:0]   active_i,
    input  logic [Vlen*W-1:0] a_i,
    input  logic [Vlen*W-1:0] b_i,
    output logic [Vlen*W-1:0] add_o,
    output logic [Vlen*W-1:0] mul_o,
    output logic [Vlen*W-1:0] exp_o,
    output logic [Vlen*W-1:0] reci_o
);
    localparam int Lw = $clog2(Vlen);
    localparam logic [W-1:0] MinusInf = {1'b1, {Exp{1'b1}}, {Man{1'b0}}};

    // ---- movements: shifts by the bits of the number, exchanges one at most ----
    logic [Vlen*W-1:0]  shifted, swapped, limited, moved;
    logic signed [32:0] limit;
    assign limit = {number_i[31], number_i};
    always_comb begin
        shifted = (32'(number_i) < Vlen) ? a_i : '0;
        for (int k = 0; k < Lw; k++)
            if (number_i[k]) shifted = shifted << (W << k);
        swapped = a_i;
        for (int k = 0; k < Lw; k++)
            if (number_i[k])
                for (int l = 0; l < Vlen; l++) swapped[l*W +: W] = a_i[(l^(1<<k))*W +: W];
        for (int l = 0; l < Vlen; l++)
            limited[l*W +: W] = (($signed(33'(l)) < limit) != above_i) ? a_i[l*W +: W] : MinusInf;
        moved = limit_i ? limited : shift_i ? shifted : swapped;
    end

    // ---- lanes ----
    logic [Vlen*W-1:0] add, mul, exp, reci;
    logic              is_move, order_q, move_q;
    assign is_move = limit_i || shift_i || swap_i;
    always_ff @(posedge clk_i) begin
        order_q <= order_i;
        move_q  <= is_move;
    end
    for (genvar l = 0; l < Vlen; l++) begin : gen_lane
        logic [W-1:0] a, b, sum, product, power, inverse, bound, kept_q, other_q;
        logic         active_q;
        assign a = a_i[l*W +: W];
        assign b = b_i[l*W +: W];
        fp_add #(.Exp(Exp), .Man(Man)) u_add (
            .clk_i(clk_i), .sub_i(sub_i), .a_i(reverse_i ? b : a), .b_i(reverse_i ? a : b), .y_o(sum));
        fp_mul #(.Exp(Exp), .Man(Man)) u_mul (.clk_i(clk_i), .a_i(a), .b_i(b), .y_o(product));
        fp_exp #(.Exp(Exp), .Man(Man)) u_exp (.clk_i(clk_i), .x_i(a), .y_o(power));
        fp_reci #(.Exp(Exp), .Man(Man)) u_reci (.clk_i(clk_i), .x_i(a), .y_o(inverse));
        fp_order #(.Exp(Exp), .Man(Man)) u_order (.min_i(min_i), .a_i(a), .b_i(b), .y_o(bound));
        always_ff @(posedge clk_i) begin
            active_q <= active_i[l] || is_move;
            kept_q   <= a;
            other_q  <= is_move ? moved[l*W +: W] : bound;
        end
        assign add[l*W +: W]  = !active_q ? kept_q : (order_q || move_q) ? other_q : sum;
        assign mul[l*W +: W]  = active_q ? product : kept_q;
        assign exp[l*W +: W]  = active_q ? power : kept_q;
        assign reci[l*W +: W] = active_q ? inverse : kept_q;
    end
    mx_delay #(.W(Vlen*W), .D(LatAdd - 1)) u_add (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(add), .q_o(add_o));
    mx_delay #(.W(Vlen*W), .D(LatMul - 1)) u_mul (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(mul), .q_o(mul_o));
    mx_delay #(.W(Vlen*W), .D(LatExp - 1)) u_exp (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(exp), .q_o(exp_o));
    mx_delay #(.W(Vlen*W), .D(LatReci - 1)) u_reci (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(reci), .q_o(reci_o));
endmodule
