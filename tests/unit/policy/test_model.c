/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_model.c -- suffixes, hosts and names as text. What entry refuses of rules
 * and pools is in test_text.c.
 */
#include "base/str.h"
#include "policy/model.h"
#include "tests/unit/rows.h"

static const struct suffix_row {
    const char *name, *text, *print; /* print NULL: refused */
    const char *why;                 /* a part of it */
} suffix_rows[] = {
    {"exact", "corp.example", "corp.example"},
    {"case is folded", "Corp.EXAMPLE", "corp.example"},
    {"final dot", "corp.example.", "corp.example"},
    {"one label", "corp", "corp"},
    {"below", "*.corp.example", "*.corp.example"},
    {"any", "*", "*"},
    {"bare", ".", "."},
    {"utf-8", "f\xc3\xbcr.example", "f\\195\\188r.example"},
    {"tcp is a good first label", "tcp.example", "tcp.example"},
    {"empty", "", NULL, "empty"},
    {"whole name", "_vlmcs._tcp.corp.example", NULL, "without _vlmcs._tcp"},
    {"whole name, upper case", "_VLMCS._TCP.corp.example", NULL, "without _vlmcs._tcp"},
    {"whole bare name", "_vlmcs._tcp", NULL, "without _vlmcs._tcp"},
    {"missing underscore", "vlmcs._tcp.corp.example", NULL, "_vlmcs._tcp.SUFFIX"},
    {"both missing", "vlmcs.tcp.corp.example", NULL, "_vlmcs._tcp.SUFFIX"},
    {"swapped letters", "_vmlcs._tcp.corp.example", NULL, "_vlmcs._tcp.SUFFIX"},
    {"service alone", "_vlmcs.corp.example", NULL, "_vlmcs._tcp.SUFFIX"},
    {"protocol alone", "_tcp.corp.example", NULL, "_tcp"},
    {"below a whole name", "*._vlmcs._tcp.corp.example", NULL, "without _vlmcs._tcp"},
    {"star inside", "corp.*.example", NULL, "*"},
    {"star in a label", "corp*.example", NULL, "*"},
    {"escaped star", "\\042.example", NULL, "*"},
    {"escaped star in a label", "a\\042b.example", NULL, "*"},
    {"leading dot", ".corp.example", NULL, "dot"},
    {"empty label", "corp..example", NULL, "not a domain name"},
    {"blank", "corp .example", NULL, "blank"},
};

static void suffixes(void **state)
{
    const struct suffix_row *r = *state;
    char text[SUFFIX_TEXT];
    struct suffix s, again;
    const char *why = suffix_parse(&s, r->text);

    if ((why == NULL) != (r->print != NULL))
        fail_msg("%s", why != NULL ? why : "it is one");
    if (why != NULL) {
        assert_has(why, r->why);
        return;
    }
    assert_string_equal(suffix_print(&s, text), r->print);
    assert_null(suffix_parse(&again, text));
    assert_int_equal(suffix_compare(&s, &again), 0);
}

static void suffix_length(void **state)
{
    /* 63 + 63 + 63 + 49 characters: 243 octets; with _vlmcs._tcp 255. */
    char text[300], below[310];
    struct suffix s;

    memset(text, 'a', sizeof text);
    text[63] = text[127] = text[191] = '.';
    text[241] = '\0';
    assert_null(suffix_parse(&s, text));
    snprintf(below, sizeof below, "*.%s", text);
    assert_non_null(suffix_parse(&s, below));
    text[241] = 'a';
    text[242] = '\0';
    assert_has(suffix_parse(&s, text), "too long");
}

static void suffix_order(void **state)
{
    static const char *const sorted[] = {".",         "*",           "example",     "*.example",
                                         "a.example", "*.a.example", "b.a.example", "aa.example",
                                         "b.example", "net"};
    struct suffix list[ARRAY_LEN(sorted)];
    char text[SUFFIX_TEXT];

    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        assert_null(suffix_parse(&list[ARRAY_LEN(sorted) - 1 - i], sorted[i]));
    qsort(list, ARRAY_LEN(sorted), sizeof *list, suffix_compare);
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        assert_string_equal(suffix_print(&list[i], text), sorted[i]);
}

#define A4(net) ",address=" net ".1,address=" net ".2,address=" net ".3,address=" net ".4"

static const struct host_row {
    const char *name, *text, *print, *why;
} host_rows[] = {
    {"name alone", "kms01.contoso.com", "kms01.contoso.com:1688"},
    {"case", "KMS01.Contoso.com.", "kms01.contoso.com:1688"},
    {"port", "kms01.contoso.com:1689", "kms01.contoso.com:1689"},
    {"everything", "k.c.d:2,priority=3,weight=4,address=10.0.0.9,address=fd00::1,probe=no",
     "k.c.d:2,priority=3,weight=4,address=10.0.0.9,address=fd00::1,probe=no"},
    {"default options", "k.c.d,priority=0,weight=0,probe=yes", "k.c.d:1688"},
    {"eight addresses", "k.c.d" A4("10.0.0") A4("10.0.1"), "k.c.d:1688" A4("10.0.0") A4("10.0.1")},
    {"nine addresses", "k.c.d" A4("10.0.0") A4("10.0.1") ",address=10.0.0.9", NULL,
     "more than 8 addresses"},
    {"IPv4 literal", "10.0.0.9", NULL, "IP address"},
    {"IPv4 literal and port", "10.0.0.9:1688", NULL, "IP address"},
    {"IPv6 literal", "fd00::1", NULL, "IP address"},
    {"IPv6 in brackets", "[fd00::1]:1688", NULL, "IP address"},
    {"no dot", "kms01", NULL, "no dot"},
    {"empty", "", NULL, "no host name"},
    {"a comma in the name", "k\\044x.c.d", NULL, "not a host name"},
    {"a zero in the name", "k\\000x.c.d", NULL, "not a host name"},
    {"a star in the name", "*.c.d", NULL, "not a host name"},
    {"port 0", "k.c.d:0", NULL, "port 0"},
    {"port too great", "k.c.d:65536", NULL, "port"},
    {"no port", "k.c.d:", NULL, "port"},
    {"service name", "_vlmcs._tcp.c.d", NULL, "service"},
    {"unknown option", "k.c.d,prio=1", NULL, "unknown option"},
    {"option without a value", "k.c.d,probe", NULL, "unknown option"},
    {"weight too great", "k.c.d,weight=65536", NULL, "65535"},
    {"address is none", "k.c.d,address=kms", NULL, "IP address"},
    {"address with a port", "k.c.d,address=10.0.0.9:80", NULL, "IP address"},
    {"address 0.0.0.0", "k.c.d,address=0.0.0.0", NULL, "no client"},
};

static void hosts(void **state)
{
    const struct host_row *r = *state;
    struct policy_host h;
    const char *why = host_parse(&h, r->text);
    char text[HOST_TEXT];

    if ((why == NULL) != (r->print != NULL))
        fail_msg("%s", why != NULL ? why : "it is one");
    if (why != NULL)
        assert_has(why, r->why);
    else
        assert_string_equal(host_print(&h, text), r->print);
}

#define A31 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void names(void **state)
{
    static const char *const good[] = {"dmz", "fill-kms01", "0", "a.b_c-d", A31 A31 "a"};
    static const char *const bad[] = {"", "any", "Dmz", "-a", "a b", "\xc3\xbc", A31 A31 "aa"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_null(policy_name_check(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(policy_name_check(bad[i]));
}

static void verdict_words(void **state)
{
    /* Stored: the last of each list has this number for ever. */
    static const struct {
        const char *const *list, *last;
        int number;
    } stored[] = {
        {verdict_names, "other", 8}, {outcome_names, "update", 9}, {reason_names, "rate", 9},
        {mode_names, "live", 2},     {action_names, "pass", 4},    {word_names, "unapproved", 3},
    };

    assert_int_equal(verdict_word(VERDICT_NODATA), WORD_MISSING);
    assert_int_equal(verdict_word(VERDICT_REFUSED), WORD_FAILED);
    assert_int_equal(verdict_word(VERDICT_UNAPPROVED), WORD_UNAPPROVED);
    assert_int_equal(verdict_word(VERDICT_NONE), 0);
    for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
        assert_int_equal(str_index(stored[i].list, stored[i].last), stored[i].number);
        assert_null(stored[i].list[stored[i].number + 1]);
    }
}

TESTS("model", ROWS(suffix_rows, suffixes), TEST(suffix_length), TEST(suffix_order),
      ROWS(host_rows, hosts), TEST(names), TEST(verdict_words))
