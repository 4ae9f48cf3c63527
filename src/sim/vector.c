/* vector.c - the vector unit's instructions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

enum { MAX_VLEN = 4096 };

enum pl_status sim_vrow(struct pl_sim *sim, uint64_t addr, const char *what, uint32_t *row)
{
    const uint32_t vlen = sim->arch->vlen;
    if (addr % vlen)
        return sim_fault(sim, "%s address %llu is not a multiple of VLEN = %u", what, (unsigned long long)addr, vlen);
    if (addr / vlen >= sim->arch->vector_rows)
        return sim_fault(sim, "%s row %llu is outside the %u rows of Vector SRAM", what,
                         (unsigned long long)(addr / vlen), sim->arch->vector_rows);
    *row = (uint32_t)(addr / vlen);
    return PL_OK;
}

void sim_row_written(struct pl_sim *sim, uint32_t row)
{
    sim->row_version[row]++;
}

static bool lane_active(const struct pl_sim *sim, const struct pl_insn *in, uint32_t lane)
{
    return in->rs3 == 0 || (sim->v_mask >> (lane / sim->arch->hlen) & 1);
}

/* Rows of the instruction: a = rs1, b = rs2 when `two`, destination rd. */
static enum pl_status rows_of(struct pl_sim *sim, const struct pl_insn *in, bool two, struct touch *t, uint32_t row[3])
{
    PL_TRY(sim_vrow(sim, sim->gp[in->rd], "destination", &row[0]));
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1], "source", &row[1]));
    t->read[t->n_read++] = (struct rows){row[1], 1, 1, 1};
    if (two) {
        PL_TRY(sim_vrow(sim, sim->gp[in->rs2], "second source", &row[2]));
        t->read[t->n_read++] = (struct rows){row[2], 1, 1, 1};
    }
    t->write = (struct rows){row[0], 1, 1, 1};
    sim_row_written(sim, row[0]); /* in the timing plane too: a pending product's operands must not change */
    return PL_OK;
}

/* Write the result; masked-off lanes take the first source. */
static void finish(struct pl_sim *sim, const struct pl_insn *in, const uint32_t row[3], float *result)
{
    const uint32_t vlen = sim->arch->vlen;
    const float *a = vrow_data(sim, row[1]);
    if (in->rs3)
        for (uint32_t l = 0; l < vlen; l++)
            if (!lane_active(sim, in, l))
                result[l] = a[l];
    memcpy(vrow_data(sim, row[0]), result, vlen * sizeof *result);
}

#define VV(op, cls, fn_)                                                                                               \
    enum pl_status sim_##op(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)                             \
    {                                                                                                                  \
        uint32_t row[3];                                                                                               \
        float out[MAX_VLEN];                                                                                           \
        t->class = cls;                                                                                                \
        PL_TRY(rows_of(sim, in, true, t, row));                                                                        \
        if (!sim->opt.functional)                                                                                      \
            return PL_OK;                                                                                              \
        fn_(sim->img->plan.vec, vrow_data(sim, row[1]), vrow_data(sim, row[2]), sim->arch->vlen, out);                 \
        finish(sim, in, row, out);                                                                                     \
        return PL_OK;                                                                                                  \
    }
VV(V_ADD_VV, PL_OPC_VADD, pl_vec_add)
VV(V_SUB_VV, PL_OPC_VADD, pl_vec_sub)
VV(V_MUL_VV, PL_OPC_VMUL, pl_vec_mul)

#define VF(op, cls, call)                                                                                              \
    enum pl_status sim_##op(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)                             \
    {                                                                                                                  \
        uint32_t row[3];                                                                                               \
        float out[MAX_VLEN];                                                                                           \
        t->class = cls;                                                                                                \
        if (in->rs2 >= N_FP)                                                                                           \
            return sim_fault(sim, "there are only f0..f7");                                                            \
        PL_TRY(rows_of(sim, in, false, t, row));                                                                       \
        if (!sim->opt.functional)                                                                                      \
            return PL_OK;                                                                                              \
        const float *a = vrow_data(sim, row[1]), f = sim->fp[in->rs2];                                                 \
        const struct pl_minifloat v = sim->img->plan.vec;                                                              \
        const size_t n = sim->arch->vlen;                                                                              \
        call;                                                                                                          \
        finish(sim, in, row, out);                                                                                     \
        return PL_OK;                                                                                                  \
    }
VF(V_ADD_VF, PL_OPC_VADD, pl_vec_adds(v, a, f, n, out))
VF(V_SUB_VF, PL_OPC_VADD, pl_vec_subs(v, a, f, in->fn != 0, n, out))
VF(V_MUL_VF, PL_OPC_VMUL, pl_vec_muls(v, a, f, n, out))
VF(V_MAX_VF, PL_OPC_VADD, pl_vec_maxs(v, a, f, n, out))
VF(V_MIN_VF, PL_OPC_VADD, pl_vec_mins(v, a, f, n, out))

#define V1(op, cls, fn_)                                                                                               \
    enum pl_status sim_##op(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)                             \
    {                                                                                                                  \
        uint32_t row[3];                                                                                               \
        float out[MAX_VLEN];                                                                                           \
        t->class = cls;                                                                                                \
        PL_TRY(rows_of(sim, in, false, t, row));                                                                       \
        if (!sim->opt.functional)                                                                                      \
            return PL_OK;                                                                                              \
        fn_(sim->img->plan.vec, vrow_data(sim, row[1]), sim->arch->vlen, out);                                         \
        finish(sim, in, row, out);                                                                                     \
        return PL_OK;                                                                                                  \
    }
V1(V_EXP_V, PL_OPC_VEXP, pl_vec_exp)
V1(V_RECI_V, PL_OPC_VRECI, pl_vec_reci)

/* ---- reductions ---- */
static enum pl_status reduction_row(struct pl_sim *sim, const struct pl_insn *in, struct touch *t, uint32_t *row)
{
    if (in->rd >= N_FP)
        return sim_fault(sim, "there are only f0..f7");
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1], "source", row));
    t->read[t->n_read++] = (struct rows){*row, 1, 1, 1};
    return PL_OK;
}

/* f[rd] = combine(f[rd], reduce(the row's active lanes, `neutral` in the place of the others)). */
static enum pl_status reduction(struct pl_sim *sim, const struct pl_insn *in, struct touch *t, enum pl_op_class class, float neutral,
                                float (*reduce)(struct pl_minifloat f, const float *a, size_t n), float (*combine)(float a, float b))
{
    uint32_t row;
    float lane[MAX_VLEN];
    t->class = class;
    PL_TRY(reduction_row(sim, in, t, &row));
    if (!sim->opt.functional)
        return PL_OK;
    const float *a = vrow_data(sim, row);
    for (uint32_t l = 0; l < sim->arch->vlen; l++)
        lane[l] = lane_active(sim, in, l) ? a[l] : neutral;
    sim->fp[in->rd] = combine(sim->fp[in->rd], reduce(sim->img->plan.vec, lane, sim->arch->vlen));
    return PL_OK;
}

enum pl_status sim_V_RED_SUM(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return reduction(sim, in, t, PL_OPC_VSUM, 0.0f, pl_vec_sum, pl_f32_add);
}

enum pl_status sim_V_RED_MAX(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    return reduction(sim, in, t, PL_OPC_VMAX, NAN, pl_vec_max, pl_f32_max);
}

enum pl_status sim_V_ARGMAX(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t row;
    t->class = PL_OPC_VMAX;
    PL_TRY(reduction_row(sim, in, t, &row));
    if (!sim->opt.functional)
        return PL_OK;
    const float *a = vrow_data(sim, row);
    const uint32_t first = sim->gp[in->rs2]; /* rs3 may be rs2 */
    for (uint32_t l = 0; l < sim->arch->vlen; l++)
        if (a[l] > sim->fp[in->rd]) {
            sim->fp[in->rd] = a[l];
            sim->gp[in->rs3] = first + l;
        }
    return PL_OK;
}

/* ---- lane movement ---- */
enum pl_status sim_V_SHFT_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t row[3];
    float out[MAX_VLEN];
    t->class = PL_OPC_VMOVE;
    PL_TRY(rows_of(sim, in, false, t, row));
    if (!sim->opt.functional)
        return PL_OK;
    const uint32_t by = sim->gp[in->rs2];
    const float *a = vrow_data(sim, row[1]);
    for (uint32_t l = 0; l < sim->arch->vlen; l++)
        out[l] = l >= by ? a[l - by] : 0.0f;
    finish(sim, in, row, out);
    return PL_OK;
}

enum pl_status sim_V_SWAP_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t row[3];
    float out[MAX_VLEN];
    t->class = PL_OPC_VMOVE;
    PL_TRY(rows_of(sim, in, false, t, row));
    const uint32_t half = sim->gp[in->rs2];
    if (!pl_is_pow2(half) || half >= sim->arch->vlen)
        return sim_fault(sim, "halves of %u lanes: expected a power of two below VLEN = %u", half, sim->arch->vlen);
    if (!sim->opt.functional)
        return PL_OK;
    const float *a = vrow_data(sim, row[1]);
    for (uint32_t l = 0; l < sim->arch->vlen; l++)
        out[l] = a[l ^ half];
    finish(sim, in, row, out);
    return PL_OK;
}

enum pl_status sim_V_LIM_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t row[3];
    float out[MAX_VLEN];
    t->class = PL_OPC_VMOVE;
    PL_TRY(rows_of(sim, in, false, t, row));
    if (!sim->opt.functional)
        return PL_OK;
    const int32_t limit = (int32_t)sim->gp[in->rs2];
    const float *a = vrow_data(sim, row[1]);
    for (uint32_t l = 0; l < sim->arch->vlen; l++)
        out[l] = ((int32_t)l < limit) != in->fn ? a[l] : -INFINITY;
    finish(sim, in, row, out);
    return PL_OK;
}

/* Inclusive prefix sums by log-step adds (Hillis and Steele), one rounding each. */
enum pl_status sim_V_PS_V(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t row[3];
    float x[MAX_VLEN], y[MAX_VLEN];
    const uint32_t n = sim->arch->vlen;
    t->class = PL_OPC_VSCAN;
    PL_TRY(rows_of(sim, in, false, t, row));
    if (!sim->opt.functional)
        return PL_OK;
    memcpy(x, vrow_data(sim, row[1]), n * sizeof *x);
    for (uint32_t s = 1; s < n; s *= 2) {
        memcpy(y, x, s * sizeof *x);
        pl_vec_add(sim->img->plan.vec, x + s, x, n - s, y + s);
        memcpy(x, y, n * sizeof *x);
    }
    finish(sim, in, row, x);
    return PL_OK;
}

enum pl_status sim_C_HADAMARD_TRANSFORM(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    uint32_t row[3];
    float out[MAX_VLEN];
    const uint32_t group = sim->gp[in->rs2];
    t->class = PL_OPC_VHADAMARD;
    PL_TRY(rows_of(sim, in, false, t, row));
    if (!pl_is_pow2(group) || group > sim->arch->vlen)
        return sim_fault(sim, "groups of %u lanes: expected a power of two up to VLEN = %u", group, sim->arch->vlen);
    t->blocks = pl_log2(group);
    if (!sim->opt.functional)
        return PL_OK;
    for (uint32_t l = 0; l < sim->arch->vlen; l += group)
        pl_vec_hadamard(sim->img->plan.vec, vrow_data(sim, row[1]) + l, group, out + l);
    finish(sim, in, row, out);
    return PL_OK;
}

/* ---- top k: the published policies ---- */
enum pl_status sim_V_TOPK(struct pl_sim *sim, const struct pl_insn *in, struct touch *t)
{
    static const struct {
        uint32_t n, k;
    } policy[] = {{32, 4}, {128, 8}};
    if (in->rs3 >= PL_COUNT(policy))
        return sim_fault(sim, "policy %u: expected 0 (4 of 32) or 1 (8 of 128)", in->rs3);
    const uint32_t n = policy[in->rs3].n, k = policy[in->rs3].k, vlen = sim->arch->vlen;
    uint32_t row, last;
    t->class = PL_OPC_VTOPK;
    t->blocks = n;
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1], "source", &row));
    PL_TRY(sim_vrow(sim, sim->gp[in->rs1] + (uint64_t)((n - 1) / vlen) * vlen, "source", &last));
    t->read[t->n_read++] = (struct rows){row, last - row + 1, 1, 1};
    const uint64_t index_at = sim->gp[in->rs2], weight_at = sim->gp[in->rd];
    if (index_at + k > sim->arch->int_words || weight_at + k > sim->arch->fp_words)
        return sim_fault(sim, "results lie outside INT or FP SRAM");
    if (!sim->opt.functional)
        return PL_OK;
    float v[128], top = 0, sum = 0, w[8];
    for (uint32_t i = 0; i < n; i++) {
        v[i] = sim->vsram[(size_t)row * vlen + i];
        if (isnan(v[i]))
            v[i] = -INFINITY;
    }
    bool taken[128] = {false};
    for (uint32_t j = 0; j < k; j++) {
        uint32_t best = 0;
        while (taken[best])
            best++;
        for (uint32_t i = best + 1; i < n; i++)
            if (!taken[i] && v[i] > v[best])
                best = i;
        taken[best] = true;
        top = j ? top : v[best];
        sim->intmem[index_at + j] = best;
        w[j] = pl_f32_exp(pl_f32_sub(v[best], top));
        sum = pl_f32_add(sum, w[j]);
    }
    const float r = isfinite(sum) && sum > 0 ? pl_f32_reci(sum) : 0.0f;
    for (uint32_t j = 0; j < k; j++)
        sim->fpmem[weight_at + j] = r > 0 ? pl_f32_mul(w[j], r) : 0.0f;
    return PL_OK;
}
