/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_reply_read.c -- replies are read, cut to their question, and aged.
 *
 * A reply is made by ldns, and the image is read back by ldns.
 */
#include "tests/unit/wire/text_message.h"

#include "base/str.h"
#include "wire/reply.h"

#define L10 "a.b.c.d.e.f.g.h.i.j"
#define DEEP                                                                                       \
    L10 "." L10 "." L10 "." L10 "." L10 "." L10 "." L10 /* more labels than a table has places */
#define W "w.ex. A"
#define A1 "w.ex. A 10.0.0.1\n"
#define LINKS_11                                                                                   \
    "a0. 1 CNAME a1.\na1. 1 CNAME a2.\na2. 1 CNAME a3.\na3. 1 CNAME a4.\na4. 1 CNAME a5.\n"        \
    "a5. 1 CNAME a6.\na6. 1 CNAME a7.\na7. 1 CNAME a8.\na8. 1 CNAME a9.\na9. 1 CNAME b0.\n"        \
    "b0. 1 CNAME b1.\n"
#define SOA_LINE "ns ex. 300 IN SOA ns.ex. h.ex. 1 7200 900 86400 60\n"
#define SOA_NET "ns net. 90 SOA a.net. h.net. 1 2 3 4 70\n"
#define SIG_OF(type) " 300 IN RRSIG " type " 8 1 300 20300101000000 20200101000000 1 ex. AAAA\n"
#define STRINGS                                                                                    \
    "w.ex. TXT \"x\" \"\" \"yy\"\nw.ex. TYPE16 \\# 0\n"                                            \
    "w.ex. SPF \"v=spf1\"\nw.ex. HINFO \"a\" \"b\"\n"                                              \
    "w.ex. X25 \"31\"\nw.ex. ISDN \"1\"\nw.ex. ISDN \"1\" \"2\"\n"                                 \
    "w.ex. GPOS \"1.0\" \"2.0\" \"3.0\"\nw.ex. CAA 0 issue \"ca.ex\"\n"
#define NSEC_LINE "ns v.ex. 60 IN NSEC x.ex. A\n"

/* Records of class IN and TTL 60, where they say no other; "-" in front: it goes. What is learnt:
 * the kind, the TTL unless it is 60, what is there, the chain's end unless it is QNAME. */
static const struct reply_row {
    const char *what, *question, *records;
    const char *learnt; /* NULL: "positive" */
    const char *kept;   /* NULL: all that do not go, as they are */
    uint16_t flags;     /* besides QR, and the rcode of "nxdomain" */
} rows[] = {
    /* clang-format off */
    {"one address", W, A1},
    {"two addresses", W, A1 "w.ex. A 10.0.0.2\n", "positive rotates"},
    {"TTLs of a set become the smallest", W, A1 "w.ex. 50 A 10.0.0.2\n", "positive 50 rotates",
     "w.ex. 50 A 10.0.0.1\nw.ex. 50 A 10.0.0.2\n"},
    {"case of the reply does not matter", W, "W.eX. A 10.0.0.1\n", NULL, A1},
    {"capitals of the question come back in other owners", "w.eX. A", SOA_LINE, "nodata soa"},
    {"capitals in data stay", "w.ex. PTR", "w.ex. PTR Host.Other.\n"},
    {"chain", W, "w.ex. CNAME web.ex.net.\nweb.ex.net. 20 A 10.0.0.1\n",
     "positive 20 cname web.ex.net"},
    {"chain in another order", W, "web.net. 20 A 10.0.0.1\nb.net. 30 CNAME web.net.\n"
     "w.ex. CNAME b.net.\n", "positive 20 cname web.net", "b.net. 30 CNAME web.net.\n"
     "w.ex. CNAME b.net.\nweb.net. 20 A 10.0.0.1\n"},
    {"set in front of its chain", W, "web.net. 20 A 10.0.0.1\nweb.net. 20 A 10.0.0.2\n"
     "w.ex. CNAME web.net.\n", "positive 20 cname rotates web.net", "w.ex. CNAME web.net.\n"
     "web.net. 20 A 10.0.0.1\nweb.net. 20 A 10.0.0.2\n"},
    {"chain inside its set", W, "web.net. 20 A 10.0.0.1\nw.ex. CNAME web.net.\n"
     "web.net. 20 A 10.0.0.2\n", "positive 20 cname rotates web.net", "w.ex. CNAME web.net.\n"
     "web.net. 20 A 10.0.0.1\nweb.net. 20 A 10.0.0.2\n"},
    {"signature inside its set", W, A1 "w.ex." SIG_OF("A") "w.ex. A 10.0.0.8\n",
     "positive sig rotates", A1 "w.ex. A 10.0.0.8\nw.ex." SIG_OF("A")},
    {"set with its signature and addresses", "_s._tcp.w.ex. SRV",
     "_s._tcp.w.ex. SRV 0 1 1688 kms.ex.\n_s._tcp.w.ex. SRV 0 1 1688 kms2.ex.\n_s._tcp.w.ex."
     SIG_OF("SRV") "ar kms.ex. A 10.0.0.3\nar kms2.ex. A 10.0.0.4\n", "positive sig rotates"},
    {"set whose names would share their ends", "ex. MX", "ex. MX 10 a.mx.ex.net.\n"
     "ex. MX 10 b.mx.ex.net.\nex. MX 20 c.a.mx.ex.net.\nar a.mx.ex.net. A 10.0.0.3\n"
     "ar b.mx.ex.net. A 10.0.0.4\n", "positive rotates"},
    {"set whose owner nobody remembers any more", W, "w.ex. CNAME " DEEP ".\n" DEEP
     ". 60 CNAME end.other.\nend.other. A 10.0.0.3\nend.other. A 10.0.0.4\n",
     "positive cname rotates end.other"},
    {"DNAME above a set of DNAME", "a.old.ex. TYPE39", "old.ex. DNAME new.ex.\n"
     "a.old.ex. DNAME a.net.\na.old.ex. DNAME b.net.\n"},
    {"chain to nothing, with SOA", W, "w.ex. CNAME no.net.\n" SOA_NET, "nodata soa cname no.net"},
    {"chain to nothing, without SOA", W, "w.ex. CNAME no.net.\n", "chain cname uncached no.net"},
    {"chain, SOA of the first zone only", W, "w.ex. CNAME no.net.\n" SOA_LINE,
     "chain cname uncached no.net"},
    {"chain to NXDOMAIN", W, "w.ex. CNAME no.net.\n" SOA_NET, "nxdomain soa cname no.net"},
    {"loop of one", "a.ex. A", "a.ex. CNAME a.ex.\n", "refused"},
    {"loop of two", "a.ex. A", "a.ex. CNAME b.ex.\nb.ex. CNAME a.ex.\n", "refused"},
    {"chain of 11", "a0. A", LINKS_11 "b1. 1 A 10.0.0.1\n", "positive 1 cname b1"},
    {"chain of 12", "a0. A", LINKS_11 "b1. 1 CNAME b2.\nb2. 1 A 10.0.0.1\n", "refused"},
    {"second CNAME at one name goes", W, "w.ex. CNAME a.net.\n-w.ex. CNAME b.net.\n"
     "a.net. 20 A 10.0.0.1\n", "positive 20 cname a.net"},
    {"QTYPE CNAME: no chain", "w.ex. CNAME", "w.ex. CNAME a.net.\n-a.net. 20 CNAME b.net.\n"},
    {"ANY: everything at the name, no chain", "w.ex. TYPE255", "w.ex. CNAME a.net.\n"
     "w.ex. 20 TXT \"x\"\n-a.net. 5 A 10.0.0.1\n", "positive 20"},
    {"DNAME above the chain", "a.old.ex. A", "old.ex. DNAME new.ex.\na.old.ex. CNAME a.new.ex.\n"
     "a.new.ex. 5 A 10.0.0.9\n", "positive 5 cname a.new.ex"},
    {"DNAME at the name itself goes", W, "-w.ex. DNAME net.\nw.ex. A 10.0.0.1\n"},
    {"DNAME elsewhere goes", "a.old.ex. A", "-bank.ex. DNAME evil.ex.\na.old.ex. A 10.0.0.9\n"},
    {"records of another name in the answer go", W, A1 "-www.bank.ex. 6 A 10.0.0.66\n"},
    {"records of another type in the answer go", W, A1 "-w.ex. 6 TXT \"x\"\n"},
    {"records of another class go", "w.ex. TXT", "-w.ex. 6 CH TXT \"x\"\n" SOA_LINE, "nodata soa"},
    {"authority of another zone goes, with its address", W, A1 "-ns com. NS ns.evil.\n"
     "-ar ns.evil. 6 A 10.0.0.66\n"},
    {"set of NS above which there is another", "sub.ex. NS", "sub.ex. NS a.net.\n"
     "sub.ex. NS b.net.\nns ex. NS c.net.\n", "positive rotates"},
    {"NS of the zone and its address stay", W, A1 "ns ex. NS ns.ex.\nar ns.ex. A 10.0.0.66\n"},
    {"address that nobody names goes", "ex. MX", "ex. MX 10 mx.ex.\nar mx.ex. A 10.0.0.3\n"
     "ar mx.ex. AAAA 2001:db8::3\n-ar w.ex. A 10.0.0.66\n"},
    {"other types in additional go", "_s._tcp.ex. SRV", "_s._tcp.ex. SRV 0 1 1688 kms.ex.\n"
     "-ar kms.ex. TXT \"x\"\nar kms.ex. A 10.0.0.3\n"},
    {"other records in authority go", W, SOA_LINE "-ns ex. 5 TXT \"x\"\n", "nxdomain soa"},
    {"NXDOMAIN", "no.ex. A", SOA_LINE, "nxdomain soa"},
    {"NXDOMAIN, TTL of the SOA below its MINIMUM", "no.ex. A",
     "ns ex. 7 SOA ns.ex. h.ex. 1 7200 900 86400 60\n", "nxdomain 7 soa"},
    {"NXDOMAIN without SOA", "no.ex. A", "", "nxdomain no-ttl"},
    {"NXDOMAIN with a SOA from elsewhere", "no.ex. A", "-ns com. 7 SOA ns.com. h.com. 1 2 3 4 5\n",
     "nxdomain no-ttl"},
    {"NXDOMAIN with a SOA from below", "ex. A", "-ns no.ex. 7 SOA ns.com. h.com. 1 2 3 4 5\n",
     "nxdomain no-ttl"},
    {"NXDOMAIN with an answer: that goes, and it is not kept", "no.ex. A", "-no.ex. A 10.0.0.1\n",
     "nxdomain no-ttl uncached"},
    {"NODATA", "w.ex. SRV", SOA_LINE, "nodata soa"},
    {"NODATA without SOA", "w.ex. SRV", "", "nodata no-ttl"},
    {"NODATA, SOA of the root", "w.ex. SRV", "ns . 7 SOA ns.com. h.com. 1 2 3 4 50\n",
     "nodata 7 soa"},
    {"signed NXDOMAIN", W, SOA_LINE "ns ex." SIG_OF("SOA") NSEC_LINE "ns v.ex." SIG_OF("NSEC"),
     "nxdomain soa sig"},
    {"NXDOMAIN with NSEC3", W, SOA_LINE "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.ex. NSEC3 1 0 1 ab "
     "2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A\n", "nxdomain soa"},
    {"NSEC of another zone goes", W, SOA_LINE "-ns v.com. NSEC x.com. A\n", "nxdomain soa"},
    {"signed wildcard answer keeps its NSEC", W, A1 "w.ex." SIG_OF("A") NSEC_LINE "ns v.ex."
     SIG_OF("NSEC"), "positive sig"},
    {"NSEC without a zone goes", W, A1 "-" NSEC_LINE},
    {"RRSIG of another type goes", W, A1 "-w.ex." SIG_OF("TXT")},
    {"QTYPE RRSIG", "w.ex. RRSIG", "w.ex." SIG_OF("A") "w.ex." SIG_OF("TXT"),
     "positive 300 sig rotates"},
    {"signed chain", W, "w.ex. CNAME a.ex.\nw.ex." SIG_OF("CNAME") "a.ex. A 10.0.0.7\na.ex."
     SIG_OF("A"), "positive sig cname a.ex"},
    {"signature of a CNAME elsewhere goes", W, A1 "-v.ex." SIG_OF("CNAME")},
    {"signer elsewhere makes no zone known", "w.net. A", "w.net. A 10.0.0.7\nw.net." SIG_OF("A") "-"
     NSEC_LINE, "positive sig"},
    {"chain, SOA of both zones: the end's counts", W, "w.ex. 600 CNAME no.net.\n" SOA_LINE SOA_NET,
     "nodata 70 soa cname no.net"},
    {"referral", "www.sub.ex. A", "ns sub.ex. NS ns.sub.ex.\nar ns.sub.ex. A 10.0.0.4\n",
     "referral uncached"},
    {"NS with AA is no referral", W, "ns ex. NS ns.ex.\n", "nodata", .flags = DNS_AA},
    {"NS with SOA is no referral", W, "ns ex. NS ns.ex.\n" SOA_LINE, "nodata soa"},
    {"SERVFAIL", W, "", "failure no-ttl uncached", .flags = RCODE_SERVFAIL},
    {"truncated: to be asked again over TCP", W, A1, "refused", .flags = DNS_TC},
    {"address that ends before the answer goes", "_s._tcp.ex. SRV",
     "_s._tcp.ex. SRV 0 1 1688 kms.ex.\n-ar kms.ex. 59 A 10.0.0.3\nar kms.ex. AAAA 2001:db8::3\n"},
    {"root as target of an SVCB means its owner", "w.ex. TYPE64", "w.ex. TYPE64 \\# 3 000100\nar w.ex. A 10.0.0.3\n"},
    {"address that a KX names goes", "ex. KX", "ex. KX 10 kx.ex.\n-ar kx.ex. A 10.0.0.3\n"},
    {"NS that ends before the answer goes, with its address", W, A1 "-ns ex. 59 NS ns.ex.\n"
     "-ar ns.ex. A 10.0.0.66\n"},
    {"proof that ends before the answer counts, and for addresses", "w.ex. MX",
     "w.ex. MX 1 mx.ex.\nw.ex." SIG_OF("MX") "ns v.ex. 50 NSEC x.ex. A\n-ar mx.ex. 49 A 10.0.0.7\n"
     "ar mx.ex. 50 AAAA 2001:db8::3\n", "positive 50 sig"},
    {"signature that ends before its proof counts", W, A1 "w.ex." SIG_OF("A") NSEC_LINE
     "ns v.ex. 40 RRSIG NSEC 8 1 300 20300101000000 20200101000000 1 ex. AAAA\n",
     "positive 40 sig"},
    {"proof that ends before the SOA counts", W, SOA_LINE "ns v.ex. 50 NSEC x.ex. A\n",
     "nxdomain 50 soa"},
    {"NS that ends before the SOA counts", "no.ex. A", SOA_LINE "ns ex. 50 NS ns.ex.\n",
     "nxdomain 50 soa"},
    {"MINIMUM of a SOA beside an answer does not count", W, "w.ex. 90 A 10.0.0.1\n" SOA_LINE,
     "positive 90 soa"},
    {"chain to NXDOMAIN without SOA: the chain counts", W, "w.ex. 6 CNAME no.net.\n",
     "nxdomain 6 cname no.net"},
    {"AD is told", W, A1, NULL, .flags = DNS_AD},
    {"TTL with the top bit counts as 0", W, "w.ex. 2147483648 A 10.0.0.1\n"
     "ns ex. 4294967295 NS ns.ex.\n", "positive 0", "w.ex. 0 A 10.0.0.1\nns ex. 0 NS ns.ex.\n"},
    {"unknown type with octets like pointers", "w.ex. TYPE65280",
     "w.ex. TYPE65280 \\# 5 c00cc00c00\n"},
    {"types with names in them", "w.ex. TYPE255", "w.ex. NAPTR 1 2 \"s\" \"x\" \"\" r.w.ex.\n"
     "w.ex. RP a.w.ex. b.w.ex.\nw.ex. SOA ns.w.ex. h.w.ex. 1 2 3 4 5\nw.ex. MINFO a.w.ex. b.w.ex.\n"
     "w.ex. AFSDB 1 b.w.ex.\n-x.ex. A 10.0.0.1\n"},
    {"types with character-strings", "w.ex. TYPE255", STRINGS "-x.ex. A 10.0.0.1\n"},
    {"chain that leads away ends there", W, "w.ex. CNAME b.ex.\nw.ex." SIG_OF("CNAME")
     "b.ex. CNAME a.away.\n-a.away. A 10.0.0.1\n-a.away." SIG_OF("A") "-ns ex. NS ns.ex.\n-ar ns.ex. A 10.0.0.2\n",
     "chain sig cname uncached a.away"},
    {"and if it does not exist", W, "w.ex. CNAME a.away.\n-ns away. SOA ns.away. h.away. 1 2 3 4 5\n",
     "chain cname uncached a.away", .flags = RCODE_NXDOMAIN},
    {"and what leads on from there", W, "-away. DNAME net.\nw.ex. CNAME a.away.\n-a.away. CNAME a.net.\n"
     "-a.net. A 10.0.0.1\n", "chain cname uncached a.away"},
    {"a failure is one whatever leads away", W, "w.ex. CNAME a.away.\na.away. A 10.0.0.1\n",
     "failure cname uncached a.away", .flags = RCODE_SERVFAIL},
    {"who asks for what leads away", "a.away. A", "a.away. A 10.0.0.1\n"},
    /* clang-format on */
};

static bool leads_away(const void *zone, const struct name *n)
{
    return name_is_under(n, zone);
}

static const struct name away = {.len = 6, .labels = 1, .data = "\4away"};
static const struct reply_wanted wanted = {true, leads_away, &away};
static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX], other[TEXT_MESSAGE_MAX];
static struct reply_facts f;

/* DO was set. */
static int read_one(const uint8_t *from, size_t len, uint8_t *out, size_t size, size_t *n)
{
    struct message m;

    if (message_read_head(&m, from, len) != 0)
        return -EBADMSG;
    return reply_read(&m, from, len, &wanted, out, size, n, &f);
}

/* Reads what ldns makes of the records; the length of the image. */
static size_t read_text(const char *question, const char *records)
{
    size_t len = text_to_wire(wire, DNS_QR, question, records, true), n;

    assert_int_equal(read_one(wire, len, image, sizeof image, &n), 0);
    return n;
}

/* The lines of a row: all, or those that stay. */
static const char *lines_of(const char *records, bool all)
{
    static char out[2][3000];
    char *p = out[all];

    for (size_t n; *records != '\0'; records += n) {
        bool goes = *records == '-';

        n = strcspn(records, "\n") + 1;
        if (all || !goes)
            p = mempcpy(p, records + goes, n - goes);
    }
    *p = '\0';
    return out[all];
}

static const char *facts_print(const struct name *qname, char *out)
{
    static const char *const kinds[REPLY_KINDS] = {"positive", "nodata",  "nxdomain",
                                                   "referral", "failure", "chain"};
    char end[NAME_TEXT];
    struct str s;

    str_init(&s, out, 200);
    str_add(&s, kinds[f.kind]);
    if (f.ttl != 60)
        str_addf(&s, f.ttl == UINT32_MAX ? " no-ttl" : " %u", f.ttl);
    str_addf(&s, "%s%s%s%s%s", f.has_soa ? " soa" : "", f.has_rrsig ? " sig" : "",
             f.has_cname ? " cname" : "", f.rotates ? " rotates" : "",
             f.cacheable ? "" : " uncached");
    if (!name_equal(&f.end, qname))
        str_addf(&s, " %s", name_print(&f.end, end));
    return out;
}

static void check_row(void **state)
{
    static char got[20000], want[20000];
    const struct reply_row *r = *state;
    const char *records = lines_of(r->records, true);
    const char *learnt = r->learnt != NULL ? r->learnt : "positive";
    uint16_t flags = r->flags | (strncmp(learnt, "nx", 2) == 0 ? RCODE_NXDOMAIN : 0);
    uint16_t stay = strncmp(learnt, "chain", 5) == 0 ? DNS_AD : DNS_AD | 15;
    size_t len = text_to_wire(wire, DNS_QR | flags, r->question, records, true), n;
    struct message m;
    int rc = read_one(wire, len, image, sizeof image, &n);
    bool rotates = f.rotates;

    if (strcmp(learnt, "refused") == 0) {
        assert_int_equal(rc, (flags & DNS_TC) != 0 ? -EBADMSG : -ELOOP);
        return;
    }
    assert_int_equal(rc, 0);
    wire_to_text(image, n, got, sizeof got);
    records = r->kept != NULL ? r->kept : lines_of(r->records, false);
    wire_to_text(other, text_to_wire(other, DNS_QR, r->question, records, false), want,
                 sizeof want);
    if (strcasecmp(got, want) != 0)
        fail_msg("\nwant %s\ngot  %s", want, got);
    assert_int_equal(message_read_reply(&m, image, n), 0);
    assert_int_equal(m.id, 0);
    assert_int_equal(m.flags, DNS_QR | DNS_RA | DNS_RD | (flags & stay));
    assert_string_equal(facts_print(&m.qname, got), learnt);
    assert_int_equal(read_one(wire, len, image, n, &n), 0);
    rc = read_one(wire, len, image, n - 1, &n);
    assert_true(rc == -ENOSPC || (rc == 0 && rotates && !f.rotates)); /* the shorter image fits */
    assert_int_equal(message_read_head(&m, wire, len), 0);
    assert_int_equal(
        reply_read(&m, wire, len, &(struct reply_wanted){0}, image, sizeof image, &n, &f), 0);
    wire_to_text(image, n, got, sizeof got); /* signatures and proofs are for who asks for them */
    assert_true(m.qtype == TYPE_RRSIG || (strstr(got, " RRSIG ") == NULL && !f.has_rrsig));
    assert_null(strstr(got, " NSEC"));
}

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define HEAD(flags, an, ns, ar) "\x12\x34" flags "\0\1\0" an "\0" ns "\0" ar
#define Q(type) "\3wWw\7ExamplE\0\0" type "\0\1" /* 17 octets: the records begin at 29 */
#define FIX(type, len) "\0" type "\0\1\0\0\0\5\0" len
#define RR(type, len) "\xc0\x0c" FIX(type, len)
#define OPT "\0\0\x29\x10\0\0\0\0\0\0\0"
#define REPLY(an, ns, ar, type) HEAD("\x81\x80", an, ns, ar) Q(type)
#define ONE REPLY("\1", "\0", "\0", "\1")
#define IMAGE_A "c00c000100010000000500047f000001"
#define A_RR RR("\1", "\4") "\x7f\0\0\1"

/* Octets that no text gives. */
static const struct raw_row {
    const char *what;
    const uint8_t *at;
    size_t len;
    const char *want; /* octets of the image behind its question, in hex; NULL: refused */
} raw_rows[] = {
    /* clang-format off */
    {"plain", BYTES(ONE A_RR), IMAGE_A},
    {"OPT goes", BYTES(REPLY("\1", "\0", "\1", "\1") A_RR OPT), IMAGE_A},
    {"owner written out in random case becomes a pointer", BYTES(ONE "\3WwW\7eXample\0"
     FIX("\1", "\4") "\x7f\0\0\1"), IMAGE_A},
    {"part of the question in random case becomes a pointer", BYTES(REPLY("\0", "\1", "\0", "\1")
     "\7eXample\0" FIX("\2", "\2") "\xc0\x0c"), "c01000020001000000050002c00c"},
    {"RDLENGTH lies: SRV runs over its end", BYTES(ONE RR("\x21", "\7") "\0\0\0\0\6\x98\3kms\0")},
    {"RDLENGTH 0 for SRV", BYTES(ONE RR("\x21", "\0"))},
    {"octets behind the name of a CNAME", BYTES(ONE RR("\5", "\4") "\1a\0x")},
    {"A with a record hidden in it", BYTES(REPLY("\2", "\0", "\0", "\1") RR("\1", "\x14")
     "\x7f\0\0\1" A_RR)},
    {"AAAA of four octets", BYTES(ONE RR("\x1c", "\4") "\x7f\0\0\1")},
    {"SOA without its numbers", BYTES(REPLY("\0", "\1", "\0", "\1") "\xc0\x10" FIX("\6", "\4")
     "\xc0\x0c\xc0\x0c")},
    {"RRSIG shorter than its fields", BYTES(ONE RR("\x2e", "\2") "\0\1")},
    {"TXT whose string runs over its end", BYTES(ONE RR("\x10", "\3") "\3ab")},
    {"TXT whose second string runs over its end", BYTES(REPLY("\2", "\0", "\0", "\1")
     RR("\x10", "\3") "\1a\1" A_RR)},
    {"HINFO with one string", BYTES(ONE RR("\x0d", "\2") "\1a")},
    {"HINFO with three strings", BYTES(ONE RR("\x0d", "\6") "\1a\1a\1a")},
    {"X25 with an octet behind its string", BYTES(ONE RR("\x13", "\3") "\1ab")},
    {"ISDN without a string", BYTES(ONE RR("\x14", "\0"))},
    {"ISDN whose second string runs over its end", BYTES(ONE RR("\x14", "\3") "\1a\1")},
    {"GPOS with two strings", BYTES(ONE RR("\x1b", "\4") "\1a\1a")},
    {"CAA whose tag runs over its end", BYTES(ONE "\xc0\x0c\1\1\0\1\0\0\0\5\0\4" "\0\5is")},
    {"a query", BYTES(HEAD("\1\0", "\0", "\0", "\0") Q("\1"))},
    {"opcode STATUS", BYTES(HEAD("\x91\x80", "\0", "\0", "\0") Q("\1"))},
    {"compressed SRV target is written out, folded", BYTES(REPLY("\1", "\0", "\0", "\x21") RR("\x21", "\x8")
     "\0\0\0\0\6\x98\xc0\x10"), "c00c0021000100000005000f000000000698076578616d706c6500"},
    {"SRV target written out keeps its case", BYTES(REPLY("\1", "\0", "\0", "\x21") RR("\x21", "\x0b")
     "\0\0\0\0\6\x98\3KMS\0"), "c00c0021000100000005000b000000000698034b4d5300"},
    {"compressed HTTPS target is refused", BYTES(ONE RR("\x41", "\4") "\0\1\xc0\x10")},
    {"OPT before another record", BYTES(REPLY("\1", "\0", "\2", "\x0f") RR("\x0f", "\5") "\0\1\1m\0"
     OPT "\1m\0" FIX("\1", "\4") "\x7f\0\0\1"),
     "c00c000f00010000000500050001016d00c02b000100010000000500047f000001"},
    {"owner that points at a TTL is written anew", BYTES(REPLY("\1", "\1", "\0", "\1") A_RR
     "\xc0\x21" FIX("\2", "\2") "\xc0\x0c"),
     "c00c000100010000000500047f0000010000020001000000050002c00c"},
    {"TSIG goes", BYTES(REPLY("\1", "\0", "\1", "\1") A_RR "\0\0\xfa\0\xff\0\0\0\0\0\0"), IMAGE_A},
    /* clang-format on */
};

static void check_raw(void **state)
{
    const struct raw_row *r = *state;
    char hex[400] = "";
    size_t len, at = 0;

    assert_int_equal(read_one(r->at, r->len, image, sizeof image, &len),
                     r->want != NULL ? 0 : -EBADMSG);
    if (r->want == NULL)
        return;
    assert_memory_equal(image + DNS_HEADER, "\3www\7example\0", 13);
    for (size_t i = DNS_HEADER + 17; i < len; i++)
        at += (size_t)snprintf(hex + at, sizeof hex - at, "%02x", image[i]);
    assert_string_equal(hex, r->want);
}

static void check_ages(void **state)
{
    static const char records[] = "an a. 100 IN A 10.0.0.1\nan a. 5 IN A 10.0.0.2\n";
    size_t len = text_to_wire(image, DNS_QR, "a. A", records, true);
    char text[200];

    image_age(image, len, 10, 0, UINT32_MAX);
    wire_to_text(image, len, text, sizeof text);
    assert_string_equal(text, "an a. 90 IN A 10.0.0.1\nan a. 0 IN A 10.0.0.2\n");
}

/* A set whose names share their ends is kept apart, and can be rotated, as long
 * as the image still fits into 512 octets. */
static void check_apart(void **state)
{
    char text[4000] = "";

    for (int i = 0; i < 40; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "an example. 60 IN NS n%02d%s.servers.example.net.\n", i, i == 0 ? "longer" : "");
        assert_int_equal(read_text("example. NS", text),
                         i < 13 ? 31 + (i + 1) * 37 : 31 + 37 + i * 18);
        assert_int_equal(f.rotates, i > 0 && i < 13); /* 12 + 13 + 6 + records of 37 octets: 512 */
    }
}

/* Of a large set what begins in the first 4 KB is rotated, 256 records at most. */
static void check_rotates_large(void **state)
{
    static char text[40000], got[40000];
    size_t n, at = 0;

    for (int i = 0; i < 100; i++)
        at += (size_t)sprintf(text + at, "www.example. TXT \"%03d%0200d\"\n", i, 0);
    for (unsigned by = 0; by < 40; by++) {
        n = read_text("www.example. TXT", text);
        assert_true(f.rotates);
        image_rotate(image, n, TYPE_TXT, by);
        wire_to_text(image, n, got, sizeof got);
        assert_int_equal(atoi((char[]){strchr(got, '"')[2], strchr(got, '"')[3], '\0'}), by % 19);
        assert_null(strstr(strstr(got, "\"099"), "\nan")); /* the last stays the last */
    }
    n = read_text("www.example. A", "www.example. A 10.0.0.1\nwww.example. A 10.0.0.2\n");
    image_rotate(image, n, TYPE_A, 1);
    wire_to_text(image, n, got, sizeof got);
    assert_true(strstr(got, "10.0.0.2") < strstr(got, "10.0.0.1")); /* two are a set */
    at = 0;
    for (int i = 0; i < 300; i++)
        at += (size_t)sprintf(text + at, "www.example. TYPE65280 \\# 2 %04x\n", i);
    for (unsigned by = 255; by <= 257; by++) {
        n = read_text("www.example. TYPE65280", text);
        image_rotate(image, n, 65280, by);
        assert_int_equal(bytes_u16(image + DNS_HEADER + 17 + 12), by % 256);
    }
}

/* The addresses of the first 64 names come along. */
static void check_named(void **state)
{
    static char text[20000], got[20000];
    size_t at = 0;
    int n = 0;

    for (int i = 0; i < 140; i++)
        at += (size_t)sprintf(text + at,
                              i < 70 ? "an example. SRV 0 0 1 n%02d.example.\n"
                                     : "ar n%02d.example. A 10.0.0.1\n",
                              i % 70);
    wire_to_text(image, read_text("example. SRV", text), got, sizeof got);
    for (const char *p = got; (p = strstr(p, "ar n")) != NULL; p++)
        n++;
    assert_int_equal(n, 64);
    assert_null(strstr(got, "ar n64."));
}

/* Where a name lies that no pointer reaches any more: before, at and behind 0x4000. */
static void check_pointer_reach(void **state)
{
    static char text[30000];

    for (int k = 130; k < 150; k++) {
        int at = 0;

        for (int i = 0; i < 76; i++)
            at += sprintf(text + at, "www.example. TXT \"%0200d\"\n", i);
        sprintf(text + at,
                "www.example. TXT \"%0*d\"\nwww.example. MX 1 mx.other.\n"
                "www.example. MX 2 mx.other.\nwww.example. MX 3 b.other.\n",
                k, 0);
        wire_to_text(image, read_text("www.example. TYPE255", text), text, sizeof text);
        assert_has(text, "MX 2 mx.other.");
        assert_has(text, "MX 3 b.other.");
    }
}

/* ---- SRV sets ---- */

#define NAME "_vlmcs._tcp.corp.example."
#define SRV_1 "an " NAME " 600 IN SRV 0 5 1688 kms1.corp.example.\n"
#define SRV_2 "an " NAME " 600 IN SRV 10 6 1689 KMS2.corp.example.\n"
#define SRV_3 "an " NAME " 600 IN SRV 20 7 1688 other.example.\n"
#define AT_1 "ar kms1.corp.example. 60 IN A 10.0.0.1\n"
#define AT_2 "ar kms2.corp.example. 60 IN AAAA 2001:db8::2\n"
#define AT_3 "ar other.example. 60 IN A 10.0.0.3\n"
#define ALL SRV_1 SRV_2 SRV_3 AT_1 AT_2 AT_3
#define CHAIN "an " NAME " 60 IN CNAME _vlmcs._tcp.net.\n"
#define NET "an _vlmcs._tcp.net."

static size_t image_make(const char *records)
{
    return text_to_wire(image, DNS_QR | DNS_AD | DNS_RD | DNS_RA, NAME " SRV", records, true);
}

static void check_srv(void **state)
{
    size_t len = image_make(ALL);
    struct name target;
    struct srv srv[SRV_MAX + 1] = {[SRV_MAX].port = 7};
    char many[4000] = "";

    assert_int_equal(name_parse(&target, "kms2.corp.example"), 0);
    assert_int_equal(srv_read(image, len, srv), 3);
    assert_true(srv[1].priority == 10 && srv[1].weight == 6 && srv[1].port == 1689);
    assert_true(name_equal(&srv[1].target, &target)); /* folded */
    assert_int_equal(srv_read(image, len - 1, srv), -EBADMSG);
    for (int i = 0; i < SRV_MAX + 1; i++) /* more than there is room for */
        strcat(many, "an " NAME " 60 IN SRV 0 0 0 .\n");
    assert_int_equal(srv_read(image, image_make(many), srv), SRV_MAX + 1);
    assert_true(srv[0].target.labels == 0 && srv[SRV_MAX].port == 7);
}

static const struct filter_row {
    const char *what, *records;
    bool drop[3];
    const char *want;
} filter_rows[] = {
    {"nothing dropped", ALL, {false, false, false}, ALL},
    {"the middle dropped", ALL, {false, true, false}, SRV_1 SRV_3 AT_1 AT_3},
    {"an address of one that goes and one that stays",
     SRV_1 "an " NAME " 600 IN SRV 0 5 1689 kms1.corp.example.\n" AT_1,
     {true, false},
     "an " NAME " 600 IN SRV 0 5 1689 kms1.corp.example.\n" AT_1},
    {"all dropped", ALL, {true, true, true}, ""},
    {"behind a CNAME",
     CHAIN NET " 600 IN SRV 0 5 1688 kms1.corp.example.\n" NET
               " 600 IN SRV 0 5 1688 bad.example.\n" NET SIG_OF("SRV") "an " NAME SIG_OF(
                   "CNAME") "ns net. 60 IN NS ns.net.\n",
     {false, true, false},
     CHAIN NET " 600 IN SRV 0 5 1688 kms1.corp.example.\n"
               "an " NAME SIG_OF("CNAME") "ns net. 60 IN NS ns.net.\n"},
};

static void check_filter(void **state)
{
    const struct filter_row *r = *state;
    size_t len = image_make(r->records), n;
    char text[2000], want[2000];
    struct srv srv[SRV_MAX];
    struct message m;
    int n_srv = srv_read(image, len, srv);

    n = srv_filter(image, len, srv, n_srv, r->drop, other, sizeof other);
    wire_to_text(other, n, text, sizeof text);
    wire_to_text(image, image_make(r->want), want, sizeof want);
    assert_int_equal(strcasecmp(text, want), 0);
    assert_int_equal(message_read_reply(&m, other, n), 0);
    assert_int_equal(m.flags, DNS_QR | DNS_RD | DNS_RA); /* it is not what was validated */
    len = image_make(r->records);
    assert_int_equal(srv_filter(image, len, srv, n_srv, r->drop, other, n - 1), 0);
    assert_int_equal(srv_filter(image, len - 1, srv, n_srv, r->drop, other, sizeof other), 0);
}

TESTS("reply_read", TEST(check_srv), ROWS(filter_rows, check_filter), TEST(check_ages),
      TEST(check_apart), TEST(check_rotates_large), TEST(check_named), TEST(check_pointer_reach),
      ROWS(rows, check_row), ROWS(raw_rows, check_raw))
