/* host.c - drives the prefill and decode programs of an image. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/host.h"

#include <stdlib.h>
#include <string.h>

struct pl_host {
    const struct pl_image *img;
    struct pl_sim *sim;
    uint32_t *position;                                    /* of each sequence */
    uint32_t prefill, decode;                              /* entry points */
    uint32_t pos, tiles, last, first, ids, token;          /* INT SRAM words */
    uint32_t kv_row, batch_pos, batch_tiles, batch_first, tokens;/* of a batch */
    uint32_t chunk, context, vocab, kv_tile, window, logits, logit_rows, batch, capacity; /* constants */
};

struct wanted {
    const struct pl_named *list;
    size_t n;
    const char *name;
    uint32_t *out;
};

static enum pl_status find(const struct wanted *want, size_t n, struct pl_diag *d)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        PL_TRY(pl_image_find(want[i].list, want[i].n, want[i].name, &v, d));
        if (v > UINT32_MAX)
            return pl_fail(d, PL_ERANGE, "image: %s is %llu", want[i].name, (unsigned long long)v);
        *want[i].out = (uint32_t)v;
    }
    return PL_OK;
}

static enum pl_status find_names(struct pl_host *h, struct pl_diag *d)
{
    const struct pl_image *g = h->img;
    const struct wanted want[] = {
        {g->entry, g->n_entry, "prefill", &h->prefill},  {g->entry, g->n_entry, "decode", &h->decode},
        {g->param, g->n_param, "pos", &h->pos},          {g->param, g->n_param, "tiles", &h->tiles},
        {g->param, g->n_param, "last", &h->last},        {g->param, g->n_param, "ids", &h->ids},
        {g->param, g->n_param, "first", &h->first},      {g->constant, g->n_const, "window", &h->window},
        {g->constant, g->n_const, "token", &h->token},   {g->constant, g->n_const, "chunk", &h->chunk},
        {g->constant, g->n_const, "vocab", &h->vocab},   {g->constant, g->n_const, "context", &h->context},
        {g->constant, g->n_const, "logits", &h->logits}, {g->constant, g->n_const, "kv_tile", &h->kv_tile},
        {g->constant, g->n_const, "logit_rows", &h->logit_rows}, {g->constant, g->n_const, "batch", &h->batch},
    };
    const struct wanted batched[] = {
        {g->param, g->n_param, "kv_row", &h->kv_row},        {g->param, g->n_param, "batch_pos", &h->batch_pos},
        {g->param, g->n_param, "batch_tiles", &h->batch_tiles}, {g->constant, g->n_const, "capacity", &h->capacity},
        {g->param, g->n_param, "batch_first", &h->batch_first}, {g->constant, g->n_const, "tokens", &h->tokens},
    };
    PL_TRY(find(want, PL_COUNT(want), d));
    if (h->batch > 1)
        PL_TRY(find(batched, PL_COUNT(batched), d));
    if (h->logits >= g->n_desc)
        return pl_fail(d, PL_ERANGE, "image: there is no tensor %u for the logits", h->logits);
    if (!h->chunk || !h->kv_tile || !h->vocab || !h->batch)
        return pl_fail(d, PL_ERANGE, "image: chunk, vocab, kv_tile and batch must not be 0");
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
    if (s == PL_OK) {
        h->position = calloc(h->batch, sizeof *h->position);
        if (!h->position)
            s = pl_fail(d, PL_ENOMEM, "no memory for %u sequences", h->batch);
    }
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
    free(h->position);
    free(h);
}

void pl_host_reset(struct pl_host *h)
{
    memset(h->position, 0, h->batch * sizeof *h->position);
}

static enum pl_status run(struct pl_host *h, uint32_t entry, struct pl_diag *d)
{
    enum pl_sim_stop stop;
    PL_TRY(pl_sim_run(h->sim, entry, &stop, d));
    return stop == PL_SIM_HALTED ? PL_OK : pl_fail(d, PL_EFAULT, "the program stopped at a breakpoint");
}

/* KV tile of the first token that one at pos sees in a windowed layer. */
static uint32_t first_tile(const struct pl_host *h, uint32_t pos)
{
    return h->window && pos + 1 > h->window ? (pos + 1 - h->window) / h->kv_tile : 0;
}

/* One run over n <= chunk tokens of one sequence. A batch decodes only all at once. */
static enum pl_status pass(struct pl_host *h, uint32_t seq, const uint32_t *ids, uint32_t n, bool decode, struct pl_diag *d)
{
    const uint32_t width = decode ? 1 : h->chunk, pos = h->position[seq];
    PL_TRY(pl_sim_set_int(h->sim, h->pos, pos, d));
    PL_TRY(pl_sim_set_int(h->sim, h->tiles, (pos + n - 1) / h->kv_tile, d));
    PL_TRY(pl_sim_set_int(h->sim, h->last, n - 1, d));
    PL_TRY(pl_sim_set_int(h->sim, h->first, first_tile(h, pos), d));
    if (h->batch > 1)
        PL_TRY(pl_sim_set_int(h->sim, h->kv_row, seq * h->capacity, d));
    for (uint32_t i = 0; i < width; i++)
        PL_TRY(pl_sim_set_int(h->sim, h->ids + i, i < n ? ids[i] : 0, d));
    PL_TRY(run(h, decode ? h->decode : h->prefill, d));
    h->position[seq] += n;
    return PL_OK;
}

static enum pl_status check_ids(const struct pl_host *h, uint32_t seq, const uint32_t *ids, size_t n, struct pl_diag *d)
{
    if (n > h->context - h->position[seq])
        return pl_fail(d, PL_ERANGE, "%zu tokens after %u do not fit the context of %u", n, h->position[seq], h->context);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= h->vocab)
            return pl_fail(d, PL_ERANGE, "token id %u is outside the vocabulary of %u", ids[i], h->vocab);
    return PL_OK;
}

enum pl_status pl_host_forward_of(struct pl_host *h, uint32_t seq, const uint32_t *ids, size_t n, bool all_logits, float *logits,
                                  uint32_t *next, struct pl_diag *d)
{
    if (seq >= h->batch)
        return pl_fail(d, PL_ERANGE, "there is no sequence %u of %u", seq, h->batch);
    PL_TRY(check_ids(h, seq, ids, n, d));
    for (size_t i = 0; i < n;) {
        const uint32_t m = n - i < h->chunk ? (uint32_t)(n - i) : h->chunk;
        const bool decode = m == 1 && h->position[seq] > 0 && h->batch == 1;
        PL_TRY(pass(h, seq, ids + i, m, decode, d));
        for (uint32_t r = 0; logits && all_logits && r < m; r++)
            PL_TRY(pl_sim_read_tensor(h->sim, h->logits, decode ? 0 : r, 0, h->vocab, logits + (i + r) * h->vocab, d));
        const bool every_row = h->logit_rows > 1 && !decode; /* else row 0 is the last token's */
        i += m;
        if (i == n && logits && !all_logits)
            PL_TRY(pl_sim_read_tensor(h->sim, h->logits, every_row ? m - 1 : 0, 0, h->vocab, logits, d));
    }
    return next ? pl_sim_get_int(h->sim, h->token, next, d) : PL_OK;
}

enum pl_status pl_host_forward(struct pl_host *h, const uint32_t *ids, size_t n, bool all_logits, float *logits,
                               uint32_t *next, struct pl_diag *d)
{
    return pl_host_forward_of(h, 0, ids, n, all_logits, logits, next, d);
}

enum pl_status pl_host_decode(struct pl_host *h, const uint32_t *ids, const bool *rest, float *logits, uint32_t *next,
                              struct pl_diag *d)
{
    if (h->batch == 1)
        return rest && rest[0] ? PL_OK : pl_host_forward(h, ids, 1, false, logits, next, d);
    for (uint32_t s = 0; s < h->batch; s++) {
        const bool rests = rest && rest[s];
        if (!rests)
            PL_TRY(check_ids(h, s, &ids[s], 1, d));
        const uint32_t pos = rests && h->position[s] ? h->position[s] - 1 : h->position[s];
        PL_TRY(pl_sim_set_int(h->sim, h->batch_pos + s, pos, d));
        PL_TRY(pl_sim_set_int(h->sim, h->batch_tiles + s, pos / h->kv_tile, d));
        PL_TRY(pl_sim_set_int(h->sim, h->batch_first + s, first_tile(h, pos), d));
        PL_TRY(pl_sim_set_int(h->sim, h->ids + s, rests ? 0 : ids[s], d));
    }
    PL_TRY(run(h, h->decode, d));
    for (uint32_t s = 0; s < h->batch; s++) {
        if (rest && rest[s])
            continue;
        h->position[s]++;
        if (logits)
            PL_TRY(pl_sim_read_tensor(h->sim, h->logits, s, 0, h->vocab, logits + (size_t)s * h->vocab, d));
        if (next)
            PL_TRY(pl_sim_get_int(h->sim, h->tokens + s, &next[s], d));
    }
    return PL_OK;
}

uint32_t pl_host_position(const struct pl_host *h)
{
    return h->position[0];
}

uint32_t pl_host_batch(const struct pl_host *h)
{
    return h->batch;
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
