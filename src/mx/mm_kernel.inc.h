/* mm_kernel.inc.h - the accumulation kernel, compiled once per instruction set: the same integer C, so the same bits.
 *
 * Per run: P = exact products of `run` lanes; then the accumulator step of DESIGN 5.3 in LANES columns at once.
 * rsh(x, n) = (x >> n) + (x >> (n-1) & 1) is computed as ((2x >> n) + 1) >> 1, which also holds for n = 0; |x| < 2^(Aw-2)
 * and Aw <= 64 keep 2x in range, and shifts of Aw or more give 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

TARGET static inline void PASTE(step_, SUFFIX)(const int64_t *restrict p, const int16_t *restrict er, int64_t el,
                                               unsigned guard, unsigned acc_bits, int64_t *restrict m,
                                               int64_t *restrict e)
{
    const int64_t top = (int64_t)1 << (acc_bits - 2);
    for (int j = 0; j < LANES; j++) {
        const int64_t in = (int64_t)((uint64_t)p[j] << guard), ein = el + er[j];
        const int64_t d = ein - e[j];
        const bool up = d >= 0;
        const int64_t shift_me = up ? m[j] : in, keep = up ? in : m[j];
        int64_t n = up ? d : -d;
        n = n > 63 ? 63 : n;
        const int64_t twice = (int64_t)((uint64_t)shift_me << 1), sign = twice >> 63;
        const int64_t down = (int64_t)((uint64_t)(twice ^ sign) >> n) ^ sign;
        int64_t sum = keep + ((down + 1) >> 1);
        int64_t enew = up ? ein : e[j];
        const int64_t over = sum >= top || sum < -top ? 1 : 0;
        sum = over ? (sum + 1) >> 1 : sum;
        enew += over;
        m[j] = p[j] ? sum : m[j];
        e[j] = p[j] ? enew : e[j];
    }
}

TARGET void PASTE(mm_bytes_, SUFFIX)(const struct mm_strip *s, int64_t *mo, int64_t *eo)
{
    int64_t m[LANES], e[LANES], p[LANES];
    int32_t p32[LANES];
    memcpy(m, mo, sizeof m);
    memcpy(e, eo, sizeof e);
    const struct pl_panel *l = s->left, *r = s->right;
    for (size_t t = 0; t < s->tiles; t++)
        for (unsigned k0 = 0; k0 < s->blen; k0 += s->run) {
            const size_t lk = s->lk + t * s->tile + k0, rk = s->rk + t * s->tile + k0;
            const int8_t *lv = (const int8_t *)l->v8 + s->i * l->k + lk;
            for (int j = 0; j < LANES; j++)
                p32[j] = 0;
            for (unsigned k = 0; k < s->run; k++) {
                const uint8_t *rv = r->v8 + MM_BYTE_AT(r, s->j, rk + k);
                const int32_t x = lv[k];
                for (int j = 0; j < LANES; j++)
                    p32[j] += x * (rv[4 * j] - 128);
            }
            for (int j = 0; j < LANES; j++)
                p[j] = p32[j];
            PASTE(step_, SUFFIX)(p, r->e + (s->j / LANES * r->groups + rk / r->group) * LANES,
                                 l->runs[(s->i * l->k + lk) / l->run].e, s->guard, s->acc_bits, m, e);
        }
    memcpy(mo, m, sizeof m);
    memcpy(eo, e, sizeof e);
}

TARGET void PASTE(mm_narrow_, SUFFIX)(const struct mm_strip *s, int64_t *mo, int64_t *eo)
{
    int64_t m[LANES], e[LANES], p[LANES];
    int32_t p32[LANES];
    memcpy(m, mo, sizeof m);
    memcpy(e, eo, sizeof e);
    const struct pl_panel *l = s->left, *r = s->right;
    for (size_t t = 0; t < s->tiles; t++)
        for (unsigned k0 = 0; k0 < s->blen; k0 += s->run) {
            const size_t lk = s->lk + t * s->tile + k0, rk = s->rk + t * s->tile + k0;
            const int16_t *lv = l->v16 + s->i * l->k + lk;
            for (int j = 0; j < LANES; j++)
                p32[j] = 0;
            for (unsigned k = 0; k < s->run; k++) {
                const int16_t *rv = r->v16 + (rk + k) * r->n_pad + s->j;
                const int32_t x = lv[k];
                for (int j = 0; j < LANES; j++)
                    p32[j] += x * rv[j];
            }
            for (int j = 0; j < LANES; j++)
                p[j] = p32[j];
            PASTE(step_, SUFFIX)(p, r->e + rk / r->group * r->n_pad + s->j, l->e[s->i * l->groups + lk / l->group],
                                 s->guard, s->acc_bits, m, e);
        }
    memcpy(mo, m, sizeof m);
    memcpy(eo, e, sizeof e);
}

TARGET void PASTE(mm_wide_, SUFFIX)(const struct mm_strip *s, int64_t *mo, int64_t *eo)
{
    int64_t m[LANES], e[LANES], p[LANES];
    memcpy(m, mo, sizeof m);
    memcpy(e, eo, sizeof e);
    const struct pl_panel *l = s->left, *r = s->right;
    for (size_t t = 0; t < s->tiles; t++)
        for (unsigned k0 = 0; k0 < s->blen; k0 += s->run) {
            const size_t lk = s->lk + t * s->tile + k0, rk = s->rk + t * s->tile + k0;
            const int32_t *lv = l->v32 + s->i * l->k + lk;
            for (int j = 0; j < LANES; j++)
                p[j] = 0;
            for (unsigned k = 0; k < s->run; k++) {
                const int32_t *rv = r->v32 + (rk + k) * r->n_pad + s->j;
                for (int j = 0; j < LANES; j++)
                    p[j] += (int64_t)lv[k] * rv[j];
            }
            PASTE(step_, SUFFIX)(p, r->e + rk / r->group * r->n_pad + s->j, l->e[s->i * l->groups + lk / l->group],
                                 s->guard, s->acc_bits, m, e);
        }
    memcpy(mo, m, sizeof m);
    memcpy(eo, e, sizeof e);
}
