/* svg.h - the few SVG shapes that our plots need, appended to a buffer. Internal to report. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REPORT_SVG_H
#define REPORT_SVG_H
#include "plena/base.h"

struct svg_at { /* pixels from the upper left corner */
    double x, y;
};
enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };
void svg_begin(struct pl_buf *b, double width, double height);
void svg_end(struct pl_buf *b);
/* style: attributes, e.g. stroke="#888" */
void svg_line(struct pl_buf *b, struct svg_at from, struct svg_at to, const char *style);
void svg_rect(struct pl_buf *b, struct svg_at corner, double width, double height, const char *style);
void svg_circle(struct pl_buf *b, struct svg_at centre, double radius, const char *style);
/* Any text: what XML reserves is escaped, control characters become spaces. */
void svg_text(struct pl_buf *b, struct svg_at at, enum svg_anchor anchor, const char *style, const char *text);
#endif
