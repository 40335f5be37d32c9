/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_model.c -- suffixes, hosts and names as text; what entry refuses.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"
#include "policy/model.h"
#include "tests/unit/rows.h"

static const struct suffix_row {
    const char *name, *text, *print; /* print NULL: refused */
    const char *why;                 /* a part of it */
} suffix_rows[] = {
    {"exact", "corp.example", "corp.example", NULL},
    {"case is folded", "Corp.EXAMPLE", "corp.example", NULL},
    {"final dot", "corp.example.", "corp.example", NULL},
    {"one label", "corp", "corp", NULL},
    {"below", "*.corp.example", "*.corp.example", NULL},
    {"any", "*", "*", NULL},
    {"bare", ".", ".", NULL},
    {"utf-8", "f\xc3\xbcr.example", "f\\195\\188r.example", NULL},
    {"tcp is a good first label", "tcp.example", "tcp.example", NULL},
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
    {"leading dot", ".corp.example", NULL, "dot"},
    {"empty label", "corp..example", NULL, "not a domain name"},
    {"blank", "corp .example", NULL, "blank"},
};

static void suffixes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(suffix_rows); i++) {
        const struct suffix_row *row = &suffix_rows[i];
        char text[SUFFIX_TEXT];
        const char *why = NULL;
        struct suffix s, again;
        int rc = suffix_parse(&s, row->text, &why);

        if ((rc == 0) != (row->print != NULL))
            fail_msg("%s: %d, %s", row->name, rc, why ? why : "");
        if (rc != 0 && (why == NULL || strstr(why, row->why) == NULL))
            fail_msg("%s: wrong words: %s", row->name, why);
        if (rc == 0) {
            if (strcmp(suffix_print(&s, text), row->print) != 0)
                fail_msg("%s: printed %s", row->name, text);
            assert_int_equal(suffix_parse(&again, text, &why), 0);
            assert_int_equal(suffix_compare(&s, &again), 0);
        }
    }
}

static void suffix_length(void **state)
{
    /* 63 + 63 + 63 + 49 characters: 243 octets; with _vlmcs._tcp 255. */
    char text[300], below[310];
    const char *why;
    struct suffix s;

    memset(text, 'a', sizeof text);
    text[63] = text[127] = text[191] = '.';
    text[241] = '\0';
    assert_int_equal(suffix_parse(&s, text, &why), 0);
    snprintf(below, sizeof below, "*.%s", text);
    assert_int_not_equal(suffix_parse(&s, below, &why), 0);
    text[241] = 'a';
    text[242] = '\0';
    assert_int_not_equal(suffix_parse(&s, text, &why), 0);
    assert_non_null(strstr(why, "too long"));
}

static void suffix_order(void **state)
{
    static const char *const sorted[] = {"*",         ".",           "example",     "*.example",
                                         "a.example", "*.a.example", "b.a.example", "aa.example",
                                         "b.example", "net"};

    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        for (size_t k = 0; k < ARRAY_LEN(sorted); k++) {
            struct suffix a, b;
            const char *why;
            int c;

            assert_int_equal(suffix_parse(&a, sorted[i], &why), 0);
            assert_int_equal(suffix_parse(&b, sorted[k], &why), 0);
            c = suffix_compare(&a, &b);
            if ((c < 0) != (i < k) || (c == 0) != (i == k))
                fail_msg("%s against %s: %d", sorted[i], sorted[k], c);
        }
}

#define A4(net) ",address=" net ".1,address=" net ".2,address=" net ".3,address=" net ".4"

static const struct host_row {
    const char *name, *text, *print, *why;
} host_rows[] = {
    {"name alone", "kms01.contoso.com", "kms01.contoso.com:1688", NULL},
    {"case", "KMS01.Contoso.com.", "kms01.contoso.com:1688", NULL},
    {"port", "kms01.contoso.com:1689", "kms01.contoso.com:1689", NULL},
    {"everything", "k.c.d:2,priority=3,weight=4,address=10.0.0.9,address=fd00::1,probe=no",
     "k.c.d:2,priority=3,weight=4,address=10.0.0.9,address=fd00::1,probe=no", NULL},
    {"default options", "k.c.d,priority=0,weight=0,probe=yes", "k.c.d:1688", NULL},
    {"address twice", "k.c.d,address=10.0.0.9,address=10.0.0.9", "k.c.d:1688,address=10.0.0.9",
     NULL},
    {"eight addresses", "k.c.d" A4("10.0.0") A4("10.0.1"), "k.c.d:1688" A4("10.0.0") A4("10.0.1"),
     NULL},
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
    for (size_t i = 0; i < ARRAY_LEN(host_rows); i++) {
        const struct host_row *row = &host_rows[i];
        struct policy_host h;
        const char *why = NULL;
        char text[HOST_TEXT];
        int rc = host_parse(&h, row->text, &why);

        if ((rc == 0) != (row->print != NULL))
            fail_msg("%s: %d %s", row->name, rc, why ? why : "");
        if (rc != 0 && strstr(why, row->why) == NULL)
            fail_msg("%s: wrong words: %s", row->name, why);
        if (rc == 0 && strcmp(host_print(&h, text, sizeof text), row->print) != 0)
            fail_msg("%s: printed %s", row->name, text);
    }
}

static void names(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"dmz", true},
        {"fill-kms01", true},
        {"0", true},
        {"a.b_c-d", true},
        {"", false},
        {"any", false},
        {"Dmz", false},
        {"-a", false},
        {"a b", false},
        {"\xc3\xbc", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    const char *why;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((policy_name_check(rows[i].text, &why) == 0) != rows[i].good)
            fail_msg("%s", rows[i].text);
}

static void verdict_words(void **state)
{
    /* Stored: the last of each list has this number for ever. */
    static const struct {
        const char *const *list, *last;
        int number;
    } stored[] = {
        {verdict_names, "other", 8}, {outcome_names, "update", 9}, {reason_names, "update", 8},
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

/* --- what a rule may not say ---------------------------------------------- */

static const struct rule_row {
    const char *name;
    enum policy_action action;
    unsigned when;
    const char *pool, *suffix, *network;
    uint32_t ttl;
    uint64_t from, until;
    const char *why; /* NULL: accepted */
} rule_rows[] = {
    {"fill", ACTION_FILL, WORD_MISSING, "p", "a.b", NULL, 300, 0, 0, NULL},
    {"fill missing and failed", ACTION_FILL, WORD_MISSING | WORD_FAILED, "p", "a.b", NULL, 300, 0,
     0, NULL},
    {"fill failed alone", ACTION_FILL, WORD_FAILED, "p", "a.b", NULL, 300, 0, 0,
     "[missing, failed]"},
    {"fill present", ACTION_FILL, WORD_MISSING | WORD_PRESENT, "p", "a.b", NULL, 300, 0, 0,
     "never hides"},
    {"fill unapproved", ACTION_FILL, WORD_UNAPPROVED, "p", "a.b", NULL, 300, 0, 0, "replace"},
    {"fill without a pool", ACTION_FILL, WORD_MISSING, "", "a.b", NULL, 300, 0, 0, "needs a pool"},
    {"replace", ACTION_REPLACE, 0, "p", "a.b", NULL, 300, 0, 0, NULL},
    {"replace unapproved", ACTION_REPLACE, WORD_UNAPPROVED, "p", "a.b", NULL, 300, 0, 0, NULL},
    {"replace missing", ACTION_REPLACE, WORD_MISSING, "p", "a.b", NULL, 300, 0, 0, "replace takes"},
    {"filter", ACTION_FILTER, WORD_UNAPPROVED, "", "a.b", NULL, 300, 0, 0, NULL},
    {"filter with a pool", ACTION_FILTER, WORD_UNAPPROVED, "p", "a.b", NULL, 300, 0, 0, "no pool"},
    {"filter missing", ACTION_FILTER, WORD_MISSING, "", "a.b", NULL, 300, 0, 0, "no when"},
    {"deny", ACTION_DENY, 0, "", "a.b", NULL, 300, 0, 0, NULL},
    {"deny with a pool", ACTION_DENY, 0, "p", "a.b", NULL, 300, 0, 0, "no pool"},
    {"pass with when", ACTION_PASS, WORD_PRESENT, "", "a.b", NULL, 300, 0, 0, "no when"},
    {"* for nobody in particular", ACTION_FILL, WORD_MISSING, "p", "*", NULL, 300, 0, 0,
     "needs networks"},
    {"* for any", ACTION_FILL, WORD_MISSING, "p", "*", "any", 300, 0, 0, NULL},
    {"*.com for nobody", ACTION_DENY, 0, "", "*.com", NULL, 300, 0, 0, "needs networks"},
    {"*.a.b for nobody", ACTION_DENY, 0, "", "*.a.b", NULL, 300, 0, 0, NULL},
    {"ttl too small", ACTION_DENY, 0, "", "a.b", NULL, 29, 0, 0, "ttl"},
    {"ttl smallest", ACTION_DENY, 0, "", "a.b", NULL, 30, 0, 0, NULL},
    {"ttl greatest", ACTION_DENY, 0, "", "a.b", NULL, 86400, 0, 0, NULL},
    {"ttl too great", ACTION_DENY, 0, "", "a.b", NULL, 86401, 0, 0, "ttl"},
    {"from is until", ACTION_DENY, 0, "", "a.b", NULL, 300, 5, 5, "never valid"},
    {"from before until", ACTION_DENY, 0, "", "a.b", NULL, 300, 5, 6, NULL},
};

static void rules(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rule_rows); i++) {
        const struct rule_row *row = &rule_rows[i];
        struct policy_rule r;
        struct suffix suffix;
        char network[1][POLICY_NAME] = {"any"};
        struct diags d;
        const char *why;

        policy_rule_init(&r, "r");
        assert_int_equal(suffix_parse(&suffix, row->suffix, &why), 0);
        r.action = row->action;
        r.when = row->when;
        r.ttl = row->ttl;
        r.from_ms = row->from;
        r.until_ms = row->until;
        snprintf(r.pool, sizeof r.pool, "%s", row->pool);
        r.suffixes = &suffix;
        r.n_suffixes = 1;
        r.networks = network;
        r.n_networks = row->network != NULL;
        diags_init(&d);
        if ((policy_rule_check(&r, &d) == 0) != (row->why == NULL))
            fail_msg("%s: %s", row->name, d.n > 0 ? d.at[0].text : "accepted");
        if (row->why != NULL && strstr(d.at[0].text, row->why) == NULL)
            fail_msg("%s: wrong words: %s", row->name, d.at[0].text);
        diags_fini(&d);
    }
}

static void pools(void **state)
{
    static const struct {
        const char *name;
        const char *hosts[3];
        bool allow_public, good;
    } rows[] = {
        {"one", {"a.b.c"}, false, true},
        {"none", {NULL}, false, false},
        {"twice", {"a.b.c", "a.b.c,priority=1"}, false, false},
        {"two ports", {"a.b.c", "a.b.c:1689"}, false, true},
        {"private address", {"a.b.c,address=10.0.0.1,address=fd00::1"}, false, true},
        {"public address", {"a.b.c,address=8.8.8.8"}, false, false},
        {"public address, allowed", {"a.b.c,address=8.8.8.8"}, true, true},
        {"public IPv6 address", {"a.b.c,address=2600::1"}, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_host h[3];
        struct policy_pool p = {.name = "p", .hosts = h, .allow_public = rows[i].allow_public};
        const char *why;

        for (; p.n < 3 && rows[i].hosts[p.n] != NULL; p.n++)
            assert_int_equal(host_parse(&h[p.n], rows[i].hosts[p.n], &why), 0);
        if ((policy_pool_check(&p, NULL) == 0) != rows[i].good)
            fail_msg("%s", rows[i].name);
    }
}

static void sorting_drops_doubles(void **state)
{
    static const char *const texts[] = {"b.c", "a.c", "b.c", "*", "a.c"};
    struct policy_rule r;
    char text[SUFFIX_TEXT];
    const char *why;

    policy_rule_init(&r, "r");
    r.suffixes = calloc(ARRAY_LEN(texts), sizeof *r.suffixes);
    for (; r.n_suffixes < ARRAY_LEN(texts); r.n_suffixes++)
        assert_int_equal(suffix_parse(&r.suffixes[r.n_suffixes], texts[r.n_suffixes], &why), 0);
    policy_rule_sort(&r);
    assert_int_equal(r.n_suffixes, 3);
    assert_string_equal(suffix_print(&r.suffixes[0], text), "*");
    assert_string_equal(suffix_print(&r.suffixes[1], text), "a.c");
    assert_string_equal(suffix_print(&r.suffixes[2], text), "b.c");
    policy_rule_fini(&r);
}

int main(void)
{
    TEST(suffixes);
    TEST(suffix_length);
    TEST(suffix_order);
    TEST(hosts);
    TEST(names);
    TEST(verdict_words);
    TEST(rules);
    TEST(pools);
    TEST(sorting_drops_doubles);
    return RUN("model");
}
