/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.c -- what must hold between options.
 *
 * Two of these rules keep others safe, not only ourselves: an open resolver
 * multiplies attacks (RFC 5358, RFC 5625 6.2), and a forwarder that asks
 * itself turns one question into a storm. So they are errors, not warnings.
 */
#include "settings/rules.h"

#include <errno.h>
#include <string.h>

#include "wire/present.h"

/* The element of a list, as far as the list was written by someone. */
static const struct yaml_node *element(const struct yaml_node *list, int i)
{
    const struct yaml_node *node = list != NULL ? list->first : NULL;

    while (node != NULL && i-- > 0)
        node = node->next;
    return node;
}

static const struct origin *origin_of(const struct reader *r, const char *key)
{
    return &r->origin[option_index(option_find(settings_options, NULL, key))];
}

bool rules_is_v4_net(const struct prefix *p)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return p->len >= 96 && memcmp(p->ip, mapped, sizeof mapped) == 0;
}

bool rules_is_loopback_net(const struct prefix *p)
{
    struct addr a = {0};

    memcpy(a.ip, p->ip, sizeof a.ip);
    return p->len >= (rules_is_v4_net(p) ? 96 + 8 : 128) && addr_is_loopback(&a);
}

/* Nobody's own network is so wide: 0.0.0.0/0, ::/0, or halves and quarters of
 * them. fc00::/7 and fe80::/10 are wide and not public. */
static bool is_internet(const struct prefix *p)
{
    struct addr a = {0};

    if (rules_is_v4_net(p))
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

static int check_open(struct reader *r)
{
    const struct settings *s = r->s;
    const struct origin *from = origin_of(r, "access");
    const struct addr *listener = public_listener(s);
    char net[PREFIX_TEXT], text[ADDR_TEXT];
    int rc = 0;

    if (listener == NULL || s->server.open_resolver)
        return 0;
    for (int i = 0; i < s->n_access; i++)
        if (s->access[i].action == ACCESS_ALLOW && is_internet(&s->access[i].net))
            rc = read_problem_origin(
                r, from, element(from->node, i),
                "access: %s is the whole Internet or a large part of it, and server.listen has "
                "%s: that is an open resolver, with which others are attacked. Allow your own "
                "networks only; if a firewall keeps strangers out, confirm it with "
                "server.open-resolver: yes",
                prefix_print(&s->access[i].net, net), addr_print_port(listener, text));
    return rc;
}

static int check_access(struct reader *r)
{
    const struct settings *s = r->s;
    const struct origin *from = origin_of(r, "access");
    char net[PREFIX_TEXT];
    int rc = 0;

    for (int i = 0; i < s->n_access; i++)
        for (int j = 0; j < i; j++) {
            if (memcmp(s->access[i].net.ip, s->access[j].net.ip, 16) != 0 ||
                s->access[i].net.len != s->access[j].net.len)
                continue;
            rc = read_problem_origin(r, from, element(from->node, i), "access: %s is listed twice",
                                     prefix_print(&s->access[i].net, net));
            break;
        }
    return rc;
}

static int check_servers(struct reader *r, const struct route *route, const struct yaml_node *node)
{
    const struct origin *from = origin_of(r, "forward");
    const struct yaml_node *list = node != NULL ? yaml_get(node, "servers") : NULL;
    char text[ADDR_TEXT];
    int rc = 0;

    for (int i = 0; i < route->n_servers; i++) {
        const struct addr *a = &route->servers[i];

        if (addr_is_any(a))
            rc = read_problem_origin(r, from, element(list, i),
                                     "forward.servers: %s is not the address of a server",
                                     addr_print(a, text));
        else if (settings_listens_at(r->s, a))
            rc = read_problem_origin(r, from, element(list, i),
                                     "forward.servers: %s is in server.listen: waymarkd would "
                                     "ask itself. Name another server, or another port",
                                     addr_print_port(a, text));
    }
    return rc;
}

static int check_routes(struct reader *r)
{
    const struct settings *s = r->s;
    const struct origin *from = origin_of(r, "forward");
    char zone[NAME_TEXT];
    int rc = 0;

    for (int i = 0; i < s->n_routes; i++) {
        const struct yaml_node *node = element(from->node, i);

        if (check_servers(r, &s->routes[i], node) != 0)
            rc = -EINVAL;
        for (int j = 0; j < i; j++) {
            if (!name_equal(&s->routes[i].zone, &s->routes[j].zone))
                continue;
            rc = read_problem_origin(r, from, node,
                                     "forward: zone %s is listed twice; write "
                                     "all of its servers into one element",
                                     name_print(&s->routes[i].zone, zone));
            break;
        }
    }
    return rc;
}

static int check_ttls(struct reader *r)
{
    const struct origin *from = origin_of(r, "cache.min-ttl");

    if (r->s->cache.min_ttl_ms <= r->s->cache.max_ttl_ms)
        return 0;
    if (from->node == NULL)
        from = origin_of(r, "cache.max-ttl");
    return read_problem_origin(r, from, from->node, "cache.min-ttl is longer than cache.max-ttl");
}

int rules_check(struct reader *r)
{
    int rc = check_open(r);

    rc = check_access(r) != 0 ? -EINVAL : rc;
    rc = check_routes(r) != 0 ? -EINVAL : rc;
    return check_ttls(r) != 0 ? -EINVAL : rc;
}
