/* test_hbm_memo.c - replayed segments: same commands, completions and statistics as stepping, on every preset and kind of traffic. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/hbm.h"

enum { MAX_CHANNELS = 64 };

/* What a run did, as hashes: of the commands of each channel, of the completions. */
struct witness {
    uint64_t cmd[MAX_CHANNELS], done, n_cmd, n_done;
    struct pl_hbm_stats stats;
};

static uint64_t mix(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static void log_cmd(void *ctx, const struct pl_hbm_cmd *c)
{
    struct witness *w = ctx;
    uint64_t *hash = &w->cmd[c->channel];
    *hash = mix(mix(*hash, c->time), (uint64_t)c->row << 24 | (uint64_t)c->op << 16 | (uint64_t)c->pseudo << 8 | c->bank);
    w->n_cmd++;
}

static void see(struct witness *w, const struct pl_hbm_done *d)
{
    w->done = mix(mix(mix(w->done, d->tag << 1 | d->write), d->accepted), d->done);
    w->n_done++;
}

enum kind { STREAM, LINES, STRIDED, MIXED, RANDOM, DMA, KINDS };
static const char *const kind_name[] = {"stream", "lines", "strided", "mixed", "random", "dma"};

struct plan {
    enum kind kind;
    struct pl_rng rng;
    uint64_t i, n, lines; /* lines of the memory */
    struct witness *w;
};

/* Request i of the plan; false at the end. */
static bool next_request(void *ctx, struct pl_hbm_request *r)
{
    struct plan *p = ctx;
    const uint64_t i = p->i++, tile = 1 << 21;
    *r = (struct pl_hbm_request){.tag = i, .bytes = 64};
    switch (p->kind) {
    case STREAM: /* long requests back to back, some of them written */
        r->addr = i * 3 * tile;
        r->bytes = 3 * tile;
        r->write = i % 4 == 3;
        return i * 3 * tile < p->n * 64;
    case LINES: /* now and then a line that waits, or is somewhere else */
        r->addr = (i % 9973 == 9972 ? pl_rng_below(&p->rng, p->lines) : i) * 64;
        return i < p->n;
    case STRIDED:
        r->addr = i % 4 * 1024 + i / 4 * (8 << 20);
        r->bytes = 1024;
        r->stride = 4096;
        r->count = 2048;
        return i * tile < p->n * 64;
    case DMA: /* elements and scales, and stores between them */
        r->write = i % 5 == 4;
        r->addr = (i % 2 ? (uint64_t)1 << 30 : 0) + i / 2 * tile;
        r->bytes = i % 2 ? 128 : 1024;
        r->stride = i % 2 ? 128 : 1024;
        r->count = i % 2 ? 512 : 2048;
        return i * tile < p->n * 64;
    case MIXED:
        r->write = pl_rng_below(&p->rng, 100) < 30;
        r->addr = (i % 20000 < 15000 ? i : pl_rng_below(&p->rng, p->lines)) * 64;
        return i < p->n / 2;
    default:
        r->write = pl_rng_below(&p->rng, 100) < 20;
        r->addr = pl_rng_below(&p->rng, p->lines) * 64;
        return i < p->n / 8;
    }
}

static void count_done(void *ctx, const struct pl_hbm_done *d)
{
    see(((struct plan *)ctx)->w, d);
}

/* Run the plan, pulled, or pushed with a few requests pending; a look at the statistics every `look` completions. */
static void run(const struct pl_hbm_params *p, struct plan plan, bool logged, bool slow, unsigned look, struct witness *w)
{
    struct pl_diag d;
    struct pl_hbm *h;
    struct pl_hbm_done done;
    struct pl_hbm_request r;
    uint64_t last = 0;
    memset(w, 0, sizeof *w);
    plan.w = w;
    plan.lines = pl_hbm_capacity(p) / 64;
    pl_rng_init(&plan.rng, 17);
    OK(pl_hbm_new(p, &(struct pl_hbm_options){.no_closed_form = slow, .log = logged ? log_cmd : NULL, .log_ctx = w}, &h, &d));
    if (!look) {
        OK(pl_hbm_run(h, &(struct pl_hbm_source){next_request, count_done, &plan}, &d));
    } else {
        for (bool more = true; more || pl_hbm_pending(h);) {
            while (more && pl_hbm_pending(h) < 6) {
                more = next_request(&plan, &r);
                r.arrival = pl_hbm_now(h) + (plan.i % 7 == 6 ? 500 : 0);
                if (r.arrival < last)
                    r.arrival = last;
                last = r.arrival;
                if (more)
                    OK(pl_hbm_submit(h, &r, &d));
            }
            if (!pl_hbm_advance(h, UINT64_MAX, &done, 1))
                break;
            see(w, &done);
            if (w->n_done % look == 0) {
                pl_hbm_get_stats(h, &w->stats);
                w->done = mix(w->done, w->stats.activates);
                w->done = mix(w->done, pl_hbm_channel_busy(h, 1));
            }
        }
    }
    pl_hbm_get_stats(h, &w->stats);
    for (unsigned c = 0; c < MAX_CHANNELS; c++)
        w->done = mix(w->done, pl_hbm_channel_busy(h, c));
    w->done = mix(w->done, pl_hbm_latency(h, 0.5));
    pl_hbm_free(h);
}

static void same(const char *preset, enum kind kind, const struct witness *a, const struct witness *b, bool commands)
{
    if (a->done != b->done || a->n_done != b->n_done || memcmp(&a->stats, &b->stats, sizeof a->stats) != 0 ||
        (commands && (a->n_cmd != b->n_cmd || memcmp(a->cmd, b->cmd, sizeof a->cmd) != 0)))
        fail_msg("%s, %s: not what stepping does", preset, kind_name[kind]);
}

static uint64_t long_count(uint64_t usual, uint64_t full)
{
    const char *e = getenv("PLENA_LONG");
    return e && !strcmp(e, "1") ? full : usual;
}

TEST(replays_do_what_stepping_does)
{
    (void)state;
    for (size_t i = 0; pl_hbm_preset_name(i); i++)
        for (enum kind kind = STREAM; kind < KINDS; kind++) {
            struct pl_diag d;
            struct pl_hbm_params p;
            static struct witness slow, fast, plain;
            OK(pl_hbm_preset(pl_hbm_preset_name(i), &p, &d));
            p.ways = kind == DMA ? 3 : 1;
            const struct plan plan = {.kind = kind, .n = long_count(kind == STREAM || kind == LINES ? 600000 : 150000, 8000000)};
            run(&p, plan, true, true, 0, &slow);
            run(&p, plan, true, false, 0, &fast);
            run(&p, plan, false, false, 0, &plain);
            same(p.name, kind, &slow, &fast, true);
            same(p.name, kind, &slow, &plain, false);
            run(&p, plan, true, true, 3, &slow);
            run(&p, plan, true, false, 3, &fast);
            same(p.name, kind, &slow, &fast, true);
        }
}

/* Parameters that the presets leave at rest. */
TEST(replays_do_what_stepping_does_under_other_parameters)
{
    (void)state;
    static const char *const set[][3] = {{"row_policy=closed", "hit_cap=4", "lat_in=5"},
                                         {"refresh=none", "cmd_buses=1", "inject=3.7"},
                                         {"refresh=per_bank", "refresh_stagger=37", "stacks=2"},
                                         {"read_queue=5", "write_queue=3", "ways=4"},
                                         {"channels=1", "peak_gbs=32", "lat_in=1"}}; /* states come again soon */
    for (size_t i = 0; i < PL_COUNT(set); i++)
        for (enum kind kind = STREAM; kind < KINDS; kind++) {
            struct pl_diag d;
            struct pl_hbm_params p;
            static struct witness slow, fast;
            OK(pl_hbm_preset("ramulator2.1-hbm2", &p, &d));
            for (size_t k = 0; k < 3; k++)
                OK(pl_hbm_set(&p, set[i][k], &d));
            const struct plan plan = {.kind = kind, .n = long_count(kind == LINES ? 400000 : 150000, 2000000)};
            run(&p, plan, true, true, 0, &slow);
            run(&p, plan, true, false, 0, &fast);
            same(p.name, kind, &slow, &fast, true);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replays_do_what_stepping_does),
        cmocka_unit_test(replays_do_what_stepping_does_under_other_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
