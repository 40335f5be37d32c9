/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings.c -- builds a generation of settings: defaults, the file, conf.d, -o;
 * and what is asked of it: who may ask, what a reload changes, how it looks.
 *
 * Each source writes its values over those before it; rules between options are checked
 * at the end, and name the source of the value in force. Reading goes on after a problem,
 * so that one run shows them all. An open resolver multiplies attacks (RFC 5358, RFC 5625
 * 6.2), so it is an error, not a warning.
 *
 * Values are compared, copied and kept as printed: what reads back the same is the same. The sample
 * names the paths of the build in words, so that it is the same for each prefix.
 */
#include "settings/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fields.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "wire/message.h"

enum { DNS_PORT = 53, FILE_MAX_BYTES = 16 << 20, RECORDS_MAX = 4096, WIDTH = 78, HELP_TEXT = 1000 };

enum option_flag { RESTART = FIELD_FLAGS /* a reload keeps the value that is in force */ };

static const struct field_kind zone_kind, address_kind;

/* Of an address: the minimum of its field. And what 0.0.0.0 is not. */
enum { LISTENER, SERVER, SOURCE };
static const char *const address_roles[] = {NULL, "is not the address of a server",
                                            "is not an address of this machine"};

/* "10.0.0.0/8" is the zone of its reverse names. NULL, or what is wrong with it as a prefix; the zone
 * has no length: it is none, since no address stands before the slash. */
static const char *read_reverse(const char *text, struct name *zone)
{
    char name[NAME_TEXT];
    struct prefix p;
    struct str s;
    unsigned unit, first, n;
    const char *why;

    zone->len = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "/"), text);
    if (strchr(text, '/') == NULL || prefix_parse(&p, name) != NULL)
        return NULL;
    if ((why = prefix_parse(&p, text)) != NULL)
        return why;
    unit = prefix_is_v4(&p) ? 8 : 4;
    first = prefix_is_v4(&p) ? 12 : 0;
    n = (p.len - 8 * first) / unit;
    if (p.len % unit != 0)
        return "is no zone: its length is no multiple of 8, or of 4 for IPv6; write the longer "
               "prefixes that it consists of, each with a route";
    str_init(&s, name, sizeof name);
    while (n-- > 0)
        if (unit == 8)
            str_addf(&s, "%d.", p.ip[first + n]);
        else
            str_addf(&s, "%x.", p.ip[n / 2] >> (n % 2 == 0 ? 4 : 0) & 15);
    str_addf(&s, "%s", unit == 8 ? "in-addr.arpa" : "ip6.arpa");
    (void)name_parse(zone, name);
    return NULL;
}

static int read_setting(struct form *form, const struct field *f, const struct yaml_node *node,
                        void *to)
{
    bool is_address = f->kind == &address_kind;
    uint16_t port = f->min == LISTENER ? DNS_PORT : 0; /* a server's depends on its route */
    struct name *zone = to;
    struct addr *a = to;
    const char *why = NULL;

    if (!is_address && ((why = read_reverse(node->text, zone)) != NULL || zone->len > 0))
        return why ? form_wrong(form, f, node, why) : 0;
    if ((is_address ? addr_parse(a, node->text, port) : name_parse(zone, node->text)) != 0)
        return form_wrong(form, f, node, NULL);
    if (is_address) {
        if (f->min == SOURCE && a->port != 0)
            why = "has a port; it is drawn for each question";
        else if (f->min != LISTENER && addr_is(a, ADDR_ANY))
            why = address_roles[f->min];
        return why ? form_wrong(form, f, node, why) : 0;
    }
    if (zone->data[0] == 1 && zone->data[1] == '*')
        return form_wrong(form, f, node,
                          "begins with *; write the zone without *: it covers all names below it");
    name_fold(zone);
    return 0;
}

static void print_setting(const struct field *f, const void *from, FILE *out)
{
    const char *(*print)(const struct addr *, char *) =
        f->min == SOURCE ? addr_print : addr_print_port;
    char text[NAME_TEXT];

    if (f->kind == &zone_kind)
        yaml_print(out, name_print(from, text));
    else
        fprintf(out, "\"%s\"", print(from, text));
}

/* clang-format off */
static const struct field_kind
    zone_kind = {read_setting, print_setting, "is not a domain name", NULL, false},
    address_kind = {read_setting, print_setting, "is not an address; write it like 192.0.2.1, "
                    "\"192.0.2.1:53\", \"2001:db8::1\" or \"[2001:db8::1]:53\"", NULL, false};
/* clang-format on */

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static const char *check_host(const char *text)
{
    return text[0] != '\0' && text[strspn(text, HOST_CHARACTERS)] == '\0'
               ? NULL
               : "must be letters, digits, and . - _";
}

static const char *check_user(const char *text)
{
    return text[0] == '-' || text[strspn(text, HOST_CHARACTERS)] != '\0'
               ? "is not the name of a user"
               : NULL;
}

static const char *check_path(const char *text)
{
    return text[0] == '/' ? NULL : "must be an absolute path: begin it with /";
}

static const char *check_file(const char *text)
{
    return text[0] == '\0' ? NULL : check_path(text);
}

/* check_tls() looks at it. */
static const char *check_later(const char *text)
{
    (void)text;
    return NULL;
}

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

static const char *check_pin(const char *text)
{
    enum { BEFORE = sizeof "sha256/" - 1, DIGITS = 43 };

    return strncmp(text, "sha256/", BEFORE) == 0 && strspn(text + BEFORE, BASE64) == DIGITS &&
                   strcmp(text + BEFORE + DIGITS, "=") == 0
               ? NULL
               : "is not sha256/ and 44 characters of base64";
}

static const char *check_endpoint(const char *text)
{
    struct endpoint to;

    return endpoint_parse(&to, text);
}

const char *const access_actions[] = {"allow", "refuse", "drop", NULL};
const char *const strategies[] = {"ordered", "fastest", "parallel", NULL};
const char *const tls_modes[] = {"off", "opportunistic", "strict", NULL};
/* In the order of enum audit_format; of RFC 5424, table 1. */
static const char *const formats[] = {"ecs", "cef", "text", NULL};
static const char *const facilities[] = {
    "kern",   "user",     "mail",   "daemon", "auth",   "syslog", "lpr",   "news",   "uucp",
    "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock", "local0", "local1",
    "local2", "local3",   "local4", "local5", "local6", "local7", NULL};
static const char *const seccomp_words[] = {"no", "yes", "kill", NULL};
static const char *const client_addresses[] = {"full", "prefix", "hmac", NULL};

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define MEGA (1ull << 20)
#define GIGA (1ull << 30)

static const struct field addr_row = {
    .kind = &address_kind, .size = sizeof(struct addr), .flags = FIELD_UNIQUE};
static const struct field prefix_row = {
    .kind = &kind_prefix, .size = sizeof(struct prefix), .flags = FIELD_UNIQUE};
static const struct field server_row = {
    .kind = &address_kind, .size = sizeof(struct addr), .flags = FIELD_UNIQUE, .min = SERVER};
static const struct field source_row = {
    .kind = &address_kind, .size = sizeof(struct addr), .flags = FIELD_UNIQUE, .min = SOURCE};

/* Kind and limits, as options.h names them. */
#define TEXT(why, longest, in_words)                                                               \
    .kind = &kind_text, .check = why, .max = longest, .computed = in_words
#define YESNO() .kind = &kind_bool
#define NUMBER(least, most) .kind = &kind_count, .min = least, .max = most
#define SIZE(least, most) .kind = &kind_size, .min = least, .max = most
#define DURATION(least, most) .kind = &kind_duration, .min = least, .max = most
#define WORD(list, first) .kind = &kind_word, .words = list, .min = first
#define ROW(name, written, text, ...)                                                              \
    {                                                                                              \
        .key = name, .fallback = written, .help = text, __VA_ARGS__                                \
    }
#define LIST(record, list, n, type, row, ...)                                                      \
    FIELD_LIST_OF(record, list, n, const struct type *), .element = &row, __VA_ARGS__

/* clang-format off */
static const struct field access_rows[] = {
    ROW("access.net", NULL, "the clients: an address or a prefix",
        FIELD(access_rule, net, struct prefix), .kind = &kind_prefix),
    ROW("access.action", NULL, "allow; refuse: answer REFUSED; drop: no answer",
        FIELD(access_rule, action, uint32_t), WORD(access_actions, 0)),
    {0},
};
static const struct field access_rule_row = {
    .key = "access", .rows = access_rows, .size = sizeof(struct access_rule), .flags = FIELD_UNIQUE,
    .help = "#  - {net: 10.0.0.0/8, action: allow}\n"
            "#  - {net: 10.66.0.0/16, action: refuse}\n"
            "#  - {net: \"2001:db8::/32\", action: allow}\n",
};

static const struct field pin_row = {
    .key = "forward.tls-pin", .size = sizeof(const char *), .flags = FIELD_UNIQUE, TEXT(check_pin, 64, NULL)};
static const struct field route_rows[] = {
    ROW("forward.zone", NULL, "this name and all below it; . is everything",
        FIELD(route, zone, struct name), .kind = &zone_kind),
    ROW("forward.servers", NULL, "address, or address:port; all of them must give the same answers",
        LIST(route, servers, n_servers, addr, server_row, .flags = FIELD_LIST,
             .min = 1, .max = ROUTE_MAX_SERVERS)),
    ROW("forward.strategy", "ordered",
        "ordered: the next server is asked when one does not answer; fastest: the one that replies "
        "fastest comes first; parallel: three are asked at once",
        FIELD(route, strategy, uint32_t), WORD(strategies, 0)),
    ROW("forward.source", "[]",
        "this machine's address from which they are asked; one for each family that they have",
        LIST(route, sources, n_sources, addr, source_row, .max = 2)),
    ROW("forward.timeout", "1s", "how long one try waits for a reply",
        FIELD(route, timeout_ms, uint32_t), DURATION(10, 30 * SECOND)),
    ROW("forward.trust-ad", "no",
        "keep the AD bit of their replies: only if they validate and the way is safe",
        FIELD(route, trust_ad, bool), YESNO()),
    ROW("forward.edns", "yes", "ask them with EDNS; which server cannot is found out",
        FIELD(route, edns, bool), YESNO()),
    ROW("forward.stop-rebinding", "no",
        "leave addresses that are not public out of their answers; an inner zone has its own route",
        FIELD(route, stop_rebinding, bool), YESNO()),
    ROW("forward.fall-back", "no", "ask the route of . when all of them fail",
        FIELD(route, fall_back, bool), YESNO()),
    ROW("forward.tls", "off",
        "opportunistic: over TLS where the server takes it, whoever it is, else as without; "
        "strict: over TLS alone, from servers that prove who they are",
        FIELD(route, tls, uint32_t), WORD(tls_modes, 0)),
    ROW("forward.tls-name", "\"\"", "strict: the name that their certificates must have",
        FIELD(route, tls_name, const char *), TEXT(check_later, 253, NULL)),
    ROW("forward.tls-pin", "[]",
        "strict: their keys, \"sha256/BASE64\"; one of them must be that of the certificate",
        FIELD_LIST_OF(route, tls_pins, n_tls_pins, const char *const *), .element = &pin_row,
        .max = ROUTE_MAX_PINS),
    ROW("forward.tls-ca", "\"\"",
        "strict: the file of the CAs for tls-name, in PEM form; none: those of the system",
        FIELD(route, tls_ca, const char *), TEXT(check_file, 1023, NULL)),
    ROW("forward.tls-port", "853",
        "of servers for which none is written (strict), or of TLS (opportunistic)",
        FIELD(route, tls_port, uint16_t), NUMBER(1, 65535)),
    {0},
};
static const struct field route_row = {
    .key = "forward", .rows = route_rows, .size = sizeof(struct route),
    .flags = FIELD_UNIQUE | FIELD_DEFAULTS,
    .help = "#  - {zone: ., servers: [192.0.2.53, \"192.0.2.54:5353\"], timeout: 1s}\n"
            "#  - {zone: corp.example, servers: [10.0.0.53, \"2001:db8::53\"]}\n",
};

static const struct field output_rows[] = {
    ROW("outputs.to", NULL, "file:/PATH, or a syslog server: udp:ADDRESS, tcp:ADDRESS, unix:/PATH",
        FIELD(output, to, const char *), TEXT(check_endpoint, 255, NULL)),
    ROW("outputs.format", "ecs",
        "ecs: JSON, Elastic Common Schema; cef: Common Event Format; text: a sentence",
        FIELD(output, format, uint32_t), WORD(formats, 0)),
    ROW("outputs.facility", "daemon", "of syslog (RFC 5424)",
        FIELD(output, facility, uint32_t), WORD(facilities, 0)),
    {0},
};
static const struct field output_row = {
    .key = "outputs", .rows = output_rows, .size = sizeof(struct output),
    .flags = FIELD_UNIQUE | FIELD_DEFAULTS,
};

#define SECTION(section, text) \
    {.key = #section, .rows = options, .flags = FIELD_SECTION | FIELD_EMPTY, .computed = "", .help = text},
#define END(section)
#define OPTION(section, member, what, limits, name, written, bits, text) \
    ROW(#section "." name, written, text, FIELD(settings, section.member, what##_value), .flags = bits, what limits),
#define LISTED(section, list, n, type, name, lo, hi, written, bits, text) \
    ROW(#section "." name, written, text, \
        LIST(settings, section.list, section.n, type, type##_row, .min = lo, .max = hi, .flags = FIELD_LIST | (bits))),
#define RECORDS(list, n, type, name, written, in_words, text) \
    ROW(name, written, text, \
        LIST(settings, list, n, type, type##_row, .max = RECORDS_MAX, .computed = in_words, .flags = FIELD_LIST)),
/* clang-format on */

static const struct field options[] = {
#include "settings/options.h"
    {0},
};
static const struct field all_options = {.key = "the settings", .rows = options};

/* A list beside the sections. */
static bool stands_beside(const struct field *o)
{
    return o->element && strchr(o->key, '.') == NULL;
}

/* Was the list written, be it an empty one? True for what is no list. */
static bool is_given(const struct field *o, const struct settings *s)
{
    const void *const *list = (const void *)((const char *)s + o->at);

    return o->element == NULL || *list != NULL;
}

/* The sections of which a rule between options may have to speak. */
static const char *const ruled[] = {"access", "cache"};

struct reader {
    struct form form; /* of the text being read */
    struct settings *s;
    struct place {                    /* where each ruled section was given last */
        const struct yaml_node *node; /* NULL: in no line */
        const char *file;
    } at[ARRAY_LEN(ruled)], *routes; /* routes: each; NULL: in no file */
};

/* What a file says of `forward` is beside what those before it said: `n` routes. */
static void join_routes(struct reader *r, const struct yaml_node *list, const struct route *was,
                        int n)
{
    int all = r->s->n_routes + n;
    struct route *routes = arena_alloc(r->s->arena, (size_t)(all + 1) * sizeof *routes);
    struct place *places = arena_alloc(r->s->arena, (size_t)(all + 1) * sizeof *places);
    const struct yaml_node *node = list->first;
    char zone[NAME_TEXT];

    if (routes == NULL || places == NULL) {
        form_no_memory(&r->form);
        return;
    }
    for (int i = 0; i < n; i++) {
        routes[i] = was[i];
        places[i] = r->routes[i];
    }
    for (int i = n; i < all; i++, node = node->next) {
        routes[i] = r->s->routes[i - n];
        places[i] = (struct place){node, r->form.file};
        for (int k = 0; k < n; k++)
            if (name_equal(&routes[k].zone, &routes[i].zone))
                form_problem(&r->form, node, "forward: %s has a route already: %s:%u:%u",
                             name_print(&routes[i].zone, zone), places[k].file,
                             places[k].node->line, places[k].node->column);
    }
    r->s->routes = routes;
    r->s->n_routes = all;
    r->routes = places;
}

/* may_miss: no file is an empty file. drop_in: no pipe either, which would keep
 * a reload waiting. */
static void read_file(struct reader *r, const char *path, bool may_miss, bool drop_in)
{
    const char *name = r->form.file = arena_strdup(r->s->arena, path);
    const struct yaml_node *root, *node;
    struct settings_file *read;
    const struct route *routes = r->s->routes;
    int n_routes = r->s->n_routes, rc;
    struct stat st;
    char *text;
    size_t len;

    if (drop_in && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        form_problem(&r->form, NULL, "is not a file");
        return;
    }
    if ((rc = file_read(path, FILE_MAX_BYTES, &text, &len)) != 0) {
        if (rc != -ENOENT || !may_miss)
            form_problem(&r->form, NULL, "cannot be read: %s", strerror(-rc));
        return;
    }
    if ((read = arena_alloc(r->s->arena, sizeof *read)) != NULL) {
        *read = (struct settings_file){r->s->files, name, drop_in};
        r->s->files = read;
    }
    if ((rc = yaml_read(&root, r->form.arena, name, text, len, r->form.d)) != 0)
        r->form.rc = rc; /* the problems are in d */
    else if (field_read(&r->form, &all_options, root, r->s) != 0) {
        r->s->routes = routes; /* for which r->routes has places */
        r->s->n_routes = n_routes;
    } else if ((node = yaml_get(root, "forward")) != NULL && node->kind == YAML_LIST)
        join_routes(r, node, routes, n_routes);
    for (size_t i = 0; i < ARRAY_LEN(ruled) && rc == 0; i++)
        if ((node = yaml_get(root, ruled[i])) != NULL)
            r->at[i] = (struct place){node, name};
    free(text);
}

/* "section.key=value", or a whole section or list. */
static void read_assigned(struct reader *r, const char *assigned)
{
    size_t n = strcspn(assigned, "=");
    char *file = arena_alloc(r->form.arena, strlen(assigned) + sizeof "-o: "), meant[DIAG_MEANT];
    char *key = arena_strndup(r->form.arena, assigned, n);
    const struct field *o = options;
    unsigned best = 0;

    if (file == NULL || key == NULL) {
        form_no_memory(&r->form);
        return;
    }
    r->form.file = strcat(strcpy(file, "-o: "), assigned);
    r->form.has_no_lines = true;
    for (; o->key && strcmp(o->key, key) != 0; o++)
        diag_nearer(key, o->key, &best, meant);
    if (assigned[n] == '\0')
        form_problem(&r->form, NULL, "write it as section.key=value");
    else if (o->key == NULL)
        form_problem(&r->form, NULL, "there is no such option%s", meant);
    else
        field_read_text(&r->form, o, assigned[n + 1] != '\0' ? assigned + n + 1 : "\"\"", r->s);
    if (strcmp(key, "forward") == 0)
        r->routes = NULL;
    for (size_t i = 0; i < ARRAY_LEN(ruled); i++)
        if (strncmp(key, ruled[i], strlen(ruled[i])) == 0)
            r->at[i] = (struct place){NULL, file};
}

/* A route that has sources has one for each server, and none besides. */
static void check_sources(struct reader *r, const struct route *route, const struct yaml_node *node)
{
    char text[ADDR_TEXT];

    for (int i = 0; i < route->n_sources; i++) {
        const struct addr *source = &route->sources[i];
        bool is_used = false;

        for (int k = 0; k < route->n_servers; k++)
            is_used |= route_source(route, &route->servers[k]) == source;
        if (!is_used)
            form_problem(&r->form, node, "forward.source: no server is asked from %s",
                         addr_print(source, text));
    }
    for (int i = 0; i < route->n_servers && route->n_sources > 0; i++) {
        const struct addr *server = &route->servers[i];

        if (route_source(route, server))
            continue;
        form_problem(&r->form, node, "forward.source: none is of the family of %s",
                     addr_print_port(server, text));
        break;
    }
}

/* Strict says by what a server is known, and nothing else does: it would not be looked at. */
static void check_tls(struct reader *r, const struct route *route, const struct yaml_node *node)
{
    bool known = route->tls_name[0] != '\0' || route->n_tls_pins > 0;

    if (route->tls_name[0] != '\0' && check_host(route->tls_name))
        form_problem(&r->form, node, "forward.tls-name: \"%s\" %s", route->tls_name,
                     check_host(route->tls_name));
    if (route->tls == TLS_STRICT && !known)
        form_problem(&r->form, node,
                     "forward.tls: strict needs tls-name or tls-pin: who must the server be?");
    if (route->tls != TLS_STRICT && (known || route->tls_ca[0] != '\0'))
        form_problem(&r->form, node,
                     "forward.tls: %s looks at no certificate; for tls-name, tls-pin and tls-ca "
                     "write tls: strict",
                     tls_modes[route->tls]);
    if (route->tls == TLS_STRICT && route->tls_name[0] == '\0' && route->tls_ca[0] != '\0')
        form_problem(&r->form, node, "forward.tls-ca has no use without tls-name");
}

static void check_rules(struct reader *r)
{
    const struct settings *s = r->s;
    const struct yaml_node *node = r->at[0].node ? r->at[0].node->first : NULL;
    const struct addr *listener = NULL; /* which strangers reach */
    char text[PREFIX_TEXT], at[ADDR_TEXT];

    r->form.has_no_lines = false;
    r->form.file = r->at[0].file;
    for (int i = 0; i < s->server.n_listen && listener == NULL; i++)
        if (addr_is(&s->server.listen[i], ADDR_ANY) || !addr_is(&s->server.listen[i], ADDR_PRIVATE))
            listener = &s->server.listen[i];
    for (int i = 0; i < s->n_access && listener && !s->server.open_resolver; i++) {
        const struct prefix *net = &s->access[i].net;
        struct addr first = {0};

        /* Nobody's own network is so wide: 0.0.0.0/0, ::/0, or halves and quarters of
         * them. fc00::/7 and fe80::/10 are wide and not public. */
        memcpy(first.ip, net->ip, sizeof first.ip);
        if (s->access[i].action == ACCESS_ALLOW &&
            (prefix_is_v4(net)
                 ? net->len < 96 + 8
                 : net->len < 16 && !(net->len >= 7 && addr_is(&first, ADDR_PRIVATE))))
            form_problem(
                &r->form, node,
                "access: %s is much of the Internet, and server.listen has %s: an open resolver, "
                "with which others are attacked. Allow your own networks only; behind a firewall, "
                "confirm it with server.open-resolver: yes",
                prefix_print(net, text), addr_print_port(listener, at));
        node = node ? node->next : NULL;
    }
    r->form.file = r->at[1].file;
    node = r->at[1].node ? yaml_get(r->at[1].node, "min-ttl") : NULL;
    if (s->cache.min_ttl_ms > s->cache.max_ttl_ms)
        form_problem(&r->form, node, "cache.min-ttl is longer than cache.max-ttl");
    for (int i = 0; i < s->n_routes; i++) {
        r->form.file = r->routes ? r->routes[i].file : "-o";
        check_sources(r, &s->routes[i], r->routes ? yaml_get(r->routes[i].node, "source") : NULL);
        check_tls(r, &s->routes[i], r->routes ? r->routes[i].node : NULL);
    }
}

static int read_begin(struct reader *r, struct diags *d)
{
    struct arena *arena = arena_new();

    *r = (struct reader){.form = {.d = d, .arena = arena, .file = "(defaults)"}};
    r->s = arena ? arena_alloc(arena, sizeof *r->s) : NULL;
    if (r->s == NULL) {
        arena_free(arena);
        return form_no_memory(&r->form);
    }
    r->s->arena = arena;
    for (const struct field *o = options; o->key; o++)
        if (o->fallback)
            field_read_text(&r->form, o, o->fallback, r->s);
    return 0;
}

/* Every option that has the flags gets the value that it has in `from`. */
static void read_from(struct reader *r, const struct settings *from, unsigned flags)
{
    for (const struct field *o = options; o->key; o++) {
        char *text = NULL;

        if (o->rows != NULL || (o->flags & flags) != flags || !is_given(o, from))
            continue;
        if ((text = field_text_of(o, from)) != NULL)
            field_read_text(&r->form, o, text, r->s);
        else
            form_no_memory(&r->form);
        free(text);
    }
}

/* With the defaults that depend on the machine or on other options. */
static int read_end(struct reader *r, struct settings **out)
{
    struct settings *s = r->s;
    char host[256] = "", path[1100];

    if (s->server.name == NULL) {
        if (gethostname(host, sizeof host - 1) != 0 || check_host(host) != NULL)
            strcpy(host, "waymark");
        s->server.name = arena_strdup(s->arena, host);
    }
    snprintf(path, sizeof path, "%s/control.sock", s->server.run_dir);
    if (s->control.socket == NULL)
        s->control.socket = arena_strdup(s->arena, path);
    if (s->server.name == NULL || s->control.socket == NULL)
        form_no_memory(&r->form);
    for (int i = 0; i < s->n_routes; i++) {
        struct route *route = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */

        for (int k = 0; k < route->n_servers; k++) {
            struct addr *server = (struct addr *)(uintptr_t)&route->servers[k];

            if (server->port == 0)
                server->port = route->tls == TLS_STRICT ? route->tls_port : DNS_PORT;
        }
        route->id = route_id(route);
    }
    check_rules(r);
    if (r->form.rc == 0)
        *out = s;
    else
        settings_free(s);
    return r->form.rc;
}

int settings_read(struct settings **out, const char *path, const char *const *assigned,
                  struct diags *d)
{
    const char *file = path ? path : SETTINGS_DEFAULT_PATH, *slash = strrchr(file, '/');
    char folder[PATH_MAX], drop_in[2 * PATH_MAX];
    struct dirent **entries = NULL;
    struct reader r;
    int n = 0;

    if (read_begin(&r, d) != 0)
        return -ENOMEM;
    read_file(&r, file, path == NULL, false);
    snprintf(folder, sizeof folder, "%.*sconf.d", slash ? (int)(slash + 1 - file) : 0, file);
    if (strcmp(file, "-") != 0)
        n = scandir(folder, &entries, NULL, alphasort);
    r.form.file = folder;
    if (n < 0 && errno != ENOENT)
        form_problem(&r.form, NULL, "cannot be read: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        snprintf(drop_in, sizeof drop_in, "%s/%s", folder, entries[i]->d_name);
        /* Editors and package tools leave other names behind; they do not count. */
        if (fnmatch("*.yaml", entries[i]->d_name, FNM_PERIOD) == 0)
            read_file(&r, drop_in, false, true);
        free(entries[i]);
    }
    free(entries);
    for (; assigned && *assigned; assigned++)
        read_assigned(&r, *assigned);
    return read_end(&r, out);
}

int settings_copy(struct settings **out, const struct settings *was)
{
    struct reader r;
    int rc;

    if (read_begin(&r, NULL) != 0)
        return -ENOMEM;
    read_from(&r, was, 0);
    if ((rc = read_end(&r, out)) == 0)
        (*out)->routes_found = was->routes_found;
    return rc;
}

int settings_keep(struct settings *is, const struct settings *was, struct diags *d)
{
    struct reader r = {.s = is, .form = {.d = d, .arena = is->arena}};

    read_from(&r, was, RESTART);
    check_rules(&r);
    return r.form.rc;
}

void settings_free(struct settings *s)
{
    if (s)
        arena_free(s->arena);
}

/* The list is walked for each packet: it is short in practice, and its order says nothing. */
enum access_action settings_access(const struct settings *s, const struct addr *client,
                                   const struct access_rule **rule)
{
    const struct access_rule *rules = s->access ? s->access : s->machine, *best = NULL;
    int n = s->access ? s->n_access : s->n_machine;
    bool v4 = addr_is_v4(client), loopback = addr_is(client, ADDR_LOOPBACK);

    for (int i = 0; i < n; i++) {
        const struct prefix *net = &rules[i].net;

        if ((best != NULL && net->len <= best->net.len) || !prefix_contains(net, client->ip))
            continue;
        if (!loopback || net->len >= (v4 ? 96 + 8 : 128))
            best = &rules[i];
    }
    if (rule)
        *rule = best;
    return best ? best->action : loopback ? ACCESS_ALLOW : ACCESS_REFUSE;
}

/* The servers answer alike in any order; who they are is proved by strict TLS alone. The key is no secret: nobody gains from equal numbers. */
uint32_t route_id(const struct route *route)
{
    struct hash_key key = {0};
    uint64_t servers = 0;
    char text[ADDR_TEXT];

    for (int i = 0; i < route->n_servers + route->n_sources; i++) {
        const struct addr *a = route->servers + i;

        if (i >= route->n_servers)
            a = route->sources + i - route->n_servers;
        addr_print_port(a, text);
        servers += hash_bytes(&key, text, strlen(text));
    }
    key.k0 = servers + route->stop_rebinding + 2u * (route->tls == TLS_STRICT);
    return (uint32_t)hash_bytes(&key, route->zone.data, route->zone.len) | 1;
}

const struct addr *route_source(const struct route *route, const struct addr *server)
{
    for (int i = 0; i < route->n_sources; i++)
        if (addr_is_v4(&route->sources[i]) == addr_is_v4(server))
            return &route->sources[i];
    return NULL;
}

void settings_print(const struct settings *s, FILE *f)
{
    for (const struct field *o = options; o->key; o++)
        if (o->rows)
            fprintf(f, "%s:\n", o->key);
        else if (is_given(o, s))
            field_write(f, strchr(o->key, '.') != NULL ? 2 : 0, field_name(o), o, s);
        else
            fprintf(f, "# no %s: %s\n", o->key, o->computed);
}

void settings_compare(const struct settings *was, const struct settings *is,
                      settings_change *change, void *context)
{
    for (const struct field *o = options; o->key; o++) {
        char *before, *after;

        if (o->rows)
            continue;
        before = is_given(o, was) ? field_text_of(o, was) : strdup("none");
        after = is_given(o, is) ? field_text_of(o, is) : strdup("none");
        if (before && after && strcmp(before, after) != 0)
            change(context, o->key, before, after, (o->flags & RESTART) != 0);
        free(before);
        free(after);
    }
}

static const char sample_head[] =
    "# Settings of waymarkd with their defaults. To change one, take away the # in\n"
    "# front of its name. Files in conf.d/*.yaml beside this one are read after it, in the order\n"
    "# of their names; a list in a later file replaces the one before, but routes (forward) add "
    "up.\n"
    "#\n"
    "# waymarkd --check finds mistakes, waymarkd --print-config shows what is in force.\n"
    "# Durations: 300ms 10s 5m 2h 90d 2y; a bare number is seconds. Sizes: 64K 64M 1G.\n"
    "# An address with a port, and one of IPv6, needs quotes.\n";

/* What is said of an option, of a section, or of a field of a list's elements (`is_field`), as a
 * comment in lines of WIDTH. */
static void print_help(FILE *f, const struct field *o, const char *indent, bool is_field)
{
    char text[HELP_TEXT], least[NUMBER_TEXT], most[NUMBER_TEXT], *rest = text, *word;
    struct str s;
    int used;

    str_init(&s, text, sizeof text);
    str_addf(&s, "%s%s%s%s", is_field ? "  " : "", is_field ? field_name(o) : "",
             is_field ? ": " : "", o->help);
    for (size_t i = 0; o->kind == &kind_word && !is_field && o->words[i]; i++)
        str_addf(&s, "%s%s%s", i == 0 ? " (" : ", ", o->words[i],
                 o->words[i + 1] == NULL ? ")" : "");
    if (o->kind == &kind_bool)
        str_add(&s, " (yes, no)");
    else if (o->kind && o->kind->units && o->max > 0)
        str_addf(&s, " (%s to %s)", units_print(o->min, o->kind->units, least),
                 units_print(o->max, o->kind->units, most));
    if (is_field && o->fallback)
        str_addf(&s, "; default %s", o->fallback);
    else if (stands_beside(o))
        str_addf(&s, " Default: %s.", o->computed);
    used = fprintf(f, "%s#", indent);
    while ((word = strsep(&rest, " ")) != NULL) {
        if (used + (int)strlen(word) > WIDTH)
            used = fprintf(f, "\n%s#%*s", indent, is_field ? 4 : 0, "") - 1;
        used += fprintf(f, " %s", word);
    }
    fputc('\n', f);
}

void settings_print_sample(FILE *f)
{
    const char *indent;

    fputs(sample_head, f);
    for (const struct field *o = options; o->key; o++) {
        if (o == options || o[-1].rows == NULL)
            fputc('\n', f);
        indent = stands_beside(o) || o->rows != NULL ? "" : "  ";
        print_help(f, o, indent, false);
        for (const struct field *row = o->element ? o->element->rows : NULL; row && row->key; row++)
            print_help(f, row, indent, true);
        if (stands_beside(o))
            fprintf(f, "#%s:\n%s", o->key, o->element->help);
        else if (o->rows)
            fprintf(f, "%s:\n", o->key);
        else
            fprintf(f, o->computed == NULL ? "  #%s: %s\n" : "  #%s: (%s)\n", field_name(o),
                    o->computed == NULL ? o->fallback : o->computed);
    }
}
