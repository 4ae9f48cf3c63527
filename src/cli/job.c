/* job.c - resolves the machine, the formats and the checkpoint of a command. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "cli.h"

void job_init(struct job *j)
{
    *j = (struct job){.machine = "small"};
    pl_arena_init(&j->arena);
}

void job_fini(struct job *j)
{
    pl_tokenizer_free(j->tok);
    if (j->ck)
        pl_checkpoint_close(j->ck);
    pl_arena_fini(&j->arena);
}

static void use_threads(uint64_t n)
{
    if (!n)
        return;
#ifdef _OPENMP
    omp_set_num_threads((int)(n > 1024 ? 1024 : n));
#endif
    openblas_set_num_threads((int)(n > 1024 ? 1024 : n));
}

enum pl_status job_machine(struct job *j)
{
    use_threads(j->threads);
    PL_TRY(pl_arch_load(j->machine, &j->arch, &j->d));
    if (j->config) {
        struct pl_map m;
        PL_TRY(pl_file_map(j->config, &m, &j->d));
        const struct pl_source src = {j->config, (const char *)m.data, m.len};
        const enum pl_status s = pl_arch_overlay(&src, &j->arch, &j->d);
        pl_file_unmap(&m);
        PL_TRY(s);
    }
    for (size_t i = 0; i < j->set.n; i++)
        PL_TRY(pl_arch_set(&j->arch, j->set.v[i], &j->d));
    struct pl_format *const own[] = {&j->arch.weight_format, &j->arch.act_format, &j->arch.kv_format};
    const struct {
        const char *name, *text;
    } asked[] = {{"--weights", j->weights}, {"--act", j->act}, {"--kv", j->kv}};
    for (size_t i = 0; i < 3; i++) {
        if (asked[i].text) {
            const enum pl_status s = pl_format_parse(asked[i].text, own[i], &j->d);
            if (s != PL_OK)
                return pl_fail_in(&j->d, s, "%s", asked[i].name);
        }
        j->format[i] = *own[i];
    }
    return pl_arch_check(&j->arch, &j->d);
}

bool job_printed_config(const struct job *j)
{
    if (!j->print_config)
        return false;
    struct pl_buf b;
    pl_buf_init(&b);
    pl_arch_print(&j->arch, &b);
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    return true;
}

/* A folder; or the name of one of the examples, in the source tree or where they are installed. */
const char *job_find_model(struct job *j, const char *model)
{
    static const char *const where[] = {PL_EXAMPLES_SOURCE, PL_EXAMPLES_INSTALLED};
    if (model && pl_file_exists(pl_path_join(&j->arena, model, "config.json")))
        return model;
    const char *name = model ? model : "agent-0.8m";
    for (size_t i = 0; i < PL_COUNT(where) && !strchr(name, '/'); i++) {
        const char *dir = pl_path_join(&j->arena, where[i], name);
        if (pl_file_exists(pl_path_join(&j->arena, dir, "config.json")))
            return dir;
    }
    return name;
}

/* A quantised checkpoint brings its formats; the command line goes before. */
static enum pl_status take_formats(struct job *j)
{
    const struct pl_model_config *c = &j->ck->config;
    if (!c->quantised)
        return PL_OK;
    const struct {
        const char *asked;
        const struct pl_format *own;
        struct pl_format *of_machine;
    } f[] = {{j->weights, &c->weight, &j->arch.weight_format}, {j->act, &c->act, &j->arch.act_format}, {j->kv, &c->kv, &j->arch.kv_format}};
    for (size_t i = 0; i < PL_COUNT(f); i++)
        if (!f[i].asked)
            j->format[i] = *f[i].of_machine = *f[i].own;
    return j->arch.mlen ? pl_arch_check(&j->arch, &j->d) : PL_OK; /* plena info looks at models without a machine */
}

enum pl_status job_config(struct job *j, const char *model)
{
    j->model = job_find_model(j, model);
    const char *inside = pl_path_join(&j->arena, j->model, "config.json");
    PL_TRY(pl_checkpoint_describe(&j->arena, pl_file_exists(inside) ? inside : j->model, &j->ck, &j->d));
    return take_formats(j);
}

enum pl_status job_model(struct job *j, const char *model)
{
    j->model = job_find_model(j, model);
    PL_TRY(pl_checkpoint_open(&j->arena, j->model, &j->ck, &j->d));
    PL_TRY(take_formats(j));
    const char *tok = pl_path_join(&j->arena, j->model, "tokenizer.json");
    return pl_file_exists(tok) ? pl_tokenizer_load(tok, &j->tok, &j->d) : PL_OK;
}
