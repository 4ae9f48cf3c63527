/* verify.h - proves rules about a whole program before it runs: what the simulator would stop at, and what it would not.
 *
 * Every pc that can be reached is interpreted with strided intervals in the place of numbers. Passes of a loop whose
 * state moves by a constant are not walked one by one: their accesses are checked at both ends and, word by word and
 * tile by tile, in between (src/verify/loops.c). Rules: doc/verifier.md.
 * Depends on: arch.h, isa.h, obj.h.   Threads: every function works on its arguments only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_VERIFY_H
#define PLENA_VERIFY_H
#include "plena/arch.h"
#include "plena/base.h"
#include "plena/obj.h"

struct pl_verify_error {
    uint32_t pc;
    const char *insn, *op, *reason; /* op: "" where the image names none */
};
/* What an INT SRAM word may hold when a program starts: lo, lo + step, ... up to hi. */
struct pl_verify_word {
    uint32_t word, lo, hi, step;
};
struct pl_verify_report {
    const struct pl_verify_error *error; /* by the order of discovery, one for each pc */
    size_t n_error;
    size_t words, reached; /* instruction words; those some run reaches, or that a loop of no passes holds */
    uint64_t runs, steps;  /* entries times parameter values; instructions interpreted */
    uint64_t skipped;      /* loop passes that were proved instead of walked */
};
enum { PL_VERIFY_MOST_ERRORS = 64 };

/* Check the image on the machine. The words of its parameters "pos", "tiles", "last" and "ids" hold what pl_host gives
 * them; `more` adds words or goes before that. Errors of the program are in the report, which lives in `a`; the status
 * is about the check itself: PL_EUNSUPPORTED when a loop is neither short nor steady. */
enum pl_status pl_verify(struct pl_arena *a, const struct pl_arch *arch, const struct pl_image *img,
                         const struct pl_verify_word *more, size_t n_more, struct pl_verify_report *out, struct pl_diag *d);
/* The same, as one status: PL_EFAULT with the first error as "pc N (operator): instruction: reason". */
enum pl_status pl_verify_image(const struct pl_arch *arch, const struct pl_image *img, struct pl_diag *d);
/* "pc N (operator): instruction: reason" */
void pl_verify_text(const struct pl_verify_error *e, struct pl_buf *out);
#endif
