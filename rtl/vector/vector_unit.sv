// vector_unit - the vector machine: operations on rows of Vector SRAM, one a cycle, with the latencies of the timing plane.
//
// A command is given in the cycle its operation starts. Its rows are read in that cycle (data LatSram later); a row result is given to
// Vector SRAM, a scalar result to the register files, in cycle start + result - 1, where result is that of src/arch/timing.c. The unit
// never waits: the scoreboard sees to operands and order. V_TOPK, V_ROUTE and V_PICK are not commands of this unit.
//
// Operations of different latency may end in one cycle, so there is a result port for each: 0 add, max, min and movements, 1 multiply,
// 2 exp, 3 reciprocal, 4 scan, 5 + k Hadamard in groups of 2^k. Ports of equal latency never meet in a cycle.
// SPDX-License-Identifier: Apache-2.0
module vector_unit #(
    parameter int Vlen = plena_pkg::VLEN,
    parameter int Hlen = plena_pkg::HLEN,
    parameter int Exp = plena_pkg::VEXP,
    parameter int Man = plena_pkg::VMAN,
    parameter int LatSram = plena_pkg::LAT_SRAM,
    parameter int LatAdd = plena_pkg::LAT_VADD,
    parameter int LatMul = plena_pkg::LAT_VMUL,
    parameter int LatExp = plena_pkg::LAT_VEXP,
    parameter int LatReci = plena_pkg::LAT_VRECI,
    parameter int LatTree = plena_pkg::LAT_TREE_LEVEL,
    parameter int RowW = plena_pkg::ROW_W,
    parameter int W = 1 + Exp + Man,
    parameter int Levels = $clog2(Vlen),
    parameter int Results = 6 + Levels
) (
    input  logic                      clk_i,
    input  logic                      rst_ni,
    input  logic                      cmd_valid_i,
    input  plena_pkg::vector_t        cmd_i,
    // Vector SRAM
    output logic                      a_rd_o,
    output logic [RowW-1:0]           a_row_o,
    input  logic [Vlen*W-1:0]         a_data_i,
    output logic                      b_rd_o,
    output logic [RowW-1:0]           b_row_o,
    input  logic [Vlen*W-1:0]         b_data_i,
    output logic [Results-1:0]        wr_o,
    output logic [Results*RowW-1:0]   wr_row_o,
    output logic [Results*Vlen*W-1:0] wr_data_o,
    // registers
    output logic                      fp_wr_o,
    output logic [2:0]                fp_o,
    output logic [31:0]               fp_data_o,
    output logic                      gp_wr_o,
    output logic [3:0]                gp_o,
    output logic [31:0]               gp_data_o
);
    localparam int Groups = plena_pkg::GROUPS;
    localparam int LatReduce = LatTree * Levels + 2;
    localparam int Lw = $clog2(Levels + 1);

    // ---- what the operation is: bits that travel with it ----
    localparam int IsSub = 0, IsOrder = 1, IsMin = 2, IsShift = 3, IsSwap = 4, IsLimit = 5, IsScalar = 6, IsSum = 7, IsMax = 8, IsArg = 9,
                   ToAdd = 10, ToMul = 11, ToExp = 12, ToReci = 13, ToScan = 14, ToHad = 15, Flags = 16;
    logic [Flags-1:0] is;
    logic             two; // reads row_b
    always_comb begin
        is  = '0;
        two = 1'b0;
        case (cmd_i.op)
            plena_pkg::OP_V_ADD_VV: begin is[ToAdd] = 1'b1; two = 1'b1; end
            plena_pkg::OP_V_SUB_VV: begin is[ToAdd] = 1'b1; is[IsSub] = 1'b1; two = 1'b1; end
            plena_pkg::OP_V_MUL_VV: begin is[ToMul] = 1'b1; two = 1'b1; end
            plena_pkg::OP_V_ADD_VF: begin is[ToAdd] = 1'b1; is[IsScalar] = 1'b1; end
            plena_pkg::OP_V_SUB_VF: begin is[ToAdd] = 1'b1; is[IsSub] = 1'b1; is[IsScalar] = 1'b1; end
            plena_pkg::OP_V_MUL_VF: begin is[ToMul] = 1'b1; is[IsScalar] = 1'b1; end
            plena_pkg::OP_V_MAX_VF: begin is[ToAdd] = 1'b1; is[IsOrder] = 1'b1; is[IsScalar] = 1'b1; end
            plena_pkg::OP_V_MIN_VF: begin is[ToAdd] = 1'b1; is[IsOrder] = 1'b1; is[IsMin] = 1'b1; is[IsScalar] = 1'b1; end
            plena_pkg::OP_V_EXP_V:  is[ToExp] = 1'b1;
            plena_pkg::OP_V_RECI_V: is[ToReci] = 1'b1;
            plena_pkg::OP_V_SHFT_V: begin is[ToAdd] = 1'b1; is[IsShift] = 1'b1; end
            plena_pkg::OP_V_SWAP_V: begin is[ToAdd] = 1'b1; is[IsSwap] = 1'b1; end
            plena_pkg::OP_V_LIM_V:  begin is[ToAdd] = 1'b1; is[IsLimit] = 1'b1; end
            plena_pkg::OP_V_PS_V:   is[ToScan] = 1'b1;
            plena_pkg::OP_C_HADAMARD_TRANSFORM: is[ToHad] = 1'b1;
            plena_pkg::OP_V_RED_SUM: is[IsSum] = 1'b1;
            plena_pkg::OP_V_RED_MAX: is[IsMax] = 1'b1;
            plena_pkg::OP_V_ARGMAX:  begin is[IsMax] = 1'b1; is[IsArg] = 1'b1; end
            default: ;
        endcase
        if (!cmd_valid_i) is = '0;
    end
    assign a_rd_o  = is != '0;
    assign b_rd_o  = cmd_valid_i && two;
    assign a_row_o = cmd_i.row_a;
    assign b_row_o = cmd_i.row_b;

    // ---- until the operands are there ----
    logic [W-1:0]      scalar, scalar_q; // in the vector format
    logic [Flags-1:0]  at; // the operation whose operands are there
    logic              order; // and the other fields of its command
    logic [Groups-1:0] mask;
    logic [RowW-1:0]   row_d;
    logic [31:0]       f, number;
    logic [2:0]        fp;
    logic [3:0]        gp;
    logic [Vlen-1:0]   active;
    logic [Vlen*W-1:0] b;
    logic [Lw-1:0]     log_group;
    fp_convert #(.Exp(8), .Man(23), .Oexp(Exp), .Oman(Man)) u_scalar (.x_i(cmd_i.scalar), .y_o(scalar));
    mx_delay #(.W(Flags), .D(LatSram), .Rst(1)) u_is (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(is), .q_o(at));
    mx_delay #(.W(W + Groups + RowW + 72), .D(LatSram)) u_cmd (
        .clk_i(clk_i), .rst_ni(rst_ni), .d_i({scalar, cmd_i.order, cmd_i.mask, cmd_i.row_d, cmd_i.scalar, cmd_i.number, cmd_i.fp, cmd_i.gp}),
        .q_o({scalar_q, order, mask, row_d, f, number, fp, gp}));
    always_comb begin
        for (int l = 0; l < Vlen; l++) active[l] = (l / Hlen < Groups) ? mask[(l / Hlen) % Groups] : 1'b0;
        b         = at[IsScalar] ? {Vlen{scalar_q}} : b_data_i;
        log_group = '0;
        for (int k = 0; k <= Levels; k++) if (number[k]) log_group = Lw'(k);
    end

    // ---- rows ----
    localparam int RowBits = Vlen * W;
    vec_lanes #(.Vlen(Vlen), .Exp(Exp), .Man(Man), .LatAdd(LatAdd), .LatMul(LatMul), .LatExp(LatExp), .LatReci(LatReci)) u_lanes (
        .clk_i(clk_i), .rst_ni(rst_ni), .sub_i(at[IsSub]), .reverse_i(at[IsSub] && at[IsScalar] && order), .order_i(at[IsOrder]),
        .min_i(at[IsMin]), .shift_i(at[IsShift]), .swap_i(at[IsSwap]), .limit_i(at[IsLimit]), .above_i(order), .number_i(number),
        .active_i(active), .a_i(a_data_i), .b_i(b), .add_o(wr_data_o[0 +: RowBits]), .mul_o(wr_data_o[RowBits +: RowBits]),
        .exp_o(wr_data_o[2*RowBits +: RowBits]), .reci_o(wr_data_o[3*RowBits +: RowBits]));
    vec_scan #(.Vlen(Vlen), .Exp(Exp), .Man(Man), .Lat(LatAdd)) u_scan (
        .clk_i(clk_i), .rst_ni(rst_ni), .x_i(a_data_i), .y_o(wr_data_o[4*RowBits +: RowBits]));
    vec_hadamard #(.Vlen(Vlen), .Exp(Exp), .Man(Man)) u_hadamard (
        .clk_i(clk_i), .log_i(log_group), .x_i(a_data_i), .y_o(wr_data_o[5*RowBits +: (Levels+1)*RowBits]));
    for (genvar r = 0; r < Results; r++) begin : gen_result
        localparam int Lat = (r == 0) ? LatAdd : (r == 1) ? LatMul : (r == 2) ? LatExp : (r == 3) ? LatReci : (r == 4) ? LatAdd * Levels : 4 + r - 5;
        localparam int Kind = (r < 5) ? ToAdd + r : ToHad;
        logic mine;
        assign mine = at[Kind] && ((r < 5) || (log_group == Lw'(r - 5)));
        mx_delay #(.W(1), .D(Lat), .Rst(1)) u_wr (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(mine), .q_o(wr_o[r]));
        mx_delay #(.W(RowW), .D(Lat)) u_row (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(row_d), .q_o(wr_row_o[r*RowW +: RowW]));
    end

    // ---- scalars ----
    logic [31:0]       sum, max, first;
    logic              won, sum_done, max_done, arg_done;
    logic [Levels-1:0] lane;
    vec_reduce #(.Vlen(Vlen), .Exp(Exp), .Man(Man), .LatTree(LatTree)) u_reduce (
        .clk_i(clk_i), .rst_ni(rst_ni), .arg_i(at[IsArg]), .active_i(at[IsArg] ? {Vlen{1'b1}} : active), .f_i(f), .x_i(a_data_i),
        .sum_o(sum), .max_o(max), .won_o(won), .lane_o(lane));
    mx_delay #(.W(3), .D(LatReduce), .Rst(1)) u_done (
        .clk_i(clk_i), .rst_ni(rst_ni), .d_i({at[IsSum], at[IsMax], at[IsArg]}), .q_o({sum_done, max_done, arg_done}));
    mx_delay #(.W(39), .D(LatReduce)) u_register (
        .clk_i(clk_i), .rst_ni(rst_ni), .d_i({fp, gp, number}), .q_o({fp_o, gp_o, first}));
    assign fp_wr_o   = sum_done || max_done;
    assign fp_data_o = sum_done ? sum : max;
    assign gp_wr_o   = arg_done && won;
    assign gp_data_o = first + 32'(lane);

`ifndef SYNTHESIS
    always_ff @(posedge clk_i) if (cmd_valid_i) begin
        assert (is != '0) else $error("vector_unit: operation %0d is none of this unit", cmd_i.op);
        assert (!is[IsSwap] || ($onehot(cmd_i.number) && (cmd_i.number < Vlen))) else $error("vector_unit: halves of %0d lanes", cmd_i.number);
        assert (!is[ToHad] || ($onehot(cmd_i.number) && (cmd_i.number <= Vlen))) else $error("vector_unit: groups of %0d lanes", cmd_i.number);
    end
`endif
endmodule
