/* fastforward.h - what fast-forward keeps of the passes it records. Internal to sim; see fastforward.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_FASTFORWARD_H
#define SIM_FASTFORWARD_H
#include "sim_internal.h"

void sim_ff_init(struct pl_sim *sim);
void sim_ff_fini(struct pl_sim *sim);
/* Around an instruction while recording: before it runs, and when its times are known. */
struct ff_record *sim_ff_record(struct pl_sim *sim, const struct decoded *dec);
void sim_ff_recorded(struct pl_sim *sim, struct ff_record *r, const struct touch *x, const struct pl_sim_retired *done);
/* The loop that begins at loop_pc and counts in gp[reg] has just gone back to its start. */
void sim_ff_back_edge(struct pl_sim *sim, uint32_t loop_pc, uint8_t reg);
#endif
