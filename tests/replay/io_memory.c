/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_memory.c -- see io_memory.h. A handle is the struct sent of the socket's
 * packet: each socket carries one.
 */
#include "tests/replay/io_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct io_memory *self_of(struct io *io)
{
    return (struct io_memory *)(void *)io;
}

static struct now now_of(struct io *io)
{
    return self_of(io)->now;
}

static void timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    timers_set(&self_of(io)->timers, t, at_ms);
}

static void timer_clear(struct io *io, struct io_timer *t)
{
    timers_clear(&self_of(io)->timers, t);
}

void io_memory_send_client(struct io_memory *self, const struct client *c, const uint8_t *wire,
                           size_t len)
{
    struct answered *a = malloc(sizeof *a + len);

    if (a == NULL)
        abort();
    *a = (struct answered){.client = *c, .len = len};
    memcpy(a->wire, wire, len);
    *self->last_answered = a;
    self->last_answered = &a->next;
}

static int open_peer(struct io *io, struct io_peer *peer, const struct addr *server,
                     enum io_kind kind)
{
    struct io_memory *self = self_of(io);
    struct sent *s;

    if (self->unreachable)
        return -ENETUNREACH;
    if ((s = calloc(1, sizeof *s)) == NULL)
        abort();
    s->peer = peer;
    s->server = *server;
    s->kind = kind;
    s->taken = true; /* until something is sent */
    *self->last_sent = s;
    self->last_sent = &s->next;
    self->opened++;
    peer->handle = s;
    return 0;
}

static int send_peer(struct io *io, struct io_peer *peer, const uint8_t *wire, size_t len)
{
    struct sent *s = peer->handle;

    (void)io;
    if (s == NULL || len > sizeof s->wire)
        return -ENOTCONN;
    memcpy(s->wire, wire, len);
    s->len = len;
    s->taken = false;
    return 0;
}

static void close_peer(struct io *io, struct io_peer *peer)
{
    struct sent *s = peer->handle;

    if (s == NULL)
        return;
    s->peer = NULL;
    peer->handle = NULL;
    self_of(io)->closed++;
}

static void fill(void *context, uint8_t *out, size_t len)
{
    struct io_memory *self = context;

    for (size_t i = 0; i < len; i++) {
        self->seed = self->seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(self->seed >> 56);
    }
}

void io_memory_init(struct io_memory *self)
{
    *self = (struct io_memory){
        .io = {.open = open_peer,
               .send = send_peer,
               .close = close_peer,
               .timer_set = timer_set,
               .timer_clear = timer_clear,
               .now = now_of},
        .now = {.mono_ms = 1000000, .wall_ms = 1795338000000}, /* 2026-11-22 09:00 UTC */
        .seed = 1,
    };
    self->io.random = &self->random;
    random_init_from(&self->random, fill, self);
    self->last_sent = &self->sent;
    self->last_answered = &self->answered;
}

void io_memory_fini(struct io_memory *self)
{
    struct answered *a;

    while (self->sent != NULL) {
        struct sent *s = self->sent;

        self->sent = s->next;
        free(s);
    }
    while ((a = io_memory_answered(self)) != NULL)
        free(a);
}

static void advance(struct io_memory *self, uint64_t to_ms)
{
    if (to_ms <= self->now.mono_ms)
        return;
    self->now.wall_ms += to_ms - self->now.mono_ms;
    self->now.mono_ms = to_ms;
}

void io_memory_wait(struct io_memory *self, uint64_t ms)
{
    uint64_t end_ms = self->now.mono_ms + ms, due_ms;
    struct io_timer *t;

    while ((t = timers_take(&self->timers, end_ms, &due_ms)) != NULL) {
        advance(self, due_ms);
        t->fire(t);
    }
    advance(self, end_ms);
}

bool io_memory_give(struct sent *s, const uint8_t *wire, size_t len)
{
    if (s->peer == NULL)
        return false;
    s->peer->receive(s->peer, wire, len);
    return true;
}

bool io_memory_fail(struct sent *s, int error)
{
    struct io_peer *peer = s->peer;

    if (peer == NULL)
        return false;
    peer->failed(peer, -error);
    return true;
}

struct sent *io_memory_sent(struct io_memory *self)
{
    struct sent *s = self->sent;

    while (s != NULL && s->taken)
        s = s->next;
    return s;
}

struct answered *io_memory_answered(struct io_memory *self)
{
    struct answered *a = self->answered;

    if (a == NULL)
        return NULL;
    self->answered = a->next;
    if (self->answered == NULL)
        self->last_answered = &self->answered;
    return a;
}
