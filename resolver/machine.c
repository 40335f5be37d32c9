/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.c -- what the machine tells. Used by the main thread only.
 *
 * A forwarder that asks itself turns one question into a storm: so new settings that would lead to
 * it are refused. Once an administrator points the machine at Waymark, resolv.conf names ourselves;
 * so our own addresses are left out, and if nothing is left we say which line to write.
 *
 * Changes are found by comparing: reading all addresses and two small files costs some ten
 * microseconds, and none is missed, however it was made (renamed, linked or mounted files).
 */
#include "resolver/machine.h"

#include <errno.h>
#include <ifaddrs.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/random.h"
#include "wire/message.h"

enum { RESOLV_CONF_MAX = 65536 };

static const char RESOLVED_STUB[] = "127.0.0.53";
/* The second is read when the first names the stub of systemd-resolved. */
static const char *const resolv_confs[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

void machine_networks(struct settings *s)
{
    struct ifaddrs *list;
    struct access_rule *rules;
    int n = 0, k, room = 0;

    if (getifaddrs(&list) != 0) {
        s->n_machine = -errno;
        return;
    }
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        room++;
    s->machine = rules = arena_alloc(s->arena, (size_t)room * sizeof *rules);
    for (struct ifaddrs *i = list; rules && i; i = i->ifa_next) {
        struct prefix net = {.len = 128};
        struct addr a, mask;

        if (!addr_from_sockaddr(&a, i->ifa_addr))
            continue;
        if (addr_from_sockaddr(&mask, i->ifa_netmask)) {
            net.len = addr_is_v4(&mask) ? 80 : 0; /* of its 96 bits in front 16 are set */
            for (size_t b = 0; b < sizeof mask.ip; b++)
                net.len = (uint8_t)(net.len + __builtin_popcount(mask.ip[b]));
        }
        memcpy(net.ip, a.ip, sizeof net.ip);
        prefix_mask(net.ip, net.len);
        for (k = 0; k < n && !prefix_same(&rules[k].net, &net); k++)
            ;
        if (k == n) /* several interfaces may be in one: fe80::/64 is of all */
            rules[n++] = (struct access_rule){.net = net, .action = ACCESS_ALLOW};
    }
    freeifaddrs(list);
    s->n_machine = rules ? n : -ENOMEM;
}

/* Would a question to this server come back to us? A wildcard listens at all addresses. */
static bool is_own_listener(const struct settings *s, const struct addr *server)
{
    bool wildcard = false, found = false;
    struct ifaddrs *list;
    struct addr own;

    for (int i = 0; i < s->server.n_listen; i++) {
        const struct addr *l = &s->server.listen[i];

        if (addr_same(l, server))
            return true;
        if (l->port == server->port && addr_is(l, ADDR_ANY) && addr_is_v4(l) == addr_is_v4(server))
            wildcard = true;
    }
    if (!wildcard || addr_is(server, ADDR_LOOPBACK) || getifaddrs(&list) != 0)
        return wildcard && addr_is(server, ADDR_LOOPBACK);
    for (struct ifaddrs *i = list; i && !found; i = i->ifa_next)
        found = addr_from_sockaddr(&own, i->ifa_addr) && addr_same_ip(&own, server);
    freeifaddrs(list);
    return found;
}

/* Without `forward:`, the servers of resolv.conf but ourselves; where it names the stub of
 * systemd-resolved, those of that one's file. */
static int route_of_resolv_conf(struct settings *s, const char *root, struct diags *d)
{
    struct {
        struct route route;
        struct addr servers[ROUTE_MAX_SERVERS];
    } *found = arena_alloc(s->arena, sizeof *found);
    char path[512], word[ADDR_TEXT], *text, *save;
    bool has_stub = true;
    struct addr a;
    size_t len;
    int n = 0;

    if (found == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_LEN(resolv_confs) && has_stub; i++) {
        n = 0;
        has_stub = false;
        snprintf(path, sizeof path, "%s%s", root, resolv_confs[i]);
        if (file_read(path, RESOLV_CONF_MAX, &text, &len) != 0)
            break;
        for (char *line = strtok_r(text, "\n", &save); line && n < ROUTE_MAX_SERVERS;
             line = strtok_r(NULL, "\n", &save)) {
            if (sscanf(line, " nameserver %79s", word) != 1 || addr_parse(&a, word, 53) != 0)
                continue;
            if (strcmp(word, RESOLVED_STUB) == 0)
                has_stub = true;
            else if (!is_own_listener(s, &a))
                found->servers[n++] = a;
        }
        free(text);
    }
    if (n == 0 && s->routes_found)
        return diags_tell(d,
                          "/etc/resolv.conf has no server but this forwarder itself; the servers "
                          "of before stay in use. Name servers there, or in forward: and reload");
    if (n == 0)
        return diags_tell(
            d,
            "no server to forward to: there is no forward: and /etc/resolv.conf names "
            "none but this forwarder itself; add to %s a line such as\n"
            "  forward: [{zone: ., servers: [\"192.0.2.53\"]}]",
            SETTINGS_DEFAULT_PATH);
    found->route = (struct route){.zone.len = 1,
                                  .servers = found->servers,
                                  .n_servers = n,
                                  .timeout_ms = 1000,
                                  .edns = true,
                                  .tls_name = "",
                                  .tls_ca = "",
                                  .tls_port = DNS_TLS_PORT};
    found->route.id = route_id(&found->route);
    s->routes = &found->route;
    s->n_routes = 1;
    s->routes_found = true;
    return 0;
}

int machine_routes(struct settings *s, const char *root, struct diags *d)
{
    char server[ADDR_TEXT], zone[NAME_TEXT];
    int rc = 0;

    if (s->n_routes == 0 || s->routes_found)
        return route_of_resolv_conf(s, root, d);
    for (int i = 0; i < s->n_routes; i++) {
        struct route *r = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */
        struct addr *servers = (struct addr *)(uintptr_t)r->servers;
        int n = 0;

        for (int k = 0; k < r->n_servers; k++) {
            if (!is_own_listener(s, &servers[k])) {
                servers[n++] = servers[k];
                continue;
            }
            rc = -EINVAL;
            diags_tell(
                d,
                "forward.servers: %s (zone %s) is an address of this machine, where waymarkd "
                "listens: it would ask itself. Name another server, or another port",
                addr_print_port(&servers[k], server), name_print(&r->zone, zone));
        }
        r->n_servers = n;
        r->id = route_id(r);
    }
    return rc;
}

uint64_t machine_fingerprint(const char *root)
{
    struct hash_key chain = {0, 0}; /* k0: the hash of all before */
    struct ifaddrs *list;
    char path[512], *text;
    struct addr a;
    size_t len;

    if (getifaddrs(&list) != 0)
        list = NULL;
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        for (int mask = 0; mask < 2; mask++)
            if (addr_from_sockaddr(&a, mask ? i->ifa_netmask : i->ifa_addr))
                chain.k0 = hash_bytes(&chain, a.ip, sizeof a.ip);
    freeifaddrs(list);
    for (size_t i = 0; i < ARRAY_LEN(resolv_confs); i++) {
        snprintf(path, sizeof path, "%s%s", root, resolv_confs[i]);
        chain.k1++;
        if (file_read(path, RESOLV_CONF_MAX, &text, &len) != 0)
            continue;
        chain.k0 = hash_bytes(&chain, text, len);
        free(text);
    }
    return chain.k0;
}
