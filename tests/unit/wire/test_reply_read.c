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

enum { SOA = 1, SIG = 2, CNAME = 4, NOCACHE = 8, AA = DNS_AA, AD = DNS_AD };
#define TTL_0 (UINT32_MAX - 1)

#define L10 "a.b.c.d.e.f.g.h.i.j"
#define DEEP                                                                                       \
    L10 "." L10 "." L10 "." L10 "." L10 "." L10 "." L10 /* more labels than a table has places */
#define SOA_LINE "ns example. 300 IN SOA ns.example. h.example. 1 7200 900 86400 60\n"
#define SIG_OF(type)                                                                               \
    " 300 IN RRSIG " type " 8 1 300 20300101000000 20200101000000 1 example. AAAA\n"
#define STRINGS                                                                                    \
    "an www.example. TXT \"x\" \"\" \"yy\"\nan www.example. TYPE16 \\# 0\n"                        \
    "an www.example. SPF \"v=spf1\"\nan www.example. HINFO \"a\" \"b\"\n"                          \
    "an www.example. X25 \"31\"\nan www.example. ISDN \"1\"\nan www.example. ISDN \"1\" \"2\"\n"   \
    "an www.example. GPOS \"1.0\" \"2.0\" \"3.0\"\nan www.example. CAA 0 issue \"ca.example\"\n"
#define NSEC_LINE "ns v.example. 60 IN NSEC x.example. A\n"

static const struct reply_row {
    const char *what, *question;
    const char *records; /* of class IN and TTL 60, where they say no other */
    const char *kept;    /* NULL: all; "-": not to be used */
    enum reply_kind kind;
    uint16_t n_answer;
    uint32_t ttl;    /* 0: 60 */
    unsigned facts;  /* SOA SIG CNAME NOCACHE */
    uint16_t flags;  /* with the rcode; QR is added */
    const char *end; /* NULL: QNAME */
} rows[] = {
    {"an address", "www.example. A", "an www.example. A 192.0.2.1\n", .n_answer = 1},
    {"two addresses", "www.example. A",
     "an www.example. A 192.0.2.1\nan www.example. A 192.0.2.2\n", .n_answer = 2},
    {"TTLs of a set become the smallest", "www.example. A",
     "an www.example. A 192.0.2.1\nan www.example. 50 A 192.0.2.2\n",
     "an www.example. 50 A 192.0.2.1\nan www.example. 50 A 192.0.2.2\n", .n_answer = 2, .ttl = 50},
    {"case of the reply does not matter", "www.example. A", "an wWw.eXamPle. A 192.0.2.1\n",
     "an www.example. A 192.0.2.1\n", .n_answer = 1},
    {"capitals of the question come back in other owners", "www.eXample. A", SOA_LINE,
     .kind = REPLY_NODATA, .facts = SOA},
    {"capitals in data stay", "www.example. PTR", "an www.example. PTR Host.Other.\n",
     .n_answer = 1},
    {"chain", "www.example. A",
     "an www.example. CNAME web.example.net.\nan web.example.net. 20 A 192.0.2.1\n", .n_answer = 1,
     .ttl = 20, .facts = CNAME, .end = "web.example.net."},
    {"chain in another order", "www.example. A",
     "an web.net. 20 A 192.0.2.1\nan b.net. 30 CNAME web.net.\nan www.example. CNAME b.net.\n",
     "an b.net. 30 CNAME web.net.\nan www.example. CNAME b.net.\nan web.net. 20 A 192.0.2.1\n",
     .n_answer = 1, .ttl = 20, .facts = CNAME, .end = "web.net."},
    {"set in front of its chain", "www.example. A",
     "an web.net. 20 A 192.0.2.1\nan web.net. 20 A 192.0.2.2\nan www.example. CNAME web.net.\n",
     "an www.example. CNAME web.net.\nan web.net. 20 A 192.0.2.1\nan web.net. 20 A 192.0.2.2\n",
     .n_answer = 2, .ttl = 20, .facts = CNAME, .end = "web.net."},
    {"chain inside its set", "www.example. A",
     "an web.net. 20 A 192.0.2.1\nan www.example. CNAME web.net.\nan web.net. 20 A 192.0.2.2\n",
     "an www.example. CNAME web.net.\nan web.net. 20 A 192.0.2.1\nan web.net. 20 A 192.0.2.2\n",
     .n_answer = 2, .ttl = 20, .facts = CNAME, .end = "web.net."},
    {"signature inside its set", "w.example. A",
     "an w.example. A 192.0.2.7\nan w.example." SIG_OF("A") "an w.example. A 192.0.2.8\n",
     "an w.example. A 192.0.2.7\nan w.example. A 192.0.2.8\nan w.example." SIG_OF("A"),
     .n_answer = 2, .facts = SIG},
    {"set with its signature and addresses", "_s._tcp.w.example. SRV",
     "an _s._tcp.w.example. SRV 0 1 1688 kms.example.\n"
     "an _s._tcp.w.example. SRV 0 1 1688 kms2.example.\nan _s._tcp.w.example." SIG_OF(
         "SRV") "ar kms.example. A 192.0.2.3\nar kms2.example. A 192.0.2.4\n",
     .n_answer = 2, .facts = SIG},
    {"set whose names would share their ends", "example. MX",
     "an example. MX 10 a.mx.example.net.\nan example. MX 10 b.mx.example.net.\n"
     "an example. MX 20 c.a.mx.example.net.\nar a.mx.example.net. A 192.0.2.3\n"
     "ar b.mx.example.net. A 192.0.2.4\n",
     .n_answer = 3},
    {"set whose owner nobody remembers any more", "www.example. A",
     "an www.example. CNAME " DEEP ".\nan " DEEP
     ". 60 CNAME end.other.\nan end.other. A 192.0.2.3\nan end.other. A 192.0.2.4\n",
     .n_answer = 2, .facts = CNAME, .end = "end.other."},
    {"DNAME above a set of DNAME", "a.old.example. TYPE39",
     "an old.example. DNAME new.example.\nan a.old.example. DNAME a.net.\n"
     "an a.old.example. DNAME b.net.\n",
     .n_answer = 2},
    {"chain to nothing, with SOA", "www.example. A",
     "an www.example. CNAME no.net.\nns net. 90 SOA a.net. h.net. 1 2 3 4 70\n",
     .kind = REPLY_NODATA, .facts = CNAME | SOA, .end = "no.net."},
    {"chain to nothing, without SOA", "www.example. A", "an www.example. CNAME no.net.\n",
     .kind = REPLY_CNAME, .facts = CNAME | NOCACHE, .end = "no.net."},
    {"chain, SOA of the first zone only", "www.example. A",
     "an www.example. CNAME no.net.\n" SOA_LINE, .kind = REPLY_CNAME, .facts = CNAME | NOCACHE,
     .end = "no.net."},
    {"chain to NXDOMAIN", "www.example. A",
     "an www.example. CNAME no.net.\nns net. 90 SOA a.net. h.net. 1 2 3 4 70\n",
     .kind = REPLY_NXDOMAIN, .facts = CNAME | SOA, .flags = RCODE_NXDOMAIN, .end = "no.net."},
    {"loop of one", "a.example. A", "an a.example. CNAME a.example.\n", "-"},
    {"loop of two", "a.example. A",
     "an a.example. CNAME b.example.\nan b.example. CNAME a.example.\n", "-"},
    {"chain of 11", "a0. A",
     "an a0. 1 CNAME a1.\nan a1. 1 CNAME a2.\nan a2. 1 CNAME a3.\nan a3. 1 CNAME a4.\n"
     "an a4. 1 CNAME a5.\nan a5. 1 CNAME a6.\nan a6. 1 CNAME a7.\nan a7. 1 CNAME a8.\n"
     "an a8. 1 CNAME a9.\nan a9. 1 CNAME b0.\nan b0. 1 CNAME b1.\nan b1. 1 A 192.0.2.1\n",
     .n_answer = 1, .ttl = 1, .facts = CNAME, .end = "b1."},
    {"chain of 12", "a0. A",
     "an a0. 1 CNAME a1.\nan a1. 1 CNAME a2.\nan a2. 1 CNAME a3.\nan a3. 1 CNAME a4.\n"
     "an a4. 1 CNAME a5.\nan a5. 1 CNAME a6.\nan a6. 1 CNAME a7.\nan a7. 1 CNAME a8.\n"
     "an a8. 1 CNAME a9.\nan a9. 1 CNAME b0.\nan b0. 1 CNAME b1.\nan b1. 1 CNAME b2.\n"
     "an b2. 1 A 192.0.2.1\n",
     "-"},
    {"second CNAME at one name goes", "www.example. A",
     "an www.example. CNAME a.net.\nan www.example. CNAME b.net.\nan a.net. 20 A 192.0.2.1\n",
     "an www.example. CNAME a.net.\nan a.net. 20 A 192.0.2.1\n", .n_answer = 1, .ttl = 20,
     .facts = CNAME, .end = "a.net."},
    {"QTYPE CNAME: no chain", "www.example. CNAME",
     "an www.example. CNAME a.net.\nan a.net. 20 CNAME b.net.\n", "an www.example. CNAME a.net.\n",
     .n_answer = 1},
    {"ANY: everything at the name, no chain", "www.example. TYPE255",
     "an www.example. CNAME a.net.\nan www.example. 20 TXT \"x\"\nan a.net. 5 A 192.0.2.1\n",
     "an www.example. CNAME a.net.\nan www.example. 20 TXT \"x\"\n", .n_answer = 2, .ttl = 20},
    {"DNAME above the chain", "a.old.example. A",
     "an old.example. DNAME new.example.\nan a.old.example. CNAME a.new.example.\n"
     "an a.new.example. 5 A 192.0.2.9\n",
     .n_answer = 1, .ttl = 5, .facts = CNAME, .end = "a.new.example."},
    {"DNAME elsewhere goes", "a.old.example. A",
     "an bank.example. DNAME evil.example.\nan a.old.example. A 192.0.2.9\n",
     "an a.old.example. A 192.0.2.9\n", .n_answer = 1},
    {"records of another name in the answer go", "www.example. A",
     "an www.example. A 192.0.2.1\nan www.bank.example. 6 A 192.0.2.66\n",
     "an www.example. A 192.0.2.1\n", .n_answer = 1},
    {"records of another type in the answer go", "www.example. A",
     "an www.example. A 192.0.2.1\nan www.example. 6 TXT \"x\"\n", "an www.example. A 192.0.2.1\n",
     .n_answer = 1},
    {"records of another class go", "www.example. TXT", "an www.example. 6 CH TXT \"x\"\n" SOA_LINE,
     SOA_LINE, .kind = REPLY_NODATA, .facts = SOA},
    {"authority of another zone goes, with its address", "www.example. A",
     "an www.example. A 192.0.2.1\nns com. NS ns.evil.\nar ns.evil. 6 A 192.0.2.66\n",
     "an www.example. A 192.0.2.1\n", .n_answer = 1},
    {"set of NS above which there is another", "sub.example. NS",
     "an sub.example. NS a.net.\nan sub.example. NS b.net.\nns example. NS c.net.\n",
     .n_answer = 2},
    {"NS of the zone and its address stay", "www.example. A",
     "an www.example. A 192.0.2.1\nns example. NS ns.example.\nar ns.example. A 192.0.2.66\n",
     .n_answer = 1},
    {"address that nobody names goes", "example. MX",
     "an example. MX 10 mx.example.\nar mx.example. A 192.0.2.3\n"
     "ar mx.example. AAAA 2001:db8::3\nar www.example. A 192.0.2.66\n",
     "an example. MX 10 mx.example.\nar mx.example. A 192.0.2.3\n"
     "ar mx.example. AAAA 2001:db8::3\n",
     .n_answer = 1},
    {"other types in additional go", "_s._tcp.example. SRV",
     "an _s._tcp.example. SRV 0 1 1688 kms.example.\nar kms.example. TXT \"x\"\n"
     "ar kms.example. A 192.0.2.3\n",
     "an _s._tcp.example. SRV 0 1 1688 kms.example.\nar kms.example. A 192.0.2.3\n", .n_answer = 1},
    {"other records in authority go", "www.example. A", SOA_LINE "ns example. 5 TXT \"x\"\n",
     SOA_LINE, .kind = REPLY_NXDOMAIN, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN", "no.example. A", SOA_LINE, .kind = REPLY_NXDOMAIN, .facts = SOA,
     .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN, TTL of the SOA below its MINIMUM", "no.example. A",
     "ns example. 7 SOA ns.example. h.example. 1 7200 900 86400 60\n", .kind = REPLY_NXDOMAIN,
     .ttl = 7, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN without SOA", "no.example. A", "", .kind = REPLY_NXDOMAIN, .ttl = UINT32_MAX,
     .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN with a SOA from elsewhere", "no.example. A",
     "ns com. 7 SOA ns.com. h.com. 1 2 3 4 5\n", "", .kind = REPLY_NXDOMAIN, .ttl = UINT32_MAX,
     .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN with a SOA from below", "example. A",
     "ns no.example. 7 SOA ns.com. h.com. 1 2 3 4 5\n", "", .kind = REPLY_NXDOMAIN,
     .ttl = UINT32_MAX, .flags = RCODE_NXDOMAIN},
    {"NXDOMAIN with an answer is not kept", "no.example. A", "an no.example. A 192.0.2.1\n",
     .kind = REPLY_NXDOMAIN, .n_answer = 1, .facts = NOCACHE, .flags = RCODE_NXDOMAIN},
    {"NODATA", "www.example. SRV", SOA_LINE, .kind = REPLY_NODATA, .facts = SOA},
    {"NODATA without SOA", "www.example. SRV", "", .kind = REPLY_NODATA, .ttl = UINT32_MAX},
    {"NODATA, SOA of the root", "www.example. SRV", "ns . 7 SOA ns.com. h.com. 1 2 3 4 50\n",
     .kind = REPLY_NODATA, .ttl = 7, .facts = SOA},
    {"signed NXDOMAIN", "w.example. A",
     SOA_LINE "ns example." SIG_OF("SOA") NSEC_LINE "ns v.example." SIG_OF("NSEC"),
     .kind = REPLY_NXDOMAIN, .facts = SOA | SIG, .flags = RCODE_NXDOMAIN},
    {"NSEC of another zone goes", "w.example. A", SOA_LINE "ns v.com. NSEC x.com. A\n", SOA_LINE,
     .kind = REPLY_NXDOMAIN, .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"signed wildcard answer keeps its NSEC", "w.example. A",
     "an w.example. A 192.0.2.7\nan w.example." SIG_OF("A") NSEC_LINE
     "ns v.example." SIG_OF("NSEC"),
     .n_answer = 1, .facts = SIG},
    {"NSEC without a zone goes", "w.example. A", "an w.example. A 192.0.2.7\n" NSEC_LINE,
     "an w.example. A 192.0.2.7\n", .n_answer = 1},
    {"RRSIG of another type goes", "w.example. A",
     "an w.example. A 192.0.2.7\nan w.example." SIG_OF("TXT"), "an w.example. A 192.0.2.7\n",
     .n_answer = 1},
    {"QTYPE RRSIG", "w.example. RRSIG", "an w.example." SIG_OF("A") "an w.example." SIG_OF("TXT"),
     .n_answer = 2, .ttl = 300, .facts = SIG},
    {"signed chain", "w.example. A",
     "an w.example. CNAME a.example.\nan w.example." SIG_OF(
         "CNAME") "an a.example. A 192.0.2.7\nan a.example." SIG_OF("A"),
     .n_answer = 1, .facts = SIG | CNAME, .end = "a.example."},
    {"signature of a CNAME elsewhere goes", "w.example. A",
     "an w.example. A 192.0.2.7\nan v.example." SIG_OF("CNAME"), "an w.example. A 192.0.2.7\n",
     .n_answer = 1},
    {"signer elsewhere makes no zone known", "w.net. A",
     "an w.net. A 192.0.2.7\nan w.net." SIG_OF("A") NSEC_LINE,
     "an w.net. A 192.0.2.7\nan w.net." SIG_OF("A"), .n_answer = 1, .facts = SIG},
    {"chain, SOA of both zones: the end's counts", "www.example. A",
     "an www.example. 600 CNAME no.net.\n" SOA_LINE "ns net. 90 SOA a.net. h.net. 1 2 3 4 70\n",
     .kind = REPLY_NODATA, .ttl = 70, .facts = CNAME | SOA, .end = "no.net."},
    {"referral", "www.sub.example. A",
     "ns sub.example. NS ns.sub.example.\nar ns.sub.example. A 192.0.2.4\n", .kind = REPLY_REFERRAL,
     .facts = NOCACHE},
    {"NS with AA is no referral", "www.example. A", "ns example. NS ns.example.\n",
     .kind = REPLY_NODATA, .flags = AA},
    {"NS with SOA is no referral", "www.example. A", "ns example. NS ns.example.\n" SOA_LINE,
     .kind = REPLY_NODATA, .facts = SOA},
    {"SERVFAIL", "www.example. A", "", .kind = REPLY_FAILURE, .ttl = UINT32_MAX, .facts = NOCACHE,
     .flags = RCODE_SERVFAIL},
    {"REFUSED", "www.example. A", "", .kind = REPLY_FAILURE, .ttl = UINT32_MAX, .facts = NOCACHE,
     .flags = RCODE_REFUSED},
    {"truncated: to be asked again over TCP", "www.example. A", "an www.example. A 192.0.2.1\n",
     "-", .flags = DNS_TC},
    {"address that ends before the answer goes", "_s._tcp.example. SRV",
     "an _s._tcp.example. SRV 0 1 1688 kms.example.\nar kms.example. 59 A 192.0.2.3\n"
     "ar kms.example. AAAA 2001:db8::3\n",
     "an _s._tcp.example. SRV 0 1 1688 kms.example.\nar kms.example. AAAA 2001:db8::3\n",
     .n_answer = 1},
    {"address with TTL 0 goes, and the answer is kept", "example. MX",
     "an example. MX 10 mx.example.\nar mx.example. 0 A 192.0.2.3\n",
     "an example. MX 10 mx.example.\n", .n_answer = 1},
    {"NS that ends before the answer goes, with its address", "www.example. A",
     "an www.example. A 192.0.2.1\nns example. 59 NS ns.example.\n"
     "ar ns.example. A 192.0.2.66\n",
     "an www.example. A 192.0.2.1\n", .n_answer = 1},
    {"proof that ends before the answer counts, and for addresses", "w.example. MX",
     "an w.example. MX 1 mx.example.\nan w.example." SIG_OF(
         "MX") "ns v.example. 50 NSEC x.example. A\nar mx.example. 49 A 192.0.2.7\n"
               "ar mx.example. 50 AAAA 2001:db8::3\n",
     "an w.example. MX 1 mx.example.\nan w.example." SIG_OF(
         "MX") "ns v.example. 50 NSEC x.example. A\nar mx.example. 50 AAAA 2001:db8::3\n",
     .n_answer = 1, .ttl = 50, .facts = SIG},
    {"signature that ends before its proof counts", "w.example. A",
     "an w.example. A 192.0.2.7\nan w.example." SIG_OF("A") NSEC_LINE
     "ns v.example. 40 RRSIG NSEC 8 1 300 20300101000000 20200101000000 1 example. AAAA\n",
     .n_answer = 1, .ttl = 40, .facts = SIG},
    {"proof that ends before the SOA counts", "w.example. A",
     SOA_LINE "ns v.example. 50 NSEC x.example. A\n", .kind = REPLY_NXDOMAIN, .ttl = 50,
     .facts = SOA, .flags = RCODE_NXDOMAIN},
    {"NS that ends before the SOA counts", "no.example. A",
     SOA_LINE "ns example. 50 NS ns.example.\n", .kind = REPLY_NXDOMAIN, .ttl = 50, .facts = SOA,
     .flags = RCODE_NXDOMAIN},
    {"MINIMUM of a SOA beside an answer does not count", "www.example. A",
     "an www.example. 90 A 192.0.2.1\n" SOA_LINE, .n_answer = 1, .ttl = 90, .facts = SOA},
    {"chain to NXDOMAIN without SOA: the chain counts", "www.example. A",
     "an www.example. 6 CNAME no.net.\n", .kind = REPLY_NXDOMAIN, .ttl = 6, .facts = CNAME,
     .flags = RCODE_NXDOMAIN, .end = "no.net."},
    {"AD is told", "www.example. A", "an www.example. A 192.0.2.1\n", .n_answer = 1, .flags = AD},
    {"TTL with the top bit counts as 0", "www.example. A",
     "an www.example. 2147483648 A 192.0.2.1\nns example. 4294967295 NS ns.example.\n",
     "an www.example. 0 A 192.0.2.1\nns example. 0 NS ns.example.\n", .n_answer = 1, .ttl = TTL_0},
    {"unknown type with octets like pointers", "www.example. TYPE65280",
     "an www.example. TYPE65280 \\# 5 c00cc00c00\n", .n_answer = 1},
    {"types with names in them", "www.example. TYPE255",
     "an www.example. NAPTR 1 2 \"s\" \"x\" \"\" r.www.example.\n"
     "an www.example. RP a.www.example. b.www.example.\n"
     "an www.example. SOA ns.www.example. h.www.example. 1 2 3 4 5\n"
     "an www.example. MINFO a.www.example. b.www.example.\n"
     "an www.example. AFSDB 1 b.www.example.\nan x.example. A 192.0.2.1\n",
     "an www.example. NAPTR 1 2 \"s\" \"x\" \"\" r.www.example.\n"
     "an www.example. RP a.www.example. b.www.example.\n"
     "an www.example. SOA ns.www.example. h.www.example. 1 2 3 4 5\n"
     "an www.example. MINFO a.www.example. b.www.example.\n"
     "an www.example. AFSDB 1 b.www.example.\n",
     .n_answer = 5},
    {"types with character-strings", "www.example. TYPE255", STRINGS "an x.example. A 192.0.2.1\n",
     STRINGS, .n_answer = 9},
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

/* Records as ldns prints them, whatever the text of the row looks like. */
static void normal_text(const char *question, const char *records, char *out, size_t size)
{
    static uint8_t wire[TEXT_MESSAGE_MAX];

    wire_to_text(wire, text_to_wire(wire, DNS_QR, question, records, false), out, size);
}

/* Record by record from the front to the end, until it is the image again: every
 * step is well-formed, says the same, and has the same records. */
static void check_rotation(const uint8_t *image, size_t len, uint16_t qtype, unsigned records)
{
    static uint8_t turned[TEXT_MESSAGE_MAX], again[TEXT_MESSAGE_MAX];
    struct reply_facts f;
    size_t n;

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
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
    static char got[20000], want[20000];
    uint16_t flags = (uint16_t)(DNS_QR | r->flags);
    size_t len = text_to_wire(wire, flags, r->question, r->records, compress), n;
    struct message m;
    struct reply_facts f;
    struct name end;
    bool rotates;
    int rc = read_one(wire, len, image, sizeof image, &n, &f);

    if (r->kept != NULL && strcmp(r->kept, "-") == 0) {
        assert_int_equal(rc, (r->flags & DNS_TC) != 0 ? -EBADMSG : -ELOOP);
        return;
    }
    assert_int_equal(rc, 0);
    wire_to_text(image, n, got, sizeof got);
    normal_text(r->question, r->kept != NULL ? r->kept : r->records, want, sizeof want);
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
    assert_int_equal(f.rotates, r->n_answer > 1 && m.qtype != TYPE_ANY && m.qtype != TYPE_DNAME);
    if (f.rotates)
        check_rotation(image, n, m.qtype, r->n_answer);
    rotates = f.rotates;
    assert_int_equal(read_one(wire, len, image, n, &n, &f), 0);
    rc = read_one(wire, len, image, n - 1, &n, &f);
    assert_true(rc == -ENOSPC || (rc == 0 && rotates && !f.rotates)); /* the shorter image fits */
}

static void check_row(void **state)
{
    const struct reply_row *r = *state;

    check_one(r, true);
    check_one(r, false);
}

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define HEAD(flags, an, ns, ar) "\x12\x34" flags "\0\1\0" an "\0" ns "\0" ar
#define Q(type) "\3wWw\7ExamplE\0\0" type "\0\1" /* 17 octets: the records begin at 29 */
#define FIX(type, len) "\0" type "\0\1\0\0\0\5\0" len
#define QR "\x81\x80"
#define OPT "\0\0\x29\x10\0\0\0\0\0\0\0"
#define A_RR "\xc0\x0c" FIX("\1", "\4") "\x7f\0\0\1"

/* Octets that no text gives. */
static const struct raw_row {
    const char *what;
    const uint8_t *at;
    size_t len;
    const char *want; /* octets of the image behind its question, in hex; NULL: refused */
} raw_rows[] = {
    {"plain", BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") A_RR),
     "c00c00010001000000050004"
     "7f000001"},
    {"OPT goes", BYTES(HEAD(QR, "\1", "\0", "\1") Q("\1") A_RR OPT),
     "c00c00010001000000050004"
     "7f000001"},
    {"owner written out in random case becomes a pointer",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\3WwW\7eXample\0" FIX("\1", "\4") "\x7f\0\0\1"),
     "c00c00010001000000050004"
     "7f000001"},
    {"part of the question in random case becomes a pointer",
     BYTES(HEAD(QR, "\0", "\1", "\0") Q("\1") "\7eXample\0" FIX("\2", "\2") "\xc0\x0c"),
     "c01000020001000000050002"
     "c00c"},
    {"RDLENGTH lies: SRV runs over its end",
     BYTES(HEAD(QR, "\1", "\0", "\0")
               Q("\x21") "\xc0\x0c" FIX("\x21", "\7") "\0\0\0\0\6\x98\3kms\0")},
    {"RDLENGTH 0 for SRV",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\x21") "\xc0\x0c" FIX("\x21", "\0"))},
    {"octets behind the name of a CNAME",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\5", "\4") "\1a\0x")},
    {"A with a record hidden in it",
     BYTES(HEAD(QR, "\2", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\1", "\x14") "\x7f\0\0\1" A_RR)},
    {"AAAA of four octets",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\x1c") "\xc0\x0c" FIX("\x1c", "\4") "\x7f\0\0\1")},
    {"SOA without its numbers",
     BYTES(HEAD(QR, "\0", "\1", "\0") Q("\1") "\xc0\x10" FIX("\6", "\4") "\xc0\x0c\xc0\x0c")},
    {"RRSIG shorter than its fields",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x2e", "\2") "\0\1")},
    {"TXT whose string runs over its end",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x10", "\3") "\3ab")},
    {"TXT whose second string runs over its end",
     BYTES(HEAD(QR, "\2", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x10", "\3") "\1a\1" A_RR)},
    {"HINFO with one string",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x0d", "\2") "\1a")},
    {"HINFO with three strings",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x0d", "\6") "\1a\1a\1a")},
    {"X25 with an octet behind its string",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x13", "\3") "\1ab")},
    {"ISDN without a string",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x14", "\0"))},
    {"ISDN whose second string runs over its end",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x14", "\3") "\1a\1")},
    {"GPOS with two strings",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c" FIX("\x1b", "\4") "\1a\1a")},
    {"CAA whose tag runs over its end",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") "\xc0\x0c\1\1\0\1\0\0\0\5\0\4"
                                              "\0\5is")},
    {"trailing octets", BYTES(HEAD(QR, "\1", "\0", "\0") Q("\1") A_RR "x")},
    {"two OPT", BYTES(HEAD(QR, "\1", "\0", "\2") Q("\1") A_RR OPT OPT)},
    {"no question", BYTES("\x12\x34\x81\x85\0\0\0\0\0\0\0\0")},
    {"a query", BYTES(HEAD("\1\0", "\0", "\0", "\0") Q("\1"))},
    {"opcode STATUS", BYTES(HEAD("\x91\x80", "\0", "\0", "\0") Q("\1"))},
    {"compressed SRV target is written out, folded",
     BYTES(HEAD(QR, "\1", "\0", "\0")
               Q("\x21") "\xc0\x0c" FIX("\x21", "\x8") "\0\0\0\0\6\x98\xc0\x10"),
     "c00c0021000100000005000f"
     "000000000698"
     "076578616d706c6500"},
    {"SRV target written out keeps its case",
     BYTES(HEAD(QR, "\1", "\0", "\0")
               Q("\x21") "\xc0\x0c" FIX("\x21", "\x0b") "\0\0\0\0\6\x98\3KMS\0"),
     "c00c0021000100000005000b"
     "000000000698"
     "034b4d5300"},
    {"compressed HTTPS target is refused",
     BYTES(HEAD(QR, "\1", "\0", "\0") Q("\x41") "\xc0\x0c" FIX("\x41", "\4") "\0\1\xc0\x10")},
    {"OPT before another record",
     BYTES(HEAD(QR, "\1", "\0", "\2") Q("\x0f") "\xc0\x0c" FIX(
         "\x0f", "\5") "\0\1\1m\0" OPT "\1m\0" FIX("\1", "\4") "\x7f\0\0\1"),
     "c00c000f0001000000050005"
     "0001016d00"
     "c02b00010001000000050004"
     "7f000001"},
    {"owner that points at a TTL is written anew",
     BYTES(HEAD(QR, "\1", "\1", "\0") Q("\1") A_RR "\xc0\x21" FIX("\2", "\2") "\xc0\x0c"),
     "c00c00010001000000050004"
     "7f000001"
     "0000020001000000050002"
     "c00c"},
    {"TSIG goes", BYTES(HEAD(QR, "\1", "\0", "\1") Q("\1") A_RR "\0\0\xfa\0\xff\0\0\0\0\0\0"),
     "c00c00010001000000050004"
     "7f000001"},
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
    static const char *const proofs[] = {NSEC_LINE, "ns example." SIG_OF("SOA"),
                                         "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 IN NSEC3 "
                                         "1 0 1 ab 2T7B4G4VSA5SMI47K61MV5BV1A"
                                         "22BOJR A\n"};
    static uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
    char text[1000];
    struct message m;
    struct reply_facts f;
    size_t len, n;

    for (size_t i = 0; i < ARRAY_LEN(proofs); i++) {
        snprintf(text, sizeof text, "%s%s", SOA_LINE, proofs[i]);
        len = text_to_wire(wire, DNS_QR | RCODE_NXDOMAIN, "w.example. A", text, true);
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
                "an www.example. 60 IN MX 2 mx.other.\n",
                k, 0);
        len = text_to_wire(wire, DNS_QR, "www.example. TYPE255", text, false);
        assert_int_equal(read_one(wire, len, image, sizeof image, &n, &f), 0);
        assert_int_equal(message_read_reply(&m, image, n), 0);
        wire_to_text(image, n, text, sizeof text);
        assert_has(text, "MX 2 mx.other.");
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
