/* host.h - what the host processor does around the accelerator: pass token ids in, start a program, read results out.
 *
 * Works on any image with the entry points, parameters and constants of comp.h.
 * Depends on: arch.h, obj.h, sim.h.   Threads: one host, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_HOST_H
#define PLENA_HOST_H
#include "plena/arch.h"
#include "plena/obj.h"
#include "plena/sim.h"

struct pl_host;
/* `arch` and `img` must outlive the host. Errors: as pl_sim_new; PL_EUSAGE when the image lacks an entry or a name. */
enum pl_status pl_host_new(const struct pl_arch *arch, const struct pl_image *img, const struct pl_sim_options *opt,
                           struct pl_host **out, struct pl_diag *d);
void pl_host_free(struct pl_host *h);
void pl_host_reset(struct pl_host *h); /* forget all sequences; time goes on */
/* Append n tokens: prefill passes of `chunk` tokens, or the decode program for a single one that has a past.
 *   logits  out  float[n][vocab] of every token when all_logits (an image made so; decode passes always can), else
 *                float[1][vocab] of the last; may be NULL
 *   next    out  the accelerator's greedy choice after the last token; may be NULL
 * Errors: PL_ERANGE for an id outside the vocabulary or more tokens than the context; PL_EFAULT from the simulator. */
enum pl_status pl_host_forward(struct pl_host *h, const uint32_t *ids, size_t n, bool all_logits, float *logits,
                               uint32_t *next, struct pl_diag *d);
/* The same for sequence `seq` of a batch, which goes through the prefill program alone; PL_ERANGE for one that is not there.
 * pl_host_forward is sequence 0. */
enum pl_status pl_host_forward_of(struct pl_host *h, uint32_t seq, const uint32_t *ids, size_t n, bool all_logits, float *logits,
                                  uint32_t *next, struct pl_diag *d);
/* One decode pass: a token for every sequence of the batch, each at its own position.
 *   ids     uint32[batch]
 *   rest    bool[batch]: this sequence takes no part (its row computes what nobody reads, and its last KV row is spoilt: it
 *           must not go on later); NULL: all do
 *   logits  out  float[batch][vocab]; may be NULL      next  out  uint32[batch], the greedy choices; may be NULL
 * Errors: as pl_host_forward. */
enum pl_status pl_host_decode(struct pl_host *h, const uint32_t *ids, const bool *rest, float *logits, uint32_t *next,
                              struct pl_diag *d);
uint32_t pl_host_batch(const struct pl_host *h);    /* sequences */
uint32_t pl_host_position(const struct pl_host *h); /* tokens of sequence 0 so far */
uint32_t pl_host_vocab(const struct pl_host *h);
uint32_t pl_host_context(const struct pl_host *h);
struct pl_sim *pl_host_sim(struct pl_host *h);
#endif
