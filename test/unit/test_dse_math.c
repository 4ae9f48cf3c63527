/* test_dse_math.c - Pareto sets, hypervolume, EHVI, attainment and Gaussian processes against slow twins. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plena/dse_math.h"
#include "test.h"

static void random_points(struct pl_rng *r, double *y, size_t n, size_t m, unsigned grid)
{
    for (size_t i = 0; i < n * m; i++)
        y[i] = grid ? (double)pl_rng_below(r, grid) / grid : pl_rng_double(r);
}

static void near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", a, tolerance, b);
}

static bool dominates(const double *a, const double *b, size_t m)
{
    bool less = false;
    for (size_t k = 0; k < m; k++) {
        if (a[k] > b[k])
            return false;
        less |= a[k] < b[k];
    }
    return less;
}

/* The definition, pair by pair. */
static size_t slow_pareto(const double *y, size_t n, size_t m, size_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        bool keep = true;
        for (size_t j = 0; j < n && keep; j++)
            keep = !dominates(y + j * m, y + i * m, m) && !(j < i && !memcmp(y + j * m, y + i * m, m * sizeof *y));
        if (keep)
            out[found++] = i;
    }
    return found;
}

/* Inclusion and exclusion over all subsets: 2^n terms. */
static double slow_volume(const double *y, size_t n, size_t m, const double *ref)
{
    double v = 0;
    for (unsigned s = 1; s < 1u << n; s++) {
        double box = 1;
        for (size_t k = 0; k < m; k++) {
            double most = -INFINITY;
            for (size_t i = 0; i < n; i++)
                if (s >> i & 1)
                    most = fmax(most, y[i * m + k]);
            box *= fmax(ref[k] - most, 0);
        }
        v += __builtin_popcount(s) & 1 ? box : -box;
    }
    return v;
}

TEST(pareto_sets_equal_the_pairwise_definition)
{
    (void)state;
    struct pl_rng r;
    double y[60 * 5];
    size_t a[60], b[60];
    pl_rng_init(&r, 1);
    for (int round = 0; round < 400; round++) {
        const size_t m = 1 + pl_rng_below(&r, 5), n = 1 + pl_rng_below(&r, 60);
        random_points(&r, y, n, m, round & 1 ? 5 : 0); /* with and without ties */
        const size_t na = pl_pareto(y, n, m, a), nb = slow_pareto(y, n, m, b);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na * sizeof *a);
    }
}

TEST(ranks_peel_off_pareto_sets)
{
    (void)state;
    const double y[] = {0, 2, 1, 1, 2, 0, 1, 2, 2, 2, 2, 2};
    uint32_t rank[6];
    pl_pareto_ranks(y, 6, 2, rank);
    const uint32_t want[] = {0, 0, 0, 1, 2, 2};
    assert_memory_equal(rank, want, sizeof want);
}

TEST(hypervolume_equals_inclusion_and_exclusion)
{
    (void)state;
    struct pl_rng r;
    double y[10 * 5];
    const double ref[] = {0.9, 0.8, 1, 0.95, 1.1};
    pl_rng_init(&r, 2);
    for (int round = 0; round < 600; round++) {
        const size_t m = 1 + pl_rng_below(&r, 5), n = 1 + pl_rng_below(&r, 10);
        random_points(&r, y, n, m, round % 3 ? 0 : 4);
        /* 2^10 terms of at most 1.1^5 with one rounding of 1e-16 each */
        near(pl_hypervolume(y, n, m, ref), slow_volume(y, n, m, ref), 1e-12);
    }
}

TEST(dense_fronts_reach_the_known_volumes)
{
    (void)state;
    double zdt1[2 * 2001], zdt2[2 * 2001];
    const double ref[] = {11, 11};
    for (int i = 0; i <= 2000; i++) {
        const double x = i / 2000.0;
        zdt1[2 * i] = zdt2[2 * i] = x;
        zdt1[2 * i + 1] = 1 - sqrt(x);
        zdt2[2 * i + 1] = 1 - x * x;
    }
    near(pl_hypervolume(zdt1, 2001, 2, ref), 120.66641, 5e-6); /* reference/perf-model.md 10.5, printed so */
    near(pl_hypervolume(zdt2, 2001, 2, ref), 120.33308, 5e-6);
}

TEST(boxes_and_hypervolume_fill_the_reference_box)
{
    (void)state;
    struct pl_rng r;
    double y[30 * 4];
    const double ref[] = {1, 0.9, 1.2, 0.8};
    pl_rng_init(&r, 3);
    for (int round = 0; round < 200; round++) {
        const size_t m = 1 + (size_t)round % 4, n = pl_rng_below(&r, m == 4 ? 10 : 30);
        struct pl_boxes b;
        double sum = 0, whole = 1;
        random_points(&r, y, n, m, round % 5 ? 0 : 4);
        pl_boxes_init(&b, y, n, m, ref);
        for (size_t i = 0; i < b.n; i++) {
            double v = 1;
            for (size_t k = 0; k < m; k++) /* everything lies above 0 */
                v *= fmax(b.hi[i * m + k], 0) - fmax(b.lo[i * m + k], 0);
            sum += v;
        }
        for (size_t k = 0; k < m; k++)
            whole *= ref[k];
        near(sum + pl_hypervolume(y, n, m, ref), whole, 1e-12);
        if (m == 3)
            assert_true(b.n <= 3 * n + 1);
        pl_boxes_fini(&b);
    }
}

TEST(ehvi_equals_monte_carlo)
{
    (void)state;
    struct pl_rng r;
    pl_rng_init(&r, 4);
    for (size_t m = 2; m <= 4; m++) {
        enum { N = 6, DRAWS = 20000 };
        double y[(N + 1) * 4], mu[4], sd[4], sum = 0, sq = 0;
        const double ref[] = {1, 1, 1, 1};
        struct pl_boxes b;
        random_points(&r, y, N, m, 0);
        for (size_t k = 0; k < m; k++) {
            mu[k] = 0.2 + 0.6 * pl_rng_double(&r);
            sd[k] = 0.05 + 0.3 * pl_rng_double(&r);
        }
        pl_boxes_init(&b, y, N, m, ref);
        const double exact = pl_ehvi(&b, mu, sd, NULL, NULL), before = pl_hypervolume(y, N, m, ref);
        for (int i = 0; i < DRAWS; i++) {
            for (size_t k = 0; k < m; k++)
                y[N * m + k] = mu[k] + sd[k] * pl_rng_normal(&r);
            const double gain = pl_hypervolume(y, N + 1, m, ref) - before;
            sum += gain;
            sq += gain * gain;
        }
        const double mean = sum / DRAWS, error = sqrt((sq / DRAWS - mean * mean) / DRAWS);
        assert_true(fabs(exact - mean) < 4 * error);
        pl_boxes_fini(&b);
    }
}

TEST(ehvi_gradient_equals_central_differences)
{
    (void)state;
    struct pl_rng r;
    pl_rng_init(&r, 5);
    for (size_t m = 2; m <= 3; m++) {
        double y[8 * 3], mu[3], sd[3], d_mu[3], d_sd[3];
        const double ref[] = {1, 1, 1}, h = 1e-5;
        struct pl_boxes b;
        random_points(&r, y, 8, m, 0);
        random_points(&r, mu, 1, m, 0);
        for (size_t k = 0; k < m; k++)
            sd[k] = 0.1 + 0.2 * pl_rng_double(&r);
        pl_boxes_init(&b, y, 8, m, ref);
        pl_ehvi(&b, mu, sd, d_mu, d_sd);
        for (size_t k = 0; k < 2 * m; k++) {
            double *v = k < m ? &mu[k] : &sd[k - m], was = *v;
            *v = was + h;
            const double up = pl_ehvi(&b, mu, sd, NULL, NULL);
            *v = was - h;
            const double down = pl_ehvi(&b, mu, sd, NULL, NULL);
            *v = was; /* third derivatives of order 1/sd^3 times h^2/6 */
            near(k < m ? d_mu[k] : d_sd[k - m], (up - down) / (2 * h), 1e-6);
        }
        pl_boxes_fini(&b);
    }
}

TEST(ehvi_grows_with_the_deviation_of_a_dominated_mean)
{
    (void)state;
    const double y[] = {0.2, 0.2}, ref[] = {1, 1}, mu[] = {0.5, 0.5};
    struct pl_boxes b;
    double last = 0;
    pl_boxes_init(&b, y, 1, 2, ref);
    for (int i = 1; i < 40; i++) {
        const double sd[] = {0.02 * i, 0.02 * i}, v = pl_ehvi(&b, mu, sd, NULL, NULL);
        assert_true(v > last);
        last = v;
    }
    pl_boxes_fini(&b);
}

TEST(attainment_surfaces_equal_counting)
{
    (void)state;
    struct pl_rng r;
    enum { RUNS = 5, EACH = 7 };
    double y[RUNS * EACH * 2], out[RUNS * EACH * 2];
    size_t first[RUNS + 1];
    pl_rng_init(&r, 6);
    random_points(&r, y, RUNS * EACH, 2, 12);
    for (size_t i = 0; i <= RUNS; i++)
        first[i] = i * EACH;
    for (size_t need = 1; need <= RUNS; need++) {
        const size_t n = pl_attainment(y, first, RUNS, need, out);
        for (unsigned gx = 0; gx < 12; gx++)
            for (unsigned gy = 0; gy < 12; gy++) {
                const double x = gx / 12.0, v = gy / 12.0;
                size_t attained = 0;
                for (size_t run = 0; run < RUNS; run++) {
                    bool any = false;
                    for (size_t i = first[run]; i < first[run + 1]; i++)
                        any |= y[2 * i] <= x && y[2 * i + 1] <= v;
                    attained += any;
                }
                bool above = false;
                for (size_t i = 0; i < n; i++)
                    above |= out[2 * i] <= x && out[2 * i + 1] <= v;
                assert_int_equal(above, attained >= need);
            }
    }
}

static double rosenbrock(void *ctx, const double *x, double *g)
{
    (void)ctx;
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return a * a + 100 * b * b;
}

TEST(minimiser_finds_a_valley_and_respects_bounds)
{
    (void)state;
    const double lo[] = {-2, -2}, wide[] = {2, 2}, narrow[] = {0.5, 2};
    double x[] = {-1.2, 1};
    assert_true(pl_dse_minimise(rosenbrock, NULL, 2, lo, wide, 200, x) < 1e-8);
    near(x[0], 1, 1e-4);
    double z[] = {-1.2, 1}; /* at x0 = 1/2 the best is x1 = 1/4, value 1/4 */
    near(pl_dse_minimise(rosenbrock, NULL, 2, lo, narrow, 200, z), 0.25, 1e-6);
    near(z[1], 0.25, 1e-4);
}

enum { GN = 14, GD = 3, GC = 2 };
struct gp_case {
    double x[GN * GD], y[GN];
    uint32_t cat[GN * GC];
    struct pl_gp_data data;
    struct pl_gp_theta t;
};

static void make_case(struct gp_case *c, uint64_t seed)
{
    struct pl_rng r;
    pl_rng_init(&r, seed);
    random_points(&r, c->x, GN, GD, 0);
    for (size_t i = 0; i < GN; i++) {
        c->cat[2 * i] = (uint32_t)pl_rng_below(&r, 3);
        c->cat[2 * i + 1] = (uint32_t)pl_rng_below(&r, 2);
        c->y[i] = sin(5 * c->x[3 * i]) + c->x[3 * i + 1] * c->x[3 * i + 2] + 0.3 * c->cat[2 * i];
    }
    c->data = (struct pl_gp_data){GN, GD, GC, c->x, c->cat};
    c->t = (struct pl_gp_theta){{-0.5, 0.1, 0.4}, {-1.5, -2}, 0.2, -9};
}

/* Written from the definition, in long double, without LAPACK. */
static long double slow_kernel(const struct gp_case *c, const double *a, const uint32_t *ca, const double *b, const uint32_t *cb)
{
    long double r2 = 0, far = 0;
    for (int q = 0; q < GD; q++) {
        const long double u = ((long double)a[q] - b[q]) / expl(c->t.log_scale[q]);
        r2 += u * u;
    }
    for (int q = 0; q < GC; q++)
        far += ca[q] != cb[q] ? expl(c->t.log_theta[q]) : 0;
    const long double rr = sqrtl(5 * r2);
    return expl(c->t.log_signal) * (1 + rr + rr * rr / 3) * expl(-rr) * expl(-far);
}

/* L of K = L L^T and alpha = K^-1 z; returns sum log L_ii. */
static long double slow_factor(const struct gp_case *c, const double *z, long double *L, long double *alpha)
{
    long double logs = 0;
    for (int i = 0; i < GN; i++)
        for (int j = 0; j <= i; j++) {
            long double v = slow_kernel(c, c->x + i * GD, c->cat + i * GC, c->x + j * GD, c->cat + j * GC);
            if (i == j)
                v += expl(c->t.log_noise) + 1e-9L * expl(c->t.log_signal);
            for (int k = 0; k < j; k++)
                v -= L[i * GN + k] * L[j * GN + k];
            L[i * GN + j] = i == j ? sqrtl(v) : v / L[j * GN + j];
        }
    for (int i = 0; i < GN; i++) {
        alpha[i] = z[i];
        for (int k = 0; k < i; k++)
            alpha[i] -= L[i * GN + k] * alpha[k];
        alpha[i] /= L[i * GN + i];
        logs += logl(L[i * GN + i]);
    }
    for (int i = GN - 1; i >= 0; i--) {
        for (int k = i + 1; k < GN; k++)
            alpha[i] -= L[k * GN + i] * alpha[k];
        alpha[i] /= L[i * GN + i];
    }
    return logs;
}

TEST(gp_objective_equals_long_double)
{
    (void)state;
    struct gp_case c, other;
    long double L[GN * GN], alpha[GN];
    make_case(&c, 7);
    other = c;
    other.t = (struct pl_gp_theta){{0.3, -0.2, 1}, {-1, -0.5}, -0.3, -8};
    other.data.x = other.x;
    other.data.cat = other.cat;
    long double value[2];
    for (int i = 0; i < 2; i++) {
        const struct gp_case *k = i ? &other : &c;
        const double mean = sqrt(2) + 0.5 * log(GD);
        value[i] = slow_factor(k, k->y, L, alpha);
        for (int q = 0; q < GN; q++)
            value[i] += 0.5L * k->y[q] * alpha[q];
        for (int q = 0; q < GD; q++)
            value[i] += 0.5 * pow(k->t.log_scale[q] - mean, 2) / 3;
        for (int q = 0; q < GC; q++)
            value[i] += 0.5 * pow((k->t.log_theta[q] + 5) / 2, 2);
        value[i] += 0.5 * pow(k->t.log_signal / 1.5, 2) + 0.5 * pow(k->t.log_noise + 14, 2);
        near(pl_gp_objective(&k->data, k->y, &k->t, NULL), (double)value[i], 1e-9 * fabs((double)value[i]));
    }
}

TEST(gp_gradients_equal_central_differences)
{
    (void)state;
    struct gp_case c;
    double g[GD + GC + 2];
    const double h = 1e-5;
    make_case(&c, 8);
    (void)pl_gp_objective(&c.data, c.y, &c.t, g);
    for (int q = 0; q < GD + GC + 2; q++) {
        double *v = q < GD ? &c.t.log_scale[q] : q < GD + GC ? &c.t.log_theta[q - GD] : q == GD + GC ? &c.t.log_signal : &c.t.log_noise;
        const double was = *v;
        *v = was + h;
        const double up = pl_gp_objective(&c.data, c.y, &c.t, NULL);
        *v = was - h;
        const double down = pl_gp_objective(&c.data, c.y, &c.t, NULL);
        *v = was;
        near(g[q], (up - down) / (2 * h), 1e-5 * (1 + fabs(g[q])));
    }
}

TEST(gp_posterior_equals_long_double_and_interpolates)
{
    (void)state;
    struct gp_case c;
    struct pl_gp *gp;
    struct pl_diag d;
    long double L[GN * GN], alpha[GN], v[GN];
    double z[GN], mean = 0, var = 0, m, s, dm[GD], ds[GD];
    make_case(&c, 9);
    for (int i = 0; i < GN; i++)
        mean += c.y[i] / GN;
    for (int i = 0; i < GN; i++)
        var += (c.y[i] - mean) * (c.y[i] - mean) / GN;
    for (int i = 0; i < GN; i++)
        z[i] = (c.y[i] - mean) / sqrt(var);
    slow_factor(&c, z, L, alpha);
    assert_int_equal(pl_gp_new(&c.data, c.y, &c.t, &gp, &d), PL_OK);
    double x[GD] = {0.3, 0.6, 0.2};
    const uint32_t cat[GC] = {1, 0};
    long double mu = 0, left = expl(c.t.log_signal);
    for (int i = 0; i < GN; i++) {
        v[i] = slow_kernel(&c, x, cat, c.x + i * GD, c.cat + i * GC);
        mu += v[i] * alpha[i];
        for (int k = 0; k < i; k++)
            v[i] -= L[i * GN + k] * v[k];
        v[i] /= L[i * GN + i];
        left -= v[i] * v[i];
    }
    pl_gp_predict(gp, x, cat, &m, &s, dm, ds);
    near(m, mean + sqrt(var) * (double)mu, 1e-9);
    near(s, sqrt(var) * sqrt((double)left), 1e-9);
    for (int q = 0; q < GD; q++) {
        const double was = x[q], h = 1e-6;
        double mu_up, mu_down, sd_up, sd_down;
        x[q] = was + h;
        pl_gp_predict(gp, x, cat, &mu_up, &sd_up, NULL, NULL);
        x[q] = was - h;
        pl_gp_predict(gp, x, cat, &mu_down, &sd_down, NULL, NULL);
        x[q] = was;
        near(dm[q], (mu_up - mu_down) / (2 * h), 1e-6);
        near(ds[q], (sd_up - sd_down) / (2 * h), 1e-6);
    }
    for (int i = 0; i < GN; i++) { /* noise e^-9 of a standardised variance */
        pl_gp_predict(gp, c.x + i * GD, c.cat + i * GC, &m, &s, NULL, NULL);
        near(m, c.y[i], 0.01);
    }
    /* A believed point leaves the mean and takes the deviation there. */
    double far[GD] = {0.9, 0.1, 0.8}, m2, s2;
    pl_gp_predict(gp, far, cat, &m, &s, NULL, NULL);
    assert_int_equal(pl_gp_believe(gp, x, cat, &d), PL_OK);
    pl_gp_predict(gp, far, cat, &m2, &s2, NULL, NULL);
    near(m2, m, 1e-12);
    assert_true(s2 <= s);
    pl_gp_predict(gp, x, cat, &m2, &s2, NULL, NULL);
    assert_true(s2 < 0.05 * sqrt(var));
    pl_gp_free(gp);
}

TEST(halton_points_fill_and_repeat)
{
    (void)state;
    double a[5], b[5];
    int first_half = 0;
    for (uint64_t i = 0; i < 64; i++) {
        pl_dse_halton(3, i, 5, a);
        pl_dse_halton(3, i, 5, b);
        assert_memory_equal(a, b, sizeof a);
        for (int k = 0; k < 5; k++)
            assert_true(a[k] >= 0 && a[k] < 1);
        first_half += a[0] < 0.5;
    }
    assert_int_equal(first_half, 32); /* base 2: exactly half of any 2^k */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pareto_sets_equal_the_pairwise_definition),
        cmocka_unit_test(ranks_peel_off_pareto_sets),
        cmocka_unit_test(hypervolume_equals_inclusion_and_exclusion),
        cmocka_unit_test(dense_fronts_reach_the_known_volumes),
        cmocka_unit_test(boxes_and_hypervolume_fill_the_reference_box),
        cmocka_unit_test(ehvi_equals_monte_carlo),
        cmocka_unit_test(ehvi_gradient_equals_central_differences),
        cmocka_unit_test(ehvi_grows_with_the_deviation_of_a_dominated_mean),
        cmocka_unit_test(attainment_surfaces_equal_counting),
        cmocka_unit_test(minimiser_finds_a_valley_and_respects_bounds),
        cmocka_unit_test(gp_objective_equals_long_double),
        cmocka_unit_test(gp_gradients_equal_central_differences),
        cmocka_unit_test(gp_posterior_equals_long_double_and_interpolates),
        cmocka_unit_test(halton_points_fill_and_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
