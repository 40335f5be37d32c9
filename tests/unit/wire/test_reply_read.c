/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_reply_read.c -- replies are read, cut to their question, and aged.
 *
 * Each row of a reply is tried with and without compression, made by ldns, and
 * the image is read back by ldns.
 */
#include "tests/unit/wire/text_message.h"

#include <errno.h>

#include "base/compiler.h"
#include "wire/present.h"
#include "wire/reply.h"
#include "wire/reply_read.h"

enum { SOA = 1, SIG = 2, CNAME = 4, NOCACHE = 8, ROTATES = 16 };
#define TTL_0 (UINT32_MAX - 1)

#define L10 "a.b.c.d.e.f.g.h.i.j"
#define DEEP                                                                                       \
    L10 "." L10 "." L10 "." L10 "." L10 "." L10 "." L10 /* more labels than a table has places */
#define SOA_LINE "ns ex. 300 IN SOA ns.ex. h.ex. 1 7200 900 86400 60\n"
#define SIG_OF(type) " 300 IN RRSIG " type " 8 1 300 20300101000000 20200101000000 1 ex. AAAA\n"
#define STRINGS                                                                                    \
    "w.ex. TXT \"x\" \"\" \"yy\"\nw.ex. TYPE16 \\# 0\n"                                            \
    "w.ex. SPF \"v=spf1\"\nw.ex. HINFO \"a\" \"b\"\n"                                              \
    "w.ex. X25 \"31\"\nw.ex. ISDN \"1\"\nw.ex. ISDN \"1\" \"2\"\n"                                 \
    "w.ex. GPOS \"1.0\" \"2.0\" \"3.0\"\nw.ex. CAA 0 issue \"ca.ex\"\n"
#define NSEC_LINE "ns v.ex. 60 IN NSEC x.ex. A\n"

#define REFUSED "-"

/* Records of class IN and TTL 60, where they say no other; "-" in front: it goes. */
static const struct reply_row {
    const char *what, *question, *records;
    const char *kept; /* NULL: all that do not go, as they are; REFUSED: no reply */
    enum reply_kind kind;
    uint32_t ttl; /* 0: 60 */
    unsigned facts;
    uint16_t flags;  /* with the rcode; QR is added */
    const char *end; /* NULL: QNAME */
} rows[] = {
    /* clang-format off */
    {"one address", "w.ex. A", "w.ex. A 10.0.0.1\n"},
    {"two addresses", "w.ex. A", "w.ex. A 10.0.0.1\nw.ex. A 10.0.0.2\n", .facts = ROTATES},
    {"TTLs of a set become the smallest", "w.ex. A", "w.ex. A 10.0.0.1\nw.ex. 50 A 10.0.0.2\n",
     .kept = "w.ex. 50 A 10.0.0.1\nw.ex. 50 A 10.0.0.2\n", .ttl = 50, .facts = ROTATES},
    {"case of the reply does not matter", "w.ex. A", "W.eX. A 10.0.0.1\n",
     .kept = "w.ex. A 10.0.0.1\n"},
    {"capitals of the question come back in other owners", "w.eX. A", SOA_LINE,
     .kind = REPLY_NODATA, .facts = SOA},
    {"capitals in data stay", "w.ex. PTR", "w.ex. PTR Host.Other.\n"},
    {"chain", "w.ex. A", "w.ex. CNAME web.ex.net.\nweb.ex.net. 20 A 10.0.0.1\n", .ttl = 20,
     .facts = CNAME, .end = "web.ex.net."},
    {"chain in another order", "w.ex. A", "web.net. 20 A 10.0.0.1\nb.net. 30 CNAME web.net.\n"
     "w.ex. CNAME b.net.\n", .kept = "b.net. 30 CNAME web.net.\nw.ex. CNAME b.net.\n"
     "web.net. 20 A 10.0.0.1\n", .ttl = 20, .facts = CNAME, .end = "web.net."},
    {"set in front of its chain", "w.ex. A", "web.net. 20 A 10.0.0.1\nweb.net. 20 A 10.0.0.2\n"
     "w.ex. CNAME web.net.\n", .kept = "w.ex. CNAME web.net.\nweb.net. 20 A 10.0.0.1\n"
     "web.net. 20 A 10.0.0.2\n", .ttl = 20, .facts = ROTATES | CNAME, .end = "web.net."},
    {"chain inside its set", "w.ex. A", "web.net. 20 A 10.0.0.1\nw.ex. CNAME web.net.\n"
     "web.net. 20 A 10.0.0.2\n", .kept = "w.ex. CNAME web.net.\nweb.net. 20 A 10.0.0.1\n"
     "web.net. 20 A 10.0.0.2\n", .ttl = 20, .facts = ROTATES | CNAME, .end = "web.net."},
    {"signature inside its set", "w.ex. A", "w.ex. A 10.0.0.7\nw.ex." SIG_OF("A")
     "w.ex. A 10.0.0.8\n", .kept = "w.ex. A 10.0.0.7\nw.ex. A 10.0.0.8\nw.ex." SIG_OF("A"),
     .facts = ROTATES | SIG},
    {"set with its signature and addresses", "_s._tcp.w.ex. SRV",
     "_s._tcp.w.ex. SRV 0 1 1688 kms.ex.\n_s._tcp.w.ex. SRV 0 1 1688 kms2.ex.\n_s._tcp.w.ex."
     SIG_OF("SRV") "ar kms.ex. A 10.0.0.3\nar kms2.ex. A 10.0.0.4\n", .facts = ROTATES | SIG},
    {"set whose names would share their ends", "ex. MX", "ex. MX 10 a.mx.ex.net.\n"
     "ex. MX 10 b.mx.ex.net.\nex. MX 20 c.a.mx.ex.net.\nar a.mx.ex.net. A 10.0.0.3\n"
     "ar b.mx.ex.net. A 10.0.0.4\n", .facts = ROTATES},
    {"set whose owner nobody remembers any more", "w.ex. A", "w.ex. CNAME " DEEP ".\n" DEEP
     ". 60 CNAME end.other.\nend.other. A 10.0.0.3\nend.other. A 10.0.0.4\n",
     .facts = ROTATES | CNAME, .end = "end.other."},
    {"DNAME above a set of DNAME", "a.old.ex. TYPE39", "old.ex. DNAME new.ex.\n"
     "a.old.ex. DNAME a.net.\na.old.ex. DNAME b.net.\n"},
    {"chain to nothing, with SOA", "w.ex. A", "w.ex. CNAME no.net.\n"
     "ns net. 90 SOA a.net. h.net. 1 2 3 4 70\n", .kind = REPLY_NODATA, .facts = CNAME | SOA,
     .end = "no.net."},
    {"chain to nothing, without SOA", "w.ex. A", "w.ex. CNAME no.net.\n", .kind = REPLY_CNAME,
     .facts = CNAME | NOCACHE, .end = "no.net."},
    {"chain, SOA of the first zone only", "w.ex. A", "w.ex. CNAME no.net.\n" SOA_LINE,
     .kind = REPLY_CNAME, .facts = CNAME | NOCACHE, .end = "no.net."},
    {"chain to NXDOMAIN", "w.ex. A", "w.ex. CNAME no.net.\n"
     "ns net. 90 SOA a.net. h.net. 1 2 3 4 70\n", .kind = REPLY_NXDOMAIN, .facts = CNAME | SOA,
     .flags = RCODE_NXDOMAIN, .end = "no.net."},
    {"loop of one", "a.ex. A", "a.ex. CNAME a.ex.\n", .kept = REFUSED},
    {"loop of two", "a.ex. A", "a.ex. CNAME b.ex.\nb.ex. CNAME a.ex.\n", .kept = REFUSED},
    {"chain of 11", "a0. A", "a0. 1 CNAME a1.\na1. 1 CNAME a2.\na2. 1 CNAME a3.\n"
     "a3. 1 CNAME a4.\na4. 1 CNAME a5.\na5. 1 CNAME a6.\na6. 1 CNAME a7.\n"
     "a7. 1 CNAME a8.\na8. 1 CNAME a9.\na9. 1 CNAME b0.\nb0. 1 CNAME b1.\n"
     "b1. 1 A 10.0.0.1\n", .ttl = 1, .facts = CNAME, .end = "b1."},
    {"chain of 12", "a0. A", "a0. 1 CNAME a1.\na1. 1 CNAME a2.\na2. 1 CNAME a3.\n"
     "a3. 1 CNAME a4.\na4. 1 CNAME a5.\na5. 1 CNAME a6.\na6. 1 CNAME a7.\n"
     "a7. 1 CNAME a8.\na8. 1 CNAME a9.\na9. 1 CNAME b0.\nb0. 1 CNAME b1.\n"
     "b1. 1 CNAME b2.\nb2. 1 A 10.0.0.1\n", .kept = REFUSED},
    {"second CNAME at one name goes", "w.ex. A", "w.ex. CNAME a.net.\n-w.ex. CNAME b.net.\n"
     "a.net. 20 A 10.0.0.1\n", .ttl = 20, .facts = CNAME, .end = "a.net."},
    {"QTYPE CNAME: no chain", "w.ex. CNAME", "w.ex. CNAME a.net.\n-a.net. 20 CNAME b.net.\n"},
    {"ANY: everything at the name, no chain", "w.ex. TYPE255", "w.ex. CNAME a.net.\n"
     "w.ex. 20 TXT \"x\"\n-a.net. 5 A 10.0.0.1\n", .ttl = 20},
    {"DNAME above the chain", "a.old.ex. A", "old.ex. DNAME new.ex.\na.old.ex. CNAME a.new.ex.\n"
     "a.new.ex. 5 A 10.0.0.9\n", .ttl = 5, .facts = CNAME, .end = "a.new.ex."},
    {"DNAME at the name itself goes", "w.ex. A", "-w.ex. DNAME net.\nw.ex. A 10.0.0.9\n"},
    {"DNAME elsewhere goes", "a.old.ex. A", "-bank.ex. DNAME evil.ex.\na.old.ex. A 10.0.0.9\n"},
    {"records of another name in the answer go", "w.ex. A", "w.ex. A 10.0.0.1\n"
     "-www.bank.ex. 6 A 10.0.0.66\n"},
    {"records of another type in the answer go", "w.ex. A", "w.ex. A 10.0.0.1\n"
     "-w.ex. 6 TXT \"x\"\n"},
    {"records of another class go", "w.ex. TXT", "-w.ex. 6 CH TXT \"x\"\n" SOA_LINE,
     .kind = REPLY_NODATA, .facts = SOA},
    {"authority of another zone goes, with its address", "w.ex. A", "w.ex. A 10.0.0.1\n"
     "-ns com. NS ns.evil.\n-ar ns.evil. 6 A 10.0.0.66\n"},
    {"set of NS above which there is another", "sub.ex. NS", "sub.ex. NS a.net.\n"
     "sub.ex. NS b.net.\nns ex. NS c.net.\n", .facts = ROTATES},
    {"NS of the zone and its address stay", "w.ex. A", "w.ex. A 10.0.0.1\nns ex. NS ns.ex.\n"
     "ar ns.ex. A 10.0.0.66\n"},
    {"address that nobody names goes", "ex. MX", "ex. MX 10 mx.ex.\nar mx.ex. A 10.0.0.3\n"
     "ar mx.ex. AAAA 2001:db8::3\n-ar w.ex. A 10.0.0.66\n"},
    {"other types in additional go", "_s._tcp.ex. SRV", "_s._tcp.ex. SRV 0 1 1688 kms.ex.\n"
     "-ar kms.ex. TXT \"x\"\nar kms.ex. A 10.0.0.3\n"},
    {"other records in authority go", "w.ex. A", SOA_LINE "-ns ex. 5 TXT \"x\"\n",
     .kind = REPLY_NXDOMAIN, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN", "no.ex. A", SOA_LINE, .kind = REPLY_NXDOMAIN, .facts = SOA,
     .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN, TTL of the SOA below its MINIMUM", "no.ex. A",
     "ns ex. 7 SOA ns.ex. h.ex. 1 7200 900 86400 60\n", .kind = REPLY_NXDOMAIN, .ttl = 7,
     .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN without SOA", "no.ex. A", "", .kind = REPLY_NXDOMAIN, .ttl = UINT32_MAX,
     .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN with a SOA from elsewhere", "no.ex. A", "-ns com. 7 SOA ns.com. h.com. 1 2 3 4 5\n",
     .kind = REPLY_NXDOMAIN, .ttl = UINT32_MAX, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN with a SOA from below", "ex. A", "-ns no.ex. 7 SOA ns.com. h.com. 1 2 3 4 5\n",
     .kind = REPLY_NXDOMAIN, .ttl = UINT32_MAX, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN with an answer is not kept", "no.ex. A", "no.ex. A 10.0.0.1\n",
     .kind = REPLY_NXDOMAIN, .facts = NOCACHE, .flags = RCODE_NXDOMAIN},
    {"NODATA", "w.ex. SRV", SOA_LINE, .kind = REPLY_NODATA, .facts = SOA},
    {"NODATA without SOA", "w.ex. SRV", "", .kind = REPLY_NODATA, .ttl = UINT32_MAX},
    {"NODATA, SOA of the root", "w.ex. SRV", "ns . 7 SOA ns.com. h.com. 1 2 3 4 50\n",
     .kind = REPLY_NODATA, .ttl = 7, .facts = SOA},
    {"signed NXDOMAIN", "w.ex. A", SOA_LINE "ns ex." SIG_OF("SOA") NSEC_LINE "ns v.ex."
     SIG_OF("NSEC"), .kind = REPLY_NXDOMAIN, .facts = SOA | SIG, .flags = RCODE_NXDOMAIN},
    {"NSEC of another zone goes", "w.ex. A", SOA_LINE "-ns v.com. NSEC x.com. A\n",
     .kind = REPLY_NXDOMAIN, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"signed wildcard answer keeps its NSEC", "w.ex. A", "w.ex. A 10.0.0.7\nw.ex." SIG_OF("A")
     NSEC_LINE "ns v.ex." SIG_OF("NSEC"), .facts = SIG},
    {"NSEC without a zone goes", "w.ex. A", "w.ex. A 10.0.0.7\n-" NSEC_LINE},
    {"RRSIG of another type goes", "w.ex. A", "w.ex. A 10.0.0.7\n-w.ex." SIG_OF("TXT")},
    {"QTYPE RRSIG", "w.ex. RRSIG", "w.ex." SIG_OF("A") "w.ex." SIG_OF("TXT"), .ttl = 300,
     .facts = ROTATES | SIG},
    {"signed chain", "w.ex. A", "w.ex. CNAME a.ex.\nw.ex." SIG_OF("CNAME") "a.ex. A 10.0.0.7\n"
     "a.ex." SIG_OF("A"), .facts = CNAME | SIG, .end = "a.ex."},
    {"signature of a CNAME elsewhere goes", "w.ex. A", "w.ex. A 10.0.0.7\n-v.ex."
     SIG_OF("CNAME")},
    {"signer elsewhere makes no zone known", "w.net. A", "w.net. A 10.0.0.7\nw.net." SIG_OF("A")
     "-" NSEC_LINE, .facts = SIG},
    {"chain, SOA of both zones: the end's counts", "w.ex. A", "w.ex. 600 CNAME no.net.\n" SOA_LINE
     "ns net. 90 SOA a.net. h.net. 1 2 3 4 70\n", .kind = REPLY_NODATA, .ttl = 70,
     .facts = CNAME | SOA, .end = "no.net."},
    {"referral", "www.sub.ex. A", "ns sub.ex. NS ns.sub.ex.\nar ns.sub.ex. A 10.0.0.4\n",
     .kind = REPLY_REFERRAL, .facts = NOCACHE},
    {"NS with AA is no referral", "w.ex. A", "ns ex. NS ns.ex.\n", .kind = REPLY_NODATA,
     .flags = DNS_AA},
    {"NS with SOA is no referral", "w.ex. A", "ns ex. NS ns.ex.\n" SOA_LINE, .kind = REPLY_NODATA,
     .facts = SOA},
    {"SERVFAIL", "w.ex. A", "", .kind = REPLY_FAILURE, .ttl = UINT32_MAX, .facts = NOCACHE,
     .flags = RCODE_SERVFAIL},
    {"REFUSED", "w.ex. A", "", .kind = REPLY_FAILURE, .ttl = UINT32_MAX, .facts = NOCACHE,
     .flags = RCODE_REFUSED},
    {"truncated: to be asked again over TCP", "w.ex. A", "w.ex. A 10.0.0.1\n", .kept = REFUSED,
     .flags = DNS_TC},
    {"address that ends before the answer goes", "_s._tcp.ex. SRV",
     "_s._tcp.ex. SRV 0 1 1688 kms.ex.\n-ar kms.ex. 59 A 10.0.0.3\n"
     "ar kms.ex. AAAA 2001:db8::3\n"},
    {"address that a KX names goes", "ex. KX", "ex. KX 10 kx.ex.\n-ar kx.ex. A 10.0.0.3\n"},
    {"address with TTL 0 goes, and the answer is kept", "ex. MX", "ex. MX 10 mx.ex.\n"
     "-ar mx.ex. 0 A 10.0.0.3\n"},
    {"NS that ends before the answer goes, with its address", "w.ex. A", "w.ex. A 10.0.0.1\n"
     "-ns ex. 59 NS ns.ex.\n-ar ns.ex. A 10.0.0.66\n"},
    {"proof that ends before the answer counts, and for addresses", "w.ex. MX",
     "w.ex. MX 1 mx.ex.\nw.ex." SIG_OF("MX") "ns v.ex. 50 NSEC x.ex. A\n"
     "-ar mx.ex. 49 A 10.0.0.7\nar mx.ex. 50 AAAA 2001:db8::3\n", .ttl = 50, .facts = SIG},
    {"signature that ends before its proof counts", "w.ex. A", "w.ex. A 10.0.0.7\nw.ex."
     SIG_OF("A") NSEC_LINE
     "ns v.ex. 40 RRSIG NSEC 8 1 300 20300101000000 20200101000000 1 ex. AAAA\n", .ttl = 40,
     .facts = SIG},
    {"proof that ends before the SOA counts", "w.ex. A", SOA_LINE "ns v.ex. 50 NSEC x.ex. A\n",
     .kind = REPLY_NXDOMAIN, .ttl = 50, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"NS that ends before the SOA counts", "no.ex. A", SOA_LINE "ns ex. 50 NS ns.ex.\n",
     .kind = REPLY_NXDOMAIN, .ttl = 50, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"MINIMUM of a SOA beside an answer does not count", "w.ex. A", "w.ex. 90 A 10.0.0.1\n"
     SOA_LINE, .ttl = 90, .facts = SOA},
    {"chain to NXDOMAIN without SOA: the chain counts", "w.ex. A", "w.ex. 6 CNAME no.net.\n",
     .kind = REPLY_NXDOMAIN, .ttl = 6, .facts = CNAME, .flags = RCODE_NXDOMAIN, .end = "no.net."},
    {"AD is told", "w.ex. A", "w.ex. A 10.0.0.1\n", .flags = DNS_AD},
    {"TTL with the top bit counts as 0", "w.ex. A", "w.ex. 2147483648 A 10.0.0.1\n"
     "ns ex. 4294967295 NS ns.ex.\n", .kept = "w.ex. 0 A 10.0.0.1\nns ex. 0 NS ns.ex.\n",
     .ttl = TTL_0},
    {"unknown type with octets like pointers", "w.ex. TYPE65280",
     "w.ex. TYPE65280 \\# 5 c00cc00c00\n"},
    {"types with names in them", "w.ex. TYPE255", "w.ex. NAPTR 1 2 \"s\" \"x\" \"\" r.w.ex.\n"
     "w.ex. RP a.w.ex. b.w.ex.\nw.ex. SOA ns.w.ex. h.w.ex. 1 2 3 4 5\n"
     "w.ex. MINFO a.w.ex. b.w.ex.\nw.ex. AFSDB 1 b.w.ex.\n-x.ex. A 10.0.0.1\n"},
    {"types with character-strings", "w.ex. TYPE255", STRINGS "-x.ex. A 10.0.0.1\n"},
    /* clang-format on */
};

/* Whoever does not ask for signatures gets none: see peers/. */
static int read_one(const uint8_t *wire, size_t len, uint8_t *image, size_t size, size_t *n,
                    struct reply_facts *f)
{
    struct message m;

    if (message_read_head(&m, wire, len) != 0)
        return -EBADMSG;
    return reply_read(&m, wire, len, true, image, size, n, f);
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

/* Record by record from the front to the end, until it is the image again: every
 * step is well-formed, says the same, and has the same records. */
static void check_rotation(const uint8_t *image, size_t len, uint16_t qtype)
{
    static uint8_t turned[TEXT_MESSAGE_MAX], again[TEXT_MESSAGE_MAX];
    struct reply_facts f;
    unsigned records = 0;
    struct rr_walk w;
    struct rr rr;
    size_t n;

    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w, &rr))
        records += rr.section == SECTION_ANSWER && rr.type == qtype;
    memcpy(turned, image, len);
    for (unsigned i = 1; i <= records; i++) {
        image_rotate(turned, len, qtype, 1);
        assert_int_equal(read_one(turned, len, again, sizeof again, &n, &f), 0);
        assert_int_equal(n, len);
        assert_memory_equal(again, turned, len);
        assert_true(f.rotates);
        assert_int_equal(memcmp(turned, image, len) == 0, i == records);
    }
    image_rotate(turned, len, qtype, 2 * records + 1);
    memcpy(again, image, len);
    image_rotate(again, len, qtype, 1);
    assert_memory_equal(again, turned, len);
}

static void check_one(const struct reply_row *r, bool compress)
{
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX], kept[TEXT_MESSAGE_MAX];
    static char got[20000], want[20000];
    const char *records = lines_of(r->records, true);
    size_t len = text_to_wire(wire, DNS_QR | r->flags, r->question, records, compress), n;
    struct message m;
    struct reply_facts f;
    struct name end;
    bool rotates;
    int rc = read_one(wire, len, image, sizeof image, &n, &f);

    if (r->kept != NULL && strcmp(r->kept, REFUSED) == 0) {
        assert_int_equal(rc, (r->flags & DNS_TC) != 0 ? -EBADMSG : -ELOOP);
        return;
    }
    assert_int_equal(rc, 0);
    wire_to_text(image, n, got, sizeof got);
    records = r->kept != NULL ? r->kept : lines_of(r->records, false);
    wire_to_text(kept, text_to_wire(kept, DNS_QR, r->question, records, false), want, sizeof want);
    if (strcasecmp(got, want) != 0)
        fail_msg("\nwant %s\ngot  %s", want, got);
    assert_int_equal(message_read_reply(&m, image, n), 0);
    assert_int_equal(m.id, 0);
    assert_int_equal(m.flags, DNS_QR | DNS_RA | DNS_RD | (r->flags & (DNS_AD | 15)));
    assert_int_equal(f.kind, r->kind);
    assert_int_equal(f.has_soa, (r->facts & SOA) != 0);
    assert_int_equal(f.has_rrsig, (r->facts & SIG) != 0);
    assert_int_equal(f.has_cname, (r->facts & CNAME) != 0);
    assert_int_equal(f.cacheable, (r->facts & NOCACHE) == 0);
    assert_int_equal(f.ttl, r->ttl == 0 ? 60 : r->ttl == TTL_0 ? 0 : r->ttl);
    end = m.qname;
    if (r->end != NULL)
        assert_int_equal(name_parse(&end, r->end), 0);
    assert_true(name_equal(&f.end, &end));
    assert_int_equal(f.rotates, (r->facts & ROTATES) != 0);
    if (f.rotates)
        check_rotation(image, n, m.qtype);
    rotates = f.rotates;
    assert_int_equal(read_one(wire, len, image, n, &n, &f), 0);
    rc = read_one(wire, len, image, n - 1, &n, &f);
    assert_true(rc == -ENOSPC || (rc == 0 && rotates && !f.rotates)); /* the shorter image fits */
}

static void check_row(void **state)
{
    check_one(*state, true);
    check_one(*state, false);
}

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define HEAD(flags, an, ns, ar) "\x12\x34" flags "\0\1\0" an "\0" ns "\0" ar
#define Q(type) "\3wWw\7ExamplE\0\0" type "\0\1" /* 17 octets: the records begin at 29 */
#define FIX(type, len) "\0" type "\0\1\0\0\0\5\0" len
#define QR "\x81\x80"
#define OPT "\0\0\x29\x10\0\0\0\0\0\0\0"
#define ONE(type) HEAD(QR, "\1", "\0", "\0") Q(type)
#define IMAGE_A "c00c000100010000000500047f000001"
#define A_RR "\xc0\x0c" FIX("\1", "\4") "\x7f\0\0\1"

/* Octets that no text gives. */
static const struct raw_row {
    const char *what;
    const uint8_t *at;
    size_t len;
    const char *want; /* octets of the image behind its question, in hex; NULL: refused */
} raw_rows[] = {
    /* clang-format off */
    {"plain", BYTES(ONE("\1") A_RR), IMAGE_A},
    {"OPT goes", BYTES(HEAD(QR, "\1", "\0", "\1") Q("\1") A_RR OPT), IMAGE_A},
    {"owner written out in random case becomes a pointer", BYTES(ONE("\1") "\3WwW\7eXample\0"
     FIX("\1", "\4") "\x7f\0\0\1"), IMAGE_A},
    {"part of the question in random case becomes a pointer", BYTES(HEAD(QR, "\0", "\1", "\0")
     Q("\1") "\7eXample\0" FIX("\2", "\2") "\xc0\x0c"), "c01000020001000000050002c00c"},
    {"RDLENGTH lies: SRV runs over its end", BYTES(ONE("\x21") "\xc0\x0c" FIX("\x21", "\7")
     "\0\0\0\0\6\x98\3kms\0")},
    {"RDLENGTH 0 for SRV", BYTES(ONE("\x21") "\xc0\x0c" FIX("\x21", "\0"))},
    {"octets behind the name of a CNAME", BYTES(ONE("\1") "\xc0\x0c" FIX("\5", "\4") "\1a\0x")},
    {"A with a record hidden in it", BYTES(HEAD(QR, "\2", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\1",
     "\x14") "\x7f\0\0\1" A_RR)},
    {"AAAA of four octets", BYTES(ONE("\x1c") "\xc0\x0c" FIX("\x1c", "\4") "\x7f\0\0\1")},
    {"SOA without its numbers", BYTES(HEAD(QR, "\0", "\1", "\0") Q("\1") "\xc0\x10" FIX("\6", "\4")
     "\xc0\x0c\xc0\x0c")},
    {"RRSIG shorter than its fields", BYTES(ONE("\1") "\xc0\x0c" FIX("\x2e", "\2") "\0\1")},
    {"TXT whose string runs over its end", BYTES(ONE("\1") "\xc0\x0c" FIX("\x10", "\3") "\3ab")},
    {"TXT whose second string runs over its end", BYTES(HEAD(QR, "\2", "\0", "\0") Q("\1")
     "\xc0\x0c" FIX("\x10", "\3") "\1a\1" A_RR)},
    {"HINFO with one string", BYTES(ONE("\1") "\xc0\x0c" FIX("\x0d", "\2") "\1a")},
    {"HINFO with three strings", BYTES(ONE("\1") "\xc0\x0c" FIX("\x0d", "\6") "\1a\1a\1a")},
    {"X25 with an octet behind its string", BYTES(ONE("\1") "\xc0\x0c" FIX("\x13", "\3") "\1ab")},
    {"ISDN without a string", BYTES(ONE("\1") "\xc0\x0c" FIX("\x14", "\0"))},
    {"ISDN whose second string runs over its end", BYTES(ONE("\1") "\xc0\x0c" FIX("\x14", "\3")
     "\1a\1")},
    {"GPOS with two strings", BYTES(ONE("\1") "\xc0\x0c" FIX("\x1b", "\4") "\1a\1a")},
    {"CAA whose tag runs over its end", BYTES(ONE("\1") "\xc0\x0c\1\1\0\1\0\0\0\5\0\4" "\0\5is")},
    {"trailing octets", BYTES(ONE("\1") A_RR "x")},
    {"two OPT", BYTES(HEAD(QR, "\1", "\0", "\2") Q("\1") A_RR OPT OPT)},
    {"no question", BYTES("\x12\x34\x81\x85\0\0\0\0\0\0\0\0")},
    {"a query", BYTES(HEAD("\1\0", "\0", "\0", "\0") Q("\1"))},
    {"opcode STATUS", BYTES(HEAD("\x91\x80", "\0", "\0", "\0") Q("\1"))},
    {"compressed SRV target is written out, folded", BYTES(ONE("\x21") "\xc0\x0c" FIX("\x21", "\x8")
     "\0\0\0\0\6\x98\xc0\x10"), "c00c0021000100000005000f000000000698076578616d706c6500"},
    {"SRV target written out keeps its case", BYTES(ONE("\x21") "\xc0\x0c" FIX("\x21", "\x0b")
     "\0\0\0\0\6\x98\3KMS\0"), "c00c0021000100000005000b000000000698034b4d5300"},
    {"compressed HTTPS target is refused", BYTES(ONE("\x41") "\xc0\x0c" FIX("\x41", "\4")
     "\0\1\xc0\x10")},
    {"OPT before another record", BYTES(HEAD(QR, "\1", "\0", "\2") Q("\x0f") "\xc0\x0c" FIX( "\x0f",
     "\5") "\0\1\1m\0" OPT "\1m\0" FIX("\1", "\4") "\x7f\0\0\1"),
     "c00c000f00010000000500050001016d00c02b000100010000000500047f000001"},
    {"owner that points at a TTL is written anew", BYTES(HEAD(QR, "\1", "\1", "\0") Q("\1") A_RR
     "\xc0\x21" FIX("\2", "\2") "\xc0\x0c"),
     "c00c000100010000000500047f0000010000020001000000050002c00c"},
    {"TSIG goes", BYTES(HEAD(QR, "\1", "\0", "\1") Q("\1") A_RR "\0\0\xfa\0\xff\0\0\0\0\0\0"),
     IMAGE_A},
    /* clang-format on */
};

static void check_raw(void **state)
{
    const struct raw_row *r = *state;
    static uint8_t image[DNS_MAX_MESSAGE];
    char hex[400] = "";
    struct reply_facts f;
    size_t len, at = 0;
    int rc = read_one(r->at, r->len, image, sizeof image, &len, &f);

    assert_int_equal(rc, r->want != NULL ? 0 : -EBADMSG);
    if (r->want == NULL)
        return;
    assert_memory_equal(image + DNS_HEADER, "\3www\7example\0", 13);
    for (size_t i = DNS_HEADER + 17; i < len; i++)
        at += (size_t)snprintf(hex + at, sizeof hex - at, "%02x", image[i]);
    assert_string_equal(hex, r->want);
}

/* TXT, NINFO, SPF, AVC, RESINFO, WALLET, CLA: strings up to the end. */
static void check_strings(void **state)
{
    static const uint16_t types[] = {16, 56, 99, 258, 261, 262, 263};
    uint8_t wire[] = HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\0", "\3") "\2a\0",
            image[512];
    struct reply_facts f;
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        wire[31] = (uint8_t)(types[i] >> 8);
        wire[32] = (uint8_t)types[i];
        for (uint8_t n = 0; n < 4; n++) { /* octets that the first string claims */
            wire[41] = n;
            wire[42] = n == 0 ? 1 : 'x';
            assert_int_equal(read_one(wire, sizeof wire - 1, image, sizeof image, &len, &f),
                             n == 3 ? -EBADMSG : 0);
        }
    }
}

/* Records of one message, and what walking each shorter part of it gives. */
static void check_walk(void **state)
{
    static const uint8_t wire[] =
        HEAD(QR, "\1", "\1", "\1") Q("\1") A_RR "\xc0\x10" FIX("\2", "\2") "\xc0\x0c" OPT;
    static const uint16_t types[] = {TYPE_A, TYPE_NS, TYPE_OPT};
    size_t ends[ARRAY_LEN(types)];
    struct rr_walk w;
    struct rr rr;
    int n = 0;

    rr_walk_init(&w, wire, sizeof wire - 1);
    for (; rr_walk_next(&w, &rr); n++) {
        ends[n] = (size_t)rr.rdata_pos + rr.rdlength;
        assert_int_equal(rr.type, types[n]);
        assert_int_equal(rr.section, n);
    }
    assert_int_equal(n, 3);
    assert_false(w.c.bad);
    for (size_t len = DNS_HEADER + 17; len < sizeof wire - 1; len++) {
        rr_walk_init(&w, wire, len);
        for (n = 0; rr_walk_next(&w, &rr); n++)
            assert_true(ends[n] <= len);
        assert_true(w.c.bad);
    }
}

static void check_ages(void **state)
{
    static uint8_t image[TEXT_MESSAGE_MAX];
    char text[500];
    size_t len = text_to_wire(image, DNS_QR, "a.example. A",
                              "an a.example. 100 IN A 192.0.2.1\nan a.example. 5 IN A 192.0.2.2\n"
                              "ns example. 90000 IN NS a.example.\n",
                              true);

    image_age(image, len, 10, 0, 86400);
    wire_to_text(image, len, text, sizeof text);
    assert_string_equal(text, "an a.example. 90 IN A 192.0.2.1\nan a.example. 0 IN A 192.0.2.2\n"
                              "ns example. 86400 IN NS a.example.\n");
    image_age(image, len, 0, 30, 30);
    wire_to_text(image, len, text, sizeof text);
    assert_string_equal(text, "an a.example. 30 IN A 192.0.2.1\nan a.example. 30 IN A 192.0.2.2\n"
                              "ns example. 30 IN NS a.example.\n");
    for (size_t cut = 0; cut <= len; cut++) { /* nothing behind the end is read or written */
        uint8_t *copy = test_malloc(cut + 1);

        memcpy(copy, image, cut);
        image_age(copy, cut, 10, 0, 86400);
        test_free(copy);
    }
}

/* A set whose names share their ends is kept apart, and can be rotated, as long
 * as the image still fits into 512 octets. */
static void check_apart(void **state)
{
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
    char text[4000] = "";
    struct reply_facts f;
    size_t len, n;

    for (int i = 0; i < 40; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "an example. 60 IN NS n%02d%s.servers.example.net.\n", i, i == 0 ? "longer" : "");
        len = text_to_wire(wire, DNS_QR, "example. NS", text, true);
        assert_int_equal(read_one(wire, len, image, sizeof image, &n, &f), 0);
        assert_int_equal(f.rotates, i > 0 && i < 13); /* 12 + 13 + 6 + records of 37 octets: 512 */
        assert_int_equal(n, i < 13 ? 31 + (i + 1) * 37 : 31 + 37 + i * 18);
    }
}

/* Of a large set what begins in the first 4 KB is rotated, 256 records at most. */
static void check_rotates_large(void **state)
{
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
    static char text[40000];
    struct reply_facts f;
    size_t len, n, at = 0;

    for (int i = 0; i < 100; i++)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "an www.example. 60 IN TXT \"%03d%0200d\"\n", i, 0);
    len = text_to_wire(wire, DNS_QR, "www.example. TXT", text, true);
    for (unsigned by = 0; by < 40; by++) {
        assert_int_equal(read_one(wire, len, image, sizeof image, &n, &f), 0);
        assert_true(f.rotates);
        image_rotate(image, n, TYPE_TXT, by);
        wire_to_text(image, n, text, sizeof text);
        assert_int_equal(atoi((char[]){strchr(text, '"')[2], strchr(text, '"')[3], '\0'}), by % 19);
        assert_null(strstr(strstr(text, "\"099"), "\nan")); /* the last stays the last */
    }
    at = 0;
    for (int i = 0; i < 300; i++)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "an www.example. 60 IN TYPE65280 \\# 2 %04x\n", i);
    len = text_to_wire(wire, DNS_QR, "www.example. TYPE65280", text, true);
    for (unsigned by = 255; by <= 257; by++) {
        assert_int_equal(read_one(wire, len, image, sizeof image, &n, &f), 0);
        image_rotate(image, n, 65280, by);
        assert_int_equal(image[DNS_HEADER + 17 + 12] << 8 | image[DNS_HEADER + 17 + 13], by % 256);
    }
}

/* Signatures and proofs are for those that ask for them. */
static void check_without_dnssec(void **state)
{
    static const char *const proofs[] = {NSEC_LINE, "ns ex." SIG_OF("SOA"),
                                         "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.ex. 60 IN NSEC3 "
                                         "1 0 1 ab 2T7B4G4VSA5SMI47K61MV5BV1A"
                                         "22BOJR A\n"};
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
    char text[1000];
    struct message m;
    struct reply_facts f;
    size_t len, n;

    for (size_t i = 0; i < ARRAY_LEN(proofs); i++) {
        snprintf(text, sizeof text, "%s%s", SOA_LINE, proofs[i]);
        len = text_to_wire(wire, DNS_QR | RCODE_NXDOMAIN, "w.ex. A", text, true);
        assert_int_equal(message_read_head(&m, wire, len), 0);
        assert_int_equal(reply_read(&m, wire, len, false, image, sizeof image, &n, &f), 0);
        assert_int_equal(message_read_reply(&m, image, n), 0);
        assert_int_equal(m.counts[2], 1);
        assert_false(f.has_rrsig);
        assert_int_equal(read_one(wire, len, image, sizeof image, &n, &f), 0);
        assert_int_equal(message_read_reply(&m, image, n), 0);
        assert_int_equal(m.counts[2], 2);
    }
}

/* Where a name lies that no pointer reaches any more: before, at and behind 0x4000. */
static void check_pointer_reach(void **state)
{
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
    static char text[30000];
    struct message m;
    struct reply_facts f;
    size_t len, n;

    for (int k = 130; k < 150; k++) {
        int at = 0;

        for (int i = 0; i < 76; i++)
            at += sprintf(text + at, "an www.example. 60 IN TXT \"%0200d\"\n", i);
        sprintf(text + at,
                "an www.example. 60 IN TXT \"%0*d\"\nan www.example. 60 IN MX 1 mx.other.\n"
                "an www.example. 60 IN MX 2 mx.other.\n"
                "an www.example. 60 IN MX 3 b.other.\n",
                k, 0);
        len = text_to_wire(wire, DNS_QR, "www.example. TYPE255", text, false);
        assert_int_equal(read_one(wire, len, image, sizeof image, &n, &f), 0);
        assert_int_equal(message_read_reply(&m, image, n), 0);
        wire_to_text(image, n, text, sizeof text);
        assert_has(text, "MX 2 mx.other.");
        assert_has(text, "MX 3 b.other.");
    }
}

/* Large answers are kept like any other. */
static void check_large(void **state)
{
    static uint8_t wire[DNS_MAX_MESSAGE], image[DNS_MAX_MESSAGE];
    struct writer w;
    struct reply_facts f;
    size_t len;

    w = writer_make(wire, sizeof wire);
    writer_bytes(&w, HEAD(QR, "\x14", "\0", "\0") Q("\x0a"), DNS_HEADER + 17);
    writer_patch_u16(&w, 6, 5000);
    for (int i = 0; i < 5000; i++)
        writer_bytes(&w, "\xc0\x0c" FIX("\x0a", "\0"), 12);
    assert_int_equal(read_one(wire, w.len, image, sizeof image, &len, &f), 0);
    assert_true(f.cacheable && len == w.len);
}

int main(void)
{
    TEST(check_strings);
    TEST(check_walk);
    TEST(check_ages);
    TEST(check_apart);
    TEST(check_rotates_large);
    TEST(check_large);
    TEST(check_without_dnssec);
    TEST(check_pointer_reach);
    ROWS(rows, check_row);
    ROWS(raw_rows, check_raw);
    return RUN("reply_read");
}
