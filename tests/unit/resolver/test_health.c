/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_health.c -- what probes mean for a host's state, which hosts of a pool a client is given,
 * and what it is answered then.
 */
#include "tests/unit/resolver/world.h"

/* A letter for each probe: o fine, r refused, t timed out, n no route, u does not resolve,
 * ? unknown. Behind it: is the host up (+) or down (-)? */
static const struct state_row {
    const char *name, *probes;
    unsigned rise, fall;
    const char *last; /* error that is told */
} state_rows[] = {
    {"up at the start, and after one failure", "?+o+r+o+r+o+", 1, 2, "refused"},
    {"down after two in a row", "r+t-", 1, 2, "timed out"},
    {"of whatever kind", "u+n-", 1, 2, "no route"},
    {"a good one begins the row anew", "r+r+o+r+r+r-", 1, 3, "refused"},
    {"what is unknown changes nothing, and breaks no row", "r+?+?+u-?-?-", 1, 2,
     "does not resolve"},
    {"at once", "r-o+", 1, 1, "refused"},
    {"up after one", "t+t-o+t+o+", 1, 2, "timed out"},
    {"up after three in a row", "t-o-o-t-o-o-o+t-", 3, 1, "timed out"},
    {"never failed", "o+o+", 1, 1, ""},
};

static void check_state(void **state)
{
    static const char letters[] = "ortnu?";
    const struct state_row *r = *state;
    struct health_target t = {.port = 1688};
    uint64_t now_ms = 1000, since_ms = 0;

    for (const char *p = r->probes; *p != '\0'; p += 2, now_ms += 1000) {
        const enum health_error error = (enum health_error)(strchr(letters, p[0]) - letters);
        const bool was_down = t.is_down;
        const enum health_error was = t.error;
        bool told = health_note(&t, error, r->rise, r->fall, now_ms);

        assert_int_equal(t.is_down, p[1] == '-');
        if (error != HEALTH_UNKNOWN && (since_ms == 0 || t.is_down != was_down)) {
            since_ms = now_ms;
            assert_true(told);
        }
        assert_true(told || t.error == was);
        assert_int_equal(t.since_ms, since_ms);
    }
    assert_string_equal(health_errors[t.error], r->last);
}

static const struct errno_row {
    const char *name;
    int err;
    enum health_error error;
} errno_rows[] = {
    {"connected", 0, HEALTH_FINE},
    {"refused", ECONNREFUSED, HEALTH_REFUSED},
    {"reset", ECONNRESET, HEALTH_REFUSED},
    {"timed out", ETIMEDOUT, HEALTH_TIMED_OUT},
    {"no route", ENETUNREACH, HEALTH_NO_ROUTE},
    {"no host", EHOSTUNREACH, HEALTH_NO_ROUTE},
    {"a filter of our own", EACCES, HEALTH_NO_ROUTE},
    {"no descriptor", EMFILE, HEALTH_UNKNOWN},
    {"nor in the system", ENFILE, HEALTH_UNKNOWN},
    {"no memory", ENOMEM, HEALTH_UNKNOWN},
    {"no buffer", ENOBUFS, HEALTH_UNKNOWN},
};

static void check_errno(void **state)
{
    const struct errno_row *r = *state;

    assert_int_equal(health_error_of(r->err), r->error);
}

#define NAME "_vlmcs._tcp.x.example"
#define SOA "ns example. 300 IN SOA ns.example. root.example. 1 2 3 4 900\n"
#define POOL(way, hosts)                                                                           \
    "pools: {p: {" way "hosts: [" hosts "]}}\nrules: {r: {suffixes: [x.example], pool: p}}\n"
#define THREE "a.example, {target: b.example, probe: no}, {target: c.example, priority: 1}"
#define S(host, priority) "an " NAME ". 300 IN SRV " #priority " 0 1688 " host ".example.\n"
#define A S("a", 0)
#define B S("b", 0)
#define C S("c", 1)

struct known {
    struct health h;
    struct health_target targets[4];
    struct pin pins[4];
};

/* What is known of a.example to c.example, of which those in `down` are down. */
static void make_known(struct known *k, const char *down)
{
    static uint32_t epoch;
    char name[] = "a.example";

    k->h.epoch = ++epoch;
    k->h.n = 3;
    for (size_t i = 0; i < k->h.n; i++, name[0]++) {
        k->targets[i] = (struct health_target){
            .port = 1688, .is_down = strchr(down, name[0]) != NULL, .pin = &k->pins[i]};
        assert_int_equal(name_parse(&k->targets[i].target, name), 0);
    }
}

static const struct answer_row {
    const char *name, *policy, *down, *want;
} answer_rows[] = {
    {"nothing is down", POOL("", THREE), "", A B C},
    {"one is left out", POOL("", THREE), "a", B C},
    {"of another priority", POOL("", THREE), "c", A B},
    {"one that is not probed stays", POOL("", THREE), "ab", B C},
    {"two", POOL("", THREE), "ac", B},
    {"never the last: all are given", POOL("", "a.example, c.example"), "ac", A S("c", 0)},
    {"the only one", POOL("", "a.example"), "a", A},
    {"another port is another host", POOL("", "a.example, \"c.example:1\""), "c",
     A "an " NAME ". 300 IN SRV 0 0 1 c.example.\n"},
    {"pinned: the first", POOL("choice: pin, ", THREE), "", A},
    {"pinned: the next one that is up", POOL("choice: pin, ", THREE), "a", B},
    {"pinned: by priority", POOL("choice: pin, ", "c.example, {target: a.example, priority: 1}"),
     "", S("c", 0)},
    {"pinned: none is up", POOL("choice: pin, ", "a.example, c.example"), "ac", A S("c", 0)},
};

/* The lines of an answer's section, sorted: their order is drawn. */
static const char *sorted(const char *text)
{
    static char out[2][2000];
    static int which;
    char copy[2000], *lines[16], *save;
    struct str s;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = strtok_r(copy, "\n", &save); p != NULL; p = strtok_r(NULL, "\n", &save))
        lines[n++] = p;
    for (size_t i = 0; i < n; i++) /* few */
        for (size_t k = i + 1; k < n; k++)
            if (strcmp(lines[k], lines[i]) < 0) {
                char *swap = lines[i];

                lines[i] = lines[k];
                lines[k] = swap;
            }
    which = !which;
    str_init(&s, out[which], sizeof out[which]);
    for (size_t i = 0; i < n; i++)
        str_addf(&s, "%s\n", lines[i]);
    return out[which];
}

static const char *ask_from(struct world *w, const char *from)
{
    char question[200];
    enum answer a;

    snprintf(question, sizeof question, NAME " SRV from=%s", from);
    a = world_ask(w, question);
    if (a == ANSWER_FORWARD)
        a = world_give(w, "NXDOMAIN\n" SOA);
    return world_answer(w, a);
}

/* Decided anew, and as it is kept; the audit is told what was given. */
static void check_answer(void **state)
{
    const struct answer_row *r = *state;
    struct world *w = world_new(NULL, r->policy);
    static struct known k;
    struct health *health = &k.h;
    char want[2000];
    int n = 0;

    make_known(&k, r->down);
    w->view.health = &health;
    snprintf(want, sizeof want, "NOERROR\n%s", r->want);
    for (const char *p = r->want; (p = strstr(p, "an ")) != NULL; p++)
        n++;
    for (int i = 0; i < 3; i++) {
        assert_string_equal(sorted(ask_from(w, "10.0.0.1")), sorted(want));
        assert_int_equal(count_words(w->q->event.answer), n);
    }
    /* The second was decided from the cache; what is given to be counted is not kept. */
    assert_int_equal(w->stats.kms_decision_hits, w->scratch->choice.pinned < 0);
    world_free(w);
}

/* As many hosts as a pool can have are all given. */
static void check_most(void **state)
{
    char policy[4000] = "pools:\n  p:\n";
    struct world *w;

    (void)state;
    for (int i = 0; i < POLICY_POOL_HOSTS; i++)
        sprintf(policy + strlen(policy), "    - h%02d.example\n", i);
    strcat(policy, "rules: {r: {suffixes: [x.example], pool: p}}\n");
    w = world_new(NULL, policy);
    assert_int_equal(world_ask(w, NAME " SRV tcp"), ANSWER_FORWARD);
    assert_int_equal(world_give(w, "NXDOMAIN\n" SOA), ANSWER_SEND);
    assert_int_equal(bytes_u16(w->out + 6), POLICY_POOL_HOSTS);
    world_free(w);
}

/* Each answer has an order of its own, also with cache.rotate off, and the priorities stay. */
static void check_orders(void **state)
{
    struct world *w = world_new("cache: {rotate: no}\n", POOL("", THREE));
    static const char *const orders[] = {"NOERROR\n" A B C, "NOERROR\n" B A C};
    int n[2] = {0};

    (void)state;
    for (int i = 0; i < 40; i++) {
        const char *answer = ask_from(w, "10.0.0.1");
        int which = strcmp(answer, orders[0]) != 0;

        assert_string_equal(answer, orders[which]);
        n[which]++;
    }
    assert_true(n[0] > 5 && n[1] > 5);
    world_free(w);
}

/* A kept decision ends with a change of health. */
static void check_epoch(void **state)
{
    struct world *w = world_new(NULL, POOL("", THREE));
    static struct known k;
    struct health *health = NULL;

    (void)state;
    w->view.health = &health;
    for (int i = 0; i < 3; i++)
        assert_string_equal(sorted(ask_from(w, "10.0.0.1")), sorted("NOERROR\n" A B C));
    make_known(&k, "a");
    health = &k.h;
    assert_string_equal(sorted(ask_from(w, "10.0.0.1")), sorted("NOERROR\n" B C));
    make_known(&k, "");
    assert_string_equal(sorted(ask_from(w, "10.0.0.1")), sorted("NOERROR\n" A B C));
    world_free(w);
}

/* The addresses that a name has are given as far as known; a pool's own come first. */
static void check_addresses(void **state)
{
    struct world *w =
        world_new(NULL, POOL("", "a.example, {target: c.example, addresses: [10.0.0.7]}"));
    static struct known k;
    struct health *health = &k.h;

    (void)state;
    make_known(&k, "");
    w->view.health = &health;
    for (int i = 0; i < 3; i += 2) {
        assert_int_equal(addr_parse(&k.targets[i].addresses[0], "10.0.0.5", 0), 0);
        assert_int_equal(addr_parse(&k.targets[i].addresses[1], "fd00::5", 0), 0);
        k.targets[i].n_addresses = 2;
        k.targets[i].ttl = 20;
    }
    assert_string_equal(
        sorted(ask_from(w, "10.0.0.1")),
        sorted("NOERROR\n" A S(
            "c", 0) "ar a.example. 20 IN A 10.0.0.5\n"
                    "ar a.example. 20 IN AAAA fd00::5\nar c.example. 300 IN A 10.0.0.7\n"));
    k.targets[0].is_pinned = true; /* by another pool, whose addresses these are */
    k.h.epoch++;
    assert_null(strstr(ask_from(w, "10.0.0.1"), "ar a.example."));
    k.targets[0].is_down = true;
    k.h.epoch++;
    assert_string_equal(sorted(ask_from(w, "10.0.0.1")),
                        sorted("NOERROR\n" S("c", 0) "ar c.example. 300 IN A 10.0.0.7\n"));
    world_free(w);
}

/* One host for the first clients, each of them as often as it asks; then all are given. */
static void check_pin(void **state)
{
    struct world *w = world_new(NULL, POOL("choice: pin, pin-clients: 3, ", THREE));
    static struct known k;
    struct health *health = &k.h;
    char from[40];

    (void)state;
    memset(&k, 0, sizeof k);
    make_known(&k, "");
    w->view.health = &health;
    for (int i = 0; i < 9; i++) {
        snprintf(from, sizeof from, "10.0.0.%d", i == 8 ? 3 : 1 + i % 2);
        assert_string_equal(ask_from(w, from), "NOERROR\n" A);
    }
    assert_string_equal(sorted(ask_from(w, "10.0.0.9")), sorted("NOERROR\n" A B C));
    assert_string_equal(sorted(ask_from(w, "10.0.0.1")), sorted("NOERROR\n" A B C));
    assert_int_equal(w->stats.kms_decision_hits, 1); /* what all are given is kept */
    make_known(&k, "a");                             /* the next one begins to count */
    assert_string_equal(ask_from(w, "10.0.0.9"), "NOERROR\n" B);
    make_known(&k, "");
    assert_string_equal(sorted(ask_from(w, "10.0.0.9")), sorted("NOERROR\n" A B C));
    world_wait(w, UINT64_C(30) * 24 * 3600 * 1000); /* a KMS host has forgotten them */
    assert_string_equal(ask_from(w, "10.0.0.9"), "NOERROR\n" A);
    /* To explain counts nobody. */
    w->view.trace = true;
    for (int i = 20; i < 30; i++) {
        snprintf(from, sizeof from, "10.0.0.%d", i);
        assert_string_equal(ask_from(w, from), "NOERROR\n" A);
    }
    world_free(w);
}

enum { COUNTERS = 4, CLIENTS = 40, ROUNDS = 100 };
static struct pin shared;
static pthread_barrier_t together;

static void *count_clients(void *taken)
{
    struct addr client = {.port = 1};

    pthread_barrier_wait(&together);
    for (unsigned i = 0; i < CLIENTS; i++) {
        memcpy(client.ip, &i, sizeof i);
        *(unsigned *)taken += pin_takes(&shared, POLICY_PIN_MAX, &client, 1, true);
    }
    return NULL;
}

/* Threads that meet the same clients at once count each of them once. */
static void check_pin_threads(void **state)
{
    pthread_t threads[COUNTERS];

    (void)state;
    pthread_barrier_init(&together, NULL, COUNTERS);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned taken[COUNTERS] = {0}, n = 0;

        memset(&shared, 0, sizeof shared);
        for (int i = 0; i < COUNTERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, count_clients, &taken[i]), 0);
        for (int i = 0; i < COUNTERS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(taken[i], CLIENTS);
        }
        for (int i = 0; i < PIN_SLOTS; i++)
            n += shared.seen[i] != 0;
        assert_int_equal(n, CLIENTS);
    }
    pthread_barrier_destroy(&together);
}

TESTS("health", ROWS(state_rows, check_state), ROWS(errno_rows, check_errno),
      ROWS(answer_rows, check_answer), TEST(check_most), TEST(check_orders), TEST(check_epoch),
      TEST(check_addresses), TEST(check_pin), TEST(check_pin_threads))
