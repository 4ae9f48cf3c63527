/* arch.h - one description of a machine: parameters, validation, derived quantities, latencies.
 *
 * Every parameter is one row of arch.def. Sim, map, comp and perf read timing only from the functions here.
 * Source: DESIGN.md sections 2-5; rows of arch.def name theirs.   Depends on: base.h, mx.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_ARCH_H
#define PLENA_ARCH_H
#include "plena/base.h"
#include "plena/mx.h"

struct pl_arch {
    char name[64]; /* of the shipped machine or the file */
#define PL_ARCH_U32 uint32_t
#define PL_ARCH_U64 uint64_t
#define PL_ARCH_F64 double
#define PARAM(section, name, type, unit, dflt, least, most, source, doc) PL_ARCH_##type name;
#define FORMAT(section, name, dflt, source, doc) struct pl_format name;
#define CHOICE(section, name, dflt, choices, source, doc) char name[32];
#include "plena/arch.def"
#undef PARAM
#undef FORMAT
#undef CHOICE
};

/* A machine by shipped name ("tiny", "small", "paper", ...; see pl_arch_list) or YAML file path. Checked. The shipped
 * machines are embedded in the library from configs/. */
enum pl_status pl_arch_load(const char *name_or_path, struct pl_arch *out, struct pl_diag *d);
/* From a YAML text: sections of arch.def as maps; a section or key left out keeps its default; unknown or repeated
 * keys, wrong types and values out of range are errors with file:line:col. Then pl_arch_check. */
enum pl_status pl_arch_parse(const struct pl_source *src, struct pl_arch *out, struct pl_diag *d);
/* The same on top of what *out holds, without the check of the whole. */
enum pl_status pl_arch_overlay(const struct pl_source *src, struct pl_arch *out, struct pl_diag *d);
void pl_arch_defaults(struct pl_arch *out);
/* "mlen=128" or "array.mlen=128"; does not check the whole (call pl_arch_check after the last). */
enum pl_status pl_arch_set(struct pl_arch *arch, const char *assignment, struct pl_diag *d);
/* Relations between parameters: powers of two, divisibility, formats that fit the lanes; says which and why. */
enum pl_status pl_arch_check(const struct pl_arch *arch, struct pl_diag *d);
/* Loads start at tile and vector-row boundaries, so a block must not be wider than either. `what`: "weight", ... */
enum pl_status pl_arch_check_format(const struct pl_arch *arch, const char *what, const struct pl_format *f,
                                    struct pl_diag *d);
/* YAML that parses to the same machine, with unit and meaning as comments. */
void pl_arch_print(const struct pl_arch *arch, struct pl_buf *out);
/* Every parameter in the order of arch.def, its value as text. */
void pl_arch_each(const struct pl_arch *arch,
                  void (*visit)(void *ctx, const char *section, const char *name, const char *value, bool number), void *ctx);
/* What a parameter is; NONE: there is no such parameter. */
enum pl_arch_kind { PL_ARCH_NONE, PL_ARCH_NUMBER, PL_ARCH_FORMAT, PL_ARCH_CHOICE };
enum pl_arch_kind pl_arch_kind(const char *name);
/* The name nearest to `name` among all parameters, or NULL. */
const char *pl_arch_nearest(const char *name);
/* Value of a number, or bits of an element of a format (0: none); false for the rest. */
bool pl_arch_number(const struct pl_arch *arch, const char *name, double *out);
/* The format parameter `name`, or NULL. */
const struct pl_format *pl_arch_format(const struct pl_arch *arch, const char *name);
/* Help text: one line per parameter with type, unit, default, range, source, meaning. */
void pl_arch_help(struct pl_buf *out);
/* Names of the shipped machines; index from 0, NULL at the end. */
const char *pl_arch_list(size_t index);

/* PITCH: distance in elements between consecutive rows of an operand in Vector SRAM. */
static inline uint32_t pl_arch_pitch(const struct pl_arch *a)
{
    return a->mlen > a->vlen ? a->mlen : a->vlen;
}
#endif
