/* json.c - jansson with our diagnostics. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base_json.h"

#include <math.h>
#include <string.h>

enum pl_status pl_json_parse(const struct pl_source *src, json_t **out, struct pl_diag *d)
{
    json_error_t e;
    json_t *v = json_loadb(src->text, src->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!v) {
        const size_t at = e.position > 0 && (size_t)e.position <= src->len ? (size_t)e.position : 0;
        return pl_fail_at(d, PL_EPARSE, src, at ? at - 1 : 0, "malformed JSON: %s", e.text);
    }
    *out = v;
    return PL_OK;
}

enum pl_status pl_json_load(const char *path, json_t **out, struct pl_diag *d)
{
    struct pl_map m;
    PL_TRY(pl_file_map(path, &m, d));
    const struct pl_source src = {path, (const char *)m.data, m.len};
    const enum pl_status s = pl_json_parse(&src, out, d);
    pl_file_unmap(&m);
    return s;
}

static const char *type_name(json_type t)
{
    static const char *const name[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false", [JSON_NULL] = "null"};
    return name[t];
}

static const char *dot(const struct pl_json_at *at)
{
    return at->path[0] ? "." : "";
}

/* The member, or NULL when it is absent (*s says whether that is an error). */
static json_t *find(const struct pl_json_at *at, const json_t *obj, const char *key, bool need, enum pl_status *s,
                    struct pl_diag *d)
{
    json_t *v = json_object_get(obj, key);
    *s = PL_OK;
    if (v && !json_is_null(v))
        return v;
    if (need)
        *s = pl_fail(d, PL_EPARSE, "%s: %s%s%s: is missing", at->file, at->path, dot(at), key);
    return NULL;
}

static enum pl_status wrong(const struct pl_json_at *at, const char *key, const char *want, const json_t *v,
                            struct pl_diag *d)
{
    return pl_fail(d, PL_EPARSE, "%s: %s%s%s: expected %s, found %s", at->file, at->path, dot(at), key, want,
                   type_name(json_typeof(v)));
}

enum pl_status pl_json_u64(const struct pl_json_at *at, const json_t *obj, const char *key, bool need,
                           uint64_t least, uint64_t most, uint64_t *out, struct pl_diag *d)
{
    enum pl_status s;
    const json_t *v = find(at, obj, key, need, &s, d);
    if (!v)
        return s;
    if (!json_is_integer(v))
        return wrong(at, key, "an integer", v, d);
    const json_int_t x = json_integer_value(v);
    if (x < 0 || (uint64_t)x < least || (uint64_t)x > most)
        return pl_fail(d, PL_ERANGE, "%s: %s%s%s: %lld is outside %llu..%llu", at->file, at->path, dot(at), key,
                       (long long)x, (unsigned long long)least, (unsigned long long)most);
    *out = (uint64_t)x;
    return PL_OK;
}

enum pl_status pl_json_double(const struct pl_json_at *at, const json_t *obj, const char *key, bool need,
                              double *out, struct pl_diag *d)
{
    enum pl_status s;
    const json_t *v = find(at, obj, key, need, &s, d);
    if (!v)
        return s;
    if (!json_is_number(v))
        return wrong(at, key, "a number", v, d);
    const double x = json_number_value(v);
    if (!isfinite(x))
        return pl_fail(d, PL_ERANGE, "%s: %s%s%s: is not finite", at->file, at->path, dot(at), key);
    *out = x;
    return PL_OK;
}

enum pl_status pl_json_bool(const struct pl_json_at *at, const json_t *obj, const char *key, bool need, bool *out,
                            struct pl_diag *d)
{
    enum pl_status s;
    const json_t *v = find(at, obj, key, need, &s, d);
    if (!v)
        return s;
    if (!json_is_boolean(v))
        return wrong(at, key, "true or false", v, d);
    *out = json_is_true(v);
    return PL_OK;
}

enum pl_status pl_json_string(const struct pl_json_at *at, const json_t *obj, const char *key, bool need,
                              const char **out, struct pl_diag *d)
{
    enum pl_status s;
    const json_t *v = find(at, obj, key, need, &s, d);
    if (!v)
        return s;
    if (!json_is_string(v))
        return wrong(at, key, "a string", v, d);
    if (strlen(json_string_value(v)) != json_string_length(v))
        return pl_fail(d, PL_EPARSE, "%s: %s%s%s: holds a NUL character", at->file, at->path, dot(at), key);
    *out = json_string_value(v);
    return PL_OK;
}

enum pl_status pl_json_member(const struct pl_json_at *at, const json_t *obj, const char *key, bool need,
                              json_type type, json_t **out, struct pl_diag *d)
{
    enum pl_status s;
    json_t *v = find(at, obj, key, need, &s, d);
    if (!v)
        return s;
    if (json_typeof(v) != type)
        return wrong(at, key, type_name(type), v, d);
    *out = v;
    return PL_OK;
}
