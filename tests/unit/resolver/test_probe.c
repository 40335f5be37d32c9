/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_probe.c -- KMS hosts are tried on a simulated network: what their names and their ports
 * say, and what becomes of it.
 */
#include "tests/unit/resolver/net.h"

#include "resolver/threads.h"

enum { INTERVAL_MS = 30000, TIMEOUT_MS = 2000 };
#define NAMED "pools: {p: [kms.example]}\n"
#define AT(ip) "pools: {p: [{target: kms.example, addresses: [" ip "]}]}\n"
#define TWICE                                                                                      \
    "pools: {p: [kms.example], q: {hosts: [{target: kms.example, probe: no}], choice: pin}}\n"
#define PINNED "pools: {p: [{target: kms.example, addresses: [10.0.0.5, 10.0.0.6]}]}\n"
#define FALL "kms: {probe-fall: "

/* A word for each try. The name: a it has 10.0.0.5, b also fd00::5, x it does not exist, n it has
 * no address, s the server fails, . it is not asked for (pinned). The port:
 * o it accepts, r refuses, t is silent, h there is no way, O the second address alone accepts.
 * Then the state (? unknown), and the error. */
static const struct row {
    const char *name, *settings, *policy, *tries, *error;
} rows[] = {
    {"up at the first try", "", NAMED, "ao+", ""},
    {"one of its pools wants it tried", "", TWICE, "ao+", ""},
    {"falls after two, rises after one", "", NAMED, "ao+ ar+ ar- ar- ao+", "refused"},
    {"falls after one", FALL "1}\n", NAMED, "at- ao+", "timed out"},
    {"rises after three", FALL "1, probe-rise: 3}\n", NAMED, "ar- ao- ao- ao+", "refused"},
    {"a good one begins the row anew", "", NAMED, "ar+ ao+ ar+ ao+", "refused"},
    {"no way", FALL "1}\n", NAMED, "ah-", "no route"},
    {"does not exist", "", NAMED, "x+ x- ao+", "does not resolve"},
    {"has no address", FALL "1}\n", NAMED, "n-", "does not resolve"},
    {"the servers fail: it stays as it is", FALL "1}\ncache: {serve-stale: 0}\n", NAMED,
     "s? ao+ ar- s- bo+", "refused"},
    {"one of two addresses is enough", FALL "1}\n", NAMED, "bO+", ""},
    {"pinned: the name is not asked for", FALL "1}\n", PINNED, ".o+ .t- .O+", "timed out"},
};

struct test {
    struct net *n;
    struct worker own;
    struct prober *prober;
    int seen; /* of what was sent */
};

/* The loop of the main thread: time, and its mail. */
static void pass(struct test *t, uint64_t ms)
{
    struct {
        void (*run)(struct worker *, void *arg);
        void *arg;
    } mail;

    net_wait(t->n, ms);
    while (read(t->own.mail[0], &mail, sizeof mail) == sizeof mail)
        mail.run(&t->own, mail.arg);
}

/* The next packet to a server, or connection to the host, for which time passes. */
static struct sent *next_sent(struct test *t, enum io_kind kind)
{
    for (int i = 0; i < 2 * INTERVAL_MS / 10; i++) {
        for (; t->seen < t->n->n_sent; t->seen++)
            if (t->n->sent[t->seen]->kind == kind && t->n->sent[t->seen]->peer != NULL)
                return t->n->sent[t->seen++];
        pass(t, 10);
    }
    fail_msg("nothing is sent");
    return NULL;
}

static void tell_address(struct test *t, char how)
{
    static const char soa[] = "ns example. 1 IN SOA ns.example. root.example. 1 2 3 4 1\n";
    struct sent *s = next_sent(t, IO_UDP);
    bool aaaa = s->m.qtype == TYPE_AAAA;
    const char *records = how == 'a' || how == 'b' ? "an kms.example. 1 IN A 10.0.0.5\n" : soa;
    uint16_t rcode = how == 'x' ? RCODE_NXDOMAIN : how == 's' ? RCODE_SERVFAIL : RCODE_NOERROR;
    uint8_t wire[512];
    size_t len;

    if (aaaa)
        records = how == 'b' ? "an kms.example. 1 IN AAAA fd00::5\n" : soa;
    len = text_to_wire(wire, DNS_QR | DNS_RA | rcode, aaaa ? "kms.example. AAAA" : "kms.example. A",
                       how == 's' ? "" : records, false);
    memcpy(wire, s->wire, 2);
    memcpy(wire + DNS_HEADER, s->wire + DNS_HEADER, s->m.question_len);
    assert_true(net_give(s, wire, (ssize_t)len));
}

static void end_connection(struct test *t, char how)
{
    static const char letters[] = "orh";
    static const int errors[] = {0, ECONNREFUSED, EHOSTUNREACH};
    struct io_peer *peer = next_sent(t, IO_CONNECT)->peer;

    if (how == 't') {
        pass(t, TIMEOUT_MS);
        assert_null(peer->handle);
        return;
    }
    net_close(&t->n->io, peer);
    peer->receive(peer, NULL, -errors[strchr(letters, how) - letters]);
}

static void run_try(struct test *t, const char *word, bool pinned)
{
    char name = pinned || word[0] == '.' ? '.' : word[0];
    char port = strchr("ab.", name) != NULL ? word[1] : '.';
    const char *state = word + strlen(word) - 1;
    const struct health *h;

    for (int i = 0; i < (name == 's' ? 12 : 2) && name != '.'; i++) /* A, AAAA; each try of them */
        tell_address(t, name);
    if (port == 'O')
        end_connection(t, 'r');
    if (port != '.')
        end_connection(t, port == 'O' ? 'o' : port);
    pass(t, 100);
    h = t->own.health;
    assert_non_null(h);
    assert_int_equal(h->n, 1);
    assert_int_equal(h->targets[0].since_ms == 0, *state == '?');
    assert_int_equal(h->targets[0].is_down, *state == '-');
}

static void begin(struct test *t, const struct row *r)
{
    static struct worker *workers[1];

    *t = (struct test){.n = net_new(16)};
    world_settings(t->n->w, r->settings);
    world_policy(t->n->w, r->policy);
    t->own.io = &t->n->io;
    t->own.view = &t->n->w->view;
    t->own.forwarder = t->n->f;
    t->own.policy = t->n->w->reader;
    assert_int_equal(pipe2(t->own.mail, O_NONBLOCK | O_CLOEXEC), 0);
    workers[0] = &t->own;
    t->prober = prober_new(workers, 0);
    assert_non_null(t->prober);
}

static void end(struct test *t)
{
    prober_stop(t->prober);
    pass(t, 0);
    net_free(t->n);
    free(t->prober);
    health_release(t->own.health);
    close(t->own.mail[0]);
    close(t->own.mail[1]);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char *rest = strdupa(r->tries), *word;
    struct test t;

    begin(&t, r);
    while ((word = strsep(&rest, " ")) != NULL)
        run_try(&t, word, strcmp(r->policy, PINNED) == 0);
    assert_string_equal(health_errors[t.own.health->targets[0].error], r->error);
    end(&t);
}

/* It stops while a name is asked for, and while a host is tried. */
static void check_stop(void **state)
{
    struct test t;

    for (int tried = 0; tried < 2; tried++) {
        begin(&t, &rows[0]);
        for (int i = 0; i < 2 * tried; i++)
            tell_address(&t, 'a');
        (void)next_sent(&t, tried ? IO_CONNECT : IO_UDP);
        assert_true(t.n->n_open > 0);
        end(&t);
    }
}

/* A host that leaves the policy while it is tried has no say any more, and may come back. */
static void check_drop(void **state)
{
    static const char both[] = "pools: {p: [kms.example, kms2.example]}\n",
                      other[] = "pools: {p: [{target: kms2.example, addresses: [10.0.0.6]}]}\n";
    struct test t;

    (void)state;
    begin(&t, &rows[2]);
    tell_address(&t, 'a');
    world_policy(t.n->w, other);
    tell_address(&t, 'a');
    pass(&t, 600);
    assert_int_equal(t.own.health->n, 1);
    assert_true(t.own.health->targets[0].is_pinned);
    end_connection(&t, 'r');
    end_connection(&t, 'o');
    pass(&t, 600);
    assert_int_equal(t.own.health->n, 1);
    assert_false(t.own.health->targets[0].is_down);
    assert_true(t.own.health->targets[0].since_ms > 0);
    world_policy(t.n->w, both);
    pass(&t, 600);
    assert_int_equal(t.own.health->n, 2);
    assert_int_equal(t.own.health->targets[0].since_ms, 0); /* nothing is known of it anew */
    end(&t);
}

/* A host has the addresses of the policy of now, if that pins some; none of them once it does not. */
static void check_addresses(void **state)
{
    static const char *const policies[] = {AT("10.0.0.6"), AT("10.0.0.7"), NAMED};
    const struct health_target *h;
    struct test t;

    begin(&t, &rows[0]);
    run_try(&t, "ao+", false);
    for (int i = 0; i < 3; i++) {
        world_policy(t.n->w, policies[i]);
        pass(&t, 1000);
        h = &t.own.health->targets[0];
        assert_int_equal(h->n_addresses, i < 2);
        assert_true(i == 2 || h->addresses[0].ip[15] == 6 + i);
    }
    end(&t);
}

TESTS("probe", ROWS(rows, check_row), TEST(check_stop), TEST(check_drop), TEST(check_addresses))
