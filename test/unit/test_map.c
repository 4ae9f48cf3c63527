/* test_map.c - the rows of attention in passes of one token: packed and spread where that is possible, pays and fits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "plena/map.h"

static struct pl_diag d;

static void layout(const char *machine, uint32_t heads, uint32_t kv_heads, uint32_t dim, uint32_t live, const char *set,
                   struct pl_map_rows *out)
{
    const struct pl_model_config m = {.vocab = 96, .hidden = 64, .ffn = 80, .n_layers = 1, .n_heads = heads, .n_kv_heads = kv_heads,
                                      .head_dim = dim};
    struct pl_arch arch;
    struct pl_plan plan;
    OK(pl_arch_load(machine, &arch, &d));
    if (set)
        OK(pl_arch_set(&arch, set, &d));
    OK(pl_map_plan(&arch, &m, NULL, NULL, NULL, &plan, &d));
    OK(pl_map_fit_rows(&arch, &m, &plan, live, out, &d));
}

TEST(test_packed_where_possible)
{
    (void)state;
    static const struct {
        const char *machine;
        uint32_t heads, kv_heads, dim, pack, att_live, att_alloc, q_rows, o_rows, spread, score_rows;
    } want[] = {
        {"paper", 64, 8, 128, 1024, 8, 32, 8 + 31, 8, 64, 56 + 32}, /* two packed rows to a chunk of 2048 */
        {"paper", 128, 8, 128, 1024, 16, 32, 16 + 31, 16, 128, 112 + 32},
        {"small", 8, 4, 16, 64, 2, 4, 2 + 3, 2, 8, 6 + 4},          /* one */
        {"small", 16, 4, 16, 64, 4, 4, 4 + 3, 4, 0, 4},             /* no row left empty: nothing to spread */
        {"tiny", 8, 4, 16, 64, 2, 4, 2 + 3, 2, 0, 4},               /* four chunks to a packed row, a head fills a tile */
        {"wide_vector", 12, 1, 8, 8, 12, 12, 16 + 3, 16, 0, 12}, /* eight to a chunk: four of them belong to no head */
        {"small", 9, 3, 64, 192, 3, 4, 3 + 3, 3, 0, 4},         /* three chunks */
        {"small", 9, 3, 16, 0, 1, 4, 4, 4, 0, 4},                   /* 48 lanes do not divide 64 */
        {"small", 4, 4, 16, 0, 1, 4, 4, 4, 4, 3 + 4},               /* one query head a kv head: only to spread */
    };
    for (size_t i = 0; i < PL_COUNT(want); i++) {
        struct pl_map_rows r;
        layout(want[i].machine, want[i].heads, want[i].kv_heads, want[i].dim, 1, NULL, &r);
        assert_int_equal(r.pack, want[i].pack);
        assert_int_equal(r.att_live, want[i].att_live);
        assert_int_equal(r.att_alloc, want[i].att_alloc);
        assert_int_equal(r.q.rows, want[i].q_rows);
        assert_int_equal(r.o.rows, want[i].o_rows);
        assert_int_equal(r.o.base == r.heads.base, !want[i].pack);
        assert_int_equal(r.heads.rows, r.alloc);
        assert_int_equal(r.spread, want[i].spread);
        assert_int_equal(r.score.rows, want[i].score_rows);
    }
}

TEST(test_tokens_are_rows_of_a_longer_pass)
{
    (void)state;
    struct pl_map_rows r;
    layout("small", 8, 4, 16, 2, NULL, &r);
    assert_int_equal(r.live, 2);
    assert_int_equal(r.pack, 0);
    assert_int_equal(r.att_live, 2);
    assert_int_equal(r.att_alloc, 4);
}

/* A machine is never refused for what does not fit: first heads are not spread, then not packed. */
TEST(test_plain_where_it_does_not_fit)
{
    (void)state;
    static const struct {
        uint32_t spread, pack;
    } want[] = {{4, 32}, {0, 32}, {0, 0}};
    struct pl_map_rows r;
    char set[64];
    layout("medium", 4, 2, 16, 1, NULL, &r);
    for (size_t i = 0; i < PL_COUNT(want); i++) {
        assert_int_equal(r.spread, want[i].spread);
        assert_int_equal(r.pack, want[i].pack);
        const uint64_t rows = r.elements / 128;
        snprintf(set, sizeof set, "vector_rows=%u", (unsigned)rows);
        layout("medium", 4, 2, 16, 1, set, &r);
        assert_int_equal(r.elements, rows * 128);
        snprintf(set, sizeof set, "vector_rows=%u", (unsigned)rows - 1);
        if (i + 1 < PL_COUNT(want))
            layout("medium", 4, 2, 16, 1, set, &r);
    }
}

/* Places are a permutation; the heads of a kv head stand K apart. */
TEST(test_places_of_heads)
{
    (void)state;
    const struct pl_model_config m = {.n_heads = 12, .n_kv_heads = 3};
    static const uint32_t want[] = {0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11};
    for (uint32_t h = 0; h < 12; h++)
        assert_int_equal(pl_model_head_place(&m, h), want[h]);
}

/* Worked out by hand from the rule in map.h. */
TEST(test_sets_ahead)
{
    (void)state;
    static const struct {
        uint32_t outstanding, half;
        struct pl_map_sets a, b; /* b.sets 0: no other layer */
        uint32_t ahead;
    } want[] = {
        {8, 64, {3, 8, false}, {0}, 3},              /* all of them fit */
        {8, 64, {16, 8, false}, {0}, 7},             /* a place less than eight: 16 = 2 * 8 */
        {8, 64, {17, 8, false}, {0}, 5},             /* 8 would walk, but a place stays free; 17 + 1 is whole sixes */
        {4, 64, {16, 8, false}, {0}, 3},             /* the queue holds 4; 16 % 5 and 17 % 5 leave a rest */
        {8, 64, {16, 8, true}, {0}, 1},              /* two places only */
        {8, 8, {16, 8, false}, {0}, 1},              /* one place only */
        {8, 64, {16, 6, false}, {0}, 3},             /* two transfers a set: 4 in flight */
        {8, 64, {16, 8, false}, {11, 8, false}, 3},  /* both walk with 3: 16 and 11 + 1 are whole fours */
    };
    for (size_t i = 0; i < PL_COUNT(want); i++) {
        const struct pl_arch arch = {.outstanding = want[i].outstanding};
        assert_int_equal(pl_map_ahead(&arch, want[i].half, &want[i].a, want[i].b.sets ? &want[i].b : NULL), want[i].ahead);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_where_possible), cmocka_unit_test(test_tokens_are_rows_of_a_longer_pass),
        cmocka_unit_test(test_plain_where_it_does_not_fit), cmocka_unit_test(test_places_of_heads), cmocka_unit_test(test_sets_ahead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
