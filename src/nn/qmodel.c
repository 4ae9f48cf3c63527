/* qmodel.c - the quantised model: weights into panels, and the forward pass around attention. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_LANE = -1 };

size_t q_width(const struct qmodel *q, size_t cols)
{
    return pl_round_up(cols, q->pitch);
}

/* ---- weights ---- */
/* Source row or column of each lane of heads in slots; see doc/lowering.md, 5. */
static int32_t *head_places(const struct qmodel *q, bool query, bool split)
{
    const uint32_t dim = q->cfg->head_dim, n_heads = query ? q->cfg->n_heads : q->cfg->n_kv_heads;
    int32_t *map = nn_alloc(n_heads * q->hs, sizeof *map);
    for (size_t i = 0; i < n_heads * q->hs; i++)
        map[i] = NO_LANE;
    for (uint32_t h = 0; h < n_heads; h++) {
        const size_t first = (query ? pl_model_head_place(q->cfg, h) : h) * q->hs;
        for (uint32_t i = 0; i < dim; i++)
            map[first + (split && i >= dim / 2 ? q->hs / 2 + i - dim / 2 : i)] = (int32_t)(h * dim + i);
    }
    return map;
}

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

static const struct pl_mm_spec *spec_of(const struct qmodel *q, const struct qweight *w)
{
    return w->plain ? &q->plain : &q->linear;
}

static void put_row(const struct qmodel *q, struct qweight *w, size_t j, const float *x, uint32_t *code, uint8_t *scale)
{
    const size_t step = (size_t)q->p.k_tiles * q->p.mlen;
    const struct pl_mm_spec *spec = spec_of(q, w);
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
        w->panel[g] = pl_panel_new(spec_of(q, w), true, n, lanes - g * step < step ? lanes - g * step : step);
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

static void make_cache(const struct qmodel *q, struct qcache *c, size_t context, size_t per_tile)
{
    c->code = nn_alloc(context * q->kv_width, sizeof *c->code);
    c->scale = nn_alloc(context * (q->kv_scales + 1), sizeof *c->scale);
    c->panel = nn_alloc(q->tiles * per_tile, sizeof *c->panel);
}

void q_set_weight(const struct qmodel *q, struct qlayer *y, enum pl_nn_weight which, const struct pl_tensor *t)
{
    const struct pl_model_config *c = q->cfg;
    const size_t heads = c->n_heads * q->hs;
    int32_t *places = NULL;
    struct qweight *const all[] = {&y->q, &y->k, &y->v, &y->o, &y->gate, &y->up, &y->down}, *w = all[which];
    q_free_weight(w);
    switch (which) {
    case PL_NN_W_Q:
    case PL_NN_W_K:
    case PL_NN_W_V:
        places = head_places(q, which == PL_NN_W_Q, which != PL_NN_W_V);
        load_weight(q, w, t, places, which == PL_NN_W_Q ? heads : q->kv_width, NULL, c->hidden);
        break;
    case PL_NN_W_O:
        places = head_places(q, true, false);
        load_weight(q, w, t, NULL, c->hidden, places, heads);
        break;
    case PL_NN_W_GATE:
    case PL_NN_W_UP:
        load_weight(q, w, t, NULL, c->ffn, NULL, c->hidden);
        break;
    case PL_NN_W_DOWN:
        load_weight(q, w, t, NULL, c->hidden, NULL, c->ffn);
        break;
    default:
        break;
    }
    free(places);
}

void q_layer_start(const struct qmodel *q, struct qlayer *y)
{
    make_cache(q, &y->kc, q->tiles * q->p.kv_tile, q->cfg->n_kv_heads);
    make_cache(q, &y->vc, q->tiles * q->p.kv_tile, q->cfg->n_kv_heads * q->groups);
}

static void load_layers(struct qmodel *q, const struct pl_nn *nn)
{
    for (uint32_t l = 0; l < q->n_layers; l++) {
        const struct pl_layer_tensors *t = &nn->ck->layer[l];
        const struct pl_tensor *const w[] = {t->q, t->k, t->v, t->o, t->gate, t->up, t->down};
        struct qlayer *y = &q->layer[l];
        y->gain1 = q_vector_weights(q, t->input_norm, 1, q->cfg->hidden);
        y->gain2 = q_vector_weights(q, t->post_norm, 1, q->cfg->hidden);
        for (size_t i = 0; i < PL_COUNT(w); i++)
            if (w[i])
                q_set_weight(q, y, (enum pl_nn_weight)i, w[i]);
        if (t->router)
            y->moe = q_moe_new(q, t);
        q_layer_start(q, y);
    }
}

static enum pl_status make_specs(struct qmodel *q, struct pl_diag *d)
{
    const struct pl_plan *p = &q->p;
    const unsigned head = p->head_slot < p->mlen ? p->head_slot : p->mlen;
    PL_TRY(pl_mm_spec_init(&q->linear, &q->act, &q->weight, false, p->vec, p->mlen, p->blen, p->guard, p->acc_bits, d));
    const struct pl_format plain = {.kind = PL_FORMAT_FLOAT, .elem = p->vec, .block = 1};
    if (q->cfg->moe.experts)
        PL_TRY(pl_mm_spec_init(&q->plain, &q->act, &plain, false, p->vec, p->mlen, p->blen, p->guard, p->acc_bits, d));
    PL_TRY(pl_mm_spec_init(&q->qk, &q->act, &q->kv, false, p->vec, head, p->blen, p->guard, p->acc_bits, d));
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
    q->group = pl_format_has_scale(&q->kv) && q->kv.block < q->hs ? q->kv.block : q->hs;
    q->groups = q->hs / q->group;
    q->tiles = (nn->context + plan->kv_tile - 1) / plan->kv_tile;
    const enum pl_status s = make_specs(q, d);
    if (s != PL_OK) {
        free(q);
        return s;
    }
    q->inv_freq = nn_alloc(c->head_dim / 2, sizeof *q->inv_freq);
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
        struct qweight *const w[] = {&y->q, &y->k, &y->v, &y->o, &y->gate, &y->up, &y->down};
        for (size_t i = 0; i < PL_COUNT(w); i++)
            q_free_weight(w[i]);
        q_moe_free(y->moe);
        free_cache(&y->kc, q->tiles * q->cfg->n_kv_heads);
        free_cache(&y->vc, q->tiles * q->cfg->n_kv_heads * q->groups);
        free(y->gain1);
        free(y->gain2);
    }
    q_free_weight(&q->lm_head);
    free(q->layer);
    free(q->embed);
    free(q->final_gain);
    free(q->inv_freq);
    free(q);
}

/* ---- operators ---- */
void q_linear(const struct qmodel *q, const float *x, size_t ldx, size_t rows, const struct qweight *w, float *y,
              size_t ldy)
{
    const size_t step = (size_t)q->p.k_tiles * q->p.mlen, lanes = q_width(q, w->k);
    const struct pl_mm_spec *spec = spec_of(q, w);
    float *part = w->groups > 1 ? nn_alloc(rows * w->n, sizeof *part) : NULL;
    for (unsigned g = 0; g < w->groups; g++) {
        const size_t k0 = g * step, len = lanes - k0 < step ? lanes - k0 : step;
        struct pl_panel *left = pl_panel_new(spec, false, rows, len);
        for (size_t i = 0; i < rows; i++)
            pl_panel_set_left(spec, left, i, 0, len, x + i * ldx + k0, NULL);
        pl_mm_product(spec, left, rows, w->panel[g], w->n, g ? part : y, g ? w->n : ldy);
        pl_panel_free(left);
        for (size_t i = 0; g && i < rows; i++)
            pl_vec_add(q->p.vec, y + i * ldy, part + i * w->n, w->n, y + i * ldy);
    }
    free(part);
}

void q_rmsnorm(const struct qmodel *q, const float *x, const float *gain, float *y)
{
    const struct pl_minifloat v = q->p.vec;
    const size_t vlen = q->p.vlen, width = q_width(q, q->cfg->hidden);
    float square[4096], acc = 0;
    for (size_t s = 0; s < width; s += vlen) {
        pl_vec_mul(v, x + s, x + s, vlen, square);
        acc = pl_f32_add(acc, pl_vec_sum(v, square, vlen));
    }
    acc = pl_f32_mul(acc, (float)(1.0 / q->cfg->hidden));
    acc = pl_f32_add(acc, (float)q->cfg->rms_eps);
    const float r = pl_f32_reci(pl_f32_sqrt(acc));
    pl_vec_muls(v, x, r, width, y);
    pl_vec_mul(v, y, gain, width, y);
}

/* Rotate the heads of one token row; scale is folded into the tables of q. */
static void rope(const struct qmodel *q, float *x, uint32_t n_heads, uint32_t pos, double scale)
{
    const struct pl_minifloat v = q->p.vec;
    const size_t hs = q->hs, half = hs / 2;
    float *co = nn_alloc(hs, sizeof *co), *si = nn_alloc(hs, sizeof *si), *t = nn_alloc(hs, sizeof *t);
    for (uint32_t i = 0; i < q->cfg->head_dim / 2; i++) {
        const double angle = pos * q->inv_freq[i];
        co[i] = co[half + i] = pl_vec_round(v, (float)(cos(angle) * scale));
        si[half + i] = pl_vec_round(v, (float)(sin(angle) * scale));
        si[i] = -si[half + i];
    }
    for (uint32_t h = 0; h < n_heads; h++) {
        float *p = x + h * hs;
        for (size_t i = 0; i < hs; i++)
            t[i] = p[i ^ half];
        pl_vec_mul(v, t, si, hs, t);
        pl_vec_mul(v, p, co, hs, p);
        pl_vec_add(v, p, t, hs, p);
        for (size_t i = 0; q->p.rotate && i < hs; i += q->p.rotate)
            pl_vec_hadamard(v, p + i, q->p.rotate, p + i);
    }
    free(co);
    free(si);
    free(t);
}

bool q_tapped(const struct qmodel *q, const struct qtap *tap, enum pl_nn_site site, const float *x, size_t ldx, size_t rows)
{
    if (!tap || tap->site != site)
        return false;
    q_tap(q, site, x, ldx, rows, tap->out);
    return true;
}

void q_add_linear(const struct qmodel *q, const float *in, size_t w_in, size_t n, const struct qweight *y, float *x, size_t w)
{
    float *delta = nn_alloc(n * w, sizeof *delta);
    q_linear(q, in, w_in, n, y, delta, w);
    pl_vec_add(q->p.vec, x, delta, n * w, x);
    free(delta);
}

void q_attention_half(const struct qmodel *q, struct qlayer *y, float *x, float *h, uint32_t pos, size_t n, const struct qtap *tap)
{
    const struct pl_model_config *c = q->cfg;
    const size_t w = q_width(q, c->hidden), wq = q_width(q, c->n_heads * q->hs), wk = q_width(q, q->kv_width);
    const double scale = 1.0 / sqrt((double)c->head_dim) / (q->p.rotate ? q->p.rotate : 1);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        q_rmsnorm(q, x + i * w, y->gain1, h + i * w);
    if (q_tapped(q, tap, PL_NN_QKV, h, w, n))
        return;
    float *qr = nn_alloc(n * wq, sizeof *qr), *k = nn_alloc(n * wk, sizeof *k), *v = nn_alloc(n * wk, sizeof *v);
    q_linear(q, h, w, n, &y->q, qr, wq);
    q_linear(q, h, w, n, &y->k, k, wk);
    q_linear(q, h, w, n, &y->v, v, wk);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        rope(q, qr + i * wq, c->n_heads, pos + (uint32_t)i, scale);
        rope(q, k + i * wk, c->n_kv_heads, pos + (uint32_t)i, 1.0);
    }
    q_attention(q, y, pos, n, qr, k, v);
    if (!q_tapped(q, tap, PL_NN_O, qr, wq, n))
        q_add_linear(q, qr, wq, n, &y->o, x, w);
    free(qr);
    free(k);
    free(v);
}

void qmodel_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits)
{
    const struct qmodel *q = nn->q;
    const size_t w = q_width(q, q->cfg->hidden);
    float *x = nn_alloc(n * w, sizeof *x), *h = nn_alloc(n * w, sizeof *h);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * w, q->embed + ids[i] * w, w * sizeof *x);
    for (uint32_t l = 0; l < q->n_layers; l++) {
        q_attention_half(q, &nn->q->layer[l], x, h, nn->length, n, NULL);
        q_mlp_half(q, &nn->q->layer[l], x, h, n, NULL);
    }
    const size_t first = last_only ? n - 1 : 0;
    for (size_t i = first; i < n; i++)
        q_rmsnorm(q, x + i * w, q->final_gain, h + i * w);
    q_linear(q, h + first * w, w, n - first, &q->lm_head, logits, q->cfg->vocab);
    free(x);
    free(h);
}
