/* asm.c - plena asm and plena dis. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "plena/isa.h"
#include "program.h"

static enum pl_status emit(const char *path, const struct pl_buf *b, struct pl_diag *d)
{
    if (path)
        return pl_file_write(path, b->data, b->len, d);
    return fwrite(b->data, 1, b->len, stdout) == b->len ? PL_OK : pl_fail(d, PL_EIO, "standard output: cannot be written");
}

static enum pl_status assemble(struct job *j, const char *in, const char *out, bool image, bool check)
{
    struct program p;
    struct pl_image img;
    PL_TRY(job_machine(j));
    if (job_printed_config(j))
        return PL_OK;
    PL_TRY(program_load(&j->arena, in, &p, &j->d));
    enum pl_status s = p.kind == PROGRAM_IMAGE ? pl_fail(&j->d, PL_EPARSE, "%s: is a program image, not an assembly text", in) : PL_OK;
    if (s == PL_OK && check) {
        s = pl_isa_check(p.code, p.n, &j->d);
        if (s != PL_OK)
            pl_fail_in(&j->d, s, "%s", in);
    }
    if (s == PL_OK && image) {
        s = program_image(&j->arena, &p, in, &j->arch, &img, &j->d);
        if (s == PL_OK)
            s = pl_image_save(&img, out, &j->d);
    } else if (s == PL_OK) {
        struct pl_buf b;
        pl_buf_init(&b);
        for (size_t i = 0; i < p.n; i++)
            pl_buf_printf(&b, "0x%08X\n", p.code[i]);
        s = emit(out, &b, &j->d);
        pl_buf_fini(&b);
    }
    program_close(&p);
    return s;
}

int cmd_asm(const struct verb *v, int argc, char **argv)
{
    struct job j;
    const char *out = NULL;
    bool image = false, no_check = false;
    job_init(&j);
    const struct opt o[] = {
        {"o", OPT_TEXT, &out, "FILE", "where to write (default standard output)"},
        {"image", OPT_FLAG, &image, NULL, "write a program image for --machine, with line map and labels as entries"},
        {"no-check", OPT_FLAG, &no_check, NULL, "skip the static checker"},
        JOB_MACHINE_OPTS(&j),
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc < 0 && !n_pos && !j.print_config)
        rc = cli_usage(v, "FILE is missing");
    if (rc < 0 && image && !out)
        rc = cli_usage(v, "--image wants -o FILE");
    if (rc < 0) {
        const enum pl_status s = assemble(&j, pos[0], out, image, !no_check);
        rc = s == PL_OK ? 0 : cli_fail(s, &j.d);
    }
    job_fini(&j);
    return rc;
}

int cmd_dis(const struct verb *v, int argc, char **argv)
{
    struct pl_arena a;
    struct pl_diag d;
    struct program p;
    struct pl_buf b;
    const char *out = NULL;
    bool pc = false;
    const struct opt o[] = {
        {"o", OPT_TEXT, &out, "FILE", "where to write (default standard output)"},
        {"pc", OPT_FLAG, &pc, NULL, "pc and word behind every line"},
    };
    const char *pos[1] = {NULL};
    size_t n_pos;
    const int rc = cli_options(v, argc, argv, o, PL_COUNT(o), pos, 1, &n_pos);
    if (rc >= 0)
        return rc;
    if (!n_pos)
        return cli_usage(v, "FILE is missing");
    pl_arena_init(&a);
    pl_buf_init(&b);
    enum pl_status s = program_load(&a, pos[0], &p, &d);
    if (s == PL_OK) {
        pl_dis_text(p.code, p.n, pc, &b);
        s = emit(out, &b, &d);
        program_close(&p);
    }
    pl_buf_fini(&b);
    pl_arena_fini(&a);
    return s == PL_OK ? 0 : cli_fail(s, &d);
}
