/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_settings.c -- one text of settings: values, problems, printing,
 * comparing. Files, -o and access are in test_files.c.
 */
#include "tests/unit/settings/helpers.h"

#include <errno.h>

/* ---- values ---- */

static const struct value_row {
    const char *what, *text, *key, *is;
} values[] = {
    {"text", "server: {name: ns1}", "server.name", "ns1"},
    {"empty text", "server: {user: \"\"}", "server.user", "\"\""},
    {"list of addresses", "server: {listen: [192.168.0.1, \"[2001:db8::1]:5353\"]}",
     "server.listen", "[\"192.168.0.1:53\", \"[2001:db8::1]:5353\"]"},
    {"addresses in lines", "server:\n  listen:\n  - 192.168.0.1\n", "server.listen",
     "[\"192.168.0.1:53\"]"},
    {"number", "server: {workers: 4}", "server.workers", "4"},
    {"word", "server: {log-level: debug}", "server.log-level", "debug"},
    {"a word YAML 1.1 takes for a bool", "kms: {mode: off}", "kms.mode", "off"},
    {"bool yes", "server: {open-resolver: yes}", "server.open-resolver", "yes"},
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
     "[{zone: corp.example, servers: [\"192.0.2.1:53\"], strategy: ordered, timeout: 1s, "
     "trust-ad: no, edns: yes, fall-back: no}]"},
    {"route with all options",
     "forward:\n- {zone: ., servers: [192.0.2.1, \"192.0.2.2:5\"], strategy: ordered, timeout: "
     "300ms, trust-ad: yes, edns: no, fall-back: yes}",
     "forward",
     "[{zone: \".\", servers: [\"192.0.2.1:53\", \"192.0.2.2:5\"], strategy: ordered, timeout: "
     "300ms, trust-ad: yes, edns: no, fall-back: yes}]"},
    {"access list",
     "access: [{net: 10.0.0.0/8, action: allow}, {net: 192.0.2.1, action: drop}, {net: "
     "\"2001:db8::/32\", action: refuse}]",
     "access",
     "[{net: 10.0.0.0/8, action: allow}, {net: 192.0.2.1/32, action: drop}, {net: "
     "2001:db8::/32, action: refuse}]"},
    {"empty access list is one", "access: []", "access", "[]"},
    {"section of comments", "server:\n  # nothing\nkms: {mode: shadow}", "kms.mode", "shadow"},
    {"outputs may be empty", "audit: {outputs: []}\nkms: {mode: shadow}", "kms.mode", "shadow"},
    {"own port elsewhere is no loop", "forward: [{zone: ., servers: [\"127.0.0.1:5353\"]}]",
     "forward",
     "[{zone: \".\", servers: [\"127.0.0.1:5353\"], strategy: ordered, timeout: 1s, trust-ad: no, "
     "edns: yes, fall-back: no}]"},
    {"another loopback address is no loop", "forward: [{zone: ., servers: [127.0.0.2]}]", "forward",
     "[{zone: \".\", servers: [\"127.0.0.2:53\"], strategy: ordered, timeout: 1s, trust-ad: no, "
     "edns: yes, fall-back: no}]"},
    {"open resolver confirmed",
     "server: {listen: [0.0.0.0], open-resolver: yes}\naccess: [{net: 0.0.0.0/0, action: allow}]",
     "access", "[{net: 0.0.0.0/0, action: allow}]"},
    {"wildcard with a list of own networks",
     "server: {listen: [0.0.0.0]}\naccess: [{net: 10.0.0.0/8, action: allow}, {net: 0.0.0.0/0, "
     "action: drop}, {net: \"fc00::/7\", action: allow}]",
     "access",
     "[{net: 10.0.0.0/8, action: allow}, {net: 0.0.0.0/0, action: drop}, {net: fc00::/7, action: "
     "allow}]"},
    {"all may ask on a private address",
     "server: {listen: [10.0.0.1]}\naccess: [{net: 0.0.0.0/0, action: allow}]", "access",
     "[{net: 0.0.0.0/0, action: allow}]"},
};

static void check_value(void **state)
{
    const struct value_row *row = *state;
    struct settings *base = good(""), *s = good(row->text);
    struct wanted w = compare(base, s, row->key);

    assert_string_equal(w.is, row->is);
    settings_free(s);
    settings_free(base);
}

/* What is printed reads back the same. */
static void check_round_trip(void **state)
{
    const struct value_row *row = *state;
    struct settings *s = good(row->text), *again;
    char *text = printed(s);

    again = good(text);
    assert_int_equal(compare(s, again, NULL).calls, 0);
    free(text);
    settings_free(again);
    settings_free(s);
}

/* ---- problems ---- */

static const struct bad_row {
    const char *what, *text, *want;
} bad[] = {
    {"unknown section", "sever: {name: a}",
     "t:1:1: unknown key \"sever\" in the settings; did you mean server?"},
    {"unknown section, nothing near", "zzzzzz: 1", "t:1:1: unknown key \"zzzzzz\" in the settings"},
    {"key with dots", "\ncache.size: 1M",
     "t:2:1: unknown key \"cache.size\" in the settings; write size in cache"},
    {"unknown option", "cache:\n  sise: 1M",
     "t:2:3: unknown key \"sise\" in cache; did you mean size?"},
    {"option of another section", "server:\n  mode: live",
     "t:2:3: unknown key \"mode\" in server; write mode in kms"},
    {"unknown option, nothing near", "server:\n  qqqqqqq: 1",
     "t:2:3: unknown key \"qqqqqqq\" in server"},
    {"duplicate key", "cache:\n  size: 1M\n  size: 2M", "t:3:3: duplicate key \"size\""},
    {"tab", "cache:\n\tsize: 1M", "t:2:1: a tab"},
    {"bad unit", "cache:\n  size: 64X",
     "t:2:9: cache.size: \"64X\" is not a size like 64K, 64M, 1G"},
    {"bad duration", "cache:\n  max-ttl: 1w",
     "t:2:12: cache.max-ttl: \"1w\" is not a duration like"},
    {"negative number", "server:\n  workers: -1", "t:2:12: server.workers: \"-1\" is not a number"},
    {"too small", "cache:\n  size: 1023K",
     "t:2:9: cache.size: \"1023K\" is out of range: 1M to 64G"},
    {"too large", "server:\n  workers: 257",
     "t:2:12: server.workers: \"257\" is out of range: 0 to 256"},
    {"larger than 64 bits", "server: {workers: 99999999999999999999999}",
     "is out of range: 0 to 256"},
    {"no bool", "cache:\n  prefetch: maybe", "t:2:13: cache.prefetch: \"maybe\" is not yes or no"},
    {"unknown word", "kms:\n  mode: alive",
     "t:2:9: kms.mode: \"alive\" is none of off, shadow, live; did you mean live?"},
    {"unknown word, nothing near", "kms: {mode: 12345}",
     "kms.mode: \"12345\" is none of off, shadow, live"},
    {"no value", "cache:\n  size:\n", "t:2:3: cache.size has no value"},
    {"no text", "server:\n  user:\n", "t:2:3: server.user has no value; write \"\""},
    {"no list", "access:\n", "t:1:1: access has no value; write []"},
    {"list for a value", "cache: {size: [1M]}", "cache.size must be one value"},
    {"value for a section", "cache: 1M", "t:1:8: cache must be a mapping"},
    {"list as a whole", "- a", "t:1:1: "},
    {"bad name", "server: {name: a b}", "server.name: \"a b\" may have letters, digits"},
    {"relative path", "server: {state-dir: state}", "must be an absolute path"},
    {"socket path too long",
     "control: {socket: /0123456789012345678901234567890123456789012345678901234567890123456789"
     "01234567890123456789012345678901234567890123456789}",
     "has more than 107 characters"},
    {"control character", "server: {state-dir: \"/a\\nb\"}", "must not have control characters"},
    {"one address is no list", "server: {listen: 127.0.0.1}",
     "server.listen must be a list: [a, b]"},
    {"no listen address", "server: {listen: []}", "server.listen is empty; write at least one"},
    {"bad address", "server:\n  listen: [127.0.0.1, 127.0.0]",
     "t:2:23: server.listen: \"127.0.0\" is not an address"},
    {"port 0", "server: {listen: [\"127.0.0.1:0\"]}", "is not an address"},
    {"listen twice", "server: {listen: [127.0.0.1, \"127.0.0.1:53\"]}",
     "server.listen: 127.0.0.1:53 is listed twice"},
    {"net with host bits", "access: [{net: 10.0.0.1/8, action: allow}]",
     "access.net: \"10.0.0.1/8\" has bits behind its length"},
    {"no net", "access: [{net: ten, action: allow}]",
     "access.net: \"ten\" is not an address or a prefix"},
    {"rule without action", "access: [{net: 10.0.0.0/8}]",
     "t:1:10: access needs action: allow; refuse"},
    {"rule with an unknown key", "access: [{net: 10.0.0.0/8, acton: allow}]",
     "unknown key \"acton\" in access; did you mean action?"},
    {"rule that is no mapping", "access: [10.0.0.0/8]", "access must be a mapping (key: value)"},
    {"net twice", "access:\n- {net: 10.0.0.0/8, action: allow}\n- {net: 10.0.0.0/8, action: drop}",
     "t:3:3: access: 10.0.0.0/8 is listed twice"},
    {"unknown action", "access: [{net: 10.0.0.0/8, action: deny}]",
     "access.action: \"deny\" is none of allow, refuse, drop"},
    {"route without servers", "forward: [{zone: .}]", "forward needs servers: address"},
    {"route with an empty list", "forward: [{zone: ., servers: []}]", "forward.servers is empty"},
    {"too many servers",
     "forward: [{zone: ., servers: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, "
     "10.0.0.7, 10.0.0.8, 10.0.0.9, 10.0.0.10, 10.0.0.11, 10.0.0.12, 10.0.0.13, 10.0.0.14, "
     "10.0.0.15, 10.0.0.16, 10.0.0.17]}]",
     "has 17 elements; at most 16"},
    {"server twice", "forward: [{zone: ., servers: [10.0.0.1, 10.0.0.1]}]",
     "forward.servers: 10.0.0.1 is listed twice"},
    {"bad zone", "forward: [{zone: a..b, servers: [10.0.0.1]}]",
     "forward.zone: \"a..b\" is not a domain name"},
    {"zone with an asterisk", "forward: [{zone: \"*.a\", servers: [10.0.0.1]}]",
     "write the zone without *"},
    {"zone twice, other case",
     "forward:\n- {zone: a.example, servers: [10.0.0.1]}\n- {zone: A.example., servers: "
     "[10.0.0.2]}",
     "t:3:3: forward: A.example. is listed twice"},
    {"timeout out of range", "forward: [{zone: ., servers: [10.0.0.1], timeout: 1h}]",
     "forward.timeout: \"1h\" is out of range: 10ms to 30s"},
    {"strategy of later", "forward: [{zone: ., servers: [10.0.0.1], strategy: fastest}]",
     "forward.strategy: \"fastest\" is none of ordered"},
    {"other strategy of later", "forward: [{zone: ., servers: [10.0.0.1], strategy: parallel}]",
     "forward.strategy: \"parallel\" is none of ordered"},
    {"hmac of later", "audit: {client-address: hmac}",
     "audit.client-address: \"hmac\" is none of full, prefix"},
    {"client rate of later", "limits: {client-rate: 20}",
     "limits.client-rate: \"20\" is out of range: 0 to 0"},
    {"outputs of later", "audit: {outputs: [{file: /x}]}",
     "audit.outputs: only [] works in this version"},
    {"server is our own address", "forward:\n- {zone: ., servers: [192.0.2.1, 127.0.0.1]}",
     "t:2:34: forward.servers: 127.0.0.1:53 is in server.listen"},
    {"server behind our wildcard",
     "server: {listen: [\"0.0.0.0:5300\"]}\nforward: [{zone: ., servers: [\"127.0.0.9:5300\"]}]",
     "127.0.0.9:5300 is in server.listen"},
    {"server behind our wildcard, IPv6",
     "server: {listen: [\"[::]:5300\"]}\nforward: [{zone: ., servers: [\"[::1]:5300\"]}]",
     "[::1]:5300 is in server.listen"},
    {"server without an address", "forward: [{zone: ., servers: [0.0.0.0]}]",
     "0.0.0.0 is not the address of a server"},
    {"open resolver", "server: {listen: [0.0.0.0]}\naccess:\n- {net: 0.0.0.0/0, action: allow}",
     "t:3:3: access: 0.0.0.0/0 is the whole Internet"},
    {"open resolver, IPv6", "server: {listen: [\"::\"]}\naccess: [{net: \"::/0\", action: allow}]",
     "server.open-resolver: yes"},
    {"open resolver in two halves",
     "server: {listen: [0.0.0.0]}\naccess: [{net: 0.0.0.0/1, action: allow}, {net: 128.0.0.0/1, "
     "action: allow}]",
     "access: 128.0.0.0/1 is the whole Internet or a large part"},
    {"open resolver on a public address",
     "server: {listen: [198.51.100.1]}\naccess: [{net: 0.0.0.0/0, action: allow}]",
     "server.listen has 198.51.100.1:53"},
    {"TTLs the wrong way round", "cache:\n  max-ttl: 10\n  min-ttl: 20",
     "t:3:12: cache.min-ttl is longer than cache.max-ttl"},
    {"anchor", "cache: &a {size: 1M}", "t:1:8: "},
    {"NUL", "cache: \"\\0\"", "t:1:8: "},
};

static void check_bad(void **state)
{
    const struct bad_row *row = *state;
    struct settings *s = NULL;
    struct diags d;
    char *text;

    diags_init(&d);
    assert_int_equal(read_text(&s, row->text, &d), -EINVAL);
    assert_null(s);
    text = problems_of(&d);
    assert_has(text, row->want);
    free(text);
    diags_fini(&d);
}

static void every_problem_is_told(void **state)
{
    static const char text[] = "sever: 1\ncache: {size: 1, max-ttl: x}\nserver:\n  listen: [a, b]\n"
                               "forward: [{zone: ., servers: [c], timout: 1s}]\n";
    struct settings *s = NULL;
    struct diags d;

    diags_init(&d);
    assert_int_equal(read_text(&s, text, &d), -EINVAL);
    assert_int_equal(d.all, 7);
    diags_fini(&d);
    assert_int_equal(read_text(&s, text, NULL), -EINVAL);
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

static void copy_shares_nothing(void **state)
{
    struct settings *is,
        *was = good("server: {name: a, listen: [10.0.0.1, \"[::1]:5300\"]}\n"
                    "access: [{net: 10.0.0.0/8, action: allow}, {net: 10.6.0.0/16, action: drop}]\n"
                    "forward: [{zone: ., servers: [192.0.2.1, 192.0.2.2], fall-back: no}, {zone: "
                    "corp.example, "
                    "servers: [\"192.0.2.3:54\"], timeout: 2s}]\nkms: {mode: shadow}\n");
    char *before = printed(was), *after;
    uint32_t id = was->routes[1].id;

    assert_int_equal(settings_copy(&is, was), 0);
    assert_int_equal(settings_compare(was, is, NULL, NULL), 0);
    assert_ptr_not_equal(is->routes[1].servers, was->routes[1].servers);
    settings_free(was);
    after = printed(is);
    assert_string_equal(after, before);
    assert_int_equal(is->n_access, 2);
    assert_int_equal(is->routes[1].id, id);
    free(before);
    free(after);
    settings_free(is);
}

/* An empty access list allows nobody; where none is given, the machine's networks may ask. */
static void copy_of_no_list_is_none(void **state)
{
    struct settings *is, *was = good("server: {name: a}");

    assert_int_equal(settings_copy(&is, was), 0);
    assert_null(is->access);
    settings_free(is);
    settings_free(was);
}

/* Each file is good by itself; the mix of both would be an open resolver. */
static void reload_cannot_open_the_resolver(void **state)
{
    struct settings *was = good("server: {listen: [0.0.0.0]}");
    struct settings *is =
        good("server: {listen: [10.0.0.1]}\naccess: [{net: 0.0.0.0/0, action: allow}]");
    struct diags d;
    char *text;

    diags_init(&d);
    assert_int_equal(settings_keep(is, was, &d), -EINVAL);
    text = problems_of(&d);
    assert_has(text, "access: 0.0.0.0/0 is the whole Internet");
    free(text);
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

/* ---- the table and the sample ---- */

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
    ROWS_WITH(values, check_value, make_folder, remove_folder);
    ROWS_WITH(values, check_round_trip, make_folder, remove_folder);
    ROWS_WITH(bad, check_bad, make_folder, remove_folder);
    TEST_WITH(every_problem_is_told, make_folder, remove_folder);
    TEST_WITH(reload_keeps_what_needs_a_restart, make_folder, remove_folder);
    TEST_WITH(copy_shares_nothing, make_folder, remove_folder);
    TEST_WITH(copy_of_no_list_is_none, make_folder, remove_folder);
    TEST_WITH(reload_cannot_open_the_resolver, make_folder, remove_folder);
    TEST_WITH(route_ids, make_folder, remove_folder);
    TEST_WITH(the_sample_is_the_defaults, make_folder, remove_folder);
    TEST_WITH(the_sample_lists_read, make_folder, remove_folder);
    return RUN("settings");
}
