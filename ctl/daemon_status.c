/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_status.c -- `status`: the daemon on one screen. What needs a person
 * is a line that begins with "! ", and makes the exit code 7.
 */
#include "ctl/daemon.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "ctl/table.h"

enum { LABEL = 10 };

static void say(const char *label, char *text)
{
    ctl_line("%-*s%s", LABEL, label, text);
    free(text);
}

static const char *moment(const json_t *object, const char *key, char out[NUMBER_TEXT])
{
    long long ms = field_number(object, key);

    if (ms <= 0)
        return "never";
    return time_print_local((uint64_t)ms, out);
}

/* Its name, be it given as such or as a number. */
static char *user_text(const json_t *s)
{
    const json_t *uid = json_object_get(s, "user");
    const struct passwd *pw =
        json_is_integer(uid) ? getpwuid((uid_t)json_integer_value(uid)) : NULL;

    if (pw)
        return ctl_text("%s", pw->pw_name);
    if (json_is_integer(uid))
        return ctl_text("%lld", field_number(s, "user"));
    return ctl_text("%s", field_text(s, "user", "-"));
}

static void say_head(const json_t *s)
{
    long long up = field_number(s, "uptime_s");
    char since[NUMBER_TEXT], span[64], *user = user_text(s);

    if (up >= 86400)
        snprintf(span, sizeof span, "%lld d %lld h", up / 86400, up % 86400 / 3600);
    else if (up >= 3600)
        snprintf(span, sizeof span, "%lld h %lld m", up / 3600, up % 3600 / 60);
    else
        snprintf(span, sizeof span, "%lld m %lld s", up / 60, up % 60);
    say("waymarkd", ctl_text("%s on %s, process %lld, user %s, up %s (since %s)",
                             field_text(s, "version", "-"), field_text(s, "name", "-"),
                             field_number(s, "pid"), user, span, moment(s, "started", since)));
    free(user);
}

static void say_listen(const json_t *s)
{
    char *listen = field_joined(json_object_get(s, "listen"), NULL, " ");

    say("listens", ctl_text("%s, %lld worker%s", listen, field_number(s, "workers"),
                            field_number(s, "workers") == 1 ? "" : "s"));
    free(listen);
}

static void say_settings(const json_t *settings)
{
    char when[NUMBER_TEXT];

    say("settings",
        ctl_text("%s, generation %lld, read %s", field_text(settings, "file", "defaults"),
                 field_number(settings, "generation"), moment(settings, "read", when)));
}

static void say_reverse(const json_t *zones)
{
    char *text = field_joined(zones, NULL, " ");

    if (text[0] != '\0')
        say("reverse",
            ctl_text("answered here, since all servers of route . are public: %s", text));
    free(text);
}

/* Why a store is not open is among the problems. */
static void say_policy(const json_t *p, const char *mode)
{
    if (!field_true(p, "open")) {
        say("policy", ctl_text("not open: no rule acts"));
        return;
    }
    if (json_is_null(json_object_get(p, "serial"))) {
        say("policy", ctl_text("open; what its state is cannot be read"));
        return;
    }
    say("policy",
        ctl_text("serial %lld, digest %s; %lld rules, %lld suffixes, %lld networks, %lld pools, "
                 "%lld approved",
                 field_number(p, "serial"), field_text(p, "digest", "-"), field_number(p, "rules"),
                 field_number(p, "suffixes"), field_number(p, "networks"), field_number(p, "pools"),
                 field_number(p, "approved")));
    if (strcmp(mode, "live") != 0)
        say("", ctl_text("kms.mode is %s: %s", mode,
                         strcmp(mode, "off") == 0 ? "no rule acts"
                                                  : "rules are recorded, not delivered"));
}

static void say_audit(const json_t *a)
{
    char when[NUMBER_TEXT];

    if (!field_true(a, "open")) {
        say("audit", ctl_text("not open: nothing is recorded"));
        return;
    }
    say("audit", ctl_text("%lld questions: %lld recorded, %lld counted, %lld dropped, %lld "
                          "waiting; last commit %s",
                          field_number(a, "questions"), field_number(a, "recorded"),
                          field_number(a, "counted"), field_number(a, "dropped"),
                          field_number(a, "pending"), moment(a, "last_commit", when)));
}

static void say_cache(const json_t *c)
{
    long long hits = field_number(c, "hits"), all = hits + field_number(c, "misses");
    double percent = all > 0 ? 100.0 * (double)hits / (double)all : 0;

    say("cache", ctl_text("%lld entries, %.1f of %.1f MiB, %.1f %% of %lld look-ups hit",
                          field_number(c, "entries"), (double)field_number(c, "bytes") / 1048576,
                          (double)field_number(c, "size") / 1048576, percent, all));
}

static int say_problems(const json_t *problems)
{
    const json_t *problem;
    size_t i;

    json_array_foreach(problems, i, problem)
    {
        const char *text = json_string_value(problem);

        ctl_line("! %s", text ? text : "-");
    }
    return json_array_size(problems) ? EXIT_PROBLEMS : EXIT_DONE;
}

int daemon_status(struct ctl *c)
{
    json_t *s;
    int code;

    if (c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "status has no CSV form; use --json");
    code = ctl_api_get(c, "/v1/status", &s);
    if (code == 0 && c->format == FORMAT_JSON) {
        table_print_json(s);
        code = json_array_size(json_object_get(s, "problems")) ? EXIT_PROBLEMS : EXIT_DONE;
    } else if (code == 0) {
        say_head(s);
        say_listen(s);
        say_settings(json_object_get(s, "settings"));
        say_reverse(json_object_get(s, "local_reverse"));
        say_policy(json_object_get(s, "policy"), field_text(s, "kms_mode", "live"));
        say_audit(json_object_get(s, "audit"));
        say_cache(json_object_get(s, "cache"));
        say("queries", ctl_text("%lld, of them %lld for a KMS host", field_number(s, "queries"),
                                field_number(s, "kms_questions")));
        code = say_problems(json_object_get(s, "problems"));
    }
    json_decref(s);
    return code;
}
