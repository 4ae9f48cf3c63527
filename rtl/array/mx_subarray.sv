// mx_subarray - N x N output-stationary sub-array: processing elements, their aligners, operand reorder buffers.
//
// A tile of N beats: beat i brings row i of the left operand and column i of the right one, N elements along K each, and their
// exponents, one for each k-run. Tiles may follow each other without a gap. Results leave while the next tile runs: element
// (i, j) of a tile marked last, whose beat 0 is in cycle t, is valid in cycle t + N + 3 + i + j.
// With Ctx = 3 there are three sets of accumulators; set 2 (M_MV) is one row.
// SPDX-License-Identifier: Apache-2.0
module mx_subarray #(
    parameter int N = 4,
    parameter int Run = 4, // elements of a k-run; divides N
    parameter int Wl = 4,
    parameter int Wt = 4,
    parameter int Aw = 32,
    parameter int G = 12,
    parameter int Ew = 11,
    parameter int Pw = Wl + Wt + $clog2(Run),
    parameter int Iw = (N > 1) ? $clog2(N) : 1,
    parameter int R = N / Run, // runs of a tile, and aligners of a row
    parameter int Ctx = 1,
    parameter int Aw0 = Aw,
    parameter int Aw1 = Aw
) (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            valid_i,
    input  logic [Iw-1:0]   beat_i,
    input  logic            first_i, // level for all beats of a result's first tile
    input  logic            last_i,
    input  logic [1:0]      ctx_i,   // levels, too
    input  logic            fmt_i,
    input  logic [N*Wl-1:0] left_i,
    input  logic [N*Wt-1:0] top_i,
    input  logic [R*Ew-1:0] left_e_i,
    input  logic [R*Ew-1:0] top_e_i,
    output logic [N-1:0]    valid_o,
    output logic [N*Aw-1:0] m_o,
    output logic [N*Ew-1:0] e_o
);
    /* verilator no_inline_module */
    localparam int Depth = 2 * N;
    logic [N*Wl-1:0] l_in;
    logic [N*Wt-1:0] t_in;
    mx_reorder #(.N(N), .W(Wl)) u_left (
        .clk_i(clk_i), .valid_i(valid_i), .beat_i(beat_i), .slice_i(left_i), .lane_o(l_in));
    mx_reorder #(.N(N), .W(Wt)) u_top (
        .clk_i(clk_i), .valid_i(valid_i), .beat_i(beat_i), .slice_i(top_i), .lane_o(t_in));

    // What happens to element k of lane 0 in the cycle after its beat; element (i, j) sees it i + j cycles later.
    logic [Depth-1:0] on_q, start_q, end_q, first_q, last_q, ctx0_q, ctx1_q, fmt_q;
    logic             run_start, run_end;
    assign run_start = valid_i && ((32'(beat_i) % Run) == 0);
    assign run_end   = valid_i && ((32'(beat_i) % Run) == Run - 1);
    always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) begin
            on_q    <= '0;
            start_q <= '0;
            end_q   <= '0;
            first_q <= '0;
            last_q  <= '0;
            ctx0_q  <= '0;
            ctx1_q  <= '0;
            fmt_q   <= '0;
        end else begin
            on_q    <= {on_q[Depth-2:0], valid_i};
            start_q <= {start_q[Depth-2:0], run_start};
            end_q   <= {end_q[Depth-2:0], run_end};
            first_q <= {first_q[Depth-2:0], first_i && ((32'(beat_i) / Run) == 0)};
            last_q  <= {last_q[Depth-2:0], last_i && ((32'(beat_i) / Run) == R - 1)};
            ctx0_q  <= {ctx0_q[Depth-2:0], ctx_i[0]};
            ctx1_q  <= {ctx1_q[Depth-2:0], ctx_i[1]};
            fmt_q   <= {fmt_q[Depth-2:0], fmt_i};
        end
    end

    // The run of beat k ends in processing element (i, j) i + j cycles later: stage 1 + i + j of end_q is where its sum stands.
    // Aligner g of a row serves the columns g Run .. g Run + Run - 1, which end their runs one after another.

    // Right exponents: run r of column j is wanted in row 0 (r + 1) Run + 1 cycles after beat j.
    logic [Ew-1:0] te_q [R*(N+1)];
    for (genvar r = 0; r < R; r++) begin : gen_te
        always_ff @(posedge clk_i) begin
            te_q[r*(N+1)] <= top_e_i[r*Ew +: Ew];
            for (int d = 1; d < N + 1; d++) te_q[r*(N+1)+d] <= te_q[r*(N+1)+d-1];
        end
    end
    logic [Iw-1:0] run_q [N];
    always_ff @(posedge clk_i) begin
        run_q[0] <= Iw'(32'(beat_i) / Run);
        for (int d = 1; d < N; d++) run_q[d] <= run_q[d-1];
    end
    logic [R*Ew-1:0] te_0;
    for (genvar g = 0; g < R; g++) begin : gen_te_0
        logic [Iw-1:0] at_q; // the run whose columns are at aligner g
        always_ff @(posedge clk_i) if (end_q[g*Run]) at_q <= run_q[g*Run];
        always_comb begin
            te_0[g*Ew +: Ew] = '0;
            for (int r = 0; r < R; r++) if (at_q == Iw'(r)) te_0[g*Ew +: Ew] = te_q[r*(N+1)+(r+1)*Run];
        end
    end

    for (genvar i = 0; i < N; i++) begin : gen_row
        logic [(N+1)*Wl-1:0] h;
        logic [N*Pw-1:0]     ps;
        logic [R*Ew-1:0]     te;
        assign h[0 +: Wl] = l_in[i*Wl +: Wl];
        if (i == 0) begin : gen_te_first
            assign te = te_0;
        end else begin : gen_te_below
            logic [R*Ew-1:0] te_d_q;
            always_ff @(posedge clk_i) te_d_q <= gen_row[i-1].te;
            assign te = te_d_q;
        end
        for (genvar j = 0; j < N; j++) begin : gen_pe
            logic [Wt-1:0] top, bot;
            if (i == 0) begin : gen_first
                assign top = t_in[j*Wt +: Wt];
            end else begin : gen_below
                assign top = gen_row[i-1].gen_pe[j].bot;
            end
            mx_pe #(.Wl(Wl), .Wt(Wt), .Pw(Pw)) u_pe (
                .clk_i(clk_i), .valid_i(on_q[i+j]), .start_i(start_q[i+j]), .left_i(h[j*Wl +: Wl]), .top_i(top),
                .right_o(h[(j+1)*Wl +: Wl]), .bottom_o(bot), .psum_o(ps[j*Pw +: Pw]));
        end
        // Left exponents: loaded with the row's beat, handed out run by run, and on from aligner to aligner.
        logic [R*Ew-1:0] wait_q;
        logic [R*Ew-1:0] le_q;
        always_ff @(posedge clk_i) begin
            if (valid_i && (beat_i == Iw'(i))) wait_q <= left_e_i;
            else if (end_q[i])                 wait_q <= wait_q >> Ew;
        end
        // Outputs of the aligners of the row: one at a time.
        logic [R-1:0]    av;
        logic [R*Aw-1:0] am;
        logic [R*Ew-1:0] ae;
        for (genvar g = 0; g < R; g++) begin : gen_align
            localparam int At = 1 + i + g * Run;
            logic           first, last, fmt;
            logic [1:0]     ctx;
            logic [Run-1:0] sel;
            always_comb begin
                first = 1'b0;
                last  = 1'b0;
                fmt   = 1'b0;
                ctx   = 2'd0;
                for (int c = 0; c < Run; c++) begin
                    if (end_q[At+c]) begin
                        first = first | first_q[At+c];
                        last  = last | last_q[At+c];
                        fmt   = fmt | fmt_q[At+c];
                        ctx   = ctx | {ctx1_q[At+c], ctx0_q[At+c]};
                    end
                end
            end
            if (Ctx == 3 && i > 0) begin : gen_no_mv
                assign sel = ctx[1] ? '0 : end_q[At +: Run];
            end else begin : gen_all
                assign sel = end_q[At +: Run];
            end
            if (g == 0) begin : gen_le_first
                always_ff @(posedge clk_i) if (end_q[i]) le_q[0 +: Ew] <= wait_q[0 +: Ew];
            end else begin : gen_le_next
                always_ff @(posedge clk_i) if (end_q[i+g*Run]) le_q[g*Ew +: Ew] <= le_q[(g-1)*Ew +: Ew];
            end
            mx_align #(.C(Run), .Pw(Pw), .Aw(Aw), .G(G), .Ew(Ew), .Ctx((Ctx == 3 && i > 0) ? 2 : Ctx), .Aw0(Aw0), .Aw1(Aw1)) u_align (
                .clk_i(clk_i), .sel_i(sel), .ctx_i(ctx), .fmt_i(fmt), .first_i(first), .last_i(last),
                .psum_i(ps[g*Run*Pw +: Run*Pw]), .left_e_i(le_q[g*Ew +: Ew]), .top_e_i(te[g*Ew +: Ew]),
                .valid_o(av[g]), .m_o(am[g*Aw +: Aw]), .e_o(ae[g*Ew +: Ew]));
        end
        logic [Aw-1:0] m;
        logic [Ew-1:0] e;
        always_comb begin
            m = '0;
            e = '0;
            for (int g = 0; g < R; g++) begin
                if (av[g]) begin
                    m = m | am[g*Aw +: Aw];
                    e = e | ae[g*Ew +: Ew];
                end
            end
        end
        assign valid_o[i]         = av != '0;
        assign m_o[i*Aw +: Aw]    = m;
        assign e_o[i*Ew +: Ew]    = e;
    end
endmodule
