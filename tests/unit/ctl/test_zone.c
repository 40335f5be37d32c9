/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_zone.c -- SRV lines of a zone file: which policy they are, and what is
 * refused and where.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"
#include "ctl/policy.h"
#include "tests/unit/rows.h"

#define SRV " IN SRV 0 0 1688 "

/* "POOL: HOSTS <- SUFFIXES\n" of each rule, then "skipped N"; or "LINE: PROBLEM\n". */
static const struct row {
    const char *what, *zone, *want;
} rows[] = {
    {"nothing", "", "skipped 0"},
    {"blank lines and comments", "\n \t\r\n  ; text ( \"\n;", "skipped 0"},
    {"equal hosts are one pool",
     "$ORIGIN corp.example.\n$TTL 1h\n@ IN SOA ns1 admin ( 1 ; serial\n  7200 3600 1209600 300 )\n"
     "  IN NS ns1\n_vlmcs._tcp 3600 IN SRV 0 0 1688 kms01.contoso.com.\n"
     "_VLMCS._TCP.b.example. IN SRV 0 0 1688 KMS01.contoso.com.\n"
     "_vlmcs._tcp.c.example." SRV "kms01.contoso.com.\n"
     "_vlmcs._tcp.c.example. IN SRV 10 0 1688 kms02.contoso.com.\n"
     "_vlmcs._tcp.d.example." SRV "kms02.contoso.com.\n_vlmcs._tcp.e.example. IN SRV 0 0 0 .\n"
     "_ldap._tcp IN SRV 0 0 389 dc.corp.example.\n",
     "kms01: kms01.contoso.com:1688 <- b.example corp.example\n"
     "kms01-2: kms01.contoso.com:1688 kms02.contoso.com:1688,priority=10 <- c.example\n"
     "kms02: kms02.contoso.com:1688 <- d.example\nskipped 4"},
    {"a name with a number that is taken",
     "_vlmcs._tcp.a." SRV "k.a.b.\n_vlmcs._tcp.c." SRV "k.c.d.\n_vlmcs._tcp.e." SRV "k-2.e.f.\n"
     "_vlmcs._tcp.g." SRV "k.g.h.\n",
     "k: k.a.b:1688 <- a\nk-2: k-2.e.f:1688 <- e\nk-3: k.c.d:1688 <- c\nk-4: k.g.h:1688 <- g\n"
     "skipped 0"},
    {"port, priority and weight tell hosts apart",
     "_vlmcs._tcp.a. SRV 0 0 1 k.c.d.\n_vlmcs._tcp.b. SRV 1 0 1 k.c.d.\n"
     "_vlmcs._tcp.c. SRV 0 1 1 k.c.d.\n_vlmcs._tcp.d. SRV 0 0 2 k.c.d.\n",
     "k: k.c.d:1 <- a\nk-2: k.c.d:1,weight=1 <- c\nk-3: k.c.d:1,priority=1 <- b\n"
     "k-4: k.c.d:2 <- d\nskipped 0"},
    {"names without a letter, and any",
     "_vlmcs._tcp.a." SRV "any.c.d.\n_vlmcs._tcp.b." SRV "-x-.c.d.\n",
     "kms: any.c.d:1688 <- a\nx-: -x-.c.d:1688 <- b\nskipped 0"},
    {"a record twice", "_vlmcs._tcp.a." SRV "k.c.d.\n_vlmcs._tcp.A." SRV "K.c.d.\n",
     "k: k.c.d:1688 <- a\nskipped 0"},
    {"the bare name", "_vlmcs._tcp." SRV "k.c.d.", "k: k.c.d:1688 <- .\nskipped 0"},
    {"relative $ORIGIN", "$ORIGIN example. ; here\n$ORIGIN corp\n_vlmcs._tcp" SRV "kms",
     "kms: kms.corp.example:1688 <- corp.example\nskipped 0"},
    {"the name of the line before", "_vlmcs._tcp.a. TXT \"x;(y\" ; z\n\t" SRV "k.c.d.",
     "k: k.c.d:1688 <- a\nskipped 1"},
    {"parentheses and CR", "_vlmcs._tcp.a. SRV ( 0 0 ; (\r\n 1688\r\n k.c.d. )\r\n",
     "k: k.c.d:1688 <- a\nskipped 0"},
    {"a quoted parenthesis, an escaped semicolon",
     "a\\;b. TXT \"(\\\"\" ; \"\n_vlmcs._tcp.a." SRV "k.c.d.", "k: k.c.d:1688 <- a\nskipped 1"},
    {"another class", "_vlmcs._tcp.a. CH SRV 0 0 1688 k.c.d.", "skipped 1"},
    {"no name yet", "  IN SRV 0 0 1688 k.c.d.", "1: the first record needs a name\n"},
    {"each problem has its line",
     "\n_vlmcs._tcp.a. IN SRV 0 0\nwhat is this\n\n$INCLUDE /etc/passwd\n"
     "x. A 192.0.2.300",
     "2: Syntax error, value expected\n3: Syntax error, could not parse the RR's "
     "rdata\n"
     "5: only $ORIGIN and $TTL are read\n6: Syntax error, could not parse the RR's rdata\n"},
    {"directives without their value",
     "$TTL soon\n$TTL\n$TTL 5x\n$ORIGIN\n$ORIGIN corp\n$ORIGIN ..",
     "1: $TTL needs a number of seconds\n2: $TTL needs a number of seconds\n"
     "3: $TTL needs a number of seconds\n4: $ORIGIN needs a domain name\n"
     "5: $ORIGIN needs a name that ends with a dot\n6: $ORIGIN needs a domain name\n"},
    {"generic form that lies about its type", "_vlmcs._tcp.a. SRV \\# 2 0000",
     "1: _vlmcs._tcp.a: the data of the record does not fit its type\n"},
    {"the name outlives a fault", "_vlmcs._tcp.a." SRV "k.c.d.\nx. A none\n" SRV "l.c.d.",
     "2: Syntax error, could not parse the RR's rdata\n"},
    {"port 0", "_vlmcs._tcp.a. IN SRV 0 0 0 k.c.d.\n",
     "1: pool k: host k.c.d has port 0, where no client can connect\n"},
    {"target without a dot", "_vlmcs._tcp.a." SRV "kms.\n",
     "1: _vlmcs._tcp.a: has no dot; give the full name of the host, like kms01.contoso.com\n"},
    {"host twice", "\n_vlmcs._tcp.a. SRV 0 0 1688 k.c.d.\n_vlmcs._tcp.a. SRV 5 0 1688 k.c.d.\n",
     "2: pool k: host k.c.d:1688 is there twice\n"},
    {"wildcard", "_vlmcs._tcp.*.a." SRV "k.c.d.\n",
     "1: _vlmcs._tcp.*.a: the name has a wildcard below _vlmcs._tcp, which matches no question\n"},
};

static void show(const struct policy *p, struct str *s)
{
    char text[HOST_TEXT];

    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, p->rules[i].pool);

        assert_string_equal(p->rules[i].name + strlen("fill-"), pool->name);
        str_addf(s, "%s:", pool->name);
        for (size_t k = 0; k < pool->n; k++)
            str_addf(s, " %s", host_print(&pool->hosts[k], text, sizeof text));
        str_add(s, " <-");
        for (size_t k = 0; k < p->rules[i].n_suffixes; k++)
            str_addf(s, " %s", suffix_print(&p->rules[i].suffixes[k], text));
        str_add(s, "\n");
    }
}

static void check_row(void **state)
{
    const struct row *r = *state;
    size_t skipped, len = strlen(r->zone);
    char text[2000], *zone = malloc(len + 1); /* of its length: a read behind it is seen */
    struct policy p;
    struct diags d;
    struct str s;

    str_init(&s, text, sizeof text);
    diags_init(&d);
    memcpy(zone, r->zone, len);
    if (zone_read(&p, "z", zone, len, &skipped, &d) == 0) {
        show(&p, &s);
        str_addf(&s, "skipped %zu", skipped);
        policy_fini(&p);
    }
    for (size_t i = 0; i < d.n; i++)
        str_addf(&s, "%s\n", d.list[i] + strlen("z:"));
    assert_string_equal(text, r->want);
    diags_fini(&d);
    free(zone);
}

static void line_too_long(void **state)
{
    static char zone[100000];
    struct policy p;
    struct diags d;
    size_t skipped;

    memset(zone, 'a', sizeof zone);
    diags_init(&d);
    assert_int_not_equal(zone_read(&p, "z", zone, sizeof zone, &skipped, &d), 0);
    assert_string_equal(d.list[0], "z:1: the line is longer than 8,190 octets");
    diags_fini(&d);
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(line_too_long);
    return RUN("zone");
}
