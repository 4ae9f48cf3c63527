/* mm_avx512.c - the accumulation kernel for avx512. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

#define SUFFIX avx512
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl" MM_WIDTH_512)))
#include "mm_kernel.inc.h"
#endif
