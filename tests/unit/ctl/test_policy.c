/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_policy.c -- whole command lines that change policies, on stores of their
 * own: what they ask, what they say, and what they leave alone.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/scratch.h"

#define HEAD "waymark-policy: 1\n"
#define STORED                                                                                     \
    HEAD "pools: {p: [k.c.d]}\n"                                                                   \
         "rules:\n  one: {suffixes: [a.b, c.d, e.f], pool: p}\n"                                   \
         "  two: {suffixes: [g.h], pool: p}\n"

static char dir[SCRATCH];
static struct capture out;

/* A folder of the row's own, which FILE is relative to. */
static void enter(void)
{
    scratch_make(dir);
    assert_int_equal(chdir(dir), 0);
    setenv("TMPDIR", dir, 1);
}

static void write_file(const char *text)
{
    FILE *f = fopen("FILE", "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Runs "waymarkctl policy LINE". Exit code; texts in out. */
static int tool(const char *line)
{
    static const struct ctl_verb *const tables[] = {ctl_policy_verbs, NULL};
    char first[160];

    snprintf(first, sizeof first,
             "-o server.state-dir=%s/state -o server.user= -c /dev/null policy", dir);
    return capture_line(&out, tables, first, line);
}

#define KEPT "[a.b, c.d, e.f]" /* rule one is as it was */
#define R8 "rrrrrrrr"
#define R64 R8 R8 R8 R8 R8 R8 R8 R8

static const struct row {
    const char *line; /* behind "waymarkctl policy"; with ";" between them, the last counts */
    const char *says; /* on either stream; "!TEXT": on neither */
    const char *then; /* a part of the export */
    int code;
    const char *text; /* of FILE; NULL: HEAD */
    const char *log;  /* a part of the log, or NULL */
} rows[] = {
    {"import FILE --merge",
     "This replaces rules and removes 3 of 4 suffixes. Go on? (there is no terminal to ask on",
     KEPT, .code = EXIT_FAILED, .text = HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n"},
    {"import FILE --merge --yes", "+1 -3 suffixes", "suffixes: [z.z]",
     .text = HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n",
     .log = "rule one changed: +1 -3 suffixes"},
    {"import FILE --merge", "+0 -2 suffixes", "suffixes: [a.b]",
     .text = HEAD "rules: {one: {suffixes: [a.b], pool: p}}\n",
     .log = "rule one changed: +0 -2 suffixes"},
    {"import FILE --merge", "new", "suffixes: [x.y]",
     .text = HEAD "rules: {new: {suffixes: [x.y], pool: p}}\n", .log = "rule new new"},
    {"import FILE --replace", "This removes 4 of 4 suffixes. Go on?", "one", .code = EXIT_FAILED},
    {"import FILE --merge", "FILE:6:9: rule one: there is no network dmz", KEPT,
     .code = EXIT_INVALID,
     .text = HEAD "rules:\n  one:\n    suffixes: [a.b]\n    networks:\n      - dmz\n    pool: q\n"},
    {"import FILE --replace", "FILE:5:11: rule one: there is no pool q", KEPT, .code = EXIT_INVALID,
     .text = HEAD "rules:\n  one:\n    suffixes: [a.b]\n    pool: q\n"},
    {"rule set one --action replace", "replace from pool p, any client, always", "action: replace"},
    {"rule set one --action deny", "deny, any client, always", "action: deny"},
    {"rule set one --action replace --when unapproved", "when unapproved", "when: [unapproved]"},
    {"rule set one --action fill", "same", KEPT},
    {"rule set one --action fil", "--action \"fil\" is none of fill, replace, filter, deny, pass",
     KEPT, .code = EXIT_INVALID},
    {"rule set one --when missing,failed", "when missing or failed", "when: [missing, failed]"},
    {"rule set one --when missing,often",
     "--when \"often\" is none of missing, failed, present, unapproved", KEPT,
     .code = EXIT_INVALID},
    {"rule set one --when=", "--when \"\" is empty", KEPT, .code = EXIT_INVALID},
    {"rule set one --pool q", "there is no pool q", KEPT, .code = EXIT_NOT_FOUND},
    {"rule set one --pool Q", "there is no pool Q", KEPT, .code = EXIT_NOT_FOUND},
    {"rule set one --pool qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
     "is no name", KEPT, .code = EXIT_INVALID},
    {"rule set one --ttl 1h", "ttl 1h", "suffixes: [a.b, c.d, e.f]\n    pool: p\n    ttl: 1h"},
    {"rule set one --ttl long", "--ttl \"long\" is not a duration like 300s, 5m or 1h", KEPT,
     .code = EXIT_INVALID},
    {"rule set one --ttl 30500ms", "--ttl \"30500ms\" is not a whole number of seconds", KEPT,
     .code = EXIT_INVALID},
    {"rule set one --ttl 29s", "--ttl \"29s\" is not a whole number of seconds from 30s to 1d",
     KEPT, .code = EXIT_INVALID},
    {"rule set one --mode shadow", "mode shadow", "mode: shadow"},
    {"rule set one --mode life", "--mode \"life\" is none of off, shadow, live; did you mean live?",
     KEPT, .code = EXIT_INVALID},
    {"rule set one --from 2027-01-31T18:00:00.500Z --until 2027-02-01T00:00:00Z",
     "from 2027-01-31T18:00:00Z, until 2027-02-01T00:00:00Z",
     "from: 2027-01-31T18:00:00Z\n    until: 2027-02-01T00:00:00Z"},
    {"rule set one --until +14d", "until 20", "until: 20"},
    {"rule set one --from none --until none", "same", KEPT},
    {"rule set one --from soon", "--from \"soon\" is not a time like", KEPT, .code = EXIT_INVALID},
    {"rule set one --until 1970-01-01T00:00:00.999Z",
     "--until \"1970-01-01T00:00:00.999Z\" is not a time like", KEPT, .code = EXIT_INVALID},
    {"rule set one --break-dnssec yes", "breaks DNSSEC", "break-dnssec: yes"},
    {"rule set one --break-dnssec 1", "--break-dnssec \"1\" is not yes or no", KEPT,
     .code = EXIT_INVALID},
    {"rule set one --comment CHG0042", "changed", "comment: CHG0042"},
    {"rule set one --comment a\x01", "has control characters, or octets that are not UTF-8", KEPT,
     .code = EXIT_INVALID},
    {"rule set one --comment " R64 R64 R64 R64, "has more than 255 bytes", KEPT,
     .code = EXIT_INVALID},
    {"rule set one --network any", "any client", "networks: [any]"},
    {"rule add one z.z --ttl 5m", "policy rule add takes no --ttl: policy rule set does", KEPT,
     .code = EXIT_USAGE},
    {"import FILE --merge --dry-run", "dry run: nothing is changed, serial 1", KEPT,
     .text = HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n"},
    {"rule set n --pool p", "rule  n  new  fill from pool p, any client, when missing",
     "n:\n    suffixes: []", .log = "rule n new: fill from pool p, any client, when missing"},
    {"rule set n --pool p", "the rule has no suffix yet", "pool: p"},
    {"rule set one --suffix z.z --suffix a.b --suffix z.z", "rule  one  changed  a.b z.z    fill",
     "suffixes: [a.b, z.z]", .log = "rule one changed: a.b z.z    fill"},
    {"rule set two --suffix g.h", "nothing to change: the policy", "[g.h]"},
    {"rule set one z.z", "policy rule add one z.z adds one", KEPT, .code = EXIT_USAGE},
    {"rule set one --network lab",
     "there is no network lab (policy network set lab PREFIX... makes it)", KEPT,
     .code = EXIT_NOT_FOUND},
    {"rule set one --network any --suffix *;network set n 10.0.0.0/8;rule set one --network n "
     "--suffix *.z",
     "clients in n", "\"*.z\""},
    {"rule add one a.b x.y", "rule  one  more  x.y    fill from pool p", "[a.b, c.d, e.f, x.y]",
     .log = "rule one more: x.y"},
    {"rule add one a.b", "rule  one  same  a.b    fill from pool p", KEPT},
    {"rule add one *", "rule one: suffix * is so wide", KEPT, .code = EXIT_INVALID},
    {"rule add one", "at least one suffix", KEPT, .code = EXIT_USAGE},
    {"rule add six a.b", "there is no rule six (policy rule set makes one)", KEPT,
     .code = EXIT_NOT_FOUND},
    {"rule add one _vlmcs._tcp.a.b", "suffix \"_vlmcs._tcp.a.b\" ", KEPT, .code = EXIT_INVALID},
    {"rule drop one a.b", "Take these suffixes out of rule one?", KEPT, .code = EXIT_FAILED},
    {"rule drop one e.f a.b --yes", "rule  one  less  a.b e.f\n", "suffixes: [c.d]",
     .log = "rule one less: a.b e.f"},
    {"rule drop one a.b g.h --yes", "rule one has no suffix g.h", KEPT, .code = EXIT_NOT_FOUND},
    {"rule drop one", "Remove rule one with all its suffixes?", KEPT, .code = EXIT_FAILED},
    {"rule drop one --yes", "rule  one  gone", "rules:\n  two:", .log = "rule one gone"},
    {"rule drop six --yes", "there is no rule six", KEPT, .code = EXIT_NOT_FOUND},
    {"rule st one", "st is neither set, add nor drop; did you mean set?", KEPT, .code = EXIT_USAGE},
    {"network set n 10.1.0.0/16 10.0.0.0/16", "network  n  new  10.0.0.0/16 10.1.0.0/16",
     "n: [10.0.0.0/16, 10.1.0.0/16]", .log = "network n new: 10.0.0.0/16 10.1.0.0/16"},
    {"network set n 10.1.0.0/16 10.0.0.0/16;network set n 10.0.0.0/16 10.1.0.0/16",
     "nothing to change: the policy is like this already, serial 2", "n: [10.0"},
    {"network set n 10.0.0.1/8 x",
     "\"10.0.0.1/8\" has bits behind its prefix length\n\"x\" is not a prefix like",
     HEAD "pools:", .code = EXIT_INVALID},
    {"network set Any 10.0.0.0/8", "network \"Any\": ", HEAD "pools:", .code = EXIT_INVALID},
    {"network set n", "at least one prefix", HEAD "pools:", .code = EXIT_USAGE},
    {"network set n 10.1.0.0/16;network add n 10.0.0.0/16 10.1.0.0/16",
     "changed  10.0.0.0/16 10.1.0.0/16", "n: [10.0.0.0/16, 10.1.0.0/16]"},
    {"network add n 10.0.0.0/16", "there is no network n (policy network set makes one)",
     HEAD "pools:", .code = EXIT_NOT_FOUND},
    {"network set n 10.1.0.0/16 10.0.0.0/16;network drop n 10.1.0.0/16",
     "Take these prefixes out of network n?", "n: [10.0.0.0/16, 10.1.0.0/16]", .code = EXIT_FAILED},
    {"network set n 10.1.0.0/16 10.0.0.0/16;network drop n 10.1.0.0/16 --yes",
     "changed  10.0.0.0/16", "n: [10.0.0.0/16]"},
    {"network set n 10.1.0.0/16;network drop n 10.0.0.0/16 --yes",
     "network n has no prefix 10.0.0.0/16", "n: [10.1.0.0/16]", .code = EXIT_NOT_FOUND},
    {"network set n 10.1.0.0/16;network drop n 10.1.0.0/16 --yes", "network n: has no prefix",
     "n: [10.1.0.0/16]", .code = EXIT_INVALID},
    {"network set n 10.1.0.0/16;network drop n --yes", "network  n  gone",
     HEAD "pools:", .log = "network n gone"},
    {"network set n 10.1.0.0/16;rule set one --network n;rule set two --network n;network drop n "
     "--yes",
     "network n is in use: one\nnetwork n is in use: two", "n: [10.1.0.0/16]",
     .code = EXIT_INVALID},
    {"network drop n --yes", "there is no network n", HEAD "pools:", .code = EXIT_NOT_FOUND},
    {"pool set q n.c.d:99 m.c.d,weight=7", "pool  q  new  m.c.d:1688,weight=7 n.c.d:99",
     "q:\n    - {target: m.c.d", .log = "pool q new: "},
    {"pool set q m.c.d m.c.d,weight=7", "pool q: host m.c.d:1688 is there twice",
     "p:\n    - k.c.d\nrules", .code = EXIT_INVALID},
    {"pool set q m.c.d,address=198.51.100.1", "has the public address 198.51.100.1",
     "p:\n    - k.c.d\nrules", .code = EXIT_INVALID},
    {"pool set q m.c.d,address=198.51.100.1 --allow-public", "new", "allow-public: yes"},
    {"pool set q m.c.d,address=198.51.100.1 --allow-public;pool add q n.c.d", "changed",
     "allow-public: yes"},
    {"pool add p k.c.d,weight=7", "changed  k.c.d:1688,weight=7",
     "p:\n    - {target: k.c.d, weight: 7}\nrules"},
    {"pool add p k.c.d:99", "changed  k.c.d:99 k.c.d:1688", "port: 99"},
    {"pool drop p --yes", "pool p is in use: one\npool p is in use: two", "p:\n",
     .code = EXIT_INVALID},
    {"pool add p m.c.d;pool drop p k.c.d --yes", "changed  m.c.d:1688", "p:\n    - m.c.d\nrules"},
    {"pool drop p k.c.d:99 --yes", "pool p has no host k.c.d:99", "p:\n    - k.c.d\nrules",
     .code = EXIT_NOT_FOUND},
    {"approve x.c.d:99 y.c.d", "approved  x.c.d:99    new\napproved  y.c.d:1688  new\n",
     "approved: [x.c.d:99, y.c.d]", .log = "approved x.c.d:99 new; approved y.c.d:1688 new"},
    {"approve x.c.d;approve x.c.d", "nothing to change: the policy is like this already, serial 2",
     "approved: [x.c.d]"},
    {"approve x.c.d,weight=7", "without options", HEAD "pools:", .code = EXIT_INVALID},
    {"approve x.c.d;unapprove x.c.d", "No longer approve this host?", "approved: [x.c.d]",
     .code = EXIT_FAILED},
    {"approve x.c.d y.c.d;unapprove x.c.d y.c.d", "No longer approve these hosts?",
     "approved: [x.c.d, y.c.d]", .code = EXIT_FAILED},
    {"approve x.c.d y.c.d;unapprove x.c.d --yes", "approved  x.c.d:1688  gone",
     "approved: [y.c.d]"},
    {"unapprove k.c.d --yes", "k.c.d:1688 is not listed as approved (hosts of pools always are)",
     HEAD "pools:", .code = EXIT_NOT_FOUND},
    {"fill z.z --host kms.c.d --host b.c.d", "rule  fill-kms  new  z.z    any client, when missing",
     "fill-kms:\n    suffixes: [z.z]\n    pool: kms",
     .log = "pool kms new: b.c.d:1688 kms.c.d:1688; rule fill-kms"},
    {"fill z.z --host kms.c.d;fill z.z y.y --host kms.c.d",
     "pool  kms       same  kms.c.d:1688\nrule  fill-kms  more  y.y    any client",
     "suffixes: [y.y, z.z]"},
    {"fill z.z --host kms.c.d;fill y.y --host kms.c.d:99",
     "pool kms is there with other hosts: use --pool kms", "suffixes: [z.z]", .code = EXIT_INVALID},
    {"network set n 10.0.0.0/8;fill z.z --pool p --network n",
     "rule  fill-p-n  new  z.z    clients in n, when missing", "fill-p-n:"},
    {"fill z.z --pool p --network n", "there is no network n",
     HEAD "pools:", .code = EXIT_NOT_FOUND},
    {"fill z.z --pool q", "there is no pool q", HEAD "pools:", .code = EXIT_NOT_FOUND},
    {"fill z.z --pool p",
     "no route for z.z; whether its record is missing is judged by the default servers",
     "suffixes: [z.z]"},
    {"fill z.z y.y --pool p", "no route for z.z y.y; whether their records are missing",
     "suffixes: [y.y, z.z]"},
    {"fill a.z.z y.y --pool p -o forward=[{zone:\tz.z,servers:\t[10.0.0.1]}]",
     "no route for y.y; whether its record is missing", "suffixes: [y.y, a.z.z]"},
    {"fill z.z --pool q", "!no route", HEAD "pools:", .code = EXIT_NOT_FOUND},
    {"network set n 10.0.0.0/8;fill * --pool p --network n", "!no route", "fill-p-n:"},
    {"fill z.z", "needs --pool POOL or --host", HEAD "pools:", .code = EXIT_USAGE},
    {"rule set fill-p --action deny;fill z.z --pool p", "rule fill-p is there and fills otherwise",
     "fill-p:\n    suffixes: []", .code = EXIT_INVALID},
    {"rule set fill-p --pool p --mode shadow;fill z.z --pool p", "the rule's mode is not live",
     "suffixes: [z.z]"},
    {"fill z.z --host kms.c.d;import FILE --merge --format zone",
     "rule  fill-kms  changed  +1 -0 suffixes\n", "suffixes: [y.y, z.z]",
     .text = "_vlmcs._tcp.y.y. SRV 0 0 1688 kms.c.d.\n"},
    {"import FILE --replace --yes;export --format zone",
     "_vlmcs._tcp. 300 IN SRV 0 0 1688 k.c.d.\n_vlmcs._tcp. 300 IN SRV 10 0 1 l.c.d.\n"
     "; *.x.y of rule a: a zone has no such line\n"
     "_vlmcs._tcp.z.y. 300 IN SRV 0 0 1688 k.c.d.\n_vlmcs._tcp.z.y. 300 IN SRV 10 0 1 l.c.d.\n"
     "; rule b is left out: it is for some networks only\n"
     "; rule c is left out: its action delivers no pool\n"
     "; rule d is left out: its mode is not live\n",
     "q.y",
     .text =
         HEAD "networks: {n: [10.0.0.0/8]}\npools: {p: [k.c.d, {target: l.c.d, priority: 10, "
              "port: 1}]}\nrules: {a: {suffixes: [\"*.x.y\", ., z.y], pool: p}, b: {suffixes: "
              "[q.y], networks: [n], pool: p}, c: {suffixes: [r.y], action: deny}, d: {suffixes: "
              "[s.y], pool: p, mode: off}}\n"},
    {"edit --yes", "rule  two  changed  fill from pool p, any client, when missing, ttl 1h",
     "rules:\n  two:\n    suffixes: [g.h]\n    pool: p\n    ttl: 1h",
     .text = HEAD "pools: {p: [k.c.d]}\nrules: {two: {suffixes: [g.h], pool: p, ttl: 1h}}\n",
     .log = "rule one gone"},
    {"edit", "Apply this?", KEPT, .code = EXIT_FAILED},
    {"edit", "your text is kept in", KEPT, .code = EXIT_FAILED},
    {"edit --dry-run", "--- policy\n+++ edited\n", KEPT},
    {"edit --dry-run", "dry run: nothing is changed, serial 1", KEPT},
    {"edit", "nothing is changed, serial 1", KEPT, .text = STORED "# and more\n"},
    {"edit --yes", "pool p: has no host", KEPT, .code = EXIT_INVALID,
     .text = HEAD "pools: {p: []}\n"},
    {"rule add one x.y --if-serial 2", "the policy is at serial 1, not 2", KEPT,
     .code = EXIT_CONFLICT},
    {"rule add one x.y --if-serial 0", "the policy is at serial 1, not 0", KEPT,
     .code = EXIT_CONFLICT},
    {"rule add one x.y --author anna", " (for anna), ", "x.y", .log = "anna"},
    {"rule add one x.y --reason " R64 R64 R64 R64, "--reason has more than 255 bytes", KEPT,
     .code = EXIT_USAGE},
    {"import FILE", "there is a policy already", KEPT, .code = EXIT_USAGE},
    {"import FILE --replace", "nothing to change: the policy", KEPT, .text = STORED},
    {"import FILE --replace", "rule  two  gone", "pools:\n  q:",
     .text = HEAD "pools: {q: [k.c.d]}\nrules: {one: {suffixes: [a.b, c.d, e.f], pool: q}}\n",
     .log = "pool q new; pool p gone; rule one changed; rule two gone"},
    {"check", "no findings", KEPT},
    {"check -o forward=[{zone:\tc.d,servers:\t[10.0.0.1]}]",
     "rule one  no route for a.b e.f: the default servers say", KEPT, .code = EXIT_PROBLEMS},
    {"rule set one --action deny;rule set two --mode off;check -o "
     "forward=[{zone:\tz.z,servers:\t[10.0.0.1]}]",
     "!no route", "mode: off", .code = EXIT_PROBLEMS},
    {"check -o kms.mode=off", "kms.mode  is off: no rule can act", KEPT, .code = EXIT_PROBLEMS},
    {"check -o kms.mode=shadow", "kms.mode  is shadow", KEPT, .code = EXIT_PROBLEMS},
    {"rule set one --mode shadow;rule set two --mode shadow;check -o kms.mode=off", "no findings",
     "mode: shadow"},
    {"test FILE", "2 tests passed", KEPT,
     .text =
         HEAD "tests: [{suffix: a.b, client: 10.0.0.1, expect: filled, host: k.c.d},\n"
              "  {suffix: a.b, client: 10.0.0.1, verdict: present, real-host: x.y.z, host: x.y.z, "
              "expect: passed}]\n"},
    {"test FILE", "filled  one   FAILED: other outcome", KEPT, .code = EXIT_PROBLEMS,
     .text = HEAD "tests: [{suffix: a.b, client: 10.0.0.1, expect: denied}]\n"},
    {"test FILE", "FAILED: host not given", KEPT, .code = EXIT_PROBLEMS,
     .text = HEAD "tests: [{suffix: a.b, client: 10.0.0.1, host: x.c.d}]\n"},
    {"rule set one --action replace;test FILE", "FAILED: host not given", "replace",
     .code = EXIT_PROBLEMS,
     .text = HEAD "tests: [{suffix: a.b, client: 10.0.0.1, verdict: present, real-host: x.y.z, "
                  "host: x.y.z}]\n"},
    {"rule set one --action filter;test FILE", "1 tests passed", "filter",
     .text =
         HEAD "tests: [{suffix: a.b, client: 10.0.0.1, verdict: unapproved, expect: filtered}]\n"},
    {"rule set one --action filter;test FILE", "1 tests passed", "filter",
     .text = HEAD "tests: [{suffix: a.b, client: 10.0.0.1, verdict: present, expect: passed}]\n"},
    {"test FILE --policy FILE", "missing", KEPT, .code = EXIT_PROBLEMS,
     .text = HEAD "tests: [{suffix: a.b, client: 10.0.0.1, expect: filled}]\n"},
    {"test FILE", "has no section tests:", KEPT, .code = EXIT_INVALID},
    {"show rules six", "there is no rule six", KEPT, .code = EXIT_NOT_FOUND},
    {"rule set n --pool p;show suffixes n", "SUFFIX  RULE", "n:"},
    {"show suffixes --limit 1", "3 more; --limit shows more of them", KEPT},
    {"show approved K.C.D", "k.c.d  1688  pool p", KEPT},
    {"show pool", "did you mean pools?", KEPT, .code = EXIT_USAGE},
};

static void check_row(void **state)
{
    const struct row *row = *state;
    char lines[1024], *line, *save;
    glob_t left = {.gl_pathc = 0};
    bool not_said;

    enter();
    setenv("EDITOR", "cp FILE", 1); /* over the text that is edited */
    write_file(STORED);
    assert_int_equal(tool("import FILE"), EXIT_DONE);
    write_file(row->text != NULL ? row->text : HEAD);
    snprintf(lines, sizeof lines, "%s", row->line);
    line = strtok_r(lines, ";", &save);
    for (char *next; (next = strtok_r(NULL, ";", &save)) != NULL; line = next)
        assert_int_equal(tool(line), EXIT_DONE);
    assert_int_equal(tool(line), row->code);
    not_said = row->says[0] == '!';
    if ((strstr(out.text[0], row->says + not_said) == NULL &&
         strstr(out.text[1], row->says + not_said) == NULL) != not_said)
        fail_msg("no \"%s\" in: %s%s", row->says, out.text[0], out.text[1]);
    /* What was edited stays when it is said, and then alone. */
    assert_int_equal(glob("waymark-edit-*/*", 0, NULL, &left),
                     strstr(out.text[1], "is kept in") != NULL ? 0 : GLOB_NOMATCH);
    assert_int_equal(left.gl_pathc, strstr(out.text[1], "is kept in") != NULL);
    globfree(&left);
    assert_int_equal(tool("export"), EXIT_DONE);
    assert_has(out.text[0], row->then);
    assert_int_equal(tool("log"), EXIT_DONE);
    if (row->log != NULL && strstr(out.text[0], row->log) == NULL)
        fail_msg("no \"%s\" in: %s", row->log, out.text[0]);
    scratch_remove(dir);
}

/* Where no store is, there is none afterwards, and nothing is left elsewhere. */
static void dry_run_makes_no_store(void **state)
{
    static const char *const lines[] = {
        "import FILE --dry-run",
        "fill corp.example --host kms01.contoso.com --dry-run",
        "pool set p k.c.d --dry-run",
    };
    char path[160], tmp[96];

    enter();
    snprintf(tmp, sizeof tmp, "%s/tmp", dir);
    assert_int_equal(mkdir(tmp, 0700), 0);
    setenv("TMPDIR", tmp, 1);
    write_file(STORED);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (tool(lines[i]) != EXIT_DONE)
            fail_msg("%s: %s", lines[i], out.text[1]);
        assert_has(out.text[0], "dry run: nothing is changed, serial 0");
        assert_has(out.text[0], "new");
        snprintf(path, sizeof path, "%s/state/policy", dir);
        if (access(path, F_OK) == 0)
            fail_msg("%s made %s", lines[i], path);
    }
    assert_int_equal(tool("export"), EXIT_FAILED);
    assert_has(out.text[1], "there is no policy yet in ");
    assert_int_equal(tool("test FILE --policy FILE"), EXIT_INVALID); /* has no tests */
    write_file(STORED "tests: [{suffix: a.b, client: 10.0.0.1, expect: filled}]\n");
    assert_int_equal(tool("test FILE --policy FILE"), EXIT_DONE);
    assert_int_equal(rmdir(tmp), 0); /* empty */
    unsetenv("TMPDIR");
    scratch_remove(dir);
}

/* No other editor is tried when the user's own fails, or is not there. */
static void editor_fails(void **state)
{
    enter();
    write_file(STORED);
    assert_int_equal(tool("import FILE"), EXIT_DONE);
    setenv("EDITOR", "test -d", 1);
    assert_int_equal(tool("edit"), EXIT_FAILED);
    assert_string_equal(out.text[1],
                        "waymarkctl: test -d ended with status 1: nothing is changed\n");
    setenv("VISUAL", " ./none --wait", 1);
    assert_int_equal(tool("edit"), EXIT_FAILED);
    assert_has(out.text[1], "cannot start  ./none --wait: No such file");
    unsetenv("VISUAL");
    scratch_remove(dir);
}

int main(void)
{
    int null = open("/dev/null", O_RDONLY);

    dup2(null, 0); /* nobody can be asked */
    TEST(dry_run_makes_no_store);
    TEST(editor_fails);
    ROWS(rows, check_row);
    return RUN("policy");
}
