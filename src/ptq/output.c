/* output.c - the folder of a quantised checkpoint around its shards.
 *
 * quantize.json is written first and says what the folder is being made of; a run that finds it and means the same goes on
 * after the last shard. config.json is written last: with it the folder is a checkpoint, and quantize.json goes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ptq_internal.h"

static const char state_name[] = "quantize.json";

char *ptq_shard_path(const struct ptq_job *j, uint32_t l)
{
    const uint32_t n = j->ck->config.n_layers + 1;
    return pl_path_join(j->a, j->dir, pl_arena_printf(j->a, "model-%05u-of-%05u.safetensors", l + 1, n));
}

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

/* Everything the result depends on. */
static json_t *recipe(const struct ptq_job *j)
{
    const struct pl_ptq_options *o = j->o;
    const struct pl_plan *p = &o->plan;
    char w[48], act[48], kv[48], vec[48], ids[20], weights[20];
    const struct pl_format v = {.kind = PL_FORMAT_FLOAT, .elem = p->vec, .block = 1};
    pl_format_name(&p->weight, w);
    pl_format_name(&p->act, act);
    pl_format_name(&p->kv, kv);
    pl_format_name(&v, vec);
    uint64_t h = 0xcbf29ce484222325u, hw = h;
    for (size_t i = 0; i < j->n_texts; i++) {
        h = hash(h, &j->text[i].n, sizeof j->text[i].n);
        h = hash(h, j->text[i].ids, j->text[i].n * sizeof *j->text[i].ids);
    }
    for (size_t i = 0; i < j->ck->tensors.n; i++) { /* names and the first bytes: a fingerprint, not a checksum */
        const struct pl_tensor *t = &j->ck->tensors.tensor[i];
        hw = hash(hw, t->name, strlen(t->name));
        hw = hash(hw, t->data, t->bytes < 4096 ? t->bytes : 4096);
    }
    snprintf(ids, sizeof ids, "%016llx", (unsigned long long)h);
    snprintf(weights, sizeof weights, "%016llx", (unsigned long long)hw);
    json_t *r = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:f, s:b, s:I, s:I, s:s, s:s}", "version", 1, "weights", w, "act", act, "kv", kv,
                          "search", pl_ptq_search_name[o->rule.search], "propagation", pl_ptq_propagation_name[o->rule.propagation],
                          "damping", o->damp, "compare", o->compare, "calibration_sequences", (json_int_t)j->n_texts,
                          "calibration_tokens", (json_int_t)j->tokens, "calibration_hash", ids, "source_hash", weights);
    json_object_set_new(r, "plan", json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "vector", vec, "mlen", (int)p->mlen,
                                             "blen", (int)p->blen, "hlen", (int)p->hlen, "vlen", (int)p->vlen, "guard", (int)p->guard,
                                             "acc_bits", (int)p->acc_bits, "head_slot", (int)p->head_slot, "kv_tile", (int)p->kv_tile,
                                             "k_tiles", (int)p->k_tiles, "rotate", (int)p->rotate));
    static const char *const site[PL_SITES] = {"qkv", "o", "gate_up", "down", "head"};
    json_t *rotate = json_object();
    for (unsigned i = 0; i < PL_SITES; i++)
        if (j->ck->config.rotate[i])
            json_object_set_new(rotate, site[i], json_integer(j->ck->config.rotate[i]));
    json_object_set_new(r, "rotate", rotate);
    json_object_set_new(r, "sweeps", json_integer(o->sweeps));
    json_object_set_new(r, "aim", json_real(o->aim));
    json_object_set_new(r, "k_offset", json_boolean(o->center_keys));
    if (o->transforms)
        json_object_set_new(r, "transforms", json_deep_copy(o->transforms));
    if (o->provenance)
        json_object_set_new(r, "provenance", json_deep_copy(o->provenance));
    return r;
}

/* Write a JSON file and release it. */
static enum pl_status put_json(const struct ptq_job *j, const char *name, json_t *o)
{
    char *s = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(o);
    if (!s)
        return pl_fail(j->d, PL_ENOMEM, "%s: no memory", name);
    const enum pl_status st = pl_file_write(pl_path_join(j->a, j->dir, name), s, strlen(s), j->d);
    free(s);
    return st;
}

static bool same(const json_t *a, const json_t *b, const char **differs)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)b, key, v)
    {
        char *x = json_dumps(json_object_get(a, key), JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
        char *y = json_dumps(v, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
        const bool equal = x && y && !strcmp(x, y);
        free(x);
        free(y);
        *differs = key;
        if (!equal && strcmp(key, "provenance") != 0)
            return false;
    }
    return true;
}

enum pl_status ptq_start(const struct ptq_job *j)
{
    const char *state = pl_path_join(j->a, j->dir, state_name);
    if (mkdir(j->dir, 0777) < 0 && errno != EEXIST)
        return pl_fail(j->d, PL_EIO, "%s: cannot create: %s", j->dir, strerror(errno));
    if (!pl_file_exists(state)) {
        if (pl_file_exists(pl_path_join(j->a, j->dir, "config.json")) || pl_file_exists(ptq_shard_path(j, 0)))
            return pl_fail(j->d, PL_EUSAGE, "%s: already holds a checkpoint; choose another folder", j->dir);
        return put_json(j, state_name, recipe(j));
    }
    json_t *old;
    PL_TRY(pl_json_load(state, &old, j->d));
    json_t *mine = recipe(j);
    const char *key = "";
    const bool equal = same(old, mine, &key);
    const enum pl_status s = equal ? PL_OK
                                   : pl_fail(j->d, PL_EUSAGE, "%s: was begun with another recipe (%s); remove it or choose another folder",
                                             state, key);
    json_decref(old);
    json_decref(mine);
    return s;
}

static enum pl_status copy(const struct ptq_job *j, const char *name)
{
    const char *from = pl_path_join(j->a, j->ck->dir, name);
    struct pl_map m;
    if (!pl_file_exists(from))
        return PL_OK;
    PL_TRY(pl_file_map(from, &m, j->d));
    const enum pl_status s = pl_file_write(pl_path_join(j->a, j->dir, name), m.data, m.len, j->d);
    pl_file_unmap(&m);
    return s;
}

/* Which shard holds which tensor; and the report of all shards together. */
static enum pl_status collect(const struct ptq_job *j, json_t *map, json_t *matrices, uint64_t *total)
{
    for (uint32_t l = 0; l <= j->ck->config.n_layers; l++) {
        const char *path = ptq_shard_path(j, l);
        struct pl_map m;
        struct pl_safetensors st;
        json_t *rows;
        PL_TRY(pl_file_map(path, &m, j->d));
        enum pl_status s = pl_safetensors_parse(j->a, path, m.data, m.len, &st, j->d);
        for (size_t i = 0; s == PL_OK && i < st.n; i++) {
            json_object_set_new(map, st.tensor[i].name, json_string(strrchr(path, '/') ? strrchr(path, '/') + 1 : path));
            *total += st.tensor[i].bytes;
        }
        pl_file_unmap(&m);
        if (s == PL_OK)
            s = ptq_shard_report(path, &rows, j->d);
        if (s != PL_OK)
            return s;
        json_array_extend(matrices, rows);
        json_decref(rows);
    }
    return PL_OK;
}

static json_t *report(const struct ptq_job *j, json_t *matrices, uint64_t total_bytes)
{
    const struct pl_model_config *c = &j->ck->config;
    uint64_t weights = 0, bytes = 0, all = (uint64_t)c->vocab * c->hidden + c->hidden + 2ull * c->n_layers * c->hidden;
    size_t i;
    json_t *m;
    json_array_foreach(matrices, i, m)
    {
        weights += (uint64_t)(json_integer_value(json_object_get(m, "rows")) * json_integer_value(json_object_get(m, "cols")));
        bytes += (uint64_t)json_integer_value(json_object_get(m, "bytes"));
    }
    all += weights;
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:f, s:f, s:O}", "schema", "plena.quantize/1", "version", PL_VERSION, "recipe", recipe(j),
                     "quantised_weights", (json_int_t)weights, "quantised_bytes", (json_int_t)bytes, "bits_per_quantised_weight",
                     8.0 * (double)bytes / (double)weights, "bits_per_weight_of_the_whole", 8.0 * (double)total_bytes / (double)all,
                     "matrices", matrices);
}

static enum pl_status write_all(const struct ptq_job *j, json_t *map, json_t *matrices)
{
    uint64_t total = 0;
    json_t *config;
    PL_TRY(collect(j, map, matrices, &total));
    PL_TRY(put_json(j, "model.safetensors.index.json",
                    json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map)));
    PL_TRY(put_json(j, "report.json", report(j, matrices, total)));
    PL_TRY(copy(j, "tokenizer.json"));
    PL_TRY(copy(j, "generation_config.json"));
    PL_TRY(pl_json_load(pl_path_join(j->a, j->ck->dir, "config.json"), &config, j->d));
    json_object_set_new(config, "tie_word_embeddings", json_false());
    json_object_set_new(config, "plena_quantization", recipe(j));
    PL_TRY(put_json(j, "config.json", config));
    unlink(pl_path_join(j->a, j->dir, state_name));
    return PL_OK;
}

enum pl_status ptq_finish(const struct ptq_job *j)
{
    json_t *map = json_object(), *matrices = json_array();
    const enum pl_status s = write_all(j, map, matrices);
    json_decref(map);
    json_decref(matrices);
    return s;
}
