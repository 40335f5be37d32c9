/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_zone.c -- SRV lines of a zone file: which policy they are, and what is refused and where.
 */
#include "ctl/policy.h"
#include "tests/unit/rows.h"

#define SRV " IN SRV 0 0 1688 "
#define RDATA "Syntax error, could not parse the RR's rdata\n"

/* "POOL: HOSTS <- SUFFIXES\n" of each rule, then "skipped N"; or "LINE: PROBLEM\n", of a pool without a line. */
static const struct row {
    const char *what, *zone, *want;
} rows[] = {
    {"blank lines, comments, and the TTL that nobody uses",
     "\n \t\r\n  ; text ( \"\n$TTL 1h\n$ttl ;\n;", "skipped 0"},
    {"equal hosts are one pool",
     "$ORIGIN corp.example.\n@ 2d IN SOA ns1 admin ( 1 ; serial\n  7200 3600 1209600 300 )\n"
     "  IN NS ns1\n_vlmcs._tcp 3600 IN SRV 0 0 1688 kms01.contoso.com.\n"
     "_VLMCS._TCP.b.example. IN SRV 0 0 1688 KMS01.contoso.com.\n"
     "_vlmcs._tcp.c.example." SRV "kms01.contoso.com.\n"
     "_vlmcs._tcp.c.example. 1h IN SRV 10 0 1688 kms02.contoso.com.\n"
     "_vlmcs._tcp.d.example." SRV "kms02.contoso.com.\n_vlmcs._tcp.e.example. IN SRV 0 0 0 .\n"
     "_ldap._tcp IN SRV 0 0 389 dc.corp.example.\n",
     "kms01: kms01.contoso.com:1688 <- b.example corp.example\n"
     "kms01-2: kms01.contoso.com:1688 kms02.contoso.com:1688,priority=10 <- c.example\n"
     "kms02: kms02.contoso.com:1688 <- d.example\nskipped 4"},
    {"a name with a number that is taken",
     "_vlmcs._tcp.a." SRV "k.a.b.\n_vlmcs._tcp.c." SRV "k.c.d.\n_vlmcs._tcp.e." SRV "k-2.e.f.\n"
     "_vlmcs._tcp.g." SRV "k.g.h.\n",
     "k: k.a.b:1688 <- a\nk-2: k.c.d:1688 <- c\nk-2-2: k-2.e.f:1688 <- e\nk-3: k.g.h:1688 <- g\n"
     "skipped 0"},
    {"port, priority and weight tell hosts apart",
     "_vlmcs._tcp.a. SRV 0 0 1 k.c.d.\n_vlmcs._tcp.b. SRV 1 0 1 k.c.d.\n"
     "_vlmcs._tcp.c. SRV 0 1 1 k.c.d.\n_vlmcs._tcp.d. SRV 0 0 2 k.c.d.\n",
     "k: k.c.d:1 <- a\nk-2: k.c.d:1,priority=1 <- b\nk-3: k.c.d:1,weight=1 <- c\n"
     "k-4: k.c.d:2 <- d\nskipped 0"},
    {"names without a letter, and any",
     "_vlmcs._tcp.a." SRV "any.c.d.\n_vlmcs._tcp.b." SRV "-x-.c.d.\n",
     "kms: any.c.d:1688 <- a\nx-: -x-.c.d:1688 <- b\nskipped 0"},
    {"a record twice, more suffixes, and the bare name",
     "_vlmcs._tcp.a." SRV "k.c.d.\n_vlmcs._tcp.A." SRV "K.c.d.\n_vlmcs._tcp." SRV "k.c.d.\n"
     "_vlmcs._tcp.f." SRV "k.c.d.\n_vlmcs._tcp.e." SRV "k.c.d.\n_vlmcs._tcp.b." SRV "k.c.d.",
     "k: k.c.d:1688 <- . a b e f\nskipped 0"},
    {"relative $ORIGIN",
     "$ORIGIN example. ; here\n$ORIGIN corp\n_vlmcs._tcp" SRV "kms\n@ MX 5 @\n"
     "$ORIGIN b.\n_vlmcs._tcp" SRV "k.c.d.",
     "k: k.c.d:1688 <- b\nkms: kms.corp.example:1688 <- corp.example\nskipped 1"},
    {"no $ORIGIN, and an escaped dot", "_vlmcs._tcp.a\\." SRV "k.c.d",
     "k: k.c.d:1688 <- a\\.\nskipped 0"},
    {"the name of the line before", "_vlmcs._tcp.a. TXT \"x;(y\" ; z\n\t" SRV "k.c.d.",
     "k: k.c.d:1688 <- a\nskipped 1"},
    {"parentheses and CR", "_vlmcs._tcp.a. SRV ( 0 0 ; (\r\n 1688\r\n k.c.d. ) )\r\n",
     "k: k.c.d:1688 <- a\nskipped 0"},
    {"a quoted parenthesis, an escaped semicolon",
     "a\\;b. TXT \"(\\\"\" ; \"\n_vlmcs._tcp.a." SRV "k.c.d.", "k: k.c.d:1688 <- a\nskipped 1"},
    {"another class", "_vlmcs._tcp.a. CH SRV 0 0 1688 k.c.d.", "skipped 1"},
    {"each problem has its line",
     "  IN SRV 0 0 1688 k.c.d.\n\n_vlmcs._tcp.a. IN SRV 0 0\nwhat is this\n\n$INCLUDE /etc/passwd\n"
     "$ORIGIN\n$ORIGIN ..\n. ( SOA\n) 1\nx. A 192.0.2.300\n$ORIGIN x\n"
     "_vlmcs._tcp.a. IN SRV 0 0 0 k.c.d.",
     "1: the first record needs a name\n3: Syntax error, value expected\n4: " RDATA
     "6: only $ORIGIN and $TTL are read\n7: $ORIGIN needs a domain name\n"
     "8: $ORIGIN needs a domain name\n9: Syntax error, value expected\n11: " RDATA
     "12: $ORIGIN needs a name that ends with a dot\n"
     "13: _vlmcs._tcp.a: it has port 0, where no client can connect\n"},
    {"generic form that lies about its type", "_vlmcs._tcp.a. SRV \\# 2 0000",
     "1: _vlmcs._tcp.a: the data of the record does not fit its type\n"},
    {"the name outlives a fault", "_vlmcs._tcp.a." SRV "k.c.d.\nx. A none\n" SRV "l.c.d.",
     "2: " RDATA},
    {"pools that cannot be", "_vlmcs._tcp.b. SRV 0 0 1688 l.c.d.\n SRV 0 1 1688 l.c.d.\n",
     "pool l: host l.c.d:1688 is there twice\n"},
    {"target without a dot, wildcard", "_vlmcs._tcp.a." SRV "kms.\n_vlmcs._tcp.*.a." SRV "k.c.d.\n",
     "1: _vlmcs._tcp.a: has no dot; give the full name of the host, like kms01.contoso.com\n"
     "2: _vlmcs._tcp.*.a: the name has a wildcard below _vlmcs._tcp, which matches no question\n"},
    {"a line that is too long", NULL, "1: the line is longer than 8,190 octets\n"},
};

static void print_policy(FILE *f, const struct policy *p)
{
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);

        assert_string_equal(r->name + strlen("fill-"), pool->name);
        fprintf(f, "%s: ", pool->name);
        policy_list(f, POLICY_POOL, pool->hosts, pool->n);
        fputs(" <- ", f);
        policy_list(f, POLICY_RULE, r->suffixes, r->n_suffixes);
        fputc('\n', f);
    }
}

static void check_zone(void **state)
{
    const struct row *r = *state;
    size_t len = r->zone != NULL ? strlen(r->zone) : 100000, size;
    char *text, *zone = malloc(len); /* of its length: a read behind it is seen */
    FILE *f = open_memstream(&text, &size);
    struct policy p;
    struct diags d;
    int skipped;

    diags_init(&d);
    memset(zone, 'a', len);
    memcpy(zone, r->zone != NULL ? r->zone : "", r->zone != NULL ? len : 0);
    skipped = zone_read(&p, "z", zone, len, &d);
    if (skipped >= 0) {
        print_policy(f, &p);
        fprintf(f, "skipped %d", skipped);
        policy_fini(&p);
    }
    for (size_t i = 0; i < d.n; i++)
        fprintf(f, "%s\n", d.list[i] + (strncmp(d.list[i], "z:", 2) == 0 ? 2 : 0));
    fclose(f);
    assert_string_equal(text, r->want);
    diags_fini(&d);
    free(text);
    free(zone);
}

TESTS("zone", ROWS(rows, check_zone))
