/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_policy.c -- whole command lines that import policies, on stores of their
 * own: what they ask, what they say, and what they leave alone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/cli.h"
#include "tests/unit/ctl/capture.h"

#define HEAD "waymark-policy: 1\n"
#define STORED                                                                                     \
    HEAD "pools: {p: [k.c.d]}\n"                                                                   \
         "rules:\n  one: {suffixes: [a.b, c.d, e.f], pool: p}\n"                                   \
         "  two: {suffixes: [g.h], pool: p}\n"

enum { WORDS = 24 };

static char dir[64];
static struct capture out;

/* Every file below dir goes, and dir. */
static void clean_up(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void write_file(const char *text)
{
    char path[96];
    FILE *f;

    snprintf(path, sizeof path, "%s/in.yaml", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Runs "waymarkctl LINE"; FILE stands for the file. Exit code; texts in out. */
static int tool(const char *line)
{
    static const struct ctl_verb *const tables[] = {ctl_policy_verbs, NULL};
    char copy[512], state[96], file[96], *save, *argv[WORDS + 1];
    int argc = 0, code;

    snprintf(copy, sizeof copy, "%s", line);
    snprintf(state, sizeof state, "server.state-dir=%s/state", dir);
    snprintf(file, sizeof file, "%s/in.yaml", dir);
    argv[argc++] = (char[]){"waymarkctl"};
    argv[argc++] = (char[]){"-o"};
    argv[argc++] = state;
    argv[argc++] = (char[]){"-o"};
    argv[argc++] = (char[]){"server.user="};
    argv[argc++] = (char[]){"-c"};
    argv[argc++] = (char[]){"/dev/null"};
    for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(w, "FILE") == 0 ? file : w;
    argv[argc] = NULL;
    capture_begin(&out);
    code = cli_main(tables, argc, argv);
    capture_end(&out);
    return code;
}

static const struct row {
    const char *what, *text, *line;
    int code;
    const char *says; /* on either stream */
    const char *then; /* a part of the export, or NULL */
    const char *log;  /* a part of the log, or NULL */
} rows[] = {
    {"merge: more than half of the suffixes go", HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n",
     "policy import FILE --merge", EXIT_FAILED,
     "This replaces rules and removes 3 of 4 suffixes. Go on? (nobody can be asked here",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"merge: the same, with --yes", HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n",
     "policy import FILE --merge --yes", EXIT_DONE, "+1 -3 suffixes", "suffixes: [z.z]",
     "rule one changed: +1 -3 suffixes"},
    {"merge: half of them", HEAD "rules: {one: {suffixes: [a.b], pool: p}}\n",
     "policy import FILE --merge", EXIT_DONE, "+0 -2 suffixes", "suffixes: [a.b]",
     "rule one changed: +0 -2 suffixes"},
    {"merge: nothing goes", HEAD "rules: {new: {suffixes: [x.y], pool: p}}\n",
     "policy import FILE --merge", EXIT_DONE, "new", "suffixes: [x.y]", "rule new new"},
    {"replace: more than half", HEAD, "policy import FILE --replace", EXIT_FAILED,
     "This removes 4 of 4 suffixes. Go on?", "one", NULL},
    {"merge: what the file and the store lack, with its place",
     HEAD "rules:\n  one:\n    suffixes: [a.b]\n    networks:\n      - dmz\n    pool: q\n",
     "policy import FILE --merge", EXIT_INVALID, "in.yaml:6:9: rule one: there is no network dmz",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"replace: the same", HEAD "rules:\n  one:\n    suffixes: [a.b]\n    pool: q\n",
     "policy import FILE --replace", EXIT_INVALID, "in.yaml:5:11: rule one: there is no pool q",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: an action", HEAD, "policy rule set one --action replace", EXIT_DONE,
     "replace from pool p, any client, always", "action: replace", NULL},
    {"rule set: an action without a pool", HEAD, "policy rule set one --action deny", EXIT_DONE,
     "deny, any client, always", "action: deny", NULL},
    {"rule set: an action and its words", HEAD,
     "policy rule set one --action replace --when unapproved", EXIT_DONE, "when unapproved",
     "when: [unapproved]", NULL},
    {"rule set: the action that it has", HEAD, "policy rule set one --action fill", EXIT_DONE,
     "same", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: no action", HEAD, "policy rule set one --action fil", EXIT_INVALID,
     "--action \"fil\" is none of fill, replace, filter, deny, pass", "suffixes: [a.b, c.d, e.f]",
     NULL},
    {"rule set: words", HEAD, "policy rule set one --when missing,failed", EXIT_DONE,
     "when missing or failed", "when: [missing, failed]", NULL},
    {"rule set: no word", HEAD, "policy rule set one --when missing,often", EXIT_INVALID,
     "--when \"missing,often\" is not a list of missing, failed, present, unapproved",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: empty words", HEAD, "policy rule set one --when=", EXIT_INVALID,
     "--when \"\" is empty", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a pool that is not there", HEAD, "policy rule set one --pool q", EXIT_NOT_FOUND,
     "there is no pool q", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a pool with a name that none has", HEAD, "policy rule set one --pool Q",
     EXIT_NOT_FOUND, "there is no pool Q", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a name that is too long for a pool", HEAD,
     "policy rule set one --pool qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
     EXIT_INVALID, "is no name of a pool", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: ttl", HEAD, "policy rule set one --ttl 1h", EXIT_DONE, "ttl 1h", "ttl: 1h", NULL},
    {"rule set: no ttl", HEAD, "policy rule set one --ttl long", EXIT_INVALID,
     "--ttl \"long\" is no duration like 300s, 5m or 1h", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: ttl of parts of a second", HEAD, "policy rule set one --ttl 30500ms", EXIT_INVALID,
     "--ttl \"30500ms\" is no duration", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: ttl that is too short", HEAD, "policy rule set one --ttl 29s", EXIT_INVALID,
     "rule one: ttl is 29 s; allowed are 30s to 1d", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a mode", HEAD, "policy rule set one --mode shadow", EXIT_DONE, "mode shadow",
     "mode: shadow", NULL},
    {"rule set: no mode", HEAD, "policy rule set one --mode life", EXIT_INVALID,
     "--mode \"life\" is none of live, shadow, off", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: times", HEAD,
     "policy rule set one --from 2027-01-31T18:00:00.500Z --until 2027-02-01T00:00:00Z", EXIT_DONE,
     "from 2027-01-31T18:00:00Z, until 2027-02-01T00:00:00Z",
     "from: 2027-01-31T18:00:00Z\n    until: 2027-02-01T00:00:00Z", NULL},
    {"rule set: a time from now", HEAD, "policy rule set one --until +14d", EXIT_DONE, "until 20",
     "until: 20", NULL},
    {"rule set: no times", HEAD, "policy rule set one --from none --until none", EXIT_DONE, "same",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: no time", HEAD, "policy rule set one --from soon", EXIT_INVALID,
     "--from \"soon\" is no time like", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: the first second", HEAD, "policy rule set one --until 1970-01-01T00:00:00.999Z",
     EXIT_INVALID, "--until \"1970-01-01T00:00:00.999Z\" is no time like",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: break-dnssec", HEAD, "policy rule set one --break-dnssec yes", EXIT_DONE,
     "breaks DNSSEC", "break-dnssec: yes", NULL},
    {"rule set: neither yes nor no", HEAD, "policy rule set one --break-dnssec 1", EXIT_INVALID,
     "--break-dnssec \"1\" is neither yes nor no", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a comment", HEAD, "policy rule set one --comment CHG0042", EXIT_DONE, "changed",
     "comment: CHG0042", NULL},
    {"rule set: a comment with a control character", HEAD, "policy rule set one --comment a\x01",
     EXIT_INVALID, "has control characters, or octets that are not UTF-8",
     "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a comment that is too long", HEAD,
     "policy rule set one --comment "
     "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
     "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
     "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
     EXIT_INVALID, "has more than 255 bytes", "suffixes: [a.b, c.d, e.f]", NULL},
    {"rule set: a network", HEAD, "policy rule set one --network any", EXIT_DONE, "any client",
     "networks: [any]", NULL},
    {"rule add: an option of set", HEAD, "policy rule add one z.z --ttl 5m", EXIT_USAGE,
     "policy rule add takes no --ttl: policy rule set does", "suffixes: [a.b, c.d, e.f]", NULL},
    {"dry run", HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n",
     "policy import FILE --merge --dry-run", EXIT_DONE, "dry run: nothing is changed, serial 1",
     "suffixes: [a.b, c.d, e.f]", NULL},
};

static void check_row(void **state)
{
    const struct row *row = *state;

    strcpy(dir, "/tmp/waymark-XXXXXX");
    assert_non_null(mkdtemp(dir));
    write_file(STORED);
    assert_int_equal(tool("policy import FILE"), EXIT_DONE);
    write_file(row->text);
    assert_int_equal(tool(row->line), row->code);
    if (strstr(out.text[0], row->says) == NULL && strstr(out.text[1], row->says) == NULL)
        fail_msg("no \"%s\" in: %s%s", row->says, out.text[0], out.text[1]);
    assert_int_equal(tool("policy export"), EXIT_DONE);
    if (strstr(out.text[0], row->then) == NULL)
        fail_msg("no \"%s\" in: %s", row->then, out.text[0]);
    assert_int_equal(tool("policy log"), EXIT_DONE);
    if (row->log != NULL && strstr(out.text[0], row->log) == NULL)
        fail_msg("no \"%s\" in: %s", row->log, out.text[0]);
    clean_up();
}

/* Where no store is, there is none afterwards, and nothing is left elsewhere. */
static void dry_run_makes_no_store(void **state)
{
    static const char *const lines[] = {
        "policy import FILE --dry-run",
        "policy fill corp.example --host kms01.contoso.com --dry-run",
        "policy pool set p k.c.d --dry-run",
    };
    char path[160], tmp[96];

    (void)state;
    strcpy(dir, "/tmp/waymark-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(tmp, sizeof tmp, "%s/tmp", dir);
    assert_int_equal(mkdir(tmp, 0700), 0);
    setenv("TMPDIR", tmp, 1);
    write_file(STORED);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (tool(lines[i]) != EXIT_DONE)
            fail_msg("%s: %s", lines[i], out.text[1]);
        assert_non_null(strstr(out.text[0], "dry run: nothing is changed, serial 0"));
        assert_non_null(strstr(out.text[0], "new"));
        snprintf(path, sizeof path, "%s/state/policy", dir);
        if (access(path, F_OK) == 0)
            fail_msg("%s made %s", lines[i], path);
    }
    assert_int_equal(tool("policy test FILE --policy FILE"), EXIT_INVALID); /* has no tests */
    write_file(STORED "tests: [{suffix: a.b, client: 10.0.0.1, expect: filled}]\n");
    assert_int_equal(tool("policy test FILE --policy FILE"), EXIT_DONE);
    assert_int_equal(rmdir(tmp), 0); /* empty */
    unsetenv("TMPDIR");
    clean_up();
}

int main(void)
{
    static const struct CMUnitTest single[] = {cmocka_unit_test(dry_run_makes_no_store)};
    enum { SINGLE = ARRAY_LEN(single), ROWS = ARRAY_LEN(rows) };
    struct CMUnitTest tests[SINGLE + ROWS];
    int null = open("/dev/null", O_RDONLY);

    dup2(null, 0); /* nobody can be asked */
    memcpy(tests, single, sizeof single);
    for (size_t i = 0; i < ROWS; i++)
        tests[SINGLE + i] =
            (struct CMUnitTest){rows[i].what, check_row, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
