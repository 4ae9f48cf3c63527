/* program.c - loads what sim, asm, dis and info take. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <ctype.h>
#include <string.h>

#include "plena/isa.h"

enum { HAND_HBM_BYTES = 16 << 20 };

enum pl_status program_load(struct pl_arena *a, const char *path, struct program *out, struct pl_diag *d)
{
    *out = (struct program){0};
    PL_TRY(pl_file_map(path, &out->file, d));
    const struct pl_source src = {path, (const char *)out->file.data, out->file.len};
    size_t at = 0;
    while (at < src.len && isspace((unsigned char)src.text[at]))
        at++;
    enum pl_status s;
    if (src.len >= 8 && !memcmp(src.text, "PLENAIMG", 8)) {
        out->kind = PROGRAM_IMAGE;
        s = pl_image_parse(a, path, out->file.data, out->file.len, &out->img, d);
        out->code = (uint32_t *)(uintptr_t)out->img.code;
        out->n = out->img.n_code;
    } else if (src.len - at > 2 && src.text[at] == '0' && (src.text[at + 1] | 32) == 'x') {
        out->kind = PROGRAM_MEM;
        s = pl_asm_read_mem(a, &src, &out->code, &out->n, d);
    } else {
        struct pl_asm as = {0};
        out->kind = PROGRAM_ASM;
        s = pl_asm_text(a, &src, &as, d);
        out->code = as.code;
        out->line = as.line;
        out->n = as.n;
        out->label = as.label;
        out->n_label = as.n_label;
    }
    if (s != PL_OK)
        program_close(out);
    return s;
}

void program_close(struct program *p)
{
    pl_file_unmap(&p->file);
}

enum pl_status program_image(struct pl_arena *a, const struct program *p, const char *path, const struct pl_arch *arch,
                             struct pl_image *out, struct pl_diag *d)
{
    struct pl_buf yaml;
    pl_buf_init(&yaml);
    pl_arch_print(arch, &yaml);
    struct pl_named *entry = PL_NEW_N(a, struct pl_named, p->n_label + 1);
    for (size_t i = 0; i < p->n_label; i++)
        entry[i] = (struct pl_named){p->label[i].name, p->label[i].pc};
    const uint32_t pitch = pl_arch_pitch(arch);
    *out = (struct pl_image){
        .machine = pl_arena_strdup(a, yaml.data), .model = pl_arena_strdup(a, path),
        .plan = {.vec = arch->vector_format.elem, .weight = arch->weight_format, .act = arch->act_format,
                 .kv = arch->kv_format, .mlen = arch->mlen, .blen = arch->blen, .hlen = arch->hlen, .vlen = arch->vlen,
                 .guard = arch->guard, .acc_bits = arch->acc_bits, .head_slot = arch->hlen, .kv_tile = pitch, .k_tiles = 1},
        .weight = pl_format_resolve(arch->weight_format, arch->vector_format.elem),
        .act = pl_format_resolve(arch->act_format, arch->vector_format.elem),
        .kv = pl_format_resolve(arch->kv_format, arch->vector_format.elem),
        .hbm_bytes = arch->hbm_bytes < HAND_HBM_BYTES ? arch->hbm_bytes : HAND_HBM_BYTES,
        .n_code = p->n, .code = p->code, .n_line = p->line ? p->n : 0, .line = p->line, .n_entry = p->n_label, .entry = entry};
    pl_buf_fini(&yaml);
    return pl_image_check(out, d);
}
