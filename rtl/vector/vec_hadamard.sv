// vec_hadamard - unnormalised Walsh-Hadamard transform of each group of 2^log lanes of a row (doc/numerics.md, 8). A row a cycle.
//
// Lanes are aligned to the largest exponent of their group with 12 guard bits, rounded half up (3 registers: maxima of all groups, choice
// of the group size, alignment); then log exact levels of butterflies, a register each; then one rounding (1 register). Rows of different
// group sizes may leave in the same cycle: the result of groups of 2^k leaves on port k, 4 + k cycles behind its row.
// SPDX-License-Identifier: Apache-2.0
module vec_hadamard #(
    parameter int Vlen = 16,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int W = 1 + Exp + Man,
    parameter int Levels = $clog2(Vlen),
    parameter int Lw = $clog2(Levels + 1)
) (
    input  logic                         clk_i,
    input  logic [Lw-1:0]                log_i, // of the group
    input  logic [Vlen*W-1:0]            x_i,
    output logic [(Levels+1)*Vlen*W-1:0] y_o
);
    localparam int G = 12;
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam int Mw = Man + 2 + G; // sign, significand, guard bits
    localparam int Ow = Mw + Levels;
    localparam int Shw = $clog2(Mw + 1);
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    localparam logic [W-1:0]   Nan = {1'b0, Top, 1'b1, {(Man-1){1'b0}}};

    // ---- the largest exponent field of every group of every size: 2^k lanes from l on, at place k * Vlen + l / 2^k ----
    logic [(Levels+1)*Vlen*Exp-1:0] top, top_q; // a special value is the largest of all
    logic [Vlen*W-1:0]              x_q, x_q2;
    logic [Lw-1:0]                  log_q;
    always_comb begin
        top = '0;
        for (int l = 0; l < Vlen; l++) top[l*Exp +: Exp] = x_i[l*W+Man +: Exp];
        for (int k = 1; k <= Levels; k++)
            for (int g = 0; g < (Vlen >> k); g++)
                top[(k*Vlen+g)*Exp +: Exp] = (top[((k-1)*Vlen+2*g)*Exp +: Exp] > top[((k-1)*Vlen+2*g+1)*Exp +: Exp])
                                           ? top[((k-1)*Vlen+2*g)*Exp +: Exp] : top[((k-1)*Vlen+2*g+1)*Exp +: Exp];
    end
    always_ff @(posedge clk_i) begin
        top_q <= top;
        x_q   <= x_i;
        x_q2  <= x_q;
        log_q <= log_i;
    end

    // ---- of each lane's own group; alignment ----
    logic [(Levels+1)*Vlen*Ow-1:0]  m; // before each level, and behind the last; the low bits are used
    logic [(Levels+1)*Vlen*Exp-1:0] e;
    for (genvar l = 0; l < Vlen; l++) begin : gen_align
        logic [Exp-1:0]       mine, mine_q, d;
        logic [W-1:0]         x;
        logic [Shw-1:0]       sh;
        logic [Mw-1:0]        sig;
        logic signed [Mw-1:0] v;
        logic signed [Mw:0]   down;
        logic signed [Ow-1:0] aligned_q;
        logic [Exp-1:0]       e_q;
        always_comb begin
            mine = '0;
            for (int k = 0; k <= Levels; k++) if (log_q == Lw'(k)) mine = top_q[(k*Vlen+(l>>k))*Exp +: Exp];
        end
        always_ff @(posedge clk_i) mine_q <= mine;
        assign x    = x_q2[l*W +: W];
        assign d    = mine_q - x[W-2 -: Exp];
        assign sh   = (32'(d) > Mw) ? Shw'(Mw) : Shw'(d);
        assign sig  = (x[W-2 -: Exp] == '0) ? '0 : {2'b01, x[Man-1:0], {G{1'b0}}};
        assign v    = x[W-1] ? -sig : sig;
        assign down = $signed({v, 1'b0}) >>> sh;
        always_ff @(posedge clk_i) begin
            aligned_q <= Ow'($signed(down[Mw:1])) + Ow'(down[0]);
            e_q       <= mine_q;
        end
        assign m[l*Ow +: Ow]   = aligned_q;
        assign e[l*Exp +: Exp] = e_q;
    end

    // ---- butterflies ----
    for (genvar k = 0; k < Levels; k++) begin : gen_level
        for (genvar l = 0; l < Vlen; l++) begin : gen_lane
            localparam int At = k * Vlen;
            localparam int H = 1 << k;
            logic [Ow-1:0]  sum_q;
            logic [Exp-1:0] e_q;
            always_ff @(posedge clk_i) begin
                if ((l & H) == 0) sum_q <= m[(At+l)*Ow +: Ow] + m[(At+(l^H))*Ow +: Ow];
                else              sum_q <= m[(At+(l^H))*Ow +: Ow] - m[(At+l)*Ow +: Ow];
                e_q <= e[(At+l)*Exp +: Exp];
            end
            assign m[(At+Vlen+l)*Ow +: Ow]    = sum_q;
            assign e[(At+Vlen+l)*Exp +: Exp]  = e_q;
        end
    end

    // ---- one rounding for each size ----
    for (genvar k = 0; k <= Levels; k++) begin : gen_out
        for (genvar l = 0; l < Vlen; l++) begin : gen_lane
            localparam int At = k * Vlen + l;
            logic [W-1:0]               y;
            logic                       nan_q;
            logic signed [Mw+k-1:0]     sum;
            logic signed [10:0]         exponent;
            assign sum      = m[At*Ow +: Mw+k];
            assign exponent = {{(11-Exp){1'b0}}, e[At*Exp +: Exp]};
            // value = sum 2^(e - Bias - Man - G)
            mx_to_fp #(.W(Mw + k), .Ew(11), .Bias(Bias + Man + G), .Exp(Exp), .Man(Man)) u_round (
                .clk_i(clk_i), .m_i(sum), .e_i(exponent), .f_o(y));
            always_ff @(posedge clk_i) nan_q <= e[At*Exp +: Exp] == Top;
            assign y_o[At*W +: W] = nan_q ? Nan : y;
        end
    end
endmodule
