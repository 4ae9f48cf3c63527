// mx_align - the block-floating accumulators of C neighbouring elements of a row, fed one run a cycle (doc/numerics.md, 5).
//
// An accumulator is M * 2^E. A run comes as its exact sum and the two exponents of its operands; it and the accumulator meet
// at the larger exponent, the other shifted right and rounded half up; beyond Aw - 2 bits the sum moves up by one exponent.
// Each accumulator takes a run every C cycles, so the two stages never meet, but for C = 1, where the sum is forwarded.
// There are Ctx sets of accumulators (M_MM, batched, M_MV), and two widths at which sums move up, one for each right format.
// SPDX-License-Identifier: Apache-2.0
module mx_align #(
    parameter int C = 4,   // accumulators, and elements of a k-run
    parameter int Pw = 10,
    parameter int Aw = 32,
    parameter int G = 12,
    parameter int Ew = 11,
    parameter int Ctx = 1,
    parameter int Aw0 = Aw, // accumulator width with format 0, 1: at most Aw
    parameter int Aw1 = Aw
) (
    input  logic                 clk_i,
    input  logic [C-1:0]         sel_i,   // one-hot: whose run ends in this cycle
    input  logic [1:0]           ctx_i,
    input  logic                 fmt_i,
    input  logic                 first_i, // first run of a result
    input  logic                 last_i,  // last one
    input  logic [C*Pw-1:0]      psum_i,
    input  logic signed [Ew-1:0] left_e_i,
    input  logic signed [Ew-1:0] top_e_i,
    output logic                 valid_o,
    output logic [Aw-1:0]        m_o,
    output logic [Ew-1:0]        e_o
);
    localparam int Shw = $clog2(Aw + 1);
    logic [Aw-1:0] acc_m [Ctx*C];
    logic [Ew-1:0] acc_e [Ctx*C];

    // stage A: select the run and its accumulator, compare exponents, choose which side shifts
    logic [Pw-1:0]        p;
    logic [Aw-1:0]        hm;
    logic [Ew-1:0]        he;
    logic [Aw-1:0]        sum;
    logic [Ew-1:0]        sum_e;
    logic [C-1:0]         sel_q;
    logic [1:0]           ctx_q;
    logic                 fmt_q, again; // the sum on its way into the accumulator is the one asked for
    assign again = (C == 1) && (sel_q == sel_i) && ((Ctx == 1) || (ctx_q == ctx_i));
    always_comb begin
        p  = '0;
        hm = '0;
        he = '0;
        for (int j = 0; j < C; j++) begin
            if (sel_i[j]) begin
                p  = p | psum_i[j*Pw +: Pw];
                for (int x = 0; x < Ctx; x++) begin
                    if ((Ctx == 1) || (ctx_i == 2'(x))) begin
                        hm = hm | (again ? sum : acc_m[x*C+j]);
                        he = he | (again ? sum_e : acc_e[x*C+j]);
                    end
                end
            end
        end
        if (first_i) begin
            hm = '0;
            he = '0;
        end
    end
    logic signed [Ew:0]   ein, diff, adiff;
    logic signed [Aw-1:0] pin;
    assign ein   = (Ew+1)'(left_e_i) + (Ew+1)'(top_e_i);
    assign diff  = ein - (Ew+1)'($signed(he));
    assign adiff = diff[Ew] ? -diff : diff;
    assign pin   = {{(Aw-Pw-G){p[Pw-1]}}, p, {G{1'b0}}};

    logic signed [Aw-1:0] keep_q, move_q;
    logic [Shw-1:0]       sh_q;
    logic [Ew-1:0]        e_q;
    logic                 last_q;
    always_ff @(posedge clk_i) begin
        sel_q  <= sel_i;
        ctx_q  <= ctx_i;
        fmt_q  <= fmt_i;
        last_q <= last_i && (sel_i != '0);
        sh_q   <= (adiff > (Ew+1)'(Aw)) ? Shw'(Aw) : adiff[Shw-1:0];
        if (p == '0) begin // a run of zero changes nothing
            keep_q <= hm;
            move_q <= '0;
            e_q    <= he;
        end else if (!diff[Ew]) begin
            keep_q <= pin;
            move_q <= hm;
            e_q    <= ein[Ew-1:0];
        end else begin
            keep_q <= hm;
            move_q <= pin;
            e_q    <= he;
        end
    end

    // stage B: shift and round half up, add, renormalise
    logic signed [Aw:0]   down;
    logic signed [Aw-1:0] raw;
    logic                 over;
    assign down  = $signed({move_q, 1'b0}) >>> sh_q;
    assign raw   = keep_q + down[Aw:1] + $signed(Aw'(down[0]));
    logic over0, over1; // is not the sign alone from bit Aw0 - 2, Aw1 - 2 on
    assign over0 = (raw[Aw-1:Aw0-2] != '0) && !(&raw[Aw-1:Aw0-2]);
    assign over1 = (raw[Aw-1:Aw1-2] != '0) && !(&raw[Aw-1:Aw1-2]);
    assign over  = fmt_q ? over1 : over0;
    assign sum   = over ? {raw[Aw-1], raw[Aw-1:1]} + Aw'(raw[0]) : raw;
    assign sum_e = e_q + Ew'(over);
    for (genvar x = 0; x < Ctx; x++) begin : gen_ctx
        for (genvar j = 0; j < C; j++) begin : gen_acc
            always_ff @(posedge clk_i) begin
                if (sel_q[j] && ((Ctx == 1) || (ctx_q == 2'(x)))) begin
                    acc_m[x*C+j] <= sum;
                    acc_e[x*C+j] <= sum_e;
                end
            end
        end
    end
    always_ff @(posedge clk_i) begin
        valid_o <= last_q;
        m_o     <= sum;
        e_o     <= sum_e;
    end
endmodule
