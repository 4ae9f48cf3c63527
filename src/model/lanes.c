/* lanes.c - where rows and columns of weights stand in the machine: heads in slots, RoPE's partners, MLA's parts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/model_graph.h"

static uint32_t slot(uint32_t lanes, const struct pl_plan *p)
{
    uint32_t s = p->hlen;
    while (s < lanes)
        s *= 2;
    return s;
}

static uint32_t chunks(uint32_t lanes, const struct pl_plan *p)
{
    return (lanes + p->kv_tile - 1) / p->kv_tile * p->kv_tile;
}

struct pl_mla_slots pl_mla_slots(const struct pl_model_config *c, const struct pl_plan *p)
{
    const struct pl_mla *m = &c->mla;
    struct pl_mla_slots s = {.nope = slot(m->nope, p), .rope = slot(m->rope, p), .v = slot(m->v, p), .latent = chunks(m->kv_rank, p)};
    s.rank = slot(m->kv_rank, p) <= p->mlen ? slot(m->kv_rank, p) : s.latent;
    s.row = chunks(m->kv_rank + s.rope, p);
    return s;
}

void pl_mla_row(const struct pl_model_config *c, const struct pl_tensor *kv_b, bool values, uint32_t h, uint32_t i, float *out)
{
    const struct pl_mla *m = &c->mla;
    const uint64_t first = (uint64_t)h * (m->nope + m->v);
    if (values) {
        pl_tensor_to_f32(kv_b, (first + m->nope + i) * m->kv_rank, m->kv_rank, out);
        return;
    }
    const double factor = pl_rope_scale(c, true) / c->rope.attention;
    for (uint32_t n = 0; n < m->nope; n++) {
        float x;
        pl_tensor_to_f32(kv_b, (first + n) * m->kv_rank + i, 1, &x);
        out[n] = (float)((double)x * factor);
    }
}

uint32_t pl_lanes_count(const struct pl_model_config *c, const struct pl_plan *p, enum pl_lanes lanes)
{
    const uint32_t hs = p->head_slot;
    const struct pl_mla_slots m = pl_mla_slots(c, p);
    const bool mla = c->mla.kv_rank;
    switch (lanes) {
    case PL_LANES_ONE:
        return 1;
    case PL_LANES_HIDDEN:
        return c->hidden;
    case PL_LANES_FFN:
        return c->ffn;
    case PL_LANES_EXPERTS:
        return c->moe.experts;
    case PL_LANES_SHARED:
        return c->moe.shared * c->moe.ffn;
    case PL_LANES_Q_IN:
        return c->mla.q_rank ? c->mla.q_rank : c->hidden;
    case PL_LANES_Q_RANK:
        return c->mla.q_rank;
    case PL_LANES_KV_RANK:
        return c->mla.kv_rank;
    case PL_LANES_NOPE:
        return m.nope;
    case PL_LANES_K_B:
        return c->n_heads * m.rank;
    case PL_LANES_Q:
        return c->n_heads * (mla ? m.v : hs);
    case PL_LANES_Q_ROPE:
        return c->n_heads * (mla ? m.nope : hs);
    case PL_LANES_SINKS:
        return c->n_heads * hs;
    case PL_LANES_KV:
    case PL_LANES_KV_ROPE:
        return c->n_kv_heads * hs;
    case PL_LANES_QR:
        return c->n_heads * m.rope;
    case PL_LANES_HEAD_ROPE:
    case PL_LANES_LATENT:
        break;
    }
    return hs;
}

/* n heads of `from` rows each: rows [first, first + take) of head h to slot place(h). */
struct heads {
    uint32_t n, from, first, take, slot;
    bool query, split;
};

static void place_heads(const struct pl_model_config *c, const struct heads *x, int32_t *map)
{
    for (uint32_t h = 0; h < x->n; h++) {
        const uint32_t at = (x->query ? pl_model_head_place(c, h) : h) * x->slot;
        for (uint32_t i = 0; i < x->take; i++)
            map[at + (x->split && i >= x->take / 2 ? x->slot / 2 + i - x->take / 2 : i)] = (int32_t)(h * x->from + x->first + i);
    }
}

/* Pairs (2i, 2i + 1) from row `first` on: halves of a slot. */
static void place_pairs(uint32_t first, uint32_t rope, uint32_t slots, int32_t *map)
{
    for (uint32_t i = 0; i < rope / 2; i++) {
        map[i] = (int32_t)(first + 2 * i);
        map[slots / 2 + i] = (int32_t)(first + 2 * i + 1);
    }
}

static void place_latent(const struct pl_model_config *c, const struct pl_plan *p, enum pl_lanes lanes, int32_t *map)
{
    const struct pl_mla *m = &c->mla;
    const struct pl_mla_slots s = pl_mla_slots(c, p);
    const uint32_t n = c->n_heads, dim = c->head_dim;
    switch (lanes) {
    case PL_LANES_Q:
        place_heads(c, &(struct heads){n, m->v, 0, m->v, s.v, true, false}, map);
        break;
    case PL_LANES_Q_ROPE:
        place_heads(c, &(struct heads){n, dim, 0, m->nope, s.nope, true, false}, map);
        break;
    case PL_LANES_QR:
        for (uint32_t h = 0; h < n; h++)
            place_pairs(h * dim + m->nope, m->rope, s.rope, map + (size_t)h * s.rope);
        break;
    default: /* PL_LANES_LATENT */
        for (uint32_t i = 0; i < m->kv_rank; i++)
            map[i] = (int32_t)i;
        place_pairs(m->kv_rank, m->rope, s.rope, map + s.row - s.rope);
    }
}

bool pl_lanes_map(const struct pl_model_config *c, const struct pl_plan *p, enum pl_lanes lanes, int32_t *map)
{
    const uint32_t dim = c->head_dim, hs = p->head_slot, n = pl_lanes_count(c, p, lanes);
    if (lanes < PL_LANES_Q)
        return false;
    for (uint32_t i = 0; i < n; i++)
        map[i] = -1;
    if (lanes == PL_LANES_SINKS)
        for (uint32_t i = 0; i < n; i++)
            map[pl_model_head_place(c, i / hs) * hs + i % hs] = (int32_t)(i / hs);
    else if (c->mla.kv_rank)
        place_latent(c, p, lanes, map);
    else
        place_heads(c, &(struct heads){n / hs, dim, 0, dim, hs, lanes == PL_LANES_Q || lanes == PL_LANES_Q_ROPE,
                                       lanes != PL_LANES_Q && lanes != PL_LANES_KV}, map);
    return true;
}
