/* stream.c - the quantised model one layer at a time, stopping where a linear layer takes its inputs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant_internal.h"

#include <stdlib.h>
#include <string.h>

struct pl_nn_stream {
    struct pl_nn nn;
    struct qmodel *q; /* of one layer */
};

enum pl_status pl_nn_stream_new(const struct pl_checkpoint *ck, const struct pl_plan *plan, uint32_t context,
                                struct pl_nn_stream **out, struct pl_diag *d)
{
    PL_TRY(pl_model_runnable(&ck->config, d));
    struct pl_nn_stream *s = nn_alloc(1, sizeof *s);
    s->nn = (struct pl_nn){.ck = ck, .cfg = &ck->config, .mode = PL_NN_QUANT, .context = context};
    const enum pl_status st = qmodel_start(&s->nn, plan, &s->q, d);
    if (st != PL_OK) {
        free(s);
        return st;
    }
    s->q->n_layers = 1;
    s->q->layer = nn_alloc(1, sizeof *s->q->layer);
    q_layer_start(s->q, s->q->layer);
    *out = s;
    return PL_OK;
}

void pl_nn_stream_free(struct pl_nn_stream *s)
{
    if (!s)
        return;
    qmodel_free(s->q);
    free(s);
}

size_t pl_nn_stream_width(const struct pl_nn_stream *s)
{
    return q_width(s->q, s->q->cfg->hidden);
}

void pl_nn_stream_embed(const struct pl_nn_stream *s, const uint32_t *ids, size_t n, float *x)
{
    const size_t w = pl_nn_stream_width(s);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * w, s->q->embed + ids[i] * w, w * sizeof *x);
}

void pl_nn_stream_layer(struct pl_nn_stream *s, uint32_t l)
{
    struct qlayer *y = s->q->layer;
    q_free_weights(y);
    pl_graph_layer(s->q->cfg, l, &y->graph);
    y->window = pl_model_window(s->q->cfg, l);
    for (unsigned w = 1; w < PL_WEIGHTS; w++) {
        const struct pl_tensor *t = pl_layer_weight(&s->nn.ck->layer[l], (enum pl_weight)w);
        if (t && !pl_weight_info((enum pl_weight)w)->linear)
            q_set_weight(s->q, y, (enum pl_weight)w, t);
    }
}

void pl_nn_stream_set(struct pl_nn_stream *s, enum pl_nn_weight which, const struct pl_tensor *t)
{
    static const enum pl_weight w[PL_NN_WEIGHTS] = {PL_W_Q, PL_W_K, PL_W_V, PL_W_O, PL_W_GATE, PL_W_UP, PL_W_DOWN};
    q_set_weight(s->q, s->q->layer, w[which], t);
}

size_t pl_nn_stream_cols(const struct pl_nn_stream *s, enum pl_nn_site site)
{
    const struct pl_model_config *c = s->q->cfg;
    return site == PL_NN_O ? (size_t)c->n_heads * c->head_dim : site == PL_NN_DOWN ? c->ffn : c->hidden;
}

void q_tap(const struct qmodel *q, enum pl_nn_site site, const float *x, size_t ldx, size_t rows, float *out)
{
    const struct pl_model_config *c = q->cfg;
    const struct pl_format *f = &q->linear.left;
    const size_t lanes = site == PL_NN_O ? c->n_heads * q->hs : site == PL_NN_DOWN ? c->ffn : c->hidden;
#pragma omp parallel
    {
        uint32_t *code = nn_alloc(lanes, sizeof *code);
        uint8_t *scale = nn_alloc(lanes, 1);
        float *v = nn_alloc(lanes, sizeof *v);
#pragma omp for schedule(static, 8)
        for (size_t i = 0; i < rows; i++) {
            pl_quantise(f, x + i * ldx, NULL, lanes, code, scale);
            pl_dequantise(f, code, scale, lanes, v);
            if (site == PL_NN_O)
                for (size_t h = 0; h < c->n_heads; h++)
                    memcpy(out + (i * c->n_heads + h) * c->head_dim, v + h * q->hs, c->head_dim * sizeof *out);
            else
                memcpy(out + i * lanes, v, lanes * sizeof *out);
        }
        free(code);
        free(scale);
        free(v);
    }
}

void pl_nn_stream_inputs(struct pl_nn_stream *s, const float *x, size_t n, enum pl_nn_site site, float *out)
{
    const struct qmodel *q = s->q;
    const size_t w = pl_nn_stream_width(s);
    const struct qtap tap = {site, out};
    float *h = nn_alloc(n * w, sizeof *h), *y = nn_alloc(n * w, sizeof *y);
    memcpy(y, x, n * w * sizeof *y);
    const struct qpass p = {.q = q, .y = q->layer, .n = n, .x = y, .h = h, .tap = &tap};
    if (site == PL_NN_HEAD) {
        for (size_t i = 0; i < n; i++)
            q_rmsnorm(q, y + i * w, q->final_gain, h + i * w);
        q_tap(q, site, h, w, n, out);
    } else if (site == PL_NN_QKV || site == PL_NN_O) {
        q_attention_half(&p);
    } else {
        q_mlp_half(&p);
    }
    free(h);
    free(y);
}

void pl_nn_stream_attend(struct pl_nn_stream *s, float *x, size_t n)
{
    float *h = nn_alloc(n * pl_nn_stream_width(s), sizeof *h);
    q_attention_half(&(struct qpass){.q = s->q, .y = s->q->layer, .n = n, .x = x, .h = h});
    free(h);
}

void pl_nn_stream_mlp(struct pl_nn_stream *s, float *x, size_t n)
{
    float *h = nn_alloc(n * pl_nn_stream_width(s), sizeof *h);
    q_mlp_half(&(struct qpass){.q = s->q, .y = s->q->layer, .n = n, .x = x, .h = h});
    free(h);
}
