/* shipped.c - texts compiled into the program, found by name, or files in their place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "plena/base.h"

enum { MOST_NAMES = 64 };

static enum pl_status neither(const struct pl_shipped *list, const char *what, const char *name, struct pl_diag *d)
{
    const char *names[MOST_NAMES];
    size_t n = 0;
    struct pl_buf all;
    pl_buf_init(&all);
    for (; list[n].name && n < MOST_NAMES; n++) {
        names[n] = list[n].name;
        pl_buf_printf(&all, " %s", names[n]);
    }
    const char *near = pl_nearest(name, names, n);
    const enum pl_status s = pl_fail(d, PL_EIO, "\"%s\" is neither a file nor a shipped %s%s%s%s; shipped:%s", name, what,
                                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"" : "", all.data);
    pl_buf_fini(&all);
    return s;
}

enum pl_status pl_shipped_open(const struct pl_shipped *list, const char *what, const char *name_or_path, struct pl_source *out,
                               struct pl_map *file, struct pl_diag *d)
{
    *file = (struct pl_map){0};
    for (const struct pl_shipped *s = list; s->name; s++)
        if (!strcmp(s->name, name_or_path)) {
            *out = (struct pl_source){s->name, s->text, strlen(s->text)};
            return PL_OK;
        }
    if (!pl_file_exists(name_or_path))
        return neither(list, what, name_or_path, d);
    PL_TRY(pl_file_map(name_or_path, file, d));
    *out = (struct pl_source){name_or_path, (const char *)file->data, file->len};
    return PL_OK;
}
