/* SPDX-License-Identifier: BSD-2-Clause
 *
 * encode.h -- one record as others read it: SQL over the view events, of the tool and of the
 * outputs alike: Elastic Common Schema 8.11 (JSON), Common Event Format, a sentence.
 */
#ifndef AUDIT_ENCODE_H
#define AUDIT_ENCODE_H

#include "audit/store.h"

/* clang-format off */
/* A time as people read it. */
#define SQL_LOCAL(ms) "strftime('%Y-%m-%d %H:%M:%S'," ms "/1000,'unixepoch','localtime')"

/* The client's address, when it is one. */
#define SQL_IP "iif(address GLOB '*[g-z]*',NULL,address)"
/* What happened, as one word. */
#define SQL_ACTION "iif(kind='event','kms-discovery','audit-'||kind)"
/* json_patch() leaves out what is NULL. */
#define SQL_ECS \
    "json_patch('{}',json_object('@timestamp',time,'ecs',json_object('version','8.11.0')," \
    "'observer',json_object('name',forwarder,'product','Waymark','type','dns-forwarder')," \
    "'event',json_object('kind','event','category',json_array(iif(kind='event','network','configuration'))," \
    "'type',json_array(iif(kind='event','protocol','info')),'dataset','waymark.audit'," \
    "'action'," SQL_ACTION ",'sequence',sequence," \
    "'outcome',CASE WHEN kind='event' THEN iif(answer='','failure','success') END,'reason',reason," \
    "'duration',latency_us*1000)," \
    "'client',json(CASE WHEN kind='event' THEN json_object('address',address,'ip'," SQL_IP ",'port',port)END)," \
    "'network',json(CASE WHEN kind='event' THEN json_object('transport',transport,'protocol','dns')END)," \
    "'dns',json(CASE WHEN kind='event' THEN json_object('id',CAST(id AS TEXT),'type','answer'," \
    "'question',json_object('name',question,'type',type,'class','IN'),'op_code',iif(outcome='update','UPDATE','QUERY'),'header_flags'," \
    SQL_LIST("flags") ",'response_code',response," \
    "'answers',json('['||iif(answer='','','{\"type\":\"SRV\",\"data\":'||" \
    "replace(json_quote(answer),' ','\"},{\"type\":\"SRV\",\"data\":\"')||'}')||']'))END)," \
    "'rule',json(CASE WHEN rule<>'' THEN json_object('name',rule)END)," \
    "'waymark',json(iif(kind<>'event',json_object('text',coalesce(note,''),'count',count," \
    "'from',CASE WHEN kind='gap' THEN " SQL_ISO("nullif(at_ms,0)") " END,'until',CASE " \
    "WHEN kind='prune' THEN " SQL_ISO("nullif(at_ms,0)") " END)," \
    "json_object('suffix',suffix,'outcome',outcome,'reason',reason,'repeat',json(" SQL_BOOL("repeat") ")," \
    "'cached',json(" SQL_BOOL("cached") "),'policy_serial',policy_serial," \
    "'networks'," SQL_LIST("coalesce(networks,'')") "," \
    "'verdict',json(CASE WHEN verdict<>'' THEN json_object('name',verdict,'server',server,'response_code',real_rcode," \
    "'ms',real_ms,'hosts'," SQL_LIST("real_hosts") ",'unapproved'," \
    SQL_LIST("unapproved") ")END)," \
    "'would',json(CASE WHEN would<>'' THEN json_object('outcome',would,'rule',coalesce(would_rule,''))END)," \
    "'client_error',client_error)))))"

#define SQL_WORDS \
    "CASE WHEN kind<>'event' THEN kind||CASE kind" \
    " WHEN 'gap' THEN ': '||count||iif(note IS NULL,' questions were not recorded',' records')||coalesce(', since '||" SQL_LOCAL("nullif(at_ms,0)") ",'')" \
    " WHEN 'prune' THEN ': '||count||' records removed'||coalesce(', up to '||" SQL_LOCAL("nullif(at_ms,0)") ",'')" \
    " ELSE '' END||iif(note<>'',': '||note,'')" \
    " ELSE outcome||CASE WHEN reason='signed' THEN ' (signed: rule '||rule||' may not touch it)'" \
    " WHEN rule<>'' THEN ' by rule '||rule ELSE ' ('||reason||')' END||', answer '||" \
    "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'without a host' " \
    "ELSE response END||" \
    "CASE WHEN verdict<>'' THEN '; the real DNS: '||verdict||iif(real_hosts='','',' '||real_hosts)||" \
    "CASE WHEN cached THEN ' from the cache' WHEN server<>'' THEN" \
    " ' from '||trim(rtrim(rtrim(server,'0123456789'),':'),'[]')||', '||real_ms||' ms' " \
    "ELSE '' END ELSE '' END||" \
    "coalesce('; Windows shows '||client_error,'')||" \
    "iif(would<>'','; with the rules in shadow: '||would||iif(would_rule<>'',' by rule '||would_rule,''),'')||" \
    "iif(repeat,'; a repeat','') END"

/* How bad it is. */
#define SQL_GRAVE(gap, unapproved, event, control) \
    "CASE WHEN kind='gap' THEN " gap " WHEN unapproved<>'' THEN " unapproved \
    " WHEN kind='event' THEN " event " ELSE " control " END"

/* Backslash, equal sign and line end would end a value. */
#define SQL_CEF_VALUE(key, x) \
    "||coalesce(' " key "='||replace(replace(replace(nullif(" x ",''),'\\','\\\\'),'=','\\='),char(10),' '),'')"
#define SQL_CEF_LABEL(key, label, x) "||iif(" x "<>'',' " key "Label=" label "','')" SQL_CEF_VALUE(key, x)
#define SQL_CEF \
    "'CEF:0|Waymark|waymarkd|" PACKAGE_VERSION "|'||" SQL_ACTION "||'|'||" \
    "iif(kind='event','KMS discovery','Audit: '||kind)||'|'||" SQL_GRAVE("6", "6", "3", "3") "||'|rt='||ms" \
    SQL_CEF_VALUE("externalId", "sequence") SQL_CEF_VALUE("dvchost", "forwarder") SQL_CEF_VALUE("src", SQL_IP) \
    SQL_CEF_VALUE("spt", "port") SQL_CEF_VALUE("proto", "iif(kind='event',upper(transport),'')") \
    "||iif(kind='event',' app=DNS cnt=1','')" SQL_CEF_VALUE("act", "outcome") SQL_CEF_VALUE("outcome", "response") \
    SQL_CEF_VALUE("reason", "reason") SQL_CEF_VALUE("destinationDnsDomain", "question") \
    SQL_CEF_LABEL("cs1", "rule", "rule") SQL_CEF_LABEL("cs2", "answer", "answer") \
    SQL_CEF_LABEL("cs3", "realDns", "verdict") SQL_CEF_LABEL("cs4", "unapproved", "unapproved") \
    SQL_CEF_LABEL("cs5", "windowsShows", "client_error") SQL_CEF_LABEL("cs6", "client", "iif(address GLOB '*[g-z]*',address,'')") \
    SQL_CEF_LABEL("cn1", "latencyUs", "latency_us") \
    SQL_CEF_VALUE("cnt", "iif(kind='event','',count)") SQL_CEF_VALUE("msg", "note")

#define SQL_TEXT_LINE "ifnull(address||'  '||question||'  ','')||" SQL_WORDS
/* clang-format on */

#endif
