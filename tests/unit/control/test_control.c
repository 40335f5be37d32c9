/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_control.c -- the API's mechanism over a real UNIX socket: raw HTTP in,
 * status and body out. Client and server share one thread; pump() turns the
 * server whenever its descriptor says so, and each TICK_MS.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "control/control.h"
#include "tests/unit/scratch.h"

enum { TICK_MS = 20, TURNS_MAX = 2000, REPLY_SIZE = 1 << 18 };

static struct {
    char dir[SCRATCH], path[100];
    struct control *control;
    struct control_request *late[4];
    int fd, n_late, turns;
} f;

static char reply[REPLY_SIZE];

/* --- routes */

static void echo(void *context, struct control_request *r)
{
    assert_ptr_equal(context, &f);
    control_answer(r, 200, json_pack("{s:s,s:O}", "rest", r->rest, "arguments", r->arguments));
}

static void later(void *context, struct control_request *r)
{
    (void)context;
    assert_int_equal(json_object_size(r->arguments), f.n_late); /* of its own */
    f.late[f.n_late++] = r;
}

static void refuse(void *context, struct control_request *r)
{
    (void)context;
    control_refuse(r, 404, "nothing is known of %s", r->rest);
}

static const struct control_route routes[] = {
    {"GET", "/v1/echo", echo},  {"POST", "/v1/echo", echo},  {"GET", "/v1/below/", echo},
    {"GET", "/v1/late", later}, {"POST", "/v1/late", later}, {"GET", "/v1/refuse/", refuse},
    {NULL, NULL, NULL},
};

/* --- fixture */

static int set_up(void **state)
{
    struct stat st;
    struct diags d = {0};

    memset(&f, 0, sizeof f);
    scratch_make(f.dir);
    snprintf(f.path, sizeof f.path, "%s/control.sock", f.dir);
    f.fd = control_open(&f.control, f.path, routes, &f, &d);
    assert_int_equal(d.n, 0);
    diags_fini(&d);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0660);
    return 0;
}

static int tear_down(void **state)
{
    control_close(f.control);
    assert_int_equal(access(f.path, F_OK), -1);
    scratch_remove(f.dir);
    return 0;
}

static int connect_to(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    strcpy(at.sun_path, f.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* One turn: waits until the server or the client's descriptor has something. */
static void pump(int fd, short events)
{
    struct pollfd p[2] = {{f.fd, POLLIN, 0}, {fd, events, 0}};

    assert_true(poll(p, 2, TICK_MS) >= 0);
    control_run(f.control);
    assert_true(++f.turns < TURNS_MAX); /* else nothing will ever happen */
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN) /* the server has cut it; what it said can still be read */
            return;
        if (n < 0)
            pump(fd, POLLOUT);
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

/* Reads one reply; its status, or 0 when the connection was closed without. */
static int receive(int fd)
{
    const char *end = NULL, *length = NULL;
    size_t len = 0;

    reply[0] = '\0';
    while (end == NULL || reply + len < end + 4 + strtoul(length + 16, NULL, 10)) {
        ssize_t n = recv(fd, reply + len, REPLY_SIZE - 1 - len, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN))
            return 0;
        if (n < 0)
            pump(fd, POLLIN);
        len += n > 0 ? (size_t)n : 0;
        reply[len] = '\0';
        end = strstr(reply, "\r\n\r\n");
        length = strstr(reply, "Content-Length: ");
    }
    assert_has(reply, "Content-Type: application/json\r\n");
    return atoi(reply + 9);
}

static int ask(int fd, const char *request)
{
    send_all(fd, request, strlen(request));
    return receive(fd);
}

/* --- one request, one answer */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define POST(path, len, body)                                                                      \
    "POST " path " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " #len "\r\n\r\n" body

#define CHUNKED(len, body)                                                                         \
    "POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" len "\r\n" body      \
    "\r\n0\r\n\r\n"
#define LONG "{\"a\":\"~\"}"

/* ~ is replaced by so many letters; status 0: the connection is cut. */
static const struct row {
    const char *what, *request;
    int status;
    const char *has;
    size_t letters;
} rows[] = {
    {"a route", GET("/v1/echo"), 200, "\"rest\": \"\""},
    {"an argument that is escaped", GET("/v1/echo?a=%2A.corp"), 200, "\"a\": \"*.corp\""},
    {"an argument with a NUL inside is none", GET("/v1/echo?a=x%00y"), 200, "\"arguments\": {}"},
    {"an empty one", GET("/v1/echo?a="), 200, "\"arguments\": {}"},
    {"one without a value", GET("/v1/echo?a"), 200, "\"arguments\": {}"},
    {"an argument in the body", POST("/v1/echo", 9, "{\"a\":\"x\"}"), 200, "\"a\": \"x\""},
    {"the query's one counts", POST("/v1/echo?a=y", 9, "{\"a\":\"x\"}"), 200, "\"a\": \"y\""},
    {"the body of a GET is nothing",
     "GET /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
     "{\"a\":\"x\"}",
     200, "\"arguments\": {}"},
    {"a slash below", GET("/v1/below/0/25.in-addr.arpa"), 200, "\"rest\": \"0/25.in-addr.arpa\""},
    {"nothing below", GET("/v1/below/"), 404, "\"error\": "},
    {"an unknown path", GET("/v1/nothing"), 404, "\"error\": \"no such path\""},
    {"the beginning of a path", GET("/v1/ech"), 404, "\"error\": "},
    {"the wrong method", "DELETE /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Allow: "},
    {"POST to what is read only", POST("/v1/below/x", 2, "{}"), 405, "Allow: GET\r\n"},
    {"a handler's refusal", GET("/v1/refuse/x"), 404, "\"error\": \"nothing is known of x\""},
    {"a refusal that quotes what is not UTF-8", GET("/v1/refuse/%ff"), 404,
     "what was asked is not UTF-8"},
    {"a body", POST("/v1/echo", 12, "{\"all\":true}"), 200, "\"all\": true"},
    {"no body", POST("/v1/echo", 0, ""), 200, "\"arguments\": {}"},
    {"a body in pieces", CHUNKED("3\r\n{\"a\r\n5", "\": 1}"), 200, "\"a\": 1"},
    {"64 KiB", POST("/v1/echo", 65536, LONG), 200, "aaaa\"", 65528},
    {"64 KiB, chunked", CHUNKED("10000", LONG), 200, "aaaa\"", 65528},
    {"one octet more", POST("/v1/echo", 65537, LONG), 413, "\"error\": ", 65529},
    {"one octet more, chunked", CHUNKED("10001", LONG), 0, "", 65529},
    {"a body that is no JSON", POST("/v1/echo", 5, "{\"a\":"), 400,
     "\"error\": \"the body is not JSON: line 1"},
    {"a body that is no object", POST("/v1/echo", 4, "[{}]"), 400, "must be a JSON object"},
    {"a key given twice", POST("/v1/echo", 13, "{\"a\":1,\"a\":2}"), 400, "the body is not JSON"},
    {"a huge length", POST("/v1/echo", 999999999999, ""), 413, "\"error\": "},
    {"a huge length to the wrong path", POST("/v1/nothing", 999999999999, ""), 404, "\"error\": "},
};

/* Whatever has happened, another client is served. */
static void assert_served(void)
{
    int fd = connect_to();

    assert_int_equal(ask(fd, GET("/v1/echo")), 200);
    close(fd);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    size_t front = r->letters > 0 ? strcspn(r->request, "~") : strlen(r->request);
    char *letters = memset(malloc(r->letters + 1), 'a', r->letters);
    int fd = connect_to();

    send_all(fd, r->request, front);
    send_all(fd, letters, r->letters);
    assert_int_equal(ask(fd, r->request + front + (r->letters > 0)), r->status);
    assert_has(reply, r->has);
    free(letters);
    close(fd);
    assert_served();
}

/* --- answers that come later */

static void wait_for_late(int fd, const char *request, int n)
{
    send_all(fd, request, strlen(request));
    while (f.n_late < n)
        pump(fd, 0);
}

static void late_answers_find_their_request(void **state)
{
    int a = connect_to(), b = connect_to(), gone = connect_to();

    wait_for_late(a, GET("/v1/late"), 1);
    wait_for_late(b, POST("/v1/late", 7, "{\"b\":1}"), 2);
    wait_for_late(gone, POST("/v1/late", 13, "{\"b\":1,\"c\":2}"), 3);
    close(gone);
    assert_served();
    assert_int_equal(recv(a, reply, sizeof reply, 0), -1);
    control_answer(f.late[2], 200, json_object());
    control_answer(f.late[1], 200, json_pack("{s:s}", "for", "b"));
    control_refuse(f.late[0], 503, "for a");
    assert_in_range(recv(a, reply, sizeof reply, MSG_PEEK), 1, sizeof reply); /* at once */
    assert_int_equal(receive(a), 503);
    assert_has(reply, "\"error\": \"for a\"");
    assert_int_equal(receive(b), 200);
    assert_has(reply, "\"for\": \"b\"");
    assert_int_equal(ask(a, GET("/v1/echo")), 200); /* the connection goes on */
    close(a);
    close(b);
}

static void late_answer_after_the_end(void **state)
{
    int fd = connect_to();

    wait_for_late(fd, GET("/v1/late"), 1);
    tear_down(state);
    assert_int_equal(recv(fd, reply, sizeof reply - 1, 0), 0); /* nothing was said */
    control_answer(f.late[0], 200, json_object()); /* freed, not sent: see the leak check */
    close(fd);
}

/* --- clients that misbehave */

/* 16 that say no more; a 17th waits until one leaves. */
static void half_open_clients_hold_nobody_up(void **state)
{
    static const char *const begun[] = {"", "GET ", "GET /v1/echo HTTP/1.1\r\nHo",
                                        "POST /v1/echo HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"};
    int open[17];

    for (int i = 0; i < 17; i++) {
        const char *text = i < 16 ? begun[i % 4] : GET("/v1/echo");

        open[i] = connect_to();
        send_all(open[i], text, strlen(text));
        control_run(f.control);
    }
    assert_int_equal(recv(open[16], reply, sizeof reply, 0), -1);
    close(open[0]);
    assert_int_equal(receive(open[16]), 200);
    for (int i = 1; i < 17; i++)
        close(open[i]);
}

/* --- the socket file */

/* What lies in the folder, if anything, then a server at the path: whether it opens, and if
 * not, the problem, and whether what lies there is still what it was. */
#define TWENTY "xxxxxxxxxxxxxxxxxxxx"
static const struct path_row {
    const char *what, *path, *problem;
    mode_t there; /* 0, S_IFREG, S_IFSOCK: that nobody listens on */
} path_rows[] = {
    {"a second server", "control.sock", "another process listens on it"},
    {"a dead socket is replaced", "x", NULL, S_IFSOCK},
    {"a file is never removed", "x", "exists and is no socket", S_IFREG},
    {"a folder that is missing", "missing/x", "No such file"},
    {"a path that is too long", TWENTY TWENTY TWENTY TWENTY TWENTY, "File name too long"},
};

static void check_path(void **state)
{
    const struct path_row *r = *state;
    char path[200];
    struct control *c = NULL;
    struct diags d = {0};
    int rc;

    snprintf(path, sizeof path, "%s/%s", f.dir, r->path);
    if (r->there != 0)
        assert_int_equal(mknod(path, r->there | 0600, 0), 0);
    rc = control_open(&c, path, routes, &f, &d);
    assert_int_equal(rc < 0 ? rc : 0, r->problem != NULL ? -EINVAL : 0);
    assert_has(d.n > 0 ? d.list[0] : "", r->problem != NULL ? r->problem : "");
    control_close(c);
    assert_int_equal(access(path, F_OK), r->path[0] == 'c' || r->there == S_IFREG ? 0 : -1);
    if (r->there == S_IFREG)
        assert_int_equal(unlink(path), 0);
    diags_fini(&d);
    assert_served();
}

TESTS("control", ROWS_WITH(rows, check_row, set_up, tear_down),
      ROWS_WITH(path_rows, check_path, set_up, tear_down),
      TEST_WITH(late_answers_find_their_request, set_up, tear_down),
      TEST_WITH(late_answer_after_the_end, set_up, NULL),
      TEST_WITH(half_open_clients_hold_nobody_up, set_up, tear_down))
