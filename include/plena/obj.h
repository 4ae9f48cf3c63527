/* obj.h - the program image: code, tensor descriptors, HBM contents, constants, entry points, maps back to the source.
 *
 * Written by comp and asm, read by sim and RTL; the only thing they share. On disk: "PLENAIMG", a JSON header with a
 * schema version, then 64-byte aligned blobs; every offset and size is checked on load. doc/program-format.md.
 * Depends on: base.h, mx.h, mx_plan.h, isa.h.   Threads: one image, one thread; read-only sharing is fine. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_OBJ_H
#define PLENA_OBJ_H
#include "plena/base.h"
#include "plena/mx.h"
#include "plena/mx_plan.h"

/* One tensor in HBM as H_LOAD_M, H_LOAD_V and H_SAVE_V see it: rows of `cols` elements, blocks along the row.
 *
 * tile 0: row after row. tile T: in tiles of T x T, those of a row of tiles one after another, each in one piece that
 * starts at a multiple of PL_TILE_ALIGN bytes: the elements of its rows, then their scales. Tiles at the edges hold no
 * more than the tensor does. Only H_LOAD_M takes such a tensor, a whole tile at a time. */
struct pl_desc {
    const char *name;
    uint64_t elem_base, scale_base;     /* byte addresses, 64-byte aligned; scale_base 0 without scales */
    uint32_t rows, cols;
    uint32_t elem_stride, scale_stride; /* bytes from row to row; 0 with tiles */
    struct pl_format format;            /* resolved: never NONE */
    bool repeat;                        /* columns count modulo `cols` (narrow tables fill wide rows); cols divides VLEN */
    uint32_t tile;                      /* 0, or T: a multiple of the block, its rows whole bytes */
};
enum { PL_TILE_ALIGN = 64 };
/* Where the elements from (row, col) on are: those of one row as far as they lie in one piece. For rows and columns inside. */
struct pl_desc_place {
    uint64_t elem, scale; /* bytes of HBM */
    uint32_t n;           /* elements, with their scales */
};
struct pl_desc_place pl_desc_place(const struct pl_desc *t, uint32_t row, uint32_t col);
/* Bytes of the tile of a tensor in tiles that (row, col) is in. */
uint64_t pl_desc_tile_bytes(const struct pl_desc *t, uint32_t row, uint32_t col);
/* Bytes from elem_base to the end of the last tile. */
uint64_t pl_desc_tiled_bytes(const struct pl_desc *t);
struct pl_segment { /* initial HBM contents; everything else is zero */
    uint64_t base;
    uint64_t len;
    const uint8_t *data;
};
struct pl_named { /* an entry point (pc), a parameter (INT SRAM word) or a constant (any number) */
    const char *name;
    uint64_t value;
};
struct pl_op_range { /* code [begin, end) belongs to operator `name`, e.g. "attention.qk" */
    uint32_t begin, end;
    const char *name;
};
struct pl_image {
    const char *machine;      /* YAML of the machine it is for; "" when hand-written */
    const char *model;        /* free text: what was compiled, shown by `plena info` */
    struct pl_plan plan;
    struct pl_format weight, act, kv; /* resolved; formats of the published H_ instructions, and of the left operand */
    uint64_t hbm_bytes;       /* extent used */
    size_t n_code, n_desc, n_segment, n_fp, n_int, n_entry, n_param, n_const, n_op, n_line;
    const uint32_t *code;
    const struct pl_desc *desc;
    const struct pl_segment *segment; /* ascending, disjoint, inside hbm_bytes */
    const float *fp;          /* FP SRAM from word 0 */
    const uint32_t *intmem;   /* INT SRAM from word 0 */
    const struct pl_named *entry, *param, *constant;
    const struct pl_op_range *op; /* ascending, disjoint */
    const uint32_t *line;     /* [n_code] source line of each word, or n_line = 0 */
};
/* All sizes, bounds and orders of an image; called by load and save. */
enum pl_status pl_image_check(const struct pl_image *img, struct pl_diag *d);
enum pl_status pl_image_save(const struct pl_image *img, const char *path, struct pl_diag *d);
/* The bytes of its file, appended to `out`. PL_EPARSE for a name that is not UTF-8 or there twice. */
enum pl_status pl_image_write(const struct pl_image *img, struct pl_buf *out, struct pl_diag *d);
/* Strings and tables live in `a`; blobs point into *mapping, which the caller unmaps. */
enum pl_status pl_image_load(struct pl_arena *a, const char *path, struct pl_image *out,
                             struct pl_map *mapping, struct pl_diag *d);
/* The same from bytes already in memory (fuzzing). */
enum pl_status pl_image_parse(struct pl_arena *a, const char *name, const uint8_t *data, size_t len,
                              struct pl_image *out, struct pl_diag *d);
/* Value of a named entry/param/constant; PL_EUSAGE with the nearest name when there is none. */
enum pl_status pl_image_find(const struct pl_named *list, size_t n, const char *name,
                             uint64_t *out, struct pl_diag *d);
#endif
