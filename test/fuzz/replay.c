/* replay.c - a fuzz target as an ordinary test: its seeds, then random mutations of them, the same
 * on every host.
 *
 *   fuzz_x_replay N           the seeds and N mutations
 *   fuzz_x_replay --seeds DIR writes the seeds to files, for libFuzzer
 *   fuzz_x_replay FILE...     runs files, as libFuzzer leaves them on a finding */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <ctype.h>

enum { MAX_SEEDS = 64, MAX_LEN = 16384 };

struct seeds {
    struct pl_buf item[MAX_SEEDS];
    size_t n;
};

static void keep(void *ctx, const void *data, size_t len)
{
    struct seeds *s = ctx;
    if (s->n == MAX_SEEDS)
        abort();
    struct pl_buf *b = &s->item[s->n++];
    pl_buf_init(b);
    pl_buf_put(b, data, len);
}

/* In a block of exactly its size, so that a sanitizer sees the first byte too far. */
static void run(const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void splice(struct pl_buf *b, size_t at, size_t drop, const void *put, size_t n)
{
    struct pl_buf out;
    pl_buf_init(&out);
    pl_buf_put(&out, b->data, at);
    pl_buf_put(&out, put, n);
    pl_buf_put(&out, b->data + at + drop, b->len - at - drop);
    pl_buf_fini(b);
    *b = out;
}

/* A number in the text becomes another one. */
static void change_number(struct pl_rng *r, struct pl_buf *b, size_t at)
{
    static const char *const value[] = {"0",
                                        "-1",
                                        "1",
                                        "4294967296",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "1e99",
                                        "0.5",
                                        "NaN",
                                        "7",
                                        "65",
                                        "2147483648",
                                        "\"1\"",
                                        "null",
                                        "[]",
                                        "{}"};
    while (at < b->len && !isdigit((unsigned char)b->data[at]))
        at++;
    size_t n = 0;
    while (at + n < b->len && isdigit((unsigned char)b->data[at + n]))
        n++;
    const char *v = value[pl_rng_below(r, PL_COUNT(value))];
    splice(b, at, n, v, strlen(v));
}

static void mutate(struct pl_rng *r, struct pl_buf *b, const struct seeds *s)
{
    static const char mark[] = "\"'{}[]:,#&*!|>-+()%\\\n\t \0\xff\x80_.=;/~";
    const size_t at = pl_rng_below(r, b->len + 1);
    const size_t rest = b->len - at, some = pl_rng_below(r, (rest < 32 ? rest : 32) + 1);
    const char byte = (char)pl_rng_below(r, 256), c = mark[pl_rng_below(r, sizeof mark - 1)];
    switch (pl_rng_below(r, 9)) {
    case 0:
        splice(b, at, rest ? 1 : 0, &byte, 1);
        break;
    case 1:
        if (rest)
            b->data[at] = (char)(b->data[at] ^ 1 << pl_rng_below(r, 8));
        break;
    case 2:
        splice(b, at, 0, &c, 1);
        break;
    case 3:
        splice(b, at, some, "", 0);
        break;
    case 4: { /* say it twice */
        char copy[32];
        memcpy(copy, b->data + at, some);
        splice(b, at, 0, copy, some);
        break;
    }
    case 5: { /* the end of another seed */
        const struct pl_buf *o = &s->item[pl_rng_below(r, s->n)];
        const size_t from = pl_rng_below(r, o->len + 1);
        splice(b, at, rest, o->data + from, o->len - from);
        break;
    }
    case 6:
        if (pl_rng_below(r, 8) == 0)
            splice(b, at, rest, "", 0);
        break;
    default:
        change_number(r, b, at);
    }
}

static void mutations(const struct seeds *s, unsigned long n)
{
    struct pl_rng r;
    pl_rng_init(&r, 20240229);
    for (unsigned long i = 0; i < n; i++) {
        struct pl_buf b;
        const struct pl_buf *seed = &s->item[pl_rng_below(&r, s->n)];
        pl_buf_init(&b);
        pl_buf_put(&b, seed->data, seed->len);
        for (uint64_t k = 1 + pl_rng_below(&r, 4); k; k--)
            mutate(&r, &b, s);
        run(b.data, b.len < MAX_LEN ? b.len : MAX_LEN);
        pl_buf_fini(&b);
    }
}

static int write_seeds(const struct seeds *s, const char *dir)
{
    for (size_t i = 0; i < s->n; i++) {
        char path[1024];
        struct pl_diag d;
        snprintf(path, sizeof path, "%s/seed-%02zu", dir, i);
        if (pl_file_write(path, s->item[i].data, s->item[i].len, &d) != PL_OK) {
            fprintf(stderr, "%s\n", d.text);
            return 1;
        }
    }
    return 0;
}

static int run_file(const char *path)
{
    struct pl_map m;
    struct pl_diag d;
    if (pl_file_map(path, &m, &d) != PL_OK) {
        fprintf(stderr, "%s\n", d.text);
        return 1;
    }
    run(m.data, m.len);
    pl_file_unmap(&m);
    return 0;
}

int main(int argc, char **argv)
{
    static struct seeds s;
    int rc = 0;
    fuzz_seeds(keep, &s);
    if (argc == 3 && !strcmp(argv[1], "--seeds")) {
        rc = write_seeds(&s, argv[2]);
    } else if (argc == 2 && isdigit((unsigned char)argv[1][0])) {
        for (size_t i = 0; i < s.n; i++)
            run(s.item[i].data, s.item[i].len);
        mutations(&s, strtoul(argv[1], NULL, 10));
        printf("%zu seeds, %s mutations\n", s.n, argv[1]);
    } else {
        for (int i = 1; i < argc; i++)
            rc |= run_file(argv[i]);
    }
    for (size_t i = 0; i < s.n; i++)
        pl_buf_fini(&s.item[i]);
    return rc;
}
