/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_settings.c -- settings from files, conf.d and -o: values, problems, printing, comparing,
 * copies; and who may ask.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/settings.h"
#include "tests/unit/scratch.h"

static char folder[SCRATCH];

/* The present folder becomes one of the test's own. */
static int make_folder(void **state)
{
    scratch_make(folder);
    return chdir(folder) == 0 && mkdir("conf.d", 0700) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    scratch_remove(folder);
    return 0;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Reads "TEXT@FILE TEXT...": the first text is that of the file t, those with a name that of
 * another one; "@-o ASSIGNMENT" is an option, "@!COMMAND" one of the shell. What is said of it is
 * left in *problems. */
static struct settings *read_script(const char *script, char **problems)
{
    static struct diags d;
    const char *assign[8] = {NULL};
    char *copy = strdup(script), *rest = NULL, *part = strchr(copy, '@');
    struct settings *s = NULL;
    size_t n = 0, len;
    FILE *f = open_memstream(problems, &len);
    int rc;

    if (part != NULL)
        *part++ = '\0';
    write_file("t", copy);
    for (part = strtok_r(part != NULL ? part : copy + strlen(copy), "@", &rest); part != NULL;
         part = strtok_r(NULL, "@", &rest)) {
        char *text = part + strcspn(part, " ");

        if (part[0] == '!')
            assert_int_equal(system(part + 1), 0);
        else if (strncmp(part, "-o ", 3) == 0)
            assign[n++] = part + 3;
        else if (*text != '\0') {
            *text = '\0';
            write_file(part, text + 1);
        }
    }
    diags_init(&d);
    rc = settings_read(&s, "t", assign, &d);
    assert_int_equal(rc, d.all == 0 ? 0 : -EINVAL);
    diags_print(&d, f);
    fclose(f);
    diags_fini(&d);
    free(copy);
    return s;
}

/* Reads what must be good. */
static struct settings *good(const char *script)
{
    char *problems;
    struct settings *s = read_script(script, &problems);

    assert_string_equal(problems, "");
    free(problems);
    return s;
}

struct wanted {
    const char *key;
    char was[400], is[400];
    bool restart;
    int calls;
};

static void note_change(void *context, const char *key, const char *was, const char *is,
                        bool restart)
{
    struct wanted *w = context;

    w->calls++;
    if (w->key == NULL || strcmp(w->key, key) != 0)
        return;
    snprintf(w->was, sizeof w->was, "%s", was);
    snprintf(w->is, sizeof w->is, "%s", is);
    w->restart = restart;
}

static struct wanted compare(const struct settings *was, const struct settings *is, const char *key)
{
    struct wanted w = {.key = key};
    int n = settings_compare(was, is, note_change, &w);

    assert_int_equal(n, w.calls);
    return w;
}

/* The sample without settings. The caller frees. */
static char *printed(const struct settings *s)
{
    static char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (s != NULL)
        settings_print(s, f);
    else
        settings_print_sample(f);
    fclose(f);
    return text;
}

/* ---- values and problems ---- */

#define REST ", strategy: ordered, timeout: 1s, trust-ad: no, edns: yes, fall-back: no}]"
#define OTHER ", strategy: ordered, timeout: 300ms, trust-ad: yes, edns: no, fall-back: yes}]"
#define EVERYBODY "[{net: 0.0.0.0/0, action: allow}]"
#define ALL "access: " EVERYBODY
#define OPEN(net, at)                                                                              \
    "access: " net " is the whole Internet or a large part of it, and server.listen has " at       \
    ": that is an open resolver, with which others are attacked. Allow your own networks only; "   \
    "if a firewall keeps strangers out, confirm it with server.open-resolver: yes"
#define LOOP " is in server.listen: waymarkd would ask itself. Name another server, or another port"
#define NO_ADDRESS                                                                                 \
    " is not an address; write it like 192.0.2.1, \"192.0.2.1:53\", \"2001:db8::1\" or "           \
    "\"[2001:db8::1]:53\""
#define NO_ACTION "t:1:10: access needs action: allow; refuse: answer REFUSED; drop: no answer"
#define FORTY "0123456789012345678901234567890123456789"
#define NINE(n)                                                                                    \
    n ".0.0.1, " n ".0.0.2, " n ".0.0.3, " n ".0.0.4, " n ".0.0.5, " n ".0.0.6, " n ".0.0.7, " n   \
      ".0.0.8, " n ".0.0.9"

/* The value of the key, which is not the default; or, without a key, all that is said. */
static const struct row {
    const char *what, *script, *key, *want;
} rows[] = {
    {"text", "server: {name: ns1}", "server.name", "ns1"},
    {"empty text", "server: {user: \"\"}", "server.user", "\"\""},
    {"list of addresses", "server: {listen: [192.168.0.1, \"[2001:db8::1]:5353\"]}",
     "server.listen", "[\"192.168.0.1:53\", \"[2001:db8::1]:5353\"]"},
    {"addresses in lines", "server:\n  listen:\n  - 192.168.0.1\n", "server.listen",
     "[\"192.168.0.1:53\"]"},
    {"number", "server: {workers: 4}", "server.workers", "4"},
    {"word", "server: {log-level: debug}", "server.log-level", "debug"},
    {"bool yes", "server: {open-resolver: yes}", "server.open-resolver", "yes"},
    {"a word YAML 1.1 takes for a bool", "kms: {mode: off}", "kms.mode", "off"},
    {"bool false", "cache: {prefetch: false}", "cache.prefetch", "no"},
    {"size", "cache: {size: 2G}", "cache.size", "2G"},
    {"size in bytes", "cache: {size: 2097152}", "cache.size", "2M"},
    {"duration in ms", "kms: {upstream-deadline: 250ms}", "kms.upstream-deadline", "250ms"},
    {"bare duration is seconds", "cache: {max-ttl: 90}", "cache.max-ttl", "90s"},
    {"duration in years", "policy: {history: 10y}", "policy.history", "10y"},
    {"least value", "cache: {size: 1M}", "cache.size", "1M"},
    {"greatest value", "cache: {size: 64G}", "cache.size", "64G"},
    {"socket follows run-dir", "server: {run-dir: /x}", "control.socket", "/x/control.sock"},
    {"socket of its own", "control: {socket: /y.sock}", "control.socket", "/y.sock"},
    {"prefix of clients", "audit: {client-address: prefix}", "audit.client-address", "prefix"},
    {"route with all defaults", "forward: [{zone: Corp.Example., servers: [192.0.2.1]}]", "forward",
     "[{zone: corp.example, servers: [\"192.0.2.1:53\"]" REST},
    {"route with all options", "forward: [{zone: ., servers: [192.0.2.1, \"192.0.2.2:5\"]" OTHER,
     "forward", "[{zone: \".\", servers: [\"192.0.2.1:53\", \"192.0.2.2:5\"]" OTHER},
    {"access list",
     "access: [{net: 10.0.0.0/8, action: allow}, {net: \"2001:db8::/32\", action: refuse}]",
     "access", "[{net: 10.0.0.0/8, action: allow}, {net: 2001:db8::/32, action: refuse}]"},
    {"access of one address", "access: [{net: 192.0.2.1, action: drop}]", "access",
     "[{net: 192.0.2.1/32, action: drop}]"},
    {"empty access list is one", "access: []", "access", "[]"},
    {"section of comments", "server:\n  # nothing\nkms: {mode: shadow}", "kms.mode", "shadow"},
    {"outputs may be empty", "audit: {outputs: []}\nkms: {mode: shadow}", "kms.mode", "shadow"},
    {"own port elsewhere is no loop", "forward: [{zone: ., servers: [\"127.0.0.1:5353\"]}]",
     "forward", "[{zone: \".\", servers: [\"127.0.0.1:5353\"]" REST},
    {"another loopback address is no loop", "forward: [{zone: ., servers: [127.0.0.2]}]", "forward",
     "[{zone: \".\", servers: [\"127.0.0.2:53\"]" REST},
    {"open resolver confirmed", "server: {listen: [0.0.0.0], open-resolver: yes}\n" ALL, "access",
     EVERYBODY},
    {"all may ask on a private address", "server: {listen: [10.0.0.1]}\n" ALL, "access", EVERYBODY},
    {"none may ask at the wildcard",
     "server: {listen: [0.0.0.0]}\naccess: [{net: 0.0.0.0/0, action: drop}]", "access",
     "[{net: 0.0.0.0/0, action: drop}]"},
    {"wildcard with a list of own networks",
     "server: {listen: [\"::\"]}\naccess: [{net: \"fc00::/7\", action: allow}]", "access",
     "[{net: fc00::/7, action: allow}]"},
    {"-o number", "@-o server.workers=4", "server.workers", "4"},
    {"-o list", "@-o server.listen=[\"127.0.0.1:5353\"]", "server.listen", "[\"127.0.0.1:5353\"]"},
    {"-o route", "@-o forward=[{zone: ., servers: [\"127.0.0.1:5301\"]}]", "forward",
     "[{zone: \".\", servers: [\"127.0.0.1:5301\"]" REST},
    {"-o access", "@-o access=[]", "access", "[]"},
    {"-o over all files", "server: {workers: 1}@-o server.workers=4@-o server.workers=5",
     "server.workers", "5"},
    {"-o nothing is an empty text", "@-o server.user=", "server.user", "\"\""},
    {"-o value with =", "@-o server.state-dir=/a=b", "server.state-dir", "\"/a=b\""},
    {"-o without =", "@-o server.workers", NULL,
     "-o: server.workers: write it as section.key=value"},
    {"-o unknown", "@-o server.worker=1", NULL,
     "-o: server.worker=1: unknown key \"worker\" in server; did you mean workers?"},
    {"-o unknown, near a late row", "@-o audit.retenion=1d", NULL,
     "-o: audit.retenion=1d: unknown key \"retenion\" in audit; did you mean retention?"},
    {"-o section", "@-o server={workers: 1}", "server.workers", "1"},
    {"-o unknown section", "@-o sever.workers=1", NULL,
     "-o: sever.workers=1: unknown key \"sever\" in the settings; did you mean server?"},
    {"-o out of range", "@-o cache.size=1K", NULL,
     "-o: cache.size=1K: cache.size: \"1K\" is out of range: 1M to 64G"},
    {"-o bad YAML", "@-o server.listen=[", NULL,
     "-o: server.listen=[: is not YAML: check its quotes and brackets"},
    {"-o own address", "@-o forward=[{zone: ., servers: [127.0.0.1]}]", NULL,
     "-o: forward=[{zone: ., servers: [127.0.0.1]}]: forward.servers: 127.0.0.1:53" LOOP},
    {"unknown section", "sever: {name: a}", NULL,
     "t:1:1: unknown key \"sever\" in the settings; did you mean server?"},
    {"unknown section, nothing near", "zzzzzz: 1", NULL,
     "t:1:1: unknown key \"zzzzzz\" in the settings"},
    {"key with dots", "\ncache.size: 1M", NULL,
     "t:2:1: unknown key \"cache.size\" in the settings; write size in cache"},
    {"unknown option", "cache:\n  sise: 1M", NULL,
     "t:2:3: unknown key \"sise\" in cache; did you mean size?"},
    {"option of another section", "server:\n  mode: live", NULL,
     "t:2:3: unknown key \"mode\" in server; write mode in kms"},
    {"unknown option, nothing near", "server:\n  qqqqqqq: 1", NULL,
     "t:2:3: unknown key \"qqqqqqq\" in server"},
    {"duplicate key", "cache:\n  size: 1M\n  size: 2M", NULL,
     "t:3:3: duplicate key \"size\"; it was given in line 2"},
    {"tab", "cache:\n\tsize: 1M", NULL, "t:2:1: a tab cannot indent; use spaces"},
    {"bad unit", "cache:\n  size: 64X", NULL,
     "t:2:9: cache.size: \"64X\" is not a size like 64K, 64M, 1G"},
    {"bad duration", "cache:\n  max-ttl: 1w", NULL,
     "t:2:12: cache.max-ttl: \"1w\" is not a duration like 300ms, 10s, 5m, 2h, 90d"},
    {"negative number", "server:\n  workers: -1", NULL,
     "t:2:12: server.workers: \"-1\" is not a number"},
    {"too small", "cache:\n  size: 1023K", NULL,
     "t:2:9: cache.size: \"1023K\" is out of range: 1M to 64G"},
    {"too large", "server:\n  workers: 257", NULL,
     "t:2:12: server.workers: \"257\" is out of range: 0 to 256"},
    {"larger than 64 bits", "server: {workers: 99999999999999999999999}", NULL,
     "t:1:19: server.workers: \"99999999999999999999999\" is out of range: 0 to 256"},
    {"no bool", "cache:\n  prefetch: maybe", NULL,
     "t:2:13: cache.prefetch: \"maybe\" is not yes or no"},
    {"unknown word", "kms:\n  mode: alive", NULL,
     "t:2:9: kms.mode: \"alive\" is none of off, shadow, live; did you mean live?"},
    {"unknown word, nothing near", "kms: {mode: 12345}", NULL,
     "t:1:13: kms.mode: \"12345\" is none of off, shadow, live"},
    {"no value", "cache:\n  size:\n", NULL, "t:2:3: cache.size has no value"},
    {"no text", "server:\n  user:\n", NULL,
     "t:2:3: server.user has no value; write \"\" for an empty text"},
    {"no list", "access:\n", NULL, "t:1:1: access has no value; write [] for an empty list"},
    {"list for a value", "cache: {size: [1M]}", NULL, "t:1:15: cache.size must be one value"},
    {"value for a section", "cache: 1M", NULL, "t:1:8: cache must be a mapping (key: value)"},
    {"list as a whole", "- a", NULL, "t:1:1: the settings must be a mapping (key: value)"},
    {"bad name", "server: {name: a b}", NULL,
     "t:1:16: server.name: \"a b\" must be letters, digits, and . - _"},
    {"relative path", "server: {state-dir: state}", NULL,
     "t:1:21: server.state-dir: \"state\" must be an absolute path: begin it with /"},
    {"socket path too long", "control: {socket: /" FORTY FORTY FORTY "}", NULL,
     "t:1:19: control.socket: \"/" FORTY FORTY FORTY "\" has more than 107 characters"},
    {"control character", "server: {state-dir: \"/a\\nb\"}", NULL,
     "t:1:21: server.state-dir: \"/a b\" must not have control characters"},
    {"one address is no list", "server: {listen: 127.0.0.1}", NULL,
     "t:1:18: server.listen must be a list: [a, b]"},
    {"no listen address", "server: {listen: []}", NULL,
     "t:1:18: server.listen is empty; write at least one"},
    {"bad address", "server:\n  listen: [127.0.0.1, 127.0.0]", NULL,
     "t:2:23: server.listen: \"127.0.0\"" NO_ADDRESS},
    {"port 0", "server: {listen: [\"127.0.0.1:0\"]}", NULL,
     "t:1:19: server.listen: \"127.0.0.1:0\"" NO_ADDRESS},
    {"listen twice", "server: {listen: [127.0.0.1, \"127.0.0.1:53\"]}", NULL,
     "t:1:30: server.listen: 127.0.0.1:53 is listed twice"},
    {"net with host bits", "access: [{net: 10.0.0.1/8, action: allow}]", NULL,
     "t:1:16: access.net: \"10.0.0.1/8\" has bits behind its length; write the net's first "
     "address"},
    {"no net", "access: [{net: ten, action: allow}]", NULL,
     "t:1:16: access.net: \"ten\" is not an address or a prefix like 10.0.0.0/8, 2001:db8::/32"},
    {"rule without action", "access: [{net: 10.0.0.0/8}]", NULL, NO_ACTION},
    {"rule with an unknown key", "access: [{net: 10.0.0.0/8, acton: allow}]", NULL,
     "t:1:28: unknown key \"acton\" in access; did you mean action?\n" NO_ACTION},
    {"rule that is no mapping", "access: [10.0.0.0/8]", NULL,
     "t:1:10: an element of access must be a mapping (key: value)"},
    {"net twice", "access:\n- {net: 10.0.0.0/8, action: allow}\n- {net: 10.0.0.0/8, action: drop}",
     NULL, "t:3:3: access: 10.0.0.0/8 is listed twice"},
    {"unknown action", "access: [{net: 10.0.0.0/8, action: deny}]", NULL,
     "t:1:36: access.action: \"deny\" is none of allow, refuse, drop"},
    {"route without servers", "forward: [{zone: .}]", NULL,
     "t:1:11: forward needs servers: address, or address:port; all of them must give the same "
     "answers"},
    {"route with an empty list", "forward: [{zone: ., servers: []}]", NULL,
     "t:1:30: forward.servers is empty; write at least one"},
    {"too many servers", "forward: [{zone: ., servers: [" NINE("1") ", " NINE("2") "]}]", NULL,
     "t:1:30: forward.servers has 18 elements; at most 16 are allowed"},
    {"server twice", "forward: [{zone: ., servers: [10.0.0.1, 10.0.0.1]}]", NULL,
     "t:1:41: forward.servers: 10.0.0.1 is listed twice"},
    {"bad zone", "forward: [{zone: a..b, servers: [10.0.0.1]}]", NULL,
     "t:1:18: forward.zone: \"a..b\" is not a domain name"},
    {"zone with an asterisk", "forward: [{zone: \"*.a\", servers: [10.0.0.1]}]", NULL,
     "t:1:18: forward.zone: \"*.a\" begins with *; write the zone without *: it covers all names "
     "below it"},
    {"zone twice, other case",
     "forward:\n- {zone: a.example, servers: [10.0.0.1]}\n- {zone: A.example., servers: "
     "[10.0.0.2]}",
     NULL, "t:3:3: forward: A.example. is listed twice"},
    {"timeout out of range", "forward: [{zone: ., servers: [10.0.0.1], timeout: 1h}]", NULL,
     "t:1:51: forward.timeout: \"1h\" is out of range: 10ms to 30s"},
    {"strategy of later", "forward: [{zone: ., servers: [10.0.0.1], strategy: fastest}]", NULL,
     "t:1:52: forward.strategy: \"fastest\" is unknown: only ordered works in this version"},
    {"other strategy of later", "forward: [{zone: ., servers: [10.0.0.1], strategy: parallel}]",
     NULL, "t:1:52: forward.strategy: \"parallel\" is unknown: only ordered works in this version"},
    {"hmac of later", "audit: {client-address: hmac}", NULL,
     "t:1:25: audit.client-address: \"hmac\" is none of full, prefix"},
    {"client rate of later", "limits: {client-rate: 20}", NULL,
     "t:1:23: limits.client-rate: \"20\" is out of range: only 0 works in this version"},
    {"outputs of later", "audit: {outputs: [{file: /x}]}", NULL,
     "t:1:18: audit.outputs: only [] works in this version"},
    {"server is our own address", "forward:\n- {zone: ., servers: [192.0.2.1, 127.0.0.1]}", NULL,
     "t:2:34: forward.servers: 127.0.0.1:53" LOOP},
    {"server behind our wildcard",
     "server: {listen: [\"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: [\"127.0.0.9:5300\"]}]",
     NULL, "t:2:31: forward.servers: 127.0.0.9:5300" LOOP},
    {"server behind our wildcard, IPv6",
     "server: {listen: [\"[::]:5300\"]}\nforward: [{zone: ., servers: [\"[::1]:5300\"]}]", NULL,
     "t:2:31: forward.servers: [::1]:5300" LOOP},
    {"server without an address", "forward: [{zone: ., servers: [0.0.0.0]}]", NULL,
     "t:1:31: forward.servers: 0.0.0.0 is not the address of a server"},
    {"open resolver", "server: {listen: [0.0.0.0]}\naccess:\n- {net: 0.0.0.0/0, action: allow}",
     NULL, "t:3:3: " OPEN("0.0.0.0/0", "0.0.0.0:53")},
    {"open resolver, IPv6", "server: {listen: [\"::\"]}\naccess: [{net: \"::/0\", action: allow}]",
     NULL, "t:2:10: " OPEN("::/0", "[::]:53")},
    {"open resolver in two halves",
     "server: {listen: [0.0.0.0]}\naccess: [{net: 0.0.0.0/1, action: allow}, {net: 128.0.0.0/1, "
     "action: allow}]",
     NULL,
     "t:2:10: " OPEN("0.0.0.0/1", "0.0.0.0:53") "\nt:2:43: " OPEN("128.0.0.0/1", "0.0.0.0:53")},
    {"open resolver on a public address", "server: {listen: [198.51.100.1]}\n" ALL, NULL,
     "t:2:10: " OPEN("0.0.0.0/0", "198.51.100.1:53")},
    {"TTLs the wrong way round", "cache:\n  max-ttl: 10\n  min-ttl: 20", NULL,
     "t:3:12: cache.min-ttl is longer than cache.max-ttl"},
    {"anchor", "cache: &a {size: 1M}", NULL,
     "t:1:8: anchors are not supported; a value that begins with & needs quotes: write \"&a\""},
    {"NUL", "cache: \"\\0\"", NULL, "t:1:8: a NUL byte is not allowed in a text"},
    {"later files override",
     "@conf.d/2.yaml server: {workers: 3}@conf.d/1.yaml server: {workers: 2}", "server.workers",
     "3"},
    {"a later list replaces",
     "server: {listen: [10.0.0.1, 10.0.0.2]}@conf.d/a.yaml server: {listen: [10.0.0.3]}",
     "server.listen", "[\"10.0.0.3:53\"]"},
    {"other names do not count",
     "server: {workers: 1}@conf.d/.b.yaml [@conf.d/a.yaml.bak [@conf.d/b.yaml~ [@conf.d/README [",
     "server.workers", "1"},
    {"no file", "@!rm t", NULL, "t: cannot be read: No such file or directory"},
    {"a link to itself", "@!ln -s a.yaml conf.d/a.yaml", NULL,
     "conf.d/a.yaml: cannot be read: Too many levels of symbolic links"},
    {"a link to nowhere", "@!ln -s nowhere conf.d/a.yaml", NULL,
     "conf.d/a.yaml: cannot be read: No such file or directory"},
    {"a pipe", "@!mkfifo conf.d/a.yaml", NULL, "conf.d/a.yaml: is not a file"},
    {"a file that is too large", "@!truncate -s 16777217 t", NULL, "t: is larger than 16 MB"},
    {"no conf.d", "server: {workers: 1}@!rmdir conf.d", "server.workers", "1"},
    {"conf.d is a file", "@!rmdir conf.d; touch conf.d", NULL,
     "conf.d: cannot be read: Not a directory"},
    {"a rule names the file that won", "server: {listen: [0.0.0.0]}\naccess: []@conf.d/a.yaml " ALL,
     NULL, "conf.d/a.yaml:1:10: " OPEN("0.0.0.0/0", "0.0.0.0:53")},
    {"a rule is about what is in force",
     "server: {listen: [0.0.0.0]}\naccess: [{net: 0.0.0.0/0, action: allow}]@conf.d/a.yaml access: "
     "[]",
     "access", "[]"},
};

/* What is good reads back the same when it is printed or copied. */
static void check_row(void **state)
{
    const struct row *row = *state;
    struct settings *base = good(""), *s, *again;
    char *problems, *before, *after;

    s = read_script(row->script, &problems);
    if (row->key == NULL) {
        assert_null(s);
        problems[strlen(problems) - 1] = '\0'; /* the line end */
        assert_string_equal(problems, row->want);
    } else {
        assert_string_equal(problems, "");
        assert_string_equal(compare(base, s, row->key).is, row->want);
        before = printed(s);
        again = good(before);
        assert_int_equal(compare(s, again, NULL).calls, 0);
        settings_free(again);
        s->routes_found = true;
        assert_int_equal(settings_copy(&again, s), 0);
        assert_true(again->routes_found);
        assert_int_equal(compare(s, again, NULL).calls, 0);
        assert_true(s->n_routes == 0 || s->routes[0].id == again->routes[0].id);
        settings_free(s); /* the copy has nothing of it */
        after = printed(again);
        assert_string_equal(after, before);
        settings_free(again);
        free(before);
        free(after);
    }
    free(problems);
    settings_free(base);
}

static void every_problem_is_told(void **state)
{
    char *problems;
    size_t lines = 0;

    assert_null(read_script("sever: 1\ncache: {size: 1, max-ttl: x}\nserver: {listen: [a, b]}\n"
                            "forward: [{zone: ., servers: [c], timout: 1s}]\n",
                            &problems));
    for (const char *p = problems; *p != '\0'; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 7);
    free(problems);
}

static void the_default_file_may_be_missing(void **state)
{
    struct settings *s = NULL;

    if (access(SETTINGS_DEFAULT_PATH, F_OK) == 0)
        skip();
    assert_int_equal(settings_read(&s, NULL, NULL, NULL), 0);
    assert_int_equal(s->server.n_listen, 2);
    settings_free(s);
}

/* ---- who may ask ---- */

#define RULES                                                                                      \
    "access: [{net: 10.0.0.0/8, action: allow}, {net: 10.1.0.0/16, action: drop}, "                \
    "{net: 10.1.2.3, action: allow}, {net: \"2001:db8::/32\", action: allow}]"

static const struct access_row {
    const char *what, *text, *client;
    enum access_action want;
} accesses[] = {
    {"in a net", RULES, "10.2.0.1", ACCESS_ALLOW},
    {"the longer net decides", RULES, "10.1.0.1", ACCESS_DROP},
    {"an address is the longest", RULES, "10.1.2.3", ACCESS_ALLOW},
    {"in none", RULES, "192.168.1.1", ACCESS_REFUSE},
    {"IPv6 in a net", RULES, "2001:db8::7", ACCESS_ALLOW},
    {"IPv6 in none", RULES, "2001:db9::7", ACCESS_REFUSE},
    {"machine's networks do not count with a list", RULES, "172.16.0.9", ACCESS_REFUSE},
    {"loopback without a rule", RULES, "127.0.0.1", ACCESS_ALLOW},
    {"loopback, IPv6", RULES, "::1", ACCESS_ALLOW},
    {"loopback, empty list", "access: []", "127.3.2.1", ACCESS_ALLOW},
    {"others, empty list", "access: []", "172.16.0.9", ACCESS_REFUSE},
    {"a wide net does not name loopback", "access: [{net: 0.0.0.0/0, action: drop}]", "127.0.0.1",
     ACCESS_ALLOW},
    {"but all others", "access: [{net: 0.0.0.0/0, action: drop}]", "9.9.9.9", ACCESS_DROP},
    {"loopback named", "access: [{net: 127.0.0.0/8, action: refuse}]", "127.0.0.1", ACCESS_REFUSE},
    {"a part of loopback named", "access: [{net: 127.0.1.0/24, action: drop}]", "127.0.1.9",
     ACCESS_DROP},
    {"its other part", "access: [{net: 127.0.1.0/24, action: drop}]", "127.0.0.1", ACCESS_ALLOW},
    {"::1 named", "access: [{net: \"::1\", action: drop}]", "::1", ACCESS_DROP},
    {"::/0 is no IPv4 net", "access: [{net: \"::/0\", action: allow}]", "10.0.0.1", ACCESS_REFUSE},
    {"no list: machine's network", "", "172.16.0.9", ACCESS_ALLOW},
    {"no list: another network", "", "172.17.0.9", ACCESS_REFUSE},
    {"no list: loopback", "", "127.0.0.1", ACCESS_ALLOW},
};

static void check_access(void **state)
{
    const struct access_row *row = *state;
    struct settings *s = good(row->text);
    struct access_rule machine = {.action = ACCESS_ALLOW};
    struct addr client;

    assert_int_equal(prefix_parse(&machine.net, "172.16.0.0/16"), 0);
    assert_int_equal(addr_parse(&client, row->client, 0), 0);
    s->machine = &machine;
    s->n_machine = 1;
    assert_int_equal(settings_access(s, &client, NULL), row->want);
    settings_free(s);
}

/* ---- generations ---- */

static void reload_keeps_what_needs_a_restart(void **state)
{
    struct settings *was =
        good("server: {name: a, workers: 1, listen: [10.0.0.1]}\ncache: {size: 1M}");
    struct settings *is =
        good("server: {name: b, workers: 2, listen: [10.0.0.2, 10.0.0.3]}\n"
             "cache: {size: 2M, max-ttl: 1h, persist: no}\ncontrol: {socket: /x}");
    struct wanted w = compare(was, is, "server.listen");

    assert_int_equal(w.calls, 7);
    assert_true(w.restart);
    assert_string_equal(w.was, "[\"10.0.0.1:53\"]");
    assert_string_equal(w.is, "[\"10.0.0.2:53\", \"10.0.0.3:53\"]");
    assert_false(compare(was, is, "cache.max-ttl").restart);
    assert_int_equal(settings_keep(is, was, NULL), 0);
    w = compare(was, is, "cache.max-ttl");
    assert_int_equal(w.calls, 1);
    assert_string_equal(w.is, "1h");
    settings_free(was); /* nothing of it may be left in the new one */
    assert_string_equal(is->server.name, "a");
    assert_int_equal(is->server.n_listen, 1);
    assert_int_equal(is->server.listen[0].ip[15], 1);
    settings_free(is);
}

/* Each file is good by itself; the mix of both would be an open resolver. */
static void reload_cannot_open_the_resolver(void **state)
{
    struct settings *was = good("server: {listen: [0.0.0.0]}");
    struct settings *is =
        good("server: {listen: [10.0.0.1]}\naccess: [{net: 0.0.0.0/0, action: allow}]");
    struct diags d;

    diags_init(&d);
    assert_int_equal(settings_keep(is, was, &d), -EINVAL);
    assert_string_equal(d.list[0].text, OPEN("0.0.0.0/0", "0.0.0.0:53"));
    diags_fini(&d);
    settings_free(is);
    settings_free(was);
}

static uint32_t id_of(const char *text)
{
    struct settings *s = good(text);
    uint32_t id;

    assert_int_equal(s->n_routes, 1);
    id = s->routes[0].id;
    settings_free(s);
    return id;
}

static void route_ids(void **state)
{
    uint32_t id = id_of("forward: [{zone: a.example, servers: [10.0.0.1, 10.0.0.2]}]");

    assert_int_equal(id,
                     0x17fab4b5); /* FNV-1a by another program: must not change between versions */
    assert_int_equal(
        id, id_of("forward: [{zone: A.example., servers: [10.0.0.2, 10.0.0.1], timeout: 2s}]"));
    assert_int_not_equal(id, id_of("forward: [{zone: b.example, servers: [10.0.0.1, 10.0.0.2]}]"));
    assert_int_not_equal(id, id_of("forward: [{zone: a.example, servers: [10.0.0.1]}]"));
    assert_int_not_equal(
        id, id_of("forward: [{zone: a.example, servers: [10.0.0.1, \"10.0.0.2:54\"]}]"));
}

/* ---- the sample ---- */

static void the_sample_is_the_defaults(void **state)
{
    struct settings *base = good(""), *s;
    char *text = printed(NULL), *line = text;
    char *all = calloc(1, strlen(text) + 1);

    s = good(text);
    assert_int_equal(compare(base, s, NULL).calls, 0);
    settings_free(s);
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (strncmp(line, "  #", 3) == 0 && line[3] != ' ' && strstr(line, ": (") == NULL)
            memcpy(line, "    ", 3); /* as someone would who wants to have it there */
        if (strncmp(line, "   ", 3) == 0)
            strcat(all, "  "), strcat(all, line + 3);
        else
            strcat(all, line);
        strcat(all, "\n");
    }
    s = good(all);
    assert_has(all, "\n  in-flight: 4096\n");
    assert_int_equal(compare(base, s, NULL).calls, 0);
    settings_free(s);
    settings_free(base);
    free(all);
    free(text);
}

static void the_sample_lists_read(void **state)
{
    static const char *const lists[] = {"#access:\n", "#forward:\n"};
    char *text = printed(NULL);

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        char *line = strstr(text, lists[i]), list[400] = "";
        struct settings *s;

        assert_non_null(line);
        for (; *line == '#'; line = strchr(line, '\n') + 1)
            strncat(list, line + 1, (size_t)(strchr(line, '\n') - line));
        s = good(list);
        assert_true(i == 0 ? s->n_access == 3 : s->n_routes == 2);
        settings_free(s);
    }
    free(text);
}

int main(void)
{
    ROWS_WITH(rows, check_row, make_folder, remove_folder);
    ROWS_WITH(accesses, check_access, make_folder, remove_folder);
    TEST_WITH(every_problem_is_told, make_folder, remove_folder);
    TEST(the_default_file_may_be_missing);
    TEST_WITH(reload_keeps_what_needs_a_restart, make_folder, remove_folder);
    TEST_WITH(reload_cannot_open_the_resolver, make_folder, remove_folder);
    TEST_WITH(route_ids, make_folder, remove_folder);
    TEST_WITH(the_sample_is_the_defaults, make_folder, remove_folder);
    TEST_WITH(the_sample_lists_read, make_folder, remove_folder);
    return RUN("settings");
}
