/* perf.c - plena perf: what a machine and a model need, in closed form: memory, traffic, links, area, power. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

enum pl_status perf_model(struct job *j, const char *model, struct pl_model_config *out)
{
    if (model && pl_perf_known(model, out))
        return PL_OK;
    PL_TRY(job_config(j, model));
    *out = j->ck->config;
    return PL_OK;
}

static void constants_table(struct pl_buf *out)
{
    struct pl_perf_constant c;
    struct pl_arena a;
    struct pl_table t;
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<constant|synthesis|paper|<unit|<source|<meaning");
    for (size_t i = 0; pl_perf_constant(i, &c); i++)
        pl_table_row(&t, "%s|%.6g|%.6g|%s|%s|%s", c.name, c.value[0], c.value[1], c.unit, c.source, c.doc);
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
}

static void fit_table(struct pl_buf *out)
{
    struct pl_perf_fit f;
    struct pl_arena a;
    struct pl_table t;
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<block|points|constants|largest error|left out: mean|largest");
    for (unsigned i = 0; pl_perf_fit(i, &f); i++)
        pl_table_row(&t, "%s|%u|%u|%.2f %%|%.2f %%|%.2f %%", f.group, f.n, f.n_term, 100 * f.fit_max, 100 * f.left_out_mean,
                     100 * f.left_out_max);
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
}

static void memory_table(const struct perf_cmd *c, const struct pl_perf_footprint *f, struct pl_buf *out)
{
    double count[PL_PERF_CLASSES];
    struct pl_arena a;
    struct pl_table t;
    const struct pl_model_config *m = &c->model;
    pl_arena_init(&a);
    pl_perf_params(m, 0, m->n_layers, count);
    if (m->tied)
        count[PL_PERF_HEAD] = 0;
    pl_table_init(&t, &a, "<tensors|parameters|bytes of the fullest device|GiB");
    for (unsigned k = 0; k < PL_PERF_CLASSES; k++)
        if (count[k] > 0)
            pl_table_row(&t, "%s|%.0f|%.0f|%.3f", pl_perf_class_name(k), count[k], f->weight[k], f->weight[k] / GIB);
    pl_table_row(&t, "KV cache, %.0f x %.0f tokens||%.0f|%.3f", c->batch, c->tokens, f->kv, f->kv / GIB);
    pl_table_row(&t, "sum||%.0f|%.3f", f->total, f->total / GIB);
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
}

static void traffic_table(const struct perf_cmd *c, struct pl_buf *out)
{
    struct pl_perf_traffic d, p;
    struct pl_arena a;
    struct pl_table t;
    const struct pl_model_config *m = &c->model;
    const double prompt = (double)c->prompt, bandwidth = c->j.arch.hbm_bandwidth * c->j.arch.clock_hz;
    pl_perf_decode_traffic(m, &c->store, &c->split, c->batch, prompt, &d);
    pl_perf_prefill_traffic(m, &c->store, &c->split, c->batch, prompt, (double)c->chunk, &p);
    const double links[2] = {pl_perf_comm_s(m, &c->split, &c->link, c->batch, 16, 0),
                             pl_perf_comm_s(m, &c->split, &c->link, c->batch * prompt, 16, c->batch * prompt)};
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<pass, of a device|weights MB|KV read MB|KV written MB|ms at full bandwidth|links ms");
    pl_table_row(&t, "decode step at %.0f tokens|%.3f|%.3f|%.3f|%.4f|%.4f", prompt, d.weights / 1e6, d.kv_read / 1e6, d.kv_write / 1e6,
                 1e3 * d.total / bandwidth, 1e3 * links[0]);
    pl_table_row(&t, "prefill of %.0f tokens, chunks of %llu|%.3f|%.3f|%.3f|%.4f|%.4f", prompt, (unsigned long long)c->chunk,
                 p.weights / 1e6, p.kv_read / 1e6, p.kv_write / 1e6, 1e3 * p.total / bandwidth, 1e3 * links[1]);
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
}

static void area_table(const struct perf_cmd *c, struct pl_buf *out)
{
    struct pl_perf_area s;
    struct pl_perf_events e;
    struct pl_perf_energy p;
    struct pl_arena a;
    struct pl_table t;
    pl_perf_area(&c->j.arch, c->corner, &s);
    pl_perf_full_activity(&c->j.arch, &e);
    pl_perf_energy(&c->j.arch, c->corner, &e, c->j.arch.clock_hz, &p);
    const struct {
        const char *name;
        double um2;
    } row[] = {{"array: PEs", s.matrix.pe},       {"array: operand feed", s.matrix.feed},  {"array: adder trees", s.matrix.tree},
               {"array: outputs", s.matrix.out},  {"array: edge", s.matrix.edge},          {"vector unit", s.vector},
               {"scalar unit", s.scalar},         {"HBM interface, no PHY", s.hbm_interface}, {"top", s.top},
               {"Matrix SRAM", s.matrix_sram},    {"Vector SRAM", s.vector_sram},          {"FP, INT, code SRAM", s.small_sram}};
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<area|mm2|share");
    for (size_t i = 0; i < PL_COUNT(row); i++)
        pl_table_row(&t, "%s|%.4f|%.1f %%", row[i].name, row[i].um2 / 1e6, 100 * row[i].um2 / s.total);
    pl_table_row(&t, "device|%.4f|100.0 %%", s.total / 1e6);
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    pl_buf_printf(out,
                  "\npower with every multiplier and all HBM bandwidth busy: %.2f W\n"
                  "  array %.2f, SRAM %.2f, vector and scalar %.2f, front end %.2f, leakage %.2f, HBM %.2f; %.4f pJ a product\n",
                  p.watts, p.array, p.matrix_sram + p.vector_sram, p.vector + p.scalar, p.front_end, p.leakage, p.hbm, p.mac_pj);
}

/* What waiting costs: cycles of a decode step and of the last prefill pass by operator, then the request. */
static enum pl_status time_table(struct perf_cmd *c, struct pl_buf *out)
{
    struct pl_perf_pass step, pass;
    struct pl_perf_time time;
    struct pl_arena a;
    struct pl_table t;
    char b1[32], b2[32];
    const struct pl_arch *arch = &c->j.arch;
    const struct pl_perf_job job = {c->prompt, c->output ? c->output : 1, c->batch_asked, (uint32_t)c->chunk};
    PL_TRY(pl_perf_batch_pass(arch, &c->model, (uint32_t)c->batch, &step, &c->j.d));
    PL_TRY(pl_perf_pass(arch, &c->model, 1u << pl_log2(c->chunk), &pass, &c->j.d));
    PL_TRY(pl_perf_eval(arch, &c->model, &job, &time, &c->j.d));
    const struct pl_perf_tiles one = pl_perf_tiles(&step, c->prompt), before = {c->batch * one.all, c->batch * one.window};
    const struct pl_perf_tiles tiles = pl_perf_tiles(&pass, c->prompt - 1);
    const double total = step.fixed_cyc + before.all * step.tile_cyc + before.window * step.window_cyc, last = pl_perf_pass_cycles(&pass, c->prompt - 1);
    pl_arena_init(&a);
    pl_table_init(&t, &a, "<operator, whole model on one device|decode cycles|share|prefill cycles|share");
    for (unsigned op = 0; op < PL_PERF_OPS; op++) {
        const double d = pl_perf_op_cycles(&step, (enum pl_perf_op)op, before), p = pl_perf_op_cycles(&pass, (enum pl_perf_op)op, tiles);
        if (d > 0 || p > 0)
            pl_table_row(&t, "%s|%s|%.1f %%|%s|%.1f %%", pl_perf_op_name((enum pl_perf_op)op), pl_group_digits((uint64_t)d, b1), 100 * d / total,
                         pl_group_digits((uint64_t)p, b2), 100 * p / last);
    }
    pl_table_row(&t, "total|%s|100.0 %%|%s|100.0 %%", pl_group_digits((uint64_t)total, b1), pl_group_digits((uint64_t)last, b2));
    pl_table_text(&t, out);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    pl_buf_printf(out,
                  "\ndecode: the step behind %llu tokens; prefill: the pass of %u tokens that ends there\n"
                  "TTFT of one %.4f s; batch %.0f: mean step %.4f ms, %.1f tokens/s; HBM %.1f %% of its peak in decode\n",
                  (unsigned long long)c->prompt, pass.rows, time.ttft_s, c->batch, time.step_s * 1e3, time.tps, 100 * time.hbm_share);
    return PL_OK;
}

static enum pl_status time_json(struct perf_cmd *c, json_t *o)
{
    struct pl_perf_time t;
    struct pl_perf_pass step;
    const struct pl_perf_job job = {c->prompt, c->output ? c->output : 1, c->batch_asked, (uint32_t)c->chunk};
    PL_TRY(pl_perf_eval(&c->j.arch, &c->model, &job, &t, &c->j.d));
    PL_TRY(pl_perf_batch_pass(&c->j.arch, &c->model, (uint32_t)c->batch, &step, &c->j.d));
    json_t *ops = json_object();
    const struct pl_perf_tiles one = pl_perf_tiles(&step, c->prompt), all = {c->batch * one.all, c->batch * one.window};
    for (unsigned op = 0; op < PL_PERF_OPS; op++)
        json_object_set_new(ops, pl_perf_op_name((enum pl_perf_op)op),
                            json_real(pl_perf_op_cycles(&step, (enum pl_perf_op)op, all)));
    json_object_set_new(o, "time", json_pack("{s:f, s:f, s:f, s:f, s:f, s:o}", "ttft_s", t.ttft_s, "step_s", t.step_s, "tps", t.tps,
                                             "hbm_bytes", t.hbm_bytes, "hbm_share", t.hbm_share, "decode_step_cycles", ops));
    return PL_OK;
}

static json_t *area_json(const struct perf_cmd *c)
{
    struct pl_perf_area s;
    pl_perf_area(&c->j.arch, c->corner, &s);
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "pe", s.matrix.pe, "feed", s.matrix.feed, "tree",
                     s.matrix.tree, "outputs", s.matrix.out, "edge", s.matrix.edge, "vector", s.vector, "scalar", s.scalar,
                     "hbm_interface", s.hbm_interface, "top", s.top, "matrix_sram", s.matrix_sram, "vector_sram", s.vector_sram,
                     "small_sram", s.small_sram, "total", s.total);
}

static json_t *traffic_json(const struct pl_perf_traffic *t)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "weights", t->weights, "kv_read", t->kv_read, "kv_write", t->kv_write, "total", t->total);
}

static json_t *memory_json(const struct perf_cmd *c, const struct pl_perf_footprint *f, uint64_t largest)
{
    struct pl_perf_traffic d, p;
    const struct pl_model_config *m = &c->model;
    json_t *w = json_object();
    for (unsigned k = 0; k < PL_PERF_CLASSES; k++)
        json_object_set_new(w, pl_perf_class_name(k), json_real(f->weight[k]));
    pl_perf_decode_traffic(m, &c->store, &c->split, c->batch, (double)c->prompt, &d);
    pl_perf_prefill_traffic(m, &c->store, &c->split, c->batch, (double)c->prompt, (double)c->chunk, &p);
    return json_pack("{s:o, s:f, s:f, s:f, s:I, s:I, s:o, s:o}", "weights", w, "weights_bytes", f->weights, "kv_bytes", f->kv,
                     "total_bytes", f->total, "stage", (json_int_t)f->stage, "largest_batch", (json_int_t)largest, "decode_traffic",
                     traffic_json(&d), "prefill_traffic", traffic_json(&p));
}

/* Refused when a shard does not fit. */
static enum pl_status memory(struct perf_cmd *c, json_t *o, struct pl_buf *out)
{
    const struct pl_model_config *m = &c->model;
    const double capacity = (double)c->j.arch.hbm_bytes;
    struct pl_perf_footprint f;
    uint64_t largest;
    PL_TRY(pl_perf_split_check(m, &c->split, &c->j.d));
    PL_TRY(pl_perf_largest_batch(m, &c->store, &c->split, capacity, c->tokens, &largest, &c->j.d));
    PL_TRY(pl_perf_check_fit(m, &c->store, &c->split, capacity, c->batch, c->tokens, &c->j.d));
    pl_perf_footprint(m, &c->store, &c->split, c->batch, c->tokens, &f);
    if (o) {
        json_object_set_new(o, "memory", memory_json(c, &f, largest));
        return PL_OK;
    }
    memory_table(c, &f, out);
    pl_buf_printf(out, "%u device%s of %.2f GB; largest batch that fits: %llu\n\n", pl_perf_devices(&c->split),
                  pl_perf_devices(&c->split) == 1 ? "" : "s", capacity / 1e9, (unsigned long long)largest);
    traffic_table(c, out);
    return PL_OK;
}

static enum pl_status report(struct perf_cmd *c, const char *model)
{
    json_t *o = c->j.json ? cli_result("plena.perf/1", &c->j.arch) : NULL;
    struct pl_buf b;
    pl_buf_init(&b);
    enum pl_status s = PL_OK;
    if (c->constants)
        constants_table(&b);
    else if (c->fit)
        fit_table(&b);
    else if (c->area)
        o ? (void)json_object_set_new(o, "area_um2", area_json(c)) : area_table(c, &b);
    else if ((s = perf_model(&c->j, model, &c->model)) == PL_OK) {
        c->store = pl_perf_store_of(&c->j.arch, !c->no_scales);
        if (!c->time)
            s = memory(c, o, &b);
        else
            s = o ? time_json(c, o) : time_table(c, &b);
    }
    if (s == PL_OK && o)
        cli_print_json(json_incref(o));
    else if (s == PL_OK)
        fputs(b.data, stdout);
    json_decref(o);
    pl_buf_fini(&b);
    return s;
}

static enum pl_status resolve(struct perf_cmd *c)
{
    PL_TRY(job_machine(&c->j));
    PL_TRY(pl_perf_corner_parse(c->corner_name, &c->corner, &c->j.d));
    const uint64_t degree[] = {c->degree[0], c->degree[1], c->degree[2], c->degree[3], c->degree[4]};
    uint32_t *const out[] = {&c->split.dp, &c->split.pp, &c->split.tp, &c->split.sp, &c->split.ep};
    for (size_t i = 0; i < PL_COUNT(out); i++) {
        if (degree[i] > 65536)
            return pl_fail(&c->j.d, PL_EUSAGE, "a degree of %llu devices", (unsigned long long)degree[i]);
        *out[i] = (uint32_t)degree[i];
    }
    if (strcmp(c->link_kind, "ring") != 0 && strcmp(c->link_kind, "switch") != 0)
        return pl_fail(&c->j.d, PL_EUSAGE, "--link %s: expected ring or switch", c->link_kind);
    c->link = (struct pl_link){*c->link_kind == 'r' ? PL_LINK_RING : PL_LINK_SWITCH, (double)c->link_gbs * 1e9, (double)c->link_ns * 1e-9};
    c->batch = (double)c->batch_asked;
    c->tokens = (double)(c->prompt + c->output);
    if (!c->batch_asked || !c->prompt || !c->chunk || !c->link_gbs)
        return pl_fail(&c->j.d, PL_EUSAGE, "--batch, --prompt, --chunk and --link-gbs must not be 0");
    return PL_OK;
}

int cmd_perf(const struct verb *v, int argc, char **argv)
{
    struct perf_cmd c = {.batch_asked = 1, .prompt = 1024, .output = 256, .chunk = 64, .degree = {1, 1, 1, 1, 1}, .link_kind = "ring",
                         .link_gbs = 448, .link_ns = 1000, .corner_name = "synthesis"};
    job_init(&c.j);
    const struct opt o[] = {
        {"batch", OPT_U64, &c.batch_asked, "N", "sequences over all devices (default 1)"},
        {"prompt", OPT_U64, &c.prompt, "N", "tokens of each before the first answer (default 1024)"},
        {"output", OPT_U64, &c.output, "N", "tokens of each answer (default 256)"},
        {"chunk", OPT_U64, &c.chunk, "N", "tokens of a prefill pass (default 64)"},
        {"dp", OPT_U64, &c.degree[0], "N", "whole copies, each with a part of the batch"},
        {"pp", OPT_U64, &c.degree[1], "N", "stages of consecutive layers"},
        {"tp", OPT_U64, &c.degree[2], "N", "parts of heads and ffn columns"},
        {"sp", OPT_U64, &c.degree[3], "N", "parts of each sequence's KV cache"},
        {"ep", OPT_U64, &c.degree[4], "N", "parts of the experts"},
        {"link", OPT_TEXT, &c.link_kind, "ring|switch", "how devices are joined (default ring)"},
        {"link-gbs", OPT_U64, &c.link_gbs, "N", "GB/s of a device's link, one way (default 448)"},
        {"link-ns", OPT_U64, &c.link_ns, "N", "latency of a hop (default 1000)"},
        {"no-scales", OPT_FLAG, &c.no_scales, NULL, "the paper's convention: scales of MX blocks cost nothing"},
        {"time", OPT_FLAG, &c.time, NULL, "cycles by operator on one device, whatever its HBM holds"},
        {"area", OPT_FLAG, &c.area, NULL, "area and full-activity power of the machine"},
        {"corner", OPT_TEXT, &c.corner_name, "NAME", "synthesis (default) or paper: cost constants"},
        {"constants", OPT_FLAG, &c.constants, NULL, "every cost constant with its source"},
        {"fit", OPT_FLAG, &c.fit, NULL, "errors of the area census at points left out"},
        JOB_FORMAT_OPTS(&c.j),
        JOB_MACHINE_OPTS(&c.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0) {
        enum pl_status s = resolve(&c);
        if (s == PL_OK && !job_printed_config(&c.j))
            s = report(&c, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &c.j.d);
    }
    job_fini(&c.j);
    return rc;
}
