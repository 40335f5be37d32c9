/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reports.c -- `audit report`: what an administrator should look at, found in the audit.
 *
 * A report is a row of reports[]: SQL that prepares tables (most need none), a list as those of
 * ctl/audit.c, and what it cannot know. Most read the ledger alone, since that has a row a client
 * however many events there are. Of the events, only those are read that a row of `answer` leads to:
 * no event names what others have in common with it from further away than LEDGER_SHARED.
 *
 * A report is as of --until, or of now. With a filter that only events can answer, the ledger is
 * made anew from those that pass, and the same SQL reads that.
 */
#include "ctl/audit.h"

#include <unistd.h>

#include "audit/ledger.h"
#include "ctl/policy.h"
#include "wire/present.h"

enum { REPORT_LIMIT = 1000, PAGE_LIMIT = 100 /* rows of a table, on a page */ };

/* clang-format off */
#define NUMBER(key, title, rank) {key, title, COLUMN_NUMBER, rank}
#define TIME(key, title, rank) {key, title, COLUMN_TIME, rank}
#define TEXT(key, title, rank) {key, title, COLUMN_TEXT, rank}
#define CLIENT TEXT("address", "CLIENT", 0), TEXT("name", NULL, 1)
#define ADVICE TEXT("advice", "WHAT TO DO", 0)

static const struct column wrong_columns[] = {
    TEXT("suffix", NULL, 0),
    TEXT("class", NULL, 2),
    TEXT("network", NULL, 0),
    NUMBER("clients", NULL, 0),
    TEXT("verdict", "REAL DNS", 3),
    TEXT("last_outcome", "LAST", 4),
    TIME("last_asked", NULL, 5),
    TEXT("instead", "RIGHT SUFFIX", WIDEST),
    ADVICE,
    {0},
};
static const struct column publisher_columns[] = {
    CLIENT,
    TEXT("suffix", NULL, 0),
    TEXT("how", NULL, 0),
    NUMBER("questions", NULL, 2),
    TIME("first_asked", NULL, 3),
    TIME("last_asked", NULL, 1),
    {0},
};
static const struct column leak_columns[] = {
    TEXT("suffix", NULL, 0),
    TEXT("class", NULL, 0),
    TEXT("server", NULL, 0),
    NUMBER("clients", NULL, 1),
    NUMBER("questions", NULL, 3),
    TIME("last_asked", NULL, 2),
    ADVICE,
    {0},
};
static const struct column threshold_columns[] = {
    TEXT("target", NULL, 0),
    NUMBER("clients", NULL, 0),
    NUMBER("client_systems_missing", "TO 25", 0),
    NUMBER("servers_missing", "TO 5", 0),
    TIME("last_given", NULL, 2),
    ADVICE,
    {0},
};
static const struct column shadow_columns[] = {
    TEXT("rule", NULL, 0),
    NUMBER("clients", NULL, 0),
    NUMBER("suffixes", NULL, 0),
    NUMBER("questions", NULL, 4),
    TEXT("outcome", "NOW", 0),
    TEXT("answer", NULL, 1),
    TEXT("would", "THEN", 0),
    {0},
};

/* What a report is as of. */
#define NOW "(SELECT CAST(value AS INTEGER) FROM asked WHERE option='now')"
#define HOURS "*3600000"
#define DAYS "*86400000"
#define MONTH(ms) "strftime('%Y-%m'," ms "/1000,'unixepoch')"
#define HOSTS_WHERE(condition) "(SELECT * FROM host WHERE " condition ")n"
#define CLIENTS_WHERE(condition) "(SELECT * FROM client WHERE name<>'(other)' AND " condition ")n"

/* Two hours is what Windows waits that is not activated, seven days what waits that is; both more or
 * less, since a machine that is off cannot ask. After 30 days a host forgets a client. */
#define IS_STUCK "cadence_s BETWEEN 5400 AND 10800 AND attempts>=12 AND last-first>24" HOURS " AND last>" NOW "-24" HOURS
#define IS_WEEKLY "cadence_s BETWEEN 6*86400 AND 8*86400 AND last>" NOW "-15" DAYS
#define IS_SILENT "last<" NOW "-30" DAYS

#define BELOW(name, zone) "(" name "='" zone "' OR " name " LIKE '%." zone "')"
/* What kind of name a suffix is, NULL: one that may be public. */
#define CLASS(name) \
    "CASE WHEN " name "='.' THEN 'no suffix' WHEN instr(" name ",'.')=0 THEN 'single label'" \
    " WHEN " BELOW(name, "local") " THEN '.local' WHEN " BELOW(name, "lan") " THEN '.lan'" \
    " WHEN " BELOW(name, "internal") " THEN '.internal' WHEN " BELOW(name, "corp") " THEN '.corp'" \
    " WHEN " BELOW(name, "home.arpa") " THEN 'home.arpa'" \
    " WHEN EXISTS(SELECT 1 FROM asked WHERE option='zone' AND (" name "=value OR " name " LIKE '%.'||value))" \
    " THEN 'has a route' END"
#define VERDICTS(list) "verdict IN(SELECT id FROM verdict WHERE word IN(" list "))"
#define DROP(table) "DROP TABLE IF EXISTS temp." table ";"

/* Those with most clients, and where they are asked for; beside them the suffixes that have a record. */
#define WRONG \
    DROP("wrong") "CREATE TEMP TABLE wrong AS SELECT id FROM suffix WHERE name<>'(other)' AND passed+filtered=0" \
    " AND missing+filled+failed>0 AND NOT " VERDICTS("'present','unapproved'") " ORDER BY clients DESC LIMIT 200;" \
    DROP("works") "CREATE TEMP TABLE works AS SELECT id,name,clients FROM suffix WHERE name NOT IN('(other)','.')" \
    " AND passed>missing+failed AND NOT " VERDICTS("'unapproved'") " ORDER BY clients DESC LIMIT 50;" \
    DROP("place") "CREATE TEMP TABLE place AS SELECT s.suffix AS suffix,net(c.name) AS net,count(*) AS clients,max(s.last) AS last" \
    " FROM client_suffix s JOIN client c ON c.id=s.id/16" \
    " WHERE s.suffix IN(SELECT id FROM wrong UNION ALL SELECT id FROM works)" \
    " AND c.name<>'(other)' AND s.outcome<>(SELECT id FROM outcome WHERE word='update') GROUP BY 1,2;" \
    DROP("instead") "CREATE TEMP TABLE instead AS SELECT net,name,max(p.clients) FROM place p JOIN works w ON w.id=p.suffix GROUP BY 1;" \
    "CREATE INDEX temp.instead_by_net ON instead(net);"
#define RIGHT \
    "coalesce((SELECT name FROM instead i WHERE i.net=n.net),(SELECT name FROM works ORDER BY clients DESC LIMIT 1))"

_Static_assert(LEDGER_SHARED == 20000, "as stands here");
#define EVENTS_OF_ANSWER "seen e ON e.id BETWEEN a.id AND a.id+19999 AND e.answer=a.id"
#define NAME_OF(table) "iif(typeof(e." table ")='text',e." table ",(SELECT name FROM main." table " WHERE id=e." table "))"

#define PUBLISHER_FIELDS "address,suffix,how,questions,first_asked,last_asked"
#define PUBLISHERS \
    DROP("publisher") "CREATE TEMP TABLE publisher AS SELECT " NAME_OF("client") " AS address," NAME_OF("suffix") " AS suffix," \
    "how,questions,first_asked,last_asked FROM" \
    " (SELECT client,suffix,how,count(*) AS questions,min(ms) AS first_asked,max(ms) AS last_asked FROM" \
    " (SELECT e.client,e.suffix,ms,iif(a.outcome='update','UPDATE','asks for SOA') AS how" \
    " FROM answer a CROSS JOIN " EVENTS_OF_ANSWER \
    " WHERE a.outcome='update' OR a.type='SOA' ORDER BY a.id DESC LIMIT 200000) GROUP BY 1,2,3)e;" \
    "DELETE FROM publisher WHERE address IN(SELECT value FROM asked WHERE option='host');"

/* The ledger has the first host that a client was given. Its answers named the same others each time,
 * or else the client's last event tells which: a look-up for each client, so for the last ones only. */
#define FIRST_HOST "lower(substr(answer||' ',1,instr(answer||' ',' ')-1))"
#define GIVEN_TO(clients) "FROM " clients " c JOIN host h ON h.id=c.host LEFT JOIN given g ON g.host=h.name"
#define GIVEN \
    DROP("given") "CREATE TEMP TABLE given AS SELECT host,min(hosts) AS hosts,count(*)=1 AS always FROM" \
    " (SELECT DISTINCT " FIRST_HOST " AS host,lower(answer) AS hosts FROM answer WHERE answer<>'') GROUP BY host;" \
    DROP("spread") "CREATE TEMP TABLE spread AS SELECT j.value AS host,sum(clients) AS clients,max(last) AS last FROM" \
    " (SELECT ifnull(g.hosts,h.name) AS hosts,count(*) AS clients,max(host_at) AS last " GIVEN_TO("client") \
    " WHERE host_at>" NOW "-30" DAYS " AND ifnull(always,1) GROUP BY c.host UNION ALL" \
    " SELECT iif(a.answer<>'',lower(a.answer),h.name),count(*),max(host_at) " \
    GIVEN_TO("(SELECT * FROM client ORDER BY host_at DESC LIMIT 100000)") \
    " LEFT JOIN event e ON e.id=c.event LEFT JOIN answer a ON a.id=e.answer" \
    " WHERE host_at>" NOW "-30" DAYS " AND NOT always GROUP BY 1)n,json_each(" SQL_LIST("n.hosts") ")j GROUP BY 1;" \
    "CREATE INDEX temp.spread_by_host ON spread(host);"
#define COUNTED "ifnull((SELECT clients FROM spread WHERE host=n.name),0)"

#define WRONG_ROWS \
    "(SELECT p.rowid AS row,p.*,u.name,u.verdict,u.outcome FROM place p JOIN suffix u ON u.id=p.suffix" \
    " WHERE p.suffix IN(SELECT id FROM wrong))n"
#define WRONG_FIELDS \
    "name AS suffix,ifnull(" CLASS("name") ",'domain') AS class,net AS network,clients" \
    "," SQL_WORD("verdict", "n.verdict") " AS verdict," SQL_WORD("outcome", "n.outcome") " AS last_outcome" \
    ",last AS last_asked," RIGHT " AS instead," \
    "CASE WHEN " RIGHT " NOTNULL THEN 'DHCP option 15 (or search list) of '||net||': '||" RIGHT \
    " ELSE 'no suffix has a record here: publish _vlmcs._tcp'||rtrim('.'||name,'.') END AS advice"
/* A name from the network stands in no command: people copy those. */
#define STUCK_FIELDS AUDIT_CLIENTS(SQL_ISO) \
    ",iif(n.no_host_since>0,'no host: waymarkctl audit client '||n.name," \
    "'has a host: TCP to it, its count (report thresholds), slmgr /dlv there') AS advice"
#define LEAK_ROWS \
    "(SELECT n.*,a.server FROM suffix n JOIN event e ON e.id=n.event JOIN answer a ON a.id=e.answer" \
    " WHERE public(a.server) AND n.name<>'(other)' AND " CLASS("n.name") " NOTNULL)n"
#define LEAK_FIELDS \
    "n.name AS suffix," CLASS("n.name") " AS class,n.server AS server,n.clients AS clients,n.questions AS questions," \
    "n.last AS last_asked,CASE WHEN " CLASS("n.name") " IN('no suffix','single label') THEN 'give these machines a DNS suffix'" \
    " WHEN " CLASS("n.name") "='has a route' THEN 'its route has this server' ELSE 'a route of its own: forward: zone '||n.name END AS advice"
#define THRESHOLD_FIELDS \
    "n.name AS target," COUNTED " AS clients,max(0,25-" COUNTED ") AS client_systems_missing," \
    "max(0,5-" COUNTED ") AS servers_missing,(SELECT last FROM spread WHERE host=n.name) AS last_given," \
    "CASE WHEN " COUNTED ">=25 THEN 'enough' WHEN " COUNTED ">=5 THEN 'enough if 5 of them are servers: else fewer hosts'" \
    " ELSE 'too few: give fewer hosts' END AS advice"
/* The suffixes whose last question would be answered otherwise, by what it is answered. */
#define SHADOW_ROWS \
    "(SELECT n.would_rule||' '||n.outcome||' '||n.said||' '||n.would AS id,n.*,r.clients,r.would AS questions FROM" \
    " (SELECT a.would_rule,a.outcome,iif(a.answer<>'',a.answer,iif(response='NOERROR','NODATA',response)) AS said,a.would," \
    "count(*) AS suffixes FROM suffix n CROSS JOIN event e ON e.id=n.event CROSS JOIN answer a ON a.id=e.answer" \
    " WHERE a.would<>'' GROUP BY 1,2,3,4)n LEFT JOIN rule r ON r.name=n.would_rule)n"

#define SHADOW_FIELDS \
    "would_rule AS rule,clients,suffixes,questions,outcome,said AS answer," \
    "would||ifnull(' '||(SELECT value FROM asked WHERE option='gives '||would_rule),'') AS would"

/* What they cannot know. */
#define BLURRED "A client is an address: NAT hides many behind one, DHCP gives one to many. "
#define WRONG_FOOT BLURRED \
    "A network is a /24 or /64 here. The 200 suffixes with most clients are looked at. " \
    "A machine that is given a host for its first suffix does not ask for the others."
#define STUCK_FOOT BLURRED \
    "A machine that is off at night asks less often and may be missing. Without a host: waymarkctl audit client IP; " \
    "with one: TCP to it, its count (audit report thresholds), slmgr /dlv there."
#define SILENT_FOOT BLURRED \
    "Silence proves nothing: a machine that has its host cached, a host set (/skms), a MAK or another resolver asks nothing."
#define WEEKLY_FOOT BLURRED "Machines with a cached host renew without a question, and are not listed."
#define UNAPPROVED_FOOT \
    "A host is judged by the policy as it was when the real DNS named it last. Whether clients reach it, DNS does not show."
#define PUBLISHERS_FOOT BLURRED \
    "What is published at another DNS server is not seen here. Of a flood, the last 200,000 events are looked at. " \
    "Left out are the addresses of pools' hosts, as far as the policy has them."
#define LEAK_FOOT \
    "The last question for each suffix is looked at, and questions for KMS hosts alone: " \
    "other names of these machines leak likewise."
#define THRESHOLD_FOOT \
    "Whether a client went to the host that it was given, and whether it is a server, DNS does not show; one with a cached " \
    "host asks nothing. Of an answer with several hosts, each counts; where these vary, of the last 100,000 clients."
#define SHADOW_FOOT \
    "Suffixes are counted whose last question would be answered otherwise; clients and questions are the rule's, ever, and " \
    "of many clients an estimate. A client that is given a host for this suffix does not ask for its next ones."

static const struct report {
    const char *name, *help, *make;
    bool asks_policy;
    struct {
        const char *title, *label, *value; /* SQL over the fields of the list */
        json_int_t mark;
    } bars;
    struct audit_list list;
} reports[] = {
    {"wrong-suffix", "suffixes without a record in the real DNS, by network, and the one to set there",
     WRONG, false, {"clients by suffix", "suffix", "sum(clients)", 0},
     {"suffixes", OF_SUFFIX, WRONG_ROWS, "n.row",
      WRONG_FIELDS, "clients", wrong_columns, WRONG_FOOT}},
    {"stuck", "clients that ask every two hours, for more than a day: they do not activate",
     NULL, false, {"clients by network", "net(address)", "count(*)", 0},
     {"clients", OF_CLIENT, CLIENTS_WHERE(IS_STUCK), "n.id",
      STUCK_FIELDS, "last_asked", audit_client_columns, STUCK_FOOT}},
    {"silent", "clients that asked before, and not in the last 30 days",
     NULL, false, {"clients by the month of their last question", MONTH("last_asked"), "count(*)", 0},
     {"clients", OF_CLIENT, CLIENTS_WHERE(IS_SILENT), "n.id",
      AUDIT_CLIENTS(SQL_ISO), "last_asked", audit_client_columns, SILENT_FOOT}},
    {"weekly", "clients that ask every seven days: activated, and renewing",
     NULL, false, {"clients by network", "net(address)", "count(*)", 0},
     {"clients", OF_CLIENT, CLIENTS_WHERE(IS_WEEKLY), "n.id",
      AUDIT_CLIENTS(SQL_ISO), "last_asked", audit_client_columns, WEEKLY_FOOT}},
    {"unapproved", "KMS hosts that the real DNS names and the policy does not approve",
     NULL, false, {"clients by host", "target", "sum(clients)", 0},
     {"targets", OF_TARGET, HOSTS_WHERE("unapproved>0"), "n.id",
      AUDIT_TARGETS, "clients", audit_target_columns, UNAPPROVED_FOOT}},
    {"publishers", "machines that try to publish a KMS host (UPDATE), or prepare to (SOA)",
     PUBLISHERS, true, {"questions by machine", "address", "sum(questions)", 0},
     {"publishers", OF_CLIENT | OF_SUFFIX, "publisher n", "n.rowid",
      PUBLISHER_FIELDS, "last_asked", publisher_columns, PUBLISHERS_FOOT}},
    {"leaks", "internal suffixes that are sent to a public server",
     NULL, false, {"clients by suffix", "suffix", "sum(clients)", 0},
     {"suffixes", OF_SUFFIX, LEAK_ROWS, "n.id",
      LEAK_FIELDS, "clients", leak_columns, LEAK_FOOT}},
    {"thresholds", "how many clients each host was given to in 30 days: it needs 25, or 5 servers",
     GIVEN, false, {"clients by host, in 30 days", "target", "sum(clients)", 25},
     {"targets", OF_TARGET, HOSTS_WHERE("delivered>0 AND name<>'(other)'"), "n.id",
      THRESHOLD_FIELDS, "clients", threshold_columns, THRESHOLD_FOOT}},
    {"shadow", "what the rules in shadow would change, and for how many",
     NULL, true, {"suffixes by rule", "rule", "sum(suffixes)", 0},
     {"rules", OF_RULE, SHADOW_ROWS, "n.id",
      SHADOW_FIELDS, "clients", shadow_columns, SHADOW_FOOT}},
};
/* clang-format on */

static const struct column count_columns[] = {
    {"report", NULL, COLUMN_TEXT, 0},
    {"rows", NULL, COLUMN_NUMBER, 0},
    {"help", "WHAT IT LISTS", COLUMN_TEXT, 0},
    {0},
};

static const struct report *find_report(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(reports); i++)
        if (strcmp(reports[i].name, name) == 0)
            return &reports[i];
    return NULL;
}

/* The addresses of pools' hosts, and what each rule gives; nothing while there is no policy. */
static int add_policy(struct ctl *c, json_t *facts)
{
    char *text = ctl_text("%s/policy/data.mdb", c->settings->server.state_dir);
    char ip[ADDR_TEXT], host[HOST_TEXT];
    struct policy p = {0};
    int code = access(text, F_OK) == 0 ? policy_read(c, &p, NULL) : 0;

    free(text);
    for (size_t i = 0; i < p.n_rules; i++) {
        const struct policy_pool *pool = policy_find(&p, POLICY_POOL, p.rules[i].pool);
        FILE *f = ctl_open(&text);

        for (size_t k = 0; pool && k < pool->n; k++) /* it begins as an approved host */
            fprintf(f, "%s%s", k > 0 ? " " : "",
                    policy_member_print(POLICY_APPROVED, &pool->hosts[k], host));
        ctl_close(f);
        json_array_append_new(facts, json_pack("[s+,s]", "gives ", p.rules[i].name, text));
        free(text);
    }
    for (size_t i = 0; i < p.n_pools; i++)
        for (size_t k = 0; k < p.pools[i].n; k++)
            for (int j = 0; j < p.pools[i].hosts[k].n_addresses; j++)
                json_array_append_new(
                    facts,
                    json_pack("[s,s]", "host", addr_print(&p.pools[i].hosts[k].addresses[j], ip)));
    policy_fini(&p);
    return code;
}

/* Its tables, from the whole audit or from what the filters let pass; with what reports look up
 * beside it, the time, the zones with a route of their own, the policy. own: what all reports that are asked
 * for can answer. */
static int make_report(struct audit *a, const struct report *r, unsigned own)
{
    const uint64_t now = a->until_ms > 0 ? a->until_ms : a->c->now.wall_ms;
    const struct settings *s = a->c->settings;
    json_t *facts = json_pack("[[s,I]]", "now", (json_int_t)now);
    char zone[NAME_TEXT], *text;
    int code = audit_narrow(a, own);

    for (int i = 0; i < s->n_routes; i++)
        json_array_append_new(facts,
                              json_pack("[s,s]", "zone", name_print(&s->routes[i].zone, zone)));
    if (code == 0 && r->asks_policy)
        code = add_policy(a->c, facts);
    text = json_dumps(facts, 0);
    if (code == 0)
        code = audit_run(a, NULL,
                         "DELETE FROM asked WHERE option IN('now','zone','host') OR option LIKE "
                         "'gives %%';DROP VIEW IF EXISTS seen;"
                         "CREATE TEMP VIEW seen AS SELECT * FROM event%s",
                         a->narrowed ? " WHERE id IN(SELECT id FROM picked)" : "");
    if (code == 0)
        code = audit_code(
            a,
            audit_query(a->store, "INSERT INTO asked SELECT value->>0,value->>1 FROM json_each(?)",
                        text, NULL));
    free(text);
    json_decref(facts);
    return code == 0 && r->make != NULL ? audit_run(a, NULL, "%s", r->make) : code;
}

int audit_report(struct audit *a, const char *name, json_t *rows)
{
    const struct report *r = find_report(name);
    int code = make_report(a, r, r->list.own);

    return code == 0 ? audit_rows(a, &r->list, -1, rows) : code;
}

/* How many rows each report has. */
static int count_reports(struct audit *a, json_t *rows)
{
    int code = 0;

    for (size_t i = 0; i < ARRAY_LEN(reports) && code == 0; i++) {
        const struct report *r = &reports[i];
        json_t *found = json_array(), *n;

        code = make_report(a, r, 0);
        if (code == 0)
            code = audit_bars(a, &r->list, "''", "count(*)", found);
        n = json_object_get(json_array_get(found, 0), "value");
        json_array_append_new(rows, json_pack("{s:s,s:I,s:s}", "report", r->name, "rows",
                                              json_integer_value(n), "help", r->help));
        json_decref(found);
        ctl_progress(a->c, "reports", i + 1, ARRAY_LEN(reports));
    }
    return code;
}

/* The most of a report as bars, its first rows, and what it cannot know. */
static int print_section(struct audit *a, const struct report *r, unsigned own)
{
    const long long limit = a->limit != 0 ? a->limit : PAGE_LIMIT;
    json_t *bars = json_array(), *rows = json_array();
    int code = make_report(a, r, own);
    char *text;

    if (code == 0)
        code = audit_bars(a, &r->list, r->bars.label, r->bars.value, bars);
    if (code == 0)
        code = audit_rows(a, &r->list, limit, rows);
    if (code == 0) {
        text = ctl_text("<h2 id=\"%s\">", r->name);
        html_element(text, r->name, "</h2>");
        free(text);
        html_element("<p>", r->help, "</p>");
        text = ctl_text("%s: %s", r->name, r->bars.title);
        html_bars(text, bars, r->bars.mark);
        free(text);
        html_table(a->c, r->list.columns, rows, false);
        if ((long long)json_array_size(rows) == limit)
            html_element("<p>These are the first rows; ", "waymarkctl audit report --csv",
                         " prints all.</p>");
        html_element("<p>", r->list.foot, "</p>");
    }
    json_decref(bars);
    json_decref(rows);
    return code;
}

/* One report, or (NULL) all with their numbers first. */
static int print_page(struct audit *a, const struct report *r)
{
    const uint64_t now = a->until_ms > 0 ? a->until_ms : a->c->now.wall_ms;
    char time[NUMBER_TEXT],
        *title = ctl_text("KMS discovery: %s", a->c->settings->server.name),
        *below = ctl_text("%s, as of %s, from the audit of waymarkd", r ? r->name : "all reports",
                          time_print_local(now, time));
    json_t *counts = json_array();
    int code = r ? 0 : count_reports(a, counts);

    if (code == 0) {
        html_begin(title, below);
        if (r == NULL)
            html_table(a->c, count_columns, counts, true);
        for (size_t i = 0; i < ARRAY_LEN(reports) && code == 0; i++)
            if (r == NULL || r == &reports[i])
                code = print_section(a, &reports[i], r ? r->list.own : 0);
        html_element("", "", "</body>\n</html>");
    }
    json_decref(counts);
    free(title);
    free(below);
    return code;
}

int report_run(struct ctl *c)
{
    const bool page = ctl_option(c, "--html") != NULL, table = c->format == FORMAT_TABLE;
    const char *names[ARRAY_LEN(reports) + 1] = {NULL}, *name = c->argv[0];
    const struct report *r = name != NULL ? find_report(name) : NULL;
    json_t *counts;
    char meant[DIAG_MEANT];
    struct audit a;
    int code;

    for (size_t i = 0; i < ARRAY_LEN(reports); i++)
        names[i] = reports[i].name;
    if (name != NULL && r == NULL)
        return ctl_fail(EXIT_USAGE,
                        "audit report %s: no such report%s (waymarkctl audit report lists them)",
                        name, diag_meant(name, names, meant));
    if (page && !table)
        return ctl_fail(EXIT_USAGE, "--html, --json and --csv exclude each other");
    counts = json_array();
    code = audit_begin(&a, c, r != NULL ? r->list.columns : NULL, NULL);
    if (code == 0 && page)
        code = print_page(&a, r);
    else if (code == 0 && r != NULL && (code = make_report(&a, r, r->list.own)) == 0)
        code = audit_print(&a, &r->list, a.limit != 0 ? a.limit : table ? REPORT_LIMIT : -1);
    else if (code == 0 && (code = count_reports(&a, counts)) == 0)
        table_print(c, "reports", count_columns, counts);
    json_decref(counts);
    audit_end(&a);
    return code;
}
