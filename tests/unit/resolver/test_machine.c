/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_machine.c -- routes that lead back to ourselves, in this machine's own
 * addresses; the servers of a resolv.conf; which changes of files are a sign, and when
 * it is given.
 *
 * The kernel queues an event before the call that made it returns, so nothing here
 * waits: the loop runs over what is there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver/machine.h"
#include "tests/settings_text.h"
#include "tests/unit/rows.h"

/* A folder that is the root for those that are asked for files. */
struct root {
    char path[64];
    struct event_base *base;
    struct machine_watch *watch;
    int calls;
};

static void shell(const struct root *r, const char *command)
{
    char text[1024];

    snprintf(text, sizeof text, "cd %s && { %s; } >/dev/null", r->path, command);
    assert_int_equal(system(text), 0);
}

static void root_make(struct root *r)
{
    *r = (struct root){.path = "/tmp/test_machine.XXXXXX"};
    assert_non_null(mkdtemp(r->path));
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
                addr_from_sockaddr(&a, i->ifa_addr) && !addr_is_loopback(&a) && a.scope == 0;
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
    assert_int_equal(settings_read_text(&s, "settings", text, strlen(text), &d), 0);
    assert_int_equal(machine_check_routes(s, &d), r->good ? 0 : -EINVAL);
    assert_int_equal(d.n, !r->good);
    if (!r->good)
        assert_non_null(strstr(d.at[0].text, own));
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
    {"ourselves only", "nameserver 127.0.0.1\n", "nameserver 192.0.2.7\n", NULL},
    {"no file", NULL, "nameserver 192.0.2.7\n", NULL},
    {"a stub", "nameserver 127.0.0.53\n", "nameserver 192.0.2.7\nnameserver 127.0.0.1\n",
     "192.0.2.7:53 "},
    {"a stub that knows none", "nameserver 127.0.0.53\n", "", NULL},
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
    assert_int_equal(settings_read_text(&s, "settings", listen, strlen(listen), &d), 0);
    assert_int_equal(machine_default_route(s, r.path, &d), row->want != NULL ? 0 : -EINVAL);
    for (int i = 0; s->n_routes == 1 && i < s->routes[0].n_servers; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ",
                 addr_print_port(&s->routes[0].servers[i], text));
    assert_string_equal(got, row->want != NULL ? row->want : "");
    if (row->want == NULL)
        assert_non_null(strstr(d.at[0].text, "forward: [{zone: ., servers:"));
    settings_free(s);
    diags_fini(&d);
    shell(&r, "rm -r $PWD");
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
    static const char text[] = "server: {listen: [\"0.0.0.0:5300\"]}\n"
                               "forward: [{zone: ., servers: [192.0.2.1, \"127.0.0.1:5301\", "
                               "192.0.2.2]}]\n";
    struct settings *s;
    struct addr *servers;
    struct diags d;
    uint32_t id;

    (void)state;
    assert_int_equal(settings_read_text(&s, "settings", text, strlen(text), NULL), 0);
    servers = (struct addr *)(uintptr_t)s->routes[0].servers;
    id = s->routes[0].id;
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

/* Commands of the shell, in the folder that is the root, which has etc/resolv.conf and
 * run: what is changed first, and what is to be a sign then. */
static const struct sign_row {
    const char *what, *first, *change;
    bool sign;
} sign_rows[] = {
    {"file written", ":", "echo x >>etc/resolv.conf", true},
    {"file removed", ":", "rm etc/resolv.conf", true},
    {"file may be read by others", ":", "chmod 640 etc/resolv.conf", true},
    {"file appears", "rm etc/resolv.conf", "echo x >etc/resolv.conf", true},
    {"file replaced", "echo x >etc/new", "mv etc/new etc/resolv.conf", true},
    {"file only read", ":", "cat etc/resolv.conf", false},
    {"its neighbour written", ":", "echo x >etc/resolv.conf.new", false},
    {"its folder goes", ":", "mv etc old", true},
    {"its folder comes", "mv etc old", "mv old etc", true},
    {"what was its folder", "mv etc old; mkdir etc", "echo x >>old/resolv.conf", false},
    {"file of systemd-resolved appears", "mkdir -p run/systemd/resolve",
     "echo x >run/systemd/resolve/resolv.conf", true},
    {"folder on the way to it appears", "mkdir run/systemd", "mkdir run/systemd/resolve", true},
    {"other folder beside it", "mkdir run/systemd", "mkdir run/systemd/other", false},
    {"target of a link", "mkdir a; echo x >a/f; ln -sf ../a/f etc/resolv.conf", "echo x >>a/f",
     true},
    {"folder of the target", "mkdir a; ln -sf ../a/f etc/resolv.conf", "mv a b", true},
    {"second link of a chain",
     "echo x >f; echo x >g; ln -s f second; ln -sf ../second etc/resolv.conf",
     "ln -s g new; mv -T new second", true},
    {"target of a chain", "echo x >f; ln -s f second; ln -sf ../second etc/resolv.conf",
     "echo x >>f", true},
    {"links of folders", "mkdir -p a/b; ln -s a/b c; ln -sf .././c//f etc/resolv.conf",
     "echo x >a/b/f", true},
    {"absolute link", "ln -sf $PWD/run/f etc/resolv.conf", "echo x >run/f", true},
    {"what the link named before",
     "echo x >f; ln -sf ../f etc/resolv.conf; ln -sf ../g etc/resolv.conf", "echo x >>f", false},
    {"links in a circle", "ln -s b a; ln -s a b; ln -sf ../a etc/resolv.conf", "rm etc/resolv.conf",
     true},
};

static void count(void *context)
{
    ((struct root *)context)->calls++;
}

/* All that is due now. */
static void run(const struct root *w)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static void begin(struct root *w, unsigned quiet_ms, unsigned most_ms)
{
    root_make(w);
    shell(w, "rm -r run/systemd; echo x >etc/resolv.conf");
    assert_non_null(w->base = event_base_new());
    w->watch = machine_watch_new(w->base, w->path, quiet_ms, most_ms, count, w);
    assert_non_null(w->watch);
    assert_int_equal(machine_watch_error(w->watch), 0);
    run(w);
}

static void end(struct root *w)
{
    machine_watch_free(w->watch);
    event_base_free(w->base);
    shell(w, "rm -r $PWD");
}

static void check_sign(void **state)
{
    const struct sign_row *r = *state;
    struct root w;

    begin(&w, 0, 0);
    assert_int_equal(w.calls, 1); /* once after the start */
    shell(&w, r->first);
    run(&w);
    w.calls = 0;
    shell(&w, r->change);
    run(&w);
    assert_int_equal(w.calls > 0, r->sign);
    end(&w);
}

static void waits_until_it_is_quiet(void **state)
{
    struct root w;

    (void)state;
    begin(&w, 3600000, 3600000);
    assert_int_equal(w.calls, 0);
    shell(&w, "echo x >>etc/resolv.conf");
    run(&w);
    assert_int_equal(w.calls, 0);
    end(&w);
}

static void does_not_wait_for_ever(void **state)
{
    struct root w;

    (void)state;
    begin(&w, 3600000, 300);
    while (w.calls == 0) { /* never quiet */
        machine_watch_again(w.watch);
        run(&w);
    }
    machine_watch_again(w.watch);
    run(&w);
    assert_int_equal(w.calls, 1); /* this one waits anew */
    end(&w);
}

static int count_watches(void)
{
    char path[64], line[256];
    int n = 0;

    for (int fd = 3; fd < 64; fd++) {
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        if ((f = fopen(path, "r")) == NULL)
            continue;
        while (fgets(line, sizeof line, f) != NULL)
            n += strncmp(line, "inotify wd:", 11) == 0;
        fclose(f);
    }
    return n;
}

static void what_has_left_the_way_is_watched_no_more(void **state)
{
    struct root w;
    int n;

    (void)state;
    begin(&w, 0, 0);
    n = count_watches();
    assert_true(n >= 4); /* the root, tmp, etc and the file at least */
    shell(&w, "mkdir a b; echo x >a/f; ln -sf ../a/f etc/resolv.conf");
    run(&w);
    assert_int_equal(count_watches(), n + 1);
    shell(&w, "echo x >b/f; ln -sf ../b/f etc/resolv.conf");
    run(&w);
    assert_int_equal(count_watches(), n + 1);
    end(&w);
}

static void no_such_thing_as_a_watch(void **state)
{
    (void)state;
    machine_watch_again(NULL);
    machine_watch_free(NULL);
}

static void folder_that_is_not_for_us(void **state)
{
    struct root w;

    (void)state;
    if (geteuid() == 0) /* from whom nothing is hidden */
        assert_int_equal(seteuid(65534), 0);
    begin(&w, 0, 0);
    shell(&w, "chmod 311 etc");
    run(&w);
    assert_int_equal(machine_watch_error(w.watch), EACCES);
    shell(&w, "chmod 755 etc");
    run(&w);
    assert_int_equal(machine_watch_error(w.watch), 0);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    end(&w);
}

int main(void)
{
    struct CMUnitTest
        tests[ARRAY_LEN(route_rows) + ARRAY_LEN(resolv_rows) + ARRAY_LEN(sign_rows) + 7];
    size_t n = 0;

    ROWS(route_rows, check_route);
    ROWS(resolv_rows, check_resolv_conf);
    ROWS(sign_rows, check_sign);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(networks_come_once_and_sorted);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(own_server_is_left_out_of_a_running_route);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(waits_until_it_is_quiet);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(does_not_wait_for_ever);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(what_has_left_the_way_is_watched_no_more);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(no_such_thing_as_a_watch);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(folder_that_is_not_for_us);
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
