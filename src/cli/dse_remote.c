/* dse_remote.c - one study on many ranks: rank 0 leads, the others evaluate what it sends over TCP.
 *
 * The launcher (mpirun) only starts the ranks; no MPI call is made, because a rank that dies takes an MPI job with it. Rank 0
 * writes its address beside the study; a rank finds it there, so the folder must be shared. A worker is a child of its rank:
 * when it dies its trial goes to another one, and the launcher sees a rank that ended well. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dse.h"

/* AHEAD: trials a worker holds, so that the next is there when one is done. */
enum { MOST_WORKERS = 1024, MOST_TRIES = 3, LINE = 16384, AHEAD = 2 };

struct worker {
    int fd;
    bool greeted;
    struct pl_dse_trial trial[AHEAD]; /* in the order it works on them */
    unsigned held;
    struct pl_buf in;
};
struct lead {
    struct dse *s;
    int listener;
    char key[40];
    const char *file;
    struct worker w[MOST_WORKERS];
    size_t n;
    struct pl_dse_trial again[AHEAD * MOST_WORKERS]; /* their workers died */
    size_t n_again;
    unsigned tries[MOST_WORKERS]; /* by trial number modulo; reset when told */
    bool done;
    double busy_s;              /* in evaluations of workers */
    uint64_t first_ns, last_ns; /* first trial handed out, last result */
    size_t told, most;          /* results; workers at once */
};

bool dse_launched(unsigned *rank, unsigned *size)
{
    static const char *const names[][2] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"}};
    for (size_t i = 0; i < PL_COUNT(names); i++) {
        const char *r = getenv(names[i][0]), *n = getenv(names[i][1]);
        if (r && n) {
            *rank = (unsigned)strtoul(r, NULL, 10);
            *size = (unsigned)strtoul(n, NULL, 10);
            return true;
        }
    }
    return false;
}

/* What all ranks of one launch share and no other launch has. */
static const char *job_name(void)
{
    static const char *const names[] = {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_ID", "PLENA_JOB"};
    for (size_t i = 0; i < PL_COUNT(names); i++)
        if (getenv(names[i]))
            return getenv(names[i]);
    return "job";
}

/* A longer evaluation: measurements of what the rest costs. */
static void pause_us(uint64_t us, double *seconds)
{
    const struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    const uint64_t start = pl_clock_ns();
    nanosleep(&t, NULL);
    *seconds += (double)(pl_clock_ns() - start) * 1e-9;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void tune(int fd)
{
    const int on = 1, idle = 10, every = 5, count = 3; /* a host that is gone is noticed after 25 s */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static bool send_text(int fd, const char *text, size_t n)
{
    while (n) {
        const ssize_t k = send(fd, text, n, MSG_NOSIGNAL);
        if (k <= 0 && errno != EINTR)
            return false;
        text += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return true;
}

/* A whole line taken from the buffer, or NULL. The line lives until the next call. */
static char *take_line(struct pl_buf *b, struct pl_buf *line)
{
    char *end = b->len ? memchr(b->data, '\n', b->len) : NULL;
    if (!end)
        return NULL;
    line->len = 0;
    pl_buf_put(line, b->data, (size_t)(end - b->data));
    const size_t used = (size_t)(end - b->data) + 1;
    memmove(b->data, b->data + used, b->len - used);
    b->len -= used;
    return line->data;
}

/* False: the other side is gone. */
static bool receive(int fd, struct pl_buf *b)
{
    char chunk[LINE];
    const ssize_t k = recv(fd, chunk, sizeof chunk, 0);
    if (k > 0)
        pl_buf_put(b, chunk, (size_t)k);
    return k > 0 || (k < 0 && (errno == EINTR || errno == EAGAIN));
}

/* ---- rank 0 ---- */
static enum pl_status announce(struct lead *l)
{
    struct pl_diag *d = &l->s->d;
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    char host[128] = "localhost", text[512];
    unsigned char seed[16];
    l->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (l->listener < 0 || bind(l->listener, (struct sockaddr *)&a, sizeof a) || listen(l->listener, 64) ||
        getsockname(l->listener, (struct sockaddr *)&a, &len))
        return pl_fail(d, PL_EIO, "no TCP port for the workers: %s", strerror(errno));
    const int random = open("/dev/urandom", O_RDONLY);
    const bool got = random >= 0 && read(random, seed, sizeof seed) == (ssize_t)sizeof seed;
    if (random >= 0)
        close(random);
    if (!got)
        return pl_fail(d, PL_EIO, "/dev/urandom cannot be read");
    for (size_t i = 0; i < sizeof seed; i++)
        snprintf(l->key + 2 * i, 3, "%02x", seed[i]);
    (void)gethostname(host, sizeof host - 1);
    snprintf(text, sizeof text, "%s %s %u %s\n", job_name(), host, ntohs(a.sin_port), l->key);
    const mode_t was = umask(077); /* the key is for this user */
    const enum pl_status st = pl_file_write(l->file, text, strlen(text), d);
    umask(was);
    return st;
}

static bool give(struct lead *l, struct worker *w, const struct pl_dse_trial *t)
{
    struct pl_buf b;
    pl_buf_init(&b);
    pl_buf_printf(&b, "T %llu", (unsigned long long)t->number);
    for (size_t k = 0; k < l->s->spec.space.n; k++)
        pl_buf_printf(&b, " %.17g", t->x[k]);
    pl_buf_puts(&b, "\n");
    w->trial[w->held++] = *t;
    l->first_ns = l->first_ns ? l->first_ns : pl_clock_ns();
    l->most = l->n > l->most ? l->n : l->most;
    const bool sent = send_text(w->fd, b.data, b.len);
    pl_buf_fini(&b);
    return sent;
}

/* "R number state seconds y... slack...\tmetrics\treason" */
static enum pl_status take_result(struct lead *l, struct worker *w, char *line)
{
    struct pl_dse_trial t = w->trial[0];
    char *p = line + 1, *metrics = strchr(line, '\t'), *reason = metrics ? strchr(metrics + 1, '\t') : NULL;
    if (!w->held || !reason || strtoull(p, &p, 10) != t.number)
        return pl_fail(&l->s->d, PL_EPARSE, "a worker sent \"%.60s\"", line);
    *metrics++ = 0;
    *reason++ = 0;
    t.state = (enum pl_dse_state)strtol(p, &p, 10);
    const double seconds = strtod(p, &p);
    for (size_t k = 0; k < l->s->spec.search.m; k++)
        t.y[k] = strtod(p, &p);
    for (size_t k = 0; k < l->s->spec.search.n_cap; k++)
        t.slack[k] = strtod(p, &p);
    memmove(w->trial, w->trial + 1, (AHEAD - 1) * sizeof t);
    w->held--;
    l->tries[t.number % MOST_WORKERS] = 0;
    l->busy_s += seconds;
    l->last_ns = pl_clock_ns();
    l->told++;
    return pl_study_tell(l->s->study, &t, metrics, *reason ? reason : NULL, seconds, &l->s->d);
}

/* The worker is gone; its trials wait for another. The one it was at is given up when it has seen too many workers die. */
static enum pl_status lose(struct lead *l, size_t i)
{
    struct worker *w = &l->w[i];
    enum pl_status st = PL_OK;
    close(w->fd);
    pl_buf_fini(&w->in);
    for (unsigned k = 0; k < w->held && st == PL_OK; k++) {
        struct pl_dse_trial *t = &w->trial[k];
        unsigned *tries = &l->tries[t->number % MOST_WORKERS];
        if (!l->s->quiet)
            fprintf(stderr, "plena dse: a worker died; trial %llu goes to another\n", (unsigned long long)t->number);
        if (!k && ++*tries >= MOST_TRIES) {
            t->state = PL_DSE_FAILED;
            *tries = 0;
            st = pl_study_tell(l->s->study, t, NULL, "three workers died on it", 0, &l->s->d);
        } else {
            l->again[l->n_again++] = *t;
        }
    }
    *w = l->w[--l->n];
    return st;
}

static enum pl_status hear(struct lead *l, size_t i, bool *gone)
{
    struct worker *w = &l->w[i];
    struct pl_buf line;
    enum pl_status st = PL_OK;
    char *text;
    *gone = !receive(w->fd, &w->in);
    pl_buf_init(&line);
    while (st == PL_OK && !*gone && (text = take_line(&w->in, &line))) {
        if (!w->greeted) {
            w->greeted = text[0] == 'H' && !strcmp(text + 2, l->key);
            *gone = !w->greeted;
        } else if (text[0] == 'R') {
            st = take_result(l, w, text);
        }
    }
    pl_buf_fini(&line);
    return st;
}

static void welcome(struct lead *l)
{
    const int fd = accept(l->listener, NULL, NULL);
    if (fd < 0)
        return;
    if (l->n == MOST_WORKERS) {
        close(fd);
        return;
    }
    tune(fd);
    l->w[l->n] = (struct worker){.fd = fd};
    pl_buf_init(&l->w[l->n++].in);
}

/* One that a worker lost, or the study's next; *next: is there one? */
static enum pl_status next_trial(struct lead *l, struct pl_dse_trial *t, enum pl_study_next *next)
{
    *next = PL_STUDY_TRIAL;
    if (l->n_again)
        *t = l->again[--l->n_again];
    else
        PL_TRY(pl_study_ask(l->s->study, l->s->sampler, &l->s->spec, next, t, &l->s->d));
    l->done = *next == PL_STUDY_DONE;
    return PL_OK;
}

/* Every worker that holds fewer than `depth` gets a trial, as long as there are some. */
static enum pl_status hand_out(struct lead *l, unsigned depth)
{
    for (size_t i = 0; i < l->n; i++) {
        struct pl_dse_trial t;
        enum pl_study_next next;
        if (l->w[i].held >= depth || !l->w[i].greeted)
            continue;
        PL_TRY(next_trial(l, &t, &next));
        if (next != PL_STUDY_TRIAL)
            return PL_OK;
        if (!give(l, &l->w[i], &t))
            return lose(l, i);
    }
    return PL_OK;
}

/* Without workers rank 0 does the work. */
static enum pl_status do_own(struct lead *l)
{
    struct pl_dse_trial t;
    enum pl_study_next next;
    char *metrics, reason[256];
    double seconds;
    PL_TRY(next_trial(l, &t, &next));
    if (next != PL_STUDY_TRIAL)
        return PL_OK;
    dse_eval_trial(&l->s->eval, &t, &metrics, reason, &seconds);
    const enum pl_status st = pl_study_tell(l->s->study, &t, metrics, reason[0] ? reason : NULL, seconds, &l->s->d);
    free(metrics);
    return st;
}

static enum pl_status listen_once(struct lead *l, int timeout_ms)
{
    struct pollfd p[MOST_WORKERS + 1];
    const size_t n = l->n;
    for (size_t i = 0; i < n; i++)
        p[i] = (struct pollfd){.fd = l->w[i].fd, .events = POLLIN};
    p[n] = (struct pollfd){.fd = l->listener, .events = POLLIN};
    if (poll(p, (nfds_t)(n + 1), timeout_ms) <= 0)
        return PL_OK;
    for (size_t i = n; i-- > 0;) { /* from the end: a lost worker is replaced by the last */
        bool gone = false;
        if (!p[i].revents)
            continue;
        PL_TRY(hear(l, i, &gone));
        if (gone)
            PL_TRY(lose(l, i));
    }
    if (p[n].revents)
        welcome(l);
    return PL_OK;
}

static enum pl_status lead_loop(struct lead *l)
{
    struct progress p;
    enum pl_status st = PL_OK;
    const uint64_t start = pl_clock_ns();
    bool met = false;
    progress_start(&p, "trials", l->s->spec.trials);
    while (st == PL_OK && !l->done) {
        st = listen_once(l, 20);
        met |= l->n > 0;
        for (unsigned depth = 1; depth <= AHEAD && st == PL_OK && !l->done; depth++)
            st = hand_out(l, depth);
        if (st == PL_OK && !l->n && !l->done && (met || pl_clock_ns() - start > UINT64_C(10000000000)))
            st = do_own(l);
        dse_progress(l->s, &p);
    }
    progress_end(&p);
    return st;
}

enum pl_status dse_lead(struct dse *s)
{
    struct lead *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->s = s;
    l->listener = -1;
    l->file = pl_arena_printf(&s->arena, "%s.lead", s->path);
    enum pl_status st = announce(l);
    if (st == PL_OK)
        st = lead_loop(l);
    for (size_t i = 0; i < l->n; i++) {
        (void)send_text(l->w[i].fd, "Q\n", 2);
        close(l->w[i].fd);
        pl_buf_fini(&l->w[i].in);
    }
    if (l->listener >= 0)
        close(l->listener);
    (void)unlink(l->file);
    const double wall = (double)(l->last_ns - l->first_ns) * 1e-9;
    if (st == PL_OK && l->told && wall > 0 && !s->quiet)
        fprintf(stderr, "plena dse: %zu workers, %zu trials in %.3f s: %.1f %% of the workers' time in evaluations\n", l->most, l->told, wall,
                100 * l->busy_s / ((double)l->most * wall));
    free(l);
    return st;
}

/* ---- the other ranks ---- */
/* Connected to rank 0, greeted; -1: not there (yet). */
static int connect_lead(const char *file)
{
    char job[128], host[128], port[16], key[64], own[128] = "";
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *a = NULL;
    FILE *f = fopen(file, "r");
    if (!f)
        return -1;
    const int got = fscanf(f, "%127s %127s %15s %63s", job, host, port, key);
    fclose(f);
    if (got != 4 || strncmp(job, job_name(), sizeof job - 1) != 0)
        return -1;
    (void)gethostname(own, sizeof own - 1);
    int fd = -1;
    if (!getaddrinfo(strcmp(own, host) ? host : "127.0.0.1", port, &hints, &a)) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
            close(fd);
            fd = -1;
        }
        freeaddrinfo(a);
    }
    char hello[80];
    snprintf(hello, sizeof hello, "H %s\n", key);
    if (fd >= 0) {
        tune(fd);
        (void)send_text(fd, hello, strlen(hello));
    }
    return fd;
}

static bool answer(struct dse *s, int fd, const char *line)
{
    struct pl_dse_trial t = {0};
    struct pl_buf b;
    char *p, *metrics, reason[256];
    double seconds;
    t.number = strtoull(line + 1, &p, 10);
    for (size_t k = 0; k < s->spec.space.n; k++)
        t.x[k] = strtod(p, &p);
    dse_eval_trial(&s->eval, &t, &metrics, reason, &seconds);
    if (s->delay_us)
        pause_us(s->delay_us, &seconds);
    for (char *c = reason; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    pl_buf_init(&b);
    pl_buf_printf(&b, "R %llu %d %.17g", (unsigned long long)t.number, (int)t.state, seconds);
    for (size_t k = 0; k < s->spec.search.m; k++)
        pl_buf_printf(&b, " %.17g", t.y[k]);
    for (size_t k = 0; k < s->spec.search.n_cap; k++)
        pl_buf_printf(&b, " %.17g", t.slack[k]);
    pl_buf_printf(&b, "\t%s\t%s\n", metrics, reason);
    const bool sent = send_text(fd, b.data, b.len);
    pl_buf_fini(&b);
    free(metrics);
    return sent;
}

static int work(struct dse *s, const char *file)
{
    struct pl_buf in, line;
    int fd = -1;
    const enum pl_status st = dse_eval_init(&s->eval, &s->spec, NULL, &s->d);
    if (st != PL_OK)
        return cli_fail(st, &s->d);
    for (int i = 0; i < 1200 && fd < 0; i++) { /* a minute */
        fd = connect_lead(file);
        if (fd < 0)
            pause_ms(50);
    }
    if (fd < 0)
        return 0; /* rank 0 has ended already, or says itself what is wrong */
    pl_buf_init(&in);
    pl_buf_init(&line);
    for (bool on = true; on;) {
        const char *text = take_line(&in, &line);
        if (!text)
            on = receive(fd, &in);
        else if (text[0] == 'T')
            on = answer(s, fd, text);
        else
            on = false;
    }
    pl_buf_fini(&in);
    pl_buf_fini(&line);
    close(fd);
    return 0;
}

int dse_follow(struct dse *s)
{
    const char *file = pl_arena_printf(&s->arena, "%s.lead", s->path);
    fflush(NULL);
    const pid_t child = fork();
    if (!child)
        exit(work(s, file));
    int status = 0;
    if (child < 0)
        return work(s, file);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0; /* killed: rank 0 has noticed; the launcher must not end the others */
}
