/* fuzz.h - a fuzz target: one property that must hold for any bytes, and the seeds it starts from.
 *
 * A target is linked twice: with libFuzzer (option `fuzz`, clang) and with replay.c, an ordinary
 * test. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_H
#define FUZZ_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plena/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* Hand every seed to `emit`. */
typedef void fuzz_emit(void *ctx, const void *data, size_t len);
void fuzz_seeds(fuzz_emit *emit, void *ctx);

/* The property: a finding when it does not hold. */
#define PROPERTY(x, d)                                                                             \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold; %s\n", __FILE__, __LINE__, #x, (d)->text);   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A refusal says why. */
static inline void fuzz_refused(const struct pl_diag *d)
{
    PROPERTY(d->text[0] && strlen(d->text) < sizeof d->text, d);
}

/* A file of the repository as a seed, its first `most` bytes. */
static inline void fuzz_seed_file(fuzz_emit *emit, void *ctx, const char *path, size_t most)
{
    struct pl_map m;
    struct pl_diag d = {{0}};
    PROPERTY(pl_file_map(path, &m, &d) == PL_OK, &d);
    emit(ctx, m.data, m.len < most ? m.len : most);
    pl_file_unmap(&m);
}
#endif
