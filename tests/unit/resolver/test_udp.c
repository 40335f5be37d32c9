/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_udp.c -- questions over UDP on real sockets: batches, late answers, the address
 * that answers, and what is counted.
 */
#include "tests/unit/resolver/net.h"

#include <event2/event.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "resolver/listen.h"
#include "tests/unit/rows.h"

static struct {
    struct net *n;
    struct event_base *base;
    struct listen listen;
    struct listener *listeners;
    struct udp *udp;
    int client;
} t; /* one at a time: net.send_client has no context */

static void send_client(struct net *n, const struct client *c, const uint8_t *wire, size_t len)
{
    assert_ptr_equal(n, t.n);
    udp_send(t.udp, c, wire, len);
}

static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* What the settings listen at; where the client asks; the rest of the settings; the
 * question, how often; answers at once and late; and what is counted. */
static const struct row {
    const char *what, *listen, *server, *settings, *question;
    int times, at_once, late;
    unsigned ignored, dropped, kms;
} rows[] = {
    {"answered here", "127.0.0.1", "127.0.0.1", "", "localhost A", 1, 1, 0, 0, 0, 0},
    {"more than a batch", "127.0.0.1", "127.0.0.1", "", "localhost A", 100, 100, 0, 0, 0, 0},
    {"forwarded", "127.0.0.1", "127.0.0.1", "", "www.example A", 1, 0, 1, 0, 0, 0},
    {"IPv6", "[::1]", "::1", "", "localhost A", 1, 1, 0, 0, 0, 0},
    {"from the address that was asked", "0.0.0.0", "127.0.0.66", "", "localhost A", 2, 2, 0, 0, 0,
     0},
    {"late from it", "0.0.0.0", "127.0.0.66", "", "www.example A", 1, 0, 1, 0, 0, 0},
    {"from it over IPv6", "[::]", "::1", "", "localhost A", 1, 1, 0, 0, 0, 0},
    {"late from it over IPv6", "[::]", "::1", "", "www.example A", 1, 0, 1, 0, 0, 0},
    {"no question", "127.0.0.1", "127.0.0.1", "", NULL, 3, 0, 0, 3, 0, 0},
    {"access refuses a discovery question", "127.0.0.1", "127.0.0.1",
     "access: [{net: 127.0.0.1/32, action: refuse}]\n", "_vlmcs._tcp.x.example SRV", 1, 1, 0, 0, 0,
     1},
    {"access drops it", "127.0.0.1", "127.0.0.1", "access: [{net: 127.0.0.1/32, action: drop}]\n",
     "_vlmcs._tcp.x.example SRV", 2, 0, 0, 0, 2, 2},
};

static const struct row *row; /* of the test that runs */

static int begin(void **state)
{
    char settings[300];
    struct sockaddr_storage to;
    struct addr server;
    struct diags d;
    int rc = -EADDRINUSE;

    row = *state;
    memset(&t, 0, sizeof t);
    if (strchr(row->server, ':') != NULL && access("/proc/net/if_inet6", R_OK) != 0)
        return 0;
    diags_init(&d);
    t.n = net_new(16);
    t.n->send_client = send_client;
    for (int tries = 0; rc != 0 && tries < 20; tries++) { /* others look for ports, too */
        assert_int_equal(addr_parse(&server, row->server, (uint16_t)free_port()), 0);
        snprintf(settings, sizeof settings,
                 "server: {listen: [\"%s:%u\"], open-resolver: yes}\n"
                 "forward: [{zone: ., servers: [192.0.2.53]}]\n%s",
                 row->listen, server.port, row->settings);
        world_settings(t.n->w, settings);
        rc = listen_bind(t.n->w->settings, 1, &t.listeners, &d);
    }
    assert_int_equal(rc, 0);
    diags_fini(&d);
    t.base = event_base_new();
    t.listen = (struct listen){.base = t.base,
                               .io = &t.n->io,
                               .view = &t.n->w->view,
                               .forwarder = t.n->f,
                               .stats = &t.n->w->stats,
                               .n_workers = 1};
    t.udp = udp_new(&t.listen, t.listeners, 1);
    t.client = socket(addr_is_v4(&server) ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(t.client, (struct sockaddr *)&to, addr_to_sockaddr(&server, &to)), 0);
    *state = t.n;
    return 0;
}

static int end(void **state)
{
    if (t.n == NULL)
        return 0;
    close(t.client);
    close(t.listeners[1].fd); /* of TCP */
    forwarder_free(t.n->f);
    t.n->f = NULL;
    udp_free(t.udp);
    free(t.listeners);
    event_base_free(t.base);
    net_free(t.n);
    return 0;
}

/* Answers that have come, each from where it was asked: the client is connected. */
static int count_answers(void)
{
    uint8_t wire[600];
    ssize_t len;
    int n = 0;

    event_base_loop(t.base, EVLOOP_NONBLOCK);
    while ((len = recv(t.client, wire, sizeof wire, 0)) > 0) {
        assert_true(len >= DNS_HEADER && (wire[2] & 0x80) != 0);
        n++;
    }
    return n;
}

static void check_row(void **state)
{
    const struct worker_stats *stats;
    struct words s;
    uint8_t wire[600] = "no question";
    size_t len = 5;

    if (t.n == NULL)
        skip(); /* no IPv6 here */
    stats = &t.n->w->stats;
    if (row->question != NULL) {
        s = words_of(row->question);
        len = question_write(&s, wire, sizeof wire);
    }
    for (int i = 0; i < row->times; i++)
        assert_int_equal(send(t.client, wire, len, 0), len);
    assert_int_equal(count_answers(), row->at_once);
    if (row->late > 0) {
        memcpy(wire, t.n->sent[0]->wire, t.n->sent[0]->len);
        wire[2] |= 0x80;
        wire[3] = RCODE_NXDOMAIN;
        assert_true(net_give(t.n->sent[0], wire, t.n->sent[0]->len));
    }
    assert_int_equal(count_answers(), row->late);
    assert_int_equal(stats->queries_udp, row->question != NULL ? row->times : 0);
    assert_int_equal(stats->queries_tcp, 0);
    assert_int_equal(stats->answers, row->at_once);
    assert_int_equal(stats->ignored, row->ignored);
    assert_int_equal(stats->dropped, row->dropped);
    assert_int_equal(stats->kms_questions, row->kms);
    assert_int_equal(stats->audit_dropped, row->kms); /* there is no ring */
    assert_int_equal(stats->send_errors + stats->receive_errors, 0);
}

/* With SO_REUSEPORT a second daemon would share the port in silence. */
static void port_in_use_names_who_has_it(void **state)
{
    struct listener *second;
    char pid[32];
    struct diags d;

    diags_init(&d);
    assert_int_equal(listen_bind(t.n->w->settings, 2, &second, &d), -EINVAL);
    assert_int_equal(d.n, 1);
    snprintf(pid, sizeof pid, "in use by test_udp (pid %d)", (int)getpid());
    assert_has(d.list[0].text, pid);
    diags_fini(&d);
}

int main(void)
{
    ROWS_WITH(rows, check_row, begin, end);
    rows_add("port in use names who has it", port_in_use_names_who_has_it, begin, end, &rows[0]);
    return RUN("udp");
}
