/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_settings.c -- settings from files, conf.d and -o: values, problems, comparing; and who
 * may ask. That they print as what reads back the same is for tests/fuzz/fuzz_settings.c.
 */
#include <sys/stat.h>

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

/* What was written last: lines. */
static char said[1 << 15];

static FILE *said_begin(void)
{
    memset(said, 0, sizeof said);
    return fmemopen(said, sizeof said, "w");
}

/* Reads "TEXT@FILE TEXT...": the first text is that of the file t, those with a name that of
 * another one; "@-o ASSIGNMENT" is an option, "@!COMMAND" one of the shell. NULL: it was said why. */
static struct settings *read_script(const char *script)
{
    static struct diags d;
    const char *assign[8] = {NULL};
    char *copy = strdup(script), *rest = copy, *part = strsep(&rest, "@");
    struct settings *s = NULL;
    FILE *f = said_begin();
    size_t n = 0;
    int rc;

    scratch_write("t", part);
    while ((part = strsep(&rest, "@")) != NULL) {
        char *text = strchr(part, ' ') + 1;

        if (part[0] == '!') {
            assert_int_equal(system(part + 1), 0);
        } else if (part[0] == '-') {
            assign[n++] = text;
        } else {
            text[-1] = '\0';
            scratch_write(part, text);
        }
    }
    rc = settings_read(&s, "t", assign, &d);
    assert_int_equal(rc, d.all == 0 ? 0 : -EINVAL);
    for (size_t i = 0; i < d.n; i++)
        fprintf(f, "%s%s", i > 0 ? "\n" : "", d.list[i]);
    fclose(f);
    diags_fini(&d);
    free(copy);
    return s;
}

/* Reads what must be good. */
static struct settings *good(const char *script)
{
    struct settings *s = read_script(script);

    assert_string_equal(said, "");
    return s;
}

static void tell_change(void *out, const char *key, const char *was, const char *is, bool restart)
{
    fprintf(out, "%s%s%s %s", ftell(out) > 0 ? "\n" : "", key, restart ? "*" : "", is);
}

/* "KEY NEW", a line each; a * behind those that need a restart. */
static void assert_changes(const struct settings *was, const struct settings *is, const char *want)
{
    FILE *f = said_begin();

    settings_compare(was, is, tell_change, f);
    fclose(f);
    assert_string_equal(said, want);
}

/* ---- values and problems ---- */

#define NO_TLS ", tls: off, tls-name: \"\", tls-pin: [], tls-ca: \"\", tls-port: 853}"
#define PIN "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define WITH_TLS                                                                                   \
    ", strategy: ordered, source: [], timeout: 1s, trust-ad: no, edns: yes, "                      \
    "stop-rebinding: no, fall-back: no, tls: "
#define REST1                                                                                      \
    ", strategy: ordered, source: [], timeout: 1s, trust-ad: no, edns: yes, "                      \
    "stop-rebinding: no, fall-back: no" NO_TLS
#define REST REST1 "]"
#define OTHER                                                                                      \
    ", strategy: fastest, source: [\"10.0.0.5\"], timeout: 300ms, trust-ad: yes, edns: no, "       \
    "stop-rebinding: yes, fall-back: yes" NO_TLS "]"
#define EVERYBODY "[{net: 0.0.0.0/0, action: allow}]"
#define WIDE "server: {listen: [0.0.0.0]}\naccess: "
#define OPEN(net, at)                                                                              \
    "access: " net " is much of the Internet, and server.listen has " at                           \
    ": an open resolver, with which others are attacked. Allow your own networks only; behind a "  \
    "firewall, confirm it with server.open-resolver: yes"
#define NO_ADDRESS                                                                                 \
    " is not an address; write it like 192.0.2.1, \"192.0.2.1:53\", \"2001:db8::1\" or "           \
    "\"[2001:db8::1]:53\""
#define ROUTE(more) "forward: [{zone: ., servers: [10.0.0.1], " more "}]"
#define FORTY "0123456789012345678901234567890123456789"
/* All that is said; of good settings, what differs from the defaults: "KEY VALUE", with a * behind
 * a key that needs a restart. */
static const struct row {
    const char *what, *script, *want;
} rows[] = {
    {"a word YAML 1.1 takes for a bool", "kms: {mode: off}", "kms.mode off"},
    {"bool", "server: {open-resolver: yes}\ncache: {prefetch: false}",
     "server.open-resolver yes\ncache.prefetch no"},
    {"durations", "cache: {max-ttl: 90}\nkms: {upstream-deadline: 250ms}",
     "cache.max-ttl 90s\nkms.upstream-deadline 250ms"},
    {"socket follows run-dir", "server: {run-dir: /x}",
     "server.run-dir* /x\ncontrol.socket* /x/control.sock"},
    {"socket of its own", "control: {socket: /y.sock}", "control.socket* /y.sock"},
    {"route with all defaults", "forward: [{zone: Corp.Example., servers: [192.0.2.1]}]",
     "forward [{zone: corp.example, servers: [\"192.0.2.1:53\"]" REST},
    {"route with all options", "forward: [{zone: ., servers: [192.0.2.1, \"192.0.2.2:5\"]" OTHER,
     "forward [{zone: \".\", servers: [\"192.0.2.1:53\", \"192.0.2.2:5\"]" OTHER},
    {"access list",
     "access: [{net: 192.0.2.1, action: drop}, {net: \"2001:db8::/32\", action: refuse}]",
     "access [{net: 192.0.2.1/32, action: drop}, {net: 2001:db8::/32, action: refuse}]"},
    {"empty access list is one", "access: []", "access []"},
    {"section of comments", "server:\n  # nothing\nkms: {mode: shadow}", "kms.mode shadow"},
    {"outputs may be empty", "audit: {outputs: []}", ""},
    {"outputs",
     "audit: {outputs: [{to: \"unix:/a\"}, {to: \"tcp:[::1]:5\", format: cef, facility: local7}]}",
     "audit.outputs [{to: unix:/a, format: ecs, facility: daemon}, {to: \"tcp:[::1]:5\", format: "
     "cef, facility: local7}]"},
    {"open resolver confirmed",
     "server: {open-resolver: yes, listen: [0.0.0.0]}\naccess: " EVERYBODY,
     "server.listen* [\"0.0.0.0:53\"]\nserver.open-resolver yes\naccess " EVERYBODY},
    {"all may ask on a private address", "server: {listen: [10.0.0.1]}\naccess: " EVERYBODY,
     "server.listen* [\"10.0.0.1:53\"]\naccess " EVERYBODY},
    {"none may ask at the wildcard", WIDE "[{net: 0.0.0.0/0, action: drop}]",
     "server.listen* [\"0.0.0.0:53\"]\naccess [{net: 0.0.0.0/0, action: drop}]"},
    {"wildcard with a list of own networks", WIDE "[{net: \"fc00::/7\", action: allow}]",
     "server.listen* [\"0.0.0.0:53\"]\naccess [{net: fc00::/7, action: allow}]"},
    {"-o over all files", "server: {workers: 1}@-o server.workers=4@-o server.workers=5",
     "server.workers* 5"},
    {"-o nothing is an empty text", "@-o server.user=", "server.user* \"\""},
    {"-o value with =", "@-o server.state-dir=/a=b", "server.state-dir* \"/a=b\""},
    {"-o section", "@-o server={workers: 1}", "server.workers* 1"},
    {"-o without =", "@-o server.workers", "-o: server.workers: write it as section.key=value"},
    {"-o unknown", "@-o audit.retenion=1d",
     "-o: audit.retenion=1d: there is no such option; did you mean audit.retention?"},
    {"-o bad YAML", "@-o server.listen=[",
     "-o: server.listen=[: server.listen: \"[\" is not YAML: check its quotes and brackets"},
    {"wildcard with a company's own /8 and /16",
     WIDE "[{net: 9.0.0.0/8, action: allow}, {net: \"2001::/16\", action: allow}]",
     "server.listen* [\"0.0.0.0:53\"]\naccess [{net: 9.0.0.0/8, action: allow}, {net: 2001::/16, "
     "action: allow}]"},
    {"-o open resolver", "server: {listen: [0.0.0.0]}@-o access=" EVERYBODY,
     "-o: access=" EVERYBODY ": " OPEN("0.0.0.0/0", "0.0.0.0:53")},
    {"unknown section, nothing near", "zzzzzz: 1", "t:1:1: unknown key \"zzzzzz\" in the settings"},
    {"key with dots", "\ncache.size: 1M", "t:2:1: unknown key \"cache.size\" in the settings"},
    {"option of another section", "server:\n  mode: live", "t:2:3: unknown key \"mode\" in server"},
    {"too large", "server: {workers: 257}",
     "t:1:19: server.workers: \"257\" is out of range: 0 to 256"},
    {"no text", "server:\n  user:\n",
     "t:2:3: server.user has no value; write \"\" for an empty text"},
    {"bad name", "server: {name: a b}",
     "t:1:16: server.name: \"a b\" must be letters, digits, and . - _"},
    {"no user", "server: {user: -x}", "t:1:16: server.user: \"-x\" is not the name of a user"},
    {"relative path", "server: {state-dir: state}",
     "t:1:21: server.state-dir: \"state\" must be an absolute path: begin it with /"},
    {"control character in double quotes", "server: {state-dir: \"/a\\x7f\"}",
     "t:1:21: server.state-dir: \"/a \" must not have control characters"},
    {"socket path too long", "control: {socket: /" FORTY FORTY FORTY "}",
     "t:1:19: control.socket: \"/" FORTY FORTY FORTY "\" has more than 107 characters"},
    {"no listen address", "server: {listen: []}",
     "t:1:18: server.listen is empty; write at least one"},
    {"bad address", "server:\n  listen: [127.0.0.1, 127.0.0]",
     "t:2:23: server.listen: \"127.0.0\"" NO_ADDRESS},
    {"listen twice", "server: {listen: [127.0.0.1, \"127.0.0.1:53\"]}",
     "t:1:30: server.listen: 127.0.0.1:53 is listed twice"},
    {"no net", "access: [{net: ten, action: allow}]",
     "t:1:16: access.net: \"ten\" is not an address or a prefix like 10.0.0.0/8, 2001:db8::/32"},
    {"route without servers", "forward: [{zone: .}]",
     "t:1:11: forward needs servers: address, or address:port; all of them must give the same "
     "answers"},
    {"server without an address", "forward: [{zone: ., servers: [0.0.0.0]}]",
     "t:1:31: forward.servers: \"0.0.0.0\" is not the address of a server"},
    {"zone with an asterisk", "forward: [{zone: \"*.a\", servers: [10.0.0.1]}]",
     "t:1:18: forward.zone: \"*.a\" begins with *; write the zone without *: it covers all names "
     "below it"},
    {"zone twice, other case",
     "forward:\n- {zone: a.b, servers: [10.0.0.1]}\n- {zone: A.b., servers: [10.0.0.2]}",
     "t:3:3: forward: A.b. is listed twice"},
    {"strategy of others", ROUTE("strategy: random"),
     "t:1:52: forward.strategy: \"random\" is none of ordered, fastest, parallel"},
    {"sources of both families",
     "forward: [{zone: ., servers: [10.0.0.1, \"fd00::1\"], source: [10.0.0.5, \"fd00::5\"], "
     "strategy: parallel}]",
     "forward [{zone: \".\", servers: [\"10.0.0.1:53\", \"[fd00::1]:53\"], strategy: parallel, "
     "source: "
     "[\"10.0.0.5\", \"fd00::5\"], timeout: 1s, trust-ad: no, edns: yes, stop-rebinding: no, "
     "fall-back: no" NO_TLS "]"},
    {"strict TLS by name",
     "forward: [{zone: a, servers: [192.0.2.1, \"192.0.2.2:53\"], tls: strict, tls-name: dns.b, "
     "tls-ca: /c}]",
     "forward [{zone: a, servers: [\"192.0.2.1:853\", \"192.0.2.2:53\"]" WITH_TLS
     "strict, tls-name: dns.b, tls-pin: [], tls-ca: /c, tls-port: 853}]"},
    {"strict TLS by pin, at another port",
     "forward: [{zone: a, servers: [192.0.2.1], tls: strict, tls-pin: [\"" PIN
     "\"], tls-port: 8853}]",
     "forward [{zone: a, servers: [\"192.0.2.1:8853\"]" WITH_TLS
     "strict, tls-name: \"\", tls-pin: [\"" PIN "\"], tls-ca: \"\", tls-port: 8853}]"},
    {"opportunistic TLS: the port is that without it",
     "forward: [{zone: a, servers: [192.0.2.1], tls: opportunistic}]",
     "forward [{zone: a, servers: [\"192.0.2.1:53\"]" WITH_TLS
     "opportunistic, tls-name: \"\", tls-pin: [], tls-ca: \"\", tls-port: 853}]"},
    {"strict TLS with whomever", ROUTE("tls: strict"),
     "t:1:11: forward.tls: strict needs tls-name or tls-pin: who must the server be?"},
    {"TLS name without TLS", ROUTE("tls-name: dns.b"),
     "t:1:11: forward.tls: off looks at no certificate; for tls-name, tls-pin and tls-ca write "
     "tls: strict"},
    {"TLS pin without strict", ROUTE("tls: opportunistic, tls-pin: [\"" PIN "\"]"),
     "t:1:11: forward.tls: opportunistic looks at no certificate; for tls-name, tls-pin and tls-ca "
     "write tls: strict"},
    {"TLS with CAs for no name", ROUTE("tls: strict, tls-pin: [\"" PIN "\"], tls-ca: /c"),
     "t:1:11: forward.tls-ca has no use without tls-name"},
    {"TLS name that is none", ROUTE("tls: strict, tls-name: \"dns b\""),
     "t:1:11: forward.tls-name: \"dns b\" must be letters, digits, and . - _"},
    {"CA file without its path", ROUTE("tls: strict, tls-name: b, tls-ca: c"),
     "t:1:76: forward.tls-ca: \"c\" must be an absolute path: begin it with /"},
    {"pins that are none", ROUTE("tls: strict, tls-pin: [sha256/abc=, \"md5/x\"]"),
     "t:1:65: forward.tls-pin: \"sha256/abc=\" is not sha256/ and 44 characters of base64\n"
     "t:1:78: forward.tls-pin: \"md5/x\" is not sha256/ and 44 characters of base64"},
    {"source of another family", ROUTE("source: \"fd00::5\""),
     "t:1:50: forward.source: no server is asked from fd00::5\n"
     "t:1:50: forward.source: none is of the family of 10.0.0.1:53"},
    {"source of one family, servers of both",
     "forward:\n- {zone: a, servers: [10.0.0.1]}\n- zone: b\n  servers: [10.0.0.1, \"fd00::1\"]\n"
     "  source: 10.0.0.5",
     "t:5:11: forward.source: none is of the family of [fd00::1]:53"},
    {"two sources of one family", ROUTE("source: [10.0.0.5, 10.0.0.6]"),
     "t:1:50: forward.source: no server is asked from 10.0.0.6"},
    {"source with a port", ROUTE("source: \"10.0.0.5:53\""),
     "t:1:50: forward.source: \"10.0.0.5:53\" has a port; it is drawn for each question"},
    {"source that is none", ROUTE("source: \"::\""),
     "t:1:50: forward.source: \"::\" is not an address of this machine"},
    {"secrets of nowhere", "limits: {cookie-secret-file: secrets}",
     "t:1:30: limits.cookie-secret-file: \"secrets\" must be an absolute path: begin it with /"},
    {"an exempt client that is no net", "limits: {exempt-clients: [10.0.0.1/8]}",
     "t:1:27: limits.exempt-clients: \"10.0.0.1/8\" has bits behind its length; write the net's "
     "first address"},
    {"output to nowhere", "audit: {outputs: [{format: cef}]}",
     "t:1:19: outputs needs to: file:/PATH, or a syslog server: udp:ADDRESS, tcp:ADDRESS, "
     "unix:/PATH"},
    {"output to a relative path", "audit: {outputs: [{to: \"file:x\"}]}",
     "t:1:24: outputs.to: \"file:x\" must name an absolute path: begin it with /"},
    {"output to a name", "audit: {outputs: [{to: \"udp:siem.contoso.com\"}]}",
     "t:1:24: outputs.to: \"udp:siem.contoso.com\" must name an address, with or without a port; "
     "names are not looked up"},
    {"output to no address", "audit: {outputs: [{to: \"udp:0.0.0.0\"}]}",
     "t:1:24: outputs.to: \"udp:0.0.0.0\" must name an address, with or without a port; "
     "names are not looked up"},
    {"output by other means", "audit: {outputs: [{to: /var/log/x}]}",
     "t:1:24: outputs.to: \"/var/log/x\" must begin with file: unix: udp: or tcp:"},
    {"output twice", "audit: {outputs: [{to: \"unix:/a\"}, {to: \"unix:/a\", format: cef}]}",
     "t:1:36: audit.outputs: unix:/a is listed twice"},
    {"open resolver, IPv6", "server: {listen: [\"::\"]}\naccess: [{net: \"::/0\", action: allow}]",
     "t:2:10: " OPEN("::/0", "[::]:53")},
    {"open resolver in two halves",
     WIDE "[{net: 0.0.0.0/1, action: allow}, {net: 128.0.0.0/1, action: allow}]",
     "t:2:10: " OPEN("0.0.0.0/1", "0.0.0.0:53") "\nt:2:43: " OPEN("128.0.0.0/1", "0.0.0.0:53")},
    {"open resolver for twice as many",
     WIDE "[{net: 8.0.0.0/7, action: allow}, {net: \"2000::/15\", action: allow}]",
     "t:2:10: " OPEN("8.0.0.0/7", "0.0.0.0:53") "\nt:2:43: " OPEN("2000::/15", "0.0.0.0:53")},
    {"open resolver on a public address",
     "server: {listen: [10.0.0.1, 198.51.100.1]}\naccess: " EVERYBODY,
     "t:2:10: " OPEN("0.0.0.0/0", "198.51.100.1:53")},
    {"TTLs the wrong way round", "cache:\n  max-ttl: 10\n  min-ttl: 20",
     "t:3:12: cache.min-ttl is longer than cache.max-ttl"},
    {"later files override",
     "@conf.d/2.yaml server: {workers: 3}@conf.d/1.yaml server: {workers: 2}", "server.workers* 3"},
    {"a later list replaces",
     "server: {listen: [10.0.0.1, 10.0.0.2]}@conf.d/a.yaml server: {listen: [10.0.0.3]}",
     "server.listen* [\"10.0.0.3:53\"]"},
    {"other names do not count",
     "server: {workers: 1}@conf.d/.b.yaml [@conf.d/a.yaml.bak [@conf.d/b.yaml~ [@conf.d/README [",
     "server.workers* 1"},
    {"no file", "@!rm t", "t: cannot be read: No such file or directory"},
    {"routes of several files add up",
     "forward: [{zone: ., servers: [10.0.0.1]}]@conf.d/30-corp.yaml forward: [{zone: corp, "
     "servers: "
     "[10.0.0.2]}]@conf.d/40.yaml server: {workers: 2}",
     "server.workers* 2\nforward [{zone: \".\", servers: [\"10.0.0.1:53\"]" REST1
     ", {zone: corp, servers: [\"10.0.0.2:53\"]" REST},
    {"a zone in two files",
     "forward:\n- {zone: a, servers: [10.0.0.1]}\n- {zone: corp, servers: [10.0.0.1]}"
     "@conf.d/30-corp.yaml forward: [{zone: b, servers: [10.0.0.2]}, {zone: Corp., servers: "
     "[10.0.0.2]}]",
     "conf.d/30-corp.yaml:1:43: forward: corp has a route already: t:3:3"},
    {"the rules of a route name its own file",
     "forward: [{zone: ., servers: [10.0.0.1], source: \"fd00::1\"}]@conf.d/30-corp.yaml forward: "
     "[{zone: corp, servers: [10.0.0.2], source: \"fd00::1\"}]",
     "t:1:50: forward.source: no server is asked from fd00::1\n"
     "t:1:50: forward.source: none is of the family of 10.0.0.1:53\n"
     "conf.d/30-corp.yaml:1:53: forward.source: no server is asked from fd00::1\n"
     "conf.d/30-corp.yaml:1:53: forward.source: none is of the family of 10.0.0.2:53"},
    {"routes of a file with a mistake, after those of one without",
     "forward: [{zone: ., servers: [10.0.0.1]}]@conf.d/30.yaml cache: {max-ttl: x}\nforward: "
     "[{zone: a, servers: [10.0.0.1]}, {zone: b, servers: [10.0.0.1]}, {zone: c, servers: "
     "[10.0.0.1]}]@conf.d/40.yaml forward: [{zone: d, servers: [10.0.0.1]}]",
     "conf.d/30.yaml:1:18: cache.max-ttl: \"x\" is not a duration like 300ms, 10s, 5m, 2h, "
     "90d"},
    {"reverse zones as prefixes",
     "forward: [{zone: 10.0.0.0/8, servers: [10.0.0.1]}, {zone: 10.2.3.0/24, servers: [10.0.0.1]}, "
     "{zone: \"2001:db8::/36\", servers: [10.0.0.1]}]",
     "forward [{zone: 10.in-addr.arpa, servers: [\"10.0.0.1:53\"]" REST1
     ", {zone: 3.2.10.in-addr.arpa, servers: [\"10.0.0.1:53\"]" REST1
     ", {zone: 0.8.b.d.0.1.0.0.2.ip6.arpa, servers: [\"10.0.0.1:53\"]" REST},
#define NO_ZONE                                                                                    \
    " is no zone: its length is no multiple of 8, or of 4 for IPv6; write the longer prefixes "    \
    "that it consists of, each with a route"
    {"reverse zones that are none",
     "forward:\n- {zone: 172.16.0.0/12, servers: [10.0.0.1]}\n- {zone: 192.168.1.0/25, servers: "
     "[10.0.0.1]}\n- {zone: \"fe80::/10\", servers: [10.0.0.1]}\n- {zone: 10.0.0.1/8, servers: "
     "[10.0.0.1]}\n- {zone: 10.0.0.0/33, servers: [10.0.0.1]}",
     "t:2:10: forward.zone: \"172.16.0.0/12\"" NO_ZONE
     "\nt:3:10: forward.zone: \"192.168.1.0/25\"" NO_ZONE
     "\nt:4:10: forward.zone: \"fe80::/10\"" NO_ZONE
     "\nt:5:10: forward.zone: \"10.0.0.1/8\" has bits behind its length; write the net's first "
     "address\nt:6:10: forward.zone: \"10.0.0.0/33\" is not an address or a prefix like "
     "10.0.0.0/8, 2001:db8::/32"},
    {"a zone of half an octet is the name that it is",
     "forward: [{zone: 0/25.2.0.192.in-addr.arpa, servers: [10.0.0.1]}]",
     "forward [{zone: 0/25.2.0.192.in-addr.arpa, servers: [\"10.0.0.1:53\"]" REST},
    {"a link to itself", "@!ln -s a.yaml conf.d/a.yaml",
     "conf.d/a.yaml: cannot be read: Too many levels of symbolic links"},
    {"a pipe", "@!mkfifo conf.d/a.yaml", "conf.d/a.yaml: is not a file"},
    {"a file that is too large", "@!truncate -s 16777217 t", "t: cannot be read: File too large"},
    {"no conf.d", "server: {workers: 1}@!rmdir conf.d", "server.workers* 1"},
    {"conf.d is a file", "@!rmdir conf.d; touch conf.d", "conf.d: cannot be read: Not a directory"},
    {"a rule names the file that won", WIDE "[]@conf.d/a.yaml access: " EVERYBODY,
     "conf.d/a.yaml:1:10: " OPEN("0.0.0.0/0", "0.0.0.0:53")},
    {"every problem is told", "server: {listen: [a]}\ncache: {size: 1, max-ttl: x}",
     "t:1:19: server.listen: \"a\"" NO_ADDRESS
     "\nt:2:15: cache.size: \"1\" is out of range: 1M to 64G\n"
     "t:2:27: cache.max-ttl: \"x\" is not a duration like 300ms, 10s, 5m, 2h, 90d"},
};

static void check_row(void **state)
{
    const struct row *row = *state;
    struct settings *base = good(""), *s = read_script(row->script);

    if (s == NULL || said[0] != '\0')
        assert_string_equal(said, row->want);
    else
        assert_changes(base, s, row->want);
    settings_free(s);
    settings_free(base);
}

static void the_default_file_may_be_missing(void **state)
{
    struct settings *s = NULL;
    char host[256];

    if (access(SETTINGS_DEFAULT_PATH, F_OK) == 0)
        skip();
    assert_int_equal(settings_read(&s, NULL, NULL, NULL), 0);
    assert_int_equal(s->server.n_listen, 2);
    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_string_equal(s->server.name, host);
    settings_free(s);
}

/* ---- who may ask ---- */

/* What becomes of clients; 172.16.0.0/16 is the machine's own network. */
static const struct access_row {
    const char *what, *list, *wants;
} accesses[] = {
    {"the longest net decides, loopback is allowed",
     "access: [{net: 10.0.0.0/8, action: allow}, {net: 10.1.0.0/16, action: drop}, "
     "{net: 10.1.2.3, action: allow}, {net: \"2001:db8::/32\", action: allow}]",
     "10.2.0.1=allow 10.1.0.1=drop 10.1.2.3=allow 192.168.1.1=refuse 172.16.0.9=refuse "
     "2001:db8::7=allow 2001:db9::7=refuse 127.0.0.1=allow ::1=allow"},
    {"empty list", "access: []", "127.3.2.1=allow 172.16.0.9=refuse"},
    {"a wide net does not name loopback", "access: [{net: 0.0.0.0/0, action: drop}]",
     "127.0.0.1=allow 9.9.9.9=drop ::2=refuse"},
    {"loopback named", "access: [{net: 127.0.0.0/8, action: refuse}]", "127.0.0.1=refuse"},
    {"a part of loopback named", "access: [{net: 127.0.1.0/24, action: drop}]",
     "127.0.1.9=drop 127.0.0.1=allow"},
    {"::1 named", "access: [{net: \"::1\", action: drop}]", "::1=drop"},
    {"::/0 is no IPv4 net", "access: [{net: \"::/0\", action: allow}]",
     "10.0.0.1=refuse ::2=allow"},
    {"no list", "", "172.16.0.9=allow 172.17.0.9=refuse 127.0.0.1=allow"},
};

static void check_access(void **state)
{
    static const char *const actions[] = {"allow", "refuse", "drop"};
    const struct access_row *row = *state;
    struct settings *s = good(row->list);
    struct access_rule machine = {.action = ACCESS_ALLOW};
    char *wants = strdup(row->wants);
    struct addr client;

    assert_null(prefix_parse(&machine.net, "172.16.0.0/16"));
    s->machine = &machine;
    s->n_machine = 1;
    for (char *w = strtok(wants, " "); w != NULL; w = strtok(NULL, " ")) {
        char *want = strchr(w, '=');

        *want++ = '\0';
        assert_int_equal(addr_parse(&client, w, 0), 0);
        assert_string_equal(actions[settings_access(s, &client, NULL)], want);
    }
    free(wants);
    settings_free(s);
}

/* ---- generations ---- */

static void reload_keeps_what_needs_a_restart(void **state)
{
    struct settings *base = good(""),
                    *was = good("server: {name: a, workers: 1, listen: [10.0.0.1]}");
    struct settings *is =
        good("server: {name: b, workers: 2, listen: [10.0.0.2]}\n"
             "cache: {size: 2M, max-ttl: 1h, persist: no}\ncontrol: {socket: /x}");

    assert_int_equal(settings_keep(is, was, NULL), 0);
    assert_changes(was, is, "cache.max-ttl 1h");
    settings_free(was); /* nothing of it may be left in the new one */
    assert_changes(base, is,
                   "server.name* a\nserver.listen* [\"10.0.0.1:53\"]\n"
                   "server.workers* 1\ncache.max-ttl 1h");
    settings_free(is);
    settings_free(base);
}

/* Each file is good by itself; the mix of both would be an open resolver. */
static void reload_cannot_open_the_resolver(void **state)
{
    struct settings *was = good("server: {listen: [0.0.0.0]}");
    struct settings *is = good("server: {listen: [10.0.0.1]}\naccess: " EVERYBODY);
    struct diags d = {0};

    assert_int_equal(settings_keep(is, was, &d), -EINVAL);
    assert_string_equal(d.list[0], OPEN("0.0.0.0/0", "0.0.0.0:53"));
    diags_fini(&d);
    settings_free(is);
    settings_free(was);
}

static void routes_differ_by_zone_and_servers(void **state)
{
    static const char *const texts[] = {
        "forward: [{zone: a.example, servers: [10.0.0.1, 10.0.0.2]}]",
        "forward: [{zone: A.example., servers: [10.0.0.2, 10.0.0.1], timeout: 2s}]",
        "forward: [{zone: a.example, servers: [\"10.0.0.1:53\", 10.0.0.2], tls: opportunistic}]",
        "forward: [{zone: b.example, servers: [10.0.0.1, 10.0.0.2]}]",
        "forward: [{zone: a.example, servers: [10.0.0.1]}]",
        "forward: [{zone: a.example, servers: [10.0.0.1, \"10.0.0.2:54\"]}]",
        "forward: [{zone: a.example, servers: [10.0.0.1, 10.0.0.2], stop-rebinding: yes}]",
        "forward: [{zone: a.example, servers: [\"10.0.0.1:53\", \"10.0.0.2:53\"], tls: strict, "
        "tls-name: x.example}]",
    };
    uint32_t first = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct settings *s = good(texts[i]);

        first = i == 0 ? s->routes[0].id : first;
        assert_int_not_equal(first, 0);
        assert_int_equal(s->routes[0].id == first, i < 3);
        settings_free(s);
    }
}

/* Balancers may say for whom they ask: nobody else is one, of neither family. */
static void balancers_are_those_named(void **state)
{
    static const struct {
        const char *address;
        bool is;
    } clients[] = {
        {"10.0.0.9", true}, {"10.0.0.8", false}, {"2001:db8::9", false},
        {"10.0.1.7", true}, {"10.0.2.7", false}, {"::ffff:10.0.0.9", true},
    };
    struct settings *s = good("server: {proxy-from: [10.0.0.9, 10.0.1.0/24]}");
    struct addr a;

    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        assert_int_equal(addr_parse(&a, clients[i].address, 0), 0);
        assert_int_equal(settings_is_balancer(s, &a), clients[i].is);
    }
    settings_free(s);
}

TESTS("settings", ROWS_WITH(rows, check_row, make_folder, remove_folder),
      ROWS_WITH(accesses, check_access, make_folder, remove_folder),
      TEST(the_default_file_may_be_missing),
      TEST_WITH(reload_keeps_what_needs_a_restart, make_folder, remove_folder),
      TEST_WITH(reload_cannot_open_the_resolver, make_folder, remove_folder),
      TEST_WITH(balancers_are_those_named, make_folder, remove_folder),
      TEST_WITH(routes_differ_by_zone_and_servers, make_folder, remove_folder))
