/* error_bars.c - labelled bars with error bars on a logarithmic axis, as SVG. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/report.h"

#include <math.h>
#include <stdio.h>

#include "svg.h"

enum { LABELS = 330, PLOT = 420, RIGHT = 90, TOP = 44, STEP = 20, BOTTOM = 40 };

void pl_error_bars_svg(const char *title, const char *unit, const struct pl_error_bar *bar, size_t n, struct pl_buf *out)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < n; i++)
        if (bar[i].value > 0) {
            low = fmin(low, bar[i].value);
            high = fmax(high, bar[i].value);
        }
    low = isfinite(low) ? pow(10, floor(log10(low))) : 1;
    high = fmax(pow(10, ceil(log10(fmax(high, low)))), 10 * low);
    const double wide = PLOT / log10(high / low), bottom = TOP + STEP * (double)n;
    svg_begin(out, LABELS + PLOT + RIGHT, bottom + BOTTOM);
    svg_text(out, (struct svg_at){LABELS, 24}, SVG_START, "font-size=\"14\"", title);
    for (double x = low; x <= high * 1.001; x *= 10) {
        char text[32];
        const double at = LABELS + wide * log10(x / low);
        svg_line(out, (struct svg_at){at, TOP}, (struct svg_at){at, bottom}, "stroke=\"#ddd\"");
        snprintf(text, sizeof text, "%g", x);
        svg_text(out, (struct svg_at){at, bottom + 16}, SVG_MIDDLE, "", text);
    }
    svg_text(out, (struct svg_at){LABELS + PLOT / 2.0, bottom + 34}, SVG_MIDDLE, "", unit);
    for (size_t i = 0; i < n; i++) {
        const double y = TOP + STEP * ((double)i + 0.5), v = fmax(bar[i].value, low), x = wide * log10(v / low);
        char text[32];
        svg_text(out, (struct svg_at){LABELS - 6, y + 4}, SVG_END, "", bar[i].name);
        svg_rect(out, (struct svg_at){LABELS, y - 6}, x, 12, "fill=\"#2a7\" class=\"bar\"");
        if (isfinite(bar[i].se) && bar[i].se > 0) {
            const double x0 = wide * log10(fmax(v - bar[i].se, low) / low), x1 = wide * log10((v + bar[i].se) / low);
            svg_line(out, (struct svg_at){LABELS + x0, y}, (struct svg_at){LABELS + x1, y}, "stroke=\"#000\"");
        }
        snprintf(text, sizeof text, "%.4g", bar[i].value);
        svg_text(out, (struct svg_at){LABELS + PLOT + 6, y + 4}, SVG_START, "", text);
    }
    svg_end(out);
}
