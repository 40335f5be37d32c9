/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_output.c -- what outputs send, how far they remember that they came, and what they tell.
 */
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "audit/output.h"
#include "base/file.h"
#include "tests/unit/audit/bench.h"

struct desk {
    struct bench b;
    struct audit_outputs *o;
    char file[128], to_file[144], to_unix[144];
};

static int start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    return -pthread_create(thread, NULL, run, arg);
}

static void begin(struct desk *d)
{
    d->o = audit_writer_outputs(d->b.w);
}

static void set(struct desk *d, const char *to, uint32_t format)
{
    audit_outputs_set(d->o, &(struct audit_target){to, format, 16}, to != NULL, start);
    audit_writer_step(d->b.w, d->b.now, true); /* where a new one's cursor comes from */
}

static void setup(struct desk *d)
{
    bench_start(&d->b);
    snprintf(d->file, sizeof d->file, "%s/lines", d->b.root);
    snprintf(d->to_file, sizeof d->to_file, "file:%s", d->file);
    snprintf(d->to_unix, sizeof d->to_unix, "unix:%s/log", d->b.root);
    begin(d);
}

/* As at the daemon's end. */
static void finish(struct desk *d)
{
    bench_close(&d->b);
}

static void restart(struct desk *d)
{
    finish(d);
    bench_open(&d->b, 1 << 20);
    begin(d);
}

static void teardown(struct desk *d)
{
    finish(d);
    bench_end(&d->b);
}

static void ask(struct desk *d, const char *client, const char *suffix)
{
    char name[256];
    struct audit_event e;

    snprintf(name, sizeof name, "_vlmcs._tcp.%s", suffix);
    e = sample_missing(client, name);
    bench_push(&d->b, 0, &e);
    audit_writer_step(d->b.w, d->b.now, true);
}

static json_t *report(struct desk *d)
{
    json_t *list = audit_outputs_report(d->o), *one;

    assert_int_equal(json_array_size(list), 1);
    one = json_incref(json_array_get(list, 0));
    json_decref(list);
    return one;
}

static long long behind(struct desk *d)
{
    json_t *r = report(d);
    const long long n = json_integer_value(json_object_get(r, "behind"));

    json_decref(r);
    return n;
}

/* error: what it has failed with; NULL: it has all. */
static void wait_until(struct desk *d, const char *error)
{
    for (int i = 0; i < 3000; i++, poll(NULL, 0, 10)) {
        json_t *r = report(d);
        const json_t *said = json_object_get(r, "error");
        const bool is_so = error != NULL
                               ? json_is_string(said) && strcmp(json_string_value(said), error) == 0
                               : json_is_null(said) && behind(d) == 0;

        json_decref(r);
        if (is_so)
            return;
    }
    fail();
}

static const char *lines(const struct desk *d)
{
    static char out[1 << 20];
    char *text;
    size_t len;

    out[0] = '\0';
    if (file_read(d->file, sizeof out - 1, &text, &len) == 0) {
        memcpy(out, text, len + 1);
        free(text);
    }
    return out;
}

#define NAME "_vlmcs._tcp.a=b\\\\c.example"
#define MADE "2023-11-14T22:13:20.000Z"

/* clang-format off */
static const struct line {
    const char *what;
    uint32_t format;
    bool filled, gap;
    const char *want;
} encoded[] = {
    {"a sentence", AUDIT_TEXT_LINE, true, false,
     "10.0.0.1  " NAME "  filled by rule r=1, answer kms01.contoso.com:1688; the real DNS: nxdomain\n"},
    {"CEF", AUDIT_CEF, true, false,
     "CEF:0|Waymark|waymarkd|" PACKAGE_VERSION "|kms-discovery|KMS discovery|3|rt=1700000000000 externalId=1 dvchost=dns1"
     " src=10.0.0.1 spt=0 proto=UDP app=DNS cnt=1 act=filled outcome=NOERROR reason=rule"
     " destinationDnsDomain=_vlmcs._tcp.a\\=b\\\\\\\\c.example cs1Label=rule cs1=r\\=1 cs2Label=answer cs2=kms01.contoso.com:1688"
     " cs3Label=realDns cs3=nxdomain cn1Label=latencyUs cn1=0\n"},
    {"CEF of an error", AUDIT_CEF, false, false,
     "CEF:0|Waymark|waymarkd|" PACKAGE_VERSION "|kms-discovery|KMS discovery|3|rt=1700000000000 externalId=1 dvchost=dns1"
     " src=10.0.0.1 spt=0 proto=UDP app=DNS cnt=1 act=missing outcome=NXDOMAIN reason=no-rule"
     " destinationDnsDomain=_vlmcs._tcp.a\\=b\\\\\\\\c.example cs3Label=realDns cs3=nxdomain cs5Label=windowsShows cs5=0x8007232B cn1Label=latencyUs cn1=0\n"},
    {"CEF of a control record", AUDIT_CEF, false, true,
     "CEF:0|Waymark|waymarkd|" PACKAGE_VERSION "|audit-gap|Audit: gap|6|rt=1700000000000 externalId=1 dvchost=dns1 cnt=0 msg=x|y\n"},
    {"ECS", AUDIT_ECS, false, true,
     "{\"@timestamp\":\"" MADE "\",\"ecs\":{\"version\":\"8.11.0\"},\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\","
     "\"type\":\"dns-forwarder\"},\"event\":{\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"info\"],"
     "\"dataset\":\"waymark.audit\",\"action\":\"audit-gap\",\"sequence\":1},\"waymark\":{\"text\":\"x|y\",\"count\":0}}\n"},
};
/* clang-format on */

static void is_encoded(void **state)
{
    const struct line *l = *state;
    struct audit_event e = sample_missing("10.0.0.1", "_vlmcs._tcp.a=b\\\\c.example");
    struct desk d;

    setup(&d);
    set(&d, d.to_file, l->format);
    if (l->filled)
        sample_fill(&e, "r=1");
    if (l->gap)
        audit_writer_control(d.b.w, AUDIT_GAP, d.b.now, "x|y");
    else
        bench_push(&d.b, 0, &e);
    audit_writer_step(d.b.w, d.b.now, true);
    wait_until(&d, NULL);
    assert_string_equal(lines(&d), l->want);
    teardown(&d);
}

static void syslog_has_a_head(void **state)
{
    static const char *const want[] = {
        "<134>1 " MADE " dns1 waymarkd - kms-discovery [meta sequenceId=\"1\"] 10.0.0.1  "
        "_vlmcs._tcp.a.example  missing (no-rule), answer NXDOMAIN; the real DNS: nxdomain; "
        "Windows "
        "shows 0x8007232B",
        "<132>1 " MADE " dns1 waymarkd - audit-gap [meta sequenceId=\"2\"] gap: 0 records: x",
        "<133>1 " MADE " dns1 waymarkd - audit-start [meta sequenceId=\"3\"] start: y",
    };
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char got[2048];
    struct desk d;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    setup(&d);
    strcpy(at.sun_path, d.to_unix + 5);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    set(&d, d.to_unix, AUDIT_TEXT_LINE);
    ask(&d, "10.0.0.1", "a.example");
    audit_writer_control(d.b.w, AUDIT_GAP, d.b.now, "x");
    audit_writer_control(d.b.w, AUDIT_START, d.b.now, "y");
    audit_writer_step(d.b.w, d.b.now, true);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        ssize_t n = recv(fd, got, sizeof got - 1, 0);

        assert_true(n > 0);
        got[n] = '\0';
        assert_string_equal(got, want[i]);
    }
    teardown(&d);
    close(fd);
}

/* Which records are in the file: the numbers behind externalId=. */
static const char *numbers(const struct desk *d)
{
    static char out[4096];
    struct str s;

    str_init(&s, out, sizeof out);
    for (const char *at = lines(d); (at = strstr(at, "externalId=")) != NULL; at++)
        str_addf(&s, "%s%d", s.len > 0 ? " " : "", atoi(at + strlen("externalId=")));
    return out;
}

static void goes_on_after_a_restart(void **state)
{
    struct desk d;

    setup(&d);
    ask(&d, "10.0.0.1", "before.example");
    set(&d, d.to_file, AUDIT_CEF);
    ask(&d, "10.0.0.1", "a.example");
    wait_until(&d, NULL);
    restart(&d);
    ask(&d, "10.0.0.1", "b.example");
    set(&d, d.to_file, AUDIT_CEF);
    ask(&d, "10.0.0.1", "c.example");
    wait_until(&d, NULL);
    assert_string_equal(numbers(&d), "2 3 4"); /* it began with the next record */
    set(&d, NULL, 0);
    assert_string_equal(bench_query(&d.b, "SELECT count(*) FROM output"), "0");
    ask(&d, "10.0.0.1", "d.example");
    set(&d, d.to_file, AUDIT_CEF); /* a new one again */
    ask(&d, "10.0.0.1", "e.example");
    wait_until(&d, NULL);
    assert_string_equal(numbers(&d), "2 3 4 6");
    teardown(&d);
}

static int no_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    (void)thread, (void)run, (void)arg;
    return -EAGAIN;
}

static void a_thread_that_was_not_had_is_asked_for_again(void **state)
{
    struct desk d;

    setup(&d);
    audit_outputs_set(d.o, &(struct audit_target){d.to_file, AUDIT_CEF, 16}, 1, no_thread);
    ask(&d, "10.0.0.1", "a.example");
    wait_until(&d, strerror(EAGAIN));
    set(&d, d.to_file, AUDIT_CEF);
    ask(&d, "10.0.0.1", "b.example");
    wait_until(&d, NULL);
    assert_string_equal(numbers(&d), "1 2");
    teardown(&d);
}

static void what_a_record_says_is_gone(void **state)
{
    struct desk d;
    sqlite3 *db;

    setup(&d);
    assert_int_equal(mkdir(d.file, 0700), 0); /* so that it waits in the database */
    set(&d, d.to_file, AUDIT_TEXT_LINE);
    ask(&d, "10.0.0.1", "a.example");
    wait_until(&d, strerror(EISDIR));
    assert_int_equal(sqlite3_open(d.b.file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM answer", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(rmdir(d.file), 0);
    wait_until(&d, NULL);
    ask(&d, "10.0.0.2", "b.example");
    wait_until(&d, NULL);
    assert_true(strncmp(lines(&d), "10.0.0.2", 8) == 0);
    teardown(&d);
}

static void file_that_is_moved_is_made_again(void **state)
{
    char moved[160];
    struct desk d;

    setup(&d);
    snprintf(moved, sizeof moved, "%s.1", d.file);
    set(&d, d.to_file, AUDIT_CEF);
    ask(&d, "10.0.0.1", "a.example");
    wait_until(&d, NULL);
    assert_int_equal(rename(d.file, moved), 0);
    ask(&d, "10.0.0.1", "b.example");
    wait_until(&d, NULL);
    assert_string_equal(numbers(&d), "2");
    teardown(&d);
}

static void what_was_removed_before_is_a_gap(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    char got[2048] = "";
    struct desk d;

    setup(&d);
    set(&d, d.to_unix, AUDIT_CEF); /* nobody listens */
    ask(&d, "10.0.0.1", "a.example");
    wait_until(&d, strerror(ENOENT));
    assert_int_equal(behind(&d), 1);
    d.b.now.mono_ms += 91ull * DAY_MS;
    d.b.now.wall_ms += 91ull * DAY_MS;
    restart(&d);
    audit_writer_step(d.b.w, d.b.now, true); /* removes it; a record says so */
    set(&d, d.to_unix, AUDIT_CEF);
    wait_until(&d, strerror(ENOENT));
    strcpy(at.sun_path, d.to_unix + 5);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    wait_until(&d, NULL);
    assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
    assert_has(got, "externalId=2 "); /* the next one */
    for (int i = 0; i < 2; i++) {
        audit_writer_step(d.b.w, d.b.now, true);
        wait_until(&d, NULL);
        assert_string_equal(bench_query(&d.b, "SELECT count(*),sum(count),min(note LIKE 'removed "
                                              "before unix:%') FROM gaps WHERE kind='gap'"),
                            "1 1 1");
    }
    teardown(&d);
    close(fd);
}

/* What the disk says of the file of lines: 0 or an errno. */
static _Atomic int disk_error;

int fdatasync(int fd)
{
    char link[64], path[256] = "";

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof path - 1);
    if (disk_error != 0 && strstr(path, "/lines")) {
        errno = disk_error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static void what_is_not_on_the_disk_has_not_come(void **state)
{
    struct desk d;

    setup(&d);
    set(&d, d.to_file, AUDIT_CEF);
    disk_error = EIO;
    ask(&d, "10.0.0.1", "a.example");
    wait_until(&d, strerror(EIO));
    assert_int_equal(behind(&d), 1);
    disk_error = EINVAL; /* it cannot be asked */
    wait_until(&d, NULL);
    disk_error = 0;
    teardown(&d);
}

static void no_line_is_torn_by_a_full_disk(void **state)
{
    struct audit_event e = sample_missing("10.0.0.1", "_vlmcs._tcp.a.example");
    struct rlimit l;
    struct desk d;

    signal(SIGXFSZ, SIG_IGN);
    setup(&d);
    assert_int_equal(mkdir(d.file, 0700), 0); /* so that they wait in the database */
    set(&d, d.to_file, AUDIT_CEF);
    for (int i = 0; i < 1500; i++)
        bench_push(&d.b, 0, &e);
    audit_writer_step(d.b.w, d.b.now, true);
    wait_until(&d, strerror(EISDIR));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = 200000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
    assert_int_equal(rmdir(d.file), 0);
    wait_until(&d, strerror(EFBIG));
    assert_int_equal(behind(&d), 1500 - 512); /* a batch */
    assert_int_equal(strlen(lines(&d)) > 0 && lines(&d)[strlen(lines(&d)) - 1] == '\n', 1);
    l.rlim_cur = l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
    wait_until(&d, NULL);
    assert_non_null(strstr(lines(&d), "externalId=1 "));
    assert_null(strstr(strstr(lines(&d), "externalId=600 ") + 1, "externalId=600 "));
    assert_non_null(strstr(lines(&d), "externalId=1500 "));
    teardown(&d);
}

TESTS("audit outputs", ROWS(encoded, is_encoded), TEST(syslog_has_a_head),
      TEST(goes_on_after_a_restart), TEST(file_that_is_moved_is_made_again),
      TEST(a_thread_that_was_not_had_is_asked_for_again), TEST(what_a_record_says_is_gone),
      TEST(what_was_removed_before_is_a_gap), TEST(no_line_is_torn_by_a_full_disk),
      TEST(what_is_not_on_the_disk_has_not_come))
