/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_damage.c -- the policy store when disk, file or neighbours are not what
 * they should be: flipped bits, files cut short, dead readers.
 */
#include "script.h"

#include <signal.h>
#include <sys/wait.h>

#define HOSTS                                                                                      \
    "net lab 10.20.0.0/16; pool a k.c.d,address=10.0.0.9; pool b m.c.d,address=10.0.0.10;"         \
    "rule r fill corp.example pool=a; rule z deny *.example net=any,lab"
#define DAMAGED "verify = is damaged: 1 of its \nopen write = is damaged: 1 of its \nopen read =\n"
#define TOLD(name, what, question, then)                                                           \
    {                                                                                              \
        "damaged: " name,                                                                          \
            "change " HOSTS "\ndamage " what "\nask " question " = " then "\n" DAMAGED             \
    }

/* What is damaged is told, and a store of which anything is damaged is not changed. */
static const struct script scripts[] = {
    TOLD("head of the rule", "r 0 9", "corp.example 10.1.1.1", "missing damaged -"),
    TOLD("head of a rule that comes later", "r 1 9", "corp.example 10.1.1.1", "missing damaged -"),
    TOLD("entry of the index", "s 0 3", "corp.example 10.1.1.1", "missing damaged -"),
    TOLD("entry of the index, for names below", "b 0 3", "x.example 10.1.1.1", "missing damaged -"),
    TOLD("entry of a parent, which comes later", "b 0 3", "corp.example 10.1.1.1",
         "missing damaged -"),
    TOLD("pool", "p 0 9", "corp.example 10.1.1.1", "missing damaged -"),
    TOLD("pool of another rule", "p 1 9", "corp.example 10.1.1.1", "filled rule r"),
    TOLD("rule of another name", "r 0 9", "x.example 10.1.1.1", "denied rule z"),
    TOLD("network, whose entries are whole", "n 0 9", "corp.example 10.1.1.1", "filled rule r"),
    TOLD("state", "M 1 9", "corp.example 10.1.1.1", "filled rule r"),
    TOLD("user of a pool", "P 0 3", "corp.example 10.1.1.1", "filled rule r"),
    TOLD("approved target", "A 0 3", "corp.example 10.1.1.1", "filled rule r"),
    TOLD("log", "L 0 3", "corp.example 10.1.1.1", "filled rule r"),
    TOLD("entry of the client's network", "G 0 3", "x.example 10.20.1.1", "missing damaged -"),
    {"damaged: address and name of a host", "change " HOSTS "\ndamage D 0 3\ndamage H 0 3\n"
                                            "host k.c.d = damaged\nhost m.c.d = -\n"},
    {"damaged: user of a host's pool", "change " HOSTS "\ndamage P 0 3\nhost k.c.d = damaged\n"},
    {"damaged: an entry's key fell back", "change " BASE "\ndamage s 0 -11\n" /* cobp */
                                          "ask corp.example 10.1.1.1 = missing damaged -\n"},
    {"damaged: an entry's key fell forward", "change " BASE "\ndamage s 0 -10\n"
                                             "ask corp.example 10.1.1.1 = missing damaged -\n"},
    {"damaged: a record is gone, all that is there is whole",
     "change " BASE "\ndamage r 1 gone\nverify = not what their sum says\n"
     "open write = not what their sum says\n"},
    {"damaged: the state is gone", "change " BASE "\ndamage M 1 gone\n"
                                   "open write = not what their sum says\n"},
    {"damaged: the format", "damage M 0 9\nopen serve = another program\n"
                            "open write = is damaged: 1 of its 2\n"},
    {"file: as long as what is used", "change " BASE "\ncut -0\nopen write =\n"
                                      "ask corp.example 10.1.1.1 = filled rule r\n"},
    {"file: cut by an octet", "change " BASE "\ncut -1\nopen read = is behind the end\n"
                              "open write = is behind the end\n"},
    {"file: cut to 100 octets", "change " BASE "\ncut 100\nopen write = damaged\n"},
    {"file: emptied",
     "change " BASE "\ncut 0\nopen read = no policy store\nopen write = no policy store\n"
     "open serve = no policy store\n"},
    {"file: gone, and its lock tells", "change " BASE "\nremove data\nopen read = is missing\n"
                                       "open write = is missing\nopen serve = is missing\n"},
    {"file: a fifo", /* nobody waits for who writes it */
     "fifo data\nopen read = Illegal seek\nopen write = Illegal seek\nopen serve = Illegal seek\n"},
    {"file: nothing is left", "change " BASE "\nremove data\nremove lock\n"
                              "open read = cannot be opened\nopen serve =\n"
                              "counts = 0 0 0 0 0 0\n"},
    {"file: read by a tool", "change " BASE "\nopen read =\n"
                             "ask corp.example 10.1.1.1 = filled rule r\n"},
    {"file: of a newer version", "mark 7\nopen read = a newer Waymark\n"
                                 "open write = a newer Waymark\nopen serve = a newer Waymark\n"},
    {"file: of an older version", "mark 5\nopen write = an older Waymark\n"},
};

/* run() in a process of its own, at once; it must return true. */
static pid_t in_child(struct fixture *f, bool (*run)(struct fixture *))
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(!run(f));
    return pid;
}

static void ended_well(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool reads(struct fixture *f, enum store_access access)
{
    bool well = store_open(&f->store, f->path, access, NULL) == 0 &&
                (f->reader = policy_reader_new(f->store)) != NULL &&
                store_health(f->store).unlocked &&
                store_verify(f->store, STORE_WRITE, NULL, NULL) == 0 &&
                strcmp(outcome(f, "corp.example", "10.1.1.1"), "filled rule r") == 0 &&
                counts_of(f).serial == 1;

    fixture_close(f);
    return well;
}

static bool reads_only(struct fixture *f)
{
    return setgid(65534) == 0 && setuid(65534) == 0 && reads(f, STORE_SERVE) &&
           reads(f, STORE_READ) && store_open(&f->store, f->path, STORE_WRITE, NULL) == -EACCES;
}

static void a_folder_that_is_read_only(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        skip(); /* needs to become somebody else */
    fixture_policy(f, BASE);
    for (int with_lock = 1; with_lock >= 0; with_lock--) {
        if (!with_lock)
            assert_int_equal(unlink(f->lock), 0); /* made again where that can be done */
        fixture_serve(f);
        assert_false(store_health(f->store).unlocked);
    }
    fixture_close(f);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(f->path, 0755), 0);
    assert_int_equal(chmod(f->data, 0644), 0);
    assert_int_equal(chmod(f->lock, 0644), 0);
    ended_well(in_child(f, reads_only));
    assert_int_equal(unlink(f->lock), 0);
    ended_well(in_child(f, reads_only));
}

/* They do not close: their places are dead readers' in the end. */
static bool changes_it(struct fixture *f)
{
    fixture_open(f);
    return fixture_policy(f, "rule r deny corp.example");
}

static bool stays(struct fixture *f)
{
    fixture_open(f);
    return raise(SIGSTOP) == 0;
}

/* Who opens it while nobody else has it open begins with all places free; else it sweeps. */
static void other_processes_are_seen(void **state)
{
    struct fixture *f = *state;
    pid_t other, pid;

    fixture_policy(f, BASE);
    fixture_close(f);
    other = in_child(f, stays);
    assert_int_equal(waitpid(other, NULL, WUNTRACED), other);
    pid = in_child(f, changes_it);
    fixture_open(f); /* at the same time, or not: both are fine */
    ended_well(pid);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "denied rule r");
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(store_sweep(f->store), 0);
    assert_int_equal(kill(other, SIGCONT), 0);
    ended_well(other);
    assert_true(store_sweep(f->store) > 0);
}

static int gate[2];

static bool begins(struct fixture *f)
{
    char octet;

    return read(gate[0], &octet, 1) == 1 && store_open(&f->store, f->path, STORE_WRITE, NULL) == 0;
}

/* A daemon and a tool make the same store: neither takes the other's beginning for a ruin. */
static void two_begin_at_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < 100; i++) {
        pid_t pid;

        fixture_close(f);
        unlink(f->data);
        unlink(f->lock);
        pid = in_child(f, begins);
        assert_int_equal(write(gate[1], "", 1), 1);
        fixture_open_as(f, STORE_SERVE);
        ended_well(pid);
        assert_int_equal(counts_of(f).serial, 0);
    }
    close(gate[0]);
    close(gate[1]);
}

/* Who looks after hosts that nobody approved is to see them, whatever became of a rule. */
static void what_the_real_dns_said_stays(void **state)
{
    struct fixture *f = *state;
    struct srv evil = {.port = 1688};
    const struct policy_real real = {.verdict = VERDICT_PRESENT, .srv = &evil, .n_srv = 1};
    static struct policy_decision d;
    struct fixture_question q;

    fixture_policy(f, BASE);
    flip(f, 'r', 0, 9);
    assert_int_equal(name_parse(&evil.target, "evil.kms"), 0);
    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    fixture_ask(f, "corp.example", "10.1.1.1", &q);
    policy_decide(f->reader, &q.ask, &real, &d);
    store_end(f->reader->txn);
    assert_int_equal(d.reason, REASON_DAMAGED);
    assert_int_equal(d.outcome, OUTCOME_PASSED);
    assert_int_equal(d.verdict, VERDICT_UNAPPROVED);
    assert_int_equal(d.n_unapproved, 1);
    assert_true(d.unapproved[0]);
    assert_int_equal(d.serial, 1);
}

TESTS("damage", ROWS(scripts, script_run), FIXTURE_TEST(a_folder_that_is_read_only),
      FIXTURE_TEST(other_processes_are_seen), FIXTURE_TEST(two_begin_at_once),
      FIXTURE_TEST(what_the_real_dns_said_stays))
