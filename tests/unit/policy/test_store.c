/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_store.c -- changes of the policy as their users see them: what they do,
 * what is refused, what is read back, the log. Who gets what of a host's
 * addresses is in resolver/test_kms.c.
 */
#include "script.h"

#define LONG "a-name-that-is-as-long-as-a-name-may-be-0123456789-0123456789-0"
#define ONES8 "\\001\\001\\001\\001\\001\\001\\001\\001"
#define ONES40 ONES8 ONES8 ONES8 ONES8 ONES8
#define ONES63 ONES40 ONES8 ONES8 "\\001\\001\\001\\001\\001\\001\\001"
#define HOST "kms.example"
#define NAMED(n) "rule a-name-that-takes-some-room-in-an-entry-of-the-log-" n " deny x.y;"
#define SOME(n) NAMED(n "1") NAMED(n "2") NAMED(n "3") NAMED(n "4") NAMED(n "5") NAMED(n "6")
#define MORE(n) SOME(n "1") SOME(n "2") SOME(n "3") SOME(n "4") SOME(n "5") SOME(n "6")
#define MANY MORE("1") MORE("2") MORE("3")
#define WITH HOST ",address=10.0.0.5"

static const struct script scripts[] = {
    {"store: a change is seen by the next read", "ask corp.example 10.1.1.1 = missing no-rule -\n"
                                                 "change " BASE "\n"
                                                 "ask corp.example 10.1.1.1 = filled rule r\n"
                                                 "change rule r deny corp.example\n"
                                                 "ask corp.example 10.1.1.1 = denied rule r\n"
                                                 "counts = 2 1 2 2 2 0\n"},
    {"store: what is already so makes no serial",
     "change " BASE "\n"
     "same " BASE "\n"
     "same rule r deny corp.example; rule new pass x.example; -rule new;"
     "rule r fill corp.example pool=a\n"
     "same clear; " BASE "\n"
     "counts = 1 1 2 2 2 0\n"},
    {"store: an aborted change never was", "change " BASE "\n"
                                           "abort clear\n"
                                           "ask corp.example 10.1.1.1 = filled rule r\n"
                                           "counts = 1 1 2 2 2 0\n"},
    {"store: counts and deletions",
     "change " BASE
     "; ok kms.adatum.net; ok kms.adatum.net:1689; rule y fill * pool=b net=lab,any\n"
     "counts = 1 1 2 3 3 2\n"
     "change +suffix r *.hr.corp.example; +suffix r *.hr.corp.example\n"
     "refused EINVAL +suffix nobody *.hr.corp.example\n"
     "refused ENOENT -suffix r other.example\n"
     "counts = 2 1 2 3 4 2\n"
     "ask x.hr.corp.example 10.1.1.1 = filled rule r\n"
     "change -suffix r *.hr.corp.example; -rule y; -ok kms.adatum.net\n"
     "refused ENOENT -rule y\n"
     "refused ENOENT -ok kms.adatum.net\n"
     "counts = 3 1 2 2 2 1\n"
     "ask x.hr.corp.example 10.1.1.1 = denied rule z\n"
     "ask y 10.1.1.1 = missing no-rule -\n"
     "change clear\n"
     "counts = 4 0 0 0 0 0\n"},
    {"store: what is in use stays", "change " BASE "; rule q fill x.example pool=a net=any,lab\n"
                                    "refused EBUSY -pool a\n"
                                    "refused EBUSY -net lab\n"
                                    "change -pool b; rule q deny x.example; -net lab\n"
                                    "refused EBUSY -pool a\n"
                                    "change -rule r; -pool a\n"
                                    "counts = 3 0 0 2 2 0\n"},
    {"store: refused on entry", "change " BASE "\n"
                                "refused ENOENT rule n fill x.example pool=none\n"
                                "refused ENOENT rule n deny x.example net=none\n"
                                "refused EINVAL rule n fill x.example\n"
                                "refused EINVAL rule n deny *\n"
                                "refused EINVAL pool p kms.contoso.com,address=198.51.100.1\n"
                                "refused EINVAL net any 10.0.0.0/8\n"
                                "refused EINVAL +suffix r *\n"
                                "refused EINVAL +suffix r *.local\n"
                                "change +suffix z *.local\n"
                                "counts = 2 1 2 2 3 0\n"
                                "refused EINVAL rule z deny ,\n" /* a wide suffix would stay */
                                "change rule z deny , net=lab\n"
                                "same rule r fill , pool=a\n"},
    {"store: octets 0 and 1 take two octets of key each",
     "change " BASE "; rule " LONG " deny q.example\n"
     "change +suffix r " ONES63 "." ONES63 "." ONES63 "\n"
     "spoils EINVAL +suffix " LONG " " ONES63 "." ONES63 "." ONES63 "." ONES40 "\n"},
    {"store: hosts with addresses are found by the rules that give them",
     "change net lab 10.20.0.0/16; pool a " WITH "; pool b other.example\n"
     "host " HOST " = -\n"
     "change rule r fill x.example pool=a\n"
     "host KMS.example = r a\n"
     "change pool a " HOST "\n"
     "host " HOST " = -\n"
     "change pool a " HOST " z.example,address=10.0.0.1\n"
     "host " HOST " = -\n"
     "change pool a " HOST " " HOST ":1689,address=10.0.0.6\n"
     "host " HOST " = r a\n"
     "change rule r fill x.example pool=b\n"
     "host " HOST " = -\n"
     "change pool b " WITH "\n"
     "host " HOST " = r b\n"
     "change rule q replace y.example pool=a\n" /* by name */
     "host " HOST " = q a\n"
     "change rule z fill y.example pool=b net=lab\n" /* the nearest network */
     "host " HOST " = z b\n"
     "change rule z deny y.example\n"
     "host " HOST " = q a\n"
     "change -rule q\n"
     "host " HOST " = r b\n"
     "change +suffix r more.example\n"
     "host " HOST " = r b\n"
     "change -rule r\n"
     "host " HOST " = -\n"
     "change rule s fill x.example pool=a mode=shadow\n"
     "host " HOST " = -\n"
     "change rule s fill x.example pool=a\n"
     "host " HOST " = s a\n"
     "host example = -\n"
     "host a." HOST " = -\n"
     "host . = -\n"
     "change clear\n"
     "host " HOST " = -\n"},
    {"store: addresses of hosts are known",
     "address 10.0.0.9 = no\n"
     "change pool a k.c.d,address=10.0.0.9,address=fd00::1 l.c.d;"
     "pool b k.c.d,address=10.0.0.9 m.c.d,address=10.0.0.10\n"
     "address 10.0.0.9 = yes\n"
     "address ::ffff:10.0.0.9 = yes\n"
     "address fd00::1 = yes\n"
     "address 10.0.0.10 = yes\n"
     "address 10.0.0.8 = no\n"
     "address fd00:: = no\n"
     "change pool b m.c.d,address=10.0.0.11\n" /* a still has .9 */
     "address 10.0.0.9 = yes\n"
     "address 10.0.0.10 = no\n"
     "address 10.0.0.11 = yes\n"
     "change -pool a\n"
     "address 10.0.0.9 = no\n"
     "address fd00::1 = no\n"
     "change clear\n"
     "address 10.0.0.11 = no\n"},
    {"store: prefixes of networks come and go",
     "change net a 10.0.0.0/8 10.1.0.0/16; net b 10.1.0.0/16; rule r deny x.y net=a\n"
     "change net a 10.1.0.0/16 10.2.0.0/16 2001:db8::/32\n"
     "ask x.y 10.3.0.1 = missing no-rule -\n"
     "ask x.y 10.2.0.1 = denied rule r\n"
     "change -net b\n"
     "ask x.y 10.1.0.1 = denied rule r\n"},
    {"store: all that a rule says",
     "change " BASE "; net six 2001:db8::/32; ok k.d:99; rule w deny a.example\n"
     "change rule w fill a.example pool=a\n"
     "change rule w fill a.example pool=b\n"
     "change rule w fill a.example pool=b when=missing,failed\n"
     "change rule w fill a.example pool=b mode=shadow\n"
     "change rule w fill a.example pool=b ttl=77s\n"
     "change rule w fill a.example pool=b from=5\n"
     "change rule w fill a.example pool=b until=9\n"
     "change rule w fill a.example pool=b comment=words\n"
     "change rule w fill a.example pool=b break-dnssec=yes\n"
     "change rule w fill a.example pool=b net=lab\n"
     "change rule w fill a.example,*.b.example,.,* pool=b net=six,lab,any when=missing,failed "
     "mode=shadow ttl=77s from=5 until=9 comment=words break-dnssec=yes\n"
     "same rule w fill a.example,*.b.example,.,* pool=b net=any,six,lab when=missing,failed "
     "mode=shadow ttl=77s from=5 until=9 comment=words break-dnssec=yes\n"},
    {"store: the log", "change " BASE "\nat 10000\nchange rule r deny n.example\n"
                       "at 10001\nchange rule r deny m.example\nchange rule z deny m.example\n"
                       "log 0 = 4 4 test anna CHG42 one; two\n"
                       "log 10001 = 2 4 test anna CHG42 one; two\n"
                       "log 0 r = 3 3 test anna CHG42 one; two\n"
                       "log 0 nobody = 0 0    \n"
                       "change clear\n"
                       "log 0 nobody = 1 5 test anna CHG42 one; two\n"
                       "change " MANY "\n" /* more than it names */
                       "log 0 nobody = 2 6 test anna CHG42 one; two\n"
                       "at 70001\nchange clear\n" /* older than the history: gone */
                       "log 0 = 5 7 test anna CHG42 one; two\n"},
    {"store: a clock that is wrong for a change takes two entries of the log, not all",
     "change " BASE
     "\nchange rule r deny n.example\nchange rule r deny m.example\nchange rule r deny o.example\n"
     "at 99999999\nchange clear\nlog 0 = 3 5 test anna CHG42 one; two\nat 10000\nchange " BASE
     "\nlog 0 = 4 6 test anna CHG42 one; two\n"
     "past 4 = 4 1 2 2 2 0\npast 2 = ERANGE 3\n"},
    {"history: each serial comes back",
     "change " BASE "; ok k.d:99\n"
     "change net lab 10.0.0.0/8; pool a other.example; -ok k.d:99; ok m.d\n"
     "change rule r deny other.example; +suffix r more.example; -rule z; -pool b\n"
     "change net dmz 192.0.2.0/24; rule new fill * pool=a net=dmz\n"
     "past 0 = 0 0 0 0 0 0\n"
     "past 1 = 1 1 2 2 2 1\n"
     "past 2 = 2 1 2 2 2 1\n"
     "past 3 = 3 1 1 1 2 1\n"
     "past 4 = 4 2 1 2 3 1\n"
     "past 5 = ERANGE 0\n"
     "undo = remove new, remove dmz\n"
     "counts = 5 1 1 1 2 1\n"
     "undo = set dmz, head new, add new\n"
     "counts = 6 2 1 2 3 1\n"
     "change clear\n"
     "past 6 = 6 2 1 2 3 1\n"
     "undo = set lab, set dmz, set a, set m.d, head r, head new, add new, add r\n"
     "ask other.example 10.1.1.1 = denied rule r\n"
     "past 1 = 1 1 2 2 2 1\n"},
    {"history: the first change is taken back",
     "change " BASE "\n"
     "undo = remove z, remove r, remove b, remove a, remove lab\n"
     "counts = 2 0 0 0 0 0\n"
     "undo = set lab, set a, set b, head z, head r, add z, add r\n"
     "counts = 3 1 2 2 2 0\n"},
    {"history: a rule that went and came back",
     "change " BASE "\nchange +suffix r q.example; -suffix r corp.example\nchange -rule r\n"
     "change rule r fill a.example,b.example pool=b\nchange -suffix r b.example\n"
     "change +suffix r c.example\nchange -rule r; rule r deny d.example; +suffix r e.example; "
     "-rule r\n"
     "past 6 = 6 1 2 2 3 0\npast 4 = 4 1 2 2 3 0\npast 3 = 3 1 2 1 1 0\npast 2 = 2 1 2 2 2 0\n"
     "past 1 = 1 1 2 2 2 0\nundo = head r, add r, drop r, remove r, head r, add r\n"
     "ask c.example 10.1.1.1 = filled rule r\nundo = drop r, remove r, head r, add r, drop r, "
     "remove r\n"},
    {"history: a suffix may have been too wide for what the rule was",
     "change " BASE "\nchange rule r fill * pool=a net=any\nundo = drop r, head r, add r\n"
     "undo = drop r, head r, add r\nchange rule r fill corp.example pool=a\n"
     "undo = drop r, head r, add r\n"
     "ask x.y 10.1.1.1 = filled rule r\npast 1 = 1 1 2 2 2 0\npast 2 = 2 1 2 2 2 0\n"},
    {"history: suffixes go back to their rules",
     "change " BASE "\nchange +suffix r x.example; +suffix r y.example; +suffix z x.example\nundo "
     "= drop r, drop z\n"},
    {"history: what is in use, and what uses it, go and come in their order",
     "change " BASE "\nchange -rule r; -rule z; -pool a; pool a k.d; rule r fill x.example pool=a\n"
     "change -rule r; -pool a\nchange -net lab; net lab 10.0.0.0/8\n"
     "past 1 = 1 1 2 2 2 0\npast 2 = 2 1 2 1 1 0\n"},
    {"history: to and fro is not gone once more",
     "change " BASE "\nchange +suffix r x.example\nchange -suffix r x.example\n"
     "change +suffix r x.example\nchange +suffix r y.example\nrestore 2 = drop r\n"
     "restore 1 = drop r\nrestore 5 = add r\nrestore 1 = drop r\nrestore 0 = remove z, remove r, "
     "remove b, remove a, remove lab\npast 8 = 8 1 2 2 4 0\npast 2 = 2 1 2 2 3 0\n"},
    {"history: many values", "change " BASE "\nchange " MANY "\nchange clear\nchange ok k.d\n"
                             "past 2 = 2 1 2 110 110 0\npast 1 = 1 1 2 2 2 0\n"},
    {"history: is as long as it may be, and changes go whole",
     "most 900\nchange " BASE "\n" /* a rule without its suffixes takes 370 octets */
     "change rule r deny a.example\nchange rule r deny b.example ttl=77s\npast 0 = 0 0 0 0 0 0\n"
     "change rule r deny c.example\npast 1 = ERANGE 2\npast 2 = 2 1 2 2 2 0\n"
     "past 1 = ERANGE 2\n"},
    {"history: a change that is more than all may be leaves nothing",
     "change " BASE "\nmost 100\nchange rule r deny b.example\n"
     "past 1 = ERANGE 2\npast 2 = 2 1 2 2 2 0\nchange +suffix r c.example\n"
     "past 2 = 2 1 2 2 2 0\nundo = drop r\n"
     "most 0\nchange +suffix r d.example\nundo = ERANGE 5\n"},
    {"history: as long as it may be, and not an octet more", /* net a: 2 octets, then 19 */
     "most 2\nchange net a 10.0.0.0/8\npast 0 = 0 0 0 0 0 0\n"
     "most 21\nchange net a 10.1.0.0/16\npast 0 = 0 0 0 0 0 0\n"
     "most 39\nchange net a 10.2.0.0/16\npast 0 = ERANGE 1\npast 1 = 1 1 0 0 0 0\n"
     "most 18\nchange net a 10.3.0.0/16\npast 4 = 4 1 0 0 0 0\npast 3 = ERANGE 4\n"},
    {"history: what stays the same takes no room",
     "change " BASE
     "\nmost 100\nchange rule r fill x.example pool=a; rule z deny *.example net=any\n"
     "past 1 = 1 1 2 2 2 0\n"},
    {"history: a long change goes whole",
     "most 56000\nchange " BASE "\nchange " MANY
     "\nchange clear\npast 2 = 2 1 2 110 110 0\npast 1 = ERANGE 2\n"
     "change " MANY "\npast 2 = ERANGE 3\npast 3 = 3 0 0 0 0 0\n"},
    {"history: a value of a change is missing",
     "change " BASE "\nchange " MANY
     "\nchange clear\ndamage K 200 gone\nopen write =\nundo = EBADMSG 0\n"
     "counts = 3 0 0 0 0 0\n"},
    {"history: ends where the log begins",
     "change " BASE "\nat 10000\nchange rule r deny b.example\nat 20000\n"
     "change rule r deny c.example\nat 61001\nchange rule r deny d.example\n"
     "past 2 = 2 1 2 2 2 0\npast 1 = ERANGE 2\n"},
    {"history: a damaged value is found",
     "change " BASE "\nchange rule r deny a.example\nchange rule r deny b.example\n"
     "damage K 6 30\npast 1 = EBADMSG 0\nask b.example 10.1.1.1 = denied rule r\n"},
    {"history: a missing value is found",
     "change " BASE "\nchange rule r deny a.example\nchange rule r deny b.example\n"
     "damage K 5 gone\nopen write =\npast 2 = 2 1 2 2 2 0\n"
     "past 1 = EBADMSG 0\n"},
    {"history: the last value is missing",
     "change " BASE "\nchange rule r deny a.example\ndamage K 7 gone\nopen write =\n"
     "undo = EBADMSG 0\n"},
};

/* --- values that passed their checksum, and that nobody wrote ----------------- */

#define AT(f) (offsetof(struct policy_rule, f) - offsetof(struct policy_rule, from_ms))
enum { RULE_NETWORKS = AT(break_dnssec) + 1, RULE_LEN = RULE_NETWORKS + POLICY_NAME };

/* What becomes of the value of a sound object: n octets are set, and how long it is then. */
static const struct value {
    const char *what;
    enum policy_kind kind;
    size_t at, n;
    uint8_t octet;
    int longer;
    bool is_read;
} values[] = {
    {"value: rule", POLICY_RULE, 0, 0, 0, 0, true},
    {"value: rule of an unknown action", POLICY_RULE, AT(action), 1, ACTIONS},
    {"value: rule of an unknown mode", POLICY_RULE, AT(mode), 1, MODES},
    {"value: rule for an unknown verdict", POLICY_RULE, AT(when), 1, WORD_ALL + 1},
    {"value: rule that half breaks DNSSEC", POLICY_RULE, AT(break_dnssec), 1, 2},
    {"value: rule, something left over", POLICY_RULE, 0, 0, 0, 1},
    {"value: rule, cut short", POLICY_RULE, 0, 0, 0, -1},
    {"value: rule, without networks", POLICY_RULE, 0, 0, 0, -POLICY_NAME, true},
    {"value: rule, its head cut short", POLICY_RULE, 0, 0, 0, -POLICY_NAME - 1},
    {"value: rule, nothing", POLICY_RULE, 0, 0, 0, -RULE_LEN},
    {"value: rule, pool without an end", POLICY_RULE, AT(pool), POLICY_NAME, 'p'},
    {"value: rule, network without a name", POLICY_RULE, RULE_NETWORKS, 1, 0},
    {"value: rule, network without an end", POLICY_RULE, RULE_NETWORKS, POLICY_NAME, 'n'},
    {"value: rule, 65 networks", POLICY_RULE, 0, 0, 0, 64 * POLICY_NAME},
    {"value: rule, comment of 256 octets", POLICY_RULE, AT(comment), 256, 'c'},
    {"value: rule, comment of 255 octets", POLICY_RULE, AT(comment), 255, 'c', 0, true},
    /* 0 public, hosts, choice, clients, 4 target k.d, 9 port, priority, weight, 15 probe, addresses, 17 */
    {"value: pool", POLICY_POOL, 0, 0, 0, 0, true},
    {"value: pool, half public", POLICY_POOL, 0, 1, 2},
    {"value: pool, more hosts than it says", POLICY_POOL, 1, 1, 0},
    {"value: pool, fewer hosts than it says", POLICY_POOL, 1, 1, 2},
    {"value: pool of 65 hosts", POLICY_POOL, 1, 1, 65},
    {"value: pool, nothing", POLICY_POOL, 0, 0, 0, -33},
    {"value: host, a pointer in its name", POLICY_POOL, 4, 1, 0xc0},
    {"value: host, half probed", POLICY_POOL, 15, 1, 2},
    {"value: host of eight addresses", POLICY_POOL, 16, 1, 8, 112, true},
    {"value: host of nine addresses", POLICY_POOL, 16, 1, 9, 128},
    {"value: host of two addresses, and one is there", POLICY_POOL, 16, 1, 2},
    {"value: host of no address, and one is there", POLICY_POOL, 16, 1, 0},
    {"value: pool, how it is given", POLICY_POOL, 2, 1, CHOICE_PIN, 0, true},
    {"value: pool, given in no known way", POLICY_POOL, 2, 1, CHOICES},
    {"value: pool, as many clients as may be", POLICY_POOL, 3, 1, POLICY_PIN_MAX, 0, true},
    {"value: pool, more clients", POLICY_POOL, 3, 1, POLICY_PIN_MAX + 1},
    {"value: pool, something left over", POLICY_POOL, 0, 0, 0, 1},
    {"value: network", POLICY_NETWORK, 0, 0, 0, 0, true},
    {"value: network, length 129", POLICY_NETWORK, 16, 1, 129},
    {"value: network, cut short", POLICY_NETWORK, 0, 0, 0, -1},
    {"value: network without prefixes", POLICY_NETWORK, 0, 0, 0, -17},
    {"value: approved", POLICY_APPROVED, 0, 0, 0, 0, true},
    {"value: approved, something left over", POLICY_APPROVED, 0, 0, 0, 1},
};

static void check_value(void **state)
{
    const struct value *v = *state;
    char any[1][POLICY_NAME] = {"any"};
    struct prefix prefix = {.len = 0};
    struct policy_host host = {.port = 1688, .probe = true, .n_addresses = 1};
    struct policy_pool pool = {.name = "p", .hosts = &host, .n = 1};
    struct policy_network network = {.name = "n", .prefixes = &prefix, .n = 1};
    struct policy_approved approved = {.port = 1688};
    struct policy_rule rule;
    const void *objects[] = {&network, &pool, &approved, &rule};
    uint8_t buffer[RECORD_MAX], copy[RECORD_MAX] = {0};
    union policy_object o = {.rule = {.n_suffixes = 0}};
    struct store_bytes was;
    struct store_key k;
    int rc;

    assert_int_equal(name_parse(&host.target, "k.d"), 0);
    approved.target = host.target;
    policy_rule_init(&rule, "r");
    strcpy(rule.pool, "p");
    rule.networks = any;
    rule.n_networks = 1;
    was = record_write(v->kind, objects[v->kind], buffer);
    memcpy(copy, was.data, was.len);
    memset(copy + v->at, v->octet, v->n);
    key_object(&k, v->kind, objects[v->kind]);
    rc = record_read(
        v->kind, &(struct store_record){{k.data, k.len}, {copy, was.len + (size_t)v->longer}}, &o);
    assert_int_equal(rc, v->is_read ? 0 : -EBADMSG);
    policy_object_fini(v->kind, &o);
}

static void a_name_that_is_none(void **state)
{
    static const uint8_t keys[][65] = {{'r'}, {'r', 'a', 0, 'b'}, {'r', 'a', 'b', 0}};
    static const size_t lens[] = {1, 4, 3};
    uint8_t key[65];
    struct policy_key k;

    for (size_t i = 0; i < ARRAY_LEN(lens); i++)
        assert_int_equal(key_read(&(struct store_bytes){keys[i], lens[i]}, &k), i == 2);
    memset(key, 'r', sizeof key);
    assert_true(key_read(&(struct store_bytes){key, POLICY_NAME}, &k));
    assert_false(key_read(&(struct store_bytes){key, POLICY_NAME + 1}, &k));
}

/* More than one record has: a change takes 200 suffixes away. */
static void many_suffixes_come_back(void **state)
{
    static const char *const after[] = {"change rule r deny x.example",
                                        "past 201 = 201 0 0 1 201 0", "undo = add r",
                                        "counts = 203 0 0 1 201 0"};
    char label[64], line[300];
    struct fixture f;

    fixture_folder(&f);
    fixture_open(&f);
    script_line(&f, strcpy(line, "change rule r deny x.example"));
    snprintf(label, sizeof label, "%063d", 0);
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "change +suffix r %d.%s.%s.%s", i, label, label, label);
        script_line(&f, line);
    }
    for (size_t i = 0; i < ARRAY_LEN(after); i++)
        script_line(&f, strcpy(line, after[i]));
    fixture_remove(&f);
}

/* Suffixes that were kept, of which the first is said to be longer than all of them. */
static void kept_suffixes_that_end_early(void **state)
{
    const struct store_key table = {1, {TABLE_KEPT}};
    char line[400] = "change " BASE;
    const uint8_t value[60] = {0, 60};
    struct store_record r;
    struct store_txn *t;
    struct store_key k;
    struct fixture f;
    size_t len = 0;
    int rc;

    fixture_folder(&f);
    fixture_open(&f);
    script_line(&f, line);
    script_line(&f, strcpy(line, "change -suffix r corp.example"));
    assert_int_equal(store_begin(f.store, true, &t), 0);
    STORE_EACH(rc, t, &table, &r) {
        store_key_copy(&k, &r.key);
        len = r.value.len;
    }
    assert_int_equal(k.data[k.len - 1], TABLE_SUFFIX);
    assert_true(len > 2 && len < sizeof value);
    assert_int_equal(store_put(t, &k, value, len), STORE_REPLACED);
    assert_int_equal(store_commit(t), 0);
    script_line(&f, strcpy(line, "undo = EBADMSG 0"));
    fixture_remove(&f);
}

TESTS("store", TEST(a_name_that_is_none), TEST(many_suffixes_come_back),
      TEST(kept_suffixes_that_end_early), ROWS(scripts, script_run), ROWS(values, check_value))
