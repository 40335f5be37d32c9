/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- builds a generation of settings: defaults, the file, conf.d, -o.
 *
 * Each source writes its values over those before it, so that the last one
 * wins; rules between options are checked when all have been read, and name
 * the source that the value in force came from. Reading goes on after a
 * problem, so that one run shows them all.
 */
#include "settings/read.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "settings/rules.h"
#include "settings/value.h"

enum { FILE_MAX_BYTES = 16 << 20, HOST_TEXT = 256 };

static const char default_path[] = SYSCONFDIR "/waymark/waymark.yaml";

/* A text that was read; its nodes are the origins of values. */
struct document {
    struct document *next;
    struct yaml *yaml; /* owned */
};

/* ---- one document ---- */

static int keep_document(struct reader *r, struct yaml *yaml)
{
    struct document *document = arena_alloc(r->s->arena, sizeof *document);

    if (document == NULL) {
        yaml_free(yaml);
        return read_out_of_memory(r);
    }
    document->yaml = yaml;
    document->next = r->documents;
    r->documents = document;
    return 0;
}

static void take_value(struct reader *r, const struct option *o, const struct yaml_node *node)
{
    if (value_read(r, o, node, r->s) != 0)
        return;
    r->origin[option_index(o)] = (struct origin){node, r->source};
    if (o->form == FORM_RECORDS && o->at == offsetof(struct settings, access))
        r->s->access_given = true;
}

static void read_section(struct reader *r, const char *section, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR && node->text[0] == '\0' && !node->quoted)
        return; /* all of its lines are comments */
    if (node->kind != YAML_MAP) {
        read_problem(r, node, "%s is a section: write its options below it, indented", section);
        return;
    }
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next) {
        const struct option *o = option_find(settings_options, section, one->key);

        if (o != NULL)
            take_value(r, o, one);
        else
            read_unknown_key(r, one, settings_options, section);
    }
}

static bool is_section(const char *name)
{
    for (const struct option_section *s = settings_sections; s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return true;
    return false;
}

/* The sections and the lists that stand alone, ended by NULL. */
static void list_sections(const char *names[OPTIONS_MAX + 1])
{
    size_t n = 0;

    for (const struct option_section *s = settings_sections; s->name != NULL; s++)
        names[n++] = s->name;
    for (const struct option *o = settings_options; o->key != NULL && n < OPTIONS_MAX; o++)
        if (strchr(o->key, '.') == NULL)
            names[n++] = o->key;
    names[n] = NULL;
}

static void unknown_section(struct reader *r, const struct yaml_node *node)
{
    const char *names[OPTIONS_MAX + 1], *near;

    list_sections(names);
    near = diag_nearest(node->key, names);
    if (near != NULL)
        read_problem_key(r, node, "unknown section \"%s\"; did you mean \"%s\"?", node->key, near);
    else if (option_find(settings_options, NULL, node->key) != NULL)
        read_problem_key(r, node, "write %s as a section and, indented below it, its option",
                         node->key);
    else
        read_problem_key(r, node,
                         "unknown section \"%s\"; waymarkd --print-sample lists all "
                         "options",
                         node->key);
}

static void read_root(struct reader *r, const struct yaml_node *root)
{
    if (root->kind != YAML_MAP) {
        read_problem(r, root, "settings consist of sections, like \"server:\"");
        return;
    }
    for (const struct yaml_node *one = root->first; one != NULL; one = one->next) {
        const struct option *o = option_find(settings_options, NULL, one->key);

        if (is_section(one->key))
            read_section(r, one->key, one);
        else if (o != NULL && strchr(o->key, '.') == NULL)
            take_value(r, o, one);
        else
            unknown_section(r, one);
    }
}

static void read_document(struct reader *r, const char *name, const char *text, size_t len)
{
    struct yaml *yaml = NULL;
    int rc;

    r->source = (struct source){name, NULL};
    rc = yaml_read(&yaml, name, text, len, r->d);
    if (rc == -ENOMEM)
        read_out_of_memory(r);
    else if (rc != 0)
        r->rc = r->rc != 0 ? r->rc : rc; /* the problems are in d */
    else if (keep_document(r, yaml) == 0)
        read_root(r, yaml_root(yaml));
}

/* ---- files ---- */

/* may_miss: no file is an empty file. */
static void read_file(struct reader *r, const char *path, bool may_miss)
{
    char *text, *name = arena_strdup(r->s->arena, path);
    size_t len;
    int rc;

    if (name == NULL) {
        read_out_of_memory(r);
        return;
    }
    r->source = (struct source){name, NULL};
    rc = file_read(path, FILE_MAX_BYTES, &text, &len);
    if (rc == -ENOENT && may_miss)
        return;
    if (rc != 0) {
        if (rc == -EFBIG)
            read_problem(r, NULL, "is larger than %d MB", FILE_MAX_BYTES >> 20);
        else
            read_problem(r, NULL, "cannot be read: %s", strerror(-rc));
        return;
    }
    read_document(r, name, text, len);
    free(text);
}

/* A pipe would keep a reload waiting. */
static void read_drop_in(struct reader *r, const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        char *name = arena_strdup(r->s->arena, path);

        r->source = (struct source){name, NULL};
        read_problem(r, NULL, "is not a file");
        return;
    }
    read_file(r, path, false);
}

/* Editors and package tools leave other names behind; they do not count. */
static int is_drop_in(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".yaml") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* whatever the locale is */
}

static void read_drop_ins(struct reader *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct dirent **entries;
    char *folder, *file;
    int n;

    if (asprintf(&folder, "%.*sconf.d", slash != NULL ? (int)(slash + 1 - path) : 0, path) < 0) {
        read_out_of_memory(r);
        return;
    }
    n = scandir(folder, &entries, is_drop_in, by_name);
    if (n < 0 && errno != ENOENT) {
        int rc = errno;
        char *name = arena_strdup(r->s->arena, folder);

        r->source = (struct source){name, NULL};
        read_problem(r, NULL, "cannot be read: %s", strerror(rc));
    }
    for (int i = 0; i < n; i++) {
        if (asprintf(&file, "%s/%s", folder, entries[i]->d_name) < 0) {
            read_out_of_memory(r);
        } else {
            read_drop_in(r, file);
            free(file);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    free(folder);
}

/* ---- -o ---- */

/* Reads VALUE of -o KEY=VALUE, in which YAML's problems have no useful line. */
static int read_assigned(struct reader *r, const char *value, struct yaml **yaml)
{
    struct diags d;
    int rc;

    diags_init(&d);
    rc = yaml_read(yaml, "-o", value, strlen(value), &d);
    for (size_t i = 0; i < d.n; i++)
        read_problem(r, NULL, "%s", d.at[i].text);
    if (rc == -ENOMEM)
        read_out_of_memory(r);
    else if (rc != 0 && d.n == 0)
        read_problem(r, NULL, "is not YAML");
    diags_fini(&d);
    return rc;
}

static const struct option *find_assigned(struct reader *r, const char *key)
{
    const struct option *o = option_find(settings_options, NULL, key);
    const char *keys[OPTIONS_MAX + 1], *near;
    size_t n = 0;

    if (o != NULL)
        return o;
    for (o = settings_options; o->key != NULL; o++)
        keys[n++] = o->key;
    keys[n] = NULL;
    near = diag_nearest(key, keys);
    if (near != NULL)
        read_problem(r, NULL, "unknown option \"%s\"; did you mean \"%s\"?", key, near);
    else
        read_problem(r, NULL, "unknown option \"%s\"; waymarkd --print-sample lists all options",
                     key);
    return NULL;
}

static void read_assignment(struct reader *r, const char *assign)
{
    static const struct yaml_node empty = {.kind = YAML_SCALAR, .text = "", .quoted = true};
    const char *equals = strchr(assign, '=');
    const struct option *o;
    struct yaml *yaml;
    char *key;

    r->source = (struct source){"-o", assign};
    if (equals == NULL) {
        read_problem(r, NULL, "write it as section.key=value");
        return;
    }
    key = arena_strndup(r->s->arena, assign, (size_t)(equals - assign));
    if (key == NULL) {
        read_out_of_memory(r);
        return;
    }
    o = find_assigned(r, key);
    if (o == NULL)
        return;
    if (equals[1] == '\0')
        take_value(r, o, &empty);
    else if (read_assigned(r, equals + 1, &yaml) == 0 && keep_document(r, yaml) == 0)
        take_value(r, o, yaml_root(yaml));
}

/* ---- from the start to the end ---- */

static int reader_init(struct reader *r, struct diags *d)
{
    struct arena *arena = arena_new();

    memset(r, 0, sizeof *r);
    r->d = d;
    r->s = arena != NULL ? arena_alloc(arena, sizeof *r->s) : NULL;
    if (r->s == NULL) {
        arena_free(arena);
        return read_out_of_memory(r);
    }
    r->s->arena = arena;
    for (const struct option *o = settings_options; o->key != NULL; o++) {
        struct yaml *yaml;

        if (o->fallback == NULL)
            continue;
        r->source = (struct source){"(defaults)", o->key};
        if (read_assigned(r, o->fallback, &yaml) == 0 && keep_document(r, yaml) == 0)
            value_read(r, o, yaml_root(yaml), r->s);
    }
    r->s->server.state_dir = STATEDIR "/waymark";
    r->s->server.run_dir = RUNDIR "/waymark";
    return 0;
}

/* Defaults that depend on the machine or on other options. */
static void fill_computed(struct reader *r)
{
    struct settings *s = r->s;
    const struct option *name = option_find(settings_options, NULL, "server.name");
    char host[HOST_TEXT] = "", *path;

    if (s->server.name == NULL) {
        if (gethostname(host, sizeof host - 1) != 0 || name->wrong(host) != NULL)
            strcpy(host, "waymark");
        s->server.name = arena_strdup(s->arena, host);
    }
    if (s->control.socket == NULL) {
        if (asprintf(&path, "%s/control.sock", s->server.run_dir) >= 0) {
            s->control.socket = arena_strdup(s->arena, path);
            free(path);
        }
    }
    if (s->server.name == NULL || s->control.socket == NULL)
        read_out_of_memory(r);
}

static int reader_finish(struct reader *r, struct settings **out)
{
    fill_computed(r);
    rules_check(r);
    for (struct document *d = r->documents; d != NULL; d = d->next)
        yaml_free(d->yaml);
    if (r->rc != 0) {
        settings_free(r->s);
        return r->rc;
    }
    for (int i = 0; i < r->s->n_routes; i++) {
        struct route *route = (struct route *)(uintptr_t)&r->s->routes[i]; /* still ours alone */

        route->id = route_id(route);
    }
    *out = r->s;
    return 0;
}

int settings_read(struct settings **out, const char *path, const char *const *assign,
                  struct diags *d)
{
    struct reader r;

    if (reader_init(&r, d) != 0)
        return -ENOMEM;
    read_file(&r, path != NULL ? path : default_path, path == NULL);
    if (path == NULL || strcmp(path, "-") != 0)
        read_drop_ins(&r, path != NULL ? path : default_path);
    for (; assign != NULL && *assign != NULL; assign++)
        read_assignment(&r, *assign);
    return reader_finish(&r, out);
}

int settings_read_text(struct settings **out, const char *name, const char *text, size_t len,
                       struct diags *d)
{
    struct reader r;

    if (reader_init(&r, d) != 0)
        return -ENOMEM;
    read_document(&r, name, text, len);
    return reader_finish(&r, out);
}

void settings_free(struct settings *s)
{
    if (s != NULL)
        arena_free(s->arena);
}

int settings_check(const struct settings *s, struct diags *d)
{
    struct reader r = {.s = (struct settings *)(uintptr_t)s, .d = d}; /* which is only read */

    return rules_check(&r);
}

const char *settings_default_path(void)
{
    return default_path;
}
