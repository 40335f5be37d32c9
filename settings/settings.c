/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings.c -- builds a generation of settings: defaults, the file, conf.d, -o;
 * and what is asked of it: who may ask, what a reload changes, how it looks.
 *
 * Each source writes its values over those before it, so that the last one
 * wins; rules between options are checked when all have been read, and name
 * the source that the value in force came from. Reading goes on after a
 * problem, so that one run shows them all.
 *
 * Two of the rules keep others safe, not only ourselves: an open resolver
 * multiplies attacks (RFC 5358, RFC 5625 6.2), and a forwarder that asks
 * itself turns one question into a storm. So they are errors, not warnings.
 *
 * Values are compared as printed: what reads back the same is the same. The
 * sample has no path in it: those of the build are named in words, so that
 * conf/waymark.yaml.sample is the same for each prefix.
 */
#include "settings/settings.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "wire/present.h"

enum { FILE_MAX_BYTES = 16 << 20, HOST_TEXT = 256, PATH_TEXT = 1100, WIDTH = 78, HELP_TEXT = 1000 };

/* Was the list written, be it an empty one? True for what is no list. */
static bool option_is_given(const struct field *o, const struct settings *s)
{
    const void *const *list = (const void *)((const char *)s + o->at);

    return o->count_size == 0 || *list != NULL;
}

struct reader {
    struct form form;   /* of the text being read */
    struct settings *s; /* being built; its arena has the nodes, too */
    /* Who gave an option its value: its node, NULL for a default. Of a list
     * that was read, the children are the elements in the same order. */
    struct origin {
        const struct yaml_node *node;
        const char *file, *assign; /* as in struct form */
    } origin[OPTIONS_MAX];
};

static const char default_path[] = SYSCONFDIR "/waymark/waymark.yaml";

/* ---- the manner of settings ---- */

static int check_shape(struct form *form, const struct field *o, const struct yaml_node *node)
{
    bool one = o->element != NULL && o->element->rows == NULL && o->max > 0;

    if (o->rows != NULL)
        return node->kind == YAML_MAP
                   ? 0
                   : form_problem(form, node, "%s: an element looks like {%s: ..., %s: ...}",
                                  o->key, field_name(&o->rows[0]), field_name(&o->rows[1]));
    if (field_is_empty(node))
        return form_problem_key(form, node, "%s has no value; %s", o->key,
                                o->element != NULL      ? "write [] for an empty list"
                                : o->kind == &kind_text ? "write \"\" for an empty text"
                                                        : "leave the line out for the default");
    if (o->element == NULL)
        return node->kind == YAML_SCALAR
                   ? 0
                   : form_problem(form, node, "%s takes one value, not a %s", o->key,
                                  node->kind == YAML_LIST ? "list" : "mapping");
    if (node->kind == YAML_SCALAR) /* could the value be an element? */
        return form_problem(form, node, "%s takes a list: write [%s%s%s]", o->key, one ? "\"" : "",
                            one ? node->text : "...", one ? "\"" : "");
    if (node->kind != YAML_LIST)
        return form_problem(form, node, "%s takes a list: begin each element with \"- \"", o->key);
    if (node->n < o->min)
        return form_problem(form, node, "%s is empty; write at least one", o->key);
    if (node->n > 0 && o->max == 0)
        return form_problem(form, node, "%s: only [] works in this version", o->key);
    if (node->n > o->max)
        return form_problem(form, node, "%s has %zu elements; at most %u are allowed", o->key,
                            node->n, (unsigned)o->max);
    return 0;
}

/* The key of a node that no row has, with the nearest one that is meant. */
static int unknown_option(struct form *form, const struct field *rows, const char *section,
                          const struct yaml_node *node)
{
    const char *near = field_nearest(rows, section, node->key);

    if (near != NULL)
        return form_problem_key(form, node, "unknown option \"%s\" in %s; did you mean \"%s\"?",
                                node->key, section, near);
    for (const struct field *o = settings_options; o->key != NULL; o++)
        if (strcmp(field_name(o), node->key) == 0) /* the line slipped */
            return form_problem_key(form, node, "unknown option \"%s\" in %s; it is %s", node->key,
                                    section, o->key);
    return form_problem_key(form, node,
                            "unknown option \"%s\" in %s; waymarkd --print-sample lists "
                            "all options",
                            node->key, section);
}

static const struct form_style style = {
    .check = check_shape,
    .unknown = unknown_option,
    .defaults = true,
    .near = "%k: unknown word \"%t\"; did you mean \"%w\"?",
    .other = "%k: unknown word \"%t\"; use %w",
    .last = " or ",
    .host_bits = "%k: %t has bits behind its length; write the net's first address",
};

/* ---- one document ---- */

static void take_value(struct reader *r, const struct field *o, const struct yaml_node *node)
{
    if (field_read(&r->form, o, node, r->s) != 0)
        return;
    r->origin[o - settings_options] = (struct origin){node, r->form.file, r->form.assign};
}

static void set_source(struct reader *r, const char *file, const char *assign)
{
    r->form.file = file;
    r->form.assign = assign;
}

/* The options of a section, or the list of a table. */
static void read_part(struct reader *r, const struct yaml_node *node)
{
    const char *names[OPTIONS_MAX + 1], *near;
    const struct field *o = field_find(settings_options, NULL, node->key);
    const struct option_section *section = settings_sections;
    size_t n = 0;

    while (section->name != NULL && strcmp(section->name, node->key) != 0)
        section++;
    if (section->name != NULL && field_is_empty(node))
        return; /* all of its lines are comments */
    if (section->name != NULL && node->kind != YAML_MAP) {
        form_problem(&r->form, node, "%s is a section: write its options below it, indented",
                     section->name);
        return;
    }
    for (const struct yaml_node *one = section->name != NULL ? node->first : NULL; one != NULL;
         one = one->next) {
        const struct field *option = field_find(settings_options, section->name, one->key);

        if (option != NULL)
            take_value(r, option, one);
        else
            unknown_option(&r->form, settings_options, section->name, one);
    }
    if (section->name != NULL)
        return;
    if (o != NULL && option_is_table(o)) {
        take_value(r, o, node);
        return;
    }
    /* Neither: which one was meant? */
    for (section = settings_sections; section->name != NULL; section++)
        names[n++] = section->name;
    for (const struct field *t = settings_options; t->key != NULL && n < OPTIONS_MAX; t++)
        if (option_is_table(t))
            names[n++] = t->key;
    names[n] = NULL;
    near = diag_nearest(node->key, names);
    if (near != NULL)
        form_problem_key(&r->form, node, "unknown section \"%s\"; did you mean \"%s\"?", node->key,
                         near);
    else if (o != NULL)
        form_problem_key(&r->form, node, "write %s as a section and, indented below it, its option",
                         node->key);
    else
        form_problem_key(&r->form, node,
                         "unknown section \"%s\"; waymarkd --print-sample lists all options",
                         node->key);
}

static void read_document(struct reader *r, const char *name, const char *text, size_t len)
{
    const struct yaml_node *root;
    int rc;

    set_source(r, name, NULL);
    rc = yaml_read(&root, r->s->arena, name, text, len, r->form.d);
    if (rc == -ENOMEM)
        form_no_memory(&r->form);
    else if (rc != 0 && r->form.rc == 0)
        r->form.rc = rc; /* the problems are in d */
    else if (rc == 0 && root->kind != YAML_MAP)
        form_problem(&r->form, root, "settings consist of sections, like \"server:\"");
    else if (rc == 0)
        for (const struct yaml_node *one = root->first; one != NULL; one = one->next)
            read_part(r, one);
}

/* ---- rules between options ---- */

/* The element of a list, as far as the list was written by someone. */
static const struct yaml_node *element(const struct yaml_node *list, int i)
{
    const struct yaml_node *node = list != NULL ? list->first : NULL;

    while (node != NULL && i-- > 0)
        node = node->next;
    return node;
}

/* Where the option got its value: problems are told there. */
static const struct yaml_node *go_to(struct reader *r, const char *key)
{
    const struct origin *from =
        &r->origin[field_find(settings_options, NULL, key) - settings_options];

    set_source(r, from->file, from->assign);
    return from->node;
}

static void check_access(struct reader *r)
{
    const struct settings *s = r->s;
    const struct yaml_node *list = go_to(r, "access");
    const struct addr *listener = NULL; /* on which a stranger's question can arrive */
    char text[PREFIX_TEXT], at[ADDR_TEXT];

    for (int i = 0; i < s->server.n_listen && listener == NULL; i++)
        if (addr_is_any(&s->server.listen[i]) || !addr_is_private(&s->server.listen[i]))
            listener = &s->server.listen[i];
    for (int i = 0; i < s->n_access; i++) {
        const struct prefix *net = &s->access[i].net;
        struct addr first = {0};
        bool wide;

        /* Nobody's own network is so wide: 0.0.0.0/0, ::/0, or halves and quarters of
         * them. fc00::/7 and fe80::/10 are wide and not public. */
        memcpy(first.ip, net->ip, sizeof first.ip);
        wide = prefix_is_v4(net) ? net->len < 96 + 8
                                 : net->len < 16 && !(net->len >= 7 && addr_is_private(&first));
        if (wide && s->access[i].action == ACCESS_ALLOW && listener != NULL &&
            !s->server.open_resolver)
            form_problem(
                &r->form, element(list, i),
                "access: %s is the whole Internet or a large part of it, and server.listen has "
                "%s: that is an open resolver, with which others are attacked. Allow your own "
                "networks only; if a firewall keeps strangers out, confirm it with "
                "server.open-resolver: yes",
                prefix_print(net, text), addr_print_port(listener, at));
        for (int j = 0; j < i; j++) {
            if (!prefix_same(net, &s->access[j].net))
                continue;
            form_problem(&r->form, element(list, i), "access: %s is listed twice",
                         prefix_print(net, text));
            break;
        }
    }
}

static void check_routes(struct reader *r)
{
    const struct settings *s = r->s;
    const struct yaml_node *list = go_to(r, "forward");
    char zone[NAME_TEXT], text[ADDR_TEXT];

    for (int i = 0; i < s->n_routes; i++) {
        const struct route *route = &s->routes[i];
        const struct yaml_node *node = element(list, i);
        const struct yaml_node *servers = node != NULL ? yaml_get(node, "servers") : NULL;

        for (int k = 0; k < route->n_servers; k++) {
            const struct addr *a = &route->servers[k];

            if (addr_is_any(a))
                form_problem(&r->form, element(servers, k),
                             "forward.servers: %s is not the address of a server",
                             addr_print(a, text));
            else if (settings_listens_at(s, a))
                form_problem(&r->form, element(servers, k),
                             "forward.servers: %s is in server.listen: waymarkd would ask itself. "
                             "Name another server, or another port",
                             addr_print_port(a, text));
        }
        for (int j = 0; j < i; j++) {
            if (!name_equal(&route->zone, &s->routes[j].zone))
                continue;
            form_problem(&r->form, node,
                         "forward: zone %s is listed twice; write all of its servers into one "
                         "element",
                         name_print(&route->zone, zone));
            break;
        }
    }
}

static void rules_check(struct reader *r)
{
    const struct yaml_node *node;

    check_access(r);
    check_routes(r);
    if (r->s->cache.min_ttl_ms <= r->s->cache.max_ttl_ms)
        return;
    node = go_to(r, "cache.min-ttl");
    if (node == NULL)
        node = go_to(r, "cache.max-ttl");
    form_problem(&r->form, node, "cache.min-ttl is longer than cache.max-ttl");
}

/* ---- files ---- */

/* may_miss: no file is an empty file. drop_in: no pipe either, which would keep
 * a reload waiting. */
static void read_file(struct reader *r, const char *path, bool may_miss, bool drop_in)
{
    char *text, *name = arena_strdup(r->s->arena, path);
    struct stat st;
    size_t len;
    int rc;

    if (name == NULL) {
        form_no_memory(&r->form);
        return;
    }
    set_source(r, name, NULL);
    if (drop_in && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        form_problem(&r->form, NULL, "is not a file");
        return;
    }
    rc = file_read(path, FILE_MAX_BYTES, &text, &len);
    if (rc == 0) {
        read_document(r, name, text, len);
        free(text);
    } else if (rc == -EFBIG) {
        form_problem(&r->form, NULL, "is larger than %d MB", FILE_MAX_BYTES >> 20);
    } else if (rc != -ENOENT || !may_miss) {
        form_problem(&r->form, NULL, "cannot be read: %s", strerror(-rc));
    }
}

/* Editors and package tools leave other names behind; they do not count. */
static int is_drop_in(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".yaml") == 0;
}

static void read_drop_ins(struct reader *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX], file[PATH_MAX];
    struct dirent **entries;
    struct str text;
    int n;

    str_init(&text, folder, sizeof folder);
    str_addf(&text, "%.*sconf.d", slash != NULL ? (int)(slash + 1 - path) : 0, path);
    n = scandir(folder, &entries, is_drop_in, alphasort);
    if (n < 0 && errno != ENOENT) {
        int rc = errno;

        set_source(r, arena_strdup(r->s->arena, folder), NULL);
        form_problem(&r->form, NULL, "cannot be read: %s", strerror(rc));
    }
    for (int i = 0; i < n; i++) {
        str_init(&text, file, sizeof file);
        str_addf(&text, "%s/%s", folder, entries[i]->d_name);
        read_file(r, file, false, true);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

/* ---- -o, and defaults ---- */

/* Takes the value from a text of its own, in which YAML's problems have no
 * useful line. */
static void assign(struct reader *r, const struct field *o, const char *value)
{
    static const struct yaml_node empty = {.kind = YAML_SCALAR, .text = "", .quoted = true};
    const struct yaml_node *root;
    struct diags d;
    int rc;

    if (value[0] == '\0') {
        take_value(r, o, &empty);
        return;
    }
    diags_init(&d);
    rc = yaml_read(&root, r->s->arena, "-o", value, strlen(value), &d);
    for (size_t i = 0; i < d.n; i++)
        form_problem(&r->form, NULL, "%s", d.list[i].text);
    if (rc == -ENOMEM)
        form_no_memory(&r->form);
    else if (rc != 0 && d.n == 0)
        form_problem(&r->form, NULL, "is not YAML");
    else if (rc == 0)
        take_value(r, o, root);
    diags_fini(&d);
}

/* ---- from one generation to another ---- */

int settings_copy(struct settings **out, const struct settings *was)
{
    struct arena *arena = arena_new();
    struct settings *s = arena != NULL ? arena_alloc(arena, sizeof *s) : NULL;
    int rc = s != NULL ? 0 : -ENOMEM;

    if (rc == 0) {
        *s = *was;
        s->arena = arena;
    }
    for (const struct field *o = settings_options; o->key != NULL && rc == 0; o++)
        rc = field_copy(o, s, was, arena);
    if (rc == 0)
        *out = s;
    else
        arena_free(arena);
    return rc;
}

int settings_keep(struct settings *is, const struct settings *was, struct diags *d)
{
    struct reader r = {.s = is, .form = {.d = d}};

    for (const struct field *o = settings_options; o->key != NULL; o++)
        if ((o->flags & OPTION_RESTART) != 0 && field_copy(o, is, was, is->arena) != 0)
            return form_no_memory(&r.form);
    rules_check(&r);
    return r.form.rc;
}

/* ---- from the start to the end ---- */

static int read_begin(struct reader *r, struct diags *d)
{
    struct arena *arena = arena_new();

    memset(r, 0, sizeof *r);
    r->form = (struct form){.style = &style, .d = d, .arena = arena};
    r->s = arena != NULL ? arena_alloc(arena, sizeof *r->s) : NULL;
    if (r->s == NULL) {
        arena_free(arena);
        return form_no_memory(&r->form);
    }
    r->s->arena = arena;
    for (const struct field *o = settings_options; o->key != NULL; o++) {
        set_source(r, "(defaults)", o->key);
        if (o->fallback != NULL)
            assign(r, o, o->fallback);
    }
    memset(r->origin, 0, sizeof r->origin);
    r->s->server.state_dir = STATEDIR "/waymark";
    r->s->server.run_dir = RUNDIR "/waymark";
    return 0;
}

/* Fills in the defaults that depend on the machine or on other options. */
static int read_end(struct reader *r, struct settings **out)
{
    struct settings *s = r->s;
    char host[HOST_TEXT] = "", path[PATH_TEXT];

    if (s->server.name == NULL) {
        if (gethostname(host, sizeof host - 1) != 0 || option_not_a_host(host) != NULL)
            strcpy(host, "waymark");
        s->server.name = arena_strdup(s->arena, host);
    }
    snprintf(path, sizeof path, "%s/control.sock", s->server.run_dir);
    if (s->control.socket == NULL)
        s->control.socket = arena_strdup(s->arena, path);
    if (s->server.name == NULL || s->control.socket == NULL)
        form_no_memory(&r->form);
    rules_check(r);
    if (r->form.rc != 0) {
        settings_free(s);
        return r->form.rc;
    }
    for (int i = 0; i < s->n_routes; i++) {
        struct route *route = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */

        route->id = route_id(route);
    }
    *out = s;
    return 0;
}

int settings_read(struct settings **out, const char *path, const char *const *assigned,
                  struct diags *d)
{
    struct reader r;

    if (read_begin(&r, d) != 0)
        return -ENOMEM;
    read_file(&r, path != NULL ? path : default_path, path == NULL, false);
    if (path == NULL || strcmp(path, "-") != 0)
        read_drop_ins(&r, path != NULL ? path : default_path);
    for (; assigned != NULL && *assigned != NULL; assigned++) {
        const char *equals = strchr(*assigned, '='), *near;
        const struct field *o;
        char *key;

        set_source(&r, "-o", *assigned);
        if (equals == NULL) {
            form_problem(&r.form, NULL, "write it as section.key=value");
            continue;
        }
        key = arena_strndup(r.s->arena, *assigned, (size_t)(equals - *assigned));
        if (key == NULL)
            form_no_memory(&r.form);
        else if ((o = field_find(settings_options, NULL, key)) != NULL)
            assign(&r, o, equals + 1);
        else if ((near = field_nearest(settings_options, NULL, key)) != NULL)
            form_problem(&r.form, NULL, "unknown option \"%s\"; did you mean \"%s\"?", key, near);
        else
            form_problem(&r.form, NULL,
                         "unknown option \"%s\"; waymarkd --print-sample lists all options", key);
    }
    return read_end(&r, out);
}

int settings_read_text(struct settings **out, const char *name, const char *text, size_t len,
                       struct diags *d)
{
    struct reader r;

    if (read_begin(&r, d) != 0)
        return -ENOMEM;
    read_document(&r, name, text, len);
    return read_end(&r, out);
}

void settings_free(struct settings *s)
{
    if (s != NULL)
        arena_free(s->arena);
}

const char *settings_default_path(void)
{
    return default_path;
}

/* ---- who may ask ---- */

/* The longest net that matches. The list is walked for each packet: it is short
 * in practice, and its order says nothing, so that nobody has to think about it. */
enum access_action settings_access(const struct settings *s, const struct access_rule *machine,
                                   int n_machine, const struct addr *client,
                                   const struct access_rule **rule)
{
    const struct access_rule *rules = s->access != NULL ? s->access : machine, *best = NULL;
    int n = s->access != NULL ? s->n_access : n_machine;
    bool v4 = addr_is_v4(client), loopback = addr_is_loopback(client);

    for (int i = 0; i < n; i++) {
        const struct prefix *net = &rules[i].net;

        if ((best != NULL && net->len <= best->net.len) || !prefix_contains(net, client->ip) ||
            prefix_is_v4(net) != v4)
            continue;
        if (!loopback || net->len >= (v4 ? 96 + 8 : 128)) /* loopback itself is named */
            best = &rules[i];
    }
    if (rule != NULL)
        *rule = best;
    return best != NULL ? best->action : loopback ? ACCESS_ALLOW : ACCESS_REFUSE;
}

/* ---- routes ---- */

/* FNV-1a: the number must be the same in each process, and nobody gains from
 * making two of them equal. The order of the servers does not matter, for they
 * give the same answers. */
static uint32_t hash_more(uint32_t h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

uint32_t route_id(const struct route *route)
{
    uint32_t id = 0;

    for (int i = 0; i < route->n_servers; i++) {
        const struct addr *a = &route->servers[i];
        uint8_t server[sizeof a->ip + sizeof a->port + sizeof a->scope];
        struct writer w = writer_make(server, sizeof server);

        writer_bytes(&w, a->ip, sizeof a->ip);
        writer_u16(&w, a->port);
        writer_u32(&w, a->scope);
        id += hash_more(2166136261u, server, sizeof server);
    }
    id = hash_more(id ^ 2166136261u, route->zone.data, route->zone.len);
    return id != 0 ? id : 1;
}

bool settings_listens_at(const struct settings *s, const struct addr *a)
{
    for (int i = 0; i < s->server.n_listen; i++) {
        const struct addr *own = &s->server.listen[i];

        if (own->port != a->port)
            continue;
        if (addr_same(own, a) ||
            (addr_is_any(own) && addr_is_loopback(a) && addr_is_v4(own) == addr_is_v4(a)))
            return true;
    }
    return false;
}

static const char *const sample_head[] = {
    "# Settings of waymarkd with their defaults. To change one, take away the # in",
    "# front of its name. Files in conf.d/*.yaml beside this one are read after it, in the order",
    "# of their names; a list in a later file replaces the one before.",
    "#",
    "# waymarkd --check finds mistakes, waymarkd --print-config shows what is in force.",
    "# Durations: 300ms 10s 5m 2h 90d 2y; a bare number is seconds. Sizes: 64K 64M 1G.",
    "# An address with a port, and one of IPv6, needs quotes.",
    NULL,
};

/* The section that begins with this option, or NULL. */
static const struct option_section *section_begins(const struct field *o)
{
    for (const struct option_section *s = settings_sections; s->name != NULL; s++)
        if (field_is_in(o, s->name))
            return o == settings_options || !field_is_in(o - 1, s->name) ? s : NULL;
    return NULL;
}

static const char *indent_of(const struct field *o)
{
    return strchr(o->key, '.') != NULL ? "  " : "";
}

/* ---- what is in force ---- */

void settings_print(const struct settings *s, FILE *f)
{
    for (const struct field *o = settings_options; o->key != NULL; o++) {
        const struct option_section *section = section_begins(o);

        if (section != NULL)
            fprintf(f, "%s:\n", section->name);
        if (!option_is_given(o, s)) {
            fprintf(f, "# no %s: %s\n", field_name(o), o->computed);
            continue;
        }
        fprintf(f, "%s%s:", indent_of(o), field_name(o));
        if (!option_is_table(o) || field_count_of(o, s) == 0) {
            fputc(' ', f);
            field_print(o, s, f);
        }
        fputc('\n', f);
        for (size_t i = 0; option_is_table(o) && i < field_count_of(o, s); i++) {
            fputs("  - ", f);
            field_print(o->element, field_element(o, s, i), f);
            fputc('\n', f);
        }
    }
}

int settings_compare(const struct settings *was, const struct settings *is, settings_change *change,
                     void *context)
{
    int changed = 0;

    for (const struct field *o = settings_options; o->key != NULL && changed >= 0; o++) {
        char *before = option_is_given(o, was) ? field_text_of(o, was) : strdup("none");
        char *after = option_is_given(o, is) ? field_text_of(o, is) : strdup("none");

        if (before == NULL || after == NULL) {
            changed = -ENOMEM;
        } else if (strcmp(before, after) != 0) {
            changed++;
            if (change != NULL)
                change(context, o->key, before, after, (o->flags & OPTION_RESTART) != 0);
        }
        free(before);
        free(after);
    }
    return changed;
}

/* ---- the sample ---- */

/* A comment in lines of WIDTH; those after the first begin with `hang` blanks
 * more. */
static void print_comment(const char *indent, const char *text, int hang, FILE *f)
{
    size_t room = WIDTH - strlen(indent), used = 0;

    fprintf(f, "%s#", indent);
    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        if (used > 0 && used + 1 + word > room) {
            fprintf(f, "\n%s#%*s", indent, hang, "");
            used = (size_t)hang;
        }
        fprintf(f, " %.*s", (int)word, text);
        used += 1 + word;
        text += word + (text[word] == ' ');
    }
    fputc('\n', f);
}

/* Words that may be written, or the limits of a number. */
static void add_range(struct str *s, const struct field *o)
{
    char least[NUMBER_TEXT], most[NUMBER_TEXT];
    const char *between = " (";

    if (o->kind == &kind_word) {
        for (size_t i = 0; o->words[i + o->later] != NULL; i++) {
            str_addf(s, "%s%s", between, o->words[i]);
            between = ", ";
        }
        str_add(s, ")");
    } else if (o->kind == &kind_bool) {
        str_add(s, " (yes, no)");
    } else if (o->element == NULL && o->max > 0) {
        str_addf(s, " (%s to %s)", field_in_unit(o, o->min, least), field_in_unit(o, o->max, most));
    }
}

void settings_print_sample(FILE *f)
{
    char text[HELP_TEXT];
    struct str str;

    for (const char *const *line = sample_head; *line != NULL; line++)
        fprintf(f, "%s\n", *line);
    for (const struct field *o = settings_options; o->key != NULL; o++) {
        const struct option_section *section = section_begins(o);

        if (section != NULL) {
            fputc('\n', f);
            print_comment("", section->help, 0, f);
            fprintf(f, "%s:\n", section->name);
        }
        if ((o->flags & OPTION_UNUSED) != 0)
            continue;
        if (section == NULL)
            fputc('\n', f);
        str_init(&str, text, sizeof text);
        str_add(&str, o->help);
        add_range(&str, o);
        if (option_is_table(o))
            str_addf(&str, " Default: %s.", o->computed);
        print_comment(indent_of(o), text, 0, f);
        if (!option_is_table(o)) {
            fprintf(f, "  #%s: ", field_name(o));
            fprintf(f, o->fallback != NULL ? "%s\n" : "(%s)\n",
                    o->fallback != NULL ? o->fallback : o->computed);
            continue;
        }
        for (const struct field *row = o->element->rows; row->key != NULL; row++) {
            str_init(&str, text, sizeof text);
            str_addf(&str, "  %s: %s", field_name(row), row->help);
            if (row->kind != &kind_word) /* whose help explains each */
                add_range(&str, row);
            if (row->fallback != NULL)
                str_addf(&str, "; default %s", row->fallback);
            print_comment("", text, 4, f);
        }
        fprintf(f, "#%s:\n", o->key);
        for (const char *line = o->element->help, *end; *line != '\0'; line = end + 1) {
            end = strchr(line, '\n');
            fprintf(f, "#  %.*s\n", (int)(end - line), line);
        }
    }
}
