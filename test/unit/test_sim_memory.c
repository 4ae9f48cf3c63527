/* test_sim_memory.c - transfers between HBM and the SRAMs against slow computations written from isa.def's meanings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

enum { MAX_M = 64, MAX_V = 64 };

/* ---- descriptors ---- */
TEST(test_load_v)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned k = 0; k < 5; k++)
            for (unsigned log = 0; log < 4; log++) {
                struct rig r;
                float got[MAX_V], want[MAX_V];
                rig_open(&r, machines[m], "mxint8:16");
                /* the last rows and columns: what lies outside of the tensor is zero */
                const uint32_t row0 = r.desc[k].rows - 2, col0 = k == 2 ? 4 : r.desc[k].cols / 16 * 16;
                say(&r, "li gp1, %u", 4 * r.pitch);
                say(&r, "li gp2, %u", row0);
                say(&r, "li gp3, %u", k);
                say(&r, "li gp4, %u", col0);
                say(&r, "H_LOAD_V gp1, gp2, gp3, gp4, %u", log);
                start(&r);
                for (uint32_t j = 0; j < 9; j++) {
                    random_row(&r, want, r.vlen, false);
                    poke(&r, (4 + j) * r.pitch, want, r.vlen);
                }
                float behind[MAX_V];
                memcpy(behind, want, sizeof want);
                go(&r);
                for (uint32_t j = 0; j < 1u << log; j++) {
                    for (uint32_t l = 0; l < r.vlen; l++)
                        want[l] = pl_vec_round(r.vec, value_at(&r, k, row0 + j, col0 + l));
                    peek(&r, (4 + j) * r.pitch, got, r.vlen);
                    same_floats(&r, desc_format[k], got, want, r.vlen);
                }
                peek(&r, 12 * r.pitch, got, r.vlen);
                same_floats(&r, "the row behind", got, behind, r.vlen);
                rig_close(&r);
            }
}

TEST(test_load_v_repeats)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++) {
        struct rig r;
        float got[MAX_V], want[MAX_V];
        rig_open(&r, machines[m], "mxint8:16");
        say(&r, "li gp2, 18");
        say(&r, "li gp3, %u", DESC_REPEAT);
        say(&r, "H_LOAD_V gp0, gp2, gp3, gp0, 2");
        start(&r);
        go(&r);
        for (uint32_t j = 0; j < 4; j++) {
            for (uint32_t l = 0; l < r.vlen; l++)
                want[l] = value_at(&r, DESC_REPEAT, 18 + j, l % 8);
            peek(&r, j * r.pitch, got, r.vlen);
            same_floats(&r, "repeat", got, want, r.vlen);
        }
        rig_close(&r);
    }
}

static void same_hbm(struct rig *r, const uint8_t *want)
{
    uint8_t *got = pl_alloc(&r->a, RIG_HBM);
    OK(pl_sim_read_hbm(r->sim, 0, RIG_HBM, got, &d));
    for (size_t i = 0; i < RIG_HBM; i++)
        if (got[i] != want[i])
            fail_msg("%s: HBM byte %zu is 0x%02x, wanted 0x%02x", r->arch.name, i, got[i], want[i]);
}

/* Store one row by the definition. */
static void put_row(uint8_t *hbm, const struct pl_format *f, uint64_t elem, uint64_t scale, const float *x, uint32_t n)
{
    uint32_t code[MAX_V];
    pl_quantise_ref(f, x, NULL, n, code, hbm + scale);
    pl_pack(pl_format_bits(f), code, n, hbm + elem);
}

TEST(test_save_v)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned k = DESC_OUT8; k <= DESC_OUTF; k++)
            for (unsigned log = 0; log < 3; log++)
                for (unsigned part = 0; part < 3; part++) { /* the last part has 8 columns */
                    struct rig r;
                    float x[4][MAX_V], got[8];
                    rig_open(&r, machines[m], "mxint8:16");
                    const struct pl_desc *t = &r.desc[k];
                    const uint32_t n = part == 2 ? 8 : r.vlen, bits = pl_format_bits(&t->format);
                    say(&r, "li gp1, %u", 3 * r.pitch);
                    say(&r, "li gp2, 19");
                    say(&r, "li gp3, %u", k);
                    say(&r, "li gp4, %u", part * r.vlen);
                    say(&r, "H_SAVE_V gp1, gp2, gp3, gp4, %u", log);
                    say(&r, "C_FENCE");
                    say(&r, "H_LOAD_V gp0, gp2, gp3, gp4");
                    start(&r);
                    uint8_t *want = pl_alloc(&r.a, RIG_HBM);
                    memcpy(want, r.hbm, RIG_HBM);
                    for (uint32_t j = 0; j < 4; j++) {
                        random_row(&r, x[j], r.vlen, false);
                        poke(&r, (3 + j) * r.pitch, x[j], r.vlen);
                        if (j < 1u << log)
                            put_row(want, &t->format, t->elem_base + (19 + j) * t->elem_stride + part * r.vlen * bits / 8,
                                    t->scale_base + (19 + j) * t->scale_stride + part * r.vlen / t->format.block, x[j], n);
                    }
                    go(&r);
                    same_hbm(&r, want); /* and nothing else has changed */
                    memcpy(r.hbm, want, RIG_HBM);
                    peek(&r, 0, got, 8);
                    for (uint32_t l = 0; l < 8; l++) {
                        const float back = pl_vec_round(r.vec, value_at(&r, k, 19, part * r.vlen + l));
                        same_floats(&r, "read back", &got[l], &back, 1);
                    }
                    proven[PL_C_FENCE] = true;
                    rig_close(&r);
                }
}

TEST(test_read_tensor)
{
    (void)state;
    struct rig r;
    float got[24];
    rig_open(&r, "tiny", "mxint8:16");
    start(&r);
    OK(pl_sim_read_tensor(r.sim, 1, 3, 8, 12, got, &d));
    for (uint32_t l = 0; l < 12; l++)
        assert_true(got[l] == value_at(&r, 1, 3, 8 + l));
    REFUSED(PL_ERANGE, "no tensor 8", pl_sim_read_tensor(r.sim, 8, 0, 0, 1, got, &d));
    REFUSED(PL_ERANGE, "t1: row 29", pl_sim_read_tensor(r.sim, 1, 29, 0, 1, got, &d));
    REFUSED(PL_ERANGE, "t1: row 0, columns 24 + 5", pl_sim_read_tensor(r.sim, 1, 0, 24, 5, got, &d));
    REFUSED(PL_ERANGE, "t1: row 0, columns 4 + 4", pl_sim_read_tensor(r.sim, 1, 0, 4, 4, got, &d));
    rig_close(&r);
}

/* ---- the published protocol ---- */
struct pub {
    uint64_t base;
    uint32_t offset, scale, stride;
    bool strided, kv;
};

static void say_pub(struct rig *r, const struct pub *p)
{
    say(r, "li gp10, %u", (uint32_t)(p->base >> 32));
    say(r, "li gp11, %u", (uint32_t)p->base);
    say(r, "C_SET_ADDR_REG a3, gp10, gp11");
    say(r, "li gp10, %u", p->scale);
    say(r, "C_SET_SCALE_REG gp10");
    say(r, "li gp10, %u", p->stride);
    say(r, "C_SET_STRIDE_REG gp10");
    say(r, "li gp10, %u", p->offset);
}

static void pub_row(const struct pub *p, const struct pl_format *f, uint32_t j, uint32_t n, uint64_t *elem, uint64_t *scale)
{
    const uint32_t bits = pl_format_bits(f);
    const uint64_t byte = p->offset + (uint64_t)j * (p->strided ? p->stride : n * bits / 8);
    *elem = p->base + byte;
    *scale = p->base + p->scale + byte * 8 / bits / f->block;
}

static float pub_value(const struct rig *r, const struct pub *p, const struct pl_format *f, uint32_t j, uint32_t n, uint32_t l)
{
    uint64_t elem, scale;
    uint32_t code;
    float x;
    pub_row(p, f, j, n, &elem, &scale);
    pl_unpack(pl_format_bits(f), r->hbm + elem, l, 1, &code);
    pl_dequantise(f, &code, r->hbm + scale + l / f->block, 1, &x);
    return x;
}

static struct pub make_pub(const struct rig *r, unsigned k)
{
    const uint32_t row = k & 1 ? r->mlen / 2 : r->mlen; /* bytes of a row of 4-bit or 8-bit elements */
    const uint32_t row_v = k & 1 ? r->vlen / 2 : r->vlen;
    return (struct pub){.base = 4096, .offset = 64, .scale = 100000, .kv = k & 1, .strided = k & 2, .stride = row > row_v ? 2 * row : 2 * row_v};
}

TEST(test_published_prefetch_m)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned k = 0; k < 4; k++) {
            struct rig r;
            float x[MAX_M], got[MAX_M];
            rig_open(&r, machines[m], "mxint8:16");
            r.arch.prefetch_m_rows = r.mlen + 1; /* rounded up: two tiles */
            for (unsigned i = 0; i < RIG_HBM; i++) /* exponents of scales that keep every product finite */
                r.hbm[i] = i < 4096 + 100000 ? r.hbm[i] : (uint8_t)(120 + r.hbm[i] % 16);
            const struct pub p = make_pub(&r, k);
            const struct pl_format *f = p.kv ? &r.img.kv : &r.img.weight;
            say_pub(&r, &p);
            say(&r, "li gp1, %u", 7 * r.mlen * r.mlen);
            say(&r, "H_PREFETCH_M gp1, gp10, a3, %u, %u", p.strided, p.kv);
            say(&r, "li gp1, %u", 8 * r.mlen * r.mlen); /* the second tile, as rows: a unit vector picks a column */
            say(&r, "M_TMV 0, gp1, gp0");
            say(&r, "li gp2, %u", 4 * r.pitch);
            say(&r, "M_MV_WO gp2, 0");
            start(&r);
            memset(x, 0, sizeof x);
            x[r.mlen - 3] = 1;
            poke(&r, 0, x, r.mlen);
            go(&r);
            peek(&r, 4 * r.pitch, got, r.blen);
            for (uint32_t n = 0; n < r.blen; n++) {
                const float want = pl_vec_round(r.vec, pub_value(&r, &p, f, r.mlen + n, r.mlen, r.mlen - 3)) + 0.0f; /* -0 sums to 0 */
                same_floats(&r, "H_PREFETCH_M", &got[n], &want, 1);
            }
            proven[PL_C_SET_ADDR_REG] = proven[PL_C_SET_SCALE_REG] = proven[PL_C_SET_STRIDE_REG] = true;
            rig_close(&r);
        }
}

TEST(test_published_prefetch_v_and_store_v)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (unsigned k = 0; k < 4; k++) {
            struct rig r;
            float x[4][MAX_V], got[MAX_V], want[MAX_V];
            rig_open(&r, machines[m], "mxint8:16");
            const struct pub p = make_pub(&r, k);
            const struct pl_format *f = p.kv ? &r.img.kv : &r.img.act;
            assert_int_equal(r.arch.writeback_v_rows, 4);
            say_pub(&r, &p);
            say(&r, "li gp1, %u", 8 * r.vlen);
            say(&r, "H_STORE_V gp1, gp10, a3, %u, %u", p.strided, p.kv);
            say(&r, "C_FENCE");
            say(&r, "li gp1, %u", 16 * r.vlen);
            say(&r, "H_PREFETCH_V gp1, gp10, a3, %u, %u", p.strided, p.kv);
            start(&r);
            for (uint32_t j = 0; j < 4; j++) {
                uint64_t elem, scale;
                random_row(&r, x[j], r.vlen, false);
                poke(&r, (8 + j) * r.vlen, x[j], r.vlen);
                pub_row(&p, f, j, r.vlen, &elem, &scale);
                put_row(r.hbm, f, elem, scale, x[j], r.vlen); /* the simulator has its own copy */
            }
            go(&r);
            same_hbm(&r, r.hbm);
            for (uint32_t j = 0; j < r.arch.prefetch_v_rows; j++) {
                for (uint32_t l = 0; l < r.vlen; l++)
                    want[l] = pl_vec_round(r.vec, pub_value(&r, &p, f, j, r.vlen, l));
                peek(&r, (16 + j) * r.vlen, got, r.vlen);
                same_floats(&r, "H_PREFETCH_V", got, want, r.vlen);
            }
            rig_close(&r);
        }
}

/* Addresses have 64 bits: a tensor beyond 4 GiB. */
TEST(test_high_addresses)
{
    (void)state;
    struct rig r;
    float x[MAX_V], got[MAX_V];
    rig_open(&r, "tiny", "none");
    r.img.hbm_bytes = ((uint64_t)4 << 30) + 65536;
    const struct pub p = {.base = ((uint64_t)4 << 30) + 4096, .offset = 128};
    say_pub(&r, &p);
    say(&r, "H_STORE_V gp0, gp10, a3, 0, 0");
    say(&r, "C_FENCE_ST");
    say(&r, "li gp1, 160");
    say(&r, "H_PREFETCH_V gp1, gp10, a3, 0, 0");
    start(&r);
    random_row(&r, x, 64, false);
    poke(&r, 0, x, 64);
    go(&r);
    peek(&r, 160, got, 64);
    same_floats(&r, "beyond 4 GiB", got, x, 64);
    uint8_t bytes[32];
    OK(pl_sim_read_hbm(r.sim, p.base + p.offset, 32, bytes, &d));
    for (uint32_t l = 0; l < 16; l++)
        assert_int_equal(bytes[2 * l] | bytes[2 * l + 1] << 8, pl_minifloat_encode(r.vec, x[l], false));
    proven[PL_C_FENCE_ST] = true;
    rig_close(&r);
}

/* The sticky error: a NaN meets the quantiser. */
TEST(test_sticky_nan)
{
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        struct rig r;
        float x[16] = {0};
        rig_open(&r, "tiny", "mxint8:16");
        say(&r, "li gp3, %u", DESC_OUT8);
        say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
        say(&r, k / 2 ? "M_MM 0, gp0, gp0" : "H_SAVE_V gp0, gp0, gp3, gp0");
        start(&r);
        x[5] = k % 2 ? NAN : 1;
        poke(&r, 0, x, 16);
        go(&r);
        assert_int_equal(pl_sim_stats(r.sim)->sticky_nan, k % 2);
        rig_close(&r);
    }
}

/* A random tensor somewhere in HBM: rows in one piece, or with gaps that keep or shift the place in a burst. */
static void random_tensor(struct rig *r, struct pl_desc *t)
{
    const uint32_t gap[] = {0, 3, 64, (uint32_t)pl_rng_below(&r->rng, 200)};
    t->format = format_of(desc_format[pl_rng_below(&r->rng, 5)]);
    t->cols = 4 + 4 * (uint32_t)pl_rng_below(&r->rng, r->mlen);
    t->rows = 1 + (uint32_t)pl_rng_below(&r->rng, 2 * r->mlen);
    t->elem_stride = (uint32_t)pl_format_row_bytes(&t->format, t->cols) + gap[pl_rng_below(&r->rng, 4)];
    t->scale_stride = (uint32_t)pl_format_row_scales(&t->format, t->cols) + gap[pl_rng_below(&r->rng, 4)];
    if (pl_rng_below(&r->rng, 2))
        t->elem_stride = (uint32_t)pl_round_up(t->elem_stride, 64);
    t->elem_base = 64 * pl_rng_below(&r->rng, 1024);
    t->scale_base = t->elem_base + pl_round_up((uint64_t)t->rows * t->elem_stride, 64);
}

static void in_tiles(struct pl_desc *t, uint32_t tile)
{
    t->tile = tile;
    t->elem_stride = t->scale_stride = 0;
    t->scale_base = 0;
}

/* Tiles of a tensor in tiles, alone or a run of them, hold what the same tensor row after row gives: products say so. */
TEST(test_tiles_in_one_transfer)
{
    (void)state;
    for (unsigned trial = 0; trial < 30; trial++) {
        struct rig r;
        float x[MAX_V], got[3][16];
        rig_open(&r, "tiny", "none");
        pl_rng_init(&r.rng, trial);
        struct pl_desc *rows = &r.desc[0], *tiles = &r.desc[4];
        rows->format = format_of(trial % 2 ? "mxint8:16" : "mxint4:8");
        rows->rows = 17 + trial % 16;
        rows->cols = 20 + 4 * (trial % 8); /* three tiles, the last one in part or not there */
        rows->elem_stride = (uint32_t)pl_format_row_bytes(&rows->format, rows->cols);
        rows->scale_stride = (uint32_t)pl_format_row_scales(&rows->format, rows->cols);
        *tiles = *rows;
        in_tiles(tiles, 16);
        rows->elem_base = 1 << 16;
        rows->scale_base = 5 << 14;
        tiles->elem_base = 6 << 14;
        fill_tensor(&r, rows);
        for (uint32_t k = 0; k < rows->rows; k++)
            for (uint32_t c = 0; c < rows->cols; c += 16) {
                const struct pl_desc_place to = pl_desc_place(tiles, k, c), from = pl_desc_place(rows, k, c);
                memcpy(r.hbm + to.elem, r.hbm + from.elem, pl_format_row_bytes(&rows->format, to.n));
                memcpy(r.hbm + to.scale, r.hbm + from.scale, pl_format_row_scales(&rows->format, to.n));
            }
        const uint32_t row = trial / 3 % 2 * 16, first = trial % 3;
        for (unsigned k = 0; k < 3; k++) { /* row by row; tile by tile; as a run of two tiles */
            say(&r, "li gp1, %u", row);
            say(&r, "li gp2, %u", first * 16);
            say(&r, "li gp3, %u", k ? 4 : 0);
            say(&r, "li gp4, 256");
            say(&r, "li gp6, 16");
            say(&r, "S_ADD_INT gp7, gp2, gp6");
            say(&r, "H_LOAD_M gp0, gp1, gp3, gp2, %u", k == 2);
            if (k < 2)
                say(&r, "H_LOAD_M gp4, gp1, gp3, gp7");
            say(&r, "li gp5, 64");
            say(&r, "M_TMM 0, gp0, gp0");
            say(&r, "M_TMM 0, gp5, gp4");
            say(&r, "li gp8, %u", 256 + 64 * k);
            say(&r, "M_MM_WO gp8, gp0, 0");
        }
        start(&r);
        for (uint32_t i = 0; i < 8; i++) {
            random_row(&r, x, 16, false);
            poke(&r, i * 16, x, 16);
        }
        go(&r);
        for (unsigned k = 0; k < 3; k++)
            peek(&r, 256 + 64 * k, got[k], 16);
        same_floats(&r, "tile by tile", got[1], got[0], 4);
        same_floats(&r, "a run", got[2], got[0], 4);
        rig_close(&r);
    }
}

/* Without data a tile's rows are counted by arithmetic, with data one by one: the same cycles, bytes, banks and faults. */
TEST(test_loads_without_data)
{
    (void)state;
    unsigned faults = 0;
    for (unsigned trial = 0; trial < 1000; trial++) {
        struct rig r;
        struct pl_sim_stats st[2];
        struct pl_diag why[2] = {0};
        enum pl_status s[2];
        enum pl_sim_stop stop;
        rig_open(&r, machines[trial % PL_COUNT(machines)], "mxint8:16");
        pl_rng_init(&r.rng, trial);
        OK(pl_arch_set(&r.arch, trial & 1 ? "hbm_model=dramsim3-hbm2" : trial & 2 ? "hbm_burst=16" : "hbm_burst=64", &d));
        random_tensor(&r, &r.desc[0]);
        if (trial & 4) { /* a store nearby that no fence follows */
            r.desc[DESC_OUT8].elem_base = 64 * pl_rng_below(&r.rng, 1024);
            say(&r, "li gp3, %u", DESC_OUT8);
            say(&r, "H_SAVE_V gp0, gp0, gp3, gp0, 1");
        }
        const uint32_t blocks = r.desc[0].cols / r.desc[0].format.block + 1;
        const bool tiles = (trial & 24) == 8 && r.mlen % r.desc[0].format.block == 0;
        if (tiles)
            in_tiles(&r.desc[0], r.mlen);
        for (unsigned k = 0; k < 3; k++) {
            uint32_t col = (uint32_t)pl_rng_below(&r.rng, blocks) * r.desc[0].format.block;
            uint32_t row = (uint32_t)pl_rng_below(&r.rng, r.desc[0].rows + 2);
            if (tiles && pl_rng_below(&r.rng, 20)) { /* else a fault */
                col = col / r.mlen * r.mlen;
                row = row / r.mlen * r.mlen;
            }
            say(&r, "li gp1, %u", row);
            say(&r, "li gp2, %u", r.desc[0].format.block == 1 ? col / 2 * 2 : col);
            say(&r, "H_LOAD_M gp0, gp1, gp0, gp2, %u", tiles ? (unsigned)pl_rng_below(&r.rng, 3) : 0);
        }
        for (unsigned data = 0; data < 2; data++) {
            r.opt.functional = data;
            if (!data)
                start(&r);
            pl_sim_free(r.sim);
            r.sim = NULL;
            OK(pl_sim_new(&r.arch, &r.img, &r.opt, &r.sim, &d));
            s[data] = pl_sim_run(r.sim, 0, &stop, &why[data]);
            st[data] = *pl_sim_stats(r.sim);
            st[data].sticky_nan = false;
            st[data].op = NULL;
            st[data].pc = NULL;
        }
        assert_int_equal(s[0], s[1]);
        assert_string_equal(why[0].text, why[1].text);
        assert_memory_equal(&st[0], &st[1], sizeof st[0]);
        faults += s[0] != PL_OK;
        rig_close(&r);
    }
    assert_in_range(faults, 10, 500);
}

TEST(test_every_instruction_was_looked_at)
{
    (void)state;
    all_proven(1u << PL_UNIT_MEM);
    assert_true(proven[PL_C_FENCE] && proven[PL_C_FENCE_ST] && proven[PL_C_SET_ADDR_REG]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_v), cmocka_unit_test(test_load_v_repeats), cmocka_unit_test(test_save_v),
        cmocka_unit_test(test_read_tensor), cmocka_unit_test(test_published_prefetch_m),
        cmocka_unit_test(test_published_prefetch_v_and_store_v), cmocka_unit_test(test_high_addresses),
        cmocka_unit_test(test_sticky_nan), cmocka_unit_test(test_tiles_in_one_transfer), cmocka_unit_test(test_loads_without_data),
        cmocka_unit_test(test_every_instruction_was_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
