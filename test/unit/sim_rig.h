/* sim_rig.h - a machine on the bench: HBM full of known tensors, a program written line by line, state to poke and peek. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_RIG_H
#define SIM_RIG_H
#include "test.h"

#include <math.h>

#include "plena/isa.h"
#include "plena/sim.h"

static struct pl_diag d;

/* VLEN equal to MLEN, four times it, a quarter of it. */
static const char *const machines[] = {"tiny", "wide_vector", "narrow_vector"};

enum { RIG_HBM = 1 << 18, RIG_FP = 96, RIG_INT = 64, N_DESC = 8, DESC_OUT8 = 5, DESC_OUTF = 6, DESC_REPEAT = 7 };
/* 0..4 are operands of 2 x 2 tiles that the edges cut; 5 and 6 are written; 7 is narrow and repeats. */
static const char *const desc_format[N_DESC] = {"mxint8:16", "mxfp4_e2m1:8", "bf16", "mxfp8_e5m2:16", "mxint4:16:ceil",
                                                "mxfp6_e2m3:16", "bf16", "bf16"};

struct rig {
    struct pl_arena a;
    struct pl_arch arch;
    struct pl_image img;
    struct pl_sim *sim;
    struct pl_rng rng;
    struct pl_buf text;
    struct pl_asm as;
    uint8_t *hbm; /* as at the start */
    struct pl_segment segment;
    struct pl_desc desc[N_DESC];
    float fp[RIG_FP];
    uint32_t intmem[RIG_INT];
    uint32_t pitch, vlen, mlen, blen, hlen;
    struct pl_minifloat vec;
    struct pl_sim_options opt;
};

static inline struct pl_format format_of(const char *name)
{
    struct pl_format f;
    OK(pl_format_parse(name, &f, &d));
    return f;
}

static inline void fill_tensor(struct rig *r, const struct pl_desc *t)
{
    float *x = calloc(t->cols, sizeof *x);
    uint32_t *code = calloc(t->cols, sizeof *code);
    for (uint32_t row = 0; row < t->rows; row++) {
        for (uint32_t c = 0; c < t->cols; c++)
            x[c] = (float)(pl_rng_normal(&r->rng) * exp2((double)pl_rng_below(&r->rng, 6)));
        pl_quantise(&t->format, x, NULL, t->cols, code, r->hbm + t->scale_base + (uint64_t)row * t->scale_stride);
        pl_pack(pl_format_bits(&t->format), code, t->cols, r->hbm + t->elem_base + (uint64_t)row * t->elem_stride);
    }
    free(x);
    free(code);
}

static inline void lay_out(struct rig *r)
{
    uint64_t at = 64; /* byte 0 belongs to nobody */
    const uint32_t m = r->mlen;
    for (unsigned k = 0; k < N_DESC; k++) {
        struct pl_desc *t = &r->desc[k];
        const bool out = k == DESC_OUT8 || k == DESC_OUTF;
        *t = (struct pl_desc){.name = pl_arena_printf(&r->a, "t%u", k), .format = format_of(desc_format[k]),
                              .rows = out ? 24 : 2 * m - 3, .cols = out ? 2 * r->vlen + 8 : m + m / 2 + 4, .elem_base = at};
        if (k == DESC_REPEAT) {
            t->cols = 8;
            t->rows = 20;
            t->repeat = true;
        }
        t->elem_stride = (uint32_t)pl_format_row_bytes(&t->format, t->cols) + 3; /* a gap nothing may write to */
        t->scale_stride = (uint32_t)pl_format_row_scales(&t->format, t->cols);
        at = pl_round_up(at + (uint64_t)t->elem_stride * t->rows, 64);
        if (t->scale_stride) {
            t->scale_base = at;
            at = pl_round_up(at + (uint64_t)t->scale_stride * t->rows, 64);
        }
        if (at > RIG_HBM)
            fail_msg("tensors of %llu bytes", (unsigned long long)at);
        if (!out)
            fill_tensor(r, t);
    }
}

static inline void rig_open(struct rig *r, const char *machine, const char *act)
{
    *r = (struct rig){.opt = {.functional = true, .timing = true}};
    pl_arena_init(&r->a);
    pl_rng_init(&r->rng, 5);
    pl_buf_init(&r->text);
    OK(pl_arch_load(machine, &r->arch, &d));
    r->mlen = r->arch.mlen;
    r->blen = r->arch.blen;
    r->hlen = r->arch.hlen;
    r->vlen = r->arch.vlen;
    r->pitch = r->mlen > r->vlen ? r->mlen : r->vlen;
    r->vec = r->arch.vector_format.elem;
    r->hbm = pl_alloc(&r->a, RIG_HBM);
    for (unsigned i = 0; i < RIG_HBM; i++)
        r->hbm[i] = (uint8_t)pl_rng_u64(&r->rng);
    lay_out(r);
    for (unsigned i = 0; i < RIG_FP; i++)
        r->fp[i] = (float)pl_rng_normal(&r->rng);
    for (unsigned i = 0; i < RIG_INT; i++)
        r->intmem[i] = (uint32_t)pl_rng_u64(&r->rng);
    r->segment = (struct pl_segment){0, RIG_HBM, r->hbm};
    const struct pl_arch *m = &r->arch;
    r->img = (struct pl_image){
        .machine = "", .model = "rig",
        .plan = {.vec = r->vec, .mlen = m->mlen, .blen = m->blen, .hlen = m->hlen, .vlen = m->vlen, .guard = m->guard,
                 .acc_bits = m->acc_bits, .head_slot = m->hlen, .kv_tile = r->pitch, .k_tiles = 1},
        .weight = format_of("mxint8:16"), .act = pl_format_resolve(format_of(act), r->vec), .kv = format_of("mxfp4_e2m1:8"),
        .hbm_bytes = RIG_HBM, .n_desc = N_DESC, .desc = r->desc, .n_segment = 1, .segment = &r->segment, .n_fp = RIG_FP,
        .fp = r->fp, .n_int = RIG_INT, .intmem = r->intmem};
}

static inline void rig_close(struct rig *r)
{
    pl_sim_free(r->sim);
    pl_buf_fini(&r->text);
    pl_arena_fini(&r->a);
}

/* One more line of the program. */
static inline void PL_PRINTF(2, 3) say(struct rig *r, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    pl_buf_printf(&r->text, "%s\n", line);
}

/* Assemble what was said, with C_HALT behind it, and put it into a fresh simulator. */
static inline void start(struct rig *r)
{
    say(r, "C_HALT");
    const struct pl_source src = {"rig.s", r->text.data, r->text.len};
    OK(pl_asm_text(&r->a, &src, &r->as, &d));
    r->text.len = 0;
    r->img.code = r->as.code;
    r->img.n_code = r->as.n;
    r->img.line = r->as.line;
    r->img.n_line = r->as.n;
    OK(pl_image_check(&r->img, &d));
    pl_sim_free(r->sim);
    r->sim = NULL;
    OK(pl_sim_new(&r->arch, &r->img, &r->opt, &r->sim, &d));
}

static bool proven[PL_OP_COUNT]; /* instructions whose results a test has looked at */

static inline void go(struct rig *r)
{
    enum pl_sim_stop stop;
    OK(pl_sim_run(r->sim, 0, &stop, &d));
    assert_int_equal(stop, PL_SIM_HALTED);
    for (unsigned op = 0; op < PL_OP_COUNT; op++)
        proven[op] |= pl_sim_stats(r->sim)->insns_by_op[op] > 0;
}

static inline void poke(struct rig *r, uint64_t addr, const float *x, size_t n)
{
    OK(pl_sim_write_vsram(r->sim, addr, n, x, &d));
}

static inline void peek(struct rig *r, uint64_t addr, float *x, size_t n)
{
    OK(pl_sim_read_vsram(r->sim, addr, n, x, &d));
}

static inline uint32_t word(struct rig *r, uint64_t addr)
{
    uint32_t v;
    OK(pl_sim_get_int(r->sim, addr, &v, &d));
    return v;
}

/* n values of the vector format; one in eight is special when `wild`. */
static inline void random_row(struct rig *r, float *x, size_t n, bool wild)
{
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 1e-38f};
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(pl_rng_normal(&r->rng) * exp2((double)pl_rng_below(&r->rng, 8) - 4));
        if (wild && pl_rng_below(&r->rng, 8) == 0)
            x[i] = special[pl_rng_below(&r->rng, PL_COUNT(special))];
        x[i] = pl_vec_round(r->vec, x[i]);
    }
}

static inline void same_floats(const struct rig *r, const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], 4) != 0)
            fail_msg("%s: %s [%zu]: %.9g, wanted %.9g", r->arch.name, what, i, (double)got[i], (double)want[i]);
}

/* Every instruction of these units has been through a comparison. */
static inline void all_proven(unsigned units)
{
    for (unsigned op = 0; op < PL_OP_COUNT; op++) {
        const struct pl_op_info *i = pl_isa_info((enum pl_op)op);
        if ((units >> i->unit & 1) && !proven[op])
            fail_msg("%s has no test of its values", i->name);
    }
}
/* What a tensor holds: element and scale of one place, straight from the bytes of HBM. */
struct element {
    uint32_t code;
    uint8_t scale;
};

/* Row, column of tensor `k`; outside of it: zero. */
static inline struct element element_at(const struct rig *r, unsigned k, uint64_t row, uint64_t col)
{
    const struct pl_desc *t = &r->desc[k];
    struct element e = {0, 0};
    if (row >= t->rows || col >= t->cols)
        return e;
    pl_unpack(pl_format_bits(&t->format), r->hbm + t->elem_base + row * t->elem_stride, (size_t)col, 1, &e.code);
    if (pl_format_has_scale(&t->format))
        e.scale = r->hbm[t->scale_base + row * t->scale_stride + col / t->format.block];
    return e;
}

static inline float value_at(const struct rig *r, unsigned k, uint64_t row, uint64_t col)
{
    const struct element e = element_at(r, k, row, col);
    float x;
    pl_dequantise(&r->desc[k].format, &e.code, &e.scale, 1, &x);
    return x;
}
#endif
