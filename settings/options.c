/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.c -- the table of options: the only place that knows an option's
 * name, type, limits, default and help.
 *
 * A new option is a field in options.h and a row here; file, -o, --check,
 * --print-config, --print-sample, reload and the tests get it from the row.
 * Then print the sample file anew: `waymarkd --print-sample`.
 *
 * Defaults are texts that the ordinary parser reads, so they obey the limits
 * and are written as an administrator would write them.
 */
#include "settings/options.h"

#include <string.h>

#include "base/log.h"
#include "wire/present.h"

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define MEGA (1ull << 20)
#define GIGA (1ull << 30)

#define YESNO(t, f) FIELD(t, f, bool), .kind = &kind_bool
#define COUNT(t, f, lo, hi) FIELD(t, f, uint32_t), .kind = &kind_count, .min = (lo), .max = (hi)
#define WORD(t, f, list) FIELD(t, f, uint32_t), .kind = &kind_word, .words = (list)
#define DURATION(t, f, lo, hi)                                                                     \
    FIELD(t, f, uint64_t), .kind = &kind_duration, .min = (lo), .max = (hi)
#define MOMENT(t, f, lo, hi) FIELD(t, f, uint32_t), .kind = &kind_duration, .min = (lo), .max = (hi)
#define SIZE(t, f, lo, hi) FIELD(t, f, uint64_t), .kind = &kind_size, .min = (lo), .max = (hi)
#define TEXT(t, f, why) FIELD(t, f, const char *), .kind = &kind_text, .check = (why)
#define ZONE(t, f) FIELD(t, f, struct name), .kind = &zone_kind
#define NET(t, f) FIELD(t, f, struct prefix), .kind = &kind_prefix
#define ADDRS(t, f, n, lo, hi)                                                                     \
    FIELD_LIST(t, f, n, const struct addr *), .element = &addr_row, .min = (lo), .max = (hi)
#define RECORDS(t, f, n, type, row, hi)                                                            \
    FIELD_LIST(t, f, n, const struct type *), .element = (row), .max = (hi)

/* name, field with its limits, default as written, enum option_flag, help */
#define OPTION(name, form, written, bits, text)                                                    \
    {                                                                                              \
        .key = name, form, .fallback = written, .flags = bits, .help = text                        \
    }

/* ---- kinds ---- */

enum { DNS_PORT = 53 };

static int read_zone(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    struct name zone = {0};

    if (name_parse(&zone, node->text) != 0)
        return form_wrong(form, f, node, NULL, NULL);
    if (zone.len > 2 && zone.data[0] == 1 && zone.data[1] == '*')
        return form_problem(form, node,
                            "%s: write the zone without *: it covers all names below it", f->key);
    name_fold(&zone);
    *(struct name *)to = zone;
    return 0;
}

static void print_zone(const struct field *f, const void *from, struct str *s)
{
    char name[NAME_TEXT];

    (void)f;
    yaml_quote(s, name_print(from, name));
}

static const struct field_kind zone_kind = {read_zone, print_zone,
                                            "%k: \"%t\" is not a domain name", false};

static int read_addr(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    if (node->kind == YAML_SCALAR && addr_parse(to, node->text, DNS_PORT) == 0)
        return 0;
    return form_problem(form, node,
                        "%s: \"%s\" is not an address; write it like 192.0.2.1, "
                        "\"192.0.2.1:53\", \"2001:db8::1\" or \"[2001:db8::1]:53\"",
                        f->key, node->kind == YAML_SCALAR ? node->text : "[...]");
}

static void print_addr(const struct field *f, const void *from, struct str *s)
{
    char text[ADDR_TEXT];

    (void)f;
    str_addf(s, "\"%s\"", addr_print_port(from, text));
}

static const struct field_kind addr_kind = {read_addr, print_addr, NULL, true};
static const struct field addr_row = {
    .kind = &addr_kind, .size = sizeof(struct addr), .flags = FIELD_UNIQUE};
static const struct field output_row = {.kind = &addr_kind}; /* there is none yet */

/* ---- texts ---- */

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

const char *option_not_a_host(const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n > 253)
        return "must have 1 to 253 characters";
    if (strspn(text, HOST_CHARACTERS) != n)
        return "may have letters, digits, and . - _ only";
    return NULL;
}

static const char *not_a_user(const char *text)
{
    if (strlen(text) > 32)
        return "must have at most 32 characters";
    if (text[strspn(text, HOST_CHARACTERS)] != '\0' || text[0] == '-')
        return "is not the name of a user";
    return NULL;
}

static const char *not_a_path(const char *text)
{
    if (text[0] != '/')
        return "must be an absolute path: begin it with /";
    return strlen(text) > 1024 ? "is longer than 1024 characters" : NULL;
}

/* sockaddr_un has room for 108 characters, one of them the final NUL. */
static const char *not_a_socket(const char *text)
{
    return strlen(text) > 107 ? "is longer than the 107 characters of a socket's path"
                              : not_a_path(text);
}

/* ---- words ---- */

static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const access_actions[] = {"allow", "refuse", "drop", NULL};
static const char *const strategies[] = {"ordered", "fastest", "parallel", NULL};
static const char *const client_addresses[] = {"full", "prefix", "hmac", NULL};

/* ---- lists ---- */

static const struct field access_rows[] = {
    {.key = "access.net", NET(access_rule, net), .help = "the clients: an address or a prefix"},
    {.key = "access.action",
     WORD(access_rule, action, access_actions),
     .help = "allow; refuse: answer REFUSED; drop: no answer"},
    {.key = NULL},
};
static const struct field access_row = {
    .key = "access",
    .rows = access_rows,
    .size = sizeof(struct access_rule),
    .help = "- {net: 10.0.0.0/8, action: allow}\n"
            "- {net: 10.66.0.0/16, action: refuse}\n"
            "- {net: \"2001:db8::/32\", action: allow}\n",
};

static const struct field route_rows[] = {
    {.key = "forward.zone",
     ZONE(route, zone),
     .help = "this name and all below it; . is everything"},
    {.key = "forward.servers",
     ADDRS(route, servers, n_servers, 1, ROUTE_MAX_SERVERS),
     .help = "address, or address:port; all of them must give the same answers"},
    {.key = "forward.strategy",
     WORD(route, strategy, strategies),
     .later = 2,
     .fallback = "ordered",
     .help = "ordered: the next server is asked when one does not answer"},
    OPTION("forward.timeout", MOMENT(route, timeout_ms, 10, 30 * SECOND), "1s", 0,
           "how long one try waits for a reply"),
    OPTION("forward.trust-ad", YESNO(route, trust_ad), "no", 0,
           "keep the AD bit of their replies: only if they validate and nobody can change packets "
           "on the way"),
    OPTION("forward.edns", YESNO(route, edns), "yes", 0,
           "ask them with EDNS; the daemon finds out by itself which server cannot"),
    OPTION("forward.fall-back", YESNO(route, fall_back), "no", 0,
           "ask the route of . when all of them fail"),
    {.key = NULL},
};
static const struct field route_row = {
    .key = "forward",
    .rows = route_rows,
    .size = sizeof(struct route),
    .help = "- {zone: ., servers: [192.0.2.53, \"192.0.2.54:5353\"], timeout: 1s}\n"
            "- {zone: corp.example, servers: [10.0.0.53, \"2001:db8::53\"]}\n",
};

/* ---- the tables ---- */

const struct option_section settings_sections[] = {
    {"server",
     "The process. All of these but open-resolver, hide-identity and hide-version need a restart."},
    {"cache", "The cache of answers."},
    {"kms", "Questions for _vlmcs._tcp.<suffix> SRV, with which Windows looks for its KMS host."},
    {"policy", "The policy database, which `waymarkctl` edits."},
    {"audit", "The record of every discovery question."},
    {"limits", "Limits on what clients may use."},
    {"control", "The socket over which `waymarkctl` talks to the daemon."},
    {NULL, NULL},
};

const struct field settings_options[] = {
    {.key = "server.name",
     TEXT(settings, server.name, option_not_a_host),
     .flags = OPTION_RESTART,
     .computed = "the host name",
     .help = "The name of this forwarder: in the audit, where the records of several forwarders "
             "can meet, and for clients that ask who answers."},
    OPTION("server.listen", ADDRS(settings, server.listen, server.n_listen, 1, 64),
           "[\"127.0.0.1:53\", \"[::1]:53\"]", OPTION_RESTART,
           "The addresses on which the daemon takes questions, by UDP and TCP. The port is 53 "
           "unless written. 0.0.0.0 and [::] mean all addresses of the machine."),
    OPTION("server.open-resolver", YESNO(settings, server.open_resolver), "no", 0,
           "Confirms that the access list may allow the whole Internet on an address that the "
           "Internet may reach. Without it the daemon refuses such settings, because open "
           "resolvers are used to attack others."),
    OPTION("server.hide-identity", YESNO(settings, server.hide_identity), "no", 0,
           "The daemon does not tell server.name to clients that ask who answers: id.server and "
           "hostname.bind, CH TXT, and the EDNS option NSID."),
    OPTION("server.hide-version", YESNO(settings, server.hide_version), "yes", 0,
           "The daemon does not tell its version: version.server and version.bind, CH TXT."),
    OPTION("server.workers", COUNT(settings, server.workers, 0, 256), "0", OPTION_RESTART,
           "How many threads answer questions; 0 is one per core."),
    OPTION("server.user", TEXT(settings, server.user, not_a_user), "waymark", OPTION_RESTART,
           "The user that the daemon becomes when root starts it; with \"\" it stays root."),
    {.key = "server.state-dir",
     TEXT(settings, server.state_dir, not_a_path),
     .flags = OPTION_RESTART,
     .computed = "lib/waymark below the local state directory, as built",
     .help = "The folder of the policy database and the audit."},
    {.key = "server.run-dir",
     TEXT(settings, server.run_dir, not_a_path),
     .flags = OPTION_RESTART,
     .computed = "waymark below the run directory, as built",
     .help = "The folder of the control socket."},
    {.key = "server.log-level",
     WORD(settings, server.log_level, log_levels),
     .min = LOG_LEVEL_ERROR,
     .flags = OPTION_RESTART,
     .fallback = "info",
     .help = "The least important messages that the daemon writes to standard error."},

    {.key = "access",
     RECORDS(settings, access, n_access, access_rule, &access_row, 4096),
     .computed = "loopback and the networks of the machine's own interfaces are allowed",
     .help = "Who may ask. The longest net that contains the client decides; a client in no net "
             "gets REFUSED. A list replaces the default. Loopback is allowed unless the list names "
             "a net inside 127.0.0.0/8 or ::1."},
    {.key = "forward",
     RECORDS(settings, routes, n_routes, route, &route_row, 4096),
     .fallback = "[]",
     .computed = "the servers of /etc/resolv.conf",
     .help = "Which servers are asked. The longest zone that contains the name decides, and only "
             "its servers are asked."},

    OPTION("cache.size", SIZE(settings, cache.size, MEGA, 64 * GIGA), "64M", OPTION_RESTART,
           "How much memory the answers may take."),
    OPTION("cache.min-ttl", DURATION(settings, cache.min_ttl_ms, 0, HOUR), "0", 0,
           "An answer is kept for at least this time, whatever its TTL says."),
    OPTION("cache.max-ttl", DURATION(settings, cache.max_ttl_ms, 0, YEAR), "1d", 0,
           "An answer is kept for at most this time."),
    OPTION("cache.max-negative-ttl", DURATION(settings, cache.max_negative_ttl_ms, 0, DAY), "5m", 0,
           "A negative answer (NXDOMAIN, NODATA) is kept for at most this time."),
    OPTION("cache.serve-stale", DURATION(settings, cache.serve_stale_ms, 0, 30 * DAY), "1d", 0,
           "When no server answers, an expired answer is given for this time after its end (RFC "
           "8767), with a TTL of 30 s; 0 is never. Such an answer also decides KMS questions."),
    OPTION("cache.rotate", YESNO(settings, cache.rotate), "yes", 0,
           "The records of a kept answer begin with another one each time, which spreads clients "
           "that take the first."),
    OPTION("cache.stale-deadline", DURATION(settings, cache.stale_deadline_ms, 10, 30 * SECOND),
           "1800ms", OPTION_UNUSED,
           "A client waits for this time before it gets an expired answer."),
    OPTION("cache.prefetch", YESNO(settings, cache.prefetch), "yes", OPTION_UNUSED,
           "The daemon asks again in the last tenth of an answer's life."),
    OPTION("cache.persist", YESNO(settings, cache.persist), "yes", OPTION_RESTART | OPTION_UNUSED,
           "The answers are kept over a restart."),

    OPTION("kms.mode", WORD(settings, kms.mode, mode_names), "live", 0,
           "live: the policy decides. shadow: the policy decides and the decision is recorded, but "
           "the answer of the real DNS is delivered. off: these questions are forwarded like any "
           "other."),
    OPTION("kms.upstream-deadline", DURATION(settings, kms.upstream_deadline_ms, 10, 10 * SECOND),
           "700ms", 0,
           "The policy waits for the real DNS for this time, then decides without it. A Windows "
           "client repeats its question after one second."),
    OPTION("kms.max-negative-ttl", DURATION(settings, kms.max_negative_ttl_ms, 0, DAY), "60s", 0,
           "A negative answer to such a question is kept for at most this time."),
    OPTION("kms.explain-in-edns", YESNO(settings, kms.explain_in_edns), "no", 0,
           "Clients that send EDNS are told the name of the rule that decided (RFC 8914)."),
    OPTION("kms.probe-interval", DURATION(settings, kms.probe_interval_ms, SECOND, DAY), "30s",
           OPTION_UNUSED, "How often the KMS hosts of the policy are tried by TCP."),
    OPTION("kms.probe-timeout", DURATION(settings, kms.probe_timeout_ms, 10, MINUTE), "2s",
           OPTION_UNUSED, "How long one such try waits."),

    OPTION("policy.history", DURATION(settings, policy.history_ms, DAY, 100 * YEAR), "2y", 0,
           "The log of policy changes is kept for this time."),
    OPTION("policy.require-reason", YESNO(settings, policy.require_reason), "no", 0,
           "`waymarkctl` refuses a change of the policy without --reason."),

    OPTION("audit.retention", DURATION(settings, audit.retention_ms, SECOND, 100 * YEAR), "90d", 0,
           "Events, the records of single questions, are kept for this time."),
    OPTION("audit.ledger-retention",
           DURATION(settings, audit.ledger_retention_ms, SECOND, 100 * YEAR), "400d", 0,
           "A row of the ledger, the sums by client, suffix, target and rule, is kept for this "
           "time after the last question that touched it."),
    OPTION("audit.max-size", SIZE(settings, audit.max_size, MEGA, 30 * GIGA), "1G", 0,
           "The size of the audit on disk; above 90 % of it the oldest events are removed."),
    OPTION("audit.max-rate", COUNT(settings, audit.max_rate, 1, 10000000), "5000", 0,
           "How many questions in a second are recorded as events; those above are counted in the "
           "ledger only."),
    OPTION("audit.max-rate-client", COUNT(settings, audit.max_rate_client, 1, 1000000), "10", 0,
           "The same for one client."),
    OPTION("audit.max-clients", COUNT(settings, audit.max_clients, 1, 100000000), "1000000", 0,
           "How many clients have a row of their own in the ledger; all others share the row "
           "\"(other)\"."),
    OPTION("audit.max-suffixes", COUNT(settings, audit.max_suffixes, 1, 100000000), "100000", 0,
           "The same for suffixes, for hosts and for rules, each on its own."),
    OPTION("audit.commit-interval", DURATION(settings, audit.commit_interval_ms, 10, MINUTE), "1s",
           0, "How often events are written to disk; a crash loses at most those of this time."),
    {.key = "audit.client-address",
     WORD(settings, audit.client_address, client_addresses),
     .later = 1,
     .fallback = "full",
     .help =
         "How a client is recorded. full: its address. prefix: only its /24 (IPv4) or /56 (IPv6)."},
    OPTION("audit.outputs", .element = &output_row, "[]", OPTION_UNUSED,
           "Copies of the events to files and to syslog; only the empty list is accepted."),

    OPTION("limits.client-rate", COUNT(settings, limits.client_rate, 0, 0), "0", 0,
           "How many questions one client may ask in a second; 0 is without limit, and the only "
           "value in this version."),
    OPTION("limits.tcp-connections", COUNT(settings, limits.tcp_connections, 1, 1000000), "1024", 0,
           "How many TCP connections there may be; another one closes the one that has been idle "
           "longest."),
    OPTION("limits.tcp-per-client", COUNT(settings, limits.tcp_per_client, 1, 1000000), "32", 0,
           "How many TCP connections one client may have; another one closes its own that has been "
           "idle longest."),
    OPTION("limits.tcp-idle", DURATION(settings, limits.tcp_idle_ms, 100, HOUR), "10s", 0,
           "A connection without a question is closed after this time."),
    OPTION("limits.in-flight", COUNT(settings, limits.in_flight, 16, 1000000), "4096", 0,
           "How many questions may wait for a server; another one takes the place of the oldest of "
           "the clients that have most."),

    {.key = "control.socket",
     TEXT(settings, control.socket, not_a_socket),
     .flags = OPTION_RESTART,
     .computed = "control.sock in server.run-dir",
     .help = "The path of the UNIX socket. The group of server.user may read over it; its user and "
             "root may also change things."},
    {.key = NULL},
};

_Static_assert(ARRAY_LEN(settings_options) <= OPTIONS_MAX, "OPTIONS_MAX is too small");
