/* host.c - drives the prefill and decode programs of an image. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/host.h"

#include <stdlib.h>

struct pl_host {
    const struct pl_image *img;
    struct pl_sim *sim;
    uint32_t position;
    uint32_t prefill, decode;                              /* entry points */
    uint32_t pos, tiles, last, first, ids, token;                 /* INT SRAM words */
    uint32_t chunk, context, vocab, kv_tile, window, logits;       /* constants */
};

static enum pl_status find_names(struct pl_host *h, struct pl_diag *d)
{
    const struct pl_image *g = h->img;
    const struct {
        const struct pl_named *list;
        size_t n;
        const char *name;
        uint32_t *out;
    } want[] = {
        {g->entry, g->n_entry, "prefill", &h->prefill},  {g->entry, g->n_entry, "decode", &h->decode},
        {g->param, g->n_param, "pos", &h->pos},          {g->param, g->n_param, "tiles", &h->tiles},
        {g->param, g->n_param, "last", &h->last},        {g->param, g->n_param, "ids", &h->ids},
        {g->param, g->n_param, "first", &h->first},      {g->constant, g->n_const, "window", &h->window},
        {g->constant, g->n_const, "token", &h->token},   {g->constant, g->n_const, "chunk", &h->chunk},
        {g->constant, g->n_const, "vocab", &h->vocab},   {g->constant, g->n_const, "context", &h->context},
        {g->constant, g->n_const, "logits", &h->logits}, {g->constant, g->n_const, "kv_tile", &h->kv_tile},
    };
    for (size_t i = 0; i < PL_COUNT(want); i++) {
        uint64_t v;
        PL_TRY(pl_image_find(want[i].list, want[i].n, want[i].name, &v, d));
        if (v > UINT32_MAX)
            return pl_fail(d, PL_ERANGE, "image: %s is %llu", want[i].name, (unsigned long long)v);
        *want[i].out = (uint32_t)v;
    }
    if (h->logits >= g->n_desc)
        return pl_fail(d, PL_ERANGE, "image: there is no tensor %u for the logits", h->logits);
    if (!h->chunk || !h->kv_tile || !h->vocab)
        return pl_fail(d, PL_ERANGE, "image: chunk, vocab and kv_tile must not be 0");
    return PL_OK;
}

enum pl_status pl_host_new(const struct pl_arch *arch, const struct pl_image *img, const struct pl_sim_options *opt,
                           struct pl_host **out, struct pl_diag *d)
{
    struct pl_host *h = calloc(1, sizeof *h);
    if (!h)
        return pl_fail(d, PL_ENOMEM, "no memory for the host");
    h->img = img;
    enum pl_status s = find_names(h, d);
    if (s == PL_OK)
        s = pl_sim_new(arch, img, opt, &h->sim, d);
    if (s == PL_OK)
        *out = h;
    else
        pl_host_free(h);
    return s;
}

void pl_host_free(struct pl_host *h)
{
    if (!h)
        return;
    pl_sim_free(h->sim);
    free(h);
}

void pl_host_reset(struct pl_host *h)
{
    h->position = 0;
}

/* One run of a program over n <= chunk tokens. */
static enum pl_status pass(struct pl_host *h, const uint32_t *ids, uint32_t n, struct pl_diag *d)
{
    const bool decode = n == 1 && h->position > 0;
    const uint32_t width = decode ? 1 : h->chunk;
    enum pl_sim_stop stop;
    PL_TRY(pl_sim_set_int(h->sim, h->pos, h->position, d));
    PL_TRY(pl_sim_set_int(h->sim, h->tiles, (h->position + n - 1) / h->kv_tile, d));
    PL_TRY(pl_sim_set_int(h->sim, h->last, n - 1, d));
    const uint32_t hidden = h->window && h->position + 1 > h->window ? h->position + 1 - h->window : 0;
    PL_TRY(pl_sim_set_int(h->sim, h->first, hidden / h->kv_tile, d));
    for (uint32_t i = 0; i < width; i++)
        PL_TRY(pl_sim_set_int(h->sim, h->ids + i, i < n ? ids[i] : 0, d));
    PL_TRY(pl_sim_run(h->sim, decode ? h->decode : h->prefill, &stop, d));
    if (stop != PL_SIM_HALTED)
        return pl_fail(d, PL_EFAULT, "the program stopped at a breakpoint");
    h->position += n;
    return PL_OK;
}

enum pl_status pl_host_forward(struct pl_host *h, const uint32_t *ids, size_t n, bool all_logits, float *logits,
                               uint32_t *next, struct pl_diag *d)
{
    if (n > h->context - h->position)
        return pl_fail(d, PL_ERANGE, "%zu tokens after %u do not fit the context of %u", n, h->position, h->context);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= h->vocab)
            return pl_fail(d, PL_ERANGE, "token id %u is outside the vocabulary of %u", ids[i], h->vocab);
    for (size_t i = 0; i < n;) {
        const uint32_t m = n - i < h->chunk ? (uint32_t)(n - i) : h->chunk;
        const bool decode = m == 1 && h->position > 0;
        PL_TRY(pass(h, ids + i, m, d));
        for (uint32_t r = 0; logits && all_logits && r < m; r++)
            PL_TRY(pl_sim_read_tensor(h->sim, h->logits, decode ? 0 : r, 0, h->vocab, logits + (i + r) * h->vocab, d));
        const bool every_row = h->img->desc[h->logits].rows > 1; /* else row 0 is the last token's */
        i += m;
        if (i == n && logits && !all_logits)
            PL_TRY(pl_sim_read_tensor(h->sim, h->logits, every_row ? m - 1 : 0, 0, h->vocab, logits, d));
    }
    return next ? pl_sim_get_int(h->sim, h->token, next, d) : PL_OK;
}

uint32_t pl_host_position(const struct pl_host *h)
{
    return h->position;
}

uint32_t pl_host_vocab(const struct pl_host *h)
{
    return h->vocab;
}

uint32_t pl_host_context(const struct pl_host *h)
{
    return h->context;
}

struct pl_sim *pl_host_sim(struct pl_host *h)
{
    return h->sim;
}
