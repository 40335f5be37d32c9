/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.c -- sends each record to each output, and remembers how far it has come.
 *
 *   database ──records──▶ lines ──send──▶ receiver ──confirm──▶ cursor ──writer──▶ database
 *
 * The cursor moves when a batch has arrived, as far as this host can know: on the file's disk;
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
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/encode.h"

/* UDP: as many as a receiver's buffer holds, and what comes back within CONFIRM_MS. */
enum { BATCH = 512, BATCH_UDP = 64, CONFIRM_MS = 10, SEND_S = 5, LAST_MS = 300 };
enum { RETRY_MS = 1000, RETRY_MOST_MS = 30000, IDLE_MS = 30000, STEP_MS = 10, SQL_TEXT = 16384 };

/* clang-format off */
/* What stands before a line for syslog (RFC 5424), to be printed with the facility. sequenceId begins again
 * behind 2147483647 (7.3.1). */
#define SYSLOG_HEAD \
    "'<'||(8*%u+" SQL_GRAVE("4", "5", "6", "5") ")||'>1 '||time||' '||forwarder||' waymarkd - '||" SQL_ACTION \
    "||' [meta sequenceId=\"'||(1+(sequence-1)%%2147483647)||'\"] '||"
/* clang-format on */

struct output {
    struct audit_outputs *all;
    char to[256];
    uint32_t format, facility;
    struct endpoint at; /* its path is in `to` */
    _Atomic bool ended; /* it is to */
    /* Under the lock; the thread alone changes fd, and may read it without. */
    int fd;             /* -1: closed */
    long long sequence; /* of the last record that it got; -1: the writer is to say */
    uint64_t moved_ms;
    int error;
    bool runs; /* there is a thread */
    /* The thread's own. */
    struct audit_store *store;
};

struct audit_outputs {
    char dir[PATH_MAX];
    pthread_mutex_t lock;
    pthread_cond_t news;
    _Atomic int running; /* threads, also of those that are no more in the list */
    /* Under the lock. */
    struct output *list[AUDIT_OUTPUTS];
    int n;
    uint64_t changes;       /* of the list and of cursors, ever */
    uint64_t saving, saved; /* of them: by the transaction that is open; in the database */
    long long newest;       /* record in the database */
};

struct audit_outputs *audit_outputs_new(const char *dir)
{
    struct audit_outputs *o = calloc(1, sizeof *o);

    if (o == NULL)
        return NULL;
    (void)str_copy(o->dir, sizeof o->dir, dir);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->news, NULL);
    return o;
}

static void set_fd(struct output *p, int fd, int error)
{
    pthread_mutex_lock(&p->all->lock);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = fd;
    p->error = error;
    pthread_mutex_unlock(&p->all->lock);
}

static int open_output(struct output *p)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
    const int type = p->at.kind == ENDPOINT_TCP ? SOCK_STREAM : SOCK_DGRAM;
    const struct timeval limit = {.tv_sec = SEND_S}; /* of connect(), too */
    struct sockaddr_storage to = {.ss_family = AF_UNIX};
    struct sockaddr_un *local = (void *)&to;
    socklen_t len = sizeof *local;
    struct stat st;

    if (p->at.kind == ENDPOINT_FILE) {
        set_fd(p, open(p->at.path, flags, 0640), p->error);
        if (p->fd < 0 || fstat(p->fd, &st) != 0)
            return -errno;
        return S_ISREG(st.st_mode) ? 0 : -EINVAL;
    }
    if (p->at.kind != ENDPOINT_UNIX)
        len = addr_to_sockaddr(&p->at.addr, &to);
    else if (!str_copy(local->sun_path, sizeof local->sun_path, p->at.path))
        return -ENAMETOOLONG;
    set_fd(p, socket(to.ss_family, type | SOCK_CLOEXEC, 0), p->error);
    if (p->fd >= 0 && setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(p->fd, (struct sockaddr *)&to, len) == 0)
        return 0;
    return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

static void moved(struct output *p, long long sequence)
{
    pthread_mutex_lock(&p->all->lock);
    p->sequence = sequence;
    p->moved_ms = clock_now().wall_ms;
    p->error = 0;
    p->all->changes++;
    pthread_mutex_unlock(&p->all->lock);
}

/* All of it, however long that takes. */
static int send_all(struct output *p, const char *data, size_t len)
{
    while (len > 0 && !p->ended) {
        ssize_t n = p->at.kind == ENDPOINT_FILE ? write(p->fd, data, len)
                                                : send(p->fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return len == 0 ? 0 : -ECANCELED;
}

/* Waits until what was sent has arrived, as far as can be known. */
static int confirm(struct output *p)
{
    int unsent = 0, err = 0;
    socklen_t len = sizeof err;

    if (p->at.kind == ENDPOINT_FILE) /* EINVAL: its file system knows no such thing */
        return fdatasync(p->fd) == 0 || errno == EINVAL ? 0 : -errno;
    if (p->at.kind == ENDPOINT_UNIX)
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

/* Sends the next records behind that number. 0 or -errno. */
static int send_next(struct output *p, long long from)
{
    static const char *const encoders[] = {SQL_ECS, SQL_CEF, SQL_TEXT_LINE};
    static const char *const frames[] = {
        [ENDPOINT_FILE] = "line||char(10)",
        [ENDPOINT_UNIX] = "line",
        [ENDPOINT_UDP] = "line",
        [ENDPOINT_TCP] = "length(CAST(line AS BLOB))||' '||line"}; /* RFC 6587, 3.4.1 */
    const bool file = p->at.kind == ENDPOINT_FILE;
    json_t *rows = json_array(), *row;
    off_t end = file ? lseek(p->fd, 0, SEEK_END) : 0;
    long long first;
    size_t i, done = 0;
    char sql[SQL_TEXT];
    struct str s;
    int rc;

    str_init(&s, sql, sizeof sql);
    str_addf(&s, "SELECT sequence,%s AS line FROM(SELECT sequence,", frames[p->at.kind]);
    if (!file)
        str_addf(&s, SYSLOG_HEAD, p->facility);
    str_addf(&s, "%s AS line FROM events WHERE sequence>%lld ORDER BY sequence LIMIT %d)",
             encoders[p->format], from, p->at.kind == ENDPOINT_UDP ? BATCH_UDP : BATCH);
    rc = audit_query(p->store, sql, NULL, rows);
    first = json_integer_value(json_object_get(json_array_get(rows, 0), "sequence"));
    json_array_foreach(rows, i, row)
    {
        const char *line = json_string_value(json_object_get(row, "line")); /* NULL: damaged */

        if (rc == 0 && (rc = send_all(p, line, line ? strlen(line) : 0)) == 0)
            done += p->at.kind == ENDPOINT_UNIX; /* it is gone in any case */
    }
    if (rc != 0 && file) /* all of them or none */
        (void)!ftruncate(p->fd, end);
    if (rc == 0)
        rc = confirm(p);
    if (rc == 0)
        done = json_array_size(rows); /* numbers have no holes */
    if (done > 0)
        moved(p, first - 1 + (long long)done);
    json_decref(rows);
    return rc;
}

/* The record behind which there is one to send, but not before that time; -1: it is to end. */
static long long wait_for_work(struct output *p, uint64_t until_ms)
{
    struct audit_outputs *o = p->all;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000 * 1000000)};
    long long from;

    pthread_mutex_lock(&o->lock);
    while (!p->ended && clock_us() / 1000 < until_ms)
        pthread_cond_clockwait(&o->news, &o->lock, CLOCK_MONOTONIC, &until);
    while (!p->ended && (p->sequence < 0 || p->sequence >= o->newest))
        pthread_cond_wait(&o->news, &o->lock);
    from = p->ended ? -1 : p->sequence;
    pthread_mutex_unlock(&o->lock);
    return from;
}

static void *run_output(void *arg)
{
    struct output *p = arg;
    struct audit_outputs *o = p->all;
    uint64_t wait_ms = RETRY_MS, until_ms = 0;
    long long from;

    pthread_detach(pthread_self());
    while ((from = wait_for_work(p, until_ms)) >= 0) {
        char left[256];
        int rc = p->store == NULL ? audit_store_open(&p->store, o->dir, 0, NULL) : 0;

        /* The file may have been moved, the connection be closed; what it says nobody asked for. */
        if (p->at.kind == ENDPOINT_FILE ||
            (p->at.kind == ENDPOINT_TCP && recv(p->fd, left, sizeof left, MSG_DONTWAIT) == 0))
            set_fd(p, -1, p->error);
        if (rc == 0 && p->fd < 0)
            rc = open_output(p);
        if (rc == 0)
            rc = send_next(p, from);
        until_ms = rc == 0 ? 0 : clock_us() / 1000 + wait_ms;
        wait_ms = rc == 0 ? RETRY_MS : 2 * wait_ms < RETRY_MOST_MS ? 2 * wait_ms : RETRY_MOST_MS;
        if (rc != 0)
            set_fd(p, -1, -rc);
    }
    set_fd(p, -1, 0);
    audit_store_close(p->store);
    free(p);
    o->running--;
    return NULL;
}

/* The lock is held. A thread that waits for a receiver is woken by the shutdown. */
static void end_output(struct output *p)
{
    p->ended = true;
    shutdown(p->fd, SHUT_RDWR);
    if (!p->runs)
        free(p);
}

/* The same. NULL: out of memory. */
static struct output *begin_output(struct audit_outputs *o, const struct audit_target *target,
                                   audit_start *start)
{
    struct output *p = calloc(1, sizeof *p);
    pthread_t thread;

    if (p == NULL)
        return NULL;
    *p = (struct output){
        .all = o, .fd = -1, .sequence = -1, .format = target->format, .facility = target->facility};
    (void)str_copy(p->to, sizeof p->to, target->to);
    (void)endpoint_parse(&p->at, p->to);
    p->error = -start(&thread, run_output, p);
    p->runs = p->error == 0;
    o->running += p->runs;
    return p;
}

void audit_outputs_set(struct audit_outputs *o, const struct audit_target *targets, int n,
                       audit_start *start)
{
    struct output *list[AUDIT_OUTPUTS] = {NULL};
    int kept = 0;

    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < n; i++) {
        struct output **p = &list[kept];

        for (int k = 0; k < o->n && *p == NULL; k++)
            if (o->list[k] && o->list[k]->runs && strcmp(o->list[k]->to, targets[i].to) == 0 &&
                o->list[k]->format == targets[i].format &&
                o->list[k]->facility == targets[i].facility) {
                *p = o->list[k];
                o->list[k] = NULL;
            }
        if (*p != NULL || (*p = begin_output(o, &targets[i], start)) != NULL)
            kept++; /* else the others go on; the next reload tries again */
    }
    for (int k = 0; k < o->n; k++)
        if (o->list[k])
            end_output(o->list[k]);
    o->n = kept;
    memcpy(o->list, list, sizeof list);
    o->changes++;
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
}

/* The lock is held. */
static json_int_t behind(const struct output *p)
{
    return p->sequence >= 0 && p->sequence < p->all->newest ? p->all->newest - p->sequence : 0;
}

void audit_outputs_end(struct audit_outputs *o)
{
    bool any = true;

    for (int ms = 0; ms < LAST_MS && any; ms += STEP_MS) {
        any = false;
        pthread_mutex_lock(&o->lock);
        for (int i = 0; i < o->n; i++)
            any = any || (behind(o->list[i]) > 0 && o->list[i]->error == 0);
        pthread_mutex_unlock(&o->lock);
        poll(NULL, 0, any ? STEP_MS : 0);
    }
}

void audit_outputs_free(struct audit_outputs *o)
{
    if (o == NULL)
        return;
    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n; i++)
        end_output(o->list[i]);
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
    for (int ms = 0; ms < 1000 && o->running > 0; ms += STEP_MS)
        poll(NULL, 0, STEP_MS);
    if (o->running == 0) /* else one is in a file on a dead server, and ends with the process */
        free(o);
}

json_t *audit_outputs_report(struct audit_outputs *o)
{
    json_t *list = json_array();

    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n; i++) {
        const struct output *p = o->list[i];
        const bool idle = behind(p) > 0 && clock_now().wall_ms > p->moved_ms + IDLE_MS;
        const char *error = p->error != 0 ? strerror(p->error)
                            : idle        ? "its receiver takes nothing"
                                          : NULL;

        json_array_append_new(list,
                              json_pack("{s:s,s:I,s:s?,s:I}", "to", p->to, "behind", behind(p),
                                        "error", error, "moved", (json_int_t)p->moved_ms));
    }
    pthread_mutex_unlock(&o->lock);
    return list;
}

bool audit_outputs_changed(struct audit_outputs *o)
{
    bool changed;

    pthread_mutex_lock(&o->lock);
    changed = o->changes != o->saved;
    pthread_mutex_unlock(&o->lock);
    return changed;
}

void audit_outputs_save(struct audit_outputs *o, struct audit_store *store)
{
    /* One that is no more goes: when it comes back it begins anew. */
    static const char sql[] =
        "DELETE FROM output WHERE name NOT IN(SELECT key FROM json_each(?1));"
        "INSERT OR IGNORE INTO output SELECT key,"
        "iif(value<0,(SELECT ifnull(max(id),0) FROM event),value) FROM json_each(?1);"
        "UPDATE output SET sequence=max(sequence,"
        "(SELECT value FROM json_each(?1) WHERE key=name));"
        "SELECT json_group_object(name,sequence) AS \"cursors[]\" FROM output";
    json_t *cursors = json_object(), *rows = json_array(), *moved;
    char *text;

    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n; i++)
        json_object_set_new(cursors, o->list[i]->to, json_integer(o->list[i]->sequence));
    o->saving = o->changes;
    text = json_dumps(cursors, 0);
    if (o->changes > 0) /* else nobody has told yet which there are */
        (void)audit_query(store, sql, text, rows);
    moved = json_object_get(json_array_get(rows, 0), "cursors");
    for (int i = 0; i < o->n; i++)
        (void)json_unpack(moved, "{s:I}", o->list[i]->to, &o->list[i]->sequence);
    pthread_mutex_unlock(&o->lock);
    free(text);
    json_decref(rows);
    json_decref(cursors);
}

void audit_outputs_saved(struct audit_outputs *o, long long newest)
{
    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n; i++)
        if (o->list[i]->sequence >= o->newest) /* it lacked nothing until now */
            o->list[i]->moved_ms = clock_now().wall_ms;
    o->newest = newest;
    o->saved = o->saving;
    pthread_cond_broadcast(&o->news);
    pthread_mutex_unlock(&o->lock);
}
