/* memmap.c - where everything is, as text for people. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "comp_internal.h"

typedef unsigned long long ull;

static void tensor(struct pl_buf *out, const char *name, const struct pl_map_tensor *t, uint32_t pitch)
{
    if (!t->rows)
        return;
    const uint64_t end = t->base + ((uint64_t)t->cols + pitch - 1) / pitch * pitch * t->rows;
    pl_buf_printf(out, "  %10llu .. %-10llu %-11s %6u rows of %u lanes\n", (ull)t->base, (ull)end - 1, name, t->rows, t->cols);
}

static void vector_sram(const struct comp *c, const struct pl_map_rows *m, const char *program, struct pl_buf *out)
{
    const struct {
        const char *name;
        const struct pl_map_tensor *t;
    } all[] = {{"x", &m->x}, {"y", &m->y}, {"q", &m->q}, {"att_q", &m->att_q}, {"k", &m->k}, {"v", &m->v}, {"heads", &m->heads},
               {"o", &m->o}, {"gate", &m->gate}, {"up", &m->up}, {"delta", &m->delta}, {"spread_q", &m->spread_q}, {"zero", &m->zero},
               {"score", &m->score}, {"pv", &m->pv}, {"part", &m->part}, {"gain 1", &m->gain[0]}, {"gain 2", &m->gain[1]}, {"tmp", &m->tmp},
               {"bias", &m->bias}, {"q gain", &m->head_gain[0]}, {"k gain", &m->head_gain[1]}, {"sinks", &m->sinks}, {"qa", &m->qa}, {"qr", &m->qr},
               {"stage", &m->stage}, {"qa gain", &m->rank_gain[0]}, {"latent gain", &m->rank_gain[1]},
               {"cos_q", &m->rope[0]}, {"sin_q", &m->rope[1]}, {"cos_k", &m->rope[2]}, {"sin_k", &m->rope[3]}};
    pl_buf_printf(out, "Vector SRAM of %s, elements: %llu of %llu\n", program, (ull)m->elements, (ull)c->arch->vector_rows * c->arch->vlen);
    for (size_t i = 0; i < PL_COUNT(all); i++) {
        bool twice = false; /* one tensor under two names */
        for (size_t k = 0; k < i; k++)
            twice |= all[k].t->rows && all[k].t->base == all[i].t->base;
        if (!twice)
            tensor(out, all[i].name, all[i].t, c->pitch);
    }
    pl_buf_printf(out, "FP SRAM of %s: %u of %u words\n", program, m->fp_words, c->arch->fp_words);
}

void comp_map_program(const struct comp *c, const struct pl_map_rows *m, const char *program, struct pl_buf *out)
{
    const struct link *l = (const struct link *)(const void *)c->chain.links.data;
    const size_t n = c->chain.links.len / sizeof *l;
    vector_sram(c, m, program, out);
    pl_buf_printf(out, "Matrix SRAM of %s, %u tiles: K and V %u, two halves for weights of %u\n", program, c->arch->matrix_tiles, c->chain.base,
                  c->chain.half);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n)
            pl_buf_puts(out, "  lm_head        ");
        else
            pl_buf_printf(out, "  %-15s", pl_weight_info((enum pl_weight)l[i].weight)->name);
        pl_buf_printf(out, " %4u set%s of %u tile%s, ", l[i].sets, l[i].sets > 1 ? "s" : "", l[i].tiles, l[i].tiles > 1 ? "s" : "");
        if (l[i].whole)
            pl_buf_puts(out, "through all of it\n");
        else
            pl_buf_printf(out, "%u ahead, %s\n", l[i].ahead, l[i].waits ? "the first loaded by the layer before" : "loaded by itself");
    }
}

void comp_map_hbm(const struct comp *c, const struct pl_image *img, struct pl_buf *out)
{
    pl_buf_printf(out, "HBM, bytes: %llu of %llu; %u sequence%s of %u tokens, %u rows of cache each\n", (ull)img->hbm_bytes,
                  (ull)c->arch->hbm_bytes, c->batch, c->batch > 1 ? "s" : "", c->context, c->capacity);
    for (size_t i = 0; i < img->n_desc; i++) {
        const struct pl_desc *t = &img->desc[i];
        char f[48];
        pl_format_name(&t->format, f);
        pl_buf_printf(out, "  0x%010llx %-40s %7u x %-6u %s%s\n", (ull)t->elem_base, t->name, t->rows, t->cols, f, t->tile ? ", in tiles" : "");
    }
}
