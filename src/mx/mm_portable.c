/* mm_portable.c - the accumulation kernel for portable. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#define SUFFIX portable
#define TARGET
#include "mm_kernel.inc.h"
