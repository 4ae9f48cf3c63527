/* nn.c - the executor's front: checks, modes, teacher forcing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_internal.h"

#include <math.h>
#include <stdlib.h>

const char *const pl_nn_operand_name[PL_NN_OPERANDS] = {"qkv", "q", "k", "v", "p", "o", "gate-up", "down", "head"};

void *nn_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

enum pl_status pl_nn_new(const struct pl_checkpoint *ck, enum pl_nn_mode mode, const struct pl_plan *plan,
                         uint32_t context, struct pl_nn **out, struct pl_diag *d)
{
    struct pl_nn *nn = nn_alloc(1, sizeof *nn);
    nn->ck = ck;
    nn->cfg = &ck->config;
    nn->mode = mode;
    nn->context = context;
    const enum pl_status s = mode == PL_NN_QUANT ? qmodel_new(nn, plan, &nn->q, d) : fmodel_new(nn, &nn->f, d);
    if (s != PL_OK) {
        free(nn);
        return s;
    }
    *out = nn;
    return PL_OK;
}

void pl_nn_free(struct pl_nn *nn)
{
    if (!nn)
        return;
    fmodel_free(nn->f);
    qmodel_free(nn->q);
    free(nn);
}

void pl_nn_reset(struct pl_nn *nn)
{
    nn->length = 0;
}

void pl_nn_set_hook(struct pl_nn *nn, struct pl_nn_hook hook)
{
    nn->hook = hook;
}

enum pl_status pl_nn_forward(struct pl_nn *nn, const uint32_t *ids, size_t n, bool last_only, float *logits,
                             struct pl_diag *d)
{
    if (n == 0 || n > nn->context - nn->length)
        return pl_fail(d, PL_ERANGE, "%u + %zu tokens exceed the context of %u", nn->length, n, nn->context);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= nn->cfg->vocab)
            return pl_fail(d, PL_ERANGE, "token id %u is outside the vocabulary of %u", ids[i], nn->cfg->vocab);
    if (nn->q)
        qmodel_forward(nn, ids, n, last_only, logits);
    else
        fmodel_forward(nn, ids, n, last_only, logits);
    nn->length += (uint32_t)n;
    return PL_OK;
}

uint32_t pl_nn_argmax(const float *logits, size_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* out[i] = ln p(i) */
static void log_softmax(const float *logits, size_t n, double *out)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = logits[i] > max ? (double)logits[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    const double shift = max + log(sum);
    for (size_t i = 0; i < n; i++)
        out[i] = (double)logits[i] - shift;
}

static void add_prediction(const float *logits, const float *ref, size_t v, uint32_t next, double *lp, double *lr,
                           struct pl_nn_eval *e)
{
    log_softmax(logits, v, lp);
    e->nll -= lp[next];
    e->tokens++;
    if (!ref)
        return;
    log_softmax(ref, v, lr);
    double kl = 0;
    for (size_t i = 0; i < v; i++)
        kl += exp(lr[i]) * (lr[i] - lp[i]);
    e->kl += kl;
    e->top1 += pl_nn_argmax(logits, v) == pl_nn_argmax(ref, v);
}

enum pl_status pl_nn_eval_add(struct pl_nn *nn, struct pl_nn *ref, const uint32_t *ids, size_t n, struct pl_nn_eval *e,
                              struct pl_diag *d)
{
    if (n < 2)
        return PL_OK;
    const size_t v = nn->cfg->vocab;
    float *logits = nn_alloc((n - 1) * v, sizeof *logits), *r = ref ? nn_alloc((n - 1) * v, sizeof *r) : NULL;
    double *lp = nn_alloc(v, sizeof *lp), *lr = nn_alloc(v, sizeof *lr);
    pl_nn_reset(nn);
    enum pl_status s = pl_nn_forward(nn, ids, n - 1, false, logits, d);
    if (s == PL_OK && ref) {
        pl_nn_reset(ref);
        s = pl_nn_forward(ref, ids, n - 1, false, r, d);
    }
    if (s == PL_OK && ids[n - 1] >= v)
        s = pl_fail(d, PL_ERANGE, "token id %u is outside the vocabulary of %zu", ids[n - 1], v);
    e->has_ref = ref != NULL;
    for (size_t i = 0; s == PL_OK && i + 1 < n; i++)
        add_prediction(logits + i * v, r ? r + i * v : NULL, v, ids[i + 1], lp, lr, e);
    free(logits);
    free(r);
    free(lp);
    free(lr);
    return s;
}
