/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.c -- the way to the daemon, and the verbs that ask a route of its API and print the
 * answer: as it is with --json, else as a screen or a table (ctl.h).
 *
 * The way is HTTP/1.0 over the UNIX socket, where the answer ends with the connection. `explain`
 * is asked by GET: whoever may read may have a decision explained.
 */
#include "ctl/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMEOUT_S = 30, ALIVE_TIMEOUT_S = 3 };

int ctl_connect(const struct sockaddr *to, socklen_t len, int type, int timeout_s)
{
    struct timeval limit = {.tv_sec = timeout_s};
    int fd = socket(to->sa_family, type | SOCK_CLOEXEC, 0), err;

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, to, len) == 0)
        return fd;
    err = errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

int ctl_api(const struct ctl *c, const struct ctl_part *path, const json_t *post, int timeout_s,
            json_t **reply)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char *body = post ? json_dumps(post, JSON_COMPACT) : NULL, *request, line[1024];
    FILE *f = ctl_open(&request);
    int status, fd;

    *reply = NULL;
    fputs(body ? "POST " : "GET ", f);
    for (; path->text; path++) {
        fputs(path->value ? path->text : "", f);
        for (const char *p = path->value; p && *p; p++)
            fprintf(f, isalnum((unsigned char)*p) || strchr("-._~", *p) ? "%c" : "%%%02X",
                    (unsigned char)*p);
    }
    fprintf(f, " HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", body ? strlen(body) : 0,
            body ? body : "");
    ctl_close(f, &request);
    (void)str_copy(to.sun_path, sizeof to.sun_path, c->settings->control.socket); /* it fits */
    fd = ctl_connect((struct sockaddr *)&to, sizeof to, SOCK_STREAM, timeout_s);
    status = fd < 0 ? fd : -ENOMEM;
    if (fd >= 0 && (f = fdopen(fd, "r"))) {
        errno = EPROTO;
        if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
            fscanf(f, "HTTP/1.%*1[01] %3d", &status) != 1)
            status = -errno;
        while (status > 0 && fgets(line, sizeof line, f) && strcmp(line, "\r\n") != 0)
            ;
        if (status > 0)
            *reply = json_loadf(f, 0, NULL);
        fclose(f);
    }
    free(request);
    free(body);
    return status;
}

json_t *ctl_api_get(const struct ctl *c, const char *path)
{
    json_t *reply = NULL;

    if (ctl_api(c, CTL_PATH({path, ""}), NULL, ALIVE_TIMEOUT_S, &reply) == 200)
        return reply;
    json_decref(reply);
    return NULL;
}

json_t *ctl_health(const struct ctl *c)
{
    json_t *health = ctl_api_get(c, "/v1/health"), *known = health ? json_object() : NULL, *one;
    size_t i;

    json_array_foreach(json_object_get(health, "hosts"), i, one)
    {
        char *host = ctl_expand(one, "{host}:{port}");

        json_object_set(known, host, one);
        free(host);
    }
    json_decref(health);
    return known;
}

int ctl_api_result(const struct ctl *c, int status, const json_t *reply)
{
    const char *socket = c->settings->control.socket;
    const char *error = json_string_value(json_object_get(reply, "error"));
    const json_t *problems = json_object_get(reply, "problems"), *problem;
    size_t i;

    if (status == 200 && json_is_object(reply))
        return json_array_size(problems) > 0 ? EXIT_PROBLEMS : EXIT_DONE;
    if (status == -EACCES || status == -EPERM)
        return ctl_fail(EXIT_FAILED,
                        "no permission for %s: sudo waymarkctl %s ..., or become a member of the "
                        "group waymark",
                        socket, c->called);
    if (status < 0)
        return ctl_unanswered(socket, status == -EAGAIN ? ETIMEDOUT : -status);
    if (error == NULL)
        return ctl_fail(EXIT_FAILED, "what answers at %s is not waymarkd (HTTP %d)", socket,
                        status);
    json_array_foreach(problems, i, problem) ctl_note("%s", json_string_value(problem));
    if (status == 403)
        return ctl_fail(EXIT_FAILED, "%s: sudo waymarkctl %s ...", error, c->called);
    return ctl_fail(status == 404                    ? EXIT_NOT_FOUND
                    : status == 400 || status == 413 ? EXIT_INVALID
                                                     : EXIT_FAILED,
                    "%s", error);
}

/* Asks the daemon: GET, or POST of an object, which is taken. An exit code, the failure told;
 * *reply is the caller's, or NULL. */
static int ask(struct ctl *c, const struct ctl_part *path, json_t *post, bool has_csv,
               json_t **reply)
{
    int code = has_csv ? 0 : ctl_no_csv(c), status;

    *reply = NULL;
    if (code == 0) {
        status = ctl_api(c, path, post, TIMEOUT_S, reply);
        code = ctl_api_result(c, status, *reply);
    }
    json_decref(post);
    return code;
}

int ctl_show_reply(const struct ctl *c, int code, json_t *reply, const struct ctl_row *rows)
{
    bool done = code == EXIT_DONE || code == EXIT_PROBLEMS;

    if (done && c->format == FORMAT_JSON)
        table_print_json(reply);
    else if (done && rows)
        ctl_show(reply, rows);
    json_decref(reply);
    return code;
}

static const struct ctl_row status_rows[] = {
    {"waymarkd", NULL,
     "{version} on {name}, process {pid}, user {user}, "
     "up {uptime_s:span} (since {started:time})"},
    {"listens", NULL, "{listen}, {workers} worker[{?workers=1}|s]"},
    {"settings", "settings", "[{file}|defaults], generation {generation}, read {read:time}"},
    {"reverse", NULL, "[answered here, since all servers of route . are public: {local_reverse}]"},
    {"policy", "policy",
     "[{?open}serial {serial}, digest {digest}; {rules} rules, {suffixes} suffixes, "
     "{networks} networks, {pools} pools, {approved} approved|"
     "{?open}open; its state cannot be read|not open: no rule acts]"},
    {"", NULL,
     "[{?kms_mode=off}kms.mode is off: no rule acts|"
     "{?kms_mode=shadow}kms.mode is shadow: decisions are recorded, not delivered]"},
    {"audit", "audit",
     "[{?open}{questions} questions: {recorded} recorded, {counted} counted, "
     "{dropped} dropped, {pending} waiting; last commit {last_commit:time}|"
     "not open: nothing is recorded]"},
    {"outputs", "audit.outputs",
     "{to}: [{?behind=0}up to date|{behind} records behind][, {error}]"},
    {"cache", "cache",
     "{entries} entries, {bytes:mib} of {size:mib} MiB; "
     "{hits} look-ups hit, {misses} missed"},
    {"limits", "limits",
     "[{?rate_dropped=0}{?rate_slipped=0}{?large_cut=0}|"
     "questions by UDP above client-rate: {rate_dropped} not answered, {rate_slipped} sent to TCP; "
     "answers above client-large-rate: {large_cut} sent to TCP]"},
    {"queries", NULL, "{queries}, of them {kms_questions} for a KMS host"},
    {NULL, "problems", "! {.}"},
    {0},
};

static int run_status(struct ctl *c)
{
    json_t *reply;
    int code = ask(c, CTL_PATH({"/v1/status", ""}), NULL, false, &reply);
    const json_t *user = json_object_get(reply, "user");
    const struct passwd *pw = getpwuid((uid_t)json_integer_value(user));

    if (pw && json_is_integer(user))
        json_object_set_new(reply, "user", json_string(pw->pw_name));
    return ctl_show_reply(c, code, reply, status_rows);
}

static int run_stats(struct ctl *c)
{
    json_t *reply, *value;
    int code = ask(c, CTL_PATH({"/v1/stats", ""}), NULL, false, &reply);
    const char *name;

    json_object_foreach(json_object_get(reply, "stats"), name, value)
    {
        if (c->format == FORMAT_TABLE)
            ctl_line("%s %" JSON_INTEGER_FORMAT, name, json_integer_value(value));
    }
    return ctl_show_reply(c, code, reply, NULL);
}

static int run_upstreams(struct ctl *c)
{
    json_t *reply, *list = json_array(), *route, *server;
    int code = ask(c, CTL_PATH({"/v1/upstreams", ""}), NULL, true, &reply);
    size_t i, k;

    json_array_foreach(json_object_get(reply, "routes"), i, route)
        json_array_foreach(json_object_get(route, "servers"), k, server)
    {
        json_object_set(server, "zone", json_object_get(route, "zone"));
        json_object_set(server, "strategy", json_object_get(route, "strategy"));
        json_array_append(list, server);
    }
    if (code == EXIT_DONE && c->format != FORMAT_JSON)
        table_print(c, "servers",
                    "zone=ROUTE|strategy/7|address=SERVER|source/6=FROM|tls/6=TLS|state|"
                    "since:time/3|rtt_ms:span/3=RTT|queries:n/4|replies:n/5|positive:n/8|"
                    "nodata:n/8|nxdomain:n/8|failures:n/7|timeouts:n/4|errors:n/4|last_error/1|"
                    "without:list/5=ASKED WITHOUT|loop/2=LOOP AT",
                    list);
    json_decref(list);
    return ctl_show_reply(c, code, reply, NULL);
}

static int run_reload(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {NULL, "changed", "{key}\twas {was}\tis {is}\tin use [{?restart}after a restart|now]"},
        {NULL, NULL, "[{?changed}|nothing changed]"},
        {NULL, NULL, "settings generation {generation} is in use"},
        {0},
    };
    json_t *reply;
    int code = ask(c, CTL_PATH({"/v1/reload", ""}), json_object(), false, &reply);

    if (code == EXIT_INVALID)
        ctl_note("waymarkd goes on with the settings it has");
    return ctl_show_reply(c, code, reply, rows);
}

static int run_cache(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {"cache", NULL, "{entries} entries, {bytes:mib} of {size:mib} MiB"},
        {"kinds", "kinds", "{kind}\t{entries}\t{bytes:mib} MiB"},
        {"questions", NULL,
         "{hits} answered from it[, {hit_rate} %]; {misses} not; "
         "{stale} got an expired answer"},
        {"kept", "snapshot",
         "[{error}: {file} cannot be written|{file}, written {written:time}|"
         "{file}, not written yet|a restart forgets it (cache.persist: no)]"},
        {0},
    };
    json_t *reply;
    int code = ask(c, CTL_PATH({"/v1/cache", ""}), NULL, false, &reply);

    return ctl_show_reply(c, code, reply, rows);
}

static int run_cache_get(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {NULL, "entries",
         "{name} {type}[{?dnssec} with DO][{?cd} with CD]  {rcode}, {kind}, "
         "[{?stale}expired, served while no server answers|{?expired}expired|{ttl_s} s left], "
         "{age_s} s old[, from {server}][ (route {route})|, of a route that is gone]"
         "\n  {records:lines}"},
        {0},
    };
    json_t *reply;
    int code =
        ask(c, CTL_PATH({"/v1/cache/", c->argv[0]}, {"?type=", c->argv[1]}), NULL, false, &reply);

    return ctl_show_reply(c, code, reply, rows);
}

static int run_cache_flush(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {NULL, NULL, "{flushed} entr[{?flushed=1}y|ies] forgotten"}, {0}};
    bool all = ctl_option(c, "--all") != NULL, below = ctl_option(c, "--below") != NULL;
    json_t *body, *reply;
    int code;

    if (all ? c->argc > 0 || below : c->argc == 0)
        return ctl_misused(
            "say what to remove: waymarkctl cache flush NAME | --below NAME | --all");
    body = all ? json_pack("{s:b}", "all", 1)
               : json_pack("{s:s, s:b}", "name", c->argv[0], "below", below);
    if (body == NULL)
        return ctl_misused("%s is not UTF-8", c->argv[0]);
    code = ask(c, CTL_PATH({"/v1/cache/flush", ""}), body, false, &reply);
    return ctl_show_reply(c, code, reply, rows);
}

/* clang-format off */
static const struct ctl_option
    query_options[] = {
        {"--tcp", NULL, false, "ask over TCP"},
        {0}},
    flush_options[] = {
        {"--below", NULL, false, "remove NAME and all names below it"},
        {"--all", NULL, false, "remove all names"},
        {0}};

const struct ctl_verb ctl_daemon_verbs[] = {
    {"", "status", 0, 0, "", {NULL}, run_status,
     "show the daemon on one screen; a line with ! needs a person (exit 7)"},
    {"", "stats", 0, 0, "", {NULL}, run_stats, "print every counter"},
    {"", "reload", 0, 0, "", {NULL}, run_reload, "read the settings again"},
    {"", "query", 1, 2, "NAME [TYPE]", {query_options}, query_run,
     "ask the daemon a real question; it is recorded like any other"},
    {"", "explain", 0, 2, "SUFFIX | NAME TYPE", {explain_options}, explain_verb,
     "show what a client would get, and why; nothing is recorded"},
    {"", "doctor", 0, 0, "", {doctor_options}, doctor_run,
     "check from here what Microsoft's article checks by hand (exit 7)"},
    {"", "upstreams", 0, 0, "", {NULL}, run_upstreams, "show the routes and their servers"},
    {"", "backup", 1, 1, "DIR", {NULL}, backup_run,
     "copy settings, policy and audit into a new folder, while the daemon runs"},
    {"cache", "", 0, 0, "", {NULL}, run_cache,
     "show what the cache holds, by kind, and how much it answers"},
    {"cache", "get", 1, 2, "NAME [TYPE]", {NULL}, run_cache_get,
     "show what the cache holds for a name"},
    {"cache", "flush", 0, 1, "NAME | --below NAME | --all", {flush_options}, run_cache_flush,
     "remove names from the cache"},
    {0},
};
/* clang-format on */
