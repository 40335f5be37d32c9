/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_kms.c -- discovery questions as the client sees them, and what the audit is told; and
 * the addresses that a pool gives for its hosts. What a rule decides is in policy/test_decide.c,
 * what happens one after the other in tests/replay/kms.rpl.
 */
#include "tests/unit/resolver/world.h"

#define NAME "_vlmcs._tcp.x.example"
#define HOST "kms.corp.example"

#define PIN(addresses) "{target: " HOST ", addresses: [" addresses "]}"
#define POLICY(rule) POOL(PIN("10.0.0.5"), rule)
#define POOL(hosts, rule)                                                                          \
    "networks: {lan: [10.0.0.0/8], kiosks: [10.20.0.0/16]}\npools: {p: [" hosts "], "              \
    "q: [other.example]}\napproved: [good.example]\nrules:\n  r: {suffixes: [x.example]" rule      \
    "}\n"
#define FILL POLICY(", pool: p")
#define FILL_FAILED POLICY(", when: [missing, failed], pool: p")
#define REPLACE POLICY(", action: replace, pool: p")
#define REPLACE_BAD POLICY(", action: replace, when: [unapproved], pool: p")
#define FILTER POLICY(", action: filter")
#define DENY POLICY(", action: deny")
#define PASS                                                                                       \
    POLICY(", action: pass")                                                                       \
    "  all: {suffixes: [\"*\"], networks: [any], when: [missing, failed], pool: p}\n"
#define SHADOW POLICY(", pool: p, mode: shadow")
#define KIOSKS POLICY(", pool: p, networks: [kiosks]")
#define OTHER "rules: {r: {suffixes: [y.example], action: deny}}\n"

#define SOA(ttl) "ns example. " #ttl " IN SOA ns.example. root.example. 1 2 3 4 900\n"
#define OURS(owner, ttl)                                                                           \
    "ns " owner ". " #ttl " IN SOA " owner ". nobody.invalid. 1 3600 1200 604800 " #ttl "\n"
#define SRV_AT(owner, target) "an " owner ". 600 IN SRV 0 0 1688 " target ".\n"
#define SRV(target) SRV_AT(NAME, target)
#define A(ttl, ip) "an " HOST ". " #ttl " IN A " ip "\n"
#define AAAA "an " HOST ". 300 IN AAAA fd00::5\n"
#define KMS(ttl)                                                                                   \
    "an " NAME ". " #ttl " IN SRV 0 0 1688 " HOST ".\nar " HOST ". " #ttl " IN A 10.0.0.5\n"
#define CNAME(owner) "an " owner ". 60 IN CNAME a.example.\n"
#define SIG(ttl)                                                                                   \
    "ns example. " #ttl " IN RRSIG SOA 8 1 600 20300101000000 20200101000000 1 example. AAAA\n"
#define NX "NXDOMAIN\n" SOA(300)
#define ND "NOERROR\n" SOA(300)
#define GOOD "NOERROR\n" SRV("good.example")
#define BAD "NOERROR\n" SRV("bad.example")
#define MIXED "NOERROR\n" SRV("bad.example") SRV("good.example")
#define AD_MIXED "NOERROR ad\n" SRV("bad.example") SRV("good.example")
#define FILLED "NOERROR edns ede=29\n" KMS(300)
#define FILLED_30 "NOERROR edns ede=29\n" KMS(30)
#define REPLACED "NOERROR edns ede=4\n" KMS(300)
#define GIVEN "NOERROR edns ede=29\n" A(300, "10.0.0.5")
#define GIVEN_30 "NOERROR edns ede=29\n" A(30, "10.0.0.5")
#define NO_NAME "NXDOMAIN edns\n" SOA(60)
#define NOT_GIVEN "NXDOMAIN edns\n" SOA(300)
#define EXISTS(ttl) "NOERROR edns ede=29\n" OURS(HOST, ttl)

#define BESIDE_OF(ip) SRV(HOST) "ar " HOST ". 600 IN " ip "\n"
#define BESIDE(ip) "NOERROR\n" BESIDE_OF(ip)
#define ANSWER " answer=" HOST ":1688"
#define UNAPPROVED " unapproved=bad.example:1688"
#define IN " in=lan"
#define ACTED(outcome, verdict) outcome " rule " verdict " NOERROR rule=r" ANSWER IN
#define MISSING "missing no-rule nxdomain NXDOMAIN"
#define FILTERED(left) "filtered rule unapproved NOERROR rule=r" left UNAPPROVED IN
#define LEFT_GOOD " answer=good.example:1688"
#define TRUSTED                                                                                    \
    "forward: [{zone: ., servers: [192.0.2.53], trust-ad: yes}]\n"                                 \
    "access: [{net: 10.0.0.0/8, action: allow}]\n"
#define ELSEWHERE                                                                                  \
    "forward: [{zone: y.example, servers: [10.0.0.53]}]\n"                                         \
    "access: [{net: 10.0.0.0/8, action: allow}]\n"
#define EXPLAIN "kms: {explain-in-edns: yes}\n"
#define SHADOWED "kms: {mode: shadow}\n"

/* A row with a reply is asked at once with the reply that came, and again with what
 * the caches then hold: the decision must be the same. */
static const struct row {
    const char *name, *policy;
    const char *reply; /* NULL: it must be answered without asking */
    const char *want;
    const char *event; /* NULL: none, as of the address of a host */
    const char *ask;   /* NULL: NAME SRV edns; without an event HOST A edns */
    const char *settings;
} rows[] = {
    /* what the real DNS says, and no rule */
    {"nxdomain", OTHER, NX, NO_NAME, MISSING},
    {"nodata", OTHER, ND, "NOERROR edns\n" SOA(60), "missing no-rule nodata NOERROR"},
    {"a short negative TTL", OTHER, "NXDOMAIN\n" SOA(20), "NXDOMAIN edns\n" SOA(20), MISSING},
    {"unapproved", OTHER, BAD, "NOERROR edns\n" SRV("bad.example"),
     "passed no-rule unapproved NOERROR answer=bad.example:1688" UNAPPROVED},
    {"timeout", OTHER, "timeout", "SERVFAIL edns ede=22", "failed no-rule timeout SERVFAIL"},
    {"SERVFAIL", OTHER, "SERVFAIL", "SERVFAIL edns ede=23", "failed no-rule servfail SERVFAIL"},
    {"all refuse", OTHER, "fail=REFUSED", "SERVFAIL edns ede=23",
     "failed no-rule refused SERVFAIL"},
    {"NOTIMP", OTHER, "NOTIMP", "SERVFAIL edns ede=23", "failed no-rule other SERVFAIL"},
    {"no store", NULL, NX, NO_NAME, MISSING},
    {"no service here", FILL, "NOERROR\n" SRV(""), "NOERROR edns\n" SRV(""),
     "passed no-rule present NOERROR answer=.:1688" IN},
    {"a CNAME to an SRV", FILL, "NOERROR\n" CNAME(NAME) SRV_AT("a.example", "good.example"),
     "NOERROR edns\n" CNAME(NAME) SRV_AT("a.example", "good.example"),
     "passed no-rule present NOERROR" LEFT_GOOD IN},

    /* fill; replace, which asks only a client with DO or when it depends on the verdict */
    {"fill, nodata without SOA", FILL, "NOERROR", FILLED, ACTED("filled", "nodata")},
    {"fill, its TTL", POLICY(", pool: p, ttl: 2m"), NX, "NOERROR edns ede=29\n" KMS(120),
     ACTED("filled", "nxdomain")},
    {"fill, the rule's name in EDNS", FILL, NX, "NOERROR edns ede=29:r\n" KMS(300),
     ACTED("filled", "nxdomain"), .settings = EXPLAIN},
    {"fill, its network", KIOSKS, NX, FILLED,
     "filled rule nxdomain NOERROR rule=r" ANSWER " in=kiosks,lan",
     .ask = NAME " SRV edns from=10.20.0.9"},
    {"fill, TCP, ANY", FILL, NX, FILLED, ACTED("filled", "nxdomain"), .ask = NAME " ANY edns tcp"},
    {"fill, AD is not passed on", FILL, "NXDOMAIN ad\n" SOA(60), "NOERROR\n" KMS(300),
     ACTED("filled", "nxdomain"), .ask = NAME " SRV ad"},
    {"replace, RD=0", REPLACE, NULL, REPLACED, ACTED("replaced", "-"), .ask = NAME " SRV edns rd0"},
    {"replace, DO, unsigned", REPLACE, GOOD, "NOERROR edns do ede=4\n" KMS(300),
     ACTED("replaced", "present"), .ask = NAME " SRV do"},

    /* filter, deny; pass, an exception to a wider rule */
    {"filter, some", FILTER, MIXED, "NOERROR edns ede=15\n" SRV("good.example"),
     FILTERED(LEFT_GOOD)},
    {"filter, all", FILTER, BAD, "NOERROR edns ede=15\n" OURS(NAME, 60), FILTERED("")},
    {"filter at the end of a CNAME", FILTER,
     "NOERROR\n" CNAME(NAME) SRV_AT("a.example", "bad.example") SRV_AT("a.example", "good.example"),
     "NOERROR edns ede=15\n" CNAME(NAME) SRV_AT("a.example", "good.example"), FILTERED(LEFT_GOOD)},
    {"deny", DENY, NULL, "NOERROR edns ede=15\n" OURS(NAME, 60), "denied rule - NOERROR rule=r" IN},
    {"deny, DO: the real negative", DENY, NX, "NXDOMAIN edns do ede=15\n" SOA(60),
     "denied rule nxdomain NXDOMAIN rule=r" IN, .ask = NAME " SRV do"},
    {"deny, DO: present", DENY, GOOD, "NOERROR edns do ede=15\n" OURS(NAME, 60),
     "denied rule present NOERROR rule=r" IN, .ask = NAME " SRV do"},
    {"deny, DO: failed", DENY, "timeout", "NOERROR edns do ede=15\n" OURS(NAME, 30),
     "denied rule timeout NOERROR rule=r" IN, .ask = NAME " SRV do"},
    {"pass, missing", PASS, NX, NO_NAME, "missing rule nxdomain NXDOMAIN rule=r" IN},
    {"pass, failed", PASS, "timeout", "SERVFAIL edns ede=22",
     "failed rule timeout SERVFAIL rule=r" IN},

    /* shadow, off */
    {"a shadow rule", SHADOW, NX, NO_NAME, MISSING " would=filled:r" IN},
    {"kms.mode shadow, replace", REPLACE, GOOD, "NOERROR edns\n" SRV("good.example"),
     "passed no-rule present NOERROR would=replaced:r" LEFT_GOOD IN, .settings = SHADOWED},
    {"kms.mode off", FILL, NX, NO_NAME, "missing off nxdomain NXDOMAIN" IN,
     .settings = "kms: {mode: off}\n"},

    /* an address beside a host */
    {"public: the host is not approved", PASS, BESIDE("A 203.0.113.7"),
     "NOERROR edns\n" BESIDE_OF("A 203.0.113.7"),
     "passed rule unapproved NOERROR rule=r" ANSWER " unapproved=" HOST ":1688" IN},
    {"public, and filtered", FILTER, BESIDE("A 203.0.113.7"),
     "NOERROR edns ede=15\n" OURS(NAME, 60),
     "filtered rule unapproved NOERROR rule=r unapproved=" HOST ":1688" IN},
    {"private", PASS, BESIDE("A 192.168.0.9"), "NOERROR edns\n" BESIDE_OF("A 192.168.0.9"),
     "passed rule present NOERROR rule=r" ANSWER IN},
    {"public, but of those who may ask", PASS, BESIDE("AAAA 2001:db8::9"),
     "NOERROR edns\n" BESIDE_OF("AAAA 2001:db8::9"),
     "passed rule present NOERROR rule=r" ANSWER IN},
    {"public, of one of two", PASS, "NOERROR\n" SRV("other.example") BESIDE_OF("A 203.0.113.7"),
     "NOERROR edns\n" SRV("other.example") BESIDE_OF("A 203.0.113.7"),
     "passed rule unapproved NOERROR rule=r answer=other.example:1688," HOST
     ":1688 unapproved=" HOST ":1688" IN},

    /* DNSSEC */
    {"signed, negative, DO", FILL, NX SIG(600), "NXDOMAIN edns do\n" SOA(60) SIG(60),
     "missing signed nxdomain NXDOMAIN rule=r" IN, .ask = NAME " SRV do"},
    {"signed, and the rule breaks it", POLICY(", pool: p, break-dnssec: yes"), NX SIG(600),
     "NOERROR edns do ede=29\n" KMS(300), ACTED("filled", "nxdomain"), .ask = NAME " SRV do"},
    {"CD changes nothing", FILL, NX, "NOERROR cd\n" KMS(300), ACTED("filled", "nxdomain"),
     .ask = NAME " SRV cd"},
    {"AD of a trusted route", OTHER, AD_MIXED, AD_MIXED,
     "passed no-rule unapproved NOERROR answer=bad.example:1688,good.example:1688" UNAPPROVED
     ",good.example:1688",
     .ask = NAME " SRV ad", .settings = TRUSTED},
    {"no AD on what was filtered", FILTER, AD_MIXED, GOOD, FILTERED(LEFT_GOOD),
     .ask = NAME " SRV ad", .settings = TRUSTED},

    /* nothing may be asked, nobody can be asked */
    {"RD=0, not known", FILL, NULL, "REFUSED edns ede=20", "failed rd0 - REFUSED" IN,
     .ask = NAME " SRV edns rd0"},
    {"no route, fill when failed", FILL_FAILED, NULL, FILLED_30, ACTED("filled", "refused"),
     .settings = ELSEWHERE},
    {"no route, no rule", FILL, NULL, "SERVFAIL edns ede=23", "failed no-rule refused SERVFAIL" IN,
     .settings = ELSEWHERE},

    /* the address of a host: what the real DNS says */
    {"host, nxdomain", FILL, NX, GIVEN},
    {"host, nodata", FILL, ND, GIVEN},
    {"host, the real DNS has an address", FILL, "NOERROR\n" A(60, "192.0.2.9"),
     "NOERROR edns\n" A(60, "192.0.2.9")},
    {"host, a CNAME that leads nowhere", FILL, "NXDOMAIN\n" CNAME(HOST) SOA(60),
     "NXDOMAIN edns\n" CNAME(HOST) SOA(60)},
    {"host, servfail", FILL, "SERVFAIL", "SERVFAIL edns ede=23"},
    {"host, failed, the other family", FILL_FAILED, "timeout", EXISTS(30),
     .ask = HOST " AAAA edns"},
    {"host, failed, another type", FILL_FAILED, "timeout", "SERVFAIL edns ede=22",
     .ask = HOST " TXT edns"},
    {"host, failed, and only an unapproved answer is replaced", REPLACE_BAD, "SERVFAIL",
     "SERVFAIL edns ede=23"},
    {"host, failed, and every answer is replaced", REPLACE, "SERVFAIL", GIVEN_30},
    {"host, nxdomain, and only an unapproved answer is replaced", REPLACE_BAD, NX, GIVEN},
    {"host, no route", FILL_FAILED, NULL, GIVEN_30, .settings = ELSEWHERE},
    {"host, RD=0, not known", FILL_FAILED, NULL, "REFUSED edns ede=20", .ask = HOST " A edns rd0"},

    /* its type and class */
    {"host, AAAA", POOL(PIN("10.0.0.5, \"fd00::5\""), ", pool: p"), NX,
     "NOERROR edns ede=29\n" AAAA, .ask = HOST " AAAA edns"},
    {"host, nodata, the other family", FILL, ND, "NOERROR edns\n" SOA(300),
     .ask = HOST " AAAA edns"},
    {"host, nxdomain, another type: the name exists", FILL, NX, EXISTS(60),
     .ask = HOST " HTTPS edns"},
    {"host, another class", FILL_FAILED, "timeout", "SERVFAIL edns ede=22",
     .ask = HOST " A class=4 edns"},
    {"below a host", FILL, NX, NOT_GIVEN, .ask = "x." HOST " A edns"},
    {"a host without addresses", POOL(PIN("10.0.0.5") ", y.example", ", pool: p"), NX, NOT_GIVEN,
     .ask = "y.example A edns"},
    {"another host of the pool has an address of its own",
     POOL(PIN("10.0.0.5") ", {target: z.example, addresses: [10.0.0.77]}", ", pool: p"), NX, GIVEN},
    {"several ports of a host",
     POOL(PIN("10.0.0.5") ", {target: " HOST ", port: 1689, addresses: [10.0.0.5]}", ", pool: p"),
     NX, GIVEN},
    {"host, the client's case, no AD", FILL, "NXDOMAIN ad\n" SOA(300),
     "NOERROR\nan KMS.corp.Example. 300 IN A 10.0.0.5\n", .ask = "KMS.corp.Example A ad",
     .settings = TRUSTED},
    {"host, the rule's name in EDNS", FILL, NX, "NOERROR edns ede=29:r\n" A(300, "10.0.0.5"),
     .settings = EXPLAIN},

    /* its rule */
    {"host, TTL of the rule", POLICY(", pool: p, ttl: 2m"), NX,
     "NOERROR edns ede=29\n" A(120, "10.0.0.5")},
    {"host, at most five minutes", POLICY(", pool: p, ttl: 2h"), NX, GIVEN},
    {"a host that no rule gives", POLICY(", pool: q"), NX, NOT_GIVEN},
    {"host, shadow", SHADOW, NX, NOT_GIVEN},
    {"host, kms.mode shadow", FILL, NX, NOT_GIVEN, .settings = SHADOWED},
    {"host, its network", KIOSKS, NX, GIVEN, .ask = HOST " A edns from=10.20.0.1"},
    {"host, another network", KIOSKS, NX, NOT_GIVEN},
    {"host, no store", NULL, NX, NOT_GIVEN},
    {"host, signed, DO", FILL, NX SIG(300), "NXDOMAIN edns do\n" SOA(300) SIG(300),
     .ask = HOST " A do"},
    {"host, signed, without DO", FILL, NX SIG(300), GIVEN},
    {"host, signed, and the rule breaks it", POLICY(", pool: p, break-dnssec: yes"), NX SIG(300),
     "NOERROR edns do ede=29\n" A(300, "10.0.0.5"), .ask = HOST " A do"},
};

/* What the event of the first answer says beside its text. */
static void check_event(const struct world *w, const struct row *r)
{
    const struct audit_event *e = &w->q->event;

    assert_memory_equal(&e->client, &w->q->client.addr, sizeof(struct addr));
    assert_memory_equal(e->qname.data, w->q->question, w->q->message.qname.len); /* as asked */
    assert_int_equal(e->policy_serial, r->policy != NULL && strstr(r->event, " off ") == NULL &&
                                           strstr(r->event, "rd0") == NULL);
    assert_int_equal(w->q->key.type, TYPE_SRV); /* also for ANY */
    if (r->reply != NULL && r->reply[0] != 't' && r->reply[0] != 'f')
        assert_int_equal(e->real_ms, 51);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    bool kms = r->event != NULL, failed = strncmp(r->want, "SERVFAIL", 8) == 0;
    const char *ask = r->ask != NULL ? r->ask : kms ? NAME " SRV edns" : HOST " A edns";
    struct world *w = world_new(r->settings, r->policy);
    enum answer a = world_ask(w, ask);
    char event[1000];

    if (r->reply != NULL) {
        assert_int_equal(a, ANSWER_FORWARD);
        assert_int_equal(world_ask(w, ask), ANSWER_FORWARD); /* not known: nothing is kept */
        a = world_give(w, r->reply);
    }
    world_expect(w, a, r->want, kms ? r->event : "none");
    if (kms)
        check_event(w, r);
    /* The same again, three times: from the cached reply, then from the kept
     * decision. A failure that was cached is told as such. */
    for (int i = 0; i < 3; i++) {
        view_policy_end(&w->view);
        a = world_ask(w, ask);
        snprintf(event, sizeof event, "%s%s", kms ? r->event : "none",
                 kms && (r->reply != NULL || w->q->event.cached) ? " cached" : "");
        world_expect(w, a, failed && r->reply != NULL ? "SERVFAIL edns ede=13" : r->want, event);
    }
    assert_true(kms || (w->stats.kms_hosts == 0) ==
                           (strstr(r->want, "10.0.") == NULL && strstr(r->want, "fd00") == NULL &&
                            strstr(r->want, "nobody") == NULL));
    world_free(w);
}

/* A host that is there with many ports, at the limit of its addresses and above it. */
static void check_most_addresses(void **state)
{
    for (int n = 32; n <= 33; n++) {
        char policy[8000] = "pools: {p: [";
        struct world *w;

        for (int i = 1; i <= n; i++)
            sprintf(policy + strlen(policy),
                    "{target: " HOST ", port: %d, addresses: [10.0.0.%d]}, ", i, i);
        strcat(policy, "]}\nrules: {r: {suffixes: [x.example], action: replace, pool: p}}\n");
        w = world_new(NULL, policy);
        world_cache(w, HOST " A", NX);
        assert_int_equal(world_message(w, world_ask(w, HOST " A edns")).counts[1], 32);
        world_free(w);
    }
}

/* Each network has the addresses of its own pool, whatever was decided on just before. */
static void check_other_network(void **state)
{
    struct world *w =
        world_new(NULL, "networks: {a: [10.1.0.0/16], b: [10.2.0.0/16]}\n"
                        "pools:\n"
                        "  p: [{target: kms.corp.example, addresses: [10.0.0.5]}]\n"
                        "  q: [a.example, {target: kms.corp.example, addresses: [10.0.0.6]}]\n"
                        "rules:\n"
                        "  r: {suffixes: [x.example], networks: [a], pool: p}\n"
                        "  s: {suffixes: [x.example], networks: [b], pool: q}\n");

    world_cache(w, HOST " A", NX);
    for (int i = 0; i < 2; i++) {
        world_expect(w, world_ask(w, HOST " A edns from=10.2.0.1"),
                     "NOERROR edns ede=29\n" A(300, "10.0.0.6"), "none");
        view_policy_end(&w->view);
        world_expect(w, world_ask(w, HOST " A edns from=10.1.0.1"), GIVEN, "none");
        view_policy_end(&w->view);
    }
    world_free(w);
}

/* A long real answer is decided and delivered too. */
static void check_many_real(void **state)
{
    char reply[8000] = "NOERROR\n";
    struct world *w = world_new(NULL, FILTER);
    enum answer a;

    for (int i = 0; i < 20; i++)
        sprintf(reply + strlen(reply), "an " NAME ". 60 IN SRV 0 0 %d %s.example.\n", i + 1,
                i < 12 ? "bad" : "good");
    strcat(reply, SRV("good.example"));
    assert_int_equal(world_ask(w, NAME " SRV edns"), ANSWER_FORWARD);
    a = world_give(w, reply);
    for (int i = 0; i < 3; i++) {
        /* good.example:1688; port 13 of it is not approved */
        assert_int_equal(world_message(w, a).counts[1], 1);
        assert_int_equal(count_words(w->q->event.real), 21);
        assert_int_equal(count_words(w->q->event.unapproved), 20);
        assert_string_equal(w->q->event.answer, "good.example:1688");
        a = world_ask(w, NAME " SRV edns");
    }
    world_free(w);
    w = world_new(NULL, FILTER); /* more than a decision is made on */
    strcpy(reply, "NOERROR\n");
    for (int i = 0; i <= SRV_MAX; i++)
        sprintf(reply + strlen(reply), "an " NAME ". 60 IN SRV 0 0 %d bad.example.\n", i + 1);
    assert_int_equal(world_ask(w, NAME " SRV edns"), ANSWER_FORWARD);
    world_expect(w, world_give(w, reply), NULL, "failed no-rule other NOERROR" IN);
    assert_int_equal(w->q->real.n_srv, 0);
    world_free(w);
}

/* More hosts than the filter of who may be one takes: all of them are found. */
static void check_filter(void **state)
{
    static char policy[40000] = "rules: {r: {suffixes: [x.example], pool: p0}}\npools:\n";
    char want[128], question[64];
    struct world *w;

    for (int p = 0; p < 9; p++) {
        sprintf(policy + strlen(policy), "  p%d:\n", p);
        for (int i = 0; i < 64; i++)
            sprintf(policy + strlen(policy),
                    "  - {target: k%02d.example, addresses: [10.0.0.%d]}\n", i, i + 1);
    }
    w = world_new(NULL, policy);
    for (int i = 0; i <= 64; i++) {
        sprintf(question, "k%02d.example A", i);
        world_cache(w, question, NX);
        sprintf(want, "NOERROR\nan k%02d.example. 300 IN A 10.0.0.%d\n", i, i + 1);
        world_expect(w, world_ask(w, question), i < 64 ? want : NX, NULL);
    }
    world_free(w);
}

/* The one rule is what nobody can read. */
static void damage(struct world *w)
{
    const struct store_key all = {.len = 1, .data = {TABLE_RULE}};
    struct store_key key;
    struct store_record record;
    struct store_txn *txn;
    int rc;

    view_policy_end(&w->view);
    assert_int_equal(store_begin(w->store, true, &txn), 0);
    STORE_EACH(rc, txn, &all, &record)
        store_key_copy(&key, &record.key);
    assert_int_equal(store_put(txn, &key, "?", 1), STORE_REPLACED);
    assert_int_equal(store_commit(txn), 0);
}

/* A decision on what is damaged is the real answer, is counted, and is made anew each time. */
static void check_damage(void **state)
{
    for (unsigned is_host = 0; is_host < 2; is_host++) {
        const char *ask = is_host ? HOST " A" : NAME " SRV";
        struct world *w = world_new(NULL, FILL);

        damage(w);
        assert_int_equal(world_ask(w, ask), ANSWER_FORWARD);
        for (unsigned i = 0; i < 3; i++) {
            world_expect(w, i == 0 ? world_give(w, NX) : world_ask(w, ask),
                         is_host ? NX : "NXDOMAIN\n" SOA(60), NULL);
            assert_int_equal(w->stats.kms_damaged, i + 1);
            assert_true(is_host || w->q->event.reason == REASON_DAMAGED);
        }
        assert_int_equal(w->stats.kms_decision_hits, 0);
        world_free(w);
    }
}

TESTS("kms", ROWS(rows, check_row), TEST(check_damage), TEST(check_most_addresses),
      TEST(check_other_network), TEST(check_many_real), TEST(check_filter))
