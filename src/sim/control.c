/* control.c - decoding a program once, loops, scalar unit, registers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

/* ---- decode ---- */
static void registers(struct decoded *dec, const struct pl_op_info *info)
{
    struct pl_insn_regs r;
    pl_isa_registers(&dec->in, &r);
    dec->gp_src = r.gp_src;
    dec->gp_dst = r.gp_dst;
    dec->fp_src = r.fp_src;
    dec->fp_dst = r.fp_dst;
    static const struct {
        uint32_t reads, writes;
    } shared[SHARED_COUNT] = {[SHARED_FPMEM] = {PL_R_FPMEM, PL_W_FPMEM}, [SHARED_INTMEM] = {PL_R_INTMEM, PL_W_INTMEM},
                              [SHARED_AREG] = {PL_R_AREG, PL_W_AREG}, [SHARED_CSR] = {PL_R_CSR, PL_W_CSR}};
    for (unsigned k = 0; k < SHARED_COUNT; k++) {
        dec->shared_src |= (uint8_t)((info->effects & shared[k].reads ? 1u : 0u) << k);
        dec->shared_dst |= (uint8_t)((info->effects & shared[k].writes ? 1u : 0u) << k);
    }
}

enum pl_sim_unit pl_sim_unit_of(enum pl_op op)
{
    switch (op) {
    case PL_H_PREFETCH_M:
    case PL_H_LOAD_M:
        return PL_SIM_LOAD_M;
    case PL_H_PREFETCH_V:
    case PL_H_LOAD_V:
        return PL_SIM_LOAD_V;
    case PL_H_STORE_V:
    case PL_H_SAVE_V:
        return PL_SIM_STORE;
    case PL_M_MM_WO:
    case PL_M_MV_WO:
        return PL_SIM_WRITE_OUT;
    default:
        break;
    }
    const enum pl_unit unit = pl_isa_info(op)->unit;
    return unit == PL_UNIT_MAT ? PL_SIM_MATRIX : unit == PL_UNIT_VEC ? PL_SIM_VECTOR : unit == PL_UNIT_SCA ? PL_SIM_SCALAR : PL_SIM_CONTROL;
}

/* The image's constants "<entry>.layer_begin" and "<entry>.layer_end" are pcs. */
static void mark_layers(struct pl_sim *sim)
{
    const struct pl_image *img = sim->img;
    for (size_t i = 0; i < img->n_const; i++) {
        const char *dot = strrchr(img->constant[i].name, '.');
        const uint64_t pc = img->constant[i].value;
        if (!dot || pc >= img->n_code)
            continue;
        if (!strcmp(dot, ".layer_begin"))
            sim->code[pc].mark = MARK_BEGIN;
        else if (!strcmp(dot, ".layer_end"))
            sim->code[pc].mark = MARK_END;
    }
}

enum pl_status sim_decode(struct pl_sim *sim, struct pl_diag *d)
{
    const struct pl_image *img = sim->img;
    sim->code = calloc(img->n_code + 1, sizeof *sim->code);
    uint32_t *stack = calloc(img->n_code + 1, sizeof *stack);
    if (!sim->code || !stack)
        abort();
    size_t depth = 0, op = 0;
    for (uint32_t pc = 0; pc < img->n_code; pc++) {
        struct decoded *dec = &sim->code[pc];
        while (op < img->n_op && img->op[op].end <= pc)
            op++;
        dec->op_range = (uint16_t)(op < img->n_op && img->op[op].begin <= pc ? op : img->n_op);
        dec->match = UINT32_MAX;
        dec->valid = pl_isa_decode(img->code[pc], &dec->in, NULL) == PL_OK;
        if (!dec->valid)
            continue;
        const struct pl_op_info *info = pl_isa_info((enum pl_op)dec->in.op);
        registers(dec, info);
        dec->unit = (uint8_t)pl_sim_unit_of((enum pl_op)dec->in.op);
        if (dec->in.op == PL_C_LOOP_START || dec->in.op == PL_C_LOOP_REG)
            stack[depth++] = pc;
        else if (dec->in.op == PL_C_LOOP_END && depth)
            sim->code[stack[--depth]].match = pc;
    }
    free(stack);
    mark_layers(sim);
    return img->n_op < UINT16_MAX ? PL_OK : pl_fail(d, PL_EUNSUPPORTED, "more than 65534 operator ranges");
}

/* ---- loops ---- */
static void jump(struct pl_sim *sim, uint32_t target)
{
    sim->pc = target == sim->pc ? sim->pc + 0x80000000u : target;
}

static enum pl_status begin_loop(struct pl_sim *sim, const struct pl_insn *in, uint32_t count)
{
    if (sim->n_loop == sim->arch->loop_depth)
        return sim_fault(sim, "more than %u nested loops", sim->arch->loop_depth);
    if (in->rd == 0)
        return sim_fault(sim, "gp0 cannot count a loop");
    for (unsigned i = 0; i < sim->n_loop; i++)
        if (sim->loop[i].reg == in->rd)
            return sim_fault(sim, "gp%u counts an outer loop", in->rd);
    sim->gp[in->rd] = count;
    sim->loop[sim->n_loop++] = (struct loop_frame){sim->pc, in->rd};
    return PL_OK;
}

enum pl_status sim_C_LOOP_START(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)t;
    if (in->imm == 0)
        return sim_fault(sim, "a loop of 0 passes");
    return begin_loop(sim, in, in->imm);
}

enum pl_status sim_C_LOOP_REG(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)t;
    const uint32_t count = sim->gp[in->rs1], end = sim->code[sim->pc].match;
    if (count)
        return begin_loop(sim, in, count);
    if (end == UINT32_MAX)
        return sim_fault(sim, "no matching C_LOOP_END");
    sim->gp[in->rd] = 0;
    jump(sim, end + 1);
    return PL_OK;
}

enum pl_status sim_C_LOOP_END(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)t;
    if (!sim->n_loop || sim->loop[sim->n_loop - 1].reg != in->rd)
        return sim_fault(sim, "gp%u does not count the innermost loop", in->rd);
    if (sim->gp[in->rd] > 1) {
        sim->gp[in->rd]--;
        jump(sim, sim->loop[sim->n_loop - 1].start + 1);
    } else {
        sim->gp[in->rd] = 0;
        sim->n_loop--;
    }
    return PL_OK;
}

enum pl_status sim_C_EXIT(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)in;
    (void)t;
    if (!sim->n_loop)
        return sim_fault(sim, "outside of any loop");
    const struct loop_frame f = sim->loop[--sim->n_loop];
    const uint32_t end = sim->code[f.start].match;
    if (end == UINT32_MAX)
        return sim_fault(sim, "no matching C_LOOP_END");
    sim->gp[f.reg] = 0;
    jump(sim, end + 1);
    return PL_OK;
}

enum pl_status sim_C_BREAK(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)sim;
    (void)in;
    (void)t;
    return PL_OK;
}

enum pl_status sim_C_HALT(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)in;
    (void)t;
    return sim->pending.valid ? sim_fault(sim, "a batched product still waits for its write-out") : PL_OK;
}

enum pl_status sim_C_FENCE(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)in;
    (void)t;
    sim->n_unfenced = 0;
    return PL_OK;
}

enum pl_status sim_C_FENCE_ST(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return sim_C_FENCE(sim, in, t);
}

/* ---- registers ---- */
enum pl_status sim_C_SET_ADDR_REG(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    (void)t;
    sim->areg[in->rd] = (uint64_t)sim->gp[in->rs1] << 32 | sim->gp[in->rs2];
    return PL_OK;
}

#define SET_CSR(op, field)                                                                                             \
    enum pl_status sim_##op(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)                             \
    {                                                                                                                  \
        (void)t;                                                                                                       \
        sim->field = sim->gp[in->rd];                                                                                  \
        return PL_OK;                                                                                                  \
    }
SET_CSR(C_SET_SCALE_REG, scale_reg)
SET_CSR(C_SET_STRIDE_REG, stride_reg)
SET_CSR(C_SET_V_MASK_REG, v_mask)

/* ---- integer scalar unit ---- */
#define INT_OP(op, cls, expr)                                                                                          \
    enum pl_status sim_##op(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)                             \
    {                                                                                                                  \
        t->class = cls;                                                                                                \
        sim->gp[in->rd] = (expr);                                                                                      \
        return PL_OK;                                                                                                  \
    }
INT_OP(S_ADD_INT, PL_OPC_INT, sim->gp[in->rs1] + sim->gp[in->rs2])
INT_OP(S_ADDI_INT, PL_OPC_INT, sim->gp[in->rs1] + in->imm)
INT_OP(S_SUB_INT, PL_OPC_INT, sim->gp[in->rs1] - sim->gp[in->rs2])
INT_OP(S_MUL_INT, PL_OPC_IMUL, sim->gp[in->rs1] * sim->gp[in->rs2])
INT_OP(S_LUI_INT, PL_OPC_INT, in->imm << 12)

static enum pl_status int_word(struct pl_sim *sim, const struct pl_insn *in, struct touch *t, uint32_t **out)
{
    const uint64_t addr = (uint64_t)sim->gp[in->rs1] + in->imm;
    t->class = PL_OPC_SMEM;
    if (addr >= sim->arch->int_words)
        return sim_fault(sim, "INT SRAM word %llu of %u", (unsigned long long)addr, sim->arch->int_words);
    *out = &sim->intmem[addr];
    return PL_OK;
}

enum pl_status sim_S_LD_INT(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t *w = NULL;
    PL_TRY(int_word(sim, in, t, &w));
    sim->gp[in->rd] = *w;
    return PL_OK;
}

enum pl_status sim_S_ST_INT(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t *w = NULL;
    PL_TRY(int_word(sim, in, t, &w));
    *w = sim->gp[in->rd];
    return PL_OK;
}

/* ---- addresses of products ---- */
enum pl_status sim_step_on(struct pl_sim *sim, const struct pl_insn *in, uint8_t vec, uint8_t mat)
{
    const uint32_t mlen = sim->arch->mlen, step[] = {0, mlen * mlen, sim->arch->blen * mlen};
    if (in->fn >= PL_COUNT(step))
        return sim_fault(sim, "the step of the matrix address must be 0, 1 or 2");
    sim->gp[vec] += in->rd ? mlen << (in->rd - 1) : 0;
    sim->gp[mat] += step[in->fn];
    return PL_OK;
}

/* ---- FP32 scalar unit ---- */
static enum pl_status check_fp(struct pl_sim *sim, unsigned a, unsigned b, unsigned c)
{
    return a < N_FP && b < N_FP && c < N_FP ? PL_OK : sim_fault(sim, "there are only f0..f7");
}

#define FP_OP(op, cls, second, expr)                                                                                   \
    enum pl_status sim_##op(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)                             \
    {                                                                                                                  \
        t->class = cls;                                                                                                \
        PL_TRY(check_fp(sim, in->rd, in->rs1, second));                                                                \
        if (sim->opt.functional)                                                                                       \
            sim->fp[in->rd] = (expr);                                                                                  \
        return PL_OK;                                                                                                  \
    }
FP_OP(S_ADD_FP, PL_OPC_SFP, in->rs2, pl_f32_add(sim->fp[in->rs1], sim->fp[in->rs2]))
FP_OP(S_SUB_FP, PL_OPC_SFP, in->rs2, pl_f32_sub(sim->fp[in->rs1], sim->fp[in->rs2]))
FP_OP(S_MAX_FP, PL_OPC_SFP, in->rs2, pl_f32_max(sim->fp[in->rs1], sim->fp[in->rs2]))
FP_OP(S_MUL_FP, PL_OPC_SFP, in->rs2, pl_f32_mul(sim->fp[in->rs1], sim->fp[in->rs2]))
FP_OP(S_EXP_FP, PL_OPC_SEXP, 0, pl_f32_exp(sim->fp[in->rs1]))
FP_OP(S_RECI_FP, PL_OPC_SDIV, 0, pl_f32_reci(sim->fp[in->rs1]))
FP_OP(S_SQRT_FP, PL_OPC_SDIV, 0, pl_f32_sqrt(sim->fp[in->rs1]))

static enum pl_status fp_words(struct pl_sim *sim, const struct pl_insn *in, uint64_t n, float **out)
{
    const uint64_t addr = (uint64_t)sim->gp[in->rs1] + in->imm;
    if (addr > sim->arch->fp_words || n > sim->arch->fp_words - addr)
        return sim_fault(sim, "FP SRAM words %llu + %llu of %u", (unsigned long long)addr, (unsigned long long)n,
                         sim->arch->fp_words);
    *out = sim->fpmem + addr;
    return PL_OK;
}

enum pl_status sim_S_LD_FP(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    float *w = NULL;
    t->class = PL_OPC_SMEM;
    PL_TRY(check_fp(sim, in->rd, 0, 0));
    PL_TRY(fp_words(sim, in, 1, &w));
    sim->fp[in->rd] = *w;
    return PL_OK;
}

enum pl_status sim_S_ST_FP(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    float *w = NULL;
    t->class = PL_OPC_SMEM;
    PL_TRY(check_fp(sim, in->rd, 0, 0));
    PL_TRY(fp_words(sim, in, 1, &w));
    *w = sim->fp[in->rd];
    return PL_OK;
}

enum pl_status sim_S_MAP_V_FP(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    float *w = NULL;
    uint32_t row;
    t->class = PL_OPC_SMAP;
    PL_TRY(fp_words(sim, in, sim->arch->vlen, &w));
    PL_TRY(sim_vrow(sim, sim->gp[in->rd], "destination", &row));
    t->write = (struct rows){row, 1, 1, 1};
    if (sim->opt.functional)
        pl_vec_round_n(sim->img->plan.vec, w, sim->arch->vlen, vrow_data(sim, row));
    sim_row_written(sim, row);
    return PL_OK;
}
