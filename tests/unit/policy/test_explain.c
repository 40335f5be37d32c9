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
    "rule twice deny *.d.example,x.d.example"

struct row {
    const char *what, *suffix, *client;
    enum kms_verdict verdict;
    bool is_signed;
    enum kms_mode limit;
    const char *want;
};

static const struct row rows[] = {
    {"a candidate decides", "hr.fabrikam.local", "10.20.64.1", VERDICT_NXDOMAIN, false, MODE_LIVE,
     "kiosks no shadow (it would fill)\n"
     "bad no acts when unapproved; the real DNS says nxdomain\n"
     "last yes fills from pool b\n"
     "zz no last comes first\n"
     "asleep no mode is off\n"
     "dmz-mak no client is not in dmz\n"
     "below no has *.hr.fabrikam.local, which covers the names below it only\n"
     "merged no has fabrikam.local, which covers that name only\n"},
    {"none stands", "other.example", "10.1.1.1", VERDICT_NXDOMAIN, false, MODE_LIVE,
     "dmz-mak no client is not in dmz\n"
     "kiosks no client is not in lab\n"},
    {"in none of three networks", "three.example", "10.1.1.1", VERDICT_NXDOMAIN, false, MODE_LIVE,
     "three no client is not in dmz, lab or mgmt\n"
     "dmz-mak no client is not in dmz\n"
     "kiosks no client is not in lab\n"},
    {"two suffixes of one rule", "x.d.example", "10.1.1.1", VERDICT_NXDOMAIN, false, MODE_LIVE,
     "twice yes denies\n"
     "dmz-mak no client is not in dmz\n"
     "kiosks no client is not in lab\n"},
    {"signed", "only.example", "10.1.1.1", VERDICT_NXDOMAIN, true, MODE_LIVE,
     "signed no the real answer is signed and the client asks for DNSSEC; "
     "break-dnssec is not set\n"
     "old no was valid until 1970-01-01 00:00:00\n"
     "dmz-mak no client is not in dmz\n"
     "kiosks no client is not in lab\n"},
    {"kms.mode shadow", "only.example", "192.0.2.1", VERDICT_NXDOMAIN, false, MODE_SHADOW,
     "dmz-mak no kms.mode is shadow (it would deny)\n"
     "signed no kms.mode is shadow (it would deny)\n"
     "old no was valid until 1970-01-01 00:00:00\n"
     "kiosks no client is not in lab\n"},
    {"kms.mode off", "only.example", "192.0.2.1", VERDICT_NXDOMAIN, false, MODE_OFF,
     "dmz-mak no kms.mode is off\n"
     "old no was valid until 1970-01-01 00:00:00\n"
     "signed no kms.mode is off\n"
     "kiosks no client is not in lab\n"},
    {"not asked", "only.example", "10.1.1.1", VERDICT_NONE, false, MODE_LIVE,
     "signed yes denies\n"
     "old no was valid until 1970-01-01 00:00:00\n"
     "dmz-mak no client is not in dmz\n"
     "kiosks no client is not in lab\n"},
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
    struct str s;
    size_t n;

    setenv("TZ", "UTC", 1);
    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, POLICY);
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    fixture_ask(&f, r->suffix, r->client, &q);
    q.ask.wall_ms = 1000;
    q.ask.limit = r->limit;
    q.ask.do_bit = r->is_signed;
    str_init(&s, text, sizeof text);
    policy_decide(f.reader, &q.ask, &real, &d);
    n = policy_explain(f.reader, &q.ask, &d, trials, ARRAY_LEN(trials));
    for (size_t i = 0; i < n; i++)
        str_addf(&s, "%s %s %s\n", trials[i].rule, trials[i].acts ? "yes" : "no", trials[i].why);
    assert_string_equal(text, r->want);
    store_end(f.reader->txn);
    fixture_remove(&f);
}

/* --- the index -------------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

static unsigned draw(unsigned n) /* xorshift: the same numbers in each run */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

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

enum { RULES = 12 };

static void make_rules(struct fixture *f, struct suffix suffixes[RULES])
{
    struct policy_change *t = fixture_begin(f, 1);

    assert_int_equal(fixture_apply(t, "clear; pool a kms-a.contoso.com"), 0);
    for (unsigned i = 0; i < RULES; i++) {
        char text[128] = "*";

        if (draw(17) != 0)
            draw_name(text, sizeof text, draw(3) == 0 ? "*." : "", 4);
        suffixes[i] = fixture_suffix(text);
        assert_int_equal(fixture_apply(t, "rule r%02u fill %s pool=a net=any", i, text), 0);
    }
    fixture_commit(t);
}

/* How near the suffix is to the name: 0 does not match. */
static unsigned nearness(const struct suffix *s, const struct name *name)
{
    switch (s->kind) {
    case SUFFIX_EXACT:
        return name_equal(&s->name, name) ? 1000 : 0;
    case SUFFIX_BELOW:
        return name_is_under(name, &s->name) && name->labels > s->name.labels ? 1u + s->name.labels
                                                                              : 0;
    case SUFFIX_ANY:
        return 1;
    case SUFFIX_BARE:
        break;
    }
    return 0;
}

static void ask_one(struct fixture *f, const struct suffix suffixes[RULES])
{
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    char text[128], want[8] = "";
    struct fixture_question q;
    struct name suffix;
    unsigned best = 0;

    draw_name(text, sizeof text, "", 5);
    fixture_ask(f, text, "10.1.1.1", &q);
    name_parent(&q.qname, 2, &suffix);
    for (unsigned i = 0; i < RULES; i++)
        if (nearness(&suffixes[i], &suffix) > best) {
            best = nearness(&suffixes[i], &suffix);
            snprintf(want, sizeof want, "r%02u", i);
        }
    policy_decide(f->reader, &q.ask, &real, &d);
    assert_string_equal(d.rule, want);
}

/* Keys between a name and its parents must not hide the parents, at any depth. */
static void index_like_plain_comparison(void **state)
{
    struct fixture *f = *state;

    for (unsigned round = 0; round < 80; round++) {
        struct suffix suffixes[RULES];

        make_rules(f, suffixes);
        assert_int_equal(store_reader_begin(f->reader->txn), 0);
        for (unsigned i = 0; i < 80; i++)
            ask_one(f, suffixes);
        store_end(f->reader->txn);
    }
}

int main(void)
{
    ROWS(rows, check_row);
    FIXTURE_TEST(index_like_plain_comparison);
    return RUN("explain");
}
