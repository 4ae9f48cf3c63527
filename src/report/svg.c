/* svg.c - shapes of a plot as SVG. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "svg.h"

void svg_begin(struct pl_buf *b, double width, double height)
{
    pl_buf_printf(b,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
                  "font-family=\"sans-serif\" font-size=\"11\">\n",
                  width, height, width, height);
    svg_rect(b, (struct svg_at){0, 0}, width, height, "fill=\"#fff\"");
}

void svg_end(struct pl_buf *b)
{
    pl_buf_puts(b, "</svg>\n");
}

void svg_line(struct pl_buf *b, struct svg_at from, struct svg_at to, const char *style)
{
    pl_buf_printf(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", from.x, from.y, to.x, to.y, style);
}

void svg_rect(struct pl_buf *b, struct svg_at corner, double width, double height, const char *style)
{
    pl_buf_printf(b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" %s/>\n", corner.x, corner.y, width, height, style);
}

void svg_circle(struct pl_buf *b, struct svg_at centre, double radius, const char *style)
{
    pl_buf_printf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" %s/>\n", centre.x, centre.y, radius, style);
}

static void put_escaped(struct pl_buf *b, const char *s)
{
    for (; *s; s++) {
        const char *name = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : *s == '"' ? "&quot;" : NULL;
        if (name)
            pl_buf_puts(b, name);
        else
            pl_buf_put(b, (unsigned char)*s < 0x20 ? " " : s, 1);
    }
}

void svg_text(struct pl_buf *b, struct svg_at at, enum svg_anchor anchor, const char *style, const char *text)
{
    static const char *const name[] = {[SVG_START] = "start", [SVG_MIDDLE] = "middle", [SVG_END] = "end"};
    pl_buf_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>", at.x, at.y, name[anchor], style);
    put_escaped(b, text);
    pl_buf_puts(b, "</text>\n");
}
