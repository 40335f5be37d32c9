/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_explain.c -- the rules that are named for a decision, and the index of
 * suffixes against a plain comparison of names.
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

/* --- the index -------------------------------------------------------------- */

/* Up to max labels of a few that sort badly. */
static void draw_name(char *out, size_t size, const char *front, unsigned max)
{
    static const char *const labels[] = {"a", "b", "ab", "z", "\\000", "a-b"};
    struct str s;

    str_init(&s, out, size);
    str_add(&s, front);
    for (unsigned n = 1 + draw(max), k = 0; k < n; k++)
        str_addf(&s, "%s%s", k > 0 ? "." : "", labels[draw(ARRAY_LEN(labels))]);
}

/* How near the suffix is to the name, as texts: 0 does not match. */
static size_t nearness(const char *suffix, const char *name)
{
    size_t n = strlen(suffix), m = strlen(name);

    if (suffix[0] != '*')
        return strcmp(suffix, name) == 0 ? SIZE_MAX : 0;
    return n == 1 || (m > n - 1 && strcmp(suffix + 1, name + m - (n - 1)) == 0) ? n : 0;
}

/* Keys between a name and its parents must not hide the parents, at any depth. */
static void index_like_plain_comparison(void **state)
{
    enum { RULES = 12 };
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    char suffixes[RULES][128], name[128], want[8];
    struct fixture *f = *state;
    struct fixture_question q;

    for (unsigned round = 0; round < 80; round++) {
        struct policy_change *t = fixture_begin(f, 1);

        assert_int_equal(fixture_apply(t, "clear; pool a kms-a.contoso.com"), 0);
        for (unsigned i = 0; i < RULES; i++) {
            strcpy(suffixes[i], "*");
            if (draw(17) != 0)
                draw_name(suffixes[i], sizeof suffixes[i], draw(3) == 0 ? "*." : "", 4);
            assert_int_equal(fixture_apply(t, "rule r%02u fill %s pool=a net=any", i, suffixes[i]),
                             0);
        }
        fixture_commit(t);
        assert_int_equal(store_reader_begin(f->reader->txn), 0);
        for (unsigned k = 0; k < 80; k++) {
            size_t best = 0;

            draw_name(name, sizeof name, "", 5);
            want[0] = '\0';
            for (unsigned i = 0; i < RULES; i++)
                if (nearness(suffixes[i], name) > best) {
                    best = nearness(suffixes[i], name);
                    snprintf(want, sizeof want, "r%02u", i);
                }
            fixture_ask(f, name, "10.1.1.1", &q);
            policy_decide(f->reader, &q.ask, &real, &d);
            assert_string_equal(d.rule, want);
        }
        store_end(f->reader->txn);
    }
}

TESTS("explain", ROWS(rows, check_row), FIXTURE_TEST(index_like_plain_comparison))
