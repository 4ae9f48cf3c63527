/* sites.c - where a model can be rotated: names, and the transform that a choice of them stands for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ptq_internal.h"

const char *const pl_rotation_name[PL_ROTATIONS] = {"residual", "residual-block", "qkv", "gate-up", "down", "head", "values"};

enum pl_status pl_rotations_parse(const char *text, unsigned *out, struct pl_diag *d)
{
    *out = 0;
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, ",");
        unsigned bits = n == 3 && !memcmp(p, "all", 3) ? PL_ROTATE_ALL : 0;
        for (unsigned i = 0; i < PL_ROTATIONS; i++)
            if (strlen(pl_rotation_name[i]) == n && !memcmp(p, pl_rotation_name[i], n))
                bits = 1u << i;
        if (!bits && !(n == 4 && !memcmp(p, "none", 4)))
            return pl_fail(d, PL_EUSAGE, "\"%.*s\": expected none, all, or a list of residual, residual-block, qkv, gate-up, down, head, values",
                           (int)n, p);
        *out |= bits;
        p += n + (p[n] == ',');
    }
    if ((*out & (1u << PL_ROTATION_RESIDUAL)) && (*out & (1u << PL_ROTATION_RESIDUAL_BLOCK)))
        return pl_fail(d, PL_EUSAGE, "residual and residual-block exclude each other");
    return PL_OK;
}

void pl_rotations_name(unsigned which, char out[64])
{
    out[0] = 0;
    if ((which & PL_ROTATE_ALL) == PL_ROTATE_ALL) {
        snprintf(out, 64, "all");
        which &= ~PL_ROTATE_ALL;
    }
    for (unsigned i = 0; i < PL_ROTATIONS; i++)
        if (which >> i & 1)
            snprintf(out + strlen(out), 64 - strlen(out), "%s%s", *out ? "," : "", pl_rotation_name[i]);
    if (!*out)
        snprintf(out, 64, "none");
}

/* The widest group that divides the width: a power of two, at most a block. */
static uint32_t group_of(uint32_t width, uint32_t block)
{
    while (width % block)
        block /= 2;
    return block > 1 ? block : 0;
}

void pl_rotations_spec(struct pl_arena *a, const struct pl_model_config *c, unsigned which, uint32_t block, struct pl_fold_spec *out)
{
    static const struct {
        unsigned bit;
        enum pl_site site;
    } online[] = {{PL_ROTATION_QKV, PL_SITE_QKV}, {PL_ROTATION_GATE_UP, PL_SITE_GATE_UP}, {PL_ROTATION_DOWN, PL_SITE_DOWN}, {PL_ROTATION_HEAD, PL_SITE_HEAD}};
    struct pl_fold_layer *y = PL_NEW_N(a, struct pl_fold_layer, c->n_layers);
    *out = (struct pl_fold_spec){.layer = y};
    if (which >> PL_ROTATION_RESIDUAL & 1)
        out->residual = c->hidden;
    if (which >> PL_ROTATION_RESIDUAL_BLOCK & 1)
        out->residual = group_of(c->hidden, block);
    for (size_t i = 0; i < PL_COUNT(online); i++)
        if (which >> online[i].bit & 1)
            out->rotate[online[i].site] = group_of(online[i].site == PL_SITE_DOWN ? c->ffn : c->hidden, block);
    for (uint32_t l = 0; l < c->n_layers; l++)
        y[l].value = which >> PL_ROTATION_VALUES & 1 ? group_of(c->head_dim, block) : 0;
}
