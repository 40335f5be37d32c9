/* SPDX-License-Identifier: BSD-2-Clause
 *
 * world.h -- one scenario's world: generations of settings, a cache, a policy
 * store in a temporary folder, a forwarder over io_memory.
 */
#ifndef TESTS_REPLAY_WORLD_H
#define TESTS_REPLAY_WORLD_H

#include "policy/store.h"
#include "resolver/forward.h"
#include "tests/replay/io_memory.h"

enum { WORLD_GENERATIONS = 8, WORLD_EVENTS = 64, WORLD_SLOTS = 64 };

struct world_view {
    struct view view; /* first */
    struct settings *settings;
    unsigned flights;
};

struct world {
    struct io_memory io;
    struct cache *cache;
    struct policy_store *store;
    struct policy_reader *reader;
    bool begun;
    char dir[64];
    struct worker_stats stats;
    struct scratch *scratch;
    struct forwarder *forwarder;
    struct world_view views[WORLD_GENERATIONS];
    int n_views; /* the last is the newest */
    struct audit_event events[WORLD_EVENTS];
    int n_events, events_taken;
    struct query q;
    uint8_t out[DNS_MAX_MESSAGE];
};

struct world *world_new(void);
void world_free(struct world *);
/* A reload: later questions see these settings. False with the problems in d. */
bool world_settings(struct world *, const char *text, struct diags *d);
/* The policy becomes this one, as by another process. */
bool world_policy(struct world *, const char *text, struct diags *d);
/* How many generations are still in use by somebody, the newest included. */
int world_generations(const struct world *);
/* A client's packet arrives. */
void world_ask(struct world *, const struct client *, const uint8_t *wire, size_t len);

#endif
