/* SPDX-License-Identifier: BSD-2-Clause
 *
 * change.h -- one change of the policy: a list that says what becomes of which object, and a
 * transaction that does it.
 *
 * Whoever changes something makes a list: a verb of the tool has a row or two, a file that is
 * imported has a row for each of its objects. The list is applied, and each row then says what it
 * did; a commit makes it last. The list outlives the transaction: it can be applied in another one.
 */
#ifndef POLICY_CHANGE_H
#define POLICY_CHANGE_H

#include "policy/records.h"

enum { HISTORY_MOST = 64 << 20 }; /* octets of old values that the tool keeps */
enum change_verb {
    CHANGE_HEAD,   /* the rule becomes this one, but keeps the suffixes that it has */
    CHANGE_SET,    /* the object becomes this one, with these members */
    CHANGE_ADD,    /* a rule gets these suffixes as well; one that is not there is made */
    CHANGE_DROP,   /* a rule loses these suffixes */
    CHANGE_REMOVE, /* the object goes */
};
enum change_state {
    CHANGE_SAME = STORE_SAME,
    CHANGE_NEW = STORE_ADDED,
    CHANGE_MOVED = STORE_REPLACED,
    CHANGE_GONE
};

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
    unsigned differs;  /* fields of a rule that was there, from its ttl on, a bit each */
};

struct policy_change {
    /* Set by the caller; all else is zeroes at first. */
    struct policy_log_entry log; /* time, author, claimed, reason */
    uint64_t history_ms;         /* older entries go; 0: none */
    uint64_t history_bytes;      /* of old values that are kept at most; 0: none are */
    void (*progress)(const void *context, size_t done, size_t all); /* of suffixes; or NULL */
    void *context;
    bool bound; /* to this serial: */
    uint64_t if_serial;
    /* The list. */
    struct change *list; /* from malloc */
    size_t n;
    const struct policy *from; /* the policy that the list was made of, or NULL; borrowed */
    bool replace;              /* what is not in `from` goes */
    bool failed;               /* no memory: it cannot be applied */
    bool restores; /* row by row, without a check, a policy of before, which has this: */
    uint64_t digest;
    struct arena *arena; /* of what the list borrows; the caller may set it and use it */
    /* The transaction. */
    struct store_txn *txn;      /* NULL: none; one writer at a time, in all processes */
    uint64_t serial;            /* before the change; behind a commit the present one */
    bool changed;               /* a commit has written something */
    uint64_t kept, kept_before; /* octets of old values since ever, and before the change */
    struct writer run; /* keys of suffixes that are kept, until they are enough for a record */
    uint8_t run_octets[32000];
    bool run_was_there;
    bool unkept;        /* it takes away more than is kept: no policy before it can be restored */
    size_t done, to_do; /* suffixes of the list */
};

/* What is to become of the policy: `from`; or what it is, with the objects of
 * `from`; JOIN: and the suffixes of a rule that is there join it, and the
 * hosts are those of a pool that is there; what else these say stays. */
enum policy_how { POLICY_REPLACE, POLICY_MERGE, POLICY_JOIN };
void policy_change_add(struct policy_change *, enum policy_kind, enum change_verb, const void *is);
/* Adds what does this, inside the transaction; p is sorted, and stays. 0 or -errno. */
int policy_change_make(struct policy_change *, const struct policy *p, enum policy_how);
/* Frees the list and the arena: the list is empty. The transaction stays. */
void policy_change_fini(struct policy_change *);

/* 0; -ESTALE it is bound to another serial; -errno. Waits for another writer. */
int policy_change_begin(struct policy_change *, struct store *);
void policy_change_abort(struct policy_change *); /* without a transaction: nothing */
/* Writes serial, log entry and digest, and commits with a sync. When nothing differed, nothing is
 * written, and the serial stays. The transaction is gone either way. */
int policy_change_commit(struct policy_change *);

/* Does what the list says, in its order. The first row that must be refused, of a file each of
 * them, is told in d and does nothing; others are done: the caller aborts. The first refusal:
 * -EINVAL   by the checks of model.h, or a network without a prefix;
 * -ENOENT   what is to go is not there, or a network or pool that a rule names;
 * -EBUSY    a network or pool is to go that a rule uses; d has a line for each;
 * -EBADMSG  what is to be restored does not come out, since the history is damaged.
 * Any other failure makes the commit fail too, and a suffix of octets 0 and 1 that is too long
 * for a key, which is told. */
int policy_change_apply(struct policy_change *, struct diags *d);

/* "; did you mean NAME?", or "": of the objects of a policy and of a store, either may be NULL.
 * Returns out. */
const char *policy_meant(const struct policy *, struct store_txn *, enum policy_kind,
                         const char *name, char out[DIAG_MEANT]);

/* Each network and pool that the rules of a policy name is in it. 0; -EINVAL told. */
int policy_references(const struct policy *, struct diags *d);

/* Makes `summary` of the log entry say this (adds, "; " between). */
void policy_change_note(struct policy_change *, const char *text);

/* Adds to the list, inside the transaction, what makes the policy what it was at that serial: it
 * costs what the changes since then cost. 0; -ERANGE: *oldest is the oldest serial that can be
 * restored, and the present one is the newest; -errno. */
int restore_list(struct policy_change *, uint64_t serial, uint64_t *oldest);
/* A store that is nowhere, as store_open_nowhere(), with this policy; or (NULL) a copy of `from`
 * that was changed back to that serial, and its log, too. Errors as above. */
int policy_open_nowhere(struct store **out, const char *folder, const struct policy *,
                        struct store *from, uint64_t serial, uint64_t *oldest);

#endif
