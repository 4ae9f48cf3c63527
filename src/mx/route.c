/* route.c - the largest of many values: what V_TOPK and V_ROUTE choose. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/mx.h"

#include <math.h>
#include <string.h>

static float rank(float x)
{
    return isnan(x) ? -INFINITY : x;
}

uint32_t pl_vec_best(const float *a, size_t n, const bool *taken)
{
    size_t best = 0;
    while (taken[best])
        best++;
    for (size_t i = best + 1; i < n; i++)
        if (!taken[i] && rank(a[i]) > rank(a[best]))
            best = i;
    return (uint32_t)best;
}

const char *pl_route_rule(const struct pl_route *r)
{
    if (r->n == 0 || r->n > PL_ROUTE_MOST)
        return "expected 1 to 4096 values";
    if (r->groups == 0 || r->n % r->groups)
        return "groups must divide the values";
    if (r->top_groups == 0 || r->top_groups > r->groups)
        return "expected 1 group or more to search, at most all";
    if (r->group_top == 0 || r->group_top > r->n / r->groups)
        return "expected a group's score of 1 value or more, at most all of its";
    if (r->k == 0 || r->k > PL_ROUTE_MOST_K || r->k > r->n / r->groups * r->top_groups)
        return "expected 1 to 64 chosen, no more than the searched groups hold";
    return NULL;
}

/* The best `groups` of the values' groups are open, all others taken. */
static void close_groups(const struct pl_route *r, const float *a, bool *taken)
{
    const uint32_t size = r->n / r->groups;
    float score[PL_ROUTE_MOST];
    bool open[PL_ROUTE_MOST] = {false};
    for (uint32_t g = 0; g < r->groups; g++) {
        bool *mine = taken + (size_t)g * size;
        score[g] = 0;
        for (uint32_t i = 0; i < r->group_top; i++) {
            const uint32_t best = pl_vec_best(a + (size_t)g * size, size, mine);
            mine[best] = true;
            score[g] = pl_f32_add(score[g], rank(a[(size_t)g * size + best]));
        }
    }
    for (uint32_t i = 0; i < r->top_groups; i++)
        open[pl_vec_best(score, r->groups, open)] = true;
    for (uint32_t i = 0; i < r->n; i++)
        taken[i] = !open[i / size];
}

void pl_route_choose(const struct pl_route *r, const float *a, uint32_t *index)
{
    bool taken[PL_ROUTE_MOST] = {false}, chosen[PL_ROUTE_MOST] = {false};
    if (r->top_groups < r->groups)
        close_groups(r, a, taken);
    for (uint32_t j = 0; j < r->k; j++) {
        const uint32_t best = pl_vec_best(a, r->n, taken);
        taken[best] = chosen[best] = true;
    }
    for (uint32_t i = 0, j = 0; i < r->n; i++)
        if (chosen[i])
            index[j++] = i;
}
