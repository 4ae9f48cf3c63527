/* gen_timing_md.c - prints issue and result cycles of every instruction class on shipped machines,
 * for doc/timing.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "plena/arch_timing.h"

int main(void)
{
    static const char *const machine[] = {"tiny", "small", "paper"};
    static const struct {
        enum pl_op_class class;
        const char *name;
    } row[] = {
        {PL_OPC_MM, "MM"},       {PL_OPC_MM_WO, "MM_WO"},
        {PL_OPC_BMM, "BMM"},     {PL_OPC_MV, "MV"},
        {PL_OPC_MV_WO, "MV_WO"}, {PL_OPC_VADD, "VADD"},
        {PL_OPC_VMUL, "VMUL"},   {PL_OPC_VEXP, "VEXP"},
        {PL_OPC_VRECI, "VRECI"}, {PL_OPC_VMOVE, "VMOVE"},
        {PL_OPC_VSUM, "VSUM"},   {PL_OPC_VMAX, "VMAX"},
        {PL_OPC_VSCAN, "VSCAN"}, {PL_OPC_VHADAMARD, "VHADAMARD"},
        {PL_OPC_VTOPK, "VTOPK"}, {PL_OPC_SFP, "SFP"},
        {PL_OPC_SEXP, "SEXP"},   {PL_OPC_SDIV, "SDIV"},
        {PL_OPC_SMEM, "SMEM"},   {PL_OPC_SMAP, "SMAP"},
        {PL_OPC_INT, "INT"},     {PL_OPC_IMUL, "IMUL"},
        {PL_OPC_CTL, "CTL"},
    };
    struct pl_arch arch[PL_COUNT(machine)];
    struct pl_diag d;
    printf("| class |");
    for (size_t m = 0; m < PL_COUNT(machine); m++) {
        if (pl_arch_load(machine[m], &arch[m], &d) != PL_OK) {
            fprintf(stderr, "%s\n", d.text);
            return 1;
        }
        printf(" %s: MLEN %u, BLEN %u, VLEN %u |", machine[m], arch[m].mlen, arch[m].blen,
               arch[m].vlen);
    }
    printf("\n|---|---|---|---|\n");
    for (size_t i = 0; i < PL_COUNT(row); i++) {
        printf("| %s |", row[i].name);
        for (size_t m = 0; m < PL_COUNT(machine); m++) {
            const uint32_t side = arch[m].mlen / arch[m].blen;
            const uint32_t blocks = row[i].class == PL_OPC_BMM     ? side * side
                                    : row[i].class == PL_OPC_VTOPK ? 32
                                                                   : pl_log2(arch[m].hlen);
            const struct pl_latency l = pl_arch_latency(&arch[m], row[i].class, blocks);
            printf(" %u / %u |", l.issue_cyc, l.result_cyc);
        }
        printf("\n");
    }
    return 0;
}
