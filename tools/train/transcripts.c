/* transcripts.c - deterministic generator of agent-style tool-call transcripts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "transcripts.h"

#define PICK(r, list) ((list)[pl_rng_below(r, PL_COUNT(list))])

static const char *const city[] = {"Paris", "London", "Berlin", "Madrid", "Rome", "Oslo", "Vienna", "Lisbon", "Tokyo",
                                   "Cairo", "Lima", "Boston", "Denver", "Dublin", "Zurich", "Prague", "Milan", "Athens"};
static const char *const sky[] = {"sunny", "cloudy", "rainy", "windy", "foggy", "clear", "stormy", "snowy"};
static const char *const person[] = {"Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack"};
static const char *const topic[] = {"budget review", "project plan", "design review", "weekly sync", "code review",
                                    "team lunch", "release plan", "interview"};
static const char *const day[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"};
static const char *const dir[] = {"src", "docs", "tests", "data", "notes", "reports"};
static const char *const stem[] = {"main", "parser", "model", "report", "summary", "config", "index", "loader", "notes"};
static const char *const ext[] = {"c", "py", "md", "txt", "json", "csv"};
static const char *const symbol[] = {"ACME", "GLOBEX", "INITECH", "UMBRA", "HOOLI", "STARK", "WAYNE", "SOYLENT"};
static const char *const thanks[] = {"", "Thanks!", "Please be quick.", "It is for work."};

static unsigned number(struct pl_rng *r, unsigned least, unsigned most)
{
    return least + (unsigned)pl_rng_below(r, most - least + 1);
}

static void request(struct pl_rng *r, struct pl_buf *b)
{
    const char *t = PICK(r, thanks);
    pl_buf_printf(b, "%s%s\n", t[0] ? " " : "", t);
}

static void weather(struct pl_rng *r, struct pl_buf *b)
{
    const char *c = PICK(r, city), *s = PICK(r, sky);
    const unsigned t = number(r, 2, 34);
    switch (pl_rng_below(r, 3)) {
    case 0:
        pl_buf_printf(b, "User: What is the weather in %s?", c);
        break;
    case 1:
        pl_buf_printf(b, "User: How is the weather in %s today?", c);
        break;
    default:
        pl_buf_printf(b, "User: Tell me the weather in %s.", c);
    }
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"get_weather\", \"args\": {\"city\": \"%s\"}}</tool>\n", c);
    pl_buf_printf(b, "Tool: {\"city\": \"%s\", \"temp_c\": %u, \"sky\": \"%s\"}\n", c, t, s);
    pl_buf_printf(b, "Assistant: It is %s in %s, with a temperature of %u degrees.\n", s, c, t);
}

static void calculator(struct pl_rng *r, struct pl_buf *b)
{
    static const char *const word[] = {"plus", "minus", "times"};
    const unsigned op = (unsigned)pl_rng_below(r, 3), y = number(r, 2, 99), x = number(r, y, 999);
    const unsigned result = op == 0 ? x + y : op == 1 ? x - y : x * y;
    pl_buf_printf(b, "User: What is %u %s %u?", x, word[op], y);
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"calculate\", \"args\": {\"expr\": \"%u %c %u\"}}</tool>\n", x,
                  "+-*"[op], y);
    pl_buf_printf(b, "Tool: {\"result\": %u}\n", result);
    pl_buf_printf(b, "Assistant: %u %s %u is %u.\n", x, word[op], y, result);
}

static void file_search(struct pl_rng *r, struct pl_buf *b)
{
    const char *d = PICK(r, dir), *e = PICK(r, ext), *s1 = PICK(r, stem), *s2 = PICK(r, stem);
    pl_buf_printf(b, "User: Which %s files are in the %s folder?", e, d);
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"find_files\", \"args\": {\"dir\": \"%s\", \"pattern\": \"*.%s\"}}</tool>\n",
                  d, e);
    if (s1 == s2) {
        pl_buf_printf(b, "Tool: {\"files\": [\"%s.%s\"]}\n", s1, e);
        pl_buf_printf(b, "Assistant: There is one file in %s: %s.%s.\n", d, s1, e);
    } else {
        pl_buf_printf(b, "Tool: {\"files\": [\"%s.%s\", \"%s.%s\"]}\n", s1, e, s2, e);
        pl_buf_printf(b, "Assistant: There are two files in %s: %s.%s and %s.%s.\n", d, s1, e, s2, e);
    }
}

static void calendar(struct pl_rng *r, struct pl_buf *b)
{
    const char *p = PICK(r, person), *d = PICK(r, day), *t = PICK(r, topic);
    const unsigned h = number(r, 9, 17), id = number(r, 100, 999);
    pl_buf_printf(b, "User: Book a %s with %s on %s at %u:00.", t, p, d, h);
    request(r, b);
    pl_buf_printf(b,
                  "Assistant: <tool>{\"name\": \"add_event\", \"args\": {\"title\": \"%s\", \"with\": \"%s\", \"day\": \"%s\", "
                  "\"hour\": %u}}</tool>\n",
                  t, p, d, h);
    pl_buf_printf(b, "Tool: {\"status\": \"ok\", \"event_id\": %u}\n", id);
    pl_buf_printf(b, "Assistant: Done. The %s with %s is on %s at %u:00 (event %u).\n", t, p, d, h, id);
}

static void convert(struct pl_rng *r, struct pl_buf *b)
{
    static const struct {
        const char *from, *to;
        unsigned factor;
    } unit[] = {{"kilometers", "meters", 1000}, {"hours", "minutes", 60}, {"feet", "inches", 12},
                {"weeks", "days", 7},           {"minutes", "seconds", 60}};
    const unsigned k = (unsigned)pl_rng_below(r, PL_COUNT(unit)), x = number(r, 2, 60);
    pl_buf_printf(b, "User: How many %s are %u %s?", unit[k].to, x, unit[k].from);
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"convert\", \"args\": {\"value\": %u, \"from\": \"%s\", \"to\": \"%s\"}}</tool>\n",
                  x, unit[k].from, unit[k].to);
    pl_buf_printf(b, "Tool: {\"value\": %u}\n", x * unit[k].factor);
    pl_buf_printf(b, "Assistant: %u %s are %u %s.\n", x, unit[k].from, x * unit[k].factor, unit[k].to);
}

static void stock(struct pl_rng *r, struct pl_buf *b)
{
    const char *s = PICK(r, symbol);
    const unsigned price = number(r, 12, 480), cents = number(r, 10, 99);
    pl_buf_printf(b, "User: What is the price of %s stock?", s);
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"get_quote\", \"args\": {\"symbol\": \"%s\"}}</tool>\n", s);
    pl_buf_printf(b, "Tool: {\"symbol\": \"%s\", \"price\": %u.%u, \"currency\": \"USD\"}\n", s, price, cents);
    pl_buf_printf(b, "Assistant: %s trades at %u.%u USD.\n", s, price, cents);
}

static void email(struct pl_rng *r, struct pl_buf *b)
{
    const char *p = PICK(r, person), *t = PICK(r, topic);
    pl_buf_printf(b, "User: Send %s an email about the %s.", p, t);
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"send_email\", \"args\": {\"to\": \"%s\", \"subject\": \"%s\"}}</tool>\n", p, t);
    if (pl_rng_below(r, 6)) {
        pl_buf_printf(b, "Tool: {\"status\": \"sent\"}\n");
        pl_buf_printf(b, "Assistant: I sent %s an email about the %s.\n", p, t);
    } else {
        pl_buf_printf(b, "Tool: {\"status\": \"error\", \"reason\": \"unknown address\"}\n");
        pl_buf_printf(b, "Assistant: I could not send the email: unknown address for %s.\n", p);
    }
}

static void reminder(struct pl_rng *r, struct pl_buf *b)
{
    const char *t = PICK(r, topic);
    const unsigned m = 5 * number(r, 1, 12);
    pl_buf_printf(b, "User: Remind me of the %s in %u minutes.", t, m);
    request(r, b);
    pl_buf_printf(b, "Assistant: <tool>{\"name\": \"set_timer\", \"args\": {\"minutes\": %u, \"note\": \"%s\"}}</tool>\n", m, t);
    pl_buf_printf(b, "Tool: {\"status\": \"ok\"}\n");
    pl_buf_printf(b, "Assistant: I will remind you of the %s in %u minutes.\n", t, m);
}

void transcript_make(struct pl_rng *r, struct pl_buf *out)
{
    static void (*const kind[])(struct pl_rng *, struct pl_buf *) = {weather, calculator, file_search, calendar,
                                                                     convert, stock,      email,       reminder};
    kind[pl_rng_below(r, PL_COUNT(kind))](r, out);
}
