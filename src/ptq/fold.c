/* fold.c - function-preserving transforms worked into the weights of a checkpoint.
 *
 * What a side of a matrix goes through is a list of steps on a row vector of its channels. Columns take the steps as they
 * are, scales multiplied; the rows that make those channels take the same with scales divided. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "plena/mx_hadamard.h"
#include "plena/ptq_fold.h"
#include "ptq_internal.h"

enum { STRIP = 32 };

struct rotation {
    size_t n, group;
    struct pl_hadamard *h;
    int8_t *sign;  /* before it, or NULL */
    double factor; /* after it */
};
struct step {
    const struct rotation *rotation; /* one of these */
    const uint32_t *order;
    const float *scale;
    size_t repeat; /* of orders and scales: how many lanes in a row share a head's; 0: their index is the lane's */
};
struct side {
    struct step step[5];
    size_t n_steps;
    bool divide; /* scales */
};
struct pl_fold {
    const struct pl_checkpoint *src;
    struct pl_fold_spec spec;
    struct pl_checkpoint ck;
    struct rotation residual, online[PL_SITES];
    struct rotation *value; /* [n_layers] */
    struct pl_arena a, *layer_arena; /* [n_layers] */
    bool *loaded;
};

/* ---- rotations ---- */
static enum pl_status rotation_init(struct rotation *r, const char *what, size_t n, uint32_t group, struct pl_diag *d)
{
    *r = (struct rotation){.n = n, .group = group, .factor = 1};
    if (!group)
        return PL_OK;
    if (n % group)
        return pl_fail(d, PL_ERANGE, "rotation of %s: groups of %u lanes do not divide %zu", what, group, n);
    r->h = pl_hadamard_new(group);
    return r->h ? PL_OK : pl_fail(d, PL_ERANGE, "rotation of %s: no Hadamard matrix of %u lanes is known here", what, group);
}

static void rotation_fini(struct rotation *r)
{
    pl_hadamard_free(r->h);
    free(r->sign);
}

static void rotate(const struct rotation *r, double *x)
{
    for (size_t i = 0; r->sign && i < r->n; i++)
        x[i] *= r->sign[i];
    for (size_t i = 0; i < r->n; i += r->group)
        pl_hadamard_apply(r->h, false, x + i);
    for (size_t i = 0; r->factor < 1 && i < r->n; i++)
        x[i] *= r->factor;
}

/* ---- sides ---- */
/* Lane i of a row of query heads takes the order or scale of its kv head: group lanes of D share D of them. */
static size_t shared(const struct step *s, size_t dim, size_t i)
{
    return s->repeat ? i / (dim * s->repeat) * dim + i % dim : i;
}

static void apply(const struct side *s, size_t dim, size_t n, double *x, double *old)
{
    for (size_t k = 0; k < s->n_steps; k++) {
        const struct step *t = &s->step[k];
        if (t->rotation) {
            rotate(t->rotation, x);
            continue;
        }
        for (size_t i = 0; t->scale && i < n; i++) {
            const double f = (double)t->scale[shared(t, dim, i)];
            x[i] = s->divide ? x[i] / f : x[i] * f;
        }
        if (!t->order)
            continue;
        memcpy(old, x, n * sizeof *x);
        for (size_t i = 0; i < n; i++) { /* a head's lane moves inside its own head */
            const size_t from = t->order[shared(t, dim, i)];
            x[i] = old[t->repeat ? i / dim * dim + from % dim : from];
        }
    }
}

static void columns(const struct side *s, size_t dim, float *w, size_t n, size_t k)
{
    if (!s->n_steps)
        return;
#pragma omp parallel
    {
        double *x = ptq_scratch(2 * k, sizeof *x);
#pragma omp for schedule(static, 8)
        for (size_t r = 0; r < n; r++) {
            for (size_t i = 0; i < k; i++)
                x[i] = (double)w[r * k + i];
            apply(s, dim, k, x, x + k);
            for (size_t i = 0; i < k; i++)
                w[r * k + i] = (float)x[i];
        }
        free(x);
    }
}

static void rows(const struct side *s, size_t dim, float *w, size_t n, size_t k)
{
    if (!s->n_steps)
        return;
#pragma omp parallel
    {
        double *x = ptq_scratch((STRIP + 1) * n, sizeof *x);
#pragma omp for schedule(static, 1)
        for (size_t c = 0; c < k; c += STRIP) {
            const size_t m = k - c < STRIP ? k - c : STRIP;
            for (size_t r = 0; r < n; r++)
                for (size_t j = 0; j < m; j++)
                    x[j * n + r] = (double)w[r * k + c + j];
            for (size_t j = 0; j < m; j++)
                apply(s, dim, n, x + j * n, x + STRIP * n);
            for (size_t r = 0; r < n; r++)
                for (size_t j = 0; j < m; j++)
                    w[r * k + c + j] = (float)x[j * n + r];
        }
        free(x);
    }
}

static void add_step(struct side *s, struct step t)
{
    if ((t.rotation && t.rotation->group) || t.order || t.scale)
        s->step[s->n_steps++] = t;
}

/* The residual stream as its readers see it behind a norm whose gain is folded (NULL: stays where it is). */
static struct side reader(const struct pl_fold *f, const float *gain, const float *scale, const struct rotation *online)
{
    struct side s = {0};
    add_step(&s, (struct step){.scale = gain});
    add_step(&s, (struct step){.order = f->spec.order_hidden});
    add_step(&s, (struct step){.rotation = &f->residual});
    add_step(&s, (struct step){.scale = scale});
    add_step(&s, (struct step){.rotation = online});
    return s;
}

/* The rows of q and k. */
static struct side heads(const struct pl_fold *f, uint32_t l, bool query)
{
    struct side s = {.divide = !query};
    if (f->spec.layer)
        add_step(&s, (struct step){.scale = f->spec.layer[l].scale_qk, .repeat = query ? f->ck.config.n_heads / f->ck.config.n_kv_heads : 0});
    return s;
}

static struct side values(const struct pl_fold *f, uint32_t l, bool of_o)
{
    const struct pl_fold_layer *y = f->spec.layer ? &f->spec.layer[l] : NULL;
    const struct pl_model_config *c = &f->ck.config;
    const size_t repeat = of_o ? c->n_heads / c->n_kv_heads : 0;
    struct side s = {.divide = !of_o};
    if (!y)
        return s;
    add_step(&s, (struct step){.order = y->order_value, .repeat = repeat});
    add_step(&s, (struct step){.scale = y->scale_o, .repeat = repeat});
    add_step(&s, (struct step){.rotation = of_o ? &f->value[2 * l + 1] : &f->value[2 * l]});
    return s;
}

static struct side ffn(const struct pl_fold *f, uint32_t l, bool scaled, bool of_down)
{
    const struct pl_fold_layer *y = f->spec.layer ? &f->spec.layer[l] : NULL;
    struct side s = {.divide = !of_down};
    if (y)
        add_step(&s, (struct step){.order = y->order_ffn});
    if (y && scaled)
        add_step(&s, (struct step){.scale = y->scale_down});
    if (of_down)
        add_step(&s, (struct step){.rotation = &f->online[PL_SITE_DOWN]});
    return s;
}

/* ---- tensors ---- */
static enum pl_status make(struct pl_fold *f, struct pl_arena *a, const struct pl_tensor *t, const struct side *row, const struct side *col,
                           const struct pl_tensor **out, struct pl_diag *d)
{
    const size_t k = (size_t)t->shape[t->rank - 1], n = (size_t)t->count / k, dim = f->ck.config.head_dim;
    float *w = pl_alloc_bulk(a, t->count, sizeof *w);
    if (!w)
        return pl_fail(d, PL_ENOMEM, "no memory for tensor \"%s\"", t->name);
    pl_tensor_to_f32(t, 0, t->count, w);
    if (col)
        columns(col, dim, w, n, k);
    if (row)
        rows(row, dim, w, n, k);
    struct pl_tensor *to = PL_NEW(a, struct pl_tensor);
    *to = *t;
    to->dtype_name = "F32";
    to->dtype = PL_DTYPE_F32;
    to->data = (const uint8_t *)w;
    to->bytes = t->count * sizeof *w;
    *out = to;
    return PL_OK;
}

/* Each row to the nearest of the format and back. */
static void round_rows(const struct pl_format *f, const struct pl_tensor *t)
{
    float *w = (float *)(uintptr_t)t->data;
    const size_t k = (size_t)t->shape[1];
#pragma omp parallel
    {
        uint32_t *code = ptq_scratch(k, sizeof *code);
        uint8_t *scale = ptq_scratch(k, 1);
#pragma omp for schedule(static, 8)
        for (uint64_t r = 0; r < t->shape[0]; r++) {
            pl_quantise(f, w + r * k, NULL, k, code, scale);
            pl_dequantise(f, code, scale, k, w + r * k);
        }
        free(code);
        free(scale);
    }
}

static enum pl_status linear(struct pl_fold *f, struct pl_arena *a, const struct pl_tensor *t, const struct side *row,
                             const struct side *col, const struct pl_tensor **out, struct pl_diag *d)
{
    PL_TRY(make(f, a, t, row, col, out, d));
    if (f->spec.round)
        round_rows(f->spec.round, *out);
    return PL_OK;
}

/* Gains go into the weights where the stream is ordered or rotated. */
static bool gains_fold(const struct pl_fold *f)
{
    return f->residual.group || f->spec.order_hidden;
}

/* A gain: what is left of it, over the scale. */
static enum pl_status gain(struct pl_fold *f, struct pl_arena *a, const struct pl_tensor *t, const float *scale, float **old,
                           const struct pl_tensor **out, struct pl_diag *d)
{
    PL_TRY(make(f, a, t, NULL, NULL, out, d));
    float *g = (float *)(uintptr_t)(*out)->data;
    *old = NULL;
    if (gains_fold(f)) {
        *old = pl_alloc_n(a, t->count, sizeof **old);
        memcpy(*old, g, t->count * sizeof *g);
    }
    for (uint64_t i = 0; i < t->count; i++)
        g[i] = (*old ? 1 : g[i]) / (scale ? scale[i] : 1);
    return PL_OK;
}

enum pl_status pl_fold_load(struct pl_fold *f, uint32_t l, bool keep, struct pl_diag *d)
{
    const struct pl_layer_tensors *t = &f->src->layer[l];
    struct pl_layer_tensors *o = &f->ck.layer[l];
    const struct pl_fold_layer none = {0}, *y = f->spec.layer ? &f->spec.layer[l] : &none;
    for (uint32_t i = 0; i < f->ck.config.n_layers && !keep; i++)
        if (f->loaded[i] && i != l) {
            pl_arena_fini(&f->layer_arena[i]);
            f->loaded[i] = false;
        }
    if (f->loaded[l])
        return PL_OK;
    struct pl_arena *a = &f->layer_arena[l];
    pl_arena_init(a);
    f->loaded[l] = true;
    float *gain1, *gain2;
    PL_TRY(gain(f, a, t->input_norm, y->scale_qkv, &gain1, &o->input_norm, d));
    PL_TRY(gain(f, a, t->post_norm, y->scale_gate_up, &gain2, &o->post_norm, d));
    const struct side in = reader(f, gain1, y->scale_qkv, &f->online[PL_SITE_QKV]),
                      in2 = reader(f, gain2, y->scale_gate_up, &f->online[PL_SITE_GATE_UP]), back = reader(f, NULL, NULL, NULL),
                      q = heads(f, l, true), k = heads(f, l, false);
    const struct side v = values(f, l, false), av = values(f, l, true), gate = ffn(f, l, false, false), up = ffn(f, l, true, false),
                      down = ffn(f, l, true, true);
    PL_TRY(linear(f, a, t->q, &q, &in, &o->q, d));
    PL_TRY(linear(f, a, t->k, &k, &in, &o->k, d));
    PL_TRY(linear(f, a, t->v, &v, &in, &o->v, d));
    PL_TRY(linear(f, a, t->o, &back, &av, &o->o, d));
    PL_TRY(linear(f, a, t->gate, &gate, &in2, &o->gate, d));
    PL_TRY(linear(f, a, t->up, &up, &in2, &o->up, d));
    return linear(f, a, t->down, &back, &down, &o->down, d);
}

enum pl_status pl_fold_load_all(struct pl_fold *f, struct pl_diag *d)
{
    for (uint32_t l = 0; l < f->ck.config.n_layers; l++)
        PL_TRY(pl_fold_load(f, l, true, d));
    return PL_OK;
}

/* ---- the whole ---- */
static enum pl_status ends(struct pl_fold *f, struct pl_diag *d)
{
    struct pl_checkpoint *c = &f->ck;
    float *g;
    const struct side back = reader(f, NULL, NULL, NULL);
    PL_TRY(gain(f, &f->a, f->src->final_norm, f->spec.scale_head, &g, &c->final_norm, d));
    const struct side in = reader(f, g, f->spec.scale_head, &f->online[PL_SITE_HEAD]);
    PL_TRY(make(f, &f->a, f->src->embed, NULL, &back, &c->embed, d));
    c->config.tied = f->src->config.tied && !in.n_steps && !f->spec.round;
    if (c->config.tied) {
        c->lm_head = c->embed;
        return PL_OK;
    }
    return linear(f, &f->a, f->src->lm_head, NULL, &in, &c->lm_head, d);
}

static enum pl_status rotations(struct pl_fold *f, struct pl_diag *d)
{
    const struct pl_model_config *c = &f->ck.config;
    PL_TRY(rotation_init(&f->residual, "the residual stream", c->hidden, f->spec.residual, d));
    static const char *const site[PL_SITES] = {"inputs of q, k and v", "inputs of o", "inputs of gate and up", "inputs of down", "inputs of lm_head"};
    for (unsigned i = 0; i < PL_SITES; i++) {
        const uint32_t group = f->spec.rotate[i];
        PL_TRY(rotation_init(&f->online[i], site[i], i == PL_SITE_DOWN ? c->ffn : c->hidden, group, d));
        if (group && (!pl_is_pow2(group) || i == PL_SITE_O))
            return pl_fail(d, PL_ERANGE, "rotation of %s: the machine cannot rotate groups of %u lanes there", site[i], group);
        if (group)
            f->online[i].factor = 1 / sqrt(group); /* the machine's transform is not normalised */
    }
    for (uint32_t l = 0; l < c->n_layers && f->spec.layer; l++) {
        const uint32_t group = f->spec.layer[l].value;
        if (group && c->head_dim % group)
            return pl_fail(d, PL_ERANGE, "rotation of values: groups of %u lanes do not divide heads of %u", group, c->head_dim);
        PL_TRY(rotation_init(&f->value[2 * l], "values", (size_t)c->n_kv_heads * c->head_dim, group, d));
        PL_TRY(rotation_init(&f->value[2 * l + 1], "values", (size_t)c->n_heads * c->head_dim, group, d));
    }
    if (f->spec.seed && f->spec.residual) {
        struct pl_rng r;
        pl_rng_init(&r, f->spec.seed);
        f->residual.sign = ptq_scratch(c->hidden, 1);
        for (uint32_t i = 0; i < c->hidden; i++)
            f->residual.sign[i] = pl_rng_below(&r, 2) ? 1 : -1;
    }
    return PL_OK;
}

/* Only the plain decoder of Llama is transformed. */
static enum pl_status plain(const struct pl_checkpoint *ck, struct pl_diag *d)
{
    const struct pl_model_config *c = &ck->config;
    const struct {
        bool has;
        const char *what;
    } f[] = {{c->mla.kv_rank != 0, "latent attention"}, {c->moe.experts != 0, "experts"}, {c->qkv_bias || c->o_bias, "biases"},
             {c->qk_norm, "norms of q and k"},          {c->sinks, "attention sinks"},    {c->window != 0, "windows"}};
    for (size_t i = 0; i < PL_COUNT(f); i++)
        if (f[i].has)
            return pl_fail(d, PL_EUNSUPPORTED, "%s: rotations and other transforms of a model with %s (model_type %s) are not supported; quantise with "
                           "--rotate none", ck->dir, f[i].what, pl_family_name(c->family));
    return PL_OK;
}

enum pl_status pl_fold_new(const struct pl_checkpoint *ck, const struct pl_fold_spec *spec, struct pl_fold **out, struct pl_diag *d)
{
    if (ck->config.quantised)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: is already quantised; transform the original", ck->dir);
    PL_TRY(plain(ck, d));
    struct pl_fold *f = ptq_scratch(1, sizeof *f);
    const uint32_t n = ck->config.n_layers;
    *f = (struct pl_fold){.src = ck, .spec = *spec, .ck = *ck};
    pl_arena_init(&f->a);
    f->ck.n_map = 0;
    memcpy(f->ck.config.rotate, spec->rotate, sizeof spec->rotate);
    f->ck.layer = PL_NEW_N(&f->a, struct pl_layer_tensors, n);
    f->value = PL_NEW_N(&f->a, struct rotation, 2 * n);
    f->layer_arena = PL_NEW_N(&f->a, struct pl_arena, n);
    f->loaded = PL_NEW_N(&f->a, bool, n);
    enum pl_status s = rotations(f, d);
    if (s == PL_OK)
        s = ends(f, d);
    if (s != PL_OK) {
        pl_fold_free(f);
        return s;
    }
    *out = f;
    return PL_OK;
}

void pl_fold_free(struct pl_fold *f)
{
    if (!f)
        return;
    for (uint32_t l = 0; l < f->ck.config.n_layers; l++)
        if (f->loaded[l])
            pl_arena_fini(&f->layer_arena[l]);
    rotation_fini(&f->residual);
    for (unsigned i = 0; i < PL_SITES; i++)
        rotation_fini(&f->online[i]);
    for (uint32_t l = 0; l < 2 * f->ck.config.n_layers; l++)
        rotation_fini(&f->value[l]);
    pl_arena_fini(&f->a);
    free(f);
}

const struct pl_checkpoint *pl_fold_checkpoint(const struct pl_fold *f)
{
    return &f->ck;
}
