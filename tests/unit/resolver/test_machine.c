/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_machine.c -- routes that lead back to ourselves, in this machine's own
 * addresses; the servers of a resolv.conf, and that its changes are seen.
 */
#include <ifaddrs.h>
#include <sys/socket.h>

#include "resolver/machine.h"
#include "tests/settings_text.h"
#include "tests/unit/scratch.h"

static char root[SCRATCH];                /* for those that are asked for files */
static char own[ADDR_TEXT] = "127.0.0.2"; /* better one of an interface other than loopback */

static void shell(const char *command)
{
    char text[1024];

    snprintf(text, sizeof text, "cd %s && { %s; } >/dev/null", root, command);
    assert_int_equal(system(text), 0);
}

static int begin(void **state)
{
    struct ifaddrs *list;
    struct addr a;

    scratch_make(root);
    shell("mkdir -p etc run/systemd/resolve");
    assert_int_equal(getifaddrs(&list), 0);
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        if (addr_from_sockaddr(&a, i->ifa_addr) && addr_is_v4(&a) && !addr_is(&a, ADDR_LOOPBACK))
            addr_print(&a, own);
    freeifaddrs(list);
    return 0;
}

static int end(void **state)
{
    scratch_remove(root);
    return 0;
}

/* With the address of this machine for each OWN. Returns out. */
static char *with_own(const char *text, char out[512])
{
    const char *at;

    for (out[0] = '\0'; (at = strstr(text, "OWN")) != NULL; text = at + 3)
        sprintf(out + strlen(out), "%.*s%s", (int)(at - text), text, own);
    return strcat(out, text);
}

/* ---- routes ---- */

#define ALL "server: {listen: [\"0.0.0.0:5300\"]}\n"
#define TO(servers) "forward: [{zone: ., servers: [" servers "]}]\n"

/* The servers that are used of all routes, and a problem; the two files, if they are there. */
static const struct row {
    const char *what, *settings, *want, *problem, *conf, *resolved;
} rows[] = {
    {"own address", TO("192.0.2.1, 127.0.0.1"), "192.0.2.1:53 ", "servers: 127.0.0.1:53 (zone .)"},
    {"own address, another port", TO("\"127.0.0.1:5353\""), "127.0.0.1:5353 "},
    {"another address of loopback", TO("127.0.0.2"), "127.0.0.2:53 "},
    {"loopback, wildcard", ALL TO("\"127.0.0.9:5300\""), "", "127.0.0.9:5300"},
    {"loopback, wildcard, IPv6", "server: {listen: [\"[::]:5300\"]}\n" TO("\"[::1]:5300\""), "",
     "[::1]:5300"},
    {"of an interface, wildcard", ALL TO("\"OWN:5300\""), "", "OWN:5300"},
    {"of an interface, wildcard, a later route",
     "server: {listen: [\"127.0.0.1:5300\", \"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: "
     "[192.0.2.77]}, {zone: corp.example, servers: [192.0.2.78, \"OWN:5300\", 192.0.2.79]}]\n",
     "192.0.2.77:53 192.0.2.78:53 192.0.2.79:53 ", "OWN:5300 (zone corp.example)"},
    {"of an interface, another port", ALL TO("\"OWN:5301\""), "OWN:5301 "},
    {"of an interface, another is listened on",
     "server: {listen: [\"127.0.0.1:5300\"]}\n" TO("\"OWN:5300\""), "OWN:5300 "},
    {"of an interface, the wildcard of the other family",
     "server: {listen: [\"[::]:5300\"]}\n" TO("\"OWN:5300\""), "OWN:5300 "},
    {"another machine, wildcard", ALL TO("\"198.51.100.1:5300\""), "198.51.100.1:5300 "},

    {"others than ourselves", "server: {listen: [0.0.0.0]}\n", "192.0.2.77:53 ", NULL,
     "nameserver 127.0.0.1\nnameserver OWN\nnameserver 192.0.2.77\n"},
    {"what is no server", "", "192.0.2.77:53 ", NULL,
     "#nameserver 192.0.2.78\n nameserver 192.0.2.77\nnameserver nonsense\nsearch x\n"},
    {"in their order", "", "192.0.2.9:53 [2001:db8::1]:53 ", NULL,
     "nameserver 192.0.2.9\nnameserver 2001:db8::1\n"},
    {"ourselves only", "", "", "forward: [{zone: ., servers:", "nameserver 127.0.0.1\n",
     "nameserver 192.0.2.7\n"},
    {"no file", "", "", "forward: [{zone: ., servers:", NULL, "nameserver 192.0.2.7\n"},
    {"a stub", "", "192.0.2.7:53 ", NULL, "nameserver 127.0.0.53\n",
     "nameserver 192.0.2.7\nnameserver 127.0.0.1\n"},
    {"a stub that knows none", "", "", "forward: [{zone: ., servers:", "nameserver 127.0.0.53\n",
     "nameserver 127.0.0.53\n"},
};

static void write_conf(const char *path, const char *text)
{
    char command[700], with[512];

    snprintf(command, sizeof command, "printf '%s' >%s", with_own(text, with), path);
    shell(command);
}

/* Each identity follows the servers. */
static void check_servers(const struct settings *s, const char *want)
{
    char got[512] = "", text[ADDR_TEXT], with[512];

    for (int i = 0; i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];

        assert_int_equal(r->id, route_id(r));
        assert_true(r->edns); /* as an option's default is */
        for (int k = 0; k < r->n_servers; k++)
            sprintf(got + strlen(got), "%s ", addr_print_port(&r->servers[k], text));
    }
    assert_string_equal(got, with_own(want, with));
}

static void check_row(void **state)
{
    const struct row *r = *state;
    uint64_t before = machine_fingerprint(root);
    char text[512];
    struct settings *s;
    struct diags d = {0};

    if (r->conf != NULL)
        write_conf("etc/resolv.conf", r->conf);
    if (r->resolved != NULL)
        write_conf("run/systemd/resolve/resolv.conf", r->resolved);
    assert_true((machine_fingerprint(root) == before) == (r->conf == NULL && r->resolved == NULL));
    with_own(r->settings, text);
    assert_int_equal(settings_read_text(&s, text, strlen(text), &d), 0);
    assert_int_equal(machine_routes(s, root, &d), r->problem != NULL ? -EINVAL : 0);
    assert_int_equal(d.n, r->problem != NULL);
    if (r->problem != NULL)
        assert_has(d.list[0], with_own(r->problem, text));
    check_servers(s, r->want);
    if (s->routes_found) { /* they are not lost with the file's */
        before = machine_fingerprint(root);
        shell("mv etc/resolv.conf run/systemd/resolve");
        assert_int_not_equal(machine_fingerprint(root), before);
        assert_int_equal(machine_routes(s, root, &d), -EINVAL);
        assert_has(d.list[0], "the servers of before stay in use");
        check_servers(s, r->want);
    }
    settings_free(s);
    diags_fini(&d);
}

/* 127.0.0.1 and ::1 are on every machine. */
static void networks_come_once(void **state)
{
    struct prefix loopback = {.len = 0};
    struct settings *s;
    int found = 0;

    assert_int_equal(settings_read_text(&s, "", 0, NULL), 0);
    assert_null(prefix_parse(&loopback, "127.0.0.0/8"));
    machine_networks(s);
    for (int i = 0; i < s->n_machine; i++) {
        found += prefix_same(&s->machine[i].net, &loopback);
        for (int k = 0; k < i; k++)
            assert_false(prefix_same(&s->machine[k].net, &s->machine[i].net));
    }
    assert_int_equal(found, 1);
    settings_free(s);
}

TESTS("machine", ROWS_WITH(rows, check_row, begin, end), TEST(networks_come_once))
