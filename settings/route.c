/* SPDX-License-Identifier: BSD-2-Clause
 *
 * route.c -- what a route is known by, and whether it leads to ourselves.
 */
#include "settings/settings.h"

#include <stddef.h>

/* FNV-1a: the number must be the same in each process, and nobody gains from
 * making two of them equal. The order of the servers does not matter, for they
 * give the same answers. */
static uint32_t hash_more(uint32_t h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

uint32_t route_id(const struct route *route)
{
    uint32_t id = 0;

    for (int i = 0; i < route->n_servers; i++) {
        const struct addr *a = &route->servers[i];
        uint32_t h = hash_more(2166136261u, a->ip, sizeof a->ip);
        uint8_t port[2] = {(uint8_t)(a->port >> 8), (uint8_t)(a->port & 0xff)};
        uint8_t scope[4] = {(uint8_t)(a->scope >> 24), (uint8_t)(a->scope >> 16),
                            (uint8_t)(a->scope >> 8), (uint8_t)a->scope};

        h = hash_more(h, port, sizeof port);
        id += hash_more(h, scope, sizeof scope);
    }
    id = hash_more(id ^ 2166136261u, route->zone.at, route->zone.len);
    return id != 0 ? id : 1;
}

bool settings_listens_at(const struct settings *s, const struct addr *a)
{
    for (int i = 0; i < s->server.n_listen; i++) {
        const struct addr *own = &s->server.listen[i];

        if (own->port != a->port)
            continue;
        if (addr_same(own, a) ||
            (addr_is_any(own) && addr_is_loopback(a) && addr_is_v4(own) == addr_is_v4(a)))
            return true;
    }
    return false;
}
