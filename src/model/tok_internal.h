/* tok_internal.h - the parts of a tokenizer: vocabulary, pipeline steps, added tokens. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_TOK_INTERNAL_H
#define PLENA_TOK_INTERNAL_H
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "plena/base_json.h"
#include "plena/model.h"

#define TOK_NONE UINT32_MAX

struct tok_str {
    const char *s;
    size_t len;
};
struct tok_token {
    struct tok_str text;
    bool used, special;
    int16_t byte; /* value of a "<0xNN>" token, or -1 */
};
struct tok_added {
    struct tok_str text;
    uint32_t id;
    bool lstrip, rstrip, normalized;
};
enum tok_kind {
    TOK_PREPEND,   /* normalizer: text before a non-empty segment */
    TOK_REPLACE,   /* normalizer, decoder: pattern (regex or literal) to text */
    TOK_UNICODE,   /* normalizer: NFC, NFD, NFKC, NFKD */
    TOK_SPLIT,     /* pre-tokenizer: regex; isolated or removed */
    TOK_BYTES,     /* pre-tokenizer: bytes to the 256 printable characters of GPT-2 */
    TOK_METASPACE, /* pre-tokenizer */
};
enum tok_prepend { TOK_NEVER, TOK_FIRST, TOK_ALWAYS };
struct tok_step {
    enum tok_kind kind;
    pcre2_code *re;
    struct tok_str from, to;
    int form;                  /* TOK_UNICODE: utf8proc options */
    bool remove, invert;       /* TOK_SPLIT */
    bool split;                /* TOK_METASPACE */
    enum tok_prepend prepend;  /* TOK_METASPACE, and a space by TOK_BYTES (ALWAYS or NEVER) */
};
enum { TOK_MAX_STEPS = 16, TOK_MAX_SPECIAL = 8 };
struct tok_decoder {
    bool present, bytes, byte_fallback;
    struct tok_step replace[TOK_MAX_STEPS];
    unsigned n_replace;
    struct tok_str strip; /* character removed at the start, up to strip_start times */
    unsigned strip_start;
};
struct pl_tokenizer {
    struct pl_arena arena;
    struct tok_token *token; /* by id */
    uint32_t n;
    uint32_t *slot; /* text -> id, open addressing */
    uint32_t slot_mask;
    struct tok_merge {
        uint64_t pair; /* left id << 32 | right id; UINT64_MAX: free */
        uint32_t rank, id;
    } *merge;
    uint32_t merge_mask;
    uint32_t byte_id[256]; /* "<0xNN>" */
    uint32_t unk;          /* or TOK_NONE */
    bool fuse_unk, byte_fallback, ignore_merges;
    struct tok_step normal[TOK_MAX_STEPS], pre[TOK_MAX_STEPS];
    unsigned n_normal, n_pre;
    struct tok_added *added;
    size_t n_added;
    uint32_t before[TOK_MAX_SPECIAL], after[TOK_MAX_SPECIAL];
    unsigned n_before, n_after;
    struct tok_decoder decoder;
    pcre2_code *regex[2 * TOK_MAX_STEPS]; /* to be freed */
    unsigned n_regex;
    bool nul; /* the file spells NUL as a key; see tokenizer.c */
};

/* tokenizer.c */
uint32_t tok_find(const struct pl_tokenizer *t, const char *s, size_t len);
/* A JSON string as bytes in the tokenizer's arena, the stand-in for NUL put back. */
struct tok_str tok_string(struct pl_tokenizer *t, const json_t *v);

/* tok_parse.c: everything of the file but the model's tables */
enum pl_status tok_parse_pipeline(struct pl_tokenizer *t, const char *file, const json_t *root, struct pl_diag *d);

/* tok_bpe.c: merge one word; ids are appended */
struct tok_ids {
    uint32_t *v;
    size_t n, cap;
};
void tok_push(struct tok_ids *ids, uint32_t id);
enum pl_status tok_bpe(const struct pl_tokenizer *t, const char *s, size_t len, struct tok_ids *out, struct pl_diag *d);

/* tok_bytes.c: UTF-8 and the byte-level alphabet */
unsigned tok_char_len(const char *s, size_t len); /* 1 for a byte that starts no character; len > 0 */
unsigned tok_byte_char(unsigned byte, char *out); /* its character of the byte-level alphabet, UTF-8; returns 1 or 2 */
int tok_char_byte(const char *s, size_t len);     /* the byte a character stands for, or -1 */
#endif
