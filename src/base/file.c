/* file.c - mapping whole files, writing whole files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum pl_status pl_file_map(const char *path, struct pl_map *out, struct pl_diag *d)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hang us */
    if (fd < 0)
        return pl_fail(d, PL_EIO, "%s: %s", path, strerror(errno));
    enum pl_status s = PL_OK;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        s = pl_fail(d, PL_EIO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        s = pl_fail(d, PL_EIO, "%s: is not a regular file", path);
    } else if (st.st_size == 0) {
        *out = (struct pl_map){(const uint8_t *)"", 0};
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            s = pl_fail(d, PL_EIO, "%s: cannot map: %s", path, strerror(errno));
        else
            *out = (struct pl_map){p, (size_t)st.st_size};
    }
    close(fd);
    return s;
}

void pl_file_unmap(struct pl_map *m)
{
    if (m->len)
        munmap((void *)(uintptr_t)m->data, m->len);
    *m = (struct pl_map){0};
}

static enum pl_status write_all(int fd, const char *name, const char *p, size_t n, struct pl_diag *d)
{
    while (n) {
        const ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return pl_fail(d, PL_EIO, "%s: cannot write: %s", name, strerror(errno));
        p += k;
        n -= (size_t)k;
    }
    if (fsync(fd) < 0 && errno != EINVAL)
        return pl_fail(d, PL_EIO, "%s: cannot write: %s", name, strerror(errno));
    return PL_OK;
}

/* A device or pipe ("/dev/stdout", "/dev/full") is written in place: there is nothing to replace. */
static enum pl_status write_special(const char *path, const void *data, size_t len, struct pl_diag *d)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return pl_fail(d, PL_EIO, "%s: %s", path, strerror(errno));
    const enum pl_status s = write_all(fd, path, data, len, d);
    close(fd);
    return s;
}

enum pl_status pl_file_write(const char *path, const void *data, size_t len, struct pl_diag *d)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return write_special(path, data, len, d);
    struct pl_buf tmp;
    pl_buf_init(&tmp);
    pl_buf_printf(&tmp, "%s.tmpXXXXXX", path);
    enum pl_status s;
    const int fd = mkstemp(tmp.data);
    if (fd < 0) {
        s = pl_fail(d, PL_EIO, "%s: cannot create: %s", path, strerror(errno));
        goto out;
    }
    s = write_all(fd, path, data, len, d);
    if (s == PL_OK && fchmod(fd, 0644) < 0)
        s = pl_fail(d, PL_EIO, "%s: %s", path, strerror(errno));
    if (close(fd) < 0 && s == PL_OK)
        s = pl_fail(d, PL_EIO, "%s: cannot write: %s", path, strerror(errno));
    if (s == PL_OK && rename(tmp.data, path) < 0)
        s = pl_fail(d, PL_EIO, "%s: cannot replace: %s", path, strerror(errno));
    if (s != PL_OK)
        unlink(tmp.data);
out:
    pl_buf_fini(&tmp);
    return s;
}

bool pl_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *pl_path_join(struct pl_arena *a, const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    if (n == 0 || name[0] == '/')
        return pl_arena_strdup(a, name);
    return pl_arena_printf(a, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
}
