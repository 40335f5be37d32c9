/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_message.c -- header, question, EDNS and TSIG.
 */
#include "wire/message.h"
#include "base/addr.h"
#include "tests/unit/rows.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define HEAD(flags, qd, an, ns, ar) "\x12\x34" flags "\0" qd "\0" an "\0" ns "\0" ar
#define RD "\1\0"
#define ASK HEAD(RD, "\1", "\0", "\0", "\0")
#define UPDATE HEAD("\x28\0", "\1", "\0", "\1", "\0")
#define Q_A "\1A\7example\0\0\1\0\1"
#define QUERY(an, ns, ar) HEAD(RD, "\1", an, ns, ar) Q_A
#define PLAIN QUERY("\0", "\0", "\0")
#define WITH_ONE QUERY("\0", "\0", "\1") /* additional record */
#define OPT(ttl, len) "\0\0\x29\x10\0" ttl "\0" len
#define OPT_0(len) OPT("\0\0\0\0", len)
#define OPT_BARE OPT_0("\0")
#define RR_A "\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1"
#define RR_SOA                                                                                     \
    "\xc0\x0e\0\6\0\1\0\0\0\5\0\x18\xc0\x0c\xc0\x0c"                                               \
    "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"
#define TSIG "\0\0\xfa\0\xff\0\0\0\0\0\2zz"

#define BAD RCODE_FORMERR

static const struct fault_row {
    const char *what;
    const uint8_t *at;
    size_t len;
    int want; /* OK, unless the row says otherwise */
} fault_rows[] = {
    /* clang-format off */
    {"plain query", BYTES(PLAIN)},
    {"nothing", BYTES(""), MESSAGE_IGNORE},
    {"shorter than a header", BYTES("\x12\x34\1\0\0\1\0\0\0\0\0"), MESSAGE_IGNORE},
    {"a reply is not answered", BYTES(HEAD("\x81\0", "\1", "\0", "\0", "\0") Q_A), MESSAGE_IGNORE},
    {"Z, AD and CD are ignored", BYTES(HEAD("\1\x70", "\1", "\0", "\0", "\0") Q_A)},
    {"AA, TC, RA and rcode in a query are ignored", BYTES(HEAD("\7\x8f", "\1", "\0", "\0", "\0")
     Q_A)},
    {"header alone", BYTES(HEAD(RD, "\0", "\0", "\0", "\0")), BAD},
    {"two questions", BYTES(HEAD(RD, "\2", "\0", "\0", "\0") Q_A Q_A), BAD},
    {"QDCOUNT 1 and no question", BYTES(ASK), BAD},
    {"question without class", BYTES(ASK "\1a\0\0\1"), BAD},
    {"pointer in the question", BYTES(ASK "\1a\xc0\x0c\0\1\0\1"), BAD},
    {"trailing octet", BYTES(PLAIN "x"), BAD},
    {"class ANY", BYTES(ASK "\1a\0\0\1\0\xff"), BAD},
    {"class NONE", BYTES(ASK "\1a\0\0\1\0\xfe"), BAD},
    {"class CH", BYTES(ASK "\1a\0\0\1\0\3")},
    {"class 256", BYTES(ASK "\1a\0\0\1\1\0")},
    {"type 65535", BYTES(ASK "\1a\0\xff\xff\0\1")},
    {"IQUERY", BYTES(HEAD("\x09\0", "\1", "\0", "\0", "\0") Q_A), RCODE_NOTIMP},
    {"STATUS", BYTES(HEAD("\x11\0", "\1", "\0", "\0", "\0") Q_A), RCODE_NOTIMP},
    {"NOTIFY", BYTES(HEAD("\x21\0", "\1", "\0", "\0", "\0") Q_A), RCODE_NOTIMP},
    {"DSO without a question", BYTES(HEAD("\x30\0", "\0", "\0", "\0", "\0")), RCODE_NOTIMP},
    {"opcode 15 and junk", BYTES(HEAD("\x79\0", "\7", "\7", "\7", "\7") "junk"), RCODE_NOTIMP},
    {"EDNS", BYTES(WITH_ONE OPT_BARE)},
    {"EDNS, unknown flags", BYTES(WITH_ONE OPT("\0\0\x7f\xff", "\0"))},
    {"EDNS version 1", BYTES(WITH_ONE OPT("\0\1\0\0", "\0")), RCODE_BADVERS},
    {"EDNS version 255", BYTES(WITH_ONE OPT("\0\xff\0\0", "\0")), RCODE_BADVERS},
    {"EDNS, unknown option", BYTES(WITH_ONE OPT_0("\7") "\xfd\xe9\0\3abc")},
    {"EDNS, two options of no length", BYTES(WITH_ONE OPT_0("\x8") "\0\3\0\0\0\3\0\0")},
    {"EDNS, option longer than the record", BYTES(WITH_ONE OPT_0("\7") "\xfd\xe9\0\4abc"), BAD},
    {"EDNS, half an option code", BYTES(WITH_ONE OPT_0("\1") "\0"), BAD},
    {"EDNS, RDLENGTH over the end", BYTES(WITH_ONE OPT_0("\1")), BAD},
    {"rfc 7873/9018-1: a client cookie", BYTES(WITH_ONE OPT_0("\xc") "\0\xa\0\x8" "12345678")},
    {"rfc 7873/9018-1: the shortest with both parts", BYTES(WITH_ONE OPT_0("\x14") "\0\xa\0\x10"
     "1234567812345678")},
    {"rfc 7873/9018-1: the longest with both parts", BYTES(WITH_ONE OPT_0("\x2c") "\0\xa\0\x28"
     "1234567812345678123456781234567812345678")},
    {"rfc 7873/9018-1: empty cookie", BYTES(WITH_ONE OPT_0("\4") "\0\xa\0\0"), BAD},
    {"rfc 7873/9018-1: 7 octets", BYTES(WITH_ONE OPT_0("\xb") "\0\xa\0\7" "1234567"), BAD},
    {"rfc 7873/9018-1: 9 octets", BYTES(WITH_ONE OPT_0("\xd") "\0\xa\0\x9" "123456789"), BAD},
    {"rfc 7873/9018-1: 15 octets", BYTES(WITH_ONE OPT_0("\x13") "\0\xa\0\xf" "123456781234567"), BAD},
    {"rfc 7873/9018-1: 41 octets", BYTES(WITH_ONE OPT_0("\x2d") "\0\xa\0\x29"
     "12345678123456781234567812345678123456781"), BAD},
    {"CVE-2026-42944: of several cookies the first counts", BYTES(WITH_ONE OPT_0("\x11")
     "\0\xa\0\x8" "12345678" "\0\xa\0\1" "1")},
    {"of several cookies the first is bad", BYTES(WITH_ONE OPT_0("\x11")
     "\0\xa\0\1" "1" "\0\xa\0\x8" "12345678"), BAD},
    {"EDNS version 1, where a cookie may be anything", BYTES(WITH_ONE OPT("\0\1\0\0", "\5")
     "\0\xa\0\1" "1"), RCODE_BADVERS},
    {"rfc 7873 5.4: a cookie and no question", BYTES(HEAD(RD, "\0", "\0", "\0", "\1") OPT_0("\xc")
     "\0\xa\0\x8" "12345678")},
    {"EDNS without a cookie and no question", BYTES(HEAD(RD, "\0", "\0", "\0", "\1") OPT_BARE), BAD},
    {"a bad cookie and no question", BYTES(HEAD(RD, "\0", "\0", "\0", "\1") OPT_0("\5")
     "\0\xa\0\1" "1"), BAD},
    {"UPDATE of no zone, with a cookie", BYTES(HEAD("\x28\0", "\0", "\0", "\0", "\1") OPT_0("\xc")
     "\0\xa\0\x8" "12345678"), BAD},
    {"two OPT", BYTES(QUERY("\0", "\0", "\2") OPT_BARE OPT_BARE), BAD},
    {"OPT with an owner", BYTES(WITH_ONE "\1a" OPT_BARE), BAD},
    {"OPT whose owner is a pointer to a root", BYTES(WITH_ONE "\xc0\x16\0\x29\x10\0\0\0\0\0\0\0"),
     BAD},
    {"OPT in the answer section", BYTES(QUERY("\1", "\0", "\0") OPT_BARE), BAD},
    {"OPT in the authority section", BYTES(QUERY("\0", "\1", "\0") OPT_BARE), BAD},
    {"fewer records than counted", BYTES(QUERY("\0", "\0", "\2") OPT_BARE), BAD},
    {"more records than counted", BYTES(PLAIN OPT_BARE), BAD},
    {"records in all sections", BYTES(QUERY("\1", "\1", "\2") RR_A RR_SOA OPT_BARE TSIG)},
    {"IXFR with its SOA", BYTES(QUERY("\0", "\1", "\0") RR_SOA)},
    {"an answer in a query", BYTES(QUERY("\1", "\0", "\0") RR_A)},
    {"A record of three octets", BYTES(QUERY("\1", "\0", "\0")
     "\xc0\x0c\0\1\0\1\0\0\0\5\0\3\x7f\0\0"), BAD},
    {"TSIG", BYTES(WITH_ONE TSIG)},
    {"TSIG behind OPT", BYTES(QUERY("\0", "\0", "\2") OPT_BARE TSIG)},
    {"TSIG before OPT", BYTES(QUERY("\0", "\0", "\2") TSIG OPT_BARE), BAD},
    {"two TSIG", BYTES(QUERY("\0", "\0", "\2") TSIG TSIG), BAD},
    {"TSIG in the answer section", BYTES(QUERY("\1", "\0", "\0") TSIG), BAD},
    {"UPDATE", BYTES(UPDATE Q_A RR_A)},
    {"UPDATE, delete: class ANY, no RDATA", BYTES(UPDATE Q_A "\xc0\x0c\0\1\0\xff\0\0\0\0\0\0")},
    {"UPDATE without a zone", BYTES(HEAD("\x28\0", "\0", "\0", "\1", "\0")
     "\0\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1"), BAD},
    {"UPDATE, record cut off", BYTES(UPDATE Q_A "\xc0\x0c\0\1"), BAD},
    /* clang-format on */
};

static void check_fault(void **state)
{
    const struct fault_row *r = *state;
    struct message m;

    memset(&m, 0xff, sizeof m); /* as another message left it */
    assert_int_equal(message_read_query(&m, r->at, r->len), r->want);
    assert_int_equal(m.qname.labels == 0, m.qname.len == 1);
    /* Each shorter form is refused and never read over its end. */
    for (size_t len = 0; len < r->len && r->want == RCODE_NOERROR; len++) {
        uint8_t *copy = test_malloc(len + 1);

        memcpy(copy, r->at, len);
        assert_int_not_equal(message_read_query(&m, copy, len), RCODE_NOERROR);
        test_free(copy);
    }
}

static void check_fields(void **state)
{
    static const uint8_t wire[] =
        HEAD("\1\x10", "\1", "\0", "\0",
             "\1") "\6_VLMCS\4_tcp\2Co\0\0\x21\0\1" OPT("\1\0\x80\0", "\6") "\0\x0b\0\2\0\1";
    struct message m;

    assert_int_equal(message_read_query(&m, wire, sizeof wire - 1), RCODE_NOERROR);
    assert_true(m.id == 0x1234 && m.opcode == OPCODE_QUERY);
    assert_int_equal(m.flags, DNS_RD | DNS_CD);
    assert_int_equal(m.rcode, 16);
    assert_true(name_equal(&m.qname, &(struct name){16, 3, "\6_vlmcs\4_tcp\2co"}));
    assert_true(m.qtype == TYPE_SRV && m.qclass == CLASS_IN && m.counts[3] == 1 && !m.tsig);
    assert_int_equal(m.question_len, 20);
    assert_int_equal(m.opt_at, DNS_HEADER + 20);
    assert_int_equal(m.opt_len, 17);
    assert_true(m.edns.present && m.edns.do_bit && m.edns.keepalive && !m.edns.nsid);
    assert_int_equal(m.edns.size, 4096);
}

/* An error must be able to repeat the question and the OPT. Only an empty NSID asks. */
static const struct part_row {
    const char *what;
    const uint8_t *at;
    size_t len;
    uint16_t question_len;
    bool edns, nsid;
} part_rows[] = {
    {"an unknown version has its parts", BYTES(WITH_ONE OPT("\0\1\0\0", "\0")), 15, true},
    {"trailing octets have a question before them", BYTES(PLAIN "x"), 15},
    {"half a question is none", BYTES(ASK "\1a"), 0},
    {"what NOTIFY has is none", BYTES(HEAD("\x21\0", "\1", "\0", "\0", "\0") Q_A), 0},
    {"NSID", BYTES(WITH_ONE OPT_0("\4") "\0\3\0\0"), 15, true, true},
    {"NSID with a name", BYTES(WITH_ONE OPT_0("\5") "\0\3\0\1x"), 15, true},
};

static void check_parts(void **state)
{
    const struct part_row *r = *state;
    struct message m;

    message_read_query(&m, r->at, r->len);
    assert_int_equal(m.question_len, r->question_len);
    assert_int_equal(m.edns.present, r->edns);
    assert_int_equal(m.edns.nsid, r->nsid);
}

/* The head of a reply that is cut; what a client takes over UDP. */
static void check_head_and_limit(void **state)
{
    static const uint8_t cut[] = HEAD("\x83\x80", "\1", "\1", "\0", "\0") Q_A "\xc0\x0c\0";
    static const struct {
        uint16_t size;
        size_t want;
    } limits[] = {{0, 512}, {511, 512}, {513, 513}, {1232, 1232}, {65535, 1232}};
    struct message m;

    assert_int_equal(message_read_head(&m, cut, sizeof cut - 1), 0);
    assert_int_equal(m.qtype, TYPE_A);
    assert_int_equal(message_read_head(&m, cut, DNS_HEADER + 3), -EBADMSG);
    assert_int_equal(message_read_reply(&m, cut, sizeof cut - 1), -EBADMSG);
    assert_int_equal(message_read_reply(&m, (const uint8_t *)PLAIN, sizeof PLAIN - 1), -EBADMSG);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct edns edns = {.present = true, .size = limits[i].size};

        assert_int_equal(message_udp_limit(&edns), limits[i].want);
        edns.present = false;
        assert_int_equal(message_udp_limit(&edns), 512);
    }
}

/* The address of a record, and what is none: other classes have other lengths. */
static void check_address(void **state)
{
    static const uint8_t wire[] = "\xc0\x00\x02\x09 and twelve octets";
    static const struct {
        uint16_t type, length;
        const char *want;
    } records[] = {
        {TYPE_A, 4, "192.0.2.9"}, {TYPE_AAAA, 16, "c000:209:2061:6e64:2074:7765:6c76:6520"},
        {TYPE_A, 3, NULL},        {TYPE_A, 16, NULL},
        {TYPE_AAAA, 4, NULL},     {TYPE_TXT, 16, NULL}};
    char text[ADDR_TEXT];

    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct rr rr = {.type = records[i].type, .rdlength = records[i].length};
        struct addr a;

        assert_int_equal(rr_address(&rr, wire, &a), records[i].want != NULL);
        if (records[i].want != NULL)
            assert_string_equal(addr_print(&a, text), records[i].want);
    }
}

TESTS("message", TEST(check_address), TEST(check_fields), TEST(check_head_and_limit),
      ROWS(fault_rows, check_fault), ROWS(part_rows, check_parts))
