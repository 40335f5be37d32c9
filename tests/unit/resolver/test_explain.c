/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_explain.c -- an explanation says what the client would get, and why.
 */
#include "tests/unit/resolver/world.h"

#include "base/compiler.h"
#include "base/str.h"
#include "resolver/explain.h"
#include "tests/unit/rows.h"

#define SETTINGS                                                                                   \
    "access: [{net: 10.8.0.0/16, action: allow}, {net: 10.0.0.0/8, action: allow}, {net: "         \
    "10.6.0.0/16, action: refuse}, "                                                               \
    "{net: 10.7.0.0/16, action: drop}]\n"                                                          \
    "forward: [{zone: ., servers: [\"192.0.2.53\", \"192.0.2.54:5353\"]}, {zone: fabrikam.local, " \
    "servers: [10.9.0.53]}]\n"
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
#define SHADOW "rule kiosks-anything no: shadow (it would fill)\n"
#define NOT_DMZ "rule dmz-mak no: client is not in dmz\n"
#define NOT_KIOSKS "rule kiosks-anything no: client is not in kiosks\n"
#define IN_KIOSKS "client in kiosks (10.20.64.0/18); allow by 10.0.0.0/8\n"
#define IN_NONE "client; allow by 10.0.0.0/8\n"
#define FILLED(owner) "answer NOERROR 300 | " owner " 300 IN SRV 0 0 1688 kms01.contoso.com.\n"
#define NO_NAME "Windows 0x8007232B DNS name does not exist\n"

static const struct row {
    const char *name, *settings, *policy;
    const char *question, *client, *verdict;
    const char *cached, *reply; /* NULL: nothing is cached; nobody is asked */
    const char *want;
} rows[] = {
    {"the sample of the manual", NULL, POLICY, V "hr.fabrikam.local SRV", "10.20.64.7", NULL,
     "NXDOMAIN\n" SOA, NULL,
     IN_KIOSKS "real nxdomain 10.9.0.53 (fabrikam.local) 51 ms cached 41 s\n" SHADOW NOT_DMZ
               "rule merged-domains no: has fabrikam.local, which covers that name only\n"
               "decision missing no-rule: no rule acts, the real answer is delivered\n"
               "answer NXDOMAIN 41\n" NO_NAME
               "hint waymarkctl policy rule add merged-domains '*.fabrikam.local'\n"},
    {"filled", NULL, POLICY, V "Fabrikam.local SRV", "10.1.1.1", NULL, "NXDOMAIN\n" SOA, NULL,
     IN_NONE
     "real nxdomain 10.9.0.53 (fabrikam.local) 51 ms cached 41 s\n"
     "rule merged-domains yes: fills from pool contoso\n" NOT_DMZ NOT_KIOSKS
     "decision filled rule merged-domains: rule merged-domains fills from pool contoso\n" FILLED(
         V "Fabrikam.local.")},
    {"the names below only", NULL, POLICY, V "lab.contoso.com SRV", "10.1.1.1", "nxdomain", NULL,
     NULL,
     IN_NONE "real nxdomain supposed\n" NOT_DMZ NOT_KIOSKS
             "rule merged-domains no: has *.lab.contoso.com, which covers the names below it only\n"
             "decision missing no-rule: no rule acts, the real answer is delivered\n"
             "answer NXDOMAIN\n" NO_NAME
             "hint waymarkctl policy rule add merged-domains lab.contoso.com\n"},
    {"only a shadow rule is near", NULL, POLICY, V "a.example SRV", "10.20.64.7", "nodata", NULL,
     NULL,
     IN_KIOSKS "real nodata supposed\n" SHADOW NOT_DMZ
               "decision missing no-rule: no rule acts, the real answer is delivered\n"
               "answer NOERROR\nWindows 0x8007251D no records found for given DNS query\n"
               "hint waymarkctl policy rule set kiosks-anything --mode live\n"},
    {"no rule is near", NULL, POLICY, V "a.example SRV", "10.1.1.1", "nxdomain", NULL, NULL,
     IN_NONE "real nxdomain supposed\n" NOT_DMZ NOT_KIOSKS
             "decision missing no-rule: no rule acts, the real answer is delivered\n"
             "answer NXDOMAIN\n" NO_NAME "hint waymarkctl policy fill a.example --pool POOL\n"},
    {"a suffix that a shell would read", NULL, POLICY, V "a\\059b.example SRV", "10.1.1.1",
     "nxdomain", NULL, NULL,
     IN_NONE "real nxdomain supposed\n" NOT_DMZ NOT_KIOSKS
             "decision missing no-rule: no rule acts, the real answer is delivered\n"
             "answer NXDOMAIN\n" NO_NAME
             "hint waymarkctl policy fill 'a\\;b.example' --pool POOL\n"},
    {"failed, and a rule that could act", NULL, POLICY, V "fabrikam.local SRV", "10.1.1.1", NULL,
     NULL, "timeout",
     IN_NONE
     "real timeout 10.9.0.53 (fabrikam.local) 51 ms 0 s\n"
     "rule merged-domains no: acts when missing; the real DNS says timeout\n" NOT_DMZ NOT_KIOSKS
     "decision failed no-rule: no rule acts, and the real DNS gives no answer\n"
     "answer SERVFAIL\nWindows 0x8007232A DNS server failure\n"
     "hint waymarkctl policy rule set merged-domains --when missing,failed\n"},
    {"present", NULL, POLICY, V "fabrikam.local SRV", "10.1.1.1", NULL, NULL,
     "NOERROR\nan " V "fabrikam.local. 77 IN SRV 1 2 1688 kms.adatum.net.\n",
     IN_NONE
     "real present 10.9.0.53 (fabrikam.local) 51 ms 77 s\n"
     "rule merged-domains no: acts when missing; the real DNS says present\n" NOT_DMZ NOT_KIOSKS
     "decision passed no-rule: no rule acts, the real answer is delivered\n"
     "answer NOERROR 77 | " V "fabrikam.local. 77 IN SRV 1 2 1688 kms.adatum.net.\n"},
    {"slower than the deadline", NULL, POLICY, V "down.example SRV", "10.1.1.1", NULL, NULL,
     "NOERROR ms=700\nan " V "down.example. 77 IN SRV 1 2 1688 kms.adatum.net.\n",
     IN_NONE
     "real present 10.9.0.53 (.) 700 ms 77 s\n"
     "rule down no: acts when missing or failed; the real DNS says present\n" NOT_DMZ NOT_KIOSKS
     "decision passed no-rule: no rule acts, the real answer is delivered\n"
     "late filled down: 700 ms is behind kms.upstream-deadline; unless another server is faster, a "
     "client that asks first is answered at 700 ms: rule down fills from pool contoso\n"
     "answer NOERROR 77 | " V "down.example. 77 IN SRV 1 2 1688 kms.adatum.net.\n"},
    {"slower than the deadline, one server, another deadline",
     SETTINGS "kms: {upstream-deadline: 100ms}\n",
     POLICY "  both: {suffixes: [fabrikam.local], when: [missing, failed], pool: contoso}\n",
     V "fabrikam.local SRV", "10.1.1.1", NULL, NULL, "NXDOMAIN ms=101\n" SOA,
     IN_NONE
     "real nxdomain 10.9.0.53 (fabrikam.local) 101 ms 41 s\n"
     "rule both yes: fills from pool contoso\n"
     "rule merged-domains no: both comes first\n" NOT_DMZ NOT_KIOSKS
     "decision filled rule both: rule both fills from pool contoso\n"
     "late filled both: 101 ms is behind kms.upstream-deadline; a client that asks first is "
     "answered at 100 ms: rule both fills from pool contoso\n" FILLED(V "fabrikam.local.")},
    {"just in time", NULL, POLICY, V "down.example SRV", "10.1.1.1", NULL, NULL,
     "NOERROR ms=699\nan " V "down.example. 77 IN SRV 1 2 1688 kms.adatum.net.\n",
     IN_NONE
     "real present 10.9.0.53 (.) 699 ms 77 s\n"
     "rule down no: acts when missing or failed; the real DNS says present\n" NOT_DMZ NOT_KIOSKS
     "decision passed no-rule: no rule acts, the real answer is delivered\n"
     "answer NOERROR 77 | " V "down.example. 77 IN SRV 1 2 1688 kms.adatum.net.\n"},
    {"slower than the deadline, and the client waits", NULL, POLICY, V "fabrikam.local SRV",
     "10.1.1.1", NULL, NULL, "NXDOMAIN ms=1200\n" SOA,
     IN_NONE
     "real nxdomain 10.9.0.53 (fabrikam.local) 1200 ms 41 s\n"
     "rule merged-domains yes: fills from pool contoso\n" NOT_DMZ NOT_KIOSKS
     "decision filled rule merged-domains: rule merged-domains fills from pool contoso\n" FILLED(
         V "fabrikam.local.")},
    {"unapproved is found out", NULL, POLICY, V "a.example SRV", "10.1.1.1", NULL,
     "NOERROR\nan " V "a.example. 77 IN SRV 1 2 1688 bad.example.\n", NULL,
     IN_NONE "real unapproved 10.9.0.53 (.) 51 ms cached 77 s\n" NOT_DMZ NOT_KIOSKS
             "decision passed no-rule: no rule acts, the real answer is delivered\n"
             "answer NOERROR 77 | " V "a.example. 77 IN SRV 1 2 1688 bad.example.\n"},
    {"filtered, supposed", NULL, POLICY, V "clean.example SRV", "10.1.1.1", "unapproved", NULL,
     NULL,
     IN_NONE "real unapproved supposed\nrule clean yes: filters\n" NOT_DMZ NOT_KIOSKS
             "decision filtered rule clean: rule clean removes the targets that are not approved\n"
             "answer NOERROR 60\nWindows 0x8007251D no records found for given DNS query\n"},
    {"replace does not ask", NULL, POLICY, V "old.example SRV", "10.1.1.1", NULL, NULL, NULL,
     IN_NONE
     "rule old yes: replaces from pool contoso\n" NOT_DMZ NOT_KIOSKS
     "decision replaced rule old: rule old replaces the real answer by pool contoso\n" FILLED(
         V "old.example.")},
    {"deny", NULL, POLICY, V "none.example SRV", "10.1.1.1", NULL, NULL, NULL,
     IN_NONE "rule none yes: denies\n" NOT_DMZ NOT_KIOSKS
             "decision denied rule none: rule none denies that there is a host\n"
             "answer NOERROR 60\nWindows 0x8007251D no records found for given DNS query\n"},
    {"signed, and the client asks for DNSSEC", NULL, POLICY, V "fabrikam.local SRV do", "10.1.1.1",
     NULL, NULL, "NXDOMAIN\n" SIGNED,
     IN_NONE "real nxdomain 10.9.0.53 (fabrikam.local) 51 ms 41 s\n"
             "rule merged-domains no: the real answer is signed and the client asks for DNSSEC; "
             "break-dnssec is not set\n" NOT_DMZ NOT_KIOSKS
             "decision missing signed merged-domains: rule merged-domains would act, but the real "
             "answer is signed\n"
             "answer NXDOMAIN 41\n" NO_NAME},
    {"refused by access", NULL, POLICY, V "fabrikam.local SRV", "10.6.0.1", NULL, NULL, NULL,
     "client; refuse by 10.6.0.0/16\ndecision blocked access: access refuses this client\n"
     "answer REFUSED\nWindows 0x8007232D DNS operation refused\n"},
    {"dropped by access", NULL, POLICY, V "fabrikam.local SRV", "10.7.0.1", NULL, NULL, NULL,
     "client; drop by 10.7.0.0/16\ndecision blocked access: access drops what this client asks\n"
     "answer none\nWindows 0x800705B4 this operation returned because the timeout period "
     "expired\n"},
    {"the longest access rule, and no suffix of one label", NULL, POLICY, V "hr.single SRV",
     "10.8.0.1", "nxdomain", NULL, NULL,
     "client; allow by 10.8.0.0/16\nreal nxdomain supposed\n" NOT_DMZ NOT_KIOSKS
     "rule one no: has single, which covers that name only\n"
     "decision missing no-rule: no rule acts, the real answer is delivered\n"
     "answer NXDOMAIN\n" NO_NAME "hint waymarkctl policy fill hr.single --pool POOL\n"},
    {"loopback is allowed by default", NULL, NULL, V "a.example SRV", "127.0.0.1", "nxdomain", NULL,
     NULL,
     "client; allow by default\nreal nxdomain supposed\n"
     "decision missing no-rule: no policy store is in use, the real answer is delivered\n"
     "answer NXDOMAIN\n" NO_NAME "hint waymarkctl policy fill a.example --pool POOL\n"},
    {"loopback is allowed by a rule that names it alone",
     "access: [{net: 0.0.0.0/0, action: allow}]\nforward: [{zone: ., servers: [192.0.2.53]}]\n",
     NULL, V "a.example SRV", "127.0.0.1", "nxdomain", NULL, NULL,
     "client; allow by default\nreal nxdomain supposed\n"
     "decision missing no-rule: no policy store is in use, the real answer is delivered\n"
     "answer NXDOMAIN\n" NO_NAME "hint waymarkctl policy fill a.example --pool POOL\n"},
    {"kms.mode off", SETTINGS "kms: {mode: off}\n", POLICY, V "fabrikam.local SRV", "10.1.1.1",
     "nxdomain", NULL, NULL,
     IN_NONE "real nxdomain supposed\nrule merged-domains no: kms.mode is off\n" NOT_DMZ NOT_KIOSKS
             "decision missing off: kms.mode is off, the real answer is delivered\n"
             "answer NXDOMAIN\n" NO_NAME},
    {"kms.mode off, and a target that is not approved", SETTINGS "kms: {mode: off}\n", POLICY,
     V "a.example SRV", "10.1.1.1", NULL,
     "NOERROR\nan " V "a.example. 77 IN SRV 1 2 1688 bad.example.\n", NULL,
     IN_NONE "real present 10.9.0.53 (.) 51 ms cached 77 s\n" NOT_DMZ NOT_KIOSKS
             "decision passed off: kms.mode is off, the real answer is delivered\n"
             "answer NOERROR 77 | " V "a.example. 77 IN SRV 1 2 1688 bad.example.\n"},
    {"kms.mode shadow", SETTINGS "kms: {mode: shadow}\n", POLICY, V "fabrikam.local SRV",
     "10.1.1.1", "nxdomain", NULL, NULL,
     IN_NONE
     "real nxdomain supposed\nrule merged-domains no: kms.mode is shadow (it would fill)\n" NOT_DMZ
         NOT_KIOSKS "decision missing no-rule: no rule acts, the real answer is delivered\n"
     "answer NXDOMAIN\n" NO_NAME},
    {"no route",
     "access: [{net: 10.0.0.0/8, action: allow}]\nforward: [{zone: y.example, servers: "
     "[10.0.0.53]}]\n",
     POLICY, V "a.example SRV", "10.1.1.1", NULL, NULL, NULL,
     IN_NONE "real refused  () 0 ms 0 s\n" NOT_DMZ NOT_KIOSKS
             "decision failed no-rule: no rule acts, and the real DNS gives no answer\n"
             "answer SERVFAIL\nWindows 0x8007232A DNS server failure\n"},
    {"the bare name", NULL, POLICY, "_vlmcs._tcp SRV", "10.1.1.1", "nxdomain", NULL, NULL,
     IN_NONE "real nxdomain supposed\n"
             "decision missing no-rule: no rule acts, the real answer is delivered\n"
             "answer NXDOMAIN\n" NO_NAME "hint waymarkctl policy fill . --pool POOL\n"},
    {"present, supposed", NULL, POLICY, V "fabrikam.local SRV", "10.1.1.1", "present", NULL, NULL,
     IN_NONE "real present supposed\nrule merged-domains no: acts when missing; the real DNS says "
             "present\n" NOT_DMZ NOT_KIOSKS
             "decision passed no-rule: no rule acts, the real answer is delivered\n"
             "answer NOERROR | (the records of the real DNS)\n"},

    /* ordinary names */
    {"an ordinary name", NULL, POLICY, "www.example A", "10.1.1.1", NULL, NULL,
     "NOERROR\nan www.example. 77 IN A 192.0.2.1\n",
     IN_NONE "real present 10.9.0.53 (.) 51 ms 77 s\n"
             "decision - -: this is no discovery question; the real answer is delivered\n"
             "answer NOERROR 77 | www.example. 77 IN A 192.0.2.1\n"},
    {"an ordinary name, nobody answers", NULL, POLICY, "www.example A", "10.1.1.1", NULL, NULL,
     "timeout",
     IN_NONE "real timeout 10.9.0.53 (.) 51 ms 0 s\n"
             "decision - -: this is no discovery question; the real DNS gives no answer\nanswer "
             "SERVFAIL\n"},
    {"a KMS host that the real DNS does not know", NULL, POLICY, "kms01.contoso.com A", "10.1.1.1",
     NULL, NULL, "NXDOMAIN\n" SOA,
     IN_NONE
     "real nxdomain 10.9.0.53 (.) 51 ms 0 s\n"
     "decision - - down: no address in the real DNS; pool contoso gives the host's, by rule "
     "down\n"
     "answer NOERROR 300 | kms01.contoso.com. 300 IN A 10.0.0.9\n"},
    {"a special name", NULL, POLICY, "localhost A", "10.1.1.1", NULL, NULL, NULL,
     IN_NONE "decision - -: a special name, answered here (RFC 6761, 6303)\n"
             "answer NOERROR 10800 | localhost. 10800 IN A 127.0.0.1\n"},
    {"a discovery name below a special one", NULL, POLICY, V "x.onion SRV", "10.1.1.1", NULL, NULL,
     NULL,
     IN_NONE "real nxdomain local () 0 ms 60 s\n" NOT_DMZ NOT_KIOSKS
             "decision missing no-rule: no rule acts, the real answer is delivered\n"
             "answer NXDOMAIN 60\n" NO_NAME "hint waymarkctl policy fill x.onion --pool POOL\n"},
    {"another type at a filled name", NULL, POLICY, V "fabrikam.local A", "10.1.1.1", NULL, NULL,
     "NXDOMAIN\n" SOA,
     IN_NONE "real nxdomain 10.9.0.53 (fabrikam.local) 51 ms 41 s\n"
             "decision - -: SRV is filled at this name, so NXDOMAIN becomes NODATA for other "
             "types\nanswer NOERROR 41\n"},
    {"a refused type", NULL, POLICY, "example AXFR", "10.1.1.1", NULL, NULL, NULL,
     IN_NONE "decision - -: questions of this type are refused\nanswer REFUSED\n"},
    {"goes whole", NULL, POLICY, "example TKEY", "10.1.1.1", NULL, NULL, NULL,
     IN_NONE "decision - -: the question goes whole to one server, and the reply comes back "
             "whole\nanswer NOERROR\n"},
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text != NULL ? text : "";
}

/* A part of it with the texts that it names, each behind its format. */
static char *told(const json_t *o)
{
    const json_t *client = json_object_get(o, "client"),
                 *access = json_object_get(client, "access"), *real = json_object_get(o, "real"),
                 *decision = json_object_get(o, "decision"), *late = json_object_get(o, "late"),
                 *answer = json_object_get(o, "answer"), *windows = json_object_get(o, "windows"),
                 *ttl = json_object_get(answer, "ttl_s"),
                 *list = json_object_get(client, "networks"), *one;
    char *text = NULL;
    size_t len, i;
    FILE *f = open_memstream(&text, &len);

    fprintf(f, "client%s", json_array_size(list) > 0 ? " in" : "");
    json_array_foreach(list, i, one)
        fprintf(f, " %s (%s)", text_of(one, "name"), text_of(one, "prefix"));
    fprintf(f, "; %s by %s\n", text_of(access, "action"),
            text_of(access, "by")[0] != '\0' ? text_of(access, "by") : "default");
    if (json_is_object(real) && json_is_null(json_object_get(real, "ms")))
        fprintf(f, "real %s supposed\n", text_of(real, "verdict"));
    else if (json_is_object(real))
        fprintf(f, "real %s %s (%s) %d ms%s %d s\n", text_of(real, "verdict"),
                text_of(real, "server"), text_of(real, "route"),
                (int)json_integer_value(json_object_get(real, "ms")),
                json_is_true(json_object_get(real, "cached")) ? " cached" : "",
                (int)json_integer_value(json_object_get(real, "ttl_s")));
    json_array_foreach(json_object_get(o, "rules"), i, one)
        fprintf(f, "rule %s %s: %s\n", text_of(one, "rule"),
                json_is_true(json_object_get(one, "acts")) ? "yes" : "no", text_of(one, "why"));
    fprintf(f, "decision %s %s%s%s: %s\n",
            text_of(decision, "outcome")[0] != '\0' ? text_of(decision, "outcome") : "-",
            text_of(decision, "reason")[0] != '\0' ? text_of(decision, "reason") : "-",
            text_of(decision, "rule")[0] != '\0' ? " " : "", text_of(decision, "rule"),
            text_of(decision, "text"));
    if (json_is_object(late))
        fprintf(f, "late %s %s: %s\n", text_of(late, "outcome"), text_of(late, "rule"),
                text_of(late, "text"));
    fprintf(f, "answer %s",
            text_of(answer, "rcode")[0] != '\0' ? text_of(answer, "rcode") : "none");
    if (json_is_integer(ttl))
        fprintf(f, " %d", (int)json_integer_value(ttl));
    json_array_foreach(json_object_get(answer, "records"), i, one)
        fprintf(f, " | %s", json_string_value(one));
    fputc('\n', f);
    if (json_is_object(windows))
        fprintf(f, "Windows %s %s\n", text_of(windows, "code"), text_of(windows, "text"));
    if (text_of(o, "hint")[0] != '\0')
        fprintf(f, "hint %s\n", text_of(o, "hint"));
    fclose(f);
    return text;
}

static struct explain *explain_new(const struct row *r)
{
    struct explain *e = malloc(sizeof *e);
    struct words s = words_of(r->question);

    assert_non_null(e);
    memset(e, 0xa5, sizeof *e);
    assert_int_equal(name_parse(&e->qname, s.name), 0);
    assert_int_equal(type_parse(&e->qtype, s.type), 0);
    assert_int_equal(addr_parse(&e->client, r->client, 0), 0);
    e->dnssec = option_of(&s, "do") != NULL;
    e->supposed =
        r->verdict != NULL ? (enum kms_verdict)str_index(verdict_names, r->verdict) : VERDICT_NONE;
    return e;
}

/* What decides, what is recorded and what the client sees, of an explanation and of what
 * was done. */
static void brief_of(const json_t *o, char *out, size_t size)
{
    const json_t *decision = json_object_get(o, "decision"), *real = json_object_get(o, "real"),
                 *answer = json_object_get(o, "answer"), *windows = json_object_get(o, "windows");
    size_t n = 0;

    if (text_of(decision, "outcome")[0] != '\0')
        n = (size_t)snprintf(out, size, "%s %s %s rule=%s %s ", text_of(decision, "outcome"),
                             text_of(decision, "reason"),
                             json_is_object(real) ? text_of(real, "verdict") : "-",
                             text_of(decision, "rule"),
                             json_is_object(windows) ? text_of(windows, "code") : "0x00000000");
    snprintf(out + n, size - n, "%s %zu", text_of(answer, "rcode"),
             json_array_size(json_object_get(answer, "records")));
}

static void brief_of_done(struct world *w, enum answer a, char *out, size_t size)
{
    const struct audit_event *event = &w->q->event;
    struct message m;
    char rcode[TYPE_TEXT] = "";
    size_t n = 0;

    memset(&m, 0, sizeof m);
    if (a == ANSWER_SEND) {
        assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
        rcode_print(m.rcode, rcode);
    }
    if (w->q->has_event)
        n = (size_t)snprintf(out, size, "%s %s %s rule=%s 0x%08X ", outcome_names[event->outcome],
                             reason_names[event->reason], verdict_names[event->verdict],
                             event->rule,
                             a == ANSWER_DROP ? 0x800705b4 : audit_client_error(event));
    snprintf(out + n, size - n, "%s %u", rcode, m.counts[1]);
}

static void check_same(struct world *w, const json_t *explained, enum answer a, const char *what)
{
    const char *answer = a == ANSWER_SEND ? world_answer(w, a) : "";
    char want[400], got[400];
    const json_t *record;
    size_t i;

    brief_of(explained, want, sizeof want);
    brief_of_done(w, a, got, sizeof got);
    if (strcmp(want, got) != 0)
        fail_msg("%s\nexplained %s\ndone      %s", what, want, got);
    json_array_foreach(json_object_get(json_object_get(explained, "answer"), "records"), i, record)
        assert_has(answer, json_string_value(record));
}

static void check_row(void **state)
{
    const struct row *r = *state;
    struct world *w = world_new(r->settings != NULL ? r->settings : SETTINGS, r->policy);
    struct explain *e = explain_new(r);
    static struct reply reply;
    const struct worker_stats none = {0};
    struct cache_stats before, after;
    const json_t *late;
    char *text, question[600];
    json_t *explained;
    enum answer a;

    if (r->cached != NULL)
        world_cache(w, r->question, r->cached);
    memset(&w->stats, 0, sizeof w->stats);
    cache_stats(w->cache, &before);
    explained = explain_run(e, &w->view, NULL, w->now);
    if (r->reply != NULL) {
        assert_null(explained);
        assert_false(e->q.route == NULL);
        reply_make(&reply, &w->view, &e->q, r->reply);
        explained = explain_run(e, &w->view, &reply.came, w->now);
    }
    assert_non_null(explained);
    text = told(explained);
    assert_string_equal(text, r->want);
    /* It leaves nothing behind. */
    cache_stats(w->cache, &after);
    assert_int_equal(after.entries, before.entries);
    assert_memory_equal(&w->stats, &none, sizeof none);
    /* What is explained is what is then done. */
    snprintf(question, sizeof question, "%s from=%s", r->question,
             strchr(r->client, ':') ? "[2001:db8::1]:9" : r->client);
    a = world_ask(w, question);
    late = json_object_get(explained, "late");
    if (json_is_object(late)) {
        assert_int_equal(world_give(w, "deadline"), ANSWER_SEND);
        assert_string_equal(outcome_names[w->q->event.outcome], text_of(late, "outcome"));
        assert_string_equal(w->q->event.rule, text_of(late, "rule"));
        a = world_ask(w, question);
    }
    if (r->reply != NULL) {
        assert_int_equal(a, ANSWER_FORWARD);
        a = world_give(w, r->reply);
    }
    if (r->verdict == NULL && strstr(r->question, "TKEY") == NULL)
        check_same(w, explained, a, r->question);
    json_decref(explained);
    free(text);
    free(e);
    world_free(w);
}

/* --- the same for whatever is asked --------------------------------------- */

static uint32_t seed;

static const char *one_of(const char *const *list)
{
    uint32_t n = 0;

    while (list[n] != NULL)
        n++;
    seed = seed * 1664525u + 1013904223u;
    return list[(seed >> 16) % n];
}

static void write_policy(char *out, size_t size)
{
    static const char *const suffixes[] = {"x.example", "\"*.example\"", "\"*\"", "y.example",
                                           NULL},
                             *const networks[] = {"any", "kiosks", "any, kiosks", NULL},
                             *const deeds[] = {"pool: p",
                                               "pool: p, break-dnssec: yes",
                                               "when: [missing, failed], pool: p",
                                               "action: replace, pool: p",
                                               "action: replace, pool: p, break-dnssec: yes",
                                               "action: replace, when: [unapproved], pool: p",
                                               "action: filter",
                                               "action: deny",
                                               "action: pass",
                                               NULL},
                             *const modes[] = {"live", "live", "live", "shadow", "off", NULL};
    size_t at = (size_t)snprintf(out, size,
                                 "networks: {kiosks: [10.20.0.0/16]}\npools: {p: "
                                 "[kms.corp.example]}\napproved: [good.example]\nrules:\n");

    for (int i = 0; i < 3; i++)
        at += (size_t)snprintf(out + at, size - at,
                               "  r%d: {suffixes: [%s], networks: [%s], %s, mode: %s}\n", i,
                               one_of(suffixes), one_of(networks), one_of(deeds), one_of(modes));
}

/* The daemon and explain are asked the same, with what came and with what is cached. */
static void check_generated(void **state)
{
#define SIG(owner, type)                                                                           \
    owner " 60 IN RRSIG " type " 8 1 60 20300101000000 20200101000000 1 x. AA==\n"
#define NX "ns example. 60 IN SOA a. b. 1 2 3 4 60\n"
#define SRV "an " V "x.example. 60 IN SRV 0 0 1688 "
    static const char *const modes[] = {"kms: {mode: off}\n", "kms: {mode: shadow}\n", NULL, NULL},
                             *const clients[] = {"10.20.0.1", "10.1.1.1", NULL},
                             *const types[] = {"SRV", "SRV do", "ANY", "ANY do", NULL},
                             *const replies[] = {
                                 "NXDOMAIN\n" NX,
                                 "NXDOMAIN\n" NX SIG("ns example.", "SOA"),
                                 "NOERROR\n" NX,
                                 "NOERROR\n" SRV "good.example.\n",
                                 "NOERROR\n" SRV "good.example.\n" SIG("an " V "x.example.", "SRV"),
                                 "NOERROR\n" SRV "bad.example.\n",
                                 "NOERROR\n" SRV "bad.example.\n" SRV "good.example.\n",
                                 "timeout",
                                 "SERVFAIL",
                                 "REFUSED",
                                 NULL};
    static struct reply reply;
    char policy[1000], question[100], what[2000], settings[100];

    for (seed = 1; seed < 26; seed++) {
        uint32_t policy_seed = seed;
        struct world *w;

        write_policy(policy, sizeof policy);
        snprintf(settings, sizeof settings, "%s",
                 policy_seed % 5 < 2 ? modes[policy_seed % 5] : "");
        w = world_new(settings, policy);
        for (int i = 0; i < 20; i++) {
            const char *type = one_of(types), *client = one_of(clients), *text = one_of(replies);
            struct row row = {.client = client, .question = question};
            struct explain *e;
            json_t *explained;
            enum answer a;

            snprintf(question, sizeof question, V "x.example %s", type);
            snprintf(what, sizeof what, "%u: %s%s\n%s from %s\n%s", policy_seed, settings, policy,
                     question, client, text);
            e = explain_new(&row);
            cache_flush(w->cache, NULL, false);
            if ((explained = explain_run(e, &w->view, NULL, w->now)) == NULL) {
                reply_make(&reply, &w->view, &e->q, text);
                explained = explain_run(e, &w->view, &reply.came, w->now);
            }
            snprintf(question, sizeof question, V "x.example %s tcp from=%s", type, client);
            a = world_ask(w, question);
            check_same(w, explained, a == ANSWER_FORWARD ? world_give(w, text) : a, what);
            for (int again = 0; again < 2; again++) { /* from the cache, and as it was kept */
                a = world_ask(w, question);
                json_decref(explained);
                explained = explain_run(e, &w->view, NULL, w->now);
                check_same(w, explained, a, what);
            }
            json_decref(explained);
            free(e);
        }
        world_free(w);
        seed = policy_seed;
    }
}

/* At the deadline an expired entry decides, if there is a deadline. */
static void check_late_stale(void **state)
{
    static const struct row row = {"",   NULL, POLICY, V "fabrikam.local SRV", "10.1.1.1", NULL,
                                   NULL, NULL, NULL};
    static struct reply reply;

    for (int i = 0; i < 2; i++) {
        struct world *w = world_new(i == 0 ? SETTINGS : SETTINGS "kms: {mode: off}\n", POLICY);
        struct explain *e = explain_new(&row);
        json_t *explained;

        world_cache(w, row.question, "NXDOMAIN\n" SOA);
        world_wait(w, 41000);
        assert_null(explain_run(e, &w->view, NULL, w->now));
        reply_make(&reply, &w->view, &e->q, "NXDOMAIN ms=800\n" SOA);
        explained = explain_run(e, &w->view, &reply.came, w->now);
        assert_string_equal(text_of(json_object_get(explained, "late"), "text"),
                            i == 1 ? ""
                                   : "800 ms is behind kms.upstream-deadline; a client that asks "
                                     "first is answered at 700 ms, after an expired entry: rule "
                                     "merged-domains fills from pool contoso");
        json_decref(explained);
        free(e);
        world_free(w);
    }
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(check_late_stale);
    TEST(check_generated);
    return RUN("explain");
}
