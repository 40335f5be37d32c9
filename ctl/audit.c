/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.c -- the audit verbs: tables of the ledger, events, one client's story and the
 * summary.
 *
 * The ledger answers what it can; where a filter asks for what only events know, audit_narrow()
 * makes it anew from those that pass. A new table is a row of lists[], its columns and a verb.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "audit/encode.h"
#include "audit/verify.h"
#include "audit/writer.h"

enum { SQL_ROWS = 100000, SQL_COLUMNS = 60 };
enum { STORY = 20 /* events of a client */, PRINT_STEP = 1000 };
enum { TABLE_LIMIT = 1000, CSV_LIMIT = 1000000, FOLLOW_FIRST = 10, FOLLOW_MS = 500 };
static const long long day_ms = 86400000, hour_ms = 3600000;

/* clang-format off */
#define NUMBER(key, rank) {key, NULL, COLUMN_NUMBER, rank}
#define WIDE(name) NUMBER(#name, WIDEST),
#define ASKED NUMBER("clients", 0), NUMBER("questions", WIDEST), NUMBER("attempts", 0)

const struct column audit_client_columns[] = {
    {"address", "CLIENT", COLUMN_TEXT, 0},
    {"name", NULL, COLUMN_TEXT, 1},
    {"first_asked", NULL, COLUMN_TIME, WIDEST},
    {"last_asked", NULL, COLUMN_TIME, 2},
    NUMBER("questions", WIDEST), NUMBER("attempts", 4),
    SQL_OUTCOMES(WIDE) NUMBER("update", WIDEST),
    {"last_outcome", "LAST", COLUMN_TEXT, 0},
    {"suffixes", NULL, COLUMN_LIST, 6},
    {"last_host", NULL, COLUMN_TEXT, 3},
    {"last_host_at", "GIVEN", COLUMN_TIME, WIDEST},
    {"no_host_since", NULL, COLUMN_TIME, 1},
    {"cadence_ms", "EVERY", COLUMN_DURATION_MS, 5},
    {0}};
static const struct column suffix_columns[] = {
    {"suffix", NULL, COLUMN_TEXT, 0},
    ASKED,
    NUMBER("passed", 5), NUMBER("filled", 5), NUMBER("replaced", WIDEST),
    NUMBER("filtered", WIDEST), NUMBER("denied", WIDEST), NUMBER("missing", 4),
    NUMBER("failed", 5), NUMBER("blocked", WIDEST), NUMBER("update", WIDEST),
    {"last_verdict", "REAL DNS", COLUMN_TEXT, 2},
    {"last_outcome", "LAST", COLUMN_TEXT, 1},
    {"last_rule", "RULE", COLUMN_TEXT, 3},
    {"first_asked", NULL, COLUMN_TIME, WIDEST},
    {"last_asked", NULL, COLUMN_TIME, 2},
    {0}};
const struct column audit_target_columns[] = {
    {"target", NULL, COLUMN_TEXT, 0},
    NUMBER("clients", 0), {"questions", "SEEN", COLUMN_NUMBER, 0}, NUMBER("attempts", WIDEST), NUMBER("delivered", 0),
    {"unapproved", NULL, COLUMN_FLAG, 0},
    {"differs", NULL, COLUMN_TEXT, 4}, {"unapproved_since", "SINCE", COLUMN_TIME, 4},
    {"asked_by", NULL, COLUMN_TEXT, 4}, {"through", NULL, COLUMN_TEXT, 5},
    {"state", NULL, COLUMN_TEXT, 2}, {"state_since", "STATE SINCE", COLUMN_TIME, 4}, {"last_error", "LAST ERROR", COLUMN_TEXT, 4},
    SQL_OUTCOMES(WIDE) NUMBER("update", WIDEST),
    {"last_outcome", "LAST", COLUMN_TEXT, 2},
    {"last_rule", "RULE", COLUMN_TEXT, WIDEST},
    {"first_asked", "FIRST SEEN", COLUMN_TIME, WIDEST},
    {"last_asked", "LAST SEEN", COLUMN_TIME, 1},
    {0}};
static const struct column rule_columns[] = {
    {"rule", NULL, COLUMN_TEXT, 0},
    ASKED,
    NUMBER("would", 0),
    NUMBER("passed", 3), NUMBER("filled", 1), NUMBER("replaced", 2),
    NUMBER("filtered", 4), NUMBER("denied", 3), NUMBER("missing", WIDEST),
    NUMBER("failed", WIDEST), NUMBER("blocked", WIDEST), NUMBER("update", WIDEST),
    {"last_outcome", "LAST", COLUMN_TEXT, WIDEST},
    {"first_asked", "FIRST USED", COLUMN_TIME, WIDEST},
    {"last_asked", "LAST USED", COLUMN_TIME, 1},
    {0}};

/* The outcomes of a row in words: "7 filled, 2 missing". */
#define TOLD(name) "||iif(" #name ">0,', '||" #name "||' " #name "','')"
#define OUTCOMES(update) "ifnull(nullif(substr(''" SQL_OUTCOMES(TOLD) \
    "||iif(" update ">0,', '||" update "||' update',''),3),''),'-') AS outcomes"

static const struct audit_list lists[] = {
    {"clients", OF_CLIENT | OF_NO_HOST, "client n", "n.id", AUDIT_CLIENTS(SQL_ISO), "last_asked", audit_client_columns,
     "A client is an address: NAT hides many behind one, DHCP gives one to many. "
     "A client that asks another resolver, or has a host cached, is not listed."},
    {"suffixes", OF_SUFFIX, "suffix n", "n.id", SQL_NAMES(SQL_MS, AUDIT_COUNTS, "suffix"), "attempts", suffix_columns,
     "A client that is given a host for its first suffix does not ask for its others. "
     "Questions to other resolvers are not counted."},
    {"targets", OF_TARGET | OF_UNAPPROVED, "host n", "n.id",
     AUDIT_TARGETS, "questions", audit_target_columns,
     "A host that was delivered need not be in use: DNS does not show whether the client reaches it, "
     "nor which host it has cached."},
    {"rules", OF_RULE, "rule n", "n.id", SQL_NAMES(SQL_MS, AUDIT_COUNTS ",would", "rule"), "attempts", rule_columns,
     "A rule that never acted is not listed: see waymarkctl policy check."},
};

#define SUM(name) ",ifnull(sum(" #name "),0) AS " #name
#define META(key) "(SELECT value FROM meta WHERE name='" key "') AS " key
static const char summary_sql[] =
    "SELECT %lld AS since,%lld AS until,*," OUTCOMES("\"update\"") ","
    "recorded+counted+dropped AS all_questions,(recorded+counted+dropped)||' = '||recorded||' recorded + '||"
    "counted||' counted + '||dropped||' dropped' AS account,(store_bytes/1024)||'K' AS store_size FROM"
    " (SELECT ifnull(sum(questions),0) AS questions,ifnull(sum(attempts),0) AS attempts" SQL_OUTCOMES(SUM)
    ",ifnull(sum(updates),0) AS \"update\""
    " FROM hour WHERE id>=%lld AND id*3600000<%lld),"
    "(SELECT count(*) AS clients,ifnull(sum(no_host_since>0),0) AS clients_without_host FROM client),"
    "(SELECT count(*) AS suffixes FROM main.suffix WHERE name<>'(other)'),"
    "(SELECT " META("recorded") "," META("counted") "," META("dropped") "),"
    "(SELECT ifnull((SELECT max(id) FROM event)-(SELECT min(id) FROM event)+1,0) AS records,"
    "(SELECT ms FROM event ORDER BY id LIMIT 1) AS first_record,"
    "(SELECT ms FROM event ORDER BY id DESC LIMIT 1) AS last_record),"
    "(SELECT (SELECT lower(hex(head)) FROM chain ORDER BY id DESC LIMIT 1) AS chain_head),"
    "(SELECT 4096*(page_count-freelist_count) AS store_bytes FROM pragma_page_count,pragma_freelist_count)";

/* clang-format on */

static int run_list(struct ctl *c)
{
    const struct audit_list *l = lists;
    struct audit a;
    int code;

    while (strcmp(l->plural, c->verb->verb) != 0)
        l++;
    code = audit_begin(&a, c, l->columns, NULL);
    if (code == 0)
        code = audit_narrow(&a, l->own);
    if (code == 0)
        code = audit_print(&a, l, a.limit != 0 ? a.limit : -1);
    audit_end(&a);
    return code;
}

/* clang-format off */
static const struct column event_columns[] = {
    {"time", NULL, COLUMN_TIME, 0},
    {"sequence", NULL, COLUMN_NUMBER, WIDEST},
    {"forwarder", NULL, COLUMN_TEXT, WIDEST},
    {"address", "CLIENT", COLUMN_TEXT, 0},
    {"name", "CLIENT NAME", COLUMN_TEXT, 1},
    {"question", "NAME", COLUMN_TEXT, 0},
    {"type", NULL, COLUMN_TEXT, WIDEST},
    {"repeat", NULL, COLUMN_FLAG, WIDEST},
    {"outcome", NULL, COLUMN_TEXT, 0},
    {"reason", NULL, COLUMN_TEXT, 5},
    {"rule", NULL, COLUMN_TEXT, 3},
    {"verdict", NULL, COLUMN_TEXT, 4},
    {"answer", NULL, COLUMN_LIST, 2},
    {"client_error", "WINDOWS SHOWS", COLUMN_TEXT, WIDEST},
    {"policy_serial", "SERIAL", COLUMN_NUMBER, WIDEST},
    {"latency_us", "LATENCY", COLUMN_NUMBER, WIDEST},
    {0}};

/* The hosts of the answer, or what it is without one. */
#define ANSWER "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'NODATA' ELSE ifnull(response,'') END"

#define LINE SQL_LOCAL("ms") "||printf('  %-15s  ',ifnull(address,'-'))||ifnull(question||'  ','')||" SQL_WORDS
/* The sentence of a control record stands in the widest cell. */
static const struct audit_list event_list = {
    "events", OF_PICKED, "events", "sequence",
    "ms AS time,sequence,forwarder,address,iif(kind='event',question," SQL_WORDS ") AS question,"
    "type,iif(kind='event'," SQL_BOOL("repeat") ",NULL) AS \"repeat[]\",iif(kind='event',outcome,kind) AS outcome,"
    "reason,rule,verdict," SQL_LIST(ANSWER) " AS \"answer[]\",client_error,policy_serial,latency_us",
    "sequence", event_columns,
    "A client with a cached host asks nothing. NAT and DHCP blur who asked. Questions to other resolvers are not recorded."};
/* clang-format on */

/* All that pass with numbers above *after, as they are read: ECS objects, or texts. */
static int print_lines(struct audit *a, const char *select, long long *after)
{
    const size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
    char where[AUDIT_WHERE];
    long long first, last;
    int code = audit_span(a, &first, &last);
    size_t i;

    audit_where(a, where);
    if (*after < first - 1)
        *after = first - 1;
    while (code == 0 && *after < last) {
        long long end = *after + PRINT_STEP < last ? *after + PRINT_STEP : last;
        json_t *rows = json_array(), *row;

        code = audit_run(a, rows,
                         "SELECT %s FROM events WHERE sequence>%lld AND sequence<=%lld%s "
                         "ORDER BY sequence",
                         select, *after, end, where);
        json_array_foreach(rows, i, row)
        {
            const json_t *line = json_object_get(row, "line");

            if (a->c->format != FORMAT_JSON) {
                ctl_line("%s", json_string_value(line));
                continue;
            }
            json_dumpf(line, stdout, JSON_COMPACT | ascii);
            putchar('\n');
        }
        if (ferror(stdout))
            code = EXIT_FAILED;
        *after = end;
        json_decref(rows);
    }
    return code;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Until it is interrupted, in whatever it does; the database may come to be meanwhile. */
static int follow(struct audit *a, const char *select, long long after)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    int code = 0;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    a->since_ms = 0;
    while (!interrupted && code == 0) {
        fflush(stdout);
        poll(NULL, 0, FOLLOW_MS);
        a->absent = a->absent && audit_open(a, NULL) != 0;
        if (!a->absent)
            code = print_lines(a, select, &after);
    }
    return code;
}

static int run_events(struct ctl *c)
{
    const bool json = c->format == FORMAT_JSON, follows = ctl_option(c, "-f") != NULL;
    const bool sorted = ctl_option(c, "--sort") != NULL, lines = json || follows;
    long long after = 0, last = 0, limit;
    const char *select = json ? SQL_ECS " AS \"line[]\"" : LINE " AS line";
    struct audit a;
    int code;

    if (follows && c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "-f prints lines or --json, not --csv");
    if (follows && (ctl_option(c, "--until") != NULL || sorted))
        return ctl_fail(EXIT_USAGE, "-f goes on for ever and in the order of time: --until and "
                                    "--sort do not fit");
    if (sorted && json)
        return ctl_fail(EXIT_USAGE,
                        "--json prints events in the order of time: --sort does not fit");
    code = audit_begin(&a, c, event_columns, NULL);
    a.given |= OF_PICKED;
    if (a.sort == NULL) /* as they came */
        a.order_given = a.ascending = true;
    limit = a.limit != 0                 ? a.limit
            : follows && a.since_ms == 0 ? FOLLOW_FIRST
            : lines                      ? -1
            : c->format == FORMAT_TABLE  ? TABLE_LIMIT
                                         : CSV_LIMIT;
    if (code == 0)
        code = audit_number(&a, &last, "SELECT max(id) FROM event");
    if (code == 0 && (limit > 0 || !lines))
        code = audit_pick(&a, limit);
    if (code == 0 && lines && limit > 0)
        code = audit_number(&a, &after, "SELECT ifnull(min(id)-1,%lld) FROM picked", last);
    if (code == 0)
        code = lines ? print_lines(&a, select, &after) : audit_print(&a, &event_list, limit);
    if (code == 0 && follows)
        code = follow(&a, select, after > last ? after : last);
    audit_end(&a);
    return code;
}

static const struct column story_fields[] = {
    {"address", "client", COLUMN_TEXT, 0},
    {"name", "name", COLUMN_TEXT, 0},
    {"first_asked", "first asked", COLUMN_TIME, 0},
    {"last_asked", "last asked", COLUMN_TIME, 0},
    {"questions", "questions", COLUMN_NUMBER, 0},
    {"attempts", "attempts", COLUMN_NUMBER, 0},
    {"outcomes", "outcomes", COLUMN_TEXT, 0},
    {"cadence_ms", "asks every", COLUMN_DURATION_MS, 0},
    {"last_host", "last host", COLUMN_TEXT, 0},
    {"last_host_at", "given", COLUMN_TIME, 0},
    {"no_host_since", "no host since", COLUMN_TIME, 0},
    {0},
};
static const struct column story_suffixes[] = {
    {"suffix", NULL, COLUMN_TEXT, 0},
    {"verdict", "REAL DNS", COLUMN_TEXT, 0},
    {"outcome", NULL, COLUMN_TEXT, 0},
    {"last_asked", NULL, COLUMN_TEXT, 0},
    {0},
};

/* clang-format off */
#define STORY(TIME) {"clients", OF_ADDRESS, "client n", "n.id", AUDIT_CLIENTS(TIME) "," OUTCOMES("updates"), \
    "last_asked", audit_client_columns, NULL}
static const struct audit_list story = STORY(SQL_ISO), story_told = STORY(SQL_LOCAL);
/* The client's events that pass, the newest, which are found first: each names the one before. */
#define STORY_EVENTS \
    "WITH RECURSIVE chain(row) AS(SELECT event FROM client WHERE name=" \
    "(SELECT value FROM asked WHERE option='address') UNION ALL SELECT e.previous FROM chain JOIN event e ON e.id=row)" \
    "SELECT json_group_array(%s) AS \"events[]\" FROM (SELECT * FROM (SELECT events.* FROM chain" \
    " CROSS JOIN events ON sequence=row WHERE 1%s LIMIT %lld) ORDER BY sequence)"
/* clang-format on */

int audit_client_name(const struct ctl *c, const char *text, char out[ADDR_TEXT])
{
    struct audit_privacy privacy = {.how = (enum audit_client)c->settings->audit.client_address};
    struct addr client;
    char dir[512];

    if (strncmp(text, "hmac:", 5) == 0 && str_copy(out, ADDR_TEXT, text))
        return 0;
    if (addr_parse(&client, text, 0) != 0)
        return ctl_fail(EXIT_USAGE, "%s: not an address", text);
    snprintf(dir, sizeof dir, "%s/audit", c->settings->server.state_dir);
    if (audit_privacy_read(&privacy, dir, false) != 0)
        return ctl_fail(EXIT_FAILED,
                        "audit.client-address is hmac, and %s/client.key cannot be read: ask as "
                        "root, or name the client as the audit does: hmac:...",
                        dir);
    audit_client_hide(client.ip, &privacy);
    audit_client_print(client.ip, out);
    return 0;
}

int audit_story(struct audit *a, json_t *rows)
{
    a->given |= OF_ADDRESS;
    return audit_rows(a, a->c->format == FORMAT_TABLE ? &story_told : &story, 1, rows);
}

static int run_client(struct ctl *c)
{
    const bool table = c->format == FORMAT_TABLE, json = c->format == FORMAT_JSON;
    json_t *rows, *row, *event;
    char address[ADDR_TEXT], where[AUDIT_WHERE];
    struct audit a;
    size_t i;
    int code;

    if ((code = audit_client_name(c, c->argv[0], address)) != 0)
        return code;
    rows = json_array();
    code = audit_begin(&a, c, NULL, address);
    if (code == 0 && (a.given & OF_CLIENT) != 0)
        code = ctl_fail(EXIT_USAGE, "--client does not fit: the client is named already");
    if (code == 0)
        code = audit_story(&a, rows);
    if (code == 0 && json_array_size(rows) == 0)
        code = ctl_fail(EXIT_NOT_FOUND, "%s asked for no KMS host, or not through this forwarder",
                        address);
    if (code == 0)
        code = audit_run(&a, rows, STORY_EVENTS,
                         json ? SQL_ECS : SQL_LOCAL("ms") "||'  '||question||'  '||" SQL_WORDS,
                         audit_where(&a, where), a.limit != 0 ? a.limit : STORY);
    row = json_array_get(rows, 0);
    if (code == 0) {
        (void)json_object_update(row, json_array_get(rows, 1));
        table_print(c, NULL, story_fields, row);
    }
    if (code == 0 && table) {
        const json_t *events = json_object_get(row, "events");

        putchar('\n');
        table_print(c, "suffixes", story_suffixes, json_object_get(row, "suffix_details"));
        fputs(json_array_size(events) > 0 ? "\n" : "", stdout);
        json_array_foreach(events, i, event) ctl_line("%s", json_string_value(event));
        if (json_array_size(events) == 0)
            ctl_note("Its events are older than audit.retention, or above the rates: the ledger is "
                     "all that is left.");
        ctl_note("An address is not a machine (NAT, DHCP). A machine with a cached host asks "
                 "nothing, and what it asks other resolvers is not seen here.");
    }
    json_decref(rows);
    audit_end(&a);
    return code;
}

/* Numbers stand right in a column where the first row has one. */
static int run_sql(struct ctl *c)
{
    struct column columns[SQL_COLUMNS + 1] = {{0}};
    json_t *names = json_array(), *rows = json_array(), *name;
    struct diags d;
    struct audit a;
    int code = audit_begin(&a, c, NULL, NULL), rc = 0;
    size_t i;

    diags_init(&d);
    if (code == 0)
        rc = audit_ask(a.store, c->argv[0], SQL_ROWS, names, rows, &d);
    if (rc == -EINVAL)
        code = ctl_fail(EXIT_INVALID, "audit sql: %s", d.list[0]);
    else if (code == 0 && json_array_size(names) > SQL_COLUMNS)
        code = ctl_fail(EXIT_INVALID, "audit sql: more than %d columns", (int)SQL_COLUMNS);
    else if (code == 0)
        code = audit_code(&a, rc);
    if (code == 0) {
        json_array_foreach(names, i, name)
        {
            const char *key = json_string_value(name);
            const json_t *first = json_object_get(json_array_get(rows, 0), key);
            int kind = json_is_number(first) ? COLUMN_NUMBER : COLUMN_TEXT;

            columns[i] = (struct column){key, key, kind, 0};
        }
        table_print(c, "rows", columns, rows);
    }
    if (code == 0 && rc == 1)
        ctl_note("the first %d rows; LIMIT and WHERE choose others", (int)SQL_ROWS);
    diags_fini(&d);
    json_decref(names);
    json_decref(rows);
    audit_end(&a);
    return code;
}

static const struct column summary_fields[] = {
    {"since", "since", COLUMN_TIME, 0},
    {"until", "until", COLUMN_TIME, 0},
    {"questions", "questions", COLUMN_NUMBER, 0},
    {"attempts", "attempts", COLUMN_NUMBER, 0},
    {"outcomes", "outcomes", COLUMN_TEXT, 0},
    {"clients", "clients", COLUMN_NUMBER, 0},
    {"clients_without_host", "without a host", COLUMN_NUMBER, 0},
    {"suffixes", "suffixes, ever", COLUMN_NUMBER, 0},
    {"account", "questions, ever", COLUMN_TEXT, 0},
    {"chain_head", "chain", COLUMN_TEXT, 0},
    {"records", "records kept", COLUMN_NUMBER, 0},
    {"first_record", "oldest record", COLUMN_TIME, 0},
    {"last_record", "newest record", COLUMN_TIME, 0},
    {"store_size", "store", COLUMN_TEXT, 0},
    {0},
};

/* The outcomes are those of the hours from --since to --until (7 days), from the
 * ledger; with any other filter, of the events that pass it. */
static int run_summary(struct ctl *c)
{
    const long long now = (long long)c->now.wall_ms;
    json_t *rows = json_array();
    struct audit a;
    int code = audit_begin(&a, c, NULL, NULL);
    long long until = a.until_ms > 0 ? (long long)a.until_ms : INT64_MAX, since;

    if (a.since_ms == 0)
        a.since_ms = now > 7 * day_ms ? (uint64_t)(now - 7 * day_ms) : 0;
    since = (long long)a.since_ms;
    if (code == 0 && (a.given & OF_EVENTS) != 0)
        code = audit_ledger(&a);
    if (code == 0)
        code = audit_run(&a, rows, summary_sql, since, a.until_ms > 0 ? until : now,
                         since / hour_ms, until);
    if (code == 0)
        table_print(c, NULL, summary_fields, json_array_get(rows, 0));
    if (code == 0 && c->format == FORMAT_TABLE)
        ctl_note("%s Clients with a cached host, behind NAT, or with other resolvers are not seen "
                 "here.",
                 a.given != 0 ? "The events that match are counted." : "Whole hours are counted.");
    json_decref(rows);
    audit_end(&a);
    return code;
}

static void show_progress(void *c, long long done, long long all)
{
    ctl_progress(c, "records", (size_t)done, (size_t)all);
}

/* clang-format off */
/* What the chain cannot prove, but its records tell. */
static const char told_sql[] =
    "SELECT (SELECT ms FROM event ORDER BY id LIMIT 1) AS since,"
    "(SELECT ms FROM event ORDER BY id DESC LIMIT 1) AS until,"
    "(SELECT ifnull(sum(count),0) FROM gaps WHERE kind='gap' AND note IS NULL) AS lost,"
    "(SELECT ifnull(sum(count),0) FROM gaps WHERE kind='prune') AS pruned,"
    "(SELECT max(at) FROM answer WHERE kind='prune') AS pruned_until,"
    "(SELECT count(*) FROM client WHERE name GLOB 'forgotten-*') AS forgotten,"
    "(SELECT count(*) FROM gaps WHERE kind='forget') AS forget_records,"
    "(SELECT json_group_array(" SQL_LOCAL("l.ms") "||' to '||" SQL_LOCAL("s.ms")
    "||iif(k.kind='stop','',' (killed)'))"
    " FROM answer a JOIN event s ON s.id=a.id JOIN event l ON l.id="
    "(SELECT x.id FROM event x LEFT JOIN answer y ON y.id=x.id WHERE x.id<s.id"
    " AND ifnull(y.kind,'') NOT IN('policy','settings') ORDER BY x.id DESC LIMIT 1)"
    " LEFT JOIN answer k ON k.id=l.id WHERE a.kind='start') AS \"not_running[]\"";
/* clang-format on */
static const struct ctl_row verify_rows[] = {
    {"chain", NULL,
     "[BROKEN: {broken}|{?last=0}no records|whole: records {first} to {last}, {since:time} to "
     "{until:time}]"},
    {"head", NULL, "[{?last=0}|{head}]"},
    {"wanted", NULL,
     "[it was the head at record {found}: all up to there is as it was|{?wanted}NOT FOUND: it is "
     "older than the records that are kept, or they are not those of then]"},
    {"gaps", NULL, "{lost} questions were not recorded"},
    {"not running", NULL, "[{not_running:lines}]"},
    {"pruned", NULL, "[{?pruned=0}nothing|{pruned} records, up to {pruned_until:time}]"},
    {"forgotten", NULL, "{forgotten} clients; {forget_records} records of it"},
    {0},
};

static int run_verify(struct ctl *c)
{
    const char *hex = ctl_option(c, "--head");
    uint8_t wanted[CHAIN_HEAD];
    char head[2 * CHAIN_HEAD + 1] = "";
    struct audit_verified v;
    json_t *rows, *row;
    struct audit a;
    int code;

    for (size_t i = 0; hex != NULL && i < sizeof wanted; i++)
        if (strlen(hex) != 2 * CHAIN_HEAD || sscanf(hex + 2 * i, "%2hhx", &wanted[i]) != 1)
            return ctl_fail(EXIT_USAGE, "--head %s: not the 64 digits of a head", hex);
    rows = json_array();
    code = audit_begin(&a, c, NULL, NULL);
    if (code == 0)
        code = audit_code(&a,
                          audit_verify(a.store, hex != NULL ? wanted : NULL, show_progress, c, &v));
    if (code == 0)
        code = audit_run(&a, rows, "%s", told_sql);
    row = json_array_get(rows, 0);
    if (code == 0) {
        for (size_t i = 0; i < sizeof v.head; i++)
            sprintf(head + 2 * i, "%02x", v.head[i]);
        (void)json_object_update_new(row, json_pack("{s:s?,s:I,s:I,s:s,s:s?,s:I}", "broken",
                                                    v.broken[0] != '\0' ? v.broken : NULL, "first",
                                                    (json_int_t)v.first, "last", (json_int_t)v.last,
                                                    "head", head, "wanted", hex, "found",
                                                    (json_int_t)v.found));
        if (v.found == 0)
            (void)json_object_set_new(row, "found", json_null());
        if (c->format == FORMAT_JSON)
            table_print_json(row);
        else
            ctl_show(row, verify_rows);
        if (v.broken[0] != '\0' || (hex != NULL && v.found == 0))
            code = EXIT_PROBLEMS;
    }
    json_decref(rows);
    audit_end(&a);
    return code;
}

/* audit prune, and audit forget with the name that stands for its client. */
static int change_audit(struct ctl *c, const char *name, uint64_t before_ms, const char *question)
{
    const struct audit_limits limits = {.max_size = c->settings->audit.max_size,
                                        .retention_ms = c->settings->audit.retention_ms,
                                        .max_clients = UINT32_MAX,
                                        .max_suffixes = UINT32_MAX};
    struct audit_writer *w = NULL;
    uint64_t records = 0;
    char by[64];
    struct audit a;
    struct diags d;
    int code = audit_begin(&a, c, NULL, NULL), rc = 0;

    if (code == 0 && a.absent)
        code = EXIT_NOT_FOUND;
    if (code == 0 && !ctl_ask(c, question))
        code = ctl_fail(EXIT_FAILED, "nothing is changed");
    if (code != 0) {
        audit_end(&a);
        return code;
    }
    diags_init(&d);
    ctl_author(c, by);
    rc = audit_writer_open(&w, a.path, c->settings->server.name, &limits, NULL, 0, &d);
    if (rc == 0)
        rc = name != NULL
                 ? audit_writer_forget(w, c->now, name, a.since_ms, a.until_ms, by, &records)
                 : audit_writer_prune(w, c->now, before_ms, by, &records);
    if (rc == -ENOENT)
        code = ctl_fail(EXIT_NOT_FOUND, "%s has no record%s", c->argv[0],
                        a.since_ms + a.until_ms > 0 ? " in that time" : "");
    else if (rc == -EBUSY)
        code = ctl_fail(EXIT_FAILED, "%s is being written to: try again", a.path);
    else
        code = audit_code(&a, rc);
    if (code == 0)
        ctl_line(name != NULL ? "%llu records are now those of nobody" : "%llu records removed",
                 (unsigned long long)records);
    if (code == 0 && name != NULL)
        ctl_note("What audit.outputs, backups and logs have got of it is not changed by this.");
    if (w != NULL)
        audit_writer_close(w, c->now);
    diags_fini(&d);
    audit_end(&a);
    return code;
}

static int run_prune(struct ctl *c)
{
    uint64_t before_ms = 0;
    int code = ctl_number(c, "--before", 0, &before_ms);
    char text[NUMBER_TEXT], question[128];

    if (code != 0)
        return code;
    if (before_ms == 0)
        return ctl_fail(EXIT_USAGE, "audit prune needs --before T");
    snprintf(question, sizeof question, "Remove all records from before %s?",
             time_print_local(before_ms, text));
    return change_audit(c, NULL, before_ms, question);
}

static int run_forget(struct ctl *c)
{
    char name[ADDR_TEXT], question[ADDR_TEXT + 64];
    int code = audit_client_name(c, c->argv[0], name);

    if (code != 0)
        return code;
    snprintf(question, sizeof question, "Forget for ever who %s was in the audit?", name);
    return change_audit(c, name, 0, question);
}

/* clang-format off */
static const struct ctl_option filters[] = {
    {"--since", "T", false, "from this time on: 2026-11-22 09:00, 09:00, 7d (ago)"},
    {"--until", "T", false, "before this time"},
    {"--client", "IP", true, "this client, or the clients of a prefix"},
    {"--network", "NAME", true, "clients that were in this network when they asked"},
    {"--suffix", "S", true, "this suffix; *.S: those below it"},
    {"--outcome", "O", true, "this outcome: passed filled replaced filtered denied missing failed blocked update"},
    {"--rule", "NAME", true, "questions that this rule decided"},
    {"--target", "HOST", true, "this KMS host (:PORT), in the real answer or in ours"},
    {"--sort", "COLUMN", false, "order by this column, named as in --csv; +COLUMN rising, -COLUMN falling"},
    {"--limit", "N", false, "print at most N rows; 0: all"},
    {"--names", NULL, false, "add the clients' names, from PTR records as of now"},
    {0}};
static const struct ctl_option for_clients[] = {
    {"--no-host", NULL, false, "only clients that asked and have been given no host since"}, {0}};
static const struct ctl_option for_targets[] = {
    {"--unapproved", NULL, false, "only hosts that the real DNS names and the policy does not approve"}, {0}};
static const struct ctl_option for_reports[] = {
    {"--html", NULL, false, "print one page that loads nothing, with charts; without NAME, of all reports"}, {0}};
static const struct ctl_option for_events[] = {
    {"-f", NULL, false, "go on with new records until interrupted"}, {0}};

static const struct ctl_option for_verify[] = {
    {"--head", "HASH", false, "a head of the chain that was told before: is all up to it as it was?"}, {0}};
static const struct ctl_option for_prune[] = {
    {"--before", "T", false, "remove records from before this time"},
    {"--yes", NULL, false, "do not ask before something is removed"}, {0}};
static const struct ctl_option for_forget[] = {
    {"--since", "T", false, "only what was asked from this time on"},
    {"--until", "T", false, "only what was asked before this time"},
    {"--yes", NULL, false, "do not ask before something is removed"}, {0}};

const struct ctl_verb ctl_audit_verbs[] = {
    {"audit", "summary", 0, 0, "", {filters}, run_summary, "show how many asked, and what became of it"},
    {"audit", "clients", 0, 0, "", {for_clients, filters}, run_list, "list the clients that asked for a KMS host"},
    {"audit", "client", 1, 1, "IP", {filters}, run_client, "show one client's story"},
    {"audit", "suffixes", 0, 0, "", {filters}, run_list, "list the suffixes that were asked for"},
    {"audit", "targets", 0, 0, "", {for_targets, filters}, run_list, "list the KMS hosts that the real DNS or the policy named"},
    {"audit", "rules", 0, 0, "", {filters}, run_list, "list the rules that decided, or would have in shadow"},
    {"audit", "events", 0, 0, "", {for_events, filters}, run_events, "list the records; --json prints one object a line"},
    {"audit", "sql", 1, 1, "QUERY", {NULL}, run_sql, "run one statement that reads: views and columns are in waymark-audit(5)"},
    {"audit", "report", 0, 1, "[NAME]", {for_reports, filters}, report_run, "list what to look at; without NAME, the reports"},
    {"audit", "verify", 0, 0, "", {for_verify}, run_verify, "check that the records are those that were written"},
    {"audit", "prune", 0, 0, "--before T", {for_prune}, run_prune, "remove old records"},
    {"audit", "forget", 1, 1, "IP", {for_forget}, run_forget, "remove a client's address from its records"},
    {0},
};
/* clang-format on */
