/* SPDX-License-Identifier: BSD-2-Clause
 *
 * whole.c -- packets with TSIG or for TKEY: to one server of the route, octet
 * by octet but for the ID, and back the same way. Not cached, not joined, not
 * tried again: the client does that, with a new signature.
 */
#include "resolver/forwarder.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "resolver/kms_event.h"
#include "wire/writer.h"

enum { WHOLE_WAIT_MS = 5000 };

static void set_id(uint8_t *packet, size_t len, uint16_t id)
{
    struct writer w = {.start = packet, .len = len, .size = len};

    writer_patch_u16(&w, 0, id);
}

static void end(struct whole *w)
{
    struct forwarder *f = w->forwarder;
    const struct view *v = w->view;

    f->io->close(f->io, &w->peer);
    f->io->timer_clear(f->io, &w->timer);
    view_policy_end(v);
    w->server->users--;
    w->view = NULL;
    f->hooks.unpin(f->hooks.context, v);
}

static void servfail(struct forwarder *f, const struct view *v, const struct waiter *w, int ede)
{
    static const struct addr nobody;
    struct query *q = &f->q;

    waiter_restore(w, q);
    q->out = f->out;
    q->out_size = sizeof f->out;
    answer_prepare(v, q);
    answer_servfail(v, q, ede);
    kms_event_whole(v, q, NULL, 0, &nobody, f->io->now(f->io));
    forwarder_deliver(f, v, q, ANSWER_SEND);
}

/* Is it a reply to the question? Of what is behind nothing is read. */
static bool has_question(const struct query *q, const uint8_t *wire, size_t len)
{
    struct message m;

    return message_read_head(&m, wire, len) == 0 && m.qtype == q->message.qtype &&
           m.qclass == q->message.qclass && name_equal(&m.qname, &q->message.qname);
}

static void on_receive(struct io_peer *peer, const uint8_t *wire, size_t len)
{
    struct whole *w = (struct whole *)(void *)peer; /* its first member */
    struct forwarder *f = w->forwarder;
    struct cursor c = cursor_make(wire, len);
    uint16_t id = cursor_u16(&c), flags = cursor_u16(&c);
    struct query *q = &f->q;

    waiter_restore(&w->waiter, q);
    if (len > sizeof f->out || id != w->id || (flags & DNS_QR) == 0 ||
        !has_question(q, wire, len)) {
        COUNT(f->stats, upstream_mismatch);
        return;
    }
    COUNT(f->stats, upstream_replies);
    upstream_replied(w->server, (uint32_t)(f->io->now(f->io).mono_ms - w->begun_ms), flags & 15);
    memcpy(f->out, wire, len);
    q->out = f->out;
    q->out_size = sizeof f->out;
    q->out_len = len;
    set_id(q->out, len, w->waiter.id);
    kms_event_whole(w->view, q, wire, len, &w->server->addr, f->io->now(f->io));
    forwarder_deliver(f, w->view, q, ANSWER_SEND);
    end(w);
}

static void on_failed(struct io_peer *peer, int error)
{
    struct whole *w = (struct whole *)(void *)peer;

    COUNT(w->forwarder->stats, upstream_errors);
    upstream_failed(w->server, -error);
    servfail(w->forwarder, w->view, &w->waiter, EDE_NETWORK_ERROR);
    end(w);
}

static void on_timer(struct io_timer *t)
{
    struct whole *w = (struct whole *)(void *)((char *)t - offsetof(struct whole, timer));

    COUNT(w->forwarder->stats, upstream_timeouts);
    upstream_silent(w->server, false);
    servfail(w->forwarder, w->view, &w->waiter, EDE_NO_REACHABLE);
    end(w);
}

/* The first server of the route that is up; the first of all when none is. */
static struct upstream *choose(struct forwarder *f, const struct route *r, uint64_t now_ms)
{
    struct upstream *first = NULL;

    for (int i = 0; r != NULL && i < r->n_servers; i++) {
        struct upstream *s = upstream_get(&f->upstreams, &r->servers[i], now_ms);

        if (s != NULL && !upstream_is_down(s))
            return s;
        if (first == NULL)
            first = s;
    }
    return first;
}

static int send_packet(struct whole *w, const struct query *q)
{
    struct forwarder *f = w->forwarder;
    uint8_t packet[WHOLE_BYTES];
    int rc;

    memcpy(packet, q->wire, q->wire_len);
    set_id(packet, q->wire_len, w->id);
    COUNT(f->stats, upstream_queries);
    upstream_asked(w->server);
    rc = f->io->open(f->io, &w->peer, &w->server->addr,
                     q->client.transport == AUDIT_TCP ? IO_TCP : IO_UDP);
    if (rc == 0)
        rc = f->io->send(f->io, &w->peer, packet, q->wire_len);
    return rc;
}

void whole_ask(struct forwarder *f, const struct view *v, const struct query *q)
{
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    struct upstream *s = choose(f, q->route, now_ms);
    struct whole *w = f->wholes;
    struct waiter refused;

    while (w < f->wholes + WHOLE_MAX && w->view != NULL)
        w++;
    if (s == NULL || q->wire_len > WHOLE_BYTES || w == f->wholes + WHOLE_MAX) {
        COUNT(f->stats, no_slot);
        waiter_save(&refused, q);
        servfail(f, v, &refused, EDE_OTHER);
        return;
    }
    *w = (struct whole){.peer = {.receive = on_receive, .failed = on_failed},
                        .timer = {.fire = on_timer},
                        .forwarder = f,
                        .view = v,
                        .server = s,
                        .begun_ms = now_ms};
    w->id = random_u16(f->io->random);
    waiter_save(&w->waiter, q);
    s->users++;
    f->hooks.pin(f->hooks.context, v);
    if (send_packet(w, q) != 0) {
        COUNT(f->stats, upstream_errors);
        servfail(f, v, &w->waiter, EDE_NETWORK_ERROR);
        end(w);
        return;
    }
    f->io->timer_set(f->io, &w->timer, now_ms + WHOLE_WAIT_MS);
}

void whole_end_all(struct forwarder *f)
{
    for (struct whole *w = f->wholes; w < f->wholes + WHOLE_MAX; w++) {
        if (w->view == NULL)
            continue;
        servfail(f, w->view, &w->waiter, EDE_OTHER);
        end(w);
    }
}
