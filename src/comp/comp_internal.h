/* comp_internal.h - the state of one compilation and its passes. Internal to comp. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMP_INTERNAL_H
#define COMP_INTERNAL_H
#include "emit.h"
#include "plena/comp.h"
#include "plena/map.h"
#include "plena/model_graph.h"

/* Tensor descriptors: a few for the model, then comp.per_layer for each layer. */
enum {
    DESC_EMBED,
    DESC_ROPE, /* four tables */
    DESC_LOGITS = DESC_ROPE + 4,
    DESC_LAYERS
};
/* Tensors of a layer: its weights, enum pl_weight, and then the cache. comp.slot has their places. */
enum { LAYER_K = PL_WEIGHTS, LAYER_V, LAYER_TENSORS };
/* Beyond them: gate, up and down of the expert at hand. */
enum { LAYER_EXPERT = LAYER_TENSORS };
/* Behind the last layer, as if of one more, stand the final norm and the head; its first linear layer is PL_W_Q. */
enum { LAYER_FINAL_GAIN = PL_W_INPUT_NORM, LAYER_HEAD = PL_W_Q };
/* INT SRAM words. */
enum {
    INT_POS, INT_TILES, INT_LAST, INT_TOKEN, INT_LAYER, INT_COL, INT_HALF, INT_FIRST, INT_KV_ROW, INT_SEQ, INT_SEQ_ROW, INT_BLOCKS,
    INT_MLA_POS, INT_MLA_ROW, INT_MLA_X, INT_MLA_Y, INT_MLA_SRC, INT_MLA_W, INT_MLA_SET,
    INT_HEAD_AT, INT_HEAD_FP, INT_GROUP_COL, INT_IDS = PL_INT_IDS
};
/* ... and from pl_map_experts.state on: */
enum moe_state {
    MOE_DESC,               /* first descriptor of the layer's experts: gate, up, down of each, then their biases */
    MOE_EXPERT, MOE_ID,     /* the expert at hand: its first descriptor, its number */
    MOE_ROWS, MOE_BLOCKS,   /* its tokens, and the blocks of BLEN they fill */
    MOE_AT,                 /* the next pair */
    MOE_NEXT, MOE_BUSY,     /* the next entry of `busy`, entries */
    MOE_STATE
};
_Static_assert((int)MOE_STATE == (int)PL_MOE_WORDS, "words that map reserves");

/* chain.c: a linear layer of the program. */
struct link {
    unsigned weight; /* enum pl_weight */
    uint32_t k;      /* inputs */
    uint32_t sets;   /* of the tiles that MLEN outputs need at once, one chunk of outputs after another */
    uint32_t tiles;  /* of a set */
    bool simple;     /* streams through two places only */
    bool alone;      /* in a loop of its own, or chosen at run time: loads its first weights itself */
    int layer;       /* which of the layers that are written out, or -1 */
    struct pl_map_tensor tail; /* lanes behind the results in their last chunk, which must be zero; rows 0: none */
    /* made by chain_plan */
    bool whole;      /* takes all of Matrix SRAM */
    bool waits;      /* finds its first weights in the half of INT_HALF */
    bool next_layer; /* next: of the next decoder layer */
    int next;        /* whose weights it has loaded, or -1 */
    uint32_t ahead;  /* sets */
};

enum { NO_SLOT = UINT32_MAX >> 1 };
struct comp {
    struct pl_arena *a;
    const struct pl_checkpoint *ck;
    const struct pl_arch *arch;
    const struct pl_model_config *cfg;
    struct pl_comp_options opt;
    struct pl_plan plan;
    struct pl_map_heads heads;
    struct pl_mla_slots mla;        /* 0 without MLA */
    uint32_t rope_slot, v_slot;     /* lanes of what RoPE rotates, and of a head's output in o: head_slot, or MLA's */
    uint32_t pitch, context, batch, capacity; /* sequences; rows of the cache that each of them has */
    uint32_t int_pos, int_tiles, int_first, int_tokens;  /* INT SRAM of a batched pass: a word for each sequence */
    uint32_t per_layer, slot[LAYER_TENSORS]; /* descriptors of a layer; place of each among them, or NO_SLOT */
    uint32_t expert_desc;                    /* first descriptor of experts */
    struct emit em;
    const struct pl_map_rows *rows; /* of the pass being emitted */
    bool run_time_rows;             /* loops over rows take MOE_ROWS, over blocks of them MOE_BLOCKS */
    int layer;                      /* being emitted, of those written out; -1: none */
    uint32_t window;                /* its */
    struct {
        struct pl_buf links; /* struct link */
        size_t at;
        const struct link *held;       /* whose successor's loads are still to be asked for */
        bool noting, around, hold; /* around: the last layer loads for the first; hold: of emit_next_ahead */
        uint32_t base, half;           /* tiles: where the halves begin, and of one */
    } chain;
    bool roll; /* heads of attention pass in loops: INT_HEAD_AT and so on say where the present one is (attention.c) */
};

/* chain.c */
void chain_begin(struct comp *c, bool noting);
/* NULL while noting; else what was planned for the link noted at this place. */
const struct link *chain_link(struct comp *c, const struct link *noted);
void chain_plan(struct comp *c);
void emit_chain_start(struct comp *c);
/* Ask for n tiles along the columns from registers (row, col) on; dst ends up behind them, col is used up. */
void emit_load_tiles(struct comp *c, uint8_t dst, uint8_t row, uint8_t desc, uint8_t col, uint32_t n);
/* Load the first sets of register desc to Matrix SRAM from register dst on. */
void emit_ahead(struct comp *c, const struct link *l, uint8_t desc, uint8_t dst);
/* Those of its successor; with `hold` only at the next emit_held, behind loads that are needed before. */
void emit_next_ahead(struct comp *c, const struct link *l, bool hold);
void emit_held(struct comp *c);
void emit_turn(struct comp *c);
uint8_t emit_other_half(struct comp *c); /* register */

/* memmap.c */
void comp_map_program(const struct comp *c, const struct pl_map_rows *m, const char *program, struct pl_buf *out); /* just written */
void comp_map_hbm(const struct comp *c, const struct pl_image *img, struct pl_buf *out);

/* hbm.c: descriptors, placement and contents of HBM. */
enum pl_status comp_hbm(struct comp *c, uint32_t logit_rows, struct pl_image *img, struct pl_diag *d);

/* segs.c: walking the vector rows of tensors. */
struct seg_ptr {
    uint8_t reg;   /* address of the segment at hand */
    uint32_t rows; /* rows of the tensor: sets the distance between chunks */
};
typedef void seg_body(struct comp *c, void *ctx);
/* body for each VLEN segment of `cols` lanes (whole chunks), all pointers moving along. */
void emit_segs(struct comp *c, uint32_t cols, struct seg_ptr *p, unsigned n, seg_body *body, void *ctx);
/* A loop over rows of the pass, `step` at a time. In prefill it runs over the blocks of BLEN rows that hold tokens
 * (INT_BLOCKS), else over all; with run_time_rows over the rows of the expert at hand, step 1 or BLEN. */
struct row_loop {
    struct loop blocks, rows;
};
struct row_loop rows_begin(struct comp *c, uint32_t rows, uint32_t step);
void rows_end(struct comp *c, struct row_loop l);
/* The same for each of `live` rows of up to three tensors: r[i] is the pointer register of t[i]. A tensor of one row
 * is used for every row. */
void emit_rows(struct comp *c, uint32_t live, uint32_t cols, const struct pl_map_tensor *const *t, uint8_t *r,
               unsigned n, seg_body *body, void *ctx);
/* Address of lane `col` of row 0. */
uint64_t lane_addr(const struct comp *c, const struct pl_map_tensor *t, uint64_t col);
void emit_zero(struct comp *c, const struct pl_map_tensor *t);
/* Load row 0 of descriptor register `desc` (columns of t) into the one-row tensor t. */
void emit_load_row(struct comp *c, uint8_t desc, const struct pl_map_tensor *t);
/* Vector instructions on `lanes` lanes from `lane` on, all in one vector row, leave the others alone. Returns the mask
 * operand. */
uint8_t set_mask(struct comp *c, uint64_t lane, uint32_t lanes);
/* Register with the descriptor of a tensor of the current layer. */
uint8_t emit_layer_desc(struct comp *c, unsigned tensor);
uint8_t emit_next_layer_desc(struct comp *c, unsigned tensor);

/* dump.c: what pass p has made, if it is the one asked for. */
void comp_dump(const struct comp *c, enum pl_comp_pass p, const char *program, const struct pl_image *img);

/* gemm.c: y = Linear(x, descriptor). */
struct gemm {
    const struct pl_map_tensor *x; /* left rows; x->cols = K */
    uint32_t rows;                 /* live ones; whole blocks of BLEN are computed */
    unsigned weight;               /* of the current layer */
    bool alone;                    /* as in struct link */
    bool hold;                     /* as in emit_next_ahead */
    bool two_places;               /* no more, and whole chunks of results */
    uint32_t n;                    /* output columns */
    const struct pl_map_tensor *y;
    uint32_t pack; /* of one live row: outputs [i*pack, (i+1)*pack) go to row i of y; 0: row by row */
    /* Run after each chunk of PITCH columns when set; every chunk then goes to the same place, y's first chunk. */
    void (*chunk)(struct comp *c, void *ctx);
    void *ctx;
};
void emit_gemm(struct comp *c, const struct gemm *g);

/* block.c, attention.c, head.c: the operators. */
void emit_embed(struct comp *c);
/* And the rotation of the site it feeds. */
void emit_rmsnorm(struct comp *c, enum pl_site site, const struct pl_map_tensor *gain, uint32_t live);
void emit_rope_load(struct comp *c);
/* rows: of tokens, or with `packed` of heads of one token. */
void emit_rope(struct comp *c, const struct pl_map_tensor *t, uint32_t rows, bool packed, unsigned table);
/* heads.c: t += bias, for all live tokens; with `pack` to the packed rows of one. Its load goes before. */
void emit_bias_load(struct comp *c, const struct pl_map_tensor *t, enum pl_weight bias, uint32_t pack);
void emit_bias(struct comp *c, const struct pl_map_tensor *t, uint32_t pack);
/* Every head of the rows of t = its RMSNorm. */
void emit_head_gain_load(struct comp *c, const struct pl_map_tensor *to, enum pl_weight gain);
void emit_head_norm(struct comp *c, const struct pl_map_tensor *t, uint32_t rows, const struct pl_map_tensor *gain);
/* mla.c */
void emit_rank_norm(struct comp *c, bool latent);
void emit_rope_tail(struct comp *c);
void emit_absorb(struct comp *c);
void emit_expand(struct comp *c);
void emit_latent_attention(struct comp *c);
void emit_k_offset(struct comp *c);
void emit_kv_store(struct comp *c);
void emit_attention(struct comp *c);
/* segs.c, for rolled loops over heads: register += INT SRAM word, if they are rolled; word += by. */
void emit_at(struct comp *c, uint8_t reg, uint32_t word);
void emit_move_word(struct comp *c, uint32_t word, int64_t by);
/* softmax.c: rows of scores become P; m, l and a = exp(old m - m) of every row in FP SRAM. */
struct softmax {
    uint32_t rows, m, l, a; /* FP SRAM words of row 0 */
    uint8_t tok;            /* register: first token of the KV tile */
    bool mask;              /* rows may not see every token of it: later ones */
    uint32_t window;        /* tokens a row sees; 0: all earlier ones */
};
void emit_softmax(struct comp *c, const struct softmax *x);
void emit_unpack(struct comp *c);
/* Register with the row of the cache that word `pos` of INT SRAM stands for. */
uint8_t emit_kv_row(struct comp *c, uint32_t pos);
/* batch.c: a batched pass */
void emit_seq_offset(struct comp *c, uint8_t reg); /* reg += distance to the row of the sequence at hand */
void emit_batch_rope_load(struct comp *c);
void emit_batch_kv_store(struct comp *c);
void emit_batch_attention(struct comp *c);
void emit_batch_choice_start(struct comp *c); /* f7 = -Inf */
void emit_batch_choice(struct comp *c, uint8_t col); /* behind a chunk of logits; col moves on by PITCH */
void emit_residual(struct comp *c);
void emit_glu(struct comp *c, const struct pl_map_tensor *gate, const struct pl_map_tensor *up);
/* moe.c */
static inline uint32_t moe_word(const struct comp *c, uint32_t word) /* of pl_map_experts in INT SRAM */
{
    return c->rows->int_base + word;
}
uint32_t moe_descriptors(const struct pl_model_config *m); /* of the experts of a layer */
void emit_moe_start(struct comp *c);
void emit_experts(struct comp *c); /* delta = what the experts and shared experts give y */
void emit_head(struct comp *c, bool all_rows);
#endif
