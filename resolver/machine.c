/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.c -- what the machine tells, and when that may have changed. Used by
 * the main thread only: at start, at reload, and when something has changed.
 *
 * Why the resolv.conf rules: on most machines it names either real servers or
 * a stub on loopback. Once an administrator points the machine at Waymark it
 * names ourselves, and forwarding to ourselves would be a loop; so our own
 * addresses are left out, and if nothing is left we say which line to write.
 *
 * Addresses are watched by a netlink socket in the groups of address changes. Its
 * messages are not read: each, and the loss of some, is a sign to ask for all
 * addresses anew.
 *
 * Files: resolv.conf is replaced by renaming, is a link to another folder, and
 * that folder may come and go. So each folder on the path to the file is watched
 * for the one name in it that leads on, through all links; and the file itself,
 * which may be mounted from elsewhere (containers) and written in place. A folder
 * is watched before its name is looked up, so that no change falls between. The
 * path is walked anew before each call of `changed`, which reads the files then.
 */
#include "resolver/machine.h"

#include <errno.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "wire/present.h"

enum {
    RESOLV_CONF_MAX = 65536,
    STEPS_MAX = 128,
    LINKS_MAX = 40, /* as the kernel */
    FOLDER_EVENTS = IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB,
    FILE_EVENTS = IN_MODIFY | IN_CLOSE_WRITE,
};

static const char RESOLVED_STUB[] = "127.0.0.53";
/* The second is read when the first names the stub of systemd-resolved. */
static const char *const resolv_confs[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

/* ---- networks ---- */

static int by_net(const void *a, const void *b)
{
    const struct access_rule *x = a, *y = b;
    int order = memcmp(x->net.ip, y->net.ip, sizeof x->net.ip);

    return order != 0 ? order : x->net.len - y->net.len;
}

int machine_networks(struct access_rule **out)
{
    struct ifaddrs *list;
    struct access_rule *rules;
    int n = 0, kept = 0, room = 0;

    if (getifaddrs(&list) != 0)
        return -errno;
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        room++;
    rules = calloc((size_t)room + 1, sizeof *rules);
    for (struct ifaddrs *i = list; rules != NULL && i != NULL; i = i->ifa_next) {
        struct prefix net = {.len = 128};
        struct addr a, mask;

        if (!addr_from_sockaddr(&a, i->ifa_addr))
            continue;
        if (addr_from_sockaddr(&mask, i->ifa_netmask)) {
            if (addr_is_v4(&mask))
                memset(mask.ip, 0xff, 12);
            for (net.len = 0; net.len < 128; net.len++)
                if ((mask.ip[net.len / 8] & (0x80 >> net.len % 8)) == 0)
                    break;
        }
        memcpy(net.ip, a.ip, sizeof net.ip);
        prefix_mask(net.ip, net.len);
        rules[n++] = (struct access_rule){.net = net, .action = ACCESS_ALLOW};
    }
    freeifaddrs(list);
    if (rules == NULL)
        return -ENOMEM;
    qsort(rules, (size_t)n, sizeof *rules, by_net);
    for (int i = 0; i < n; i++) /* several interfaces may be in one: fe80::/64 is of all */
        if (kept == 0 || by_net(&rules[kept - 1], &rules[i]) != 0)
            rules[kept++] = rules[i];
    *out = rules;
    return kept;
}

/* ---- routes ---- */

static bool is_own_address(const struct addr *a)
{
    struct ifaddrs *list;
    struct addr own;
    bool found = false;

    if (addr_is_loopback(a))
        return true;
    if (getifaddrs(&list) != 0)
        return false;
    for (struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next)
        found = addr_from_sockaddr(&own, i->ifa_addr) && addr_same_ip(&own, a);
    freeifaddrs(list);
    return found;
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
            is_own_address(server))
            return true;
    }
    return false;
}

/* The servers of a route that are not ourselves, into kept; a sentence for each of
 * the others. */
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

/* The servers of a resolv.conf but ourselves; *stub: it names that of systemd-resolved. */
static int usable_servers(const struct settings *s, const char *root, const char *file,
                          struct addr out[ROUTE_MAX_SERVERS], bool *stub)
{
    char path[512], *text, *save = NULL;
    struct addr a, stub_addr;
    size_t len;
    int n = 0;

    *stub = false;
    addr_parse(&stub_addr, RESOLVED_STUB, 53);
    snprintf(path, sizeof path, "%s%s", root, file);
    if (file_read(path, RESOLV_CONF_MAX, &text, &len) != 0)
        return 0;
    for (char *line = strtok_r(text, "\n", &save); line != NULL && n < ROUTE_MAX_SERVERS;
         line = strtok_r(NULL, "\n", &save)) {
        char word[ADDR_TEXT];

        if (sscanf(line, " nameserver %79s", word) != 1 || addr_parse(&a, word, 53) != 0)
            continue;
        if (addr_same_ip(&a, &stub_addr))
            *stub = true;
        else if (!is_own_listener(s, &a))
            out[n++] = a;
    }
    free(text);
    return n;
}

int machine_default_route(struct settings *s, const char *root, struct diags *d)
{
    struct addr servers[ROUTE_MAX_SERVERS], *kept;
    struct route *route;
    bool stub;
    int n = usable_servers(s, root, resolv_confs[0], servers, &stub);

    if (stub)
        n = usable_servers(s, root, resolv_confs[1], servers, &stub);
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
    int rc = 0;

    if (s->routes_found) {
        rc = machine_default_route(s, root, NULL);
        if (rc == -EINVAL)
            diags_add(
                d, NULL, 0, 0,
                "%s has no server but this forwarder itself; the servers of before stay in use "
                "(waymarkctl upstreams). Name servers there, or in forward: and reload",
                resolv_confs[0]);
        return rc;
    }
    for (int i = 0; i < s->n_routes; i++) {
        struct route *r = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */
        struct addr kept[ROUTE_MAX_SERVERS];
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

/* ---- changes ---- */

struct machine_watch {
    machine_changed *changed;
    void *context;
    const char *root;
    unsigned quiet_ms, most_ms;
    uint64_t first_ms;    /* of the signs that `changed` has not seen; 0: there is none */
    int files, addresses; /* descriptors, owned; -1: there is none */
    int error, files_error;
    struct event *on_files, *on_addresses, *timer; /* owned */
    struct step {
        int wd;
        char name[NAME_MAX + 1]; /* in the folder; "": the file itself */
    } steps[STEPS_MAX];
    int n_steps;
};

void machine_watch_again(struct machine_watch *w)
{
    uint64_t now_ms = clock_now().mono_ms, due_ms;

    if (w == NULL)
        return;
    if (w->first_ms == 0)
        w->first_ms = now_ms;
    due_ms = now_ms + w->quiet_ms;
    if (due_ms > w->first_ms + w->most_ms)
        due_ms = w->first_ms + w->most_ms;
    due_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    event_add(w->timer,
              &(struct timeval){(time_t)(due_ms / 1000), (suseconds_t)(due_ms % 1000 * 1000)});
}

int machine_watch_error(const struct machine_watch *w)
{
    return w->error != 0 ? w->error : w->files_error;
}

static void add_step(struct machine_watch *w, const char *path, const char *name, uint32_t events)
{
    int wd = inotify_add_watch(w->files, path, events);

    if (wd < 0 && errno != ENOENT) /* has just gone: its folder tells */
        w->files_error = errno;
    if (wd < 0 || w->n_steps == STEPS_MAX)
        return;
    w->steps[w->n_steps].wd = wd;
    snprintf(w->steps[w->n_steps++].name, sizeof w->steps[0].name, "%s", name);
}

static bool join(char out[PATH_MAX], const char *a, const char *between, const char *b)
{
    return (size_t)snprintf(out, PATH_MAX, "%s%s%s", a, between, b) < PATH_MAX;
}

/* Watches the path to the file as far as there is one. */
static void follow(struct machine_watch *w, const char *path)
{
    char rest[PATH_MAX], folder[PATH_MAX] = "", next[PATH_MAX], link[PATH_MAX];
    char name[NAME_MAX + 1];
    int links = 0;

    if (!join(rest, w->root, "", path))
        return;
    for (;;) {
        size_t from = strspn(rest, "/"), n = strcspn(rest + from, "/");
        ssize_t len;

        if (n == 0 || n > NAME_MAX)
            break;
        memcpy(name, rest + from, n);
        name[n] = '\0';
        memmove(rest, rest + from + n, strlen(rest + from + n) + 1);
        add_step(w, folder[0] != '\0' ? folder : "/", name, FOLDER_EVENTS);
        if (!join(next, folder, "/", name))
            return;
        len = readlink(next, link, sizeof link - 1);
        if (len < 0 && errno != EINVAL)
            return; /* it is not there, or not for us: the folder tells when that changes */
        if (len < 0) {
            strcpy(folder, next);
            continue;
        }
        link[len] = '\0';
        if (++links > LINKS_MAX || !join(next, link, "", rest))
            return;
        strcpy(rest, next);
        if (link[0] == '/')
            folder[0] = '\0';
    }
    add_step(w, folder, "", FILE_EVENTS);
}

/* Only what is about the path as it was walked last is a sign. What is left of
 * earlier watches has other numbers; -1 is the loss of events. */
static void on_files(evutil_socket_t fd, short what, void *arg)
{
    struct machine_watch *w = arg;
    alignas(struct inotify_event) char events[8192];
    ssize_t n = read(fd, events, sizeof events);
    struct inotify_event e;

    (void)what;
    for (ssize_t pos = 0; pos < n; pos += (ssize_t)(sizeof e + e.len)) {
        const char *name = events + pos + sizeof e;
        bool is_sign;

        memcpy(&e, events + pos, sizeof e);
        is_sign = e.wd == -1;
        for (int i = 0; i < w->n_steps && !is_sign; i++)
            is_sign = w->steps[i].wd == e.wd && (e.len == 0 || strcmp(w->steps[i].name, name) == 0);
        if (is_sign)
            machine_watch_again(w);
    }
}

static void on_addresses(evutil_socket_t fd, short what, void *arg)
{
    char message[64]; /* its rest is thrown away */

    (void)what;
    (void)recv(fd, message, sizeof message, 0); /* ENOBUFS: some were lost */
    machine_watch_again(arg);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct machine_watch *w = arg;

    (void)fd;
    (void)what;
    w->first_ms = 0;
    if (w->files >= 0) {
        for (int i = 0; i < w->n_steps; i++)
            inotify_rm_watch(w->files, w->steps[i].wd);
        w->n_steps = 0;
        w->files_error = 0;
        for (size_t i = 0; i < ARRAY_LEN(resolv_confs); i++)
            follow(w, resolv_confs[i]);
    }
    w->changed(w->context);
}

/* The event of a descriptor; what cannot be watched is an error, not the end. */
static struct event *watch_descriptor(struct machine_watch *w, struct event_base *base, int fd,
                                      event_callback_fn call)
{
    struct event *e = fd >= 0 ? event_new(base, fd, EV_READ | EV_PERSIST, call, w) : NULL;

    if (e == NULL || event_add(e, NULL) != 0)
        w->error = errno;
    return e;
}

struct machine_watch *machine_watch_new(struct event_base *base, const char *root,
                                        unsigned quiet_ms, unsigned most_ms,
                                        machine_changed *changed, void *context)
{
    const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                       .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    struct machine_watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    *w = (struct machine_watch){.changed = changed,
                                .context = context,
                                .root = root,
                                .quiet_ms = quiet_ms,
                                .most_ms = most_ms};
    w->files = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->on_files = watch_descriptor(w, base, w->files, on_files);
    w->addresses = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    w->on_addresses = watch_descriptor(w, base, w->addresses, on_addresses);
    if (w->addresses >= 0 &&
        bind(w->addresses, (const struct sockaddr *)(const void *)&groups, sizeof groups) != 0)
        w->error = errno;
    w->timer = evtimer_new(base, on_due, w);
    if (w->timer == NULL) {
        machine_watch_free(w);
        return NULL;
    }
    machine_watch_again(w);
    return w;
}

void machine_watch_free(struct machine_watch *w)
{
    if (w == NULL)
        return;
    if (w->on_files != NULL)
        event_free(w->on_files);
    if (w->on_addresses != NULL)
        event_free(w->on_addresses);
    if (w->timer != NULL)
        event_free(w->timer);
    if (w->files >= 0)
        close(w->files);
    if (w->addresses >= 0)
        close(w->addresses);
    free(w);
}
