/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_events.c -- audit events.
 *
 * Without --limit, --json prints all events in their order, one object a line; a
 * table or CSV shows the newest. -f prints a line for each, in words, and reads what
 * came since every half second.
 */
#include "ctl/audit.h"

#include <signal.h>
#include <unistd.h>

enum { TABLE_LIMIT = 1000, CSV_LIMIT = 1000000, FOLLOW_FIRST = 10, FOLLOW_MS = 500 };
enum { STEP = 1000 /* events to print */ };

/* clang-format off */
static const struct column columns[] = {
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
#define ANSWER "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'NODATA' ELSE response END"

static const char row_sql[] =
    "ms AS time,sequence,forwarder,address,iif(kind='event',question,%s) AS question,"
    "type,iif(kind='event'," SQL_BOOL("repeat") ",NULL) AS \"repeat[]\",iif(kind='event',outcome,kind) AS outcome,"
    "reason,rule,verdict," SQL_LIST(ANSWER) " AS \"answer[]\",client_error,policy_serial,latency_us";

/* Ends with what audit_words says. */
static const char line_sql[] =
    AUDIT_LOCAL("ms") "||printf('  %-15s  ',ifnull(address,'-'))||ifnull(question||'  ','')||";

/* json_patch() leaves out what is NULL. */
const char audit_ecs[] =
    "json_patch('{}',json_object('@timestamp',time,'ecs',json_object('version','8.11.0'),"
    "'observer',json_object('name',forwarder,'product','Waymark','type','dns-forwarder'),"
    "'event',json_object('kind','event','category',json_array(iif(kind='event','network','configuration')),"
    "'type',json_array(iif(kind='event','protocol','info')),'dataset','waymark.audit',"
    "'action',iif(kind='event','kms-discovery','audit-'||kind),'sequence',sequence,"
    "'outcome',CASE WHEN kind='event' THEN iif(answer='','failure','success') END,"
    "'duration',latency_us*1000),"
    "'client',json(CASE WHEN kind='event' THEN json_object('ip',address,'port',port)END),"
    "'network',json(CASE WHEN kind='event' THEN json_object('transport',transport,'protocol','dns')END),"
    "'dns',json(CASE WHEN kind='event' THEN json_object('id',CAST(id AS TEXT),'type','answer',"
    "'question',json_object('name',question,'type',type),'header_flags',"
    SQL_LIST("flags") ",'response_code',response,"
    "'answers',json('['||iif(answer='','','{\"type\":\"SRV\",\"data\":'||"
    "replace(json_quote(answer),' ','\"},{\"type\":\"SRV\",\"data\":\"')||'}')||']'))END),"
    "'rule',json(CASE WHEN rule<>'' THEN json_object('name',rule)END),"
    "'waymark',json(iif(kind<>'event',json_object('text',coalesce(note,''),'count',count,"
    "'from',CASE WHEN kind='gap' THEN " SQL_ISO("nullif(at_ms,0)") " END,'until',CASE "
    "WHEN kind='prune' THEN " SQL_ISO("nullif(at_ms,0)") " END),"
    "json_object('suffix',suffix,'outcome',outcome,'reason',reason,'repeat',json(" SQL_BOOL("repeat") "),"
    "'cached',json(" SQL_BOOL("cached") "),'policy_serial',policy_serial,"
    "'networks'," SQL_LIST("coalesce(networks,'')") ","
    "'verdict',json(CASE WHEN verdict<>'' THEN json_object('name',verdict,'server',server,'response_code',real_rcode,"
    "'ms',real_ms,'hosts'," SQL_LIST("real_hosts") ",'unapproved',"
    SQL_LIST("unapproved") ")END),"
    "'would',json(CASE WHEN would<>'' THEN json_object('outcome',would,'rule',coalesce(would_rule,''))END),"
    "'client_error',client_error)))))";

const char audit_words[] =
    "CASE WHEN kind<>'event' THEN kind||CASE kind"
    " WHEN 'gap' THEN ': '||count||' questions were not recorded'||coalesce(', since '||" AUDIT_LOCAL("nullif(at_ms,0)") ",'')"
    " WHEN 'prune' THEN ': '||count||' records removed'||coalesce(', up to '||" AUDIT_LOCAL("nullif(at_ms,0)") ",'')"
    " ELSE '' END||iif(note<>'',': '||note,'')"
    " ELSE outcome||CASE WHEN reason='signed' THEN ' (signed: rule '||rule||' may not touch it)'"
    " WHEN rule<>'' THEN ' by rule '||rule ELSE ' ('||reason||')' END||', answer '||"
    "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'without a host' "
    "ELSE response END||"
    "CASE WHEN verdict<>'' THEN '; the real DNS: '||verdict||iif(real_hosts='','',' '||real_hosts)||"
    "CASE WHEN cached THEN ' from the cache' WHEN server<>'' THEN"
    " ' from '||trim(rtrim(rtrim(server,'0123456789'),':'),'[]')||', '||real_ms||' ms' "
    "ELSE '' END ELSE '' END||"
    "coalesce('; Windows shows '||client_error,'')||"
    "iif(would<>'','; with the rules in shadow: '||would||iif(would_rule<>'',' by rule '||would_rule,''),'')||"
    "iif(repeat,'; a repeat','') END";
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
        long long end = *after + STEP < last ? *after + STEP : last;
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

/* Until it is interrupted; the database may come to be meanwhile. */
static int follow(struct audit *a, const char *select, long long after)
{
    const struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000};
    int code = 0;
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    a->since_ms = 0;
    for (fflush(stdout); code == 0 && sigtimedwait(&ends, NULL, &pause) < 0; fflush(stdout)) {
        a->absent = a->absent && audit_open(a, NULL) != 0;
        if (!a->absent)
            code = print_lines(a, select, &after);
    }
    return code;
}

int audit_events(struct ctl *c)
{
    const bool json = c->format == FORMAT_JSON, follows = ctl_option(c, "-f") != NULL;
    const bool sorted = ctl_option(c, "--sort") != NULL, lines = json || follows;
    long long after = 0, last = 0;
    long long limit;
    char select[8192];
    const struct audit_list l = {.plural = "events",
                                 .table = "events",
                                 .id = "sequence",
                                 .own = OF_PICKED,
                                 .select = select,
                                 .order = "sequence",
                                 .columns = columns,
                                 .foot = "A client with a cached host asks nothing. NAT and DHCP "
                                         "blur who asked. Questions to other resolvers are not "
                                         "recorded."};
    struct audit a;
    int code;

    if (json)
        snprintf(select, sizeof select, "%s AS \"line[]\"", audit_ecs);
    else if (follows)
        snprintf(select, sizeof select, "%s%s AS line", line_sql, audit_words);
    else /* the sentence of a control record stands in the widest cell */
        snprintf(select, sizeof select, row_sql, audit_words);
    if (follows && c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "-f prints lines or --json, not --csv");
    if (follows && (ctl_option(c, "--until") != NULL || sorted))
        return ctl_fail(EXIT_USAGE, "-f goes on for ever and in the order of time: --until and "
                                    "--sort do not fit");
    if (sorted && json)
        return ctl_fail(EXIT_USAGE,
                        "--json prints events in the order of time: --sort does not fit");
    code = audit_begin(&a, c, columns, NULL);
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
        code = lines ? print_lines(&a, select, &after) : audit_print(&a, &l, limit);
    if (code == 0 && follows)
        code = follow(&a, select, after > last ? after : last);
    audit_end(&a);
    return code;
}
