/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_kill.c -- a writer of the policy store that is killed: the store opens,
 * holds every change that was acknowledged, and each of them whole.
 *
 * Kills at any moment are in tests/live. The worst moment is the one right behind
 * LMDB's commit, before anything else is done to the file: mdb_txn_commit() is
 * replaced here by one that dies then.
 */
#include "fixture.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>

#include <lmdb.h>

enum { MANY = 20000 };

static bool dies; /* behind the next commit */

int mdb_txn_commit(MDB_txn *txn)
{
    int (*commit)(MDB_txn *);
    void *real = dlsym(RTLD_NEXT, "mdb_txn_commit");
    int rc;

    memcpy(&commit, &real, sizeof commit);
    rc = commit(txn);
    if (dies)
        kill(getpid(), SIGKILL);
    return rc;
}

/* --- changes that take pages and give them back ------------------------------- */

static unsigned many = MANY;

/* They come (+), or go (-), in no order. */
static void many_suffixes(struct policy_change *t, char sign)
{
    for (unsigned i = 0; i < many; i++)
        assert_int_equal(fixture_apply(t, "%csuffix r n%05u.corp.example", sign, i * 7919 % MANY),
                         0);
}

static void come(struct policy_change *t)
{
    many_suffixes(t, '+');
    assert_int_equal(fixture_apply(t, "rule r fill corp.example,x.example pool=a"), 0);
}

static void come_and_go(struct policy_change *t)
{
    many_suffixes(t, '+');
    many_suffixes(t, '-');
    assert_int_equal(fixture_apply(t, "rule r deny corp.example"), 0);
}

static void come_and_all_goes(struct policy_change *t)
{
    for (int i = 0; i < 3; i++) {
        many_suffixes(t, '+');
        assert_int_equal(fixture_apply(t, "clear;" BASE), 0);
    }
    assert_int_equal(fixture_apply(t, "rule r deny corp.example"), 0);
}

/* Values of many pages: LMDB does not use those again in the same transaction. */
static void great_values(struct policy_change *t)
{
    static struct prefix prefixes[4000];
    struct policy_network n = {.name = "great", .prefixes = prefixes, .n = ARRAY_LEN(prefixes)};

    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(prefixes); i++) {
            char text[64];

            snprintf(text, sizeof text, "10.%u.%u.%u/32", round, i >> 8, i & 255);
            assert_int_equal(prefix_parse(&prefixes[i], text), 0);
        }
        assert_int_equal(fixture_change(t, POLICY_NETWORK, CHANGE_SET, &n), 0);
        n.n -= 50;
    }
    assert_int_equal(fixture_change(t, POLICY_NETWORK, CHANGE_REMOVE, "great"), 0);
    assert_int_equal(fixture_apply(t, "rule r deny corp.example"), 0);
}

static const struct taking {
    const char *what;
    void (*run)(struct policy_change *);
    unsigned many, before; /* suffixes; small changes before, so that there are free pages */
    uint64_t suffixes;
} takings[] = {
    {"killed behind a commit: few of many suffixes stay", come, MANY, 0, 3},
    {"killed behind a commit: suffixes came and went", come_and_go, MANY, 0, 2},
    {"killed behind a commit: three times everything went", come_and_all_goes, MANY, 0, 2},
    {"killed behind a commit: great values", great_values, 0, 0, 2},
    {"killed behind a commit: few stay, with free pages", come, 14000, 6, 3},
    {"killed behind a commit: suffixes came and went, with free pages", come_and_go, 14000, 6, 2},
    {"killed behind a commit: everything went, with free pages", come_and_all_goes, 14000, 6, 2},
    {"killed behind a commit: great values, with free pages", great_values, 0, 6, 2},
};

static off_t file_size(const struct fixture *f)
{
    struct stat st;

    assert_int_equal(stat(f->data, &st), 0);
    return st.st_size;
}

static void killed_behind_a_commit(void **state)
{
    const struct taking *row = *state;
    struct fixture f;
    int status;
    pid_t pid;

    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, BASE);
    for (unsigned i = 0; i < row->before; i++)
        fixture_policy(&f,
                       i & 1 ? "rule z deny *.example net=any" : "rule z pass *.example net=any");
    many = row->many;
    fixture_close(&f); /* LMDB's handles do not survive a fork */
    pid = fork();
    if (pid == 0) {
        struct policy_change *t;

        fixture_open(&f);
        t = fixture_begin(&f, 2);
        row->run(t);
        dies = true;
        policy_change_commit(t);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture_open(&f);
    assert_int_equal(counts_of(&f).serial, 2 + row->before);
    assert_int_equal(counts_of(&f).suffixes, row->suffixes);
    assert_sound(&f);
    /* What the dead one had reserved is given back by the next. */
    assert_true(fixture_policy(&f, "rule r pass corp.example"));
    assert_int_equal(file_size(&f), counts_of(&f).bytes);
    fixture_remove(&f);
}

/* The surplus goes with the change itself, and with one that failed. */
static void no_surplus_stays(void **state)
{
    struct fixture *f = *state;
    struct policy_change *t;

    many = MANY;
    fixture_policy(f, BASE);
    assert_int_equal(file_size(f), counts_of(f).bytes);
    t = fixture_begin(f, 3);
    many_suffixes(t, '+');
    policy_change_abort(t);
    assert_int_equal(file_size(f), counts_of(f).bytes);
    t = fixture_begin(f, 4);
    come_and_go(t);
    assert_true(fixture_commit(t));
    assert_int_equal(file_size(f), counts_of(f).bytes);
    assert_sound(f);
}

int main(void)
{
    FIXTURE_TEST(no_surplus_stays);
    ROWS(takings, killed_behind_a_commit);
    return RUN("kill");
}
