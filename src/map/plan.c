/* plan.c - the numeric plan of a model on a machine, and how heads are grouped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/map.h"
#include "plena/model_graph.h"

static uint32_t pow2_at_least(uint32_t x)
{
    uint32_t p = 1;
    while (p < x)
        p *= 2;
    return p;
}

static uint32_t umax(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

enum pl_status pl_map_plan(const struct pl_arch *arch, const struct pl_model_config *model,
                           const struct pl_format *weight, const struct pl_format *act,
                           const struct pl_format *kv, struct pl_plan *out, struct pl_diag *d)
{
    struct pl_plan p = {
        .vec = arch->vector_format.elem,
        .weight = weight ? *weight : arch->weight_format,
        .act = act ? *act : arch->act_format,
        .kv = kv ? *kv : arch->kv_format,
        .mlen = arch->mlen,
        .blen = arch->blen,
        .hlen = arch->hlen,
        .vlen = arch->vlen,
        .guard = arch->guard,
        .acc_bits = arch->acc_bits,
        .head_slot = umax(pow2_at_least(model->head_dim), arch->hlen),
        .kv_tile = pl_arch_pitch(arch),
    };
    const bool mla = model->mla.kv_rank;
    if (mla)
        p.head_slot = pl_mla_slots(model, &p).row;
    const bool mx_cache = p.kv.kind == PL_FORMAT_MXINT || p.kv.kind == PL_FORMAT_MXFP;
    if (arch->rotate_k && mx_cache && !mla) /* groups stay inside a head and inside a vector row */
        p.rotate = p.head_slot < arch->vlen ? p.head_slot : arch->vlen;
    for (unsigned i = 0; i < PL_SITES; i++)
        if (model->rotate[i] > arch->vlen)
            return pl_fail(d, PL_EUNSUPPORTED, "machine %s: has vectors of %u lanes; this checkpoint wants rotations of %u", arch->name,
                           arch->vlen, model->rotate[i]);
    PL_TRY(pl_arch_check_format(arch, "weight", &p.weight, d));
    PL_TRY(pl_arch_check_format(arch, "activation", &p.act, d));
    PL_TRY(pl_arch_check_format(arch, "KV", &p.kv, d));

    /* Two sets of operand tiles: one computed with, one being filled. */
    const struct pl_map_heads heads = pl_map_heads(model, &p);
    const uint32_t per_chunk = heads.token_tiles;
    const uint32_t half = arch->matrix_tiles / 2;
    const uint32_t kv_tiles = heads.tiles;
    p.k_tiles = half / per_chunk * per_chunk;
    if (p.k_tiles == 0 || kv_tiles > half)
        return pl_fail(d, PL_EUNSUPPORTED,
                       "machine %s: sram.matrix_tiles = %u, but this model needs at least %u: two sets of %u",
                       arch->name, arch->matrix_tiles, 2 * umax(per_chunk, kv_tiles),
                       umax(per_chunk, kv_tiles));
    *out = p;
    return PL_OK;
}

struct pl_map_heads pl_map_heads(const struct pl_model_config *model, const struct pl_plan *plan)
{
    struct pl_map_heads h = {
        .per_group = umax(1, plan->mlen / plan->head_slot),
        .spans = umax(1, plan->head_slot / plan->mlen),
        .token_tiles = plan->kv_tile / plan->mlen,
    };
    h.tiles = (model->mla.kv_rank ? 1 : 2) * h.token_tiles * h.spans;
    h.groups = (model->n_kv_heads + h.per_group - 1) / h.per_group;
    return h;
}
