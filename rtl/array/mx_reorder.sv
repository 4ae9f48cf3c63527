// mx_reorder - operands of one side of a sub-array, from row slices to skewed lanes.
//
// Beat i of a tile brings the N elements of lane i at once; the lane then leaves one element a cycle. Lane i is loaded i
// cycles after lane 0, so the order of loading is the skew of the systolic array, and one buffer sustains a tile every N
// cycles.
// SPDX-License-Identifier: Apache-2.0
module mx_reorder #(
    parameter int N = 4,
    parameter int W = 8,
    parameter int Iw = (N > 1) ? $clog2(N) : 1
) (
    input  logic           clk_i,
    input  logic           valid_i,
    input  logic [Iw-1:0]  beat_i,
    input  logic [N*W-1:0] slice_i,
    output logic [N*W-1:0] lane_o // element k of lane i in cycle i + k + 1 of the tile
);
    for (genvar i = 0; i < N; i++) begin : gen_lane
        logic [N*W-1:0] sr_q;
        always_ff @(posedge clk_i) begin
            if (valid_i && (beat_i == Iw'(i))) sr_q <= slice_i;
            else                               sr_q <= {{W{1'b0}}, sr_q[N*W-1:W]};
        end
        assign lane_o[i*W +: W] = sr_q[W-1:0];
    end
endmodule
