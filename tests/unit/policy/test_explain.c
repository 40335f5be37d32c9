/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_explain.c -- the rules that are named for a decision.
 */
#include "fixture.h"

#define POLICY                                                                                     \
    "net lab 10.20.64.0/18; net dmz 192.0.2.0/24; net mgmt 172.16.0.0/12;"                         \
    "pool a kms-a.contoso.com; pool b kms-b.contoso.com:1700;"                                     \
    "rule dmz-mak deny * net=dmz; rule kiosks fill * pool=a net=lab mode=shadow;"                  \
    "rule merged fill fabrikam.local pool=a; rule deep fill x.hr.fabrikam.local pool=a;"           \
    "rule asleep fill hr.fabrikam.local pool=a mode=off;"                                          \
    "rule last fill *.local pool=b net=any; rule zz pass *.local net=any;"                         \
    "rule bad replace hr.fabrikam.local pool=a when=unapproved;"                                   \
    "rule below fill *.hr.fabrikam.local pool=a;"                                                  \
    "rule signed deny only.example; rule old fill only.example pool=a until=500;"                  \
    "rule three deny three.example net=lab,dmz,mgmt;"                                              \
    "rule twice deny *.d.example,x.d.example;"                                                     \
    "rule weed filter w.example; rule then fill w.example pool=a"

#define DMZ "dmz-mak no client is not in dmz\n"
#define LAB "kiosks no client is not in lab\n"
#define OLD "old no was valid until 1970-01-01 00:00:00\n"

static const struct row {
    const char *what, *suffix, *client, *want;
    enum kms_verdict verdict;
    bool is_signed;
    unsigned lower; /* kms.mode is live less this many */
} rows[] = {
    {"a candidate decides", "hr.fabrikam.local", "10.20.64.1",
     "kiosks no shadow (it would fill)\n"
     "bad no acts when unapproved; the real DNS says nxdomain\n"
     "last yes fills from pool b\n"
     "zz no last comes first\n"
     "asleep no mode is off\n" DMZ
     "below no has *.hr.fabrikam.local, which covers the names below it only\n"
     "merged no has fabrikam.local, which covers that name only\n",
     VERDICT_NXDOMAIN},
    {"none stands", "other.example", "10.1.1.1", DMZ LAB, VERDICT_NXDOMAIN},
    {"in none of three networks", "three.example", "10.1.1.1",
     "three no client is not in dmz, lab or mgmt\n" DMZ LAB, VERDICT_NXDOMAIN},
    {"two suffixes of one rule", "x.d.example", "10.1.1.1", "twice yes denies\n" DMZ LAB,
     VERDICT_NXDOMAIN},
    {"a filter leaves none", "w.example", "10.1.1.1",
     "then yes fills from pool a\n"
     "weed no leaves no target, so the other rules are tried as if there were none\n" DMZ LAB,
     VERDICT_UNAPPROVED},
    {"signed", "only.example", "10.1.1.1",
     "signed no the real answer is signed and the client asks for DNSSEC; "
     "break-dnssec is not set\n" OLD DMZ LAB,
     VERDICT_NXDOMAIN, .is_signed = true},
    {"kms.mode shadow", "only.example", "192.0.2.1",
     "dmz-mak no kms.mode is shadow (it would deny)\n"
     "signed no kms.mode is shadow (it would deny)\n" OLD LAB,
     VERDICT_NXDOMAIN, .lower = 1},
    {"kms.mode off", "only.example", "192.0.2.1",
     "dmz-mak no kms.mode is off\n" OLD "signed no kms.mode is off\n" LAB, VERDICT_NXDOMAIN,
     .lower = 2},
    {"not asked", "only.example", "10.1.1.1", "signed yes denies\n" OLD DMZ LAB, VERDICT_NONE},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    const struct policy_real real = {.verdict = r->verdict, .is_signed = r->is_signed};
    static struct policy_decision d;
    struct fixture_question q;
    struct fixture f;
    struct policy_trial trials[16];
    char text[4096];
    size_t all, n = 1;
    struct str s;

    setenv("TZ", "UTC", 1);
    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, POLICY);
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    fixture_ask(&f, r->suffix, r->client, &q);
    q.ask.wall_ms = 1000;
    q.ask.limit = (enum kms_mode)(MODE_LIVE - r->lower);
    q.ask.do_bit = r->is_signed;
    policy_decide(f.reader, &q.ask, &real, &d);
    all = policy_explain(f.reader, &q.ask, &d, trials, ARRAY_LEN(trials));
    /* With room for some, the first ones are listed. */
    for (size_t max = all; n > 0; max--) {
        n = policy_explain(f.reader, &q.ask, &d, trials, max);
        assert_int_equal(n, max);
        str_init(&s, text, sizeof text);
        for (size_t i = 0; i < n; i++)
            str_addf(&s, "%s %s %s\n", trials[i].rule, trials[i].acts ? "yes" : "no",
                     trials[i].why);
        assert_memory_equal(text, r->want, strlen(text));
        assert_true(max < all || strcmp(text, r->want) == 0);
    }
    store_end(f.reader->txn);
    fixture_remove(&f);
}

TESTS("explain", ROWS(rows, check_row))
