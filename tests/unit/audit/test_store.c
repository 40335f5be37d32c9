/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_store.c -- the audit store's file when its writer is killed right behind
 * LMDB's commit, before anything else is done to it: mdb_txn_commit() is
 * replaced here by one that dies then.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "audit/store.h"
#include "base/compiler.h"

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

static char dir[128];

static struct audit_store *open_store(void)
{
    struct audit_store *s = NULL;
    struct diags d;

    diags_init(&d);
    if (audit_store_open(&s, dir, true, &d) != 0)
        fail_msg("%s", d.n > 0 ? d.at[0].text : "?");
    diags_fini(&d);
    return s;
}

static off_t file_size(void)
{
    char path[160];
    struct stat st;

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void put(struct audit_txn *t, uint64_t n, size_t len)
{
    static const uint8_t zeros[20000];
    uint8_t key[9];

    assert_int_equal(
        audit_txn_put(t, audit_key_number(key, STORE_HOUR, n), (struct bytes){zeros, len}), 0);
}

static void del(struct audit_txn *t, uint64_t n)
{
    uint8_t key[9];

    assert_int_equal(audit_txn_del(t, audit_key_number(key, STORE_HOUR, n)), 0);
}

/* `before` commits of one record each, so that there are free pages; then n
 * records of len octets that come and go, `rounds` times. */
static const struct row {
    const char *what;
    unsigned before, n, len, rounds;
} rows[] = {
    {"killed behind a commit: few records", 6, 100, 100, 1},
    {"killed behind a commit: many records", 6, 9000, 100, 1},
    {"killed behind a commit: many, again and again", 6, 9000, 100, 5},
    {"killed behind a commit: values of many pages", 6, 50, 20000, 3},
    {"killed behind a commit: nothing free before", 0, 9000, 100, 2},
};

static void change(struct audit_txn *t, const struct row *row)
{
    put(t, 1, 8);
    for (unsigned round = 0; round < row->rounds; round++) {
        for (unsigned i = 0; i < row->n; i++)
            put(t, 100 + (i * 7919) % row->n, row->len);
        for (unsigned i = 0; i < row->n; i++)
            del(t, 100 + (i * 104729) % row->n);
    }
}

static void remove_store(void)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char path[160];

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void killed_behind_a_commit(void **state)
{
    const struct row *row = *state;
    struct audit_store *s;
    struct audit_txn *t;
    struct bytes v;
    uint8_t key[9];
    off_t before;
    int status;
    pid_t pid;

    snprintf(dir, sizeof dir, "%s/waymark-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    s = open_store();
    for (unsigned i = 0; i < row->before; i++) {
        assert_int_equal(audit_txn_begin(&t, s), 0);
        put(t, 2 + (i & 1), 8 + i);
        assert_int_equal(audit_txn_commit(t), 0);
    }
    audit_store_close(s);
    before = file_size();
    assert_true(before < 1 << 20); /* what was reserved is given back */
    pid = fork();
    if (pid == 0) {
        s = open_store();
        if (audit_txn_begin(&t, s) != 0)
            _exit(1);
        change(t, row);
        dies = true;
        audit_txn_commit(t);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    s = open_store();
    assert_int_equal(audit_txn_begin(&t, s), 0);
    assert_int_equal(audit_txn_get(t, audit_key_number(key, STORE_HOUR, 1), &v), 0);
    assert_int_equal(audit_txn_get(t, audit_key_number(key, STORE_HOUR, 100), &v), -ENOENT);
    audit_txn_abort(t);
    audit_store_close(s);
    remove_store();
}

int main(void)
{
    enum { ROWS = ARRAY_LEN(rows) };
    struct CMUnitTest tests[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].what, killed_behind_a_commit, NULL, NULL,
                                       (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
