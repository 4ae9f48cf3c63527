/* random_program.h - random legal programs: loop nests over every unit, for tests of the simulator's planes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RANDOM_PROGRAM_H
#define RANDOM_PROGRAM_H
#include "plena/arch.h"
#include "plena/isa.h"
#include "plena/obj.h"

/* A program of about `budget` dynamic instructions for `arch`, with two source tensors, one destination and random data,
 * in the arena. Same seed, same program. */
void random_program(struct pl_arena *a, const struct pl_arch *arch, uint64_t seed, uint64_t budget, struct pl_image *out);
#endif
