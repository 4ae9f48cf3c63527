// mx_delay - D registers in a row; reset to zero where Rst is set (flags), without reset else (data).
// SPDX-License-Identifier: Apache-2.0
module mx_delay #(
    parameter int W = 1,
    parameter int D = 1,
    parameter int Rst = 0
) (
    input  logic         clk_i,
    input  logic         rst_ni,
    input  logic [W-1:0] d_i,
    output logic [W-1:0] q_o
);
    if (D == 0) begin : gen_wire
        assign q_o = d_i;
    end else begin : gen_regs
        logic [W-1:0] q [D];
        if (Rst != 0) begin : gen_reset
            always_ff @(posedge clk_i or negedge rst_ni) begin
                if (!rst_ni) begin
                    for (int k = 0; k < D; k++) q[k] <= '0;
                end else begin
                    q[0] <= d_i;
                    for (int k = 1; k < D; k++) q[k] <= q[k-1];
                end
            end
        end else begin : gen_plain
            always_ff @(posedge clk_i) begin
                q[0] <= d_i;
                for (int k = 1; k < D; k++) q[k] <= q[k-1];
            end
        end
        assign q_o = q[D-1];
    end
endmodule
