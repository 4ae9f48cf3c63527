/* compile.c - plena compile: a checkpoint to a program image. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"
#include "plena/comp.h"
#include "plena/report.h"
#include "plena/verify.h"

struct compile {
    struct job j;
    const char *output, *dump;
    uint64_t context, chunk;
    bool all_logits, no_weights, dry_run, verify;
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

static enum pl_status run(struct compile *c, const char *model)
{
    struct job *j = &c->j;
    struct pl_image img;
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(c->no_weights ? job_config(j, model) : job_model(j, model));
    const struct pl_comp_options opt = {.weight = &j->format[0], .act = &j->format[1], .kv = &j->format[2],
                                        .context = (uint32_t)c->context, .chunk = (uint32_t)c->chunk,
                                        .all_logits = c->all_logits, .no_weights = c->no_weights};
    const uint64_t start = pl_clock_ns();
    PL_TRY(pl_comp_model(&j->arena, j->ck, &j->arch, &opt, &img, &j->d));
    const double seconds = (double)(pl_clock_ns() - start) * 1e-9;
    if (c->verify)
        PL_TRY(pl_verify_image(&j->arch, &img, &j->d));
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
    const struct opt o[] = {
        {"o", OPT_TEXT, &c.output, "IMAGE", "program image to write"},
        JOB_FORMAT_OPTS(&c.j),
        {"context", OPT_U64, &c.context, "N", "most tokens of a sequence (default the model's, at most 4096)"},
        {"chunk", OPT_U64, &c.chunk, "N", "tokens of a prefill pass (default as many as fit, at most 64)"},
        {"all-logits", OPT_FLAG, &c.all_logits, NULL, "prefill gives the logits of every token, not of the last"},
        {"no-weights", OPT_FLAG, &c.no_weights, NULL, "leave HBM empty, for timing or to read the code; MODEL may be a config.json alone"},
        {"dump", OPT_TEXT, &c.dump, "FILE", "also write the assembly text"},
        {"verify", OPT_FLAG, &c.verify, NULL, "prove the rules of the program, as plena verify does, before it is written"},
        {"dry-run", OPT_FLAG, &c.dry_run, NULL, "compile and report, write no image"},
        JOB_MACHINE_OPTS(&c.j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !c.output && !c.dry_run && !c.j.print_config)
        rc = cli_usage(v, "-o IMAGE is missing");
    if (rc < 0 && (c.context > UINT32_MAX || c.chunk > UINT32_MAX))
        rc = cli_usage(v, "--context and --chunk must be below 2^32");
    if (rc < 0) {
        const enum pl_status s = run(&c, pos[0]);
        rc = s == PL_OK ? 0 : cli_fail(s, &c.j.d);
    }
    job_fini(&c.j);
    return rc;
}
