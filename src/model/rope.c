/* rope.c - rope_scaling of config.json, and the rotation frequencies it gives. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "model_internal.h"

static enum pl_status llama3(const struct pl_json_at *in, const json_t *s, struct pl_rope_scaling *r, struct pl_diag *d)
{
    PL_TRY(pl_json_double(in, s, "low_freq_factor", true, &r->low_freq, d));
    PL_TRY(pl_json_double(in, s, "high_freq_factor", true, &r->high_freq, d));
    PL_TRY(model_u32(in, s, "original_max_position_embeddings", true, MODEL_MAX_POSITION, &r->original_max, d));
    if (!(r->low_freq > 0) || !(r->high_freq > r->low_freq))
        return pl_fail(d, PL_ERANGE, "%s: rope_scaling: high_freq_factor must exceed low_freq_factor > 0", in->file);
    return PL_OK;
}

/* YaRN's rule for the temperature of attention (arXiv 2309.00071, eq. 22). */
static double temperature(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static enum pl_status yarn(const struct pl_json_at *in, const json_t *s, const struct pl_model_config *c, struct pl_rope_scaling *r,
                           struct pl_diag *d)
{
    double mscale = 0, mscale_all = 0, attention = 0;
    r->beta_fast = 32;
    r->beta_slow = 1;
    r->truncate = true;
    r->original_max = c->max_position;
    PL_TRY(pl_json_double(in, s, "beta_fast", false, &r->beta_fast, d));
    PL_TRY(pl_json_double(in, s, "beta_slow", false, &r->beta_slow, d));
    PL_TRY(pl_json_bool(in, s, "truncate", false, &r->truncate, d));
    PL_TRY(model_u32(in, s, "original_max_position_embeddings", false, MODEL_MAX_POSITION, &r->original_max, d));
    PL_TRY(pl_json_double(in, s, "mscale", false, &mscale, d));
    PL_TRY(pl_json_double(in, s, "mscale_all_dim", false, &mscale_all, d));
    PL_TRY(pl_json_double(in, s, "attention_factor", false, &attention, d));
    if (!(r->beta_slow > 0) || !(r->beta_fast > r->beta_slow))
        return pl_fail(d, PL_ERANGE, "%s: rope_scaling: beta_fast must exceed beta_slow > 0", in->file);
    if (attention < 0 || mscale < 0 || mscale_all < 0)
        return pl_fail(d, PL_ERANGE, "%s: rope_scaling: attention_factor, mscale and mscale_all_dim must not be negative", in->file);
    if (attention > 0)
        r->attention = attention;
    else if (mscale > 0 && mscale_all > 0)
        r->attention = temperature(r->factor, mscale) / temperature(r->factor, mscale_all);
    else
        r->attention = temperature(r->factor, 1);
    if (c->mla.kv_rank && mscale_all > 0)
        r->softmax = temperature(r->factor, mscale_all) * temperature(r->factor, mscale_all);
    return PL_OK;
}

enum pl_status model_rope(const struct pl_json_at *at, const json_t *o, struct pl_model_config *c, struct pl_diag *d)
{
    struct pl_rope_scaling *r = &c->rope;
    json_t *s = NULL;
    r->attention = r->softmax = 1;
    PL_TRY(pl_json_member(at, o, "rope_scaling", false, JSON_OBJECT, &s, d));
    if (!s)
        return PL_OK;
    const struct pl_json_at in = {at->file, "rope_scaling"};
    const char *type = "default";
    PL_TRY(pl_json_string(&in, s, "type", false, &type, d));
    PL_TRY(pl_json_string(&in, s, "rope_type", false, &type, d));
    static const char *const kind[] = {"default", "linear", "llama3", "yarn"};
    unsigned k = 0;
    while (k < PL_COUNT(kind) && strcmp(type, kind[k]) != 0)
        k++;
    if (k == PL_COUNT(kind))
        return pl_fail(d, PL_EUNSUPPORTED, "%s: rope_scaling type \"%s\" is not supported; supported: default, linear, llama3, yarn",
                       at->file, type);
    r->kind = (enum pl_rope_kind)k;
    if (r->kind == PL_ROPE_DEFAULT)
        return PL_OK;
    PL_TRY(pl_json_double(&in, s, "factor", true, &r->factor, d));
    if (r->factor < 1 || r->factor > 1e6)
        return pl_fail(d, PL_ERANGE, "%s: rope_scaling.factor: %g is outside 1..1e6", at->file, r->factor);
    if (r->kind == PL_ROPE_LLAMA3)
        return llama3(&in, s, r, d);
    return r->kind == PL_ROPE_YARN ? yarn(&in, s, c, r, d) : PL_OK;
}

static double llama3_freq(const struct pl_rope_scaling *r, double f)
{
    const double wavelen = 6.283185307179586476925 / f, original = r->original_max;
    if (wavelen > original / r->low_freq)
        return f / r->factor;
    if (wavelen < original / r->high_freq)
        return f;
    const double smooth = (original / wavelen - r->low_freq) / (r->high_freq - r->low_freq);
    return (1 - smooth) * f / r->factor + smooth * f;
}

/* The pair whose angle makes `rotations` turns in original_max positions. */
static double yarn_pair(const struct pl_model_config *c, double rotations)
{
    const double turn = 6.283185307179586476925;
    return pl_model_rope_dim(c) * log(c->rope.original_max / (rotations * turn)) / (2 * log(c->rope_theta));
}

static double yarn_freq(const struct pl_model_config *c, uint32_t i, double f)
{
    const struct pl_rope_scaling *r = &c->rope;
    double low = yarn_pair(c, r->beta_fast), high = yarn_pair(c, r->beta_slow);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, pl_model_rope_dim(c) - 1.0);
    if (low >= high)
        high = low + 0.001;
    const double ramp = fmin(1, fmax(0, (i - low) / (high - low)));
    return f / r->factor * ramp + f * (1 - ramp);
}

void pl_rope_inv_freq(const struct pl_model_config *c, double *inv_freq)
{
    const uint32_t lanes = pl_model_rope_dim(c);
    for (uint32_t i = 0; i < lanes / 2; i++) {
        const double f = pow(c->rope_theta, -2.0 * i / lanes);
        switch (c->rope.kind) {
        case PL_ROPE_LINEAR:
            inv_freq[i] = f / c->rope.factor;
            break;
        case PL_ROPE_LLAMA3:
            inv_freq[i] = llama3_freq(&c->rope, f);
            break;
        case PL_ROPE_YARN:
            inv_freq[i] = yarn_freq(c, i, f);
            break;
        default:
            inv_freq[i] = f;
        }
    }
}

double pl_rope_scale(const struct pl_model_config *c, bool query)
{
    return query ? c->rope.attention * c->rope.softmax / sqrt((double)c->head_dim) : c->rope.attention;
}
