/* program.h - a program from a file: an image, an assembly text or a .mem text. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_PROGRAM_H
#define PLENA_CLI_PROGRAM_H
#include "cli.h"

enum program_kind { PROGRAM_IMAGE, PROGRAM_ASM, PROGRAM_MEM };
struct program {
    enum program_kind kind;
    struct pl_map file; /* the mapped file: blobs of an image point into it */
    uint32_t *code, *line;
    size_t n;
    struct pl_asm_label *label;
    size_t n_label;
    struct pl_image img; /* PROGRAM_IMAGE */
};
/* What a file holds is told from its first bytes: "PLENAIMG", "0x", anything else. */
enum pl_status program_load(struct pl_arena *a, const char *path, struct program *out, struct pl_diag *d);
void program_close(struct program *p);
/* The image of a hand-written program: no HBM contents, an entry for every label, formats of the machine. */
enum pl_status program_image(struct pl_arena *a, const struct program *p, const char *path, const struct pl_arch *arch,
                             struct pl_image *out, struct pl_diag *d);
#endif
