/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.c -- the way to the daemon, and the verbs that ask it: each asks a route of its API and
 * prints the answer, as it is with --json, else as a screen or a table (ctl.h).
 *
 * The way is HTTP/1.0 over the UNIX socket, where the answer ends with the connection. What needs a
 * person is a line of `status` that begins with "! ", and makes the exit code 7. `explain` is
 * asked by GET: whoever may read may have a decision explained.
 */
#include "ctl/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "wire/present.h"

enum { REPLY_MAX = 64 << 20, CHUNK = 1 << 16, TIMEOUT_S = 30, ALIVE_TIMEOUT_S = 3 };

/* One exchange, without a word. The status of HTTP, or -errno; *reply: the body, or NULL. */
static int exchange(const struct ctl *c, const char *path, const json_t *post, int timeout_s,
                    json_t **reply)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = timeout_s};
    char *body = post ? json_dumps(post, JSON_COMPACT) : NULL, *text = NULL;
    char *request =
        ctl_text("%s %s HTTP/1.0\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 post ? "POST" : "GET", path, body ? strlen(body) : 0, body ? body : "");
    size_t len = 0;
    ssize_t n = -1;
    int fd, status = 0;

    *reply = NULL;
    errno = ENAMETOOLONG;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (str_copy(to.sun_path, sizeof to.sun_path, c->settings->control.socket) && fd >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        n = send(fd, request, strlen(request), MSG_NOSIGNAL);
    while (n > 0 && len < REPLY_MAX) {
        text = ctl_alloc(text, len + CHUNK + 1);
        n = recv(fd, text + len, CHUNK, 0);
        len += n > 0 ? (size_t)n : 0;
        text[len] = '\0';
    }
    if (n < 0)
        status = errno == EAGAIN ? -ETIMEDOUT : -errno;
    else if (sscanf(text, "HTTP/1.%*1[01] %3d ", &status) != 1 || !strstr(text, "\r\n\r\n"))
        status = -EPROTO;
    else
        *reply = json_loads(strstr(text, "\r\n\r\n") + 4, 0, NULL);
    if (fd >= 0)
        close(fd);
    free(text);
    free(request);
    free(body);
    return status;
}

json_t *ctl_api_status(struct ctl *c)
{
    json_t *reply;
    int status = exchange(c, "/v1/status", NULL, ALIVE_TIMEOUT_S, &reply);

    if (status == 200 && json_is_object(reply))
        return reply;
    json_decref(reply);
    return NULL;
}

/* The path of a request: texts, each with a value behind it that is escaped; without a value the
 * text is left out, too. Ended by NULL. */
static char *make_path(const char *const *parts)
{
    size_t size = 1;
    char *out, *to;

    for (size_t i = 0; parts[i]; i += 2)
        size += strlen(parts[i]) + 3 * strlen(parts[i + 1] ? parts[i + 1] : "");
    out = to = ctl_alloc(NULL, size);
    for (*to = '\0'; *parts; parts += 2) {
        to = stpcpy(to, parts[1] ? parts[0] : "");
        for (const char *p = parts[1]; p && *p; p++)
            to += sprintf(to, isalnum((unsigned char)*p) || strchr("-._~", *p) ? "%c" : "%%%02X",
                          (unsigned char)*p);
    }
    return out;
}

/* Asks the daemon, and prints the answer if it is to be JSON. 0 or an exit code, message printed;
 * *reply, the caller's, is what came, also when the daemon refuses. */
static int ask(struct ctl *c, const char *path, const json_t *post, bool has_csv, json_t **reply)
{
    const char *socket = c->settings->control.socket, *error;
    char name[CTL_NAME];
    const json_t *problem;
    size_t i;
    int status;

    *reply = NULL;
    ctl_verb_name(c->verb, name);
    if (c->format == FORMAT_CSV && !has_csv)
        return ctl_fail(EXIT_USAGE, "%s has no CSV form; use --json", name);
    status = exchange(c, path, post, TIMEOUT_S, reply);
    if (status == -EACCES || status == -EPERM)
        return ctl_fail(EXIT_FAILED,
                        "no permission for %s: sudo waymarkctl %s ..., or become a member of the "
                        "group waymark",
                        socket, name);
    if (status < 0)
        return ctl_fail(EXIT_NO_DAEMON,
                        "waymarkd does not answer at %s: %s; start it with systemctl start waymark",
                        socket, strerror(-status));
    if (status == 200 && !json_is_object(*reply))
        return ctl_fail(EXIT_FAILED, "what answers at %s is not waymarkd: no JSON object", socket);
    if (status == 200) {
        if (c->format == FORMAT_JSON)
            table_print_json(*reply);
        return 0;
    }
    json_array_foreach(json_object_get(*reply, "problems"), i, problem)
    {
        if (json_is_string(problem))
            ctl_note("%s", json_string_value(problem));
    }
    error = json_string_value(json_object_get(*reply, "error"));
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
        return ctl_fail(EXIT_FAILED, "%s (HTTP %d)", error, status);
    }
}

/* --- status, stats, upstreams, reload */

/* clang-format off */
static const struct ctl_row status_rows[] = {
    {"waymarkd", NULL, "{version} on {name}, process {pid}, user {user}, up {uptime_s:span} (since {started:time})"},
    {"listens", NULL, "{listen}, {workers} worker{workers:s}"},
    {"settings", NULL, "[{settings.file}|defaults], generation {settings.generation}, read {settings.read:time}"},
    {"reverse", NULL, "[answered here, since all servers of route . are public: {local_reverse}]"},
    /* Why a store is not open is among the problems. */
    {"policy", NULL, "[{?policy.open}serial {policy.serial}, digest {policy.digest}; {policy.rules} rules, {policy.suffixes} "
                     "suffixes, {policy.networks} networks, {policy.pools} pools, {policy.approved} approved"
                     "|{?policy.open}open; its state cannot be read|not open: no rule acts]"},
    {"", NULL, "[{?kms_mode=off}kms.mode is off: no rule acts"
               "|{?kms_mode=shadow}kms.mode is shadow: decisions are recorded, not delivered]"},
    {"audit", NULL, "[{?audit.open}{audit.questions} questions: {audit.recorded} recorded, {audit.counted} counted, "
                    "{audit.dropped} dropped, {audit.pending} waiting; last commit {audit.last_commit:time}"
                    "|not open: nothing is recorded]"},
    {"cache", NULL, "{cache.entries} entries, {cache.bytes:mib} of {cache.size:mib} MiB, {hit} % of {looked_up} look-ups hit"},
    {"queries", NULL, "{queries}, of them {kms_questions} for a KMS host"},
    {NULL, "problems", "! {.}"},
    {0},
};
/* clang-format on */

static int run_status(struct ctl *c)
{
    json_t *s, *cache;
    int code = ask(c, "/v1/status", NULL, false, &s);
    const struct passwd *pw = getpwuid((uid_t)json_integer_value(json_object_get(s, "user")));
    double hits, all;

    cache = json_object_get(s, "cache");
    hits = json_number_value(json_object_get(cache, "hits"));
    all = hits + json_number_value(json_object_get(cache, "misses"));
    if (code == 0 && pw && json_is_integer(json_object_get(s, "user")))
        json_object_set_new(s, "user", json_string(pw->pw_name));
    json_object_set_new(s, "hit", json_sprintf("%.1f", all > 0 ? 100 * hits / all : 0));
    json_object_set_new(s, "looked_up", json_integer((json_int_t)all));
    if (code == 0 && c->format == FORMAT_TABLE)
        ctl_show(s, status_rows);
    if (code == 0 && json_array_size(json_object_get(s, "problems")))
        code = EXIT_PROBLEMS;
    json_decref(s);
    return code;
}

static int run_stats(struct ctl *c)
{
    static const struct ctl_row lines[] = {{NULL, ".", "{name} {value}"}, {0}};
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"value", "value", COLUMN_NUMBER},
        {0},
    };
    json_t *reply, *value, *rows = json_array();
    int code = ask(c, "/v1/stats", NULL, true, &reply);
    const char *name;

    json_object_foreach(json_object_get(reply, "stats"), name, value)
        json_array_append_new(rows, json_pack("{s:s, s:O}", "name", name, "value", value));
    if (code == 0 && c->format == FORMAT_CSV)
        table_print(c, "stats", columns, rows);
    else if (code == 0 && c->format == FORMAT_TABLE)
        ctl_show(rows, lines);
    json_decref(rows);
    json_decref(reply);
    return code;
}

static int run_upstreams(struct ctl *c)
{
    static const struct column columns[] = {
        {"zone", "route", COLUMN_TEXT},
        {"strategy", "strategy", COLUMN_TEXT},
        {"address", "server", COLUMN_TEXT},
        {"state", "state", COLUMN_TEXT},
        {"rtt_ms", "RTT", COLUMN_DURATION_MS},
        {"queries", "queries", COLUMN_NUMBER},
        {"replies", "replies", COLUMN_NUMBER},
        {"positive", "positive", COLUMN_NUMBER},
        {"nodata", "nodata", COLUMN_NUMBER},
        {"nxdomain", "nxdomain", COLUMN_NUMBER},
        {"failures", "failures", COLUMN_NUMBER},
        {"timeouts", "timeouts", COLUMN_NUMBER},
        {"errors", "errors", COLUMN_NUMBER},
        {"last_error", "last error", COLUMN_TEXT},
        {0},
    };
    json_t *reply, *rows = json_array(), *route, *server;
    int code = ask(c, "/v1/upstreams", NULL, true, &reply);
    size_t i, k;

    json_array_foreach(json_object_get(reply, "routes"), i, route)
        json_array_foreach(json_object_get(route, "servers"), k, server)
    {
        json_object_set(server, "zone", json_object_get(route, "zone"));
        json_object_set(server, "strategy", json_object_get(route, "strategy"));
        json_array_append(rows, server);
    }
    if (code == 0 && c->format != FORMAT_JSON)
        table_print(c, "servers", columns, rows);
    json_decref(rows);
    json_decref(reply);
    return code;
}

static int run_reload(struct ctl *c)
{
    static const struct column columns[] = {
        {"key", "key", COLUMN_TEXT},
        {"was", "was", COLUMN_TEXT},
        {"is", "is", COLUMN_TEXT},
        {"when", "in use", COLUMN_TEXT},
        {0},
    };
    json_t *reply, *changed, *change, *body = json_object();
    int code = ask(c, "/v1/reload", body, true, &reply);
    size_t i;

    changed = json_object_get(reply, "changed");
    json_array_foreach(changed, i, change)
    {
        bool later = json_is_true(json_object_get(change, "restart"));

        json_object_set_new(change, "when", json_string(later ? "after a restart" : "now"));
    }
    if (code == EXIT_INVALID)
        ctl_note("waymarkd goes on with the settings it has");
    else if (code == 0 && c->format == FORMAT_TABLE && json_array_size(changed) == 0)
        ctl_line("nothing changed");
    else if (code == 0 && c->format != FORMAT_JSON)
        table_print(c, "changed", columns, changed);
    if (code == 0 && c->format != FORMAT_JSON)
        ctl_note("settings generation %lld is in use",
                 (long long)json_integer_value(json_object_get(reply, "generation")));
    json_decref(body);
    json_decref(reply);
    return code;
}

/* --- cache */

static int run_cache_get(struct ctl *c)
{
    static const struct ctl_row lines[] = {
        {NULL, NULL,
         "{name} {type}  {rcode}, {kind}, {ttl_s} s left, {age_s} s old[, from {server}]"},
        {NULL, "records", "  {.}"},
        {0},
    };
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"type", "type", COLUMN_TEXT},
        {"rcode", "rcode", COLUMN_TEXT},
        {"kind", "kind", COLUMN_TEXT},
        {"ttl_s", "TTL", COLUMN_NUMBER},
        {"age_s", "age", COLUMN_NUMBER},
        {"server", "server", COLUMN_TEXT},
        {"records", "records", COLUMN_LIST},
        {0},
    };
    const char *type = c->argc > 1 ? c->argv[1] : NULL;
    char *path = make_path((const char *const[]){"/v1/cache/", c->argv[0], "?type=", type, NULL});
    json_t *reply, *entries, *entry;
    int code = ask(c, path, NULL, true, &reply);
    size_t i;

    entries = json_object_get(reply, "entries");
    if (code == 0 && c->format == FORMAT_CSV)
        table_print(c, "entries", columns, entries);
    else if (code == 0 && c->format == FORMAT_TABLE)
        json_array_foreach(entries, i, entry) ctl_show(entry, lines);
    json_decref(reply);
    free(path);
    return code;
}

static int run_cache_flush(struct ctl *c)
{
    static const struct ctl_row line[] = {{NULL, NULL, "{flushed} entr{flushed:y} forgotten"}, {0}};
    bool all = ctl_option(c, "--all") != NULL, below = ctl_option(c, "--below") != NULL;
    json_t *body, *reply;
    int code;

    if (all ? c->argc > 0 || below : c->argc == 0)
        return ctl_fail(EXIT_USAGE,
                        "say what to remove: waymarkctl cache flush NAME | --below NAME | --all");
    body = all ? json_pack("{s:b}", "all", 1)
               : json_pack("{s:s, s:b}", "name", c->argv[0], "below", below);
    if (body == NULL)
        return ctl_fail(EXIT_USAGE, "%s is not UTF-8", c->argv[0]);
    code = ask(c, "/v1/cache/flush", body, false, &reply);
    if (code == 0 && c->format == FORMAT_TABLE)
        ctl_show(reply, line);
    json_decref(body);
    json_decref(reply);
    return code;
}

/* --- explain */

/* clang-format off */
static const struct ctl_row explain_rows[] = {
    {"client", NULL, "{client.address}, in [{client.in}|no network]; [{?client.access.action=allow}allowed"
                     "|{?client.access.action=refuse}refused|{?client.access.action=drop}dropped|-] by [access {client.access.by}|default]"},
    {"question", NULL, "{question.name} {question.type}"},
    {"real DNS", NULL, "[{real.verdict} from {real.server}[ (route {real.route})], {real.ms} ms[{?real.cached}, from cache, {real.ttl_s} s left]"
                       "|{real.verdict}, supposed: no server was asked|not asked]"},
    {"rules", NULL, "[{?rules}|none is near]"},
    {"rules", "rules", "{rule}\t[{?acts}yes|no][: {why}]"},
    {"decision", NULL, "[{decision.text}|{decision.reason}|-]"},
    {"late", NULL, "[{late.text}]"},
    {"answer", NULL, "[{answer.first}|{?answer.rcode=NOERROR}NOERROR, no records|{answer.rcode}|none][, TTL {answer.ttl_s}]"
                     "{:52}  outcome {decision.outcome}"},
    {"", "answer.records", "{.}"},
    {"Windows", NULL, "[{windows.code}, {windows.text}]"},
    {"to fill", NULL, "[{hint}]"},
    {"policy", NULL, "serial {policy.serial}, digest {policy.digest}"},
    {0},
};
/* clang-format on */

static int run_explain(struct ctl *c)
{
    const char *client = ctl_option(c, "--client"), *type = c->argc > 1 ? c->argv[1] : NULL;
    const char *below = c->argv[0][0] == '.' ? "_vlmcs._tcp" : "_vlmcs._tcp.";
    struct name name;
    json_t *reply, *owner, *answer, *network;
    char *path;
    size_t i;
    int code;

    /* SUFFIX alone means the discovery name below it. */
    if (type || (name_parse(&name, c->argv[0]) == 0 && name_is_vlmcs(&name)))
        below = "";
    path = make_path((const char *const[]){
        "/v1/explain?name=", below, "", c->argv[0], "&type=", type ? type : "SRV",
        "&client=", client ? client : "127.0.0.1", "&verdict=", ctl_option(c, "--verdict"),
        "&dnssec=", ctl_option(c, "--dnssec") ? "yes" : NULL, NULL});
    code = ask(c, path, NULL, false, &reply);
    owner = json_object_get(reply, "client");
    answer = json_object_get(reply, "answer");
    json_object_set(answer, "first", json_array_get(json_object_get(answer, "records"), 0));
    json_array_remove(json_object_get(answer, "records"), 0);
    json_array_foreach(json_object_get(owner, "networks"), i, network)
    {
        const char *so_far = json_string_value(json_object_get(owner, "in"));

        json_object_set_new(owner, "in",
                            json_sprintf("%s%s%s (%s)", so_far ? so_far : "", so_far ? ", " : "",
                                         json_string_value(json_object_get(network, "name")),
                                         json_string_value(json_object_get(network, "prefix"))));
    }
    if (code == 0 && c->format == FORMAT_TABLE)
        ctl_show(reply, explain_rows);
    json_decref(reply);
    free(path);
    return code;
}

/* --- the table */

static const struct ctl_option query_options[] = {
    {"--tcp", NULL, false, "ask over TCP"},
    {0},
};
static const struct ctl_option explain_options[] = {
    {"--client", "IP", false, "the client that asks (default: this machine)"},
    {"--verdict", "V", false,
     "suppose that the real DNS says V (nxdomain, present, timeout, ...); no server is asked"},
    {"--dnssec", NULL, false, "the client sets DO: it asks for DNSSEC records"},
    {0},
};
static const struct ctl_option flush_options[] = {
    {"--below", NULL, false, "remove NAME and all names below it"},
    {"--all", NULL, false, "remove all names"},
    {0},
};

/* clang-format off */
const struct ctl_verb ctl_daemon_verbs[] = {
    {NULL, "status", 0, 0, "", {NULL}, run_status, "show the daemon on one screen; a line with ! needs a person (exit 7)"},
    {NULL, "stats", 0, 0, "", {NULL}, run_stats, "print every counter"},
    {NULL, "reload", 0, 0, "", {NULL}, run_reload, "read the settings again"},
    {NULL, "query", 1, 2, "NAME [TYPE]", {query_options}, query_run, "ask the daemon a real question; it is recorded like any other"},
    {NULL, "explain", 1, 2, "SUFFIX | NAME TYPE", {explain_options}, run_explain, "show what a client would get, and why; nothing is recorded"},
    {NULL, "upstreams", 0, 0, "", {NULL}, run_upstreams, "show the routes and their servers"},
    {"cache", "get", 1, 2, "NAME [TYPE]", {NULL}, run_cache_get, "show what the cache holds for a name"},
    {"cache", "flush", 0, 1, "NAME | --below NAME | --all", {flush_options}, run_cache_flush, "remove names from the cache"},
    {0},
};
/* clang-format on */
