/* test_sim_matrix.c - matrix instructions against slow computations written from isa.def's meanings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

enum { MAX_K = 3 * 64, MAX_M = 64, MAX_V = 64 };

static const char *const acts[] = {"mxint8:16", "none", "mxfp8_e4m3:8"};

/* ---- one result: the two sides of a dot product, lane by lane ---- */
struct dot {
    struct pl_mm_spec s;
    unsigned k;
    int32_t lv[MAX_K], rv[MAX_K];
    int16_t le[MAX_K], re[MAX_K];
};
/* What is multiplied: left lanes q0.. of row x; tile (row0, col0) of tensor k; result n. */
struct operand {
    unsigned tensor;
    uint32_t row0, col0; /* of the tile in the tensor */
    bool transposed;
    uint32_t q0, k0, width, n;
};

static void dot_begin(const struct rig *r, struct dot *o, const struct operand *p)
{
    const struct pl_format *f = &r->desc[p->tensor].format;
    o->k = 0;
    OK(pl_mm_spec_init(&o->s, &r->img.act, f, !p->transposed, r->vec, p->width, r->blen, r->arch.guard, r->arch.acc_bits, &d));
    if (o->s.redge.group > p->width) /* a window inside a block: the next one has an exponent of its own */
        o->s.redge.group = p->width;
}

/* Element and exponent as the array's right edge sees lane i. */
static void right_lane(const struct rig *r, struct dot *o, const struct operand *p, uint32_t i)
{
    const struct pl_edge *edge = &o->s.redge;
    const uint32_t row = p->transposed ? p->n : p->k0 + i, col = p->transposed ? p->k0 + i : p->n;
    const struct element e = element_at(r, p->tensor, p->row0 + row, p->col0 + col);
    const uint8_t scale = p->transposed ? e.scale : 127; /* straight: folded into the left side */
    int16_t exponent;
    pl_edge_decode(&o->s.right, &e.code, &scale, 1, &o->rv[o->k + i], &exponent);
    if (!p->transposed && edge->group > 1)
        exponent = 127;
    if (i % edge->group == 0) /* the tensor may end inside a block */
        o->re[(o->k + i) / edge->group] = exponent;
}

static void dot_add(const struct rig *r, struct dot *o, const float *x, const struct operand *p)
{
    const struct pl_format *f = &r->desc[p->tensor].format;
    const bool fold = !p->transposed && pl_format_has_scale(f), plain = o->s.left.kind == PL_FORMAT_FLOAT;
    int16_t add[MAX_K] = {0};
    uint32_t code[MAX_K];
    uint8_t scale[MAX_K];
    for (uint32_t i = 0; fold && i < p->width; i++) {
        const uint8_t e = element_at(r, p->tensor, p->row0 + p->k0 + i, p->col0 + p->n).scale;
        add[i] = e == 255 ? 0 : (int16_t)(e - 127);
    }
    pl_quantise_ref(&o->s.left, x + p->q0, fold && !plain ? add : NULL, p->width, code, scale);
    pl_edge_decode(&o->s.left, code, scale, p->width, o->lv + o->k, o->le + o->k / o->s.ledge.group);
    for (uint32_t i = 0; fold && plain && i < p->width; i++)
        o->le[o->k + i] = (int16_t)(o->le[o->k + i] + add[i]);
    for (uint32_t i = 0; i < p->width; i++)
        right_lane(r, o, p, i);
    o->k += p->width;
}

static float dot_result(const struct dot *o)
{
    return pl_dot_ref(&o->s, o->lv, o->le, o->rv, o->re, o->k);
}

/* ---- M_MM, M_TMM, M_MV, M_TMV: two tiles, accumulated, written out ---- */
struct product_case {
    unsigned tensor, c0, hw;
    bool transposed, vector;
};

/* Left rows: rows 0.. of the first half at 0, of the second at blen * PITCH; the result behind them. */
static void say_product(struct rig *r, const struct product_case *c, const struct operand *p)
{
    const uint32_t tile = r->mlen * r->mlen, line = c->c0 * r->mlen;
    say(r, "li gp3, %u", c->tensor);
    for (uint32_t t = 0; t < 2; t++) {
        say(r, "li gp1, %u", (5 + t) * tile);
        say(r, "li gp2, %u", t * r->mlen / 2);
        say(r, "li gp4, %u", t * r->mlen);
        say(r, "H_LOAD_M gp1, gp2, gp3, gp4");
        say(r, "li gp1, %u", (5 + t) * tile + line + p->k0);
        say(r, "li gp2, %u", t * r->blen * r->pitch + p->q0);
        if (c->vector)
            say(r, "M_%sMV 0, gp1, gp2", c->transposed ? "T" : "");
        else if (c->transposed)
            say(r, "M_TMM 0, gp2, gp1, %u", c->hw);
        else
            say(r, "M_MM 0, gp1, gp2");
    }
}

/* Addresses that step on in the instruction, beside additions: same results, same registers. */
TEST(products_step_their_addresses)
{
    (void)state;
    for (unsigned transposed = 0; transposed < 2; transposed++)
        for (unsigned mstep = 0; mstep <= 2; mstep++) {
            struct rig r[2];
            float got[2][MAX_M];
            for (unsigned k = 0; k < 2; k++) {
                rig_open(&r[k], "small", "mxint8:16");
                const uint32_t tile = r[k].mlen * r[k].mlen, add[] = {0, tile, r[k].blen * r[k].mlen};
                say(&r[k], "li gp1, %u\nli gp4, %u\nH_LOAD_M gp1, gp0, gp0, gp0\nH_LOAD_M gp4, gp0, gp0, gp0", tile, 2 * tile);
                say(&r[k], "li gp2, 0\nli gp5, %u", 4 * r[k].blen * r[k].pitch);
                for (unsigned i = 0; i < 2; i++) {
                    const char *op = transposed ? "M_TMM" : "M_MM", *regs = transposed ? "gp2, gp1" : "gp1, gp2";
                    say(&r[k], "%s %u, %s%s, %u", op, k ? 0 : 4, regs, transposed ? ", 0" : "", k ? 0 : mstep);
                    if (k)
                        say(&r[k], "S_ADDI_INT gp2, gp2, %u\nS_ADDI_INT gp1, gp1, %u", r[k].mlen << 3, add[mstep]);
                }
                say(&r[k], "M_MM_WO gp5, gp0, 0");
                start(&r[k]);
                for (uint32_t i = 0; i < 16; i++) {
                    float x[MAX_M];
                    for (uint32_t l = 0; l < r[k].mlen; l++)
                        x[l] = (float)(i * l % 17) - 8.0f;
                    poke(&r[k], i * r[k].pitch, x, r[k].mlen);
                }
                go(&r[k]);
                OK(pl_sim_read_vsram(r[k].sim, 4 * r[k].blen * r[k].pitch, r[k].mlen, got[k], &d));
            }
            assert_memory_equal(got[0], got[1], r[0].mlen * sizeof(float));
            assert_int_equal(pl_sim_gp(r[0].sim, 1), pl_sim_gp(r[1].sim, 1));
            assert_int_equal(pl_sim_gp(r[0].sim, 2), pl_sim_gp(r[1].sim, 2));
            rig_close(&r[0]);
            rig_close(&r[1]);
        }
}

static void check_product(const char *machine, const char *act, const struct product_case *c)
{
    struct rig r;
    float x[2 * 16][MAX_M], got[MAX_M], mark[MAX_V];
    rig_open(&r, machine, act);
    struct operand p = {.tensor = c->tensor, .transposed = c->transposed, .width = r.mlen};
    if (c->hw) { /* the last window of the left rows, the first of the tile that is not at lane 0 */
        p.width = r.hlen << (c->hw - 1);
        p.q0 = r.mlen - p.width;
        p.k0 = p.width < r.mlen ? p.width : 0;
    }
    const uint32_t rows = c->vector ? 1 : r.blen, step = c->vector ? 1 : 2, lane = r.mlen - r.blen, out = 2 * r.blen * r.pitch;
    say_product(&r, c, &p);
    say(&r, "li gp5, %u", out);
    say(&r, "li gp6, %u", step);
    say(&r, c->vector ? "M_MV_WO gp5, %u" : "M_MM_WO gp5, gp6, %u", lane);
    start(&r);
    for (uint32_t i = 0; i < 2 * r.blen; i++) {
        random_row(&r, x[i], r.mlen, false);
        poke(&r, i * r.pitch, x[i], r.mlen);
    }
    random_row(&r, mark, MAX_V, false);
    for (uint32_t i = 0; i < 2 * r.blen; i++)
        poke(&r, out + i * r.pitch, mark, r.mlen);
    go(&r);
    for (uint32_t i = 0; i < rows; i++) {
        float want[MAX_M];
        memcpy(want, mark, sizeof want);
        for (uint32_t n = 0; n < r.blen; n++) {
            struct dot o;
            p.n = c->c0 + n;
            p.row0 = p.col0 = 0;
            dot_begin(&r, &o, &p);
            dot_add(&r, &o, x[i], &p);
            p.row0 = r.mlen / 2;
            p.col0 = r.mlen;
            dot_add(&r, &o, x[r.blen + i], &p);
            want[lane + n] = dot_result(&o);
        }
        peek(&r, out + i * step * r.pitch, got, r.mlen);
        char what[64];
        snprintf(what, sizeof what, "%s x %s, kind %d%d", act, desc_format[c->tensor], c->transposed, c->vector);
        same_floats(&r, what, got, want, r.mlen); /* the lanes beside the result are as they were */
    }
    if (!c->vector) {
        peek(&r, out + r.pitch, got, r.mlen); /* between two rows of the result */
        same_floats(&r, "stride", got, mark, r.mlen);
    }
    rig_close(&r);
}

TEST(test_products)
{
    (void)state;
    size_t n = 0;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (size_t a = 0; a < PL_COUNT(acts); a++)
            for (unsigned tensor = 0; tensor < 5; tensor++)
                for (unsigned kind = 0; kind < 4; kind++, n++) {
                    const struct product_case c = {.tensor = tensor, .c0 = n % 2 ? 8 : 0, .transposed = kind & 1, .vector = kind & 2};
                    check_product(machines[m], acts[a], &c);
                }
    print_message("%zu products\n", n);
}

TEST(test_windows_of_head_width)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (size_t a = 0; a < PL_COUNT(acts); a++)
            for (unsigned tensor = 0; tensor < 5; tensor++)
                for (unsigned hw = 1; hw <= 2; hw++) {
                    const struct product_case c = {.tensor = tensor, .c0 = 8, .transposed = true, .hw = hw};
                    check_product(machines[m], acts[a], &c);
                }
}

/* A write-out clears, ACC_M and ACC_V are two accumulators, and an empty one is zero. */
TEST(test_accumulators)
{
    (void)state;
    struct rig r;
    float x[4][16], got[4], zero[4] = {0};
    rig_open(&r, "tiny", "mxint8:16");
    say(&r, "li gp1, 0");
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
    say(&r, "M_MV 0, gp0, gp0");
    say(&r, "M_MM 0, gp0, gp0"); /* between: does not disturb the vector product */
    say(&r, "li gp2, 64");
    say(&r, "M_MV_WO gp2, 0");
    say(&r, "M_MV_WO gp2, 4");
    say(&r, "M_MM_WO gp2, gp0, 16");
    say(&r, "M_MM_WO gp2, gp0, 20");
    start(&r);
    for (uint32_t i = 0; i < 4; i++) {
        random_row(&r, x[i], 16, false);
        poke(&r, i * 16, x[i], 16);
    }
    go(&r);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t n = 0; n < 4; n++) {
            struct dot o;
            const struct operand p = {.width = 16, .n = n};
            dot_begin(&r, &o, &p);
            dot_add(&r, &o, x[i], &p);
            const float want = dot_result(&o);
            peek(&r, 64 + 16 + i * 16 + n, got, 1);
            same_floats(&r, "ACC_M", got, &want, 1);
            peek(&r, 64 + n, got, 1);
            if (!i)
                same_floats(&r, "ACC_V", got, &want, 1);
        }
    peek(&r, 64 + 4, got, 4);
    same_floats(&r, "ACC_V after its write-out", got, zero, 4);
    peek(&r, 64 + 20, got, 4);
    same_floats(&r, "ACC_M after its write-out", got, zero, 4);
    rig_close(&r);
}

/* A left operand kept quantised for one product must not serve another of more rows. Found by reading: M_TMV read one row,
 * M_TMM at the same place then took the other rows from whatever had been there. */
TEST(test_one_row_then_more_rows)
{
    (void)state;
    struct rig r;
    float x[16], got[4], zero[4] = {0};
    rig_open(&r, "tiny", "mxint8:16");
    say(&r, "li gp1, %u", 256 * 16); /* as far away as the simulator's cache is long */
    say(&r, "li gp2, 32");
    say(&r, "li gp3, %u", 64 * 16);
    say(&r, "H_LOAD_M gp0, gp0, gp0, gp0");
    say(&r, "M_TMM 0, gp1, gp0");
    say(&r, "M_MM_WO gp3, gp0, 0");
    say(&r, "M_TMV 0, gp0, gp0");
    say(&r, "M_MV_WO gp3, 0");
    say(&r, "M_TMM 0, gp0, gp0");
    say(&r, "M_MM_WO gp3, gp0, 0");
    start(&r);
    random_row(&r, x, 16, false);
    for (uint32_t i = 0; i < 4; i++)
        poke(&r, (256 + i) * 16, x, 16);
    poke(&r, 0, x, 16); /* rows 1 to 3 stay zero */
    go(&r);
    for (uint32_t i = 1; i < 4; i++) {
        peek(&r, (64 + i) * 16, got, 4);
        same_floats(&r, "rows never written", got, zero, 4);
    }
    rig_close(&r);
}

/* ---- batched products over heads ---- */
struct batch {
    unsigned tensor;
    bool transposed, vector, pending;
};

static void check_batch(const char *machine, const char *act, const struct batch *b)
{
    struct rig r;
    float x[MAX_M][MAX_M], got[MAX_M];
    rig_open(&r, machine, act);
    const uint32_t rows = b->vector ? 1 : r.mlen, heads = r.mlen / r.hlen, h0 = r.mlen - r.hlen, out = r.mlen * r.pitch;
    const uint32_t at = 3 * r.mlen * r.mlen + (b->transposed ? h0 : h0 * r.mlen);
    say(&r, "li gp1, %u", 3 * r.mlen * r.mlen);
    say(&r, "li gp2, %u", b->tensor);
    say(&r, "H_LOAD_M gp1, gp0, gp2, gp0");
    say(&r, "li gp1, %u", b->vector ? at - r.mlen * r.mlen : at);
    say(&r, "li gp3, %u", b->vector ? r.mlen * r.mlen : out); /* matrix-vector: added to the tile address */
    say(&r, "li gp4, 0");
    say(&r, "M_B%sM%s gp%u, gp1, gp4", b->transposed ? "T" : "", b->vector ? "V" : "M", b->pending && !b->vector ? 0 : 3);
    say(&r, "li gp3, %u", out - r.mlen);
    if (b->vector || b->pending)
        say(&r, "M_BM%s_WO gp3, %u", b->vector ? "V" : "M", r.mlen);
    start(&r);
    for (uint32_t i = 0; i < rows; i++) {
        random_row(&r, x[i], r.mlen, false);
        poke(&r, i * r.pitch, x[i], r.mlen);
    }
    go(&r);
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t i = 0; i < rows; i += rows > 8 ? 5 : 1) {
            float want[MAX_M];
            for (uint32_t n = 0; n < r.mlen; n++) {
                struct dot o;
                const struct operand p = {.tensor = b->tensor, .transposed = b->transposed, .q0 = h * r.hlen, .k0 = h0, .width = r.hlen, .n = n};
                dot_begin(&r, &o, &p);
                dot_add(&r, &o, x[i], &p);
                want[n] = dot_result(&o);
            }
            peek(&r, out + (uint64_t)(h * rows + i) * r.pitch, got, r.mlen);
            same_floats(&r, act, got, want, r.mlen);
        }
    rig_close(&r);
}

TEST(test_batched)
{
    (void)state;
    for (size_t m = 0; m < PL_COUNT(machines); m++)
        for (size_t a = 0; a < PL_COUNT(acts); a++)
            for (unsigned k = 0; k < 5 * 8; k++) {
                const struct batch b = {.tensor = k / 8, .transposed = k & 1, .vector = k & 2, .pending = k & 4};
                if (!(b.vector && b.pending))
                    check_batch(machines[m], acts[a], &b);
            }
}

TEST(test_every_instruction_was_looked_at)
{
    (void)state;
    all_proven(1u << PL_UNIT_MAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products), cmocka_unit_test(test_windows_of_head_width), cmocka_unit_test(test_accumulators),
        cmocka_unit_test(test_one_row_then_more_rows), cmocka_unit_test(test_batched),
        cmocka_unit_test(products_step_their_addresses),
        cmocka_unit_test(test_every_instruction_was_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
