/* obj_internal.h - the lists that save.c and load.c share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OBJ_INTERNAL_H
#define OBJ_INTERNAL_H
#include <stdlib.h>

#include "plena/base_json.h"
#include "plena/obj.h"

enum { PL_IMAGE_VERSION = 2 };
#define PLAN_NUMBERS(X) X(mlen) X(blen) X(hlen) X(vlen) X(guard) X(acc_bits) X(head_slot) X(kv_tile) X(k_tiles) X(rotate)
#define DESC_NUMBERS(X) X(elem_base) X(scale_base) X(rows) X(cols) X(elem_stride) X(scale_stride)
#endif
