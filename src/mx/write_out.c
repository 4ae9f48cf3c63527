/* write_out.c - the adder tree over the sub-arrays and the one rounding; the one-result definition. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mm_internal.h"

/* Align to the larger exponent, round half up, add. A zero takes no part in the choice of the exponent. */
void mm_tree_node(int64_t *m1, int64_t *e1, const int64_t *m2, const int64_t *e2)
{
    for (int j = 0; j < LANES; j++) {
        const int64_t ea = m1[j] ? e1[j] : e2[j], eb = m2[j] ? e2[j] : ea;
        const int64_t d = ea - eb;
        const bool first = d >= 0;
        const int64_t keep = first ? m1[j] : m2[j], move = first ? m2[j] : m1[j];
        int64_t n = first ? d : -d;
        n = n > 63 ? 63 : n;
        const int64_t down = (int64_t)((uint64_t)move << 1) >> n;
        m1[j] = keep + ((down + 1) >> 1);
        e1[j] = first ? ea : eb;
    }
}

/* The same node in 128 bits, for accumulators so wide that the tree does not fit 64. */
static void node128(i128 *m1, int *e1, i128 m2, int e2)
{
    const int ea = *m1 ? *e1 : e2, eb = m2 ? e2 : ea;
    const int d = ea - eb, n = d < 0 ? -d : d;
    const i128 keep = d >= 0 ? *m1 : m2, move = d >= 0 ? m2 : *m1;
    const i128 down = n > 100 ? 0 : n ? (move >> n) + (move >> (n - 1) & 1) : move;
    *m1 = keep + down;
    *e1 = d >= 0 ? ea : eb;
}

float mm_round(const struct pl_mm_spec *s, i128 m, int e)
{
    if (m == 0)
        return 0.0f;
    const int bias = minifloat_bias(s->vec);
    const u128 mag = m < 0 ? (u128)-m : (u128)m;
    return round_to_format(m < 0, mag, e - 254 - s->ledge.frac - s->redge.frac - (int)s->guard, s->vec.man_bits,
                           1 - bias, bias);
}

/* m, e: [subs][stride], destroyed. Adjacent pairs, level by level: the same tree as low half, high half. */
static void strip64(const struct pl_mm_spec *s, int64_t *m, int64_t *e, size_t subs, size_t stride, size_t cols,
                    float *out)
{
    for (size_t step = 1; step < subs; step *= 2)
        for (size_t a = 0; a < subs; a += 2 * step)
            mm_tree_node(m + a * stride, e + a * stride, m + (a + step) * stride, e + (a + step) * stride);
    for (size_t j = 0; j < cols; j++)
        out[j] = mm_round(s, m[j], (int)e[j]);
}

static void strip128(const struct pl_mm_spec *s, const int64_t *m, const int64_t *e, size_t subs, size_t stride,
                     size_t cols, float *out)
{
    i128 tm[2048];
    int te[2048];
    for (size_t j = 0; j < cols; j++) {
        for (size_t a = 0; a < subs; a++) {
            tm[a] = m[a * stride + j];
            te[a] = (int)e[a * stride + j];
        }
        for (size_t step = 1; step < subs; step *= 2)
            for (size_t a = 0; a < subs; a += 2 * step)
                node128(&tm[a], &te[a], tm[a + step], te[a + step]);
        out[j] = mm_round(s, tm[0], te[0]);
    }
}

static void strip(const struct pl_mm_spec *s, int64_t *m, int64_t *e, size_t subs, size_t stride, size_t cols, float *out)
{
    if (s->acc_bits + pl_log2(subs) <= 64)
        strip64(s, m, e, subs, stride, cols, out);
    else
        strip128(s, m, e, subs, stride, cols, out);
}

void pl_mm_write_out(const struct pl_mm_spec *s, const struct pl_acc *acc, size_t rows, size_t cols, float *out,
                     size_t ldo)
{
    int64_t m[2048 * LANES], e[2048 * LANES];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j += LANES) {
            for (size_t sub = 0; sub < acc->subs; sub++) {
                const size_t at = (i * acc->subs + sub) * acc->cols_pad + j;
                memcpy(m + sub * LANES, acc->m + at, LANES * sizeof *m);
                memcpy(e + sub * LANES, acc->e + at, LANES * sizeof *e);
            }
            strip(s, m, e, acc->subs, LANES, cols - j < LANES ? cols - j : LANES, out + i * ldo + j);
        }
}

/* rsh of DESIGN 5.3, literally. */
static i128 round_shift(i128 x, int n, unsigned acc_bits)
{
    if (n >= (int)acc_bits)
        return 0;
    return n ? (x >> n) + (x >> (n - 1) & 1) : x;
}

static void accumulate_ref(const struct pl_mm_spec *s, i128 p, int e_in, i128 *m, int *e)
{
    if (p == 0)
        return;
    const i128 in = p * ((i128)1 << s->guard);
    const int d = e_in - *e;
    if (d >= 0) {
        *m = in + round_shift(*m, d, s->acc_bits);
        *e = e_in;
    } else {
        *m += round_shift(in, -d, s->acc_bits);
    }
    const i128 top = (i128)1 << (s->acc_bits - 2);
    if (*m >= top || *m < -top) {
        *m = round_shift(*m, 1, s->acc_bits);
        *e += 1;
    }
}

float pl_dot_ref(const struct pl_mm_spec *s, const int32_t *lv, const int16_t *le, const int32_t *rv, const int16_t *re,
                 size_t k)
{
    i128 m[2048] = {0};
    int e[2048] = {0};
    const size_t subs = s->tile / s->blen;
    for (size_t k0 = 0; k0 < k; k0 += s->run) {
        const size_t sub = k0 % s->tile / s->blen;
        i128 p = 0;
        for (size_t i = k0; i < k0 + s->run && i < k; i++)
            p += (i128)lv[i] * rv[i];
        accumulate_ref(s, p, le[k0 / s->ledge.group] + re[k0 / s->redge.group], &m[sub], &e[sub]);
    }
    for (size_t step = 1; step < subs; step *= 2)
        for (size_t a = 0; a < subs; a += 2 * step)
            node128(&m[a], &e[a], m[a + step], e[a + step]);
    return mm_round(s, m[0], e[0]);
}
