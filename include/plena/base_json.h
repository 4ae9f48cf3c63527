/* base_json.h - jansson with our diagnostics: every failure names the file and the key path.
 *
 * Depends on: base.h, jansson.   Threads: one document, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_BASE_JSON_H
#define PLENA_BASE_JSON_H
#include "plena/base.h"

#include <jansson.h>

/* Parse a text; duplicate keys and trailing bytes are errors. Caller json_decref()s *out. */
enum pl_status pl_json_parse(const struct pl_source *src, json_t **out, struct pl_diag *d);
enum pl_status pl_json_load(const char *path, json_t **out, struct pl_diag *d);

/* Where in which file a value stands: "config.json: rope_scaling.factor". */
struct pl_json_at {
    const char *file;
    const char *path; /* "" at the top */
};
/* Typed member access. `need` false: an absent or null member leaves *out alone and is no error. */
enum pl_status pl_json_u64(const struct pl_json_at *at, const json_t *obj, const char *key,
                           bool need, uint64_t least, uint64_t most, uint64_t *out,
                           struct pl_diag *d);
enum pl_status pl_json_double(const struct pl_json_at *at, const json_t *obj, const char *key,
                              bool need, double *out, struct pl_diag *d); /* finite */
enum pl_status pl_json_bool(const struct pl_json_at *at, const json_t *obj, const char *key,
                            bool need, bool *out, struct pl_diag *d);
enum pl_status pl_json_string(const struct pl_json_at *at, const json_t *obj, const char *key,
                              bool need, const char **out, struct pl_diag *d); /* lives with obj */
enum pl_status pl_json_member(const struct pl_json_at *at, const json_t *obj, const char *key,
                              bool need, json_type type, json_t **out,
                              struct pl_diag *d); /* borrowed */
#endif
