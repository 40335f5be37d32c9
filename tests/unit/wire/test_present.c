/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_present.c -- text and wire form of names, types, rcodes, records, zone
 * lines.
 */
#include "tests/unit/wire/text_message.h"

#define D60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const struct name_row {
    const char *text;
    const char *wire;  /* NULL: the texts between | are refused */
    const char *print; /* NULL: as the text */
} name_rows[] = {
    /* clang-format off */
    {"www.example.", "\3www\7example", "www.example"},
    {"WwW.Example", "\3WwW\7Example"},
    {".", ""},
    {"_vlmcs._tcp.corp.example", "\6_vlmcs\4_tcp\4corp\7example"},
    {"*.corp", "\1*\4corp"},
    {"b\xc3\xbc" "ro.example", "\5b\xc3\xbcro\7example", "b\\195\\188ro.example"},
    {"a\\.b.c", "\3a.b\1c"},
    {"a\\\\.c", "\2a\\\1c"},
    {"\\065b", "\2Ab", "Ab"},
    {"a\\010b", "\3a\nb"},
    {"a\\\"\\;", "\3a\";"},
    {"a\\ b", "\3a b", "a\\032b"},
    {D60 "123", "?" D60 "123"},
    {D60 "123." D60 "123." D60 "123." D60 "1", "?" D60 "123?" D60 "123?" D60 "123=" D60 "1"},
    {"|.example|a..b|a..|..|a b|a\n|\\256|\\06|a\\|" D60 "1234|" D60 "123." D60 "123." D60 "123."
     D60 "12"},
    /* clang-format on */
};

static void check_name(void **state)
{
    const struct name_row *r = *state;
    char text[NAME_TEXT], *rest = strdupa(r->text), *one;
    struct name name = {.len = 77};

    while (r->wire == NULL && (one = strsep(&rest, "|")) != NULL)
        if (name_parse(&name, one) != -EINVAL || name.len != 77)
            fail_msg("%s", one);
    if (r->wire == NULL)
        return;
    assert_int_equal(name_parse(&name, r->text), 0);
    assert_int_equal(name.len, strlen(r->wire) + 1);
    assert_memory_equal(name.data, r->wire, name.len);
    assert_string_equal(name_print(&name, text), r->print != NULL ? r->print : r->text);
}

static const struct type_row {
    const char *texts;
    int type; /* -1: refused */
    const char *print;
} type_rows[] = {
    {"SRV|srv|TYPE33", 33, "SRV"},
    {"AAAA|aaaa", 28, "AAAA"},
    {"ANY|type255", 255, "ANY"},
    {"HTTPS", 65, "HTTPS"},
    {"TYPE65280|type65280", 65280, "TYPE65280"},
    {"TYPE65535", 65535, "TYPE65535"},
    {"TYPE65536|TYPE99999999999999999999|TYPE|TYPE1x|33||SERV", -1},
};

static void check_type(void **state)
{
    const struct type_row *r = *state;
    char text[TYPE_TEXT], *rest = strdupa(r->texts), *one;
    uint16_t type = 7;

    while ((one = strsep(&rest, "|")) != NULL)
        if (type_parse(&type, one) != (r->type < 0 ? -EINVAL : 0))
            fail_msg("%s", one);
    assert_int_equal(type, r->type < 0 ? 7 : r->type);
    if (r->type >= 0)
        assert_string_equal(type_print(type, text), r->print);
}

/* All numbers come back. */
static void check_words(void **state)
{
    char text[TYPE_TEXT];
    uint16_t read;

    for (unsigned type = 0; type < 65536; type++) {
        assert_int_equal(type_parse(&read, type_print((uint16_t)type, text)), 0);
        assert_int_equal(read, type);
    }
    assert_string_equal(rcode_print(3, text), "NXDOMAIN");
    assert_string_equal(rcode_print(16, text), "BADVERS");
    assert_string_equal(rcode_print(4095, text), "RCODE4095");
}

/* want NULL: printed as it was read. */
static const struct print_row {
    const char *record, *want;
} print_rows[] = {
    {"a.example. 60 IN A 192.0.2.1"},
    {"_x._tcp.a. 60 IN SRV 0 1 1688 kms.a."},
    {"a.example. 60 IN SOA ns.a.example. h.a.example. 1 2 3 4 5"}, /* compressed names */
    {"a. 60 IN TXT \"x y\" \"z\""},
    {"a. 60 IN TYPE65280 \\# 3 c00c00"},
    {"a. 60 IN TYPE65280 \\# 0"},
    {"a. 60 CLASS300 A 192.0.2.1", "a. 60 CLASS300 A \\# 4 c0000201"},
};

static void check_print(void **state)
{
    const struct print_row *r = *state;
    const char *want = r->want != NULL ? r->want : r->record;
    static uint8_t wire[TEXT_MESSAGE_MAX];
    size_t len = text_to_wire(wire, DNS_QR, "example. A", r->record, true);
    char text[200];
    struct rr_walk w;

    rr_walk_init(&w, wire, len);
    assert_true(rr_walk_next(&w));
    for (size_t size = 0; size < sizeof text; size++) {
        assert_int_equal(rr_print(wire, &w.rr, text, size), size > strlen(want));
        if (size > strlen(want))
            assert_string_equal(text, want);
    }
}

/* 20,000 empty strings: ldns would take 380 MB for them. */
static void check_print_strings(void **state)
{
    static uint8_t wire[DNS_HEADER + 5 + 11 + 20000];
    static char text[100000];
    static const uint8_t head[] =
        "\0\0\x80\0\0\1\0\1\0\0\0\0\0\0\x10\0\1\0\0\x10\0\1\0\0\0\5\x4e\x20";
    struct rr_walk w;

    memcpy(wire, head, sizeof head - 1);
    rr_walk_init(&w, wire, sizeof wire);
    assert_true(rr_walk_next(&w));
    assert_true(rr_print(wire, &w.rr, text, sizeof text));
    assert_memory_equal(text, ". 5 IN TXT \\# 20000 0000", 24);
}

TESTS("present", TEST(check_words), TEST(check_print_strings), ROWS(name_rows, check_name),
      ROWS(type_rows, check_type), ROWS(print_rows, check_print))
