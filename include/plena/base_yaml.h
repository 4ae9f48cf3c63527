/* base_yaml.h - libyaml documents as a small tree with source positions.
 *
 * Depends on: base.h, libyaml.   Threads: one document, one thread.
 * Aliases, anchors, tags and multiple documents are refused; repeated keys are errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_BASE_YAML_H
#define PLENA_BASE_YAML_H
#include "plena/base.h"

enum pl_yaml_kind { PL_YAML_SCALAR, PL_YAML_MAP, PL_YAML_LIST };

struct pl_yaml {
    enum pl_yaml_kind kind;
    size_t at;                 /* byte offset in the source */
    const char *key;           /* in a map: its key, else NULL */
    size_t key_at;             /* byte offset of the key */
    const char *text;          /* scalar: its text */
    size_t n_child;            /* map, list */
    struct pl_yaml *child;     /* [n_child] */
};
/* Parse `src`; the tree lives in `a`. Nesting deeper than 32 is an error. */
enum pl_status pl_yaml_parse(struct pl_arena *a, const struct pl_source *src, struct pl_yaml **out,
                             struct pl_diag *d);
/* The member of a map, or NULL. */
const struct pl_yaml *pl_yaml_get(const struct pl_yaml *map, const char *key);
#endif
