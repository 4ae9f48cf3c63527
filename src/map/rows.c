/* rows.c - Vector SRAM and FP SRAM of one pass over the model with a given number of token rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/map.h"

static struct pl_map_tensor take(uint64_t *used, uint32_t pitch, uint32_t rows, uint64_t cols)
{
    const struct pl_map_tensor t = {*used, rows, (uint32_t)cols};
    *used += (cols + pitch - 1) / pitch * pitch * rows;
    return t;
}

static uint32_t umax(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t round_up(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b * b;
}

/* Lanes of a packed row, or 0 when heads cannot be packed. */
static uint32_t pack_lanes(const struct pl_model_config *model, uint32_t pitch, uint32_t hs)
{
    const uint64_t lanes = (uint64_t)model->n_kv_heads * hs;
    if (model->n_heads == model->n_kv_heads || lanes > UINT32_MAX || (lanes % pitch && pitch % lanes))
        return 0;
    return (uint32_t)lanes;
}

/* Query heads of a K tile, or 0 when taking them at once saves the array nothing. */
static uint32_t spread_rows(const struct pl_model_config *model, const struct pl_plan *plan)
{
    const uint32_t group = model->n_heads / model->n_kv_heads, per_tile = pl_map_heads(model, plan).per_group;
    const uint32_t kv = per_tile < model->n_kv_heads ? per_tile : model->n_kv_heads;
    return round_up(kv * group, plan->blen) < kv * round_up(group, plan->blen) ? kv * group : 0;
}

/* Lanes of the row that holds a bias: of packed heads one vector row at least for each row. */
static uint32_t bias_cols(const struct pl_arch *arch, const struct pl_model_config *model, uint32_t hs, uint32_t pack)
{
    const uint32_t group = model->n_heads / model->n_kv_heads, most = model->o_bias ? model->hidden : 0;
    return !model->qkv_bias ? most : umax(most, pack ? group * umax(pack, arch->vlen) : model->n_heads * hs);
}

/* q, att_q, heads and o. Each packed row is written with the BLEN - 1 rows behind it, as zeros. */
static void lay_out_heads(struct pl_map_rows *out, uint64_t *used, uint32_t pitch, uint32_t blen, uint32_t packed, uint64_t heads)
{
    const uint32_t rows = out->alloc, pack = out->pack, token = out->batch ? blen : rows;
    if (out->batch || !pack)
        out->q = take(used, pitch, rows, heads);
    if (pack)
        out->att_q = take(used, pitch, packed + blen - 1, pack);
    else
        out->att_q = out->batch ? take(used, pitch, token, heads) : out->q;
    if (!out->batch && pack)
        out->q = out->att_q;
    out->heads = out->o = take(used, pitch, rows, heads);
    if (pack)
        out->o = take(used, pitch, packed, pack);
    else if (out->batch)
        out->o = take(used, pitch, token, heads);
}

static void lay_out(const struct pl_arch *arch, const struct pl_model_config *model, const struct pl_plan *plan,
                    uint32_t live, uint32_t batch, uint32_t pack, uint32_t spread, struct pl_map_rows *out)
{
    const uint32_t pitch = pl_arch_pitch(arch), blen = arch->blen;
    const uint32_t hs = plan->head_slot, group = model->n_heads / model->n_kv_heads;
    const uint32_t rows = round_up(live, blen);
    const uint64_t heads = (uint64_t)model->n_heads * hs, kv = (uint64_t)model->n_kv_heads * hs;
    const uint32_t per_chunk = pack && pack < pitch ? pitch / pack : 1;
    const uint32_t packed = round_up(group, per_chunk);
    uint64_t used = 0;

    *out = (struct pl_map_rows){.live = live, .batch = batch, .alloc = rows, .att_tokens = batch ? 1 : live,
                                .att_live = batch ? 1 : live, .att_alloc = batch ? blen : rows, .pack = pack, .pack_chunk = per_chunk,
                                .spread = spread};
    if (pack) {
        out->att_live = group;
        out->att_alloc = round_up(group, blen);
    }
    out->q_live = batch ? live : out->att_live;
    out->q_pack = batch ? 0 : pack;
    out->x = take(&used, pitch, rows, model->hidden);
    out->y = take(&used, pitch, rows, model->hidden);
    out->k = take(&used, pitch, rows, kv);
    out->v = take(&used, pitch, rows, kv);
    lay_out_heads(out, &used, pitch, blen, packed, heads);
    out->gate = take(&used, pitch, rows, model->ffn);
    out->up = take(&used, pitch, rows, model->ffn);
    out->delta = take(&used, pitch, rows, model->hidden);
    if (spread) {
        out->spread_q = take(&used, pitch, round_up(spread, blen), pitch);
        out->zero = take(&used, pitch, 1, pitch);
    }
    /* P V of the last head reads whole blocks of rows. */
    const uint32_t scores = umax(round_up(spread, blen), spread ? spread - group + round_up(group, blen) : 0);
    out->score = take(&used, pitch, umax(scores, umax(rows, out->att_alloc)), pitch);
    out->pv = take(&used, pitch, out->att_alloc, umax(hs, pitch));
    out->part = take(&used, pitch, umax(out->q_pack ? per_chunk + blen - 1 : 0, rows), pitch);
    for (unsigned i = 0; i < 2; i++)
        out->gain[i] = take(&used, pitch, 1, model->hidden);
    out->bias = take(&used, pitch, 1, bias_cols(arch, model, hs, out->q_pack));
    for (unsigned i = 0; i < 2; i++)
        out->head_gain[i] = take(&used, pitch, 1, model->qk_norm ? hs : 0);
    out->sinks = take(&used, pitch, 1, model->sinks ? heads : 0);
    out->tmp = take(&used, pitch, 1, pitch);
    for (unsigned i = 0; i < 4; i++)
        out->rope[i] = take(&used, pitch, rows, hs);
    out->elements = used;
    out->fp_words = PL_FP_STATE + 2 * pl_map_heads(model, plan).per_group * (pack ? 1 : group) * out->att_live +
                    umax(spread, out->att_live) + batch; /* behind the state of attention: the best logit of each sequence */
}

static bool fits(const struct pl_arch *arch, const struct pl_map_rows *r)
{
    return r->elements <= (uint64_t)arch->vector_rows * arch->vlen && r->fp_words <= arch->fp_words;
}

static void lay_out_as_fits(const struct pl_arch *arch, const struct pl_model_config *model, const struct pl_plan *plan,
                            uint32_t live, uint32_t batch, struct pl_map_rows *out)
{
    const bool one = live == 1 || batch;
    const uint32_t pack = one ? pack_lanes(model, pl_arch_pitch(arch), plan->head_slot) : 0;
    const uint32_t spread = one && (pack || model->n_heads == model->n_kv_heads) ? spread_rows(model, plan) : 0;
    lay_out(arch, model, plan, live, batch, pack, spread, out);
    if (spread && !fits(arch, out))
        lay_out(arch, model, plan, live, batch, pack, 0, out);
    if (pack && !fits(arch, out))
        lay_out(arch, model, plan, live, batch, 0, 0, out);
}

void pl_map_rows(const struct pl_arch *arch, const struct pl_model_config *model, const struct pl_plan *plan,
                 uint32_t live, struct pl_map_rows *out)
{
    lay_out_as_fits(arch, model, plan, live, 0, out);
}

static enum pl_status too_big(const struct pl_arch *arch, const struct pl_map_rows *r, uint32_t rows, struct pl_diag *d)
{
    return pl_fail(d, PL_EUNSUPPORTED,
                   "machine %s cannot hold %u row%s of this model: Vector SRAM %llu of %llu elements, FP SRAM %u of %u words",
                   arch->name, rows, rows > 1 ? "s" : "", (unsigned long long)r->elements,
                   (unsigned long long)arch->vector_rows * arch->vlen, r->fp_words, arch->fp_words);
}

enum pl_status pl_map_batch_rows(const struct pl_arch *arch, const struct pl_model_config *model, const struct pl_plan *plan,
                                 uint32_t batch, struct pl_map_rows *out, struct pl_diag *d)
{
    lay_out_as_fits(arch, model, plan, batch, batch, out);
    return fits(arch, out) ? PL_OK : too_big(arch, out, batch, d);
}

enum pl_status pl_map_fit_rows(const struct pl_arch *arch, const struct pl_model_config *model,
                               const struct pl_plan *plan, uint32_t most, struct pl_map_rows *out,
                               struct pl_diag *d)
{
    for (uint32_t live = most; live >= 1; live /= 2) {
        pl_map_rows(arch, model, plan, live, out);
        if (fits(arch, out))
            return PL_OK;
    }
    return too_big(arch, out, 1, d);
}
