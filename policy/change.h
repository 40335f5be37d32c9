/* SPDX-License-Identifier: BSD-2-Clause
 *
 * change.h -- one change of the policy: a list that says what becomes of which
 * object, and one transaction that does it.
 *
 * Whoever changes something makes a list: a verb of the tool has a row or two,
 * a file that is imported has a row for each of its objects. The list is
 * applied, and each row then says what it did; a commit makes it last.
 */
#ifndef POLICY_CHANGE_H
#define POLICY_CHANGE_H

#include "base/arena.h"
#include "policy/model.h"
#include "policy/records.h"

struct policy_txn; /* opaque; one writer at a time, in all processes */

enum change_verb {
    CHANGE_SET,    /* the object becomes this one, with these members */
    CHANGE_HEAD,   /* likewise, but a rule keeps the suffixes that it has */
    CHANGE_ADD,    /* a rule gets these suffixes as well; one that is not there is made */
    CHANGE_DROP,   /* a rule loses these suffixes */
    CHANGE_REMOVE, /* the object goes */
};
enum change_state { CHANGE_SAME, CHANGE_NEW, CHANGE_MOVED, CHANGE_GONE };

struct change {
    enum policy_kind kind;
    enum change_verb verb;
    union {         /* borrowed, and sorted as by policy_object_sort() */
        char *name; /* what all but an approved host begin with, and all that REMOVE needs */
        struct policy_network *network;
        struct policy_pool *pool;
        struct policy_approved *approved;
        struct policy_rule *rule; /* ADD puts the suffixes that were not there first */
    } is;
    /* Set by policy_change_apply(): */
    enum change_state state;
    size_t more, less; /* suffixes that came, and that went */
};

struct changes {
    struct change *list; /* from malloc */
    size_t n;
    const struct policy *from; /* the policy that the list was made of, or NULL; borrowed */
    bool replace;              /* what is not in `from` goes */
    bool failed;               /* no memory: it cannot be applied */
    struct arena *arena;       /* names of what goes */
};

/* What is to become of the policy: `from`; or what it is, with the objects of
 * `from`; JOIN: and the suffixes of a rule that is there join it, whose head stays. */
enum policy_how { POLICY_REPLACE, POLICY_MERGE, POLICY_JOIN };
void policy_changes_add(struct changes *, enum policy_kind, enum change_verb, const void *is);
/* The list that does this; p is sorted, and stays. 0 or -errno. */
int policy_changes_make(struct changes *, struct policy_txn *, const struct policy *p,
                        enum policy_how);
void policy_changes_fini(struct changes *);

struct policy_change {
    const char *author, *claimed, *reason;
    uint64_t now_ms;
    uint64_t if_serial; /* 0 = any */
    uint64_t history_ms;
};
/* 0; -ESTALE the serial is not if_serial (then *serial is the present one); -errno. Waits for another writer. */
int policy_txn_begin(struct policy_txn **, struct store *, const struct policy_change *,
                     uint64_t *serial);
void policy_txn_abort(struct policy_txn *); /* NULL is fine */
/* Writes serial, log entry, digest, ranges, and commits with a sync. *serial is
 * the new one; when nothing differed, nothing is written, the serial stays and
 * *changed is false. The transaction is gone either way. -E2BIG: an address
 * would be in more than 16 networks. */
int policy_txn_commit(struct policy_txn *, uint64_t *serial, bool *changed);

/* Does what the list says: networks and pools go last. Every row that must be
 * refused is told in d and does nothing, but those before it are done: the
 * caller aborts. The first refusal:
 * -EINVAL   by the checks of model.h, or a network without a prefix;
 * -ENOENT   what is to go is not there, or a network or pool that a rule names;
 * -EBUSY    a network or pool is to go that a rule uses; d has a line for each.
 * Any other failure makes the commit fail too, and a suffix of octets 0 and 1 that is too
 * long for a key, which is told. */
int policy_change_apply(struct policy_txn *, struct changes *, struct diags *d);

/* Each network and pool that the rules of a policy name is in it. 0; -EINVAL told. */
int policy_references(const struct policy *, struct diags *d);

/* All of that at once: the list of a policy, in a transaction of its own. */
int policy_change_put(struct store *, const struct policy_change *, const struct policy *,
                      enum policy_how, struct diags *d);

/* An object as it is in the transaction, a rule without its suffixes. 0,
 * -ENOENT, -EBADMSG, -ENOMEM. */
int policy_txn_get(struct policy_txn *, enum policy_kind, const char *name,
                   union policy_object *out);
/* How many there are now; none when that cannot be told. */
void policy_txn_counts(const struct policy_txn *, struct policy_counts *);
/* Makes `summary` of the log entry say this (adds, "; " between). */
void policy_txn_note(struct policy_txn *, const char *text);

#endif
