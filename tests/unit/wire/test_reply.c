/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_reply.c -- queries to servers and replies to clients, read back by ldns.
 */
#include "tests/unit/wire/text_message.h"

#include "wire/reply.h"

/* The query of a client, in its own case. */
struct client {
    struct message query;
    uint8_t question[NAME_MAX_WIRE + 4];
    struct reply_options options;
};

static void client_make(struct client *c, const char *name, uint16_t type, uint16_t flags,
                        bool edns, bool do_bit)
{
    struct message *m = &c->query;

    memset(c, 0, sizeof *c);
    assert_int_equal(name_parse(&m->qname, name), 0);
    memcpy(c->question, m->qname.data, m->qname.len);
    memcpy(c->question + m->qname.len, (uint8_t[]){(uint8_t)(type >> 8), (uint8_t)type, 0, 1}, 4);
    name_fold(&m->qname);
    m->id = 0xabcd;
    m->flags = flags;
    m->qtype = type;
    m->qclass = CLASS_IN;
    m->question_len = (uint16_t)(m->qname.len + 4);
    m->edns.present = edns;
    m->edns.do_bit = do_bit;
    c->options =
        (struct reply_options){.query = m, .question = c->question, .limit = 512, .ede = EDE_NONE};
}

/* The records of a reply, as ldns reads them, and its message. */
static const char *see(struct message *m, const uint8_t *wire, size_t len)
{
    static char text[8000];

    assert_int_equal(message_read_reply(m, wire, len), 0);
    wire_to_text(wire, len, text, sizeof text);
    return text;
}

#define SRV "an www.example. 60 IN SRV 0 0 1688 kms.example.\n"
#define ADDRESS "ar kms.example. 60 IN A 192.0.2.1\n"
static const char small[] = "an www.example. 60 IN A 192.0.2.1\n";
static const char with_additional[] = SRV ADDRESS "ar kms.example. 60 IN AAAA 2001:db8::1\n";

/* Octets with the header (12), the question (17) and n more. */
#define SMALL(n) (29 + 16 + (n))
#define SRV_AND(n) (29 + 31 + (n))
#define ALL(n) SRV_AND(20 + 28 + (n))

static const struct image_row {
    const char *what, *records;
    const char *has;      /* the query or its options: edns do ad ede (4) ede0 text alive nsid */
    int opt;              /* octets of options wanted */
    size_t limit;         /* 0: 512 */
    const char *sent;     /* wanted; NULL: all records */
    uint16_t image_flags; /* besides QR */
    uint16_t set;         /* wanted flags, besides QR, RA and those of the query */
    uint16_t query_flags; /* 0: RD */
} image_rows[] = {
    {"without EDNS", small, "", .image_flags = DNS_AA},
    {"RD and CD come from the query", small, "", .image_flags = DNS_RD, .query_flags = DNS_CD},
    {"rcode stays", "", "", .image_flags = RCODE_NXDOMAIN, .set = RCODE_NXDOMAIN},
    {"EDNS", small, "edns"},
    {"DO is repeated", small, "edns do"},
    {"AD is not given when the client may not have it", small, "edns", .image_flags = DNS_AD},
    {"AD is given", small, "edns ad", .image_flags = DNS_AD, .set = DNS_AD},
    {"AD is not made up", small, "edns ad"},
    {"EDE", small, "edns ede", 6},
    {"EDE 0", small, "edns ede0", 6},
    {"EDE with text", small, "edns ede text", 12},
    {"no options without EDNS", small, "ede text nsid alive"},
    {"keepalive", small, "edns alive", 6},
    {"NSID", small, "edns nsid", 7},
    {"EDE text goes first", small, "edns ede text", 6, SMALL(11 + 11)},
    {"then the EDE", small, "edns ede text", 0, SMALL(11 + 5)},
    {"keepalive outlives EDE", small, "edns ede text alive", 6, SMALL(11 + 6)},
    {"NSID outlives EDE", small, "edns ede nsid", 7, SMALL(11 + 12)},
    {"keepalive outlives NSID", small, "edns alive nsid", 6, SMALL(11 + 12)},
    {"fits to the octet", small, "edns ede text alive", 0, SMALL(11)},
    {"truncated", small, "edns ad", 0, SMALL(10), "", DNS_AD, DNS_TC},
    {"truncated without EDNS", small, "", 0, SMALL(-1), "", .set = DNS_TC},
    {"truncated, with room for an EDE", small, "edns ede", 6, SMALL(10), "", .set = DNS_TC},
    {"with additional", with_additional, "edns", 0, ALL(11)},
    {"the last additional goes without TC", with_additional, "edns", 0, ALL(10), SRV ADDRESS},
    {"as far as an EDE needs", with_additional, "edns ede", 6, SRV_AND(20 + 17), SRV ADDRESS},
    {"and not for nothing", with_additional, "edns ede", 6, SRV_AND(20 + 16), SRV},
    {"additional goes without TC", with_additional, "edns", 0, SRV_AND(11), SRV},
    {"EDE outlives additional", with_additional, "edns ede text", 12, ALL(11 + 5), SRV ADDRESS},
    {"so do the others", with_additional, "edns nsid alive", 13, ALL(11 + 12), SRV ADDRESS},
    {"additional goes, and TC", with_additional, "edns", 0, SRV_AND(10), "", .set = DNS_TC},
};

static bool has(const struct image_row *r, const char *word)
{
    return strstr(r->has, word) != NULL;
}

static void check_sent(const struct image_row *r, bool in_place)
{
    static uint8_t image[DNS_MAX_MESSAGE], other[DNS_MAX_MESSAGE];
    const char *sent = r->sent != NULL ? r->sent : r->records;
    uint16_t query_flags = r->query_flags != 0 ? r->query_flags : DNS_RD;
    bool srv = strstr(r->records, "SRV") != NULL, edns = has(r, "edns");
    uint8_t *out = in_place ? image : other;
    struct client c;
    struct message m;
    size_t n = text_to_wire(image, DNS_QR | r->image_flags,
                            srv ? "www.example. SRV" : "www.example. A", r->records, true);

    client_make(&c, "wWw.Example", srv ? TYPE_SRV : TYPE_A, query_flags, edns, has(r, "do"));
    c.options.limit = r->limit != 0 ? r->limit : 512;
    c.options.ad = has(r, "ad");
    c.options.ede = has(r, "ede0") ? EDE_OTHER : has(r, "ede") ? EDE_FORGED : EDE_NONE;
    c.options.ede_text = has(r, "text") ? "rule x" : NULL;
    c.options.keepalive = has(r, "alive") ? 100 : 0;
    c.options.nsid = has(r, "nsid") ? "ns1" : NULL;
    n = reply_write(&c.options, image, n, 0, out);
    assert_in_range(n, 1, c.options.limit);
    assert_int_equal(strcasecmp(see(&m, out, n), sent), 0);
    assert_int_equal(m.id, 0xabcd);
    assert_int_equal(m.flags, DNS_QR | DNS_RA | query_flags | r->set);
    assert_int_equal(m.opt_len, edns ? 11 + r->opt : 0);
    assert_int_equal(m.edns.do_bit, has(r, "do"));
    assert_int_equal(m.edns.size, edns ? DNS_UDP_EDNS : 0);
    assert_memory_equal(out + DNS_HEADER, "\3wWw\7Example", 13);
}

static void check_image(void **state)
{
    check_sent(*state, false);
    check_sent(*state, true);
}

/* What has no room; and the options as octets. */
static void check_octets(void **state)
{
    static uint8_t image[DNS_MAX_MESSAGE], out[DNS_MAX_MESSAGE];
    size_t len = text_to_wire(image, DNS_QR, "www.example. A", small, true);
    struct client c;
    size_t n;

    client_make(&c, "www.example", TYPE_A, 0, true, false);
    assert_int_equal(reply_write(&c.options, image, 20, 0, out), 0);
    c.options.limit = 29 + 11;
    assert_int_equal(reply_write(&c.options, image, len, 0, out), 29 + 11);
    c.options.limit--;
    assert_int_equal(reply_write(&c.options, image, len, 0, out), 0);
    assert_int_equal(reply_write(&c.options, NULL, 0, 0, out), 0);
    client_make(&c, "a", TYPE_A, 0, true, true);
    c.options.ede = EDE_SYNTHESIZED;
    c.options.ede_text = "ab";
    c.options.keepalive = 0x1234;
    c.options.nsid = "ns1";
    n = reply_write(&c.options, NULL, 0, RCODE_BADVERS, out);
    assert_int_equal(n, DNS_HEADER + 7 + 11 + 6 + 7 + 8);
    assert_memory_equal(out + DNS_HEADER + 7,
                        "\0\0\x29\x04\xd0\1\0\x80\0\0\x15\0\x0b\0\2\x12\x34\0\3\0\3ns1"
                        "\0\x0f\0\4\0\x1d"
                        "ab",
                        n - DNS_HEADER - 7);
    client_make(&c, "www.example", TYPE_A, DNS_RD, false, false);
    c.query.question_len = 0;
    assert_int_equal(reply_write(&c.options, NULL, 0, RCODE_FORMERR, out), DNS_HEADER);
    assert_memory_equal(out, "\xab\xcd\x81\x81\0\0\0\0\0\0\0\0", DNS_HEADER);
    (void)reply_write(&c.options, NULL, 0, RCODE_BADVERS, out); /* there is no room for it */
    assert_int_equal(dns_rcode(out, DNS_HEADER), RCODE_SERVFAIL);
}

#define ZEROS_30 "000000000000000000000000000000000000000000000000000000000000"
#define ZEROS_90 ZEROS_30 ZEROS_30 ZEROS_30
static const struct query_row {
    const char *what;
    bool cd, ad, do_bit, edns;
    const char *hex;
    bool padded;
} query_rows[] = {
    /* clang-format off */
    {"plain", false, false, false, false, "7777010000010000000000000141036e65740000210001"},
    {"CD and AD", true, true, false, false, "7777013000010000000000000141036e65740000210001"},
    {"EDNS", false, false, false, true,
     "7777010000010000000000010141036e6574000021000100002904d0000000000000"},
    {"DO", true, false, true, true,
     "7777011000010000000000010141036e6574000021000100002904d0000080000000"},
    {"padded", false, false, true, true,
     "7777010000010000000000010141036e6574000021000100002904d000008000005e000c005a" ZEROS_90, true},
    {"padded, without EDNS", false, false, false, false,
     "7777010000010000000000000141036e65740000210001", true},
    /* clang-format on */
};

static void check_query(void **state)
{
    const struct query_row *r = *state;
    struct name name = {7, 2, "\1A\3net"};
    struct query_build q = {0x7777, &name, TYPE_SRV, CLASS_IN, r->cd, r->ad, r->do_bit, r->edns};
    uint8_t out[512];
    char hex[300];
    size_t n;

    q.padded = r->padded;
    n = query_build(&q, out, sizeof out);

    for (size_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    assert_string_equal(hex, r->hex);
    assert_int_equal(query_build(&q, out, n - 1), 0);
}

/* rfc 8467: each length between two multiples of 128, and what is one without it. */
static void padding_fills_up_to_128(void **state)
{
    struct name name = {0};
    struct query_build q = {.qname = &name, .edns = true, .padded = true};
    uint8_t out[512];

    for (name.len = 1; name.len < 255; name.len++) { /* its octets are not looked at */
        size_t bare = name.len + 12u + 4 + 11 + 4, n = query_build(&q, out, sizeof out);

        assert_int_equal(n, (bare + 127) / 128 * 128);
        assert_int_equal(bytes_u16(out + bare - 6), n - bare + 4);
        assert_int_equal(bytes_u16(out + bare - 4), 12);
        assert_int_equal(bytes_u16(out + bare - 2), n - bare);
        assert_int_equal(query_build(&q, out, n - 1), 0);
    }
}

/* A set of SRV: priority and weight of each record, and how often of a hundred each is first, and
 * is last; -1 is never. */
static const struct shuffle_row {
    const char *name;
    int n, ranks[4][2], first[4], last[4];
} shuffle_rows[] = {
    {"one", 1, {{0, 0}}, {100}, {100}},
    {"alike", 2, {{0, 0}, {0, 0}}, {50, 50}, {50, 50}},
    {"alike, with weights",
     4,
     {{7, 5}, {7, 5}, {7, 5}, {7, 5}},
     {25, 25, 25, 25},
     {25, 25, 25, 25}},
    {"one to three", 2, {{0, 1}, {0, 3}}, {25, 75}, {75, 25}},
    {"priority first", 3, {{10, 60000}, {0, 0}, {5, 1}}, {-1, 100, -1}, {100, -1, -1}},
    {"two priorities", 4, {{1, 0}, {0, 3}, {1, 0}, {0, 1}}, {-1, 75, -1, 25}, {50, -1, 50, -1}},
    {"no weight beside weights", 3, {{0, 0}, {0, 9}, {0, 10}}, {0, 47, 53}, {100, 0, 0}},
};

static void count_up(void *context, uint8_t *out, size_t len)
{
    uint64_t *seed = context;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((*seed = *seed * 6364136223846793005u + 1442695040888963407u) >> 56);
}

static void check_shuffle(void **state)
{
    enum { ROUNDS = 20000 };
    const struct shuffle_row *r = *state;
    struct message m = {.qname = {7, 2, "\1A\3net"}, .qtype = TYPE_SRV, .qclass = CLASS_IN};
    uint64_t seed = 1;
    struct random random = {.fill = count_up, .context = &seed};
    int first[4] = {0}, last[4] = {0};
    uint8_t out[512];
    struct srv srv[SRV_MAX];
    struct writer w = writer_make(out, sizeof out);

    image_begin(&w, &m, RCODE_NOERROR);
    for (int i = 0; i < r->n; i++) { /* the port tells which; targets are of several lengths */
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_SRV, 300, 7u + 2u * (i > 1));
        writer_u16(&w, (uint16_t)r->ranks[i][0]);
        writer_u16(&w, (uint16_t)r->ranks[i][1]);
        writer_u16(&w, (uint16_t)i);
        writer_bytes(&w, i > 1 ? "\1x" : "", i > 1 ? 3 : 1);
    }
    image_record(&w, SECTION_ADDITIONAL, DNS_HEADER, TYPE_A, 300, 4);
    writer_u32(&w, 0x7f000001);
    for (int i = 0; i < ROUNDS; i++) {
        image_shuffle_srv(out, w.len, &random);
        assert_int_equal(srv_read(out, w.len, srv), r->n);
        first[srv[0].port]++;
        last[srv[r->n - 1].port]++;
    }
    for (int i = 0; i < r->n; i++) {
        const int got[2] = {first[i], last[i]}, want[2] = {r->first[i], r->last[i]};

        for (int k = 0; k < 2; k++) {
            if (want[k] < 0)
                assert_int_equal(got[k], 0);
            else
                assert_in_range(got[k] * 100 + 2 * ROUNDS, want[k] * ROUNDS,
                                (want[k] + 4) * ROUNDS);
        }
    }
}

/* What is no set of SRV, or is larger than any, stays as it is. */
static const struct strange_row {
    const char *name;
    uint16_t lengths[3]; /* of RDATA */
} strange_rows[] = {
    {"too short for a weight", {9, 3, 9}},
    {"the last is longer than any", {3900, 100, 2000}},
};

static void check_strange(void **state)
{
    const struct strange_row *r = *state;
    struct message m = {.qname = {7, 2, "\1A\3net"}, .qtype = TYPE_SRV, .qclass = CLASS_IN};
    static uint8_t out[8000], before[8000];
    uint64_t seed = 1;
    struct random random = {.fill = count_up, .context = &seed};
    struct writer w = writer_make(out, sizeof out);

    image_begin(&w, &m, RCODE_NOERROR);
    for (int i = 0; i < 3; i++) {
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_SRV, 300, r->lengths[i]);
        memset(writer_room(&w, r->lengths[i]), 3 - i, r->lengths[i]);
    }
    memcpy(before, out, w.len);
    for (int i = 0; i < 20; i++)
        image_shuffle_srv(out, w.len, &random);
    assert_memory_equal(out, before, w.len);
}

TESTS("reply", ROWS(strange_rows, check_strange), TEST(check_octets),
      ROWS(shuffle_rows, check_shuffle), ROWS(image_rows, check_image),
      ROWS(query_rows, check_query), TEST(padding_fills_up_to_128))
