/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_machine.c -- routes that lead back to ourselves, in this machine's own
 * addresses; and the servers of a resolv.conf.
 */
#include "tests/unit/resolver/world.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "resolver/machine.h"
#include "tests/settings_text.h"

/* An address of an interface other than loopback, as text. */
static bool own_address(int family, char *out)
{
    struct ifaddrs *list;
    struct addr a;
    bool found = false;

    assert_int_equal(getifaddrs(&list), 0);
    for (struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next) {
        found = i->ifa_addr != NULL && i->ifa_addr->sa_family == family &&
                addr_from_sockaddr(&a, i->ifa_addr) && !addr_is_loopback(&a) && a.scope == 0;
        if (found)
            addr_print(&a, out);
    }
    freeifaddrs(list);
    return found;
}

/* %s is the machine's own IPv4 address. */
static const struct row {
    const char *name, *settings;
    bool good;
} rows[] = {
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

static void check_row(void **state)
{
    const struct row *r = *state;
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
    assert_int_equal(settings_read_text(&s, "settings", text, strlen(text), &d), 0);
    assert_int_equal(machine_check_routes(s, &d), r->good ? 0 : -EINVAL);
    assert_int_equal(d.n, !r->good);
    if (!r->good)
        assert_non_null(strstr(d.at[0].text, own));
    settings_free(s);
    diags_fini(&d);
}

static void check_resolv_conf(void **state)
{
    static const char conf[] =
        "nameserver 127.0.0.1\nnameserver %s\n nameserver 192.0.2.77\n#nameserver 192.0.2.78\n"
        "nameserver nonsense\n";
    static const char listen[] = "server: {listen: [\"0.0.0.0:53\"]}\n";
    char root[] = "/tmp/test_machine.XXXXXX", path[64], own[ADDR_TEXT];
    struct settings *s;
    struct diags d;
    FILE *f;

    (void)state;
    diags_init(&d);
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/etc", root);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/etc/resolv.conf", root);
    assert_non_null(f = fopen(path, "w"));
    fprintf(f, conf, own_address(AF_INET, own) ? own : "127.0.0.2");
    fclose(f);
    assert_int_equal(settings_read_text(&s, "settings", listen, strlen(listen), &d), 0);
    assert_int_equal(machine_default_route(s, root, &d), 0);
    assert_int_equal(s->n_routes, 1);
    assert_int_equal(s->routes[0].n_servers, 1);
    assert_int_equal(s->routes[0].servers[0].ip[15], 77);
    settings_free(s);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(settings_read_text(&s, "settings", listen, strlen(listen), &d), 0);
    assert_int_equal(machine_default_route(s, root, &d), -EINVAL);
    assert_non_null(strstr(d.at[0].text, "forward: [{zone: ., servers:"));
    settings_free(s);
    snprintf(path, sizeof path, "%s/etc", root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(root), 0);
    diags_fini(&d);
}

static struct settings *settings_of(const char *text)
{
    struct settings *s;

    assert_int_equal(settings_read_text(&s, "settings", text, strlen(text), NULL), 0);
    return s;
}

static void networks_come_once_and_sorted(void **state)
{
    struct access_rule *rules;
    int n = machine_networks(&rules);

    (void)state;
    assert_true(n >= 0);
    for (int i = 1; i < n; i++) {
        int order = memcmp(rules[i - 1].net.ip, rules[i].net.ip, 16);

        assert_true(order < 0 || (order == 0 && rules[i - 1].net.len < rules[i].net.len));
    }
    free(rules);
}

/* What test_machine.py cannot see: the route's own identity follows its servers. */
static void own_server_is_left_out_of_a_running_route(void **state)
{
    struct settings *s = settings_of("server: {listen: [\"0.0.0.0:5300\"]}\n"
                                     "forward: [{zone: ., servers: [192.0.2.1, "
                                     "\"127.0.0.1:5301\", 192.0.2.2]}]\n");
    struct addr *servers = (struct addr *)(uintptr_t)s->routes[0].servers;
    uint32_t id = s->routes[0].id;
    struct diags d;

    (void)state;
    diags_init(&d);
    assert_int_equal(machine_update_routes(s, "", &d), 0);
    assert_int_equal(s->routes[0].n_servers, 3);
    assert_int_equal(s->routes[0].id, id);
    servers[1].port = 5300;
    assert_int_equal(machine_update_routes(s, "", &d), -EINVAL);
    assert_int_equal(d.n, 1);
    assert_int_equal(s->routes[0].n_servers, 2);
    assert_int_equal(servers[1].ip[15], 2);
    assert_int_not_equal(s->routes[0].id, id);
    assert_int_equal(s->routes[0].id, route_id(&s->routes[0]));
    settings_free(s);
    diags_fini(&d);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 3];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] =
            (struct CMUnitTest){rows[i].name, check_row, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(check_resolv_conf);
    tests[ARRAY_LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(networks_come_once_and_sorted);
    tests[ARRAY_LEN(rows) + 2] =
        (struct CMUnitTest)cmocka_unit_test(own_server_is_left_out_of_a_running_route);
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
