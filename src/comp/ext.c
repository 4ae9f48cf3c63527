/* ext.c - names of the extensions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/comp.h"

const char *pl_comp_ext_name(enum pl_comp_ext e)
{
    static const char *const name[PL_EXT_COUNT] = {"step"};
    return name[e];
}
