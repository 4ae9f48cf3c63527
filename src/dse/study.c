/* study.c - a study in SQLite: ask, tell, read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dse_internal.h"
#include "plena/base_json.h"
#include "plena/dse_study.h"

struct pl_study {
    sqlite3 *db;
    char *path, *text, *name;
    char owner[128];
    struct pl_dse_trial *t; /* what was read so far */
    size_t n, cap;
};

static enum pl_status broken(struct pl_study *s, struct pl_diag *d, const char *what)
{
    return pl_fail(d, PL_EIO, "study %s: %s: %s; trials told before are kept", s->path, what, sqlite3_errmsg(s->db));
}

static enum pl_status run_sql(struct pl_study *s, const char *sql, struct pl_diag *d)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? PL_OK : broken(s, d, "cannot be written");
}

static enum pl_status prepare(struct pl_study *s, const char *sql, sqlite3_stmt **q, struct pl_diag *d)
{
    return sqlite3_prepare_v2(s->db, sql, -1, q, NULL) == SQLITE_OK ? PL_OK : broken(s, d, "is no study");
}

/* Run a statement without rows, and release it. */
static enum pl_status finish(struct pl_study *s, sqlite3_stmt *q, struct pl_diag *d)
{
    const int rc = sqlite3_step(q);
    const enum pl_status st = rc == SQLITE_DONE ? PL_OK : broken(s, d, "cannot be written");
    sqlite3_finalize(q);
    return st;
}

/* When process `pid` started, in clock ticks since boot: a pid alone may be somebody else's by now. 0: no such process. */
static unsigned long long start_of(long pid)
{
    char path[64], line[1024];
    unsigned long long at = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fgets(line, sizeof line, f)) {
        const char *p = strrchr(line, ')'); /* the name may hold anything */
        for (int field = 2; p && field < 22; field++)
            p = strchr(p + 1, ' ');
        at = p ? strtoull(p, NULL, 10) : 0;
    }
    fclose(f);
    return at;
}

static void name_owner(struct pl_study *s)
{
    char host[64] = "?";
    (void)gethostname(host, sizeof host - 1);
    snprintf(s->owner, sizeof s->owner, "%ld %llu %s", (long)getpid(), start_of((long)getpid()), host);
}

/* Only processes of this host can be seen to be dead: WAL files are for one host. */
static bool is_dead(const struct pl_study *s, const char *owner)
{
    char *end;
    const long pid = strtol(owner, &end, 10);
    const unsigned long long start = strtoull(end, &end, 10);
    const char *host = strrchr(s->owner, ' ');
    return !strcmp(end, host) && start_of(pid) != start;
}

static enum pl_status open_file(const char *path, int flags, struct pl_study **out, struct pl_diag *d)
{
    struct pl_study *s = dse_alloc(1, sizeof *s);
    s->path = strdup(path);
    if (!s->path)
        abort();
    name_owner(s);
    *out = s;
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
        return broken(s, d, "cannot be opened");
    sqlite3_busy_timeout(s->db, 600000); /* a proposal of another process may take a while */
    return PL_OK;
}

static enum pl_status load_head(struct pl_study *s, struct pl_diag *d)
{
    sqlite3_stmt *q;
    PL_TRY(prepare(s, "SELECT name, yaml FROM study", &q, d));
    const int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        s->name = strdup((const char *)sqlite3_column_text(q, 0));
        s->text = strdup((const char *)sqlite3_column_text(q, 1));
    }
    sqlite3_finalize(q);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? pl_fail(d, PL_EPARSE, "study %s: holds no study", s->path) : broken(s, d, "cannot be read");
    return PL_OK;
}

static enum pl_status create(struct pl_study *s, const char *name, const char *text, struct pl_diag *d)
{
    sqlite3_stmt *q;
    PL_TRY(run_sql(s,
                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE;"
                   "CREATE TABLE IF NOT EXISTS study(id INTEGER PRIMARY KEY CHECK(id=1), name TEXT, yaml TEXT, version TEXT);"
                   "CREATE TABLE IF NOT EXISTS trial(number INTEGER PRIMARY KEY, state INTEGER NOT NULL, x TEXT NOT NULL, setting TEXT,"
                   " rejected TEXT, owner TEXT, y TEXT, slack TEXT, metrics TEXT, reason TEXT, seconds REAL);"
                   "CREATE TABLE IF NOT EXISTS cache(key TEXT PRIMARY KEY, value REAL);",
                   d));
    PL_TRY(prepare(s, "INSERT OR IGNORE INTO study VALUES(1, ?, ?, ?)", &q, d));
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, text, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 3, PL_VERSION, -1, SQLITE_STATIC);
    PL_TRY(finish(s, q, d));
    return run_sql(s, "COMMIT", d);
}

enum pl_status pl_study_start(const char *path, const char *name, const char *text, struct pl_study **out, struct pl_diag *d)
{
    struct pl_study *s;
    enum pl_status st = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &s, d);
    if (st == PL_OK && sqlite3_db_readonly(s->db, "main") == 1)
        st = pl_fail(d, PL_EIO, "study %s: is read-only; its trials are intact", path);
    if (st == PL_OK)
        st = create(s, name, text, d);
    if (st == PL_OK)
        st = load_head(s, d);
    if (st == PL_OK && strcmp(s->text, text) != 0)
        st = pl_fail(d, PL_EUSAGE, "study %s: was started from another study file (name \"%s\"); choose another -o", path, s->name);
    *out = s;
    if (st != PL_OK) {
        pl_study_close(s);
        *out = NULL;
    }
    return st;
}

enum pl_status pl_study_open_read(const char *path, struct pl_study **out, struct pl_diag *d)
{
    struct pl_study *s;
    *out = NULL;
    if (!pl_file_exists(path))
        return pl_fail(d, PL_EIO, "study %s: no such file", path);
    enum pl_status st = open_file(path, SQLITE_OPEN_READONLY, &s, d);
    if (st == PL_OK)
        st = load_head(s, d);
    if (st != PL_OK) { /* in a folder that cannot be written a WAL file can only be read as one that does not change */
        char *uri = sqlite3_mprintf("file:%s?immutable=1", path);
        pl_study_close(s);
        st = open_file(path, SQLITE_OPEN_READONLY, &s, d);
        sqlite3_close(s->db);
        s->db = NULL;
        if (sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
            st = broken(s, d, "cannot be opened");
        else
            st = load_head(s, d);
        sqlite3_free(uri);
    }
    if (st != PL_OK)
        pl_study_close(s);
    else
        *out = s;
    return st;
}

void pl_study_close(struct pl_study *s)
{
    if (!s)
        return;
    sqlite3_close(s->db);
    free(s->path);
    free(s->text);
    free(s->name);
    free(s->t);
    free(s);
}

const char *pl_study_text(const struct pl_study *s)
{
    return s->text;
}

/* "0.5 3 7": exact. */
static void put_numbers(struct pl_buf *b, const double *v, size_t n)
{
    pl_buf_init(b);
    for (size_t i = 0; i < n; i++)
        pl_buf_printf(b, i ? " %.17g" : "%.17g", v[i]);
}

static void get_numbers(const unsigned char *text, double *v, size_t most)
{
    const char *p = (const char *)text;
    for (size_t i = 0; p && *p && i < most; i++) {
        char *end;
        v[i] = strtod(p, &end);
        if (end == p)
            return;
        p = end;
    }
}

static void read_row(sqlite3_stmt *q, struct pl_dse_trial *t)
{
    *t = (struct pl_dse_trial){.number = (uint64_t)sqlite3_column_int64(q, 0), .state = (enum pl_dse_state)sqlite3_column_int(q, 1)};
    get_numbers(sqlite3_column_text(q, 2), t->x, PL_DSE_PARAMS);
    get_numbers(sqlite3_column_text(q, 3), t->y, PL_DSE_OBJECTIVES);
    get_numbers(sqlite3_column_text(q, 4), t->slack, PL_DSE_CAPS);
}

/* Bring s->t up to date: from the first trial that still ran when last read. */
static enum pl_status refresh(struct pl_study *s, struct pl_diag *d)
{
    sqlite3_stmt *q;
    size_t from = 0;
    while (from < s->n && s->t[from].state != PL_DSE_RUNNING)
        from++;
    PL_TRY(prepare(s, "SELECT number, state, x, y, slack FROM trial WHERE number >= ? ORDER BY number", &q, d));
    sqlite3_bind_int64(q, 1, (sqlite3_int64)from);
    s->n = from;
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        if (s->n == s->cap) {
            s->cap = s->cap ? 2 * s->cap : 64;
            s->t = realloc(s->t, s->cap * sizeof *s->t);
            if (!s->t)
                abort();
        }
        read_row(q, &s->t[s->n++]);
    }
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? PL_OK : broken(s, d, "cannot be read");
}

/* A trial whose process died is taken over. */
static enum pl_status adopt(struct pl_study *s, bool *found, struct pl_dse_trial *out, struct pl_diag *d)
{
    sqlite3_stmt *q;
    *found = false;
    PL_TRY(prepare(s, "SELECT number, state, x, y, slack, owner FROM trial WHERE state = 0 ORDER BY number", &q, d));
    while (!*found && sqlite3_step(q) == SQLITE_ROW)
        if (is_dead(s, (const char *)sqlite3_column_text(q, 5))) {
            read_row(q, out);
            *found = true;
        }
    sqlite3_finalize(q);
    if (!*found)
        return PL_OK;
    PL_TRY(prepare(s, "UPDATE trial SET owner = ? WHERE number = ?", &q, d));
    sqlite3_bind_text(q, 1, s->owner, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, (sqlite3_int64)out->number);
    return finish(s, q, d);
}

static char *setting_json(const struct pl_dse_space *sp, const double *x)
{
    json_t *o = json_object();
    for (size_t k = 0; k < sp->n; k++) {
        char value[48], *end;
        pl_dse_spec_value(sp, k, x, value);
        const double v = strtod(value, &end);
        json_object_set_new(o, sp->p[k].name,
                            *end ? json_string(value) : v == floor(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v));
    }
    char *s = json_dumps(o, 0);
    json_decref(o);
    return s;
}

static char *tally_json(const struct pl_dse_tally *t)
{
    json_t *o = json_object();
    for (size_t i = 0; i < t->n; i++)
        json_object_set_new(o, t->row[i].reason, json_integer((json_int_t)t->row[i].count));
    char *s = json_dumps(o, JSON_SORT_KEYS);
    json_decref(o);
    return s;
}

static enum pl_status insert(struct pl_study *s, const struct pl_dse_space *sp, const struct pl_dse_trial *t,
                             const struct pl_dse_tally *tally, struct pl_diag *d)
{
    sqlite3_stmt *q;
    struct pl_buf x;
    PL_TRY(prepare(s, "INSERT INTO trial(number, state, x, setting, rejected, owner) VALUES(?, 0, ?, ?, ?, ?)", &q, d));
    char *setting = setting_json(sp, t->x), *rejected = tally_json(tally);
    put_numbers(&x, t->x, sp->n);
    sqlite3_bind_int64(q, 1, (sqlite3_int64)t->number);
    sqlite3_bind_text(q, 2, x.data, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 3, setting, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 4, rejected, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 5, s->owner, -1, SQLITE_STATIC);
    pl_buf_fini(&x);
    free(setting);
    free(rejected);
    return finish(s, q, d);
}

/* A new proposal, unless it must wait. */
static enum pl_status propose(struct pl_study *s, struct pl_dse_sampler *sampler, const struct pl_dse_spec *spec,
                              enum pl_study_next *next, struct pl_dse_trial *out, struct pl_diag *d)
{
    struct pl_dse_tally tally;
    const size_t n = s->n;
    bool exhausted = n >= spec->trials, waits = false;
    for (size_t i = 0; i < n; i++)
        waits |= s->t[i].state == PL_DSE_RUNNING && (exhausted || i + spec->batch <= n);
    *next = waits ? PL_STUDY_WAIT : PL_STUDY_DONE;
    if (waits || exhausted)
        return PL_OK;
    struct pl_dse_trial *seen = dse_alloc(n, sizeof *seen);
    if (n)
        memcpy(seen, s->t, n * sizeof *seen);
    for (size_t i = 0; i < n; i++)
        if (i + spec->batch > n) /* told or not: the proposal must not depend on it */
            seen[i].state = PL_DSE_RUNNING;
    *out = (struct pl_dse_trial){.number = n};
    enum pl_status st = pl_dse_propose(sampler, seen, n, n, out->x, &tally, &exhausted, d);
    free(seen);
    if (st == PL_OK && exhausted) {
        for (size_t i = 0; i < n; i++)
            waits |= s->t[i].state == PL_DSE_RUNNING;
        *next = waits ? PL_STUDY_WAIT : PL_STUDY_DONE;
        return PL_OK;
    }
    if (st == PL_OK)
        st = insert(s, &spec->space, out, &tally, d);
    *next = PL_STUDY_TRIAL;
    return st;
}

enum pl_status pl_study_ask(struct pl_study *s, struct pl_dse_sampler *sampler, const struct pl_dse_spec *spec,
                            enum pl_study_next *next, struct pl_dse_trial *out, struct pl_diag *d)
{
    bool found = false;
    PL_TRY(run_sql(s, "BEGIN IMMEDIATE", d));
    enum pl_status st = adopt(s, &found, out, d);
    *next = PL_STUDY_TRIAL;
    if (st == PL_OK && !found) {
        st = refresh(s, d);
        if (st == PL_OK)
            st = propose(s, sampler, spec, next, out, d);
    }
    if (st == PL_OK)
        st = run_sql(s, "COMMIT", d);
    if (st != PL_OK)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

enum pl_status pl_study_tell(struct pl_study *s, const struct pl_dse_trial *t, const char *metrics, const char *reason, double seconds,
                             struct pl_diag *d)
{
    sqlite3_stmt *q;
    struct pl_buf y, slack;
    PL_TRY(prepare(s, "UPDATE trial SET state = ?, y = ?, slack = ?, metrics = ?, reason = ?, seconds = ? WHERE number = ? AND state = 0", &q, d));
    put_numbers(&y, t->y, PL_DSE_OBJECTIVES);
    put_numbers(&slack, t->slack, PL_DSE_CAPS);
    sqlite3_bind_int(q, 1, (int)t->state);
    sqlite3_bind_text(q, 2, y.data, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 3, slack.data, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 4, metrics, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 5, reason, -1, SQLITE_STATIC);
    sqlite3_bind_double(q, 6, seconds);
    sqlite3_bind_int64(q, 7, (sqlite3_int64)t->number);
    pl_buf_fini(&y);
    pl_buf_fini(&slack);
    PL_TRY(finish(s, q, d));
    if (sqlite3_changes(s->db) != 1)
        return pl_fail(d, PL_EUSAGE, "study %s: trial %llu does not run", s->path, (unsigned long long)t->number);
    return PL_OK;
}

static const char *text_of(struct pl_arena *a, sqlite3_stmt *q, int column)
{
    const char *v = (const char *)sqlite3_column_text(q, column);
    return v ? pl_arena_strdup(a, v) : NULL;
}

enum pl_status pl_study_read(struct pl_study *s, struct pl_arena *a, struct pl_study_trial **out, size_t *n,
                             struct pl_diag *d)
{
    sqlite3_stmt *q;
    PL_TRY(refresh(s, d));
    struct pl_study_trial *t = PL_NEW_N(a, struct pl_study_trial, s->n + 1);
    size_t k = 0;
    PL_TRY(prepare(s, "SELECT number, state, x, y, slack, setting, metrics, reason, rejected, seconds FROM trial ORDER BY number", &q, d));
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW && k < s->n) {
        read_row(q, &t[k].t);
        t[k].setting = text_of(a, q, 5);
        t[k].metrics = text_of(a, q, 6);
        t[k].reason = text_of(a, q, 7);
        t[k].rejected = text_of(a, q, 8);
        t[k++].seconds = sqlite3_column_double(q, 9);
    }
    sqlite3_finalize(q);
    *out = t;
    *n = k;
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? PL_OK : broken(s, d, "cannot be read");
}

enum pl_status pl_study_cache_get(struct pl_study *s, const char *key, bool *found, double *value, struct pl_diag *d)
{
    sqlite3_stmt *q;
    PL_TRY(prepare(s, "SELECT value FROM cache WHERE key = ?", &q, d));
    sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    const int rc = sqlite3_step(q);
    *found = rc == SQLITE_ROW;
    if (*found)
        *value = sqlite3_column_double(q, 0);
    sqlite3_finalize(q);
    return *found || rc == SQLITE_DONE ? PL_OK : broken(s, d, "cannot be read");
}

enum pl_status pl_study_cache_put(struct pl_study *s, const char *key, double value, struct pl_diag *d)
{
    sqlite3_stmt *q;
    PL_TRY(prepare(s, "INSERT OR REPLACE INTO cache VALUES(?, ?)", &q, d));
    sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_double(q, 2, value);
    return finish(s, q, d);
}

enum pl_status pl_study_cache_import(struct pl_study *s, const char *other, struct pl_diag *d)
{
    sqlite3_stmt *q;
    if (!pl_file_exists(other))
        return pl_fail(d, PL_EIO, "study %s: no such file", other);
    PL_TRY(prepare(s, "ATTACH ? AS other", &q, d));
    sqlite3_bind_text(q, 1, other, -1, SQLITE_STATIC);
    PL_TRY(finish(s, q, d));
    PL_TRY(run_sql(s, "INSERT OR IGNORE INTO main.cache SELECT key, value FROM other.cache", d));
    return run_sql(s, "DETACH other", d);
}
