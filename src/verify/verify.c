/* verify.c - sets the abstract machine up, runs every entry with every kind of parameter, collects the errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify_internal.h"

enum { MOST_STEPS = 1 << 25, MOST_WORDS = 4096 };

static void put_error(struct ver *v, uint32_t pc, bool unproved, const char *reason)
{
    char text[128] = "?";
    if (pc < v->img->n_code) {
        if (v->failed[pc])
            return;
        v->failed[pc] = 1;
        pl_isa_format(&v->code[pc], text, sizeof text);
    }
    if (v->n_error == PL_VERIFY_MOST_ERRORS)
        return;
    const bool named = pc < v->img->n_code && v->op_of[pc] < v->img->n_op;
    v->error[v->n_error++] = (struct pl_verify_error){pc, pl_arena_strdup(v->a, text), named ? v->img->op[v->op_of[pc]].name : "",
                                                      pl_arena_strdup(v->a, reason), unproved};
    v->n_unproved += unproved;
}

static void put_here(struct ver *v, bool unproved, const char *fmt, va_list ap)
{
    char reason[512];
    vsnprintf(reason, sizeof reason, fmt, ap);
    put_error(v, v->pc, unproved, reason);
}

void ver_fail(struct ver *v, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_here(v, false, fmt, ap);
    va_end(ap);
}

void ver_doubt(struct ver *v, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_here(v, true, fmt, ap);
    va_end(ap);
}

/* Instructions, operators, ends of loops. False: the program breaks a static rule, and the rest has no meaning. */
static bool decode(struct ver *v)
{
    const struct pl_image *img = v->img;
    struct pl_diag d;
    uint32_t stack[64], depth = 0;
    size_t op = 0;
    for (uint32_t pc = 0; pc < img->n_code; pc++) {
        while (op < img->n_op && img->op[op].end <= pc)
            op++;
        v->op_of[pc] = (uint16_t)(op < img->n_op && img->op[op].begin <= pc ? op : img->n_op);
        if (pl_isa_decode(img->code[pc], &v->code[pc], &d) != PL_OK) {
            v->code[pc] = (struct pl_insn){.op = PL_C_HALT};
            char text[64];
            snprintf(text, sizeof text, "word 0x%08X is no instruction", img->code[pc]);
            put_error(v, pc, false, text);
            return false;
        }
    }
    if (pl_isa_check(img->code, img->n_code, &d) != PL_OK) {
        uint32_t pc = 0;
        if (sscanf(d.text, "pc %u", &pc) != 1)
            pc = 0;
        const char *reason = strrchr(d.text, ':');
        put_error(v, pc, false, reason ? reason + 2 : d.text);
        return false;
    }
    for (uint32_t pc = 0; pc < img->n_code; pc++) {
        if (v->code[pc].op == PL_C_LOOP_START || v->code[pc].op == PL_C_LOOP_REG)
            stack[depth++] = pc;
        else if (v->code[pc].op == PL_C_LOOP_END)
            v->match[stack[--depth]] = pc;
    }
    return true;
}

/* ---- what the words of a program's parameters may hold ---- */
static bool constant(const struct pl_image *img, const char *name, uint32_t *out)
{
    uint64_t x;
    struct pl_diag d;
    if (pl_image_find(img->constant, img->n_const, name, &x, &d) != PL_OK || x > UINT32_MAX || x == 0)
        return false;
    *out = (uint32_t)x;
    return true;
}

struct span { /* words that hold one kind of number */
    uint32_t word, n;
};
struct params {
    struct pl_verify_word *w; /* [MOST_WORDS] that hold a range */
    size_t n;
    struct span tiles[2], first[2]; /* KV tiles of a pass, and the first one a windowed layer needs: of a sequence, of a batch */
    struct span blocks, last;       /* blocks of rows of a prefill pass that hold tokens, and the row of its last token */
    uint32_t most_tiles, chunk, blen;
    bool windowed;
};

static void add_words(const struct ver *v, struct params *p, uint64_t at, uint32_t n, struct pl_verify_word range)
{
    for (uint32_t k = 0; k < n && p->n < MOST_WORDS && at + k < v->arch->int_words; k++) {
        range.word = (uint32_t)at + k;
        p->w[p->n++] = range;
    }
}

static void parameters(struct ver *v, struct params *p)
{
    const struct pl_image *img = v->img;
    uint32_t chunk = 1, context, vocab, kv_tile, batch = 1, capacity = 0, window = 0;
    if (!constant(img, "context", &context) || !constant(img, "vocab", &vocab) || !constant(img, "kv_tile", &kv_tile))
        return;
    (void)constant(img, "chunk", &chunk);
    (void)constant(img, "batch", &batch);
    (void)constant(img, "capacity", &capacity);
    p->windowed = constant(img, "window", &window);
    p->most_tiles = (context - 1) / kv_tile;
    p->chunk = chunk;
    p->blen = img->plan.blen;
    for (size_t i = 0; i < img->n_param; i++) {
        const char *name = img->param[i].name;
        const uint64_t at = img->param[i].value;
        const bool many = !strncmp(name, "batch_", 6);
        const struct span one = {(uint32_t)at, many ? batch : 1};
        if (at >= v->arch->int_words)
            continue;
        if (!strcmp(name, "pos") || !strcmp(name, "batch_pos"))
            add_words(v, p, at, one.n, (struct pl_verify_word){0, 0, context - 1, 1});
        else if (!strcmp(name, "last"))
            p->last = one;
        else if (!strcmp(name, "blocks"))
            p->blocks = one;
        else if (!strcmp(name, "ids"))
            add_words(v, p, at, chunk > batch ? chunk : batch, (struct pl_verify_word){0, 0, vocab - 1, 1});
        else if (!strcmp(name, "kv_row"))
            add_words(v, p, at, 1, (struct pl_verify_word){0, 0, capacity * (batch - 1), capacity});
        else if (!strcmp(name, "tiles") || !strcmp(name, "batch_tiles"))
            p->tiles[many] = one;
        else if (!strcmp(name, "first") || !strcmp(name, "batch_first"))
            p->first[many] = one;
    }
}

static void set_word(struct ver *v, const struct pl_verify_word *w)
{
    if (w->word < v->arch->int_words)
        v->word[w->word] = (struct word){{w->lo, w->hi, w->lo == w->hi ? 0 : w->step ? w->step : 1}, true};
}

static void reset(struct ver *v)
{
    const struct pl_arch *a = v->arch;
    v->r = (struct regs){0};
    v->depth = 0;
    v->n_ev = 0;
    memset(v->word, 0, a->int_words * sizeof *v->word);
    memset(v->fp_word, 0, a->fp_words);
    memset(v->tile, 0, a->matrix_tiles * sizeof *v->tile);
    memset(v->fp_word, 1, v->img->n_fp);
    for (size_t i = 0; i < v->img->n_int; i++)
        v->word[i] = (struct word){VAL((int64_t)v->img->intmem[i]), true};
}

static enum pl_status run(struct ver *v, uint32_t pc)
{
    v->budget = v->steps + MOST_STEPS;
    const enum flow f = ver_range(v, pc, (uint32_t)v->img->n_code);
    v->pc = pc;
    v->stopped |= f == FLOW_STOP;
    if (f == FLOW_ON && (v->r.acc[0].used || v->r.acc[1].used || v->r.pending.valid))
        ver_fail(v, "the program from here ends with products that were never written out");
    if (f == FLOW_EXIT)
        ver_fail(v, "C_EXIT outside of any loop");
    if (v->steps > v->budget)
        return pl_fail(v->d, PL_EUNSUPPORTED, "a loop of the program is neither short nor steady: %d steps do not suffice", MOST_STEPS);
    return PL_OK;
}

static void set_span(struct ver *v, const struct span *x, uint32_t value)
{
    for (uint32_t k = 0; k < x->n; k++)
        set_word(v, &(struct pl_verify_word){x->word + k, value, value, 0});
}

struct choice {
    uint32_t tiles, first;
};

/* Numbers of KV tiles, and of those that a window leaves out, that stand for all. */
static size_t choices(const struct params *p, struct choice *out)
{
    const uint32_t most = p->most_tiles, tiles[] = {0, 1, 2, 3, most ? most - 1 : 0, most};
    size_t n = 0;
    if (!p->tiles[0].n && !p->tiles[1].n) {
        out[0] = (struct choice){0, 0};
        return 1;
    }
    for (size_t i = 0; i < PL_COUNT(tiles); i++)
        for (uint32_t behind = 0; behind <= 3; behind++) {
            if (i && (tiles[i] > most || tiles[i] <= tiles[i - 1]))
                break;
            if (behind && (!p->windowed || behind > tiles[i]))
                break;
            out[n++] = (struct choice){tiles[i], behind ? tiles[i] - behind + 1 : 0};
        }
    return n;
}

/* Numbers of blocks of BLEN rows that stand for all. */
static size_t block_choices(const struct params *p, uint32_t out[3])
{
    const uint32_t most = p->blen ? (p->chunk + p->blen - 1) / p->blen : 1, blocks[] = {most, 1, 2};
    size_t n = 1;
    out[0] = most;
    for (size_t i = 1; p->blocks.n && i < PL_COUNT(blocks); i++)
        if (blocks[i] < most)
            out[n++] = blocks[i];
    return n;
}

/* The words of one run. */
static void set_words(struct ver *v, const struct params *p, const struct choice *c, uint32_t blocks)
{
    const uint32_t before = p->blocks.n ? (blocks - 1) * p->blen : 0;
    const uint64_t end = (uint64_t)blocks * p->blen;
    for (size_t k = 0; k < p->n; k++)
        set_word(v, &p->w[k]);
    for (unsigned k = 0; k < 2; k++) {
        set_span(v, &p->tiles[k], c->tiles);
        set_span(v, &p->first[k], c->first);
    }
    set_span(v, &p->blocks, blocks);
    if (p->last.n)
        set_word(v, &(struct pl_verify_word){p->last.word, before, (uint32_t)(end < p->chunk ? end : p->chunk) - 1, 1});
}

static enum pl_status run_all(struct ver *v, const struct pl_verify_word *more, size_t n_more, uint64_t *runs)
{
    struct params p = {.w = pl_alloc(v->a, MOST_WORDS * sizeof *p.w)};
    struct choice choice[32];
    uint32_t blocks[3];
    parameters(v, &p);
    const size_t n = choices(&p, choice), n_blocks = block_choices(&p, blocks);
    const struct pl_named start = {"", 0};
    const struct pl_named *entry = v->img->n_entry ? v->img->entry : &start;
    const size_t n_entry = v->img->n_entry ? v->img->n_entry : 1;
    for (size_t e = 0; e < n_entry; e++)
        for (size_t i = 0; i < n * n_blocks; i++) {
            reset(v);
            set_words(v, &p, &choice[i / n_blocks], blocks[i % n_blocks]);
            for (size_t k = 0; k < n_more; k++)
                set_word(v, &more[k]);
            (*runs)++;
            PL_TRY(run(v, (uint32_t)entry[e].value));
        }
    return PL_OK;
}

static void find_unreachable(struct ver *v)
{
    for (uint32_t pc = 0; pc < v->img->n_code; pc++)
        if (!v->reached[pc] && (pc == 0 || v->reached[pc - 1])) {
            v->pc = pc;
            ver_fail(v, "can never be reached");
        }
}

/* What the interpretation does not follow: which experts a run chooses. */
static enum pl_status check_followed(const struct ver *v)
{
    for (uint32_t pc = 0; pc < v->img->n_code; pc++)
        if (v->code[pc].op == PL_V_ROUTE || v->code[pc].op == PL_V_PICK)
            return pl_fail(v->d, PL_EUNSUPPORTED, "pc %u: the verifier does not follow programs whose experts are chosen at run time", pc);
    return PL_OK;
}

enum pl_status pl_verify(struct pl_arena *a, const struct pl_arch *arch, const struct pl_image *img,
                         const struct pl_verify_word *more, size_t n_more, struct pl_verify_report *out, struct pl_diag *d)
{
    *out = (struct pl_verify_report){.words = img->n_code};
    PL_TRY(pl_image_check(img, d));
    if (img->plan.mlen != arch->mlen || img->plan.blen != arch->blen || img->plan.hlen != arch->hlen || img->plan.vlen != arch->vlen)
        return pl_fail(d, PL_ERANGE, "the image is for another shape of machine than %s", arch->name);
    if (img->n_fp > arch->fp_words || img->n_int > arch->int_words || img->n_op >= UINT16_MAX)
        return pl_fail(d, PL_ERANGE, "the image does not fit machine %s", arch->name);
    struct ver *v = PL_NEW(a, struct ver);
    v->arch = arch;
    v->img = img;
    v->a = a;
    v->d = d;
    v->pitch = pl_arch_pitch(arch);
    v->tile_size = (uint64_t)arch->mlen * arch->mlen;
    v->vsram_size = (uint64_t)arch->vector_rows * arch->vlen;
    v->code = PL_NEW_N(a, struct pl_insn, img->n_code + 1);
    v->match = PL_NEW_N(a, uint32_t, img->n_code + 1);
    v->op_of = PL_NEW_N(a, uint16_t, img->n_code + 1);
    v->reached = PL_NEW_N(a, uint8_t, img->n_code + 1);
    v->failed = PL_NEW_N(a, uint8_t, img->n_code + 1);
    v->word = PL_NEW_N(a, struct word, arch->int_words);
    v->fp_word = PL_NEW_N(a, uint8_t, arch->fp_words);
    v->tile = PL_NEW_N(a, struct tile, arch->matrix_tiles);
    enum pl_status s = PL_OK;
    if (decode(v)) {
        s = check_followed(v);
        if (s == PL_OK)
            s = run_all(v, more, n_more, &out->runs);
        if (s == PL_OK && !v->stopped)
            find_unreachable(v);
    }
    free(v->ev);
    struct pl_verify_error *e = PL_NEW_N(a, struct pl_verify_error, v->n_error + 1);
    memcpy(e, v->error, v->n_error * sizeof *e);
    out->error = e;
    out->n_error = v->n_error;
    out->n_unproved = v->n_unproved;
    out->steps = v->steps;
    out->skipped = v->skipped;
    for (size_t pc = 0; pc < img->n_code; pc++)
        out->reached += v->reached[pc] != 0;
    return s;
}

void pl_verify_text(const struct pl_verify_error *e, struct pl_buf *out)
{
    pl_buf_printf(out, "pc %u%s%s%s: %s: %s%s", e->pc, e->op[0] ? " (" : "", e->op, e->op[0] ? ")" : "", e->insn,
                  e->unproved ? "not proved: " : "", e->reason);
}

enum pl_status pl_verify_image(const struct pl_arch *arch, const struct pl_image *img, struct pl_diag *d)
{
    struct pl_arena a;
    struct pl_verify_report r;
    pl_arena_init(&a);
    enum pl_status s = pl_verify(&a, arch, img, NULL, 0, &r, d);
    if (s == PL_OK && r.n_error > r.n_unproved) {
        struct pl_buf b;
        size_t i = 0;
        while (r.error[i].unproved)
            i++;
        pl_buf_init(&b);
        pl_verify_text(&r.error[i], &b);
        s = pl_fail(d, PL_EFAULT, "%s", b.data);
        pl_buf_fini(&b);
    }
    pl_arena_fini(&a);
    return s;
}
