// fp_exp - exp(x) as doc/numerics.md, 8 defines it in integers: |x| log2(e) in fixed point, rounded half up; floor and
// fraction; 2^f from a chord-centred linear table; one rounding half up. One register.
// SPDX-License-Identifier: Apache-2.0
module fp_exp #(
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int W = 1 + Exp + Man
) (
    input  logic         clk_i,
    input  logic [W-1:0] x_i,
    output logic [W-1:0] y_o
);
    localparam bit Wide = Man > 7;
    localparam int LogSeg = Wide ? 6 : 5;
    localparam int Frac = Wide ? 16 : 12;
    localparam int Bits = Wide ? 17 : 13; // of the table
    localparam int Lbits = Wide ? 20 : 15; // fraction bits of log2(e)
    localparam int Pw = Man + 1 + Lbits + 1;
    localparam int Low = Frac - LogSeg;
    localparam int Tw = Frac + 9; // t < 128 log2(e) < 2^8, and a sign
    localparam int Bias = (1 << (Exp - 1)) - 1;
    localparam int Drop = Bits - Man;
    localparam logic [Exp-1:0] Top = {Exp{1'b1}};
    localparam logic [W-1:0]   Nan = {1'b0, Top, 1'b1, {(Man-1){1'b0}}};
    localparam logic [W-1:0]   One = {1'b0, Exp'(Bias), {Man{1'b0}}};
    localparam logic [W-1:0]   Inf = {1'b0, Top, {Man{1'b0}}};

    logic                 sign;
    logic [Exp-1:0]       field;
    logic signed [Exp:0]  e;
    logic [Pw-1:0]        prod;
    logic [15:0]          shift;  // less the last step, which rounds
    logic [Pw-1:0]        half;
    logic [Tw-1:0]        t, ts;
    logic signed [9:0]    n;
    logic [Frac-1:0]      f;
    logic [LogSeg-1:0]    seg;
    logic [16:0]          base;
    logic [Bits-1:0]      v;
    logic [20:0]          log2e;
    logic [11:0]          slope;
    logic [Low+11:0]      step;
    logic [Bits:0]        rounded;
    logic signed [10:0]   exponent;
    assign sign  = x_i[W-1];
    assign field = x_i[W-2 -: Exp];
    assign e     = $signed({1'b0, field}) - (Exp+1)'(Bias);
    assign log2e = sfu_rom::log2e(Wide);
    assign prod  = Pw'({1'b1, x_i[Man-1:0]}) * Pw'(log2e);
    // value = prod 2^(e - Man - Lbits); e >= 7 is answered below
    assign shift = 16'(Man + Lbits - Frac - 1) - 16'(e);
    assign half  = (shift > 16'(Pw)) ? '0 : prod >> shift;
    assign t     = Tw'((half + 1'b1) >> 1);
    assign ts    = sign ? -t : t;
    assign n     = $signed({ts[Tw-1], ts[Tw-1:Frac]});
    assign f     = ts[Frac-1:0];
    assign seg   = f[Frac-1 -: LogSeg];
    assign base  = sfu_rom::exp_base(Wide, 6'(seg));
    assign slope = sfu_rom::exp_slope(Wide, 6'(seg));
    assign step  = (Low+12)'(slope) * (Low+12)'(f[Low-1:0]);
    assign v     = base[Bits-1:0] + Bits'(step >> Low); // 2^f - 1
    assign rounded  = {1'b0, v} + (Bits+1)'(1 << (Drop - 1));
    assign exponent = 11'(n) + $signed(11'(rounded[Bits])) + 11'(Bias);
    always_ff @(posedge clk_i) begin
        if (field == Top)                     y_o <= (x_i[Man-1:0] != '0) ? Nan : sign ? '0 : Inf;
        else if (field == '0)                 y_o <= One;
        else if (e >= (Exp+1)'(7))            y_o <= sign ? '0 : Inf;
        else if (exponent <= 0)               y_o <= '0;
        else if (exponent >= $signed(11'(Top))) y_o <= Inf;
        else                                  y_o <= {1'b0, exponent[Exp-1:0], rounded[Bits] ? {Man{1'b0}} : rounded[Bits-1 -: Man]};
    end
endmodule
