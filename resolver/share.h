/* SPDX-License-Identifier: BSD-2-Clause
 *
 * share.h -- whose the flights are, so that the places are shared fairly.
 *
 * Each flight belongs to the address that asked first. Addresses (IPv4 /32,
 * IPv6 /64: what one machine has) belong to prefixes (/24, /56: what one
 * customer or one floor has). When all places are taken, the prefix with the
 * most flights gives way; in it, the address with the most; of that, the oldest
 * flight that is not favoured, else the oldest. Discovery questions, the
 * forwarder's own questions, and names for which somebody else waits are favoured.
 *
 * A prefix is found by a hash with a secret key, and lies in a list of those
 * with as many flights as it, so that the largest is at hand. Memory is taken
 * once.
 */
#ifndef RESOLVER_SHARE_H
#define RESOLVER_SHARE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/hash.h"
#include "resolver/pool.h"

/* What a flight has for its share; embedded in it. */
struct share_member {
    TAILQ_ENTRY(share_member) entry;
    struct share *share;
    bool favoured;
};

TAILQ_HEAD(share_list, share);
struct share {
    LIST_ENTRY(share) bucket;
    TAILQ_ENTRY(share) sibling;  /* addresses of one prefix; prefixes of one level */
    struct share *prefix;        /* NULL: it is one */
    struct share_list addresses; /* of a prefix */
    uint8_t ip[16];              /* host bits are zero */
    uint32_t n_flights;
    uint32_t n_joined; /* of a prefix: its waiters at flights that others wait for, too */
    TAILQ_HEAD(, share_member) members[2]; /* of an address, oldest first; 1: favoured */
};

struct shares {
    struct pool pool;
    LIST_HEAD(share_bucket, share) * buckets; /* owned */
    struct share_list *level; /* owned; [n]: prefixes with n flights, the last changed at the end */
    struct hash_key key;
    uint32_t n_buckets, top; /* top: no prefix has more flights */
};

/* For n flights and n waiters beside them. 0 or -ENOMEM. */
int shares_init(struct shares *, uint32_t n, const struct hash_key *);
void shares_fini(struct shares *);

/* The address's share; it is given back by shares_give_back() when it has
 * nothing any more. Its owner has at most n flights and n waiters, and one more. */
struct share *shares_get(struct shares *, const struct addr *);
void shares_give_back(struct shares *, struct share *);
/* The flight is the newest of the share; it is taken out of it. */
void share_add(struct shares *, struct share *, struct share_member *);
void share_remove(struct shares *, struct share_member *);
/* The flight is favoured from now on. */
void share_favour(struct share_member *);
/* The flight that gives way to the next; NULL: there is none. */
struct share_member *shares_victim(const struct shares *);

#endif
