/* test_obj.c - program images: round trip, every rule of an image, files cut short, altered or not writable. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plena/obj.h"

static struct pl_diag d;

/* An image that uses every table; tests break one field of their own copy. */
struct rich {
    uint32_t code[5], line[5], intmem[3];
    float fp[4];
    uint8_t data[2][100];
    struct pl_desc desc[4];
    struct pl_segment segment[2];
    struct pl_named entry[2], param[1], constant[2];
    struct pl_op_range op[2];
    struct pl_image img;
};

static struct pl_format format(const char *name)
{
    struct pl_format f;
    OK(pl_format_parse(name, &f, &d));
    return f;
}

static void make(struct rich *r)
{
    *r = (struct rich){
        .code = {0x00040062, 0x12345678, 0, 0xFFFFFFFF, 0x00400039}, .line = {1, 2, 3, 7, 9}, .intmem = {0, 1u << 31, 5},
        .fp = {1.5f, -INFINITY, NAN, -0.0f},
        .desc = {{"embed", 0, 0, 3, 40, 80, 0, format("bf16"), false, 0},
                 {"layer 0: \"w\"", 256, 512, 4, 33, 40, 8, format("mxfp6_e3m2:16:ceil"), false, 0},
                 {"rope", 576, 0, 2, 8, 16, 0, format("e8m10"), true, 0},
                 {"w in tiles", 640, 0, 10, 9, 0, 0, format("mxint8:8"), false, 8}},
        .segment = {{0, 100, NULL}, {200, 57, NULL}}, .entry = {{"prefill", 0}, {"decode", 4}}, .param = {{"pos", 2}},
        .constant = {{"vocab", 512}, {"huge", INT64_MAX}}, .op = {{0, 2, "norm"}, {2, 4, "attention.qk"}},
    };
    r->desc[2].elem_stride = 32;
    for (size_t i = 0; i < 200; i++)
        r->data[i / 100][i % 100] = (uint8_t)(i * 7);
    r->segment[0].data = r->data[0];
    r->segment[1].data = r->data[1];
    r->img = (struct pl_image){
        .machine = "name: tiny\n", .model = "caf\xc3\xa9", .hbm_bytes = 1024,
        .plan = {PL_BF16, format("none"), format("mxint8:32"), format("mxint4:16"), 16, 4, 8, 32, 12, 44, 8, 32, 7, 8},
        .weight = format("bf16"), .act = format("mxint8:32"), .kv = format("mxint4:16"),
        .n_code = 5, .n_desc = 4, .n_segment = 2, .n_fp = 4, .n_int = 3, .n_entry = 2, .n_param = 1, .n_const = 2, .n_op = 2,
        .n_line = 5, .code = r->code, .desc = r->desc, .segment = r->segment, .fp = r->fp, .intmem = r->intmem,
        .entry = r->entry, .param = r->param, .constant = r->constant, .op = r->op, .line = r->line};
}

static void same_named(const struct pl_named *a, const struct pl_named *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(a[i].name, b[i].name); /* in order */
        assert_int_equal(a[i].value, b[i].value);
    }
}

static void same_desc(const struct pl_desc *a, const struct pl_desc *b)
{
    assert_string_equal(a->name, b->name);
    assert_true(pl_format_equal(&a->format, &b->format));
    assert_int_equal(a->elem_base, b->elem_base);
    assert_int_equal(a->scale_base, b->scale_base);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    assert_int_equal(a->elem_stride, b->elem_stride);
    assert_int_equal(a->scale_stride, b->scale_stride);
    assert_int_equal(a->repeat, b->repeat);
    assert_int_equal(a->tile, b->tile);
}

static void same_plan(const struct pl_plan *a, const struct pl_plan *b)
{
    assert_memory_equal(&a->vec, &b->vec, sizeof a->vec);
    assert_true(pl_format_equal(&a->weight, &b->weight) && pl_format_equal(&a->act, &b->act) && pl_format_equal(&a->kv, &b->kv));
    assert_memory_equal(&a->mlen, &b->mlen, sizeof *a - offsetof(struct pl_plan, mlen)); /* ten uint32_t */
}

static void same_image(const struct pl_image *a, const struct pl_image *b)
{
    assert_string_equal(a->machine, b->machine);
    assert_string_equal(a->model, b->model);
    same_plan(&a->plan, &b->plan);
    assert_true(pl_format_equal(&a->weight, &b->weight) && pl_format_equal(&a->act, &b->act) && pl_format_equal(&a->kv, &b->kv));
    assert_int_equal(a->hbm_bytes, b->hbm_bytes);
    assert_memory_equal(&a->n_code, &b->n_code, 10 * sizeof(size_t)); /* n_code .. n_line */
    assert_memory_equal(a->code, b->code, a->n_code * 4);
    assert_memory_equal(a->line, b->line, a->n_line * 4);
    assert_memory_equal(a->fp, b->fp, a->n_fp * 4);
    assert_memory_equal(a->intmem, b->intmem, a->n_int * 4);
    for (size_t i = 0; i < a->n_desc; i++)
        same_desc(&a->desc[i], &b->desc[i]);
    for (size_t i = 0; i < a->n_segment; i++) {
        assert_int_equal(a->segment[i].base, b->segment[i].base);
        assert_int_equal(a->segment[i].len, b->segment[i].len);
        assert_memory_equal(a->segment[i].data, b->segment[i].data, a->segment[i].len);
    }
    same_named(a->entry, b->entry, a->n_entry);
    same_named(a->param, b->param, a->n_param);
    same_named(a->constant, b->constant, a->n_const);
    for (size_t i = 0; i < a->n_op; i++) {
        assert_int_equal(a->op[i].begin, b->op[i].begin);
        assert_int_equal(a->op[i].end, b->op[i].end);
        assert_string_equal(a->op[i].name, b->op[i].name);
    }
}

struct file { /* a saved rich image: its path and bytes */
    char dir[40], path[64];
    struct pl_map map;
};

static void save_rich(struct file *f, const struct pl_image *img)
{
    strcpy(f->dir, "/tmp/plena-obj-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/a.img", f->dir);
    OK(pl_image_save(img, f->path, &d));
    OK(pl_file_map(f->path, &f->map, &d));
}

static void drop(struct file *f)
{
    pl_file_unmap(&f->map);
    remove(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* and so: no temporary is left behind */
}

TEST(test_round_trip)
{
    (void)state;
    struct rich r;
    struct pl_arena a;
    struct pl_image back;
    struct pl_map m;
    struct file f;
    make(&r);
    save_rich(&f, &r.img);
    pl_arena_init(&a);
    a.block_bytes = 64;
    OK(pl_image_load(&a, f.path, &back, &m, &d));
    same_image(&r.img, &back);
    OK(pl_image_save(&back, f.path, &d)); /* over itself, while mapped: the old bytes stay with the mapping */
    struct pl_map again;
    OK(pl_file_map(f.path, &again, &d));
    assert_int_equal(again.len, f.map.len);
    assert_memory_equal(again.data, f.map.data, again.len);
    pl_file_unmap(&again);
    pl_file_unmap(&m);
    pl_arena_fini(&a);
    drop(&f);
}

/* An image with nothing in it but formats. */
TEST(test_empty_image)
{
    (void)state;
    struct rich r;
    struct pl_arena a;
    struct pl_image back;
    struct file f;
    make(&r);
    const struct pl_image bare = {.machine = "", .model = "", .plan = r.img.plan, .weight = r.img.weight, .act = r.img.act, .kv = r.img.kv};
    save_rich(&f, &bare);
    pl_arena_init(&a);
    OK(pl_image_parse(&a, "bare", f.map.data, f.map.len, &back, &d));
    same_image(&bare, &back);
    pl_arena_fini(&a);
    drop(&f);
}

#define BREAK(words, ...)                                                                                              \
    do {                                                                                                               \
        struct rich r;                                                                                                 \
        make(&r);                                                                                                      \
        OK(pl_image_check(&r.img, &d));                                                                                \
        __VA_ARGS__;                                                                                                   \
        REFUSED(PL_EPARSE, words, pl_image_check(&r.img, &d));                                                         \
        REFUSED(PL_EPARSE, words, pl_image_save(&r.img, "/nowhere/at/all", &d)); /* before it opens the file */        \
    } while (0)

TEST(test_every_rule_of_a_descriptor)
{
    (void)state;
    BREAK("\"embed\": its format is not resolved", r.desc[0].format = format("none"));
    BREAK("\"embed\": is empty", r.desc[0].rows = 0);
    BREAK("\"embed\": is empty", r.desc[0].cols = 0);
    BREAK("\"embed\": rows of 79 and 0 bytes overlap", r.desc[0].elem_stride = 79);
    BREAK("rows of 40 and 2 bytes overlap", r.desc[1].scale_stride = 2);
    BREAK("\"embed\": is not 64-byte aligned", r.desc[0].elem_base = 32);
    BREAK("\"layer 0: \"w\"\": is not 64-byte aligned", r.desc[1].scale_base = 513);
    BREAK("\"embed\": lies outside the 1024 bytes", r.desc[0].elem_base = 832);
    BREAK("\"w in tiles\": tiles go without strides", r.desc[3].elem_stride = 8);
    BREAK("\"w in tiles\": tiles go without strides", r.desc[3].scale_base = 64);
    BREAK("\"w in tiles\": tiles go without strides", r.desc[3].repeat = true);
    BREAK("\"w in tiles\": tiles of 12 do not hold whole blocks", r.desc[3].tile = 12);
    BREAK("\"w in tiles\": tiles of 8192 do not hold whole blocks and bytes, or are wider than 4096", r.desc[3].tile = 8192);
    BREAK("\"w in tiles\": is not 64-byte aligned", r.desc[3].elem_base = 32);
    BREAK("\"w in tiles\": lies outside", r.desc[3].rows = UINT32_MAX);
    BREAK("\"embed\": lies outside", r.desc[0].elem_base = UINT64_MAX & ~(uint64_t)63);
    BREAK("\"layer 0: \"w\"\": lies outside", r.desc[1].scale_base = 1024);
    BREAK("\"embed\": lies outside", r.desc[0].rows = 13);
    BREAK("\"embed\": lies outside", r.desc[0].rows = UINT32_MAX, r.desc[0].elem_stride = UINT32_MAX);
    BREAK("\"rope\": repeats 7 columns", r.desc[2].cols = 7);
}

TEST(test_every_rule_of_an_image)
{
    (void)state;
    BREAK("5 code words and 4 line numbers", r.img.n_line = 4);
    BREAK("code words", r.img.n_code = (size_t)UINT32_MAX, r.img.n_line = 0);
    BREAK("an HBM extent of", r.img.hbm_bytes = ((uint64_t)1 << 48) + 1);
    BREAK("weight: the format is not resolved", r.img.weight = format("none"));
    BREAK("act: the format is not resolved", r.img.act = format("none"));
    BREAK("kv: the format is not resolved", r.img.kv = format("none"));
    BREAK("the vector format must be eXmY of the IEEE kind", r.img.plan.vec = pl_minifloat_make(4, 3));
    BREAK("with 25 guard bits; the most are 64 and 24", r.img.plan.guard = 25);
    BREAK("with 4294967295 guard bits", r.img.plan.guard = UINT32_MAX); /* once shifted by as much in the simulator */
    BREAK("accumulators of 65 bits", r.img.plan.acc_bits = 65);
    BREAK("HBM segment 1 overlaps", r.segment[1].base = 99);
    BREAK("HBM segment 0 overlaps", r.segment[0].base = 1025);
    BREAK("HBM segment 1 overlaps", r.segment[1].len = 825);
    BREAK("HBM segment 1 overlaps", r.segment[1].len = UINT64_MAX - 100);
    BREAK("operator \"attention.qk\": its code range", r.op[1].begin = 1);
    BREAK("operator \"norm\": its code range", r.op[0].begin = 3);
    BREAK("operator \"attention.qk\": its code range", r.op[1].end = 6);
    BREAK("entry \"decode\": lies outside the code", r.entry[1].value = 5);
    BREAK("constant \"huge\": does not fit 63 bits", r.constant[1].value = UINT64_MAX);
}

/* What JSON cannot hold is refused by save instead of vanishing from the file. */
TEST(test_names_that_a_header_cannot_hold)
{
    (void)state;
    struct rich r;
    make(&r);
    r.constant[1].name = "vocab";
    REFUSED(PL_EPARSE, "constant: a name is there twice", pl_image_save(&r.img, "/nowhere/at/all", &d));
    make(&r);
    r.entry[1].name = "prefill";
    REFUSED(PL_EPARSE, "entry: a name is there twice", pl_image_save(&r.img, "/nowhere/at/all", &d));
    make(&r);
    r.img.model = "caf\xe9";
    REFUSED(PL_EPARSE, "is not UTF-8", pl_image_save(&r.img, "/nowhere/at/all", &d));
    make(&r);
    r.desc[0].name = "\xff";
    REFUSED(PL_EPARSE, "is not UTF-8", pl_image_save(&r.img, "/nowhere/at/all", &d));
    make(&r);
    r.op[0].name = "\xff";
    REFUSED(PL_EPARSE, "is not UTF-8", pl_image_save(&r.img, "/nowhere/at/all", &d));
}

TEST(test_find)
{
    (void)state;
    struct rich r;
    uint64_t v = 0;
    make(&r);
    OK(pl_image_find(r.entry, 2, "decode", &v, &d));
    assert_int_equal(v, 4);
    REFUSED(PL_EUSAGE, "no \"decod\"; did you mean \"decode\"?", pl_image_find(r.entry, 2, "decod", &v, &d));
    REFUSED(PL_EUSAGE, "no \"anything\"", pl_image_find(NULL, 0, "anything", &v, &d));
}

/* ---- files ---- */
static enum pl_status parse(const void *p, size_t len)
{
    struct pl_arena a;
    struct pl_image img;
    uint8_t *copy = malloc(len ? len : 1); /* exactly as long: AddressSanitizer sees any byte read behind it */
    if (len)
        memcpy(copy, p, len);
    pl_arena_init(&a);
    const enum pl_status s = pl_image_parse(&a, "x.img", copy, len, &img, &d);
    pl_arena_fini(&a);
    free(copy);
    return s;
}

TEST(test_truncated_anywhere)
{
    (void)state;
    struct rich r;
    struct file f;
    make(&r);
    save_rich(&f, &r.img);
    assert_int_equal(parse(f.map.data, f.map.len), PL_OK);
    for (size_t len = 0; len < f.map.len; len++) {
        d.text[0] = 0;
        const enum pl_status s = parse(f.map.data, len);
        if (s != PL_EPARSE || !strstr(d.text, "x.img"))
            fail_msg("%zu of %zu bytes: %s, \"%s\"", len, f.map.len, pl_status_name(s), d.text);
    }
    REFUSED(PL_EPARSE, "is no program image", parse(f.map.data, 15));
    REFUSED(PL_EPARSE, "truncated: header of", parse(f.map.data, 200));
    REFUSED(PL_EPARSE, "a blob lies outside the file", parse(f.map.data, f.map.len - 1));
    drop(&f);
}

/* The file with `from` replaced by `to` in its header. */
static enum pl_status altered(const struct file *f, const char *from, const char *to)
{
    uint32_t head[2];
    memcpy(head, f->map.data + 8, sizeof head);
    struct pl_buf b, h;
    pl_buf_init(&b);
    pl_buf_init(&h);
    pl_buf_put(&h, f->map.data + 16, head[1]);
    const char *at = strstr(h.data, from);
    if (!at)
        fail_msg("no %s in %s", from, h.data);
    pl_buf_put(&b, f->map.data, 16 + (size_t)(at - h.data));
    pl_buf_puts(&b, to);
    pl_buf_puts(&b, at + strlen(from));
    const uint32_t n = (uint32_t)(b.len - 16);
    memcpy(b.data + 12, &n, 4);
    while (b.len % 64)
        pl_buf_put(&b, "", 1);
    const size_t body = pl_round_up(16 + head[1], 64);
    pl_buf_put(&b, f->map.data + body, f->map.len - body);
    const enum pl_status s = parse(b.data, b.len);
    pl_buf_fini(&b);
    pl_buf_fini(&h);
    return s;
}

static const struct {
    const char *from, *to, *words;
} alterations[] = {
    {"\"schema\":2", "\"schema\":2", NULL},
    {"\"code\":[0,20]", "\"code\":[0,19]", "a blob is misaligned"},
    {"\"code\":[0,20]", "\"code\":[4,20]", "a blob is misaligned"},
    {"\"code\":[0,20]", "\"code\":[-64,20]", "a blob lies outside the file"},
    {"\"code\":[0,20]", "\"code\":[0,-4]", "a blob lies outside the file"},
    {"\"code\":[0,20]", "\"code\":[9223372036854775744,20]", "a blob lies outside the file"},
    {"\"code\":[0,20]", "\"code\":[0,9223372036854775804]", "a blob lies outside the file"},
    {"\"code\":[0,20]", "\"code\":[0]", "a blob is not [offset, bytes]"},
    {"\"code\":[0,20]", "\"code\":[0,20,1]", "a blob is not [offset, bytes]"},
    {"\"code\":[0,20]", "\"cod\":[0,20]", "a blob is not [offset, bytes]"},
    {"\"code\":[0,20]", "\"code\":[0,16]", "4 code words and 5 line numbers"},
    {"\"plan\":{", "\"plan\":[],\"x\":{", "plan"},
    {"\"vec\":\"bf16\"", "\"vec\":\"mxint8:16\"", "the vector format is no plain float"},
    {"\"vec\":\"bf16\"", "\"vec\":\"e3m6\"", "the vector format must be eXmY"},
    {"\"vec\":\"bf16\"", "\"vec\":\"e5m1\"", "the vector format must be eXmY"},
    {"\"vec\":\"bf16\"", "\"vec\":\"bf61\"", "bf61"},
    {"\"mlen\":16", "\"mlen\":-16", "mlen"},
    {"\"mlen\":16", "\"mlen\":4294967296", "mlen"},
    {"\"format\":\"bf16\"", "\"format\":\"none\"", "not resolved"},
    {"\"rows\":3", "\"rows\":\"3\"", "rows"},
    {"\"rows\":3", "\"rows\":0", "is empty"},
    {"\"elem_stride\":80", "\"elem_stride\":4294967295", "lies outside"},
    {"\"entry\":{", "\"entry\":{\"bad\":-1,", "a named value is no non-negative integer"},
    {"\"entry\":{", "\"entry\":{\"bad\":1.5,", "a named value is no non-negative integer"},
    {"\"entry\":{", "\"entry\":{\"bad\":77,", "entry \"bad\": lies outside the code"},
    {"[0,2,\"norm\"]", "[0,2]", "an operator is not [begin, end, name]"},
    {"[0,2,\"norm\"]", "[2,0,\"norm\"]", "an operator is not [begin, end, name]"},
    {"[0,2,\"norm\"]", "[0,4294967296,\"norm\"]", "an operator is not [begin, end, name]"},
    {"\"segment\":[[0,", "\"segment\":[[-1,", "a segment is not [base, blob]"},
    {"\"segment\":[[0,", "\"segment\":[[1000,", "HBM segment 0 overlaps"},
    {"\"segment\":[[", "\"segment\":[7,[", "a segment is not [base, blob]"},
    {"\"tensors\":[", "\"tensors\":[7,", "a tensor is no object"},
    {"\"hbm_bytes\":1024", "\"hbm_bytes\":64", "lies outside the 64 bytes"},
    {"\"hbm_bytes\":1024", "\"hbm_bytes\":9000000000000000000", "an HBM extent of"},
    {"{\"schema\"", "[{\"schema\"", "x.img"},
};

TEST(test_altered_headers)
{
    (void)state;
    struct rich r;
    struct file f;
    make(&r);
    save_rich(&f, &r.img);
    for (size_t i = 0; i < PL_COUNT(alterations); i++) {
        d.text[0] = 0;
        const enum pl_status s = altered(&f, alterations[i].from, alterations[i].to);
        const char *words = alterations[i].words;
        if (words ? s != PL_EPARSE && s != PL_ERANGE : s != PL_OK)
            fail_msg("%s: %s, \"%s\"", alterations[i].to, pl_status_name(s), d.text);
        if (words && (!strstr(d.text, words) || !strstr(d.text, "x.img")))
            fail_msg("%s: \"%s\", wanted \"%s\"", alterations[i].to, d.text, words);
    }
    drop(&f);
}

/* Every element and scale of a tensor in tiles has bytes of its own; a tile is one piece, its scales behind its elements. */
TEST(test_places_in_tiles)
{
    (void)state;
    static const char *const formats[] = {"mxint8:8", "mxint4:4", "mxfp6_e3m2:8", "bf16"};
    for (size_t k = 0; k < PL_COUNT(formats); k++)
        for (uint32_t trial = 0; trial < 40; trial++) {
            struct pl_desc t = {.name = "t", .elem_base = 64, .rows = 1 + trial * 7 % 29, .cols = 1 + trial * 5 % 31,
                                .format = format(formats[k]), .tile = 8};
            uint8_t used[8192] = {0};
            const uint64_t end = t.elem_base + pl_desc_tiled_bytes(&t);
            assert_true(end <= sizeof used);
            for (uint32_t r = 0; r < t.rows; r++)
                for (uint32_t c = 0; c < t.cols; c += t.tile) {
                    const struct pl_desc_place at = pl_desc_place(&t, r, c), first = pl_desc_place(&t, r / 8 * 8, c);
                    const uint64_t elem = pl_format_row_bytes(&t.format, at.n), scale = pl_format_row_scales(&t.format, at.n);
                    assert_int_equal(at.n, t.cols - c < 8 ? t.cols - c : 8);
                    assert_int_equal(first.elem % PL_TILE_ALIGN, 0);
                    assert_true(at.scale + scale <= first.elem + pl_desc_tile_bytes(&t, r, c));
                    for (uint64_t b = 0; b < elem; b++)
                        assert_int_equal(used[at.elem + b]++, 0);
                    for (uint64_t b = 0; b < scale; b++)
                        assert_int_equal(used[at.scale + b]++, 0);
                    const struct pl_desc_place last = pl_desc_place(&t, r, c + at.n - 1);
                    assert_int_equal(last.n, 1);
                    assert_int_equal(last.scale, scale ? at.scale + (at.n - 1) / t.format.block : at.scale + at.n - 1);
                    if (c + 8 < t.cols) /* the next tile follows */
                        assert_int_equal(pl_desc_place(&t, r / 8 * 8, c + 8).elem, first.elem + pl_desc_tile_bytes(&t, r, c));
                }
            const struct pl_desc_place corner = pl_desc_place(&t, (t.rows - 1) / 8 * 8, (t.cols - 1) / 8 * 8);
            assert_int_equal(corner.elem + pl_desc_tile_bytes(&t, t.rows - 1, t.cols - 1), end);
        }
}

TEST(test_wrong_magic_and_version)
{
    (void)state;
    struct rich r;
    struct file f;
    make(&r);
    save_rich(&f, &r.img);
    uint8_t *copy = malloc(f.map.len);
    memcpy(copy, f.map.data, f.map.len);
    copy[0] = 'p';
    REFUSED(PL_EPARSE, "x.img: is no program image", parse(copy, f.map.len));
    copy[0] = 'P';
    copy[8] = 3;
    REFUSED(PL_EUNSUPPORTED, "x.img: image version 3; this program reads 2", parse(copy, f.map.len));
    copy[8] = 2;
    copy[15] = 0xff;
    REFUSED(PL_EPARSE, "x.img: truncated: header of", parse(copy, f.map.len));
    free(copy);
    drop(&f);
}

/* Any single byte of the header changed: refused or read, never a crash. */
TEST(test_any_byte_changed)
{
    (void)state;
    struct rich r;
    struct file f;
    struct pl_rng rng;
    size_t refused = 0;
    make(&r);
    save_rich(&f, &r.img);
    uint8_t *copy = malloc(f.map.len);
    pl_rng_init(&rng, 3);
    for (size_t i = 0; i < 4 * f.map.len; i++) {
        memcpy(copy, f.map.data, f.map.len);
        copy[i % f.map.len] = (uint8_t)pl_rng_u64(&rng);
        refused += parse(copy, f.map.len) != PL_OK;
    }
    print_message("%zu of %zu altered files refused\n", refused, 4 * f.map.len);
    assert_true(refused > f.map.len);
    free(copy);
    drop(&f);
}

TEST(test_unwritable)
{
    (void)state;
    struct rich r;
    struct file f;
    char path[96];
    make(&r);
    save_rich(&f, &r.img);
    REFUSED(PL_EIO, "/dev/full: cannot write: No space left", pl_image_save(&r.img, "/dev/full", &d));
    struct stat st;
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    snprintf(path, sizeof path, "%s/none/a.img", f.dir);
    REFUSED(PL_EIO, "none/a.img: cannot create: No such file", pl_image_save(&r.img, path, &d));
    snprintf(path, sizeof path, "%s/a.img/b.img", f.dir); /* a file where a folder should be: refused to root as well */
    REFUSED(PL_EIO, "b.img: cannot create: Not a directory", pl_image_save(&r.img, path, &d));
    struct rich broken;
    make(&broken);
    broken.op[1].end = 6;
    REFUSED(PL_EPARSE, "its code range", pl_image_save(&broken.img, f.path, &d));
    struct pl_map now;
    OK(pl_file_map(f.path, &now, &d)); /* what was there is still there */
    assert_int_equal(now.len, f.map.len);
    assert_memory_equal(now.data, f.map.data, now.len);
    pl_file_unmap(&now);
    drop(&f);
}

TEST(test_unreadable)
{
    (void)state;
    struct pl_arena a;
    struct pl_image img;
    struct pl_map m;
    pl_arena_init(&a);
    REFUSED(PL_EIO, "/nowhere: No such file", pl_image_load(&a, "/nowhere", &img, &m, &d));
    REFUSED(PL_EIO, "/tmp: is not a regular file", pl_image_load(&a, "/tmp", &img, &m, &d));
    REFUSED(PL_EPARSE, "test_obj.c: is no program image", pl_image_load(&a, source_path("test/unit/test_obj.c"), &img, &m, &d));
    pl_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_empty_image), cmocka_unit_test(test_every_rule_of_a_descriptor),
        cmocka_unit_test(test_every_rule_of_an_image), cmocka_unit_test(test_names_that_a_header_cannot_hold),
        cmocka_unit_test(test_find), cmocka_unit_test(test_truncated_anywhere), cmocka_unit_test(test_altered_headers),
        cmocka_unit_test(test_places_in_tiles), cmocka_unit_test(test_wrong_magic_and_version), cmocka_unit_test(test_any_byte_changed), cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
