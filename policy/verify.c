/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.c -- is everything that is stored intact, and is the digest its sum?
 * See verify.h.
 *
 * A decision finds damage in what it needs, and in nothing else: a page that
 * was swapped for another takes records away without a trace, and the rule that
 * comes next would act. So everything is read once: the pages, then each value.
 */
#include "policy/verify.h"

#include <errno.h>
#include <stdio.h>

#include "policy/env.h"
#include "policy/pages.h"
#include "policy/records.h"
#include "policy/store_file.h"

enum { TRIES = 3 };

struct sight {
    uint64_t records, damaged, sum;
    struct policy_state state;
    bool has_state;
};

static int see(void *context, const struct kv_bytes *key, const struct kv_bytes *value)
{
    struct sight *s = context;
    struct kv_bytes payload;
    struct kv_key state;
    uint64_t hashed;

    s->records++;
    if (kv_value(key, value, &payload, &hashed) != 0) {
        s->damaged++;
        return 0;
    }
    if (table_is_live(key->at[0]))
        s->sum += hashed;
    state_key(&state);
    if (kv_compare(key, &state) == 0)
        s->has_state = state_parse(&payload, &s->state) == 0;
    return 0;
}

int policy_store_verify(struct policy_store *store, const atomic_bool *stop, struct diags *d)
{
    struct sight s;
    struct pages_walk walk = {.visit = see, .context = &s, .stop = stop};
    char what[160];
    int rc = -EAGAIN;

    for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
        s = (struct sight){.records = 0};
        rc = pages_walk(store->fd, &walk);
    }
    if (rc == 0 || rc == -EBADMSG)
        atomic_store(&store->refused, rc != 0);
    if (rc == -EBADMSG)
        snprintf(what, sizeof what, "is damaged: %s; no rule acts", walk.why);
    else if (rc != 0)
        return rc;
    else if (s.damaged > 0)
        snprintf(what, sizeof what, "is damaged: %llu of its %llu records; the others act",
                 (unsigned long long)s.damaged, (unsigned long long)s.records);
    else if (!s.has_state || s.sum != s.state.digest)
        snprintf(what, sizeof what, "is damaged: its records are not what their sum says");
    else
        return 0;
    return store_file_damaged(d, store->dir, what);
}

struct policy_health policy_store_health(struct policy_store *store)
{
    return (struct policy_health){store->unlocked, atomic_load(&store->refused),
                                  atomic_load(&store->faults)};
}
