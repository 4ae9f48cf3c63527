/* reproduce_figures.c - figures of the paper; where their values are only in the image, ours stand alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "reproduce.h"

static const char *const unreadable = "values are only in the image";
static const double contexts[] = {2000, 8000, 32000, 64000, 98000, 128000};

enum pl_status repro_fig_1b(struct repro *r)
{
    struct pl_model_config m;
    pl_perf_known("llama-3.3-70b", &m);
    static const char *const systems[] = {"a100", "h100", "tpu-v6e"};
    for (size_t k = 0; k < PL_COUNT(systems); k++) {
        struct pl_system s;
        PL_TRY(pl_system_load(systems[k], &s, r->d));
        for (size_t i = 0; i < PL_COUNT(contexts); i++) {
            struct pl_serve v;
            const struct pl_serve_job one = {1, contexts[i], 1};
            PL_TRY(pl_serve(&s, &m, &one, PL_SERVE_PLAIN, &v, r->d));
            const double batch = fmax(1, v.largest_batch);
            const struct pl_serve_job job = {batch, contexts[i], 1};
            PL_TRY(pl_serve(&s, &m, &job, PL_SERVE_PLAIN, &v, r->d));
            const double flops = 2 * batch * (pl_perf_active_params(&m) + pl_perf_attention_macs(&m, contexts[i]));
            repro_add(r, s.title, pl_arena_printf(r->a, "%.0f tokens, batch %.0f", contexts[i], batch), "% of peak", 2,
                      100 * flops / v.step_s / (s.devices * s.peak_tflops * 1e12), (double)NAN, unreadable);
        }
    }
    return PL_OK;
}

enum pl_status repro_fig_1c(struct repro *r)
{
    static const struct {
        double tokens, published;
    } at[] = {{2000, NAN}, {8000, NAN}, {32000, NAN}, {64000, NAN}, {128000, 39}};
    struct pl_model_config m;
    pl_perf_known("llama-3.3-70b", &m);
    for (size_t i = 0; i < PL_COUNT(at); i++)
        repro_add(r, "16-bit KV cache", pl_arena_printf(r->a, "%.0f tokens", at[i].tokens), "GiB", 2,
                  2 * pl_perf_kv_elements(&m, 0, m.n_layers, at[i].tokens) / GIB, at[i].published,
                  isfinite(at[i].published) ? "printed without digits behind the point" : unreadable);
    return PL_OK;
}

/* A decode step of the 70B on one device of 144 GB: share of the multipliers' peak that is used. */
enum pl_status repro_fig_2(struct repro *r)
{
    static const struct {
        const char *name;
        double rows, cols;
        bool packed;
    } array[] = {{"64 x 64", 64, 64, false}, {"8 x 512", 8, 512, true}};
    const struct pl_perf_split one = {1, 1, 1, 1, 1};
    const struct pl_perf_store b = {4.5, 4.5, 4.5, 16, 16};
    struct pl_model_config m;
    pl_perf_known("llama-3.3-70b", &m);
    for (size_t k = 0; k < PL_COUNT(array); k++)
        for (size_t i = 0; i < PL_COUNT(contexts); i++) {
            uint64_t batch = 0;
            struct pl_perf_traffic t;
            PL_TRY(pl_perf_largest_batch(&m, &b, &one, 144e9, contexts[i], &batch, r->d));
            pl_perf_decode_traffic(&m, &b, &one, (double)batch, contexts[i], &t);
            const double n = (double)batch, rows = array[k].rows, peak = rows * array[k].cols * 1e9;
            const double heads = array[k].packed ? (double)m.n_heads / m.n_kv_heads : 1;
            const double linear = n * pl_perf_active_params(&m), attention = n * pl_perf_attention_macs(&m, contexts[i]);
            const double slots = linear / (n / (ceil(n / rows) * rows)) + attention / (heads / (ceil(heads / rows) * rows));
            const double seconds = fmax(t.total / 512e9, slots / peak);
            repro_add(r, array[k].name, pl_arena_printf(r->a, "%.0f tokens, batch %.0f", contexts[i], n), "% of peak", 2,
                      100 * (linear + attention) / seconds / peak, (double)NAN, unreadable);
        }
    pl_buf_puts(&r->note, "\nFlattened rows hold the query heads of a kv head in attention; the square array has one row of them.\n");
    return PL_OK;
}

enum pl_status repro_fig_12(struct repro *r)
{
    struct pl_model_config m;
    struct pl_system a100, s;
    pl_perf_known("llama-3.3-70b", &m);
    PL_TRY(pl_system_load("a100", &a100, r->d));
    static const char *const systems[] = {"h100", "h200", "mi300x", "tpu-v6e", "plena"};
    for (size_t k = 0; k < PL_COUNT(systems); k++) {
        PL_TRY(pl_system_load(systems[k], &s, r->d));
        for (size_t i = 0; i < PL_COUNT(contexts); i++) {
            const struct pl_serve_job job = {4, contexts[i], 1};
            struct pl_serve base, v;
            PL_TRY(pl_serve(&a100, &m, &job, PL_SERVE_PLAIN, &base, r->d));
            PL_TRY(pl_serve(&s, &m, &job, PL_SERVE_OCCUPIED, &v, r->d));
            repro_add(r, s.title, pl_arena_printf(r->a, "%.0f tokens", contexts[i]), "x A100", 2, v.tps / base.tps, (double)NAN, unreadable);
        }
    }
    return PL_OK;
}

enum pl_status repro_fig_14(struct repro *r)
{
    static const struct {
        uint32_t blen, mlen;
    } shape[] = {{64, 64}, {32, 128}, {16, 256}, {8, 512}, {4, 1024}};
    for (unsigned c = 0; c < 2; c++)
        for (size_t i = 0; i < PL_COUNT(shape); i++) {
            const struct pl_perf_shape s = {shape[i].mlen, shape[i].blen, {0, 0}, {4, 4}, 12};
            struct pl_perf_matrix_area a;
            pl_perf_matrix_area(&s, (enum pl_perf_corner)c, &a);
            const char *what = pl_arena_printf(r->a, "%u x %u", shape[i].blen, shape[i].mlen);
            const bool anchor = c == PL_PERF_PAPER && shape[i].blen == 4;
            repro_add(r, c ? "area, paper corner" : "area, synthesis corner", what, "mm2", 4, a.total / 1e6, anchor ? 0.237 : (double)NAN,
                      anchor ? "by construction (Table XI)" : unreadable);
        }
    pl_buf_puts(&r->note, "\nThe census makes the flattened shapes the smaller ones: square arrays have BLEN^2 output cells. The paper's bars show\n"
                          "them slightly higher; so does our own RTL, whose outputs leave through one row (reference/rtl.md 4.3: +8.6 %).\n");
    return PL_OK;
}
