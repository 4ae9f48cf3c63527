/* value.c - strided intervals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "verify_internal.h"

static const int64_t ALL = (int64_t)1 << 32;

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        const int64_t t = a % b;
        a = b;
        b = t;
    }
    return a < 0 ? -a : a;
}

struct val val_any(void)
{
    return (struct val){0, ALL - 1, 1};
}

/* Registers hold 32 bits: a range that goes round as a whole moves, one that is cut may be anything. */
static struct val wrap(struct val v)
{
    const int64_t turn = v.lo < 0 ? -((-v.lo + ALL - 1) / ALL) : v.lo / ALL;
    if (v.hi - turn * ALL >= ALL)
        return val_any();
    return (struct val){v.lo - turn * ALL, v.hi - turn * ALL, v.step};
}

struct val val_plus(struct val a, int64_t k)
{
    return (struct val){a.lo + k, a.hi + k, a.step};
}

struct val val_add(struct val a, struct val b)
{
    return wrap((struct val){a.lo + b.lo, a.hi + b.hi, gcd(a.step, b.step)});
}

struct val val_sub(struct val a, struct val b)
{
    return wrap((struct val){a.lo - b.hi, a.hi - b.lo, gcd(a.step, b.step)});
}

struct val val_mul(struct val a, struct val b)
{
    if (val_one(a)) {
        const struct val t = a;
        a = b;
        b = t;
    }
    if (val_one(a))
        return VAL((int64_t)(uint32_t)((uint64_t)a.lo * (uint64_t)b.lo));
    if (a.hi && b.hi > (ALL - 1) / a.hi)
        return val_any();
    if (val_one(b))
        return b.lo ? (struct val){a.lo * b.lo, a.hi * b.lo, a.step * b.lo} : VAL(0);
    return (struct val){a.lo * b.lo, a.hi * b.hi, 1};
}

struct val val_join(struct val a, struct val b)
{
    const struct val j = {a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi, gcd(gcd(a.step, b.step), a.lo - b.lo)};
    return j;
}

bool val_same_shape(struct val a, struct val b)
{
    return a.hi - a.lo == b.hi - b.lo && a.step == b.step;
}
