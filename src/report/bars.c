/* bars.c - pairs of horizontal bars on a logarithmic axis: ours and published. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "plena/report.h"
#include "svg.h"

enum { LABEL = 330, WIDTH = 420, ROW = 26, TOP = 60, VALUE = 90 };

static bool shown(double v)
{
    return isfinite(v) && v > 0;
}

static void bar(struct pl_buf *b, double low, double high, double y, double v, const char *style)
{
    char text[32];
    const double w = fmax(1, (log10(v) - low) / (high - low) * WIDTH);
    svg_rect(b, (struct svg_at){LABEL, y}, w, 9, style);
    snprintf(text, sizeof text, "%.4g", v);
    svg_text(b, (struct svg_at){LABEL + w + 4, y + 8}, SVG_START, "font-size=\"9\"", text);
}

void pl_bars_svg(const char *title, const char *first, const char *second, const struct pl_bar *item, size_t n, struct pl_buf *out)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double v[] = {item[i].first, item[i].second};
        for (unsigned k = 0; k < 2; k++)
            if (shown(v[k])) {
                low = fmin(low, floor(log10(v[k])));
                high = fmax(high, ceil(log10(v[k]) + 1e-9));
            }
    }
    if (!(high > low))
        high = low = 0, high = 1;
    svg_begin(out, LABEL + WIDTH + VALUE, TOP + (double)n * ROW + 20);
    svg_text(out, (struct svg_at){10, 20}, SVG_START, "font-size=\"14\"", title);
    svg_rect(out, (struct svg_at){10, 32}, 12, 9, "fill=\"#2a6f97\"");
    svg_text(out, (struct svg_at){26, 40}, SVG_START, "", first);
    svg_rect(out, (struct svg_at){120, 32}, 12, 9, "fill=\"#e09f3e\"");
    svg_text(out, (struct svg_at){136, 40}, SVG_START, "", second);
    for (double e = low; e <= high; e++) {
        const double x = LABEL + (e - low) / (high - low) * WIDTH;
        char text[32];
        snprintf(text, sizeof text, "%g", pow(10, e));
        svg_line(out, (struct svg_at){x, TOP - 6}, (struct svg_at){x, TOP + (double)n * ROW}, "stroke=\"#ccc\"");
        svg_text(out, (struct svg_at){x, TOP - 9}, SVG_MIDDLE, "font-size=\"9\"", text);
    }
    for (size_t i = 0; i < n; i++) {
        const double y = TOP + (double)i * ROW;
        svg_text(out, (struct svg_at){LABEL - 6, y + 13}, SVG_END, "font-size=\"10\"", item[i].label);
        if (shown(item[i].first))
            bar(out, low, high, y + 2, item[i].first, "fill=\"#2a6f97\"");
        if (shown(item[i].second))
            bar(out, low, high, y + 12, item[i].second, "fill=\"#e09f3e\"");
    }
    svg_end(out);
}
