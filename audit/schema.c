/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schema.c -- the tables of the audit and the views over them.
 *
 *   event     one row a question or control record; its id is the sequence
 *   answer    what became of a question: few kinds of it, named by number
 *   text      what repeats otherwise: lists of networks, names in odd case, and
 *             clients and suffixes for which the ledger has no row (as -id)
 *   epoch     event, answer and text that came next when the numbering of
 *             answers and texts began anew: what only older events name can go
 *   control   the rest of an event that is no question
 *   client suffix host rule hour   the ledger
 *   client_suffix   the last 16 suffixes of a client: id is 16 * client + place
 *
 * Times are Unix time in ms, 0 or NULL where there is none. An event names the
 * one before of the same client, so that a client's story needs no index.
 */
#include "audit/schema.h"

/* clang-format off */
const char schema_tables[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY,value INTEGER NOT NULL)WITHOUT ROWID;"
    "INSERT INTO meta VALUES('recorded',0),('counted',0),('dropped',0);"
    "CREATE TABLE event(id INTEGER PRIMARY KEY" SCHEMA_EVENT(SCHEMA_COLUMN) ");"
    "CREATE TABLE answer(id INTEGER PRIMARY KEY,forwarder,type,outcome,reason,verdict,server,real_rcode,real_hosts,"
    "unapproved,response,answer,error,rule,would,would_rule,note);"
    "CREATE TABLE text(id INTEGER PRIMARY KEY,text);"
    "CREATE TABLE epoch(event INTEGER PRIMARY KEY,answer,text);"
    "CREATE TABLE control(id INTEGER PRIMARY KEY,forwarder,kind,note,count,at);"
    SCHEMA_SUFFIXES("client_suffix")
    "CREATE TABLE outcome(id INTEGER PRIMARY KEY,word TEXT);"
    "CREATE TABLE verdict(id INTEGER PRIMARY KEY,word TEXT);"
    SCHEMA_LEDGER("client", SCHEMA_CLIENT)
    SCHEMA_LEDGER("suffix", SCHEMA_NAME)
    SCHEMA_LEDGER("host", SCHEMA_NAME)
    SCHEMA_LEDGER("rule", SCHEMA_NAME)
    SCHEMA_LEDGER("hour", SCHEMA_HOUR);

#define COUNTS SCHEMA_COUNTS(SCHEMA_COLUMN)
#define TEXT(id) "(SELECT text FROM text WHERE id=" id ")"
#define BIT(bit, yes) "iif(e.bits&" bit ",'" yes "','')"
#define OF(table, id) "iif(" id ">0,(SELECT name FROM " table " WHERE id=" id ")," TEXT("-" id) ")"
#define NAMED(kind, table, own) \
    "CREATE VIEW " table " AS SELECT name AS " kind ",clients" COUNTS "," own \
    SCHEMA_WORD("verdict", "n.verdict") " AS last_verdict," SCHEMA_WORD("outcome", "n.outcome") " AS last_outcome," \
    "(SELECT r.name FROM rule r WHERE r.id=n.rule) AS last_rule," SCHEMA_ISO("first") " AS first_asked," SCHEMA_ISO("last") " AS last_asked"

const char schema_views[] =
    "CREATE VIEW events AS SELECT e.id AS sequence,e.ms AS ms," SCHEMA_ISO("e.ms") " AS time,coalesce(k.kind,'event') AS kind,"
    "coalesce(a.forwarder,k.forwarder) AS forwarder," OF("client", "e.client") " AS address,e.port AS port,"
    "iif(e.bits&64,'tcp','udp') AS transport," TEXT("e.networks") " AS networks,"
    "iif(e.asked," TEXT("e.asked") ",'_vlmcs._tcp'||rtrim('.'||" OF("suffix", "e.suffix") ",'.')) AS question,"
    OF("suffix", "e.suffix") " AS suffix,a.type AS type,e.dns_id AS id,"
    "trim(" BIT("8", "RD ") "||" BIT("16", "CD ") "||" BIT("32", "AD ") "||" BIT("4", "DO") ") AS flags,"
    "e.bits&1 AS repeat,(e.bits&2)/2 AS cached,a.outcome AS outcome,a.reason AS reason,a.rule AS rule,"
    "e.serial AS policy_serial,a.verdict AS verdict,a.server AS server,a.real_rcode AS real_rcode,e.real_ms AS real_ms,"
    "a.real_hosts AS real_hosts,a.unapproved AS unapproved,a.response AS response,a.answer AS answer,"
    "iif(a.error>0,printf('0x%08X',2147942400+a.error),NULL) AS client_error,a.would AS would,a.would_rule AS would_rule,"
    "e.latency_us AS latency_us,coalesce(a.note,k.note) AS note,k.count AS count,k.at AS at_ms,e.previous AS previous "
    "FROM event e LEFT JOIN answer a ON a.id=e.answer LEFT JOIN control k ON e.answer IS NULL AND k.id=e.id;"
    "CREATE VIEW clients AS SELECT name AS address," SCHEMA_ISO("first") " AS first_asked," SCHEMA_ISO("last") " AS last_asked" COUNTS ","
    "(SELECT o.word FROM client_suffix s JOIN outcome o ON o.id=s.outcome WHERE " SCHEMA_SLOTS " ORDER BY s.last DESC LIMIT 1)"
    " AS last_outcome,"
    "(SELECT group_concat(u.name,' ') FROM client_suffix s JOIN suffix u ON u.id=s.suffix WHERE " SCHEMA_SLOTS ") AS suffixes,"
    "(SELECT h.name FROM host h WHERE h.id=n.host) AS last_host," SCHEMA_ISO("nullif(host_at,0)") " AS last_host_at,"
    SCHEMA_ISO("nullif(no_host_since,0)") " AS no_host_since,nullif(cadence_s,0) AS cadence_s FROM client n;"
    NAMED("suffix", "suffixes", "") " FROM suffix n;"
    NAMED("target", "targets", "delivered,unapproved,") " FROM host n;"
    NAMED("rule", "rules", "would,") " FROM rule n;"
    "CREATE VIEW hours AS SELECT " SCHEMA_ISO("id*3600000") " AS hour" COUNTS " FROM hour;"
    "CREATE VIEW gaps AS SELECT k.id AS sequence," SCHEMA_ISO("e.ms") " AS time,kind,count," SCHEMA_ISO("nullif(at,0)") " AS since,forwarder,note "
    "FROM control k JOIN event e ON e.id=k.id WHERE kind IN('gap','start','stop','prune','forget');";

/* json_patch() leaves out what is NULL. */
const char audit_ecs[] =
    "json_patch('{}',json_object('@timestamp',time,'ecs',json_object('version','8.11.0'),"
    "'observer',json_object('name',forwarder,'product','Waymark','type','dns-forwarder'),"
    "'event',json_object('kind','event','category',json_array(iif(kind='event','network','configuration')),"
    "'type',json_array(iif(kind='event','protocol','info')),'dataset','waymark.audit',"
    "'action',iif(kind='event','kms-discovery','audit-'||kind),'sequence',sequence,"
    "'outcome',CASE WHEN kind='event' THEN iif(answer='','failure','success') END,'duration',latency_us*1000),"
    "'client',json(CASE WHEN kind='event' THEN json_object('ip',address,'port',port)END),"
    "'network',json(CASE WHEN kind='event' THEN json_object('transport',transport,'protocol','dns')END),"
    "'dns',json(CASE WHEN kind='event' THEN json_object('id',CAST(id AS TEXT),'type','answer',"
    "'question',json_object('name',question,'type',type),'header_flags'," SCHEMA_LIST("flags") ",'response_code',response,"
    "'answers',json('['||iif(answer='','','{\"type\":\"SRV\",\"data\":'||"
    "replace(json_quote(answer),' ','\"},{\"type\":\"SRV\",\"data\":\"')||'}')||']'))END),"
    "'rule',json(CASE WHEN rule<>'' THEN json_object('name',rule)END),"
    "'waymark',json(iif(kind<>'event',json_object('text',coalesce(note,''),'count',count,"
    "'from',CASE WHEN kind='gap' THEN " SCHEMA_ISO("nullif(at_ms,0)") " END,'until',CASE WHEN kind='prune' THEN " SCHEMA_ISO("nullif(at_ms,0)") " END),"
    "json_object('suffix',suffix,'outcome',outcome,'reason',reason,'repeat',json(iif(repeat,'true','false')),"
    "'cached',json(iif(cached,'true','false')),'policy_serial',policy_serial,"
    "'networks'," SCHEMA_LIST("coalesce(networks,'')") ","
    "'verdict',json(CASE WHEN verdict<>'' THEN json_object('name',verdict,'server',server,'response_code',real_rcode,"
    "'ms',real_ms,'hosts'," SCHEMA_LIST("real_hosts") ",'unapproved'," SCHEMA_LIST("unapproved") ")END),"
    "'would',json(CASE WHEN would<>'' THEN json_object('outcome',would,'rule',coalesce(would_rule,''))END),"
    "'client_error',client_error)))))";

#define LOCAL(ms) "strftime('%Y-%m-%d %H:%M:%S'," ms "/1000,'unixepoch','localtime')"

const char audit_words[] =
    "CASE WHEN kind<>'event' THEN kind||CASE kind"
    " WHEN 'gap' THEN ': '||count||' questions were not recorded'||coalesce(', since '||" LOCAL("nullif(at_ms,0)") ",'')"
    " WHEN 'prune' THEN ': '||count||' records removed'||coalesce(', up to '||" LOCAL("nullif(at_ms,0)") ",'')"
    " ELSE '' END||iif(note<>'',': '||note,'')"
    " ELSE outcome||CASE WHEN reason='signed' THEN ' (signed: rule '||rule||' may not touch it)'"
    " WHEN rule<>'' THEN ' by rule '||rule ELSE ' ('||reason||')' END||', answer '||"
    "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'without a host' ELSE response END||"
    "CASE WHEN verdict<>'' THEN '; the real DNS: '||verdict||iif(real_hosts='','',' '||real_hosts)||"
    "CASE WHEN cached THEN ' from the cache' WHEN server<>'' THEN"
    " ' from '||trim(rtrim(rtrim(server,'0123456789'),':'),'[]')||', '||real_ms||' ms' ELSE '' END ELSE '' END||"
    "coalesce('; Windows shows '||client_error,'')||"
    "iif(would<>'','; with the rules in shadow: '||would||iif(would_rule<>'',' by rule '||would_rule,''),'')||"
    "iif(repeat,'; a repeat','') END";
/* clang-format on */
