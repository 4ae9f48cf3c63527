/* qmodel.c - the quantised model: weights into panels, and the forward pass around attention. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include "plena/mx_hadamard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t q_width(const struct qmodel *q, size_t cols)
{
    return pl_round_up(cols, q->pitch);
}

/* ---- weights ---- */
float *q_vector_weights(const struct qmodel *q, const struct pl_tensor *t, size_t rows, size_t cols)
{
    const size_t w = q_width(q, cols);
    float *p = nn_alloc(rows * w, sizeof *p);
    for (size_t r = 0; r < rows; r++) {
        pl_tensor_to_f32(t, r * cols, cols, p + r * w);
        pl_vec_round_n(q->p.vec, p + r * w, cols, p + r * w);
    }
    return p;
}

const struct pl_mm_spec *q_spec(const struct qmodel *q, const struct qweight *w)
{
    return w->plain ? &q->plain : &q->linear;
}

static void put_row(const struct qmodel *q, struct qweight *w, size_t j, const float *x, uint32_t *code, uint8_t *scale)
{
    const size_t step = (size_t)q->p.k_tiles * q->p.mlen;
    const struct pl_mm_spec *spec = q_spec(q, w);
    pl_quantise(&spec->right, x, NULL, w->k, code, scale);
    for (unsigned g = 0; g < w->groups; g++) {
        const size_t k0 = g * step, len = w->k - k0 < step ? w->k - k0 : step;
        pl_panel_set_right(spec, w->panel[g], j, 0, len, code + k0, scale + k0 / spec->right.block);
    }
}

/* A weight [N][K]; rows or cols say where its rows or columns go, or NULL. */
static void load_weight(const struct qmodel *q, struct qweight *w, const struct pl_tensor *t, const int32_t *rows,
                        size_t n, const int32_t *cols, size_t k)
{
    const size_t src_cols = t->shape[1], lanes = q_width(q, k), step = (size_t)q->p.k_tiles * q->p.mlen;
    w->n = n;
    w->k = k;
    w->groups = (unsigned)((lanes + step - 1) / step);
    w->panel = nn_alloc(w->groups, sizeof *w->panel);
    for (unsigned g = 0; g < w->groups; g++)
        w->panel[g] = pl_panel_new(q_spec(q, w), true, n, lanes - g * step < step ? lanes - g * step : step);
#pragma omp parallel
    {
        float *in = nn_alloc(src_cols, sizeof *in), *x = nn_alloc(k, sizeof *x);
        uint32_t *code = nn_alloc(k, sizeof *code);
        uint8_t *scale = nn_alloc(k, sizeof *scale);
#pragma omp for schedule(static, 64)
        for (size_t j = 0; j < n; j++) {
            const int64_t from = rows ? rows[j] : (int64_t)j;
            if (from == NO_LANE)
                continue;
            pl_tensor_to_f32(t, (uint64_t)from * src_cols, src_cols, in);
            for (size_t i = 0; i < k; i++)
                x[i] = !cols ? in[i] : cols[i] == NO_LANE ? 0.0f : in[cols[i]];
            put_row(q, w, j, x, code, scale);
        }
        free(in);
        free(x);
        free(code);
        free(scale);
    }
}

void q_load_weight(const struct qmodel *q, struct qweight *w, const struct pl_tensor *t, size_t n, size_t k)
{
    load_weight(q, w, t, NULL, n, NULL, k);
}

void q_free_weight(struct qweight *w)
{
    for (unsigned g = 0; g < w->groups; g++)
        pl_panel_free(w->panel[g]);
    free(w->panel);
    *w = (struct qweight){0};
}

static void free_heads(const struct qmodel *q, struct qweight *w)
{
    for (uint32_t h = 0; w && h < q->cfg->n_heads; h++)
        q_free_weight(&w[h]);
    free(w);
}

static void make_cache(const struct qmodel *q, struct qcache *c, size_t context, size_t per_tile)
{
    c->code = nn_alloc(context * q->kv_width, sizeof *c->code);
    c->scale = nn_alloc(context * (q->kv_scales + 1), sizeof *c->scale);
    c->panel = nn_alloc(q->tiles * per_tile, sizeof *c->panel);
}

int32_t *q_places(const struct qmodel *q, enum pl_lanes lanes)
{
    int32_t *map = nn_alloc(pl_lanes_count(q->cfg, &q->p, lanes), sizeof *map);
    if (pl_lanes_map(q->cfg, &q->p, lanes, map))
        return map;
    free(map);
    return NULL;
}

static float *placed_vector(const struct qmodel *q, const struct pl_tensor *t, enum pl_lanes lanes, uint32_t cols)
{
    int32_t *map = q_places(q, lanes);
    if (!map)
        return q_vector_weights(q, t, 1, cols);
    float *in = nn_alloc(t->count, sizeof *in), *p = nn_alloc(q_width(q, cols), sizeof *p);
    pl_tensor_to_f32(t, 0, t->count, in);
    for (uint32_t i = 0; i < cols; i++)
        p[i] = map[i] == NO_LANE ? 0.0f : pl_vec_round(q->p.vec, in[map[i]]);
    free(in);
    free(map);
    return p;
}

/* The offset of K, rotated as K is before it is added. */
static float *k_offset(const struct qmodel *q, const struct pl_tensor *t)
{
    int32_t *map = q_places(q, PL_LANES_KV_ROPE);
    float *in = nn_alloc(t->count, sizeof *in), *p = nn_alloc(q_width(q, q->kv_width), sizeof *p);
    double *row = nn_alloc(q->kv_width, sizeof *row);
    pl_tensor_to_f32(t, 0, t->count, in);
    for (size_t i = 0; i < q->kv_width; i++)
        row[i] = map[i] == NO_LANE ? 0 : (double)in[map[i]];
    pl_hadamard_groups(row, q->kv_width, q->p.rotate);
    for (size_t i = 0; i < q->kv_width; i++)
        p[i] = pl_vec_round(q->p.vec, (float)row[i]);
    free(in);
    free(row);
    free(map);
    return p;
}

/* MLA: a linear layer for each head. */
static void set_heads(const struct qmodel *q, struct qlayer *y, enum pl_weight which, const struct pl_tensor *t)
{
    const struct pl_mla *m = &q->cfg->mla;
    const bool values = which == PL_W_V_B;
    const uint32_t n = values ? m->v : m->kv_rank, k = values ? m->kv_rank : (uint32_t)q->mla.nope;
    struct qweight **heads = values ? &y->v_b : &y->k_b;
    free_heads(q, *heads);
    *heads = nn_alloc(q->cfg->n_heads, sizeof **heads);
#pragma omp parallel
    {
        float *x = nn_alloc(k, sizeof *x);
        uint32_t *code = nn_alloc(k, sizeof *code);
        uint8_t *scale = nn_alloc(k, sizeof *scale);
#pragma omp for
        for (uint32_t h = 0; h < q->cfg->n_heads; h++) {
            struct qweight *w = &(*heads)[h];
            *w = (struct qweight){.n = n, .k = k, .groups = 1, .panel = nn_alloc(1, sizeof *w->panel)};
            w->panel[0] = pl_panel_new(values ? &q->linear : &q->absorb, true, n, values ? q->mla.latent : k);
            for (uint32_t i = 0; i < n; i++) {
                pl_mla_row(q->cfg, t, values, h, i, x);
                pl_quantise(&q->weight, x, NULL, k, code, scale);
                pl_panel_set_right(values ? &q->linear : &q->absorb, w->panel[0], i, 0, k, code, scale);
            }
        }
        free(x);
        free(code);
        free(scale);
    }
}

void q_set_weight(const struct qmodel *q, struct qlayer *y, enum pl_weight which, const struct pl_tensor *t)
{
    const struct pl_weight_info *info = pl_weight_info(which);
    const uint32_t cols = pl_lanes_count(q->cfg, &q->p, info->cols);
    if (which == PL_W_K_B || which == PL_W_V_B) {
        set_heads(q, y, which, t);
    } else if (info->linear || info->plain) {
        int32_t *r = q_places(q, info->rows), *c = q_places(q, info->cols);
        q_free_weight(&y->w[which]);
        y->w[which].plain = info->plain;
        load_weight(q, &y->w[which], t, r, pl_lanes_count(q->cfg, &q->p, info->rows), c, cols);
        free(r);
        free(c);
    } else {
        free(y->vec[which]);
        y->vec[which] = which == PL_W_K_OFFSET ? k_offset(q, t) : placed_vector(q, t, info->cols, cols);
    }
}

void q_layer_start(const struct qmodel *q, struct qlayer *y)
{
    make_cache(q, &y->kc, q->tiles * q->p.kv_tile, q->cfg->n_kv_heads);
    make_cache(q, &y->vc, q->tiles * q->p.kv_tile, q->cfg->n_kv_heads * q->groups);
}

void q_free_weights(const struct qmodel *q, struct qlayer *y)
{
    for (unsigned w = 0; w < PL_WEIGHTS; w++) {
        q_free_weight(&y->w[w]);
        free(y->vec[w]);
        y->vec[w] = NULL;
    }
    free_heads(q, y->k_b);
    free_heads(q, y->v_b);
    y->k_b = y->v_b = NULL;
}

static void load_layers(struct qmodel *q, const struct pl_nn *nn)
{
    for (uint32_t l = 0; l < q->n_layers; l++) {
        struct qlayer *y = &q->layer[l];
        pl_graph_layer(q->cfg, l, &y->graph);
        y->window = pl_model_window(q->cfg, l);
        for (unsigned w = 0; w < PL_WEIGHTS; w++) {
            const struct pl_tensor *t = w ? pl_layer_weight(&nn->ck->layer[l], (enum pl_weight)w) : NULL;
            if (t)
                q_set_weight(q, y, (enum pl_weight)w, t);
        }
        if (nn->ck->layer[l].router)
            y->expert = q_experts_new(q, &nn->ck->layer[l]);
        q_layer_start(q, y);
    }
}

static enum pl_status make_specs(struct qmodel *q, struct pl_diag *d)
{
    const struct pl_plan *p = &q->p;
    const unsigned head = p->head_slot < p->mlen ? p->head_slot : p->mlen;
    if (q->kv.e6m2 || q->kv.range == PL_RANGE_UNSIGNED) /* V's scales go into exponents of P */
        return pl_fail(d, PL_EUNSUPPORTED, "the KV cache takes neither E6M2 scales nor unsigned elements");
    if (q->weight.range == PL_RANGE_UNSIGNED || q->act.range == PL_RANGE_UNSIGNED)
        return pl_fail(d, PL_EUNSUPPORTED, "weights and activations are signed: not a format of unsigned elements");
    PL_TRY(pl_mm_spec_init(&q->linear, &q->act, &q->weight, false, p->vec, p->mlen, p->blen, p->guard, p->acc_bits, d));
    const struct pl_format plain = {.kind = PL_FORMAT_FLOAT, .elem = p->vec, .block = 1};
    if (q->cfg->moe.experts)
        PL_TRY(pl_mm_spec_init(&q->plain, &q->act, &plain, false, p->vec, p->mlen, p->blen, p->guard, p->acc_bits, d));
    PL_TRY(pl_mm_spec_init(&q->qk, &q->act, &q->kv, false, p->vec, head, p->blen, p->guard, p->acc_bits, d));
    PL_TRY(pl_mm_spec_init(&q->absorb, &q->act, &q->weight, false, p->vec, q->mla.nope < p->mlen ? (unsigned)q->mla.nope : p->mlen, p->blen,
                           p->guard, p->acc_bits, d));
    return pl_mm_spec_init(&q->pv, &q->act, &q->kv, true, p->vec, p->mlen, p->blen, p->guard, p->acc_bits, d);
}

/* Everything but lm_head and the layers. */
enum pl_status qmodel_start(const struct pl_nn *nn, const struct pl_plan *plan, struct qmodel **out, struct pl_diag *d)
{
    const struct pl_model_config *c = nn->cfg;
    struct qmodel *q = nn_alloc(1, sizeof *q);
    q->p = *plan;
    q->cfg = c;
    q->act = pl_format_resolve(plan->act, plan->vec);
    q->weight = pl_format_resolve(plan->weight, plan->vec);
    q->kv = pl_format_resolve(plan->kv, plan->vec);
    q->pitch = plan->kv_tile;
    q->hs = plan->head_slot;
    q->kv_width = c->n_kv_heads * q->hs;
    q->kv_scales = pl_format_row_scales(&q->kv, q->kv_width);
    q->mla = pl_mla_slots(c, plan);
    if (!c->mla.kv_rank)
        q->mla.nope = plan->mlen; /* nobody's */
    q->vs = c->mla.kv_rank ? q->mla.latent : q->hs;
    q->group = pl_format_has_scale(&q->kv) && q->kv.block < q->vs ? q->kv.block : q->vs;
    q->groups = q->vs / q->group;
    q->tiles = (nn->context + plan->kv_tile - 1) / plan->kv_tile;
    const enum pl_status s = make_specs(q, d);
    if (s != PL_OK) {
        free(q);
        return s;
    }
    q->lowest = -pl_minifloat_max(plan->vec);
    q->inv_freq = nn_alloc(pl_model_rope_dim(c) / 2, sizeof *q->inv_freq);
    pl_rope_inv_freq(c, q->inv_freq);
    q->embed = q_vector_weights(q, nn->ck->embed, c->vocab, c->hidden);
    q->final_gain = q_vector_weights(q, nn->ck->final_norm, 1, c->hidden);
    *out = q;
    return PL_OK;
}

enum pl_status qmodel_new(const struct pl_nn *nn, const struct pl_plan *plan, struct qmodel **out, struct pl_diag *d)
{
    const struct pl_model_config *c = nn->cfg;
    struct qmodel *q;
    PL_TRY(qmodel_start(nn, plan, &q, d));
    load_weight(q, &q->lm_head, nn->ck->lm_head, NULL, c->vocab, NULL, c->hidden);
    q->n_layers = c->n_layers;
    q->layer = nn_alloc(c->n_layers, sizeof *q->layer);
    load_layers(q, nn);
    *out = q;
    return PL_OK;
}

static void free_cache(struct qcache *c, size_t panels)
{
    for (size_t i = 0; i < panels; i++)
        pl_panel_free(c->panel[i]);
    free(c->panel);
    free(c->code);
    free(c->scale);
}

void qmodel_free(struct qmodel *q)
{
    if (!q)
        return;
    for (uint32_t l = 0; l < q->n_layers; l++) {
        struct qlayer *y = &q->layer[l];
        q_free_weights(q, y);
        q_experts_free(q, y->expert);
        free_cache(&y->kc, q->tiles * q->cfg->n_kv_heads);
        free_cache(&y->vc, q->tiles * q->cfg->n_kv_heads * q->groups);
    }
    q_free_weight(&q->lm_head);
    free(q->layer);
    free(q->embed);
    free(q->final_gain);
    free(q->inv_freq);
    free(q);
}

void qmodel_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits)
{
    const struct qmodel *q = nn->q;
    const size_t w = q_width(q, q->cfg->hidden);
    float *x = nn_alloc(n * w, sizeof *x), *h = nn_alloc(n * w, sizeof *h);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * w, q->embed + ids[i] * w, w * sizeof *x);
    for (uint32_t l = 0; l < q->n_layers; l++) {
        const struct qpass p = {.q = q, .y = &nn->q->layer[l], .pos = nn->length, .n = n, .x = x, .h = h};
        q_attention_half(&p);
        q_mlp_half(&p);
    }
    const size_t first = last_only ? n - 1 : 0;
    for (size_t i = first; i < n; i++)
        q_final_norm(q, x + i * w, h + i * w);
    q_linear(q, h + first * w, w, n - first, &q->lm_head, logits, q->cfg->vocab);
    free(x);
    free(h);
}
