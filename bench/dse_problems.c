/* dse_problems.c - Branin-Currin, ZDT, DTLZ2, vehicle safety, and a discrete accelerator study.
 *
 * The accelerator study is the closed form of reference/perf-model.md 10.5: Table III of the paper, latency and area on a
 * logarithmic scale, a stand-in for perplexity. It measures samplers; it says nothing of PLENA. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "dse_problems.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static void branin_currin(const double *x, double *y)
{
    const double a = 15 * x[0] - 5, b = 15 * x[1], q = b - 5.1 / (4 * PI * PI) * a * a + 5 / PI * a - 6;
    const double x0 = x[0], f = 1 - exp(-1 / (2 * fmax(x[1], 1e-12)));
    y[0] = q * q + 10 * (1 - 1 / (8 * PI)) * cos(a) + 10;
    y[1] = f * (2300 * x0 * x0 * x0 + 1900 * x0 * x0 + 2092 * x0 + 60) / (100 * x0 * x0 * x0 + 500 * x0 * x0 + 4 * x0 + 20);
}

static double zdt_g(const double *x)
{
    double s = 0;
    for (int i = 1; i < 6; i++)
        s += x[i];
    return 1 + 9 * s / 5;
}

static void zdt1(const double *x, double *y)
{
    const double g = zdt_g(x);
    y[0] = x[0];
    y[1] = g * (1 - sqrt(x[0] / g));
}

static void zdt2(const double *x, double *y)
{
    const double g = zdt_g(x);
    y[0] = x[0];
    y[1] = g * (1 - x[0] / g * (x[0] / g));
}

static void zdt3(const double *x, double *y)
{
    const double g = zdt_g(x);
    y[0] = x[0];
    y[1] = g * (1 - sqrt(x[0] / g) - x[0] / g * sin(10 * PI * x[0]));
}

static void dtlz2(const double *x, double *y, size_t m)
{
    double g = 0;
    for (size_t i = m - 1; i < 6; i++)
        g += (x[i] - 0.5) * (x[i] - 0.5);
    for (size_t i = 0; i < m; i++) {
        double v = 1 + g;
        for (size_t j = 0; j + i + 1 < m; j++)
            v *= cos(x[j] * PI / 2);
        y[i] = i ? v * sin(x[m - 1 - i] * PI / 2) : v;
    }
}

static void dtlz2_m2(const double *x, double *y)
{
    dtlz2(x, y, 2);
}

static void dtlz2_m3(const double *x, double *y)
{
    dtlz2(x, y, 3);
}

static void vehicle(const double *u, double *y)
{
    const double a = 1 + 2 * u[0], b = 1 + 2 * u[1], c = 1 + 2 * u[2], d = 1 + 2 * u[3], e = 1 + 2 * u[4];
    y[0] = 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c + 7.7213633 * d + 4.4559504 * e;
    y[1] = 6.5856 + 1.15 * a - 1.0427 * b + .9738 * c + .8364 * d - .3695 * a * d + .0861 * a * e + .3628 * b * d - .1106 * a * a -
           .3437 * c * c + .1764 * d * d;
    y[2] = -.0551 + .0181 * a + .1024 * b + .0421 * c - .0073 * a * b + .024 * b * c - .0118 * b * d - .0204 * c * d - .008 * c * e -
           .0241 * b * b + .0109 * d * d;
}

/* ---- the accelerator study ---- */
struct block_format {
    double bits, is_float, significant, ppl_act, ppl_kv;
};
static const struct block_format formats[6] = {{4, 0, 3, .095, .055}, {8, 0, 7, .004, .002},  {4, 1, 3, .13, .075},
                                               {4, 1, 2, .30, .17},   {8, 1, 4, .012, .006}, {8, 1, 3, .045, .022}};
static const char *const format_name[6] = {"mxint4", "mxint8", "mxfp4_e1m2", "mxfp4_e2m1", "mxfp8_e4m3", "mxfp8_e5m2"};
static const struct {
    double e, m, ppl;
} fp_formats[6] = {{3, 2, .060}, {2, 3, .075}, {6, 5, .0005}, {5, 6, .0004}, {4, 7, .0006}, {8, 5, .0005}};
static const char *const fp_name[6] = {"e3m2", "e2m3", "e6m5", "e5m6", "e4m7", "e8m5"};
static const char *const power_text[10] = {"2", "4", "8", "16", "32", "64", "128", "256", "512", "1024"};

static double power_of(double index)
{
    return ldexp(1, (int)index + 1);
}

static double up(double a, double b)
{
    return ceil(a / b);
}

static double sram_um2(double width_bits, double depth)
{
    static const double rows[] = {64, 128, 256}, bits[] = {16, 18, 20, 32, 34, 36, 40, 48, 64, 72, 74, 80};
    double best = INFINITY;
    for (size_t i = 0; i < PL_COUNT(rows); i++)
        for (size_t j = 0; j < PL_COUNT(bits); j++)
            best = fmin(best, up(width_bits, bits[j]) * up(depth, 4 * rows[i]) * (2.70 + 0.108 * rows[i]) * (8.64 + 1.08 * bits[j]));
    return best;
}

static double matrix_um2(double M, double B, double t, double l, double fp)
{
    const double S = floor(M / B), acc = t + l + fmax(1, ceil(log2(B))) + 16 + fmax(1, ceil(log2(S + 1)));
    const double pe = M * B * (17.236 + 0.8948 * (t + l) + 0.30886 * t * l + 1.31 * log2(B / 16));
    const double feed = 0.2264 * M * B * (t + l) + 4.435 * M * 8;
    const double reduce = S > 1 ? 1.7176 * B * B * (S - 1) * acc + B * B * (1.3028 * log2(S) * acc + 39.37) : 0;
    return pe + feed + reduce + 12.067 * B * B * fp + 4.960 * B * B * acc + 0.3571 * M * fp + 0.1893 * M * (t + l + 16 + fp) +
           17.245 * M + 9.454 * (1 + log2(M) + log2(B) + log2(fmax(S, 1)));
}

static double area_mm2(double B, double M, double V, const double *load, const struct block_format *act, const struct block_format *kv,
                       double e, double m)
{
    const double fp = 1 + e + m, t = fmax(4, kv->bits), l = act->bits, base = matrix_um2(M, B, t, l, fp);
    const double vector = 1644.5 + V * m * (61.11 + 2.539 * log2(V)) + 0.5393 * V * fp * fp;
    const double scalar = 700 + 0.41 * fmin(M, V) * fp, interface = 5100 + 733 * M;
    const double matrix = act->is_float > 0 ? M * B * 285 * (fmax(t, l) == 8 ? 1 : .92) + .35 * base : base;
    double sum = matrix + vector + scalar + interface + 0.1009 * (base + vector + scalar + interface);
    sum += sram_um2(M * (t + 8 / B), 2 * M) + 2 * sram_um2(V * fp, 2 * 128 + up(4096, V));
    return (sum + sram_um2(M * 5, 64 * load[0]) + sram_um2(V * fp, 2 * (load[1] + load[2]))) / 1e6;
}

static double linear_cyc(double T, double B, double M, double V)
{
    const double h = 4096, I = 14336;
    return up(T, B) * (up(h, M) * (up(h, B) * 2 + 2 * up(1024, B) + 2 * up(I, B)) + up(I, M) * up(h, B)) * B +
           T * (up(h, V) * 24 + up(I, V) * 6);
}

static double latency_s(double B, double M, double V, const double *load, double kv_bits)
{
    const double h = 4096, L = 32, nk = 8, d = 128, S = 2048, b = 4, To = 1024, g = 4;
    const double share = V < M ? fmax(1, fmin(M, S) / V) : 1; /* rows of softmax that share a pass */
    const double prefill = (4 + floor(M * M / B) + M * 13 * up(fmin(M, S), V) / share * g + up(d, B) * up(M, B) * B * g) * up(S, M) *
                           up(S, M) * nk * b;
    const double decode = (2 + B + 10 * up(M, V) * g + up(d, B) * (1 + B) * g) * nk * b;
    double steps = 0;
    for (int j = 0; j < 1024; j += 128)
        steps += (linear_cyc(b, B, M, V) + decode * up(S + j, M)) * 128;
    const double kv_bytes = nk * d * 2 * L * (kv_bits + .25) / 8, w = 7.5e9 * 4.25 / 8, n = load[0] * M * .5 / 64;
    const double bw = 512e9 * n / (n + 48);
    double t = fmax(L * (linear_cyc(S * b, B, M, V) + prefill) / 1e9, w / bw);
    t += fmax(2 * L * steps / 1e9, To * (w + b * (S + To / 2) * kv_bytes) / bw);
    return t + To * L * b * (h / V) * 2e-9 * (16 / load[1] + 8 / load[2]);
}

static void accelerator(const double *x, double *y)
{
    const double B = power_of(x[0]), M = power_of(x[1]), V = power_of(x[2]), load[3] = {power_of(x[3]), power_of(x[4]), power_of(x[5])};
    const struct block_format *act = &formats[(int)x[6]], *kv = &formats[(int)x[7]];
    const int f = (int)x[8];
    y[0] = 6.45 * (1 + act->ppl_act + kv->ppl_kv + fp_formats[f].ppl);
    y[1] = log10(latency_s(B, M, V, load, kv->bits));
    y[2] = log10(area_mm2(B, M, V, load, act, kv, fp_formats[f].e, fp_formats[f].m));
}

static const char *accelerator_rule(void *ctx, const double *x)
{
    (void)ctx;
    const double B = power_of(x[0]), M = power_of(x[1]), V = power_of(x[2]);
    if (M < 128 || M < B)
        return "MLEN >= HLEN";
    if (V < B)
        return "VLEN >= BLEN";
    if (M * formats[(int)x[7]].bits > 1560 * 8)
        return "MLEN * KV bits <= bandwidth";
    if (formats[(int)x[6]].is_float != formats[(int)x[7]].is_float)
        return "ACT and KV of one kind";
    return power_of(x[3]) < B || power_of(x[4]) < B ? "loads of BLEN rows" : NULL;
}

const struct dse_problem dse_problems[] = {
    {"branincurrin", 2, 2, {18, 6}, 59.36011874867746, 58.3, 58.3775, {13.5084, 11.7703}, {17.4390, 11.1725}, {43.6401, 6.3309}, branin_currin},
    {"zdt1", 6, 2, {11, 11}, 120.6666666667, 120.6, 120.6354, {102.7908, 4.0855}, {102.2525, 2.7903}, {105.8522, 3.4123}, zdt1},
    {"zdt2", 6, 2, {11, 11}, 120.3333333333, 120.3, 120.3111, {89.7824, 4.9535}, {90.3330, 4.6371}, {97.7708, 6.3228}, zdt2},
    {"zdt3", 6, 2, {11, 11}, 128.77811613069076, 127.5, 128.0693, {106.0960, 6.2714}, {104.2867, 5.2565}, {108.4507, 5.7229}, zdt3},
    {"dtlz2_m2", 6, 2, {1.1, 1.1}, 0.42460183660, 0.37, 0.3737, {0.1268, 0.0388}, {0.1378, 0.0335}, {0.2592, 0.0228}, dtlz2_m2},
    {"dtlz2_m3", 6, 3, {1.1, 1.1, 1.1}, 0.80740122440, 0.54, 0.5477, {0.2640, 0.0504}, {0.2727, 0.0671}, {0.3672, 0.0491}, dtlz2_m3},
    {"vehicle", 5, 3, {1864.72022, 11.81993945, 0.2903999384}, 246.81607081187002, 244, 244.31, {162.2386, 6.4592}, {164.7553, 8.3627},
     {186.9408, 10.4386}, vehicle},
    {"accelerator", 9, 3, {9, 2.5, 2}, 0, 0, 6.0219, {4.7933, 0.2852}, {4.2548, 0.4831}, {3.8094, 0.8194}, accelerator},
};
const size_t dse_problem_count = PL_COUNT(dse_problems);

static const double place10[10] = {0, 1 / 9., 2 / 9., 3 / 9., 4 / 9., 5 / 9., 6 / 9., 7 / 9., 8 / 9., 1};
static const double place8[8] = {0, 1 / 7., 2 / 7., 3 / 7., 4 / 7., 5 / 7., 6 / 7., 1};
static const double place6[6] = {0, .2, .4, .6, .8, 1};
/* Bits, integer or float, expected quality: the encoding of the listed gp run (studies/dse). */
static const double format_place[18] = {0, 0, .5, 1, 0, 1, 0, 1, .4, 0, 1, 0, 1, 1, .9, 1, 1, .6};
static const double fp_place[12] = {1 / 6., 0, 0, .2, 4 / 6., .6, 3 / 6., .8, 2 / 6., 1, 1, .6};
#define REAL {.name = "x", .kind = PL_DSE_REAL, .lo = 0, .hi = 1}
#define POWER(text, n) {.name = text, .kind = PL_DSE_ORDERED, .n_value = n, .value = power_text, .place = place##n}
static const struct pl_dse_space spaces[] = {
    {.n = 2, .p = {REAL, REAL}},
    {.n = 5, .p = {REAL, REAL, REAL, REAL, REAL}},
    {.n = 6, .p = {REAL, REAL, REAL, REAL, REAL, REAL}},
    {.n = 9,
     .p = {POWER("blen", 6),
           POWER("mlen", 10),
           POWER("vlen", 10),
           POWER("m_load", 8),
           POWER("v_load", 8),
           POWER("v_write", 8),
           {.name = "act", .kind = PL_DSE_CATEGORY, .n_value = 6, .value = format_name, .place = format_place, .n_feature = 3},
           {.name = "kv", .kind = PL_DSE_CATEGORY, .n_value = 6, .value = format_name, .place = format_place, .n_feature = 3},
           {.name = "fp", .kind = PL_DSE_CATEGORY, .n_value = 6, .value = fp_name, .place = fp_place, .n_feature = 2}},
     .why_not = accelerator_rule}};

const struct pl_dse_space *dse_problem_space(const struct dse_problem *p)
{
    for (size_t i = 0; i < PL_COUNT(spaces); i++)
        if (spaces[i].n == p->d)
            return &spaces[i];
    return NULL;
}

enum pl_status dse_problem_run(const struct dse_problem *p, enum pl_dse_sampler_kind kind, uint64_t seed, size_t n, size_t batch,
                               double *volume, double *history, struct pl_diag *d)
{
    struct pl_dse_search search = {.space = dse_problem_space(p), .m = p->m, .has_ref = true, .sampler = kind, .seed = seed};
    struct pl_dse_sampler *s;
    struct pl_dse_trial *t = calloc(n, sizeof *t);
    enum pl_status st = PL_OK;
    if (!t)
        return pl_fail(d, PL_ENOMEM, "no memory for %zu trials", n);
    memcpy(search.ref, p->ref, sizeof p->ref);
    search.initial = p->d == 9 ? 12 : 0; /* as the listed runs of the study */
    pl_dse_sampler_new(&search, &s);
    for (size_t i = 0; i < n && st == PL_OK; i++) {
        bool exhausted;
        t[i].number = i;
        st = pl_dse_propose(s, t, i, i, t[i].x, NULL, &exhausted, d);
        t[i].state = PL_DSE_RUNNING;
        p->eval(t[i].x, t[i].y);
        if (i + 1 >= batch) /* the results of the latest batch - 1 trials are still on their way */
            t[i + 1 - batch].state = PL_DSE_COMPLETE;
        if (history)
            history[i] = pl_dse_volume(t, i + 1, p->m, p->ref);
    }
    for (size_t i = 0; i < n; i++)
        t[i].state = PL_DSE_COMPLETE;
    *volume = pl_dse_volume(t, n, p->m, p->ref);
    pl_dse_sampler_free(s);
    free(t);
    return st;
}
