/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy.h -- what the policy verbs share: the store, files, and the course of
 * a change.
 *
 * A verb that changes something makes a list of changes (policy/change.h) inside
 * a transaction. policy_change_run() applies the list, prints it, and commits:
 * --dry-run is the same without the commit, and a question ("Remove pool x?") is
 * asked between two runs, with no transaction open, the second of which insists
 * on the serial that the first one saw.
 */
#ifndef CTL_POLICY_H
#define CTL_POLICY_H

#include "base/str.h"
#include "ctl/ctl.h"
#include "policy/change.h"
#include "policy/text.h"

/* --- ctl/policy_change.c: the store. Exit codes; the message is printed. */
/* STORE_WRITE with --dry-run where there is no store: an empty one that is nowhere. */
int policy_open(struct ctl *, enum store_access, struct store **out);
/* A new one in a temporary folder that is gone already; closing it frees all. */
int policy_open_temporary(struct ctl *, struct store **out);
/* The whole policy, sorted; store NULL: it is opened and closed; serial NULL: nobody asks. */
int policy_read(struct ctl *, struct store *, struct policy *out, uint64_t *serial);
/* "cannot WHAT: why" for an error of the store. */
int policy_failed(struct ctl *, const char *what, int err);

struct policy_write {
    struct ctl *c;
    struct policy_txn *txn;
    struct changes list;
    struct diags problems; /* what makes the input invalid */
    bool is_fill;          /* a rule's row says only for whom and when */
    char question[256];    /* to ask before it is done; "" = nothing goes */
    const char *remark;    /* borrowed: one more sentence after the serial, or NULL */
};
/* Makes w->list anew; it may look into the transaction. What the list borrows stays until the next
 * call, or the end. An exit code; EXIT_INVALID when problems hold the message. */
typedef int policy_make(struct policy_write *w, void *context);
/* store NULL: it is opened and closed. Bound to the serial that was seen unless that is NULL. */
int policy_change_run(struct ctl *, struct store *, const uint64_t *seen, policy_make *,
                      void *context);

/* What objects consist of, from and to text. */
struct policy_member {
    const char *word; /* "prefix" */
    size_t size;
};
extern const struct policy_member policy_members[POLICY_KINDS]; /* of a network, a pool... */
const char *policy_member_print(enum policy_kind, const void *, char out[HOST_TEXT]);
/* Every text that is wrong is told in d. n members from malloc. */
void *policy_take(enum policy_kind, const char *const *texts, size_t n, struct diags *d);
enum { POLICY_TEXT = 32768 }; /* has room for what this adds: */
/* "a b c and 3 more". */
void policy_list(struct str *, enum policy_kind, const void *members, size_t n);

/* --- ctl/policy_text.c: a file, "-" is standard input. WHOLE: what its rules name must be in it.
 * tests may be NULL; skipped counts records of a zone that are left. An exit code. */
enum policy_form { POLICY_PART, POLICY_WHOLE, POLICY_ZONE };
int policy_file_read(const char *path, enum policy_form, struct policy *out,
                     struct policy_tests *tests, size_t *skipped);

/* --- ctl/zone.c: a policy as SRV lines of a zone file. Equal sets of hosts become one pool, named
 * after the first host's first label, and the rule fill-POOL. skipped counts records that were
 * left. The policy is sorted. 0, or -EINVAL with every problem in d. */
int zone_read(struct policy *out, const char *file, const char *text, size_t len, size_t *skipped,
              struct diags *d);
/* What a zone cannot say stands there as a comment. 0 or -EIO. */
int zone_write(const struct policy *, FILE *);
/* The name that a pool gets from its first host: the first label. */
void zone_pool_name(const struct name *target, char out[POLICY_NAME]);

/* --- ctl/policy_check.c: what is suspicious in a policy, as {subject, text}; owned by the caller. */
json_t *policy_findings(const struct policy *, uint64_t now_ms);
/* Adds those of the suffixes that have no route, so that the default servers
 * say whether a record is missing. How many. */
size_t policy_unrouted(struct str *, const struct settings *, const struct suffix *, size_t n);

int policy_import(struct ctl *);
int policy_export(struct ctl *);
int policy_edit(struct ctl *);
int policy_show(struct ctl *);
int policy_log(struct ctl *);
int policy_check(struct ctl *);
int policy_test(struct ctl *);

#endif
