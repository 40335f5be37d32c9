/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy.h -- what the policy verbs share: opening the store, and the course
 * of a change.
 *
 * A change is a function that runs inside one transaction and says, row by
 * row, what it does. policy_change_run() runs it; --dry-run is then the same
 * function without the commit, and a question ("drop pool x?") is asked
 * between two runs, with no transaction open, the second of which insists on
 * the serial that the first one saw.
 */
#ifndef CTL_POLICY_H
#define CTL_POLICY_H

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "policy/model_sort.h"
#include "policy/store.h"
#include "policy/text.h"

/* --- ctl/policy_open.c: the store. Exit codes; the message is said. */
/* POLICY_WRITE with --dry-run where there is no store: an empty one that is nowhere. */
int policy_open(struct ctl *, enum policy_access, struct policy_store **out);
/* A new one in a temporary folder that is gone already; closing it frees all. */
int policy_open_temporary(struct ctl *, struct policy_store **out);
/* The whole policy, sorted. */
int policy_read(struct ctl *, struct policy_store *, struct policy *out, uint64_t *serial);
int policy_open_read(struct ctl *, struct policy *out,
                     uint64_t *serial); /* both, store closed again */
/* "cannot WHAT: why" for an error of the store. */
int policy_failed(struct ctl *, const char *what, int err);
/* A file, or "-"; read before the rights change. *text is from malloc. */
int policy_file_read(const char *path, char **text, size_t *len);
/* A policy file in the YAML form; verify: what rules name must be in it too. tests may be NULL. */
int policy_file_policy(const char *path, bool verify, struct policy *out,
                       struct policy_tests *tests);
bool policy_limit(struct ctl *, size_t fallback, size_t *out); /* --limit; false: message said */

/* --- ctl/policy_change.c */
struct policy_write {
    struct ctl *c;
    struct policy_txn *txn;
    struct diags problems; /* what makes the input invalid */
    json_t *rows;          /* owned: {object, name, change, text} */
    bool removes;          /* something goes that a person should confirm */
    char question[256];    /* to ask then; "" = a general one */
    const char *remark;    /* borrowed: one more sentence after the serial, or NULL */
};
/* Returns an exit code; EXIT_INVALID when problems hold the message. */
typedef int policy_write_fn(struct policy_write *, void *context);
int policy_change_run(struct ctl *, policy_write_fn *, void *context);
/* The same in a store that is open, bound to a serial that was seen (bound
 * false: --if-serial alone counts). */
struct policy_seen {
    bool bound;
    uint64_t serial;
};
int policy_change_in(struct ctl *, struct policy_store *, struct policy_seen, policy_write_fn *,
                     void *context);
void policy_row(struct policy_write *, const char *object, const char *name, const char *change,
                const char *fmt, ...) PRINTF_LIKE(5, 6);
int policy_bad(struct policy_write *, const char *fmt, ...) PRINTF_LIKE(2, 3); /* EXIT_INVALID */

/* --- ctl/policy_words.c: values to words, and words to values */
char *policy_suffix_list(const struct suffix *, size_t n); /* "a b c and 3 more"; malloc */
char *policy_prefix_list(const struct prefix *, size_t n);
char *policy_host_list(const struct policy_host *, size_t n);
char *policy_rule_words(const struct policy_rule *); /* "fill, pool x, any client, when missing" */
char *policy_networks_words(const struct policy_rule *); /* "any client", "clients in a b" */
char *policy_when_words(const struct policy_rule *);     /* "when missing" */
/* Arguments from `first` on; every one that is wrong goes to d. From malloc. */
struct suffix *policy_take_suffixes(struct ctl *, int first, struct diags *d);
struct policy_host *policy_take_hosts(const char *const *texts, size_t n, struct diags *d);
struct prefix *policy_take_prefixes(struct ctl *, int first, struct diags *d);
bool policy_host_same(const struct policy_host *, const struct policy_host *);
bool policy_rule_same(const struct policy_rule *,
                      const struct policy_rule *); /* but for the suffixes */
/* Do all networks and the pool that the rule names exist? 0, EXIT_NOT_FOUND. */
int policy_rule_refers(struct policy_write *, const struct policy_rule *);

/* --- ctl/policy_route.c: suffixes whose verdict the default servers give. */
bool policy_has_route(const struct settings *, const struct suffix *);
char *policy_unrouted(const struct settings *, const struct suffix *, size_t n,
                      size_t *count); /* words; NULL none */

/* --- ctl/policy_diff.c: rows for what differs; bodies of two sorted policies. */
/* A rule's row that moves suffixes also has "suffixes": "+1 -2". */
struct policy_diff {
    json_t *rows;
    uint64_t suffixes_gone, suffixes_was, objects_gone;
};
/* What is to become of `was`: `is`, or was with the objects of is; JOIN: the suffixes of is join their rules. */
enum policy_how { POLICY_REPLACE, POLICY_MERGE, POLICY_JOIN };
void policy_compare(const struct policy *was, const struct policy *is, enum policy_how,
                    struct policy_diff *out);

int policy_import(struct ctl *);
int policy_export(struct ctl *);
int policy_edit(struct ctl *);
int policy_show(struct ctl *);
int policy_fill(struct ctl *);
int policy_network(struct ctl *);
int policy_pool(struct ctl *);
int policy_rule(struct ctl *);
int policy_approve(struct ctl *);
int policy_unapprove(struct ctl *);
int policy_check_verb(struct ctl *);
int policy_test(struct ctl *);
int policy_log(struct ctl *);
/* Makes the policy of the store this one. */
struct policy_put {
    const struct policy *is;
    enum policy_how how;
    struct policy_diff *diff;
};
int policy_put(struct policy_write *, void *put); /* a policy_write_fn */

#endif
