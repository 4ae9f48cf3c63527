/* gen_formats_md.c - prints the table of number formats of doc/numerics.md. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "plena/mx.h"

static const char *special(const struct pl_format *f)
{
    static const char *const name[] = {"Inf, NaN", "NaN 7f, ff", "none"};
    return f->kind == PL_FORMAT_MXINT ? "none" : name[f->elem.special];
}

/* Accumulator width against `right` at BLEN 32 with 12 guard bits; "-" when it does not fit 64
 * bits. */
static void acc_bits(const struct pl_format *left, const char *right)
{
    struct pl_format r;
    struct pl_mm_spec s;
    (void)pl_format_parse(right, &r, NULL);
    if (pl_mm_spec_init(&s, left, &r, false, PL_BF16, 64, 32, 12, 0, NULL) == PL_OK)
        printf(" %u | %u |", s.run, s.acc_bits);
    else
        printf(" - | - |");
}

int main(void)
{
    static const char *const spelling[] = {"mxint8",     "mxint4",     "mxint2",     "mxfp4_e2m1",
                                           "mxfp4_e1m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e3m4",
                                           "mxfp8_e4m3", "mxfp8_e5m2", "bf16",       "fp16",
                                           "e8m10",      "e5m6"};
    printf("| format | bits | bias | smallest | largest | special codes | v bits | frac | own e | "
           "k-run | Aw |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < PL_COUNT(spelling); i++) {
        struct pl_format f;
        if (pl_format_parse(spelling[i], &f, NULL) != PL_OK)
            return 1;
        const bool is_int = f.kind == PL_FORMAT_MXINT;
        const struct pl_edge e = pl_edge_of(&f);
        const double step = ldexp(1, -(f.int_bits - 2));
        printf("| %s | %u | ", spelling[i], pl_format_bits(&f));
        if (is_int)
            printf("- | %g | %g", step, ((1 << (f.int_bits - 1)) - 1) * step);
        else
            printf("%d | %.4g | %.6g", (1 << (f.elem.exp_bits - 1)) - 1,
                   (double)pl_minifloat_decode(f.elem, 1), (double)pl_minifloat_max(f.elem));
        printf(" | %s | %u | %d | %s |", special(&f), e.width, e.frac,
               e.group > 1 ? "block" : "element");
        acc_bits(&f, spelling[i]);
        printf("\n");
    }
    return 0;
}
