/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_srv.c -- SRV sets are read and filtered; ldns reads the result.
 */
#include "tests/unit/wire/text_message.h"

#include <errno.h>

#include "base/compiler.h"
#include "wire/present.h"
#include "wire/reply.h"
#include "wire/reply_read.h"

#define NAME "_vlmcs._tcp.corp.example."
#define ONE "an " NAME " 600 IN SRV 0 5 1688 kms1.corp.example.\n"
#define TWO "an " NAME " 600 IN SRV 10 6 1689 KMS2.corp.example.\n"
#define THREE "an " NAME " 600 IN SRV 20 7 1688 other.example.\n"
#define AT_ONE "ar kms1.corp.example. 60 IN A 10.0.0.1\n"
#define AT_TWO "ar kms2.corp.example. 60 IN AAAA 2001:db8::2\n"
#define AT_THREE "ar other.example. 60 IN A 10.0.0.3\n"
#define ALL ONE TWO THREE AT_ONE AT_TWO AT_THREE
#define CHAIN "an " NAME " 60 IN CNAME _vlmcs._tcp.net.\n"
#define SIG_OF(type) " 600 IN RRSIG " type " 8 1 300 20300101000000 20200101000000 1 ex. AAAA\n"
#define NET "an _vlmcs._tcp.net."

static size_t image_make(uint8_t *image, const char *records)
{
    return text_to_wire(image, DNS_QR | DNS_AD | DNS_RD | DNS_RA, NAME " SRV", records, true);
}

static void check_read(void **state)
{
    static uint8_t image[TEXT_MESSAGE_MAX];
    size_t len = image_make(image, ALL);
    struct name target;
    struct srv srv[3];

    assert_int_equal(name_parse(&target, "kms2.corp.example"), 0);
    assert_int_equal(srv_read(image, len, srv, 3), 3);
    assert_true(srv[1].priority == 10 && srv[1].weight == 6 && srv[1].port == 1689);
    assert_true(name_equal(&srv[1].target, &target)); /* folded */
    srv[1].port = 7;
    assert_int_equal(srv_read(image, len, srv, 1), 3); /* more than there is room for */
    assert_int_equal(srv[1].port, 7);
    assert_int_equal(srv_read(image, len - 1, srv, 3), -EBADMSG);
    len = image_make(image, "an " NAME " 60 IN SRV 0 0 0 .\n");
    assert_int_equal(srv_read(image, len, srv, 1), 1);
    assert_int_equal(srv[0].target.labels, 0);
}

static const struct filter_row {
    const char *what, *records;
    bool drop[3];
    const char *want;
} filter_rows[] = {
    {"nothing dropped", ALL, {false, false, false}, ALL},
    {"the middle dropped", ALL, {false, true, false}, ONE THREE AT_ONE AT_THREE},
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
    static uint8_t image[TEXT_MESSAGE_MAX], out[TEXT_MESSAGE_MAX];
    size_t len = image_make(image, r->records), n;
    char text[2000], want[2000];
    struct message m;

    assert_int_equal(srv_filter(image, len, r->drop, 3, out, sizeof out, &n), 0);
    wire_to_text(out, n, text, sizeof text);
    wire_to_text(image, image_make(image, r->want), want, sizeof want);
    assert_int_equal(strcasecmp(text, want), 0);
    assert_int_equal(message_read_reply(&m, out, n), 0);
    assert_int_equal(m.flags, DNS_QR | DNS_RD | DNS_RA); /* it is not what was validated */
    len = image_make(image, r->records);
    assert_int_equal(srv_filter(image, len, r->drop, 3, out, n - 1, &n), -ENOSPC);
    assert_int_equal(srv_filter(image, len - 1, r->drop, 3, out, sizeof out, &n), -EBADMSG);
}

/* A long question fills the table of names; the end of its chain is one that did
 * not get in, and is written out for each record. */
static void check_filter_rotates(void **state)
{
#define L10 "a.b.c.d.e.f.g.h.i.j."
    static const char end_text[] = L10 "x.example.";
    static uint8_t image[TEXT_MESSAGE_MAX], out[TEXT_MESSAGE_MAX];
    static const bool drop[3] = {true, false, false};
    char question[300], records[2000];
    struct message m;
    size_t n;

    snprintf(question, sizeof question, "%s%s SRV", "_vlmcs._tcp." L10 L10 L10 L10 L10 L10 L10,
             end_text);
    snprintf(records, sizeof records, "an %.*s 60 IN CNAME %s\n", (int)strlen(question) - 4,
             question, end_text);
    for (int i = 1; i <= 3; i++)
        snprintf(records + strlen(records), sizeof records - strlen(records),
                 "an %s 60 IN SRV 0 0 %d kms.example.\n", end_text, i);
    n = text_to_wire(image, DNS_QR, question, records, true);
    assert_int_equal(srv_filter(image, n, drop, 3, out, sizeof out, &n), 0);
    for (unsigned i = 0; i < 2; i++) {
        image_rotate(out, n, TYPE_SRV, i);
        assert_int_equal(message_read_reply(&m, out, n), 0);
        assert_int_equal(m.counts[1], 3);
    }
}

int main(void)
{
    TEST(check_read);
    TEST(check_filter_rotates);
    ROWS(filter_rows, check_filter);
    return RUN("srv");
}
