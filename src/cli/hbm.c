/* hbm.c - plena hbm: an address trace through the HBM model. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plena/hbm.h"
#include "plena/report.h"

enum { LINE = 64 };

/* The trace as a source of requests, parsed as the model asks for them. */
struct trace {
    struct pl_source src;
    size_t at;
    uint64_t capacity, lines[2];
    enum pl_status status;
    struct pl_diag *d;
};
struct hbm_job {
    const char *trace, *preset, *inject;
    struct opt_list set;
    bool json;
    struct pl_hbm_params p;
    struct pl_hbm_stats stats;
    struct trace t;
    double mean_cyc;
    uint64_t latency_cyc[4]; /* p50 p95 p99 max */
    struct pl_diag d;
};

static bool refuse(struct trace *t, size_t at, enum pl_status s, const char *what)
{
    t->status = pl_fail_at(t->d, s, &t->src, at, "%s", what);
    return false;
}

static size_t skip_blanks(const struct trace *t, size_t at)
{
    while (at < t->src.len && (t->src.text[at] == ' ' || t->src.text[at] == '\t' || t->src.text[at] == '\r'))
        at++;
    return at;
}

/* "0xADDR", hexadecimal digits from `at`; returns where they end, `at` if there are none. */
static size_t parse_address(const struct trace *t, size_t at, uint64_t *out)
{
    const char *s = t->src.text;
    size_t i = at + 2;
    uint64_t v = 0;
    if (at + 2 >= t->src.len || s[at] != '0' || (s[at + 1] | 32) != 'x')
        return at;
    for (; i < t->src.len && isxdigit((unsigned char)s[i]) && i - at < 18; i++)
        v = v << 4 | (unsigned)(s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
    *out = v;
    return i == at + 2 ? at : i;
}

static bool next_line(void *ctx, struct pl_hbm_request *r)
{
    struct trace *t = ctx;
    const char *s = t->src.text;
    for (;;) { /* to the next line with something on it */
        t->at = skip_blanks(t, t->at);
        if (t->at == t->src.len)
            return false;
        if (s[t->at] == '#')
            while (t->at < t->src.len && s[t->at] != '\n')
                t->at++;
        else if (s[t->at] != '\n')
            break;
        t->at += t->at < t->src.len;
    }
    uint64_t addr = 0;
    size_t at = parse_address(t, t->at, &addr);
    if (at == t->at)
        return refuse(t, at, PL_EPARSE, "expected an address like 0x1f40, then R or W");
    if (addr >= t->capacity)
        return refuse(t, t->at, PL_ERANGE, "the address lies outside the memory of this preset");
    at = skip_blanks(t, at);
    bool write = false;
    if (at < t->src.len && (s[at] == 'R' || s[at] == 'W')) {
        write = s[at] == 'W';
        at = skip_blanks(t, at + 1);
    }
    if (at < t->src.len && s[at] != '\n' && s[at] != '#')
        return refuse(t, at, PL_EPARSE, "expected R, W or the end of the line");
    t->at = at;
    t->lines[write]++;
    *r = (struct pl_hbm_request){.addr = addr / LINE * LINE, .bytes = LINE, .write = write};
    return true;
}

static enum pl_status resolve(struct hbm_job *j)
{
    PL_TRY(pl_hbm_preset(j->preset, &j->p, &j->d));
    if (j->inject) {
        char text[64];
        snprintf(text, sizeof text, "inject=%.50s", j->inject);
        PL_TRY(pl_hbm_set(&j->p, text, &j->d));
    }
    for (size_t i = 0; i < j->set.n; i++)
        PL_TRY(pl_hbm_set(&j->p, j->set.v[i], &j->d));
    return pl_hbm_check_params(&j->p, &j->d);
}

static enum pl_status simulate(struct hbm_job *j)
{
    static const double share[] = {0.50, 0.95, 0.99, 1.0};
    struct pl_hbm *h;
    struct pl_map m;
    PL_TRY(pl_file_map(j->trace, &m, &j->d));
    enum pl_status s = pl_hbm_new(&j->p, NULL, &h, &j->d);
    if (s == PL_OK) {
        j->t = (struct trace){.src = {j->trace, (const char *)m.data, m.len}, .capacity = pl_hbm_capacity(&j->p), .d = &j->d};
        const struct pl_hbm_source src = {next_line, NULL, &j->t};
        s = pl_hbm_run(h, &src, &j->d);
        if (j->t.status != PL_OK)
            s = j->t.status;
        pl_hbm_get_stats(h, &j->stats);
        j->mean_cyc = pl_hbm_latency_mean(h);
        for (size_t i = 0; i < PL_COUNT(share); i++)
            j->latency_cyc[i] = pl_hbm_latency(h, share[i]);
        pl_hbm_free(h);
    }
    pl_file_unmap(&m);
    return s;
}

static double ns_of(const struct hbm_job *j, double cyc)
{
    return cyc * j->p.clock_ps * 1e-3;
}

/* Bytes the trace asked for, over the time until the last of them. */
static double achieved(const struct hbm_job *j)
{
    const double ns = ns_of(j, (double)j->stats.end_cyc);
    return ns > 0 ? (double)(j->t.lines[0] + j->t.lines[1]) * LINE / ns : 0;
}

static void print_text(const struct hbm_job *j)
{
    const struct pl_hbm_stats *s = &j->stats;
    const double peak = pl_hbm_peak_gbs(&j->p);
    char b[6][32], why[96];
    printf("%s: %s lines of %d bytes read, %s written; preset %s, clock %.6g ps, %u-byte accesses\n", j->trace,
           pl_group_digits(j->t.lines[0], b[0]), LINE, pl_group_digits(j->t.lines[1], b[1]), j->p.name, j->p.clock_ps,
           pl_hbm_access_bytes(&j->p));
    printf("  time       %s cycles = %.1f ns\n", pl_group_digits(s->end_cyc, b[0]), ns_of(j, (double)s->end_cyc));
    printf("  bandwidth  %.1f of %.1f GB/s peak, %.1f %%\n", achieved(j), peak, 100 * achieved(j) / peak);
    printf("  latency    mean %.2f, p50 %.1f, p95 %.1f, p99 %.1f, max %.1f ns\n", ns_of(j, j->mean_cyc),
           ns_of(j, (double)j->latency_cyc[0]), ns_of(j, (double)j->latency_cyc[1]), ns_of(j, (double)j->latency_cyc[2]),
           ns_of(j, (double)j->latency_cyc[3]));
    printf("  rows       %s hits, %s misses, %s conflicts; %s activates, %s precharges, %s refreshes\n",
           pl_group_digits(s->hit, b[0]), pl_group_digits(s->miss, b[1]), pl_group_digits(s->conflict, b[2]),
           pl_group_digits(s->activates, b[3]), pl_group_digits(s->precharges, b[4]), pl_group_digits(s->refreshes, b[5]));
    printf("  data pins  %.1f %% busy", s->span_cyc ? 100.0 * (double)s->busy_cyc / (double)s->span_cyc : 0);
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        if (s->lost_cyc[l])
            printf(", %s %.1f %%", pl_hbm_loss_name((enum pl_hbm_loss)l), 100.0 * (double)s->lost_cyc[l] / (double)s->span_cyc);
    printf("\n  binding    %s\n", pl_hbm_binding(&j->p, s, why));
}

static void print_json(const struct hbm_job *j)
{
    const struct pl_hbm_stats *s = &j->stats;
    char why[96];
    json_t *o = cli_result("plena.hbm/1", NULL), *hbm = json_pack("{s:s}", "name", j->p.name), *lost = json_object();
    pl_hbm_each(&j->p, cli_put_param, hbm);
    json_object_set_new(o, "hbm", hbm);
    json_object_set_new(o, "trace", cli_text_json(j->trace, strlen(j->trace)));
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        json_object_set_new(lost, pl_hbm_loss_name((enum pl_hbm_loss)l), json_integer((json_int_t)s->lost_cyc[l]));
    json_t *r = json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s}",
        "lines_read", (json_int_t)j->t.lines[0], "lines_written", (json_int_t)j->t.lines[1], "cycles", (json_int_t)s->end_cyc,
        "ns", ns_of(j, (double)s->end_cyc), "achieved_gbs", achieved(j), "peak_gbs", pl_hbm_peak_gbs(&j->p), "latency_ns",
        "mean", ns_of(j, j->mean_cyc), "p50", ns_of(j, (double)j->latency_cyc[0]), "p95", ns_of(j, (double)j->latency_cyc[1]),
        "p99", ns_of(j, (double)j->latency_cyc[2]), "max", ns_of(j, (double)j->latency_cyc[3]), "row_hits", (json_int_t)s->hit,
        "row_misses", (json_int_t)s->miss, "row_conflicts", (json_int_t)s->conflict, "activates", (json_int_t)s->activates,
        "precharges", (json_int_t)s->precharges, "refreshes", (json_int_t)s->refreshes, "forwarded", (json_int_t)s->forwarded,
        "busy_pin_cycles", (json_int_t)s->busy_cyc, "blocked_cycles", (json_int_t)s->blocked_cyc, "lost_pin_cycles", lost,
        "binding", pl_hbm_binding(&j->p, s, why));
    json_object_set_new(o, "result", r);
    cli_print_json(o);
}

static void list(void)
{
    for (size_t i = 0; pl_hbm_preset_name(i); i++)
        printf("%-18s %s\n", pl_hbm_preset_name(i), pl_hbm_preset_doc(i));
}

int cmd_hbm(const struct verb *v, int argc, char **argv)
{
    struct hbm_job j = {.preset = "hbm2"};
    bool ls = false, params = false;
    const struct opt o[] = {
        {"list", OPT_FLAG, &ls, NULL, "name the presets"},
        {"parameters", OPT_FLAG, &params, NULL, "explain the parameters"},
        {"preset", OPT_TEXT, &j.preset, "P", "parameter set (default hbm2)"},
        {"inject", OPT_TEXT, &j.inject, "LINES_PER_NS", "lines handed out per ns, in order; 0 = as the queues take them"},
        {"set", OPT_LIST, &j.set, "KEY=VALUE", "one HBM parameter; repeatable; clocks also as 14ns"},
        {"json", OPT_FLAG, &j.json, NULL, "result as one JSON object on stdout"},
    };
    size_t n_pos;
    const int rc = cli_options(v, argc, argv, o, PL_COUNT(o), &j.trace, 1, &n_pos);
    if (rc >= 0)
        return rc;
    if (ls) {
        list();
        return 0;
    }
    if (params) {
        struct pl_buf b;
        pl_buf_init(&b);
        pl_hbm_help(&b);
        fputs(b.data, stdout);
        pl_buf_fini(&b);
        return 0;
    }
    if (!n_pos)
        return cli_usage(v, "TRACE is missing");
    enum pl_status s = resolve(&j);
    if (s == PL_OK)
        s = simulate(&j);
    if (s != PL_OK)
        return cli_fail(s, &j.d);
    if (j.json)
        print_json(&j);
    else
        print_text(&j);
    return 0;
}
