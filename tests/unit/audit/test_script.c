/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_script.c -- from ring to database and back, as scripts: what is asked,
 * and what a reader of the views then sees.
 *
 *   q CLIENT NAME [WORD ...]   a question, missing unless a word says more:
 *       filled R  would R  real HOST (unapproved: real! HOST)  id N  port N
 *       type T  update  second (in the second ring)  asked NAME
 *       times N (a client and ID each)  again N
 *   pass T    steps T (as the writer asks for)    busy T [SLOW] (a question a step, a
 *   commit takes SLOW)    flood N (thousands of questions in steps of 50 ms)
 *   commit    restart    ring SIZE    quiet (until pruning ends)    disk SIZE (0: no limit)
 *   limit KEY N    control KIND TEXT    stat NAME N    expect SQL => VALUES
 *
 * Behind every commit and stop, of all that was asked: recorded + counted + dropped is
 * what was asked, and so are the sums of clients, hours and suffixes.
 */
#include <ctype.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/number.h"
#include "tests/unit/audit/bench.h"
#include "wire/present.h"

#define TEN "1234567890"
#define MANY "q 10.0.0.1 a.example times 4000; commit; "

static const struct script {
    const char *what, *text;
} scripts[] = {
    {"one event, as its reader sees it",
     "q 10.0.0.1 Corp.example filled r port 5000; commit;"
     "expect SELECT sequence,time,kind,forwarder,address,port,transport,question,suffix,type FROM "
     "events"
     " => 1 2023-11-14T22:13:20.000Z event dns1 10.0.0.1 5000 udp _vlmcs._tcp.Corp.example "
     "corp.example SRV;"
     "expect SELECT "
     "outcome,reason,rule,policy_serial,verdict,response,answer,client_error,repeat,flags FROM "
     "events"
     " => filled rule r 42 nxdomain NOERROR kms01.contoso.com:1688 - 0 RD"},
    {"what Windows shows, a bare name, an IPv6 client",
     "q 2001:db8::1 . port 0; commit;"
     "expect SELECT address,question,suffix,response,client_error FROM events"
     " => 2001:db8::1 _vlmcs._tcp . NXDOMAIN 0x8007232B"},
    {"the question in the case of the client, also behind a suffix in odd case",
     "q 10.0.0.1 a.example asked _VLMCS._TCP.A.example; q 10.0.0.1 a.example; commit;"
     "expect SELECT group_concat(question,'|'),count(DISTINCT suffix) FROM events"
     " => _VLMCS._TCP.A.example|_vlmcs._tcp.a.example 1"},
    {"the zone of an update is its suffix",
     "q 10.0.0.1 x asked contoso.com update; commit;"
     "expect SELECT question,suffix,outcome FROM events => contoso.com contoso.com update"},
    {"the story of a client",
     "q 10.0.0.1 Corp.example; commit; expect SELECT no_host_since,last_host FROM clients => "
     "2023-11-14T22:13:20.000Z -;"
     "pass 2m; q 10.0.0.1 corp.example; pass 2m; q 10.0.0.1 fabrikam.local filled r; commit;"
     "expect SELECT "
     "questions,attempts,missing,filled,cadence_s,last_host,last_host_at,no_host_since FROM clients"
     " => 3 3 2 1 120 kms01.contoso.com:1688 2023-11-14T22:17:20.000Z -;"
     "expect SELECT first_asked,last_asked,suffixes,last_outcome FROM clients"
     " => 2023-11-14T22:13:20.000Z 2023-11-14T22:17:20.000Z corp.example fabrikam.local filled"},
    {"cadence is smoothed, and questions within a minute are one search",
     "q 10.0.0.1 a.example; pass 100s; q 10.0.0.1 a.example; pass 59s; q 10.0.0.1 b.example; pass "
     "200s;"
     "q 10.0.0.1 a.example; commit; expect SELECT cadence_s FROM clients => 125"},
    {"each event names the one before of its client",
     "q 10.0.0.1 a.example; q 10.0.0.2 a.example; q 10.0.0.1 b.example; commit; q 10.0.0.1 "
     "a.example; restart;"
     "q 10.0.0.1 a.example; commit;"
     "expect SELECT group_concat(previous) FROM events => 0,0,1,3,4"},
    {"a repeat is no attempt, whatever its case",
     "q 10.0.0.1 a.example id 7; pass 1s; q 10.0.0.1 A.example id 7; pass 8s; q 10.0.0.1 a.example "
     "id 7; pass 1s;"
     "q 10.0.0.1 a.example id 7; q 10.0.0.1 a.example id 8; q 10.0.0.1 a.example id 7 port 9; q "
     "10.0.0.1 b.example id 7;"
     "commit; expect SELECT sum(repeat),count(*) FROM events => 2 7;"
     "expect SELECT questions,attempts FROM clients => 7 5; expect SELECT questions,attempts FROM "
     "hours => 7 5"},
    {"what asks for no host changes none",
     "q 10.0.0.1 a.example filled r; q 10.0.0.1 a.example type SOA; q 10.0.0.1 a.example update; "
     "commit;"
     "expect SELECT no_host_since,last_host,questions FROM clients => - kms01.contoso.com:1688 3"},
    {"the suffix that was asked for longest ago gives way",
     "q 10.0.0.1 s0.x; pass 1s; q 10.0.0.1 s1.x; pass 1s; q 10.0.0.1 s2.x; q 10.0.0.1 s3.x; q "
     "10.0.0.1 s4.x; q 10.0.0.1 s5.x;"
     "q 10.0.0.1 s6.x; q 10.0.0.1 s7.x; restart; q 10.0.0.1 s8.x; q 10.0.0.1 s9.x; q 10.0.0.1 "
     "s10.x; q 10.0.0.1 s11.x;"
     "q 10.0.0.1 s12.x; q 10.0.0.1 s13.x; q 10.0.0.1 s14.x; q 10.0.0.1 s15.x; pass 1s; q 10.0.0.1 "
     "s0.x; q 10.0.0.1 new.x; commit;"
     "expect SELECT suffixes FROM clients"
     " => s0.x new.x s2.x s3.x s4.x s5.x s6.x s7.x s8.x s9.x s10.x s11.x s12.x s13.x s14.x s15.x"},
    {"a target once each, by what it was",
     "q 10.0.0.1 a.example filled r real! OLD.contoso.com real old.contoso.com real "
     "kms01.contoso.com; commit;"
     "expect SELECT target,questions,delivered,unapproved FROM targets WHERE target LIKE 'old%' => "
     "old.contoso.com:1688 1 0 1;"
     "expect SELECT questions,delivered,unapproved FROM targets WHERE target LIKE 'kms01%' => 1 1 "
     "0;"
     "expect SELECT count(*) FROM targets => 2;"
     "expect SELECT real_hosts,unapproved FROM events"
     " => OLD.contoso.com:1688 old.contoso.com:1688 kms01.contoso.com:1688 OLD.contoso.com:1688"},
    {"a rule in shadow would have",
     "q 10.0.0.1 a.example filled r would s; q 10.0.0.1 a.example; commit;"
     "expect SELECT questions,filled,would FROM rules WHERE rule='r' => 1 1 0;"
     "expect SELECT questions,would FROM rules WHERE rule='s' => 0 1;"
     "expect SELECT would,would_rule FROM events WHERE sequence=1 => replaced s; expect SELECT "
     "count(*) FROM rules => 2;"
     "expect SELECT last_rule,last_outcome,last_verdict FROM suffixes => - missing nxdomain"},
    {"few clients are counted",
     "q 10.0.0.1 a.example times 31; q 10.0.0.1 a.example times 31; commit;"
     "expect SELECT clients,questions FROM suffixes => 31 62"},
    {"many clients are estimated, also over commits",
     "limit clients 9000; q 10.0.0.1 a.example times 2000; commit; q 10.0.0.1 a.example times "
     "4000; commit;"
     "expect SELECT clients BETWEEN 2000 AND 8000,questions FROM suffixes => 1 6000"},
    {"hours", "pass 46m; q 10.0.0.1 a.example; pass 39s; q 10.0.0.1 a.example; pass 1s; q 10.0.0.1 "
              "a.example; commit;"
              "expect SELECT group_concat(hour||' '||missing,'|') FROM hours"
              " => 2023-11-14T22:00:00.000Z 2|2023-11-14T23:00:00.000Z 1"},
    {"control records stand in the sequence and are no questions",
     "control start waymarkd 0.1.0; commit; q 10.0.0.1 a.example; commit; control policy serial "
     "43; commit;"
     "expect SELECT group_concat(sequence||kind) FROM events => 1start,2event,3policy;"
     "expect SELECT kind,note,forwarder FROM gaps => start waymarkd 0.1.0 dns1"},
    {"the sequence goes on after a restart",
     "q 10.0.0.1 a.example times 10; restart; q 10.0.0.1 a.example; restart;"
     "expect SELECT min(sequence),max(sequence),count(*) FROM events => 1 11 11"},
    {"above the rate of a client only its rows count",
     "limit rate-client 2; q 10.0.0.1 a.example id 1; pass 1ms; q 10.0.0.9 b.example times 5; "
     "commit; restart;"
     "limit rate-client 1; q 10.0.0.1 a.example id 1 again 19; q 10.0.0.2 a.example id 1; commit;"
     "expect SELECT count(*) FROM events => 17; expect SELECT questions FROM clients WHERE "
     "address='10.0.0.1' => 20"},
    {"above the rate of all", "limit rate 100; q 10.0.0.1 a.example times 300; commit; expect "
                              "SELECT count(*) FROM events => 100;"
                              "expect SELECT sum(questions) FROM clients => 300"},
    {"a rate that is saved up",
     "limit rate-client 1; q 10.0.0.1 a.example id 1 again 15; commit; pass 2s;"
     "q 10.0.0.1 a.example id 99 again 5; commit; expect SELECT count(*) FROM events => 12"},
    {"clients above the bound are one row, and their events keep the address",
     "limit clients 2; limit suffixes 2; q 10.0.0.1 a.example; commit; q 10.0.0.2 b.example; "
     "commit; q 10.0.0.3 c.example; commit;"
     "q 10.0.0.4 d.example filled r; restart; q 10.0.0.1 a.example; q 10.0.0.5 c.example; commit;"
     "expect SELECT group_concat(address||questions) FROM clients => 10.0.0.12,10.0.0.21,(other)3;"
     "expect SELECT group_concat(suffix||questions) FROM suffixes => "
     "a.example2,b.example1,(other)3;"
     "expect SELECT group_concat(address||suffix,' ') FROM events WHERE sequence IN(3,4,6)"
     " => 10.0.0.3c.example 10.0.0.4d.example 10.0.0.5c.example"},
    {"a link-local client has no interface, with a row of its own or without",
     "q fe80::1%1 a.example; commit; expect SELECT address FROM clients => fe80::1;"
     "limit clients 1; q fe80::2%1 a.example; commit;"
     "expect SELECT group_concat(address) FROM events => fe80::1,fe80::2"},
    {"only the network of a client is kept, and repeats are still told apart",
     "limit prefix 1; q 10.20.30.40 a.example id 1; q 10.20.30.41 a.example id 1; q "
     "2001:db8:1:ff42:1::1 a.example; commit;"
     "expect SELECT group_concat(address||questions||attempts,' ') FROM clients => 10.20.30.022 "
     "2001:db8:1:ff00::11;"
     "expect SELECT group_concat(DISTINCT address) FROM events => 10.20.30.0,2001:db8:1:ff00::"},
    {"old events go, with what only they named; the ledger lives longer",
     "q 10.0.0.1 old.example filled r times 900 asked _VLMCS._TCP.old.example; commit; pass 2d; q "
     "10.0.0.1 b.example; commit; quiet;"
     "pass 89d; q 10.0.0.1 b.example; commit; quiet;"
     "expect SELECT count(*),min(sequence),max(sequence) FROM events => 3 901 903;"
     "expect SELECT count,since,note FROM gaps WHERE kind='prune' => 900 2023-11-14T22:13:20.000Z "
     "retention;"
     "expect SELECT questions FROM suffixes WHERE suffix='old.example' => 900;"
     "expect SELECT outcome,suffix,address FROM events WHERE sequence=901 => missing b.example "
     "10.0.0.1;"
     "pass 400d; q 10.0.0.9 c.example; commit; quiet; expect SELECT group_concat(address),(SELECT "
     "count(*) FROM suffixes),"
     "(SELECT count(*) FROM hours),(SELECT count(*) FROM client_suffix) FROM clients => 10.0.0.9 1 "
     "1 1;"
     "expect SELECT sum(value) FROM meta => 903"},
    {"what an event names stays, however old",
     "limit retention 77760000000; q 10.0.0.1 a.example; commit; pass 500d; q 10.0.0.2 b.example; "
     "commit; quiet;"
     "expect SELECT group_concat(address||suffix||outcome) FROM events => "
     "10.0.0.1a.examplemissing,10.0.0.2b.examplemissing;"
     "expect SELECT count(*) FROM clients => 2"},
    {"a database that is too large shrinks, and the newest stay",
     "limit max-size 1048576; limit clients 50; " MANY MANY MANY MANY MANY MANY MANY
     "pass 2m; quiet;"
     "expect SELECT max(sequence)>28000,count(*) BETWEEN 14000 AND 24000 FROM events => 1 1;"
     "expect SELECT (p.page_count-f.freelist_count)*4096 BETWEEN 820000 AND 943718 FROM "
     "pragma_page_count p,pragma_freelist_count f"
     " => 1; expect SELECT (SELECT sum(count) FROM gaps)+(SELECT count(*) FROM events WHERE "
     "kind='event') => 28000"},
    {"hostile names: spaces, quotes, octets, a dot inside",
     "q 10.0.0.1 a\\032'\"b\\.c\\255.example real x\\032\"y.example; q 10.0.0.1 e\\.; commit;"
     "expect SELECT group_concat(suffix,'|') FROM events => a\\032'\\\"b\\.c\\255.example|e\\.;"
     "expect SELECT question FROM events WHERE sequence=2 => _vlmcs._tcp.e\\."},
    {"what only removed events have in common goes, twenty thousand events later",
     "ring 8388608; q 10.0.0.1 old.example filled r; commit; pass 91d; quiet;"
     "expect SELECT (SELECT count(*) FROM events),count(rule) FROM answer => 1 1;"
     "q 10.0.0.2 b.example again 21000; commit; pass 91d; q 10.0.0.2 b.example; commit; quiet;"
     "expect SELECT count(rule),(SELECT count(*) FROM events WHERE kind IS NULL) FROM answer => 0 "
     "0; expect SELECT outcome FROM events WHERE kind='event' => missing"},
    {"a text that is no UTF-8 is printed all the same",
     "q 10.0.0.1 a.example filled r\377; commit; expect SELECT rule FROM events => r\\xff"},
    {"events of all rings are in the order of time",
     "q 10.0.0.1 a.example; pass 1ms; q 10.0.0.1 b.example second; pass 1ms; q 10.0.0.1 c.example "
     "second; pass 1ms; q 10.0.0.1 d.example; commit;"
     "expect SELECT group_concat(suffix) FROM events => a.example,b.example,c.example,d.example"},
    {"a commit each interval",
     "commit; q 10.0.0.1 a.example; steps 1ms; stat recorded 0; stat pending 1; steps 1s; "
     "stat recorded 1; stat pending 0; stat commits 1; stat last_commit_wall_ms 1700000001000"},
    {"slow commits stretch the interval, quick ones bring it back",
     "busy 11s 9s; stat interval_ms 2000; busy 60s 9s; stat interval_ms 10000; busy 100s; "
     "stat interval_ms 1000"},
    {"a full ring leaves one gap record",
     "ring 4096; q 10.0.0.1 a.example again 100; commit; commit; expect SELECT count(*),sum(count)"
     ">0,sum(count)+(SELECT count(*) FROM event)-1 FROM gaps => 1 1 100"},
    {"a long note is cut, not refused",
     "control policy " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "; commit;"
     "expect SELECT length(note) FROM events => 127"},
    {"a failed commit loses nothing, and is tried each interval",
     "q 10.0.0.1 a.example; commit; disk 65536; q 10.0.0.1 a.example again 3000; steps 4s;"
     "stat last_error 27; stat commit_failures 4; stat pending 3000;"
     "expect SELECT count(*) FROM event => 1; disk 0; steps 1s; stat last_error 0; stat pending 0;"
     "expect SELECT max(sequence),count(*) FROM events => 3001 3001"},
    {"a long failure fills the batch, then the ring, and says what it dropped",
     "commit; disk 8192; flood 250; disk 0; commit;"
     "expect SELECT sum(count)>0,sum(count)=(SELECT value FROM meta WHERE name='dropped') FROM "
     "gaps "
     "=> 1 1"},
};

/* --- the words of a question ----------------------------------------------------------- */

static const char *next(char **at)
{
    char *word;

    while (**at == ' ')
        ++*at;
    word = *at;
    while (**at != '\0' && **at != ' ')
        ++*at;
    if (**at == ' ')
        *(*at)++ = '\0';
    return *word != '\0' ? word : NULL;
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

static void ask(struct bench *b, char *at)
{
    static uint16_t id;
    const struct audit_event filled = sample_filled("10.0.0.1", "x", 0, 0);
    const char *client = next(&at), *suffix = next(&at), *word;
    struct audit_ring *first = b->ring;
    uint64_t times = 1, again = 1;
    struct audit_event *e = calloc(1, sizeof *e);
    char qname[300];

    snprintf(qname, sizeof qname, "_vlmcs._tcp%s%s", *suffix != '.' ? "." : "",
             *suffix != '.' ? suffix : "");
    *e = sample_missing(client, qname, ++id, 0);
    e->client.port = 49152;
    while ((word = next(&at)) != NULL) {
        if (strcmp(word, "filled") == 0) {
            e->outcome = filled.outcome;
            e->reason = filled.reason;
            e->rcode = filled.rcode;
            e->policy_serial = filled.policy_serial;
            e->answer[e->n_answer++] = filled.answer[0];
            strcpy(e->rule, next(&at));
        } else if (strcmp(word, "would") == 0) {
            strcpy(e->would_rule, next(&at));
            e->would = OUTCOME_REPLACED;
        } else if (strncmp(word, "real", 4) == 0) {
            e->verdict = VERDICT_PRESENT;
            e->real[e->n_real++] = (struct audit_host){sample_name(next(&at)), 1688};
            if (word[4] == '!')
                e->unapproved[e->n_unapproved++] = e->real[e->n_real - 1];
        } else if (strcmp(word, "id") == 0) {
            e->id = (uint16_t)number(&at);
        } else if (strcmp(word, "port") == 0) {
            e->client.port = (uint16_t)number(&at);
        } else if (strcmp(word, "type") == 0) {
            assert_int_equal(type_parse(&e->qtype, next(&at)), 0);
        } else if (strcmp(word, "update") == 0) {
            e->outcome = OUTCOME_UPDATE;
        } else if (strcmp(word, "second") == 0) {
            b->ring = b->second;
        } else if (strcmp(word, "asked") == 0) {
            e->qname = sample_name(next(&at));
        } else if (strcmp(word, "times") == 0) {
            times = number(&at);
        } else if (strcmp(word, "again") == 0) {
            again = number(&at);
        } else {
            fail_msg("q ... %s?", word);
        }
    }
    for (uint64_t i = 0; i < times + again - 1; i++) {
        bench_push(b, e);
        e->id++;
        for (int octet = 15; times > 1 && octet > 12 && ++e->client.ip[octet] == 0; octet--)
            ;
    }
    b->ring = first;
    free(e);
}

/* --- commands ------------------------------------------------------------------------------ */

/* Where the ledger is swept, its sums are no longer those of all questions. */
static void check_sums(struct bench *b, const struct script *s)
{
    bool swept = strstr(s->text, "pass 400d") != NULL;
    static const char *const tables[] = {"clients", "hours", "suffixes"};
    char sql[200];

    assert_int_equal(bench_number(b, "SELECT sum(value) FROM meta"), b->asked);
    for (size_t i = 0; !swept && i < ARRAY_LEN(tables); i++) {
        snprintf(sql, sizeof sql,
                 "SELECT ifnull(sum(questions),0)+(SELECT value FROM meta WHERE name='dropped') "
                 "FROM %s",
                 tables[i]);
        assert_int_equal(bench_number(b, sql), b->asked);
    }
}

#define LIMIT(key, member)                                                                         \
    {                                                                                              \
        key, offsetof(struct audit_limits, member), sizeof b->limits.member                        \
    }

static void limit(struct bench *b, char *at)
{
    const struct {
        const char *key;
        size_t offset, size;
    } keys[] = {LIMIT("clients", max_clients), LIMIT("suffixes", max_suffixes),
                LIMIT("rate", max_rate),       LIMIT("rate-client", max_rate_client),
                LIMIT("max-size", max_size),   LIMIT("retention", retention_ms),
                LIMIT("prefix", prefix_only)};
    const char *key = next(&at);
    uint64_t n = number(&at);

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i].key) == 0)
            memcpy((uint8_t *)&b->limits + keys[i].offset, &n, keys[i].size); /* little endian */
    audit_writer_limits(b->w, &b->limits);
}

static void expect(struct bench *b, char *text)
{
    char *arrow = strstr(text, " => "), got[1024];

    assert_non_null(arrow);
    *arrow = '\0';
    bench_query(b, text, got);
    if (strcmp(got, arrow + 4) != 0)
        fail_msg("%s\n   got %s\n  want %s", text, got, arrow + 4);
}

static void expect_stat(struct bench *b, char *at)
{
#define NAMED(name) {#name, s.name},
    struct audit_writer_stats s;

    audit_writer_stats(b->w, &s);
    {
        const struct {
            const char *name;
            uint64_t value;
        } all[] = {AUDIT_WRITER_STATS(NAMED){"last_error", (uint64_t)s.last_error}};
        const char *name = next(&at);
        size_t i = 0;

        while (strcmp(all[i].name, name) != 0)
            i++;
        assert_int_equal(all[i].value, number(&at));
    }
}

static void quiet(struct bench *b)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = audit_writer_step(b->w, b->now, false);

        bench_pass(b, wait);
        if (wait > 100)
            return;
    }
    fail_msg("pruning does not end");
}

/* Steps when the writer asks for them; slow_ms: how long a commit takes; ask: a question
 * before each. */
static void steps(struct bench *b, uint64_t ms, uint64_t slow_ms, bool asks)
{
    uint64_t end = b->now.mono_ms + ms, commits = 0;
    struct audit_writer_stats s;

    do {
        if (asks)
            ask(b, (char[]){"10.0.0.1 a.example"});
        bench_pass(b, audit_writer_step(b->w, b->now, false));
        audit_writer_stats(b->w, &s);
        if (commits != s.commits && slow_ms > 0)
            bench_pass(b, slow_ms);
        commits = s.commits;
    } while (b->now.mono_ms <= end);
}

static void control(struct bench *b, char *at)
{
    int kind = str_index(audit_kind_names, next(&at));

    audit_writer_control(b->w, (enum audit_kind)kind, b->now, at);
}

static void disk(uint64_t bytes)
{
    struct rlimit l;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes > 0 ? bytes : l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void flood(struct bench *b, uint64_t thousands)
{
    for (; thousands > 0; thousands--) {
        ask(b, (char[]){"10.0.0.1 a.example again 1000"});
        audit_writer_step(b->w, b->now, false);
        bench_pass(b, 50);
    }
}

static void run(struct bench *b, const struct script *s, char *at)
{
    const char *word = next(&at);

    if (strcmp(word, "q") == 0) {
        ask(b, at);
    } else if (strcmp(word, "limit") == 0) {
        limit(b, at);
    } else if (strcmp(word, "expect") == 0) {
        expect(b, at);
    } else if (strcmp(word, "stat") == 0) {
        expect_stat(b, at);
    } else if (strcmp(word, "control") == 0) {
        control(b, at);
    } else if (strcmp(word, "pass") == 0) {
        bench_pass(b, span(&at));
    } else if (strcmp(word, "steps") == 0 || strcmp(word, "busy") == 0) {
        uint64_t ms = span(&at);

        steps(b, ms, span(&at), *word == 'b');
    } else if (strcmp(word, "disk") == 0) {
        disk(number(&at));
    } else if (strcmp(word, "quiet") == 0) {
        quiet(b);
    } else if (strcmp(word, "flood") == 0) {
        flood(b, number(&at));
    } else if (strcmp(word, "commit") == 0) {
        audit_writer_step(b->w, b->now, true);
        check_sums(b, s);
    } else if (strcmp(word, "restart") == 0 || strcmp(word, "ring") == 0) {
        uint64_t size = number(&at);

        bench_close(b);
        check_sums(b, s);
        bench_open(b, size > 0 ? size : 1 << 20);
    } else {
        fail_msg("%s?", word);
    }
}

static void check_script(void **state)
{
    const struct script *s = *state;
    char *text = strdup(s->text), *command, *rest = text;
    struct bench b;

    bench_start(&b);
    while ((command = strsep(&rest, ";")) != NULL)
        if (command[strspn(command, " ")] != '\0')
            run(&b, s, command);
    expect(&b, (char[]){"PRAGMA integrity_check => ok"});
    free(text);
    bench_end(&b);
}

int main(void)
{
    ROWS(scripts, check_script);
    return RUN("audit scripts");
}
