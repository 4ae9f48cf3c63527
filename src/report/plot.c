/* plot.c - points, lines, steps and bands over linear or logarithmic axes, as SVG. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "plena/report.h"
#include "svg.h"

enum { WIDTH = 640, HEIGHT = 440, LEFT = 80, RIGHT = 20, TOP = 40, BOTTOM = 55 };

struct axis {
    double lo, hi;
    bool log;
};

static double on_axis(const struct axis *a, double v)
{
    return ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo);
}

static void widen(struct axis *a, double v)
{
    if (a->log && !(v > 0))
        return;
    v = a->log ? log10(v) : v;
    if (isfinite(v)) {
        a->lo = fmin(a->lo, v);
        a->hi = fmax(a->hi, v);
    }
}

static bool shown(const struct pl_plot *p, double x, double y)
{
    return isfinite(x) && isfinite(y) && (!p->log_x || x > 0) && (!p->log_y || y > 0);
}

static void find_axes(const struct pl_plot *p, struct axis *x, struct axis *y)
{
    *x = (struct axis){INFINITY, -INFINITY, p->log_x};
    *y = (struct axis){INFINITY, -INFINITY, p->log_y};
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->series[i].n; k++) {
            widen(x, p->series[i].x[k]);
            widen(y, p->series[i].y[k]);
            if (p->series[i].high)
                widen(y, p->series[i].high[k]);
        }
    struct axis *const both[] = {x, y};
    for (size_t i = 0; i < 2; i++) {
        struct axis *a = both[i];
        if (!(a->lo <= a->hi))
            a->lo = a->hi = 0;
        const double margin = a->hi > a->lo ? 0.05 * (a->hi - a->lo) : 0.5;
        a->lo -= margin;
        a->hi += margin;
    }
}

static struct svg_at place(const struct axis *x, const struct axis *y, double vx, double vy)
{
    return (struct svg_at){LEFT + on_axis(x, vx) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - on_axis(y, vy) * (HEIGHT - TOP - BOTTOM)};
}

/* 1, 2 or 5 times a power of ten, four to nine of them on the axis. */
static double tick_step(double span)
{
    const double raw = span / 5, decade = pow(10, floor(log10(raw))), f = raw / decade;
    return decade * (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10);
}

static void draw_axis(const struct axis *a, bool horizontal, struct pl_buf *b)
{
    const double step = tick_step(a->hi - a->lo);
    for (double v = ceil(a->lo / step) * step; v <= a->hi; v += step) {
        const double share = (v - a->lo) / (a->hi - a->lo);
        const struct svg_at at = horizontal ? (struct svg_at){LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM}
                                            : (struct svg_at){LEFT, HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)};
        char text[32];
        snprintf(text, sizeof text, "%.4g", a->log ? pow(10, v) : fabs(v) < 1e-9 * step ? 0 : v);
        svg_line(b, at, horizontal ? (struct svg_at){at.x, TOP} : (struct svg_at){WIDTH - RIGHT, at.y}, "stroke=\"#e4e4e4\"");
        svg_text(b, horizontal ? (struct svg_at){at.x, at.y + 16} : (struct svg_at){at.x - 6, at.y + 4}, horizontal ? SVG_MIDDLE : SVG_END,
                 "font-size=\"11\"", text);
    }
}

static void draw_path(const struct pl_plot *p, const struct pl_plot_series *s, const struct axis *x, const struct axis *y, struct pl_buf *b)
{
    bool begun = false;
    struct svg_at last = {0, 0};
    pl_buf_puts(b, "<path d=\"");
    for (size_t k = 0; k < s->n; k++) {
        if (!shown(p, s->x[k], s->y[k]))
            continue;
        const struct svg_at at = place(x, y, s->x[k], s->y[k]);
        if (begun && s->kind == PL_PLOT_STEPS)
            pl_buf_printf(b, "L%.2f %.2f", at.x, last.y);
        pl_buf_printf(b, "%c%.2f %.2f", begun ? 'L' : 'M', at.x, at.y);
        begun = true;
        last = at;
    }
    for (size_t k = s->n; k-- > 0 && s->kind == PL_PLOT_BAND;)
        if (shown(p, s->x[k], s->high[k])) {
            const struct svg_at at = place(x, y, s->x[k], s->high[k]);
            pl_buf_printf(b, "L%.2f %.2f", at.x, at.y);
        }
    if (s->kind == PL_PLOT_BAND)
        pl_buf_printf(b, "Z\" fill=\"%s\" fill-opacity=\"0.15\" stroke=\"none\"/>\n", s->colour);
    else
        pl_buf_printf(b, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"/>\n", s->colour);
}

static void draw_series(const struct pl_plot *p, const struct pl_plot_series *s, const struct axis *x, const struct axis *y,
                        struct pl_buf *b)
{
    char style[64];
    snprintf(style, sizeof style, "fill=\"%.16s\" fill-opacity=\"0.75\"", s->colour);
    if (s->kind != PL_PLOT_POINTS) {
        draw_path(p, s, x, y, b);
        return;
    }
    for (size_t k = 0; k < s->n; k++)
        if (shown(p, s->x[k], s->y[k]))
            svg_circle(b, place(x, y, s->x[k], s->y[k]), 3, style);
}

void pl_plot_svg(const struct pl_plot *p, struct pl_buf *out)
{
    struct axis x, y;
    double legend = TOP + 14;
    find_axes(p, &x, &y);
    svg_begin(out, WIDTH, HEIGHT);
    svg_text(out, (struct svg_at){LEFT, TOP - 16}, SVG_START, "font-size=\"14\" font-weight=\"bold\"", p->title);
    if (!p->bare) {
        draw_axis(&x, true, out);
        draw_axis(&y, false, out);
        svg_rect(out, (struct svg_at){LEFT, TOP}, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, "fill=\"none\" stroke=\"#888\"");
    }
    svg_text(out, (struct svg_at){(LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16}, SVG_MIDDLE, "font-size=\"12\"", p->x_label);
    svg_text(out, (struct svg_at){8, TOP - 2}, SVG_START, "font-size=\"12\"", p->y_label);
    for (size_t i = 0; i < p->n; i++)
        draw_series(p, &p->series[i], &x, &y, out);
    for (size_t i = 0; i < p->n; i++) {
        char style[64];
        if (!p->series[i].name)
            continue;
        snprintf(style, sizeof style, "fill=\"%.16s\"", p->series[i].colour);
        svg_circle(out, (struct svg_at){WIDTH - RIGHT - 150, legend - 4}, 4, style);
        svg_text(out, (struct svg_at){WIDTH - RIGHT - 140, legend}, SVG_START, "font-size=\"11\"", p->series[i].name);
        legend += 15;
    }
    svg_end(out);
}
