/* mx.h - number formats and the arithmetic of the machine: minifloats, MX blocks, the matrix unit's exact dot product,
 * the vector and scalar units' operations. nn, sim and RTL call or match these functions, so bits agree everywhere.
 *
 * Source: OCP Microscaling Formats v1.0; paper sections III-B, IV; DESIGN.md section 5; doc/numerics.md is the final word.
 * Depends on: base.h.   Threads: every function is pure or works on its arguments only; call from any thread.
 * Numeric guarantee: bit-exact on every host, every SIMD variant equal to the portable one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_MX_H
#define PLENA_MX_H
#include "plena/base.h"

/* ---- minifloat ExMy: sign, E exponent bits (1..8), M fraction bits (0..10), bias 2^(E-1)-1 ---- */
enum pl_special {
    PL_SPECIAL_IEEE,   /* top exponent code is Inf (fraction 0) or NaN; without fraction bits NaN */
    PL_SPECIAL_E4M3,   /* OCP E4M3: only S.1111.111 is NaN, no Inf */
    PL_SPECIAL_FINITE, /* every code is a number */
};
struct pl_minifloat {
    uint8_t exp_bits, man_bits;
    uint8_t special; /* enum pl_special */
};
#define PL_BF16 ((struct pl_minifloat){8, 7, PL_SPECIAL_IEEE})
#define PL_FP16 ((struct pl_minifloat){5, 10, PL_SPECIAL_IEEE})

/* The special-code convention we use for an ExMy element: finite up to 6 bits in all, for E3M4 and for E=1; OCP for
 * E4M3; IEEE otherwise. */
struct pl_minifloat pl_minifloat_make(unsigned exp_bits, unsigned man_bits);
unsigned pl_minifloat_bits(struct pl_minifloat f);
float pl_minifloat_max(struct pl_minifloat f); /* largest finite value */

/* binary32 -> code: one rounding, to nearest even (without fraction bits a tie goes to the larger magnitude, as IEEE
 * 754-2019 4.3.1 has it), subnormals kept. A finite value beyond the largest saturates
 * (`saturate`) or becomes Inf where the format has one. NaN -> the canonical NaN (IEEE: fraction 100..0; E4M3: 0x7f),
 * or 0 in a finite format; Inf -> Inf, or the largest finite where there is none or when saturating. */
uint32_t pl_minifloat_encode(struct pl_minifloat f, float x, bool saturate);
float pl_minifloat_decode(struct pl_minifloat f, uint32_t code); /* exact; NaN is 0x7fc00000 */

/* ---- tensor formats ---- */
enum pl_format_kind {
    PL_FORMAT_NONE,  /* "none": stored in the machine's vector format; see pl_format_resolve */
    PL_FORMAT_FLOAT, /* plain minifloat, no scales; matrix unit: exact significands, one element per block */
    PL_FORMAT_MXINT, /* blocks of signed integers: value = q * 2^(scale-127-(bits-2)), |q| <= 2^(bits-1)-1 */
    PL_FORMAT_MXFP,  /* blocks of minifloats: value = element * 2^(scale-127) */
};
enum pl_scale_rule {
    PL_SCALE_FLOOR,  /* floor(log2 amax) - emax, OCP; the default */
    PL_SCALE_CEIL,   /* smallest exponent at which no element saturates */
    PL_SCALE_SEARCH, /* of floor-1, floor, floor+1 the one of least squared error; ties to the smaller exponent */
};
enum pl_range {       /* MXINT elements */
    PL_RANGE_SYMMETRIC,
    PL_RANGE_FULL,     /* -2^(bits-1) too */
    PL_RANGE_UNSIGNED, /* 0 .. 2^bits-1, value = q * 2^(scale-127-(bits-1)); what is below zero becomes zero */
};
struct pl_format {
    uint8_t kind;             /* enum pl_format_kind */
    uint8_t rule;             /* enum pl_scale_rule; MX kinds */
    uint8_t int_bits;         /* MXINT: 2..8 */
    struct pl_minifloat elem; /* FLOAT, MXFP */
    uint16_t block;           /* MX kinds: power of two 4..64; 1 for FLOAT; 0 for NONE */
    uint8_t range;            /* enum pl_range */
    bool e6m2;                /* scale bytes are E6M2, (1 + m / 4) * 2^(e - 31), 255 NaN; else E8M0, 2^(byte - 127) */
};
/* "none" "bf16" "fp16" "e5m6" (plain) "mxint4" "mxint4:16" "mxfp4_e2m1" "mxfp8_e4m3:32" "mxfp7_e3m3"
 * "mxint4:16:ceil" ...; block 16 when not said. The digits after mxfp must equal 1+E+M. Behind the block also e6m2, and of
 * MXINT full or unsigned: "mxint4:16:full:e6m2". With e6m2 or full the rule is search. Errors: PL_EPARSE with what is
 * allowed and the nearest spelling. */
enum pl_status pl_format_parse(const char *text, struct pl_format *out, struct pl_diag *d);
/* Canonical spelling, which parses to the same format. */
void pl_format_name(const struct pl_format *f, char out[48]);
bool pl_format_equal(const struct pl_format *a, const struct pl_format *b);
/* NONE becomes FLOAT of the vector format; everything else stays. Everything below takes resolved formats. */
struct pl_format pl_format_resolve(struct pl_format f, struct pl_minifloat vec);
unsigned pl_format_bits(const struct pl_format *f); /* of one element */
bool pl_format_has_scale(const struct pl_format *f);
/* Does the machine have it? Not E6M2 scales, full and unsigned ranges: those are for nn only. */
bool pl_format_on_machine(const struct pl_format *f);
double pl_scale_value(const struct pl_format *f, uint8_t scale); /* exact; of 255 a number too */
/* Bytes of a row of n elements / of its scales (one byte per started block); rows start on whole bytes. */
size_t pl_format_row_bytes(const struct pl_format *f, size_t n);
size_t pl_format_row_scales(const struct pl_format *f, size_t n);

/* ---- quantise, pack ---- */
/* Quantise n values along a row; the last block may be short (as if padded with zeros).
 *   x        in   float[n]
 *   exp_add  in   int16_t[n] or NULL: x[i] stands for x[i] * 2^exp_add[i] (exact; V-cache fold, DESIGN 5.5)
 *   code     out  uint32_t[n]
 *   scale    out  uint8_t[ceil(n / block)], E8M0 (bias 127) or E6M2; untouched for FLOAT
 * MX kinds: rule of shared/reference/mx-vectors.json ("mx-ref-v1"): a block with NaN or Inf gets scale 255, codes 0;
 * all-zero block: scale 0, signed zero codes for MXFP, 0 for MXINT. Nothing is flushed.
 * E6M2: of the scales from two below to four above the smallest that no positive element saturates at, the one of least
 * squared error. What a search has once quantised it gives again: such values have a scale of no error.
 * FLOAT: pl_vec_round then code, exp_add must be NULL.
 * Returns true when some block had a NaN or Inf (the sticky error of the hardware). */
bool pl_quantise(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n,
                 uint32_t *code, uint8_t *scale);
/* The slow, obvious twin of pl_quantise, written from the rule with exact arithmetic. */
bool pl_quantise_ref(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n,
                     uint32_t *code, uint8_t *scale);
/* Exact unless the value leaves binary32's range; scale 255 gives NaN. */
void pl_dequantise(const struct pl_format *f, const uint32_t *code, const uint8_t *scale, size_t n,
                   float *out);
/* Little-endian bit stream, first element in the least significant bits; trailing bits of the last byte are 0. */
void pl_pack(unsigned bits, const uint32_t *code, size_t n, uint8_t *bytes);
void pl_unpack(unsigned bits, const uint8_t *bytes, size_t first, size_t n, uint32_t *code);

/* ---- matrix unit (DESIGN 5.1-5.5) ---- */
/* At the array edge every element is an integer v and an exponent: value = v * 2^(e - 127 - frac).
 * MXINT: v = q, frac = bits-2 (unsigned: bits-1), e = scale byte, one e per block. E6M2: v four times as large, times the
 * scale's 1 + m / 4, frac 2 more, width 3 more. MXFP with decoded integers of at most 20 bits: v =
 * element * 2^frac, one e per block. Wider MXFP elements and FLOAT: v = signed significand, own e per element.
 * Zero and NaN elements, and every element of a block with scale 255, are v = 0. */
struct pl_edge {
    unsigned width; /* bits of v, two's complement */
    int frac;
    unsigned group; /* consecutive elements that share e: the block, or 1 */
};
struct pl_edge pl_edge_of(const struct pl_format *f);
/* e out int16_t[ceil(n / group)]. */
void pl_edge_decode(const struct pl_format *f, const uint32_t *code, const uint8_t *scale, size_t n,
                    int32_t *v, int16_t *e);

/* The arithmetic of one product: everything its bits depend on but the data. */
struct pl_mm_spec {
    struct pl_format left, right; /* resolved; left block limited to `tile` */
    struct pl_edge ledge, redge;
    bool right_along_n;      /* right blocks run along N (V cache): scales are folded into the left, array sees e = 127 */
    struct pl_minifloat vec; /* result format */
    unsigned tile;           /* K lanes of one tile: MLEN, or the head width */
    unsigned blen;           /* K lanes of one sub-array; tile / blen accumulators per result */
    unsigned run;            /* k-run: min(left group, right group, blen) */
    unsigned guard;          /* G */
    unsigned acc_bits;       /* Aw */
};
/* Fill *s. acc_bits 0 = max(32, Pw + G + 6), Pw = ledge.width + redge.width + log2(run).
 * Errors: PL_EUNSUPPORTED if Aw > 64 (or a given Aw < Pw + G + 2); PL_ERANGE for a tile that is not a power-of-two
 * multiple of blen. */
enum pl_status pl_mm_spec_init(struct pl_mm_spec *s, const struct pl_format *left,
                               const struct pl_format *right, bool right_along_n,
                               struct pl_minifloat vec, unsigned tile, unsigned blen,
                               unsigned guard, unsigned acc_bits, struct pl_diag *d);

/* One side of a product, decoded and laid out for the kernels: n vectors along K of `k` lanes (k a multiple of tile;
 * lanes never set are zero). */
struct pl_panel;
struct pl_panel *pl_panel_new(const struct pl_mm_spec *s, bool is_right, size_t n, size_t k);
void pl_panel_free(struct pl_panel *p);
void pl_panel_clear(struct pl_panel *p); /* all lanes zero */
/* Left: quantise row i, lanes [k0, k0+n) from vector-format values (fold: int16_t[n] or NULL). k0 a multiple of the
 * left group. Returns the sticky error. */
bool pl_panel_set_left(const struct pl_mm_spec *s, struct pl_panel *p, size_t i, size_t k0,
                       size_t n, const float *x, const int16_t *fold);
/* Right, blocks along K: vector j, lanes [k0, k0+n) from codes; scale of the block holding lane k0 first.
 * k0 a multiple of the right group. */
void pl_panel_set_right(const struct pl_mm_spec *s, struct pl_panel *p, size_t j, size_t k0,
                        size_t n, const uint32_t *code, const uint8_t *scale);
/* The same from packed elements (pl_pack), as HBM holds them. */
void pl_panel_set_right_packed(const struct pl_mm_spec *s, struct pl_panel *p, size_t j, size_t k0,
                               size_t n, const uint8_t *bytes, const uint8_t *scale);
/* Right, blocks along N (right_along_n, or FLOAT): lane k of vectors [j0, j0+n), from one row of the stored tile.
 * MX kinds: the caller has folded the scales into the left operand; here e = 127. */
void pl_panel_set_right_row(const struct pl_mm_spec *s, struct pl_panel *p, size_t k, size_t j0,
                            size_t n, const uint32_t *code);

/* Accumulators of rows x cols results, tile/blen sub-arrays each. */
struct pl_acc;
struct pl_acc *pl_acc_new(const struct pl_mm_spec *s, size_t rows, size_t cols);
void pl_acc_free(struct pl_acc *acc);
void pl_acc_clear(struct pl_acc *acc); /* M = 0, E = 0: `first` */
/* acc[i][j] += left row i0+i . right vector j0+j over lanes [lk0, lk0+n) of the left and [rk0, rk0+n) of the right;
 * n a multiple of tile, runs in K order. */
void pl_mm_accumulate(const struct pl_mm_spec *s, const struct pl_panel *left, size_t i0, size_t lk0,
                      const struct pl_panel *right, size_t j0, size_t rk0, size_t n, size_t rows,
                      size_t cols, struct pl_acc *acc);
/* The same with results j placed at columns acc_col + j of the accumulators. */
void pl_mm_accumulate_at(const struct pl_mm_spec *s, const struct pl_panel *left, size_t i0, size_t lk0,
                         const struct pl_panel *right, size_t j0, size_t rk0, size_t n, size_t rows,
                         size_t cols, struct pl_acc *acc, size_t acc_col);
/* out[i*ldo + j] = tree sum of the sub-arrays, one rounding to the vector format. */
void pl_mm_write_out(const struct pl_mm_spec *s, const struct pl_acc *acc, size_t rows, size_t cols,
                     float *out, size_t ldo);
/* One stretch of K: left rows from i0, lanes [lk0, lk0 + n), against right vectors from j0, lanes [rk0, rk0 + n). */
struct pl_mm_term {
    const struct pl_panel *left, *right;
    size_t i0, lk0, j0, rk0, n;
};
/* Terms (at least one) accumulated in order from `first`, and written out: the bits of pl_acc_new, pl_mm_accumulate for
 * each term and pl_mm_write_out; threads inside. */
void pl_mm_sum(const struct pl_mm_spec *s, const struct pl_mm_term *term, size_t n_terms, size_t rows,
               size_t cols, float *out, size_t ldo);
/* The whole product in one call: out[i*ldo + j], i < rows, j < cols, over all lanes; threads inside. */
void pl_mm_product(const struct pl_mm_spec *s, const struct pl_panel *left, size_t rows,
                   const struct pl_panel *right, size_t cols, float *out, size_t ldo);
/* One result by the slow, obvious definition. v, e as in pl_edge: left v[k], e[k/ledge.group]; same for the right
 * (with right_along_n of an MX kind: e = 127 throughout). */
float pl_dot_ref(const struct pl_mm_spec *s, const int32_t *lv, const int16_t *le,
                 const int32_t *rv, const int16_t *re, size_t k);

/* ---- vector unit (DESIGN 5.6). Values are binary32 that the vector format holds exactly. ---- */
/* To nearest even; beyond the largest finite -> Inf; below the smallest normal after rounding -> signed zero; NaN ->
 * 0x7fc00000. The vector format is always of the IEEE kind. */
float pl_vec_round(struct pl_minifloat f, float x);
void pl_vec_round_n(struct pl_minifloat f, const float *x, size_t n, float *out);
/* Elementwise; out may be a or b. Each lane: one exact operation, one pl_vec_round. */
void pl_vec_add(struct pl_minifloat f, const float *a, const float *b, size_t n, float *out);
void pl_vec_sub(struct pl_minifloat f, const float *a, const float *b, size_t n, float *out);
void pl_vec_mul(struct pl_minifloat f, const float *a, const float *b, size_t n, float *out);
/* With a scalar: the FP32 scalar is rounded to the vector format first. reverse: s - a. */
void pl_vec_adds(struct pl_minifloat f, const float *a, float s, size_t n, float *out);
void pl_vec_subs(struct pl_minifloat f, const float *a, float s, bool reverse, size_t n, float *out);
void pl_vec_muls(struct pl_minifloat f, const float *a, float s, size_t n, float *out);
void pl_vec_maxs(struct pl_minifloat f, const float *a, float s, size_t n, float *out);
void pl_vec_mins(struct pl_minifloat f, const float *a, float s, size_t n, float *out);
/* Integer-defined special functions (reference/rtl.md 2.7; errors in doc/numerics.md). */
void pl_vec_exp(struct pl_minifloat f, const float *a, size_t n, float *out);
void pl_vec_reci(struct pl_minifloat f, const float *a, size_t n, float *out);
/* Reductions of one vector row. Sum: the block-floating tree over n lanes (n a power of two), G = 12 guard bits, one
 * rounding to binary32; NaN or Inf lanes give NaN (Inf of one sign only: that Inf). Max: compare on order-preserving
 * bits, NaN lanes ignored unless all are NaN; -0 < +0. */
float pl_vec_sum(struct pl_minifloat f, const float *a, size_t n);
float pl_vec_max(struct pl_minifloat f, const float *a, size_t n);

/* Unnormalised Walsh-Hadamard transform of n <= 4096 lanes (a power of two): aligned to the largest exponent with 12
 * guard bits (round half up), exact butterflies, one rounding. A NaN or Inf lane makes all NaN. out may be a. */
void pl_vec_hadamard(struct pl_minifloat f, const float *a, size_t n, float *out);

/* ---- choosing the largest: V_TOPK, V_ROUTE ---- */
/* Index of the largest of n values that are not taken, the lowest of equal ones; a NaN counts as -Inf, -0 equals +0. One is
 * left. */
uint32_t pl_vec_best(const float *a, size_t n, const bool *taken);
enum { PL_ROUTE_MOST = 4096, PL_ROUTE_MOST_K = 64 }; /* values; chosen ones */
struct pl_route {
    uint32_t n, k;
    uint32_t groups, top_groups; /* the n values are groups of n / groups; the k come from the best top_groups of them */
    uint32_t group_top;          /* a group's score: its group_top largest values added in FP32, in falling order, to 0 */
};
/* NULL, or the rule that *r breaks: 1 <= k <= n / groups * top_groups, whole groups, the bounds above. */
const char *pl_route_rule(const struct pl_route *r);
/* Choose by pl_vec_best, among groups and then among values: index[k] ascending. No rule is broken. */
void pl_route_choose(const struct pl_route *r, const float *a, uint32_t *index);

/* ---- scalar unit: FP32, to nearest even, subnormal inputs and results are zero, NaN canonical ---- */
float pl_f32_add(float a, float b);
float pl_f32_sub(float a, float b);
float pl_f32_mul(float a, float b);
float pl_f32_max(float a, float b); /* order-preserving bits; a NaN loses against a number */
float pl_f32_reci(float a);         /* correctly rounded; 0 -> Inf of its sign */
float pl_f32_sqrt(float a);         /* correctly rounded; below zero -> NaN */
float pl_f32_exp(float a);          /* 64-entry table and a cubic in 64-bit integers; error bound in doc/numerics.md */
#endif
