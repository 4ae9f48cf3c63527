/* rtl_internal.h - parts of the package. Internal to rtl. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RTL_INTERNAL_H
#define RTL_INTERNAL_H
#include "plena/rtl.h"

/* Opcodes, units, classes, decoding. */
void rtl_package_isa(struct pl_buf *out);
#endif
