// vec_reduce - the reductions of a row into a binary32 register (doc/numerics.md, 8), a row a cycle, LatTree log2(Vlen) + 2 registers.
//
// Sum: f + sum of the active lanes. Max: the larger of f and the largest active lane, NaN left out. Argmax (max_i and arg_i): if the
// largest lane is above f, it and its lowest lane (won_o); else f. -0 is below +0 for max, equal for argmax.
// SPDX-License-Identifier: Apache-2.0
module vec_reduce #(
    parameter int Vlen = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int LatTree = 2,
    parameter int W = 1 + Exp + Man,
    parameter int Levels = $clog2(Vlen),
    parameter int Lat = LatTree * Levels + 2
) (
    input  logic              clk_i,
    input  logic              rst_ni,
    input  logic              arg_i,
    input  logic [Vlen-1:0]   active_i,
    input  logic [31:0]       f_i,
    input  logic [Vlen*W-1:0] x_i,
    output logic [31:0]       sum_o,
    output logic [31:0]       max_o,
    output logic              won_o,
    output logic [Levels-1:0] lane_o
);
    // ---- sum ----
    logic [Vlen*W-1:0] lanes;
    logic [31:0]       f_sum, f_flushed, row_sum;
    for (genvar l = 0; l < Vlen; l++) begin : gen_lane
        assign lanes[l*W +: W] = active_i[l] ? x_i[l*W +: W] : '0;
    end
    fp_sum #(.N(Vlen), .Exp(Exp), .Man(Man), .D(LatTree)) u_sum (.clk_i(clk_i), .x_i(lanes), .y_o(row_sum));
    mx_delay #(.W(32), .D(Lat - 1)) u_f_sum (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(f_i), .q_o(f_sum));
    assign f_flushed = (f_sum[30:23] == '0) ? {f_sum[31], 31'd0} : f_sum;
    fp_add #(.Exp(8), .Man(23)) u_add (.clk_i(clk_i), .sub_i(1'b0), .a_i(f_flushed), .b_i(row_sum), .y_o(sum_o));

    // ---- maximum: keys in the order of the values, 0 for none; the lower lane of equal ones ----
    localparam int Nw = W + W + Levels; // key, value, lane
    logic [(Levels+1)*Vlen*Nw-1:0] node;
    for (genvar k = 0; k <= Levels; k++) begin : gen_level
        for (genvar g = 0; g < Vlen; g++) begin : gen_node
            localparam int At = (k * Vlen + g) * Nw;
            if (k == 0) begin : gen_leaf
                logic [W-1:0] x, key;
                logic         nan, zero;
                assign x    = x_i[g*W +: W];
                assign nan  = x[W-2:0] > {{Exp{1'b1}}, {Man{1'b0}}};
                assign zero = x[W-2:0] == '0;
                assign key  = (nan || !active_i[g]) ? '0 : (x[W-1] && !(arg_i && zero)) ? ~x : {1'b1, x[W-2:0]};
                assign node[At +: Nw] = {key, x, Levels'(g)};
            end else if (g < (Vlen >> k)) begin : gen_pair
                localparam int A = ((k - 1) * Vlen + 2 * g) * Nw;
                logic [Nw-1:0] a, b, q;
                assign a = node[A +: Nw];
                assign b = node[A+Nw +: Nw];
                mx_delay #(.W(Nw), .D(LatTree)) u_q (.clk_i(clk_i), .rst_ni(rst_ni), .d_i((b[Nw-1 -: W] > a[Nw-1 -: W]) ? b : a), .q_o(q));
                assign node[At +: Nw] = q;
            end else begin : gen_none
                assign node[At +: Nw] = '0;
            end
        end
    end
    logic              arg, some, beats, beats_q, nan_f;
    logic [W-1:0]      key, best;
    logic [Levels-1:0] lane, lane_q;
    logic [31:0]       f, wide, ff, max_q, kf, kw;
    mx_delay #(.W(33), .D(Lat - 2)) u_f_max (.clk_i(clk_i), .rst_ni(rst_ni), .d_i({arg_i, f_i}), .q_o({arg, f}));
    assign {key, best, lane} = node[Levels*Vlen*Nw +: Nw];
    assign some = key != '0;
    fp_convert #(.Exp(Exp), .Man(Man), .Oexp(8), .Oman(23)) u_wide (.x_i(best), .y_o(wide));
    // argmax compares f as it is, max with subnormals as zeros
    assign ff    = ((f[30:23] == '0) && (!arg || (f[22:0] == '0))) ? {f[31] && !arg, 31'd0} : f;
    assign nan_f = (f[30:23] == 8'hff) && (f[22:0] != '0);
    assign kf    = ff[31] ? ~ff : {1'b1, ff[30:0]};
    assign kw    = (wide[31] && !(arg && (wide[30:0] == '0))) ? ~wide : {1'b1, wide[30:0]};
    assign beats = some && (arg ? (!nan_f && (kw > kf)) : (nan_f || (kw > kf)));
    always_ff @(posedge clk_i) begin
        beats_q <= beats;
        lane_q  <= lane;
        max_q   <= beats ? wide : arg ? f : nan_f ? 32'h7fc00000 : ff;
    end
    mx_delay #(.W(33 + Levels), .D(1)) u_max_rest (
        .clk_i(clk_i), .rst_ni(rst_ni), .d_i({beats_q, lane_q, max_q}), .q_o({won_o, lane_o, max_o}));
endmodule
