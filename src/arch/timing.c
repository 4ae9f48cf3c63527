/* timing.c - latency and initiation interval of every instruction class. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/arch_timing.h"

#include <math.h>

/* Read the operands, work, write: the frame of every vector operation. */
static struct pl_latency vector_op(const struct pl_arch *a, uint32_t work)
{
    return (struct pl_latency){1, a->lat_sram + work + 1};
}

static struct pl_latency matrix_op(const struct pl_arch *a, enum pl_op_class c, uint32_t blocks)
{
    /* Operand read, activation quantiser, skewed pass through the sub-array, aligner. */
    const uint32_t fill = a->lat_sram + a->lat_quant + 2 * a->blen + 3;
    const uint32_t tree = a->lat_tree_level * pl_log2(a->mlen / a->blen) + a->lat_convert;
    switch (c) {
    case PL_OPC_MM:
    case PL_OPC_MV:
        return (struct pl_latency){a->blen, fill};
    case PL_OPC_MM_WO:
        return (struct pl_latency){a->blen, tree + a->blen};
    case PL_OPC_MV_WO:
        return (struct pl_latency){1, tree + 1};
    default: /* PL_OPC_BMM: fused with its write-out */
        return (struct pl_latency){blocks * a->blen, blocks * a->blen + fill + tree};
    }
}

struct pl_latency pl_arch_latency(const struct pl_arch *a, enum pl_op_class c, uint32_t blocks)
{
    const uint32_t tree = a->lat_tree_level * pl_log2(a->vlen);
    switch (c) {
    case PL_OPC_MM:
    case PL_OPC_MM_WO:
    case PL_OPC_BMM:
    case PL_OPC_MV:
    case PL_OPC_MV_WO:
        return matrix_op(a, c, blocks);
    case PL_OPC_VMUL:
        return vector_op(a, a->lat_vmul);
    case PL_OPC_VEXP:
        return vector_op(a, a->lat_vexp);
    case PL_OPC_VRECI:
        return vector_op(a, a->lat_vreci);
    case PL_OPC_VADD:
    case PL_OPC_VMOVE:
        return vector_op(a, a->lat_vadd);
    case PL_OPC_VSUM:
    case PL_OPC_VMAX:
        return vector_op(a, tree + 2);
    case PL_OPC_VSCAN:
        return vector_op(a, a->lat_vadd * pl_log2(a->vlen));
    case PL_OPC_VHADAMARD:
        return vector_op(a, 4 + blocks);
    case PL_OPC_VTOPK:
        return (struct pl_latency){blocks, a->lat_sram + blocks + tree};
    case PL_OPC_SFP:
        return (struct pl_latency){1, a->lat_sfp};
    case PL_OPC_SEXP:
        return (struct pl_latency){1, a->lat_sexp};
    case PL_OPC_SDIV:
        return (struct pl_latency){a->lat_sdiv, a->lat_sdiv};
    case PL_OPC_SMEM:
        return (struct pl_latency){1, a->lat_sram};
    case PL_OPC_SMAP:
        return (struct pl_latency){(a->vlen + 15) / 16, (a->vlen + 15) / 16 + a->lat_sram};
    case PL_OPC_INT:
        return (struct pl_latency){1, a->lat_int};
    case PL_OPC_IMUL:
        return (struct pl_latency){1, a->lat_imul};
    default:
        return (struct pl_latency){1, 1};
    }
}

uint64_t pl_arch_hbm_cycles(const struct pl_arch *a, uint64_t bytes)
{
    return (uint64_t)ceil((double)bytes / a->hbm_bandwidth);
}
