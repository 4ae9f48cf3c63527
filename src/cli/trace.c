/* trace.c - a simulation over time: the text trace, and the Chrome trace with its tracks and counters.
 *
 * Instructions arrive in program order and leave at once; HBM windows leave when no later transfer can reach them. What is
 * kept: the open operator and pass, the windows ahead, the ends of the transfer tracks, and the bins of the occupancies. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "occupancy.h"
#include "plena/arch_timing.h"
#include "report.h"

enum { PID = 1, TID_PASSES = 1, TID_OPERATORS = 2, TID_UNITS = 10, TID_LANES = 1000, HBM_WINDOW_CYC = 100 };

struct lanes { /* tracks of a DMA engine, one for each transfer in flight: where the last on each ends */
    uint64_t *end;
    unsigned n;
};
struct window {
    uint64_t read_bytes, write_bytes;
};
struct windows { /* HBM traffic of windows `first`, first + 1, ... */
    struct window *w;
    uint64_t first;
    size_t n, cap;
    bool shown; /* the counter stands at something */
};
struct bus_time {
    uint64_t from, n;
};
struct tracer {
    const struct pl_image *img;
    const struct pl_arch *arch;
    FILE *text;
    const char *text_path;
    struct pl_chrome *chrome;
    uint64_t from_cyc, to_cyc;
    bool running;                  /* a pass is */
    uint32_t pass_pc, op;          /* where the pass began, the operator at hand */
    uint64_t pass_cyc, op_cyc;     /* since when */
    uint64_t issued_cyc, done_cyc; /* behind the last issue; behind everything so far */
    struct lanes lanes[3];
    struct windows hbm;
    uint64_t last_transfer_cyc[3]; /* end of the last transfer of each engine */
    struct occupancy tiles, rows;
};

static bool shows(const struct tracer *t, uint64_t from, uint64_t to)
{
    return from < t->to_cyc && to > t->from_cyc;
}

static void span(struct tracer *t, unsigned tid, const char *name, uint64_t from, uint64_t to)
{
    if (to > from && shows(t, from, to))
        pl_chrome_put_span(t->chrome, &(struct pl_chrome_span){PID, tid, name, from, to}, NULL, 0);
}

/* ---- HBM traffic ---- */
static void put_window(struct tracer *t, uint64_t index, struct window w)
{
    struct windows *h = &t->hbm;
    const uint64_t from = index * HBM_WINDOW_CYC;
    const bool any = w.read_bytes || w.write_bytes;
    if ((any || h->shown) && shows(t, from, from + HBM_WINDOW_CYC)) {
        const struct pl_chrome_arg arg[] = {{"read", NULL, w.read_bytes}, {"write", NULL, w.write_bytes}};
        pl_chrome_put_counter(t->chrome, PID, "HBM bytes in 100 cycles", from, arg, PL_COUNT(arg));
        h->shown = any;
    }
}

/* Windows that end at or before `cyc` are complete; UINT64_MAX: all are. */
static void flush_windows(struct tracer *t, uint64_t cyc)
{
    struct windows *h = &t->hbm;
    size_t done = 0;
    while (done < h->n && (h->first + done + 1) * HBM_WINDOW_CYC <= cyc) {
        put_window(t, h->first + done, h->w[done]);
        done++;
    }
    if (done) {
        memmove(h->w, h->w + done, (h->n - done) * sizeof *h->w);
        h->n -= done;
        h->first += done;
    }
    if (!h->n && h->shown && (h->first + 1) * HBM_WINDOW_CYC <= cyc)
        put_window(t, h->first, (struct window){0});
}

static struct window *window_at(struct windows *h, uint64_t index)
{
    if (!h->n && !h->shown)
        h->first = index;
    while (index - h->first >= h->n) {
        if (h->n == h->cap) {
            h->cap = h->cap ? 2 * h->cap : 64;
            h->w = realloc(h->w, h->cap * sizeof *h->w);
            if (!h->w)
                abort();
        }
        h->w[h->n++] = (struct window){0};
    }
    return &h->w[index - h->first];
}

/* When the bus moved a transfer. With the simple HBM: the cycles it needs for the bytes, which end when it is free again.
 * With banks, transfers interleave and only their ends are known: from the end of the engine's transfer before. */
static struct bus_time bus_time_of(struct tracer *t, const struct pl_sim_retired *r, uint64_t bytes)
{
    uint64_t *last = &t->last_transfer_cyc[r->access->unit - PL_SIM_LOAD_M];
    uint64_t from = r->start_cyc > *last ? r->start_cyc : *last;
    if (!strcmp(t->arch->hbm_model, "simple")) {
        const uint64_t n = pl_arch_hbm_cycles(t->arch, bytes);
        from = r->free_cyc > n ? r->free_cyc - n : 0;
    }
    from = from > r->issue_cyc ? from : r->issue_cyc;
    *last = r->free_cyc > *last ? r->free_cyc : *last;
    return (struct bus_time){from, r->free_cyc > from ? r->free_cyc - from : 1};
}

static void put_traffic(struct tracer *t, const struct pl_sim_retired *r)
{
    const struct pl_sim_access *x = r->access;
    const uint64_t bytes = x->hbm_read_bytes + x->hbm_write_bytes;
    flush_windows(t, r->issue_cyc);
    if (!bytes)
        return;
    const struct bus_time bus = bus_time_of(t, r, bytes);
    const uint64_t from = bus.from, n = bus.n;
    struct window before = {0};
    for (uint64_t i = from / HBM_WINDOW_CYC; i * HBM_WINDOW_CYC < from + n; i++) {
        const uint64_t end = (i + 1) * HBM_WINDOW_CYC, part = (end < from + n ? end : from + n) - from;
        const struct window upto = {x->hbm_read_bytes * part / n, x->hbm_write_bytes * part / n};
        struct window *w = window_at(&t->hbm, i);
        w->read_bytes += upto.read_bytes - before.read_bytes;
        w->write_bytes += upto.write_bytes - before.write_bytes;
        before = upto;
    }
}

/* ---- SRAM ---- */
static void each_row(struct occupancy *o, const struct pl_sim_rows *r, uint64_t cyc, void (*mark)(struct occupancy *, size_t, uint64_t))
{
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->width; k++)
            mark(o, (size_t)r->first + (size_t)i * r->stride + k, cyc);
}

static void put_access(struct tracer *t, const struct pl_sim_retired *r)
{
    const struct pl_sim_access *x = r->access;
    for (unsigned i = 0; i < x->n_read; i++)
        each_row(&t->rows, &x->read[i], r->free_cyc, occupancy_read);
    each_row(&t->rows, &x->write, r->end_cyc, occupancy_write);
    if (x->tile_read >= 0)
        occupancy_read(&t->tiles, (size_t)x->tile_read, r->free_cyc);
    for (uint32_t i = 0; i < x->tiles_written; i++)
        occupancy_write(&t->tiles, (size_t)x->tile_write + i, r->end_cyc);
}

static void put_occupancy(struct tracer *t, struct occupancy *o, const char *name, const char *unit)
{
    uint64_t last = 0;
    occupancy_finish(o);
    for (size_t i = 0; i < OCCUPANCY_BINS; i++) {
        const uint64_t live = (o->bin[i] + o->width_cyc / 2) / o->width_cyc;
        if (live != last)
            pl_chrome_put_counter(t->chrome, PID, name, o->from_cyc + i * o->width_cyc, &(struct pl_chrome_arg){unit, NULL, live}, 1);
        last = live;
    }
    if (last)
        pl_chrome_put_counter(t->chrome, PID, name, o->from_cyc + OCCUPANCY_BINS * o->width_cyc, &(struct pl_chrome_arg){unit, NULL, 0}, 1);
}

/* ---- units ---- */
/* A track on which nothing runs any more at `from`. */
static unsigned lane_for(struct tracer *t, enum pl_sim_unit unit, uint64_t from, uint64_t to)
{
    struct lanes *l = &t->lanes[unit - PL_SIM_LOAD_M];
    unsigned i = 0;
    while (i < l->n && l->end[i] > from)
        i++;
    if (i == l->n) {
        char name[32];
        l->end = realloc(l->end, ++l->n * sizeof *l->end);
        if (!l->end)
            abort();
        snprintf(name, sizeof name, "%s %u", pl_sim_unit_name(unit), i);
        pl_chrome_track(t->chrome, PID, (unsigned)unit * TID_LANES + i, name);
    }
    l->end[i] = to;
    return (unsigned)unit * TID_LANES + i;
}

static void put_unit(struct tracer *t, const struct pl_sim_retired *r)
{
    const enum pl_sim_unit unit = r->access->unit;
    const bool dma = unit >= PL_SIM_LOAD_M && unit <= PL_SIM_STORE;
    const uint64_t from = dma ? r->issue_cyc : r->start_cyc, to = dma ? r->end_cyc : r->free_cyc;
    if (!shows(t, from, to))
        return;
    const struct pl_chrome_arg arg[] = {
        {"pc", NULL, r->pc}, {"seq", NULL, r->seq}, {"operator", op_name(t->img, r->access->op), 0},
        {"done", NULL, r->end_cyc}, {"line", NULL, t->img->n_line ? t->img->line[r->pc] : 0},
    };
    const struct pl_chrome_span s = {PID, dma ? lane_for(t, unit, from, to) : TID_UNITS + (unsigned)unit,
                                     pl_isa_info((enum pl_op)r->insn.op)->name, from, to};
    pl_chrome_put_span(t->chrome, &s, arg, PL_COUNT(arg) - !t->img->n_line);
}

/* ---- passes and operators ---- */
static void end_pass(struct tracer *t)
{
    char name[64];
    if (!t->running)
        return;
    snprintf(name, sizeof name, "pc %u", t->pass_pc);
    for (size_t i = 0; i < t->img->n_entry; i++)
        if (t->img->entry[i].value == t->pass_pc)
            snprintf(name, sizeof name, "%s", t->img->entry[i].name);
    span(t, TID_OPERATORS, op_name(t->img, t->op), t->op_cyc, t->issued_cyc);
    span(t, TID_PASSES, name, t->pass_cyc, t->done_cyc);
    t->running = false;
}

/* An operator's span reaches from the issue behind its predecessor's last to its own last: its waits included. */
static void put_progress(struct tracer *t, const struct pl_sim_retired *r)
{
    if (!t->running) {
        t->running = true;
        t->pass_pc = r->pc;
        t->op = r->access->op;
        t->pass_cyc = t->op_cyc = t->done_cyc;
    } else if (r->access->op != t->op) {
        span(t, TID_OPERATORS, op_name(t->img, t->op), t->op_cyc, t->issued_cyc);
        t->op = r->access->op;
        t->op_cyc = t->issued_cyc;
    }
    t->issued_cyc = r->issue_cyc + 1;
    t->done_cyc = r->end_cyc > t->done_cyc ? r->end_cyc : t->done_cyc;
    t->done_cyc = t->issued_cyc > t->done_cyc ? t->issued_cyc : t->done_cyc;
    if (r->insn.op == PL_C_HALT || r->insn.op == PL_C_BREAK)
        end_pass(t);
}

void tracer_retired(void *tracer, const struct pl_sim_retired *r)
{
    struct tracer *t = tracer;
    if (t->text && r->issue_cyc < t->to_cyc && r->end_cyc > t->from_cyc) {
        char text[128];
        pl_isa_format(&r->insn, text, sizeof text);
        fprintf(t->text, "%llu %llu %llu %llu %u 0x%08X %s\n", (unsigned long long)r->seq, (unsigned long long)r->issue_cyc,
                (unsigned long long)r->start_cyc, (unsigned long long)r->end_cyc, r->pc, r->word, text);
    }
    if (!t->chrome)
        return;
    put_progress(t, r);
    put_unit(t, r);
    put_traffic(t, r);
    put_access(t, r);
}

/* ---- files ---- */
static void name_tracks(struct tracer *t, const char *title)
{
    char name[256];
    snprintf(name, sizeof name, "%s on machine %s", title, t->arch->name);
    pl_chrome_process(t->chrome, PID, name);
    pl_chrome_track(t->chrome, PID, TID_PASSES, "passes");
    pl_chrome_track(t->chrome, PID, TID_OPERATORS, "operators");
    for (unsigned u = 0; u < PL_SIM_UNIT_COUNT; u++)
        if (u < PL_SIM_LOAD_M || u > PL_SIM_STORE)
            pl_chrome_track(t->chrome, PID, TID_UNITS + u, pl_sim_unit_name((enum pl_sim_unit)u));
}

static enum pl_status open_chrome(struct tracer *t, const char *path, const struct report_of *o, struct pl_diag *d)
{
    const struct pl_chrome_arg other[] = {{"schema", "plena.chrome/1", 0}, {"version", PL_VERSION, 0}, {"title", o->title, 0},
                                          {"machine", o->arch->name, 0}, {"hbm_window_cycles", NULL, HBM_WINDOW_CYC}};
    PL_TRY(pl_chrome_open(path, o->arch->clock_hz, other, PL_COUNT(other), &t->chrome, d));
    occupancy_init(&t->tiles, o->arch->matrix_tiles, t->from_cyc, t->to_cyc);
    occupancy_init(&t->rows, o->arch->vector_rows, t->from_cyc, t->to_cyc);
    name_tracks(t, o->title);
    return PL_OK;
}

enum pl_status tracer_open(const struct report_opts *r, const struct report_of *o, struct tracer **out, struct pl_diag *d)
{
    *out = NULL;
    if (!r->trace && !r->chrome)
        return PL_OK;
    struct tracer *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    *t = (struct tracer){.img = o->img, .arch = o->arch, .from_cyc = r->from_cyc, .to_cyc = r->to_cyc ? r->to_cyc : UINT64_MAX};
    enum pl_status s = PL_OK;
    if (r->trace) {
        t->text_path = r->trace;
        t->text = fopen(r->trace, "w");
        if (t->text)
            fputs("# seq issue start end pc word instruction\n", t->text);
        else
            s = pl_fail(d, PL_EIO, "%s: %s", r->trace, strerror(errno));
    }
    if (s == PL_OK && r->chrome)
        s = open_chrome(t, r->chrome, o, d);
    if (s == PL_OK)
        *out = t;
    else
        (void)tracer_close(t, NULL);
    return s;
}

enum pl_status tracer_close(struct tracer *t, struct pl_diag *d)
{
    enum pl_status s = PL_OK;
    if (!t)
        return s;
    if (t->text && (fflush(t->text) || ferror(t->text)))
        s = pl_fail(d, PL_EIO, "%s: cannot be written", t->text_path);
    if (t->text)
        fclose(t->text);
    if (t->chrome) {
        end_pass(t);
        flush_windows(t, UINT64_MAX);
        put_occupancy(t, &t->tiles, "Matrix SRAM", "live tiles");
        put_occupancy(t, &t->rows, "Vector SRAM", "live rows");
        const enum pl_status written = pl_chrome_close(t->chrome, d);
        s = s == PL_OK ? written : s;
    }
    for (unsigned i = 0; i < 3; i++)
        free(t->lanes[i].end);
    free(t->hbm.w);
    occupancy_fini(&t->tiles);
    occupancy_fini(&t->rows);
    free(t);
    return s;
}
