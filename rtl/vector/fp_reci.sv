// fp_reci - 1 / x, correctly rounded: the significand from a table of all significands (doc/numerics.md, 8). One register.
// SPDX-License-Identifier: Apache-2.0
module fp_reci #(
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int W = 1 + Exp + Man
) (
    input  logic         clk_i,
    input  logic [W-1:0] x_i,
    output logic [W-1:0] y_o
);
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    localparam logic [W-1:0]   Nan = {1'b0, Top, 1'b1, {(Man-1){1'b0}}};
    logic                  sign;
    logic [Exp-1:0]        field;
    logic [Man-1:0]        man;
    logic signed [Exp+1:0] ex;
    logic [9:0]            entry; // Yosys 0.23 does not narrow a function's result by a cast
    assign {sign, field, man} = x_i;
    assign ex = (Exp+2)'(2 * Bias) - $signed({2'b0, field}) - $signed((Exp+2)'(man != '0));
    assign entry = sfu_rom::reci(Man, 10'(man));
    always_ff @(posedge clk_i) begin
        if (field == Top)    y_o <= (man != '0) ? Nan : {sign, {(W-1){1'b0}}};
        else if (field == '0) y_o <= {sign, Top, {Man{1'b0}}};
        else if (ex <= 0)    y_o <= {sign, {(W-1){1'b0}}};
        else                 y_o <= {sign, ex[Exp-1:0], (man != '0) ? entry[Man-1:0] : {Man{1'b0}}};
    end
endmodule
