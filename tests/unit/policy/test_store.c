/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_store.c -- changes of the policy as their users see them: what they do,
 * what is refused, what is read back, the log.
 */
#include "fixture.h"

#include <errno.h>

/* --- changes --------------------------------------------------------------- */

static void a_change_is_seen_by_the_next_read(void **state)
{
    struct fixture *f = *state;
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;

    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "missing no-rule -");
    assert_true(fixture_policy(f, BASE));
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");

    assert_int_equal(policy_reader_begin(f->reader), 0);
    uint64_t state_id = policy_reader_state(f->reader);
    assert_true(fixture_policy(f, "rule r deny corp.example"));
    fixture_ask(f, "corp.example", "10.1.1.1", &q);
    policy_decide(f->reader, &q.ask, &real, &d);
    assert_int_equal(d.outcome, OUTCOME_FILLED); /* still the state it began with */
    assert_int_equal(d.serial, 1);
    policy_reader_end(f->reader);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "denied rule r");
    assert_int_equal(policy_reader_begin(f->reader), 0);
    assert_true(policy_reader_state(f->reader) != state_id);
    assert_int_equal(policy_reader_serial(f->reader), 2);
    policy_reader_end(f->reader);
}

static void what_is_already_so_makes_no_serial(void **state)
{
    struct fixture *f = *state;
    struct policy_counts before, after;
    struct policy_txn *t;

    assert_true(fixture_policy(f, BASE));
    before = counts_of(f);
    assert_false(fixture_policy(f, BASE));
    t = fixture_begin(f, 5); /* there and back */
    assert_int_equal(fixture_apply(t, "rule r deny corp.example; rule new pass x.example"), 0);
    assert_int_equal(fixture_change(t, POLICY_RULE, CHANGE_REMOVE, "new"), 0);
    assert_int_equal(fixture_apply(t, "rule r fill corp.example pool=a"), 0);
    assert_false(fixture_commit(t));
    t = fixture_begin(f, 5); /* replaced by the same */
    assert_int_equal(fixture_replace(t, NULL), 0);
    assert_int_equal(fixture_apply(t, BASE), 0);
    assert_false(fixture_commit(t));
    after = counts_of(f);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.serial, 1);
}

static void an_aborted_change_never_was(void **state)
{
    struct fixture *f = *state;
    struct policy_txn *t;

    fixture_policy(f, BASE);
    t = fixture_begin(f, 5);
    assert_int_equal(fixture_replace(t, NULL), 0);
    policy_txn_abort(t);
    policy_txn_abort(NULL);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");
    assert_int_equal(counts_of(f).serial, 1);
}

static void if_serial_moved(void **state)
{
    struct fixture *f = *state;
    struct policy_change change = {.author = "x", .if_serial = 1};
    struct policy_txn *t;
    uint64_t serial = 0;

    fixture_policy(f, BASE);
    fixture_policy(f, "rule r deny corp.example");
    assert_int_equal(policy_txn_begin(&t, f->store, &change, &serial), -ESTALE);
    assert_int_equal(serial, 2);
    change.if_serial = 2;
    assert_int_equal(policy_txn_begin(&t, f->store, &change, &serial), 0);
    policy_txn_abort(t);
}

static void counts_and_deletions(void **state)
{
    struct fixture *f = *state;
    struct policy_counts c;
    struct policy_txn *t;
    struct suffix s = fixture_suffix("*.hr.corp.example"), other = fixture_suffix("other.example");

    fixture_policy(f, BASE
                   "; ok kms.adatum.net kms.adatum.net:1689; rule y fill * pool=b net=lab,any");
    c = counts_of(f);
    assert_int_equal(c.networks, 1);
    assert_int_equal(c.pools, 2);
    assert_int_equal(c.rules, 3);
    assert_int_equal(c.suffixes, 3);
    assert_int_equal(c.approved, 2);
    assert_true(c.bytes > 4096);
    assert_int_equal(c.time_ms, 1000);

    t = fixture_begin(f, 7);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "r", &s), 0);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "r", &s), 0);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "nobody", &s), -EINVAL);
    assert_int_equal(fixture_change_suffix(t, CHANGE_DROP, "r", &other), -ENOENT);
    assert_true(fixture_commit(t));
    assert_int_equal(counts_of(f).suffixes, 4);
    assert_string_equal(outcome(f, "x.hr.corp.example", "10.1.1.1"), "filled rule r");
    assert_sound(f);

    t = fixture_begin(f, 8);
    assert_int_equal(fixture_change_suffix(t, CHANGE_DROP, "r", &s), 0);
    assert_int_equal(fixture_change(t, POLICY_RULE, CHANGE_REMOVE, "y"), 0);
    assert_int_equal(fixture_change(t, POLICY_RULE, CHANGE_REMOVE, "y"), -ENOENT);
    assert_int_equal(
        fixture_change(t, POLICY_APPROVED, CHANGE_REMOVE, &(struct policy_approved){s.name, 1}),
        -ENOENT);
    assert_true(fixture_commit(t));
    c = counts_of(f);
    assert_int_equal(c.rules, 2);
    assert_int_equal(c.suffixes, 2);
    assert_string_equal(outcome(f, "x.hr.corp.example", "10.1.1.1"), "denied rule z");
    assert_string_equal(outcome(f, "y", "10.1.1.1"), "missing no-rule -");
    assert_sound(f);
}

static void refused_on_entry(void **state)
{
    struct fixture *f = *state;
    struct policy_txn *t;
    union policy_object o;
    struct suffix star = fixture_suffix("*"), one = fixture_suffix("*.local");
    char long_suffix[1100] = "";
    const char *why;

    fixture_policy(f, BASE);
    t = fixture_begin(f, 1);
    assert_int_equal(fixture_apply(t, "rule n fill x.example pool=none"), -ENOENT);
    assert_int_equal(fixture_apply(t, "rule n deny x.example net=none"), -ENOENT);
    assert_int_equal(fixture_apply(t, "rule n fill x.example"), -EINVAL);
    assert_int_equal(fixture_apply(t, "rule n deny *"), -EINVAL);
    assert_int_equal(fixture_apply(t, "pool p kms.contoso.com,address=198.51.100.1"), -EINVAL);
    assert_int_equal(fixture_apply(t, "net any 10.0.0.0/8"), -EINVAL);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "r", &star), -EINVAL);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "r", &one), -EINVAL);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "z", &one), 0);
    /* z has a wide suffix now: its networks cannot go */
    assert_int_equal(policy_txn_get(t, POLICY_RULE, "z", &o), 0);
    policy_object_fini(POLICY_RULE, &o);
    assert_int_equal(fixture_put_rule(t, &o.rule), -EINVAL);
    assert_int_equal(policy_txn_get(t, POLICY_NETWORK, "none", &o), -ENOENT);
    /* octets 0 and 1 take two octets of key each */
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 63; k++)
            strcat(long_suffix, "\\001");
        strcat(long_suffix, i < 2 ? "." : "");
    }
    assert_int_equal(suffix_parse(&one, long_suffix, &why), 0);
    assert_int_equal(
        fixture_apply(
            t,
            "rule a-name-that-is-as-long-as-a-name-may-be-0123456789-0123456789-0 deny q.example"),
        0);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "r", &one), 0);
    for (int k = 0; k < 40; k++)
        strcat(long_suffix, k == 0 ? ".\\001" : "\\001");
    assert_int_equal(suffix_parse(&one, long_suffix, &why), 0);
    assert_int_equal(
        fixture_change_suffix(
            t, CHANGE_ADD, "a-name-that-is-as-long-as-a-name-may-be-0123456789-0123456789-0", &one),
        -ENAMETOOLONG);
    assert_true(fixture_commit(t));
    assert_sound(f);
}

/* --- what was written is what is read --------------------------------------- */

static void loaded_as_put(void **state)
{
    struct fixture *f = *state, g;
    struct policy_txn *t;
    struct policy p;
    uint64_t serial = 0;

    fixture_policy(f, BASE "; net six 2001:db8::/32 10.0.0.0/8; ok kms.adatum.net:99;"
                           "rule w replace a.example,*.b.example,.,* pool=b net=six,lab,any "
                           "when=unapproved mode=shadow ttl=77 from=5 until=9 break");
    t = fixture_begin(f, 3);
    for (int i = 0; i < 2500; i++) { /* more than one batch */
        char text[64];

        snprintf(text, sizeof text, "n%d.example", i);
        struct suffix s = fixture_suffix(text);

        assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, i < 2000 ? "r" : "z", &s), 0);
    }
    fixture_commit(t);
    assert_int_equal(policy_load(f->store, &p, &serial), 0);
    assert_int_equal(serial, 2);
    assert_int_equal(p.n_networks, 2);
    assert_string_equal(p.networks[1].name, "six");
    assert_int_equal(p.networks[1].n, 2);
    assert_int_equal(p.n_pools, 2);
    assert_int_equal(p.n_approved, 1);
    assert_int_equal(p.approved[0].port, 99);
    assert_int_equal(p.n_rules, 3);
    assert_int_equal(p.rules[0].n_suffixes, 2001);
    assert_int_equal(p.rules[2].n_suffixes, 501);
    const struct policy_rule *w = &p.rules[1];
    assert_string_equal(w->name, "w");
    assert_int_equal(w->action, ACTION_REPLACE);
    assert_int_equal(w->when, WORD_UNAPPROVED);
    assert_int_equal(w->mode, MODE_SHADOW);
    assert_true(w->break_dnssec);
    assert_int_equal(w->ttl, 77);
    assert_int_equal(w->from_ms, 5);
    assert_int_equal(w->until_ms, 9);
    assert_string_equal(w->pool, "b");
    assert_int_equal(w->n_networks, 3);
    assert_string_equal(w->networks[2], "six");
    assert_int_equal(w->n_suffixes, 4);

    /* Put into another store, in another order: the same digest. */
    fixture_folder(&g);
    fixture_open(&g);
    t = fixture_begin(&g, 1);
    for (size_t i = p.n_networks; i-- > 0;)
        assert_int_equal(fixture_change(t, POLICY_NETWORK, CHANGE_SET, &p.networks[i]), 0);
    for (size_t i = p.n_pools; i-- > 0;)
        assert_int_equal(fixture_change(t, POLICY_POOL, CHANGE_SET, &p.pools[i]), 0);
    for (size_t i = p.n_rules; i-- > 0;)
        assert_int_equal(fixture_put_rule(t, &p.rules[i]), 0);
    assert_int_equal(fixture_change(t, POLICY_APPROVED, CHANGE_SET, &p.approved[0]), 0);
    fixture_commit(t);
    assert_true(counts_of(f).digest == counts_of(&g).digest);
    fixture_policy(&g, "rule w pass a.example");
    assert_true(counts_of(f).digest != counts_of(&g).digest);
    fixture_remove(&g);
    policy_fini(&p);
}

/* Whatever is done, in whatever order: digest and counts are those of the
 * records, and the file can be opened again. */
static void sound_after_anything(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 4242;

    fixture_policy(f, BASE);
    for (int round = 0; round < 150; round++) {
        struct policy_txn *t = fixture_begin(f, (uint64_t)round);
        struct policy_counts c;
        struct policy p;
        size_t suffixes = 0;

        for (int i = 0; i < 40; i++) {
            char text[600];
            struct suffix s;
            unsigned pick, a, b;

            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            pick = (unsigned)(seed >> 20) % 100, a = (unsigned)(seed >> 30) % 7,
            b = (unsigned)(seed >> 40) % 300;
            snprintf(text, sizeof text, "s%u.l%u.example", b, a);
            s = fixture_suffix(text);
            if (pick < 50) {
                fixture_change_suffix(t, CHANGE_ADD, a < 3 ? "r" : "z", &s);
            } else if (pick < 70) {
                fixture_change_suffix(t, CHANGE_DROP, a < 3 ? "r" : "z", &s);
            } else if (pick < 80) {
                snprintf(text, sizeof text, "pool p%u h%u.example h%u.example:7", a, b, a);
                assert_int_equal(fixture_apply(t, text), 0);
            } else if (pick < 88) {
                snprintf(text, sizeof text, "net n%u 10.%u.0.0/16 10.%u.%u.0/24", a, b % 256, a,
                         b % 256);
                assert_int_equal(fixture_apply(t, text), 0);
            } else if (pick < 92) {
                snprintf(text, sizeof text, "n%u", a);
                fixture_change(t, POLICY_NETWORK, CHANGE_REMOVE, text);
            } else if (pick < 96) {
                snprintf(text, sizeof text, "p%u", a);
                fixture_change(t, POLICY_POOL, CHANGE_REMOVE, text);
            } else if (pick < 97) {
                assert_int_equal(fixture_replace(t, NULL), 0);
                assert_int_equal(fixture_apply(t, b % 2 ? BASE : "pool a kms-a.contoso.com"), 0);
            } else if (pick < 98) {
                fixture_change(t, POLICY_RULE, CHANGE_REMOVE, "r");
            } else {
                assert_int_equal(fixture_apply(t, BASE), 0);
            }
        }
        fixture_commit(t);
        assert_sound(f);
        c = counts_of(f);
        assert_int_equal(policy_load(f->store, &p, NULL), 0);
        for (size_t i = 0; i < p.n_rules; i++)
            suffixes += p.rules[i].n_suffixes;
        assert_int_equal(c.suffixes, suffixes);
        assert_int_equal(c.rules, p.n_rules);
        assert_int_equal(c.pools, p.n_pools);
        assert_int_equal(c.networks, p.n_networks);
        policy_fini(&p);
        fixture_close(f);
        fixture_open(f);
    }
}

/* LMDB never writes a page that one transaction took and gave back: the file
 * must not pass for one that was cut short. */
static void pages_that_are_never_written(void **state)
{
    static struct prefix prefixes[130000];
    struct fixture *f = *state;
    char path[300];

    fixture_policy(f, BASE);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        prefixes[i] = (struct prefix){
            .len = 112,
            .ip = {0x20,
                   0x01, [3] = (uint8_t)(i >> 16), [4] = (uint8_t)(i >> 8), [5] = (uint8_t)i}};
        prefix_mask(prefixes[i].ip, prefixes[i].len);
    }
    snprintf(path, sizeof path, "%s/data.mdb", f->path);
    for (size_t i = 0; i < 60; i++) {
        struct policy_network n = {.name = "big", .prefixes = prefixes, .n = 100 + i * 14};
        struct policy_txn *t = fixture_begin(f, 1);
        char text[64];
        struct stat st;

        if (i >= 50)
            n.n = 70000 + (i - 50) * 6000; /* more than the file has to spare */
        assert_int_equal(fixture_change(t, POLICY_NETWORK, CHANGE_SET, &n), 0);
        if (i % 3 > 0 || i >= 50)
            assert_int_equal(fixture_change(t, POLICY_NETWORK, CHANGE_REMOVE, "big"), 0);
        snprintf(text, sizeof text, "rule r fill n%zu.example pool=a", i);
        assert_int_equal(fixture_apply(t, text), 0);
        fixture_commit(t);
        assert_int_equal(stat(path, &st), 0);
        assert_true((uint64_t)st.st_size >= counts_of(f).bytes);
        fixture_close(f);
        fixture_open(f);
    }
}

/* --- the log ---------------------------------------------------------------- */

struct seen {
    int n;
    struct policy_log_entry last;
};

static int see(void *context, const struct policy_log_entry *e)
{
    struct seen *s = context;

    s->n++;
    s->last = *e;
    return 0;
}

static int stop(void *context, const struct policy_log_entry *e)
{
    (void)e;
    ++*(int *)context;
    return -ECANCELED;
}

static int logged(struct fixture *f, uint64_t since, const char *rule)
{
    struct seen s = {.n = 0};

    assert_int_equal(policy_log_each(f->store, since, rule, see, &s), 0);
    return s.n;
}

static void the_log(void **state)
{
    struct fixture *f = *state;
    struct policy_change change = {.author = "admin",
                                   .claimed = "anna",
                                   .reason = "CHG0042",
                                   .now_ms = 90000,
                                   .history_ms = 60000};
    struct seen s = {.n = 0};
    struct policy_txn *t;
    uint64_t serial;
    bool changed;
    int calls = 0;

    fixture_policy(f, BASE); /* at 1000 */
    for (uint64_t i = 0; i < 100; i++) {
        char text[64];

        t = fixture_begin(f, 10000 + i);
        snprintf(text, sizeof text, "rule r fill n%d.example pool=a", (int)i);
        assert_int_equal(fixture_apply(t, text), 0);
        fixture_commit(t);
    }
    assert_int_equal(logged(f, 0, NULL), 101);
    assert_int_equal(logged(f, 10050, NULL), 50);
    assert_int_equal(logged(f, 0, "z"), 1);
    assert_int_equal(logged(f, 0, "r"), 101);
    assert_int_equal(logged(f, 0, "nobody"), 0);
    assert_int_equal(policy_log_each(f->store, 0, NULL, stop, &calls), -ECANCELED);
    assert_int_equal(calls, 1);

    assert_int_equal(policy_txn_begin(&t, f->store, &change, &serial), 0);
    assert_int_equal(fixture_change(t, POLICY_RULE, CHANGE_REMOVE, "z"), 0);
    policy_txn_note(t, "rule z removed");
    policy_txn_note(t, "and more");
    assert_int_equal(policy_txn_commit(t, &serial, &changed), 0);
    assert_int_equal(serial, 102);
    assert_int_equal(policy_log_each(f->store, 20000, NULL, see, &s), 0);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.last.serial, 102);
    assert_int_equal(s.last.time_ms, 90000);
    assert_string_equal(s.last.author, "admin");
    assert_string_equal(s.last.claimed, "anna");
    assert_string_equal(s.last.reason, "CHG0042");
    assert_string_equal(s.last.summary, "rule z removed; and more");
    assert_true(s.last.digest == counts_of(f).digest);
    assert_int_equal(logged(f, 0, NULL), 1); /* older than the history: gone */
}

static bool is_host(struct fixture *f, const char *ip)
{
    struct addr a;
    bool yes = true;

    assert_int_equal(addr_parse(&a, ip, 53), 0); /* a client's port does not count */
    assert_int_equal(policy_reader_begin(f->reader), 0);
    assert_int_equal(policy_is_host_address(f->reader, &a, &yes), 0);
    policy_reader_end(f->reader);
    return yes;
}

static void addresses_of_hosts_are_known(void **state)
{
    struct fixture *f = *state;
    struct policy_txn *t;

    assert_false(is_host(f, "10.0.0.9"));
    fixture_policy(f, "pool a k.c.d,address=10.0.0.9,address=fd00::1 l.c.d; "
                      "pool b k.c.d,address=10.0.0.9 m.c.d,address=10.0.0.10");
    assert_true(is_host(f, "10.0.0.9"));
    assert_true(is_host(f, "::ffff:10.0.0.9"));
    assert_true(is_host(f, "fd00::1"));
    assert_true(is_host(f, "10.0.0.10"));
    assert_false(is_host(f, "10.0.0.8"));
    assert_false(is_host(f, "fd00::"));
    assert_sound(f);
    fixture_policy(f, "pool b m.c.d,address=10.0.0.11"); /* a still has .9 */
    assert_true(is_host(f, "10.0.0.9"));
    assert_false(is_host(f, "10.0.0.10"));
    assert_true(is_host(f, "10.0.0.11"));
    t = fixture_begin(f, 3);
    assert_int_equal(fixture_change(t, POLICY_POOL, CHANGE_REMOVE, "a"), 0);
    assert_true(fixture_commit(t));
    assert_false(is_host(f, "10.0.0.9"));
    assert_false(is_host(f, "fd00::1"));
    t = fixture_begin(f, 4);
    assert_int_equal(fixture_replace(t, NULL), 0);
    assert_true(fixture_commit(t));
    assert_false(is_host(f, "10.0.0.11"));
    assert_sound(f);
}

/* A client is looked up for each question: only what it has is written. */
static void a_client_costs_what_it_has(void **state)
{
    struct fixture *f = *state;
    static struct policy_client c, marked;
    struct addr a;

    fixture_policy(f, "net lab 10.20.0.0/16; net all 10.0.0.0/8");
    memset(&c, 0xa5, sizeof c);
    marked = c;
    assert_int_equal(addr_parse(&a, "10.20.1.1", 0), 0);
    assert_int_equal(policy_reader_begin(f->reader), 0);
    assert_int_equal(policy_client_find(f->reader, &a, &c), 0);
    policy_reader_end(f->reader);
    assert_int_equal(c.n_networks, 2);
    assert_string_equal(c.networks[0], "lab");
    assert_string_equal(c.networks[1], "all");
    assert_memory_equal(c.networks[0] + 4, marked.networks[0] + 4, POLICY_NAME - 4);
    assert_memory_equal(c.networks[2], marked.networks[2], sizeof c.networks - 2 * POLICY_NAME);
    assert_memory_equal(&c.prefixes[2], &marked.prefixes[2],
                        sizeof c.prefixes - 2 * sizeof *c.prefixes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_change_is_seen_by_the_next_read),
        FIXTURE_TEST(addresses_of_hosts_are_known),
        FIXTURE_TEST(a_client_costs_what_it_has),
        FIXTURE_TEST(what_is_already_so_makes_no_serial),
        FIXTURE_TEST(an_aborted_change_never_was),
        FIXTURE_TEST(if_serial_moved),
        FIXTURE_TEST(counts_and_deletions),
        FIXTURE_TEST(refused_on_entry),
        FIXTURE_TEST(loaded_as_put),
        FIXTURE_TEST(sound_after_anything),
        FIXTURE_TEST(pages_that_are_never_written),
        FIXTURE_TEST(the_log),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
