/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_decide.c -- decisions, row by row: a policy in a few words (fixture.h),
 * a question, what the real DNS said, and what comes of it.
 */
#include "fixture.h"

#include <errno.h>

#define NETS "net out 10.0.0.0/8; net in 10.20.0.0/16; net lab 10.20.64.0/18;"
#define POOLS "pool a kms-a.contoso.com; pool b kms-b.contoso.com:1700;"
#define OURS "kms-a.contoso.com"
#define ALIEN "kms.evil.example"

enum { DO = 1, SIGNED = 2 };

struct row {
    const char *what, *policy, *suffix, *client;
    enum kms_verdict verdict;
    const char *srv;   /* targets of the real answer */
    const char *want;  /* "OUTCOME REASON RULE" */
    const char *would; /* "OUTCOME RULE", NULL: none */
    unsigned flags;
    enum kms_mode lower; /* kms.mode is live less this many */
    uint64_t now, until; /* until 0: not looked at, nor is since */
    uint64_t since;
    const char *drop; /* "01": filtered targets */
    const char *pool;
    enum kms_verdict seen; /* 0: not looked at */
};

#define NX .verdict = VERDICT_NXDOMAIN
#define PRESENT .verdict = VERDICT_PRESENT
#define FROM_OUT .client = "10.1.1.1"
#define FROM_IN .client = "10.20.1.1"
#define FROM_LAB .client = "10.20.64.1"

static const struct row rows[] = {
    /* suffixes */
    {"no policy", "", "corp.example", NX, .want = "missing no-rule -"},
    {"exact suffix", POOLS "rule r fill corp.example pool=a", "corp.example", NX,
     .want = "filled rule r", .pool = "a"},
    {"exact is not below", POOLS "rule r fill corp.example pool=a", "hr.corp.example", NX,
     .want = "missing no-rule -"},
    {"exact is not above", POOLS "rule r fill corp.example pool=a", "example", NX,
     .want = "missing no-rule -"},
    {"exact is not a sibling", POOLS "rule r fill corp.example pool=a", "corq.example", NX,
     .want = "missing no-rule -"},
    {"exact is not the end of a label", POOLS "rule r fill corp.example pool=a", "xcorp.example",
     NX, .want = "missing no-rule -"},
    {"below matches a child", POOLS "rule r fill *.corp.example pool=a", "hr.corp.example", NX,
     .want = "filled rule r"},
    {"below matches a grandchild", POOLS "rule r fill *.corp.example pool=a", "x.y.hr.corp.example",
     NX, .want = "filled rule r"},
    {"below is not the name itself", POOLS "rule r fill *.corp.example pool=a", "corp.example", NX,
     .want = "missing no-rule -"},
    {"star matches any", POOLS "rule r fill * pool=a net=any", "x.y.z", NX,
     .want = "filled rule r"},
    {"star matches one label", POOLS "rule r fill * pool=a net=any", "local", NX,
     .want = "filled rule r"},
    {"star is not the bare name", POOLS "rule r fill * pool=a net=any", ".", NX,
     .want = "missing no-rule -"},
    {"bare name", POOLS "rule r fill . pool=a", ".", NX, .want = "filled rule r"},
    {"bare rule is for the bare name only", POOLS "rule r fill . pool=a", "corp.example", NX,
     .want = "missing no-rule -"},
    {"exact before below",
     POOLS "rule a fill *.example pool=a net=any; rule b fill corp.example pool=b", "corp.example",
     NX, .want = "filled rule b", .pool = "b"},
    {"longest below first",
     POOLS "rule a fill *.example pool=a net=any; rule b fill *.corp.example pool=b",
     "hr.corp.example", NX, .want = "filled rule b"},
    {"below before star", POOLS "rule a fill * pool=a net=any; rule b fill *.corp.example pool=b",
     "hr.corp.example", NX, .want = "filled rule b"},
    {"then by name", POOLS "rule z fill corp.example pool=a; rule m fill corp.example pool=b",
     "corp.example", NX, .want = "filled rule m"},
    {"a name that begins like another is before it",
     POOLS "rule ab fill corp.example pool=a; rule a fill corp.example pool=b", "corp.example", NX,
     .want = "filled rule a"},
    {"best suffix of one rule counts",
     POOLS
     "rule z fill corp.example,*.example pool=a net=any; rule a fill *.example pool=b net=any",
     "corp.example", NX, .want = "filled rule z"},
    {"upper case in the question", POOLS "rule r fill corp.example pool=a", "CoRp.EXAMPLE", NX,
     .want = "filled rule r"},
    {"upper case in the rule", POOLS "rule r fill CORP.Example pool=a", "corp.example", NX,
     .want = "filled rule r"},
    {"other octets as they are", POOLS "rule r fill b\xc3\xbcro.example pool=a",
     "b\xc3\xbcro.example", NX, .want = "filled rule r"},
    {"only ASCII is folded", POOLS "rule r fill b\xc3\xbcro.example pool=a", "b\xc3\x9cro.example",
     NX, .want = "missing no-rule -"},
    {"octets 0 and 1 in a label", POOLS "rule r fill a\\000b.example pool=a", "a\\000b.example", NX,
     .want = "filled rule r"},
    {"a parent's exact rule beside a child's",
     POOLS
     "rule r fill corp.example,x.hr.corp.example pool=a; rule s fill *.example pool=b net=any",
     "hr.corp.example", NX, .want = "filled rule s"},
    {"sixty labels deep",
     POOLS "rule r fill *.example pool=a net=any; rule s fill z.example,a.a.example pool=b",
     "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
     "a.a.a.a.a.a.a.a.a.a.a.a.a.example",
     NX, .want = "filled rule r"},

    /* networks */
    {"client in the network", NETS POOLS "rule r fill corp.example pool=a net=in", "corp.example",
     NX, FROM_IN, .want = "filled rule r"},
    {"client elsewhere", NETS POOLS "rule r fill corp.example pool=a net=in", "corp.example", NX,
     FROM_OUT, .want = "missing no-rule -"},
    {"client in no network", NETS POOLS "rule r fill corp.example pool=a net=in", "corp.example",
     NX, .client = "192.0.2.1", .want = "missing no-rule -"},
    {"any is every client", NETS POOLS "rule r fill corp.example pool=a net=any", "corp.example",
     NX, .client = "192.0.2.1", .want = "filled rule r"},
    {"inner network first",
     NETS POOLS "rule a fill corp.example pool=a net=out; rule b fill corp.example pool=b net=lab",
     "corp.example", NX, FROM_LAB, .want = "filled rule b"},
    {"outer network still holds",
     NETS POOLS "rule a fill corp.example pool=a net=out; rule b fill corp.example pool=b net=lab",
     "corp.example", NX, FROM_IN, .want = "filled rule a"},
    {"a new inner network changes no answer",
     NETS POOLS "rule a fill corp.example pool=a net=out; net new 10.20.64.0/24", "corp.example",
     NX, FROM_LAB, .want = "filled rule a"},
    {"network before suffix", NETS POOLS "rule n deny * net=lab; rule e fill corp.example pool=a",
     "corp.example", NX, FROM_LAB, .want = "denied rule n"},
    {"network's star deny beats an exact pass for everybody",
     NETS POOLS "rule n deny * net=lab; rule e pass corp.example", "corp.example", PRESENT,
     .srv = OURS, FROM_LAB, .want = "denied rule n"},
    {"but not elsewhere", NETS POOLS "rule n deny * net=lab; rule e fill corp.example pool=a",
     "corp.example", NX, FROM_IN, .want = "filled rule e"},
    {"rule in two of the client's networks counts with the inner",
     NETS POOLS
     "rule a fill corp.example pool=a net=in; rule z fill corp.example pool=b net=out,lab",
     "corp.example", NX, FROM_LAB, .want = "filled rule z"},
    {"the order in which a rule names networks is nothing",
     NETS POOLS
     "rule a fill corp.example pool=a net=in; rule z fill corp.example pool=b net=lab,out",
     "corp.example", NX, FROM_LAB, .want = "filled rule z"},
    {"any beside a network: the network counts",
     NETS POOLS
     "rule a fill corp.example pool=a net=out; rule z fill corp.example pool=b net=any,in",
     "corp.example", NX, FROM_IN, .want = "filled rule z"},
    {"any beside a network: others too", NETS POOLS "rule z fill corp.example pool=b net=any,in",
     "corp.example", NX, FROM_OUT, .want = "filled rule z"},
    {"IPv6 client", POOLS "net six 2001:db8:5::/48; rule r fill corp.example pool=a net=six",
     "corp.example", NX, .client = "2001:db8:5::9", .want = "filled rule r"},
    {"a whole-family network is still one",
     POOLS
     "net all 0.0.0.0/0; rule a fill corp.example pool=a; rule z fill corp.example pool=b net=all",
     "corp.example", NX, FROM_OUT, .want = "filled rule z"},

    /* action x verdict */
    {"fill at nodata", POOLS "rule r fill corp.example pool=a", "corp.example",
     .verdict = VERDICT_NODATA, .want = "filled rule r"},
    {"fill leaves present", POOLS "rule r fill corp.example pool=a", "corp.example", PRESENT,
     .srv = OURS, .want = "passed no-rule -", .seen = VERDICT_PRESENT},
    {"fill leaves unapproved", POOLS "rule r fill corp.example pool=a", "corp.example", PRESENT,
     .srv = ALIEN, .want = "passed no-rule -", .seen = VERDICT_UNAPPROVED},
    {"fill leaves servfail", POOLS "rule r fill corp.example pool=a", "corp.example",
     .verdict = VERDICT_SERVFAIL, .want = "failed no-rule -"},
    {"fill leaves timeout", POOLS "rule r fill corp.example pool=a", "corp.example",
     .verdict = VERDICT_TIMEOUT, .want = "failed no-rule -"},
    {"fill when failed: servfail", POOLS "rule r fill corp.example pool=a when=missing,failed",
     "corp.example", .verdict = VERDICT_SERVFAIL, .want = "filled rule r"},
    {"fill when failed: refused", POOLS "rule r fill corp.example pool=a when=missing,failed",
     "corp.example", .verdict = VERDICT_REFUSED, .want = "filled rule r"},
    {"fill when failed: timeout", POOLS "rule r fill corp.example pool=a when=missing,failed",
     "corp.example", .verdict = VERDICT_TIMEOUT, .want = "filled rule r"},
    {"fill when failed: other", POOLS "rule r fill corp.example pool=a when=missing,failed",
     "corp.example", .verdict = VERDICT_OTHER, .want = "filled rule r"},
    {"fill when failed leaves present", POOLS "rule r fill corp.example pool=a when=missing,failed",
     "corp.example", PRESENT, .srv = OURS, .want = "passed no-rule -"},
    {"a fill that does not apply lets the next one",
     POOLS "rule a fill corp.example pool=a; rule b replace corp.example pool=b when=unapproved",
     "corp.example", PRESENT, .srv = ALIEN, .want = "replaced rule b"},
    {"replace at nxdomain", POOLS "rule r replace corp.example pool=a", "corp.example", NX,
     .want = "replaced rule r", .pool = "a"},
    {"replace at present", POOLS "rule r replace corp.example pool=b", "corp.example", PRESENT,
     .srv = OURS, .want = "replaced rule r", .pool = "b"},
    {"replace at timeout", POOLS "rule r replace corp.example pool=a", "corp.example",
     .verdict = VERDICT_TIMEOUT, .want = "replaced rule r"},
    {"replace when unapproved", POOLS "rule r replace corp.example pool=a when=unapproved",
     "corp.example", PRESENT, .srv = ALIEN, .want = "replaced rule r"},
    {"replace when unapproved, one of two",
     POOLS "rule r replace corp.example pool=a when=unapproved", "corp.example", PRESENT,
     .srv = OURS " " ALIEN, .want = "replaced rule r"},
    {"replace when unapproved leaves approved",
     POOLS "rule r replace corp.example pool=a when=unapproved", "corp.example", PRESENT,
     .srv = OURS, .want = "passed no-rule -"},
    {"replace when unapproved leaves missing",
     POOLS "rule r replace corp.example pool=a when=unapproved", "corp.example", NX,
     .want = "missing no-rule -"},
    {"deny at nxdomain", "rule r deny corp.example", "corp.example", NX, .want = "denied rule r",
     .seen = VERDICT_NXDOMAIN},
    {"deny at present", POOLS "rule r deny corp.example", "corp.example", PRESENT, .srv = OURS,
     .want = "denied rule r"},
    {"deny at servfail", "rule r deny corp.example", "corp.example", .verdict = VERDICT_SERVFAIL,
     .want = "denied rule r"},
    {"pass at nxdomain",
     POOLS "rule a pass corp.example; rule r fill *.example,corp.example pool=a net=any",
     "corp.example", NX, .want = "missing rule a"},
    {"pass at present", POOLS "rule a pass corp.example; rule r replace corp.example pool=b",
     "corp.example", PRESENT, .srv = OURS, .want = "passed rule a"},
    {"pass at refused", "rule a pass corp.example", "corp.example", .verdict = VERDICT_REFUSED,
     .want = "failed rule a"},
    {"filter leaves some", POOLS "rule r filter corp.example", "corp.example", PRESENT,
     .srv = OURS " " ALIEN, .want = "filtered rule r", .drop = "01"},
    {"filter leaves approved alone", POOLS "rule r filter corp.example", "corp.example", PRESENT,
     .srv = OURS, .want = "passed no-rule -"},
    {"filter at nxdomain", "rule r filter corp.example", "corp.example", NX,
     .want = "missing no-rule -"},
    {"filter leaves none", POOLS "rule r filter corp.example", "corp.example", PRESENT,
     .srv = ALIEN, .want = "filtered rule r", .drop = "1", .seen = VERDICT_UNAPPROVED},
    {"filter leaves none, then fill",
     POOLS "rule a filter corp.example; rule r fill corp.example pool=b", "corp.example", PRESENT,
     .srv = ALIEN, .want = "filled rule r", .pool = "b", .seen = VERDICT_UNAPPROVED},
    {"filter leaves some: no fill",
     POOLS "rule a filter corp.example; rule r fill corp.example pool=b", "corp.example", PRESENT,
     .srv = ALIEN " " OURS, .want = "filtered rule a", .drop = "10"},
    {"filter leaves none, then a fill that came before it",
     POOLS "rule a fill corp.example pool=b; rule r filter *.example net=any", "corp.example",
     PRESENT, .srv = ALIEN, .want = "filled rule a"},
    {"filter leaves none, other filters do not count",
     POOLS "rule a filter corp.example; rule b filter *.example net=any", "corp.example", PRESENT,
     .srv = ALIEN, .want = "filtered rule a", .drop = "1"},
    {"filter leaves none, then deny", POOLS "rule a filter corp.example; rule r deny corp.example",
     "corp.example", PRESENT, .srv = ALIEN, .want = "denied rule r"},
    {"filter leaves none, then pass: nothing is passed",
     POOLS "rule a filter corp.example; rule r pass corp.example", "corp.example", PRESENT,
     .srv = ALIEN, .want = "filtered rule a", .drop = "1"},
    {"filter leaves none, then replace",
     POOLS "rule a filter corp.example; rule r replace corp.example pool=a", "corp.example",
     PRESENT, .srv = ALIEN, .want = "replaced rule r"},
    {"no rule: what is there passes, and is noted", POOLS, "corp.example", PRESENT, .srv = ALIEN,
     .want = "passed no-rule -", .seen = VERDICT_UNAPPROVED},

    /* approved */
    {"target `.` is never unapproved", POOLS "rule r filter corp.example", "corp.example", PRESENT,
     .srv = ".", .want = "passed no-rule -", .seen = VERDICT_PRESENT},
    {"target `.` is present: fill leaves it", POOLS "rule r fill corp.example pool=a",
     "corp.example", PRESENT, .srv = ".", .want = "passed no-rule -"},
    {"listed without being served", "ok kms.adatum.net; rule r filter corp.example", "corp.example",
     PRESENT, .srv = "kms.adatum.net", .want = "passed no-rule -"},
    {"another port is another target", "ok kms.adatum.net; rule r filter corp.example",
     "corp.example", PRESENT, .srv = "kms.adatum.net:1689", .want = "filtered rule r", .drop = "1"},
    {"port of the pool", POOLS "rule r filter corp.example", "corp.example", PRESENT,
     .srv = "kms-b.contoso.com:1700", .want = "passed no-rule -"},
    {"any pool approves, also one that nobody uses", POOLS "rule r filter corp.example",
     "corp.example", PRESENT, .srv = "kms-b.contoso.com:1700 kms-b.contoso.com",
     .want = "filtered rule r", .drop = "01"},

    /* modes */
    {"off", POOLS "rule r fill corp.example pool=a mode=off", "corp.example", NX,
     .want = "missing no-rule -"},
    {"off hides nothing behind it",
     POOLS "rule a deny corp.example mode=off; rule r fill corp.example pool=a", "corp.example", NX,
     .want = "filled rule r"},
    {"shadow changes no answer", POOLS "rule r fill corp.example pool=a mode=shadow",
     "corp.example", NX, .want = "missing no-rule -", .would = "filled r"},
    {"shadow beside live",
     POOLS "rule a deny corp.example mode=shadow; rule r fill corp.example pool=a", "corp.example",
     NX, .want = "filled rule r", .would = "denied a"},
    {"shadow behind live: would is the same",
     POOLS "rule a fill corp.example pool=a; rule r deny corp.example mode=shadow", "corp.example",
     NX, .want = "filled rule a", .would = "filled a"},
    {"shadow that does not apply", POOLS "rule r fill corp.example pool=a mode=shadow",
     "corp.example", PRESENT, .srv = OURS, .want = "passed no-rule -", .would = "passed -"},
    {"shadow of another network is none",
     NETS POOLS "rule r fill corp.example pool=a mode=shadow net=lab", "corp.example", NX, FROM_OUT,
     .want = "missing no-rule -"},
    {"shadow filter, then live fill",
     POOLS "rule a filter corp.example mode=shadow; rule r fill corp.example pool=b",
     "corp.example", PRESENT, .srv = ALIEN, .want = "passed no-rule -", .would = "filled r"},
    {"live filter, then shadow fill",
     POOLS "rule a filter corp.example; rule r fill corp.example pool=b mode=shadow",
     "corp.example", PRESENT, .srv = ALIEN, .want = "filtered rule a", .would = "filled r",
     .drop = "1"},
    {"kms.mode shadow", POOLS "rule r fill corp.example pool=a", "corp.example", NX, .lower = 1,
     .want = "missing no-rule -", .would = "filled r"},
    {"kms.mode shadow leaves off", POOLS "rule r fill corp.example pool=a mode=off", "corp.example",
     NX, .lower = 1, .want = "missing no-rule -"},
    {"kms.mode off", POOLS "rule r fill corp.example pool=a", "corp.example", NX, .lower = 2,
     .want = "missing off -"},
    {"kms.mode off still sees unapproved", POOLS "rule r deny corp.example", "corp.example",
     PRESENT, .srv = ALIEN, .lower = 2, .want = "passed off -", .seen = VERDICT_UNAPPROVED},

    /* time */
    {"before from", POOLS "rule r fill corp.example pool=a from=500", "corp.example", NX,
     .now = 499, .until = 500, .want = "missing no-rule -"},
    {"at from", POOLS "rule r fill corp.example pool=a from=500", "corp.example", NX, .now = 500,
     .since = 500, .until = UINT64_MAX, .want = "filled rule r"},
    {"before until", POOLS "rule r fill corp.example pool=a until=900", "corp.example", NX,
     .now = 899, .until = 900, .want = "filled rule r"},
    {"at until", POOLS "rule r fill corp.example pool=a until=900", "corp.example", NX, .now = 900,
     .since = 900, .until = UINT64_MAX, .want = "missing no-rule -"},
    {"between", POOLS "rule r fill corp.example pool=a from=500 until=900", "corp.example", NX,
     .now = 600, .since = 500, .until = 900, .want = "filled rule r"},
    {"after both", POOLS "rule r fill corp.example pool=a from=500 until=900", "corp.example", NX,
     .now = 950, .since = 900, .until = UINT64_MAX, .want = "missing no-rule -"},
    {"since of the last of several",
     POOLS "rule a fill corp.example pool=a from=100 until=550; rule r fill corp.example pool=a "
           "from=500",
     "corp.example", NX, .now = 600, .since = 550, .until = UINT64_MAX, .want = "filled rule r"},
    {"since of a shadow rule", POOLS "rule r fill corp.example pool=a from=500 mode=shadow",
     "corp.example", NX, .now = 600, .since = 500, .until = UINT64_MAX, .want = "missing no-rule -",
     .would = "filled r"},
    {"no since of a rule that is off", POOLS "rule r fill corp.example pool=a from=500 mode=off",
     "corp.example", NX, .now = 600, .until = UINT64_MAX, .want = "missing no-rule -"},
    {"expired exception falls to the next",
     POOLS "rule a deny corp.example until=900; rule r fill corp.example pool=a", "corp.example",
     NX, .now = 901, .want = "filled rule r"},
    {"until of one that does not decide",
     POOLS "rule a fill corp.example pool=a; rule r deny corp.example from=700", "corp.example", NX,
     .now = 600, .until = 700, .want = "filled rule a"},
    {"until of another network is nothing",
     NETS POOLS "rule a fill corp.example pool=a; rule r deny corp.example from=700 net=lab",
     "corp.example", NX, FROM_OUT, .now = 600, .until = UINT64_MAX, .want = "filled rule a"},
    {"the nearest of several",
     POOLS "rule a fill corp.example pool=a until=950; rule r deny *.example net=any from=700",
     "corp.example", NX, .now = 600, .until = 700, .want = "filled rule a"},

    /* DNSSEC */
    {"signed negative with DO", POOLS "rule r fill corp.example pool=a", "corp.example", NX,
     .flags = DO | SIGNED, .want = "missing signed r"},
    {"signed negative without DO", POOLS "rule r fill corp.example pool=a", "corp.example", NX,
     .flags = SIGNED, .want = "filled rule r"},
    {"unsigned negative with DO", POOLS "rule r fill corp.example pool=a", "corp.example", NX,
     .flags = DO, .want = "filled rule r"},
    {"break-dnssec", POOLS "rule r fill corp.example pool=a break", "corp.example", NX,
     .flags = DO | SIGNED, .want = "filled rule r"},
    {"signed positive with DO: filter", POOLS "rule r filter corp.example", "corp.example", PRESENT,
     .srv = ALIEN, .flags = DO | SIGNED, .want = "passed signed r"},
    {"signed with DO: deny", POOLS "rule r deny corp.example", "corp.example", PRESENT, .srv = OURS,
     .flags = DO | SIGNED, .want = "passed signed r"},
    {"signed with DO: pass is pass", POOLS "rule r pass corp.example", "corp.example", NX,
     .flags = DO | SIGNED, .want = "missing rule r"},
    {"signed with DO, no rule", POOLS, "corp.example", NX, .flags = DO | SIGNED,
     .want = "missing no-rule -"},
    {"a rule that may break does not lend it to the fill behind it",
     POOLS "rule a filter corp.example break; rule r fill corp.example pool=b", "corp.example",
     PRESENT, .srv = ALIEN, .flags = DO | SIGNED, .want = "filtered rule a", .drop = "1"},

    /* not asked */
    {"not asked: deny", "rule r deny corp.example", "corp.example", .verdict = VERDICT_NONE,
     .want = "denied rule r"},
    {"not asked: replace", POOLS "rule r replace corp.example pool=a", "corp.example",
     .verdict = VERDICT_NONE, .want = "replaced rule r", .pool = "a"},
    {"not asked: a fill before it stops the deny",
     POOLS "rule a fill corp.example pool=a; rule r deny corp.example", "corp.example",
     .verdict = VERDICT_NONE, .want = "failed no-rule -"},
    {"not asked: a shadow fill before it leaves would open",
     POOLS "rule a fill corp.example pool=a mode=shadow; rule r deny corp.example", "corp.example",
     .verdict = VERDICT_NONE, .want = "denied rule r"},
    {"not asked: pass", "rule r pass corp.example", "corp.example", .verdict = VERDICT_NONE,
     .want = "failed no-rule -"},
};

static void ask_init(struct fixture_question *q, const struct row *r, struct fixture *f)
{
    fixture_ask(f, r->suffix, r->client != NULL ? r->client : "10.1.1.1", q);
    q->ask.wall_ms = r->now;
    q->ask.do_bit = (r->flags & DO) != 0;
    q->ask.limit = (enum kms_mode)((int)MODE_LIVE - (int)r->lower);
}

static int read_srv(const char *text, struct srv *out)
{
    char *words = strdup(text != NULL ? text : ""), *save;
    int n = 0;

    for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        struct policy_host h = {.target = {.len = 1}, .port = 1688};
        const char *why;

        if (strcmp(w, ".") != 0)
            assert_int_equal(host_parse(&h, w, &why), 0);
        out[n] = (struct srv){.port = h.port, .target = h.target};
        n++;
    }
    free(words);
    return n;
}

static const char *show(const struct policy_decision *d, char *out, size_t size)
{
    snprintf(out, size, "%s %s %s", outcome_names[d->outcome], reason_names[d->reason],
             d->rule[0] != '\0' ? d->rule : "-");
    return out;
}

static void check_would(const struct row *r, const struct policy_decision *d)
{
    char text[200] = "";

    if (d->would.outcome != 0)
        snprintf(text, sizeof text, "%s %s", outcome_names[d->would.outcome],
                 d->would.rule[0] != '\0' ? d->would.rule : "-");
    assert_string_equal(text, r->would != NULL ? r->would : "");
}

static void check_row(void **state)
{
    const struct row *r = *state;
    static struct policy_decision d;
    struct fixture_question q;
    struct srv srv[SRV_MAX];
    struct policy_real real = {
        .verdict = r->verdict, .srv = srv, .is_signed = (r->flags & SIGNED) != 0};
    struct fixture f;
    char text[200];

    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, r->policy);
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    ask_init(&q, r, &f);
    real.n_srv = read_srv(r->srv, srv);
    memset(&d, 0xee, sizeof d);
    policy_decide(f.reader, &q.ask, &real, &d);
    assert_string_equal(show(&d, text, sizeof text), r->want);
    check_would(r, &d);
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
    store_reader_end(f.reader->txn);
    fixture_remove(&f);
}

/* --- must the real DNS be asked, and other types at the name --------------- */

struct needs_row {
    const char *what, *policy, *suffix;
    bool do_bit;
    enum kms_mode lower;
    bool needs, fills;
};

static const struct needs_row needs_rows[] = {
    {"needs: no policy", "", "corp.example", .needs = true},
    {"needs: fill", POOLS "rule r fill corp.example pool=a", "corp.example", .needs = true,
     .fills = true},
    {"needs: deny", "rule r deny corp.example", "corp.example", .needs = false},
    {"needs: deny with DO", "rule r deny corp.example", "corp.example", .do_bit = true,
     .needs = true},
    {"needs: replace", POOLS "rule r replace corp.example pool=a", "corp.example", .fills = true},
    {"needs: replace when unapproved", POOLS "rule r replace corp.example pool=a when=unapproved",
     "corp.example", .needs = true},
    {"needs: fill before deny", POOLS "rule a fill corp.example pool=a; rule r deny corp.example",
     "corp.example", .needs = true, .fills = true},
    {"needs: filter before deny", POOLS "rule a filter corp.example; rule r deny corp.example",
     "corp.example", .needs = true},
    {"needs: deny before fill", POOLS "rule a deny corp.example; rule r fill corp.example pool=a",
     "corp.example", .needs = false},
    {"needs: pass", "rule r pass corp.example", "corp.example", .needs = true},
    {"needs: shadow deny", "rule r deny corp.example mode=shadow", "corp.example", .needs = true},
    {"needs: kms.mode off", "rule r deny corp.example", "corp.example", .lower = 2, .needs = true},
    {"fills: fill of another suffix", POOLS "rule r fill other.example pool=a", "corp.example",
     .needs = true},
    {"fills: shadow", POOLS "rule r fill corp.example pool=a mode=shadow", "corp.example",
     .needs = true},
    {"fills: kms.mode shadow", POOLS "rule r fill corp.example pool=a", "corp.example", .lower = 1,
     .needs = true},
};

/* Would the question be filled, were the real answer NXDOMAIN? */
static bool fills_missing(struct policy_reader *r, const struct policy_ask *ask)
{
    const struct policy_real nothing = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;

    policy_decide(r, ask, &nothing, &d);
    return d.outcome == OUTCOME_FILLED || d.outcome == OUTCOME_REPLACED;
}

static void check_needs(void **state)
{
    const struct needs_row *n = *state;
    const struct row r = {.suffix = n->suffix, .flags = n->do_bit ? DO : 0, .lower = n->lower};
    struct fixture_question q;
    struct fixture f;
    static struct policy_decision d;
    struct policy_match m;

    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, n->policy);
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    ask_init(&q, &r, &f);
    policy_match(f.reader, &q.ask, &m);
    assert_int_equal(policy_decide_blind(f.reader, &q.ask, &m, &d), !n->needs);
    assert_int_equal(fills_missing(f.reader, &q.ask), n->fills);
    store_reader_end(f.reader->txn);
    fixture_remove(&f);
}

/* --- what is delivered ----------------------------------------------------- */

static void hosts_as_in_the_pool(void **unused)
{
    const struct row r = {.suffix = "corp.example"};
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;
    struct fixture f;
    char text[HOST_TEXT];

    (void)unused;
    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(
        &f, "pool p kms2.contoso.com:1700,priority=5,weight=7,address=10.0.0.9,address=fd00::9 "
            "kms1.contoso.com,probe=no; rule r fill corp.example pool=p ttl=77");
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
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
    store_reader_end(f.reader->txn);
    fixture_remove(&f);
}

int main(void)
{
    enum { ROWS = ARRAY_LEN(rows), NEEDS = ARRAY_LEN(needs_rows) };

    ROWS(rows, check_row);
    ROWS(needs_rows, check_needs);
    TEST(hosts_as_in_the_pool);
    return RUN("decide");
}
