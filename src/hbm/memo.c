/* memo.c - segments of a stream that were stepped once are replayed from memory, access by access.
 *
 * A node is a state of all channels, as an image (image.c), taken when an access at the begin of a segment is handed out. Behind it its edge
 * tells what followed: the accesses handed out until the next node, when, the column commands, the statistics. What
 * happens up to a time is a function of the image and of the accesses up to then, so as long as the same accesses come, none waiting
 * for its request, the edge is what stepping would do; completions are told once no access can come before their command. The channels stand still meanwhile; if another access comes, or somebody looks, they are loaded from
 * the image and take the accesses so far (hbm_memo_stop). Rows are relative, so a stream meets its states again in other rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hbm_internal.h"

enum {
    NODES = 4096,          /* at most */
    CHUNK = 4 << 20,       /* bytes asked of the system at once */
    CHUNKS = 24,           /* at most; then all is forgotten */
    CREDIT = 600,          /* segments recorded without a replay; then the memo rests for PAUSE checkpoints, and longer each time */
    PAUSE = 8192,
    SEGMENT = 256          /* accesses of a channel in a segment */
};

struct edge {
    uint32_t n, n_flight, to; /* accesses; those in the queues at the begin; node at the end */
    uint64_t *access;         /* [n]: relative, times two, plus write; NULL: they follow each other from `first` on */
    uint64_t first;           /* as those */
    uint16_t *t;              /* [n + 1]: when it is handed out; the last: when the access of `to` is */
    uint32_t n_col;           /* column commands, in order of time; (time + 1) * 2 + write */
    uint32_t *item;           /* [n_col]: those in the queues at the begin, then the accesses */
    uint16_t *when;           /* [n_col] */
    /* for a run: when the last is done; the front end at the end, and how long it waited after the first */
    uint32_t last_done, front, fraction;
    uint64_t waited;
    uint32_t *flight;         /* of `to`: in its order, numbers in this edge */
    uint32_t *busy;           /* data clocks, by channel */
    struct pl_hbm_cmd *cmd;   /* relative; with a log */
    size_t n_cmd;
    uint64_t last_access; /* of `to`, relative to this node */
    struct pl_hbm_stats stats;
    unsigned won, lost; /* replays to the end, or not */
};
struct node {
    uint64_t hash;
    uint32_t *w, n, n_flight;
    struct edge *edge; /* NULL: not known */
};
struct hbm_memo {
    struct node node[NODES];
    uint32_t n_node;
    uint16_t table[4 * NODES]; /* node + 1, by hash */
    unsigned char *mem[CHUNKS]; /* of nodes and edges; up to m->used of chunk m->chunk */
    size_t chunk, used;
    struct hbm_image image;
    uint32_t at;               /* node recorded or replayed from */
    uint64_t time, base;       /* of it; base: its first access, less its column */
    uint32_t next, told;       /* access and column command of the edge, while replaying */
    uint32_t *slot, *slot_to;  /* of the accesses of the edge being replayed */
    /* recording, but for h->rec */
    uint32_t *busy;
    uint32_t *sorted, *count; /* column commands by time */
    uint16_t *when;
    struct pl_hbm_cmd *cmd;
    size_t n_cmd, cap_cmd;
    struct pl_hbm_stats from;
    uint64_t *busy_from, hits, accesses;
    unsigned credit, pause, rests; /* segments to record before one must have been replayed; checkpoints to let pass */
};

/* Access i of the edge. */
static inline uint64_t nth(const struct edge *e, uint32_t i)
{
    return e->access ? e->access[i] : e->first + 2 * (uint64_t)i;
}

static void forget_all(struct hbm_memo *m)
{
    m->n_node = 0;
    m->chunk = 0;
    m->used = 0;
    memset(m->table, 0, sizeof m->table);
}

/* A copy that lives until all is forgotten; NULL if there is no room. Large pages: most of the cost would be faults. */
static void *copy_of(struct hbm_memo *m, const void *p, size_t bytes)
{
    const size_t size = (bytes + 15) & ~(size_t)15;
    if (size > CHUNK)
        return NULL;
    if (m->used + size > CHUNK) {
        m->chunk++;
        m->used = 0;
    }
    if (m->chunk == CHUNKS)
        return NULL;
    if (!m->mem[m->chunk]) {
        m->mem[m->chunk] = aligned_alloc(CHUNK, CHUNK);
        if (!m->mem[m->chunk])
            return NULL;
#ifdef MADV_HUGEPAGE
        (void)madvise(m->mem[m->chunk], CHUNK, MADV_HUGEPAGE);
#endif
    }
    void *q = m->mem[m->chunk] + m->used;
    m->used += size;
    return bytes ? memcpy(q, p, bytes) : q;
}

void hbm_memo_free(struct pl_hbm *h)
{
    struct hbm_memo *m = h->memo;
    if (!m)
        return;
    for (size_t i = 0; i < CHUNKS; i++)
        free(m->mem[i]);
    free(m->image.w);
    free(m->image.slot);
    free(m->image.item);
    free(m->slot);
    free(m->slot_to);
    free(m->busy_from);
    free(m->busy);
    free(m->cmd);
    free(h->rec.access);
    free(h->rec.t);
    free(h->rec.cmd);
    free(m->sorted);
    free(m->count);
    free(m->when);
    free(m);
    h->memo = NULL;
    h->recording = h->replaying = false;
}

/* The row must be the top bits of an access as they are, and nothing else may depend on them. */
static bool rows_on_top(const struct pl_hbm *h, unsigned shift, unsigned total)
{
    for (unsigned b = 0; b < total; b++) {
        const uint64_t v = hbm_locate(&h->map, (uint64_t)1 << b);
        if (b < shift ? (uint32_t)v != 0 : v != (uint64_t)1 << (b - shift))
            return false;
    }
    return true;
}

void hbm_memo_new(struct pl_hbm *h)
{
    const unsigned total = pl_log2(h->capacity) - h->access_shift, shift = total - pl_log2(h->p.rows);
    const uint32_t segment = SEGMENT * h->n_ch, flight = HBM_FLIGHT * h->n_ch;
    if (!rows_on_top(h, shift, total) || segment > (uint32_t)1 << shift)
        return;
    struct hbm_memo *m = h->memo = calloc(1, sizeof *m);
    if (!m)
        return;
    h->row_shift = shift;
    h->segment_mask = segment - 1;
    h->rec.cap = 2 * segment;
    m->credit = CREDIT;
    m->image.w = malloc(sizeof(uint32_t) * HBM_IMAGE_WORDS * h->n_ch);
    m->image.slot = malloc(sizeof(uint32_t) * flight);
    m->image.item = malloc(sizeof(uint32_t) * flight);
    m->slot = malloc(sizeof(uint32_t) * (flight + h->rec.cap));
    m->slot_to = malloc(sizeof(uint32_t) * flight);
    m->busy_from = malloc(sizeof(uint64_t) * h->n_ch);
    h->rec.access = malloc(sizeof(uint64_t) * h->rec.cap);
    m->busy = malloc(sizeof(uint32_t) * h->n_ch);
    h->rec.t = malloc(sizeof(uint16_t) * (h->rec.cap + 1));
    h->rec.cmd = malloc(sizeof(uint16_t) * (flight + h->rec.cap));
    m->sorted = malloc(sizeof(uint32_t) * (flight + h->rec.cap));
    m->when = malloc(sizeof(uint16_t) * (flight + h->rec.cap));
    m->count = malloc(sizeof(uint32_t) * (HBM_RECORD_CYC + 2));
    if (!m->image.w || !m->image.slot || !m->image.item || !m->slot || !m->slot_to || !m->busy_from || !h->rec.access || !h->rec.t ||
        !h->rec.cmd || !m->busy || !m->sorted || !m->when || !m->count)
        hbm_memo_free(h);
}

/* ---- recording ---- */
static void begin_record(struct pl_hbm *h)
{
    struct hbm_memo *m = h->memo;
    struct hbm_record *r = &h->rec;
    r->n = 0;
    r->n_flight = h->next_item = m->node[m->at].n_flight;
    r->time = m->time;
    r->base = m->base;
    memset(r->cmd, 0, sizeof *r->cmd * r->n_flight);
    m->n_cmd = 0;
    m->credit -= m->credit > 0;
    m->from = h->stats;
    m->from.blocked_cyc += m->time - h->front_at; /* of the first access, which is not known yet */
    for (uint32_t i = 0; i < h->n_ch; i++)
        m->busy_from[i] = h->ch[i].busy;
    h->recording = true;
}

void hbm_memo_command(struct pl_hbm *h, const struct pl_hbm_cmd *c)
{
    struct hbm_memo *m = h->memo;
    if (m->n_cmd == m->cap_cmd) {
        struct pl_hbm_cmd *more = realloc(m->cmd, sizeof *more * (2 * m->cap_cmd + 4096));
        if (!more) {
            h->recording = false;
            return;
        }
        m->cmd = more;
        m->cap_cmd = 2 * m->cap_cmd + 4096;
    }
    struct pl_hbm_cmd *to = &m->cmd[m->n_cmd++];
    *to = *c;
    to->time -= m->time;
    to->row -= c->op == PL_HBM_ACT || c->op == PL_HBM_RD || c->op == PL_HBM_WR ? (uint32_t)(m->base >> h->row_shift) : 0;
}

/* Statistics that the channels keep: the front end keeps the others, also during a replay. */
#define CHANNEL_STATS(X)                                                                                                       \
    X(accesses[0]) X(accesses[1]) X(forwarded) X(hit) X(miss) X(conflict) X(activates) X(precharges) X(refreshes)
static void add_stats(struct pl_hbm_stats *to, const struct pl_hbm_stats *x)
{
#define X(f) to->f += x->f;
    CHANNEL_STATS(X)
#undef X
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        to->lost_cyc[l] += x->lost_cyc[l];
}
static void sub_stats(struct pl_hbm_stats *to, const struct pl_hbm_stats *x)
{
#define X(f) to->f -= x->f;
    CHANNEL_STATS(X)
#undef X
    for (unsigned l = 0; l < PL_HBM_LOSSES; l++)
        to->lost_cyc[l] -= x->lost_cyc[l];
}

/* The column commands in order of time, from the record. False: some distance does not fit. */
static bool sort_columns(struct hbm_memo *m, const struct hbm_record *r, struct edge *e)
{
    const uint32_t n = r->n_flight + r->n;
    uint32_t last = 0, at = 0;
    for (uint32_t i = 0; i < n; i++)
        last = r->cmd[i] > last ? r->cmd[i] : last;
    last >>= 1;
    if (!r->n || r->t[r->n - 1] == HBM_RECORD_CYC || last > HBM_RECORD_CYC)
        return false;
    memset(m->count, 0, sizeof *m->count * (last + 1));
    for (uint32_t i = 0; i < n; i++)
        m->count[r->cmd[i] >> 1]++;
    e->n_col = n - m->count[0];
    for (uint32_t t = 1; t <= last; t++) {
        const uint32_t here = m->count[t];
        m->count[t] = at;
        at += here;
    }
    for (uint32_t i = 0; i < n; i++)
        if (r->cmd[i]) {
            const uint32_t to = m->count[r->cmd[i] >> 1]++;
            m->sorted[to] = i;
            m->when[to] = r->cmd[i];
        }
    return true;
}

/* All accesses follow each other, in one direction: no list of them is needed, and hbm_memo_rush may take them together. */
static bool is_run(const struct hbm_record *r, uint64_t to)
{
    uint64_t off = 0;
    for (uint32_t i = 0; i < r->n; i++)
        off |= r->access[i] ^ (r->access[0] + 2 * (uint64_t)i);
    return !off && to == (r->access[0] >> 1) + r->n;
}

/* When the data of column command i of the edge are at the requester, relative as it. */
static inline uint64_t done_at(const struct pl_hbm *h, uint16_t when)
{
    return (uint64_t)(when >> 1) - 1 + h->latency[when & 1];
}

static void describe_run(const struct pl_hbm *h, struct edge *e)
{
    for (uint32_t i = 0; i < e->n_col; i++) {
        const uint64_t t = done_at(h, h->memo->when[i]);
        e->last_done = t > e->last_done ? (uint32_t)t : e->last_done;
    }
    e->front = (uint32_t)(h->front_at - h->memo->time);
    e->fraction = (uint32_t)h->front_fraction;
    e->waited = h->stats.blocked_cyc - h->memo->from.blocked_cyc;
}

/* The recording ends in node `to`, whose image stands in m->image: it becomes the edge of node m->at. */
static void end_record(struct pl_hbm *h, uint32_t to, uint64_t access, uint64_t t)
{
    struct hbm_memo *m = h->memo;
    struct hbm_record *r = &h->rec;
    struct edge e = {.n = r->n, .n_flight = r->n_flight, .to = to, .last_access = access - m->base, .n_cmd = m->n_cmd};
    h->recording = false;
    if (t - m->time >= HBM_RECORD_CYC || h->front_at < m->time || !sort_columns(m, r, &e))
        return;
    r->t[r->n] = (uint16_t)(t - m->time);
    e.first = r->access[0];
    const bool run = is_run(r, e.last_access);
    describe_run(h, &e);
    e.stats = h->stats;
    sub_stats(&e.stats, &m->from);
    for (uint32_t i = 0; i < h->n_ch; i++)
        m->busy[i] = (uint32_t)(h->ch[i].busy - m->busy_from[i]);
    e.access = run ? NULL : copy_of(m, r->access, sizeof *r->access * r->n);
    e.t = copy_of(m, r->t, sizeof *r->t * (r->n + 1));
    e.item = copy_of(m, m->sorted, sizeof *m->sorted * e.n_col);
    e.when = copy_of(m, m->when, sizeof *m->when * e.n_col);
    e.flight = copy_of(m, m->image.item, sizeof *m->image.item * m->image.n_flight);
    e.cmd = copy_of(m, m->cmd, sizeof *m->cmd * m->n_cmd);
    e.busy = copy_of(m, m->busy, sizeof *m->busy * h->n_ch);
    if ((run || e.access) && e.t && e.item && e.when && e.flight && e.cmd && e.busy)
        m->node[m->at].edge = copy_of(m, &e, sizeof e);
}

/* ---- nodes ---- */
static uint64_t hash_of(const uint32_t *w, uint32_t n)
{
    uint64_t a = n, b = 0; /* two chains: half the wait */
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        a = (a ^ w[i]) * 0x9e3779b97f4a7c15u;
        b = (b ^ w[i + 1]) * 0xc2b2ae3d27d4eb4fu;
        a ^= a >> 29;
        b ^= b >> 31;
    }
    a = (a ^ b ^ (n & 1 ? w[n - 1] : 0)) * 0x9e3779b97f4a7c15u;
    return a ^ a >> 32;
}

/* The node of the image, perhaps new; NODES if there is no room or no memory. */
static uint32_t find_node(struct hbm_memo *m)
{
    const struct hbm_image *g = &m->image;
    const uint64_t hash = hash_of(g->w, g->n);
    uint32_t i = (uint32_t)(hash % PL_COUNT(m->table));
    for (; m->table[i]; i = (i + 1) % PL_COUNT(m->table)) {
        const struct node *n = &m->node[m->table[i] - 1];
        if (n->hash == hash && n->n == g->n && !memcmp(n->w, g->w, sizeof *g->w * g->n))
            return m->table[i] - 1u;
    }
    uint32_t *w = m->n_node < NODES ? copy_of(m, g->w, sizeof *g->w * g->n) : NULL;
    if (!w)
        return NODES;
    m->node[m->n_node] = (struct node){.hash = hash, .w = w, .n = g->n, .n_flight = g->n_flight};
    m->table[i] = (uint16_t)++m->n_node;
    return m->n_node - 1;
}

/* Most column commands since the last time hit open rows: this is a stream, and may come again. */
static bool worth_it(struct pl_hbm *h)
{
    struct hbm_memo *m = h->memo;
    const uint64_t accesses = h->stats.accesses[0] + h->stats.accesses[1], n = accesses - m->accesses, hits = h->stats.hit - m->hits;
    m->accesses = accesses;
    m->hits = h->stats.hit;
    return n > h->segment_mask / 8 && hits >= n / 4 * 3;
}

void hbm_memo_checkpoint(struct pl_hbm *h, uint64_t access, bool write, uint64_t t)
{
    struct hbm_memo *m = h->memo;
    struct hbm_image *g = &m->image;
    if (t <= h->ran || (h->recording && h->rec.n < h->segment_mask / 8))
        return;
    if (!m->credit) { /* nothing comes again: start afresh later */
        forget_all(m);
        m->pause = PAUSE << m->rests;
        m->rests += m->rests < 8;
        m->credit = CREDIT;
        h->recording = false;
    }
    if (m->pause) {
        m->pause--;
        return;
    }
    if (!worth_it(h)) {
        h->recording = false;
        return;
    }
    for (uint32_t i = 0; i < h->n_ch; i++) /* no access comes before t */
        (void)hbm_channel_run(h, &h->ch[i], t - 1, -1);
    const uint64_t base = access >> h->row_shift << h->row_shift;
    g->time = t;
    g->access = base;
    g->n = 0;
    g->bad = false;
    hbm_image_save(h, g);
    g->w[g->n++] = (uint32_t)(access - base);
    g->w[g->n++] = (uint32_t)(h->front_at < t ? 0 : h->front_fraction) << 1 | write;
    uint32_t to = g->bad ? NODES : find_node(m);
    if (to == NODES && !g->bad) {
        h->recording = false;
        forget_all(m);
        to = find_node(m);
    }
    if (h->recording && to < NODES && !m->node[m->at].edge)
        end_record(h, to, access, t);
    h->recording = false;
    if (to == NODES)
        return;
    m->at = to;
    m->time = t;
    m->base = base;
    if (!m->node[to].edge) {
        begin_record(h);
        return;
    }
    memcpy(m->slot, g->slot, sizeof *g->slot * g->n_flight);
    m->next = m->told = 0;
    h->replaying = true;
}

/* ---- replaying ---- */
uint64_t hbm_memo_next(const struct pl_hbm *h, uint64_t access, bool write)
{
    const struct hbm_memo *m = h->memo;
    const struct edge *e = m->node[m->at].edge;
    const uint64_t a = access - m->base;
    const bool as_expected = m->next < e->n ? nth(e, m->next) == (a << 1 | write) : e->last_access == a;
    return as_expected ? m->time + e->t[m->next] : h->front_at;
}

void hbm_memo_take(struct pl_hbm *h, uint32_t slot)
{
    struct hbm_memo *m = h->memo;
    m->slot[m->node[m->at].edge->n_flight + m->next++] = slot;
}

void hbm_memo_tell(struct pl_hbm *h, uint64_t t)
{
    struct hbm_memo *m = h->memo;
    const struct edge *e = m->node[m->at].edge;
    for (; m->told < e->n_col && m->time + (e->when[m->told] >> 1) <= t; m->told++)
        hbm_finish(h, m->slot[e->item[m->told]], m->time + done_at(h, e->when[m->told]));
}

/* Load node m->at; m->slot holds the slots of its accesses. */
static void load(struct pl_hbm *h)
{
    struct hbm_memo *m = h->memo;
    const struct node *n = &m->node[m->at];
    struct hbm_image g = {.time = m->time, .access = m->base, .w = n->w, .n = n->n, .slot = m->slot, .item = m->image.item};
    for (uint32_t i = 0; i < n->n_flight; i++)
        g.item[i] = i;
    hbm_image_load(h, &g);
    h->replaying = false;
}

/* The edge is replayed to its end, and node e->to reached. */
static void cross(struct pl_hbm *h, uint64_t access)
{
    struct hbm_memo *m = h->memo;
    struct edge *e = m->node[m->at].edge;
    hbm_memo_tell(h, HBM_NEVER);
    add_stats(&h->stats, &e->stats);
    for (uint32_t i = 0; i < h->n_ch; i++)
        h->ch[i].busy += e->busy[i];
    for (size_t i = 0; i < e->n_cmd; i++) {
        struct pl_hbm_cmd c = e->cmd[i];
        c.time += m->time;
        c.row += c.op == PL_HBM_ACT || c.op == PL_HBM_RD || c.op == PL_HBM_WR ? (uint32_t)(m->base >> h->row_shift) : 0;
        h->opt.log(h->opt.log_ctx, &c);
    }
    e->won++;
    m->credit = CREDIT;
    const uint32_t n = m->node[e->to].n_flight;
    for (uint32_t i = 0; i < n; i++)
        m->slot_to[i] = m->slot[e->flight[i]];
    memcpy(m->slot, m->slot_to, sizeof *m->slot * n);
    m->time += e->t[e->n];
    m->base = access >> h->row_shift << h->row_shift;
    m->at = e->to;
    m->next = m->told = 0;
    if (!m->node[m->at].edge) {
        load(h);
        begin_record(h);
    }
}

bool hbm_memo_match(struct pl_hbm *h, uint64_t access, bool write, uint64_t horizon, uint64_t *t)
{
    struct hbm_memo *m = h->memo;
    const struct edge *e = m->node[m->at].edge;
    const struct node *n = &m->node[e->to];
    const uint64_t a = access - m->base;
    if (m->next < e->n ? nth(e, m->next) != (a << 1 | write) : e->last_access != a || (n->w[n->n - 1] & 1) != write)
        return false;
    *t = m->time + e->t[m->next];
    if (m->next == e->n && *t <= horizon)
        cross(h, access);
    return true;
}

bool hbm_memo_rush(struct pl_hbm *h, uint32_t slot, uint64_t until)
{
    struct hbm_memo *m = h->memo;
    const struct edge *e = m->node[m->at].edge;
    struct hbm_slot *s = &h->slot[slot];
    if (m->next || m->told || e->access || s->end - s->access <= e->n || m->time + e->t[e->n] > until)
        return false;
    uint32_t other = 0;
    for (uint32_t i = 0; i < e->n_flight; i++)
        other |= m->slot[i] ^ slot;
    if (other) /* one of them may complete */
        return false;
    for (uint32_t i = 0; i < e->n; i++)
        m->slot[e->n_flight + i] = slot;
    const uint64_t last = m->time + e->last_done;
    s->last = s->last > last ? s->last : last;
    s->left -= e->n_col;
    s->access += e->n;
    h->stats.blocked_cyc += e->waited + (m->time - h->front_at);
    h->stats.bytes[s->write] += (uint64_t)e->n * h->access_bytes;
    h->front_at = m->time + e->front;
    h->front_fraction = e->fraction;
    m->next = e->n;
    m->told = e->n_col;
    return true;
}

/* Bring the channels to where the replay stands: once more, from its node. */
static void step(struct pl_hbm *h)
{
    struct hbm_memo *m = h->memo;
    struct node *n = &m->node[m->at];
    struct edge *e = n->edge;
    for (uint32_t i = 0; i < m->told; i++)
        m->slot[e->item[i]] = HBM_FINISHED;
    load(h);
    for (uint32_t i = 0; i < m->next; i++) {
        const uint64_t access = (nth(e, i) >> 1) + m->base, loc = hbm_locate(&h->map, access);
        const bool write = nth(e, i) & 1;
        struct hbm_channel *c = &h->ch[loc >> 40];
        if (c->used[write] == (write ? h->p.write_queue : h->p.read_queue))
            (void)hbm_channel_run(h, c, HBM_NEVER, write);
        hbm_channel_push(h, c, loc, access, m->slot[e->n_flight + i], write, m->time + e->t[i] + h->p.lat_in);
    }
    for (uint32_t i = 0; i < h->n_ch; i++)
        if (h->next_at[i] <= h->ran)
            (void)hbm_channel_run(h, &h->ch[i], h->ran, -1);
    if (++e->lost > e->won + 2)
        n->edge = NULL;
}

void hbm_memo_stop(struct pl_hbm *h)
{
    h->recording = false;
    if (h->replaying)
        step(h);
}
