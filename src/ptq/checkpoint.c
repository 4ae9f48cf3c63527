/* checkpoint.c - a checkpoint layer by layer: inputs of a site, its Hessian, its matrices; then the next site sees them
 * quantised. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "plena/model_graph.h"
#include "plena/nn.h"
#include "ptq_internal.h"

enum { ROWS = 2048 }; /* rows of a matrix in floating point at a time */

struct run {
    struct ptq_job j;
    struct pl_nn_stream *stream; /* NULL: no calibration */
    struct pl_nn_stream *ref;    /* the unquantised model, where weights aim at its outputs; or NULL */
    struct pl_fold *fold;        /* or NULL */
    float **x, **x_ref;          /* state of each text before the current layer */
    uint64_t done, total;
};

/* One linear layer and where its inputs come from. */
struct linear {
    const struct pl_tensor *t;
    enum pl_nn_site site;
    int which; /* enum pl_nn_weight, or -1: lm_head */
    const char *name;
};

static void step(struct run *r)
{
    r->done++;
    if (r->j.o->progress)
        r->j.o->progress(r->j.o->ctx, r->done, r->total);
}

/* ---- calibration ---- */
struct inputs { /* what is known of a site's inputs */
    struct pl_hessian *h;
    struct pl_cross *cross; /* or NULL */
    double damp;
};

static void inputs_free(struct inputs *in)
{
    pl_hessian_free(in->h);
    pl_cross_free(in->cross);
}

static enum pl_status site_inputs(struct run *r, enum pl_nn_site site, struct inputs *out)
{
    const size_t k = pl_nn_stream_cols(r->stream, site);
    PL_TRY(pl_hessian_new(k, &out->h, r->j.d));
    if (r->ref)
        PL_TRY(pl_cross_new(k, &out->cross, r->j.d));
    for (size_t i = 0; i < r->j.n_texts; i++) {
        const size_t n = r->j.text[i].n;
        float *in = ptq_scratch(n * k, sizeof *in), *ref = r->ref ? ptq_scratch(n * k, sizeof *ref) : NULL;
        if (n)
            pl_nn_stream_inputs(r->stream, r->x[i], n, site, in);
        pl_hessian_add(out->h, in, n, k);
        if (ref && n) {
            pl_nn_stream_inputs(r->ref, r->x_ref[i], n, site, ref);
            pl_cross_add(out->cross, ref, in, n);
        }
        free(in);
        free(ref);
    }
    PL_TRY(pl_hessian_factor(out->h, r->j.o->damp, &out->damp, r->j.d));
    if (out->cross)
        pl_cross_solve(out->cross, out->h);
    return PL_OK;
}

/* All texts through half a layer: pl_nn_stream_attend or pl_nn_stream_mlp. */
static void advance(struct run *r, void (*half)(struct pl_nn_stream *, float *, size_t))
{
    for (size_t i = 0; r->stream && i < r->j.n_texts; i++)
        if (r->j.text[i].n)
            half(r->stream, r->x[i], r->j.text[i].n);
    for (size_t i = 0; r->ref && i < r->j.n_texts; i++)
        if (r->j.text[i].n)
            half(r->ref, r->x_ref[i], r->j.text[i].n);
}

/* The mean of K after RoPE, over all tokens, negated: what is added to K. In the shard, and in the stream from now on. */
static void center_keys(struct run *r, struct pl_arena *a, uint32_t l, struct ptq_shard *out)
{
    const size_t k = pl_nn_stream_cols(r->stream, PL_NN_KEYS);
    double *sum = PL_NEW_N(a, double, k);
    float *mean = PL_NEW_N(a, float, k);
    for (size_t i = 0; i < r->j.n_texts; i++) {
        const size_t n = r->j.text[i].n;
        float *in = ptq_scratch(n * k, sizeof *in);
        if (n)
            pl_nn_stream_inputs(r->stream, r->x[i], n, PL_NN_KEYS, in);
        for (size_t t = 0; t < n * k; t++)
            sum[t % k] += (double)in[t];
        free(in);
    }
    for (size_t i = 0; i < k; i++)
        mean[i] = (float)(-sum[i] / (double)r->j.tokens);
    const struct pl_tensor t = {.name = pl_arena_printf(a, "model.layers.%u.self_attn.k_offset", l), .dtype_name = "F32", .dtype = PL_DTYPE_F32,
                                .rank = 1, .shape = {k}, .data = (const uint8_t *)mean, .bytes = k * sizeof *mean, .count = k};
    pl_nn_stream_set_k_offset(r->stream, &t);
    ptq_shard_put(out, t.name, t.dtype_name, t.rank, t.shape, t.data, t.bytes);
}

/* ---- one matrix ---- */
struct errors {
    double all, ours, nearest, peer; /* squared output errors; all: of the outputs themselves */
};

static enum pl_status check_finite(const struct run *r, const struct pl_tensor *t, uint64_t first, const float *x, size_t n)
{
    const uint64_t cols = t->shape[t->rank - 1];
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return pl_fail(r->j.d, PL_ERANGE, "%s: tensor \"%s\": the weight in row %llu, column %llu is %s", r->j.ck->dir, t->name,
                           (unsigned long long)((first + i) / cols), (unsigned long long)((first + i) % cols),
                           isnan(x[i]) ? "NaN" : "infinite");
    return PL_OK;
}

static enum pl_status compare(const struct run *r, const struct pl_hessian *h, const float *w, size_t n, float *q, uint8_t *scale,
                              struct errors *e)
{
    const struct pl_format *f = &r->j.o->plan.weight;
    const struct pl_ptq_rule nearest = {PL_SEARCH_NONE, PL_PROPAGATE_NONE}, peer = {PL_SEARCH_OUTPUT, PL_PROPAGATE_PEER};
    PL_TRY(pl_ptq_round(h, nearest, f, w, n, h->k, q, scale, r->j.d));
    e->nearest += pl_ptq_error(h, w, q, n);
    PL_TRY(pl_ptq_round(h, peer, f, w, n, h->k, q, scale, r->j.d));
    e->peer += pl_ptq_error(h, w, q, n);
    return PL_OK;
}

/* Rows [first, first + n) of m into elements and scales. */
static enum pl_status round_rows(const struct run *r, const struct linear *m, const struct inputs *in, uint64_t first, size_t n,
                                 uint8_t *elements, uint8_t *scales, struct errors *e)
{
    const struct pl_hessian *h = in->h;
    const struct pl_format *f = &r->j.o->plan.weight;
    const size_t k = (size_t)m->t->shape[1], bytes = pl_format_row_bytes(f, k), per_row = pl_format_row_scales(f, k);
    float *w = ptq_alloc(n * k, sizeof *w), *q = ptq_alloc(n * k, sizeof *q);
    uint8_t *scratch = ptq_alloc(n * per_row, 1);
    enum pl_status s = w && q && scratch ? PL_OK : pl_fail(r->j.d, PL_ENOMEM, "no memory for %zu rows of \"%s\"", n, m->t->name);
    if (s == PL_OK) {
        pl_tensor_to_f32(m->t, first * k, n * k, w);
        s = check_finite(r, m->t, first * k, w, n * k);
    }
    if (s == PL_OK && in->cross)
        pl_cross_apply(in->cross, r->j.o->aim, w, n);
    if (s == PL_OK)
        s = pl_ptq_round(h, r->j.o->rule, f, w, n, k, q, scales, r->j.d);
    if (s == PL_OK && h && r->j.o->sweeps)
        pl_ptq_refine(h, f, w, n, r->j.o->sweeps, q, scales);
    for (size_t i = 0; s == PL_OK && i < n; i++)
        pl_ptq_pack_row(f, q + i * k, scales + i * per_row, k, elements + i * bytes);
    if (s == PL_OK && h) {
        e->all += pl_ptq_error(h, w, NULL, n);
        e->ours += pl_ptq_error(h, w, q, n);
        if (r->j.o->compare)
            s = compare(r, h, w, n, q, scratch, e);
    }
    free(w);
    free(q);
    free(scratch);
    return s;
}

static json_t *matrix_report(const struct run *r, const struct linear *m, uint64_t bytes, bool calibrated, double damp,
                             const struct errors *e)
{
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:f}", "name", m->name, "rows", (json_int_t)m->t->shape[0], "cols",
                          (json_int_t)m->t->shape[1], "bytes", (json_int_t)bytes, "bits_per_weight",
                          8.0 * (double)bytes / (double)m->t->count);
    const double all = e->all > 0 ? e->all : 1;
    if (calibrated) {
        json_object_set_new(o, "damping", json_real(damp));
        json_object_set_new(o, "output_error", json_real(e->ours / all));
    }
    if (calibrated && r->j.o->compare) {
        json_object_set_new(o, "output_error_nearest", json_real(e->nearest / all));
        json_object_set_new(o, "output_error_peer", json_real(e->peer / all));
    }
    return o;
}

/* A whole matrix: into the shard, the stream and the report. */
static enum pl_status round_matrix(struct run *r, struct pl_arena *a, const struct linear *m, const struct inputs *in,
                                   struct ptq_shard *out, json_t *report)
{
    const struct pl_format *f = &r->j.o->plan.weight;
    const uint64_t n = m->t->shape[0], bytes = pl_format_row_bytes(f, m->t->shape[1]), per_row = pl_format_row_scales(f, m->t->shape[1]);
    uint8_t *elements = pl_alloc_bulk(a, n, bytes), *scales = pl_alloc_bulk(a, n, per_row);
    struct errors e = {0};
    if (!elements || !scales)
        return pl_fail(r->j.d, PL_ENOMEM, "no memory for the elements of \"%s\"", m->name);
    for (uint64_t i = 0; i < n; i += ROWS)
        PL_TRY(round_rows(r, m, in, i, (size_t)(n - i < ROWS ? n - i : ROWS), elements + i * bytes, scales + i * per_row, &e));
    ptq_shard_put(out, pl_arena_printf(a, "%s.mx_elements", m->name), "U8", 2, (const uint64_t[]){n, bytes}, elements, n * bytes);
    ptq_shard_put(out, pl_arena_printf(a, "%s.mx_scales", m->name), "U8", 2, (const uint64_t[]){n, per_row}, scales, n * per_row);
    json_array_append_new(report, matrix_report(r, m, n * (bytes + per_row), in->h != NULL, in->damp, &e));
    if (r->stream && m->which >= 0) {
        const struct pl_tensor t = {.name = m->name, .dtype_name = "MX", .dtype = PL_DTYPE_MX, .rank = 2, .shape = {n, m->t->shape[1]},
                                    .data = elements, .count = m->t->count, .format = f, .scale = scales};
        pl_nn_stream_set(r->stream, (enum pl_nn_weight)m->which, &t);
    }
    return PL_OK;
}

/* A tensor that stays as it is. */
static enum pl_status keep(const struct run *r, const struct pl_tensor *t, struct ptq_shard *out)
{
    float x[1024];
    for (uint64_t i = 0; i < t->count; i += PL_COUNT(x)) {
        const size_t n = t->count - i < PL_COUNT(x) ? (size_t)(t->count - i) : PL_COUNT(x);
        pl_tensor_to_f32(t, i, n, x);
        PL_TRY(check_finite(r, t, i, x, n));
    }
    ptq_shard_put(out, t->name, t->dtype_name, t->rank, t->shape, t->data, t->bytes);
    return PL_OK;
}

/* ---- a layer ---- */
enum { LINEARS = PL_NN_WEIGHTS };

static void linears_of(const struct run *r, uint32_t l, struct linear m[LINEARS])
{
    const struct pl_layer_tensors *t = &r->j.ck->layer[l];
    const struct linear all[LINEARS] = {
        {t->q, PL_NN_QKV, PL_NN_W_Q, NULL},          {t->k, PL_NN_QKV, PL_NN_W_K, NULL},       {t->v, PL_NN_QKV, PL_NN_W_V, NULL},
        {t->o, PL_NN_O, PL_NN_W_O, NULL},            {t->gate, PL_NN_GATE_UP, PL_NN_W_GATE, NULL}, {t->up, PL_NN_GATE_UP, PL_NN_W_UP, NULL},
        {t->down, PL_NN_DOWN, PL_NN_W_DOWN, NULL}};
    for (int i = 0; i < LINEARS; i++) {
        m[i] = all[i];
        m[i].name = all[i].t->name;
    }
}

/* Matrices that share their inputs, one Hessian for all. */
static enum pl_status round_group(struct run *r, struct pl_arena *a, const struct linear *m, size_t n, struct ptq_shard *out,
                                  json_t *report)
{
    struct inputs in = {0};
    enum pl_status s = r->stream ? site_inputs(r, m[0].site, &in) : PL_OK;
    for (size_t i = 0; i < n && s == PL_OK; i++)
        s = round_matrix(r, a, &m[i], &in, out, report);
    inputs_free(&in);
    step(r);
    return s;
}

static enum pl_status round_layer(struct run *r, struct pl_arena *a, uint32_t l, struct ptq_shard *out, json_t *report)
{
    struct linear m[LINEARS];
    linears_of(r, l, m);
    for (size_t i = 0, n; i < LINEARS; i += n) {
        for (n = 1; i + n < LINEARS && m[i + n].site == m[i].site;)
            n++;
        PL_TRY(round_group(r, a, m + i, n, out, report));
        if (m[i].site == PL_NN_QKV && r->j.o->center_keys)
            center_keys(r, a, l, out);
        if (m[i].site == PL_NN_O)
            advance(r, pl_nn_stream_attend);
    }
    for (unsigned w = 1; w < PL_WEIGHTS; w++) {
        const struct pl_tensor *t = pl_layer_weight(&r->j.ck->layer[l], (enum pl_weight)w);
        if (t && !pl_weight_info((enum pl_weight)w)->linear)
            PL_TRY(keep(r, t, out));
    }
    return ptq_shard_write(out, ptq_shard_path(&r->j, l), report, r->j.d);
}

static enum pl_status reload_keys(struct run *r, struct pl_arena *a, const struct pl_safetensors *st, const char *path, uint32_t l)
{
    const char *name = pl_arena_printf(a, "model.layers.%u.self_attn.k_offset", l);
    const struct pl_tensor *t = pl_safetensors_find(st, name);
    if (!t || t->dtype != PL_DTYPE_F32 || t->count != pl_nn_stream_cols(r->stream, PL_NN_KEYS))
        return pl_fail(r->j.d, PL_EPARSE, "%s: tensor \"%s\" is missing or of another shape", path, name);
    pl_nn_stream_set_k_offset(r->stream, t);
    return PL_OK;
}

/* A layer that an earlier run has finished. */
static enum pl_status reload_layer(struct run *r, struct pl_arena *a, uint32_t l)
{
    const char *path = ptq_shard_path(&r->j, l);
    struct pl_map map;
    struct pl_safetensors st;
    struct linear m[LINEARS];
    linears_of(r, l, m);
    PL_TRY(pl_file_map(path, &map, r->j.d));
    enum pl_status s = pl_safetensors_parse(a, path, map.data, map.len, &st, r->j.d);
    for (int i = 0; i < LINEARS && s == PL_OK; i++) {
        struct pl_tensor t;
        s = ptq_shard_find(&st, path, m[i].name, &r->j.o->plan.weight, m[i].t->shape[0], m[i].t->shape[1], &t, r->j.d);
        if (s == PL_OK && r->stream)
            pl_nn_stream_set(r->stream, (enum pl_nn_weight)m[i].which, &t);
    }
    if (s == PL_OK && r->j.o->center_keys)
        s = reload_keys(r, a, &st, path, l);
    pl_file_unmap(&map);
    if (s == PL_OK)
        advance(r, pl_nn_stream_attend);
    for (int i = 0; i < 4; i++)
        step(r);
    return s;
}

/* The unquantised model's own matrices. */
static void start_reference(struct run *r, uint32_t l)
{
    struct linear m[LINEARS];
    linears_of(r, l, m);
    pl_nn_stream_layer(r->ref, l);
    for (int i = 0; i < LINEARS; i++)
        pl_nn_stream_set(r->ref, (enum pl_nn_weight)m[i].which, m[i].t);
}

static enum pl_status one_layer(struct run *r, uint32_t l)
{
    struct pl_arena a;
    enum pl_status s;
    if (r->fold)
        PL_TRY(pl_fold_load(r->fold, l, false, r->j.d));
    pl_arena_init(&a);
    if (r->stream)
        pl_nn_stream_layer(r->stream, l);
    if (r->ref)
        start_reference(r, l);
    if (pl_file_exists(ptq_shard_path(&r->j, l))) {
        s = reload_layer(r, &a, l);
    } else {
        struct ptq_shard out;
        json_t *report = json_array();
        ptq_shard_init(&out, &a, 2 * LINEARS + PL_WEIGHTS);
        s = round_layer(r, &a, l, &out, report);
        ptq_shard_fini(&out);
        json_decref(report);
    }
    pl_arena_fini(&a);
    if (s == PL_OK)
        advance(r, pl_nn_stream_mlp);
    step(r);
    return s;
}

static enum pl_status last_shard(struct run *r)
{
    struct pl_arena a;
    struct ptq_shard out;
    const struct linear m = {r->j.ck->lm_head, PL_NN_HEAD, -1, "lm_head.weight"};
    if (pl_file_exists(ptq_shard_path(&r->j, r->j.ck->config.n_layers)))
        return PL_OK;
    pl_arena_init(&a);
    ptq_shard_init(&out, &a, 4);
    json_t *report = json_array();
    enum pl_status s = round_group(r, &a, &m, 1, &out, report);
    if (s == PL_OK)
        s = keep(r, r->j.ck->embed, &out);
    if (s == PL_OK)
        s = keep(r, r->j.ck->final_norm, &out);
    if (s == PL_OK)
        s = ptq_shard_write(&out, ptq_shard_path(&r->j, r->j.ck->config.n_layers), report, r->j.d);
    ptq_shard_fini(&out);
    json_decref(report);
    pl_arena_fini(&a);
    return s;
}

/* ---- the whole ---- */
static enum pl_status check(const struct run *r)
{
    const struct pl_model_config *c = &r->j.ck->config;
    const struct pl_format *f = &r->j.o->plan.weight;
    const uint64_t q = (uint64_t)c->n_heads * c->head_dim;
    uint64_t most = c->ffn > c->hidden ? c->ffn : c->hidden;
    most = q > most ? q : most;
    char name[48];
    pl_format_name(f, name);
    if (c->quantised)
        return pl_fail(r->j.d, PL_EUNSUPPORTED, "%s: is already quantised; quantise the original", r->j.ck->dir);
    if (c->mla.kv_rank || c->moe.experts)
        return pl_fail(r->j.d, PL_EUNSUPPORTED, "%s: models with %s (model_type %s) are not quantised yet", r->j.ck->dir,
                       c->mla.kv_rank ? "latent attention" : "experts", pl_family_name(c->family));
    if (!pl_format_has_scale(f))
        return pl_fail(r->j.d, PL_EUSAGE, "weights cannot be quantised to \"%s\"; choose an MX format such as mxint4:16", name);
    /* The machine orders query heads its own way (doc/lowering.md 5): a block of o_proj may be cut at heads, not mixed. */
    const bool mixed = r->j.o->plan.head_slot % f->block && c->n_heads != c->n_kv_heads;
    if (c->head_dim % f->block && (mixed || f->block % c->head_dim || !pl_ptq_divisible(f)))
        return pl_fail(r->j.d, PL_EUNSUPPORTED, "%s: blocks of %u do not fit heads of %u lanes; choose blocks that divide them", name,
                       f->block, c->head_dim);
    const struct pl_ptq_rule *rule = &r->j.o->rule;
    if (!r->j.n_texts && r->j.o->center_keys)
        return pl_fail(r->j.d, PL_EUSAGE, "centring keys needs calibration texts");
    if (!r->j.n_texts && (rule->propagation != PL_PROPAGATE_NONE || rule->search > PL_SEARCH_WEIGHT))
        return pl_fail(r->j.d, PL_EUSAGE, "this recipe needs calibration texts");
    if (r->j.n_texts && r->j.tokens < most)
        return pl_fail(r->j.d, PL_ERANGE, "%zu calibration tokens are too few: the widest linear layer has %llu inputs", r->j.tokens,
                       (unsigned long long)most);
    return PL_OK;
}

static enum pl_status start_stream(struct run *r, const struct pl_plan *plan, struct pl_nn_stream **stream, float ***states)
{
    size_t longest = 1;
    for (size_t i = 0; i < r->j.n_texts; i++)
        longest = r->j.text[i].n > longest ? r->j.text[i].n : longest;
    PL_TRY(pl_nn_stream_new(r->j.ck, plan, (uint32_t)longest, stream, r->j.d));
    float **x = *states = ptq_scratch(r->j.n_texts, sizeof *x);
    const size_t w = pl_nn_stream_width(*stream);
    for (size_t i = 0; i < r->j.n_texts; i++) {
        x[i] = ptq_alloc(r->j.text[i].n * w, sizeof **x);
        if (!x[i])
            return pl_fail(r->j.d, PL_ENOMEM, "no memory for the states of %zu calibration tokens", r->j.tokens);
        pl_nn_stream_embed(*stream, r->j.text[i].ids, r->j.text[i].n, x[i]);
    }
    return PL_OK;
}

static enum pl_status start_streams(struct run *r)
{
    /* Eight bits stand for the unquantised model: 40 dB nearer than what is being made up for, at the array's own speed. */
    struct pl_plan plain = r->j.o->plan;
    plain.weight = plain.act = plain.kv = (struct pl_format){.kind = PL_FORMAT_MXINT, .int_bits = 8, .block = 16};
    PL_TRY(start_stream(r, &r->j.o->plan, &r->stream, &r->x));
    return r->j.o->aim > 0 ? start_stream(r, &plain, &r->ref, &r->x_ref) : PL_OK;
}

static void free_states(const struct run *r, float **x)
{
    for (size_t i = 0; x && i < r->j.n_texts; i++)
        free(x[i]);
    free(x);
}

static enum pl_status all_layers(struct run *r)
{
    PL_TRY(check(r));
    PL_TRY(ptq_start(&r->j));
    if (r->j.n_texts)
        PL_TRY(start_streams(r));
    for (uint32_t l = 0; l < r->j.ck->config.n_layers; l++)
        PL_TRY(one_layer(r, l));
    PL_TRY(last_shard(r));
    return ptq_finish(&r->j);
}

enum pl_status pl_ptq_checkpoint(const struct pl_checkpoint *ck, const struct pl_ptq_options *o, const struct pl_ptq_text *text,
                                 size_t n_texts, const char *dir, struct pl_diag *d)
{
    struct pl_arena a;
    pl_arena_init(&a);
    struct run r = {.j = {ck, o, text, n_texts, 0, dir, &a, d}, .total = 5ull * ck->config.n_layers + 1};
    for (size_t i = 0; i < n_texts; i++)
        r.j.tokens += text[i].n;
    enum pl_status s = PL_OK;
    if (o->fold)
        s = pl_fold_new(ck, o->fold, &r.fold, d);
    if (r.fold)
        r.j.ck = pl_fold_checkpoint(r.fold);
    if (s == PL_OK)
        s = all_layers(&r);
    free_states(&r, r.x);
    free_states(&r, r.x_ref);
    pl_nn_stream_free(r.stream);
    pl_nn_stream_free(r.ref);
    pl_fold_free(r.fold);
    pl_arena_fini(&a);
    return s;
}
