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
 * Values are compared, copied and kept as printed: what reads back the same is
 * the same. The sample names the paths of the build in words, so that it is the same for
 * each prefix.
 */
#include "settings/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fields.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/present.h"

enum {
    DNS_PORT = 53,
    FILE_MAX_BYTES = 16 << 20,
    RECORDS_MAX = 4096,
    OUTPUTS_MAX = 16,
    WIDTH = 78,
    HELP_TEXT = 1000
};

/* RESTART: a reload keeps the value that is in force. UNUSED: nothing uses it in this version. */
enum option_flag { RESTART = FIELD_FLAGS, UNUSED = 2 * FIELD_FLAGS };

static const struct field_kind zone_kind, address_kind;

static int read_setting(struct form *form, const struct field *f, const struct yaml_node *node,
                        void *to)
{
    struct name *zone = to;

    if ((f->kind == &address_kind ? addr_parse(to, node->text, DNS_PORT)
                                  : name_parse(zone, node->text)) != 0)
        return form_wrong(form, f, node, NULL);
    if (f->kind == &address_kind)
        return f->min == 0 || !addr_is(to, ADDR_ANY)
                   ? 0
                   : form_wrong(form, f, node, "is not the address of a server");
    if (zone->data[0] == 1 && zone->data[1] == '*')
        return form_wrong(form, f, node,
                          "begins with *; write the zone without *: it covers all names below it");
    name_fold(zone);
    return 0;
}

static void print_setting(const struct field *f, const void *from, FILE *out)
{
    char text[NAME_TEXT];

    if (f->kind == &zone_kind)
        yaml_print(out, name_print(from, text));
    else
        fprintf(out, "\"%s\"", addr_print_port(from, text));
}

#define NO_ADDRESS                                                                                 \
    "is not an address; write it like 192.0.2.1, \"192.0.2.1:53\", \"2001:db8::1\" or "            \
    "\"[2001:db8::1]:53\""
static const struct field_kind zone_kind = {read_setting, print_setting, "is not a domain name",
                                            false};
static const struct field_kind address_kind = {read_setting, print_setting, NO_ADDRESS, false};

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static const char *check_host(const char *text)
{
    bool good = text[0] != '\0' && text[strspn(text, HOST_CHARACTERS)] == '\0';

    return good ? NULL : "must be letters, digits, and . - _";
}

static const char *check_user(const char *text)
{
    bool good = text[0] != '-' && text[strspn(text, HOST_CHARACTERS)] == '\0';

    return good ? NULL : "is not the name of a user";
}

static const char *check_path(const char *text)
{
    return text[0] == '/' ? NULL : "must be an absolute path: begin it with /";
}

static const char *check_endpoint(const char *text)
{
    struct endpoint to;

    return endpoint_parse(&to, text);
}

const char *const access_actions[] = {"allow", "refuse", "drop", NULL};
static const char *const strategies[] = {"ordered", NULL};
/* In the order of enum audit_format; of RFC 5424, table 1. */
static const char *const formats[] = {"ecs", "cef", "text", NULL};
static const char *const facilities[] = {
    "kern",   "user",     "mail",   "daemon", "auth",   "syslog", "lpr",   "news",   "uucp",
    "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock", "local0", "local1",
    "local2", "local3",   "local4", "local5", "local6", "local7", NULL};
static const char *const client_addresses[] = {"full", "prefix", "hmac", NULL};

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define MEGA (1ull << 20)
#define GIGA (1ull << 30)

static const struct field listen_row = {
    .kind = &address_kind, .size = sizeof(struct addr), .flags = FIELD_UNIQUE};
static const struct field server_row = {
    .kind = &address_kind, .size = sizeof(struct addr), .flags = FIELD_UNIQUE, .min = 1};

/* name, default as written, help; then the field with its kind and limits */
#define ROW(name, written, text, ...)                                                              \
    {                                                                                              \
        .key = name, .fallback = written, .help = text, __VA_ARGS__                                \
    }

static const struct field access_rows[] = {
    ROW("access.net", NULL, "the clients: an address or a prefix",
        FIELD(access_rule, net, struct prefix), .kind = &kind_prefix),
    ROW("access.action", NULL, "allow; refuse: answer REFUSED; drop: no answer",
        FIELD(access_rule, action, uint32_t), .kind = &kind_word, .words = access_actions),
    {.key = NULL},
};
static const struct field access_rule_row = {
    .key = "access",
    .rows = access_rows,
    .size = sizeof(struct access_rule),
    .flags = FIELD_UNIQUE,
    .help = "#  - {net: 10.0.0.0/8, action: allow}\n"
            "#  - {net: 10.66.0.0/16, action: refuse}\n"
            "#  - {net: \"2001:db8::/32\", action: allow}\n",
};

static const struct field route_rows[] = {
    ROW("forward.zone", NULL, "this name and all below it; . is everything",
        FIELD(route, zone, struct name), .kind = &zone_kind),
    ROW("forward.servers", NULL, "address, or address:port; all of them must give the same answers",
        FIELD_LIST_OF(route, servers, n_servers, const struct addr *), .element = &server_row,
        .flags = FIELD_LIST, .min = 1, .max = ROUTE_MAX_SERVERS),
    ROW("forward.strategy", "ordered", "ordered: the next server is asked when one does not answer",
        FIELD(route, strategy, uint32_t), .kind = &kind_word, .words = strategies),
    ROW("forward.timeout", "1s", "how long one try waits for a reply",
        FIELD(route, timeout_ms, uint32_t), .kind = &kind_duration, .min = 10, .max = 30 * SECOND),
    ROW("forward.trust-ad", "no",
        "keep the AD bit of their replies: only if they validate and the way is safe",
        FIELD(route, trust_ad, bool), .kind = &kind_bool),
    ROW("forward.edns", "yes", "ask them with EDNS; which server cannot is found out",
        FIELD(route, edns, bool), .kind = &kind_bool),
    ROW("forward.fall-back", "no", "ask the route of . when all of them fail",
        FIELD(route, fall_back, bool), .kind = &kind_bool),
    {.key = NULL},
};
static const struct field route_row = {
    .key = "forward",
    .rows = route_rows,
    .size = sizeof(struct route),
    .flags = FIELD_UNIQUE | FIELD_DEFAULTS,
    .help = "#  - {zone: ., servers: [192.0.2.53, \"192.0.2.54:5353\"], timeout: 1s}\n"
            "#  - {zone: corp.example, servers: [10.0.0.53, \"2001:db8::53\"]}\n",
};

static const struct field output_rows[] = {
    ROW("outputs.to", NULL, "file:/PATH, or a syslog server: udp:ADDRESS, tcp:ADDRESS, unix:/PATH",
        FIELD(output, to, const char *), .kind = &kind_text, .check = check_endpoint, .max = 255),
    ROW("outputs.format", "ecs",
        "ecs: JSON, Elastic Common Schema; cef: Common Event Format; text: a sentence",
        FIELD(output, format, uint32_t), .kind = &kind_word, .words = formats),
    ROW("outputs.facility", "daemon", "of syslog (RFC 5424)", FIELD(output, facility, uint32_t),
        .kind = &kind_word, .words = facilities),
    {.key = NULL},
};
static const struct field output_row = {
    .key = "outputs",
    .rows = output_rows,
    .size = sizeof(struct output),
    .flags = FIELD_UNIQUE | FIELD_DEFAULTS,
};

#define SECTION(section, text)                                                                     \
    {.key = #section,                                                                              \
     .rows = options,                                                                              \
     .flags = FIELD_SECTION | FIELD_EMPTY,                                                         \
     .computed = "",                                                                               \
     .help = text},
#define END(section)
#define OPTION(section, member, what, limits, name, written, bits, text)                           \
    ROW(#section "." name, written, text, FIELD(settings, section.member, what##_value),           \
        .flags = bits, what limits),
#define TEXT(why, longest, in_words)                                                               \
    .kind = &kind_text, .check = why, .max = longest, .computed = in_words
#define YESNO() .kind = &kind_bool
#define NUMBER(least, most) .kind = &kind_count, .min = least, .max = most
#define SIZE(least, most) .kind = &kind_size, .min = least, .max = most
#define DURATION(least, most) .kind = &kind_duration, .min = least, .max = most
#define WORD(list, first) .kind = &kind_word, .words = list, .min = first
#define ADDRESSES(section, list, n, name, lo, hi, written, bits, text)                             \
    ROW(#section "." name, written, text,                                                          \
        FIELD_LIST_OF(settings, section.list, section.n, const struct addr *),                     \
        .element = &listen_row, .min = lo, .max = hi, .flags = FIELD_LIST | (bits)),
#define LISTED(section, list, n, type, name, text)                                                 \
    ROW(#section "." name, "[]", text,                                                             \
        FIELD_LIST_OF(settings, section.list, section.n, const struct type *),                     \
        .element = &type##_row, .max = OUTPUTS_MAX, .flags = FIELD_LIST),
#define RECORDS(list, n, type, name, written, in_words, text)                                      \
    ROW(name, written, text, FIELD_LIST_OF(settings, list, n, const struct type *),                \
        .element = &type##_row, .max = RECORDS_MAX, .computed = in_words, .flags = FIELD_LIST),

static const struct field options[] = {
#include "settings/options.h"
    {.key = NULL},
};
static const struct field all_options = {.key = "the settings", .rows = options};

/* A list of mappings, in a section or beside the sections. */
static bool is_table(const struct field *o)
{
    return o->element != NULL && o->element->rows != NULL;
}
static bool stands_beside(const struct field *o)
{
    return is_table(o) && strchr(o->key, '.') == NULL;
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
    } at[ARRAY_LEN(ruled)];
};

static void read_text(struct reader *r, const char *text, size_t len)
{
    struct form *form = &r->form;
    struct diags *d = form->has_no_lines ? NULL : form->d;
    const struct yaml_node *root, *node;
    int rc = yaml_read(&root, form->arena, form->file, text, len, d);

    if (rc == -ENOMEM) {
        form_no_memory(form);
    } else if (rc != 0 && form->has_no_lines) {
        form_problem(form, NULL, "is not YAML: check its quotes and brackets");
    } else if (rc != 0) {
        form->rc = rc; /* the problems are in d */
    } else {
        field_read(form, &all_options, root, r->s);
        for (size_t i = 0; i < ARRAY_LEN(ruled); i++)
            if ((node = yaml_get(root, ruled[i])) != NULL)
                r->at[i] = (struct place){form->has_no_lines ? NULL : node, form->file};
    }
}

/* may_miss: no file is an empty file. drop_in: no pipe either, which would keep
 * a reload waiting. */
static void read_file(struct reader *r, const char *path, bool may_miss, bool drop_in)
{
    struct settings_file *read;
    struct stat st;
    char *text;
    size_t len;
    int rc;

    r->form.file = arena_strdup(r->s->arena, path);
    if (drop_in && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        form_problem(&r->form, NULL, "is not a file");
    } else if ((rc = file_read(path, FILE_MAX_BYTES, &text, &len)) == 0) {
        if ((read = arena_alloc(r->s->arena, sizeof *read)) != NULL) {
            *read = (struct settings_file){r->s->files, r->form.file, drop_in};
            r->s->files = read;
        }
        read_text(r, text, len);
        free(text);
    } else if (rc != -ENOENT || !may_miss) {
        form_problem(&r->form, NULL, "cannot be read: %s", strerror(-rc));
    }
}

static void read_drop_ins(struct reader *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX], file[2 * PATH_MAX];
    struct dirent **entries = NULL;
    int n;

    snprintf(folder, sizeof folder, "%.*sconf.d", slash != NULL ? (int)(slash + 1 - path) : 0,
             path);
    n = scandir(folder, &entries, NULL, alphasort);
    r->form.file = folder;
    if (n < 0 && errno != ENOENT)
        form_problem(&r->form, NULL, "cannot be read: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, entries[i]->d_name);
        /* Editors and package tools leave other names behind; they do not count. */
        if (fnmatch("*.yaml", entries[i]->d_name, FNM_PERIOD) == 0)
            read_file(r, file, false, true);
        free(entries[i]);
    }
    free(entries);
}

/* "section.key=value" is the text of a file with that one key. */
static void read_assigned(struct reader *r, const char *assigned)
{
    int all = (int)strcspn(assigned, "="), first = (int)strcspn(assigned, ".=");
    char *text, *name = arena_alloc(r->form.arena, strlen(assigned) + sizeof "-o: ");

    r->form.file = name != NULL ? strcat(strcpy(name, "-o: "), assigned) : NULL;
    r->form.has_no_lines = true;
    if (assigned[all] == '\0') {
        form_problem(&r->form, NULL, "write it as section.key=value");
    } else if (asprintf(&text, first < all ? "%.*s:\n  %.*s: %s" : "%.*s:%.*s %s", first, assigned,
                        all - first - (first < all), assigned + first + 1,
                        assigned[all + 1] != '\0' ? assigned + all + 1 : "\"\"") < 0) {
        form_no_memory(&r->form);
    } else {
        read_text(r, text, strlen(text));
        free(text);
    }
}

static void check_rules(struct reader *r)
{
    const struct settings *s = r->s;
    const struct yaml_node *node = r->at[0].node != NULL ? r->at[0].node->first : NULL;
    const struct addr *listener = NULL; /* which strangers reach */
    char text[PREFIX_TEXT], at[ADDR_TEXT];

    r->form.has_no_lines = false;
    r->form.file = r->at[0].file;
    for (int i = 0; i < s->server.n_listen && listener == NULL; i++)
        if (addr_is(&s->server.listen[i], ADDR_ANY) || !addr_is(&s->server.listen[i], ADDR_PRIVATE))
            listener = &s->server.listen[i];
    for (int i = 0; i < s->n_access && listener != NULL && !s->server.open_resolver; i++) {
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
        node = node != NULL ? node->next : NULL;
    }
    r->form.file = r->at[1].file;
    node = r->at[1].node != NULL ? yaml_get(r->at[1].node, "min-ttl") : NULL;
    if (s->cache.min_ttl_ms > s->cache.max_ttl_ms)
        form_problem(&r->form, node, "cache.min-ttl is longer than cache.max-ttl");
}

static int read_begin(struct reader *r, struct diags *d)
{
    struct arena *arena = arena_new();

    *r = (struct reader){.form = {.d = d, .arena = arena, .file = "(defaults)"}};
    r->s = arena != NULL ? arena_alloc(arena, sizeof *r->s) : NULL;
    if (r->s == NULL) {
        arena_free(arena);
        return form_no_memory(&r->form);
    }
    r->s->arena = arena;
    for (const struct field *o = options; o->key != NULL; o++)
        if (o->fallback != NULL)
            field_read_text(&r->form, o, o->fallback, r->s);
    return 0;
}

/* Every option that has the flags gets the value that it has in `from`. */
static void read_from(struct reader *r, const struct settings *from, unsigned flags)
{
    for (const struct field *o = options; o->key != NULL; o++) {
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
    check_rules(r);
    for (int i = 0; i < s->n_routes; i++) {
        struct route *route = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */

        route->id = route_id(route);
    }
    if (r->form.rc == 0)
        *out = s;
    else
        settings_free(s);
    return r->form.rc;
}

int settings_read(struct settings **out, const char *path, const char *const *assigned,
                  struct diags *d)
{
    const char *file = path != NULL ? path : SETTINGS_DEFAULT_PATH;
    struct reader r;

    if (read_begin(&r, d) != 0)
        return -ENOMEM;
    read_file(&r, file, path == NULL, false);
    if (strcmp(file, "-") != 0)
        read_drop_ins(&r, file);
    for (; assigned != NULL && *assigned != NULL; assigned++)
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
    if (s != NULL)
        arena_free(s->arena);
}

/* The list is walked for each packet: it is short in practice, and its order says nothing. */
enum access_action settings_access(const struct settings *s, const struct addr *client,
                                   const struct access_rule **rule)
{
    const struct access_rule *rules = s->access != NULL ? s->access : s->machine, *best = NULL;
    int n = s->access != NULL ? s->n_access : s->n_machine;
    bool v4 = addr_is_v4(client), loopback = addr_is(client, ADDR_LOOPBACK);

    for (int i = 0; i < n; i++) {
        const struct prefix *net = &rules[i].net;

        if ((best != NULL && net->len <= best->net.len) || !prefix_contains(net, client->ip) ||
            prefix_is_v4(net) != v4)
            continue;
        if (!loopback || net->len >= (v4 ? 96 + 8 : 128))
            best = &rules[i];
    }
    if (rule != NULL)
        *rule = best;
    return best != NULL ? best->action : loopback ? ACCESS_ALLOW : ACCESS_REFUSE;
}

/* In any order the servers give the same answers. The key is no secret: nobody gains from making
 * two numbers equal. */
uint32_t route_id(const struct route *route)
{
    struct hash_key key = {0};
    uint64_t servers = 0;
    char text[ADDR_TEXT];

    for (int i = 0; i < route->n_servers; i++) {
        addr_print_port(&route->servers[i], text);
        servers += hash_bytes(&key, text, strlen(text));
    }
    key.k0 = servers;
    return (uint32_t)hash_bytes(&key, route->zone.data, route->zone.len) | 1;
}

void settings_print(const struct settings *s, FILE *f)
{
    for (const struct field *o = options; o->key != NULL; o++) {
        size_t n = is_table(o) && is_given(o, s) ? field_count_of(o, s) : 0;

        if (!is_given(o, s)) {
            fprintf(f, "# no %s: %s\n", o->key, o->computed);
            continue;
        }
        fprintf(f, "%s%s:", strchr(o->key, '.') != NULL ? "  " : "", field_name(o));
        for (size_t i = 0; i < n; i++) {
            fputs("\n  - ", f);
            field_print(o->element, field_element(o, s, i), f);
        }
        if (o->rows == NULL && n == 0) {
            fputc(' ', f);
            field_print(o, s, f);
        }
        fputc('\n', f);
    }
}

void settings_compare(const struct settings *was, const struct settings *is,
                      settings_change *change, void *context)
{
    for (const struct field *o = options; o->key != NULL; o++) {
        char *before, *after;

        if (o->rows != NULL)
            continue;
        before = is_given(o, was) ? field_text_of(o, was) : strdup("none");
        after = is_given(o, is) ? field_text_of(o, is) : strdup("none");
        if (before != NULL && after != NULL && strcmp(before, after) != 0)
            change(context, o->key, before, after, (o->flags & RESTART) != 0);
        free(before);
        free(after);
    }
}

static const char sample_head[] =
    "# Settings of waymarkd with their defaults. To change one, take away the # in\n"
    "# front of its name. Files in conf.d/*.yaml beside this one are read after it, in the order\n"
    "# of their names; a list in a later file replaces the one before.\n"
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
    for (size_t i = 0; o->kind == &kind_word && !is_field && o->words[i] != NULL; i++)
        str_addf(&s, "%s%s%s", i == 0 ? " (" : ", ", o->words[i],
                 o->words[i + 1] == NULL ? ")" : "");
    if (o->kind == &kind_bool)
        str_add(&s, " (yes, no)");
    else if (o->kind != &kind_text && o->element == NULL && o->max > 0)
        str_addf(&s, " (%s to %s)", units_print(o->min, field_units(o), least),
                 units_print(o->max, field_units(o), most));
    if (is_field && o->fallback != NULL)
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
    for (const struct field *o = options; o->key != NULL; o++) {
        if ((o->flags & UNUSED) != 0)
            continue;
        if (o == options || o[-1].rows == NULL)
            fputc('\n', f);
        indent = stands_beside(o) || o->rows != NULL ? "" : "  ";
        print_help(f, o, indent, false);
        for (const struct field *row = is_table(o) ? o->element->rows : NULL;
             row != NULL && row->key != NULL; row++)
            print_help(f, row, indent, true);
        if (stands_beside(o))
            fprintf(f, "#%s:\n%s", o->key, o->element->help);
        else if (o->rows != NULL)
            fprintf(f, "%s:\n", o->key);
        else
            fprintf(f, o->computed == NULL ? "  #%s: %s\n" : "  #%s: (%s)\n", field_name(o),
                    o->computed == NULL ? o->fallback : o->computed);
    }
}
