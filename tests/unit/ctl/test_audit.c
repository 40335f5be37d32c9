/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_audit.c -- the audit verbs as they are typed, over a small audit.
 */
#include <pthread.h>
#include <signal.h>

#include "ctl/audit.h"
#include "tests/unit/audit/bench.h"
#include "tests/unit/ctl/capture.h"

static struct bench bench;

/* clang-format off */
/* Values of the last option, and behind "=" what --csv then has: how many rows, or the first
 * cell of each; "!": it is refused. */
static const struct values_row {
    const char *words, *values;
} values[] = {
    {"events --client", "10.20.4.7=1 10.20.4.8=0 10.20.0.0/16=1 hmac:10.20.4.7=0 kms01=!"},
    {"events --client 10.9.9.9 --client", "10.20.4.7=1"},
    {"events --client 10.20.4.7 --rule", "merged-domains=1 other=0"},
    {"events --network", "kiosks=1 dmz=0"},
    {"events --suffix", "FABRIKAM.local=1 _vlmcs._tcp.fabrikam.local=1 local=0 *.local=1 *.fabrikam.local=0 a..b=!"},
    {"events --outcome", "filled=1 missing=2 fild=!"},
    {"events --rule", "merged-domains=1 merged=0"},
    {"events --target", "kms01.contoso.com=1 old.contoso.com:1688=1 kms01.contoso.com:1689=0 kms01.contoso.com:x=!"},
    {"events --since", "2023-11-14=5 soon=!"}, /* control records have a time, too */
    {"events --outcome filled --until", "2023-11-14T22:13:20Z=0 2023-11-14T22:13:21Z=1"},
    {"events --since 1d --until", "2d=!"},
    {"events --since", "2099-01-01=! 0s=0"}, /* from now on */
    {"events --limit", "0=5 2=2 many=!"},
    {"events -f --until", "2023-11-14=!"},
    {"events -f --sort", "time=!"},
    {"clients --client", "10.20.0.0/16=10.20.4.7 10.21.0.0/16=0"},
    {"clients --no-host --sort", "address=10.0.0.1"},
    {"clients --rule", "merged-domains=10.20.4.7"}, /* this and more: from the events */
    {"suffixes --suffix", "*.local=fabrikam.local rikam.local=0"},
    {"suffixes --outcome", "missing=corp.example"},
    {"suffixes --limit", "9=fabrikam.local,corp.example"}, /* its own order: numbers from the largest */
    {"suffixes --sort", "suffix=corp.example,fabrikam.local -suffix=fabrikam.local,corp.example "
     "questions=corp.example,fabrikam.local +questions=fabrikam.local,corp.example "
     "+last_rule=fabrikam.local,corp.example nme=!"}, /* what is unknown comes last */
    {"suffixes --limit 1 --sort", "suffix=corp.example"},
    {"suffixes --client 10.20.4.7 --sort", "last_rule=fabrikam.local"},
    {"targets --target", "KMS01.contoso.com=kms01.contoso.com:1688 contoso.com=0"},
    {"targets --client 10.20.4.7 --sort", "target=kms01.contoso.com:1688,old.contoso.com:1688"},
    {"targets --sort", "unapproved=2"},
    {"targets --unapproved --sort", "target=0"},
    {"rules --rule", "merged-domains=merged-domains"},
    {"rules --client", "10.0.0.1=s"},
};

/* What is printed, to stdout or stderr, has the text. */
static const struct line {
    const char *what, *words;
    int code;
    const char *has;
} lines[] = {
    {"-f prints lines", "events -f --csv", EXIT_USAGE},
    {"JSON has an order", "events --json --sort time", EXIT_USAGE},
    {"a sentence of a control record", "events", 0, "start: waymarkd 0.1.0"},
    {"which has no answer", "events --csv", 0, "start: waymarkd 0.1.0,,,start,,,,,,,\r\n"},
    {"of a gap", "events", 0, "gap: 5 questions were not recorded, since 2023-11-14 22:13:20"},
    {"and what events cannot tell", "events", 0, "A client with a cached host asks nothing."},
    {"an event as an object", "events --json --outcome filled", 0,
     "{\"@timestamp\":\"2023-11-14T22:13:20.000Z\",\"ecs\":{\"version\":\"8.11.0\"},"
     "\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\",\"type\":\"dns-forwarder\"},"
     "\"event\":{\"kind\":\"event\",\"category\":[\"network\"],\"type\":[\"protocol\"],\"dataset\":\"waymark.audit\","
     "\"action\":\"kms-discovery\",\"sequence\":1,\"outcome\":\"success\",\"reason\":\"rule\",\"duration\":0},"
     "\"client\":{\"address\":\"10.20.4.7\",\"ip\":\"10.20.4.7\",\"port\":49155},\"network\":{\"transport\":\"udp\",\"protocol\":\"dns\"},"
     "\"dns\":{\"id\":\"7\",\"type\":\"answer\",\"question\":{\"name\":\"_vlmcs._tcp.Fabrikam.local\",\"type\":\"SRV\",\"class\":\"IN\"},"
     "\"op_code\":\"QUERY\",\"header_flags\":[\"RD\"],\"response_code\":\"NOERROR\","
     "\"answers\":[{\"type\":\"SRV\",\"data\":\"kms01.contoso.com:1688\"}]},\"rule\":{\"name\":\"merged-domains\"},"
     "\"waymark\":{\"suffix\":\"fabrikam.local\",\"outcome\":\"filled\",\"reason\":\"rule\","
     "\"repeat\":false,\"cached\":false,\"policy_serial\":42,\"networks\":[\"kiosks\"],"
     "\"verdict\":{\"name\":\"nxdomain\",\"server\":\"10.9.0.53:53\",\"response_code\":\"NXDOMAIN\",\"ms\":51,"
     "\"hosts\":[\"old.contoso.com:1688\"],\"unapproved\":[]}}}"},
    {"the newest, a gap", "events --json --limit 1", 0,
     "{\"@timestamp\":\"2023-11-14T22:13:20.000Z\",\"ecs\":{\"version\":\"8.11.0\"},"
     "\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\",\"type\":\"dns-forwarder\"},"
     "\"event\":{\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"info\"],\"dataset\":\"waymark.audit\","
     "\"action\":\"audit-gap\",\"sequence\":5},"
     "\"waymark\":{\"text\":\"\",\"count\":5,\"from\":\"2023-11-14T22:13:20.000Z\"}}"},
    {"from events: which it says", "rules --client 10.20.4.7", 0,
     "from 1 events, the oldest of 2023-11-14 22:13:20; questions above"},
    {"a client's story: its row", "client 10.20.4.7", 0,
     "client         10.20.4.7\nname           -\nfirst asked    2023-11-14 22:13:20\nlast asked     2023-11-14 22:13:20\n"
     "questions      1\nattempts       1\noutcomes       1 filled\nasks every     -\nlast host      kms01.contoso.com:1688\n"
     "given          2023-11-14 22:13:20\nno host since  -\n"},
    {"its suffixes and events", "client 10.20.4.7", 0,
     "\nSUFFIX          REAL DNS  OUTCOME  LAST ASKED\nfabrikam.local  nxdomain  filled   2023-11-14 22:13:20\n"
     "\n2023-11-14 22:13:20  _vlmcs._tcp.Fabrikam.local  filled by rule merged-domains, answer kms01.contoso.com:1688; "
     "the real DNS: nxdomain old.contoso.com:1688 from 10.9.0.53, 51 ms\n"},
    {"the oldest of its events first", "client 10.0.0.1", 0,
     "replaced by rule s\n2023-11-14 22:13:20  _vlmcs._tcp.corp.example  missing (no-rule), answer NXDOMAIN; the real DNS: "
     "nxdomain from the cache; Windows shows 0x8007232B; with the rules in shadow: replaced by rule s; a repeat\n"},
    {"none of its events", "client 10.20.4.7 --rule other", 0, "no event passes these filters\n"},
    {"its events as objects", "client 10.20.4.7 --json", 0, "\"action\": \"kms-discovery\""},
    {"nobody's name is sought unless that is asked for", "clients --json --client 10.20.4.7", 0,
     "\"cadence_ms\": null\n    }\n  ]\n}\n"},
    {"nobody", "client 10.9.9.9", EXIT_NOT_FOUND},
    {"a client that is none", "client kms01", EXIT_USAGE},
    {"two clients", "client 10.20.4.7 --client 10.0.0.1", EXIT_USAGE},
    {"what was lost", "verify", 0, "gaps      5 questions were not recorded\n"},
    {"the account", "summary", 0, "questions, ever  8 = 3 recorded + 0 counted + 5 dropped"},
    {"the hours", "summary --since 2023-11-14", 0, "outcomes         1 filled, 2 missing"},
    {"the clients of that time", "summary --since 2023-11-14 --until 2023-11-15", 0, "clients          2\nwithout a host   1\n"},
    {"of a time without any", "summary --since 2024-01-01 --until 2025-01-01", 0, "clients          0\nwithout a host   0\n"},
    {"of a time before all", "summary --since 2022-01-01 --until 2023-01-01", 0, "clients          0\nwithout a host   0\n"},
    {"of a time to come", "summary --since 2099-01-01", EXIT_USAGE, "--since is in the future"},
    {"of the events that match", "summary --since 2023-11-14 --suffix corp.example", 0, "questions        2\n"},
    {"a verdict is no list", "verify --csv", EXIT_USAGE, "audit verify has no CSV form; use --json"},
    {"nor is a change", "prune --before 2001-01-01 --yes --csv", EXIT_USAGE, "audit prune has no CSV form"},
    {"nor this one", "forget 10.9.9.9 --yes --csv", EXIT_USAGE, "audit forget has no CSV form"},
    {"no audit yet", "clients -o server.state-dir=/tmp", 0, "waymarkd has recorded nothing"},
};
/* The same, behind all that reads: they change the audit. */
static const struct line changes[] = {
    {"how many, for people", "prune --before 2001-01-01 --yes", 0, "0 records removed\n"},
    {"nobody was forgotten", "prune --before 2001-01-01 --yes", 0, "!What audit.outputs"},
    {"not without a time", "prune --yes", EXIT_USAGE, "audit prune needs --before T"},
    {"and for programs", "prune --before 2001-01-01 --yes --json", 0, "{\n  \"records\": 0\n}\n"},
    {"one of them", "forget 10.20.4.7 --yes", 0, "1 record is now those of nobody\n"},
    {"two", "forget 10.0.0.1 --yes --json", 0, "{\n  \"records\": 2\n}\n"},
    {"which verify tells", "verify", 0, "forgotten 2 clients, by 2 commands\n"},
    {"and when it did not run, the records before a start", "verify", 0,
     "stopped   2023-11-14 22:13:20 to 2023-11-14 22:13:20 (killed)\npruned    nothing\n"},
    {"in milliseconds", "verify --json", 0,
     "\"not_running\": [\n    {\n      \"since\": 1700000000000,\n      \"until\": 1700000000000,\n      \"killed\": true\n    }\n  ]"},
};
/* A statement of the user's own: what is printed to stdout, or what is wrong. */
static const struct query {
    const char *sql, *format;
    int code;
    const char *has;
} queries[] = {
    {"SELECT suffix, questions FROM suffixes ORDER BY 1", NULL, 0, "suffix          questions\ncorp.example            2\nfabrikam.local          1\n"},
    {"SELECT suffix, questions FROM suffixes ORDER BY 1;  -- all", "--csv", 0, "suffix,questions\r\ncorp.example,2\r\nfabrikam.local,1\r\n"},
    {"SELECT count(*) AS n, 1.5 AS x, NULL AS y, address LIKE '10%' FROM clients", "--json", 0, "\"n\": 2,\n      \"x\": 1.5,\n      \"y\": null,"},
    {"SELECT -2.5 AS x, 'b' AS y", "--csv", 0, "x,y\r\n-2.5,b\r\n"},
    {"SELECT '=cmd' AS a", "--csv", 0, "a\r\n'=cmd\r\n"},
    {"SELECT 1 AS \"a[x]\"", "--csv", 0, "a[x]\r\n1\r\n"},
    {"SELECT suffix FROM suffixes WHERE 0", "--csv", 0, "suffix\r\n"},
    {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3) SELECT sum(i) AS s FROM n", "--csv", 0, "s\r\n6\r\n"},
    {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 100001) SELECT i FROM n", "--csv", 0, "the first 100000 rows"},
    {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 100000) SELECT i FROM n", "--csv", 0, "!the first"},
    {"SELECT nme FROM clients", NULL, EXIT_INVALID, "audit sql: no such column: nme, at character 8\n"},
    {"SELECT 1 FROM foo", NULL, EXIT_INVALID, "audit sql: no such table: foo; the views are in waymark-audit(5)\n"},
    {"SELCT 1", NULL, EXIT_INVALID, "near \"SELCT\": syntax error, at character 1\n"},
    {"SELECT 1 AS a, 2 AS b, 3 AS a", NULL, EXIT_INVALID, "two columns are called a: rename one with AS"},
    {"SELECT 1; SELECT 2", NULL, EXIT_INVALID, "one statement is run"},
    {"SELECT 1; oops", NULL, EXIT_INVALID, "one statement is run"},
    {" ", NULL, EXIT_INVALID, "one statement is run"},
    {"DELETE FROM event", NULL, EXIT_INVALID, "only what reads"},
    {"CREATE TEMP TABLE t(x)", NULL, EXIT_INVALID, "only what reads"},
    {"ATTACH '/tmp/other.db' AS o", NULL, EXIT_INVALID, "only what reads"},
    {"PRAGMA user_version=9", NULL, EXIT_INVALID, "only what reads"},
    {"PRAGMA trusted_schema=ON", NULL, EXIT_INVALID, "only what reads"},
    {"BEGIN", NULL, EXIT_INVALID, "only what reads"},
    {"SELECT load_extension('/tmp/x.so')", NULL, EXIT_INVALID, "not authorized"},
    {"SELECT abs(-9223372036854775808)", NULL, EXIT_INVALID, "integer overflow"},
    {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n", NULL, EXIT_FAILED, "takes too long: ask for less, with WHERE or LIMIT\n"},
};
/* clang-format on */

static int run(const char *words)
{
    return capture_line(real, "audit -o server.state-dir=%s -o server.user= %s", bench.root, words);
}

static void check_line(void **state)
{
    const struct line *l = *state;
    int code = run(l->words);

    if (code != l->code || (l->has != NULL && !capture_said(l->has)))
        fail_msg("code %d: %s%s", code, out.text[0], out.text[1]);
}

static void check_values(void **state)
{
    const struct values_row *row = *state;
    char *copy = strdup(row->values), *rest = copy, *value, *line, words[256], cells[512];

    while ((value = strsep(&rest, " ")) != NULL) {
        char *want = strchr(value, '='), *text = out.text[0];
        int code, n = -1;

        *want++ = '\0';
        snprintf(words, sizeof words, "%s %s --csv", row->words, value);
        code = run(words);
        cells[0] = '\0';
        while ((line = strsep(&text, "\n")) != NULL && *line != '\0')
            if (n++ >= 0)
                snprintf(cells + strlen(cells), 100, "%s%.*s", n > 1 ? "," : "",
                         (int)strcspn(line, ","), line);
        if (want[strspn(want, "0123456789")] == '\0')
            snprintf(cells, sizeof cells, "%d", n);
        if (strcmp(code == EXIT_USAGE ? "!" : cells, want) != 0)
            fail_msg("%s: code %d, %s", words, code, cells);
    }
    free(copy);
}

static void check_query(void **state)
{
    const struct query *q = *state;
    char *argv[] = {"waymarkctl",
                    "audit",
                    "sql",
                    "-o",
                    (char[200]){0},
                    "-o",
                    "server.user=",
                    (char *)(uintptr_t)q->sql,
                    (char *)(uintptr_t)q->format,
                    NULL};
    int code;

    snprintf(argv[4], 200, "server.state-dir=%s", bench.root);
    capture_begin();
    code = cli_main(real, q->format != NULL ? 9 : 8, argv);
    capture_end();
    if (code != q->code || !capture_said(q->has))
        fail_msg("code %d: %.500s%s", code, out.text[0], out.text[1]);
}

/* --- events as they come ----------------------------------------------------------------- */

/* What the tool prints meanwhile, in another thread: standard output is the file of the capture. */
static void wait_for(const char *text)
{
    char said[4096] = "";

    for (int i = 0; i < 500 && strstr(said, text) == NULL; i++) {
        ssize_t n = pread(STDOUT_FILENO, said, sizeof said - 1, 0);

        said[n > 0 ? n : 0] = '\0';
        usleep(10000);
    }
}

static void *ask_then_stop(void *asker)
{
    struct audit_event e = sample_missing("10.0.0.9:1", "_vlmcs._tcp.late.example");

    wait_for("gap: 5 questions");
    bench_push(&bench, 0, &e);
    audit_writer_step(bench.w, bench.now, true);
    wait_for("late.example");
    pthread_kill(*(pthread_t *)asker, SIGTERM);
    return NULL;
}

/* Changes the audit: the last of all. */
static void follows(void **state)
{
    pthread_t thread, self = pthread_self();

    assert_int_equal(pthread_create(&thread, NULL, ask_then_stop, &self), 0);
    assert_int_equal(run("events -f --limit 1"), 0);
    pthread_join(thread, NULL);
    assert_has(out.text[0], "  -                gap: 5 questions were not recorded");
    assert_has(out.text[0], "\n2023-11-14 22:13:20  10.0.0.9         _vlmcs._tcp.late.example  "
                            "missing (no-rule), answer NXDOMAIN");
    assert_null(strstr(out.text[0], "fabrikam"));
}

static void *read_and_go(void *fd)
{
    char text[4096];

    assert_true(read(*(int *)fd, text, sizeof text) > 0);
    close(*(int *)fd);
    return NULL;
}

/* As `| head -1` does. */
static void ends_when_nobody_reads(void **state)
{
    char dir[200];
    char *argv[] = {"waymarkctl", "audit", "events", "-f", "--limit",
                    "1",          "-o",    dir,      "-o", "server.user="};
    int to[2], saved = dup(STDOUT_FILENO);
    pthread_t reader;

    snprintf(dir, sizeof dir, "server.state-dir=%s", bench.root);
    fflush(stdout);
    assert_int_equal(pipe(to), 0);
    dup2(to[1], STDOUT_FILENO);
    close(to[1]);
    assert_int_equal(pthread_create(&reader, NULL, read_and_go, &to[0]), 0);
    alarm(30); /* it ends the test */
    assert_int_equal(cli_main(real, ARRAY_LEN(argv), argv), 0);
    alarm(0);
    pthread_join(reader, NULL);
    dup2(saved, STDOUT_FILENO);
    close(saved);
}

/* The pages of its events are nonsense: it says what to do. */
static void damaged(void **state)
{
    static const uint8_t nonsense[4096] = {0xff};
    long page = strtol(bench_query(&bench, "SELECT rootpage FROM sqlite_schema WHERE name='event'"),
                       NULL, 10);
    int fd;

    bench_close(&bench); /* all is in the file */
    fd = open(bench.file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, (page - 1) * 4096), sizeof nonsense);
    close(fd);
    assert_int_equal(run("events"), EXIT_FAILED);
    assert_has(out.text[1], bench.dir);
    assert_has(out.text[1], " is damaged: put back a backup, or move it away\n");
}

static void commit(struct audit_event *e, int times)
{
    for (; times > 0; times--)
        bench_push(&bench, 0, e);
    audit_writer_step(bench.w, bench.now, true);
}

static void start(void)
{
    struct audit_event e = sample_missing("10.20.4.7:49155", "_vlmcs._tcp.Fabrikam.local");

    setenv("TZ", "UTC", 1);
    bench_start(&bench);
    sample_fill(&e, "merged-domains");
    e.id = 7;
    strcpy(e.networks, "kiosks");
    sample_host(e.real, "old.contoso.com");
    assert_int_equal(addr_parse(&e.server, "10.9.0.53:53", 0), 0);
    e.real_ms = 51;
    commit(&e, 1);
    audit_writer_control(bench.w, AUDIT_START, bench.now, "waymarkd 0.1.0");
    e = sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example");
    e.cached = true;
    e.would = OUTCOME_REPLACED;
    strcpy(e.would_rule, "s");
    commit(NULL, 0);
    commit(&e, 2);
    bench_close(&bench);
    bench_open(&bench, 64); /* where no event fits */
    commit(NULL, 0);
    commit(&e, 5);
    bench_close(&bench);
    bench_open(&bench, 1 << 20);
}

int main(void)
{
    int failed;

    ROWS(values, check_values);
    ROWS(lines, check_line);
    ROWS(queries, check_query);
    TEST(follows);
    TEST(ends_when_nobody_reads);
    ROWS(changes, check_line);
    TEST(damaged);
    start();
    failed = RUN("audit");
    bench_end(&bench);
    return failed;
}
