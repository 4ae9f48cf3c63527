/* mm_avx2.c - the accumulation kernel for avx2. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#define SUFFIX avx2
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,bmi2")))
#include "mm_kernel.inc.h"
#endif
