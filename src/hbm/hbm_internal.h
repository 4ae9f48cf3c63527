/* hbm_internal.h - the parts of the HBM model: address tables, one channel, the front end. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HBM_INTERNAL_H
#define HBM_INTERNAL_H
#include "plena/hbm.h"

enum {
    HBM_BANKS = 32,     /* of a pseudo-channel; two pseudo-channels make the 64 bits of a bank mask */
    HBM_MAP_BYTES = 6,  /* address bits above the access, in bytes */
    HBM_QUEUE = 64,     /* of one direction */
    HBM_NONE = 255,     /* no entry */
    HBM_PENDING = 4096, /* requests a caller may have pending */
    HBM_RING = 4096,    /* clocks of the completion ring; completions lie less than two latencies (of at most 1001) apart */
    HBM_MAX_WAYS = 16,
    HBM_MAX_ACTIVE = 64 /* requests that take turns, joined ones one by one */
};
#define HBM_NEVER UINT64_MAX
#define HBM_FINISHED UINT32_MAX /* the slot of an access whose completion a replay has told already */

static inline uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline void raise_to(uint64_t *t, uint64_t v)
{
    *t = *t > v ? *t : v;
}

static inline uint64_t bit(unsigned b)
{
    return (uint64_t)1 << b;
}

void hbm_defaults(struct pl_hbm_params *out);

/* ---- address map ---- */
struct hbm_loc {
    uint32_t row;
    uint8_t bank; /* of the channel: pseudo * banks of a pseudo-channel + group * banks + bank */
    uint16_t channel;
    uint32_t column; /* not packed */
};
struct hbm_map {
    uint64_t t[HBM_MAP_BYTES][256];
    uint32_t column[HBM_MAP_BYTES][256];
    unsigned bytes; /* of address that matter */
};
enum pl_status hbm_map_init(struct hbm_map *m, const struct pl_hbm_params *p, struct pl_diag *d);
static inline uint64_t hbm_pack(struct hbm_loc l)
{
    return l.row | (uint64_t)l.bank << 32 | (uint64_t)l.channel << 40;
}
static inline struct hbm_loc hbm_unpack(uint64_t v)
{
    return (struct hbm_loc){.row = (uint32_t)v, .bank = (uint8_t)(v >> 32), .channel = (uint16_t)(v >> 40)};
}
static inline uint64_t hbm_locate(const struct hbm_map *m, uint64_t access)
{
    uint64_t v = 0;
    for (unsigned k = 0; k < m->bytes; k++)
        v ^= m->t[k][access >> 8 * k & 255];
    return v;
}

/* ---- a channel ---- */
struct hbm_entry {
    uint64_t seen; /* the scheduler knows it from here on */
    uint64_t seq;  /* age */
    uint64_t access;
    uint32_t row, slot;
    uint32_t item; /* its number in a segment being recorded (memo.c) */
    uint8_t bank, next, write;
};
struct hbm_best { /* candidate for the next command of a class; t = HBM_NEVER: none */
    uint64_t t, seq;
    unsigned bank;
};
enum {
    HBM_COL = 1,
    HBM_COLS = 3,
    HBM_ACT = 4,
    HBM_PRE = 8,
    HBM_ALL = 15
}; /* candidates to look for again; HBM_COL << pseudo-channel */
struct hbm_channel {
    uint64_t now, freed; /* last event; last time a queue entry was freed */
    uint64_t row_bus, col_bus;
    uint64_t seq;
    /* bank masks, by direction: accesses wait; one of them hits the open row */
    uint64_t open, blocked, pend[2], hit[2];
    unsigned mode, dirty;             /* direction being served */
    unsigned used[2], seen[2];        /* entries, by direction: all; known to the scheduler */
    struct hbm_best col[2], act, pre; /* col: of a pseudo-channel */
    /* earliest times for ACT, PRE, RD / WR: of a bank, of a group, of a pseudo-channel */
    uint64_t act_ok[2 * HBM_BANKS], pre_ok[2 * HBM_BANKS], col_ok[2][2 * HBM_BANKS];
    uint64_t grp_col[2][16], grp_act[16], pc_col[2][2], pc_act[2];
    uint64_t faw[2][4];
    uint64_t head_seq[2][2 * HBM_BANKS], hit_seq[2][2 * HBM_BANKS];
    uint32_t row[2 * HBM_BANKS];
    uint16_t passed[2 * HBM_BANKS]; /* hits that passed an older access of the bank */
    uint8_t head[2][2 * HBM_BANKS], tail[2][2 * HBM_BANKS], hit_at[2][2 * HBM_BANKS];
    uint8_t kind[2 * HBM_BANKS]; /* of the next access after ACT: miss, conflict, else hit */
    uint8_t why[2 * HBM_BANKS];  /* loss that delayed the open row */
    uint8_t after_ref[2 * HBM_BANKS];
    unsigned faw_at[2];
    /* refresh of a pseudo-channel */
    uint64_t ref_due[2], ref_next; /* ref_next: the earlier */
    unsigned ref_wait, ref_bank[2];
    /* statistics of a pseudo-channel */
    uint64_t pins_free[2], since[2], busy;
    unsigned waiting[2], last_dir[2];
    uint16_t index;
    unsigned in_head, in_count;
    uint64_t in_seen; /* when the scheduler knows the oldest arrival; HBM_NEVER: none waits */
    uint8_t free_head, in[2 * HBM_QUEUE];
    struct hbm_entry e[2 * HBM_QUEUE];
};

/* A pending request. The fields copied from it stand apart: copied in pairs, their loads would wait for the two stores before. */
struct hbm_slot {
    uint64_t addr; /* of the piece being handed out */
    uint64_t accepted;
    uint64_t bytes;
    uint64_t last; /* data so far */
    uint64_t stride;
    uint64_t left; /* accesses not done */
    uint64_t tag;
    uint64_t pieces; /* after this one */
    uint64_t arrival;
    uint64_t seq;
    uint64_t access, end; /* of the piece being handed out */
    uint64_t base;        /* of the first piece */
    uint32_t way, lane;
    uint32_t next;        /* in the completion ring or the free list; n_slots: the last */
    bool write;
};

/* What happens from a node of the memo on; distances beyond 16 bits stand at their limit. */
struct hbm_record {
    uint64_t *access;   /* relative to base, times two, plus write */
    uint16_t *t;        /* of accesses: when each is handed out */
    uint16_t *cmd;      /* of those in the queues at the begin, then of accesses: (time of the column command + 1) * 2 + write; 0: none yet */
    uint32_t n, n_flight, cap;
    uint64_t time, base;
};
struct hbm_memo; /* memo.c */
struct pl_hbm {
    struct pl_hbm_params p;
    struct pl_hbm_options opt;
    struct hbm_map map;
    uint32_t n_ch, per_pc, access_bytes; /* per_pc: banks of a pseudo-channel */
    unsigned access_shift;
    /* derived distances */
    uint32_t col_s[2][2], col_l[2][2]; /* [from write][to write]: column to column */
    uint32_t to_pre[2], latency[2], least_latency, ref_every, drain_high, drain_low;
    unsigned group_shift; /* bank of channel >> this = group of channel */
    uint64_t pc_mask[2];
    /* time: all events up to `ran` are done; `now` is what the caller knows */
    uint64_t ran, now, min_arrival;
    uint64_t until; /* of the call of pl_hbm_advance under way; 0: none */
    struct hbm_channel *ch;
    uint64_t *next_at; /* per channel; HBM_NEVER: nothing waits (its refreshes are caught up later) */
    /* front end */
    uint64_t front_at, front_fraction, step; /* next acceptance and its fraction, distance; the latter in 1/65536 clocks */
    bool front_blocked;
    struct hbm_lane { /* requests that wait for a way, and how many each way has */
        uint32_t fifo[HBM_PENDING], head, count;
        uint32_t in_way[HBM_MAX_WAYS];
    } lane[PL_HBM_LANES];
    uint32_t n_waiting; /* in all lanes */
    const struct pl_hbm_source *source; /* NULL: at its end, or none */
    enum pl_status source_status;
    struct pl_diag source_why;
    uint32_t active[HBM_MAX_ACTIVE], n_active, turn, in_turn; /* in_turn: accesses handed out in this turn */
    struct hbm_memo *memo; /* NULL: not for this map, or no_closed_form */
    struct hbm_record rec;
    bool recording, replaying;
    uint32_t next_item;    /* of the next access handed out, while recording */
    uint64_t segment_mask; /* accesses that are 0 under it may begin a segment */
    unsigned row_shift;    /* access >> this = row, if there is a memo */
    uint32_t free_slot, n_pending;
    uint64_t submitted, capacity;
    uint32_t n_slots;
    struct hbm_slot *slot;
    /* completions by time modulo HBM_RING */
    uint64_t ring_bits[HBM_RING / 64], ring_from;
    uint32_t ring_n, ring_head[HBM_RING], ring_tail[HBM_RING];
    struct pl_hbm_stats stats;
    uint64_t latency_sum, hist[PL_HBM_HIST];
};

/* ---- image: the state of all channels, relative to a time and a row, as words ---- */
enum { HBM_IMAGE_WORDS = 2048, HBM_FLIGHT = 2 * HBM_QUEUE }; /* of a channel, at most */
struct hbm_image {
    uint64_t time, access; /* what it is relative to */
    uint32_t *w, n;
    uint32_t *slot, *item, n_flight; /* of the accesses in the queues, in their order in the image */
    bool bad;                        /* some distance does not fit */
};
void hbm_image_save(struct pl_hbm *h, struct hbm_image *m);
void hbm_image_load(struct pl_hbm *h, struct hbm_image *m);

/* ---- memo: segments of a stream that were stepped once are replayed ---- */
/* Without memory there is no memo, and nothing but speed is lost. */
void hbm_memo_new(struct pl_hbm *h);
void hbm_memo_free(struct pl_hbm *h);
/* `access` is about to be handed out at t. Begins to replay or to record if this is a good moment. */
void hbm_memo_checkpoint(struct pl_hbm *h, uint64_t access, bool write, uint64_t t);
/* While recording: a command goes. */
void hbm_memo_command(struct pl_hbm *h, const struct pl_hbm_cmd *c);
/* While replaying: is `access` the next one? Then *t is when it is handed out. The replay may end with this very access. */
bool hbm_memo_match(struct pl_hbm *h, uint64_t access, bool write, uint64_t horizon, uint64_t *t);
/* All accesses of a segment at once, if they are of one piece of request `slot` and nothing else can happen up to its end. */
bool hbm_memo_rush(struct pl_hbm *h, uint32_t slot, uint64_t until);
void hbm_memo_take(struct pl_hbm *h, uint32_t slot); /* it is handed out, for request `slot` */
/* Everything before t is as recorded: tell what is completed by commands up to then. */
void hbm_memo_tell(struct pl_hbm *h, uint64_t t);
/* A time before which nothing is handed out, if `access` is the next. */
uint64_t hbm_memo_next(const struct pl_hbm *h, uint64_t access, bool write);
/* Something from outside: stop recording; stop replaying, with the channels where stepping would have brought them. */
void hbm_memo_stop(struct pl_hbm *h);

void hbm_channel_init(const struct pl_hbm *h, struct hbm_channel *c, uint16_t index);
/* Take an access into the queues; there must be room. `seen` is not before that of the access pushed last. */
void hbm_channel_push(struct pl_hbm *h, struct hbm_channel *c, uint64_t loc, uint64_t access, uint32_t slot, bool write,
                      uint64_t seen);
/* Run all events up to `until`; or only up to the first that frees an entry of direction `stop` (0, 1), then true. */
bool hbm_channel_run(struct pl_hbm *h, struct hbm_channel *c, uint64_t until, int stop);
/* A command goes: tell the log. */
void hbm_emit(struct pl_hbm *h, const struct hbm_channel *c, enum pl_hbm_op op, unsigned bank, uint64_t t, uint32_t row);
#define EMIT(h, c, op, bank, t, row)                                                                                           \
    do {                                                                                                                       \
        if ((h)->opt.log)                                                                                                      \
            hbm_emit(h, c, op, bank, t, row);                                                                                  \
    } while (0)
/* ---- refresh of a channel ---- */
/* The next command for a refresh that is due: its time, pseudo-channel and operation. */
uint64_t hbm_refresh_next(const struct pl_hbm *h, const struct hbm_channel *c, unsigned *pc, enum pl_hbm_op *op);
void hbm_refresh_issue(struct pl_hbm *h, struct hbm_channel *c, unsigned pc, enum pl_hbm_op op, uint64_t t);
/* A refresh falls due: nothing else goes to its banks until it is done. `limit`: nothing arrives before. */
void hbm_refresh_due(struct pl_hbm *h, struct hbm_channel *c, uint64_t limit);
/* All accesses of a request are done. */
void hbm_complete(struct pl_hbm *h, uint32_t slot);
/* One access of a request is done. */
static inline void hbm_finish(struct pl_hbm *h, uint32_t slot, uint64_t time)
{
    if (slot == HBM_FINISHED)
        return;
    struct hbm_slot *s = &h->slot[slot];
    s->last = s->last > time ? s->last : time;
    if (!--s->left)
        hbm_complete(h, slot);
}
/* While recording: an access is handed out; the column command of one goes (a forwarded read: would go) at t. */
enum { HBM_RECORD_CYC = 32766 }; /* a segment is shorter */
static inline uint16_t hbm_record_time(const struct pl_hbm *h, uint64_t t)
{
    return (uint16_t)(t - h->rec.time < HBM_RECORD_CYC ? t - h->rec.time : HBM_RECORD_CYC);
}
static inline void hbm_record_accepted(struct pl_hbm *h, uint64_t access, bool write, uint64_t t)
{
    struct hbm_record *r = &h->rec;
    if (r->n == r->cap) {
        h->recording = false;
        return;
    }
    r->access[r->n] = (access - r->base) << 1 | write;
    r->cmd[r->n_flight + r->n] = 0;
    r->t[r->n++] = hbm_record_time(h, t);
}
static inline void hbm_record_column(struct pl_hbm *h, uint32_t item, bool write, uint64_t t)
{
    h->rec.cmd[item] = (uint16_t)((hbm_record_time(h, t) + 1) << 1 | write);
}
#endif
