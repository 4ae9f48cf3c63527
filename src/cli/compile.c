/* compile.c - plena compile: a checkpoint to a program image. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "plena/comp.h"
#include "plena/report.h"
#include "plena/verify.h"

struct compile {
    struct job j;
    const char *output, *dump, *dump_after;
    struct opt_list without;
    struct pl_buf text; /* of --dump-after */
    uint64_t context, chunk, batch;
    bool all_logits, no_weights, dry_run, map, verify;
};

static void print_summary(const struct compile *c, const struct pl_image *img, double seconds)
{
    char b1[32], b2[32];
    if (c->j.json) {
        json_t *o = cli_result("plena.compile/1", &c->j.arch);
        json_object_set_new(o, "model", json_string(c->j.model));
        json_object_set_new(o, "plan", cli_plan_json(&img->plan));
        json_object_set_new(o, "instruction_words", json_integer((json_int_t)img->n_code));
        json_object_set_new(o, "hbm_bytes", json_integer((json_int_t)img->hbm_bytes));
        json_object_set_new(o, "seconds", json_real(seconds));
        json_object_set_new(o, "image", c->dry_run ? json_null() : json_string(c->output));
        cli_print_json(o);
        return;
    }
    printf("%s for machine %s: %s instruction words, %s bytes of HBM, %zu tensors, %.3f s\n", c->j.model, c->j.arch.name,
           pl_group_digits(img->n_code, b1), pl_group_digits(img->hbm_bytes, b2), img->n_desc, seconds);
}

static enum pl_status dump_text(const char *path, const struct pl_image *img, struct pl_diag *d)
{
    struct pl_buf b;
    pl_buf_init(&b);
    pl_dis_text(img->code, img->n_code, true, &b);
    const enum pl_status s = pl_file_write(path, b.data, b.len, d);
    pl_buf_fini(&b);
    return s;
}

/* --without and --dump-after: names to numbers. */
static enum pl_status choose(struct compile *c, struct pl_comp_options *opt)
{
    for (size_t i = 0; i < c->without.n; i++) {
        unsigned e = 0;
        while (e < PL_EXT_COUNT && strcmp(c->without.v[i], pl_comp_ext_name((enum pl_comp_ext)e)) != 0)
            e++;
        if (e == PL_EXT_COUNT)
            return pl_fail(&c->j.d, PL_EUSAGE, "--without %s: there is no such extension; see plena compile --help", c->without.v[i]);
        opt->without |= 1u << e;
    }
    if (!c->dump_after || !strcmp(c->dump_after, "verify"))
        return PL_OK;
    unsigned p = 0;
    while (p < PL_PASS_COUNT && strcmp(c->dump_after, pl_comp_pass_name((enum pl_comp_pass)p)) != 0)
        p++;
    if (p == PL_PASS_COUNT)
        return pl_fail(&c->j.d, PL_EUSAGE, "--dump-after %s: there is no such pass; see plena compile --help", c->dump_after);
    opt->dump = &c->text;
    opt->dump_after = (enum pl_comp_pass)p;
    return PL_OK;
}

/* Prove the program; --dump-after verify prints what was found. */
static enum pl_status prove(struct compile *c, const struct pl_image *img)
{
    struct pl_verify_report r;
    if (!c->dump_after || strcmp(c->dump_after, "verify") != 0)
        return c->verify ? pl_verify_image(&c->j.arch, img, &c->j.d) : PL_OK;
    PL_TRY(pl_verify(&c->j.arena, &c->j.arch, img, NULL, 0, &r, &c->j.d));
    for (size_t i = 0; i < r.n_error; i++) {
        pl_verify_text(&r.error[i], &c->text);
        pl_buf_printf(&c->text, "\n");
    }
    pl_buf_printf(&c->text, "# verify: %zu errors, %zu not proved, %zu of %zu words reached, %llu runs\n", r.n_error - r.n_unproved, r.n_unproved, r.reached, r.words, (unsigned long long)r.runs);
    return PL_OK;
}

static enum pl_status run(struct compile *c, const char *model)
{
    struct job *j = &c->j;
    struct pl_image img;
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(c->no_weights ? job_config(j, model) : job_model(j, model));
    struct pl_buf map;
    struct pl_comp_options opt = {.weight = &j->format[0], .act = &j->format[1], .kv = &j->format[2],
                                        .context = (uint32_t)c->context, .chunk = (uint32_t)c->chunk,
                                        .batch = (uint32_t)c->batch, .all_logits = c->all_logits, .no_weights = c->no_weights,
                                        .map = c->map && !j->json ? &map : NULL};
    PL_TRY(choose(c, &opt));
    pl_buf_init(&map);
    const uint64_t start = pl_clock_ns();
    const enum pl_status s = pl_comp_model(&j->arena, j->ck, &j->arch, &opt, &img, &j->d);
    if (s == PL_OK && map.len)
        fputs(map.data, stdout);
    pl_buf_fini(&map);
    PL_TRY(s);
    const double seconds = (double)(pl_clock_ns() - start) * 1e-9;
    PL_TRY(prove(c, &img));
    if (c->text.len)
        fputs(c->text.data, stdout);
    if (c->dump)
        PL_TRY(dump_text(c->dump, &img, &j->d));
    if (!c->dry_run)
        PL_TRY(pl_image_save(&img, c->output, &j->d));
    print_summary(c, &img, seconds);
    return PL_OK;
}

int cmd_compile(const struct verb *v, int argc, char **argv)
{
    struct compile c = {0};
    job_init(&c.j);
    pl_buf_init(&c.text);
    const struct opt o[] = {
        {"o", OPT_TEXT, &c.output, "IMAGE", "program image to write"},
        JOB_FORMAT_OPTS(&c.j),
        {"context", OPT_U64, &c.context, "N", "most tokens of a sequence (default the model's, at most 4096)"},
        {"chunk", OPT_U64, &c.chunk, "N", "tokens of a prefill pass (default as many as fit, at most 64)"},
        {"batch", OPT_U64, &c.batch, "B", "sequences that a decode pass takes a token of (default 1)"},
        {"all-logits", OPT_FLAG, &c.all_logits, NULL, "prefill gives the logits of every token, not of the last"},
        {"no-weights", OPT_FLAG, &c.no_weights, NULL, "leave HBM empty, for timing or to read the code; MODEL may be a config.json alone"},
        {"dump", OPT_TEXT, &c.dump, "FILE", "also write the assembly text"},
        {"map", OPT_FLAG, &c.map, NULL, "print where everything is in HBM, Vector, Matrix and FP SRAM"},
        {"verify", OPT_FLAG, &c.verify, NULL, "prove the rules of the program, as plena verify does, before it is written"},
        {"dump-after", OPT_TEXT, &c.dump_after, "PASS", "print what the pass has made: plan, layout, hbm, chain, emit (every instruction with operator, step and loops) or verify"},
        {"without", OPT_LIST, &c.without, "EXTENSION", "emit code without this extension of the published instruction set: step; repeatable"},
        {"dry-run", OPT_FLAG, &c.dry_run, NULL, "compile and report, write no image"},
        JOB_MACHINE_OPTS(&c.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !c.output && !c.dry_run && !c.j.print_config)
        rc = cli_usage(v, "-o IMAGE is missing");
    if (rc < 0 && (c.context > UINT32_MAX || c.chunk > UINT32_MAX || c.batch > UINT32_MAX))
        rc = cli_usage(v, "--context, --chunk and --batch must be below 2^32");
    if (rc < 0) {
        const enum pl_status s = run(&c, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &c.j.d);
    }
    pl_buf_fini(&c.text);
    job_fini(&c.j);
    return rc;
}
