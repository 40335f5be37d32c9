/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_reports.c -- the reports over an audit of forty days: what each lists, and what it must not.
 */
#include "ctl/audit.h"
#include "tests/unit/audit/bench.h"
#include "tests/unit/ctl/capture.h"

static struct bench bench;
static uint64_t now_ms;

/* clang-format off */
/* Who asked what: `times` questions, `every` minutes, the last of them that many minutes ago. */
static const struct asked_row {
    const char *client, *suffix;
    int times, every, ago;
    enum { MISSING, FILLED, FILLED_ALONE, REPLACED, PASSED, ROGUE, PORT, UPDATE, SOA, SHADOWED } what;
    const char *server;
} asked[] = {
    {"10.1.0.1", "fabrikam.local", 16, 120, 60, MISSING, "8.8.8.8:53"},        /* two hours, for 30 h */
    {"10.1.0.2", "fabrikam.local", 16, 120, 60, FILLED, "8.8.8.8:53"},
    {"10.1.0.3", "fabrikam.local", 16, 120, 1500, FILLED, "8.8.8.8:53"},       /* it has ended */
    {"10.1.0.4", "fabrikam.local", 12, 120, 60, FILLED, "8.8.8.8:53"},         /* for 22 h */
    {"10.1.0.5", "fabrikam.local", 11, 180, 60, FILLED, "8.8.8.8:53"},         /* too few */
    {"10.1.0.6", "fabrikam.local", 20, 90, 60, FILLED, "8.8.8.8:53"},          /* as often as it may be */
    {"10.1.0.7", "fabrikam.local", 20, 89, 60, FILLED, "8.8.8.8:53"},
    {"10.1.0.8", "fabrikam.local", 20, 181, 60, FILLED, "8.8.8.8:53"},
    {"10.2.0.1", "corp.example", 4, 7 * 1440, 1440, PASSED, "10.9.0.53:53"},
    {"10.2.0.2", "corp.example", 4, 9 * 1440, 1440, PASSED, "10.9.0.53:53"},
    {"10.2.0.3", "corp.example", 4, 7 * 1440, 16 * 1440, PASSED, "10.9.0.53:53"},
    {"10.3.0.1", "corp.example", 1, 1, 31 * 1440, PASSED, "10.9.0.53:53"},
    {"10.3.0.2", "corp.example", 1, 1, 29 * 1440, PASSED, "10.9.0.53:53"},
    {"10.1.0.9", "corp.example", 1, 1, 60, PASSED, "10.9.0.53:53"},
    {"10.4.0.1", "rogue.example", 1, 1, 90, ROGUE, "10.9.0.54:53"},
    {"10.4.0.2", "rogue.example", 1, 1, 80, ROGUE, "10.9.0.54:53"},
    {"10.4.0.3", "port.example", 1, 1, 70, PORT, "10.9.0.55:53"},
    {"10.5.0.1", "corp.example", 2, 5, 60, UPDATE, ""},
    {"10.5.0.9", "corp.example", 1, 1, 60, UPDATE, ""}, /* an approved host */
    {"10.5.0.2", "corp.example", 1, 1, 60, SOA, "10.9.0.53:53"},
    {"2001:db8:0:1::5", "a-long-suffix-of-thirty-four-letters.example", 1, 1, 60, MISSING, "10.9.0.53:53"},
    {"10.9.0.1", "stale.example", 1, 1, 14400, PASSED, "10.9.0.53:53"},        /* it had a record */
    {"10.9.0.1", "stale.example", 5, 60, 60, MISSING, "10.9.0.53:53"},
    {"10.9.0.2", "bad.example", 1, 1, 60, MISSING, "10.9.0.53:53"},
    {"10.9.0.3", "update.example", 1, 1, 60, UPDATE, ""},                      /* nobody looks for it */
    {"10.9.0.4", "moved.example", 1, 1, 90, FILLED, "10.9.0.53:53"},           /* it has a record, now */
    {"10.9.0.4", "moved.example", 1, 1, 60, REPLACED, "10.9.0.53:53"},
    {"10.9.0.5", "alone.example", 1, 1, 28800, FILLED_ALONE, "10.9.0.53:53"},  /* before there were two */
    {"10.8.0.2", "rogue.example", 1, 1, 60, ROGUE, "10.9.0.54:53"},
    {"10.6.0.9", "hq2.lan", 1, 1, 70, MISSING, "10.9.0.53:53"},
    {"10.11.0.9", "hq2.lan", 1, 1, 60, UPDATE, ""}, /* that is no search */
    {"10.6.0.1", "hq.lan", 1, 1, 60, MISSING, "10.9.0.53:53"},                 /* a server of our own */
    {"10.6.0.2", "x.routed.example", 1, 1, 60, MISSING, "9.9.9.9:53"},
    {"10.6.0.3", "other.example", 1, 1, 60, MISSING, "9.9.9.9:53"},            /* may be public */
    {"10.6.0.4", "kontor", 1, 1, 60, MISSING, "9.9.9.9:53"},
    {"10.6.0.5", "notlocal", 1, 1, 60, MISSING, "10.9.0.53:53"},
    {"10.6.0.6", "x.notlocal", 1, 1, 60, MISSING, "9.9.9.9:53"},
    {"10.8.0.1", "a<b>&\"'.example", 1, 1, 60, MISSING, "10.9.0.53:53"},
    {"10.7.0.1", "pilot.example", 2, 5, 60, SHADOWED, "10.9.0.53:53"},
    {"10.7.0.9", "branch.example", 1, 1, 60, PASSED, "10.9.0.53:53"},
    {"10.8.0.7", "a234567890123456789012.long.example", 1, 1, 60, MISSING, "10.9.0.53:53"}, /* 35 */
    {"10.8.0.7", "b23456789012345678901.long.example", 1, 1, 60, MISSING, "10.9.0.53:53"},
    {"10.7.0.2", "pilot2.example", 1, 1, 60, SHADOWED, "10.9.0.53:53"},
};

/* "!text": that it has not. */
static const struct row {
    const char *what, *words;
    const char *texts[8];
} rows[] = {
    {"stuck", "stuck", {"10.1.0.1,,", ",7200000\r\n", "10.1.0.2,",
     "!10.1.0.3,", "!10.1.0.4,", "!10.1.0.5,"}},
    {"stuck: its limits", "stuck", {"10.1.0.6,", "!10.1.0.7,", "!10.1.0.8,"}},
    {"stuck, of a network", "stuck --client 10.1.0.2", {"!10.1.0.1,", "10.1.0.2,"}},
    {"weekly", "weekly", {"10.2.0.1,", "!10.2.0.2,", "!10.2.0.3,", "!10.1.0.1,"}},
    {"silent", "silent", {"10.3.0.1,", "!10.3.0.2,", "!10.1.0.3,"}},
    {"wrong suffix, and the right one there", "wrong-suffix",
     {"fabrikam.local,.local,10.1.0.0/24,8,nxdomain,", ",corp.example,DHCP option 15 (or search list) of 10.1.0.0/24: corp.example\r\n",
      "kontor,single label,10.6.0.0/24,1,", "\r\nother.example,domain,", "!\r\ncorp.example,", "!\r\nrogue.example,"}},
    {"the right one there, before the one most have", "wrong-suffix --suffix pilot.example", {"pilot.example,domain,10.7.0.0/24,", "10.7.0.0/24: branch.example", "!fabrikam"}},
    {"not one whose host is unapproved", "wrong-suffix", {"10.8.0.0/24: corp.example", "hq2.lan,.lan,10.6.0.0/24", "!10.11.0.0/24", "!: rogue.example"}},
    {"not one that had a record", "wrong-suffix", {"10.9.0.0/24: corp.example", "!: stale.example", "!update.example", "!moved.example"}},
    {"of IPv6", "wrong-suffix --suffix *.example", {",2001:db8:0:1::/64,1,"}},
    {"unapproved, of some events", "unapproved --suffix rogue.example", {"kms.rogue.example:1688,3,", ",10.4.0.1,10.9.0.54:53,"}},
    {"few clients", "thresholds --target kms.rogue.example", {",3,22,2,", "too few", "!enough"}},
    {"publishers, those that are refused", "publishers --outcome update", {"10.5.0.1,", "!10.5.0.2,"}},
    {"unapproved", "unapproved", {"kms.rogue.example:1688,3,3,3,3,yes,host or address,", ",10.4.0.1,10.9.0.54:53,", "kms.corp.example:1689,1,1,1,1,yes,port,",
     ",10.4.0.3,10.9.0.55:53,", "!kms.corp.example:1688"}},
    {"unapproved, of a host", "unapproved --target kms.corp.example", {"kms.corp.example:1689", "!rogue"}},
    {"unapproved, as one client saw it", "unapproved --client 10.4.0.2", {",10.4.0.2,10.9.0.54:53,", "!10.4.0.1", "!10.4.0.3"}},
    {"publishers", "publishers", {"10.5.0.1,,corp.example,UPDATE,2,", "10.5.0.2,,corp.example,asks for SOA,1,", "!10.1.0.9", "!10.5.0.9"}},
    {"publishers, of a client", "publishers --client 10.5.0.2", {"10.5.0.2,", "!10.5.0.1"}},
    {"leaks", "leaks", {"fabrikam.local,.local,8.8.8.8:53,", "kontor,single label,9.9.9.9:53,1,1,", "give these machines a DNS suffix", "!hq.lan",
     "!other.example", "!notlocal", "!x.notlocal"}},
    {"leaks: a zone with a route", "leaks -o forward=[{\"zone\":\"routed.example\",\"servers\":[\"10.0.0.1\"]}]", {"x.routed.example,has a route,9.9.9.9:53,1,", "its route has this server"}},
    {"thresholds", "thresholds", {"kms01.contoso.com:1688,9,16,0,", "enough if 5", "kms02.contoso.com:1688,7,", "kms.corp.example:1688,7,18,0,",
     "kms.rogue.example:1688,3,22,2,", "too few"}},
    {"shadow", "shadow", {"pilot,2,2,3,missing,NXDOMAIN,filled kms01.contoso.com:1688\r\n", "!merged"}},
    {"shadow, of a rule", "shadow --rule other", {"!pilot"}},
    {"all of them", "", {"report,rows,help\r\n", "\r\nstuck,3,", "\r\nweekly,1,", "\r\nsilent,1,", "\r\nunapproved,2,", "\r\npublishers,4,", "\r\nshadow,1,"}},
    {"all, of one client", "--client 10.5.0.2", {"\r\npublishers,1,", "\r\nunapproved,0,"}},
};
/* clang-format on */

static int run(const char *format, const char *words)
{
    return capture_line(real, "audit report -o server.state-dir=%s -o server.user= %s %s",
                        bench.root, format, words);
}

static void lists(void **state)
{
    const struct row *r = *state;

    if (run("--csv", r->words) != 0)
        fail_msg("%s", out.text[1]);
    for (int i = 0; i < 8 && r->texts[i] != NULL; i++)
        if (!has_or_not(out.text[0], r->texts[i]))
            fail_msg("%s: %s", r->texts[i], out.text[0]);
}

/* What it cannot know stands under a table, and one object has the rows. */
static void forms(void **state)
{
    json_t *reply, *host;
    int n = 0;

    (void)state;
    assert_int_equal(run("", "stuck"), 0);
    assert_has(out.text[1], "A machine that is off at night asks less often");
    assert_int_equal(run("--json", "stuck"), 0); /* what to do, for programs */
    assert_has(out.text[0], "\"no host: waymarkctl audit client 10.1.0.1\"");
    assert_has(out.text[0], "\"has a host: TCP to it, ");
    assert_int_equal(run("--json", "unapproved"), 0);
    reply = json_loads(out.text[0], 0, NULL);
    assert_int_equal(json_array_size(json_object_get(reply, "targets")), 2);
    json_decref(reply);
    assert_int_equal(run("--json", "unapproved --suffix rogue.example"), 0);
    reply = json_loads(out.text[0], 0, NULL);
    host = json_array_get(json_object_get(reply, "targets"), 0);
    assert_true(json_equal(json_object_get(host, "unapproved_since"),
                           json_object_get(host, "first_asked")));
    json_decref(reply);
    assert_int_equal(run("", "stuk"), EXIT_USAGE);
    assert_has(out.text[1], "no such report; did you mean stuck?");
    assert_int_equal(
        capture_line(real,
                     "audit targets --unapproved -o server.state-dir=%s -o server.user= --wide",
                     bench.root),
        0);
    assert_has(out.text[0], "ASKED BY");
    assert_has(out.text[0], "10.4.0.3");
    assert_null(strstr(out.text[0], "kms01"));
    assert_int_equal(
        capture_line(real, "audit events -o server.state-dir=%s -o server.user= --csv", bench.root),
        0);
    for (const char *p = out.text[0]; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    assert_true(n > 100); /* not the last ten, with which -f begins */
    assert_int_equal(run("--html", "--csv"), EXIT_USAGE);
    assert_int_equal(run("", "stuck --limit 1"), 0);
    assert_null(strstr(strstr(out.text[0], "10.1.0."), "\n10.1.0."));
}

/* Every element ends, and in the order in which it began; what is outside of them is no tag. */
static void check_elements(const char *page)
{
    char open[64][16];
    int n = 0;

    for (const char *p = strchr(page + 1, '<'); p != NULL; p = strchr(p + 1, '<')) {
        const char *end = p + strcspn(p + 1, "<>") + 1;
        size_t name = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789");

        assert_int_equal(*end, '>');
        if (p[1] == '/') {
            assert_true(n > 0 && strncmp(open[n - 1], p + 2, strlen(open[n - 1])) == 0);
            n--;
        } else if (end[-1] != '/') {
            assert_in_range(name, 1, 15);
            assert_true(n < 64);
            snprintf(open[n++], 16, "%.*s>", (int)name, p + 1);
        }
    }
    assert_int_equal(n, 0);
}

static const struct page {
    const char *what, *words, *texts[8];
} pages[] = {
    {"a page of all",
     "",
     {"<a href=\"#stuck\">stuck</a></td><td class=\"n\">3</td>", "<h2 id=\"stuck\">stuck</h2>",
      "<h2 id=\"leaks\">", "prefers-color-scheme:dark", "@media print",
      "<title>KMS discovery: ", "!http", "!<script"}},
    {"a page of one",
     "stuck",
     {"<h2 id=\"stuck\">", "!<h2 id=\"leaks\">", "<td>10.1.0.1</td>",
      "aria-label=\"stuck: clients by network\"",
      ">10.1.0.0/24</text><rect x=\"230\" y=\"4\" width=\"420.0\" height=\"14\"/><text x=\"656.0\" "
      "y=\"15\">3</text>",
      "slmgr /dlv there", "!These are the first", "!<line"}},
    {"names are no markup",
     "wrong-suffix",
     {"<td>a&lt;b&gt;&amp;\\&quot;'.example</td>",
      "<g><title>a&lt;b&gt;&amp;\\&quot;'.example</title>", "!a<b"}},
    {"the host's threshold",
     "thresholds",
     {"<line x1=\"650.0\" x2=\"650.0\" y1=\"0\" y2=\"110\"/>", ">kms01.contoso.com:1688</text>"}},
    {"a filter", "stuck --client 10.1.0.2", {"!10.1.0.1<", "10.1.0.2<"}},
    {"its first rows", "stuck --limit 1", {"These are the first"}},
    {"a label has room for 34 characters",
     "wrong-suffix --suffix *.long.example",
     {">b23456789012345678901.long.example</text>",
      ">a234567890123456789012.long.exampl\u2026</text>"}},
    {"nothing found", "shadow --rule none", {"<p>None.</p>", "!<svg", "!<table"}},
};

static void prints_a_page(void **state)
{
    const struct page *r = *state;

    if (run("--html", r->words) != 0)
        fail_msg("%s", out.text[1]);
    check_elements(out.text[0]);
    for (int i = 0; i < 8 && r->texts[i] != NULL; i++)
        if (!has_or_not(out.text[0], r->texts[i]))
            fail_msg("%s: %s", r->texts[i], out.text[0]);
}

/* Another part of the tool takes the rows. */
static void rows_for_others(void **state)
{
    struct ctl c = {.now = {0, now_ms}};
    char line[128];
    json_t *found = json_array();
    struct diags d = {0};
    struct audit a;

    (void)state;
    snprintf(line, sizeof line, "server.state-dir=%s", bench.root);
    assert_int_equal(
        settings_read(&c.settings, "/dev/null", (const char *[]){line, "server.user=", NULL}, &d),
        0);
    assert_int_equal(audit_begin(&a, &c, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(audit_report(&a, "stuck", found), 0);
    assert_int_equal(audit_report(&a, "thresholds", found), 0);
    assert_int_equal(json_array_size(found), 2 * 3 + 5);
    audit_end(&a);
    json_decref(found);
    settings_free(c.settings);
    diags_fini(&d);
}

static void hosts(struct audit_event *e, const char *host, uint16_t port)
{
    e->outcome = OUTCOME_PASSED;
    e->rcode = e->real_rcode = RCODE_NOERROR;
    e->verdict = VERDICT_PRESENT;
    sprintf(e->real, "%s:%d", host, port);
    strcpy(e->answer, e->real);
}

static struct audit_event make(const struct asked_row *r)
{
    char name[300], client[80];
    struct audit_event e;

    snprintf(name, sizeof name, "_vlmcs._tcp.%s", r->suffix);
    snprintf(client, sizeof client, strchr(r->client, ':') ? "[%s]:49155" : "%s:49155", r->client);
    e = sample_missing(client, name);
    if (*r->server != '\0')
        assert_int_equal(addr_parse(&e.server, r->server, 0), 0);
    if (r->what == FILLED || r->what == REPLACED || r->what == FILLED_ALONE)
        sample_fill(&e, "merged");
    if (r->what == REPLACED) {
        e.outcome = OUTCOME_REPLACED;
        e.verdict = VERDICT_PRESENT;
    }
    if (r->what == FILLED) {
        sample_host(e.answer, "kms02.contoso.com");
    }
    if (r->what == PASSED)
        hosts(&e, "kms.corp.example", 1688);
    if (r->what == ROGUE || r->what == PORT) {
        hosts(&e, r->what == PORT ? "kms.corp.example" : "kms.Rogue.example",
              r->what == PORT ? 1689 : 1688);
        e.verdict = VERDICT_UNAPPROVED;
        strcpy(e.unapproved, e.real);
    }
    if (r->what == UPDATE) {
        e.outcome = OUTCOME_UPDATE;
        e.verdict = 0;
    }
    if (r->what == SOA)
        e.qtype = TYPE_SOA;
    if (r->what == SHADOWED) {
        e.would = OUTCOME_FILLED;
        strcpy(e.would_rule, "pilot");
    }
    return e;
}

/* Minute by minute, as it came. */
static void start(void)
{
    bench_start(&bench);
    now_ms = clock_now().wall_ms;
    for (int ago = 60 * 1440; ago >= 0; ago--) {
        bool any = false;

        bench.now.wall_ms = now_ms - (uint64_t)ago * 60000;
        bench.now.mono_ms += 60000;
        for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
            const struct asked_row *r = &asked[i];
            struct audit_event e;

            if (ago < r->ago || (ago - r->ago) % r->every != 0 ||
                (ago - r->ago) / r->every >= r->times)
                continue;
            e = make(r);
            bench_push(&bench, 0, &e);
            any = true;
        }
        if (any)
            audit_writer_step(bench.w, bench.now, true);
    }
}

/* What is above the bounds is in no report as a client or host of its own. */
static void others(void **state)
{
    struct audit_event e = make(&asked[0]);

    (void)state;
    bench.limits.max_clients = bench.limits.max_suffixes = 1;
    audit_writer_limits(bench.w, &bench.limits);
    assert_int_equal(addr_parse(&e.client, "10.99.0.1:1", 0), 0);
    sample_fill(&e, "merged");
    strcpy(e.answer, "kms99.contoso.com:1688");
    bench_push(&bench, 0, &e);
    audit_writer_step(bench.w, bench.now, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run("--csv", i == 0 ? "wrong-suffix" : "thresholds"), 0);
        assert_null(strstr(out.text[0], "(other)"));
    }
}

/* Nobody knows where a forgotten client is: it has no network, and no DHCP. */
static void forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(capture_line(real,
                                      "audit forget %s --yes -o server.state-dir=%s -o "
                                      "server.user=",
                                      i == 0 ? "10.6.0.4" : "10.1.0.1", bench.root),
                         0);
    assert_int_equal(run("--html", "stuck"), 0);
    assert_has(out.text[0], "<title>forgotten-");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run("--csv", i == 0 ? "wrong-suffix" : "wrong-suffix --since 30d"), 0);
        assert_has(out.text[0], "hq.lan,");
        assert_null(strstr(out.text[0], "forgotten"));
    }
}

int main(void)
{
    int failed;

    ROWS(rows, lists);
    ROWS(pages, prints_a_page);
    TEST(forms);
    TEST(rows_for_others);
    TEST(others);
    TEST(forgotten);
    setenv("TZ", "UTC", 1);
    start();
    assert_int_equal(capture_line(real,
                                  "policy pool set kms -o server.state-dir=%s -o server.user= "
                                  "kms01.contoso.com,address=10.5.0.9",
                                  bench.root),
                     0);
    assert_int_equal(capture_line(real,
                                  "policy rule set pilot -o server.state-dir=%s -o server.user= "
                                  "--suffix pilot.example --pool kms --mode shadow",
                                  bench.root),
                     0);
    failed = RUN("reports");
    bench_end(&bench);
    return failed;
}
