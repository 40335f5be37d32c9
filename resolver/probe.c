/* SPDX-License-Identifier: BSD-2-Clause
 *
 * probe.c -- a server that is down is asked `. NS` every PROBE_MS, so that it
 * is back within 5 s of its first good reply, whatever its clients ask. Any
 * reply will do, REFUSED too: it says that somebody is there. Nobody is asked
 * whom no question has wanted for a minute.
 */
#include "resolver/forwarder.h"

#include <stddef.h>

enum { PROBE_MS = 3000, PROBE_WANTED_MS = 60000 };

static void heard(struct exchange *e, const struct exchange_news *news)
{
    struct upstream *s = e->owner;

    switch (news->kind) {
    case EXCHANGE_NO_EDNS:
    case EXCHANGE_UNSURE:
    case EXCHANGE_REPLY:
    case EXCHANGE_TRUNCATED:
    case EXCHANGE_FAILED:
        break; /* the server's record knows already */
    }
    s->probing = NULL;
    exchange_close(e);
}

static void on_timer(struct io_timer *t)
{
    struct upstream *s =
        (struct upstream *)(void *)((char *)t - offsetof(struct upstream, probe_timer));
    struct forwarder *f = s->forwarder;
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    const struct name root = {.len = 1};
    const struct exchange_question question = {
        .qname = &root, .qtype = TYPE_NS, .qclass = CLASS_IN, .no_edns = true};

    if (s->probing != NULL) {
        exchange_close(s->probing);
        s->probing = NULL;
        upstream_silent(s, false);
    }
    if (!upstream_is_down(s) || now_ms - s->wanted_ms > PROBE_WANTED_MS)
        return;
    if (exchange_open(&f->exchanges, &question, s, heard, s, &s->probing) != 0)
        s->probing = NULL;
    f->io->timer_set(f->io, t, now_ms + PROBE_MS);
}

void probe_begin(struct forwarder *f, struct upstream *s)
{
    if (s->probe_timer.slot != 0 || s->probing != NULL)
        return;
    s->forwarder = f;
    s->probe_timer.fire = on_timer;
    f->io->timer_set(f->io, &s->probe_timer, f->io->now(f->io).mono_ms + PROBE_MS);
}

void probe_end(struct upstream *s)
{
    if (s->forwarder == NULL)
        return;
    s->forwarder->io->timer_clear(s->forwarder->io, &s->probe_timer);
    if (s->probing != NULL)
        exchange_close(s->probing);
    s->probing = NULL;
}
