/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_policy.c -- whole command lines that change policies, on stores of their
 * own: what they ask, what they say, and what they leave alone.
 */
#include <glob.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/scratch.h"

#define HEAD "waymark-policy: 1\n"
#define STORED                                                                                     \
    HEAD "pools: {p: [k.c.d]}\n"                                                                   \
         "rules:\n  one: {suffixes: [a.b, c.d, e.f], pool: p}\n"                                   \
         "  two: {suffixes: [g.h], pool: p}\n"
#define ONE(suffixes) HEAD "rules: {one: {suffixes: [" suffixes "], pool: p}}\n"
#define ASKS(...) HEAD "tests: [{suffix: a.b, client: 10.0.0.1, " __VA_ARGS__ "}]\n"
#define R8 "rrrrrrrr"
#define R64 R8 R8 R8 R8 R8 R8 R8 R8
#define R256 R64 R64 R64 R64
/* Uses what would be reported as unused. */
#define RULES(a, b)                                                                                \
    HEAD "networks: {n: [10.0.0.0/8], m: [10.1.0.0/16]}\npools: {p: [k.c.d], q: [l.c.d]}\n"        \
         "rules: {zz: {suffixes: [z.zz], networks: [n, m], pool: p}, zy: {suffixes: [z.zy], "      \
         "pool: q}, "                                                                              \
         "a: {suffixes: " a "}" b "}\n"
#define AND(b) ", b: {suffixes: " b "}"
#define A(text) "FINDING\nrule a   " text "\n"
#define B(text) "FINDING\nrule b   " text "\n"
#define FROM ", from: 2100-01-01T00:00:00Z"
#define UNTIL ", until: 2100-01-01T00:00:00Z"
#define TIE "comes behind rule a for x.x, by their names alone"
#define X1(name) name ": {suffixes: [x.x], pool: p}, "
#define X5(name) X1(name "1") X1(name "2") X1(name "3") X1(name "4") X1(name "5")
#define ROUTES(zone) " -o forward=[{zone:\t" zone ",servers:\t[10.0.0.1]}]"

/* clang-format off */
enum { DONE, FAILED, USAGE, NONE, NO_DAEMON, BAD, MOVED, FOUND }; /* as the manual has them */
static const struct row {
    const char *line; /* behind "waymarkctl policy"; with ";" between them, the last counts */
    int code;
    const char *says; /* on either stream; "!TEXT": on neither */
    const char *then; /* a part of the export; NULL: the policy stays as it is */
    const char *log;  /* a part of the log, or NULL */
    const char *text; /* of FILE; NULL: HEAD */
    const char *visual;
    bool fresh; /* there is no store, and none comes into being */
} rows[] = {
    {"import FILE --merge", FAILED, "This replaces rules and removes 3 of 4 suffixes. Go on? (there is no terminal to ask on",
     .text = ONE("z.z")},
    {"import FILE --merge --yes", DONE, "+1 -3 suffixes", "[z.z]", "rule one changed: +1 -3 suffixes", ONE("z.z")},
    {"import FILE --merge", DONE, "+0 -2 suffixes", "[a.b]", "rule one changed: +0 -2 suffixes", ONE("a.b")},
    {"import FILE --merge", DONE, "new", "[x.y]", "rule new new", HEAD "rules: {new: {suffixes: [x.y], pool: p}}\n"},
    {"import FILE --replace", FAILED, "This removes 4 of 4 suffixes. Go on?"},
    {"import FILE --merge", BAD, "FILE:3:3: rule one: there is no network dmz",
     .text = HEAD "rules:\n  one:\n    suffixes: [a.b]\n    networks:\n      - dmz\n    pool: q\n"},
    {"import FILE --merge --dry-run", DONE, "dry run: nothing is changed, serial 1", .text = ONE("z.z")},
    {"import FILE", USAGE, "there is a policy already"},
    {"import FILE --replace", DONE, "!same", .text = STORED},
    {"import FILE --merge --replace", USAGE, "exclude each other"},
    {"import none --merge", NONE, "cannot read none: No such file"},
    {"import FILE --replace", DONE, "nothing to change: the policy", .text = STORED},
    {"import FILE --replace", DONE, "rule  two  gone", "pools:\n  q:", "pool q new; rule one changed; rule two gone; pool p gone",
     HEAD "pools: {q: [k.c.d]}\nrules: {one: {suffixes: [a.b, c.d, e.f], pool: q}}\n"},
    {"rule set one --action replace", DONE, "replace from pool p, any client, always", "action: replace"},
    {"rule set one --action deny", DONE, "deny, any client, always", "action: deny"},
    {"rule set one --action deny --pool p", BAD, "deny delivers no pool"},
    {"rule set one --action replace --when unapproved", DONE, "when unapproved", "when: [unapproved]"},
    {"rule set one --action fill", DONE, "same"},
    {"rule set one --when missing,failed", DONE, "when missing or failed", "when: [missing, failed]"},
    {"rule set one --when missing,often", BAD, "--when \"often\" is none of missing, failed, present, unapproved"},
    {"rule set one --when often", BAD, "!1:"},
    {"rule set one --pool " R64, BAD, "is no name"},
    {"rule set one --ttl 1h --mode shadow", DONE, "ttl 1h, mode shadow", "[a.b, c.d, e.f]\n    pool: p\n    ttl: 1h\n    mode: shadow"},
    {"rule set one --from 2027-01-31T18:00:00.500Z --until 2027-02-01T00:00:00Z", DONE,
     "from 2027-01-31T18:00:00Z, until 2027-02-01T00:00:00Z", "from: 2027-01-31T18:00:00Z\n    until: 2027-02-01T00:00:00Z"},
    {"rule set one --until +14d", DONE, "until 20", "until: 20"},
    {"rule set one --until +9000y", BAD, "--until \"+9000y\" is not a time like"},
    {"rule set one --until 9999-12-31T23:59:59Z", DONE, "until 9999-", "until: 9999-12-31T23:59:59Z"},
    {"rule set one --from none --until none", DONE, "same"},
    {"rule set one --until 1970-01-01T00:00:00.999Z", BAD, "--until \"1970-01-01T00:00:00.999Z\" is not a time like"},
    {"rule set one --break-dnssec yes", DONE, ", break-dnssec yes", "break-dnssec: yes"},
    {"rule set one --comment CHG0042", DONE, "changed  fill from pool p, any client, when missing, comment CHG0042\n", "comment: CHG0042",
     "rule one changed: fill from pool p, any client, when missing, comment CHG0042\n"},
    {"rule set one --comment CHG0042;rule set one --comment=", DONE, "when missing, comment \"\"\n", "one:", "missing, comment \"\"\n"},
    {"rule set one --comment CHG0042;rule set one --ttl 1h", DONE, "when missing, ttl 1h\n", "ttl: 1h"},
    {"rule set one --until 2030-01-01T00:00:00Z --ttl 1h;rule set one --until none", DONE, "when missing, ttl 1h, until none\n", "ttl: 1h"},
    {"rule set one --mode off --comment a;undo --yes", DONE, "when missing, mode live, comment \"\"\n", "one:"},
    {"rule set one --mode off --comment a;diff 2 1", DONE, "when missing, mode live, comment \"\"\n"},
    {"rule set one --comment a\x01", BAD, "has control characters, or octets that are not UTF-8"},
    {"rule set one --comment " R256, BAD, "has more than 255 bytes"},
    {"rule set one --network " R64, BAD, "networks: \"" R64 "\" has more than 63 characters"},
    {"rule set one --network lab", NONE, "there is no network lab (policy network set lab PREFIX... makes it)"},
    {"rule set one --network any --suffix *;network set n 10.0.0.0/8;rule set one --network n --suffix *.z", DONE,
     "clients in n", "\"*.z\""},
    {"rule set n --pool p", DONE, "rule  n  new  no suffix yet    fill from pool p, any client, when missing\n", "n:\n    suffixes: []",
     "rule n new: no suffix yet    fill from pool p, any client, when missing"},
    {"rule set n --pool p", DONE, "no suffix yet", "pool: p"},
    {"rule set one --suffix z.z --suffix a.b --suffix z.z", DONE, "rule  one  changed  a.b z.z    fill", "suffixes: [a.b, z.z]",
     "rule one changed: a.b z.z    fill"},
    {"rule set one z.z", USAGE, "usage: waymarkctl policy rule set NAME | add NAME SUFFIX..."},
    {"rule add one a.b x.y", DONE, "rule  one  more  x.y    fill from pool p", "[a.b, c.d, e.f, x.y]", "rule one more: x.y"},
    {"rule add one a.b", DONE, "rule  one  same  a.b    fill from pool p"},
    {"rule add one z.z --ttl 5m", USAGE, "policy rule add takes no --ttl: policy rule set does"},
    {"rule add one *", BAD, "rule one: suffix * is so wide"},
    {"rule add one _vlmcs._tcp.a.b", BAD, "suffixes: \"_vlmcs._tcp.a.b\" "},
    {"rule drop one a.b", FAILED, "Take these out of rule one?"},
    {"rule drop one e.f a.b --yes", DONE, "rule  one  less  a.b e.f\n", "suffixes: [c.d]", "rule one less: a.b e.f"},
    {"rule drop one a.b g.h --yes", NONE, "rule one has no suffix g.h"},
    {"rule drop one", FAILED, "Remove rule one with all its suffixes?"},
    {"rule drop one --yes", DONE, "rule  one  gone", "rules:\n  two:", "rule one gone"},
    {"rule st one", USAGE, "usage: waymarkctl policy rule set NAME"},
    {"network set n 10.1.0.0/16 10.0.0.0/16", DONE, "network  n  new  10.0.0.0/16 10.1.0.0/16",
     "n: [10.0.0.0/16, 10.1.0.0/16]", "network n new: 10.0.0.0/16 10.1.0.0/16"},
    {"network set n 10.1.0.0/16 10.0.0.0/16;network set n 10.0.0.0/16 10.1.0.0/16", DONE,
     "nothing to change: the policy is like this already, serial 2"},
    {"network set n 10.0.0.1/8 x", BAD, "\"10.0.0.1/8\" has bits behind its length; write the net's first address\na network: \"x\" is not an"},
    {"network set Any 10.0.0.0/8", BAD, "network \"Any\": "},
    {"network set n", USAGE, "usage: waymarkctl policy network set NAME PREFIX..."},
    {"network set n 10.1.0.0/16;network add n 10.0.0.0/16 10.1.0.0/16", DONE, "changed  10.0.0.0/16 10.1.0.0/16",
     "n: [10.0.0.0/16, 10.1.0.0/16]"},
    {"network add n 10.0.0.0/16", NONE, "there is no network n (policy network set n PREFIX... makes one)"},
    {"network set n 10.1.0.0/16 10.0.0.0/16;network drop n 10.1.0.0/16", FAILED, "Take these out of network n?"},
    {"network set n 10.1.0.0/16 10.0.0.0/16;network drop n 10.1.0.0/16 --yes", DONE, "changed  10.0.0.0/16", "n: [10.0.0.0/16]"},
    {"network set n 10.1.0.0/16;network drop n 10.0.0.0/16 --yes", NONE, "network n has no 10.0.0.0/16"},
    {"network set n 10.1.0.0/16;network drop n 10.1.0.0/16 --yes", BAD, "network n: has no prefix"},
    {"network set n 10.1.0.0/16;network drop n --yes", DONE, "network  n  gone", HEAD "pools:", "network n gone"},
    {"network set n 10.1.0.0/16;rule set one --network n;rule set two --network n;network drop n --yes", BAD,
     "network n is in use: one\nnetwork n is in use: two"},
    {"network drop n --yes", NONE, "there is no network n"},
    {"pool set q n.c.d:99 m.c.d,weight=7", DONE, "pool  q  new  m.c.d:1688,weight=7 n.c.d:99", "q:\n    - {target: m.c.d", "pool q new: "},
    {"pool set q m.c.d m.c.d,weight=7", BAD, "pool q: host m.c.d:1688 is there twice"},
    {"fill z.z --host m.c.d,address=198.51.100.1", BAD, "(if it is yours, say --allow-public, in a file allow-public: yes)\n"},
    {"fill z.z --host m.c.d,address=198.51.100.1", BAD, "!there is no pool"},
    {"pool set q m.c.d,address=198.51.100.1", BAD, "has the public address 198.51.100.1"},
    {"pool set q m.c.d,address=198.51.100.1 --allow-public", DONE, "new", "allow-public: yes"},
    {"pool set q m.c.d,address=198.51.100.1 --allow-public;pool add q n.c.d", DONE, "changed", "allow-public: yes"},
    {"pool set q m.c.d --choice pin --pin-clients 5", DONE, "new  m.c.d:1688    one host until 5 clients have it",
     "q:\n    hosts:\n      - m.c.d\n    choice: pin\n    pin-clients: 5\n"},
    {"pool set p --choice pin;pool add p m.c.d", DONE, "changed  k.c.d:1688 m.c.d:1688", "p:\n    hosts:\n      - k.c.d\n      - m.c.d\n    choice: pin\n"},
    {"pool set p --choice pin;pool set p --choice all", DONE, "changed  k.c.d:1688", "pools:\n  p:\n    - k.c.d\n"},
    {"pool set q --choice pin", NONE, "there is no pool q (policy pool set q HOST... makes one)"},
    {"pool set p k.c.d --choice some", BAD, "--choice \"some\" is none of all, pin"},
    {"pool set p --pin-clients 51", BAD, "--pin-clients \"51\" is out of range: 1 to 50"},
    {"pool add p k.c.d,weight=7", DONE, "changed  k.c.d:1688,weight=7", "p:\n    - {target: k.c.d, weight: 7}\nrules"},
    {"pool add p k.c.d:99", DONE, "changed  k.c.d:99 k.c.d:1688", "port: 99"},
    {"pool drop p --yes", BAD, "pool p is in use: one\npool p is in use: two"},
    {"pool add p m.c.d;pool drop p k.c.d --yes", DONE, "changed  m.c.d:1688", "p:\n    - m.c.d\nrules"},
    {"pool drop p k.c.d:99 --yes", NONE, "pool p has no k.c.d:99"},
    {"approve x.c.d:99 y.c.d", DONE, "approved  x.c.d:99    new\napproved  y.c.d:1688  new\n", "approved: [x.c.d:99, y.c.d]",
     "approved x.c.d:99 new; approved y.c.d:1688 new"},
    {"approve x.c.d;approve x.c.d", DONE, "nothing to change: the policy is like this already, serial 2"},
    {"approve x.c.d,weight=7", BAD, "without options"},
    {"approve x.c.d;unapprove x.c.d", FAILED, "No longer approve this?"},
    {"approve x.c.d y.c.d;unapprove x.c.d y.c.d", FAILED, "No longer approve this?"},
    {"approve x.c.d y.c.d;unapprove x.c.d --yes", DONE, "approved  x.c.d:1688  gone", "approved: [y.c.d]"},
    {"unapprove k.c.d --yes", NONE, "k.c.d:1688 is not listed as approved (hosts of pools always are)"},
    {"fill z.z --host kms.c.d --host b.c.d", DONE, "rule  fill-kms  new  z.z    any client, when missing",
     "fill-kms:\n    suffixes: [z.z]\n    pool: kms", "pool kms new: b.c.d:1688 kms.c.d:1688; rule fill-kms"},
    {"fill z.z --host kms.c.d;fill z.z y.y --host kms.c.d", DONE,
     "pool  kms       same  kms.c.d:1688\nrule  fill-kms  more  y.y    any client", "suffixes: [y.y, z.z]"},
    {"fill z.z --host kms.c.d;fill y.y --host kms.c.d:99", BAD, "pool kms is there with other hosts: policy pool set changes it"},
    {"network set n 10.0.0.0/8;fill z.z --pool p --network n", DONE, "rule  fill-p-n  new  z.z    clients in n, when missing", "fill-p-n:"},
    {"network set n 10.0.0.0/8;network set m 10.0.0.0/9;fill z.z --pool p --network n;rule set fill-p-n --network m;fill y.y --pool p --network n",
     BAD, "rule fill-p-n is there with another action, another pool or"},
    {"fill z.z --pool p --network n", NONE, "there is no network n"},
    {"fill z.z --pool p --network " R8 R8 R8 R8 R8 R8 R8 "r", BAD, "the rule's name would be too long"},
    {"check" ROUTES("."), DONE, "no findings"},
    {"fill z.z --pool p" ROUTES("."), DONE, "no route for z.z; whether its record is missing is judged by the default", "suffixes: [z.z]"},
    {"fill a.z.z y.y --pool p" ROUTES("z.z"), DONE, "no route for y.y; whether its", "suffixes: [y.y, a.z.z]"},
    {"fill z.z --pool q", NONE, "!no route"},
    {"network set n 10.0.0.0/8;fill * --pool p --network n", DONE, "!no route", "fill-p-n:"},
    {"fill z.z", USAGE, "needs --pool POOL or --host"},
    {"fill z.z --pool p --host k.c.d", USAGE, "and not both"},
    {"rule set fill-p --pool p --action replace;fill z.z --pool p", BAD, "rule fill-p is there with another action, another pool or"},
    {"rule set fill-p --action deny;fill z.z --pool p", BAD, "rule fill-p is there with another action, another pool or"},
    {"network set n 10.0.0.0/8;rule set fill-p --network n --pool p;fill z.z --pool p", BAD, "rule fill-p is there with another action, another pool or"},
    {"rule set fill-p --pool p --mode shadow;fill z.z --pool p", DONE, "the rule's mode is not live", "suffixes: [z.z]"},
    {"fill z.z --host kms.c.d;import FILE --merge --format zone", DONE, "rule  fill-kms  changed  +1 -0 suffixes\n",
     "suffixes: [y.y, z.z]", .text = "_vlmcs._tcp.y.y. SRV 0 0 1688 kms.c.d.\n"},
    {"import FILE --replace --yes --format zone", DONE, "2 other lines or records are left", "[y.y]",
     .text = "y. TXT a\n A 192.0.2.1\n_vlmcs._tcp.y.y. SRV 0 0 1688 kms.c.d.\n"},
    {"import FILE --merge", DONE, "1 tests are not imported: policy test FILE", .text = ASKS("expect: filled")},
    {"import FILE --merge", DONE, "FILE is read as csv (--format says otherwise)\n", "fill-p:", .text = "suffix,pool\nz.z,p\n"},
    {"import FILE --merge", BAD, "FILE is read as yaml (--format says otherwise)\n", .text = "z.z\ny.y\n"},
    {"import FILE --merge", BAD, "!is read as", .text = HEAD "pools: p\n"},
    {"import FILE --merge", BAD, "FILE:2: rule fill-q: there is no pool q", .text = "suffix,pool\nz.z,q\n"},
    {"import FILE --merge", BAD, "FILE:2: rule fill-p-n: there is no network n", .text = "suffix,pool,network\nz.z,p,n\n"},
    {"import FILE --merge", BAD, "FILE:2: suffixes: \"_vlmcs._tcp.z.z\" is a whole name", .text = "suffix,pool\n_vlmcs._tcp.z.z,p\n"},
    {"import FILE --replace --yes", BAD, "FILE:2: rule fill-p: there is no pool p", .text = "suffix,pool\nz.z,p\n"},
    {"import FILE --merge --pool p", DONE, "FILE is read as csv", "suffixes: [z.z]", .text = "suffix\nz.z\n"},
    {"import FILE --merge --pool p", DONE, "FILE is read as publish-list", "suffixes: [y.y, z.z]", .text = "z.z, 10, 0\ny.y\n"},
    {"import FILE --merge --pool p", DONE, "warning: priority and weight of 1 domains are left: the hosts of pool p", "[z.z]", .text = "z.z, 10, 0\n"},
    {"import FILE --merge --format publish-list", USAGE, "publish-list names no hosts: give --pool POOL", .text = "z.z\n"},
    {"import FILE --merge --pool p", USAGE, "zone names its hosts: --pool is not for it", .text = "_vlmcs._tcp.y.y. SRV 0 0 1688 kms.c.d.\n"},
    {"import FILE --merge --format powershell", USAGE, "--format powershell is none that can be read (--help lists them)", .text = ""},
    {"import FILE --merge --format cvs", USAGE, "--format cvs is none that can be read (--help lists them)", .text = ""},
    {"import FILE --merge", DONE, "!are left", "[z.z]", .text = "_vlmcs._tcp.z.z. SRV 0 0 1688 k.c.d.\n"},
    {"import FILE --merge", DONE, "!are not shown", "[z.z]", .text = "srv-host=_vlmcs._tcp.z.z,k.c.d\n"},
    {"import FILE --merge", DONE, "warning: FILE:1: no port is given", "fill-kms:", .text = "srv-host=_vlmcs._tcp.z.z,kms.c.d\n"},
    {"import FILE --merge", DONE, "3 other lines or records are left\n", "fill-kms:", .text = "server:\n a: b\n c: d\nlocal-data: '_vlmcs._tcp.z.z SRV 0 0 1688 kms.c.d'\n"},
    {"import FILE --merge", DONE, "warning: FILE has no suffix and host of KMS in it", .text = "$TTL 60\nx. A 192.0.2.1\n"},
    {"import FILE --replace --yes;export --format csv", DONE,
     "suffix,pool,host,network,rule,comment\r\n.,p,\"k.c.d:1688 l.c.d:1,priority=10\",,a,\"'=a \"\"b\"\"\"\r\n*.x.y,p,\"k.c.d:1688 l.c.d:1,priority=10\",,a,\"'=a \"\"b\"\"\"\r\n"
     "z,p,\"k.c.d:1688 l.c.d:1,priority=10\",m n,b,\r\n",
     .text = HEAD "networks: {m: [10.1.0.0/16], n: [10.0.0.0/8]}\npools: {p: [k.c.d, {target: l.c.d, priority: 10, port: 1}]}\nrules: {"
                  "a: {suffixes: [., \"*.x.y\"], pool: p, comment: \"=a \\\"b\\\"\"}, b: {suffixes: [z], pool: p, networks: [n, m]}, "
                  "c: {suffixes: [z], action: deny}, d: {suffixes: [z], pool: p, ttl: 1h}, e: {suffixes: [z], pool: p, when: [missing, failed]}}\n"},
    {"import FILE --replace --yes;export --format csv", DONE, "warning: rule c is left out: a table has no column for its ttl\n",
     .text = HEAD "pools: {p: [k.c.d]}\nrules: {c: {suffixes: [z], pool: p, ttl: 1h}}\n"},
    {"import FILE --replace --yes;export --format csv", DONE, "!z,p",
     .text = HEAD "pools: {p: [k.c.d]}\nrules: {c: {suffixes: [z], pool: p, ttl: 1h}}\n"},
    {"import FILE --replace --yes;export --format csv", DONE, "warning: rule c is left out: a table has no column for its when\n",
     .text = HEAD "pools: {p: [k.c.d]}\nrules: {c: {suffixes: [z], pool: p, when: [missing, failed]}}\n"},
    {"import FILE --replace --yes;export --format csv", DONE, "warning: rule c is left out: a table has no column for its action\n",
     .text = HEAD "rules: {c: {suffixes: [z], action: deny}}\n"},
    {"import FILE --replace --yes;export --format powershell", DONE,
     "Add-DnsServerResourceRecord -ZoneName 'z.y' -Name '_vlmcs._tcp' -Srv -DomainName 'k.c.d' -Priority 0 -Weight 0 -Port 1688 -TimeToLive 0.00:05:00\n"
     "Add-DnsServerResourceRecord -ZoneName 'z.y' -Name '_vlmcs._tcp' -Srv -DomainName 'l.c.d' -Priority 10 -Weight 2 -Port 1 -TimeToLive 0.00:05:00\n"
     "# \\195\\164.y of rule a: a zone has no such line\n# rule b is left out: its action delivers no pool\n"
     "Add-DnsServerResourceRecord -ZoneName 'x' -Name '_vlmcs._tcp' -Srv -DomainName 'k.c.d' -Priority 0 -Weight 0 -Port 1688 -TimeToLive 0.01:01:01\n",
     .text = HEAD "pools: {p: [k.c.d, {target: l.c.d, priority: 10, weight: 2, port: 1}], q: [k.c.d]}\nrules: {"
                  "a: {suffixes: [., \"*.x.y\", z.y, \xc3\xa4.y], pool: p}, b: {suffixes: [z], action: deny}, c: {suffixes: [x], pool: q, ttl: 3661s}}\n"},
    {"export --format dnsmasq", USAGE, "--format dnsmasq is none that can be written (--help lists them)"},
    {"export --csv", USAGE, "policy export writes --format yaml, csv, zone or powershell"},
    {"pool set q l.c.d;import FILE --merge", BAD, "FILE:2: rule one is there with another action, another pool or other networks\n", .text = "suffix,pool,rule\nz.z,q,one\n"},
    {"network set n 10.0.0.0/8;import FILE --merge", BAD, "FILE:2: rule one is there with another action, another pool or other networks\n", .text = "suffix,pool,rule,network\nz.z,p,one,n\n"},
    {"network set n 10.0.0.0/8;network set m 10.1.0.0/16;rule set one --network n;import FILE --merge", BAD, "FILE:2: rule one is there with another", .text = "suffix,pool,rule,network\nz.z,p,one,m\n"},
    {"network set n 10.0.0.0/8;rule set one --network n --ttl 1h;import FILE --merge", DONE, "rule  one  changed  +1 -0 suffixes", "networks: [n]\n    pool: p\n    ttl: 1h\n", .text = "suffix,pool,rule,network\nz.z,p,one,n\n"},
    {"pool set p k.c.d --allow-public --choice pin --pin-clients 9;import FILE --merge", DONE, "pool  p       changed  p.c.d:1688", "  p:\n    hosts:\n      - p.c.d\n    allow-public: yes\n    choice: pin\n    pin-clients: 9\n",
     .text = "suffix,pool,host\nz.z,p,p.c.d\n"},
    /* A name that nobody has chosen sends nobody else to another host. */
    {"import FILE --merge", BAD, "FILE: pool p is there with other hosts: policy pool set changes it", .text = "srv-host=_vlmcs._tcp.z.z,p.c.d,1688\n"},
    {"import FILE --merge", BAD, "FILE: pool p is there with other hosts", .text = "suffix,host\nz.z,p.c.d k.c.d\n"},
    {"pool set p p.c.d;import FILE --merge", DONE, "rule  fill-p  new", "fill-p:", .text = "srv-host=_vlmcs._tcp.z.z,p.c.d,1688\n"},
    {"import FILE --merge", DONE, "pool  p  changed  l.c.d:1688", "p:\n    - l.c.d", .text = HEAD "pools: {p: [l.c.d]}\n"},
    {"import FILE --replace --yes", DONE, "pool  p       changed  p.c.d:1688", "p:\n    - p.c.d", .text = "srv-host=_vlmcs._tcp.z.z,p.c.d,1688\n"},
    {"import FILE --replace --yes;export --format zone", DONE,
     "_vlmcs._tcp. 300 IN SRV 0 0 1688 k.c.d.\n_vlmcs._tcp. 300 IN SRV 10 0 1 l.c.d.\n"
     "; *.x.y of rule a: a zone has no such line\n"
     "_vlmcs._tcp.z.y. 300 IN SRV 0 0 1688 k.c.d.\n_vlmcs._tcp.z.y. 300 IN SRV 10 0 1 l.c.d.\n"
     "; rule b is left out: it is for some networks only\n"
     "; rule c is left out: its action delivers no pool\n"
     "; rule d is left out: its mode is not live\n; z.y of rule e: a rule before it has it\n",
     .text = HEAD "networks: {n: [10.0.0.0/8]}\npools: {p: [k.c.d, {target: l.c.d, priority: 10, port: 1}]}\nrules: {"
                  "a: {suffixes: [\"*.x.y\", ., z.y], pool: p}, b: {suffixes: [q.y], networks: [n], pool: p}, "
                  "c: {suffixes: [r.y], action: deny}, d: {suffixes: [s.y], pool: p, mode: off}, e: {suffixes: [z.y], action: replace, pool: p}}\n"},
    {"edit --yes", DONE, "rule  two  changed  fill from pool p, any client, when missing, ttl 1h",
     "rules:\n  two:\n    suffixes: [g.h]\n    pool: p\n    ttl: 1h", "rule one gone",
     HEAD "pools: {p: [k.c.d]}\nrules: {two: {suffixes: [g.h], pool: p, ttl: 1h}}\n"},
    {"edit", FAILED, "your text is kept in"},
    {"edit --dry-run", DONE, "your text is kept in"},
    {"edit --dry-run", DONE, "!is kept in", .visual = "true"},
    {"edit", FAILED, "the editor was ended by signal 2: nothing is changed", .visual = "sh FILE", .text = "kill -INT $PPID\nkill -INT $$\n"},
    {"edit --dry-run", DONE, "--- policy\n+++ edited\n"},
    {"edit", DONE, "nothing is changed, serial 1", .visual = "true"},
    {"edit --yes", BAD, "pool p: has no host", .text = HEAD "pools: {p: []}\n"},
    {"edit --yes --if-serial 2", MOVED, "the policy is at serial 1, not 2"},
    /* No other editor is tried when the user's own fails, or is not there. */
    {"edit", FAILED, "!is kept", .visual = "false"},
    {"edit", FAILED, "the editor ended with status 1: nothing is changed", .visual = "cp F*"},
    {"edit", FAILED, "the editor ended with status 127: nothing is changed", .visual = " ./none --wait"},
    {"edit", FAILED, "the editor ended with status 127", .visual = "true;"}, /* the shell evaluates nothing */
    {"edit -o server.state-dir=/dev/null", FAILED, "cannot open /dev/null/policy: Not a directory"},
    {"rule add one x.y --if-serial 2", MOVED, "the policy is at serial 1, not 2"},
    {"rule add one x.y --if-serial 0", MOVED, "the policy is at serial 1, not 0"},
    {"rule add one x.y --if-serial one", USAGE, "--if-serial one: a number is needed"},
    {"rule add one x.y", DONE, "serial 2, author ", "x.y"},
    {"rule add one 1.y 2.y 3.y 4.y 5.y 6.y 7.y 8.y 9.y", DONE, "more  1.y 2.y 3.y 4.y 5.y 6.y 7.y 8.y and 1 more    fill", "9.y"},
    {"rule add one x.y --author anna", DONE, " (for anna), ", "x.y", "anna"},
    {"rule add one x.y --author " R64, USAGE, "--author has more than 63 bytes"},
    {"rule add one x.y --reason " R256, USAGE, "--reason has more than 255 bytes"},
    {"rule add one x.y -o policy.require-reason=yes", USAGE, "--reason is needed"},
    {"check", DONE, "no findings"},
    {"check" ROUTES("c.d"), FOUND, "rule one  no route for a.b e.f; whether their records are missing is"},
    {"rule set one --action deny;rule set two --mode off;check" ROUTES("z.z"), FOUND, "!no route"},
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], pool: p", "")},
    {"check FILE", FOUND, A("never acts: its mode is off"), .text = RULES("[x.x], pool: p, mode: off", "")},
    {"check FILE", FOUND, A("never acts: it expired at 2020-01-01T00:00:00Z"), .text = RULES("[x.x], pool: p, until: 2020-01-01T00:00:00Z", "")},
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], pool: p" FROM, "")}, /* not yet valid is fine */
    {"check FILE", FOUND, A("never acts: it has no suffix"), .text = RULES("[], pool: p", "")},
    {"check FILE", FOUND, A("action fill for every suffix of every client: a catch-all"),
     .text = RULES("[\"*\"], networks: [any], pool: p", "")},
    {"check FILE", DONE, "no findings", .text = RULES("[\"*\"], networks: [n], pool: p", "")}, /* all of a network */
    {"check FILE", FOUND, A("suffix _msdcs.x begins with an underscore; no domain of a client does"), .text = RULES("[_msdcs.x], pool: p", "")},
    {"check FILE", FOUND, "rule a   suffix x has one label: is one missing? Without a route", .text = RULES("[x], pool: p", "")},
    {"check FILE", DONE, "no findings", .text = RULES("[\"*.x\"], networks: [n], pool: p", "")},
    {"check FILE", BAD, "suffixes: \"vlmcs._tcp.a.b\" ", .text = RULES("[vlmcs._tcp.a.b], pool: p", "")},
    {"check FILE", BAD, "suffixes: \"_vmlcs._tcp.a.b\" ", .text = RULES("[_vmlcs._tcp.a.b], pool: p", "")},
    {"check FILE", BAD, "suffixes: \"_vlmcs._tcp.a.b\" is a whole name", .text = RULES("[_vlmcs._tcp.a.b], pool: p", "")},
    {"check FILE", BAD, "\"10.0.0.5\" ", .text = HEAD "pools: {p: [10.0.0.5]}\n"},
    {"check FILE", BAD, "\"k.c.d:0\" ", .text = HEAD "pools: {p: [\"k.c.d:0\"]}\n"},
    {"check", DONE, "waymarkd does not answer: whether the hosts resolve and are up is not known"},
    {"check FILE", DONE, "!not known", .text = HEAD},
    {"check FILE", FOUND, A("suffix 10.0.0.1 looks like an address"), .text = RULES("[10.0.0.1], pool: p", "")},
    {"check FILE", FOUND, B(TIE), .text = RULES("[x.x], pool: p", AND("[x.x], pool: q"))},
    {"check FILE", FOUND, B("comes behind rule a for x.x and 1 more suffixes, by their names alone"), .text = RULES("[x.x, y.x], pool: p", AND("[x.x, y.x, z.x], pool: q"))},
    {"check FILE", FOUND, B(TIE), .text = RULES("[x.x], pool: p", AND("[x.x], pool: q, when: [missing, failed]"))}, /* front takes less */
    {"check FILE", FOUND, B(TIE), .text = RULES("[x.x], pool: p" FROM, AND("[x.x], pool: q"))}, /* front begins later */
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], pool: p", AND("[x.x], action: filter"))}, /* other verdicts */
    {"check FILE", FOUND, B(TIE), .text = RULES("[x.x], action: deny", AND("[x.x], pool: p"))}, /* deny takes all */
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], pool: p", AND("[x.x], pool: q, mode: shadow"))}, /* a shadow rule is a trial */
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], networks: [n], pool: p", AND("[x.x], networks: [m], pool: q"))}, /* other networks */
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], networks: [n], pool: p", AND("[x.x], pool: q"))}, /* network and everybody */
    {"check FILE", FOUND, B(TIE),
     .text = RULES("[x.x], networks: [n], pool: p", AND("[x.x], networks: [n, m], pool: q"))}, /* one network in common */
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], pool: p" UNTIL, AND("[x.x], pool: q" FROM))}, /* one after the other */
    {"check FILE", DONE, "no findings", .text = RULES("[x.x], pool: p" FROM, AND("[x.x], pool: q" UNTIL))}, /* one before the other */
    {"check FILE", FOUND, B(TIE), .text = RULES("[x.x], pool: p" UNTIL, AND("[x.x], pool: q"))}, /* front ends before */
    {"check FILE", FOUND, B(TIE),
     .text = RULES("[x.x], pool: p" UNTIL, AND("[x.x], pool: q" UNTIL))}, /* both end together */
    {"check FILE", FOUND, B("has *.x.y, while rule a decides otherwise for x.y itself"),
     .text = RULES("[x.y], pool: p", AND("[\"*.x.y\"], pool: q"))},
    {"check FILE", DONE, "no findings", .text = RULES("[x.y], pool: p", AND("[\"*.z.y\"], pool: q"))}, /* x beside *.z */
    {"check FILE", DONE, "no findings",
     .text = RULES("[x.y], networks: [n], pool: p", AND("[\"*.x.y\"], networks: [m], pool: q"))}, /* x beside *.x, for others */
    {"check FILE", DONE, "no findings", .text = RULES("[x.y], pool: p", AND("[\"*.x.y\"], pool: q, mode: shadow"))}, /* x beside *.x, on trial */
    {"check FILE", DONE, "no findings", .text = RULES("[x.y], pool: p", AND("[\"*.x.y\"], pool: p"))}, /* x beside *.x, the same said */
    {"check FILE", FOUND, "network m  no rule uses it\n"
     "network n  has prefix 10.0.0.0/8 as network m has: neither is nearer to its clients\n"
     "pool p     no rule delivers it; its hosts count as approved\n",
     .text = HEAD "networks: {n: [10.0.0.0/8, 0.0.0.0/0], m: [10.0.0.0/8]}\npools: {p: [k.c.d]}\n"
                  "rules: {r: {suffixes: [x.x], networks: [n], action: deny}}\n"},
    {"check FILE", FOUND, "more pairs of rules meet than are listed here", /* 21 rules with one suffix are 210 */
     .text = HEAD "pools: {p: [k.c.d]}\nrules: {" X5("a") X5("b") X5("c") X5("d") " x: {suffixes: [x.x], pool: p}}\n"},
    {"check -o kms.mode=off", FOUND, "kms.mode  is off: no rule can act"},
    {"check -o kms.mode=shadow", FOUND, "kms.mode  is shadow"},
    {"rule set one --mode shadow;rule set two --mode shadow;check -o kms.mode=off", DONE, "no findings"},
    {"test FILE", DONE, "2 tests passed",
     .text = ASKS("expect: filled, host: k.c.d},\n {suffix: a.b, client: 10.0.0.1, verdict: present, real-host: x.y.z, "
                  "host: x.y.z, expect: passed")},
    {"test FILE", FOUND, "filled  one   FAILED: other outcome", .text = ASKS("expect: denied")},
    {"test FILE", FOUND, "FAILED: host not given", .text = ASKS("host: x.c.d")},
    {"rule set one --action replace;test FILE", FOUND, "FAILED: host not given",
     .text = ASKS("verdict: present, real-host: x.y.z, host: x.y.z")},
    {"rule set one --action filter;test FILE", FOUND, "FAILED: host not given",
     .text = ASKS("verdict: unapproved, real-host: x.y.z, host: x.y.z")},
    {"rule set one --action filter;test FILE", DONE, "1 tests passed", .text = ASKS("verdict: unapproved, expect: filtered")},
    {"rule set one --action filter;test FILE", DONE, "1 tests passed", .text = ASKS("verdict: present, expect: passed")},
    {"test FILE --policy FILE", FOUND, "missing", .text = ASKS("expect: filled")},
    {"test FILE", BAD, "has no section tests:"},
    {"show networks", DONE, "NETWORK"},
    {"pool set two k.c.d:1689;log --rule two", DONE, "!pool two"},
    {"rule set two --comment x;log --rule two", DONE, "rule two"},
    {"show rules six", NONE, "there is no rule six\n"},
    {"show rules tow", NONE, "there is no rule tow; did you mean two?"},
    {"show suffixes tow", NONE, "there is no rule tow; did you mean two?"},
    {"pool set primary k.c.d;rule set one --pool primray", NONE, "rule one: there is no pool primray; did you mean primary?"},
    {"pool set primary k.c.d;fill z.z --pool primry", NONE, "there is no pool primry; did you mean primary?"},
    {"network set branch 10.0.0.0/8;rule set one --network barnch", NONE, "there is no network barnch; did you mean branch?"},
    {"rule set tow --ttl 1h", BAD, "there is no rule tow; did you mean two?\nrule tow: fill needs a pool"},
    {"rule set other --ttl 1h", BAD, "!did you mean"},
    {"rule set tow --pool p --suffix z.z", DONE, "!did you mean", "tow:\n    suffixes: [z.z]"},
    {"rule add tow z.z", NONE, "there is no rule tow; did you mean two? (policy rule set tow ... makes one)"},
    {"rule drop tow --yes", NONE, "there is no rule tow; did you mean two?"},
    {"show rules one", DONE, "rule      one\ndoes      fills from pool p: k.c.d:1688\n"
     "when      the real DNS says: missing\nclients   in any network, or none\nmode      live\nvalid     at any time\n"
     "TTL       5 m 0 s\nDNSSEC    never acts on signed answers for validators\n"
     "suffixes  a.b\n          c.d\n          e.f\n"},
    {"network set n 10.0.0.0/8;rule set two --network n --when missing,failed --mode shadow --comment CHG --until 2100-01-01T00:00:00Z "
     "--break-dnssec yes;show rules two", DONE, "rule      two: CHG\n"},
    {"network set n 10.0.0.0/8;rule set two --network n --when missing,failed --mode shadow --comment CHG --until 2100-01-01T00:00:00Z "
     "--break-dnssec yes;show rules two", DONE, "when      the real DNS says: missing failed\nclients   in n\n"
     "mode      shadow: it is recorded only\nvalid     until 2100-01-01 "},
    {"rule set one --action deny;show rules one", DONE, "does      denies that there is a host\nwhen      whatever the real DNS says\n"},
    {"show rules one --limit 2", DONE, "          c.d\n"},
    {"show rules one --limit 2", DONE, "1 more; --limit shows more of them"},
    {"show rules one --json", DONE, "\"suffix_names\": [\n        \"a.b\","},
    {"rule set none --pool p;show rules none", DONE, "suffixes  none: it never acts\n"},
    {"rule set n --pool p;show suffixes n", DONE, "SUFFIX  RULE"},
    {"show suffixes --limit 1", DONE, "3 more; --limit shows more of them"},
    {"show suffixes two --limit 0", DONE, "1 more; --limit shows more of them"},
    {"show approved K.C.D", DONE, "k.c.d  1688  pool p"},
    {"show pool", USAGE, "usage: waymarkctl policy show [rules"},
    {"show rules --json", DONE, "\"when\": [\n        \"missing\"\n      ],\n      \"pool\": \"p\""},
    {"show pools --json", DONE, "\"k.c.d:1688\"\n      ],\n      \"allow_public\": false,\n      \"choice\": \"all\",\n      \"pin_clients\": null\n    }\n  ]\n}\n"},
    {"undo", FAILED, "Make the policy what it was at serial 0, which is empty?"},
    {"undo --yes", DONE, "rule  one  gone\nrule  two  gone\npool  p    gone\nserial 2, ", HEAD, "back to serial 0; rule one gone"},
    {"rule drop one --yes;undo", FAILED, "waymarkctl: Make the policy what it was at serial 1?"},
    {"rule drop one --yes;undo --yes", DONE, "rule  one  new   fill from pool p, any client, when missing\nrule  one  more  a.b c.d e.f\nserial 3, ", "one:\n    suffixes: [a.b, c.d, e.f]", "back to serial 1; rule one new"},
    {"rule drop one --yes;undo --yes;undo --yes", DONE, "rule  one  gone", "rules:\n  two:", "back to serial 2; rule one less: a.b c.d e.f; rule one gone"},
    {"rule drop one --yes;undo --dry-run", DONE, "dry run: nothing is changed, serial 2"},
    {"undo --yes --if-serial 2", MOVED, "the policy is at serial 1, not 2"},
    {"undo --dry-run", NONE, "the policy was never changed", .fresh = true},
    {"rule drop one --yes;rule add two x.y;pool set q l.c.d;restore 1 --yes --reason wrong", DONE,
     "pool  q    gone\nrule  two  less  x.y\nrule  one  new   fill from pool p, any client, when missing\n"
     "rule  one  more  a.b c.d e.f\nserial 5",
     "  p:\n    - k.c.d\nrules:\n  one:\n    suffixes: [a.b, c.d, e.f]\n    pool: p\n  two:\n    suffixes: [g.h]", "wrong"},
    {"restore 1", DONE, "nothing to change: the policy is like this already, serial 1"},
    {"restore 2 --yes", NONE, "there is no policy of serial 2: the oldest that is kept is that of serial 0 ("},
    {"restore one --yes", USAGE, "one: a serial is needed; policy log lists them"},
    {"rule add one x.y;rule drop one a.b --yes;rule drop two --yes;pool add p l.c.d;diff 1", DONE,
     "pool  p    changed  k.c.d:1688 l.c.d:1688\n"
     "rule  one  changed  +1 -1 suffixes    fill from pool p, any client, when missing  came: x.y  went: a.b\nrule  two  gone\n"},
    {"rule add one x.y;diff 2 1", DONE, "rule  one  changed  +0 -1 suffixes    fill from pool p, any client, when missing  went: x.y\n"},
    {"rule add one 1.y 2.y 3.y 4.y 5.y 6.y 7.y 8.y 9.y;diff 1", DONE, "+9 -0 suffixes    fill from pool p, any client, when missing\n"},
    {"rule add one x.y;diff 1 --json", DONE, "\"added\": [\n        \"x.y\"\n      ],\n      \"removed\": []\n"},
    {"rule add one x.y;diff 1 FILE", DONE, "no difference", .text = STORED},
    {"diff FILE", DONE, "no difference", .text = STORED},
    {"diff FILE 1", DONE, "pool  p    new  k.c.d:1688\nrule  one  new  a.b c.d e.f"},
    {"diff FILE 1", DONE, "!restored"},
    {"diff 2", NONE, "there is no policy of serial 2: "},
    {"diff 1 none", NONE, "cannot read none"},
    {"diff 1 FILE", BAD, "there is no pool p", .text = ONE("z.z")},
    {"rule drop one --yes;show suffixes --at 1 --csv", DONE, "c.d,one\r\ne.f,one\r\ng.h,two\r\n"},
    {"rule drop one --yes;show --at 1", DONE, "serial    1\n"},
    {"rule drop one --yes;export --at 1", DONE, "one:\n    suffixes: [a.b, c.d, e.f]"},
    {"show rules --at 2", NONE, "there is no policy of serial 2: the oldest that is kept is that of serial 0 ("},
    {"show rules --at one", USAGE, "one: a serial is needed; policy log lists them"},
    {"export --at FILE", USAGE, "FILE: a serial is needed"},
    {"show approved z.z", NONE, "there is no approved host z.z\n"},
    {"show --at one", USAGE, "one: a serial is needed; policy log lists them"},
    {"import FILE --dry-run", DONE, "dry run: nothing is changed, serial 0", .text = STORED, .fresh = true},
    {"fill corp.example --host kms01.contoso.com --dry-run", DONE, "new", .fresh = true},
    {"pool set p k.c.d --dry-run", DONE, "new", .fresh = true},
    {"export", FAILED, "there is no policy yet in ", .fresh = true},
    {"test FILE --policy FILE", DONE, "1 tests passed", .fresh = true,
     .text = STORED "tests: [{suffix: a.b, client: 10.0.0.1, expect: filled}]\n"},
};
/* clang-format on */

static char dir[SCRATCH];

/* Runs "waymarkctl policy LINE". Exit code; texts in out. */
static int tool(const char *line)
{
    return capture_line(real, "-o server.state-dir=%s/state -o server.user= -c /dev/null policy %s",
                        dir, line);
}

static void check_line(void **state)
{
    const struct row *row = *state;
    char lines[1024], *line, *save, *before;
    glob_t left = {.gl_pathc = 0};
    int exported = row->fresh ? FAILED : DONE;
    size_t kept;

    scratch_make(dir);
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(mkdir("tmp", 0700), 0);
    setenv("TMPDIR", strcat(strcpy(lines, dir), "/tmp"), 1);
    signal(SIGINT, SIG_DFL);        /* as a terminal has it; `make check &` of a script does not */
    setenv("EDITOR", "cp FILE", 1); /* over the text that is edited */
    setenv("VISUAL", row->visual != NULL ? row->visual : "", 1);
    scratch_write("FILE", STORED);
    if (!row->fresh)
        assert_int_equal(tool("import FILE"), DONE);
    scratch_write("FILE", row->text != NULL ? row->text : HEAD);
    snprintf(lines, sizeof lines, "%s", row->line);
    line = strtok_r(lines, ";", &save);
    for (char *next; (next = strtok_r(NULL, ";", &save)) != NULL; line = next)
        assert_int_equal(tool(line), DONE);
    assert_int_equal(tool("export"), exported);
    before = strdup(out.text[0]);
    assert_int_equal(tool(line), row->code);
    if (!capture_said(row->says))
        fail_msg("no \"%s\" in: %s%s", row->says, out.text[0], out.text[1]);
    /* What was edited stays when it is said, and then alone; no store stays. */
    kept = capture_said("is kept in");
    (void)glob("tmp/*", 0, NULL, &left);
    assert_int_equal(left.gl_pathc, kept);
    globfree(&left);
    assert_int_equal(access("state/policy", F_OK), row->fresh ? -1 : 0);
    assert_int_equal(tool("export"), exported);
    if (row->then != NULL)
        assert_has(out.text[0], row->then);
    else
        assert_string_equal(out.text[0], before);
    if (row->log != NULL) {
        assert_int_equal(tool("log"), DONE);
        assert_has(out.text[0], row->log);
    }
    free(before);
    scratch_remove(dir);
}

/* Nobody can be asked. */
static bool changes_meanwhile; /* somebody else, while it is asked */

/* In place of that of libc, which reads the answer. */
int rpmatch(const char *answer)
{
    pid_t pid = changes_meanwhile ? fork() : -1;

    if (pid == 0)
        _exit(tool("rule add two x.y"));
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return answer[0] == 'y';
}

/* What was shown is done, or nothing. */
static void a_question_is_about_one_serial(void **state)
{
    int saved = dup(STDIN_FILENO), ends[2];

    scratch_make(dir);
    assert_int_equal(chdir(dir), 0);
    scratch_write("FILE", STORED);
    assert_int_equal(tool("import FILE"), DONE);
    assert_int_equal(openpty(&ends[1], &ends[0], NULL, NULL, NULL), 0);
    dup2(ends[0], STDIN_FILENO);
    for (int i = 0; i < 2; i++) {
        changes_meanwhile = i == 0;
        assert_int_equal(write(ends[1], "y\n", 2), 2);
        assert_int_equal(tool("rule drop one"), i == 0 ? MOVED : DONE);
        assert_true(
            capture_said(i == 0 ? "the policy is at serial 2, not 1" : "serial 3, author "));
    }
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    scratch_remove(dir);
}

/* Ctrl-C at a question: what was typed stays, and is named. */
static void an_interrupted_question_is_a_no(void **state)
{
    char said[4096] = "", at[SCRATCH + 32];
    char *argv[] = {
        "waymarkctl", "-o", at, "-o", "server.user=", "-c", "/dev/null", "policy", "edit", NULL};
    struct pollfd one = {.events = POLLIN};
    int status = 0;
    pid_t pid;

    scratch_make(dir);
    assert_int_equal(chdir(dir), 0);
    scratch_write("FILE", STORED);
    assert_int_equal(tool("import FILE"), DONE);
    setenv("TMPDIR", dir, 1);
    setenv("VISUAL", "cp FILE", 1);
    snprintf(at, sizeof at, "server.state-dir=%s/state", dir);
    scratch_write("FILE", HEAD);
    pid = forkpty(&one.fd, NULL, NULL, NULL);
    if (pid == 0)
        _exit(cli_main(real, 9, argv));
    assert_true(pid > 0);
    for (size_t n = 0; n < sizeof said - 1;) {
        bool waits = poll(&one, 1, 100) == 0;
        ssize_t got = waits ? 0 : read(one.fd, said + n, sizeof said - 1 - n);

        if (!waits && got <= 0)
            break;
        said[n += (size_t)got] = '\0';
        if (waits && strstr(said, "Apply this? [y/N] ") != NULL) /* perhaps once more */
            assert_int_equal(write(one.fd, "\003", 1), 1);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FAILED);
    assert_has(said, "nothing is changed");
    assert_has(said, "your text is kept in");
    close(one.fd);
    scratch_remove(dir);
}

TESTS("policy", dup2(open("/dev/null", O_RDONLY), 0), ROWS(rows, check_line),
      TEST(a_question_is_about_one_serial), TEST(an_interrupted_question_is_a_no))
