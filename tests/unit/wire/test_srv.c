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

static const char *const three = "an " NAME " 600 IN SRV 0 5 1688 kms1.corp.example.\n"
                                 "an " NAME " 600 IN SRV 10 6 1689 KMS2.corp.example.\n"
                                 "an " NAME " 600 IN SRV 20 7 1688 other.example.\n"
                                 "ar kms1.corp.example. 60 IN A 10.0.0.1\n"
                                 "ar kms2.corp.example. 60 IN AAAA 2001:db8::2\n"
                                 "ar other.example. 60 IN A 10.0.0.3\n";

static const char *const chained =
    "an " NAME " 60 IN CNAME _vlmcs._tcp.net.\n"
    "an _vlmcs._tcp.net. 600 IN SRV 0 5 1688 kms1.corp.example.\n"
    "an _vlmcs._tcp.net. 600 IN SRV 0 5 1688 bad.example.\n"
    "an _vlmcs._tcp.net. 600 IN RRSIG SRV 8 1 300 20300101000000 20200101000000 1 net. AAAA\n"
    "an " NAME " 600 IN RRSIG CNAME 8 1 300 20300101000000 20200101000000 1 example. AAAA\n"
    "ns net. 60 IN NS ns.net.\n";

static size_t image_make(uint8_t *image, const char *records)
{
    return text_to_wire(image, DNS_QR | DNS_AD | DNS_RD | DNS_RA, NAME " SRV", records, true);
}

static struct name name_of(const char *text)
{
    struct name name;

    assert_int_equal(name_parse(&name, text), 0);
    return name;
}

static void check_read(void **state)
{
    static uint8_t image[TEXT_MESSAGE_MAX];
    size_t len = image_make(image, three);
    struct name target = name_of("kms2.corp.example");
    struct srv srv[3];

    assert_int_equal(srv_read(image, len, srv, 3), 3);
    assert_int_equal(srv[1].priority, 10);
    assert_int_equal(srv[1].weight, 6);
    assert_int_equal(srv[1].port, 1689);
    assert_true(name_equal(&srv[1].target, &target)); /* folded */
    srv[1].port = 7;
    assert_int_equal(srv_read(image, len, srv, 1), 3); /* more than there is room for */
    assert_int_equal(srv[1].port, 7);
    assert_int_equal(srv_read(image, len - 1, srv, 3), -EBADMSG);
}

static void check_read_root_target(void **state)
{
    static uint8_t image[TEXT_MESSAGE_MAX];
    size_t len = image_make(image, "an " NAME " 60 IN SRV 0 0 0 .\n");
    struct srv srv[1];

    assert_int_equal(srv_read(image, len, srv, 1), 1);
    assert_int_equal(srv[0].target.labels, 0);
}

static const struct filter_row {
    const char *what, *const *records;
    bool drop[3];
    const char *want;
} filter_rows[] = {
    /* clang-format off */
    {"nothing dropped", &three, {false, false, false}, "an " NAME
     " 600 IN SRV 0 5 1688 kms1.corp.example.\nan " NAME
     " 600 IN SRV 10 6 1689 KMS2.corp.example.\nan " NAME
     " 600 IN SRV 20 7 1688 other.example.\nar kms1.corp.example. 60 IN A 10.0.0.1\n"
     "ar kms2.corp.example. 60 IN AAAA 2001:db8::2\nar other.example. 60 IN A 10.0.0.3\n"},
    {"the middle dropped", &three, {false, true, false}, "an " NAME
     " 600 IN SRV 0 5 1688 kms1.corp.example.\nan " NAME " 600 IN SRV 20 7 1688 other.example.\n"
     "ar kms1.corp.example. 60 IN A 10.0.0.1\nar other.example. 60 IN A 10.0.0.3\n"},
    {"all dropped", &three, {true, true, true}, ""},
    {"behind a CNAME", &chained, {false, true, false}, "an " NAME " 60 IN CNAME _vlmcs._tcp.net.\n"
     "an _vlmcs._tcp.net. 600 IN SRV 0 5 1688 kms1.corp.example.\nan " NAME
     " 600 IN RRSIG CNAME 8 1 300 20300101000000 20200101000000 1 example. AAAA\n"
     "ns net. 60 IN NS ns.net.\n"},
    /* clang-format on */
};

static void check_filter(void **state)
{
    const struct filter_row *r = *state;
    static uint8_t image[TEXT_MESSAGE_MAX], out[TEXT_MESSAGE_MAX];
    size_t len = image_make(image, *r->records), n;
    char text[2000];
    struct message m;

    assert_int_equal(srv_filter(image, len, r->drop, 3, out, sizeof out, &n), 0);
    wire_to_text(out, n, text, sizeof text);
    assert_int_equal(strcasecmp(text, r->want), 0);
    assert_int_equal(message_read_reply(&m, out, n), 0);
    assert_int_equal(m.flags, DNS_QR | DNS_RD | DNS_RA); /* it is not what was validated */
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
    TEST(check_read_root_target);
    TEST(check_filter_rotates);
    ROWS(filter_rows, check_filter);
    return RUN("srv");
}
