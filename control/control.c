/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control.c -- requests of the API: from libmicrohttpd to the caller's route
 * and back.
 *
 * A request is judged when its head has come (route, method, rights, length),
 * but a refusal is sent when its body is through as well, so that the client
 * does not find a closed socket while it still writes. Only what is announced
 * as too long is refused at once.
 *
 * Who owns a request: the connection, until `finished` (libmicrohttpd is done
 * with it), and the route's handler, from its call until control_answer().
 * Whoever lets go last frees it; so an answer that comes after the client or
 * the whole server is gone is safe. All of this happens in one thread.
 */
#include "control/control.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "control/unix_socket.h"

enum {
    CONNECTIONS = 16,
    IDLE_S = 10,
    BODY_MAX = 64 << 10,
    DRAIN_MAX = 1 << 20, /* of a body that is refused anyway; then the connection is cut */
    ERROR_TEXT = 1024,
};

struct control {
    struct MHD_Daemon *http;
    const struct control_route *routes; /* borrowed; ended by a row without method */
    void *context;
    char *path; /* owned */
    struct stat self;
    struct control_request *waiting; /* suspended ones, linked by next/prev */
    void (*wake)(void *);            /* or NULL */
    void *wake_context;
    bool stopping;
};

struct control_request {
    struct control *control;
    struct MHD_Connection *connection; /* NULL once libmicrohttpd is done with it */
    const struct control_route *route;
    const char *rest; /* borrowed from the connection, or "" */
    char *bytes;      /* owned: body as received */
    size_t n_bytes, n_seen;
    json_t *body; /* owned */
    bool handed;  /* the handler has it */
    bool answered;
    bool waiting; /* suspended, in control->waiting */
    unsigned status;
    json_t *answer;    /* owned */
    const char *allow; /* for 405 */
    struct control_request *next, *prev;
};

static void request_free(struct control_request *r)
{
    json_decref(r->body);
    json_decref(r->answer);
    free(r->bytes);
    free(r);
}

static void set_answer(struct control_request *r, unsigned status, json_t *body)
{
    assert(!r->answered);
    r->answered = true;
    r->status = status;
    r->answer = body;
}

static json_t *error_body(const char *text)
{
    json_t *body = json_pack("{s:s}", "error", text);
    char safe[ERROR_TEXT * 4];
    struct str s;

    if (body != NULL)
        return body;
    str_init(&s, safe, sizeof safe); /* not UTF-8: it quotes what a client sent */
    str_add_escaped(&s, text, strlen(text));
    return json_pack("{s:s}", "error", safe);
}

static void set_error(struct control_request *r, unsigned status, const char *text)
{
    set_answer(r, status, error_body(text));
}

/* --- routes and rights */

static bool route_matches(const struct control_route *route, const char *path, const char **rest)
{
    size_t len = strlen(route->path);

    if (len > 0 && route->path[len - 1] == '/') {
        *rest = path + len;
        return strncmp(path, route->path, len) == 0 && path[len] != '\0';
    }
    *rest = "";
    return strcmp(path, route->path) == 0;
}

static bool peer_may(struct control_request *r, const char *method)
{
    const union MHD_ConnectionInfo *info;

    if (strcmp(method, "GET") == 0)
        return true;
    info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL && unix_socket_peer_may_write(info->connect_fd);
}

/* True if the head announces more than a body may have. */
static bool announced_too_long(struct MHD_Connection *connection)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

    return text != NULL && strtoull(text, NULL, 10) > BODY_MAX;
}

/* Finds the route, or sets the refusal. */
static void judge(struct control_request *r, const char *method, const char *path)
{
    const struct control_route *route;
    const char *rest = "";

    for (route = r->control->routes; route->method != NULL; route++) {
        if (!route_matches(route, path, &rest))
            continue;
        r->allow = route->method;
        if (strcmp(route->method, method) == 0)
            break;
    }
    if (r->allow == NULL)
        set_error(r, 404, "no such path");
    else if (route->method == NULL)
        set_error(r, 405, "this path does not take that method");
    else if (!peer_may(r, method))
        set_error(r, 403, "only root and the user of waymarkd may change something");
    else if (announced_too_long(r->connection))
        set_error(r, 413, "the body is longer than 64 KiB");
    r->route = route;
    r->rest = rest;
}

/* --- the answer, to the wire */

/* The document as text that ends with a line end; NULL when out of memory. */
static char *answer_text(const json_t *answer)
{
    char *text = answer ? json_dumps(answer, JSON_INDENT(2)) : NULL;
    char *longer;
    size_t len;

    if (text == NULL)
        return NULL;
    len = strlen(text);
    longer = realloc(text, len + 2);
    if (longer == NULL) {
        free(text);
        return NULL;
    }
    memcpy(longer + len, "\n", 2);
    return longer;
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status,
                                 const json_t *body, const char *allow)
{
    static char failure[] = "{\"error\": \"out of memory, or a text that is not UTF-8\"}\n";
    char *text = answer_text(body);
    struct MHD_Response *response;
    enum MHD_Result done;

    if (text != NULL) {
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
        if (response == NULL)
            free(text);
    } else {
        status = 500;
        response =
            MHD_create_response_from_buffer(sizeof failure - 1, failure, MHD_RESPMEM_PERSISTENT);
    }
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "application/json");
    if (status == 405)
        MHD_add_response_header(response, "Allow", allow);
    done = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result send_answer(struct control_request *r)
{
    return send_json(r->connection, r->status, r->answer, r->allow);
}

static enum MHD_Result send_stopping(struct control_request *r)
{
    json_t *body = error_body("waymarkd is stopping");
    enum MHD_Result done = send_json(r->connection, 503, body, NULL);

    json_decref(body);
    return done;
}

/* --- a request's life */

static void wait_for_answer(struct control_request *r)
{
    struct control *c = r->control;

    MHD_suspend_connection(r->connection);
    r->waiting = true;
    r->prev = NULL;
    r->next = c->waiting;
    if (c->waiting)
        c->waiting->prev = r;
    c->waiting = r;
}

static void wake(struct control_request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        r->control->waiting = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->waiting = false;
    MHD_resume_connection(r->connection);
    if (r->control->wake != NULL && !r->control->stopping)
        r->control->wake(r->control->wake_context);
}

/* Keeps a piece of the body; false cuts the connection. */
static bool receive(struct control_request *r, const char *data, size_t len)
{
    char *more;

    if (len > DRAIN_MAX - r->n_seen)
        return false;
    r->n_seen += len;
    if (r->answered)
        return true;
    if (len > BODY_MAX - r->n_bytes) { /* chunked, so nothing was announced */
        set_error(r, 413, "the body is longer than 64 KiB");
        return true;
    }
    more = realloc(r->bytes, r->n_bytes + len);
    if (more == NULL)
        return false;
    memcpy(more + r->n_bytes, data, len);
    r->bytes = more;
    r->n_bytes += len;
    return true;
}

static void read_body(struct control_request *r)
{
    json_error_t why;
    char text[ERROR_TEXT];
    struct str s;

    if (r->n_bytes == 0 || strcmp(r->route->method, "GET") == 0) {
        r->body = json_object();
        return;
    }
    r->body = json_loadb(r->bytes, r->n_bytes, JSON_REJECT_DUPLICATES, &why);
    str_init(&s, text, sizeof text);
    if (r->body == NULL)
        str_addf(&s, "the body is not JSON: line %d, column %d: %s", why.line, why.column,
                 why.text);
    else if (!json_is_object(r->body))
        str_add(&s, "the body must be a JSON object");
    if (s.len > 0)
        set_error(r, 400, text);
}

/* libmicrohttpd calls this with the head, with each piece of the body, at the
 * end, and once more after a wait. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct control *c = context;
    struct control_request *r = *state;

    (void)version;
    if (r == NULL) {
        r = calloc(1, sizeof *r);
        if (r == NULL)
            return MHD_NO;
        *r = (struct control_request){.control = c, .connection = connection, .rest = ""};
        *state = r;
        judge(r, method, url);
        return r->answered && announced_too_long(connection) ? send_answer(r) : MHD_YES;
    }
    if (*len > 0) {
        bool taken = receive(r, data, *len);

        *len = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    if (!r->answered && !r->handed)
        read_body(r);
    if (!r->answered && !r->handed) {
        r->handed = true;
        r->route->handle(c->context, r);
    }
    if (r->answered)
        return send_answer(r);
    if (c->stopping)
        return send_stopping(r);
    wait_for_answer(r);
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

const char *control_rest(const struct control_request *r)
{
    return r->rest;
}

const char *control_argument(const struct control_request *r, const char *name)
{
    const char *value = NULL;
    size_t len = 0;

    if (r->connection == NULL ||
        MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &value, &len) != MHD_YES)
        return NULL;
    return value != NULL && strlen(value) == len ? value : NULL; /* %00 inside: not what it seems */
}

const json_t *control_body(const struct control_request *r)
{
    return r->body;
}

void control_answer(struct control_request *r, unsigned status, json_t *body)
{
    set_answer(r, status, body);
    if (r->connection == NULL)
        request_free(r);
    else if (r->waiting)
        wake(r);
}

void control_refuse(struct control_request *r, unsigned status, const char *fmt, ...)
{
    char text[ERROR_TEXT];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    control_answer(r, status, error_body(text));
}

/* --- the server's life */

int control_open(struct control **out, const char *path, const struct control_route *routes,
                 void *context, struct diags *d)
{
    struct control *c = calloc(1, sizeof *c);
    int fd;

    if (c == NULL)
        return -ENOMEM;
    c->routes = routes;
    c->context = context;
    c->path = strdup(path);
    if (c->path == NULL) {
        free(c);
        return -ENOMEM;
    }
    fd = unix_socket_listen(path, &c->self, d);
    if (fd < 0) {
        free(c->path);
        free(c);
        return fd;
    }
    c->http =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, c,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                         MHD_OPTION_NOTIFY_COMPLETED, on_finished, c, MHD_OPTION_END);
    if (c->http == NULL) { /* it has closed fd */
        unix_socket_remove(path, &c->self);
        free(c->path);
        free(c);
        diags_add(d, NULL, 0, 0, "control.socket: the HTTP server does not start at %s", path);
        return -EIO;
    }
    *out = c;
    return 0;
}

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    c->stopping = true;
    while (c->waiting) /* libmicrohttpd cannot be stopped with suspended connections */
        wake(c->waiting);
    MHD_run(c->http);
    unix_socket_remove(c->path, &c->self); /* while it still listens: no dead socket is ever seen */
    MHD_stop_daemon(c->http);
    free(c->path);
    free(c);
}

void control_on_answer(struct control *c, void (*wake_up)(void *), void *context)
{
    c->wake = wake_up;
    c->wake_context = context;
}

int control_fd(const struct control *c)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(c->http, MHD_DAEMON_INFO_EPOLL_FD);

    return info->epoll_fd;
}

static unsigned n_connections(const struct control *c)
{
    return MHD_get_daemon_info(c->http, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* libmicrohttpd 0.9.75 takes its listener out of the epoll set while all
 * connections are in use, and puts it back at the beginning of the run after
 * the one in which some ended. Nothing would wake us for that run. */
void control_run(struct control *c)
{
    unsigned before;

    do {
        before = n_connections(c);
        MHD_run(c->http);
    } while (n_connections(c) < before);
}

long control_timeout(const struct control *c)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (MHD_get_timeout(c->http, &ms) != MHD_YES)
        return -1;
    return ms > LONG_MAX ? LONG_MAX : (long)ms;
}
