/* verify.c - plena verify: prove the rules of a whole program before it runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "plena/report.h"
#include "plena/verify.h"
#include "program.h"

static void print_json(const struct job *j, const char *path, const struct pl_verify_report *r)
{
    json_t *o = cli_result("plena.verify/1", &j->arch), *list = json_array();
    for (size_t i = 0; i < r->n_error; i++) {
        json_t *e = json_object();
        json_object_set_new(e, "pc", json_integer(r->error[i].pc));
        json_object_set_new(e, "operator", json_string(r->error[i].op));
        json_object_set_new(e, "instruction", json_string(r->error[i].insn));
        json_object_set_new(e, "reason", cli_text_json(r->error[i].reason, strlen(r->error[i].reason)));
        json_array_append_new(list, e);
    }
    json_object_set_new(o, "program", json_string(path));
    json_object_set_new(o, "errors", list);
    json_object_set_new(o, "words", json_integer((json_int_t)r->words));
    json_object_set_new(o, "reached", json_integer((json_int_t)r->reached));
    json_object_set_new(o, "runs", json_integer((json_int_t)r->runs));
    json_object_set_new(o, "steps", json_integer((json_int_t)r->steps));
    json_object_set_new(o, "skipped_passes", json_integer((json_int_t)r->skipped));
    cli_print_json(o);
}

static void print_text(const char *path, const struct pl_verify_report *r)
{
    char b1[32], b2[32], b3[32];
    struct pl_buf b;
    pl_buf_init(&b);
    for (size_t i = 0; i < r->n_error; i++) {
        pl_verify_text(&r->error[i], &b);
        pl_buf_printf(&b, "\n");
    }
    if (r->n_error)
        fputs(b.data, stdout);
    pl_buf_fini(&b);
    printf("%s: %zu errors; %s words, all but %zu reached; %llu runs of %s steps, %s passes of loops proved\n", path, r->n_error,
           pl_group_digits(r->words, b1), r->words - r->reached, (unsigned long long)r->runs, pl_group_digits(r->steps, b2),
           pl_group_digits(r->skipped, b3));
}

/* The machine of an image is the one in it, with --set on top; of other programs --machine. */
static enum pl_status machine_of(struct job *j, const struct program *p, const char *path)
{
    if (p->kind != PROGRAM_IMAGE || !p->img.machine[0])
        return job_machine(j);
    const struct pl_source src = {path, p->img.machine, strlen(p->img.machine)};
    PL_TRY(pl_arch_parse(&src, &j->arch, &j->d));
    for (size_t i = 0; i < j->set.n; i++)
        PL_TRY(pl_arch_set(&j->arch, j->set.v[i], &j->d));
    return pl_arch_check(&j->arch, &j->d);
}

static enum pl_status verify(struct job *j, const char *path, bool *failed)
{
    struct program p;
    struct pl_image hand;
    struct pl_verify_report r;
    PL_TRY(program_load(&j->arena, path, &p, &j->d));
    enum pl_status s = machine_of(j, &p, path);
    const struct pl_image *img = &p.img;
    if (s == PL_OK && p.kind != PROGRAM_IMAGE) {
        s = program_image(&j->arena, &p, path, &j->arch, &hand, &j->d);
        hand.n_entry = 0; /* labels: the program starts at 0 */
        img = &hand;
    }
    if (s == PL_OK)
        s = pl_verify(&j->arena, &j->arch, img, NULL, 0, &r, &j->d);
    if (s == PL_OK) {
        *failed = r.n_error != 0;
            if (j->json)
            print_json(j, path, &r);
        else
            print_text(path, &r);
    }
    program_close(&p);
    return s;
}

int cmd_verify(const struct verb *v, int argc, char **argv)
{
    struct job j;
    bool failed = false;
    job_init(&j);
    const struct opt o[] = {JOB_MACHINE_OPTS(&j)};
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !n_pos)
        rc = cli_usage(v, "PROGRAM is missing");
    if (rc < 0) {
        const enum pl_status s = verify(&j, pos[0], &failed);
        rc = s == PL_OK ? failed : cli_fail(s, &j.d);
    }
    job_fini(&j);
    return rc;
}
