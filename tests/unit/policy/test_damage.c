/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_damage.c -- the policy store when disk, file or neighbours are not what
 * they should be: flipped bits, files cut short, a full disk, dead readers.
 */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* --- damage ----------------------------------------------------------------- */

#define HOSTS                                                                                      \
    "net lab 10.20.0.0/16; pool a k.c.d,address=10.0.0.9; pool b m.c.d,address=10.0.0.10;"         \
    "rule r fill corp.example pool=a; rule z deny *.example net=any,lab"

/* What is damaged is told, and writing the same again repairs it. */
static const struct damaged {
    const char *what, *damage, *ask, *then;
    const char *repaired; /* NULL: the same */
} damaged[] = {
    {"damaged: head of the rule", "R 0 9", "corp.example 10.1.1.1", "missing damaged -",
     "filled rule r"},
    {"damaged: head of a rule that comes later", "R 1 9", "corp.example 10.1.1.1",
     "missing damaged -", "filled rule r"},
    {"damaged: entry of the index", "S 0 3", "corp.example 10.1.1.1", "missing damaged -",
     "filled rule r"},
    {"damaged: entry of the index, for names below", "W 0 3", "x.example 10.1.1.1",
     "missing damaged -", "denied rule z"},
    {"damaged: entry of a parent, which comes later", "W 0 3", "corp.example 10.1.1.1",
     "missing damaged -", "filled rule r"},
    {"damaged: pool", "P 0 9", "corp.example 10.1.1.1", "missing damaged -", "filled rule r"},
    {"damaged: pool of another rule", "P 1 9", "corp.example 10.1.1.1", "filled rule r"},
    {"damaged: rule of another name", "R 0 9", "x.example 10.1.1.1", "denied rule z"},
    {"damaged: network, whose ranges are whole", "N 0 9", "corp.example 10.20.1.1",
     "filled rule r"},
    {"damaged: state", "M 1 9", "corp.example 10.20.1.1", "filled rule r"},
    {"damaged: list of the suffixes of a rule", "r 0 3", "corp.example 10.20.1.1", "filled rule r"},
    {"damaged: user of a pool", "p 0 3", "corp.example 10.20.1.1", "filled rule r"},
    {"damaged: approved target", "t 0 3", "corp.example 10.20.1.1", "filled rule r"},
};

static void is_told_and_repaired(void **state)
{
    const struct damaged *r = *state;
    struct script script = {.lines = NULL};
    char text[1000];

    snprintf(text, sizeof text,
             "change " BASE "\ndamage %s\nask %s = %s\nverify = is damaged: 1 of its \n"
             "change " BASE "\nverify =\nask %s = %s\n",
             r->damage, r->ask, r->then, r->ask, r->repaired != NULL ? r->repaired : r->then);
    script.lines = text;
    script_run((void *[]){&script});
}

static const struct script scripts[] = {
    {"damaged: range of the client", /* made again with any change of a network */
     "change " BASE "\ndamage g 1 9\n"
     "ask corp.example 10.20.1.1 = missing damaged -\n"
     "verify = is damaged: 1 of its \n"
     "change net other 192.0.2.0/24\nverify =\n"
     "ask corp.example 10.20.1.1 = filled rule r\n"},
    {"damaged: range of other clients", /* made again with any change of a network */
     "change " BASE "\ndamage g 1 9\n"
     "ask corp.example 10.1.1.1 = filled rule r\n"
     "verify = is damaged: 1 of its \n"
     "change net other 192.0.2.0/24\nverify =\n"
     "ask corp.example 10.1.1.1 = filled rule r\n"},
    {"damaged: state, and the networks of a client are found", /* nobody says that there are none */
     "change " BASE "; rule n deny n.local net=lab\ndamage M 1 9\n"
     "ask n.local 10.20.1.1 = denied rule n\n"
     "ask n.local 10.21.1.1 = missing no-rule -\n"},
    {"damaged: address and name of a host", "change " HOSTS "\ndamage a 0 3\ndamage h 0 3\n"
                                            "host k.c.d = -\nhost m.c.d = -\n"
                                            "change " HOSTS "\nverify =\n"
                                            "host k.c.d = r a\naddress 10.0.0.9 = yes\n"},
    {"damaged: what followed from a pool goes with it",
     "change " HOSTS "\ndamage P 0 9\n"
     "change pool a n.c.d,address=10.0.0.11\nverify =\n"
     "address 10.0.0.9 = no\naddress 10.0.0.10 = yes\naddress 10.0.0.11 = yes\n"
     "host k.c.d = -\nhost n.c.d = r a\n"},
    {"damaged: a pool that goes", "change " HOSTS "\ndamage P 1 9\n"
                                  "change -pool b\nverify =\n"
                                  "address 10.0.0.9 = yes\naddress 10.0.0.10 = no\n"},
    {"damaged: what a rule used is free with it",
     "change " HOSTS "\ndamage R 0 9\n"
     "change rule r fill corp.example pool=b\nverify =\n"
     "host k.c.d = -\nhost m.c.d = r b\n"
     "change -pool a\n"},
    {"damaged: a rule that goes", "change " HOSTS "\ndamage R 1 9\n"
                                  "change -rule z; -network lab\nverify =\n"
                                  "counts = 2 0 2 1 1 0\n"},
    {"damaged: a rule can be added whatever else is damaged, and gives its hosts",
     "change " HOSTS "\ndamage R 0 9\n"
     "change rule s fill s.example pool=b\nhost m.c.d = s b\n"
     "damage P 0 9\n"
     "change rule t fill t.example pool=b\nhost m.c.d = s b\n"},
};

static int last_summary(void *context, const struct policy_log_entry *e)
{
    snprintf(context, 600, "%llu %s", (unsigned long long)e->serial, e->summary);
    return 0;
}

/* Counts, serial and digest are in one record. Everything else says them too. */
static void damaged_state_is_made_again(void **state)
{
    const struct policy_change change = {.author = "test", .now_ms = 9, .if_serial = 2};
    struct fixture *f = *state;
    struct policy_counts before, after;
    struct policy_txn *t;
    struct policy p;
    uint64_t serial = 0;
    char said[600];
    bool changed;

    fixture_policy(f, BASE "; ok kms.adatum.net");
    fixture_policy(f, "rule r fill corp.example,*.hr.example pool=a");
    before = counts_of(f);
    assert_true(flip(f, 'M', 1, 9));
    assert_int_equal(policy_store_counts(f->store, &after), -EBADMSG);

    assert_int_equal(policy_load(f->store, &p, &serial), 0); /* it can be exported */
    assert_int_equal(serial, 2);
    assert_int_equal(p.n_rules, 2);
    policy_fini(&p);

    t = fixture_begin(f, 9); /* a look alone repairs nothing */
    policy_txn_abort(t);
    assert_int_equal(policy_store_counts(f->store, &after), -EBADMSG);

    assert_int_equal(policy_txn_begin(&t, f->store, &change, &serial), 0); /* if_serial counts */
    policy_txn_note(t, "nothing else");
    assert_int_equal(policy_txn_commit(t, &serial, &changed), 0);
    assert_true(changed);
    assert_int_equal(serial, 3);
    after = counts_of(f);
    assert_int_equal(after.serial, 3);
    assert_int_equal(after.digest, before.digest);
    assert_int_equal(after.networks, before.networks);
    assert_int_equal(after.pools, before.pools);
    assert_int_equal(after.rules, before.rules);
    assert_int_equal(after.suffixes, before.suffixes);
    assert_int_equal(after.approved, before.approved);
    assert_sound(f);
    assert_int_equal(policy_log_each(f->store, 0, NULL, last_summary, said), 0);
    assert_string_equal(said,
                        "3 the record of the state was damaged and is made again; nothing else");

    assert_true(flip(f, 'M', 1, 9)); /* together with a change, and with the log's last entry */
    assert_true(flip(f, 'L', 2, 12));
    assert_true(fixture_policy(f, "rule r deny corp.example"));
    assert_int_equal(counts_of(f).serial, 4);
    assert_int_equal(counts_of(f).suffixes, before.suffixes - 1);
}

/* All that is there is whole, and something is not there. */
static void a_record_that_is_gone(void **state)
{
    struct fixture *f = *state;
    char range[] = "g\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377";
    MDB_val keys[] = {{17, range}, {6, (char[]){"Mstate"}}, {2, (char[]){"Rz"}}};
    struct raw r;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        fixture_policy(f, BASE);
        verify_says(f, "");
        raw_open(f, &r);
        assert_int_equal(mdb_del(r.txn, r.dbi, &keys[i], NULL), 0);
        raw_close(f, &r, true);
        if (i == 0)
            assert_string_equal(outcome(f, "corp.example", "ffff::1"), "missing damaged -");
        verify_says(f, "not what their sum says");
        fixture_remove(f);
        fixture_folder(f);
        fixture_open(f);
    }
}

/* Nothing is made of networks of which one cannot be read. */
static void a_network_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    struct policy_txn *t;
    uint64_t serial;
    bool changed;

    fixture_policy(f, BASE);
    assert_true(flip(f, 'N', 0, 9));
    t = fixture_begin(f, 1);
    assert_int_equal(fixture_apply(t, "net other 192.0.2.0/24"), 0);
    assert_int_equal(policy_txn_commit(t, &serial, &changed), -EBADMSG);
    assert_int_equal(counts_of(f).networks, 1);
}

/* Every bit position of every value: the right answer, or damaged. */
static void never_another_answer(void **state)
{
    static const char tables[] = {'R', 'S', 'W', 'P', 'g', 't', 'N', 'r', 'M', 'L'};
    struct fixture *f = *state;

    fixture_policy(f, BASE);
    for (size_t i = 0; i < sizeof tables; i++)
        for (unsigned nth = tables[i] == 'M'; nth < 3;
             nth++) /* without the format, it does not open */
            for (size_t at = 0; flip(f, tables[i], nth, at); at++) {
                const char *got = outcome(f, "corp.example", "10.20.1.1");
                if (strcmp(got, "filled rule r") != 0)
                    assert_string_equal(got, "missing damaged -");
                assert_true(flip(f, tables[i], nth, at)); /* back */
            }
    assert_string_equal(outcome(f, "corp.example", "10.20.1.1"), "filled rule r");
}

/* An entry whose key fell over is not found; its neighbour gives it away. */
static void key_fell_over(struct fixture *f, uint8_t bit)
{
    uint8_t key[] = "Sexample\0corp\0\0\0r", value[9];
    MDB_val k = {sizeof key - 1, key}, v;
    struct raw r;

    fixture_policy(f, BASE);
    raw_open(f, &r);
    assert_int_equal(mdb_get(r.txn, r.dbi, &k, &v), 0);
    assert_int_equal(v.mv_size, sizeof value);
    memcpy(value, v.mv_data, sizeof value);
    assert_int_equal(mdb_del(r.txn, r.dbi, &k, NULL), 0);
    key[11] ^= bit;
    v.mv_data = value;
    assert_int_equal(mdb_put(r.txn, r.dbi, &k, &v, 0), 0);
    raw_close(f, &r, true);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "missing damaged -");
}

static void a_key_that_fell_forward(void **state)
{
    key_fell_over(*state, 1); /* cosp */
}

static void a_key_that_fell_back(void **state)
{
    key_fell_over(*state, 2); /* copp */
}

/* --- files that are not ours, or not whole ----------------------------------- */

static void open_says(const char *path, enum store_access access, int want, const char *part)
{
    struct store *s = NULL;
    struct diags d;

    diags_init(&d);
    assert_int_equal(store_open(&s, path, access, &d), want);
    assert_null(s);
    assert_int_equal(d.n, 1);
    if (strstr(d.list[0].text, part) == NULL || strstr(d.list[0].text, path) == NULL)
        fail_msg("no \"%s\" in: %s", part, d.list[0].text);
    diags_fini(&d);
}

static void missing_and_made(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;
    char path[300];
    struct stat st;

    snprintf(path, sizeof path, "%s/none", f->dir);
    open_says(path, STORE_READ, -ENOENT, "holds no policy yet");
    assert_int_equal(store_open(&s, f->dir, STORE_READ, NULL), -ENOENT);
    snprintf(path, sizeof path, "%s/none/none", f->dir);
    open_says(path, STORE_WRITE, -ENOENT, "");

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(stat(f->data, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(stat(f->lock, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);

    fixture_policy(f, BASE);
    fixture_close(f);
    assert_int_equal(store_open(&f->store, f->path, STORE_READ, NULL), 0);
    f->reader = policy_reader_new(f->store);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");
}

static void cut_short(void **state)
{
    struct fixture *f = *state;
    off_t used;

    fixture_policy(f, BASE);
    used = (off_t)counts_of(f).bytes;
    fixture_close(f);
    assert_int_equal(truncate(f->data, used), 0);
    fixture_open(f);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");
    fixture_close(f);
    assert_int_equal(truncate(f->data, used - 1), 0);
    open_says(f->path, STORE_READ, -EBADMSG, "was cut short");
    open_says(f->path, STORE_WRITE, -EBADMSG, "was cut short");
    assert_int_equal(truncate(f->data, 100), 0);
    open_says(f->path, STORE_WRITE, -EBADMSG, "damaged");
}

/* Something was there: what is left is neither taken for a new store nor touched. */
static void emptied(void **state)
{
    static const enum store_access all[] = {STORE_READ, STORE_WRITE, STORE_SERVE};
    struct fixture *f = *state;
    struct stat st;
    time_t began;

    fixture_policy(f, BASE);
    fixture_close(f);
    assert_int_equal(truncate(f->data, 0), 0);
    began = time(NULL);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        open_says(f->path, all[i], -EBADMSG, "is empty");
    assert_true(time(NULL) - began < 4); /* nobody is waited for: one that begins is given 4 s */
    assert_int_equal(stat(f->data, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(unlink(f->data), 0);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        open_says(f->path, all[i], -EBADMSG, "is missing");
    assert_int_equal(mkfifo(f->data, 0600), 0); /* nobody waits for who writes it */
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        open_says(f->path, all[i], -EBADMSG, "is no file");
    assert_int_equal(unlink(f->data), 0);

    assert_int_equal(unlink(f->lock), 0); /* a new one */
    open_says(f->path, STORE_READ, -ENOENT, "holds no policy yet");
    assert_int_equal(store_open(&f->store, f->path, STORE_SERVE, NULL), 0);
    assert_int_equal(counts_of(f).serial, 0);
}

static void garbage(void **state)
{
    struct fixture *f = *state;
    FILE *out;

    fixture_close(f);
    out = fopen(f->data, "w");
    assert_non_null(out);
    for (int i = 0; i < 20000; i++)
        fputc(i * 7, out);
    fclose(out);
    open_says(f->path, STORE_READ, -EBADMSG, "first pages");
}

static void somebody_elses(void **state)
{
    struct fixture *f = *state;
    MDB_val k = {7, (char[]){"Mformat"}}, v = {5, (char[]){"hello"}};
    struct raw r;

    raw_open(f, &r);
    assert_int_equal(mdb_put(r.txn, r.dbi, &k, &v, 0), 0);
    raw_close(f, &r, false);
    open_says(f->path, STORE_READ, -EBADMSG, "another program");
    raw_open(f, &r);
    assert_int_equal(mdb_del(r.txn, r.dbi, &k, NULL), 0);
    raw_close(f, &r, false);
    open_says(f->path, STORE_WRITE, -EBADMSG, "another program");
}

/* Kept apart from policy/: what a later version would write. */
static void of_a_newer_version(void **state)
{
    static const struct {
        uint8_t version;
        const char *part;
    } rows[] = {{4, "a newer Waymark"}, {2, "an older Waymark"}};
    uint8_t value[] = "waymark-policy?";
    struct fixture *f = *state;
    struct store_key k = {7, "Mformat"};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_txn *t;

        value[14] = rows[i].version;
        assert_int_equal(store_begin(f->store, true, &t), 0);
        assert_int_equal(store_put(t, &k, value, 15), STORE_REPLACED);
        assert_int_equal(store_commit(t), 0);
        fixture_close(f);
        open_says(f->path, STORE_READ, -EBADMSG, rows[i].part);
        open_says(f->path, STORE_WRITE, -EBADMSG, rows[i].part);
        fixture_remove(f);
        fixture_folder(f);
        fixture_open(f);
    }
}

static void a_folder_we_may_not_write(void **state)
{
    struct fixture *f = *state;
    struct store *s;
    struct diags d;
    int status;
    pid_t pid;

    if (geteuid() != 0)
        skip(); /* needs to become somebody else */
    fixture_close(f);
    pid = fork();
    if (pid == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(1);
        diags_init(&d);
        if (store_open(&s, f->path, STORE_WRITE, &d) != -EACCES || d.n != 1)
            _exit(2);
        _exit(strstr(d.list[0].text, "run as root") != NULL ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In a process of its own, as somebody who may only read. Exit code 0: as it should be. */
static int reads_only(struct fixture *f)
{
    const int all[] = {STORE_SERVE, STORE_READ};

    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (store_open(&f->store, f->path, (enum store_access)all[i], NULL) != 0)
            return 2;
        f->reader = policy_reader_new(f->store);
        if (f->reader == NULL || !store_health(f->store).unlocked)
            return 3;
        if (strcmp(outcome(f, "corp.example", "10.1.1.1"), "filled rule r") != 0)
            return 4;
        if (counts_of(f).serial != 1 || store_verify(f->store, NULL, NULL) != 0)
            return 5;
        fixture_close(f);
    }
    return store_open(&f->store, f->path, STORE_WRITE, NULL) == -EACCES ? 0 : 6;
}

static void a_folder_that_is_read_only(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        skip(); /* needs to become somebody else */
    fixture_policy(f, BASE);
    fixture_close(f);
    assert_int_equal(store_open(&f->store, f->path, STORE_SERVE, NULL), 0);
    assert_false(store_health(f->store).unlocked);
    fixture_close(f);
    assert_int_equal(unlink(f->lock), 0); /* made again where that can be done */
    assert_int_equal(store_open(&f->store, f->path, STORE_SERVE, NULL), 0);
    assert_false(store_health(f->store).unlocked);
    fixture_close(f);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(f->path, 0755), 0);
    assert_int_equal(chmod(f->data, 0644), 0);
    for (int with_lock = 1; with_lock >= 0; with_lock--) {
        int status;
        pid_t pid;

        assert_int_equal(with_lock ? chmod(f->lock, 0644) : unlink(f->lock), 0);
        pid = fork();
        if (pid == 0)
            _exit(reads_only(f));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

/* As many workers as there may be, and some tools beside them. */
static void places_for_readers(void **state)
{
    enum { WORKERS = 256, TOOLS = 64 };
    struct fixture *f = *state;
    struct policy_reader *all[STORE_PLACES];
    int n = 0;

    while (n < STORE_PLACES && (all[n] = policy_reader_new(f->store)) != NULL)
        n++;
    assert_true(n >= WORKERS + TOOLS && n < STORE_PLACES);
    assert_int_equal(errno, EUSERS);
    while (n > 0)
        policy_reader_free(all[--n]);
    assert_non_null(all[0] = policy_reader_new(f->store));
    policy_reader_free(all[0]);
}

/* --- the disk --------------------------------------------------------------- */

static void disk_full(void **state)
{
    struct fixture *f = *state;
    struct rlimit small = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY}, before;
    struct policy_txn *t;
    uint64_t serial;
    bool changed;

    fixture_policy(f, BASE);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    t = fixture_begin(f, 1);
    fixture_many(t, "r", 5000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(policy_txn_commit(t, &serial, &changed) < 0);
    assert_false(changed);
    assert_int_equal(serial, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");
    assert_string_equal(outcome(f, "n7.example", "10.1.1.1"), "denied rule z");
    assert_true(fixture_policy(f, "rule r deny corp.example"));
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "denied rule r");
    assert_sound(f);
    fixture_close(f);
    fixture_open(f);
    assert_sound(f);
}

/* An idle reader is a reset one: it pins nothing, and freed pages are used again. */
static void many_changes_do_not_grow_it(void **state)
{
    struct fixture *f = *state;
    struct policy_txn *t = fixture_begin(f, 1);
    uint64_t before;

    assert_int_equal(fixture_apply(t, BASE), 0);
    fixture_many(t, "r", 20000);
    fixture_commit(t);
    assert_string_equal(outcome(f, "n7.example", "10.1.1.1"), "filled rule r");
    before = counts_of(f).bytes;
    for (int i = 0; i < 1000; i++) {
        char text[64];

        snprintf(text, sizeof text, "n%d.example", i * 17);
        struct suffix s = fixture_suffix(text);
        const struct policy_change change = {.now_ms = 1000000 + (uint64_t)i, .history_ms = 100};
        uint64_t serial;

        assert_int_equal(policy_txn_begin(&t, f->store, &change, &serial), 0);
        assert_int_equal(fixture_change_suffix(t, CHANGE_DROP, "r", &s), 0);
        fixture_commit(t);
    }
    assert_true(counts_of(f).bytes < 2 * before);
    assert_sound(f);
}

static void another_process_is_seen(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t pid;

    fixture_policy(f, BASE);
    fixture_close(f);
    pid = fork();
    if (pid == 0) {
        fixture_open(f);
        fixture_policy(f, "rule r deny corp.example");
        _exit(0); /* without closing: its slot is a dead reader's */
    }
    fixture_open(f); /* at the same time, or not: both are fine */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "denied rule r");
    store_sweep(f->store);
    assert_int_equal(store_sweep(f->store), 0);
}

/* A daemon and a tool make the same store: neither takes the other's beginning for a ruin. */
static void two_begin_at_once(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    for (int i = 0; i < 100; i++) {
        int begin[2], status;
        char octet;
        pid_t pid;

        unlink(f->data);
        unlink(f->lock);
        assert_int_equal(pipe(begin), 0);
        pid = fork();
        if (pid == 0) {
            (void)!read(begin[0], &octet, 1);
            _exit(store_open(&f->store, f->path, STORE_WRITE, NULL) != 0);
        }
        assert_int_equal(write(begin[1], "", 1), 1);
        assert_int_equal(store_open(&f->store, f->path, STORE_SERVE, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(begin[0]);
        close(begin[1]);
        assert_int_equal(counts_of(f).serial, 0);
        fixture_close(f);
    }
}

int main(void)
{
    FIXTURE_TEST(a_record_that_is_gone);
    FIXTURE_TEST(a_network_that_cannot_be_read);
    FIXTURE_TEST(never_another_answer);
    FIXTURE_TEST(damaged_state_is_made_again);
    FIXTURE_TEST(a_key_that_fell_forward);
    FIXTURE_TEST(a_key_that_fell_back);
    FIXTURE_TEST(missing_and_made);
    FIXTURE_TEST(cut_short);
    FIXTURE_TEST(emptied);
    FIXTURE_TEST(garbage);
    FIXTURE_TEST(somebody_elses);
    FIXTURE_TEST(of_a_newer_version);
    FIXTURE_TEST(a_folder_we_may_not_write);
    FIXTURE_TEST(a_folder_that_is_read_only);
    FIXTURE_TEST(places_for_readers);
    FIXTURE_TEST(disk_full);
    FIXTURE_TEST(many_changes_do_not_grow_it);
    FIXTURE_TEST(another_process_is_seen);
    FIXTURE_TEST(two_begin_at_once);
    ROWS(damaged, is_told_and_repaired);
    ROWS(scripts, script_run);
    return RUN("damage");
}
