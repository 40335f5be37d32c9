/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control.c -- requests of the API: the socket, from libmicrohttpd to the route, and back.
 *
 * A request is refused or taken when its head has come, but a refusal is sent when its body
 * is through as well, so that the client does not find a closed socket while it still writes.
 * Only what is announced as too long is refused at once.
 *
 * A request is owned by the connection, until on_finished(), and by the route's handler, from
 * its call until control_answer(). Whoever lets go last frees it; so an answer that comes after
 * the client or the whole server is gone is safe.
 */
#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_MODE = 0660, SOCKET_BACKLOG = 32, CONNECTIONS = 16, IDLE_S = 10 };
enum { BODY_MAX = 64 << 10, ROUNDS = 16 };

struct control {
    struct MHD_Daemon *http;
    const struct control_route *routes; /* borrowed */
    void *context;
    LIST_HEAD(requests, request) suspended; /* until they are answered */
    bool stopping;
    struct sockaddr_un socket;
};

struct request {
    struct control_request head;
    LIST_ENTRY(request) suspended;
    struct control *control;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd is done with it */
    const struct control_route *route; /* of its path */
    bool handed;                       /* the handler has it */
    bool is_suspended;
    unsigned status; /* 0: it is not answered */
    json_t *answer;  /* owned */
    size_t n_bytes;
    char bytes[BODY_MAX];
};

static void resume(struct request *r)
{
    LIST_REMOVE(r, suspended);
    r->is_suspended = false;
    MHD_resume_connection(r->connection);
}

void control_answer(struct control_request *head, unsigned status, json_t *body)
{
    struct request *r = container_of(head, struct request, head);

    assert(r->status == 0);
    r->status = status;
    r->answer = body;
    if (r->connection == NULL) {
        json_decref(body);
        free(r);
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
    control_answer(
        r, status,
        json_pack("{s:o}", "error", text ? text : json_string("what was asked is not UTF-8")));
}

static enum MHD_Result send_answer(struct request *r)
{
    char *text = json_dumps(r->answer, JSON_INDENT(2));
    struct MHD_Response *response;
    enum MHD_Result done;
    size_t len;

    if (text == NULL) {
        r->status = 500;
        text = strdup("{\"error\": \"out of memory, or a text that is not UTF-8\"}");
    }
    if (text == NULL)
        return MHD_NO;
    len = strlen(text);
    text[len] = '\n'; /* in place of the NUL */
    response = MHD_create_response_from_buffer(len + 1, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/json");
    if (r->status == 405)
        MHD_add_response_header(response, "Allow", r->route->method);
    done = MHD_queue_response(r->connection, r->status, response);
    MHD_destroy_response(response);
    return done;
}

/* An argument of the query. What is empty, or no text (%00, octets that are no UTF-8), is none. */
static enum MHD_Result add_argument(void *arguments, enum MHD_ValueKind kind, const char *key,
                                    size_t key_len, const char *value, size_t len)
{
    (void)kind;
    (void)key_len;
    if (value && len > 0 && strlen(value) == len)
        json_object_set_new(arguments, key, json_string(value));
    return MHD_YES;
}

/* Finds the route, or refuses. True: what is announced is too long. */
static bool find_route(struct request *r, const char *method, const char *path)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const char *length =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Content-Length");
    bool is_too_long = length && strtoull(length, NULL, 10) > BODY_MAX;
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;

    for (const struct control_route *at = r->control->routes; at->method; at++) {
        size_t n = strlen(at->path);

        if (strncmp(path, at->path, n) != 0 || (path[n] != '\0') != (at->path[n - 1] == '/'))
            continue;
        r->head.rest = path + n;
        r->route = at;
        if (strcmp(at->method, method) == 0)
            break;
    }
    getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    if (r->route == NULL)
        control_refuse(&r->head, 404, "no such path");
    else if (strcmp(r->route->method, method) != 0)
        control_refuse(&r->head, 405, "this path does not take that method");
    else if (strcmp(method, "GET") != 0 && peer.uid != 0 && peer.uid != geteuid())
        control_refuse(&r->head, 403, "only root and the user of waymarkd may change something");
    else if (is_too_long)
        control_refuse(&r->head, 413, "the body is longer than 64 KiB");
    return is_too_long;
}

/* libmicrohttpd calls this with the head, with each piece of the body, at the
 * end, and once more after a wait. MHD_NO cuts the connection. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct control *c = context;
    struct request *r = *state;
    json_error_t why = {.text = "out of memory"};

    (void)version;
    if (r == NULL) {
        if ((r = calloc(1, sizeof *r)) == NULL)
            return MHD_NO;
        r->control = c;
        r->connection = connection;
        *state = r;
        return find_route(r, method, url) ? send_answer(r) : MHD_YES; /* refused by now */
    }
    if (*len > 0) {
        if (*len > BODY_MAX - r->n_bytes)
            return MHD_NO; /* in chunks, so nothing was announced */
        memcpy(r->bytes + r->n_bytes, data, *len);
        r->n_bytes += *len;
        *len = 0;
        return MHD_YES;
    }
    if (r->status == 0 && !r->handed) {
        json_t *arguments = r->head.arguments =
            r->n_bytes == 0 || strcmp(method, "GET") == 0
                ? json_object()
                : json_loadb(r->bytes, r->n_bytes, JSON_REJECT_DUPLICATES, &why);

        MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, add_argument, arguments);
        r->handed = json_is_object(arguments);
        if (r->handed)
            r->route->handle(c->context, &r->head);
        else if (arguments == NULL)
            control_refuse(&r->head, 400, "the body is not JSON: line %d, column %d: %s", why.line,
                           why.column, why.text);
        else
            control_refuse(&r->head, 400, "the body must be a JSON object");
        json_decref(arguments);
    }
    if (r->status != 0)
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
    struct request *r = *state;

    (void)context;
    (void)connection;
    (void)code;
    if (r == NULL)
        return;
    *state = NULL;
    r->connection = NULL;
    if (r->handed && r->status == 0)
        return;
    json_decref(r->answer);
    free(r);
}

/* NULL, or what is wrong. The mode is set before the file has a name (fchmod, then bind), so that
 * there is no moment at which more people may connect than should. The umask is not touched, since
 * it belongs to all threads; chmod gives back what it took away. */
static const char *listen_at(int fd, const struct sockaddr_un *to)
{
    const struct sockaddr *sa = (const struct sockaddr *)to;
    const char *path = to->sun_path, *why;
    struct stat st;
    bool there = lstat(path, &st) == 0;

    /* A socket that nobody listens on is taken away; anything else stays. */
    if (there && !S_ISSOCK(st.st_mode))
        return "exists and is no socket; remove it or set another path";
    if (there && (connect(fd, sa, sizeof *to) == 0 ||
                  (errno != ECONNREFUSED && errno != ENOENT))) /* EAGAIN: it is busy */
        return "another process listens on it; is waymarkd running?";
    if ((there && unlink(path) < 0 && errno != ENOENT) || fchmod(fd, SOCKET_MODE) < 0 ||
        bind(fd, sa, sizeof *to) < 0)
        return strerror(errno);
    if (chmod(path, SOCKET_MODE) == 0 && listen(fd, SOCKET_BACKLOG) == 0)
        return NULL;
    why = strerror(errno);
    unlink(path);
    return why;
}

int control_open(struct control **out, const char *path, const struct control_route *routes,
                 void *context, struct diags *d)
{
    struct control *c = calloc(1, sizeof *c);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const char *why = c == NULL || fd < 0 ? strerror(errno) : NULL;

    if (why == NULL && !str_copy(c->socket.sun_path, sizeof c->socket.sun_path, path))
        why = strerror(ENAMETOOLONG);
    if (why == NULL) {
        c->routes = routes;
        c->context = context;
        c->socket.sun_family = AF_UNIX;
        why = listen_at(fd, &c->socket);
    }
    if (why == NULL) {
        c->http =
            MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, c,
                             MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                             (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                             MHD_OPTION_NOTIFY_COMPLETED, on_finished, c, MHD_OPTION_END);
        if (c->http) {
            *out = c;
            return MHD_get_daemon_info(c->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        }
        fd = -1; /* it has closed it */
        unlink(path);
        why = "the HTTP server does not start";
    }
    close(fd);
    free(c);
    return diags_tell(d, "control.socket: %s: %s", path, why);
}

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    c->stopping = true;
    while (!LIST_EMPTY(&c->suspended)) /* with them libmicrohttpd cannot be stopped */
        resume(LIST_FIRST(&c->suspended));
    MHD_run(c->http);
    unlink(c->socket.sun_path); /* while it still listens */
    MHD_stop_daemon(c->http);
    free(c);
}

void control_run(struct control *c)
{
    MHD_UNSIGNED_LONG_LONG ms;

    for (int i = 0; i < ROUNDS && c; i++) {
        MHD_run(c->http);
        if (MHD_get_timeout(c->http, &ms) != MHD_YES || ms > 0)
            return;
    }
}
