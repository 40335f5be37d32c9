/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_answer.c -- what a client is told about ordinary and special names: access, faults, the
 * cache, failures, sizes, the order of sets. Discovery names as far as they are refused or asked
 * for with other types; the rest of them is in test_kms.c.
 */
#include "tests/unit/resolver/world.h"

#define WWW "an www.example. 300 IN A 192.0.2.1\n"
#define SOA(zone, ttl) "ns " zone " " #ttl " IN SOA ns." zone " root." zone " 1 2 3 4 900\n"
#define NO_WWW "NXDOMAIN\n" SOA("example.", 600)
#define NS1 "server: {name: ns1}\n"
#define FILL                                                                                       \
    "pools: {p: [k1.corp.example]}\n"                                                              \
    "rules: {f: {suffixes: [corp.example], pool: p}, s: {suffixes: [b.example], pool: p, "         \
    "break-dnssec: yes}}\n"
#define KMS "_vlmcs._tcp.corp.example"
#define RRSIG " 8 1 600 20300101000000 20200101000000 1 example. AAAA\n"
#define SIGNATURE(ttl) "ns example. " #ttl " IN RRSIG SOA" RRSIG
#define NX60 "NXDOMAIN\n" SOA("example.", 60)
#define LONG_NAME "a-name-of-forty-eight-octets.which-is-too-long.x"
#define LONG "server: {name: " LONG_NAME "}\n"
#define HIDDEN "server: {name: ns1, hide-identity: yes}\n"
#define INVALID "ns invalid. 300 IN SOA invalid. nobody.invalid. 1 3600 1200 604800 300\n"

#define YES "NOERROR\n" WWW
#define A(ttl) "NOERROR\nan www.example. " #ttl " IN A 192.0.2.1\n"
#define TRUSTED                                                                                    \
    "forward: [{zone: ., servers: [\"192.0.2.53\"], trust-ad: yes}]\n"                             \
    "access: [{net: 10.0.0.0/8, action: allow}]\n"

static const struct row {
    const char *name, *ask, *want;
    const char *reply;  /* comes after FORWARD */
    const char *event;  /* NULL: none */
    const char *cached; /* a reply that is in the cache, to the name and type ... */
    unsigned age_s;     /* ... for that long */
    const char *settings, *policy;
} rows[] = {
    /* access, which comes first */
    {"refused", "www.example A from=192.0.2.9", "REFUSED"},
    {"not named in access: refused", "www.example A from=203.0.113.1", "REFUSED"},
    {"dropped", "www.example A from=198.51.100.1", "DROP"},
    {"a cached name never reaches a refused client", "www.example A from=192.0.2.9", "REFUSED",
     .cached = YES, .age_s = 1},
    {"a refused client learns nothing about EDNS versions",
     "www.example A edns version from=192.0.2.9", "REFUSED edns ede=18"},
    {"discovery dropped: recorded", KMS " ANY from=198.51.100.1", "DROP",
     .event = "blocked access - REFUSED", .policy = FILL},
    {"another type at a discovery name, refused: not recorded", KMS " A from=192.0.2.9", "REFUSED",
     .policy = FILL},
    {"loopback is allowed", "www.example A from=127.0.0.1", "FORWARD"},

    /* what is no question that we answer */
    {"port 0", "www.example A port0", "IGNORE"},
    {"IQUERY", "www.example A opcode=1 edns", "NOTIMP"},
    {"EDNS version 1", "www.example A edns version", "BADVERS edns"},
    {"class ANY", "www.example A class=255", "FORMERR"},
    {"AXFR", "example AXFR edns", "REFUSED edns ede=21"},
    {"IXFR", "example IXFR", "REFUSED"},
    {"UPDATE without a discovery name", "corp.example SOA opcode=5", "REFUSED", .policy = FILL},
    {"max-negative-ttl 0 is sent, too", "www.example A", "NXDOMAIN\n" SOA("example.", 0),
     .reply = NO_WWW, .settings = "cache: {max-negative-ttl: 0}\n"},
    {"kms.max-negative-ttl 0 is sent, too", KMS " TXT", "NXDOMAIN\n" SOA("example.", 0),
     .reply = NO_WWW, .settings = "kms: {max-negative-ttl: 0}\n"},
    {"and not beyond discovery names", "www.example A", "NXDOMAIN\n" SOA("example.", 300),
     .reply = NO_WWW, .settings = "kms: {max-negative-ttl: 0}\n"},
    {"max-negative-ttl 0: not kept", "www.example A", "FORWARD", .cached = NO_WWW,
     .settings = "cache: {max-negative-ttl: 0}\n"},
    {"max-ttl 0 is sent, too", "www.example A", A(0), .reply = YES,
     .settings = "cache: {max-ttl: 0}\n"},
    {"without SOA, max-negative-ttl", "www.example A", "FORWARD", .cached = "NXDOMAIN", .age_s = 10,
     .settings = "cache: {max-negative-ttl: 10}\n"},
    {"without SOA: no longer than its chain", "www.example A", "FORWARD",
     .cached = "NXDOMAIN\nan www.example. 6 IN CNAME no.example.\n", .age_s = 6},
    {"REFUSED of the server is not ours", "www.example A edns", "SERVFAIL edns ede=23",
     .reply = "REFUSED"},
    {"no route", "www.example A edns", "SERVFAIL edns ede=22",
     .settings = "forward: [{zone: corp.example, servers: [10.0.0.53]}]\n"
                 "access: [{net: 10.0.0.0/8, action: allow}]\n"},
    {"deadline of an ordinary name", "www.example A", "WAIT", .reply = "deadline"},
    {"stale at a deadline", "www.example A edns", "NXDOMAIN edns ede=19\n" SOA("example.", 30),
     .reply = "deadline", .cached = NO_WWW, .age_s = 400},
    {"AD is not believed", "www.example A ad", YES, .reply = "NOERROR ad\n" WWW},
    {"AD of a trusted route", "www.example A ad", "NOERROR ad\n" WWW, .reply = "NOERROR ad\n" WWW,
     .settings = TRUSTED},
    {"AD only for who knows it", "www.example A", YES, .reply = "NOERROR ad\n" WWW,
     .settings = TRUSTED},
    {"TSIG goes whole, whatever is cached", "www.example A tsig", "FORWARD", .cached = YES},

    /* rfc 7873/9018-1: cookies; they cost nothing but for those that send one */
    {"rfc 7873/9018-1: a new client, from the cache", "www.example A cookie=client",
     "NOERROR edns cookie\n" WWW, .cached = YES},
    {"rfc 7873/9018-1: a new client, after a wait", "www.example A cookie=client",
     "NOERROR edns cookie\n" WWW, .reply = YES},
    {"rfc 7873/9018-1: a good one", "www.example A cookie=good", "NOERROR edns cookie\n" WWW,
     .cached = YES},
    {"rfc 7873/9018-1: one that is not ours is as none", "www.example A cookie=false",
     "NOERROR edns cookie\n" WWW, .cached = YES},
    {"rfc 7873/9018-1: malformed", "www.example A cookie=bad", "FORMERR edns"},
    {"rfc 7873/9018-1: over TCP", "www.example A cookie=client tcp", "NOERROR edns cookie\n" WWW,
     .cached = YES},
    {"secrets of a file make no key for a day: others have them", "www.example ANY cookie=good",
     "NOERROR tc edns cookie?", .settings = TRUSTED "limits: {cookie-secret-file: /etc/secrets}\n"},
    {"a cookie of another address", "www.example ANY cookie=good from=10.0.0.2",
     "NOERROR tc edns cookie?"},
    {"with an error", "example AXFR cookie=client", "REFUSED edns cookie ede=21"},
    {"a refused client has one, too", "www.example A cookie=client from=192.0.2.9",
     "REFUSED edns cookie? ede=18"},

    /* rfc 8482-1 and amplification: ANY by UDP */
    {"rfc 8482-1: ANY by UDP comes again by TCP", "www.example ANY edns", "NOERROR tc edns"},
    {"rfc 8482-1: without EDNS", "www.example ANY", "NOERROR tc"},
    {"rfc 8482-1: RD=0, TSIG, it is all one", "www.example ANY rd0 tsig", "NOERROR tc"},
    {"rfc 8482-1: ANY over TCP is the real one", "www.example ANY tcp", "FORWARD"},
    {"rfc 8482-1: with a good cookie, too", "www.example ANY cookie=good", "FORWARD"},
    {"rfc 8482-1: not with one that is not ours", "www.example ANY cookie=false",
     "NOERROR tc edns cookie"},
    {"rfc 8482-1: any-to-tcp no", "www.example ANY", "FORWARD",
     .settings = "limits: {any-to-tcp: no}\n"},
    {"rfc 8482-1: a refused client learns nothing", "www.example ANY from=192.0.2.9", "REFUSED"},
    {"rfc 8482-1: ANY at a discovery name is decided", KMS " ANY", "FORWARD", .policy = FILL},
    {"an error with a long NSID is no longer than one and a half of the question",
     "example AXFR nsid", "REFUSED edns", .settings = LONG},
    {"over TCP it has it", "example AXFR nsid tcp", "REFUSED edns nsid=" LONG_NAME " ede=21",
     .settings = LONG},

    /* CVE-2024-2169: a loop of two servers */
    {"CVE-2024-2169: from echo", "www.example A from=10.0.0.1:7", "IGNORE"},
    {"CVE-2024-2169: from daytime", "www.example A from=10.0.0.1:13", "IGNORE"},
    {"CVE-2024-2169: from the quote of the day", "www.example A from=10.0.0.1:17", "IGNORE"},
    {"CVE-2024-2169: from chargen", "www.example A from=10.0.0.1:19", "IGNORE"},
    {"CVE-2024-2169: from time", "www.example A from=10.0.0.1:37", "IGNORE"},
    {"CVE-2024-2169: from kpasswd", "www.example A from=10.0.0.1:464", "IGNORE"},
    {"from another server's port", "www.example A from=10.0.0.1:53", "FORWARD"},
    {"from a low port", "www.example A from=10.0.0.1:465", "FORWARD"},

    /* how long a connection may stay */
    {"keepalive, from the cache", "www.example A tcp keepalive", "NOERROR edns keepalive=120\n" WWW,
     .cached = YES, .settings = "limits: {tcp-idle: 12s}\n"},
    {"keepalive with an error", "example AXFR tcp keepalive", "REFUSED edns keepalive=100 ede=21"},
    {"not for who did not send it", "x.invalid A tcp edns", "NXDOMAIN edns\n" INVALID},
    {"never over UDP", "x.invalid A keepalive", "NXDOMAIN edns\n" INVALID},

    /* who answers */
    {"NSID, from the cache", "www.example A nsid", "NOERROR edns nsid=ns1\n" WWW, .cached = YES,
     .settings = NS1},
    {"NSID with an error", "example AXFR nsid", "REFUSED edns nsid=ns1 ede=21", .settings = NS1},
    {"NSID not for a refused client", "x.invalid A nsid from=192.0.2.9", "REFUSED edns ede=18",
     .settings = NS1},
    {"NSID hidden", "x.invalid A nsid", "NXDOMAIN edns\n" INVALID, .settings = HIDDEN},
    {"id.server", "ID.server TXT class=3", "NOERROR\nan ID.server. 0 CH TXT \"ns1\"\n",
     .settings = NS1},
    {"hostname.bind", "hostname.bind TXT class=3 tcp edns",
     "NOERROR edns\nan hostname.bind. 0 CH TXT \"ns1\"\n", .settings = NS1},
    {"id.server, ANY", "id.server ANY class=3", "NOERROR\nan id.server. 0 CH TXT \"ns1\"\n",
     .settings = NS1},
    {"id.server hidden", "id.server TXT class=3 edns", "REFUSED edns ede=21", .settings = HIDDEN},
    {"id.server in class IN is a name like any other", "id.server TXT", "FORWARD", .settings = NS1},
    {"other types in class CH", "id.server A class=3 edns", "REFUSED edns ede=21", .settings = NS1},
    {"other names in class CH", "x.id.server TXT class=3 edns", "REFUSED edns ede=21",
     .settings = NS1},
    {"the version is hidden", "version.bind TXT class=3 edns", "REFUSED edns ede=21",
     .settings = NS1},
    {"version.bind", "version.bind TXT class=3",
     "NOERROR\nan version.bind. 0 CH TXT \"waymark " PACKAGE_VERSION "\"\n",
     .settings = "server: {hide-version: no}\n"},
    {"version.server", "version.server TXT class=3",
     "NOERROR\nan version.server. 0 CH TXT \"waymark " PACKAGE_VERSION "\"\n",
     .settings = "server: {hide-version: no, hide-identity: yes}\n"},

    /* discovery names, other types */
    {"not when there is no rule", "_vlmcs._tcp.a.example A", NX60, .cached = NO_WWW,
     .policy = FILL},
    {"not without a policy", KMS " A", NX60, .cached = NO_WWW},
    {"not when kms.mode is shadow", KMS " A", NX60, .cached = NO_WWW,
     .settings = "kms: {mode: shadow}\n", .policy = FILL},
    {"not for names above", "_tcp.corp.example A", "NXDOMAIN\n" SOA("example.", 300),
     .cached = NO_WWW, .policy = FILL},
    {"not when a CNAME is there", KMS " A",
     "NXDOMAIN\nan " KMS ". 60 IN CNAME x.example.\n" SOA("example.", 60),
     .reply = "NXDOMAIN\nan " KMS ". 60 IN CNAME x.example.\n" SOA("example.", 60), .policy = FILL},
    {"not a signed one", KMS " A do", "NXDOMAIN edns do\n" SOA("example.", 60) SIGNATURE(60),
     .reply = NX60 SIGNATURE(600), .policy = FILL},
    {"a signed one where the rule breaks DNSSEC", "_vlmcs._tcp.b.example A do",
     "NOERROR edns do\n" SOA("example.", 60) SIGNATURE(60), .reply = NX60 SIGNATURE(600),
     .policy = FILL},
    {"what was made NODATA is not authentic", KMS " A ad", "NOERROR\n" SOA("example.", 60),
     .reply = "NXDOMAIN ad\n" SOA("example.", 60), .settings = TRUSTED, .policy = FILL},
    {"SOA: recorded as passed", "_vlmcs._tcp.x.example SOA",
     "NOERROR\nan _vlmcs._tcp.x.example. 60 IN SOA a. b. 1 2 3 4 5\n",
     .reply = "NOERROR\nan _vlmcs._tcp.x.example. 60 IN SOA a. b. 1 2 3 4 5\n",
     .event = "passed no-rule - NOERROR", .policy = FILL},
    {"SOA, nobody answers: recorded", "_vlmcs._tcp.x.example SOA", "SERVFAIL", .reply = "timeout",
     .event = "failed no-rule - SERVFAIL", .policy = FILL},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct world *w = world_new(r->settings, r->policy);
    struct words ask = words_of(r->ask);
    char text[600];
    enum answer a;

    if (r->cached != NULL) {
        snprintf(text, sizeof text, "%s %s", word_at(&ask, 0), word_at(&ask, 1));
        world_cache(w, text, r->cached);
    }
    world_wait(w, r->age_s * 1000);
    a = world_ask(w, r->ask);
    if (r->reply != NULL) {
        assert_int_equal(a, ANSWER_FORWARD);
        a = world_give(w, r->reply);
    }
    world_expect(w, a, r->want, r->event != NULL ? r->event : "none");
    world_free(w);
}

/* An UPDATE with a prerequisite at one name, then what it does at others: deletions (class ANY,
 * no RDATA). */
static void check_update(void **state)
{
    struct words s = words_of("corp.example SOA opcode=5");
    struct world *w = world_new(NULL, FILL);
    struct writer p = writer_make(w->wire, sizeof w->wire);
    struct name name;

    p.len = question_write(&s, w->wire, sizeof w->wire);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(name_parse(&name, i < 3 ? "corp.example" : "_VLMCS._TCP.corp.example"), 0);
        writer_bytes(&p, name.data, name.len);
        writer_u16(&p, TYPE_SRV);
        writer_u16(&p, i == 1 ? CLASS_NONE : CLASS_ANY);
        writer_u32(&p, 0);
        writer_u16(&p, 0);
    }
    w->wire_len = p.len;
    w->wire[7] = 1;
    w->wire[9] = 2;
    world_expect(w, world_read(w, &s), "REFUSED", "update update - REFUSED");
    assert_memory_equal(w->q->event.qname.data, "\6_VLMCS\4_TCP\4corp\7example", name.len);
    assert_int_equal(w->q->event.qtype, TYPE_SRV);
    w->wire[7] = 3; /* all are prerequisites: nothing is to be changed */
    w->wire[9] = 0;
    world_expect(w, world_read(w, &s), "REFUSED", "none");
    world_free(w);
}

static const struct size_row {
    const char *name, *words;
    int records; /* of 16 octets */
    bool tc;
} size_rows[] = {
    /* header 12, question 17; OPT 11 */
    {"30 fit into 512", "", 30, false},
    {"31 do not", "", 31, true},
    {"below 512 counts as 512, with the OPT", "edns=100", 29, false},
    {"EDNS 4096 is no more than 1232", "edns=4096", 75, true},
    {"64 KB by TCP", "tcp", 4000, false},
    {"15 KB by UDP: longer than the buffer of a datagram", "", 900, true},
};

static void check_size(void **state)
{
    static char records[200000];
    const struct size_row *r = *state;
    char question[100];
    struct str s;

    snprintf(question, sizeof question, "www.example A %s", r->words);
    str_init(&s, records, sizeof records);
    str_add(&s, "NOERROR\n");
    for (int i = 0; i < r->records; i++)
        str_addf(&s, "an www.example. 300 IN A 10.0.%d.%d\n", i >> 8, i & 255);
    for (int cached = 0; cached < 2; cached++) {
        struct world *w = world_new(NULL, NULL);
        struct message m; /* no longer than the client can take */
        enum answer a;

        if (cached)
            world_cache(w, question, records);
        a = world_ask(w, question);
        m = world_message(w, cached ? a : world_give(w, records));
        assert_int_equal(a, cached ? ANSWER_SEND : ANSWER_FORWARD);
        assert_int_equal((m.flags & DNS_TC) != 0, r->tc);
        assert_int_equal(m.counts[1], r->tc ? 0 : r->records);
        world_free(w);
    }
}

#define ROTATE "cache: {rotate: yes}\n"
#define FIXED "cache: {rotate: no}\n"
#define ADDRESS(owner, n) "an " owner ". 300 IN A 10.0.0." n "\n"
#define THREE(owner) ADDRESS(owner, "1") ADDRESS(owner, "2") ADDRESS(owner, "3")
#define SRV(owner, n) "an " owner ". 300 IN SRV 0 0 1688 k" n ".example.\n"
#define SRVS(owner) SRV(owner, "1") SRV(owner, "2") SRV(owner, "3")
#define CHAIN(owner) "an " owner ". 300 IN CNAME w.example.\n"
#define SIGNED                                                                                     \
    "an www.example. 300 IN RRSIG A 8 2 300 20300101000000 20200101000000 1 example. AAAA\n"
#define NS "ns example. 300 IN NS ns.example.\nar ns.example. 300 IN A 192.0.2.4\n"
#define POOL                                                                                       \
    "pools: {p: [k1.example, k2.example, k3.example], q: [{target: h.example, addresses: "         \
    "[10.0.0.1, 10.0.0.2, 10.0.0.3]}]}\n"                                                          \
    "rules: {r: {suffixes: [corp.example], pool: p}, s: {suffixes: [b.example], pool: q}}\n"

static const struct order_row {
    const char *name, *settings, *question;
    const char *front, *set, *behind; /* of the answer; the set turns */
    int orders;
    const char *policy, *reply; /* NULL: the answer is the real one */
} order_rows[] = {
    {"a set begins with each of its records", ROTATE, "www.example A", "", THREE("www.example"), NS,
     3},
    {"and keeps its chain in front", ROTATE, "www.example A", CHAIN("www.example"),
     THREE("w.example"), "", 3},
    {"and its signature behind", ROTATE, "www.example A do", "", THREE("www.example"), SIGNED, 3},
    {"in its buffer for long answers, too", ROTATE, "www.example A edns tcp", "",
     THREE("www.example"), "", 3},
    {"not when it is switched off", FIXED, "www.example A", "", THREE("www.example"), "", 1},
    {"not for ANY", ROTATE, "www.example ANY tcp", "", THREE("www.example"), "", 1},
    {"the real KMS hosts", ROTATE, KMS " SRV", "", SRVS(KMS), "", 3, POOL},
    {"behind a chain", ROTATE, KMS " SRV", CHAIN(KMS), SRVS("w.example"), "", 3, POOL},
    {"what a filter leaves of them", ROTATE, KMS " SRV", "", SRVS(KMS), "", 3,
     "approved: [k1.example, k2.example, k3.example]\n"
     "rules: {r: {suffixes: [corp.example], action: filter}}\n",
     "NOERROR\n" SRV(KMS, "1") SRV(KMS, "4") SRV(KMS, "2") SRV(KMS, "5") SRV(KMS, "3")},
    {"the real KMS hosts in their order", FIXED, KMS " SRV", "", SRVS(KMS), "", 1, POOL},
    {"a pool's addresses", FIXED, "h.example A", "", THREE("h.example"), "", 3, POOL, "NXDOMAIN"},
};

static void check_order(void **state)
{
    const struct order_row *r = *state;
    struct world *w = world_new(r->settings, r->policy);
    size_t front = strlen(r->front), three = strlen(r->set);
    char reply[2000], twice[1000], set[1000];
    unsigned seen = 0;

    snprintf(reply, sizeof reply, "NOERROR\n%s%s%s", r->front, r->set, r->behind);
    snprintf(twice, sizeof twice, "%s%s", r->set, r->set);
    world_cache(w, r->question, r->reply != NULL ? r->reply : reply);
    for (int i = 0; i < 60; i++) { /* from the reply, then from the kept decision */
        const char *got = strchr(world_answer(w, world_ask(w, r->question)), '\n') + 1, *from;

        assert_memory_equal(got, r->front, front);
        assert_string_equal(got + front + three, r->behind);
        snprintf(set, sizeof set, "%.*s", (int)three, got + front);
        from = strstr(twice, set);
        assert_non_null(from);
        seen |= 1u << ((size_t)(from - twice) / (three / 3) % 3);
    }
    assert_int_equal(__builtin_popcount(seen), r->orders);
    world_free(w);
}

#define ACCESS "access: [{net: 10.0.0.0/8, action: allow}]\n"
#define PUBLIC ACCESS "forward: [{zone: ., servers: [9.9.9.9]}]\n"
#define PRIVATE ACCESS "forward: [{zone: ., servers: [10.0.0.53, 192.168.0.53]}]\n"
#define MIXED ACCESS "forward: [{zone: ., servers: [10.0.0.53, 9.9.9.9]}]\n"
#define OWN(zone)                                                                                  \
    ACCESS "forward: [{zone: ., servers: [9.9.9.9]}, {zone: " zone ", servers: [9.9.9.9]}]\n"
#define V4(name) "NOERROR\nan " name ". 10800 IN A 127.0.0.1\n"
#define V6(name) "an " name ". 10800 IN AAAA ::1\n"
#define OF(zone) "\nns " zone " 300 IN SOA " zone " nobody.invalid. 1 3600 1200 604800 300\n"
#define TOP(zone)                                                                                  \
    "NOERROR\nan " zone " 10800 IN SOA " zone " nobody.invalid. 1 3600 1200 604800 10800\n"
#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

static const struct special_row {
    const char *name, *settings, *ask, *want;
} special_rows[] = {
    {"localhost A", PUBLIC, "localhost A", V4("localhost")},
    {"localhost ANY", PUBLIC, "localhost ANY tcp", V4("localhost") V6("localhost")},
    {"below localhost", PUBLIC, "a.B.LocalHost A", V4("a.B.LocalHost")},
    {"localhost in another class", PUBLIC, "localhost A class=4", "FORWARD"},
    {"not localhost: longer label", PUBLIC, "xlocalhost A", "FORWARD"},
    {"not localhost: a label with its octets", PUBLIC, "a\\009localhost A", "FORWARD"},
    {"a route of localhost changes nothing", OWN("localhost"), "localhost A", V4("localhost")},

    {"invalid", PUBLIC, "invalid A", "NOERROR" OF("invalid.")},
    {"below invalid", PUBLIC, "www.Invalid A", "NXDOMAIN" OF("Invalid.")},
    {"not invalid", PUBLIC, "notinvalid A", "FORWARD"},
    {"onion", PRIVATE, "abc.onion AAAA", "NXDOMAIN" OF("onion.")},
    {"onion has a route of its own", OWN("onion"), "abc.onion A", "FORWARD"},
    {"resolver.arpa", PUBLIC, "resolver.arpa A", "NOERROR" OF("resolver.arpa.")},
    {"ordinary: the root", PUBLIC, ". NS", "FORWARD"},

    {"10/8, public servers", PUBLIC, "4.3.2.10.in-addr.arpa PTR",
     "NXDOMAIN" OF("10.in-addr.arpa.")},
    {"10/8, its top", PUBLIC, "10.in-addr.arpa SOA", TOP("10.in-addr.arpa.")},
    {"10/8, its servers", PUBLIC, "10.in-addr.arpa NS",
     "NOERROR\nan 10.in-addr.arpa. 10800 IN NS 10.in-addr.arpa.\n"},
    {"10/8, private servers", PRIVATE, "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"10/8, one server is public", MIXED, "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"10/8, a route above it", OWN("in-addr.arpa"), "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"192.168/16", PUBLIC, "1.0.168.192.IN-ADDR.ARPA PTR", "NXDOMAIN" OF("168.192.IN-ADDR.ARPA.")},
    {"172.15", PUBLIC, "1.0.15.172.in-addr.arpa PTR", "FORWARD"},
    {"172.16", PUBLIC, "1.0.16.172.in-addr.arpa PTR", "NXDOMAIN" OF("16.172.in-addr.arpa.")},
    {"172.31", PUBLIC, "1.0.31.172.in-addr.arpa PTR", "NXDOMAIN" OF("31.172.in-addr.arpa.")},
    {"172.32", PUBLIC, "1.0.32.172.in-addr.arpa PTR", "FORWARD"},
    {"172, whatever 4294967312 would be", PUBLIC, "1.0.4294967312.172.in-addr.arpa PTR", "FORWARD"},
    {"172.016 is no address", PUBLIC, "1.0.016.172.in-addr.arpa PTR", "FORWARD"},
    {"172/8 itself", PUBLIC, "172.in-addr.arpa SOA", "FORWARD"},
    {"100.64", PUBLIC, "1.0.64.100.in-addr.arpa PTR", "NXDOMAIN" OF("64.100.in-addr.arpa.")},
    {"100.064 is no address", PUBLIC, "1.0.064.100.in-addr.arpa PTR", "FORWARD"},
    {"127.0.0.1", PRIVATE, "1.0.0.127.in-addr.arpa PTR",
     "NOERROR\nan 1.0.0.127.in-addr.arpa. 10800 IN PTR localhost.\n"},
    {"127/8, whatever the servers", PRIVATE, "2.0.0.127.in-addr.arpa PTR",
     "NXDOMAIN" OF("127.in-addr.arpa.")},
    {"below 127.0.0.1", PRIVATE, "9.1.0.0.127.in-addr.arpa PTR",
     "NXDOMAIN" OF("1.0.0.127.in-addr.arpa.")},
    {"255.255.255.255", PRIVATE, "255.255.255.255.in-addr.arpa PTR",
     "NOERROR" OF("255.255.255.255.in-addr.arpa.")},
    {"::", PRIVATE, "0." ZEROS "ip6.arpa PTR", "NOERROR" OF("0." ZEROS "ip6.arpa.")},
    {"::1", PRIVATE, "1." ZEROS "ip6.arpa PTR",
     "NOERROR\nan 1." ZEROS "ip6.arpa. 10800 IN PTR localhost.\n"},
    {"::1, what it has not", PRIVATE, "1." ZEROS "ip6.arpa A",
     "NOERROR" OF("1." ZEROS "ip6.arpa.")},
    {"fd00::/8", PUBLIC, "1.0.d.f.ip6.arpa PTR", "NXDOMAIN" OF("d.f.ip6.arpa.")},
    {"fc00::/8 is not given out", PUBLIC, "1.0.c.f.ip6.arpa PTR", "FORWARD"},
    {"fe80::/10, last", PUBLIC, "1.b.e.f.ip6.arpa PTR", "NXDOMAIN" OF("b.e.f.ip6.arpa.")},
};

static void check_special(void **state)
{
    const struct special_row *r = *state;
    struct world *w = world_new(r->settings, NULL);
    enum answer a = world_ask(w, r->ask);

    world_expect(w, a, r->want, "none");
    assert_int_equal(w->stats.special, a == ANSWER_SEND);
    world_free(w);
}

/* What `status` and --check list: not a zone that has a route. */
static void check_zones(void **state)
{
    static const char *const settings[] = {PUBLIC, OWN("172.in-addr.arpa"), PRIVATE};
    static const int zones[] = {14, 13, 0};

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        struct world *w = world_new(settings[i], NULL);
        char all[1000] = "", zone[SPECIAL_TEXT];
        int n = 0;

        for (size_t at = 0; special_next_reverse(&w->view, &at, zone); n++)
            strcat(strcat(all, zone), " ");
        assert_int_equal(n, zones[i]);
        assert_int_equal(strstr(all, "d.f.ip6.arpa ") != NULL, n > 0);
        assert_int_equal(strstr(all, " 16-31.172.in-addr.arpa ") != NULL, n == 14);
        world_free(w);
    }
}

/* What a loop is found by cannot be known before: drawn anew each time, and the answer is of the
 * name, of this process. */
static void loop_names_are_no_two_alike(void **state)
{
    struct world *w = world_new(NULL, NULL);
    struct loops *l = loops_new(w->cache);
    const struct addr servers[2] = {{.port = 1}, {.port = 2}};
    struct name asked, names[2];

    assert_int_equal(name_parse(&asked, "www.corp.example"), 0);
    for (int i = 0; i < 2; i++)
        assert_true(loop_ask(l, &w->random, &servers[i], &asked, 1000000, &names[i]));
    assert_memory_not_equal(names[0].data + 1, names[1].data + 1, LOOP_DIGITS);
    assert_memory_not_equal(names[0].data + 1 + LOOP_DIGITS, names[1].data + 1 + LOOP_DIGITS,
                            LOOP_DIGITS);
    free(l);
    world_free(w);
}

/* What is known of loops, step by step: at that time the server is suspected for the name ('a': want:
 * is it asked?), or its last question comes back as ours ('y') or not ('n'), or what is known of it is
 * looked at ('l': want: enum loop_state). */
static const struct loop_step {
    unsigned ms;
    char verb, server;
    const char *name;
    unsigned want;
} loop_steps[] = {
    {0, 'l', 1, "www.a.example", 0},
    {0, 'a', 1, "www.a.example", true},
    {0, 'l', 1, "ftp.a.example", LOOP_OPEN},
    {0, 'l', 1, "www.b.example", 0},
    {0, 'l', 2, "www.a.example", 0},
    {249, 'l', 1, "www.a.example", LOOP_OPEN},
    {250, 'l', 1, "www.a.example", 0},                                /* no reply in time */
    {9999, 'a', 1, "www.b.example", false},                           /* not so soon */
    {9999, 'a', 2, "www.b.example", true},                            /* another server */
    {9999, 'n', 2, "www.b.example", false},                           /* that asks us nothing */
    {9999, 'l', 2, "www.b.example", 0},                               /* whose reply has come */
    {10000, 'a', 1, "www.b.example", true},                           /* now it may be asked */
    {10001, 'y', 1, "www.b.example", true},                           /* and it does */
    {10001, 'l', 1, "b.example", LOOP_KNOWN},                         /* for all of the domain */
    {10001, 'l', 1, "x.y.b.example", LOOP_KNOWN},                     /* and below it */
    {10001, 'l', 1, "example", LOOP_ELSEWHERE},                       /* not above it */
    {10001, 'l', 1, "www.a.example", LOOP_ELSEWHERE},                 /* nor beside it */
    {10001, 'l', 1, NULL, LOOP_KNOWN},                                /* for some domain */
    {10001, 'l', 2, "www.b.example", 0},                              /* the other does not */
    {10001, 'l', 1, "0123456789abcdef0123456789abcdef.b.example", 0}, /* somebody's own question */
    {10001, 'a', 1, "0123456789abcdef0123456789abcdef.c.example", false},
    {10001, 'a', 1, "www.c.example", true}, /* it is asked for each new domain at once */
    {10001, 'l', 1, "www.c.example", LOOP_OPEN | LOOP_ELSEWHERE},
    {10002, 'n', 1, "www.c.example", false},
    {10002, 'l', 1, "www.c.example", LOOP_ELSEWHERE},
    {20000, 'a', 1, "www.c.example", false}, /* which was told lately */
    {20001, 'a', 1, "www.c.example", true},
    {20001, 'y', 1, "www.c.example", true},
    {20001, 'a', 1, "ftp.b.example", true},  /* does it still? */
    {21500, 'a', 1, "x.y.b.example", false}, /* not so soon */
    {21501, 'a', 1, "x.y.b.example", true},  /* the domain that is known is asked for */
    {21502, 'y', 1, "x.y.b.example", true},  /* so it is known for longer */
    {50000, 'l', 1, "c.example", LOOP_KNOWN | LOOP_ELSEWHERE},
    {50001, 'l', 1, "c.example", LOOP_ELSEWHERE}, /* no longer */
    {51501, 'l', 1, "b.example", LOOP_KNOWN},
    {51502, 'l', 1, "b.example", 0},
    {51502, 'a', 1, "d.e.example", true},
    {51502, 'y', 1, "d.e.example", true},
    {51503, 'n', 1, "d.e.example", false}, /* it is asked again, and does no longer */
    {51503, 'l', 1, "d.e.example", 0},
};

static void what_is_known_of_loops(void **state)
{
    enum { BEGIN_MS = 1000000 };
    struct world *w = world_new(NULL, NULL);
    struct loops *l = loops_new(w->cache);
    struct query q = {.message = {.qtype = TYPE_TXT, .qclass = CLASS_IN}, .key.type = TYPE_TXT};
    struct name name, sent[3] = {{.len = 0}}, domain;
    uint8_t image[512];

    for (const struct loop_step *s = loop_steps; s < loop_steps + ARRAY_LEN(loop_steps); s++) {
        const struct addr server = {.port = (uint16_t)s->server};
        const uint64_t now_ms = BEGIN_MS + s->ms;
        struct writer out = writer_make(image, sizeof image);
        unsigned got;

        assert_int_equal(name_parse(&name, s->name ? s->name : "."), 0);
        if (s->verb == 'a') {
            got = loop_ask(l, &w->random, &server, &name, now_ms, &sent[(int)s->server]);
        } else if (s->verb == 'l') {
            got = loop_look(l, &server, s->name ? &name : NULL, now_ms, &domain);
        } else {
            q.message.qname = sent[(int)s->server];
            if (s->verb == 'y')
                assert_int_equal(special_answer(&w->view, &q, 0, &out), RCODE_NOERROR);
            else
                image_begin(&out, &q.message, RCODE_NXDOMAIN);
            got = loop_heard(l, &server, &q.message.qname, image, out.len, now_ms);
        }
        if (got != s->want)
            fail_msg("step %zu, %u ms: %c %s: %u", (size_t)(s - loop_steps), s->ms, s->verb,
                     s->name ? s->name : "", got);
    }
    free(l);
    world_free(w);
}

/* More servers than there are places: the one that was suspected longest ago is forgotten. */
static void loops_of_very_many_servers(void **state)
{
    struct world *w = world_new(NULL, NULL);
    struct loops *l = loops_new(w->cache);
    struct name name, out;

    assert_int_equal(name_parse(&name, "www.corp.example"), 0);
    for (uint16_t i = 1; i <= 65; i++)
        assert_true(loop_ask(l, &w->random, &(struct addr){.port = i}, &name, 1000000u + i, &out));
    for (uint16_t i = 1; i <= 65; i++)
        assert_int_equal(loop_look(l, &(struct addr){.port = i}, &name, 1000066, NULL),
                         i == 1 ? 0 : LOOP_OPEN);
    free(l);
    world_free(w);
}

/* A reply to www.example with private addresses, and what stands behind them. */
static const struct filter_row {
    const char *name;
    size_t cut;      /* octets that are missing at its end */
    unsigned owners; /* names of 200 octets, each with an address; then ... */
    unsigned more;   /* ... so many addresses of the last */
    bool is_public;  /* the first address */
    int want;
} filter_rows[] = {
    {"left out", 0, 0, 0, false, 1},
    {"nothing to leave out", 0, 0, 0, true, 0},
    {"cut short: of no use", 1, 0, 0, false, -EBADMSG},
    {"cut short, behind a public address: of no use", 1, 0, 0, true, -EBADMSG},
    {"no header: of no use", 10000, 0, 0, true, -EBADMSG},
    {"what is left has room", 0, 70, 100, false, 1},
    {"what is left has no room: of no use", 0, 70, 2500, false, -EMSGSIZE},
};

static void check_filter(void **state)
{
    const struct filter_row *r = *state;
    static uint8_t image[DNS_MAX_MESSAGE];
    struct world *w = world_new(NULL, NULL);
    struct writer out = writer_make(image, sizeof image);
    struct reply_facts f = {.kind = REPLY_POSITIVE};
    const uint8_t ip[] = {r->is_public ? 9 : 10, 0, 0, 1}, other[] = {9, 9, 9, 9};
    size_t owner = DNS_HEADER, len;
    struct name www;
    char text[250];

    assert_int_equal(name_parse(&www, "www.example"), 0);
    message_begin(&out, 1, DNS_QR, &www, TYPE_A, CLASS_IN);
    for (unsigned i = 0; i <= r->owners + r->more; i++) {
        struct name name;

        snprintf(text, sizeof text, "%060u.%060u.%060u.x", i, i, i);
        assert_int_equal(name_parse(&name, text), 0);
        if (i > 0 && i <= r->owners)
            writer_bytes(&out, name.data, name.len);
        else
            writer_u16(&out, 0xc000 | (uint16_t)owner);
        owner = i > 0 && i <= r->owners ? out.len - name.len : owner;
        writer_u16(&out, TYPE_A);
        writer_u16(&out, CLASS_IN);
        writer_u32(&out, 60);
        writer_u16(&out, 4);
        writer_bytes(&out, i == 0 ? ip : other, 4);
        message_count(&out, SECTION_ANSWER);
    }
    assert_false(out.full);
    len = out.len > r->cut ? out.len - r->cut : DNS_HEADER - 1;
    assert_int_equal(real_filter(&w->view, image, &len, &f), r->want);
    if (r->want == 1)
        assert_int_equal(bytes_u16(image + 6), r->owners + r->more);
    assert_int_equal(f.kind, r->want == 1 && r->owners == 0 ? REPLY_NODATA : REPLY_POSITIVE);
    world_free(w);
}

TESTS("answer", ROWS(rows, check_row), ROWS(size_rows, check_size), ROWS(order_rows, check_order),
      ROWS(special_rows, check_special), ROWS(filter_rows, check_filter), TEST(check_zones),
      TEST(check_update), TEST(loop_names_are_no_two_alike), TEST(what_is_known_of_loops),
      TEST(loops_of_very_many_servers))
