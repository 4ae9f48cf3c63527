/* tok_parse.c - the pipeline of tokenizer.json: normalizer, pre-tokenizer, post-processor, decoder. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <utf8proc.h>

#include "tok_internal.h"

enum { MAX_PATTERN = 4096 };

/* What is being parsed: a key of the file, and where the steps go. */
struct part {
    struct pl_tokenizer *t;
    struct pl_json_at at;
    struct pl_diag *d;
    struct tok_step *step;
    unsigned *n;
};
typedef enum pl_status parse_one(struct part *p, const json_t *v, const char *type);

static enum pl_status unsupported(const struct part *p, const char *what, const char *value)
{
    return pl_fail(p->d, PL_EUNSUPPORTED, "%s: %s.%s \"%s\" is not supported", p->at.file, p->at.path, what, value);
}

/* Call `one` for v, or for every member of a Sequence. */
static enum pl_status each(struct part *p, const json_t *v, const char *list_key, parse_one *one, unsigned depth)
{
    const char *type = NULL;
    if (!v || json_is_null(v))
        return PL_OK;
    if (!json_is_object(v))
        return pl_fail(p->d, PL_EPARSE, "%s: %s: expected an object", p->at.file, p->at.path);
    PL_TRY(pl_json_string(&p->at, v, "type", true, &type, p->d));
    if (strcmp(type, "Sequence") != 0)
        return one(p, v, type);
    if (depth > 8)
        return pl_fail(p->d, PL_EPARSE, "%s: %s: nested too deeply", p->at.file, p->at.path);
    json_t *list = NULL, *item;
    size_t i;
    PL_TRY(pl_json_member(&p->at, v, list_key, true, JSON_ARRAY, &list, p->d));
    json_array_foreach (list, i, item)
        PL_TRY(each(p, item, list_key, one, depth + 1));
    return PL_OK;
}

static enum pl_status new_step(struct part *p, enum tok_kind kind, struct tok_step **out)
{
    if (*p->n == TOK_MAX_STEPS)
        return pl_fail(p->d, PL_EUNSUPPORTED, "%s: %s: more than %d steps", p->at.file, p->at.path, TOK_MAX_STEPS);
    *out = &p->step[(*p->n)++];
    (*out)->kind = kind;
    return PL_OK;
}

static enum pl_status string(struct part *p, const json_t *v, const char *key, struct tok_str *out)
{
    json_t *s = NULL;
    PL_TRY(pl_json_member(&p->at, v, key, true, JSON_STRING, &s, p->d));
    *out = tok_string(p->t, s);
    return PL_OK;
}

static enum pl_status compile(struct part *p, const char *pattern, size_t len, pcre2_code **out)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    if (len > MAX_PATTERN || p->t->n_regex == PL_COUNT(p->t->regex))
        return pl_fail(p->d, PL_EUNSUPPORTED, "%s: %s: too many or too long patterns", p->at.file, p->at.path);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, len,
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!re) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(code, text, sizeof text);
        return pl_fail(p->d, PL_EPARSE, "%s: %s.pattern: at character %zu: %s", p->at.file, p->at.path, (size_t)at, (char *)text);
    }
    p->t->regex[p->t->n_regex++] = *out = re;
    return PL_OK;
}

/* {"String": s} or {"Regex": s}; a literal is kept in step->from. */
static enum pl_status pattern(struct part *p, const json_t *v, struct tok_step *s)
{
    json_t *o = NULL;
    PL_TRY(pl_json_member(&p->at, v, "pattern", true, JSON_OBJECT, &o, p->d));
    if (!json_object_get(o, "Regex")) {
        PL_TRY(string(p, o, "String", &s->from));
        return s->from.len ? PL_OK : pl_fail(p->d, PL_EPARSE, "%s: %s.pattern: is empty", p->at.file, p->at.path);
    }
    struct tok_str re;
    PL_TRY(string(p, o, "Regex", &re));
    return compile(p, re.s, re.len, &s->re);
}

static enum pl_status replace(struct part *p, const json_t *v)
{
    struct tok_step *s = NULL;
    PL_TRY(new_step(p, TOK_REPLACE, &s));
    PL_TRY(pattern(p, v, s));
    return string(p, v, "content", &s->to);
}

static enum pl_status normalizer(struct part *p, const json_t *v, const char *type)
{
    static const struct {
        const char *name;
        int form;
    } form[] = {{"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
                {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
                {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
    struct tok_step *s = NULL;
    if (!strcmp(type, "Replace"))
        return replace(p, v);
    if (!strcmp(type, "Prepend")) {
        PL_TRY(new_step(p, TOK_PREPEND, &s));
        return string(p, v, "prepend", &s->to);
    }
    for (size_t i = 0; i < PL_COUNT(form); i++)
        if (!strcmp(type, form[i].name)) {
            PL_TRY(new_step(p, TOK_UNICODE, &s));
            s->form = form[i].form;
            return PL_OK;
        }
    return unsupported(p, "type", type);
}

/* "prepend_scheme", or the older "add_prefix_space". */
static enum pl_status prepend(struct part *p, const json_t *v, enum tok_prepend *out)
{
    const char *scheme = NULL;
    bool add = true;
    PL_TRY(pl_json_string(&p->at, v, "prepend_scheme", false, &scheme, p->d));
    PL_TRY(pl_json_bool(&p->at, v, "add_prefix_space", false, &add, p->d));
    if (!scheme)
        scheme = add ? "always" : "never";
    *out = !strcmp(scheme, "always") ? TOK_ALWAYS : !strcmp(scheme, "first") ? TOK_FIRST : TOK_NEVER;
    if (*out == TOK_NEVER && strcmp(scheme, "never") != 0)
        return unsupported(p, "prepend_scheme", scheme);
    return PL_OK;
}

static enum pl_status metaspace(struct part *p, const json_t *v)
{
    struct tok_step *s = NULL;
    PL_TRY(new_step(p, TOK_METASPACE, &s));
    s->split = true;
    PL_TRY(string(p, v, "replacement", &s->to));
    PL_TRY(pl_json_bool(&p->at, v, "split", false, &s->split, p->d));
    return prepend(p, v, &s->prepend);
}

static enum pl_status byte_level(struct part *p, const json_t *v)
{
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    struct tok_step *split = NULL, *bytes = NULL;
    bool use_regex = true, prefix = true;
    PL_TRY(pl_json_bool(&p->at, v, "use_regex", false, &use_regex, p->d));
    PL_TRY(pl_json_bool(&p->at, v, "add_prefix_space", false, &prefix, p->d));
    if (prefix) {
        PL_TRY(new_step(p, TOK_PREPEND, &split));
        split->to = (struct tok_str){" ", 1};
    }
    if (use_regex) {
        PL_TRY(new_step(p, TOK_SPLIT, &split));
        PL_TRY(compile(p, gpt2, sizeof gpt2 - 1, &split->re));
    }
    return new_step(p, TOK_BYTES, &bytes);
}

static enum pl_status split(struct part *p, const json_t *v)
{
    struct tok_step *s = NULL;
    const char *behavior = "Isolated";
    PL_TRY(new_step(p, TOK_SPLIT, &s));
    PL_TRY(pl_json_string(&p->at, v, "behavior", false, &behavior, p->d));
    PL_TRY(pl_json_bool(&p->at, v, "invert", false, &s->invert, p->d));
    s->remove = !strcmp(behavior, "Removed");
    if (!s->remove && strcmp(behavior, "Isolated") != 0)
        return unsupported(p, "behavior", behavior);
    return pattern(p, v, s);
}

static enum pl_status pre_tokenizer(struct part *p, const json_t *v, const char *type)
{
    if (!strcmp(type, "ByteLevel"))
        return byte_level(p, v);
    if (!strcmp(type, "Metaspace"))
        return metaspace(p, v);
    if (!strcmp(type, "Split"))
        return split(p, v);
    if (!strcmp(type, "Digits")) {
        struct tok_step *s = NULL;
        bool each_digit = false;
        PL_TRY(new_step(p, TOK_SPLIT, &s));
        PL_TRY(pl_json_bool(&p->at, v, "individual_digits", false, &each_digit, p->d));
        return each_digit ? compile(p, "\\p{N}", 5, &s->re) : compile(p, "\\p{N}+", 6, &s->re);
    }
    return unsupported(p, "type", type);
}

static enum pl_status template_item(struct part *p, const json_t *item, const json_t *specials, bool *seen)
{
    const char *name = NULL;
    json_t *special = NULL, *entry = NULL, *ids = NULL, *id;
    size_t i;
    if (json_object_get(item, "Sequence")) {
        *seen = true;
        return PL_OK;
    }
    PL_TRY(pl_json_member(&p->at, item, "SpecialToken", true, JSON_OBJECT, &special, p->d));
    PL_TRY(pl_json_string(&p->at, special, "id", true, &name, p->d));
    PL_TRY(pl_json_member(&p->at, specials, name, true, JSON_OBJECT, &entry, p->d));
    PL_TRY(pl_json_member(&p->at, entry, "ids", true, JSON_ARRAY, &ids, p->d));
    json_array_foreach (ids, i, id) {
        uint32_t *list = *seen ? p->t->after : p->t->before;
        unsigned *n = *seen ? &p->t->n_after : &p->t->n_before;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= p->t->n || *n == TOK_MAX_SPECIAL)
            return pl_fail(p->d, PL_ERANGE, "%s: post_processor.special_tokens.%s: bad id", p->at.file, name);
        list[(*n)++] = (uint32_t)json_integer_value(id);
    }
    return PL_OK;
}

static enum pl_status post_processor(struct part *p, const json_t *v, const char *type)
{
    json_t *single = NULL, *specials = NULL, *item;
    size_t i;
    bool seen = false;
    if (!strcmp(type, "ByteLevel")) /* moves offsets only */
        return PL_OK;
    if (strcmp(type, "TemplateProcessing") != 0)
        return unsupported(p, "type", type);
    PL_TRY(pl_json_member(&p->at, v, "single", true, JSON_ARRAY, &single, p->d));
    PL_TRY(pl_json_member(&p->at, v, "special_tokens", true, JSON_OBJECT, &specials, p->d));
    json_array_foreach (single, i, item)
        PL_TRY(template_item(p, item, specials, &seen));
    return PL_OK;
}

static enum pl_status decoder(struct part *p, const json_t *v, const char *type)
{
    struct tok_decoder *o = &p->t->decoder;
    uint64_t start = 0, stop = 0;
    o->present = true;
    if (!strcmp(type, "Replace")) {
        PL_TRY(replace(p, v));
        return p->step[*p->n - 1].re ? unsupported(p, "pattern", "Regex") : PL_OK;
    }
    if (!strcmp(type, "ByteLevel")) {
        o->bytes = true;
        return PL_OK;
    }
    if (!strcmp(type, "ByteFallback")) {
        o->byte_fallback = true;
        return PL_OK;
    }
    if (!strcmp(type, "Fuse"))
        return PL_OK;
    if (!strcmp(type, "Strip")) {
        PL_TRY(pl_json_u64(&p->at, v, "start", false, 0, 64, &start, p->d));
        PL_TRY(pl_json_u64(&p->at, v, "stop", false, 0, 64, &stop, p->d));
        if (stop)
            return unsupported(p, "stop", "other than 0");
        o->strip_start = (unsigned)start;
        return string(p, v, "content", &o->strip);
    }
    if (!strcmp(type, "Metaspace")) {
        struct tok_step *s = NULL;
        enum tok_prepend how;
        PL_TRY(new_step(p, TOK_REPLACE, &s));
        PL_TRY(string(p, v, "replacement", &s->from));
        if (!s->from.len)
            return pl_fail(p->d, PL_EPARSE, "%s: decoder.replacement: is empty", p->at.file);
        s->to = o->strip = (struct tok_str){" ", 1};
        PL_TRY(prepend(p, v, &how));
        o->strip_start = how != TOK_NEVER;
        return PL_OK;
    }
    return unsupported(p, "type", type);
}

enum pl_status tok_parse_pipeline(struct pl_tokenizer *t, const char *file, const json_t *root, struct pl_diag *d)
{
    unsigned none = 0;
    const struct {
        const char *key, *list;
        parse_one *one;
        struct tok_step *step;
        unsigned *n;
    } part[] = {{"normalizer", "normalizers", normalizer, t->normal, &t->n_normal},
                {"pre_tokenizer", "pretokenizers", pre_tokenizer, t->pre, &t->n_pre},
                {"post_processor", "processors", post_processor, NULL, &none},
                {"decoder", "decoders", decoder, t->decoder.replace, &t->decoder.n_replace}};
    for (size_t i = 0; i < PL_COUNT(part); i++) {
        struct part p = {t, {file, part[i].key}, d, part[i].step, part[i].n};
        PL_TRY(each(&p, json_object_get(root, part[i].key), part[i].list, part[i].one, 0));
    }
    return PL_OK;
}
