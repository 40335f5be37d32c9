/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_script.c -- from ring to database and back, as scripts: what is asked,
 * and what a reader of the views then sees. And a writer that is killed.
 *
 *   q CLIENT NAME [WORD ...]   a question, missing unless a word says more:
 *       filled R (also HOST)  would R  real HOST (unapproved: real! HOST)  id N  port N
 *       by SERVER  type T  update  second (in the second ring)  asked NAME  marked (TCP, all flags, cached)
 *       times N (a client and ID each)  again N
 *   pass T    steps T (as the writer asks for) [SLOW N (a commit takes SLOW, N questions a step)]
 *   commit    restart    ring SIZE    quiet (until pruning ends)    disk SIZE (0: no limit)
 *   limit KEY N    control KIND TEXT    stat NAME N
 *   verify WHOLE FIRST LAST (1: the chain is whole, 0: it is broken)    change STATEMENT (by others; breaks may not fail)
 *   head (remembers the head)    told (that of a record)    busy N (so many come while it is verified)    proves N (it is that of record N; 0: of none)
 *   forget NAME [SINCE UNTIL] => N    prune BEFORE => N
 *   close, and what then befalls the file:    cut SIZE    nonsense FROM    number AT N
 *   refused WHY (by writer and reader, and left alone)    reads ERRNO
 *   expect SELECT => VALUES    ? SELECT => VALUES (after a commit), without the word SELECT
 *
 * Behind every commit and stop, of all that was asked: recorded + counted + dropped is
 * what was asked, and so are the sums of clients, hours and suffixes.
 */
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/audit/bench.h"

#define ALSO(x)                                                                                    \
    " also " x "0 also " x "1 also " x "2 also " x "3 also " x "4 also " x "5 also " x "6 also " x \
    "7 also " x "8 also " x "9"
#define Q1 "q 10.0.0.1 "
#define TEN "1234567890"
#define LONG " real " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define MANY Q1 "a.example times 4000; commit; "
#define MADE Q1 "a.example times 1000; close; "
#define CHAIN                                                                                      \
    Q1 "a.example; q 10.0.0.2 b.example; " Q1                                                      \
       "a.example filled r; control settings x; commit; restart;" Q1 "a.example; commit;"
#define START "2023-11-14T22:13:20.000Z"

/* clang-format off */
static const struct script {
    const char *what, *text;
} scripts[] = {
    {"one event, as its reader sees it",
     Q1 "Corp.example filled r port 5000;"
     "? sequence,time,kind,forwarder,address,port,transport,question,suffix,type FROM events"
     " => 1 " START " event dns1 10.0.0.1 5000 udp _vlmcs._tcp.Corp.example corp.example SRV;"
     "? outcome,reason,rule,policy_serial,verdict,response,answer,client_error,repeat,flags FROM events"
     " => filled rule r 42 nxdomain NOERROR kms01.contoso.com:1688 - 0 RD"},
    {"how it was asked", Q1 "a.example marked; ? transport,flags,cached FROM events => tcp RD CD AD DO 1"},
    {"what Windows shows, a bare name, an IPv6 client", "q 2001:db8::1 . port 0;"
     "? address,question,suffix,response,client_error FROM events => 2001:db8::1 _vlmcs._tcp . NXDOMAIN 0x8007232B"},
    {"the question in the case of the client, also behind a suffix in odd case",
     Q1 "a.example asked _VLMCS._TCP.A.example;" Q1 "a.example;"
     "? group_concat(question,'|'),count(DISTINCT suffix) FROM events => _VLMCS._TCP.A.example|_vlmcs._tcp.a.example 1"},
    {"the zone of an update is its suffix", Q1 "x asked contoso.com update;"
     "? question,suffix,outcome FROM events => contoso.com contoso.com update"},
    {"the story of a client", Q1 "Corp.example; ? no_host_since,last_host FROM clients => " START " -;"
     "pass 2m;" Q1 "corp.example; pass 2m;" Q1 "fabrikam.local filled r also kms02.contoso.com;"
     "? questions,attempts,missing,filled,cadence_s,last_host,last_host_at,no_host_since FROM clients"
     " => 3 3 2 1 120 kms01.contoso.com:1688 2023-11-14T22:17:20.000Z -;"
     "? first_asked,last_asked,suffixes,last_outcome FROM clients"
     " => " START " 2023-11-14T22:17:20.000Z corp.example fabrikam.local filled"},
    {"cadence is smoothed, and questions within a minute are one search",
     Q1 "a.example; pass 100s;" Q1 "a.example; pass 59s;" Q1 "b.example; pass 200s;" Q1 "a.example;"
     "? cadence_s FROM clients => 125"},
    {"each event names the one before of its client",
     Q1 "a.example; q 10.0.0.2 a.example;" Q1 "b.example; commit;" Q1 "a.example; restart;" Q1 "a.example;"
     "? group_concat(previous) FROM events => 0,0,1,3,4"},
    {"a repeat is no attempt, whatever its case",
     Q1 "a.example id 7; pass 1s;" Q1 "A.example id 7; pass 8s;" Q1 "a.example id 7; pass 1s;"
     Q1 "a.example id 7;" Q1 "a.example id 8;" Q1 "a.example id 7 port 9;" Q1 "b.example id 7;"
     "? sum(repeat),count(*) FROM events => 2 7; ? questions,attempts FROM clients => 7 5;"
     "? questions,attempts FROM hours => 7 5; stat repeats 2"},
    {"a host of the same millisecond may be the later one", Q1 "b.example filled r second;" Q1 "a.example;"
     "? no_host_since,last_host_at FROM clients => - " START "; pass 1ms;" Q1 "a.example;"
     "? no_host_since FROM clients => 2023-11-14T22:13:20.001Z"},
    {"what asks for no host changes none", Q1 "a.example filled r;" Q1 "a.example type SOA;" Q1 "a.example update;"
     "? no_host_since,last_host,questions FROM clients => - kms01.contoso.com:1688 3"},
    {"the suffix that was asked for longest ago gives way",
     Q1 "s0.x; pass 1s;" Q1 "s1.x; pass 1s;" Q1 "s2.x;" Q1 "s3.x;" Q1 "s4.x;" Q1 "s5.x;" Q1 "s6.x;" Q1 "s7.x; restart;"
     Q1 "s8.x;" Q1 "s9.x;" Q1 "s10.x;" Q1 "s11.x;" Q1 "s12.x;" Q1 "s13.x;" Q1 "s14.x;" Q1 "s15.x; pass 1s;"
     Q1 "s0.x;" Q1 "new.x; ? suffixes FROM clients"
     " => s0.x new.x s2.x s3.x s4.x s5.x s6.x s7.x s8.x s9.x s10.x s11.x s12.x s13.x s14.x s15.x"},
    {"a target once each, by what it was",
     Q1 "a.example filled r real! OLD.contoso.com real old.contoso.com real kms01.contoso.com;"
     "? target,questions,delivered,unapproved FROM targets WHERE target LIKE 'old%' => old.contoso.com:1688 1 0 1;"
     "? questions,delivered,unapproved FROM targets WHERE target LIKE 'kms01%' => 1 1 0; ? count(*) FROM targets => 2;"
     Q1 "a.example real old.contoso.com; ? unapproved FROM targets WHERE target LIKE 'old%' => 0;"
     "? real_hosts,unapproved FROM events"
     " => OLD.contoso.com:1688 old.contoso.com:1688 kms01.contoso.com:1688 OLD.contoso.com:1688"},
    {"who asked when the real DNS first named a host that is not approved, and whom, outlives the events",
     "ring 33554432;" Q1 "a.example real! rogue.example by 10.9.0.53:53; commit; pass 1s;"
     "q 10.0.0.2 a.example real! rogue.example by 10.9.0.54:53; q 10.0.0.3 b.example times 20100; commit;"
     "pass 91d;" Q1 "b.example; commit; quiet; ? asked_by,through,unapproved_since FROM targets => 10.0.0.1 10.9.0.53:53 " START ";"
     "? count(*) FROM answer WHERE unapproved<>'' => 1; ? min(sequence)>20000 FROM events => 1;"
     Q1 "a.example real rogue.example; ? asked_by,through,unapproved_since,unapproved FROM targets => - - - 0;"
     "q 10.0.0.2 a.example real! rogue.example by 10.9.0.54:53; ? asked_by,through FROM targets => 10.0.0.2 10.9.0.54:53"},
    {"a client without a row of its own is not told", "limit clients 1; q 10.0.0.9 x.example;" Q1 "a.example real! rogue.example;"
     "? asked_by,unapproved FROM targets => - 1"},
    {"a rule in shadow would have", Q1 "a.example filled r would s;" Q1 "a.example;"
     "? questions,filled,would FROM rules WHERE rule='r' => 1 1 0; ? questions,would FROM rules WHERE rule='s' => 0 1;"
     "? would,would_rule FROM events WHERE sequence=1 => replaced s; ? count(*) FROM rules => 2;"
     "? last_rule,last_outcome,last_verdict FROM suffixes => - missing nxdomain"},
    {"few clients are counted", Q1 "a.example times 31;" Q1 "a.example times 31; ? clients,questions FROM suffixes => 31 62"},
    {"many clients are estimated, also over commits",
     "limit clients 9000;" Q1 "a.example times 2000; commit;" Q1 "a.example times 4000;"
     "? clients BETWEEN 2000 AND 8000,questions FROM suffixes => 1 6000"},
    {"more clients than there are rows in memory",
     "ring 33554432; limit clients 100000;" Q1 "a.example times 66000; q 10.0.0.7 b.example filled r;"
     "? count(*),sum(questions),max(questions),count(DISTINCT suffixes) FROM clients => 66000 66001 2 2"},
    {"hours", "pass 46m;" Q1 "a.example; pass 39s;" Q1 "a.example; pass 1s;" Q1 "a.example;"
     "? group_concat(hour||' '||missing,'|') FROM hours => 2023-11-14T22:00:00.000Z 2|2023-11-14T23:00:00.000Z 1"},
    {"control records stand in the sequence and are no questions",
     "control start waymarkd 0.1.0; commit;" Q1 "a.example; control policy serial 43;"
     "? group_concat(sequence||kind) FROM events => 1start,2event,3policy;"
     "? kind,note,forwarder FROM gaps => start waymarkd 0.1.0 dns1"},
    {"the sequence goes on after a restart", Q1 "a.example times 10; restart;" Q1 "a.example; restart;"
     "expect min(sequence),max(sequence),count(*) FROM events => 1 11 11"},
    {"above the rate of a client only its rows count",
     "limit rate-client 2;" Q1 "a.example id 1; pass 1ms; q 10.0.0.9 b.example times 5; commit; restart;"
     "limit rate-client 1;" Q1 "a.example id 1 again 19; q 10.0.0.2 a.example id 1;"
     "? count(*) FROM events => 17; ? questions FROM clients WHERE address='10.0.0.1' => 20"},
    {"above the rate of all", "limit rate 100;" Q1 "a.example times 300; ? count(*) FROM events => 100;"
     "? sum(questions) FROM clients => 300; stat counted 200"},
    {"a rate that is saved up", "limit rate-client 1;" Q1 "a.example id 1 again 15; commit; pass 2s;"
     Q1 "a.example id 99 again 5; ? count(*) FROM events => 12"},
    {"clients above the bound are one row, and their events keep the address",
     "limit clients 2; limit suffixes 2;" Q1 "a.example; commit; q 10.0.0.2 b.example; commit; q 10.0.0.3 c.example; commit;"
     "q 10.0.0.4 d.example filled r; restart;" Q1 "a.example; q 10.0.0.5 c.example;"
     "? group_concat(address||questions) FROM clients => 10.0.0.12,10.0.0.21,(other)3;"
     "? group_concat(suffix||questions) FROM suffixes => a.example2,b.example1,(other)3;"
     "? group_concat(address||suffix,' ') FROM events WHERE sequence IN(3,4,6)"
     " => 10.0.0.3c.example 10.0.0.4d.example 10.0.0.5c.example;"
     "limit clients 4; q 10.0.0.5 c.example; ? max(address) FROM clients => 10.0.0.5"},
    {"the clients of a suffix are counted on after a restart",
     Q1 "a.example; q 10.0.0.2 a.example; restart;" Q1 "a.example; q 10.0.0.3 a.example; ? clients FROM suffixes => 3"},
    {"a link-local client has no interface, with a row of its own or without",
     "q fe80::1%1 a.example; ? address FROM clients => fe80::1;"
     "limit clients 1; q fe80::2%1 a.example; ? group_concat(address) FROM events => fe80::1,fe80::2"},
    {"only the network of a client is kept, and repeats are still told apart",
     "limit privacy 1; q 10.20.30.40 a.example id 1; q 10.20.30.41 a.example id 1; q 2001:db8:1:ff42:1::1 a.example;"
     "? group_concat(address||questions||attempts,' ') FROM clients => 10.20.30.022 2001:db8:1:ff00::11;"
     "? group_concat(DISTINCT address) FROM events => 10.20.30.0,2001:db8:1:ff00::"},
    {"a client is a pseudonym, the same for the same address",
     "limit privacy 2; q 10.20.30.40 a.example id 1; q 10.20.30.40 b.example; q 2001:db8::1 a.example; restart;"
     "q 10.20.30.40 c.example; limit clients 1; q 10.0.0.1 a.example;"
     "? count(DISTINCT address),sum(address GLOB 'hmac:*'),min(length(address)),max(length(address)) FROM events => 3 5 21 21;"
     "? max(questions) FROM clients => 3"},
    {"old events go, with what only they named; the ledger lives longer",
     Q1 "old.example filled r times 900 asked _VLMCS._TCP.old.example; commit; pass 2d;" Q1 "b.example; commit; quiet;"
     "pass 89d;" Q1 "b.example; commit; quiet;"
     "? count(*),min(sequence),max(sequence) FROM events => 5 901 905;"
     "? group_concat(kind) FROM events => event,head,event,head,prune;"
     "? count,since,note FROM gaps WHERE kind='prune' => 900 " START " retention;"
     "? questions FROM suffixes WHERE suffix='old.example' => 900; stat pruned 900;"
     "? outcome,suffix,address FROM events WHERE sequence=901 => missing b.example 10.0.0.1;"
     "pass 400d; q 10.0.0.9 c.example; commit; quiet; expect group_concat(address),(SELECT count(*) FROM suffixes),"
     "(SELECT count(*) FROM hours),(SELECT count(*) FROM client_suffix) FROM clients => 10.0.0.9 1 1 1;"
     "expect sum(value) FROM meta => 903"},
    {"a clock that is a year ahead for less than a day removes nothing",
     Q1 "a.example; commit; quiet; clock ahead 365d; pass 2h;" Q1 "b.example; commit; quiet; pass 21h; quiet; clock back 365d;"
     "pass 2h;" Q1 "c.example; commit; quiet; stat pruned 0; ? count(*) FROM suffixes => 3"},
    {"a clock that stays ahead has its way after a day",
     Q1 "a.example; commit; quiet; clock ahead 500d; quiet;" Q1 "b.example; commit; pass 23h; quiet; stat pruned 0; pass 2h; quiet;"
     "? count(*) FROM suffixes WHERE suffix='a.example' => 0; ? count(*) FROM events WHERE suffix='a.example' => 0;"
     "? count(*) FROM events WHERE suffix='b.example' => 1"},
    {"a start with a clock that is a year ahead removes nothing for a day",
     Q1 "a.example; commit; clock ahead 365d; restart; quiet; pass 23h; quiet; stat pruned 0; pass 2h; quiet;"
     "? count(*) FROM events WHERE kind='event' => 0"},
    {"a clock that went a year ahead is still doubted after a restart within a day",
     Q1 "a.example; commit; pass 3h; quiet; clock ahead 365d; pass 1m;" Q1 "b.example; commit; pass 20h; quiet; restart; quiet;"
     "stat pruned 0; pass 23h; quiet; stat pruned 0; clock back 365d; restart; quiet; pass 2d; quiet; stat pruned 0;"
     "? group_concat(suffix) FROM events WHERE kind='event' => a.example,b.example"},
    {"a day with few records is no clock that went ahead", "limit retention 144000000;"
     Q1 "a.example; commit; pass 10h;" Q1 "b.example; commit; pass 25h;" Q1 "c.example; commit; quiet; stat pruned 0; restart; pass 23h;"
     "quiet; expect group_concat(suffix) FROM events WHERE kind='event' => c.example"},
    {"a clock ahead by less than a day is believed", "limit retention 7200000;" Q1 "a.example; commit; clock ahead 23h; restart; quiet; stat pruned 1"},
    {"who removes by hand is not asked to wait", Q1 "a.example; commit; clock ahead 365d; quiet; prune 1700000003600 => 1"},
    {"what has a time ahead of the clock goes with what came next",
     Q1 "a.example; commit; clock ahead 500d;" Q1 "b.example; commit; clock back 500d; pass 1m;" Q1 "c.example; commit; pass 89d; quiet; stat pruned 0;"
     "pass 2d; quiet; ? count(*) FROM events WHERE kind='event' => 0"},
    {"what has a time ahead of the clock stays while what came next is young",
     "limit retention 259200000;" Q1 "a.example; commit; clock ahead 500d;" Q1 "b.example; commit; clock back 500d; pass 71h;"
     Q1 "c.example; commit; pass 2h; quiet; ? group_concat(suffix) FROM events => b.example,c.example"},
    {"what an event names stays, however old",
     "limit retention 77760000000;" Q1 "a.example; commit; pass 500d; q 10.0.0.2 b.example; commit; quiet;"
     "? group_concat(address||suffix||outcome) FROM events => 10.0.0.1a.examplemissing,10.0.0.2b.examplemissing;"
     "? count(*) FROM clients => 2"},
    {"a database that is too large shrinks, and the newest stay",
     "limit max-size 1048576; limit clients 50; " MANY MANY MANY MANY MANY MANY MANY "pass 2m; quiet;"
     "expect max(sequence)>28000,count(*) BETWEEN 14000 AND 24000 FROM events => 1 1;"
     "expect (p.page_count-f.freelist_count)*4096 BETWEEN 820000 AND 943718 FROM pragma_page_count p,pragma_freelist_count f"
     " => 1; expect (SELECT sum(count) FROM gaps)+(SELECT count(*) FROM events WHERE kind='event') => 28000"},
    {"hostile names: spaces, quotes, octets, a dot inside",
     Q1 "a\\032'\"b\\.c\\255.example real x\\032\"y.example;" Q1 "e\\.;"
     "? group_concat(suffix,'|') FROM events => a\\032'\\\"b\\.c\\255.example|e\\.;"
     "? question FROM events WHERE sequence=2 => _vlmcs._tcp.e\\."},
    {"what only removed events have in common goes, twenty thousand events later",
     "ring 8388608;" Q1 "old.example filled r; commit; pass 91d; quiet;"
     "expect (SELECT count(*) FROM events),count(rule) FROM answer => 2 1;"
     "q 10.0.0.2 b.example again 21000; commit; pass 91d; q 10.0.0.2 b.example; commit; quiet;"
     "expect count(rule),(SELECT count(*) FROM events WHERE kind IS NULL) FROM answer => 0 0;"
     "expect outcome FROM events WHERE kind='event' => missing"},
    {"a text that is no UTF-8 is printed all the same", Q1 "a.example filled r\377; ? rule FROM events => r\\xff"},
    {"events of all rings are in the order of time", Q1 "a.example; pass 1ms;" Q1 "b.example second; pass 1ms;"
     Q1 "c.example second; pass 1ms;" Q1 "d.example; ? group_concat(suffix) FROM events => a.example,b.example,c.example,d.example"},
    {"a commit each interval", "commit;" Q1 "a.example; steps 1ms; stat recorded 0; stat pending 1; steps 1s; "
     "stat recorded 1; stat pending 0; stat commits 1; stat last_commit_wall_ms 1700000001000"},
    {"slow commits stretch the interval, quick ones bring it back",
     "steps 11s 9s 1; stat interval_ms 2000; steps 60s 9s 1; stat interval_ms 10000; steps 100s 0 1; stat interval_ms 1000"},
    {"a full ring leaves one gap record", "ring 4096;" Q1 "a.example again 100; commit; commit;"
     "expect count(*),sum(count)>0,sum(count)+(SELECT count(*) FROM event)-1 FROM gaps => 1 1 100"},
    {"a long note is cut, not refused", "control policy " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN ";"
     "? length(note) FROM events => 127"},
    {"a failed commit loses nothing, and is tried each interval",
     Q1 "a.example; commit; disk 65536;" Q1 "a.example again 3000; steps 4s;"
     "stat last_error 27; stat commit_failures 4; stat pending 3000;"
     "expect count(*) FROM event => 1; disk 0; steps 1s; stat last_error 0; stat pending 0;"
     "expect max(sequence),count(*) FROM events => 3001 3001"},
    {"a long failure fills the batch, then the ring, and says what it dropped",
     "commit; disk 8192; steps 14s 0 1000; control settings changed; disk 0; commit;"
     "expect count(*) FROM events WHERE kind='settings' => 1;"
     "expect sum(count)>0,sum(count)=(SELECT value FROM meta WHERE name='dropped') FROM gaps => 1 1"},
    {"a chain over commits, control records and restarts",
     "verify 1 0 0;" Q1 "a.example; commit; verify 1 1 1; control settings x; q 10.0.0.2 b.example filled r times 3; restart;"
     "verify 1 1 5;" Q1 "A.example second asked x.y; commit; verify 1 1 6; expect count(*),min(last),max(last) FROM chain => 3 1 6"},
    {"a segment ends after a thousand records, or ten minutes",
     Q1 "a.example; commit;" Q1 "a.example times 1000; commit;" Q1 "b.example; pass 10m;" Q1 "b.example; pass 1ms;"
     Q1 "b.example; commit; verify 1 1 1004; expect group_concat(last) FROM chain => 1,1001,1003,1004"},
    {"a chain with what has no row, and with pseudonyms",
     "limit clients 1; limit suffixes 1; limit privacy 2;" Q1 "a.example; q 10.0.0.2 b.example; q 10.0.0.3 c\\255.example; restart;"
     "q 2001:db8::1 a.example; commit; verify 1 1 4"},
    {"a chain over more clients than there are rows in memory",
     "ring 33554432; limit clients 100000;" Q1 "a.example times 66000; q 10.0.0.7 b.example filled r; commit; verify 1 1 66001"},
    {"an event of many hosts, when as many rows are in memory as there may be",
     "ring 33554432; limit clients 100000;" Q1 "a.example times 65533; q 10.9.9.9 a.example filled r"
     ALSO("a") ALSO("b") ALSO("c") ALSO("d") ALSO("e") ALSO("f") ALSO("g") ALSO("h") ALSO("i") ALSO("j") ALSO("k") ALSO("l")
     "; commit; verify 1 1 65534; expect count(*) FROM targets => 121"},
    {"a chain over a commit that failed",
     Q1 "a.example; commit; disk 65536;" Q1 "a.example again 3000; steps 4s; disk 0; steps 1s; verify 1 1 3001"},
    {"a chain of which the beginning was removed", Q1 "a.example times 900; commit; pass 2d;" Q1 "b.example; commit;"
     "pass 89d; quiet; verify 1 901 903;" Q1 "b.example; commit; verify 1 901 904"},
    {"a chain of which all was removed", Q1 "a.example; commit; pass 1m; limit retention 30000; quiet;"
     "expect group_concat(id) FROM chain => 1,2; verify 1 2 2;" Q1 "b.example; commit; verify 1 2 3; pass 1m; limit retention 30000;"
     "quiet; verify 1 4 4; expect group_concat(id) FROM chain => 3,4"},
    {"a head proves all up to its record", Q1 "a.example; commit; head; proves 1;" Q1 "b.example; commit; proves 1; head;"
     "q 10.0.0.2 a.example; commit; restart; proves 2; change UPDATE event SET ms=1 WHERE id=3; proves 2;"
     "change UPDATE event SET ms=1 WHERE id=1; proves 0"},
    {"the head is told once an hour, if something came", "pass 1m;" Q1 "a.example; commit; pass 59m; commit;"
     "expect count(*) FROM event => 1; pass 1m; steps 200ms; ? kind,length(note),substr(note,65) FROM events WHERE sequence=2"
     " => head 79  up to record 1; pass 10h; steps 200ms; expect count(*) FROM event => 2"},
    {"the head that is told is that behind its record", Q1 "a.example; commit; pass 1h;" Q1 "b.example;" Q1 "c.example; commit;"
     "told; proves 3; restart;" Q1 "d.example; commit; proves 3"},
    {"what is recorded while the chain is made anew is no problem", Q1 "a.example; commit;" Q1 "a.example; commit;"
     "busy 1500; verify 1 1 2; verify 1 1 1502"},
    {"who else writes is noticed", Q1 "a.example; commit;" Q1 "a.example; commit;"
     "change UPDATE client SET name='x',salt=NULL;" Q1 "a.example; commit;"
     "expect group_concat(name||questions) FROM client => x2,10.0.0.11; verify 1 1 3"},
    {"a forgotten client", Q1 "a.example; q 10.0.0.2 a.example;" Q1 "b.example; commit; forget 10.0.0.1 => 2; verify 1 1 4;"
     "expect min(address),max(address) FROM clients => 10.0.0.2 forgotten-1; expect count(salt) FROM client => 1;"
     "expect kind,note FROM events WHERE sequence=4 => forget 2 records of a client, by tester;"
     Q1 "c.example; commit; ? group_concat(address) FROM events WHERE kind='event' => forgotten-1,10.0.0.2,forgotten-1,10.0.0.1;"
     "verify 1 1 5; forget 10.0.0.9 => -2; expect count(*) FROM event => 5; forget 10.0.0.1 => 1; verify 1 1 6"},
    {"a client that is in the ledger alone is forgotten, too",
     "limit rate 1;" Q1 "a.example; q 10.0.0.2 a.example; commit; forget 10.0.0.2 => 0; expect max(address) FROM clients => forgotten-2"},
    {"clients without a row are forgotten", "limit clients 1;" Q1 "a.example; q 10.0.0.2 a.example; q 10.0.0.3 a.example; commit;"
     "forget 10.0.0.2 => 1; verify 1 1 4; expect group_concat(address) FROM events => 10.0.0.1,forgotten,10.0.0.3"},
    {"a client is forgotten for a time", Q1 "a.example; pass 1m;" Q1 "b.example; pass 1m;" Q1 "c.example; commit;"
     "forget 10.0.0.1 1700000060000 1700000120000 => 1; verify 1 1 4;"
     "expect group_concat(address),group_concat(previous) FROM events => 10.0.0.1,forgotten-2,10.0.0.1 0,0,1;"
     "expect (SELECT first_asked||last_asked FROM clients WHERE address='forgotten-2'),count(digest),count(salt),"
     "count(DISTINCT digest) FROM client => 2023-11-14T22:14:20.000Z2023-11-14T22:14:20.000Z 2 0 2;"
     Q1 "d.example; commit; ? previous FROM events WHERE suffix='d.example' => 3; verify 1 1 5; expect count(*) FROM blind => 3;"
     "forget 10.0.0.1 1700000060000 1700000120000 => -2; forget 10.0.0.1 0 1700000060000 => 1;"
     "forget 10.0.0.1 => 2; verify 1 1 7; expect count(*) FROM events WHERE address='10.0.0.1' => 0;"
     "pass 91d; quiet; expect count(*) FROM blind => 0"},
    {"what the ledger says of that time goes, too", "q 10.0.0.1 a.example filled r; pass 1m;" Q1 "b.example; pass 1m;" Q1 "c.example; pass 1m;" Q1 "b.example; commit;"
     "forget 10.0.0.1 1700000000000 1700000060000 => 1;"
     "expect first_asked,last_asked,suffixes,last_host,no_host_since FROM clients WHERE address='10.0.0.1' =>"
     " 2023-11-14T22:14:20.000Z 2023-11-14T22:16:20.000Z b.example c.example - 2023-11-14T22:14:20.000Z;"
     "forget 10.0.0.1 1700000120000 1700000180001 => 2;"
     "expect first_asked,last_asked,suffixes,no_host_since FROM clients WHERE address='10.0.0.1' =>"
     " 2023-11-14T22:14:20.000Z 2023-11-14T22:14:20.000Z - 2023-11-14T22:14:20.000Z;" Q1 "a.example;" Q1 "a.example; commit;"
     "expect suffixes FROM clients WHERE address='10.0.0.1' => a.example; verify 1 1 8"},
    {"nor who asked for a host that nobody approved", Q1 "a.example real! rogue.example; commit; forget 10.0.0.1 1700000000000 1700000060000 => 1;"
     "expect client.name FROM client JOIN host ON asker=client.id => forgotten-2"},
    {"to forget removes nothing for its age", Q1 "a.example; q 10.0.0.2 a.example; commit; pass 365d; limit retention 1; forget 10.0.0.1 => 1;"
     "expect count(*) FROM event => 3; forget 10.0.0.9 => -2; expect count(*) FROM event => 3"},
    {"a list of suffixes with a free place has none twice", Q1 "a.example;" Q1 "b.example; commit; change DELETE FROM client_suffix WHERE id=16;" Q1 "b.example; commit;"
     "expect suffixes FROM clients => b.example"},
    {"what counts the clients does not say who they are", Q1 "a.example; q 10.0.0.2 a.example; commit; expect hex(sketch) FROM suffix => 37131F210D240478"},
    {"nor whatever their addresses are", "q 192.0.2.77 a.example; q 10.200.3.4 a.example; commit; expect hex(sketch) FROM suffix => 37131F210D240478"},
    {"records that are removed by hand", Q1 "a.example times 3; commit; pass 1h;" Q1 "b.example; commit; pass 1h;" Q1 "b.example; commit;"
     "prune 1700003600000 => 3; verify 1 4 8; ? note,count FROM gaps => by hand 3; prune 1700003600000 => 0; verify 1 4 8;"
     "limit max-size 1; prune 1 => 0; limit ledger-retention 1; prune 1700003600001 => 2; expect count(*) FROM suffix => 2;"
     "expect count(*) FROM chain => 3"},
    {"a change is found: time", CHAIN "change UPDATE event SET ms=ms+1 WHERE id=3; verify 0 1 5"},
    {"a change is found: latency", CHAIN "change UPDATE event SET latency_us=1 WHERE id=3; verify 0 1 5"},
    {"a change is found: real_ms", CHAIN "change UPDATE event SET real_ms=1 WHERE id=3; verify 0 1 5"},
    {"a change is found: port", CHAIN "change UPDATE event SET port=9 WHERE id=3; verify 0 1 5"},
    {"a change is found: DNS ID", CHAIN "change UPDATE event SET dns_id=9 WHERE id=3; verify 0 1 5"},
    {"a change is found: flags", CHAIN "change UPDATE event SET bits=bits|1 WHERE id=3; verify 0 1 5"},
    {"a change is found: policy serial", CHAIN "change UPDATE event SET serial=9 WHERE id=3; verify 0 1 5"},
    {"a change is found: case of the name", CHAIN "change UPDATE event SET asked='_vlmcs._TCP.a.example' WHERE id=3; verify 0 1 5"},
    {"a change is found: who asked", CHAIN "change UPDATE event SET client=3-client WHERE id=3; verify 0 1 5"},
    {"a change is found: an address", CHAIN "change UPDATE client SET name='10.9.9.9' WHERE id=1; verify 0 1 5"},
    {"a change is found: a salt", CHAIN "change UPDATE client SET salt=randomblob(16) WHERE id=1; verify 0 1 5"},
    {"a change is found: a client as if it were forgotten", CHAIN "change UPDATE client SET name='x',salt=NULL,digest=randomblob(16) WHERE id=1; verify 0 1 5"},
    {"a change is found: a digest that is cut", CHAIN "change UPDATE client SET digest='' WHERE id=1; verify 0 1 5"},
    {"a change is found: suffix of a record", CHAIN "change UPDATE event SET suffix=3-suffix WHERE id=3; verify 0 1 5"},
    {"a change is found: a suffix", CHAIN "change UPDATE suffix SET name='x.example' WHERE id=1; verify 0 1 5"},
    {"a change is found: answer of a record", CHAIN "change UPDATE event SET answer=1 WHERE id=3; verify 0 1 5"},
    {"a change is found: an answer", CHAIN "change UPDATE answer SET answer='evil.example:1688' WHERE id=3; verify 0 1 5"},
    {"a change is found: NULL for an empty text", CHAIN "change UPDATE answer SET unapproved=NULL WHERE id=3; verify 0 1 5"},
    {"a change is found: an answer that is gone", CHAIN "change DELETE FROM answer WHERE id=1; verify 0 1 5"},
    {"a change is found: in a text of more than 512 octets", Q1 "a.example" LONG LONG LONG "; commit; verify 1 1 1;"
     "change UPDATE answer SET real_hosts=replace(real_hosts,'0:1688','1:1688'); verify 0 1 1"},
    {"a change is found: a note", CHAIN "change UPDATE answer SET note='y' WHERE id=4; verify 0 1 5"},
    {"a change is found: a record that is gone", CHAIN "change DELETE FROM event WHERE id=3; verify 0 1 5"},
    {"a change is found: the first", CHAIN "change DELETE FROM event WHERE id=1; verify 0 1 5"},
    {"a change is found: the last", CHAIN "change DELETE FROM event WHERE id=5; verify 0 1 5"},
    {"a change is found: all records gone", CHAIN "change DELETE FROM event; verify 0 1 5"},
    {"a change is found: numbers closed up", CHAIN "change DELETE FROM event WHERE id=3; change UPDATE event SET id=id-1 WHERE id>3; verify 0 1 5"},
    {"a change is found: a record that was added", CHAIN "change INSERT INTO event(id,ms,answer) VALUES(6,1,4); verify 0 1 5"},
    {"a change is found: two that changed places", CHAIN "change UPDATE event SET id=9 WHERE id=2; change UPDATE event SET id=2 WHERE id=3; change UPDATE event SET id=3 WHERE id=9; verify 0 1 5"},
    {"a change is found: a segment", CHAIN "change DELETE FROM chain WHERE id=1; verify 0 1 5"},
    {"a change is found: the head before a segment", CHAIN "change UPDATE chain SET before=zeroblob(32) WHERE id=5; verify 0 1 5"},
    {"a change is found: a segment ends before it begins", CHAIN "change UPDATE chain SET last=id-1 WHERE id=5; verify 0 1 5"},
    {"a change is found: a segment without an end", CHAIN "change UPDATE chain SET last=9223372036854775807 WHERE id=5; verify 0 1 5"},
    {"a change is found: a head", CHAIN "change UPDATE chain SET head=zeroblob(32) WHERE id=1; verify 0 1 5"},
    {"a change is found: a head that is cut", CHAIN "change UPDATE chain SET head='' WHERE id=1; verify 0 1 5"},
    {"a change is found: the head before a segment is cut", CHAIN "change UPDATE chain SET before='' WHERE id=5; verify 0 1 5"},
    {"a change is found: a segment that is whole but does not follow the one before", Q1 "a.example; commit;"
     "change INSERT INTO blind SELECT 99,head FROM chain; change UPDATE chain SET head=zeroblob(32);" Q1 "b.example; commit;"
     "change UPDATE chain SET head=(SELECT digest FROM blind) WHERE id=1; verify 0 1 2"},
    {"a change is found: what stands for a client", CHAIN "change INSERT INTO blind VALUES(3,zeroblob(16)); verify 0 1 5"},
    {"after a change of heads and digests records are written all the same",
     CHAIN "change UPDATE chain SET head=''; change UPDATE client SET digest='';" Q1 "a.example; commit; expect count(*) FROM event => 6;"
     "change UPDATE chain SET head='x'; change UPDATE client SET digest='x';" Q1 "a.example; restart;"
     "expect count(*) FROM event => 7; verify 0 1 7"},
    {"cut within its head", MADE "cut 60; refused damaged"},
    {"its last page lost", MADE "cut 61440; refused damaged"},
    {"another file", MADE "nonsense 0; refused damaged"},
    {"its tables overwritten", MADE "nonsense 100; refused damaged"},
    {"a newer format", MADE "number 60 5; refused newer"},
    {"an older format", MADE "number 60 2; refused older"},
    {"a database of something else", MADE "number 68 77; refused something else"},
    {"an empty file becomes a new one",
     MADE "cut 0; reads 2; open; expect count(*),(SELECT auto_vacuum FROM pragma_auto_vacuum) FROM event => 0 2"},
};
/* clang-format on */

/* --- the words of a question ----------------------------------------------------------- */

static const char *next(char **at)
{
    const char *word;

    while ((word = strsep(at, " ")) != NULL && *word == '\0')
        ;
    return word;
}

static uint64_t number(char **at)
{
    const char *word = next(at);

    return word != NULL ? strtoull(word, NULL, 10) : 0;
}

static uint64_t span(char **at)
{
    const char *word = next(at);
    uint64_t ms = 0;

    assert_true(word == NULL || units_parse(&ms, word, unit_time) == 0);
    return ms;
}

#define IS(text) (strcmp(word, text) == 0)

static void ask(struct bench *b, char *at)
{
    static uint16_t id;
    static const char *const numbers[] = {"id", "port", "times", "again", NULL};
    const char *client = next(&at), *suffix = next(&at), *word;
    uint64_t n[] = {++id, 49152, 1, 1};
    struct audit_event e;
    char qname[300];
    int ring = 0;

    snprintf(qname, sizeof qname, "_vlmcs._tcp.%s", *suffix != '.' ? suffix : "");
    e = sample_missing(client, qname);
    while ((word = next(&at)) != NULL) {
        if (IS("filled")) {
            sample_fill(&e, next(&at));
        } else if (IS("would")) {
            strcpy(e.would_rule, next(&at));
            e.would = OUTCOME_REPLACED;
        } else if (IS("real") || IS("real!")) {
            const char *host = next(&at);

            e.verdict = VERDICT_PRESENT;
            sample_host(e.real, host);
            if (word[4] == '!')
                sample_host(e.unapproved, host);
        } else if (IS("by")) {
            assert_int_equal(addr_parse(&e.server, next(&at), 0), 0);
        } else if (IS("also")) {
            sample_host(e.answer, next(&at));
        } else if (IS("type")) {
            assert_int_equal(type_parse(&e.qtype, next(&at)), 0);
        } else if (IS("update")) {
            e.outcome = OUTCOME_UPDATE;
        } else if (IS("second")) {
            ring = 1;
        } else if (IS("marked")) {
            e.transport = AUDIT_TCP;
            e.flags = DNS_RD | DNS_CD | DNS_AD;
            e.edns_do = e.cached = true;
        } else if (IS("asked")) {
            e.qname = sample_name(next(&at));
        } else {
            assert_true(str_index(numbers, word) >= 0);
            n[str_index(numbers, word)] = number(&at);
        }
    }
    e.id = (uint16_t)n[0];
    e.client.port = (uint16_t)n[1];
    for (uint64_t i = 0, times = n[2]; i < times + n[3] - 1; i++, e.id++) {
        bench_push(b, ring, &e);
        for (int octet = 15; times > 1 && octet > 12 && ++e.client.ip[octet] == 0; octet--)
            ;
    }
}

/* --- commands ------------------------------------------------------------------------------ */

static void expect(struct bench *b, const char *text)
{
    const char *arrow = strstr(text, " => "), *got;
    char sql[1024];

    assert_non_null(arrow);
    snprintf(sql, sizeof sql, "SELECT %.*s", (int)(arrow - text), text);
    got = bench_query(b, sql);
    if (strcmp(got, arrow + 4) != 0)
        fail_msg("%s\n   got %s\n  want %s", sql, got, arrow + 4);
}

/* Of all questions, until the ledger's oldest rows have gone. */
static void check_sums(struct bench *b)
{
    const char *sql = "SELECT sum(value),(SELECT min(hour)>'2023-11-15' FROM hours) OR "
                      "(d+(SELECT total(questions) FROM clients)=sum(value) AND "
                      "d+(SELECT total(questions) FROM hours)=sum(value) AND "
                      "d+(SELECT total(questions) FROM suffixes)=sum(value)) FROM meta,"
                      "(SELECT value AS d FROM meta WHERE name='dropped')";
    char want[64];

    snprintf(want, sizeof want, "%llu 1", (unsigned long long)b->asked);
    assert_string_equal(bench_query(b, sql), want);
}

static void commit(struct bench *b)
{
    audit_writer_step(b->w, b->now, true);
    check_sums(b);
}

#define LIMIT(key, member) l->member = (__typeof__(l->member))(IS(key) ? n : l->member);

static void set_limit(struct bench *b, const char *word, uint64_t n)
{
    struct audit_limits *l = &b->limits;

    LIMIT("clients", max_clients)
    LIMIT("suffixes", max_suffixes)
    LIMIT("rate", max_rate)
    LIMIT("rate-client", max_rate_client)
    LIMIT("privacy", privacy.how)
    LIMIT("max-size", max_size)
    LIMIT("retention", retention_ms)
    LIMIT("ledger-retention", ledger_retention_ms)
    audit_writer_limits(b->w, l);
}

static void expect_stat(struct bench *b, const char *word, uint64_t want)
{
#define STAT(name) got = IS(#name) ? (uint64_t)s.name : got;
    struct audit_writer_stats s;
    uint64_t got = UINT64_MAX;

    audit_writer_stats(b->w, &s);
    AUDIT_WRITER_STATS(STAT)
    STAT(last_error) if (got != want) fail_msg("%s: %llu", word, (unsigned long long)got);
}

static void pass(struct bench *b, uint64_t ms)
{
    b->now.mono_ms += ms;
    b->now.wall_ms += ms;
}

/* Steps when the writer asks for them; slow_ms: how long a commit takes; so many questions
 * before each. */
static void steps(struct bench *b, uint64_t ms, uint64_t slow_ms, uint64_t questions)
{
    uint64_t end = b->now.mono_ms + ms, commits = 0;
    struct audit_writer_stats s;
    char text[64];

    do {
        snprintf(text, sizeof text, "10.0.0.1 a.example again %llu", (unsigned long long)questions);
        if (questions > 0)
            ask(b, text);
        pass(b, audit_writer_step(b->w, b->now, false));
        audit_writer_stats(b->w, &s);
        pass(b, commits != s.commits ? slow_ms : 0);
        commits = s.commits;
    } while (b->now.mono_ms <= end);
}

static void disk(uint64_t bytes)
{
    struct rlimit l;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes > 0 ? bytes : l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void overwrite(struct bench *b, off_t from, off_t to, const char *text, size_t len)
{
    int fd = open(b->file, O_WRONLY | O_CLOEXEC);

    for (; from < to; from += (off_t)len)
        assert_int_equal(pwrite(fd, text, len, from), len);
    close(fd);
}

static void refused(struct bench *b, const char *why)
{
    struct stat before, after;
    struct audit_store *r;
    struct diags d = {0};

    assert_int_equal(stat(b->dir, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0750); /* whatever the umask */
    assert_int_equal(stat(b->file, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0640);
    assert_int_equal(audit_writer_open(&b->w, b->dir, "dns1", &b->limits, NULL, 0, &d), -EBADMSG);
    assert_int_equal(d.n, 1);
    assert_has(d.list[0], why);
    assert_has(d.list[0], b->file);
    assert_has(d.list[0], "move"); /* a remedy */
    diags_fini(&d);
    assert_int_equal(audit_store_open(&r, b->dir, 0, NULL), -EBADMSG);
    assert_int_equal(stat(b->file, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

/* By another connection. */
static void change(const struct bench *b, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(b->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
    sqlite3_close(db);
}

static uint8_t head[CHAIN_HEAD];
static uint64_t busy; /* questions that come while it is verified */

static void meanwhile(const void *context, size_t done, size_t all)
{
    struct bench *b = (void *)(uintptr_t)context;
    char text[64];

    if (done < all || busy == 0)
        return;
    snprintf(text, sizeof text, "10.0.0.1 a.example times %llu", (unsigned long long)busy);
    busy = 0;
    ask(b, text);
    commit(b);
}

static struct audit_verified verify(const struct bench *b)
{
    struct audit_verified v;
    struct audit_store *r;

    assert_int_equal(audit_store_open(&r, b->dir, 0, NULL), 0);
    assert_int_equal(audit_verify(r, head, busy > 0 ? meanwhile : NULL, b, &v), 0);
    audit_store_close(r);
    return v;
}

/* As the tool does, while the daemon's own writer is open. */
static void take_out(struct bench *b, bool forget, char *at)
{
    const char *name = forget ? next(&at) : NULL, *want = strstr(at, "=> ") + 3;
    const uint64_t from = *at != '=' ? number(&at) : 0, to = *at != '=' ? number(&at) : 0;
    struct audit_writer *w;
    uint64_t n = 0;
    bool wiped;
    int rc;

    assert_int_equal(audit_writer_open(&w, b->dir, "dns1", &b->limits, NULL, 0, NULL), 0);
    rc = forget ? audit_writer_forget(w, b->now, name, from, to, "tester", &n, &wiped)
                : audit_writer_prune(w, b->now, from, "by hand", &n);
    assert_int_equal(rc < 0 ? rc : (int)n, strtol(want, NULL, 10));
    audit_writer_close(w, b->now);
}

static void run(struct bench *b, char *at)
{
    const char *word = next(&at);

    if (IS("q")) {
        ask(b, at);
    } else if (IS("limit")) {
        word = next(&at);
        set_limit(b, word, number(&at));
    } else if (IS("expect")) {
        expect(b, at);
    } else if (IS("?")) {
        commit(b);
        expect(b, at);
    } else if (IS("stat")) {
        word = next(&at);
        expect_stat(b, word, number(&at));
    } else if (IS("control")) {
        word = next(&at);
        audit_writer_control(b->w, (enum audit_kind)str_index(audit_kind_names, word), b->now, at);
    } else if (IS("pass")) {
        pass(b, span(&at));
    } else if (IS("clock")) { /* the wall clock is moved */
        word = next(&at);
        b->now.wall_ms += strcmp(word, "back") == 0 ? -span(&at) : span(&at);
    } else if (IS("steps")) {
        uint64_t ms = span(&at), slow_ms = span(&at);

        steps(b, ms, slow_ms, number(&at));
    } else if (IS("disk")) {
        disk(number(&at));
    } else if (IS("quiet")) {
        uint64_t wait;

        do
            pass(b, wait = audit_writer_step(b->w, b->now, false));
        while (wait <= 100);
    } else if (IS("verify")) {
        struct audit_verified v = verify(b);

        assert_int_equal(v.broken[0] == '\0', number(&at));
        if (v.broken[0] == '\0') {
            assert_int_equal(v.first, number(&at));
            assert_int_equal(v.last, number(&at));
        }
    } else if (IS("head")) {
        struct audit_verified v = verify(b);

        memcpy(head, v.head, sizeof head);
    } else if (IS("told")) {
        const char *hex = bench_query(b, "SELECT note FROM events WHERE kind='head'");

        for (size_t i = 0; i < sizeof head; i++)
            sscanf(hex + 2 * i, "%2hhx", &head[i]);
    } else if (IS("busy")) {
        busy = number(&at);
    } else if (IS("proves")) {
        assert_int_equal(verify(b).found, number(&at));
    } else if (IS("change")) {
        change(b, at);
    } else if (IS("forget") || IS("prune")) {
        take_out(b, IS("forget"), at);
    } else if (IS("commit")) {
        commit(b);
    } else if (IS("cut")) {
        assert_int_equal(truncate(b->file, (off_t)number(&at)), 0);
    } else if (IS("nonsense")) {
        overwrite(b, (off_t)number(&at), 20000, "nonsense", 8);
    } else if (IS("number")) {
        off_t from = (off_t)number(&at);

        overwrite(b, from, from + 4, (char[]){0, 0, 0, (char)number(&at)}, 4);
    } else if (IS("refused")) {
        refused(b, at);
    } else if (IS("reads")) {
        assert_int_equal(audit_store_open(&(struct audit_store *){NULL}, b->dir, 0, NULL),
                         -(int)number(&at));
    } else {
        uint64_t size = number(&at);

        assert_true(IS("restart") || IS("ring") || IS("close") || IS("open"));
        if (!IS("open")) {
            bench_close(b);
            check_sums(b);
        }
        if (!IS("close"))
            bench_open(b, size > 0 ? size : 1 << 20);
    }
}

static void check_script(void **state)
{
    const struct script *s = *state;
    char *text = strdup(s->text), *command, *rest = text;
    struct bench b;

    umask(077);
    bench_start(&b);
    while ((command = strsep(&rest, ";")) != NULL)
        if (command[strspn(command, " ")] != '\0')
            run(&b, command);
    if (b.w != NULL)
        assert_string_equal(bench_query(&b, "PRAGMA integrity_check"), "ok");
    free(text);
    bench_end(&b);
}

/* --- without a script ------------------------------------------------------------------- */

/* Whenever the writer is killed, what was committed is there and whole. */
static void killed_100_times(void **state)
{
    const char *sql =
        "SELECT n,n=(SELECT sum(value) FROM meta),"
        "n=(SELECT sum(questions) FROM clients),(SELECT * FROM pragma_integrity_check) "
        "FROM (SELECT count(*) AS n FROM event)";
    struct bench b;
    char *end;

    bench_start(&b);
    bench_close(&b);
    for (long n, had = 0, round = 0; round < 100; round++, had = n) {
        int said[2];
        pid_t pid;

        assert_int_equal(pipe(said), 0);
        pid = fork();
        if (pid == 0)
            bench_open(&b, 1 << 20);
        while (pid == 0) {
            ask(&b, (char[]){"10.0.0.1 a.example again 200"});
            audit_writer_step(b.w, b.now, true);
            if (write(said[1], "x", 1) != 1)
                _exit(1);
        }
        assert_int_equal(read(said[0], &(char){0}, 1), 1);
        usleep((useconds_t)(round * 37 % 3000)); /* wherever it then is */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(said[0]);
        close(said[1]);
        n = strtol(bench_query(&b, sql), &end, 10);
        assert_true(n >= had + 200); /* all that was said, at least */
        assert_string_equal(end, " 1 1 ok");
    }
    bench_end(&b);
}

/* Nobody who reads keeps the log from being written into the database. */
static void query_without_end_is_ended(void **state)
{
    json_t *rows = json_array();
    struct audit_store *r;
    struct bench b;

    bench_start(&b);
    assert_int_equal(audit_store_open(&r, "/tmp/waymark-audit-none", 0, NULL), -ENOENT);
    assert_int_equal(audit_store_open(&r, b.dir, 0, NULL), 0);
    assert_int_equal(audit_query(r,
                                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
                                 "SELECT count(*) FROM n,event",
                                 NULL, NULL),
                     -ETIMEDOUT);
    /* The time is that of all rows. */
    assert_int_equal(audit_query(r,
                                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
                                 "SELECT 1 FROM n WHERE i%300000=0",
                                 NULL, rows),
                     -ETIMEDOUT);
    json_decref(rows);
    assert_int_equal(audit_query(r, "DELETE FROM event", NULL, NULL), -EACCES);
    audit_store_close(r);
    bench_end(&b);
}

/* While the first of four segments is told, the next two are removed, as by retention. */
static void remove_two(const void *bench, size_t done, size_t all)
{
    (void)all;
    if (done == 0)
        change(bench, "DELETE FROM event WHERE id<4");
}

static void chain_is_whole_while_it_is_cut(void **state)
{
    struct audit_verified v;
    struct audit_store *r;
    struct bench b;

    bench_start(&b);
    for (int i = 0; i < 4; i++) {
        run(&b, (char[]){"q 10.0.0.1 a.example"});
        run(&b, (char[]){"restart"});
    }
    assert_string_equal(bench_query(&b, "SELECT count(*) FROM chain"), "4");
    assert_int_equal(audit_store_open(&r, b.dir, 0, NULL), 0);
    assert_int_equal(audit_verify(r, NULL, remove_two, &b, &v), 0);
    audit_store_close(r);
    assert_string_equal(v.broken, "");
    assert_int_equal(v.first, 4);
    assert_int_equal(v.last, 4);
    bench_end(&b);
}

/* More of them than the writer has room for, before any is stored. */
static void control_records_without_end(void **state)
{
    const int many = (32 << 20) / 200;
    char text[200];
    struct bench b;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bench_start(&b);
    for (int i = 0; i < many; i++)
        audit_writer_control(b.w, AUDIT_SETTINGS, b.now, text);
    audit_writer_step(b.w, b.now, true);
    assert_in_range(atoi(bench_query(&b, "SELECT count(*) FROM event")), many / 2, many - 1);
    bench_end(&b);
}

TESTS("audit scripts", ROWS(scripts, check_script), TEST(killed_100_times),
      TEST(control_records_without_end), TEST(query_without_end_is_ended),
      TEST(chain_is_whole_while_it_is_cut))
