/* checkpoint.c - a checkpoint folder: shards, and the tensors of the model with their shapes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_internal.h"

static enum pl_status open_shard(struct pl_arena *a, struct pl_checkpoint *ck, const char *path,
                                 struct pl_safetensors *out, struct pl_diag *d)
{
    PL_TRY(pl_file_map(path, &ck->map[ck->n_map], d));
    const struct pl_map *m = &ck->map[ck->n_map++];
    return pl_safetensors_parse(a, path, m->data, m->len, out, d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_tensor *)a)->name, ((const struct pl_tensor *)b)->name);
}

/* Each shard named in the weight map once; a name must stay inside the folder. */
static enum pl_status shard_names(struct pl_arena *a, const char *index, json_t *map, const char ***names, size_t *n,
                                  struct pl_diag *d)
{
    const char **list = PL_NEW_N(a, const char *, json_object_size(map));
    const char *tensor;
    json_t *v;
    *n = 0;
    json_object_foreach(map, tensor, v)
    {
        const char *s = json_string_value(v);
        if (!s || !*s || strchr(s, '/') || s[0] == '.')
            return pl_fail(d, PL_EPARSE, "%s: weight_map.%.200s: expected the name of a file in this folder", index,
                           tensor);
        size_t i = 0;
        while (i < *n && strcmp(list[i], s) != 0)
            i++;
        if (i == *n)
            list[(*n)++] = pl_arena_strdup(a, s);
    }
    *names = list;
    return PL_OK;
}

/* Every tensor of the map is in the shard it names. */
static enum pl_status check_weight_map(const char *index, json_t *map, const char *const *names,
                                       const struct pl_safetensors *part, struct pl_diag *d)
{
    const char *tensor;
    json_t *v;
    json_object_foreach(map, tensor, v)
    {
        size_t i = 0;
        while (strcmp(names[i], json_string_value(v)) != 0)
            i++;
        if (!pl_safetensors_find(&part[i], tensor))
            return pl_fail(d, PL_EPARSE, "%s: weight_map.%.200s: no such tensor in %s", index, tensor, names[i]);
    }
    return PL_OK;
}

static enum pl_status open_sharded(struct pl_arena *a, struct pl_checkpoint *ck, const char *index, struct pl_diag *d)
{
    json_t *o, *map;
    PL_TRY(pl_json_load(index, &o, d));
    const struct pl_json_at at = {index, ""};
    const char **names = NULL;
    size_t n = 0;
    enum pl_status s = pl_json_member(&at, o, "weight_map", true, JSON_OBJECT, &map, d);
    if (s == PL_OK)
        s = shard_names(a, index, map, &names, &n, d);
    struct pl_safetensors *part = PL_NEW_N(a, struct pl_safetensors, n);
    ck->map = PL_NEW_N(a, struct pl_map, n);
    size_t total = 0;
    for (size_t i = 0; i < n && s == PL_OK; i++) {
        s = open_shard(a, ck, pl_path_join(a, ck->dir, names[i]), &part[i], d);
        total += part[i].n;
    }
    if (s == PL_OK)
        s = check_weight_map(index, map, names, part, d);
    json_decref(o);
    if (s != PL_OK)
        return s;
    ck->tensors.tensor = PL_NEW_N(a, struct pl_tensor, total);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < part[i].n; k++)
            ck->tensors.tensor[ck->tensors.n++] = part[i].tensor[k];
    if (total)
        qsort(ck->tensors.tensor, total, sizeof *ck->tensors.tensor, by_name);
    for (size_t i = 1; i < total; i++)
        if (!strcmp(ck->tensors.tensor[i - 1].name, ck->tensors.tensor[i].name))
            return pl_fail(d, PL_EPARSE, "%s: tensor \"%.200s\" is in two shards", index, ck->tensors.tensor[i].name);
    return PL_OK;
}

static enum pl_status open_tensors(struct pl_arena *a, struct pl_checkpoint *ck, struct pl_diag *d)
{
    const char *one = pl_path_join(a, ck->dir, "model.safetensors");
    const char *index = pl_path_join(a, ck->dir, "model.safetensors.index.json");
    if (pl_file_exists(index))
        return open_sharded(a, ck, index, d);
    if (!pl_file_exists(one))
        return pl_fail(d, PL_EIO, "%s: holds neither model.safetensors nor model.safetensors.index.json", ck->dir);
    ck->map = PL_NEW(a, struct pl_map);
    return open_shard(a, ck, one, &ck->tensors, d);
}

/* A part of a quantised tensor: U8 [rows, width]. */
static enum pl_status need_bytes(const struct pl_checkpoint *ck, const char *name, const char *part, uint64_t rows, uint64_t width,
                                 const struct pl_tensor **out, struct pl_diag *d)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, part);
    const struct pl_tensor *t = pl_safetensors_find(&ck->tensors, full);
    if (!t)
        return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\" is missing", ck->dir, full);
    if (strcmp(t->dtype_name, "U8") != 0 || t->rank != 2 || t->shape[0] != rows || t->shape[1] != width)
        return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\": expected U8 [%llu, %llu], the rows of the format in config.json", ck->dir,
                       full, (unsigned long long)rows, (unsigned long long)width);
    *out = t;
    return PL_OK;
}

/* The tensor `name` of [rows, cols] from its packed elements and scales. */
static enum pl_status need_mx(struct pl_arena *a, const struct pl_checkpoint *ck, const char *name, uint64_t rows, uint64_t cols,
                              const struct pl_tensor **out, struct pl_diag *d)
{
    const struct pl_format *f = &ck->config.weight;
    const struct pl_tensor *elements, *scales;
    PL_TRY(need_bytes(ck, name, "mx_elements", rows, pl_format_row_bytes(f, cols), &elements, d));
    PL_TRY(need_bytes(ck, name, "mx_scales", rows, pl_format_row_scales(f, cols), &scales, d));
    for (uint64_t i = 0; i < scales->bytes; i++)
        if (scales->data[i] == 255)
            return pl_fail(d, PL_EPARSE, "%s: tensor \"%s.mx_scales\": row %llu holds the scale 255, which is NaN: a damaged file",
                           ck->dir, name, (unsigned long long)(i / scales->shape[1]));
    struct pl_tensor *t = PL_NEW(a, struct pl_tensor);
    *t = (struct pl_tensor){.name = pl_arena_strdup(a, name), .dtype_name = "MX", .dtype = PL_DTYPE_MX, .rank = 2,
                            .shape = {rows, cols}, .data = elements->data, .bytes = elements->bytes + scales->bytes,
                            .count = rows * cols, .format = f, .scale = scales->data};
    *out = t;
    return PL_OK;
}

/* The tensor `name` of shape [rows, cols], or [cols] when rows is 0. */
static enum pl_status need(struct pl_checkpoint *ck, const char *name, uint64_t rows, uint64_t cols,
                           const struct pl_tensor **out, struct pl_diag *d)
{
    const struct pl_tensor *t = pl_safetensors_find(&ck->tensors, name);
    if (!t)
        return pl_fail(d, PL_EPARSE, "%s: tensor \"%s\" is missing", ck->dir, name);
    const unsigned rank = rows ? 2 : 1;
    if (t->rank != rank || t->shape[rank - 1] != cols || (rows && t->shape[0] != rows)) {
        char found[128] = "";
        for (unsigned i = 0, n = 0; i < t->rank && n < 100; i++)
            n += (unsigned)snprintf(found + n, sizeof found - n, "%s%llu", i ? ", " : "",
                                    (unsigned long long)t->shape[i]);
        return rows ? pl_fail(d, PL_EPARSE, "%s: tensor \"%s\" has shape [%s], expected [%llu, %llu]", ck->dir, name,
                              found, (unsigned long long)rows, (unsigned long long)cols)
                    : pl_fail(d, PL_EPARSE, "%s: tensor \"%s\" has shape [%s], expected [%llu]", ck->dir, name, found,
                              (unsigned long long)cols);
    }
    if (t->dtype == PL_DTYPE_OTHER)
        return pl_fail(d, PL_EUNSUPPORTED, "%s: tensor \"%s\" has dtype %s; supported: F32, F16, BF16", ck->dir, name,
                       t->dtype_name);
    *out = t;
    return PL_OK;
}

static enum pl_status bind_all(struct pl_arena *a, struct pl_checkpoint *ck, struct pl_diag *d)
{
    size_t n;
    const struct model_want *w = model_wants(a, ck, &n);
    for (size_t i = 0; i < n; i++) {
        PL_TRY(model_fused(a, ck, &w[i], w[i].out, d));
        if (*w[i].out)
            continue;
        if (w[i].linear && ck->config.quantised)
            PL_TRY(need_mx(a, ck, w[i].name, w[i].rows, w[i].cols, w[i].out, d));
        else
            PL_TRY(need(ck, w[i].name, w[i].rows, w[i].cols, w[i].out, d));
    }
    if (ck->config.tied)
        ck->lm_head = ck->embed;
    return PL_OK;
}

enum pl_status pl_checkpoint_open(struct pl_arena *a, const char *dir, struct pl_checkpoint **out, struct pl_diag *d)
{
    struct pl_checkpoint *ck = PL_NEW(a, struct pl_checkpoint);
    ck->dir = pl_arena_strdup(a, dir);
    PL_TRY(pl_model_config_load(pl_path_join(a, dir, "config.json"), &ck->config, d));
    enum pl_status s = open_tensors(a, ck, d);
    if (s == PL_OK)
        s = bind_all(a, ck, d);
    if (s != PL_OK) {
        pl_checkpoint_close(ck);
        return s;
    }
    *out = ck;
    return PL_OK;
}

enum pl_status pl_checkpoint_describe(struct pl_arena *a, const char *config, struct pl_checkpoint **out, struct pl_diag *d)
{
    struct pl_checkpoint *ck = PL_NEW(a, struct pl_checkpoint);
    ck->dir = pl_arena_strdup(a, config);
    PL_TRY(pl_model_config_load(config, &ck->config, d));
    *out = ck;
    return PL_OK;
}

void pl_checkpoint_close(struct pl_checkpoint *ck)
{
    for (size_t i = 0; ck && i < ck->n_map; i++)
        pl_file_unmap(&ck->map[i]);
    if (ck)
        ck->n_map = 0;
}
