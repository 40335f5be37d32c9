/* SPDX-License-Identifier: BSD-2-Clause
 *
 * script.h -- what happens to a store, and what is then seen, as lines of text.
 *
 *   change STATEMENTS        one change (fixture.h), which makes a serial
 *   same STATEMENTS          likewise, and nothing differs
 *   abort STATEMENTS         done, and given up
 *   refused WORD STATEMENT   invalid, missing, busy, long; nothing is changed
 *   ask SUFFIX CLIENT = OUTCOME REASON RULE
 *   host NAME = RULE POOL    who gives it to 10.20.1.1; "-": nobody; "damaged"
 *   address IP = yes|no      is it one of a host in a pool?
 *   counts = SERIAL NETWORKS POOLS RULES SUFFIXES APPROVED
 *   damage TABLE NTH OCTET   flips a bit of the nth value of the table; then it is served
 *   verify = TEXT            a part of what it says; nothing: it is sound
 *
 * and with the file:
 *
 *   cut N                    to N octets; negative: what is used, less as many
 *   remove data|lock, fifo data, garbage data
 *   mark VERSION             as another Waymark has it
 *   open read|write|serve = TEXT    a part of why not; nothing: it is
 */
#ifndef TESTS_POLICY_SCRIPT_H
#define TESTS_POLICY_SCRIPT_H

#include "tests/unit/policy/fixture.h"

#include <errno.h>

#include <lmdb.h>

struct raw {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi;
};

/* LMDB allows one handle per process, so the store is closed meanwhile. */
static inline void raw_open(struct fixture *f, struct raw *r)
{
    fixture_close(f);
    assert_int_equal(mdb_env_create(&r->env), 0);
    assert_int_equal(mdb_env_set_mapsize(r->env, (size_t)16 << 30), 0);
    assert_int_equal(mdb_env_open(r->env, f->path, MDB_NOTLS | MDB_NOSYNC, 0660), 0);
    assert_int_equal(mdb_txn_begin(r->env, NULL, 0, &r->txn), 0);
    assert_int_equal(mdb_dbi_open(r->txn, NULL, 0, &r->dbi), 0);
    assert_int_equal(mdb_cursor_open(r->txn, r->dbi, &r->cursor), 0);
}

static inline void raw_close(struct fixture *f, struct raw *r)
{
    mdb_cursor_close(r->cursor);
    assert_int_equal(mdb_txn_commit(r->txn), 0);
    mdb_env_close(r->env);
    fixture_open_as(f, STORE_SERVE);
}

/* Flips a bit of octet `at` of the nth value of the table. */
static inline bool flip(struct fixture *f, char table, unsigned nth, size_t at)
{
    MDB_val k = {1, &table}, v;
    uint8_t copy[4096];
    struct raw r;
    bool done = false;
    int rc;

    raw_open(f, &r);
    rc = mdb_cursor_get(r.cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && nth-- > 0)
        rc = mdb_cursor_get(r.cursor, &k, &v, MDB_NEXT);
    if (rc == 0 && *(char *)k.mv_data == table && at < v.mv_size) {
        uint8_t key[600];
        MDB_val to = {k.mv_size, key}, with = {v.mv_size, copy};

        assert_true(v.mv_size <= sizeof copy);
        memcpy(key, k.mv_data, k.mv_size);
        memcpy(copy, v.mv_data, v.mv_size);
        copy[at] ^= 0x10;
        assert_int_equal(mdb_put(r.txn, r.dbi, &to, &with, 0), 0);
        done = true;
    }
    raw_close(f, &r);
    return done;
}

/* "": it is sound. */
static inline void verify_says(struct fixture *f, const char *part)
{
    bool sound = part[0] == '\0';
    struct diags d;

    diags_init(&d);
    assert_int_equal(store_verify(f->store, NULL, &d), sound ? 0 : -EBADMSG);
    assert_int_equal(d.n, !sound);
    if (!sound && (strstr(d.list[0], part) == NULL || strstr(d.list[0], f->path) == NULL ||
                   strstr(d.list[0], STORE_REMEDY) == NULL))
        fail_msg("no \"%s\", path and remedy in: %s", part, d.list[0]);
    diags_fini(&d);
}

/* "RULE POOL" that gives the host to 10.20.1.1, "damaged", or "-". */
static inline void script_host(struct fixture *f, const char *host, char *out, size_t size)
{
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;
    struct name name;
    bool may_be;

    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    fixture_ask(f, "x", "10.20.1.1", &q);
    assert_int_equal(name_parse(&name, host), 0);
    name_fold(&name);
    q.ask.qname = &name;
    memset(&d, 0xee, sizeof d);
    may_be = policy_may_be_host(f->reader, &name);
    policy_decide(f->reader, &q.ask, &real, &d);
    store_end(f->reader->txn);
    if (d.n_hosts > 0)
        assert_true(may_be);
    if (d.reason == REASON_DAMAGED)
        snprintf(out, size, "damaged");
    else
        snprintf(out, size, d.n_hosts > 0 ? "%s %s" : "-", d.rule, d.pool);
}

static inline const char *script_code(int rc)
{
    return rc == 0               ? "done"
           : rc == -EINVAL       ? "invalid"
           : rc == -ENOENT       ? "missing"
           : rc == -EBUSY        ? "busy"
           : rc == -ENAMETOOLONG ? "long"
                                 : strerror(-rc);
}

/* What is seen, for the words before the "=". */
static inline void script_see(struct fixture *f, const char *verb, char *words, char *out,
                              size_t size)
{
    char *save, *first = strtok_r(words, " ", &save);

    if (strcmp(verb, "ask") == 0) {
        snprintf(out, size, "%s", outcome(f, first, strtok_r(NULL, " ", &save)));
    } else if (strcmp(verb, "host") == 0) {
        script_host(f, first, out, size);
    } else if (strcmp(verb, "address") == 0) {
        struct addr a;
        bool yes;

        assert_int_equal(addr_parse(&a, first, 53), 0); /* a client's port does not count */
        assert_int_equal(store_reader_begin(f->reader->txn), 0);
        yes = policy_is_host_address(f->reader, &a);
        store_end(f->reader->txn);
        snprintf(out, size, "%s", yes ? "yes" : "no");
    } else if (strcmp(verb, "counts") == 0) {
        struct policy_counts c = counts_of(f);

        snprintf(out, size, "%d %d %d %d %d %d", (int)c.serial, (int)c.networks, (int)c.pools,
                 (int)c.rules, (int)c.suffixes, (int)c.approved);
    } else {
        fail_msg("unknown word %s", verb);
    }
}

static inline void script_open(struct fixture *f, const char *how, const char *why)
{
    static const char *const all[] = {"read", "write", "serve", NULL};
    enum store_access access = (enum store_access)str_index(all, how);
    struct store *s = NULL;
    struct diags d;

    fixture_close(f);
    if (*why == '\0') {
        fixture_open_as(f, access);
        return;
    }
    diags_init(&d);
    assert_true(store_open(&s, f->path, access, &d) < 0);
    assert_null(s);
    assert_int_equal(d.n, 1);
    assert_has(d.list[0], why);
    assert_has(d.list[0], f->path);
    diags_fini(&d);
}

/* A file of the store: data or lock. False: it is no such verb. */
static inline bool script_file(struct fixture *f, const char *verb, char *words)
{
    const char *path = strcmp(words, "lock") == 0 ? f->lock : f->data;
    long n = strtol(words, NULL, 10);
    uint8_t mark[] = "waymark-policy?";
    struct store_txn *t;
    FILE *out;

    if (strcmp(verb, "mark") == 0) {
        mark[14] = (uint8_t)n;
        assert_int_equal(store_begin(f->store, true, &t), 0);
        assert_int_equal(store_put(t, &(struct store_key){7, "Mformat"}, mark, 15), STORE_REPLACED);
        assert_int_equal(store_commit(t), 0);
        return true;
    }
    if (strcmp(verb, "cut") == 0) {
        if (words[0] == '-')
            n += (long)counts_of(f).bytes;
        fixture_close(f);
        assert_int_equal(truncate(f->data, n), 0);
        return true;
    }
    if (strcmp(verb, "remove") != 0 && strcmp(verb, "fifo") != 0 && strcmp(verb, "garbage") != 0)
        return false;
    fixture_close(f);
    assert_int_equal(unlink(path), 0);
    if (verb[0] == 'f')
        assert_int_equal(mkfifo(path, 0600), 0);
    if (verb[0] != 'g')
        return true;
    assert_non_null(out = fopen(path, "w"));
    for (int i = 0; i < 20000; i++)
        fputc(i * 7, out);
    fclose(out);
    return true;
}

static inline void script_line(struct fixture *f, char *line)
{
    char seen[300] = "", *save, *verb = strtok_r(line, " ", &save);
    char *words = save != NULL ? save : (char[]){""}, *want = strstr(words, "= ");
    struct policy_change *t;
    int rc;

    if (strcmp(verb, "change") == 0 || strcmp(verb, "same") == 0 || strcmp(verb, "abort") == 0) {
        t = fixture_begin(f, 1000);
        rc = fixture_apply(t, "%s", words);
        if (rc != 0)
            fail_msg("%s: %s", words, script_code(rc));
        if (verb[0] == 'a')
            policy_change_abort(t);
        else
            assert_int_equal(fixture_commit(t), verb[0] == 'c');
        return;
    }
    if (strcmp(verb, "refused") == 0) {
        char *code = strtok_r(NULL, " ", &save);

        t = fixture_begin(f, 1000);
        rc = fixture_apply(t, "%s", save);
        if (strcmp(script_code(rc), code) != 0)
            fail_msg("%s: %s, not %s", save, script_code(rc), code);
        (void)policy_change_commit(t);
        assert_false(t->changed);
        return;
    }
    if (strcmp(verb, "damage") == 0) {
        const char *table = strtok_r(NULL, " ", &save), *nth = strtok_r(NULL, " ", &save);

        assert_true(flip(f, *table, (unsigned)atoi(nth), (size_t)atoi(save)));
        return;
    }
    if (script_file(f, verb, words))
        return;
    if (want == NULL)
        want = strstr(words, "=");
    assert_non_null(want);
    *want = '\0';
    want += want[1] == ' ' ? 2 : 1;
    if (strcmp(verb, "verify") == 0) {
        verify_says(f, want);
        return;
    }
    if (strcmp(verb, "open") == 0) {
        script_open(f, strtok_r(words, " ", &save), want);
        return;
    }
    script_see(f, verb, words, seen, sizeof seen);
    if (strcmp(seen, want) != 0)
        fail_msg("%s %s: %s, not %s", verb, words, seen, want);
}

struct script {
    const char *what, *lines;
};

/* Runs it in a store of its own, which is sound in the end unless the last line says what is not. */
static inline void script_run(void **state)
{
    const struct script *s = *state;
    char *text = strdup(s->lines), *save;
    struct fixture f;

    fixture_folder(&f);
    fixture_open(&f);
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        script_line(&f, line);
    if (f.store != NULL && strstr(s->lines, "damage") == NULL)
        assert_sound(&f);
    fixture_remove(&f);
    free(text);
}

#endif
