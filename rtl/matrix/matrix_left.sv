// matrix_left - left operand rows: choose the lanes, add the folded exponents, quantise to the activation format, decode.
//
// A row enters with its controls; integers and exponents leave Lquant cycles later. Lane groups of Hlen: a window of 2^log_i of
// them moves from group from_i to the bottom and the lanes above it are zero; all of them stay with log_i = log2(Mlen / Hlen)
// and from_i = 0. Blocks are 2^join_i parts of min(Hlen, block) lanes. No bits of a plain activation format are dropped: it is
// the vector format (doc/numerics.md, 4 and 7).
// SPDX-License-Identifier: Apache-2.0
module matrix_left #(
    parameter int Mlen = 16,
    parameter int Hlen = 8,
    parameter int Exp = 8,
    parameter int Man = 7,
    parameter int Lquant = 3,
    parameter int Akind = 0, // activation format: 0 MXINT, 1 MXFP, 2 plain
    parameter int Aexp = 0,
    parameter int Aman = 8,
    parameter int Aspecial = 2,
    parameter int Ablock = 16,
    parameter int Amax = 127,
    parameter int Aemax = 0,
    parameter int Aown = 0,
    parameter int Wl = 8,
    parameter int Ew = 11,
    parameter int Run = 4,
    parameter int Fw = 1 + Exp + Man,
    parameter int Re = Mlen / Run, // exponents of a row
    parameter int G = Mlen / Hlen,
    parameter int Gw = (G > 1) ? $clog2(G) : 1
) (
    input  logic               clk_i,
    input  logic               rst_ni,
    input  logic               valid_i,
    input  logic [Mlen*Fw-1:0] x_i,
    input  logic [Gw-1:0]      from_i,
    input  logic [3:0]         log_i,
    input  logic [3:0]         join_i,
    input  logic               fold_i,
    input  logic [Mlen*8-1:0]  fold_scale_i, // scale byte of each lane
    output logic [Mlen*Wl-1:0] v_o,
    output logic [Re*Ew-1:0]   e_o,
    output logic               nan_o         // a block held a NaN or an infinity
);
    localparam int Gf = Hlen * Fw;
    logic [Mlen*Fw-1:0] x;
    for (genvar g = 0; g < G; g++) begin : gen_window
        logic [Gw-1:0] src;
        assign src = Gw'(g) + from_i; // windows start at multiples of their width: no carry out
        always_comb begin
            x[g*Gf +: Gf] = '0;
            for (int k = 0; k < G; k++) begin
                if ((src == Gw'(k)) && ((g >> log_i) == 0)) x[g*Gf +: Gf] = x_i[k*Gf +: Gf];
            end
        end
    end
    logic [Mlen*9-1:0] add; // exponents to add: scale - 127, a scale of 255 adds nothing
    for (genvar l = 0; l < Mlen; l++) begin : gen_add
        logic [7:0] s;
        assign s = fold_scale_i[l*8 +: 8];
        assign add[l*9 +: 9] = (fold_i && (s != 8'hff)) ? {1'b0, s} - 9'd127 : 9'd0;
    end

    logic [Mlen*Wl-1:0] v;
    logic [Re*Ew-1:0]   e;
    logic               nan;
`ifndef YOSYS // which does not know $fatal
    if (Lquant < 2) begin : gen_bad
        initial $fatal(1, "matrix_left: the quantiser has two registers");
    end
`endif
    if (Akind == 2) begin : gen_plain
        logic [Mlen*Ew-1:0] own;
        logic [Mlen-1:0]    bad;
        for (genvar l = 0; l < Mlen; l++) begin : gen_lane
            logic signed [Ew-1:0] eo, ad;
            mx_edge #(.Kind(2), .Exp(Exp), .Man(Man), .Special(0), .Own(1), .W(Wl), .Ew(Ew)) u_edge (
                .code_i(x[l*Fw +: Fw]), .scale_i(8'd127), .v_o(v[l*Wl +: Wl]), .e_o(eo));
            assign ad = {{(Ew-9){add[l*9+8]}}, add[l*9 +: 9]};
            assign own[l*Ew +: Ew] = eo + ad;
            assign bad[l] = &x[l*Fw+Man +: Exp];
        end
        assign e   = own; // Run is 1
        assign nan = bad != '0;
        mx_delay #(.W(Mlen*Wl+Re*Ew), .D(Lquant)) u_out (.clk_i(clk_i), .rst_ni(1'b1), .d_i({v, e}), .q_o({v_o, e_o}));
        mx_delay #(.W(1), .D(Lquant), .Rst(1)) u_nan (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(nan && valid_i), .q_o(nan_o));
    end else begin : gen_mx
        localparam int Aw = (Akind == 0) ? Aman : 1 + Aexp + Aman;
        localparam int Wide = (Ablock < Mlen) ? Ablock : Mlen;   // lanes of a quantiser
        localparam int Part = (Wide < Hlen) ? Wide : Hlen;       // and of its parts
        localparam int Parts = Wide / Part;
        logic [Mlen*Aw-1:0]       code;
        logic [(Mlen/Part)*8-1:0] scale;
        logic [Mlen/Part-1:0]     bad;
        logic                     valid_q;
        for (genvar b = 0; b < Mlen / Wide; b++) begin : gen_block
            mx_quantise #(.N(Wide), .Exp(Exp), .Man(Man), .Kind(Akind), .Qexp(Aexp), .Qman(Aman), .MaxCode(Amax), .Emax(Aemax),
                          .Parts(Parts)) u_q (
                .clk_i(clk_i), .x_i(x[b*Wide*Fw +: Wide*Fw]), .add_i(add[b*Wide*9 +: Wide*9]), .join_i(join_i),
                .code_o(code[b*Wide*Aw +: Wide*Aw]), .scale_o(scale[b*Parts*8 +: Parts*8]), .nan_o(bad[b*Parts +: Parts]));
        end
        for (genvar l = 0; l < Mlen; l++) begin : gen_lane
            logic [Ew-1:0] el;
            mx_edge #(.Kind(Akind), .Exp((Akind == 0) ? 1 : Aexp), .Man(Aman), .Special(Aspecial), .Own(Aown), .W(Wl), .Ew(Ew)) u_edge (
                .code_i(code[l*Aw +: Aw]), .scale_i(scale[(l/Part)*8 +: 8]), .v_o(v[l*Wl +: Wl]), .e_o(el));
            if (l % Run == 0) begin : gen_e
                assign e[(l/Run)*Ew +: Ew] = el;
            end
        end
        mx_delay #(.W(1), .D(2), .Rst(1)) u_valid (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(valid_i), .q_o(valid_q));
        assign nan = valid_q && (bad != '0);
        mx_delay #(.W(Mlen*Wl+Re*Ew), .D(Lquant-2)) u_out (.clk_i(clk_i), .rst_ni(1'b1), .d_i({v, e}), .q_o({v_o, e_o}));
        mx_delay #(.W(1), .D(Lquant-2), .Rst(1)) u_nan (.clk_i(clk_i), .rst_ni(rst_ni), .d_i(nan), .q_o(nan_o));
    end
endmodule
