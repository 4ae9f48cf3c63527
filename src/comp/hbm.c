/* hbm.c - tensor descriptors, their places in HBM, and the quantised weights. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comp_internal.h"

enum { ALIGN = 64, NO_LANE = -1 };

struct hbm {
    struct comp *c;
    struct pl_desc *desc;
    uint64_t used;
    uint8_t *data; /* weights and tables; NULL while only laying out */
};

/* Which source row or column stands at each place: a permutation with holes, or the identity (map NULL). */
struct places {
    const int32_t *map;
    uint32_t n;
};

/* Descriptor 0 of what would be one more layer. */
static uint32_t behind_layers(const struct comp *c)
{
    return DESC_LAYERS + c->cfg->n_layers * c->per_layer;
}

static uint64_t reserve(struct hbm *h, uint64_t bytes)
{
    const uint64_t at = h->used;
    h->used = (h->used + bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

/* tile: 0, or that of a tensor that H_LOAD_M takes tile by tile. */
static struct pl_desc *place(struct hbm *h, uint32_t index, const char *name, uint64_t rows, uint32_t cols,
                             const struct pl_format *format, uint32_t tile)
{
    struct pl_desc *t = &h->desc[index];
    *t = (struct pl_desc){.name = name, .rows = (uint32_t)rows, .cols = cols, .format = *format};
    if (tile) {
        t->tile = tile;
        t->elem_base = reserve(h, pl_desc_tiled_bytes(t));
        return t;
    }
    t->elem_stride = (uint32_t)pl_format_row_bytes(format, cols);
    t->scale_stride = (uint32_t)pl_format_row_scales(format, cols);
    t->elem_base = reserve(h, rows * t->elem_stride);
    if (t->scale_stride)
        t->scale_base = reserve(h, rows * t->scale_stride);
    return t;
}

/* Quantise a row of floats into place. A piece holds whole blocks. */
static void put_row(const struct hbm *h, const struct pl_desc *t, uint32_t row, const float *x, uint32_t *code)
{
    for (uint32_t c = 0; c < t->cols;) {
        const struct pl_desc_place at = pl_desc_place(t, row, c);
        pl_quantise(&t->format, x + c, NULL, at.n, code, h->data + at.scale);
        pl_pack(pl_format_bits(&t->format), code, at.n, h->data + at.elem);
        c += at.n;
    }
}

/* A checkpoint tensor, its rows and columns moved to their places; places without a source are zero. */
static void put_tensor(const struct hbm *h, const struct pl_desc *t, const struct pl_tensor *src,
                       const struct places *rows, const struct places *cols)
{
    const uint64_t src_cols = src->shape[src->rank - 1];
#pragma omp parallel
    {
        float *in = malloc(sizeof *in * src_cols), *x = malloc(sizeof *x * t->cols);
        uint32_t *code = malloc(sizeof *code * t->cols);
        if (!in || !x || !code)
            abort();
#pragma omp for schedule(static)
        for (uint32_t r = 0; r < t->rows; r++) {
            const int64_t from = rows && rows->map ? rows->map[r] : (int64_t)r;
            memset(x, 0, sizeof *x * t->cols);
            if (from != NO_LANE) {
                pl_tensor_to_f32(src, (uint64_t)from * src_cols, src_cols, in);
                for (uint32_t i = 0; i < t->cols; i++) {
                    const int64_t j = cols && cols->map ? cols->map[i] : (int64_t)i;
                    x[i] = j == NO_LANE ? 0.0f : in[j];
                }
            }
            put_row(h, t, r, x, code);
        }
        free(in);
        free(x);
        free(code);
    }
}

static struct places places(struct comp *c, enum pl_lanes lanes)
{
    const uint32_t n = pl_lanes_count(c->cfg, c->plan.head_slot, lanes);
    int32_t *map = PL_NEW_N(c->a, int32_t, n);
    return (struct places){pl_lanes_map(c->cfg, c->plan.head_slot, lanes, map) ? map : NULL, n};
}

static void put_rope(const struct hbm *h)
{
    const struct comp *c = h->c;
    const uint32_t hs = c->plan.head_slot, half = c->cfg->head_dim / 2;
    double *freq = pl_alloc(c->a, sizeof *freq * half);
    pl_rope_inv_freq(c->cfg, freq);
    const double scale[2] = {pl_rope_scale(c->cfg, true) / (c->plan.rotate ? c->plan.rotate : 1), pl_rope_scale(c->cfg, false)};
    float *x = pl_alloc(c->a, sizeof *x * hs);
    uint32_t *code = pl_alloc(c->a, sizeof *code * hs);
    for (unsigned k = 0; k < 4; k++) {
        const struct pl_desc *t = &h->desc[DESC_ROPE + k];
        for (uint32_t p = 0; p < t->rows; p++) {
            for (uint32_t i = 0; i < half; i++) {
                const double angle = p * freq[i], v = (k % 2 ? sin(angle) : cos(angle)) * scale[k / 2];
                x[i] = (float)(k % 2 ? -v : v);
                x[hs / 2 + i] = (float)v;
            }
            put_row(h, t, p, x, code);
        }
    }
}

static void lay_out(struct hbm *h, uint32_t logit_rows)
{
    const struct comp *c = h->c;
    const struct pl_model_config *m = c->cfg;
    const struct pl_format vec = {.kind = PL_FORMAT_FLOAT, .elem = c->plan.vec, .block = 1};
    const struct pl_format w = pl_format_resolve(c->plan.weight, c->plan.vec);
    const struct pl_format kv = pl_format_resolve(c->plan.kv, c->plan.vec);
    const uint32_t hs = c->plan.head_slot, tile = c->plan.mlen;
    static const char *const rope_name[] = {"rope.cos_q", "rope.sin_q", "rope.cos_k", "rope.sin_k"};

    place(h, DESC_EMBED, "embed_tokens", m->vocab, m->hidden, &vec, 0);
    for (unsigned i = 0; i < 4; i++)
        place(h, DESC_ROPE + i, rope_name[i], c->capacity, hs, &vec, 0)->repeat = hs < c->arch->vlen;
    for (uint32_t l = 0; l < m->n_layers; l++)
        for (unsigned i = 1; i < PL_WEIGHTS; i++) {
            const struct pl_weight_info *t = pl_weight_info((enum pl_weight)i);
            if (c->slot[i] != NO_SLOT)
                place(h, DESC_LAYERS + l * c->per_layer + c->slot[i], pl_arena_printf(c->a, "layers.%u.%s", l, t->name),
                      pl_lanes_count(m, hs, t->rows), pl_lanes_count(m, hs, t->cols), t->linear ? &w : &vec, t->linear ? tile : 0)
                    ->repeat = t->cols == PL_LANES_HEAD_ROPE && hs < c->arch->vlen;
        }
    for (uint32_t i = 0; i < c->slot[LAYER_HEAD]; i++) /* of those, only one is used */
        place(h, behind_layers(c) + i, "norm", 1, m->hidden, &vec, 0);
    place(h, behind_layers(c) + c->slot[LAYER_HEAD], "lm_head", m->vocab, m->hidden, &w, tile);
    /* What is only written at run time comes last, behind the image's data. */
    for (uint32_t l = 0; l < m->n_layers; l++)
        for (uint32_t i = 0; i < 2; i++)
            place(h, DESC_LAYERS + l * c->per_layer + c->slot[i ? LAYER_V : LAYER_K],
                  pl_arena_printf(c->a, "layers.%u.%s_cache", l, i ? "v" : "k"), c->capacity * c->batch, m->n_kv_heads * hs, &kv, 0);
    place(h, DESC_LOGITS, "logits", logit_rows, m->vocab, &vec, 0);
}

static void put_weights(struct hbm *h)
{
    struct comp *c = h->c;
    put_tensor(h, &h->desc[DESC_EMBED], c->ck->embed, NULL, NULL);
    put_tensor(h, &h->desc[behind_layers(c) + c->slot[LAYER_FINAL_GAIN]], c->ck->final_norm, NULL, NULL);
    put_tensor(h, &h->desc[behind_layers(c) + c->slot[LAYER_HEAD]], c->ck->lm_head, NULL, NULL);
    put_rope(h);
    for (unsigned i = 1; i < PL_WEIGHTS; i++) {
        const struct pl_weight_info *info = pl_weight_info((enum pl_weight)i);
        const struct places rows = places(c, info->rows), cols = places(c, info->cols);
        for (uint32_t l = 0; l < c->cfg->n_layers; l++) {
            const struct pl_tensor *t = pl_layer_weight(&c->ck->layer[l], (enum pl_weight)i);
            if (t)
                put_tensor(h, &h->desc[DESC_LAYERS + l * c->per_layer + c->slot[i]], t, &rows, &cols);
        }
    }
}

/* Which tensors a layer of the model has. */
static void number_tensors(struct comp *c)
{
    for (unsigned i = 0; i < LAYER_TENSORS; i++)
        c->slot[i] = i >= PL_WEIGHTS || pl_model_has_weight(c->cfg, (enum pl_weight)i) ? c->per_layer++ : NO_SLOT;
}

enum pl_status comp_hbm(struct comp *c, uint32_t logit_rows, struct pl_image *img, struct pl_diag *d)
{
    struct hbm h = {.c = c};
    number_tensors(c);
    const uint32_t n = behind_layers(c) + c->slot[LAYER_HEAD] + 1;
    const uint32_t tile = c->plan.kv_tile;
    c->capacity = (c->context + tile - 1) / tile * tile + (c->opt.chunk > 64 ? c->opt.chunk : 64); /* a chunk may overhang the context */
    if ((uint64_t)c->capacity * c->batch > UINT32_MAX)
        return pl_fail(d, PL_EUNSUPPORTED, "%u sequences of %u tokens: more than 2^32 rows of a cache", c->batch, c->context);
    h.desc = PL_NEW_N(c->a, struct pl_desc, n);
    lay_out(&h, logit_rows > c->batch ? logit_rows : c->batch);
    if (h.used > c->arch->hbm_bytes) {
        const uint64_t cache = h.desc[DESC_LOGITS].elem_base - h.desc[DESC_LAYERS + c->slot[LAYER_K]].elem_base;
        return pl_fail(d, PL_EUNSUPPORTED,
                       "machine %s: hbm.hbm_bytes = %llu, but %llu are needed: %llu for weights and tables, %llu for the KV cache of %u sequence%s "
                       "of %u tokens, %llu for logits",
                       c->arch->name, (unsigned long long)c->arch->hbm_bytes, (unsigned long long)h.used,
                       (unsigned long long)(h.desc[DESC_LOGITS].elem_base - cache), (unsigned long long)cache, c->batch,
                       c->batch > 1 ? "s" : "", c->context, (unsigned long long)(h.used - h.desc[DESC_LOGITS].elem_base));
    }
    img->desc = h.desc;
    img->n_desc = n;
    img->hbm_bytes = h.used;
    if (c->opt.no_weights)
        return PL_OK;
    const uint64_t data = h.desc[DESC_LAYERS + c->slot[LAYER_K]].elem_base; /* everything before the first KV cache */
    h.data = pl_alloc_bulk(c->a, data, 1);
    if (!h.data)
        return pl_fail(d, PL_ENOMEM, "no memory for an HBM image of %llu bytes", (unsigned long long)data);
    put_weights(&h);
    struct pl_segment *seg = PL_NEW(c->a, struct pl_segment);
    *seg = (struct pl_segment){0, data, h.data};
    img->segment = seg;
    img->n_segment = 1;
    return PL_OK;
}
