/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.c -- sends each record to each output, and remembers how far it has come.
 *
 *   database ──fill──▶ a batch of lines ──send──▶ receiver ──confirm──▶ cursor ──writer──▶ database
 *
 * The cursor moves when a batch has arrived, as far as this host can know: written to the file;
 * acknowledged by the peer's TCP; for UDP, no error came back in 10 ms. After a failure, and after
 * a crash, an output goes on from its cursor, so records may come twice and are not lost; their
 * sequence numbers tell. What the peer's host has taken and its program has not read is lost with
 * it: plain syslog has no receipt for that.
 *
 * No descriptor blocks but those of files, for which this thread is its own. A failed output is
 * tried again after 1 s, then twice as long each time, up to 30 s.
 */
#include "audit/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/encode.h"
#include "base/str.h"

/* UDP: as many as a receiver's buffer holds, and what comes back within CONFIRM_MS. */
enum { BATCH = 512, BATCH_UDP = 64, CONFIRM_MS = 10, LAST_MS = 300 };
enum { RETRY_MS = 1000, RETRY_MOST_MS = 30000, SYSLOG_PORT = 514, SQL_TEXT = 16384 };

/* clang-format off */
/* What stands before a line for syslog (RFC 5424), to be printed with the facility. sequenceId begins again
 * behind 2147483647 (7.3.1). */
#define SYSLOG_HEAD \
    "'<'||(8*%u+" SQL_GRAVE("4", "5", "6", "5") ")||'>1 '||time||' '||forwarder||' waymarkd - '||" SQL_ACTION \
    "||' [meta sequenceId=\"'||(1+(sequence-1)%%2147483647)||'\"] '||"
/* clang-format on */

struct output {
    char to[AUDIT_OUTPUT_TO];
    uint32_t format, facility;
    struct endpoint at; /* its path is in `to` */
    bool stream;        /* lines are octets one after the other */
    /* Under the lock. */
    long long sequence;      /* of the last record that it got; -1: the writer is to say */
    long long saved, saving; /* in the database; by the transaction that is open */
    uint64_t missed, noted;  /* removed before it got them; in that transaction */
    uint64_t moved_ms;
    int error;
    /* The thread's own. */
    int fd; /* -1: closed */
    bool connecting;
    json_t *rows; /* the batch; NULL: none */
    size_t n, next;
    char *text; /* of a batch that is a stream, and how much of it is sent */
    size_t size, sent;
    long long last;  /* record of the batch */
    uint64_t due_ms; /* when to open it, or to ask whether the batch has arrived; 0: no time */
    uint64_t wait_ms;
};

struct audit_outputs {
    const char *dir;
    struct audit_store *store; /* the thread's own, to read */
    int wake;
    pthread_mutex_t lock;
    /* Under the lock. */
    struct output *list[AUDIT_OUTPUTS];
    int n;
    struct output wanted[AUDIT_OUTPUTS]; /* as far as they are set */
    int n_wanted;
    bool set;   /* the thread has not taken them yet */
    bool taken; /* the writer has not seen them yet */
    bool ending;
    long long newest; /* in the database */
};

struct audit_outputs *audit_outputs_new(const char *dir)
{
    struct audit_outputs *o = calloc(1, sizeof *o);

    if (o == NULL)
        return NULL;
    o->dir = dir;
    pthread_mutex_init(&o->lock, NULL);
    o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return o;
}

static void drop_batch(struct output *p)
{
    json_decref(p->rows);
    free(p->text);
    p->rows = NULL;
    p->text = NULL;
    p->n = p->next = p->size = p->sent = 0;
}

static void output_free(struct output *p)
{
    if (p->fd >= 0)
        close(p->fd);
    drop_batch(p);
    free(p);
}

void audit_outputs_free(struct audit_outputs *o)
{
    if (o == NULL)
        return;
    for (int i = 0; i < o->n; i++)
        output_free(o->list[i]);
    audit_store_close(o->store);
    close(o->wake);
    free(o);
}

void audit_outputs_set(struct audit_outputs *o, const struct audit_target *targets, int n)
{
    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < n && i < AUDIT_OUTPUTS; i++) {
        struct output *p = &o->wanted[i];

        *p = (struct output){
            .fd = -1, .sequence = -1, .format = targets[i].format, .facility = targets[i].facility};
        (void)str_copy(p->to, sizeof p->to, targets[i].to);
    }
    o->n_wanted = n < AUDIT_OUTPUTS ? n : AUDIT_OUTPUTS;
    o->set = true;
    pthread_mutex_unlock(&o->lock);
    (void)eventfd_write(o->wake, 1);
}

/* Those that stay keep their connection, and a file is opened again. */
static void take(struct audit_outputs *o)
{
    struct output *list[AUDIT_OUTPUTS], *p;

    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < o->n_wanted && o->set; i++) {
        const struct output *w = &o->wanted[i];

        list[i] = NULL;
        for (int k = 0; k < o->n && list[i] == NULL; k++)
            if ((p = o->list[k]) != NULL && strcmp(p->to, w->to) == 0) {
                list[i] = p;
                o->list[k] = NULL;
                p->format = w->format;
                p->facility = w->facility;
            }
        if (list[i] == NULL && (list[i] = malloc(sizeof *p)) != NULL)
            *list[i] = *w;
        p = list[i];
        if (p == NULL) { /* the others go on; the next reload tries again */
            o->n_wanted = i;
            break;
        }
        (void)endpoint_parse(&p->at, p->to, SYSLOG_PORT);
        p->stream = p->at.kind == ENDPOINT_FILE || p->at.kind == ENDPOINT_TCP;
        if (p->at.kind == ENDPOINT_FILE && p->fd >= 0) {
            close(p->fd);
            p->fd = -1;
        }
        p->due_ms = 0;
    }
    if (o->set) {
        for (int k = 0; k < o->n; k++)
            if (o->list[k] != NULL)
                output_free(o->list[k]);
        o->n = o->n_wanted;
        memcpy(o->list, list, sizeof list[0] * (size_t)o->n);
        o->taken = true;
    }
    o->set = false;
    pthread_mutex_unlock(&o->lock);
}

static void moved(struct audit_outputs *o, struct output *p, long long sequence, uint64_t missed)
{
    pthread_mutex_lock(&o->lock);
    p->sequence = sequence;
    p->missed += missed;
    p->moved_ms = clock_now().wall_ms;
    p->error = 0;
    p->wait_ms = RETRY_MS;
    pthread_mutex_unlock(&o->lock);
}

static void output_fail(struct audit_outputs *o, struct output *p, int err, struct now now)
{
    /* The lines that a UNIX socket took are gone from here. */
    if (p->at.kind == ENDPOINT_UNIX && p->next > 0)
        moved(o, p, p->last - (long long)(p->n - p->next), 0);
    drop_batch(p);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    pthread_mutex_lock(&o->lock);
    p->error = -err;
    pthread_mutex_unlock(&o->lock);
    p->wait_ms = p->wait_ms < RETRY_MS ? RETRY_MS : p->wait_ms;
    p->due_ms = now.mono_ms + p->wait_ms;
    p->wait_ms = 2 * p->wait_ms < RETRY_MOST_MS ? 2 * p->wait_ms : RETRY_MOST_MS;
}

/* 0 or -errno; a TCP connection may be under way then. */
static int open_output(struct output *p)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_storage to;
    socklen_t len = sizeof path;
    const int type = p->at.kind == ENDPOINT_TCP ? SOCK_STREAM : SOCK_DGRAM;
    struct stat st;

    p->connecting = false;
    if (p->at.kind == ENDPOINT_FILE) {
        p->fd = open(p->at.path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
                     0640);
        if (p->fd < 0)
            return -errno;
        return fstat(p->fd, &st) != 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    }
    if (p->at.kind != ENDPOINT_UNIX)
        len = addr_to_sockaddr(&p->at.addr, &to);
    else if (str_copy(path.sun_path, sizeof path.sun_path, p->at.path))
        memcpy(&to, &path, sizeof path);
    else
        return -ENAMETOOLONG;
    p->fd = socket(to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        return -errno;
    if (connect(p->fd, (struct sockaddr *)&to, len) == 0)
        return 0;
    p->connecting = errno == EINPROGRESS;
    return p->connecting ? 0 : -errno;
}

/* Has the batch arrived, as far as can be known? 1, 0: not yet, -errno. */
static int confirm(struct output *p, struct now now)
{
    int unsent = 0, err = 0;
    socklen_t len = sizeof err;

    if (p->at.kind == ENDPOINT_FILE || p->at.kind == ENDPOINT_UNIX)
        return 1;
    if (p->due_ms == 0)
        p->due_ms = now.mono_ms + CONFIRM_MS;
    if (p->at.kind == ENDPOINT_TCP && ioctl(p->fd, SIOCOUTQ, &unsent) != 0)
        return -errno;
    /* Asked later: a reset throws away what is unsent. */
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0)
        return -(err != 0 ? err : errno);
    if (p->at.kind == ENDPOINT_TCP ? unsent == 0 : now.mono_ms >= p->due_ms) {
        p->due_ms = 0;
        return 1;
    }
    if (now.mono_ms >= p->due_ms)
        p->due_ms = now.mono_ms + CONFIRM_MS;
    return 0;
}

#define LINE_OF(p, i) json_string_value(json_object_get(json_array_get((p)->rows, i), "line"))

/* What a file or a connection gets is one text. */
static int join_lines(struct output *p)
{
    FILE *f = open_memstream(&p->text, &p->size);

    for (size_t i = 0; i < p->n && f != NULL; i++) {
        if (p->at.kind == ENDPOINT_TCP) /* RFC 6587, 3.4.1 */
            fprintf(f, "%zu %s", strlen(LINE_OF(p, i)), LINE_OF(p, i));
        else
            fprintf(f, "%s\n", LINE_OF(p, i));
    }
    return f != NULL && fclose(f) == 0 ? 0 : -ENOMEM;
}

/* The next records as lines. 1; 0: there are none. */
static int fill(struct audit_outputs *o, struct output *p)
{
    static const char *const encoders[] = {SQL_ECS, SQL_CEF, SQL_TEXT_LINE};
    char sql[SQL_TEXT], after[NUMBER_TEXT];
    struct diags d;
    struct str s;
    long long from, first;

    diags_init(&d);
    if (o->store == NULL && audit_store_open(&o->store, o->dir, 0, &d) != 0)
        o->store = NULL;
    diags_fini(&d);
    pthread_mutex_lock(&o->lock);
    from = p->sequence;
    pthread_mutex_unlock(&o->lock);
    if (from < 0 || o->store == NULL)
        return 0;
    snprintf(after, sizeof after, "%lld", from);
    str_init(&s, sql, sizeof sql);
    str_add(&s, "SELECT sequence,");
    if (p->at.kind != ENDPOINT_FILE)
        str_addf(&s, SYSLOG_HEAD, p->facility);
    str_addf(&s,
             "%s AS line FROM events WHERE sequence>CAST(? AS INTEGER) ORDER BY sequence LIMIT %d",
             encoders[p->format], p->at.kind == ENDPOINT_UDP ? BATCH_UDP : BATCH);
    p->rows = json_array();
    if (audit_query(o->store, sql, after, p->rows) != 0 || json_array_size(p->rows) == 0) {
        drop_batch(p);
        return 0;
    }
    p->n = json_array_size(p->rows);
    first = json_integer_value(json_object_get(json_array_get(p->rows, 0), "sequence"));
    p->last = first + (long long)p->n - 1; /* numbers have no holes */
    if (first > from + 1)
        moved(o, p, first - 1, (uint64_t)(first - from) - 1);
    if (p->stream && join_lines(p) != 0)
        drop_batch(p);
    return p->rows != NULL;
}

/* A file gets the batch whole, or nothing of it. */
static int write_file(struct output *p)
{
    const off_t end = lseek(p->fd, 0, SEEK_END);
    ssize_t n = write(p->fd, p->text, p->size);
    int rc = n < 0 ? -errno : -ENOSPC;

    if (n == (ssize_t)p->size) {
        p->next = p->n;
        return 0;
    }
    (void)!ftruncate(p->fd, end);
    return rc;
}

/* Sends what is left of the batch. 0; -EAGAIN: no more goes now; -errno. */
static int send_batch(struct output *p)
{
    if (p->at.kind == ENDPOINT_FILE)
        return p->next < p->n ? write_file(p) : 0;
    while (p->next < p->n) {
        const char *from = p->stream ? p->text + p->sent : LINE_OF(p, p->next);
        ssize_t n = send(p->fd, from, p->stream ? p->size - p->sent : strlen(from), MSG_NOSIGNAL);

        if (n < 0)
            return errno == ENOBUFS ? -EAGAIN : -errno;
        p->sent += (size_t)n;
        if (!p->stream)
            p->next++;
        else if (p->sent == p->size)
            p->next = p->n;
    }
    return 0;
}

/* As much as one batch; what it waits for then is in fd. True: it can go on at once. */
static bool output_turn(struct audit_outputs *o, struct output *p, struct now now,
                        struct pollfd *fd)
{
    char ignored[256];
    int rc = 0;

    *fd = (struct pollfd){.fd = -1};
    if (p->fd < 0) {
        if (now.mono_ms < p->due_ms)
            return false;
        p->due_ms = 0;
        rc = open_output(p);
    } else if (p->at.kind != ENDPOINT_FILE) { /* an end, or what nobody asked for */
        rc = (int)recv(p->fd, ignored, sizeof ignored, MSG_DONTWAIT);
        rc = rc == 0 && p->at.kind == ENDPOINT_TCP         ? -ECONNRESET
             : rc < 0 && errno != EAGAIN && !p->connecting ? -errno
                                                           : 0;
    }
    if (rc == 0 && p->connecting) {
        struct pollfd now_fd = {.fd = p->fd, .events = POLLOUT};

        if (poll(&now_fd, 1, 0) == 0) {
            *fd = now_fd;
            return false;
        }
        p->connecting = false; /* if that failed, sending says why */
    }
    if (rc == 0 && p->rows == NULL && fill(o, p) == 0) {
        pthread_mutex_lock(&o->lock);
        if (p->error == 0) /* it lacks nothing */
            p->moved_ms = now.wall_ms;
        pthread_mutex_unlock(&o->lock);
        fd->fd = p->at.kind == ENDPOINT_TCP ? p->fd : -1;
        fd->events = POLLIN | POLLRDHUP;
        return false;
    }
    if (rc == 0)
        rc = send_batch(p);
    if (rc == -EAGAIN) {
        *fd = (struct pollfd){.fd = p->fd, .events = POLLOUT};
        return false;
    }
    if (rc == 0 && (rc = confirm(p, now)) > 0) {
        drop_batch(p);
        moved(o, p, p->last, 0);
        return true;
    }
    if (rc < 0)
        output_fail(o, p, rc, now);
    return false;
}

void *audit_outputs_run(void *arg)
{
    struct audit_outputs *o = arg;
    uint64_t end_ms = 0;

    for (;;) {
        struct pollfd fds[AUDIT_OUTPUTS + 1];
        struct now now = clock_now();
        bool more = false, waits = false, ending;
        uint64_t due = now.mono_ms + RETRY_MOST_MS;
        eventfd_t n;

        (void)eventfd_read(o->wake, &n);
        take(o);
        pthread_mutex_lock(&o->lock);
        ending = o->ending;
        pthread_mutex_unlock(&o->lock);
        for (int i = 0; i < o->n; i++) {
            struct output *p = o->list[i];

            more = output_turn(o, p, now, &fds[i]) || more;
            waits = waits || p->rows != NULL;
            if (p->due_ms != 0 && p->due_ms < due)
                due = p->due_ms;
        }
        if (ending && end_ms == 0)
            end_ms = now.mono_ms + LAST_MS;
        if (ending && ((!more && !waits) || now.mono_ms >= end_ms))
            return NULL;
        if (ending && end_ms < due)
            due = end_ms;
        fds[o->n] = (struct pollfd){.fd = o->wake, .events = POLLIN};
        poll(fds, (nfds_t)o->n + 1, more ? 0 : due > now.mono_ms ? (int)(due - now.mono_ms) : 1);
    }
}

void audit_outputs_end(struct audit_outputs *o)
{
    pthread_mutex_lock(&o->lock);
    o->ending = true;
    pthread_mutex_unlock(&o->lock);
    (void)eventfd_write(o->wake, 1);
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
    changed = o->taken;
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
    rc = o->taken ? save_names(o, store) : 0;
    for (int i = 0; i < o->n && rc == 0; i++)
        rc = save_output(o->list[i], store, l, now);
    pthread_mutex_unlock(&o->lock);
    return rc;
}

void audit_outputs_saved(struct audit_outputs *o, struct audit_store *store)
{
    long long newest = 0;
    bool more;

    (void)audit_sql(store, &newest, "SELECT ifnull(max(id),0) FROM event");
    pthread_mutex_lock(&o->lock);
    more = newest > o->newest || o->taken;
    for (int i = 0; i < o->n; i++) {
        struct output *p = o->list[i];

        p->sequence = p->sequence < 0 ? p->saving : p->sequence;
        p->saved = p->saving;
        p->missed -= p->noted;
    }
    o->newest = newest;
    o->taken = false;
    pthread_mutex_unlock(&o->lock);
    if (more)
        (void)eventfd_write(o->wake, 1);
}
