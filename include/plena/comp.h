/* comp.h - the compiler: a checkpoint and a machine become a program image.
 *
 * The image has two entry points, "prefill" (a chunk of tokens) and "decode" (one token); both append to the KV cache
 * in HBM at the position given as a parameter, so one program serves every position. doc/lowering.md is the exact
 * order of operations.   Depends on: arch.h, map.h, model.h, obj.h.   Threads: OpenMP inside, same bytes always. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_COMP_H
#define PLENA_COMP_H
#include "plena/arch.h"
#include "plena/base.h"
#include "plena/model.h"
#include "plena/obj.h"

/* Extensions of the published instruction set that the compiler can do without, as bits of pl_comp_options.without. */
enum pl_comp_ext {
    PL_EXT_STEP, /* addresses of M_MM and M_TMM that step on */
    PL_EXT_COUNT
};
const char *pl_comp_ext_name(enum pl_comp_ext e); /* "step", ... */
/* The passes of the compiler, in their order (doc/compiler.md). */
enum pl_comp_pass { PL_PASS_PLAN, PL_PASS_LAYOUT, PL_PASS_HBM, PL_PASS_CHAIN, PL_PASS_EMIT, PL_PASS_COUNT };
const char *pl_comp_pass_name(enum pl_comp_pass p); /* "plan", ... */
struct pl_comp_options {
    const struct pl_format *weight, *act, *kv; /* NULL: the machine's */
    uint32_t context;                          /* most tokens of a sequence; 0: the model's, at most 4096 */
    uint32_t chunk;                            /* most tokens of a prefill pass; 0: as many as fit, at most 64 */
    uint32_t batch;                            /* sequences of a decode pass; 0: 1 */
    bool all_logits;                           /* prefill computes the logits of every row, not only of the last */
    struct pl_buf *map;                        /* gets the memory map as text; may be NULL */
    bool no_weights;                           /* leave HBM empty: for timing-only runs and code inspection; the checkpoint
                                                  needs no tensors then */
    uint32_t without;                          /* bit e: do without extension e */
    struct pl_buf *dump;                       /* text of what the pass `dump_after` has made; NULL: none */
    enum pl_comp_pass dump_after;
};
/* Compile. Everything in the image lives in `a`.
 *   params     "pos" first position, "tiles" KV tiles of the pass minus 1, "last" row of the last valid token, "blocks" of BLEN
 *              rows that hold tokens (prefill; at first those of a whole chunk),
 *              "first" KV tile of the first token that the pass's first row sees in windowed layers,
 *              "ids" first of chunk token ids (unused rows: any valid id)
 *              with a batch also "kv_row" first row of the sequence in the K and V caches ("capacity" times its number),
 *              for the prefill program, and "batch_pos", "batch_tiles", "batch_first", a word for each sequence, for decode, which takes
 *              the ids of all
 *   constants  "chunk", "context", "vocab", "layers", "kv_tile", "token" (INT SRAM word of the greedy choice),
 *              "window" (tokens, 0: none), "logits" (descriptor; prefill row r is row r with all_logits, else row 0 is the last row's), "logit_rows" (rows
 *              that prefill fills), "batch", "capacity", "tokens" (first word of the greedy choices of a batch),
 *              "prefill.layer_begin", ".layer_end" and the same of decode (pcs around the layers, for statistics; of
 *              the further layers of a pattern "prefill.1.layer_begin" ...)
 * Errors: as pl_map_plan and pl_map_fit_rows; PL_ENOMEM; PL_EUNSUPPORTED when HBM is too small. */
enum pl_status pl_comp_model(struct pl_arena *a, const struct pl_checkpoint *ck,
                             const struct pl_arch *arch, const struct pl_comp_options *opt,
                             struct pl_image *out, struct pl_diag *d);
#endif
