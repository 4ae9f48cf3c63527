/* roofline.c - attained work against work per byte, under the ceilings of bandwidth and of the array.
 *
 * Labels stand in a column beside the plot, in the order of their points' heights and joined to them by lines, so that they
 * stay legible however close the points are. An operator that moves no bytes stands at the right edge, as a ring. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "plena/report.h"
#include "svg.h"

enum { LEFT = 70, TOP = 60, PLOT_WIDTH = 520, PLOT_HEIGHT = 400, LABELS = 250, BOTTOM = 55, LABEL_STEP = 15 };

struct axes {
    int x0, x1, y0, y1; /* decades */
    double height;
};
struct label {
    const struct pl_roofline_point *p;
    struct svg_at at;
    double y;
};

double pl_roofline_ceiling(double peak, double bandwidth, double intensity)
{
    return fmin(peak, intensity * bandwidth);
}

static struct svg_at place(const struct axes *a, double intensity, double work)
{
    const double x = fmin(fmax(log10(intensity), a->x0), a->x1), y = fmin(fmax(log10(work), a->y0), a->y1);
    return (struct svg_at){LEFT + (x - a->x0) / (a->x1 - a->x0) * PLOT_WIDTH, TOP + (a->y1 - y) / (a->y1 - a->y0) * a->height};
}

/* Whole decades around the points, the ridge and the peak; one decade of flat ceiling right of the ridge. */
static struct axes axes_of(const struct pl_roofline *r, size_t n_label)
{
    const double ridge = log10(r->peak / r->bandwidth), top = log10(r->peak);
    double x0 = ridge - 1, x1 = ridge + 1, y0 = top - 1;
    for (size_t i = 0; i < r->n; i++) {
        const struct pl_roofline_point *p = &r->point[i];
        if (!(p->attained > 0))
            continue;
        y0 = fmin(y0, log10(p->attained));
        if (p->intensity > 0 && isfinite(p->intensity)) {
            x0 = fmin(x0, log10(p->intensity));
            x1 = fmax(x1, log10(p->intensity));
        }
    }
    const double need = (double)n_label * LABEL_STEP;
    return (struct axes){(int)floor(x0), (int)ceil(x1 + 0.01), (int)floor(y0), (int)ceil(top + 0.01), fmax(PLOT_HEIGHT, need)};
}

/* 2 and 5 of every decade, faint. */
static void fine_grid(const struct axes *a, struct pl_buf *b)
{
    const double low = pow(10, a->y0), left = pow(10, a->x0);
    for (int d = a->x0; d < a->x1; d++)
        for (unsigned k = 2; k <= 5; k += 3) {
            const struct svg_at at = place(a, k * pow(10, d), low);
            svg_line(b, at, (struct svg_at){at.x, TOP}, "stroke=\"#f1f1f1\"");
        }
    for (int d = a->y0; d < a->y1; d++)
        for (unsigned k = 2; k <= 5; k += 3) {
            const struct svg_at at = place(a, left, k * pow(10, d));
            svg_line(b, at, (struct svg_at){LEFT + PLOT_WIDTH, at.y}, "stroke=\"#f1f1f1\"");
        }
}

static void grid(const struct axes *a, struct pl_buf *b)
{
    char text[32];
    fine_grid(a, b);
    for (int d = a->x0; d <= a->x1; d++) {
        const struct svg_at at = place(a, pow(10, d), pow(10, a->y0));
        svg_line(b, at, (struct svg_at){at.x, TOP}, "stroke=\"#ddd\"");
        snprintf(text, sizeof text, "%g", pow(10, d));
        svg_text(b, (struct svg_at){at.x, at.y + 16}, SVG_MIDDLE, "", text);
    }
    for (int d = a->y0; d <= a->y1; d++) {
        const struct svg_at at = place(a, pow(10, a->x0), pow(10, d));
        svg_line(b, at, (struct svg_at){LEFT + PLOT_WIDTH, at.y}, "stroke=\"#ddd\"");
        snprintf(text, sizeof text, "%g", pow(10, d));
        svg_text(b, (struct svg_at){at.x - 6, at.y + 4}, SVG_END, "", text);
    }
    svg_rect(b, (struct svg_at){LEFT, TOP}, PLOT_WIDTH, a->height, "fill=\"none\" stroke=\"#444\"");
}

static void ceilings(const struct pl_roofline *r, const struct axes *a, struct pl_buf *b)
{
    const double ridge = r->peak / r->bandwidth, least = pow(10, a->x0), low = pow(10, a->y0);
    const struct svg_at knee = place(a, ridge, r->peak), right = place(a, pow(10, a->x1), r->peak);
    /* Where the slope enters the picture: at its left or its lower edge. */
    const double enters = fmax(least, low / r->bandwidth);
    char text[64];
    svg_line(b, place(a, enters, enters * r->bandwidth), knee, "stroke=\"#c33\" stroke-width=\"2\" class=\"bandwidth\"");
    svg_line(b, knee, right, "stroke=\"#33c\" stroke-width=\"2\" class=\"peak\"");
    snprintf(text, sizeof text, "peak %.6g", r->peak);
    svg_text(b, (struct svg_at){right.x - 4, right.y - 6}, SVG_END, "fill=\"#33c\"", text);
    snprintf(text, sizeof text, "HBM %.6g bytes", r->bandwidth);
    svg_text(b, (struct svg_at){knee.x - 8, knee.y - 6}, SVG_END, "fill=\"#c33\"", text);
}

static int by_height(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    return x->at.y != y->at.y ? (x->at.y > y->at.y) - (x->at.y < y->at.y) : (x->at.x > y->at.x) - (x->at.x < y->at.x);
}

/* Each label beside its point, moved down, then up, until none overlaps. */
static void spread(struct label *l, size_t n, double bottom)
{
    for (size_t i = 0; i < n; i++)
        l[i].y = i && l[i].at.y < l[i - 1].y + LABEL_STEP ? l[i - 1].y + LABEL_STEP : l[i].at.y;
    for (size_t i = n; i-- > 0;) {
        const double most = i + 1 < n ? l[i + 1].y - LABEL_STEP : bottom;
        l[i].y = fmin(l[i].y, most);
    }
}

static void points(const struct label *l, size_t n, struct pl_buf *b)
{
    for (size_t i = 0; i < n; i++) {
        const struct svg_at edge = {LEFT + PLOT_WIDTH + 12, l[i].y};
        const bool moves = isfinite(l[i].p->intensity);
        svg_line(b, l[i].at, edge, "stroke=\"#aaa\" stroke-width=\"0.6\"");
        svg_circle(b, l[i].at, 4, moves ? "fill=\"#2a7\" stroke=\"#164\"" : "fill=\"#fff\" stroke=\"#164\" stroke-width=\"2\"");
        svg_text(b, (struct svg_at){edge.x + 4, edge.y + 4}, SVG_START, "class=\"label\"", l[i].p->name);
    }
}

void pl_roofline_svg(const struct pl_roofline *r, struct pl_buf *out)
{
    struct label *l = calloc(r->n + 1, sizeof *l);
    if (!l)
        abort();
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->point[i].attained > 0 && r->point[i].intensity > 0)
            l[n++].p = &r->point[i];
    const struct axes a = axes_of(r, n);
    for (size_t i = 0; i < n; i++)
        l[i].at = place(&a, l[i].p->intensity, l[i].p->attained);
    qsort(l, n, sizeof *l, by_height);
    spread(l, n, TOP + a.height);
    const double middle = LEFT + PLOT_WIDTH / 2.0;
    svg_begin(out, LEFT + PLOT_WIDTH + LABELS, TOP + a.height + BOTTOM);
    svg_text(out, (struct svg_at){middle, 24}, SVG_MIDDLE, "font-size=\"14\"", r->title);
    svg_text(out, (struct svg_at){middle, TOP + a.height + 40}, SVG_MIDDLE, "", r->x_label);
    svg_text(out, (struct svg_at){LEFT, TOP - 10}, SVG_START, "", r->y_label);
    grid(&a, out);
    ceilings(r, &a, out);
    points(l, n, out);
    svg_end(out);
    free(l);
}
