/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_events.c -- the events that pass the filters, and the ledger made anew from them.
 *
 * Where a filter asks for what only events know, the tables of the ledger are made from the events
 * that pass it, and a remark says so: questions above the rates are in the stored ledger alone.
 */
#include "ctl/audit.h"

enum { PICK_STEP = 20000 };

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
    "CREATE TEMP TABLE client AS SELECT row_number() OVER () AS id,g.*,(SELECT h.id FROM picked p JOIN temp.host h"
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
    " JOIN temp.client c ON c.name=p.address JOIN temp.suffix s ON s.name=p.suffix WHERE place<16;" BY_ID("client_suffix")
    "CREATE TEMP TABLE hour AS SELECT ms/3600000 AS id," SPAN " FROM picked GROUP BY 1";
/* clang-format on */

int audit_pick(struct audit *a, long long limit)
{
    long long first, last, n = 0;
    char where[AUDIT_WHERE];
    int code = audit_span(a, &first, &last);

    audit_where(a, where);
    if (code == 0)
        code = audit_run(a, NULL, "CREATE TEMP TABLE picked(id INTEGER PRIMARY KEY," PICKED ")");
    for (; code == 0 && last >= first && n != limit; last -= PICK_STEP) {
        code = audit_run(
            a, NULL, PICK " WHERE sequence>%lld AND sequence<=%lld%s ORDER BY 1 DESC LIMIT %lld",
            last - PICK_STEP, last, where, limit > 0 ? limit - n : -1);
        if (code == 0)
            code = audit_number(a, &n, "SELECT count(*) FROM picked");
    }
    return code;
}

int audit_ledger(struct audit *a)
{
    int code = audit_pick(a, -1);

    return code == 0 ? audit_run(a, NULL, "%s", ledger_sql) : code;
}

int audit_narrow(struct audit *a, unsigned own)
{
    long long found[2];
    char text[NUMBER_TEXT];
    int code;

    if (a->narrowed || (a->since_ms == 0 && a->until_ms == 0 && (a->given & ~own) == 0))
        return 0;
    a->narrowed = true;
    code = audit_ledger(a);
    if (code == 0)
        code = audit_number(a, found, "SELECT count(*),min(ms) FROM picked");
    if (code == 0 && a->c->format == FORMAT_TABLE)
        ctl_note("from %lld events%s%s; questions above the rates are in the whole ledger only",
                 found[0], found[0] > 0 ? ", the oldest of " : "",
                 found[0] > 0 ? time_print_local((uint64_t)found[1], text) : "");
    return code;
}
