/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_policy.c -- whole command lines that change policies, on stores of their
 * own: what they ask, what they say, and what they leave alone.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/cli.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

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
    const char *what, *text, *line; /* lines with ";" between them: the last counts */
    int code;
    const char *says; /* on either stream */
    const char *then; /* a part of the export, or NULL */
    const char *log;  /* a part of the log, or NULL */
} rows[] = {
    {"merge: more than half of the suffixes go", HEAD "rules: {one: {suffixes: [z.z], pool: p}}\n",
     "policy import FILE --merge", EXIT_FAILED,
     "This replaces rules and removes 3 of 4 suffixes. Go on? (there is no terminal to ask on",
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
    {"rule set: ttl", HEAD, "policy rule set one --ttl 1h", EXIT_DONE, "ttl 1h",
     "suffixes: [a.b, c.d, e.f]\n    pool: p\n    ttl: 1h", NULL},
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
    {"rule set: a new one", HEAD, "policy rule set n --pool p", EXIT_DONE,
     "rule   n      new    fill from pool p, any client, when missing", "n:\n    suffixes: []",
     "rule n new: fill from pool p, any client, when missing"},
    {"rule set: a new one has no suffix yet", HEAD, "policy rule set n --pool p", EXIT_DONE,
     "the rule has no suffix yet", "pool: p", NULL},
    {"rule set: its suffixes", HEAD, "policy rule set one --suffix z.z --suffix a.b --suffix z.z",
     EXIT_DONE, "rule   one    changed  a.b z.z    fill", "suffixes: [a.b, z.z]",
     "rule one changed: a.b z.z    fill"},
    {"rule set: the suffixes that it has", HEAD, "policy rule set two --suffix g.h", EXIT_DONE,
     "nothing to change: the policy", "[g.h]", NULL},
    {"rule set: suffixes as arguments", HEAD, "policy rule set one z.z", EXIT_USAGE,
     "policy rule add one z.z adds one", "[a.b, c.d, e.f]", NULL},
    {"rule set: no network", HEAD, "policy rule set one --network lab", EXIT_NOT_FOUND,
     "there is no network lab (policy network set lab PREFIX... makes it)", "[a.b, c.d, e.f]",
     NULL},
    {"rule set: networks that cannot go", HEAD,
     "policy rule set one --network any --suffix *;policy network set n 10.0.0.0/8;"
     "policy rule set one --network n --suffix *.z",
     EXIT_DONE, "clients in n", "\"*.z\"", NULL},
    {"rule add", HEAD, "policy rule add one a.b x.y", EXIT_DONE,
     "rule   one    more   x.y    fill from pool p", "[a.b, c.d, e.f, x.y]", "rule one more: x.y"},
    {"rule add: what it has", HEAD, "policy rule add one a.b", EXIT_DONE,
     "rule   one    same   a.b    fill from pool p", "[a.b, c.d, e.f]", NULL},
    {"rule add: too wide", HEAD, "policy rule add one *", EXIT_INVALID,
     "rule one: suffix * is so wide", "[a.b, c.d, e.f]", NULL},
    {"rule add: nothing", HEAD, "policy rule add one", EXIT_USAGE, "at least one suffix",
     "[a.b, c.d, e.f]", NULL},
    {"rule add: no rule", HEAD, "policy rule add six a.b", EXIT_NOT_FOUND,
     "there is no rule six (policy rule set makes one)", "[a.b, c.d, e.f]", NULL},
    {"rule add: no suffix", HEAD, "policy rule add one _vlmcs._tcp.a.b", EXIT_INVALID,
     "suffix \"_vlmcs._tcp.a.b\" ", "[a.b, c.d, e.f]", NULL},
    {"rule drop: asks", HEAD, "policy rule drop one a.b", EXIT_FAILED,
     "Take these suffixes out of rule one?", "[a.b, c.d, e.f]", NULL},
    {"rule drop", HEAD, "policy rule drop one e.f a.b --yes", EXIT_DONE,
     "rule   one    less   a.b e.f", "suffixes: [c.d]", "rule one less: a.b e.f"},
    {"rule drop: no suffix of it", HEAD, "policy rule drop one a.b g.h --yes", EXIT_NOT_FOUND,
     "rule one has no suffix g.h", "[a.b, c.d, e.f]", NULL},
    {"rule drop: the rule, asks", HEAD, "policy rule drop one", EXIT_FAILED,
     "Remove rule one with all its suffixes?", "[a.b, c.d, e.f]", NULL},
    {"rule drop: the rule", HEAD, "policy rule drop one --yes", EXIT_DONE, "rule   one    gone",
     "rules:\n  two:", "rule one gone"},
    {"rule drop: no rule", HEAD, "policy rule drop six --yes", EXIT_NOT_FOUND,
     "there is no rule six", "[a.b, c.d, e.f]", NULL},
    {"rule: no verb", HEAD, "policy rule st one", EXIT_USAGE,
     "st is neither set, add nor drop; did you mean set?", "[a.b, c.d, e.f]", NULL},
    {"network set", HEAD, "policy network set n 10.1.0.0/16 10.0.0.0/16", EXIT_DONE,
     "network  n      new    10.0.0.0/16 10.1.0.0/16", "n: [10.0.0.0/16, 10.1.0.0/16]",
     "network n new: 10.0.0.0/16 10.1.0.0/16"},
    {"network set: the same", HEAD,
     "policy network set n 10.1.0.0/16 10.0.0.0/16;policy network set n 10.0.0.0/16 10.1.0.0/16",
     EXIT_DONE, "nothing to change: the policy is like this already, serial 2", "n: [10.0", NULL},
    {"network set: no prefixes", HEAD, "policy network set n 10.0.0.1/8 x", EXIT_INVALID,
     "\"10.0.0.1/8\" has bits behind its prefix length\n\"x\" is not a prefix like",
     HEAD "pools:", NULL},
    {"network set: no name", HEAD, "policy network set Any 10.0.0.0/8", EXIT_INVALID,
     "network \"Any\": ", HEAD "pools:", NULL},
    {"network set: nothing", HEAD, "policy network set n", EXIT_USAGE, "at least one prefix",
     HEAD "pools:", NULL},
    {"network add", HEAD,
     "policy network set n 10.1.0.0/16;policy network add n 10.0.0.0/16 10.1.0.0/16", EXIT_DONE,
     "changed  10.0.0.0/16 10.1.0.0/16", "n: [10.0.0.0/16, 10.1.0.0/16]", NULL},
    {"network add: no network", HEAD, "policy network add n 10.0.0.0/16", EXIT_NOT_FOUND,
     "there is no network n (policy network set makes one)", HEAD "pools:", NULL},
    {"network drop: asks", HEAD,
     "policy network set n 10.1.0.0/16 10.0.0.0/16;policy network drop n 10.1.0.0/16", EXIT_FAILED,
     "Take these prefixes out of network n?", "n: [10.0.0.0/16, 10.1.0.0/16]", NULL},
    {"network drop: a prefix", HEAD,
     "policy network set n 10.1.0.0/16 10.0.0.0/16;policy network drop n 10.1.0.0/16 --yes",
     EXIT_DONE, "changed  10.0.0.0/16", "n: [10.0.0.0/16]", NULL},
    {"network drop: no prefix of it", HEAD,
     "policy network set n 10.1.0.0/16;policy network drop n 10.0.0.0/16 --yes", EXIT_NOT_FOUND,
     "network n has no prefix 10.0.0.0/16", "n: [10.1.0.0/16]", NULL},
    {"network drop: the last prefix", HEAD,
     "policy network set n 10.1.0.0/16;policy network drop n 10.1.0.0/16 --yes", EXIT_INVALID,
     "network n would be left without a prefix; policy network drop n removes it",
     "n: [10.1.0.0/16]", NULL},
    {"network drop", HEAD, "policy network set n 10.1.0.0/16;policy network drop n --yes",
     EXIT_DONE, "network  n      gone", HEAD "pools:", "network n gone"},
    {"network drop: in use", HEAD,
     "policy network set n 10.1.0.0/16;policy rule set one --network n;policy rule set two "
     "--network n;"
     "policy network drop n --yes",
     EXIT_INVALID, "network n is in use: one\nnetwork n is in use: two", "n: [10.1.0.0/16]", NULL},
    {"network drop: no network", HEAD, "policy network drop n --yes", EXIT_NOT_FOUND,
     "there is no network n", HEAD "pools:", NULL},
    {"pool set", HEAD, "policy pool set q n.c.d:99 m.c.d,weight=7", EXIT_DONE,
     "pool   q      new    m.c.d:1688,weight=7 n.c.d:99", "q:\n    - {target: m.c.d",
     "pool q new: "},
    {"pool set: two equal hosts", HEAD, "policy pool set q m.c.d m.c.d,weight=7", EXIT_INVALID,
     "pool q: host m.c.d:1688 is there twice", "p:\n    - k.c.d\nrules", NULL},
    {"pool set: a public address", HEAD, "policy pool set q m.c.d,address=198.51.100.1",
     EXIT_INVALID, "has the public address 198.51.100.1", "p:\n    - k.c.d\nrules", NULL},
    {"pool set: a public address that may be", HEAD,
     "policy pool set q m.c.d,address=198.51.100.1 --allow-public", EXIT_DONE, "new",
     "allow-public: yes", NULL},
    {"pool add: what may be stays allowed", HEAD,
     "policy pool set q m.c.d,address=198.51.100.1 --allow-public;policy pool add q n.c.d",
     EXIT_DONE, "changed", "allow-public: yes", NULL},
    {"pool add: other options of a host that is there", HEAD, "policy pool add p k.c.d,weight=7",
     EXIT_DONE, "changed  k.c.d:1688,weight=7", "p:\n    - {target: k.c.d, weight: 7}\nrules",
     NULL},
    {"pool add: the same name at another port", HEAD, "policy pool add p k.c.d:99", EXIT_DONE,
     "changed  k.c.d:99 k.c.d:1688", "port: 99", NULL},
    {"pool drop: in use", HEAD, "policy pool drop p --yes", EXIT_INVALID,
     "pool p is in use: one\npool p is in use: two", "p:\n", NULL},
    {"pool drop: a host", HEAD, "policy pool add p m.c.d;policy pool drop p k.c.d --yes", EXIT_DONE,
     "changed  m.c.d:1688", "p:\n    - m.c.d\nrules", NULL},
    {"pool drop: no host of it", HEAD, "policy pool drop p k.c.d:99 --yes", EXIT_NOT_FOUND,
     "pool p has no host k.c.d:99", "p:\n    - k.c.d\nrules", NULL},
    {"approve", HEAD, "policy approve x.c.d:99 y.c.d", EXIT_DONE, "approved  x.c.d:99    new",
     "approved: [x.c.d:99, y.c.d]", "approved x.c.d:99 new; approved y.c.d:1688 new"},
    {"approve: again", HEAD, "policy approve x.c.d;policy approve x.c.d", EXIT_DONE,
     "nothing to change: the policy is like this already, serial 2", "approved: [x.c.d]", NULL},
    {"approve: options", HEAD, "policy approve x.c.d,weight=7", EXIT_INVALID, "without options",
     HEAD "pools:", NULL},
    {"unapprove: asks", HEAD, "policy approve x.c.d;policy unapprove x.c.d", EXIT_FAILED,
     "No longer approve this host?", "approved: [x.c.d]", NULL},
    {"unapprove: asks for two", HEAD, "policy approve x.c.d y.c.d;policy unapprove x.c.d y.c.d",
     EXIT_FAILED, "No longer approve these hosts?", "approved: [x.c.d, y.c.d]", NULL},
    {"unapprove", HEAD, "policy approve x.c.d y.c.d;policy unapprove x.c.d --yes", EXIT_DONE,
     "approved  x.c.d:1688  gone", "approved: [y.c.d]", NULL},
    {"unapprove: not listed", HEAD, "policy unapprove k.c.d --yes", EXIT_NOT_FOUND,
     "k.c.d:1688 is not listed as approved (hosts of pools always are)", HEAD "pools:", NULL},
    {"fill", HEAD, "policy fill z.z --host kms.c.d --host b.c.d", EXIT_DONE,
     "rule   fill-kms  new    z.z    any client, when missing",
     "fill-kms:\n    suffixes: [z.z]\n    pool: kms",
     "pool kms new: b.c.d:1688 kms.c.d:1688; rule fill-kms"},
    {"fill: more", HEAD, "policy fill z.z --host kms.c.d;policy fill z.z y.y --host kms.c.d",
     EXIT_DONE, "pool   kms       same   kms.c.d:1688\nrule   fill-kms  more   y.y    any client",
     "suffixes: [y.y, z.z]", NULL},
    {"fill: a pool with other hosts", HEAD,
     "policy fill z.z --host kms.c.d;policy fill y.y --host kms.c.d:99", EXIT_INVALID,
     "pool kms is there with other hosts: use --pool kms", "suffixes: [z.z]", NULL},
    {"fill: a network", HEAD,
     "policy network set n 10.0.0.0/8;policy fill z.z --pool p --network n", EXIT_DONE,
     "rule   fill-p-n  new    z.z    clients in n, when missing", "fill-p-n:", NULL},
    {"fill: no network", HEAD, "policy fill z.z --pool p --network n", EXIT_NOT_FOUND,
     "there is no network n", HEAD "pools:", NULL},
    {"fill: no pool", HEAD, "policy fill z.z --pool q", EXIT_NOT_FOUND, "there is no pool q",
     HEAD "pools:", NULL},
    {"fill: neither pool nor host", HEAD, "policy fill z.z", EXIT_USAGE,
     "needs --pool POOL or --host", HEAD "pools:", NULL},
    {"fill: a rule of that name that does otherwise", HEAD,
     "policy rule set fill-p --action deny;policy fill z.z --pool p", EXIT_INVALID,
     "rule fill-p is there and fills otherwise", "fill-p:\n    suffixes: []", NULL},
    {"fill: a rule that is not live", HEAD,
     "policy rule set fill-p --pool p --mode shadow;policy fill z.z --pool p", EXIT_DONE,
     "the rule's mode is not live", "suffixes: [z.z]", NULL},
    {"edit", HEAD "pools: {p: [k.c.d]}\nrules: {two: {suffixes: [g.h], pool: p, ttl: 1h}}\n",
     "policy edit --yes", EXIT_DONE,
     "rule   two    changed  fill from pool p, any client, when missing, ttl 1h",
     "rules:\n  two:\n    suffixes: [g.h]\n    pool: p\n    ttl: 1h", "rule one gone"},
    {"edit: asks", HEAD, "policy edit", EXIT_FAILED, "Apply this?", "[a.b, c.d, e.f]", NULL},
    {"edit: keeps what is not applied", HEAD, "policy edit", EXIT_FAILED, "your text is kept in",
     "[a.b, c.d, e.f]", NULL},
    {"edit: dry run", HEAD, "policy edit --dry-run", EXIT_DONE,
     "dry run: nothing is changed, serial 1", "[a.b, c.d, e.f]", NULL},
    {"edit: the same in other words", STORED "# and more\n", "policy edit", EXIT_DONE,
     "nothing is changed, serial 1", "[a.b, c.d, e.f]", NULL},
    {"edit: a mistake", HEAD "pools: {p: []}\n", "policy edit --yes", EXIT_INVALID,
     "pool p: has no host", "[a.b, c.d, e.f]", NULL},
    {"if-serial", HEAD, "policy rule add one x.y --if-serial 2", EXIT_CONFLICT,
     "the policy is at serial 1, not 2", "[a.b, c.d, e.f]", NULL},
    {"if-serial: none", HEAD, "policy rule add one x.y --if-serial 0", EXIT_CONFLICT,
     "the policy is at serial 1, not 0", "[a.b, c.d, e.f]", NULL},
    {"on behalf", HEAD, "policy rule add one x.y --author anna", EXIT_DONE, " (for anna), ", "x.y",
     "anna"},
    {"a reason that is too long", HEAD,
     "policy rule add one x.y --reason "
     "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
     "r"
     "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
     "r"
     "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr",
     EXIT_USAGE, "--reason has more than 255 bytes", "[a.b, c.d, e.f]", NULL},
    {"import: there is a policy", HEAD, "policy import FILE", EXIT_USAGE,
     "there is a policy already", "[a.b, c.d, e.f]", NULL},
    {"replace: the same", STORED, "policy import FILE --replace", EXIT_DONE, "nothing to change: the policy",
     "[a.b, c.d, e.f]", NULL},
    {"replace: objects go",
     HEAD "pools: {q: [k.c.d]}\nrules: {one: {suffixes: [a.b, c.d, e.f], pool: q}}\n",
     "policy import FILE --replace", EXIT_DONE, "rule   two    gone",
     "pools:\n  q:", "pool q new; pool p gone; rule one changed; rule two gone"},
    {"show: a rule that is not there", HEAD, "policy show rules six", EXIT_NOT_FOUND,
     "there is no rule six", "[a.b, c.d, e.f]", NULL},
    {"show: no suffixes of a rule", HEAD, "policy rule set n --pool p;policy show suffixes n",
     EXIT_DONE, "SUFFIX  RULE", "n:", NULL},
    {"show: at most one", HEAD, "policy show suffixes --limit 1", EXIT_DONE,
     "3 more; --limit shows more of them", "[a.b, c.d, e.f]", NULL},
    {"show: hosts of pools are approved", HEAD, "policy show approved K.C.D", EXIT_DONE,
     "k.c.d  1688  pool p", "[a.b, c.d, e.f]", NULL},
    {"show: no list", HEAD, "policy show pool", EXIT_USAGE, "did you mean pools?",
     "[a.b, c.d, e.f]", NULL},
};

static void check_row(void **state)
{
    const struct row *row = *state;
    char lines[1024], editor[96], *line, *save;

    strcpy(dir, "/tmp/waymark-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(editor, sizeof editor, "cp %s/in.yaml", dir); /* over the text that is edited */
    setenv("EDITOR", editor, 1);
    setenv("TMPDIR", dir, 1);
    write_file(STORED);
    assert_int_equal(tool("policy import FILE"), EXIT_DONE);
    write_file(row->text);
    snprintf(lines, sizeof lines, "%s", row->line);
    line = strtok_r(lines, ";", &save);
    for (char *next; (next = strtok_r(NULL, ";", &save)) != NULL; line = next)
        assert_int_equal(tool(line), EXIT_DONE);
    assert_int_equal(tool(line), row->code);
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
    int null = open("/dev/null", O_RDONLY);

    dup2(null, 0); /* nobody can be asked */
    TEST(dry_run_makes_no_store);
    ROWS(rows, check_row);
    return RUN("policy");
}
