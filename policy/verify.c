/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.c -- is everything that is stored intact, and is the digest its sum?
 */
#include <errno.h>

#include "policy/records.h"
#include "policy/store.h"

enum { BATCH = 1000 };

/* Adds up to BATCH records behind *after. 0 the end; 1 there may be more. */
static int verify_batch(struct kv *kv, struct kv_key *after, uint64_t *sum, uint64_t *damaged)
{
    struct kv_entry e;
    int rc = kv_seek(kv, after, &e);

    if ((rc == 0 || rc == -EBADMSG) && kv_compare(&e.key, after) == 0)
        rc = kv_next(kv, &e);
    for (unsigned n = 0; rc == 0 || rc == -EBADMSG; n++) {
        if (rc != 0)
            ++*damaged;
        else if (table_is_live(e.key.at[0]))
            *sum += kv_hash(&e.key, &e.value);
        if (n == BATCH && e.key.len <= KV_KEY_MAX) {
            after->len = e.key.len;
            memcpy(after->at, e.key.at, e.key.len);
            return 1;
        }
        rc = kv_next(kv, &e);
    }
    return rc == -ENOENT ? 0 : rc;
}

int policy_store_verify(struct policy_store *store, uint64_t *damaged)
{
    struct kv_key after = {.len = 1, .at = {0}};
    struct policy_state state;
    uint64_t sum = 0, seen = 0;
    bool first = true;
    int rc;

    *damaged = 0;
    do {
        struct kv *kv;

        rc = kv_begin(store, false, &kv);
        if (rc != 0)
            return rc;
        if (first) {
            seen = kv_state(kv);
            rc = state_read(kv, &state);
        } else if (kv_state(kv) != seen) {
            rc = -EAGAIN;
        }
        first = false;
        if (rc == 0)
            rc = verify_batch(kv, &after, &sum, damaged);
        kv_end(kv);
    } while (rc > 0);
    if (rc == 0 && *damaged == 0 && sum != state.digest)
        return -EBADMSG;
    return rc;
}
