/* test_hbm.c - the HBM model: hand-computed cases, reference figures, streams, idle time, refusals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/hbm.h"

/* What a run did, in the order of the log. */
enum { LOG = 4096 };
struct log {
    struct pl_hbm_cmd c[LOG];
    size_t n;
};
static void log_cmd(void *ctx, const struct pl_hbm_cmd *c)
{
    struct log *l = ctx;
    if (l->n < LOG)
        l->c[l->n++] = *c;
}

/* One channel, one pseudo-channel, 32-byte accesses, no refresh, no pipeline; address = row, group, bank, column. */
static struct pl_hbm_params small(void)
{
    struct pl_diag d;
    struct pl_hbm_params p;
    static const char *const set[] = {"channels=1", "pseudo=1", "peak_gbs=16", "refresh=none",        "inject=0", "lat_in=0",
                                      "lat_out=0",  "tras=34",  "trc=48",      "trcd_wr=12",          "trtp_s=4", "trtp_l=5",
                                      "trrd_l=6",   "tfaw=30",  "act_cyc=1",   "mapping=ro bg ba co", "hash="};
    OK(pl_hbm_preset("hbm2", &p, &d));
    for (size_t i = 0; i < PL_COUNT(set); i++)
        OK(pl_hbm_set(&p, set[i], &d));
    OK(pl_hbm_check_params(&p, &d));
    return p;
}
static uint64_t place(const struct pl_hbm_params *p, unsigned row, unsigned group, unsigned bank, unsigned column)
{
    return ((((uint64_t)row * p->bank_groups + group) * p->banks + bank) * (p->columns / p->burst_length) + column) *
           pl_hbm_access_bytes(p);
}

/* Submit accesses at given times, run to the end; done[i] is the completion of access i. */
struct access {
    uint64_t arrival, addr;
    bool write;
};
static void run(const struct pl_hbm_params *p, const struct access *a, size_t n, uint64_t *done, struct log *l)
{
    struct pl_diag d;
    struct pl_hbm *h;
    struct pl_hbm_done out[16];
    const struct pl_hbm_options opt = {.log = log_cmd, .log_ctx = l};
    l->n = 0;
    OK(pl_hbm_new(p, &opt, &h, &d));
    for (size_t i = 0; i < n; i++) {
        const struct pl_hbm_request r = {
            .addr = a[i].addr, .bytes = pl_hbm_access_bytes(p), .arrival = a[i].arrival, .tag = i, .write = a[i].write};
        OK(pl_hbm_submit(h, &r, &d));
    }
    size_t got = pl_hbm_advance(h, UINT64_MAX, out, 16);
    assert_int_equal(got, n);
    for (size_t i = 0; i < n; i++)
        done[out[i].tag] = out[i].done;
    pl_hbm_free(h);
}

TEST(single_read_takes_trcd_cl_and_burst)
{
    (void)state;
    const struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[1];
    run(&p, (struct access[]){{100, 0, false}}, 1, done, &l);
    assert_int_equal(done[0], 100 + 14 + 14 + 2); /* tRCD, CL, burst */
    assert_int_equal(l.n, 2);
    assert_int_equal(l.c[0].op, PL_HBM_ACT);
    assert_int_equal(l.c[0].time, 100);
    assert_int_equal(l.c[1].op, PL_HBM_RD);
    assert_int_equal(l.c[1].time, 114);
    run(&p, (struct access[]){{7, 0, true}}, 1, done, &l);
    assert_int_equal(done[0], 7 + 12 + 4 + 2); /* tRCD for writes, CWL, burst */
}

TEST(hits_are_paced_by_tccd)
{
    (void)state;
    const struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[3];
    /* one bank: tCCD_L = 4; another group, row already open: tCCD_S = 2 */
    run(&p,
        (struct access[]){
            {0, place(&p, 0, 0, 0, 0), false}, {0, place(&p, 0, 0, 0, 1), false}, {0, place(&p, 0, 0, 0, 2), false}},
        3, done, &l);
    assert_int_equal(done[0], 30);
    assert_int_equal(done[1], 34);
    assert_int_equal(done[2], 38);
    run(&p,
        (struct access[]){
            {0, place(&p, 0, 0, 0, 0), false}, {0, place(&p, 0, 1, 0, 0), false}, {20, place(&p, 0, 0, 0, 1), false}},
        3, done, &l);
    assert_int_equal(done[0], 30); /* ACT 0, RD 14 */
    assert_int_equal(done[1], 34); /* ACT 4 (tRRD_S), RD 18 */
    assert_int_equal(done[2], 36); /* RD 20: 14 + 4 = 18 by tCCD_L, 18 + 2 by tCCD_S and arrival */
}

TEST(row_conflict_waits_for_tras_trp_trcd)
{
    (void)state;
    const struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[2];
    run(&p, (struct access[]){{0, place(&p, 0, 0, 0, 0), false}, {0, place(&p, 1, 0, 0, 0), false}}, 2, done, &l);
    /* ACT 0, RD 14, PRE 34 (tRAS), ACT 48, RD 62 */
    assert_int_equal(done[1], 62 + 14 + 2);
    run(&p, (struct access[]){{0, place(&p, 0, 0, 0, 0), false}, {200, place(&p, 1, 0, 0, 0), false}}, 2, done, &l);
    assert_int_equal(done[1], 200 + 14 + 14 + 14 + 2);
    /* after a write: WR 12, data to 18, tWR 16: PRE 34 = tRAS; with twr = 40 it is 58 */
    struct pl_hbm_params q = p;
    q.twr = 40;
    run(&q, (struct access[]){{0, place(&p, 0, 0, 0, 0), true}, {0, place(&p, 1, 0, 0, 0), true}}, 2, done, &l);
    assert_int_equal(done[1], 58 + 14 + 12 + 4 + 2);
}

TEST(five_activates_wait_for_tfaw)
{
    (void)state;
    const struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[5];
    struct access a[5];
    for (unsigned i = 0; i < 5; i++)
        a[i] = (struct access){0, place(&p, 0, i % 4, i / 4, 0), false};
    run(&p, a, 5, done, &l);
    assert_int_equal(done[3], 12 + 30); /* ACT 0 4 8 12 */
    assert_int_equal(done[4], 30 + 30); /* the fifth at tFAW = 30 */
    /* two banks of one group: tRRD_L = 6 */
    run(&p, (struct access[]){{0, place(&p, 0, 0, 0, 0), false}, {0, place(&p, 0, 0, 1, 0), false}}, 2, done, &l);
    assert_int_equal(done[1], 6 + 30);
}

TEST(turnaround_costs_twtr_and_trtw)
{
    (void)state;
    const struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[2];
    /* WR 12; RD of the same group not before 12 + 4 + 2 + tWTR_L 8 = 26; another group: tRCD binds at 4 + 14, then 12 + 6 + 6 =
     * 24 */
    run(&p, (struct access[]){{0, place(&p, 0, 0, 0, 0), true}, {1, place(&p, 0, 0, 0, 1), false}}, 2, done, &l);
    /* the read comes first: reads before writes. ACT 0, RD 14, WR 14 + tRTW 14 */
    assert_int_equal(done[1], 30);
    assert_int_equal(done[0], 28 + 6);
    run(&p, (struct access[]){{0, place(&p, 0, 0, 0, 0), true}, {13, place(&p, 0, 0, 0, 1), false}}, 2, done, &l);
    assert_int_equal(done[0], 18);
    assert_int_equal(done[1], 26 + 16);
    struct pl_hbm_params q = p;
    q.twtr_s = q.twtr_l = 12;
    run(&q,
        (struct access[]){
            {0, place(&p, 0, 0, 0, 0), true}, {1, place(&p, 0, 1, 0, 1), true}, {17, place(&p, 0, 2, 0, 1), false}},
        3, (uint64_t[3]){0}, &l);
    assert_int_equal(l.c[l.n - 1].op, PL_HBM_RD);
    assert_int_equal(l.c[l.n - 1].time, 34); /* WR 12 and 16; 16 + 4 + 2 + tWTR_S 12; its row is open at 31 */
}

TEST(read_of_a_waiting_write_is_forwarded)
{
    (void)state;
    struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[3];
    /* the write waits for its row; the read of the same access needs no command */
    run(&p, (struct access[]){{0, place(&p, 5, 0, 0, 3), true}, {2, place(&p, 5, 0, 0, 3), false}}, 2, done, &l);
    assert_int_equal(done[1], 2 + 14 + 2);
    assert_int_equal(l.n, 2);
}

TEST(all_bank_refresh_closes_and_blocks)
{
    (void)state;
    struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[2];
    p.refresh = PL_HBM_REFRESH_ALL_BANK; /* tREFI 3900, tRFC 350 */
    run(&p, (struct access[]){{3890, place(&p, 0, 0, 0, 0), false}, {3905, place(&p, 0, 0, 0, 1), false}}, 2, done, &l);
    /* ACT 3890; due at 3900 before RD could go; PREA 3924 (tRAS), REFab 3938 (tRP and tRC), ACT 4288, RD 4302 */
    const unsigned op[] = {PL_HBM_ACT, PL_HBM_PREA, PL_HBM_REFAB, PL_HBM_ACT, PL_HBM_RD, PL_HBM_RD};
    const uint64_t t[] = {3890, 3924, 3938, 4288, 4302, 4306};
    assert_int_equal(l.n, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(l.c[i].op, op[i]);
        assert_int_equal(l.c[i].time, t[i]);
    }
    assert_int_equal(done[1], 4306 + 16);
}

TEST(per_bank_refresh_takes_banks_in_turn)
{
    (void)state;
    struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[2];
    p.refresh = PL_HBM_REFRESH_PER_BANK; /* tREFIpb 122, tRFCpb 160 */
    run(&p, (struct access[]){{124, place(&p, 0, 0, 0, 0), false}, {124, place(&p, 0, 1, 0, 0), false}}, 2, done, &l);
    /* bank 0 refreshes at 122: ACT 282; bank 4 only waits for tRREFD 8: ACT 130 */
    assert_int_equal(done[0], 282 + 30);
    assert_int_equal(done[1], 130 + 30);
    assert_int_equal(l.c[0].op, PL_HBM_REFPB);
    assert_int_equal(l.c[0].bank, 0);
}

TEST(closed_policy_precharges_at_once)
{
    (void)state;
    struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[2];
    p.row_policy = PL_HBM_ROW_CLOSED;
    run(&p, (struct access[]){{0, place(&p, 0, 0, 0, 0), false}, {100, place(&p, 1, 0, 0, 0), false}}, 2, done, &l);
    assert_int_equal(done[1], 100 + 30); /* a miss, not a conflict: PRE went at 34 */
    assert_int_equal(l.c[2].op, PL_HBM_PRE);
    assert_int_equal(l.c[2].time, 34);
}

TEST(hits_may_pass_an_older_access_up_to_the_cap)
{
    (void)state;
    struct pl_hbm_params p = small();
    static struct log l;
    uint64_t done[6];
    struct access a[6] = {{0, place(&p, 0, 0, 0, 0), false}, {1, place(&p, 1, 0, 0, 0), false}};
    for (unsigned i = 2; i < 6; i++)
        a[i] = (struct access){2, place(&p, 0, 0, 0, i), false};
    run(&p, a, 6, done, &l);
    for (unsigned i = 2; i < 6; i++)
        assert_true(done[i] < done[1]);
    p.hit_cap = 2;
    run(&p, a, 6, done, &l);
    assert_true(done[2] < done[1] && done[3] < done[1] && done[4] > done[1] && done[5] > done[1]);
}

/* ---- reference figures of hbm.md ---- */
static uint64_t sequential(const char *preset, bool plain, bool stream, double *mean)
{
    struct pl_diag d;
    struct pl_hbm_params p;
    struct pl_hbm *h;
    struct pl_hbm_done done[64];
    struct pl_hbm_stats s;
    enum { N = 1 << 20 };
    OK(pl_hbm_preset(preset, &p, &d));
    if (plain) {
        OK(pl_hbm_set(&p, "mapping=ro ba bg pc co[4:1] st ch co[0]", &d));
        OK(pl_hbm_set(&p, "hash=", &d));
    }
    OK(pl_hbm_new(&p, NULL, &h, &d));
    if (stream) {
        OK(pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = (uint64_t)N * 64}, &d));
        assert_int_equal(pl_hbm_advance(h, UINT64_MAX, done, 64), 1);
    } else {
        for (size_t i = 0, got = 0; got < N;) {
            for (; i < N && pl_hbm_room(h); i++)
                OK(pl_hbm_submit(h, &(struct pl_hbm_request){.addr = i * 64, .bytes = 64, .arrival = pl_hbm_now(h)}, &d));
            got += pl_hbm_advance(h, UINT64_MAX, done, 64);
        }
    }
    pl_hbm_get_stats(h, &s);
    *mean = pl_hbm_latency_mean(h);
    assert_int_equal(s.bytes[0], (uint64_t)N * 64);
    assert_int_equal(s.hit + s.miss + s.conflict, s.accesses[0]);
    pl_hbm_free(h);
    return s.end_cyc;
}

TEST(sequential_trace_agrees_with_the_references)
{
    (void)state;
    static const struct {
        const char *preset;
        bool plain; /* mapping row, bank, column, channel */
        double cycles;
    } ref[] = {{"dramsim3-hbm2", false, 284533}, {"ramulator2.1-hbm2", false, 301329}, {"ramulator2.1-hbm2", true, 519499}};
    for (size_t i = 0; i < PL_COUNT(ref); i++) {
        double mean;
        const uint64_t lines = sequential(ref[i].preset, ref[i].plain, false, &mean);
        const uint64_t stream = sequential(ref[i].preset, ref[i].plain, true, &mean);
        print_message("%s: %llu cycles, reference %.0f\n", ref[i].preset, (unsigned long long)lines, ref[i].cycles);
        assert_int_equal(lines, stream);
        assert_true((double)lines > 0.97 * ref[i].cycles && (double)lines < 1.03 * ref[i].cycles);
    }
}

TEST(idle_latency_agrees_with_the_references)
{
    (void)state;
    static const struct {
        const char *preset;
        double ns;
    } ref[] = {{"dramsim3-hbm2", 39.15}, {"ramulator2.1-hbm2", 39.58}};
    for (size_t i = 0; i < PL_COUNT(ref); i++) {
        struct pl_diag d;
        struct pl_hbm_params p;
        struct pl_hbm *h;
        struct pl_hbm_done done;
        struct pl_rng r;
        pl_rng_init(&r, 3);
        OK(pl_hbm_preset(ref[i].preset, &p, &d));
        OK(pl_hbm_new(&p, NULL, &h, &d));
        for (int k = 0; k < 20000; k++) {
            OK(pl_hbm_submit(h,
                             &(struct pl_hbm_request){.addr = pl_rng_below(&r, pl_hbm_capacity(&p) / 64) * 64,
                                                      .bytes = 64,
                                                      .arrival = pl_hbm_now(h)},
                             &d));
            assert_int_equal(pl_hbm_advance(h, UINT64_MAX, &done, 1), 1);
            assert_int_equal(pl_hbm_now(h), done.done);
        }
        print_message("%s: idle %.2f ns, reference %.2f\n", ref[i].preset, pl_hbm_latency_mean(h), ref[i].ns);
        assert_true(pl_hbm_latency_mean(h) > ref[i].ns - 1 && pl_hbm_latency_mean(h) < ref[i].ns + 1);
        pl_hbm_free(h);
    }
}

/* ---- streams, stops, idle time ---- */
TEST(advancing_in_steps_changes_nothing)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    uint64_t end[3], hash[3];
    OK(pl_hbm_preset("hbm3", &p, &d));
    p.ways = 3;
    for (unsigned k = 0; k < 3; k++) { /* in one go; in steps of 7 clocks; one completion at a time */
        struct pl_hbm *h;
        struct pl_hbm_done done[32];
        struct pl_rng r;
        struct pl_hbm_stats s;
        pl_rng_init(&r, 5);
        OK(pl_hbm_new(&p, NULL, &h, &d));
        uint64_t t = 0, got = 0;
        for (unsigned i = 0; i < 400; i++)
            OK(pl_hbm_submit(h,
                             &(struct pl_hbm_request){.addr = pl_rng_below(&r, 1u << 30),
                                                      .bytes = 1 + pl_rng_below(&r, 5000),
                                                      .stride = 8192,
                                                      .tag = i,
                                                      .count = 1 + pl_rng_below(&r, 3),
                                                      .arrival = t += pl_rng_below(&r, 200),
                                                      .write = i % 3 == 0},
                             &d));
        hash[k] = 0;
        uint64_t last = 0;
        for (uint64_t until = k == 1 ? 7 : UINT64_MAX; pl_hbm_pending(h); until += k == 1 ? 7 : 0) {
            const size_t n = pl_hbm_advance(h, until, done, k == 2 ? 1 : 32);
            for (size_t i = 0; i < n; i++) {
                assert_true(done[i].done >= last);
                last = done[i].done;
                hash[k] = (hash[k] ^ done[i].done ^ done[i].tag << 40) * 0x9e3779b97f4a7c15u;
            }
            got += n;
        }
        assert_int_equal(got, 400);
        pl_hbm_get_stats(h, &s);
        end[k] = s.end_cyc;
        pl_hbm_free(h);
    }
    assert_int_equal(end[0], end[1]);
    assert_int_equal(end[0], end[2]);
    assert_int_equal(hash[0], hash[1]);
    assert_int_equal(hash[0], hash[2]);
}

TEST(idle_time_is_skipped_exactly)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    static const char *const preset[] = {"hbm2", "hbm3", "dramsim3-hbm2"};
    for (size_t k = 0; k < PL_COUNT(preset); k++) {
        struct pl_hbm_stats s[2];
        uint64_t done_at[2];
        OK(pl_hbm_preset(preset[k], &p, &d));
        for (unsigned slow = 0; slow < 2; slow++) {
            struct pl_hbm *h;
            struct pl_hbm_done done;
            OK(pl_hbm_new(&p, &(struct pl_hbm_options){.no_closed_form = slow}, &h, &d));
            uint64_t t = 0;
            for (unsigned i = 0; i < 50; i++) {
                OK(pl_hbm_submit(h, &(struct pl_hbm_request){.addr = i * 4096, .bytes = 256, .arrival = t, .write = i & 1},
                                 &d));
                assert_int_equal(pl_hbm_advance(h, UINT64_MAX, &done, 1), 1);
                t = done.done + i * i * 333;
            }
            done_at[slow] = done.done;
            assert_int_equal(pl_hbm_advance(h, t + 1000000, &done, 1), 0);
            assert_int_equal(pl_hbm_now(h), t + 1000000);
            assert_int_equal(pl_hbm_next(h), UINT64_MAX);
            pl_hbm_get_stats(h, &s[slow]);
            pl_hbm_free(h);
        }
        assert_int_equal(done_at[0], done_at[1]);
        assert_memory_equal(&s[0], &s[1], sizeof s[0]);
    }
    /* a year of HBM time takes no time here */
    struct pl_hbm *h;
    struct pl_hbm_done done;
    OK(pl_hbm_new(&p, NULL, &h, &d));
    const uint64_t from = pl_clock_ns(), year = 31536000000000000u;
    OK(pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .arrival = year}, &d));
    assert_int_equal(pl_hbm_advance(h, UINT64_MAX, &done, 1), 1);
    assert_true(done.done > year && done.done < year + 1000);
    OK(pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 65536, .arrival = 2 * year}, &d));
    assert_int_equal(pl_hbm_advance(h, UINT64_MAX, &done, 1), 1);
    assert_true(done.done > 2 * year && done.done < 2 * year + 1000);
    assert_true(pl_clock_ns() - from < 1000000000u);
    pl_hbm_free(h);
}

TEST(streams_take_turns)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    uint64_t done_at[3][2];
    OK(pl_hbm_preset("hbm2", &p, &d));
    for (unsigned kind = 0; kind < 3; kind++) { /* one way, two, one way in each of two lanes */
        struct pl_hbm *h;
        struct pl_hbm_done done;
        p.ways = kind == 1 ? 2 : 1;
        OK(pl_hbm_new(&p, NULL, &h, &d));
        OK(pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 1 << 20, .tag = 0}, &d));
        OK(pl_hbm_submit(h, &(struct pl_hbm_request){.addr = 1 << 28, .bytes = 1 << 16, .tag = 1, .lane = kind == 2}, &d));
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pl_hbm_advance(h, UINT64_MAX, &done, 1), 1);
            done_at[kind][done.tag] = done.done;
        }
        pl_hbm_free(h);
    }
    assert_true(done_at[0][0] < done_at[0][1]);     /* in order: the short one waits for the long one */
    assert_true(done_at[1][1] < done_at[1][0] / 4); /* in turns: it does not */
    assert_int_equal(done_at[2][0], done_at[1][0]);
    assert_int_equal(done_at[2][1], done_at[1][1]);
}

/* Four tiles side by side, rows of 1 KiB in a tensor of 4 KiB rows, each with scales of 128 bytes a row: as requests of many
 * pieces, or their pieces one by one in the order of the rows. */
enum { TILES = 4, TILE_ROWS = 256 };
static struct pl_hbm_request tile_piece(unsigned tile, unsigned row, bool scale)
{
    const uint64_t wide = scale ? 128 : 1024, base = scale ? (uint64_t)1 << 24 : 0;
    return (struct pl_hbm_request){.addr = base + row * TILES * wide + tile * wide, .bytes = wide};
}
static uint64_t tiles_end(const struct pl_hbm_params *p, bool pieces)
{
    struct pl_diag d;
    struct pl_hbm *h;
    struct pl_hbm_stats st;
    struct pl_hbm_done done[64];
    OK(pl_hbm_new(p, NULL, &h, &d));
    for (unsigned row = 0; row < (pieces ? TILE_ROWS : 1); row++)
        for (unsigned k = 0; k < 2 * TILES; k++) {
            struct pl_hbm_request r = tile_piece(k / 2, row, k % 2);
            r.count = pieces ? 1 : TILE_ROWS;
            r.stride = TILES * r.bytes;
            OK(pl_hbm_submit(h, &r, &d));
        }
    while (pl_hbm_advance(h, UINT64_MAX, done, 64))
        ;
    pl_hbm_get_stats(h, &st);
    assert_int_equal(st.bytes[0], TILES * TILE_ROWS * (1024 + 128));
    pl_hbm_free(h);
    return st.end_cyc;
}
TEST(joined_tiles_go_row_by_row)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    OK(pl_hbm_preset("hbm3", &p, &d));
    p.stacks = 2;
    const uint64_t in_order = tiles_end(&p, true);
    p.ways = 2;
    p.turn = 4096 / pl_hbm_access_bytes(&p);
    const uint64_t two = tiles_end(&p, false); /* elements and scales of one tile: half of the channels */
    p.join = 1;
    assert_int_equal(tiles_end(&p, false), in_order);
    assert_true(two * 2 > 3 * in_order);
    p.turn = 1;
    assert_true(tiles_end(&p, false) * 10 > 11 * in_order); /* scales far ahead of their elements, in other rows */
}

TEST(bad_requests_are_refused)
{
    (void)state;
    struct pl_diag d;
    struct pl_hbm_params p;
    struct pl_hbm *h;
    struct pl_hbm_done done;
    OK(pl_hbm_preset("hbm2", &p, &d));
    OK(pl_hbm_new(&p, NULL, &h, &d));
    REFUSED(PL_ERANGE, "allowed at least one byte", pl_hbm_submit(h, &(struct pl_hbm_request){.addr = 0}, &d));
    REFUSED(PL_ERANGE, "up to 0x200000000",
            pl_hbm_submit(h, &(struct pl_hbm_request){.addr = pl_hbm_capacity(&p), .bytes = 1}, &d));
    REFUSED(PL_ERANGE, "up to 0x200000000",
            pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .stride = UINT64_MAX / 2, .count = 4}, &d));
    REFUSED(PL_ERANGE, "lane 4: allowed 0..3", pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .lane = 4}, &d));
    OK(pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .arrival = 50}, &d));
    REFUSED(PL_ERANGE, "arrives at 49, allowed from 50",
            pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .arrival = 49}, &d));
    assert_int_equal(pl_hbm_advance(h, UINT64_MAX, &done, 1), 1);
    REFUSED(PL_ERANGE, "arrives at 60, allowed from",
            pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .arrival = 60}, &d));
    while (pl_hbm_room(h))
        OK(pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .arrival = pl_hbm_now(h)}, &d));
    REFUSED(PL_ENOMEM, "4096 requests", pl_hbm_submit(h, &(struct pl_hbm_request){.bytes = 64, .arrival = pl_hbm_now(h)}, &d));
    pl_hbm_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_read_takes_trcd_cl_and_burst),
        cmocka_unit_test(hits_are_paced_by_tccd),
        cmocka_unit_test(row_conflict_waits_for_tras_trp_trcd),
        cmocka_unit_test(five_activates_wait_for_tfaw),
        cmocka_unit_test(turnaround_costs_twtr_and_trtw),
        cmocka_unit_test(read_of_a_waiting_write_is_forwarded),
        cmocka_unit_test(all_bank_refresh_closes_and_blocks),
        cmocka_unit_test(per_bank_refresh_takes_banks_in_turn),
        cmocka_unit_test(closed_policy_precharges_at_once),
        cmocka_unit_test(hits_may_pass_an_older_access_up_to_the_cap),
        cmocka_unit_test(sequential_trace_agrees_with_the_references),
        cmocka_unit_test(idle_latency_agrees_with_the_references),
        cmocka_unit_test(advancing_in_steps_changes_nothing),
        cmocka_unit_test(idle_time_is_skipped_exactly),
        cmocka_unit_test(streams_take_turns),
        cmocka_unit_test(joined_tiles_go_row_by_row),
        cmocka_unit_test(bad_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
