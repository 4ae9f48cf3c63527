/* fused.c - checkpoints that keep a layer's experts in one tensor for each matrix, as GPT-OSS does.
 *
 * In BF16: gate_up_proj [experts, hidden, 2 ffn] and down_proj [experts, ffn, hidden], transposed. In MXFP4: NAME_blocks
 * [experts, outputs, inputs / 32, 16], two E2M1 elements a byte, the lower half first, and NAME_scales [experts, outputs,
 * inputs / 32], E8M0. In both, and in the biases [experts, outputs], gate and up take turns along the outputs.
 * An expert's matrix is a view with steps into that. Source: transformers, modeling_gpt_oss and its mxfp4 integration. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_internal.h"

struct part { /* one matrix or bias of one expert */
    char fused[96]; /* the tensor that holds it */
    uint32_t expert, first, step; /* outputs first, first + step, ... */
    bool bias;
};

/* Take "...experts.3.gate_proj.weight" apart; false: no such name. */
static bool take_apart(const char *name, struct part *p)
{
    static const char *const matrix[] = {"gate_proj", "up_proj", "down_proj"};
    const char *at = strstr(name, ".mlp.experts.");
    char *end;
    if (!at)
        return false;
    at += strlen(".mlp.experts.");
    const unsigned long expert = strtoul(at, &end, 10);
    for (unsigned i = 0; *end == '.' && i < PL_COUNT(matrix); i++) {
        const size_t n = strlen(matrix[i]);
        if (strncmp(end + 1, matrix[i], n) != 0 || end[1 + n] != '.')
            continue;
        *p = (struct part){.expert = (uint32_t)expert, .first = i == 1, .step = i == 2 ? 1 : 2, .bias = !strcmp(end + n + 2, "bias")};
        snprintf(p->fused, sizeof p->fused, "%.*s%s%s", (int)(at - name), name, i == 2 ? "down_proj" : "gate_up_proj", p->bias ? "_bias" : "");
        return true;
    }
    return false;
}

/* A tensor of exactly this shape; a shape ends with 0. */
static enum pl_status need(const struct pl_checkpoint *ck, const char *name, bool bytes, const uint64_t *shape, const struct pl_tensor **out,
                           struct pl_diag *d)
{
    const struct pl_tensor *t = pl_safetensors_find(&ck->tensors, name);
    char text[96] = "";
    unsigned rank = 0;
    if (!t)
        return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\" is missing", ck->dir, name);
    bool same = true;
    for (size_t n = 0; shape[rank]; rank++) {
        same &= rank < t->rank && t->shape[rank] == shape[rank];
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%llu", rank ? ", " : "", (unsigned long long)shape[rank]);
    }
    if (!same || t->rank != rank || (bytes ? strcmp(t->dtype_name, "U8") != 0 : t->dtype == PL_DTYPE_OTHER))
        return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\": expected %s [%s]", ck->dir, name, bytes ? "U8" : "F32, F16 or BF16", text);
    *out = t;
    return PL_OK;
}

static enum pl_status plain_view(const struct pl_checkpoint *ck, const struct part *p, uint64_t rows, uint64_t cols, struct pl_tensor *view,
                                 struct pl_diag *d)
{
    const uint64_t experts = ck->config.moe.experts, outputs = (rows ? rows : cols) * p->step;
    const uint64_t matrix[] = {experts, cols, outputs, 0}, vector[] = {experts, outputs, 0};
    const struct pl_tensor *t;
    PL_TRY(need(ck, p->fused, false, p->bias ? vector : matrix, &t, d));
    const uint64_t first = p->expert * outputs * (p->bias ? 1 : cols) + p->first;
    view->dtype = t->dtype;
    view->dtype_name = t->dtype_name;
    view->data = t->data + first * (t->dtype == PL_DTYPE_F32 ? 4 : 2);
    view->row_step = p->step;
    view->col_step = p->bias ? p->step : outputs;
    return PL_OK;
}

static enum pl_status mx_view(const struct pl_checkpoint *ck, const struct part *p, uint64_t rows, uint64_t cols, struct pl_tensor *view,
                              struct pl_diag *d)
{
    static const struct pl_format mxfp4 = {.kind = PL_FORMAT_MXFP, .elem = {2, 1, PL_SPECIAL_FINITE}, .block = 32};
    const uint64_t experts = ck->config.moe.experts, outputs = rows * p->step, blocks = cols / 32;
    const uint64_t shape[] = {experts, outputs, blocks, 16, 0}, scale_shape[] = {experts, outputs, blocks, 0};
    const struct pl_tensor *t, *scale;
    char name[112];
    if (cols % 32)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: tensor \"%s\": %llu inputs are no whole blocks of 32", ck->dir, p->fused, (unsigned long long)cols);
    snprintf(name, sizeof name, "%s_blocks", p->fused);
    PL_TRY(need(ck, name, true, shape, &t, d));
    snprintf(name, sizeof name, "%s_scales", p->fused);
    PL_TRY(need(ck, name, true, scale_shape, &scale, d));
    const uint64_t first = p->expert * outputs + p->first;
    view->dtype = PL_DTYPE_MX;
    view->dtype_name = "MX";
    view->format = &mxfp4;
    view->data = t->data + first * blocks * 16;
    view->scale = scale->data + first * blocks;
    view->row_step = p->step;
    for (uint64_t r = 0; r < rows; r++)
        if (memchr(view->scale + r * p->step * blocks, 255, blocks))
            return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\": row %llu of expert %u holds the scale 255, which is NaN: a damaged file", ck->dir,
                           name, (unsigned long long)(p->first + r * p->step), p->expert);
    return PL_OK;
}

enum pl_status model_fused(struct pl_arena *a, const struct pl_checkpoint *ck, const struct model_want *w, const struct pl_tensor **out,
                           struct pl_diag *d)
{
    struct part p;
    char blocks[112];
    *out = NULL;
    if (ck->config.family != PL_FAMILY_GPT_OSS || !take_apart(w->name, &p) || pl_safetensors_find(&ck->tensors, w->name))
        return PL_OK;
    struct pl_tensor *view = PL_NEW(a, struct pl_tensor);
    *view = (struct pl_tensor){.name = pl_arena_strdup(a, w->name), .rank = w->rows ? 2 : 1, .shape = {w->rows ? w->rows : w->cols, w->cols},
                               .count = (w->rows ? w->rows : 1) * w->cols};
    snprintf(blocks, sizeof blocks, "%s_blocks", p.fused);
    if (!p.bias && pl_safetensors_find(&ck->tensors, blocks))
        PL_TRY(mx_view(ck, &p, w->rows, w->cols, view, d));
    else
        PL_TRY(plain_view(ck, &p, w->rows, w->cols, view, d));
    *out = view;
    return PL_OK;
}
