/* SPDX-License-Identifier: BSD-2-Clause
 *
 * view.h -- all that answering may look at. One per worker and settings
 * generation; nothing in it changes while a query runs, but what is said to.
 */
#ifndef RESOLVER_VIEW_H
#define RESOLVER_VIEW_H

#include "base/random.h"
#include "cache/cache.h"
#include "policy/decide.h"
#include "resolver/stats.h"
#include "settings/settings.h"
#include "wire/srv.h"

/* Large buffers that a decision needs; one per worker, never kept. */
struct scratch {
    uint8_t image[DNS_MAX_MESSAGE + 1], second[DNS_MAX_MESSAGE + 1];
    struct srv srv[SRV_MAX];
    struct policy_match match;
    struct policy_decision decision;
};

struct view {
    const struct settings *settings; /* routes resolved: never empty here */
    const struct access_rule *machine;
    int n_machine; /* the machine's own networks */
    struct cache *cache;
    struct policy_reader *policy; /* NULL: no policy store; forwards all the same */
    bool *policy_begun;           /* the worker's: reader begun in this batch */
    struct random *random;
    struct worker_stats *stats;
    struct scratch *scratch;
    bool trace; /* explain: decisions are made anew and are not kept */
};

/* Begins the policy reader if the batch has not yet; false: no policy. */
static inline bool view_policy(const struct view *v)
{
    if (v->policy != NULL && !*v->policy_begun)
        *v->policy_begun = policy_reader_begin(v->policy) == 0;
    return v->policy != NULL && *v->policy_begun;
}

/* At the end of a batch. */
static inline void view_policy_end(const struct view *v)
{
    if (v->policy != NULL && *v->policy_begun)
        policy_reader_end(v->policy);
    *v->policy_begun = false;
}

#endif
