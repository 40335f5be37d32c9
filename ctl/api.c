/* SPDX-License-Identifier: BSD-2-Clause
 *
 * api.c -- the way to the daemon: HTTP over its UNIX socket, by libcurl.
 *
 * libcurl starts with the first request, so verbs that work on the stores do
 * not pay for it. Nothing of the environment (proxies) may change where a
 * request goes.
 */
#include "ctl/ctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_MAX = 64 << 20, TIMEOUT_MS = 30000, ALIVE_TIMEOUT_MS = 3000 };

struct body {
    char *at; /* owned */
    size_t len;
};

struct call {
    const char *path;   /* "/v1/status" */
    const json_t *post; /* NULL: GET */
    long timeout_ms;
    bool quiet;
    long status; /* of HTTP */
    json_t *reply;
};

static size_t receive(char *data, size_t size, size_t n, void *context)
{
    struct body *b = context;

    n *= size;
    if (n > REPLY_MAX - b->len)
        return 0;
    b->at = ctl_alloc(b->at, b->len + n + 1);
    memcpy(b->at + b->len, data, n);
    b->len += n;
    return n;
}

/* Why nobody can be reached at the socket: 0 or an errno. libcurl does not
 * tell refused from forbidden reliably. */
static int try_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd, err = 0;

    if (strlen(path) >= sizeof at.sun_path)
        return ENAMETOOLONG;
    memcpy(at.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        err = errno;
    close(fd);
    return err;
}

static int fail_connect(struct ctl *c, int err, const char *why)
{
    const char *path = c->settings->control.socket;

    if (err == EACCES || err == EPERM)
        return ctl_fail(
            EXIT_FAILED,
            "no permission for %s: sudo waymarkctl %s%s%s ..., or become a member of the group "
            "waymark",
            path, c->verb->noun ? c->verb->noun : "", c->verb->noun ? " " : "", c->verb->verb);
    return ctl_fail(EXIT_NO_DAEMON,
                    "waymarkd does not answer at %s: %s; start it with systemctl start waymark",
                    path, err ? strerror(err) : why);
}

static void set_up(CURL *curl, const struct ctl *c, const struct call *call, const char *url,
                   struct body *body)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->settings->control.socket);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* the root name is a dot */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, call->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
}

/* One exchange. CURLE_OK also for an answer that says no. */
static CURLcode exchange(struct ctl *c, struct call *call, struct body *body)
{
    struct curl_slist *headers = NULL;
    char *url = ctl_text("http://waymark%s", call->path);
    char *text = call->post ? json_dumps(call->post, JSON_COMPACT) : NULL;
    CURL *curl;
    CURLcode err = CURLE_OUT_OF_MEMORY;

    curl_global_init(CURL_GLOBAL_NOTHING); /* counted by libcurl; once for a program is enough */
    curl = curl_easy_init();
    if (curl && (text || !call->post)) {
        set_up(curl, c, call, url, body);
        if (text) {
            headers = curl_slist_append(headers, "Content-Type: application/json");
            curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
        }
        err = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &call->status);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    free(text);
    free(url);
    return err;
}

/* The exit code for an answer that says no, and its words. */
static int fail_status(struct ctl *c, const struct call *call)
{
    const char *error = json_string_value(json_object_get(call->reply, "error"));
    const json_t *problems = json_object_get(call->reply, "problems"), *problem;
    size_t i;

    json_array_foreach(problems, i, problem)
    {
        if (json_is_string(problem))
            ctl_note("%s", json_string_value(problem));
    }
    if (error == NULL)
        error = "waymarkd gave no reason";
    switch (call->status) {
    case 400:
    case 413:
        return ctl_fail(EXIT_INVALID, "%s", error);
    case 403:
        return ctl_fail(EXIT_FAILED, "%s: sudo waymarkctl %s%s%s ...", error,
                        c->verb->noun ? c->verb->noun : "", c->verb->noun ? " " : "",
                        c->verb->verb);
    case 404:
        return ctl_fail(EXIT_NOT_FOUND, "%s", error);
    default:
        return ctl_fail(EXIT_FAILED, "%s (HTTP %ld)", error, call->status);
    }
}

static int perform(struct ctl *c, struct call *call)
{
    struct body body = {0};
    int err = try_socket(c->settings->control.socket);
    CURLcode code;

    if (err)
        return call->quiet ? EXIT_NO_DAEMON : fail_connect(c, err, "");
    code = exchange(c, call, &body);
    if (code == CURLE_OK)
        call->reply = body.at ? json_loadb(body.at, body.len, 0, NULL) : NULL;
    free(body.at);
    if (code != CURLE_OK)
        return call->quiet ? EXIT_NO_DAEMON : fail_connect(c, 0, curl_easy_strerror(code));
    if (call->status == 200 && json_is_object(call->reply))
        return 0;
    if (call->quiet)
        return EXIT_FAILED;
    if (call->status == 200)
        return ctl_fail(EXIT_FAILED, "what answers at %s is not waymarkd: no JSON object",
                        c->settings->control.socket);
    return fail_status(c, call);
}

int ctl_api_get(struct ctl *c, const char *path, json_t **out)
{
    struct call call = {.path = path, .timeout_ms = TIMEOUT_MS};
    int code = perform(c, &call);

    *out = call.reply;
    return code;
}

int ctl_api_post(struct ctl *c, const char *path, const json_t *body, json_t **out)
{
    struct call call = {.path = path, .post = body, .timeout_ms = TIMEOUT_MS};
    int code = perform(c, &call);

    *out = call.reply;
    return code;
}

bool ctl_api_alive(struct ctl *c, json_t **status)
{
    struct call call = {.path = "/v1/status", .timeout_ms = ALIVE_TIMEOUT_MS, .quiet = true};
    int code = perform(c, &call);

    if (status && code == 0)
        *status = call.reply;
    else
        json_decref(call.reply);
    if (status && code != 0)
        *status = NULL;
    return code == 0;
}
