/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_kms.c -- discovery questions as the client sees them, and what the
 * audit is told: each action at each verdict, deadlines, kept decisions.
 */
#define NAME "_vlmcs._tcp.x.example"
#define QUESTION NAME " SRV edns"
#include "tests/unit/resolver/kms.h"

#define POLICY(rule)                                                                               \
    "networks: {lan: [10.0.0.0/8], kiosks: [10.20.0.0/16]}\n"                                      \
    "pools: {p: [{target: kms.corp.example, addresses: [10.0.0.5]}]}\napproved: [good.example]\n"  \
    "rules:\n  r: {suffixes: [x.example], " rule "}\n"
#define FILL POLICY("pool: p")
#define FILL_FAILED POLICY("when: [missing, failed], pool: p")
#define REPLACE POLICY("action: replace, pool: p")
#define REPLACE_BAD POLICY("action: replace, when: [unapproved], pool: p")
#define FILTER POLICY("action: filter")
#define DENY POLICY("action: deny")
#define PASS                                                                                       \
    POLICY("action: pass")                                                                         \
    "  all: {suffixes: [\"*\"], networks: [any], when: [missing, failed], pool: p}\n"
#define SHADOW POLICY("pool: p, mode: shadow")
#define OTHER "rules: {r: {suffixes: [y.example], action: deny}}\n"

#define SRV(ttl, target) "an " NAME ". " #ttl " IN SRV 0 0 1688 " target ".\n"
#define KMS(ttl)                                                                                   \
    "an " NAME ". " #ttl " IN SRV 0 0 1688 kms.corp.example.\nar kms.corp.example. " #ttl          \
    " IN A 10.0.0.5\n"
#define RRSIG(owner, type)                                                                         \
    owner " 600 IN RRSIG " type " 8 1 600 20300101000000 20200101000000 1 example. AAAA\n"
#define NX "NXDOMAIN\n" SOA(600)
#define ND "NOERROR\n" SOA(600)
#define GOOD "NOERROR\n" SRV(600, "good.example")
#define BAD "NOERROR\n" SRV(600, "bad.example")
#define MIXED "NOERROR\n" SRV(600, "bad.example") SRV(600, "good.example")
#define FILLED "NOERROR edns ede=29\n" KMS(300)
#define REPLACED "NOERROR edns ede=4\n" KMS(300)
#define FILLED_30 "NOERROR edns ede=29\n" KMS(30)
#define OURS "ns " NAME ". 60 IN SOA " NAME ". nobody.invalid. 1 3600 1200 604800 60\n"
#define OURS_30 "ns " NAME ". 30 IN SOA " NAME ". nobody.invalid. 1 3600 1200 604800 30\n"
#define NODATA "NOERROR edns"
#define RULE " rule=r"
#define ANSWER " answer=kms.corp.example:1688"
#define IN " in=lan"

#define ACTED(outcome, verdict) outcome " rule " verdict " NOERROR" RULE ANSWER IN
#define MISSING "missing no-rule nxdomain NXDOMAIN"
#define PASSED "passed no-rule present NOERROR answer=good.example:1688"
#define REAL "NOERROR edns\n" SRV(600, "good.example")
#define NO_NAME "NXDOMAIN edns\n" SOA(60)
#define TRUSTED                                                                                    \
    "forward: [{zone: ., servers: [\"192.0.2.53\"], trust-ad: yes}]\n"                             \
    "access: [{net: 10.0.0.0/8, action: allow}]\n"

static const struct row rows[] = {
    /* no rule */
    {"no rule, nxdomain", OTHER, NX, NO_NAME, MISSING},
    {"no rule, nodata", OTHER, ND, "NOERROR edns\n" SOA(60), "missing no-rule nodata NOERROR"},
    {"no rule, short negative TTL", OTHER, "NXDOMAIN\n" SOA(20), "NXDOMAIN edns\n" SOA(20),
     MISSING},
    {"no rule, the SOA's MINIMUM", OTHER, "NXDOMAIN\nns example. 600 IN SOA a. b. 1 2 3 4 10\n",
     "NXDOMAIN edns\nns example. 10 IN SOA a. b. 1 2 3 4 10\n", MISSING},
    {"no rule, present", "approved: [good.example]\n", GOOD, REAL, PASSED},
    {"no rule, a TTL above cache.max-ttl", "approved: [good.example]\n", GOOD,
     "NOERROR edns\n" SRV(500, "good.example"), PASSED, .settings = "cache: {max-ttl: 500}\n"},
    {"no rule, unapproved", OTHER, BAD, "NOERROR edns\n" SRV(600, "bad.example"),
     "passed no-rule unapproved NOERROR answer=bad.example:1688 unapproved=bad.example:1688"},
    {"no rule, timeout", OTHER, "timeout", "SERVFAIL edns ede=22",
     "failed no-rule timeout SERVFAIL"},
    {"no rule, SERVFAIL", OTHER, "SERVFAIL", "SERVFAIL edns ede=23",
     "failed no-rule servfail SERVFAIL"},
    {"no rule, REFUSED", OTHER, "REFUSED", "SERVFAIL edns ede=23",
     "failed no-rule refused SERVFAIL"},
    {"no rule, all refuse", OTHER, "fail=REFUSED", "SERVFAIL edns ede=23",
     "failed no-rule refused SERVFAIL"},
    {"no rule, NOTIMP", OTHER, "NOTIMP", "SERVFAIL edns ede=23", "failed no-rule other SERVFAIL"},
    {"no store", NULL, NX, NO_NAME, MISSING},
    {"no store, present", NULL, GOOD, REAL, PASSED},
    {"no service here", FILL, "NOERROR\n" SRV(600, ""), "NOERROR edns\n" SRV(600, ""),
     "passed no-rule present NOERROR answer=.:1688" IN},
    {"a CNAME to an SRV", FILL,
     "NOERROR\nan " NAME
     ". 60 IN CNAME a.example.\nan a.example. 60 IN SRV 0 0 1688 good.example.\n",
     "NOERROR edns\nan " NAME
     ". 60 IN CNAME a.example.\nan a.example. 60 IN SRV 0 0 1688 good.example.\n",
     PASSED IN},
    {"a CNAME to nothing", FILL, "NXDOMAIN\nan " NAME ". 60 IN CNAME a.example.\n" SOA(60), FILLED,
     ACTED("filled", "nxdomain")},
    {"ANY is answered as SRV", FILL, NX, FILLED, ACTED("filled", "nxdomain"),
     .ask = NAME " ANY edns"},
    {"the client's case", FILL, NX,
     "NOERROR\nan _VLMCS._tcp.X.example. 300 IN SRV 0 0 1688 kms.corp.example.\n"
     "ar kms.corp.example. 300 IN A 10.0.0.5\n",
     ACTED("filled", "nxdomain"), .ask = "_VLMCS._tcp.X.example SRV"},

    /* fill */
    {"fill, nxdomain", FILL, NX, FILLED, ACTED("filled", "nxdomain")},
    {"fill, nodata", FILL, ND, FILLED, ACTED("filled", "nodata")},
    {"fill, nodata without SOA", FILL, "NOERROR", FILLED, ACTED("filled", "nodata")},
    {"fill, present", FILL, GOOD, REAL, PASSED IN},
    {"fill, unapproved", FILL, BAD, "NOERROR edns\n" SRV(600, "bad.example"),
     "passed no-rule unapproved NOERROR answer=bad.example:1688 unapproved=bad.example:1688" IN},
    {"fill, failed", FILL, "timeout", "SERVFAIL edns ede=22", "failed no-rule timeout SERVFAIL" IN},
    {"fill when failed, timeout", FILL_FAILED, "timeout", FILLED_30, ACTED("filled", "timeout")},
    {"fill when failed, servfail", FILL_FAILED, "SERVFAIL", FILLED_30, ACTED("filled", "servfail")},
    {"fill, its TTL", POLICY("pool: p, ttl: 2m"), NX, "NOERROR edns ede=29\n" KMS(120),
     ACTED("filled", "nxdomain")},
    {"fill, without EDNS", FILL, NX, "NOERROR\n" KMS(300), ACTED("filled", "nxdomain"),
     .ask = NAME " SRV"},
    {"fill, the rule's name in EDNS", FILL, NX, "NOERROR edns ede=29:r\n" KMS(300),
     ACTED("filled", "nxdomain"), .settings = "kms: {explain-in-edns: yes}\n"},
    {"fill, other network", POLICY("pool: p, networks: [kiosks]"), NX, NO_NAME, MISSING IN},
    {"fill, its network", POLICY("pool: p, networks: [kiosks]"), NX, FILLED,
     "filled rule nxdomain NOERROR" RULE ANSWER " in=kiosks,lan",
     .ask = NAME " SRV edns from=10.20.0.9"},
    {"fill, TCP", FILL, NX, FILLED, ACTED("filled", "nxdomain"), .ask = NAME " SRV edns tcp"},
    {"fill, AD is not passed on", FILL, "NXDOMAIN ad\n" SOA(60), "NOERROR\n" KMS(300),
     ACTED("filled", "nxdomain"), .ask = NAME " SRV ad"},

    /* replace, which asks only a client with DO or when it depends on the verdict */
    {"replace", REPLACE, NULL, REPLACED, ACTED("replaced", "-")},
    {"replace, RD=0", REPLACE, NULL, REPLACED, ACTED("replaced", "-"), .ask = NAME " SRV edns rd0"},
    {"replace, DO, unsigned", REPLACE, GOOD, "NOERROR edns do ede=4\n" KMS(300),
     ACTED("replaced", "present"), .ask = NAME " SRV do"},
    {"replace when unapproved, unapproved", REPLACE_BAD, MIXED, REPLACED,
     "replaced rule unapproved NOERROR" RULE ANSWER " unapproved=bad.example:1688" IN},
    {"replace when unapproved, present", REPLACE_BAD, GOOD, REAL, PASSED IN},
    {"replace when unapproved, missing", REPLACE_BAD, NX, NO_NAME, MISSING IN},

    /* filter */
    {"filter, some", FILTER, MIXED, "NOERROR edns ede=15\n" SRV(600, "good.example"),
     "filtered rule unapproved NOERROR" RULE
     " answer=good.example:1688 unapproved=bad.example:1688" IN},
    {"filter, all", FILTER, BAD, NODATA " ede=15\n" OURS,
     "filtered rule unapproved NOERROR" RULE " unapproved=bad.example:1688" IN},
    {"filter, all, then fill",
     FILTER "  f: {suffixes: [\"*.example\"], networks: [any], pool: p}\n", BAD, FILLED,
     "filled rule unapproved NOERROR rule=f" ANSWER " unapproved=bad.example:1688" IN},
    {"filter, none", FILTER, GOOD, REAL, PASSED IN},
    {"filter, missing", FILTER, NX, NO_NAME, MISSING IN},
    {"filter at the end of a CNAME", FILTER,
     "NOERROR\nan " NAME ". 60 IN CNAME a.example.\nan a.example. 60 IN SRV 0 0 1688 bad.example.\n"
     "an a.example. 60 IN SRV 0 0 1688 good.example.\n",
     "NOERROR edns ede=15\nan " NAME
     ". 60 IN CNAME a.example.\nan a.example. 60 IN SRV 0 0 1688 good.example.\n",
     "filtered rule unapproved NOERROR" RULE
     " answer=good.example:1688 unapproved=bad.example:1688" IN},

    /* deny */
    {"deny", DENY, NULL, NODATA " ede=15\n" OURS, "denied rule - NOERROR" RULE IN},
    {"deny, ANY", DENY, NULL, "NOERROR\n" OURS, "denied rule - NOERROR" RULE IN,
     .ask = NAME " ANY"},
    {"deny, DO: the real negative", DENY, NX, "NXDOMAIN edns do ede=15\n" SOA(60),
     "denied rule nxdomain NXDOMAIN" RULE IN, .ask = NAME " SRV do"},
    {"deny, DO: present", DENY, GOOD, "NOERROR edns do ede=15\n" OURS,
     "denied rule present NOERROR" RULE IN, .ask = NAME " SRV do"},
    {"deny, DO: failed", DENY, "timeout", "NOERROR edns do ede=15\n" OURS_30,
     "denied rule timeout NOERROR" RULE IN, .ask = NAME " SRV do"},

    /* pass, an exception to a wider rule */
    {"pass, missing", PASS, NX, NO_NAME, "missing rule nxdomain NXDOMAIN" RULE IN},
    {"pass, failed", PASS, "timeout", "SERVFAIL edns ede=22",
     "failed rule timeout SERVFAIL" RULE IN},
    {"pass, present", PASS, GOOD, REAL,
     "passed rule present NOERROR" RULE " answer=good.example:1688" IN},

    /* shadow, off */
    {"a shadow rule", SHADOW, NX, NO_NAME, MISSING " would=filled:r" IN},
    {"kms.mode shadow", FILL, NX, NO_NAME, MISSING " would=filled:r" IN,
     .settings = "kms: {mode: shadow}\n"},
    {"kms.mode shadow, replace", REPLACE, GOOD, REAL,
     "passed no-rule present NOERROR would=replaced:r answer=good.example:1688" IN,
     .settings = "kms: {mode: shadow}\n"},
    {"kms.mode off", FILL, NX, NO_NAME, "missing off nxdomain NXDOMAIN" IN,
     .settings = "kms: {mode: off}\n"},
    {"kms.mode off, present", REPLACE, GOOD, REAL,
     "passed off present NOERROR answer=good.example:1688" IN, .settings = "kms: {mode: off}\n"},

    /* DNSSEC */
    {"signed, negative, DO", FILL, NX RRSIG("ns example.", "SOA"),
     "NXDOMAIN edns do\n" SOA(
         60) "ns example. 60 IN RRSIG SOA 8 1 600 20300101000000 20200101000000 1 example. AAAA\n",
     "missing signed nxdomain NXDOMAIN" RULE IN, .ask = NAME " SRV do"},
    {"signed, present, DO", REPLACE, GOOD RRSIG("an " NAME ".", "SRV"),
     "NOERROR edns do\n" SRV(600, "good.example") RRSIG("an " NAME ".", "SRV"),
     "passed signed present NOERROR" RULE " answer=good.example:1688" IN, .ask = NAME " SRV do"},
    {"signed, and the rule breaks it", POLICY("pool: p, break-dnssec: yes"),
     NX RRSIG("ns example.", "SOA"), "NOERROR edns do ede=29\n" KMS(300),
     ACTED("filled", "nxdomain"), .ask = NAME " SRV do"},
    {"unsigned, DO", FILL, NX, "NOERROR edns do ede=29\n" KMS(300), ACTED("filled", "nxdomain"),
     .ask = NAME " SRV do"},
    {"CD changes nothing", FILL, NX, "NOERROR cd\n" KMS(300), ACTED("filled", "nxdomain"),
     .ask = NAME " SRV cd"},
    {"AD of a trusted route", OTHER, "NOERROR ad\n" SRV(600, "bad.example"),
     "NOERROR ad\n" SRV(600, "bad.example"),
     "passed no-rule unapproved NOERROR answer=bad.example:1688 unapproved=bad.example:1688",
     .ask = NAME " SRV ad", .settings = TRUSTED},
    {"no AD on what was filtered", FILTER,
     "NOERROR ad\n" SRV(600, "bad.example") SRV(600, "good.example"),
     "NOERROR\n" SRV(600, "good.example"),
     "filtered rule unapproved NOERROR" RULE
     " answer=good.example:1688 unapproved=bad.example:1688" IN,
     .ask = NAME " SRV ad", .settings = TRUSTED},

    /* nothing may be asked, nobody can be asked */
    {"RD=0, not known", FILL, NULL, "REFUSED edns ede=20", "failed rd0 - REFUSED" IN,
     .ask = NAME " SRV edns rd0"},
    {"no route, fill when failed", FILL_FAILED, NULL, FILLED_30, ACTED("filled", "refused"),
     .settings = ELSEWHERE},
    {"no route, no rule", FILL, NULL, "SERVFAIL edns ede=23", "failed no-rule refused SERVFAIL" IN,
     .settings = ELSEWHERE},
};

static enum answer ask(struct world *w, const char *words)
{
    char question[600];

    snprintf(question, sizeof question, NAME " %s", words);
    return world_ask(w, question);
}

/* --- kept decisions, and deadlines ------------------------------------------------------- */

/* Each question must be answered from a kept decision, or must not: `kept`. What is kept was
 * told by the same server. */
enum what { END, ASK, GIVE, CACHE, WAIT_MS, POLICY_IS, SETTINGS_ARE };
struct step {
    enum what what;
    const char *text;         /* behind NAME; a reply; a policy; settings */
    const char *want, *event; /* NULL: whatever. CACHE: the reply to "SRV do" */
    bool kept;
    int n;
};

#define FILL3 "NOERROR\n" KMS(300)
#define FILL3_30 "NOERROR\n" KMS(30)
#define GOOD3(ttl) "NOERROR\n" SRV(ttl, "good.example")
#define ASK_KEPT(want)                                                                             \
    {                                                                                              \
        ASK, "SRV", want, .kept = true                                                             \
    }
#define WAIT(ms)                                                                                   \
    {                                                                                              \
        WAIT_MS, .n = ms                                                                           \
    }

static const struct script {
    const char *name, *policy;
    struct step steps[14];
} scripts[] = {
    {"kept for all clients of the same networks, until its verdict ends",
     FILL,
     {{ASK, "SRV", "FORWARD"},
      {GIVE, NX, FILL3},
      {ASK, "SRV", FILL3}, /* made from the cached reply, and kept */
      {ASK, "SRV", FILL3, ACTED("filled", "nxdomain") " cached", true},
      {ASK, "ANY", FILL3, NULL, true},
      {ASK, "SRV from=10.1.1.1", FILL3, NULL, true},
      {ASK, "SRV from=10.20.0.1", FILL3,
       "filled rule nxdomain NOERROR" RULE ANSWER " in=kiosks,lan cached"},
      {ASK, "SRV do", "FORWARD"},
      WAIT(60000),
      {ASK, "SRV", "FORWARD"}}},
    {"a real answer that was kept with its decision grows old",
     OTHER,
     {{CACHE, GOOD},
      WAIT(100000),
      {ASK, "SRV", GOOD3(500)},
      WAIT(50000),
      ASK_KEPT(GOOD3(450)),
      WAIT(449999),
      ASK_KEPT(GOOD3(1)),
      WAIT(1),
      {ASK, "SRV", "FORWARD"}}},
    {"a reload lowers kms.max-negative-ttl: also of what is cached",
     OTHER,
     {{CACHE, NX},
      {SETTINGS_ARE, "kms: {max-negative-ttl: 10}\n"},
      {ASK, "SRV", "NXDOMAIN\n" SOA(10)}}},
    {"a change of the policy or of the settings ends it",
     FILL,
     {{CACHE, NX},
      {ASK, "SRV", FILL3},
      ASK_KEPT(FILL3),
      {POLICY_IS, DENY}, /* seen by the next batch */
      {ASK, "SRV", "NOERROR\n" OURS, "denied rule - NOERROR" RULE IN},
      {POLICY_IS, FILL},
      {ASK, "SRV", FILL3},
      {SETTINGS_ARE, "kms: {mode: shadow}\n"},
      {ASK, "SRV", "NXDOMAIN\n" SOA(60),
       "missing no-rule nxdomain NXDOMAIN would=filled:r" IN " cached"},
      {SETTINGS_ARE, NULL},
      {ASK, "SRV", FILL3},
      ASK_KEPT(FILL3)}},
    {"made of a timeout: not kept",
     FILL_FAILED,
     {{ASK, "SRV", "FORWARD"},
      {GIVE, "timeout", FILL3_30},
      {ASK, "SRV", FILL3_30},
      {ASK, "SRV", FILL3_30},
      WAIT(5000), /* the failure is over */
      {ASK, "SRV", "FORWARD"},
      {GIVE, GOOD, GOOD3(600)}}},
    {"a denial of our own has its whole TTL each time",
     DENY,
     {{ASK, "SRV", "NOERROR\n" OURS},
      WAIT(50000),
      ASK_KEPT("NOERROR\n" OURS),
      WAIT(50000),
      ASK_KEPT("NOERROR\n" OURS)}},
    {"so has one that a filter left",
     FILTER,
     {{CACHE, BAD}, {ASK, "SRV", "NOERROR\n" OURS}, WAIT(50000), ASK_KEPT("NOERROR\n" OURS)}},

    /* The deadline: an expired entry decides, else the client waits; the question goes on. */
    {"a real answer that comes late is given after all",
     FILL,
     {{ASK, "SRV edns", "FORWARD"},
      WAIT(700),
      {GIVE, "deadline", "WAIT", "none"},
      WAIT(800),
      {GIVE, GOOD, REAL}}},
    {"without a store, too",
     NULL,
     {{ASK, "SRV edns", "FORWARD"},
      WAIT(700),
      {GIVE, "deadline", "WAIT", "none"},
      {GIVE, NX, NO_NAME}}},
    {"a stale negative decides",
     FILL,
     {{CACHE, NX},
      WAIT(700000),
      {ASK, "SRV edns", "FORWARD"},
      WAIT(700),
      {GIVE, "deadline", FILLED_30, ACTED("filled", "nxdomain") " cached"},
      {CACHE, MIXED},
      {ASK, "SRV", MIXED}}},
    {"a stale record, and none is left of it",
     FILTER,
     {{CACHE, BAD},
      WAIT(700000),
      {ASK, "SRV edns", "FORWARD"},
      {GIVE, "deadline", NODATA " ede=15\n" OURS_30,
       "filtered rule unapproved NOERROR" RULE " unapproved=bad.example:1688" IN " cached"},
      {CACHE, MIXED},
      {ASK, "SRV", "NOERROR\n" SRV(600, "good.example")}}},
    {"a stale negative, no rule; and max-negative-ttl below 30 s",
     OTHER,
     {{CACHE, NX},
      WAIT(700000),
      {ASK, "SRV edns", "FORWARD"},
      {GIVE, "deadline", "NXDOMAIN edns ede=19\n" SOA(30), MISSING " cached"},
      {SETTINGS_ARE, "kms: {max-negative-ttl: 10}\n"},
      {ASK, "SRV edns", "FORWARD"},
      {GIVE, "deadline", "NXDOMAIN edns ede=19\n" SOA(10), MISSING " cached"}}},
    {"a stale negative is denied",
     DENY,
     {{CACHE, NX, "SRV do"},
      WAIT(700000),
      {ASK, "SRV do", "FORWARD"},
      {GIVE, "deadline", "NXDOMAIN edns do ede=15\n" SOA(30),
       "denied rule nxdomain NXDOMAIN" RULE IN " cached"},
      {ASK, "SRV", "NOERROR\n" OURS}}},
};

static void check_script(void **state)
{
    const struct script *r = *state;
    struct world *w = world_new(NULL, r->policy);
    struct addr server = {.port = 0};
    uint16_t real_rcode = 0;

    for (const struct step *s = r->steps; s->what != END; s++) {
        uint64_t hits = w->stats.kms_decision_hits, late = w->stats.kms_deadline;

        if (s->what == ASK)
            expect(w, ask(w, s->text), s->want, s->event);
        else if (s->what == GIVE)
            expect(w, world_give(w, s->text), s->want, s->event);
        else if (s->what == CACHE && s->want != NULL)
            world_cache(w, NAME " SRV do", s->text);
        else if (s->what == CACHE)
            world_cache(w, NAME " SRV", s->text);
        else if (s->what == WAIT_MS)
            world_wait(w, (uint64_t)s->n);
        else if (s->what == POLICY_IS)
            world_policy(w, s->text);
        else
            world_settings(w, s->text);
        assert_int_equal(w->stats.kms_decision_hits - hits, s->kept);
        assert_int_equal(w->stats.kms_deadline - late,
                         s->text != NULL && strcmp(s->text, "deadline") == 0 && s->want[0] != 'W');
        if (s->what <= GIVE && w->q->has_event)
            assert_int_equal(w->q->event.latency_us, w->now.mono_ms * 1000 - w->q->arrived_us);
        if (s->what != ASK || !w->q->has_event)
            continue;
        if (s->kept) {
            assert_memory_equal(&w->q->event.server, &server, sizeof server);
            assert_int_equal(w->q->event.real_rcode, real_rcode);
        }
        server = w->q->event.server;
        real_rcode = w->q->event.real_rcode;
    }
    world_free(w);
}

/* The longest name, and all that goes with a negative of our own. */
static void check_denied_size(void **state)
{
#define L63 "a23456789012345678901234567890123456789012345678901234567890123"
#define LONGEST L63 "." L63 "." L63 ".b234567890123456789012345678901234567890123456789"
    struct world *w =
        world_new("kms: {explain-in-edns: yes}\n",
                  "rules: {" L63 ": {suffixes: [\"*.b234567890123456789012345678901234567890123456"
                  "789\"], networks: [any], action: deny}}\n");

    for (int i = 0; i < 2; i++) {
        assert_int_equal(world_ask(w, i == 0 ? "_vlmcs._tcp." LONGEST " SRV edns=512"
                                             : "_vlmcs._tcp." LONGEST " SRV"),
                         ANSWER_SEND);
        assert_int_equal(w->q->message.qname.len, NAME_MAX_WIRE);
        assert_int_equal(w->q->limit, 512);
        assert_string_equal(
            world_answer(w, ANSWER_SEND),
            i == 0 ? "NOERROR edns ede=15:" L63 "\nns _vlmcs._tcp." LONGEST
                     ". 60 IN SOA _vlmcs._tcp." LONGEST ". nobody.invalid. 1 3600 1200 604800 60\n"
                   : "NOERROR\nns _vlmcs._tcp." LONGEST ". 60 IN SOA _vlmcs._tcp." LONGEST
                     ". nobody.invalid. 1 3600 1200 604800 60\n");
    }
    world_free(w);
}

/* A set, from the cached reply and from the kept decision: each target comes first some time,
 * the others follow in their order, and a chain stays in front. */
#define APPROVED "approved: [k1.example, k2.example, k3.example]\n"
static const struct order_row {
    const char *name, *settings, *policy;
    const char *owner; /* of the real set, which alternates with targets that are not approved */
    int orders;
} order_rows[] = {
    {"a real set begins with each of its records", "cache: {rotate: yes}\n", OTHER, NAME, 3},
    {"behind a chain, too", "cache: {rotate: yes}\n", OTHER, "s.example", 3},
    {"what a filter leaves of it, too", "cache: {rotate: yes}\n",
     APPROVED "rules: {r: {suffixes: [x.example], action: filter}}\n", NAME, 3},
    {"a real set in its order", "cache: {rotate: no}\n", OTHER, NAME, 1},
    {"a pool begins with each of its hosts", "cache: {rotate: no}\n",
     "pools: {p: [k1.example, k2.example, k3.example]}\nrules: {r: {suffixes: [x.example], pool: "
     "p}}\n",
     NULL, 3},
};

static void check_order(void **state)
{
    const struct order_row *r = *state;
    struct world *w = world_new(r->settings, r->policy);
    char reply[2000] = NX;
    int seen[3] = {0, 0, 0}, orders = 0;

    if (r->owner != NULL)
        snprintf(reply, sizeof reply, "NOERROR\n%s",
                 r->owner[0] == 's' ? "an " NAME ". 600 IN CNAME s.example.\n" : "");
    for (int i = 0; r->owner != NULL && i < 6; i++)
        snprintf(reply + strlen(reply), sizeof reply - strlen(reply),
                 "an %s. 600 IN SRV 0 0 1688 %s%d.example.\n", r->owner, i % 2 == 0 ? "k" : "bad",
                 i / 2 + 1);
    world_cache(w, NAME " SRV", reply);
    for (int i = 0; i < 60; i++) {
        const char *got = world_answer(w, ask(w, "SRV")), *cname = strstr(got, "CNAME"),
                   *p = strstr(got, "1688 k");
        int k;

        assert_non_null(p);
        assert_true(cname == NULL || cname < p);
        k = p[6] - '1';
        seen[k]++;
        for (int n = 1; n < 3; n++) {
            p = strstr(p + 1, "1688 k");
            assert_non_null(p);
            assert_int_equal(p[6] - '1', (k + n) % 3);
        }
    }
    assert_int_equal(w->stats.kms_decision_hits, 59);
    for (int i = 0; i < 3; i++)
        orders += seen[i] > 4;
    assert_int_equal(orders, r->orders);
    world_free(w);
}

/* --- sizes ---------------------------------------------------------------- */

static void check_size(void **state)
{
    char policy[4000] = "pools: {p: [", words[32];
    struct world *w;
    struct message m;

    for (int i = 0; i < 20; i++)
        sprintf(policy + strlen(policy), "%s{target: k%02d.corp.example, addresses: [10.0.0.%d]}",
                i ? ", " : "", i, i + 1);
    strcat(policy, "]}\nrules: {r: {suffixes: [x.example], action: replace, pool: p}}\n");
    w = world_new(NULL, policy);
    assert_int_equal(ask(w, "SRV"), ANSWER_SEND); /* 20 records of 36 octets do not fit into 512 */
    assert_string_equal(world_answer(w, ANSWER_SEND), "NOERROR tc");
    assert_int_equal(w->q->event.n_answer, AUDIT_HOSTS);
    for (int size = 900; size < 920; size++) { /* into 900 they do, and some of the addresses */
        sprintf(words, "SRV edns=%d", size);
        assert_int_equal(ask(w, words), ANSWER_SEND);
        (void)world_answer(w, ANSWER_SEND);
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        assert_true(m.edns.present);
        assert_int_equal(m.flags & DNS_TC, 0);
        assert_int_equal(m.counts[1], 20);
        assert_in_range(m.counts[3], 4, 6); /* the OPT is one */
    }
    assert_int_equal(ask(w, "SRV edns tcp"), ANSWER_SEND);
    assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
    assert_int_equal(m.counts[1], 20);
    assert_int_equal(m.counts[3], 21);
    world_free(w);
}

/* A long real answer is decided and delivered too. */
static void check_many_real(void **state)
{
    char reply[8000] = "NOERROR\n";
    struct world *w = world_new(NULL, FILTER);
    struct message m;

    for (int i = 0; i < 20; i++)
        sprintf(reply + strlen(reply), "an " NAME ". 60 IN SRV 0 0 %d %s.example.\n", i + 1,
                i < 12 ? "bad" : "good");
    strcat(reply, "an " NAME ". 60 IN SRV 0 0 1688 good.example.\n");
    assert_int_equal(ask(w, "SRV edns"), ANSWER_FORWARD);
    assert_int_equal(world_give(w, reply), ANSWER_SEND);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        assert_int_equal(m.counts[1], 1); /* good.example:1688; port 13 of it is not approved */
        assert_int_equal(w->q->event.n_real, AUDIT_HOSTS);
        assert_int_equal(w->q->event.n_unapproved, AUDIT_HOSTS);
        assert_int_equal(w->q->event.n_answer, 1);
        assert_int_equal(ask(w, "SRV edns"), ANSWER_SEND);
    }
    world_free(w);
}

/* --- damage --------------------------------------------------------------- */

static const struct damage_row {
    const char *name, *policy;
    enum policy_table table;
    const char *key;
} damage_rows[] = {
    {"pool of fill", FILL, TABLE_POOL, "p"},
    {"pool of replace: asks after all", REPLACE, TABLE_POOL, "p"},
    {"rule", FILL, TABLE_RULE, "r"},
    {"rule, never the next one", PASS, TABLE_RULE, "r"},
    {"networks of the client", FILL, TABLE_PREFIX, "lan"},
};

static void check_damage(void **state)
{
    const struct damage_row *r = *state;
    struct world *w = world_new(NULL, r->policy);

    damage(w, r->table, r->key);
    assert_int_equal(ask(w, "SRV"), ANSWER_FORWARD);
    for (int i = 0; i < 3; i++) {
        enum answer a = i == 0 ? world_give(w, NX) : ask(w, "SRV");

        expect(w, a, "NXDOMAIN\n" SOA(60), NULL);
        assert_int_equal(w->q->event.reason, REASON_DAMAGED);
        assert_int_equal(w->q->event.outcome, OUTCOME_MISSING);
        assert_int_equal(w->q->event.n_answer, 0);
        assert_int_equal(w->stats.kms_damaged, i + 1);
    }
    assert_int_equal(w->stats.kms_decision_hits, 0);
    world_free(w);
}

/* --- what went as it was to a server ---------------------------------------- */

/* Of the reply only the header is read. */
static void check_passthrough(void **state)
{
    static const struct {
        size_t len; /* 0: nothing came */
        uint8_t rcode, answers;
        const char *event;
    } replies[] = {
        {12, RCODE_NOERROR, 1, "passed no-rule present NOERROR"},
        {12, RCODE_NXDOMAIN, 1, "passed no-rule present NXDOMAIN"},
        {12, RCODE_NOERROR, 0, "missing no-rule nodata NOERROR"},
        {12, RCODE_NXDOMAIN, 0, "missing no-rule nxdomain NXDOMAIN"},
        {12, RCODE_SERVFAIL, 1, "failed no-rule servfail SERVFAIL"},
        {12, RCODE_REFUSED, 0, "failed no-rule refused REFUSED"},
        {12, RCODE_NOTIMP, 0, "failed no-rule other NOTIMP"},
        {7, RCODE_NOERROR, 1, "failed no-rule timeout SERVFAIL"},
        {0, RCODE_NOERROR, 0, "failed no-rule timeout SERVFAIL"},
    };
    struct world *w = world_new(NULL, OTHER);
    char text[200];

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        const uint8_t reply[12] = {[2] = 0x80, [3] = replies[i].rcode, [7] = replies[i].answers};
        const struct real came = {
            .image = replies[i].len > 0 ? reply : NULL, .len = replies[i].len, .server.port = 53};

        assert_int_equal(ask(w, "SRV tsig"), ANSWER_FORWARD);
        kms_event_passthrough(&w->view, w->q, &came, w->now);
        assert_string_equal(world_event(w, text, sizeof text), replies[i].event);
        assert_int_equal(w->q->event.server.port, 53);
    }
    world_free(w);
}

int main(void)
{
    ROWS(rows, check_row);
    ROWS(scripts, check_script);
    ROWS(damage_rows, check_damage);
    ROWS(order_rows, check_order);
    TEST(check_size);
    TEST(check_many_real);
    TEST(check_denied_size);
    TEST(check_passthrough);
    return RUN("kms");
}
