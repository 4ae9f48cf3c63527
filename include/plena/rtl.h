/* rtl.h - the accelerator in SystemVerilog from C: its package for a machine.
 *
 * The sources are in rtl/; doc/rtl.md says what they are.   Depends on: arch.h, isa.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_RTL_H
#define PLENA_RTL_H
#include "plena/arch.h"
#include "plena/base.h"
#include "plena/isa.h"

/* The package plena_pkg of a machine, appended to `out`: parameters, widths, formats, decoding, latencies, and the commands
 * of the units. PL_EUNSUPPORTED for a machine that the RTL cannot be (which and why). */
enum pl_status pl_rtl_package(const struct pl_arch *arch, struct pl_buf *out, struct pl_diag *d);
#endif
