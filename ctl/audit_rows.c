/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_rows.c -- from the options of an audit verb to rows of the database.
 *
 * The values of the options become a temporary table, asked(option,value); the conditions
 * are constant text that looks there. A list is read in steps, each a transaction of its
 * own: the first puts the numbers of the wanted rows, in their order, into a temporary
 * table; the others read the rows, a thousand at a time.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <netdb.h>

#include "wire/present.h"

enum { CHUNK = 1000, SQL_TEXT = 16384, BARS = 12 };
static const uint64_t hour_ms = 3600000;

/* clang-format off */
#define ANY(option, test) "EXISTS(SELECT 1 FROM asked WHERE option='" option "' AND " test ")"
#define ONE_OF(option) option " IN(SELECT value FROM asked WHERE option='" option "')"
#define SUFFIX "(" ONE_OF("suffix") " OR " ANY("below", "substr(suffix,-length(value))=value") ")"

static const struct filter {
    unsigned bit;
    const char *option; /* and, behind the dashes, its name in asked */
    const char *events, *own; /* the condition on an event, on a row of its own table */
} filters[] = {
    {OF_CLIENT, "--client", ANY("client", "within(address,value)"), ANY("client", "within(address,value)")},
    {OF_NETWORK, "--network", ANY("network", "instr(' '||networks||' ',' '||value||' ')>0"), NULL},
    {OF_SUFFIX, "--suffix", SUFFIX, SUFFIX},
    {OF_OUTCOME, "--outcome", ONE_OF("outcome"), NULL},
    {OF_RULE, "--rule", ONE_OF("rule"), ONE_OF("rule")},
    {OF_TARGET, "--target", ANY("target", "instr(lower(' '||real_hosts||' '||answer||' '),value)>0"),
     ANY("target", "instr(' '||target||' ',value)>0")},
    {OF_NO_HOST, "--no-host", NULL, "no_host_since IS NOT NULL"},
    {OF_UNAPPROVED, "--unapproved", NULL, "unapproved_since>0"},
    {OF_ADDRESS, NULL, NULL, ONE_OF("address")},
    {OF_PICKED, NULL, NULL, "sequence IN(SELECT id FROM picked)"},
};
/* clang-format on */

/* Takes a value of the option as it stands in the database, or says what is wrong. */
static int read_filter_option(struct audit *a, const struct filter *f, const char *text)
{
    bool below = f->bit == OF_SUFFIX && strncmp(text, "*.", 2) == 0;
    char value[NAME_TEXT + 16], meant[DIAG_MEANT];
    size_t len = strcspn(text, ":");
    struct prefix prefix;
    struct name name;
    uint64_t port = 0;

    a->given |= f->bit;
    str_copy(value, sizeof value, text);
    if (f->bit == OF_CLIENT && prefix_parse(&prefix, text) != NULL)
        return ctl_fail(EXIT_USAGE, "--client %s: not an address or prefix", text);
    if (f->bit == OF_OUTCOME && str_index(outcome_names + 1, text) < 0)
        return ctl_fail(EXIT_USAGE, "--outcome %s: no such outcome%s", text,
                        diag_meant(text, outcome_names + 1, meant));
    if (f->bit == OF_SUFFIX) { /* or the whole name, as it stands in an event */
        if (name_parse(&name, below ? text + 2 : text) != 0)
            return ctl_fail(EXIT_USAGE, "--suffix %s: not a domain name", text);
        name_fold(&name);
        if (name_is_vlmcs(&name))
            name_parent(&name, 2, &name);
        value[0] = '.';
        name_print(&name, below ? value + 1 : value);
    }
    if (f->bit == OF_TARGET) { /* as it stands between spaces in a list, or without the port */
        snprintf(value, sizeof value, "%.*s", (int)len, text);
        if (name_parse(&name, value) != 0 ||
            (text[len] == ':' &&
             (number_parse(&port, text + len + 1, UINT16_MAX) != 0 || port == 0)))
            return ctl_fail(EXIT_USAGE, "--target %s: not a HOST or HOST:PORT", text);
        name_fold(&name);
        value[0] = ' ';
        name_print(&name, value + 1);
        snprintf(value + strlen(value), 16, port > 0 ? ":%u " : ":", (unsigned)port);
    }
    return json_array_append_new(
        a->asked, json_pack("[s,o]", below ? "below" : f->option + 2, audit_json_text(value)));
}

static int read_sort(struct audit *a, const struct column *columns)
{
    const char *names[64] = {NULL};
    char meant[DIAG_MEANT];

    a->sort = ctl_option(a->c, "--sort");
    if (a->sort == NULL)
        return 0;
    if (a->sort[0] == '+' || a->sort[0] == '-') {
        a->order_given = true;
        a->ascending = *a->sort++ == '+';
    }
    for (int n = 0; n < 63 && columns[n].key != NULL; n++)
        names[n] = columns[n].key;
    if (str_index(names, a->sort) >= 0)
        return 0;
    return ctl_fail(EXIT_USAGE, "--sort %s: no such column%s (those of --csv)", a->sort,
                    diag_meant(a->sort, names, meant));
}

int audit_code(struct audit *a, int err)
{
    if (err >= 0)
        return 0;
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED, "%s is damaged: put back a backup, or move it away", a->path);
    if (err == -ETIMEDOUT)
        return ctl_fail(EXIT_FAILED,
                        "%s: this takes too long: ask for less, with --since or --limit", a->path);
    return ctl_store_error(a->c, a->path, err);
}

int audit_open(struct audit *a, struct diags *d)
{
    struct audit_store *store = NULL;
    int rc = audit_store_open(&store, a->path, 0, d);
    char *asked;

    if (rc == -ENOENT && a->store == NULL) {
        ctl_note("no audit yet: %s is empty, waymarkd has recorded nothing", a->path);
        a->absent = true;
        rc = audit_store_open(&store, NULL, 0, d);
    }
    if (rc != 0)
        return rc;
    audit_store_close(a->store);
    a->store = store;
    asked = json_dumps(a->asked, 0);
    rc = audit_query(a->store,
                     "CREATE TEMP TABLE asked AS SELECT value->>0 AS option,value->>1 AS value "
                     "FROM json_each(?)",
                     asked, NULL);
    free(asked);
    return rc;
}

int audit_begin(struct audit *a, struct ctl *c, const struct column *sortable, const char *address)
{
    const char *text;
    struct diags d;
    uint64_t n = 0;
    int code, rc;

    *a = (struct audit){.c = c, .asked = json_array()};
    a->path = ctl_text("%s/audit", c->settings->server.state_dir);
    if ((code = ctl_number(c, "--since", 0, &a->since_ms)) != 0 ||
        (code = ctl_number(c, "--until", 0, &a->until_ms)) != 0 ||
        (code = ctl_number(c, "--limit", INT32_MAX, &n)) != 0 ||
        (sortable != NULL && (code = read_sort(a, sortable)) != 0))
        return code;
    a->limit = ctl_option(c, "--limit") != NULL && n == 0 ? -1 : (long long)n;
    if (a->until_ms > 0 && a->since_ms >= a->until_ms)
        return ctl_fail(EXIT_USAGE, "--since is not before --until");
    for (const struct filter *f = filters; f->option != NULL; f++)
        for (int i = 0; code == 0 && (text = ctl_option_at(c, f->option, i)) != NULL; i++)
            code = read_filter_option(a, f, text);
    if (address != NULL) {
        (void)json_array_append_new(a->asked, json_pack("[s,s]", "address", address));
        a->given |= OF_ADDRESS;
    }
    if (code != 0 || (code = ctl_become_user(c)) != 0)
        return code;
    diags_init(&d);
    rc = audit_open(a, &d);
    code = rc == -EBADMSG && d.n > 0 ? ctl_fail(EXIT_FAILED, "%s", d.list[0]) : audit_code(a, rc);
    diags_fini(&d);
    return code;
}

void audit_end(struct audit *a)
{
    audit_store_close(a->store);
    json_decref(a->asked);
    free(a->path);
}

int audit_run(struct audit *a, json_t *rows, const char *fmt, ...)
{
    char sql[SQL_TEXT];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(sql, sizeof sql, fmt, args);
    va_end(args);
    return audit_code(a, n < SQL_TEXT ? audit_query(a->store, sql, NULL, rows) : -EMSGSIZE);
}

static void add_terms(struct str *sql, const struct audit *a, unsigned of, bool own)
{
    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        if ((a->given & of & filters[i].bit) != 0)
            str_addf(sql, " AND %s", own ? filters[i].own : filters[i].events);
}

const char *audit_where(const struct audit *a, char out[AUDIT_WHERE])
{
    struct str sql;

    str_init(&sql, out, AUDIT_WHERE);
    if (a->since_ms > 0)
        str_addf(&sql, " AND ms>=%llu", (unsigned long long)a->since_ms);
    if (a->until_ms > 0)
        str_addf(&sql, " AND ms<%llu", (unsigned long long)a->until_ms);
    add_terms(&sql, a, OF_EVENTS, false);
    return out;
}

/* The ledger knows the last event of each hour. Workers and a corrected clock put times
 * a little out of sequence: an hour more at each end. */
int audit_span(struct audit *a, long long *first, long long *last)
{
    const long long since = (long long)(a->since_ms / hour_ms);
    const long long until = (long long)(a->until_ms / hour_ms);
    long long ends[2] = {0};
    int code = audit_number(a, ends,
                            "SELECT max((SELECT ifnull(min(id),1) FROM event),"
                            "(SELECT ifnull(max(event),0) FROM main.hour WHERE id<%lld)),"
                            "ifnull((SELECT event FROM main.hour WHERE id>%lld AND event>0 "
                            "ORDER BY id LIMIT 1),(SELECT max(id) FROM event))",
                            since - 1, until > 0 ? until + 1 : INT64_MAX);

    *first = ends[0];
    *last = ends[1];
    return code;
}

/* "name": PTR as of now. */
static void add_names(struct audit *a, json_t *rows)
{
    json_t *known = json_object(), *row;
    size_t i, n = json_array_size(rows);
    struct sockaddr_storage sa;
    char host[NI_MAXHOST];
    struct addr client;

    json_array_foreach(rows, i, row)
    {
        const char *address = json_string_value(json_object_get(row, "address"));

        if (address == NULL)
            continue;
        if (json_object_get(known, address) == NULL)
            (void)json_object_set_new(known, address,
                                      addr_parse(&client, address, 0) == 0 &&
                                              getnameinfo((struct sockaddr *)&sa,
                                                          addr_to_sockaddr(&client, &sa), host,
                                                          sizeof host, NULL, 0, NI_NAMEREQD) == 0
                                          ? audit_json_text(host)
                                          : json_null());
        (void)json_object_set(row, "name", json_object_get(known, address));
        if (a->c->stderr_tty && n > 20)
            fprintf(stderr, "\rnames: %zu of %zu%s", i + 1, n, i + 1 == n ? "\n" : "");
    }
    json_decref(known);
}

/* What waymarkd knows of the hosts of pools among the targets, if it runs. */
static void add_states(const struct audit *a, json_t *rows)
{
    json_t *health = ctl_api_get(a->c, "/v1/health"), *known = json_object(), *one;
    size_t i;

    json_array_foreach(json_object_get(health, "hosts"), i, one)
    {
        char *target = ctl_text("%s:%d", json_string_value(json_object_get(one, "host")),
                                (int)json_integer_value(json_object_get(one, "port")));

        json_object_set(known, target, one);
        free(target);
    }
    json_array_foreach(rows, i, one)
    {
        const char *target = json_string_value(json_object_get(one, "target"));
        const json_t *is = target ? json_object_get(known, target) : NULL;

        json_object_set(one, "state", json_object_get(is, "state"));
        json_object_set(one, "state_since", json_object_get(is, "since"));
        json_object_set(one, "last_error", json_object_get(is, "last_error"));
    }
    json_decref(known);
    json_decref(health);
}

int audit_bars(struct audit *a, const struct audit_list *l, const char *label, const char *value,
               json_t *rows)
{
    char asked[AUDIT_WHERE];
    struct str s;

    str_init(&s, asked, sizeof asked);
    add_terms(&s, a, l->own, true);
    return audit_run(a, rows,
                     "SELECT %s AS label,%s AS value FROM (SELECT %s FROM %s) WHERE 1%s GROUP BY 1 "
                     "ORDER BY 2 DESC,1 LIMIT %d",
                     label, value, l->select, l->table, asked, BARS);
}

int audit_rows(struct audit *a, const struct audit_list *l, long long limit, json_t *rows)
{
    const char *key = a->sort != NULL ? a->sort : l->order, *mark;
    const struct column *k = l->columns;
    size_t before = 1, n = 0;
    bool up = a->ascending;
    char asked[AUDIT_WHERE];
    struct str s;
    int code;

    str_init(&s, asked, sizeof asked);
    add_terms(&s, a, l->own, true);
    while (k->key != NULL && strcmp(k->key, key) != 0)
        k++;
    if (!a->order_given) /* words from a to z, all else from the largest, what is unknown last */
        up = a->sort != NULL && k->kind == COLUMN_TEXT;
    mark = k->kind == COLUMN_LIST || k->kind == COLUMN_FLAG ? "[]" : "";
    code = audit_run(a, NULL,
                     "DROP TABLE IF EXISTS temp.page;"
                     "CREATE TEMP TABLE page(place INTEGER PRIMARY KEY,row)");
    if (code == 0)
        code = audit_run(a, NULL,
                         "INSERT INTO page(row) SELECT row FROM (SELECT %s AS row,%s FROM %s)"
                         " WHERE 1%s ORDER BY %s(\"%s%s\")%s LIMIT %lld",
                         l->id, l->select, l->table, asked,
                         k->kind == COLUMN_LIST ? "json_array_length" : "", key, mark,
                         up ? " ASC NULLS LAST" : " DESC", limit);
    for (int place = 0; code == 0 && n != before; place += CHUNK) {
        before = json_array_size(rows);
        code = audit_run(a, rows,
                         "SELECT %s FROM page p CROSS JOIN %s ON %s=p.row "
                         "WHERE place>%d AND place<=%d ORDER BY place",
                         l->select, l->table, l->id, place, place + CHUNK);
        n = json_array_size(rows);
    }
    if (code == 0 && ctl_option(a->c, "--names") != NULL)
        add_names(a, rows);
    if (code == 0 && strcmp(l->columns->key, "target") == 0)
        add_states(a, rows);
    return code;
}

int audit_print(struct audit *a, const struct audit_list *l, long long limit)
{
    const bool table = a->c->format == FORMAT_TABLE;
    json_t *rows = json_array();
    int code = audit_rows(a, l, limit, rows);
    size_t n = json_array_size(rows);

    if (code == 0 && (!table || n > 0))
        table_print(a->c, l->plural, l->columns, rows);
    else if (code == 0 && !a->absent)
        ctl_note("no %s match", l->plural);
    if (code == 0 && a->limit == 0 && (long long)n == limit)
        ctl_note("the newest %lld %s; --limit 0 prints all", limit, l->plural);
    if (code == 0 && table && !a->absent)
        ctl_note("%s", l->foot);
    json_decref(rows);
    return code;
}
