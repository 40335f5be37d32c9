/* SPDX-License-Identifier: BSD-2-Clause
 *
 * networks.c -- in which networks is a client?
 *
 * Each prefix of each network is an entry, a key of its length, its address and
 * the network; the longest come first. A client costs one look-up for each
 * length that any prefix has, of which a reader knows the few that there are.
 */
#include <errno.h>
#include <string.h>

#include "base/random.h"
#include "policy/records.h"

static int read_lengths(struct store_txn *t, struct prefix_lengths *out)
{
    struct store_key k = {1, {TABLE_PREFIX}};
    struct store_record r;
    struct policy_key found;
    int rc;

    out->n = 0;
    while ((rc = store_step(t, STORE_SEEK, &k, 1, &r)) == 0) {
        if (!key_read(&r.key, &found))
            return -EBADMSG;
        out->list[out->n++] = found.prefix.len;
        k.len = 2;
        k.data[1] = (uint8_t)(r.key.data[1] + 1); /* of the next length, or behind all */
    }
    return rc == -ENOENT ? 0 : rc;
}

/* What follows is the same for all clients that are in the same prefixes, whatever these
 * are: a network of ten thousand branches is one client for the decision cache. */
static int find_networks(struct store_txn *t, const struct prefix_lengths *lengths,
                         struct policy_client *c)
{
    c->n_networks = 0;
    c->key = 0;
    for (unsigned i = 0; i < lengths->n; i++) {
        struct prefix p = {.len = lengths->list[i]};
        enum store_step step = STORE_SEEK;
        struct store_bytes rest;
        char name[POLICY_NAME];
        struct store_key k;
        int rc, n;

        memcpy(p.ip, c->addr.ip, sizeof p.ip);
        prefix_mask(p.ip, p.len);
        key_make(&k, TABLE_PREFIX, &(struct key_parts){.ip = p.ip, .number = p.len});
        for (; (rc = entry_step(t, step, &k, &rest)) == 0; step = STORE_NEXT) {
            if (!record_name(name, rest.data, rest.len))
                return -EBADMSG;
            for (n = 0; n < c->n_networks && strcmp(c->networks[n], name) != 0;)
                n++;
            if (n < c->n_networks)
                continue; /* by a longer prefix of it */
            if (n == POLICY_CLIENT_NETWORKS)
                return -E2BIG;
            strcpy(c->networks[n], name);
            c->prefixes[n] = p;
            c->key = hash_bytes(&(struct hash_key){c->key, p.len}, name, rest.len);
            c->n_networks++;
        }
        if (rc != -ENOENT)
            return rc;
    }
    return 0;
}

static int find_client(struct policy_reader *r, struct policy_client *out)
{
    uint64_t state = store_state(r->txn);
    int rc = 0;

    if (r->lengths.state != state) {
        r->lengths.state = 0; /* a fault may end the reading anywhere */
        rc = read_lengths(r->txn, &r->lengths);
        r->lengths.state = rc == 0 ? state : 0;
    }
    return rc == 0 ? find_networks(r->txn, &r->lengths, out) : rc;
}

int policy_client_find(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    int rc;

    out->addr = *addr;
    store_guarded(rc, r->txn, find_client(r, out));
    if (rc == 0)
        return 0;
    out->key = POLICY_CLIENT_DAMAGED;
    out->n_networks = 0;
    return -EBADMSG;
}

int networks_check(struct store_txn *t)
{
    struct store_key k = {1, {TABLE_PREFIX}};
    struct prefix_lengths lengths;
    struct policy_client c;
    struct store_record r;
    int rc = read_lengths(t, &lengths);

    /* No address is in more networks than the first one of some prefix. */
    while (rc == 0 && (rc = store_step(t, STORE_AFTER, &k, 1, &r)) == 0) {
        store_key_copy(&k, &r.key);
        memcpy(c.addr.ip, k.data + 2, sizeof c.addr.ip);
        rc = find_networks(t, &lengths, &c);
    }
    return rc == -ENOENT ? 0 : rc;
}
