/* events.c - what will cost energy, derived from how often each instruction word ran and what its kind does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim_internal.h"

uint8_t sim_format_use(struct pl_sim *sim, const struct pl_format *f)
{
    struct pl_sim_stats *st = &sim->stats;
    size_t k = 0;
    while (k < st->n_use && !pl_format_equal(&st->use[k].format, f))
        k++;
    if (k == PL_SIM_FORMATS)
        return PL_SIM_FORMATS - 1;
    if (k == st->n_use)
        st->use[st->n_use++].format = *f;
    return (uint8_t)k;
}

struct geometry {
    uint64_t mlen, blen, hlen, vlen, vec_bits;
};

/* Bits of n elements with their scales. */
static uint64_t stored_bits(const struct pl_format *f, uint64_t n)
{
    return n * pl_format_bits(f) + (pl_format_has_scale(f) ? n / f->block * 8 : 0);
}

static struct geometry geometry_of(const struct pl_arch *a)
{
    return (struct geometry){.mlen = a->mlen, .blen = a->blen, .hlen = a->hlen, .vlen = a->vlen};
}

/* Slots: blocks of BLEN x BLEN results, each BLEN cycles of BLEN x MLEN multipliers. */
static uint64_t slot_macs(const struct geometry *g, const struct pl_sim_format_use *u)
{
    const uint64_t columns = g->mlen / g->blen;
    return (u->matrix + u->vector + (u->batched * columns + u->batched_vector) * columns) * g->blen * g->blen * g->mlen;
}

/* Of rows that hold data; all heads of a batched product together have MLEN lanes. */
static uint64_t data_macs(const struct geometry *g, const struct pl_sim_format_use *u)
{
    return u->matrix * g->blen * g->blen * g->mlen + u->vector * g->blen * g->mlen +
           (u->batched * g->mlen + u->batched_vector) * g->mlen * g->mlen;
}

/* The instructions that touch a tile, as sim_count_tile_use tells them apart while they run. */
void sim_count_products(const struct pl_arch *a, const struct pl_insn *in, uint64_t n, struct pl_sim_op_stats *op)
{
    struct pl_sim_format_use u = {0};
    switch (in->op) {
    case PL_M_MM: case PL_M_TMM:
        u.matrix = n;
        break;
    case PL_M_MV: case PL_M_TMV:
        u.vector = n;
        break;
    case PL_M_BMM: case PL_M_BTMM: /* without rd the write-out does the work */
        u.batched = in->rd ? n : 0;
        break;
    case PL_M_BMM_WO:
        u.batched = n;
        break;
    case PL_M_BMV_WO:
        u.batched_vector = n;
        break;
    default:
        return;
    }
    const struct geometry g = geometry_of(a);
    op->macs += slot_macs(&g, &u);
    op->data_macs += data_macs(&g, &u);
}

static void matrix_events(struct pl_sim_events *e, const struct geometry *g, const struct pl_sim_format_use *u)
{
    e->macs += data_macs(g, u);
    e->matrix_read_bits += (u->matrix + u->vector) * stored_bits(&u->format, g->blen * g->mlen) +
                           (u->batched + u->batched_vector) * stored_bits(&u->format, g->mlen * g->mlen);
    const uint64_t left = u->matrix * g->blen * g->mlen + u->vector * g->mlen + (u->batched * g->mlen + u->batched_vector) * g->mlen;
    e->quantised_elements += left;
    e->vector_read_bits += left * g->vec_bits;
}

/* n instructions of one vector, scalar or write-out kind. */
static void unit_events(struct pl_sim_events *e, const struct geometry *g, enum pl_op op, uint64_t n)
{
    const uint64_t row = n * g->vlen, bits = row * g->vec_bits;
    switch (op) {
    case PL_M_MM_WO:
        e->tree_adds += n * g->blen * g->blen * (g->mlen / g->blen - 1);
        e->vector_write_bits += n * g->blen * g->blen * g->vec_bits;
        return;
    case PL_M_MV_WO:
        e->tree_adds += n * g->blen * (g->mlen / g->blen - 1);
        e->vector_write_bits += n * g->blen * g->vec_bits;
        return;
    case PL_M_BMM_WO:
        e->tree_adds += n * g->mlen / g->hlen * g->mlen * g->mlen * (g->hlen / g->blen - 1);
        e->vector_write_bits += n * g->mlen / g->hlen * g->mlen * g->mlen * g->vec_bits;
        return;
    case PL_M_BMV_WO:
        e->tree_adds += n * g->mlen / g->hlen * g->mlen * (g->hlen / g->blen - 1);
        e->vector_write_bits += n * g->mlen / g->hlen * g->mlen * g->vec_bits;
        return;
    case PL_V_ADD_VV: case PL_V_SUB_VV: case PL_V_ADD_VF: case PL_V_SUB_VF: case PL_V_MAX_VF: case PL_V_MIN_VF:
        e->vector_add_lanes += row;
        break;
    case PL_V_MUL_VV: case PL_V_MUL_VF:
        e->vector_mul_lanes += row;
        break;
    case PL_V_EXP_V:
        e->vector_exp_lanes += row;
        break;
    case PL_V_RECI_V:
        e->vector_reci_lanes += row;
        break;
    case PL_V_PS_V: case PL_C_HADAMARD_TRANSFORM:
        e->vector_add_lanes += row * pl_log2(g->vlen);
        break;
    case PL_V_RED_SUM: case PL_V_RED_MAX: case PL_V_ARGMAX: case PL_V_TOPK: case PL_V_ROUTE: case PL_V_PICK:
        e->vector_reduce_lanes += row;
        e->vector_read_bits += bits;
        return;
    default: /* shift, swap, limit */
        e->vector_move_lanes += row;
    }
    e->vector_read_bits += op == PL_V_ADD_VV || op == PL_V_SUB_VV || op == PL_V_MUL_VV ? 2 * bits : bits;
    e->vector_write_bits += bits;
}

static void scalar_events(struct pl_sim_events *e, const struct geometry *g, enum pl_op op, uint64_t n)
{
    switch (op) {
    case PL_S_EXP_FP: case PL_S_RECI_FP: case PL_S_SQRT_FP:
        e->scalar_special += n;
        return;
    case PL_S_ADD_FP: case PL_S_SUB_FP: case PL_S_MAX_FP: case PL_S_MUL_FP:
        e->scalar_fp += n;
        return;
    case PL_S_LD_FP: case PL_S_ST_FP: case PL_S_LD_INT: case PL_S_ST_INT:
        e->scalar_sram_bits += 32 * n;
        return;
    case PL_S_MAP_V_FP:
        e->scalar_sram_bits += 32 * n * g->vlen;
        e->vector_write_bits += n * g->vlen * g->vec_bits;
        return;
    default:
        e->scalar_int += n;
    }
}

void sim_count_events(struct pl_sim *sim)
{
    struct pl_sim_stats *st = &sim->stats;
    struct pl_sim_events *e = &st->events;
    struct geometry g = geometry_of(sim->arch);
    g.vec_bits = pl_minifloat_bits(sim->img->plan.vec);
    *e = (struct pl_sim_events){.issued = st->insns, .hbm_read_bits = 8 * st->hbm_read_bytes, .hbm_write_bits = 8 * st->hbm_write_bytes,
                                .matrix_write_bits = 8 * sim->loaded_m_bytes, .vector_write_bits = 8 * sim->loaded_v_bytes,
                                .vector_read_bits = sim->stored_lanes * g.vec_bits, .quantised_elements = sim->stored_lanes};
    sim_memory_events(sim, e);
    st->macs = 0;
    for (size_t k = 0; k < st->n_use; k++) {
        const struct pl_sim_format_use *u = &st->use[k];
        matrix_events(e, &g, u);
        st->macs += slot_macs(&g, u);
    }
    for (unsigned op = 0; op < PL_OP_COUNT; op++) {
        const uint64_t n = st->insns_by_op[op];
        const enum pl_unit unit = n ? pl_isa_info((enum pl_op)op)->unit : PL_UNIT_CTL;
        const bool write_out = op == PL_M_MM_WO || op == PL_M_MV_WO || op == PL_M_BMM_WO || op == PL_M_BMV_WO;
        if (n && (unit == PL_UNIT_VEC || write_out))
            unit_events(e, &g, (enum pl_op)op, n);
        else if (n && unit == PL_UNIT_SCA)
            scalar_events(e, &g, (enum pl_op)op, n);
    }
}
