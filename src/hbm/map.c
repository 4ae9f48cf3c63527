/* map.c - address mapping: a string of bit fields and XOR hashes, compiled to tables that are one lookup a byte.
 *
 * Every bit of the result is the XOR of some address bits, so the result of an address is the XOR of the results of its bytes.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hbm_internal.h"

enum { ST, CH, PC, BG, BA, RO, CO, FIELDS };
static const char *const field_name[FIELDS] = {"st", "ch", "pc", "bg", "ba", "ro", "co"};

struct layout {
    unsigned bits[FIELDS];
    uint64_t from[FIELDS][32]; /* address bits whose XOR is the bit of the field */
};

static enum pl_status find_field(const char *s, size_t n, const char *where, unsigned *out, struct pl_diag *d)
{
    for (unsigned f = 0; f < FIELDS; f++)
        if (n == 2 && !strncmp(s, field_name[f], 2)) {
            *out = f;
            return PL_OK;
        }
    return pl_fail(d, PL_EPARSE, "%s: found field \"%.*s\", allowed: st ch pc bg ba ro co", where, (int)n, s);
}

/* "co", "co[3]" or "co[4:2]" -> field, high and low bit; high < low for a field of no bits. */
static enum pl_status parse_piece(const struct layout *l, const char *s, size_t n, unsigned *f, int *high, int *low,
                                  struct pl_diag *d)
{
    const char *where = "frontend.mapping", *bracket = memchr(s, '[', n);
    PL_TRY(find_field(s, bracket ? (size_t)(bracket - s) : n, where, f, d));
    *high = (int)l->bits[*f] - 1;
    *low = 0;
    if (!bracket)
        return PL_OK;
    char *end;
    *high = *low = isdigit((unsigned char)bracket[1]) ? (int)strtoul(bracket + 1, &end, 10) : -1;
    if (*high >= 0 && *end == ':' && isdigit((unsigned char)end[1]))
        *low = (int)strtoul(end + 1, &end, 10);
    if (*high < 0 || *end != ']' || end + 1 != s + n)
        return pl_fail(d, PL_EPARSE, "%s: found \"%.*s\", expected a field like co, co[3] or co[4:2]", where, (int)n, s);
    if (*low > *high || *high >= (int)l->bits[*f])
        return pl_fail(d, PL_ERANGE, "%s: found \"%.*s\", allowed bits of %s: %u..0", where, (int)n, s, field_name[*f],
                       l->bits[*f] ? l->bits[*f] - 1 : 0);
    return PL_OK;
}

static enum pl_status parse_mapping(struct layout *l, const char *text, struct pl_diag *d)
{
    unsigned total = 0, at, f = 0;
    int high = 0, low = 0;
    for (f = 0; f < FIELDS; f++)
        total += l->bits[f];
    at = total;
    for (const char *s = text; *(s += strspn(s, " "));) {
        const size_t n = strcspn(s, " ");
        PL_TRY(parse_piece(l, s, n, &f, &high, &low, d));
        for (int b = high; b >= low; b--) {
            if (l->from[f][b])
                return pl_fail(d, PL_ERANGE, "frontend.mapping: found bit %d of %s twice in \"%s\", allowed once", b,
                               field_name[f], text);
            l->from[f][b] = (uint64_t)1 << --at;
        }
        s += n;
    }
    for (f = 0; f < FIELDS; f++)
        for (unsigned b = 0; b < l->bits[f]; b++)
            if (!l->from[f][b])
                return pl_fail(d, PL_ERANGE, "frontend.mapping: bit %u of %s (%u bits) is not found in \"%s\"", b,
                               field_name[f], l->bits[f], text);
    return PL_OK;
}

/* "bg^co1": the bits of bg are XORed with the bits of co from bit 1 up, those it has. Sources are the unhashed fields. */
static enum pl_status parse_hash(struct layout *l, const char *text, struct pl_diag *d)
{
    const struct layout plain = *l;
    unsigned hashed = 0, used = 0;
    for (const char *s = text; *(s += strspn(s, " "));) {
        const size_t n = strcspn(s, " ");
        unsigned to = 0, from = 0;
        char *end;
        if (n < 6 || s[2] != '^' || !isdigit((unsigned char)s[5]))
            return pl_fail(d, PL_EPARSE, "frontend.hash: found \"%.*s\", expected a hash like bg^co1", (int)n, s);
        PL_TRY(find_field(s, 2, "frontend.hash", &to, d));
        PL_TRY(find_field(s + 3, 2, "frontend.hash", &from, d));
        const unsigned long shift = strtoul(s + 5, &end, 10);
        if (end != s + n)
            return pl_fail(d, PL_EPARSE, "frontend.hash: found \"%.*s\", expected a hash like bg^co1", (int)n, s);
        for (unsigned b = 0; b < l->bits[to] && shift + b < l->bits[from]; b++)
            l->from[to][b] ^= plain.from[from][shift + b];
        hashed |= 1u << to;
        used |= 1u << from;
        s += n;
    }
    if (hashed & used) /* otherwise the map could lose addresses */
        return pl_fail(d, PL_ERANGE, "frontend.hash: found \"%s\", allowed: no field on both sides", text);
    return PL_OK;
}

static struct hbm_loc locate_bit(const struct layout *l, const struct pl_hbm_params *p, unsigned bit)
{
    uint32_t v[FIELDS] = {0};
    for (unsigned f = 0; f < FIELDS; f++)
        for (unsigned b = 0; b < l->bits[f]; b++)
            v[f] |= (uint32_t)(l->from[f][b] >> bit & 1) << b;
    /* disjoint bit ranges: OR is XOR */
    const uint32_t bank = v[PC] * p->bank_groups * p->banks | v[BG] * p->banks | v[BA];
    return (struct hbm_loc){
        .row = v[RO], .bank = (uint8_t)bank, .channel = (uint16_t)(v[ST] * p->channels | v[CH]), .column = v[CO]};
}

static struct hbm_loc loc_xor(struct hbm_loc a, struct hbm_loc b)
{
    return (struct hbm_loc){
        .row = a.row ^ b.row, .bank = a.bank ^ b.bank, .channel = a.channel ^ b.channel, .column = a.column ^ b.column};
}

enum pl_status hbm_map_init(struct hbm_map *m, const struct pl_hbm_params *p, struct pl_diag *d)
{
    struct layout l = {.bits = {pl_log2(p->stacks), pl_log2(p->channels), pl_log2(p->pseudo), pl_log2(p->bank_groups),
                                pl_log2(p->banks), pl_log2(p->rows), pl_log2(p->columns / p->burst_length)}};
    unsigned total = 0;
    for (unsigned f = 0; f < FIELDS; f++)
        total += l.bits[f];
    if (total > 8 * HBM_MAP_BYTES)
        return pl_fail(d, PL_ERANGE, "organisation: %u address bits above the access, allowed at most %d", total,
                       8 * HBM_MAP_BYTES);
    PL_TRY(parse_mapping(&l, p->mapping, d));
    PL_TRY(parse_hash(&l, p->hash, d));
    memset(m, 0, sizeof *m);
    for (unsigned k = 0; k < HBM_MAP_BYTES; k++)
        for (unsigned v = 1; v < 256; v++) {
            const unsigned low = (unsigned)__builtin_ctz(v);
            m->t[k][v] = hbm_pack(loc_xor(hbm_unpack(m->t[k][v & (v - 1)]),
                                          8 * k + low < total ? locate_bit(&l, p, 8 * k + low) : (struct hbm_loc){0}));
            m->column[k][v] = m->column[k][v & (v - 1)] ^ (8 * k + low < total ? locate_bit(&l, p, 8 * k + low).column : 0);
        }
    m->bytes = (total + 7) / 8;
    return PL_OK;
}

enum pl_status pl_hbm_map(const struct pl_hbm_params *p, uint64_t addr, struct pl_hbm_place *out, struct pl_diag *d)
{
    struct hbm_map m;
    PL_TRY(pl_hbm_check_params(p, d));
    PL_TRY(hbm_map_init(&m, p, d));
    if (addr >= pl_hbm_capacity(p))
        return pl_fail(d, PL_ERANGE, "address 0x%llx is outside the %llu bytes of the memory", (unsigned long long)addr,
                       (unsigned long long)pl_hbm_capacity(p));
    const uint64_t access = addr / pl_hbm_access_bytes(p);
    const struct hbm_loc l = hbm_unpack(hbm_locate(&m, access));
    const uint32_t per_pc = p->bank_groups * p->banks, bank = l.bank % per_pc;
    *out = (struct pl_hbm_place){.stack = l.channel / p->channels,
                                 .channel = l.channel % p->channels,
                                 .pseudo = l.bank / per_pc,
                                 .group = bank / p->banks,
                                 .bank = bank % p->banks,
                                 .row = l.row};
    for (unsigned k = 0; k < HBM_MAP_BYTES; k++)
        out->column ^= m.column[k][access >> 8 * k & 255];
    return PL_OK;
}
