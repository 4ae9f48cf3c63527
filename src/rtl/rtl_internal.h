/* rtl_internal.h - parts of the package. Internal to rtl. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RTL_INTERNAL_H
#define RTL_INTERNAL_H
#include "plena/rtl.h"

/* package.c: the name in capital letters. */
void rtl_upper(const char *name, char out[64]);
/* Opcodes, units, classes, decoding. */
void rtl_package_isa(struct pl_buf *out);
#endif
