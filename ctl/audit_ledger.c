/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_ledger.c -- the ledger's tables made anew from the events that pass.
 *
 * They are temporary and have the names of the stored ones, which they hide: so
 * the same statement lists the one or the other.
 */
#include "ctl/audit.h"

enum { STEP = 20000 };

/* clang-format off */
#define IS(name) ",sum(outcome='" #name "')"
#define SPAN "min(ms),max(ms),max(id) AS event,count(*),sum(NOT repeat)" SCHEMA_OUTCOMES(IS) IS(update)
#define NUMBER(list, word) "ifnull((SELECT id FROM " list " WHERE word=" word "),0)"
#define LAST NUMBER("verdict", "p.verdict") "," NUMBER("outcome", "p.outcome")
#define RULE "(SELECT id FROM rule WHERE name=p.rule)"

static const char *const empty_sql[] = {
    "CREATE TABLE temp.picked(id INTEGER PRIMARY KEY,ms,address,suffix,repeat,outcome,verdict,rule,would_rule,real_hosts,"
    "unapproved,answer,asks)",
    SCHEMA_LEDGER("temp.client", SCHEMA_CLIENT), SCHEMA_LEDGER("temp.suffix", SCHEMA_NAME),
    SCHEMA_LEDGER("temp.host", SCHEMA_NAME), SCHEMA_LEDGER("temp.rule", SCHEMA_NAME),
    SCHEMA_LEDGER("temp.hour", SCHEMA_HOUR), SCHEMA_SUFFIXES("temp.client_suffix"),
};

#define PICK "INSERT INTO picked SELECT sequence,ms,address,suffix,repeat,outcome,verdict,rule,would_rule,real_hosts,unapproved," \
    "answer,type IN('SRV','ANY') AND outcome<>'update' FROM events WHERE kind='event'"

/* What a row says of its last event it takes from that. */
static const char *const ledger_sql[] = {
    "CREATE INDEX temp.by_address ON picked(address,id)",
    "INSERT INTO temp.rule(name" SCHEMA_HOUR ",clients,would,outcome) SELECT g.*,0," NUMBER("outcome", "p.outcome") " FROM "
    "(SELECT rule," SPAN ",count(DISTINCT address) FROM picked WHERE rule<>'' GROUP BY rule)g JOIN picked p ON p.id=g.event",
    "INSERT INTO temp.rule(name,first,last,clients" SCHEMA_COUNTS(SCHEMA_COLUMN) ") SELECT would_rule,min(ms),max(ms),count(DISTINCT address),"
    "0,0,0,0,0,0,0,0,0,0,0 FROM picked WHERE would_rule NOT IN(SELECT name FROM temp.rule) GROUP BY would_rule",
    "UPDATE temp.rule SET would=(SELECT count(*) FROM picked WHERE would_rule=name)",
    "INSERT INTO temp.suffix(name" SCHEMA_HOUR ",clients,verdict,outcome,rule) SELECT g.*," LAST "," RULE
    " FROM (SELECT suffix," SPAN ",count(DISTINCT address) FROM picked GROUP BY suffix)g JOIN picked p ON p.id=g.event",
    "CREATE TEMP TABLE named AS SELECT DISTINCT p.id AS id,lower(j.value) AS host FROM picked p,"
    "json_each(" SCHEMA_LIST("trim(real_hosts||' '||answer)") ")j",
    "INSERT INTO temp.host(name" SCHEMA_HOUR ",clients,delivered,verdict,outcome,rule,unapproved) "
    "SELECT g.*," LAST "," RULE ",instr(' '||lower(p.unapproved)||' ',' '||g.host||' ')>0 FROM "
    "(SELECT host," SPAN ",count(DISTINCT address),sum(instr(' '||lower(answer)||' ',' '||host||' ')>0) "
    "FROM named JOIN picked USING(id) GROUP BY host)g JOIN picked p ON p.id=g.event",
    "INSERT INTO temp.client(name" SCHEMA_HOUR ",host_at,host,no_host_since,cadence_s) SELECT g.*,"
    "(SELECT h.id FROM picked p JOIN temp.host h ON h.name=lower(substr(p.answer||' ',1,instr(p.answer||' ',' ')-1))"
    " WHERE p.address=g.address AND p.answer<>'' ORDER BY p.id DESC LIMIT 1),"
    "(SELECT min(ms) FROM picked p WHERE p.address=g.address AND asks AND answer='' AND ms>g.host_at),"
    "(SELECT CAST(avg(gap)/1000 AS INTEGER) FROM (SELECT ms-lag(ms) OVER (ORDER BY id) AS gap FROM picked p"
    " WHERE p.address=g.address AND NOT repeat) WHERE gap>=60000)"
    " FROM (SELECT address," SPAN ",max(iif(answer<>'',ms,0)) AS host_at FROM picked GROUP BY address)g",
    "INSERT INTO temp.client_suffix SELECT 16*c.id+g.place,s.id,p.ms," LAST " FROM (SELECT max(id) AS event,"
    "row_number() OVER (PARTITION BY address ORDER BY max(id) DESC)-1 AS place FROM picked GROUP BY address,suffix)g "
    "JOIN picked p ON p.id=g.event JOIN temp.client c ON c.name=p.address JOIN temp.suffix s ON s.name=p.suffix WHERE place<16",
    "INSERT INTO temp.hour(id" SCHEMA_HOUR ") SELECT ms/3600000," SPAN " FROM picked GROUP BY ms/3600000",
};
/* clang-format on */

int audit_ledger_of_events(struct audit *a)
{
    int64_t first, last;
    struct audit_sql q;
    int code = audit_numbers(a, &first, &last);

    for (size_t i = 0; i < ARRAY_LEN(empty_sql) && code == 0; i++)
        code = audit_exec(a, empty_sql[i]);
    for (; code == 0 && first <= last; first += STEP) {
        audit_sql_begin(&q, PICK);
        audit_sql_add(&q, " AND sequence>=?", first);
        audit_sql_add(&q, " AND sequence<?", first + STEP);
        audit_sql_events(&q, a);
        code = audit_run(a, &q, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(ledger_sql) && code == 0; i++)
        code = audit_exec(a, ledger_sql[i]);
    return code;
}
