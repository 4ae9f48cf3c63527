/* core.c - a simulation: set-up, the instruction loop, state access. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fastforward.h"

static sim_exec *const exec_table[PL_OP_COUNT] = {
#define INSN(name, opcode, fn, unit, format, effects, doc) [PL_##name] = sim_##name,
#include "plena/isa.def"
#undef INSN
};

enum pl_status sim_fault(struct pl_sim *sim, const char *fmt, ...)
{
    char rule[512], text[128] = "?";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(rule, sizeof rule, fmt, ap);
    va_end(ap);
    const struct decoded *dec = &sim->code[sim->pc];
    if (dec->valid)
        pl_isa_format(&dec->in, text, sizeof text);
    const bool named = dec->op_range < sim->img->n_op;
    char line[32] = "";
    if (sim->img->n_line)
        snprintf(line, sizeof line, ", line %u", sim->img->line[sim->pc]);
    return pl_fail(sim->d, PL_EFAULT, "pc %u%s%s%s%s: %s: %s", sim->pc, line, named ? " (" : "",
                   named ? sim->img->op[dec->op_range].name : "", named ? ")" : "", text, rule);
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

static enum pl_status check_fit(const struct pl_arch *a, const struct pl_image *img, struct pl_diag *d)
{
    const struct pl_plan *p = &img->plan;
    if (p->mlen != a->mlen || p->blen != a->blen || p->hlen != a->hlen || p->vlen != a->vlen)
        return pl_fail(d, PL_ERANGE,
                       "the image is for mlen %u, blen %u, hlen %u, vlen %u; machine %s has %u, %u, %u, %u", p->mlen,
                       p->blen, p->hlen, p->vlen, a->name, a->mlen, a->blen, a->hlen, a->vlen);
    if (img->n_code > a->code_words || img->n_fp > a->fp_words || img->n_int > a->int_words)
        return pl_fail(d, PL_ERANGE, "the image (%zu code, %zu FP, %zu INT words) does not fit machine %s", img->n_code,
                       img->n_fp, img->n_int, a->name);
    if (img->hbm_bytes > a->hbm_bytes)
        return pl_fail(d, PL_ERANGE, "the image uses %llu bytes of HBM; machine %s has %llu",
                       (unsigned long long)img->hbm_bytes, a->name, (unsigned long long)a->hbm_bytes);
    return PL_OK;
}

static enum pl_status make_hbm(struct pl_sim *sim, struct pl_diag *d)
{
    if (!sim->opt.functional || !sim->img->hbm_bytes)
        return PL_OK;
    sim->hbm = mmap(NULL, sim->img->hbm_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sim->hbm == MAP_FAILED) {
        sim->hbm = NULL;
        return pl_fail(d, PL_ENOMEM, "no memory for %llu bytes of HBM", (unsigned long long)sim->img->hbm_bytes);
    }
    for (size_t i = 0; i < sim->img->n_segment; i++) {
        const struct pl_segment *s = &sim->img->segment[i];
        memcpy(sim->hbm + s->base, s->data, s->len);
    }
    return PL_OK;
}

enum pl_status pl_sim_new(const struct pl_arch *arch, const struct pl_image *img, const struct pl_sim_options *opt,
                          struct pl_sim **out, struct pl_diag *d)
{
    PL_TRY(check_fit(arch, img, d));
    struct pl_sim *sim = zeroed(1, sizeof *sim);
    sim->arch = arch;
    sim->img = img;
    sim->opt = *opt;
    sim->pitch = pl_arch_pitch(arch);
    sim->stride_reg = 1;
    sim->fpmem = zeroed(arch->fp_words, sizeof *sim->fpmem);
    sim->intmem = zeroed(arch->int_words, sizeof *sim->intmem);
    sim->vsram = zeroed(opt->functional ? (size_t)arch->vector_rows * arch->vlen : 1, sizeof *sim->vsram);
    sim->row_version = zeroed(arch->vector_rows, sizeof *sim->row_version);
    sim->tile = zeroed(arch->matrix_tiles, sizeof *sim->tile);
    sim->loop = zeroed(arch->loop_depth, sizeof *sim->loop);
    sim->left = zeroed(LEFT_CACHE, sizeof *sim->left);
    sim->op_stats = zeroed(img->n_op + 1, sizeof *sim->op_stats);
    sim->pc_stats = zeroed(img->n_code + 1, sizeof *sim->pc_stats);
    sim->stats.op = sim->op_stats;
    sim->stats.n_op = img->n_op + 1;
    sim->stats.pc = sim->pc_stats;
    sim->stats.n_pc = img->n_code;
    if (img->n_fp)
        memcpy(sim->fpmem, img->fp, img->n_fp * sizeof *img->fp);
    if (img->n_int)
        memcpy(sim->intmem, img->intmem, img->n_int * sizeof *img->intmem);
    sim_ff_init(sim);
    enum pl_status s = sim_timing_init(sim, d);
    if (s == PL_OK)
        s = sim_decode(sim, d);
    if (s == PL_OK)
        s = make_hbm(sim, d);
    if (s != PL_OK) {
        pl_sim_free(sim);
        return s;
    }
    *out = sim;
    return PL_OK;
}

void pl_sim_free(struct pl_sim *sim)
{
    if (!sim)
        return;
    sim_matrix_fini(sim);
    sim_timing_fini(sim);
    sim_ff_fini(sim);
    if (sim->hbm)
        munmap(sim->hbm, sim->img->hbm_bytes);
    free(sim->code);
    free(sim->fpmem);
    free(sim->intmem);
    free(sim->vsram);
    free(sim->row_version);
    free(sim->tile);
    free(sim->loop);
    free(sim->left);
    free(sim->op_stats);
    free(sim->pc_stats);
    free(sim->layer);
    free(sim->trace.e);
    free(sim->unfenced);
    free(sim);
}

/* A layer ends where the next begins, at the end mark, or with the run. */
static void layer_edge(struct pl_sim *sim, enum layer_mark mark)
{
    struct pl_sim_stats *st = &sim->stats;
    const struct pl_sim_layer now = {st->cycles, st->insns, st->hbm_read_bytes + st->hbm_write_bytes};
    if (sim->in_layer) {
        struct pl_sim_layer *l = &sim->layer[sim->at_layer];
        l->cycles += now.cycles - sim->layer_start.cycles;
        l->insns += now.insns - sim->layer_start.insns;
        l->hbm_bytes += now.hbm_bytes - sim->layer_start.hbm_bytes;
        sim->at_layer++;
    }
    sim->in_layer = mark == MARK_BEGIN;
    sim->layer_start = now;
    if (!sim->in_layer || sim->at_layer < st->n_layer)
        return;
    if (sim->at_layer == sim->cap_layer) {
        sim->cap_layer = sim->cap_layer ? 2 * sim->cap_layer : 128;
        sim->layer = realloc(sim->layer, sim->cap_layer * sizeof *sim->layer);
        if (!sim->layer)
            abort();
        st->layer = sim->layer;
    }
    sim->layer[st->n_layer++] = (struct pl_sim_layer){0};
}

static enum pl_status one(struct pl_sim *sim)
{
    const uint32_t pc = sim->pc;
    const struct decoded *dec = &sim->code[pc];
    struct touch t;
    touch_nothing(&t);
    if (dec->mark)
        layer_edge(sim, dec->mark);
    if (!dec->valid)
        return sim_fault(sim, "word 0x%08X is no instruction", sim->img->code[pc]);
    if (sim->opt.max_insns && sim->stats.insns >= sim->opt.max_insns)
        return sim_fault(sim, "more than %llu instructions", (unsigned long long)sim->opt.max_insns);
    if (sim->pending.valid && pl_isa_info((enum pl_op)dec->in.op)->unit == PL_UNIT_MAT && dec->in.op != PL_M_BMM_WO &&
        dec->in.op != PL_M_BMV_WO)
        return sim_fault(sim, "a batched product still waits for its write-out");
    struct ff_record *record = sim->ff.recording ? sim_ff_record(sim, dec) : NULL;
    PL_TRY(exec_table[dec->in.op](sim, &dec->in, &t));
    sim->gp[0] = 0;
    sim->fp[0] = 0;
    sim->stats.insns++;
    sim->pc_stats[pc].count++;
    if (t.hbm_read + t.hbm_write) {
        sim->stats.hbm_read_bytes += t.hbm_read;
        sim->stats.hbm_write_bytes += t.hbm_write;
        sim->op_stats[dec->op_range].hbm_bytes += t.hbm_read + t.hbm_write;
        sim->loaded_m_bytes += dec->unit == PL_SIM_LOAD_M ? t.hbm_read : 0;
        sim->loaded_v_bytes += dec->unit == PL_SIM_LOAD_V ? t.hbm_read : 0;
        sim->stored_lanes += dec->unit == PL_SIM_STORE ? (uint64_t)t.read[0].count * sim->arch->vlen : 0;
    }
    if (t.tile_read != NO_TILE)
        sim_count_tile_use(sim, &t);
    struct pl_sim_retired r = {.seq = sim->stats.insns - 1, .pc = pc, .word = sim->img->code[pc], .insn = dec->in};
    if (sim->opt.timing)
        sim_timing_step(sim, dec, &t, &r);
    if (sim->opt.trace)
        sim_trace(sim, dec, &t, &r);
    if (record)
        sim_ff_recorded(sim, record, &t, &r);
    if (sim->pc == pc)
        sim->pc++;
    else if (sim->pc == pc + 0x80000000u) /* a jump to itself, marked by control.c */
        sim->pc = pc;
    if (dec->in.op == PL_C_LOOP_END && sim->ff.enabled && sim->pc != pc + 1)
        sim_ff_back_edge(sim, sim->pc - 1, dec->in.rd);
    return PL_OK;
}

static enum pl_status run_to_stop(struct pl_sim *sim, enum pl_sim_stop *stop)
{
    while (sim->pc < sim->img->n_code) {
        const struct decoded *dec = &sim->code[sim->pc];
        PL_TRY(one(sim));
        if (dec->valid && dec->in.op == PL_C_HALT)
            break;
        if (dec->valid && dec->in.op == PL_C_BREAK) {
            *stop = PL_SIM_BREAKPOINT;
            return PL_OK;
        }
    }
    if (sim->n_loop) {
        sim->pc = sim->loop[sim->n_loop - 1].start;
        return sim_fault(sim, "the program ended inside this loop");
    }
    if (sim->pending.valid) {
        sim->pc = sim->pending.pc;
        return sim_fault(sim, "a batched product still waits for its write-out");
    }
    *stop = PL_SIM_HALTED;
    return PL_OK;
}

/* What follows from the counts per instruction word. */
static void finish_stats(struct pl_sim *sim)
{
    struct pl_sim_stats *st = &sim->stats;
    memset(st->insns_by_op, 0, sizeof st->insns_by_op);
    for (size_t i = 0; i < st->n_op; i++)
        sim->op_stats[i].insns = sim->op_stats[i].macs = sim->op_stats[i].data_macs = 0;
    for (size_t pc = 0; pc < st->n_pc; pc++)
        if (sim->pc_stats[pc].count) {
            struct pl_sim_op_stats *op = &sim->op_stats[sim->code[pc].op_range];
            st->insns_by_op[sim->code[pc].in.op] += sim->pc_stats[pc].count;
            op->insns += sim->pc_stats[pc].count;
            sim_count_products(sim->arch, &sim->code[pc].in, sim->pc_stats[pc].count, op);
        }
    sim_count_events(sim);
    if (sim->opt.timing)
        sim_account_finish(sim);
}

enum pl_status pl_sim_run(struct pl_sim *sim, uint32_t pc, enum pl_sim_stop *stop, struct pl_diag *d)
{
    sim->d = d;
    sim->ff.recording = false;
    if (pc != UINT32_MAX) {
        memset(sim->gp, 0, sizeof sim->gp);
        memset(sim->fp, 0, sizeof sim->fp);
        sim->n_loop = 0;
        sim->pending.valid = false;
        sim->pc = pc;
        sim->at_layer = 0;
        sim->in_layer = false;
    }
    const enum pl_status s = run_to_stop(sim, stop);
    if (sim->opt.timing)
        sim_timing_drain(sim);
    sim_trace_flush(sim);
    if (sim->in_layer && s == PL_OK && *stop == PL_SIM_HALTED)
        layer_edge(sim, MARK_END);
    finish_stats(sim);
    return s;
}

const struct pl_sim_stats *pl_sim_stats(const struct pl_sim *sim)
{
    return &sim->stats;
}

enum pl_status pl_sim_set_int(struct pl_sim *sim, uint64_t addr, uint32_t value, struct pl_diag *d)
{
    if (addr >= sim->arch->int_words)
        return pl_fail(d, PL_ERANGE, "INT SRAM word %llu of %u", (unsigned long long)addr, sim->arch->int_words);
    sim->intmem[addr] = value;
    return PL_OK;
}

enum pl_status pl_sim_get_int(const struct pl_sim *sim, uint64_t addr, uint32_t *value, struct pl_diag *d)
{
    if (addr >= sim->arch->int_words)
        return pl_fail(d, PL_ERANGE, "INT SRAM word %llu of %u", (unsigned long long)addr, sim->arch->int_words);
    *value = sim->intmem[addr];
    return PL_OK;
}

enum pl_status pl_sim_read_tensor(const struct pl_sim *sim, uint32_t desc, uint32_t row, uint32_t col, size_t n,
                                  float *out, struct pl_diag *d)
{
    if (!sim->hbm || desc >= sim->img->n_desc)
        return pl_fail(d, PL_ERANGE, "there is no tensor %u", desc);
    const struct pl_desc *t = &sim->img->desc[desc];
    if (row >= t->rows || col > t->cols || n > t->cols - col || col % t->format.block)
        return pl_fail(d, PL_ERANGE, "%s: row %u, columns %u + %zu of %u x %u", t->name, row, col, n, t->rows, t->cols);
    uint32_t *code = zeroed(n, sizeof *code);
    for (size_t i = 0, m; i < n; i += m) { /* piece by piece */
        const uint32_t at = col + (uint32_t)i, in = t->tile ? at % t->tile : at;
        const struct pl_desc_place p = pl_desc_place(t, row, at - in);
        m = n - i < p.n - in ? n - i : p.n - in;
        pl_unpack(pl_format_bits(&t->format), sim->hbm + p.elem, in, m, code);
        pl_dequantise(&t->format, code, sim->hbm + p.scale + in / t->format.block, m, out + i);
    }
    free(code);
    return PL_OK;
}

static enum pl_status check_vsram(const struct pl_sim *sim, uint64_t addr, size_t n, struct pl_diag *d)
{
    const uint64_t size = (uint64_t)sim->arch->vector_rows * sim->arch->vlen;
    if (!sim->opt.functional || addr > size || n > size - addr)
        return pl_fail(d, PL_ERANGE, "Vector SRAM elements %llu + %zu of %llu", (unsigned long long)addr, n,
                       (unsigned long long)size);
    return PL_OK;
}

enum pl_status pl_sim_read_vsram(const struct pl_sim *sim, uint64_t addr, size_t n, float *out, struct pl_diag *d)
{
    PL_TRY(check_vsram(sim, addr, n, d));
    memcpy(out, sim->vsram + addr, n * sizeof *out);
    return PL_OK;
}

enum pl_status pl_sim_write_vsram(struct pl_sim *sim, uint64_t addr, size_t n, const float *in, struct pl_diag *d)
{
    PL_TRY(check_vsram(sim, addr, n, d));
    pl_vec_round_n(sim->img->plan.vec, in, n, sim->vsram + addr);
    for (uint64_t r = addr / sim->arch->vlen; n && r <= (addr + n - 1) / sim->arch->vlen; r++)
        sim_row_written(sim, (uint32_t)r);
    return PL_OK;
}

enum pl_status pl_sim_read_hbm(const struct pl_sim *sim, uint64_t addr, size_t n, uint8_t *out, struct pl_diag *d)
{
    if (!sim->hbm || addr > sim->img->hbm_bytes || n > sim->img->hbm_bytes - addr)
        return pl_fail(d, PL_ERANGE, "HBM bytes %llu + %zu of %llu", (unsigned long long)addr, n,
                       (unsigned long long)sim->img->hbm_bytes);
    memcpy(out, sim->hbm + addr, n);
    return PL_OK;
}

uint32_t pl_sim_gp(const struct pl_sim *sim, unsigned r)
{
    return sim->gp[r & (N_GP - 1)];
}

float pl_sim_fp(const struct pl_sim *sim, unsigned r)
{
    return sim->fp[r & (N_FP - 1)];
}
