/* SPDX-License-Identifier: BSD-2-Clause
 *
 * health.c -- which KMS hosts a client is given. Nothing here knows a socket or a clock.
 *
 * A probe from here is not the client's path: so a host is down only after some failures in a
 * row, and an answer never becomes empty by it.
 */
#include "resolver/health.h"

enum { PIN_DAYS = 30 /* that a KMS host counts a client */ };
#define DAY_MS (24 * 3600 * UINT64_C(1000))

const char *const health_errors[HEALTH_ERRORS] = {"", "refused", "timed out", "no route",
                                                  "does not resolve"};

void health_release(struct health *h)
{
    if (h && atomic_fetch_sub(&h->users, 1) == 1)
        free(h);
}

bool health_note(struct health_target *t, enum health_error error, unsigned rise, unsigned fall,
                 uint64_t wall_ms)
{
    bool is_first = t->since_ms == 0 && error != HEALTH_UNKNOWN;
    bool failed = error != HEALTH_FINE, was_down = t->is_down;
    enum health_error was = t->error;

    if (error == HEALTH_UNKNOWN)
        return false;
    t->since_ms = is_first ? wall_ms : t->since_ms;
    t->error = failed ? error : t->error;
    t->row = failed == t->is_down ? 0 : t->row + 1;
    if (t->row >= (t->is_down ? rise : fall)) {
        t->is_down = failed;
        t->since_ms = wall_ms;
        t->row = 0;
    }
    return is_first || t->is_down != was_down || t->error != was;
}

enum health_error health_error_of(int err)
{
    if (err == 0)
        return HEALTH_FINE;
    if (err == ECONNREFUSED || err == ECONNRESET)
        return HEALTH_REFUSED;
    if (err == ETIMEDOUT)
        return HEALTH_TIMED_OUT;
    if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM || err == EAGAIN)
        return HEALTH_UNKNOWN; /* EAGAIN: no port is free */
    return HEALTH_NO_ROUTE;    /* ENETUNREACH, EHOSTUNREACH, EACCES of a filter ... */
}

/* Threads try the slots in the same order, so two that count one client at once meet in one. */
bool pin_takes(struct pin *pin, unsigned most, const struct addr *client, uint64_t wall_ms,
               bool counts)
{
    static const struct hash_key key = {.k0 = 0};
    const uint64_t hash = hash_bytes(&key, client->ip, sizeof client->ip), day = wall_ms / DAY_MS;
    const uint64_t mine = hash >> 16 << 16 | (day & 0xffff);

    for (;;) {
        unsigned n = 0, slot = PIN_SLOTS; /* its own, or the first that is free */
        uint64_t old = 0;

        for (unsigned i = 0; i < PIN_SLOTS; i++) {
            unsigned at = ((unsigned)(hash >> 48) + i) % PIN_SLOTS;
            uint64_t seen = atomic_load_explicit(&pin->seen[at], memory_order_relaxed);
            bool counted = seen != 0 && ((mine - seen) & 0xffff) < PIN_DAYS;

            n += counted;
            if (counted ? seen >> 16 != mine >> 16 : slot != PIN_SLOTS)
                continue;
            slot = at;
            old = seen;
        }
        if (n >= most || !counts || old == mine)
            return n < most;
        if (atomic_compare_exchange_strong(&pin->seen[slot], &old, mine))
            return true; /* else another thread was faster: look again */
    }
}

void health_choose(const struct health *h, const struct policy_decision *d,
                   const struct addr *client, uint64_t wall_ms, bool counts,
                   struct health_choice *out)
{
    const uint64_t all = d->n_hosts == 64 ? UINT64_MAX : (UINT64_C(1) << d->n_hosts) - 1;
    struct pin *pin;

    *out = (struct health_choice){.given = all, .pinned = -1};
    for (int i = 0; i < d->n_hosts; i++) {
        const struct policy_host *host = &d->hosts[i];
        const struct health_target *t = NULL;

        if (h && h->n > 0)
            t = bsearch(host, h->targets, h->n, sizeof *t, policy_approved_compare);
        out->targets[i] = t;
        if (t && t->is_down && host->probe)
            out->down |= UINT64_C(1) << i;
    }
    if (out->down == all)
        return;
    out->given &= ~out->down;
    if (d->pinned == 0)
        return;
    /* The first one that is up: hosts are sorted by priority, then by name. */
    out->pinned = __builtin_ctzll(out->given);
    pin = out->targets[out->pinned] != NULL ? out->targets[out->pinned]->pin : NULL;
    if (pin == NULL || pin_takes(pin, d->pinned, client, wall_ms, counts))
        out->given = UINT64_C(1) << out->pinned;
    else
        out->pinned = -1;
}
