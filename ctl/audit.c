/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.c -- the audit verbs: from their options to rows of the database, and what they print.
 *
 * The values of the options become a temporary table, asked(option,value); the conditions are
 * constant text that looks there. A list is read in steps, each a transaction: the first puts the
 * numbers of the rows, in order, into a temporary table; the others read them, 1,000 at a time.
 *
 * The ledger answers what it can; where a filter asks for what only events know, audit_narrow()
 * makes it anew from those that pass, and says so: those above the rates are in the stored one.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "audit/encode.h"
#include "audit/writer.h"

enum { CHUNK = 1000, PICK_STEP = 20000, PRINT_STEP = 1000, WHERE = 2048, BARS = 12 };
enum { SQL_ROWS = 100000, SQL_COLUMNS = 60, STORY = 20 /* events of a client */ };
enum { TABLE_LIMIT = 1000, CSV_LIMIT = 1000000, FOLLOW_FIRST = 10, FOLLOW_NS = 500000000 };
static const long long day_ms = 86400000, hour_ms = 3600000;

/* clang-format off */
#define ANY(option, test) "EXISTS(SELECT 1 FROM asked WHERE option='" option "' AND " test ")"
#define ONE_OF(option) option " IN(SELECT value FROM asked WHERE option='" option "')"
#define CLIENT ANY("client", "(address=value OR within(address,value))")
#define SUFFIX "(" ONE_OF("suffix") " OR " ANY("below", "substr(suffix,-length(value))=value") ")"

static const struct filter {
    unsigned bit;
    const char *option; /* and, behind the dashes, its name in asked */
    const char *events, *own; /* the condition on an event, on a row of its own table */
} filters[] = {
    {OF_CLIENT, "--client", CLIENT, CLIENT},
    {OF_NETWORK, "--network", ANY("network", "instr(' '||networks||' ',' '||value||' ')>0"), NULL},
    {OF_SUFFIX, "--suffix", SUFFIX, SUFFIX},
    {OF_OUTCOME, "--outcome", ONE_OF("outcome"), NULL},
    {OF_RULE, "--rule", ONE_OF("rule"), ONE_OF("rule")},
    {OF_TARGET, "--target", ANY("target", "instr(lower(' '||real_hosts||' '||answer||' '),value)>0"),
     ANY("target", "instr(' '||target||' ',value)>0")},
    {OF_NO_HOST, "--no-host", NULL, "no_host_since IS NOT NULL"},
    {OF_UNAPPROVED, "--unapproved", NULL, "unapproved_since>0"},
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
    if (f->bit == OF_CLIENT && strncmp(text, "hmac:", 5) != 0 && prefix_parse(&prefix, text))
        return ctl_misused("--client %s: not an address or prefix", text);
    if (f->bit == OF_OUTCOME && str_index(outcome_names + 1, text) < 0)
        return ctl_misused("--outcome %s: no such outcome%s", text,
                           diag_meant(text, outcome_names + 1, meant));
    if (f->bit == OF_SUFFIX) { /* or the whole name, as it stands in an event */
        if (name_parse(&name, below ? text + 2 : text) != 0)
            return ctl_misused("--suffix %s: not a domain name", text);
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
            return ctl_misused("--target %s: not a HOST or HOST:PORT", text);
        name_fold(&name);
        value[0] = ' ';
        name_print(&name, value + 1);
        snprintf(value + strlen(value), 16, port > 0 ? ":%u " : ":", (unsigned)port);
    }
    return json_array_append_new(
        a->asked, json_pack("[s,o]", below ? "below" : f->option + 2, audit_json_text(value)));
}

/* Words from a to z, all else from the largest, what is unknown last. */
static int read_sort(struct audit *a, const char *sortable)
{
    struct column *columns = table_columns(sortable), *k = columns;
    const char *sort = ctl_option(a->c, "--sort"), *key = sort;
    char meant[DIAG_MEANT] = "";
    unsigned nearest = 0;
    int code = 0;

    if (sort)
        key += *sort == '+' || *sort == '-';
    for (; sort && k->key && strcmp(k->key, key) != 0; k++)
        diag_nearer(key, k->key, &nearest, meant);
    if (k->key == NULL)
        code = ctl_misused("--sort %s: no such column%s (those of --csv)", key, meant);
    else if (sort)
        snprintf(a->sort, sizeof a->sort, "%s(\"%s%s\") %s",
                 k->kind == COLUMN_LIST ? "json_array_length" : "", key,
                 k->kind == COLUMN_LIST || k->kind == COLUMN_FLAG ? "[]" : "",
                 *sort == '+' || (sort == key && k->kind == COLUMN_TEXT) ? "NULLS LAST" : "DESC");
    free(columns);
    return code;
}

int audit_code(struct audit *a, int err)
{
    if (err == -EBADMSG)
        a->code =
            ctl_fail(EXIT_FAILED, "%s is damaged: put back a backup, or move it away", a->path);
    else if (err == -ETIMEDOUT)
        a->code = ctl_fail(
            EXIT_FAILED, "%s: this takes too long: ask for less, with --since or --limit", a->path);
    else if (err < 0)
        a->code = ctl_store_error(a->c, a->path, err);
    return a->code;
}

int audit_run(struct audit *a, json_t *rows, const char *fmt, ...)
{
    va_list args;
    char *sql;

    if (a->code != 0)
        return a->code;
    va_start(args, fmt);
    sql = vasprintf(&sql, fmt, args) < 0 ? NULL : sql;
    va_end(args);
    audit_code(a, audit_query(a->store, ctl_checked(sql), NULL, rows));
    free(sql);
    return a->code;
}

void audit_take(struct audit *a, const char *sql, json_t *value)
{
    char *text = json_dumps(value, 0);

    if (a->code == 0)
        audit_code(a, audit_query(a->store, sql, text, NULL));
    free(text);
    json_decref(value);
}

/* -errno; no message. It may have come to be meanwhile. */
static int open_audit(struct audit *a, struct diags *d)
{
    struct audit_store *store = NULL;
    int rc = audit_store_open(&store, a->path, 0, d);
    char *asked = json_dumps(a->asked, 0);

    if (rc == -ENOENT && a->store == NULL) {
        ctl_note("no audit yet: %s is empty, waymarkd has recorded nothing", a->path);
        a->absent = true;
        rc = audit_store_open(&store, NULL, 0, d);
    }
    if (rc == 0) {
        audit_store_close(a->store);
        a->store = store;
        rc = audit_query(store,
                         "CREATE TEMP TABLE asked(option,value);" AUDIT_TAKE_ASKED
                         ";CREATE TEMP VIEW seen AS SELECT * FROM event;"
                         "CREATE TEMP TABLE health(target,state,since,last_error)",
                         asked, NULL);
    }
    free(asked);
    return rc;
}

int audit_begin(struct audit *a, struct ctl *c, const char *sortable)
{
    const struct settings *s = c->settings;
    char zone[NAME_TEXT];
    struct diags d = {0};
    const char *text;
    uint64_t n = 0;
    int rc;

    *a = (struct audit){.c = c, .asked = json_array(), .rows = json_array()};
    a->path = ctl_text("%s/audit", s->server.state_dir);
    if ((a->code = ctl_number(c, "--since", 0, &a->since_ms)) == 0 &&
        (a->code = ctl_number(c, "--until", 0, &a->until_ms)) == 0 &&
        (a->code = ctl_number(c, "--limit", INT32_MAX, &n)) == 0 && sortable)
        a->code = read_sort(a, sortable);
    a->limit = ctl_option(c, "--limit") != NULL && n == 0 ? -1 : (long long)n;
    a->now_ms = a->until_ms > 0 ? a->until_ms : c->now.wall_ms;
    json_array_append_new(a->asked, json_pack("[s,I]", "now", (json_int_t)a->now_ms));
    for (int i = 0; i < s->n_routes; i++)
        json_array_append_new(a->asked,
                              json_pack("[s,s]", "zone", name_print(&s->routes[i].zone, zone)));
    for (size_t f = 0; f < ARRAY_LEN(filters); f++)
        for (int i = 0; a->code == 0 && (text = ctl_option_at(c, filters[f].option, i)); i++)
            a->code = read_filter_option(a, &filters[f], text);
    if (a->code == 0 && a->since_ms > a->now_ms - (a->until_ms > 0))
        a->code =
            ctl_misused("--since is %s", a->until_ms > 0 ? "not before --until" : "in the future");
    if (a->code != 0 || (a->code = ctl_become_user(c)) != 0)
        return a->code;
    rc = open_audit(a, &d);
    if (rc == -EBADMSG && d.n > 0)
        a->code = ctl_fail(EXIT_FAILED, "%s", d.list[0]);
    else
        audit_code(a, rc);
    diags_fini(&d);
    return a->code;
}

int audit_end(struct audit *a)
{
    audit_store_close(a->store);
    json_decref(a->asked);
    json_decref(a->rows);
    free(a->path);
    return a->code;
}

/* " AND ..." for all that is asked of an event, or of a list's own rows. */
static const char *terms(const struct audit *a, const struct audit_list *l, char out[WHERE])
{
    struct str sql;

    str_init(&sql, out, WHERE);
    if (l == NULL && a->since_ms > 0)
        str_addf(&sql, " AND ms>=%llu", (unsigned long long)a->since_ms);
    if (l == NULL && a->until_ms > 0)
        str_addf(&sql, " AND ms<%llu", (unsigned long long)a->until_ms);
    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        if ((a->given & (l ? l->own : OF_EVENTS) & filters[i].bit) != 0)
            str_addf(&sql, " AND %s", l ? filters[i].own : filters[i].events);
    return out;
}

/* The ledger knows the last event of each hour. Workers and a corrected clock put times
 * a little out of sequence: an hour more at each end. */
static void span(struct audit *a, long long *first, long long *last)
{
    const long long since = (long long)a->since_ms / hour_ms;
    const long long until = (long long)a->until_ms / hour_ms;
    long long ends[2] = {0};

    audit_number(a, ends,
                 "SELECT max((SELECT ifnull(min(id),1) FROM event),"
                 "(SELECT ifnull(max(event),0) FROM main.hour WHERE id<%lld)),"
                 "ifnull((SELECT event FROM main.hour WHERE id>%lld AND event>0 "
                 "ORDER BY id LIMIT 1),(SELECT max(id) FROM event))",
                 since - 1, until > 0 ? until + 1 : INT64_MAX);
    *first = ends[0];
    *last = ends[1];
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
            json_object_set_new(known, address,
                                addr_parse(&client, address, 0) == 0 &&
                                        getnameinfo((struct sockaddr *)&sa,
                                                    addr_to_sockaddr(&client, &sa), host,
                                                    sizeof host, NULL, 0, NI_NAMEREQD) == 0
                                    ? audit_json_text(host)
                                    : json_null());
        json_object_set(row, "name", json_object_get(known, address));
        ctl_progress(a->c, i + 1, n);
    }
    json_decref(known);
}

int audit_bars(struct audit *a, const struct audit_list *l, const struct audit_bars *b,
               json_t *rows)
{
    char asked[WHERE];

    return audit_run(
        a, rows,
        "SELECT *,22*n AS height,22*n-18 AS top,22*n-7 AS base,printf('%%.1f',value*unit) AS width,"
        "printf('%%.1f',236+value*unit) AS beside,iif(%d,printf('%%.1f',230+%d*unit),'') AS goal,"
        "iif(length(label)>34,substr(label,1,34)||'\u2026',label) AS short FROM (SELECT *,"
        "row_number() OVER (ORDER BY value DESC,label) AS n,420.0/max(1,%d,max(value) OVER ()) AS "
        "unit FROM (SELECT ifnull(%s,'-') AS label,%s AS value FROM (SELECT %s FROM %s) WHERE 1%s "
        "GROUP BY 1 ORDER BY 2 DESC,1 LIMIT %d)) ORDER BY n",
        b->mark, b->mark, b->mark, b->label, b->value, l->select, l->table, terms(a, l, asked),
        BARS);
}

int audit_rows(struct audit *a, const struct audit_list *l, long long limit, json_t *rows)
{
    size_t before = 1, n = 0;
    char asked[WHERE];

    if (strncmp(l->columns, "target", 6) == 0) /* what waymarkd knows of them, if it runs */
        audit_take(a,
                   "DELETE FROM health;INSERT INTO health SELECT key,value->>'state',"
                   "value->>'since',value->>'last_error' FROM json_each(?)",
                   ctl_health(a->c));
    audit_run(a, NULL,
              "DROP TABLE IF EXISTS temp.page;"
              "CREATE TEMP TABLE page(place INTEGER PRIMARY KEY,row);"
              "INSERT INTO page(row) SELECT row FROM (SELECT %s AS row,%s FROM %s)"
              " WHERE 1%s ORDER BY %s LIMIT %lld",
              l->id, l->select, l->table, terms(a, l, asked), *a->sort != '\0' ? a->sort : l->order,
              limit);
    for (int place = 0; a->code == 0 && n != before; place += CHUNK) {
        before = json_array_size(rows);
        audit_run(a, rows,
                  "SELECT %s FROM page p CROSS JOIN %s ON %s=p.row "
                  "WHERE place>%d AND place<=%d ORDER BY place",
                  l->select, l->table, l->id, place, place + CHUNK);
        n = json_array_size(rows);
    }
    if (a->code == 0 && ctl_option(a->c, "--names"))
        add_names(a, rows);
    return a->code;
}

void audit_print(struct audit *a, const struct audit_list *l, long long limit)
{
    const bool table = a->c->format == FORMAT_TABLE;
    size_t n;

    if (audit_rows(a, l, limit, a->rows) != 0)
        return;
    n = json_array_size(a->rows);
    if (!table || n > 0)
        table_print(a->c, l->plural, l->columns, a->rows);
    else if (!a->absent)
        ctl_note("no %s match", l->plural);
    if (a->limit == 0 && (long long)n == limit)
        ctl_note("the newest %lld %s; --limit 0 prints all", limit, l->plural);
    if (table && !a->absent)
        ctl_note("%s", l->foot);
}

/* clang-format off */
/* The ledger's tables made anew from the events that pass: temporary, with the names of the stored
 * ones, which they hide. So the same statement lists the one or the other. */
#define IS(name) ",sum(outcome='" #name "') AS " #name
/* An event that stands for a rule in shadow has no outcome. */
#define SPAN "max(ms) AS last,min(ms) AS first,max(id) AS event,min(id) AS began,sum(outcome<>'') AS questions,sum(NOT repeat) AS attempts" \
    SQL_OUTCOMES(IS) ",sum(outcome='update') AS updates"
#define ID_OF(list) "(SELECT id FROM " list " WHERE word=p." list ") AS " list
#define BY_ID(table) "CREATE INDEX temp." table "_by_id ON " table "(id);"
/* What a row says of its last event it takes from that. */
#define NAMES(table, key, from, own) \
    "CREATE TEMP TABLE " table " AS SELECT row_number() OVER () AS id,g.*," ID_OF("verdict") "," ID_OF("outcome") "," \
    "(SELECT id FROM rule WHERE name=p.rule) AS rule,iif(instr(' '||lower(p.unapproved)||' ',' '||g.name||' ')>0,g.first,0)" \
    " AS unapproved,(SELECT client FROM event WHERE id=g.began) AS asker,(SELECT answer FROM event WHERE id=g.began) AS told" \
    " FROM (SELECT " key " AS name," SPAN ",count(DISTINCT address) AS clients" own \
    " FROM " from " GROUP BY 1)g JOIN picked p ON p.id=g.event;" BY_ID(table)

#define PICKED "ms,address,suffix,repeat,outcome,verdict,rule,would_rule,real_hosts,unapproved,answer,asks"
#define PICK \
    "INSERT INTO picked SELECT sequence," PICKED \
    " FROM (SELECT *,type IN('SRV','ANY') AND outcome<>'update' AS asks FROM events)"

static const char ledger_sql[] =
    "DROP VIEW seen;"
    "CREATE TEMP VIEW seen AS SELECT * FROM event WHERE id IN(SELECT id FROM picked);"
    "DELETE FROM picked WHERE outcome IS NULL;" /* control records */
    "CREATE INDEX temp.by_address ON picked(address,id);"
    "INSERT INTO picked(" PICKED ") SELECT ms,address,suffix,1,'',verdict,would_rule,'','','','',0"
    " FROM picked WHERE would_rule<>'';"
    NAMES("rule", "rule", "picked WHERE rule<>''", ",sum(outcome='') AS would")
    "UPDATE temp.rule SET rule=NULL;"
    "DELETE FROM picked WHERE outcome='';"
    NAMES("suffix", "suffix", "picked", "")
    "CREATE TEMP TABLE named AS SELECT DISTINCT p.id AS id,lower(j.value) AS host"
    " FROM picked p,json_each(" SQL_LIST("trim(real_hosts||' '||answer)") ")j;"
    NAMES("host", "host", "named JOIN picked USING(id)",
          ",sum(instr(' '||lower(answer)||' ',' '||host||' ')>0) AS delivered")
    "CREATE TEMP TABLE client AS SELECT row_number() OVER () AS id,g.*,"
    "(SELECT h.id FROM picked p JOIN temp.host h"
    " ON h.name=lower(substr(p.answer||' ',1,instr(p.answer||' ',' ')-1))"
    " WHERE p.address=g.name AND p.answer<>'' ORDER BY p.id DESC LIMIT 1) AS host,"
    "(SELECT min(ms) FROM picked p"
    " WHERE p.address=g.name AND asks AND answer='' AND ms>g.host_at) AS no_host_since,"
    "(SELECT CAST(avg(gap)/1000 AS INTEGER) FROM"
    " (SELECT ms-lag(ms) OVER (ORDER BY id) AS gap FROM picked p"
    " WHERE p.address=g.name AND NOT repeat) WHERE gap>=60000) AS cadence_s"
    " FROM (SELECT address AS name," SPAN ",max(iif(answer<>'',ms,0)) AS host_at"
    " FROM picked GROUP BY 1)g;" BY_ID("client")
    "CREATE TEMP TABLE client_suffix AS SELECT 16*c.id+g.place AS id,s.id AS suffix,p.ms AS last,"
    ID_OF("verdict") "," ID_OF("outcome")
    " FROM (SELECT max(id) AS event,"
    "row_number() OVER (PARTITION BY address ORDER BY max(id) DESC)-1 AS place"
    " FROM picked GROUP BY address,suffix)g JOIN picked p ON p.id=g.event"
    " JOIN temp.client c ON c.name=p.address"
    " JOIN temp.suffix s ON s.name=p.suffix WHERE place<16;" BY_ID("client_suffix")
    "CREATE TEMP TABLE hour AS SELECT ms/3600000 AS id," SPAN " FROM picked GROUP BY 1";
/* clang-format on */

static void pick(struct audit *a, long long limit)
{
    long long first, last, n = 0;
    char where[WHERE];

    span(a, &first, &last);
    terms(a, NULL, where);
    audit_run(a, NULL, "CREATE TEMP TABLE picked(id INTEGER PRIMARY KEY," PICKED ")");
    for (; a->code == 0 && last >= first && n != limit; last -= PICK_STEP) {
        audit_run(a, NULL,
                  PICK " WHERE sequence>%lld AND sequence<=%lld%s ORDER BY 1 DESC LIMIT %lld",
                  last - PICK_STEP, last, where, limit > 0 ? limit - n : -1);
        audit_number(a, &n, "SELECT count(*) FROM picked");
    }
}

void audit_narrow(struct audit *a, unsigned own)
{
    long long found[2] = {0};
    char text[NUMBER_TEXT];

    if (a->narrowed || (a->since_ms == 0 && a->until_ms == 0 && (a->given & ~own) == 0))
        return;
    a->narrowed = true;
    pick(a, -1);
    audit_run(a, NULL, "%s", ledger_sql);
    audit_number(a, found, "SELECT count(*),min(ms) FROM picked");
    if (a->code == 0 && a->c->format <= FORMAT_HTML)
        ctl_note("from %lld events%s%s; questions above the rates are in the whole ledger only",
                 found[0], found[0] > 0 ? ", the oldest of " : "",
                 found[0] > 0 ? time_print_local((uint64_t)found[1], text) : "");
}

/* clang-format off */
/* The outcomes of a row in words: "7 filled, 2 missing". */
#define TOLD(name) "||iif(" #name ">0,', '||" #name "||' " #name "','')"
#define OUTCOMES(update) "ifnull(nullif(substr(''" SQL_OUTCOMES(TOLD) \
    "||iif(" update ">0,', '||" update "||' update',''),3),''),'-') AS outcomes"

#define SUM(name) ",ifnull(sum(" #name "),0) AS " #name
#define META(key) "(SELECT value FROM meta WHERE name='" key "') AS " key
static const char summary_sql[] =
    "SELECT %lld AS since,%lld AS until,*," OUTCOMES("\"update\"") ","
    "recorded+counted+dropped AS all_questions,"
    "(recorded+counted+dropped)||' = '||recorded||' recorded + '||counted||' counted + '||"
    "dropped||' dropped' AS account,(store_bytes/1024)||'K' AS store_size FROM"
    " (SELECT ifnull(sum(questions),0) AS questions,"
    "ifnull(sum(attempts),0) AS attempts" SQL_OUTCOMES(SUM) ",ifnull(sum(updates),0) AS \"update\""
    " FROM hour WHERE id>=%lld AND id*3600000<%lld),"
    "(SELECT count(*) AS clients,"
    "ifnull(sum(no_host_since>0),0) AS clients_without_host FROM client"
    " WHERE last/3600000>=%lld AND first<%lld),"
    "(SELECT count(*) AS suffixes FROM main.suffix WHERE name<>'(other)'),"
    "(SELECT " META("recorded") "," META("counted") "," META("dropped") "),"
    "(SELECT ifnull((SELECT max(id) FROM event)-(SELECT min(id) FROM event)+1,0) AS records,"
    "(SELECT ms FROM event ORDER BY id LIMIT 1) AS first_record,"
    "(SELECT ms FROM event ORDER BY id DESC LIMIT 1) AS last_record),"
    "(SELECT (SELECT lower(hex(head)) FROM chain ORDER BY id DESC LIMIT 1) AS chain_head),"
    "(SELECT 4096*(page_count-freelist_count) AS store_bytes"
    " FROM pragma_page_count,pragma_freelist_count)";

#define EVENT_COLUMNS "time:time|sequence:n/9|forwarder/9|address=CLIENT|name/1=CLIENT NAME|question=NAME|type/9|repeat:flag/9|outcome" \
    "|reason/5|rule/3|verdict/4|answer:list/2|client_error/9=WINDOWS SHOWS|policy_serial:n/9=SERIAL|latency_us:n/9=LATENCY"

/* The hosts of the answer, or what it is without one. */
#define ANSWER "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'NODATA' ELSE ifnull(response,'') END"

#define LINE SQL_LOCAL("ms") "||printf('  %-15s  ',ifnull(address,'-'))||ifnull(question||'  ','')||" SQL_WORDS
/* The sentence of a control record stands in the widest cell. */
static const struct audit_list event_list = {
    "events", NULL, "events", 0,
    "(SELECT * FROM events WHERE sequence IN(SELECT id FROM picked))n", "sequence",
    "ms AS time,sequence,forwarder,address,iif(kind='event',question," SQL_WORDS ") AS question,"
    "type,iif(kind='event'," SQL_BOOL("repeat") ",NULL) AS \"repeat[]\","
    "iif(kind='event',outcome,kind) AS outcome,"
    "reason,rule,verdict," SQL_LIST(ANSWER) " AS \"answer[]\","
    "client_error,policy_serial,latency_us",
    "sequence", EVENT_COLUMNS,
    .foot = "A client with a cached host asks nothing. NAT and DHCP blur who asked. "
            "Questions to other resolvers are not recorded."};
/* clang-format on */

/* All that pass with numbers above *after, as they are read: ECS objects, or texts. */
static void print_lines(struct audit *a, const char *select, long long *after)
{
    char where[WHERE];
    long long first, last;
    size_t i;

    span(a, &first, &last);
    terms(a, NULL, where);
    if (*after < first - 1)
        *after = first - 1;
    for (long long end; a->code == 0 && *after < last; *after = end) {
        json_t *rows = json_array(), *row;

        end = *after + PRINT_STEP < last ? *after + PRINT_STEP : last;
        audit_run(a, rows,
                  "SELECT %s FROM events WHERE sequence>%lld AND sequence<=%lld%s "
                  "ORDER BY sequence",
                  select, *after, end, where);
        json_array_foreach(rows, i, row)
        {
            const json_t *line = json_object_get(row, "line");

            if (a->c->format == FORMAT_JSON)
                table_dump_json(line, JSON_COMPACT);
            else
                ctl_line("%s", json_string_value(line));
        }
        if (ferror(stdout))
            a->code = EXIT_FAILED;
        json_decref(rows);
    }
}

static int run_events(struct ctl *c)
{
    const bool json = c->format == FORMAT_JSON, follows = ctl_option(c, "-f") != NULL;
    const bool sorted = ctl_option(c, "--sort") != NULL, lines = json || follows;
    long long after = 0, last = 0, limit;
    const char *select = json ? SQL_ECS " AS \"line[]\"" : LINE " AS line";
    const struct timespec step = {.tv_nsec = FOLLOW_NS};
    struct pollfd to = {.fd = STDOUT_FILENO}; /* of which an error is told: nobody reads */
    sigset_t ends;
    struct audit a;

    if (follows && (c->format == FORMAT_CSV || ctl_option(c, "--until") != NULL || sorted))
        return ctl_misused("-f prints lines or --json, for ever and in the order of time: "
                           "--csv, --until and --sort do not fit");
    if (sorted && json)
        return ctl_misused("--json prints events in the order of time: --sort does not fit");
    audit_begin(&a, c, EVENT_COLUMNS);
    limit = a.limit != 0                 ? a.limit
            : follows && a.since_ms == 0 ? FOLLOW_FIRST
            : lines                      ? -1
            : c->format == FORMAT_TABLE  ? TABLE_LIMIT
                                         : CSV_LIMIT;
    audit_number(&a, &last, "SELECT max(id) FROM event");
    if (limit > 0 || !lines)
        pick(&a, limit);
    if (lines && limit > 0)
        audit_number(&a, &after, "SELECT ifnull(min(id)-1,%lld) FROM picked", last);
    if (lines)
        print_lines(&a, select, &after);
    else
        audit_print(&a, &event_list, limit);
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    /* Until it is interrupted, in whatever it does; the database may come to be meanwhile. */
    for (a.since_ms = 0; follows && a.code == 0 && fflush(stdout) == 0 && poll(&to, 1, 0) <= 0 &&
                         sigtimedwait(&ends, NULL, &step) < 0;) {
        a.absent = a.absent && open_audit(&a, NULL) != 0;
        if (!a.absent)
            print_lines(&a, select, &after);
    }
    return audit_end(&a);
}

/* clang-format off */
#define ADDRESS "(SELECT value FROM asked WHERE option='address')"
#define STORY_FIELDS "address=client|name|first_asked|last_asked|questions:n|attempts:n|outcomes|cadence_ms:span=asks every" \
    "|last_host|last_host_at=given|no_host_since"
#define STORY(TIME) {"client", NULL, "clients", 0, "(SELECT * FROM client WHERE name=" ADDRESS ")n", "n.id", AUDIT_CLIENTS(TIME, TIME) "," OUTCOMES("updates"), \
    "row", .columns = AUDIT_CLIENT_COLUMNS}
static const struct audit_list story = STORY(SQL_ISO), story_told = STORY(SQL_LOCAL);
/* The client's events that pass, the newest, which are found first: each names the one before. */
#define STORY_EVENTS \
    "WITH RECURSIVE chain(row) AS(SELECT event FROM client WHERE name=" ADDRESS " UNION ALL SELECT e.previous FROM chain JOIN event e ON e.id=row)" \
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
        return ctl_misused("%s: not an address", text);
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

int audit_story(struct audit *a, const char *address, json_t *rows)
{
    audit_take(a, AUDIT_TAKE_ASKED, json_pack("[[s,s]]", "address", address));
    return audit_rows(a, a->c->format == FORMAT_TABLE ? &story_told : &story, 1, rows);
}

static int run_client(struct ctl *c)
{
    const bool table = c->format == FORMAT_TABLE, json = c->format == FORMAT_JSON;
    char address[ADDR_TEXT], where[WHERE];
    json_t *row, *event, *events;
    struct audit a;
    size_t i;

    if ((a.code = audit_client_name(c, c->argv[0], address)) != 0)
        return a.code;
    audit_begin(&a, c, NULL);
    if (a.code == 0 && (a.given & OF_CLIENT) != 0)
        a.code = ctl_misused("--client does not fit: the client is named already");
    if (audit_story(&a, address, a.rows) == 0 && json_array_size(a.rows) == 0)
        a.code = ctl_fail(EXIT_NOT_FOUND, "%s asked for no KMS host, or not through this forwarder",
                          address);
    audit_run(&a, a.rows, STORY_EVENTS,
              json ? SQL_ECS : SQL_LOCAL("ms") "||'  '||question||'  '||" SQL_WORDS,
              terms(&a, NULL, where), a.limit != 0 ? a.limit : STORY);
    row = json_array_get(a.rows, 0);
    if (a.code == 0) {
        (void)json_object_update(row, json_array_get(a.rows, 1));
        table_print(c, NULL, STORY_FIELDS, row);
    }
    if (a.code == 0 && table) {
        putchar('\n');
        table_print(c, "suffixes", "suffix|verdict=REAL DNS|outcome|last_asked",
                    json_object_get(row, "suffix_details"));
        events = json_object_get(row, "events");
        fputs(json_array_size(events) > 0 ? "\n" : "", stdout);
        json_array_foreach(events, i, event) ctl_line("%s", json_string_value(event));
        if (json_array_size(events) == 0)
            ctl_note(
                a.given != 0 || a.since_ms + a.until_ms > 0
                    ? "no event passes these filters"
                    : "Events are past audit.retention, or above the rates: the ledger is left.");
        ctl_note("An address is not a machine (NAT, DHCP). A machine with a cached host asks "
                 "nothing, and what it asks other resolvers is not seen here.");
    }
    return audit_end(&a);
}

/* Numbers stand right in a column where the first row has one. */
static int run_sql(struct ctl *c)
{
    struct column columns[SQL_COLUMNS + 1] = {{0}};
    json_t *names = json_array(), *name;
    struct diags d = {0};
    struct audit a;
    int rc = 0;
    size_t i;

    if (audit_begin(&a, c, NULL) == 0)
        rc = audit_ask(a.store, c->argv[0], SQL_ROWS, names, a.rows, &d);
    if (rc == -EINVAL)
        a.code = ctl_fail(EXIT_INVALID, "audit sql: %s", d.list[0]);
    else if (rc == -ETIMEDOUT)
        a.code = ctl_fail(EXIT_FAILED,
                          "audit sql: this takes too long: ask for less, with WHERE or LIMIT");
    else if (json_array_size(names) > SQL_COLUMNS)
        a.code = ctl_fail(EXIT_INVALID, "audit sql: more than %d columns", (int)SQL_COLUMNS);
    else
        audit_code(&a, rc);
    if (a.code == 0) {
        json_array_foreach(names, i, name)
        {
            const char *key = json_string_value(name);
            const json_t *first = json_object_get(json_array_get(a.rows, 0), key);
            int kind = json_is_number(first) ? COLUMN_NUMBER : COLUMN_TEXT;

            columns[i] = (struct column){key, key, kind, 0};
        }
        table_print_columns(c, "rows", columns, a.rows);
        if (rc == 1)
            ctl_note("the first %d rows; LIMIT and WHERE choose others", (int)SQL_ROWS);
    }
    diags_fini(&d);
    json_decref(names);
    return audit_end(&a);
}

/* clang-format off */
#define SUMMARY_FIELDS "since:time|until:time|questions:n|attempts:n|outcomes|clients:n|clients_without_host:n=without a host" \
    "|suffixes:n=suffixes, ever|account=questions, ever|chain_head=chain|records:n=records kept|first_record:time=oldest record" \
    "|last_record:time=newest record|store_size=store"
/* clang-format on */

/* The outcomes are those of the hours from --since to --until (7 days), from the
 * ledger; with any other filter, of the events that pass it. */
static int run_summary(struct ctl *c)
{
    long long since, until;
    struct audit a;

    audit_begin(&a, c, NULL);
    until = (long long)a.now_ms;
    since = a.since_ms > 0 ? (long long)a.since_ms : until - 7 * day_ms;
    a.since_ms = (uint64_t)since;
    if ((a.given & OF_EVENTS) != 0)
        audit_narrow(&a, 0);
    if (audit_run(&a, a.rows, summary_sql, since, until, since / hour_ms, until, since / hour_ms,
                  until) == 0)
        table_print(c, NULL, SUMMARY_FIELDS, json_array_get(a.rows, 0));
    if (a.code == 0 && c->format == FORMAT_TABLE)
        ctl_note("%sClients with a cached host, behind NAT or with other resolvers are not seen.",
                 a.given != 0 ? "" : "Whole hours are counted. ");
    return audit_end(&a);
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
    "(SELECT json_group_array(json_object('since',l.ms,'until',s.ms,"
    "'killed',json(iif(k.kind='stop','false','true'))))"
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
    {"gaps", NULL, "{lost} question[{?lost=1} was|s were] not recorded"},
    {"stopped", "not_running", "{since:time} to {until:time}[{?killed} (killed)|]"},
    {"pruned", NULL, "[{?pruned=0}nothing|{pruned} records, up to {pruned_until:time}]"},
    {"forgotten", NULL,
     "{forgotten} client[{?forgotten=1}|s], by {forget_records} "
     "command[{?forget_records=1}|s]"},
    {0},
};

static int run_verify(struct ctl *c)
{
    const char *hex = ctl_option(c, "--head");
    char head[2 * CHAIN_HEAD + 1] = "";
    uint8_t wanted[CHAIN_HEAD];
    struct audit_verified v;
    struct audit a;
    json_t *row;

    if (ctl_no_csv(c))
        return EXIT_USAGE;
    for (size_t i = 0; hex && i < sizeof wanted; i++)
        if (strlen(hex) != 2 * CHAIN_HEAD || sscanf(hex + 2 * i, "%2hhx", &wanted[i]) != 1)
            return ctl_misused("--head %s: not the 64 digits of a head", hex);
    if (audit_begin(&a, c, NULL) == 0)
        audit_code(&a, audit_verify(a.store, hex ? wanted : NULL, ctl_progress, c, &v));
    if (audit_run(&a, a.rows, "%s", told_sql) == 0) {
        row = json_array_get(a.rows, 0);
        for (size_t i = 0; i < sizeof v.head; i++)
            sprintf(head + 2 * i, "%02x", v.head[i]);
        (void)json_object_update_new(
            row, json_pack("{s:s?,s:I,s:I,s:s,s:s?,s:o}", "broken",
                           v.broken[0] != '\0' ? v.broken : NULL, "first", (json_int_t)v.first,
                           "last", (json_int_t)v.last, "head", head, "wanted", hex, "found",
                           v.found > 0 ? json_integer((json_int_t)v.found) : json_null()));
        if (c->format == FORMAT_JSON)
            table_print_json(row);
        else
            ctl_show(row, verify_rows);
        if (v.broken[0] != '\0' || (hex != NULL && v.found == 0))
            a.code = EXIT_PROBLEMS;
    }
    return audit_end(&a);
}

/* audit prune, and audit forget of a client. */
static int run_change(struct ctl *c)
{
    const struct audit_limits limits = {.max_size = c->settings->audit.max_size,
                                        .retention_ms = c->settings->audit.retention_ms,
                                        .ledger_retention_ms =
                                            c->settings->audit.ledger_retention_ms,
                                        .max_clients = UINT32_MAX,
                                        .max_suffixes = UINT32_MAX};
    const bool forgets = c->argc > 0;
    const struct ctl_row rows[] = {
        {NULL, NULL,
         forgets ? "{records} record[{?records=1} is|s are] now those of nobody"
                 : "{records} record[{?records=1}|s] removed"},
        {0}};
    bool wiped = true;
    struct audit_writer *w = NULL;
    uint64_t records = 0, before_ms = 0;
    char name[ADDR_TEXT], time[NUMBER_TEXT], by[64], *question;
    struct audit a;
    struct diags d = {0};
    int rc = ctl_no_csv(c);

    if (rc == 0)
        rc = forgets ? audit_client_name(c, c->argv[0], name)
                     : ctl_number(c, "--before", 0, &before_ms);
    if (rc != 0)
        return rc;
    if (!forgets && before_ms == 0)
        return ctl_misused("audit prune needs --before T");
    question =
        forgets ? ctl_text("Forget for ever who %s was in the audit?", name)
                : ctl_text("Remove all records from before %s?", time_print_local(before_ms, time));
    if (audit_begin(&a, c, NULL) == 0 && a.absent)
        a.code = EXIT_NOT_FOUND;
    if (a.code == 0 && !ctl_ask(c, question))
        a.code = ctl_fail(EXIT_FAILED, "nothing is changed");
    free(question);
    if (a.code != 0)
        return audit_end(&a);
    ctl_author(c, by);
    rc = audit_writer_open(&w, a.path, c->settings->server.name, &limits, NULL, 0, &d);
    if (rc == 0)
        rc = forgets ? audit_writer_forget(w, c->now, name, a.since_ms, a.until_ms, by, &records,
                                           &wiped)
                     : audit_writer_prune(w, c->now, before_ms, by, &records);
    if (rc == -ENOENT)
        a.code = ctl_fail(EXIT_NOT_FOUND, "%s has no record%s", c->argv[0],
                          a.since_ms + a.until_ms > 0 ? " in that time" : "");
    else if (rc == -EBUSY)
        a.code = ctl_fail(EXIT_FAILED, "%s is being written to: try again", a.path);
    else if (audit_code(&a, rc) == 0)
        ctl_show_reply(c, 0, json_pack("{s:I}", "records", (json_int_t)records), rows);
    if (a.code == 0 && forgets)
        ctl_note("What audit.outputs, backups and logs have got of it is not changed by this.");
    if (a.code == 0 && !wiped)
        ctl_warn("somebody reads %s: until that has ended and waymarkd was restarted, the file may "
                 "have the address in what it does not use any more",
                 a.path);
    if (w)
        audit_writer_close(w, c->now);
    diags_fini(&d);
    return audit_end(&a);
}

/* clang-format off */
static const struct ctl_option
    filtering[] = {
        {"--since", "T", false, "from this time on: 2026-11-22 09:00, 09:00, 7d (ago)"},
        {"--until", "T", false, "before this time"},
        {"--client", "IP", true, "this client, or the clients of a prefix"},
        {"--network", "NAME", true, "clients that were in this network when they asked"},
        {"--suffix", "S", true, "this suffix; *.S: those below it"},
        {"--outcome", "passed|filled|replaced|filtered|denied|missing|failed|blocked|update", true,
         "this outcome"},
        {"--rule", "NAME", true, "questions that this rule decided"},
        {"--target", "HOST", true, "this KMS host (:PORT), in the real answer or in ours"},
        {"--sort", "COLUMN", false,
         "order by this column, named as in --csv; +COLUMN rising, -COLUMN falling"},
        {"--limit", "N", false, "print at most N rows; 0: all"},
        {"--names", NULL, false, "add the clients' names, from PTR records as of now"},
        {0}},
    for_clients[] = {
        {"--no-host", NULL, false, "only clients that asked and have been given no host since"},
        {0}},
    for_targets[] = {
        {"--unapproved", NULL, false,
         "only hosts that the real DNS names and the policy does not approve"},
        {0}},
    for_reports[] = {
        {"--html", NULL, false,
         "print one page that loads nothing, with charts; of all reports, unless one is named"},
        {0}},
    for_events[] = {
        {"-f", NULL, false, "go on with new records until interrupted"},
        {0}},
    for_verify[] = {
        {"--head", "HASH", false,
         "a head of the chain that was told before: is all up to it as it was?"},
        {0}},
    for_prune[] = {
        {"--before", "T", false, "remove records from before this time"},
        {"--yes", NULL, false, "do not ask before something is removed"},
        {0}},
    for_forget[] = {
        {"--since", "T", false, "only what was asked from this time on"},
        {"--until", "T", false, "only what was asked before this time"},
        {"--yes", NULL, false, "do not ask before something is removed"},
        {0}};

const struct ctl_verb ctl_audit_verbs[] = {
    {"audit", "summary", 0, 0, "", {filtering}, run_summary,
     "show how many asked, and what became of it"},
    {"audit", "clients", 0, 0, "", {for_clients, filtering}, report_run,
     "list the clients that asked for a KMS host"},
    {"audit", "client", 1, 1, "IP", {filtering}, run_client, "show one client's story"},
    {"audit", "suffixes", 0, 0, "", {filtering}, report_run,
     "list the suffixes that were asked for"},
    {"audit", "targets", 0, 0, "", {for_targets, filtering}, report_run,
     "list the KMS hosts that the real DNS or the policy named"},
    {"audit", "rules", 0, 0, "", {filtering}, report_run,
     "list the rules that decided, or would have in shadow"},
    {"audit", "events", 0, 0, "", {for_events, filtering}, run_events,
     "list the records; --json prints one object a line"},
    {"audit", "sql", 1, 1, "QUERY", {NULL}, run_sql,
     "run one statement that reads: views and columns are in waymark-audit(5)"},
    {"audit", "report", 0, 1,
     "[wrong-suffix|stuck|silent|weekly|unapproved|publishers|leaks|thresholds|shadow]", {for_reports, filtering}, report_run,
     "list what to look at; without a word, the reports"},
    {"audit", "verify", 0, 0, "", {for_verify}, run_verify,
     "check that the records are those that were written"},
    {"audit", "prune", 0, 0, "--before T", {for_prune}, run_change, "remove old records"},
    {"audit", "forget", 1, 1, "IP", {for_forget}, run_change,
     "remove a client's address from its records"},
    {0},
};
/* clang-format on */
