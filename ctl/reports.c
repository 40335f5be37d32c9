/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reports.c -- the lists of the ledger, and `audit report`: what an administrator should look at.
 *
 * Each is a row of lists[]: columns, SQL (that of some reports prepares tables first), and what it
 * cannot know. Most reports read the ledger alone, since that has a row a client
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

enum { REPORT_LIMIT = 1000, PAGE_LIMIT = 100 /* rows of a table, on a page */ };
enum { LISTS = 4 /* that are no reports */ };

/* clang-format off */
#define SUFFIX_COLUMNS "suffix|clients:n|questions:n/9|attempts:n|passed:n/5|filled:n/5|replaced:n/9|filtered:n/9|denied:n/9|missing:n/4" \
    "|failed:n/5|blocked:n/9|update:n/9|last_verdict/2=REAL DNS|last_outcome/1=LAST|last_rule/3=RULE|first_asked:time/9|last_asked:time/2"
#define RULE_COLUMNS "rule|clients:n|questions:n/9|attempts:n|would:n|passed:n/3|filled:n/1|replaced:n/2|filtered:n/4|denied:n/3|missing:n/9" \
    "|failed:n/9|blocked:n/9|update:n/9|last_outcome/9=LAST|first_asked:time/9=FIRST USED|last_asked:time/1=LAST USED"
#define TARGET_COLUMNS "target|clients:n|questions:n=SEEN|attempts:n/9|delivered:n|unapproved:flag|differs/4|unapproved_since:time/4=SINCE" \
    "|asked_by/4|through/5|state/2|state_since:time/4|last_error/4" \
    SQL_OUTCOMES(AUDIT_WIDE) "|update:n/9|last_outcome/2=LAST|last_rule/9=RULE|first_asked:time/9=FIRST SEEN|last_asked:time/1=LAST SEEN"
/* Is another port of the host approved? Then its name is between HOST: and HOST:; (which is behind :9). */
#define TARGETS SQL_NAMES(SQL_MS, AUDIT_COUNTS ",delivered," SQL_BOOL("unapproved") " AS \"unapproved[]\"," SQL_FIRST(SQL_MS) \
    ",iif(n.unapproved,iif(EXISTS(SELECT 1 FROM host h WHERE NOT h.unapproved AND h.name>rtrim(n.name,'0123456789')" \
    " AND h.name<rtrim(n.name,'0123456789')||';'),'port','host or address'),NULL) AS differs" STATE, "target")
/* What waymarkd knows of the host, if it runs. */
#define STATE ",(SELECT state FROM health h WHERE h.target=n.name) AS state" \
    ",(SELECT since FROM health h WHERE h.target=n.name) AS state_since" \
    ",(SELECT last_error FROM health h WHERE h.target=n.name) AS last_error"
#define WRONG_COLUMNS "suffix|class/2|network|clients:n|verdict/3=REAL DNS|last_outcome/4=LAST|last_asked:time/5" \
    "|instead/9=RIGHT SUFFIX|advice=WHAT TO DO"
#define PUBLISHER_COLUMNS "address=CLIENT|name/1|suffix|how|questions:n/2|first_asked:time/3|last_asked:time/1"
#define LEAK_COLUMNS "suffix|class|server|clients:n/1|questions:n/3|last_asked:time/2|advice=WHAT TO DO"
#define THRESHOLD_COLUMNS \
    "target|clients:n|client_systems_missing:n=TO 25|servers_missing:n=TO 5|last_given:time/2|advice=WHAT TO DO"
#define SHADOW_COLUMNS "rule|clients:n|suffixes:n|questions:n/4|outcome=NOW|answer/1|would=THEN"
#define COUNT_COLUMNS "report|rows:n|help=WHAT IT LISTS"

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
#define TABLE(name) "CREATE TEMP TABLE IF NOT EXISTS " name " AS "

/* Those with most clients, and where they are asked for; beside them the suffixes that have a record. */
#define WRONG \
    TABLE("wrong") "SELECT id FROM suffix WHERE name<>'(other)' AND passed+filtered=0" \
    " AND missing+filled+failed>0 AND NOT " VERDICTS("'present','unapproved'") " ORDER BY clients DESC LIMIT 200;" \
    TABLE("works") "SELECT id,name,clients FROM suffix WHERE name NOT IN('(other)','.')" \
    " AND passed>missing+failed AND NOT " VERDICTS("'unapproved'") " ORDER BY clients DESC LIMIT 50;" \
    TABLE("place") "SELECT s.suffix AS suffix,net(c.name) AS net,count(*) AS clients,max(s.last) AS last" \
    " FROM client_suffix s JOIN client c ON c.id=s.id/16" \
    " WHERE s.suffix IN(SELECT id FROM wrong UNION ALL SELECT id FROM works)" \
    " AND c.name<>'(other)' AND c.name NOT GLOB 'forgotten*' AND s.outcome<>(SELECT id FROM outcome WHERE word='update') GROUP BY 1,2;" \
    TABLE("instead") "SELECT net,name,max(p.clients) FROM place p JOIN works w ON w.id=p.suffix GROUP BY 1;" \
    "CREATE INDEX IF NOT EXISTS temp.instead_by_net ON instead(net);"
#define RIGHT \
    "coalesce((SELECT name FROM instead i WHERE i.net=n.net),(SELECT name FROM works ORDER BY clients DESC LIMIT 1))"

_Static_assert(LEDGER_SHARED == 20000, "as stands here");
#define EVENTS_OF_ANSWER "seen e ON e.id BETWEEN a.id AND a.id+19999 AND e.answer=a.id"
#define NAME_OF(table) "iif(typeof(e." table ")='text',e." table ",(SELECT name FROM main." table " WHERE id=e." table "))"

#define PUBLISHERS \
    TABLE("publisher") "SELECT " NAME_OF("client") " AS address," NAME_OF("suffix") " AS suffix," \
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
    TABLE("given") "SELECT host,min(hosts) AS hosts,count(*)=1 AS always FROM" \
    " (SELECT DISTINCT " FIRST_HOST " AS host,lower(answer) AS hosts FROM answer WHERE answer<>'') GROUP BY host;" \
    TABLE("spread") "SELECT j.value AS host,sum(clients) AS clients,max(last) AS last FROM" \
    " (SELECT ifnull(g.hosts,h.name) AS hosts,count(*) AS clients,max(host_at) AS last " GIVEN_TO("client") \
    " WHERE host_at>" NOW "-30" DAYS " AND ifnull(always,1) GROUP BY c.host UNION ALL" \
    " SELECT iif(a.answer<>'',lower(a.answer),h.name),count(*),max(host_at) " \
    GIVEN_TO("(SELECT * FROM client ORDER BY host_at DESC LIMIT 100000)") \
    " LEFT JOIN event e ON e.id=c.event LEFT JOIN answer a ON a.id=e.answer" \
    " WHERE host_at>" NOW "-30" DAYS " AND NOT always GROUP BY 1)n,json_each(" SQL_LIST("n.hosts") ")j GROUP BY 1;" \
    "CREATE INDEX IF NOT EXISTS temp.spread_by_host ON spread(host);"
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
#define STUCK_FIELDS AUDIT_CLIENTS(SQL_MS, SQL_ISO) \
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
    "max(0,5-" COUNTED ") AS servers_missing,(SELECT last FROM spread WHERE host=n.name) AS last_given" STATE "," \
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
    "would||ifnull(' '||(SELECT group_concat(value,' ') FROM asked WHERE option='gives '||would_rule),'') AS would"

/* What they cannot know. */
#define BLURRED "A client is an address: NAT hides many behind one, DHCP gives one to many. "
#define CLIENTS_FOOT BLURRED "A client that asks another resolver, or has a host cached, is not listed."
#define SUFFIXES_FOOT \
    "A client that is given a host for its first suffix does not ask for its others. " \
    "Questions to other resolvers are not counted."
#define TARGETS_FOOT \
    "A host that was delivered need not be in use: DNS does not show whether the client reaches it, " \
    "nor which host it has cached."
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

static const struct audit_list lists[] = {
    {"clients", NULL, "clients", OF_CLIENT | OF_NO_HOST, "client n", "n.id",
     AUDIT_CLIENTS(SQL_MS, SQL_ISO), "last_asked DESC", AUDIT_CLIENT_COLUMNS, .foot = CLIENTS_FOOT},
    {"suffixes", NULL, "suffixes", OF_SUFFIX, "suffix n", "n.id",
     SQL_NAMES(SQL_MS, AUDIT_COUNTS, "suffix"), "attempts DESC", SUFFIX_COLUMNS,
     .foot = SUFFIXES_FOOT},
    {"targets", NULL, "targets", OF_TARGET | OF_UNAPPROVED, "host n", "n.id",
     TARGETS, "questions DESC", TARGET_COLUMNS, .foot = TARGETS_FOOT},
    {"rules", NULL, "rules", OF_RULE, "rule n", "n.id",
     SQL_NAMES(SQL_MS, AUDIT_COUNTS ",would", "rule"), "attempts DESC", RULE_COLUMNS,
     .foot = "A rule that never acted is not listed: see waymarkctl policy check."},
    /* From here on they are reports. */
    {"wrong-suffix", "suffixes without a record in the real DNS, by network, and the one to set there",
     "suffixes", OF_SUFFIX, WRONG_ROWS, "n.row", WRONG_FIELDS, "clients DESC", WRONG_COLUMNS,
     .foot = WRONG_FOOT, .bars = {"clients by suffix", "suffix", "sum(clients)", 0}, .make = WRONG},
    {"stuck", "clients that ask every two hours, for more than a day: they do not activate",
     "clients", OF_CLIENT, CLIENTS_WHERE(IS_STUCK), "n.id", STUCK_FIELDS,
     "last_asked DESC", AUDIT_CLIENT_COLUMNS, .foot = STUCK_FOOT,
     .bars = {"clients by network", "net(address)", "count(*)", 0}},
    {"silent", "clients that asked before, and not in the last 30 days",
     "clients", OF_CLIENT, CLIENTS_WHERE(IS_SILENT), "n.id",
     AUDIT_CLIENTS(SQL_MS, SQL_ISO), "last_asked DESC", AUDIT_CLIENT_COLUMNS, .foot = SILENT_FOOT,
     .bars = {"clients by the month of their last question", MONTH("last_asked"), "count(*)", 0}},
    {"weekly", "clients that ask every seven days: activated, and renewing",
     "clients", OF_CLIENT, CLIENTS_WHERE(IS_WEEKLY), "n.id",
     AUDIT_CLIENTS(SQL_MS, SQL_ISO), "last_asked DESC", AUDIT_CLIENT_COLUMNS, .foot = WEEKLY_FOOT,
     .bars = {"clients by network", "net(address)", "count(*)", 0}},
    {"unapproved", "KMS hosts that the real DNS names and the policy does not approve",
     "targets", OF_TARGET, HOSTS_WHERE("unapproved>0"), "n.id", TARGETS, "clients DESC", TARGET_COLUMNS,
     .foot = UNAPPROVED_FOOT, .bars = {"clients by host", "target", "sum(clients)", 0}},
    {"publishers", "machines that try to publish a KMS host (UPDATE), or prepare to (SOA)",
     "publishers", OF_CLIENT | OF_SUFFIX, "publisher n", "n.rowid", "n.*", "last_asked DESC",
     PUBLISHER_COLUMNS, .foot = PUBLISHERS_FOOT, .make = PUBLISHERS, .asks_policy = true,
     .bars = {"questions by machine", "address", "sum(questions)", 0}},
    {"leaks", "internal suffixes that are sent to a public server",
     "suffixes", OF_SUFFIX, LEAK_ROWS, "n.id", LEAK_FIELDS, "clients DESC", LEAK_COLUMNS,
     .foot = LEAK_FOOT, .bars = {"clients by suffix", "suffix", "sum(clients)", 0}},
    {"thresholds", "how many clients each host was given to in 30 days: it needs 25, or 5 servers",
     "targets", OF_TARGET, HOSTS_WHERE("delivered>0 AND name<>'(other)'"), "n.id",
     THRESHOLD_FIELDS, "clients DESC", THRESHOLD_COLUMNS, .foot = THRESHOLD_FOOT,
     .bars = {"clients by host, in 30 days", "target", "sum(clients)", 25}, .make = GIVEN},
    {"shadow", "what the rules in shadow would change, and for how many",
     "rules", OF_RULE, SHADOW_ROWS, "n.id", SHADOW_FIELDS, "clients DESC", SHADOW_COLUMNS,
     .foot = SHADOW_FOOT, .bars = {"suffixes by rule", "rule", "sum(suffixes)", 0},
     .asks_policy = true},
};
/* clang-format on */

/* Its tables, from the whole audit or from what the filters let pass. own: what all reports that are
 * asked for can answer. What some ask of the policy: the addresses of pools' hosts, and what each rule
 * gives; nothing while there is no policy. */
static void make_report(struct audit *a, const struct audit_list *r, unsigned own)
{
    char ip[ADDR_TEXT], host[HOST_TEXT], *path;
    json_t *facts = json_array();
    struct policy p = {0};

    audit_narrow(a, own);
    path = ctl_text("%s/policy/data.mdb", a->c->settings->server.state_dir);
    if (r->asks_policy && !a->has_policy && a->code == 0 && access(path, F_OK) == 0)
        a->code = policy_read(a->c, NULL, &p, NULL);
    free(path);
    for (size_t i = 0; i < p.n_pools; i++)
        for (size_t k = 0; k < p.pools[i].n; k++) {
            const struct policy_host *h = &p.pools[i].hosts[k];

            for (int j = 0; j < h->n_addresses; j++)
                json_array_append_new(facts,
                                      json_pack("[s,s]", "host", addr_print(&h->addresses[j], ip)));
            for (size_t n = 0; n < p.n_rules; n++) /* it begins as an approved host */
                if (strcasecmp(p.rules[n].pool, p.pools[i].name) == 0)
                    json_array_append_new(facts,
                                          json_pack("[s+,s]", "gives ", p.rules[n].name,
                                                    policy_member_print(POLICY_APPROVED, h, host)));
        }
    a->has_policy = a->has_policy || r->asks_policy;
    policy_fini(&p);
    audit_take(a, AUDIT_TAKE_ASKED, facts);
    audit_run(a, NULL, "%s", r->make ? r->make : "");
}

int audit_report(struct audit *a, const char *name, json_t *rows)
{
    const struct audit_list *r = lists + LISTS;

    while (strcmp(r->name, name) != 0)
        r++;
    make_report(a, r, r->own);
    return audit_rows(a, r, -1, rows);
}

/* How many rows each report has. */
static void count_reports(struct audit *a)
{
    static const struct audit_bars all = {NULL, "''", "count(*)", 0};

    for (size_t i = LISTS; i < ARRAY_LEN(lists); i++) {
        const struct audit_list *r = &lists[i];
        json_t *found = json_array(), *n;

        make_report(a, r, 0);
        audit_bars(a, r, &all, found);
        n = json_object_get(json_array_get(found, 0), "value");
        json_array_append_new(a->rows, json_pack("{s:s,s:I,s:s}", "report", r->name, "rows",
                                                 json_integer_value(n), "help", r->help));
        json_decref(found);
        ctl_progress(a->c, i + 1, ARRAY_LEN(lists));
    }
}

/* clang-format off */
/* A page for a mailbox or a printer: one file that loads nothing, without script. Colours are in its
 * style alone, as variables, so that dark and print are a few lines of it. */
#define STYLE \
    ":root{--paper:#fff;--ink:#1b2129;--soft:#5a6571;--line:#d8dde3;--bar:#2f6db0;--mark:#b4462f}\n" \
    "@media(prefers-color-scheme:dark){:root{--paper:#14181d;--ink:#e4e8ec;--soft:#9aa5b1;--line:#313942;--bar:#6aa5de;--mark:#e58b72}}\n" \
    "body{margin:2rem auto;max-width:72rem;padding:0 1rem;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\n" \
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .2rem}p{margin:.3rem 0;color:var(--soft)}a{color:inherit}\n" \
    "svg{width:100%;max-width:46rem;height:auto;display:block;margin:.8rem 0}svg text{fill:var(--ink);font-size:12px}\n" \
    "svg rect{fill:var(--bar)}svg line{stroke:var(--mark);stroke-dasharray:4 3}\n" \
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;margin:.8rem 0}th{font-weight:600;white-space:nowrap}\n" \
    "th,td{text-align:left;vertical-align:top;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\n" \
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n" \
    "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--bar:#555;--mark:#000}body{margin:0;max-width:none;font-size:10pt}" \
    "table{font-size:8pt}.wide{overflow:visible}thead{display:table-header-group}tr,svg{break-inside:avoid}h2{break-after:avoid}}\n"
#define HEAD \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n" \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>"
/* clang-format on */
static const struct ctl_row page_rows[] = {
    {NULL, NULL,
     "<title>{title:html}</title>\n</head>\n<body>\n<h1>{title:html}</h1>\n<p>{below:html}</p>"},
    {NULL, NULL,
     "[{?reports}<table>\n<thead><tr><th>REPORT</th><th class=\"n\">ROWS</th><th>WHAT IT "
     "LISTS</th></tr></thead>\n<tbody>]"},
    {NULL, "reports",
     "<tr><td><a href=\"#{report}\">{report}</a></td><td "
     "class=\"n\">{rows}</td><td>{help:html}</td></tr>"},
    {NULL, NULL, "[{?reports}</tbody></table>]"},
    {0},
};
/* The most of a report as bars, its first rows, and what it cannot know. */
static const struct ctl_row section_rows[] = {
    {NULL, NULL, "<h2 id=\"{name}\">{name}</h2>\n<p>{help:html}</p>"},
    {NULL, "last", "<svg viewBox=\"0 0 720 {height}\" role=\"img\" aria-label=\"{title}\">"},
    {NULL, "bars",
     "<g><title>{label:html}</title><text x=\"222\" y=\"{base}\" "
     "text-anchor=\"end\">{short:html}</text>"
     "<rect x=\"230\" y=\"{top}\" width=\"{width}\" height=\"14\"/><text x=\"{beside}\" "
     "y=\"{base}\">{value}</text></g>"},
    {NULL, "last", "[<line x1=\"{goal}\" x2=\"{goal}\" y1=\"0\" y2=\"{height}\"/>]</svg>"},
    {NULL, NULL, "[{?rows}<div class=\"wide\"><table>|<p>None.</p>]"},
    {0},
};
static const struct ctl_row foot_rows[] = {
    {NULL, NULL, "[{?rows}</tbody></table></div>]"},
    {NULL, NULL,
     "[{?more}<p>These are the first rows; waymarkctl audit report --csv prints all.</p>]"},
    {NULL, NULL, "<p>{foot:html}</p>"},
    {0},
};

/* One report, or (NULL) all with their numbers first. */
static void print_page(struct audit *a, const struct audit_list *only)
{
    const struct audit_list *r = only ? only : lists + LISTS;
    const struct audit_list *end = only ? only + 1 : lists + ARRAY_LEN(lists);
    const long long limit = a->limit != 0 ? a->limit : PAGE_LIMIT;
    char time[NUMBER_TEXT];
    json_t *page;

    if (only == NULL)
        count_reports(a);
    if (a->code != 0)
        return;
    page = json_pack("{s:o,s:o,s:O}", "title",
                     json_sprintf("KMS discovery: %s", a->c->settings->server.name), "below",
                     json_sprintf("%s, as of %s, from the audit of waymarkd",
                                  only ? only->name : "all reports",
                                  time_print_local(a->now_ms, time)),
                     "reports", a->rows);
    puts(HEAD "\n<style>\n" STYLE "</style>");
    ctl_show(page, page_rows);
    json_decref(page);
    for (; r < end; r++) {
        json_t *bars = json_array(), *rows = json_array(), *section, *last;

        make_report(a, r, only ? r->own : 0);
        audit_bars(a, r, &r->bars, bars);
        audit_rows(a, r, limit, rows);
        last = json_array_get(bars, json_array_size(bars) - 1);
        json_object_set_new(last, "title", json_sprintf("%s: %s", r->name, r->bars.title));
        section = json_pack("{s:s,s:s,s:s,s:b,s:O*,s:o,s:o}", "name", r->name, "help", r->help,
                            "foot", r->foot, "more", (long long)json_array_size(rows) == limit,
                            "last", last, "bars", bars, "rows", rows);
        if (a->code == 0) {
            ctl_show(section, section_rows);
            if (json_array_size(rows) > 0)
                table_print(a->c, "", r->columns, rows);
            ctl_show(section, foot_rows);
        }
        json_decref(section);
    }
    puts("</body>\n</html>");
}

int report_run(struct ctl *c)
{
    const bool page = ctl_option(c, "--html") != NULL, table = c->format == FORMAT_TABLE;
    const bool is_report = strcmp(c->verb->verb, "report") == 0;
    const struct audit_list *r = is_report ? lists + LISTS : lists, *end = lists + ARRAY_LEN(lists);
    const char *name = is_report ? c->argv[0] : c->verb->verb;
    char meant[DIAG_MEANT] = "";
    unsigned nearest = 0;
    struct audit a;

    for (; name && r < end && strcmp(r->name, name) != 0; r++)
        diag_nearer(name, r->name, &nearest, meant);
    if (r == end)
        return ctl_misused("audit report %s: no such report%s (waymarkctl audit report lists them)",
                           name, meant);
    if (page && !table)
        return ctl_misused("--html, --json and --csv exclude each other");
    audit_begin(&a, c, name ? r->columns : NULL);
    if (page) {
        c->format = FORMAT_HTML;
        print_page(&a, name ? r : NULL);
    } else if (name) {
        make_report(&a, r, r->own);
        audit_print(&a, r, a.limit != 0 ? a.limit : table && is_report ? REPORT_LIMIT : -1);
    } else {
        count_reports(&a);
        if (a.code == 0)
            table_print(c, "reports", COUNT_COLUMNS, a.rows);
    }
    return audit_end(&a);
}
