/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_machine.c -- routes that lead back to ourselves, in this machine's own
 * addresses; the servers of a resolv.conf; which changes of files are seen.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver/machine.h"
#include "settings/settings.h"
#include "tests/settings_text.h"
#include "tests/unit/scratch.h"

/* A folder that is the root for those that are asked for files. */
struct root {
    char path[SCRATCH];
};

static void shell(const struct root *r, const char *command)
{
    char text[1024];

    snprintf(text, sizeof text, "cd %s && { %s; } >/dev/null", r->path, command);
    assert_int_equal(system(text), 0);
}

static void root_make(struct root *r)
{
    scratch_make(r->path);
    shell(r, "mkdir -p etc run/systemd/resolve");
}

/* An address of an interface other than loopback, as text. */
static bool own_address(int family, char *out)
{
    struct ifaddrs *list;
    struct addr a;
    bool found = false;

    assert_int_equal(getifaddrs(&list), 0);
    for (struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next) {
        found = i->ifa_addr != NULL && i->ifa_addr->sa_family == family &&
                addr_from_sockaddr(&a, i->ifa_addr) && !addr_is(&a, ADDR_LOOPBACK) && a.scope == 0;
        if (found)
            addr_print(&a, out);
    }
    freeifaddrs(list);
    return found;
}

/* %s is the machine's own IPv4 address. */
static const struct route_row {
    const char *what, *settings;
    bool good;
} route_rows[] = {
    {"own address, wildcard",
     "server: {listen: [\"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: [\"%s:5300\"]}]\n", false},
    {"own address, wildcard, a later route",
     "server: {listen: [\"127.0.0.1:5300\", \"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: "
     "[192.0.2.77]}, "
     "{zone: corp.example, servers: [192.0.2.78, \"%s:5300\"]}]\n",
     false},
    {"own address, another port",
     "server: {listen: [\"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: [\"%s:5301\"]}]\n", true},
    {"own address, another address is listened on",
     "server: {listen: [\"127.0.0.1:5300\"]}\nforward: [{zone: ., servers: [\"%s:5300\"]}]\n",
     true},
    {"own address, the wildcard of the other family",
     "server: {listen: [\"[::]:5300\"]}\nforward: [{zone: ., servers: [\"%s:5300\"]}]\n", true},
    {"another machine, wildcard",
     "server: {listen: [\"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: "
     "[\"198.51.100.%.0s1:5300\"]}]\n",
     true},
};

static void check_route(void **state)
{
    const struct route_row *r = *state;
    char own[ADDR_TEXT], text[512];
    struct settings *s;
    struct diags d;

    if (!own_address(AF_INET, own))
        skip(); /* a machine without a network */
    diags_init(&d);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, r->settings, own);
#pragma GCC diagnostic pop
    assert_int_equal(settings_read_text(&s, text, strlen(text), &d), 0);
    assert_int_equal(machine_routes(s, "", &d), r->good ? 0 : -EINVAL);
    assert_int_equal(d.n, !r->good);
    if (!r->good)
        assert_has(d.list[0].text, own);
    settings_free(s);
    diags_fini(&d);
}

/* The servers that are used; NULL: none, and the problem names the line to write. OWN
 * is an address of this machine, where it listens. */
static const struct resolv_row {
    const char *what, *conf, *resolved, *want;
} resolv_rows[] = {
    {"others than ourselves", "nameserver 127.0.0.1\nnameserver OWN\nnameserver 192.0.2.77\n", NULL,
     "192.0.2.77:53 "},
    {"what is no server",
     "#nameserver 192.0.2.78\n nameserver 192.0.2.77\nnameserver nonsense\nsearch x\n", NULL,
     "192.0.2.77:53 "},
    {"in their order", "nameserver 192.0.2.9\nnameserver 2001:db8::1\n", NULL,
     "192.0.2.9:53 [2001:db8::1]:53 "},
    {"ourselves only", "nameserver 127.0.0.1\n", "nameserver 192.0.2.7\n"},
    {"no file", NULL, "nameserver 192.0.2.7\n"},
    {"a stub", "nameserver 127.0.0.53\n", "nameserver 192.0.2.7\nnameserver 127.0.0.1\n",
     "192.0.2.7:53 "},
    {"a stub that knows none", "nameserver 127.0.0.53\n", ""},
};

static void write_conf(const struct root *r, const char *path, const char *text)
{
    char own[ADDR_TEXT], command[512];

    if (text == NULL)
        return;
    snprintf(command, sizeof command, "printf '%s' | sed s/OWN/%s/ >%s", text,
             own_address(AF_INET, own) ? own : "127.0.0.2", path);
    shell(r, command);
}

static void check_resolv_conf(void **state)
{
    static const char listen[] = "server: {listen: [\"0.0.0.0:53\"]}\n";
    const struct resolv_row *row = *state;
    char got[256] = "", text[ADDR_TEXT];
    struct settings *s;
    struct root r;
    struct diags d;

    diags_init(&d);
    root_make(&r);
    write_conf(&r, "etc/resolv.conf", row->conf);
    write_conf(&r, "run/systemd/resolve/resolv.conf", row->resolved);
    assert_int_equal(settings_read_text(&s, listen, strlen(listen), &d), 0);
    assert_int_equal(machine_routes(s, r.path, &d), row->want != NULL ? 0 : -EINVAL);
    assert_true(s->n_routes == 0 || s->routes[0].edns); /* as an option's default is */
    for (int i = 0; s->n_routes == 1 && i < s->routes[0].n_servers; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ",
                 addr_print_port(&s->routes[0].servers[i], text));
    assert_string_equal(got, row->want != NULL ? row->want : "");
    if (row->want == NULL)
        assert_has(d.list[0].text, "forward: [{zone: ., servers:");
    if (row->want != NULL) { /* the servers that were found are not lost with the file's */
        const int n = s->routes[0].n_servers;

        write_conf(&r, "etc/resolv.conf", "nameserver 127.0.0.1\n");
        assert_int_equal(machine_routes(s, r.path, &d), -EINVAL);
        assert_has(d.list[0].text, "the servers of before stay in use");
        assert_true(s->n_routes == 1 && s->routes[0].n_servers == n);
    }
    settings_free(s);
    diags_fini(&d);
    scratch_remove(r.path);
}

/* 127.0.0.1 and ::1 are on every machine. */
static void networks_come_once(void **state)
{
    struct prefix loopback = {.len = 0};
    struct settings *s;
    bool found = false;

    assert_int_equal(settings_read_text(&s, "", 0, NULL), 0);
    assert_int_equal(prefix_parse(&loopback, "127.0.0.0/8"), 0);
    machine_networks(s);
    for (int i = 0; i < s->n_machine; i++) {
        found = found || prefix_same(&s->machine[i].net, &loopback);
        for (int k = 0; k < i; k++)
            assert_false(prefix_same(&s->machine[k].net, &s->machine[i].net));
    }
    assert_true(found);
    settings_free(s);
}

/* What test_machine.py cannot see: the route's own identity follows its servers. */
static void own_server_is_left_out_of_a_running_route(void **state)
{
    static const char text[] = "server: {listen: [\"0.0.0.0:5300\"]}\n"
                               "forward: [{zone: ., servers: [192.0.2.1, \"127.0.0.1:5301\", "
                               "192.0.2.2]}]\n";
    struct settings *s;
    struct addr *servers;
    struct diags d;
    uint32_t id;

    assert_int_equal(settings_read_text(&s, text, strlen(text), NULL), 0);
    servers = (struct addr *)(uintptr_t)s->routes[0].servers;
    id = s->routes[0].id;
    diags_init(&d);
    assert_int_equal(machine_routes(s, "", &d), 0);
    assert_int_equal(s->routes[0].n_servers, 3);
    assert_int_equal(s->routes[0].id, id);
    servers[1].port = 5300;
    assert_int_equal(machine_routes(s, "", &d), -EINVAL);
    assert_int_equal(d.n, 1);
    assert_int_equal(s->routes[0].n_servers, 2);
    assert_int_equal(servers[1].ip[15], 2);
    assert_int_not_equal(s->routes[0].id, id);
    assert_int_equal(s->routes[0].id, route_id(&s->routes[0]));
    settings_free(s);
    diags_fini(&d);
}

/* Commands of the shell in the root: what is there first; a change, and whether it is
 * seen. */
static const struct seen_row {
    const char *what, *first, *change;
    bool seen;
} seen_rows[] = {
    {"file written", ":", "echo y >>etc/resolv.conf", true},
    {"file removed", ":", "rm etc/resolv.conf", true},
    {"file appears", "rm etc/resolv.conf", "echo x >etc/resolv.conf", true},
    {"an empty one appears", "rm etc/resolv.conf", ": >etc/resolv.conf", true},
    {"file replaced", "echo y >etc/new", "mv etc/new etc/resolv.conf", true},
    {"file only touched", ":", "touch etc/resolv.conf", false},
    {"its neighbour written", ":", "echo y >etc/resolv.conf.new", false},
    {"file of systemd-resolved appears", ":", "echo x >run/systemd/resolve/resolv.conf", true},
    {"they change places", "echo y >run/systemd/resolve/resolv.conf",
     "mv etc/resolv.conf a; mv run/systemd/resolve/resolv.conf etc; mv a "
     "run/systemd/resolve/resolv.conf",
     true},
    {"one takes the other's place", ":", "mv etc/resolv.conf run/systemd/resolve", true},
    {"target of a link written", "echo x >f; ln -sf ../f etc/resolv.conf", "echo y >>f", true},
    {"folder of the target goes", "mkdir a; echo x >a/f; ln -sf ../a/f etc/resolv.conf", "mv a b",
     true},
};

static void check_seen(void **state)
{
    const struct seen_row *row = *state;
    struct root r;
    uint64_t before;

    root_make(&r);
    shell(&r, "echo x >etc/resolv.conf");
    shell(&r, row->first);
    before = machine_fingerprint(r.path);
    shell(&r, row->change);
    assert_int_equal(machine_fingerprint(r.path) != before, row->seen);
    scratch_remove(r.path);
}

int main(void)
{
    ROWS(route_rows, check_route);
    ROWS(resolv_rows, check_resolv_conf);
    ROWS(seen_rows, check_seen);
    TEST(networks_come_once);
    TEST(own_server_is_left_out_of_a_running_route);
    return RUN("machine");
}
