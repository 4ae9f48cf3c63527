/* timing.c - cycles: in-order issue against a scoreboard of units, registers, SRAM rows and tiles; background DMA.
 *
 * One instruction issues per cycle. It waits until its operands are there, its unit takes it, and its result cannot
 * overtake an older access to the same place. HBM is a bus of a given bandwidth with a latency behind it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sim_internal.h"

enum wait { WAIT_NONE, WAIT_OPERAND, WAIT_UNIT, WAIT_DMA, WAIT_FENCE };

static uint64_t *cycles(size_t n)
{
    uint64_t *p = calloc(n, sizeof *p);
    if (!p)
        abort();
    return p;
}

void sim_timing_init(struct pl_sim *sim)
{
    struct timing *t = &sim->t;
    t->row_write = cycles(sim->arch->vector_rows);
    t->row_read = cycles(sim->arch->vector_rows);
    t->tile_write = cycles(sim->arch->matrix_tiles);
    t->tile_read = cycles(sim->arch->matrix_tiles);
    for (unsigned i = 0; i < 3; i++) {
        t->dma[i].n = sim->arch->outstanding;
        t->dma[i].done = cycles(t->dma[i].n);
    }
}

void sim_timing_fini(struct pl_sim *sim)
{
    free(sim->t.row_write);
    free(sim->t.row_read);
    free(sim->t.tile_write);
    free(sim->t.tile_read);
    for (unsigned i = 0; i < 3; i++)
        free(sim->t.dma[i].done);
}

const char *pl_sim_unit_name(enum pl_sim_unit u)
{
    static const char *const name[] = {"matrix", "vector", "scalar", "load_m", "load_v", "store", "control"};
    return name[u];
}

struct issue {
    uint64_t at;
    enum wait why;
};

static void wait_until(struct issue *w, uint64_t cyc, enum wait why)
{
    if (cyc > w->at) {
        w->at = cyc;
        w->why = why;
    }
}

static uint64_t latest(const uint64_t *done, const struct rows *r)
{
    uint64_t m = 0;
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->width; k++) {
            const uint64_t v = done[r->first + i * r->stride + k];
            m = v > m ? v : m;
        }
    return m;
}

static void mark(uint64_t *done, const struct rows *r, uint64_t cyc)
{
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->width; k++) {
            uint64_t *v = &done[r->first + i * r->stride + k];
            *v = cyc > *v ? cyc : *v;
        }
}

static void wait_registers(struct pl_sim *sim, const struct decoded *dec, struct issue *w)
{
    struct timing *t = &sim->t;
    for (unsigned m = dec->gp_src | dec->gp_dst; m; m &= m - 1)
        wait_until(w, t->gp[__builtin_ctz(m)], WAIT_OPERAND);
    for (unsigned m = dec->fp_src | dec->fp_dst; m; m &= m - 1)
        wait_until(w, t->fp[__builtin_ctz(m)], WAIT_OPERAND);
    const uint32_t effects = pl_isa_info((enum pl_op)dec->in.op)->effects;
    if (effects & (PL_R_FPMEM | PL_W_FPMEM))
        wait_until(w, t->fpmem, WAIT_OPERAND);
    if (effects & (PL_R_INTMEM | PL_W_INTMEM))
        wait_until(w, t->intmem, WAIT_OPERAND);
    if (effects & PL_R_AREG)
        wait_until(w, t->areg, WAIT_OPERAND);
    if (effects & PL_R_CSR)
        wait_until(w, t->csr, WAIT_OPERAND);
}

/* A new write must end after older writes and reads of the same place. */
static void wait_overtake(struct issue *w, uint64_t older, uint64_t result_cyc)
{
    if (older >= result_cyc)
        wait_until(w, older - result_cyc + 1, WAIT_OPERAND);
}

static void wait_memories(struct pl_sim *sim, const struct touch *x, uint64_t result_cyc, struct issue *w)
{
    struct timing *t = &sim->t;
    for (unsigned i = 0; i < x->n_read; i++)
        wait_until(w, latest(t->row_write, &x->read[i]), WAIT_OPERAND);
    if (x->write.count) {
        wait_overtake(w, latest(t->row_write, &x->write), result_cyc);
        wait_overtake(w, latest(t->row_read, &x->write), result_cyc);
    }
    if (x->tile_read != NO_TILE)
        wait_until(w, t->tile_write[x->tile_read], WAIT_DMA);
    for (uint32_t i = 0; x->tile_write != NO_TILE && i < x->tiles; i++)
        wait_until(w, t->tile_read[x->tile_write + i], WAIT_UNIT);
}

static void mark_memories(struct pl_sim *sim, const struct touch *x, uint64_t read_done, uint64_t end)
{
    struct timing *t = &sim->t;
    for (unsigned i = 0; i < x->n_read; i++)
        mark(t->row_read, &x->read[i], read_done);
    if (x->write.count)
        mark(t->row_write, &x->write, end);
    if (x->tile_read != NO_TILE && t->tile_read[x->tile_read] < read_done)
        t->tile_read[x->tile_read] = read_done;
    for (uint32_t i = 0; x->tile_write != NO_TILE && i < x->tiles; i++)
        t->tile_write[x->tile_write + i] = end;
}

static void mark_registers(struct pl_sim *sim, const struct decoded *dec, uint64_t end)
{
    struct timing *t = &sim->t;
    for (unsigned m = dec->gp_dst & ~1u; m; m &= m - 1)
        t->gp[__builtin_ctz(m)] = end;
    for (unsigned m = dec->fp_dst & ~1u; m; m &= m - 1)
        t->fp[__builtin_ctz(m)] = end;
    const uint32_t effects = pl_isa_info((enum pl_op)dec->in.op)->effects;
    if (effects & PL_W_FPMEM)
        t->fpmem = end;
    if (effects & PL_W_INTMEM)
        t->intmem = end;
    if (effects & PL_W_AREG)
        t->areg = end;
    if (effects & PL_W_CSR)
        t->csr = end;
}

/* A background transfer: returns when its last byte has arrived. */
static uint64_t transfer(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, uint64_t at, uint64_t *read_done)
{
    struct timing *t = &sim->t;
    struct dma *q = &t->dma[unit - PL_SIM_LOAD_M];
    const uint64_t busy = pl_arch_hbm_cycles(sim->arch, x->hbm_read + x->hbm_write);
    const uint64_t begin = t->bus_free > at ? t->bus_free : at;
    const uint64_t end = busy ? begin + busy + sim->arch->hbm_latency : at + 1;
    if (busy)
        t->bus_free = begin + busy;
    *read_done = begin + busy;
    q->done[q->head] = end;
    q->head = (q->head + 1) % q->n;
    t->all_dma_done = end > t->all_dma_done ? end : t->all_dma_done;
    sim->stats.busy_cyc[unit] += busy;
    return end;
}

static enum pl_sim_unit unit_of(const struct decoded *dec)
{
    switch (dec->in.op) {
    case PL_H_PREFETCH_M:
    case PL_H_LOAD_M:
        return PL_SIM_LOAD_M;
    case PL_H_PREFETCH_V:
    case PL_H_LOAD_V:
        return PL_SIM_LOAD_V;
    case PL_H_STORE_V:
    case PL_H_SAVE_V:
        return PL_SIM_STORE;
    default:
        break;
    }
    switch (pl_isa_info((enum pl_op)dec->in.op)->unit) {
    case PL_UNIT_MAT:
        return PL_SIM_MATRIX;
    case PL_UNIT_VEC:
        return PL_SIM_VECTOR;
    case PL_UNIT_SCA:
        return PL_SIM_SCALAR;
    default:
        return PL_SIM_CONTROL;
    }
}

static bool is_write_out(const struct touch *x)
{
    return x->class == PL_OPC_MM_WO || x->class == PL_OPC_MV_WO;
}

static void wait_unit(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, struct issue *w)
{
    struct timing *t = &sim->t;
    if (unit == PL_SIM_MATRIX)
        wait_until(w, is_write_out(x) ? t->write_port_free : t->array_free, WAIT_UNIT);
    else if (unit == PL_SIM_VECTOR)
        wait_until(w, t->vector_free, WAIT_UNIT);
    else if (unit == PL_SIM_SCALAR)
        wait_until(w, t->scalar_free, WAIT_UNIT);
    else if (unit != PL_SIM_CONTROL)
        wait_until(w, t->dma[unit - PL_SIM_LOAD_M].done[t->dma[unit - PL_SIM_LOAD_M].head], WAIT_DMA);
}

/* Occupy the unit from `at`; returns the end. */
static uint64_t run_unit(struct pl_sim *sim, enum pl_sim_unit unit, const struct touch *x, struct pl_latency lat,
                         uint64_t at, uint64_t *read_done)
{
    struct timing *t = &sim->t;
    uint64_t end = at + lat.result_cyc;
    *read_done = at + lat.issue_cyc;
    if (unit >= PL_SIM_LOAD_M && unit <= PL_SIM_STORE)
        return transfer(sim, unit, x, at, read_done);
    if (unit == PL_SIM_MATRIX && is_write_out(x)) {
        end = (t->acc_ready > at ? t->acc_ready : at) + lat.result_cyc;
        t->write_port_free = at + lat.issue_cyc;
        return end;
    }
    if (unit == PL_SIM_MATRIX) {
        t->array_free = at + lat.issue_cyc;
        t->acc_ready = end;
    } else if (unit == PL_SIM_VECTOR) {
        t->vector_free = at + lat.issue_cyc;
    } else if (unit == PL_SIM_SCALAR) {
        t->scalar_free = at + lat.issue_cyc;
    }
    sim->stats.busy_cyc[unit] += lat.issue_cyc;
    return end;
}

static void count_wait(struct pl_sim *sim, const struct issue *w, uint64_t free_slot)
{
    const uint64_t n = w->at - free_slot;
    switch (w->why) {
    case WAIT_OPERAND:
        sim->stats.stall_operand_cyc += n;
        break;
    case WAIT_UNIT:
        sim->stats.stall_unit_cyc += n;
        break;
    case WAIT_DMA:
        sim->stats.stall_dma_cyc += n;
        break;
    case WAIT_FENCE:
        sim->stats.stall_fence_cyc += n;
        break;
    default:
        break;
    }
}

void sim_timing_step(struct pl_sim *sim, const struct decoded *dec, const struct touch *x, uint64_t *issued,
                     uint64_t *ended)
{
    struct timing *t = &sim->t;
    const enum pl_sim_unit unit = unit_of(dec);
    const struct pl_latency lat = pl_arch_latency(sim->arch, x->class, x->blocks);
    struct issue w = {t->issue, WAIT_NONE};
    wait_registers(sim, dec, &w);
    wait_memories(sim, x, lat.result_cyc, &w);
    wait_unit(sim, unit, x, &w);
    if (dec->in.op == PL_C_FENCE)
        wait_until(&w, t->all_dma_done, WAIT_FENCE);
    count_wait(sim, &w, t->issue);

    uint64_t read_done;
    const uint64_t end = run_unit(sim, unit, x, lat, w.at, &read_done);
    mark_memories(sim, x, read_done, end);
    mark_registers(sim, dec, end);
    /* Cycles up to the next issue slot, and what runs on behind the last issue, belong to this operator. */
    const uint64_t before = sim->stats.cycles;
    t->issue = w.at + 1;
    t->last_done = end > t->last_done ? end : t->last_done;
    sim->stats.cycles = t->last_done > t->issue ? t->last_done : t->issue;
    sim->op_stats[dec->op_range].cycles += sim->stats.cycles - before;
    *issued = w.at;
    *ended = end;
}
