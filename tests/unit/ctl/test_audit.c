/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_audit.c -- the audit verbs as they are typed, over a small audit, and how
 * an event reads.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "ctl/audit.h"
#include "ctl/ctl.h"
#include "tests/unit/audit/bench.h"
#include "tests/unit/ctl/capture.h"

static const uint64_t now_ms = bench_start_ms;
static struct bench bench;
static struct capture out;

/* rows: of --csv, without the head. cells: the first of each; or what the output has. */
static const struct line {
    const char *what, *words;
    int code, rows;
    const char *cells;
} lines[] = {
    {"the event, a control record, three more", "events --csv", 0, 5},
    {"address", "events --csv --client 10.20.4.7", 0, 1},
    {"another address", "events --csv --client 10.20.4.8"},
    {"prefix", "events --csv --client 10.20.0.0/16", 0, 1},
    {"one of two clients", "events --csv --client 10.9.9.9 --client 10.20.4.7", 0, 1},
    {"not an address", "events --client kms01", EXIT_USAGE},
    {"network of the event", "events --csv --network kiosks", 0, 1},
    {"another network", "events --csv --network dmz"},
    {"suffix in another case", "events --csv --suffix FABRIKAM.local", 0, 1},
    {"the whole name as suffix", "events --csv --suffix _vlmcs._tcp.fabrikam.local", 0, 1},
    {"a suffix above is not it", "events --csv --suffix local"},
    {"below a suffix", "events --csv --suffix *.local", 0, 1},
    {"below does not mean itself", "events --csv --suffix *.fabrikam.local"},
    {"not a name", "events --suffix a..b", EXIT_USAGE},
    {"outcome", "events --csv --outcome filled", 0, 1},
    {"another outcome", "events --csv --outcome missing", 0, 2},
    {"no such outcome", "events --outcome fild", EXIT_USAGE},
    {"rule", "events --csv --rule merged-domains", 0, 1},
    {"another rule", "events --csv --rule merged"},
    {"target of our answer", "events --csv --target kms01.contoso.com", 0, 1},
    {"target of the real answer", "events --csv --target old.contoso.com:1688", 0, 1},
    {"target with another port", "events --csv --target kms01.contoso.com:1689"},
    {"not a port", "events --target kms01.contoso.com:x", EXIT_USAGE},
    {"all of several options", "events --csv --client 10.20.4.7 --rule other"},
    {"control records have a time, too", "events --csv --since 2023-11-14", 0, 4},
    {"until is not included", "events --csv --until 2023-11-14T22:13:20Z --outcome filled"},
    {"but what was before", "events --csv --until 2023-11-14T22:13:21Z --outcome filled", 0, 1},
    {"not a time", "events --since soon", EXIT_USAGE},
    {"since after until", "events --since 1d --until 2d", EXIT_USAGE},
    {"not a limit", "events --limit many", EXIT_USAGE},
    {"the newest", "events --csv --limit 2", 0, 2},
    {"-f has no end", "events -f --until 2023-11-14", EXIT_USAGE},
    {"-f has an order", "events -f --sort time", EXIT_USAGE},
    {"-f prints lines", "events -f --csv", EXIT_USAGE},
    {"JSON has an order", "events --json --sort time", EXIT_USAGE},
    {"sentences of control records", "events", 0, 0, "start: waymarkd 0.1.0"},
    {"and what events cannot tell", "events", 0, 0, "A client with a cached host asks nothing."},
    {"an object a line", "events --json --limit 1", 0, 0, "{\"@timestamp\":\""},

    {"clients by prefix", "clients --csv --client 10.20.0.0/16", 0, 1, "10.20.4.7"},
    {"no clients of another", "clients --csv --client 10.21.0.0/16", 0, 0, ""},
    {"suffixes below", "suffixes --csv --suffix *.local", 0, 1, "fabrikam.local"},
    {"suffixes not their end", "suffixes --csv --suffix rikam.local", 0, 0, ""},
    {"targets without port", "targets --csv --target KMS01.contoso.com", 0, 1,
     "kms01.contoso.com:1688"},
    {"targets not their end", "targets --csv --target contoso.com", 0, 0, ""},
    {"rules", "rules --csv --rule merged-domains", 0, 1, "merged-domains"},
    {"clients without a host", "clients --csv --no-host", 0, 1, "10.0.0.1"},
    {"from events: the clients of a rule", "clients --csv --rule merged-domains", 0, 1,
     "10.20.4.7"},
    {"from events: the suffixes of an outcome", "suffixes --csv --outcome missing", 0, 1,
     "corp.example"},
    {"from events: the targets of a client", "targets --csv --client 10.20.4.7 --sort target", 0, 2,
     "kms01.contoso.com:1688 old.contoso.com:1688"},
    {"from events: which it says", "rules --client 10.20.4.7", 0, 0,
     "from 1 events, the oldest of 2023-11-14 22:13:20; questions above"},
    {"from events: the rules of a client", "rules --csv --client 10.0.0.1", 0, 1, "s"},

    {"the table's own order: numbers from the largest", "suffixes --csv", 0, 2,
     "fabrikam.local corp.example"},
    {"words from a to z", "suffixes --csv --sort suffix", 0, 2, "corp.example fabrikam.local"},
    {"falling", "suffixes --csv --sort -suffix", 0, 2, "fabrikam.local corp.example"},
    {"numbers from the largest", "suffixes --csv --sort questions", 0, 2,
     "corp.example fabrikam.local"},
    {"rising", "suffixes --csv --sort +questions", 0, 2, "fabrikam.local corp.example"},
    {"what is unknown comes last", "suffixes --csv --sort +last_rule", 0, 2,
     "fabrikam.local corp.example"},
    {"lists by their length, flags", "targets --csv --sort unapproved", 0, 2},
    {"cut", "suffixes --csv --sort suffix --limit 1", 0, 1, "corp.example"},
    {"no such column", "suffixes --sort nme", EXIT_USAGE},

    {"a client's story: its row", "client 10.20.4.7", 0, 0,
     "client         10.20.4.7\n"
     "name           -\n"
     "first asked    2023-11-14 22:13:20\n"
     "last asked     2023-11-14 22:13:20\n"
     "questions      1\n"
     "attempts       1\n"
     "outcomes       1 filled\n"
     "asks every     -\n"
     "last host      kms01.contoso.com:1688\n"
     "given          2023-11-14 22:13:20\n"
     "no host since  -\n"},
    {"its suffixes and events", "client 10.20.4.7", 0, 0,
     "\nSUFFIX          REAL DNS  OUTCOME  LAST ASKED\n"
     "fabrikam.local  nxdomain  filled   2023-11-14 22:13:20\n"
     "\n2023-11-14 22:13:20  _vlmcs._tcp.Fabrikam.local  filled by rule merged-domains"},
    {"nobody", "client 10.9.9.9", EXIT_NOT_FOUND},
    {"a client that is none", "client kms01", EXIT_USAGE},
    {"two clients", "client 10.20.4.7 --client 10.0.0.1", EXIT_USAGE},
    {"the account", "summary", 0, 0, "questions, ever  3 = 3 recorded + 0 counted + 0 dropped"},
    {"the hours", "summary --since 2023-11-14", 0, 0, "outcomes         1 filled, 2 missing"},
    {"of the events that match", "summary --since 2023-11-14 --suffix corp.example", 0, 0,
     "questions        2\n"},
};

static int run(const char *words)
{
    static const struct ctl_verb *const tables[] = {ctl_audit_verbs, NULL};
    char first[256];

    snprintf(first, sizeof first, "audit -o server.state-dir=%s -o server.user=", bench.root);
    return capture_line(&out, tables, first, words);
}

static void check_line(void **state)
{
    const struct line *l = *state;
    char cells[512] = "", *line, *rest = out.text[0];
    int code = run(l->words), rows = -1;

    if (code != l->code)
        fail_msg("code %d: %s", code, out.text[1]);
    if (strstr(l->words, "--csv") == NULL || code != 0) {
        if (l->cells != NULL && strstr(out.text[0], l->cells) == NULL &&
            strstr(out.text[1], l->cells) == NULL)
            fail_msg("%s%s", out.text[0], out.text[1]);
        return;
    }
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        if (rows++ >= 0)
            snprintf(cells + strlen(cells), 100, "%s%.*s", rows > 1 ? " " : "",
                     (int)strcspn(line, ","), line);
    }
    assert_int_equal(rows, l->rows);
    if (l->cells != NULL)
        assert_string_equal(cells, l->cells);
}

/* --- events as they come ----------------------------------------------------------------- */

/* What the tool prints meanwhile, in another thread: standard output is the file of the capture. */
static void wait_for(const char *text)
{
    char said[4096] = "";

    for (int i = 0; i < 500 && strstr(said, text) == NULL; i++) {
        int fd = open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ssize_t n = pread(fd, said, sizeof said - 1, 0);

        said[n > 0 ? n : 0] = '\0';
        close(fd);
        usleep(10000);
    }
}

static void *ask_then_stop(void *unused)
{
    struct audit_event e = sample_missing("10.0.0.9:1", "_vlmcs._tcp.late.example", 1, now_ms);

    wait_for("gap: 5 questions");
    bench_push(&bench, &e);
    audit_writer_step(bench.w, bench.now, true);
    wait_for("late.example");
    kill(getpid(), SIGTERM);
    return unused;
}

/* Changes the audit: the last of all. */
static void follows(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, ask_then_stop, NULL), 0);
    assert_int_equal(run("events -f --limit 1"), 0);
    pthread_join(thread, NULL);
    assert_has(out.text[0], "  -                gap: 5 questions were not recorded");
    assert_has(out.text[0], "\n2023-11-14 22:13:20  10.0.0.9         _vlmcs._tcp.late.example  "
                            "missing (no-rule), answer NXDOMAIN");
    assert_null(strstr(out.text[0], "fabrikam"));
}

/* The pages of its events are nonsense: it says what to do. */
static void damaged(void **state)
{
    static const uint8_t nonsense[4096] = {0xff};
    int64_t page = bench_number(&bench, "SELECT rootpage FROM sqlite_schema WHERE name='event'");
    int fd;

    bench_close(&bench); /* all is in the file */
    fd = open(bench.file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, (page - 1) * 4096), sizeof nonsense);
    close(fd);
    assert_int_equal(run("events"), EXIT_FAILED);
    assert_has(out.text[1], bench.dir);
    assert_has(out.text[1], " is damaged: put back a backup, or move it away\n");
}

/* --- words --------------------------------------------------------------------------- */

static const struct words_row {
    const char *what, *want;
} words[] = {
    {"sequence=1", "filled by rule merged-domains, answer kms01.contoso.com:1688; the real DNS: "
                   "nxdomain old.contoso.com:1688 from 10.9.0.53, 51 ms"},
    {"sequence=2", "start: waymarkd 0.1.0"},
    {"sequence=4",
     "missing (no-rule), answer NXDOMAIN; the real DNS: nxdomain from the cache; "
     "Windows shows 0x8007232B; with the rules in shadow: replaced by rule s; a repeat"},
    {"sequence=5", "gap: 5 questions were not recorded, since 2023-11-14 22:13:20: x"},
};

static void check(const char *expression, const struct words_row *r)
{
    char sql[8192], got[1024];

    snprintf(sql, sizeof sql, "SELECT %s FROM events WHERE %s", expression, r->what);
    bench_query(&bench, sql, got);
    assert_string_equal(got, r->want);
}

static void check_words(void **state)
{
    check(audit_words, *state);
}

static const struct words_row objects[] = {
    {"sequence=1",
     "{\"@timestamp\":\"2023-11-14T22:13:20.000Z\",\"ecs\":{\"version\":\"8.11.0\"},"
     "\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\",\"type\":\"dns-forwarder\"},"
     "\"event\":{\"kind\":\"event\",\"category\":[\"network\"],\"type\":[\"protocol\"],"
     "\"dataset\":\"waymark.audit\",\"action\":\"kms-discovery\",\"sequence\":1,"
     "\"outcome\":\"success\",\"duration\":0},\"client\":{\"ip\":\"10.20.4.7\","
     "\"port\":49155},\"network\":{\"transport\":\"udp\",\"protocol\":\"dns\"},"
     "\"dns\":{\"id\":\"7\",\"type\":\"answer\","
     "\"question\":{\"name\":\"_vlmcs._tcp.Fabrikam.local\",\"type\":\"SRV\"},"
     "\"header_flags\":[\"RD\"],\"response_code\":\"NOERROR\",\"answers\":[{\"type\":\"SRV\","
     "\"data\":\"kms01.contoso.com:1688\"}]},\"rule\":{\"name\":\"merged-domains\"},"
     "\"waymark\":{\"suffix\":\"fabrikam.local\",\"outcome\":\"filled\",\"reason\":\"rule\","
     "\"repeat\":false,\"cached\":false,\"policy_serial\":42,\"networks\":[\"kiosks\"],"
     "\"verdict\":{\"name\":\"nxdomain\",\"server\":\"10.9.0.53:53\","
     "\"response_code\":\"NXDOMAIN\",\"ms\":51,\"hosts\":[\"old.contoso.com:1688\"],"
     "\"unapproved\":[]}}}"},
    {"sequence=5",
     "{\"@timestamp\":\"1970-01-01T00:00:00.000Z\",\"ecs\":{\"version\":\"8.11.0\"},"
     "\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\",\"type\":\"dns-forwarder\"},"
     "\"event\":{\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"info\"],"
     "\"dataset\":\"waymark.audit\",\"action\":\"audit-gap\",\"sequence\":5},"
     "\"waymark\":{\"text\":\"x\",\"count\":5,\"from\":\"2023-11-14T22:13:20.000Z\"}}"},
};

static void check_ecs(void **state)
{
    check(audit_ecs, *state);
}

static void commit(void)
{
    audit_writer_step(bench.w, bench.now, true);
}

static void start(void)
{
    struct audit_event e =
        sample_filled("10.20.4.7:49155", "_vlmcs._tcp.Fabrikam.local", 7, now_ms);

    setenv("TZ", "UTC", 1);
    bench_start(&bench);
    e.n_networks = 1;
    strcpy(e.networks[0], "kiosks");
    e.n_real = 1;
    e.real[0] = (struct audit_host){sample_name("old.contoso.com"), 1688};
    e.server = sample_addr("10.9.0.53:53");
    e.real_ms = 51;
    bench_push(&bench, &e);
    commit();
    audit_writer_control(bench.w, AUDIT_START, bench.now, "waymarkd 0.1.0");
    commit();
    e = sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, now_ms);
    e.cached = true;
    e.would = OUTCOME_REPLACED;
    strcpy(e.would_rule, "s");
    bench_push(&bench, &e);
    bench_push(&bench, &e);
    commit();
    e = (struct audit_event){.kind = AUDIT_GAP, .lost = 5, .lost_from_ms = now_ms, .text = "x"};
    audit_ring_push(bench.ring, &e);
    commit();
}

int main(void)
{
    int failed;

    ROWS(lines, check_line);
    ROWS(words, check_words);
    ROWS(objects, check_ecs);
    TEST(follows);
    TEST(damaged);
    start();
    failed = RUN("audit");
    bench_end(&bench);
    return failed;
}
