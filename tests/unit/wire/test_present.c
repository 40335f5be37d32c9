/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_present.c -- text and wire form of names, types, rcodes, records, zone
 * lines.
 */
#include "tests/unit/wire/text_message.h"

#include <errno.h>

#include "base/compiler.h"
#include "wire/present.h"

#define D60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const struct name_row {
    const char *what, *text;
    const char *wire;  /* NULL: refused */
    const char *print; /* NULL: as the text */
} name_rows[] = {
    /* clang-format off */
    {"absolute", "www.example.", "\3www\7example", "www.example"},
    {"final dot is added", "www.example", "\3www\7example"},
    {"root", ".", ""},
    {"case is kept", "WwW.Example", "\3WwW\7Example"},
    {"underscore", "_vlmcs._tcp.corp.example", "\6_vlmcs\4_tcp\4corp\7example"},
    {"asterisk", "*.corp", "\1*\4corp"},
    {"UTF-8", "b\xc3\xbc" "ro.example", "\5b\xc3\xbcro\7example", "b\\195\\188ro.example"},
    {"escaped dot", "a\\.b.c", "\3a.b\1c"},
    {"escaped backslash", "a\\\\.c", "\2a\\\1c"},
    {"decimal escape of 0", "\\065\\000"}, /* wire form: see check_name */
    {"decimal escape of a letter", "\\065b", "\2Ab", "Ab"},
    {"control octet", "a\\010b", "\3a\nb"},
    {"quote and semicolon", "a\\\"\\;", "\3a\";"},
    {"escaped blank", "a\\ b", "\3a b", "a\\032b"},
    {"empty", ""},
    {"leading dot", ".example"},
    {"two dots", "a..b"},
    {"two dots at the end", "a.."},
    {"only dots", ".."},
    {"blank", "a b"},
    {"line end", "a\n"},
    {"escape above 255", "\\256"},
    {"half an escape", "\\06"},
    {"escape of nothing", "a\\"},
    {"label of 63", D60 "123", "?" D60 "123"},
    {"label of 64", D60 "1234"},
    {"255 octets", D60 "123." D60 "123." D60 "123." D60 "1", "?" D60 "123?" D60 "123?" D60 "123="
     D60 "1"},
    {"256 octets", D60 "123." D60 "123." D60 "123." D60 "12"},
    /* clang-format on */
};

static void check_name(void **state)
{
    const struct name_row *r = *state;
    struct name name = {.len = 77};
    char text[NAME_TEXT];

    if (r->wire == NULL && strstr(r->text, "\\000") == NULL) {
        assert_int_equal(name_parse(&name, r->text), -EINVAL);
        assert_int_equal(name.len, 77);
        return;
    }
    assert_int_equal(name_parse(&name, r->text), 0);
    if (r->wire != NULL) {
        struct cursor c = cursor_make(name.data, name.len);
        struct name again;

        assert_int_equal(name.len, strlen(r->wire) + 1);
        assert_memory_equal(name.data, r->wire, name.len);
        name_read(&c, &again);
        assert_int_equal(again.labels, name.labels);
        assert_string_equal(name_print(&name, text), r->print != NULL ? r->print : r->text);
    } else {
        assert_string_equal(name_print(&name, text), "A\\000");
    }
}

/* The longest text: 250 octets that are all escaped. */
static void check_name_longest(void **state)
{
    struct name name = {.len = 255, .labels = 4}, again;
    char text[NAME_TEXT];

    name.data[0] = name.data[64] = name.data[128] = 63;
    name.data[192] = 61;
    assert_int_equal(strlen(name_print(&name, text)), 4 * 250 + 3);
    assert_int_equal(name_parse(&again, text), 0);
    assert_true(name_equal(&again, &name));
}

static const struct word_row {
    const char *what, *text;
    int value; /* -1: refused */
    const char *print;
} type_rows[] = {
    {"SRV", "SRV", 33, "SRV"},
    {"small letters", "aaaa", 28, "AAAA"},
    {"ANY", "ANY", 255, "ANY"},
    {"HTTPS", "HTTPS", 65, "HTTPS"},
    {"number of a known type", "TYPE33", 33, "SRV"},
    {"number", "type65280", 65280, "TYPE65280"},
    {"largest", "TYPE65535", 65535, "TYPE65535"},
    {"too large", "TYPE65536", -1},
    {"much too large", "TYPE99999999999999999999", -1},
    {"no number", "TYPE", -1},
    {"trailing text", "TYPE1x", -1},
    {"bare number", "33", -1},
    {"empty", "", -1},
    {"unknown", "SERV", -1},
};

static void check_type(void **state)
{
    const struct word_row *r = *state;
    char text[TYPE_TEXT];
    uint16_t type = 7;

    assert_int_equal(type_parse(&type, r->text), r->value < 0 ? -EINVAL : 0);
    assert_int_equal(type, r->value < 0 ? 7 : r->value);
    if (r->value >= 0)
        assert_string_equal(type_print(type, text), r->print);
}

/* Names of types, as ldns knows them. */
static void check_types(void **state)
{
    char text[TYPE_TEXT];
    uint16_t read;

    for (unsigned type = 0; type < 65536; type++) {
        assert_int_equal(type_parse(&read, type_print((uint16_t)type, text)), 0);
        assert_int_equal(read, type);
    }
}

static void check_rcodes(void **state)
{
    char text[TYPE_TEXT];

    assert_string_equal(rcode_print(3, text), "NXDOMAIN");
    assert_string_equal(rcode_print(16, text), "BADVERS");
    assert_string_equal(rcode_print(4095, text), "RCODE4095");
}

static const struct print_row {
    const char *what, *records, *want;
} print_rows[] = {
    {"A", "an a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.1"},
    {"SRV", "an _x._tcp.a. 60 IN SRV 0 1 1688 kms.a.", "_x._tcp.a. 60 IN SRV 0 1 1688 kms.a."},
    {"compressed names", "an a.example. 60 IN SOA ns.a.example. h.a.example. 1 2 3 4 5",
     "a.example. 60 IN SOA ns.a.example. h.a.example. 1 2 3 4 5"},
    {"TXT", "an a. 60 IN TXT \"x y\" \"z\"", "a. 60 IN TXT \"x y\" \"z\""},
    {"unknown type", "an a. 60 IN TYPE65280 \\# 3 c00c00", "a. 60 IN TYPE65280 \\# 3 c00c00"},
    {"no data", "an a. 60 IN TYPE65280 \\# 0", "a. 60 IN TYPE65280 \\# 0"},
    {"unknown class", "an a. 60 CLASS300 A 192.0.2.1", "a. 60 CLASS300 A \\# 4 c0000201"},
};

static void check_print(void **state)
{
    const struct print_row *r = *state;
    static uint8_t wire[TEXT_MESSAGE_MAX];
    size_t len = text_to_wire(wire, DNS_QR, "example. A", r->records, true);
    char text[200];
    struct rr_walk w;
    struct rr rr;

    rr_walk_init(&w, wire, len);
    assert_true(rr_walk_next(&w, &rr));
    assert_true(rr_print(wire, len, &rr, text, sizeof text));
    assert_string_equal(text, r->want);
    assert_true(rr_print(wire, len, &rr, text, strlen(r->want) + 1));
    assert_string_equal(text, r->want);
    assert_false(rr_print(wire, len, &rr, text, strlen(r->want)));
    assert_false(rr_print(wire, len, &rr, text, 0));
}

/* 20,000 empty strings: ldns would take 380 MB for them. */
static void check_print_strings(void **state)
{
    static uint8_t wire[DNS_HEADER + 5 + 11 + 20000];
    static char text[100000];
    static const uint8_t head[] =
        "\0\0\x80\0\0\1\0\1\0\0\0\0\0\0\x10\0\1\0\0\x10\0\1\0\0\0\5\x4e\x20";
    struct rr_walk w;
    struct rr rr;

    memcpy(wire, head, sizeof head - 1);
    rr_walk_init(&w, wire, sizeof wire);
    assert_true(rr_walk_next(&w, &rr));
    assert_true(rr_print(wire, sizeof wire, &rr, text, sizeof text));
    assert_memory_equal(text, ". 5 IN TXT \\# 20000 0000", 24);
    assert_false(rr_print(wire, sizeof wire - 1, &rr, text, sizeof text)); /* of a longer one */
}

int main(void)
{
    TEST(check_name_longest);
    TEST(check_types);
    TEST(check_rcodes);
    TEST(check_print_strings);
    ROWS(name_rows, check_name);
    ROWS(type_rows, check_type);
    ROWS(print_rows, check_print);
    return RUN("present");
}
