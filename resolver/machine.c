/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.c -- see machine.h. Used by the main thread only: at start, at reload, and
 * when machine_watch.c has seen a change.
 *
 * Why the resolv.conf rules: on most machines it names either real servers or
 * a stub on loopback. Once an administrator points the machine at Waymark it
 * names ourselves, and forwarding to ourselves would be a loop; so our own
 * addresses are left out, and if nothing is left we say which line to write.
 */
#include "resolver/machine.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "wire/present.h"

enum { RESOLV_CONF_MAX = 65536, PROC_NET_MAX = 4 << 20 };
static const char RESOLVED_STUB[] = "127.0.0.53";
const char *const machine_resolv_confs[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf",
                                            NULL};

static bool from_sockaddr(const struct sockaddr *sa, uint8_t ip[16])
{
    if (sa == NULL)
        return false;
    if (sa->sa_family == AF_INET6) {
        memcpy(ip, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        return true;
    }
    if (sa->sa_family != AF_INET)
        return false;
    memset(ip, 0, 10);
    ip[10] = ip[11] = 0xff;
    memcpy(ip + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    return true;
}

/* Length of a contiguous mask, counted in the mapped form. */
static uint8_t mask_len(const struct sockaddr *sa)
{
    uint8_t ip[16];
    unsigned n = 0;

    if (!from_sockaddr(sa, ip))
        return 128;
    if (sa->sa_family == AF_INET)
        memset(ip, 0xff, 12);
    while (n < 128 && (ip[n / 8] & (0x80 >> n % 8)) != 0)
        n++;
    return (uint8_t)n;
}

static int by_net(const void *a, const void *b)
{
    const struct access_rule *x = a, *y = b;
    int order = memcmp(x->net.ip, y->net.ip, sizeof x->net.ip);

    return order != 0 ? order : x->net.len - y->net.len;
}

/* Several interfaces may be in one network: fe80::/64 is of all. */
static int sort_unique(struct access_rule *rules, int n)
{
    int kept = 0;

    qsort(rules, (size_t)n, sizeof *rules, by_net);
    for (int i = 0; i < n; i++)
        if (kept == 0 || by_net(&rules[kept - 1], &rules[i]) != 0)
            rules[kept++] = rules[i];
    return kept;
}

int machine_networks(struct access_rule **out)
{
    struct ifaddrs *list;
    struct access_rule *rules;
    int n = 0, room = 0;

    if (getifaddrs(&list) != 0)
        return -errno;
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        room++;
    rules = calloc((size_t)room + 1, sizeof *rules);
    for (struct ifaddrs *i = list; rules != NULL && i != NULL; i = i->ifa_next) {
        struct access_rule *r = &rules[n];

        if (!from_sockaddr(i->ifa_addr, r->net.ip))
            continue;
        r->net.len = mask_len(i->ifa_netmask);
        prefix_mask(r->net.ip, r->net.len);
        r->action = ACCESS_ALLOW;
        n++;
    }
    freeifaddrs(list);
    if (rules == NULL)
        return -ENOMEM;
    *out = rules;
    return sort_unique(rules, n);
}

bool machine_owns(const struct addr *a)
{
    struct ifaddrs *list;
    uint8_t ip[16];
    bool own = false;

    if (addr_is_loopback(a))
        return true;
    if (getifaddrs(&list) != 0)
        return false;
    for (struct ifaddrs *i = list; i != NULL && !own; i = i->ifa_next)
        own = from_sockaddr(i->ifa_addr, ip) && memcmp(ip, a->ip, 16) == 0;
    freeifaddrs(list);
    return own;
}

int machine_resolv_conf(const char *path, struct addr *out, int max)
{
    char *text, *save = NULL;
    size_t len;
    int n = 0, rc = file_read(path, RESOLV_CONF_MAX, &text, &len);

    if (rc != 0)
        return rc;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char word[ADDR_TEXT];

        if (n < max && sscanf(line, " nameserver %79s", word) == 1 &&
            addr_parse(&out[n], word, 53) == 0)
            n++;
    }
    free(text);
    return n;
}

/* Would a question to this server come back to us? A wildcard also listens at
 * the machine's own addresses, which settings/ cannot know. */
static bool is_own_listener(const struct settings *s, const struct addr *server)
{
    if (settings_listens_at(s, server))
        return true;
    for (int i = 0; i < s->server.n_listen; i++) {
        const struct addr *l = &s->server.listen[i];

        if (l->port == server->port && addr_is_any(l) && addr_is_v4(l) == addr_is_v4(server) &&
            machine_owns(server))
            return true;
    }
    return false;
}

/* The servers of a route that are not ourselves, into kept; tells of the others. */
static int others_of(const struct settings *s, const struct route *r, struct addr *kept,
                     struct diags *d)
{
    char server[ADDR_TEXT], zone[NAME_TEXT];
    int n = 0;

    for (int k = 0; k < r->n_servers; k++) {
        if (is_own_listener(s, &r->servers[k]))
            diags_add(d, NULL, 0, 0,
                      "forward.servers: %s (zone %s) is an address of this machine, where "
                      "server.listen has waymarkd itself: it would ask itself. Name another "
                      "server, or another port",
                      addr_print_port(&r->servers[k], server), name_print(&r->zone, zone));
        else
            kept[n++] = r->servers[k];
    }
    return n;
}

int machine_check_routes(const struct settings *s, struct diags *d)
{
    struct addr kept[ROUTE_MAX_SERVERS];
    int rc = 0;

    for (int i = 0; i < s->n_routes; i++)
        if (others_of(s, &s->routes[i], kept, d) < s->routes[i].n_servers)
            rc = -EINVAL;
    return rc;
}

static int leave_out_own(struct settings *s, struct diags *d)
{
    struct addr kept[ROUTE_MAX_SERVERS];
    int rc = 0;

    for (int i = 0; i < s->n_routes; i++) {
        struct route *r = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */
        int n = others_of(s, r, kept, d);

        if (n == r->n_servers)
            continue;
        rc = -EINVAL;
        memcpy((struct addr *)(uintptr_t)r->servers, kept, (size_t)n * sizeof kept[0]);
        r->n_servers = n;
        r->id = route_id(r);
    }
    return rc;
}

static int usable_servers(const struct settings *s, const char *root, const char *file,
                          struct addr *out, bool *stub)
{
    char path[512];
    struct addr found[ROUTE_MAX_SERVERS], stub_addr;
    int n, kept = 0;

    snprintf(path, sizeof path, "%s%s", root, file);
    n = machine_resolv_conf(path, found, ROUTE_MAX_SERVERS);
    addr_parse(&stub_addr, RESOLVED_STUB, 53);
    *stub = false;
    for (int i = 0; i < n; i++) {
        if (addr_same_ip(&found[i], &stub_addr))
            *stub = true;
        else if (!is_own_listener(s, &found[i]))
            out[kept++] = found[i];
    }
    return kept;
}

int machine_default_route(struct settings *s, const char *root, struct diags *d)
{
    struct addr servers[ROUTE_MAX_SERVERS];
    struct route *route;
    struct addr *kept;
    bool stub;
    int n = usable_servers(s, root, machine_resolv_confs[0], servers, &stub);

    if (stub)
        n = usable_servers(s, root, machine_resolv_confs[1], servers, &stub);
    if (n == 0)
        return diags_add(
            d, NULL, 0, 0,
            "no server to forward to: the settings have no forward: and /etc/resolv.conf names "
            "none "
            "but this forwarder itself; add to %s a line such as\n"
            "  forward: [{zone: ., servers: [\"192.0.2.53\"]}]   (your own DNS servers)",
            settings_default_path());
    route = arena_alloc(s->arena, sizeof *route);
    kept = arena_alloc(s->arena, (size_t)n * sizeof *kept);
    if (route == NULL || kept == NULL)
        return -ENOMEM;
    memcpy(kept, servers, (size_t)n * sizeof *kept);
    *route = (struct route){
        .servers = kept, .n_servers = n, .strategy = ROUTE_ORDERED, .timeout_ms = 1000};
    route->zone.len = 1;
    route->id = route_id(route);
    s->routes = route;
    s->n_routes = 1;
    s->routes_found = true;
    return 0;
}

int machine_update_routes(struct settings *s, const char *root, struct diags *d)
{
    int rc;

    if (!s->routes_found)
        return leave_out_own(s, d);
    rc = machine_default_route(s, root, NULL);
    if (rc == -EINVAL)
        diags_add(d, NULL, 0, 0,
                  "%s has no server but this forwarder itself; the servers of before stay in use "
                  "(waymarkctl upstreams). Name servers there, or in forward: and reload",
                  machine_resolv_confs[0]);
    return rc;
}

/* The inode of the socket that is bound to the address, from one of the tables
 * of /proc/net; 0 when there is none. */
static unsigned long socket_inode(const char *table, const struct addr *want, bool v6, bool tcp)
{
    char *text, *save = NULL;
    unsigned long found = 0;
    size_t len;

    if (file_read(table, PROC_NET_MAX, &text, &len) != 0)
        return 0;
    for (char *line = strtok_r(text, "\n", &save); line != NULL && found == 0;
         line = strtok_r(NULL, "\n", &save)) {
        char ip[40];
        unsigned port, state, word[4] = {0};
        unsigned long inode;
        struct addr local = {.port = 0};

        if (sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", ip,
                   &port, &state, &inode) != 4)
            continue;
        if (port != want->port || (tcp && state != 0x0a))
            continue;
        if (sscanf(ip, v6 ? "%8x%8x%8x%8x" : "%8x", &word[0], &word[1], &word[2], &word[3]) < 1)
            continue;
        if (v6) {
            memcpy(local.ip, word, 16);
        } else {
            local.ip[10] = local.ip[11] = 0xff;
            memcpy(local.ip + 12, word, 4);
        }
        if (addr_is_any(&local) || addr_is_any(want) || addr_same_ip(&local, want))
            found = inode;
    }
    free(text);
    return found;
}

static bool process_has_socket(const char *pid, const char *link)
{
    char path[320], target[64];
    bool has = false;
    DIR *fds;

    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    if ((fds = opendir(path)) == NULL)
        return false;
    for (struct dirent *e = readdir(fds); e != NULL && !has; e = readdir(fds)) {
        ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof target - 1);

        if (n > 0) {
            target[n] = '\0';
            has = strcmp(target, link) == 0;
        }
    }
    closedir(fds);
    return has;
}

void machine_port_holder(const struct addr *want, bool tcp, char *out, size_t size)
{
    unsigned long inode = socket_inode(tcp ? "/proc/net/tcp" : "/proc/net/udp", want, false, tcp);
    char link[64];
    DIR *proc;

    out[0] = '\0';
    if (inode == 0)
        inode = socket_inode(tcp ? "/proc/net/tcp6" : "/proc/net/udp6", want, true, tcp);
    if (inode == 0 || (proc = opendir("/proc")) == NULL)
        return;
    snprintf(link, sizeof link, "socket:[%lu]", inode);
    for (struct dirent *e = readdir(proc); e != NULL; e = readdir(proc)) {
        char path[300], *name;
        size_t len;

        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !process_has_socket(e->d_name, link))
            continue;
        snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
        if (file_read(path, 64, &name, &len) == 0) {
            name[strcspn(name, "\n")] = '\0';
            snprintf(out, size, "%s (pid %s)", name, e->d_name);
            free(name);
        }
        break;
    }
    closedir(proc);
}
