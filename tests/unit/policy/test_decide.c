/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_decide.c -- decisions, row by row: a policy in a few words (fixture.h),
 * a question, what the real DNS said, and what comes of it.
 */
#include "fixture.h"

#include <errno.h>

/* What there is beside each policy. */
#define OBJECTS                                                                                    \
    "net out 10.0.0.0/8; net in 10.20.0.0/16; net lab 10.20.64.0/18;"                              \
    "pool a kms-a.contoso.com; pool b kms-b.contoso.com:1700;"
#define NO_RULE " "
#define OURS "kms-a.contoso.com"
#define ALIEN "kms.evil.example"

#define FILL "rule r fill corp.example pool=a"
#define REPLACE "rule r replace corp.example pool=a"
#define FILTER "rule r filter corp.example"
#define DENY "rule r deny corp.example"

enum { DO = 1, SIGNED = 2 };

struct row {
    const char *what, *policy;
    const char *want;            /* "OUTCOME REASON RULE" */
    const char *real;            /* a verdict, "present TARGET ..."; NULL: nxdomain */
    const char *suffix, *client; /* NULL: corp.example, 10.1.1.1 */
    const char *would;           /* "OUTCOME RULE", NULL: none */
    unsigned flags;
    enum kms_mode lower; /* kms.mode is live less this many */
    uint64_t now, until; /* until 0: not looked at, nor is since */
    uint64_t since;
    const char *drop; /* "01": filtered targets */
    const char *pool;
    enum kms_verdict seen; /* 0: not looked at */
};

#define PRESENT(targets) .real = "present " targets
#define FROM_IN .client = "10.20.1.1"
#define FROM_LAB .client = "10.20.64.1"

static const struct row rows[] = {
    /* suffixes */
    {"no policy", "", "missing no-rule -"},
    {"exact suffix", FILL, "filled rule r", .pool = "a"},
    {"exact is not below", FILL, "missing no-rule -", .suffix = "hr.corp.example"},
    {"exact is not above", FILL, "missing no-rule -", .suffix = "example"},
    {"exact is not a sibling", FILL, "missing no-rule -", .suffix = "corq.example"},
    {"exact is not the end of a label", FILL, "missing no-rule -", .suffix = "xcorp.example"},
    {"below matches a child", "rule r fill *.corp.example pool=a", "filled rule r",
     .suffix = "hr.corp.example"},
    {"below matches a grandchild", "rule r fill *.corp.example pool=a", "filled rule r",
     .suffix = "x.y.hr.corp.example"},
    {"below is not the name itself", "rule r fill *.corp.example pool=a", "missing no-rule -"},
    {"star matches any", "rule r fill * pool=a net=any", "filled rule r", .suffix = "x.y.z"},
    {"star matches one label", "rule r fill * pool=a net=any", "filled rule r", .suffix = "local"},
    {"star is not the bare name", "rule r fill * pool=a net=any", "missing no-rule -",
     .suffix = "."},
    {"bare name", "rule r fill . pool=a", "filled rule r", .suffix = "."},
    {"bare rule is for the bare name only", "rule r fill . pool=a", "missing no-rule -"},
    {"exact before below", "rule a fill *.example pool=a net=any; rule b fill corp.example pool=b",
     "filled rule b", .pool = "b"},
    {"longest below first",
     "rule a fill *.example pool=a net=any; rule b fill *.corp.example pool=b", "filled rule b",
     .suffix = "hr.corp.example"},
    {"below before star", "rule a fill * pool=a net=any; rule b fill *.corp.example pool=b",
     "filled rule b", .suffix = "hr.corp.example"},
    {"then by name", "rule z fill corp.example pool=a; rule m fill corp.example pool=b",
     "filled rule m"},
    {"a name that begins like another is before it",
     "rule ab fill corp.example pool=a; rule a fill corp.example pool=b", "filled rule a"},
    {"best suffix of one rule counts",
     "rule z fill corp.example,*.example pool=a net=any; rule a fill *.example pool=b net=any",
     "filled rule z"},
    {"upper case in the question", FILL, "filled rule r", .suffix = "CoRp.EXAMPLE"},
    {"upper case in the rule", "rule r fill CORP.Example pool=a", "filled rule r"},
    {"other octets as they are", "rule r fill b\xc3\xbcro.example pool=a", "filled rule r",
     .suffix = "b\xc3\xbcro.example"},
    {"only ASCII is folded", "rule r fill b\xc3\xbcro.example pool=a", "missing no-rule -",
     .suffix = "b\xc3\x9cro.example"},
    {"octets 0 and 1 in a label", "rule r fill a\\000b.example pool=a", "filled rule r",
     .suffix = "a\\000b.example"},
    {"a parent's exact rule beside a child's",
     "rule r fill corp.example,x.hr.corp.example pool=a; rule s fill *.example pool=b net=any",
     "filled rule s", .suffix = "hr.corp.example"},
    {"sixty labels deep",
     "rule r fill *.example pool=a net=any; rule s fill z.example,a.a.example pool=b",
     "filled rule r",
     .suffix = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
               "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.example"},

    /* networks */
    {"client in the network", "rule r fill corp.example pool=a net=in", "filled rule r", FROM_IN},
    {"client elsewhere", "rule r fill corp.example pool=a net=in", "missing no-rule -"},
    {"client in no network", "rule r fill corp.example pool=a net=in", "missing no-rule -",
     .client = "192.0.2.1"},
    {"any is every client", "rule r fill corp.example pool=a net=any", "filled rule r",
     .client = "192.0.2.1"},
    {"inner network first",
     "rule a fill corp.example pool=a net=out; rule b fill corp.example pool=b net=lab",
     "filled rule b", FROM_LAB},
    {"outer network still holds",
     "rule a fill corp.example pool=a net=out; rule b fill corp.example pool=b net=lab",
     "filled rule a", FROM_IN},
    {"a new inner network changes no answer",
     "rule a fill corp.example pool=a net=out; net new 10.20.64.0/24", "filled rule a", FROM_LAB},
    {"network before suffix", "rule n deny * net=lab; rule e fill corp.example pool=a",
     "denied rule n", FROM_LAB},
    {"network's star deny beats an exact pass for everybody",
     "rule n deny * net=lab; rule e pass corp.example", "denied rule n", PRESENT(OURS), FROM_LAB},
    {"but not elsewhere", "rule n deny * net=lab; rule e fill corp.example pool=a", "filled rule e",
     FROM_IN},
    {"rule in two of the client's networks counts with the inner",
     "rule a fill corp.example pool=a net=in; rule z fill corp.example pool=b net=out,lab",
     "filled rule z", FROM_LAB},
    {"the order in which a rule names networks is nothing",
     "rule a fill corp.example pool=a net=in; rule z fill corp.example pool=b net=lab,out",
     "filled rule z", FROM_LAB},
    {"any beside a network: the network counts",
     "rule a fill corp.example pool=a net=out; rule z fill corp.example pool=b net=any,in",
     "filled rule z", FROM_IN},
    {"any beside a network: others too", "rule z fill corp.example pool=b net=any,in",
     "filled rule z"},
    {"IPv6 client", "net six 2001:db8:5::/48; rule r fill corp.example pool=a net=six",
     "filled rule r", .client = "2001:db8:5::9"},
    {"a whole-family network is still one",
     "net all 0.0.0.0/0; rule a fill corp.example pool=a; rule z fill corp.example pool=b net=all",
     "filled rule z"},

    /* action x verdict */
    {"fill at nodata", FILL, "filled rule r", .real = "nodata"},
    {"fill leaves present", FILL, "passed no-rule -", PRESENT(OURS), .seen = VERDICT_PRESENT},
    {"fill leaves unapproved", FILL, "passed no-rule -", PRESENT(ALIEN),
     .seen = VERDICT_UNAPPROVED},
    {"fill leaves servfail", FILL, "failed no-rule -", .real = "servfail"},
    {"fill leaves timeout", FILL, "failed no-rule -", .real = "timeout"},
    {"fill when failed: servfail", FILL " when=missing,failed", "filled rule r",
     .real = "servfail"},
    {"fill when failed: refused", FILL " when=missing,failed", "filled rule r", .real = "refused"},
    {"fill when failed: timeout", FILL " when=missing,failed", "filled rule r", .real = "timeout"},
    {"fill when failed: other", FILL " when=missing,failed", "filled rule r", .real = "other"},
    {"fill when failed leaves present", FILL " when=missing,failed", "passed no-rule -",
     PRESENT(OURS)},
    {"a fill that does not apply lets the next one",
     "rule a fill corp.example pool=a; rule b replace corp.example pool=b when=unapproved",
     "replaced rule b", PRESENT(ALIEN)},
    {"replace at nxdomain", REPLACE, "replaced rule r", .pool = "a"},
    {"replace at present", "rule r replace corp.example pool=b", "replaced rule r", PRESENT(OURS),
     .pool = "b"},
    {"replace at timeout", REPLACE, "replaced rule r", .real = "timeout"},
    {"replace when unapproved", REPLACE " when=unapproved", "replaced rule r", PRESENT(ALIEN)},
    {"replace when unapproved, one of two", REPLACE " when=unapproved", "replaced rule r",
     PRESENT(OURS " " ALIEN)},
    {"replace when unapproved leaves approved", REPLACE " when=unapproved", "passed no-rule -",
     PRESENT(OURS)},
    {"replace when unapproved leaves missing", REPLACE " when=unapproved", "missing no-rule -"},
    {"deny at nxdomain", DENY, "denied rule r", .seen = VERDICT_NXDOMAIN},
    {"deny at present", DENY, "denied rule r", PRESENT(OURS)},
    {"deny at servfail", DENY, "denied rule r", .real = "servfail"},
    {"pass at nxdomain",
     "rule a pass corp.example; rule r fill *.example,corp.example pool=a net=any",
     "missing rule a"},
    {"pass at present", "rule a pass corp.example; rule r replace corp.example pool=b",
     "passed rule a", PRESENT(OURS)},
    {"pass at refused", "rule a pass corp.example", "failed rule a", .real = "refused"},
    {"filter leaves some", FILTER, "filtered rule r", PRESENT(OURS " " ALIEN), .drop = "01"},
    {"filter leaves approved alone", FILTER, "passed no-rule -", PRESENT(OURS)},
    {"filter at nxdomain", FILTER, "missing no-rule -"},
    {"filter leaves none", FILTER, "filtered rule r", PRESENT(ALIEN), .drop = "1",
     .seen = VERDICT_UNAPPROVED},
    {"filter leaves none, then fill", "rule a filter corp.example; rule r fill corp.example pool=b",
     "filled rule r", PRESENT(ALIEN), .pool = "b", .seen = VERDICT_UNAPPROVED},
    {"filter leaves some: no fill", "rule a filter corp.example; rule r fill corp.example pool=b",
     "filtered rule a", PRESENT(ALIEN " " OURS), .drop = "10"},
    {"filter leaves none, then a fill that came before it",
     "rule a fill corp.example pool=b; rule r filter *.example net=any", "filled rule a",
     PRESENT(ALIEN)},
    {"filter leaves none, other filters do not count",
     "rule a filter corp.example; rule b filter *.example net=any", "filtered rule a",
     PRESENT(ALIEN), .drop = "1"},
    {"filter leaves none, then deny", "rule a filter corp.example; rule r deny corp.example",
     "denied rule r", PRESENT(ALIEN)},
    {"filter leaves none, then pass: nothing is passed",
     "rule a filter corp.example; rule r pass corp.example", "filtered rule a", PRESENT(ALIEN),
     .drop = "1"},
    {"filter leaves none, then replace",
     "rule a filter corp.example; rule r replace corp.example pool=a", "replaced rule r",
     PRESENT(ALIEN)},
    {"no rule: what is there passes, and is noted", NO_RULE, "passed no-rule -", PRESENT(ALIEN),
     .seen = VERDICT_UNAPPROVED},

    /* approved */
    {"target `.` is never unapproved", FILTER, "passed no-rule -", PRESENT("."),
     .seen = VERDICT_PRESENT},
    {"target `.` is present: fill leaves it", FILL, "passed no-rule -", PRESENT(".")},
    {"listed without being served", "ok kms.adatum.net; rule r filter corp.example",
     "passed no-rule -", PRESENT("kms.adatum.net")},
    {"another port is another target", "ok kms.adatum.net; rule r filter corp.example",
     "filtered rule r", PRESENT("kms.adatum.net:1689"), .drop = "1"},
    {"port of the pool", FILTER, "passed no-rule -", PRESENT("kms-b.contoso.com:1700")},
    {"any pool approves, also one that nobody uses", FILTER, "filtered rule r",
     PRESENT("kms-b.contoso.com:1700 kms-b.contoso.com"), .drop = "01"},

    /* modes */
    {"off", FILL " mode=off", "missing no-rule -"},
    {"off hides nothing behind it",
     "rule a deny corp.example mode=off; rule r fill corp.example pool=a", "filled rule r"},
    {"shadow changes no answer", FILL " mode=shadow", "missing no-rule -", .would = "filled r"},
    {"shadow beside live", "rule a deny corp.example mode=shadow; rule r fill corp.example pool=a",
     "filled rule r", .would = "denied a"},
    {"shadow behind live: would is the same",
     "rule a fill corp.example pool=a; rule r deny corp.example mode=shadow", "filled rule a",
     .would = "filled a"},
    {"shadow that does not apply", FILL " mode=shadow", "passed no-rule -", PRESENT(OURS),
     .would = "passed -"},
    {"shadow of another network is none", "rule r fill corp.example pool=a mode=shadow net=lab",
     "missing no-rule -"},
    {"shadow filter, then live fill",
     "rule a filter corp.example mode=shadow; rule r fill corp.example pool=b", "passed no-rule -",
     PRESENT(ALIEN), .would = "filled r"},
    {"live filter, then shadow fill",
     "rule a filter corp.example; rule r fill corp.example pool=b mode=shadow", "filtered rule a",
     PRESENT(ALIEN), .would = "filled r", .drop = "1"},
    {"kms.mode shadow", FILL, "missing no-rule -", .lower = 1, .would = "filled r"},
    {"kms.mode shadow leaves off", FILL " mode=off", "missing no-rule -", .lower = 1},
    {"kms.mode off", FILL, "missing off -", .lower = 2},
    {"kms.mode off still sees unapproved", DENY, "passed off -", PRESENT(ALIEN), .lower = 2,
     .seen = VERDICT_UNAPPROVED},

    /* time */
    {"before from", FILL " from=500", "missing no-rule -", .now = 499, .until = 500},
    {"at from", FILL " from=500", "filled rule r", .now = 500, .since = 500, .until = UINT64_MAX},
    {"before until", FILL " until=900", "filled rule r", .now = 899, .until = 900},
    {"at until", FILL " until=900", "missing no-rule -", .now = 900, .since = 900,
     .until = UINT64_MAX},
    {"between", FILL " from=500 until=900", "filled rule r", .now = 600, .since = 500,
     .until = 900},
    {"after both", FILL " from=500 until=900", "missing no-rule -", .now = 950, .since = 900,
     .until = UINT64_MAX},
    {"since of the last of several",
     "rule a fill corp.example pool=a from=100 until=550; rule r fill corp.example pool=a from=500",
     "filled rule r", .now = 600, .since = 550, .until = UINT64_MAX},
    {"since of a shadow rule", FILL " from=500 mode=shadow", "missing no-rule -", .now = 600,
     .since = 500, .until = UINT64_MAX, .would = "filled r"},
    {"no since of a rule that is off", FILL " from=500 mode=off", "missing no-rule -", .now = 600,
     .until = UINT64_MAX},
    {"expired exception falls to the next",
     "rule a deny corp.example until=900; rule r fill corp.example pool=a", "filled rule r",
     .now = 901},
    {"until of one that does not decide",
     "rule a fill corp.example pool=a; rule r deny corp.example from=700", "filled rule a",
     .now = 600, .until = 700},
    {"until of another network is nothing",
     "rule a fill corp.example pool=a; rule r deny corp.example from=700 net=lab", "filled rule a",
     .now = 600, .until = UINT64_MAX},
    {"the nearest of several",
     "rule a fill corp.example pool=a until=950; rule r deny *.example net=any from=700",
     "filled rule a", .now = 600, .until = 700},

    /* DNSSEC */
    {"signed negative with DO", FILL, "missing signed r", .flags = DO | SIGNED},
    {"signed negative without DO", FILL, "filled rule r", .flags = SIGNED},
    {"unsigned negative with DO", FILL, "filled rule r", .flags = DO},
    {"break-dnssec", FILL " break-dnssec=yes", "filled rule r", .flags = DO | SIGNED},
    {"signed positive with DO: filter", FILTER, "passed signed r", PRESENT(ALIEN),
     .flags = DO | SIGNED},
    {"signed with DO: deny", DENY, "passed signed r", PRESENT(OURS), .flags = DO | SIGNED},
    {"signed with DO: pass is pass", "rule r pass corp.example", "missing rule r",
     .flags = DO | SIGNED},
    {"signed with DO, no rule", NO_RULE, "missing no-rule -", .flags = DO | SIGNED},
    {"a rule that may break does not lend it to the fill behind it",
     "rule a filter corp.example break-dnssec=yes; rule r fill corp.example pool=b",
     "filtered rule a", PRESENT(ALIEN), .flags = DO | SIGNED, .drop = "1"},

    /* not asked */
    {"not asked: deny", DENY, "denied rule r", .real = "-"},
    {"not asked: replace", REPLACE, "replaced rule r", .real = "-", .pool = "a"},
    {"not asked: a fill before it stops the deny",
     "rule a fill corp.example pool=a; rule r deny corp.example", "failed no-rule -", .real = "-"},
    {"not asked: a shadow fill before it leaves would open",
     "rule a fill corp.example pool=a mode=shadow; rule r deny corp.example", "denied rule r",
     .real = "-"},
    {"not asked: deny with DO", DENY, "denied rule r", .real = "-", .flags = DO},
    {"not asked: deny before fill", "rule a deny corp.example; rule r fill corp.example pool=a",
     "denied rule a", .real = "-"},
    {"not asked: a filter before it stops the deny",
     "rule a filter corp.example; rule r deny corp.example", "failed no-rule -", .real = "-"},
    {"not asked: replace when unapproved", REPLACE " when=unapproved", "failed no-rule -",
     .real = "-"},
    {"not asked: shadow deny", DENY " mode=shadow", "failed no-rule -", .real = "-",
     .would = "denied r"},
    {"not asked: kms.mode off", DENY, "failed off -", .real = "-", .lower = 2},
    {"not asked: no policy", "", "failed no-rule -", .real = "-"},
    {"not asked: pass", "rule r pass corp.example", "failed no-rule -", .real = "-"},
};

static void ask_init(struct fixture_question *q, const struct row *r, struct fixture *f)
{
    fixture_ask(f, r->suffix != NULL ? r->suffix : "corp.example",
                r->client != NULL ? r->client : "10.1.1.1", q);
    q->ask.wall_ms = r->now;
    q->ask.do_bit = (r->flags & DO) != 0;
    q->ask.limit = (enum kms_mode)((int)MODE_LIVE - (int)r->lower);
}

static void read_real(const char *text, struct policy_real *real, struct srv *out)
{
    char *words = strdup(text != NULL ? text : "nxdomain"), *save;

    real->verdict = (enum kms_verdict)str_index(verdict_names, strtok_r(words, " ", &save));
    for (char *w; (w = strtok_r(NULL, " ", &save)) != NULL; real->n_srv++) {
        struct policy_host h = {.target = {.len = 1}, .port = 1688};

        if (strcmp(w, ".") != 0)
            assert_null(host_parse(&h, w));
        out[real->n_srv] = (struct srv){.port = h.port, .target = h.target};
    }
    free(words);
}

/* A read of a store with that policy. */
static void begin(struct fixture *f, const char *policy)
{
    fixture_folder(f);
    fixture_open(f);
    fixture_policy(f, policy);
    assert_int_equal(store_reader_begin(f->reader->txn), 0);
}

static void end(struct fixture *f)
{
    store_end(f->reader->txn);
    fixture_remove(f);
}

/* What is decided without the real DNS is so whatever it says. */
static void check_blind(struct fixture *f, const struct policy_ask *ask,
                        const struct policy_real *real, const struct policy_decision *d)
{
    static struct policy_decision blind;
    struct policy_match m;
    bool is_blind;

    policy_match(f->reader, ask, &m);
    is_blind = policy_decide_blind(f->reader, ask, &m, &blind);
    if (real->verdict == VERDICT_NONE)
        assert_int_equal(is_blind, !ask->do_bit && d->reason == REASON_RULE);
    if (!is_blind)
        return;
    assert_int_equal(blind.outcome, d->outcome);
    assert_string_equal(blind.rule, d->rule);
    assert_string_equal(blind.pool, d->pool);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    static struct policy_decision d;
    struct fixture_question q;
    struct srv srv[SRV_MAX];
    struct policy_real real = {.srv = srv, .is_signed = (r->flags & SIGNED) != 0};
    struct fixture f;
    char text[500], would[200] = "";

    snprintf(text, sizeof text, "%s%s", r->policy[0] != '\0' ? OBJECTS : "", r->policy);
    begin(&f, text);
    ask_init(&q, r, &f);
    read_real(r->real, &real, srv);
    memset(&d, 0xee, sizeof d);
    policy_decide(f.reader, &q.ask, &real, &d);
    snprintf(text, sizeof text, "%s %s %s", outcome_names[d.outcome], reason_names[d.reason],
             d.rule[0] != '\0' ? d.rule : "-");
    assert_string_equal(text, r->want);
    if (d.would.outcome != 0)
        snprintf(would, sizeof would, "%s %s", outcome_names[d.would.outcome],
                 d.would.rule[0] != '\0' ? d.would.rule : "-");
    assert_string_equal(would, r->would != NULL ? r->would : "");
    assert_int_equal(d.n_hosts > 0, d.outcome == OUTCOME_FILLED || d.outcome == OUTCOME_REPLACED);
    if (r->pool != NULL)
        assert_string_equal(d.pool, r->pool);
    if (r->until != 0)
        assert_true(d.until_ms == r->until && d.since_ms == r->since);
    if (r->seen != VERDICT_NONE)
        assert_int_equal(d.verdict, r->seen);
    for (int i = 0; i < real.n_srv; i++)
        assert_int_equal(d.outcome == OUTCOME_FILTERED && d.unapproved[i],
                         r->drop != NULL && r->drop[i] == '1');
    assert_int_equal(d.serial, *r->policy != '\0');
    check_blind(&f, &q.ask, &real, &d);
    end(&f);
}

/* --- what is delivered ----------------------------------------------------- */

static void hosts_as_in_the_pool(void **state)
{
    const struct row r = {0};
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;
    struct fixture f;
    char text[HOST_TEXT];

    begin(&f, "pool p kms2.contoso.com:1700,priority=5,weight=7,address=10.0.0.9,address=fd00::9 "
              "kms1.contoso.com,probe=no; rule r fill corp.example pool=p ttl=77s");
    ask_init(&q, &r, &f);
    policy_decide(f.reader, &q.ask, &real, &d);
    assert_int_equal(d.n_hosts, 2);
    assert_int_equal(d.ttl, 77);
    assert_int_equal(d.action, ACTION_FILL);
    assert_string_equal(
        host_print(&d.hosts[0], text, sizeof text),
        "kms2.contoso.com:1700,priority=5,weight=7,address=10.0.0.9,address=fd00::9");
    assert_string_equal(host_print(&d.hosts[1], text, sizeof text),
                        "kms1.contoso.com:1688,probe=no");
    end(&f);
}

/* Who may be a host is known anew after each change. */
static void hosts_after_a_change(void **state)
{
    struct fixture f;
    struct name host;

    assert_int_equal(name_parse(&host, "kms1.contoso.com"), 0);
    begin(&f, "pool p kms1.contoso.com");
    assert_false(policy_may_be_host(f.reader, &host));
    store_end(f.reader->txn);
    fixture_policy(&f, "pool p kms1.contoso.com,address=10.0.0.9");
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    assert_true(policy_may_be_host(f.reader, &host));
    end(&f);
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(hosts_as_in_the_pool);
    TEST(hosts_after_a_change);
    return RUN("decide");
}
