/* package_isa.c - the part of plena_pkg that follows from the instruction set: names of operations, units and classes, and
 * one function that decodes a word. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../isa/isa_internal.h"
#include "plena/arch_timing.h"
#include "plena/sim.h"
#include "rtl_internal.h"

static const char *const class_name[PL_OPC_COUNT] = {
    "MM", "MM_WO", "BMM", "MV", "MV_WO", "VADD", "VMUL", "VEXP", "VRECI", "VMOVE", "VSUM", "VMAX", "VSCAN", "VHADAMARD", "VTOPK",
    "SFP", "SEXP", "SDIV", "SMEM", "SMAP", "INT", "IMUL", "CTL"};

static enum pl_op_class class_of(enum pl_op op)
{
    switch (op) {
    case PL_M_MM: case PL_M_TMM: return PL_OPC_MM;
    case PL_M_MM_WO: return PL_OPC_MM_WO;
    case PL_M_BMM: case PL_M_BTMM: case PL_M_BMM_WO: case PL_M_BMV_WO: return PL_OPC_BMM; /* with rd = 0: CTL */
    case PL_M_MV: case PL_M_TMV: return PL_OPC_MV;
    case PL_M_MV_WO: return PL_OPC_MV_WO;
    case PL_V_ADD_VV: case PL_V_ADD_VF: case PL_V_SUB_VV: case PL_V_SUB_VF: case PL_V_MAX_VF: case PL_V_MIN_VF: return PL_OPC_VADD;
    case PL_V_MUL_VV: case PL_V_MUL_VF: return PL_OPC_VMUL;
    case PL_V_EXP_V: return PL_OPC_VEXP;
    case PL_V_RECI_V: return PL_OPC_VRECI;
    case PL_V_SHFT_V: case PL_V_SWAP_V: case PL_V_LIM_V: return PL_OPC_VMOVE;
    case PL_V_RED_SUM: return PL_OPC_VSUM;
    case PL_V_RED_MAX: case PL_V_ARGMAX: return PL_OPC_VMAX;
    case PL_V_PS_V: return PL_OPC_VSCAN;
    case PL_C_HADAMARD_TRANSFORM: return PL_OPC_VHADAMARD;
    case PL_V_TOPK: case PL_V_ROUTE: case PL_V_PICK: return PL_OPC_VTOPK;
    case PL_S_ADD_FP: case PL_S_SUB_FP: case PL_S_MAX_FP: case PL_S_MUL_FP: return PL_OPC_SFP;
    case PL_S_EXP_FP: return PL_OPC_SEXP;
    case PL_S_RECI_FP: case PL_S_SQRT_FP: return PL_OPC_SDIV;
    case PL_S_LD_FP: case PL_S_ST_FP: case PL_S_LD_INT: case PL_S_ST_INT: return PL_OPC_SMEM;
    case PL_S_MAP_V_FP: return PL_OPC_SMAP;
    case PL_S_ADD_INT: case PL_S_ADDI_INT: case PL_S_SUB_INT: case PL_S_LUI_INT: return PL_OPC_INT;
    case PL_S_MUL_INT: return PL_OPC_IMUL;
    default: return PL_OPC_CTL;
    }
}

static void names(struct pl_buf *out)
{
    char unit[64];
    pl_buf_puts(out, "\n    // Operations, in the order of isa.def; units; classes of latency.\n");
    for (unsigned op = 0; op < PL_OP_COUNT; op++)
        pl_buf_printf(out, "    localparam logic [6:0] OP_%s = 7'd%u;\n", op_row[op].info.name, op);
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        rtl_upper(pl_sim_unit_name((enum pl_sim_unit)u), unit);
        pl_buf_printf(out, "    localparam logic [2:0] UNIT_%s = 3'd%u;\n", unit, u);
    }
    for (unsigned c = 0; c < PL_OPC_COUNT; c++)
        pl_buf_printf(out, "    localparam logic [4:0] CLASS_%s = 5'd%u;\n", class_name[c], c);
}

static const char decoded[] =
    "\n"
    "    // A decoded word. Registers by the field that names them, s: read, d: written. shared_*: FP SRAM, INT SRAM, address\n"
    "    // registers, control registers, from bit 0 up. has_*: the format has the field; the others count as 0.\n"
    "    typedef struct packed {\n"
    "        logic       valid;\n"
    "        logic [6:0] op;\n"
    "        logic [2:0] unit;\n"
    "        logic [4:0] cls;\n"
    "        logic       gp_rd_s;\n"
    "        logic       gp_rd_d;\n"
    "        logic       gp_rs1_s;\n"
    "        logic       gp_rs2_s;\n"
    "        logic       gp_rs3_s;\n"
    "        logic       gp_rs3_d;\n"
    "        logic       fp_rd_s;\n"
    "        logic       fp_rd_d;\n"
    "        logic       fp_rs1_s;\n"
    "        logic       fp_rs2_s;\n"
    "        logic [3:0] shared_s;\n"
    "        logic [3:0] shared_d;\n"
    "        logic       has_rd;\n"
    "        logic       has_rs1;\n"
    "        logic       has_rs2;\n"
    "        logic       has_rs3;\n"
    "        logic       has_fn;\n"
    "        logic       imm18;\n"
    "        logic       imm22;\n"
    "    } dec_t;\n"
    "    localparam int DEC_W = 41;\n";

static unsigned shared_bits(uint32_t effects, const uint32_t mask[4])
{
    unsigned bits = 0;
    for (unsigned k = 0; k < 4; k++)
        bits |= (effects & mask[k] ? 1u : 0u) << k;
    return bits;
}

static bool has_field(enum pl_op op, unsigned field)
{
    const struct format *f = op_row[op].format;
    for (unsigned k = 0; k < f->count; k++)
        if (f->operand[k].field == field && f->operand[k].kind != OPD_ZERO && f->operand[k].kind != OPD_IGNORE)
            return true;
    return false;
}

/* The bits of dec_t for one operation, first member first. */
static void decoded_bits(enum pl_op op, char out[64])
{
    static const uint32_t reads[4] = {PL_R_FPMEM, PL_R_INTMEM, PL_R_AREG, PL_R_CSR};
    static const uint32_t writes[4] = {PL_W_FPMEM, PL_W_INTMEM, PL_W_AREG, PL_W_CSR};
    const struct pl_insn probe = {.op = (uint8_t)op, .rd = 1, .rs1 = 2, .rs2 = 3, .rs3 = 4};
    struct pl_insn_regs r;
    pl_isa_registers(&probe, &r);
    const struct {
        unsigned value, width;
    } part[] = {{1, 1}, {op, 7}, {pl_sim_unit_of(op), 3}, {class_of(op), 5},
                {r.gp_src >> 1 & 1u, 1}, {r.gp_dst >> 1 & 1u, 1}, {r.gp_src >> 2 & 1u, 1}, {r.gp_src >> 3 & 1u, 1},
                {r.gp_src >> 4 & 1u, 1}, {r.gp_dst >> 4 & 1u, 1}, {r.fp_src >> 1 & 1u, 1}, {r.fp_dst >> 1 & 1u, 1},
                {r.fp_src >> 2 & 1u, 1}, {r.fp_src >> 3 & 1u, 1},
                {shared_bits(op_row[op].info.effects, reads), 4}, {shared_bits(op_row[op].info.effects, writes), 4},
                {has_field(op, FLD_RD), 1}, {has_field(op, FLD_RS1), 1}, {has_field(op, FLD_RS2), 1}, {has_field(op, FLD_RS3), 1},
                {has_field(op, FLD_FN), 1}, {has_field(op, FLD_IMM18), 1}, {has_field(op, FLD_IMM22), 1}};
    char *at = out;
    for (unsigned i = 0; i < PL_COUNT(part); i++)
        for (unsigned b = part[i].width; b-- > 0;)
            *at++ = (char)('0' + (part[i].value >> b & 1));
    *at = 0;
}

void rtl_package_isa(struct pl_buf *out)
{
    names(out);
    pl_buf_puts(out, decoded);
    pl_buf_puts(out, "    // The bits of a dec_t from {function, opcode} = {word[25:22], word[5:0]}; all zero for what is no instruction.\n"
                     "    function automatic logic [DEC_W-1:0] decode(input logic [9:0] key);\n"
                     "        casez (key)\n");
    for (unsigned op = 0; op < PL_OP_COUNT; op++) {
        char bits[64], fn[8] = "????";
        decoded_bits((enum pl_op)op, bits);
        for (unsigned b = 0; b < 4 && op_row[op].fn != FN_ANY; b++)
            fn[b] = (char)('0' + (op_row[op].fn >> (3 - b) & 1));
        char code[8];
        for (unsigned b = 0; b < 6; b++)
            code[b] = (char)('0' + (op_row[op].opcode >> (5 - b) & 1));
        code[6] = 0;
        pl_buf_printf(out, "            10'b%s%s: decode = %zu'b%s; // %s\n", fn, code, strlen(bits), bits, op_row[op].info.name);
    }
    pl_buf_puts(out, "            default: decode = '0;\n        endcase\n    endfunction\n");
}
