/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.c -- what must hold between options; who may ask, and what a route is
 * known by.
 *
 * Two of these rules keep others safe, not only ourselves: an open resolver
 * multiplies attacks (RFC 5358, RFC 5625 6.2), and a forwarder that asks
 * itself turns one question into a storm. So they are errors, not warnings.
 */
#include <stddef.h>
#include <string.h>

#include "settings/options.h"
#include "wire/present.h"

/* The element of a list, as far as the list was written by someone. */
static const struct yaml_node *element(const struct yaml_node *list, int i)
{
    const struct yaml_node *node = list != NULL ? list->first : NULL;

    while (node != NULL && i-- > 0)
        node = node->next;
    return node;
}

/* Where the option got its value: problems are told there. */
static const struct yaml_node *go_to(struct reader *r, const char *key)
{
    const struct origin *from =
        &r->origin[field_find(settings_options, NULL, key) - settings_options];

    r->form.file = from->file;
    r->form.assign = from->assign;
    return from->node;
}

static bool is_loopback_net(const struct prefix *p)
{
    struct addr a = {0};

    memcpy(a.ip, p->ip, sizeof a.ip);
    return p->len >= (prefix_is_v4(p) ? 96 + 8 : 128) && addr_is_loopback(&a);
}

/* Nobody's own network is so wide: 0.0.0.0/0, ::/0, or halves and quarters of
 * them. fc00::/7 and fe80::/10 are wide and not public. */
static bool is_internet(const struct prefix *p)
{
    struct addr a = {0};

    if (prefix_is_v4(p))
        return p->len < 96 + 8;
    memcpy(a.ip, p->ip, sizeof a.ip);
    return p->len < 16 && !(p->len >= 7 && addr_is_private(&a));
}

/* An address on which a stranger's question can arrive. */
static const struct addr *public_listener(const struct settings *s)
{
    for (int i = 0; i < s->server.n_listen; i++) {
        const struct addr *a = &s->server.listen[i];

        if (addr_is_any(a) || !addr_is_private(a))
            return a;
    }
    return NULL;
}

static void check_access(struct reader *r)
{
    const struct settings *s = r->s;
    const struct yaml_node *list = go_to(r, "access");
    const struct addr *listener = public_listener(s);
    char net[PREFIX_TEXT], text[ADDR_TEXT];

    for (int i = 0; i < s->n_access && listener != NULL && !s->server.open_resolver; i++)
        if (s->access[i].action == ACCESS_ALLOW && is_internet(&s->access[i].net))
            form_problem(
                &r->form, element(list, i),
                "access: %s is the whole Internet or a large part of it, and server.listen has "
                "%s: that is an open resolver, with which others are attacked. Allow your own "
                "networks only; if a firewall keeps strangers out, confirm it with "
                "server.open-resolver: yes",
                prefix_print(&s->access[i].net, net), addr_print_port(listener, text));
    for (int i = 0; i < s->n_access; i++)
        for (int j = 0; j < i; j++) {
            if (!prefix_same(&s->access[i].net, &s->access[j].net))
                continue;
            form_problem(&r->form, element(list, i), "access: %s is listed twice",
                         prefix_print(&s->access[i].net, net));
            break;
        }
}

static void check_servers(struct reader *r, const struct route *route, const struct yaml_node *node)
{
    const struct yaml_node *list = node != NULL ? yaml_get(node, "servers") : NULL;
    char text[ADDR_TEXT];

    for (int i = 0; i < route->n_servers; i++) {
        const struct addr *a = &route->servers[i];

        if (addr_is_any(a))
            form_problem(&r->form, element(list, i),
                         "forward.servers: %s is not the address of a server", addr_print(a, text));
        else if (settings_listens_at(r->s, a))
            form_problem(&r->form, element(list, i),
                         "forward.servers: %s is in server.listen: waymarkd would ask itself. Name "
                         "another server, or another port",
                         addr_print_port(a, text));
    }
}

static void check_routes(struct reader *r)
{
    const struct settings *s = r->s;
    const struct yaml_node *list = go_to(r, "forward");
    char zone[NAME_TEXT];

    for (int i = 0; i < s->n_routes; i++) {
        check_servers(r, &s->routes[i], element(list, i));
        for (int j = 0; j < i; j++) {
            if (!name_equal(&s->routes[i].zone, &s->routes[j].zone))
                continue;
            form_problem(&r->form, element(list, i),
                         "forward: zone %s is listed twice; write all of its servers into one "
                         "element",
                         name_print(&s->routes[i].zone, zone));
            break;
        }
    }
}

void rules_check(struct reader *r)
{
    const struct yaml_node *node;

    check_access(r);
    check_routes(r);
    if (r->s->cache.min_ttl_ms <= r->s->cache.max_ttl_ms)
        return;
    node = go_to(r, "cache.min-ttl");
    if (node == NULL)
        node = go_to(r, "cache.max-ttl");
    form_problem(&r->form, node, "cache.min-ttl is longer than cache.max-ttl");
}

/* ---- who may ask ---- */

/* The longest net that matches. The list is walked for each packet: it is short
 * in practice, and its order says nothing, so that nobody has to think about it. */
const struct access_rule *settings_access_rule(const struct settings *s,
                                               const struct access_rule *machine, int n_machine,
                                               const struct addr *client)
{
    const struct access_rule *rules = s->access != NULL ? s->access : machine, *best = NULL;
    int n = s->access != NULL ? s->n_access : n_machine;
    bool v4 = addr_is_v4(client), loopback = addr_is_loopback(client);

    for (int i = 0; i < n; i++) {
        const struct prefix *net = &rules[i].net;

        if ((best == NULL || net->len > best->net.len) && prefix_contains(net, client->ip) &&
            prefix_is_v4(net) == v4 && (!loopback || is_loopback_net(net)))
            best = &rules[i];
    }
    return best;
}

enum access_action settings_access(const struct settings *s, const struct access_rule *machine,
                                   int n_machine, const struct addr *client)
{
    const struct access_rule *rule = settings_access_rule(s, machine, n_machine, client);

    if (rule != NULL)
        return rule->action;
    return addr_is_loopback(client) ? ACCESS_ALLOW : ACCESS_REFUSE;
}

/* ---- routes ---- */

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
