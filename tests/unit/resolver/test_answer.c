/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_answer.c -- what a client is told about ordinary names: access, faults,
 * the cache, failures, sizes. Discovery names as far as they are refused or
 * asked for with other types; the rest of them is in test_kms.c.
 */
#include "tests/unit/resolver/world.h"

#include "base/compiler.h"
#include "tests/unit/rows.h"

#define WWW "an www.example. 300 IN A 192.0.2.1\n"
#define SOA(zone, ttl) "ns " zone " " #ttl " IN SOA ns." zone " root." zone " 1 2 3 4 900\n"
#define NO_WWW "NXDOMAIN\n" SOA("example.", 600)
#define NS1 "server: {name: ns1}\n"
#define FILL                                                                                       \
    "pools: {p: [k1.corp.example]}\n"                                                              \
    "rules: {f: {suffixes: [corp.example], pool: p}, s: {suffixes: [b.example], pool: p, "         \
    "break-dnssec: yes}}\n"
#define KMS "_vlmcs._tcp.corp.example"
#define SIGNATURE                                                                                  \
    "ns example. 600 IN RRSIG SOA 8 1 600 20300101000000 20200101000000 1 example. AAAA\n"

#define INVALID "ns invalid. 300 IN SOA invalid. nobody.invalid. 1 3600 1200 604800 300\n"

static const struct row {
    const char *name, *settings, *policy;
    const char *cached_question, *cached; /* a reply that is in the cache ... */
    unsigned age_s;                       /* ... for that long */
    const char *ask;
    const char *reply;        /* comes after FORWARD */
    const char *want, *event; /* NULL: none */
} rows[] = {
    /* access, which comes first */
    {"refused", NULL, NULL, NULL, NULL, 0, "www.example A from=192.0.2.9", NULL, "REFUSED", NULL},
    {"refused, with EDNS", NULL, NULL, NULL, NULL, 0, "www.example A edns from=192.0.2.9", NULL,
     "REFUSED edns ede=18", NULL},
    {"not named in access: refused", NULL, NULL, NULL, NULL, 0, "www.example A from=203.0.113.1",
     NULL, "REFUSED", NULL},
    {"dropped", NULL, NULL, NULL, NULL, 0, "www.example A from=198.51.100.1", NULL, "DROP", NULL},
    {"a cached name never reaches a refused client", NULL, NULL, "www.example A", "NOERROR\n" WWW,
     1, "www.example A from=192.0.2.9", NULL, "REFUSED", NULL},
    {"a cached name never reaches a dropped client", NULL, NULL, "www.example A", "NOERROR\n" WWW,
     1, "www.example A from=198.51.100.9", NULL, "DROP", NULL},
    {"special names neither", NULL, NULL, NULL, NULL, 0, "localhost A from=192.0.2.9", NULL,
     "REFUSED", NULL},
    {"a refused client learns nothing about opcodes", NULL, NULL, NULL, NULL, 0,
     "www.example A opcode=4 from=192.0.2.9", NULL, "REFUSED", NULL},
    {"nor about EDNS versions", NULL, NULL, NULL, NULL, 0,
     "www.example A edns version from=192.0.2.9", NULL, "REFUSED edns ede=18", NULL},
    {"discovery refused: recorded", NULL, FILL, NULL, NULL, 0,
     "_VLMCS._tcp.corp.example SRV from=192.0.2.9", NULL, "REFUSED", "blocked access - REFUSED"},
    {"discovery dropped: recorded", NULL, FILL, NULL, NULL, 0, KMS " ANY from=198.51.100.1", NULL,
     "DROP", "blocked access - REFUSED"},
    {"another type at a discovery name, refused: not recorded", NULL, FILL, NULL, NULL, 0,
     KMS " A from=192.0.2.9", NULL, "REFUSED", NULL},
    {"loopback is allowed", NULL, NULL, NULL, NULL, 0, "www.example A from=127.0.0.1", NULL,
     "FORWARD", NULL},
    {"IPv6", NULL, NULL, NULL, NULL, 0, "www.example A from=[2001:db8::1]:99", NULL, "FORWARD",
     NULL},

    /* what is no question that we answer */
    {"port 0", NULL, NULL, NULL, NULL, 0, "www.example A port0", NULL, "DROP", NULL},
    {"NOTIFY", NULL, NULL, NULL, NULL, 0, "www.example SOA opcode=4", NULL, "NOTIMP", NULL},
    {"IQUERY", NULL, NULL, NULL, NULL, 0, "www.example A opcode=1 edns", NULL, "NOTIMP", NULL},
    {"EDNS version 1", NULL, NULL, NULL, NULL, 0, "www.example A edns version", NULL,
     "BADVERS edns", NULL},
    {"class ANY", NULL, NULL, NULL, NULL, 0, "www.example A class=255", NULL, "FORMERR", NULL},
    {"version.bind", NULL, NULL, NULL, NULL, 0, "version.bind TXT class=3", NULL, "REFUSED", NULL},
    {"AXFR", NULL, NULL, NULL, NULL, 0, "example AXFR edns", NULL, "REFUSED edns ede=21", NULL},
    {"IXFR", NULL, NULL, NULL, NULL, 0, "example IXFR", NULL, "REFUSED", NULL},
    {"UPDATE without a discovery name", NULL, FILL, NULL, NULL, 0, "corp.example SOA opcode=5",
     NULL, "REFUSED", NULL},

    /* the cache */
    {"not in the cache", NULL, NULL, NULL, NULL, 0, "www.example A", NULL, "FORWARD", NULL},
    {"miss, then the reply", NULL, NULL, NULL, NULL, 0, "www.example A", "NOERROR\n" WWW,
     "NOERROR\n" WWW, NULL},
    {"hit", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0, "www.example A", NULL, "NOERROR\n" WWW,
     NULL},
    {"the client's case comes back", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0,
     "wWw.eXAmple A", NULL, "NOERROR\nan wWw.eXAmple. 300 IN A 192.0.2.1\n", NULL},
    {"TTL is what is left", NULL, NULL, "www.example A", "NOERROR\n" WWW, 100, "www.example A",
     NULL, "NOERROR\nan www.example. 200 IN A 192.0.2.1\n", NULL},
    {"over", NULL, NULL, "www.example A", "NOERROR\n" WWW, 300, "www.example A", NULL, "FORWARD",
     NULL},
    {"TTL 0 is not kept", NULL, NULL, "www.example A",
     "NOERROR\nan www.example. 0 IN A 192.0.2.1\n", 0, "www.example A", NULL, "FORWARD", NULL},
    {"min-ttl, from the cache", "cache: {min-ttl: 60}\n", NULL, "www.example A",
     "NOERROR\nan www.example. 1 IN A 192.0.2.1\n", 30, "www.example A", NULL,
     "NOERROR\nan www.example. 30 IN A 192.0.2.1\n", NULL},
    {"max-ttl, from the cache", "cache: {max-ttl: 100}\n", NULL, "www.example A", "NOERROR\n" WWW,
     30, "www.example A", NULL, "NOERROR\nan www.example. 70 IN A 192.0.2.1\n", NULL},
    {"max-ttl, at once", "cache: {max-ttl: 100}\n", NULL, NULL, NULL, 0, "www.example A",
     "NOERROR\n" WWW, "NOERROR\nan www.example. 100 IN A 192.0.2.1\n", NULL},
    {"another type", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0, "www.example AAAA", NULL,
     "FORWARD", NULL},
    {"DO is kept apart", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0, "www.example A do", NULL,
     "FORWARD", NULL},
    {"CD is kept apart", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0, "www.example A cd", NULL,
     "FORWARD", NULL},
    {"CD comes back", NULL, NULL, "www.example A cd", "NOERROR\n" WWW, 0, "www.example A cd", NULL,
     "NOERROR cd\n" WWW, NULL},
    {"OPT is made anew", NULL, NULL, "www.example A edns=4096", "NOERROR\n" WWW, 0,
     "www.example A do edns=700", NULL, "FORWARD", NULL},
    {"OPT for a client with EDNS", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0,
     "www.example A edns=700", NULL, "NOERROR edns\n" WWW, NULL},
    {"class CH is never cached as IN", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0,
     "www.example A class=4", NULL, "FORWARD", NULL},

    /* negative */
    {"NXDOMAIN, at once", NULL, NULL, NULL, NULL, 0, "www.example A", NO_WWW,
     "NXDOMAIN\n" SOA("example.", 300), NULL},
    {"NXDOMAIN, cached, max-negative-ttl", NULL, NULL, "www.example A", NO_WWW, 100,
     "www.example A", NULL, "NXDOMAIN\n" SOA("example.", 200), NULL},
    {"the SOA's TTL ends with the entry", NULL, NULL, "www.example A",
     "NXDOMAIN\nns example. 3600 IN SOA a. b. 1 2 3 4 60\n", 59, "www.example A", NULL,
     "NXDOMAIN\nns example. 1 IN SOA a. b. 1 2 3 4 60\n", NULL},
    {"NXDOMAIN, over", NULL, NULL, "www.example A", NO_WWW, 301, "www.example A", NULL, "FORWARD",
     NULL},
    {"NODATA, cached", NULL, NULL, "www.example A", "NOERROR\n" SOA("example.", 50), 10,
     "www.example A", NULL, "NOERROR\n" SOA("example.", 40), NULL},
    {"max-negative-ttl 0 is sent, too", "cache: {max-negative-ttl: 0}\n", NULL, NULL, NULL, 0,
     "www.example A", NO_WWW, "NXDOMAIN\n" SOA("example.", 0), NULL},
    {"kms.max-negative-ttl 0 is sent, too", "kms: {max-negative-ttl: 0}\n", NULL, NULL, NULL, 0,
     KMS " TXT", NO_WWW, "NXDOMAIN\n" SOA("example.", 0), NULL},
    {"and not beyond discovery names", "kms: {max-negative-ttl: 0}\n", NULL, NULL, NULL, 0,
     "www.example A", NO_WWW, "NXDOMAIN\n" SOA("example.", 300), NULL},
    {"max-negative-ttl 0: not kept", "cache: {max-negative-ttl: 0}\n", NULL, "www.example A",
     NO_WWW, 0, "www.example A", NULL, "FORWARD", NULL},
    {"max-ttl 0 is sent, too", "cache: {max-ttl: 0}\n", NULL, NULL, NULL, 0, "www.example A",
     "NOERROR\n" WWW, "NOERROR\nan www.example. 0 IN A 192.0.2.1\n", NULL},
    {"without SOA, max-negative-ttl", "cache: {max-negative-ttl: 10}\n", NULL, "www.example A",
     "NXDOMAIN", 10, "www.example A", NULL, "FORWARD", NULL},
    {"without SOA: 30 s", NULL, NULL, "www.example A", "NXDOMAIN", 29, "www.example A", NULL,
     "NXDOMAIN", NULL},
    {"without SOA: no longer", NULL, NULL, "www.example A", "NXDOMAIN", 30, "www.example A", NULL,
     "FORWARD", NULL},
    {"without SOA: no longer than its chain", NULL, NULL, "www.example A",
     "NXDOMAIN\nan www.example. 6 IN CNAME no.example.\n", 6, "www.example A", NULL, "FORWARD",
     NULL},

    /* failures */
    {"timeout", NULL, NULL, NULL, NULL, 0, "www.example A edns", "timeout", "SERVFAIL edns ede=22",
     NULL},
    {"SERVFAIL of the server", NULL, NULL, NULL, NULL, 0, "www.example A edns", "SERVFAIL",
     "SERVFAIL edns ede=23", NULL},
    {"REFUSED of the server is not ours", NULL, NULL, NULL, NULL, 0, "www.example A edns",
     "REFUSED", "SERVFAIL edns ede=23", NULL},
    {"all servers failed", NULL, NULL, NULL, NULL, 0, "www.example A edns", "fail=SERVFAIL",
     "SERVFAIL edns ede=23", NULL},
    {"a failure is kept", NULL, NULL, "www.example A", "timeout", 4, "www.example A edns", NULL,
     "SERVFAIL edns ede=13", NULL},
    {"but not long", NULL, NULL, "www.example A", "timeout", 5, "www.example A", NULL, "FORWARD",
     NULL},
    {"no route",
     "forward: [{zone: corp.example, servers: [10.0.0.53]}]\naccess: [{net: 10.0.0.0/8, action: "
     "allow}]\n",
     NULL, NULL, NULL, 0, "www.example A edns", NULL, "SERVFAIL edns ede=22", NULL},
    {"deadline of an ordinary name", NULL, NULL, NULL, NULL, 0, "www.example A", "deadline", "WAIT",
     NULL},
    {"stale after a failure", NULL, NULL, "www.example A", "NOERROR\n" WWW, 400,
     "www.example A edns", "timeout", "NOERROR edns ede=3\nan www.example. 30 IN A 192.0.2.1\n",
     NULL},
    {"stale at a deadline", NULL, NULL, "www.example A", NO_WWW, 400, "www.example A edns",
     "deadline", "NXDOMAIN edns ede=19\n" SOA("example.", 30), NULL},
    {"too stale", "cache: {serve-stale: 10}\n", NULL, "www.example A", "NOERROR\n" WWW, 311,
     "www.example A edns", "timeout", "SERVFAIL edns ede=22", NULL},
    {"serve-stale off", "cache: {serve-stale: 0}\n", NULL, "www.example A", "NOERROR\n" WWW, 301,
     "www.example A", "timeout", "SERVFAIL", NULL},
    {"a better reply than the stale one", NULL, NULL, "www.example A", "NOERROR\n" WWW, 400,
     "www.example A", NO_WWW, "NXDOMAIN\n" SOA("example.", 300), NULL},

    /* RD=0, AD, TSIG */
    {"RD=0, not known", NULL, NULL, NULL, NULL, 0, "www.example A rd0 edns", NULL,
     "REFUSED edns ede=20", NULL},
    {"RD=0, cached", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0, "www.example A rd0", NULL,
     "NOERROR\n" WWW, NULL},
    {"AD is not believed", NULL, NULL, NULL, NULL, 0, "www.example A ad", "NOERROR ad\n" WWW,
     "NOERROR\n" WWW, NULL},
    {"AD of a trusted route",
     "forward: [{zone: ., servers: [\"192.0.2.53\"], trust-ad: yes}]\naccess: [{net: 10.0.0.0/8, "
     "action: allow}]\n",
     NULL, NULL, NULL, 0, "www.example A ad", "NOERROR ad\n" WWW, "NOERROR ad\n" WWW, NULL},
    {"AD from the cache",
     "forward: [{zone: ., servers: [\"192.0.2.53\"], trust-ad: yes}]\naccess: [{net: 10.0.0.0/8, "
     "action: allow}]\n",
     NULL, "www.example A do", "NOERROR ad\n" WWW, 0, "www.example A do", NULL,
     "NOERROR ad edns do\n" WWW, NULL},
    {"AD only for who knows it",
     "forward: [{zone: ., servers: [\"192.0.2.53\"], trust-ad: yes}]\naccess: [{net: 10.0.0.0/8, "
     "action: allow}]\n",
     NULL, NULL, NULL, 0, "www.example A", "NOERROR ad\n" WWW, "NOERROR\n" WWW, NULL},
    {"TKEY goes whole, whatever is cached", NULL, NULL, NULL, NULL, 0, "www.example TKEY", NULL,
     "FORWARD", NULL},
    {"TSIG goes whole, whatever is cached", NULL, NULL, "www.example A", "NOERROR\n" WWW, 0,
     "www.example A tsig", NULL, "FORWARD", NULL},
    {"TSIG at a discovery name is not decided", NULL, FILL, KMS " SRV", "NXDOMAIN", 0,
     KMS " SRV tsig", NULL, "FORWARD", NULL},

    /* how long a connection may stay */
    {"keepalive, from the cache", "limits: {tcp-idle: 12s}\n", NULL, "www.example A",
     "NOERROR\n" WWW, 0, "www.example A tcp keepalive", NULL, "NOERROR edns keepalive=120\n" WWW,
     NULL},
    {"keepalive, at once, with an EDE", NULL, NULL, NULL, NULL, 0, "www.example A tcp keepalive",
     "timeout", "SERVFAIL edns keepalive=100 ede=22", NULL},
    {"keepalive of a discovery question", NULL, FILL, NULL, NULL, 0, KMS " SRV tcp keepalive",
     "SERVFAIL", "SERVFAIL edns keepalive=100 ede=23", "failed no-rule servfail SERVFAIL"},
    {"keepalive of a discovery question, refused", NULL, NULL, NULL, NULL, 0,
     KMS " SRV tcp keepalive rd0", NULL, "REFUSED edns keepalive=100 ede=20",
     "failed rd0 - REFUSED"},
    {"keepalive of a special name", NULL, NULL, NULL, NULL, 0, "x.invalid A tcp keepalive", NULL,
     "NXDOMAIN edns keepalive=100\n" INVALID, NULL},
    {"keepalive with an error", NULL, NULL, NULL, NULL, 0, "example AXFR tcp keepalive", NULL,
     "REFUSED edns keepalive=100 ede=21", NULL},
    {"not for who did not send it", NULL, NULL, NULL, NULL, 0, "x.invalid A tcp edns", NULL,
     "NXDOMAIN edns\n" INVALID, NULL},
    {"never over UDP", NULL, NULL, NULL, NULL, 0, "x.invalid A keepalive", NULL,
     "NXDOMAIN edns\n" INVALID, NULL},

    /* who answers */
    {"NSID, from the cache", NS1, NULL, "www.example A", "NOERROR\n" WWW, 0, "www.example A nsid",
     NULL, "NOERROR edns nsid=ns1\n" WWW, NULL},
    {"NSID, at once", NS1, NULL, NULL, NULL, 0, "www.example A nsid", "timeout",
     "SERVFAIL edns nsid=ns1 ede=22", NULL},
    {"NSID with an error", NS1, NULL, NULL, NULL, 0, "example AXFR nsid", NULL,
     "REFUSED edns nsid=ns1 ede=21", NULL},
    {"NSID of a discovery question", NS1, FILL, KMS " SRV", "SERVFAIL", 0, KMS " SRV nsid", NULL,
     "SERVFAIL edns nsid=ns1 ede=23", "failed no-rule servfail SERVFAIL cached"},
    {"NSID not for who did not ask", NS1, NULL, NULL, NULL, 0, "x.invalid A edns", NULL,
     "NXDOMAIN edns\n" INVALID, NULL},
    {"NSID not for a refused client", NS1, NULL, NULL, NULL, 0, "x.invalid A nsid from=192.0.2.9",
     NULL, "REFUSED edns ede=18", NULL},
    {"NSID hidden", "server: {name: ns1, hide-identity: yes}\n", NULL, NULL, NULL, 0,
     "x.invalid A nsid", NULL, "NXDOMAIN edns\n" INVALID, NULL},
    {"id.server", NS1, NULL, NULL, NULL, 0, "ID.server TXT class=3", NULL,
     "NOERROR\nan ID.server. 0 CH TXT \"ns1\"\n", NULL},
    {"hostname.bind", NS1, NULL, NULL, NULL, 0, "hostname.bind TXT class=3 tcp edns", NULL,
     "NOERROR edns\nan hostname.bind. 0 CH TXT \"ns1\"\n", NULL},
    {"id.server, ANY", NS1, NULL, NULL, NULL, 0, "id.server ANY class=3", NULL,
     "NOERROR\nan id.server. 0 CH TXT \"ns1\"\n", NULL},
    {"id.server hidden", "server: {name: ns1, hide-identity: yes}\n", NULL, NULL, NULL, 0,
     "id.server TXT class=3 edns", NULL, "REFUSED edns ede=21", NULL},
    {"id.server for a refused client", NS1, NULL, NULL, NULL, 0,
     "id.server TXT class=3 from=192.0.2.9", NULL, "REFUSED", NULL},
    {"id.server in class IN is a name like any other", NS1, NULL, NULL, NULL, 0, "id.server TXT",
     NULL, "FORWARD", NULL},
    {"other types in class CH", NS1, NULL, NULL, NULL, 0, "id.server A class=3 edns", NULL,
     "REFUSED edns ede=21", NULL},
    {"other names in class CH", NS1, NULL, NULL, NULL, 0, "x.id.server TXT class=3 edns", NULL,
     "REFUSED edns ede=21", NULL},
    {"the version is hidden", NS1, NULL, NULL, NULL, 0, "version.bind TXT class=3 edns", NULL,
     "REFUSED edns ede=21", NULL},
    {"version.bind", "server: {hide-version: no}\n", NULL, NULL, NULL, 0,
     "version.bind TXT class=3", NULL,
     "NOERROR\nan version.bind. 0 CH TXT \"waymark " PACKAGE_VERSION "\"\n", NULL},
    {"version.server", "server: {hide-version: no, hide-identity: yes}\n", NULL, NULL, NULL, 0,
     "version.server TXT class=3", NULL,
     "NOERROR\nan version.server. 0 CH TXT \"waymark " PACKAGE_VERSION "\"\n", NULL},

    /* discovery names, other types */
    {"A at a filled name: NXDOMAIN becomes NODATA", NULL, FILL, KMS " A",
     "NXDOMAIN\n" SOA("corp.example.", 600), 0, KMS " A", NULL,
     "NOERROR\n" SOA("corp.example.", 60), NULL},
    {"the same at once", NULL, FILL, NULL, NULL, 0, KMS " TXT",
     "NXDOMAIN\n" SOA("corp.example.", 600), "NOERROR\n" SOA("corp.example.", 60), NULL},
    {"not when there is no rule", NULL, FILL, "_vlmcs._tcp.a.example A", NO_WWW, 0,
     "_vlmcs._tcp.a.example A", NULL, "NXDOMAIN\n" SOA("example.", 60), NULL},
    {"not without a policy", NULL, NULL, KMS " A", NO_WWW, 0, KMS " A", NULL,
     "NXDOMAIN\n" SOA("example.", 60), NULL},
    {"not when kms.mode is shadow", "kms: {mode: shadow}\n", FILL, KMS " A", NO_WWW, 0, KMS " A",
     NULL, "NXDOMAIN\n" SOA("example.", 60), NULL},
    {"not when kms.mode is off", "kms: {mode: off}\n", FILL, KMS " A", NO_WWW, 0, KMS " A", NULL,
     "NXDOMAIN\n" SOA("example.", 60), NULL},
    {"not for names above", NULL, FILL, "_tcp.corp.example A", NO_WWW, 0, "_tcp.corp.example A",
     NULL, "NXDOMAIN\n" SOA("example.", 300), NULL},
    {"not when a CNAME is there", NULL, FILL, NULL, NULL, 0, KMS " A",
     "NXDOMAIN\nan " KMS ". 60 IN CNAME x.example.\n" SOA("example.", 60),
     "NXDOMAIN\nan " KMS ". 60 IN CNAME x.example.\n" SOA("example.", 60), NULL},
    {"not a signed one", NULL, FILL, NULL, NULL, 0, KMS " A do",
     "NXDOMAIN\n" SOA("example.", 60) SIGNATURE,
     "NXDOMAIN edns do\n" SOA(
         "example.",
         60) "ns example. 60 IN RRSIG SOA 8 1 600 20300101000000 20200101000000 1 example. AAAA\n",
     NULL},
    {"a signed one for a client without DO", NULL, FILL, NULL, NULL, 0, KMS " A",
     "NXDOMAIN\n" SOA("example.", 60), "NOERROR\n" SOA("example.", 60), NULL},
    {"a signed one where the rule breaks DNSSEC", NULL, FILL, NULL, NULL, 0,
     "_vlmcs._tcp.b.example A do", "NXDOMAIN\n" SOA("example.", 60) SIGNATURE,
     "NOERROR edns do\n" SOA(
         "example.",
         60) "ns example. 60 IN RRSIG SOA 8 1 600 20300101000000 20200101000000 1 example. AAAA\n",
     NULL},
    {"what was made NODATA is not authentic",
     "forward: [{zone: ., servers: [\"192.0.2.53\"], trust-ad: yes}]\naccess: [{net: 10.0.0.0/8, "
     "action: allow}]\n",
     FILL, NULL, NULL, 0, KMS " A ad", "NXDOMAIN ad\n" SOA("example.", 60),
     "NOERROR\n" SOA("example.", 60), NULL},
    {"other types at a discovery name make no event", NULL, FILL, NULL, NULL, 0, KMS " A",
     "NOERROR\nan " KMS ". 60 IN A 10.0.0.1\n", "NOERROR\nan " KMS ". 60 IN A 10.0.0.1\n", NULL},
    {"SOA: recorded as passed", NULL, FILL, NULL, NULL, 0, "_vlmcs._tcp.x.example SOA",
     "NOERROR\nan _vlmcs._tcp.x.example. 60 IN SOA a. b. 1 2 3 4 5\n",
     "NOERROR\nan _vlmcs._tcp.x.example. 60 IN SOA a. b. 1 2 3 4 5\n", "passed no-rule - NOERROR"},
    {"SOA: recorded as missing", NULL, FILL, NULL, NULL, 0, "_vlmcs._tcp.x.example SOA", NO_WWW,
     "NXDOMAIN\n" SOA("example.", 60), "missing no-rule - NXDOMAIN"},
    {"SOA from the cache: recorded", NULL, FILL, "_vlmcs._tcp.x.example SOA", NO_WWW, 5,
     "_vlmcs._tcp.x.example SOA", NULL, "NXDOMAIN\n" SOA("example.", 55),
     "missing no-rule - NXDOMAIN"},
    {"SOA, nobody answers: recorded", NULL, FILL, NULL, NULL, 0, "_vlmcs._tcp.x.example SOA",
     "timeout", "SERVFAIL", "failed no-rule - SERVFAIL"},
    {"SOA elsewhere: not recorded", NULL, FILL, NULL, NULL, 0, "x.example SOA", NO_WWW,
     "NXDOMAIN\n" SOA("example.", 300), NULL},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct world *w = world_new(r->settings, r->policy);
    char text[4000];
    const char *got;
    enum answer a;

    if (r->cached_question != NULL)
        world_cache(w, r->cached_question, r->cached);
    world_wait(w, r->age_s * 1000);
    a = world_ask(w, r->ask);
    if (r->reply != NULL) {
        assert_int_equal(a, ANSWER_FORWARD);
        a = world_give(w, r->reply);
    }
    got = world_answer(w, a);
    if (strcmp(got, r->want) != 0)
        fail_msg("\nwant %s\ngot  %s", r->want, got);
    got = world_event(w, text, sizeof text);
    if (strcmp(got, r->event != NULL ? r->event : "none") != 0)
        fail_msg("\nwant event %s\ngot  event %s", r->event != NULL ? r->event : "none", got);
    world_free(w);
}

/* --- packets that the words cannot make ----------------------------------- */

static enum answer packet(struct world *w, const uint8_t *p, size_t len)
{
    struct words s = {.rest = ""};

    memcpy(w->wire, p, len);
    w->wire_len = len;
    return world_read(w, &s);
}

static void check_silence(void **state)
{
    static const uint8_t header[12] = {0xbe, 0xef, 1, 0, 0, 1},
                         reply[17] = {0xbe, 0xef, 0x80, 0, 0, 1, [14] = 1, [16] = 1};
    struct world *w = world_new(NULL, NULL);

    assert_int_equal(packet(w, header, 0), ANSWER_DROP);
    assert_int_equal(packet(w, header, 11), ANSWER_DROP);
    assert_int_equal(packet(w, reply, sizeof reply),
                     ANSWER_DROP); /* QR=1: no two servers talk to each other */
    assert_int_equal(w->stats.ignored, 3);
    assert_int_equal(w->stats.queries, 0);
    assert_int_equal(packet(w, header, 12), ANSWER_SEND);
    assert_int_equal(w->q->out_len, 12);
    assert_int_equal(w->out[3] & 15, RCODE_FORMERR);
    world_free(w);
}

static void check_formerr(void **state)
{
    struct words s = words_of("www.Example A edns"),
                 refused = words_of("www.Example A edns from=192.0.2.9");
    struct world *w = world_new(NULL, NULL);

    w->wire_len = question_write(&s, w->wire, sizeof w->wire) - 1; /* the OPT is cut */
    assert_string_equal(world_answer(w, world_read(w, &s)), "FORMERR");
    assert_int_equal(w->stats.formerr, 1);
    assert_string_equal(world_answer(w, world_read(w, &refused)), "REFUSED"); /* not even that */
    assert_int_equal(w->stats.refused, 1);
    w->wire[w->wire_len++] = 0;
    w->wire[w->wire_len++] = 0; /* one too many */
    assert_string_equal(world_answer(w, world_read(w, &s)), "FORMERR edns");
    world_free(w);
}

/* An UPDATE that first deletes (class ANY, no RDATA), then adds. */
static void check_update(void **state)
{
    struct world *w = world_new(NULL, FILL);
    struct writer p = writer_make(w->wire, sizeof w->wire);
    struct words s = {.rest = ""};
    struct name zone, owner;
    char text[400];

    assert_int_equal(name_parse(&zone, "corp.example"), 0);
    assert_int_equal(name_parse(&owner, "_VLMCS._TCP.corp.example"), 0);
    writer_u16(&p, 0xbeef);
    writer_u16(&p, OPCODE_UPDATE << 11);
    for (int i = 0; i < 4; i++)
        writer_u16(&p, i == 3 ? 0 : (uint16_t)(i == 2 ? 2 : 1));
    writer_bytes(&p, zone.at, zone.len);
    writer_u16(&p, TYPE_SOA);
    writer_u16(&p, CLASS_IN);
    for (int i = 0; i < 3; i++) { /* a prerequisite, then two updates */
        const struct name *n = i == 2 ? &owner : &zone;

        writer_bytes(&p, n->at, n->len);
        writer_u16(&p, TYPE_SRV);
        writer_u16(&p, i == 0 ? CLASS_NONE : CLASS_ANY);
        writer_u32(&p, 0);
        writer_u16(&p, 0);
    }
    w->wire_len = p.len;
    assert_string_equal(world_answer(w, world_read(w, &s)), "REFUSED");
    assert_string_equal(world_event(w, text, sizeof text), "update update - REFUSED");
    assert_memory_equal(w->q->event.qname.at, "\6_VLMCS\4_TCP\4corp\7example", owner.len);
    assert_int_equal(w->q->event.qtype, TYPE_SRV);
    w->wire[7] = 3; /* all are prerequisites: nothing is to be changed */
    w->wire[9] = 0;
    assert_string_equal(world_answer(w, world_read(w, &s)), "REFUSED");
    assert_false(w->q->has_event);
    world_free(w);
}

/* An answer of n records: A of 16 octets, TXT of 163. */
static const char *many(int n, bool txt)
{
    static char text[200000];
    size_t at = (size_t)snprintf(text, sizeof text, "NOERROR\n");

    for (int i = 0; i < n; i++)
        at += txt ? (size_t)snprintf(text + at, sizeof text - at,
                                     "an www.example. 300 IN TXT \"%0150d\"\n", i)
                  : (size_t)snprintf(text + at, sizeof text - at,
                                     "an www.example. 300 IN A 10.0.%d.%d\n", i >> 8, i & 255);
    return text;
}

static const struct size_row {
    const char *name, *words;
    int records;
    bool txt, tc;
} size_rows[] = {
    /* header 12, question 17; OPT 11 */
    {"30 fit into 512", "", 30, false, false},
    {"31 do not", "", 31, false, true},
    {"EDNS 512, with the OPT", "edns=512", 29, false, false},
    {"EDNS 512, too many", "edns=512", 30, false, true},
    {"below 512 counts as 512", "edns=100", 29, false, false},
    {"EDNS 1232", "edns=1232", 74, false, false},
    {"EDNS 1232, too many", "edns=1232", 75, false, true},
    {"EDNS 4096 is no more than 1232", "edns=4096", 75, false, true},
    {"15 KB by TCP", "tcp", 95, true, false},
    {"64 KB by TCP, text", "tcp", 400, true, false},
    {"64 KB by TCP, addresses", "tcp", 4000, false, false},
    {"64 KB by UDP", "", 4000, false, true},
    {"15 KB by UDP: longer than the buffer of a datagram", "", 95, true, true},
};

static void check_size(void **state)
{
    const struct size_row *r = *state;
    char question[100];

    snprintf(question, sizeof question, "www.example %s %s", r->txt ? "TXT" : "A", r->words);
    for (int cached = 0; cached < 2; cached++) {
        struct world *w = world_new(NULL, NULL);
        struct message m;
        enum answer a;

        if (cached)
            world_cache(w, question, many(r->records, r->txt));
        a = world_ask(w, question);
        assert_int_equal(a, cached ? ANSWER_SEND : ANSWER_FORWARD);
        if (!cached)
            a = world_give(w, many(r->records, r->txt));
        assert_int_equal(a, ANSWER_SEND);
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        assert_int_equal((m.flags & DNS_TC) != 0, r->tc);
        assert_int_equal(m.counts[1], r->tc ? 0 : r->records);
        (void)world_answer(w, a); /* and no longer than the client can take */
        world_free(w);
    }
}

static void check_servfail(void **state)
{
    const struct addr nobody = {.scope = 0};
    const struct real late = real_of_failure(RCODE_TIMEOUT, &nobody, 0);
    struct world *w = world_new(NULL, NULL);

    assert_int_equal(world_ask(w, "wwW.example A edns"), ANSWER_FORWARD);
    assert_int_equal(query_send(&w->view, w->q, NULL, 0, EDE_OTHER, NULL), ANSWER_SEND);
    assert_string_equal(world_answer(w, ANSWER_SEND), "SERVFAIL edns ede=0");
    assert_int_equal(world_ask(w, "wwW.example A tsig"), ANSWER_FORWARD);
    assert_int_equal(answer_query(&w->view, w->q, &late, w->now),
                     ANSWER_SEND); /* never asked for again */
    assert_string_equal(world_answer(w, ANSWER_SEND), "SERVFAIL");
    world_free(w);
}

/* The limits on TTLs reach the last record of a long answer. */
static void check_many_ttls(void **state)
{
    struct world *w = world_new("cache: {max-ttl: 60}\n", NULL);
    const char *text;

    assert_int_equal(world_ask(w, "www.example A tcp"), ANSWER_FORWARD);
    text = world_answer(w, world_give(w, many(4000, false)));
    assert_null(strstr(text, " 300 IN A "));
    world_wait(w, 61000);
    assert_int_equal(world_ask(w, "www.example A tcp"), ANSWER_FORWARD);
    text = world_answer(w, world_give(w, "timeout"));
    assert_null(strstr(text, " 60 IN A "));
    assert_non_null(strstr(text, " 30 IN A 10.0.15.159\n")); /* stale */
    world_free(w);
}

/* --- the order of a kept answer -------------------------------------------- */

#define THREE                                                                                      \
    "an www.example. 300 IN A 192.0.2.1\nan www.example. 300 IN A 192.0.2.2\n"                     \
    "an www.example. 300 IN A 192.0.2.3\n"
#define CHAIN "an www.example. 300 IN CNAME w.example.\n"
#define BEHIND                                                                                     \
    "an w.example. 300 IN A 192.0.2.1\nan w.example. 300 IN A 192.0.2.2\n"                         \
    "an w.example. 300 IN A 192.0.2.3\n"
#define SIGNED                                                                                     \
    "an www.example. 300 IN RRSIG A 8 2 300 20300101000000 20200101000000 1 example. AAAA\n"
#define NS "ns example. 300 IN NS ns.example.\nar ns.example. 300 IN A 192.0.2.4\n"

static const struct order_row {
    const char *name, *settings, *question, *reply;
    const char *front, *behind; /* what stays before and behind the three */
    int orders;
} order_rows[] = {
    {"a set begins with each of its records", "cache: {rotate: yes}\n", "www.example A", THREE NS,
     "", NS, 3},
    {"and keeps its chain in front", "cache: {rotate: yes}\n", "www.example A", CHAIN BEHIND, CHAIN,
     "", 3},
    {"and its signature behind", "cache: {rotate: yes}\n", "www.example A do", THREE SIGNED, "",
     SIGNED, 3},
    {"in its buffer for long answers, too", "cache: {rotate: yes}\n", "www.example A edns tcp",
     THREE, "", "", 3},
    {"not when it is switched off", "cache: {rotate: no}\n", "www.example A", THREE, "", "", 1},
    {"not for ANY", "cache: {rotate: yes}\n", "www.example ANY", THREE, "", "", 1},
};

/* Where the records are in their order from record `first` on, and all else
 * is where it was. */
static bool is_order(const struct order_row *r, const char *got, int first)
{
    const char *rest = r->reply + strlen(r->front), *ends[4] = {rest};
    char want[2000];

    for (int i = 1; i <= 3; i++)
        ends[i] = strchr(ends[i - 1], '\n') + 1;
    snprintf(want, sizeof want, "\n%s%.*s%.*s%s", r->front, (int)(ends[3] - ends[first]),
             ends[first], (int)(ends[first] - ends[0]), ends[0], r->behind);
    return strcmp(strchr(got, '\n'), want) == 0;
}

static void check_order(void **state)
{
    const struct order_row *r = *state;
    struct world *w = world_new(r->settings, NULL);
    char reply[2000];
    int seen[3] = {0, 0, 0}, orders = 0;

    snprintf(reply, sizeof reply, "NOERROR\n%s", r->reply);
    world_cache(w, r->question, reply);
    for (int i = 0; i < 60; i++) {
        const char *got = world_answer(w, world_ask(w, r->question));
        int first = 0;

        while (first < 3 && !is_order(r, got, first))
            first++;
        if (first == 3)
            fail_msg("%s", got);
        seen[first]++;
    }
    for (int i = 0; i < 3; i++)
        orders += seen[i] >= (r->orders > 1 ? 5 : 1);
    assert_int_equal(orders, r->orders);
    world_free(w);
}

int main(void)
{
    ROWS(rows, check_row);
    ROWS(size_rows, check_size);
    ROWS(order_rows, check_order);
    TEST(check_silence);
    TEST(check_formerr);
    TEST(check_update);
    TEST(check_servfail);
    TEST(check_many_ttls);
    return RUN("answer");
}
