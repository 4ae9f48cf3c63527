/* e2e_rig.h - a model on the simulator and in the reference executor: their logits must have the same bits. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef E2E_RIG_H
#define E2E_RIG_H
#include "../unit/test.h"

#include <math.h>

#include "plena/comp.h"
#include "plena/host.h"
#include "plena/verify.h"
#include "plena/map.h"
#include "plena/nn.h"
#include "random_model.h"

static struct pl_diag d;

struct combo {
    const char *machine, *set, *weight, *act, *kv;
    uint32_t prompt, decode, chunk;
    const struct pl_model_config *random; /* the shape of a random model in the place of a checkpoint */
    bool synthetic;                       /* ... made by pl_checkpoint_synthetic */
};

struct setup {
    struct pl_arena a;
    struct pl_checkpoint *ck;
    struct pl_arch arch;
    struct pl_image img;
    struct pl_host *host;
    struct pl_nn *nn;
    uint32_t vocab;
};

static void open_setup(struct setup *s, const char *model, const struct combo *c)
{
    struct pl_format f[3];
    pl_arena_init(&s->a);
    if (c->random && c->synthetic)
        OK(pl_checkpoint_synthetic(&s->a, c->random, 5, &s->ck, &d));
    else if (c->random)
        s->ck = random_checkpoint(&s->a, c->random, 3);
    else
        OK(pl_checkpoint_open(&s->a, model, &s->ck, &d));
    OK(pl_arch_load(c->machine, &s->arch, &d));
    if (c->set)
        OK(pl_arch_set(&s->arch, c->set, &d));
    OK(pl_format_parse(c->weight, &f[0], &d));
    OK(pl_format_parse(c->act, &f[1], &d));
    OK(pl_format_parse(c->kv, &f[2], &d));
    const struct pl_comp_options opt = {.weight = &f[0], .act = &f[1], .kv = &f[2], .context = c->prompt + c->decode,
                                        .chunk = c->chunk, .all_logits = true};
    OK(pl_comp_model(&s->a, s->ck, &s->arch, &opt, &s->img, &d));
    OK(pl_verify_image(&s->arch, &s->img, &d));
    const struct pl_sim_options so = {.functional = true, .timing = true};
    OK(pl_host_new(&s->arch, &s->img, &so, &s->host, &d));
    OK(pl_nn_new(s->ck, PL_NN_QUANT, &s->img.plan, c->prompt + c->decode, &s->nn, &d));
    s->vocab = s->ck->config.vocab;
}

static void close_setup(struct setup *s)
{
    pl_nn_free(s->nn);
    pl_host_free(s->host);
    pl_checkpoint_close(s->ck);
    pl_arena_fini(&s->a);
}

static void same_bits(const struct combo *c, const char *phase, size_t first, const float *got, const float *want, size_t n,
                      uint32_t vocab)
{
    for (size_t i = 0; i < n * vocab; i++)
        if (memcmp(&got[i], &want[i], 4) != 0)
            fail_msg("%s %s/%s/%s, %s, token %zu, logit %zu: sim %.9g, nn %.9g", c->machine, c->weight, c->act, c->kv, phase,
                     first + i / vocab, i % vocab, (double)got[i], (double)want[i]);
}

static void every_cycle_is_accounted_for(const struct pl_sim_stats *st, const struct pl_arch *arch)
{
    uint64_t ops = 0, insns = 0, front = 0, macs = 0, data_macs = 0, bytes = 0;
    for (size_t i = 0; i < st->n_op; i++) {
        ops += st->op[i].cycles;
        macs += st->op[i].macs;
        data_macs += st->op[i].data_macs;
        bytes += st->op[i].hbm_bytes;
        insns += st->op[i].insns;
    }
    for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++) {
        uint64_t of_ops = 0;
        for (size_t i = 0; i < st->n_op; i++)
            of_ops += st->op[i].stall_cyc[c];
        assert_int_equal(of_ops, st->stall_cyc[c]);
        front += st->stall_cyc[c];
    }
    assert_int_equal(ops, st->cycles);
    assert_int_equal(front, st->cycles);
    assert_int_equal(insns, st->insns);
    assert_int_equal(macs, st->macs);
    assert_int_equal(data_macs, st->events.macs);
    assert_int_equal(bytes, st->hbm_read_bytes + st->hbm_write_bytes);
    assert_true(data_macs && data_macs <= macs);
    assert_int_equal(st->stall_cyc[PL_SIM_ISSUE_CAUSE], st->insns); /* one instruction a cycle */
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++) {
        uint64_t unit = st->busy_cyc[u];
        for (unsigned c = 0; c < PL_SIM_CAUSE_COUNT; c++)
            unit += st->idle_cyc[u][c];
        assert_int_equal(unit, st->cycles);
    }
    for (unsigned u = PL_SIM_MATRIX; u <= PL_SIM_SCALAR; u++) {
        uint64_t of_ops = 0;
        for (size_t i = 0; i < st->n_op; i++)
            of_ops += st->op[i].busy_cyc[u];
        assert_int_equal(of_ops, st->busy_cyc[u]);
    }
    /* A busy cycle of the array is blen x mlen slots, in every operator. */
    for (size_t i = 0; i < st->n_op; i++)
        assert_int_equal(st->op[i].macs, st->op[i].busy_cyc[PL_SIM_MATRIX] * arch->blen * arch->mlen);
}

static void check_combo(const char *model, const struct combo *c)
{
    struct setup s;
    open_setup(&s, model, c);
    const size_t total = c->prompt + c->decode;
    uint32_t *ids = malloc(total * sizeof *ids), next;
    float *got = malloc(sizeof(float) * s.vocab * c->prompt), *want = malloc(sizeof(float) * s.vocab * c->prompt);
    struct pl_rng r;
    pl_rng_init(&r, 11);
    for (size_t i = 0; i < c->prompt; i++)
        ids[i] = (uint32_t)pl_rng_below(&r, s.vocab);
    OK(pl_host_forward(s.host, ids, c->prompt, true, got, &next, &d));
    OK(pl_nn_forward(s.nn, ids, c->prompt, false, want, &d));
    same_bits(c, "prefill", 0, got, want, c->prompt, s.vocab);
    assert_int_equal(next, pl_nn_argmax(want + (c->prompt - 1) * s.vocab, s.vocab));
    for (size_t p = c->prompt; p < total; p++) { /* greedy */
        ids[p] = next;
        OK(pl_host_forward(s.host, ids + p, 1, true, got, &next, &d));
        OK(pl_nn_forward(s.nn, ids + p, 1, true, want, &d));
        same_bits(c, "decode", p, got, want, 1, s.vocab);
        assert_int_equal(next, pl_nn_argmax(want, s.vocab));
    }
    const struct pl_sim_stats *st = pl_sim_stats(pl_host_sim(s.host));
    every_cycle_is_accounted_for(st, &s.arch);
    assert_false(st->sticky_nan);
    print_message("%-13s %-14s %-14s %-14s %u + %u tokens: %zu logits equal\n", c->machine, c->weight, c->act, c->kv, c->prompt,
                  c->decode, total * s.vocab);
    free(ids);
    free(got);
    free(want);
    close_setup(&s);
}
#endif
