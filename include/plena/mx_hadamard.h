/* mx_hadamard.h - Hadamard matrices of many sizes: H H^T = n I, entries +1 and -1.
 *
 * H = C (x) S: C a core of Paley's constructions I (q + 1, q = 3 mod 4) or II (2 (q + 1), q = 1 mod 4) over a field of
 * q = p^k elements, or [1]; S Sylvester's of size 2^m. Built, not tabled.
 * Source: Paley 1933; shared/reference/quantization.md, 3.1.   Depends on: base.h.   Threads: read-only once made. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MX_HADAMARD_H
#define PLENA_MX_HADAMARD_H
#include "plena/base.h"

enum { PL_HADAMARD_CORE_MAX = 2048 };
struct pl_hadamard;
/* NULL when no construction here gives size n: n = 1, 2, or a multiple of 4 whose core is at most
 * PL_HADAMARD_CORE_MAX. Free with pl_hadamard_free. */
struct pl_hadamard *pl_hadamard_new(size_t n);
void pl_hadamard_free(struct pl_hadamard *h);
size_t pl_hadamard_core(const struct pl_hadamard *h); /* size of C */
int pl_hadamard_at(const struct pl_hadamard *h, size_t i, size_t j);
/* The row vector x double[n] becomes x H / sqrt(n) (or x H^T / sqrt(n)): n (log2(n / core) + core) additions. */
void pl_hadamard_apply(const struct pl_hadamard *h, bool transposed, double *x);
/* Sylvester's, not normalised, on every group of x double[n]: what pl_vec_hadamard does, without its rounding. group a
 * power of two that divides n; 0: nothing. */
void pl_hadamard_groups(double *x, size_t n, size_t group);
#endif
