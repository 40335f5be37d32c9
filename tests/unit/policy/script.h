/* SPDX-License-Identifier: BSD-2-Clause
 *
 * script.h -- what happens to a store, and what is then seen, as lines of text.
 *
 *   change STATEMENTS        one change (fixture.h), which makes a serial
 *   same STATEMENTS          likewise, and nothing differs
 *   abort STATEMENTS         done, and given up
 *   refused ERRNO STATEMENT  nothing is changed
 *   spoils ERRNO STATEMENT   likewise, and the change cannot be committed any more
 *   ask SUFFIX CLIENT = OUTCOME REASON RULE
 *   host NAME = RULE POOL    who gives it to 10.20.1.1; "-": nobody; "damaged"
 *   address IP = yes|no      is it one of a host in a pool?
 *   counts = SERIAL NETWORKS POOLS RULES SUFFIXES APPROVED
 *   damage TABLE NTH OCTET   flips a bit of the nth record of the table: of its value; of its
 *                            key when the octet is negative; "gone": it goes. Then it is served,
 *                            unless it is the mark of the format
 *   verify = TEXT            a part of what it says; nothing: it is sound
 *   at MS                    it is so late
 *   most OCTETS              of old values that changes keep from here on
 *   undo = ROWS              the last change is taken back: "VERB OBJECT, ...", or "ERRNO OLDEST"
 *   restore SERIAL = ROWS    all behind that one
 *   past SERIAL = COUNTS     of a store that is made of this one as it was, as of counts
 *   log SINCE [RULE] = N LAST    how many entries, and the last of them
 *
 * and with the file:
 *
 *   cut N                    to N octets; negative: what is used, less as many
 *   remove data|lock, fifo data
 *   mark VERSION             as another Waymark has it
 *   open read|write|serve = TEXT    a part of why not; nothing: it is
 */
#ifndef TESTS_POLICY_SCRIPT_H
#define TESTS_POLICY_SCRIPT_H

#include "tests/unit/policy/fixture.h"

#include <lmdb.h>

enum { GONE = -1000 };

/* As "damage", past all sums. LMDB allows one handle per process, so the store is closed
 * meanwhile. */
static inline void flip(struct fixture *f, char table, unsigned nth, int at)
{
    uint8_t key[600], value[40000];
    MDB_val k = {1, &table}, v = {0, NULL};
    MDB_cursor *cursor;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    fixture_close(f);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_mapsize(env, (size_t)16 << 30), 0);
    assert_int_equal(mdb_env_open(env, f->path, MDB_NOTLS | MDB_NOSYNC, 0660), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    for (unsigned i = 0; i <= nth; i++)
        assert_int_equal(mdb_cursor_get(cursor, &k, &v, i == 0 ? MDB_SET_RANGE : MDB_NEXT), 0);
    assert_true(*(char *)k.mv_data == table && at < (int)v.mv_size);
    k.mv_data = memcpy(key, k.mv_data, k.mv_size);
    v.mv_data = memcpy(value, v.mv_data, v.mv_size);
    assert_int_equal(mdb_cursor_del(cursor, 0), 0);
    if (at != GONE) {
        *(at < 0 ? key - at : value + at) ^= 0x10;
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    }
    mdb_cursor_close(cursor);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    if (table != 'M' || nth > 0)
        fixture_open_as(f, STORE_SERVE);
}

/* "": it is sound. */
static inline void verify_says(struct fixture *f, const char *part)
{
    bool sound = part[0] == '\0';
    struct diags d = {0};

    assert_int_equal(store_verify(f->store, STORE_WRITE, NULL, &d), sound ? 0 : -EBADMSG);
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

struct logged {
    int n;
    struct policy_log_entry last;
};

static inline struct logged script_log(struct store *store, uint64_t since_ms, const char *rule)
{
    struct policy_log_entry e = {.serial = 0};
    struct logged l = {.n = 0};
    struct store_txn *t;
    int rc;

    assert_int_equal(store_begin(store, false, &t), 0);
    for (; (rc = log_next(t, since_ms, rule, &e)) == 0; l.n++)
        l.last = e;
    assert_int_equal(rc, -ENOENT);
    store_end(t);
    return l;
}

/* All that is stored, of which the digest is made, is what the same policy makes of a new store.
 * The list of changes outlives its transaction: in another one it says the same. */
static inline void assert_like_new(struct fixture *f)
{
    struct policy_counts was = counts_of(f), is;
    struct policy_change *t;
    struct fixture g;
    struct policy p;

    fixture_folder(&g);
    fixture_open(&g);
    t = fixture_begin(&g, 1);
    assert_int_equal(policy_load(f->store, &p, &is.serial), 0);
    assert_int_equal(is.serial, was.serial);
    assert_int_equal(policy_change_make(t, &p, POLICY_REPLACE), 0);
    for (int times = 0; times < 2; times++) {
        size_t more = 0;

        policy_change_abort(t);
        assert_int_equal(policy_change_begin(t, g.store), 0);
        assert_int_equal(policy_change_apply(t, NULL), 0);
        for (size_t i = 0; i < t->n; i++)
            more += t->list[i].more;
        assert_int_equal(more, was.suffixes);
    }
    policy_change_fini(t);
    fixture_commit(t);
    is = counts_of(&g);
    is.serial = was.serial;
    is.time_ms = was.time_ms;
    is.bytes = was.bytes;
    assert_memory_equal(&is, &was, sizeof is);
    fixture_remove(&g);
    policy_fini(&p);
}

/* What is done, row by row, to have the policy of that serial; NULL: before the last change. */
static inline void script_restore(struct fixture *f, const char *serial, char *out, size_t size)
{
    static const char *const verbs[] = {"head", "set", "add", "drop", "remove"};
    struct policy_change *t = fixture_begin(f, f->now_ms);
    char text[HOST_TEXT];
    uint64_t oldest = 0;
    int rc = restore_list(t, serial ? strtoull(serial, NULL, 10) : t->serial - 1, &oldest);
    struct str s;

    t->history_ms = 60000;
    str_init(&s, out, size);
    for (size_t i = 0; i < t->n; i++) {
        const struct change *c = &t->list[i];

        if (c->kind == POLICY_APPROVED)
            name_print(&c->is.approved->target, text);
        str_addf(&s, "%s%s %s", i > 0 ? ", " : "", verbs[c->verb],
                 c->kind == POLICY_APPROVED ? text : c->is.name);
    }
    rc = rc == 0 ? policy_change_apply(t, NULL) : rc;
    rc = rc == 0 ? policy_change_commit(t) : rc;
    policy_change_abort(t);
    policy_change_fini(t);
    if (rc != 0)
        snprintf(out, size, "%s %d", strerrorname_np(-rc), (int)oldest);
}

/* "SERIAL ..." of what counts says, or why not. */
static inline void script_past(struct fixture *f, uint64_t serial, char *out, size_t size)
{
    struct fixture was = {.now_ms = 0};
    uint64_t oldest = 0;
    struct logged l = {.n = 0};
    int rc = policy_open_nowhere(&was.store, f->dir, NULL, f->store, serial, &oldest);
    struct policy_counts c;

    if (rc != 0) {
        snprintf(out, size, "%s %d", strerrorname_np(-rc), (int)oldest);
        return;
    }
    c = counts_of(&was);
    snprintf(out, size, "%d %d %d %d %d %d", (int)c.serial, (int)c.networks, (int)c.pools,
             (int)c.rules, (int)c.suffixes, (int)c.approved);
    l = script_log(was.store, 0, NULL);
    assert_int_equal(l.last.serial, serial);
    assert_true(l.last.digest == c.digest && l.last.time_ms == c.time_ms);
    assert_sound(&was);
    assert_like_new(&was);
    store_close(was.store);
}

/* What is seen, for the words before the "=". */
static inline void script_see(struct fixture *f, const char *verb, char *words, char *out,
                              size_t size)
{
    char *save, *first = strtok_r(words, " ", &save);
    const char *second = strtok_r(NULL, " ", &save);
    struct policy_counts c;
    struct logged l = {.n = 0};
    struct addr a;

    if (strcmp(verb, "ask") == 0) {
        snprintf(out, size, "%s", outcome(f, first, second));
    } else if (strcmp(verb, "host") == 0) {
        script_host(f, first, out, size);
    } else if (strcmp(verb, "address") == 0) {
        assert_int_equal(addr_parse(&a, first, 53), 0); /* a client's port does not count */
        assert_int_equal(store_reader_begin(f->reader->txn), 0);
        snprintf(out, size, "%s", policy_is_host_address(f->reader, &a) ? "yes" : "no");
        store_end(f->reader->txn);
    } else if (strcmp(verb, "counts") == 0) {
        c = counts_of(f);
        snprintf(out, size, "%d %d %d %d %d %d", (int)c.serial, (int)c.networks, (int)c.pools,
                 (int)c.rules, (int)c.suffixes, (int)c.approved);
    } else if (strcmp(verb, "undo") == 0) {
        script_restore(f, NULL, out, size);
    } else if (strcmp(verb, "restore") == 0) {
        script_restore(f, first, out, size);
    } else if (strcmp(verb, "past") == 0) {
        script_past(f, strtoull(first, NULL, 10), out, size);
    } else if (strcmp(verb, "log") == 0) {
        c = counts_of(f);
        l = script_log(f->store, strtoull(first, NULL, 10), second);
        assert_true(snprintf(out, size, "%d %d %s %s %s %s", l.n, (int)l.last.serial, l.last.author,
                             l.last.claimed, l.last.reason, l.last.summary) < (int)size);
        assert_true(l.last.serial != c.serial ||
                    (l.last.digest == c.digest && l.last.time_ms == c.time_ms));
    } else {
        fail_msg("unknown word %s", verb);
    }
}

static inline void script_open(struct fixture *f, const char *how, const char *why)
{
    static const char *const all[] = {"read", "write", "serve", NULL};
    enum store_access access = (enum store_access)str_index(all, how);
    struct store *s = NULL;
    struct diags d = {0};

    fixture_close(f);
    if (*why == '\0') {
        fixture_open_as(f, access);
        return;
    }
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
    if (strcmp(verb, "remove") != 0 && strcmp(verb, "fifo") != 0)
        return false;
    fixture_close(f);
    assert_int_equal(unlink(path), 0);
    if (verb[0] == 'f')
        assert_int_equal(mkfifo(path, 0600), 0);
    return true;
}

/* A change, and what becomes of it. False: it is no such verb. */
static inline bool script_change(struct fixture *f, const char *verb, char *words)
{
    static const char *const verbs[] = {"change", "same", "abort", "refused", "spoils", NULL};
    enum { ABORT = 2, REFUSED, SPOILS };
    int at = str_index(verbs, verb);
    const char *want = at >= REFUSED ? strsep(&words, " ") : "0", *got;
    struct policy_change *t;
    struct store_record first;
    struct store_txn *read;
    uint64_t oldest;

    if (at < 0)
        return false;
    t = fixture_begin(f, f->now_ms);
    t->history_ms = 60000;
    policy_change_note(t, "one");
    policy_change_note(t, "two");
    got = strerrorname_np(-fixture_apply(t, "%s", words));
    if (strcmp(got, want) != 0)
        fail_msg("%s: %s, not %s", words, got, want);
    if (at == ABORT)
        policy_change_abort(t);
    else
        assert_int_equal(policy_change_commit(t) < 0, at == SPOILS);
    assert_int_equal(t->changed, at == 0);
    if (t->changed) { /* is what was before it kept, or is that told? */
        assert_int_equal(store_begin(f->store, false, &read), 0);
        assert_int_equal(serial_end(read, TABLE_KEPT, false, &oldest, &first), 0);
        assert_int_equal(t->unkept, oldest == 0);
        store_end(read);
    }
    return true;
}

static inline void script_line(struct fixture *f, char *line)
{
    char seen[300] = "", *words = line, *verb = strsep(&words, " "), *want;

    words = words != NULL ? words : verb + strlen(verb);
    if (script_change(f, verb, words) || script_file(f, verb, words))
        return;
    if (strcmp(verb, "at") == 0) {
        f->now_ms = strtoull(words, NULL, 10);
        return;
    }
    if (strcmp(verb, "most") == 0) {
        f->most = strtoull(words, NULL, 10);
        return;
    }
    if (strcmp(verb, "damage") == 0) {
        const char *table = strsep(&words, " "), *nth = strsep(&words, " ");

        flip(f, *table, (unsigned)atoi(nth), *words == 'g' ? GONE : atoi(words));
        return;
    }
    want = strstr(words, "= ");
    want = want != NULL ? want : strstr(words, "=");
    assert_non_null(want);
    *want = '\0';
    want += want[1] == ' ' ? 2 : 1;
    if (strcmp(verb, "verify") == 0) {
        verify_says(f, want);
    } else if (strcmp(verb, "open") == 0) {
        script_open(f, strsep(&words, " "), want);
    } else {
        script_see(f, verb, words, seen, sizeof seen);
        if (strcmp(seen, want) != 0)
            fail_msg("%s %s: %s, not %s", verb, words, seen, want);
    }
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
    if (f.store != NULL && strstr(s->lines, "damage") == NULL) {
        assert_sound(&f);
        assert_like_new(&f);
    }
    fixture_remove(&f);
    free(text);
}

#endif
