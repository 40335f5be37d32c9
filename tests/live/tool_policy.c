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

#include "policy/change.h"

enum { KEPT = 100, ROUND = 50000 };

static void check(const char *what, int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "tool_policy: %s: %s\n", what, strerror(-rc));
    exit(1);
}

static void change(struct store *store, unsigned long n)
{
    struct policy_change c = {
        .log = {.author = "tool_policy", .reason = "test", .time_ms = clock_now().wall_ms},
        .history_ms = 365ull * 86400 * 1000,
        .history_bytes = HISTORY_MOST,
    };
    struct policy_rule old;
    struct policy p;
    char text[512];
    int rc;

    snprintf(text, sizeof text,
             "waymark-policy: 1\npools: {changed: [\"kms.changed.example:%lu\"]}\nrules: {changed: "
             "{suffixes: [n%lu.changed.example], pool: changed, ttl: %lus, comment: \"%lu\"}, "
             "old: {suffixes: [n%lu.changed.example], pool: changed}}\n",
             1000 + n % ROUND, n, 30 + n % ROUND, n, n < KEPT ? n : n - KEPT);
    check(text, policy_text_read(&p, NULL, text, strlen(text), NULL));
    old = p.rules[0];
    old.suffixes = p.rules[1].suffixes;
    check("begin", policy_change_begin(&c, store));
    policy_change_add(&c, POLICY_POOL, CHANGE_SET, p.pools);
    policy_change_add(&c, POLICY_RULE, CHANGE_HEAD, p.rules);
    policy_change_add(&c, POLICY_RULE, CHANGE_ADD, p.rules);
    if (n >= KEPT)
        policy_change_add(&c, POLICY_RULE, CHANGE_DROP, &old);
    rc = policy_change_apply(&c, NULL);
    check("apply", rc == -ENOENT ? 0 : rc); /* that suffix is gone, and it is the last row */
    policy_change_fini(&c);
    policy_fini(&p);
    /* Not changed: a killed predecessor wrote it, and died before it could say so. */
    check("commit", policy_change_commit(&c));
}

static int hold(const char *dir, unsigned long leave)
{
    static struct policy_reader *all[2 * STORE_PLACES];
    struct store *store;
    unsigned long n = 0;

    check(dir, store_open(&store, dir, STORE_READ, NULL));
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
    unsigned long first, count;

    if (argc != 4)
        return 2;
    if (strcmp(argv[1], "hold") == 0)
        return hold(argv[2], strtoul(argv[3], NULL, 10));
    first = strtoul(argv[2], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    check(argv[1], store_open(&store, argv[1], STORE_WRITE, NULL));
    for (unsigned long n = first; n < first + count; n++) {
        change(store, n);
        printf("%lu\n", n);
        fflush(stdout);
    }
    store_close(store);
    return 0;
}
