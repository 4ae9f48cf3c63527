/* map.h - how a model runs on a machine: the numeric plan, row counts, Vector SRAM layout. Pure functions.
 *
 * Source: DESIGN.md section 2 (map), doc/lowering.md.   Depends on: arch.h, model.h, mx_plan.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MAP_H
#define PLENA_MAP_H
#include "plena/arch.h"
#include "plena/model.h"
#include "plena/mx_plan.h"

/* The plan under which `model` runs on `arch` with these formats (NULL: the machine's own).
 * Errors: PL_EUNSUPPORTED when blocks are wider than a tile or a vector row, or Matrix SRAM cannot hold two operand
 * sets. */
enum pl_status pl_map_plan(const struct pl_arch *arch, const struct pl_model_config *model,
                           const struct pl_format *weight, const struct pl_format *act,
                           const struct pl_format *kv, struct pl_plan *out, struct pl_diag *d);

/* A tensor of `rows` token rows and `cols` lanes in Vector SRAM is kept in chunks of PITCH lanes:
 * element (r, c) at base + (c / PITCH) * rows * PITCH + r * PITCH + c % PITCH. */
struct pl_map_tensor {
    uint64_t base; /* element address */
    uint32_t rows; /* allocated rows, a multiple of BLEN for operands of the array */
    uint32_t cols; /* lanes in use; the rest up to a multiple of PITCH are zero */
};
/* What the experts of a pass need beside. */
struct pl_map_experts {
    struct pl_map_tensor logits, gate, up, shared_gate, shared_up, shared_out;
    struct pl_map_tensor rows;                  /* inputs of one expert, then its outputs; packed from row 0 on */
    struct pl_map_tensor score, choice, bias;   /* single rows */
    /* INT SRAM: first word, counted from pl_map_rows.int_base on, of */
    uint32_t params;                            /* what V_ROUTE wants to know */
    uint32_t state;                             /* PL_MOE_WORDS words of loops, see comp */
    uint32_t chosen;                            /* top_k experts of each token, rising */
    uint32_t count;                             /* for each expert its tokens, then where the next of them goes in: */
    uint32_t place, token;                      /* (token, expert) pairs by expert: their number in `chosen`; their row */
    uint32_t busy;                              /* experts with tokens, rising: expert, tokens */
    uint32_t blocks;                            /* blocks of BLEN rows that 0.. rows take */
    uint32_t weight;                            /* FP SRAM: of each chosen one */
};
enum { PL_MOE_WORDS = 8 };
/* Vector SRAM of one pass over the model with `live` token rows.
 *
 * The rows of attention are the tokens, for one query head after another. In a pass of one token that would leave all
 * rows of the array but one empty, so there the G = H/K query heads of a kv head are its rows (packed): row g of q and
 * of o has the lanes [g*K*hs, (g+1)*K*hs) of all heads. It needs K*hs to divide PITCH or to be a multiple of it.
 * Where that still leaves rows empty, scores are taken for all kv heads of a K tile at once: a row for each of their
 * query heads, with the head's lanes where those of its kv head are in the tile, and zeros elsewhere (spread).
 *
 * A batched pass takes one token of each of `batch` sequences: they are the rows of everything but attention, which
 * takes one sequence after another, as a pass of one token does: att_q gets its queries, and o goes to its row of heads. */
struct pl_map_rows {
    uint32_t live;  /* tokens per pass: a power of two; in a batched pass one for each sequence */
    uint32_t batch; /* sequences of a batched pass; else 0 */
    uint32_t att_tokens; /* that attention takes at once: live, in a batched pass 1 */
    uint32_t alloc; /* rows kept: live rounded up to BLEN */
    uint32_t att_live, att_alloc; /* rows of attention: live and alloc (of a batched pass 1 and BLEN), or G and G rounded up to BLEN */
    uint32_t q_live, q_pack;      /* rows of q as linear layers and RoPE see it: att_live and pack, in a batched pass live and 0 */
    uint32_t pack;                /* lanes of a packed row, K*hs; 0: not packed */
    uint32_t pack_chunk;          /* packed rows that a chunk of PITCH lanes of all heads fills */
    uint32_t spread;              /* query heads whose scores are taken at once, G for each kv head; 0: head by head */
    struct pl_map_tensor x, y, q, k, v, o, gate, up, delta; /* residual, normed, heads, FFN, block output */
    struct pl_map_tensor heads;                             /* all heads of a token in one row: o, unless packed or batched */
    struct pl_map_tensor att_q;                             /* the queries of attention: q, unless batched */
    struct pl_map_tensor spread_q, zero;                    /* one chunk each, when spread; zero is a single vector row */
    struct pl_map_tensor score, pv, part, tmp;              /* one chunk each; tmp is a single row */
    struct pl_map_tensor gain[2];                           /* single rows: of the norms before attention and MLP */
    struct pl_map_tensor bias, head_gain[2], sinks;         /* single rows: a bias; gains of the norms of q and k; sinks of the heads */
    struct pl_map_tensor k_offset;                          /* single row: what is added to K */
    struct pl_map_tensor qa, qr, stage, rank_gain[2];       /* MLA: queries' low rank, their rotated parts, a head of o; gains of
                                                               the norms of qa and of the latent. att_q and o have H rows a token */
    struct pl_map_tensor rope[4];                           /* cos_q, sin_q, cos_k, sin_k */
    struct pl_map_experts moe;                              /* of a model with experts */
    uint64_t elements;                                      /* Vector SRAM in use */
    uint32_t fp_words;                                      /* FP SRAM in use */
    uint32_t int_words, int_base;                           /* INT SRAM that experts use, and from where on: the compiler's choice */
};
/* Lay out a pass, packed where that is possible and fits. Never fails; the caller compares with the machine's
 * capacities. */
void pl_map_rows(const struct pl_arch *arch, const struct pl_model_config *model,
                 const struct pl_plan *plan, uint32_t live, struct pl_map_rows *out);
/* A batched pass of `batch` >= 2 sequences. PL_EUNSUPPORTED when it does not fit: what needs how much. */
enum pl_status pl_map_batch_rows(const struct pl_arch *arch, const struct pl_model_config *model, const struct pl_plan *plan,
                                 uint32_t batch, struct pl_map_rows *out, struct pl_diag *d);
/* The most rows (power of two, <= most) whose layout fits. PL_EUNSUPPORTED when not even one row fits. */
enum pl_status pl_map_fit_rows(const struct pl_arch *arch, const struct pl_model_config *model,
                               const struct pl_plan *plan, uint32_t most, struct pl_map_rows *out,
                               struct pl_diag *d);

/* Attention works on groups of kv heads whose lanes fill one Matrix SRAM tile (or one head of several tiles). */
struct pl_map_heads {
    uint32_t per_group;   /* kv heads of a group: max(1, MLEN / head_slot) */
    uint32_t spans;       /* tiles a head spans along its lanes: max(1, head_slot / MLEN) */
    uint32_t tiles;       /* of K and V in a KV tile; of MLA one row is both */
    uint32_t groups;      /* ceil(K / per_group) */
    uint32_t token_tiles; /* tiles along the tokens of one KV tile: PITCH / MLEN */
};
struct pl_map_heads pl_map_heads(const struct pl_model_config *model, const struct pl_plan *plan);

/* Matrix SRAM is [K and V: two KV tiles][half][half]; a linear layer works in one half, whose first sets of weights the layer
 * before it has asked for. */
uint32_t pl_map_kv_tiles(const struct pl_arch *arch, const struct pl_map_heads *heads); /* tiles kept for K and V */
uint32_t pl_map_half(const struct pl_arch *arch, const struct pl_map_heads *heads);     /* tiles of a half */
/* The weights of a linear layer, in sets that the array works on at a time. */
struct pl_map_sets {
    uint32_t sets, tiles; /* of the layer; of a set, at least 1 */
    bool simple;          /* streams through two places only */
};
uint32_t pl_map_transfers(uint32_t tiles); /* of a set: one for each power of two in it */
/* Sets asked for ahead: as many as the queue (`outstanding`) and a half of `half` tiles hold and loops over places can walk;
 * at least 1. b: another layer that finds as many in the same half, or NULL. */
uint32_t pl_map_ahead(const struct pl_arch *arch, uint32_t half, const struct pl_map_sets *a, const struct pl_map_sets *b);

/* Products of the array that stand in the code before a loop goes round: of a column of K tiles, or of a few columns of a
 * linear layer; of a head in attention. Of so few K tiles that each may have its own pointer to the left rows. */
enum { PL_MAP_UNROLLED = 32, PL_MAP_HEAD_COLUMNS = 8, PL_MAP_POINTERS = 4 };
/* Columns of `tiles` products each between two turns of the loop over `blocks` of them. */
uint32_t pl_map_columns(uint32_t tiles, uint32_t blocks);

/* INT SRAM: words 0.. are the program's own; then come the ids of a pass and four words for each sequence of a batch. */
enum { PL_INT_IDS = 32 };
/* FP SRAM: words 0.. hold constants, then the softmax state of one kv group. */
enum {
    PL_FP_ZERO, PL_FP_NEG_INF, PL_FP_ONE, PL_FP_INV_E, PL_FP_EPS, PL_FP_INV_D, PL_FP_LOWEST, PL_FP_INV_Q_RANK, PL_FP_INV_KV_RANK,
    PL_FP_ROUTE_SCALE, PL_FP_GLU_LIMIT, PL_FP_GLU_FLOOR, PL_FP_GLU_SLOPE, PL_FP_STATE = 16
};
#endif
