/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_explain.c -- `explain`: asks the daemon what it would decide, and
 * prints it in lines that can be read aloud on the telephone.
 *
 * Asked by GET: whoever may read may have a decision explained.
 */
#include "ctl/daemon.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "ctl/table.h"
#include "wire/present.h"

enum { LABEL = 10, OUTCOME_COLUMN = 64 };

/* label "" continues the line above. Takes the text. */
static void say(const char *label, char *text)
{
    ctl_line("%-*s%s", LABEL, label, text);
    free(text);
}

static const char *access_word(const char *action)
{
    static const struct {
        const char *action, *word;
    } words[] = {
        {"allow", "allowed"},
        {"refuse", "refused"},
        {"drop", "dropped"},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(action, words[i].action) == 0)
            return words[i].word;
    return action;
}

static void say_client(const json_t *client)
{
    const json_t *networks = json_object_get(client, "networks"), *network,
                 *access = json_object_get(client, "access");
    const char *by = field_text(access, "by", NULL);
    char *text = ctl_text("%s, in %s", field_text(client, "address", "-"),
                          json_array_size(networks) ? "" : "no network");
    char *more;
    size_t i;

    json_array_foreach(networks, i, network)
    {
        const char *prefix = field_text(network, "prefix", NULL);

        more = ctl_text("%s%s%s%s%s%s", text, i ? ", " : "", field_text(network, "name", "-"),
                        prefix ? " (" : "", prefix ? prefix : "", prefix ? ")" : "");
        free(text);
        text = more;
    }
    more = ctl_text("%s; %s by %s%s", text, access_word(field_text(access, "action", "-")),
                    by ? "access " : "default", by ? by : "");
    free(text);
    say("client", more);
}

static void say_real(const json_t *real)
{
    const char *server = field_text(real, "server", NULL), *route = field_text(real, "route", NULL);
    char *text, *more;

    if (!json_is_object(real)) {
        say("real DNS", ctl_text("not asked"));
        return;
    }
    if (server == NULL) {
        say("real DNS",
            ctl_text("%s, supposed: no server was asked", field_text(real, "verdict", "-")));
        return;
    }
    text = ctl_text("%s from %s", field_text(real, "verdict", "-"), server);
    if (route) {
        more = ctl_text("%s (route %s)", text, route);
        free(text);
        text = more;
    }
    more = ctl_text("%s, %lld ms", text, field_number(real, "ms"));
    free(text);
    if (field_true(real, "cached"))
        say("real DNS", ctl_text("%s, from cache, %lld s left", more, field_number(real, "ttl_s")));
    else
        say("real DNS", ctl_text("%s", more));
    free(more);
}

static void say_rules(const json_t *rules)
{
    const json_t *rule;
    int width = 0;
    size_t i;

    json_array_foreach(rules, i, rule)
    {
        int w = (int)strlen(field_text(rule, "rule", "-"));

        width = w > width ? w : width;
    }
    if (json_array_size(rules) == 0)
        say("rules", ctl_text("none is near"));
    json_array_foreach(rules, i, rule)
    {
        const char *why = field_text(rule, "why", "");

        say(i ? "" : "rules",
            ctl_text("%-*s  %s%s%s", width, field_text(rule, "rule", "-"),
                     field_true(rule, "acts") ? "yes" : "no", *why ? ": " : "", why));
    }
}

static void say_answer(const json_t *answer, const char *outcome)
{
    const json_t *records = json_object_get(answer, "records");
    const char *rcode = field_text(answer, "rcode", NULL);
    const char *first = json_string_value(json_array_get(records, 0));
    char *text;
    int used;

    if (first == NULL)
        first = rcode == NULL                   ? "none"
                : strcmp(rcode, "NOERROR") == 0 ? "NOERROR, no records"
                                                : rcode;
    if (json_is_integer(json_object_get(answer, "ttl_s")))
        text = ctl_text("%-*s%s, TTL %lld", LABEL, "answer", first, field_number(answer, "ttl_s"));
    else
        text = ctl_text("%-*s%s", LABEL, "answer", first);
    used = (int)strlen(text);
    ctl_line("%s%*soutcome %s", text, used + 2 < OUTCOME_COLUMN ? OUTCOME_COLUMN - used : 2, "",
             outcome);
    free(text);
    for (size_t i = 1; i < json_array_size(records); i++) {
        const char *record = json_string_value(json_array_get(records, i));

        say("", ctl_text("%s", record ? record : "-"));
    }
}

static void print(const json_t *reply)
{
    const json_t *question = json_object_get(reply, "question"),
                 *decision = json_object_get(reply, "decision");
    const json_t *windows = json_object_get(reply, "windows"),
                 *policy = json_object_get(reply, "policy");
    const char *late = field_text(json_object_get(reply, "late"), "text", NULL);
    const char *hint = field_text(reply, "hint", NULL);

    say_client(json_object_get(reply, "client"));
    say("question",
        ctl_text("%s %s", field_text(question, "name", "-"), field_text(question, "type", "-")));
    say_real(json_object_get(reply, "real"));
    say_rules(json_object_get(reply, "rules"));
    say("decision",
        ctl_text("%s", field_text(decision, "text", field_text(decision, "reason", "-"))));
    if (late)
        say("late", ctl_text("%s", late));
    say_answer(json_object_get(reply, "answer"), field_text(decision, "outcome", "-"));
    if (json_is_object(windows))
        say("Windows",
            ctl_text("%s, %s", field_text(windows, "code", "-"), field_text(windows, "text", "-")));
    if (hint)
        say("to fill", ctl_text("%s", hint));
    say("policy", ctl_text("serial %lld, digest %s", field_number(policy, "serial"),
                           field_text(policy, "digest", "-")));
}

/* SUFFIX alone means the discovery name below it. Freed by the caller. */
static char *question_name(const struct ctl *c)
{
    struct name name;

    if (c->argc > 1 || (name_parse(&name, c->argv[0]) == 0 && name_is_vlmcs(&name)))
        return ctl_text("%s", c->argv[0]);
    return ctl_text("_vlmcs._tcp%s%s", c->argv[0][0] == '.' ? "" : ".", c->argv[0]);
}

static char *path_of(const struct ctl *c)
{
    const char *client = ctl_option(c, "--client"), *verdict = ctl_option(c, "--verdict");
    char *name = question_name(c), *e_name = url_escape(name),
         *e_type = url_escape(c->argc > 1 ? c->argv[1] : "SRV");
    char *e_client = url_escape(client ? client : "127.0.0.1"),
         *e_verdict = url_escape(verdict ? verdict : "");
    char *path = ctl_text("/v1/explain?name=%s&type=%s&client=%s%s%s", e_name, e_type, e_client,
                          verdict ? "&verdict=" : "", e_verdict);

    free(name);
    free(e_name);
    free(e_type);
    free(e_client);
    free(e_verdict);
    return path;
}

int daemon_explain(struct ctl *c)
{
    const char *client = ctl_option(c, "--client");
    struct addr address;
    json_t *reply;
    char *path;
    int code;

    if (client && addr_parse(&address, client, 0) < 0)
        return ctl_fail(EXIT_USAGE, "--client %s is no IP address", client);
    if (c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "explain has no CSV form; use --json");
    path = path_of(c);
    code = ctl_api_get(c, path, &reply);
    free(path);
    if (code == 0 && c->format == FORMAT_JSON)
        table_print_json(reply);
    else if (code == 0)
        print(reply);
    json_decref(reply);
    return code;
}
