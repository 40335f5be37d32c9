/* SPDX-License-Identifier: BSD-2-Clause
 *
 * world.c -- see world.h.
 */
#include "tests/settings_text.h"
#include "tests/replay/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/change.h"
#include "policy/text.h"

enum { CACHE_BYTES = 1 << 20, TEXT_MAX = 16384 };

/* 10.0.0.0/8 is the machine's own network: its clients may ask. */
static const struct access_rule machine[] = {
    {.net = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .len = 104}, .action = ACCESS_ALLOW},
};

static void pin(void *context, const struct view *v)
{
    (void)context;
    ((struct world_view *)(void *)(uintptr_t)v)->flights++;
}

static void unpin(void *context, const struct view *v)
{
    (void)context;
    ((struct world_view *)(void *)(uintptr_t)v)->flights--;
}

static void deliver(void *context, struct query *q, enum answer answer)
{
    struct world *w = context;

    if (answer == ANSWER_SEND)
        io_memory_send_client(&w->io, &q->client, q->out, q->out_len);
    if (q->has_event && w->n_events < WORLD_EVENTS)
        w->events[w->n_events++] = q->event;
    q->has_event = false;
}

static void open_policy(struct world *w)
{
    struct diags d;

    diags_init(&d);
    strcpy(w->dir, "/tmp/waymark-replay.XXXXXX");
    if (mkdtemp(w->dir) == NULL || policy_store_open(&w->store, w->dir, POLICY_WRITE, &d) != 0 ||
        (w->reader = policy_reader_new(w->store)) == NULL) {
        diags_print(&d, stderr);
        abort();
    }
    diags_fini(&d);
}

struct world *world_new(void)
{
    static const struct hash_key key = {1, 2};
    struct world *w = calloc(1, sizeof *w);
    struct forwarder_hooks hooks = {pin, unpin, deliver, w};

    if (w == NULL)
        abort();
    io_memory_init(&w->io);
    w->cache = cache_new(CACHE_BYTES, &key);
    w->scratch = calloc(1, sizeof *w->scratch);
    w->forwarder = forwarder_new(&w->io.io, &hooks, WORLD_SLOTS, &w->stats);
    if (w->cache == NULL || w->scratch == NULL || w->forwarder == NULL)
        abort();
    open_policy(w);
    return w;
}

void world_free(struct world *w)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char path[128];

    forwarder_free(w->forwarder);
    policy_reader_free(w->reader);
    policy_store_close(w->store);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", w->dir, files[i]);
        unlink(path);
    }
    rmdir(w->dir);
    for (int i = 0; i < w->n_views; i++)
        settings_free(w->views[i].settings);
    io_memory_fini(&w->io);
    cache_free(w->cache);
    free(w->scratch);
    free(w);
}

bool world_settings(struct world *w, const char *text, struct diags *d)
{
    struct world_view *v = &w->views[w->n_views];
    struct settings *s = NULL;

    if (w->n_views == WORLD_GENERATIONS) {
        diags_add(d, NULL, 0, 0, "a scenario has at most %d generations of settings",
                  WORLD_GENERATIONS);
        return false;
    }
    if (settings_read_text(&s, "settings", text, strlen(text), d) != 0)
        return false;
    s->generation = (uint64_t)w->n_views + 1;
    *v = (struct world_view){
        .view = {.settings = s,
                 .machine = machine,
                 .n_machine = ARRAY_LEN(machine),
                 .cache = w->cache,
                 .policy = w->reader,
                 .policy_begun = &w->begun,
                 .random = &w->io.random,
                 .stats = &w->stats,
                 .scratch = w->scratch},
        .settings = s,
    };
    w->n_views++;
    return true;
}

bool world_policy(struct world *w, const char *text, struct diags *d)
{
    struct policy_change change = {
        .author = "replay", .claimed = "", .reason = "", .now_ms = w->io.now.wall_ms};
    char whole[TEXT_MAX];
    struct policy p;
    bool done;

    snprintf(whole, sizeof whole, "waymark-policy: 1\n%s", text);
    if (policy_text_read_whole(&p, NULL, "policy", whole, strlen(whole), d) != 0)
        return false;
    done = policy_change_put(w->store, &change, &p, POLICY_REPLACE, d) == 0;
    policy_fini(&p);
    return done;
}

int world_generations(const struct world *w)
{
    int n = 0;

    for (int i = 0; i < w->n_views; i++)
        n += w->views[i].flights > 0 || i == w->n_views - 1;
    return n;
}

/* What a listener does with a packet. */
void world_ask(struct world *w, const struct client *c, const uint8_t *wire, size_t len)
{
    const struct view *v = &w->views[w->n_views - 1].view;
    struct query *q = &w->q;
    enum answer answer;

    memset(q, 0xa5, sizeof *q); /* nothing of an earlier question may matter */
    q->client = *c;
    q->arrived_ms = w->io.now.mono_ms;
    q->arrived_us = w->io.now.mono_ms * 1000;
    q->wire = wire;
    q->wire_len = len;
    q->out = w->out;
    q->out_size = c->transport == AUDIT_TCP ? sizeof w->out : 4096;
    answer = answer_read(v, q, w->io.now);
    if (answer == ANSWER_FORWARD)
        answer = answer_query(v, q, NULL, w->io.now);
    if (answer == ANSWER_FORWARD)
        forwarder_ask(w->forwarder, v, q);
    else
        deliver(w, q, answer);
    view_policy_end(v);
}
