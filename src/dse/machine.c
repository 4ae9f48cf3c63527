/* machine.c - a point of a study's space as a machine, and why a point may not be evaluated. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dse_internal.h"
#include "plena/dse_study.h"

void pl_dse_spec_value(const struct pl_dse_space *s, size_t k, const double *x, char out[48])
{
    const struct pl_dse_param *p = &s->p[k];
    if (p->kind == PL_DSE_REAL)
        snprintf(out, 48, "%.17g", pl_dse_real(p, x[k]));
    else
        snprintf(out, 48, "%s", p->value[(size_t)x[k]]);
}

void pl_dse_spec_arch(const struct pl_dse_spec *s, const double *x, struct pl_arch *out)
{
    *out = s->base;
    for (size_t k = 0; k < s->space.n; k++) {
        char text[160], value[48];
        pl_dse_spec_value(&s->space, k, x, value);
        snprintf(text, sizeof text, "%s=%s", s->space.p[k].name, value);
        (void)pl_arch_set(out, text, NULL); /* checked when the study file was read */
    }
}

double pl_dse_modelled(const struct pl_dse_objective *o, double metric)
{
    const double v = o->log ? log10(fmax(metric, 1e-300)) : metric;
    return o->maximise ? -v : v;
}

double pl_dse_metric(const struct pl_dse_objective *o, double modelled)
{
    const double v = o->maximise ? -modelled : modelled;
    return o->log ? pow(10, v) : v;
}

/* The rule of a message "machine NAME: RULE (its values)", kept once. */
static const char *machine_reason(struct pl_dse_spec *s, const char *message)
{
    const char *colon = strstr(message, ": "), *rule = colon ? colon + 2 : message;
    size_t n = strcspn(rule, "(");
    while (n && rule[n - 1] == ' ')
        n--;
    for (size_t i = 0; i < s->n_reason; i++)
        if (strlen(s->reasons[i]) == n && !memcmp(s->reasons[i], rule, n))
            return s->reasons[i];
    if (s->n_reason == PL_DSE_REASONS || n >= sizeof s->reasons[0])
        return "another rule of the machine";
    memcpy(s->reasons[s->n_reason], rule, n);
    return s->reasons[s->n_reason++];
}

const char *dse_spec_why_not(void *ctx, const double *x)
{
    struct pl_dse_spec *s = ctx;
    struct pl_arch arch;
    struct pl_diag why;
    pl_dse_spec_arch(s, x, &arch);
    for (size_t i = 0; i < s->n_rule; i++)
        if (!pl_dse_expr_holds(s->rule[i], &arch))
            return s->rule_text[i];
    if (pl_arch_check(&arch, &why) != PL_OK)
        return machine_reason(s, why.text);
    return s->cannot ? s->cannot(s->cannot_ctx, &arch) : NULL;
}
