/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_decide.c -- decisions, row by row: a policy in a few words (fixture.h),
 * questions, what the real DNS said, and what comes of it.
 */
#include "fixture.h"

/* What there is beside each policy. */
#define OBJECTS                                                                                    \
    "net out 10.0.0.0/8; net in 10.20.0.0/16; net lab 10.20.64.0/18; pool a a.kms; "               \
    "pool b b.kms:1700;"
#define FILL "rule r fill c.x pool=a"
#define REPLACE "rule r replace c.x pool=a"
#define FILTER "rule r filter c.x"
#define DENY "rule r deny c.x"

/* Asked is "[SUFFIX] [from=CLIENT] VERDICT[:TARGET,...] [do] [signed] [shadow|off] [now=MS] =
 * OUTCOME [REASON] [RULE [POOL]] [-UNAPPROVED] [would OUTCOME [RULE]] [since MS until MS]": for
 * c.x from 10.1.1.1; a reason that is not rule or no-rule; of each target a 1 when it is
 * unapproved; the last when a time is said. A target with a public address ends with !. */
static const struct row {
    const char *what, *policy, *asked;
} rows[] = {
    {"no policy", "", "nxdomain = missing; - = failed"},
    {"fill: its suffix alone, in any case", FILL,
     "nxdomain = filled r a; hr.c.x nxdomain = missing; x. nxdomain = missing; "
     "d.x nxdomain = missing; xc.x nxdomain = missing; C.X nxdomain = filled r a; "
     "nodata = filled r a; present:a.kms = passed; present:evil.kms = passed -1; "
     "servfail = failed; timeout = failed; present:. = passed; "
     "nxdomain shadow = missing would filled r; nxdomain off = missing off; "
     "nxdomain do signed = missing signed r; nxdomain signed = filled r a; "
     "nxdomain do = filled r a"},
    {"below: children and theirs, not the name itself", "rule r fill *.c.x pool=a",
     "hr.c.x nxdomain = filled r a; x.y.hr.c.x nxdomain = filled r a; nxdomain = missing"},
    {"star: every suffix, not the bare name", "rule r fill * pool=a net=any",
     "x.y.z nxdomain = filled r a; local. nxdomain = filled r a; . nxdomain = missing"},
    {"the bare name", "rule r fill . pool=a", ". nxdomain = filled r a; nxdomain = missing"},
    {"exact before below", "rule a fill *.x pool=a net=any; rule b fill c.x pool=b",
     "nxdomain = filled b b"},
    {"longest below first", "rule a fill *.x pool=a net=any; rule b fill *.c.x pool=b",
     "hr.c.x nxdomain = filled b b"},
    {"a nearer suffix for another network",
     "rule a fill *.x pool=a net=any; rule b fill *.c.x pool=b net=lab",
     "hr.c.x nxdomain = filled a a"},
    {"below before star", "rule a fill * pool=a net=any; rule b fill *.c.x pool=b",
     "hr.c.x nxdomain = filled b b"},
    {"then by name", "rule z fill c.x pool=a; rule m fill c.x pool=b", "nxdomain = filled m b"},
    {"a name that begins like another is before it",
     "rule ab fill c.x pool=a; rule a fill c.x pool=b", "nxdomain = filled a b"},
    {"best suffix of one rule counts",
     "rule z fill c.x,*.x pool=a net=any; rule a fill *.x pool=b net=any", "nxdomain = filled z a"},
    {"upper case in the rule", "rule r fill C.X pool=a", "nxdomain = filled r a"},
    {"other octets as they are, only ASCII is folded", "rule r fill b\xc3\xbcro.x pool=a",
     "b\xc3\xbcro.x nxdomain = filled r a; b\xc3\x9cro.x nxdomain = missing"},
    {"octets 0 and 1 in a label", "rule r fill a\\000b.x pool=a",
     "a\\000b.x nxdomain = filled r a"},
    {"a parent's exact rule beside a child's",
     "rule r fill c.x,x.hr.c.x pool=a; rule s fill *.x pool=b net=any",
     "hr.c.x nxdomain = filled s b"},
    {"entries beside the name hide no parent's",
     "rule r fill *.x pool=a net=any; rule s fill *.a.x,*.b.a.x,*.d.b.x,ab.x pool=b",
     "c.b.x nxdomain = filled r a; z.c.b.x nxdomain = filled r a; ab.x nxdomain = filled s b; "
     "z.ab.x nxdomain = filled r a; z.c.b.a.x nxdomain = filled s b; a.x nxdomain = filled r a; "
     "z.c.a.x nxdomain = filled s b; e.d.b.x nxdomain = filled s b; x. nxdomain = missing; "
     "c.y nxdomain = missing"},
    {"sixty labels deep", "rule r fill *.x pool=a net=any; rule s fill z.x,a.a.x pool=b",
     "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
     "a.a.a.a.a.a.a.a.a.a.a.a.a.x nxdomain = filled r a"},
    {"a network", FILL " net=in",
     "from=10.20.1.1 nxdomain = filled r a; nxdomain = missing; "
     "from=192.0.2.1 nxdomain = missing"},
    {"any is every client", FILL " net=any", "from=192.0.2.1 nxdomain = filled r a"},
    {"inner network first, outer network still holds",
     "rule a fill c.x pool=a net=out; rule b fill c.x pool=b net=lab",
     "from=10.20.64.1 nxdomain = filled b b; from=10.20.1.1 nxdomain = filled a a"},
    {"a new inner network changes no answer",
     "rule a fill c.x pool=a net=out; net new 10.20.64.0/24",
     "from=10.20.64.1 nxdomain = filled a a"},
    {"network before suffix, but not elsewhere", "rule n deny * net=lab; rule e fill c.x pool=a",
     "from=10.20.64.1 nxdomain = denied n; from=10.20.1.1 nxdomain = filled e a"},
    {"network's star deny beats an exact pass for everybody",
     "rule n deny * net=lab; rule e pass c.x", "from=10.20.64.1 present:a.kms = denied n"},
    {"rule in two of the client's networks counts with the inner",
     "rule a fill c.x pool=a net=in; rule z fill c.x pool=b net=out,lab",
     "from=10.20.64.1 nxdomain = filled z b"},
    {"the order in which a rule names networks is nothing",
     "rule a fill c.x pool=a net=in; rule z fill c.x pool=b net=lab,out",
     "from=10.20.64.1 nxdomain = filled z b"},
    {"any beside a network: the network counts",
     "rule a fill c.x pool=a net=out; rule z fill c.x pool=b net=any,in",
     "from=10.20.1.1 nxdomain = filled z b"},
    {"any beside a network: others too", "rule z fill c.x pool=b net=any,in",
     "nxdomain = filled z b"},
    {"IPv6 client", "net six 2001:db8:5::/48; rule r fill c.x pool=a net=six",
     "from=2001:db8:5::9 nxdomain = filled r a"},
    {"a whole-family network is still one",
     "net all 0.0.0.0/0; rule a fill c.x pool=a; rule z fill c.x pool=b net=all",
     "nxdomain = filled z b"},
    {"fill when failed", FILL " when=missing,failed",
     "servfail = filled r a; refused = filled r a; timeout = filled r a; other = filled r a; "
     "present:a.kms = passed"},
    {"a fill that does not apply lets the next one",
     "rule a fill c.x pool=a; rule b replace c.x pool=b when=unapproved",
     "present:evil.kms = replaced b b -1"},
    {"replace", REPLACE, "nxdomain = replaced r a; timeout = replaced r a; - = replaced r a"},
    {"replace at present", "rule r replace c.x pool=b", "present:a.kms = replaced r b"},
    {"replace when unapproved", REPLACE " when=unapproved",
     "present:evil.kms = replaced r a -1; present:a.kms,evil.kms = replaced r a -01; "
     "present:a.kms = passed; nxdomain = missing; - = failed"},
    {"deny; nobody is asked without DO", DENY,
     "nxdomain = denied r; present:a.kms = denied r; servfail = denied r; present:evil.kms off = "
     "passed off -1; present:a.kms do signed = passed signed r; - = denied r; - do = denied r; - "
     "off = failed off"},
    {"pass at nxdomain", "rule a pass c.x; rule r fill *.x,c.x pool=a net=any",
     "nxdomain = missing a"},
    {"pass at present", "rule a pass c.x; rule r replace c.x pool=b", "present:a.kms = passed a"},
    {"pass at refused", "rule a pass c.x", "refused = failed a"},
    {"filter; any pool approves, also one that nobody uses; target . is never unapproved", FILTER,
     "present:a.kms,evil.kms = filtered r -01; present:a.kms = passed; nxdomain = missing; "
     "present:evil.kms = filtered r -1; present:. = passed; present:b.kms:1700 = passed; "
     "present:b.kms:1700,b.kms = filtered r -01; present:evil.kms do signed = passed signed r -1"},
    {"filter leaves none, then fill; it leaves some, no fill",
     "rule a filter c.x; rule r fill c.x pool=b",
     "present:evil.kms = filled r b -1; present:evil.kms,a.kms = filtered a -10"},
    {"filter leaves none, then a fill that came before it",
     "rule a fill c.x pool=b; rule r filter *.x net=any", "present:evil.kms = filled a b -1"},
    {"filter leaves none, other filters do not count",
     "rule a filter c.x; rule b filter *.x net=any", "present:evil.kms = filtered a -1"},
    {"filter leaves none, then deny; not asked, it stops the deny",
     "rule a filter c.x; rule r deny c.x", "present:evil.kms = denied r -1; - = failed"},
    {"filter leaves none, then pass: nothing is passed", "rule a filter c.x; rule r pass c.x",
     "present:evil.kms = filtered a -1"},
    {"filter leaves none, then replace", "rule a filter c.x; rule r replace c.x pool=a",
     "present:evil.kms = replaced r a -1"},
    {"no rule: what is there passes, and is noted", " ",
     "present:evil.kms = passed -1; nxdomain do signed = missing"},
    {"listed without being served; another port is another target", "ok ok.kms; rule r filter c.x",
     "present:ok.kms = passed; present:ok.kms:1689 = filtered r -1"},
    {"off, also in kms.mode shadow", FILL " mode=off",
     "nxdomain = missing; nxdomain shadow = missing"},
    {"off hides nothing behind it", "rule a deny c.x mode=off; rule r fill c.x pool=a",
     "nxdomain = filled r a"},
    {"shadow changes no answer", FILL " mode=shadow",
     "nxdomain = missing would filled r; present:a.kms = passed would passed"},
    {"shadow beside live", "rule a deny c.x mode=shadow; rule r fill c.x pool=a",
     "nxdomain = filled r a would denied a"},
    {"shadow behind live: would is the same", "rule a fill c.x pool=a; rule r deny c.x mode=shadow",
     "nxdomain = filled a a would filled a"},
    {"shadow of another network is none", FILL " mode=shadow net=lab", "nxdomain = missing"},
    {"shadow filter, then live fill", "rule a filter c.x mode=shadow; rule r fill c.x pool=b",
     "present:evil.kms = passed -1 would filled r"},
    {"live filter, then shadow fill", "rule a filter c.x; rule r fill c.x pool=b mode=shadow",
     "present:evil.kms = filtered a -1 would filled r"},
    {"from", FILL " from=500",
     "nxdomain now=499 = missing since 0 until 500; "
     "nxdomain now=500 = filled r a since 500 until -1"},
    {"until", FILL " until=900",
     "nxdomain now=899 = filled r a since 0 until 900; "
     "nxdomain now=900 = missing since 900 until -1"},
    {"between and behind", FILL " from=500 until=900",
     "nxdomain now=600 = filled r a since 500 until 900; "
     "nxdomain now=950 = missing since 900 until -1"},
    {"since of the last of several",
     "rule a fill c.x pool=a from=100 until=550; rule r fill c.x pool=a from=500",
     "nxdomain now=600 = filled r a since 550 until -1"},
    {"since of a shadow rule", FILL " from=500 mode=shadow",
     "nxdomain now=600 = missing would filled r since 500 until -1"},
    {"no since of a rule that is off", FILL " from=500 mode=off",
     "nxdomain now=600 = missing since 0 until -1"},
    {"expired exception falls to the next", "rule a deny c.x until=900; rule r fill c.x pool=a",
     "nxdomain now=901 = filled r a since 900 until -1"},
    {"until of one that does not decide", "rule a fill c.x pool=a; rule r deny c.x from=700",
     "nxdomain now=600 = filled a a since 0 until 700"},
    {"until of another network is nothing",
     "rule a fill c.x pool=a; rule r deny c.x from=700 net=lab",
     "nxdomain now=600 = filled a a since 0 until -1"},
    {"the nearest of several", "rule a fill c.x pool=a until=950; rule r deny *.x net=any from=700",
     "nxdomain now=600 = filled a a since 0 until 700"},
    {"break-dnssec", FILL " break-dnssec=yes", "nxdomain do signed = filled r a"},
    {"pass: also what is signed; it asks", "rule r pass c.x",
     "nxdomain do signed = missing r; - = failed"},
    {"a rule that may break does not lend it to the fill behind it",
     "rule a filter c.x break-dnssec=yes; rule r fill c.x pool=b",
     "present:evil.kms do signed = filtered a -1"},
    {"a public address beside a host: of a pool that has none", FILTER,
     "present:a.kms! = filtered r -1; present:a.kms = passed; present:b.kms:1700,a.kms! = filtered "
     "r -01; present:evil.kms! = filtered r -1"},
    {"of another pool, which may have some; of a host that is listed",
     FILTER "; pool public a.kms c.kms; ok l.kms; ok b.kms:1700",
     "present:a.kms! = passed; present:c.kms! = passed; present:l.kms!,b.kms:1700! = passed; "
     "present:a.kms:1689! = filtered r -1"},
    {"not asked: a fill before it stops the deny", "rule a fill c.x pool=a; rule r deny c.x",
     "- = failed"},
    {"not asked: a shadow fill before it leaves would open",
     "rule a fill c.x pool=a mode=shadow; rule r deny c.x", "- = denied r"},
    {"not asked: deny before fill", "rule a deny c.x; rule r fill c.x pool=a", "- = denied a"},
    {"not asked: shadow deny", DENY " mode=shadow", "- = failed would denied r"},
};

/* The verdict, and a record for each target. */
static void read_real(char *words, struct policy_real *real, struct srv *out)
{
    char *save;

    real->verdict = (enum kms_verdict)str_index(verdict_names, strtok_r(words, ":", &save));
    assert_true((int)real->verdict >= 0);
    real->srv = out;
    for (char *w = save; (w = strtok_r(NULL, ",", &save)) != NULL; real->n_srv++) {
        struct policy_host h = {.target = {.len = 1}, .port = 1688};

        const bool is_public = w[strlen(w) - 1] == '!';

        if (is_public)
            w[strlen(w) - 1] = '\0';
        if (strcmp(w, ".") != 0)
            assert_null(host_parse(&h, w));
        out[real->n_srv] = (struct srv){.port = h.port, .target = h.target, .is_public = is_public};
    }
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

static void say(struct str *s, const struct policy_decision *d, int n_srv, bool is_timed)
{
    str_add(s, outcome_names[d->outcome]);
    if (d->reason != REASON_RULE && d->reason != REASON_NO_RULE)
        str_addf(s, " %s", reason_names[d->reason]);
    str_addf(s, "%s%s", d->rule[0] != '\0' ? " " : "", d->rule);
    str_addf(s, "%s%s", d->pool[0] != '\0' ? " " : "", d->pool);
    for (int i = 0; i < n_srv && d->verdict == VERDICT_UNAPPROVED; i++)
        str_addf(s, "%s%d", i == 0 ? " -" : "", d->unapproved[i]);
    if (d->would.outcome != 0)
        str_addf(s, " would %s%s%s", outcome_names[d->would.outcome],
                 d->would.rule[0] != '\0' ? " " : "", d->would.rule);
    if (is_timed)
        str_addf(s, " since %d until %d", (int)d->since_ms, (int)d->until_ms);
}

static void check_asked(struct fixture *f, char *asked, const char *want, uint64_t serial)
{
    static struct policy_decision d;
    struct srv srv[SRV_MAX];
    struct policy_real real = {.verdict = VERDICT_NONE};
    struct fixture_question q;
    const char *suffix = "c.x", *client = "10.1.1.1";
    enum kms_mode limit = MODE_LIVE;
    char text[300], *save;
    uint64_t now_ms = 0;
    bool do_bit = false;
    struct str s;

    for (char *w = strtok_r(asked, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        if (strncmp(w, "from=", 5) == 0)
            client = w + 5;
        else if (strncmp(w, "now=", 4) == 0)
            now_ms = strtoull(w + 4, NULL, 10);
        else if (strcmp(w, "do") == 0)
            do_bit = true;
        else if (strcmp(w, "signed") == 0)
            real.is_signed = true;
        else if (str_index(mode_names, w) >= 0)
            limit = (enum kms_mode)str_index(mode_names, w);
        else if (w == asked && strchr(w, '.') != NULL && strchr(w, ':') == NULL)
            suffix = w;
        else
            read_real(w, &real, srv);
    }
    fixture_ask(f, suffix, client, &q);
    q.ask.wall_ms = now_ms;
    q.ask.do_bit = do_bit;
    q.ask.limit = limit;
    memset(&d, 0xee, sizeof d);
    policy_decide(f->reader, &q.ask, &real, &d);
    str_init(&s, text, sizeof text);
    say(&s, &d, real.n_srv, now_ms != 0);
    assert_string_equal(text, want);
    assert_int_equal(d.n_hosts > 0, d.outcome == OUTCOME_FILLED || d.outcome == OUTCOME_REPLACED);
    assert_int_equal(d.serial, serial);
    check_blind(f, &q.ask, &real, &d);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char *asked = strdup(r->asked), *save, policy[500];
    struct fixture f;

    snprintf(policy, sizeof policy, "%s%s", r->policy[0] != '\0' ? OBJECTS : "", r->policy);
    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, "%s", policy);
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    for (char *one = strtok_r(asked, ";", &save); one != NULL; one = strtok_r(NULL, ";", &save)) {
        char *want = strstr(one, " = ");

        *want = '\0';
        check_asked(&f, one + strspn(one, " "), want + 3, r->policy[0] != '\0');
    }
    store_end(f.reader->txn);
    fixture_remove(&f);
    free(asked);
}

TESTS("decide", ROWS(rows, check_row))
