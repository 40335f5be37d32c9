/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_host.c -- hosts with addresses: which rule gives one, after each kind of
 * change. Who gets what of it is in resolver/test_kms_host.c.
 */
#include "fixture.h"

#include <errno.h>

#include "policy/records.h"
#include "wire/writer.h"

/* "RULE POOL" that gives the host to a client, or "-". */
static const char *giver(struct fixture *f, const char *host)
{
    static char text[256];
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;
    struct name name;
    bool may_be;

    assert_int_equal(policy_reader_begin(f->reader), 0);
    fixture_ask(f, "x", "10.20.1.1", &q);
    assert_int_equal(name_parse(&name, host), 0);
    name_fold(&name);
    q.ask.qname = &name;
    memset(&d, 0xee, sizeof d);
    may_be = policy_may_be_host(f->reader, &name);
    policy_decide(f->reader, &q.ask, &real, &d);
    policy_reader_end(f->reader);
    if (d.n_hosts == 0)
        return "-";
    assert_true(d.outcome == OUTCOME_FILLED || d.outcome == OUTCOME_REPLACED);
    assert_true(may_be);
    snprintf(text, sizeof text, "%s %s", d.rule, d.pool);
    return text;
}

#define HOST "kms.example"
#define WITH HOST ",address=10.0.0.5"

/* One after the other, each in a change of its own. "-rule NAME" and "-pool NAME" remove one. */
static const struct step {
    const char *change, *giver;
} steps[] = {
    {"net lab 10.20.0.0/16; pool a " WITH "; pool b other.example", "-"},
    {"rule r fill x.example pool=a", "r a"},
    {"pool a " HOST, "-"},
    {"pool a " HOST " z.example,address=10.0.0.1", "-"},
    {"pool a " HOST " " HOST ":1689,address=10.0.0.6", "r a"},
    {"rule r fill x.example pool=b", "-"},
    {"pool b " WITH, "r b"},
    {"rule q replace y.example pool=a", "q a"},      /* by name */
    {"rule z fill y.example pool=b net=lab", "z b"}, /* the nearest network */
    {"rule z deny y.example", "q a"},
    {"-rule q", "r b"},
    {"-rule r", "-"},
    {"rule s fill x.example pool=a mode=shadow", "-"},
    {"rule s fill x.example pool=a", "s a"},
};

static void every_change_moves_the_index(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const char *change = steps[i].change, *got;
        struct policy_txn *t = fixture_begin(f, 1000);

        if (strncmp(change, "-rule ", 6) == 0)
            assert_int_equal(fixture_change(t, POLICY_RULE, CHANGE_REMOVE, change + 6), 0);
        else
            assert_int_equal(fixture_apply(t, change), 0);
        assert_true(fixture_commit(t));
        got = giver(f, "KMS.example");
        if (strcmp(got, steps[i].giver) != 0)
            fail_msg("after %s: %s, not %s", change, got, steps[i].giver);
    }
    assert_string_equal(giver(f, "example"), "-");
    assert_string_equal(giver(f, "a." HOST), "-");
    assert_string_equal(giver(f, "."), "-");
    assert_sound(f);
}

static void a_suffix_moves_nothing(void **state)
{
    struct fixture *f = *state;
    struct suffix s = fixture_suffix("more.example");
    struct policy_txn *t;

    fixture_policy(f, "pool a " WITH "; rule r fill x.example pool=a");
    t = fixture_begin(f, 1000);
    assert_int_equal(fixture_change_suffix(t, CHANGE_ADD, "r", &s), 0);
    assert_true(fixture_commit(t));
    assert_string_equal(giver(f, HOST), "r a");
}

static void a_cleared_policy_has_no_host(void **state)
{
    struct fixture *f = *state;
    struct policy_txn *t;
    struct name host;

    fixture_policy(f, "pool a " WITH "; rule r fill x.example pool=a");
    assert_string_equal(giver(f, HOST), "r a");
    t = fixture_begin(f, 1000);
    assert_int_equal(fixture_replace(t, NULL), 0);
    assert_true(fixture_commit(t));
    assert_string_equal(giver(f, HOST), "-");
    assert_int_equal(name_parse(&host, HOST), 0);
    assert_int_equal(policy_reader_begin(f->reader), 0);
    assert_false(policy_may_be_host(f->reader, &host)); /* nor is it looked for */
    policy_reader_end(f->reader);
}

/* A name of such octets takes twice its length in a key. It is not found, and
 * hinders no change. */
static void a_name_too_long_for_a_key(void **state)
{
    struct fixture *f = *state;
    struct policy_host h = {.port = 1688, .n_addresses = 1};
    struct policy_pool p = {.name = "a", .hosts = &h, .n = 1};
    struct policy_txn *t;
    struct writer w = writer_make(h.target.at, sizeof h.target.at);

    assert_int_equal(addr_parse(&h.addresses[0], "10.0.0.5", 0), 0);
    for (int i = 0; i < 4; i++) {
        writer_u8(&w, 58);
        for (int k = 0; k < 58; k++)
            writer_u8(&w, 1);
    }
    writer_u8(&w, 0);
    h.target.len = (uint8_t)w.len;
    h.target.labels = 4;
    t = fixture_begin(f, 1000);
    assert_int_equal(fixture_change(t, POLICY_POOL, CHANGE_SET, &p), 0);
    assert_int_equal(fixture_apply(t,
                                   "rule "
                                   "a23456789012345678901234567890123456789012345678901234567890123"
                                   " fill x.example pool=a"),
                     0);
    assert_true(fixture_commit(t));
    assert_sound(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_change_moves_the_index),
        FIXTURE_TEST(a_suffix_moves_nothing),
        FIXTURE_TEST(a_cleared_policy_has_no_host),
        FIXTURE_TEST(a_name_too_long_for_a_key),
    };

    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
