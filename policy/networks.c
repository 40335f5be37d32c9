/* SPDX-License-Identifier: BSD-2-Clause
 *
 * networks.c -- in which networks is a client?
 *
 * Each prefix of each network is an entry, a key of its length, its address and the network; the
 * longest come first. A reader knows of its state which lengths there are and, by a filter, nearly
 * which prefixes: a client costs one look-up for each prefix that it is in.
 */
#include "base/random.h"
#include "policy/records.h"

static unsigned prefix_bit(const struct prefix *p)
{
    uint64_t half[2];

    memcpy(half, p->ip, sizeof half);
    return (unsigned)(((half[0] ^ half[1]) + p->len) * UINT64_C(0x9e3779b97f4a7c15) >> 53);
}

/* When there are too many prefixes, the filter lets all through, and only the first one of
 * each length is read. */
static int read_prefixes(struct store_txn *t, struct prefix_filter *f)
{
    struct store_key k = {1, {TABLE_PREFIX}};
    enum store_step step = STORE_SEEK;
    struct store_record r;
    struct policy_key found;
    int rc, n = 0;

    *f = (struct prefix_filter){.n = 0}; /* a fault may end the reading anywhere */
    while ((rc = store_step(t, step, &k, 1, &r)) == 0) {
        if (!key_read(&r.key, &found))
            return -EBADMSG;
        if (f->n == 0 || f->lengths[f->n - 1] != found.prefix.len)
            f->lengths[f->n++] = found.prefix.len;
        filter_add(&f->filter, prefix_bit(&found.prefix));
        step = n++ < FILTER_MAX ? STORE_NEXT : STORE_SEEK;
        k.len = 2;
        k.data[1] = (uint8_t)(r.key.data[1] + 1); /* of the next length, or behind all */
    }
    if (n > FILTER_MAX)
        memset(f->filter.bits, 0xff, sizeof f->filter.bits);
    if (rc != -ENOENT)
        return rc;
    f->filter.state = store_state(t);
    return 0;
}

/* The key is the same for all clients that are in the same networks by the same lengths: a
 * network of ten thousand branches is one client for the decision cache. */
static int find_networks(struct store_txn *t, struct prefix_filter *f, struct policy_client *c)
{
    struct prefix p;
    int rc;

    if (f->filter.state != store_state(t) && (rc = read_prefixes(t, f)) != 0)
        return rc;
    memcpy(p.ip, c->addr.ip, sizeof p.ip);
    c->n_networks = 0;
    c->key = 0;
    for (unsigned i = 0; i < f->n; i++) {
        struct store_record r;
        char name[POLICY_NAME];
        struct store_key k;
        int n;

        p.len = f->lengths[i];
        prefix_mask(p.ip, p.len);
        if (!filter_has(&f->filter, prefix_bit(&p)))
            continue;
        key_make(&k, TABLE_PREFIX, &(struct key_parts){.ip = p.ip, .number = p.len});
        STORE_EACH(rc, t, &k, &r) {
            if (!record_name(name, r.key.data + k.len, r.key.len - k.len))
                return -EBADMSG;
            for (n = 0; n < c->n_networks && strcmp(c->networks[n], name) != 0;)
                n++;
            if (n < c->n_networks)
                continue; /* by a longer prefix of it */
            if (n == POLICY_CLIENT_NETWORKS)
                return -E2BIG;
            strcpy(c->networks[n], name);
            c->prefixes[n] = p;
            c->key = hash_bytes(&(struct hash_key){c->key, p.len}, name, strlen(name));
            c->n_networks++;
        }
        if (rc != -ENOENT)
            return rc;
    }
    return 0;
}

int policy_client_find(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    int rc;

    out->addr = *addr;
    store_guarded(rc, r->txn, find_networks(r->txn, &r->prefixes, out));
    if (rc == 0)
        return 0;
    out->key = POLICY_CLIENT_DAMAGED;
    out->n_networks = 0;
    return -EBADMSG;
}

int networks_check(struct store_txn *t)
{
    struct store_key k = {1, {TABLE_PREFIX}};
    struct prefix_filter prefixes = {.n = 0};
    struct policy_client c;
    struct store_record r;
    int rc = 0;

    /* No address is in more networks than the first one of some prefix. */
    while (rc == 0 && (rc = store_step(t, STORE_AFTER, &k, 1, &r)) == 0) {
        store_key_copy(&k, &r.key);
        memcpy(c.addr.ip, k.data + 2, sizeof c.addr.ip);
        rc = find_networks(t, &prefixes, &c);
    }
    return rc == -ENOENT ? 0 : rc;
}
