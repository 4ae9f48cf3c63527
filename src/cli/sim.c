/* sim.c - plena sim: run a program image or an assembly text from one entry point. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/isa.h"
#include "program.h"
#include "report.h"

struct simulate {
    struct job j;
    const char *entry, *stats, *title;
    struct opt_list param;
    uint64_t max_insns;
    bool registers, own_machine, timing_only, functional_only, no_fast_forward;
    struct program p;
    struct pl_image hand;
    struct report_opts report;
};

/* The machine an image was compiled for, unless the user names one. */
static enum pl_status image_machine(struct simulate *c, const struct pl_image *img)
{
    if (!c->own_machine && img->machine[0]) {
        const struct pl_source src = {"machine of the image", img->machine, strlen(img->machine)};
        PL_TRY(pl_arch_parse(&src, &c->j.arch, &c->j.d));
        for (size_t i = 0; i < c->j.set.n; i++)
            PL_TRY(pl_arch_set(&c->j.arch, c->j.set.v[i], &c->j.d));
        return pl_arch_check(&c->j.arch, &c->j.d);
    }
    return PL_OK;
}

/* "name=value" or "name=v0,v1,..." for consecutive words; name: a parameter of the image or an INT SRAM word. */
static enum pl_status set_param(struct simulate *c, const struct pl_image *img, struct pl_sim *sim, const char *text)
{
    char name[64], *end;
    uint64_t at;
    const char *eq = strchr(text, '=');
    if (!eq || (size_t)(eq - text) >= sizeof name)
        return pl_fail(&c->j.d, PL_EUSAGE, "--param %s: expected name=value", text);
    snprintf(name, sizeof name, "%.*s", (int)(eq - text), text);
    at = strtoull(name, &end, 0);
    if (end == name || *end)
        PL_TRY(pl_image_find(img->param, img->n_param, name, &at, &c->j.d));
    for (const char *p = eq + 1;; p = end + 1) {
        errno = 0;
        const unsigned long long v = strtoull(p, &end, 0);
        if (end == p || errno || v > UINT32_MAX || (*end && *end != ','))
            return pl_fail(&c->j.d, PL_EUSAGE, "--param %s: expected 32-bit values after \"=\"", text);
        PL_TRY(pl_sim_set_int(sim, at++, (uint32_t)v, &c->j.d));
        if (!*end)
            return PL_OK;
    }
}

static enum pl_status entry_pc(struct simulate *c, const struct pl_image *img, uint32_t *pc)
{
    uint64_t at = 0;
    char *end;
    if (!c->entry) {
        at = img->n_entry && c->p.kind == PROGRAM_IMAGE ? img->entry[0].value : 0;
    } else {
        at = strtoull(c->entry, &end, 0);
        if (end == c->entry || *end)
            PL_TRY(pl_image_find(img->entry, img->n_entry, c->entry, &at, &c->j.d));
    }
    if (at >= img->n_code)
        return pl_fail(&c->j.d, PL_ERANGE, "--entry: pc %llu; the program has %zu words", (unsigned long long)at, img->n_code);
    *pc = (uint32_t)at;
    return PL_OK;
}

static void print_registers(const struct pl_sim *sim)
{
    for (unsigned r = 0; r < 16; r++)
        if (pl_sim_gp(sim, r))
            printf("gp%u = %u (0x%08X)\n", r, pl_sim_gp(sim, r), pl_sim_gp(sim, r));
    for (unsigned r = 0; r < 8; r++)
        if (pl_sim_fp(sim, r) != 0)
            printf("f%u = %.9g\n", r, (double)pl_sim_fp(sim, r));
}

static enum pl_status report(struct simulate *c, const struct pl_image *img, const struct pl_sim *sim, enum pl_sim_stop stop)
{
    const struct pl_sim_stats *s = pl_sim_stats(sim);
    const struct report_of of = {c->title, s, img, &c->j.arch};
    if (c->stats) {
        json_t *o = cli_result("plena.sim/1", &c->j.arch);
        json_object_set_new(o, "stats", stats_json(s, img, &c->j.arch, c->report.hot));
        PL_TRY(cli_write_json(c->stats, o, &c->j.d));
    }
    PL_TRY(report_write(&c->report, &of, &c->j.d));
    if (c->j.json) {
        json_t *o = cli_result("plena.sim/1", &c->j.arch);
        json_object_set_new(o, "stopped", json_string(stop == PL_SIM_HALTED ? "halted" : "breakpoint"));
        json_object_set_new(o, "stats", stats_json(s, img, &c->j.arch, c->report.hot));
        cli_print_json(o);
        return PL_OK;
    }
    struct pl_buf b;
    pl_buf_init(&b);
    if (c->registers)
        print_registers(sim);
    pl_buf_printf(&b, "%s after %llu instructions, %llu cycles\n\n", stop == PL_SIM_HALTED ? "halted" : "stopped at a breakpoint",
                  (unsigned long long)s->insns, (unsigned long long)s->cycles);
    stats_print(s, img, &c->j.arch, &b);
    report_print(&c->report, &of, &b);
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    return PL_OK;
}

static enum pl_status run_image(struct simulate *c, const struct pl_image *img)
{
    struct pl_sim *sim = NULL;
    struct tracer *tracer;
    enum pl_sim_stop stop;
    uint32_t pc = 0;
    PL_TRY(entry_pc(c, img, &pc));
    PL_TRY(tracer_open(&c->report, &(struct report_of){c->title, NULL, img, &c->j.arch}, &tracer, &c->j.d));
    const struct pl_sim_options opt = {.functional = !c->timing_only, .timing = !c->functional_only,
                                       .no_fast_forward = c->no_fast_forward, .max_insns = c->max_insns,
                                       .trace = tracer ? tracer_retired : NULL, .trace_ctx = tracer};
    enum pl_status s = pl_sim_new(&c->j.arch, img, &opt, &sim, &c->j.d);
    for (size_t i = 0; i < c->param.n && s == PL_OK; i++)
        s = set_param(c, img, sim, c->param.v[i]);
    if (s == PL_OK)
        s = pl_sim_run(sim, pc, &stop, &c->j.d);
    if (s == PL_OK)
        s = report(c, img, sim, stop);
    pl_sim_free(sim);
    const enum pl_status traced = tracer_close(tracer, s == PL_OK ? &c->j.d : NULL);
    return s == PL_OK ? traced : s;
}

static enum pl_status run(struct simulate *c, const char *path)
{
    struct job *j = &c->j;
    const struct pl_image *img = &c->p.img;
    PL_TRY(program_load(&j->arena, path, &c->p, &j->d));
    enum pl_status s = job_machine(j);
    if (s == PL_OK && c->p.kind == PROGRAM_IMAGE) {
        s = image_machine(c, img);
    } else if (s == PL_OK) {
        s = program_image(&j->arena, &c->p, path, &j->arch, &c->hand, &j->d);
        img = &c->hand;
    }
    if (s == PL_OK && !job_printed_config(j))
        s = run_image(c, img);
    program_close(&c->p);
    return s;
}

int cmd_sim(const struct verb *v, int argc, char **argv)
{
    struct simulate c = {0};
    job_init(&c.j);
    c.j.machine = NULL;
    const struct opt o[] = {
        {"entry", OPT_TEXT, &c.entry, "NAME|PC", "where to start (default the first entry of an image, else 0)"},
        {"param", OPT_LIST, &c.param, "NAME=V,V,..", "set a parameter (or INT SRAM words by address); repeatable"},
        {"stats", OPT_TEXT, &c.stats, "FILE", "statistics as JSON"},
        {"max-insns", OPT_U64, &c.max_insns, "N", "fail after so many instructions"},
        {"registers", OPT_FLAG, &c.registers, NULL, "print the registers that are not 0 at the end"},
        {"timing-only", OPT_FLAG, &c.timing_only, NULL, "cycles without tensor data"},
        {"functional-only", OPT_FLAG, &c.functional_only, NULL, "values without cycles"},
        {"no-fast-forward", OPT_FLAG, &c.no_fast_forward, NULL, "step every pass of every loop; same statistics"},
        REPORT_OPTS(&c.report),
        JOB_MACHINE_OPTS(&c.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "IMAGE is missing");
    if (rc < 0 && c.timing_only && c.functional_only)
        rc = cli_usage(v, "--timing-only and --functional-only leave nothing to do");
    if (rc < 0)
        rc = report_check(v, &c.report, c.functional_only);
    if (rc < 0) {
        c.title = pos[0];
        c.own_machine = c.j.machine != NULL;
        if (!c.j.machine)
            c.j.machine = "small";
        const enum pl_status s = run(&c, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &c.j.d);
    }
    job_fini(&c.j);
    return rc;
}
