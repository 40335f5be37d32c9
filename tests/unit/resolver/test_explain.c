/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_explain.c -- an explanation says what the client would get, and why.
 */
#include "tests/unit/resolver/world.h"

#include "resolver/explain.h"

#define SETTINGS                                                                                   \
    "access: [{net: 10.8.0.0/16, action: allow}, {net: 10.0.0.0/8, action: allow}, {net: "         \
    "10.6.0.0/16, action: refuse}, {net: 10.7.0.0/16, action: drop}]\n"                            \
    "forward: [{zone: ., servers: [\"192.0.2.53\", \"192.0.2.54:5353\"]}, {zone: fabrikam.local, " \
    "servers: [10.9.0.53]}]\n"
#define MODE_OFF_TOO SETTINGS "kms: {mode: off}\n"
#define NO_POLICY ""
#define POLICY                                                                                     \
    "networks: {kiosks: [10.20.64.0/18], dmz: [192.0.2.0/24]}\n"                                   \
    "pools: {contoso: [{target: kms01.contoso.com, addresses: [10.0.0.9]}]}\n"                     \
    "approved: [kms.adatum.net]\n"                                                                 \
    "rules:\n"                                                                                     \
    "  merged-domains: {suffixes: [fabrikam.local, \"*.lab.contoso.com\", f.contoso.com], pool: "  \
    "contoso}\n"                                                                                   \
    "  kiosks-anything: {suffixes: [\"*\"], networks: [kiosks], pool: contoso, mode: shadow}\n"    \
    "  dmz-mak: {suffixes: [\"*\"], networks: [dmz], action: deny}\n"                              \
    "  old: {suffixes: [old.example], action: replace, pool: contoso}\n"                           \
    "  clean: {suffixes: [clean.example], action: filter}\n"                                       \
    "  one: {suffixes: [single], pool: contoso}\n"                                                 \
    "  except: {suffixes: [except.example], action: pass}\n"                                       \
    "  none: {suffixes: [none.example], action: deny}\n"                                           \
    "  down: {suffixes: [down.example], when: [missing, failed], pool: contoso}\n"
#define V "_vlmcs._tcp."
#define SOA "ns local. 41 IN SOA ns.local. root.local. 1 2 3 4 900\n"
#define SIGNED SOA "ns local. 41 IN RRSIG SOA 8 1 41 20300101000000 20200101000000 1 local. AAAA\n"
#define FROM_9 "real nxdomain 10.9.0.53 fabrikam.local 51 "
#define DECIDED_BY(rule) "decision filled rule " rule " rule " rule " fills from pool contoso\n"
#define GIVEN(owner) "answer NOERROR 300 " V owner " 300 IN SRV 0 0 1688 kms01.contoso.com.\n"
#define ADATUM(owner) V owner " 77 IN SRV 1 2 1688 kms.adatum.net.\n"
#define NO_RULE "decision missing no-rule no rule acts, the real answer is delivered\n"
#define PASSED "decision passed no-rule no rule acts, the real answer is delivered\n"
#define NO_NAME "windows 0x8007232B DNS name does not exist method 5, step 4\n"
#define NO_RECORDS "windows 0x8007251D no records found for given DNS query method 5, step 5\n"

#define TWO(way)                                                                                   \
    "pools: {p: {" way "hosts: [a.example, \"b.example:99\"]}}\n"                                  \
    "rules: {r: {suffixes: [x.example], action: replace, pool: p}}\n"
#define B_RECORD V "x.example. 300 IN SRV 0 0 99 b.example."
#define GIVEN_B "answer NOERROR 300 " B_RECORD "\n"

/* What is told, without the rules that name another network, and the client 10.1.1.1. */
static const struct row {
    const char *name, *question, *want;
    const char *settings, *policy, *client; /* NULL: those above, 10.1.1.1 */
    const char *verdict;                    /* that is supposed */
    const char *cached, *reply;             /* NULL: nothing is cached; nobody is asked */
    uint64_t age;                           /* of what is cached, ms */
    const char *down;                       /* hosts that are: first letters of their names */
} rows[] = {
    {"the sample of the manual", V "hr.fabrikam.local SRV",
     "client 10.20.64.7 kiosks 10.20.64.0/18 allow 10.0.0.0/8\n" FROM_9 "+cached 41\n"
     "rule kiosks-anything shadow (it would fill)\nrule merged-domains has fabrikam.local, which "
     "covers that name only\n" NO_RULE "answer NXDOMAIN 41\n" NO_NAME
     "hint waymarkctl policy rule add merged-domains '*.fabrikam.local'\n",
     .client = "10.20.64.7", .cached = "NXDOMAIN\n" SOA},
    {"filled", V "Fabrikam.local SRV",
     FROM_9 "+cached 41\n"
            "rule merged-domains +acts fills from pool contoso\n" DECIDED_BY("merged-domains")
                GIVEN("Fabrikam.local."),
     .cached = "NXDOMAIN\n" SOA},
    {"the names below only", V "lab.contoso.com SRV",
     "real nxdomain\nrule merged-domains has *.lab.contoso.com, which covers the names below it "
     "only\n" NO_RULE "answer NXDOMAIN\n" NO_NAME
     "hint waymarkctl policy rule add merged-domains lab.contoso.com\n",
     .verdict = "nxdomain"},
    {"only a shadow rule is near", V "a.example SRV",
     "client 10.20.64.7 kiosks 10.20.64.0/18 allow 10.0.0.0/8\nreal nodata\nrule kiosks-anything "
     "shadow (it would fill)\n" NO_RULE "answer NOERROR\n" NO_RECORDS
     "hint waymarkctl policy rule set kiosks-anything --mode live\n",
     .client = "10.20.64.7", .verdict = "nodata"},
    {"no rule is near", V "a.example SRV",
     "real nxdomain\n" NO_RULE "answer NXDOMAIN\n" NO_NAME
     "hint waymarkctl policy fill a.example --pool POOL\n",
     .verdict = "nxdomain"},
    {"a rule is near that fills nothing", V "x.except.example SRV",
     "real nxdomain\nrule except has except.example, which covers that name only\n" NO_RULE
     "answer NXDOMAIN\n" NO_NAME "hint waymarkctl policy fill x.except.example --pool POOL\n",
     .verdict = "nxdomain"},
    {"a suffix that a shell would read", V "a\\059b.example SRV",
     "real nxdomain\n" NO_RULE "answer NXDOMAIN\n" NO_NAME
     "hint waymarkctl policy fill 'a\\;b.example' --pool POOL\n",
     .verdict = "nxdomain"},
    {"failed, and a rule that could act", V "fabrikam.local SRV",
     "real timeout 10.9.0.53 fabrikam.local 51 0\nrule merged-domains acts when missing; the real "
     "DNS says timeout\ndecision failed no-rule no rule acts, and the real DNS gives no "
     "answer\nanswer SERVFAIL\nwindows 0x8007232A DNS server failure method 5, step 3\nhint "
     "waymarkctl policy rule "
     "set merged-domains --when missing,failed\n",
     .reply = "timeout"},
    {"failed, at a suffix of one label", V "single SRV",
     "real timeout 10.9.0.53 . 51 0\nrule one acts when missing; the real DNS says "
     "timeout\ndecision "
     "failed no-rule no rule acts, and the real DNS gives no answer\nanswer SERVFAIL\nwindows "
     "0x8007232A DNS server failure method 5, step 3\nhint waymarkctl policy rule set one --when "
     "missing,failed\n",
     .reply = "timeout"},
    {"slower than the deadline", V "down.example SRV",
     "real present 10.9.0.53 . 700 77\nrule down acts when missing or failed; the real DNS says "
     "present\n" PASSED
     "late filled down 700 ms is behind kms.upstream-deadline; unless another server is faster, a "
     "client that asks first is answered at 700 ms: rule down fills from pool contoso\n"
     "answer NOERROR 77 " ADATUM("down.example."),
     .reply = "NOERROR ms=700\nan " ADATUM("down.example.")},
    {"slower than the deadline, one server, another deadline", V "fabrikam.local SRV",
     "real nxdomain 10.9.0.53 fabrikam.local 101 41\nrule both +acts fills from pool contoso\nrule "
     "merged-domains both comes first\n" DECIDED_BY(
         "both") "late filled both 101 ms is behind kms.upstream-deadline; a client that asks "
                 "first is answered at 100 ms: rule both fills from pool contoso\n" GIVEN(
                     "fabrikam.local."),
     .settings = SETTINGS "kms: {upstream-deadline: 100ms}\n",
     .policy =
         POLICY "  both: {suffixes: [fabrikam.local], when: [missing, failed], pool: contoso}\n",
     .reply = "NXDOMAIN ms=101\n" SOA},
    {"just in time", V "down.example SRV",
     "real present 10.9.0.53 . 699 77\nrule down acts when missing or failed; the real DNS says "
     "present\n" PASSED "answer NOERROR 77 " ADATUM("down.example."),
     .reply = "NOERROR ms=699\nan " ADATUM("down.example.")},
    {"slower than the deadline, and the client waits", V "fabrikam.local SRV",
     "real nxdomain 10.9.0.53 fabrikam.local 1200 41\nrule merged-domains +acts fills from pool "
     "contoso\n" DECIDED_BY("merged-domains") GIVEN("fabrikam.local."),
     .reply = "NXDOMAIN ms=1200\n" SOA},
    {"slower than the deadline, after an expired entry", V "fabrikam.local SRV",
     "real nxdomain 10.9.0.53 fabrikam.local 800 41\nrule merged-domains +acts fills from pool "
     "contoso\n" DECIDED_BY(
         "merged-domains") "late filled merged-domains 800 ms is behind kms.upstream-deadline; a "
                           "client that asks first is answered at 700 ms, after an expired entry: "
                           "rule merged-domains fills from pool contoso\n" GIVEN("fabrikam.local."),
     .cached = "NXDOMAIN\n" SOA, .reply = "NXDOMAIN ms=800\n" SOA, .age = 41000},
    {"kms.mode off has no deadline", V "fabrikam.local SRV",
     "real nxdomain 10.9.0.53 fabrikam.local 800 41\nrule merged-domains kms.mode is off\ndecision "
     "missing off kms.mode is off, the real answer is delivered\nanswer NXDOMAIN 41\n" NO_NAME,
     .settings = MODE_OFF_TOO, .cached = "NXDOMAIN\n" SOA, .reply = "NXDOMAIN ms=800\n" SOA,
     .age = 41000},
    {"unapproved is found out", V "a.example SRV",
     "real unapproved 10.9.0.53 . 51 +cached 77\n" PASSED
     "answer NOERROR 77 _vlmcs._tcp.a.example. 77 IN SRV 1 2 1688 bad.example.\n",
     .cached = "NOERROR\nan " V "a.example. 77 IN SRV 1 2 1688 bad.example.\n"},
    {"filtered, supposed", V "clean.example SRV",
     "real unapproved\nrule clean +acts filters\ndecision filtered rule clean rule clean removes "
     "the targets that are not approved\nanswer NOERROR 60\n" NO_RECORDS,
     .verdict = "unapproved"},
    {"replace does not ask", V "old.example SRV",
     "rule old +acts replaces from pool contoso\ndecision replaced rule old rule old replaces the "
     "real answer by pool contoso\n" GIVEN("old.example.")},
    {"deny", V "none.example SRV",
     "rule none +acts denies\ndecision denied rule none rule none denies that there is a "
     "host\nanswer NOERROR 60\nwindows 0x8007251D no records found for given DNS query method 1\n"},
    {"signed, and the client asks for DNSSEC", V "fabrikam.local SRV do",
     FROM_9 "41\n"
            "rule merged-domains the real answer is signed and the client asks for DNSSEC; "
            "break-dnssec is not set\ndecision missing signed merged-domains rule merged-domains "
            "would act, but the real answer is signed\nanswer NXDOMAIN 41\n" NO_NAME,
     .reply = "NXDOMAIN\n" SIGNED},
    {"refused by access", V "fabrikam.local SRV",
     "client 10.6.0.1 refuse 10.6.0.0/16\ndecision blocked access access refuses this "
     "client\nanswer REFUSED\nwindows 0x8007232D DNS operation refused method 5, step 3\n",
     .client = "10.6.0.1"},
    {"dropped by access", V "fabrikam.local SRV",
     "client 10.7.0.1 drop 10.7.0.0/16\ndecision blocked access access drops what this client "
     "asks\nanswer\nwindows 0x800705B4 this operation returned because the timeout period "
     "expired method 5, step 3\n",
     .client = "10.7.0.1"},
    {"the longest access rule, and no suffix of one label", V "hr.single SRV",
     "client 10.8.0.1 allow 10.8.0.0/16\nreal nxdomain\nrule one has single, which covers that "
     "name only\n" NO_RULE "answer NXDOMAIN\n" NO_NAME
     "hint waymarkctl policy fill hr.single --pool POOL\n",
     .client = "10.8.0.1", .verdict = "nxdomain"},
    {"loopback is allowed by default", V "a.example SRV",
     "client 127.0.0.1 allow\nreal nxdomain\ndecision missing no-rule no policy store is in use, "
     "the real answer is delivered\nanswer NXDOMAIN\n" NO_NAME
     "hint waymarkctl policy fill a.example --pool POOL\n",
     .policy = NO_POLICY, .client = "127.0.0.1", .verdict = "nxdomain"},
    {"kms.mode off, and a target that is not approved", V "a.example SRV",
     "real present 10.9.0.53 . 51 +cached 77\ndecision passed off kms.mode is off, the real answer "
     "is delivered\nanswer NOERROR 77 _vlmcs._tcp.a.example. 77 IN SRV 1 2 1688 bad.example.\n",
     .settings = MODE_OFF_TOO,
     .cached = "NOERROR\nan " V "a.example. 77 IN SRV 1 2 1688 bad.example.\n"},
    {"kms.mode shadow", V "fabrikam.local SRV",
     "real nxdomain\nrule merged-domains kms.mode is shadow (it would fill)\n" NO_RULE
     "answer NXDOMAIN\n" NO_NAME,
     .settings = SETTINGS "kms: {mode: shadow}\n", .verdict = "nxdomain"},
    {"no route", V "a.example SRV",
     "real refused 0 0\ndecision failed no-rule no rule acts, and the real DNS gives no "
     "answer\nanswer SERVFAIL\nwindows 0x8007232A DNS server failure method 5, step 3\n",
     .settings = "access: [{net: 10.0.0.0/8, action: allow}]\nforward: [{zone: y.example, servers: "
                 "[10.0.0.53]}]\n"},
    {"the bare name", "_vlmcs._tcp SRV", "real nxdomain\n" NO_RULE "answer NXDOMAIN\n" NO_NAME,
     .verdict = "nxdomain"},
    {"present, supposed", V "fabrikam.local SRV",
     "real present\nrule merged-domains acts when missing; the real DNS says present\n" PASSED
     "answer NOERROR (the records of the real DNS)\n",
     .verdict = "present"},
    {"an ordinary name", "www.example A",
     "real present 10.9.0.53 . 51 77\ndecision this is no discovery question; the real answer is "
     "delivered\nanswer NOERROR 77 www.example. 77 IN A 192.0.2.1\n",
     .reply = "NOERROR\nan www.example. 77 IN A 192.0.2.1\n"},
    {"an ordinary name, nobody answers", "www.example A",
     "real timeout 10.9.0.53 . 51 0\ndecision this is no discovery question; the real DNS gives no "
     "answer\nanswer SERVFAIL\n",
     .reply = "timeout"},
    {"a KMS host that the real DNS does not know", "kms01.contoso.com A",
     "real nxdomain 10.9.0.53 . 51 30\ndecision down no address in the real DNS; pool contoso "
     "gives "
     "the host's, by rule down\nanswer NOERROR 300 kms01.contoso.com. 300 IN A 10.0.0.9\n",
     .reply = "NXDOMAIN\n" SOA},
    {"a host is down", V "x.example SRV",
     "rule r +acts replaces from pool p\ndecision replaced rule r rule r replaces the real answer "
     "by pool p\nhost a.example:1688 down, timed out 77\n" GIVEN_B,
     .policy = TWO(""), .down = "a"},
    {"all hosts are down", V "x.example SRV",
     "rule r +acts replaces from pool p\ndecision replaced rule r rule r replaces the real answer "
     "by pool p\nhost a.example:1688 down, timed out; given all the same, since all are down "
     "77\nhost b.example:99 down, timed out; given all the same, since all are down 77\nanswer "
     "NOERROR 300 " V "x.example. 300 IN SRV 0 0 1688 a.example. | " B_RECORD "\n",
     .policy = TWO(""), .down = "ab"},
    {"a host is pinned, the first one is down", V "x.example SRV",
     "rule r +acts replaces from pool p\ndecision replaced rule r rule r replaces the real answer "
     "by pool p\nhost a.example:1688 down, timed out 77\n" GIVEN_B,
     .policy = TWO("choice: pin, "), .down = "a"},
    {"a host is pinned", V "x.example SRV",
     "rule r +acts replaces from pool p\ndecision replaced rule r rule r replaces the real answer "
     "by pool p\nhost b.example:99 the pool gives a.example alone until 25 clients have it\nanswer "
     "NOERROR 300 " V "x.example. 300 IN SRV 0 0 1688 a.example.\n",
     .policy = TWO("choice: pin, "), .down = ""},
    {"a special name", "localhost A",
     "decision a special name, answered here (RFC 6761, 6303)\nanswer NOERROR 10800 localhost. "
     "10800 IN A 127.0.0.1\n"},
    {"a discovery name below a special one", V "x.onion SRV",
     "real nxdomain local 0 60\n" NO_RULE "answer NXDOMAIN 60\n" NO_NAME
     "hint waymarkctl policy fill x.onion --pool POOL\n"},
    {"another type at a filled name", V "fabrikam.local A",
     FROM_9 "41\n"
            "decision SRV is filled at this name, so NXDOMAIN becomes NODATA for other "
            "types\nanswer NOERROR 41\n",
     .reply = "NXDOMAIN\n" SOA},
    {"a refused type", "example AXFR",
     "decision questions of this type are refused\nanswer REFUSED\n"},
    {"goes whole", "example TKEY",
     "decision the question goes whole to one server, and the reply comes back whole\nanswer "
     "NOERROR\n"},
};

/* Its values, each behind a blank; of what is true its key, "+acts". */
static void put_flat(struct str *s, const json_t *o, const char *key)
{
    const char *name;
    json_t *part;
    size_t i;

    if (json_is_string(o))
        str_addf(s, " %s", json_string_value(o));
    else if (json_is_integer(o))
        str_addf(s, " %d", (int)json_integer_value(o));
    else if (json_is_true(o))
        str_addf(s, " +%s", key);
    json_object_foreach((json_t *)(uintptr_t)o, name, part) put_flat(s, part, name);
    json_array_foreach(o, i, part)
    {
        str_add(s, i > 0 ? " |" : "");
        put_flat(s, part, key);
    }
}

static void put_line(struct str *s, const char *label, const json_t *o)
{
    str_add(s, label);
    put_flat(s, o, NULL);
    str_add(s, "\n");
}

/* A line for each part and rule. */
static void tell(struct str *s, const json_t *o)
{
    static const char *const parts[] = {"client", "real",   "rules",   "decision", "hosts",
                                        "late",   "answer", "windows", "hint"};
    static const char *const remedies[] = {"remedy", "slmgr", "powershell"};
    const json_t *rule;
    size_t k;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        json_t *part = json_object_get(o, parts[i]);

        if (strcmp(parts[i], "windows") == 0 && json_is_null(json_object_get(part, "code")))
            continue; /* a host was given */
        for (int r = 0; r < 3 && strcmp(parts[i], "windows") == 0; r++)
            json_object_del(part, remedies[r]);
        json_array_foreach(part, k,
                           rule) if (strstr(json_string_value(json_object_get(rule, "why")),
                                            "client is not in") == NULL)
            put_line(s, strcmp(parts[i], "hosts") == 0 ? "host" : "rule", rule);
        if (part != NULL && !json_is_array(part) && !json_is_null(part))
            put_line(s, parts[i], part);
    }
}

static struct explain *explain_new(const char *question, const char *client, const char *verdict)
{
    struct explain *e = malloc(sizeof *e);
    struct words s = words_of(question);

    assert_non_null(e);
    memset(e, 0xa5, sizeof *e);
    assert_int_equal(explain_read(e, word_at(&s, 0), word_at(&s, 1), client, verdict, NULL), 0);
    e->dnssec = has_option(&s, "do");
    return e;
}

/* With what comes, if somebody must be asked. */
static json_t *run(struct explain *e, struct world *w, const char *text)
{
    static struct reply reply;
    json_t *explained = explain_run(e, &w->view, NULL, w->now);

    if (explained != NULL)
        return explained;
    assert_non_null(text);
    assert_non_null(e->q.route);
    reply_make(&reply, &w->view, &e->q, text);
    explained = explain_run(e, &w->view, &reply.came, w->now);
    assert_non_null(explained);
    return explained;
}

static const char *text_at(const json_t *o, const char *part, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(o, part), key));

    return text != NULL ? text : "";
}

/* What decides, what is recorded and what the client sees, explained and done. */
static void check_same(struct world *w, const json_t *o, enum answer a, const char *what)
{
    const char *answer = a == ANSWER_SEND ? world_answer(w, a) : "";
    const json_t *records = json_object_get(json_object_get(o, "answer"), "records"), *record;
    const struct audit_event *event = &w->q->event;
    char want[400] = "", got[400] = "", rcode[TYPE_TEXT] = "";
    struct message m = {.rcode = 0};
    size_t i;

    if (text_at(o, "decision", "outcome")[0] != '\0')
        snprintf(want, sizeof want, "%s %s %s %s %s", text_at(o, "decision", "outcome"),
                 text_at(o, "decision", "reason"), text_at(o, "real", "verdict"),
                 text_at(o, "decision", "rule"), text_at(o, "windows", "code"));
    if (w->q->has_event) {
        uint32_t code = a == ANSWER_DROP ? 0x800705b4 : audit_client_error(event);

        snprintf(got, sizeof got, code != 0 ? "%s %s %s %s 0x%08X" : "%s %s %s %s ",
                 outcome_names[event->outcome], reason_names[event->reason],
                 event->verdict != VERDICT_NONE ? verdict_names[event->verdict] : "", event->rule,
                 code);
    }
    if (a == ANSWER_SEND) {
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        rcode_print(m.rcode, rcode);
    }
    if (strcmp(want, got) != 0 || strcmp(text_at(o, "answer", "rcode"), rcode) != 0 ||
        json_array_size(records) != m.counts[1])
        fail_msg("%s\nexplained %s\ndone      %s, %s %u", what, want, got, rcode, m.counts[1]);
    json_array_foreach(records, i, record) assert_has(answer, json_string_value(record));
}

static void check_row(void **state)
{
    static const char nobody[] = "client 10.1.1.1 allow 10.0.0.0/8\n";
    const struct row *r = *state;
    const char *client = r->client != NULL ? r->client : "10.1.1.1",
               *policy = r->policy != NULL ? r->policy : POLICY;
    struct world *w =
        world_new(r->settings != NULL ? r->settings : SETTINGS, policy[0] != '\0' ? policy : NULL);
    struct explain *e = explain_new(r->question, client, r->verdict);
    struct {
        struct health h;
        struct health_target targets[2];
    } health = {.h = {.epoch = 1}};
    struct health *newest = &health.h;
    const struct worker_stats none = {0};
    struct cache_stats before, after;
    char text[4000], question[600];
    json_t *explained;
    struct str told;
    enum answer a;

    if (r->down != NULL) {
        for (const char **host = (const char *[]){"a.example", "b.example", NULL}; *host; host++) {
            struct health_target *t = &health.h.targets[health.h.n++];

            *t = (struct health_target){.port = **host == 'a' ? 1688 : 99, .since_ms = 77};
            assert_int_equal(name_parse(&t->target, *host), 0);
            t->is_down = strchr(r->down, **host) != NULL;
            t->error = HEALTH_TIMED_OUT;
        }
        w->view.health = &newest;
    }
    if (r->cached != NULL)
        world_cache(w, r->question, r->cached);
    world_wait(w, r->age);
    memset(&w->stats, 0, sizeof w->stats);
    cache_stats(w->cache, &before);
    explained = run(e, w, r->reply);
    str_init(&told, text, sizeof text);
    tell(&told, explained);
    assert_string_equal(text + (strncmp(text, nobody, strlen(nobody)) == 0 ? strlen(nobody) : 0),
                        r->want);
    /* It leaves nothing behind. */
    cache_stats(w->cache, &after);
    assert_int_equal(after.entries, before.entries);
    assert_memory_equal(&w->stats, &none, sizeof none);
    /* What is explained is what is then done. */
    snprintf(question, sizeof question, "%s from=%s", r->question, client);
    a = world_ask(w, question);
    if (r->reply != NULL) {
        assert_int_equal(a, ANSWER_FORWARD);
        a = world_give(w, r->reply);
    }
    if (r->verdict == NULL && strstr(r->question, "TKEY") == NULL)
        check_same(w, explained, a, r->question);
    json_decref(explained);
    free(e);
    world_free(w);
}

#define SIG(owner, type)                                                                           \
    owner " 60 IN RRSIG " type " 8 1 60 20300101000000 20200101000000 1 x. AA==\n"
#define NX "ns example. 60 IN SOA a. b. 1 2 3 4 60\n"
#define SRV "an " V "x.example. 60 IN SRV 0 0 1688 "

static const char *const actions[] = {"pool: p",
                                      "pool: p, break-dnssec: yes",
                                      "when: [missing, failed], pool: p",
                                      "action: replace, pool: p",
                                      "action: replace, pool: p, break-dnssec: yes",
                                      "action: replace, when: [unapproved], pool: p",
                                      "action: filter",
                                      "action: deny",
                                      "action: pass"};
static const char *const replies[] = {"NXDOMAIN\n" NX,
                                      "NXDOMAIN\n" NX SIG("ns example.", "SOA"),
                                      "NOERROR\n" NX,
                                      "NOERROR\n" SRV "good.example.\n",
                                      "NOERROR\n" SRV
                                      "good.example.\n" SIG("an " V "x.example.", "SRV"),
                                      "NOERROR\n" SRV "bad.example.\n",
                                      "NOERROR\n" SRV "bad.example.\n" SRV "good.example.\n",
                                      "timeout",
                                      "SERVFAIL",
                                      "REFUSED"};

/* The daemon and explain are asked the same: with what came, from the cache, and as it was kept. */
static void compare(struct world *w, const char *kind, const char *client, const char *reply,
                    const char *policy)
{
    char question[100], what[2000];
    struct explain *e;
    json_t *explained;
    enum answer a;

    snprintf(question, sizeof question, V "x.example %s tcp from=%s", kind, client);
    snprintf(what, sizeof what, "%s\n%s\n%s", policy, question, reply);
    e = explain_new(question, client, NULL);
    cache_flush(w->cache, NULL, false);
    for (int i = 0; i < 3; i++) {
        explained = run(e, w, i == 0 ? reply : NULL);
        a = world_ask(w, question);
        check_same(w, explained, a == ANSWER_FORWARD ? world_give(w, reply) : a, what);
        json_decref(explained);
    }
    free(e);
}

static void check_generated(void **state)
{
    static const char *const modes[ARRAY_LEN(actions)] = {
        [3] = "kms: {mode: off}\n", [5] = "kms: {mode: shadow}\n"};
    static const char *const kinds[] = {"SRV", "SRV do", "ANY", "ANY do"};
    const size_t n = ARRAY_LEN(actions);
    char policy[1000];

    for (size_t i = 0; i < n; i++) {
        struct world *w;

        snprintf(policy, sizeof policy,
                 "networks: {kiosks: [10.20.0.0/16]}\npools: {p: [kms.corp.example]}\n"
                 "approved: [good.example]\nrules:\n"
                 "  a: {suffixes: [x.example], networks: [kiosks], %s}\n"
                 "  b: {suffixes: [\"*.example\"], networks: [any], %s}\n"
                 "  c: {suffixes: [x.example], networks: [any], %s, mode: %s}\n",
                 actions[i], actions[(i + 4) % n], actions[(i + 6) % n],
                 i % 2 == 0 ? "live" : "shadow");
        w = world_new(modes[i], policy);
        for (size_t k = 0; k < 8 * ARRAY_LEN(replies); k++)
            compare(w, kinds[k % 4], k / 4 % 2 == 0 ? "10.20.0.1" : "10.1.1.1", replies[k / 8],
                    policy);
        world_free(w);
    }
}

TESTS("explain", ROWS(rows, check_row), TEST(check_generated))
