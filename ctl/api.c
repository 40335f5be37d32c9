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

enum { REPLY_MAX = 64 << 20, TIMEOUT_MS = 30000, ALIVE_TIMEOUT_MS = 3000 };

struct body {
    char *data; /* owned */
    size_t len;
};

static size_t receive(char *data, size_t size, size_t n, void *context)
{
    struct body *b = context;

    n *= size;
    if (n > REPLY_MAX - b->len)
        return 0;
    b->data = ctl_alloc(b->data, b->len + n + 1);
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return n;
}

/* One exchange, without a word. *status: of HTTP; *err: why the socket cannot be reached. CURLE_OK
 * also for an answer that says no. */
static CURLcode exchange(const struct ctl *c, const char *path, const json_t *post, long timeout_ms,
                         long *status, long *err, json_t **reply)
{
    struct curl_slist *headers = NULL;
    char *url = ctl_text("http://waymark%s", path);
    char *text = post ? json_dumps(post, JSON_COMPACT) : NULL;
    struct body body = {0};
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURL *curl;

    curl_global_init(CURL_GLOBAL_NOTHING); /* counted by libcurl; once for a program is enough */
    curl = curl_easy_init();
    if (curl && (text || !post)) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->settings->control.socket);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* the root name is a dot */
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
        if (text) {
            headers = curl_slist_append(headers, "Content-Type: application/json");
            curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
        }
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
        curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, err);
    }
    *reply = code == CURLE_OK && body.data ? json_loadb(body.data, body.len, 0, NULL) : NULL;
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    free(body.data);
    free(text);
    free(url);
    return code;
}

int ctl_api(struct ctl *c, const char *path, const json_t *post, json_t **out)
{
    const char *socket = c->settings->control.socket, *error;
    long status = 0, err = 0;
    CURLcode code = exchange(c, path, post, TIMEOUT_MS, &status, &err, out);
    char name[CTL_NAME];
    const json_t *problem;
    size_t i;

    ctl_verb_name(c->verb, name);
    if (code != CURLE_OK && (err == EACCES || err == EPERM))
        return ctl_fail(EXIT_FAILED,
                        "no permission for %s: sudo waymarkctl %s ..., or become a member of the "
                        "group waymark",
                        socket, name);
    if (code != CURLE_OK)
        return ctl_fail(EXIT_NO_DAEMON,
                        "waymarkd does not answer at %s: %s; start it with systemctl start waymark",
                        socket, err ? strerror((int)err) : curl_easy_strerror(code));
    if (status == 200 && json_is_object(*out))
        return 0;
    if (status == 200)
        return ctl_fail(EXIT_FAILED, "what answers at %s is not waymarkd: no JSON object", socket);
    json_array_foreach(json_object_get(*out, "problems"), i, problem)
    {
        if (json_is_string(problem))
            ctl_note("%s", json_string_value(problem));
    }
    error = json_string_value(json_object_get(*out, "error"));
    if (error == NULL)
        error = "waymarkd gave no reason";
    switch (status) {
    case 400:
    case 413:
        return ctl_fail(EXIT_INVALID, "%s", error);
    case 403:
        return ctl_fail(EXIT_FAILED, "%s: sudo waymarkctl %s ...", error, name);
    case 404:
        return ctl_fail(EXIT_NOT_FOUND, "%s", error);
    default:
        return ctl_fail(EXIT_FAILED, "%s (HTTP %ld)", error, status);
    }
}

json_t *ctl_api_status(struct ctl *c)
{
    long http = 0, err = 0;
    json_t *status;
    CURLcode code = exchange(c, "/v1/status", NULL, ALIVE_TIMEOUT_MS, &http, &err, &status);

    if (code == CURLE_OK && http == 200 && json_is_object(status))
        return status;
    json_decref(status);
    return NULL;
}
