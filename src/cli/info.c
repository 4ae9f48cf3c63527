/* info.c - plena info and plena machine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "plena/report.h"
#include "program.h"

static void info_checkpoint(const struct job *j)
{
    const struct pl_model_config *c = &j->ck->config;
    const struct pl_safetensors *t = &j->ck->tensors;
    static const char *const scaling[] = {"", " (linear scaling)", " (llama3 scaling)", " (yarn scaling)"};
    uint64_t count = 0, bytes = 0;
    char b1[32], b2[32];
    for (size_t i = 0; i < t->n; i++) {
        count += t->tensor[i].count;
        bytes += t->tensor[i].bytes;
    }
    if (c->quantised) { /* its tensors hold packed bytes */
        const uint64_t q = (uint64_t)c->n_heads * c->head_dim, kv = (uint64_t)c->n_kv_heads * c->head_dim;
        count = 2ull * c->vocab * c->hidden + c->hidden + c->n_layers * c->hidden * (2 + 2 * (q + kv) + 3ull * c->ffn);
    }
    printf("checkpoint %s\n", j->model);
    printf("  %u layers, hidden %u, FFN %u, %u heads of %u lanes, %u KV heads (%s)\n", c->n_layers, c->hidden, c->ffn, c->n_heads,
           c->head_dim, c->n_kv_heads, c->n_kv_heads == c->n_heads ? "MHA" : c->n_kv_heads == 1 ? "MQA" : "GQA");
    printf("  vocabulary %u, %s embeddings, %u positions, rope theta %g%s, rms eps %g\n", c->vocab, c->tied ? "tied" : "untied",
           c->max_position, c->rope_theta,
           scaling[c->rope.kind], c->rms_eps);
    if (c->quantised) {
        char w[48], a[48], kv[48];
        pl_format_name(&c->weight, w);
        pl_format_name(&c->act, a);
        pl_format_name(&c->kv, kv);
        printf("  quantised by plena: weights %s, made for activations %s, KV %s\n", w, a, kv);
    }
    printf("  %zu tensors, %s parameters, %s bytes\n", t->n, pl_group_digits(count, b1), pl_group_digits(bytes, b2));
    if (j->tok)
        printf("  tokenizer of %u tokens\n", pl_tokenizer_size(j->tok));
}

static enum pl_status info_safetensors(const char *path, struct pl_diag *d)
{
    struct pl_arena a;
    struct pl_map m;
    struct pl_safetensors st;
    PL_TRY(pl_file_map(path, &m, d));
    pl_arena_init(&a);
    const enum pl_status s = pl_safetensors_parse(&a, path, m.data, m.len, &st, d);
    for (size_t i = 0; s == PL_OK && i < st.n; i++) {
        printf("%-52s %-5s [", st.tensor[i].name, st.tensor[i].dtype_name);
        for (unsigned r = 0; r < st.tensor[i].rank; r++)
            printf("%s%llu", r ? ", " : "", (unsigned long long)st.tensor[i].shape[r]);
        printf("] %llu bytes\n", (unsigned long long)st.tensor[i].bytes);
    }
    pl_arena_fini(&a);
    pl_file_unmap(&m);
    return s;
}

static void info_image(const char *path, const struct pl_image *img)
{
    char w[48], a[48], kv[48], b1[32], b2[32];
    pl_format_name(&img->plan.weight, w);
    pl_format_name(&img->plan.act, a);
    pl_format_name(&img->plan.kv, kv);
    printf("program image %s of %s\n", path, img->model);
    printf("  array %u x %u, heads %u, vector %u; weights %s, activations %s, KV %s\n", img->plan.blen, img->plan.mlen,
           img->plan.hlen, img->plan.vlen, w, a, kv);
    printf("  %s instruction words, %zu tensors, %s bytes of HBM\n", pl_group_digits(img->n_code, b1), img->n_desc,
           pl_group_digits(img->hbm_bytes, b2));
    const struct {
        const char *title;
        const struct pl_named *list;
        size_t n;
    } named[] = {{"entry", img->entry, img->n_entry}, {"parameter", img->param, img->n_param}, {"constant", img->constant, img->n_const}};
    for (size_t k = 0; k < PL_COUNT(named); k++)
        for (size_t i = 0; i < named[k].n; i++)
            printf("  %-9s %-10s %llu\n", named[k].title, named[k].list[i].name, (unsigned long long)named[k].list[i].value);
    for (size_t i = 0; i < img->n_desc; i++) {
        char f[48];
        const struct pl_desc *t = &img->desc[i];
        pl_format_name(&t->format, f);
        printf("  tensor %-3zu %-40s %6u x %-6u %-16s at 0x%09llx, ", i, t->name, t->rows, t->cols, f, (unsigned long long)t->elem_base);
        if (t->tile)
            printf("in tiles of %u\n", t->tile);
        else
            printf("scales 0x%09llx\n", (unsigned long long)t->scale_base);
    }
}

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static enum pl_status describe_machine(const char *name, struct pl_diag *d)
{
    struct pl_arch arch;
    struct pl_buf b;
    PL_TRY(pl_arch_load(name, &arch, d));
    pl_buf_init(&b);
    pl_arch_print(&arch, &b);
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    return PL_OK;
}

static enum pl_status describe(struct job *j, const char *x)
{
    struct program p;
    if (pl_file_exists(pl_path_join(&j->arena, x, "config.json"))) {
        PL_TRY(job_model(j, x));
        info_checkpoint(j);
        return PL_OK;
    }
    for (size_t i = 0; pl_arch_list(i); i++)
        if (!strcmp(x, pl_arch_list(i)))
            return describe_machine(x, &j->d);
    if (ends_with(x, ".safetensors"))
        return info_safetensors(x, &j->d);
    if (ends_with(x, ".yaml") || ends_with(x, ".yml"))
        return describe_machine(x, &j->d);
    if (ends_with(x, "tokenizer.json")) {
        struct pl_tokenizer *t;
        PL_TRY(pl_tokenizer_load(x, &t, &j->d));
        printf("tokenizer %s of %u tokens\n", x, pl_tokenizer_size(t));
        pl_tokenizer_free(t);
        return PL_OK;
    }
    if (!pl_file_exists(x)) {
        PL_TRY(job_model(j, x)); /* one of the examples, or the message that it is none */
        info_checkpoint(j);
        return PL_OK;
    }
    PL_TRY(program_load(&j->arena, x, &p, &j->d));
    if (p.kind == PROGRAM_IMAGE)
        info_image(x, &p.img);
    else
        printf("%s: %zu instruction words, %zu labels\n", x, p.n, p.n_label);
    program_close(&p);
    return PL_OK;
}

int cmd_info(const struct verb *v, int argc, char **argv)
{
    struct job j;
    const char *pos[1] = {NULL};
    size_t n_pos;
    const int rc = cli_options(v, argc, argv, NULL, 0, pos, 1, &n_pos);
    if (rc >= 0)
        return rc;
    if (!n_pos)
        return cli_usage(v, "X is missing");
    job_init(&j);
    const enum pl_status s = describe(&j, pos[0]);
    const int code = s == PL_OK ? 0 : cli_fail(s, &j.d);
    job_fini(&j);
    return code;
}

static int list_machines(void)
{
    struct pl_table t;
    struct pl_arena a;
    struct pl_buf b;
    pl_arena_init(&a);
    pl_buf_init(&b);
    pl_table_init(&t, &a, "<machine|MLEN|BLEN|HLEN|VLEN|<vector|<weights|<activations|<KV|HBM bytes/cycle");
    for (size_t i = 0; pl_arch_list(i); i++) {
        struct pl_arch m;
        struct pl_diag d;
        char f[4][48];
        if (pl_arch_load(pl_arch_list(i), &m, &d) != PL_OK)
            continue;
        pl_format_name(&m.vector_format, f[0]);
        pl_format_name(&m.weight_format, f[1]);
        pl_format_name(&m.act_format, f[2]);
        pl_format_name(&m.kv_format, f[3]);
        pl_table_row(&t, "%s|%u|%u|%u|%u|%s|%s|%s|%s|%g", m.name, m.mlen, m.blen, m.hlen, m.vlen, f[0], f[1], f[2], f[3], m.hbm_bandwidth);
    }
    pl_table_text(&t, &b);
    fputs(b.data, stdout);
    pl_buf_fini(&b);
    pl_table_fini(&t);
    pl_arena_fini(&a);
    return 0;
}

int cmd_machine(const struct verb *v, int argc, char **argv)
{
    const char *pos[2] = {NULL, NULL};
    size_t n_pos;
    struct pl_diag d;
    const int rc = cli_options(v, argc, argv, NULL, 0, pos, 2, &n_pos);
    if (rc >= 0)
        return rc;
    if (n_pos == 1 && !strcmp(pos[0], "ls"))
        return list_machines();
    if (n_pos != 2 || strcmp(pos[0], "show") != 0)
        return cli_usage(v, "expected ls, or show NAME|FILE");
    const enum pl_status s = describe_machine(pos[1], &d);
    return s == PL_OK ? 0 : cli_fail(s, &d);
}
