/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.c -- the verbs that talk to the daemon: each asks a route of its API and prints the
 * answer, as it is with --json, else by templates (ctl_show() in ctl.h) or as a table.
 *
 * What needs a person is a line of `status` that begins with "! ", and makes the exit code 7.
 * `explain` is asked by GET: whoever may read may have a decision explained.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "ctl/table.h"
#include "wire/present.h"

enum { ANSWER_WIDTH = 52 /* to the outcome beside it */ };

/* Text for a part of a URL; freed by the caller. */
static char *escape(const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char *out = ctl_alloc(NULL, strlen(text) * 3 + 1), *to = out;

    for (; *text; text++)
        to += sprintf(to, strchr(plain, *text) ? "%c" : "%%%02X", (unsigned char)*text);
    *to = '\0';
    return out;
}

/* Asks the daemon. True: *reply is to be printed for people, or as CSV; else all is said, with *code. */
static bool ask(struct ctl *c, const char *path, const json_t *post, json_t **reply, int *code)
{
    *code = ctl_api(c, path, post, reply);
    if (*code == 0 && c->format == FORMAT_JSON)
        table_print_json(*reply);
    return *code == 0 && c->format != FORMAT_JSON;
}

static int fail_csv(const struct ctl *c)
{
    return ctl_fail(EXIT_USAGE, "%s has no CSV form; use --json", c->verb->verb);
}

/* --- status, stats, upstreams, reload */

static void print_status(json_t *s)
{
    const json_t *policy = json_object_get(s, "policy"), *audit = json_object_get(s, "audit");
    const char *mode = json_string_value(json_object_get(s, "kms_mode"));
    double hits = json_number_value(json_object_get(json_object_get(s, "cache"), "hits"));
    double all = hits + json_number_value(json_object_get(json_object_get(s, "cache"), "misses"));
    const struct passwd *pw = getpwuid((uid_t)json_integer_value(json_object_get(s, "user")));

    if (pw && json_is_integer(json_object_get(s, "user")))
        json_object_set_new(s, "user", json_string(pw->pw_name));
    json_object_set_new(s, "hit", json_sprintf("%.1f", all > 0 ? 100 * hits / all : 0));
    json_object_set_new(s, "looked_up", json_integer((json_int_t)all));
    ctl_show("waymarkd", s,
             "{version} on {name}, process {pid}, user {user}, up {uptime_s:span} (since "
             "{started:time})");
    ctl_show("listens", s, "{listen:list}, {workers} worker{workers:s}");
    ctl_show(
        "settings", s,
        "{settings.file|defaults}, generation {settings.generation}, read {settings.read:time}");
    if (json_array_size(json_object_get(s, "local_reverse")))
        ctl_show("reverse", s,
                 "answered here, since all servers of route . are public: {local_reverse:list}");
    /* Why a store is not open is among the problems. */
    if (!json_is_true(json_object_get(policy, "open")))
        ctl_show("policy", policy, "not open: no rule acts");
    else if (json_is_null(json_object_get(policy, "serial")))
        ctl_show("policy", policy, "open; its state cannot be read");
    else
        ctl_show("policy", policy,
                 "serial {serial}, digest {digest}; {rules} rules, {suffixes} suffixes, "
                 "{networks} networks, {pools} pools, {approved} approved");
    if (mode && strcmp(mode, "off") == 0)
        ctl_show("", s, "kms.mode is off: no rule acts");
    else if (mode && strcmp(mode, "live") != 0)
        ctl_show("", s, "kms.mode is {kms_mode}: decisions are recorded, not delivered");
    if (!json_is_true(json_object_get(audit, "open")))
        ctl_show("audit", audit, "not open: nothing is recorded");
    else
        ctl_show(
            "audit", audit,
            "{questions} questions: {recorded} recorded, {counted} counted, {dropped} dropped, "
            "{pending} waiting; last commit {last_commit:time}");
    ctl_show("cache", s,
             "{cache.entries} entries, {cache.bytes:mib} of {cache.size:mib} MiB, "
             "{hit} % of {looked_up} look-ups hit");
    ctl_show("queries", s, "{queries}, of them {kms_questions} for a KMS host");
}

static int run_status(struct ctl *c)
{
    json_t *s, *problem;
    int code;
    size_t i;

    if (c->format == FORMAT_CSV)
        return fail_csv(c);
    if (ask(c, "/v1/status", NULL, &s, &code)) {
        print_status(s);
        json_array_foreach(json_object_get(s, "problems"), i, problem)
        {
            ctl_line("! %s", json_is_string(problem) ? json_string_value(problem) : "-");
        }
    }
    if (code == 0 && json_array_size(json_object_get(s, "problems")))
        code = EXIT_PROBLEMS;
    json_decref(s);
    return code;
}

static int run_stats(struct ctl *c)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"value", "value", COLUMN_NUMBER},
        {0},
    };
    json_t *reply, *value, *rows = json_array();
    const char *name;
    int code;

    if (ask(c, "/v1/stats", NULL, &reply, &code)) {
        json_object_foreach(json_object_get(reply, "stats"), name, value)
        {
            if (c->format == FORMAT_CSV)
                json_array_append_new(rows, json_pack("{s:s, s:O}", "name", name, "value", value));
            else
                ctl_line("%s %.15g", name, json_number_value(value));
        }
        if (c->format == FORMAT_CSV)
            table_print(c, "stats", columns, rows);
    }
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
    int code;
    size_t i, k;

    if (ask(c, "/v1/upstreams", NULL, &reply, &code)) {
        json_array_foreach(json_object_get(reply, "routes"), i, route)
            json_array_foreach(json_object_get(route, "servers"), k, server)
        {
            json_object_set(server, "zone", json_object_get(route, "zone"));
            json_object_set(server, "strategy", json_object_get(route, "strategy"));
            json_array_append(rows, server);
        }
        table_print(c, "servers", columns, rows);
    }
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
    int code;
    size_t i;

    if (ask(c, "/v1/reload", body, &reply, &code)) {
        changed = json_object_get(reply, "changed");
        json_array_foreach(changed, i, change)
        {
            bool later = json_is_true(json_object_get(change, "restart"));

            json_object_set_new(change, "when", json_string(later ? "after a restart" : "now"));
        }
        if (json_array_size(changed) || c->format == FORMAT_CSV)
            table_print(c, "changed", columns, changed);
        else
            ctl_line("nothing changed");
        ctl_note("settings generation %lld is in use",
                 (long long)json_integer_value(json_object_get(reply, "generation")));
    } else if (code == EXIT_INVALID) {
        ctl_note("waymarkd goes on with the settings it has");
    }
    json_decref(body);
    json_decref(reply);
    return code;
}

/* --- cache */

static int run_cache_get(struct ctl *c)
{
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
    char *name = escape(c->argv[0]), *type = escape(c->argc > 1 ? c->argv[1] : ""), *text;
    char *path = ctl_text("/v1/cache/%s%s%s", name, *type ? "?type=" : "", type);
    json_t *reply, *entries, *entry, *record;
    int code;
    size_t i, k;

    if (ask(c, path, NULL, &reply, &code)) {
        entries = json_object_get(reply, "entries");
        if (c->format == FORMAT_CSV)
            table_print(c, "entries", columns, entries);
        else
            json_array_foreach(entries, i, entry)
            {
                text = ctl_expand(entry, "{name} {type}  {rcode}, {kind}, {ttl_s} s left, {age_s} "
                                         "s old[, from {server}]");
                ctl_line("%s", text);
                free(text);
                json_array_foreach(json_object_get(entry, "records"), k, record)
                {
                    ctl_line("  %s", json_is_string(record) ? json_string_value(record) : "-");
                }
            }
    }
    json_decref(reply);
    free(path);
    free(type);
    free(name);
    return code;
}

static int run_cache_flush(struct ctl *c)
{
    bool all = ctl_option(c, "--all") != NULL, below = ctl_option(c, "--below") != NULL;
    json_t *body, *reply;
    long long n;
    int code;

    if (all ? c->argc > 0 || below : c->argc == 0)
        return ctl_fail(EXIT_USAGE,
                        "say what to remove: waymarkctl cache flush NAME | --below NAME | --all");
    if (all)
        body = json_pack("{s:b}", "all", 1);
    else
        body = json_pack("{s:s, s:b}", "name", c->argv[0], "below", below);
    if (body == NULL)
        return ctl_fail(EXIT_USAGE, "%s is not UTF-8", c->argv[0]);
    if (ask(c, "/v1/cache/flush", body, &reply, &code)) {
        n = json_integer_value(json_object_get(reply, "flushed"));
        ctl_line("%lld %s forgotten", n, n == 1 ? "entry" : "entries");
    }
    json_decref(body);
    json_decref(reply);
    return code;
}

/* --- explain */

static void print_client(const json_t *client)
{
    const json_t *network;
    const char *action =
        json_string_value(json_object_get(json_object_get(client, "access"), "action"));
    char *text = NULL, *one;
    json_t *row;
    size_t i, size;
    FILE *f = open_memstream(&text, &size);

    json_array_foreach(json_object_get(client, "networks"), i, network)
    {
        one = ctl_expand(network, "{name}[ ({prefix})]");
        fprintf(f, "%s%s", i ? ", " : "", one);
        free(one);
    }
    fclose(f);
    if (action == NULL)
        action = "-";
    else
        action = strcmp(action, "allow") == 0    ? "allowed"
                 : strcmp(action, "refuse") == 0 ? "refused"
                                                 : "dropped";
    row = json_pack("{s:O?, s:s, s:s}", "client", client, "in", *text ? text : "no network", "word",
                    action);
    ctl_show("client", row,
             json_is_string(json_object_get(json_object_get(client, "access"), "by"))
                 ? "{client.address}, in {in}; {word} by access {client.access.by}"
                 : "{client.address}, in {in}; {word} by default");
    json_decref(row);
    free(text);
}

static void print_rules(json_t *rules)
{
    json_t *rule;
    size_t width = 0, i;

    json_array_foreach(rules, i, rule)
    {
        size_t n = json_string_length(json_object_get(rule, "rule"));

        width = n > width ? n : width;
    }
    if (json_array_size(rules) == 0)
        ctl_show("rules", rules, "none is near");
    json_array_foreach(rules, i, rule)
    {
        const char *name = json_string_value(json_object_get(rule, "rule"));

        json_object_set_new(rule, "name", json_sprintf("%-*s", (int)width, name ? name : "-"));
        ctl_show(i ? "" : "rules", rule,
                 json_is_true(json_object_get(rule, "acts")) ? "{name}  yes[: {why}]"
                                                             : "{name}  no[: {why}]");
    }
}

static void print_answer(const json_t *reply)
{
    const json_t *answer = json_object_get(reply, "answer");
    json_t *records = json_object_get(answer, "records"), *record, *line;
    const char *rcode = json_string_value(json_object_get(answer, "rcode"));
    const char *first = json_string_value(json_array_get(records, 0));
    char *ttl = ctl_expand(answer, "[, TTL {ttl_s}]"), *text;
    size_t i;

    if (first == NULL)
        first = rcode == NULL                   ? "none"
                : strcmp(rcode, "NOERROR") == 0 ? "NOERROR, no records"
                                                : rcode;
    text = ctl_text("%s%s", first, ttl);
    line = json_pack("{s:o, s:O?}", "answer", json_sprintf("%-*s", ANSWER_WIDTH, text), "decision",
                     json_object_get(reply, "decision"));
    ctl_show("answer", line, "{answer}  outcome {decision.outcome}");
    json_array_foreach(records, i, record)
    {
        if (i > 0)
            ctl_line("%*s%s", CTL_LABEL, "",
                     json_is_string(record) ? json_string_value(record) : "-");
    }
    json_decref(line);
    free(text);
    free(ttl);
}

static void print_explanation(const json_t *reply)
{
    const json_t *real = json_object_get(reply, "real");

    print_client(json_object_get(reply, "client"));
    ctl_show("question", reply, "{question.name} {question.type}");
    if (!json_is_object(real))
        ctl_show("real DNS", real, "not asked");
    else if (!json_is_string(json_object_get(real, "server")))
        ctl_show("real DNS", real, "{verdict}, supposed: no server was asked");
    else
        ctl_show("real DNS", real,
                 "{verdict} from {server}[ (route {route})], {ms} ms"
                 "[{?cached}, from cache, {ttl_s} s left]");
    print_rules(json_object_get(reply, "rules"));
    if (json_is_string(json_object_get(json_object_get(reply, "decision"), "text")))
        ctl_show("decision", reply, "{decision.text}");
    else
        ctl_show("decision", reply, "{decision.reason}");
    if (json_is_object(json_object_get(reply, "late")))
        ctl_show("late", reply, "{late.text}");
    print_answer(reply);
    if (json_is_object(json_object_get(reply, "windows")))
        ctl_show("Windows", reply, "{windows.code}, {windows.text}");
    if (json_is_string(json_object_get(reply, "hint")))
        ctl_show("to fill", reply, "{hint}");
    ctl_show("policy", reply, "serial {policy.serial}, digest {policy.digest}");
}

static int run_explain(struct ctl *c)
{
    const char *client = ctl_option(c, "--client"), *verdict = ctl_option(c, "--verdict");
    bool whole;
    struct addr address;
    struct name name;
    json_t *reply;
    char *path, *e_name, *e_type, *e_client, *e_verdict;
    int code;

    if (client && addr_parse(&address, client, 0) < 0)
        return ctl_fail(EXIT_USAGE, "--client %s is no IP address", client);
    if (c->format == FORMAT_CSV)
        return fail_csv(c);
    /* SUFFIX alone means the discovery name below it. */
    whole = c->argc > 1 || (name_parse(&name, c->argv[0]) == 0 && name_is_vlmcs(&name));
    e_name = escape(c->argv[0]);
    e_type = escape(c->argc > 1 ? c->argv[1] : "SRV");
    e_client = escape(client ? client : "127.0.0.1");
    e_verdict = escape(verdict ? verdict : "");
    path = ctl_text("/v1/explain?name=%s%s&type=%s&client=%s%s%s%s",
                    whole                  ? ""
                    : c->argv[0][0] == '.' ? "_vlmcs._tcp"
                                           : "_vlmcs._tcp.",
                    e_name, e_type, e_client, verdict ? "&verdict=" : "", e_verdict,
                    ctl_option(c, "--dnssec") != NULL ? "&dnssec=yes" : "");
    if (ask(c, path, NULL, &reply, &code))
        print_explanation(reply);
    json_decref(reply);
    free(path);
    free(e_verdict);
    free(e_client);
    free(e_type);
    free(e_name);
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
