/* preset.c - the shipped parameter sets, as assignments in their natural units over the defaults of hbm.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "hbm_internal.h"

/* Core timings of public HBM2 models (reference/hbm.md), the same ns in every generation: the array is the same DRAM. JESD235D and
 * JESD238 leave them to the vendor; public HBM3 models carry them over in the same way. The faster the clock, the more accesses cover
 * tRP + tRCD: from HBM2E on the queues hold 64. */
#define CORE_NS                                                                                                        \
    "tcl=14ns|trcd_rd=14ns|trcd_wr=12ns|trp=14ns|tras=34ns|trc=48ns|twr=16ns|trtp_s=4ns|trtp_l=5ns|trfc=350ns|trefi=3900ns|"  \
    "twtr_s=6ns|twtr_l=8ns|tfaw=16ns|trrefd=8ns|lat_in=0|lat_out=2|inject=0|hash=pc^co0 bg^co1 ba^co3|"

struct preset {
    const char *name, *doc, *set; /* set: assignments separated by '|' */
};
static const struct preset presets[] = {
    /* JESD235D: 8 channels x 2 pseudo-channels x 64 bit, BL4 = 32 bytes in 2 tCK, 1 KiB page, tCCD_S 2, tCCD_L 4, two-clock ACT. */
    {"hbm2", "HBM2, 2.0 Gb/s, 256 GB/s a stack of 8 GB",
     "clock_ps=1000|peak_gbs=256|rows=32768|" CORE_NS "tcwl=4|trrd_s=4|trrd_l=4|tccd_s=2|tccd_l=4|trtw=14|act_cyc=2"},
    /* JESD235D at 3.6 Gb/s (reference/hbm.md: 3.2-3.6): tCK = 2 / 3.6 Gb/s. */
    {"hbm2e", "HBM2E, 3.6 Gb/s, 461 GB/s a stack of 16 GB",
     "clock_ps=555.5555556|read_queue=64|write_queue=64|peak_gbs=460.8|rows=65536|" CORE_NS "trc=88|tcwl=8|trrd_s=4|trrd_l=4ns|tccd_s=2|tccd_l=4|trtw=22|act_cyc=2"},
    /* JESD238: 16 channels x 2 pseudo-channels x 32 bit, BL8 = 32 bytes, tCK = 4 / data rate (four beats a clock), so a burst takes
     * 2 tCK; per-bank refresh, each bank once in tREFI: 3900 ns / 16. */
    {"hbm3", "HBM3, 6.4 Gb/s, 819 GB/s a stack of 16 GB, per-bank refresh",
     "clock_ps=625|read_queue=64|write_queue=64|peak_gbs=819.2|channels=16|width=32|burst_length=8|columns=256|rows=32768|" CORE_NS
     "trc=78|tcwl=7|trrd_s=4|trrd_l=4ns|tccd_s=2|tccd_l=4|trtw=22|act_cyc=2|refresh=per_bank|trfc_pb=200ns|trefi_pb=243.75ns"},
    /* JESD238A at 9.6 Gb/s (reference/hbm.md: 9.2-9.6). */
    {"hbm3e", "HBM3E, 9.6 Gb/s, 1229 GB/s a stack of 32 GB, per-bank refresh",
     "clock_ps=416.6666667|read_queue=64|write_queue=64|peak_gbs=1228.8|channels=16|width=32|burst_length=8|columns=256|rows=65536|" CORE_NS
     "tcwl=10|trrd_s=4|trrd_l=4ns|tccd_s=2|tccd_l=4|trtw=30|act_cyc=2|refresh=per_bank|trfc_pb=200ns|trefi_pb=243.75ns"},
    /* reference/hbm.md, first column. Row buffer 1 KiB; mapping row-bankgroup-bank-channel-column; read to write = CL + burst - CWL + 1.
     * lat_in + lat_out: the idle latency given there, see doc/hbm.md. Two commands a clock (row and column bus). */
    {"dramsim3-hbm2", "parameters of DRAMSim3's HBM2_8Gb_x128, legacy mode, 256 GB/s",
     "clock_ps=1000|peak_gbs=256|channels=8|pseudo=1|width=128|burst_length=4|columns=64|rows=32768|burst=2|tcl=14|tcwl=4|trcd_rd=14|"
     "trcd_wr=14|trp=14|tras=34|trc=48|trrd_s=4|trrd_l=6|tccd_s=1|tccd_l=2|tfaw=30|twtr_s=6|twtr_l=8|trtw=13|twr=16|trtp_s=4|trtp_l=6|"
     "trfc=260|trefi=3900|trefi_pb=128|act_cyc=1|refresh=all_bank|read_queue=32|write_queue=32|inject=8|mapping=st ro bg ba ch co|"
     "hash=|lat_in=0|lat_out=2"},
    /* reference/hbm.md, second column. tWTR: write to read 13 / 15 as stated there = CWL 4 + burst 2 + 7 / 9. The mapper takes lines to
     * channels first, then MOP4CLXOR inside a channel: pc, bank group and bank are XORed with the bits of the column. */
    {"ramulator2.1-hbm2", "parameters of Ramulator 2.1's HBM2_8Gb, HBM2_2000Mbps, 256 GB/s",
     "clock_ps=1000|peak_gbs=256|channels=8|pseudo=2|width=64|burst_length=4|columns=128|rows=65536|burst=2|tcl=14|tcwl=4|trcd_rd=14|"
     "trcd_wr=12|trp=14|tras=34|trc=48|trrd_s=4|trrd_l=4|tccd_s=2|tccd_l=4|tfaw=15|twtr_s=7|twtr_l=9|trtw=14|twr=16|trtp_s=5|trtp_l=5|"
     "trfc=350|trefi=3900|trfc_pb=160|trefi_pb=122|act_cyc=2|refresh=all_bank|read_queue=32|write_queue=32|drain_high=80|drain_low=20|"
     "inject=8|mapping=ro co[4:2] ba bg pc co[1] st ch co[0]|hash=pc^co0 bg^co1 ba^co3|lat_in=0|lat_out=0"},
};

const char *pl_hbm_preset_name(size_t index)
{
    return index < PL_COUNT(presets) ? presets[index].name : NULL;
}

const char *pl_hbm_preset_doc(size_t index)
{
    return index < PL_COUNT(presets) ? presets[index].doc : NULL;
}

/* Apply "a=1|b=2". */
static enum pl_status apply(struct pl_hbm_params *p, const char *set, struct pl_diag *d)
{
    char one[PL_HBM_TEXT];
    while (*set) {
        const size_t n = strcspn(set, "|");
        snprintf(one, sizeof one, "%.*s", (int)n, set);
        PL_TRY(pl_hbm_set(p, one, d));
        set += n + (set[n] == '|');
    }
    return PL_OK;
}

enum pl_status pl_hbm_preset(const char *name, struct pl_hbm_params *out, struct pl_diag *d)
{
    const char *names[PL_COUNT(presets)];
    char list[256] = "";
    for (size_t i = 0; i < PL_COUNT(presets); i++) {
        names[i] = presets[i].name;
        snprintf(list + strlen(list), sizeof list - strlen(list), " %s", names[i]);
        if (strcmp(names[i], name) != 0)
            continue;
        hbm_defaults(out);
        snprintf(out->name, sizeof out->name, "%s", name);
        PL_TRY(apply(out, presets[i].set, d));
        return pl_hbm_check_params(out, d);
    }
    const char *near = pl_nearest(name, names, PL_COUNT(presets));
    return pl_fail(d, PL_EUSAGE, "no HBM preset \"%s\"%s%s%s; presets:%s", name, near ? "; did you mean \"" : "", near ? near : "",
                   near ? "\"?" : "", list);
}
