/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control.c -- requests of the API: the socket, from libmicrohttpd to the
 * caller's route, and back.
 *
 * A request is refused or taken when its head has come (route, method, rights,
 * length), but a refusal is sent when its body is through as well, so that the
 * client does not find a closed socket while it still writes. Only what is
 * announced as too long is refused at once.
 *
 * Who owns a request: the connection, until `finished` (libmicrohttpd is done
 * with it), and the route's handler, from its call until control_answer().
 * Whoever lets go last frees it; so an answer that comes after the client or
 * the whole server is gone is safe. All of this happens in one thread.
 */
#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

enum {
    SOCKET_MODE = 0660,
    SOCKET_BACKLOG = 32,
    CONNECTIONS = 16,
    IDLE_S = 10,
    BODY_MAX = 64 << 10,
    ROUNDS = 16, /* of one control_run() */
};

struct control {
    struct MHD_Daemon *http;
    const struct control_route *routes; /* borrowed; ended by a row without method */
    void *context;
    char *path;                                             /* owned */
    struct stat self;                                       /* of the socket's file */
    LIST_HEAD(control_requests, control_request) suspended; /* until they are answered */
    bool stopping;
};

struct control_request {
    LIST_ENTRY(control_request) suspended;
    struct control *control;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd is done with it */
    const struct control_route *route;
    const char *rest; /* borrowed from the connection, or "" */
    json_t *body;     /* owned */
    bool handed;      /* the handler has it */
    bool is_suspended, answered;
    unsigned status;
    json_t *answer;    /* owned */
    const char *allow; /* for 405 */
    size_t n_bytes;
    char bytes[BODY_MAX]; /* the body as received */
};

/* --- answers */

static void request_free(struct control_request *r)
{
    json_decref(r->body);
    json_decref(r->answer);
    free(r);
}

static void resume(struct control_request *r)
{
    LIST_REMOVE(r, suspended);
    r->is_suspended = false;
    MHD_resume_connection(r->connection);
}

void control_answer(struct control_request *r, unsigned status, json_t *body)
{
    assert(!r->answered);
    r->answered = true;
    r->status = status;
    r->answer = body;
    if (r->connection == NULL) {
        request_free(r);
    } else if (r->is_suspended) {
        resume(r);
        control_run(r->control); /* the descriptor stays silent */
    }
}

void control_refuse(struct control_request *r, unsigned status, const char *fmt, ...)
{
    json_t *text;
    va_list args;

    va_start(args, fmt);
    text = json_vsprintf(fmt, args);
    va_end(args);
    control_answer(r, status,
                   json_pack("{s:o}", "error",
                             text != NULL ? text : json_string("what was asked is not UTF-8")));
}

static enum MHD_Result send_answer(struct control_request *r)
{
    static char failure[] = "{\"error\": \"out of memory, or a text that is not UTF-8\"}\n";
    char *text = json_dumps(r->answer, JSON_INDENT(2));
    size_t len = text != NULL ? strlen(text) : sizeof failure - 2;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        len + 1, text != NULL ? text : failure,
        text != NULL ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    enum MHD_Result done;

    if (response == NULL)
        return MHD_NO;
    if (text != NULL)
        text[len] = '\n'; /* in place of the NUL */
    MHD_add_response_header(response, "Content-Type", "application/json");
    if (r->status == 405)
        MHD_add_response_header(response, "Allow", r->allow);
    done = MHD_queue_response(r->connection, text != NULL ? r->status : 500, response);
    MHD_destroy_response(response);
    return done;
}

/* --- requests */

const char *control_rest(const struct control_request *r)
{
    return r->rest;
}

const char *control_argument(const struct control_request *r, const char *name)
{
    const char *value = NULL;
    size_t len = 0;

    if (r->connection != NULL)
        MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &value, &len);
    if (value == NULL)
        value = json_string_value(json_object_get(r->body, name));
    else if (strlen(value) != len) /* %00 inside: not what it seems */
        return NULL;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const json_t *control_body(const struct control_request *r)
{
    return r->body;
}

static bool is_announced_too_long(struct MHD_Connection *connection)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

    return text != NULL && strtoull(text, NULL, 10) > BODY_MAX;
}

/* Finds the route, or refuses. */
static void find_route(struct control_request *r, const char *method, const char *path)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct control_route *route;
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;

    for (route = r->control->routes; route->method != NULL; route++) {
        size_t n = strlen(route->path);
        bool is_prefix = route->path[n - 1] == '/';

        if (is_prefix ? strncmp(path, route->path, n) != 0 || path[n] == '\0'
                      : strcmp(path, route->path) != 0)
            continue;
        r->rest = is_prefix ? path + n : "";
        r->allow = route->method;
        if (strcmp(route->method, method) == 0)
            break;
    }
    r->route = route;
    if (info != NULL)
        getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    if (r->allow == NULL)
        control_refuse(r, 404, "no such path");
    else if (route->method == NULL)
        control_refuse(r, 405, "this path does not take that method");
    else if (strcmp(method, "GET") != 0 && peer.uid != 0 && peer.uid != geteuid())
        control_refuse(r, 403, "only root and the user of waymarkd may change something");
    else if (is_announced_too_long(r->connection))
        control_refuse(r, 413, "the body is longer than 64 KiB");
}

/* libmicrohttpd calls this with the head, with each piece of the body, at the
 * end, and once more after a wait. MHD_NO cuts the connection. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct control *c = context;
    struct control_request *r = *state;
    json_error_t why;

    (void)version;
    if (r == NULL) {
        if ((r = calloc(1, sizeof *r)) == NULL)
            return MHD_NO;
        r->control = c;
        r->connection = connection;
        r->rest = "";
        *state = r;
        find_route(r, method, url);
        return r->answered && is_announced_too_long(connection) ? send_answer(r) : MHD_YES;
    }
    if (*len > 0) {
        if (*len > BODY_MAX - r->n_bytes)
            return MHD_NO; /* in chunks, so nothing was announced */
        memcpy(r->bytes + r->n_bytes, data, *len);
        r->n_bytes += *len;
        *len = 0;
        return MHD_YES;
    }
    if (!r->answered && !r->handed) {
        if (r->n_bytes == 0 || strcmp(r->route->method, "GET") == 0)
            r->body = json_object();
        else if ((r->body = json_loadb(r->bytes, r->n_bytes, JSON_REJECT_DUPLICATES, &why)) == NULL)
            control_refuse(r, 400, "the body is not JSON: line %d, column %d: %s", why.line,
                           why.column, why.text);
        else if (!json_is_object(r->body))
            control_refuse(r, 400, "the body must be a JSON object");
        if (!r->answered) {
            r->handed = true;
            r->route->handle(c->context, r);
        }
    }
    if (r->answered)
        return send_answer(r);
    if (c->stopping)
        return MHD_NO; /* the handler answers later, to nobody */
    MHD_suspend_connection(connection);
    r->is_suspended = true;
    LIST_INSERT_HEAD(&c->suspended, r, suspended);
    return MHD_YES;
}

static void on_finished(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode code)
{
    struct control_request *r = *state;

    (void)context;
    (void)connection;
    (void)code;
    if (r == NULL)
        return;
    *state = NULL;
    r->connection = NULL;
    r->rest = "";
    if (!r->handed || r->answered)
        request_free(r);
}

/* --- the socket's file */

static int socket_problem(struct diags *d, int error, const char *path, const char *what)
{
    diags_add(d, NULL, 0, 0, "control.socket: %s %s: %s", what, path, strerror(error));
    return -error;
}

/* A listening socket at the path, or -errno. *self identifies the new file.
 *
 * The mode is set before the file has a name (fchmod, then bind), so that there is
 * no moment at which more people may connect than should. The umask is not touched,
 * since it belongs to all threads; chmod gives back what it took away. */
static int listen_at(const char *path, struct stat *self, struct diags *d)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct sockaddr *sa = (const struct sockaddr *)&to;
    struct stat st;
    int fd, rc;
    bool there;

    if (!str_copy(to.sun_path, sizeof to.sun_path, path)) {
        diags_add(d, NULL, 0, 0,
                  "control.socket: %s is longer than the %zu octets that a socket's path may have",
                  path, sizeof to.sun_path - 1);
        return -ENAMETOOLONG;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_problem(d, errno, path, "cannot make a socket for");
    /* A socket that nobody listens on is taken away; anything else stays. */
    there = lstat(path, &st) == 0;
    if (there && !S_ISSOCK(st.st_mode)) {
        diags_add(d, NULL, 0, 0,
                  "control.socket: %s exists and is no socket; remove it or set another path",
                  path);
        rc = -EEXIST;
    } else if (there && (connect(fd, sa, sizeof to) == 0 ||
                         (errno != ECONNREFUSED && errno != ENOENT))) { /* EAGAIN: it is busy */
        diags_add(d, NULL, 0, 0,
                  "control.socket: another process listens on %s; is waymarkd running?", path);
        rc = -EADDRINUSE;
    } else if (there && unlink(path) < 0 && errno != ENOENT) {
        rc = socket_problem(d, errno, path, "cannot remove the dead socket");
    } else if (fchmod(fd, SOCKET_MODE) < 0 || bind(fd, sa, sizeof to) < 0) {
        rc = socket_problem(d, errno, path, "cannot make");
    } else if (chmod(path, SOCKET_MODE) < 0 || lstat(path, self) < 0 ||
               listen(fd, SOCKET_BACKLOG) < 0) {
        rc = socket_problem(d, errno, path, "cannot listen on");
        unlink(path);
    } else {
        return fd;
    }
    close(fd);
    return rc;
}

/* Takes the file away if it is still ours. */
static void remove_socket(const struct control *c)
{
    struct stat st;

    if (lstat(c->path, &st) == 0 && st.st_dev == c->self.st_dev && st.st_ino == c->self.st_ino)
        unlink(c->path);
}

/* --- the server's life */

int control_open(struct control **out, const char *path, const struct control_route *routes,
                 void *context, struct diags *d)
{
    struct control *c = calloc(1, sizeof *c);
    int fd, rc = -ENOMEM;

    if (c == NULL || (c->path = strdup(path)) == NULL)
        goto fail;
    c->routes = routes;
    c->context = context;
    if ((rc = fd = listen_at(path, &c->self, d)) < 0)
        goto fail;
    c->http =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, c,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                         MHD_OPTION_NOTIFY_COMPLETED, on_finished, c, MHD_OPTION_END);
    if (c->http == NULL) { /* it has closed fd */
        remove_socket(c);
        diags_add(d, NULL, 0, 0, "control.socket: the HTTP server does not start at %s", path);
        rc = -EIO;
        goto fail;
    }
    *out = c;
    return 0;
fail:
    if (c != NULL)
        free(c->path);
    free(c);
    return rc;
}

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    c->stopping = true;
    while (!LIST_EMPTY(&c->suspended)) /* with them libmicrohttpd cannot be stopped */
        resume(LIST_FIRST(&c->suspended));
    MHD_run(c->http);
    remove_socket(c); /* while it still listens: no dead socket is ever seen */
    MHD_stop_daemon(c->http);
    free(c->path);
    free(c);
}

int control_fd(const struct control *c)
{
    return MHD_get_daemon_info(c->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void control_run(struct control *c)
{
    MHD_UNSIGNED_LONG_LONG ms;

    for (int i = 0; i < ROUNDS; i++) {
        MHD_run(c->http);
        if (MHD_get_timeout(c->http, &ms) != MHD_YES || ms > 0)
            return;
    }
}
