/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.c -- sends each record to each output, and remembers how far it has come.
 *
 *   database ──records──▶ lines ──send──▶ receiver ──confirm──▶ cursor ──writer──▶ database
 *
 * The cursor moves when a batch has arrived, as far as this host can know: written to the file;
 * acknowledged by the peer's TCP; for UDP, no error came back in 10 ms. After a failure, and after
 * a crash, an output goes on from its cursor, so records may come twice and are not lost; their
 * sequence numbers tell. What the peer's host has taken and its program has not read is lost with
 * it: plain syslog has no receipt for that.
 *
 * Each output is a thread that may block: in a file on a dead server it keeps up itself alone.
 * Who ends it shuts its socket down. A failed one tries again after 1 s, then twice as long each
 * time, up to 30 s.
 */
#include "audit/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/encode.h"
#include "base/str.h"

/* UDP: as many as a receiver's buffer holds, and what comes back within CONFIRM_MS. */
enum { BATCH = 512, BATCH_UDP = 64, CONFIRM_MS = 10, SEND_S = 5, LAST_MS = 300 };
enum { RETRY_MS = 1000, RETRY_MOST_MS = 30000, SQL_TEXT = 16384 };

/* clang-format off */
/* What stands before a line for syslog (RFC 5424), to be printed with the facility. sequenceId begins again
 * behind 2147483647 (7.3.1). */
#define SYSLOG_HEAD \
    "'<'||(8*%u+" SQL_GRAVE("4", "5", "6", "5") ")||'>1 '||time||' '||forwarder||' waymarkd - '||" SQL_ACTION \
    "||' [meta sequenceId=\"'||(1+(sequence-1)%%2147483647)||'\"] '||"
/* clang-format on */

struct output {
    struct audit_outputs *all;
    struct output *next; /* that has ended, too */
    char to[AUDIT_OUTPUT_TO];
    uint32_t format, facility;
    struct endpoint at; /* its path is in `to` */
    pthread_t thread;
    bool runs;
    /* Under the lock; the thread alone changes fd, and may read it without. */
    int fd;                  /* -1: closed */
    bool reopen, ended;      /* it is to */
    long long sequence;      /* of the last record that it got; -1: the writer is to say */
    long long saved, saving; /* in the database; by the transaction that is open */
    uint64_t missed, noted;  /* removed before it got them; in that transaction */
    uint64_t moved_ms;
    int error;
    /* The thread's own. */
    struct audit_store *store;
};

struct audit_outputs {
    const char *dir;
    int (*start)(pthread_t *, void *(*)(void *), void *);
    pthread_mutex_t lock;
    pthread_cond_t news;
    /* Under the lock. */
    struct output *list[AUDIT_OUTPUTS];
    int n;
    struct output *gone; /* no more in the list; to be joined at the end */
    bool changed;        /* the list, since it was saved */
    bool ending;
    long long newest; /* record in the database */
};

struct audit_outputs *audit_outputs_new(const char *dir,
                                        int (*start)(pthread_t *, void *(*)(void *), void *))
{
    struct audit_outputs *o = calloc(1, sizeof *o);
    pthread_condattr_t monotonic;

    if (o == NULL)
        return NULL;
    o->dir = dir;
    o->start = start;
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&o->news, &monotonic);
    return o;
}

static void set_fd(struct output *p, int fd)
{
    pthread_mutex_lock(&p->all->lock);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = fd;
    p->reopen = false;
    pthread_mutex_unlock(&p->all->lock);
}

/* 0; -ENOENT: the store; -errno. */
static int open_output(struct output *p)
{
    const struct timeval limit = {.tv_sec = SEND_S}; /* of connect(), too */
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_storage to;
    socklen_t len = sizeof path;
    struct stat st;

    if (p->at.kind == ENDPOINT_FILE) {
        set_fd(p, open(p->at.path,
                       O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640));
        if (p->fd < 0 || fstat(p->fd, &st) != 0)
            return -errno;
        return S_ISREG(st.st_mode) ? 0 : -EINVAL;
    }
    if (p->at.kind != ENDPOINT_UNIX)
        len = addr_to_sockaddr(&p->at.addr, &to);
    else if (str_copy(path.sun_path, sizeof path.sun_path, p->at.path))
        memcpy(&to, &path, sizeof path);
    else
        return -ENAMETOOLONG;
    set_fd(p, socket(to.ss_family,
                     (p->at.kind == ENDPOINT_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    if (p->fd >= 0 && setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(p->fd, (struct sockaddr *)&to, len) == 0)
        return 0;
    return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

static void moved(struct output *p, long long sequence, uint64_t missed)
{
    pthread_mutex_lock(&p->all->lock);
    p->sequence = sequence;
    p->missed += missed;
    p->moved_ms = clock_now().wall_ms;
    p->error = 0;
    pthread_mutex_unlock(&p->all->lock);
}

/* All of it, however long that takes. */
static int send_all(struct output *p, const char *data, size_t len)
{
    bool ended = false;

    while (len > 0 && !ended) {
        ssize_t n = p->at.kind == ENDPOINT_FILE ? write(p->fd, data, len)
                                                : send(p->fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        pthread_mutex_lock(&p->all->lock);
        ended = p->ended;
        pthread_mutex_unlock(&p->all->lock);
    }
    return len == 0 ? 0 : -ECANCELED;
}

/* Waits until what was sent has arrived, as far as can be known. */
static int confirm(struct output *p)
{
    int unsent = 0, err = 0;
    socklen_t len = sizeof err;

    if (p->at.kind == ENDPOINT_FILE || p->at.kind == ENDPOINT_UNIX)
        return 0;
    do {
        struct pollfd fd = {.fd = p->fd}; /* of which an error is told, or a shutdown */

        poll(&fd, 1, CONFIRM_MS);
        if (p->at.kind == ENDPOINT_TCP && ioctl(p->fd, SIOCOUTQ, &unsent) != 0)
            return -errno;
        /* Asked later: a reset throws away what is unsent. */
        if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0)
            return -(err != 0 ? err : errno);
        if (fd.revents != 0)
            return -ECONNRESET;
    } while (unsent > 0);
    return 0;
}

/* Sends the rows, and counts in *done those that are gone in any case. 0 or -errno. */
static int send_rows(struct output *p, const json_t *rows, size_t *done)
{
    const bool file = p->at.kind == ENDPOINT_FILE, stream = file || p->at.kind == ENDPOINT_TCP;
    char *text = NULL;
    size_t size = 0, i;
    FILE *f = stream ? open_memstream(&text, &size) : NULL;
    const json_t *row;
    off_t end;
    int rc = stream && f == NULL ? -ENOMEM : 0;

    json_array_foreach(rows, i, row)
    {
        const char *line = json_string_value(json_object_get(row, "line"));

        if (rc == 0 && stream && file)
            fprintf(f, "%s\n", line);
        else if (rc == 0 && stream) /* RFC 6587, 3.4.1 */
            fprintf(f, "%zu %s", strlen(line), line);
        else if (rc == 0 && (rc = send_all(p, line, strlen(line))) == 0)
            *done += p->at.kind == ENDPOINT_UNIX;
    }
    if (f != NULL && fclose(f) != 0)
        rc = -ENOMEM;
    if (rc == 0 && stream) {
        end = file ? lseek(p->fd, 0, SEEK_END) : 0;
        rc = send_all(p, text, size);
        if (rc != 0 && file) /* all of them or none */
            (void)!ftruncate(p->fd, end);
    }
    free(text);
    return rc == 0 ? confirm(p) : rc;
}

/* Sends the next records behind that number. 0 or -errno. */
static int send_next(struct output *p, long long from)
{
    static const char *const encoders[] = {SQL_ECS, SQL_CEF, SQL_TEXT_LINE};
    char sql[SQL_TEXT], after[NUMBER_TEXT];
    json_t *rows = json_array();
    size_t done = 0;
    long long first;
    struct str s;
    int rc;

    snprintf(after, sizeof after, "%lld", from);
    str_init(&s, sql, sizeof sql);
    str_add(&s, "SELECT sequence,");
    if (p->at.kind != ENDPOINT_FILE)
        str_addf(&s, SYSLOG_HEAD, p->facility);
    str_addf(&s,
             "%s AS line FROM events WHERE sequence>CAST(? AS INTEGER) ORDER BY sequence LIMIT %d",
             encoders[p->format], p->at.kind == ENDPOINT_UDP ? BATCH_UDP : BATCH);
    rc = audit_query(p->store, sql, after, rows);
    first = json_integer_value(json_object_get(json_array_get(rows, 0), "sequence"));
    if (rc == 0 && first > from + 1)
        moved(p, first - 1, (uint64_t)(first - from) - 1);
    if (rc == 0)
        rc = send_rows(p, rows, &done);
    if (rc == 0)
        done = json_array_size(rows); /* numbers have no holes */
    if (done > 0)
        moved(p, first - 1 + (long long)done, 0);
    json_decref(rows);
    return rc;
}

/* Until there is a record to send: 1, behind *from. 0: it is to end. until_ms: not before that
 * time. */
static bool wait_for_work(struct output *p, uint64_t until_ms, long long *from, bool *reopen)
{
    struct audit_outputs *o = p->all;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000 * 1000000)};
    bool ended;

    pthread_mutex_lock(&o->lock);
    while (!p->ended && !o->ending && clock_now().mono_ms < until_ms)
        pthread_cond_timedwait(&o->news, &o->lock, &until);
    while (!p->ended && !o->ending && (p->sequence < 0 || p->sequence >= o->newest))
        pthread_cond_wait(&o->news, &o->lock);
    /* At the end of all what is left goes, unless it has just failed. */
    ended = p->ended || p->sequence < 0 || p->sequence >= o->newest || (o->ending && p->error != 0);
    *from = p->sequence;
    *reopen = p->reopen;
    pthread_mutex_unlock(&o->lock);
    return !ended;
}

static void *run_output(void *arg)
{
    struct output *p = arg;
    uint64_t wait_ms = RETRY_MS, until_ms = 0;
    long long from;
    bool reopen;

    while (wait_for_work(p, until_ms, &from, &reopen)) {
        char left[256];
        int rc = 0;

        if (p->store == NULL)
            rc = audit_store_open(&p->store, p->all->dir, 0, NULL);
        /* A connection that the peer has closed; what it says nobody asked for. */
        if (p->fd >= 0 && (reopen || (p->at.kind == ENDPOINT_TCP &&
                                      recv(p->fd, left, sizeof left, MSG_DONTWAIT) == 0)))
            set_fd(p, -1);
        if (rc == 0 && p->fd < 0)
            rc = open_output(p);
        if (rc == 0)
            rc = send_next(p, from);
        until_ms = rc == 0 ? 0 : clock_now().mono_ms + wait_ms;
        wait_ms = rc == 0 ? RETRY_MS : 2 * wait_ms < RETRY_MOST_MS ? 2 * wait_ms : RETRY_MOST_MS;
        if (rc == 0)
            continue;
        set_fd(p, -1);
        pthread_mutex_lock(&p->all->lock);
        p->error = -rc;
        pthread_mutex_unlock(&p->all->lock);
    }
    set_fd(p, -1);
    audit_store_close(p->store);
    return NULL;
}

/* The lock is held. A thread that waits for a receiver is woken by the shutdown. */
static void end_output(struct output *p)
{
    p->ended = true;
    if (p->fd >= 0)
        shutdown(p->fd, SHUT_RDWR);
    p->next = p->all->gone;
    p->all->gone = p;
}

void audit_outputs_set(struct audit_outputs *o, const struct audit_target *targets, int n)
{
    struct output *list[AUDIT_OUTPUTS] = {NULL}, *p;

    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < n; i++) {
        p = NULL;
        for (int k = 0; k < o->n && p == NULL; k++)
            if (o->list[k] != NULL && strcmp(o->list[k]->to, targets[i].to) == 0 &&
                o->list[k]->format == targets[i].format &&
                o->list[k]->facility == targets[i].facility) {
                p = o->list[k];
                o->list[k] = NULL;
                p->reopen = p->at.kind == ENDPOINT_FILE;
            }
        list[i] = p != NULL ? p : calloc(1, sizeof *p);
        if (list[i] == NULL) { /* the others go on; the next reload tries again */
            n = i;
            break;
        }
        if (p != NULL)
            continue;
        p = list[i];
        *p = (struct output){.all = o,
                             .fd = -1,
                             .sequence = -1,
                             .format = targets[i].format,
                             .facility = targets[i].facility};
        (void)str_copy(p->to, sizeof p->to, targets[i].to);
        (void)endpoint_parse(&p->at, p->to);
        p->error = -o->start(&p->thread, run_output, p);
        p->runs = p->error == 0;
    }
    for (int k = 0; k < o->n; k++)
        if (o->list[k] != NULL)
            end_output(o->list[k]);
    o->n = n;
    memcpy(o->list, list, sizeof list[0] * (size_t)n);
    o->changed = true;
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
}

void audit_outputs_end(struct audit_outputs *o)
{
    const uint64_t end_ms = clock_now().wall_ms + LAST_MS;
    struct timespec end = {.tv_sec = (time_t)(end_ms / 1000),
                           .tv_nsec = (long)(end_ms % 1000 * 1000000)};

    pthread_mutex_lock(&o->lock);
    o->ending = true;
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
    for (int i = 0; i < o->n; i++)
        if (o->list[i]->runs && pthread_timedjoin_np(o->list[i]->thread, NULL, &end) == 0)
            o->list[i]->runs = false;
}

void audit_outputs_free(struct audit_outputs *o)
{
    struct timespec now;
    struct output *next;

    if (o == NULL)
        return;
    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n; i++)
        end_output(o->list[i]);
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec++;
    for (struct output *p = o->gone; p != NULL; p = next) {
        next = p->next;
        if (p->runs && pthread_timedjoin_np(p->thread, NULL, &now) != 0)
            return; /* a file on a dead server: it ends with the process */
        free(p);
    }
    free(o);
}

int audit_outputs_report(struct audit_outputs *o, struct audit_output_report out[AUDIT_OUTPUTS])
{
    int n;

    pthread_mutex_lock(&o->lock);
    for (n = 0; n < o->n; n++) {
        const struct output *p = o->list[n];

        out[n] = (struct audit_output_report){.moved_ms = p->moved_ms, .error = p->error};
        if (p->sequence >= 0 && p->sequence < o->newest)
            out[n].behind = (uint64_t)(o->newest - p->sequence);
        memcpy(out[n].to, p->to, sizeof p->to);
    }
    pthread_mutex_unlock(&o->lock);
    return n;
}

bool audit_outputs_changed(struct audit_outputs *o)
{
    bool changed;

    pthread_mutex_lock(&o->lock);
    changed = o->changed;
    for (int i = 0; i < o->n; i++)
        changed = changed || o->list[i]->sequence != o->list[i]->saved || o->list[i]->missed > 0;
    pthread_mutex_unlock(&o->lock);
    return changed;
}

/* Rows of outputs that are no more go: one that comes back begins anew. */
static int save_names(struct audit_outputs *o, struct audit_store *store)
{
    json_t *names = json_array();
    char *text;
    int rc;

    for (int i = 0; i < o->n; i++)
        json_array_append_new(names, json_string(o->list[i]->to));
    text = json_dumps(names, 0);
    rc = audit_query(store, "DELETE FROM output WHERE name NOT IN(SELECT value FROM json_each(?))",
                     text, NULL);
    if (rc == 0)
        rc = audit_query(store,
                         "INSERT OR IGNORE INTO output SELECT value,(SELECT ifnull(max(id),0) "
                         "FROM event) FROM json_each(?)",
                         text, NULL);
    free(text);
    json_decref(names);
    return rc;
}

/* A new output's cursor is read; that of another one is written if it has moved. */
static int save_output(struct output *p, struct audit_store *store, struct ledger *l,
                       struct now now)
{
    struct audit_event gap = {.kind = AUDIT_GAP, .wall_ms = now.wall_ms, .lost = p->missed};
    json_t *rows = json_array();
    char sql[128];
    int rc = 0;

    snprintf(sql, sizeof sql, "UPDATE output SET sequence=%lld WHERE name=?", p->sequence);
    if (p->sequence < 0)
        str_copy(sql, sizeof sql, "SELECT sequence FROM output WHERE name=?");
    if (p->sequence < 0 || p->sequence != p->saved)
        rc = audit_query(store, sql, p->to, rows);
    p->saving = p->sequence >= 0
                    ? p->sequence
                    : json_integer_value(json_object_get(json_array_get(rows, 0), "sequence"));
    json_decref(rows);
    p->noted = p->missed;
    if (rc != 0 || p->missed == 0)
        return rc;
    snprintf(gap.text, sizeof gap.text, "removed before %.90s got them", p->to);
    return ledger_add(l, &gap, NULL);
}

int audit_outputs_save(struct audit_outputs *o, struct audit_store *store, struct ledger *l,
                       struct now now)
{
    int rc;

    pthread_mutex_lock(&o->lock);
    rc = o->changed ? save_names(o, store) : 0;
    for (int i = 0; i < o->n && rc == 0; i++)
        rc = save_output(o->list[i], store, l, now);
    pthread_mutex_unlock(&o->lock);
    return rc;
}

void audit_outputs_saved(struct audit_outputs *o, struct audit_store *store)
{
    long long newest = 0;

    (void)audit_sql(store, &newest, "SELECT ifnull(max(id),0) FROM event");
    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n; i++) {
        struct output *p = o->list[i];

        if (p->sequence >= o->newest) /* it lacked nothing until now */
            p->moved_ms = clock_now().wall_ms;
        p->sequence = p->sequence < 0 ? p->saving : p->sequence;
        p->saved = p->saving;
        p->missed -= p->noted;
    }
    o->newest = newest;
    o->changed = false;
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
}
