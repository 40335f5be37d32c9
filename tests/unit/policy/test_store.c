/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_store.c -- changes of the policy as their users see them: what they do,
 * what is refused, what is read back, the log. Who gets what of a host's
 * addresses is in resolver/test_kms.c.
 */
#include "script.h"

#include "policy/records.h"

#define LONG "a-name-that-is-as-long-as-a-name-may-be-0123456789-0123456789-0"
#define ONES8 "\\001\\001\\001\\001\\001\\001\\001\\001"
#define ONES40 ONES8 ONES8 ONES8 ONES8 ONES8
#define ONES63 ONES40 ONES8 ONES8 "\\001\\001\\001\\001\\001\\001\\001"
#define HOST "kms.example"
#define WITH HOST ",address=10.0.0.5"

static const struct script scripts[] = {
    {"store: a change is seen by the next read", "ask corp.example 10.1.1.1 = missing no-rule -\n"
                                                 "change " BASE "\n"
                                                 "ask corp.example 10.1.1.1 = filled rule r\n"
                                                 "change rule r deny corp.example\n"
                                                 "ask corp.example 10.1.1.1 = denied rule r\n"
                                                 "counts = 2 1 2 2 2 0\n"},
    {"store: what is already so makes no serial",
     "change " BASE "\n"
     "same " BASE "\n"
     "same rule r deny corp.example; rule new pass x.example; -rule new;"
     "rule r fill corp.example pool=a\n"
     "same clear; " BASE "\n"
     "counts = 1 1 2 2 2 0\n"},
    {"store: an aborted change never was", "change " BASE "\n"
                                           "abort clear\n"
                                           "ask corp.example 10.1.1.1 = filled rule r\n"
                                           "counts = 1 1 2 2 2 0\n"},
    {"store: counts and deletions",
     "change " BASE "; ok kms.adatum.net kms.adatum.net:1689; rule y fill * pool=b net=lab,any\n"
     "counts = 1 1 2 3 3 2\n"
     "change +suffix r *.hr.corp.example; +suffix r *.hr.corp.example\n"
     "refused EINVAL +suffix nobody *.hr.corp.example\n"
     "refused ENOENT -suffix r other.example\n"
     "counts = 2 1 2 3 4 2\n"
     "ask x.hr.corp.example 10.1.1.1 = filled rule r\n"
     "change -suffix r *.hr.corp.example; -rule y; -ok kms.adatum.net\n"
     "refused ENOENT -rule y\n"
     "refused ENOENT -ok kms.adatum.net\n"
     "counts = 3 1 2 2 2 1\n"
     "ask x.hr.corp.example 10.1.1.1 = denied rule z\n"
     "ask y 10.1.1.1 = missing no-rule -\n"
     "change clear\n"
     "counts = 4 0 0 0 0 0\n"},
    {"store: what is in use stays", "change " BASE "; rule q fill x.example pool=a net=any,lab\n"
                                    "refused EBUSY -pool a\n"
                                    "refused EBUSY -net lab\n"
                                    "change -pool b; rule q deny x.example; -net lab\n"
                                    "refused EBUSY -pool a\n"
                                    "change -rule r; -pool a\n"
                                    "counts = 3 0 0 2 2 0\n"},
    {"store: refused on entry", "change " BASE "\n"
                                "refused ENOENT rule n fill x.example pool=none\n"
                                "refused ENOENT rule n deny x.example net=none\n"
                                "refused EINVAL rule n fill x.example\n"
                                "refused EINVAL rule n deny *\n"
                                "refused EINVAL pool p kms.contoso.com,address=198.51.100.1\n"
                                "refused EINVAL net any 10.0.0.0/8\n"
                                "refused EINVAL +suffix r *\n"
                                "refused EINVAL +suffix r *.local\n"
                                "change +suffix z *.local\n"
                                "counts = 2 1 2 2 3 0\n"
                                "refused EINVAL rule z deny ,\n" /* a wide suffix would stay */
                                "change rule z deny , net=lab\n"
                                "same rule r fill , pool=a\n"},
    {"store: octets 0 and 1 take two octets of key each",
     "change " BASE "; rule " LONG " deny q.example\n"
     "change +suffix r " ONES63 "." ONES63 "." ONES63 "\n"
     "refused EINVAL +suffix " LONG " " ONES63 "." ONES63 "." ONES63 "." ONES40 "\n"},
    {"store: hosts with addresses are found by the rules that give them",
     "change net lab 10.20.0.0/16; pool a " WITH "; pool b other.example\n"
     "host " HOST " = -\n"
     "change rule r fill x.example pool=a\n"
     "host KMS.example = r a\n"
     "change pool a " HOST "\n"
     "host " HOST " = -\n"
     "change pool a " HOST " z.example,address=10.0.0.1\n"
     "host " HOST " = -\n"
     "change pool a " HOST " " HOST ":1689,address=10.0.0.6\n"
     "host " HOST " = r a\n"
     "change rule r fill x.example pool=b\n"
     "host " HOST " = -\n"
     "change pool b " WITH "\n"
     "host " HOST " = r b\n"
     "change rule q replace y.example pool=a\n" /* by name */
     "host " HOST " = q a\n"
     "change rule z fill y.example pool=b net=lab\n" /* the nearest network */
     "host " HOST " = z b\n"
     "change rule z deny y.example\n"
     "host " HOST " = q a\n"
     "change -rule q\n"
     "host " HOST " = r b\n"
     "change +suffix r more.example\n"
     "host " HOST " = r b\n"
     "change -rule r\n"
     "host " HOST " = -\n"
     "change rule s fill x.example pool=a mode=shadow\n"
     "host " HOST " = -\n"
     "change rule s fill x.example pool=a\n"
     "host " HOST " = s a\n"
     "host example = -\n"
     "host a." HOST " = -\n"
     "host . = -\n"
     "change clear\n"
     "host " HOST " = -\n"},
    {"store: addresses of hosts are known",
     "address 10.0.0.9 = no\n"
     "change pool a k.c.d,address=10.0.0.9,address=fd00::1 l.c.d;"
     "pool b k.c.d,address=10.0.0.9 m.c.d,address=10.0.0.10\n"
     "address 10.0.0.9 = yes\n"
     "address ::ffff:10.0.0.9 = yes\n"
     "address fd00::1 = yes\n"
     "address 10.0.0.10 = yes\n"
     "address 10.0.0.8 = no\n"
     "address fd00:: = no\n"
     "change pool b m.c.d,address=10.0.0.11\n" /* a still has .9 */
     "address 10.0.0.9 = yes\n"
     "address 10.0.0.10 = no\n"
     "address 10.0.0.11 = yes\n"
     "change -pool a\n"
     "address 10.0.0.9 = no\n"
     "address fd00::1 = no\n"
     "change clear\n"
     "address 10.0.0.11 = no\n"},
};

static void a_read_is_of_one_state(void **state)
{
    struct fixture *f = *state;
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;
    uint64_t before;

    fixture_policy(f, BASE);
    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    before = store_state(f->reader->txn);
    assert_true(fixture_policy(f, "rule r deny corp.example"));
    fixture_ask(f, "corp.example", "10.1.1.1", &q);
    policy_decide(f->reader, &q.ask, &real, &d);
    assert_int_equal(d.outcome, OUTCOME_FILLED);
    assert_int_equal(d.serial, 1);
    store_end(f->reader->txn);
    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    assert_true(store_state(f->reader->txn) != before);
    assert_int_equal(policy_reader_serial(f->reader), 2);
    store_end(f->reader->txn);
}

static void if_serial_moved(void **state)
{
    struct fixture *f = *state;
    struct policy_change change = {.log = {.author = "x"}, .bound = true, .if_serial = 1};

    fixture_policy(f, BASE);
    fixture_policy(f, "rule r deny corp.example");
    assert_int_equal(policy_change_begin(&change, f->store), -ESTALE);
    assert_int_equal(change.serial, 2);
    change.if_serial = 2;
    assert_int_equal(policy_change_begin(&change, f->store), 0);
    policy_change_abort(&change);
}

/* What cannot be stored spoils the change. */
static void a_host_too_long_for_a_key(void **state)
{
    struct fixture *f = *state;
    struct policy_host h = {.port = 1688, .n_addresses = 1};
    struct policy_pool p = {.name = LONG, .hosts = &h, .n = 1};
    struct policy_change *t = fixture_begin(f, 1000);

    assert_int_equal(name_parse(&h.target, ONES63 "." ONES63 "." ONES63 "." ONES40), 0);
    assert_int_equal(addr_parse(&h.addresses[0], "10.0.0.5", 0), 0);
    assert_int_equal(fixture_change(t, POLICY_POOL, CHANGE_SET, &p), -ENAMETOOLONG);
    assert_int_equal(policy_change_commit(t), -ENAMETOOLONG);
    assert_sound(f);
}

/* --- values that passed their checksum, and that nobody wrote ----------------- */

#define AT(f) (offsetof(struct policy_rule, f) - offsetof(struct policy_rule, from_ms))
enum { RULE_NETWORKS = AT(break_dnssec) + 1, RULE_LEN = RULE_NETWORKS + POLICY_NAME };

/* What becomes of the value of a sound object: n octets are set, and how long it is then. */
static const struct value {
    const char *what;
    enum policy_kind kind;
    size_t at, n;
    uint8_t octet;
    int longer;
    bool is_read;
} values[] = {
    {"value: rule", POLICY_RULE, 0, 0, 0, 0, true},
    {"value: rule of an unknown action", POLICY_RULE, AT(action), 1, ACTIONS},
    {"value: rule of an unknown mode", POLICY_RULE, AT(mode), 1, MODES},
    {"value: rule for an unknown verdict", POLICY_RULE, AT(when), 1, WORD_ALL + 1},
    {"value: rule that half breaks DNSSEC", POLICY_RULE, AT(break_dnssec), 1, 2},
    {"value: rule, something left over", POLICY_RULE, 0, 0, 0, 1},
    {"value: rule, cut short", POLICY_RULE, 0, 0, 0, -1},
    {"value: rule, without networks", POLICY_RULE, 0, 0, 0, -POLICY_NAME, true},
    {"value: rule, its head cut short", POLICY_RULE, 0, 0, 0, -POLICY_NAME - 1},
    {"value: rule, nothing", POLICY_RULE, 0, 0, 0, -RULE_LEN},
    {"value: rule, pool without an end", POLICY_RULE, AT(pool), POLICY_NAME, 'p'},
    {"value: rule, network without a name", POLICY_RULE, RULE_NETWORKS, 1, 0},
    {"value: rule, network without an end", POLICY_RULE, RULE_NETWORKS, POLICY_NAME, 'n'},
    {"value: rule, 65 networks", POLICY_RULE, 0, 0, 0, 64 * POLICY_NAME},
    {"value: rule, comment of 256 octets", POLICY_RULE, AT(comment), 256, 'c'},
    {"value: rule, comment of 255 octets", POLICY_RULE, AT(comment), 255, 'c', 0, true},
    /* 0 public, 1 hosts, 2 target k.d, 7 port, priority, weight, 13 probe, 14 addresses, 15 */
    {"value: pool", POLICY_POOL, 0, 0, 0, 0, true},
    {"value: pool, half public", POLICY_POOL, 0, 1, 2},
    {"value: pool, more hosts than it says", POLICY_POOL, 1, 1, 0},
    {"value: pool, fewer hosts than it says", POLICY_POOL, 1, 1, 2},
    {"value: pool of 65 hosts", POLICY_POOL, 1, 1, 65},
    {"value: pool, nothing", POLICY_POOL, 0, 0, 0, -31},
    {"value: host, a pointer in its name", POLICY_POOL, 2, 1, 0xc0},
    {"value: host, half probed", POLICY_POOL, 13, 1, 2},
    {"value: host of eight addresses", POLICY_POOL, 14, 1, 8, 112, true},
    {"value: host of nine addresses", POLICY_POOL, 14, 1, 9, 128},
    {"value: host of two addresses, and one is there", POLICY_POOL, 14, 1, 2},
    {"value: host of no address, and one is there", POLICY_POOL, 14, 1, 0},
    {"value: network", POLICY_NETWORK, 0, 0, 0, 0, true},
    {"value: network, length 129", POLICY_NETWORK, 16, 1, 129},
    {"value: network, cut short", POLICY_NETWORK, 0, 0, 0, -1},
    {"value: network without prefixes", POLICY_NETWORK, 0, 0, 0, -17},
    {"value: approved", POLICY_APPROVED, 0, 0, 0, 0, true},
    {"value: approved, something left over", POLICY_APPROVED, 0, 0, 0, 1},
};

static void check_value(void **state)
{
    const struct value *v = *state;
    char any[1][POLICY_NAME] = {"any"};
    struct prefix prefix = {.len = 0};
    struct policy_host host = {.port = 1688, .probe = true, .n_addresses = 1};
    struct policy_pool pool = {.name = "p", .hosts = &host, .n = 1};
    struct policy_network network = {.name = "n", .prefixes = &prefix, .n = 1};
    struct policy_approved approved = {.port = 1688};
    struct policy_rule rule;
    const void *objects[] = {&network, &pool, &approved, &rule};
    uint8_t buffer[RECORD_MAX], copy[RECORD_MAX] = {0};
    union policy_object o = {.rule = {.n_suffixes = 0}};
    struct store_bytes was;
    struct store_key k;
    int rc;

    assert_int_equal(name_parse(&host.target, "k.d"), 0);
    approved.target = host.target;
    policy_rule_init(&rule, "r");
    strcpy(rule.pool, "p");
    rule.networks = any;
    rule.n_networks = 1;
    was = record_write(v->kind, objects[v->kind], buffer);
    memcpy(copy, was.data, was.len);
    memset(copy + v->at, v->octet, v->n);
    key_object(&k, v->kind, objects[v->kind]);
    rc = record_read(
        v->kind, &(struct store_record){{k.data, k.len}, {copy, was.len + (size_t)v->longer}}, &o);
    assert_int_equal(rc, v->is_read ? 0 : -EBADMSG);
    policy_object_fini(v->kind, &o);
}

static void a_name_that_is_none(void **state)
{
    static const uint8_t keys[][65] = {{'r'}, {'r', 'a', 0, 'b'}, {'r', 'a', 'b', 0}};
    static const size_t lens[] = {1, 4, 3};
    uint8_t key[65];
    struct policy_key k;

    for (size_t i = 0; i < ARRAY_LEN(lens); i++)
        assert_int_equal(key_read(&(struct store_bytes){keys[i], lens[i]}, &k), i == 2);
    memset(key, 'r', sizeof key);
    assert_true(key_read(&(struct store_bytes){key, POLICY_NAME}, &k));
    assert_false(key_read(&(struct store_bytes){key, POLICY_NAME + 1}, &k));
}

/* --- what was written is what is read --------------------------------------- */

/* All that is stored, of which the digest is made, is what the same policy makes of a new store,
 * in whatever order it is put there. */
static void assert_like_new(struct fixture *f)
{
    struct policy_counts was = counts_of(f), is;
    uint64_t serial;
    struct policy_change *t;
    struct fixture g;
    struct policy p;

    assert_int_equal(policy_load(f->store, &p, &serial), 0);
    assert_int_equal(serial, was.serial);
    for (int backwards = 0; backwards < 2; backwards++) {
        fixture_folder(&g);
        fixture_open(&g);
        t = fixture_begin(&g, 1);
        assert_int_equal(policy_change_make(t, &p, POLICY_REPLACE), 0);
        for (size_t i = 0; backwards && i < t->n / 2; i++) {
            struct change c = t->list[i];

            t->list[i] = t->list[t->n - 1 - i];
            t->list[t->n - 1 - i] = c;
        }
        assert_int_equal(policy_change_apply(t, NULL), 0);
        policy_change_fini(t);
        fixture_commit(t);
        is = counts_of(&g);
        is.serial = was.serial;
        is.time_ms = was.time_ms;
        is.bytes = was.bytes;
        assert_memory_equal(&is, &was, sizeof is);
        fixture_remove(&g);
    }
    policy_fini(&p);
}

static void loaded_as_put(void **state)
{
    struct fixture *f = *state;
    struct policy_change *t;
    uint64_t digest;

    fixture_policy(f, BASE "; net six 2001:db8::/32 10.0.0.0/8; ok kms.adatum.net:99;"
                           "rule w replace a.example,*.b.example,.,* pool=b net=six,lab,any "
                           "when=unapproved mode=shadow ttl=77s from=5 until=9 break-dnssec=yes");
    t = fixture_begin(f, 3);
    fixture_many(t, "r", 2000);
    fixture_commit(t);
    assert_like_new(f);
    digest = counts_of(f).digest;
    fixture_policy(f, "rule w pass a.example");
    assert_true(counts_of(f).digest != digest);
}

/* Whatever is done, in whatever order: digest and counts are those of the records, and the file
 * can be opened again. What may not be there, or is in use, is refused. */
static void sound_after_anything(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 4242;

    fixture_policy(f, BASE);
    for (int round = 0; round < 150; round++) {
        struct policy_change *t = fixture_begin(f, (uint64_t)round);

        for (int i = 0; i < 40; i++) {
            unsigned pick, a, b;
            const char *rule;

            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            pick = (unsigned)(seed >> 20) % 100, a = (unsigned)(seed >> 30) % 7,
            b = (unsigned)(seed >> 40) % 250;
            rule = a < 3 ? "r" : "z";
            (void)(pick < 50   ? fixture_apply(t, "+suffix %s s%u.l%u.example", rule, b, a)
                   : pick < 70 ? fixture_apply(t, "-suffix %s s%u.l%u.example", rule, b, a)
                   : pick < 80 ? fixture_apply(t, "pool p%u h%u.example h%u.example:7", a, b, a)
                   : pick < 88 ? fixture_apply(t, "net n%u 10.%u.0.0/16 10.%u.1.0/24", a, b, a)
                   : pick < 92 ? fixture_apply(t, "-net n%u", a)
                   : pick < 96 ? fixture_apply(t, "-pool p%u", a)
                   : pick < 97 ? fixture_apply(t, "clear;" BASE)
                   : pick < 98 ? fixture_apply(t, "clear; pool a kms-a.contoso.com; -rule r")
                               : fixture_apply(t, BASE));
        }
        fixture_commit(t);
        assert_sound(f);
        assert_like_new(f);
        fixture_close(f);
        fixture_open(f);
    }
}

/* --- the log ---------------------------------------------------------------- */

struct seen {
    int n, stop; /* what the visitor says */
    struct policy_log_entry last;
};

static int see(void *context, const struct policy_log_entry *e)
{
    struct seen *s = context;

    s->n++;
    s->last = *e;
    return s->stop;
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
    const struct policy_log_entry log = {
        .author = "admin", .claimed = "anna", .reason = "CHG0042", .time_ms = 90000};
    struct seen s = {.stop = -ECANCELED};
    struct policy_change *t;

    fixture_policy(f, BASE); /* at 1000 */
    for (uint64_t i = 0; i < 100; i++) {
        t = fixture_begin(f, 10000 + i);
        assert_int_equal(fixture_apply(t, "rule r fill n%d.example pool=a", (int)i), 0);
        fixture_commit(t);
    }
    assert_int_equal(logged(f, 0, NULL), 101);
    assert_int_equal(logged(f, 10050, NULL), 50);
    assert_int_equal(logged(f, 0, "z"), 1);
    assert_int_equal(logged(f, 0, "r"), 101);
    assert_int_equal(logged(f, 0, "nobody"), 0);
    assert_int_equal(policy_log_each(f->store, 0, NULL, see, &s), -ECANCELED);
    assert_int_equal(s.n, 1);
    t = fixture_begin(f, 20000);
    for (unsigned i = 0; i < 80; i++) /* more than it names */
        assert_int_equal(fixture_apply(t, "rule %060u deny n%u.example", i, i), 0);
    fixture_commit(t);
    assert_int_equal(logged(f, 0, "nobody"), 1);

    t = fixture_begin(f, 0);
    t->log = log;
    t->history_ms = 60000;
    assert_int_equal(fixture_apply(t, "-rule z"), 0);
    policy_change_note(t, "rule z removed");
    policy_change_note(t, "and more");
    assert_true(fixture_commit(t));
    assert_int_equal(t->serial, 103);
    assert_int_equal(policy_log_each(f->store, 20001, NULL, see, &s), -ECANCELED);
    assert_int_equal(s.last.serial, 103);
    assert_int_equal(s.last.time_ms, 90000);
    assert_string_equal(s.last.author, "admin");
    assert_string_equal(s.last.claimed, "anna");
    assert_string_equal(s.last.reason, "CHG0042");
    assert_string_equal(s.last.summary, "rule z removed; and more");
    assert_true(s.last.digest == counts_of(f).digest);
    assert_int_equal(logged(f, 0, NULL), 1); /* older than the history: gone */
}

TESTS("store", FIXTURE_TEST(a_read_is_of_one_state), FIXTURE_TEST(if_serial_moved),
      FIXTURE_TEST(a_host_too_long_for_a_key), TEST(a_name_that_is_none),
      FIXTURE_TEST(loaded_as_put), FIXTURE_TEST(sound_after_anything), FIXTURE_TEST(the_log),
      ROWS(scripts, script_run), ROWS(values, check_value))
