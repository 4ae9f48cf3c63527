/* arch_timing.h - latency and initiation interval of every instruction class: the only copy.
 *
 * Cycles, from parameters of the machine and the shape of the operation; doc/timing.md explains each formula.
 * Source: reference/rtl.md 2.3.4, 2.6-2.8.   Depends on: arch.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_ARCH_TIMING_H
#define PLENA_ARCH_TIMING_H
#include "plena/arch.h"

enum pl_op_class {
    PL_OPC_MM,       /* M_MM, M_TMM: one tile operand */
    PL_OPC_MM_WO,    /* M_MM_WO */
    PL_OPC_BMM,      /* M_B* with its write-out: rows x cols blocks of BLEN */
    PL_OPC_MV,       /* M_MV, M_TMV */
    PL_OPC_MV_WO,    /* M_MV_WO */
    PL_OPC_VADD, PL_OPC_VMUL, PL_OPC_VEXP, PL_OPC_VRECI, PL_OPC_VMOVE, /* VMOVE: shift, swap, limit */
    PL_OPC_VSUM, PL_OPC_VMAX, PL_OPC_VSCAN, PL_OPC_VHADAMARD, PL_OPC_VTOPK,
    PL_OPC_SFP, PL_OPC_SEXP, PL_OPC_SDIV, PL_OPC_SMEM, PL_OPC_SMAP, PL_OPC_INT, PL_OPC_IMUL,
    PL_OPC_CTL,
    PL_OPC_COUNT
};
struct pl_latency {
    uint32_t issue_cyc;  /* cycles the unit is occupied before the next operation can start in it */
    uint32_t result_cyc; /* from start to the last write */
};
/* blocks: R*C for PL_OPC_BMM, values streamed for PL_OPC_VTOPK, log2 of the group for PL_OPC_VHADAMARD; else ignored. */
struct pl_latency pl_arch_latency(const struct pl_arch *arch, enum pl_op_class c, uint32_t blocks);
/* Cycles an HBM transfer of `bytes` occupies the interface (bursts counted by the caller). */
uint64_t pl_arch_hbm_cycles(const struct pl_arch *arch, uint64_t bytes);
#endif
