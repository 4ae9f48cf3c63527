/* rows.c - Vector SRAM and FP SRAM of one pass over the model with a given number of token rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/map.h"

static struct pl_map_tensor take(uint64_t *used, uint32_t pitch, uint32_t rows, uint64_t cols)
{
    const struct pl_map_tensor t = {*used, rows, (uint32_t)cols};
    *used += (cols + pitch - 1) / pitch * pitch * rows;
    return t;
}

void pl_map_rows(const struct pl_arch *arch, const struct pl_model_config *model,
                 const struct pl_plan *plan, uint32_t live, struct pl_map_rows *out)
{
    const uint32_t pitch = pl_arch_pitch(arch);
    const uint32_t hs = plan->head_slot;
    const uint32_t rows = (live + arch->blen - 1) / arch->blen * arch->blen;
    const uint64_t heads = (uint64_t)model->n_heads * hs, kv = (uint64_t)model->n_kv_heads * hs;
    const struct pl_map_heads hd = pl_map_heads(model, plan);
    const uint32_t group_heads = hd.per_group * (model->n_heads / model->n_kv_heads);
    uint64_t used = 0;

    *out = (struct pl_map_rows){.live = live, .alloc = rows};
    out->x = take(&used, pitch, rows, model->hidden);
    out->y = take(&used, pitch, rows, model->hidden);
    out->q = take(&used, pitch, rows, heads);
    out->k = take(&used, pitch, rows, kv);
    out->v = take(&used, pitch, rows, kv);
    out->o = take(&used, pitch, rows, heads);
    out->gate = take(&used, pitch, rows, model->ffn);
    out->up = take(&used, pitch, rows, model->ffn);
    out->delta = take(&used, pitch, rows, model->hidden);
    out->score = take(&used, pitch, rows, pitch);
    out->pv = take(&used, pitch, rows, hs > pitch ? hs : pitch);
    out->part = take(&used, pitch, rows, pitch);
    out->gain = take(&used, pitch, 1, model->hidden);
    out->tmp = take(&used, pitch, 1, pitch);
    for (unsigned i = 0; i < 4; i++)
        out->rope[i] = take(&used, pitch, rows, hs);
    out->elements = used;
    out->fp_words = PL_FP_STATE + (2 * group_heads + 1) * live;
}

enum pl_status pl_map_fit_rows(const struct pl_arch *arch, const struct pl_model_config *model,
                               const struct pl_plan *plan, uint32_t most, struct pl_map_rows *out,
                               struct pl_diag *d)
{
    const uint64_t capacity = (uint64_t)arch->vector_rows * arch->vlen;
    for (uint32_t live = most; live >= 1; live /= 2) {
        pl_map_rows(arch, model, plan, live, out);
        if (out->elements <= capacity && out->fp_words <= arch->fp_words)
            return PL_OK;
    }
    return pl_fail(d, PL_EUNSUPPORTED,
                   "machine %s cannot hold one row of this model: Vector SRAM %llu of %llu elements, FP SRAM %u of %u words",
                   arch->name, (unsigned long long)out->elements, (unsigned long long)capacity,
                   out->fp_words, arch->fp_words);
}
