/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_lists.c -- the verbs that print what the daemon lists (stats,
 * upstreams, cache get) or tell it to do something (reload, cache flush).
 */
#include "ctl/daemon.h"

#include <stdlib.h>

#include "ctl/table.h"

int daemon_stats(struct ctl *c)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT}, {"value", "value", COLUMN_NUMBER}, {0}};
    json_t *reply, *stats, *value, *rows;
    const char *name;
    int code = ctl_api_get(c, "/v1/stats", &reply);

    stats = json_object_get(reply, "stats");
    if (code == 0 && c->format == FORMAT_JSON) {
        table_print_json(reply);
    } else if (code == 0 && c->format == FORMAT_CSV) {
        rows = json_array();
        json_object_foreach(stats, name, value)
        {
            json_array_append_new(rows, json_pack("{s:s, s:O}", "name", name, "value", value));
        }
        table_print(c, "stats", columns, rows);
        json_decref(rows);
    } else if (code == 0) {
        json_object_foreach(stats, name, value)
        {
            if (json_is_real(value))
                ctl_line("%s %g", name, json_real_value(value));
            else
                ctl_line("%s %lld", name, (long long)json_integer_value(value));
        }
    }
    json_decref(reply);
    return code;
}

/* A server is a row, with its route's fields before its own. */
static json_t *server_rows(const json_t *routes)
{
    json_t *rows = json_array(), *route, *server, *row;
    size_t i, k;

    json_array_foreach(routes, i, route)
        json_array_foreach(json_object_get(route, "servers"), k, server)
    {
        row = json_copy(server);
        json_object_set(row, "zone", json_object_get(route, "zone"));
        json_object_set(row, "strategy", json_object_get(route, "strategy"));
        json_array_append_new(rows, row);
    }
    return rows;
}

int daemon_upstreams(struct ctl *c)
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
    json_t *reply, *rows;
    int code = ctl_api_get(c, "/v1/upstreams", &reply);

    if (code == 0 && c->format == FORMAT_JSON) {
        table_print_json(reply);
    } else if (code == 0) {
        rows = server_rows(json_object_get(reply, "routes"));
        table_print(c, "servers", columns, rows);
        json_decref(rows);
    }
    json_decref(reply);
    return code;
}

int daemon_reload(struct ctl *c)
{
    static const struct column columns[] = {{"key", "key", COLUMN_TEXT},
                                            {"was", "was", COLUMN_TEXT},
                                            {"is", "is", COLUMN_TEXT},
                                            {"when", "in use", COLUMN_TEXT},
                                            {0}};
    json_t *reply, *changed, *change, *body = json_object();
    int code = ctl_api_post(c, "/v1/reload", body, &reply);
    size_t i;

    json_decref(body);
    if (code == 0 && c->format == FORMAT_JSON) {
        table_print_json(reply);
    } else if (code == 0) {
        changed = json_object_get(reply, "changed");
        json_array_foreach(changed, i, change)
        {
            const char *when = field_true(change, "restart") ? "after a restart" : "now";

            json_object_set_new(change, "when", json_string(when));
        }
        if (json_array_size(changed) || c->format == FORMAT_CSV)
            table_print(c, "changed", columns, changed);
        else
            ctl_line("nothing changed");
        ctl_note("settings generation %lld is in use", field_number(reply, "generation"));
    } else if (code == EXIT_INVALID) {
        ctl_note("waymarkd goes on with the settings it has");
    }
    json_decref(reply);
    return code;
}

/* --- cache */

static void print_entry(const json_t *e)
{
    const json_t *records = json_object_get(e, "records"), *record;
    const char *server = field_text(e, "server", NULL);
    size_t i;

    ctl_line("%s %s  %s, %s, %lld s left, %lld s old%s%s", field_text(e, "name", "-"),
             field_text(e, "type", "-"), field_text(e, "rcode", "-"), field_text(e, "kind", "-"),
             field_number(e, "ttl_s"), field_number(e, "age_s"), server ? ", from " : "",
             server ? server : "");
    json_array_foreach(records, i, record)
    {
        const char *text = json_string_value(record);

        ctl_line("  %s", text ? text : "-");
    }
}

int daemon_cache_get(struct ctl *c)
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
    char *name = url_escape(c->argv[0]), *type = url_escape(c->argc > 1 ? c->argv[1] : "");
    char *path = ctl_text("/v1/cache/%s%s%s", name, *type ? "?type=" : "", type);
    json_t *reply;
    const json_t *entries, *entry;
    size_t i;
    int code = ctl_api_get(c, path, &reply);

    entries = json_object_get(reply, "entries");
    if (code == 0 && c->format == FORMAT_JSON)
        table_print_json(reply);
    else if (code == 0 && c->format == FORMAT_CSV)
        table_print(c, "entries", columns, entries);
    else if (code == 0)
        json_array_foreach(entries, i, entry)
        {
            print_entry(entry);
        }
    json_decref(reply);
    free(path);
    free(type);
    free(name);
    return code;
}

int daemon_cache_flush(struct ctl *c)
{
    bool all = ctl_option(c, "--all") != NULL, below = ctl_option(c, "--below") != NULL;
    json_t *body, *reply;
    int code;

    if (all ? c->argc > 0 || below : c->argc == 0)
        return ctl_fail(
            EXIT_USAGE,
            "what is to be forgotten? waymarkctl cache flush NAME | --below NAME | --all");
    if (all)
        body = json_pack("{s:b}", "all", 1);
    else
        body = json_pack("{s:s, s:b}", "name", c->argv[0], "below", below);
    if (body == NULL)
        return ctl_fail(EXIT_USAGE, "%s is not UTF-8", c->argv[0]);
    code = ctl_api_post(c, "/v1/cache/flush", body, &reply);
    json_decref(body);
    if (code == 0 && c->format == FORMAT_JSON)
        table_print_json(reply);
    else if (code == 0)
        ctl_line("%lld %s forgotten", field_number(reply, "flushed"),
                 field_number(reply, "flushed") == 1 ? "entry" : "entries");
    json_decref(reply);
    return code;
}
