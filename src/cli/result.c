/* result.c - JSON results with their provenance; progress. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void cli_put_param(void *ctx, const char *section, const char *name, const char *value, bool number)
{
    json_t *root = ctx, *sec = json_object_get(root, section);
    if (!sec) {
        sec = json_object();
        json_object_set_new(root, section, sec);
    }
    json_object_set_new(sec, name, number ? json_loads(value, JSON_DECODE_ANY, NULL) : json_string(value));
}

json_t *cli_result(const char *schema, const struct pl_arch *arch)
{
    json_t *command = json_array();
    for (char **a = cli_argv; *a; a++)
        json_array_append_new(command, cli_text_json(*a, strlen(*a)));
    json_t *o = json_pack("{s:s, s:s, s:o}", "schema", schema, "version", PL_VERSION, "command", command);
    if (arch) {
        json_t *m = json_pack("{s:o}", "name", cli_text_json(arch->name, strlen(arch->name)));
        pl_arch_each(arch, cli_put_param, m);
        json_object_set_new(o, "machine", m);
    }
    return o;
}

json_t *cli_text_json(const char *s, size_t len)
{
    json_t *v = json_stringn(s, len);
    if (v)
        return v;
    struct pl_buf b;
    pl_buf_init(&b);
    for (size_t i = 0; i < len;) {
        size_t n = 1;
        const unsigned char c = (unsigned char)s[i];
        if (c >= 0xc2)
            for (const size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2; n < want && i + n < len && (s[i + n] & 0xc0) == 0x80;)
                n++;
        json_t *one = json_stringn(s + i, n);
        if (!one) {
            n = 1;
            pl_buf_puts(&b, "\xef\xbf\xbd");
        } else {
            pl_buf_put(&b, s + i, n);
        }
        json_decref(one);
        i += n;
    }
    v = json_stringn(b.data, b.len);
    pl_buf_fini(&b);
    return v;
}

void cli_print_json(json_t *v)
{
    char *s = json_dumps(v, JSON_INDENT(2));
    puts(s ? s : "{}");
    free(s);
    json_decref(v);
}

enum pl_status cli_write_json(const char *path, json_t *v, struct pl_diag *d)
{
    char *s = json_dumps(v, JSON_INDENT(2));
    json_decref(v);
    if (!s)
        return pl_fail(d, PL_ENOMEM, "%s: no memory", path);
    const enum pl_status st = pl_file_write(path, s, strlen(s), d);
    free(s);
    return st;
}

json_t *cli_plan_json(const struct pl_plan *p)
{
    char w[48], a[48], kv[48];
    const struct pl_format vec = {.kind = PL_FORMAT_FLOAT, .elem = p->vec, .block = 1};
    char v[48];
    pl_format_name(&p->weight, w);
    pl_format_name(&p->act, a);
    pl_format_name(&p->kv, kv);
    pl_format_name(&vec, v);
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "weights", w, "act", a, "kv", kv, "vector",
                     v, "mlen", (int)p->mlen, "blen", (int)p->blen, "hlen", (int)p->hlen, "vlen", (int)p->vlen, "guard",
                     (int)p->guard, "acc_bits", (int)p->acc_bits, "head_slot", (int)p->head_slot, "kv_tile", (int)p->kv_tile,
                     "k_tiles", (int)p->k_tiles, "rotate", (int)p->rotate);
}

void progress_start(struct progress *p, const char *what, uint64_t total)
{
    *p = (struct progress){.what = what, .total = total, .start_ns = pl_clock_ns(), .tty = isatty(2)};
    p->last_ns = p->start_ns;
}

void progress_at(struct progress *p, uint64_t done)
{
    const uint64_t now = pl_clock_ns();
    if (now - p->last_ns < (p->tty ? 100000000u : 60000000000u))
        return;
    p->last_ns = now;
    p->shown = true;
    const double seconds = (double)(now - p->start_ns) * 1e-9;
    const double rate = (double)done / seconds, left = rate > 0 ? (double)(p->total - done) / rate : 0;
    if (!p->tty) {
        fprintf(stderr, "%s: %llu of %llu, %.3g/s, %.0f s left %s\n", p->what, (unsigned long long)done,
                (unsigned long long)p->total, rate, left, p->note);
        return;
    }
    char bar[31];
    const size_t full = p->total ? (size_t)(30 * done / p->total) : 0;
    for (size_t i = 0; i < 30; i++)
        bar[i] = i < full ? '#' : '.';
    bar[30] = 0;
    fprintf(stderr, "\r%s [%s] %llu/%llu  %.3g/s  %.0f s left %s \033[K", p->what, bar, (unsigned long long)done,
            (unsigned long long)p->total, rate, left, p->note);
}

void progress_end(struct progress *p)
{
    if (p->tty && p->shown)
        fprintf(stderr, "\r\033[K");
}
