/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tool_policy.c -- makes many changes of a policy, one transaction each:
 * tool_policy DIR FIRST COUNT. Or takes all places for readers but so many, says
 * so, and keeps them until its input ends: tool_policy hold DIR FREE.
 *
 * Change N gives pool `changed` the port 1000 + N % 50000, rule `changed` the
 * TTL 30 + N % 50000 and the comment N, adds the suffix nN.changed.example and
 * takes that of change N - KEPT away. So a change that is there by half shows.
 * Prints N when the change is on disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "policy/change.h"
#include "policy/records.h"

enum { KEPT = 100, ROUND = 50000 };

static void fail(const char *what, int err)
{
    fprintf(stderr, "tool_policy: %s: %s\n", what, strerror(-err));
    exit(1);
}

static void suffix_of(unsigned long n, struct suffix *out)
{
    char text[64];
    const char *why;

    snprintf(text, sizeof text, "n%lu.changed.example", n);
    if ((why = suffix_parse(out, text)) != NULL)
        fail(why, -EINVAL);
}

/* The rows of change n. The list borrows what is static. */
static void make_list(struct policy_change *c, unsigned long n)
{
    static struct policy_host host;
    static struct policy_pool pool = {.name = "changed", .hosts = &host, .n = 1};
    static struct suffix added, dropped;
    static struct policy_rule rule, old;
    char text[64];
    const char *why;

    snprintf(text, sizeof text, "kms.changed.example:%lu", 1000 + n % ROUND);
    if ((why = host_parse(&host, text)) != NULL)
        fail(why, -EINVAL);
    policy_change_add(c, POLICY_POOL, CHANGE_SET, &pool);
    policy_rule_init(&rule, "changed");
    snprintf(rule.pool, sizeof rule.pool, "changed");
    snprintf(rule.comment, sizeof rule.comment, "%lu", n);
    rule.ttl = (uint32_t)(30 + n % ROUND);
    rule.suffixes = &added;
    rule.n_suffixes = 1;
    suffix_of(n, &added);
    policy_change_add(c, POLICY_RULE, CHANGE_HEAD, &rule);
    policy_change_add(c, POLICY_RULE, CHANGE_ADD, &rule);
    if (n < KEPT)
        return;
    old = rule;
    old.suffixes = &dropped;
    suffix_of(n - KEPT, &dropped);
    policy_change_add(c, POLICY_RULE, CHANGE_DROP, &old);
}

static void change(struct store *store, unsigned long n)
{
    struct policy_change c = {
        .log = {.author = "tool_policy", .reason = "test", .time_ms = clock_now().wall_ms},
        .history_ms = 365ull * 86400 * 1000,
    };
    int rc;

    if ((rc = policy_change_begin(&c, store)) != 0)
        fail("begin", rc);
    make_list(&c, n);
    rc = policy_change_apply(&c, NULL);
    if (rc != 0 && rc != -ENOENT) /* that suffix is gone already, and it is the last row */
        fail("apply", rc);
    policy_change_fini(&c);
    /* Not changed: a killed predecessor wrote it, and died before it could say so. */
    if ((rc = policy_change_commit(&c)) != 0)
        fail("commit", rc);
}

static int hold(const char *dir, unsigned long leave)
{
    static struct policy_reader *all[2 * STORE_PLACES];
    struct store *store;
    unsigned long n = 0;
    int rc = store_open(&store, dir, STORE_READ, NULL);

    if (rc != 0)
        fail(dir, rc);
    while (n < 2 * STORE_PLACES && (all[n] = policy_reader_new(store)) != NULL)
        n++;
    while (leave-- > 0 && n > 0)
        policy_reader_free(all[--n]);
    printf("%lu\n", n);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    struct store *store;
    struct diags d;
    unsigned long first, count;
    int rc;

    if (argc != 4)
        return 2;
    if (strcmp(argv[1], "hold") == 0)
        return hold(argv[2], strtoul(argv[3], NULL, 10));
    first = strtoul(argv[2], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    diags_init(&d);
    if ((rc = store_open(&store, argv[1], STORE_WRITE, &d)) != 0)
        fail(d.n > 0 ? d.list[0] : argv[1], rc);
    for (unsigned long n = first; n < first + count; n++) {
        change(store, n);
        printf("%lu\n", n);
        fflush(stdout);
    }
    store_close(store);
    diags_fini(&d);
    return 0;
}
