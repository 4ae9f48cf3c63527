/* package.c - the package plena_pkg of a machine: its parameters, widths, formats, latencies, and the commands of its units. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "plena/arch_timing.h"
#include "rtl_internal.h"

/* Bits that hold 0 .. n - 1, at least one. */
static unsigned bits_for(uint64_t n)
{
    return n > 2 ? pl_log2(n - 1) + 1 : 1;
}

void rtl_upper(const char *name, char out[64])
{
    size_t i = 0;
    for (; name[i] && i < 63; i++)
        out[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    out[i] = 0;
}

static void number(struct pl_buf *out, const char *name, uint64_t v)
{
    pl_buf_printf(out, "    localparam int %s = %llu;\n", name, (unsigned long long)v);
}

/* The whole numbers of arch.def that the hardware depends on, under their own names. */
static void parameters(const struct pl_arch *a, struct pl_buf *out)
{
    char name[64];
#define NUMBER_U32(n) rtl_upper(#n, name), number(out, name, a->n)
#define NUMBER_U64(n) (void)name
#define NUMBER_F64(n) (void)name
#define PARAM(section, name_, type, unit, dflt, least, most, source, doc) NUMBER_##type(name_);
#define FORMAT(section, name_, dflt, source, doc)
#define CHOICE(section, name_, dflt, choices, source, doc)
#include "plena/arch.def"
#undef PARAM
#undef FORMAT
#undef CHOICE
}

static void widths(const struct pl_arch *a, struct pl_buf *out)
{
    const uint32_t pitch = pl_arch_pitch(a);
    pl_buf_puts(out, "\n    // Derived. A word of Vector SRAM is PITCH lanes: the unit of operand rows; a row is VLEN lanes.\n");
    number(out, "PITCH", pitch);
    number(out, "WORDS", (uint64_t)a->vector_rows * a->vlen / pitch);
    number(out, "WORD_ROWS", pitch / a->vlen); /* rows of a word */
    number(out, "OPERAND_ROWS", a->mlen > a->vlen ? a->mlen / a->vlen : 1);
    number(out, "SUBARRAYS", a->mlen / a->blen);
    number(out, "HEADS", a->mlen / a->hlen);
    number(out, "GROUPS", a->vlen / a->hlen < 32 ? a->vlen / a->hlen : 32); /* bits of V_MASK that count */
    number(out, "ROW_W", bits_for(a->vector_rows));
    number(out, "WORD_W", bits_for((uint64_t)a->vector_rows * a->vlen / pitch));
    number(out, "LANE_W", bits_for(pitch));
    number(out, "LINE_W", bits_for(a->mlen));
    number(out, "TILE_W", bits_for(a->matrix_tiles));
    number(out, "FP_W", bits_for(a->fp_words));
    number(out, "INT_W", bits_for(a->int_words));
    number(out, "PC_W", bits_for(a->code_words + 1));
    number(out, "HBM_W", bits_for(a->hbm_bytes));
    number(out, "LOG_MLEN", pl_log2(a->mlen));
    number(out, "LOG_BLEN", pl_log2(a->blen));
    number(out, "LOG_HLEN", pl_log2(a->hlen));
    number(out, "LOG_VLEN", pl_log2(a->vlen));
    number(out, "LOG_PITCH", pl_log2(pitch));
    pl_buf_puts(out, "    localparam int LAT_W = 32; // cycles of one operation\n");
}

/* One format under a prefix. */
static void format(struct pl_buf *out, const char *prefix, const struct pl_format *f)
{
    const struct pl_edge e = pl_edge_of(f);
    const bool mxint = f->kind == PL_FORMAT_MXINT;
    char name[48];
    pl_format_name(f, name);
    const struct {
        const char *name;
        unsigned value;
    } v[] = {{"KIND", f->kind == PL_FORMAT_FLOAT ? 2u : mxint ? 0u : 1u}, {"BITS", pl_format_bits(f)}, {"BLOCK", f->block},
             {"EXP", mxint ? 0u : f->elem.exp_bits}, {"MAN", mxint ? 0u : f->elem.man_bits}, {"SPECIAL", mxint ? 2u : f->elem.special},
             {"RULE", f->rule}, {"EDGE_W", e.width}, {"FRAC", (unsigned)e.frac}, {"GROUP", e.group}};
    pl_buf_printf(out, "    // %s\n", name);
    for (size_t i = 0; i < PL_COUNT(v); i++)
        pl_buf_printf(out, "    localparam int %s_%s = %u;\n", prefix, v[i].name, v[i].value);
}

/* The arithmetic of the activation format against one right format. */
static enum pl_status product(const struct pl_arch *a, struct pl_buf *out, const char *name, const struct pl_format *act,
                              const struct pl_format *right, bool along_n, struct pl_diag *d)
{
    struct pl_mm_spec s;
    PL_TRY(pl_mm_spec_init(&s, act, right, along_n, a->vector_format.elem, a->mlen, a->blen, a->guard, a->acc_bits, d));
    pl_buf_printf(out, "    localparam int RUN_%s = %u;\n    localparam int ACC_%s = %u;\n", name, s.run, name, s.acc_bits);
    return PL_OK;
}

static enum pl_status formats(const struct pl_arch *a, struct pl_buf *out, struct pl_diag *d)
{
    const struct pl_minifloat vec = a->vector_format.elem;
    const struct pl_format w = pl_format_resolve(a->weight_format, vec), act = pl_format_resolve(a->act_format, vec),
                           kv = pl_format_resolve(a->kv_format, vec), v = {.kind = PL_FORMAT_FLOAT, .elem = vec, .block = 1};
    pl_buf_puts(out, "\n    // The vector format, and the four formats of transfers by their number. KIND 0 MXINT, 1 MXFP, 2 plain float;\n"
                     "    // SPECIAL as enum pl_special; at the array edge EDGE_W bits, FRAC of them fraction, GROUP elements share an exponent.\n");
    number(out, "VEXP", vec.exp_bits);
    number(out, "VMAN", vec.man_bits);
    number(out, "VW", 1u + vec.exp_bits + vec.man_bits);
    pl_buf_puts(out, "    localparam logic [1:0] FMT_WEIGHT = 2'd0;\n    localparam logic [1:0] FMT_ACT = 2'd1;\n"
                     "    localparam logic [1:0] FMT_KV = 2'd2;\n    localparam logic [1:0] FMT_VECTOR = 2'd3;\n");
    format(out, "WF", &w);
    format(out, "AF", &act);
    format(out, "KF", &kv);
    format(out, "VF", &v);
    pl_buf_puts(out, "    // Elements of a k-run and bits of an accumulator: activations against weights, KV, plain floats; T: rows of the\n"
                     "    // tile as vectors, N: its columns (straight use, scales folded into the left operand).\n");
    PL_TRY(product(a, out, "WT", &act, &w, false, d));
    PL_TRY(product(a, out, "WN", &act, &w, true, d));
    PL_TRY(product(a, out, "KT", &act, &kv, false, d));
    PL_TRY(product(a, out, "KN", &act, &kv, true, d));
    PL_TRY(product(a, out, "VT", &act, &v, false, d));
    return product(a, out, "VN", &act, &v, true, d);
}

/* issue and result as functions of class and shape: base + slope * blocks, taken from arch_timing. */
static void latency(const struct pl_arch *a, struct pl_buf *out, const char *name, bool result)
{
    pl_buf_printf(out, "    function automatic logic [LAT_W-1:0] %s(input logic [4:0] cls, input logic [LAT_W-1:0] blocks);\n        case (cls)\n", name);
    for (unsigned c = 0; c < PL_OPC_COUNT; c++) {
        const struct pl_latency one = pl_arch_latency(a, (enum pl_op_class)c, 1), two = pl_arch_latency(a, (enum pl_op_class)c, 2);
        const unsigned at1 = result ? one.result_cyc : one.issue_cyc, slope = (result ? two.result_cyc : two.issue_cyc) - at1;
        pl_buf_printf(out, "            5'd%u: %s = 32'd%u", c, name, at1 - slope);
        if (slope)
            pl_buf_printf(out, " + 32'd%u * blocks", slope);
        pl_buf_puts(out, ";\n");
    }
    pl_buf_printf(out, "            default: %s = 32'd1;\n        endcase\n    endfunction\n", name);
}

/* The same of classes without a shape, as numbers. */
static void latencies(const struct pl_arch *a, struct pl_buf *out)
{
    static const struct {
        const char *name;
        enum pl_op_class c;
    } fixed[] = {{"MM", PL_OPC_MM}, {"MM_WO", PL_OPC_MM_WO}, {"MV", PL_OPC_MV}, {"MV_WO", PL_OPC_MV_WO}, {"VADD", PL_OPC_VADD},
                 {"VMUL", PL_OPC_VMUL}, {"VEXP", PL_OPC_VEXP}, {"VRECI", PL_OPC_VRECI}, {"VMOVE", PL_OPC_VMOVE}, {"VSUM", PL_OPC_VSUM},
                 {"VMAX", PL_OPC_VMAX}, {"VSCAN", PL_OPC_VSCAN}, {"SFP", PL_OPC_SFP}, {"SEXP", PL_OPC_SEXP}, {"SDIV", PL_OPC_SDIV},
                 {"SMEM", PL_OPC_SMEM}, {"SMAP", PL_OPC_SMAP}, {"INT", PL_OPC_INT}, {"IMUL", PL_OPC_IMUL}};
    char name[64];
    pl_buf_puts(out, "\n    // Cycles: ISSUE until the unit takes the next operation, RESULT from the start until the result may be used: the last write\n"
                     "    // happens in cycle start + RESULT - 1. HADAMARD_BASE + log2(group); TOPK_BASE + values; BMM_TAIL + BLEN * blocks.\n");
    for (size_t i = 0; i < PL_COUNT(fixed); i++) {
        const struct pl_latency l = pl_arch_latency(a, fixed[i].c, 1);
        snprintf(name, sizeof name, "ISSUE_%s", fixed[i].name);
        number(out, name, l.issue_cyc);
        snprintf(name, sizeof name, "RESULT_%s", fixed[i].name);
        number(out, name, l.result_cyc);
    }
    number(out, "HADAMARD_BASE", pl_arch_latency(a, PL_OPC_VHADAMARD, 0).result_cyc);
    number(out, "TOPK_BASE", pl_arch_latency(a, PL_OPC_VTOPK, 0).result_cyc);
    number(out, "BMM_TAIL", pl_arch_latency(a, PL_OPC_BMM, 0).result_cyc);
    latency(a, out, "issue_cyc", false);
    latency(a, out, "result_cyc", true);
}

/* What the front end hands to the units. */
static const char commands[] =
    "\n"
    "    // ---- commands: given in the cycle the operation starts ----\n"
    "    // A product. Left row i is lanes [lane, lane + MLEN) of word `word` + i: BLEN rows, one if `one_row`, MLEN if `batched`\n"
    "    // and not `one_row`. Not batched: results are rows (transposed) or columns line .. line + BLEN - 1 of the tile, over lanes\n"
    "    // [q0, q0 + 2^log_width) of the left and [k0, ...) of the right. `first`: the accumulator (ACC_V, if `one_row`) holds\n"
    "    // nothing, so clear it. Batched: HEADS products of HLEN lanes against lanes (transposed) or rows [h0, h0 + HLEN) of the\n"
    "    // tile; result row (head * rows + i) goes to lanes [dst_lane, dst_lane + MLEN) of word dst_word + head * rows + i.\n"
    "    typedef struct packed {\n"
    "        logic              batched;\n"
    "        logic              one_row;\n"
    "        logic              transposed;\n"
    "        logic              first;\n"
    "        logic [WORD_W-1:0] word;\n"
    "        logic [LANE_W-1:0] lane;\n"
    "        logic [TILE_W-1:0] tile;\n"
    "        logic [LINE_W-1:0] line;\n"
    "        logic [LINE_W-1:0] q0;\n"
    "        logic [LINE_W-1:0] k0;\n"
    "        logic [LINE_W-1:0] h0;\n"
    "        logic [3:0]        log_width;\n"
    "        logic [WORD_W-1:0] dst_word;\n"
    "        logic [LANE_W-1:0] dst_lane;\n"
    "    } product_t;\n"
    "    // A write-out of ACC_M (BLEN rows) or ACC_V (`one_row`): row i goes to lanes [lane, lane + BLEN) of word\n"
    "    // word + i * step (modulo the width; step 0: the last row stays). `empty`: nothing was accumulated, so zeros. A write-out\n"
    "    // is of the products given before it in program order; the array is told so in the cycle it issues (`close`,\n"
    "    // `close_one_row`), which may be before it starts, and at the latest then.\n"
    "    typedef struct packed {\n"
    "        logic              one_row;\n"
    "        logic              empty;\n"
    "        logic [WORD_W-1:0] word;\n"
    "        logic [LANE_W-1:0] lane;\n"
    "        logic [WORD_W-1:0] step;\n"
    "    } write_out_t;\n"
    "    // A vector operation on rows; op is OP_V_* or OP_C_HADAMARD_TRANSFORM. scalar: f[rs2] of the VF forms, f[rd] of reductions\n"
    "    // and V_ARGMAX (binary32). number: gp[rs2] (shift, limit, half, group; first index of V_ARGMAX). mask: which groups of HLEN\n"
    "    // lanes are active, all ones if the operation has no mask. fp, gp: registers that take the results. V_TOPK: policy in\n"
    "    // `order`, indices from INT SRAM word number on, weights from FP SRAM word fp_addr on.\n"
    "    typedef struct packed {\n"
    "        logic [6:0]        op;\n"
    "        logic              order;\n"
    "        logic [GROUPS-1:0] mask;\n"
    "        logic [ROW_W-1:0]  row_d;\n"
    "        logic [ROW_W-1:0]  row_a;\n"
    "        logic [ROW_W-1:0]  row_b;\n"
    "        logic [31:0]       scalar;\n"
    "        logic [31:0]       number;\n"
    "        logic [2:0]        fp;\n"
    "        logic [3:0]        gp;\n"
    "        logic [FP_W-1:0]   fp_addr;\n"
    "    } vector_t;\n"
    "    // A transfer: `count` rows from row `row`, columns from `col` of a tensor (a descriptor of the image; the published forms are\n"
    "    // turned into one), to or from `place`: the first tile (loads of matrices: 2^log tiles side by side, MLEN rows each), or the\n"
    "    // first row of Vector SRAM, rows `step` apart. Rows and columns outside the tensor: zero, not transferred.\n"
    "    typedef struct packed {\n"
    "        logic [HBM_W-1:0]  elem_base;\n"
    "        logic [HBM_W-1:0]  scale_base;\n"
    "        logic [31:0]       rows;\n"
    "        logic [31:0]       cols;\n"
    "        logic [31:0]       elem_stride;\n"
    "        logic [31:0]       scale_stride;\n"
    "        logic [1:0]        fmt;\n"
    "        logic              repeats;\n"
    "        logic              tiled;\n"
    "    } desc_t;\n"
    "    typedef struct packed {\n"
    "        desc_t             desc;\n"
    "        logic [31:0]       row;\n"
    "        logic [31:0]       col;\n"
    "        logic [15:0]       count;\n"
    "        logic [3:0]        log_tiles;\n"
    "        logic [TILE_W-1:0] tile;\n"
    "        logic [ROW_W-1:0]  place;\n"
    "        logic [ROW_W-1:0]  step;\n"
    "    } transfer_t;\n";

static enum pl_status check(const struct pl_arch *a, struct pl_diag *d)
{
    if (strcmp(a->hbm_model, "simple") != 0)
        return pl_fail(d, PL_EUNSUPPORTED, "machine %s: the RTL knows hbm_model simple only, not %s", a->name, a->hbm_model);
    return PL_OK;
}

enum pl_status pl_rtl_package(const struct pl_arch *a, struct pl_buf *out, struct pl_diag *d)
{
    PL_TRY(check(a, d));
    pl_buf_printf(out, "// plena_pkg - machine %s; made by module rtl, do not edit.\n// SPDX-License-Identifier: Apache-2.0\n"
                       "/* verilator lint_off UNUSEDPARAM */\npackage plena_pkg;\n", a->name);
    parameters(a, out);
    widths(a, out);
    PL_TRY(formats(a, out, d));
    latencies(a, out);
    rtl_package_isa(out);
    pl_buf_puts(out, commands);
    pl_buf_puts(out, "endpackage\n");
    return PL_OK;
}
