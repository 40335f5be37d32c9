/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_kms_host.c -- addresses that a pool gives for its hosts, where the real
 * DNS has none: who gets them, of which type, and what the real DNS may say.
 */
#define HOST "kms.corp.example"
#define QUESTION HOST " A edns"
#include "tests/unit/resolver/kms.h"

#define NETWORKS "networks: {lan: [10.0.0.0/8], kiosks: [10.20.0.0/16], dmz: [10.30.0.0/16]}\n"
#define PIN(addresses) "{target: " HOST ", addresses: [" addresses "]}"
#define POLICY(addresses, rule)                                                                    \
    NETWORKS "pools: {p: [" PIN(addresses) ", good.example], q: [other.example]}\n"                \
                                           "rules:\n  r: {suffixes: [x.example], pool: p" rule     \
                                           "}\n"
#define V4 POLICY("10.0.0.5", "")
#define BOTH POLICY("10.0.0.5, \"fd00::5\"", "")
#define FAILED POLICY("10.0.0.5", ", when: [missing, failed]")
#define SPLIT                                                                                      \
    NETWORKS "pools: {inner: [" PIN("10.0.0.5") "], outer: [" PIN(                                 \
        "10.30.0.5") "]}\n"                                                                        \
                     "rules:\n"                                                                    \
                     "  all: {suffixes: [x.example], pool: inner}\n"                               \
                     "  outside: {suffixes: [y.example], networks: [dmz], pool: outer}\n"
#define MINE                                                                                       \
    "access: [{net: 10.0.0.0/8, action: allow}]\nforward: [{zone: ., servers: [10.0.0.53]}]\n"

#define OWN_SOA(ttl)                                                                               \
    "ns " HOST ". " #ttl " IN SOA " HOST ". nobody.invalid. 1 3600 1200 604800 " #ttl "\n"
#define A(ttl, ip) "an " HOST ". " #ttl " IN A " ip "\n"
#define AAAA(ttl) "an " HOST ". " #ttl " IN AAAA fd00::5\n"
#define SIG "ns example. 300 IN RRSIG SOA 8 1 600 20300101000000 20200101000000 1 example. AAAA\n"
#define NX "NXDOMAIN\n" SOA(300)
#define ND "NOERROR\n" SOA(300)
#define GIVEN "NOERROR edns ede=29\n" A(300, "10.0.0.5")
#define NOT_GIVEN "NXDOMAIN edns\n" SOA(300)

static const struct row rows[] = {
    /* what the real DNS says */
    {"nxdomain", V4, NX, GIVEN},
    {"nodata", V4, ND, GIVEN},
    {"nodata without SOA", V4, "NOERROR", GIVEN},
    {"the real DNS has an address", V4, "NOERROR\n" A(60, "192.0.2.9"),
     "NOERROR edns\n" A(60, "192.0.2.9")},
    {"it has a CNAME that leads nowhere", V4,
     "NXDOMAIN\nan " HOST ". 60 IN CNAME a.example.\n" SOA(60),
     "NXDOMAIN edns\nan " HOST ". 60 IN CNAME a.example.\n" SOA(60)},
    {"servfail", V4, "SERVFAIL", "SERVFAIL edns ede=23"},
    {"servfail, and the rule acts when failed", FAILED, "SERVFAIL",
     "NOERROR edns ede=29\n" A(30, "10.0.0.5")},
    {"timeout, and the rule acts when failed", FAILED, "timeout",
     "NOERROR edns ede=29\n" A(30, "10.0.0.5")},
    {"timeout, the other family", FAILED, "timeout", "NOERROR edns ede=29\n" OWN_SOA(30),
     .ask = HOST " AAAA edns"},
    {"timeout, another type", FAILED, "timeout", "SERVFAIL edns ede=22", .ask = HOST " TXT edns"},
    {"failed, and only an unapproved answer is replaced",
     POLICY("10.0.0.5", ", action: replace, when: [unapproved]"), "SERVFAIL",
     "SERVFAIL edns ede=23"},
    {"failed, and every answer is replaced", POLICY("10.0.0.5", ", action: replace"), "SERVFAIL",
     "NOERROR edns ede=29\n" A(30, "10.0.0.5")},
    {"nxdomain, and only an unapproved answer is replaced",
     POLICY("10.0.0.5", ", action: replace, when: [unapproved]"), NX, GIVEN},
    {"no route", FAILED, NULL, "NOERROR edns ede=29\n" A(30, "10.0.0.5"), .settings = ELSEWHERE},
    {"RD=0, not known", FAILED, NULL, "REFUSED edns ede=20", .ask = HOST " A edns rd0"},

    /* type and class */
    {"AAAA", BOTH, NX, "NOERROR edns ede=29\n" AAAA(300), .ask = HOST " AAAA edns"},
    {"A of both", BOTH, NX, GIVEN},
    {"nodata, the other family", V4, ND, "NOERROR edns\n" SOA(300), .ask = HOST " AAAA edns"},
    {"nxdomain, the other family: the name exists", V4, NX, "NOERROR edns ede=29\n" OWN_SOA(60),
     .ask = HOST " AAAA edns"},
    {"nxdomain, another type: the name exists", V4, NX, "NOERROR edns ede=29\n" OWN_SOA(60),
     .ask = HOST " HTTPS edns"},
    {"nodata, another type", V4, ND, "NOERROR edns\n" SOA(300), .ask = HOST " TXT edns"},
    {"another class", FAILED, "timeout", "SERVFAIL edns ede=22", .ask = HOST " A class=4 edns"},
    {"below the host", V4, NX, NOT_GIVEN, .ask = "x." HOST " A edns"},
    {"above the host", V4, NX, NOT_GIVEN, .ask = "corp.example A edns"},
    {"another host of the pool, without addresses", V4, NX, NOT_GIVEN,
     .ask = "good.example A edns"},
    {"another host of the pool, with an address of its own",
     POLICY("10.0.0.5]}, {target: z.example, addresses: [10.0.0.77", ""), NX, GIVEN},
    {"the client's case, without EDNS", V4, NX, "NOERROR\nan KMS.corp.Example. 300 IN A 10.0.0.5\n",
     .ask = "KMS.corp.Example A"},
    {"several ports of a host",
     NETWORKS "pools: {p: [" PIN("10.0.0.5") ", {target: " HOST
                                             ", port: 1689, addresses: [10.0.0.5]}]}\nrules: {r: "
                                             "{suffixes: [x.example], pool: p}}\n",
     NX, GIVEN},
    {"AD is not passed on", V4, "NXDOMAIN ad\n" SOA(300), "NOERROR\n" A(300, "10.0.0.5"),
     .ask = HOST " A ad", .settings = MINE},
    {"the rule's name in EDNS", V4, NX, "NOERROR edns ede=29:r\n" A(300, "10.0.0.5"),
     .settings = "kms: {explain-in-edns: yes}\n"},

    /* the rule */
    {"TTL of the rule", POLICY("10.0.0.5", ", ttl: 2m"), NX,
     "NOERROR edns ede=29\n" A(120, "10.0.0.5")},
    {"at most five minutes", POLICY("10.0.0.5", ", ttl: 2h"), NX, GIVEN},
    {"a pool that no rule gives",
     NETWORKS "pools: {p: [" PIN(
         "10.0.0.5") "], q: [other.example]}\nrules: {r: {suffixes: [x.example], pool: q}}\n",
     NX, NOT_GIVEN},
    {"shadow", POLICY("10.0.0.5", ", mode: shadow"), NX, NOT_GIVEN},
    {"off", POLICY("10.0.0.5", ", mode: off"), NX, NOT_GIVEN},
    {"kms.mode shadow", V4, NX, NOT_GIVEN, .settings = "kms: {mode: shadow}\n"},
    {"kms.mode off", V4, NX, NOT_GIVEN, .settings = "kms: {mode: off}\n"},
    {"not valid yet", POLICY("10.0.0.5", ", from: 2023-11-14T23:00:00Z"), NX, NOT_GIVEN},
    {"its network", POLICY("10.0.0.5", ", networks: [kiosks]"), NX, GIVEN,
     .ask = HOST " A edns from=10.20.0.1"},
    {"another network", POLICY("10.0.0.5", ", networks: [kiosks]"), NX, NOT_GIVEN},
    {"the nearest network decides, inside", SPLIT, NX, GIVEN},
    {"the nearest network decides, outside", SPLIT, NX, "NOERROR edns ede=29\n" A(300, "10.30.0.5"),
     .ask = HOST " A edns from=10.30.0.1"},
    {"no store", NULL, NX, NOT_GIVEN},

    /* DNSSEC */
    {"signed, DO", V4, NX SIG, "NXDOMAIN edns do\n" SOA(300) SIG, .ask = HOST " A do"},
    {"signed, without DO", V4, NX SIG, GIVEN},
    {"unsigned, DO", V4, NX, "NOERROR edns do ede=29\n" A(300, "10.0.0.5"), .ask = HOST " A do"},
    {"signed, and the rule breaks it", POLICY("10.0.0.5", ", break-dnssec: yes"), NX SIG,
     "NOERROR edns do ede=29\n" A(300, "10.0.0.5"), .ask = HOST " A do"},
};

/* An expired negative, when nobody answers any more. */
static void check_stale(void **state)
{
    struct world *w = world_new(NULL, V4);

    world_cache(w, HOST " A", NX);
    world_wait(w, 301000);
    assert_int_equal(world_ask(w, HOST " A edns"), ANSWER_FORWARD);
    expect(w, world_give(w, "timeout"), "NOERROR edns ede=29\n" A(30, "10.0.0.5"), NULL);
    world_free(w);
}

/* A change of the policy counts from the next batch on, also for what is cached. */
static void check_change(void **state)
{
    struct world *w = world_new(NULL, V4);

    world_cache(w, HOST " A", NX);
    expect(w, world_ask(w, HOST " A edns"), GIVEN, NULL);
    world_policy(w, POLICY("10.0.0.6", ""));
    expect(w, world_ask(w, HOST " A edns"), "NOERROR edns ede=29\n" A(300, "10.0.0.6"), NULL);
    world_policy(w, POLICY("10.0.0.6", ", mode: off"));
    expect(w, world_ask(w, HOST " A edns"), NOT_GIVEN, NULL);
    world_policy(w, NETWORKS);
    expect(w, world_ask(w, HOST " A edns"), NOT_GIVEN, NULL);
    world_policy(w, V4);
    expect(w, world_ask(w, HOST " A edns"), GIVEN, NULL);
    world_free(w);
}

/* All of them, from another one on in each answer. */
static void check_many(void **state)
{
    struct world *w = world_new(NULL, POLICY("10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, "
                                             "10.0.0.6, 10.0.0.7, 10.0.0.8",
                                             ""));
    unsigned first[9] = {0};

    world_cache(w, HOST " A", NX);
    for (int i = 0; i < 200; i++) {
        const char *p = strstr(world_answer(w, world_ask(w, HOST " A")), "IN A 10.0.0.");
        struct message m;

        assert_non_null(p);
        assert_in_range(p[12], '1', '8');
        first[p[12] - '0']++;
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        assert_int_equal(m.counts[1], 8);
    }
    for (int i = 1; i <= 8; i++)
        assert_in_range(first[i], 5, 60);
    world_free(w);
}

/* A host that is there with many ports, at the limit and above it. */
static void check_most(void **state)
{
    for (int hosts = 32; hosts <= 33; hosts++) {
        char policy[4000] = "pools: {p: [";
        struct message m;
        struct world *w;

        for (int i = 0; i < hosts; i++)
            sprintf(policy + strlen(policy),
                    "{target: " HOST ", port: %d, addresses: [10.0.0.%d]}, ", i + 1, i + 1);
        strcat(policy, "]}\nrules: {r: {suffixes: [x.example], pool: p}}\n");
        w = world_new(NULL, policy);
        world_cache(w, HOST " A", NX);
        assert_int_equal(world_ask(w, HOST " A edns"), ANSWER_SEND);
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        assert_int_equal(m.counts[1], 32);
        world_free(w);
    }
}

/* Who is no host is hardly ever looked for. */
static void check_filter(void **state)
{
    struct world *w = world_new(NULL, V4);
    struct name name;
    char text[64];
    int n = 0;

    assert_true(view_policy(&w->view));
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "pc%d.corp.example", i);
        assert_int_equal(name_parse(&name, text), 0);
        n += policy_may_be_host(w->reader, &name);
    }
    assert_in_range(n, 0, 10);
    world_free(w);
}

/* More hosts than the filter takes: all of them are found. */
static void check_full_filter(void **state)
{
    static char policy[40000] = "pools:\n";
    char question[64], want[128];
    struct name name;
    struct world *w;

    for (int i = 0; i < 9 * 64; i++) {
        if (i % 64 == 0)
            sprintf(policy + strlen(policy), "  p%d:\n", i / 64);
        sprintf(policy + strlen(policy), "    - {target: k%02d.example, addresses: [10.0.0.%d]}\n",
                i % 64, i % 64 + 1);
    }
    strcat(policy, "rules:\n");
    for (int i = 0; i < 9; i++)
        sprintf(policy + strlen(policy), "  r%d: {suffixes: [x%d.example], pool: p%d}\n", i, i, i);
    w = world_new(NULL, policy);
    for (int i = 0; i < 64; i++) {
        sprintf(question, "k%02d.example A", i);
        world_cache(w, question, NX);
        sprintf(want, "NOERROR\nan k%02d.example. 300 IN A 10.0.0.%d\n", i, i + 1);
        expect(w, world_ask(w, question), want, NULL);
    }
    world_cache(w, "k64.example A", NX);
    expect(w, world_ask(w, "k64.example A"), NX, NULL);
    assert_int_equal(name_parse(&name, "anybody.else.example"), 0);
    assert_true(policy_may_be_host(w->reader, &name)); /* it is looked for */
    world_free(w);
}

static const struct damage_row {
    const char *name;
    enum policy_table table;
    const char *key;
} damage_rows[] = {
    {"damage: the pool", TABLE_POOL, "p"},
    {"damage: the rule", TABLE_RULE, "r"},
    {"damage: the index", TABLE_HOST, "p"},
    {"damage: the networks of the client", TABLE_PREFIX, "lan"},
};

static void check_damage(void **state)
{
    const struct damage_row *r = *state;
    struct world *w = world_new(NULL, V4);

    damage(w, r->table, r->key);
    world_cache(w, HOST " A", NX);
    expect(w, world_ask(w, HOST " A edns"), NOT_GIVEN, NULL);
    assert_int_equal(w->stats.kms_damaged, 1);
    world_free(w);
}

int main(void)
{
    ROWS(rows, check_row);
    ROWS(damage_rows, check_damage);
    TEST(check_stale);
    TEST(check_change);
    TEST(check_many);
    TEST(check_most);
    TEST(check_filter);
    TEST(check_full_filter);
    return RUN("kms_host");
}
